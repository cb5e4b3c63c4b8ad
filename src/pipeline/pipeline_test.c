#include "tests/test.h"

#include <stdatomic.h>
#include <time.h>

#include "base/error.h"
#include "pipeline/pipeline.h"

enum { SLOTS = 16, STAGES = 4 };

struct item {
	int64_t number;
	int value;
	unsigned stages; /* that have seen it since the first one */
};

struct world {
	struct item items[SLOTS];
	void *pointers[SLOTS];
	int64_t length;   /* the first stage ends here */
	int64_t fault_at; /* the middle stage fails at this item, -1 never */
	bool jitter;
	int64_t out; /* items that left */
	uint64_t checksum;
	bool in_order;
	atomic_int busy_max, busy;
	unsigned odd_batches;
	struct il_pipeline *pipeline;
	int64_t cancel_at; /* progress asks to stop, -1 never */
};

static void nap(struct world *w)
{
	if (!w->jitter)
		return;
	static atomic_uint seed = 1;
	unsigned r = atomic_fetch_add(&seed, 2654435761u) >> 16;
	nanosleep(&(struct timespec){ .tv_nsec = (long)(r % 200) * 1000 }, NULL);
}

static enum inlay_err produce(void *ctx, unsigned worker, int64_t first, void *const *items, unsigned n,
                              struct inlay_error *err)
{
	struct world *w = ctx;
	struct item *item = items[0];
	(void)worker;
	if (n != 1)
		return il_fail(err, INLAY_ERR_INVALID, "the first stage was given %u items", n);
	if (first >= w->length)
		return INLAY_EOF;
	*item = (struct item){ .number = first, .value = (int)first * 3, .stages = 1 };
	nap(w);
	return INLAY_OK;
}

static enum inlay_err twice(void *ctx, unsigned worker, int64_t first, void *const *items, unsigned n,
                            struct inlay_error *err)
{
	struct world *w = ctx;
	(void)worker;
	int busy = atomic_fetch_add(&w->busy, 1) + 1, max = atomic_load(&w->busy_max);
	while (busy > max && !atomic_compare_exchange_weak(&w->busy_max, &max, busy))
		;
	nap(w);
	enum inlay_err rc = INLAY_OK;
	for (unsigned i = 0; i < n; i++) {
		struct item *item = items[i];
		if (item->number != first + i || item->stages != 1)
			rc = il_fail(err, INLAY_ERR_INVALID, "item %lld is not the one asked for",
			             (long long)(first + i));
		if (first + i == w->fault_at)
			rc = il_fail(err, INLAY_ERR_FORMAT, "item %lld is broken", (long long)(first + i));
		item->value *= 2;
		item->stages++;
	}
	atomic_fetch_sub(&w->busy, 1);
	return rc;
}

static enum inlay_err pairs(void *ctx, unsigned worker, int64_t first, void *const *items, unsigned n,
                            struct inlay_error *err)
{
	struct world *w = ctx;
	(void)worker, (void)err;
	if (first % 3 != 0 || (n != 3 && first + n != w->length))
		w->odd_batches++;
	for (unsigned i = 0; i < n; i++)
		((struct item *)items[i])->stages++;
	return INLAY_OK;
}

static enum inlay_err consume(void *ctx, unsigned worker, int64_t first, void *const *items, unsigned n,
                              struct inlay_error *err)
{
	struct world *w = ctx;
	struct item *item = items[0];
	(void)worker, (void)n, (void)err;
	if (first != w->out || item->number != first || item->stages != 3)
		w->in_order = false;
	w->out++;
	w->checksum = w->checksum * 31 + (unsigned)item->value;
	nap(w);
	return INLAY_OK;
}

static bool watch(void *ctx, int64_t done)
{
	struct world *w = ctx;
	return w->cancel_at < 0 || done < w->cancel_at;
}

static enum inlay_err flow(struct world *w, unsigned workers, unsigned batch, struct inlay_error *err)
{
	for (int i = 0; i < SLOTS; i++)
		w->pointers[i] = &w->items[i];
	w->out = 0;
	w->checksum = 0;
	w->in_order = true;
	const struct il_stage stages[STAGES] = {
		{ .name = "produce", .run = produce, .ctx = w },
		{ .name = "twice", .run = twice, .ctx = w, .workers = workers, .batch = batch },
		{ .name = "pairs", .run = pairs, .ctx = w, .batch = 3 },
		{ .name = "consume", .run = consume, .ctx = w },
	};
	enum inlay_err rc = il_pipeline_create(&w->pipeline, stages, STAGES, w->pointers, SLOTS, err);
	if (!rc)
		rc = il_pipeline_run(w->pipeline, watch, w, 1, err);
	return rc;
}

static void comes_out_in_order_exactly_once(void **state)
{
	struct inlay_error err;
	(void)state;
	uint64_t first_sum = 0;
	for (unsigned workers = 1; workers <= 5; workers++)
		for (unsigned batch = 1; batch <= 5; batch += 2) {
			struct world w = { .length = 301, .fault_at = -1, .cancel_at = -1, .jitter = true };
			assert_ok(flow(&w, workers, batch, &err));
			assert_true(w.in_order);
			assert_int_equal(w.out, 301);
			assert_int_equal(w.odd_batches, 0);
			assert_true(atomic_load(&w.busy_max) <= (int)workers);
			if (!first_sum)
				first_sum = w.checksum;
			assert_int_equal(w.checksum, first_sum);
			assert_int_equal(il_pipeline_stats(w.pipeline, 1)->items, 301);
			assert_int_equal(il_pipeline_stats(w.pipeline, 1)->per_item.count, 301);
			assert_null(il_pipeline_stats(w.pipeline, STAGES));
			il_pipeline_destroy(&w.pipeline);
		}
}

