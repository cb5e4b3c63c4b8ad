/* One queue of mouths to be drawn, for all clients and avatars of a process.
 *
 * Workers take what is due: the client that has had the least work of late first (fair between clients, whatever each
 * asks for), among its requests the earliest deadline, and with it further frames of the same avatar from others up to
 * a batch. A request of many frames is cut, so that a small one does not wait for all of it. Past the limit of waiting
 * frames, or where a deadline cannot be met at the present rate, a request is refused at once: INLAY_ERR_BUSY. One that
 * is larger than a limit is taken where nothing else waits.
 *
 * An avatar that is not loaded is loaded by one worker, and half of the workers load at most: the others go on with
 * what is there. Where a draw for several requests fails, each is drawn alone, and one's fault ends one.
 */
#ifndef SERVER_SCHEDULER_H
#define SERVER_SCHEDULER_H

#include "avatar/store.h"
#include "job/mouths.h"
#include "server/metrics.h"

struct scheduler_params {
	/* Draws for a leased avatar; called from workers, `workers` at a time at most, without locks. */
	enum inlay_err (*draw)(void *ctx, void *loaded, const struct il_mouths_request *request,
	                       struct inlay_error *err);
	enum inlay_err (*info)(void *ctx, void *loaded, struct il_mouths_info *info, struct inlay_error *err);
	void *ctx;
	struct il_store *store;  /* outlives the scheduler */
	unsigned workers;        /* threads that draw; 0: one a processor */
	unsigned batch;          /* frames of one avatar drawn at a time; 0: 4 */
	unsigned max_waiting;    /* frames in the queue of all clients; 0: 4096 */
	unsigned max_client;     /* and of one client; 0: half of max_waiting */
	struct metrics *metrics; /* NULL: none */
};

/* Any number of threads. */
struct scheduler;

enum inlay_err scheduler_create(struct scheduler **scheduler, const struct scheduler_params *params,
                                struct inlay_error *err);
/* Refuses new requests (INLAY_ERR_BUSY) and waits until those that are there are done, or until `timeout_ms`, past
 * which they end with INLAY_ERR_CANCELLED. */
void scheduler_stop(struct scheduler *scheduler, int64_t timeout_ms);
/* Stops at once, if it was not. Nobody waits in draw any more. */
void scheduler_destroy(struct scheduler **scheduler);

/* As the interface says; ctx is the scheduler. */
struct il_mouths scheduler_mouths(struct scheduler *scheduler);

/* When somebody who was refused had better come back: the time that what is waiting takes, 100 to 30,000 ms. */
int64_t scheduler_retry_ms(struct scheduler *scheduler);

struct scheduler_stats {
	unsigned waiting, drawing; /* frames */
	unsigned clients;          /* with something waiting */
	int64_t frames, refused, late;
};
void scheduler_stats(struct scheduler *scheduler, struct scheduler_stats *stats);

#endif
