/* Videos on an app that only pretends to render. Children that decode uploads are this test again. */
#include "server/videos/videos_fake_test.h"

static void wait_gone(const char *id, const char *extension)
{
	for (int i = 0; i < 10000 && there(id, extension); i++)
		usleep(2000);
	assert_false(there(id, extension));
}

static void an_order_becomes_a_video(void **state)
{
	(void)state;
	struct videos *videos = open_videos();
	const char *upload = test_scratch("speech");
	write_upload(upload, 1);
	atomic_store(&app.hold, true);
	const struct video_order order = { .avatar = "anna-2.1",
		                           .audio_path = upload,
		                           .audio_name = "C:\\my\\sp\xc3\xa9\xff\n.wav",
		                           .format = "webm",
		                           .client = "me" };
	struct video video;
	assert_ok(videos_order(videos, &order, &video, &err));
	assert_int_equal(strlen(video.id), 32);
	assert_memory_equal(video.id, "video_", 6);
	assert_int_equal(video.state, VIDEO_QUEUED);
	assert_string_equal(video.audio_name, "sp\xc3\xa9__.wav");
	assert_false(il_path_exists(upload));
	assert_true(there(video.id, "wav"));
	video = wait_for(videos, video.id, VIDEO_IN_PROGRESS);
	while (video.frames_done == 0)
		assert_ok(videos_find(videos, video.id, &video, &err));
	assert_int_equal(video.frames_done, 10);
	assert_int_equal(video.frames_expected, 50);
	char *path = NULL;
	assert_fails(videos_content(videos, video.id, &path, &err), INLAY_ERR_INVALID, "in_progress");
	atomic_store(&app.hold, false);
	video = wait_for(videos, video.id, VIDEO_COMPLETED);
	assert_int_equal(video.bytes, 4044);
	assert_int_equal(video.frames_done, 50);
	assert_true(video.created_unix_ms > 1600000000000 && video.started_unix_ms >= video.created_unix_ms &&
	            video.finished_unix_ms >= video.started_unix_ms);
	assert_ok(videos_content(videos, video.id, &path, &err));
	assert_string_equal(path + strlen(path) - 5, ".webm");
	struct il_bytes bytes;
	assert_ok(il_file_read(path, 1 << 20, &bytes, &err));
	assert_memory_equal(bytes.data, "RIFF", 4);
	il_bytes_destroy(&bytes);
	free(path);
	wait_gone(video.id, "wav");
	struct videos_stats stats;
	videos_stats(videos, &stats);
	assert_true(stats.completed == 1 && stats.queued + stats.in_progress + stats.failed == 0);
	videos_close(&videos);
}

static void a_failure_says_why(void **state)
{
	(void)state;
	struct videos *videos = open_videos();
	struct video video = place(videos, "none", 1);
	video = wait_for(videos, video.id, VIDEO_FAILED);
	char expected[128];
	snprintf(expected, sizeof expected, "none: no such avatar for %s.wav", video.id);
	assert_string_equal(video.error, expected);
	char *path = NULL;
	assert_fails(videos_content(videos, video.id, &path, &err), INLAY_ERR_INVALID, "failed");
	wait_gone(video.id, "wav");
	videos_close(&videos);
}

/* An answer is JSON, and says nothing of where things lie. */
static void a_failure_is_told_in_text(void **state)
{
	(void)state;
	char avatars[] = "/srv/avatars";
	app.config.avatars = avatars;
	struct videos *videos = open_videos();
	struct video video = place(videos, "broken", 1);
	video = wait_for(videos, video.id, VIDEO_FAILED);
	assert_string_equal(video.error, "broken/??: caf\xc3\xa9");
	/* A folder's name may be a word of any text. */
	char dot[] = "./", word[] = "broken";
	app.config.avatars = dot;
	video = wait_for(videos, place(videos, "broken", 1).id, VIDEO_FAILED);
	assert_string_equal(video.error, "/broken/??: caf\xc3\xa9");
	app.config.avatars = word;
	video = wait_for(videos, place(videos, "broken", 1).id, VIDEO_FAILED);
	assert_string_equal(video.error, "broken/??: caf\xc3\xa9");
	videos_close(&videos);
}

