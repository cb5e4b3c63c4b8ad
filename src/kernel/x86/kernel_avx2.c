/* Kernels for AVX2. Groups of pixels that would read or write past a row's end are left to the C table. */
#include "kernel/kernel.h"

#include <immintrin.h>
#include <string.h>

#include "kernel/blur_kernels.h"
#include "kernel/guided_kernels.h"
#include "kernel/tensor.h"

/* A shuffle of eight BGR pixels, 12 bytes of four pixels in either half, that widens the bytes at a, b (-1: zero) of
 * each pixel to a pair of 16-bit words. */
#define PAIR(p, a, b) (char)((a) < 0 ? -1 : 3 * (p) + (a)), -1, (char)((b) < 0 ? -1 : 3 * (p) + (b)), -1
#define PAIRS(a, b) PAIR(0, a, b), PAIR(1, a, b), PAIR(2, a, b), PAIR(3, a, b)
#define SPREAD(a, b) _mm256_setr_epi8(PAIRS(a, b), PAIRS(a, b))

#define GROUP 8   /* pixels a step */
#define NEEDED 10 /* pixels that must be there: the second load or store ends 4 bytes behind the eighth */

static inline __m256i load_group(const uint8_t *bgr)
{
	__m128i low = _mm_loadu_si128((const __m128i *)bgr);
	__m128i high = _mm_loadu_si128((const __m128i *)(bgr + 12));
	return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

static inline void store_scaled(float *out, __m256i values)
{
	_mm256_storeu_ps(out, _mm256_div_ps(_mm256_cvtepi32_ps(values), _mm256_set1_ps(255.0f)));
}

static void pack_row(float *const out[3], const uint8_t *bgr, int n)
{
	const __m256i spread_b = SPREAD(0, -1), spread_g = SPREAD(1, -1), spread_r = SPREAD(2, -1);
	int x = 0;
	for (; x + NEEDED <= n; x += GROUP) {
		__m256i group = load_group(bgr + 3 * x);
		store_scaled(out[0] + x, _mm256_shuffle_epi8(group, spread_b));
		store_scaled(out[1] + x, _mm256_shuffle_epi8(group, spread_g));
		store_scaled(out[2] + x, _mm256_shuffle_epi8(group, spread_r));
	}
	for (; x < n; x++)
		for (int c = 0; c < 3; c++)
			out[c][x] = (float)bgr[3 * x + c] / 255.0f;
}

static IL_SIGNATURE_PACK_PICTURE(pack_picture)
{
	size_t area = (size_t)size * (size_t)size, row_bytes = (size_t)size * sizeof *planes;
	for (int y = 0; y < size; y++) {
		float *first = planes + (size_t)y * (size_t)size;
		float *const rows[3] = { first, first + area, first + 2 * area };
		pack_row(rows, bgr + y * stride, size);
		for (int c = 0; c < 3; c++) {
			float *masked = rows[c] + 3 * area;
			memcpy(masked, rows[c], row_bytes);
			if (y >= y0 && y < y1 && x0 < x1)
				memset(masked + x0, 0, (size_t)(x1 - x0) * sizeof *masked);
		}
	}
}

/* 255 * p, clipped and truncated. max gives its second operand for NaN. */
static inline __m256i load_bytes(const float *in)
{
	__m256 p = _mm256_max_ps(_mm256_loadu_ps(in), _mm256_setzero_ps());
	p = _mm256_min_ps(p, _mm256_set1_ps(1.0f));
	return _mm256_cvttps_epi32(_mm256_mul_ps(p, _mm256_set1_ps(255.0f)));
}

/* Eight pixels B | G << 8 | R << 16 as 24 bytes; writes 28. */
static inline void store_group(uint8_t *bgr, __m256i group)
{
	const __m256i squeeze = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5,
	                                         6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
	group = _mm256_shuffle_epi8(group, squeeze);
	_mm_storeu_si128((__m128i *)bgr, _mm256_castsi256_si128(group));
	_mm_storeu_si128((__m128i *)(bgr + 12), _mm256_extracti128_si256(group, 1));
}

static inline __m256i join_channels(__m256i b, __m256i g, __m256i r)
{
	return _mm256_or_si256(b, _mm256_or_si256(_mm256_slli_epi32(g, 8), _mm256_slli_epi32(r, 16)));
}

static void unpack_row(uint8_t *bgr, const float *const in[3], int n)
{
	int x = 0;
	for (; x + NEEDED <= n; x += GROUP)
		store_group(bgr + 3 * x,
		            join_channels(load_bytes(in[0] + x), load_bytes(in[1] + x), load_bytes(in[2] + x)));
	for (; x < n; x++)
		for (int c = 0; c < 3; c++) {
			float p = in[c][x] > 0.0f ? in[c][x] : 0.0f;
			p = p < 1.0f ? p : 1.0f;
			bgr[3 * x + c] = (uint8_t)(255.0f * p);
		}
}

static IL_SIGNATURE_UNPACK_PICTURE(unpack_picture)
{
	size_t area = (size_t)size * (size_t)size;
	for (int y = 0; y < size; y++) {
		const float *first = planes + (size_t)y * (size_t)size;
		const float *const rows[3] = { first, first + area, first + 2 * area };
		unpack_row(bgr + y * stride, rows, size);
	}
}

static inline __m128i load_weights(const int16_t *pair)
{
	int32_t both;
	memcpy(&both, pair, sizeof both);
	return _mm_set1_epi32(both);
}

/* The same channel of two neighbouring pixels as a pair of words, for B, G, R of the pixels at `first` and after it. */
#define NEIGHBOURS(first)                                                                                              \
	_mm_setr_epi8((first), -1, (first) + 3, -1, (first) + 1, -1, (first) + 4, -1, (first) + 2, -1, (first) + 5,    \
	              -1, -1, -1, -1, -1)

static IL_SIGNATURE_RESIZE_H_LINEAR(resize_h_linear)
{
	const __m128i neighbours = NEIGHBOURS(0);
	int i = 0;
	for (; i + 1 < n; i++) { /* a store ends one value behind its pixel */
		__m128i pixels = _mm_loadl_epi64((const __m128i *)(row + offsets[i]));
		pixels = _mm_shuffle_epi8(pixels, neighbours);
		__m128i sum = _mm_srai_epi32(_mm_madd_epi16(pixels, load_weights(coefs + 2 * i)), 4);
		_mm_storel_epi64((__m128i *)(out + 3 * i), _mm_packs_epi32(sum, sum));
	}
	il_kernels_c.resize_h_linear(out + 3 * i, row, offsets + i, coefs + 2 * i, n - i);
}

static IL_SIGNATURE_RESIZE_H_CUBIC(resize_h_cubic)
{
	const __m128i first = NEIGHBOURS(0), second = NEIGHBOURS(6);
	int i = 0;
	for (; i + 1 < n; i++) {
		__m128i pixels = _mm_loadu_si128((const __m128i *)(row + offsets[i]));
		__m128i sum = _mm_madd_epi16(_mm_shuffle_epi8(pixels, first), load_weights(coefs + 4 * i));
		sum = _mm_add_epi32(sum,
		                    _mm_madd_epi16(_mm_shuffle_epi8(pixels, second), load_weights(coefs + 4 * i + 2)));
		_mm_storeu_ps(out + 3 * i, _mm_cvtepi32_ps(sum));
	}
	il_kernels_c.resize_h_cubic(out + 3 * i, row, offsets + i, coefs + 4 * i, n - i);
}

static inline __m256i blend_rows(const int16_t *a, const int16_t *b, __m256i wa, __m256i wb)
{
	__m256i sum = _mm256_add_epi16(_mm256_mulhi_epi16(_mm256_loadu_si256((const __m256i *)a), wa),
	                               _mm256_mulhi_epi16(_mm256_loadu_si256((const __m256i *)b), wb));
	return _mm256_srai_epi16(_mm256_add_epi16(sum, _mm256_set1_epi16(2)), 2);
}

static IL_SIGNATURE_RESIZE_V_LINEAR(resize_v_linear)
{
	const __m256i va = _mm256_set1_epi16((int16_t)wa), vb = _mm256_set1_epi16((int16_t)wb);
	int i = 0;
	for (; i + 32 <= n; i += 32) {
		__m256i bytes = _mm256_packus_epi16(blend_rows(a + i, b + i, va, vb),
		                                    blend_rows(a + i + 16, b + i + 16, va, vb));
		_mm256_storeu_si256((__m256i *)(out + i), _mm256_permute4x64_epi64(bytes, 0xd8));
	}
	if (i < n)
		il_kernels_c.resize_v_linear(out + i, a + i, b + i, wa, wb, n - i);
}

static inline __m256i blend_floats(const float *const rows[4], const float weights[4], int i)
{
	__m256 sum = _mm256_mul_ps(_mm256_loadu_ps(rows[3] + i), _mm256_set1_ps(weights[3]));
	for (int k = 2; k >= 0; k--)
		sum = _mm256_add_ps(sum, _mm256_mul_ps(_mm256_loadu_ps(rows[k] + i), _mm256_set1_ps(weights[k])));
	return _mm256_cvtps_epi32(sum);
}

static IL_SIGNATURE_RESIZE_V_CUBIC(resize_v_cubic)
{
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	int i = 0;
	for (; i + 32 <= n; i += 32) {
		__m256i low = _mm256_packs_epi32(blend_floats(rows, weights, i), blend_floats(rows, weights, i + 8));
		__m256i high =
			_mm256_packs_epi32(blend_floats(rows, weights, i + 16), blend_floats(rows, weights, i + 24));
		__m256i bytes = _mm256_packus_epi16(low, high);
		_mm256_storeu_si256((__m256i *)(out + i), _mm256_permutevar8x32_epi32(bytes, order));
	}
	if (i < n) {
		const float *const rest[4] = { rows[0] + i, rows[1] + i, rows[2] + i, rows[3] + i };
		il_kernels_c.resize_v_cubic(out + i, rest, weights, n - i);
	}
}

static inline __m256i set_pairs(int16_t first, int16_t second)
{
	return _mm256_set1_epi32((uint16_t)first | (int)((uint32_t)(uint16_t)second << 16));
}

/* Pairs of weights (B, G) and (R, 0) for the pairs of words that SPREAD makes. */
struct weights {
	__m256i bg, r;
};

static inline struct weights set_weights(const int16_t w[3])
{
	return (struct weights){ set_pairs(w[0], w[1]), set_pairs(w[2], 0) };
}

static inline __m256i weigh(__m256i bg, __m256i r, struct weights w)
{
	return _mm256_add_epi32(_mm256_madd_epi16(bg, w.bg), _mm256_madd_epi16(r, w.r));
}

static IL_SIGNATURE_BGR_TO_LUMA(bgr_to_luma)
{
	const __m256i spread_bg = SPREAD(0, 1), spread_r = SPREAD(2, -1);
	const __m256i half = _mm256_set1_epi32(1 << 14), offset = _mm256_set1_epi32(to->y_offset);
	const struct weights w = set_weights(to->y);
	int i = 0;
	for (; i + NEEDED <= n; i += GROUP) {
		__m256i group = load_group(bgr + 3 * i);
		__m256i sum = weigh(_mm256_shuffle_epi8(group, spread_bg), _mm256_shuffle_epi8(group, spread_r), w);
		sum = _mm256_add_epi32(_mm256_srai_epi32(_mm256_add_epi32(sum, half), 15), offset);
		__m128i words = _mm_packs_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
		_mm_storel_epi64((__m128i *)(luma + i), _mm_packus_epi16(words, words));
	}
	if (i < n)
		il_kernels_c.bgr_to_luma(luma + i, bgr + 3 * i, to, n - i);
}

/* Sums of 2 x 2 pixels, as pairs of words in every second 32-bit lane; what is in the others is of no use. */
static inline __m256i sum_squares(__m256i row0, __m256i row1, __m256i spread)
{
	__m256i sum = _mm256_add_epi16(_mm256_shuffle_epi8(row0, spread), _mm256_shuffle_epi8(row1, spread));
	return _mm256_add_epi16(sum, _mm256_srli_epi64(sum, 32));
}

/* The four samples in every second lane of `sum` as bytes. */
static inline int32_t finish_chroma(__m256i sum)
{
	sum = _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(1 << 16)), 17);
	sum = _mm256_add_epi32(sum, _mm256_set1_epi32(128));
	sum = _mm256_permutevar8x32_epi32(sum, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
	__m128i words = _mm_packs_epi32(_mm256_castsi256_si128(sum), _mm256_castsi256_si128(sum));
	return _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
}

