/* The kernels of a block without instructions of their own: vectors of 4 floats, which every 64-bit processor has. */
#define LANES 4
#define TILE 4

#include "kernel/block_portable.h"

#include "kernel/block_simd.h"

const struct il_block_kernels il_block_kernels_c = {
	.lanes = PANEL,
	.tile = TILE,
	.multiply = multiply,
	.depthwise = depthwise,
	.between = between,
	.widen = widen,
};
