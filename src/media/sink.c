#include "media/sink_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/log.h"

/* In order of preference. */
static const struct il_sink_type *const types[] = {
	&il_sink_container, &il_sink_pictures, &il_sink_stream, &il_sink_digest, &il_sink_v4l2, &il_sink_null,
};

#define N_TYPES (sizeof types / sizeof *types)

struct il_sink {
	const struct il_sink_type *type;
	void *self;
	struct inlay_frame_info frame;
	int64_t written;
	enum inlay_err failed; /* of the first call that did: nothing follows it */
	bool finished;
};

bool il_sink_is_stdout(const char *path)
{
	return !path || !strcmp(path, "-") || !strcmp(path, "/dev/stdout");
}

enum inlay_err il_sink_check_place(const char *path, struct inlay_error *err)
{
	if (!*path)
		return il_fail(err, INLAY_ERR_INVALID, "the output name is empty");
	if (path[strlen(path) - 1] == '/' || il_path_is_folder(path))
		return il_fail(err, INLAY_ERR_INVALID, "%s is a folder, expected the name of a file", path);
	char *folder = il_path_folder(path);
	if (!folder)
		return il_fail_memory(err);
	enum inlay_err rc = INLAY_OK;
	if (!il_path_is_folder(folder))
		rc = il_fail(err, INLAY_ERR_NOT_FOUND, "%s: folder %s does not exist; make it first", path, folder);
	free(folder);
	return rc;
}

struct choice {
	const char *format;
	const struct il_sink_type *type;
};

/* The format that a name or an extension stands for; false for none. */
static bool find_format(const char *word, struct choice *found)
{
	static const char *const aliases[][2] = {
		{ "jpeg", "jpg" },
		{ "mjpg", "mjpeg" },
		{ "yuv", "rawvideo" },
		{ "i420", "rawvideo" },
	};
	for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
		if (!strcasecmp(word, aliases[i][0]))
			word = aliases[i][1];
	for (size_t i = 0; i < N_TYPES; i++)
		for (const char *const *format = types[i]->formats; *format; format++)
			if (!strcasecmp(word, *format)) {
				*found = (struct choice){ *format, types[i] };
				return true;
			}
	return false;
}

static enum inlay_err list_formats(struct inlay_error *err, const char *subject, const char *word)
{
	char list[256] = "";
	int used = 0;
	for (size_t i = 0; i < N_TYPES; i++)
		for (const char *const *format = types[i]->formats; *format && used < (int)sizeof list; format++)
			used += snprintf(list + used, sizeof list - (size_t)used, " %s", *format);
	return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s \"%s\" is none of:%s", subject, word, list);
}

static bool is_camera(const char *path)
{
	static const char folder[] = "/dev/video";
	return !strncmp(path, folder, strlen(folder)) && isdigit((unsigned char)path[strlen(folder)]);
}

static enum inlay_err choose_format(const struct il_sink_params *params, struct choice *choice, struct inlay_error *err)
{
	if (params->format)
		return find_format(params->format, choice) ? INLAY_OK
		                                           : list_formats(err, "output format", params->format);
	if (il_sink_is_stdout(params->path))
		return il_fail(err, INLAY_ERR_INVALID,
		               "an output without a file name needs its format named (--format), such as y4m");
	const char *extension = is_camera(params->path) ? "v4l2" : il_path_extension(params->path);
	if (find_format(extension, choice))
		return INLAY_OK;
	if (!*extension)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: a name without an extension needs its format named (--format)", params->path);
	return list_formats(err, "output name's extension", extension);
}

static enum inlay_err check_params(const struct il_sink_params *params, struct inlay_error *err)
{
	const struct inlay_frame_info *f = &params->frame;
	if (f->width <= 0 || f->height <= 0)
		return il_fail(err, INLAY_ERR_INVALID, "frames of %dx%d, expected at least 1x1", f->width, f->height);
	if (params->timebase.num < 0 || (params->timebase.num > 0 && params->timebase.den <= 0))
		return il_fail(err, INLAY_ERR_INVALID, "timebase %d/%d, expected one above 0, or none",
		               params->timebase.num, params->timebase.den);
	if (params->audio_path && params->streams_path)
		return il_fail(err, INLAY_ERR_INVALID, "sound of %s and the streams of %s, expected one of the two",
		               params->audio_path, params->streams_path);
	if (!params->single && (params->fps.num <= 0 || params->fps.den <= 0))
		return il_fail(err, INLAY_ERR_INVALID, "frame rate %d/%d, expected one above 0", params->fps.num,
		               params->fps.den);
	if (params->quality < 0 || params->quality > 100)
		return il_fail(err, INLAY_ERR_INVALID, "quality %d, expected 1..100", params->quality);
	return INLAY_OK;
}

