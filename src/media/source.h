/* Video as a job reads it: every frame once, in order, upright, from whatever libav opens.
 *
 *   a file       any video; its rotation and mirroring tags are applied, its timestamps are kept (variable rates too)
 *   a picture    JPEG, PNG, WebP, BMP or TIFF, told by its content: one frame, as il_image_decode gives it; an EXIF
 *                orientation is applied; transparency is ignored. GIF and animated PNG are videos
 *   "-"          y4m on standard input
 *   /dev/videoN  a camera
 * media/video.h is the door for reading by frame number.
 */
#ifndef IL_MEDIA_SOURCE_H
#define IL_MEDIA_SOURCE_H

#include <stdbool.h>

#include "base/error.h"
#include "frame/frame.h"

enum il_hwaccel { IL_HWACCEL_AUTO, IL_HWACCEL_NONE, IL_HWACCEL_CUDA };

struct il_source_params {
	const char *path;
	unsigned threads; /* of the decoder, 0: a sensible number */
	/* AUTO takes a device that is there and decodes this file, and the processor otherwise; CUDA that is not there
	 * is told as a warning, and the processor decodes. */
	enum il_hwaccel hwaccel;
	bool alpha;                   /* frames get an alpha plane, with undefined content */
	struct inlay_rational fps;    /* {0}, or the rate asked of a camera */
	bool (*cancelled)(void *ctx); /* ends a wait for a pipe or a camera with INLAY_ERR_CANCELLED; NULL: never */
	void *cancel_ctx;
};

struct il_source_info {
	/* Of every frame: I420 (a picture: BGR24), or with `alpha` YUVA420P (BGR24A8). 8 bit. Upright. */
	struct inlay_frame_info frame;
	struct inlay_rational fps; /* average */
	/* Of the frames' pts; the first one need not be 0. They rise strictly: one that does not comes a tick after the
	 * one before it, a missing one a frame's length after it, and a clock that jumps (more than 1 s back, 10
	 * minutes ahead) goes on without a gap. */
	struct inlay_rational timebase;
	int64_t frames;     /* estimate, -1: unknown */
	bool picture, live; /* live: a pipe or a camera, read once */
	bool has_streams;   /* a file with more than its video: sound, subtitles, chapters, tags */
	int rotation;       /* degrees clockwise that were applied, after any mirroring: 0, 90, 180, 270 */
	int bit_depth;      /* of the source; more than 8 is brought down to 8 */
	const char *codec;  /* libav's name */
};

/* What could not be read, counted from the first frame up to now. */
struct il_source_loss {
	int64_t damaged; /* frames with damage that were given out all the same */
	int64_t skipped; /* packets that gave no frame */
	bool truncated;  /* the end was reached, and it is not where the container says */
};

/* One thread at a time. */
struct il_source;

/* Decodes the first frame: what cannot be read at all fails here (no video stream: INLAY_ERR_FORMAT saying what the
 * file does hold). */
enum inlay_err il_source_open(struct il_source **source, const struct il_source_params *params,
                              struct inlay_error *err);
void il_source_destroy(struct il_source **source);
const struct il_source_info *il_source_info(const struct il_source *source);

/* The next frame; the caller owns it, alone. INLAY_EOF after the last one, also where the file breaks off. A frame of
 * another size than the first is INLAY_ERR_UNSUPPORTED naming both. Frames outlive the source. */
enum inlay_err il_source_read(struct il_source *source, struct inlay_frame **frame, struct inlay_error *err);

/* The next frame is the first one again, and the loss 0; not for live sources (INLAY_ERR_UNSUPPORTED). */
enum inlay_err il_source_rewind(struct il_source *source, struct inlay_error *err);

void il_source_loss(const struct il_source *source, struct il_source_loss *loss);

/* One line on what runs, e.g. "h264 1920x1080 at 29.97 fps, turned by 90, decoded by cuda". Lives with the source. */
const char *il_source_describe(const struct il_source *source);

#endif
