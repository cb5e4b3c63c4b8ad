#include "composite/focal.h"

#include <math.h>
#include <stdbool.h>

#include "tests/count_allocations.h"
#include "tests/test.h"

#define MOST 90 /* of each size */

struct scene {
	int dw, dh, mw, mh;
	float depth[MOST * MOST];
	uint8_t mask[MOST * MOST], out[MOST * MOST];
};

/* Depth that rises from left to right with some noise, a few wild values, and a subject somewhere in it. */
static void make_scene(struct scene *s, int number)
{
	const int sizes[][4] = { { 1, 1, 1, 1 }, { 1, 7, 9, 2 }, { 60, 45, 90, 81 }, { 90, 77, 31, 40 } };
	const int *size = sizes[number % 4];
	*s = (struct scene){ .dw = size[0], .dh = size[1], .mw = size[2], .mh = size[3] };
	for (int i = 0; i < s->dw * s->dh; i++) {
		s->depth[i] = (float)(i % s->dw) * 3.0f + (float)(test_random() >> 8) / (1 << 21) - 50.0f;
		if (test_random() % 150 == 0)
			s->depth[i] = test_random() % 2 ? 1e6f : -1e9f;
	}
	for (int i = 0; i < s->mw * s->mh; i++)
		s->mask[i] = abs(i % s->mw - s->mw * (1 + number % 3) / 4) < 1 + s->mw / 8 ? 255 : i % s->mw;
}

static struct il_focal *make_focal(const struct scene *s, double field)
{
	struct inlay_error err;
	struct il_focal *focal;
	assert_ok(il_focal_create(&focal, &(struct il_focal_params){ field }, s->dw, s->dh, s->mw, s->mh, &err));
	return focal;
}

static void run(struct il_focal *focal, struct scene *s)
{
	struct inlay_error err;
	assert_ok(il_focal_mask(focal, s->depth, s->mask, s->out, &err));
}

/* --- the same in double precision ----------------------------------------------------------------------------------
 */

struct memory {
	double low, high, focus;
	bool begun;
};

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static double order(const struct scene *s, bool of_subject, double share, int from_end)
{
	static float sorted[MOST * MOST];
	int n = 0;
	for (int y = 0; y < s->dh; y++)
		for (int x = 0; x < s->dw; x++) {
			int mx = (int)floor((x + 0.5) * s->mw / s->dw), my = (int)floor((y + 0.5) * s->mh / s->dh);
			if (!of_subject || s->mask[my * s->mw + mx] > 127)
				sorted[n++] = s->depth[y * s->dw + x];
		}
	if (n == 0)
		return NAN;
	qsort(sorted, (size_t)n, sizeof *sorted, compare);
	int at = (int)(n * share);
	return (double)sorted[from_end ? n - 1 - at : at];
}

static double mix(double old, double now, bool begun)
{
	return begun ? 0.8 * old + 0.2 * now : now;
}

static void remember(struct memory *m, const struct scene *s)
{
	m->low = mix(m->low, order(s, false, 0.02, 0), m->begun);
	m->high = mix(m->high, order(s, false, 0.02, 1), m->begun);
	double focus = (order(s, true, 0.5, 0) - m->low) / (m->high - m->low);
	m->focus = mix(m->focus, focus, m->begun);
	m->begun = true;
}

static double depth_at(const struct scene *s, int x, int y)
{
	double px = fmin(fmax((x + 0.5) * s->dw / s->mw - 0.5, 0), s->dw - 1);
	double py = fmin(fmax((y + 0.5) * s->dh / s->mh - 0.5, 0), s->dh - 1);
	int x0 = (int)px, y0 = (int)py, x1 = x0 + 1 < s->dw ? x0 + 1 : x0, y1 = y0 + 1 < s->dh ? y0 + 1 : y0;
	const float *a = s->depth + y0 * s->dw, *b = s->depth + y1 * s->dw;
	double upper = (double)a[x0] + ((double)a[x1] - (double)a[x0]) * (px - x0);
	double lower = (double)b[x0] + ((double)b[x1] - (double)b[x0]) * (px - x0);
	return upper + (lower - upper) * (py - y0);
}

