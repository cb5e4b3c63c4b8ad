/* Outputs with an alpha plane, single pictures, and outputs that need a device. ffmpeg reads back. */
#include "media/sink.h"

#include <sys/stat.h>

#include "inlay/log.h"
#include "media/ffmpeg_test.h"
#include "media/sink_test.h"

enum { WIDTH = 64, HEIGHT = 48, PIXELS = WIDTH * HEIGHT };

/* Soft, with parts that are clear and parts that are solid. */
static uint8_t alpha_at(int64_t k, int x, int y)
{
	int a = 6 * x - 60 + y + (int)(2 * k);
	return (uint8_t)(a < 0 ? 0 : a > 255 ? 255 : a);
}

static struct inlay_frame *make_alpha(const struct inlay_frame_info *info, int64_t k)
{
	struct inlay_frame *frame = make_frame(info, k);
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int y = 0; y < info->height; y++)
		for (int x = 0; x < info->width; x++)
			planes.data[3][y * planes.stride[3] + x] = alpha_at(k, x, y);
	inlay_frame_unmap(frame);
	return frame;
}

static struct il_sink_params alpha_params(const char *path, enum inlay_range range)
{
	struct il_sink_params params = params_for(path);
	params.frame.format = INLAY_PIX_YUVA420P;
	params.frame.colour.range = range;
	params.overwrite = true;
	return params;
}

static void write_alpha(const struct il_sink_params *params, int frames)
{
	struct il_sink *sink;
	assert_ok(il_sink_open(&sink, params, &err));
	for (int k = 0; k < frames; k++) {
		struct inlay_frame *frame = make_alpha(&params->frame, k);
		assert_ok(il_sink_write(sink, frame, &err));
		inlay_frame_destroy(&frame);
	}
	assert_ok(il_sink_finish(sink, &err));
	il_sink_destroy(&sink);
}

static struct il_bytes decode(const char *path, const char *decoder, const char *pixels, size_t size)
{
	struct il_bytes bytes;
	const char *raw = test_scratch("raw");
	ffmpeg("%s -i %s -pix_fmt %s -f rawvideo %s", decoder, path, pixels, raw);
	assert_ok(il_file_read(raw, 1 << 26, &bytes, &err));
	assert_int_equal(bytes.size, size);
	unlink(raw);
	return bytes;
}

static void check_near(const char *what, int found, int wanted, int tolerance)
{
	if (abs(found - wanted) > tolerance)
		fail_msg("%s is %d, expected %d", what, found, wanted);
}

/* ITU-R BT.709-6, from the definition. */
static void to_rgb(const struct inlay_colour *colour, double y, double u, double v, double rgb[3])
{
	bool full = colour->range == INLAY_RANGE_FULL;
	y = full ? y / 255 : (y - 16) / 219;
	u = (u - 128) / (full ? 255 : 224);
	v = (v - 128) / (full ? 255 : 224);
	rgb[0] = y + 1.5748 * v;
	rgb[2] = y + 1.8556 * u;
	rgb[1] = (y - 0.2126 * rgb[0] - 0.0722 * rgb[2]) / 0.7152;
	for (int i = 0; i < 3; i++)
		rgb[i] = fmin(fmax(rgb[i] * 255, 0), 255);
}

static void check_rgb(const char *what, const struct inlay_frame_info *info, const uint8_t *rgba, int64_t k,
                      int tolerance)
{
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++, rgba += 4) {
			double rgb[3];
			to_rgb(&info->colour, pixel(k, 0, x, y), pixel(k, 1, x / 2, y / 2), pixel(k, 2, x / 2, y / 2),
			       rgb);
			check_near(what, rgba[3], alpha_at(k, x, y), 0);
			for (int i = 0; i < 3; i++)
				check_near(what, rgba[i], (int)lrint(rgb[i]), tolerance);
		}
}

static const enum inlay_range ranges[] = { INLAY_RANGE_LIMITED, INLAY_RANGE_FULL };

