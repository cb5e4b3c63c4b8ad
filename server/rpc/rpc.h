/* gRPC for the rest of the server, on its C core: blocking calls on bytes. The only user of libgrpc. */
#ifndef SERVER_RPC_RPC_H
#define SERVER_RPC_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"

/* The numbers of gRPC's status codes. */
enum rpc_status {
	RPC_OK = 0,
	RPC_CANCELLED = 1,
	RPC_UNKNOWN = 2,
	RPC_INVALID_ARGUMENT = 3,
	RPC_DEADLINE_EXCEEDED = 4,
	RPC_NOT_FOUND = 5,
	RPC_ALREADY_EXISTS = 6,
	RPC_PERMISSION_DENIED = 7,
	RPC_RESOURCE_EXHAUSTED = 8,
	RPC_FAILED_PRECONDITION = 9,
	RPC_ABORTED = 10,
	RPC_UNIMPLEMENTED = 12,
	RPC_INTERNAL = 13,
	RPC_UNAVAILABLE = 14,
	RPC_UNAUTHENTICATED = 16,
};
enum rpc_status rpc_status_of(enum inlay_err code);
enum inlay_err rpc_error_of(int status);

/* ---- server ---- */

/* A call under way. One thread reads and one writes at a time, its handler's or others that end before the handler
 * does. A handler begins when the client's first message is there. */
struct rpc_call;

/* The next message of the client, in the call's memory until the next read: INLAY_EOF when it has said all. A unary
 * method reads once. INLAY_ERR_TIMEOUT where the client is silent for too long, INLAY_ERR_UNAVAILABLE where the server
 * stops meanwhile. Compressed messages do not get here: RPC_UNIMPLEMENTED. */
enum inlay_err rpc_read(struct rpc_call *call, const uint8_t **data, size_t *size, struct inlay_error *err);
/* True when rpc_read would not block; false where that has not come true after ms. */
bool rpc_wait_message(struct rpc_call *call, int64_t ms);
/* Sends a message; blocks while the client is slow to take what was sent. INLAY_ERR_CANCELLED once it is gone,
 * INLAY_ERR_TIMEOUT where it takes nothing for too long. */
enum inlay_err rpc_write(struct rpc_call *call, const void *data, size_t size, struct inlay_error *err);
bool rpc_cancelled(void *call);                       /* by the client, its deadline, or a server that stops at once */
int64_t rpc_deadline_ns(const struct rpc_call *call); /* on il_clock_ns, 0: none */
const char *rpc_peer(const struct rpc_call *call);    /* who calls: address without port, or the client-id it sends */
/* Waits; false as soon as the call is cancelled or the server stops. */
bool rpc_pause(struct rpc_call *call, int64_t ms);

/* Answers with an error: RPC_RESOURCE_EXHAUSTED carries retry-after-ms. What is returned by the handler ends the call:
 * INLAY_OK, or an error whose status rpc_status_of tells. */
typedef enum inlay_err rpc_handler(void *ctx, struct rpc_call *call, struct inlay_error *err);

struct rpc_method {
	const char *path; /* "/package.Service/Method" */
	rpc_handler *handle;
	void *ctx;
	bool open;  /* needs no token, and neither is refused for calls of others nor they for its own: health */
	bool unary; /* reads and writes once: what it writes goes with its status, which takes a third less time */
};

struct rpc_server_params {
	const char *address; /* HOST:PORT; port 0: any that is free */
	const struct rpc_method *methods;
	size_t n_methods;
	int64_t message_bytes;
	unsigned max_calls; /* at a time, to their end; further ones get RPC_RESOURCE_EXHAUSTED. 0: 256 */
	/* For a call's first message and for a client to take an answer, five times that for the next message of a
	 * stream: who is silent for longer gets RPC_DEADLINE_EXCEEDED. 0: 60 s. */
	int64_t patience_ms;
	const char *token; /* NULL: none; else "authorization: Bearer TOKEN" is asked for */
	const char *tls_cert, *tls_key, *tls_client_ca; /* PEM files, or NULL */
	/* These two may not block. */
	int64_t (*retry_ms)(void *ctx); /* for refused calls, NULL: 1000 */
	void *retry_ctx;
	void (*finished)(void *ctx, const char *path, enum rpc_status status, int64_t ns); /* NULL: nobody asks */
	void *finished_ctx;
};

struct rpc_server;
enum inlay_err rpc_server_start(struct rpc_server **server, const struct rpc_server_params *params,
                                struct inlay_error *err);
int rpc_server_port(const struct rpc_server *server);
/* No new calls; those under way may end, for timeout_ms, and are cancelled then. Returns when all handlers have: not
 * for a handler to call. */
void rpc_server_stop(struct rpc_server *server, int64_t timeout_ms);
void rpc_server_destroy(struct rpc_server **server);

/* ---- client ---- */

struct rpc_channel_params {
	const char *url; /* HOST:PORT, grpc://HOST:PORT, grpcs://HOST:PORT, unix:PATH */
	int64_t message_bytes;
	const char *token, *tls_ca; /* NULL: none; the system's */
};
/* Any number of threads. Connects when it is first used, and again with backoff after a failure. */
struct rpc_channel;
enum inlay_err rpc_channel_create(struct rpc_channel **channel, const struct rpc_channel_params *params,
                                  struct inlay_error *err);
void rpc_channel_destroy(struct rpc_channel **channel); /* no call is under way */

/* One message there, one back in fresh memory. cancelled, asked every 50 ms, may be NULL. *status, may be NULL: what
 * the server said. A server that cannot be reached is INLAY_ERR_IO. */
struct rpc_unary {
	const char *path;
	const void *data;
	size_t size;
	int64_t timeout_ms; /* 0: none */
	bool (*cancelled)(void *ctx);
	void *cancel_ctx;
};
enum inlay_err rpc_unary(struct rpc_channel *channel, const struct rpc_unary *call, struct il_bytes *reply,
                         enum rpc_status *status, struct inlay_error *err);

/* A stream in both directions; one thread reads, in fresh memory, one writes. A failure is the server's status. */
struct rpc_stream;
enum inlay_err rpc_stream_open(struct rpc_stream **stream, struct rpc_channel *channel, const char *path,
                               int64_t timeout_ms, struct inlay_error *err);
enum inlay_err rpc_stream_write(struct rpc_stream *stream, const void *data, size_t size, struct inlay_error *err);
enum inlay_err rpc_stream_end(struct rpc_stream *stream, struct inlay_error *err); /* nothing more is written */
enum inlay_err rpc_stream_read(struct rpc_stream *stream, struct il_bytes *message, struct inlay_error *err); /* EOF */
void rpc_stream_cancel(struct rpc_stream *stream); /* any thread */
void rpc_stream_destroy(struct rpc_stream **stream);

#endif
