/* The blur kernels in plain C. */
#include "kernel/blur_kernels.h"

#include <string.h>

#define LANES IL_STRIP_LANES
#define PAIR_VALUES (2 * IL_PAIR_LANES)

static inline int clamp_index(int i, int n)
{
	return i < 0 ? 0 : i < n ? i : n - 1;
}

static inline uint16_t high_product(uint16_t a, uint16_t b)
{
	return (uint16_t)((uint32_t)a * b >> 16);
}

static inline uint8_t weigh_fast(const struct il_box *box, int full, int partial)
{
	uint16_t sum = (uint16_t)(box->bias + (full << box->scale));
	return (uint8_t)((high_product(sum, box->fast_full) +
	                  high_product((uint16_t)(partial << 6), box->fast_partial)) >>
	                 7);
}

static inline uint8_t weigh_exactly(const struct il_box *box, int full, int partial)
{
	return (uint8_t)(((uint32_t)full * box->full + (uint32_t)partial * box->partial + (1u << 23)) >> 24);
}

static IL_SIGNATURE_BOX_STRIP(box_strip)
{
	int total[LANES] = { 0 }; /* the full samples and the partial one behind them */
	int r = box->radius;
	for (int k = -r - 1; k <= r; k++)
		for (int i = 0; i < LANES; i++)
			total[i] += src[clamp_index(k, n) * src_step + i];
	for (int x = 0; x < n; x++) {
		const uint8_t *before = src + clamp_index(x - r - 1, n) * src_step;
		const uint8_t *behind = src + clamp_index(x + r + 1, n) * src_step;
		for (int i = 0; i < LANES; i++) {
			int full = total[i] - before[i], partial = before[i] + behind[i];
			total[i] = full + behind[i];
			dst[i] = box->fast ? weigh_fast(box, full, partial) : weigh_exactly(box, full, partial);
		}
		dst += dst_step;
	}
}

static IL_SIGNATURE_MIX_LINES(mix_lines)
{
	const uint8_t *a = lines[0], *b = lines[1], *c = lines[2], *d = lines[3];
	const uint8_t *e = lines[4], *f = lines[5], *g = lines[6];
	for (int x = 0; x < n; x++) {
		int sum = d[x] * taps[0] + (c[x] + e[x]) * taps[1] + (b[x] + f[x]) * taps[2] + (a[x] + g[x]) * taps[3] +
		          128;
		out[x] = (uint8_t)(sum >> 8);
	}
}

static IL_SIGNATURE_ROWS_TO_STRIP(rows_to_strip)
{
	for (int y = 0; y < LANES; y++) {
		const uint8_t *row = rows + (y < height ? y : height - 1) * stride;
		for (int x = 0; x < width; x++)
			strip[(ptrdiff_t)x * LANES + y] = row[x];
	}
}

static IL_SIGNATURE_STRIP_TO_ROWS(strip_to_rows)
{
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			rows[y * stride + x] = strip[(ptrdiff_t)x * LANES + y];
}

/* Rounds to nearest even without a library call: at 1.5 * 2^23 the steps of a float are 1. For |value| < 2^22. */
static inline int round_even(float value)
{
	float shifted = value + 12582912.0f;
	int32_t bits;
	memcpy(&bits, &shifted, sizeof bits);
	return bits - 0x4b400000;
}

static inline const uint16_t *pair_at(const uint16_t *src, ptrdiff_t step, int i, int n)
{
	return (const uint16_t *)((const char *)src + clamp_index(i, n) * step);
}

