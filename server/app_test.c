/* The app as a whole, with the test pack: what it draws is what `inlay lipsync` draws, whose windows come from a stream
 * of speech and whose network is its own. */
#include "server/app.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "media/audio.h"
#include "server/app_test.h"
#include "speech/mel.h"

#define FRAMES 20
#define QUALITY 75

static struct inlay_error err;
static const char *folder, *pictures;
static struct server_config config;
static struct app *app;

/* ---- what is expected ---- */

static void draw_pictures(const char *avatar, const char *to)
{
	struct inlay_lipsync *job;
	char output[1100];
	snprintf(output, sizeof output, "%s/%%06d.jpg", to);
	const struct inlay_lipsync_params params = { .avatar = avatar,
		                                     .audio = test_given("INLAY_TEST_SPEECH"),
		                                     .output = output,
		                                     .frames = FRAMES,
		                                     .quality = QUALITY,
		                                     .workers = 1,
		                                     .batch = 1 };
	assert_int_equal(mkdir(to, 0777), 0);
	assert_ok(inlay_lipsync_create(&job, &params, &err));
	assert_ok(inlay_lipsync_run(job, NULL, NULL, &err));
	inlay_lipsync_destroy(&job);
}

/* Whether a picture is frame `number`, from 0; the files are numbered from 1. */
static void assert_picture(const uint8_t *data, size_t size, int64_t number)
{
	struct il_bytes file;
	char path[1100];
	snprintf(path, sizeof path, "%s/%06lld.jpg", pictures, (long long)number + 1);
	if (!il_path_exists(path))
		fail_msg("%s: missing", path);
	assert_ok(il_file_read(path, 1 << 24, &file, &err));
	assert_int_equal(size, file.size);
	assert_memory_equal(data, file.data, size);
	il_bytes_destroy(&file);
}

static float *read_speech(size_t *count)
{
	struct il_audio *audio;
	float *samples = NULL;
	size_t n = 0;
	enum inlay_err rc = INLAY_OK;
	*count = 0;
	assert_ok(il_audio_open(&audio, test_given("INLAY_TEST_SPEECH"), IL_MEL_RATE, &err));
	while (!rc) {
		samples = realloc(samples, (*count + 4096) * sizeof *samples);
		rc = il_audio_read(audio, samples + *count, 4096, &n, &err);
		*count += rc ? 0 : n;
	}
	assert_int_equal(rc, INLAY_EOF);
	il_audio_destroy(&audio);
	return samples;
}

/* ---- batches ---- */

struct batch {
	int64_t frames[FRAMES];
	float *floats;
	const float *windows[FRAMES];
	struct il_bytes jpegs[FRAMES];
	struct app_jpegs request;
};

static void make_batch(struct batch *b, const char *avatar)
{
	struct il_mouths_info info;
	const struct il_mouths *mouths = app_mouths(app);
	size_t count;
	float *samples = read_speech(&count);
	*b = (struct batch){ 0 };
	assert_ok(mouths->info(mouths->ctx, avatar, &info, &err));
	b->floats = malloc(FRAMES * info.window_floats * sizeof *b->floats);
	assert_ok(app_encode_speech(app, avatar, samples, count, FRAMES, info.window_floats, b->floats, &err));
	for (int i = 0; i < FRAMES; i++) {
		b->frames[i] = i;
		b->windows[i] = b->floats + (size_t)i * info.window_floats;
	}
	b->request = (struct app_jpegs){ .avatar = avatar,
		                         .client = "test",
		                         .n = FRAMES,
		                         .frames = b->frames,
		                         .windows = b->windows,
		                         .quality = QUALITY };
	free(samples);
}

static void empty_batch(struct batch *b)
{
	for (int i = 0; i < FRAMES; i++)
		il_bytes_destroy(&b->jpegs[i]);
}

static void free_batch(struct batch *b)
{
	empty_batch(b);
	free(b->floats);
}

