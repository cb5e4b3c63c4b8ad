#include "media/subtitle_track.h"

#include <libavcodec/avcodec.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "media/libav.h"

#define TEXT_MAX (1 << 16) /* bytes of one written anew */

struct il_subtitle_track {
	AVFormatContext *mux;
	const AVStream *in;
	AVStream *out;
	AVCodecContext *decoder, *encoder; /* NULL: copying */
	AVPacket *packet;
	uint8_t *bytes;
	int64_t last; /* time of the packet before, in the timebase of `out` */
	bool damaged;
	char text[96];
};

static bool is_text(enum AVCodecID id)
{
	const AVCodecDescriptor *descriptor = avcodec_descriptor_get(id);
	return descriptor && descriptor->props & AV_CODEC_PROP_TEXT_SUB;
}

static enum inlay_err start_decoder(struct il_subtitle_track *t, const AVCodec *codec, struct inlay_error *err)
{
	t->decoder = avcodec_alloc_context3(codec);
	if (!t->decoder || avcodec_parameters_to_context(t->decoder, t->in->codecpar) < 0)
		return il_fail_memory(err);
	t->decoder->pkt_timebase = t->in->time_base;
	int ret = avcodec_open2(t->decoder, codec, NULL);
	return ret < 0 ? il_fail_av(err, ret, "cannot start the %s decoder", codec->name) : INLAY_OK;
}

static enum inlay_err start_encoder(struct il_subtitle_track *t, const AVCodec *codec, struct inlay_error *err)
{
	AVCodecContext *e = t->encoder = avcodec_alloc_context3(codec);
	if (!e)
		return il_fail_memory(err);
	e->time_base = AV_TIME_BASE_Q;
	if (t->decoder->subtitle_header) { /* the styles that its text refers to */
		e->subtitle_header = av_mallocz((size_t)t->decoder->subtitle_header_size + 1);
		if (!e->subtitle_header)
			return il_fail_memory(err);
		memcpy(e->subtitle_header, t->decoder->subtitle_header, (size_t)t->decoder->subtitle_header_size);
		e->subtitle_header_size = t->decoder->subtitle_header_size;
	}
	int ret = avcodec_open2(e, codec, NULL);
	return ret < 0 ? il_fail_av(err, ret, "cannot start the %s encoder", codec->name) : INLAY_OK;
}

static enum inlay_err start_conversion(struct il_subtitle_track *t, const char *encoder, struct inlay_error *err)
{
	enum AVCodecID id = t->in->codecpar->codec_id;
	const AVCodec *from = avcodec_find_decoder(id), *to = avcodec_find_encoder_by_name(encoder);
	if (!is_text(id) || !from || !to)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s holds no %s", t->mux->oformat->name,
		               avcodec_get_name(id));
	t->bytes = malloc(TEXT_MAX);
	if (!t->bytes)
		return il_fail_memory(err);
	snprintf(t->text, sizeof t->text, "%s to %s", avcodec_get_name(id), encoder);
	enum inlay_err rc = start_decoder(t, from, err);
	return rc ? rc : start_encoder(t, to, err);
}

static enum inlay_err add_stream(struct il_subtitle_track *t, struct inlay_error *err)
{
	t->out = avformat_new_stream(t->mux, NULL);
	if (!t->out)
		return il_fail_memory(err);
	t->out->time_base = t->in->time_base;
	int ret = t->encoder ? avcodec_parameters_from_context(t->out->codecpar, t->encoder)
	                     : avcodec_parameters_copy(t->out->codecpar, t->in->codecpar);
	if (!t->encoder)
		t->out->codecpar->codec_tag = 0; /* each container has its own */
	return ret < 0 ? il_fail_memory(err) : INLAY_OK;
}

enum inlay_err il_subtitle_track_open(struct il_subtitle_track **out, AVFormatContext *mux, const AVStream *in,
                                      const char *encoder, struct inlay_error *err)
{
	*out = NULL;
	struct il_subtitle_track *t = calloc(1, sizeof *t);
	if (!t)
		return il_fail_memory(err);
	t->mux = mux;
	t->in = in;
	t->last = AV_NOPTS_VALUE;
	t->packet = av_packet_alloc();
	snprintf(t->text, sizeof t->text, "copied (%s)", avcodec_get_name(in->codecpar->codec_id));
	enum inlay_err rc = t->packet ? INLAY_OK : il_fail_memory(err);
	if (!rc && !il_libav_muxer_takes(mux->oformat, in))
		rc = start_conversion(t, encoder, err);
	if (!rc)
		rc = add_stream(t, err);
	if (rc)
		il_subtitle_track_destroy(&t);
	*out = t;
	return rc;
}

