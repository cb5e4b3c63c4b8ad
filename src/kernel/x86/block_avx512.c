/* The kernels of a block for AVX-512: tiles of 12 pixels by 32 channels. */
#include <immintrin.h>

#include <stdint.h>

#define LANES 16
#define TILE 12

typedef __m512 vf;

/* The first n of 16 lanes. */
static inline __mmask16 first_lanes(int n)
{
	return n >= 16 ? 0xffff : n > 0 ? 0x00ff : 0;
}

static inline vf load(const float *from)
{
	return _mm512_loadu_ps(from);
}

static inline vf load_first(const float *from, int n)
{
	return _mm512_maskz_loadu_ps(first_lanes(n), from);
}

static inline vf load_half_first(const uint16_t *from, int n)
{
	__m256i halves = _mm256_maskz_loadu_epi16(first_lanes(n), from);
	return _mm512_cvtph_ps(halves);
}

static inline void store(float *to, vf v)
{
	_mm512_storeu_ps(to, v);
}

static inline void store_first(float *to, vf v, int n)
{
	_mm512_mask_storeu_ps(to, first_lanes(n), v);
}

static inline vf set1(float v)
{
	return _mm512_set1_ps(v);
}

static inline vf add(vf a, vf b)
{
	return _mm512_add_ps(a, b);
}

static inline vf sub(vf a, vf b)
{
	return _mm512_sub_ps(a, b);
}

static inline vf madd(vf a, vf b, vf c)
{
	return _mm512_fmadd_ps(a, b, c);
}

static inline vf max0(vf v)
{
	return _mm512_max_ps(v, _mm512_setzero_ps());
}

static inline void keep_order(vf *a, vf *b)
{
	__asm__ volatile("" : "+v"(*a), "+v"(*b));
}

#include "kernel/block_simd.h"

const struct il_block_kernels il_block_kernels_avx512 = {
	.lanes = PANEL,
	.tile = TILE,
	.multiply = multiply,
	.depthwise = depthwise,
	.between = between,
	.widen = widen,
};
