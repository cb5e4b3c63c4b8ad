/* The packed blocks of a fused network, which all of its sessions share: packing takes longer than opening the rest,
 * and the packed weights are most of what a session needs in memory. */
#ifndef IL_INFER_FUSED_BLOCKS_H
#define IL_INFER_FUSED_BLOCKS_H

#include "kernel/block.h"

/* Any number of threads may get; blocks live as long as the set. */
struct il_fused_blocks;

enum inlay_err il_fused_blocks_create(struct il_fused_blocks **blocks, struct inlay_error *err);
/* No session uses a block any more. */
void il_fused_blocks_destroy(struct il_fused_blocks **blocks);

/* The block of these params, which is packed where it was not asked for before. Weights are told apart by where they
 * are: while further sessions open, they stay there. */
enum inlay_err il_fused_blocks_get(const struct il_block **block, struct il_fused_blocks *blocks,
                                   const struct il_block_params *params, struct inlay_error *err);

#endif
