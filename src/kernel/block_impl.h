/* A packed block; for block.c, which makes it, and block_run.c. */
#ifndef IL_KERNEL_BLOCK_IMPL_H
#define IL_KERNEL_BLOCK_IMPL_H

#include "kernel/block_kernels.h"

struct il_block {
	struct il_block_params params; /* without the weights */
	const struct il_block_kernels *kernels;
	int mid_panels, out_panels;
	/* All aligned to 64, lanes beyond the last channel zero. */
	float *expand_w;    /* [mid_panels][in][lanes] */
	float *skip_w;      /* [mid_panels][skip][lanes] */
	float *expand_b;    /* [mid_panels][lanes] */
	float *depthwise_w; /* [mid_panels][10][lanes]: 9 taps, bias */
	float *project_w;   /* [out_panels][mid][lanes] */
	float *project_b;   /* [out_panels][lanes] */
};

#endif