static void what_is_no_order_is_refused(void **state)
{
	(void)state;
	struct videos *videos = open_videos();
	struct video video;
	const char *upload = test_scratch("garbage");
	assert_ok(il_file_write(upload, "no sound", 8, true, &err));
	struct video_order order = { .avatar = "anna", .audio_path = upload };
	assert_fails(videos_order(videos, &order, &video, &err), INLAY_ERR_FORMAT, "could not be decoded");
	assert_true(il_path_exists(upload));
	static const char *const avatars[] = { "", ".hidden", "../anna", "a/b", "a b", NULL };
	for (size_t i = 0; i < sizeof avatars / sizeof *avatars; i++) {
		order.avatar = avatars[i];
		assert_fails(videos_order(videos, &order, &video, &err), INLAY_ERR_INVALID, "id of an avatar");
	}
	order.avatar = "anna";
	order.format = "../x";
	assert_fails(videos_order(videos, &order, &video, &err), INLAY_ERR_INVALID, "unknown format \"../x\"");
	order.format = NULL;
	order.crf = 64;
	assert_fails(videos_order(videos, &order, &video, &err), INLAY_ERR_INVALID, "crf 64: expected 0 to 63");
	order.crf = 0;
	order.frames = -1;
	assert_fails(videos_order(videos, &order, &video, &err), INLAY_ERR_INVALID, "must not be negative");
	order.frames = 0;
	app.config.limits.upload_bytes = 7;
	assert_fails(videos_order(videos, &order, &video, &err), INLAY_ERR_INVALID, "more than the 7");
	order.audio_path = "/nowhere";
	assert_fails(videos_order(videos, &order, &video, &err), INLAY_ERR_NOT_FOUND, "/nowhere");
	size_t n = 1;
	assert_ok(videos_list(videos, NULL, &video, &n, &err));
	assert_int_equal(n, 0);
	unlink(upload);
	videos_close(&videos);
}

static void names_are_fit_to_be_shown(void **state)
{
	(void)state;
	static const char *const names[][2] = {
		{ "a.wav", "a.wav" },
		{ "../../a b.wav", "a b.wav" },
		{ "folder/", "" },
		{ "\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "\xc0\xaf\xed\xa0\x80", "_____" },        /* overlong; a surrogate */
		{ "x\xf4\x90\x80\x80\xe2\x82", "x______" }, /* past the last; cut off */
		{ "\t\x7f\x1b[31m", "___[31m" },
	};
	struct videos *videos = open_videos();
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct video video;
		const char *upload = test_scratch("named");
		write_upload(upload, 1);
		const struct video_order order = { .avatar = "anna", .audio_path = upload, .audio_name = names[i][0] };
		assert_ok(videos_order(videos, &order, &video, &err));
		assert_string_equal(video.audio_name, names[i][1]);
	}
	videos_close(&videos);
}

static void ids_of_clients_reach_no_path(void **state)
{
	(void)state;
	struct videos *videos = open_videos();
	static const char *const ids[] = { "",
		                           "video_",
		                           "../../etc/passwd",
		                           "video_../../../../../../etc/pa",
		                           "video_abcdefghijkmnpqrstuvwxyz22x",
		                           "video_abcdefghijkmnpqrstuvwxyz1" };
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		struct video video;
		char *path;
		size_t n = 1;
		assert_fails(videos_find(videos, ids[i], &video, &err), INLAY_ERR_NOT_FOUND, "no such video");
		assert_fails(videos_content(videos, ids[i], &path, &err), INLAY_ERR_NOT_FOUND, "no such video");
		assert_fails(videos_delete(videos, ids[i], &err), INLAY_ERR_NOT_FOUND, "no such video");
		assert_fails(videos_list(videos, ids[i], &video, &n, &err), INLAY_ERR_NOT_FOUND, "no such video");
		assert_int_equal(n, 0);
	}
	videos_close(&videos);
}

