/* The guided filter: a low-resolution matte scaled up so that its edges follow those of the picture.
 *
 * K. He, J. Sun, X. Tang, "Guided Image Filtering" (ECCV 2010), in the fast form of K. He, J. Sun, "Fast Guided Filter"
 * (arXiv:1505.00996). With guide I (luma) and matte p, both at the matte's size and in 0..1, and means over windows of
 * 2 * radius + 1 squared, cut off at the borders:
 *
 *     a = (mean(I * p) - mean(I) * mean(p)) / (mean(I * I) - mean(I)^2 + epsilon)
 *     b = mean(p) - a * mean(I)
 *     alpha(x, y) = mean(a) * I(x, y) + mean(b)
 *
 * where the last line is at full resolution, with mean(a) and mean(b) scaled up linearly (centres of samples map to
 * each other, borders are replicated). The small guide is the mean of the samples under each sample of the matte.
 * Before rounding, alpha is within 0.2 levels of this with an epsilon of 1e-3 and above, and within 2.5 at 1e-5.
 */
#ifndef IL_KERNEL_GUIDED_H
#define IL_KERNEL_GUIDED_H

#include <stddef.h>
#include <stdint.h>

struct il_guided_params {
	int width, height;             /* of the picture */
	int matte_width, matte_height; /* usually smaller, never above 32768 */
	int radius;                    /* in samples of the matte, 0..64; 4 to 8 for mattes of 256 x 256 */
	float epsilon;                 /* variance of I that counts as flat, > 0; 1e-4 follows fine edges, 1e-2 blurs */
};

/* Exactly one of the two is set. */
struct il_guided_matte {
	const float *floats;  /* 0..1 */
	const uint8_t *bytes; /* 0..255 */
	ptrdiff_t stride;     /* bytes */
};

/* Bytes of scratch memory, of any alignment. */
size_t il_guided_scratch(const struct il_guided_params *params);

/* dst: alpha of the picture's size, may be `luma` (with its stride); otherwise they do not overlap. Thread-safe,
 * allocates nothing. */
void il_guided_upsample(uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *luma, ptrdiff_t luma_stride,
                        const struct il_guided_matte *matte, const struct il_guided_params *params, void *scratch);

#endif
