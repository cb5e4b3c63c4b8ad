#include "media/video.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "media/libav.h"
#include "media/picture.h"
#include "media/video_index.h"

#define MAX_SIDE 32768

struct il_video {
	struct il_video_info info;
	char *path;
	AVFormatContext *format;
	int stream;
	AVCodecContext *decoder;
	AVPacket *packet;
	AVFrame *frame;
	struct il_video_index index; /* index.pts NULL: frames are counted from the start instead */
	struct il_frame_pool *pool;
	struct il_picture_converter converter;

	int64_t next;        /* what il_video_read returns next */
	int64_t frame_index; /* of `frame`, while have_frame */
	int64_t decoded;     /* frames since the start, where they are counted */
	bool have_frame;
	bool have_packet; /* read and not yet sent */
	bool from_start;  /* nothing was jumped over since the file's first packet */
	bool skipped;     /* damaged data was, since the frame delivered last */
	bool damaged;     /* the frame delivered last */
	bool damage_told;
};

static enum inlay_err open_file(struct il_video *video, struct inlay_error *err)
{
	avformat_close_input(&video->format);
	enum inlay_err rc = il_libav_open(&video->format, video->path, "video", err);
	if (rc)
		return rc;
	video->stream = -1;
	for (unsigned i = 0; i < video->format->nb_streams; i++) {
		AVStream *stream = video->format->streams[i];
		if (video->stream < 0 && il_libav_shows(stream))
			video->stream = (int)i;
		else
			stream->discard = AVDISCARD_ALL;
	}
	video->from_start = true;
	video->decoded = 0;
	if (video->stream < 0)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: holds no video stream", video->path);
	return INLAY_OK;
}

static enum inlay_err open_decoder(struct il_video *video, unsigned threads, struct inlay_error *err)
{
	const AVStream *stream = video->format->streams[video->stream];
	const char *name = avcodec_get_name(stream->codecpar->codec_id);
	const AVCodec *codec = avcodec_find_decoder(stream->codecpar->codec_id);
	if (!codec)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: no decoder for %s in this libav", video->path, name);
	video->decoder = avcodec_alloc_context3(codec);
	if (!video->decoder)
		return il_fail_memory(err);
	int ret = avcodec_parameters_to_context(video->decoder, stream->codecpar);
	if (ret >= 0) {
		video->decoder->thread_count = il_libav_threads(threads);
		video->decoder->pkt_timebase = stream->time_base;
		ret = avcodec_open2(video->decoder, codec, NULL);
	}
	if (ret < 0)
		return il_fail_av(err, ret, "%s: cannot start the %s decoder", video->path, name);
	video->info.codec = name;
	return INLAY_OK;
}

/* Leaves the next packet of the video stream in video->packet. A file that breaks off is one that ends: what is
 * missing shows as frames that do not come. */
static enum inlay_err read_packet(struct il_video *video, struct inlay_error *err)
{
	for (;;) {
		av_packet_unref(video->packet);
		int ret = av_read_frame(video->format, video->packet);
		if (ret == AVERROR_EOF || ret == AVERROR_INVALIDDATA)
			return INLAY_EOF;
		if (ret < 0 && ret != AVERROR(EAGAIN))
			return il_fail_av(err, ret, "%s: reading failed near frame %lld", video->path,
			                  (long long)video->next);
		if (ret >= 0 && video->packet->stream_index == video->stream && video->packet->size)
			return INLAY_OK;
	}
}

static void tell_damage(struct il_video *video, const char *what)
{
	if (!video->damage_told)
		il_log_warn("%s: %s near frame %lld", video->path, what, (long long)video->next);
	video->damage_told = true;
}

static bool is_damaged(const AVFrame *frame)
{
	return frame->decode_error_flags || (frame->flags & AV_FRAME_FLAG_CORRUPT);
}

static enum inlay_err feed_decoder(struct il_video *video, struct inlay_error *err)
{
	enum inlay_err rc = video->have_packet ? INLAY_OK : read_packet(video, err);
	if (il_is_fault(rc))
		return rc;
	int ret = avcodec_send_packet(video->decoder, rc == INLAY_EOF ? NULL : video->packet);
	video->have_packet = false;
	av_packet_unref(video->packet);
	if (ret == AVERROR(ENOMEM))
		return il_fail_memory(err);
	if (ret < 0 && ret != AVERROR_EOF) {
		tell_damage(video, "a damaged packet was skipped");
		video->skipped = true;
	}
	return INLAY_OK;
}

/* Decodes the next frame of the index into video->frame; others (hidden by edit lists, broken off at the start) are
 * passed over. */
