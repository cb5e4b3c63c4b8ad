/* The tables of the matte kernels against C where their callers' tests do not say it already: values that only odd
 * input gives, and every length. Input and output have their exact sizes, so that a sanitizer sees each byte too far.
 */
#include "kernel/mask_planes.h"

#include <math.h>

#define MOST 140

static float odd_float(void)
{
	const float odd[] = { NAN, -NAN, INFINITY, -INFINITY, -0.0f, 1e-40f, 1e30f, -1e30f, 87, -87, 0.4f, 0.6f, 0.5f };
	unsigned i = test_random() % 40;
	return i < sizeof odd / sizeof *odd ? odd[i] : (float)((test_random() % 100001) / 40000.0 - 0.7);
}

static void floats(const struct il_mask_kernels *k, int n)
{
	int step = random_in(1, 3);
	size_t count = (size_t)((n - 1) * step + 1);
	float *a = malloc(count * sizeof *a), *b = malloc(count * sizeof *b);
	float *expected = malloc((size_t)n * sizeof *expected), *got = malloc((size_t)n * sizeof *got);
	uint8_t *bytes = malloc((size_t)n), *other = malloc((size_t)n);
	for (size_t i = 0; i < count; i++) {
		a[i] = 20 * odd_float();
		b[i] = 20 * odd_float();
	}
	for (int two = 0; two < 2; two++) {
		il_kernels_c.mask->activate(expected, a, two ? b : NULL, step, n);
		k->activate(got, a, two ? b : NULL, step, n);
		assert_memory_equal(got, expected, (size_t)n * sizeof *got);
	}
	for (int i = 0; i < n; i++)
		got[i] = odd_float();
	const struct il_ramp ramps[] = { { 0, 1 }, { 0.4f, 0.2f }, { 0.5f, 0 } };
	for (int i = 0; i < 3; i++) {
		float scale = i % 2 ? 1 : 0.75f;
		il_kernels_c.mask->ramp(bytes, got, scale, &ramps[i], n);
		k->ramp(other, got, scale, &ramps[i], n);
		assert_memory_equal(other, bytes, (size_t)n);
	}
	free(a);
	free(b);
	free(expected);
	free(got);
	free(bytes);
	free(other);
}

/* Any state, not only those that masks lead to. */
static void states(const struct il_mask_kernels *k, int n)
{
	uint8_t *in = malloc((size_t)n), *out[2] = { malloc((size_t)n), malloc((size_t)n) };
	uint16_t *state[2] = { malloc((size_t)n * 2), malloc((size_t)n * 2) };
	const int gains[] = { 1, 65535, 32768, random_in(1, 65535) };
	for (int g = 0; g < 4; g++) {
		plane_scramble(in, (size_t)n, true);
		for (int i = 0; i < n; i++)
			state[0][i] = state[1][i] = (uint16_t)random_in(0, 65280);
		il_kernels_c.mask->smooth(out[0], state[0], in, gains[g], n);
		k->smooth(out[1], state[1], in, gains[g], n);
		assert_memory_equal(out[0], out[1], (size_t)n);
		assert_memory_equal(state[0], state[1], (size_t)n * 2);
	}
	free(in);
	for (int i = 0; i < 2; i++) {
		free(out[i]);
		free(state[i]);
	}
}

/* Indices that ascend slowly, and in leaps. */
static void indices(const struct il_mask_kernels *k, int n)
{
	int leap = random_in(0, 5), last = 0;
	int16_t *index = malloc((size_t)n * 2), *weight = malloc((size_t)n * 2);
	for (int i = 0; i < n; i++) {
		index[i] = (int16_t)last;
		weight[i] = (int16_t)random_in(0, 32767);
		last += random_in(0, leap);
	}
	size_t readable = (size_t)index[n - 1] + 17;
	int16_t *wide[2] = { malloc((size_t)n * 2), malloc((size_t)n * 2) };
	uint8_t *bytes = malloc(readable), *out[2] = { malloc((size_t)n), malloc((size_t)n) };
	plane_scramble(bytes, readable, true);
	il_kernels_c.mask->expand(out[0], bytes, index, n);
	k->expand(out[1], bytes, index, n);
	assert_memory_equal(out[0], out[1], (size_t)n);
	il_kernels_c.mask->lerp_expand(wide[0], bytes, index, weight, n);
	k->lerp_expand(wide[1], bytes, index, weight, n);
	assert_memory_equal(wide[0], wide[1], (size_t)n * 2);
	free(index);
	free(weight);
	free(bytes);
	for (int i = 0; i < 2; i++) {
		free(wide[i]);
		free(out[i]);
	}
}

static void rows(const struct il_mask_kernels *k, int n)
{
	int16_t *a = malloc((size_t)n * 2), *b = malloc((size_t)n * 2);
	uint8_t *out[2] = { malloc((size_t)n), malloc((size_t)n) };
	const int weights[] = { 0, 32767, 16384, random_in(0, 32767) };
	for (int i = 0; i < n; i++) {
		a[i] = (int16_t)(test_random() % 3 ? random_in(0, 32640) : test_random() % 2 * 32640);
		b[i] = (int16_t)(test_random() % 3 ? random_in(0, 32640) : test_random() % 2 * 32640);
	}
	for (int i = 0; i < 4; i++) {
		il_kernels_c.mask->lerp_rows(out[0], a, b, weights[i], n);
		k->lerp_rows(out[1], a, b, weights[i], n);
		assert_memory_equal(out[0], out[1], (size_t)n);
	}
	free(a);
	free(b);
	free(out[0]);
	free(out[1]);
}

static void masks_equal_c(void **state)
{
	(void)state;
	const struct il_kernels *const *all = il_kernels_all();
	for (int i = 0; all[i]; i++)
		for (int n = 1; n <= MOST; n++) {
			floats(all[i]->mask, n);
			states(all[i]->mask, n);
			indices(all[i]->mask, n);
			rows(all[i]->mask, n);
		}
}

/* The byte kernels, into the middle of guard bytes. */
static void bytes(const struct il_kernels *k, int n)
{
	struct plane fg = plane_input(2 * n, 1, false), bg = plane_input(2 * n, 1, false);
	struct plane alpha = plane_input(n, 1, true), out = plane_make(2 * n, 1, false);
	struct plane half = plane_make(n, 1, false);
	uint8_t expected[2 * MOST];
	il_kernels_c.blend->pairs(expected, fg.data, bg.data, alpha.data, n);
	k->blend->pairs(out.data, fg.data, bg.data, alpha.data, n);
	assert_memory_equal(out.data, expected, 2 * (size_t)n);
	il_kernels_c.blend->halve(expected, fg.data, bg.data, n);
	k->blend->halve(half.data, fg.data, bg.data, n);
	assert_memory_equal(half.data, expected, (size_t)n);
	assert_int_equal(k->blend->squares(fg.data, bg.data, 2 * n),
	                 il_kernels_c.blend->squares(fg.data, bg.data, 2 * n));
	plane_check_guards(&out);
	plane_check_guards(&half);
	plane_free(&fg);
	plane_free(&bg);
	plane_free(&alpha);
	plane_free(&out);
	plane_free(&half);
}

static void bytes_equal_c(void **state)
{
	(void)state;
	const struct il_kernels *const *all = il_kernels_all();
	for (int i = 0; all[i]; i++)
		for (int n = 1; n <= MOST; n++)
			bytes(all[i], n);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(masks_equal_c), cmocka_unit_test(bytes_equal_c) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
