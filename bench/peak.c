#include "peak.h"

#include <stdint.h>

#include "base/clock.h"
#include "base/cpu.h"

#define TRIES 20
#define STEPS 500000

#if defined __x86_64__
#define MADD(sum) __asm__ volatile("vfmadd231ps %1, %1, %0" : "+v"(sum) : "v"(factor))

/* Ten sums that wait for nothing: two units of a latency of five, or four and fewer. */
#define RUN(name, bytes, instructions)                                                                                 \
	__attribute__((target(instructions))) static void name(void)                                                   \
	{                                                                                                              \
		typedef float vector __attribute__((vector_size(bytes)));                                              \
		vector a = { 0 }, b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, factor = a;           \
		for (int k = 0; k < STEPS; k++) {                                                                      \
			MADD(a);                                                                                       \
			MADD(b);                                                                                       \
			MADD(c);                                                                                       \
			MADD(d);                                                                                       \
			MADD(e);                                                                                       \
			MADD(f);                                                                                       \
			MADD(g);                                                                                       \
			MADD(h);                                                                                       \
			MADD(i);                                                                                       \
			MADD(j);                                                                                       \
		}                                                                                                      \
	}

RUN(run_256, 32, "avx2,fma")
RUN(run_512, 64, "avx512f")

double peak_flops(void)
{
	const unsigned flags = il_cpu_flags();
	const double lanes = flags & IL_CPU_AVX512 ? 16 : 8;
	double best = 0;
	if (!(flags & IL_CPU_AVX2))
		return 0;
	for (int i = 0; i < TRIES; i++) {
		int64_t start = il_clock_ns();
		(flags & IL_CPU_AVX512 ? run_512 : run_256)();
		double rate = STEPS * 10.0 * 2 * lanes * 1e9 / (double)(il_clock_ns() - start);
		best = rate > best ? rate : best;
	}
	return best;
}
#else
double peak_flops(void)
{
	return 0;
}
#endif
