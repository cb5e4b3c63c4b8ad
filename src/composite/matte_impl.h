/* What the files of the matte chain share. */
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
	struct il_matte_plane
		unsure; /* of matte_foreground.c's estimate: an alpha that leaves the subject alone seen */
	uint8_t *unsure_classes, unsure_table[256];
	double estimate_sigma;
	float *differences; /* three rows of mask_width, for matte_foreground.c */

	void *blocks[24]; /* all memory there is */
	int block_count;
};

/* Components 0, 1, 2 of a frame are Y, Cb, Cr or B, G, R. */
static inline bool il_matte_is_bgr(const struct il_matte_chain *c)
{
	return c->info.format == INLAY_PIX_BGR24 || c->info.format == INLAY_PIX_BGR24A8;
}

/* Has component i half the frame's size? */
static inline bool il_matte_is_chroma(const struct il_matte_chain *c, int i)
{
	return i > 0 && !il_matte_is_bgr(c);
}

static inline int il_matte_shrunk(const struct il_matte_chain *c, int i, int size)
{
	return il_matte_is_chroma(c, i) ? (size + 1) / 2 : size;
}

/* The plane that alpha has in the frame's format, or -1. */
static inline int il_matte_alpha_plane(const struct il_matte_chain *c)
{
	return c->info.format == INLAY_PIX_YUVA420P ? 3 : c->info.format == INLAY_PIX_BGR24A8 ? 1 : -1;
}

/* Where component i begins, and how far its samples are from each other. */
struct il_matte_component {
	uint8_t *data;
	ptrdiff_t stride;
	int step;
};
struct il_matte_component il_matte_component(const struct il_matte_chain *chain, const struct inlay_planes *planes,
                                             int i);

/* Component i as a plane: the picture's own, or a copy in `copy`. */
struct il_matte_plane il_matte_take_apart(const struct il_matte_chain *chain, const struct inlay_planes *planes, int i,
                                          const struct il_matte_plane *copy);

/* Memory that goes with the chain; zeroes. NULL with the error set where there is none. */
void *il_matte_take(struct il_matte_chain *chain, size_t size, struct inlay_error *err);
enum inlay_err il_matte_take_plane(struct il_matte_chain *chain, struct il_matte_plane *plane, int width, int height,
                                   struct inlay_error *err);

/* That `frame` is what the chain is for. */
enum inlay_err il_matte_check_frame(const struct il_matte_chain *chain, const struct inlay_frame *frame,
                                    struct inlay_error *err);

enum inlay_err il_matte_alpha_prepare(struct il_matte_chain *chain, struct inlay_error *err);

#endif
