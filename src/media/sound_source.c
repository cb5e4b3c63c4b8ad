#include "media/sound_source.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "media/libav.h"

#define TOLERANCE_S 0.010 /* timestamps are rounded, and some containers' are rough */
#define GAP_MAX_S 600.0
#define OVERLAP_MAX_S 1.0
#define PACKET_MAX_S 60.0 /* no codec's packets are longer; mp4 counts the gap that follows */
#define SILENT_SAMPLES 4096
#define TIME_MAX (INT64_C(1) << 56)

struct il_sound_source {
	char *path;
	int wanted; /* stream, -1: the best */
	AVFormatContext *format;
	AVStream *stream;
	AVCodecContext *decoder;
	AVPacket *packet;
	int64_t packets, damaged;

	/* The timeline of packets, in the stream's timebase. */
	int64_t first, origin; /* start of the first packet; time 0 */
	int64_t time;          /* of the last packet read */
	int64_t next;          /* where the next one is expected; AV_NOPTS_VALUE before the first */
	int64_t shift;         /* what jumps have added to all that follows them */
	double remainder;      /* lost in `next`, where timestamps are sums of rounded durations (raw AC-3) */
	bool jumped;

	AVFrame *frame; /* decoded; `held` until it was given away */
	bool held;
	double end_s; /* after `frame`, from time 0 */
	AVFrame *silence;
	int64_t gap; /* samples of silence to give before `frame` */
};

static enum inlay_err open_file(struct il_sound_source *s, struct inlay_error *err)
{
	avformat_close_input(&s->format);
	s->packets = s->shift = 0;
	s->remainder = 0;
	s->next = AV_NOPTS_VALUE;
	enum inlay_err rc = il_libav_open(&s->format, s->path, "sound", err);
	if (rc)
		return rc;
	int best = av_find_best_stream(s->format, AVMEDIA_TYPE_AUDIO, s->wanted, -1, NULL, 0);
	if (best < 0 && s->wanted >= 0)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: stream %d is no sound", s->path, s->wanted);
	if (best < 0)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: holds no audio stream", s->path);
	for (unsigned i = 0; i < s->format->nb_streams; i++)
		if ((int)i != best)
			s->format->streams[i]->discard = AVDISCARD_ALL;
	s->stream = s->format->streams[best];
	return INLAY_OK;
}

static enum inlay_err open_decoder(struct il_sound_source *s, struct inlay_error *err)
{
	const char *name = avcodec_get_name(s->stream->codecpar->codec_id);
	const AVCodec *codec = avcodec_find_decoder(s->stream->codecpar->codec_id);
	if (!codec)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: no decoder for %s in this libav", s->path, name);
	s->decoder = avcodec_alloc_context3(codec);
	if (!s->decoder)
		return il_fail_memory(err);
	int ret = avcodec_parameters_to_context(s->decoder, s->stream->codecpar);
	if (ret >= 0) {
		s->decoder->pkt_timebase = s->stream->time_base; /* skipping encoder delay needs it */
		ret = avcodec_open2(s->decoder, codec, NULL);
	}
	return ret < 0 ? il_fail_av(err, ret, "%s: cannot start the %s decoder", s->path, name) : INLAY_OK;
}

/* Packets */

static double seconds(const struct il_sound_source *s, int64_t time)
{
	return (double)time * av_q2d(s->stream->time_base);
}

/* Sets the packet's duration and returns it unrounded. */
static double measure(const struct il_sound_source *s, AVPacket *packet)
{
	AVCodecParameters *par = s->stream->codecpar;
	double exact = 0;
	if (par->sample_rate > 0)
		exact = av_get_audio_frame_duration2(par, packet->size) /
		        (par->sample_rate * av_q2d(s->stream->time_base));
	if (packet->duration <= 0 || seconds(s, packet->duration) > PACKET_MAX_S)
		packet->duration = llrint(exact);
	return fabs(exact - (double)packet->duration) < 1 ? exact : (double)packet->duration;
}

static void note_jump(struct il_sound_source *s, double jump_s)
{
	if (!s->jumped)
		il_log_warn("%s: timestamps jump by %.1f s at packet %lld; sound goes on without a gap", s->path,
		            jump_s, (long long)s->packets);
	s->jumped = true;
}

