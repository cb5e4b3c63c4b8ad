/* A sound track through an encoder. */
#include <math.h>
#include <stdlib.h>

#include "media/audio_track_impl.h"
#include "media/libav.h"
#include "media/sound_reader.h"

#define PCM_CHUNK 1024 /* samples in a packet where the encoder takes any number */

struct il_audio_transcode {
	AVCodecContext *encoder;
	struct il_sound_reader *reader;
	AVFrame *chunk;
	int chunk_samples;
	int64_t sent; /* samples that the encoder got */
};

/* What the two encoders take. Names rather than the codec's own lists, whose place differs between libav versions. */
static enum AVSampleFormat encoder_format(const AVCodec *codec)
{
	return codec->id == AV_CODEC_ID_OPUS ? AV_SAMPLE_FMT_FLT : AV_SAMPLE_FMT_FLTP;
}

/* The input's rate where it can be kept, else the next higher one. */
static int encoder_rate(const AVCodec *codec, int rate)
{
	static const int aac[] = { 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000 };
	for (size_t i = 0; codec->id == AV_CODEC_ID_AAC && i < sizeof aac / sizeof *aac; i++)
		if (rate <= aac[i])
			return aac[i];
	return 48000;
}

static const AVChannelLayout *encoder_layout(const AVChannelLayout *from)
{
	static const AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO, stereo = AV_CHANNEL_LAYOUT_STEREO,
				     surround = AV_CHANNEL_LAYOUT_5POINT1_BACK;
	return from->nb_channels == 1 ? &mono : from->nb_channels == 6 ? &surround : &stereo;
}

/* What the encoder gets. That of the sound's own codec takes what the decoder gives. */
static struct il_sound_form choose_form(const struct il_audio_track *t, const AVCodec *codec)
{
	const AVFrame *first = il_sound_source_first(t->source);
	if (codec->id == il_sound_source_stream(t->source)->codecpar->codec_id)
		return (struct il_sound_form){ first->ch_layout, first->format, first->sample_rate };
	return (struct il_sound_form){ *encoder_layout(&first->ch_layout), encoder_format(codec),
		                       encoder_rate(codec, first->sample_rate) };
}

static enum inlay_err start_encoder(struct il_audio_track *t, const AVCodec *codec, const struct il_sound_form *form,
                                    struct inlay_error *err)
{
	AVCodecContext *e = t->transcode->encoder = avcodec_alloc_context3(codec);
	if (!e || av_channel_layout_copy(&e->ch_layout, &form->layout) < 0)
		return il_fail_memory(err);
	e->sample_fmt = form->format;
	e->sample_rate = form->rate;
	e->bit_rate = e->ch_layout.nb_channels > 2 ? 64000 * e->ch_layout.nb_channels : 128000;
	e->time_base = (AVRational){ 1, e->sample_rate };
	if (t->mux->oformat->flags & AVFMT_GLOBALHEADER)
		e->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
	int ret = avcodec_open2(e, codec, NULL);
	if (ret < 0)
		return il_fail_av(err, ret, "%s: cannot start the %s encoder for %d channels at %d Hz",
		                  il_sound_source_path(t->source), codec->name, e->ch_layout.nb_channels,
		                  e->sample_rate);
	return INLAY_OK;
}

static enum inlay_err add_stream(struct il_audio_track *t, struct inlay_error *err)
{
	const AVCodecContext *e = t->transcode->encoder;
	enum inlay_err rc = il_audio_track_add(t, err);
	if (rc)
		return rc;
	t->out->time_base = e->time_base;
	return avcodec_parameters_from_context(t->out->codecpar, e) < 0 ? il_fail_memory(err) : INLAY_OK;
}

