/* Many values renamed where they are read, in one sweep: il_graph_replace looks at every node for each of them. */
#ifndef IL_INFER_GRAPH_RENAME_H
#define IL_INFER_GRAPH_RENAME_H

#include "base/table.h"
#include "infer/graph.h"

/* {0} is empty. */
struct il_renames {
	struct il_table table; /* from -> place in `to` */
	const char **to;
	size_t n, room;
};

/* Reads of `from` become reads of `to`, or of what `to` is renamed to. `from` is no output of the graph. Running out of
 * memory is remembered by the graph. */
void il_renames_put(struct il_renames *renames, struct il_graph *graph, const char *from, const char *to);
void il_renames_apply(const struct il_renames *renames, struct il_graph *graph);
void il_renames_destroy(struct il_renames *renames);

#endif
