/* Fused blocks of a convolutional network on the CPU: an inverted residual (M. Sandler et al., "MobileNetV2", CVPR
 * 2018) with a resize and a second input in front, in float32:
 *
 *     mid = relu(up(E . x) + S . skip + added + expand_b)      E: 1x1 convolution in -> mid, S: skip -> mid
 *     d   = relu(depthwise3x3(mid) + depthwise_b)              stride 1 or 2, zero padding of 1
 *     y   = P . d + project_b (+ x)                            P: 1x1 convolution mid -> out
 *
 * `up` scales linearly; a 1x1 convolution and a resize commute, so E . x is made at the size of x. Nothing of the size
 * of `mid` goes to memory where the picture is large: rows of it live in the cache, between the tiles of the first
 * product and those of the second.
 *
 * Tensors are of batch 1 and channels last: [height][width][il_block_stride(channels)], 4-byte aligned, the lanes
 * behind the last channel zero on input and written as zero on output. NaN comes out of a relu as 0.
 *
 * The result has the same bits for any number of threads. Instruction sets differ by rounding: each output is within
 * 1e-5 of the sum of the magnitudes of what is summed up for it.
 */
#ifndef IL_KERNEL_BLOCK_H
#define IL_KERNEL_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inlay/error.h"
#include "kernel/channels.h"

enum il_block_resize {
	IL_BLOCK_SAME,          /* mid has the size of x */
	IL_BLOCK_ALIGN_CORNERS, /* sample i of n lies at i * (m - 1) / (n - 1) of the m of x (ONNX Resize) */
	IL_BLOCK_HALF_PIXEL,    /* at (i + 0.5) * m / n - 0.5, clamped to 0..m - 1 */
};

enum il_block_added {
	IL_BLOCK_NOTHING_ADDED,
	IL_BLOCK_FLOAT_ADDED,
	IL_BLOCK_HALF_ADDED, /* IEEE binary16 */
};

struct il_block_kernels;

/* Weights are read by il_block_create alone. Each bias may be NULL: zeros. */
struct il_block_params {
	int in, skip, mid, out; /* channels, 1..65536; skip 0: there is no second input */
	int stride;             /* of the depthwise convolution, 1 or 2 */
	bool residual;          /* x is added to y: in == out, stride 1, IL_BLOCK_SAME */
	enum il_block_resize resize;
	enum il_block_added added;
	enum il_number skip_type;
	const float *expand_w;                  /* [mid][in] */
	const float *skip_w;                    /* [mid][skip] */
	const float *expand_b;                  /* [mid] */
	const float *depthwise_w;               /* [mid][3][3] */
	const float *depthwise_b;               /* [mid] */
	const float *project_w;                 /* [out][mid] */
	const float *project_b;                 /* [out] */
	const struct il_block_kernels *kernels; /* NULL: the best for this processor */
	int tile_rows, tile_columns;            /* of y worked on at a time; 0: chosen by il_block_run. For tuning */
};

/* Worker threads of the caller. run() calls fn(ctx, task) once for each task below `tasks`, on `threads` threads at
 * most, in any order, and returns when all are done. */
struct il_parallel {
	unsigned threads;
	void (*run)(void *pool, unsigned tasks, void (*fn)(void *ctx, unsigned task), void *ctx);
	void *pool;
};

/* Read-only once it is made: any number of threads may run it. */
struct il_block;

/* What a run works on; nothing overlaps y. Sizes are >= 1, height * width < 2^31. */
struct il_block_io {
	const float *x; /* [in_h][in_w][in] */
	int in_h, in_w;
	const void *skip;  /* [mid_h][mid_w][skip], float or IEEE binary16 (skip_type) */
	const void *added; /* [mid_h][mid_w][mid] */
	int mid_h, mid_w;  /* in_h, in_w for IL_BLOCK_SAME */
	float *y;          /* [il_block_out(block, mid_h)][il_block_out(block, mid_w)][out] */
};

/* Packs the weights. INLAY_ERR_INVALID where params do not fit together. */
enum inlay_err il_block_create(struct il_block **block, const struct il_block_params *params, struct inlay_error *err);
void il_block_destroy(struct il_block **block);

/* Height or width of y from that of mid. */
int il_block_out(const struct il_block *block, int mid);

/* Multiplications and additions of a run, two a multiply-add; those of the resize are not counted. */
double il_block_operations(const struct il_block *block, int in_h, int in_w, int mid_h, int mid_w);

/* Bytes of scratch memory for runs on up to `threads` threads, of any alignment. */
size_t il_block_scratch(const struct il_block *block, int in_h, int in_w, int mid_h, int mid_w, unsigned threads);

/* parallel NULL: the caller's thread alone. Allocates nothing. */
void il_block_run(const struct il_block *block, const struct il_block_io *io, void *scratch,
                  const struct il_parallel *parallel);

/* Floats from one pixel to the next: channels rounded up to 8. */
static inline int il_block_stride(int channels)
{
	return (channels + 7) & ~7;
}

#endif
