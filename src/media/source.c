#include "media/source.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/hwcontext.h>
#include <libavutil/pixdesc.h>
#include <libyuv.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "media/image.h"
#include "media/libav.h"
#include "media/picture.h"

#define MAX_SIDE 32767
#define MAX_FPS_TERM 100000
#define MAX_THREADS 8 /* a frame of memory and of delay each */
#define PIPE_BUFFER 65536
#define WAIT_MS 50 /* between two looks at `cancelled` */

struct il_source {
	struct il_source_info info;
	struct il_source_params params;
	char *path;
	AVFormatContext *format;
	AVIOContext *pipe; /* of standard input */
	int stream;
	AVCodecContext *decoder;
	AVBufferRef *device; /* NULL: the processor decodes */
	AVPacket *packet;
	AVFrame *frame, *fetched; /* fetched: out of the device */
	struct il_picture_converter converter;
	struct il_frame_pool *pool;
	struct inlay_frame *lying; /* before it is turned; NULL where nothing is, or libyuv turns what libav decoded */
	struct inlay_frame *still; /* of a picture */
	int coded_width, coded_height;
	bool pending;        /* `frame` is decoded and not given out yet */
	bool given, drained; /* given: the first frame is out, or the picture */
	int64_t last_pts, packets;
	int64_t piped, packet_end; /* bytes of the pipe: read, and up to the end of the last packet */
	struct il_source_loss loss;
	char text[256];
};

static bool is_cancelled(const struct il_source *s)
{
	return s->params.cancelled && s->params.cancelled(s->params.cancel_ctx);
}

/* ---- where it comes from ---- */

/* libavio's read: waits for the pipe in small steps. */
static int read_pipe(void *opaque, uint8_t *to, int size)
{
	struct il_source *s = opaque;
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	while (!is_cancelled(s)) {
		if (poll(&in, 1, WAIT_MS) <= 0)
			continue;
		ssize_t n = read(STDIN_FILENO, to, (size_t)size);
		s->piped += n > 0 ? n : 0;
		return n > 0 ? (int)n : n == 0 ? AVERROR_EOF : AVERROR(errno);
	}
	return AVERROR_EXIT;
}

static enum inlay_err open_pipe(struct il_source *s, struct inlay_error *err)
{
	uint8_t *buffer = av_malloc(PIPE_BUFFER);
	s->pipe = buffer ? avio_alloc_context(buffer, PIPE_BUFFER, 0, s, read_pipe, NULL, NULL) : NULL;
	s->format = s->pipe ? avformat_alloc_context() : NULL;
	if (!s->format) {
		if (!s->pipe)
			av_free(buffer);
		return il_fail_memory(err);
	}
	s->format->pb = s->pipe;
	int ret = avformat_open_input(&s->format, "standard input", av_find_input_format("yuv4mpegpipe"), NULL);
	if (ret >= 0)
		ret = avformat_find_stream_info(s->format, NULL);
	if (is_cancelled(s))
		return il_fail(err, INLAY_ERR_CANCELLED, "cancelled");
	return ret < 0 ? il_fail_av(err, ret,
	                            "standard input: expected y4m, as `ffmpeg -i IN -f yuv4mpegpipe -` writes it")
	               : INLAY_OK;
}

static enum inlay_err open_camera(struct il_source *s, struct inlay_error *err)
{
	enum inlay_err rc = il_libav_devices(err);
	if (rc)
		return rc;
	const AVInputFormat *v4l2 = av_find_input_format("video4linux2,v4l2");
	if (!v4l2)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: this libav has no Video4Linux", s->path);
	s->format = avformat_alloc_context();
	if (!s->format)
		return il_fail_memory(err);
	s->format->flags |= AVFMT_FLAG_NONBLOCK; /* a camera that is silent can be left */
	AVDictionary *options = NULL;
	char rate[32];
	snprintf(rate, sizeof rate, "%d/%d", s->params.fps.num, s->params.fps.den);
	if (s->params.fps.num > 0)
		av_dict_set(&options, "framerate", rate, 0);
	int ret = avformat_open_input(&s->format, s->path, v4l2, &options);
	av_dict_free(&options);
	return ret < 0 ? il_fail_av(err, ret, "%s: is no camera that can be opened", s->path) : INLAY_OK;
}

