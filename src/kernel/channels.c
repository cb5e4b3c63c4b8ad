#include "kernel/channels.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/error.h"
#include "kernel/block.h"
#include "kernel/channels_kernels.h"
#include "kernel/kernel.h"

#define CHUNK 64 /* pixels of a head that are in the cache at a time */
#define MAX_IN 65536

struct il_head {
	int in, out;
	float bias[IL_HEAD_OUT];
	float weights[]; /* [in][IL_HEAD_OUT] */
};

static const struct il_channels_kernels *kernels(void)
{
#if defined(__x86_64__)
	if (il_cpu_flags() & IL_CPU_AVX2)
		return &il_channels_kernels_avx2;
#endif
	return &il_channels_kernels_c;
}

static void *at(void *numbers, enum il_number type, size_t i)
{
	return (char *)numbers + i * (type == IL_FLOAT16 ? sizeof(uint16_t) : sizeof(float));
}

void il_channels_last(const struct il_channels *p, size_t first, size_t n)
{
	const size_t stride = (size_t)il_block_stride(p->channels);
	const struct il_transposed t = {
		.from = at(p->planes, p->planes_type, first),
		.from_stride = p->pixels,
		.from_type = p->planes_type,
		.to = at(p->last, p->last_type, first * stride),
		.to_stride = stride,
		.to_type = p->last_type,
		.rows = (size_t)p->channels,
		.padded = stride,
		.columns = n,
	};
	kernels()->transpose(&t);
}

void il_channels_first(const struct il_channels *p, size_t first, size_t n)
{
	const size_t stride = (size_t)il_block_stride(p->channels);
	const struct il_transposed t = {
		.from = at(p->last, p->last_type, first * stride),
		.from_stride = stride,
		.from_type = p->last_type,
		.to = at(p->planes, p->planes_type, first),
		.to_stride = p->pixels,
		.to_type = p->planes_type,
		.rows = n,
		.padded = n,
		.columns = (size_t)p->channels,
	};
	kernels()->transpose(&t);
}

enum inlay_err il_head_create(struct il_head **head, int in, int out, const float *weights, const float *bias,
                              struct inlay_error *err)
{
	*head = NULL;
	if (in < 1 || in > MAX_IN || out < 1 || out > IL_HEAD_OUT)
		return il_fail(err, INLAY_ERR_INVALID, "head: %d > %d channels; expected up to %d > %d", in, out,
		               MAX_IN, IL_HEAD_OUT);
	struct il_head *h = calloc(1, sizeof *h + (size_t)in * IL_HEAD_OUT * sizeof(float));
	if (!h)
		return il_fail_memory(err);
	h->in = in;
	h->out = out;
	for (int o = 0; o < out; o++) {
		h->bias[o] = bias ? bias[o] : 0.0f;
		for (int k = 0; k < in; k++)
			h->weights[k * IL_HEAD_OUT + o] = weights[(size_t)o * (size_t)in + (size_t)k];
	}
	*head = h;
	return INLAY_OK;
}

void il_head_destroy(struct il_head **head)
{
	free(*head);
	*head = NULL;
}

static void pack_floats(float *out, const float *planes, size_t n, int channels)
{
	for (size_t i = 0; i < n; i++)
		for (int c = 0; c < channels; c++)
			out[i * (size_t)channels + (size_t)c] = planes[(size_t)c * n + i];
}

void il_head_run(const struct il_head *head, const float *x, size_t pixels, size_t first, size_t n, void *out,
                 enum il_head_format format)
{
	const size_t stride = (size_t)il_block_stride(head->in), channels = (size_t)head->out;
	float planes[IL_HEAD_OUT * CHUNK];
	for (size_t end = first + n, i = first; i < end; i += CHUNK) {
		const size_t chunk = end - i < CHUNK ? end - i : CHUNK;
		kernels()->logits(planes, x + i * stride, stride, chunk, head->weights, head->bias, head->in);
		il_kernels_get()->sigmoid(planes, (int)(chunk * channels));
		if (format == IL_HEAD_BYTES)
			kernels()->pack_bytes((uint8_t *)out + i * channels, planes, chunk, head->out);
		else if (format == IL_HEAD_PACKED)
			pack_floats((float *)out + i * channels, planes, chunk, head->out);
		else
			for (size_t c = 0; c < channels; c++)
				memcpy((float *)out + c * pixels + i, planes + c * chunk, chunk * sizeof *planes);
	}
}
