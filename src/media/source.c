#include "media/source.h"

#include <libavcodec/avcodec.h>
#include <libavutil/display.h>
#include <libavutil/hwcontext.h>
#include <libyuv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "media/container_end.h"
#include "media/libav.h"
#include "media/picture.h"
#include "media/source_impl.h"

#define MAX_SIDE 32768
#define MAX_FAULTS 100 /* of a damaged container, before it is given up */
/* Timestamps that jump further are a mistake; the sound's reader thinks the same. */
#define MAX_AHEAD_S 600
#define MAX_BACK_S 1

struct il_source {
	struct il_source_info info;
	struct il_source_loss loss;
	char *path;
	const char *name; /* for messages */
	char description[160];
	struct il_frame_pool *pool;
	struct il_still still;
	bool still_given;

	struct il_live live;
	AVFormatContext *format;
	int stream;
	AVCodecContext *decoder;
	AVBufferRef *device;
	AVPacket *packet;
	AVFrame *frame, *host; /* host: the frame's pixels where a device decoded it */
	bool have_frame;
	bool breaks_off, ended;
	int faults;
	int64_t packet_end; /* of the last packet, in bytes of the input */
	bool damage_told;

	int64_t last_pts, pts_shift, pts_step; /* last_pts AV_NOPTS_VALUE: none yet */
	bool upside_down;                      /* to be flipped before it is turned */
	struct il_picture_converter converter;
	struct inlay_frame *unturned; /* scratch for turning what must be converted too */
};

/* "only audio (aac), subtitle (mov_text)" */
static enum inlay_err fail_no_video(const struct il_source *source, struct inlay_error *err)
{
	char found[256] = "nothing";
	size_t used = 0;
	for (unsigned i = 0; i < source->format->nb_streams && used < sizeof found; i++) {
		const AVCodecParameters *codec = source->format->streams[i]->codecpar;
		const char *type = av_get_media_type_string(codec->codec_type);
		if (codec->codec_type == AVMEDIA_TYPE_VIDEO)
			type = "a cover picture";
		used += (size_t)snprintf(found + used, sizeof found - used, "%s%s (%s)", used ? ", " : "only ",
		                         type ? type : "data", avcodec_get_name(codec->codec_id));
	}
	return il_fail(err, INLAY_ERR_FORMAT, "%s: holds no video stream, %s", source->name, found);
}

static enum inlay_err open_file(struct il_source *source, struct inlay_error *err)
{
	avformat_close_input(&source->format);
	enum inlay_err rc = il_libav_open(&source->format, source->path, "video", err);
	if (!rc)
		source->breaks_off = il_container_breaks_off(source->path, source->format->iformat->name);
	return rc;
}

static enum inlay_err choose_stream(struct il_source *source, struct inlay_error *err)
{
	source->stream = -1;
	for (unsigned i = 0; i < source->format->nb_streams; i++) {
		AVStream *stream = source->format->streams[i];
		if (source->stream < 0 && il_libav_shows(stream))
			source->stream = (int)i;
		else
			stream->discard = AVDISCARD_ALL;
	}
	return source->stream < 0 ? fail_no_video(source, err) : INLAY_OK;
}

static bool cuda_decodes(const AVCodec *codec)
{
	const AVCodecHWConfig *config;
	for (int i = 0; (config = avcodec_get_hw_config(codec, i)); i++)
		if (config->device_type == AV_HWDEVICE_TYPE_CUDA &&
		    (config->methods & AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX))
			return true;
	return false;
}

/* A decoder that has a device offers it to every stream that fits, and decodes the others in software. */
static enum inlay_err give_device(struct il_source *source, const AVCodec *codec, struct inlay_error *err)
{
	if (!cuda_decodes(codec) || av_hwdevice_ctx_create(&source->device, AV_HWDEVICE_TYPE_CUDA, NULL, NULL, 0) < 0)
		return INLAY_OK;
	source->decoder->hw_device_ctx = av_buffer_ref(source->device);
	return source->decoder->hw_device_ctx ? INLAY_OK : il_fail_memory(err);
}

