/* The guided filter's kernels for AVX2; row ends are left to the C table. */
#include "kernel/guided_kernels.h"

#include <immintrin.h>

#define BLOCK IL_GUIDED_BLOCK

static IL_SIGNATURE_ADD_ROW(add_row)
{
	int i = 0;
	for (; i + 16 <= n; i += 16) {
		__m256i bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(row + i)));
		__m256i sum = _mm256_loadu_si256((const __m256i *)(sums + i));
		_mm256_storeu_si256((__m256i *)(sums + i), _mm256_add_epi16(sum, bytes));
	}
	il_guided_kernels_c.add_row(sums + i, row + i, n - i);
}

static inline __m256i load(const void *from)
{
	return _mm256_loadu_si256((const __m256i *)from);
}

static inline void store(void *to, __m256i value)
{
	_mm256_storeu_si256((__m256i *)to, value);
}

static inline void add_to(int32_t *to, __m256i in, __m256i out)
{
	store(to, _mm256_add_epi32(load(to), _mm256_sub_epi32(in, out)));
}

static IL_SIGNATURE_SLIDE_MOMENTS(slide_moments)
{
	const __m256i low = _mm256_set1_epi32(0xffff);
	int x = 0;
	for (; x + 8 <= n; x += 8) {
		__m256i a = load(in + x), b = load(out + x);
		__m256i i = _mm256_and_si256(a, low), p = _mm256_srli_epi32(a, 16);
		__m256i j = _mm256_and_si256(b, low), q = _mm256_srli_epi32(b, 16);
		add_to(columns + x, i, j);
		add_to(columns + n + x, p, q);
		add_to(columns + 2 * n + x, _mm256_madd_epi16(i, i), _mm256_madd_epi16(j, j));
		add_to(columns + 3 * n + x, _mm256_madd_epi16(i, p), _mm256_madd_epi16(j, q));
	}
	for (; x < n; x++) {
		int i = (int)(in[x] & 0xffff), p = (int)(in[x] >> 16);
		int j = (int)(out[x] & 0xffff), q = (int)(out[x] >> 16);
		columns[x] += i - j;
		columns[n + x] += p - q;
		columns[2 * n + x] += i * i - j * j;
		columns[3 * n + x] += i * p - j * q;
	}
}

/* Sums of a vector's values up to each, and of all before it, which are in every lane of *before. */
static inline __m256i running_sums(__m256i v, __m256i *before)
{
	v = _mm256_add_epi32(v, _mm256_slli_si256(v, 4));
	v = _mm256_add_epi32(v, _mm256_slli_si256(v, 8));
	__m256i lower = _mm256_permute2x128_si256(v, v, 0x08); /* zeros, lower half */
	v = _mm256_add_epi32(v, _mm256_shuffle_epi32(lower, 0xff));
	__m256i total = _mm256_permutevar8x32_epi32(v, _mm256_set1_epi32(7));
	v = _mm256_add_epi32(v, *before);
	*before = _mm256_add_epi32(*before, total);
	return v;
}

static IL_SIGNATURE_BOX_SUMS(box_sums)
{
	__m256i before = _mm256_setzero_si256();
	int32_t *running = scratch + radius + 1;
	int x = 0;
	for (int i = 0; i <= radius; i++)
		scratch[i] = 0;
	for (; x + 8 <= n; x += 8)
		store(running + x, running_sums(load(in + x), &before));
	uint32_t sum = (uint32_t)_mm256_cvtsi256_si32(before);
	for (; x < n; x++)
		running[x] = (int32_t)(sum += (uint32_t)in[x]);
	for (; x < n + radius; x++)
		running[x] = (int32_t)sum;
	const int32_t *behind = scratch + 2 * radius + 1;
	for (x = 0; x + 8 <= n; x += 8)
		store(sums + x, _mm256_sub_epi32(load(behind + x), load(scratch + x)));
	for (; x < n; x++)
		sums[x] = (int32_t)((uint32_t)behind[x] - (uint32_t)scratch[x]);
}

/* samples * sum - a * b of four, rounded to float. */
static inline __m128 central_moment(__m256d samples, __m128i sum, __m256d a, __m256d b)
{
	return _mm256_cvtpd_ps(_mm256_sub_pd(_mm256_mul_pd(samples, _mm256_cvtepi32_pd(sum)), _mm256_mul_pd(a, b)));
}

