/* Video files through libav: an encoder, a sound track, a muxer. */
#include "media/sink_impl.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "media/audio_track.h"
#include "media/libav.h"

/* The muxer is named because the file is called NAME.part while it is written. */
static const struct kind {
	const char *format, *muxer, *video_encoder, *audio_encoder;
	bool mov_options;
} kinds[] = {
	{ "mp4", "mp4", "libx264", "aac", true },
	{ "mov", "mov", "libx264", "aac", true },
	{ "mkv", "matroska", "libx264", "libopus", false },
	{ "webm", "webm", "libvpx-vp9", "libopus", false },
};

/* Where an encoder's own defaults are not ours. */
static const struct tuning {
	const char *encoder, *preset;
	int crf, crf_max;
	const char *options[8]; /* name, value, ... */
} tunings[] = {
	{ "libx264", "veryfast", 20, 51 },
	{ "libx265", "veryfast", 20, 51, { "x265-params", "log-level=error" } }, /* it writes to standard error */
	{ "libvpx-vp9", NULL, 32, 63, { "deadline", "realtime", "cpu-used", "6", "row-mt", "1" } },
	{ "libvpx", NULL, 32, 63, { "deadline", "realtime", "cpu-used", "6" } },
};

struct container {
	const struct kind *kind;
	struct il_part *part;
	AVFormatContext *mux;
	AVStream *video;
	AVCodecContext *encoder;
	AVFrame *frame;
	AVPacket *packet;
	struct il_audio_track *audio;
	int64_t frames;
	char text[256];
};

__attribute__((format(printf, 2, 3))) static void add_text(struct container *c, const char *format, ...)
{
	size_t used = strlen(c->text);
	va_list args;
	va_start(args, format);
	vsnprintf(c->text + used, sizeof c->text - used, format, args);
	va_end(args);
}

/* The encoder */

static const enum AVPixelFormat *pixel_formats(const AVCodec *codec)
{
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100)
	const void *list = NULL;
	avcodec_get_supported_config(NULL, codec, AV_CODEC_CONFIG_PIX_FORMAT, 0, &list, NULL);
	return list;
#else
	return codec->pix_fmts;
#endif
}

static enum inlay_err find_encoder(const char *name, const struct kind *kind, const AVOutputFormat *muxer,
                                   const AVCodec **out, struct inlay_error *err)
{
	const AVCodec *codec = avcodec_find_encoder_by_name(name);
	if (!codec || codec->type != AVMEDIA_TYPE_VIDEO)
		return il_fail(err, INLAY_ERR_UNSUPPORTED,
		               "codec \"%s\" is no video encoder of this libav; `ffmpeg -encoders` lists them", name);
	const enum AVPixelFormat *formats = pixel_formats(codec);
	while (formats && *formats != AV_PIX_FMT_NONE && *formats != AV_PIX_FMT_YUV420P)
		formats++;
	if (formats && *formats == AV_PIX_FMT_NONE)
		return il_fail(
			err, INLAY_ERR_UNSUPPORTED,
			"codec %s does not take 8-bit 4:2:0 pictures (yuv420p); libx264, libx265, libvpx-vp9 and "
			"ffv1 do, and `ffmpeg -h encoder=NAME` tells for any other",
			name);
	if (avformat_query_codec(muxer, codec->id, FF_COMPLIANCE_NORMAL) == 0)
		return il_fail(err, INLAY_ERR_UNSUPPORTED,
		               "%s cannot hold %s (codec %s); choose %s, or write mkv, which holds nearly all",
		               kind->format, avcodec_get_name(codec->id), name, kind->video_encoder);
	*out = codec;
	return INLAY_OK;
}

static void set_picture(struct container *c, const struct il_sink_params *params)
{
	const struct inlay_colour *colour = &params->frame.colour;
	AVCodecContext *e = c->encoder;
	e->width = params->frame.width & ~1;
	e->height = params->frame.height & ~1;
	e->pix_fmt = AV_PIX_FMT_YUV420P;
	e->framerate = (AVRational){ params->fps.num, params->fps.den };
	e->time_base = av_inv_q(e->framerate);
	/* 0 stands for "not said" here and is reserved in H.273, whose word for it is 2. */
	e->colorspace = colour->matrix ? (enum AVColorSpace)colour->matrix : AVCOL_SPC_UNSPECIFIED;
	e->color_primaries = colour->primaries ? (enum AVColorPrimaries)colour->primaries : AVCOL_PRI_UNSPECIFIED;
	e->color_trc = colour->transfer ? (enum AVColorTransferCharacteristic)colour->transfer : AVCOL_TRC_UNSPECIFIED;
	e->color_range = colour->range == INLAY_RANGE_FULL      ? AVCOL_RANGE_JPEG
	                 : colour->range == INLAY_RANGE_LIMITED ? AVCOL_RANGE_MPEG
	                                                        : AVCOL_RANGE_UNSPECIFIED;
	e->chroma_sample_location = colour->range == INLAY_RANGE_FULL ? AVCHROMA_LOC_CENTER : AVCHROMA_LOC_UNSPECIFIED;
	if (e->width != params->frame.width || e->height != params->frame.height)
		il_log_info("%s: %dx%d is cut to %dx%d, 4:2:0 video has even sizes", params->path, params->frame.width,
		            params->frame.height, e->width, e->height);
}