static bool is_camera(const char *path)
{
	return !strncmp(path, "/dev/video", strlen("/dev/video"));
}

/* What a file without video does hold. */
static enum inlay_err fail_without_video(const struct il_source *s, struct inlay_error *err)
{
	const char *kind = NULL, *codec = "";
	for (unsigned i = 0; i < s->format->nb_streams && !kind; i++) {
		const AVCodecParameters *codecpar = s->format->streams[i]->codecpar;
		kind = av_get_media_type_string(codecpar->codec_type);
		codec = avcodec_get_name(codecpar->codec_id);
	}
	return kind ? il_fail(err, INLAY_ERR_FORMAT, "%s: holds no video, only %s (%s)", s->path, kind, codec)
	            : il_fail(err, INLAY_ERR_FORMAT, "%s: holds no video", s->path);
}

static enum inlay_err open_input(struct il_source *s, struct inlay_error *err)
{
	const int pictures = AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS;
	enum inlay_err rc = !strcmp(s->path, "-") ? open_pipe(s, err)
	                    : is_camera(s->path)  ? open_camera(s, err)
	                                          : il_libav_open(&s->format, s->path, "video", err);
	if (rc)
		return rc;
	s->stream = -1;
	for (unsigned i = 0; i < s->format->nb_streams; i++) {
		AVStream *stream = s->format->streams[i];
		if (s->stream < 0 && stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
		    !(stream->disposition & pictures))
			s->stream = (int)i;
		else
			stream->discard = AVDISCARD_ALL;
	}
	return s->stream < 0 ? fail_without_video(s, err) : INLAY_OK;
}

static void close_input(struct il_source *s)
{
	avformat_close_input(&s->format);
	if (s->pipe)
		av_freep(&s->pipe->buffer);
	avio_context_free(&s->pipe);
}

/* ---- the decoder ---- */

static enum AVPixelFormat choose_cuda(AVCodecContext *decoder, const enum AVPixelFormat *offered)
{
	for (const enum AVPixelFormat *p = offered; *p != AV_PIX_FMT_NONE; p++)
		if (*p == AV_PIX_FMT_CUDA)
			return *p;
	return avcodec_default_get_format(decoder, offered);
}

static bool decodes_on_cuda(const AVCodec *codec)
{
	const AVCodecHWConfig *config;
	for (int i = 0; (config = avcodec_get_hw_config(codec, i)); i++)
		if (config->device_type == AV_HWDEVICE_TYPE_CUDA &&
		    (config->methods & AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX))
			return true;
	return false;
}

static void try_device(struct il_source *s, const AVCodec *codec)
{
	if (s->params.hwaccel == IL_HWACCEL_NONE)
		return;
	int ret = decodes_on_cuda(codec) ? av_hwdevice_ctx_create(&s->device, AV_HWDEVICE_TYPE_CUDA, NULL, NULL, 0)
	                                 : AVERROR(ENOSYS);
	if (ret >= 0) {
		s->decoder->hw_device_ctx = av_buffer_ref(s->device);
		s->decoder->get_format = choose_cuda;
	} else if (s->params.hwaccel == IL_HWACCEL_CUDA) {
		char why[AV_ERROR_MAX_STRING_SIZE] = { 0 };
		av_strerror(ret, why, sizeof why);
		il_log_warn("%s: cuda does not decode here (%s), the processor does", s->path, why);
	}
}

