#include "infer/fused_blocks.h"

#include <pthread.h>

#include "tests/test.h"

static struct inlay_error err;
static const float weights[64];

static struct il_block_params params_at(size_t place)
{
	return (struct il_block_params){ .in = 1,
		                         .mid = 2,
		                         .out = 1,
		                         .stride = 1,
		                         .expand_w = weights + place,
		                         .depthwise_w = weights,
		                         .project_w = weights };
}

static void each_is_packed_once(void **state)
{
	(void)state;
	struct il_fused_blocks *blocks;
	const struct il_block *first, *again, *other;
	struct il_block_params params = params_at(0), elsewhere = params_at(8);
	assert_ok(il_fused_blocks_create(&blocks, &err));
	assert_ok(il_fused_blocks_get(&first, blocks, &params, &err));
	assert_ok(il_fused_blocks_get(&other, blocks, &elsewhere, &err));
	assert_ok(il_fused_blocks_get(&again, blocks, &params, &err));
	assert_ptr_equal(first, again);
	assert_ptr_not_equal(first, other);
	params.stride = 2;
	assert_ok(il_fused_blocks_get(&again, blocks, &params, &err));
	assert_ptr_not_equal(first, again);
	params.stride = 3;
	assert_fails(il_fused_blocks_get(&again, blocks, &params, &err), INLAY_ERR_INVALID, "stride");
	assert_null(again);
	il_fused_blocks_destroy(&blocks);
	assert_null(blocks);
	il_fused_blocks_destroy(&blocks);
}

struct asker {
	struct il_fused_blocks *blocks;
	const struct il_block *found[8];
};

static void *ask(void *ctx)
{
	struct asker *asker = ctx;
	for (size_t i = 0; i < 8; i++) {
		struct il_block_params params = params_at(i);
		if (il_fused_blocks_get(&asker->found[i], asker->blocks, &params, NULL))
			return NULL;
	}
	return NULL;
}

static void threads_find_the_same(void **state)
{
	(void)state;
	struct asker askers[4] = { 0 };
	pthread_t threads[4];
	struct il_fused_blocks *blocks;
	assert_ok(il_fused_blocks_create(&blocks, &err));
	for (int i = 0; i < 4; i++) {
		askers[i].blocks = blocks;
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 8; k++) {
			assert_non_null(askers[i].found[k]);
			assert_ptr_equal(askers[i].found[k], askers[0].found[k]);
		}
	il_fused_blocks_destroy(&blocks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_packed_once),
		cmocka_unit_test(threads_find_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
