#include "composite/matte.h"

#include <math.h>

#include "base/npy.h"
#include "kernel/psnr.h"
#include "media/image.h"
#include "tests/count_allocations.h"
#include "tests/test.h"

/* --- frames and mattes ---------------------------------------------------------------------------------------------
 */

static const enum inlay_pixfmt formats[] = { INLAY_PIX_I420, INLAY_PIX_NV12, INLAY_PIX_BGR24, INLAY_PIX_YUVA420P,
	                                     INLAY_PIX_BGR24A8 };
#define FORMATS (int)(sizeof formats / sizeof *formats)

static bool is_bgr(enum inlay_pixfmt format)
{
	return format == INLAY_PIX_BGR24 || format == INLAY_PIX_BGR24A8;
}

/* Or -1. */
static int alpha_plane(enum inlay_pixfmt format)
{
	return format == INLAY_PIX_YUVA420P ? 3 : format == INLAY_PIX_BGR24A8 ? 1 : -1;
}

static struct inlay_frame_info info_of(enum inlay_pixfmt format, int width, int height)
{
	return (struct inlay_frame_info){ format, width, height, { INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, 2, 2 } };
}

/* Noise with some structure below; the space between rows too. Opaque. */
static struct inlay_frame *make_frame(enum inlay_pixfmt format, int width, int height)
{
	struct inlay_error err;
	struct inlay_frame_info info = info_of(format, width, height);
	struct inlay_frame *frame;
	struct inlay_planes planes;
	assert_ok(il_frame_create(&frame, &info, &err));
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < il_plane_count(format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(&info, i, &row_bytes, &rows);
		for (ptrdiff_t k = 0; k < planes.stride[i] * rows; k++)
			planes.data[i][k] =
				i == alpha_plane(format)
					? 255
					: (uint8_t)(128 + 60 * sin((double)k * 0.013) + (int)(test_random() >> 26));
	}
	return frame;
}

static struct inlay_frame *copy_of(const struct inlay_frame *frame)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	struct inlay_frame *copy = make_frame(info->format, info->width, info->height);
	il_frame_copy(copy, frame);
	return copy;
}

static bool equal_frames(const struct inlay_frame *a, const struct inlay_frame *b)
{
	const struct inlay_frame_info *info = inlay_frame_info(a);
	struct inlay_planes p, q;
	inlay_frame_map(a, &p);
	inlay_frame_map(b, &q);
	for (int i = 0; i < il_plane_count(info->format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(info, i, &row_bytes, &rows);
		for (int y = 0; y < rows; y++)
			if (memcmp(p.data[i] + y * p.stride[i], q.data[i] + y * q.stride[i], row_bytes) != 0)
				return false;
	}
	return true;
}

/* A disc in the middle, with a soft edge. */
static float *make_matte(int width, int height)
{
	float *matte = malloc((size_t)width * (size_t)height * sizeof *matte);
	assert_non_null(matte);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			double r = hypot((x + 0.5) / width - 0.5, (y + 0.5) / height - 0.5);
			matte[y * width + x] = (float)fmin(fmax((0.3 - r) * 12 + 0.5, 0), 1);
		}
	return matte;
}

struct setting {
	struct inlay_matte_look params;
	int width, height, mask_width, mask_height;
	enum inlay_pixfmt format;
	struct il_mask_stream *stream;
	struct il_matte_chain *chain;
};

static void open_setting(struct setting *s)
{
	struct inlay_error err;
	struct inlay_frame_info info = info_of(s->format, s->width, s->height);
	assert_ok(il_mask_stream_create(&s->stream, &s->params, s->mask_width, s->mask_height, &err));
	assert_ok(il_matte_chain_create(&s->chain, &s->params, &info, s->mask_width, s->mask_height, &err));
}

static void close_setting(struct setting *s)
{
	il_mask_stream_destroy(&s->stream);
	il_matte_chain_destroy(&s->chain);
}

static struct setting preset_setting(enum inlay_matte_preset preset, enum inlay_pixfmt format, int width, int height)
{
	struct setting s = { .width = width, .height = height, .mask_width = 64, .mask_height = 48, .format = format };
	inlay_matte_look_init(&s.params, preset);
	return s;
}

