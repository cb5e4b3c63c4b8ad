#include "media/audio.h"

#include <libavcodec/avcodec.h>
#include <stdlib.h>

#include "media/sound_reader.h"

struct il_audio {
	struct il_audio_info info;
	struct il_sound_source *source;
	struct il_sound_reader *reader;
};

static enum inlay_err start(struct il_audio *audio, const char *path, int rate, struct inlay_error *err)
{
	if (rate <= 0)
		return il_fail(err, INLAY_ERR_INVALID, "%s: asked for %d samples a second, expected more than 0", path,
		               rate);
	enum inlay_err rc = il_sound_source_open(&audio->source, path, -1, err);
	if (rc)
		return rc;
	const AVFrame *first = il_sound_source_first(audio->source);
	audio->info = (struct il_audio_info){
		.sample_rate = first->sample_rate,
		.channels = first->ch_layout.nb_channels,
		.duration_s = il_sound_source_duration_s(audio->source),
		.codec = avcodec_get_name(il_sound_source_stream(audio->source)->codecpar->codec_id),
	};
	const struct il_sound_form form = { AV_CHANNEL_LAYOUT_MONO, AV_SAMPLE_FMT_FLT, rate, .mean = true };
	return il_sound_reader_create(&audio->reader, audio->source, &form, err);
}

enum inlay_err il_audio_open(struct il_audio **out, const char *path, int rate, struct inlay_error *err)
{
	struct il_audio *audio = calloc(1, sizeof *audio);
	if (!audio)
		return il_fail_memory(err);
	enum inlay_err rc = start(audio, path, rate, err);
	if (rc) {
		il_audio_destroy(&audio);
		return rc;
	}
	*out = audio;
	return INLAY_OK;
}

void il_audio_destroy(struct il_audio **slot)
{
	struct il_audio *audio = *slot;
	if (!audio)
		return;
	*slot = NULL;
	il_sound_reader_destroy(&audio->reader);
	il_sound_source_destroy(&audio->source);
	free(audio);
}

const struct il_audio_info *il_audio_info(const struct il_audio *audio)
{
	return &audio->info;
}

enum inlay_err il_audio_read(struct il_audio *audio, float *out, size_t capacity, size_t *n, struct inlay_error *err)
{
	*n = 0;
	while (*n < capacity) {
		int ready;
		enum inlay_err rc = il_sound_reader_fill(audio->reader, 1, &ready, err);
		if (rc)
			return rc;
		if (!ready)
			return *n ? INLAY_OK : INLAY_EOF;
		if ((size_t)ready > capacity - *n)
			ready = (int)(capacity - *n);
		void *planes[] = { out + *n };
		il_sound_reader_take(audio->reader, planes, ready);
		*n += (size_t)ready;
	}
	return INLAY_OK;
}