static int expected_at(const struct memory *m, const struct scene *s, double field, int x, int y)
{
	double away = fabs((depth_at(s, x, y) - m->low) / (m->high - m->low) - m->focus);
	double sharp = 1 - fmin(fmax((away - field) / 0.2, 0), 1);
	return (int)lrint(fmax(s->mask[y * s->mw + x], 255 * sharp));
}

static void equals_double_precision(void **state)
{
	(void)state;
	for (int number = 2; number < 8; number += number % 4 == 2 ? 1 : 3) { /* those that have some size */
		struct memory memory = { .begun = false };
		static struct scene s;
		double field = number % 2 ? 0.3 : 0.15;
		make_scene(&s, number);
		struct il_focal *focal = make_focal(&s, number % 2 ? field : 0); /* 0 is the default */
		int sharp = 0, blurred = 0;
		for (int frame = 0; frame < 5; frame++) {
			make_scene(&s, 4 * frame + number);
			remember(&memory, &s);
			run(focal, &s);
			for (int y = 0; y < s.mh; y++)
				for (int x = 0; x < s.mw; x++) {
					int out = s.out[y * s.mw + x];
					if (abs(out - expected_at(&memory, &s, field, x, y)) > 1)
						fail_msg("scene %d, frame %d: %d at %d,%d", number, frame, out, x, y);
					sharp += out == 255;
					blurred += out < 100;
				}
		}
		assert_true(sharp > 500 && blurred > 500);
		il_focal_destroy(&focal);
	}
}

/* Near may be large or small, and in any unit. Few values differ: those next to a wild one. */
static void scale_and_direction_are_of_no_matter(void **state)
{
	(void)state;
	for (int number = 0; number < 8; number++) {
		static struct scene s, other;
		make_scene(&s, number);
		other = s;
		for (int i = 0; i < s.dw * s.dh; i++)
			other.depth[i] = 7.0f - 0.01f * s.depth[i];
		struct il_focal *a = make_focal(&s, 0.2), *b = make_focal(&s, 0.2);
		run(a, &s);
		run(b, &other);
		for (int i = 0; i < s.mw * s.mh; i++)
			if (abs(s.out[i] - other.out[i]) > 3)
				fail_msg("scene %d: %d and %d", number, s.out[i], other.out[i]);
		il_focal_destroy(&a);
		il_focal_destroy(&b);
	}
}

/* Which column of a ramp of depth is sharp in the row that has no subject. */
static int sharpest_column(const struct scene *s)
{
	int first = -1, last = -1;
	for (int x = 0; x < s->mw; x++)
		if (s->out[x] == 255) {
			first = first < 0 ? x : first;
			last = x;
		}
	return (first + last) / 2;
}

static void make_ramp(struct scene *s, int subject)
{
	*s = (struct scene){ .dw = 80, .dh = 20, .mw = 80, .mh = 20 };
	for (int i = 0; i < s->dw * s->dh; i++) {
		s->depth[i] = (float)(i % s->dw);
		s->mask[i] = subject >= 0 && i >= s->dw && abs(i % s->dw - subject) <= 1 ? 255 : 0;
	}
}

static void focus_stays_without_a_subject(void **state)
{
	(void)state;
	static struct scene s;
	make_ramp(&s, -1);
	struct il_focal *focal = make_focal(&s, 0.1);
	run(focal, &s);
	assert_in_range(sharpest_column(&s), 39, 40);
	make_ramp(&s, 20); /* the first subject is taken at once */
	run(focal, &s);
	assert_int_equal(sharpest_column(&s), 20);
	make_ramp(&s, -1);
	for (int i = 0; i < 3; i++)
		run(focal, &s);
	assert_int_equal(sharpest_column(&s), 20);
	make_ramp(&s, 60); /* and the next one is followed */
	run(focal, &s);
	assert_in_range(sharpest_column(&s), 27, 29);
	for (int i = 0; i < 40; i++)
		run(focal, &s);
	assert_int_equal(sharpest_column(&s), 60);
	il_focal_reset(focal);
	make_ramp(&s, -1);
	run(focal, &s);
	assert_in_range(sharpest_column(&s), 39, 40);
	il_focal_destroy(&focal);
}

