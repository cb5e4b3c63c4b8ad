/* What matte.c, matte_alpha.c and matte_stream.c share. */
#ifndef IL_COMPOSITE_MATTE_IMPL_H
#define IL_COMPOSITE_MATTE_IMPL_H

#include "composite/matte.h"
#include "kernel/blend.h"
#include "kernel/kernel.h"
#include "kernel/upsample.h"

#define IL_MATTE_MAX_SIZE 32767

struct il_matte_plane {
	uint8_t *data;
	ptrdiff_t stride;
};

/* From the network's numbers to alpha: `first` makes masks, `second` finishes them after upsampling. */
struct il_matte_ramps {
	struct il_ramp first;
	uint8_t second[256];
	bool two;
};
void il_matte_ramps_make(struct il_matte_ramps *ramps, const struct inlay_matte_look *params);

enum inlay_err il_matte_params_check(const struct inlay_matte_look *params, struct inlay_error *err);

struct il_matte_chain {
	struct inlay_matte_look params;
	struct inlay_frame_info info;
	int mask_width, mask_height;
	struct il_matte_ramps ramps;

	/* The size that the mask is worked on: 1 / 2^level of the frame's, rounded up. */
	int level, width, height;
	struct il_matte_plane work, other; /* with level 0, `work` is `alpha` */
	struct il_matte_plane guide, half; /* luma at that size, and between; unused with level 0 */
	struct il_upsample *enlarge;       /* mask -> work size */
	struct il_upsample *finish;        /* work size -> frame's */
	void *morph_scratch, *blur_scratch, *guided_scratch;

	struct il_matte_plane alpha, chroma_alpha;
	uint8_t *classes;
	int tiles_across, tiles_down;
	struct il_matte_plane behind[3]; /* background, by component */
	struct il_matte_plane split[3];  /* components of formats that interleave them */

	void *blocks[24]; /* all memory there is */
	int block_count;
};

/* Memory that goes with the chain; zeroes. NULL with the error set where there is none. */
void *il_matte_take(struct il_matte_chain *chain, size_t size, struct inlay_error *err);
enum inlay_err il_matte_take_plane(struct il_matte_chain *chain, struct il_matte_plane *plane, int width, int height,
                                   struct inlay_error *err);

/* That `frame` is what the chain is for. */
enum inlay_err il_matte_check_frame(const struct il_matte_chain *chain, const struct inlay_frame *frame,
                                    struct inlay_error *err);

enum inlay_err il_matte_alpha_prepare(struct il_matte_chain *chain, struct inlay_error *err);

#endif
