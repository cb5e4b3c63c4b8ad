/* The guided filter's kernels in plain C. */
#include "kernel/guided_kernels.h"

#include <string.h>

static IL_SIGNATURE_ADD_ROW(add_row)
{
	for (int i = 0; i < n; i++)
		sums[i] = (uint16_t)(sums[i] + row[i]);
}

/* Rounds to nearest even without a library call: at 1.5 * 2^23 the steps of a float are 1. For |value| < 2^22. */
static inline int round_even(float value)
{
	float shifted = value + 12582912.0f;
	int32_t bits;
	memcpy(&bits, &shifted, sizeof bits);
	return bits - 0x4b400000;
}

static inline float between(const float *values, float part)
{
	return values[0] + (values[1] - values[0]) * part;
}

static IL_SIGNATURE_APPLY_ROW(apply_row)
{
	for (int i = 0; i < n; i++) {
		int k = map->base[i / IL_GUIDED_BLOCK] + map->first[i];
		float alpha = (float)luma[i] * between(a + k, map->part[i]) + between(b + k, map->part[i]);
		alpha = alpha > 0.0f ? alpha : 0.0f;
		out[i] = (uint8_t)round_even(alpha < 255.0f ? alpha : 255.0f);
	}
}

const struct il_guided_kernels il_guided_kernels_c = {
	.add_row = add_row,
	.apply_row = apply_row,
};
