/* Gaussian blur of 8-bit planes, plain and masked, in time that does not depend on sigma.
 *
 * A Gaussian is three box filters a direction, each with a fraction of a sample at either end: P. Gwosdek, S. Grewenig,
 * A. Bruhn, J. Weickert, "Theoretical Foundations of Gaussian Convolution by Extended Box Filtering" (SSVM 2011). Box
 * length, rounding to 8 bits after every box and replicated borders are those of PIL's ImageFilter.GaussianBlur, and so
 * are the results, bit for bit.
 *
 * Everything here is thread-safe and allocates nothing: scratch memory is the caller's, of any alignment, and holds
 * nothing between calls.
 */
#ifndef IL_KERNEL_BLUR_H
#define IL_KERNEL_BLUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IL_BLUR_MAX_SIGMA 100.0f

struct il_blur_area {
	int x, y, width, height; /* samples, inside the plane, not empty */
};

/* What alpha is throughout in each tile of the plane, so that il_masked_blur need not look: enum il_alpha_class. Sizes
 * are multiples of 8. Without classes (NULL) it looks. */
struct il_blur_tiles {
	const uint8_t *classes;
	int per_row, width, height;
};

struct il_blur_params {
	int width, height;        /* of the planes, in samples */
	struct il_blur_area area; /* only this part of dst is written; what is round it is read */
	float sigma;              /* in samples, 0 (a copy) to IL_BLUR_MAX_SIGMA; what is outside is clipped */
	bool fast;   /* il_blur in 16-bit arithmetic: PIL within 2 levels (3 below a sigma of 1.4), mostly 0, in 3/5 of
	                the time */
	bool coarse; /* il_masked_blur on means of more samples, as does for chroma */
	struct il_blur_tiles tiles;
};

/* Box radius, with its fraction, of three boxes that make a Gaussian of `sigma`. */
float il_blur_box_radius(float sigma);

/* How far from a sample others have influence on it. */
int il_blur_reach(float sigma);

/* Bytes of scratch for planes of at most this size, any area and any sigma. */
size_t il_blur_scratch(int width, int height);

/* Strides are in bytes. dst may be src (with its stride); otherwise they do not overlap. A sample of the area comes out
 * the same whatever the area. */
void il_blur(uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src, ptrdiff_t src_stride,
             const struct il_blur_params *params, void *scratch);

/* Blur of what alpha (255: foreground) leaves to be seen: blur(src * (255 - alpha)) / blur(255 - alpha), the normalised
 * convolution of H. Knutsson and C.-F. Westin (CVPR 1993), so that no foreground colour bleeds into the background.
 * alpha has the plane's size. Where hardly any background is near, the result goes over smoothly into the mean of the
 * nearest background; without any in reach of the area, into 128.
 *
 * From a sigma of 3 the work is done on means of squares of 2, from 6 of 4, from 12 of 8 samples, with a sigma that
 * makes up for the blur of scaling. Off the full computation where anything shows: below 2.5 levels on smooth content,
 * below 5 on noise and steps of 255 levels; 0.5, which is rounding, at smaller sigmas. At a border of the plane the
 * mean of a square is repeated, not its last sample. `coarse` takes half these sigmas: off by up to a seventh of
 * a step and a sixth of the finest waves that blurring leaves, which does for chroma.
 *
 * Memory rules as for il_blur; dst may be src, not alpha. `fast` is of no effect. Samples of the area do not depend on
 * the area but by rounding, as long as there is background near. */
size_t il_masked_blur_scratch(int width, int height);
void il_masked_blur(uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src, ptrdiff_t src_stride, const uint8_t *alpha,
                    ptrdiff_t alpha_stride, const struct il_blur_params *params, void *scratch);

/* The same piece by piece, for those who want it while it is in the cache, or not all of it. Sigma is above 0, src may
 * be written once it has begun, and the rest is in `scratch`, which serves nothing else until the last piece is out. */
struct il_masked_blur {
	int level, x, y, height;
	const uint16_t *means;
	ptrdiff_t means_stride;
	uint16_t *row;
	uint8_t *out;
};
void il_masked_blur_begin(struct il_masked_blur *blur, const uint8_t *src, ptrdiff_t src_stride, const uint8_t *alpha,
                          ptrdiff_t alpha_stride, const struct il_blur_params *params, void *scratch);

/* A part of the area; dst is where it begins. One thread at a time. */
void il_masked_blur_part(const struct il_masked_blur *blur, uint8_t *dst, ptrdiff_t dst_stride,
                         const struct il_blur_area *part);

#endif
