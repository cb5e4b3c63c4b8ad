#include "media/scale.h"

#include <math.h>
#include <stdbool.h>

#include "tests/test.h"

static const struct inlay_colour colours[] = {
	{ INLAY_MATRIX_BT601, INLAY_RANGE_LIMITED, 2, 2 },           { INLAY_MATRIX_BT601, INLAY_RANGE_FULL, 2, 2 },
	{ INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, 2, 2 },           { INLAY_MATRIX_BT709, INLAY_RANGE_FULL, 2, 2 },
	{ INLAY_MATRIX_BT2020, INLAY_RANGE_LIMITED, 2, 2 },          { INLAY_MATRIX_BT2020, INLAY_RANGE_FULL, 2, 2 },
	{ INLAY_MATRIX_UNSPECIFIED, INLAY_RANGE_UNSPECIFIED, 2, 2 },
};
#define COLOURS ((int)(sizeof colours / sizeof *colours))

/* H.273, 8.3, in double precision. Pixels are B, G, R or Y, U, V. */
struct matrix {
	double kr, kb, y_scale, c_scale, black;
};

static struct matrix matrix_of(struct inlay_colour colour)
{
	bool full = colour.range == INLAY_RANGE_FULL;
	struct matrix m = { 0.299, 0.114, full ? 255 : 219, full ? 255 : 224, full ? 0 : 16 };
	if (colour.matrix == INLAY_MATRIX_BT709)
		m.kr = 0.2126, m.kb = 0.0722;
	if (colour.matrix == INLAY_MATRIX_BT2020)
		m.kr = 0.2627, m.kb = 0.0593;
	return m;
}

static void to_yuv(struct inlay_colour colour, const double *bgr, double *yuv)
{
	struct matrix m = matrix_of(colour);
	double b = bgr[0] / 255, g = bgr[1] / 255, r = bgr[2] / 255;
	double y = m.kr * r + (1 - m.kr - m.kb) * g + m.kb * b;
	yuv[0] = m.black + m.y_scale * y;
	yuv[1] = 128 + m.c_scale * (b - y) / (2 * (1 - m.kb));
	yuv[2] = 128 + m.c_scale * (r - y) / (2 * (1 - m.kr));
}

static void to_bgr(struct inlay_colour colour, const double *yuv, double *bgr)
{
	struct matrix m = matrix_of(colour);
	double y = (yuv[0] - m.black) / m.y_scale;
	double u = (yuv[1] - 128) / m.c_scale, v = (yuv[2] - 128) / m.c_scale;
	double b = y + 2 * (1 - m.kb) * u, r = y + 2 * (1 - m.kr) * v;
	bgr[0] = 255 * b;
	bgr[1] = 255 * (y - m.kr * r - m.kb * b) / (1 - m.kr - m.kb);
	bgr[2] = 255 * r;
}

static struct inlay_frame *make_frame(enum inlay_pixfmt format, int width, int height, struct inlay_colour colour)
{
	struct inlay_error err;
	struct inlay_frame *frame;
	const struct inlay_frame_info info = { format, width, height, colour };
	assert_ok(il_frame_create(&frame, &info, &err));
	return frame;
}

static struct inlay_planes planes_of(const struct inlay_frame *frame)
{
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	inlay_frame_unmap(frame);
	return planes;
}

static bool is_bgr(const struct inlay_frame *frame)
{
	enum inlay_pixfmt format = inlay_frame_info(frame)->format;
	return format == INLAY_PIX_BGR24 || format == INLAY_PIX_BGR24A8;
}

/* Value c of the pixel: B, G, R or Y, U, V. */
static uint8_t *value(const struct inlay_frame *frame, int x, int y, int c)
{
	struct inlay_planes p = planes_of(frame);
	if (is_bgr(frame))
		return p.data[0] + y * p.stride[0] + 3 * x + c;
	return c ? p.data[c] + y / 2 * p.stride[c] + x / 2 : p.data[0] + y * p.stride[0] + x;
}

