/* Between planes (channels first, [channel][pixel]) and channels last ([pixel][il_block_stride(channels)], see
 * block.h), and the end of a network that draws: a 1x1 convolution to a few channels, sigmoid, bytes.
 *
 * All of it works on pixels first to first + n of `pixels`, so that threads may share a picture. Nothing overlaps.
 */
#ifndef IL_KERNEL_CHANNELS_H
#define IL_KERNEL_CHANNELS_H

#include <stddef.h>
#include <stdint.h>

#include "inlay/error.h"

enum il_number {
	IL_FLOAT32,
	IL_FLOAT16, /* IEEE binary16; rounded to nearest even */
};

/* Where a picture's numbers are. */
struct il_channels {
	int channels;
	size_t pixels;
	void *planes; /* [channels][pixels] */
	enum il_number planes_type;
	void *last; /* [pixels][il_block_stride(channels)] */
	enum il_number last_type;
};

/* Reads planes, writes last, lanes behind the last channel as zeros. */
void il_channels_last(const struct il_channels *picture, size_t first, size_t n);

/* Reads last, writes planes. */
void il_channels_first(const struct il_channels *picture, size_t first, size_t n);

#define IL_HEAD_OUT 4

/* Read-only once it is made. */
struct il_head;

enum il_head_format {
	IL_HEAD_BYTES,  /* uint8_t [pixels][out]: 255 * p, truncated towards zero, NaN gives 0 */
	IL_HEAD_PACKED, /* float [pixels][out] */
	IL_HEAD_PLANES, /* float [out][pixels] */
};

/* weights: [out][in], bias [out] or NULL; out up to IL_HEAD_OUT. INLAY_ERR_INVALID for other sizes. */
enum inlay_err il_head_create(struct il_head **head, int in, int out, const float *weights, const float *bias,
                              struct inlay_error *err);
void il_head_destroy(struct il_head **head);

/* p = 1 / (1 + exp(-(weights . x + bias))), within 1e-6 where the sum's magnitudes are up to 10. x is channels last. */
void il_head_run(const struct il_head *head, const float *x, size_t pixels, size_t first, size_t n, void *out,
                 enum il_head_format format);

#endif
