/* Taking orders. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/sum.h"
#include "base/utf8.h"
#include "server/intake.h"
#include "server/videos/videos_impl.h"

#define ID_PREFIX "video_"
#define ID_LETTERS 26
#define CRF_MAX 63

static const char alphabet[33] = "abcdefghijkmnpqrstuvwxyz23456789"; /* none to be mistaken for another; 5 bits each */

/* ---- ids ---- */

bool video_id_valid(const char *id)
{
	if (!id || strncmp(id, ID_PREFIX, strlen(ID_PREFIX)))
		return false;
	id += strlen(ID_PREFIX);
	return strspn(id, alphabet) == ID_LETTERS && !id[ID_LETTERS];
}

static enum inlay_err make_id(char *id, size_t size, struct inlay_error *err)
{
	uint8_t random[ID_LETTERS];
	char letters[ID_LETTERS + 1] = "";
	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return il_fail_errno(err, "no random numbers");
	for (int i = 0; i < ID_LETTERS; i++)
		letters[i] = alphabet[random[i] % 32];
	snprintf(id, size, ID_PREFIX "%s", letters);
	return INLAY_OK;
}

/* ---- what may be ordered ---- */

static bool avatar_valid(const char *id)
{
	if (!id || !*id || *id == '.' || strlen(id) > IL_STORE_ID_MAX)
		return false;
	for (; *id; id++)
		if (!isalnum((unsigned char)*id) && !strchr("._-", *id))
			return false;
	return true;
}

static bool format_valid(const char *format)
{
	static const char *const formats[] = { "mp4", "webm", "mkv", "mov" };
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (!strcmp(format, formats[i]))
			return true;
	return false;
}

static enum inlay_err check(const struct video_order *order, struct inlay_error *err)
{
	if (!avatar_valid(order->avatar))
		return il_fail(err, INLAY_ERR_INVALID, "expected the id of an avatar: letters, digits, . _ -");
	if (!order->audio_path)
		return il_fail(err, INLAY_ERR_INVALID, "no audio given");
	if (order->format && !format_valid(order->format))
		return il_fail(err, INLAY_ERR_INVALID, "unknown format \"%.40s\"; expected mp4, webm, mkv or mov",
		               order->format);
	if (order->frames < 0 || order->start_frame < INLAY_START_FIRST)
		return il_fail(err, INLAY_ERR_INVALID, "number of frames and start frame must not be negative");
	if (order->crf < INLAY_CRF_LOSSLESS || order->crf > CRF_MAX)
		return il_fail(err, INLAY_ERR_INVALID, "crf %d: expected 0 to %d", order->crf, CRF_MAX);
	if (order->idempotency_key && strlen(order->idempotency_key) > TABLE_NAME_MAX)
		return il_fail(err, INLAY_ERR_INVALID, "idempotency key: longer than %d bytes", TABLE_NAME_MAX);
	if (order->client && strlen(order->client) > TABLE_NAME_MAX)
		return il_fail(err, INLAY_ERR_INVALID, "client: longer than %d bytes", TABLE_NAME_MAX);
	return INLAY_OK;
}

/* A client's name for its file, fit to be shown: without folders, controls and what is no UTF-8. */
static void clean_name(const char *name, char *to, size_t size)
{
	for (const char *p = name; *p; p++)
		if (*p == '/' || *p == '\\')
			name = p + 1;
	size_t used = 0;
	while (*name) {
		size_t n = il_utf8_bytes(name);
		bool plain = n && (unsigned char)*name >= 0x20 && *name != 0x7f;
		n = n ? n : 1;
		if (used + n >= size)
			break;
		if (plain)
			memcpy(to + used, name, n);
		else
			to[used] = '_';
		used += plain ? n : 1;
		name += n;
	}
	to[used] = 0;
}

static enum inlay_err make_row(const struct video_order *order, int64_t limit_bytes, struct table_row *row,
                               struct inlay_error *err)
{
	struct il_file_sum sum;
	*row = (struct table_row){
		.frames = order->frames,
		.start_frame = order->start_frame,
		.crf = order->crf,
		.video = { .state = VIDEO_QUEUED, .frames_expected = -1, .created_unix_ms = video_clock_ms() },
	};
	struct video *video = &row->video;
	enum inlay_err rc = il_file_stamp(order->audio_path, &sum, err);
	if (!rc && sum.size > limit_bytes)
		rc = il_fail(err, INLAY_ERR_INVALID, "the upload has %lld bytes, more than the %lld it may have",
		             (long long)sum.size, (long long)limit_bytes);
	if (!rc)
		rc = il_file_sum(order->audio_path, &sum, err);
	if (!rc)
		rc = make_id(video->id, sizeof video->id, err);
	if (rc)
		return rc;
	snprintf(video->avatar, sizeof video->avatar, "%s", order->avatar);
	snprintf(video->format, sizeof video->format, "%s", order->format ? order->format : "mp4");
	snprintf(row->client, sizeof row->client, "%s", order->client ? order->client : "");
	snprintf(row->key, sizeof row->key, "%s", order->idempotency_key ? order->idempotency_key : "");
	clean_name(order->audio_name ? order->audio_name : "", video->audio_name, sizeof video->audio_name);
	snprintf(row->order, sizeof row->order, "%s %s frames %lld start %lld crf %d sound %lld %016llx", video->avatar,
	         video->format, (long long)row->frames, (long long)row->start_frame, row->crf, (long long)sum.size,
	         (unsigned long long)sum.sum);
	return INLAY_OK;
}