static void fill_constant(const struct inlay_frame *frame, const int *pixel)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	for (int y = 0; y < info->height; y++)
		for (int x = 0; x < info->width; x++)
			for (int c = 0; c < 3; c++)
				*value(frame, x, y, c) = (uint8_t)pixel[c];
}

static void fill_random(const struct inlay_frame *frame)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	for (int y = 0; y < info->height; y++)
		for (int x = 0; x < info->width; x++)
			for (int c = 0; c < 3; c++)
				*value(frame, x, y, c) = (uint8_t)test_random();
}

static void run(const struct inlay_frame *from, const struct inlay_frame *to, enum il_fit fit)
{
	struct inlay_error err;
	struct il_scaler *scaler = NULL;
	assert_ok(il_scaler_create(&scaler, inlay_frame_info(from), inlay_frame_info(to), fit, &err));
	for (int i = 0; i < 2; i++) { /* a second run finds what the first one left */
		assert_ok(il_scaler_run(scaler, from, to, &err));
	}
	il_scaler_destroy(&scaler);
	assert_null(scaler);
}

static void convert_pixel(const struct inlay_frame *from, const struct inlay_frame *to, const int *pixel, double *want)
{
	double in[3] = { pixel[0], pixel[1], pixel[2] }, bgr[3];
	struct inlay_colour source = inlay_frame_info(from)->colour, target = inlay_frame_info(to)->colour;
	if (is_bgr(from))
		memcpy(bgr, in, sizeof bgr);
	else
		to_bgr(source, in, bgr);
	if (is_bgr(to))
		memcpy(want, bgr, sizeof bgr);
	else
		to_yuv(target, bgr, want);
	for (int c = 0; c < 3; c++)
		want[c] = want[c] < 0 ? 0 : want[c] > 255 ? 255 : want[c];
}

/* All of `to` is the converted pixel, or black where the picture leaves a border. Returns how much of it is black. */
static int check_constant(const struct inlay_frame *from, const struct inlay_frame *to, const int *pixel)
{
	const struct inlay_frame_info *info = inlay_frame_info(to);
	const double dark[3] = { 0, 0, 0 };
	double want[3], black[3];
	int border = 0;
	convert_pixel(from, to, pixel, want);
	memcpy(black, dark, sizeof black);
	if (!is_bgr(to))
		to_yuv(info->colour, dark, black);
	bool same = is_bgr(from) && is_bgr(to);
	for (int y = 0; y < info->height; y++)
		for (int x = 0; x < info->width; x++) {
			double off = 0, off_black = 0;
			for (int c = 0; c < 3; c++) {
				off = fmax(off, fabs(*value(to, x, y, c) - want[c]));
				off_black = fmax(off_black, fabs(*value(to, x, y, c) - black[c]));
			}
			if (off > (same ? 0 : 1.01) && off_black > 0)
				fail_msg("%s to %s, matrices %d and %d, ranges %d and %d: %d,%d is %d %d %d, expected "
				         "%.2f %.2f %.2f",
				         il_pixfmt_name(inlay_frame_info(from)->format), il_pixfmt_name(info->format),
				         inlay_frame_info(from)->colour.matrix, info->colour.matrix,
				         inlay_frame_info(from)->colour.range, info->colour.range, x, y,
				         *value(to, x, y, 0), *value(to, x, y, 1), *value(to, x, y, 2), want[0],
				         want[1], want[2]);
			border += off_black == 0 && off > 1.01;
		}
	return border;
}

static const int sizes[][4] = { { 64, 36, 16, 16 }, { 37, 23, 11, 7 }, { 11, 7, 37, 23 },
	                        { 40, 8, 20, 30 },  { 1, 1, 5, 3 },    { 33, 17, 1, 1 } };

