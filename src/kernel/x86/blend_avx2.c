/* Blending for AVX2. What is left of a row is done by the C table. */
#include "kernel/mask_kernels.h"

#include <immintrin.h>

static inline __m256i load(const uint8_t *from)
{
	return _mm256_loadu_si256((const __m256i *)from);
}

static inline void store(uint8_t *to, __m256i value)
{
	_mm256_storeu_si256((__m256i *)to, value);
}

/* (fg * alpha + bg * (255 - alpha) + 127) / 255 of 16 pairs of weights alpha, 255 - alpha and pairs fg - 128, bg - 128:
 * their products lack 128 * 255, and then fit in 16 bits with a sign; the sum itself fits without. */
static inline __m256i mix_words(__m256i weights, __m256i pixels)
{
	__m256i sum = _mm256_maddubs_epi16(weights, pixels);
	sum = _mm256_add_epi16(sum, _mm256_set1_epi16(128 * 255 + 127));
	return _mm256_srli_epi16(_mm256_mulhi_epu16(sum, _mm256_set1_epi16((int16_t)0x8081)), 7);
}

static inline __m256i mix(__m256i fg, __m256i bg, __m256i alpha)
{
	const __m256i half = _mm256_set1_epi8(-128);
	__m256i rest = _mm256_xor_si256(alpha, _mm256_set1_epi8(-1));
	fg = _mm256_xor_si256(fg, half);
	bg = _mm256_xor_si256(bg, half);
	__m256i low = mix_words(_mm256_unpacklo_epi8(alpha, rest), _mm256_unpacklo_epi8(fg, bg));
	__m256i high = mix_words(_mm256_unpackhi_epi8(alpha, rest), _mm256_unpackhi_epi8(fg, bg));
	return _mm256_packus_epi16(low, high);
}

static IL_SIGNATURE_BLEND_ROW(row)
{
	int i = 0;
	for (; i + 32 <= n; i += 32)
		store(out + i, mix(load(fg + i), load(bg + i), load(alpha + i)));
	il_blend_kernels_c.row(out + i, fg + i, bg + i, alpha + i, n - i);
}

static IL_SIGNATURE_BLEND_PAIRS(pairs)
{
	int i = 0;
	for (; i + 16 <= n; i += 16) {
		__m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(alpha + i)));
		a = _mm256_or_si256(a, _mm256_slli_epi16(a, 8));
		store(out + 2 * i, mix(load(fg + 2 * i), load(bg + 2 * i), a));
	}
	il_blend_kernels_c.pairs(out + 2 * i, fg + 2 * i, bg + 2 * i, alpha + i, n - i);
}

static inline __m256i means(const uint8_t *row0, const uint8_t *row1)
{
	const __m256i ones = _mm256_set1_epi8(1);
	__m256i sum = _mm256_add_epi16(_mm256_maddubs_epi16(load(row0), ones), _mm256_maddubs_epi16(load(row1), ones));
	return _mm256_srli_epi16(_mm256_add_epi16(sum, _mm256_set1_epi16(2)), 2);
}

static IL_SIGNATURE_BLEND_HALVE(halve)
{
	int i = 0;
	for (; i + 32 <= n; i += 32) {
		__m256i bytes = _mm256_packus_epi16(means(row0 + 2 * i, row1 + 2 * i),
		                                    means(row0 + 2 * i + 32, row1 + 2 * i + 32));
		store(out + i, _mm256_permute4x64_epi64(bytes, 0xd8));
	}
	il_blend_kernels_c.halve(out + i, row0 + 2 * i, row1 + 2 * i, n - i);
}

/* 16 to 31 wide. */
static enum il_alpha_class classify_narrow(const uint8_t *alpha, ptrdiff_t stride, int width, int height)
{
	__m128i all = _mm_set1_epi8(-1), any = _mm_setzero_si128();
	for (int y = 0; y < height; y++, alpha += stride) {
		__m128i a = _mm_loadu_si128((const __m128i *)alpha);
		__m128i b = _mm_loadu_si128((const __m128i *)(alpha + width - 16)); /* may overlap */
		all = _mm_and_si128(all, _mm_and_si128(a, b));
		any = _mm_or_si128(any, _mm_or_si128(a, b));
	}
	if (_mm_testc_si128(all, _mm_set1_epi8(-1)))
		return IL_ALPHA_FULL;
	return _mm_testz_si128(any, any) ? IL_ALPHA_EMPTY : IL_ALPHA_MIXED;
}

static IL_SIGNATURE_BLEND_CLASSIFY(classify)
{
	if (width < 16)
		return il_blend_kernels_c.classify(alpha, stride, width, height);
	if (width < 32)
		return classify_narrow(alpha, stride, width, height);
	__m256i all = _mm256_set1_epi8(-1), any = _mm256_setzero_si256();
	for (int y = 0; y < height; y++) {
		const uint8_t *line = alpha + y * stride;
		for (int x = 0; x < width; x += 32) {
			__m256i v = load(line + (x + 32 <= width ? x : width - 32)); /* the last may overlap */
			all = _mm256_and_si256(all, v);
			any = _mm256_or_si256(any, v);
		}
	}
	if (_mm256_testc_si256(all, _mm256_set1_epi8(-1)))
		return IL_ALPHA_FULL;
	return _mm256_testz_si256(any, any) ? IL_ALPHA_EMPTY : IL_ALPHA_MIXED;
}

/* Sums of up to 8192 vectors stay below 2^32 in each lane. */
static inline uint64_t squares_of(const uint8_t *a, const uint8_t *b, int n)
{
	const __m256i zero = _mm256_setzero_si256();
	__m256i sum = zero;
	for (int i = 0; i < n; i += 32) {
		__m256i va = load(a + i), vb = load(b + i);
		__m256i d = _mm256_or_si256(_mm256_subs_epu8(va, vb), _mm256_subs_epu8(vb, va));
		__m256i low = _mm256_unpacklo_epi8(d, zero), high = _mm256_unpackhi_epi8(d, zero);
		sum = _mm256_add_epi32(sum,
		                       _mm256_add_epi32(_mm256_madd_epi16(low, low), _mm256_madd_epi16(high, high)));
	}
	__m256i wide = _mm256_add_epi64(_mm256_unpacklo_epi32(sum, zero), _mm256_unpackhi_epi32(sum, zero));
	__m128i two = _mm_add_epi64(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
	return (uint64_t)_mm_extract_epi64(two, 0) + (uint64_t)_mm_extract_epi64(two, 1);
}

static IL_SIGNATURE_BLEND_SQUARES(squares)
{
	const int most = 32 * 8192;
	int whole = n / 32 * 32;
	uint64_t sum = il_blend_kernels_c.squares(a + whole, b + whole, n - whole);
	for (int i = 0; i < whole; i += most)
		sum += squares_of(a + i, b + i, whole - i < most ? whole - i : most);
	return sum;
}

const struct il_blend_kernels il_blend_kernels_avx2 = {
	.row = row,
	.pairs = pairs,
	.halve = halve,
	.classify = classify,
	.squares = squares,
};
