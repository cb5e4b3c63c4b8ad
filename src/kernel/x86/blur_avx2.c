/* The blur kernels for AVX2. What would read or write past the end of a row is left to the C table. */
#include "kernel/blur_kernels.h"

#include <immintrin.h>
#include <string.h>

#define LANES IL_STRIP_LANES
#define PAIR_VALUES (2 * IL_PAIR_LANES)

static inline int clamp_index(int i, int n)
{
	return i < 0 ? 0 : i < n ? i : n - 1;
}

static inline __m256i load(const void *from)
{
	return _mm256_loadu_si256((const __m256i *)from);
}

static inline void store(void *to, __m256i v)
{
	_mm256_storeu_si256((__m256i *)to, v);
}

/* The 16-bit arithmetic. Factors of pairs of bytes (before, behind) and of their sums. */
struct fast_box {
	__m256i before, behind, full, partial;
};

static inline struct fast_box set_fast(const struct il_box *box)
{
	return (struct fast_box){ _mm256_set1_epi16((int16_t)(1 << box->scale)),
		                  _mm256_set1_epi16((int16_t)(256 << box->scale)),
		                  _mm256_set1_epi16((int16_t)box->fast_full),
		                  _mm256_set1_epi16((int16_t)box->fast_partial) };
}

/* One half of the lanes; unpacking and packing keep their order between them. `total`: the full samples and the
 * partial one behind them, scaled. */
static inline __m256i box_fast(__m256i pair, __m256i *total, const struct fast_box *f)
{
	__m256i full = _mm256_sub_epi16(*total, _mm256_maddubs_epi16(pair, f->before));
	*total = _mm256_add_epi16(full, _mm256_maddubs_epi16(pair, f->behind));
	__m256i ends = _mm256_mulhi_epu16(_mm256_maddubs_epi16(pair, _mm256_set1_epi16(0x4040)), f->partial);
	return _mm256_srli_epi16(_mm256_add_epi16(_mm256_mulhi_epu16(full, f->full), ends), 7);
}

/* The exact arithmetic: both weights in two parts of 12 bits, side by side for pairs of words (full, partial). Sums of
 * full samples are kept 2^15 too low, to fit into signed words; `half` makes up for it, modulo 2^32. */
struct exact_box {
	__m256i high, low, half;
};

static inline struct exact_box set_exact(const struct il_box *box)
{
	return (struct exact_box){ _mm256_set1_epi32((int)(box->full >> 12 | box->partial >> 12 << 16)),
		                   _mm256_set1_epi32((int)((box->full & 4095) | (box->partial & 4095) << 16)),
		                   _mm256_set1_epi32((int)((1u << 23) + (box->full << 15))) };
}

static inline __m256i weigh_exactly(__m256i pairs, const struct exact_box *f)
{
	__m256i high = _mm256_slli_epi32(_mm256_madd_epi16(pairs, f->high), 12);
	__m256i low = _mm256_add_epi32(_mm256_madd_epi16(pairs, f->low), f->half);
	return _mm256_srli_epi32(_mm256_add_epi32(high, low), 24);
}

static inline __m256i box_exactly(__m256i pair, __m256i *total, const struct exact_box *f)
{
	__m256i full = _mm256_sub_epi16(*total, _mm256_and_si256(pair, _mm256_set1_epi16(255)));
	__m256i partial = _mm256_maddubs_epi16(pair, _mm256_set1_epi16(0x0101));
	*total = _mm256_add_epi16(full, _mm256_srli_epi16(pair, 8));
	return _mm256_packs_epi32(weigh_exactly(_mm256_unpacklo_epi16(full, partial), f),
	                          weigh_exactly(_mm256_unpackhi_epi16(full, partial), f));
}

