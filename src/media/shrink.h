/* One plane of bytes to a smaller size: every pixel becomes the mean of the area that it covers.
 *
 * A constant stays what it is, and the rest is within a level of the exact mean: edges of areas are held in units of
 * 1/128 row, weights of columns in units of 1/16384 of the area. (libyuv's box filter takes whole pixels and rounds
 * down, a level too low for most box sizes.)
 */
#ifndef IL_MEDIA_SHRINK_H
#define IL_MEDIA_SHRINK_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Tables and scratch memory for one pair of sizes. One thread at a time. */
struct il_shrink;

/* 1 <= to_* <= from_* <= 32768. */
enum inlay_err il_shrink_create(struct il_shrink **shrink, int from_width, int from_height, int to_width, int to_height,
                                struct inlay_error *err);
void il_shrink_destroy(struct il_shrink **shrink);

/* Strides in bytes; the planes do not overlap. Allocates nothing. */
void il_shrink_run(struct il_shrink *shrink, uint8_t *to, ptrdiff_t to_stride, const uint8_t *from,
                   ptrdiff_t from_stride);

#endif
