/* Nodes that give what they get. */
#include <stdlib.h>
#include <string.h>

#include "infer/graph_impl.h"
#include "infer/graph_rename.h"
#include "infer/passes.h"
#include "infer/shapes.h"

/* ---- which ones ---- */

typedef bool test_fn(struct il_graph *graph, const il_node *node);

static bool always(struct il_graph *graph, const il_node *node)
{
	(void)graph, (void)node;
	return true;
}

static bool one_input(struct il_graph *graph, const il_node *node)
{
	(void)graph;
	return node->n_input == 1;
}

static bool not_training(struct il_graph *graph, const il_node *node)
{
	(void)graph;
	return !il_node_input(node, 2) && (il_graph_opset(graph) >= 7 || il_node_int(node, "is_test", 0));
}

static bool same_type(struct il_graph *graph, const il_node *node)
{
	int type = il_node_shape(graph, node, 0)->type;
	return type != IL_ONNX_UNKNOWN && il_node_int(node, "to", 0) == type;
}

static bool no_pads(struct il_graph *graph, const il_node *node)
{
	struct il_ints pads;
	bool given;
	if (!il_ints_of_node(graph, node, "pads", 1, 11, &given, &pads) || !given)
		return false;
	for (size_t i = 0; i < pads.n; i++)
		if (pads.v[i] != 0)
			return false;
	return true;
}

/* Both known, the same, and without an element missing; at most `free` dims unknown. */
static bool same_shape(struct il_graph *graph, const il_node *node, int free)
{
	const struct il_shape *in = il_node_shape(graph, node, 0), *out = il_graph_shape(graph, node->output[0]);
	if (in->rank < 0 || in->rank != out->rank)
		return false;
	for (int i = 0; i < in->rank; i++) {
		free -= in->dims[i] < 0;
		if (in->dims[i] != out->dims[i] || in->dims[i] == 0)
			return false;
	}
	return free >= 0;
}

/* For operators that keep the number of elements: the one dim that is unknown is the same too. */
static bool same_but_one(struct il_graph *graph, const il_node *node)
{
	return same_shape(graph, node, 1);
}

static bool same_wholly(struct il_graph *graph, const il_node *node)
{
	return same_shape(graph, node, 0);
}

static bool takes_all(struct il_graph *graph, const il_node *node)
{
	const struct il_shape *in = il_node_shape(graph, node, 0);
	struct il_ints cuts[4];
	if (in->rank < 0 || !il_slice_of_node(graph, node, cuts))
		return false;
	for (size_t i = 0; i < cuts[0].n; i++) {
		int64_t dim = il_shape_dim(in, il_shape_axis(cuts[2].v[i], in->rank));
		bool from_start = cuts[0].v[i] == 0 || (dim > 0 && cuts[0].v[i] == -dim);
		bool to_end = cuts[1].v[i] >= (dim >= 0 ? dim : INT32_MAX);
		if (!from_start || !to_end || cuts[3].v[i] != 1)
			return false;
	}
	return true;
}

/* Where coordinates map to themselves. */
static bool resizes_by_one(struct il_graph *graph, const il_node *node)
{
	size_t n = 0;
	if (!same_shape(graph, node, 0) ||
	    il_node_word_is(node, "coordinate_transformation_mode", "tf_crop_and_resize", false) ||
	    il_node_word_is(node, "coordinate_transformation_mode", "tf_half_pixel_for_nn", false))
		return false;
	if (il_node_input(node, 3))
		return true;
	const char *value = il_node_input(node, il_graph_opset(graph) < 11 ? 1 : 2);
	const float *scales = value ? il_graph_floats(graph, value, &n) : NULL;
	for (size_t i = 0; i < n; i++)
		if (scales[i] != 1)
			return false;
	return scales;
}

static bool read_perm(struct il_graph *graph, const il_node *node, struct il_ints *perm)
{
	const struct il_shape *in = il_node_shape(graph, node, 0);
	if (!il_node_attribute(node, "perm")) {
		perm->n = in->rank > 0 ? (size_t)in->rank : 0;
		for (size_t i = 0; i < perm->n; i++)
			perm->v[i] = (int64_t)(perm->n - 1 - i);
		return in->rank >= 0;
	}
	return il_ints_of_attribute(node, "perm", perm);
}

static bool keeps_order(struct il_graph *graph, const il_node *node)
{
	struct il_ints perm;
	if (!read_perm(graph, node, &perm))
		return false;
	for (size_t i = 0; i < perm.n; i++)
		if (perm.v[i] != (int64_t)i)
			return false;
	return true;
}

