/* Actors against their parts used one by one, and against what the job writes into files. */
#define _GNU_SOURCE /* nftw */
#include "avatar/test_pack.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "composite/place.h"
#include "inlay/compile.h"
#include "job/actor_impl.h"
#include "job/lipsync_ends.h"
#include "media/audio.h"
#include "speech/mel.h"
#include "tests/test_models.h"

#define FRAMES 16 /* of a request */
#define ROWS 24   /* of features: 24 frames of 25 a second */
#define NETWORK "unet_align"

static struct inlay_error err;
static char compiled[1200], lean[1200], features[1200];
static struct il_mouths_info shape;
static float *windows; /* [ROWS] of them, random */

static const char *given(const char *name)
{
	const char *value = getenv(name);
	if (!value || !*value)
		fail_msg("%s is not set", name);
	return value;
}

static const char *pack(void)
{
	return given("INLAY_TEST_PACK");
}

/* ---- what the tests run on ---- */

/* lean: without whole frames, and with a network that others could run. */
static void compile(char path[1200], const char *name, bool is_lean)
{
	snprintf(path, 1200, "%s", test_scratch(name));
	const struct inlay_compile_params params = { .avatar = pack(),
		                                     .output = path,
		                                     .model = test_model(NETWORK),
		                                     .budget_bytes = 200000,
		                                     .frames = 30,
		                                     .no_planes = is_lean,
		                                     .standard = is_lean,
		                                     .threads = 1 };
	struct inlay_compile *job;
	assert_ok(inlay_compile_create(&job, &params, &err));
	assert_ok(inlay_compile_run(job, NULL, NULL, &err));
	inlay_compile_destroy(&job);
}

static struct il_actor *open_actor(const char *path, unsigned parts)
{
	const struct il_actor_params params = { .path = path,
		                                .parts = parts,
		                                .model = path == pack() ? test_model(NETWORK) : NULL,
		                                .interp = -1,
		                                .sessions = 3,
		                                .batch = 2 };
	struct il_actor *actor;
	assert_ok(il_actor_open(&actor, &params, &err));
	return actor;
}

static void write_features(size_t row)
{
	const size_t dims[] = { ROWS, row };
	uint8_t header[257] = { 0 };
	snprintf(features, sizeof features, "%s", test_scratch("features.npy"));
	FILE *file = fopen(features, "wb");
	assert_non_null(file);
	fwrite(header, 1, il_npy_format_header(IL_NPY_F32, 2, dims, header), file);
	fwrite(windows, sizeof *windows, ROWS * row, file);
	assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
	(void)state;
	compile(compiled, "a.inlay", false);
	compile(lean, "b.inlay", true);
	struct il_actor *actor = open_actor(pack(), IL_ACTOR_MOUTHS);
	shape = *il_actor_info(actor);
	il_actor_destroy(&actor);
	windows = malloc(ROWS * shape.window_floats * sizeof *windows);
	test_fill(windows, ROWS * shape.window_floats);
	write_features(shape.window_floats / 16);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pack_remove(compiled);
	pack_remove(lean);
	unlink(features);
	free(windows);
	return 0;
}

static size_t mouth_bytes(void)
{
	return (size_t)shape.size * (size_t)shape.size * 3;
}

static size_t crop_bytes(void)
{
	return (size_t)(shape.size + 8) * (size_t)(shape.size + 8) * 3;
}

static int64_t frame_at(unsigned i)
{
	return (int64_t)(i * 7 % 29); /* in no order, and some of them twice */
}

/* ---- requests ---- */

struct drawing {
	int64_t frames[FRAMES];
	const float *windows[FRAMES];
	const uint8_t *crops[FRAMES];
	uint8_t *mouths[FRAMES];
	uint8_t *pixels, *faces; /* what mouths and crops point at */
};

static void prepare(struct drawing *d)
{
	d->pixels = calloc(FRAMES, mouth_bytes());
	d->faces = calloc(FRAMES, crop_bytes());
	for (unsigned i = 0; i < FRAMES; i++) {
		d->frames[i] = frame_at(i);
		d->windows[i] = windows + i * shape.window_floats;
		d->crops[i] = d->faces + i * crop_bytes();
		d->mouths[i] = d->pixels + i * mouth_bytes();
	}
}

