#include "media/sound_reader.h"

#include <libavutil/audio_fifo.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
#include <stdlib.h>

#include "media/libav.h"

#define MAX_PLACED 8 /* channels */

struct il_sound_reader {
	struct il_sound_source *source;
	struct il_sound_form form;
	AVAudioFifo *ready;
	bool ended;

	SwrContext *swr; /* for input as in the three fields below */
	enum AVSampleFormat in_format;
	int in_rate;
	AVChannelLayout in_layout;

	uint8_t *converted[AV_NUM_DATA_POINTERS];
	int converted_capacity;
};

/* Appends what `frame` holds to the ready samples; NULL drains the resampler. */
static enum inlay_err convert(struct il_sound_reader *r, const AVFrame *frame, struct inlay_error *err)
{
	if (!r->swr)
		return INLAY_OK;
	const struct il_sound_form *form = &r->form;
	int in = frame ? frame->nb_samples : 0;
	int n = swr_get_out_samples(r->swr, in);
	if (n > r->converted_capacity) {
		av_freep(&r->converted[0]);
		r->converted_capacity = 0;
		if (av_samples_alloc(r->converted, NULL, form->layout.nb_channels, n, form->format, 0) < 0)
			return il_fail_memory(err);
		r->converted_capacity = n;
	}
	if (n > 0)
		n = swr_convert(r->swr, r->converted, n, frame ? (const uint8_t **)frame->extended_data : NULL, in);
	if (n > 0 && av_audio_fifo_write(r->ready, (void **)r->converted, n) < n)
		return il_fail_memory(err);
	return n < 0 ? il_fail_av(err, n, "%s: resampling failed", il_sound_source_path(r->source)) : INLAY_OK;
}

/* The mean goes through a matrix of our own: libswresample's weighs channels by loudspeaker. */
static int set_mean(struct il_sound_reader *r, int channels)
{
	size_t count = (size_t)channels * r->form.layout.nb_channels;
	double *matrix = malloc(count * sizeof *matrix);
	if (!matrix)
		return AVERROR(ENOMEM);
	for (size_t i = 0; i < count; i++)
		matrix[i] = 1.0 / channels;
	av_opt_set_sample_fmt(r->swr, "internal_sample_fmt", AV_SAMPLE_FMT_FLTP, 0);
	int ret = swr_set_matrix(r->swr, matrix, channels);
	free(matrix);
	return ret;
}

static int start_swr(struct il_sound_reader *r, const AVFrame *frame, bool mean)
{
	AVChannelLayout to = r->form.layout, from = frame->ch_layout;
	if (mean)
		from = (AVChannelLayout){ .order = AV_CHANNEL_ORDER_UNSPEC, .nb_channels = from.nb_channels };
	swr_free(&r->swr);
	int ret = swr_alloc_set_opts2(&r->swr, &to, r->form.format, r->form.rate, &from, frame->format,
	                              frame->sample_rate, 0, NULL);
	if (ret >= 0 && mean)
		ret = set_mean(r, frame->ch_layout.nb_channels);
	return ret < 0 ? ret : swr_init(r->swr);
}

static bool needs_mean(const struct il_sound_reader *r, const AVFrame *frame)
{
	int channels = frame->ch_layout.nb_channels;
	return r->form.mean || (channels > MAX_PLACED && channels != r->form.layout.nb_channels);
}

/* Sound may change its form in mid-stream. */
static enum inlay_err adapt(struct il_sound_reader *r, const AVFrame *frame, struct inlay_error *err)
{
	if (r->swr && r->in_format == frame->format && r->in_rate == frame->sample_rate &&
	    !av_channel_layout_compare(&r->in_layout, &frame->ch_layout))
		return INLAY_OK;
	enum inlay_err rc = convert(r, NULL, err);
	if (rc)
		return rc;
	bool mean = needs_mean(r, frame);
	int ret = start_swr(r, frame, mean);
	if (ret < 0 && !mean)
		ret = start_swr(r, frame, true);
	if (ret >= 0)
		ret = av_channel_layout_copy(&r->in_layout, &frame->ch_layout);
	if (ret < 0)
		return il_fail_av(err, ret, "%s: cannot convert %d channels at %d Hz to %d at %d Hz",
		                  il_sound_source_path(r->source), frame->ch_layout.nb_channels, frame->sample_rate,
		                  r->form.layout.nb_channels, r->form.rate);
	r->in_format = frame->format;
	r->in_rate = frame->sample_rate;
	return INLAY_OK;
}

enum inlay_err il_sound_reader_create(struct il_sound_reader **out, struct il_sound_source *source,
                                      const struct il_sound_form *form, struct inlay_error *err)
{
	*out = NULL;
	struct il_sound_reader *r = calloc(1, sizeof *r);
	if (!r)
		return il_fail_memory(err);
	r->source = source;
	r->form = *form;
	r->form.layout = (AVChannelLayout){ 0 };
	enum inlay_err rc = INLAY_OK;
	if (av_channel_layout_copy(&r->form.layout, &form->layout) < 0 ||
	    !(r->ready = av_audio_fifo_alloc(form->format, form->layout.nb_channels, 4096)))
		rc = il_fail_memory(err);
	else
		rc = adapt(r, il_sound_source_first(source), err);
	if (rc)
		il_sound_reader_destroy(&r);
	*out = r;
	return rc;
}

void il_sound_reader_destroy(struct il_sound_reader **slot)
{
	struct il_sound_reader *r = *slot;
	if (!r)
		return;
	*slot = NULL;
	av_freep(&r->converted[0]);
	swr_free(&r->swr);
	av_audio_fifo_free(r->ready);
	av_channel_layout_uninit(&r->in_layout);
	av_channel_layout_uninit(&r->form.layout);
	free(r);
}

enum inlay_err il_sound_reader_fill(struct il_sound_reader *r, int wanted, int *ready, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	while (!rc && !r->ended && av_audio_fifo_size(r->ready) < wanted) {
		const AVFrame *frame = NULL;
		rc = il_sound_source_frame(r->source, &frame, err);
		r->ended = rc == INLAY_EOF;
		if (!rc)
			rc = adapt(r, frame, err);
		if (!il_is_fault(rc))
			rc = convert(r, frame, err);
	}
	*ready = av_audio_fifo_size(r->ready);
	return rc;
}

void il_sound_reader_take(struct il_sound_reader *r, void **planes, int n)
{
	av_audio_fifo_read(r->ready, planes, n);
}
