#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "media/libav.h"
#include "media/source_impl.h"

#define BUFFER_SIZE 65536
#define LOOK_MS 50 /* how soon a waiting reader sees that it was cancelled */

bool il_is_live(const char *path)
{
	struct stat st;
	return !strcmp(path, "-") || !strncmp(path, "/dev/video", 10) || (!stat(path, &st) && S_ISCHR(st.st_mode));
}

bool il_live_is_cancelled(const struct il_live *live)
{
	return live->cancelled && live->cancelled(live->cancel_ctx);
}

void il_live_wait(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
}

static int read_pipe(void *opaque, uint8_t *to, int size)
{
	const struct il_live *live = opaque;
	for (;;) {
		struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
		int ready = poll(&in, 1, live->cancelled ? LOOK_MS : -1);
		if (il_live_is_cancelled(live))
			return AVERROR_EXIT;
		ssize_t got = ready > 0 ? read(STDIN_FILENO, to, (size_t)size) : 0;
		if (got > 0)
			return (int)got;
		if (ready > 0 && !got)
			return AVERROR_EOF;
		if ((ready < 0 || got < 0) && errno != EINTR && errno != EAGAIN)
			return AVERROR(errno);
	}
}

/* The header of y4m tells all; libav need not probe frames for it. */
static enum inlay_err open_pipe(struct il_live *live, AVFormatContext *format, struct inlay_error *err)
{
	uint8_t *buffer = av_malloc(BUFFER_SIZE);
	live->io = buffer ? avio_alloc_context(buffer, BUFFER_SIZE, 0, live, read_pipe, NULL, NULL) : NULL;
	if (!live->io) {
		av_free(buffer);
		avformat_free_context(format);
		return il_fail_memory(err);
	}
	format->pb = live->io;
	int ret = avformat_open_input(&format, NULL, av_find_input_format("yuv4mpegpipe"), NULL);
	if (il_live_is_cancelled(live)) {
		avformat_close_input(&format);
		return il_fail(err, INLAY_ERR_CANCELLED, "cancelled while waiting for standard input");
	}
	if (ret == AVERROR_EOF || ret == AVERROR_INVALIDDATA || ret == AVERROR(EINVAL))
		return il_fail(err, INLAY_ERR_FORMAT, "standard input: %s, expected y4m (YUV4MPEG2 ...)",
		               avio_tell(live->io) ? "is something else" : "is empty");
	return ret < 0 ? il_fail_av(err, ret, "standard input: cannot read as y4m") : INLAY_OK;
}

static enum inlay_err open_camera(AVFormatContext *format, const struct il_source_params *params,
                                  struct inlay_error *err)
{
	struct stat st;
	enum inlay_err rc = il_libav_devices(err);
	if (rc)
		return rc;
	const AVInputFormat *v4l2 = av_find_input_format("v4l2");
	AVDictionary *options = NULL;
	if (params->fps.num > 0 && params->fps.den > 0) {
		char rate[32];
		snprintf(rate, sizeof rate, "%d/%d", params->fps.num, params->fps.den);
		av_dict_set(&options, "framerate", rate, 0);
	}
	format->flags |= AVFMT_FLAG_NONBLOCK; /* a wait can be cancelled then */
	int ret = 0;
	if (!v4l2)
		rc = il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: this libav has no v4l2, which reads cameras",
		             params->path);
	else if (stat(params->path, &st))
		rc = il_fail_errno(err, "cannot open the camera %s", params->path);
	else
		ret = avformat_open_input(&format, params->path, v4l2, &options);
	av_dict_free(&options);
	if (rc)
		avformat_free_context(format);
	return ret < 0 ? il_fail_av(err, ret, "cannot open %s as a camera (v4l2)", params->path) : rc;
}

enum inlay_err il_live_open(struct il_live *live, AVFormatContext **out, const struct il_source_params *params,
                            struct inlay_error *err)
{
	il_libav_init();
	AVFormatContext *format = avformat_alloc_context();
	if (!format)
		return il_fail_memory(err);
	live->cancelled = params->cancelled;
	live->cancel_ctx = params->cancel_ctx;
	/* libav frees the context where its open fails. */
	enum inlay_err rc = strcmp(params->path, "-") ? open_camera(format, params, err) : open_pipe(live, format, err);
	if (!rc)
		*out = format;
	return rc;
}

void il_live_close(struct il_live *live)
{
	if (live->io)
		av_freep(&live->io->buffer);
	avio_context_free(&live->io);
}