static enum inlay_err open_decoder(struct il_source *s, struct inlay_error *err)
{
	const AVStream *stream = s->format->streams[s->stream];
	const char *name = avcodec_get_name(stream->codecpar->codec_id);
	const AVCodec *codec = avcodec_find_decoder(stream->codecpar->codec_id);
	if (!codec)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: no decoder for %s in this libav", s->path, name);
	s->decoder = avcodec_alloc_context3(codec);
	s->packet = av_packet_alloc();
	s->frame = av_frame_alloc();
	s->fetched = av_frame_alloc();
	if (!s->decoder || !s->packet || !s->frame || !s->fetched)
		return il_fail_memory(err);
	int ret = avcodec_parameters_to_context(s->decoder, stream->codecpar);
	if (ret >= 0) {
		unsigned threads = s->params.threads ? s->params.threads : il_cpu_count();
		s->decoder->thread_count = (int)(threads < MAX_THREADS ? threads : MAX_THREADS);
		s->decoder->pkt_timebase = stream->time_base;
		try_device(s, codec);
		ret = avcodec_open2(s->decoder, codec, NULL);
	}
	s->info.codec = name;
	return ret < 0 ? il_fail_av(err, ret, "%s: cannot start the %s decoder", s->path, name) : INLAY_OK;
}

/* Leaves the next packet of the video in s->packet. A file that breaks off is one that ends, and is remembered. */
static enum inlay_err read_packet(struct il_source *s, struct inlay_error *err)
{
	for (;;) {
		av_packet_unref(s->packet);
		int ret = av_read_frame(s->format, s->packet);
		if (is_cancelled(s))
			return il_fail(err, INLAY_ERR_CANCELLED, "cancelled");
		if (ret == AVERROR(EAGAIN)) {
			poll(NULL, 0, WAIT_MS / 10);
			continue;
		}
		if (ret < 0) {
			s->loss.truncated |= ret != AVERROR_EOF;
			return INLAY_EOF;
		}
		if (s->packet->stream_index != s->stream || !s->packet->size)
			continue;
		s->packets++;
		s->packet_end = s->packet->pos + s->packet->size;
		return INLAY_OK;
	}
}

static enum inlay_err feed(struct il_source *s, struct inlay_error *err)
{
	enum inlay_err rc = read_packet(s, err);
	if (il_is_fault(rc))
		return rc;
	s->loss.truncated |= !rc && (s->packet->flags & AV_PKT_FLAG_CORRUPT);
	int ret = avcodec_send_packet(s->decoder, rc == INLAY_EOF ? NULL : s->packet);
	av_packet_unref(s->packet);
	if (ret == AVERROR(ENOMEM))
		return il_fail_memory(err);
	s->loss.skipped += ret < 0 && ret != AVERROR_EOF;
	return INLAY_OK;
}

/* The next frame in s->frame, in host memory. */
static enum inlay_err decode(struct il_source *s, struct inlay_error *err)
{
	for (;;) {
		int ret = avcodec_receive_frame(s->decoder, s->frame);
		if (ret == AVERROR_EOF)
			return INLAY_EOF;
		if (ret == AVERROR(ENOMEM))
			return il_fail_memory(err);
		if (ret >= 0)
			break;
		s->loss.skipped += ret != AVERROR(EAGAIN);
		enum inlay_err rc = feed(s, err);
		if (rc)
			return rc;
	}
	if (s->frame->format != AV_PIX_FMT_CUDA)
		return INLAY_OK;
	av_frame_unref(s->fetched);
	int ret = av_hwframe_transfer_data(s->fetched, s->frame, 0);
	if (ret >= 0)
		ret = av_frame_copy_props(s->fetched, s->frame);
	if (ret < 0)
		return il_fail_av(err, ret, "%s: a frame cannot be fetched from the device", s->path);
	av_frame_unref(s->frame);
	av_frame_move_ref(s->frame, s->fetched);
	return INLAY_OK;
}

/* ---- what is learnt from the first frame ---- */

static const int32_t *display_matrix(const AVStream *stream)
{
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
	const AVPacketSideData *data = av_packet_side_data_get(
		stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
	return data ? (const int32_t *)data->data : NULL;
#else
	return (const int32_t *)av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, NULL);
#endif
}

/* Degrees clockwise that make the picture upright. */
static int rotation_of(const struct il_source *s)
{
	const int32_t *matrix = display_matrix(s->format->streams[s->stream]);
	double turned = matrix ? -av_display_rotation_get(matrix) : 0;
	int quarters = isnan(turned) ? 0 : (int)lrint(turned / 90);
	if (!isnan(turned) && fabs(turned - 90 * quarters) > 1)
		il_log_warn("%s: asks to be turned by %.0f degrees; only quarter turns are made", s->path, turned);
	return (quarters % 4 + 4) % 4 * 90;
}