static void take_matte(struct setting *s, const float *values)
{
	struct inlay_error err;
	struct il_matte matte = { .person = values,
		                  .stride = s->mask_width * (ptrdiff_t)sizeof *values,
		                  .step = 1,
		                  .width = s->mask_width,
		                  .height = s->mask_height };
	assert_ok(il_mask_stream_take(s->stream, &matte, &err));
}

static void make_alpha(struct setting *s, const float *values, const struct inlay_frame *frame)
{
	struct inlay_error err;
	take_matte(s, values);
	assert_ok(il_matte_chain_alpha(s->chain, il_mask_stream_mask(s->stream), frame, &err));
}

/* A mask that is `value` throughout. */
static void flat_alpha(struct setting *s, int value, const struct inlay_frame *frame)
{
	struct inlay_error err;
	size_t n = (size_t)s->mask_width * (size_t)s->mask_height;
	uint8_t *mask = malloc(n);
	assert_non_null(mask);
	memset(mask, value, n);
	assert_ok(il_matte_chain_alpha(s->chain, mask, frame, &err));
	free(mask);
}

static uint8_t alpha_at(const struct setting *s, int x, int y)
{
	ptrdiff_t stride;
	const uint8_t *alpha = il_matte_chain_plane(s->chain, &stride);
	return alpha[y * stride + x];
}

static uint8_t *copy_alpha(const struct setting *s)
{
	uint8_t *copy = malloc((size_t)s->width * (size_t)s->height);
	assert_non_null(copy);
	for (int y = 0; y < s->height; y++)
		for (int x = 0; x < s->width; x++)
			copy[y * s->width + x] = alpha_at(s, x, y);
	return copy;
}

/* --- against the Python chain --------------------------------------------------------------------------------------
 */

static const struct golden {
	double threshold, smooth, feather, blur;
	int expand;
} goldens[] = {
	{ 0.65, 0.05, 0, 0, -5 },
	{ 0.5, 0.5, 3, 6, 4 },
	{ 0, 0, 0, 20, 0 },
};

static struct inlay_frame *read_picture(const char *name, enum inlay_pixfmt format)
{
	struct inlay_error err;
	struct inlay_frame *frame;
	assert_ok(il_image_read(test_data(name), format, &frame, &err));
	return frame;
}

static double frame_psnr(const struct inlay_frame *a, const struct inlay_frame *b, int plane)
{
	struct inlay_planes p, q;
	size_t row_bytes;
	int rows;
	inlay_frame_map(a, &p);
	inlay_frame_map(b, &q);
	il_plane_size(inlay_frame_info(a), plane, &row_bytes, &rows);
	return il_psnr(p.data[plane], p.stride[plane], q.data[plane], q.stride[plane], (int)row_bytes, rows, 1);
}

static void compare_alpha(const struct setting *s, int number)
{
	char name[64];
	snprintf(name, sizeof name, "golden_composite/matte_%d_alpha.png", number);
	struct inlay_frame *golden = read_picture(name, INLAY_PIX_GRAY8);
	struct inlay_planes planes;
	inlay_frame_map(golden, &planes);
	int most = 0;
	for (int y = 0; y < s->height; y++)
		for (int x = 0; x < s->width; x++) {
			int difference = abs(planes.data[0][y * planes.stride[0] + x] - alpha_at(s, x, y));
			most = difference > most ? difference : most;
		}
	if (most > 0) /* 2 are allowed; here every value is PIL's */
		fail_msg("alpha %d is off by %d", number, most);
	inlay_frame_destroy(&golden);
}

static double compare_golden(int number, enum inlay_pixfmt format, const float *matte)
{
	const struct golden *g = &goldens[number];
	struct inlay_frame *frame = read_picture("portraits/astronaut.png", format);
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	struct setting s = preset_setting(INLAY_MATTE_REFERENCE, format, info->width, info->height);
	struct inlay_error err;
	s.params.threshold = g->threshold;
	s.params.smooth = g->smooth;
	s.params.feather = g->feather;
	s.params.blur = g->blur;
	s.params.expand = g->expand;
	s.mask_width = s.mask_height = 256;
	open_setting(&s);
	make_alpha(&s, matte, frame);
	compare_alpha(&s, number);
	struct il_matte_background background = { .fill = g->blur > 0 ? IL_FILL_BLUR : IL_FILL_COLOUR };
	if (format == INLAY_PIX_I420)
		background.constant[1] = background.constant[2] = 128;
	assert_ok(il_matte_chain_apply(s.chain, frame, &background, &err));
	char name[64];
	snprintf(name, sizeof name, "golden_composite/matte_%d_out.png", number);
	struct inlay_frame *golden = read_picture(name, format);
	double worst = INFINITY;
	for (int i = 0; i < il_plane_count(format); i++)
		worst = fmin(worst, frame_psnr(frame, golden, i));
	print_message("golden %d, %s: %.1f dB\n", number, il_pixfmt_name(format), worst);
	close_setting(&s);
	inlay_frame_destroy(&golden);
	inlay_frame_destroy(&frame);
	return worst;
}