static IL_SIGNATURE_BGR_TO_CHROMA(bgr_to_chroma)
{
	const __m256i spread_bg = SPREAD(0, 1), spread_r = SPREAD(2, -1);
	const struct weights wu = set_weights(to->u), wv = set_weights(to->v);
	int i = 0;
	for (; 2 * i + NEEDED <= 2 * n; i += GROUP / 2) {
		__m256i row0 = load_group(bgr0 + 6 * i), row1 = load_group(bgr1 + 6 * i);
		__m256i bg = sum_squares(row0, row1, spread_bg), r = sum_squares(row0, row1, spread_r);
		int32_t four_u = finish_chroma(weigh(bg, r, wu)), four_v = finish_chroma(weigh(bg, r, wv));
		memcpy(u + i, &four_u, sizeof four_u);
		memcpy(v + i, &four_v, sizeof four_v);
	}
	if (i < n)
		il_kernels_c.bgr_to_chroma(u + i, v + i, bgr0 + 6 * i, bgr1 + 6 * i, to, n - i);
}

/* Chroma of eight pixels, in units of 1/16, from four samples and their neighbours. */
static inline __m128i spread_samples(const uint16_t *samples)
{
	__m128i own = _mm_loadl_epi64((const __m128i *)samples);
	__m128i left = _mm_loadl_epi64((const __m128i *)(samples - 1));
	__m128i right = _mm_loadl_epi64((const __m128i *)(samples + 1));
	own = _mm_add_epi16(own, _mm_add_epi16(own, own));
	return _mm_unpacklo_epi16(_mm_add_epi16(own, left), _mm_add_epi16(own, right));
}

