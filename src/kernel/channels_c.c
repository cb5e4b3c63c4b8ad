/* Channels last and first, and sums of a head, in plain C. */
#include "kernel/channels_kernels.h"

#include <string.h>

#include "kernel/half.h"

static float get(const void *numbers, enum il_number type, size_t i)
{
	return type == IL_FLOAT16 ? il_float_of_half(((const uint16_t *)numbers)[i]) : ((const float *)numbers)[i];
}

static void put(void *numbers, enum il_number type, size_t i, float v)
{
	if (type == IL_FLOAT16)
		((uint16_t *)numbers)[i] = il_half_of_float(v);
	else
		((float *)numbers)[i] = v;
}

static IL_SIGNATURE_TRANSPOSE(transpose)
{
	for (size_t column = 0; column < t->columns; column++)
		for (size_t row = 0; row < t->padded; row++)
			put(t->to, t->to_type, column * t->to_stride + row,
			    row < t->rows ? get(t->from, t->from_type, row * t->from_stride + column) : 0.0f);
}

static IL_SIGNATURE_LOGITS(logits)
{
	for (size_t i = 0; i < n; i++)
		for (int o = 0; o < IL_HEAD_OUT; o++) {
			float sum = bias[o];
			for (int k = 0; k < in; k++)
				sum += weights[k * IL_HEAD_OUT + o] * x[i * stride + (size_t)k];
			planes[(size_t)o * n + i] = sum;
		}
}

static IL_SIGNATURE_PACK_BYTES(pack_bytes)
{
	for (size_t i = 0; i < n; i++)
		for (int c = 0; c < channels; c++)
			out[i * (size_t)channels + (size_t)c] = (uint8_t)(255.0f * planes[(size_t)c * n + i]);
}

const struct il_channels_kernels il_channels_kernels_c = {
	.transpose = transpose,
	.logits = logits,
	.pack_bytes = pack_bytes,
};
