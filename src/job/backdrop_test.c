#include "job/backdrop.h"

#include "media/ffmpeg_test.h"
#include "tests/test.h"

static struct inlay_error err;

/* Runs ffmpeg, which writes what is read here. */
static const char *made(const char *name, const char *options)
{
	const char *path = test_scratch(name);
	ffmpeg("%s '%s'", options, path);
	return path;
}

static struct inlay_frame_info info_of(enum inlay_matrix matrix, enum inlay_range range, int width, int height)
{
	return (struct inlay_frame_info){ INLAY_PIX_I420, width, height, { matrix, range, 2, 2 } };
}

static struct il_backdrop *open_with(const char *what, enum inlay_fit fit, const struct inlay_frame_info *info)
{
	struct inlay_matte_settings settings;
	struct il_backdrop *backdrop;
	inlay_matte_settings_init(&settings, INLAY_MATTE_FAST);
	settings.background = (char *)what;
	settings.fit = fit;
	assert_ok(il_backdrop_open(&backdrop, &settings, info, 1, &err));
	return backdrop;
}

static int luma(const struct inlay_frame *frame, int x, int y)
{
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	int value = planes.data[0][y * planes.stride[0] + x];
	inlay_frame_unmap(frame);
	return value;
}

static int shown_at(struct il_backdrop *backdrop, double seconds)
{
	struct inlay_frame *frame = NULL;
	assert_ok(il_backdrop_at(backdrop, seconds, &frame, &err));
	assert_non_null(frame);
	int value = luma(frame, 8, 8);
	inlay_frame_destroy(&frame);
	return value;
}

static void assert_near(int found, int expected, int most)
{
	if (abs(found - expected) > most)
		fail_msg("%d is not within %d of %d", found, most, expected);
}

/* Values of ITU-R BT.601 and BT.709 for pure colours, as their tables print them. */
static void colours_follow_the_frames_tags(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum inlay_matrix matrix;
		enum inlay_range range;
		int yuv[3];
	} cases[] = {
		{ "red", INLAY_MATRIX_SMPTE170M, INLAY_RANGE_LIMITED, { 81, 90, 240 } },
		{ "red", INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, { 63, 102, 240 } },
		{ "red", INLAY_MATRIX_SMPTE170M, INLAY_RANGE_FULL, { 76, 85, 255 } },
		{ "#0000ff", INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, { 32, 240, 118 } },
		{ "lime", INLAY_MATRIX_SMPTE170M, INLAY_RANGE_LIMITED, { 145, 54, 34 } },
		{ "white", INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, { 235, 128, 128 } },
		{ "white", INLAY_MATRIX_BT2020, INLAY_RANGE_FULL, { 255, 128, 128 } },
		{ NULL, INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, { 16, 128, 128 } },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct inlay_frame_info info = info_of(cases[i].matrix, cases[i].range, 33, 17);
		struct il_backdrop *backdrop = open_with(cases[i].name, INLAY_FIT_FILL, &info);
		const struct il_matte_background fill = il_backdrop_fill(backdrop);
		struct inlay_frame *frame = NULL;
		assert_int_equal(fill.fill, IL_FILL_COLOUR);
		for (int c = 0; c < 3; c++)
			assert_near(fill.constant[c], cases[i].yuv[c], 1);
		assert_ok(il_backdrop_at(backdrop, 0, &frame, &err));
		assert_null(frame);
		il_backdrop_destroy(&backdrop);
	}
	const struct inlay_frame_info bgr = { .format = INLAY_PIX_BGR24, .width = 3, .height = 3 };
	struct il_backdrop *backdrop = open_with("#102030", INLAY_FIT_FILL, &bgr);
	const struct il_matte_background fill = il_backdrop_fill(backdrop);
	assert_memory_equal(fill.constant, ((uint8_t[]){ 0x30, 0x20, 0x10 }), 3);
	il_backdrop_destroy(&backdrop);
}