/* In full chroma, and in 4:2:0, where each plane is compared with that of the golden picture. */
static void reference_equals_pil(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_npy npy;
	float *matte;
	assert_ok(il_npy_open(&npy, test_data("golden/selfie_segmentation_256.out.npy"), &err));
	assert_ok(il_npy_to_float(&npy, &matte, &err));
	assert_int_equal(npy.header.count, 256 * 256);
	for (int i = 0; i < 3; i++) {
		assert_true(compare_golden(i, INLAY_PIX_BGR24, matte) >= 45);
		assert_true(compare_golden(i, INLAY_PIX_I420, matte) >= 45);
	}
	free(matte);
	il_npy_close(&npy);
}

/* --- properties ----------------------------------------------------------------------------------------------------
 */

static const int sizes[][2] = { { 1, 1 },   { 1, 40 },   { 40, 1 },   { 2, 2 },    { 3, 5 },
	                        { 33, 31 }, { 65, 129 }, { 191, 97 }, { 320, 180 } };
#define SIZES (int)(sizeof sizes / sizeof *sizes)

/* Every preset, format and size, with all steps in turn. */
static struct setting numbered_setting(int i)
{
	int size = i % SIZES, preset = i / SIZES % INLAY_MATTE_PRESETS,
	    format = i / SIZES / INLAY_MATTE_PRESETS % FORMATS;
	struct setting s =
		preset_setting((enum inlay_matte_preset)preset, formats[format], sizes[size][0], sizes[size][1]);
	s.params.expand = i % 11 - 5;
	s.params.smooth = i % 4 * 0.25;
	s.params.feather = i % 3 * 1.5;
	s.params.side = (enum inlay_matte_side)(i % 5 % 3);
	s.params.blur = i % 7 * 3;
	s.params.halo_free = i % 2;
	s.mask_width = 1 + i * 7 % 70;
	s.mask_height = 1 + i * 5 % 50;
	return s;
}
#define SETTINGS (SIZES * INLAY_MATTE_PRESETS * FORMATS)

static struct il_matte_background numbered_background(int i, const struct inlay_frame *picture)
{
	struct il_matte_background background = { .fill = (enum il_fill)(i % 3), .constant = { 40, 90, 200 } };
	inlay_frame_map(picture, &background.picture);
	return background;
}

static void full_alpha_changes_nothing(void **state)
{
	(void)state;
	struct inlay_error err;
	for (int i = 0; i < SETTINGS; i++) {
		struct setting s = numbered_setting(i);
		open_setting(&s);
		struct inlay_frame *frame = make_frame(s.format, s.width, s.height), *before = copy_of(frame);
		struct inlay_frame *picture = make_frame(s.format, s.width, s.height);
		struct il_matte_background background = numbered_background(i, picture);
		flat_alpha(&s, 255, frame);
		assert_ok(il_matte_chain_apply(s.chain, frame, &background, &err));
		if (!equal_frames(frame, before))
			fail_msg("setting %d, %dx%d", i, s.width, s.height);
		close_setting(&s);
		inlay_frame_destroy(&frame);
		inlay_frame_destroy(&before);
		inlay_frame_destroy(&picture);
	}
}

/* Every sample of component i of a frame of one colour. */
static void fill_constant(struct inlay_frame *frame, const uint8_t colour[3])
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < il_plane_count(info->format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(info, i, &row_bytes, &rows);
		for (int y = 0; y < rows; y++)
			for (size_t x = 0; x < row_bytes; x++) {
				int c = is_bgr(info->format) ? (int)(x % 3) : i;
				if (info->format == INLAY_PIX_NV12 && i == 1)
					c = 1 + (int)(x % 2);
				planes.data[i][y * planes.stride[i] + (ptrdiff_t)x] =
					i == alpha_plane(info->format) ? 255 : colour[c];
			}
	}
}

