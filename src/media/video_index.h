/* The frames of a video stream by their timestamps, found by demuxing it once. */
#ifndef IL_MEDIA_VIDEO_INDEX_H
#define IL_MEDIA_VIDEO_INDEX_H

#include <stdint.h>

#include "base/error.h"

struct AVFormatContext;

/* {0} is empty. Frames that no decoder can show are left out: those that an edit list hides, and those before the
 * first key frame in decoding or display order. */
struct il_video_index {
	int64_t *pts;     /* ascending, unique; entry i is display frame i. NULL: timestamps are missing or repeated */
	int64_t frames;   /* 0 when pts is NULL */
	int64_t *key_pts; /* of packets where decoding can start, ascending */
	int64_t keys;
};

/* Reads `stream` of `format` from its present position, which is the start, to the end. A container that lists more
 * packets than its data holds is INLAY_ERR_FORMAT naming both numbers. path is for messages. */
enum inlay_err il_video_index_build(struct il_video_index *index, struct AVFormatContext *format, int stream,
                                    const char *path, struct inlay_error *err);
void il_video_index_destroy(struct il_video_index *index);

/* Display index of the frame with this timestamp, -1 if there is none. */
int64_t il_video_index_find(const struct il_video_index *index, int64_t pts);

/* Which key decoding starts at to reach display frame `frame`. */
int64_t il_video_index_key(const struct il_video_index *index, int64_t frame);

/* Display index of the first frame at or after key number `key`. */
int64_t il_video_index_key_frame(const struct il_video_index *index, int64_t key);

#endif
