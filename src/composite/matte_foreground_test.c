/* Against double precision, by the formulas of the headers and of ITU-T H.273. */
#include <math.h>

#include "composite/matte.h"
#include "tests/test.h"

static const enum inlay_pixfmt formats[] = { INLAY_PIX_I420, INLAY_PIX_NV12, INLAY_PIX_YUVA420P, INLAY_PIX_BGR24,
	                                     INLAY_PIX_BGR24A8 };
static const int sizes[][2] = { { 1, 1 }, { 1, 40 }, { 3, 5 }, { 65, 33 }, { 191, 97 }, { 320, 180 } };
static const struct inlay_colour colours[] = { { INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, 2, 2 },
	                                       { INLAY_MATRIX_BT601, INLAY_RANGE_FULL, 2, 2 } };
#define FORMATS (int)(sizeof formats / sizeof *formats)
#define SIZES (int)(sizeof sizes / sizeof *sizes)
#define SCENES (FORMATS * SIZES * 2)

struct scene {
	struct inlay_frame_info info;
	bool bgr;
	int mask_width, mask_height;
	struct inlay_frame *frame, *before, *plate;
	struct inlay_planes now, old, behind;
	struct il_matte_chain *chain;
	const uint8_t *alpha;
	ptrdiff_t alpha_stride;
};

static uint8_t noise(void)
{
	return (uint8_t)(test_random() >> 13);
}

