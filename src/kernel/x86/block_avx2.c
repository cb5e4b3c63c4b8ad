/* The kernels of a block for AVX2 with FMA and F16C: tiles of 6 pixels by 16 channels. */
#include <immintrin.h>

#include <stdint.h>

#define LANES 8
#define TILE 6

typedef __m256 vf;

static inline vf load(const float *from)
{
	return _mm256_loadu_ps(from);
}

static inline vf load_half(const uint16_t *from)
{
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
}

static inline vf load_first(const float *from, int n)
{
	return n > 0 ? load(from) : _mm256_setzero_ps();
}

static inline vf load_half_first(const uint16_t *from, int n)
{
	return n > 0 ? load_half(from) : _mm256_setzero_ps();
}

static inline void store(float *to, vf v)
{
	_mm256_storeu_ps(to, v);
}

static inline void store_first(float *to, vf v, int n)
{
	if (n > 0)
		store(to, v);
}

static inline vf set1(float v)
{
	return _mm256_set1_ps(v);
}

static inline vf add(vf a, vf b)
{
	return _mm256_add_ps(a, b);
}

static inline vf sub(vf a, vf b)
{
	return _mm256_sub_ps(a, b);
}

static inline vf madd(vf a, vf b, vf c)
{
	return _mm256_fmadd_ps(a, b, c);
}

static inline vf max0(vf v)
{
	return _mm256_max_ps(v, _mm256_setzero_ps());
}

static inline void keep_order(vf *a, vf *b)
{
	__asm__ volatile("" : "+x"(*a), "+x"(*b));
}

#include "kernel/block_simd.h"

const struct il_block_kernels il_block_kernels_avx2 = {
	.lanes = PANEL,
	.tile = TILE,
	.multiply = multiply,
	.depthwise = depthwise,
	.between = between,
	.widen = widen,
};