static void webm_is_vp9_with_alpha(void **state)
{
	static const char *const formats[] = { "webm", "mkv" };
	size_t frame_size = PIXELS * 5 / 2;
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct il_sink_params params = alpha_params(test_scratch("alpha"), ranges[i & 1]);
		params.format = formats[i / 2];
		params.codec = i / 2 ? "libvpx-vp9" : NULL;
		params.crf = 10;
		write_alpha(&params, 10);
		assert_string_equal(ffprobe("-show_entries stream_tags=alpha_mode %s", params.path), "1\n");
		struct il_bytes got = decode(params.path, "-c:v libvpx-vp9", "yuva420p", 10 * frame_size);
		for (int k = 0; k < 10; k++) {
			const uint8_t *p = got.data + (size_t)k * frame_size;
			for (int j = 0; j < PIXELS; j++) {
				check_near("luma", p[j], pixel(k, 0, j % WIDTH, j / WIDTH), 6);
				check_near("alpha", p[PIXELS * 3 / 2 + j], alpha_at(k, j % WIDTH, j / WIDTH), 4);
			}
		}
		il_bytes_destroy(&got);
		unlink(params.path);
	}
}

/* Its ten bits of alpha reach the very ends, and its range is always limited. */
static void mov_is_prores_4444(void **state)
{
	size_t frame_size = PIXELS * 4 * 2;
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct il_sink_params params = alpha_params(test_scratch("alpha.mov"), ranges[i]);
		write_alpha(&params, 3);
		assert_string_equal(ffprobe("-show_entries stream=codec_name,profile,codec_tag_string %s", params.path),
		                    "prores,4444,ap4h\n");
		struct il_bytes got = decode(params.path, "", "yuva444p10le", 3 * frame_size);
		for (int k = 0; k < 3; k++) {
			const uint16_t *p = (const uint16_t *)(got.data + (size_t)k * frame_size);
			for (int j = 0; j < PIXELS; j++) {
				int a = alpha_at(k, j % WIDTH, j / WIDTH), y = pixel(k, 0, j % WIDTH, j / WIDTH);
				check_near("alpha", p[3 * PIXELS + j], a << 2 | a >> 6, 0);
				check_near("luma", p[j], i ? 64 + y * 876 / 255 : 4 * y, 12);
				for (int c = 1; c < 3; c++) {
					int u = pixel(k, c, 0, j / WIDTH / 2) - 128;
					check_near("chroma", p[c * PIXELS + j], 512 + (i ? u * 896 / 255 : 4 * u), 8);
				}
			}
		}
		il_bytes_destroy(&got);
		unlink(params.path);
	}
}

static void quicktime_rle_is_exact(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct il_sink_params params = alpha_params(test_scratch("alpha.mov"), ranges[i]);
		params.codec = "qtrle";
		write_alpha(&params, 5);
		struct il_bytes got = decode(params.path, "", "rgba", 5 * PIXELS * 4);
		for (int k = 0; k < 5; k++)
			check_rgb("qtrle", &params.frame, got.data + (size_t)k * PIXELS * 4, k, 6);
		il_bytes_destroy(&got);
		unlink(params.path);
	}
}

static void mkv_is_lossless(void **state)
{
	struct il_sink_params params = alpha_params(test_scratch("alpha.mkv"), INLAY_RANGE_LIMITED);
	size_t frame_size = PIXELS * 5 / 2;
	(void)state;
	write_alpha(&params, 4);
	struct il_bytes got = decode(params.path, "", "yuva420p", 4 * frame_size);
	for (int k = 0; k < 4; k++)
		for (int j = 0; j < PIXELS; j++)
			assert_int_equal(got.data[(size_t)k * frame_size + PIXELS * 3 / 2 + j],
			                 alpha_at(k, j % WIDTH, j / WIDTH));
	il_bytes_destroy(&got);
	unlink(params.path);
}

