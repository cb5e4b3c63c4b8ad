/* Parting a network in what depends on some inputs alone, to be computed once and stored, and the rest.
 *
 * For lip-sync the picture is known beforehand for every frame of an avatar, so its encoder need not run with the
 * speech. What to store is chosen under a budget: storing a tensor has a price in bytes, computing it anew one in
 * operations. For a price of a byte in operations the best choice is a minimum cut of the graph (D. S. Hochbaum's
 * closure problem); the lowest price that keeps the budget is found by bisection. */
#ifndef IL_INFER_HOIST_H
#define IL_INFER_HOIST_H

#include "infer/graph.h"

struct il_hoist_params {
	const char *const *inputs; /* known beforehand */
	size_t n_inputs;
	uint64_t budget_bytes; /* for the tensors stored of one run, at two bytes an element */
};

/* What came of it. */
struct il_hoist_stats {
	size_t tensors;
	uint64_t bytes;                   /* of one run, at two bytes an element */
	double flops_before, flops_after; /* of what is left to do each time */
};

/* `graph` becomes the rest: for each tensor stored it has an input of float16, named IL_HOISTED "0" and so on. *before
 * makes them, under the same names, from the inputs known beforehand; NULL where nothing is stored, and `graph` is as
 * it was then. Inputs that are no longer read are gone from `graph`. Shapes must be known (il_graph_simplify). */
#define IL_HOISTED "hoisted_"
enum inlay_err il_graph_hoist(struct il_graph *graph, const struct il_hoist_params *params, struct il_graph **before,
                              struct il_hoist_stats *stats, struct inlay_error *err);

/* Of all nodes whose cost is known. */
double il_graph_operations(struct il_graph *graph);

#endif
