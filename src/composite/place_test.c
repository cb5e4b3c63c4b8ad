#include "tests/test.h"

#include <math.h>

#include "composite/place.h"

static const enum inlay_matrix matrices[] = { INLAY_MATRIX_UNSPECIFIED, INLAY_MATRIX_BT601, INLAY_MATRIX_SMPTE170M,
	                                      INLAY_MATRIX_BT709, INLAY_MATRIX_BT2020 };
static const enum inlay_range ranges[] = { INLAY_RANGE_UNSPECIFIED, INLAY_RANGE_LIMITED, INLAY_RANGE_FULL };

#define COLOURS 15

static struct inlay_colour colour_number(int i)
{
	return (struct inlay_colour){ matrices[i / 3], ranges[i % 3], 2, 2 };
}

static int random_in(int from, int to)
{
	return from + (int)(test_random() % (uint32_t)(to - from + 1));
}

static struct inlay_frame *make_frame(enum inlay_pixfmt format, int width, int height, struct inlay_colour colour)
{
	struct inlay_error err;
	struct inlay_frame_info info = { format, width, height, colour };
	struct inlay_frame *frame;
	assert_ok(il_frame_create(&frame, &info, &err));
	return frame;
}

/* Every byte of every plane, the space between rows too, so that a stray write there is found as well. */
static void fill_random(struct inlay_frame *frame)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < il_plane_count(info->format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(info, i, &row_bytes, &rows);
		for (ptrdiff_t k = 0; k < planes.stride[i] * rows; k++)
			planes.data[i][k] = (uint8_t)(test_random() >> 9);
	}
}

/* Slow waves, as a face has more of than of noise. */
static void fill_smooth(struct inlay_frame *frame)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < 3; i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(info, i, &row_bytes, &rows);
		double step = i ? 0.06 : 0.03, swing = i ? 20 : 60; /* no colour outside RGB */
		for (int y = 0; y < rows; y++)
			for (size_t x = 0; x < row_bytes; x++)
				planes.data[i][y * planes.stride[i] + (ptrdiff_t)x] =
					(uint8_t)lrint(128 + swing * sin(step * ((double)x + i)) * cos(step * y));
	}
}

static struct il_place *make_place(int size, enum il_interp interp)
{
	struct inlay_error err;
	struct il_place *place;
	assert_ok(il_place_create(&place, size, interp, &err));
	return place;
}

static uint8_t *random_bytes(size_t n)
{
	uint8_t *bytes = malloc(n);
	assert_non_null(bytes);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(test_random() >> 9);
	return bytes;
}

/* Any rectangle: often tiny, often touching an edge. */
static struct inlay_rect random_rect(int width, int height)
{
	int limit_x = test_random() % 3 ? width : width < 3 ? width : 3;
	int limit_y = test_random() % 3 ? height : height < 3 ? height : 3;
	int w = random_in(1, limit_x), h = random_in(1, limit_y);
	int x = random_in(0, width - w), y = random_in(0, height - h);
	switch (test_random() % 4) {
	case 0:
		x = 0;
		y = 0;
		break;
	case 1:
		x = width - w;
		y = height - h;
		break;
	default: break;
	}
	return (struct inlay_rect){ x, y, x + w, y + h };
}

static void check_box(int size, int last_x, int last_y)
{
	struct il_place *place = make_place(size, IL_INTERP_LINEAR);
	size_t area = (size_t)(size * size);
	float *planes = malloc(6 * area * sizeof *planes);
	uint8_t *crop = malloc(il_place_crop_bytes(place));
	memset(crop, 255, il_place_crop_bytes(place));
	il_place_picture(place, crop, planes);
	for (int c = 0; c < 6; c++)
		for (int y = 0; y < size; y++)
			for (int x = 0; x < size; x++) {
				int black = c >= 3 && x >= 5 && x <= last_x && y >= 5 && y <= last_y;
				assert_true(planes[(size_t)c * area + (size_t)(y * size + x)] == (black ? 0.0f : 1.0f));
			}
	free(planes);
	free(crop);
	il_place_destroy(&place);
}

static void picture_blackens_the_mouth(void **state)
{
	(void)state;
	check_box(320, 310, 305);
	check_box(160, 150, 145);
}

