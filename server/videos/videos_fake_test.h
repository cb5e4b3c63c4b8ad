/* Videos of an app that pretends to render, and what tests of them share. */
#ifndef SERVER_VIDEOS_FAKE_TEST_H
#define SERVER_VIDEOS_FAKE_TEST_H

#include "server/videos/videos.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "server/intake.h"
#include "server/videos/videos_impl.h"
#include "tests/test.h"

static struct inlay_error err;

/* ---- the app ---- */

struct app {
	struct server_config config;
	atomic_bool stopping, hold; /* hold: renders go on at 10 of 50 frames until it ends */
	atomic_int busy;            /* so many renders are refused */
	atomic_int renders, most, now;
};
static struct app app;

const struct server_config *app_config(const struct app *a)
{
	return &a->config;
}

bool app_stopping(const struct app *a)
{
	return atomic_load(&a->stopping);
}

int64_t app_retry_ms(struct app *a)
{
	(void)a;
	return 10;
}

static enum inlay_err pretend(struct app *a, const struct app_render *r, struct inlay_error *fault)
{
	int left = atomic_fetch_sub(&a->busy, 1);
	if (left > 0) /* or whoever draws is not there */
		return il_fail(fault, left % 2 ? INLAY_ERR_BUSY : INLAY_ERR_UNAVAILABLE, "refused");
	while (atomic_load(&a->hold)) {
		if (!r->progress(r->progress_ctx, 10, 50))
			return il_fail(fault, INLAY_ERR_CANCELLED, "cancelled");
		usleep(2000);
	}
	if (!r->progress(r->progress_ctx, 25, 50))
		return il_fail(fault, INLAY_ERR_CANCELLED, "cancelled");
	if (!strcmp(r->params.avatar, "broken"))
		return il_fail(fault, INLAY_ERR_FORMAT, "%s/broken/\xff\n: caf\xc3\xa9", a->config.avatars);
	if (!strcmp(r->params.avatar, "none"))
		return il_fail(fault, INLAY_ERR_NOT_FOUND, "none: no such avatar for %s", r->params.audio);
	struct il_bytes sound;
	enum inlay_err rc = il_file_read(r->params.audio, 1 << 20, &sound, fault);
	if (!rc)
		rc = il_file_write(r->params.output, sound.data, sound.size, r->params.overwrite, fault);
	il_bytes_destroy(&sound);
	return rc;
}

enum inlay_err app_render(struct app *a, const struct app_render *r, struct inlay_lipsync_stats *stats,
                          struct inlay_error *fault)
{
	int now = atomic_fetch_add(&a->now, 1) + 1, most = atomic_load(&a->most);
	while (now > most && !atomic_compare_exchange_weak(&a->most, &most, now))
		;
	atomic_fetch_add(&a->renders, 1);
	enum inlay_err rc = pretend(a, r, fault);
	stats->frames = 50;
	atomic_fetch_sub(&a->now, 1);
	return rc;
}

/* ---- help ---- */

static char folder[1024];

static void clear_folder(void)
{
	char command[1200];
	snprintf(command, sizeof command, "rm -rf '%s'", folder);
	assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "%s", test_scratch("state/deep"));
	clear_folder();
	memset(&app, 0, sizeof app);
	app.config.limits = (struct server_limits){
		.upload_bytes = 1 << 20, .audio_s = 60, .jobs = 100, .renders = 2, .keep_h = 168
	};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	clear_folder();
	return 0;
}

static struct videos *open_videos(void)
{
	struct videos *videos = NULL;
	assert_ok(videos_open(&videos, &app, folder, &err));
	return videos;
}

/* A quarter of a second at 8 kHz, another for each seed. */
static void write_upload(const char *path, unsigned seed)
{
	uint8_t wav[44 + 4000] = "RIFF____WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\20\0data\xa0\x0f\0\0";
	for (size_t i = 44; i < sizeof wav; i++)
		wav[i] = (uint8_t)(seed * 31 + i * (seed + 7));
	FILE *file = fopen(path, "wb");
	if (file) {
		fwrite(wav, 1, sizeof wav, file);
		fclose(file);
	}
}

static enum inlay_err try_order(struct videos *videos, const char *avatar, unsigned seed, const char *client,
                                const char *key, struct video *video, struct inlay_error *fault)
{
	static atomic_int number;
	char path[1100];
	snprintf(path, sizeof path, "%s-upload-%d", folder, atomic_fetch_add(&number, 1));
	write_upload(path, seed);
	const struct video_order order = { .avatar = avatar,
		                           .audio_path = path,
		                           .audio_name = "speech.wav",
		                           .client = client,
		                           .idempotency_key = key };
	enum inlay_err rc = videos_order(videos, &order, video, fault);
	unlink(path);
	return rc;
}

static struct video place(struct videos *videos, const char *avatar, unsigned seed)
{
	struct video video;
	assert_ok(try_order(videos, avatar, seed, "me", NULL, &video, &err));
	return video;
}

static struct video wait_for(struct videos *videos, const char *id, enum video_state state)
{
	struct video video;
	for (int i = 0; i < 10000; i++) {
		assert_ok(videos_find(videos, id, &video, &err));
		if (video.state == state)
			return video;
		usleep(2000);
	}
	fail_msg("%s is %s: %s", id, video_state_name(video.state), video.error);
	return video;
}

static bool there(const char *id, const char *extension)
{
	char path[1200];
	snprintf(path, sizeof path, "%s/videos/%s.%s", folder, id, extension);
	return il_path_exists(path);
}

/* An order that a thread makes, and what comes of it. */
struct same {
	struct videos *videos;
	struct video video;
	enum inlay_err rc;
};

/* Runs `act` in a process of its own and returns its status. */
static int in_process(int (*act)(void))
{
	int status = -1;
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		syscall(SYS_exit_group, act());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int slow_child(void)
{
	char text[5] = "";
	if (pread(3, text, 4, 0) != 4 || strcmp(text, "slow"))
		return 0;
	usleep(2000000);
	return INLAY_ERR_FORMAT;
}

#endif
