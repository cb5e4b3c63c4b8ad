/* Bytes to network input and logits to probabilities: every table against C, and C against sums in double. */
#include "tests/test.h"

#include <math.h>

#include "base/cpu.h"
#include "kernel/kernel.h"

#define GUARD 16 /* floats round every output */
#define SENTINEL 1234.5f

static int size_of_round(int round)
{
	return round < 60 ? round + 1 : 61 + (int)(test_random() % 700);
}

/* Input of its exact size, so that a sanitizer sees a read past its end. */
static uint8_t *random_pixels(int n)
{
	uint8_t *pixels = malloc((size_t)n * 3);
	assert_non_null(pixels);
	for (int i = 0; i < 3 * n; i++)
		pixels[i] = (uint8_t)(test_random() >> 9);
	return pixels;
}

static float *guarded(size_t n)
{
	float *data = malloc((n + 2 * GUARD) * sizeof *data);
	assert_non_null(data);
	for (size_t i = 0; i < n + 2 * GUARD; i++)
		data[i] = SENTINEL;
	return data;
}

static void assert_guards(const float *data, size_t n)
{
	for (int i = 0; i < GUARD; i++) {
		assert_true(data[i] == SENTINEL);
		assert_true(data[GUARD + n + (size_t)i] == SENTINEL);
	}
}

static struct il_normalize random_scales(void)
{
	struct il_normalize by;
	for (int c = 0; c < 3; c++) {
		by.scale[c] = (float)(test_random() % 20001) / 1e4f - 1.0f;
		by.offset[c] = (float)(test_random() % 20001) / 1e3f - 10.0f;
	}
	return by;
}

static void check_planar(const struct il_kernels *table, int n, size_t shift)
{
	uint8_t *pixels = random_pixels(n);
	struct il_normalize by = random_scales();
	size_t floats = (size_t)n + shift;
	float *want[3], *found[3], *want_at[3], *found_at[3];
	for (int c = 0; c < 3; c++) {
		want[c] = guarded(floats);
		found[c] = guarded(floats);
		want_at[c] = want[c] + GUARD + shift;
		found_at[c] = found[c] + GUARD + shift;
	}
	il_kernels_c.normalize_planar(want_at, pixels, &by, n);
	table->normalize_planar(found_at, pixels, &by, n);
	for (int c = 0; c < 3; c++) {
		assert_memory_equal(want[c], found[c], (floats + 2 * GUARD) * sizeof(float));
		assert_guards(found[c], floats);
		for (int i = 0; i < n; i++)
			assert_float_equal(found_at[c][i], pixels[3 * i + c] * (double)by.scale[c] + by.offset[c],
			                   3e-5);
		free(want[c]);
		free(found[c]);
	}
	free(pixels);
}

static void check_packed(const struct il_kernels *table, int n, size_t shift, int swap)
{
	uint8_t *pixels = random_pixels(n);
	struct il_normalize by = random_scales();
	size_t floats = 3 * (size_t)n + shift;
	float *want = guarded(floats), *found = guarded(floats), *at = found + GUARD + shift;
	il_kernels_c.normalize_packed(want + GUARD + shift, pixels, &by, swap, n);
	table->normalize_packed(at, pixels, &by, swap, n);
	assert_memory_equal(want, found, (floats + 2 * GUARD) * sizeof(float));
	assert_guards(found, floats);
	for (int i = 0; i < n; i++)
		for (int c = 0; c < 3; c++)
			assert_float_equal(at[3 * i + c],
			                   pixels[3 * i + (swap ? 2 - c : c)] * (double)by.scale[c] + by.offset[c],
			                   3e-5);
	free(want);
	free(found);
	free(pixels);
}

static void bytes_are_scaled_in_planes(void **state)
{
	(void)state;
	const struct il_kernels *const *all = il_kernels_all();
	for (int t = 0; all[t]; t++)
		for (int round = 0; round < 100; round++)
			check_planar(all[t], size_of_round(round), test_random() % 9);
}

static void bytes_are_scaled_interleaved(void **state)
{
	(void)state;
	const struct il_kernels *const *all = il_kernels_all();
	for (int t = 0; all[t]; t++)
		for (int round = 0; round < 200; round++)
			check_packed(all[t], size_of_round(round / 2), test_random() % 9, round % 2);
}

static float random_logit(void)
{
	switch (test_random() % 12) {
	case 0: return NAN;
	case 1: return INFINITY;
	case 2: return -INFINITY;
	case 3: return 3e38f;
	case 4: return -0.0f;
	case 5: return 1e-40f;
	case 6: return (float)(test_random() % 4001) / 10.0f - 200.0f;
	default: return (float)(test_random() % 400001) / 1e4f - 20.0f;
	}
}

static void logits_become_probabilities(void **state)
{
	(void)state;
	const struct il_kernels *const *all = il_kernels_all();
	for (int t = 0; all[t]; t++)
		for (int round = 0; round < 200; round++) {
			int n = size_of_round(round / 2) - 1;
			size_t shift = test_random() % 9, floats = (size_t)n + shift;
			float *want = guarded(floats), *found = guarded(floats), *in = guarded(floats);
			for (int i = 0; i < n; i++)
				in[GUARD + shift + (size_t)i] = random_logit();
			memcpy(want, in, (floats + 2 * GUARD) * sizeof *in);
			memcpy(found, in, (floats + 2 * GUARD) * sizeof *in);
			il_kernels_c.sigmoid(want + GUARD + shift, n);
			all[t]->sigmoid(found + GUARD + shift, n);
			assert_memory_equal(want, found, (floats + 2 * GUARD) * sizeof *in);
			assert_guards(found, floats);
			for (size_t i = GUARD + shift; i < GUARD + floats; i++)
				assert_float_equal(found[i], isnan(in[i]) ? 0 : 1 / (1 + exp(-(double)in[i])), 2e-7);
			free(want);
			free(found);
			free(in);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_scaled_in_planes),
		cmocka_unit_test(bytes_are_scaled_interleaved),
		cmocka_unit_test(logits_become_probabilities),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
