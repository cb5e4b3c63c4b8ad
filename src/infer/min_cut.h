/* The cheapest way to part a directed graph in two. */
#ifndef IL_INFER_MIN_CUT_H
#define IL_INFER_MIN_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IL_CUT_NEVER (INT64_MAX / 4) /* an edge that must not be cut */

struct il_cut_edge {
	unsigned from, to;
	int64_t price; /* >= 0; of an edge that leads from the source's side to the other */
};

/* Parts vertices 0 .. n - 1 so that `source` and `sink` are on different sides and the edges cut cost least; of equal
 * ones the one with the fewest vertices on the source's side. source_side: [n]. Maximum flow by shortest augmenting
 * paths in levels (E. A. Dinic, 1970). False when memory is out. */
bool il_min_cut(const struct il_cut_edge *edges, size_t n_edges, unsigned n, unsigned source, unsigned sink,
                bool *source_side);

#endif
