/* Blending in plain C. */
#include "kernel/mask_kernels.h"

static inline uint8_t mix(uint8_t fg, uint8_t bg, uint8_t alpha)
{
	return (uint8_t)((fg * alpha + bg * (255 - alpha) + 127) / 255);
}

static IL_SIGNATURE_BLEND_ROW(row)
{
	for (int i = 0; i < n; i++)
		out[i] = mix(fg[i], bg[i], alpha[i]);
}

static IL_SIGNATURE_BLEND_PAIRS(pairs)
{
	for (int i = 0; i < 2 * n; i++)
		out[i] = mix(fg[i], bg[i], alpha[i / 2]);
}

static IL_SIGNATURE_BLEND_HALVE(halve)
{
	for (int i = 0; i < n; i++)
		out[i] = (uint8_t)((row0[2 * i] + row0[2 * i + 1] + row1[2 * i] + row1[2 * i + 1] + 2) >> 2);
}

static IL_SIGNATURE_BLEND_CLASSIFY(classify)
{
	uint8_t all = 255, any = 0;
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			all &= alpha[y * stride + x];
			any |= alpha[y * stride + x];
		}
	return all == 255 ? IL_ALPHA_FULL : any == 0 ? IL_ALPHA_EMPTY : IL_ALPHA_MIXED;
}

static IL_SIGNATURE_BLEND_SQUARES(squares)
{
	uint64_t sum = 0;
	for (int i = 0; i < n; i++) {
		int d = a[i] - b[i];
		sum += (unsigned)(d * d);
	}
	return sum;
}

const struct il_blend_kernels il_blend_kernels_c = {
	.row = row,
	.pairs = pairs,
	.halve = halve,
	.classify = classify,
	.squares = squares,
};