static void test_jpegs(void **state)
{
	struct batch b;
	struct app_times times;
	(void)state;
	make_batch(&b, "anna");
	assert_ok(il_store_unload(app_store(app), "anna", &err));
	for (int round = 0; round < 2; round++) {
		assert_ok(app_draw_jpegs(app, &b.request, b.jpegs, &times, &err));
		for (int i = 0; i < FRAMES; i++)
			assert_picture(b.jpegs[i].data, b.jpegs[i].size, i);
		assert_int_equal(times.loaded, round == 0);
		assert_true((times.load_ms > 0) == times.loaded);
		assert_true(times.inference_ms > 0 && times.composite_ms > 0);
		assert_true(times.total_ms >= times.load_ms + times.inference_ms + times.composite_ms);
		empty_batch(&b);
	}
	free_batch(&b);
}

static void *draw_again(void *ctx)
{
	struct batch own = *(const struct batch *)ctx;
	bool same = true;
	memset(own.jpegs, 0, sizeof own.jpegs);
	if (app_draw_jpegs(app, &own.request, own.jpegs, NULL, NULL))
		return NULL;
	for (unsigned i = 0; i < own.request.n; i++)
		same = same && own.jpegs[i].size == ((const struct batch *)ctx)->jpegs[i].size &&
		       !memcmp(own.jpegs[i].data, ((const struct batch *)ctx)->jpegs[i].data, own.jpegs[i].size);
	empty_batch(&own);
	return same ? ctx : NULL;
}

static void test_many_clients(void **state)
{
	struct batch b;
	pthread_t threads[4];
	void *same;
	(void)state;
	make_batch(&b, "anna");
	b.request.n = 7;
	assert_ok(app_draw_jpegs(app, &b.request, b.jpegs, NULL, &err));
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, draw_again, &b), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &same);
		assert_non_null(same);
	}
	free_batch(&b);
}

struct speaker {
	const struct batch *batch; /* as it is to come out */
	const float *samples;
	size_t count, window_floats;
};

static void *speak_again(void *ctx)
{
	const struct speaker *s = ctx;
	const size_t floats = FRAMES * s->window_floats;
	float *windows = malloc(floats * sizeof *windows);
	bool same = true;
	for (int round = 0; round < 3 && same; round++)
		same = !app_encode_speech(app, "anna", s->samples, s->count, FRAMES, s->window_floats, windows, NULL) &&
		       !memcmp(windows, s->batch->floats, floats * sizeof *windows);
	free(windows);
	return same ? ctx : NULL;
}

/* More than there are audio encoders: they wait for each other. */
static void test_many_speakers(void **state)
{
	struct batch b;
	struct speaker speaker = { .batch = &b };
	pthread_t threads[24];
	void *same;
	(void)state;
	make_batch(&b, "anna");
	float *samples = read_speech(&speaker.count);
	speaker.samples = samples;
	speaker.window_floats = (size_t)(b.windows[1] - b.windows[0]);
	for (int i = 0; i < 24; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, speak_again, &speaker), 0);
	for (int i = 0; i < 24; i++) {
		pthread_join(threads[i], &same);
		assert_non_null(same);
	}
	free(samples);
	free_batch(&b);
}