static void clear(struct drawing *d)
{
	free(d->pixels);
	free(d->faces);
}

static struct il_mouths_request request_of(struct drawing *d, unsigned first, unsigned n)
{
	return (struct il_mouths_request){
		.n = n, .frames = d->frames + first, .windows = d->windows + first, .mouths = d->mouths + first
	};
}

/* The same with each part by hand: video, resize, network, one frame at a time. */
static void draw_by_hand(struct drawing *d)
{
	struct il_avatar *avatar;
	struct il_clip *clip;
	struct il_place *place;
	struct il_lipsync_net *net = NULL;
	const struct il_lipsync_net_params params = { .path = test_model(NETWORK), .threads = 1 };
	prepare(d);
	assert_ok(il_avatar_open(&avatar, pack(), &err));
	assert_ok(il_clip_open(&clip, avatar, 1 << 20, 1, &err));
	assert_ok(il_lipsync_net_open(&net, &params, &err));
	assert_ok(il_place_create(&place, shape.size, IL_INTERP_LINEAR, &err));
	uint8_t *crop = malloc(crop_bytes());
	for (unsigned i = 0; i < FRAMES; i++) {
		struct inlay_frame *frame;
		assert_ok(il_clip_frame(clip, d->frames[i], &frame, &err));
		assert_ok(il_place_crop(place, frame, avatar->rects[d->frames[i]], crop, &err));
		memcpy(d->faces + i * crop_bytes(), crop, crop_bytes());
		il_place_picture(place, crop, il_lipsync_net_picture(net, 0));
		memcpy(il_lipsync_net_audio(net, 0), d->windows[i], shape.window_floats * sizeof(float));
		assert_ok(il_lipsync_net_run(net, 1, &err));
		il_place_mouth(place, crop, il_lipsync_net_output(net, 0));
		for (int y = 0; y < shape.size; y++)
			memcpy(d->mouths[i] + y * shape.size * 3, crop + ((y + 4) * (shape.size + 8) + 4) * 3,
			       (size_t)shape.size * 3);
		inlay_frame_destroy(&frame);
	}
	free(crop);
	il_place_destroy(&place);
	il_lipsync_net_destroy(&net);
	il_clip_destroy(&clip);
	il_avatar_destroy(&avatar);
}

static void mouths_are_those_of_the_parts(void **state)
{
	(void)state;
	struct drawing expected, found;
	draw_by_hand(&expected);
	prepare(&found);
	struct il_actor *actor = open_actor(pack(), IL_ACTOR_MOUTHS | IL_ACTOR_FRAMES);
	struct il_mouths_request request = request_of(&found, 0, FRAMES);
	assert_false(shape.takes_crops && il_actor_info(actor)->takes_crops);
	assert_ok(il_actor_draw(actor, &request, &err));
	assert_memory_equal(found.pixels, expected.pixels, FRAMES * mouth_bytes());
	for (unsigned i = 0; i < FRAMES; i++) {
		assert_ok(il_actor_crop(actor, found.frames[i], shape.size, found.faces + i * crop_bytes(), &err));
		assert_memory_equal(found.crops[i], expected.crops[i], crop_bytes());
	}
	il_actor_destroy(&actor);
	/* Without the frames the faces come along. */
	actor = open_actor(pack(), IL_ACTOR_MOUTHS);
	assert_true(il_actor_info(actor)->takes_crops);
	memset(found.pixels, 0, FRAMES * mouth_bytes());
	assert_fails(il_actor_draw(actor, &request, &err), INLAY_ERR_INVALID, "without its frames");
	request.crops = found.crops;
	assert_ok(il_actor_draw(actor, &request, &err));
	assert_memory_equal(found.pixels, expected.pixels, FRAMES * mouth_bytes());
	il_actor_destroy(&actor);
	clear(&expected);
	clear(&found);
}

/* ---- many at once ---- */

struct jpegs {
	uint8_t *data[FRAMES];
	size_t bytes[FRAMES];
};

struct crowd {
	struct il_actor *actor;
	struct drawing expected;
	struct jpegs jpegs;
	atomic_int wrong;
};

struct member {
	struct crowd *crowd;
	unsigned number;
	pthread_t thread;
};

