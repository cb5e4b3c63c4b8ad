/* What the files of rpc.h share: the library's life, messages as its buffers, and a call of the server. */
#ifndef SERVER_RPC_RPC_IMPL_H
#define SERVER_RPC_RPC_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>

#include "server/rpc/rpc.h"

/* ---- bytes.c ---- */

/* gRPC's threads live from the first to the last that is paired with it. Its log goes to ours, for debugging. */
void rpc_library_begin(void);
void rpc_library_end(void);
/* What the system said in the last error that gRPC logged on this thread, since `clear`: "" where it said nothing. */
const char *rpc_library_fault(bool clear);

/* Channel arguments that server and client have in common: the number written, at most RPC_COMMON_ARGS. */
enum { RPC_COMMON_ARGS = 12 };
size_t rpc_common_args(grpc_arg *args, int64_t message_bytes);
grpc_arg rpc_int_arg(const char *key, int value);

/* A copy of a message, in memory that is used again when gRPC is done with it. NULL when out of memory. */
grpc_byte_buffer *rpc_message(const void *data, size_t size);

/* Copies all of a message to `to`, grpc_byte_buffer_length(message) bytes. */
void rpc_message_copy(grpc_byte_buffer *message, uint8_t *to);
/* Its bytes where they lie in one piece, else NULL. */
const uint8_t *rpc_message_whole(const grpc_byte_buffer *message);

/* Waits for one of il_cond_init; false at `until_ns`. */
bool rpc_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns);

/* ---- call.c: a call of the server ---- */

struct rpc_event {
	struct rpc_call *call;
	enum { RPC_ARRIVED, RPC_HAS_READ, RPC_WROTE, RPC_CLOSED, RPC_ENDED, RPC_EVENTS } kind;
};

struct rpc_call {
	struct rpc_server *server;
	struct rpc_event events[RPC_EVENTS]; /* the tags of its operations */

	/* Written by gRPC until the event that tells of it. */
	grpc_call *call;
	grpc_call_details details;
	grpc_metadata_array metadata;
	grpc_byte_buffer *arriving;
	int closed_cancelled;

	const struct rpc_method *method;
	int64_t begin_ns, deadline_ns;
	char peer[128];
	struct rpc_call *next; /* of the server's queue */
	bool admitted;         /* it counts, until it has ended */
	/* Of the poller's thread: whether it has its first message; until then, its neighbours among those that do not,
	 * the oldest first, and whether it was given up. */
	bool dispatched, given_up;
	struct rpc_call *older, *newer;

	/* Of who reads and who writes. */
	grpc_byte_buffer *message;
	grpc_byte_buffer *answer; /* of a unary method, for the end */
	uint8_t *memory;
	bool reading; /* a read has begun, and what it brings is not taken */
	bool metadata_sent;
	atomic_bool cancelled;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool read, read_ok, wrote, write_ok; /* lock: an operation is done, and well */
	unsigned holds;                      /* lock: operations under way, and its handler */
};

struct rpc_call *rpc_call_create(struct rpc_server *server);
void rpc_call_release(struct rpc_call *call); /* one hold less; the last one frees it */
/* Begins to read its first message and to watch for its end. False: it is lost. */
bool rpc_call_begin(struct rpc_call *call);
/* Its last word; nothing is read or written after that. retry_ms < 0: none. False: RPC_ENDED will not come. */
bool rpc_call_end(struct rpc_call *call, enum rpc_status status, const char *text, int64_t retry_ms);
/* Of the poller's thread. */
void rpc_call_done(struct rpc_call *call, int kind, bool ok);
/* Metadata of the request as text, at most size - 1 bytes of it; false where there is none. */
bool rpc_call_metadata(const struct rpc_call *call, const char *key, char *text, size_t size);
bool rpc_server_stopping(const struct rpc_server *server);
int64_t rpc_server_patience_ns(const struct rpc_server *server);

#endif
