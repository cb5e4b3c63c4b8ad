#include "media/picture.h"

#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <libyuv.h>
#include <string.h>

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
		colour.matrix = INLAY_MATRIX_SMPTE170M;
		colour.range = INLAY_RANGE_LIMITED;
	}
	return colour;
}

int il_picture_depth(const AVFrame *frame)
{
	const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
	int depth = 0;
	for (int i = 0; i < format->nb_components; i++)
		depth = format->comp[i].depth > depth ? format->comp[i].depth : depth;
	return depth;
}

bool il_picture_is_i420(const AVFrame *frame)
{
	return frame->format == AV_PIX_FMT_YUV420P || frame->format == AV_PIX_FMT_YUVJ420P;
}

void il_picture_converter_clear(struct il_picture_converter *converter)
{
	sws_freeContext(converter->sws);
	converter->sws = NULL;
}

static enum inlay_err prepare(struct il_picture_converter *converter, const AVFrame *frame, const char *path,
                              struct inlay_error *err)
{
	const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(frame->format);
	if (converter->sws && converter->format == frame->format)
		return INLAY_OK;
	sws_freeContext(converter->sws);
	converter->format = frame->format;
	converter->sws = sws_getContext(frame->width, frame->height, frame->format, frame->width, frame->height,
	                                AV_PIX_FMT_YUV420P, SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, NULL,
	                                NULL, NULL);
	if (!converter->sws)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: cannot convert its pixel format %s to yuv420p", path,
		               format ? format->name : "unknown");
	if (is_rgb(format))
		return INLAY_OK;
	/* The same matrix and range on both sides: only depth and chroma size change. */
	const int *table = sws_getCoefficients(frame->colorspace);
	int full = range_of(frame, format) == INLAY_RANGE_FULL;
	sws_setColorspaceDetails(converter->sws, table, full, table, full, 0, 1 << 16, 1 << 16);
	return INLAY_OK;
}

enum inlay_err il_picture_to_i420(struct il_picture_converter *converter, const AVFrame *from,
                                  const struct inlay_planes *to, const char *path, struct inlay_error *err)
{
	int stride[] = { (int)to->stride[0], (int)to->stride[1], (int)to->stride[2], 0 };
	if (il_picture_is_i420(from)) {
		I420Copy(from->data[0], from->linesize[0], from->data[1], from->linesize[1], from->data[2],
		         from->linesize[2], to->data[0], stride[0], to->data[1], stride[1], to->data[2], stride[2],
		         from->width, from->height);
		return INLAY_OK;
	}
	if (from->format == AV_PIX_FMT_NV12) {
		NV12ToI420(from->data[0], from->linesize[0], from->data[1], from->linesize[1], to->data[0], stride[0],
		           to->data[1], stride[1], to->data[2], stride[2], from->width, from->height);
		return INLAY_OK;
	}
	enum inlay_err rc = prepare(converter, from, path, err);
	if (rc)
		return rc;
	uint8_t *const planes[] = { to->data[0], to->data[1], to->data[2], NULL };
	sws_scale(converter->sws, (const uint8_t *const *)from->data, from->linesize, 0, from->height, planes, stride);
	return INLAY_OK;
}