static void reset_begins_anew_without_memory(void **state)
{
	(void)state;
	for (int number = 0; number < 8; number++) {
		static struct scene s, again;
		make_scene(&s, number);
		struct il_focal *focal = make_focal(&s, 0.2);
		unsigned long before = allocations;
		run(focal, &s);
		make_scene(&again, number + 4);
		run(focal, &again);
		il_focal_reset(focal);
		again = s;
		run(focal, &again);
		assert_memory_equal(again.out, s.out, sizeof s.out);
		struct inlay_error err; /* and in place */
		il_focal_reset(focal);
		assert_ok(il_focal_mask(focal, again.depth, again.mask, again.mask, &err));
		assert_memory_equal(again.mask, s.out, (size_t)(s.mw * s.mh));
		assert_int_equal(allocations, before);
		il_focal_destroy(&focal);
	}
	assert_true(allocations > 0);
}

static void odd_depth_does_no_harm(void **state)
{
	(void)state;
	static struct scene s;
	struct inlay_error err;
	make_ramp(&s, 20);
	struct il_focal *focal = make_focal(&s, 0.1);
	for (int i = 0; i < s.dw * s.dh; i++)
		s.depth[i] = i % 2 ? NAN : INFINITY;
	assert_fails(il_focal_mask(focal, s.depth, s.mask, s.out, &err), INLAY_ERR_FORMAT, "no value that is a number");
	for (int i = 0; i < s.dw * s.dh; i++)
		s.depth[i] = 4.25f;
	s.depth[7 * s.dw + 9] = NAN;
	run(focal, &s); /* without any depth all is sharp; what is none is not, and may take its neighbours with it */
	for (int i = 0; i < s.dw * s.dh; i++)
		if (abs(i % s.dw - 9) > 1 || abs(i / s.dw - 7) > 1)
			assert_int_equal(s.out[i], 255);
	assert_int_equal(s.out[7 * s.dw + 9], 0);
	const float extremes[] = { 3e38f, -3e38f, 1e-45f, 0.0f };
	for (int i = 0; i < s.dw * s.dh; i++)
		s.depth[i] = extremes[i % s.dw < 40 ? 0 : 1];
	il_focal_reset(focal);
	run(focal, &s);
	assert_int_equal(s.out[0], 255);
	assert_int_equal(s.out[60], 0);
	for (int i = 0; i < s.dw * s.dh; i++)
		s.depth[i] = extremes[i % s.dw < 40 ? 2 : 3];
	il_focal_reset(focal);
	run(focal, &s);
	assert_int_equal(s.out[0], 255);
	il_focal_destroy(&focal);
}

static void refuses_what_is_out_of_range(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_focal *focal;
	struct il_focal_params params = { 1.5 };
	assert_fails(il_focal_create(&focal, &params, 8, 8, 8, 8, &err), INLAY_ERR_INVALID, "expected 0..1");
	params.depth_of_field = NAN;
	assert_fails(il_focal_create(&focal, &params, 8, 8, 8, 8, &err), INLAY_ERR_INVALID, "expected 0..1");
	params.depth_of_field = 0;
	assert_fails(il_focal_create(&focal, &params, 8, 0, 8, 8, &err), INLAY_ERR_INVALID, "depth of 8x0");
	assert_null(focal);
	il_focal_destroy(&focal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_double_precision),       cmocka_unit_test(scale_and_direction_are_of_no_matter),
		cmocka_unit_test(focus_stays_without_a_subject), cmocka_unit_test(reset_begins_anew_without_memory),
		cmocka_unit_test(odd_depth_does_no_harm),        cmocka_unit_test(refuses_what_is_out_of_range),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
