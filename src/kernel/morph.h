/* Dilation and erosion of an 8-bit mask with a square window, as PIL's MaxFilter and MinFilter of size 2 * |e| + 1. At
 * the borders the window is cut; PIL replicates the border pixels, which are in the cut window already, so the two are
 * the same.
 *
 * Rows go through windows that at most treble from pass to pass; columns through the algorithm of M. van Herk, "A fast
 * algorithm for local minimum and maximum filters on rectangular and octagonal kernels" (1992), and J. Gil and M.
 * Werman, "Computing 2-D min, median, and max filters" (1993), which takes three comparisons a pixel for any window.
 */
#ifndef IL_KERNEL_MORPH_H
#define IL_KERNEL_MORPH_H

#include <stddef.h>
#include <stdint.h>

#define IL_MORPH_MAX 256

/* Bytes of scratch for il_morph: for |expand| up to this. */
size_t il_morph_scratch(int width, int height, int expand);

/* expand > 0 dilates, < 0 erodes, 0 copies; clipped to -256..256. out may be in, with equal strides; scratch is
 * aligned as malloc aligns. Thread-safe. */
void il_morph(uint8_t *out, ptrdiff_t out_stride, const uint8_t *in, ptrdiff_t in_stride, int width, int height,
              int expand, void *scratch);

#endif
