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
	.apply_row = apply_row,
};
