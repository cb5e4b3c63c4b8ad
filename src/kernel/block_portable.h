/* The vector layer of block_simd.h in plain C: GCC vectors of LANES floats, which any compiler turns into what its
 * processor has. Define LANES and TILE first. */
#ifndef IL_KERNEL_BLOCK_PORTABLE_H
#define IL_KERNEL_BLOCK_PORTABLE_H

#include <stdint.h>
#include <string.h>

#include "kernel/half.h"

/* Vectors wider than the registers go through memory; nothing here is called from another file. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef float vf __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t vi __attribute__((vector_size(LANES * sizeof(float))));

static inline vf set1(float v)
{
	return v - (vf){ 0 };
}

static inline vf load(const float *from)
{
	vf v;
	memcpy(&v, from, sizeof v);
	return v;
}

static inline vf load_first(const float *from, int n)
{
	vf v = { 0 };
	for (int i = 0; i < n && i < LANES; i++)
		v[i] = from[i];
	return v;
}

static inline void store(float *to, vf v)
{
	memcpy(to, &v, sizeof v);
}

static inline void store_first(float *to, vf v, int n)
{
	for (int i = 0; i < n && i < LANES; i++)
		to[i] = v[i];
}

static inline vf load_half_first(const uint16_t *from, int n)
{
	vf v = { 0 };
	for (int i = 0; i < n && i < LANES; i++)
		v[i] = il_float_of_half(from[i]);
	return v;
}

static inline vf add(vf a, vf b)
{
	return a + b;
}

static inline vf sub(vf a, vf b)
{
	return a - b;
}

static inline vf madd(vf a, vf b, vf c)
{
	return a * b + c;
}

static inline vf max0(vf v)
{
	return (vf)((vi)v & (v > (vf){ 0 }));
}

static inline void keep_order(vf *a, vf *b)
{
	(void)a;
	(void)b;
}

#endif
