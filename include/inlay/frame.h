/* A picture: planes, strides, pixel format, colour tags and its number within its stream. */
#ifndef INLAY_FRAME_H
#define INLAY_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "inlay/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum inlay_pixfmt {
	INLAY_PIX_NONE,
	INLAY_PIX_I420,     /* Y, U, V planes; chroma is half size both ways, rounded up */
	INLAY_PIX_NV12,     /* Y plane, then interleaved UV */
	INLAY_PIX_YUVA420P, /* I420 and a full-size alpha plane */
	INLAY_PIX_BGR24,    /* one plane, bytes B G R, as OpenCV holds pictures */
	INLAY_PIX_GRAY8,    /* one plane */
	INLAY_PIX_BGR24A8,  /* BGR24 and a full-size alpha plane */
};

/* Values follow ITU-T H.273, so that they pass through to containers and codecs as they are. */
enum inlay_matrix {
	INLAY_MATRIX_BT709 = 1,
	INLAY_MATRIX_UNSPECIFIED = 2, /* treated as BT.601, as OpenCV and swscale do */
	INLAY_MATRIX_BT601 = 5,       /* 5 (625 lines) and 6 (525 lines) are the same matrix */
	INLAY_MATRIX_SMPTE170M = 6,
	INLAY_MATRIX_BT2020 = 9,
};

enum inlay_range {
	INLAY_RANGE_UNSPECIFIED, /* treated as limited */
	INLAY_RANGE_LIMITED,     /* Y 16..235, C 16..240 */
	INLAY_RANGE_FULL,        /* 0..255, as JPEG */
};

struct inlay_colour {
	enum inlay_matrix matrix;
	enum inlay_range range;
	int primaries; /* H.273 ColourPrimaries, 2 = unspecified */
	int transfer;  /* H.273 TransferCharacteristics, 2 = unspecified */
};

struct inlay_rational {
	int num, den;
};

/* A half-open rectangle in pixels: x0 <= x < x1, y0 <= y < y1. */
struct inlay_rect {
	int x0, y0, x1, y1;
};

struct inlay_frame_info {
	enum inlay_pixfmt format;
	int width, height; /* in luma pixels */
	struct inlay_colour colour;
};

#define INLAY_MAX_PLANES 4

/* Pixel memory of a mapped frame. data[i] is the first row; stride[i] is bytes from a row to the next. */
struct inlay_planes {
	uint8_t *data[INLAY_MAX_PLANES];
	ptrdiff_t stride[INLAY_MAX_PLANES];
};

/* Reference counted. A frame held by one owner may be written; one that is shared is read-only. */
struct inlay_frame;

const struct inlay_frame_info *inlay_frame_info(const struct inlay_frame *frame);

/* When the frame is shown, in units of its stream's timebase. Where the stream names none it has a constant rate, and
 * this is the frame's number, from 0 on. */
int64_t inlay_frame_pts(const struct inlay_frame *frame);

/* Pixel pointers are valid between map and unmap only. Any thread; never blocks for host memory.
 * Writing through a mapping is allowed to the only holder of the frame. */
void inlay_frame_map(const struct inlay_frame *frame, struct inlay_planes *planes);
void inlay_frame_unmap(const struct inlay_frame *frame);

/* One more holder; returns `frame`. Any thread. */
struct inlay_frame *inlay_frame_ref(struct inlay_frame *frame);

/* Drops one holder and nulls the variable; the last one gives the memory back to its pool. Accepts &{NULL}. */
void inlay_frame_destroy(struct inlay_frame **frame);

#ifdef __cplusplus
}
#endif
#endif