/* An option of the encoder's own, where it has one of this name. */
static enum inlay_err set_option(AVCodecContext *e, const char *name, const char *value, bool asked,
                                 struct inlay_error *err)
{
	if (!e->priv_data || !av_opt_find(e->priv_data, name, NULL, 0, 0)) {
		if (asked)
			il_log_warn("codec %s has no %s: %s is ignored", e->codec->name, name, value);
		return INLAY_OK;
	}
	int ret = av_opt_set(e->priv_data, name, value, 0);
	return ret < 0 ? il_fail(err, INLAY_ERR_INVALID, "%s %s: codec %s does not take it", name, value,
	                         e->codec->name)
	               : INLAY_OK;
}

static enum inlay_err set_quality(struct container *c, const struct il_sink_params *params, struct inlay_error *err)
{
	static const struct tuning none = { .crf = -1, .crf_max = INT_MAX };
	const struct tuning *tuning = &none;
	AVCodecContext *e = c->encoder;
	for (size_t i = 0; i < sizeof tunings / sizeof *tunings; i++)
		if (!strcmp(e->codec->name, tunings[i].encoder))
			tuning = &tunings[i];
	const char *preset = params->preset ? params->preset : tuning->preset;
	int crf = params->crf >= 0 ? params->crf : tuning->crf;
	char number[16];
	if (crf > tuning->crf_max)
		return il_fail(err, INLAY_ERR_INVALID, "crf %d: codec %s takes 0 (best) to %d (smallest)", crf,
		               e->codec->name, tuning->crf_max);
	snprintf(number, sizeof number, "%d", crf);
	add_text(c, "%s: %s", c->kind->format, e->codec->name);
	enum inlay_err rc = INLAY_OK;
	for (size_t i = 0; !rc && i < 8 && tuning->options[i]; i += 2)
		rc = set_option(e, tuning->options[i], tuning->options[i + 1], false, err);
	if (!rc && preset)
		rc = set_option(e, "preset", preset, params->preset, err);
	if (!rc && preset && av_opt_find(e->priv_data, "preset", NULL, 0, 0))
		add_text(c, " %s", preset);
	if (!rc && crf >= 0)
		rc = set_option(e, "crf", number, params->crf >= 0, err);
	if (!rc && crf >= 0 && av_opt_find(e->priv_data, "crf", NULL, 0, 0)) {
		e->bit_rate = 0; /* libvpx caps the quality by it otherwise */
		add_text(c, " crf %d", crf);
	}
	return rc;
}

