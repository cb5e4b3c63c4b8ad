/* Frames for programs that look at a camera: an output device of Video4Linux, such as v4l2loopback's. */
#include "media/sink_impl.h"

#include <libavformat/avformat.h>
#include <libyuv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "media/libav.h"

struct device {
	AVFormatContext *mux;
	AVPacket *packet;
	uint8_t *bytes; /* one frame without padding */
	int width, height;
	bool started;
	char *name;
	char text[96];
};

static void device_close(void *self)
{
	struct device *d = self;
	if (d->started)
		av_write_trailer(d->mux);
	avformat_free_context(d->mux);
	av_packet_free(&d->packet);
	free(d->bytes);
	free(d->name);
	free(d);
}

static enum inlay_err check_device(const char *path, struct inlay_error *err)
{
	struct stat st;
	if (!path || stat(path, &st))
		return il_fail(err, INLAY_ERR_NOT_FOUND,
		               "%s: no such device; expected one that v4l2loopback made (modprobe v4l2loopback)",
		               path ? path : "v4l2");
	if (!S_ISCHR(st.st_mode))
		return il_fail(err, INLAY_ERR_INVALID, "%s: is no device, expected one such as /dev/video10", path);
	return INLAY_OK;
}

static enum inlay_err start(struct device *d, const struct il_sink_params *params, struct inlay_error *err)
{
	enum inlay_err rc = il_libav_devices(err);
	if (rc)
		return rc;
	int ret = avformat_alloc_output_context2(&d->mux, NULL, "v4l2", d->name);
	if (ret < 0)
		return il_fail_av(err, ret, "%s: this libav writes to no devices", d->name);
	AVStream *stream = avformat_new_stream(d->mux, NULL);
	if (!stream)
		return il_fail_memory(err);
	stream->codecpar->codec_type = AVMEDIA_TYPE_VIDEO;
	stream->codecpar->codec_id = AV_CODEC_ID_RAWVIDEO;
	stream->codecpar->format = AV_PIX_FMT_YUV420P;
	stream->codecpar->width = d->width;
	stream->codecpar->height = d->height;
	stream->time_base = (AVRational){ params->fps.den, params->fps.num };
	ret = avformat_write_header(d->mux, NULL);
	d->started = ret >= 0;
	return ret < 0 ? il_fail_av(err, ret,
	                            "%s: does not take frames of %dx%d; expected an output device of Video4Linux, "
	                            "such as v4l2loopback's",
	                            d->name, d->width, d->height)
	               : INLAY_OK;
}

static enum inlay_err device_open(void **self, const char *format, const struct il_sink_params *params,
                                  struct inlay_error *err)
{
	il_libav_init();
	enum inlay_err rc = check_device(params->path, err);
	if (rc)
		return rc;
	struct device *d = calloc(1, sizeof *d);
	if (!d)
		return il_fail_memory(err);
	d->width = params->frame.width & ~1;
	d->height = params->frame.height & ~1;
	d->packet = av_packet_alloc();
	d->name = strdup(params->path);
	d->bytes = malloc((size_t)d->width * (size_t)d->height * 3 / 2 + 1);
	snprintf(d->text, sizeof d->text, "%s: i420 %dx%d to %s", format, d->width, d->height, params->path);
	rc = d->packet && d->name && d->bytes ? start(d, params, err) : il_fail_memory(err);
	if (rc)
		device_close(d);
	else
		*self = d;
	return rc;
}

static enum inlay_err device_write(void *self, struct inlay_frame *frame, struct inlay_error *err)
{
	struct device *d = self;
	struct inlay_planes planes;
	int w = d->width, h = d->height, size = w * h;
	uint8_t *y = d->bytes, *u = y + size, *v = u + size / 4;
	inlay_frame_map(frame, &planes);
	I420Copy(planes.data[0], (int)planes.stride[0], planes.data[1], (int)planes.stride[1], planes.data[2],
	         (int)planes.stride[2], y, w, u, w / 2, v, w / 2, w, h);
	inlay_frame_unmap(frame);
	d->packet->data = d->bytes;
	d->packet->size = size * 3 / 2;
	int ret = av_write_frame(d->mux, d->packet);
	return ret < 0 ? il_fail_av(err, ret, "%s: cannot be written", d->name) : INLAY_OK;
}

static enum inlay_err device_finish(void *self, struct inlay_error *err)
{
	(void)self, (void)err;
	return INLAY_OK;
}

/* What a device has shown is gone. */
static void device_abort(void *self)
{
	(void)self;
}

static const char *device_describe(const void *self)
{
	return ((const struct device *)self)->text;
}

const struct il_sink_type il_sink_v4l2 = {
	.formats = (const char *const[]){ "v4l2", NULL },
	.open = device_open,
	.write = device_write,
	.finish = device_finish,
	.abort = device_abort,
	.close = device_close,
	.describe = device_describe,
};
