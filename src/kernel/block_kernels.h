/* Inner loops of block_run.c, one table an instruction set. A panel is `lanes` channels; what a block keeps for itself
 * is [panel][pixel][lanes], so that a tile of a product fills whole cache lines. */
#ifndef IL_KERNEL_BLOCK_KERNELS_H
#define IL_KERNEL_BLOCK_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/block.h"

#define IL_BLOCK_MAX_LANES 32
#define IL_BLOCK_MAX_TILE 16

/* One pixel of a product: where it is read and written, in pixels of each tensor. */
struct il_block_pixel {
	int32_t from, to;
	int32_t added;
	int32_t low; /* the sample left of it, and how far it is towards the next */
	float part;
};

enum il_block_start {
	IL_BLOCK_FROM_BIAS,
	IL_BLOCK_FROM_LOW, /* low[i] + part * (low[i + 1] - low[i]) */
	IL_BLOCK_FROM_SUM, /* what is in c */
};

/* c[to] = start + added + sum over k of a[from][k] * b[k], for one panel of b. The list of pixels is a multiple of
 * `tile` long; it may name a pixel of c twice within one tile. */
struct il_block_product {
	const struct il_block_pixel *pixels;
	int n;
	const float *a;
	size_t a_stride; /* floats from pixel to pixel */
	size_t a_step;   /* floats from `lanes` values of k to the next */
	int k;
	const float *b; /* [k][lanes], aligned to 64 */
	float *c;
	size_t c_stride;
	int c_lanes; /* that are in c, a multiple of 8 */
	enum il_block_start start;
	const float *bias; /* [lanes] */
	const float *low;  /* [][lanes] */
	enum il_block_added added_type;
	const void *added;
	size_t added_stride;
	size_t added_ahead; /* numbers from those added to the ones to be fetched for later */
	int added_lanes;
	bool relu;
};
#define IL_SIGNATURE_BLOCK_MULTIPLY(name) void name(const struct il_block_product *product)

/* n pixels of a panel: out = relu(bias + 3x3 taps), with rows beginning at the left neighbour of the first.
 * weights: [10][lanes], 9 taps and the bias. */
#define IL_SIGNATURE_BLOCK_DEPTHWISE(name)                                                                             \
	void name(float *out, const float *const rows[3], const float *weights, int n, int stride)

/* n + 1 pixels of a panel between two rows: upper + part * (lower - upper), the last of them twice. */
#define IL_SIGNATURE_BLOCK_BETWEEN(name)                                                                               \
	void name(float *values, const float *upper, const float *lower, float part, int n)

/* Floats from halves; n is a multiple of 8. */
#define IL_SIGNATURE_BLOCK_WIDEN(name) void name(float *to, const uint16_t *from, size_t n)

typedef IL_SIGNATURE_BLOCK_MULTIPLY(il_block_multiply_fn);
typedef IL_SIGNATURE_BLOCK_DEPTHWISE(il_block_depthwise_fn);
typedef IL_SIGNATURE_BLOCK_BETWEEN(il_block_between_fn);
typedef IL_SIGNATURE_BLOCK_WIDEN(il_block_widen_fn);

struct il_block_kernels {
	int lanes; /* a multiple of 8 */
	int tile;  /* pixels */
	il_block_multiply_fn *multiply;
	il_block_depthwise_fn *depthwise;
	il_block_between_fn *between;
	il_block_widen_fn *widen;
};

extern const struct il_block_kernels il_block_kernels_c;
extern const struct il_block_kernels il_block_kernels_avx2;   /* x86/block_avx2.c */
extern const struct il_block_kernels il_block_kernels_avx512; /* x86/block_avx512.c */

/* The best table for this processor. */
const struct il_block_kernels *il_block_kernels_get(void);

#endif