static struct inlay_rational rate_of(const AVStream *stream)
{
	AVRational fps = stream->avg_frame_rate.num > 0 ? stream->avg_frame_rate : stream->r_frame_rate;
	av_reduce(&fps.num, &fps.den, fps.num, fps.den, MAX_FPS_TERM);
	if (fps.num <= 0 || fps.den <= 0)
		fps = (AVRational){ 25, 1 };
	return (struct inlay_rational){ fps.num, fps.den };
}

static int64_t expected_frames(const struct il_source *s)
{
	const AVStream *stream = s->format->streams[s->stream];
	if (s->info.live)
		return -1;
	if (stream->nb_frames > 0)
		return stream->nb_frames;
	double seconds = stream->duration > 0      ? (double)stream->duration * av_q2d(stream->time_base)
	                 : s->format->duration > 0 ? (double)s->format->duration / AV_TIME_BASE
	                                           : -1;
	return seconds < 0 ? -1 : llrint(seconds * s->info.fps.num / s->info.fps.den);
}

static void describe(struct il_source *s)
{
	const struct inlay_frame_info *f = &s->info.frame;
	char turned[32] = "", depth[32] = "";
	if (s->info.rotation)
		snprintf(turned, sizeof turned, ", turned by %d", s->info.rotation);
	if (s->info.bit_depth > 8)
		snprintf(depth, sizeof depth, ", %d bits brought down to 8", s->info.bit_depth);
	if (s->info.picture)
		snprintf(s->text, sizeof s->text, "picture %dx%d", f->width, f->height);
	else
		snprintf(s->text, sizeof s->text, "%s %dx%d at %.4g fps%s%s, decoded by %s", s->info.codec, f->width,
		         f->height, (double)s->info.fps.num / s->info.fps.den, turned, depth,
		         s->device ? "cuda" : "the processor");
}

static enum inlay_err learn(struct il_source *s, struct inlay_error *err)
{
	const AVStream *stream = s->format->streams[s->stream];
	const AVFrame *frame = s->frame;
	const AVPixFmtDescriptor *pixels = av_pix_fmt_desc_get(frame->format);
	struct il_source_info *info = &s->info;
	if (frame->width < 1 || frame->height < 1 || frame->width > MAX_SIDE || frame->height > MAX_SIDE)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: frames of %dx%d, expected 1..%d each way", s->path,
		               frame->width, frame->height, MAX_SIDE);
	s->coded_width = frame->width;
	s->coded_height = frame->height;
	info->live = s->pipe || is_camera(s->path);
	info->rotation = rotation_of(s);
	info->fps = rate_of(stream);
	info->timebase = (struct inlay_rational){ stream->time_base.num, stream->time_base.den };
	info->frames = expected_frames(s);
	info->has_streams = !info->live &&
	                    (s->format->nb_streams > 1 || s->format->nb_chapters || av_dict_count(s->format->metadata));
	info->bit_depth = pixels ? pixels->comp[0].depth : 8;
	const bool sideways = info->rotation % 180;
	info->frame = (struct inlay_frame_info){ .format = s->params.alpha ? INLAY_PIX_YUVA420P : INLAY_PIX_I420,
		                                 .width = sideways ? frame->height : frame->width,
		                                 .height = sideways ? frame->width : frame->height,
		                                 .colour = il_picture_colour(frame) };
	if (info->bit_depth > 8)
		il_log_info("%s: has %d bits a sample, 8 of them are used", s->path, info->bit_depth);
	struct inlay_frame_info lying = { INLAY_PIX_I420, frame->width, frame->height, info->frame.colour };
	enum inlay_err rc = il_frame_pool_create(&s->pool, &info->frame, err);
	return rc || !info->rotation ? rc : il_frame_create(&s->lying, &lying, err);
}

/* ---- pictures ---- */