static void short_streams(void **state)
{
	struct inlay_error err;
	(void)state;
	for (int64_t length = 0; length < 9; length++) {
		struct world w = { .length = length, .fault_at = -1, .cancel_at = -1 };
		assert_ok(flow(&w, 2, 4, &err));
		assert_int_equal(w.out, length);
		il_pipeline_destroy(&w.pipeline);
	}
}

static void first_fault_stops_everything(void **state)
{
	struct inlay_error err;
	(void)state;
	for (int64_t at = 0; at < 60; at += 7) {
		struct world w = { .length = INT64_MAX, .fault_at = at, .cancel_at = -1, .jitter = true };
		char text[64];
		snprintf(text, sizeof text, "item %d is broken", (int)at);
		assert_fails(flow(&w, 3, 2, &err), INLAY_ERR_FORMAT, text);
		assert_true(w.out <= at);
		assert_true(w.in_order);
		il_pipeline_destroy(&w.pipeline);
	}
}

static void cancel_ends_an_endless_stream(void **state)
{
	struct inlay_error err;
	(void)state;
	struct world w = { .length = INT64_MAX, .fault_at = -1, .cancel_at = 50, .jitter = true };
	assert_fails(flow(&w, 2, 1, &err), INLAY_ERR_CANCELLED, "cancelled after");
	assert_true(w.out >= 50);
	il_pipeline_destroy(&w.pipeline);
}

static atomic_int reports;
static bool count_reports(void *ctx, int64_t done)
{
	(void)ctx, (void)done;
	atomic_fetch_add(&reports, 1);
	return true;
}

/* A first stage that waits for something outside, until there are no reports any more. */
static enum inlay_err wait_for_silence(void *ctx, unsigned worker, int64_t first, void *const *items, unsigned n,
                                       struct inlay_error *err)
{
	(void)ctx, (void)worker, (void)items, (void)n, (void)err;
	for (int before = -1; first && before != atomic_load(&reports);) {
		before = atomic_load(&reports);
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	return INLAY_OK;
}

static enum inlay_err break_down(void *ctx, unsigned worker, int64_t first, void *const *items, unsigned n,
                                 struct inlay_error *err)
{
	(void)ctx, (void)worker, (void)first, (void)items, (void)n;
	return il_fail(err, INLAY_ERR_FORMAT, "it is broken");
}

static void falls_silent_after_a_fault(void **state)
{
	struct inlay_error err;
	struct il_pipeline *pipeline;
	int item;
	void *items[] = { &item, &item };
	const struct il_stage stages[] = { { .name = "wait", .run = wait_for_silence },
		                           { .name = "break", .run = break_down } };
	(void)state;
	assert_ok(il_pipeline_create(&pipeline, stages, 2, items, 2, &err));
	assert_fails(il_pipeline_run(pipeline, count_reports, NULL, 1, &err), INLAY_ERR_FORMAT, "it is broken");
	il_pipeline_destroy(&pipeline);
}

/* A last stage that waits for what never comes. */
static enum inlay_err wait_for_stop(void *ctx, unsigned worker, int64_t first, void *const *items, unsigned n,
                                    struct inlay_error *err)
{
	struct world *w = ctx;
	(void)worker, (void)first, (void)items, (void)n;
	while (!il_pipeline_stopping(w->pipeline))
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	return il_fail(err, INLAY_ERR_CANCELLED, "stopped waiting");
}

static bool stop_at_once(void *ctx, int64_t done)
{
	(void)ctx, (void)done;
	return false;
}

static void a_waiting_stage_hears_of_a_cancel(void **state)
{
	struct inlay_error err;
	(void)state;
	struct world w = { .length = INT64_MAX };
	for (int i = 0; i < SLOTS; i++)
		w.pointers[i] = &w.items[i];
	const struct il_stage stages[2] = { { .name = "produce", .run = produce, .ctx = &w },
		                            { .name = "wait", .run = wait_for_stop, .ctx = &w } };
	assert_ok(il_pipeline_create(&w.pipeline, stages, 2, w.pointers, SLOTS, &err));
	assert_false(il_pipeline_stopping(w.pipeline));
	assert_fails(il_pipeline_run(w.pipeline, stop_at_once, &w, 5, &err), INLAY_ERR_CANCELLED, "cancelled after 0");
	il_pipeline_destroy(&w.pipeline);
}

static void refuses_what_could_not_work(void **state)
{
	struct inlay_error err;
	struct il_pipeline *p = NULL;
	void *items[4] = { 0 };
	struct il_stage stages[2] = { { .name = "a", .run = produce }, { .name = "b", .run = consume, .batch = 4 } };
	(void)state;
	assert_fails(il_pipeline_create(&p, stages, 2, items, 4, &err), INLAY_ERR_INVALID, "at least 5");
	stages[1].workers = 2;
	stages[1].batch = 1;
	assert_fails(il_pipeline_create(&p, stages, 2, items, 4, &err), INLAY_ERR_INVALID, "one worker each");
	assert_null(p);
	il_pipeline_destroy(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_out_in_order_exactly_once), cmocka_unit_test(short_streams),
		cmocka_unit_test(first_fault_stops_everything),    cmocka_unit_test(falls_silent_after_a_fault),
		cmocka_unit_test(cancel_ends_an_endless_stream),   cmocka_unit_test(a_waiting_stage_hears_of_a_cancel),
		cmocka_unit_test(refuses_what_could_not_work),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
