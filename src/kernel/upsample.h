/* An 8-bit mask from the network's size to the frame's. Shrinking works too, without averaging.
 *
 * Nearest takes pixel floor(i * (n - 1) / (N - 1)) in double precision: NumPy's linspace(0, n - 1, N).astype(int64), as
 * the Python chain does, corners on corners. Bilinear aligns centres, position (i + 0.5) * n / N - 0.5, borders
 * replicated; it works in steps of 1/128 level, rounding half up after each direction, and rounds half up to a byte:
 * within 0.52 levels of exact arithmetic.
 */
#ifndef IL_KERNEL_UPSAMPLE_H
#define IL_KERNEL_UPSAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum il_upsample_kind { IL_UPSAMPLE_NEAREST, IL_UPSAMPLE_BILINEAR };

/* Tables for one pair of sizes and a row of scratch; one thread at a time. */
struct il_upsample;

/* Sizes are in 1..32767, INLAY_ERR_INVALID otherwise. */
enum inlay_err il_upsample_create(struct il_upsample **up, enum il_upsample_kind kind, int src_width, int src_height,
                                  int dst_width, int dst_height, struct inlay_error *err);
void il_upsample_destroy(struct il_upsample **up);

/* Rows y0 <= y < y1 of the large mask; dst is its row y0. Allocates nothing. */
void il_upsample_rows(struct il_upsample *up, uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src,
                      ptrdiff_t src_stride, int y0, int y1);

/* Columns x0 <= x < x1 of these rows; dst is the first of them. */
void il_upsample_part(struct il_upsample *up, uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src,
                      ptrdiff_t src_stride, int x0, int x1, int y0, int y1);

#endif