static IL_SIGNATURE_BOX_STRIP(box_strip)
{
	const struct fast_box fast = set_fast(box);
	const struct exact_box exact = set_exact(box);
	const __m256i zero = _mm256_setzero_si256(),
		      unit = _mm256_set1_epi16((int16_t)(box->fast ? 1 << box->scale : 1));
	__m256i low = _mm256_set1_epi16((int16_t)(box->fast ? box->bias : 0x8000)), high = low;
	int r = box->radius;
	for (int k = -r - 1; k <= r; k++) {
		__m256i p = load(src + clamp_index(k, n) * src_step);
		low = _mm256_add_epi16(low, _mm256_maddubs_epi16(_mm256_unpacklo_epi8(p, zero), unit));
		high = _mm256_add_epi16(high, _mm256_maddubs_epi16(_mm256_unpackhi_epi8(p, zero), unit));
	}
	for (int x = 0; x < n; x++) {
		__m256i before = load(src + clamp_index(x - r - 1, n) * src_step);
		__m256i behind = load(src + clamp_index(x + r + 1, n) * src_step);
		__m256i a = _mm256_unpacklo_epi8(before, behind), b = _mm256_unpackhi_epi8(before, behind);
		if (box->fast) /* decided once: the compiler makes two loops of this */
			store(dst, _mm256_packus_epi16(box_fast(a, &low, &fast), box_fast(b, &high, &fast)));
		else
			store(dst, _mm256_packus_epi16(box_exactly(a, &low, &exact), box_exactly(b, &high, &exact)));
		dst += dst_step;
	}
}

/* Transposes 16 x 16 bytes in either half of v[16]: four rounds of interleaving v[i] with v[i + 8]. */
static inline void transpose_bytes(__m256i v[16])
{
	__m256i w[16];
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 8; i++) {
			w[2 * i] = _mm256_unpacklo_epi8(v[i], v[i + 8]);
			w[2 * i + 1] = _mm256_unpackhi_epi8(v[i], v[i + 8]);
		}
		for (int i = 0; i < 8; i++) {
			v[2 * i] = _mm256_unpacklo_epi8(w[i], w[i + 8]);
			v[2 * i + 1] = _mm256_unpackhi_epi8(w[i], w[i + 8]);
		}
	}
}

/* The last block of a row overlaps the one before it. */
static IL_SIGNATURE_ROWS_TO_STRIP(rows_to_strip)
{
	if (width < 16) {
		il_blur_kernels_c.rows_to_strip(strip, rows, stride, width, height);
		return;
	}
	for (int x = 0; x < width; x = x + 32 <= width || x + 16 == width ? x + 16 : width - 16) {
		__m256i v[16];
		for (int y = 0; y < 16; y++) {
			const uint8_t *low = rows + clamp_index(y, height) * stride + x;
			const uint8_t *high = rows + clamp_index(y + 16, height) * stride + x;
			v[y] = _mm256_loadu2_m128i((const __m128i *)high, (const __m128i *)low);
		}
		transpose_bytes(v);
		for (int k = 0; k < 16; k++)
			store(strip + (ptrdiff_t)(x + k) * LANES, v[k]);
	}
}

static IL_SIGNATURE_STRIP_TO_ROWS(strip_to_rows)
{
	if (width < 16) {
		il_blur_kernels_c.strip_to_rows(rows, stride, strip, width, height);
		return;
	}
	for (int x = 0; x < width; x = x + 32 <= width || x + 16 == width ? x + 16 : width - 16) {
		__m256i v[16];
		for (int k = 0; k < 16; k++)
			v[k] = load(strip + (ptrdiff_t)(x + k) * LANES);
		transpose_bytes(v);
		for (int y = 0; y < 16 && y < height; y++)
			_mm_storeu_si128((__m128i *)(rows + y * stride + x), _mm256_castsi256_si128(v[y]));
		for (int y = 16; y < height; y++)
			_mm_storeu_si128((__m128i *)(rows + y * stride + x), _mm256_extracti128_si256(v[y - 16], 1));
	}
}

static inline __m256i words_of(const uint8_t *bytes)
{
	return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)bytes));
}