static enum inlay_err open_picture(struct il_source *s, struct inlay_error *err)
{
	enum inlay_err rc = il_image_read_upright(s->path, &s->still, err);
	if (rc)
		return rc;
	s->info.frame = *inlay_frame_info(s->still);
	s->info.timebase = (struct inlay_rational){ 1, 25 };
	s->info.fps = (struct inlay_rational){ 25, 1 };
	s->info.frames = 1;
	s->info.picture = true;
	s->info.bit_depth = 8;
	s->info.codec = "picture";
	if (s->params.alpha)
		s->info.frame.format = INLAY_PIX_BGR24A8;
	return il_frame_pool_create(&s->pool, &s->info.frame, err);
}

static enum inlay_err give_picture(struct il_source *s, struct inlay_frame **out, struct inlay_error *err)
{
	struct inlay_planes from, to;
	if (s->given)
		return INLAY_EOF;
	enum inlay_err rc = il_frame_pool_take(s->pool, out, err);
	if (rc)
		return rc;
	inlay_frame_map(s->still, &from);
	inlay_frame_map(*out, &to);
	CopyPlane(from.data[0], (int)from.stride[0], to.data[0], (int)to.stride[0], 3 * s->info.frame.width,
	          s->info.frame.height);
	inlay_frame_unmap(*out);
	inlay_frame_unmap(s->still);
	il_frame_set_pts(*out, 0);
	s->given = true;
	return INLAY_OK;
}

/* ---- frames ---- */

static void turn(const struct il_source *s, const uint8_t *const data[3], const ptrdiff_t stride[3],
                 const struct inlay_frame *to)
{
	struct inlay_planes planes;
	inlay_frame_map(to, &planes);
	I420Rotate(data[0], (int)stride[0], data[1], (int)stride[1], data[2], (int)stride[2], planes.data[0],
	           (int)planes.stride[0], planes.data[1], (int)planes.stride[1], planes.data[2], (int)planes.stride[2],
	           s->coded_width, s->coded_height, (enum RotationMode)s->info.rotation);
	inlay_frame_unmap(to);
}

static enum inlay_err fill(struct il_source *s, const struct inlay_frame *to, struct inlay_error *err)
{
	const AVFrame *from = s->frame;
	if (!s->info.rotation)
		return il_picture_convert(&s->converter, from, to, s->path, err);
	if (from->format == AV_PIX_FMT_YUV420P || from->format == AV_PIX_FMT_YUVJ420P) {
		turn(s, (const uint8_t *const[]){ from->data[0], from->data[1], from->data[2] },
		     (const ptrdiff_t[]){ from->linesize[0], from->linesize[1], from->linesize[2] }, to);
		return INLAY_OK;
	}
	struct inlay_planes planes;
	enum inlay_err rc = il_picture_convert(&s->converter, from, s->lying, s->path, err);
	inlay_frame_map(s->lying, &planes);
	if (!rc)
		turn(s, (const uint8_t *const *)planes.data, planes.stride, to);
	inlay_frame_unmap(s->lying);
	return rc;
}

/* Times rise strictly: a frame without one comes a frame's time after the last, one that is late a tick after it. */
static int64_t time_of(struct il_source *s)
{
	int64_t pts = s->frame->best_effort_timestamp;
	const struct inlay_rational *fps = &s->info.fps, *base = &s->info.timebase;
	if (pts == AV_NOPTS_VALUE)
		pts = !s->given ? 0
		                : s->last_pts +
		                          av_rescale(1, (int64_t)fps->den * base->den, (int64_t)fps->num * base->num);
	if (s->given && pts <= s->last_pts)
		pts = s->last_pts + 1;
	return s->last_pts = pts;
}

static enum inlay_err deliver(struct il_source *s, struct inlay_frame **out, struct inlay_error *err)
{
	if (s->frame->width != s->coded_width || s->frame->height != s->coded_height)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: the size changes from %dx%d to %dx%d on the way",
		               s->path, s->coded_width, s->coded_height, s->frame->width, s->frame->height);
	struct inlay_frame *frame = NULL;
	enum inlay_err rc = il_frame_pool_take(s->pool, &frame, err);
	if (!rc)
		rc = fill(s, frame, err);
	if (rc) {
		inlay_frame_destroy(&frame);
		return rc;
	}
	s->loss.damaged += il_picture_damaged(s->frame);
	il_frame_set_pts(frame, time_of(s));
	s->given = true;
	*out = frame;
	return INLAY_OK;
}