static enum inlay_err open_decoder(struct il_source *source, const struct il_source_params *params,
                                   struct inlay_error *err)
{
	const AVStream *stream = source->format->streams[source->stream];
	const char *codec_name = avcodec_get_name(stream->codecpar->codec_id);
	const AVCodec *codec = avcodec_find_decoder(stream->codecpar->codec_id);
	if (!codec)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: no decoder for %s in this libav", source->name,
		               codec_name);
	source->info.codec = codec_name;
	source->decoder = avcodec_alloc_context3(codec);
	if (!source->decoder)
		return il_fail_memory(err);
	enum inlay_err rc = params->hwaccel == IL_HWACCEL_NONE ? INLAY_OK : give_device(source, codec, err);
	if (rc)
		return rc;
	int ret = avcodec_parameters_to_context(source->decoder, stream->codecpar);
	if (ret >= 0) {
		source->decoder->thread_count = il_libav_threads(params->threads);
		source->decoder->pkt_timebase = stream->time_base;
		ret = avcodec_open2(source->decoder, codec, NULL);
	}
	return ret < 0 ? il_fail_av(err, ret, "%s: cannot start the %s decoder", source->name, codec_name) : INLAY_OK;
}

static void tell_damage(struct il_source *source, const char *what)
{
	if (!source->damage_told)
		il_log_warn("%s: %s; what can be decoded is used", source->name, what);
	source->damage_told = true;
}

/* No more packets. A y4m frame that is cut short leaves bytes behind the last packet. */
static enum inlay_err end(struct il_source *source, int ret)
{
	bool cut = !strcmp(source->format->iformat->name, "yuv4mpegpipe") &&
	           avio_tell(source->format->pb) > source->packet_end;
	source->ended = true;
	source->loss.truncated = ret != AVERROR_EOF || cut || source->breaks_off;
	if (source->loss.truncated)
		tell_damage(source, "breaks off before its end");
	return INLAY_EOF;
}

/* Leaves the next packet of the video stream in source->packet. */
static enum inlay_err read_packet(struct il_source *source, struct inlay_error *err)
{
	AVFormatContext *format = source->format;
	while (!source->ended) {
		av_packet_unref(source->packet);
		int ret = av_read_frame(format, source->packet);
		if (ret < 0 && il_live_is_cancelled(&source->live))
			return il_fail(err, INLAY_ERR_CANCELLED, "cancelled while waiting for %s", source->name);
		if (ret == AVERROR(ENOMEM))
			return il_fail_memory(err);
		if (ret == AVERROR(EAGAIN)) {
			il_live_wait();
		} else if (ret == AVERROR_INVALIDDATA && format->pb && !avio_feof(format->pb) &&
		           source->faults++ < MAX_FAULTS) {
			source->loss.skipped++;
			tell_damage(source, "damaged data was skipped");
		} else if (ret < 0 && !format->pb) {
			source->ended = source->loss.truncated = true; /* unplugged: what was recorded is kept */
			tell_damage(source, "the camera gives no more frames");
		} else if (ret < 0) {
			return end(source, ret);
		} else if (source->packet->stream_index == source->stream && source->packet->size) {
			source->packet_end = format->pb ? avio_tell(format->pb) : 0;
			return INLAY_OK;
		}
	}
	return INLAY_EOF;
}

static enum inlay_err feed_decoder(struct il_source *source, struct inlay_error *err)
{
	enum inlay_err rc = read_packet(source, err);
	if (il_is_fault(rc))
		return rc;
	int ret = avcodec_send_packet(source->decoder, rc == INLAY_EOF ? NULL : source->packet);
	av_packet_unref(source->packet);
	if (ret == AVERROR(ENOMEM))
		return il_fail_memory(err);
	if (ret < 0 && ret != AVERROR_EOF) {
		source->loss.skipped++;
		tell_damage(source, "a damaged packet was skipped");
	}
	return INLAY_OK;
}