/* A tap on two lines that are as far from the middle one. */
static inline __m256i tap_two(const uint8_t *a, const uint8_t *b, uint16_t tap)
{
	return _mm256_mullo_epi16(_mm256_add_epi16(words_of(a), words_of(b)), _mm256_set1_epi16((int16_t)tap));
}

static inline __m256i mix_sixteen(const uint8_t *const lines[IL_TAP_LINES], const uint16_t *taps, int x)
{
	__m256i sum = _mm256_mullo_epi16(words_of(lines[3] + x), _mm256_set1_epi16((int16_t)taps[0]));
	sum = _mm256_add_epi16(sum, tap_two(lines[2] + x, lines[4] + x, taps[1]));
	sum = _mm256_add_epi16(sum, tap_two(lines[1] + x, lines[5] + x, taps[2]));
	sum = _mm256_add_epi16(sum, tap_two(lines[0] + x, lines[6] + x, taps[3]));
	return _mm256_srli_epi16(_mm256_add_epi16(sum, _mm256_set1_epi16(128)), 8);
}

static IL_SIGNATURE_MIX_LINES(mix_lines)
{
	const uint8_t *rest[IL_TAP_LINES];
	int x = 0;
	for (; x + 32 <= n; x += 32) {
		__m256i bytes = _mm256_packus_epi16(mix_sixteen(lines, taps, x), mix_sixteen(lines, taps, x + 16));
		store(out + x, _mm256_permute4x64_epi64(bytes, 0xd8));
	}
	for (int i = 0; i < IL_TAP_LINES; i++)
		rest[i] = lines[i] + x;
	il_blur_kernels_c.mix_lines(out + x, rest, taps, n - x);
}

static inline const void *pair_at(const uint16_t *src, ptrdiff_t step, int i, int n)
{
	return (const char *)src + clamp_index(i, n) * step;
}

static inline __m256i box_pairs_half(__m256i before, __m256i behind, __m256i *total, __m256 full_weight,
                                     __m256 partial_weight)
{
	__m256i full = _mm256_sub_epi32(*total, before);
	*total = _mm256_add_epi32(full, behind);
	__m256 sum = _mm256_mul_ps(_mm256_cvtepi32_ps(full), full_weight);
	__m256 ends = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(before, behind)), partial_weight);
	return _mm256_cvtps_epi32(_mm256_add_ps(sum, ends));
}

/* Sums of either half of the lanes, and weights. */
struct pair_box {
	__m256i low, high;
	__m256 full, partial;
};

static inline void box_pairs_step(uint16_t *dst, const void *before, const void *behind, struct pair_box *b)
{
	const __m256i zero = _mm256_setzero_si256(), out = load(before), in = load(behind);
	__m256i low = box_pairs_half(_mm256_unpacklo_epi16(out, zero), _mm256_unpacklo_epi16(in, zero), &b->low,
	                             b->full, b->partial);
	__m256i high = box_pairs_half(_mm256_unpackhi_epi16(out, zero), _mm256_unpackhi_epi16(in, zero), &b->high,
	                              b->full, b->partial);
	store(dst, _mm256_packus_epi32(low, high));
}

/* In the middle no position is outside. */
static IL_SIGNATURE_BOX_PAIRS(box_pairs)
{
	const __m256i zero = _mm256_setzero_si256();
	struct pair_box b = { zero, zero, _mm256_set1_ps(box->full), _mm256_set1_ps(box->partial) };
	const int r = box->radius, first = r + 1 < n ? r + 1 : n, last = n - r - 1 > first ? n - r - 1 : first;
	for (int k = -r - 1; k <= r; k++) {
		__m256i p = load(pair_at(src, src_step, k, n));
		b.low = _mm256_add_epi32(b.low, _mm256_unpacklo_epi16(p, zero));
		b.high = _mm256_add_epi32(b.high, _mm256_unpackhi_epi16(p, zero));
	}
	char *to = (char *)dst;
	int x = 0;
	for (; x < first; x++, to += dst_step)
		box_pairs_step((uint16_t *)to, src, pair_at(src, src_step, x + r + 1, n), &b);
	const char *before = (const char *)src, *behind = before + (ptrdiff_t)(2 * r + 2) * src_step;
	for (; x < last; x++, to += dst_step, before += src_step, behind += src_step)
		box_pairs_step((uint16_t *)to, before, behind, &b);
	for (; x < n; x++, to += dst_step)
		box_pairs_step((uint16_t *)to, pair_at(src, src_step, x - r - 1, n),
		               (const char *)src + (n - 1) * src_step, &b);
}