static inline __m256 central_moments(__m256 samples, __m256i sum, __m256i a, __m256i b)
{
	__m128 low = central_moment(_mm256_cvtps_pd(_mm256_castps256_ps128(samples)), _mm256_castsi256_si128(sum),
	                            _mm256_cvtepi32_pd(_mm256_castsi256_si128(a)),
	                            _mm256_cvtepi32_pd(_mm256_castsi256_si128(b)));
	__m128 high = central_moment(
		_mm256_cvtps_pd(_mm256_extractf128_ps(samples, 1)), _mm256_extracti128_si256(sum, 1),
		_mm256_cvtepi32_pd(_mm256_extracti128_si256(a, 1)), _mm256_cvtepi32_pd(_mm256_extracti128_si256(b, 1)));
	return _mm256_set_m128(high, low);
}

static inline void solve_eight(int32_t *a, int32_t *b, const int32_t *sums, const float *counts,
                               const struct il_guided_solver *by, ptrdiff_t n)
{
	const __m256 scale = _mm256_set1_ps(by->scale);
	__m256i i = load(sums), p = load(sums + n);
	__m256 count = _mm256_mul_ps(_mm256_loadu_ps(counts), _mm256_set1_ps(by->rows));
	__m256 variance = central_moments(count, load(sums + 2 * n), i, i);
	__m256 covariance = central_moments(count, load(sums + 3 * n), i, p);
	__m256 flat = _mm256_mul_ps(_mm256_mul_ps(count, count), _mm256_set1_ps(by->epsilon));
	__m256 slope = _mm256_div_ps(covariance, _mm256_add_ps(variance, flat));
	__m256 offset = _mm256_sub_ps(_mm256_cvtepi32_ps(p), _mm256_mul_ps(slope, _mm256_cvtepi32_ps(i)));
	offset = _mm256_div_ps(offset, _mm256_mul_ps(count, _mm256_set1_ps(by->unit)));
	store(a, _mm256_cvttps_epi32(_mm256_mul_ps(slope, scale)));
	store(b, _mm256_cvttps_epi32(_mm256_mul_ps(offset, scale)));
}

/* The last vector lies over the one before it. */
static IL_SIGNATURE_SOLVE(solve)
{
	if (n < 8) {
		il_guided_kernels_c.solve(a, b, sums, counts, by, n);
		return;
	}
	for (int x = 0; x + 8 <= n; x += 8)
		solve_eight(a + x, b + x, sums + x, counts + x, by, n);
	if (n % 8)
		solve_eight(a + n - 8, b + n - 8, sums + n - 8, counts + n - 8, by, n);
}

/* 8 of the coefficients at `values`, each `part` of the way from `first` to the next. */
static inline __m256 pick_between(const float *values, __m256i first, __m256 part)
{
	__m256 eight = _mm256_loadu_ps(values);
	__m256 left = _mm256_permutevar8x32_ps(eight, first);
	__m256 right = _mm256_permutevar8x32_ps(eight, _mm256_add_epi32(first, _mm256_set1_epi32(1)));
	return _mm256_add_ps(left, _mm256_mul_ps(_mm256_sub_ps(right, left), part));
}

static inline __m256i apply_block(const uint8_t *luma, const float *a, const float *b, const struct il_guided_map *map,
                                  int i)
{
	int base = map->base[i / BLOCK];
	__m256i first = _mm256_loadu_si256((const __m256i *)(map->first + i));
	__m256 part = _mm256_loadu_ps(map->part + i);
	__m256 y = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(luma + i))));
	__m256 alpha = _mm256_add_ps(_mm256_mul_ps(y, pick_between(a + base, first, part)),
	                             pick_between(b + base, first, part));
	alpha = _mm256_min_ps(_mm256_max_ps(alpha, _mm256_setzero_ps()), _mm256_set1_ps(255.0f));
	return _mm256_cvtps_epi32(alpha);
}

static IL_SIGNATURE_APPLY_ROW(apply_row)
{
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	int i = 0;
	for (; map->narrow && i + 4 * BLOCK <= n; i += 4 * BLOCK) {
		__m256i low =
			_mm256_packs_epi32(apply_block(luma, a, b, map, i), apply_block(luma, a, b, map, i + BLOCK));
		__m256i high = _mm256_packs_epi32(apply_block(luma, a, b, map, i + 2 * BLOCK),
		                                  apply_block(luma, a, b, map, i + 3 * BLOCK));
		__m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
		_mm256_storeu_si256((__m256i *)(out + i), bytes);
	}
	const struct il_guided_map rest = { map->base + i / BLOCK, map->first + i, map->part + i, map->narrow };
	il_guided_kernels_c.apply_row(out + i, luma + i, a, b, &rest, n - i);
}

const struct il_guided_kernels il_guided_kernels_avx2 = {
	.add_row = add_row,
	.slide_moments = slide_moments,
	.box_sums = box_sums,
	.solve = solve,
	.apply_row = apply_row,
};