static void free_jpegs(struct jpegs *jpegs)
{
	for (unsigned i = 0; i < FRAMES; i++)
		free(jpegs->data[i]);
}

/* Requests of a length of its own, then JPEGs from a place of its own. No cmocka here: it is not for threads. */
static void *take_part(void *arg)
{
	const struct member *member = arg;
	struct crowd *crowd = member->crowd;
	struct inlay_error problem = { 0 };
	struct drawing own;
	int wrong = 0;
	prepare(&own);
	for (unsigned first = 0, n; first < FRAMES; first += n) {
		n = member->number + 1 < FRAMES - first ? member->number + 1 : FRAMES - first;
		const struct il_mouths_request request = request_of(&own, first, n);
		wrong += il_actor_draw(crowd->actor, &request, &problem) != INLAY_OK;
	}
	wrong += memcmp(own.pixels, crowd->expected.pixels, FRAMES * mouth_bytes()) != 0;
	for (unsigned k = 0; k < FRAMES; k++) {
		const unsigned i = (k + 3 * member->number) % FRAMES;
		uint8_t *data;
		size_t bytes;
		wrong += il_actor_jpeg(crowd->actor, own.frames[i], own.mouths[i], shape.size, 0, &data, &bytes,
		                       &problem) != INLAY_OK ||
		         bytes != crowd->jpegs.bytes[i] || memcmp(data, crowd->jpegs.data[i], bytes) != 0;
		free(data);
	}
	clear(&own);
	atomic_fetch_add(&crowd->wrong, wrong);
	return NULL;
}

static void eight_threads_draw_the_same(void **state)
{
	(void)state;
	const char *const avatars[] = { pack(), compiled, lean };
	for (int a = 0; a < 3; a++) {
		struct crowd crowd = { .actor = open_actor(avatars[a], IL_ACTOR_MOUTHS | IL_ACTOR_FRAMES) };
		struct member members[8];
		const int64_t before = il_actor_bytes(crowd.actor);
		assert_true(before > 0);
		prepare(&crowd.expected);
		const struct il_mouths_request request = request_of(&crowd.expected, 0, FRAMES);
		assert_ok(il_actor_draw(crowd.actor, &request, &err));
		for (unsigned i = 0; i < FRAMES; i++)
			assert_ok(il_actor_jpeg(crowd.actor, crowd.expected.frames[i], crowd.expected.mouths[i],
			                        shape.size, 0, &crowd.jpegs.data[i], &crowd.jpegs.bytes[i], &err));
		for (unsigned i = 0; i < 8; i++) {
			members[i] = (struct member){ .crowd = &crowd, .number = i };
			assert_int_equal(pthread_create(&members[i].thread, NULL, take_part, &members[i]), 0);
		}
		for (unsigned i = 0; i < 8; i++)
			pthread_join(members[i].thread, NULL);
		assert_int_equal(atomic_load(&crowd.wrong), 0);
		assert_true(il_actor_bytes(crowd.actor) > before);
		il_actor_destroy(&crowd.actor);
		free_jpegs(&crowd.jpegs);
		clear(&crowd.expected);
	}
}

/* Of several who wait for one session some give up: the others get it all the same. */
struct waiter {
	struct il_actor *actor;
	atomic_int *drawn; /* by any of them; those that give up do it at the first */
	bool patient;
	enum inlay_err rc;
	pthread_t thread;
};

static bool somebody_drew(void *ctx)
{
	return atomic_load((atomic_int *)ctx) > 0;
}

static void *draw_or_give_up(void *arg)
{
	struct waiter *waiter = arg;
	struct inlay_error problem = { 0 };
	struct drawing own;
	prepare(&own);
	struct il_mouths_request request = request_of(&own, 0, 2);
	request.deadline_ns = il_clock_ns() + 20 * INT64_C(1000000000);
	request.cancelled = waiter->patient ? NULL : somebody_drew;
	request.cancel_ctx = waiter->drawn;
	waiter->rc = il_actor_draw(waiter->actor, &request, &problem);
	atomic_fetch_add(waiter->drawn, 1);
	clear(&own);
	return NULL;
}