/* Decodes into source->frame. */
static enum inlay_err decode(struct il_source *source, struct inlay_error *err)
{
	for (;;) {
		int ret = avcodec_receive_frame(source->decoder, source->frame);
		if (ret >= 0)
			break;
		if (ret == AVERROR_EOF)
			return INLAY_EOF;
		if (ret == AVERROR(ENOMEM))
			return il_fail_memory(err);
		if (ret != AVERROR(EAGAIN)) {
			source->loss.skipped++;
			tell_damage(source, "a damaged packet was skipped");
		}
		enum inlay_err rc = feed_decoder(source, err);
		if (rc)
			return rc;
	}
	if (source->frame->decode_error_flags || (source->frame->flags & AV_FRAME_FLAG_CORRUPT)) {
		source->loss.damaged++;
		tell_damage(source, "a picture is damaged");
	}
	source->have_frame = true;
	return INLAY_OK;
}

/* The decoded frame, with pixels that the processor can read. */
static enum inlay_err fetch(struct il_source *source, const AVFrame **picture, struct inlay_error *err)
{
	AVFrame *frame = source->frame, *host = source->host;
	*picture = frame;
	if (!frame->hw_frames_ctx)
		return INLAY_OK;
	int ret = av_hwframe_transfer_data(host, frame, 0);
	if (ret < 0)
		return il_fail_av(err, ret, "%s: cannot fetch a frame from the device that decodes", source->name);
	/* av_frame_copy_props would gather side data without end. */
	host->colorspace = frame->colorspace;
	host->color_range = frame->color_range;
	host->color_primaries = frame->color_primaries;
	host->color_trc = frame->color_trc;
	*picture = host;
	return INLAY_OK;
}

static const uint8_t *display_matrix(const AVStream *stream, size_t *size)
{
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
	const AVPacketSideData *data = av_packet_side_data_get(
		stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
	*size = data ? data->size : 0;
	return data ? data->data : NULL;
#else
	return av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, size);
#endif
}

/* A matrix of the display takes the stored x axis to (m[0], m[1]), y growing downwards, whatever it does to the y axis:
 * so a mirrored one is a flip upside down, then a turn. */
static void learn_rotation(struct il_source *source)
{
	size_t size = 0;
	const AVStream *stream = source->format->streams[source->stream];
	const uint8_t *data = display_matrix(stream, &size);
	int32_t m[9];
	if (!data || size < sizeof m)
		return;
	memcpy(m, data, sizeof m);
	source->upside_down = (double)m[0] * m[4] - (double)m[1] * m[3] < 0;
	double degrees = atan2(m[1], m[0]) * (180 / 3.14159265358979323846);
	int quarters = (int)lrint(degrees / 90);
	if (fabs(degrees - 90 * quarters) > 1)
		il_log_warn("%s: its rotation tag of %.1f degrees is rounded to quarter turns", source->name, degrees);
	source->info.rotation = (quarters & 3) * 90;
}

/* Tags that a user would miss; what muxers write of themselves is none. */
static bool has_tags(const AVDictionary *tags)
{
	static const char *const technical[] = { "major_brand", "minor_version", "compatible_brands", "encoder" };
	for (const AVDictionaryEntry *tag = NULL; (tag = av_dict_get(tags, "", tag, AV_DICT_IGNORE_SUFFIX));) {
		bool known = false;
		for (size_t i = 0; i < sizeof technical / sizeof *technical; i++)
			known |= !strcasecmp(tag->key, technical[i]);
		if (!known)
			return true;
	}
	return false;
}

static int64_t estimate_frames(const struct il_source *source)
{
	const AVStream *stream = source->format->streams[source->stream];
	double fps = (double)source->info.fps.num / source->info.fps.den, seconds = 0;
	if (stream->nb_frames > 0)
		return stream->nb_frames;
	if (stream->duration > 0)
		seconds = (double)stream->duration * av_q2d(stream->time_base);
	else if (source->format->duration > 0)
		seconds = (double)source->format->duration / AV_TIME_BASE;
	double frames = seconds * fps + 0.5;
	return frames >= 1 && frames < 1e15 ? (int64_t)frames : -1;
}