/* Mouths drawn from crops that the client brings are those drawn from the avatar's own frames. */
static void test_mouths(void **state)
{
	struct batch b;
	struct il_lease *lease;
	uint8_t *own, *brought, *crop;
	const uint8_t *crops[FRAMES];
	int size;
	(void)state;
	make_batch(&b, "anna");
	assert_ok(app_draw_mouths(app, &b.request, &own, &size, NULL, &err));
	assert_int_equal(app_usage(app, "nobody").requests, 0);
	const int64_t requests = app_usage(app, "anna").requests;
	assert_ok(app_actor(app, "anna", &lease, &err));
	crop = malloc((size_t)(size + 8) * (size_t)(size + 8) * 3);
	assert_ok(il_actor_crop(il_lease_loaded(lease), 5, size, crop, &err));
	il_lease_return(&lease);
	for (int i = 0; i < FRAMES; i++) {
		b.frames[i] = 5;
		crops[i] = crop;
	}
	b.request.n = 3;
	b.request.crops = crops;
	b.request.size = size;
	assert_ok(app_draw_mouths(app, &b.request, &brought, &size, NULL, &err));
	assert_int_equal(app_usage(app, "anna").requests, requests + 1);
	assert_true(app_usage(app, "anna").inference_ns > 0);
	free(brought);
	/* Frame 5 with window 5. */
	b.request.n = 1;
	b.request.windows = b.windows + 5;
	assert_ok(app_draw_mouths(app, &b.request, &brought, &size, NULL, &err));
	assert_memory_equal(brought, own + 5 * (size_t)size * (size_t)size * 3, (size_t)size * (size_t)size * 3);
	free(brought);
	free(own);
	free(crop);
	free_batch(&b);
}

static void test_compiled(void **state)
{
	struct batch b;
	(void)state;
	make_batch(&b, "bert");
	b.request.n = TEST_FRAMES;
	assert_ok(app_draw_jpegs(app, &b.request, b.jpegs, NULL, &err));
	for (int i = 0; i < TEST_FRAMES; i++)
		assert_true(b.jpegs[i].size > 1000 && b.jpegs[i].data[0] == 0xff && b.jpegs[i].data[1] == 0xd8);
	free_batch(&b);
}

static void test_wrong_batches(void **state)
{
	struct batch b;
	uint8_t *mouths;
	int size;
	(void)state;
	make_batch(&b, "anna");
	b.frames[3] = 75;
	assert_fails(app_draw_jpegs(app, &b.request, b.jpegs, NULL, &err), INLAY_ERR_INVALID, "0 to 74");
	b.frames[3] = -1;
	assert_fails(app_draw_mouths(app, &b.request, &mouths, &size, NULL, &err), INLAY_ERR_INVALID, "frame -1");
	assert_null(mouths);
	b.frames[3] = 3;
	b.request.n = 0;
	assert_fails(app_draw_jpegs(app, &b.request, b.jpegs, NULL, &err), INLAY_ERR_INVALID, "0 frames");
	b.request.n = FRAMES;
	b.request.avatar = "nobody";
	assert_fails(app_draw_jpegs(app, &b.request, b.jpegs, NULL, &err), INLAY_ERR_NOT_FOUND, "nobody");
	b.request.avatar = "fault";
	assert_true(app_draw_jpegs(app, &b.request, b.jpegs, NULL, NULL));
	for (int i = 0; i < FRAMES; i++)
		assert_null(b.jpegs[i].data);
	float window;
	assert_fails(app_encode_speech(app, "anna", &window, 0, 1, 1, &window, &err), INLAY_ERR_INVALID, "0 samples");
	free_batch(&b);
}

/* Frames past the end of the sound have rows of zeros behind the last, and none at all is left unset. */
static void test_short_speech(void **state)
{
	struct il_mouths_info info;
	const struct il_mouths *mouths = app_mouths(app);
	float samples[160] = { 0.5f, -0.5f };
	(void)state;
	assert_ok(mouths->info(mouths->ctx, "anna", &info, &err));
	float *windows = malloc(25 * info.window_floats * sizeof *windows);
	for (size_t i = 0; i < 25 * info.window_floats; i++)
		windows[i] = NAN;
	assert_ok(app_encode_speech(app, "anna", samples, 160, 25, info.window_floats, windows, &err));
	assert_fails(app_encode_speech(app, "anna", samples, 160, 1, info.window_floats - 1, windows, &err),
	             INLAY_ERR_INVALID, "rows of");
	for (size_t i = 0; i < 25 * info.window_floats; i++)
		assert_true(isfinite(windows[i]));
	/* 4 rows of features, 8 before the frame's own and 7 behind: from frame 12 on there are none. */
	for (size_t i = 12 * info.window_floats; i < 25 * info.window_floats; i++)
		assert_true(windows[i] == 0);
	free(windows);
}