static void who_gives_up_takes_no_session_along(void **state)
{
	(void)state;
	const struct il_actor_params params = { .path = compiled, .parts = IL_ACTOR_MOUTHS, .interp = -1 };
	struct il_actor *actor;
	assert_ok(il_actor_open(&actor, &params, &err));
	for (int round = 0; round < 40; round++) {
		struct waiter waiters[8];
		atomic_int drawn = 0;
		for (unsigned i = 0; i < 8; i++) {
			waiters[i] = (struct waiter){ .actor = actor, .drawn = &drawn, .patient = i % 4 == 3 };
			assert_int_equal(pthread_create(&waiters[i].thread, NULL, draw_or_give_up, &waiters[i]), 0);
		}
		for (unsigned i = 0; i < 8; i++)
			pthread_join(waiters[i].thread, NULL);
		for (unsigned i = 0; i < 8; i++)
			assert_true(!waiters[i].rc || (waiters[i].rc == INLAY_ERR_CANCELLED && !waiters[i].patient));
	}
	il_actor_destroy(&actor);
}

/* ---- jobs ---- */

struct bytes {
	uint8_t *data;
	size_t size;
	int64_t frames; /* taken so far */
};

static void append(struct bytes *to, const void *data, size_t size)
{
	to->data = realloc(to->data, to->size + size);
	memcpy(to->data + to->size, data, size);
	to->size += size;
}

static void append_frame(struct bytes *to, const struct inlay_frame *frame)
{
	const size_t size = il_raw_bytes(inlay_frame_info(frame));
	to->data = realloc(to->data, to->size + size);
	il_raw_copy(frame, to->data + to->size, false);
	to->size += size;
}

static struct inlay_lipsync_params job_params(const char *avatar)
{
	return (struct inlay_lipsync_params){ .avatar = avatar,
		                              .model = avatar == pack() ? test_model(NETWORK) : NULL,
		                              .features = features,
		                              .workers = 2,
		                              .batch = 1,
		                              .threads = 2 };
}

static void run(struct inlay_lipsync *job)
{
	assert_ok(inlay_lipsync_run(job, NULL, NULL, &err));
}

/* What inlay_lipsync_run writes. */
static struct il_bytes written(struct inlay_lipsync_params params, const char *format)
{
	struct il_bytes bytes;
	struct inlay_lipsync *job;
	params.output = test_scratch("written");
	params.format = format;
	assert_ok(inlay_lipsync_create(&job, &params, &err));
	run(job);
	inlay_lipsync_destroy(&job);
	assert_ok(il_file_read(params.output, 1 << 30, &bytes, &err));
	unlink(params.output);
	return bytes;
}

static void expect_bytes(struct bytes *found, const struct il_bytes *expected)
{
	assert_int_equal(found->size, expected->size);
	assert_memory_equal(found->data, expected->data, expected->size);
	free(found->data);
	*found = (struct bytes){ 0 };
}

/* Windows of the features file: 8 rows before the frame's and 8 from it on, zeros outside. */
static void window_at(int64_t k, float *window)
{
	const size_t row = shape.window_floats / 16;
	for (int64_t i = k - 8; i < k + 8; i++, window += row)
		if (i < 0 || i >= ROWS)
			memset(window, 0, row * sizeof *window);
		else
			memcpy(window, windows + (size_t)i * row, row * sizeof *window);
}

static void pictures_are_those_of_the_job(void **state)
{
	(void)state;
	const struct {
		const char *avatar;
		int quality;
		bool raw;
	} cases[] = { { pack(), 0, false },    { pack(), 55, false }, { pack(), 0, true }, { compiled, 0, false },
		      { compiled, 60, false }, { compiled, 0, true }, { lean, 90, false } };
	float *window = malloc(shape.window_floats * sizeof *window);
	uint8_t *mouth = malloc(mouth_bytes());
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
		struct inlay_lipsync_params params = job_params(cases[c].avatar);
		params.quality = cases[c].quality;
		struct il_bytes expected = written(params, cases[c].raw ? "rawvideo" : "mjpeg");
		struct il_actor *actor = open_actor(cases[c].avatar, IL_ACTOR_MOUTHS | IL_ACTOR_FRAMES);
		struct bytes found = { 0 };
		for (int64_t k = 0; k < ROWS; k++) {
			const struct il_avatar *avatar = il_actor_avatar(actor);
			const int64_t frame = il_order_index((enum il_order)avatar->order, avatar->frames, 0, k);
			const struct il_mouths_request request = {
				.n = 1, .frames = &frame, .windows = (const float *[]){ window }, .mouths = &mouth
			};
			window_at(k, window);
			assert_ok(il_actor_draw(actor, &request, &err));
			if (cases[c].raw) {
				struct inlay_frame *picture;
				assert_ok(il_actor_frame(actor, frame, mouth, shape.size, &picture, &err));
				append_frame(&found, picture);
				inlay_frame_destroy(&picture);
			} else {
				uint8_t *data;
				size_t size;
				assert_ok(il_actor_jpeg(actor, frame, mouth, shape.size, cases[c].quality, &data, &size,
				                        &err));
				append(&found, data, size);
				free(data);
			}
		}
		expect_bytes(&found, &expected);
		il_bytes_destroy(&expected);
		il_actor_destroy(&actor);
	}
	free(window);
	free(mouth);
}

