/* What the files of this folder share. */
#ifndef SERVER_VIDEOS_VIDEOS_IMPL_H
#define SERVER_VIDEOS_VIDEOS_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/videos/table.h"
#include "server/videos/videos.h"

/* One worker and what it renders. */
struct run {
	struct videos *videos;
	pthread_t thread;
	bool started;
	atomic_bool cancel;
	atomic_llong done, expected;
	int64_t written_ns; /* of the progress in the table; the worker's own */

	/* Under the lock: */
	bool busy, removed; /* removed: its row is gone, and its files shall go */
	char id[sizeof((struct video *)0)->id];
};

/* An order that is being decoded; lives on its thread's stack. */
struct pending {
	const char *client, *key;
	struct pending *next;
};

struct videos {
	struct app *app;
	char *folder;  /* STATE/videos */
	int folder_fd; /* locked against other servers */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* on the monotonic clock; whatever is below */
	bool has_lock;

	/* Under the lock: */
	struct table *table;
	bool stopping;
	unsigned accepting, decoding; /* orders not in the table yet; those of them whose sound is being decoded */
	struct pending *pending;

	struct run *runs;
	unsigned n_runs;
	pthread_t keeper;
	bool keeper_started;
};

int64_t video_clock_ms(void); /* since 1970 */
bool video_id_valid(const char *id);

/* STATE/videos/ID.EXTENSION in fresh memory, NULL: out of memory. */
char *video_path(const struct videos *videos, const char *id, const char *extension);
/* Its sound, and its result where `result`. */
void video_remove_files(const struct videos *videos, const struct video *video, bool result);

/* Waits for `changed`, ms at most; holds the lock. */
void videos_wait(struct videos *videos, int64_t ms);

/* Threads (ctx: struct run; struct videos). */
void *video_worker(void *ctx);
void *video_keeper(void *ctx);

/* The folder at start: what belongs to no video, or is no longer needed, goes. */
enum inlay_err videos_sweep(struct videos *videos, struct inlay_error *err);

#endif
