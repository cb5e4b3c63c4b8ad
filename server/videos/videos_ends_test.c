/* Videos whose server stops, crashes or is killed: nothing accepted is lost. */
#include "server/videos/videos_fake_test.h"

static void a_stop_keeps_what_is_under_way(void **state)
{
	(void)state;
	struct videos *videos = open_videos();
	struct video video;
	atomic_store(&app.hold, true);
	struct video a = place(videos, "anna", 1), b = place(videos, "anna", 2), c = place(videos, "anna", 3);
	wait_for(videos, b.id, VIDEO_IN_PROGRESS);
	videos_stop(videos, 20);
	assert_fails(try_order(videos, "anna", 3, "you", NULL, &video, &err), INLAY_ERR_BUSY, "stopping");
	assert_ok(videos_find(videos, a.id, &video, &err));
	assert_int_equal(video.state, VIDEO_QUEUED);
	videos_close(&videos);
	atomic_store(&app.hold, false);
	videos = open_videos();
	wait_for(videos, a.id, VIDEO_COMPLETED);
	wait_for(videos, b.id, VIDEO_COMPLETED);
	wait_for(videos, c.id, VIDEO_COMPLETED);
	/* A stop with time lets them end. */
	atomic_store(&app.hold, true);
	a = place(videos, "anna", 1);
	wait_for(videos, a.id, VIDEO_IN_PROGRESS);
	atomic_store(&app.hold, false);
	videos_stop(videos, 60000);
	assert_ok(videos_find(videos, a.id, &video, &err));
	assert_int_equal(video.state, VIDEO_COMPLETED);
	videos_close(&videos);
}

/* Takes orders until there are two, and is killed in the midst of them. */
static int serve_and_die(void)
{
	struct videos *videos = NULL;
	struct video video;
	struct inlay_error fault = { 0 };
	struct videos_stats stats;
	atomic_store(&app.hold, true);
	if (videos_open(&videos, &app, folder, &fault))
		return 1;
	videos_stats(videos, &stats);
	for (int64_t i = stats.queued + stats.in_progress; i < 2; i++)
		if (try_order(videos, "anna", (unsigned)i, "me", NULL, &video, &fault))
			return 2;
	while (atomic_load(&app.now) < 2)
		usleep(1000);
	return kill(getpid(), SIGKILL);
}

static void a_crash_loses_nothing(void **state)
{
	(void)state;
	struct video list[4];
	size_t n = 4;
	assert_int_equal(in_process(serve_and_die), SIGKILL);
	assert_int_equal(in_process(serve_and_die), SIGKILL);
	struct videos *videos = open_videos();
	assert_ok(videos_list(videos, NULL, list, &n, &err));
	assert_int_equal(n, 2);
	wait_for(videos, list[0].id, VIDEO_COMPLETED);
	wait_for(videos, list[1].id, VIDEO_COMPLETED);
	videos_close(&videos);
}

/* Tells of each order that was accepted, until somebody ends it. */
static int serve_for_ever(int told)
{
	struct videos *videos = NULL;
	struct inlay_error fault = { 0 };
	if (videos_open(&videos, &app, folder, &fault))
		return 1;
	for (unsigned i = 0;; i++) {
		struct video video;
		if (try_order(videos, "anna", i, "me", NULL, &video, &fault) ||
		    write(told, video.id, sizeof video.id) != sizeof video.id)
			return 2;
	}
}

static void *stop_slowly(void *ctx)
{
	videos_stop(ctx, 60000);
	return NULL;
}

/* A stop that was not waited for: it is ended while it drains. */
static int serve_and_be_stopped(void)
{
	struct videos *videos = NULL;
	struct video video;
	struct inlay_error fault = { 0 };
	struct videos_stats stats;
	pthread_t stopper;
	atomic_store(&app.hold, true);
	if (videos_open(&videos, &app, folder, &fault))
		return 1;
	videos_stats(videos, &stats);
	if (!(stats.queued + stats.in_progress) && try_order(videos, "anna", 1, "me", NULL, &video, &fault))
		return 2;
	while (atomic_load(&app.now) < 1)
		usleep(1000);
	if (pthread_create(&stopper, NULL, stop_slowly, videos))
		return 3;
	for (bool stopping = false; !stopping; usleep(1000)) {
		pthread_mutex_lock(&videos->lock);
		stopping = videos->stopping;
		pthread_mutex_unlock(&videos->lock);
	}
	return kill(getpid(), SIGKILL);
}