/* Who takes what beside I420, which all take. */
static enum inlay_err check_pixels(const struct il_sink_params *params, const char *format, struct inlay_error *err)
{
	static const struct {
		enum inlay_pixfmt pixels;
		const char *formats;
	} takers[] = {
		{ INLAY_PIX_I420, NULL },
		{ INLAY_PIX_YUVA420P, "webm, mov, mkv, png, md5, null" },
		{ INLAY_PIX_BGR24, "png, jpg, md5, null" },
		{ INLAY_PIX_BGR24A8, "png, md5, null" },
	};
	const enum inlay_pixfmt pixels = params->frame.format;
	size_t n = strlen(format);
	for (size_t i = 0; i < sizeof takers / sizeof *takers; i++) {
		if (takers[i].pixels != pixels)
			continue;
		const char *found = takers[i].formats ? strstr(takers[i].formats, format) : format;
		if (found && (!found[n] || found[n] == ','))
			return INLAY_OK;
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: %s holds no %s; these do: %s",
		               params->path ? params->path : "output", format,
		               pixels == INLAY_PIX_BGR24 ? "single picture" : "alpha", takers[i].formats);
	}
	return il_fail(err, INLAY_ERR_INVALID, "no output takes %s frames; expected i420, bgr24 or one with alpha",
	               il_pixfmt_name(pixels));
}

static void note_left_out(const struct il_sink_params *params, const struct choice *choice)
{
	const char *path = params->streams_path ? params->streams_path : params->audio_path;
	if (path && choice->type != &il_sink_container)
		il_log_info("%s holds pictures only: the sound%s of %s %s left out", choice->format,
		            params->streams_path ? " and subtitles" : "", path, params->streams_path ? "are" : "is");
}

enum inlay_err il_sink_open(struct il_sink **out, const struct il_sink_params *params, struct inlay_error *err)
{
	*out = NULL;
	struct choice choice = { 0 };
	enum inlay_err rc = check_params(params, err);
	if (!rc)
		rc = choose_format(params, &choice, err);
	if (!rc)
		rc = check_pixels(params, choice.format, err);
	if (!rc && params->single && choice.type != &il_sink_pictures)
		rc = il_fail(err, INLAY_ERR_INVALID, "%s holds more than one picture, expected jpg or png",
		             choice.format);
	if (rc)
		return rc;
	if (params->single)
		choice.type = &il_sink_picture;
	note_left_out(params, &choice);
	struct il_sink *sink = calloc(1, sizeof *sink);
	if (!sink)
		return il_fail_memory(err);
	sink->type = choice.type;
	sink->frame = params->frame;
	rc = choice.type->open(&sink->self, choice.format, params, err);
	if (rc)
		free(sink);
	else
		*out = sink;
	return rc;
}

/* A sink that failed may have lost bytes: going on would end in a broken file under a good name. */
static enum inlay_err check_usable(const struct il_sink *sink, struct inlay_error *err)
{
	if (sink->failed)
		return il_fail(err, sink->failed, "this output failed before");
	if (sink->finished)
		return il_fail(err, INLAY_ERR_INVALID, "this output is finished");
	return INLAY_OK;
}

enum inlay_err il_sink_write(struct il_sink *sink, struct inlay_frame *frame, struct inlay_error *err)
{
	enum inlay_err rc = check_usable(sink, err);
	if (rc)
		return rc;
	const struct inlay_frame_info *found = inlay_frame_info(frame), *expected = &sink->frame;
	if (found->format != expected->format || found->width != expected->width || found->height != expected->height)
		return il_fail(err, INLAY_ERR_INVALID, "frame %lld is %s %dx%d, this output takes %s %dx%d",
		               (long long)sink->written, il_pixfmt_name(found->format), found->width, found->height,
		               il_pixfmt_name(expected->format), expected->width, expected->height);
	sink->failed = sink->type->write(sink->self, frame, err);
	sink->written += !sink->failed;
	return sink->failed;
}

bool il_sink_takes_jpegs(const struct il_sink *sink)
{
	return sink->type->takes_jpegs && sink->type->takes_jpegs(sink->self);
}

enum inlay_err il_sink_write_jpeg(struct il_sink *sink, const uint8_t *data, size_t size, struct inlay_error *err)
{
	enum inlay_err rc = check_usable(sink, err);
	if (!rc && !il_sink_takes_jpegs(sink))
		rc = il_fail(err, INLAY_ERR_INVALID, "this output takes frames, found a JPEG");
	if (rc)
		return rc;
	sink->failed = sink->type->write_jpeg(sink->self, data, size, err);
	sink->written += !sink->failed;
	return sink->failed;
}

enum inlay_err il_sink_finish(struct il_sink *sink, struct inlay_error *err)
{
	enum inlay_err rc = check_usable(sink, err);
	if (rc)
		return rc;
	sink->failed = sink->type->finish(sink->self, err);
	sink->finished = !sink->failed;
	return sink->failed;
}

void il_sink_destroy(struct il_sink **sink)
{
	if (!*sink)
		return;
	if (!(*sink)->finished)
		(*sink)->type->abort((*sink)->self);
	(*sink)->type->close((*sink)->self);
	free(*sink);
	*sink = NULL;
}

const char *il_sink_describe(const struct il_sink *sink)
{
	return sink->type->describe(sink->self);
}
