/* Mouths drawn by servers elsewhere that speak KServe v2: ours, or any such as Triton.
 *
 * Requests go to the server with the least work under way that answers its health checks; what one fails to draw is
 * drawn by another; who is gone is tried again with backoff. A model with inputs frame_index INT32 [n] and audio FP32
 * and output UINT8 [n,h,w,3] takes the short way; one with input and audio FP32 gets full tensors made of the
 * crops (il_mouths_info.takes_crops). To a server of this machine tensors go through shared memory, if it allows that.
 */
#ifndef SERVER_RPC_MOUTHS_CLIENT_H
#define SERVER_RPC_MOUTHS_CLIENT_H

#include "job/mouths.h"
#include "server/metrics.h"

struct mouths_client_params {
	const char *const *urls;
	unsigned n_urls;
	const char *token, *tls_ca;
	int64_t message_bytes;
	bool shared_memory;      /* where the server is on this machine */
	struct metrics *metrics; /* NULL: none */
};

/* Any number of threads. */
struct mouths_client;

/* Begins health checks; the servers need not be there yet. */
enum inlay_err mouths_client_create(struct mouths_client **client, const struct mouths_client_params *params,
                                    struct inlay_error *err);
void mouths_client_destroy(struct mouths_client **client);
struct il_mouths mouths_client_mouths(struct mouths_client *client);
/* How many servers answer now. */
unsigned mouths_client_healthy(struct mouths_client *client);

#endif