/* What the container tells, and what only a decoded picture tells for sure. */
static enum inlay_err learn_info(struct il_source *source, bool alpha, struct inlay_error *err)
{
	const AVStream *stream = source->format->streams[source->stream];
	struct il_source_info *info = &source->info;
	const AVFrame *picture;
	enum inlay_err rc = fetch(source, &picture, err);
	if (rc)
		return rc;
	if (picture->width < 1 || picture->height < 1 || picture->width > MAX_SIDE || picture->height > MAX_SIDE)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: frames of %dx%d, expected 1..%d each way", source->name,
		               picture->width, picture->height, MAX_SIDE);
	learn_rotation(source);
	bool lying = info->rotation % 180 != 0;
	info->frame = (struct inlay_frame_info){ .format = alpha ? INLAY_PIX_YUVA420P : INLAY_PIX_I420,
		                                 .width = lying ? picture->height : picture->width,
		                                 .height = lying ? picture->width : picture->height,
		                                 .colour = il_picture_colour(picture) };
	info->bit_depth = il_picture_depth(picture);
	info->fps = il_libav_rate(stream);
	info->timebase = (struct inlay_rational){ stream->time_base.num, stream->time_base.den };
	double step = 1 / (av_q2d(stream->time_base) * info->fps.num / info->fps.den);
	source->pts_step = step > 1 ? llrint(step) : 1;
	info->frames = info->live ? -1 : estimate_frames(source);
	info->has_streams = !info->live && (source->format->nb_streams > 1 || source->format->nb_chapters ||
	                                    has_tags(source->format->metadata));
	if (info->bit_depth > 8)
		il_log_warn("%s: %d-bit input is processed in 8 bits", source->name, info->bit_depth);
	return INLAY_OK;
}

static void describe_video(struct il_source *source, enum il_hwaccel wanted)
{
	const struct il_source_info *info = &source->info;
	bool device = source->frame->hw_frames_ctx;
	if (wanted == IL_HWACCEL_CUDA && !device)
		il_log_warn("%s: CUDA does not decode this %s here; the processor does", source->name, info->codec);
	char turn[48] = "";
	if (info->rotation || source->upside_down)
		snprintf(turn, sizeof turn, "%s, turned by %d", source->upside_down ? ", flipped" : "", info->rotation);
	snprintf(source->description, sizeof source->description, "%s %dx%d at %.5g fps%s, decoded %s", info->codec,
	         info->frame.width, info->frame.height, (double)info->fps.num / info->fps.den, turn,
	         device ? "by cuda" : "in software");
}

static enum inlay_err start_video(struct il_source *source, const struct il_source_params *params,
                                  struct inlay_error *err)
{
	source->packet = av_packet_alloc();
	source->frame = av_frame_alloc();
	source->host = av_frame_alloc();
	if (!source->packet || !source->frame || !source->host)
		return il_fail_memory(err);
	source->last_pts = AV_NOPTS_VALUE;
	source->info.live = il_is_live(source->path);
	enum inlay_err rc =
		source->info.live ? il_live_open(&source->live, &source->format, params, err) : open_file(source, err);
	if (!rc)
		rc = choose_stream(source, err);
	if (!rc)
		rc = open_decoder(source, params, err);
	if (!rc)
		rc = decode(source, err);
	if (rc == INLAY_EOF)
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: no frame of its %s video decodes", source->name,
		             source->info.codec);
	if (!rc)
		rc = learn_info(source, params->alpha, err);
	if (!rc)
		describe_video(source, params->hwaccel);
	return rc;
}

static void start_picture(struct il_source *source, bool alpha)
{
	struct il_source_info *info = &source->info;
	info->frame = *inlay_frame_info(source->still.frame);
	info->frame.format = alpha ? INLAY_PIX_BGR24A8 : INLAY_PIX_BGR24;
	info->fps = (struct inlay_rational){ 25, 1 };
	info->timebase = (struct inlay_rational){ 1, 25 };
	info->frames = 1;
	info->picture = true;
	info->rotation = source->still.rotation;
	info->bit_depth = 8;
	info->codec = source->still.codec;
	snprintf(source->description, sizeof source->description, "%s picture %dx%d", info->codec, info->frame.width,
	         info->frame.height);
}