/* Puts the packet on the timeline; false where that has sound already. */
static bool place(struct il_sound_source *s, AVPacket *packet)
{
	bool first = s->next == AV_NOPTS_VALUE;
	int64_t pts = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
	bool known = pts <= TIME_MAX && pts >= -TIME_MAX;
	double exact = measure(s, packet);
	double jump_s = known && !first ? seconds(s, pts + s->shift - s->next) : 0;
	if (jump_s > GAP_MAX_S || jump_s < -OVERLAP_MAX_S) {
		note_jump(s, jump_s);
		s->shift = s->next - pts;
	}
	pts = known ? pts + s->shift : first ? 0 : s->next;
	if (pts != s->next)
		s->remainder = 0;
	s->time = pts + (int64_t)floor(s->remainder);
	packet->pts = packet->dts = known ? s->time : AV_NOPTS_VALUE;
	s->remainder += exact - (double)packet->duration;

	int64_t end = pts + packet->duration;
	bool behind = !first && packet->duration > 0 && seconds(s, s->next - end) > TOLERANCE_S;
	s->next = first ? end : FFMAX(s->next, end);
	return !behind;
}

/* pts may be AV_NOPTS_VALUE, as in the file. */
static enum inlay_err read_packet(struct il_sound_source *s, AVPacket *packet, struct inlay_error *err)
{
	int ret;
	do {
		av_packet_unref(packet);
		ret = av_read_frame(s->format, packet);
	} while (ret == AVERROR(EAGAIN) ||
	         (ret >= 0 && (packet->stream_index != s->stream->index || !packet->size || !place(s, packet))));
	s->packets += ret >= 0;
	if (ret >= 0)
		return INLAY_OK;
	if (ret != AVERROR_EOF && ret != AVERROR_INVALIDDATA)
		return il_fail_av(err, ret, "%s: reading failed after %lld packets of sound", s->path,
		                  (long long)s->packets);
	if (ret == AVERROR_INVALIDDATA)
		il_log_warn("%s: sound breaks off after %lld packets", s->path, (long long)s->packets);
	return INLAY_EOF;
}

/* Frames */

static void note_damage(struct il_sound_source *s)
{
	if (!s->damaged++)
		il_log_warn("%s: a broken packet of sound was skipped (number %lld)", s->path, (long long)s->packets);
}

static enum inlay_err feed_decoder(struct il_sound_source *s, struct inlay_error *err)
{
	enum inlay_err rc = read_packet(s, s->packet, err);
	if (il_is_fault(rc))
		return rc;
	if (s->packets == 1)
		s->first = s->time;
	int ret = avcodec_send_packet(s->decoder, rc == INLAY_EOF ? NULL : s->packet);
	av_packet_unref(s->packet);
	if (ret == AVERROR(ENOMEM))
		return il_fail_memory(err);
	if (ret < 0 && ret != AVERROR_EOF)
		note_damage(s);
	return INLAY_OK;
}

static bool is_usable(const AVFrame *frame)
{
	return frame->nb_samples > 0 && frame->sample_rate > 0 && frame->ch_layout.nb_channels > 0;
}

/* The decoder's next frame into s->frame. */
static enum inlay_err decode(struct il_sound_source *s, struct inlay_error *err)
{
	for (;;) {
		int ret = avcodec_receive_frame(s->decoder, s->frame);
		if (ret >= 0 && is_usable(s->frame))
			return INLAY_OK;
		if (ret == AVERROR_EOF)
			return INLAY_EOF;
		if (ret == AVERROR(ENOMEM))
			return il_fail_memory(err);
		if (ret != AVERROR(EAGAIN))
			note_damage(s);
		enum inlay_err rc = ret >= 0 ? INLAY_OK : feed_decoder(s, err);
		if (rc)
			return rc;
	}
}

static void cut_front(AVFrame *frame, int samples)
{
	int channels = frame->ch_layout.nb_channels, bytes = samples * av_get_bytes_per_sample(frame->format);
	bool planar = av_sample_fmt_is_planar(frame->format);
	for (int i = 0; i < (planar ? channels : 1); i++)
		frame->extended_data[i] += planar ? bytes : bytes * channels;
	frame->nb_samples -= samples;
}

/* Puts s->frame on the timeline; false where that has sound already. */
static bool align(struct il_sound_source *s)
{
	AVFrame *frame = s->frame;
	double off_s = frame->pts == AV_NOPTS_VALUE ? 0 : seconds(s, frame->pts - s->origin) - s->end_s;
	s->gap = off_s > TOLERANCE_S ? llrint(off_s * frame->sample_rate) : 0;
	if (off_s < -TOLERANCE_S)
		cut_front(frame, (int)fmin(rint(-off_s * frame->sample_rate), frame->nb_samples));
	s->end_s += (double)(s->gap + frame->nb_samples) / frame->sample_rate;
	return frame->nb_samples > 0;
}

static bool same_form(const AVFrame *a, const AVFrame *b)
{
	return a->format == b->format && a->sample_rate == b->sample_rate &&
	       !av_channel_layout_compare(&a->ch_layout, &b->ch_layout);
}