static void empty_alpha_is_the_background(void **state)
{
	(void)state;
	struct inlay_error err;
	for (int i = 0; i < SETTINGS; i++) {
		struct setting s = numbered_setting(i);
		open_setting(&s);
		struct inlay_frame *frame = make_frame(s.format, s.width, s.height);
		struct inlay_frame *picture = make_frame(s.format, s.width, s.height);
		struct il_matte_background background = numbered_background(i % 2, picture);
		if (background.fill == IL_FILL_COLOUR)
			fill_constant(picture, background.constant);
		flat_alpha(&s, 0, frame);
		assert_ok(il_matte_chain_apply(s.chain, frame, &background, &err));
		if (!equal_frames(frame, picture))
			fail_msg("setting %d, %dx%d", i, s.width, s.height);
		close_setting(&s);
		inlay_frame_destroy(&frame);
		inlay_frame_destroy(&picture);
	}
}

/* What is behind an opaque subject is of no influence on a halo-free blur: a background of one colour stays it. */
static void blur_is_free_of_the_subject(void **state)
{
	(void)state;
	struct inlay_error err;
	struct setting s = preset_setting(INLAY_MATTE_BEST, INLAY_PIX_I420, 320, 180);
	s.params.blur = 6;
	s.params.smooth = 0;
	s.params.feather = 0;
	s.params.soft = 0;
	s.params.upsample = INLAY_MATTE_BILINEAR;
	open_setting(&s);
	float *matte = make_matte(s.mask_width, s.mask_height);
	struct inlay_frame *frame = make_frame(s.format, s.width, s.height);
	make_alpha(&s, matte, frame);
	fill_constant(frame, (uint8_t[]){ 60, 100, 150 });
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int y = 0; y < s.height; y++)
		for (int x = 0; x < s.width; x++)
			if (alpha_at(&s, x, y) == 255)
				planes.data[0][y * planes.stride[0] + x] = 250;
	struct il_matte_background background = { .fill = IL_FILL_BLUR };
	assert_ok(il_matte_chain_apply(s.chain, frame, &background, &err));
	for (int y = 0; y < s.height; y++)
		for (int x = 0; x < s.width; x++)
			if (abs(planes.data[0][y * planes.stride[0] + x] - (alpha_at(&s, x, y) == 255 ? 250 : 60)) > 1)
				fail_msg("halo at %d,%d", x, y);
	close_setting(&s);
	free(matte);
	inlay_frame_destroy(&frame);
}

static uint8_t *alpha_of(struct setting *s, const float *matte, const struct inlay_frame *frame)
{
	open_setting(s);
	make_alpha(s, matte, frame);
	uint8_t *alpha = copy_alpha(s);
	close_setting(s);
	return alpha;
}

/* The inverse of an inverted matte is the matte's own alpha, but for rounding. */
static void invert_twice(void **state)
{
	(void)state;
	for (int preset = 0; preset < INLAY_MATTE_PRESETS; preset++) {
		struct setting s = preset_setting((enum inlay_matte_preset)preset, INLAY_PIX_I420, 191, 97);
		s.params.side = INLAY_MATTE_BOTH;
		s.params.expand = 0;
		s.params.contour = 0;
		if (preset == INLAY_MATTE_OBS) /* a step has no inverse at the step itself */
			s.params.soft = 0.3;
		struct inlay_frame *frame = make_frame(s.format, s.width, s.height);
		float *matte = make_matte(s.mask_width, s.mask_height);
		uint8_t *straight = alpha_of(&s, matte, frame);
		for (int i = 0; i < s.mask_width * s.mask_height; i++)
			matte[i] = 1 - matte[i];
		s.params.invert = true;
		s.params.threshold = 1 - s.params.threshold;
		uint8_t *inverse = alpha_of(&s, matte, frame);
		for (int i = 0; i < s.width * s.height; i++)
			if (abs(straight[i] - inverse[i]) > 8)
				fail_msg("preset %d: %d and %d at %d", preset, straight[i], inverse[i], i);
		free(straight);
		free(inverse);
		free(matte);
		inlay_frame_destroy(&frame);
	}
}