/* ---- ends ---- */

struct side {
	struct il_audio *audio;
	struct bytes taken;
	struct il_mouths mouths; /* behind those that the job is given */
	atomic_int requests, wrong;
	unsigned most;
	enum inlay_err fail; /* what a callback gives */
	atomic_bool waits, cancelled;
};

static enum inlay_err read_file(void *ctx, float *samples, size_t n, size_t *got, struct inlay_error *e)
{
	struct side *side = ctx;
	if (!side->waits)
		return il_audio_read(side->audio, samples, n < 777 ? n : 777, got, e);
	while (!atomic_load(&side->cancelled))
		usleep(1000);
	return il_fail(e, INLAY_ERR_CANCELLED, "the line was cut");
}

static enum inlay_err take_jpeg(void *ctx, int64_t k, const uint8_t *data, size_t bytes, struct inlay_error *e)
{
	struct side *side = ctx;
	side->wrong += k != side->taken.frames++;
	append(&side->taken, data, bytes);
	return side->fail ? il_fail(e, side->fail, "the reader has gone") : INLAY_OK;
}

static enum inlay_err take_frame(void *ctx, int64_t k, struct inlay_frame *frame, struct inlay_error *e)
{
	struct side *side = ctx;
	(void)e;
	side->wrong += k != side->taken.frames++;
	append_frame(&side->taken, frame);
	return INLAY_OK;
}

static enum inlay_err far_info(void *ctx, const char *avatar, struct il_mouths_info *info, struct inlay_error *e)
{
	const struct side *side = ctx;
	return strcmp(avatar, "anna") != 0 ? il_fail(e, INLAY_ERR_NOT_FOUND, "%s: nobody of that name", avatar)
	                                   : side->mouths.info(side->mouths.ctx, avatar, info, e);
}

static enum inlay_err far_draw(void *ctx, const struct il_mouths_request *request, struct inlay_error *e)
{
	struct side *side = ctx;
	atomic_fetch_add(&side->requests, 1);
	if (strcmp(request->avatar, "anna") != 0 || strcmp(request->client, "me") != 0 || !request->crops ||
	    request->n > side->most)
		atomic_fetch_add(&side->wrong, 1);
	return side->fail ? il_fail(e, side->fail, "nobody draws") : side->mouths.draw(side->mouths.ctx, request, e);
}

/* Speech from the file that everybody else reads, drawn with the pack's own network, which fits its encoder. */
static struct inlay_lipsync_params speech_params(void)
{
	return (struct inlay_lipsync_params){ .avatar = pack(), .workers = 1, .batch = 3, .threads = 1 };
}

static struct il_actor *open_speaker(unsigned parts)
{
	const struct il_actor_params params = { .path = pack(), .parts = parts, .interp = -1, .batch = 2 };
	struct il_actor *actor;
	assert_ok(il_actor_open(&actor, &params, &err));
	return actor;
}

static void open_side(struct side *side)
{
	assert_ok(il_audio_open(&side->audio, given("INLAY_TEST_SPEECH"), IL_MEL_RATE, &err));
}

