/* Videos that clients have ordered: jobs in a table (SQLite) and their files beside it, which outlive the process.
 *
 *     STATE/videos.db          the table
 *     STATE/videos/ID.wav      the sound of what was uploaded, until the video is done
 *     STATE/videos/ID.mp4      the result, whole or not there
 *
 * An order that was accepted is on the disk. After a crash what was queued or in progress is queued again; what was in
 * progress at three crashes has failed. Clients take turns: the one with the fewest videos in progress comes first,
 * then the oldest order. A server too busy for a video tries again, later each time.
 */
#ifndef SERVER_VIDEOS_VIDEOS_H
#define SERVER_VIDEOS_VIDEOS_H

#include "server/app.h"

enum video_state { VIDEO_QUEUED, VIDEO_IN_PROGRESS, VIDEO_COMPLETED, VIDEO_FAILED };
const char *video_state_name(enum video_state state); /* "queued" "in_progress" "completed" "failed" */

/* Any number of threads. */
struct videos;

/* Opens or makes the table, queues again what was not finished, removes files that belong to no video, and starts
 * workers that render (limits.renders of the config). A state folder serves one at a time: INLAY_ERR_IO for the second.
 * A damaged table is INLAY_ERR_FORMAT, a newer version's INLAY_ERR_UNSUPPORTED; neither is touched. The app outlives
 * it.
 */
enum inlay_err videos_open(struct videos **videos, struct app *app, const char *state_folder, struct inlay_error *err);
/* No new orders; running ones go on for timeout_ms and are queued again for the next start then. */
void videos_stop(struct videos *videos, int64_t timeout_ms);
/* Stops at once, if it was not. Nobody calls any of the below any more. */
void videos_close(struct videos **videos);

/* What a client may say; NULL or 0: the default. */
struct video_order {
	const char *avatar;
	const char *audio_path; /* a file: decoded in a child process under limits (server/intake.h) and then removed,
	                           unless there is an error */
	const char *audio_name; /* the client's */
	const char *format;     /* mp4, webm, mkv, mov */
	int64_t frames, start_frame;
	int crf;                              /* -1 (lossless) to 63 */
	const char *idempotency_key, *client; /* at most 255 bytes */
};

struct video {
	char id[40]; /* "video_" and 26 letters and digits */
	enum video_state state;
	char avatar[IL_STORE_ID_MAX + 1], format[8], audio_name[256];
	int64_t frames_done, frames_expected;                       /* -1: unknown */
	int64_t created_unix_ms, started_unix_ms, finished_unix_ms; /* 0: not yet */
	int64_t bytes;                                              /* of the result */
	char error[512];
};

/* Blocks while the sound is decoded: INLAY_ERR_FORMAT where that fails. INLAY_ERR_BUSY past the limit of jobs. A key
 * that the client used before gives that order's video again, for the same order with the same sound (audio_path stays
 * then, too); INLAY_ERR_EXISTS for another one. INLAY_ERR_INVALID for what can be no order; whether there is such an
 * avatar shows when it is rendered. */
enum inlay_err videos_order(struct videos *videos, const struct video_order *order, struct video *video,
                            struct inlay_error *err);
/* What videos_order does of an order that came before; INLAY_EOF for a new one. */
enum inlay_err videos_same(struct videos *videos, const struct video_order *order, struct video *video,
                           struct inlay_error *err);
enum inlay_err videos_find(struct videos *videos, const char *id, struct video *video, struct inlay_error *err);
/* Newest first, those before the id `before` (NULL: from the newest). *n in: room, out: found. */
enum inlay_err videos_list(struct videos *videos, const char *before, struct video *list, size_t *n,
                           struct inlay_error *err);
/* Path of a completed video's file in fresh memory. INLAY_ERR_INVALID while it is not completed, or where it failed. */
enum inlay_err videos_content(struct videos *videos, const char *id, char **path, struct inlay_error *err);
/* Cancels and removes it with its files; those of one in progress go as soon as its worker has seen that. */
enum inlay_err videos_delete(struct videos *videos, const char *id, struct inlay_error *err);

struct videos_stats {
	int64_t queued, in_progress, completed, failed;
};
void videos_stats(struct videos *videos, struct videos_stats *stats);

#endif