static void feather_has_a_side(void **state)
{
	(void)state;
	for (int i = 0; i < 4 * INLAY_MATTE_PRESETS; i++) {
		struct setting s = preset_setting((enum inlay_matte_preset)(i / 4), INLAY_PIX_I420, 320, 180);
		struct inlay_frame *frame = make_frame(s.format, s.width, s.height);
		float *matte = make_matte(s.mask_width, s.mask_height);
		s.params.smooth = i % 4 * 0.2;
		s.params.contour = 0;
		s.params.feather = 0;
		s.params.side = INLAY_MATTE_OUT;
		uint8_t *none = alpha_of(&s, matte, frame);
		s.params.feather = 4;
		uint8_t *out = alpha_of(&s, matte, frame);
		s.params.side = INLAY_MATTE_IN;
		uint8_t *in = alpha_of(&s, matte, frame);
		int wider = 0;
		for (int k = 0; k < s.width * s.height; k++) {
			assert_true(out[k] >= none[k]);
			assert_true(in[k] <= none[k]);
			wider += out[k] > none[k];
		}
		assert_true(wider > 100);
		free(none);
		free(out);
		free(in);
		free(matte);
		inlay_frame_destroy(&frame);
	}
}

/* Working at half or a quarter of the size is close to working at the frame's. */
static void small_work_is_close(void **state)
{
	(void)state;
	const double smooths[] = { 0.25, 0.5, 0.6, 1 };
	for (int i = 0; i < 24; i++) {
		struct setting s = preset_setting(INLAY_MATTE_FAST, INLAY_PIX_I420, 640 + i % 3, 360 + i % 2);
		s.params.smooth = smooths[i % 4];
		s.params.expand = i % 7 - 2;
		s.params.feather = i / 4 % 3 * 1.5;
		s.params.contour = 0;
		float *matte = make_matte(s.mask_width, s.mask_height);
		uint8_t *fast = alpha_of(&s, matte, NULL);
		double sum = 0;
		int most = 0;
		s.params.full_size = true;
		uint8_t *slow = alpha_of(&s, matte, NULL);
		for (int k = 0; k < s.width * s.height; k++) {
			int difference = abs(fast[k] - slow[k]);
			sum += difference;
			most = difference > most ? difference : most;
		}
		if (most > 16 || sum / (s.width * s.height) > 0.5)
			fail_msg("smooth %.2f, expand %d, feather %.1f: mean %.3f, most %d", s.params.smooth,
			         s.params.expand, s.params.feather, sum / (s.width * s.height), most);
		free(fast);
		free(slow);
		free(matte);
	}
}

static void temporal_smoothing_is_of_the_stream(void **state)
{
	(void)state;
	struct setting s = preset_setting(INLAY_MATTE_OBS, INLAY_PIX_I420, 64, 48);
	s.params.contour = 0;
	s.params.soft = 0.5;
	s.params.temporal = 0.25;
	open_setting(&s);
	size_t n = (size_t)s.mask_width * (size_t)s.mask_height;
	float *matte = calloc(n, sizeof *matte);
	take_matte(&s, matte);
	for (size_t i = 0; i < n; i++)
		matte[i] = 1;
	double expected = 0;
	for (int i = 0; i < 8; i++) {
		take_matte(&s, matte);
		expected += (255 - expected) * 0.25;
		assert_true(fabs(il_mask_stream_mask(s.stream)[i] - expected) <= 1);
	}
	il_mask_stream_reset(s.stream);
	take_matte(&s, matte);
	assert_int_equal(il_mask_stream_mask(s.stream)[0], 255);
	free(matte);
	close_setting(&s);
}

static void mask_only_shows_alpha(void **state)
{
	(void)state;
	struct inlay_error err;
	for (int i = 0; i < FORMATS; i++) {
		struct setting s = preset_setting(INLAY_MATTE_FAST, formats[i], 191, 97);
		s.params.mask_only = true;
		open_setting(&s);
		float *matte = make_matte(s.mask_width, s.mask_height);
		struct inlay_frame *frame = make_frame(s.format, s.width, s.height);
		struct il_matte_background background = { .fill = IL_FILL_COLOUR };
		make_alpha(&s, matte, frame);
		assert_ok(il_matte_chain_apply(s.chain, frame, &background, &err));
		struct inlay_planes planes;
		inlay_frame_map(frame, &planes);
		for (int y = 0; y < s.height; y++)
			for (int x = 0; x < s.width; x++) {
				int a = alpha_at(&s, x, y);
				const uint8_t *row = planes.data[0] + y * planes.stride[0];
				if (is_bgr(s.format))
					assert_true(row[3 * x] == a && row[3 * x + 1] == a && row[3 * x + 2] == a);
				else
					assert_int_equal(row[x], lrint(16 + a * 219 / 255.0));
			}
		free(matte);
		close_setting(&s);
		inlay_frame_destroy(&frame);
	}
}

