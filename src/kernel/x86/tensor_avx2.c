/* Bytes to network input, and logits to probabilities, for AVX2. What would read past a row's end is left to C. */
#include "kernel/tensor.h"

#include <immintrin.h>

#define GROUP 8   /* pixels a step */
#define NEEDED 10 /* pixels that must be there: the second load ends 4 bytes behind the eighth */

static inline __m256 scale_bytes(__m128i bytes, __m256 scale, __m256 offset)
{
	__m256 values = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
	return _mm256_add_ps(_mm256_mul_ps(values, scale), offset);
}

/* Byte c of the eight pixels whose first four are in `low`, as the low eight bytes. */
static inline __m128i take_channel(__m128i low, __m128i high, __m128i from_low, __m128i from_high)
{
	return _mm_or_si128(_mm_shuffle_epi8(low, from_low), _mm_shuffle_epi8(high, from_high));
}

/* Byte c of each of four pixels into bytes 0 to 3, or 4 to 7. */
#define TAKE_LOW(c) _mm_setr_epi8((c), (c) + 3, (c) + 6, (c) + 9, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1)
#define TAKE_HIGH(c) _mm_setr_epi8(-1, -1, -1, -1, (c), (c) + 3, (c) + 6, (c) + 9, -1, -1, -1, -1, -1, -1, -1, -1)

IL_SIGNATURE_NORMALIZE_PLANAR(il_normalize_planar_avx2)
{
	const __m128i from_low[3] = { TAKE_LOW(0), TAKE_LOW(1), TAKE_LOW(2) };
	const __m128i from_high[3] = { TAKE_HIGH(0), TAKE_HIGH(1), TAKE_HIGH(2) };
	__m256 scale[3], offset[3];
	for (int c = 0; c < 3; c++) {
		scale[c] = _mm256_set1_ps(by->scale[c]);
		offset[c] = _mm256_set1_ps(by->offset[c]);
	}
	int i = 0;
	for (; i + NEEDED <= n; i += GROUP) {
		__m128i low = _mm_loadu_si128((const __m128i *)(pixels + 3 * i));
		__m128i high = _mm_loadu_si128((const __m128i *)(pixels + 3 * i + 12));
		for (int c = 0; c < 3; c++)
			_mm256_storeu_ps(out[c] + i, scale_bytes(take_channel(low, high, from_low[c], from_high[c]),
			                                         scale[c], offset[c]));
	}
	float *const rest[3] = { out[0] + i, out[1] + i, out[2] + i };
	il_normalize_planar_c(rest, pixels + 3 * i, by, n - i);
}

/* Lane k of vector v holds the entry of value 8 v + k, which is channel (8 v + k) mod 3. */
static inline __m256 repeat(const float entry[3], int v)
{
	float lanes[8];
	for (int k = 0; k < 8; k++)
		lanes[k] = entry[(8 * v + k) % 3];
	return _mm256_loadu_ps(lanes);
}

IL_SIGNATURE_NORMALIZE_PACKED(il_normalize_packed_avx2)
{
	const __m128i as_is = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, -1, -1, -1, -1);
	const __m128i swapped = _mm_setr_epi8(2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9, -1, -1, -1, -1);
	const __m128i order = swap ? swapped : as_is;
	__m256 scale[3], offset[3];
	for (int v = 0; v < 3; v++) {
		scale[v] = repeat(by->scale, v);
		offset[v] = repeat(by->offset, v);
	}
	int i = 0;
	for (; i + NEEDED <= n; i += GROUP) {
		__m128i low = _mm_loadu_si128((const __m128i *)(pixels + 3 * i));
		__m128i high = _mm_loadu_si128((const __m128i *)(pixels + 3 * i + 12));
		low = _mm_shuffle_epi8(low, order);
		high = _mm_shuffle_epi8(high, order);
		__m128i first = _mm_or_si128(low, _mm_slli_si128(high, 12)); /* values 0 to 15 */
		_mm256_storeu_ps(out + 3 * i, scale_bytes(first, scale[0], offset[0]));
		_mm256_storeu_ps(out + 3 * i + 8, scale_bytes(_mm_srli_si128(first, 8), scale[1], offset[1]));
		_mm256_storeu_ps(out + 3 * i + 16, scale_bytes(_mm_srli_si128(high, 4), scale[2], offset[2]));
	}
	il_normalize_packed_c(out + 3 * i, pixels + 3 * i, by, swap, n - i);
}

static inline __m256 step(__m256 p, __m256 r, float coefficient)
{
	return _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(coefficient));
}

/* max gives its second operand for NaN. */
static inline __m256 sigmoid(__m256 x)
{
	x = _mm256_max_ps(x, _mm256_set1_ps(-IL_SIGMOID_LIMIT));
	x = _mm256_min_ps(x, _mm256_set1_ps(IL_SIGMOID_LIMIT));
	__m256 minus = _mm256_sub_ps(_mm256_setzero_ps(), x), round = _mm256_set1_ps(IL_EXP_ROUND);
	__m256 shifted = _mm256_add_ps(_mm256_mul_ps(minus, _mm256_set1_ps(IL_EXP_LOG2E)), round);
	__m256 whole = _mm256_sub_ps(shifted, round);
	__m256 r = _mm256_sub_ps(minus, _mm256_mul_ps(whole, _mm256_set1_ps(IL_EXP_LN2_HIGH)));
	r = _mm256_sub_ps(r, _mm256_mul_ps(whole, _mm256_set1_ps(IL_EXP_LN2_LOW)));
	__m256i power = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(IL_EXP_ROUND_BITS - 127));
	power = _mm256_slli_epi32(power, 23);
	__m256 p = _mm256_set1_ps(IL_EXP_P0), one = _mm256_set1_ps(1.0f);
	p = step(p, r, IL_EXP_P1);
	p = step(p, r, IL_EXP_P2);
	p = step(p, r, IL_EXP_P3);
	p = step(p, r, IL_EXP_P4);
	p = step(p, r, IL_EXP_P5);
	p = _mm256_add_ps(_mm256_add_ps(_mm256_mul_ps(p, _mm256_mul_ps(r, r)), r), one);
	return _mm256_div_ps(one, _mm256_add_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(power)), one));
}

IL_SIGNATURE_SIGMOID(il_sigmoid_avx2)
{
	int i = 0;
	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(values + i, sigmoid(_mm256_loadu_ps(values + i)));
	il_sigmoid_c(values + i, n - i);
}