/* Transposes 4 x 4 pairs in either half of v[4]. */
static inline void transpose_pairs(__m256i v[4])
{
	__m256i a = _mm256_unpacklo_epi32(v[0], v[2]), b = _mm256_unpackhi_epi32(v[0], v[2]);
	__m256i c = _mm256_unpacklo_epi32(v[1], v[3]), d = _mm256_unpackhi_epi32(v[1], v[3]);
	v[0] = _mm256_unpacklo_epi32(a, c);
	v[1] = _mm256_unpackhi_epi32(a, c);
	v[2] = _mm256_unpacklo_epi32(b, d);
	v[3] = _mm256_unpackhi_epi32(b, d);
}

static IL_SIGNATURE_PAIRS_TO_STRIP(pairs_to_strip)
{
	const char *bytes = (const char *)rows;
	int x = 0;
	for (; x + 4 <= width; x += 4) {
		__m256i v[4];
		for (int y = 0; y < 4; y++) {
			const char *low = bytes + clamp_index(y, height) * stride + 4 * (ptrdiff_t)x;
			const char *high = bytes + clamp_index(y + 4, height) * stride + 4 * (ptrdiff_t)x;
			v[y] = _mm256_loadu2_m128i((const __m128i *)high, (const __m128i *)low);
		}
		transpose_pairs(v);
		for (int k = 0; k < 4; k++)
			store(strip + (ptrdiff_t)(x + k) * PAIR_VALUES, v[k]);
	}
	il_blur_kernels_c.pairs_to_strip(strip + (ptrdiff_t)x * PAIR_VALUES, rows + 2 * (ptrdiff_t)x, stride, width - x,
	                                 height);
}

static IL_SIGNATURE_STRIP_TO_PAIRS(strip_to_pairs)
{
	int x = 0;
	for (; x + 4 <= width; x += 4) {
		char *to = (char *)rows + 4 * (ptrdiff_t)x;
		__m256i v[4];
		for (int k = 0; k < 4; k++)
			v[k] = load(strip + (ptrdiff_t)(x + k) * PAIR_VALUES);
		transpose_pairs(v);
		for (int y = 0; y < 4 && y < height; y++)
			_mm_storeu_si128((__m128i *)(to + y * stride), _mm256_castsi256_si128(v[y]));
		for (int y = 4; y < height; y++)
			_mm_storeu_si128((__m128i *)(to + y * stride), _mm256_extracti128_si256(v[y - 4], 1));
	}
	il_blur_kernels_c.strip_to_pairs(rows + 2 * (ptrdiff_t)x, stride, strip + (ptrdiff_t)x * PAIR_VALUES, width - x,
	                                 height);
}

/* Sums over `size` rows of 16 columns, two columns a lane. */
static inline void weigh_columns(__m256i *values, __m256i *weights, const uint8_t *p, ptrdiff_t p_stride,
                                 const uint8_t *alpha, ptrdiff_t a_stride, int size)
{
	const __m256i full = _mm256_set1_epi16(255);
	__m256i v = _mm256_setzero_si256(), w = v;
	for (int y = 0; y < size; y++) {
		__m256i samples = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(p + y * p_stride)));
		__m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(alpha + y * a_stride)));
		a = _mm256_sub_epi16(full, a);
		v = _mm256_add_epi32(v, _mm256_madd_epi16(samples, a));
		w = _mm256_add_epi32(w, _mm256_madd_epi16(a, full));
	}
	*values = v;
	*weights = w;
}

