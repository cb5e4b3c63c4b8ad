#include "server/rpc/mouths_choice.h"

#include "tests/test.h"

#define MS INT64_C(1000000)

static void least_outstanding_wins(void **state)
{
	(void)state;
	struct mouths_load loads[4] = {
		{ .healthy = true, .outstanding = 9 },
		{ .healthy = true, .outstanding = 2 },
		{ .healthy = false, .outstanding = 0 },
		{ .healthy = true, .outstanding = 3 },
	};
	assert_int_equal(mouths_choose(loads, 4, 0, 0, 0), 1);
	assert_int_equal(mouths_choose(loads, 4, 1u << 1, 0, 0), 3);
	assert_int_equal(mouths_choose(loads, 4, 1u << 1 | 1u << 3, 0, 0), 0);
	assert_int_equal(mouths_choose(loads, 4, 0xb, 0, 0), -1);
	assert_true(mouths_untried(loads, 4, 0x3));
	assert_false(mouths_untried(loads, 4, 0xb));
}

/* Equal servers get equal shares. */
static void equals_take_turns(void **state)
{
	(void)state;
	struct mouths_load loads[MOUTHS_SERVERS];
	unsigned taken[MOUTHS_SERVERS] = { 0 };
	for (int i = 0; i < MOUTHS_SERVERS; i++)
		loads[i] = (struct mouths_load){ .healthy = true };
	unsigned last = 0;
	for (int k = 0; k < 5 * MOUTHS_SERVERS; k++) {
		last = (unsigned)mouths_choose(loads, MOUTHS_SERVERS, 0, last, 0);
		taken[last]++;
	}
	for (int i = 0; i < MOUTHS_SERVERS; i++)
		assert_int_equal(taken[i], 5);
}

static void failures_back_off(void **state)
{
	(void)state;
	struct mouths_load load = { .healthy = true };
	int64_t now = 1000 * MS;
	static const int64_t waits[] = { 50, 100, 200, 400, 800, 1600, 3200, 3200, 3200 };
	for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
		mouths_failed(&load, now);
		assert_int_equal(load.again_ns - now, waits[i] * MS);
		assert_int_equal(mouths_choose(&load, 1, 0, 0, now + waits[i] * MS - 1), -1);
		assert_int_equal(mouths_choose(&load, 1, 0, 0, now + waits[i] * MS), 0);
		assert_true(mouths_untried(&load, 1, 0));
		now += waits[i] * MS;
	}
	mouths_succeeded(&load);
	assert_int_equal(mouths_choose(&load, 1, 0, 0, 0), 0);
	mouths_failed(&load, now);
	assert_int_equal(load.again_ns - now, 50 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(least_outstanding_wins),
		cmocka_unit_test(equals_take_turns),
		cmocka_unit_test(failures_back_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
