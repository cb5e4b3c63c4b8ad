/* Every kernel table against the C table: random input, odd sizes and strides, unaligned pointers, and memory round
 * the output that nobody may touch. Input has its exact size, so that a sanitizer sees a read past its end. */
#include "tests/test.h"

#include <math.h>

#include "base/cpu.h"
#include "kernel/kernel.h"

#define GUARD 64
#define ROUNDS 60

/* Output memory: twice the same random bytes with room for `size` bytes behind a guard, and a third copy to tell what
 * was touched. `shift` makes the start unaligned. */
struct output {
	uint8_t *reference, *tested, *before;
	size_t size, shift, total;
};

static uint8_t *random_bytes(size_t size)
{
	uint8_t *bytes = malloc(size);
	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(test_random() >> 11);
	return bytes;
}

static void *copy_of(const void *bytes, size_t size)
{
	void *copy = malloc(size);
	assert_non_null(copy);
	return memcpy(copy, bytes, size);
}

static struct output output_make(size_t size, size_t item)
{
	struct output o = { .size = size, .shift = test_random() % 16 * item };
	o.total = size + 2 * GUARD + o.shift;
	o.before = random_bytes(o.total);
	o.reference = copy_of(o.before, o.total);
	o.tested = copy_of(o.before, o.total);
	return o;
}

static void *at(const struct output *o, uint8_t *memory)
{
	return memory + GUARD + o->shift;
}

/* Equal everywhere, and untouched outside. Frees. */
static void output_check(struct output *o, const char *table)
{
	for (size_t i = 0; i < o->total; i++)
		if (o->reference[i] != o->tested[i])
			fail_msg("%s differs from C at byte %zd of %zu: %u, not %u", table,
			         (ptrdiff_t)i - (ptrdiff_t)(GUARD + o->shift), o->size, o->tested[i], o->reference[i]);
	assert_memory_equal(o->reference, o->before, GUARD + o->shift);
	assert_memory_equal(o->reference + GUARD + o->shift + o->size, o->before + GUARD + o->shift + o->size, GUARD);
	free(o->reference);
	free(o->tested);
	free(o->before);
}

static int random_in(int from, int to)
{
	return from + (int)(test_random() % (uint32_t)(to - from + 1));
}

/* 1, 2, 3, .. and then anything. */
static int size_of_round(int round)
{
	return round < 40 ? round + 1 : random_in(41, 200);
}

/* Runs check(table, round) for every table; C against itself still has its guard bytes looked at. */
static void for_tables(void (*check)(const struct il_kernels *table, int round))
{
	const struct il_kernels *const *all = il_kernels_all();
	if (!all[1])
		printf("# this processor runs no other table than C\n");
	for (int i = 0; all[i]; i++)
		for (int round = 0; round < ROUNDS; round++)
			check(all[i], round);
}

static void check_pack(const struct il_kernels *table, int round)
{
	int size = size_of_round(round), stride = size * 3 + random_in(0, 7);
	size_t bytes = (size_t)stride * (size_t)(size - 1) + (size_t)size * 3;
	uint8_t *bgr = random_bytes(bytes);
	int x0 = random_in(0, size), x1 = random_in(x0, size), y0 = random_in(0, size), y1 = random_in(y0, size);
	struct output o = output_make((size_t)size * (size_t)size * 6 * sizeof(float), sizeof(float));
	il_kernels_c.pack_picture(at(&o, o.reference), bgr, stride, size, x0, y0, x1, y1);
	table->pack_picture(at(&o, o.tested), bgr, stride, size, x0, y0, x1, y1);
	output_check(&o, table->name);
	free(bgr);
}

static float random_probability(void)
{
	switch (test_random() % 16) {
	case 0: return NAN;
	case 1: return INFINITY;
	case 2: return -INFINITY;
	case 3: return -0.0f;
	case 4: return -1e30f;
	case 5: return 1e30f;
	case 6: return (float)(test_random() % 256) / 255.0f;
	default: return (float)(test_random() % 100000) / 80000.0f - 0.1f;
	}
}

static void check_unpack(const struct il_kernels *table, int round)
{
	int size = size_of_round(round), stride = size * 3 + random_in(0, 7);
	size_t count = (size_t)size * (size_t)size * 3;
	float *planes = malloc(count * sizeof *planes);
	assert_non_null(planes);
	for (size_t i = 0; i < count; i++)
		planes[i] = random_probability();
	struct output o = output_make((size_t)stride * (size_t)(size - 1) + (size_t)size * 3, 1);
	il_kernels_c.unpack_picture(at(&o, o.reference), stride, planes, size);
	table->unpack_picture(at(&o, o.tested), stride, planes, size);
	for (int y = 0; y + 1 < size; y++) /* between the rows */
		assert_memory_equal((uint8_t *)at(&o, o.reference) + y * stride + 3 * size,
		                    (uint8_t *)at(&o, o.before) + y * stride + 3 * size, stride - 3 * size);
	output_check(&o, table->name);
	free(planes);
}

/* Offsets into a row of `pixels` pixels and weights that sum to 2048 like the real ones. */
struct taps {
	int n;
	uint8_t *row;
	int *offsets;
	int16_t *coefs;
};

