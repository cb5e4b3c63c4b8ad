/* The threads behind videos: some render, one removes what is old. */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "server/videos/videos_impl.h"

#define IDLE_MS 60000
#define TROUBLE_MS 1000      /* between tries to use a table that fails */
#define WRITTEN_NS 500000000 /* between two notes of progress in the table */
#define REFUSALS 60          /* with the waits between them about an hour */
#define REFUSED_MAX_MS 60000
#define KEEPER_MS 60000
#define HOUR_MS INT64_C(3600000)

/* ---- rendering ---- */

static void note_progress(struct run *run, int64_t done, int64_t expected)
{
	struct videos *videos = run->videos;
	int64_t now = il_clock_ns();
	if (now - run->written_ns < WRITTEN_NS)
		return;
	run->written_ns = now;
	pthread_mutex_lock(&videos->lock);
	if (!run->removed)
		table_progress(videos->table, run->id, done, expected, NULL); /* told again soon, and at the end */
	pthread_mutex_unlock(&videos->lock);
}

static bool progress(void *ctx, int64_t done, int64_t expected)
{
	struct run *run = ctx;
	atomic_store(&run->done, done);
	atomic_store(&run->expected, expected);
	if (atomic_load(&run->cancel))
		return false;
	note_progress(run, done, expected);
	return true;
}

static enum inlay_err render(struct run *run, const struct table_row *row, const char *output,
                             struct inlay_lipsync_stats *stats, struct inlay_error *err)
{
	const struct video *video = &row->video;
	char *audio = video_path(run->videos, video->id, "wav");
	if (!audio)
		return il_fail_memory(err);
	const struct app_render order = {
		.params = { .avatar = video->avatar,
		            .audio = audio,
		            .output = output,
		            .format = video->format,
		            .frames = row->frames,
		            .start_frame = row->start_frame,
		            .crf = row->crf,
		            .overwrite = true },
		.client = row->client,
		.wait = true,
		.progress = progress,
		.progress_ctx = run,
	};
	enum inlay_err rc = app_render(run->videos->app, &order, stats, err);
	free(audio);
	return rc;
}

/* ---- what came of it ---- */

/* Until the table takes it; what a server that stops could not write is rendered again by the next. */
static void finish(struct videos *videos, const struct run *run, const struct video *video)
{
	struct inlay_error err = { 0 };
	while (!run->removed && table_finish(videos->table, video, &err)) {
		il_log_warn("%s", err.text);
		err = (struct inlay_error){ 0 };
		if (videos->stopping)
			return;
		videos_wait(videos, TROUBLE_MS);
	}
	if (!run->removed)
		video_remove_files(videos, video, false);
}

static void complete(struct videos *videos, const struct run *run, struct video *video, const char *output,
                     const struct inlay_lipsync_stats *stats)
{
	struct stat st = { 0 };
	video->bytes = stat(output, &st) == 0 ? (int64_t)st.st_size : 0;
	video->state = VIDEO_COMPLETED;
	video->frames_done = video->frames_expected = stats->frames;
	finish(videos, run, video);
}

/* Clients need not know where the server keeps its files. A folder's name that is not from the root may be any word,
 * and is hidden where a path begins with it. */
static void hide_folder(const char *folder, char *text)
{
	size_t length = folder ? strlen(folder) : 0;
	while (length && folder[length - 1] == '/')
		length--;
	for (char *at = text; length && (at = memmem(at, strlen(at), folder, length));) {
		size_t size = length + (at[length] == '/');
		bool path = *folder == '/' || (size > length && (at == text || strchr(" '\"(", at[-1])));
		if (path)
			memmove(at, at + size, strlen(at + size) + 1);
		at += path ? *at != 0 : (long)length;
	}
}

static void fail(struct videos *videos, const struct run *run, struct video *video, const struct inlay_error *err)
{
	video->state = VIDEO_FAILED;
	video->frames_done = atomic_load(&run->done);
	video->frames_expected = atomic_load(&run->expected);
	char text[INLAY_ERROR_TEXT];
	snprintf(text, sizeof text, "%s", *err->text ? err->text : inlay_err_name(err->code));
	hide_folder(videos->folder, text);
	hide_folder(app_config(videos->app)->avatars, text);
	snprintf(video->error, sizeof video->error, "%s", text);
	table_clean_text(video->error);
	finish(videos, run, video);
}

static void give_back(struct videos *videos, const struct table_row *row, bool refused)
{
	struct inlay_error err = { 0 };
	int64_t wait_ms = 0;
	if (refused) {
		int64_t asked_ms = app_retry_ms(videos->app);
		wait_ms = TROUBLE_MS << (row->refusals < 6 ? row->refusals : 6);
		wait_ms = wait_ms > asked_ms ? wait_ms : asked_ms;
		wait_ms = wait_ms < REFUSED_MAX_MS ? wait_ms : REFUSED_MAX_MS;
	}
	/* In progress it stays in the table otherwise, until the next start. */
	if (table_return(videos->table, row, video_clock_ms() + wait_ms, refused, &err))
		il_log_warn("%s", err.text);
}

