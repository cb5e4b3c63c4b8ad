/* Dilation and erosion against PIL's results and brute force. */
#include "kernel/morph.h"

#include "kernel/mask_golden.h"
#include "kernel/mask_planes.h"

/* As tools/make_mask_goldens.py makes it. */
static void golden_picture(uint8_t *pixels, int width, int height)
{
	uint32_t seed = (uint32_t)(width * 1000 + height);
	for (int i = 0; i < width * height; i++) {
		seed = seed * 1664525u + 1013904223u;
		unsigned value = seed >> 24;
		pixels[i] = (uint8_t)(value % 8 == 0 ? value : value % 8 == 1 ? 255 : value / 4);
	}
}

static void check_golden(int round)
{
	int width = golden_morph[round].width, height = golden_morph[round].height;
	int expand = golden_morph[round].expand;
	size_t size = (size_t)(width * height);
	uint8_t *in = malloc(size), *out = malloc(size);
	void *scratch = malloc(il_morph_scratch(width, height, expand));
	golden_picture(in, width, height);
	il_morph(out, width, in, width, width, height, expand, scratch);
	if (fnv(FNV_START, out, size) != golden_morph[round].hash)
		fail_msg("%dx%d by %d", width, height, expand);
	free(in);
	free(out);
	free(scratch);
}

static void equals_pil(void **state)
{
	(void)state;
	for_both_tables(check_golden, sizeof golden_morph / sizeof *golden_morph);
}

static int brute(const struct plane *in, int x, int y, int expand)
{
	int e = abs(expand), best = expand < 0 ? 255 : 0;
	for (int v = y - e < 0 ? 0 : y - e; v <= y + e && v < in->height; v++)
		for (int u = x - e < 0 ? 0 : x - e; u <= x + e && u < in->width; u++) {
			int value = plane_at(in, u, v);
			if (expand < 0 ? value < best : value > best)
				best = value;
		}
	return best;
}

static int reach_of_round(int round)
{
	const int few[] = { 0, 1, 4, 5, 12, 40, 255, 256, 300 };
	int e = round % 2 ? few[round / 2 % 9] : random_in(0, 20);
	return round % 3 ? e : -e;
}

static void check_brute(int round)
{
	int width, height, expand = reach_of_round(round);
	random_size(round, &width, &height);
	if (abs(expand) > 40) {
		width = width % 60 + 1;
		height = height % 30 + 1;
	}
	struct plane in = plane_input(width, height, round % 4), out = plane_make(width, height, false);
	struct plane same = plane_make(width, height, false);
	/* the scratch must hold wherever it lies */
	uint8_t *scratch = malloc(il_morph_scratch(width, height, expand) + 8);
	for (int y = 0; y < height; y++)
		memcpy(same.data + y * same.stride, in.data + y * in.stride, (size_t)width);
	il_morph(out.data, out.stride, in.data, in.stride, width, height, expand, scratch + 8);
	il_morph(same.data, same.stride, same.data, same.stride, width, height, expand, scratch);
	int limited = expand > 256 ? 256 : expand < -256 ? -256 : expand;
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			int expected = brute(&in, x, y, limited);
			if (plane_at(&out, x, y) != expected || plane_at(&same, x, y) != expected)
				fail_msg("%dx%d by %d at %d,%d: %d, in place %d, expected %d", width, height, expand, x,
				         y, plane_at(&out, x, y), plane_at(&same, x, y), expected);
		}
	plane_check_guards(&out);
	plane_check_guards(&same);
	plane_free(&in);
	plane_free(&out);
	plane_free(&same);
	free(scratch);
}

static void equals_brute_force(void **state)
{
	(void)state;
	for_both_tables(check_brute, 120);
}

/* Windows of 513 inside a picture that is larger. */
static void check_large(int round)
{
	const int width = 700, height = 620;
	struct plane in = plane_input(width, height, false), out = plane_make(width, height, false);
	memset(in.data, round ? 255 : 0, in.size);
	in.data[300 * in.stride + 290] = 77;
	void *scratch = malloc(il_morph_scratch(width, height, 256));
	il_morph(out.data, out.stride, in.data, in.stride, width, height, round ? -256 : 256, scratch);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			bool near = abs(x - 290) <= 256 && abs(y - 300) <= 256;
			assert_int_equal(plane_at(&out, x, y), near ? 77 : round ? 255 : 0);
		}
	plane_check_guards(&out);
	plane_free(&in);
	plane_free(&out);
	free(scratch);
}

static void largest_window(void **state)
{
	(void)state;
	for_both_tables(check_large, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_pil),
		cmocka_unit_test(equals_brute_force),
		cmocka_unit_test(largest_window),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
