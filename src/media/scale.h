/* Frames into another size, format and colour. */
#ifndef IL_MEDIA_SCALE_H
#define IL_MEDIA_SCALE_H

#include "base/error.h"
#include "frame/frame.h"

/* STRETCH: to the whole target. FIT: all of the picture, centred, black beside it. FILL: no border, what stands over
 * is cut on both sides alike. TILE: at its own size, repeated from the upper left corner. */
enum il_fit { IL_FIT_STRETCH, IL_FIT_FIT, IL_FIT_FILL, IL_FIT_TILE };

/* Pixels that shrink are means of the area that they cover (media/shrink.h); pixels that grow are interpolated
 * linearly, corners on corners. 4:2:0 becomes BGR with the frame's own matrix and range, exact to a level
 * (kernel/colour.h). FIT and FILL keep the proportions within a pixel, or two where 4:2:0 asks for even numbers.
 *
 * Tables and scratch memory for one pair of shapes. One thread at a time. */
struct il_scaler;

/* From and to: I420, BGR24, and the same with alpha, whose plane is neither read nor written. Matrix and range of
 * `to` hold for what is written (unspecified means what inlay/frame.h says). All memory is allocated here. */
enum inlay_err il_scaler_create(struct il_scaler **scaler, const struct inlay_frame_info *from,
                                const struct inlay_frame_info *to, enum il_fit fit, struct inlay_error *err);
void il_scaler_destroy(struct il_scaler **scaler);

/* Both frames have the shapes that the scaler was made for; `to` is held by the caller alone. */
enum inlay_err il_scaler_run(struct il_scaler *scaler, const struct inlay_frame *from, const struct inlay_frame *to,
                             struct inlay_error *err);

#endif