static void stops_that_are_cut_short_are_no_crashes(void **state)
{
	(void)state;
	struct video list[2];
	size_t n = 2;
	for (int i = 0; i < 4; i++)
		assert_int_equal(in_process(serve_and_be_stopped), SIGKILL);
	struct videos *videos = open_videos();
	assert_ok(videos_list(videos, NULL, list, &n, &err));
	assert_int_equal(n, 1);
	wait_for(videos, list[0].id, VIDEO_COMPLETED);
	videos_close(&videos);
}

/* Its decoder takes two seconds. */
static void *order_slowly(void *ctx)
{
	struct same *slow = ctx;
	struct inlay_error fault = { 0 };
	char path[1200];
	snprintf(path, sizeof path, "%s-slow-%p", folder, ctx);
	const struct video_order order = { .avatar = "anna", .audio_path = path };
	il_file_write(path, "slow", 4, true, &fault);
	slow->rc = videos_order(slow->videos, &order, &slow->video, &fault);
	unlink(path);
	return NULL;
}

static void orders_that_wait_see_the_stop(void **state)
{
	(void)state;
	enum { MORE = 3, MOST = 256 };
	static struct same slow[MOST + MORE];
	pthread_t threads[MOST + MORE];
	unsigned decoding = il_cpu_count(), n = decoding + MORE, busy = 0, accepting = 0;
	if (decoding > MOST)
		skip();
	app.config.limits.jobs = 1000;
	struct videos *videos = open_videos();
	for (unsigned i = 0; i < n; i++) {
		slow[i].videos = videos;
		assert_int_equal(pthread_create(&threads[i], NULL, order_slowly, &slow[i]), 0);
	}
	for (; accepting < n; usleep(1000)) {
		pthread_mutex_lock(&videos->lock);
		accepting = videos->accepting;
		pthread_mutex_unlock(&videos->lock);
	}
	videos_stop(videos, 0);
	for (unsigned i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		assert_true(slow[i].rc == INLAY_ERR_BUSY || slow[i].rc == INLAY_ERR_FORMAT);
		busy += slow[i].rc == INLAY_ERR_BUSY;
	}
	assert_true(busy >= MORE);
	videos_close(&videos);
}

static void what_was_accepted_is_rendered_whenever_the_server_dies(void **state)
{
	(void)state;
	static char ids[1000][sizeof((struct video *)0)->id];
	size_t n = 0;
	for (int i = 0; i < 2; i++) {
		int ends[2];
		assert_int_equal(pipe(ends), 0);
		fflush(NULL);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			syscall(SYS_exit_group, serve_for_ever(ends[1]));
		close(ends[1]);
		for (size_t until = n + 4; n < until; n++)
			assert_int_equal(read(ends[0], ids[n], sizeof *ids), sizeof *ids);
		usleep(test_random() % 20000);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		for (; read(ends[0], ids[n], sizeof *ids) > 0; n++)
			;
		close(ends[0]);
	}
	struct videos *videos = open_videos();
	for (size_t i = 0; i < n; i++) {
		struct video video = wait_for(videos, ids[i], VIDEO_COMPLETED);
		assert_int_equal(video.bytes, 4044);
		assert_true(there(ids[i], "mp4"));
	}
	videos_close(&videos);
}

static void what_crashes_thrice_has_failed(void **state)
{
	(void)state;
	struct video list[4];
	size_t n = 4;
	for (int i = 0; i < 3; i++)
		assert_int_equal(in_process(serve_and_die), SIGKILL);
	struct videos *videos = open_videos();
	assert_ok(videos_list(videos, NULL, list, &n, &err));
	assert_int_equal(n, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(list[i].state, VIDEO_FAILED);
		assert_non_null(strstr(list[i].error, "ended unexpectedly"));
		assert_false(there(list[i].id, "wav"));
	}
	videos_close(&videos);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], INTAKE_COMMAND) && slow_child())
		return INLAY_ERR_FORMAT;
	if (argc > 1 && !strcmp(argv[1], INTAKE_COMMAND))
		return intake_child_main(argc - 1, argv + 1);
	const struct CMUnitTest tests[] = {
		TEST(a_stop_keeps_what_is_under_way),
		TEST(a_crash_loses_nothing),
		TEST(stops_that_are_cut_short_are_no_crashes),
		TEST(orders_that_wait_see_the_stop),
		TEST(what_was_accepted_is_rendered_whenever_the_server_dies),
		TEST(what_crashes_thrice_has_failed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
