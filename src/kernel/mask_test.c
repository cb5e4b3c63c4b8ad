/* Masks value by value, against NumPy's results and double precision. */
#include "kernel/mask.h"

#include <math.h>

#include "kernel/mask_golden.h"
#include "kernel/mask_planes.h"

#define SWEEP 100000

static void equals_numpy(int round)
{
	(void)round;
	float *values = malloc(SWEEP * sizeof *values);
	uint8_t *mask = malloc(SWEEP);
	for (int i = 0; i < SWEEP; i++)
		values[i] = (float)(i - 20000) / 60000.0f;
	for (size_t i = 0; i < sizeof golden_ramps / sizeof *golden_ramps; i++) {
		struct il_ramp ramp = il_ramp_make(golden_ramps[i].threshold, golden_ramps[i].width);
		struct il_matte matte = { .person = values, .stride = 0, .step = 1, .width = SWEEP, .height = 1 };
		il_mask_from_matte(mask, 0, &matte, &ramp);
		if (fnv(FNV_START, mask, SWEEP) != golden_ramps[i].hash)
			fail_msg("threshold %g, width %g", golden_ramps[i].threshold, golden_ramps[i].width);
	}
	free(values);
	free(mask);
}

static void ramp_equals_numpy(void **state)
{
	(void)state;
	for_both_tables(equals_numpy, 1);
}

static void handles_odd_values(int round)
{
	(void)round;
	const float values[] = { NAN, -NAN, INFINITY, -INFINITY, -1, 2, 0.5f };
	const uint8_t soft[] = { 0, 0, 255, 0, 0, 255, 127 }, hard[] = { 0, 0, 255, 0, 0, 255, 255 };
	float many[7 * 9];
	uint8_t mask[7 * 9];
	for (int i = 0; i < 7 * 9; i++)
		many[i] = values[i % 7];
	struct il_matte matte = { .person = many, .step = 1, .width = 7 * 9, .height = 1 };
	struct il_ramp ramp = il_ramp_make(0.5, 0.2);
	il_mask_from_matte(mask, 0, &matte, &ramp);
	for (int i = 0; i < 7 * 9; i++)
		assert_int_equal(mask[i], soft[i % 7]);
	ramp = il_ramp_make(0.5, 0);
	il_mask_from_matte(mask, 0, &matte, &ramp);
	for (int i = 0; i < 7 * 9; i++)
		assert_int_equal(mask[i], hard[i % 7]);
}

static void odd_values_are_clipped(void **state)
{
	(void)state;
	for_both_tables(handles_odd_values, 1);
}

/* What a matte's pixel is in double precision, before the ramp. */
static double exact_value(const struct il_matte *m, int x, int y)
{
	double person = *((const float *)((const char *)m->person + y * m->stride) + x * m->step);
	if (m->activation == IL_ACTIVATION_NONE)
		return person;
	if (m->activation == IL_ACTIVATION_SOFTMAX)
		person -= *((const float *)((const char *)m->background + y * m->stride) + x * m->step);
	return 1 / (1 + exp(-person));
}

/* Every layout and activation, without a threshold: the truncated exact value, give or take what 2e-7 can do. */
static void check_layout(int round)
{
	int width, height, channels = random_in(1, 3);
	random_size(round, &width, &height);
	bool last = round % 2;
	size_t row = (size_t)width * (last ? (size_t)channels : 1) + (size_t)random_in(0, 5);
	size_t count = row * (size_t)height * (last ? 1 : (size_t)channels);
	float *values = malloc(count * sizeof *values);
	struct il_matte m = { .width = width,
		              .height = height,
		              .stride = (ptrdiff_t)(row * sizeof *values),
		              .step = last ? channels : 1,
		              .activation = (enum il_activation)(round % 3) };
	bool two = channels > 1;
	m.person = values + (two ? last ? 1 : row * (size_t)height : 0);
	m.background = values;
	double reach = m.activation == IL_ACTIVATION_NONE ? 1 : 16;
	for (size_t i = 0; i < count; i++)
		values[i] = (float)(reach * (test_random() % 200001 / 100000.0 - 1));
	struct plane mask = plane_make(width, height, false);
	struct il_ramp ramp = il_ramp_make(0, 0.2);
	il_mask_from_matte(mask.data, mask.stride, &m, &ramp);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			double v = 255 * fmin(fmax(exact_value(&m, x, y), 0), 1);
			int got = plane_at(&mask, x, y);
			assert_in_range(got, (int)(v - 1e-4 > 0 ? v - 1e-4 : 0), (int)fmin(v + 1e-4, 255));
		}
	plane_check_guards(&mask);
	plane_free(&mask);
	free(values);
}

static void layouts_and_activations(void **state)
{
	(void)state;
	for_both_tables(check_layout, 200);
}

