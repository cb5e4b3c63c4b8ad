#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>
#include <libyuv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "media/image.h"
#include "media/jpeg.h"
#include "media/libav.h"
#include "media/recolour.h"

struct il_image_encoder {
	struct il_jpeg_encoder *jpeg; /* NULL: PNG by the fields below */

	AVCodecContext *png; /* for pictures of the size and format of `picture` */
	AVFrame *picture;
	AVPacket *packet;
	struct inlay_frame *recoloured; /* NULL, or I420 on its way to RGB */
};

enum inlay_err il_image_encoder_create(struct il_image_encoder **out, const char *extension, int quality,
                                       struct inlay_error *err)
{
	int png = !strcmp(extension, "png");
	if (!png && strcmp(extension, "jpg") != 0 && strcmp(extension, "jpeg") != 0)
		return il_fail(err, INLAY_ERR_UNSUPPORTED,
		               "cannot encode pictures as \"%s\", expected jpg, jpeg or png", extension);
	struct il_image_encoder *encoder = calloc(1, sizeof *encoder);
	if (!encoder)
		return il_fail_memory(err);
	enum inlay_err rc = INLAY_OK;
	if (png) {
		il_libav_init();
		encoder->packet = av_packet_alloc();
		if (!encoder->packet)
			rc = il_fail_memory(err);
	} else {
		rc = il_jpeg_encoder_create(&encoder->jpeg, quality, err);
	}
	if (rc)
		il_image_encoder_destroy(&encoder);
	else
		*out = encoder;
	return rc;
}

void il_image_encoder_destroy(struct il_image_encoder **slot)
{
	struct il_image_encoder *encoder = *slot;
	if (!encoder)
		return;
	*slot = NULL;
	il_jpeg_encoder_destroy(&encoder->jpeg);
	avcodec_free_context(&encoder->png);
	av_frame_free(&encoder->picture);
	av_packet_free(&encoder->packet);
	inlay_frame_destroy(&encoder->recoloured);
	free(encoder);
}

/* An encoder and a picture for this size; kept while it stays the same. */
static int prepare_png(struct il_image_encoder *encoder, int width, int height, enum AVPixelFormat format)
{
	const AVFrame *have = encoder->picture;
	if (encoder->png && have && have->width == width && have->height == height && have->format == format)
		return 0;
	avcodec_free_context(&encoder->png);
	av_frame_free(&encoder->picture);
	const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_PNG);
	if (!codec)
		return AVERROR_ENCODER_NOT_FOUND;
	encoder->png = avcodec_alloc_context3(codec);
	encoder->picture = av_frame_alloc();
	if (!encoder->png || !encoder->picture)
		return AVERROR(ENOMEM);
	encoder->png->width = encoder->picture->width = width;
	encoder->png->height = encoder->picture->height = height;
	encoder->png->pix_fmt = encoder->picture->format = format;
	encoder->png->time_base = (AVRational){ 1, 25 };
	encoder->png->thread_count = 1;
	/* On photographs this is two thirds of the bytes and half of the time of libav's default, level 6 and none. */
	encoder->png->compression_level = 1;
	av_opt_set(encoder->png->priv_data, "pred", "up", 0);
	int ret = av_frame_get_buffer(encoder->picture, 0);
	return ret < 0 ? ret : avcodec_open2(encoder->png, codec, NULL);
}

static enum inlay_err reserve_recoloured(struct il_image_encoder *encoder, const struct inlay_frame_info *info,
                                         struct inlay_error *err)
{
	const struct inlay_frame_info *have = encoder->recoloured ? inlay_frame_info(encoder->recoloured) : NULL;
	if (have && have->width == info->width && have->height == info->height)
		return INLAY_OK;
	inlay_frame_destroy(&encoder->recoloured);
	return il_frame_create(&encoder->recoloured, info, err);
}

static bool has_alpha(enum inlay_pixfmt format)
{
	return format == INLAY_PIX_YUVA420P || format == INLAY_PIX_BGR24A8;
}

/* To RGB, or to RGBA whose alpha is still to come. libyuv names the bytes of a word, from the last to the first. */
static void full_range_to_rgb(const struct inlay_planes *from, const struct inlay_frame_info *info, AVFrame *to)
{
	(to->format == AV_PIX_FMT_RGBA ? J420ToABGR : J420ToRAW)(
		from->data[0], (int)from->stride[0], from->data[1], (int)from->stride[1], from->data[2],
		(int)from->stride[2], to->data[0], to->linesize[0], info->width, info->height);
}