/* ---- whole jobs ---- */

struct viewer {
	const float *samples;
	size_t left;
	int64_t frames, stop_after;
	enum inlay_err nested;
};

static enum inlay_err speak(void *ctx, float *samples, size_t n, size_t *got, struct inlay_error *error)
{
	struct viewer *v = ctx;
	(void)error;
	*got = v->left < n ? v->left : n;
	memcpy(samples, v->samples, *got * sizeof *samples);
	v->samples += *got;
	v->left -= *got;
	return *got ? INLAY_OK : INLAY_EOF;
}

static struct app_render rendering(struct viewer *viewer);

static enum inlay_err look(void *ctx, int64_t k, const uint8_t *data, size_t bytes, struct inlay_error *error)
{
	struct viewer *v = ctx;
	(void)error;
	assert_int_equal(k, v->frames);
	assert_picture(data, bytes, k);
	if (k == 0) {
		struct app_render second = rendering(v);
		v->nested = app_render(app, &second, NULL, NULL);
	}
	v->frames++;
	return INLAY_OK;
}

static bool watch(void *ctx, int64_t done, int64_t expected)
{
	struct viewer *v = ctx;
	(void)done, (void)expected;
	return !v->stop_after || v->frames < v->stop_after;
}

static struct app_render rendering(struct viewer *viewer)
{
	return (struct app_render){ .params = { .avatar = "anna", .frames = FRAMES, .quality = QUALITY },
		                    .ends = { .read_speech = speak, .take_jpeg = look, .ctx = viewer },
		                    .client = "test",
		                    .progress = watch,
		                    .progress_ctx = viewer };
}

static void test_render(void **state)
{
	struct viewer viewer = { 0 };
	struct inlay_lipsync_stats stats;
	float *samples = read_speech(&viewer.left);
	(void)state;
	viewer.samples = samples;
	struct app_render render = rendering(&viewer);
	assert_ok(app_render(app, &render, &stats, &err));
	assert_int_equal(viewer.frames, FRAMES);
	assert_int_equal(stats.frames, FRAMES);
	assert_int_equal(viewer.nested, INLAY_ERR_BUSY); /* one at a time */
	render.params.avatar = "nobody";
	assert_fails(app_render(app, &render, &stats, &err), INLAY_ERR_NOT_FOUND, "nobody");
	render.params.avatar = NULL;
	assert_fails(app_render(app, &render, NULL, &err), INLAY_ERR_INVALID, "no avatar");
	free(samples);
}

static bool at_once(void *ctx, int64_t done, int64_t expected)
{
	(void)ctx, (void)done, (void)expected;
	return false;
}

/* However many come before the first question whether to go on. */
static enum inlay_err look_away(void *ctx, int64_t k, const uint8_t *data, size_t bytes, struct inlay_error *error)
{
	(void)ctx, (void)k, (void)data, (void)bytes, (void)error;
	return INLAY_OK;
}

static void test_cancelled_render(void **state)
{
	struct viewer viewer = { 0 };
	float *samples = read_speech(&viewer.left);
	(void)state;
	viewer.samples = samples;
	struct app_render render = rendering(&viewer);
	render.params.frames = 0;
	render.wait = true;
	render.progress = at_once;
	render.ends.take_jpeg = look_away;
	assert_int_equal(app_render(app, &render, NULL, NULL), INLAY_ERR_CANCELLED);
	free(samples);
}

/* ---- the rest ---- */