/* Pixels that both colours can hold, so that nothing is clipped. */
static void test_constant_stays(void **state)
{
	(void)state;
	static const enum inlay_pixfmt formats[] = { INLAY_PIX_I420, INLAY_PIX_BGR24, INLAY_PIX_YUVA420P,
		                                     INLAY_PIX_BGR24A8 };
	static const int scenes[][3] = { { 255, 255, 255 }, { 0, 0, 0 },     { 255, 0, 0 },  { 0, 255, 0 },
		                         { 0, 0, 255 },     { 200, 90, 33 }, { 17, 77, 250 } };
	for (int f = 0; f < 16; f++)
		for (int a = 0; a < COLOURS; a++)
			for (int k = 0; k < 24; k++) {
				const int *s = sizes[k / 4];
				enum il_fit fit = (enum il_fit)(k % 4);
				struct inlay_frame *from = make_frame(formats[f / 4], s[0], s[1], colours[a]);
				struct inlay_frame *to =
					make_frame(formats[f % 4], s[2], s[3], colours[test_random() % COLOURS]);
				const int *bgr = scenes[test_random() % 7];
				int pixel[3];
				double scene[3] = { bgr[0], bgr[1], bgr[2] }, yuv[3];
				to_yuv(colours[a], scene, yuv);
				for (int c = 0; c < 3; c++)
					pixel[c] = is_bgr(from) ? bgr[c] : (int)lrint(fmin(yuv[c], 255));
				fill_constant(from, pixel);
				memset(planes_of(to).data[0], 99, (size_t)planes_of(to).stride[0] * (size_t)s[3]);
				run(from, to, fit);
				int border = check_constant(from, to, pixel);
				if (fit != IL_FIT_FIT)
					assert_int_equal(border, 0);
				inlay_frame_destroy(&from);
				inlay_frame_destroy(&to);
			}
}

/* Random pictures of every colour at their own size, against the formula; chroma is even in blocks of 4 x 4, so that
 * its interpolation has nothing to do in the middle of one. */
static void test_colours(void **state)
{
	(void)state;
	for (int a = 0; a < COLOURS; a++) {
		struct inlay_frame *from = make_frame(INLAY_PIX_I420, 256, 64, colours[a]);
		struct inlay_frame *to = make_frame(INLAY_PIX_BGR24, 256, 64, colours[0]);
		fill_random(from);
		for (int y = 0; y < 64; y++)
			for (int x = 0; x < 256; x++)
				for (int c = 1; c < 3; c++)
					*value(from, x, y, c) = *value(from, x & ~7, y & ~7, c);
		run(from, to, IL_FIT_STRETCH);
		for (int y = 3; y < 64; y += 8)
			for (int x = 3; x < 256; x++) {
				if (x % 8 < 3 || x % 8 > 4)
					continue;
				double want[3];
				int pixel[3];
				for (int c = 0; c < 3; c++)
					pixel[c] = *value(from, x, y, c);
				convert_pixel(from, to, pixel, want);
				for (int c = 0; c < 3; c++)
					assert_true(fabs(*value(to, x, y, c) - want[c]) <= 1.01);
			}
		inlay_frame_destroy(&from);
		inlay_frame_destroy(&to);
	}
}

/* How much of pixel i lies between the edges a and b. */
static double share(int i, double a, double b)
{
	double left = fmax(i, a), right = fmin(i + 1, b);
	return right > left ? right - left : 0;
}

static double area_mean(const struct inlay_frame *from, int c, double x0, double x1, double y0, double y1)
{
	double sum = 0;
	for (int y = (int)y0; y < ceil(y1); y++)
		for (int x = (int)x0; x < ceil(x1); x++)
			sum += *value(from, x, y, c) * share(x, x0, x1) * share(y, y0, y1);
	return sum / ((x1 - x0) * (y1 - y0));
}

