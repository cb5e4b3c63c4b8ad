#include "infer/graph_rename.h"

#include <stdlib.h>
#include <string.h>

#include "infer/graph_impl.h"

void il_renames_put(struct il_renames *renames, struct il_graph *graph, const char *from, const char *to)
{
	from = il_graph_keep(graph, from);
	to = il_graph_keep(graph, to);
	if (!from || !to)
		return;
	if (renames->n == renames->room) {
		size_t room = renames->room ? 2 * renames->room : 64;
		const char **grown = realloc(renames->to, room * sizeof *grown);
		if (!grown) {
			graph->no_memory = true;
			return;
		}
		renames->to = grown;
		renames->room = room;
	}
	if (!il_table_put(&renames->table, from, (uint32_t)renames->n))
		graph->no_memory = true;
	else
		renames->to[renames->n++] = to;
}

struct renaming {
	const struct il_renames *renames;
	struct il_graph *graph;
};

/* Names that lead to each other in a circle, in a graph that is one, end somewhere on it. */
static void rename_read(void *ctx, char **name, bool in_body)
{
	const struct renaming *r = ctx;
	const char *to = NULL;
	const uint32_t *place = il_table_find(&r->renames->table, *name);
	(void)in_body;
	for (size_t steps = 0; place && steps <= r->renames->n; steps++) {
		to = r->renames->to[*place];
		place = il_table_find(&r->renames->table, to);
	}
	char *copy = to ? strdup(to) : NULL;
	if (to && !copy)
		r->graph->no_memory = true;
	if (copy) {
		free(*name);
		*name = copy;
	}
}

void il_renames_apply(const struct il_renames *renames, struct il_graph *graph)
{
	if (!renames->n)
		return;
	for (size_t i = 0; i < il_graph_nodes(graph); i++)
		il_node_reads(il_graph_node(graph, i), rename_read, &(struct renaming){ renames, graph });
	il_graph_touch(graph);
}

void il_renames_destroy(struct il_renames *renames)
{
	il_table_destroy(&renames->table);
	free(renames->to);
	*renames = (struct il_renames){ 0 };
}
