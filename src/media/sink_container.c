/* Video files through libav: an encoder, sound and what else goes along, a muxer. */
#include "media/sink_impl.h"

#include <libavformat/avformat.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "media/audio_track.h"
#include "media/libav.h"
#include "media/stream_copy.h"
#include "media/video_encoder.h"

/* What libav's muxer holds back to put streams in order, in microseconds. They are fed in step, so it need not wait
 * longer for one that has nothing to say, such as subtitles. */
#define HOLD_BACK 1000000

/* The muxer is named because the file is called NAME.part while it is written. */
static const struct kind {
	const char *format, *muxer, *video_encoder, *audio_encoder, *subtitle_encoder;
	bool mov_options;
} kinds[] = {
	{ "mp4", "mp4", "libx264", "aac", "mov_text", true },
	{ "mov", "mov", "libx264", "aac", "mov_text", true },
	{ "mkv", "matroska", "libx264", "libopus", "subrip", false },
	{ "webm", "webm", "libvpx-vp9", "libopus", "webvtt", false },
};

struct container {
	const struct kind *kind;
	struct il_part *part;
	AVFormatContext *mux;
	AVStream *video;
	struct il_video_encoder *encoder;
	AVPacket *packet;
	struct il_audio_track *audio;
	struct il_stream_copy *streams;
	struct inlay_rational timebase; /* {0}: frames come at a constant rate */
	bool cut;                       /* other streams end with the last frame */
	int64_t frames;
	int64_t first, last; /* pts of the first frame and the one before */
	int64_t lead;        /* what the first frame is shown at, in the encoder's timebase */
	char text[384];
};

static double tick(const struct container *c)
{
	return av_q2d(il_video_encoder_context(c->encoder)->time_base);
}

/* The file */

static enum inlay_err create_file(struct container *c, const struct il_sink_params *params, struct inlay_error *err)
{
	struct stat st;
	if (il_sink_is_stdout(params->path))
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s needs a file name, its writer goes back and forth; y4m and rawvideo go to a pipe",
		               c->kind->format);
	enum inlay_err rc = il_sink_check_place(params->path, err);
	if (rc)
		return rc;
	if (stat(params->path, &st) == 0 && !S_ISREG(st.st_mode))
		return il_fail(err, INLAY_ERR_INVALID, "%s: is a pipe or a device, %s needs a file", params->path,
		               c->kind->format);
	rc = il_part_open(&c->part, params->path, params->overwrite, err);
	if (rc)
		return rc;
	size_t size = strlen(il_part_path(c->part)) + sizeof "file:";
	char *url = malloc(size);
	if (!url)
		return il_fail_memory(err);
	snprintf(url, size, "file:%s", il_part_path(c->part)); /* or "a:b.mp4" would be a protocol */
	int ret = avformat_alloc_output_context2(&c->mux, NULL, c->kind->muxer, url);
	if (ret >= 0)
		ret = avio_open(&c->mux->pb, url, AVIO_FLAG_WRITE);
	free(url);
	return ret < 0 ? il_fail_av(err, ret, "%s: cannot be written", il_part_path(c->part)) : INLAY_OK;
}

/* The streams */

static enum inlay_err add_video(struct container *c, const struct il_sink_params *params, struct inlay_error *err)
{
	enum inlay_err rc = il_video_encoder_open(&c->encoder, c->mux->oformat, c->kind->format, c->kind->video_encoder,
	                                          params, err);
	if (rc)
		return rc;
	const AVCodecContext *e = il_video_encoder_context(c->encoder);
	c->packet = av_packet_alloc();
	c->video = avformat_new_stream(c->mux, NULL);
	if (!c->packet || !c->video || avcodec_parameters_from_context(c->video->codecpar, e) < 0)
		return il_fail_memory(err);
	c->video->time_base = e->time_base;
	c->video->avg_frame_rate = c->video->r_frame_rate = e->framerate;
	if (e->codec_id == AV_CODEC_ID_VP9 && e->pix_fmt == AV_PIX_FMT_YUVA420P)
		av_dict_set(&c->video->metadata, "alpha_mode", "1", 0); /* or players do not look for it */
	return INLAY_OK;
}

static enum inlay_err add_others(struct container *c, const struct il_sink_params *params, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	if (params->audio_path)
		rc = il_audio_track_open(&c->audio, c->mux, params->audio_path, -1, c->kind->audio_encoder,
		                         params->audio_limit_s, err);
	if (params->streams_path)
		rc = il_stream_copy_open(&c->streams, c->mux, c->video,
		                         &(struct il_stream_copy_params){
						 .path = params->streams_path,
						 .audio_encoder = c->kind->audio_encoder,
						 .subtitle_encoder = c->kind->subtitle_encoder,
						 .limit_s = params->audio_limit_s,
					 },
		                         err);
	if (!rc)
		snprintf(c->text, sizeof c->text, "%s: %s%s%s%s", c->kind->format,
		         il_video_encoder_describe(c->encoder), c->audio ? ", audio " : "",
		         c->audio ? il_audio_track_describe(c->audio) : "",
		         c->streams ? il_stream_copy_describe(c->streams) : "");
	return rc;
}

