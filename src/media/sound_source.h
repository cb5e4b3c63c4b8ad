/* The sound of a file, as packets or as decoded frames, on one timeline.
 *
 * Both follow the file's timestamps, so what is copied and what is decoded stay together: time 0 is the first sample
 * that the decoder gives, a gap is a gap, and what comes a second time is dropped. Timestamps that jump by more than a
 * recording's fault can explain (10 minutes ahead, 1 second back) are taken for a mistake: sound goes on without a gap.
 */
#ifndef IL_MEDIA_SOUND_SOURCE_H
#define IL_MEDIA_SOUND_SOURCE_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "base/error.h"

/* One thread at a time. */
struct il_sound_source;

/* Opens an audio stream of `path`, the best one for -1, and decodes its first frame. No such stream, or none that
 * decodes, is INLAY_ERR_FORMAT. */
enum inlay_err il_sound_source_open(struct il_sound_source **source, const char *path, int stream,
                                    struct inlay_error *err);
void il_sound_source_destroy(struct il_sound_source **source);

const char *il_sound_source_path(const struct il_sound_source *source);
const AVStream *il_sound_source_stream(const struct il_sound_source *source);
/* When the file itself shows time 0. */
double il_sound_source_start_s(const struct il_sound_source *source);
double il_sound_source_duration_s(const struct il_sound_source *source); /* the container's word; 0: unknown */
/* Rate, format and channels; valid until the first call of the two below. */
const AVFrame *il_sound_source_first(const struct il_sound_source *source);

/* The next frame; INLAY_EOF after the last. Frames follow each other without a gap: one of over 10 ms comes as frames
 * of silence, and an overlap as long is cut off. Their form may change in mid-stream. Valid until the next call. A
 * broken packet is a gap, with a warning. */
enum inlay_err il_sound_source_frame(struct il_sound_source *source, const AVFrame **frame, struct inlay_error *err);

/* From now on packets, from the first: an il_sound_source gives frames or packets. */
enum inlay_err il_sound_source_restart(struct il_sound_source *source, struct inlay_error *err);
/* The next packet; INLAY_EOF after the last. Its times count from time 0 in the stream's timebase; encoder delay comes
 * before. */
enum inlay_err il_sound_source_packet(struct il_sound_source *source, AVPacket *packet, struct inlay_error *err);
/* How far before time 0 the first packet starts, in the stream's timebase. */
int64_t il_sound_source_lead(const struct il_sound_source *source);

#endif
