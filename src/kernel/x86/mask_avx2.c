/* Values of masks for AVX2. What is left of a row is done by the C table. */
#include "kernel/mask_kernels.h"

#include <immintrin.h>

static inline __m256i load(const void *from)
{
	return _mm256_loadu_si256((const __m256i *)from);
}

static inline void store(void *to, __m256i value)
{
	_mm256_storeu_si256((__m256i *)to, value);
}

/* Eight values as 32-bit numbers 0..255. max gives its second operand for NaN. */
static inline __m256i ramp_eight(const float *in, __m256 scale, __m256 low, __m256 span)
{
	__m256 m = _mm256_mul_ps(_mm256_loadu_ps(in), scale);
	m = _mm256_div_ps(_mm256_sub_ps(m, low), span);
	m = _mm256_min_ps(_mm256_max_ps(m, _mm256_setzero_ps()), _mm256_set1_ps(1.0f));
	return _mm256_cvttps_epi32(_mm256_mul_ps(m, _mm256_set1_ps(255.0f)));
}

static inline __m256i step_eight(const float *in, __m256 scale, __m256 low)
{
	__m256 m = _mm256_mul_ps(_mm256_loadu_ps(in), scale);
	return _mm256_srli_epi32(_mm256_castps_si256(_mm256_cmp_ps(m, low, _CMP_GE_OQ)), 24);
}

static IL_SIGNATURE_MASK_RAMP(ramp_row)
{
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	const __m256 s = _mm256_set1_ps(scale), low = _mm256_set1_ps(ramp->low), span = _mm256_set1_ps(ramp->span);
	int i = 0;
	for (; i + 32 <= n; i += 32) {
		__m256i v[4];
		for (int k = 0; k < 4; k++)
			v[k] = ramp->span == 0.0f ? step_eight(in + i + 8 * k, s, low)
			                          : ramp_eight(in + i + 8 * k, s, low, span);
		__m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
		store(out + i, _mm256_permutevar8x32_epi32(bytes, order));
	}
	il_mask_kernels_c.ramp(out + i, in + i, scale, ramp, n - i);
}

/* The same operations in the same order as mask_c.c. */
static inline __m256 exponential(__m256 x)
{
	const __m256 magic = _mm256_set1_ps(12582912.0f);
	static const float coefs[] = { 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f,
		                       5.0000001201e-1f };
	__m256 shifted = _mm256_add_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), magic);
	__m256 k = _mm256_sub_ps(shifted, magic);
	__m256 r = _mm256_sub_ps(x, _mm256_mul_ps(k, _mm256_set1_ps(0.693359375f)));
	r = _mm256_sub_ps(r, _mm256_mul_ps(k, _mm256_set1_ps(-2.12194440e-4f)));
	__m256 p = _mm256_set1_ps(1.9875691500e-4f);
	for (int i = 0; i < 5; i++)
		p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(coefs[i]));
	p = _mm256_add_ps(_mm256_mul_ps(p, _mm256_mul_ps(r, r)), r);
	p = _mm256_add_ps(p, _mm256_set1_ps(1.0f));
	__m256i power = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
	return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), power));
}

static inline __m256 sigmoid(__m256 x)
{
	x = _mm256_max_ps(x, _mm256_set1_ps(-87.0f));
	x = _mm256_min_ps(x, _mm256_set1_ps(87.0f));
	x = exponential(_mm256_xor_ps(x, _mm256_set1_ps(-0.0f)));
	return _mm256_div_ps(_mm256_set1_ps(1.0f), _mm256_add_ps(_mm256_set1_ps(1.0f), x));
}

/* Eight values `step` floats apart; two is what a network with two channels last has. */
static inline __m256 load_strided(const float *in, ptrdiff_t step)
{
	if (step == 1)
		return _mm256_loadu_ps(in);
	return _mm256_setr_ps(in[0], in[step], in[2 * step], in[3 * step], in[4 * step], in[5 * step], in[6 * step],
	                      in[7 * step]);
}