static enum inlay_err start(struct il_source *source, const struct il_source_params *params, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	if (!il_is_live(source->path))
		rc = il_still_read(&source->still, source->path, err);
	if (!rc && source->still.frame)
		start_picture(source, params->alpha);
	else if (!rc)
		rc = start_video(source, params, err);
	return rc ? rc : il_frame_pool_create(&source->pool, &source->info.frame, err);
}

enum inlay_err il_source_open(struct il_source **out, const struct il_source_params *params, struct inlay_error *err)
{
	struct il_source *source = calloc(1, sizeof *source);
	if (!source || !(source->path = strdup(params->path))) {
		free(source);
		return il_fail_memory(err);
	}
	source->name = strcmp(source->path, "-") ? source->path : "standard input";
	enum inlay_err rc = start(source, params, err);
	if (rc) {
		il_source_destroy(&source);
		return rc;
	}
	*out = source;
	return INLAY_OK;
}

void il_source_destroy(struct il_source **slot)
{
	struct il_source *source = *slot;
	if (!source)
		return;
	*slot = NULL;
	il_picture_converter_clear(&source->converter);
	inlay_frame_destroy(&source->unturned);
	inlay_frame_destroy(&source->still.frame);
	il_frame_pool_destroy(&source->pool);
	av_frame_free(&source->host);
	av_frame_free(&source->frame);
	av_packet_free(&source->packet);
	avcodec_free_context(&source->decoder);
	av_buffer_unref(&source->device);
	avformat_close_input(&source->format);
	il_live_close(&source->live);
	free(source->path);
	free(source);
}

const struct il_source_info *il_source_info(const struct il_source *source)
{
	return &source->info;
}

void il_source_loss(const struct il_source *source, struct il_source_loss *loss)
{
	*loss = source->loss;
}

const char *il_source_describe(const struct il_source *source)
{
	return source->description;
}

/* Timestamps of the frames given out rise strictly, and a jump that no recording has is taken back. */
static int64_t next_pts(struct il_source *source)
{
	const AVFrame *frame = source->frame;
	double tick = (double)source->info.timebase.num / source->info.timebase.den;
	int64_t last = source->last_pts, pts = frame->best_effort_timestamp;
	if (last == AV_NOPTS_VALUE)
		return pts == AV_NOPTS_VALUE ? 0 : pts;
	if (pts == AV_NOPTS_VALUE)
		return last + source->pts_step;
	double ahead = ((double)pts + (double)source->pts_shift - (double)last) * tick;
	if (ahead > MAX_AHEAD_S || ahead < -MAX_BACK_S)
		source->pts_shift = last + source->pts_step - pts;
	pts += source->pts_shift;
	return pts > last ? pts : last + 1;
}

/* Turns an I420 picture of the stored size into the upright frame. */
static void turn(const struct il_source *source, const AVFrame *stored, const struct inlay_planes *from,
                 const struct inlay_planes *to)
{
	I420Rotate(from->data[0], (int)from->stride[0], from->data[1], (int)from->stride[1], from->data[2],
	           (int)from->stride[2], to->data[0], (int)to->stride[0], to->data[1], (int)to->stride[1], to->data[2],
	           (int)to->stride[2], stored->width, source->upside_down ? -stored->height : stored->height,
	           (enum RotationMode)source->info.rotation);
}

static enum inlay_err convert_and_turn(struct il_source *source, const AVFrame *picture, const struct inlay_planes *to,
                                       struct inlay_error *err)
{
	const struct inlay_frame_info stored = { INLAY_PIX_I420, picture->width, picture->height,
		                                 source->info.frame.colour };
	enum inlay_err rc = source->unturned ? INLAY_OK : il_frame_create(&source->unturned, &stored, err);
	if (rc)
		return rc;
	struct inlay_planes scratch;
	inlay_frame_map(source->unturned, &scratch);
	rc = il_picture_to_i420(&source->converter, picture, &scratch, source->name, err);
	if (!rc)
		turn(source, picture, &scratch, to);
	inlay_frame_unmap(source->unturned);
	return rc;
}

