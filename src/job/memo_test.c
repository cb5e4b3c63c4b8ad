#include "job/memo.h"

#include <pthread.h>

#include "tests/test.h"

#define FRAMES 5
#define FLOATS 6
#define BYTES 10

static struct inlay_error err;

static struct il_memo *make(size_t budget)
{
	struct il_memo *memo;
	assert_ok(il_memo_create(&memo, FRAMES, FLOATS, BYTES, budget, &err));
	return memo;
}

static int64_t window(struct il_memo *memo, float value)
{
	float floats[FLOATS];
	for (int i = 0; i < FLOATS; i++)
		floats[i] = value;
	return il_memo_window(memo, floats);
}

static void windows_count_from_the_second_on(void **state)
{
	(void)state;
	struct il_memo *memo = make(1000);
	assert_int_equal(window(memo, 1), -1);
	assert_int_equal(window(memo, 2), -1);
	assert_int_equal(window(memo, 2), 0);
	assert_int_equal(window(memo, 3), -1);
	assert_int_equal(window(memo, 2), 0);
	assert_int_equal(window(memo, 1), -1);
	for (int i = 1; i < 6; i++) {
		window(memo, (float)(10 + i));
		assert_int_equal(window(memo, (float)(10 + i)), i);
	}
	/* Forgotten for newer ones; learned anew, it is another one. */
	assert_int_equal(window(memo, 2), -1);
	assert_int_equal(window(memo, 2), 6);
	il_memo_destroy(&memo);
}

static void what_was_drawn_comes_back(void **state)
{
	(void)state;
	struct il_memo *memo = make(3 * BYTES + 1);
	char out[BYTES] = "";
	il_memo_keep(memo, 2, -1, "123456789");
	assert_false(il_memo_find(memo, 2, -1, out));
	il_memo_keep(memo, 2, 0, "123456789");
	assert_true(il_memo_find(memo, 2, 0, out));
	assert_string_equal(out, "123456789");
	assert_false(il_memo_find(memo, 2, 1, out));
	assert_false(il_memo_find(memo, 1, 0, out));
	il_memo_keep(memo, 2, 1, "abcdefghi");
	assert_false(il_memo_find(memo, 2, 0, out));
	assert_true(il_memo_find(memo, 2, 1, out));
	assert_string_equal(out, "abcdefghi");
	il_memo_keep(memo, 0, 1, "frame 000");
	il_memo_keep(memo, 1, 1, "frame 111");
	il_memo_keep(memo, 3, 1, "no room 3");
	assert_false(il_memo_find(memo, 3, 1, out));
	assert_true(il_memo_find(memo, 1, 1, out));
	assert_string_equal(out, "frame 111");
	assert_int_equal(il_memo_hits(memo), 3);
	il_memo_destroy(&memo);
}

static void *hammer(void *ctx)
{
	struct il_memo *memo = ctx;
	for (int i = 0; i < 3000; i++) {
		char out[BYTES], in[BYTES] = "aaaaaaaaa";
		memset(in, 'a' + i % FRAMES, BYTES - 1);
		if (il_memo_find(memo, i % FRAMES, i % 2, out))
			assert_string_equal(out, in);
		else
			il_memo_keep(memo, i % FRAMES, i % 2, in);
	}
	return NULL;
}

static void from_many_threads(void **state)
{
	(void)state;
	struct il_memo *memo = make(1000);
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, memo), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	il_memo_destroy(&memo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_count_from_the_second_on),
		cmocka_unit_test(what_was_drawn_comes_back),
		cmocka_unit_test(from_many_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
