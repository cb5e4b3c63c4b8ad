/* Inner loops of blur.c and blur_masked.c; rules as in kernel.h.
 *
 * A box pass runs along one axis with a vector of neighbouring lines abreast: a strip is [position][lane], lines of the
 * picture in its lanes. Columns of a picture are a strip as they lie; rows become one by a transpose in cache.
 */
#ifndef IL_KERNEL_BLUR_KERNELS_H
#define IL_KERNEL_BLUR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define IL_STRIP_LANES 32 /* 8-bit samples of one position of a strip */
#define IL_PAIR_LANES 8   /* pairs of 16-bit samples of one position of a strip of pairs */

/* A box of 2 * radius + 1 full samples, which count `full`, and a sample at either end, which counts `partial`, in
 * units of 1/2^24; in all at most 1. Out comes the sum, rounded half up.
 *
 * With `fast`, 16 bits have to do: ((bias + (sum of full samples << scale)) * fast_full >> 16) +
 * ((sum of partial samples << 6) * fast_partial >> 16) >> 7, where 255 * (2 * radius + 1) << scale, with the bias,
 * stays below 2^16, and so does the sum before its shift. radius <= 127. */
struct il_box {
	int radius, fast;
	uint32_t full, partial;
	int scale; /* 0..6 */
	uint16_t fast_full, fast_partial, bias;
};

/* n positions; positions before the first and behind the last are copies of those. dst and src do not overlap; steps
 * are in bytes from position to position. */
#define IL_SIGNATURE_BOX_STRIP(name)                                                                                   \
	void name(uint8_t *dst, ptrdiff_t dst_step, const uint8_t *src, ptrdiff_t src_step, int n,                     \
	          const struct il_box *box)

/* width x height (1..32) bytes of a picture to a strip and back: strip[x][y] = rows[y][x]. Lanes of `strip` without a
 * row get a copy of the last. */
#define IL_SIGNATURE_ROWS_TO_STRIP(name)                                                                               \
	void name(uint8_t *strip, const uint8_t *rows, ptrdiff_t stride, int width, int height)
#define IL_SIGNATURE_STRIP_TO_ROWS(name)                                                                               \
	void name(uint8_t *rows, ptrdiff_t stride, const uint8_t *strip, int width, int height)

#define IL_TAP_REACH 3
#define IL_TAP_LINES (2 * IL_TAP_REACH + 1)

/* n samples out of those at the same place of seven lines: (sum of taps[|i - 3|] * lines[i][x] + 128) >> 8. Taps, those
 * beside the first one counted twice, add up to 256. out is none of the lines. */
#define IL_SIGNATURE_MIX_LINES(name)                                                                                   \
	void name(uint8_t *out, const uint8_t *const lines[IL_TAP_LINES], const uint16_t taps[IL_TAP_REACH + 1], int n)

/* Weights of a box of 2 * radius + 1 full samples and two partial ones: (2 * radius + 1) * full + 2 * partial = 1;
 * radius <= 127. */
struct il_box_weights {
	int radius;
	float full, partial;
};

/* The same on pairs of 16-bit samples: float(full sum) * full + float(partial sum) * partial, each product rounded to
 * float, the sum to the nearest even integer. Strips and planes of pairs are aligned to 4 bytes, steps in bytes. */
#define IL_SIGNATURE_BOX_PAIRS(name)                                                                                   \
	void name(uint16_t *dst, ptrdiff_t dst_step, const uint16_t *src, ptrdiff_t src_step, int n,                   \
	          const struct il_box_weights *box)
#define IL_SIGNATURE_PAIRS_TO_STRIP(name)                                                                              \
	void name(uint16_t *strip, const uint16_t *rows, ptrdiff_t stride, int width, int height)
#define IL_SIGNATURE_STRIP_TO_PAIRS(name)                                                                              \
	void name(uint16_t *rows, ptrdiff_t stride, const uint16_t *strip, int width, int height)

/* Largest value of either half of a pair: a white sample of full weight. */
#define IL_PAIR_FULL (255 * 255)

/* n pairs from n squares of 2^level (0..3) samples: means of p * (255 - alpha) and of 255 * (255 - alpha), rounded
 * half up. alpha NULL: it is 0 throughout. */
#define IL_SIGNATURE_WEIGH(name)                                                                                       \
	void name(uint16_t *pairs, const uint8_t *p, ptrdiff_t p_stride, const uint8_t *alpha, ptrdiff_t a_stride,     \
	          int n, int level)

/* Pairs (v, w) to means in units of 1/64 level: 16320 * v / w, drawn to `fallback` (same unit) where w is small by a
 * pair of the weight IL_PAIR_TRUST * max(1 - 16 * w / IL_PAIR_FULL, 0)^2. */
#define IL_PAIR_TRUST 1024.0f
#define IL_SIGNATURE_DIVIDE_PAIRS(name) void name(uint16_t *out, const uint16_t *pairs, const uint16_t *fallback, int n)

/* a + (b - a) * weight / 2^15 of n values below 2^15, rounded half up; weight below 2^15. */
#define IL_SIGNATURE_LERP_ROW(name) void name(uint16_t *out, const uint16_t *a, const uint16_t *b, int weight, int n)

/* Each of n values in units of 1/64 to 2^level (0..3) bytes, linear between the centres of values, with row[-1] and
 * row[n]; row[n + 15] and what lies before it is readable. */
#define IL_SIGNATURE_EXPAND_ROW(name) void name(uint8_t *out, const uint16_t *row, int n, int level)

typedef IL_SIGNATURE_BOX_STRIP(il_box_strip_fn);
typedef IL_SIGNATURE_ROWS_TO_STRIP(il_rows_to_strip_fn);
typedef IL_SIGNATURE_STRIP_TO_ROWS(il_strip_to_rows_fn);
typedef IL_SIGNATURE_MIX_LINES(il_mix_lines_fn);
typedef IL_SIGNATURE_BOX_PAIRS(il_box_pairs_fn);
typedef IL_SIGNATURE_PAIRS_TO_STRIP(il_pairs_to_strip_fn);
typedef IL_SIGNATURE_STRIP_TO_PAIRS(il_strip_to_pairs_fn);
typedef IL_SIGNATURE_WEIGH(il_weigh_fn);
typedef IL_SIGNATURE_DIVIDE_PAIRS(il_divide_pairs_fn);
typedef IL_SIGNATURE_LERP_ROW(il_lerp_row_fn);
typedef IL_SIGNATURE_EXPAND_ROW(il_expand_row_fn);

struct il_blur_kernels {
	il_box_strip_fn *box_strip;
	il_rows_to_strip_fn *rows_to_strip;
	il_strip_to_rows_fn *strip_to_rows;
	il_mix_lines_fn *mix_lines;
	il_box_pairs_fn *box_pairs;
	il_pairs_to_strip_fn *pairs_to_strip;
	il_strip_to_pairs_fn *strip_to_pairs;
	il_weigh_fn *weigh;
	il_divide_pairs_fn *divide_pairs;
	il_lerp_row_fn *lerp_row;
	il_expand_row_fn *expand_row;
};

extern const struct il_blur_kernels il_blur_kernels_c;
extern const struct il_blur_kernels il_blur_kernels_avx2; /* x86/blur_avx2.c */

#endif