static void pictures_hold_alpha(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct il_sink_params params = alpha_params(test_scratch("alpha.png"), ranges[i]);
		params.single = true;
		write_alpha(&params, 1);
		struct il_bytes got = decode(params.path, "", "rgba", PIXELS * 4);
		check_rgb("png", &params.frame, got.data, 0, 3);
		il_bytes_destroy(&got);
		unlink(params.path);
	}
}

static void alpha_has_its_files(void **state)
{
	static const struct {
		const char *format, *codec, *text;
	} cases[] = {
		{ "mp4", NULL, "mp4 holds no alpha; these do: webm, mov, mkv, png" },
		{ "y4m", NULL, "y4m holds no alpha" },
		{ "jpg", NULL, "jpg holds no alpha" },
		{ "mjpeg", NULL, "mjpeg holds no alpha" },
		{ "webm", "libvpx", "codec libvpx keeps no alpha plane in webm; expected libvpx-vp9" },
		{ "mov", "libx264", "codec libx264 keeps no alpha plane in mov; expected prores_ks, qtrle" },
		{ "mkv", "libx264", "codec libx264 keeps no alpha plane in mkv; expected ffv1, libvpx-vp9" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct il_sink *sink;
		struct il_sink_params params = alpha_params(test_scratch("no%d"), INLAY_RANGE_LIMITED);
		params.format = cases[i].format;
		params.codec = cases[i].codec;
		assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_UNSUPPORTED, cases[i].text);
		assert_gone(params.path);
	}
}

/* Single pictures */

static struct inlay_frame *random_frame(const struct inlay_frame_info *info)
{
	struct inlay_frame *frame;
	struct inlay_planes planes;
	assert_ok(il_frame_create(&frame, info, &err));
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < il_plane_count(info->format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(info, i, &row_bytes, &rows);
		for (int y = 0; y < rows; y++)
			for (size_t x = 0; x < row_bytes; x++)
				planes.data[i][y * planes.stride[i] + x] = (uint8_t)test_random();
	}
	inlay_frame_unmap(frame);
	return frame;
}

static void colour_pictures_are_exact(void **state)
{
	static const enum inlay_pixfmt formats[] = { INLAY_PIX_BGR24, INLAY_PIX_BGR24A8 };
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct il_sink *sink;
		struct inlay_planes planes;
		struct il_sink_params params = params_for(test_scratch("50%.png"));
		params.frame = (struct inlay_frame_info){ formats[i], 33, 21 };
		params.fps = (struct inlay_rational){ 0, 0 };
		params.single = true;
		struct inlay_frame *frame = random_frame(&params.frame);
		assert_ok(il_sink_open(&sink, &params, &err));
		assert_ok(il_sink_write(sink, frame, &err));
		assert_false(il_path_exists(params.path));
		assert_ok(il_sink_finish(sink, &err));
		il_sink_destroy(&sink);
		struct il_bytes got = decode(params.path, "-f png_pipe", "bgra", 33 * 21 * 4);
		inlay_frame_map(frame, &planes);
		for (int j = 0; j < 33 * 21; j++) {
			int x = j % 33, y = j / 33;
			assert_memory_equal(got.data + j * 4, planes.data[0] + y * planes.stride[0] + 3 * x, 3);
			assert_int_equal(got.data[j * 4 + 3], i ? planes.data[1][y * planes.stride[1] + x] : 255);
		}
		inlay_frame_unmap(frame);
		inlay_frame_destroy(&frame);
		il_bytes_destroy(&got);
		unlink(params.path);
	}
}