/* A part of the gap before s->frame, in its form. */
static enum inlay_err give_silence(struct il_sound_source *s, const AVFrame **out, struct inlay_error *err)
{
	AVFrame *silence = s->silence;
	if (!silence->nb_samples || !same_form(silence, s->frame)) {
		av_frame_unref(silence);
		silence->format = s->frame->format;
		silence->sample_rate = s->frame->sample_rate;
		silence->nb_samples = SILENT_SAMPLES;
		if (av_channel_layout_copy(&silence->ch_layout, &s->frame->ch_layout) < 0 ||
		    av_frame_get_buffer(silence, 0) < 0)
			return il_fail_memory(err);
		av_samples_set_silence(silence->extended_data, 0, SILENT_SAMPLES, silence->ch_layout.nb_channels,
		                       silence->format);
	}
	silence->nb_samples = (int)FFMIN(s->gap, SILENT_SAMPLES);
	s->gap -= silence->nb_samples;
	*out = silence;
	return INLAY_OK;
}

enum inlay_err il_sound_source_frame(struct il_sound_source *s, const AVFrame **frame, struct inlay_error *err)
{
	while (!s->held) {
		enum inlay_err rc = decode(s, err);
		if (rc)
			return rc;
		s->held = align(s);
	}
	if (s->gap > 0)
		return give_silence(s, frame, err);
	s->held = false;
	*frame = s->frame;
	return INLAY_OK;
}

/* Time 0 is found by decoding up to it: containers say in a dozen ways how much of the start is encoder delay, and the
 * decoder knows them all. */
static enum inlay_err decode_first(struct il_sound_source *s, struct inlay_error *err)
{
	enum inlay_err rc = decode(s, err);
	if (rc == INLAY_EOF && s->packets)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: none of its %lld packets of %s sound decodes", s->path,
		               (long long)s->packets, avcodec_get_name(s->decoder->codec_id));
	if (rc == INLAY_EOF)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: its audio stream is empty", s->path);
	if (rc)
		return rc;
	s->origin = s->frame->pts != AV_NOPTS_VALUE ? s->frame->pts : s->first;
	s->held = align(s);
	return INLAY_OK;
}

enum inlay_err il_sound_source_open(struct il_sound_source **out, const char *path, int stream, struct inlay_error *err)
{
	struct il_sound_source *s = calloc(1, sizeof *s);
	*out = NULL;
	if (!s)
		return il_fail_memory(err);
	s->path = strdup(path);
	s->wanted = stream;
	s->packet = av_packet_alloc();
	s->frame = av_frame_alloc();
	s->silence = av_frame_alloc();
	enum inlay_err rc = INLAY_OK;
	if (!s->path || !s->packet || !s->frame || !s->silence)
		rc = il_fail_memory(err);
	if (!rc)
		rc = open_file(s, err);
	if (!rc)
		rc = open_decoder(s, err);
	if (!rc)
		rc = decode_first(s, err);
	if (rc)
		il_sound_source_destroy(&s);
	*out = s;
	return rc;
}

void il_sound_source_destroy(struct il_sound_source **slot)
{
	struct il_sound_source *s = *slot;
	if (!s)
		return;
	*slot = NULL;
	av_frame_free(&s->silence);
	av_frame_free(&s->frame);
	av_packet_free(&s->packet);
	avcodec_free_context(&s->decoder);
	avformat_close_input(&s->format);
	free(s->path);
	free(s);
}

const char *il_sound_source_path(const struct il_sound_source *s)
{
	return s->path;
}

const AVStream *il_sound_source_stream(const struct il_sound_source *s)
{
	return s->stream;
}

double il_sound_source_start_s(const struct il_sound_source *s)
{
	return seconds(s, s->origin);
}

double il_sound_source_duration_s(const struct il_sound_source *s)
{
	return s->format->duration != AV_NOPTS_VALUE ? (double)s->format->duration / AV_TIME_BASE : 0;
}

const AVFrame *il_sound_source_first(const struct il_sound_source *s)
{
	return s->frame;
}

enum inlay_err il_sound_source_restart(struct il_sound_source *s, struct inlay_error *err)
{
	avcodec_free_context(&s->decoder);
	av_frame_unref(s->frame);
	return open_file(s, err);
}

enum inlay_err il_sound_source_packet(struct il_sound_source *s, AVPacket *packet, struct inlay_error *err)
{
	enum inlay_err rc = read_packet(s, packet, err);
	if (!rc)
		packet->pts = packet->dts = s->time - s->origin;
	return rc;
}

int64_t il_sound_source_lead(const struct il_sound_source *s)
{
	return s->origin - s->first;
}