static enum inlay_err decode(struct il_video *video, struct inlay_error *err)
{
	video->have_frame = false;
	for (;;) {
		int ret = avcodec_receive_frame(video->decoder, video->frame);
		if (ret == AVERROR_EOF)
			return INLAY_EOF;
		if (ret == AVERROR(ENOMEM))
			return il_fail_memory(err);
		if (ret < 0) {
			if (ret != AVERROR(EAGAIN)) {
				tell_damage(video, "damaged data was skipped");
				video->skipped = true;
			}
			enum inlay_err rc = feed_decoder(video, err);
			if (rc)
				return rc;
			continue;
		}
		const AVFrame *frame = video->frame;
		int64_t pts = frame->pts != AV_NOPTS_VALUE ? frame->pts : frame->best_effort_timestamp;
		video->frame_index = video->index.pts ? il_video_index_find(&video->index, pts) : video->decoded++;
		if (video->frame_index < 0)
			continue;
		if (is_damaged(frame))
			tell_damage(video, "damaged picture");
		video->have_frame = true;
		return INLAY_OK;
	}
}

static void reset_decoder(struct il_video *video)
{
	avcodec_flush_buffers(video->decoder);
	video->have_frame = video->have_packet = video->skipped = false;
}

static enum inlay_err rewind_file(struct il_video *video, struct inlay_error *err)
{
	reset_decoder(video);
	return open_file(video, err);
}

/* Seeks near `timestamp` and reads on to a key frame; true when that is at or before `wanted`. */
static bool jump(struct il_video *video, int64_t timestamp, int64_t wanted)
{
	if (av_seek_frame(video->format, video->stream, timestamp, AVSEEK_FLAG_BACKWARD) < 0)
		return false;
	do {
		if (read_packet(video, NULL))
			return false;
	} while (!(video->packet->flags & AV_PKT_FLAG_KEY));
	return video->packet->pts != AV_NOPTS_VALUE && video->packet->pts <= wanted;
}

/* Puts the demuxer at key number `key` or before. Some demuxers seek by decoding time and so land behind the key frame
 * asked for: the key frame before it is tried too, and then the beginning of the file, where no seeking is needed. */
static enum inlay_err go_to_key(struct il_video *video, int64_t key, struct inlay_error *err)
{
	const int64_t *key_pts = video->index.key_pts;
	reset_decoder(video);
	if (!jump(video, key_pts[key], key_pts[key]) && !(key > 0 && jump(video, key_pts[key - 1], key_pts[key])))
		return rewind_file(video, err);
	video->have_packet = true;
	video->from_start = video->packet->pts == key_pts[0];
	return INLAY_OK;
}

/* What only a decoded picture tells for sure. */
static enum inlay_err learn_info(struct il_video *video, struct inlay_error *err)
{
	const AVStream *stream = video->format->streams[video->stream];
	const AVFrame *frame = video->frame;
	if (frame->width < 1 || frame->height < 1 || frame->width > MAX_SIDE || frame->height > MAX_SIDE)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: frames of %dx%d, expected 1..%d each way", video->path,
		               frame->width, frame->height, MAX_SIDE);
	video->info.fps = il_libav_rate(stream);
	video->info.frame = (struct inlay_frame_info){ .format = INLAY_PIX_I420,
		                                       .width = frame->width,
		                                       .height = frame->height,
		                                       .colour = il_picture_colour(frame) };
	return INLAY_OK;
}

/* Where timestamps do not tell, decoding everything once does. */
static enum inlay_err count_frames(struct il_video *video, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	while (!rc)
		rc = decode(video, err);
	if (rc != INLAY_EOF)
		return rc;
	video->info.frames = video->decoded;
	return rewind_file(video, err);
}

/* With a decoder just opened. */
static enum inlay_err go_to_start(struct il_video *video, struct inlay_error *err)
{
	video->next = 0;
	return video->index.pts ? go_to_key(video, 0, err) : rewind_file(video, err);
}

static enum inlay_err start(struct il_video *video, unsigned threads, struct inlay_error *err)
{
	video->packet = av_packet_alloc();
	video->frame = av_frame_alloc();
	if (!video->packet || !video->frame)
		return il_fail_memory(err);
	enum inlay_err rc = open_file(video, err);
	if (!rc)
		rc = il_video_index_build(&video->index, video->format, video->stream, video->path, err);
	if (!rc)
		rc = open_decoder(video, threads, err);
	if (!rc)
		rc = go_to_start(video, err);
	if (!rc)
		rc = decode(video, err);
	if (rc == INLAY_EOF)
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: no frame of its %s video decodes", video->path,
		             video->info.codec);
	if (!rc)
		rc = learn_info(video, err);
	video->info.frames = video->index.frames;
	if (!rc && !video->index.pts)
		rc = count_frames(video, err);
	if (!rc)
		rc = il_frame_pool_create(&video->pool, &video->info.frame, err);
	return rc;
}