static void workers_are_as_many_as_may_be(void **state)
{
	(void)state;
	struct videos *videos = open_videos();
	struct video list[5], seen[8];
	atomic_store(&app.hold, true);
	for (unsigned i = 0; i < 5; i++)
		list[i] = place(videos, "anna", i);
	while (atomic_load(&app.now) < 2)
		usleep(1000);
	struct videos_stats stats;
	videos_stats(videos, &stats);
	assert_true(stats.in_progress == 2 && stats.queued == 3);
	size_t n = 8;
	assert_ok(videos_list(videos, NULL, seen, &n, &err));
	assert_int_equal(n, 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(seen[i].id, list[4 - i].id);
	n = 8;
	assert_ok(videos_list(videos, list[2].id, seen, &n, &err));
	assert_true(n == 2 && !strcmp(seen[0].id, list[1].id));
	atomic_store(&app.hold, false);
	for (unsigned i = 0; i < 5; i++)
		wait_for(videos, list[i].id, VIDEO_COMPLETED);
	assert_int_equal(atomic_load(&app.most), 2);
	videos_close(&videos);
}

static void a_full_queue_is_busy(void **state)
{
	(void)state;
	struct video video;
	app.config.limits.jobs = 2;
	struct videos *videos = open_videos();
	atomic_store(&app.hold, true);
	struct video first = place(videos, "anna", 1);
	place(videos, "anna", 2);
	assert_fails(try_order(videos, "anna", 3, "you", NULL, &video, &err), INLAY_ERR_BUSY,
	             "2 videos are queued or in progress, as many as limits.jobs");
	atomic_store(&app.hold, false);
	wait_for(videos, first.id, VIDEO_COMPLETED);
	place(videos, "anna", 3);
	atomic_store(&app.stopping, true);
	assert_fails(try_order(videos, "anna", 3, "you", NULL, &video, &err), INLAY_ERR_BUSY, "stopping");
	videos_close(&videos);
}

static void a_busy_app_is_asked_again(void **state)
{
	(void)state;
	struct videos *videos = open_videos();
	atomic_store(&app.busy, 2);
	struct video video = place(videos, "anna", 1);
	video = wait_for(videos, video.id, VIDEO_COMPLETED);
	assert_int_equal(atomic_load(&app.renders), 3);
	assert_true(video.finished_unix_ms - video.created_unix_ms >= 1000);
	videos_close(&videos);
}

static void a_key_stands_for_one_order(void **state)
{
	(void)state;
	struct videos *videos = open_videos();
	struct video first, again, other;
	assert_ok(try_order(videos, "anna", 1, "me", "key", &first, &err));
	assert_ok(try_order(videos, "anna", 1, "me", "key", &again, &err));
	assert_string_equal(again.id, first.id);
	assert_ok(try_order(videos, "anna", 1, "you", "key", &other, &err));
	assert_string_not_equal(other.id, first.id);
	assert_fails(try_order(videos, "anna", 2, "me", "key", &again, &err), INLAY_ERR_EXISTS, first.id);
	assert_fails(try_order(videos, "berta", 1, "me", "key", &again, &err), INLAY_ERR_EXISTS, "another order");
	const char *upload = test_scratch("same");
	struct video_order same = { .avatar = "anna", .audio_path = upload, .client = "me", .idempotency_key = "key" };
	write_upload(upload, 1);
	assert_int_equal(videos_same(videos, &same, &again, &err), INLAY_OK);
	assert_string_equal(again.id, first.id);
	same.avatar = "berta";
	assert_fails(videos_same(videos, &same, &again, &err), INLAY_ERR_EXISTS, "another order");
	same.idempotency_key = "new";
	assert_int_equal(videos_same(videos, &same, &again, &err), INLAY_EOF);
	same.idempotency_key = NULL;
	assert_int_equal(videos_same(videos, &same, &again, &err), INLAY_EOF);
	unlink(upload);
	wait_for(videos, first.id, VIDEO_COMPLETED);
	videos_close(&videos);
	videos = open_videos();
	assert_ok(try_order(videos, "anna", 1, "me", "key", &again, &err));
	assert_string_equal(again.id, first.id);
	assert_int_equal(again.state, VIDEO_COMPLETED);
	assert_ok(videos_delete(videos, first.id, &err));
	assert_ok(try_order(videos, "anna", 2, "me", "key", &again, &err));
	assert_string_not_equal(again.id, first.id);
	videos_close(&videos);
}

static void *order_same(void *ctx)
{
	struct same *same = ctx;
	struct inlay_error fault = { 0 };
	same->rc = try_order(same->videos, "anna", 1, "me", "key", &same->video, &fault);
	return NULL;
}

static void one_key_many_times_at_once_is_one_order(void **state)
{
	(void)state;
	struct videos *videos = open_videos();
	struct same same[6];
	pthread_t threads[6];
	for (int i = 0; i < 6; i++) {
		same[i].videos = videos;
		assert_int_equal(pthread_create(&threads[i], NULL, order_same, &same[i]), 0);
	}
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(same[i].rc, INLAY_OK);
		assert_string_equal(same[i].video.id, same[0].video.id);
	}
	struct videos_stats stats;
	videos_stats(videos, &stats);
	assert_int_equal(stats.queued + stats.in_progress + stats.completed, 1);
	videos_close(&videos);
}