static void pulled_speech_gives_the_same_frames(void **state)
{
	(void)state;
	struct inlay_lipsync_params params = speech_params();
	for (int raw = 0; raw < 2; raw++) {
		struct side side = { 0 };
		struct inlay_lipsync *job;
		struct inlay_lipsync_stats stats;
		params.audio = given("INLAY_TEST_SPEECH");
		params.frames = raw ? 9 : 0;
		struct il_bytes expected = written(params, raw ? "rawvideo" : "mjpeg");
		params.audio = NULL;
		open_side(&side);
		const struct il_lipsync_ends ends = { .read_speech = read_file,
			                              .take_jpeg = raw ? NULL : take_jpeg,
			                              .take_frame = raw ? take_frame : NULL,
			                              .ctx = &side };
		assert_ok(il_lipsync_create(&job, &params, &ends, &err));
		assert_int_equal(inlay_lipsync_expected_frames(job), raw ? 9 : -1);
		assert_non_null(strstr(inlay_lipsync_describe(job), "to the caller"));
		run(job);
		inlay_lipsync_stats(job, &stats);
		assert_int_equal(stats.frames, side.taken.frames);
		assert_int_equal(side.wrong, 0);
		expect_bytes(&side.taken, &expected);
		il_bytes_destroy(&expected);
		inlay_lipsync_destroy(&job);
		il_audio_destroy(&side.audio);
	}
}

/* Two jobs after each other on one actor, whose mouths others draw; then on its own ones. */
static void mouths_from_elsewhere(void **state)
{
	(void)state;
	struct inlay_lipsync_params params = speech_params();
	params.audio = given("INLAY_TEST_SPEECH");
	params.frames = 24;
	struct il_bytes expected = written(params, "mjpeg");
	struct side side = { .most = 3 };
	struct il_actor *far = open_speaker(IL_ACTOR_MOUTHS), *near = open_speaker(IL_ACTOR_FRAMES),
			*both = open_speaker(IL_ACTOR_MOUTHS | IL_ACTOR_FRAMES);
	side.mouths = il_actor_mouths(far);
	const struct il_mouths mouths = { .info = far_info, .draw = far_draw, .ctx = &side };
	struct il_lipsync_ends ends = {
		.actor = near, .mouths = &mouths, .client = "me", .ahead = 3, .take_jpeg = take_jpeg, .ctx = &side
	};
	for (int i = 0; i < 2; i++) {
		struct inlay_lipsync *job;
		params.avatar = i ? NULL : "anna";
		assert_ok(il_lipsync_create(&job, &params, &ends, &err));
		run(job);
		inlay_lipsync_destroy(&job);
		expect_bytes(&side.taken, &expected);
		ends.actor = both;
		ends.mouths = NULL;
	}
	assert_int_equal(side.requests, 24 / 3);
	assert_int_equal(side.wrong, 0);
	il_bytes_destroy(&expected);
	il_actor_destroy(&far);
	il_actor_destroy(&near);
	il_actor_destroy(&both);
}

static bool hang_up(void *ctx, int64_t done, int64_t expected)
{
	struct side *side = ctx;
	(void)done, (void)expected;
	atomic_store(&side->cancelled, true);
	return false;
}

static void a_cancelled_job_ends(void **state)
{
	(void)state;
	struct inlay_lipsync_params params = speech_params();
	struct side side = { .waits = true };
	const struct il_lipsync_ends ends = { .read_speech = read_file, .take_jpeg = take_jpeg, .ctx = &side };
	struct inlay_lipsync *job;
	assert_ok(il_lipsync_create(&job, &params, &ends, &err));
	err = (struct inlay_error){ 0 };
	assert_int_equal(inlay_lipsync_run(job, hang_up, &side, &err), INLAY_ERR_CANCELLED);
	assert_int_equal(side.taken.frames, 0);
	inlay_lipsync_destroy(&job);
}

