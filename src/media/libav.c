#include "media/libav.h"

#include <dlfcn.h>
#include <errno.h>
#include <libavdevice/version.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/error.h>
#include <libavutil/log.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"

#define MAX_FPS_TERM 100000 /* keeps products of rates and frame numbers within 64 bits */
/* Frame threading costs a frame of delay and memory a thread; beyond this it gains little. */
#define MAX_AUTO_THREADS 8
#define MAX_THREADS 16

/* libav may send a line in pieces; each thread joins its own. */
static _Thread_local char line[1024];

static void forward(void *ctx, int level, const char *format, va_list args)
{
	static _Thread_local int print_prefix = 1;
	if (level > AV_LOG_INFO)
		return;
	size_t used = strlen(line);
	av_log_format_line2(ctx, level, format, args, line + used, (int)(sizeof line - used), &print_prefix);
	size_t length = strlen(line);
	int complete = length > 0 && line[length - 1] == '\n';
	if (!complete && length + 1 < sizeof line)
		return;
	if (complete)
		line[length - 1] = 0;
	il_log_debug("%s", line);
	line[0] = 0;
}

static void install(void)
{
	av_log_set_callback(forward);
}

void il_libav_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, install);
}

static enum inlay_err code_of(int av_error)
{
	switch (av_error) {
	case AVERROR(ENOENT): return INLAY_ERR_NOT_FOUND;
	case AVERROR(ENOMEM): return INLAY_ERR_MEMORY;
	case AVERROR(EINVAL): return INLAY_ERR_INVALID;
	case AVERROR_INVALIDDATA:
	case AVERROR_EOF:
	case AVERROR_STREAM_NOT_FOUND: return INLAY_ERR_FORMAT;
	case AVERROR(ENOSYS):
	case AVERROR_PATCHWELCOME:
	case AVERROR_DECODER_NOT_FOUND:
	case AVERROR_DEMUXER_NOT_FOUND:
	case AVERROR_ENCODER_NOT_FOUND:
	case AVERROR_MUXER_NOT_FOUND:
	case AVERROR_PROTOCOL_NOT_FOUND:
	case AVERROR_OPTION_NOT_FOUND:
	case AVERROR_EXTERNAL: return INLAY_ERR_UNSUPPORTED;
	default: return INLAY_ERR_IO;
	}
}

enum inlay_err il_fail_av(struct inlay_error *err, int av_error, const char *format, ...)
{
	enum inlay_err code = code_of(av_error);
	if (!err || err->code != INLAY_OK)
		return code;
	va_list args;
	va_start(args, format);
	err->code = code;
	vsnprintf(err->text, sizeof err->text, format, args);
	va_end(args);
	char reason[AV_ERROR_MAX_STRING_SIZE] = { 0 };
	av_strerror(av_error, reason, sizeof reason);
	size_t used = strlen(err->text);
	snprintf(err->text + used, sizeof err->text - used, ": %s", reason);
	return code;
}

/* libav takes any text file named .txt for ANSI art and draws it. */
static int is_text_art(const AVFormatContext *format)
{
	return !strcmp(format->iformat->name, "tty");
}

/* What is not there is left to libav's own message. */
static enum inlay_err check_file(const char *path, const char *kind, struct inlay_error *err)
{
	struct stat st;
	if (stat(path, &st) || S_ISREG(st.st_mode))
		return INLAY_OK;
	if (S_ISDIR(st.st_mode))
		return il_fail(err, INLAY_ERR_INVALID, "%s: is a folder, expected a %s file", path, kind);
	return il_fail(err, INLAY_ERR_INVALID, "%s: is a %s; expected a file (%s is read twice)", path,
	               S_ISFIFO(st.st_mode) ? "pipe" : "device", kind);
}

enum inlay_err il_libav_open(AVFormatContext **out, const char *path, const char *kind, struct inlay_error *err)
{
	il_libav_init();
	enum inlay_err rc = check_file(path, kind, err);
	if (rc)
		return rc;
	size_t size = strlen("file:") + strlen(path) + 1;
	char *url = malloc(size);
	if (!url)
		return il_fail_memory(err);
	snprintf(url, size, "file:%s", path);
	AVDictionary *options = NULL;
	av_dict_set(&options, "protocol_whitelist", "file", 0);
	AVFormatContext *format = NULL;
	int ret = avformat_open_input(&format, url, NULL, &options);
	av_dict_free(&options);
	free(url);
	if (ret < 0)
		return il_fail_av(err, ret, "%s: cannot open as %s", path, kind);
	if (is_text_art(format))
		ret = AVERROR_INVALIDDATA;
	else
		ret = avformat_find_stream_info(format, NULL);
	if (ret < 0) {
		avformat_close_input(&format);
		return il_fail_av(err, ret, "%s: cannot read as %s", path, kind);
	}
	*out = format;
	return INLAY_OK;
}

bool il_libav_shows(const AVStream *stream)
{
	int pictures = AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS;
	return stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !(stream->disposition & pictures);
}

struct inlay_rational il_libav_rate(const AVStream *stream)
{
	AVRational fps = stream->avg_frame_rate.num > 0 ? stream->avg_frame_rate : stream->r_frame_rate;
	/* Variable rates come as frames over ticks, both large. */
	av_reduce(&fps.num, &fps.den, fps.num, fps.den, MAX_FPS_TERM);
	if (fps.num <= 0 || fps.den <= 0)
		fps = (AVRational){ 25, 1 };
	return (struct inlay_rational){ fps.num, fps.den };
}

int il_libav_threads(unsigned threads)
{
	unsigned automatic = il_cpu_count() < MAX_AUTO_THREADS ? il_cpu_count() : MAX_AUTO_THREADS;
	threads = threads ? threads : automatic;
	return (int)(threads < MAX_THREADS ? threads : MAX_THREADS);
}

int il_libav_muxer_takes(const AVOutputFormat *muxer, const AVStream *in)
{
	AVFormatContext *trial = NULL;
	AVStream *stream = NULL;
	int takes = 0;
	if (avformat_query_codec(muxer, in->codecpar->codec_id, FF_COMPLIANCE_NORMAL) == 1 &&
	    avformat_alloc_output_context2(&trial, muxer, NULL, NULL) >= 0 && avio_open_dyn_buf(&trial->pb) >= 0)
		stream = avformat_new_stream(trial, NULL);
	if (stream && avcodec_parameters_copy(stream->codecpar, in->codecpar) >= 0) {
		stream->codecpar->codec_tag = 0;
		stream->time_base = in->time_base;
		takes = avformat_write_header(trial, NULL) >= 0;
	}
	if (trial && trial->pb) {
		uint8_t *bytes;
		avio_close_dyn_buf(trial->pb, &bytes);
		av_free(bytes);
	}
	avformat_free_context(trial);
	return takes;
}

enum inlay_err il_libav_devices(struct inlay_error *err)
{
	static const char name[] = "libavdevice.so." AV_STRINGIFY(LIBAVDEVICE_VERSION_MAJOR);
	void *library = dlopen(name, RTLD_NOW); /* stays for good: libav keeps what it registers */
	void (*register_all)(void) = NULL;
	if (library)
		*(void **)&register_all = dlsym(library, "avdevice_register_all");
	if (!register_all)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "cameras and output devices need %s: %s", name, dlerror());
	register_all();
	return INLAY_OK;
}

const char *il_libav_version(void)
{
	return av_version_info();
}
