/* Lip-sync compositing: taking the face out of a frame, and putting the drawn mouth back in.
 *
 * As SyncTalk_2D's inference does (side C = S + 8, margin 4):
 *   crop = resize(frame[rect], C x C); roi = crop[4:4+S, 4:4+S]
 *   patch = crop with roi replaced by the network's output; frame[rect] = resize(patch, size of rect)
 * resize is OpenCV's (INTER_LINEAR or INTER_CUBIC, 8 bit). Frames are BGR24, where the result is OpenCV's within one
 * level, or I420, where a chroma sample changes only if all the pixels it covers lie inside the rectangle, so that
 * not a byte outside it changes.
 */
#ifndef IL_COMPOSITE_PLACE_H
#define IL_COMPOSITE_PLACE_H

#include <stdint.h>

#include "base/error.h"
#include "frame/frame.h"
#include "kernel/resize.h"

#define IL_PLACE_MARGIN 4

/* Scratch memory for crop and draw, which one thread at a time may call. picture and mouth only read it: any thread,
 * beside them. Grows to the largest rectangle seen, then allocates nothing. */
struct il_place;

/* size: S, of the network's picture. */
enum inlay_err il_place_create(struct il_place **place, int size, enum il_interp interp, struct inlay_error *err);
void il_place_destroy(struct il_place **place);

/* Bytes of a crop: C * C * 3. */
size_t il_place_crop_bytes(const struct il_place *place);

/* crop [C, C, 3] BGR = resize(frame[rect]). The rectangle lies inside the frame (INLAY_ERR_INVALID otherwise). */
enum inlay_err il_place_crop(struct il_place *place, const struct inlay_frame *frame, struct inlay_rect rect,
                             uint8_t *crop, struct inlay_error *err);

/* Network input planes [6, S, S] of a crop. */
void il_place_picture(const struct il_place *place, const uint8_t *crop, float *planes);

/* Writes network output planes [3, S, S] over the roi of `crop`. */
void il_place_mouth(const struct il_place *place, uint8_t *crop, const float *planes);

/* The same of a network that draws bytes, [S, S, 3] BGR. */
void il_place_mouth_bytes(const struct il_place *place, uint8_t *crop, const uint8_t *bgr);

/* frame[rect] = resize(crop), in place; the caller is the frame's only holder. keep: NULL, or one byte a pixel of
 * the rectangle (row by row), non-zero where the frame's own pixel stays. */
enum inlay_err il_place_draw(struct il_place *place, struct inlay_frame *frame, struct inlay_rect rect,
                             const uint8_t *crop, const uint8_t *keep, struct inlay_error *err);

#endif