static void faults_of_the_ends_end_the_job(void **state)
{
	(void)state;
	struct inlay_lipsync_params params = speech_params();
	params.audio = given("INLAY_TEST_SPEECH");
	struct il_actor *actor = open_speaker(IL_ACTOR_MOUTHS | IL_ACTOR_FRAMES);
	struct side side = { .most = 3, .fail = INLAY_ERR_BUSY, .mouths = il_actor_mouths(actor) };
	const struct il_mouths mouths = { .info = far_info, .draw = far_draw, .ctx = &side };
	struct il_lipsync_ends ends = { .actor = actor, .take_jpeg = take_jpeg, .ctx = &side };
	struct inlay_lipsync *job;
	assert_ok(il_lipsync_create(&job, &params, &ends, &err));
	assert_fails(inlay_lipsync_run(job, NULL, NULL, &err), INLAY_ERR_BUSY, "the reader has gone");
	inlay_lipsync_destroy(&job);
	assert_int_equal(side.taken.frames, 1);
	ends.mouths = &mouths;
	ends.client = "me";
	params.avatar = "anna";
	assert_ok(il_lipsync_create(&job, &params, &ends, &err));
	assert_fails(inlay_lipsync_run(job, NULL, NULL, &err), INLAY_ERR_BUSY, "nobody draws");
	inlay_lipsync_destroy(&job);
	params.avatar = "berta";
	assert_fails(il_lipsync_create(&job, &params, &ends, &err), INLAY_ERR_NOT_FOUND, "berta: nobody");
	assert_null(job);
	free(side.taken.data);
	il_actor_destroy(&actor);
}

static void wrong_ends(void **state)
{
	(void)state;
	struct inlay_lipsync *job;
	struct side side = { 0 };
	struct il_actor *actor = open_speaker(IL_ACTOR_MOUTHS);
	struct inlay_lipsync_params params = speech_params(), loud = params;
	struct il_lipsync_ends ends = { .read_speech = read_file, .take_jpeg = take_jpeg, .ctx = &side }, both = ends;
	loud.audio = given("INLAY_TEST_SPEECH");
	assert_fails(il_lipsync_create(&job, &loud, &ends, &err), INLAY_ERR_INVALID, "expected one");
	both.take_frame = take_frame;
	assert_fails(il_lipsync_create(&job, &params, &both, &err), INLAY_ERR_INVALID, "both JPEGs and frames");
	params.format = "null";
	assert_fails(il_lipsync_create(&job, &params, &ends, &err), INLAY_ERR_INVALID, "null given");
	params.format = NULL;
	ends.actor = actor;
	assert_fails(il_lipsync_create(&job, &params, &ends, &err), INLAY_ERR_INVALID, "without its frames");
	il_actor_destroy(&actor);
	ends.actor = actor = open_speaker(IL_ACTOR_FRAMES);
	assert_fails(il_lipsync_create(&job, &params, &ends, &err), INLAY_ERR_INVALID, "without its network");
	il_actor_destroy(&actor);
	/* An encoder that belongs to another network. */
	ends.actor = actor = open_actor(pack(), IL_ACTOR_MOUTHS | IL_ACTOR_FRAMES);
	assert_fails(il_lipsync_create(&job, &params, &ends, &err), INLAY_ERR_INVALID, "belong to another network");
	il_actor_destroy(&actor);
	/* Frames of an avatar that has none. */
	ends = (struct il_lipsync_ends){ .take_frame = take_frame, .ctx = &side };
	params = job_params(lean);
	assert_fails(il_lipsync_create(&job, &params, &ends, &err), INLAY_ERR_INVALID, "--no-planes");
	assert_null(job);
}

/* ---- errors of actors ---- */

static void wrong_openings(void **state)
{
	(void)state;
	struct il_actor *actor = (void *)&err;
	struct il_actor_params params = { .path = "/nowhere", .parts = IL_ACTOR_FRAMES, .interp = -1 };
	assert_fails(il_actor_open(&actor, &params, &err), INLAY_ERR_NOT_FOUND, "/nowhere");
	assert_null(actor);
	params.path = NULL;
	assert_fails(il_actor_open(&actor, &params, &err), INLAY_ERR_INVALID, "no avatar");
	params.path = pack();
	params.parts = 4;
	assert_fails(il_actor_open(&actor, &params, &err), INLAY_ERR_INVALID, "parts 4");
	params.parts = IL_ACTOR_MOUTHS;
	params.model = test_model("wrong_channels");
	assert_fails(il_actor_open(&actor, &params, &err), INLAY_ERR_FORMAT, "picture");
	/* A network that takes what its own avatar alone holds. */
	char network[1300];
	snprintf(network, sizeof network, "%s/network.onnx", lean);
	params.model = network;
	assert_fails(il_actor_open(&actor, &params, &err), INLAY_ERR_INVALID, "computed beforehand");
	params = (struct il_actor_params){ .path = compiled, .parts = IL_ACTOR_MOUTHS, .interp = IL_INTERP_CUBIC };
	assert_fails(il_actor_open(&actor, &params, &err), INLAY_ERR_INVALID, "compile it with --interp cubic");
	assert_null(actor);
}

