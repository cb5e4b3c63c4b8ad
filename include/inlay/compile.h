/* Compiling an avatar: all that drawing it needs and the speech does not change is made beforehand, once.
 *
 * A compiled avatar is a folder NAME.inlay (docs/avatar.md) that takes the place of the pack: frames ready to be drawn
 * into, JPEGs of which only the face is coded anew, and the lip-sync network without what depends on the picture alone,
 * whose results are stored for each frame. Memory-mapped: opening one takes milliseconds.
 */
#ifndef INLAY_COMPILE_H
#define INLAY_COMPILE_H

#include <stdbool.h>
#include <stdint.h>

#include "inlay/error.h"
#include "inlay/job.h"
#include "inlay/lipsync.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INLAY_BUDGET_DEFAULT 16000000
#define INLAY_BUDGET_NONE (-1)

/* {0} is the default everywhere but for `avatar` and `output`. Strings are read during inlay_compile_create only. */
struct inlay_compile_params {
	const char *avatar;                                /* pack folder or avatar.json */
	const char *output;                                /* NAME.inlay */
	const char *model, *audio_encoder, *parsing;       /* NULL: the avatar's own, if any */
	const char *input_name, *audio_name, *output_name; /* tensors of the network, NULL: found by shape */
	enum inlay_interp interp; /* of the face: drawing has to go by it where anything is stored of the network */
	int64_t budget_bytes;     /* of a frame, for what the network computes of it; 0: INLAY_BUDGET_DEFAULT */
	int jpeg_quality;         /* 1..100; 0: 90 */
	bool no_planes;           /* leave the whole frames out: less than half the size, and JPEG outputs alone */
	bool standard;            /* the network in standard operators alone, for other runtimes */
	int64_t frames;           /* > 0: the avatar's first so many alone */
	unsigned threads;         /* 0: all this process may use */
	bool overwrite;           /* replace an older compiled avatar of that name */
};

struct inlay_compile_stats {
	int64_t frames, resumed;                /* in all; of them by an earlier run that was stopped */
	int64_t hoisted, hoisted_bytes;         /* tensors and bytes of a frame that the network stores */
	double flops_before, flops_after;       /* of the network, a frame drawn */
	unsigned blocks;                        /* fused operators in the network */
	double max_difference, mean_difference; /* to the network as it was, in levels of 255, of the first frame */
	double wall_s;
};

/* One compilation. Create, run, look at the statistics, destroy; from one thread. */
struct inlay_compile;

/* Opens and checks everything, rewrites the network, and compares it with the original. */
enum inlay_err inlay_compile_create(struct inlay_compile **job, const struct inlay_compile_params *params,
                                    struct inlay_error *err);

/* One line on what is compiled, for people. Lives with the job. */
const char *inlay_compile_describe(const struct inlay_compile *job);

/* Works to the end: INLAY_OK with the avatar complete under its name. One that is cancelled, fails or is killed leaves
 * NAME.inlay.part, with which the next run of the same parameters goes on. */
enum inlay_err inlay_compile_run(struct inlay_compile *job, inlay_progress_fn *progress, void *ctx,
                                 struct inlay_error *err);
void inlay_compile_stats(const struct inlay_compile *job, struct inlay_compile_stats *stats);
void inlay_compile_destroy(struct inlay_compile **job);

#ifdef __cplusplus
}
#endif
#endif
