#include "media/video_encoder.h"

#include <libavutil/opt.h>
#include <libswscale/swscale.h>
#include <libyuv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "media/libav.h"
#include "media/video_tuning.h"

struct il_video_encoder {
	AVCodecContext *context;
	AVFrame *frame;            /* shows a frame's own planes */
	struct SwsContext *scaler; /* NULL: the encoder takes those */
	AVFrame *converted;
	int64_t duration; /* of a frame, in the timebase */
	int64_t frames;
	char text[96];
};

/* Which encoder keeps an alpha plane in which file, and in which form; the first of a file is its default. Other
 * pairings that libav offers lose it on the way. */
static const struct alpha_way {
	const char *format, *encoder;
	enum AVPixelFormat pixels;
} alpha_ways[] = {
	{ "webm", "libvpx-vp9", AV_PIX_FMT_YUVA420P }, { "mov", "prores_ks", AV_PIX_FMT_YUVA444P10 },
	{ "mov", "qtrle", AV_PIX_FMT_ARGB },           { "mkv", "ffv1", AV_PIX_FMT_YUVA420P },
	{ "mkv", "libvpx-vp9", AV_PIX_FMT_YUVA420P },
};

/* What takes over where NVIDIA's encoder does not start. */
static const char *const software[][2] = {
	{ "h264_nvenc", "libx264" },
	{ "hevc_nvenc", "libx265" },
	{ "av1_nvenc", "libsvtav1" },
};

/* Choosing the codec */

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

static bool takes_pixels(const AVCodec *codec, enum AVPixelFormat pixels)
{
	const enum AVPixelFormat *formats = pixel_formats(codec);
	while (formats && *formats != AV_PIX_FMT_NONE && *formats != pixels)
		formats++;
	return !formats || *formats == pixels;
}

static const struct alpha_way *find_alpha_way(const char *format, const char *encoder)
{
	for (size_t i = 0; i < sizeof alpha_ways / sizeof *alpha_ways; i++)
		if (!strcmp(format, alpha_ways[i].format) && (!encoder || !strcmp(encoder, alpha_ways[i].encoder)))
			return &alpha_ways[i];
	return NULL;
}

static enum inlay_err fail_alpha(const char *format, const char *encoder, struct inlay_error *err)
{
	char list[96] = "";
	for (size_t i = 0; i < sizeof alpha_ways / sizeof *alpha_ways; i++)
		if (!strcmp(format, alpha_ways[i].format))
			snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? ", " : "",
			         alpha_ways[i].encoder);
	return il_fail(err, INLAY_ERR_UNSUPPORTED, "codec %s keeps no alpha plane in %s; expected %s", encoder, format,
	               list);
}

struct request {
	const char *encoder;
	enum AVPixelFormat pixels;
	const AVOutputFormat *muxer;
	const char *format, *usual;
};

/* Files that keep no alpha at all were refused before this. */
static enum inlay_err choose(struct request *r, const struct il_sink_params *params, struct inlay_error *err)
{
	r->encoder = params->codec ? params->codec : r->usual;
	r->pixels = AV_PIX_FMT_YUV420P;
	if (params->frame.format != INLAY_PIX_YUVA420P)
		return INLAY_OK;
	const struct alpha_way *way = find_alpha_way(r->format, params->codec);
	if (!way)
		return fail_alpha(r->format, r->encoder, err);
	r->encoder = way->encoder;
	r->pixels = way->pixels;
	return INLAY_OK;
}

static enum inlay_err find_encoder(const struct request *r, const AVCodec **out, struct inlay_error *err)
{
	const AVCodec *codec = avcodec_find_encoder_by_name(r->encoder);
	if (!codec || codec->type != AVMEDIA_TYPE_VIDEO)
		return il_fail(err, INLAY_ERR_UNSUPPORTED,
		               "codec \"%s\" is no video encoder of this libav; `ffmpeg -encoders` lists them",
		               r->encoder);
	if (!takes_pixels(codec, r->pixels))
		return il_fail(
			err, INLAY_ERR_UNSUPPORTED,
			"codec %s does not take 8-bit 4:2:0 pictures (yuv420p); libx264, libx265, libvpx-vp9 and "
			"ffv1 do, and `ffmpeg -h encoder=NAME` tells for any other",
			r->encoder);
	if (avformat_query_codec(r->muxer, codec->id, FF_COMPLIANCE_NORMAL) == 0)
		return il_fail(err, INLAY_ERR_UNSUPPORTED,
		               "%s cannot hold %s (codec %s); choose %s, or write mkv, which holds nearly all",
		               r->format, avcodec_get_name(codec->id), r->encoder, r->usual);
	*out = codec;
	return INLAY_OK;
}