static bool yes(void *ctx)
{
	(void)ctx;
	return true;
}

static void wrong_requests(void **state)
{
	(void)state;
	struct drawing d;
	prepare(&d);
	struct il_actor *actor = open_actor(compiled, IL_ACTOR_MOUTHS | IL_ACTOR_FRAMES);
	struct il_mouths_request request = request_of(&d, 0, 0);
	assert_fails(il_actor_draw(actor, &request, &err), INLAY_ERR_INVALID, "0 frames in a request");
	request.n = IL_MOUTHS_MAX + 1;
	assert_fails(il_actor_draw(actor, &request, &err), INLAY_ERR_INVALID, "1025 frames in a request");
	request.n = 3;
	d.frames[2] = 30;
	assert_fails(il_actor_draw(actor, &request, &err), INLAY_ERR_INVALID, "frame 30 was asked for; expected 0 to");
	d.frames[2] = -1;
	assert_fails(il_actor_draw(actor, &request, &err), INLAY_ERR_INVALID, "frame -1");
	request.n = 1;
	request.deadline_ns = il_clock_ns() - 1;
	assert_fails(il_actor_draw(actor, &request, &err), INLAY_ERR_TIMEOUT, "time was over");
	request.cancelled = yes;
	assert_fails(il_actor_draw(actor, &request, &err), INLAY_ERR_CANCELLED, "cancelled");
	uint8_t *data;
	size_t bytes;
	struct inlay_frame *frame;
	assert_fails(il_actor_jpeg(actor, 30, d.mouths[0], shape.size, 0, &data, &bytes, &err), INLAY_ERR_INVALID,
	             "frame 30");
	assert_null(data);
	assert_fails(il_actor_jpeg(actor, 0, d.mouths[0], shape.size, 101, &data, &bytes, &err), INLAY_ERR_INVALID,
	             "quality 101");
	assert_fails(il_actor_jpeg(actor, 0, d.mouths[0], 5, 0, &data, &bytes, &err), INLAY_ERR_INVALID, "5x5");
	assert_fails(il_actor_frame(actor, -5, d.mouths[0], shape.size, &frame, &err), INLAY_ERR_INVALID, "frame -5");
	assert_fails(il_actor_crop(actor, 1 << 30, shape.size, d.faces, &err), INLAY_ERR_INVALID, "was asked for");
	il_actor_destroy(&actor);
	actor = open_actor(lean, IL_ACTOR_FRAMES);
	assert_fails(il_actor_frame(actor, 0, d.mouths[0], shape.size, &frame, &err), INLAY_ERR_INVALID, "--no-planes");
	assert_fails(il_actor_jpeg(actor, 0, d.mouths[0], shape.size, 50, &data, &bytes, &err), INLAY_ERR_INVALID,
	             "quality 90");
	assert_ok(il_actor_jpeg(actor, 0, d.mouths[0], shape.size, 90, &data, &bytes, &err));
	free(data);
	request = request_of(&d, 0, 1);
	assert_fails(il_actor_draw(actor, &request, &err), INLAY_ERR_INVALID, "without its network");
	il_actor_destroy(&actor);
	il_actor_destroy(&actor);
	clear(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mouths_are_those_of_the_parts),
		cmocka_unit_test(eight_threads_draw_the_same),
		cmocka_unit_test(who_gives_up_takes_no_session_along),
		cmocka_unit_test(pictures_are_those_of_the_job),
		cmocka_unit_test(pulled_speech_gives_the_same_frames),
		cmocka_unit_test(mouths_from_elsewhere),
		cmocka_unit_test(a_cancelled_job_ends),
		cmocka_unit_test(faults_of_the_ends_end_the_job),
		cmocka_unit_test(wrong_ends),
		cmocka_unit_test(wrong_openings),
		cmocka_unit_test(wrong_requests),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
