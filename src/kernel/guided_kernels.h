/* Inner loops of guided.c; rules as in kernel.h. */
#ifndef IL_KERNEL_GUIDED_KERNELS_H
#define IL_KERNEL_GUIDED_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* sums[i] += row[i], n values; they stay below 2^16. */
#define IL_SIGNATURE_ADD_ROW(name) void name(uint16_t *sums, const uint8_t *row, int n)

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
typedef IL_SIGNATURE_APPLY_ROW(il_apply_row_fn);

struct il_guided_kernels {
	il_add_row_fn *add_row;
	il_apply_row_fn *apply_row;
};

extern const struct il_guided_kernels il_guided_kernels_c;
extern const struct il_guided_kernels il_guided_kernels_avx2; /* x86/guided_avx2.c */

#endif