static inline __m256i add_neighbours(__m256i a, __m256i b)
{
	return _mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xd8);
}

/* Eight squares of 2^level; `level` is a constant where this is inlined. */
static inline void weigh_eight(uint16_t *pairs, const uint8_t *p, ptrdiff_t p_stride, const uint8_t *alpha,
                               ptrdiff_t a_stride, int level)
{
	__m256i v[4], w[4];
	int size = 1 << level, parts = size / 2;
	for (int i = 0; i < parts; i++)
		weigh_columns(&v[i], &w[i], p + 16 * i, p_stride, alpha + 16 * i, a_stride, size);
	for (; parts > 1; parts /= 2)
		for (int i = 0; i < parts / 2; i++) {
			v[i] = add_neighbours(v[2 * i], v[2 * i + 1]);
			w[i] = add_neighbours(w[2 * i], w[2 * i + 1]);
		}
	const __m256i half = _mm256_set1_epi32(1 << (2 * level - 1));
	__m256i values = _mm256_srli_epi32(_mm256_add_epi32(v[0], half), 2 * level);
	__m256i weights = _mm256_srli_epi32(_mm256_add_epi32(w[0], half), 2 * level);
	store(pairs, _mm256_or_si256(values, _mm256_slli_epi32(weights, 16)));
}

/* Sums of eight squares of 2^level samples; 255 * 64 of them fit in 16 bits. */
static inline __m256i square_sums(const uint8_t *p, ptrdiff_t stride, int level)
{
	const __m256i ones = _mm256_set1_epi8(1), words = _mm256_set1_epi16(1);
	__m256i sums[2];
	if (level == 0)
		return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
	if (level == 1) {
		__m256i upper = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p));
		__m256i lower = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(p + stride)));
		return _mm256_madd_epi16(_mm256_add_epi16(upper, lower), words);
	}
	for (int i = 0; i < level - 1; i++) {
		__m256i sum = _mm256_setzero_si256();
		for (int y = 0; y < 1 << level; y++) {
			const uint8_t *row = p + y * stride + 32 * i;
			_mm_prefetch((const char *)(row + (stride << level)),
			             _MM_HINT_T0); /* of the next squares down */
			sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(load(row), ones));
		}
		sums[i] = _mm256_madd_epi16(sum, words);
	}
	return level == 2 ? sums[0] : add_neighbours(sums[0], sums[1]);
}

/* Where alpha is 0. `level` is a constant where this is inlined. */
static inline void weigh_clear(uint16_t *pairs, const uint8_t *p, ptrdiff_t p_stride, int n, int level)
{
	const __m256i full = _mm256_set1_epi32(255), half = _mm256_set1_epi32(1 << 2 * level >> 1);
	const __m256i weight = _mm256_set1_epi32((int)((uint32_t)IL_PAIR_FULL << 16));
	int i = 0;
	for (; i + 8 <= n; i += 8) {
		__m256i values = _mm256_mullo_epi32(square_sums(p + ((ptrdiff_t)i << level), p_stride, level), full);
		values = _mm256_srli_epi32(_mm256_add_epi32(values, half), 2 * level);
		store(pairs + 2 * i, _mm256_or_si256(values, weight));
	}
	il_blur_kernels_c.weigh(pairs + 2 * i, p + (i << level), p_stride, NULL, 0, n - i, level);
}

static inline void weigh_single(uint16_t *pairs, const uint8_t *p, const uint8_t *alpha)
{
	const __m256i full = _mm256_set1_epi16(255);
	__m256i samples = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p));
	__m256i w = _mm256_sub_epi16(full, _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)alpha)));
	__m256i values = _mm256_mullo_epi16(samples, w), weights = _mm256_mullo_epi16(full, w);
	__m256i low = _mm256_unpacklo_epi16(values, weights), high = _mm256_unpackhi_epi16(values, weights);
	store(pairs, _mm256_permute2x128_si256(low, high, 0x20));
	store(pairs + 16, _mm256_permute2x128_si256(low, high, 0x31));
}

