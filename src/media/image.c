#include "media/image.h"

#include <libavcodec/avcodec.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <libyuv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "media/exif.h"
#include "media/jpeg.h"
#include "media/libav.h"

#define MAX_SIDE 32768
#define MAX_MEGAPIXELS 100
#define MAX_BYTES ((size_t)1 << 30)

/* What is asked of a picture. */
struct request {
	const char *name; /* for messages */
	enum inlay_pixfmt format;
	int width, height; /* 0: any */
};

/* What a file begins with says what it is; its name does not. */
static const struct magic {
	const char *bytes;
	size_t size, offset;
	enum AVCodecID codec;
} magics[] = {
	{ "\xff\xd8\xff", 3, 0, AV_CODEC_ID_MJPEG }, { "\x89PNG\r\n\x1a\n", 8, 0, AV_CODEC_ID_PNG },
	{ "WEBPVP8", 7, 8, AV_CODEC_ID_WEBP },       { "BM", 2, 0, AV_CODEC_ID_BMP },
	{ "II*\0", 4, 0, AV_CODEC_ID_TIFF },         { "MM\0*", 4, 0, AV_CODEC_ID_TIFF },
};

static enum AVCodecID recognise(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
		const struct magic *m = &magics[i];
		if (size >= m->offset + m->size && !memcmp(data + m->offset, m->bytes, m->size))
			return m->codec;
	}
	return AV_CODEC_ID_NONE;
}

const char *il_image_codec(const uint8_t *data, size_t size)
{
	enum AVCodecID id = recognise(data, size);
	return id == AV_CODEC_ID_NONE ? NULL : avcodec_get_name(id);
}

static enum inlay_err fail_unknown(const char *name, size_t size, struct inlay_error *err)
{
	if (!size)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: is empty, expected a picture", name);
	return il_fail(err, INLAY_ERR_FORMAT, "%s: is no picture known here (JPEG, PNG, WebP, BMP, TIFF)", name);
}

static enum inlay_err check_size(const struct request *request, int width, int height, struct inlay_error *err)
{
	if (width > MAX_SIDE || height > MAX_SIDE)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: is %dx%d pixels, expected at most %d each way",
		               request->name, width, height, MAX_SIDE);
	if (request->width && (width != request->width || height != request->height))
		return il_fail(err, INLAY_ERR_FORMAT, "%s: is %dx%d; expected %dx%d, as the first frame", request->name,
		               width, height, request->width, request->height);
	if ((int64_t)width * height > MAX_MEGAPIXELS * INT64_C(1000000))
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: is %dx%d, expected at most %d megapixels",
		               request->name, width, height, MAX_MEGAPIXELS);
	return INLAY_OK;
}

/* A libav decoder's opaque. */
struct gate {
	const struct request *request;
	struct inlay_error *err;
	enum inlay_err rc;
};

/* libav's get_buffer2: looks at the size before there is memory for it. */
static int get_buffer(AVCodecContext *decoder, AVFrame *picture, int flags)
{
	struct gate *gate = decoder->opaque;
	gate->rc = check_size(gate->request, decoder->width, decoder->height, gate->err);
	return gate->rc ? AVERROR(EINVAL) : avcodec_default_get_buffer2(decoder, picture, flags);
}

/* One picture out of one packet. */
static enum inlay_err decode_libav(AVCodecContext *decoder, AVPacket *packet, AVFrame *picture,
                                   const struct request *request, struct inlay_error *err)
{
	struct gate gate = { .request = request, .err = err };
	decoder->opaque = &gate;
	decoder->get_buffer2 = get_buffer;
	decoder->thread_count = 1;
	decoder->max_pixels = (int64_t)MAX_SIDE * MAX_SIDE;
	/* A damaged picture is an error, not a half-black frame. */
	decoder->err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_EXPLODE;
	int ret = avcodec_open2(decoder, decoder->codec, NULL);
	if (ret >= 0)
		ret = avcodec_send_packet(decoder, packet);
	if (ret >= 0)
		ret = avcodec_send_packet(decoder, NULL);
	if (ret >= 0)
		ret = avcodec_receive_frame(decoder, picture);
	if (gate.rc)
		return gate.rc;
	if (ret < 0)
		return il_fail_av(err, ret, "%s: damaged or cut short, does not decode as %s", request->name,
		                  decoder->codec->name);
	if (picture->decode_error_flags || (picture->flags & AV_FRAME_FLAG_CORRUPT))
		return il_fail(err, INLAY_ERR_FORMAT, "%s: is damaged", request->name);
	return check_size(request, picture->width, picture->height, err);
}