/* Output 0 is input 0 where the test says so. */
static const struct {
	const char *op_type;
	test_fn *test;
} tests[] = {
	{ "Cast", same_type },        { "Concat", one_input },       { "Dropout", not_training },
	{ "Expand", same_wholly },    { "Flatten", same_but_one },   { "Identity", always },
	{ "Pad", no_pads },           { "Reshape", same_but_one },   { "Resize", resizes_by_one },
	{ "Slice", takes_all },       { "Squeeze", same_but_one },   { "Tile", same_wholly },
	{ "Transpose", keeps_order }, { "Unsqueeze", same_but_one }, { "Upsample", resizes_by_one },
};

/* ---- taking them out ---- */

static size_t output_place(const il_node *node, const char *value)
{
	size_t i = 0;
	while (i < node->n_output && strcmp(node->output[i], value) != 0)
		i++;
	return i;
}

static bool only_output_0(struct il_graph *graph, const il_node *node)
{
	for (size_t i = 1; i < node->n_output; i++)
		if (il_graph_uses(graph, node->output[i]))
			return false;
	return node->n_output > 0 && *node->output[0];
}

/* An output of the graph keeps its name: what makes `in` takes that name, where it may. */
static bool give_name(struct il_graph *graph, il_node *node, const char *in)
{
	const char *out = il_graph_keep(graph, node->output[0]);
	il_node *producer = il_graph_producer(graph, in);
	in = il_graph_keep(graph, in);
	if (!in || !out || !producer || producer == node || il_graph_is_output(graph, in))
		return false;
	il_graph_remove(graph, node);
	il_graph_replace(graph, in, out);
	il_graph_set_output(graph, producer, output_place(producer, in), out);
	return true;
}

/* Two transpositions of which the second undoes the first: its result is what the first one got. */
static const char *undone(struct il_graph *graph, const il_node *node)
{
	const char *between = il_node_is(node, "Transpose") ? il_node_input(node, 0) : NULL;
	const il_node *first = between ? il_graph_producer(graph, between) : NULL;
	struct il_ints a, b;
	if (!first || !il_node_is(first, "Transpose") || !il_node_input(first, 0) || !read_perm(graph, first, &a) ||
	    !read_perm(graph, node, &b) || a.n != b.n)
		return NULL;
	for (size_t i = 0; i < b.n; i++)
		if (b.v[i] < 0 || b.v[i] >= (int64_t)a.n || a.v[b.v[i]] != (int64_t)i)
			return NULL;
	return il_node_input(first, 0);
}

/* What output 0 is, where the node does nothing; else NULL. */
static const char *original(struct il_graph *graph, const il_node *node)
{
	const char *in = il_node_input(node, 0);
	if (!in || !only_output_0(graph, node))
		return NULL;
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
		if (il_node_is(node, tests[i].op_type) && tests[i].test(graph, node))
			return in;
	return undone(graph, node);
}

/* Those whose result is no output of the graph, all at once: their readers read the original. */
static unsigned bypass(struct il_graph *graph)
{
	size_t n = il_graph_nodes(graph);
	il_node **idle = calloc(n + 1, sizeof(void *));
	struct il_renames renames = { 0 };
	unsigned n_idle = 0;
	graph->no_memory |= !idle;
	for (size_t i = 0; i < n && idle; i++) {
		il_node *node = il_graph_node(graph, i);
		const char *in = original(graph, node);
		if (!in || !strcmp(in, node->output[0]) || il_graph_is_output(graph, node->output[0]))
			continue;
		il_renames_put(&renames, graph, node->output[0], in);
		idle[n_idle++] = node;
	}
	il_renames_apply(&renames, graph);
	il_renames_destroy(&renames);
	for (unsigned i = n_idle; i-- > 0;)
		il_graph_remove(graph, idle[i]);
	free(idle);
	return n_idle;
}

enum inlay_err il_pass_noop(struct il_graph *graph, unsigned *changes, struct inlay_error *err)
{
	unsigned dropped = bypass(graph);
	for (size_t i = il_graph_nodes(graph); i-- > 0;) {
		il_node *node = il_graph_node(graph, i);
		const char *in = il_graph_is_output(graph, node->n_output ? node->output[0] : NULL)
		                         ? original(graph, node)
		                         : NULL;
		dropped += in && give_name(graph, node, in);
	}
	if (changes)
		*changes += dropped;
	return il_graph_check(graph, err);
}