static IL_SIGNATURE_WEIGH(weigh)
{
	int i = 0;
	if (!alpha) {
		switch (level) {
		case 0: weigh_clear(pairs, p, p_stride, n, 0); return;
		case 1: weigh_clear(pairs, p, p_stride, n, 1); return;
		case 2: weigh_clear(pairs, p, p_stride, n, 2); return;
		default: weigh_clear(pairs, p, p_stride, n, 3); return;
		}
	}
	switch (level) {
	case 0:
		for (; i + 16 <= n; i += 16)
			weigh_single(pairs + 2 * i, p + i, alpha + i);
		break;
	case 1:
		for (; i + 8 <= n; i += 8)
			weigh_eight(pairs + 2 * i, p + 2 * i, p_stride, alpha + 2 * i, a_stride, 1);
		break;
	case 2:
		for (; i + 8 <= n; i += 8)
			weigh_eight(pairs + 2 * i, p + 4 * i, p_stride, alpha + 4 * i, a_stride, 2);
		break;
	case 3:
		for (; i + 8 <= n; i += 8)
			weigh_eight(pairs + 2 * i, p + 8 * i, p_stride, alpha + 8 * i, a_stride, 3);
		break;
	}
	il_blur_kernels_c.weigh(pairs + 2 * i, p + (i << level), p_stride, alpha + (i << level), a_stride, n - i,
	                        level);
}

static IL_SIGNATURE_DIVIDE_PAIRS(divide_pairs)
{
	const __m256 one = _mm256_set1_ps(1.0f), top = _mm256_set1_ps(16320.0f);
	int i = 0;
	for (; i + 8 <= n; i += 8) {
		__m256i pair = load(pairs + 2 * i);
		__m256 value = _mm256_cvtepi32_ps(_mm256_and_si256(pair, _mm256_set1_epi32(0xffff)));
		__m256 weight = _mm256_cvtepi32_ps(_mm256_srli_epi32(pair, 16));
		__m256 other =
			_mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(fallback + i))));
		__m256 missing = _mm256_sub_ps(one, _mm256_mul_ps(weight, _mm256_set1_ps(16.0f / IL_PAIR_FULL)));
		missing = _mm256_max_ps(missing, _mm256_setzero_ps());
		__m256 doubt = _mm256_mul_ps(_mm256_mul_ps(missing, missing), _mm256_set1_ps(IL_PAIR_TRUST));
		__m256 mean = _mm256_add_ps(_mm256_mul_ps(value, top), _mm256_mul_ps(doubt, other));
		mean = _mm256_min_ps(_mm256_div_ps(mean, _mm256_add_ps(weight, doubt)), top);
		__m256i words = _mm256_cvtps_epi32(mean);
		words = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0xd8);
		_mm_storeu_si128((__m128i *)(out + i), _mm256_castsi256_si128(words));
	}
	il_blur_kernels_c.divide_pairs(out + i, pairs + 2 * i, fallback + i, n - i);
}

static IL_SIGNATURE_LERP_ROW(lerp_row)
{
	const __m256i w = _mm256_set1_epi16((int16_t)weight);
	int i = 0;
	for (; i + 16 <= n; i += 16) {
		__m256i first = load(a + i);
		__m256i step = _mm256_mulhrs_epi16(_mm256_sub_epi16(load(b + i), first), w);
		store(out + i, _mm256_add_epi16(first, step));
	}
	il_blur_kernels_c.lerp_row(out + i, a + i, b + i, weight, n - i);
}

