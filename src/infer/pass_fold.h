/* What pass_fold.c computes, for those who look at its choice. */
#ifndef IL_INFER_PASS_FOLD_H
#define IL_INFER_PASS_FOLD_H

#include "infer/graph.h"

/* The bytes, for free(), of a model without inputs that computes what the graph's nodes make of constants alone; its
 * outputs have the graph's names. *data is NULL where there is nothing to compute. */
enum inlay_err il_fold_model(struct il_graph *graph, void **data, size_t *size, struct inlay_error *err);

#endif