static void mouth_fills_the_roi_only(void **state)
{
	(void)state;
	struct il_place *place = make_place(32, IL_INTERP_LINEAR);
	assert_int_equal(il_place_crop_bytes(place), 40 * 40 * 3);
	uint8_t *crop = random_bytes(40 * 40 * 3), *before = malloc(40 * 40 * 3);
	memcpy(before, crop, 40 * 40 * 3);
	float planes[3 * 32 * 32];
	for (int i = 0; i < 3 * 32 * 32; i++)
		planes[i] = (float)(i % 251) / 250.0f;
	il_place_mouth(place, crop, planes);
	for (int i = 0; i < 40 * 40 * 3; i++) {
		int x = i / 3 % 40 - 4, y = i / 120 - 4, inside = x >= 0 && x < 32 && y >= 0 && y < 32;
		int expected = before[i];
		if (inside)
			expected = (int)(255.0f * planes[i % 3 * 32 * 32 + y * 32 + x]);
		assert_int_equal(crop[i], expected);
	}
	free(crop);
	free(before);
	il_place_destroy(&place);
}

/* H.273 in double precision, B G R 0..255 to Y Cb Cr unrounded. */
static void defined_yuv(struct inlay_colour colour, const double bgr[3], double yuv[3])
{
	double kr = 0.299, kb = 0.114;
	if (colour.matrix == INLAY_MATRIX_BT709) {
		kr = 0.2126;
		kb = 0.0722;
	} else if (colour.matrix == INLAY_MATRIX_BT2020) {
		kr = 0.2627;
		kb = 0.0593;
	}
	int full = colour.range == INLAY_RANGE_FULL;
	double y = kr * bgr[2] + (1 - kr - kb) * bgr[1] + kb * bgr[0];
	double c_scale = full ? 1 : 224.0 / 255;
	yuv[0] = full ? y : 16 + y * 219 / 255;
	yuv[1] = 128 + (bgr[0] - y) / (2 * (1 - kb)) * c_scale;
	yuv[2] = 128 + (bgr[2] - y) / (2 * (1 - kr)) * c_scale;
}

/* The inverse, by its own way: solved for R and B first. */
static void defined_bgr(struct inlay_colour colour, const double yuv[3], double bgr[3])
{
	const double white[3] = { 255, 255, 255 }, blue[3] = { 255, 0, 0 }, red[3] = { 0, 0, 255 };
	double w[3], b[3], r[3];
	defined_yuv(colour, white, w);
	defined_yuv(colour, blue, b);
	defined_yuv(colour, red, r);
	double black = colour.range == INLAY_RANGE_FULL ? 0 : 16, kb = (b[0] - black) / (w[0] - black);
	double kr = (r[0] - black) / (w[0] - black), y = (yuv[0] - black) / (w[0] - black) * 255;
	bgr[0] = y + (yuv[1] - 128) / (b[1] - 128) * (1 - kb) * 255;
	bgr[2] = y + (yuv[2] - 128) / (r[2] - 128) * (1 - kr) * 255;
	bgr[1] = (y - kb * bgr[0] - kr * bgr[2]) / (1 - kb - kr);
	for (int c = 0; c < 3; c++)
		bgr[c] = bgr[c] < 0 ? 0 : bgr[c] > 255 ? 255 : bgr[c];
}

/* Chroma of pixel (x, y), bilinear between samples that lie in the middle of their 2 x 2 pixels. */
static double chroma_at(const struct inlay_planes *planes, int i, int x, int y, int plane_width, int plane_height)
{
	double fx = (x - 0.5) / 2, fy = (y - 0.5) / 2, sum = 0;
	int x0 = (int)floor(fx), y0 = (int)floor(fy);
	for (int k = 0; k < 4; k++) {
		int sx = x0 + k % 2, sy = y0 + k / 2;
		double weight = (1 - fabs(fx - sx)) * (1 - fabs(fy - sy));
		sx = sx < 0 ? 0 : sx >= plane_width ? plane_width - 1 : sx;
		sy = sy < 0 ? 0 : sy >= plane_height ? plane_height - 1 : sy;
		sum += weight * planes->data[i][sy * planes->stride[i] + sx];
	}
	return sum;
}

