/* Face rectangles as packs write them: crop_rectangles.json, crop_rects.json, and .lms landmark files.
 *
 * Each function fills avatar->rects[0 .. frames-1], made beforehand; avatar->frames, width and height say how many
 * there must be and where they may lie. When checking, a frame with a fault keeps the rectangle {0}. Rectangles past
 * the last frame are ignored with a warning in the log.
 */
#ifndef IL_AVATAR_RECTS_H
#define IL_AVATAR_RECTS_H

#include <jansson.h>
#include <stddef.h>

#include "avatar/faults.h"

#define IL_RECT_MIN_SIDE 16 /* pixels */

/* A plain list [[x0,y0,x1,y1], ...], or {"0": {"rect": [x0,y0,x1,y1], ...}, ...} with keys 0..n-1 whose other members
 * are ignored. `name` is for messages. */
enum inlay_err il_rects_parse(struct il_avatar *avatar, const void *data, size_t size, const char *name,
                              struct il_faults *faults);
/* root: a list or an object. */
enum inlay_err il_rects_from_json(struct il_avatar *avatar, json_t *root, const char *name, struct il_faults *faults);
enum inlay_err il_rects_read(struct il_avatar *avatar, const char *path, struct il_faults *faults);

/* One .lms file a frame; file first + i is frame i's. */
enum inlay_err il_rects_read_landmarks(struct il_avatar *avatar, const char *pattern, int64_t first,
                                       struct il_faults *faults);

/* A point "x y" a line, at least 53 of them, cut to whole pixels. The rectangle is SyncTalk_2D's: x0 = points[1].x,
 * y0 = points[52].y, x1 = points[31].x, and square. Not looked at: whether it lies inside a picture. */
enum inlay_err il_lms_parse(const void *data, size_t size, const char *name, struct inlay_rect *rect,
                            struct inlay_error *err);

#endif
