/* Where finished frames go: a video file with sound, pictures, a pipe, digests, nothing. */
#ifndef IL_MEDIA_SINK_H
#define IL_MEDIA_SINK_H

#include <stdbool.h>

#include "base/error.h"
#include "frame/frame.h"

struct il_sink_params {
	const char *path;   /* "-" and "/dev/stdout" are standard output; NULL is that too for md5, and fits null */
	const char *format; /* mp4 mov mkv webm | jpg png (a picture a frame, PATH holds %d) | y4m mjpeg rawvideo |
	                       md5 | v4l2 (the default for /dev/videoN) | null; NULL: by the extension of PATH */
	/* Of every frame written. I420 is taken by all; YUVA420P by webm (as VP9), mov (as ProRes 4444, or with codec
	 * qtrle as QuickTime RLE), mkv (as FFV1, or with codec libvpx-vp9) and png; BGR24 by png and jpg, BGR24A8 by
	 * png; and all of these by md5 and null. Colours beside an alpha are not multiplied by it. */
	struct inlay_frame_info frame;
	struct inlay_rational fps; /* where frames have times: their average; not looked at for a single picture */
	/* Where set, a frame is shown at its pts in units of this, counted from the first frame's, and pts rise
	 * strictly. {0}: frame k is shown at k / fps. Containers keep times; the others take frames as they come. */
	struct inlay_rational timebase;
	bool single; /* jpg png: PATH is one picture's name, and one frame is written */
	bool overwrite;

	/* Asked now and then by the writing thread while the reader of a pipe keeps it waiting; true ends the wait with
	 * INLAY_ERR_CANCELLED. NULL: never. */
	bool (*cancelled)(void *ctx);
	void *cancel_ctx;

	/* libav encoder name, NULL: libx264, libvpx-vp9 for webm, and for alpha as above. Where NVIDIA's (*_nvenc) does
	 * not start, libx264, libx265 or libsvtav1 runs, with a warning and without `preset`. */
	const char *codec;
	const char *preset; /* NULL: veryfast (x264, x265), p4 (nvenc), realtime speed 6 (vp9) */
	int crf;            /* < 0: 20, 32 for vp9, 30 for av1_nvenc; the encoder's own default for others */
	int quality;        /* JPEG 1..100, 0: 90 */
	unsigned threads;   /* of the encoder, 0: its own choice */

	const char *audio_path; /* NULL: no sound track. mp4 mov mkv webm; others leave it out and log so */
	/* NULL, or the file that the frames come from, instead of audio_path: all its sound and subtitle streams,
	 * chapters and tags go along, on its own timeline against the first frame's. Copied where the container takes
	 * them as they are; sound and written subtitles are encoded elsewhere, and what fits in no way is left out and
	 * logged. Where sound starts before the first frame, so does the output, and the frames come that much later.
	 * Sound and subtitles go on after the last frame. What is broken or cut off in them is no error. */
	const char *streams_path;
	bool cut_streams;     /* they end with the last frame, as for a part of the file */
	double audio_limit_s; /* > 0: sound ends there, from the start of the output */
	/* NULL, or key, value, ..., NULL pairs for the container; they win over those of streams_path. */
	const char *const *metadata;
};

/* One thread at a time. */
struct il_sink;

/* Fails here, not at the last frame, on: existing output without overwrite (of pictures: one of any number), unwritable
 * place, output that another run is writing, unknown format or codec, a codec the container cannot hold. */
enum inlay_err il_sink_open(struct il_sink **sink, const struct il_sink_params *params, struct inlay_error *err);

/* The frame stays the caller's (a sink that keeps it takes its own reference). */
enum inlay_err il_sink_write(struct il_sink *sink, struct inlay_frame *frame, struct inlay_error *err);

/* True for outputs that are rows of JPEGs (jpg, mjpeg): frames may come as such, of the size of `frame`. */
bool il_sink_takes_jpegs(const struct il_sink *sink);
enum inlay_err il_sink_write_jpeg(struct il_sink *sink, const uint8_t *data, size_t size, struct inlay_error *err);

/* Flushes, writes the trailer, syncs, renames: only now does the output exist under its name.
 *
 * Until then a file is PATH.part, and pictures stand in a folder of that name beside the place they move to. Pictures
 * that overwrite also end an earlier, longer row: those that follow the last one without a gap are removed. */
enum inlay_err il_sink_finish(struct il_sink *sink, struct inlay_error *err);

/* Without a successful finish: removes whatever was written; what was there before stays. */
void il_sink_destroy(struct il_sink **sink);

/* One line on what runs, e.g. "mp4: libx264 veryfast crf 20, audio copied (aac)". Valid while the sink lives. */
const char *il_sink_describe(const struct il_sink *sink);

#endif
