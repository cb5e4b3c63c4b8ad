/* Reading video: any file that libav decodes, as I420 frames addressed by index. */
#ifndef IL_MEDIA_VIDEO_H
#define IL_MEDIA_VIDEO_H

#include <stdbool.h>

#include "base/error.h"
#include "frame/frame.h"

struct il_video_info {
	struct inlay_frame_info frame; /* always INLAY_PIX_I420, 8 bit; colour as tagged in the file */
	struct inlay_rational fps;     /* the stream's average rate, the nearest fraction of terms up to 100000 */
	int64_t frames;                /* counted at open by demuxing the file once, by decoding it once where its
	                                * packets lack timestamps; exact */
	const char *codec;             /* libav's name, e.g. "h264" */
};

/* One thread at a time. */
struct il_video;

/* Opens the first video stream that is not a cover picture. threads: of the decoder, 0 for a sensible number; it
 * takes 16 at most.
 * Formats other than 8-bit 4:2:0 are converted to it (swscale), keeping matrix and range. A file whose index lists more
 * frames than its data holds is INLAY_ERR_FORMAT naming both numbers, here already. */
enum inlay_err il_video_open(struct il_video **video, const char *path, unsigned threads, struct inlay_error *err);
void il_video_destroy(struct il_video **video);
const struct il_video_info *il_video_info(const struct il_video *video);

/* Replaces the decoder by one of so many threads; frame 0 is read next. After a fault only destroy is left. */
enum inlay_err il_video_set_threads(struct il_video *video, unsigned threads, struct inlay_error *err);

/* The next frame in display order, with its index as pts; the caller owns it. INLAY_EOF after the last one. A frame
 * that the index promises and that does not decode is INLAY_ERR_FORMAT; the call after it goes on with the next. */
enum inlay_err il_video_read(struct il_video *video, struct inlay_frame **frame, struct inlay_error *err);

/* True where the decoder found damage in the frame that il_video_read gave last, whose picture is partly made up then,
 * or in the data around it. A decoder of one thread tells all that it finds; with more, libav loses some of it. */
bool il_video_damaged(const struct il_video *video);

/* Makes the next il_video_read return frame `index` exactly: it seeks to the key frame before it when that is
 * nearer than the present position, and decodes and drops what lies between. */
enum inlay_err il_video_seek(struct il_video *video, int64_t index, struct inlay_error *err);

/* Index of the nearest key frame at or before `index`, where decoding can start. */
int64_t il_video_key_before(const struct il_video *video, int64_t index);

#endif