/* ---- admission, under the lock ---- */

static bool is_pending(const struct videos *videos, const struct table_row *row)
{
	for (const struct pending *p = videos->pending; p; p = p->next)
		if (*row->key && !strcmp(p->key, row->key) && !strcmp(p->client, row->client))
			return true;
	return false;
}

/* INLAY_OK with the video of an order that came before with the same key; INLAY_EOF for a new order. */
static enum inlay_err find_same(struct videos *videos, const struct table_row *row, struct video *video,
                                struct inlay_error *err)
{
	struct table_row same;
	while (is_pending(videos, row))
		pthread_cond_wait(&videos->changed, &videos->lock);
	if (!*row->key)
		return INLAY_EOF;
	enum inlay_err rc = table_find_key(videos->table, row->client, row->key, &same, err);
	if (rc)
		return rc;
	if (strcmp(same.order, row->order))
		return il_fail(err, INLAY_ERR_EXISTS, "the idempotency key was used for another order, %s",
		               same.video.id);
	*video = same.video;
	return INLAY_OK;
}

static enum inlay_err check_room(struct videos *videos, struct inlay_error *err)
{
	struct videos_stats stats;
	unsigned jobs = app_config(videos->app)->limits.jobs;
	if (videos->stopping || app_stopping(videos->app))
		return il_fail(err, INLAY_ERR_BUSY, "the server is stopping");
	enum inlay_err rc = table_stats(videos->table, &stats, err);
	if (!rc && stats.queued + stats.in_progress + videos->accepting >= jobs)
		return il_fail(err, INLAY_ERR_BUSY,
		               "%u videos are queued or in progress, as many as limits.jobs lets be", jobs);
	return rc;
}

static enum inlay_err admit(struct videos *videos, const struct table_row *row, struct pending *pending,
                            struct video *video, struct inlay_error *err)
{
	pthread_mutex_lock(&videos->lock);
	enum inlay_err rc = find_same(videos, row, video, err);
	if (rc == INLAY_EOF && !(rc = check_room(videos, err))) {
		*pending = (struct pending){ row->client, row->key, videos->pending };
		videos->pending = pending;
		videos->accepting++;
		rc = INLAY_EOF;
	}
	pthread_mutex_unlock(&videos->lock);
	return rc;
}

/* Into the table, unless decoding ended with an error. */
static enum inlay_err accept_order(struct videos *videos, const struct table_row *row, struct pending *pending,
                                   enum inlay_err rc, struct inlay_error *err)
{
	pthread_mutex_lock(&videos->lock);
	if (!rc)
		rc = table_add(videos->table, row, err);
	struct pending **link = &videos->pending;
	while (*link != pending)
		link = &(*link)->next;
	*link = pending->next;
	videos->accepting--;
	pthread_cond_broadcast(&videos->changed);
	pthread_mutex_unlock(&videos->lock);
	return rc;
}

/* ---- the order ---- */

/* As many children at a time as there are processors. */
static enum inlay_err decode(struct videos *videos, const char *upload, const char *wav, struct inlay_error *err)
{
	const struct server_limits *config = &app_config(videos->app)->limits;
	const struct intake_limits limits = { .seconds = config->audio_s, .bytes = config->upload_bytes };
	unsigned most = il_cpu_count();
	pthread_mutex_lock(&videos->lock);
	while (videos->decoding >= most && !videos->stopping)
		pthread_cond_wait(&videos->changed, &videos->lock);
	bool stopping = videos->stopping;
	videos->decoding += !stopping;
	pthread_mutex_unlock(&videos->lock);
	if (stopping)
		return il_fail(err, INLAY_ERR_BUSY, "the server is stopping");
	enum inlay_err rc = intake_audio(upload, wav, &limits, err);
	pthread_mutex_lock(&videos->lock);
	videos->decoding--;
	pthread_cond_broadcast(&videos->changed);
	pthread_mutex_unlock(&videos->lock);
	return rc;
}

enum inlay_err videos_same(struct videos *videos, const struct video_order *order, struct video *video,
                           struct inlay_error *err)
{
	struct table_row row;
	if (!order->idempotency_key || !*order->idempotency_key)
		return INLAY_EOF;
	enum inlay_err rc = check(order, err);
	if (!rc)
		rc = make_row(order, app_config(videos->app)->limits.upload_bytes, &row, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&videos->lock);
	rc = find_same(videos, &row, video, err);
	pthread_mutex_unlock(&videos->lock);
	return rc;
}

enum inlay_err videos_order(struct videos *videos, const struct video_order *order, struct video *video,
                            struct inlay_error *err)
{
	struct table_row row;
	struct pending pending;
	enum inlay_err rc = check(order, err);
	if (!rc)
		rc = make_row(order, app_config(videos->app)->limits.upload_bytes, &row, err);
	if (!rc)
		rc = admit(videos, &row, &pending, video, err);
	if (rc != INLAY_EOF)
		return rc;
	char *wav = video_path(videos, row.video.id, "wav");
	rc = wav ? decode(videos, order->audio_path, wav, err) : il_fail_memory(err);
	free(wav);
	rc = accept_order(videos, &row, &pending, rc, err);
	if (rc) {
		video_remove_files(videos, &row.video, false);
		return rc;
	}
	if (unlink(order->audio_path) < 0)
		il_log_warn("%s: cannot be removed: %s", order->audio_path, strerror(errno));
	*video = row.video;
	return INLAY_OK;
}