/* The muxer looks at all streams here; the header follows with the first frame, whose time the chapters in it need. */
static enum inlay_err start_muxer(struct container *c, const struct il_sink_params *params, struct inlay_error *err)
{
	for (const char *const *m = params->metadata; m && m[0] && m[1]; m += 2)
		if (av_dict_set(&c->mux->metadata, m[0], m[1], 0) < 0)
			return il_fail_memory(err);
	c->mux->flags |= AVFMT_FLAG_BITEXACT; /* no random identifiers: the same frames give the same bytes */
	c->mux->max_interleave_delta = HOLD_BACK;
	AVDictionary *options = NULL;
	if (c->kind->mov_options)
		av_dict_set(&options, "movflags", "+faststart", 0);
	int ret = avformat_init_output(c->mux, &options);
	av_dict_free(&options);
	return ret < 0 ? il_fail_av(err, ret, "%s: %s cannot be begun with %s", params->path, c->kind->format, c->text)
	               : INLAY_OK;
}

static void container_close(void *self)
{
	struct container *c = self;
	il_audio_track_destroy(&c->audio);
	il_stream_copy_destroy(&c->streams);
	il_video_encoder_destroy(&c->encoder);
	av_packet_free(&c->packet);
	if (c->mux)
		avio_closep(&c->mux->pb);
	avformat_free_context(c->mux);
	il_part_destroy(&c->part);
	free(c);
}

static enum inlay_err container_open(void **self, const char *format, const struct il_sink_params *params,
                                     struct inlay_error *err)
{
	il_libav_init();
	struct container *c = calloc(1, sizeof *c);
	if (!c)
		return il_fail_memory(err);
	c->kind = kinds;
	while (strcmp(c->kind->format, format))
		c->kind++;
	c->timebase = params->timebase;
	c->cut = params->cut_streams;
	enum inlay_err rc = create_file(c, params, err);
	if (!rc)
		rc = add_video(c, params, err);
	if (!rc)
		rc = add_others(c, params, err);
	if (!rc)
		rc = start_muxer(c, params, err);
	if (rc)
		container_close(c);
	else
		*self = c;
	return rc;
}

/* Frames */

static enum inlay_err fail_write(const struct container *c, int ret, struct inlay_error *err)
{
	return il_fail_av(err, ret, "%s: cannot be written", il_part_path(c->part));
}

static enum inlay_err begin(struct container *c, int64_t pts, struct inlay_error *err)
{
	c->first = pts;
	if (c->streams)
		c->lead = il_stream_copy_begin(c->streams, c->timebase.num ? (double)pts * tick(c) : NAN, tick(c));
	int ret = avformat_write_header(c->mux, NULL);
	return ret < 0 ? fail_write(c, ret, err) : INLAY_OK;
}

static enum inlay_err feed_others(struct container *c, double until_s, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	if (c->audio)
		rc = il_audio_track_feed(c->audio, until_s, err);
	if (!rc && c->streams)
		rc = il_stream_copy_feed(c->streams, until_s, err);
	return rc;
}

/* What the encoder has ready, and what is heard and read by then. */
static enum inlay_err write_packets(struct container *c, struct inlay_error *err)
{
	for (;;) {
		enum inlay_err rc = il_video_encoder_receive(c->encoder, c->packet, err);
		if (rc)
			return il_is_fault(rc) ? rc : INLAY_OK;
		rc = feed_others(c, (double)c->packet->dts * tick(c), err);
		if (rc)
			return rc;
		av_packet_rescale_ts(c->packet, il_video_encoder_context(c->encoder)->time_base, c->video->time_base);
		c->packet->stream_index = c->video->index;
		int ret = av_interleaved_write_frame(c->mux, c->packet);
		if (ret < 0)
			return fail_write(c, ret, err);
	}
}

static enum inlay_err container_write(void *self, struct inlay_frame *frame, struct inlay_error *err)
{
	struct container *c = self;
	int64_t pts = c->timebase.num ? inlay_frame_pts(frame) : c->frames;
	enum inlay_err rc = INLAY_OK;
	if (!c->frames)
		rc = begin(c, pts, err);
	else if (pts <= c->last)
		rc = il_fail(err, INLAY_ERR_INVALID, "frame %lld is shown at %lld, not after the one before it (%lld)",
		             (long long)c->frames, (long long)pts, (long long)c->last);
	c->last = pts;
	if (!rc)
		rc = il_video_encoder_send(c->encoder, frame, pts - c->first + c->lead, err);
	if (!rc)
		rc = write_packets(c, err);
	c->frames++;
	return rc;
}

/* Seconds from the output's start to the end of its last frame. */
static double end_of_video(const struct container *c)
{
	const AVCodecContext *e = il_video_encoder_context(c->encoder);
	return (double)(c->last - c->first + c->lead) * tick(c) + 1 / av_q2d(e->framerate);
}

static enum inlay_err container_finish(void *self, struct inlay_error *err)
{
	struct container *c = self;
	if (!c->frames)
		return il_fail(err, INLAY_ERR_INVALID, "%s: no frame was written, a video has one at least",
		               il_part_path(c->part));
	enum inlay_err rc = il_video_encoder_send(c->encoder, NULL, 0, err);
	if (!rc)
		rc = write_packets(c, err);
	if (!rc)
		rc = feed_others(c, c->cut ? end_of_video(c) : HUGE_VAL, err);
	if (rc)
		return rc;
	int ret = av_write_trailer(c->mux);
	int closed = avio_closep(&c->mux->pb);
	ret = ret < 0 ? ret : closed;
	return ret < 0 ? fail_write(c, ret, err) : il_part_commit(c->part, err);
}

/* Closing an unfinished output removes it. */
static void container_abort(void *self)
{
	(void)self;
}

static const char *container_describe(const void *self)
{
	return ((const struct container *)self)->text;
}

const struct il_sink_type il_sink_container = {
	.formats = (const char *const[]){ "mp4", "mov", "mkv", "webm", NULL },
	.open = container_open,
	.write = container_write,
	.finish = container_finish,
	.abort = container_abort,
	.close = container_close,
	.describe = container_describe,
};
