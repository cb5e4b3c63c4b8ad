/* Small ONNX graphs, built node by node, and ONNX Runtime's word on them. */
#ifndef IL_TESTS_TEST_GRAPH_H
#define IL_TESTS_TEST_GRAPH_H

#include <stdarg.h>

#include "infer/graph_diff.h"
#include "infer/graph_impl.h"
#include "tests/test.h"

/* An empty graph of the standard operators of that version. */
static inline struct il_graph *test_graph(int64_t opset)
{
	Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
	Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
	Onnx__OperatorSetIdProto standard = ONNX__OPERATOR_SET_ID_PROTO__INIT, *sets[] = { &standard };
	char name[] = "test", domain[] = "";
	struct il_graph *parsed = NULL;
	struct inlay_error err;
	uint8_t bytes[256];
	graph.name = name;
	standard.domain = domain;
	standard.has_version = true;
	standard.version = opset;
	model.graph = &graph;
	model.has_ir_version = true;
	model.ir_version = 7;
	model.opset_import = sets;
	model.n_opset_import = 1;
	size_t size = onnx__model_proto__pack(&model, bytes);
	assert_true(size <= sizeof bytes);
	assert_ok(il_graph_parse(&parsed, bytes, size, "test", &err));
	return parsed;
}

/* A float input or, with output true, output; dims as in "2,-1,4", "" for a scalar. */
static inline struct il_shape test_shape(const char *dims)
{
	struct il_shape shape = { .type = IL_ONNX_FLOAT };
	for (char *end; *dims; dims = *end ? end + 1 : end)
		shape.dims[shape.rank++] = strtoll(dims, &end, 10);
	return shape;
}

static inline void test_input(struct il_graph *graph, const char *name, const char *dims)
{
	const struct il_shape shape = test_shape(dims);
	il_graph_add_input(graph, name, &shape);
}

/* An output whose type and shape the runtime finds out. */
static inline void test_output(struct il_graph *graph, const char *name)
{
	const struct il_shape nothing = { .rank = -1 };
	Onnx__GraphProto *g = graph->model->graph;
	il_graph_add_output(graph, name, &nothing);
	onnx__type_proto__free_unpacked(g->output[g->n_output - 1]->type, NULL);
	g->output[g->n_output - 1]->type = NULL;
}

/* Constants; their names live as long as the graph. */
static inline const char *test_ints(struct il_graph *graph, const char *numbers)
{
	const struct il_shape list = test_shape(numbers);
	const int64_t n = list.rank;
	void *data;
	const char *name = il_graph_add_constant(graph, "ints", IL_ONNX_INT64, 1, &n, &data);
	memcpy(data, list.dims, (size_t)n * sizeof *list.dims);
	return name;
}

static inline const char *test_int(struct il_graph *graph, int64_t number)
{
	void *data;
	const char *name = il_graph_add_constant(graph, "int", IL_ONNX_INT64, 0, &number, &data);
	memcpy(data, &number, sizeof number);
	return name;
}

/* Random numbers from `low` to `high`. */
static inline const char *test_weights(struct il_graph *graph, const char *dims, float low, float high)
{
	const struct il_shape shape = test_shape(dims);
	void *data;
	const char *name = il_graph_add_constant(graph, "weights", IL_ONNX_FLOAT, shape.rank, shape.dims, &data);
	for (size_t i = 0; i < il_shape_count(&shape); i++)
		((float *)data)[i] = low + (high - low) * (float)(test_random() & 0xffff) / 65535.0f;
	return name;
}

/* A node of one output; "" leaves an input out. */
static inline il_node *test_node(struct il_graph *graph, const char *op_type, const char *output, size_t n_inputs, ...)
{
	const char *inputs[8];
	va_list args;
	va_start(args, n_inputs);
	for (size_t i = 0; i < n_inputs; i++)
		inputs[i] = va_arg(args, const char *);
	va_end(args);
	il_node *node = il_graph_add(graph, "", op_type, inputs, n_inputs, &output, 1);
	assert_non_null(node);
	return node;
}

/* An ints attribute as in "0,2,1". */
static inline void test_list(struct il_graph *graph, il_node *node, const char *name, const char *numbers)
{
	const struct il_shape list = test_shape(numbers);
	il_node_set_ints(graph, node, name, list.dims, (size_t)list.rank);
}

static inline unsigned test_count(const struct il_graph *graph, const char *op_type)
{
	unsigned count = 0;
	for (size_t i = 0; i < il_graph_nodes(graph); i++)
		count += il_node_is(il_graph_node(graph, i), op_type);
	return count;
}

/* Node by node as it stands, or fused as the runtime likes. */
static inline struct il_session *test_session(struct il_graph *graph, bool as_it_is)
{
	const struct il_session_params params = { .as_it_is = as_it_is };
	struct il_session *session = NULL;
	struct inlay_error err;
	void *data;
	size_t size;
	assert_ok(il_graph_pack(graph, &data, &size, &err));
	assert_ok(il_session_open_memory(&session, data, size, il_graph_name(graph), &params, &err));
	free(data);
	return session;
}

/* The largest difference of results on random inputs, relative to max(1, |value|). */
static inline double test_difference(struct il_session *a, struct il_session *b, const struct il_diff_params *params)
{
	struct il_diff_output *outputs;
	struct inlay_error err;
	double largest = 0;
	assert_ok(il_session_diff(a, b, params, &outputs, &err));
	for (int i = 0; i < il_session_outputs(a); i++)
		largest = outputs[i].max_relative > largest ? outputs[i].max_relative : largest;
	free(outputs);
	return largest;
}

/* Runs a pass and checks that results are the same within `tolerance`. Returns what the pass counted. */
static inline unsigned test_pass(struct il_graph *graph,
                                 enum inlay_err (*pass)(struct il_graph *, unsigned *, struct inlay_error *),
                                 double tolerance)
{
	const struct il_diff_params params = { .runs = 2, .seed = 3, .scale = 1 };
	struct inlay_error err;
	unsigned changes = 0;
	struct il_session *before = test_session(graph, true);
	assert_ok(pass(graph, &changes, &err));
	struct il_session *after = test_session(graph, true);
	double apart = test_difference(before, after, &params);
	if (!(apart <= tolerance))
		fail_msg("results are %g apart", apart);
	il_session_destroy(&before);
	il_session_destroy(&after);
	return changes;
}

#endif
