/* What a video file holds beside its pictures, on its way into another: sound, subtitles, attached files, chapters and
 * tags. */
#ifndef IL_MEDIA_STREAM_COPY_H
#define IL_MEDIA_STREAM_COPY_H

#include <libavformat/avformat.h>

#include "base/error.h"

struct il_stream_copy_params {
	const char *path;
	const char *audio_encoder, *subtitle_encoder; /* libav's names, for what the container does not take */
	double limit_s;                               /* > 0: sound ends there */
};

/* One thread; lives shorter than `mux`. */
struct il_stream_copy;

/* Adds streams, chapters and tags to `mux`, whose header is not written yet, and gives `video`, the stream of the
 * pictures there, the tags of the file's own. A stream that fits in no way is left out with a warning, and one that no
 * player shows without a word. The rotation is not taken along. */
enum inlay_err il_stream_copy_open(struct il_stream_copy **copy, AVFormatContext *mux, AVStream *video,
                                   const struct il_stream_copy_params *params, struct inlay_error *err);
void il_stream_copy_destroy(struct il_stream_copy **copy);

/* Before the header is written and the first feed. first_s: when the file shows the first picture that is written;
 * NAN stands for the start of its video. Returns how many units of `tick_s` the output begins before that picture,
 * because sound does. */
int64_t il_stream_copy_begin(struct il_stream_copy *copy, double first_s, double tick_s);

/* Writes what starts at or before `until_s` of the output; HUGE_VAL all that is left. What the file breaks off in is
 * its end. */
enum inlay_err il_stream_copy_feed(struct il_stream_copy *copy, double until_s, struct inlay_error *err);

/* ", audio copied (aac), subtitles subrip to mov_text", or "". */
const char *il_stream_copy_describe(const struct il_stream_copy *copy);

#endif