/* Seconds at which the stream's own tag says that it ends (Matroska); -1 without one. */
static double tagged_end(const AVStream *stream)
{
	const AVDictionaryEntry *tag = av_dict_get(stream->metadata, "DURATION", NULL, 0);
	int hours, minutes;
	double seconds;
	if (!tag || sscanf(tag->value, "%d:%d:%lf", &hours, &minutes, &seconds) != 3)
		return -1;
	return hours * 3600.0 + minutes * 60.0 + seconds;
}

/* At the end: did the container promise more? */
static void note_end(struct il_source *s)
{
	const AVStream *stream = s->format->streams[s->stream];
	const double frame_s = (double)s->info.fps.den / s->info.fps.num;
	const double shown_until = (double)s->last_pts * av_q2d(stream->time_base) + frame_s;
	s->drained = true;
	if (s->pipe && s->piped > s->packet_end) /* part of a frame is left */
		s->loss.truncated = true;
	if (s->info.live)
		return;
	if (stream->nb_frames > 0 && s->packets < stream->nb_frames)
		s->loss.truncated = true;
	if (tagged_end(stream) > shown_until + 2 * frame_s)
		s->loss.truncated = true;
}

enum inlay_err il_source_read(struct il_source *s, struct inlay_frame **frame, struct inlay_error *err)
{
	if (s->still)
		return give_picture(s, frame, err);
	enum inlay_err rc = s->drained ? INLAY_EOF : s->pending ? INLAY_OK : decode(s, err);
	s->pending = false;
	if (rc == INLAY_EOF && !s->drained)
		note_end(s);
	return rc ? rc : deliver(s, frame, err);
}

enum inlay_err il_source_rewind(struct il_source *s, struct inlay_error *err)
{
	if (s->info.live)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: can be read once only", s->path);
	s->given = s->drained = s->pending = false;
	s->packets = 0;
	if (s->still)
		return INLAY_OK;
	avcodec_flush_buffers(s->decoder);
	close_input(s);
	return open_input(s, err);
}

/* ---- open and close ---- */

static enum inlay_err start(struct il_source *s, struct inlay_error *err)
{
	il_libav_init();
	if (strcmp(s->path, "-") != 0 && !is_camera(s->path) && il_image_is(s->path))
		return open_picture(s, err);
	enum inlay_err rc = open_input(s, err);
	if (!rc)
		rc = open_decoder(s, err);
	if (!rc)
		rc = decode(s, err);
	if (rc == INLAY_EOF)
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: no frame of its %s video decodes", s->path, s->info.codec);
	s->pending = !rc;
	return rc ? rc : learn(s, err);
}

enum inlay_err il_source_open(struct il_source **out, const struct il_source_params *params, struct inlay_error *err)
{
	*out = NULL;
	struct il_source *s = calloc(1, sizeof *s);
	if (!s || !(s->path = strdup(params->path))) {
		free(s);
		return il_fail_memory(err);
	}
	s->params = *params;
	s->params.path = s->path;
	enum inlay_err rc = start(s, err);
	if (rc) {
		il_source_destroy(&s);
		return rc;
	}
	describe(s);
	*out = s;
	return INLAY_OK;
}

void il_source_destroy(struct il_source **slot)
{
	struct il_source *s = *slot;
	*slot = NULL;
	if (!s)
		return;
	inlay_frame_destroy(&s->still);
	inlay_frame_destroy(&s->lying);
	il_frame_pool_destroy(&s->pool);
	il_picture_converter_clear(&s->converter);
	av_frame_free(&s->fetched);
	av_frame_free(&s->frame);
	av_packet_free(&s->packet);
	avcodec_free_context(&s->decoder);
	av_buffer_unref(&s->device);
	close_input(s);
	free(s->path);
	free(s);
}

const struct il_source_info *il_source_info(const struct il_source *s)
{
	return &s->info;
}

void il_source_loss(const struct il_source *s, struct il_source_loss *loss)
{
	*loss = s->loss;
}

const char *il_source_describe(const struct il_source *s)
{
	return s->text;
}