/* Starting it */

static enum AVColorRange range_of(const struct inlay_colour *colour)
{
	return colour->range == INLAY_RANGE_FULL      ? AVCOL_RANGE_JPEG
	       : colour->range == INLAY_RANGE_LIMITED ? AVCOL_RANGE_MPEG
	                                              : AVCOL_RANGE_UNSPECIFIED;
}

static void set_colour(AVCodecContext *e, const struct inlay_colour *colour)
{
	/* 0 stands for "not said" here and is reserved in H.273, whose word for it is 2. */
	e->colorspace = colour->matrix ? (enum AVColorSpace)colour->matrix : AVCOL_SPC_UNSPECIFIED;
	e->color_primaries = colour->primaries ? (enum AVColorPrimaries)colour->primaries : AVCOL_PRI_UNSPECIFIED;
	e->color_trc = colour->transfer ? (enum AVColorTransferCharacteristic)colour->transfer : AVCOL_TRC_UNSPECIFIED;
	e->color_range = range_of(colour);
	if (e->pix_fmt == AV_PIX_FMT_YUV420P || e->pix_fmt == AV_PIX_FMT_YUVA420P)
		e->chroma_sample_location =
			colour->range == INLAY_RANGE_FULL ? AVCHROMA_LOC_CENTER : AVCHROMA_LOC_UNSPECIFIED;
	if (e->pix_fmt == AV_PIX_FMT_YUVA444P10)
		e->color_range = AVCOL_RANGE_MPEG; /* readers of ProRes know no other */
	if (e->pix_fmt == AV_PIX_FMT_ARGB) {
		e->colorspace = AVCOL_SPC_RGB;
		e->color_range = AVCOL_RANGE_JPEG;
	}
}

static void set_picture(struct il_video_encoder *v, const struct il_sink_params *params, enum AVPixelFormat pixels)
{
	AVCodecContext *e = v->context;
	e->width = params->frame.width & ~1;
	e->height = params->frame.height & ~1;
	e->pix_fmt = pixels;
	e->framerate = (AVRational){ params->fps.num, params->fps.den };
	e->time_base = params->timebase.num ? (AVRational){ params->timebase.num, params->timebase.den }
	                                    : av_inv_q(e->framerate);
	v->duration = FFMAX(1, av_rescale_q(1, av_inv_q(e->framerate), e->time_base));
	set_colour(e, &params->frame.colour);
}

static enum inlay_err start(struct il_video_encoder *v, const AVCodec *codec, const struct request *r,
                            const struct il_sink_params *params, struct inlay_error *err)
{
	v->context = avcodec_alloc_context3(codec);
	if (!v->context)
		return il_fail_memory(err);
	set_picture(v, params, r->pixels);
	v->context->thread_count = (int)params->threads;
	if (r->muxer->flags & AVFMT_GLOBALHEADER)
		v->context->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
	enum inlay_err rc = il_video_tune(v->context, params, v->text, sizeof v->text, err);
	if (rc)
		return rc;
	int ret = avcodec_open2(v->context, codec, NULL);
	return ret < 0 ? il_fail_av(err, ret, "codec %s does not start for %dx%d at %d/%d frames a second", codec->name,
	                            v->context->width, v->context->height, params->fps.num, params->fps.den)
	               : INLAY_OK;
}

static const char *find_software(const char *encoder)
{
	for (size_t i = 0; i < sizeof software / sizeof *software; i++)
		if (!strcmp(encoder, software[i][0]))
			return software[i][1];
	return NULL;
}

/* What is wrong with the request itself is no reason to try another encoder. */
static bool is_missing(const struct request *r, enum inlay_err rc, const struct il_video_encoder *v)
{
	return rc && rc != INLAY_ERR_MEMORY && find_software(r->encoder) && (!v->context || *v->text);
}

