/* Dilation and erosion for AVX2. */
#include "kernel/mask_kernels.h"

#include <immintrin.h>

#define VECTORS 4            /* a strip's prefix stays in so many registers */
#define STRIP (32 * VECTORS) /* of the columns */
_Static_assert(STRIP <= IL_MORPH_STRIP, "scratch rows hold a strip");

static inline __m256i load(const uint8_t *from)
{
	return _mm256_loadu_si256((const __m256i *)from);
}

static inline void store(uint8_t *to, __m256i value)
{
	_mm256_storeu_si256((__m256i *)to, value);
}

static inline __m256i extreme(__m256i a, __m256i b, bool least)
{
	return least ? _mm256_min_epu8(a, b) : _mm256_max_epu8(a, b);
}

/* Windows of `next` from windows of `own`, next <= 3 * own; to out, n >= 32 values and none behind them, or in place,
 * where values behind are of no use. */
static inline void widen(uint8_t *out, const uint8_t *line, int own, int next, bool least, int n)
{
	int far = next - own, near = (far + 1) / 2;
	for (int i = 0; i < n; i += 32) {
		int at = out == line || i + 32 <= n ? i : n - 32;
		__m256i v = extreme(load(line + at), load(line + at + near), least);
		store(out + at, extreme(v, load(line + at + far), least));
	}
}

/* The bytes of low, high from `shift` on. A macro, because the shift is part of the instruction. */
#define SHIFT(low, high, shift) _mm256_alignr_epi8(_mm256_permute2x128_si256(low, high, 0x21), low, shift)

/* Windows of 3 (4 for 11) at `from`, as the sources of the wider ones. */
static inline __m256i first_windows(const uint8_t *from, bool four, bool least)
{
	__m256i v = extreme(extreme(load(from), load(from + 1), least), load(from + 2), least);
	return four ? extreme(v, load(from + 3), least) : v;
}

/* Both passes at once, for windows of 5, 7, 9, 11; out and n as above. */
static inline void narrow(uint8_t *out, const uint8_t *line, int window, bool least, int n)
{
	const bool four = window == 11;
	__m256i low = first_windows(line, four, least);
	for (int i = 0; i < n; i += 32) {
		int at = i;
		if (out != line && i + 32 > n) {
			at = n - 32;
			low = first_windows(line + at, four, least);
		}
		__m256i high = first_windows(line + at + 32, four, least), near, far;
		switch (window) {
		case 5: near = far = SHIFT(low, high, 2); break;
		case 7: near = SHIFT(low, high, 2), far = SHIFT(low, high, 4); break;
		case 9: near = SHIFT(low, high, 3), far = SHIFT(low, high, 6); break;
		default: near = SHIFT(low, high, 4), far = SHIFT(low, high, 7);
		}
		store(out + at, extreme(extreme(low, near, least), far, least));
		low = high;
	}
}

static inline void across_of(uint8_t *out, uint8_t *line, int window, bool least, int n)
{
	switch (window) { /* constants, so that each becomes a loop of its own */
	case 5: narrow(out, line, 5, least, n); return;
	case 7: narrow(out, line, 7, least, n); return;
	case 9: narrow(out, line, 9, least, n); return;
	case 11: narrow(out, line, 11, least, n); return;
	}
	int own = 1;
	if (window > 11) {
		own = 9;
		narrow(line, line, 9, least, n + window - 9);
	}
	for (; 3 * own < window; own *= 3)
		widen(line, line, own, 3 * own, least, n + window - 3 * own);
	widen(out, line, own, window, least, n);
}

static IL_SIGNATURE_MORPH_ACROSS(across)
{
	if (n < 32)
		il_morph_kernels_c.across(out, line, window, least, n);
	else if (least)
		across_of(out, line, window, true, n);
	else
		across_of(out, line, window, false, n);
}

/* One strip of 32 * vectors columns. */
static inline void strip(uint8_t *out, ptrdiff_t stride, int rows_out, const uint8_t *const *in, int x, int window,
                         bool least, uint8_t *scratch, int vectors)
{
	__m256i v[VECTORS];
	for (int k = 0; k < vectors; k++)
		v[k] = load(in[window - 1] + x + 32 * k);
	for (int j = window - 1; j > 0; j--) /* scratch row j: of rows j .. window - 1 */
		for (int k = 0; k < vectors; k++) {
			store(scratch + j * STRIP + 32 * k, v[k]);
			v[k] = extreme(v[k], load(in[j - 1] + x + 32 * k), least);
		}
	for (int k = 0; k < vectors; k++) {
		store(out + x + 32 * k, v[k]);
		v[k] = _mm256_set1_epi8(least ? -1 : 0);
	}
	for (int j = 1; j < rows_out; j++)
		for (int k = 0; k < vectors; k++) {
			v[k] = extreme(v[k], load(in[window + j - 1] + x + 32 * k), least);
			store(out + j * stride + x + 32 * k, extreme(v[k], load(scratch + j * STRIP + 32 * k), least));
		}
}

static inline void columns_of(uint8_t *out, ptrdiff_t stride, int rows_out, const uint8_t *const *in, int window,
                              bool least, uint8_t *scratch, int n)
{
	int x = 0;
	for (; x + STRIP <= n; x += STRIP)
		strip(out, stride, rows_out, in, x, window, least, scratch, VECTORS);
	for (; x + 32 <= n; x += 32)
		strip(out, stride, rows_out, in, x, window, least, scratch, 1);
	if (x < n && n >= 32) /* overlaps the last vector, whose values come out the same: out is not in */
		strip(out, stride, rows_out, in, n - 32, window, least, scratch, 1);
}

static IL_SIGNATURE_MORPH_COLUMNS(columns)
{
	if (n < 32)
		il_morph_kernels_c.columns(out, stride, rows_out, in, window, least, scratch, n);
	else if (least)
		columns_of(out, stride, rows_out, in, window, true, scratch, n);
	else
		columns_of(out, stride, rows_out, in, window, false, scratch, n);
}

const struct il_morph_kernels il_morph_kernels_avx2 = {
	.across = across,
	.columns = columns,
};
