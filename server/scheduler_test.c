#include "server/scheduler.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "tests/test.h"

enum { LOG = 4096 };

/* What the fake avatars and their drawing do. Frame -1 cannot be drawn. */
static struct world {
	atomic_bool hold; /* draws wait */
	atomic_int frame_us, load_us;
	atomic_int running, most_running;
	pthread_mutex_t lock;
	unsigned n; /* of draws */
	struct draw {
		char avatar[8], client[16];
		unsigned n;
		int64_t first, last; /* frames */
	} draws[LOG];
} world = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct inlay_error err;
static char folder[256];

static enum inlay_err load(void *ctx, const char *id, const char *path, void **loaded, int64_t *bytes,
                           struct inlay_error *error)
{
	(void)ctx;
	(void)path;
	if (!strncmp(id, "slow", 4))
		usleep((useconds_t)world.load_us);
	if (!strcmp(id, "broken")) {
		snprintf(error->text, sizeof error->text, "broken avatar");
		return error->code = INLAY_ERR_FORMAT;
	}
	*loaded = strdup(id);
	*bytes = 1;
	return INLAY_OK;
}

static void unload(void *ctx, void *loaded)
{
	(void)ctx;
	free(loaded);
}

static void log_draw(const struct il_mouths_request *request)
{
	pthread_mutex_lock(&world.lock);
	struct draw *draw = &world.draws[world.n++ % LOG];
	snprintf(draw->avatar, sizeof draw->avatar, "%s", request->avatar);
	snprintf(draw->client, sizeof draw->client, "%s", request->client ? request->client : "");
	draw->n = request->n;
	draw->first = request->frames[0];
	draw->last = request->frames[request->n - 1];
	pthread_mutex_unlock(&world.lock);
}

/* A mouth of 4 bytes: frame + window + crop. */
static int32_t mouth_of(int64_t frame, float window, int crop)
{
	return (int32_t)(frame * 1000 + (int)window * 10 + crop);
}

static enum inlay_err draw(void *ctx, void *loaded, const struct il_mouths_request *request, struct inlay_error *error)
{
	(void)ctx;
	int running = atomic_fetch_add(&world.running, 1) + 1;
	for (int most = world.most_running;
	     running > most && !atomic_compare_exchange_weak(&world.most_running, &most, running);) {
	}
	log_draw(request);
	if (strcmp(loaded, request->avatar))
		snprintf(error->text, sizeof error->text, "leased %s", (char *)loaded);
	while (world.hold)
		usleep(200);
	usleep((useconds_t)(world.frame_us * (int)request->n));
	for (unsigned i = 0; i < request->n && !error->text[0]; i++) {
		int32_t mouth =
			mouth_of(request->frames[i], request->windows[i][0], request->crops ? request->crops[i][0] : 0);
		memcpy(request->mouths[i], &mouth, sizeof mouth);
		if (request->frames[i] < 0)
			snprintf(error->text, sizeof error->text, "no such frame");
	}
	world.running--;
	return error->text[0] ? (error->code = INLAY_ERR_NOT_FOUND) : INLAY_OK;
}

static enum inlay_err info(void *ctx, void *loaded, struct il_mouths_info *info, struct inlay_error *error)
{
	(void)ctx;
	(void)error;
	*info = (struct il_mouths_info){ .size = (int)strlen(loaded) };
	return INLAY_OK;
}

static unsigned count_draws(void)
{
	pthread_mutex_lock(&world.lock);
	unsigned n = world.n;
	pthread_mutex_unlock(&world.lock);
	return n;
}

/* --- setting up --- */

static struct il_store *store;
static struct metrics *metrics;
static const char *const avatars[] = { "ann", "bob", "slow", "broken", "slow2", "slow3", "slow4" };

static void each_folder(int (*fn)(const char *path))
{
	for (size_t i = 0; i < sizeof avatars / sizeof *avatars; i++) {
		char path[512];
		snprintf(path, sizeof path, "%s/%s", folder, avatars[i]);
		fn(path);
	}
}

static int make_folder(const char *path)
{
	return mkdir(path, 0777);
}

