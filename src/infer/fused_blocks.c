#include "infer/fused_blocks.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/error.h"

struct shared {
	struct il_block_params params;
	struct il_block *block;
	struct shared *next;
};

struct il_fused_blocks {
	pthread_mutex_t lock;
	struct shared *first;
};

enum inlay_err il_fused_blocks_create(struct il_fused_blocks **blocks, struct inlay_error *err)
{
	*blocks = calloc(1, sizeof **blocks);
	if (!*blocks)
		return il_fail_memory(err);
	pthread_mutex_init(&(*blocks)->lock, NULL);
	return INLAY_OK;
}

void il_fused_blocks_destroy(struct il_fused_blocks **slot)
{
	struct il_fused_blocks *blocks = *slot;
	*slot = NULL;
	if (!blocks)
		return;
	for (struct shared *shared; (shared = blocks->first);) {
		blocks->first = shared->next;
		il_block_destroy(&shared->block);
		free(shared);
	}
	pthread_mutex_destroy(&blocks->lock);
	free(blocks);
}

static bool same(const struct il_block_params *a, const struct il_block_params *b)
{
	return a->in == b->in && a->skip == b->skip && a->mid == b->mid && a->out == b->out && a->stride == b->stride &&
	       a->residual == b->residual && a->resize == b->resize && a->added == b->added &&
	       a->skip_type == b->skip_type && a->expand_w == b->expand_w && a->skip_w == b->skip_w &&
	       a->expand_b == b->expand_b && a->depthwise_w == b->depthwise_w && a->depthwise_b == b->depthwise_b &&
	       a->project_w == b->project_w && a->project_b == b->project_b && a->kernels == b->kernels &&
	       a->tile_rows == b->tile_rows && a->tile_columns == b->tile_columns;
}

/* With the lock. */
static enum inlay_err add(struct il_fused_blocks *blocks, const struct il_block_params *params, struct inlay_error *err)
{
	struct shared *shared = calloc(1, sizeof *shared);
	if (!shared)
		return il_fail_memory(err);
	enum inlay_err rc = il_block_create(&shared->block, params, err);
	if (rc) {
		free(shared);
		return rc;
	}
	shared->params = *params;
	shared->next = blocks->first;
	blocks->first = shared;
	return INLAY_OK;
}

enum inlay_err il_fused_blocks_get(const struct il_block **block, struct il_fused_blocks *blocks,
                                   const struct il_block_params *params, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	pthread_mutex_lock(&blocks->lock);
	const struct shared *shared = blocks->first;
	while (shared && !same(&shared->params, params))
		shared = shared->next;
	if (!shared) {
		rc = add(blocks, params, err);
		shared = blocks->first;
	}
	*block = rc ? NULL : shared->block;
	pthread_mutex_unlock(&blocks->lock);
	return rc;
}