static struct taps taps_make(int n, int taps)
{
	int pixels = random_in(taps, 300);
	struct taps t = { n, random_bytes((size_t)(pixels - taps) * 3 + 16), malloc((size_t)n * sizeof(int)),
		          malloc((size_t)(n * taps) * sizeof(int16_t)) };
	for (int i = 0; i < n; i++) {
		int rest = 2048;
		t.offsets[i] = 3 * random_in(0, pixels - taps);
		for (int k = 1; k < taps; k++) {
			t.coefs[taps * i + k] = (int16_t)(taps == 2 ? random_in(0, 2048) : random_in(-300, 1000));
			rest -= t.coefs[taps * i + k];
		}
		t.coefs[taps * i] = (int16_t)rest;
	}
	return t;
}

static void taps_free(struct taps *t)
{
	free(t->row);
	free(t->offsets);
	free(t->coefs);
}

static void check_h_linear(const struct il_kernels *table, int round)
{
	struct taps t = taps_make(size_of_round(round), 2);
	struct output o = output_make((size_t)t.n * 3 * sizeof(int16_t), sizeof(int16_t));
	il_kernels_c.resize_h_linear(at(&o, o.reference), t.row, t.offsets, t.coefs, t.n);
	table->resize_h_linear(at(&o, o.tested), t.row, t.offsets, t.coefs, t.n);
	output_check(&o, table->name);
	taps_free(&t);
}

static void check_h_cubic(const struct il_kernels *table, int round)
{
	struct taps t = taps_make(size_of_round(round), 4);
	struct output o = output_make((size_t)t.n * 3 * sizeof(float), sizeof(float));
	il_kernels_c.resize_h_cubic(at(&o, o.reference), t.row, t.offsets, t.coefs, t.n);
	table->resize_h_cubic(at(&o, o.tested), t.row, t.offsets, t.coefs, t.n);
	output_check(&o, table->name);
	taps_free(&t);
}

static void check_v_linear(const struct il_kernels *table, int round)
{
	int n = round < 40 ? round * 3 + 1 : random_in(1, 1000), wa = random_in(0, 2048);
	int16_t *a = malloc((size_t)n * sizeof *a), *b = malloc((size_t)n * sizeof *b);
	for (int i = 0; i < n; i++) {
		a[i] = (int16_t)random_in(0, 255 * 2048 / 16);
		b[i] = (int16_t)random_in(0, 255 * 2048 / 16);
	}
	struct output o = output_make((size_t)n, 1);
	il_kernels_c.resize_v_linear(at(&o, o.reference), a, b, wa, 2048 - wa, n);
	table->resize_v_linear(at(&o, o.tested), a, b, wa, 2048 - wa, n);
	output_check(&o, table->name);
	free(a);
	free(b);
}

/* A quarter of the weights makes exact halves, which must go to the even number. */
static void check_v_cubic(const struct il_kernels *table, int round)
{
	int n = round < 40 ? round * 3 + 1 : random_in(1, 1000);
	float *rows[4], weights[4];
	for (int k = 0; k < 4; k++) {
		rows[k] = malloc((size_t)n * sizeof(float));
		for (int i = 0; i < n; i++)
			rows[k][i] = (float)(round % 4 ? random_in(-100000, 700000) : 1024 * random_in(0, 511));
		weights[k] = (float)(round % 4 ? random_in(-300, 1500) : 512) / (2048.0f * 2048.0f);
	}
	struct output o = output_make((size_t)n, 1);
	il_kernels_c.resize_v_cubic(at(&o, o.reference), (const float *const *)rows, weights, n);
	table->resize_v_cubic(at(&o, o.tested), (const float *const *)rows, weights, n);
	output_check(&o, table->name);
	for (int k = 0; k < 4; k++)
		free(rows[k]);
}

/* Weights within what a colour matrix can have, so that sums stay in 32 bits. */
static struct il_bgr_to_yuv random_weights(void)
{
	struct il_bgr_to_yuv to = { .y_offset = random_in(0, 16) };
	for (int c = 0; c < 3; c++) {
		to.y[c] = (int16_t)random_in(0, 24000);
		to.u[c] = (int16_t)random_in(-16384, 16384);
		to.v[c] = (int16_t)random_in(-16384, 16384);
	}
	return to;
}

static void check_luma(const struct il_kernels *table, int round)
{
	int n = size_of_round(round);
	uint8_t *bgr = random_bytes((size_t)n * 3);
	struct il_bgr_to_yuv to = random_weights();
	struct output o = output_make((size_t)n, 1);
	il_kernels_c.bgr_to_luma(at(&o, o.reference), bgr, &to, n);
	table->bgr_to_luma(at(&o, o.tested), bgr, &to, n);
	output_check(&o, table->name);
	free(bgr);
}