static void test_shrinking_is_the_mean(void **state)
{
	(void)state;
	static const int cases[][4] = {
		{ 97, 61, 31, 17 }, { 97, 61, 96, 60 }, { 640, 40, 7, 40 }, { 40, 640, 40, 1 }, { 1000, 700, 3, 2 }
	};
	for (int i = 0; i < 5; i++) {
		const int *s = cases[i];
		struct inlay_frame *from = make_frame(INLAY_PIX_BGR24, s[0], s[1], colours[0]);
		struct inlay_frame *to = make_frame(INLAY_PIX_BGR24, s[2], s[3], colours[0]);
		fill_random(from);
		run(from, to, IL_FIT_STRETCH);
		double x_step = (double)s[0] / s[2], y_step = (double)s[1] / s[3];
		for (int y = 0; y < s[3]; y++)
			for (int x = 0; x < s[2]; x++)
				for (int c = 0; c < 3; c++) {
					double want = area_mean(from, c, x * x_step, fmin((x + 1) * x_step, s[0]),
					                        y * y_step, fmin((y + 1) * y_step, s[1]));
					if (fabs(*value(to, x, y, c) - want) > 1.5)
						fail_msg("%dx%d to %dx%d: %d,%d is %d, expected %.2f", s[0], s[1], s[2],
						         s[3], x, y, *value(to, x, y, c), want);
				}
		inlay_frame_destroy(&from);
		inlay_frame_destroy(&to);
	}
}

static double mean_of(const struct inlay_frame *frame, int c)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	double sum = 0;
	for (int y = 0; y < info->height; y++)
		for (int x = 0; x < info->width; x++)
			sum += *value(frame, x, y, c);
	return sum / ((double)info->width * info->height);
}

static void test_mean_is_kept(void **state)
{
	(void)state;
	struct inlay_frame *from = make_frame(INLAY_PIX_I420, 480, 270, colours[2]);
	struct inlay_frame *to = make_frame(INLAY_PIX_I420, 64, 64, colours[2]);
	fill_random(from);
	run(from, to, IL_FIT_STRETCH);
	for (int c = 0; c < 3; c++)
		assert_true(fabs(mean_of(from, c) - mean_of(to, c)) < 0.3);
	inlay_frame_destroy(&from);
	inlay_frame_destroy(&to);
}

static void test_gradient_keeps_its_ends(void **state)
{
	(void)state;
	static const int widths[] = { 20, 257, 256, 300, 1000 };
	for (int i = 0; i < 5; i++)
		for (int format = 0; format < 2; format++) {
			enum inlay_pixfmt pixfmt = format ? INLAY_PIX_BGR24 : INLAY_PIX_I420;
			struct inlay_frame *from = make_frame(pixfmt, 256, 8, colours[1]);
			struct inlay_frame *to = make_frame(pixfmt, widths[i], 21, colours[1]);
			for (int y = 0; y < 8; y++)
				for (int x = 0; x < 256; x++)
					for (int c = 0; c < 3; c++)
						*value(from, x, y, c) = (uint8_t)x;
			run(from, to, IL_FIT_STRETCH);
			int slack = widths[i] < 256 ? 128 / widths[i] + 1 : 1;
			for (int y = 0; y < 21; y++) {
				assert_true(*value(to, 0, y, 0) <= slack);
				assert_true(*value(to, widths[i] - 1, y, 0) >= 255 - slack);
				for (int x = 1; x < widths[i]; x++)
					assert_true(*value(to, x, y, 0) >= *value(to, x - 1, y, 0));
			}
			inlay_frame_destroy(&from);
			inlay_frame_destroy(&to);
		}
}