static void activation_survives_extremes(void **state)
{
	(void)state;
	const float person[9] = { 1e30f, -1e30f, INFINITY, -INFINITY, NAN, 88.5f, -88.5f, 0, 200 }, zero[9] = { 0 };
	const float expected[9] = { 1, 0, 1, 0, 0, 1, 0, 0.5f, 1 };
	const struct il_kernels *const *all = il_kernels_all();
	for (int i = 0; all[i]; i++) {
		float out[9];
		all[i]->mask->activate(out, person, zero, 1, 9);
		for (int k = 0; k < 9; k++)
			assert_true(fabsf(out[k] - expected[k]) < 1e-30f);
	}
}

static void activation_is_precise(void **state)
{
	(void)state;
	double worst = 0;
	for (int i = -200000; i <= 200000; i++) {
		float x = (float)i / 4000, out;
		il_kernels_c.mask->activate(&out, &x, NULL, 1, 1);
		worst = fmax(worst, fabs(out - 1 / (1 + exp(-(double)x))));
	}
	assert_true(worst < 2e-7);
}

static void table_is_the_ramp(void **state)
{
	(void)state;
	uint8_t table[256], direct;
	struct il_ramp ramp = il_ramp_make(0.65, 0.2);
	il_ramp_table(table, &ramp);
	for (int v = 0; v < 256; v++) {
		float value = (float)v / 255.0f;
		struct il_matte m = { .person = &value, .step = 1, .width = 1, .height = 1 };
		il_mask_from_matte(&direct, 0, &m, &ramp);
		assert_int_equal(table[v], direct);
		float level = (float)v; /* a matte in 0..255 differs by the rounding of 1 / 255 only */
		m.person = &level;
		m.scale = 1 / 255.0f;
		il_mask_from_matte(&direct, 0, &m, &ramp);
		assert_in_range(direct - table[v] + 1, 0, 2);
	}
}

static void check_values(int round)
{
	int width, height;
	random_size(round, &width, &height);
	struct plane in = plane_input(width, height, round % 2), other = plane_input(width, height, true);
	struct plane out = plane_make(width, height, false);
	uint8_t table[256];
	plane_scramble(table, 256, false);
	for (int what = 0; what < 4; what++) {
		if (what == 0)
			il_mask_map(out.data, out.stride, in.data, in.stride, width, height, table);
		else if (what == 1)
			il_mask_invert(out.data, out.stride, in.data, in.stride, width, height);
		else
			il_mask_feather(out.data, out.stride, in.data, in.stride, other.data, other.stride, width,
			                height, what == 2 ? IL_FEATHER_OUT : IL_FEATHER_IN);
		for (int y = 0; y < height; y++)
			for (int x = 0; x < width; x++) {
				int a = plane_at(&in, x, y), b = plane_at(&other, x, y);
				const int expected[] = { table[a], 255 - a, a > b ? a : b, a < b ? a : b };
				assert_int_equal(plane_at(&out, x, y), expected[what]);
			}
		plane_check_guards(&out);
	}
	plane_free(&in);
	plane_free(&other);
	plane_free(&out);
}

static void map_invert_and_feather(void **state)
{
	(void)state;
	for_both_tables(check_values, 60);
}

/* Against the average in double precision, over pictures that change and then stand still. */
static void check_smoothing(int round)
{
	int width = random_in(1, 70), height = random_in(1, 5);
	const double gains[] = { 0.15, 0.85, 0.5, 0.02, 0.999 };
	double gain = gains[round % 5];
	size_t count = (size_t)(width * height);
	double *exact = malloc(count * sizeof *exact);
	uint16_t *state = malloc(count * sizeof *state);
	struct plane out = plane_make(width, height, false);
	struct plane in = plane_input(width, height, true);
	int still = (int)(12 / gain) + 1000;
	for (int t = 0; t < 20 + still; t++) {
		if (t && t < 20)
			plane_scramble(in.data, in.size, true);
		il_mask_smooth(out.data, out.stride, state, in.data, in.stride, width, height, t ? gain : 1);
		for (int i = 0; i < width * height; i++) {
			int x = i % width, y = i / width;
			exact[i] = t ? exact[i] + (plane_at(&in, x, y) - exact[i]) * gain : plane_at(&in, x, y);
			assert_true(fabs(plane_at(&out, x, y) - exact[i]) <= 0.51 + 1 / (256 * gain));
		}
	}
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			assert_int_equal(plane_at(&out, x, y), plane_at(&in, x, y));
			assert_int_equal(state[y * width + x], plane_at(&in, x, y) << 8);
		}
	plane_check_guards(&out);
	plane_free(&out);
	plane_free(&in);
	free(exact);
	free(state);
}

static void smoothing_converges(void **state)
{
	(void)state;
	for_both_tables(check_smoothing, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ramp_equals_numpy),       cmocka_unit_test(odd_values_are_clipped),
		cmocka_unit_test(layouts_and_activations), cmocka_unit_test(activation_survives_extremes),
		cmocka_unit_test(activation_is_precise),   cmocka_unit_test(table_is_the_ramp),
		cmocka_unit_test(map_invert_and_feather),  cmocka_unit_test(smoothing_converges),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
