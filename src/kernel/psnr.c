#include "kernel/psnr.h"

#include <math.h>

#include "kernel/kernel.h"

uint64_t il_squared_error(const uint8_t *a, ptrdiff_t a_stride, const uint8_t *b, ptrdiff_t b_stride, int width,
                          int height, int every)
{
	const struct il_blend_kernels *k = il_kernels_get()->blend;
	uint64_t sum = 0;
	for (int y = 0; y < height; y += every)
		sum += k->squares(a + y * a_stride, b + y * b_stride, width);
	return sum;
}

double il_psnr(const uint8_t *a, ptrdiff_t a_stride, const uint8_t *b, ptrdiff_t b_stride, int width, int height,
               int every)
{
	uint64_t sum = il_squared_error(a, a_stride, b, b_stride, width, height, every);
	double count = (double)width * ((height - 1) / every + 1);
	return sum ? 10 * log10(255.0 * 255.0 * count / (double)sum) : INFINITY;
}
