/* libav's decoded pictures as 8-bit I420: what every reader of video in this folder shares. */
#ifndef IL_MEDIA_PICTURE_H
#define IL_MEDIA_PICTURE_H

#include <stdbool.h>

#include "base/error.h"
#include "inlay/frame.h"

struct AVFrame;
struct SwsContext;

/* The tags that the picture has as I420. RGB becomes limited-range BT.601, swscale's own choice. */
struct inlay_colour il_picture_colour(const struct AVFrame *frame);

/* Bits a sample, of the deepest component. */
int il_picture_depth(const struct AVFrame *frame);

/* Planes of 8-bit 4:2:0. */
bool il_picture_is_i420(const struct AVFrame *frame);

/* {0} is ready for use; clear frees what it holds. One thread at a time. */
struct il_picture_converter {
	struct SwsContext *sws;
	int format; /* what sws was made for */
};

void il_picture_converter_clear(struct il_picture_converter *converter);

/* Writes planes 0 to 2 of an I420 picture of the frame's size. 4:2:0 of 8 bits is copied; other formats go through
 * swscale, keeping matrix and range. All frames of a converter have one size. path is for messages. */
enum inlay_err il_picture_to_i420(struct il_picture_converter *converter, const struct AVFrame *from,
                                  const struct inlay_planes *to, const char *path, struct inlay_error *err);

#endif
