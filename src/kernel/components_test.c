/* The contour filter against a flood fill. */
#include "kernel/components.h"

#include "kernel/mask_planes.h"

/* Pixels of the component at `start`, onto `found`; 8-connected for blobs, 4-connected for holes. */
static int flood(const uint8_t *mask, uint8_t *seen, int *found, int width, int height, int start, bool *border)
{
	bool set = mask[start] >= 128;
	int n = 0;
	found[n++] = start;
	seen[start] = 1;
	*border = false;
	for (int i = 0; i < n; i++) {
		int x = found[i] % width, y = found[i] / width;
		*border |= x == 0 || y == 0 || x == width - 1 || y == height - 1;
		for (int d = 0; d < 9; d++) {
			int u = x + d % 3 - 1, v = y + d / 3 - 1, at = v * width + u;
			bool corner = d % 2 == 0;
			if (u < 0 || v < 0 || u >= width || v >= height || (corner && !set) || seen[at] ||
			    (mask[at] >= 128) != set)
				continue;
			seen[at] = 1;
			found[n++] = at;
		}
	}
	return n;
}

static void brute(uint8_t *mask, int width, int height, bool set, double share)
{
	size_t count = (size_t)(width * height);
	uint8_t *seen = calloc(count, 1), *copy = malloc(count);
	int *found = malloc(count * sizeof *found);
	memcpy(copy, mask, count);
	for (int i = 0; i < width * height; i++) {
		bool border;
		if (seen[i] || (copy[i] >= 128) != set)
			continue;
		int n = flood(copy, seen, found, width, height, i, &border);
		for (int k = 0; k < n; k++)
			if (n < share * width * height && (set || !border))
				mask[found[k]] = set ? 0 : 255;
	}
	free(seen);
	free(copy);
	free(found);
}

/* From noise, whose blobs are many and small, to blobs of blobs. */
static void draw(struct plane *p, int round)
{
	int grain = random_in(1, 6), density = random_in(20, 80);
	uint8_t cells[130][310];
	for (int y = 0; y < 130; y++)
		for (int x = 0; x < 310; x++)
			cells[y][x] = (int)(test_random() % 100) < density;
	for (int y = 0; y < p->height; y++)
		for (int x = 0; x < p->width; x++) {
			int in = cells[y / grain][x / grain], low = round % 2 ? 0 : random_in(0, 127);
			p->data[y * p->stride + x] = (uint8_t)(in ? 255 - low : low);
		}
}

static void check(int round)
{
	int width, height;
	const double shares[] = { 0, 0.01, 0.05, 0.3, 1, 2 };
	random_size(round, &width, &height);
	struct il_components_params params = { shares[test_random() % 6], shares[test_random() % 6] };
	struct plane mask = plane_make(width, height, false);
	draw(&mask, round);
	uint8_t *expected = malloc((size_t)(width * height));
	for (int y = 0; y < height; y++)
		memcpy(expected + y * width, mask.data + y * mask.stride, (size_t)width);
	brute(expected, width, height, true, params.drop);
	brute(expected, width, height, false, params.fill);
	void *scratch = malloc(il_components_scratch(width, height));
	il_components_filter(mask.data, mask.stride, width, height, &params, scratch);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			if (plane_at(&mask, x, y) != expected[y * width + x])
				fail_msg("%dx%d, drop %g, fill %g, at %d,%d: %d, not %d", width, height, params.drop,
				         params.fill, x, y, plane_at(&mask, x, y), expected[y * width + x]);
	plane_check_guards(&mask);
	plane_free(&mask);
	free(expected);
	free(scratch);
}

static void equals_flood_fill(void **state)
{
	(void)state;
	for (int round = 0; round < 300; round++)
		check(round);
}

static void filter_text(const char *in, const char *expected, double drop, double fill)
{
	uint8_t mask[36], scratch[4096] __attribute__((aligned(8)));
	assert_true(il_components_scratch(6, 6) <= sizeof scratch);
	for (int i = 0; i < 36; i++)
		mask[i] = in[i] == '#' ? 255 : in[i] == '+' ? 100 : 0;
	struct il_components_params params = { drop, fill };
	il_components_filter(mask, 6, 6, 6, &params, scratch);
	for (int i = 0; i < 36; i++)
		assert_int_equal(mask[i], expected[i] == '#' ? 255 : expected[i] == '+' ? 100 : 0);
}

static void by_hand(void **state)
{
	(void)state;
	/* a corner joins blobs; 3 of 36 pixels stay at a share of 3/36 */
	filter_text("#....#"
	            ".##..."
	            "......"
	            "....+."
	            "...+#+"
	            "....+.",
	            "#....."
	            ".##..."
	            "......"
	            "....+."
	            "...+.+"
	            "....+.",
	            3.0 / 36, 0);
	/* a hole does not leak through a corner, and one at the border is none */
	filter_text("####.."
	            "#..#.."
	            "#..###"
	            "#####."
	            "...###"
	            "...#.#",
	            "####.."
	            "####.."
	            "######"
	            "#####."
	            "...###"
	            "...#.#",
	            0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(equals_flood_fill), cmocka_unit_test(by_hand) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