static struct inlay_frame *make_frame(const struct inlay_frame_info *info, struct inlay_planes *planes)
{
	struct inlay_error err;
	struct inlay_frame *frame;
	assert_ok(il_frame_create(&frame, info, &err));
	inlay_frame_map(frame, planes);
	for (int i = 0; i < il_plane_count(info->format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(info, i, &row_bytes, &rows);
		for (ptrdiff_t k = 0; k < planes->stride[i] * rows; k++)
			planes->data[i][k] = noise();
	}
	return frame;
}

/* Alpha of all values, in stretches that are opaque or clear too. */
static void open_scene(struct scene *s, int number)
{
	struct inlay_error err;
	struct inlay_matte_look look;
	int size = number % SIZES;
	*s = (struct scene){ .info = { formats[number / SIZES % FORMATS], sizes[size][0], sizes[size][1],
		                       colours[number / SIZES / FORMATS] },
		             .mask_width = 1 + number * 7 % 50,
		             .mask_height = 1 + number * 11 % 40 };
	s->bgr = s->info.format == INLAY_PIX_BGR24 || s->info.format == INLAY_PIX_BGR24A8;
	inlay_matte_look_init(&look, INLAY_MATTE_FAST);
	look.threshold = look.feather = 0;
	s->frame = make_frame(&s->info, &s->now);
	s->before = make_frame(&s->info, &s->old);
	s->plate = make_frame(&s->info, &s->behind);
	il_frame_copy(s->before, s->frame);
	assert_ok(il_matte_chain_create(&s->chain, &look, &s->info, s->mask_width, s->mask_height, &err));
	int n = s->mask_width * s->mask_height;
	uint8_t *mask = malloc((size_t)n);
	assert_non_null(mask);
	for (int i = 0; i < n; i++)
		mask[i] = i * 3 / n == 0 ? 0 : i * 3 / n == 1 ? noise() : 255;
	assert_ok(il_matte_chain_alpha(s->chain, mask, s->frame, &err));
	s->alpha = il_matte_chain_plane(s->chain, &s->alpha_stride);
	free(mask);
}

static void close_scene(struct scene *s)
{
	il_matte_chain_destroy(&s->chain);
	inlay_frame_destroy(&s->frame);
	inlay_frame_destroy(&s->before);
	inlay_frame_destroy(&s->plate);
}

static bool chroma(const struct scene *s, int i)
{
	return i > 0 && !s->bgr;
}

static int columns(const struct scene *s, int i)
{
	return chroma(s, i) ? (s->info.width + 1) / 2 : s->info.width;
}

static int rows(const struct scene *s, int i)
{
	return chroma(s, i) ? (s->info.height + 1) / 2 : s->info.height;
}

static uint8_t *sample(const struct scene *s, const struct inlay_planes *p, int i, int x, int y)
{
	if (s->bgr)
		return p->data[0] + y * p->stride[0] + 3 * x + i;
	if (s->info.format == INLAY_PIX_NV12 && i > 0)
		return p->data[1] + y * p->stride[1] + 2 * x + i - 1;
	return p->data[i] + y * p->stride[i] + x;
}

/* Of a sample of component i: chroma has the mean of its pixels. */
static int alpha_of(const struct scene *s, int i, int x, int y)
{
	if (!chroma(s, i))
		return s->alpha[y * s->alpha_stride + x];
	int sum = 0;
	for (int k = 0; k < 4; k++) {
		int px = 2 * x + k % 2 < s->info.width ? 2 * x + k % 2 : s->info.width - 1;
		int py = 2 * y + k / 2 < s->info.height ? 2 * y + k / 2 : s->info.height - 1;
		sum += s->alpha[py * s->alpha_stride + px];
	}
	return (sum + 2) / 4;
}

static void check_alpha_plane(const struct scene *s)
{
	int plane = s->info.format == INLAY_PIX_YUVA420P ? 3 : s->info.format == INLAY_PIX_BGR24A8 ? 1 : 0;
	for (int y = 0; plane && y < s->info.height; y++)
		assert_memory_equal(s->now.data[plane] + y * s->now.stride[plane],
		                    s->old.data[plane] + y * s->old.stride[plane], (size_t)s->info.width);
}

/* --- clean ---------------------------------------------------------------------------------------------------------
 */

struct pictures {
	uint8_t *seen;
	float *subject;
	struct il_clean_foreground fg;
};

static void make_pictures(struct pictures *p, const struct scene *s, bool planar)
{
	int n = s->mask_width * s->mask_height;
	p->seen = malloc(3 * (size_t)n);
	p->subject = malloc(3 * (size_t)n * sizeof *p->subject);
	assert_non_null(p->seen);
	assert_non_null(p->subject);
	p->fg = (struct il_clean_foreground){ .bgr = p->seen,
		                              .bgr_stride = 3 * s->mask_width,
		                              .step = planar ? 1 : 3,
		                              .width = s->mask_width,
		                              .height = s->mask_height };
	for (int c = 0; c < 3; c++)
		p->fg.planes[c] = p->subject + (planar ? c * n : c);
	for (int i = 0; i < 3 * n; i++) {
		p->seen[i] = noise();
		p->subject[i] = (float)noise() / 230.0f - 0.05f; /* some lie outside 0..1 */
	}
}

static void free_pictures(struct pictures *p)
{
	free(p->seen);
	free(p->subject);
}

static double difference_at(const struct pictures *p, int channel, int x, int y)
{
	x = x < p->fg.width - 1 ? x : p->fg.width - 1;
	y = y < p->fg.height - 1 ? y : p->fg.height - 1;
	int i = y * p->fg.width + x;
	double own = fmin(fmax((double)p->fg.planes[channel][i * p->fg.step], 0), 1);
	return 255 * own - p->seen[3 * i + channel];
}

static double place(double centre, int network, int frame)
{
	return fmin(fmax(centre * network / frame - 0.5, 0), network - 1);
}

/* Difference of a channel where sample (x, y) of component i has its centre. */
static double upsampled(const struct scene *s, const struct pictures *p, int channel, int i, int x, int y)
{
	double px = place(chroma(s, i) ? 2 * x + 1 : x + 0.5, p->fg.width, s->info.width);
	double py = place(chroma(s, i) ? 2 * y + 1 : y + 0.5, p->fg.height, s->info.height);
	int x0 = (int)px, y0 = (int)py;
	double tx = px - x0, ty = py - y0;
	return (difference_at(p, channel, x0, y0) * (1 - tx) + difference_at(p, channel, x0 + 1, y0) * tx) * (1 - ty) +
	       (difference_at(p, channel, x0, y0 + 1) * (1 - tx) + difference_at(p, channel, x0 + 1, y0 + 1) * tx) * ty;
}

static double change(const struct scene *s, const struct pictures *p, int i, int x, int y)
{
	double d[3];
	for (int c = 0; c < 3; c++)
		d[c] = upsampled(s, p, c, i, x, y);
	if (s->bgr)
		return d[i];
	bool hd = s->info.colour.matrix == INLAY_MATRIX_BT709, full = s->info.colour.range == INLAY_RANGE_FULL;
	double kr = hd ? 0.2126 : 0.299, kb = hd ? 0.0722 : 0.114;
	double luma = kr * d[2] + (1 - kr - kb) * d[1] + kb * d[0];
	if (i == 0)
		return luma * (full ? 1 : 219.0 / 255);
	return (i == 1 ? (d[0] - luma) / (2 * (1 - kb)) : (d[2] - luma) / (2 * (1 - kr))) * (full ? 1 : 224.0 / 255);
}

static void clean_equals_double_precision(void **state)
{
	(void)state;
	struct inlay_error err;
	int changed = 0;
	for (int number = 0; number < SCENES; number++) {
		struct scene s;
		struct pictures p;
		open_scene(&s, number);
		make_pictures(&p, &s, number % 2);
		assert_ok(il_matte_chain_clean(s.chain, s.frame, &p.fg, &err));
		for (int i = 0; i < 3; i++)
			for (int y = 0; y < rows(&s, i); y++)
				for (int x = 0; x < columns(&s, i); x++) {
					int alpha = alpha_of(&s, i, x, y), before = *sample(&s, &s.old, i, x, y);
					bool mixed = alpha > 0 && alpha < 255;
					double expected = before + (mixed ? change(&s, &p, i, x, y) : 0);
					int now = *sample(&s, &s.now, i, x, y);
					changed += mixed;
					if (fabs(now - fmin(fmax(expected, 0), 255)) > (mixed ? 0.53 : 0))
						fail_msg("scene %d, component %d at %d,%d: %d, expected %.3f", number,
						         i, x, y, now, expected);
				}
		check_alpha_plane(&s);
		free_pictures(&p);
		close_scene(&s);
	}
	assert_true(changed > 100000);
}

static void clean_of_what_was_seen_changes_nothing(void **state)
{
	(void)state;
	struct inlay_error err;
	for (int number = 0; number < SCENES; number++) {
		struct scene s;
		struct pictures p;
		open_scene(&s, number);
		make_pictures(&p, &s, false);
		for (int i = 0; i < 3 * s.mask_width * s.mask_height; i++)
			p.subject[i] = (float)p.seen[i] / 255.0f;
		assert_ok(il_matte_chain_clean(s.chain, s.frame, &p.fg, &err));
		for (int i = 0; i < 3; i++)
			for (int y = 0; y < rows(&s, i); y++)
				for (int x = 0; x < columns(&s, i); x++)
					assert_int_equal(*sample(&s, &s.now, i, x, y), *sample(&s, &s.old, i, x, y));
		free_pictures(&p);
		close_scene(&s);
	}
}

/* --- unmix ---------------------------------------------------------------------------------------------------------
 */

/* The frame is a subject over the plate, rounded to bytes: what was lost by that is what may be missing. */
static void unmix_finds_the_subject(void **state)
{
	(void)state;
	struct inlay_error err;
	int mixed = 0;
	for (int number = 0; number < SCENES; number++) {
		struct scene s;
		open_scene(&s, number);
		for (int i = 0; i < 3; i++)
			for (int y = 0; y < rows(&s, i); y++)
				for (int x = 0; x < columns(&s, i); x++) {
					double a = alpha_of(&s, i, x, y) / 255.0;
					uint8_t *to = sample(&s, &s.now, i, x, y);
					*to = (uint8_t)lrint(a * *sample(&s, &s.old, i, x, y) +
					                     (1 - a) * *sample(&s, &s.behind, i, x, y));
				}
		struct inlay_planes given;
		struct inlay_frame *composed = make_frame(&s.info, &given);
		il_frame_copy(composed, s.frame);
		assert_ok(il_matte_chain_unmix(s.chain, s.frame, &s.behind, &err));
		for (int i = 0; i < 3; i++)
			for (int y = 0; y < rows(&s, i); y++)
				for (int x = 0; x < columns(&s, i); x++) {
					int alpha = alpha_of(&s, i, x, y), now = *sample(&s, &s.now, i, x, y);
					int subject = *sample(&s, &s.old, i, x, y);
					int plate = *sample(&s, &s.behind, i, x, y);
					int was = *sample(&s, &given, i, x, y);
					if (alpha == 0 || alpha == 255)
						assert_int_equal(now, was);
					else if (alpha >= 32)
						assert_true(abs(now - subject) <= 0.5 * 255 / alpha + 0.6);
					else
						assert_true(abs(now - plate) <= 8 * abs(was - plate) &&
						            abs(now - plate) <= abs(subject - plate) + 4);
					mixed += alpha > 0 && alpha < 255;
				}
		inlay_frame_destroy(&composed);
		check_alpha_plane(&s);
		close_scene(&s);
	}
	assert_true(mixed > 100000);
}

static void refuses_what_does_not_fit(void **state)
{
	(void)state;
	struct inlay_error err;
	struct scene s, other;
	struct pictures p;
	open_scene(&s, 3);
	open_scene(&other, 4);
	make_pictures(&p, &s, true);
	assert_fails(il_matte_chain_clean(s.chain, other.frame, &p.fg, &err), INLAY_ERR_INVALID,
	             "expected i420 of 65x33");
	assert_fails(il_matte_chain_unmix(s.chain, other.frame, &s.behind, &err), INLAY_ERR_INVALID,
	             "expected i420 of 65x33");
	p.fg.width++;
	assert_fails(il_matte_chain_clean(s.chain, s.frame, &p.fg, &err), INLAY_ERR_INVALID,
	             "expected the mask's size");
	free_pictures(&p);
	close_scene(&s);
	close_scene(&other);
}

/* A subject of one colour fades into a background of another: what is half transparent or more becomes the subject's
 * colour alone, what is opaque or empty stays to the byte. */
static void estimate_gives_the_colour_beside(void **state)
{
	(void)state;
	enum { WIDTH = 240, HEIGHT = 80 };
	static const uint8_t subject[3] = { 40, 60, 200 }, behind[3] = { 30, 250, 10 };
	static uint8_t mask[WIDTH * HEIGHT];
	static const enum inlay_pixfmt kinds[] = { INLAY_PIX_BGR24, INLAY_PIX_BGR24A8 };
	struct inlay_error err;
	for (size_t f = 0; f < 2; f++) {
		struct inlay_frame_info info = { kinds[f], WIDTH, HEIGHT, { .range = INLAY_RANGE_FULL } };
		struct inlay_matte_look look;
		struct il_matte_chain *chain;
		struct inlay_frame *frame;
		struct inlay_planes planes;
		ptrdiff_t stride;
		inlay_matte_look_init(&look, INLAY_MATTE_FAST);
		look.threshold = look.feather = look.contour = 0;
		assert_ok(il_matte_chain_create(&chain, &look, &info, WIDTH, HEIGHT, &err));
		assert_ok(il_frame_create(&frame, &info, &err));
		for (int i = 0; i < WIDTH * HEIGHT; i++) {
			int x = i % WIDTH, fade = 255 - (x - 100) * 255 / 12;
			mask[i] = (uint8_t)(fade < 0 ? 0 : fade > 255 ? 255 : fade);
		}
		assert_ok(il_matte_chain_alpha(chain, mask, frame, &err));
		const uint8_t *alpha = il_matte_chain_plane(chain, &stride);
		inlay_frame_map(frame, &planes);
		for (int y = 0; y < HEIGHT; y++)
			for (int x = 0; x < 3 * WIDTH; x++) {
				int a = alpha[y * stride + x / 3];
				planes.data[0][y * planes.stride[0] + x] =
					(uint8_t)((subject[x % 3] * a + behind[x % 3] * (255 - a)) / 255);
			}
		assert_ok(il_matte_chain_estimate(chain, frame, &err));
		int mixed = 0;
		for (int y = 0; y < HEIGHT; y++)
			for (int x = 0; x < 3 * WIDTH; x++) {
				int a = alpha[y * stride + x / 3], found = planes.data[0][y * planes.stride[0] + x];
				if (a == 0 || a == 255)
					assert_int_equal(found, (a ? subject : behind)[x % 3]);
				else if (a < 128 && ++mixed)
					assert_in_range(found + 20, subject[x % 3], subject[x % 3] + 40);
			}
		assert_true(mixed > 3 * HEIGHT);
		inlay_frame_unmap(frame);
		inlay_frame_destroy(&frame);
		il_matte_chain_destroy(&chain);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(estimate_gives_the_colour_beside),
		cmocka_unit_test(clean_equals_double_precision),
		cmocka_unit_test(clean_of_what_was_seen_changes_nothing),
		cmocka_unit_test(unmix_finds_the_subject),
		cmocka_unit_test(refuses_what_does_not_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
