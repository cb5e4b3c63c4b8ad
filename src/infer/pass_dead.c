/* What no output of the graph needs. */
#include <stdlib.h>
#include <string.h>

#include "infer/graph_impl.h"
#include "infer/passes.h"

/* Values that are needed and whose makers were not looked at yet. */
struct search {
	struct il_graph *graph;
	struct il_table seen;
	const char **waiting;
	size_t n, room;
};

static void need(void *ctx, char **name, bool in_body)
{
	struct search *s = ctx;
	(void)in_body;
	if (!**name || il_table_find(&s->seen, *name))
		return;
	if (s->n == s->room) {
		size_t room = s->room ? 2 * s->room : 256;
		const char **grown = realloc(s->waiting, room * sizeof *grown);
		if (!grown) {
			s->graph->no_memory = true;
			return;
		}
		s->waiting = grown;
		s->room = room;
	}
	if (il_table_put(&s->seen, *name, 0))
		s->waiting[s->n++] = *name;
	else
		s->graph->no_memory = true;
}

static bool is_needed(const struct search *s, const il_node *node)
{
	for (size_t i = 0; i < node->n_output; i++)
		if (*node->output[i] && il_table_find(&s->seen, node->output[i]))
			return true;
	return false;
}

/* From the outputs back to what they need; the rest goes. The names seen are the nodes' own, so nodes are looked at
 * before any is removed. */
static unsigned drop_nodes(struct il_graph *graph)
{
	const Onnx__GraphProto *g = graph->model->graph;
	struct search s = { .graph = graph };
	il_node **dead = calloc(g->n_node + 1, sizeof(void *));
	unsigned n_dead = 0;
	for (size_t i = 0; i < g->n_output; i++)
		need(&s, &g->output[i]->name, false);
	while (s.n > 0) {
		il_node *node = il_graph_producer(graph, s.waiting[--s.n]);
		if (node)
			il_node_reads(node, need, &s);
	}
	graph->no_memory |= !dead;
	for (size_t i = 0; i < g->n_node && !graph->no_memory; i++)
		if (!is_needed(&s, g->node[i]))
			dead[n_dead++] = g->node[i];
	for (unsigned i = n_dead; i-- > 0;)
		il_graph_remove(graph, dead[i]);
	free(dead);
	free(s.waiting);
	il_table_destroy(&s.seen);
	return n_dead;
}

/* Infos of values that nobody makes any more. */
static void drop_infos(struct il_graph *graph)
{
	Onnx__GraphProto *g = graph->model->graph;
	size_t kept = 0;
	for (size_t i = 0; i < g->n_value_info; i++) {
		Onnx__ValueInfoProto *info = g->value_info[i];
		if (info->name && (il_graph_producer(graph, info->name) || il_graph_constant(graph, info->name) ||
		                   il_graph_is_input(graph, info->name)))
			g->value_info[kept++] = info;
		else
			onnx__value_info_proto__free_unpacked(info, NULL);
	}
	g->n_value_info = kept;
}

enum inlay_err il_pass_dead(struct il_graph *graph, unsigned *changes, struct inlay_error *err)
{
	unsigned dropped = drop_nodes(graph);
	dropped += (unsigned)il_graph_drop_constants(graph);
	drop_infos(graph);
	if (changes)
		*changes += dropped;
	return il_graph_check(graph, err);
}