/* The whole of an I420 frame converted in double precision. */
static void convert_frame(struct inlay_frame *bgr, const struct inlay_frame *frame)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	struct inlay_planes from, to;
	inlay_frame_map(frame, &from);
	inlay_frame_map(bgr, &to);
	for (int y = 0; y < info->height; y++)
		for (int x = 0; x < info->width; x++) {
			double yuv[3] = { from.data[0][y * from.stride[0] + x] }, value[3];
			for (int i = 1; i < 3; i++)
				yuv[i] = chroma_at(&from, i, x, y, (info->width + 1) / 2, (info->height + 1) / 2);
			defined_bgr(info->colour, yuv, value);
			for (int c = 0; c < 3; c++)
				to.data[0][y * to.stride[0] + 3 * x + c] = (uint8_t)lrint(value[c]);
		}
}

static void crop_equals_converted_frame(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_place *place = make_place(40, IL_INTERP_LINEAR);
	size_t bytes = il_place_crop_bytes(place), off_by_one = 0;
	uint8_t *crop = malloc(bytes), *expected = malloc(bytes);
	for (int round = 0; round < 20 * COLOURS; round++) {
		int width = random_in(1, 70), height = random_in(1, 70);
		struct inlay_colour colour = colour_number(round % COLOURS);
		struct inlay_frame *frame = make_frame(INLAY_PIX_I420, width, height, colour);
		struct inlay_frame *bgr = make_frame(INLAY_PIX_BGR24, width, height, colour);
		fill_random(frame);
		convert_frame(bgr, frame);
		struct inlay_rect rect = random_rect(width, height);
		assert_ok(il_place_crop(place, frame, rect, crop, &err));
		assert_ok(il_place_crop(place, bgr, rect, expected, &err));
		for (size_t i = 0; i < bytes; i++) {
			off_by_one += crop[i] != expected[i];
			if (abs(crop[i] - expected[i]) > 2) /* two neighbours off by one, and a dropped bit */
				fail_msg("colour %d, byte %zu: %d, expected %d", round % COLOURS, i, crop[i],
				         expected[i]);
		}
		inlay_frame_destroy(&frame);
		inlay_frame_destroy(&bgr);
	}
	/* Weights of 1/8192 decide a few close calls the other way. */
	if (off_by_one * 100 > bytes * 20 * COLOURS)
		fail_msg("%zu bytes of %zu off by one", off_by_one, bytes * 20 * COLOURS);
	free(crop);
	free(expected);
	il_place_destroy(&place);
}

/* What drawing into an I420 frame should give: the same crop drawn into a BGR frame, then converted. */
struct scene {
	struct inlay_frame *frame, *before, *bgr;
	struct inlay_planes now, old, drawn;
	struct inlay_rect rect;
	const uint8_t *keep;
	int width, height;
	long samples, off_by_one;
};

static int is_drawn(const struct scene *s, int x, int y)
{
	const struct inlay_rect *r = &s->rect;
	if (x < r->x0 || x >= r->x1 || y < r->y0 || y >= r->y1)
		return 0;
	return !s->keep || !s->keep[(y - r->y0) * (r->x1 - r->x0) + x - r->x0];
}

/* The mean of the pixels in x0..x1, y0..y1 that the frame has, if all of them were drawn. */
static int mean_drawn(const struct scene *s, int x0, int y0, int x1, int y1, double mean[3])
{
	int n = 0;
	mean[0] = mean[1] = mean[2] = 0;
	for (int y = y0; y <= y1 && y < s->height; y++)
		for (int x = x0; x <= x1 && x < s->width; x++, n++) {
			if (!is_drawn(s, x, y))
				return 0;
			for (int c = 0; c < 3; c++)
				mean[c] += s->drawn.data[0][y * s->drawn.stride[0] + 3 * x + c];
		}
	for (int c = 0; c < 3; c++)
		mean[c] /= n;
	return 1;
}

