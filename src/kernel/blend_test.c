/* Blending and comparing planes against double precision. */
#include "kernel/blend.h"

#include <math.h>

#include "kernel/mask_planes.h"
#include "kernel/psnr.h"

/* Every foreground, background and alpha there is. */
static void check_all(int fg)
{
	uint8_t f[256], b[256], a[256], out[256], pairs[512], two_f[512], two_b[512];
	memset(f, fg, sizeof f);
	memset(two_f, fg, sizeof two_f);
	for (int i = 0; i < 256; i++)
		b[i] = two_b[2 * i] = two_b[2 * i + 1] = (uint8_t)i;
	for (int alpha = 0; alpha < 256; alpha++) {
		memset(a, alpha, sizeof a);
		const struct il_blend_kernels *k = il_kernels_get()->blend;
		k->row(out, f, b, a, 256);
		k->pairs(pairs, two_f, two_b, a, 256);
		for (int bg = 0; bg < 256; bg++) {
			int expected = (int)lround(bg + (fg - bg) * (double)alpha / 255);
			if (out[bg] != expected || pairs[2 * bg] != expected || pairs[2 * bg + 1] != expected)
				fail_msg("%d over %d, alpha %d: %d and %d, not %d", fg, bg, alpha, out[bg],
				         pairs[2 * bg], expected);
		}
	}
}

static void is_exact(void **state)
{
	(void)state;
	for_both_tables(check_all, 256);
}

/* Alpha with tiles of 0, of 255, and others. */
static struct plane make_alpha(int width, int height)
{
	struct plane alpha = plane_input(width, height, true);
	for (int y = 0; y < height; y += 16)
		for (int x = 0; x < width; x += 64) {
			int kind = random_in(0, 3);
			for (int v = y; v < y + 16 && v < height; v++)
				for (int u = x; u < x + 64 && u < width; u++)
					if (kind < 2)
						alpha.data[v * alpha.stride + u] = kind ? 255 : 0;
		}
	return alpha;
}

static void check_halve(const struct plane *chroma, const struct plane *alpha)
{
	for (int y = 0; y < chroma->height; y++)
		for (int x = 0; x < chroma->width; x++) {
			int sum = 0, n = 0;
			for (int v = 2 * y; v < 2 * y + 2 && v < alpha->height; v++)
				for (int u = 2 * x; u < 2 * x + 2 && u < alpha->width; u++, n++)
					sum += plane_at(alpha, u, v);
			assert_int_equal(plane_at(chroma, x, y), (int)floor((double)sum / n + 0.5));
		}
	plane_check_guards(chroma);
}

static void check_classes(const uint8_t *classes, const struct plane *alpha, int tile_width, int tile_height)
{
	for (int y = 0; y < alpha->height; y += tile_height)
		for (int x = 0; x < alpha->width; x += tile_width) {
			int least = 255, most = 0;
			for (int v = y; v < y + tile_height && v < alpha->height; v++)
				for (int u = x; u < x + tile_width && u < alpha->width; u++) {
					int a = plane_at(alpha, u, v);
					least = a < least ? a : least;
					most = a > most ? a : most;
				}
			int class = *classes++;
			/* chroma under a mixed tile may be all of one kind */
			if (tile_width == IL_TILE_WIDTH || class != IL_ALPHA_MIXED)
				assert_int_equal(class, least == 255 ? IL_ALPHA_FULL
				                        : most == 0  ? IL_ALPHA_EMPTY
				                                     : IL_ALPHA_MIXED);
		}
}

