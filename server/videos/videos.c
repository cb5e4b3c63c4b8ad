#include "server/videos/videos.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "server/videos/videos_impl.h"

/* A decoder that a killed server was about to start holds the folder's lock until it has begun. */
#define LOCK_MS 3000

const char *video_state_name(enum video_state state)
{
	static const char *const names[] = { "queued", "in_progress", "completed", "failed" };
	return state >= VIDEO_QUEUED && state <= VIDEO_FAILED ? names[state] : "unknown";
}

int64_t video_clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void videos_wait(struct videos *videos, int64_t ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	int64_t ns = until.tv_nsec + (ms % 1000) * 1000000;
	until.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
	until.tv_nsec = (long)(ns % 1000000000);
	pthread_cond_timedwait(&videos->changed, &videos->lock, &until);
}

/* ---- opening ---- */

static enum inlay_err take_folder(struct videos *videos, const char *state, struct inlay_error *err)
{
	videos->folder = il_path_join(state, "videos");
	if (!videos->folder)
		return il_fail_memory(err);
	enum inlay_err rc = il_path_make_folders(videos->folder, err);
	if (rc)
		return rc;
	videos->folder_fd = open(videos->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (videos->folder_fd < 0)
		return il_fail_errno(err, "%s: cannot be opened", videos->folder);
	int64_t deadline_ns = il_clock_ns() + LOCK_MS * INT64_C(1000000);
	while (flock(videos->folder_fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK && il_clock_ns() < deadline_ns)
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	if (flock(videos->folder_fd, LOCK_EX | LOCK_NB) == 0)
		return INLAY_OK;
	if (errno == EWOULDBLOCK)
		return il_fail(err, INLAY_ERR_IO, "%s: another server uses it (--state DIR gives this one another)",
		               videos->folder);
	return il_fail_errno(err, "%s: cannot be locked", videos->folder);
}

static enum inlay_err open_table(struct videos *videos, const char *state, struct inlay_error *err)
{
	char *path = il_path_join(state, "videos.db");
	if (!path)
		return il_fail_memory(err);
	enum inlay_err rc = table_open(&videos->table, path, err);
	free(path);
	if (!rc)
		rc = table_recover(videos->table, video_clock_ms(), err);
	return rc ? rc : videos_sweep(videos, err);
}

static enum inlay_err make_lock(struct videos *videos, struct inlay_error *err)
{
	int failed = !il_cond_init(&videos->changed);
	if (!failed && pthread_mutex_init(&videos->lock, NULL)) {
		pthread_cond_destroy(&videos->changed);
		failed = 1;
	}
	videos->has_lock = !failed;
	return failed ? il_fail_memory(err) : INLAY_OK;
}

static enum inlay_err start_threads(struct videos *videos, struct inlay_error *err)
{
	unsigned renders = app_config(videos->app)->limits.renders;
	unsigned n = renders ? renders : 1;
	videos->runs = calloc(n, sizeof *videos->runs);
	if (!videos->runs)
		return il_fail_memory(err);
	int failed = pthread_create(&videos->keeper, NULL, video_keeper, videos);
	videos->keeper_started = !failed;
	videos->n_runs = n;
	for (unsigned i = 0; i < n && !failed; i++) {
		videos->runs[i].videos = videos;
		failed = pthread_create(&videos->runs[i].thread, NULL, video_worker, &videos->runs[i]);
		videos->runs[i].started = !failed;
	}
	errno = failed;
	return failed ? il_fail_errno(err, "no threads for videos") : INLAY_OK;
}

enum inlay_err videos_open(struct videos **out, struct app *app, const char *state, struct inlay_error *err)
{
	*out = NULL;
	struct videos *videos = calloc(1, sizeof *videos);
	if (!videos)
		return il_fail_memory(err);
	videos->app = app;
	videos->folder_fd = -1;
	enum inlay_err rc = make_lock(videos, err);
	if (!rc)
		rc = take_folder(videos, state, err);
	if (!rc)
		rc = open_table(videos, state, err);
	if (!rc)
		rc = start_threads(videos, err);
	if (rc)
		videos_close(&videos);
	*out = videos;
	return rc;
}

/* ---- closing ---- */

static bool any_busy(const struct videos *videos)
{
	for (unsigned i = 0; i < videos->n_runs; i++)
		if (videos->runs[i].busy)
			return true;
	return false;
}

/* However the process ends now, the videos in progress are not to blame. */
static void begin_stop(struct videos *videos)
{
	struct inlay_error err = { 0 };
	if (!videos->stopping && videos->table && table_uncount(videos->table, &err))
		il_log_warn("%s", err.text);
	videos->stopping = true;
	pthread_cond_broadcast(&videos->changed);
}

void videos_stop(struct videos *videos, int64_t timeout_ms)
{
	int64_t deadline_ns = il_clock_ns() + timeout_ms * 1000000;
	pthread_mutex_lock(&videos->lock);
	begin_stop(videos);
	for (int64_t left; any_busy(videos) && (left = deadline_ns - il_clock_ns()) > 0;)
		videos_wait(videos, left / 1000000 + 1);
	for (unsigned i = 0; i < videos->n_runs; i++)
		atomic_store(&videos->runs[i].cancel, true);
	while (any_busy(videos))
		pthread_cond_wait(&videos->changed, &videos->lock);
	pthread_mutex_unlock(&videos->lock);
}

static void join_threads(struct videos *videos)
{
	for (unsigned i = 0; i < videos->n_runs; i++)
		if (videos->runs[i].started)
			pthread_join(videos->runs[i].thread, NULL);
	if (videos->keeper_started)
		pthread_join(videos->keeper, NULL);
}

void videos_close(struct videos **slot)
{
	struct videos *videos = *slot;
	if (!videos)
		return;
	*slot = NULL;
	if (videos->has_lock) {
		videos_stop(videos, 0);
		join_threads(videos);
		pthread_mutex_destroy(&videos->lock);
		pthread_cond_destroy(&videos->changed);
	}
	table_close(&videos->table);
	if (videos->folder_fd >= 0)
		close(videos->folder_fd);
	free(videos->runs);
	free(videos->folder);
	free(videos);
}

/* ---- questions ---- */

static enum inlay_err fail_unknown(struct inlay_error *err)
{
	return il_fail(err, INLAY_ERR_NOT_FOUND, "no such video");
}

static struct run *run_of(struct videos *videos, const char *id)
{
	for (unsigned i = 0; i < videos->n_runs; i++)
		if (videos->runs[i].busy && !strcmp(videos->runs[i].id, id))
			return &videos->runs[i];
	return NULL;
}

/* What is known here and not yet in the table. */
static void add_progress(struct videos *videos, struct video *video)
{
	struct run *run = video->state == VIDEO_IN_PROGRESS ? run_of(videos, video->id) : NULL;
	if (!run)
		return;
	video->frames_done = atomic_load(&run->done);
	video->frames_expected = atomic_load(&run->expected);
}

enum inlay_err videos_find(struct videos *videos, const char *id, struct video *video, struct inlay_error *err)
{
	struct table_row row;
	if (!video_id_valid(id))
		return fail_unknown(err);
	pthread_mutex_lock(&videos->lock);
	enum inlay_err rc = table_find(videos->table, id, &row, err);
	if (!rc)
		add_progress(videos, &row.video);
	pthread_mutex_unlock(&videos->lock);
	if (!rc)
		*video = row.video;
	return rc;
}

enum inlay_err videos_list(struct videos *videos, const char *before, struct video *list, size_t *n,
                           struct inlay_error *err)
{
	if (before && !video_id_valid(before)) {
		*n = 0;
		return fail_unknown(err);
	}
	pthread_mutex_lock(&videos->lock);
	enum inlay_err rc = table_list(videos->table, before, list, n, err);
	for (size_t i = 0; i < *n; i++)
		add_progress(videos, &list[i]);
	pthread_mutex_unlock(&videos->lock);
	return rc;
}

enum inlay_err videos_content(struct videos *videos, const char *id, char **path, struct inlay_error *err)
{
	struct video video;
	*path = NULL;
	enum inlay_err rc = videos_find(videos, id, &video, err);
	if (rc)
		return rc;
	if (video.state != VIDEO_COMPLETED)
		return il_fail(err, INLAY_ERR_INVALID, "%s is %s; there is a file once it is completed", id,
		               video_state_name(video.state));
	*path = video_path(videos, id, video.format);
	if (!*path)
		return il_fail_memory(err);
	if (il_path_exists(*path))
		return INLAY_OK;
	free(*path);
	*path = NULL;
	return il_fail(err, INLAY_ERR_NOT_FOUND, "%s: its file is gone", id);
}

enum inlay_err videos_delete(struct videos *videos, const char *id, struct inlay_error *err)
{
	struct table_row row;
	if (!video_id_valid(id))
		return fail_unknown(err);
	pthread_mutex_lock(&videos->lock);
	enum inlay_err rc = table_find(videos->table, id, &row, err);
	if (!rc)
		rc = table_remove(videos->table, id, err);
	struct run *run = rc ? NULL : run_of(videos, id);
	if (run) {
		run->removed = true;
		atomic_store(&run->cancel, true);
	} else if (!rc) {
		video_remove_files(videos, &row.video, true);
	}
	pthread_cond_broadcast(&videos->changed);
	pthread_mutex_unlock(&videos->lock);
	return rc;
}

void videos_stats(struct videos *videos, struct videos_stats *stats)
{
	*stats = (struct videos_stats){ 0 };
	pthread_mutex_lock(&videos->lock);
	table_stats(videos->table, stats, NULL);
	pthread_mutex_unlock(&videos->lock);
}