enum inlay_err il_video_open(struct il_video **out, const char *path, unsigned threads, struct inlay_error *err)
{
	struct il_video *video = calloc(1, sizeof *video);
	if (!video || !(video->path = strdup(path))) {
		free(video);
		return il_fail_memory(err);
	}
	enum inlay_err rc = start(video, threads, err);
	if (rc) {
		il_video_destroy(&video);
		return rc;
	}
	*out = video;
	return INLAY_OK;
}

void il_video_destroy(struct il_video **slot)
{
	struct il_video *video = *slot;
	if (!video)
		return;
	*slot = NULL;
	il_picture_converter_clear(&video->converter);
	il_frame_pool_destroy(&video->pool);
	il_video_index_destroy(&video->index);
	av_frame_free(&video->frame);
	av_packet_free(&video->packet);
	avcodec_free_context(&video->decoder);
	avformat_close_input(&video->format);
	free(video->path);
	free(video);
}

const struct il_video_info *il_video_info(const struct il_video *video)
{
	return &video->info;
}

enum inlay_err il_video_set_threads(struct il_video *video, unsigned threads, struct inlay_error *err)
{
	avcodec_free_context(&video->decoder);
	enum inlay_err rc = open_decoder(video, threads, err);
	return rc ? rc : go_to_start(video, err);
}

/* Gives video->frame out as frame number video->next. */
static enum inlay_err deliver(struct il_video *video, struct inlay_frame **out, struct inlay_error *err)
{
	const struct inlay_frame_info *info = &video->info.frame;
	if (video->frame->width != info->width || video->frame->height != info->height)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: frame %lld is %dx%d, the first one was %dx%d",
		               video->path, (long long)video->next, video->frame->width, video->frame->height,
		               info->width, info->height);
	struct inlay_frame *frame;
	enum inlay_err rc = il_frame_pool_take(video->pool, &frame, err);
	if (rc)
		return rc;
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	rc = il_picture_to_i420(&video->converter, video->frame, &planes, video->path, err);
	inlay_frame_unmap(frame);
	if (rc) {
		inlay_frame_destroy(&frame);
		return rc;
	}
	il_frame_set_pts(frame, video->next);
	video->next++;
	video->have_frame = false;
	video->damaged = video->skipped || is_damaged(video->frame);
	video->skipped = false;
	*out = frame;
	return INLAY_OK;
}

enum inlay_err il_video_read(struct il_video *video, struct inlay_frame **frame, struct inlay_error *err)
{
	if (video->next >= video->info.frames)
		return INLAY_EOF;
	for (;;) {
		enum inlay_err rc = INLAY_OK;
		while (!rc && (!video->have_frame || video->frame_index < video->next))
			rc = decode(video, err);
		if (il_is_fault(rc))
			return rc;
		if (!rc && video->frame_index == video->next)
			return deliver(video, frame, err);
		/* The frame did not come. After a jump the key frame may be to blame, else the file is. */
		if (video->from_start) {
			video->skipped = false;
			return il_fail(err, INLAY_ERR_FORMAT, "%s: is damaged: frame %lld of %lld does not decode",
			               video->path, (long long)video->next++, (long long)video->info.frames);
		}
		rc = rewind_file(video, err);
		if (rc)
			return rc;
	}
}

bool il_video_damaged(const struct il_video *video)
{
	return video->damaged;
}

enum inlay_err il_video_seek(struct il_video *video, int64_t index, struct inlay_error *err)
{
	if (index < 0 || index >= video->info.frames)
		return il_fail(err, INLAY_ERR_INVALID, "%s: has no frame %lld, expected 0..%lld", video->path,
		               (long long)index, (long long)video->info.frames - 1);
	bool back = index < video->next;
	enum inlay_err rc = INLAY_OK;
	if (!video->index.pts)
		rc = back ? rewind_file(video, err) : INLAY_OK;
	else if (back || il_video_key_before(video, index) > video->next)
		rc = go_to_key(video, il_video_index_key(&video->index, index), err);
	if (!rc)
		video->next = index;
	return rc;
}

int64_t il_video_key_before(const struct il_video *video, int64_t index)
{
	if (!video->index.pts || index < 0 || index >= video->info.frames)
		return 0;
	return il_video_index_key_frame(&video->index, il_video_index_key(&video->index, index));
}
