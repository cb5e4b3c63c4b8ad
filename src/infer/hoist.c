#include "infer/hoist.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "infer/graph_info.h"
#include "infer/graph_impl.h"
#include "infer/min_cut.h"
#include "infer/pass_parts.h"
#include "infer/passes.h"

#define ELEMENT_BYTES 2
#define STEPS 50 /* of the bisection */
#define NONE UINT32_MAX

/* ---- what depends on what ---- */

enum { FIXED = 1, VARYING = 2 }; /* bits of a value: depends on inputs known beforehand, on others */

struct analysis {
	struct il_graph *graph;
	struct il_table known;  /* value -> bits */
	struct il_table vertex; /* fixed value -> place in tensors */
	struct tensor {
		const char *name;
		il_node *producer; /* NULL for an input */
		uint64_t bytes;
		bool boundary, stored; /* boundary: something that varies reads it */
	} * tensors;
	il_node **nodes; /* fixed ones */
	size_t n_tensors, n_nodes;
	struct il_cut_edge *edges;
	size_t n_edges;
	bool *side;
};

static void destroy(struct analysis *a)
{
	il_table_destroy(&a->known);
	il_table_destroy(&a->vertex);
	free(a->tensors);
	free(a->nodes);
	free(a->edges);
	free(a->side);
}

static uint32_t bits_of(const struct analysis *a, const char *value)
{
	const uint32_t *bits = value ? il_table_find(&a->known, value) : NULL;
	return bits ? *bits : 0;
}

struct gathering {
	const struct analysis *a;
	uint32_t bits;
};

static void gather(void *ctx, char **name, bool in_body)
{
	struct gathering *gathering = ctx;
	(void)in_body;
	gathering->bits |= bits_of(gathering->a, *name);
}

/* The graph's own copy of the name: nodes go. */
static bool note_bits(struct analysis *a, const char *value, uint32_t bits)
{
	const char *name = il_graph_keep(a->graph, value);
	return name && il_table_put(&a->known, name, bits);
}

/* Nodes are in an order in which they can run. */
static bool mark(struct analysis *a, const struct il_hoist_params *params)
{
	const Onnx__GraphProto *g = il_graph_model(a->graph)->graph;
	for (size_t i = 0; i < g->n_input; i++) {
		uint32_t bits = VARYING;
		for (size_t k = 0; k < params->n_inputs; k++)
			bits = strcmp(params->inputs[k], g->input[i]->name) ? bits : FIXED;
		if (il_graph_is_input(a->graph, g->input[i]->name) && !il_table_put(&a->known, g->input[i]->name, bits))
			return false;
	}
	for (size_t i = 0; i < g->n_node; i++) {
		struct gathering gathering = { a, il_node_is_random(g->node[i]) || il_node_has_body(g->node[i])
			                                  ? VARYING
			                                  : 0 };
		il_node_reads(g->node[i], gather, &gathering);
		for (size_t k = 0; k < g->node[i]->n_output; k++) {
			if (*g->node[i]->output[k] && !note_bits(a, g->node[i]->output[k], gathering.bits))
				return false;
		}
	}
	return true;
}

/* A convolution over parts of both kinds becomes one for each part, so that those of the fixed parts can go. */
static enum inlay_err split_mixed(struct analysis *a, bool *changed, struct inlay_error *err)
{
	*changed = false;
	for (size_t i = 0; i < il_graph_nodes(a->graph); i++) {
		il_node *conv = il_graph_node(a->graph, i);
		bool fixed = false, varying = false;
		if (!il_conv_is_splittable(a->graph, conv))
			continue;
		const il_node *concat = il_graph_producer(a->graph, conv->input[0]);
		for (size_t k = 0; k < concat->n_input; k++) {
			uint32_t bits = bits_of(a, concat->input[k]);
			fixed |= bits == FIXED;
			varying |= (bits & VARYING) != 0;
		}
		if (!fixed || !varying)
			continue;
		*changed = true;
		return il_conv_split(a->graph, conv, err);
	}
	return INLAY_OK;
}