static int setup(void **state)
{
	(void)state;
	world.hold = false;
	world.frame_us = world.load_us = world.running = world.most_running = 0;
	world.n = 0;
	snprintf(folder, sizeof folder, "%s", test_scratch("scheduler"));
	mkdir(folder, 0777);
	each_folder(make_folder);
	struct il_store_params params = { .folder = folder, .load = load, .unload = unload };
	assert_ok(il_store_open(&store, &params, &err));
	assert_ok(il_store_load(store, "ann", false, NULL, &err));
	assert_ok(il_store_load(store, "bob", false, NULL, &err));
	assert_ok(metrics_create(&metrics, &err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	il_store_destroy(&store);
	metrics_destroy(&metrics);
	each_folder(rmdir);
	return rmdir(folder);
}

static struct scheduler *create(unsigned workers, unsigned batch, unsigned max_waiting, unsigned max_client)
{
	struct scheduler *scheduler;
	struct scheduler_params params = { .draw = draw,
		                           .info = info,
		                           .store = store,
		                           .workers = workers,
		                           .batch = batch,
		                           .max_waiting = max_waiting,
		                           .max_client = max_client,
		                           .metrics = metrics };
	assert_ok(scheduler_create(&scheduler, &params, &err));
	return scheduler;
}

/* A request on a thread of its own; frames first, first + 1, .. */
struct asked {
	struct scheduler *scheduler;
	const char *avatar, *client;
	unsigned n;
	int64_t first, deadline_ns;
	bool crops;
	atomic_bool cancel;
	pthread_t thread;
	enum inlay_err rc;
	struct inlay_error error;
	int64_t took_ns;
	unsigned wrong; /* mouths */
};

static bool is_cancelled(void *asked)
{
	return ((struct asked *)asked)->cancel;
}

static void *ask(void *arg)
{
	struct asked *a = arg;
	static const uint8_t crop = 7;
	static const float window = 3;
	int64_t *frames = calloc(a->n, sizeof *frames);
	const float **windows = calloc(a->n, sizeof *windows);
	const uint8_t **crops = calloc(a->n, sizeof *crops);
	int32_t *drawn = calloc(a->n, sizeof *drawn);
	uint8_t **mouths = calloc(a->n, sizeof *mouths);
	for (unsigned i = 0; i < a->n; i++) {
		frames[i] = a->first < 0 ? -1 : a->first + i;
		windows[i] = &window;
		crops[i] = &crop;
		mouths[i] = (uint8_t *)&drawn[i];
	}
	struct il_mouths_request request = { .avatar = a->avatar,
		                             .n = a->n,
		                             .frames = frames,
		                             .windows = windows,
		                             .crops = a->crops ? crops : NULL,
		                             .mouths = mouths,
		                             .client = a->client,
		                             .deadline_ns = a->deadline_ns,
		                             .cancelled = is_cancelled,
		                             .cancel_ctx = a };
	struct il_mouths through = scheduler_mouths(a->scheduler);
	int64_t began = il_clock_ns();
	a->rc = through.draw(through.ctx, &request, &a->error);
	a->took_ns = il_clock_ns() - began;
	for (unsigned i = 0; i < a->n && !a->rc; i++)
		a->wrong += drawn[i] != mouth_of(frames[i], window, a->crops ? crop : 0);
	free(frames);
	free(windows);
	free(crops);
	free(drawn);
	free(mouths);
	return NULL;
}

static void start(struct asked *a, struct scheduler *scheduler, const char *avatar, const char *client, unsigned n)
{
	a->scheduler = scheduler;
	a->avatar = avatar;
	a->client = client;
	a->n = n;
	assert_int_equal(pthread_create(&a->thread, NULL, ask, a), 0);
}

static void finish(struct asked *a, enum inlay_err rc)
{
	pthread_join(a->thread, NULL);
	if (a->rc != rc)
		fail_msg("%s, expected %s: %s", inlay_err_name(a->rc), inlay_err_name(rc), a->error.text);
	assert_int_equal(a->error.code, rc);
	assert_int_equal(a->wrong, 0);
}

static void wait_for_frames(struct scheduler *scheduler, unsigned waiting, unsigned drawing)
{
	struct scheduler_stats stats;
	int64_t began = il_clock_ns();
	do {
		usleep(200);
		scheduler_stats(scheduler, &stats);
		assert_true(il_clock_ns() < began + 20000000000);
	} while (stats.waiting != waiting || stats.drawing != drawing);
}

/* Occupies the one worker with a frame of nobody's, until world.hold is false. */
static void block(struct asked *a, struct scheduler *scheduler)
{
	world.hold = true;
	start(a, scheduler, "bob", "blocker", 1);
	wait_for_frames(scheduler, 0, 1);
}

static void assert_metric(const char *line)
{
	struct il_bytes text;
	assert_ok(metrics_text(metrics, &text, &err));
	if (!strstr((char *)text.data, line))
		fail_msg("no \"%s\" in\n%s", line, (char *)text.data);
	il_bytes_destroy(&text);
}

/* --- tests --- */

static void test_draws(void **state)
{
	(void)state;
	struct scheduler *scheduler = create(3, 4, 0, 0);
	struct asked asked[8] = { 0 };
	for (int i = 0; i < 8; i++) {
		asked[i].first = 100 * i;
		asked[i].crops = i % 3 == 0;
		start(&asked[i], scheduler, avatars[i % 2], i % 3 ? "one" : NULL, 1 + 17 * (unsigned)i);
	}
	unsigned frames = 0;
	for (int i = 0; i < 8; i++) {
		finish(&asked[i], INLAY_OK);
		frames += asked[i].n;
	}
	struct scheduler_stats stats;
	scheduler_stats(scheduler, &stats);
	assert_int_equal(stats.frames, frames);
	assert_int_equal(stats.waiting + stats.drawing + stats.clients, 0);
	for (unsigned i = 0; i < world.n; i++)
		assert_true(world.draws[i].n >= 1 && world.draws[i].n <= 4);
	assert_true(world.most_running <= 3);
	struct il_mouths through = scheduler_mouths(scheduler);
	struct il_mouths_info about;
	assert_ok(through.info(through.ctx, "bob", &about, &err));
	assert_int_equal(about.size, 3);
	assert_fails(through.info(through.ctx, "nobody", &about, &err), INLAY_ERR_NOT_FOUND, "nobody");
	struct il_mouths_request bad = { .avatar = "ann" };
	assert_fails(through.draw(through.ctx, &bad, &err), INLAY_ERR_INVALID, "0 frames");
	char line[64];
	snprintf(line, sizeof line, "\ninlay_frames_drawn_total %u\n", frames);
	assert_metric(line);
	assert_metric("\ninlay_queue_frames 0\n");
	assert_metric("\ninlay_queue_seconds_count 8\n");
	scheduler_destroy(&scheduler);
	assert_null(scheduler);
	scheduler_destroy(&scheduler);
}

/* Position in the log of the draw that has `frame` first or last. */
static unsigned position(int64_t frame)
{
	for (unsigned i = 0; i < world.n; i++)
		if (world.draws[i].first == frame || world.draws[i].last == frame)
			return i;
	fail_msg("frame %lld was not drawn", (long long)frame);
	return 0;
}

static void test_fair_between_clients(void **state)
{
	(void)state;
	struct scheduler *scheduler = create(1, 4, 0, 0);
	struct asked blocker = { 0 }, many = { .first = 1000 }, few = { .first = 5000 }, more = { .first = 6000 };
	block(&blocker, scheduler);
	start(&many, scheduler, "ann", "many", 1000);
	wait_for_frames(scheduler, 1000, 1);
	world.frame_us = 200;
	world.hold = false;
	while (count_draws() < 50)
		usleep(100);
	unsigned before = count_draws();
	start(&few, scheduler, "bob", "few", 4);
	finish(&few, INLAY_OK);
	start(&more, scheduler, "bob", "few", 8);
	finish(&more, INLAY_OK);
	finish(&many, INLAY_OK);
	finish(&blocker, INLAY_OK);
	print_message("4 frames behind 1000: drawn %u calls later, after %.1f ms of %.1f\n", position(5000) - before,
	              (double)few.took_ns / 1e6, (double)many.took_ns / 1e6);
	assert_true(position(5000) <= before + 4); /* 2 pieces, and what the machine takes to start a thread */
	assert_true(few.took_ns < many.took_ns / 5);
	/* Two clients with as much each take turns. */
	assert_int_equal(position(6007) - position(6000), 2);
	scheduler_destroy(&scheduler);
}

static void test_earliest_deadline_first(void **state)
{
	(void)state;
	struct scheduler *scheduler = create(1, 1, 0, 0);
	struct asked blocker = { 0 }, asked[4] = { 0 };
	static const int order[4] = { 3, 1, 2, 0 }; /* 0: none */
	block(&blocker, scheduler);
	int64_t now = il_clock_ns();
	for (int i = 0; i < 4; i++) {
		asked[i].first = 10 * (i + 1);
		asked[i].deadline_ns = order[i] ? now + order[i] * INT64_C(100000000000) : 0;
		start(&asked[i], scheduler, "ann", "one", 1);
		wait_for_frames(scheduler, (unsigned)i + 1, 1);
	}
	world.hold = false;
	for (int i = 0; i < 4; i++)
		finish(&asked[i], INLAY_OK);
	finish(&blocker, INLAY_OK);
	static const int64_t expected[] = { 20, 30, 10, 40 };
	for (int i = 0; i < 4; i++)
		assert_int_equal(world.draws[1 + i].first, expected[i]);
	scheduler_destroy(&scheduler);
}

static void test_batches_across_requests(void **state)
{
	(void)state;
	static const char *const clients[] = { "a", "b", "c", "d" };
	struct scheduler *scheduler = create(1, 16, 0, 0);
	struct asked blocker = { 0 }, asked[6] = { 0 };
	block(&blocker, scheduler);
	for (int i = 0; i < 6; i++) {
		asked[i].first = 100 * (i + 1);
		asked[i].crops = i == 5; /* pictures and none do not mix */
		start(&asked[i], scheduler, i == 4 ? "bob" : "ann", clients[i % 4], 2);
		wait_for_frames(scheduler, 2 * (unsigned)i + 2, 1);
	}
	world.hold = false;
	for (int i = 0; i < 6; i++)
		finish(&asked[i], INLAY_OK);
	finish(&blocker, INLAY_OK);
	assert_int_equal(world.n, 4);
	assert_int_equal(world.draws[1].n, 8);
	assert_int_equal(world.draws[1].first, 100);
	assert_int_equal(world.draws[2].n + world.draws[3].n, 4);
	scheduler_destroy(&scheduler);
}

static void test_faults(void **state)
{
	(void)state;
	struct scheduler *scheduler = create(1, 8, 0, 0);
	struct asked blocker = { 0 }, good = { .first = 10 }, bad = { .first = -1 }, other = { .first = 30 };
	struct asked unknown = { 0 }, broken = { 0 };
	block(&blocker, scheduler);
	start(&good, scheduler, "ann", "a", 2);
	wait_for_frames(scheduler, 2, 1);
	start(&bad, scheduler, "ann", "b", 2);
	wait_for_frames(scheduler, 4, 1);
	start(&other, scheduler, "ann", "c", 2);
	wait_for_frames(scheduler, 6, 1);
	world.hold = false;
	finish(&good, INLAY_OK);
	finish(&bad, INLAY_ERR_NOT_FOUND);
	assert_string_equal(bad.error.text, "no such frame");
	finish(&other, INLAY_OK);
	finish(&blocker, INLAY_OK);
	start(&unknown, scheduler, "../ann", NULL, 20);
	finish(&unknown, INLAY_ERR_NOT_FOUND);
	start(&broken, scheduler, "broken", NULL, 1000);
	finish(&broken, INLAY_ERR_FORMAT);
	assert_string_equal(broken.error.text, "broken avatar");
	wait_for_frames(scheduler, 0, 0);
	scheduler_destroy(&scheduler);
}

static void test_limits(void **state)
{
	(void)state;
	struct scheduler *scheduler = create(1, 4, 100, 60);
	struct asked blocker = { 0 }, first = { 0 }, second = { 0 }, third = { 0 }, fourth = { 0 };
	block(&blocker, scheduler);
	start(&first, scheduler, "ann", "a", 50);
	wait_for_frames(scheduler, 50, 1);
	start(&second, scheduler, "ann", "a", 11);
	finish(&second, INLAY_ERR_BUSY);
	start(&third, scheduler, "ann", "b", 50);
	wait_for_frames(scheduler, 100, 1);
	start(&fourth, scheduler, "ann", "c", 1);
	finish(&fourth, INLAY_ERR_BUSY);
	struct scheduler_stats stats;
	scheduler_stats(scheduler, &stats);
	assert_int_equal(stats.refused, 2);
	assert_int_equal(stats.clients, 2);
	world.hold = false;
	finish(&first, INLAY_OK);
	finish(&third, INLAY_OK);
	finish(&blocker, INLAY_OK);
	assert_metric("inlay_refused_total{reason=\"client\"} 1\n");
	assert_metric("inlay_refused_total{reason=\"queue\"} 1\n");
	struct asked large = { 0 };
	start(&large, scheduler, "ann", "a", 1000); /* larger than the limit, alone */
	finish(&large, INLAY_OK);
	scheduler_destroy(&scheduler);
}

static void test_deadlines(void **state)
{
	(void)state;
	struct scheduler *scheduler = create(1, 4, 0, 0);
	struct asked warm = { 0 }, many = { .first = 1000 }, hopeless = { 0 }, easy = { 0 },
		     past = { .deadline_ns = 1 };
	world.frame_us = 2000;
	assert_int_equal(scheduler_retry_ms(scheduler), 100);
	start(&warm, scheduler, "ann", "a", 20);
	finish(&warm, INLAY_OK);
	start(&many, scheduler, "ann", "a", 1000);
	wait_for_frames(scheduler, 996, 4);
	assert_in_range(scheduler_retry_ms(scheduler), 1500, 30000);

	hopeless.deadline_ns = il_clock_ns() + 200000000; /* 500 frames take 1 s, of one that takes turns 2 s */
	start(&hopeless, scheduler, "bob", "b", 500);
	finish(&hopeless, INLAY_ERR_BUSY);
	assert_true(hopeless.took_ns < 150000000);
	easy.deadline_ns = il_clock_ns() + 10000000000;
	start(&easy, scheduler, "bob", "b", 8);
	finish(&easy, INLAY_OK);
	start(&past, scheduler, "bob", "b", 8);
	finish(&past, INLAY_ERR_TIMEOUT);
	assert_metric("inlay_refused_total{reason=\"deadline\"} 1\n");
	many.cancel = true;
	finish(&many, INLAY_ERR_CANCELLED);
	scheduler_destroy(&scheduler);
}

static void test_late(void **state)
{
	(void)state;
	struct scheduler *scheduler = create(1, 4, 0, 0);
	struct asked late = { .deadline_ns = il_clock_ns() + 150000000 };
	world.frame_us = 10000; /* not known to the scheduler yet */
	start(&late, scheduler, "ann", "a", 100);
	finish(&late, INLAY_ERR_TIMEOUT);
	assert_true(late.took_ns >= 100000000 && late.took_ns < 900000000);
	struct scheduler_stats stats;
	scheduler_stats(scheduler, &stats);
	assert_int_equal(stats.waiting, 0);
	assert_true(stats.late > 50 && stats.late <= 100);
	scheduler_destroy(&scheduler);
}

static void test_cancel(void **state)
{
	(void)state;
	struct scheduler *scheduler = create(1, 4, 0, 0);
	struct asked blocker = { 0 }, waiting = { .first = 100 }, after = { .first = 200 };
	block(&blocker, scheduler);
	start(&waiting, scheduler, "ann", "a", 50);
	wait_for_frames(scheduler, 50, 1);
	waiting.cancel = true;
	finish(&waiting, INLAY_ERR_CANCELLED);
	wait_for_frames(scheduler, 0, 1);
	world.hold = false;
	start(&after, scheduler, "ann", "a", 1);
	finish(&after, INLAY_OK);
	finish(&blocker, INLAY_OK);
	assert_int_equal(world.n, 2);
	scheduler_destroy(&scheduler);
}

static void *open_gate(void *arg)
{
	(void)arg;
	usleep(100000);
	world.hold = false;
	return NULL;
}

static void test_stop(void **state)
{
	(void)state;
	struct scheduler *scheduler = create(2, 4, 0, 0);
	struct asked asked = { .first = 10 }, refused = { 0 };
	pthread_t gate;
	world.hold = true;
	start(&asked, scheduler, "ann", "a", 100);
	wait_for_frames(scheduler, 92, 8);
	pthread_create(&gate, NULL, open_gate, NULL);
	scheduler_stop(scheduler, 20000); /* what is there is drawn */
	pthread_join(gate, NULL);
	finish(&asked, INLAY_OK);
	start(&refused, scheduler, "ann", "a", 1);
	finish(&refused, INLAY_ERR_BUSY);
	assert_metric("inlay_refused_total{reason=\"stopping\"} 1\n");
	scheduler_destroy(&scheduler);

	scheduler = create(1, 4, 0, 0);
	world.hold = true;
	start(&asked, scheduler, "ann", "a", 100);
	wait_for_frames(scheduler, 96, 4);
	pthread_create(&gate, NULL, open_gate, NULL);
	scheduler_stop(scheduler, 20);
	pthread_join(gate, NULL);
	finish(&asked, INLAY_ERR_CANCELLED);
	scheduler_destroy(&scheduler);
}

static void test_loading_holds_up_nobody_else(void **state)
{
	(void)state;
	struct scheduler *scheduler = create(4, 4, 0, 0);
	struct asked slow[6] = { 0 }, quick = { 0 };
	world.load_us = 600000;
	for (int i = 0; i < 6; i++) {
		slow[i].first = 100;
		start(&slow[i], scheduler, i < 3 ? "slow" : avatars[i + 1], "a", 100);
	}
	wait_for_frames(scheduler, 592, 8); /* half of the workers load */
	start(&quick, scheduler, "ann", "b", 40);
	finish(&quick, INLAY_OK);
	for (int i = 0; i < 6; i++)
		finish(&slow[i], INLAY_OK);
	print_message("beside loads of 600 ms: %.1f ms\n", (double)quick.took_ns / 1e6);
	assert_true(quick.took_ns < 400000000);
	for (int i = 0; i < 6; i++) /* four loads, two at a time */
		assert_true(slow[i].took_ns < 1700000000);
	scheduler_destroy(&scheduler);
}

static void *ask_often(void *arg)
{
	struct asked *a = arg;
	unsigned seed = 1 + a->n;
	for (int i = 0; i < 60; i++) {
		seed = seed * 1103515245 + 12345;
		a->n = 1 + (seed >> 16) % 12;
		a->avatar = avatars[(seed >> 20) % 3];
		a->deadline_ns = i % 5 ? 0 : il_clock_ns() + (seed >> 10) % 20000000;
		a->cancel = i % 7 == 0;
		a->error = (struct inlay_error){ 0 };
		ask(a);
		if (a->rc && a->rc != INLAY_ERR_CANCELLED && a->rc != INLAY_ERR_TIMEOUT && a->rc != INLAY_ERR_BUSY)
			a->wrong++;
	}
	return NULL;
}

static void test_many_clients(void **state)
{
	(void)state;
	static const char *const clients[] = { "a", "b", "c", NULL };
	struct scheduler *scheduler = create(3, 4, 60, 30);
	struct asked asked[8] = { 0 };
	world.frame_us = 50;
	for (unsigned i = 0; i < 8; i++) {
		asked[i] = (struct asked){ .scheduler = scheduler, .client = clients[i % 4], .n = i, .first = i * 50 };
		pthread_create(&asked[i].thread, NULL, ask_often, &asked[i]);
	}
	for (int i = 0; i < 20; i++) {
		struct inlay_error error = { 0 };
		assert_int_equal(il_store_unload(store, avatars[i % 3], &error), INLAY_OK);
		assert_in_range(scheduler_retry_ms(scheduler), 100, 30000);
		usleep(2000);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(asked[i].thread, NULL);
		assert_int_equal(asked[i].wrong, 0);
	}
	wait_for_frames(scheduler, 0, 0);
	scheduler_destroy(&scheduler);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_draws, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fair_between_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(test_earliest_deadline_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_batches_across_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadlines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loading_holds_up_nobody_else, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_clients, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