static IL_SIGNATURE_MASK_ACTIVATE(activate)
{
	int i = 0;
	for (; i + 8 <= n; i += 8) {
		__m256 x = load_strided(person + i * step, step);
		if (other)
			x = _mm256_sub_ps(x, load_strided(other + i * step, step));
		_mm256_storeu_ps(out + i, sigmoid(x));
	}
	il_mask_kernels_c.activate(out + i, person + i * step, other ? other + i * step : NULL, step, n - i);
}

/* A table of 128 as eight tables of 16, each but the first xored with the one before it: a byte in 0..127 that goes
 * down by 16 a step meets all up to its own, and then is negative, for which a shuffle gives 0. */
static void split_table(__m256i parts[8], const uint8_t *table)
{
	__m128i before = _mm_setzero_si128();
	for (int k = 0; k < 8; k++) {
		__m128i own = _mm_loadu_si128((const __m128i *)(table + 16 * k));
		parts[k] = _mm256_broadcastsi128_si256(_mm_xor_si128(own, before));
		before = own;
	}
}

static inline __m256i look_up(const __m256i parts[8], __m256i at)
{
	const __m256i sixteen = _mm256_set1_epi8(16);
	__m256i found = _mm256_shuffle_epi8(parts[0], at);
	for (int k = 1; k < 8; k++) {
		at = _mm256_subs_epi8(at, sixteen); /* saturated, so that what is negative stays so */
		found = _mm256_xor_si256(found, _mm256_shuffle_epi8(parts[k], at));
	}
	return found;
}

static IL_SIGNATURE_MASK_MAP(map)
{
	__m256i lower[8], upper[8];
	int i = 0;
	if (n >= 256) {
		split_table(lower, table);
		split_table(upper, table + 128);
		for (; i + 32 <= n; i += 32) {
			__m256i v = load(in + i), flipped = _mm256_xor_si256(v, _mm256_set1_epi8(-128));
			__m256i others = _mm256_xor_si256(v, _mm256_broadcastb_epi8(_mm256_castsi256_si128(v)));
			if (_mm256_testz_si256(others, others)) { /* most of a mask is flat */
				store(out + i, _mm256_set1_epi8((char)table[in[i]]));
				continue;
			}
			store(out + i, _mm256_or_si256(look_up(lower, v), look_up(upper, flipped)));
		}
	}
	il_mask_kernels_c.map(out + i, in + i, table, n - i);
}

static inline __m256i step_of(__m256i distance, __m256i gain)
{
	return _mm256_max_epu16(_mm256_mulhi_epu16(distance, gain), _mm256_min_epu16(distance, _mm256_set1_epi16(1)));
}

/* 16 values on their way to `in`, rounded to whole levels. */
static inline __m256i smooth_sixteen(uint16_t *state, const uint8_t *in, __m256i gain)
{
	__m256i target = _mm256_slli_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)in)), 8);
	__m256i now = load(state);
	__m256i up = _mm256_subs_epu16(target, now), down = _mm256_subs_epu16(now, target);
	__m256i any = _mm256_or_si256(up, down);
	if (!_mm256_testz_si256(any, any)) { /* most of a mask stands still */
		now = _mm256_sub_epi16(_mm256_add_epi16(now, step_of(up, gain)), step_of(down, gain));
		store(state, now);
	}
	return _mm256_srli_epi16(_mm256_add_epi16(now, _mm256_set1_epi16(128)), 8);
}

static IL_SIGNATURE_MASK_SMOOTH(smooth)
{
	const __m256i g = _mm256_set1_epi16((int16_t)gain);
	int i = 0;
	for (; i + 32 <= n; i += 32) {
		__m256i low = smooth_sixteen(state + i, in + i, g);
		__m256i high = smooth_sixteen(state + i + 16, in + i + 16, g);
		store(out + i, _mm256_permute4x64_epi64(_mm256_packus_epi16(low, high), 0xd8));
	}
	il_mask_kernels_c.smooth(out + i, state + i, in + i, gain, n - i);
}

