/* A decoded AVFrame into a frame of ours. */
#ifndef IL_MEDIA_PICTURE_H
#define IL_MEDIA_PICTURE_H

#include <libavutil/frame.h>
#include <libswscale/swscale.h>
#include <stdbool.h>

#include "base/error.h"
#include "frame/frame.h"

/* Matrix, range, primaries and transfer as tagged; for RGB, what it is converted into. */
struct inlay_colour il_picture_colour(const AVFrame *frame);

/* The decoder says that part of it is made up. */
bool il_picture_damaged(const AVFrame *frame);

/* {0} is a fresh one. One thread at a time. */
struct il_picture_converter {
	struct SwsContext *sws;
	int format, width, height; /* that sws is made for */
};
void il_picture_converter_clear(struct il_picture_converter *converter);

/* Fills the first three planes of `to`, I420 or YUVA420P of the frame's size. 8-bit 4:2:0 and NV12 are copied; others
 * go through swscale, matrix and range kept. `name` is for messages. */
enum inlay_err il_picture_convert(struct il_picture_converter *converter, const AVFrame *from,
                                  const struct inlay_frame *to, const char *name, struct inlay_error *err);

#endif