/* By swscale into BGR24 or GRAY8, alpha dropped. */
static enum inlay_err convert_libav(const AVFrame *picture, enum inlay_pixfmt format, const char *name,
                                    struct inlay_frame **out, struct inlay_error *err)
{
	enum AVPixelFormat to = format == INLAY_PIX_GRAY8 ? AV_PIX_FMT_GRAY8 : AV_PIX_FMT_BGR24;
	struct inlay_frame_info info = { .format = format,
		                         .width = picture->width,
		                         .height = picture->height,
		                         .colour = { INLAY_MATRIX_BT601, INLAY_RANGE_FULL, 2, 2 } };
	struct inlay_frame *frame;
	enum inlay_err rc = il_frame_create(&frame, &info, err);
	if (rc)
		return rc;
	struct SwsContext *sws = sws_getContext(info.width, info.height, picture->format, info.width, info.height, to,
	                                        SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, NULL, NULL, NULL);
	if (!sws) {
		inlay_frame_destroy(&frame);
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: cannot convert its pixel format", name);
	}
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	int stride = (int)planes.stride[0];
	sws_scale(sws, (const uint8_t *const *)picture->data, picture->linesize, 0, info.height, planes.data, &stride);
	inlay_frame_unmap(frame);
	sws_freeContext(sws);
	*out = frame;
	return INLAY_OK;
}

/* BGR24 to full-range BT.601, as I420 or its luma alone. */
static enum inlay_err convert_bgr(const struct inlay_frame *bgr, enum inlay_pixfmt format, struct inlay_frame **out,
                                  struct inlay_error *err)
{
	struct inlay_frame_info info = *inlay_frame_info(bgr);
	info.format = format;
	enum inlay_err rc = il_frame_create(out, &info, err);
	if (rc)
		return rc;
	struct inlay_planes from, to;
	inlay_frame_map(bgr, &from);
	inlay_frame_map(*out, &to);
	if (format == INLAY_PIX_GRAY8)
		RGB24ToJ400(from.data[0], (int)from.stride[0], to.data[0], (int)to.stride[0], info.width, info.height);
	else
		RGB24ToJ420(from.data[0], (int)from.stride[0], to.data[0], (int)to.stride[0], to.data[1],
		            (int)to.stride[1], to.data[2], (int)to.stride[2], info.width, info.height);
	inlay_frame_unmap(*out);
	inlay_frame_unmap(bgr);
	return INLAY_OK;
}

static bool is_grey(const AVFrame *picture)
{
	const AVPixFmtDescriptor *format = av_pix_fmt_desc_get(picture->format);
	return format && format->nb_components < 3 && !(format->flags & AV_PIX_FMT_FLAG_PAL);
}

static enum inlay_err deliver(const AVFrame *picture, const struct request *request, struct inlay_frame **frame,
                              struct inlay_error *err)
{
	enum inlay_pixfmt format = request->format;
	if (format == INLAY_PIX_BGR24 || (format == INLAY_PIX_GRAY8 && is_grey(picture)))
		return convert_libav(picture, format, request->name, frame, err);
	struct inlay_frame *bgr;
	enum inlay_err rc = convert_libav(picture, INLAY_PIX_BGR24, request->name, &bgr, err);
	if (rc)
		return rc;
	rc = convert_bgr(bgr, format, frame, err);
	inlay_frame_destroy(&bgr);
	return rc;
}

static enum inlay_err decode_other(enum AVCodecID id, const uint8_t *data, size_t size, const struct request *request,
                                   struct inlay_frame **frame, struct inlay_error *err)
{
	il_libav_init();
	const AVCodec *codec = avcodec_find_decoder(id);
	if (!codec)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: no decoder for %s in this libav", request->name,
		               avcodec_get_name(id));
	AVCodecContext *decoder = avcodec_alloc_context3(codec);
	AVPacket *packet = av_packet_alloc();
	AVFrame *picture = av_frame_alloc();
	enum inlay_err rc = INLAY_OK;
	/* A copy, because libav reads some bytes beyond the end. */
	if (!decoder || !packet || !picture || av_new_packet(packet, (int)size) < 0)
		rc = il_fail_memory(err);
	if (!rc) {
		memcpy(packet->data, data, size);
		rc = decode_libav(decoder, packet, picture, request, err);
	}
	if (!rc)
		rc = deliver(picture, request, frame, err);
	av_frame_free(&picture);
	av_packet_free(&packet);
	avcodec_free_context(&decoder);
	return rc;
}

static enum inlay_err decode_jpeg(const uint8_t *data, size_t size, const struct request *request,
                                  struct inlay_frame **frame, struct inlay_error *err)
{
	int width, height;
	enum inlay_err rc = il_jpeg_size(data, size, request->name, &width, &height, err);
	if (!rc)
		rc = check_size(request, width, height, err);
	return rc ? rc : il_jpeg_decode(data, size, request->name, request->format, frame, err);
}