void il_subtitle_track_destroy(struct il_subtitle_track **slot)
{
	struct il_subtitle_track *t = *slot;
	if (!t)
		return;
	*slot = NULL;
	avcodec_free_context(&t->decoder);
	avcodec_free_context(&t->encoder);
	av_packet_free(&t->packet);
	free(t->bytes);
	free(t);
}

static enum inlay_err note_damage(struct il_subtitle_track *t)
{
	if (!t->damaged)
		il_log_warn("subtitles of stream %d: a broken packet was left out", t->in->index);
	t->damaged = true;
	return INLAY_OK;
}

/* Fills t->packet but for its times; false where there is no text in it, as between two of mov_text. */
static bool convert(struct il_subtitle_track *t, const AVPacket *from)
{
	AVSubtitle subtitle = { 0 };
	int got = 0, n = 0;
	if (av_packet_copy_props(t->packet, from) < 0)
		return false;
	int ret = avcodec_decode_subtitle2(t->decoder, &subtitle, &got, (AVPacket *)from);
	if (ret >= 0 && got && subtitle.num_rects) {
		if (t->packet->duration <= 0 && subtitle.end_display_time < UINT32_MAX)
			t->packet->duration =
				av_rescale_q(subtitle.end_display_time, (AVRational){ 1, 1000 }, t->in->time_base);
		subtitle.start_display_time = 0;
		n = avcodec_encode_subtitle(t->encoder, t->bytes, TEXT_MAX, &subtitle);
	}
	avsubtitle_free(&subtitle);
	if (ret < 0 || n < 0)
		note_damage(t);
	if (n <= 0 || av_grow_packet(t->packet, n) < 0)
		return false;
	memcpy(t->packet->data, t->bytes, (size_t)n);
	return true;
}

/* False where nothing of it is left. */
static bool place(const struct il_subtitle_track *t, AVPacket *packet, double shift_s)
{
	packet->pts += llrint(shift_s / av_q2d(t->in->time_base));
	if (packet->pts < 0) {
		packet->duration += packet->pts;
		packet->pts = 0;
		if (packet->duration <= 0)
			return false;
	}
	packet->dts = packet->pts;
	return true;
}

static enum inlay_err mux(struct il_subtitle_track *t, struct inlay_error *err)
{
	AVPacket *packet = t->packet;
	bool strict = !(t->mux->oformat->flags & AVFMT_TS_NONSTRICT);
	packet->stream_index = t->out->index;
	packet->pos = -1;
	av_packet_rescale_ts(packet, t->in->time_base, t->out->time_base);
	if (t->last != AV_NOPTS_VALUE && packet->dts < t->last + strict)
		packet->pts = packet->dts = t->last + strict;
	t->last = packet->dts;
	int ret = av_interleaved_write_frame(t->mux, packet);
	if (ret == AVERROR(EINVAL) || ret == AVERROR_INVALIDDATA)
		return note_damage(t);
	return ret < 0 ? il_fail_av(err, ret, "%s: cannot be written", t->mux->url) : INLAY_OK;
}

enum inlay_err il_subtitle_track_write(struct il_subtitle_track *t, const AVPacket *from, double shift_s,
                                       struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	if (from->pts == AV_NOPTS_VALUE || from->flags & AV_PKT_FLAG_CORRUPT)
		return note_damage(t);
	av_packet_unref(t->packet);
	if (!t->encoder && av_packet_ref(t->packet, from) < 0)
		return il_fail_memory(err);
	if ((!t->encoder || convert(t, from)) && place(t, t->packet, shift_s))
		rc = mux(t, err);
	av_packet_unref(t->packet);
	return rc;
}

AVStream *il_subtitle_track_stream(const struct il_subtitle_track *t)
{
	return t->out;
}

const char *il_subtitle_track_describe(const struct il_subtitle_track *t)
{
	return t->text;
}