/* It is not the order's fault. */
static bool worth_another_try(enum inlay_err rc)
{
	return rc == INLAY_ERR_BUSY || rc == INLAY_ERR_CANCELLED || rc == INLAY_ERR_UNAVAILABLE;
}

static void settle(struct run *run, struct table_row *row, enum inlay_err rc, const char *output,
                   const struct inlay_lipsync_stats *stats, const struct inlay_error *err)
{
	struct videos *videos = run->videos;
	row->video.finished_unix_ms = video_clock_ms();
	if (run->removed)
		; /* its row is gone */
	else if (!rc)
		complete(videos, run, &row->video, output, stats);
	else if (videos->stopping && worth_another_try(rc))
		give_back(videos, row, false);
	else if (row->refusals < REFUSALS && worth_another_try(rc))
		give_back(videos, row, true);
	else
		fail(videos, run, &row->video, err);
	if (run->removed)
		video_remove_files(videos, &row->video, true);
}

/* Called and returns with the lock held; without it while rendering. */
static void work(struct run *run, struct table_row *row)
{
	struct videos *videos = run->videos;
	struct inlay_lipsync_stats stats = { 0 };
	struct inlay_error err = { 0 };
	run->busy = true;
	run->removed = false;
	run->written_ns = il_clock_ns();
	snprintf(run->id, sizeof run->id, "%s", row->video.id);
	atomic_store(&run->cancel, false);
	atomic_store(&run->done, 0);
	atomic_store(&run->expected, -1);
	pthread_mutex_unlock(&videos->lock);

	char *output = video_path(videos, row->video.id, row->video.format);
	enum inlay_err rc = output ? render(run, row, output, &stats, &err) : il_fail_memory(&err);

	pthread_mutex_lock(&videos->lock);
	settle(run, row, rc, output, &stats, &err);
	run->busy = false;
	pthread_cond_broadcast(&videos->changed);
	free(output);
}

/* How long to sleep where nothing was taken. */
static int64_t idle_ms(enum inlay_err rc, int64_t next_ms)
{
	if (rc != INLAY_EOF)
		return TROUBLE_MS;
	if (!next_ms)
		return IDLE_MS;
	int64_t left = next_ms - video_clock_ms();
	return left < 1 ? 1 : left < IDLE_MS ? left : IDLE_MS;
}

void *video_worker(void *ctx)
{
	struct run *run = ctx;
	struct videos *videos = run->videos;
	struct table_row row;
	pthread_mutex_lock(&videos->lock);
	while (!videos->stopping) {
		struct inlay_error err = { 0 };
		int64_t next_ms = 0;
		if (app_stopping(videos->app)) {
			videos_wait(videos, TROUBLE_MS);
			continue;
		}
		enum inlay_err rc = table_take(videos->table, video_clock_ms(), &row, &next_ms, &err);
		if (il_is_fault(rc))
			il_log_warn("%s", err.text);
		if (rc)
			videos_wait(videos, idle_ms(rc, next_ms));
		else
			work(run, &row);
	}
	pthread_mutex_unlock(&videos->lock);
	return NULL;
}

/* ---- what is old ---- */

static enum inlay_err remove_oldest(struct videos *videos, int64_t before_ms, struct inlay_error *err)
{
	struct table_row row;
	enum inlay_err rc = table_oldest(videos->table, before_ms, &row, err);
	if (!rc)
		rc = table_remove(videos->table, row.video.id, err);
	if (!rc)
		video_remove_files(videos, &row.video, true);
	return rc;
}

/* Others get the lock between two videos. */
static void remove_old(struct videos *videos)
{
	unsigned keep_h = app_config(videos->app)->limits.keep_h;
	int64_t before_ms = video_clock_ms() - keep_h * HOUR_MS;
	struct inlay_error err = { 0 };
	enum inlay_err rc = INLAY_OK;
	while (!rc && keep_h && !videos->stopping) {
		rc = remove_oldest(videos, before_ms, &err);
		pthread_mutex_unlock(&videos->lock);
		pthread_mutex_lock(&videos->lock);
	}
	if (il_is_fault(rc))
		il_log_warn("%s", err.text);
}

void *video_keeper(void *ctx)
{
	struct videos *videos = ctx;
	int64_t next_ns = il_clock_ns();
	pthread_mutex_lock(&videos->lock);
	while (!videos->stopping) {
		int64_t left_ms = (next_ns - il_clock_ns()) / 1000000;
		if (left_ms > 0) {
			videos_wait(videos, left_ms);
			continue;
		}
		remove_old(videos);
		next_ns = il_clock_ns() + KEEPER_MS * INT64_C(1000000);
	}
	pthread_mutex_unlock(&videos->lock);
	return NULL;
}
