#include "tests/test.h"

#include "base/histogram.h"

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/* Durations spread over many octaves, as real ones are. */
static int64_t random_ns(void)
{
	uint64_t v = (uint64_t)test_random() << 8;
	return (int64_t)(v >> test_random() % 40);
}

static void percentiles_agree_with_sorting(void **state)
{
	(void)state;
	static const double shares[] = { 0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1 };
	static int64_t values[20000];
	for (size_t n = 1; n <= 20000; n = n * 3 + 1) {
		struct il_histogram h = { 0 };
		int64_t total = 0;
		for (size_t i = 0; i < n; i++) {
			values[i] = random_ns();
			total += values[i];
			il_histogram_add(&h, values[i]);
		}
		qsort(values, n, sizeof *values, compare);
		assert_int_equal(h.count, n);
		assert_int_equal(h.total_ns, total);
		assert_int_equal(h.max_ns, values[n - 1]);
		for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
			size_t rank = (size_t)(shares[s] * (double)n);
			double expected = (double)values[rank < n ? rank : n - 1];
			double found = (double)il_histogram_percentile_ns(&h, shares[s]);
			if (found < expected * 0.97 || found > expected * 1.03)
				fail_msg("%zu values, share %g: %g, expected %g", n, shares[s], found, expected);
		}
	}
}

static void small_values_are_exact(void **state)
{
	(void)state;
	for (int64_t v = 0; v < 64; v++) {
		struct il_histogram h = { 0 };
		il_histogram_add(&h, v);
		il_histogram_add(&h, 1000);
		assert_int_equal(il_histogram_percentile_ns(&h, 0), v);
	}
}

static void extremes(void **state)
{
	(void)state;
	struct il_histogram h = { 0 };
	assert_int_equal(il_histogram_percentile_ns(&h, 0.5), 0);
	il_histogram_add(&h, -5);
	assert_int_equal(il_histogram_percentile_ns(&h, 0.5), 0);
	il_histogram_add(&h, INT64_MAX / 2);
	assert_int_equal(h.count, 2);
	assert_int_equal(h.max_ns, INT64_MAX / 2);
	assert_true(il_histogram_percentile_ns(&h, 1) <= INT64_MAX / 2);
	assert_true(il_histogram_percentile_ns(&h, 1) > 1000000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles_agree_with_sorting),
		cmocka_unit_test(small_values_are_exact),
		cmocka_unit_test(extremes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