/* ---- the fixed part as a graph to cut ---- */

static uint32_t add_tensor(struct analysis *a, const char *name)
{
	const uint32_t *there = il_table_find(&a->vertex, name);
	if (there)
		return *there;
	uint32_t place = (uint32_t)a->n_tensors;
	const char *kept = il_graph_keep(a->graph, name);
	if (!kept)
		return NONE;
	struct il_shape shape = *il_graph_shape(a->graph, name);
	/* What cannot be stored as float16 is computed anew. */
	size_t count = shape.type == IL_ONNX_FLOAT ? il_shape_count(&shape) : 0;
	a->tensors[a->n_tensors++] = (struct tensor){
		.name = kept,
		.producer = il_graph_producer(a->graph, kept),
		.bytes = count ? count * ELEMENT_BYTES : UINT64_MAX,
	};
	return il_table_put(&a->vertex, kept, place) ? place : NONE;
}

struct noting {
	struct analysis *a;
	bool varies, failed;
};

static void note_tensor(void *ctx, char **name, bool in_body)
{
	struct noting *noting = ctx;
	(void)in_body;
	if (bits_of(noting->a, *name) != FIXED)
		return;
	uint32_t place = add_tensor(noting->a, *name);
	if (place == NONE)
		noting->failed = true;
	else
		noting->a->tensors[place].boundary |= noting->varies;
}

static bool collect(struct analysis *a)
{
	const Onnx__GraphProto *g = il_graph_model(a->graph)->graph;
	size_t values = g->n_input + g->n_output;
	for (size_t i = 0; i < g->n_node; i++)
		values += g->node[i]->n_output;
	a->tensors = calloc(values + 1, sizeof *a->tensors);
	a->nodes = calloc(g->n_node + 1, sizeof(void *));
	if (!a->tensors || !a->nodes)
		return false;
	for (size_t i = 0; i < g->n_node; i++) {
		bool fixed = g->node[i]->n_output > 0;
		for (size_t k = 0; k < g->node[i]->n_output; k++)
			fixed &= !*g->node[i]->output[k] || bits_of(a, g->node[i]->output[k]) == FIXED;
		if (fixed)
			a->nodes[a->n_nodes++] = g->node[i];
		struct noting noting = { a, !fixed, false };
		il_node_reads(g->node[i], note_tensor, &noting);
		if (noting.failed)
			return false;
	}
	for (size_t i = 0; i < g->n_output; i++) {
		struct noting noting = { a, true, false };
		note_tensor(&noting, &g->output[i]->name, false);
		if (noting.failed)
			return false;
	}
	return true;
}

/* Vertices: 0 the source (computed each time), 1 the sink (not computed), then one a tensor and one a node. A tensor on
 * the source's side is needed; its node on the other side means that it is stored. */
#define MOST 1e14 /* operations: more than any network's, and no sum of it comes near NEVER */
#define NEVER IL_CUT_NEVER
#define SOURCE 0
#define SINK 1
#define FIRST_TENSOR 2

struct pricing {
	struct analysis *a;
	double byte_price;
	uint32_t node; /* vertex */
	bool fill;     /* else edges are only counted */
};

static void add_edge(struct pricing *p, unsigned from, unsigned to, double price)
{
	if (p->fill)
		p->a->edges[p->a->n_edges] =
			(struct il_cut_edge){ from, to, isinf(price) ? NEVER : (int64_t)fmin(price, MOST) };
	p->a->n_edges++;
}

static void need_tensor(void *ctx, char **name, bool in_body)
{
	struct pricing *p = ctx;
	(void)in_body;
	const uint32_t *place = bits_of(p->a, *name) == FIXED ? il_table_find(&p->a->vertex, *name) : NULL;
	if (place)
		add_edge(p, p->node, FIRST_TENSOR + *place, INFINITY);
}

/* What is not known counts as nothing. */
static double operations(struct il_graph *graph, const il_node *node)
{
	struct il_node_cost cost;
	il_node_find_cost(graph, node, &cost);
	return cost.known ? cost.operations : 0;
}