static IL_SIGNATURE_MASK_PICK(pick)
{
	int i = 0;
	for (; i + 32 <= n; i += 32) {
		__m256i va = load(a + i), vb = load(b + i);
		store(out + i, least ? _mm256_min_epu8(va, vb) : _mm256_max_epu8(va, vb));
	}
	il_mask_kernels_c.pick(out + i, a + i, b + i, least, n - i);
}

static IL_SIGNATURE_MASK_INVERT(invert)
{
	int i = 0;
	for (; i + 32 <= n; i += 32)
		store(out + i, _mm256_xor_si256(load(in + i), _mm256_set1_epi8(-1)));
	il_mask_kernels_c.invert(out + i, in + i, n - i);
}

/* 16 indices, from the first one on. */
static inline __m128i order_of(const int16_t *index)
{
	__m256i from = _mm256_sub_epi16(load(index), _mm256_set1_epi16(index[0]));
	return _mm_packus_epi16(_mm256_castsi256_si128(from), _mm256_extracti128_si256(from, 1));
}

/* When enlarging, the sources of 16 pixels lie in 16 bytes. */
static IL_SIGNATURE_MASK_EXPAND(expand)
{
	int i = 0;
	for (; i + 16 <= n; i += 16) {
		if (index[i + 15] - index[i] > 15) {
			il_mask_kernels_c.expand(out + i, in, index + i, 16);
			continue;
		}
		__m128i bytes = _mm_loadu_si128((const __m128i *)(in + index[i]));
		_mm_storeu_si128((__m128i *)(out + i), _mm_shuffle_epi8(bytes, order_of(index + i)));
	}
	il_mask_kernels_c.expand(out + i, in, index + i, n - i);
}

static IL_SIGNATURE_MASK_LERP_EXPAND(lerp_expand)
{
	int i = 0;
	for (; i + 16 <= n; i += 16) {
		if (index[i + 15] - index[i] > 15) {
			il_mask_kernels_c.lerp_expand(out + i, in, index + i, weight + i, 16);
			continue;
		}
		__m128i order = order_of(index + i);
		__m128i a = _mm_loadu_si128((const __m128i *)(in + index[i]));
		__m128i b = _mm_loadu_si128((const __m128i *)(in + index[i] + 1));
		__m256i v = _mm256_slli_epi16(_mm256_cvtepu8_epi16(_mm_shuffle_epi8(a, order)), 7);
		__m256i d = _mm256_slli_epi16(_mm256_cvtepu8_epi16(_mm_shuffle_epi8(b, order)), 7);
		d = _mm256_mulhrs_epi16(_mm256_sub_epi16(d, v), load(weight + i));
		store(out + i, _mm256_add_epi16(v, d));
	}
	il_mask_kernels_c.lerp_expand(out + i, in, index + i, weight + i, n - i);
}

static inline __m256i lerp_sixteen(const int16_t *a, const int16_t *b, __m256i weight)
{
	__m256i v = load(a), d = _mm256_mulhrs_epi16(_mm256_sub_epi16(load(b), v), weight);
	return _mm256_srai_epi16(_mm256_add_epi16(_mm256_add_epi16(v, d), _mm256_set1_epi16(64)), 7);
}

static IL_SIGNATURE_MASK_LERP_ROWS(lerp_rows)
{
	const __m256i w = _mm256_set1_epi16((int16_t)weight);
	int i = 0;
	for (; i + 32 <= n; i += 32) {
		__m256i low = lerp_sixteen(a + i, b + i, w), high = lerp_sixteen(a + i + 16, b + i + 16, w);
		store(out + i, _mm256_permute4x64_epi64(_mm256_packus_epi16(low, high), 0xd8));
	}
	il_mask_kernels_c.lerp_rows(out + i, a + i, b + i, weight, n - i);
}

const struct il_mask_kernels il_mask_kernels_avx2 = {
	.ramp = ramp_row,
	.activate = activate,
	.map = map,
	.smooth = smooth,
	.pick = pick,
	.invert = invert,
	.expand = expand,
	.lerp_rows = lerp_rows,
	.lerp_expand = lerp_expand,
};
