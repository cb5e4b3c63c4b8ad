/* Scaling of interleaved 8-bit BGR pictures with the arithmetic of OpenCV 4's cv::resize (INTER_LINEAR, INTER_CUBIC).
 *
 * Pixel centres map as fx = (x + 0.5) * scale - 0.5, borders are replicated, nothing is averaged when shrinking.
 * Weights are rounded to 1/2048. Linear interpolates between 2 x 2 pixels; cubic between 4 x 4 with the kernel of
 * R. G. Keys, "Cubic convolution interpolation for digital image processing" (1981), a = -0.75. Linear equals
 * OpenCV's result bit for bit, cubic but for rare single levels (OpenCV's own differ by processor).
 */
#ifndef IL_KERNEL_RESIZE_H
#define IL_KERNEL_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum il_interp { IL_INTERP_LINEAR, IL_INTERP_CUBIC };

/* Tables and scratch memory of one thread: grows to the largest picture seen, then allocates nothing. */
struct il_resize;

enum inlay_err il_resize_create(struct il_resize **resize, enum il_interp interp, struct inlay_error *err);
void il_resize_destroy(struct il_resize **resize);

/* Makes the tables for these sizes in pixels; returns at once when they are those of the last call. Sizes are in
 * 1..32768, INLAY_ERR_INVALID otherwise. */
enum inlay_err il_resize_prepare(struct il_resize *resize, int src_width, int src_height, int dst_width, int dst_height,
                                 struct inlay_error *err);

/* After a prepare that succeeded. Strides are in bytes; the pictures do not overlap. */
void il_resize_run(struct il_resize *resize, uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src,
                   ptrdiff_t src_stride);

#endif
