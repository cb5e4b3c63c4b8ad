/* What the tests of the outputs share: made-up frames, and a look at what came out. */
#ifndef IL_MEDIA_SINK_TEST_H
#define IL_MEDIA_SINK_TEST_H

#include <math.h>

#include "base/file.h"
#include "media/sink.h"
#include "media/video.h"
#include "tests/test.h"

static struct inlay_error err;

static const struct inlay_frame_info small = {
	INLAY_PIX_I420,
	64,
	48,
	{ .matrix = INLAY_MATRIX_BT709, .range = INLAY_RANGE_LIMITED, .primaries = 1, .transfer = 1 }
};

/* Soft enough to survive an encoder, and another picture for every k. */
static inline uint8_t pixel(int64_t k, int plane, int x, int y)
{
	return (uint8_t)(plane ? 128 + plane * 10 + (int)(k % 50) - y / 2 : 40 + 2 * x + (int)(3 * k % 40));
}

static inline struct inlay_frame *make_frame(const struct inlay_frame_info *info, int64_t k)
{
	struct inlay_frame *frame;
	struct inlay_planes planes;
	assert_ok(il_frame_create(&frame, info, &err));
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < 3; i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(info, i, &row_bytes, &rows);
		for (int y = 0; y < rows; y++)
			for (size_t x = 0; x < row_bytes; x++)
				planes.data[i][y * planes.stride[i] + x] = pixel(k, i, (int)x, y);
	}
	inlay_frame_unmap(frame);
	return frame;
}

static inline enum inlay_err write_one(struct il_sink *sink, const struct inlay_frame_info *info, int64_t k)
{
	struct inlay_frame *frame = make_frame(info, k);
	err = (struct inlay_error){ 0 };
	enum inlay_err rc = il_sink_write(sink, frame, &err);
	inlay_frame_destroy(&frame);
	return rc;
}

static inline struct il_sink_params params_for(const char *path)
{
	return (struct il_sink_params){ .path = path, .frame = small, .fps = { 25, 1 }, .crf = -1, .threads = 2 };
}

/* Writes `frames` frames and finishes. */
static inline void write_all(const struct il_sink_params *params, int frames)
{
	struct il_sink *sink;
	assert_ok(il_sink_open(&sink, params, &err));
	for (int k = 0; k < frames; k++)
		assert_ok(write_one(sink, &params->frame, k));
	assert_ok(il_sink_finish(sink, &err));
	il_sink_destroy(&sink);
	assert_null(sink);
}

/* All planes without padding. */
static inline uint8_t *packed(const struct inlay_frame *frame, size_t *size)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	struct inlay_planes planes;
	size_t half = (size_t)((info->width + 1) / 2) * (size_t)((info->height + 1) / 2);
	*size = (size_t)info->width * info->height + 2 * half;
	uint8_t *bytes = malloc(*size), *to = bytes;
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < 3; i++) {
		int width = i ? (info->width + 1) / 2 : info->width;
		int rows = i ? (info->height + 1) / 2 : info->height;
		for (int y = 0; y < rows; y++, to += width)
			memcpy(to, planes.data[i] + y * planes.stride[i], (size_t)width);
	}
	inlay_frame_unmap(frame);
	return bytes;
}

static inline double psnr(const struct inlay_frame *a, const struct inlay_frame *b)
{
	size_t n, m;
	uint8_t *x = packed(a, &n), *y = packed(b, &m);
	double sum = 0;
	assert_int_equal(n, m);
	for (size_t i = 0; i < n; i++)
		sum += (x[i] - y[i]) * (x[i] - y[i]);
	free(x);
	free(y);
	return sum ? 10 * log10(255.0 * 255.0 * (double)n / sum) : 100;
}

static inline void assert_gone(const char *path)
{
	char part[1100];
	snprintf(part, sizeof part, "%s.part", path);
	assert_false(il_path_exists(path));
	assert_false(il_path_exists(part));
}

/* Every frame of `path` is near the one written, all are there, and rate and tags came through. */
static inline void check_video(const char *path, const struct il_sink_params *params, int frames, double least_psnr)
{
	struct il_video *video;
	assert_ok(il_video_open(&video, path, 1, &err));
	const struct il_video_info *info = il_video_info(video);
	assert_int_equal(info->frames, frames);
	assert_int_equal(info->frame.width, params->frame.width & ~1);
	assert_int_equal(info->frame.height, params->frame.height & ~1);
	assert_int_equal((int64_t)info->fps.num * params->fps.den, (int64_t)info->fps.den * params->fps.num);
	assert_int_equal(info->frame.colour.matrix, params->frame.colour.matrix);
	assert_int_equal(info->frame.colour.range, params->frame.colour.range);
	assert_int_equal(info->frame.colour.primaries, params->frame.colour.primaries);
	assert_int_equal(info->frame.colour.transfer, params->frame.colour.transfer);
	struct inlay_frame_info even = params->frame;
	even.width &= ~1;
	even.height &= ~1;
	for (int k = 0; k < frames; k++) {
		struct inlay_frame *got, *expected = make_frame(&even, k);
		assert_ok(il_video_read(video, &got, &err));
		double found = psnr(got, expected);
		if (found < least_psnr)
			fail_msg("%s: frame %d has a PSNR of %.1f dB, expected %.1f", path, k, found, least_psnr);
		inlay_frame_destroy(&got);
		inlay_frame_destroy(&expected);
	}
	il_video_destroy(&video);
}

#endif
