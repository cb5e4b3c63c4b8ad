/* A lip-sync job whose ends are not files: speech that comes piece by piece, frames that go to the caller, mouths that
 * others draw. What is NULL is as inlay_lipsync_create has it. */
#ifndef IL_JOB_LIPSYNC_ENDS_H
#define IL_JOB_LIPSYNC_ENDS_H

#include "inlay/lipsync.h"
#include "job/actor.h"

struct il_lipsync_ends {
	/* The avatar, open already with IL_ACTOR_FRAMES; it outlives the job, and params->avatar is its id for
	 * `mouths`. With IL_ACTOR_MOUTHS alone needed where `mouths` is NULL. What params say of how an avatar and its
	 * network are opened is not looked at then. */
	struct il_actor *actor;
	const struct il_mouths *mouths; /* copied */
	const char *client;             /* of its requests; copied */
	/* Requests to `mouths`, or to an actor that was given, at a time, 0: 2; frames a request: params->batch, 0: 4
	 * (speech that comes as it is spoken wants 1: a request waits until it is full). */
	unsigned ahead;

	/* Up to n samples, mono, 16 kHz, -1..1, into samples; *got > 0, or INLAY_EOF at the end. May block; after a
	 * cancel it returns soon. params->audio and params->features are NULL then. From one thread. */
	enum inlay_err (*read_speech)(void *ctx, float *samples, size_t n, size_t *got, struct inlay_error *err);

	/* Frames in order, k from 0; one of the two, and params->output and format are NULL then. They may block: that
	 * holds the job back. JPEGs are of params->quality; the frame stays the job's, I420. From one thread. */
	enum inlay_err (*take_jpeg)(void *ctx, int64_t k, const uint8_t *data, size_t bytes, struct inlay_error *err);
	enum inlay_err (*take_frame)(void *ctx, int64_t k, struct inlay_frame *frame, struct inlay_error *err);
	void *ctx;
};

/* The job is run, asked and destroyed as any other. Frames expected are -1 where speech is pulled and params->frames
 * says nothing. */
enum inlay_err il_lipsync_create(struct inlay_lipsync **job, const struct inlay_lipsync_params *params,
                                 const struct il_lipsync_ends *ends, struct inlay_error *err);

#endif