static void test_metrics_and_reload(void **state)
{
	struct il_bytes text;
	struct server_config other = config;
	struct il_store_stats stats;
	(void)state;
	assert_ok(metrics_text(app_metrics(app), &text, &err));
	assert_non_null(strstr((char *)text.data, "\ninlay_store_avatars 3\n"));
	assert_non_null(strstr((char *)text.data, "\ninlay_store_budget_bytes 1073741824\n"));
	assert_non_null(strstr((char *)text.data, "\ninlay_resident_bytes "));
	assert_non_null(strstr((char *)text.data, "\ninlay_renders 0\n"));
	assert_null(strstr((char *)text.data, "\ninlay_frames_composited_total 0\n"));
	il_bytes_destroy(&text);
	other.memory_bytes = 12345678;
	other.max_models = 7;
	app_reload(app, &other);
	il_store_stats(app_store(app), &stats);
	assert_int_equal(stats.budget_bytes, 12345678);
	assert_int_equal(app_max_models(app), 7);
	app_reload(app, &config);
	assert_int_equal(app_max_models(app), 0);
	assert_ptr_equal(app_config(app), &config);
	assert_null(app_regions(app));
	assert_true(app_retry_ms(app) >= 100);
}

/* The last: nothing begins after it. */
static void test_stop(void **state)
{
	struct batch b;
	char why[64] = "";
	(void)state;
	make_batch(&b, "anna");
	assert_true(app_ready(app, why, sizeof why));
	assert_string_equal(why, "");
	app_stop(app, 5000);
	assert_true(app_stopping(app));
	assert_false(app_ready(app, why, sizeof why));
	assert_non_null(strstr(why, "stopping"));
	assert_false(app_ready(app, NULL, 0));
	assert_fails(app_draw_jpegs(app, &b.request, b.jpegs, NULL, &err), INLAY_ERR_BUSY, "stopping");
	free_batch(&b);
}

static void test_roles(void **state)
{
	struct server_config other = test_config(folder);
	struct app *second;
	struct app_jpegs request = { .avatar = "anna", .n = 1 };
	struct il_bytes jpeg = { 0 };
	struct app_render render = { .params = { .avatar = "anna" } };
	struct il_lease *lease;
	(void)state;
	other.role = SERVER_INFERENCE;
	assert_ok(app_create(&second, &other, &err));
	assert_fails(app_draw_jpegs(second, &request, &jpeg, NULL, &err), INLAY_ERR_UNSUPPORTED, "mouths alone");
	assert_fails(app_render(second, &render, NULL, &err), INLAY_ERR_UNSUPPORTED, "mouths alone");
	/* A pack's network takes pictures of its frames. */
	assert_ok(app_actor(second, "anna", &lease, &err));
	const struct il_mouths_info *info = il_actor_info(il_lease_loaded(lease));
	uint8_t *crop = malloc((size_t)(info->size + 8) * (size_t)(info->size + 8) * 3);
	assert_ok(il_actor_crop(il_lease_loaded(lease), 0, info->size, crop, &err));
	il_lease_return(&lease);
	free(crop);
	app_destroy(&second);
	other.role = SERVER_COMPOSITING;
	assert_fails(app_create(&second, &other, &err), INLAY_ERR_INVALID, "inference server");
	assert_null(second);
	other.avatars = NULL;
	other.role = SERVER_ALL;
	assert_fails(app_create(&second, &other, &err), INLAY_ERR_INVALID, "folder of avatars");
	assert_null(second);
	app_destroy(&second);
}

static int open_app(void **state)
{
	(void)state;
	folder = test_scratch("avatars");
	pictures = test_scratch("pictures");
	test_avatars(folder);
	draw_pictures(test_given("INLAY_TEST_PACK"), pictures);
	config = test_config(folder);
	assert_ok(app_create(&app, &config, &err));
	return 0;
}

static int close_app(void **state)
{
	(void)state;
	app_destroy(&app);
	test_remove(folder);
	test_remove(pictures);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jpegs),
		cmocka_unit_test(test_many_clients),
		cmocka_unit_test(test_many_speakers),
		cmocka_unit_test(test_mouths),
		cmocka_unit_test(test_compiled),
		cmocka_unit_test(test_wrong_batches),
		cmocka_unit_test(test_short_speech),
		cmocka_unit_test(test_render),
		cmocka_unit_test(test_cancelled_render),
		cmocka_unit_test(test_metrics_and_reload),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_stop),
	};
	return cmocka_run_group_tests(tests, open_app, close_app);
}
