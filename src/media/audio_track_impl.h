/* What audio_track.c and its two ways of working share. */
#ifndef IL_MEDIA_AUDIO_TRACK_IMPL_H
#define IL_MEDIA_AUDIO_TRACK_IMPL_H

#include <stdbool.h>

#include "media/audio_track.h"
#include "media/sound_source.h"

struct il_audio_track {
	struct il_sound_source *source;
	AVFormatContext *mux;
	AVStream *out;
	double start_s; /* of time 0, in `mux` */
	double limit_s; /* of the sound's own time; HUGE_VAL: none */
	char text[96];

	AVPacket *packet;
	bool ended;       /* everything is written */
	int64_t last_dts; /* in the timebase of `out` */
	int lead_samples; /* every packet is moved later by so much */

	bool pending;                         /* copying: packet was read and is not written yet */
	struct il_audio_transcode *transcode; /* NULL: copying */
};

/* Adds track->out to the muxer. Nothing may fail after it but for lack of memory. */
enum inlay_err il_audio_track_add(struct il_audio_track *track, struct inlay_error *err);

/* track->packet, in the timebase `from`, goes to the muxer. */
enum inlay_err il_audio_track_write(struct il_audio_track *track, AVRational from, struct inlay_error *err);

/* Each adds track->out and sets track->text, and writes the packets that start at or before `until_s`. */
enum inlay_err il_audio_copy_start(struct il_audio_track *track, struct inlay_error *err);
enum inlay_err il_audio_copy_until(struct il_audio_track *track, double until_s, struct inlay_error *err);

/* An encoder of the sound's own codec, which for samples that are not compressed is a copy; or any other. */
enum inlay_err il_audio_transcode_start(struct il_audio_track *track, const AVCodec *encoder, struct inlay_error *err);
enum inlay_err il_audio_transcode_until(struct il_audio_track *track, double until_s, struct inlay_error *err);
void il_audio_transcode_destroy(struct il_audio_transcode **transcode);

#endif
