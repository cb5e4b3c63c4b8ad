/* Bytes to network input, and logits to probabilities, in plain C. */
#include "kernel/tensor.h"

#include <string.h>

IL_SIGNATURE_NORMALIZE_PLANAR(il_normalize_planar_c)
{
	for (int c = 0; c < 3; c++)
		for (int i = 0; i < n; i++)
			out[c][i] = (float)pixels[3 * i + c] * by->scale[c] + by->offset[c];
}

IL_SIGNATURE_NORMALIZE_PACKED(il_normalize_packed_c)
{
	for (int i = 0; i < n; i++)
		for (int c = 0; c < 3; c++)
			out[3 * i + c] = (float)pixels[3 * i + (swap ? 2 - c : c)] * by->scale[c] + by->offset[c];
}

static inline float sigmoid(float x)
{
	x = x > -IL_SIGMOID_LIMIT ? x : -IL_SIGMOID_LIMIT; /* NaN too */
	x = x < IL_SIGMOID_LIMIT ? x : IL_SIGMOID_LIMIT;
	float minus = 0.0f - x, shifted = minus * IL_EXP_LOG2E + IL_EXP_ROUND, whole = shifted - IL_EXP_ROUND;
	float r = minus - whole * IL_EXP_LN2_HIGH - whole * IL_EXP_LN2_LOW, power;
	int32_t bits;
	memcpy(&bits, &shifted, sizeof bits);
	bits = (bits - IL_EXP_ROUND_BITS + 127) * (1 << 23);
	memcpy(&power, &bits, sizeof power);
	float p = IL_EXP_P0;
	p = p * r + IL_EXP_P1;
	p = p * r + IL_EXP_P2;
	p = p * r + IL_EXP_P3;
	p = p * r + IL_EXP_P4;
	p = p * r + IL_EXP_P5;
	p = p * (r * r) + r + 1.0f;
	return 1.0f / (p * power + 1.0f);
}

IL_SIGNATURE_SIGMOID(il_sigmoid_c)
{
	for (int i = 0; i < n; i++)
		values[i] = sigmoid(values[i]);
}
