/* The sound of a video file under way: packets are copied where the container takes them as they are, and decoded
 * and encoded again elsewhere. */
#ifndef IL_MEDIA_AUDIO_TRACK_H
#define IL_MEDIA_AUDIO_TRACK_H

#include <libavformat/avformat.h>
#include <stdbool.h>

#include "base/error.h"

/* One thread; lives shorter than `mux`. */
struct il_audio_track;

/* Adds a stream to `mux`, whose header is not written yet, or on failure does not. Time 0 is the first sample of an
 * audio stream of `path` (-1: the best) as a decoder gives it; encoder delay that a copy carries along comes before 0.
 * encoder: libav's name, for what cannot be copied, or what players do not expect in such a container. limit_s > 0: the
 * sound ends there. Both ways keep the timeline of media/sound_source.h, which is that of il_audio. Channels and rates
 * that no conversion is found for are refused here, not at the first write. */
enum inlay_err il_audio_track_open(struct il_audio_track **track, AVFormatContext *mux, const char *path, int stream,
                                   const char *encoder, double limit_s, struct inlay_error *err);
void il_audio_track_destroy(struct il_audio_track **track);

/* Before the first feed: moves the sound, but not its limit, so much later. */
void il_audio_track_move(struct il_audio_track *track, double by_s);
/* Where the file itself has its time 0. */
double il_audio_track_source_start_s(const struct il_audio_track *track);
AVStream *il_audio_track_stream(const struct il_audio_track *track);

/* Writes the packets that start at or before `until_s` of `mux`; HUGE_VAL writes all that is left. */
enum inlay_err il_audio_track_feed(struct il_audio_track *track, double until_s, struct inlay_error *err);

bool il_audio_track_ended(const struct il_audio_track *track);

/* "copied (aac)" or "pcm_s16le to aac 128 kb/s". */
const char *il_audio_track_describe(const struct il_audio_track *track);

#endif
