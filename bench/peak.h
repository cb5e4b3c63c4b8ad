/* What a processor could do at best with the vectors that our kernels use. */
#ifndef INLAY_BENCH_PEAK_H
#define INLAY_BENCH_PEAK_H

/* Floating-point operations a second of one thread that does nothing but fused multiply-adds on registers, two
 * operations each: the best of some tries of a few milliseconds. 0 where there is no such instruction. */
double peak_flops(void);

#endif
