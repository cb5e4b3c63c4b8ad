/* The guided filter's kernels in plain C. */
#include "kernel/guided_kernels.h"

#include <string.h>

static IL_SIGNATURE_ADD_ROW(add_row)
{
	for (int i = 0; i < n; i++)
		sums[i] = (uint16_t)(sums[i] + row[i]);
}

static IL_SIGNATURE_SLIDE_MOMENTS(slide_moments)
{
	int32_t *sum_i = columns, *sum_p = sum_i + n, *sum_ii = sum_p + n, *sum_ip = sum_ii + n;
	for (int x = 0; x < n; x++) {
		int i = (int)(in[x] & 0xffff), p = (int)(in[x] >> 16);
		int j = (int)(out[x] & 0xffff), q = (int)(out[x] >> 16);
		sum_i[x] += i - j;
		sum_p[x] += p - q;
		sum_ii[x] += i * i - j * j;
		sum_ip[x] += i * p - j * q;
	}
}

/* By sums of all before: zeros, the running sum, copies of the last. */
static IL_SIGNATURE_BOX_SUMS(box_sums)
{
	uint32_t sum = 0;
	memset(scratch, 0, ((size_t)radius + 1) * sizeof *scratch);
	for (int x = 0; x < n + radius; x++) {
		sum += x < n ? (uint32_t)in[x] : 0;
		scratch[radius + 1 + x] = (int32_t)sum;
	}
	for (int x = 0; x < n; x++)
		sums[x] = (int32_t)((uint32_t)scratch[x + 2 * radius + 1] - (uint32_t)scratch[x]);
}

static IL_SIGNATURE_SOLVE(solve)
{
	const int32_t *sum_i = sums, *sum_p = sum_i + n, *sum_ii = sum_p + n, *sum_ip = sum_ii + n;
	for (int x = 0; x < n; x++) {
		float count = counts[x] * by->rows;
		double samples = (double)count, i = sum_i[x], p = sum_p[x];
		float covariance = (float)(samples * sum_ip[x] - i * p),
		      variance = (float)(samples * sum_ii[x] - i * i);
		float slope = covariance / (variance + count * count * by->epsilon);
		float offset = ((float)sum_p[x] - slope * (float)sum_i[x]) / (count * by->unit);
		a[x] = (int32_t)(slope * by->scale);
		b[x] = (int32_t)(offset * by->scale);
	}
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
	.slide_moments = slide_moments,
	.box_sums = box_sums,
	.solve = solve,
	.apply_row = apply_row,
};