/* Bytes k and k + 1 of each of 16 values, k even: in the low and high half of its word. */
static inline __m256i expand_two(__m256i own, __m256i left, __m256i right, int k, int level)
{
	int size = 1 << level, side = 2 * k + 1 - size;
	__m256i v[2];
	for (int i = 0; i < 2; i++, side += 2) {
		__m256i w = _mm256_set1_epi16((int16_t)((side < 0 ? -side : side) << (14 - level)));
		v[i] = _mm256_add_epi16(own, _mm256_mulhrs_epi16(side < 0 ? left : right, w));
		v[i] = _mm256_srli_epi16(_mm256_add_epi16(v[i], _mm256_set1_epi16(32)), 6);
	}
	return _mm256_or_si256(v[0], _mm256_slli_epi16(v[1], 8));
}

/* 16 values; `level` is a constant where this is inlined. */
static inline void expand_block(uint8_t *out, const uint16_t *row, int level)
{
	__m256i own = load(row), v[4];
	__m256i left = _mm256_sub_epi16(load(row - 1), own), right = _mm256_sub_epi16(load(row + 1), own);
	for (int k = 0; k < 1 << level; k += 2)
		v[k / 2] = expand_two(own, left, right, k, level);
	if (level == 1) {
		store(out, v[0]);
		return;
	}
	__m256i a = _mm256_unpacklo_epi16(v[0], v[1]), b = _mm256_unpackhi_epi16(v[0], v[1]);
	if (level == 2) {
		store(out, _mm256_permute2x128_si256(a, b, 0x20));
		store(out + 32, _mm256_permute2x128_si256(a, b, 0x31));
		return;
	}
	__m256i c = _mm256_unpacklo_epi16(v[2], v[3]), d = _mm256_unpackhi_epi16(v[2], v[3]);
	__m256i ac = _mm256_unpacklo_epi32(a, c), ac2 = _mm256_unpackhi_epi32(a, c);
	__m256i bd = _mm256_unpacklo_epi32(b, d), bd2 = _mm256_unpackhi_epi32(b, d);
	store(out, _mm256_permute2x128_si256(ac, ac2, 0x20));
	store(out + 32, _mm256_permute2x128_si256(bd, bd2, 0x20));
	store(out + 64, _mm256_permute2x128_si256(ac, ac2, 0x31));
	store(out + 96, _mm256_permute2x128_si256(bd, bd2, 0x31));
}

static inline void round_block(uint8_t *out, const uint16_t *row)
{
	const __m256i half = _mm256_set1_epi16(32);
	__m256i a = _mm256_srli_epi16(_mm256_add_epi16(load(row), half), 6);
	__m256i b = _mm256_srli_epi16(_mm256_add_epi16(load(row + 16), half), 6);
	store(out, _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xd8));
}

/* Up to 16 values, whatever lies behind them. */
static void expand_rest(uint8_t *out, const uint16_t *row, int n, int level)
{
	uint8_t bytes[128];
	switch (level) {
	case 1: expand_block(bytes, row, 1); break;
	case 2: expand_block(bytes, row, 2); break;
	case 3: expand_block(bytes, row, 3); break;
	}
	memcpy(out, bytes, (size_t)n << level);
}

static IL_SIGNATURE_EXPAND_ROW(expand_row)
{
	int i = 0;
	switch (level) {
	case 0:
		for (; i + 32 <= n; i += 32)
			round_block(out + i, row + i);
		il_blur_kernels_c.expand_row(out + i, row + i, n - i, level);
		return;
	case 1:
		for (; i + 16 <= n; i += 16)
			expand_block(out + 2 * i, row + i, 1);
		break;
	case 2:
		for (; i + 16 <= n; i += 16)
			expand_block(out + 4 * i, row + i, 2);
		break;
	case 3:
		for (; i + 16 <= n; i += 16)
			expand_block(out + 8 * i, row + i, 3);
		break;
	}
	if (i < n)
		expand_rest(out + (i << level), row + i, n - i, level);
}

const struct il_blur_kernels il_blur_kernels_avx2 = {
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
