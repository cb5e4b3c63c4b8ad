/* Reading sound as mono float. */
#ifndef IL_MEDIA_AUDIO_H
#define IL_MEDIA_AUDIO_H

#include <stddef.h>

#include "base/error.h"

struct il_audio_info {
	int sample_rate, channels; /* of the file */
	double duration_s;         /* the container's word; <= 0 when unknown */
	const char *codec;         /* libav's name */
};

/* One thread at a time. */
struct il_audio;

/* Opens the best audio stream of anything libav reads. Samples come out at `rate` Hz, as the plain mean of all
 * channels (not libav's -3 dB downmix), -1..1, resampled with libswresample when the file's rate differs. They
 * follow the file's timestamps: a gap comes as silence (media/sound_source.h has the rules). A file with no audio
 * stream, or of length zero, is INLAY_ERR_FORMAT; a pipe is INLAY_ERR_INVALID. */
enum inlay_err il_audio_open(struct il_audio **audio, const char *path, int rate, struct inlay_error *err);
void il_audio_destroy(struct il_audio **audio);
const struct il_audio_info *il_audio_info(const struct il_audio *audio);

/* Up to `capacity` samples into `out`; *n of them came. INLAY_EOF (with *n = 0) after the last. A broken packet is
 * silence, with a warning; a file in which nothing decodes is INLAY_ERR_FORMAT. */
enum inlay_err il_audio_read(struct il_audio *audio, float *out, size_t capacity, size_t *n, struct inlay_error *err);

#endif
