/* One subtitle stream on its way into a file: copied where the container takes it as it is, text is written anew in
 * the container's own form elsewhere. */
#ifndef IL_MEDIA_SUBTITLE_TRACK_H
#define IL_MEDIA_SUBTITLE_TRACK_H

#include <libavformat/avformat.h>

#include "base/error.h"

/* One thread; lives shorter than `mux` and the file that `in` belongs to. */
struct il_subtitle_track;

/* Adds a stream to `mux`, whose header is not written yet, or on failure does not. encoder: libav's name, for text
 * that cannot be copied. What fits in neither way is INLAY_ERR_UNSUPPORTED. */
enum inlay_err il_subtitle_track_open(struct il_subtitle_track **track, AVFormatContext *mux, const AVStream *in,
                                      const char *encoder, struct inlay_error *err);
void il_subtitle_track_destroy(struct il_subtitle_track **track);

/* Writes a packet of `in`, `shift_s` later; what would be shown before time 0 is cut. Broken ones are left out, with a
 * warning. */
enum inlay_err il_subtitle_track_write(struct il_subtitle_track *track, const AVPacket *packet, double shift_s,
                                       struct inlay_error *err);

AVStream *il_subtitle_track_stream(const struct il_subtitle_track *track);
/* "copied (subrip)" or "subrip to mov_text" */
const char *il_subtitle_track_describe(const struct il_subtitle_track *track);

#endif
