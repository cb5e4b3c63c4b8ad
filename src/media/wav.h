/* The sound of any file as plain WAV: 16-bit PCM with the 44-byte header of Microsoft's "Multimedia Programming
 * Interface" (1991), which every reader knows. */
#ifndef IL_MEDIA_WAV_H
#define IL_MEDIA_WAV_H

#include "base/error.h"

#define IL_WAV_RATE_MAX 48000
#define IL_WAV_CHANNELS_MAX 2
#define IL_WAV_HEADER_BYTES 44

/* Writes the best audio stream of `path` to `fd`, an empty file that can seek: one channel stays one, more become two
 * as libswresample mixes them; the rate stays up to IL_WAV_RATE_MAX; the timeline is media/sound_source.h's. More than
 * limit_s seconds is INLAY_ERR_INVALID, whatever the container says of its length. INLAY_ERR_IO: `fd` cannot be
 * written; whatever is wrong with the sound is another error. */
enum inlay_err il_wav_write(const char *path, int fd, double limit_s, struct inlay_error *err);

/* Is a file of any origin such a WAV, to the byte? Whatever else is INLAY_ERR_FORMAT. */
enum inlay_err il_wav_check(int fd, struct inlay_error *err);

#endif