static enum inlay_err create_chunk(struct il_audio_transcode *x, struct inlay_error *err)
{
	const AVCodecContext *e = x->encoder;
	AVFrame *chunk = x->chunk = av_frame_alloc();
	x->chunk_samples = e->frame_size > 0 ? e->frame_size : PCM_CHUNK;
	if (!chunk)
		return il_fail_memory(err);
	chunk->format = e->sample_fmt;
	chunk->sample_rate = e->sample_rate;
	chunk->nb_samples = x->chunk_samples;
	if (av_channel_layout_copy(&chunk->ch_layout, &e->ch_layout) < 0 || av_frame_get_buffer(chunk, 0) < 0)
		return il_fail_memory(err);
	return INLAY_OK;
}

enum inlay_err il_audio_transcode_start(struct il_audio_track *t, const AVCodec *codec, struct inlay_error *err)
{
	struct il_audio_transcode *x = t->transcode = calloc(1, sizeof *x);
	if (!x)
		return il_fail_memory(err);
	enum AVCodecID id = il_sound_source_stream(t->source)->codecpar->codec_id;
	struct il_sound_form form = choose_form(t, codec);
	enum inlay_err rc = start_encoder(t, codec, &form, err);
	if (!rc)
		rc = il_sound_reader_create(&x->reader, t->source, &form, err);
	if (!rc)
		rc = create_chunk(x, err);
	if (!rc)
		rc = add_stream(t, err);
	if (codec->id == id)
		snprintf(t->text, sizeof t->text, "copied (%s)", avcodec_get_name(id));
	else
		snprintf(t->text, sizeof t->text, "%s to %s %d kb/s", avcodec_get_name(id), codec->name,
		         rc ? 0 : (int)(x->encoder->bit_rate / 1000));
	return rc;
}

void il_audio_transcode_destroy(struct il_audio_transcode **slot)
{
	struct il_audio_transcode *x = *slot;
	if (!x)
		return;
	*slot = NULL;
	av_frame_free(&x->chunk);
	il_sound_reader_destroy(&x->reader);
	avcodec_free_context(&x->encoder);
	free(x);
}

/* frame NULL flushes the encoder. */
static enum inlay_err encode(struct il_audio_track *t, const AVFrame *frame, struct inlay_error *err)
{
	AVCodecContext *e = t->transcode->encoder;
	int ret = avcodec_send_frame(e, frame);
	while (ret >= 0) {
		ret = avcodec_receive_packet(e, t->packet);
		if (ret == AVERROR(EAGAIN) || ret == AVERROR_EOF)
			return INLAY_OK;
		enum inlay_err rc = ret < 0 ? INLAY_OK : il_audio_track_write(t, e->time_base, err);
		if (rc)
			return rc;
	}
	return il_fail_av(err, ret, "%s: the %s encoder failed", il_sound_source_path(t->source), e->codec->name);
}

static enum inlay_err encode_chunk(struct il_audio_track *t, struct inlay_error *err)
{
	struct il_audio_transcode *x = t->transcode;
	int n;
	enum inlay_err rc = il_sound_reader_fill(x->reader, x->chunk_samples, &n, err);
	if (rc)
		return rc;
	n = FFMIN(n, x->chunk_samples);
	double left = t->limit_s * x->encoder->sample_rate - (double)x->sent;
	if (n > left)
		n = (int)lrint(FFMAX(left, 0));
	if (n < x->chunk_samples)
		t->ended = true;
	if (n > 0) {
		if (av_frame_make_writable(x->chunk) < 0)
			return il_fail_memory(err);
		x->chunk->nb_samples = n;
		x->chunk->pts = x->sent;
		il_sound_reader_take(x->reader, (void **)x->chunk->extended_data, n);
		x->sent += n;
		rc = encode(t, x->chunk, err);
	}
	if (!rc && t->ended)
		rc = encode(t, NULL, err);
	return rc;
}

enum inlay_err il_audio_transcode_until(struct il_audio_track *t, double until_s, struct inlay_error *err)
{
	const struct il_audio_transcode *x = t->transcode;
	enum inlay_err rc = INLAY_OK;
	while (!rc && !t->ended && (double)x->sent <= until_s * x->encoder->sample_rate)
		rc = encode_chunk(t, err);
	return rc;
}
