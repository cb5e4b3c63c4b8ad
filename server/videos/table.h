/* The table of videos: rows on the disk, by SQLite. The only user of it. */
#ifndef SERVER_VIDEOS_TABLE_H
#define SERVER_VIDEOS_TABLE_H

#include "server/videos/videos.h"

#define TABLE_ATTEMPTS 3 /* the end of the process while a video is rendered is the fault of others so often */
#define TABLE_NAME_MAX 255

/* One thread at a time. */
struct table;

/* What is no UTF-8 or a control character becomes '?'. */
void table_clean_text(char *text);

/* All of a video. */
struct table_row {
	struct video video;
	char client[TABLE_NAME_MAX + 1];
	char key[TABLE_NAME_MAX + 1]; /* "": none */
	char order[512];              /* what was ordered, in words that are equal for equal orders */
	int64_t frames, start_frame;
	int crf;
	int attempts, refusals; /* starts of rendering; how often the server was too busy for it */
};

/* Opens or makes it. INLAY_ERR_FORMAT where the file is damaged or none of ours, INLAY_ERR_UNSUPPORTED where a newer
 * version has made it. */
enum inlay_err table_open(struct table **table, const char *path, struct inlay_error *err);
void table_close(struct table **table);

/* What was rendered when the process ended is queued again, or has failed after TABLE_ATTEMPTS. */
enum inlay_err table_recover(struct table *table, int64_t now_ms, struct inlay_error *err);

/* On the disk when it returns; a queued video. */
enum inlay_err table_add(struct table *table, const struct table_row *row, struct inlay_error *err);
enum inlay_err table_find(struct table *table, const char *id, struct table_row *row, struct inlay_error *err);
enum inlay_err table_find_key(struct table *table, const char *client, const char *key, struct table_row *row,
                              struct inlay_error *err);
/* As videos_list. */
enum inlay_err table_list(struct table *table, const char *before, struct video *list, size_t *n,
                          struct inlay_error *err);
enum inlay_err table_stats(struct table *table, struct videos_stats *stats, struct inlay_error *err);

/* The queued video to render next: of the client with the fewest being rendered, the one that has waited longest. It is
 * in progress then. INLAY_EOF: none that is due; *next_ms: when one is, 0 where nothing is queued. */
enum inlay_err table_take(struct table *table, int64_t now_ms, struct table_row *row, int64_t *next_ms,
                          struct inlay_error *err);
/* Not waited for: it may be lost when the machine fails. */
enum inlay_err table_progress(struct table *table, const char *id, int64_t done, int64_t expected,
                              struct inlay_error *err);
/* video: completed or failed. */
enum inlay_err table_finish(struct table *table, const struct video *video, struct inlay_error *err);
/* The attempts under way do not count: the process means to end. */
enum inlay_err table_uncount(struct table *table, struct inlay_error *err);
/* row, as it was taken: queued again without that attempt counted, due at due_ms; refused: one refusal more. */
enum inlay_err table_return(struct table *table, const struct table_row *row, int64_t due_ms, bool refused,
                            struct inlay_error *err);

enum inlay_err table_remove(struct table *table, const char *id, struct inlay_error *err);
/* The video that finished first, if that was before `before_ms`: INLAY_EOF where there is none. */
enum inlay_err table_oldest(struct table *table, int64_t before_ms, struct table_row *row, struct inlay_error *err);

#endif