/* Without a background the frame keeps its colours. */
static void alpha_goes_into_the_frame(void **state)
{
	(void)state;
	struct inlay_error err;
	for (int i = 0; i < SETTINGS; i++) {
		struct setting s = numbered_setting(i);
		int plane = alpha_plane(s.format);
		float *matte = make_matte(s.mask_width, s.mask_height);
		struct inlay_frame *frame = make_frame(s.format, s.width, s.height), *before = copy_of(frame);
		struct inlay_planes planes, old;
		inlay_frame_map(frame, &planes);
		inlay_frame_map(before, &old);
		open_setting(&s);
		make_alpha(&s, matte, frame);
		if (plane < 0) {
			assert_fails(il_matte_chain_apply(s.chain, frame, NULL, &err), INLAY_ERR_INVALID,
			             "expected a format with alpha");
		} else {
			assert_ok(il_matte_chain_apply(s.chain, frame, NULL, &err));
			for (int y = 0; y < s.height; y++)
				for (int x = 0; x < s.width; x++) {
					assert_int_equal(planes.data[plane][y * planes.stride[plane] + x],
					                 alpha_at(&s, x, y));
					old.data[plane][y * old.stride[plane] + x] = alpha_at(&s, x, y);
				}
		}
		assert_true(equal_frames(frame, before));
		close_setting(&s);
		free(matte);
		inlay_frame_destroy(&frame);
		inlay_frame_destroy(&before);
	}
}

/* The same again, with other frames between, and with NV12 for I420; and nothing is allocated. */
static void repeats_itself_without_memory(void **state)
{
	(void)state;
	struct inlay_error err;
	for (int i = 0; i < SETTINGS; i++) {
		struct setting s = numbered_setting(i);
		s.params.temporal = 0;
		open_setting(&s);
		float *matte = make_matte(s.mask_width, s.mask_height),
		      *other = make_matte(s.mask_width, s.mask_height);
		for (int k = 0; k < s.mask_width * s.mask_height; k++)
			other[k] = (float)(test_random() >> 8) / (1 << 24);
		struct inlay_frame *frame = make_frame(s.format, s.width, s.height), *again = copy_of(frame);
		struct inlay_frame *between = make_frame(s.format, s.width, s.height);
		struct inlay_frame *picture = make_frame(s.format, s.width, s.height);
		struct il_matte_background background = numbered_background(i / 2, picture);
		unsigned long before = allocations;
		make_alpha(&s, matte, frame);
		assert_ok(il_matte_chain_apply(s.chain, frame, &background, &err));
		make_alpha(&s, other, between);
		assert_ok(il_matte_chain_apply(s.chain, between, &background, &err));
		make_alpha(&s, matte, again);
		assert_ok(il_matte_chain_apply(s.chain, again, &background, &err));
		assert_int_equal(allocations, before);
		assert_true(equal_frames(frame, again));
		free(matte);
		free(other);
		close_setting(&s);
		inlay_frame_destroy(&frame);
		inlay_frame_destroy(&again);
		inlay_frame_destroy(&between);
		inlay_frame_destroy(&picture);
	}
	assert_true(allocations > 0);
}