static enum inlay_err open_encoder(struct container *c, const struct il_sink_params *params, struct inlay_error *err)
{
	const char *name = params->codec ? params->codec : c->kind->video_encoder;
	const AVCodec *codec = NULL;
	if (params->frame.width < 2 || params->frame.height < 2)
		return il_fail(err, INLAY_ERR_INVALID, "%s: %dx%d is too small for video, expected at least 2x2",
		               params->path, params->frame.width, params->frame.height);
	enum inlay_err rc = find_encoder(name, c->kind, c->mux->oformat, &codec, err);
	if (rc)
		return rc;
	c->encoder = avcodec_alloc_context3(codec);
	c->frame = av_frame_alloc();
	c->packet = av_packet_alloc();
	c->video = avformat_new_stream(c->mux, NULL);
	if (!c->encoder || !c->frame || !c->packet || !c->video)
		return il_fail_memory(err);
	set_picture(c, params);
	c->encoder->thread_count = (int)params->threads;
	if (c->mux->oformat->flags & AVFMT_GLOBALHEADER)
		c->encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
	rc = set_quality(c, params, err);
	if (rc)
		return rc;
	int ret = avcodec_open2(c->encoder, codec, NULL);
	if (ret >= 0)
		ret = avcodec_parameters_from_context(c->video->codecpar, c->encoder);
	if (ret < 0)
		return il_fail_av(err, ret, "codec %s does not start for %dx%d at %d/%d frames a second%s%s%s", name,
		                  c->encoder->width, c->encoder->height, params->fps.num, params->fps.den,
		                  params->preset ? " with preset \"" : "", params->preset ? params->preset : "",
		                  params->preset ? "\"" : "");
	c->video->time_base = c->encoder->time_base;
	c->video->avg_frame_rate = c->video->r_frame_rate = c->encoder->framerate;
	return INLAY_OK;
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

static enum inlay_err write_header(struct container *c, const struct il_sink_params *params, struct inlay_error *err)
{
	for (const char *const *m = params->metadata; m && m[0] && m[1]; m += 2)
		if (av_dict_set(&c->mux->metadata, m[0], m[1], 0) < 0)
			return il_fail_memory(err);
	c->mux->flags |= AVFMT_FLAG_BITEXACT; /* no random identifiers: the same frames give the same bytes */
	AVDictionary *options = NULL;
	if (c->kind->mov_options)
		av_dict_set(&options, "movflags", "+faststart", 0);
	int ret = avformat_write_header(c->mux, &options);
	av_dict_free(&options);
	return ret < 0 ? il_fail_av(err, ret, "%s: %s cannot be begun with %s", params->path, c->kind->format, c->text)
	               : INLAY_OK;
}

static void container_close(void *self)
{
	struct container *c = self;
	il_audio_track_destroy(&c->audio);
	avcodec_free_context(&c->encoder);
	av_frame_free(&c->frame);
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
	enum inlay_err rc = create_file(c, params, err);
	if (!rc)
		rc = open_encoder(c, params, err);
	if (!rc && params->audio_path) {
		rc = il_audio_track_open(&c->audio, c->mux, params->audio_path, c->kind->audio_encoder,
		                         params->audio_limit_s, err);
		if (!rc)
			add_text(c, ", audio %s", il_audio_track_describe(c->audio));
	}
	if (!rc)
		rc = write_header(c, params, err);
	if (rc)
		container_close(c);
	else
		*self = c;
	return rc;
}

/* Frames */

static void release_frame(void *opaque, uint8_t *data)
{
	struct inlay_frame *frame = opaque;
	(void)data;
	inlay_frame_unmap(frame);
	inlay_frame_destroy(&frame);
}

/* Makes c->frame show the planes of `frame`, which is held until the encoder is done with it. libav allocates the
 * handle for that, as it does for its packets; no pixel is copied. */
static enum inlay_err wrap(struct container *c, struct inlay_frame *frame, struct inlay_error *err)
{
	AVFrame *f = c->frame;
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	f->buf[0] = av_buffer_create(planes.data[0], (size_t)planes.stride[0] * inlay_frame_info(frame)->height,
	                             release_frame, inlay_frame_ref(frame), AV_BUFFER_FLAG_READONLY);
	if (!f->buf[0]) {
		release_frame(frame, NULL);
		return il_fail_memory(err);
	}
	for (int i = 0; i < il_plane_count(INLAY_PIX_I420); i++) {
		f->data[i] = planes.data[i];
		f->linesize[i] = (int)planes.stride[i];
	}
	f->format = AV_PIX_FMT_YUV420P;
	f->width = c->encoder->width;
	f->height = c->encoder->height;
	f->colorspace = c->encoder->colorspace;
	f->color_range = c->encoder->color_range;
	f->color_primaries = c->encoder->color_primaries;
	f->color_trc = c->encoder->color_trc;
	f->chroma_location = c->encoder->chroma_sample_location;
	f->pts = c->frames;
	return INLAY_OK;
}

/* frame NULL flushes the encoder. */
static enum inlay_err encode(struct container *c, const AVFrame *frame, struct inlay_error *err)
{
	int ret = avcodec_send_frame(c->encoder, frame);
	if (ret < 0)
		return il_fail_av(err, ret, "codec %s failed at frame %lld", c->encoder->codec->name,
		                  (long long)c->frames);
	while ((ret = avcodec_receive_packet(c->encoder, c->packet)) >= 0) {
		if (c->packet->duration <= 0)
			c->packet->duration = 1;
		av_packet_rescale_ts(c->packet, c->encoder->time_base, c->video->time_base);
		c->packet->stream_index = c->video->index;
		ret = av_interleaved_write_frame(c->mux, c->packet);
		if (ret < 0)
			return il_fail_av(err, ret, "%s: cannot be written", il_part_path(c->part));
	}
	if (ret != AVERROR(EAGAIN) && ret != AVERROR_EOF)
		return il_fail_av(err, ret, "codec %s failed after frame %lld", c->encoder->codec->name,
		                  (long long)c->frames);
	return INLAY_OK;
}

static enum inlay_err container_write(void *self, struct inlay_frame *frame, struct inlay_error *err)
{
	struct container *c = self;
	enum inlay_err rc = INLAY_OK;
	if (c->audio)
		rc = il_audio_track_feed(c->audio, (double)c->frames * av_q2d(c->encoder->time_base), err);
	if (!rc)
		rc = wrap(c, frame, err);
	if (!rc)
		rc = encode(c, c->frame, err);
	av_frame_unref(c->frame);
	c->frames++;
	return rc;
}

static enum inlay_err container_finish(void *self, struct inlay_error *err)
{
	struct container *c = self;
	if (!c->frames)
		return il_fail(err, INLAY_ERR_INVALID, "%s: no frame was written, a video has one at least",
		               il_part_path(c->part));
	enum inlay_err rc = encode(c, NULL, err);
	if (!rc && c->audio)
		rc = il_audio_track_feed(c->audio, HUGE_VAL, err);
	if (rc)
		return rc;
	int ret = av_write_trailer(c->mux);
	int closed = avio_closep(&c->mux->pb);
	ret = ret < 0 ? ret : closed;
	if (ret < 0)
		return il_fail_av(err, ret, "%s: cannot be written", il_part_path(c->part));
	return il_part_commit(c->part, err);
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
