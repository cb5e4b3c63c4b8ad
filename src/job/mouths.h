/* Who draws mouths: an avatar's own network in this process (job/actor.h), a queue before many of them
 * (server/scheduler.h), or servers elsewhere (server/rpc/mouths_client.h). One interface, so that a job does not know.
 */
#ifndef IL_JOB_MOUTHS_H
#define IL_JOB_MOUTHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inlay/error.h"

#define IL_MOUTHS_MAX 1024 /* of a request */

/* What an avatar's network takes and gives. */
struct il_mouths_info {
	int size;              /* S of the mouth [S, S, 3] */
	int64_t audio_dims[3]; /* A, H, W of a window; 0s behind the last */
	size_t window_floats;  /* their product */
	bool takes_crops;      /* requests hold the faces: whoever draws does not have the avatar's frames */
};

struct il_mouths_request {
	const char *avatar;          /* its id; an actor on its own does not look at it */
	/* Of the memory below, as info gave them; 0: the avatar cannot have changed since. One that was replaced by an
	 * avatar of another kind is refused: INLAY_ERR_INVALID. */
	int size;
	size_t window_floats;
	unsigned n;                  /* 1..IL_MOUTHS_MAX */
	const int64_t *frames;       /* [n] of the avatar, any order, doubles allowed */
	const float *const *windows; /* [n] audio features, [window_floats] each */
	/* [n] faces as il_place_crop cuts them, [S + 8, S + 8, 3] BGR; NULL: whoever draws gets them itself. Where
	 * info.takes_crops is false they save who draws in this process the work, and are not worth sending. */
	const uint8_t *const *crops;
	uint8_t *const *mouths;       /* [n] to be drawn: [S, S, 3] BGR, undefined after an error */
	const char *client;           /* whom it is for, for fairness; NULL: nobody in particular */
	int64_t deadline_ns;          /* on il_clock_ns; 0: none */
	bool (*cancelled)(void *ctx); /* asked now and then while waiting; NULL: never */
	void *cancel_ctx;
};

/* Whether the request's memory is what an avatar of `info` reads and writes. */
static inline bool il_mouths_fit(const struct il_mouths_request *request, const struct il_mouths_info *info)
{
	return (!request->size || request->size == info->size) &&
	       (!request->window_floats || request->window_floats == info->window_floats);
}

/* Any number of threads at once; calls block until all is drawn. Errors beside those of drawing: INLAY_ERR_NOT_FOUND
 * for an unknown avatar, INLAY_ERR_BUSY where there is more to do than can be done in time, INLAY_ERR_TIMEOUT past the
 * deadline, INLAY_ERR_CANCELLED. */
struct il_mouths {
	enum inlay_err (*info)(void *ctx, const char *avatar, struct il_mouths_info *info, struct inlay_error *err);
	enum inlay_err (*draw)(void *ctx, const struct il_mouths_request *request, struct inlay_error *err);
	void *ctx;
};

#endif