static enum inlay_err decode(const uint8_t *data, size_t size, const struct request *request,
                             struct inlay_frame **frame, struct inlay_error *err)
{
	const char *name = request->name;
	enum inlay_pixfmt format = request->format;
	if (format != INLAY_PIX_I420 && format != INLAY_PIX_BGR24 && format != INLAY_PIX_GRAY8)
		return il_fail(err, INLAY_ERR_INVALID, "%s: cannot decode into %s, expected i420, bgr24 or gray8", name,
		               il_pixfmt_name(format));
	if (size > MAX_BYTES)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: is %zu bytes, expected at most %zu", name, size,
		               MAX_BYTES);
	enum AVCodecID id = recognise(data, size);
	if (id == AV_CODEC_ID_NONE)
		return fail_unknown(name, size, err);
	if (id == AV_CODEC_ID_MJPEG)
		return decode_jpeg(data, size, request, frame, err);
	return decode_other(id, data, size, request, frame, err);
}

enum inlay_err il_image_decode(const uint8_t *data, size_t size, const char *name, enum inlay_pixfmt format,
                               struct inlay_frame **frame, struct inlay_error *err)
{
	return decode(data, size, &(const struct request){ name, format }, frame, err);
}

enum inlay_err il_image_read(const char *path, enum inlay_pixfmt format, struct inlay_frame **frame,
                             struct inlay_error *err)
{
	return il_image_read_sized(path, format, 0, 0, frame, err);
}

enum inlay_err il_image_read_sized(const char *path, enum inlay_pixfmt format, int width, int height,
                                   struct inlay_frame **frame, struct inlay_error *err)
{
	const struct request request = { path, format, width, height };
	struct il_bytes bytes;
	enum inlay_err rc = il_file_read(path, MAX_BYTES, &bytes, err);
	if (rc)
		return rc;
	rc = decode(bytes.data, bytes.size, &request, frame, err);
	il_bytes_destroy(&bytes);
	return rc;
}

static unsigned get32(const uint8_t *at)
{
	return (unsigned)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

/* Signature, length and name of the IHDR chunk, width, height. */
static enum inlay_err png_size(const uint8_t *data, size_t size, const char *path, int *width, int *height,
                               struct inlay_error *err)
{
	if (size < 24 || memcmp(data + 12, "IHDR", 4))
		return il_fail(err, INLAY_ERR_FORMAT, "%s: PNG without its header chunk", path);
	unsigned w = get32(data + 16), h = get32(data + 20);
	if (!w || !h || w > MAX_SIDE || h > MAX_SIDE)
		return il_fail(err, w && h ? INLAY_ERR_UNSUPPORTED : INLAY_ERR_FORMAT,
		               "%s: is %ux%u pixels, expected 1..%d each way", path, w, h, MAX_SIDE);
	*width = (int)w;
	*height = (int)h;
	return INLAY_OK;
}

static void warn_of_orientation(const uint8_t *data, size_t size, const char *path)
{
	unsigned orientation = il_exif_orientation(data, size);
	if (orientation > 1)
		il_log_warn("%s: its EXIF orientation, %u, is ignored: the picture is taken as it is stored", path,
		            orientation);
}

static enum inlay_err jpeg_size(const uint8_t *data, size_t size, const char *path, int *width, int *height,
                                struct inlay_error *err)
{
	enum inlay_err rc = il_jpeg_size(data, size, path, width, height, err);
	if (!rc)
		warn_of_orientation(data, size, path);
	return rc;
}

/* For the kinds whose headers are not read here. */
static enum inlay_err decoded_size(const struct il_bytes *bytes, const char *path, int *width, int *height,
                                   struct inlay_error *err)
{
	struct inlay_frame *frame;
	enum inlay_err rc = il_image_decode(bytes->data, bytes->size, path, INLAY_PIX_BGR24, &frame, err);
	if (rc)
		return rc;
	*width = inlay_frame_info(frame)->width;
	*height = inlay_frame_info(frame)->height;
	inlay_frame_destroy(&frame);
	return INLAY_OK;
}

enum inlay_err il_image_size(const char *path, int *width, int *height, struct inlay_error *err)
{
	struct il_bytes bytes;
	enum inlay_err rc = il_file_read(path, MAX_BYTES, &bytes, err);
	if (rc)
		return rc;
	enum AVCodecID id = recognise(bytes.data, bytes.size);
	if (id == AV_CODEC_ID_NONE)
		rc = fail_unknown(path, bytes.size, err);
	else if (id == AV_CODEC_ID_MJPEG)
		rc = jpeg_size(bytes.data, bytes.size, path, width, height, err);
	else if (id == AV_CODEC_ID_PNG)
		rc = png_size(bytes.data, bytes.size, path, width, height, err);
	else
		rc = decoded_size(&bytes, path, width, height, err);
	il_bytes_destroy(&bytes);
	return rc;
}
