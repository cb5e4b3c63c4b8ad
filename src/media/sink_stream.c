/* Frames one after the other in a file or pipe: YUV4MPEG2 (yuv4mpeg(5)), bare I420 planes, or JPEG pictures. */
#include "media/sink_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/byte_out.h"
#include "media/image.h"

#define FRAME_MARK "FRAME\n"

struct stream {
	struct il_byte_out out;
	struct il_image_encoder *jpeg; /* mjpeg only */
	uint8_t *packed;               /* one frame without padding, behind `mark` bytes of y4m's frame header */
	size_t mark, packed_size;
	char text[96];
};

static void stream_close(void *self)
{
	struct stream *s = self;
	il_byte_out_close(&s->out);
	il_image_encoder_destroy(&s->jpeg);
	free(s->packed);
	free(s);
}

static enum inlay_err allocate_packed(struct stream *s, const struct inlay_frame_info *info, struct inlay_error *err)
{
	s->packed_size = s->mark;
	for (int i = 0; i < il_plane_count(info->format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(info, i, &row_bytes, &rows);
		s->packed_size += row_bytes * (size_t)rows;
	}
	s->packed = malloc(s->packed_size);
	if (!s->packed)
		return il_fail_memory(err);
	memcpy(s->packed, FRAME_MARK, s->mark);
	return INLAY_OK;
}

static enum inlay_err write_y4m_header(struct stream *s, const struct il_sink_params *params, struct inlay_error *err)
{
	bool full = params->frame.colour.range == INLAY_RANGE_FULL;
	char header[160];
	int n = snprintf(header, sizeof header, "YUV4MPEG2 W%d H%d F%d:%d Ip A1:1 %s\n", params->frame.width,
	                 params->frame.height, params->fps.num, params->fps.den,
	                 full ? "C420jpeg XCOLORRANGE=FULL" : "C420mpeg2 XCOLORRANGE=LIMITED");
	return il_byte_out_write(&s->out, header, (size_t)n, err);
}

static enum inlay_err stream_open(void **self, const char *format, const struct il_sink_params *params,
                                  struct inlay_error *err)
{
	bool y4m = !strcmp(format, "y4m"), mjpeg = !strcmp(format, "mjpeg");
	int quality = params->quality ? params->quality : 90;
	if (!params->path)
		return il_fail(err, INLAY_ERR_INVALID, "%s needs a file name, or - for standard output", format);
	struct stream *s = calloc(1, sizeof *s);
	if (!s)
		return il_fail_memory(err);
	s->mark = y4m ? strlen(FRAME_MARK) : 0;
	if (mjpeg)
		snprintf(s->text, sizeof s->text, "mjpeg: quality %d", quality);
	else
		snprintf(s->text, sizeof s->text, "%s", format);
	enum inlay_err rc = mjpeg ? il_image_encoder_create(&s->jpeg, "jpg", quality, err)
	                          : allocate_packed(s, &params->frame, err);
	if (!rc)
		rc = il_byte_out_open(&s->out, params, err);
	if (!rc && y4m)
		rc = write_y4m_header(s, params, err);
	if (rc)
		stream_close(s);
	else
		*self = s;
	return rc;
}

static void pack(uint8_t *to, const struct inlay_frame *frame)
{
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < il_plane_count(INLAY_PIX_I420); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(inlay_frame_info(frame), i, &row_bytes, &rows);
		for (int y = 0; y < rows; y++, to += row_bytes)
			memcpy(to, planes.data[i] + y * planes.stride[i], row_bytes);
	}
	inlay_frame_unmap(frame);
}

static enum inlay_err stream_write(void *self, struct inlay_frame *frame, struct inlay_error *err)
{
	struct stream *s = self;
	const uint8_t *data = s->packed;
	size_t size = s->packed_size;
	enum inlay_err rc = INLAY_OK;
	if (s->jpeg)
		rc = il_image_encode(s->jpeg, frame, &data, &size, err);
	else
		pack(s->packed + s->mark, frame);
	return rc ? rc : il_byte_out_write(&s->out, data, size, err);
}

static enum inlay_err stream_write_jpeg(void *self, const uint8_t *data, size_t size, struct inlay_error *err)
{
	return il_byte_out_write(&((struct stream *)self)->out, data, size, err);
}

static bool stream_takes_jpegs(const void *self)
{
	return ((const struct stream *)self)->jpeg != NULL;
}

static enum inlay_err stream_finish(void *self, struct inlay_error *err)
{
	return il_byte_out_finish(&((struct stream *)self)->out, err);
}

/* Closing an unfinished output removes it. */
static void stream_abort(void *self)
{
	(void)self;
}

static const char *stream_describe(const void *self)
{
	return ((const struct stream *)self)->text;
}

const struct il_sink_type il_sink_stream = {
	.formats = (const char *const[]){ "y4m", "mjpeg", "rawvideo", NULL },
	.open = stream_open,
	.write = stream_write,
	.write_jpeg = stream_write_jpeg,
	.takes_jpegs = stream_takes_jpegs,
	.finish = stream_finish,
	.abort = stream_abort,
	.close = stream_close,
	.describe = stream_describe,
};