static enum inlay_err fill(struct il_source *source, const AVFrame *picture, const struct inlay_planes *to,
                           struct inlay_error *err)
{
	if (!source->info.rotation && !source->upside_down)
		return il_picture_to_i420(&source->converter, picture, to, source->name, err);
	if (!il_picture_is_i420(picture))
		return convert_and_turn(source, picture, to, err);
	struct inlay_planes from = { { picture->data[0], picture->data[1], picture->data[2] },
		                     { picture->linesize[0], picture->linesize[1], picture->linesize[2] } };
	turn(source, picture, &from, to);
	return INLAY_OK;
}

static enum inlay_err check_size(const struct il_source *source, const AVFrame *picture, struct inlay_error *err)
{
	const struct inlay_frame_info *info = &source->info.frame;
	bool lying = source->info.rotation % 180 != 0;
	int width = lying ? picture->height : picture->width, height = lying ? picture->width : picture->height;
	if (width == info->width && height == info->height)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_UNSUPPORTED,
	               "%s: its frames change from %dx%d to %dx%d; expected one size throughout", source->name,
	               info->width, info->height, width, height);
}

static enum inlay_err read_video(struct il_source *source, struct inlay_frame *to, struct inlay_error *err)
{
	const AVFrame *picture;
	enum inlay_err rc = source->have_frame ? INLAY_OK : decode(source, err);
	if (!rc)
		rc = fetch(source, &picture, err);
	if (!rc)
		rc = check_size(source, picture, err);
	if (rc)
		return rc;
	struct inlay_planes planes;
	inlay_frame_map(to, &planes);
	rc = fill(source, picture, &planes, err);
	inlay_frame_unmap(to);
	if (rc)
		return rc;
	source->last_pts = next_pts(source);
	source->have_frame = false;
	il_frame_set_pts(to, source->last_pts);
	return INLAY_OK;
}

static enum inlay_err read_still(struct il_source *source, struct inlay_frame *to)
{
	if (source->still_given)
		return INLAY_EOF;
	const struct inlay_frame *from = source->still.frame;
	struct inlay_planes a, b;
	inlay_frame_map(from, &a);
	inlay_frame_map(to, &b);
	CopyPlane(a.data[0], (int)a.stride[0], b.data[0], (int)b.stride[0], 3 * inlay_frame_info(from)->width,
	          inlay_frame_info(from)->height);
	inlay_frame_unmap(to);
	inlay_frame_unmap(from);
	il_frame_set_pts(to, 0);
	source->still_given = true;
	return INLAY_OK;
}

enum inlay_err il_source_read(struct il_source *source, struct inlay_frame **out, struct inlay_error *err)
{
	struct inlay_frame *frame;
	enum inlay_err rc = il_frame_pool_take(source->pool, &frame, err);
	if (rc)
		return rc;
	rc = source->info.picture ? read_still(source, frame) : read_video(source, frame, err);
	if (rc)
		inlay_frame_destroy(&frame);
	else
		*out = frame;
	return rc;
}

/* Opening the file anew finds the start of any container; seeking does not. */
enum inlay_err il_source_rewind(struct il_source *source, struct inlay_error *err)
{
	if (source->info.live)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: cannot be read twice; expected a file", source->name);
	source->loss = (struct il_source_loss){ 0 };
	source->still_given = false;
	if (source->info.picture)
		return INLAY_OK;
	avcodec_flush_buffers(source->decoder);
	source->have_frame = source->ended = false;
	source->faults = 0;
	source->last_pts = AV_NOPTS_VALUE;
	source->pts_shift = 0;
	enum inlay_err rc = open_file(source, err);
	return rc ? rc : choose_stream(source, err);
}