static IL_SIGNATURE_BOX_PAIRS(box_pairs)
{
	int32_t total[PAIR_VALUES] = { 0 };
	int r = box->radius;
	for (int k = -r - 1; k <= r; k++)
		for (int i = 0; i < PAIR_VALUES; i++)
			total[i] += pair_at(src, src_step, k, n)[i];
	for (int x = 0; x < n; x++) {
		const uint16_t *before = pair_at(src, src_step, x - r - 1, n);
		const uint16_t *behind = pair_at(src, src_step, x + r + 1, n);
		for (int i = 0; i < PAIR_VALUES; i++) {
			int32_t full = total[i] - before[i], partial = before[i] + behind[i];
			total[i] = full + behind[i];
			dst[i] = (uint16_t)round_even((float)full * box->full + (float)partial * box->partial);
		}
		dst = (uint16_t *)((char *)dst + dst_step);
	}
}

static IL_SIGNATURE_PAIRS_TO_STRIP(pairs_to_strip)
{
	for (int y = 0; y < IL_PAIR_LANES; y++) {
		const char *row = (const char *)rows + (y < height ? y : height - 1) * stride;
		for (int x = 0; x < width; x++)
			memcpy(strip + (ptrdiff_t)x * PAIR_VALUES + 2 * y, row + 4 * (ptrdiff_t)x, 4);
	}
}

static IL_SIGNATURE_STRIP_TO_PAIRS(strip_to_pairs)
{
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			memcpy((char *)rows + y * stride + 4 * (ptrdiff_t)x, strip + (ptrdiff_t)x * PAIR_VALUES + 2 * y,
			       4);
}

static IL_SIGNATURE_WEIGH(weigh)
{
	int size = 1 << level, half = 1 << 2 * level >> 1;
	for (int i = 0; i < n; i++) {
		int values = half, weights = half;
		for (int y = 0; y < size; y++)
			for (int x = i * size; x < (i + 1) * size; x++) {
				int w = alpha ? 255 - alpha[y * a_stride + x] : 255;
				values += p[y * p_stride + x] * w;
				weights += 255 * w;
			}
		pairs[2 * i] = (uint16_t)(values >> 2 * level);
		pairs[2 * i + 1] = (uint16_t)(weights >> 2 * level);
	}
}

static IL_SIGNATURE_DIVIDE_PAIRS(divide_pairs)
{
	for (int i = 0; i < n; i++) {
		float value = (float)pairs[2 * i], weight = (float)pairs[2 * i + 1];
		float missing = 1.0f - weight * (16.0f / IL_PAIR_FULL);
		missing = missing > 0.0f ? missing : 0.0f;
		float doubt = missing * missing * IL_PAIR_TRUST;
		float mean = (value * 16320.0f + doubt * (float)fallback[i]) / (weight + doubt);
		out[i] = (uint16_t)round_even(mean < 16320.0f ? mean : 16320.0f);
	}
}

static inline int lerp(int a, int b, int weight)
{
	return a + (((b - a) * weight + (1 << 14)) >> 15);
}

static IL_SIGNATURE_LERP_ROW(lerp_row)
{
	for (int i = 0; i < n; i++)
		out[i] = (uint16_t)lerp(a[i], b[i], weight);
}

static IL_SIGNATURE_EXPAND_ROW(expand_row)
{
	int size = 1 << level;
	for (int i = 0; i < n; i++)
		for (int k = 0; k < size; k++) {
			int side = 2 * k + 1 - size; /* of the value's centre, in half bytes */
			int weight = (side < 0 ? -side : side) << (14 - level);
			out[i * size + k] = (uint8_t)((lerp(row[i], row[side < 0 ? i - 1 : i + 1], weight) + 32) >> 6);
		}
}

const struct il_blur_kernels il_blur_kernels_c = {
	.box_strip = box_strip,
	.rows_to_strip = rows_to_strip,
	.strip_to_rows = strip_to_rows,
	.mix_lines = mix_lines,
	.box_pairs = box_pairs,
	.pairs_to_strip = pairs_to_strip,
	.strip_to_pairs = strip_to_pairs,
	.weigh = weigh,
	.divide_pairs = divide_pairs,
	.lerp_row = lerp_row,
	.expand_row = expand_row,
};