static void test_tile_repeats(void **state)
{
	(void)state;
	static const int cases[][4] = { { 16, 12, 50, 40 }, { 7, 5, 50, 41 }, { 60, 60, 31, 33 }, { 1, 1, 9, 9 } };
	for (int i = 0; i < 8; i++) {
		const int *s = cases[i % 4];
		enum inlay_pixfmt format = i < 4 ? INLAY_PIX_BGR24 : INLAY_PIX_I420;
		struct inlay_frame *from = make_frame(format, s[0], s[1], colours[0]);
		struct inlay_frame *to = make_frame(format, s[2], s[3], colours[0]);
		fill_random(from);
		run(from, to, IL_FIT_TILE);
		for (int y = 0; y < s[3]; y++)
			for (int x = 0; x < s[2]; x++) {
				assert_int_equal(*value(to, x, y, 0), *value(from, x % s[0], y % s[1], 0));
				/* Chroma belongs to the first pixel of its four. */
				int cx = i < 4 ? x : x & ~1, cy = i < 4 ? y : y & ~1;
				assert_int_equal(*value(to, x, y, 2), *value(from, cx % s[0], cy % s[1], 2));
			}
		inlay_frame_destroy(&from);
		inlay_frame_destroy(&to);
	}
}

/* A picture with a bright left and a dark right half, 80 x 20, into squares. */
static void test_fit_and_fill(void **state)
{
	(void)state;
	for (int format = 0; format < 2; format++) {
		enum inlay_pixfmt pixfmt = format ? INLAY_PIX_BGR24 : INLAY_PIX_I420;
		struct inlay_frame *from = make_frame(pixfmt, 80, 20, colours[0]);
		struct inlay_frame *to = make_frame(pixfmt, 40, 40, colours[0]);
		for (int y = 0; y < 20; y++)
			for (int x = 0; x < 80; x++)
				*value(from, x, y, 0) = x < 40 ? 200 : 100;
		run(from, to, IL_FIT_FIT); /* 40 x 10 in the middle, at half the size */
		int first = format ? 15 : 14, black = format ? 0 : 16;
		for (int y = 0; y < 40; y++)
			for (int x = 0; x < 40; x++)
				assert_int_equal(*value(to, x, y, 0), y < first || y >= first + 10 ? black
				                                      : x < 20                     ? 200
				                                                                   : 100);
		run(from, to, IL_FIT_FILL); /* columns 30 to 50, at twice the size */
		for (int y = 0; y < 40; y++) {
			for (int x = 0; x < 18; x++)
				assert_int_equal(*value(to, x, y, 0), 200);
			for (int x = 22; x < 40; x++)
				assert_int_equal(*value(to, x, y, 0), 100);
		}
		inlay_frame_destroy(&from);
		inlay_frame_destroy(&to);
	}
}

static void test_bad_input(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_scaler *scaler = NULL;
	const struct inlay_frame_info good = { INLAY_PIX_I420, 8, 8, colours[0] };
	const struct inlay_frame_info grey = { INLAY_PIX_GRAY8, 8, 8, colours[0] };
	const struct inlay_frame_info none = { INLAY_PIX_I420, 0, 8, colours[0] };
	assert_fails(il_scaler_create(&scaler, &grey, &good, IL_FIT_FIT, &err), INLAY_ERR_INVALID, "gray8");
	assert_fails(il_scaler_create(&scaler, &good, &none, IL_FIT_FIT, &err), INLAY_ERR_INVALID, "0x8");
	assert_null(scaler);
	struct inlay_frame *frame = make_frame(INLAY_PIX_I420, 8, 6, colours[0]);
	assert_ok(il_scaler_create(&scaler, &good, &good, IL_FIT_FIT, &err));
	assert_fails(il_scaler_run(scaler, frame, frame, &err), INLAY_ERR_INVALID, "got 8x6");
	inlay_frame_destroy(&frame);
	il_scaler_destroy(&scaler);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_constant_stays),
		cmocka_unit_test(test_colours),
		cmocka_unit_test(test_shrinking_is_the_mean),
		cmocka_unit_test(test_mean_is_kept),
		cmocka_unit_test(test_gradient_keeps_its_ends),
		cmocka_unit_test(test_tile_repeats),
		cmocka_unit_test(test_fit_and_fill),
		cmocka_unit_test(test_bad_input),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