/* 100x100, black left and white right, behind frames of 200x100. */
static void pictures_take_the_shape_that_is_asked_for(void **state)
{
	(void)state;
	const char *path = made("halves.png", "-f lavfi -i color=black:s=50x100,format=rgb24 -f lavfi -i "
	                                      "color=white:s=50x100,format=rgb24 -filter_complex hstack -frames:v 1");
	static const struct {
		enum inlay_fit fit;
		int x, level;
	} cases[] = {
		{ INLAY_FIT_STRETCH, 90, 16 }, { INLAY_FIT_STRETCH, 110, 235 }, { INLAY_FIT_FILL, 90, 16 },
		{ INLAY_FIT_FILL, 110, 235 },  { INLAY_FIT_FIT, 20, 16 },       { INLAY_FIT_FIT, 90, 16 },
		{ INLAY_FIT_FIT, 110, 235 },   { INLAY_FIT_FIT, 145, 235 },     { INLAY_FIT_FIT, 180, 16 },
		{ INLAY_FIT_TILE, 20, 16 },    { INLAY_FIT_TILE, 80, 235 },     { INLAY_FIT_TILE, 120, 16 },
		{ INLAY_FIT_TILE, 180, 235 },
	};
	const struct inlay_frame_info info = info_of(INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, 200, 100);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct il_backdrop *backdrop = open_with(path, cases[i].fit, &info);
		struct inlay_frame *frame = NULL;
		assert_ok(il_backdrop_at(backdrop, 7, &frame, &err));
		for (int y = 0; y < 100; y += 99)
			assert_near(luma(frame, cases[i].x, y), cases[i].level, 2);
		inlay_frame_destroy(&frame);
		il_backdrop_destroy(&backdrop);
	}
	/* A tile that is larger than the frame fills it to the last pixel of an odd size. */
	const struct inlay_frame_info odd = info_of(INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, 71, 33);
	struct il_backdrop *backdrop = open_with(path, INLAY_FIT_TILE, &odd);
	struct inlay_frame *frame = NULL;
	assert_ok(il_backdrop_at(backdrop, 0, &frame, &err));
	assert_near(luma(frame, 20, 32), 16, 2);
	assert_near(luma(frame, 70, 32), 235, 2);
	inlay_frame_destroy(&frame);
	il_backdrop_destroy(&backdrop);
	/* Libraries end at 16 bits: three planes of this one under each other would not fit. */
	const char *tall = made("tall.png", "-f lavfi -i color=white:s=20x12000 -frames:v 1");
	backdrop = open_with(tall, INLAY_FIT_STRETCH, &odd);
	assert_near(shown_at(backdrop, 0), 235, 1);
	il_backdrop_destroy(&backdrop);
	const struct inlay_frame_info tiny = info_of(INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, 9, 9);
	backdrop = open_with(tall, INLAY_FIT_STRETCH, &tiny); /* 1333 rows become one */
	assert_near(shown_at(backdrop, 0), 235, 2);
	il_backdrop_destroy(&backdrop);
	assert_int_equal(remove(tall), 0);
	assert_int_equal(remove(path), 0);
}

/* Five greys at 10 a second: what is shown is known by the time, whatever the frames' rate. */
static void videos_keep_their_own_time_and_repeat(void **state)
{
	(void)state;
	const char *path = made("greys.mkv", "-f lavfi -i nullsrc=s=64x64:r=10,format=gray,geq=lum='40+30*N' -t 0.5 "
	                                     "-pix_fmt yuv420p -c:v ffv1");
	const struct inlay_frame_info info = info_of(INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, 64, 64);
	struct il_backdrop *backdrop = open_with(path, INLAY_FIT_STRETCH, &info);
	int levels[5];
	for (int k = 0; k < 5; k++)
		levels[k] = shown_at(backdrop, 0.1 * k + 0.01);
	for (int k = 1; k < 5; k++)
		assert_in_range(levels[k] - levels[k - 1], 24, 32); /* range may be squeezed */
	for (int k = 0; k < 40; k++) {                              /* 30 a second, from the second round on */
		const double seconds = 0.5 + (k + 0.5) / 30;
		assert_int_equal(shown_at(backdrop, seconds), levels[(int)(seconds * 10) % 5]);
	}
	/* A gap of years costs no more than a round, and the time counts as before. */
	for (int k = 0; k < 5; k++)
		assert_int_equal(shown_at(backdrop, 1e8 + 0.1 * k + 0.05), levels[k]);
	il_backdrop_destroy(&backdrop);
	/* The second time is the same as the first one, from another start. */
	backdrop = open_with(path, INLAY_FIT_STRETCH, &info);
	assert_int_equal(shown_at(backdrop, 1e8 + 0.35), levels[3]);
	il_backdrop_destroy(&backdrop);
	assert_int_equal(remove(path), 0);
}

