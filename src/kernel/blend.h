/* Putting a picture over a background, plane by plane, in YCbCr 4:2:0.
 *
 * Each value is (fg * alpha + bg * (255 - alpha)) / 255 rounded to nearest, exactly. Luma has the alpha of its pixel,
 * chroma the mean of its 2 x 2 pixels rounded half up (of those there are, where a size is odd). Strides are in bytes.
 * Nothing allocates; thread-safe.
 */
#ifndef IL_KERNEL_BLEND_H
#define IL_KERNEL_BLEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/mask_kernels.h"

/* A tile of alpha, and of the chroma alpha under it. Tiles at the right and bottom may be smaller. */
#define IL_TILE_WIDTH 64
#define IL_TILE_HEIGHT 16

static inline int il_tiles(int size, int tile)
{
	return (size + tile - 1) / tile;
}

/* Chroma alpha of (width + 1) / 2 x (height + 1) / 2 from alpha of width x height. */
void il_alpha_halve(uint8_t *chroma, ptrdiff_t chroma_stride, const uint8_t *alpha, ptrdiff_t alpha_stride, int width,
                    int height);

/* classes[row of tiles * tiles a row + tile], one enum il_alpha_class each, for alpha of width x height. A tile of
 * chroma alpha is in the class of its tile of alpha. */
void il_alpha_classify(uint8_t *classes, const uint8_t *alpha, ptrdiff_t stride, int width, int height);

/* One plane. In place on the foreground: out == fg with equal strides, and then the tiles that are all foreground cost
 * nothing. */
struct il_blend {
	uint8_t *out;
	ptrdiff_t out_stride;
	const uint8_t *fg;
	ptrdiff_t fg_stride;
	const uint8_t *bg; /* NULL: a constant */
	ptrdiff_t bg_stride;
	uint8_t constant[2]; /* [1] for the second value of a pair */
	const uint8_t *alpha;
	ptrdiff_t alpha_stride;
	int width, height;      /* of alpha: for planes of pairs, the number of pairs */
	bool pairs;             /* NV12's interleaved Cb, Cr */
	bool chroma;            /* tiles are half as large each way */
	const uint8_t *classes; /* of the whole plane, from il_alpha_classify; NULL: everything is mixed */
};

/* Rows y0 <= y < y1 of the plane. */
void il_blend_rows(const struct il_blend *blend, int y0, int y1);

#endif
