/* Putting our own operators (fused_ops.h) in place of standard ones. */
#ifndef IL_INFER_FUSE_H
#define IL_INFER_FUSE_H

#include "infer/graph.h"

#define IL_FUSED_DOMAIN "inlay"
#define IL_FUSED_VERSION 1

struct il_fuse_stats {
	unsigned blocks, heads; /* operators that were put in */
};

/* What the operators take their weights from (fused_ops.h); {0} is empty. */
struct il_weights {
	float *data;
	size_t count, room;
};
void il_weights_clear(struct il_weights *weights);

/* Finds inverted residuals, with what belongs to them, and the end of a network that draws a picture; batch 1 and known
 * shapes alone (il_graph_simplify). Between neighbours of ours tensors stay channels last. An input of float16 that a
 * block alone reads becomes channels last, too: [1,H,W,il_block_stride(C)]. An output that a head makes becomes uint8
 * [1,H,W,3]. What does not fit stays as it is; a graph that has our operators already is INLAY_ERR_INVALID. The weights
 * of our operators leave the graph for *weights, which is empty before. */
enum inlay_err il_graph_fuse(struct il_graph *graph, struct il_weights *weights, struct il_fuse_stats *stats,
                             struct inlay_error *err);

/* Makes the outputs of `before` as the inputs of that name of `graph` are after il_graph_fuse: channels last where
 * those are. */
enum inlay_err il_graph_follow(struct il_graph *before, struct il_graph *graph, struct inlay_error *err);

#endif