static void what_is_deleted_is_gone(void **state)
{
	(void)state;
	app.config.limits.renders = 1;
	struct videos *videos = open_videos();
	struct video video, done = place(videos, "anna", 1);
	wait_for(videos, done.id, VIDEO_COMPLETED);
	atomic_store(&app.hold, true);
	struct video running = place(videos, "anna", 2);
	wait_for(videos, running.id, VIDEO_IN_PROGRESS);
	struct video queued = place(videos, "anna", 3);
	struct video next = place(videos, "anna", 4);
	const char *const ids[] = { done.id, queued.id, running.id };
	for (int i = 0; i < 3; i++) {
		assert_ok(videos_delete(videos, ids[i], &err));
		assert_fails(videos_find(videos, ids[i], &video, &err), INLAY_ERR_NOT_FOUND, "no such video");
		assert_fails(videos_delete(videos, ids[i], &err), INLAY_ERR_NOT_FOUND, "no such video");
		wait_gone(ids[i], "wav");
		wait_gone(ids[i], "mp4");
	}
	/* The worker goes on with the next. */
	wait_for(videos, next.id, VIDEO_IN_PROGRESS);
	atomic_store(&app.hold, false);
	wait_for(videos, next.id, VIDEO_COMPLETED);
	videos_close(&videos);
}

static void run_sql(const char *sql)
{
	char path[1100];
	sqlite3 *db;
	snprintf(path, sizeof path, "%s/videos.db", folder);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void old_videos_go(void **state)
{
	(void)state;
	struct videos *videos = open_videos();
	struct video old = place(videos, "anna", 1), bad = place(videos, "none", 2);
	wait_for(videos, old.id, VIDEO_COMPLETED);
	wait_for(videos, bad.id, VIDEO_FAILED);
	videos_close(&videos);
	run_sql("UPDATE videos SET finished = finished - 169 * 3600000");
	app.config.limits.keep_h = 0; /* for good */
	videos = open_videos();
	struct video kept = place(videos, "anna", 3);
	wait_for(videos, kept.id, VIDEO_COMPLETED);
	assert_true(there(old.id, "mp4"));
	videos_close(&videos);
	app.config.limits.keep_h = 168;
	videos = open_videos();
	wait_gone(old.id, "mp4");
	struct videos_stats stats = { .failed = 1 };
	for (int i = 0; i < 5000 && stats.failed; i++, usleep(2000))
		videos_stats(videos, &stats);
	assert_true(stats.failed == 0 && stats.completed == 1);
	assert_true(there(kept.id, "mp4"));
	videos_close(&videos);
}

static void stray_files_go(void **state)
{
	(void)state;
	struct videos *videos = open_videos();
	struct video video = place(videos, "anna", 1);
	wait_for(videos, video.id, VIDEO_COMPLETED);
	videos_close(&videos);
	static const char lost[] = "video_abcdefghijkmnpqrstuvwxyz23";
	static const char *const extensions[] = { "wav", "wav.part", "mp4", "mp4.part" };
	char path[1200];
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "%s/videos/%s.%s", folder, lost, extensions[i]);
		write_upload(path, 1);
		snprintf(path, sizeof path, "%s/videos/%s.%s", folder, video.id, extensions[i]);
		write_upload(path, 1);
	}
	snprintf(path, sizeof path, "%s/videos/notes.txt", folder);
	write_upload(path, 1);
	videos = open_videos();
	for (int i = 0; i < 4; i++) {
		assert_false(there(lost, extensions[i]));
		assert_int_equal(there(video.id, extensions[i]), i == 2);
	}
	assert_true(il_path_exists(path));
	videos_close(&videos);
}