/* Frames at 0, 1, 4, 9, 16 tenths: each stands until the next one's time. */
static void variable_rates_are_kept(void **state)
{
	(void)state;
	const char *path = made("vfr.mkv", "-f lavfi -i nullsrc=s=64x64:r=10,format=gray,geq=lum='40+30*N' -t 0.5 -vf "
	                                   "\"setpts='N*N*0.1/TB'\" -fps_mode passthrough -pix_fmt yuv420p -c:v ffv1");
	static const struct {
		double seconds;
		int frame;
	} cases[] = { { 0, 0 },     { 0.05, 0 }, { 0.1, 1 },  { 0.2, 1 }, { 0.39, 1 },
		      { 0.401, 2 }, { 0.89, 2 }, { 0.91, 3 }, { 1.5, 3 }, { 1.61, 4 } };
	const struct inlay_frame_info info = info_of(INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, 64, 64);
	struct il_backdrop *backdrop = open_with(path, INLAY_FIT_STRETCH, &info);
	int first = shown_at(backdrop, 0), last = first, frame = 0;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const int level = shown_at(backdrop, cases[i].seconds);
		frame += level > last;
		assert_int_equal(frame, cases[i].frame);
		last = level;
	}
	/* The last one stands for one frame's mean time, which is above 0 and below 1 s; then comes a new round. */
	double seconds = 1.62;
	while (seconds < 2.7 && shown_at(backdrop, seconds) != first)
		seconds += 0.01;
	assert_true(seconds > 1.63 && seconds < 2.6);
	il_backdrop_destroy(&backdrop);
	assert_int_equal(remove(path), 0);
}

static void what_cannot_lie_behind_is_named(void **state)
{
	(void)state;
	const struct inlay_frame_info info = info_of(INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, 64, 64);
	struct inlay_matte_settings settings;
	struct il_backdrop *backdrop;
	inlay_matte_settings_init(&settings, INLAY_MATTE_FAST);
	settings.background = (char *)"no_such_file.png";
	assert_fails(il_backdrop_open(&backdrop, &settings, &info, 1, &err), INLAY_ERR_NOT_FOUND, "no_such_file.png");
	assert_null(backdrop);
	settings.background = (char *)"red@0.5";
	assert_fails(il_backdrop_open(&backdrop, &settings, &info, 1, &err), INLAY_ERR_NOT_FOUND, "no colour");
	const char *path = made("tone.wav", "-f lavfi -i sine=440:duration=0.1");
	settings.background = (char *)path;
	assert_fails(il_backdrop_open(&backdrop, &settings, &info, 1, &err), INLAY_ERR_FORMAT, "no video");
	struct inlay_frame *frame = NULL;
	assert_fails(il_backdrop_plate(&frame, path, &info, &err), INLAY_ERR_FORMAT, "no video");
	assert_null(frame);
	assert_int_equal(remove(path), 0);
	il_backdrop_destroy(&backdrop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(colours_follow_the_frames_tags),
		cmocka_unit_test(pictures_take_the_shape_that_is_asked_for),
		cmocka_unit_test(videos_keep_their_own_time_and_repeat),
		cmocka_unit_test(variable_rates_are_kept),
		cmocka_unit_test(what_cannot_lie_behind_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
