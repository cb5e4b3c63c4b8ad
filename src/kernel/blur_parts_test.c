/* The masked blur with tiles of known alpha and piece by piece, and the kernel of small blurs. */
#include "kernel/blur.h"
#include "kernel/blur_kernels.h"
#include "kernel/mask_planes.h"

/* Alpha that is in every tile what the tile's class says. */
static uint8_t *make_classes(struct plane *alpha, struct il_blur_tiles *tiles)
{
	tiles->per_row = (alpha->width + tiles->width - 1) / tiles->width;
	uint8_t *classes = malloc((size_t)tiles->per_row * (size_t)alpha->height), *class = classes;
	assert_non_null(classes);
	for (int y = 0; y < alpha->height; y += tiles->height)
		for (int x = 0; x < alpha->width; x += tiles->width, class ++) {
			*class = (uint8_t)random_in(IL_ALPHA_MIXED, IL_ALPHA_FULL);
			for (int i = y; i < y + tiles->height && i < alpha->height; i++)
				for (int j = x; j < x + tiles->width && j < alpha->width; j++)
					if (*class != IL_ALPHA_MIXED)
						alpha->data[i * alpha->stride + j] = *class == IL_ALPHA_FULL ? 255 : 0;
		}
	tiles->classes = classes;
	return classes;
}

static void blur_parts(struct plane *dst, const struct plane *src, const struct plane *alpha,
                       const struct il_blur_params *params, void *scratch)
{
	const struct il_blur_area *area = &params->area;
	struct il_masked_blur blur;
	il_masked_blur_begin(&blur, src->data, src->stride, alpha->data, alpha->stride, params, scratch);
	for (int y = area->y, height; y < area->y + area->height; y += height) {
		height = random_in(1, area->y + area->height - y);
		for (int x = area->x, width; x < area->x + area->width; x += width) {
			width = random_in(1, area->x + area->width - x);
			const struct il_blur_area part = { x, y, width, height };
			il_masked_blur_part(&blur, dst->data + y * dst->stride + x, dst->stride, &part);
		}
	}
}

/* Neither changes a byte of the result, or touches one outside the area. */
static void check_parts(int round)
{
	const int w = random_in(1, 400), h = random_in(1, 90);
	struct plane src = plane_make(w, h, false), alpha = plane_make(w, h, false);
	struct plane dst = plane_make(w, h, false), all = plane_make(w, h, false);
	const int x = random_in(0, w - 1), y = random_in(0, h - 1);
	struct il_blur_params params = { .width = w,
		                         .height = h,
		                         .area = { x, y, random_in(1, w - x), random_in(1, h - y) },
		                         .sigma = (float)random_in(1, 400) / 10,
		                         .coarse = round % 3 == 0,
		                         .tiles = { .width = round % 2 ? 32 : 64, .height = round % 2 ? 8 : 16 } };
	uint8_t *classes = make_classes(&alpha, &params.tiles);
	void *scratch = malloc(il_masked_blur_scratch(w, h));
	assert_non_null(scratch);
	blur_parts(&dst, &src, &alpha, &params, scratch);
	params.tiles.classes = NULL;
	il_masked_blur(all.data, all.stride, src.data, src.stride, alpha.data, alpha.stride, &params, scratch);
	for (int i = 0; i < h; i++)
		for (int j = 0; j < w; j++) {
			ptrdiff_t at = i * dst.stride + j;
			bool inside = i >= y && i < y + params.area.height && j >= x && j < x + params.area.width;
			int expected = inside ? plane_at(&all, j, i) : dst.before[PLANE_GUARD + at];
			if (dst.data[at] != expected)
				fail_msg("%d at %d,%d, expected %d", dst.data[at], j, i, expected);
		}
	plane_check_guards(&dst);
	plane_free(&src);
	plane_free(&alpha);
	plane_free(&dst);
	plane_free(&all);
	free(classes);
	free(scratch);
}

static void tiles_and_parts_change_nothing(void **state)
{
	(void)state;
	for_both_tables(check_parts, 100);
}

static void check_lines(int round)
{
	const int n = random_in(1, 200), third = random_in(0, 20), second = random_in(0, 40), first = random_in(0, 60);
	const uint16_t taps[] = { (uint16_t)(256 - 2 * (first + second + third)), (uint16_t)first, (uint16_t)second,
		                  (uint16_t)third };
	struct plane in = plane_input(n, IL_TAP_LINES, round % 2), out = plane_make(n, 1, false);
	const uint8_t *lines[IL_TAP_LINES];
	if (round % 7 == 0)
		memset(in.data, 255, in.size);
	for (int i = 0; i < IL_TAP_LINES; i++)
		lines[i] = in.data + i * in.stride;
	il_kernels_get()->blur->mix_lines(out.data, lines, taps, n);
	for (int x = 0; x < n; x++) {
		int sum = 128;
		for (int i = 0; i < IL_TAP_LINES; i++)
			sum += taps[abs(i - IL_TAP_REACH)] * lines[i][x];
		assert_int_equal(out.data[x], sum / 256);
	}
	plane_check_guards(&out);
	plane_free(&in);
	plane_free(&out);
}

static void lines_are_weighed_sums(void **state)
{
	(void)state;
	for_both_tables(check_lines, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tiles_and_parts_change_nothing),
		cmocka_unit_test(lines_are_weighed_sums),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
