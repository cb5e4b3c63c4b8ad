/* Inner loops of guided.c; rules as in kernel.h. */
#ifndef IL_KERNEL_GUIDED_KERNELS_H
#define IL_KERNEL_GUIDED_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* sums[i] += row[i], n values; they stay below 2^16. */
#define IL_SIGNATURE_ADD_ROW(name) void name(uint16_t *sums, const uint8_t *row, int n)

/* A sample of guide and matte, each in 0..2^15 - 1: guide | matte << 16. Columns of sums of such samples, n of each: of
 * I, of p, of I * I, of I * p, in that order; they stay below 2^31. Takes row `in` in and row `out` out. */
#define IL_GUIDED_MOMENTS 4
#define IL_SIGNATURE_SLIDE_MOMENTS(name) void name(int32_t *columns, const uint32_t *in, const uint32_t *out, int n)

/* n sums over windows of 2 * radius + 1, cut off at the ends: sums[x] = in[x - radius] + ... + in[x + radius]. Sums
 * wrap round, and are right wherever they fit. `scratch` has n + 2 * radius + 9 values. */
#define IL_SIGNATURE_BOX_SUMS(name) void name(int32_t *sums, const int32_t *in, int n, int radius, int32_t *scratch)

/* From sums over windows, laid out as columns are, to n coefficients in units of 1/scale, truncated. counts[x] * rows
 * samples are in window x. Covariance and variance are exact until they are rounded to float:
 *     a = (N * sum(I * p) - sum(I) * sum(p)) / (N * sum(I * I) - sum(I)^2 + N^2 * epsilon)
 *     b = (sum(p) - a * sum(I)) / (N * unit)
 * with I and p in units of 1/unit, and epsilon (times N^2) too. */
struct il_guided_solver {
	float rows, epsilon, unit, scale;
};
#define IL_SIGNATURE_SOLVE(name)                                                                                       \
	void name(int32_t *a, int32_t *b, const int32_t *sums, const float *counts, const struct il_guided_solver *by, \
	          int n)

#define IL_GUIDED_BLOCK 8 /* samples that share a base */

/* Where each sample of a row lies in a row of coefficients: part[i] of the way from base[i / 8] + first[i] to the one
 * behind it. `narrow`: first[i] <= 6 throughout, so that 8 coefficients from the base are all that a block needs. */
struct il_guided_map {
	const int32_t *base, *first;
	const float *part;
	int narrow;
};

/* n samples: luma * a + b, clipped to 0..255 and rounded to nearest even, with a and b linear between coefficients. 8
 * coefficients are readable from every base. */
#define IL_SIGNATURE_APPLY_ROW(name)                                                                                   \
	void name(uint8_t *out, const uint8_t *luma, const float *a, const float *b, const struct il_guided_map *map,  \
	          int n)

typedef IL_SIGNATURE_ADD_ROW(il_add_row_fn);
typedef IL_SIGNATURE_SLIDE_MOMENTS(il_slide_moments_fn);
typedef IL_SIGNATURE_BOX_SUMS(il_box_sums_fn);
typedef IL_SIGNATURE_SOLVE(il_solve_fn);
typedef IL_SIGNATURE_APPLY_ROW(il_apply_row_fn);

struct il_guided_kernels {
	il_add_row_fn *add_row;
	il_slide_moments_fn *slide_moments;
	il_box_sums_fn *box_sums;
	il_solve_fn *solve;
	il_apply_row_fn *apply_row;
};

extern const struct il_guided_kernels il_guided_kernels_c;
extern const struct il_guided_kernels il_guided_kernels_avx2; /* x86/guided_avx2.c */

#endif