static void one_picture_is_one(void **state)
{
	struct il_sink *sink;
	struct il_sink_params params = params_for(test_scratch("one.jpg"));
	(void)state;
	params.frame.format = INLAY_PIX_BGR24;
	params.single = true;
	struct inlay_frame *frame = random_frame(&params.frame);
	assert_ok(il_sink_open(&sink, &params, &err));
	assert_fails(il_sink_finish(sink, &err), INLAY_ERR_INVALID, "no frame was written, expected one");
	il_sink_destroy(&sink);
	assert_gone(params.path);
	assert_ok(il_sink_open(&sink, &params, &err));
	assert_ok(il_sink_write(sink, frame, &err));
	assert_fails(il_sink_write(sink, frame, &err), INLAY_ERR_INVALID, "one.jpg: a second frame, expected one");
	il_sink_destroy(&sink);
	assert_gone(params.path);
	assert_ok(il_sink_open(&sink, &params, &err));
	assert_ok(il_sink_write(sink, frame, &err));
	assert_ok(il_sink_finish(sink, &err));
	il_sink_destroy(&sink);
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_EXISTS, "one.jpg");
	unlink(params.path);
	params.format = "mp4";
	params.frame.format = INLAY_PIX_I420;
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_INVALID, "mp4 holds more than one picture");
	inlay_frame_destroy(&frame);
}

/* Devices */

static void cameras_are_looked_for(void **state)
{
	struct il_sink *sink;
	struct il_sink_params params = params_for("/dev/video4711");
	(void)state;
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_NOT_FOUND, "/dev/video4711: no such device");
	params.path = "/dev/null";
	params.format = "v4l2";
	err = (struct inlay_error){ 0 };
	assert_true(il_is_fault(il_sink_open(&sink, &params, &err)));
	assert_non_null(strstr(err.text, "expected an output device of Video4Linux"));
	const char *file = test_scratch("file");
	assert_ok(il_file_write(file, "x", 1, true, &err));
	params.path = file;
	assert_fails(il_sink_open(&sink, &params, &err), INLAY_ERR_INVALID, "is no device");
	unlink(file);
}

static int warnings;
static char last_warning[1024];

static void count_warnings(void *ctx, enum inlay_log_level level, const char *line)
{
	(void)ctx;
	warnings += level == INLAY_LOG_WARN;
	if (level == INLAY_LOG_WARN)
		snprintf(last_warning, sizeof last_warning, "%s", line);
}

/* Without such a device; with one there is no warning, and the line says so too. */
static void hardware_gives_way_to_software(void **state)
{
	static const char *const codecs[][3] = {
		{ "h264_nvenc", "mp4: libx264 veryfast crf 30", "mp4: h264_nvenc p7 cq 30" },
		{ "hevc_nvenc", "mp4: libx265 veryfast crf 30", "mp4: hevc_nvenc p7 cq 30" },
	};
	(void)state;
	const char *sanitizers = getenv("INLAY_TEST_SANITIZERS");
	int n = sanitizers && strstr(sanitizers, "address") ? 1 : 2; /* libx265 leaks a little each time */
	for (int i = 0; i < n; i++) {
		struct il_sink *sink;
		struct il_sink_params params = params_for(test_scratch("hard.mp4"));
		params.frame.width = params.frame.height = 256;
		params.codec = codecs[i][0];
		params.preset = "p7";
		params.crf = 30;
		warnings = 0;
		assert_ok(il_sink_open(&sink, &params, &err));
		assert_string_equal(il_sink_describe(sink), codecs[i][warnings ? 1 : 2]);
		assert_in_range(warnings, 0, 1);
		if (warnings)
			assert_non_null(strstr(last_warning, i ? "libx265 runs instead" : "libx264 runs instead"));
		il_sink_destroy(&sink);
		write_all(&params, 3);
		check_video(params.path, &params, 3, 25);
		unlink(params.path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(webm_is_vp9_with_alpha),    cmocka_unit_test(mov_is_prores_4444),
		cmocka_unit_test(quicktime_rle_is_exact),    cmocka_unit_test(mkv_is_lossless),
		cmocka_unit_test(pictures_hold_alpha),       cmocka_unit_test(alpha_has_its_files),
		cmocka_unit_test(colour_pictures_are_exact), cmocka_unit_test(one_picture_is_one),
		cmocka_unit_test(cameras_are_looked_for),    cmocka_unit_test(hardware_gives_way_to_software),
	};
	inlay_log_set(count_warnings, NULL, INLAY_LOG_WARN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