/* Every byte of plane i, also those between the rows. */
static void check_plane(struct scene *s, int i)
{
	const struct inlay_frame_info *info = inlay_frame_info(s->frame);
	size_t row_bytes;
	int rows, size = i ? 2 : 1;
	il_plane_size(info, i, &row_bytes, &rows);
	for (int y = 0; y < rows; y++)
		for (ptrdiff_t x = 0; x < s->now.stride[i]; x++) {
			int found = s->now.data[i][y * s->now.stride[i] + x];
			int old = s->old.data[i][y * s->old.stride[i] + x];
			double bgr[3], yuv[3];
			int fx = (int)x * size, fy = y * size;
			if (x >= (ptrdiff_t)row_bytes || !mean_drawn(s, fx, fy, fx + size - 1, fy + size - 1, bgr)) {
				if (found != old)
					fail_msg("plane %d (%td,%d) changed outside the drawing", i, x, y);
				continue;
			}
			defined_yuv(info->colour, bgr, yuv);
			int expected = (int)lrint(yuv[i] > 255 ? 255 : yuv[i]);
			s->samples++;
			s->off_by_one += found != expected;
			if (abs(found - expected) > 1)
				fail_msg("plane %d (%td,%d) of %dx%d: %d, expected %.2f", i, x, y, s->width, s->height,
				         found, yuv[i]);
		}
}

/* Runs of pixels, as a parsing mask has them. */
static uint8_t *random_keep(struct inlay_rect rect)
{
	int n = (rect.x1 - rect.x0) * (rect.y1 - rect.y0);
	uint8_t *keep = malloc((size_t)n);
	assert_non_null(keep);
	for (int i = 0, value = 0; i < n; i++) {
		if (test_random() % 6 == 0)
			value = test_random() % 2 ? 255 : 0;
		keep[i] = (uint8_t)value;
	}
	return keep;
}

static void draw_i420_equals_bgr_converted(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_place *place = make_place(24, IL_INTERP_LINEAR);
	struct scene s = { 0 };
	for (int round = 0; round < 60 * COLOURS; round++) {
		struct inlay_colour colour = colour_number(round % COLOURS);
		s.width = random_in(1, 60);
		s.height = random_in(1, 60);
		s.rect = random_rect(s.width, s.height);
		s.frame = make_frame(INLAY_PIX_I420, s.width, s.height, colour);
		s.before = make_frame(INLAY_PIX_I420, s.width, s.height, colour);
		s.bgr = make_frame(INLAY_PIX_BGR24, s.width, s.height, colour);
		fill_random(s.frame);
		inlay_frame_map(s.frame, &s.now);
		inlay_frame_map(s.before, &s.old);
		inlay_frame_map(s.bgr, &s.drawn);
		for (int i = 0; i < 3; i++)
			memcpy(s.old.data[i], s.now.data[i],
			       (size_t)s.now.stride[i] * (size_t)(i ? (s.height + 1) / 2 : s.height));
		uint8_t *crop = random_bytes(il_place_crop_bytes(place));
		uint8_t *keep = round % 2 ? random_keep(s.rect) : NULL;
		s.keep = keep;
		assert_ok(il_place_draw(place, s.bgr, s.rect, crop, NULL, &err));
		assert_ok(il_place_draw(place, s.frame, s.rect, crop, keep, &err));
		for (int i = 0; i < 3; i++)
			check_plane(&s, i);
		free(crop);
		free(keep);
		inlay_frame_destroy(&s.frame);
		inlay_frame_destroy(&s.before);
		inlay_frame_destroy(&s.bgr);
	}
	/* Weights of 1/32768 decide a few close calls the other way; so do exact halves. */
	if (s.off_by_one * 100 > s.samples)
		fail_msg("%ld of %ld samples off by one", s.off_by_one, s.samples);
	il_place_destroy(&place);
}

static void draw_bgr_keeps_what_it_should(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_place *place = make_place(24, IL_INTERP_CUBIC);
	for (int round = 0; round < 100; round++) {
		struct inlay_colour colour = colour_number(0);
		struct scene s = { .width = random_in(1, 60), .height = random_in(1, 60) };
		s.rect = random_rect(s.width, s.height);
		s.frame = make_frame(INLAY_PIX_BGR24, s.width, s.height, colour);
		s.bgr = make_frame(INLAY_PIX_BGR24, s.width, s.height, colour);
		fill_random(s.frame);
		inlay_frame_map(s.frame, &s.now);
		inlay_frame_map(s.bgr, &s.drawn);
		size_t bytes = (size_t)s.now.stride[0] * (size_t)s.height;
		uint8_t *before = malloc(bytes);
		memcpy(before, s.now.data[0], bytes);
		uint8_t *crop = random_bytes(il_place_crop_bytes(place)), *keep = random_keep(s.rect);
		s.keep = keep;
		assert_ok(il_place_draw(place, s.bgr, s.rect, crop, NULL, &err));
		assert_ok(il_place_draw(place, s.frame, s.rect, crop, keep, &err));
		for (size_t i = 0; i < bytes; i++) {
			int x = (int)(i % (size_t)s.now.stride[0]) / 3, y = (int)(i / (size_t)s.now.stride[0]);
			assert_int_equal(s.now.data[0][i], is_drawn(&s, x, y) ? s.drawn.data[0][i] : before[i]);
		}
		free(before);
		free(crop);
		free(keep);
		inlay_frame_destroy(&s.frame);
		inlay_frame_destroy(&s.bgr);
	}
	il_place_destroy(&place);
}

