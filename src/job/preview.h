/* One picture that shows what a matte does to a frame: input, mask, alpha and result side by side. */
#ifndef IL_JOB_PREVIEW_H
#define IL_JOB_PREVIEW_H

#include "base/error.h"
#include "frame/frame.h"

enum il_preview_panel { IL_PREVIEW_INPUT, IL_PREVIEW_MASK, IL_PREVIEW_ALPHA, IL_PREVIEW_RESULT, IL_PREVIEW_PANELS };

/* One thread at a time. */
struct il_preview;

/* For frames as `info` says, each panel as wide as they are, but 960 pixels at most. */
enum inlay_err il_preview_create(struct il_preview **preview, const struct inlay_frame_info *info,
                                 struct inlay_error *err);
void il_preview_destroy(struct il_preview **preview);

/* BGR24; the preview's own. */
struct inlay_frame *il_preview_picture(struct il_preview *preview);

/* Draws a frame; what is transparent in the result is seen over a chequerboard. */
enum inlay_err il_preview_frame(struct il_preview *preview, enum il_preview_panel panel,
                                const struct inlay_frame *frame, struct inlay_error *err);

/* Draws a grey plane of any size, 0..255. */
enum inlay_err il_preview_plane(struct il_preview *preview, enum il_preview_panel panel, const uint8_t *plane,
                                ptrdiff_t stride, int width, int height, struct inlay_error *err);

#endif