static enum inlay_err find_and_start(struct il_video_encoder *v, struct request *r, const struct il_sink_params *params,
                                     struct inlay_error *err)
{
	const AVCodec *codec = NULL;
	struct inlay_error why = { 0 };
	enum inlay_err rc = find_encoder(r, &codec, &why);
	if (!rc)
		rc = start(v, codec, r, params, &why);
	if (!is_missing(r, rc, v))
		return rc ? il_fail(err, rc, "%s", why.text) : INLAY_OK;
	struct il_sink_params other = *params;
	other.preset = NULL; /* it was a name of the other's */
	r->encoder = find_software(r->encoder);
	il_log_warn("%s; %s runs instead%s", why.text, r->encoder, params->preset ? ", with its own preset" : "");
	avcodec_free_context(&v->context);
	rc = find_encoder(r, &codec, err);
	return rc ? rc : start(v, codec, r, &other, err);
}

/* Another format for the encoder */

static int set_scaler(struct SwsContext *s, const AVCodecContext *e, const struct inlay_colour *colour,
                      unsigned threads)
{
	int full = colour->range == INLAY_RANGE_FULL, full_out = e->pix_fmt == AV_PIX_FMT_ARGB;
	int flags = SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;
	const int *matrix = sws_getCoefficients(colour->matrix ? (int)colour->matrix : INLAY_MATRIX_BT601);
	av_opt_set_int(s, "srcw", e->width, 0);
	av_opt_set_int(s, "srch", e->height, 0);
	av_opt_set_int(s, "src_format", AV_PIX_FMT_YUVA420P, 0);
	av_opt_set_int(s, "src_range", full, 0);
	av_opt_set_int(s, "dstw", e->width, 0);
	av_opt_set_int(s, "dsth", e->height, 0);
	av_opt_set_int(s, "dst_format", e->pix_fmt, 0);
	av_opt_set_int(s, "dst_range", full_out, 0);
	av_opt_set_int(s, "sws_flags", flags, 0);
	av_opt_set_int(s, "threads", threads, 0);
	if (full)
		av_opt_set_int(s, "src_h_chr_pos", 128, 0); /* as JPEG; at the left otherwise */
	int ret = sws_init_context(s, NULL, NULL);
	return ret < 0 ? ret : sws_setColorspaceDetails(s, matrix, full, matrix, full_out, 0, 1 << 16, 1 << 16);
}

static enum inlay_err create_scaler(struct il_video_encoder *v, const struct il_sink_params *params,
                                    struct inlay_error *err)
{
	const AVCodecContext *e = v->context;
	v->scaler = sws_alloc_context();
	v->converted = av_frame_alloc();
	if (!v->scaler || !v->converted)
		return il_fail_memory(err);
	v->converted->format = e->pix_fmt;
	v->converted->width = e->width;
	v->converted->height = e->height;
	int ret = set_scaler(v->scaler, e, &params->frame.colour, params->threads);
	if (ret >= 0)
		ret = av_frame_get_buffer(v->converted, 0);
	return ret < 0 ? il_fail_av(err, ret, "cannot convert frames for codec %s", e->codec->name) : INLAY_OK;
}

static enum inlay_err convert(struct il_video_encoder *v, struct inlay_error *err)
{
	AVFrame *to = v->converted;
	const AVFrame *from = v->frame;
	int ret = av_frame_make_writable(to);
	if (ret >= 0)
		ret = sws_scale_frame(v->scaler, to, from);
	if (ret < 0)
		return il_fail_av(err, ret, "frame %lld cannot be converted for codec %s", (long long)v->frames,
		                  v->context->codec->name);
	if (to->format == AV_PIX_FMT_YUVA444P10) /* swscale makes 1020 of 255 */
		Convert8To16Plane(from->data[3], from->linesize[3], (uint16_t *)to->data[3], to->linesize[3] / 2, 1024,
		                  to->width, to->height);
	return INLAY_OK;
}

