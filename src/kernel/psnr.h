/* Likeness of two 8-bit planes. */
#ifndef IL_KERNEL_PSNR_H
#define IL_KERNEL_PSNR_H

#include <stddef.h>
#include <stdint.h>

/* Sum of the squared differences of rows 0, every, 2 * every, ...; every >= 1, strides in bytes. Exact. */
uint64_t il_squared_error(const uint8_t *a, ptrdiff_t a_stride, const uint8_t *b, ptrdiff_t b_stride, int width,
                          int height, int every);

/* Peak signal-to-noise ratio in dB, 10 * log10(255^2 / mean squared difference), over the same rows; INFINITY for
 * equal planes. */
double il_psnr(const uint8_t *a, ptrdiff_t a_stride, const uint8_t *b, ptrdiff_t b_stride, int width, int height,
               int every);

#endif