/* Prices are in operations; a little is added for every node, so that nothing is computed for no gain. */
static void make_edges(struct analysis *a, double byte_price, bool fill)
{
	struct pricing p = { a, byte_price, 0, fill };
	unsigned first_node = FIRST_TENSOR + (unsigned)a->n_tensors;
	a->n_edges = 0;
	for (size_t i = 0; i < a->n_nodes; i++) {
		p.node = first_node + (unsigned)i;
		add_edge(&p, p.node, SINK, operations(a->graph, a->nodes[i]) + 1);
		il_node_reads(a->nodes[i], need_tensor, &p);
		for (size_t k = 0; k < a->nodes[i]->n_output; k++) {
			const uint32_t *place = il_table_find(&a->vertex, a->nodes[i]->output[k]);
			if (place)
				add_edge(&p, FIRST_TENSOR + *place, p.node,
				         a->tensors[*place].bytes == UINT64_MAX
				                 ? INFINITY
				                 : byte_price * (double)a->tensors[*place].bytes);
		}
	}
	for (size_t i = 0; i < a->n_tensors; i++) {
		if (a->tensors[i].boundary)
			add_edge(&p, SOURCE, FIRST_TENSOR + (unsigned)i, INFINITY);
	}
}

/* Marks what is stored at that price; returns its bytes, UINT64_MAX when memory is out. */
static uint64_t cut(struct analysis *a, double byte_price)
{
	unsigned first_node = FIRST_TENSOR + (unsigned)a->n_tensors;
	uint64_t bytes = 0;
	make_edges(a, byte_price, true);
	if (!il_min_cut(a->edges, a->n_edges, first_node + (unsigned)a->n_nodes, SOURCE, SINK, a->side))
		return UINT64_MAX;
	for (size_t i = 0; i < a->n_tensors; i++)
		a->tensors[i].stored = a->side[FIRST_TENSOR + i] && a->tensors[i].producer;
	for (size_t i = 0; i < a->n_nodes; i++) {
		for (size_t k = 0; k < a->nodes[i]->n_output; k++) {
			const uint32_t *place = il_table_find(&a->vertex, a->nodes[i]->output[k]);
			if (place && a->side[first_node + i])
				a->tensors[*place].stored = false;
		}
	}
	for (size_t i = 0; i < a->n_tensors; i++)
		bytes += a->tensors[i].stored ? a->tensors[i].bytes : 0;
	return bytes;
}

static enum inlay_err choose(struct analysis *a, uint64_t budget, struct inlay_error *err)
{
	double low = -10, high = 40; /* log2 of operations a byte */
	make_edges(a, 0, false);
	a->edges = calloc(a->n_edges + 1, sizeof *a->edges);
	a->side = calloc(FIRST_TENSOR + a->n_tensors + a->n_nodes, sizeof *a->side);
	if (!a->edges || !a->side)
		return il_fail_memory(err);
	for (int i = 0; i < STEPS; i++) {
		double middle = (low + high) / 2;
		uint64_t bytes = cut(a, exp2(middle));
		if (bytes == UINT64_MAX)
			return il_fail_memory(err);
		if (bytes <= budget)
			high = middle;
		else
			low = middle;
	}
	uint64_t bytes = cut(a, exp2(high));
	if (bytes == UINT64_MAX)
		return il_fail_memory(err);
	/* No price was high enough. */
	for (size_t i = 0; i < a->n_tensors && bytes > budget; i++)
		a->tensors[i].stored = false;
	return INLAY_OK;
}

/* ---- parting the graph ---- */

static void cast(struct il_graph *graph, const char *from, const char *to, int type)
{
	il_node *node = il_graph_add(graph, "", "Cast", &from, 1, &to, 1);
	il_node_set_int(graph, node, "to", type);
}

