/* A matte as a network gives it -> an 8-bit mask, and what is done to masks value by value. Strides are in bytes.
 * Nothing allocates; thread-safe. Masks may be worked on in place, out == in with equal strides.
 */
#ifndef IL_KERNEL_MASK_H
#define IL_KERNEL_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/mask_kernels.h"

/* The ramp from threshold - width / 2 to threshold + width / 2, both kept within 0..1, with the numbers that NumPy has
 * in (m - low) / (high - low) of a float32 m: worked out in double precision, rounded to single. Threshold 0 or less
 * is no threshold (the matte itself), width 0 or less a hard one (1 where m >= threshold). */
struct il_ramp il_ramp_make(double threshold, double width);

/* table[v] = what v / 255 (in single precision) becomes. */
void il_ramp_table(uint8_t table[256], const struct il_ramp *ramp);

enum il_activation {
	IL_ACTIVATION_NONE,
	IL_ACTIVATION_SIGMOID, /* of `person` */
	IL_ACTIVATION_SOFTMAX, /* of `background` and `person`, the share of `person` */
};

/* Where the values are. NCHW: step 1, channels a plane apart. NHWC: step is the number of channels, they are one float
 * apart. */
struct il_matte {
	const float *person, *background; /* first values; background for softmax only */
	ptrdiff_t stride;                 /* bytes from row to row */
	ptrdiff_t step;                   /* floats from pixel to pixel */
	int width, height;
	enum il_activation activation;
	float scale; /* of what is then in 0..1 after it; 0 is 1. 1 / 255.0f for mattes in 0..255 */
};

/* 255 times the ramp, truncated, as astype(uint8) does; what is outside 0..1 is clipped, NaN is 0. */
void il_mask_from_matte(uint8_t *mask, ptrdiff_t stride, const struct il_matte *matte, const struct il_ramp *ramp);

void il_mask_map(uint8_t *out, ptrdiff_t out_stride, const uint8_t *in, ptrdiff_t in_stride, int width, int height,
                 const uint8_t table[256]);

void il_mask_invert(uint8_t *out, ptrdiff_t out_stride, const uint8_t *in, ptrdiff_t in_stride, int width, int height);

/* A mask and its blurred self. Outward is their maximum: the edge widens, what was inside stays. Inward is their
 * minimum. out may be either of them. */
enum il_feather_side { IL_FEATHER_OUT, IL_FEATHER_IN };
void il_mask_feather(uint8_t *out, ptrdiff_t out_stride, const uint8_t *mask, ptrdiff_t mask_stride,
                     const uint8_t *blurred, ptrdiff_t blurred_stride, int width, int height,
                     enum il_feather_side side);

/* Temporal smoothing, out = previous + (in - previous) * gain, by an exponential moving average that is kept in units
 * of 1/256: it arrives at a mask that stands still, exactly. `state` has `width` values a row, no gaps. gain 1 or more
 * takes `in` as it is, and is what the first picture needs; a gain below 1/65536 counts as that. */
void il_mask_smooth(uint8_t *out, ptrdiff_t out_stride, uint16_t *state, const uint8_t *in, ptrdiff_t in_stride,
                    int width, int height, double gain);

#endif
