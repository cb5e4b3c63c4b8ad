/* Inner loops of channels.c; rules as in kernel.h. */
#ifndef IL_KERNEL_CHANNELS_KERNELS_H
#define IL_KERNEL_CHANNELS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/channels.h"

/* to[column][row] = from[row][column] for `rows` x `columns` numbers; the rows of `to` are filled with zeros up to
 * `padded` >= rows. Strides are in numbers. */
struct il_transposed {
	const void *from;
	size_t from_stride;
	enum il_number from_type;
	void *to;
	size_t to_stride;
	enum il_number to_type;
	size_t rows, padded, columns;
};
#define IL_SIGNATURE_TRANSPOSE(name) void name(const struct il_transposed *t)

/* n pixels of x, `stride` floats from one to the next: planes[o][i] = bias[o] + sum of weights[k][o] * x[i][k], n
 * floats a plane; in that order. All IL_HEAD_OUT planes are written. */
#define IL_SIGNATURE_LOGITS(name)                                                                                      \
	void name(float *planes, const float *x, size_t stride, size_t n, const float *weights, const float *bias,     \
	          int in)

/* n pixels of `channels` planes, n floats each, in 0..1: out[i][c] = 255 * p, truncated. */
#define IL_SIGNATURE_PACK_BYTES(name) void name(uint8_t *out, const float *planes, size_t n, int channels)

typedef IL_SIGNATURE_TRANSPOSE(il_transpose_fn);
typedef IL_SIGNATURE_LOGITS(il_logits_fn);
typedef IL_SIGNATURE_PACK_BYTES(il_pack_bytes_fn);

struct il_channels_kernels {
	il_transpose_fn *transpose;
	il_logits_fn *logits;
	il_pack_bytes_fn *pack_bytes;
};

extern const struct il_channels_kernels il_channels_kernels_c;
extern const struct il_channels_kernels il_channels_kernels_avx2; /* x86/channels_avx2.c */

#endif
