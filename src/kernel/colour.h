/* YCbCr <-> BGR for I420 pictures with the frame's own matrix and range.
 *
 * Formulas: ITU-T H.273 clause 8.3, with the constants KR and KB of ITU-R BT.601, BT.709 and BT.2020
 * (non-constant luminance). An unspecified or unknown matrix is BT.601, an unspecified range is limited.
 * Not libyuv: on x86 its weights of blue end at 2.0, which costs 14 levels of BT.709 and 17 of BT.2020.
 */
#ifndef IL_KERNEL_COLOUR_H
#define IL_KERNEL_COLOUR_H

#include "inlay/frame.h"
#include "kernel/kernel.h"

/* KR and KB: the shares of red and of blue in luma. */
void il_luma_shares(enum inlay_matrix matrix, double *red, double *blue);

/* Grey has Cb = Cr = 128 exactly, and white stays white. */
void il_bgr_to_yuv_weights(struct inlay_colour colour, struct il_bgr_to_yuv *to);

void il_yuv_to_bgr_weights(struct inlay_colour colour, struct il_yuv_to_bgr *from);

/* uint16_t of scratch for a conversion of so many pixels a row. */
#define IL_CHROMA_SCRATCH(width) (2 * ((size_t)(width) / 2 + 3))

/* Part `rect` (x0 even, inside the picture) of an I420 picture as BGR, in rows of `stride` bytes. Chroma is
 * interpolated linearly as lying in the middle of its pixels (JPEG's siting), across the borders of the rectangle. */
void il_i420_to_bgr(uint8_t *bgr, ptrdiff_t stride, const struct inlay_frame_info *info,
                    const struct inlay_planes *planes, struct inlay_rect rect, uint16_t *scratch);

/* Bytes of scratch for the way back. */
#define IL_BGR_SCRATCH(width) (6 * ((size_t)(width) + 1))

/* All of an I420 picture of info's size and colour from BGR. A chroma sample is the mean of its pixels; at the edge of
 * an odd size, of those there are. */
void il_bgr_to_i420(const struct inlay_frame_info *info, const struct inlay_planes *planes, const uint8_t *bgr,
                    ptrdiff_t stride, uint8_t *scratch);

#endif
