/* The scheduler's queue: who comes next. It has no lock and starts nothing; the scheduler holds its own round all of
 * this, and owns the requests.
 *
 * Fairness is that of start-time fair queuing (Goyal, Vin, Cheng 1996): a client's `served` counts its frames, one that
 * comes anew starts where the others are, and the least served is next; of equals, whose request came first.
 */
#ifndef SERVER_SCHEDULER_QUEUE_H
#define SERVER_SCHEDULER_QUEUE_H

#include <pthread.h>

#include "job/mouths.h"

/* Of a request's avatar, as far as is known. */
enum queue_avatar {
	QUEUE_WARM,   /* loaded */
	QUEUE_COLD,   /* to be loaded by whoever takes it */
	QUEUE_LOADING /* by a worker: nobody else need wait for that */
};

struct queue_request {
	const struct il_mouths_request *request;
	uint64_t avatar_hash;
	enum queue_avatar avatar;
	int64_t queued_ns;
	unsigned taken, drawing, drawn; /* frames handed to workers; of these with one now; of these drawn */
	bool queued;
	struct queue_client *client; /* while it is queued */
	struct queue_request *prev, *next;
	enum inlay_err rc; /* not INLAY_OK: it ends as soon as no worker has any of it */
	struct inlay_error error;
	pthread_cond_t changed;
};

struct queue_client {
	struct queue_client *next;
	struct queue_request *first, *last; /* by deadline */
	unsigned waiting;                   /* frames */
	int64_t served;
	int64_t seen_ns;
	char name[];
};

/* {0} is empty. */
struct queue {
	struct queue_client *clients; /* those with requests, and those served much of late */
	unsigned waiting;             /* frames */
	int64_t served;               /* of the client that was chosen last; when nothing waits, the most of all */
	int64_t most;
};

/* Frames first..first + n - 1 of a request. */
struct queue_part {
	struct queue_request *request;
	unsigned first, n;
};

/* The client of that name (NULL: ""), made if need be; NULL when memory is out. Valid until the next call of this. */
struct queue_client *queue_client(struct queue *queue, const char *name, int64_t now_ns);
void queue_add(struct queue *queue, struct queue_client *client, struct queue_request *request);
/* Nothing where it is not queued (any more). */
void queue_remove(struct queue *queue, struct queue_request *request);

/* The next frames to be drawn, all of one avatar: `batch` at most, in parts [batch]. Returns the number of parts. cold:
 * whether requests of avatars to be loaded may be chosen. Requests taken whole are no longer queued. */
unsigned queue_take(struct queue *queue, unsigned batch, bool cold, struct queue_part *parts);

/* What is known now of an avatar, for all queued requests of it. */
void queue_set_avatar(struct queue *queue, const char *avatar, enum queue_avatar state);

/* Frames that will be drawn before a new request of n frames of that client is done, its own included. */
int64_t queue_ahead(const struct queue *queue, const struct queue_client *client, unsigned n, int64_t deadline_ns);

unsigned queue_clients_waiting(const struct queue *queue);
uint64_t queue_hash(const char *name);
/* Nothing is queued any more. */
void queue_clear(struct queue *queue);

#endif
