#include "media/wav.h"

#include <errno.h>
#include <libavutil/channel_layout.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/sound_reader.h"

#define CHUNK 16384 /* samples a channel */
#define DATA_MAX (UINT32_MAX - IL_WAV_HEADER_BYTES)

struct wav {
	int fd, rate, channels;
	int64_t samples, limit; /* a channel */
};

static enum inlay_err write_all(int fd, const void *data, size_t size, struct inlay_error *err)
{
	const uint8_t *bytes = data;
	while (size) {
		ssize_t n = write(fd, bytes, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			il_fail_errno(err, "decoded sound cannot be written");
			return INLAY_ERR_IO;
		}
		bytes += n;
		size -= (size_t)n;
	}
	return INLAY_OK;
}

static void put(uint8_t *to, uint32_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

static void make_header(const struct wav *wav, uint8_t *header)
{
	memcpy(header, "RIFF____WAVEfmt ", 16);
	uint32_t frame = 2u * (unsigned)wav->channels, data = (uint32_t)(wav->samples * frame);
	put(header + 4, data + IL_WAV_HEADER_BYTES - 8, 4);
	put(header + 16, 16, 4);
	put(header + 20, 1, 2); /* PCM */
	put(header + 22, (uint32_t)wav->channels, 2);
	put(header + 24, (uint32_t)wav->rate, 4);
	put(header + 28, (uint32_t)wav->rate * frame, 4);
	put(header + 32, frame, 2);
	put(header + 34, 16, 2);
	memcpy(header + 36, "data", 4);
	put(header + 40, data, 4);
}

static enum inlay_err write_header(const struct wav *wav, struct inlay_error *err)
{
	uint8_t header[IL_WAV_HEADER_BYTES];
	make_header(wav, header);
	if (lseek(wav->fd, 0, SEEK_SET) < 0) {
		il_fail_errno(err, "decoded sound cannot be written");
		return INLAY_ERR_IO;
	}
	return write_all(wav->fd, header, sizeof header, err);
}

/* The fault of a reader is never that of the output. */
static enum inlay_err unreadable(enum inlay_err rc, struct inlay_error *err)
{
	if (rc != INLAY_ERR_IO)
		return rc;
	if (err)
		err->code = INLAY_ERR_FORMAT;
	return INLAY_ERR_FORMAT;
}

static enum inlay_err write_samples(struct wav *wav, struct il_sound_reader *reader, int16_t *chunk, double limit_s,
                                    struct inlay_error *err)
{
	for (;;) {
		int ready = 0;
		enum inlay_err rc = il_sound_reader_fill(reader, CHUNK, &ready, err);
		if (il_is_fault(rc))
			return unreadable(rc, err);
		if (!ready)
			return INLAY_OK;
		if (ready > CHUNK)
			ready = CHUNK;
		wav->samples += ready;
		if (wav->samples > wav->limit)
			return il_fail(err, INLAY_ERR_INVALID, "the sound is longer than the %g s it may be", limit_s);
		il_sound_reader_take(reader, (void *[]){ chunk }, ready);
		rc = write_all(wav->fd, chunk, (size_t)ready * 2 * (unsigned)wav->channels, err);
		if (rc)
			return rc;
	}
}

static enum inlay_err copy_sound(struct wav *wav, struct il_sound_source *source, double limit_s,
                                 struct inlay_error *err)
{
	const AVFrame *first = il_sound_source_first(source);
	wav->channels = first->ch_layout.nb_channels == 1 ? 1 : IL_WAV_CHANNELS_MAX;
	wav->rate = first->sample_rate < IL_WAV_RATE_MAX ? first->sample_rate : IL_WAV_RATE_MAX;
	double most = (double)DATA_MAX / (2 * wav->channels), asked = limit_s * wav->rate;
	wav->limit = (int64_t)(asked < most ? asked : most);
	const struct il_sound_form form = { .layout = wav->channels == 1 ? (AVChannelLayout)AV_CHANNEL_LAYOUT_MONO
		                                                         : (AVChannelLayout)AV_CHANNEL_LAYOUT_STEREO,
		                            .format = AV_SAMPLE_FMT_S16,
		                            .rate = wav->rate };
	struct il_sound_reader *reader = NULL;
	enum inlay_err rc = unreadable(il_sound_reader_create(&reader, source, &form, err), err);
	int16_t *chunk = malloc(CHUNK * 2 * (size_t)wav->channels);
	if (!rc && !chunk)
		rc = il_fail_memory(err);
	if (!rc)
		rc = write_header(wav, err);
	if (!rc)
		rc = write_samples(wav, reader, chunk, limit_s, err);
	if (!rc)
		rc = write_header(wav, err);
	free(chunk);
	il_sound_reader_destroy(&reader);
	return rc;
}

enum inlay_err il_wav_write(const char *path, int fd, double limit_s, struct inlay_error *err)
{
	struct wav wav = { .fd = fd };
	struct il_sound_source *source = NULL;
	enum inlay_err rc = unreadable(il_sound_source_open(&source, path, -1, err), err);
	if (!rc)
		rc = copy_sound(&wav, source, limit_s, err);
	il_sound_source_destroy(&source);
	return rc;
}

static uint32_t get(const uint8_t *from, unsigned bytes)
{
	uint32_t value = 0;
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint32_t)from[i] << (8 * i);
	return value;
}

enum inlay_err il_wav_check(int fd, struct inlay_error *err)
{
	uint8_t found[IL_WAV_HEADER_BYTES], expected[IL_WAV_HEADER_BYTES];
	struct stat st;
	if (fstat(fd, &st) == 0 && st.st_size >= IL_WAV_HEADER_BYTES && st.st_size <= UINT32_MAX &&
	    pread(fd, found, sizeof found, 0) == (ssize_t)sizeof found) {
		struct wav wav = { .channels = (int)get(found + 22, 2), .rate = (int)(get(found + 24, 4) & INT32_MAX) };
		int64_t bytes = st.st_size - IL_WAV_HEADER_BYTES, frame = 2 * wav.channels;
		bool plain = wav.channels >= 1 && wav.channels <= IL_WAV_CHANNELS_MAX && wav.rate >= 1 &&
		             wav.rate <= IL_WAV_RATE_MAX && bytes % frame == 0;
		wav.samples = plain ? bytes / frame : 0;
		make_header(&wav, expected);
		if (plain && !memcmp(found, expected, sizeof found))
			return INLAY_OK;
	}
	return il_fail(err, INLAY_ERR_FORMAT, "what was decoded is no plain WAV");
}
