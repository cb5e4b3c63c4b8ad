/* A graph made cheaper: the passes in the order in which they help each other, and the changes to its inputs that give
 * them more to work with. */
#ifndef IL_INFER_OPTIMIZE_H
#define IL_INFER_OPTIMIZE_H

#include "infer/graph.h"

enum il_pass {
	IL_PASS_SHAPES,
	IL_PASS_FOLD,
	IL_PASS_NOOP,
	IL_PASS_BATCHNORM,
	IL_PASS_DEAD,
	IL_PASS_SPLIT,
	IL_PASS_COMMUTE,
	IL_PASS_MERGE,
	IL_PASSES
};

/* What each pass did, in people's words: "shapes learned", "constants computed". */
extern const char *const il_pass_words[IL_PASSES];

/* Shapes, constants, nodes that do nothing, batch normalisations, dead nodes: again and again until nothing changes.
 * changes[IL_PASSES] is added to; may be NULL. What cannot be simplified stays; a fault is memory. */
enum inlay_err il_graph_simplify(struct il_graph *graph, unsigned *changes, struct inlay_error *err);

/* il_graph_simplify, then what makes the graph cheaper to run: il_pass_split, il_pass_commute and
 * il_pass_merge. */
enum inlay_err il_graph_optimize(struct il_graph *graph, unsigned *changes, struct inlay_error *err);

/* il_pass_shapes with what il_pass_fold would compute: both run on a copy, and the graph keeps its nodes. */
enum inlay_err il_graph_learn_shapes(struct il_graph *graph, struct inlay_error *err);

/* Forgets what the file (its value infos) and the passes say of the shapes of values that nodes make. */
void il_graph_forget_shapes(struct il_graph *graph);

/* Fixes the dims of an input that are free (those given as -1 stay), and forgets the shapes of other values, which may
 * depend on them. An input that is not there, another rank, and dims other than those that the model fixes, are
 * INLAY_ERR_INVALID. */
enum inlay_err il_graph_fix_input(struct il_graph *graph, const char *input, int rank, const int64_t *dims,
                                  struct inlay_error *err);

/* Input dims 0 that are free, the batch, become 1. */
enum inlay_err il_graph_fix_batch(struct il_graph *graph, struct inlay_error *err);

/* Inputs that have a default, as some exporters still list weights, become constants. Returns how many. */
unsigned il_graph_freeze(struct il_graph *graph);

#endif