static void a_folder_serves_one_at_a_time(void **state)
{
	(void)state;
	struct videos *videos = open_videos(), *second = NULL;
	assert_fails(videos_open(&second, &app, folder, &err), INLAY_ERR_IO, "another server uses it (--state DIR");
	assert_null(second);
	videos_close(&videos);
	char path[1100];
	snprintf(path, sizeof path, "%s/videos.db", folder);
	assert_ok(il_file_write(path, "garbage that is no table", 24, true, &err));
	assert_fails(videos_open(&videos, &app, folder, &err), INLAY_ERR_FORMAT, "damaged");
	assert_fails(videos_open(&videos, &app, "/proc/none", &err), INLAY_ERR_NOT_FOUND, "cannot be made");
}

static rlim_t set_file_limit(rlim_t bytes)
{
	struct rlimit limit;
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
	return limit.rlim_cur;
}

/* A limit of file sizes that the table's log reaches before long stands for a disk that is full. */
static int order_until_full(void)
{
	struct videos *videos = NULL;
	struct video video;
	struct inlay_error fault = { 0 };
	struct videos_stats before, after;
	enum inlay_err rc = INLAY_OK;
	signal(SIGXFSZ, SIG_IGN);
	atomic_store(&app.hold, true);
	if (videos_open(&videos, &app, folder, &fault))
		return 1;
	set_file_limit(120000);
	int64_t taken = 0;
	for (unsigned i = 0; i < 50 && !rc; i++, taken += !rc)
		rc = try_order(videos, "anna", i, "me", NULL, &video, &fault);
	if (rc != INLAY_ERR_IO || !strstr(fault.text, "videos.db"))
		return 2;
	videos_stats(videos, &before);
	if (before.queued + before.in_progress != taken)
		return 3;
	set_file_limit(RLIM_INFINITY);
	fault = (struct inlay_error){ 0 };
	if (try_order(videos, "anna", 99, "me", NULL, &video, &fault))
		return 4;
	videos_stats(videos, &after);
	videos_close(&videos);
	return after.queued + after.in_progress == taken + 1 ? 0 : 5;
}

static void a_full_disk_is_an_error_and_no_more(void **state)
{
	(void)state;
	assert_int_equal(in_process(order_until_full), 0);
	app.config.limits.renders = 4;
	struct videos *videos = open_videos();
	struct videos_stats stats = { .queued = 1 };
	for (int i = 0; i < 5000 && stats.queued + stats.in_progress; i++, usleep(2000))
		videos_stats(videos, &stats);
	assert_true(stats.completed > 0 && stats.failed == 0 && stats.queued + stats.in_progress == 0);
	videos_close(&videos);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], INTAKE_COMMAND) && slow_child())
		return INLAY_ERR_FORMAT;
	if (argc > 1 && !strcmp(argv[1], INTAKE_COMMAND))
		return intake_child_main(argc - 1, argv + 1);
	const struct CMUnitTest tests[] = {
		TEST(an_order_becomes_a_video),
		TEST(a_failure_says_why),
		TEST(a_failure_is_told_in_text),
		TEST(what_is_no_order_is_refused),
		TEST(names_are_fit_to_be_shown),
		TEST(ids_of_clients_reach_no_path),
		TEST(workers_are_as_many_as_may_be),
		TEST(a_full_queue_is_busy),
		TEST(a_busy_app_is_asked_again),
		TEST(a_key_stands_for_one_order),
		TEST(one_key_many_times_at_once_is_one_order),
		TEST(what_is_deleted_is_gone),
		TEST(old_videos_go),
		TEST(stray_files_go),
		TEST(a_folder_serves_one_at_a_time),
		TEST(a_full_disk_is_an_error_and_no_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