static void nv12_equals_i420(void **state)
{
	(void)state;
	struct inlay_error err;
	for (int i = 0; i < SIZES * INLAY_MATTE_PRESETS; i++) {
		struct inlay_planes p[2];
		struct inlay_frame *frames[2], *pictures[2];
		struct setting s = numbered_setting(i);
		float *matte = make_matte(s.mask_width, s.mask_height);
		int w = (s.width + 1) / 2, h = (s.height + 1) / 2;
		for (int k = 0; k < 2; k++) {
			frames[k] = make_frame(formats[k], s.width, s.height);
			pictures[k] = make_frame(formats[k], s.width, s.height);
			fill_constant(pictures[k], (uint8_t[]){ 30, 220, 90 });
			inlay_frame_map(frames[k], &p[k]);
		}
		for (int y = 0; y < s.height; y++)
			memcpy(p[1].data[0] + y * p[1].stride[0], p[0].data[0] + y * p[0].stride[0], (size_t)s.width);
		for (int y = 0; y < h; y++)
			for (int x = 0; x < 2 * w; x++)
				p[1].data[1][y * p[1].stride[1] + x] = p[0].data[1 + x % 2][y * p[0].stride[1] + x / 2];
		for (int k = 0; k < 2; k++) {
			s.format = formats[k];
			struct il_matte_background background = numbered_background(i, pictures[k]);
			open_setting(&s);
			make_alpha(&s, matte, frames[k]);
			assert_ok(il_matte_chain_apply(s.chain, frames[k], &background, &err));
			close_setting(&s);
		}
		for (int y = 0; y < s.height; y++)
			assert_memory_equal(p[1].data[0] + y * p[1].stride[0], p[0].data[0] + y * p[0].stride[0],
			                    (size_t)s.width);
		for (int y = 0; y < h; y++)
			for (int x = 0; x < 2 * w; x++)
				assert_int_equal(p[1].data[1][y * p[1].stride[1] + x],
				                 p[0].data[1 + x % 2][y * p[0].stride[1] + x / 2]);
		for (int k = 0; k < 2; k++) {
			inlay_frame_destroy(&frames[k]);
			inlay_frame_destroy(&pictures[k]);
		}
		free(matte);
	}
}

static void refuses_what_does_not_fit(void **state)
{
	(void)state;
	struct inlay_error err;
	struct inlay_matte_look params;
	struct il_matte_chain *chain;
	struct il_mask_stream *stream;
	struct inlay_frame_info info = info_of(INLAY_PIX_I420, 64, 48), grey = info_of(INLAY_PIX_GRAY8, 64, 48);
	inlay_matte_look_init(&params, INLAY_MATTE_BEST);
	assert_fails(il_matte_chain_create(&chain, &params, &grey, 8, 8, &err), INLAY_ERR_UNSUPPORTED, "expected i420");
	assert_fails(il_matte_chain_create(&chain, &params, &info, 0, 8, &err), INLAY_ERR_INVALID, "masks of 0x8");
	assert_fails(il_mask_stream_create(&stream, &params, 8, 40000, &err), INLAY_ERR_INVALID, "masks of 8x40000");
	params.feather = NAN;
	assert_fails(il_matte_chain_create(&chain, &params, &info, 8, 8, &err), INLAY_ERR_INVALID, "feather is");
	assert_null(chain);
	params.feather = 0;
	assert_ok(il_matte_chain_create(&chain, &params, &info, 8, 8, &err));
	assert_ok(il_mask_stream_create(&stream, &params, 8, 8, &err));
	struct inlay_frame *other = make_frame(INLAY_PIX_I420, 64, 50);
	struct il_matte_background background = { .fill = IL_FILL_COLOUR };
	assert_fails(il_matte_chain_alpha(chain, il_mask_stream_mask(stream), NULL, &err), INLAY_ERR_INVALID,
	             "no frame");
	assert_fails(il_matte_chain_apply(chain, other, &background, &err), INLAY_ERR_INVALID,
	             "expected i420 of 64x48");
	struct il_matte matte = { .width = 9, .height = 8 };
	assert_fails(il_mask_stream_take(stream, &matte, &err), INLAY_ERR_INVALID, "expected 8x8");
	inlay_frame_destroy(&other);
	il_matte_chain_destroy(&chain);
	il_mask_stream_destroy(&stream);
	il_matte_chain_destroy(&chain);
	il_mask_stream_destroy(&stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reference_equals_pil),
		cmocka_unit_test(full_alpha_changes_nothing),
		cmocka_unit_test(empty_alpha_is_the_background),
		cmocka_unit_test(blur_is_free_of_the_subject),
		cmocka_unit_test(invert_twice),
		cmocka_unit_test(feather_has_a_side),
		cmocka_unit_test(small_work_is_close),
		cmocka_unit_test(temporal_smoothing_is_of_the_stream),
		cmocka_unit_test(mask_only_shows_alpha),
		cmocka_unit_test(alpha_goes_into_the_frame),
		cmocka_unit_test(repeats_itself_without_memory),
		cmocka_unit_test(nv12_equals_i420),
		cmocka_unit_test(refuses_what_does_not_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