/* Drawing back the very crop that was taken leaves a smooth frame nearly as it was. */
static void round_trip(void **state)
{
	(void)state;
	struct inlay_error err;
	const struct inlay_rect rects[] = { { 61, 30, 243, 212 }, { 60, 31, 245, 216 }, { 0, 0, 330, 251 } };
	for (int i = 0; i < 6 * COLOURS; i++) {
		struct il_place *place = make_place(320, i % 2 ? IL_INTERP_CUBIC : IL_INTERP_LINEAR);
		struct inlay_frame *frame = make_frame(INLAY_PIX_I420, 331, 251, colour_number(i / 6));
		struct inlay_frame *before = make_frame(INLAY_PIX_I420, 331, 251, colour_number(i / 6));
		uint8_t *crop = malloc(il_place_crop_bytes(place));
		fill_smooth(frame);
		fill_smooth(before);
		assert_ok(il_place_crop(place, frame, rects[i / 2 % 3], crop, &err));
		assert_ok(il_place_draw(place, frame, rects[i / 2 % 3], crop, NULL, &err));
		struct inlay_planes now, old;
		inlay_frame_map(frame, &now);
		inlay_frame_map(before, &old);
		double sum = 0;
		for (int y = 0; y < 251; y++)
			for (int x = 0; x < 331; x++) {
				int difference =
					now.data[0][y * now.stride[0] + x] - old.data[0][y * old.stride[0] + x];
				sum += abs(difference);
				if (abs(difference) > 1)
					fail_msg("colour %d: luma at (%d,%d) moved by %d", i / 6, x, y, difference);
			}
		assert_true(sum / (331 * 251) < 0.25);
		free(crop);
		inlay_frame_destroy(&frame);
		inlay_frame_destroy(&before);
		il_place_destroy(&place);
	}
}

static void refuses_what_does_not_fit(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_place *place = NULL;
	assert_fails(il_place_create(&place, 4, IL_INTERP_LINEAR, &err), INLAY_ERR_INVALID,
	             "4x4 pictures: expected 20");
	il_place_destroy(&place);
	place = make_place(20, IL_INTERP_LINEAR);
	uint8_t *crop = calloc(1, il_place_crop_bytes(place));
	struct inlay_frame *frame = make_frame(INLAY_PIX_I420, 40, 30, colour_number(0));
	const struct inlay_rect bad[] = { { -1, 0, 10, 10 }, { 0, 0, 41, 10 }, { 0, 21, 10, 31 },
		                          { 5, 5, 5, 10 },   { 9, 5, 3, 10 },  { -2147483647 - 1, 0, 2147483647, 10 } };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_fails(il_place_crop(place, frame, bad[i], crop, &err), INLAY_ERR_INVALID, "of the 40x30 frame");
		assert_fails(il_place_draw(place, frame, bad[i], crop, NULL, &err), INLAY_ERR_INVALID,
		             "face rectangle x");
	}
	struct inlay_frame *grey = make_frame(INLAY_PIX_GRAY8, 40, 30, colour_number(0));
	assert_fails(il_place_draw(place, grey, (struct inlay_rect){ 0, 0, 10, 10 }, crop, NULL, &err),
	             INLAY_ERR_UNSUPPORTED, "expected I420 or BGR24");
	inlay_frame_destroy(&grey);
	inlay_frame_destroy(&frame);
	free(crop);
	il_place_destroy(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(picture_blackens_the_mouth),    cmocka_unit_test(mouth_fills_the_roi_only),
		cmocka_unit_test(crop_equals_converted_frame),   cmocka_unit_test(draw_i420_equals_bgr_converted),
		cmocka_unit_test(draw_bgr_keeps_what_it_should), cmocka_unit_test(round_trip),
		cmocka_unit_test(refuses_what_does_not_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
