/* What the tests of source.h share. */
#ifndef IL_MEDIA_SOURCE_TEST_H
#define IL_MEDIA_SOURCE_TEST_H

#include <stdbool.h>

#include "media/each_row_test.h"
#include "media/ffmpeg_test.h"
#include "media/source.h"
#include "tests/test.h"

/* ffmpeg ARGS PATH; the path is where a test's file of this name lies. */
static inline const char *make(const char *name, const char *args)
{
	const char *path = test_scratch(name);
	ffmpeg("%s %s", args, path);
	return path;
}

#define CLIP(size) "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -s " size " -pix_fmt yuv420p "
#define LOSSLESS "-c:v libx264 -qp 0 -g 12 -bf 2 "

static inline struct il_source *open_source(const char *path)
{
	struct inlay_error err;
	struct il_source *source = NULL;
	const struct il_source_params params = { .path = path };
	assert_ok(il_source_open(&source, &params, &err));
	return source;
}

static inline void compare_row(void *ctx, const uint8_t *data, size_t size)
{
	uint8_t want[32768];
	assert_true(size <= sizeof want);
	assert_int_equal(fread(want, 1, size, ctx), size);
	assert_memory_equal(data, want, size);
}

/* Reads on to the end; what the pipe gives are the same bytes. */
static inline int compare_rest(struct il_source *source, FILE *pipe)
{
	struct inlay_error err = { 0 };
	struct inlay_frame *frame;
	enum inlay_err rc;
	int count = 0;
	int64_t last = INT64_MIN;
	while (!(rc = il_source_read(source, &frame, &err))) {
		assert_true(inlay_frame_pts(frame) > last);
		last = inlay_frame_pts(frame);
		if (pipe)
			each_row(frame, compare_row, pipe);
		inlay_frame_destroy(&frame);
		count++;
	}
	if (rc != INLAY_EOF)
		fail_msg("%s", err.text);
	assert_int_equal(il_source_read(source, &frame, &err), INLAY_EOF);
	return count;
}

static inline FILE *ffmpeg_frames(const char *path, const char *options)
{
	char command[2048];
	snprintf(command, sizeof command,
	         "ffmpeg -nostdin -v quiet -i %s -vsync passthrough %s -f rawvideo -pix_fmt yuv420p "
	         "-sws_flags bicubic+accurate_rnd+full_chroma_int -",
	         path, options);
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	return pipe;
}

static inline uint8_t *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	*size = (size_t)ftell(file);
	rewind(file);
	uint8_t *data = malloc(*size);
	assert_int_equal(fread(data, 1, *size, file), *size);
	fclose(file);
	return data;
}

static inline const char *write_file(const char *name, const void *data, size_t size)
{
	const char *path = test_scratch(name);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	fclose(file);
	return path;
}

#endif