/* libyuv's own matrices for limited range fall short in saturated blue, so I420 goes by way of full range. */
static enum inlay_err i420_to_rgb(struct il_image_encoder *encoder, const struct inlay_planes *from,
                                  const struct inlay_frame_info *info, struct inlay_error *err)
{
	if (il_same_yuv(&info->colour, &il_jpeg_colour)) {
		full_range_to_rgb(from, info, encoder->picture);
		return INLAY_OK;
	}
	struct inlay_frame_info i420 = *info;
	i420.format = INLAY_PIX_I420;
	enum inlay_err rc = reserve_recoloured(encoder, &i420, err);
	if (rc)
		return rc;
	struct il_recolour to_jpeg;
	struct inlay_planes full;
	il_recolour_init(&to_jpeg, &info->colour, &il_jpeg_colour);
	inlay_frame_map(encoder->recoloured, &full);
	il_recolour_planes(&to_jpeg, from, &full, info->width, info->height);
	full_range_to_rgb(&full, info, encoder->picture);
	inlay_frame_unmap(encoder->recoloured);
	return INLAY_OK;
}

static enum inlay_err fill_picture(struct il_image_encoder *encoder, const struct inlay_frame *frame,
                                   struct inlay_error *err)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	AVFrame *to = encoder->picture;
	struct inlay_planes from;
	enum inlay_err rc = INLAY_OK;
	inlay_frame_map(frame, &from);
	if (info->format == INLAY_PIX_GRAY8)
		CopyPlane(from.data[0], (int)from.stride[0], to->data[0], to->linesize[0], info->width, info->height);
	else if (info->format == INLAY_PIX_BGR24)
		RAWToRGB24(from.data[0], (int)from.stride[0], to->data[0], to->linesize[0], info->width, info->height);
	else if (info->format == INLAY_PIX_BGR24A8) /* red and blue change places */
		RAWToARGB(from.data[0], (int)from.stride[0], to->data[0], to->linesize[0], info->width, info->height);
	else
		rc = i420_to_rgb(encoder, &from, info, err);
	if (has_alpha(info->format)) {
		int plane = il_plane_count(info->format) - 1;
		ARGBCopyYToAlpha(from.data[plane], (int)from.stride[plane], to->data[0], to->linesize[0], info->width,
		                 info->height);
	}
	inlay_frame_unmap(frame);
	return rc;
}

static enum AVPixelFormat png_format(enum inlay_pixfmt format)
{
	return format == INLAY_PIX_GRAY8 ? AV_PIX_FMT_GRAY8 : has_alpha(format) ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
}

static enum inlay_err encode_png(struct il_image_encoder *encoder, const struct inlay_frame *frame,
                                 struct inlay_error *err)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	int ret = prepare_png(encoder, info->width, info->height, png_format(info->format));
	if (ret >= 0)
		ret = av_frame_make_writable(encoder->picture);
	if (ret >= 0) {
		enum inlay_err rc = fill_picture(encoder, frame, err);
		if (rc)
			return rc;
		av_packet_unref(encoder->packet);
		ret = avcodec_send_frame(encoder->png, encoder->picture);
	}
	if (ret >= 0)
		ret = avcodec_receive_packet(encoder->png, encoder->packet);
	if (ret >= 0)
		return INLAY_OK;
	avcodec_free_context(&encoder->png);
	return il_fail_av(err, ret, "cannot encode a PNG of %dx%d", info->width, info->height);
}

enum inlay_err il_image_encode(struct il_image_encoder *encoder, const struct inlay_frame *frame, const uint8_t **data,
                               size_t *size, struct inlay_error *err)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	bool opaque =
		info->format == INLAY_PIX_I420 || info->format == INLAY_PIX_BGR24 || info->format == INLAY_PIX_GRAY8;
	if (!opaque && (encoder->jpeg || !has_alpha(info->format)))
		return il_fail(err, INLAY_ERR_INVALID, "cannot encode a picture in %s, expected i420, bgr24 or gray8%s",
		               il_pixfmt_name(info->format), encoder->jpeg ? "; png holds alpha too" : "");
	if (encoder->jpeg)
		return il_jpeg_encode(encoder->jpeg, frame, data, size, err);
	enum inlay_err rc = encode_png(encoder, frame, err);
	if (rc)
		return rc;
	*data = encoder->packet->data;
	*size = (size_t)encoder->packet->size;
	return INLAY_OK;
}