static inline __m256i interleave_words(__m128i first, __m128i second)
{
	return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi16(first, second)),
	                               _mm_unpackhi_epi16(first, second), 1);
}

static inline __m256i finish_channel(__m256i sum, __m256i bias)
{
	sum = _mm256_srai_epi32(_mm256_add_epi32(sum, bias), 17);
	return _mm256_min_epi32(_mm256_max_epi32(sum, _mm256_setzero_si256()), _mm256_set1_epi32(255));
}

static IL_SIGNATURE_YUV_TO_BGR(yuv_to_bgr)
{
	const __m256i w_b = set_pairs(from->y, from->b_u), w_r = set_pairs(from->y, from->r_v);
	const __m256i w_gu = set_pairs(from->y, from->g_u), w_gv = set_pairs(0, from->g_v);
	const __m256i b_bias = _mm256_set1_epi32(from->b_bias), g_bias = _mm256_set1_epi32(from->g_bias);
	const __m256i r_bias = _mm256_set1_epi32(from->r_bias);
	int i = 0;
	for (; i + NEEDED <= n; i += GROUP) {
		__m128i y = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(luma + i)));
		y = _mm_slli_epi16(y, 4);
		__m256i yu = interleave_words(y, spread_samples(u + i / 2));
		__m256i yv = interleave_words(y, spread_samples(v + i / 2));
		__m256i b = finish_channel(_mm256_madd_epi16(yu, w_b), b_bias);
		__m256i g = finish_channel(_mm256_add_epi32(_mm256_madd_epi16(yu, w_gu), _mm256_madd_epi16(yv, w_gv)),
		                           g_bias);
		__m256i r = finish_channel(_mm256_madd_epi16(yv, w_r), r_bias);
		store_group(bgr + 3 * i, join_channels(b, g, r));
	}
	if (i < n)
		il_kernels_c.yuv_to_bgr(bgr + 3 * i, luma + i, u + i / 2, v + i / 2, from, n - i);
}

const struct il_kernels il_kernels_avx2 = {
	.name = "avx2",
	.pack_picture = pack_picture,
	.unpack_picture = unpack_picture,
	.resize_h_linear = resize_h_linear,
	.resize_h_cubic = resize_h_cubic,
	.resize_v_linear = resize_v_linear,
	.resize_v_cubic = resize_v_cubic,
	.bgr_to_luma = bgr_to_luma,
	.bgr_to_chroma = bgr_to_chroma,
	.yuv_to_bgr = yuv_to_bgr,
	.normalize_planar = il_normalize_planar_avx2,
	.normalize_packed = il_normalize_packed_avx2,
	.sigmoid = il_sigmoid_avx2,
	.mask = &il_mask_kernels_avx2,
	.morph = &il_morph_kernels_avx2,
	.blend = &il_blend_kernels_avx2,
	.blur = &il_blur_kernels_avx2,
	.guided = &il_guided_kernels_avx2,
};