static void check_chroma(const struct il_kernels *table, int round)
{
	int n = size_of_round(round);
	uint8_t *bgr0 = random_bytes((size_t)n * 6), *bgr1 = random_bytes((size_t)n * 6);
	struct il_bgr_to_yuv to = random_weights();
	struct output u = output_make((size_t)n, 1), v = output_make((size_t)n, 1);
	il_kernels_c.bgr_to_chroma(at(&u, u.reference), at(&v, v.reference), bgr0, bgr1, &to, n);
	table->bgr_to_chroma(at(&u, u.tested), at(&v, v.tested), bgr0, bgr1, &to, n);
	output_check(&u, table->name);
	output_check(&v, table->name);
	free(bgr0);
	free(bgr1);
}

static uint16_t *random_samples(int n)
{
	uint16_t *samples = malloc((size_t)n * sizeof *samples);
	assert_non_null(samples);
	for (int i = 0; i < n; i++)
		samples[i] = (uint16_t)random_in(0, 1020);
	return samples;
}

static void check_yuv_to_bgr(const struct il_kernels *table, int round)
{
	int n = size_of_round(round), samples = (n + 1) / 2 + 2;
	uint8_t *luma = random_bytes((size_t)n);
	uint16_t *u = random_samples(samples), *v = random_samples(samples);
	struct il_yuv_to_bgr from = { .y = (int16_t)random_in(8192, 9600) };
	from.b_u = (int16_t)random_in(10000, 18000);
	from.r_v = (int16_t)random_in(10000, 18000);
	from.g_u = (int16_t)random_in(-8000, 0);
	from.g_v = (int16_t)random_in(-8000, 0);
	from.b_bias = -2048 * from.b_u + random_in(-100000, 100000);
	from.g_bias = -2048 * (from.g_u + from.g_v) + random_in(-100000, 100000);
	from.r_bias = -2048 * from.r_v + random_in(-100000, 100000);
	struct output o = output_make((size_t)n * 3, 1);
	il_kernels_c.yuv_to_bgr(at(&o, o.reference), luma, u + 1, v + 1, &from, n);
	table->yuv_to_bgr(at(&o, o.tested), luma, u + 1, v + 1, &from, n);
	output_check(&o, table->name);
	free(luma);
	free(u);
	free(v);
}

#define TABLE_TEST(entry)                                                                                              \
	static void entry##_equals_c(void **state)                                                                     \
	{                                                                                                              \
		(void)state;                                                                                           \
		for_tables(check_##entry);                                                                             \
	}

TABLE_TEST(pack)
TABLE_TEST(unpack)
TABLE_TEST(h_linear)
TABLE_TEST(h_cubic)
TABLE_TEST(v_linear)
TABLE_TEST(v_cubic)
TABLE_TEST(luma)
TABLE_TEST(chroma)
TABLE_TEST(yuv_to_bgr)

/* The C table itself, against values worked out by hand. */
static void unpack_truncates_and_clips(void **state)
{
	(void)state;
	const float planes[12] = {
		0.5f, 1.0f, 0.999f, -0.3f, NAN, INFINITY, -INFINITY, 1.7f, 1.0f / 255, 0.0f, 2, 0.25f
	};
	const uint8_t expected[12] = { 127, 0, 1, 255, 255, 0, 254, 0, 255, 0, 255, 63 };
	const struct il_kernels *const *all = il_kernels_all();
	for (int i = 0; all[i]; i++) {
		uint8_t bgr[12];
		all[i]->unpack_picture(bgr, 6, planes, 2);
		assert_memory_equal(bgr, expected, sizeof bgr);
	}
}

static void pack_divides_and_blackens(void **state)
{
	(void)state;
	const uint8_t bgr[14] = { 0, 1, 2, 255, 128, 7, 99, 99, 10, 20, 30, 40, 50, 60 };
	float planes[24];
	il_kernels_c.pack_picture(planes, bgr, 8, 2, 1, 0, 2, 1);
	const int expected[24] = { 0, 255, 10, 40, 1, 128, 20, 50, 2, 7, 30, 60,
		                   0, 0,   10, 40, 1, 0,   20, 50, 2, 0, 30, 60 };
	for (int i = 0; i < 24; i++)
		assert_true(planes[i] == (float)expected[i] / 255.0f);
}

static void mask_chooses_the_table(void **state)
{
	(void)state;
	il_cpu_mask(0);
	assert_string_equal(il_kernels_get()->name, "c");
	assert_null(il_kernels_all()[1]);
	il_cpu_mask(~0u);
	const struct il_kernels *const *all = il_kernels_all();
	int n = 0;
	while (all[n])
		n++;
	assert_ptr_equal(il_kernels_get(), all[n - 1]);
	assert_ptr_equal(all[0], &il_kernels_c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mask_chooses_the_table),    cmocka_unit_test(unpack_truncates_and_clips),
		cmocka_unit_test(pack_divides_and_blackens), cmocka_unit_test(pack_equals_c),
		cmocka_unit_test(unpack_equals_c),           cmocka_unit_test(h_linear_equals_c),
		cmocka_unit_test(h_cubic_equals_c),          cmocka_unit_test(v_linear_equals_c),
		cmocka_unit_test(v_cubic_equals_c),          cmocka_unit_test(luma_equals_c),
		cmocka_unit_test(chroma_equals_c),           cmocka_unit_test(yuv_to_bgr_equals_c),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
