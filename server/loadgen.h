/* Clients that measure a server: many at a time, each with an avatar for a sentence, then with another.
 *
 * Who is popular follows Zipf's law: the avatar of rank r (from 0, in the server's own order) is chosen with a weight
 * of 1 / (r + 1)^zipf.
 */
#ifndef SERVER_LOADGEN_H
#define SERVER_LOADGEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "inlay/error.h"

enum loadgen_mode {
	LOADGEN_INFER,     /* KServe v2 ModelInfer: frame_index and audio in, mouths out */
	LOADGEN_COMPOSITE, /* compositing.CompositingService: features in, JPEG frames out */
	LOADGEN_RENDER,    /* inlay.v1.Lipsync: speech in, JPEG frames out, as streams */
};

struct loadgen_params {
	const char *url, *token, *tls_ca; /* as of rpc_channel_params */
	enum loadgen_mode mode;
	unsigned clients, avatars; /* avatars: the first of the server's list, 0: all */
	double zipf, fps;          /* fps: of a client, 0: flat out */
	double seconds;            /* of the whole */
	unsigned batch;            /* frames a request, 1..256; a stream has one frame an answer */
	unsigned frames;           /* of an avatar that are asked for, 0: 25 */
	double sentence_s;         /* with one avatar, 0: 4 */
	bool shared_memory;        /* tensors of LOADGEN_INFER: the server is on this machine */
	/* Asked about ten times a second from the calling thread, with what there is so far; false: stop. NULL: nobody.
	 */
	bool (*progress)(void *ctx, double passed_s, int64_t frames, int64_t errors);
	void *progress_ctx;
};

#define LOADGEN_ERROR_KINDS 12
#define LOADGEN_TIMELINE 3600 /* seconds */

struct loadgen_error_kind {
	char kind[32];  /* of the status, or "refused" for an answer that says so itself */
	char text[256]; /* the first of them */
	int64_t count;
};

struct loadgen_result {
	double wall_s;
	unsigned avatars; /* that were to choose from */
	int64_t requests, frames, late, errors;
	/* Of answered requests (of frames, where they come as a stream), from the time when they were due: a client
	 * that waits for a slow answer counts as late those that it could not send. */
	struct il_histogram latency;
	struct loadgen_error_kind kinds[LOADGEN_ERROR_KINDS];
	size_t n_kinds;
	int64_t timeline[LOADGEN_TIMELINE]; /* frames that came in each second */
	size_t n_timeline;
};

/* Blocks. Errors of the server while it runs are counted; that it cannot be reached at first is an error, as is a list
 * without avatars. result is large: not for the stack. */
enum inlay_err loadgen_run(const struct loadgen_params *params, struct loadgen_result *result, struct inlay_error *err);

/* In fresh memory (free()), NULL when out of memory. */
char *loadgen_json(const struct loadgen_params *params, const struct loadgen_result *result);
char *loadgen_svg(const struct loadgen_params *params, const struct loadgen_result *result);

const char *loadgen_mode_name(enum loadgen_mode mode);

#endif
