#include "peak.h"

#include <stdint.h>

#include "base/clock.h"
#include "base/cpu.h"

#define TRIES 20
#define STEPS 500000

#if defined __x86_64__
#define MADD(sum) __asm__ volatile("vfmadd231ps %1, %1, %0" : "+x"(sum) : "x"(factor))

/* Ten sums that wait for nothing: two units of a latency of five, or four and fewer. */
__attribute__((target("avx2,fma"))) static void run(void)
{
	typedef float vector __attribute__((vector_size(32)));
	vector a = { 0 }, b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, factor = a;
	for (int k = 0; k < STEPS; k++) {
		MADD(a);
		MADD(b);
		MADD(c);
		MADD(d);
		MADD(e);
		MADD(f);
		MADD(g);
		MADD(h);
		MADD(i);
		MADD(j);
	}
}

double peak_flops(void)
{
	double best = 0;
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
		return 0;
	for (int i = 0; i < TRIES; i++) {
		int64_t start = il_clock_ns();
		run();
		double rate = STEPS * 10.0 * 16 * 1e9 / (double)(il_clock_ns() - start);
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
