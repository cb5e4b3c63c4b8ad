/* A background out of focus by its depth: what is as far away as the subject stays sharp.
 *
 * Depth is what a network gives: any range, near things the larger or the smaller. Its 2nd and 98th of 100 parts become
 * 0 and 1. The focus is the median depth of the subject. All three follow their frames by a fifth of the way a frame,
 * so that a network's flicker is not seen as breathing of the blur.
 */
#ifndef IL_COMPOSITE_FOCAL_H
#define IL_COMPOSITE_FOCAL_H

#include <stdint.h>

#include "base/error.h"

struct il_focal_params {
	double depth_of_field; /* sharp to either side of the focus, as a share of the range: 0..1; 0 is 0.15 */
};

/* One stream, in the order of its frames. One thread at a time. */
struct il_focal;

/* Depth and masks of these sizes, 1..32767 each way. All memory is allocated here. */
enum inlay_err il_focal_create(struct il_focal **focal, const struct il_focal_params *params, int depth_width,
                               int depth_height, int mask_width, int mask_height, struct inlay_error *err);
void il_focal_destroy(struct il_focal **focal);

/* Forgets range and focus; the next frame is a first one. */
void il_focal_reset(struct il_focal *focal);

/* out = the greater of mask and 255 * sharpness: 1 within the depth of field, falling to 0 over a fifth of the range
 * more; depth is scaled linearly to the mask's size (centres on centres). Neither has gaps between rows; out may be
 * mask. Without a subject (no value of mask above 127) the focus stays where it was, or is the middle before there was
 * one. Of a scene without any depth all is sharp. Values that are no numbers are not sharp; if there is nothing else,
 * it is INLAY_ERR_FORMAT, and nothing has changed. Allocates nothing. */
enum inlay_err il_focal_mask(struct il_focal *focal, const float *depth, const uint8_t *mask, uint8_t *out,
                             struct inlay_error *err);

#endif