enum inlay_err il_video_encoder_open(struct il_video_encoder **out, const AVOutputFormat *muxer, const char *format,
                                     const char *codec, const struct il_sink_params *params, struct inlay_error *err)
{
	struct request r = { .muxer = muxer, .format = format, .usual = codec };
	*out = NULL;
	if (params->frame.width < 2 || params->frame.height < 2)
		return il_fail(err, INLAY_ERR_INVALID, "%s: %dx%d is too small for video, expected at least 2x2",
		               params->path, params->frame.width, params->frame.height);
	enum inlay_err rc = choose(&r, params, err);
	if (rc)
		return rc;
	struct il_video_encoder *v = calloc(1, sizeof *v);
	if (!v)
		return il_fail_memory(err);
	v->frame = av_frame_alloc();
	rc = v->frame ? find_and_start(v, &r, params, err) : il_fail_memory(err);
	if (!rc && r.pixels != AV_PIX_FMT_YUV420P && r.pixels != AV_PIX_FMT_YUVA420P)
		rc = create_scaler(v, params, err);
	if (!rc && ((params->frame.width | params->frame.height) & 1))
		il_log_warn("%s: %dx%d is cut to %dx%d, 4:2:0 video has even sizes", params->path, params->frame.width,
		            params->frame.height, v->context->width, v->context->height);
	if (rc)
		il_video_encoder_destroy(&v);
	*out = v;
	return rc;
}

void il_video_encoder_destroy(struct il_video_encoder **slot)
{
	struct il_video_encoder *v = *slot;
	if (!v)
		return;
	*slot = NULL;
	avcodec_free_context(&v->context);
	sws_freeContext(v->scaler);
	av_frame_free(&v->converted);
	av_frame_free(&v->frame);
	free(v);
}

const AVCodecContext *il_video_encoder_context(const struct il_video_encoder *v)
{
	return v->context;
}

const char *il_video_encoder_describe(const struct il_video_encoder *v)
{
	return v->text;
}

/* Frames */

static void release_frame(void *opaque, uint8_t *data)
{
	struct inlay_frame *frame = opaque;
	(void)data;
	inlay_frame_unmap(frame);
	inlay_frame_destroy(&frame);
}

/* Makes v->frame show the planes of `frame`, which is held until the encoder is done with it. libav allocates the
 * handle for that, as it does for its packets. */
static enum inlay_err wrap(struct il_video_encoder *v, struct inlay_frame *frame, struct inlay_error *err)
{
	AVFrame *f = v->frame;
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	f->buf[0] = av_buffer_create(planes.data[0], (size_t)planes.stride[0] * info->height, release_frame,
	                             inlay_frame_ref(frame), AV_BUFFER_FLAG_READONLY);
	if (!f->buf[0]) {
		release_frame(frame, NULL);
		return il_fail_memory(err);
	}
	for (int i = 0; i < il_plane_count(info->format); i++) {
		f->data[i] = planes.data[i];
		f->linesize[i] = (int)planes.stride[i];
	}
	f->format = info->format == INLAY_PIX_YUVA420P ? AV_PIX_FMT_YUVA420P : AV_PIX_FMT_YUV420P;
	f->width = v->context->width;
	f->height = v->context->height;
	return INLAY_OK;
}

static void tag(const AVCodecContext *e, AVFrame *f, int64_t pts)
{
	f->colorspace = e->colorspace;
	f->color_range = e->color_range;
	f->color_primaries = e->color_primaries;
	f->color_trc = e->color_trc;
	f->chroma_location = e->chroma_sample_location;
	f->pts = pts;
}

static enum inlay_err fail_encoder(const struct il_video_encoder *v, int ret, struct inlay_error *err)
{
	return il_fail_av(err, ret, "codec %s failed at frame %lld", v->context->codec->name, (long long)v->frames);
}

enum inlay_err il_video_encoder_send(struct il_video_encoder *v, struct inlay_frame *frame, int64_t pts,
                                     struct inlay_error *err)
{
	enum inlay_err rc = frame ? wrap(v, frame, err) : INLAY_OK;
	if (!rc && frame && v->scaler)
		rc = convert(v, err);
	if (rc) {
		av_frame_unref(v->frame);
		return rc;
	}
	AVFrame *input = !frame ? NULL : v->scaler ? v->converted : v->frame;
	if (input)
		tag(v->context, input, pts);
	int ret = avcodec_send_frame(v->context, input);
	av_frame_unref(v->frame);
	if (ret < 0)
		return fail_encoder(v, ret, err);
	v->frames++;
	return INLAY_OK;
}

enum inlay_err il_video_encoder_receive(struct il_video_encoder *v, AVPacket *packet, struct inlay_error *err)
{
	int ret = avcodec_receive_packet(v->context, packet);
	if (ret == AVERROR(EAGAIN))
		return INLAY_AGAIN;
	if (ret == AVERROR_EOF)
		return INLAY_EOF;
	if (ret < 0)
		return fail_encoder(v, ret, err);
	packet->duration = v->duration;
	return INLAY_OK;
}
