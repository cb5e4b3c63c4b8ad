/* Channels last and first, and sums of a head, for AVX2 with FMA and F16C, in squares of 8 x 8. */
#include "kernel/channels_kernels.h"

#include <immintrin.h>

#define SIDE 8

static inline void turn(__m256 v[SIDE])
{
	__m256 t[SIDE];
	for (int i = 0; i < SIDE; i += 2) {
		t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
		t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
	}
	for (int i = 0; i < SIDE; i += 4) {
		v[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
		v[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
		v[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
		v[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
	}
	for (int i = 0; i < SIDE / 2; i++) {
		t[i] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x20);
		t[i + 4] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x31);
	}
	for (int i = 0; i < SIDE; i++)
		v[i] = t[i];
}

static inline __m256 load(const void *numbers, enum il_number type, size_t at)
{
	if (type == IL_FLOAT16)
		return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)((const uint16_t *)numbers + at)));
	return _mm256_loadu_ps((const float *)numbers + at);
}

static inline void store(void *numbers, enum il_number type, size_t at, __m256 v)
{
	if (type == IL_FLOAT16)
		_mm_storeu_si128((__m128i *)((uint16_t *)numbers + at), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
	else
		_mm256_storeu_ps((float *)numbers + at, v);
}

/* `rows` (up to 8) rows from `row` on by 8 columns. */
static inline __attribute__((always_inline)) void turn_square(const struct il_transposed *t, enum il_number from,
                                                              enum il_number to, size_t row, size_t rows, size_t column)
{
	__m256 v[SIDE];
	for (size_t i = 0; i < SIDE; i++)
		v[i] = i < rows ? load(t->from, from, (row + i) * t->from_stride + column) : _mm256_setzero_ps();
	turn(v);
	for (size_t i = 0; i < SIDE; i++)
		store(t->to, to, (column + i) * t->to_stride + row, v[i]);
}

/* What does not fill squares goes to C: the last columns, and rows where there is no room behind them. */
static inline __attribute__((always_inline)) void turn_all(const struct il_transposed *t, enum il_number from,
                                                           enum il_number to)
{
	const size_t whole = t->columns / SIDE * SIDE;
	size_t row = 0;
	for (; row + SIDE <= t->padded; row += SIDE) {
		const size_t rows = row >= t->rows ? 0 : t->rows - row < SIDE ? t->rows - row : SIDE;
		if (rows == SIDE)
			for (size_t column = 0; column < whole; column += SIDE)
				turn_square(t, from, to, row, SIDE, column);
		else
			for (size_t column = 0; column < whole; column += SIDE)
				turn_square(t, from, to, row, rows, column);
	}
	const size_t from_size = from == IL_FLOAT16 ? 2 : 4, to_size = to == IL_FLOAT16 ? 2 : 4;
	struct il_transposed rest = *t;
	rest.from = (const char *)t->from + row * t->from_stride * from_size;
	rest.to = (char *)t->to + row * to_size;
	rest.rows = t->rows > row ? t->rows - row : 0;
	rest.padded -= row;
	rest.columns = whole;
	il_channels_kernels_c.transpose(&rest);
	rest = *t;
	rest.from = (const char *)t->from + whole * from_size;
	rest.to = (char *)t->to + whole * t->to_stride * to_size;
	rest.columns -= whole;
	il_channels_kernels_c.transpose(&rest);
}

static IL_SIGNATURE_TRANSPOSE(transpose)
{
	if (t->from_type == IL_FLOAT32 && t->to_type == IL_FLOAT32)
		turn_all(t, IL_FLOAT32, IL_FLOAT32);
	else if (t->from_type == IL_FLOAT32)
		turn_all(t, IL_FLOAT32, IL_FLOAT16);
	else if (t->to_type == IL_FLOAT32)
		turn_all(t, IL_FLOAT16, IL_FLOAT32);
	else
		turn_all(t, IL_FLOAT16, IL_FLOAT16);
}

static IL_SIGNATURE_LOGITS(logits)
{
	size_t i = 0;
	for (; i + SIDE <= n; i += SIDE, x += SIDE * stride) {
		__m256 sum[IL_HEAD_OUT];
		for (int o = 0; o < IL_HEAD_OUT; o++)
			sum[o] = _mm256_set1_ps(bias[o]);
		for (int k = 0; k < in; k += SIDE) {
			__m256 v[SIDE];
			for (size_t j = 0; j < SIDE; j++)
				v[j] = _mm256_loadu_ps(x + j * stride + (size_t)k);
			turn(v);
			const int steps = in - k < SIDE ? in - k : SIDE;
			for (int j = 0; j < steps; j++)
				for (int o = 0; o < IL_HEAD_OUT; o++)
					sum[o] = _mm256_fmadd_ps(_mm256_set1_ps(weights[(k + j) * IL_HEAD_OUT + o]),
					                         v[j], sum[o]);
		}
		for (int o = 0; o < IL_HEAD_OUT; o++)
			_mm256_storeu_ps(planes + (size_t)o * n + i, sum[o]);
	}
	for (; i < n; i++, x += stride)
		for (int o = 0; o < IL_HEAD_OUT; o++) {
			float sum = bias[o];
			for (int k = 0; k < in; k++)
				sum = __builtin_fmaf(weights[k * IL_HEAD_OUT + o], x[k], sum);
			planes[(size_t)o * n + i] = sum;
		}
}

static inline __m256i level(const float *p)
{
	return _mm256_cvttps_epi32(_mm256_mul_ps(_mm256_loadu_ps(p), _mm256_set1_ps(255.0f)));
}

/* Three channels, 8 pixels at a time; a store ends 4 bytes behind them. */
static IL_SIGNATURE_PACK_BYTES(pack_bytes)
{
	const __m256i order =
		_mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
	size_t i = 0;
	for (; channels == 3 && i + SIDE + 2 <= n; i += SIDE) {
		const float *p = planes + i;
		__m256i pixels = _mm256_or_si256(level(p), _mm256_slli_epi32(level(p + n), 8));
		pixels = _mm256_or_si256(pixels, _mm256_slli_epi32(level(p + 2 * n), 16));
		pixels = _mm256_shuffle_epi8(pixels, order);
		_mm_storeu_si128((__m128i *)(out + 3 * i), _mm256_castsi256_si128(pixels));
		_mm_storeu_si128((__m128i *)(out + 3 * i + 12), _mm256_extracti128_si256(pixels, 1));
	}
	for (; i < n; i++)
		for (int c = 0; c < channels; c++)
			out[i * (size_t)channels + (size_t)c] = (uint8_t)(255.0f * planes[(size_t)c * n + i]);
}

const struct il_channels_kernels il_channels_kernels_avx2 = {
	.transpose = transpose,
	.logits = logits,
	.pack_bytes = pack_bytes,
};