/* One plane, with and without classes, constant and plane, in place and not. */
static void blend_plane(const struct plane *alpha, const uint8_t *classes, bool chroma, bool pairs)
{
	int width = alpha->width * (pairs ? 2 : 1), height = alpha->height;
	bool constant = test_random() % 2, in_place = test_random() % 2;
	struct plane fg = plane_input(width, height, false), bg = plane_input(width, height, false);
	struct plane out = plane_make(width, height, false);
	struct il_blend b = { .out = out.data,
		              .out_stride = out.stride,
		              .fg = fg.data,
		              .fg_stride = fg.stride,
		              .bg = constant ? NULL : bg.data,
		              .bg_stride = bg.stride,
		              .constant = { (uint8_t)test_random(), (uint8_t)test_random() },
		              .alpha = alpha->data,
		              .alpha_stride = alpha->stride,
		              .width = alpha->width,
		              .height = height,
		              .pairs = pairs,
		              .chroma = chroma,
		              .classes = classes };
	if (in_place) {
		for (int y = 0; y < height; y++)
			memcpy(out.data + y * out.stride, fg.data + y * fg.stride, (size_t)width);
		b.fg = out.data;
		b.fg_stride = out.stride;
	}
	int middle = random_in(0, height);
	il_blend_rows(&b, 0, middle);
	il_blend_rows(&b, middle, height);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			int back = constant ? b.constant[pairs ? x % 2 : 0] : plane_at(&bg, x, y);
			double a = plane_at(alpha, pairs ? x / 2 : x, y) / 255.0;
			assert_int_equal(plane_at(&out, x, y), lround(back + (plane_at(&fg, x, y) - back) * a));
		}
	plane_check_guards(&out);
	plane_free(&fg);
	plane_free(&bg);
	plane_free(&out);
}

static void check_picture(int round)
{
	int width, height;
	random_size(round, &width, &height);
	if (round % 4 == 3)
		width += 600; /* longer than the chunks of constants */
	struct plane alpha = make_alpha(width, height);
	struct plane chroma = plane_make((width + 1) / 2, (height + 1) / 2, false);
	il_alpha_halve(chroma.data, chroma.stride, alpha.data, alpha.stride, width, height);
	check_halve(&chroma, &alpha);
	uint8_t *classes = malloc((size_t)(il_tiles(width, IL_TILE_WIDTH) * il_tiles(height, IL_TILE_HEIGHT)));
	il_alpha_classify(classes, alpha.data, alpha.stride, width, height);
	check_classes(classes, &alpha, IL_TILE_WIDTH, IL_TILE_HEIGHT);
	check_classes(classes, &chroma, IL_TILE_WIDTH / 2, IL_TILE_HEIGHT / 2);
	for (int with = 0; with < 2; with++) {
		blend_plane(&alpha, with ? classes : NULL, false, false);
		blend_plane(&chroma, with ? classes : NULL, true, false);
		blend_plane(&chroma, with ? classes : NULL, true, true);
	}
	plane_free(&alpha);
	plane_free(&chroma);
	free(classes);
}

static void pictures(void **state)
{
	(void)state;
	for_both_tables(check_picture, 100);
}

static void check_psnr(int round)
{
	int width, height, every = random_in(1, 5);
	random_size(round, &width, &height);
	struct plane a = plane_input(width, height, round % 2), b = plane_input(width, height, round % 2);
	double sum = 0, count = 0;
	for (int y = 0; y < height; y += every)
		for (int x = 0; x < width; x++, count++)
			sum += pow(plane_at(&a, x, y) - plane_at(&b, x, y), 2);
	assert_int_equal(il_squared_error(a.data, a.stride, b.data, b.stride, width, height, every), sum);
	double psnr = il_psnr(a.data, a.stride, b.data, b.stride, width, height, every);
	if (sum > 0)
		assert_true(fabs(psnr - 10 * log10(65025 / (sum / count))) < 1e-9);
	assert_true(isinf(il_psnr(a.data, a.stride, a.data, a.stride, width, height, every)));
	plane_free(&a);
	plane_free(&b);
}

static void psnr_equals_double(void **state)
{
	(void)state;
	for_both_tables(check_psnr, 100);
}

/* The greatest difference there is, in rows that would overflow 32 bits. */
static void check_overflow(int round)
{
	(void)round;
	const int n = 700001;
	uint8_t *a = calloc((size_t)n, 1), *b = malloc((size_t)n);
	memset(b, 255, (size_t)n);
	assert_int_equal(il_squared_error(a, 0, b, 0, n, 3, 1), 3 * 65025ull * (unsigned)n);
	free(a);
	free(b);
}

static void squares_do_not_overflow(void **state)
{
	(void)state;
	for_both_tables(check_overflow, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_exact),
		cmocka_unit_test(pictures),
		cmocka_unit_test(psnr_equals_double),
		cmocka_unit_test(squares_do_not_overflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
