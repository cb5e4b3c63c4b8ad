#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "server/app_pool.h"
#include "server/app_usage.h"
#include "server/app_work.h"

#include "tests/test.h"

#define PARTS 1000

/* ---- pool ---- */

struct count {
	atomic_int calls[PARTS];
	unsigned fail_at;
};

static enum inlay_err count_part(void *ctx, unsigned part, struct inlay_error *err)
{
	struct count *count = ctx;
	count->calls[part]++;
	return part == count->fail_at ? il_fail(err, INLAY_ERR_IO, "part %u", part) : INLAY_OK;
}

static int sum_of(const struct count *count)
{
	int sum = 0;
	for (int i = 0; i < PARTS; i++) {
		assert_in_range(count->calls[i], 0, 1);
		sum += count->calls[i];
	}
	return sum;
}

static void test_pool(void **state)
{
	struct inlay_error err;
	struct app_pool *pool;
	(void)state;
	for (unsigned threads = 0; threads <= 4; threads += 2) {
		assert_ok(app_pool_create(&pool, threads, &err));
		struct count count = { .fail_at = PARTS };
		assert_ok(app_pool_run(pool, PARTS, count_part, &count, &err));
		assert_int_equal(sum_of(&count), PARTS);
		assert_ok(app_pool_run(pool, 0, count_part, &count, &err));
		struct count failing = { .fail_at = 5 };
		assert_fails(app_pool_run(pool, PARTS, count_part, &failing, &err), INLAY_ERR_IO, "part 5");
		assert_in_range(sum_of(&failing), 6, PARTS);
		app_pool_destroy(&pool);
		assert_null(pool);
	}
}

static void *run_many(void *ctx)
{
	for (int i = 0; i < 20; i++) {
		struct count count = { .fail_at = PARTS };
		if (app_pool_run(ctx, PARTS, count_part, &count, NULL) || sum_of(&count) != PARTS)
			return ctx;
	}
	return NULL;
}

static void test_pool_of_many(void **state)
{
	struct inlay_error err;
	struct app_pool *pool;
	pthread_t threads[4];
	void *failed;
	(void)state;
	assert_ok(app_pool_create(&pool, 3, &err));
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_many, pool), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	app_pool_destroy(&pool);
}

/* ---- work ---- */

struct turns {
	struct app_work *work;
	atomic_int running, most, done;
};

static void *take_turn(void *ctx)
{
	struct turns *turns = ctx;
	if (app_work_begin_render(turns->work, &(struct app_turn){ .wait = true }, NULL))
		return ctx;
	int now = ++turns->running;
	if (now > turns->most)
		turns->most = now;
	usleep(2000);
	turns->running--;
	turns->done++;
	app_work_end_render(turns->work);
	return NULL;
}

static void test_turns(void **state)
{
	struct inlay_error err;
	struct turns turns = { 0 };
	pthread_t threads[12];
	(void)state;
	assert_ok(app_work_create(&turns.work, 2, &err));
	for (int i = 0; i < 12; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_turn, &turns), 0);
	for (int i = 0; i < 12; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(turns.done, 12);
	assert_in_range(turns.most, 1, 2);
	app_work_destroy(&turns.work);
}

static bool never(void *ctx)
{
	++*(int *)ctx;
	return false;
}

static void test_refused_turns(void **state)
{
	struct inlay_error err;
	struct app_work *work;
	struct app_work_counts counts;
	int asked = 0;
	const struct app_turn now = { 0 }, impatient = { .wait = true, .go_on = never, .ctx = &asked };
	(void)state;
	assert_ok(app_work_create(&work, 1, &err));
	assert_ok(app_work_begin_render(work, &now, &err));
	assert_fails(app_work_begin_render(work, &now, &err), INLAY_ERR_BUSY, "1 videos and streams");
	assert_fails(app_work_begin_render(work, &impatient, &err), INLAY_ERR_CANCELLED, "waiting");
	assert_int_equal(asked, 1);
	app_work_limit(work, 2);
	assert_ok(app_work_begin_render(work, &impatient, &err));
	app_work_counts(work, &counts);
	assert_int_equal(counts.renders, 2);
	assert_int_equal(counts.waiting, 0);
	app_work_end_render(work);
	app_work_end_render(work);
	app_work_stop(work, 10000); /* nothing is under way: at once */
	assert_fails(app_work_begin(work, &err), INLAY_ERR_BUSY, "stopping");
	assert_fails(app_work_begin_render(work, &impatient, &err), INLAY_ERR_BUSY, "stopping");
	app_work_destroy(&work);
}

/* Works until it is cancelled. */
static void *go_on(void *ctx)
{
	while (!app_work_cancelled(ctx))
		usleep(500);
	app_work_end(ctx);
	return NULL;
}

static void test_stop_cancels(void **state)
{
	struct inlay_error err;
	struct app_work *work;
	struct app_work_counts counts;
	pthread_t thread;
	(void)state;
	assert_ok(app_work_create(&work, 1, &err));
	assert_ok(app_work_begin(work, &err));
	assert_int_equal(pthread_create(&thread, NULL, go_on, work), 0);
	const int64_t begin = il_clock_ns();
	app_work_stop(work, 30);
	assert_true(il_clock_ns() - begin >= 30000000);
	app_work_counts(work, &counts);
	assert_int_equal(counts.others, 0);
	pthread_join(thread, NULL);
	app_work_destroy(&work);
}

/* ---- usage ---- */

static void test_usage(void **state)
{
	struct inlay_error err;
	struct app_usage_table *table;
	char id[16];
	(void)state;
	assert_ok(app_usage_create(&table, &err));
	assert_int_equal(app_usage_find(table, "nobody").requests, 0);
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 500; i++) {
			snprintf(id, sizeof id, "avatar%d", i);
			app_usage_add(table, id, i);
		}
	for (int i = 0; i < 500; i++) {
		snprintf(id, sizeof id, "avatar%d", i);
		struct app_usage usage = app_usage_find(table, id);
		assert_int_equal(usage.requests, 3);
		assert_int_equal(usage.inference_ns, 3 * i);
	}
	assert_int_equal(app_usage_find(table, "nobody").requests, 0);
	app_usage_destroy(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pool),          cmocka_unit_test(test_pool_of_many), cmocka_unit_test(test_turns),
		cmocka_unit_test(test_refused_turns), cmocka_unit_test(test_stop_cancels), cmocka_unit_test(test_usage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
