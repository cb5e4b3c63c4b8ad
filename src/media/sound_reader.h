/* Sound in one form, whatever form a file has it in and however often that changes. */
#ifndef IL_MEDIA_SOUND_READER_H
#define IL_MEDIA_SOUND_READER_H

#include <stdbool.h>

#include "media/sound_source.h"

struct il_sound_form {
	AVChannelLayout layout;
	enum AVSampleFormat format;
	int rate;
	/* Every channel is the plain mean of the source's. Otherwise that is left to sources whose channels have no
	 * known place (all with more than 8), and the rest is mixed as libswresample does it. */
	bool mean;
};

/* One thread at a time; lives shorter than its source. */
struct il_sound_reader;

/* Fails where the source's first frame cannot be brought into `form`. */
enum inlay_err il_sound_reader_create(struct il_sound_reader **reader, struct il_sound_source *source,
                                      const struct il_sound_form *form, struct inlay_error *err);
void il_sound_reader_destroy(struct il_sound_reader **reader);

/* Reads on until `wanted` samples are ready; *ready is less only at the end of the sound. */
enum inlay_err il_sound_reader_fill(struct il_sound_reader *reader, int wanted, int *ready, struct inlay_error *err);
/* Takes `n` of the samples that are ready. */
void il_sound_reader_take(struct il_sound_reader *reader, void **planes, int n);

#endif
