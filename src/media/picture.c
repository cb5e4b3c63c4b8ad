#include "media/picture.h"

#include <libavutil/pixdesc.h>
#include <libyuv.h>
#include <string.h>

bool il_picture_damaged(const AVFrame *frame)
{
	return frame->decode_error_flags || (frame->flags & AV_FRAME_FLAG_CORRUPT);
}

/* Full-range layouts that libav names on their own, or tags. Grey without a tag is full range everywhere. */
static enum inlay_range range_of(const AVFrame *frame, const AVPixFmtDescriptor *format)
{
	if (frame->color_range == AVCOL_RANGE_JPEG || strstr(format->name, "yuvj"))
		return INLAY_RANGE_FULL;
	if (frame->color_range == AVCOL_RANGE_MPEG)
		return INLAY_RANGE_LIMITED;
	return format->nb_components < 3 ? INLAY_RANGE_FULL : INLAY_RANGE_UNSPECIFIED;
}

static bool is_rgb(const AVPixFmtDescriptor *format)
{
	return format->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL);
}

struct inlay_colour il_picture_colour(const AVFrame *frame)
{
	const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
	struct inlay_colour colour = { .matrix = (enum inlay_matrix)frame->colorspace,
		                       .range = range_of(frame, format),
		                       .primaries = frame->color_primaries,
		                       .transfer = frame->color_trc };
	if (is_rgb(format)) {
		/* swscale's own choice for YUV out of RGB. */
		colour.matrix = INLAY_MATRIX_SMPTE170M;
		colour.range = INLAY_RANGE_LIMITED;
	}
	return colour;
}

void il_picture_converter_clear(struct il_picture_converter *c)
{
	sws_freeContext(c->sws);
	*c = (struct il_picture_converter){ 0 };
}

static enum inlay_err prepare_sws(struct il_picture_converter *c, const AVFrame *frame, const char *name,
                                  struct inlay_error *err)
{
	const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
	if (c->sws && c->format == frame->format && c->width == frame->width && c->height == frame->height)
		return INLAY_OK;
	sws_freeContext(c->sws);
	c->format = frame->format;
	c->width = frame->width;
	c->height = frame->height;
	c->sws = sws_getContext(frame->width, frame->height, frame->format, frame->width, frame->height,
	                        AV_PIX_FMT_YUV420P, SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, NULL, NULL,
	                        NULL);
	if (!c->sws)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: cannot convert its pixel format %s to yuv420p", name,
		               format ? format->name : "unknown");
	if (is_rgb(format))
		return INLAY_OK;
	/* The same matrix and range on both sides: only depth and chroma size change. */
	const int *table = sws_getCoefficients(frame->colorspace);
	int full = range_of(frame, format) == INLAY_RANGE_FULL;
	sws_setColorspaceDetails(c->sws, table, full, table, full, 0, 1 << 16, 1 << 16);
	return INLAY_OK;
}

enum inlay_err il_picture_convert(struct il_picture_converter *c, const AVFrame *from, const struct inlay_frame *to,
                                  const char *name, struct inlay_error *err)
{
	struct inlay_planes planes;
	inlay_frame_map(to, &planes);
	enum inlay_err rc = INLAY_OK;
	const int stride[] = { (int)planes.stride[0], (int)planes.stride[1], (int)planes.stride[2], 0 };
	if (from->format == AV_PIX_FMT_YUV420P || from->format == AV_PIX_FMT_YUVJ420P) {
		I420Copy(from->data[0], from->linesize[0], from->data[1], from->linesize[1], from->data[2],
		         from->linesize[2], planes.data[0], stride[0], planes.data[1], stride[1], planes.data[2],
		         stride[2], from->width, from->height);
	} else if (from->format == AV_PIX_FMT_NV12) {
		NV12ToI420(from->data[0], from->linesize[0], from->data[1], from->linesize[1], planes.data[0],
		           stride[0], planes.data[1], stride[1], planes.data[2], stride[2], from->width, from->height);
	} else {
		rc = prepare_sws(c, from, name, err);
		if (!rc)
			sws_scale(c->sws, (const uint8_t *const *)from->data, from->linesize, 0, from->height,
			          planes.data, stride);
	}
	inlay_frame_unmap(to);
	return rc;
}