static void store(struct il_graph *before, struct il_graph *rest, const char *name, size_t number)
{
	char stored[32];
	struct il_shape shape = *il_graph_shape(rest, name);
	il_node *producer = il_graph_producer(rest, name);
	const char *unused = il_graph_fresh(rest, name);
	snprintf(stored, sizeof stored, IL_HOISTED "%zu", number);
	shape.type = IL_ONNX_FLOAT16;
	cast(before, name, stored, IL_ONNX_FLOAT16);
	il_graph_add_output(before, stored, &shape);
	/* The rest finds the value where it was, from another source. */
	for (size_t i = 0; i < producer->n_output; i++) {
		if (!strcmp(producer->output[i], name))
			il_graph_set_output(rest, producer, i, unused);
	}
	il_graph_add_input(rest, stored, &shape);
	cast(rest, stored, name, IL_ONNX_FLOAT);
}

static enum inlay_err part(struct analysis *a, const struct il_hoist_params *params, struct il_graph **before,
                           struct il_hoist_stats *stats, struct inlay_error *err)
{
	enum inlay_err rc = il_graph_copy(before, a->graph, err);
	if (rc)
		return rc;
	il_graph_clear_outputs(*before);
	for (size_t i = 0; i < a->n_tensors; i++) {
		if (!a->tensors[i].stored)
			continue;
		store(*before, a->graph, a->tensors[i].name, stats->tensors++);
		stats->bytes += a->tensors[i].bytes;
	}
	rc = il_pass_dead(*before, NULL, err);
	if (!rc)
		rc = il_pass_dead(a->graph, NULL, err);
	for (size_t i = 0; i < params->n_inputs && !rc; i++) {
		if (!il_graph_uses(a->graph, params->inputs[i]))
			il_graph_remove_input(a->graph, params->inputs[i]);
	}
	const Onnx__GraphProto *g = il_graph_model(*before)->graph;
	for (size_t i = g->n_input; i-- > 0 && !rc;) {
		if (!il_graph_uses(*before, g->input[i]->name))
			il_graph_remove_input(*before, g->input[i]->name);
	}
	return rc ? rc : il_graph_check(a->graph, err);
}

double il_graph_operations(struct il_graph *graph)
{
	struct il_graph_cost cost;
	il_graph_find_cost(graph, &cost);
	return cost.operations;
}

/* Splits what depends on both kinds of inputs and parts the graph; *any: something is stored. */
static enum inlay_err split_and_part(struct il_graph *graph, const struct il_hoist_params *params,
                                     struct il_graph **before, struct il_hoist_stats *stats, bool *any,
                                     struct inlay_error *err)
{
	struct analysis a = { .graph = graph };
	bool changed = true;
	enum inlay_err rc = INLAY_OK;
	while (changed && !rc) {
		il_table_clear(&a.known);
		rc = il_graph_sort(graph, err);
		if (!rc && !mark(&a, params))
			rc = il_fail_memory(err);
		if (!rc)
			rc = split_mixed(&a, &changed, err);
	}
	/* What was split leaves its concatenation behind. */
	if (!rc)
		rc = il_pass_dead(graph, NULL, err);
	if (!rc && !collect(&a))
		rc = il_fail_memory(err);
	if (!rc)
		rc = choose(&a, params->budget_bytes, err);
	for (size_t i = 0; i < a.n_tensors && !rc; i++)
		*any |= a.tensors[i].stored;
	if (!rc && *any)
		rc = part(&a, params, before, stats, err);
	destroy(&a);
	return rc;
}

enum inlay_err il_graph_hoist(struct il_graph *graph, const struct il_hoist_params *params, struct il_graph **before,
                              struct il_hoist_stats *stats, struct inlay_error *err)
{
	struct il_graph *rest = NULL;
	bool any = false;
	*before = NULL;
	*stats = (struct il_hoist_stats){ .flops_before = il_graph_operations(graph) };
	enum inlay_err rc = il_graph_copy(&rest, graph, err);
	if (!rc)
		rc = split_and_part(rest, params, before, stats, &any, err);
	if (!rc && any) {
		const struct il_graph old = *graph;
		*graph = *rest;
		*rest = old;
	}
	stats->flops_after = il_graph_operations(graph);
	il_graph_destroy(&rest);
	if (rc)
		il_graph_destroy(before);
	return rc;
}
