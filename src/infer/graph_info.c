#include "infer/graph_info.h"

#include <string.h>

#include "infer/session.h"
#include "infer/shapes.h"

/* ---- sizes ---- */

static double count_of(const struct il_shape *shape)
{
	double count = shape->rank >= 0 ? 1 : -1;
	for (int i = 0; i < shape->rank; i++) {
		if (shape->dims[i] < 0)
			return -1;
		count *= (double)shape->dims[i];
	}
	return count;
}

static double bytes_of_constant(const il_constant *constant)
{
	size_t count = il_constant_count(constant);
	return count == SIZE_MAX ? 0 : (double)count * (double)il_tensor_element_bytes(constant->data_type);
}

/* ---- operations: of an output element, or of a whole node; -1 where unknown ---- */

static double input_count(struct il_graph *graph, const il_node *node, size_t i)
{
	return count_of(il_node_shape(graph, node, i));
}

static double output_count(struct il_graph *graph, const il_node *node)
{
	return node->n_output ? count_of(il_graph_shape(graph, node->output[0])) : -1;
}

/* [out][in][kernel]: each output element takes in * kernel products. */
static double convolution(struct il_graph *graph, const il_node *node, double outputs, size_t weights)
{
	const struct il_shape *w = il_node_shape(graph, node, weights);
	double count = count_of(w);
	return count < 0 || w->rank < 1 || w->dims[0] < 1 ? -1 : 2 * outputs * count / (double)w->dims[0];
}

/* [in][out][kernel]: each input element goes into out * kernel products. */
static double transposed(struct il_graph *graph, const il_node *node)
{
	const struct il_shape *w = il_node_shape(graph, node, 1);
	double count = count_of(w), inputs = input_count(graph, node, 0);
	return count < 0 || inputs < 0 || w->rank < 1 || w->dims[0] < 1 ? -1 : 2 * inputs * count / (double)w->dims[0];
}

static double product(struct il_graph *graph, const il_node *node, double outputs, bool columns)
{
	const struct il_shape *a = il_node_shape(graph, node, 0);
	int64_t inner = a->rank < 1 ? -1 : il_shape_dim(a, columns ? 0 : a->rank - 1);
	return inner < 0 ? -1 : 2 * outputs * (double)inner;
}

/* Gates times (input + state) products a step. */
static double recurrent(struct il_graph *graph, const il_node *node, int gates)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	double directions = il_node_word_is(node, "direction", "bidirectional", false) ? 2 : 1;
	double hidden = (double)il_node_int(node, "hidden_size", 0);
	if (x->rank != 3 || count_of(x) < 0)
		return -1;
	return 2 * directions * gates * hidden * ((double)x->dims[2] + hidden) * (double)x->dims[0] *
	       (double)x->dims[1];
}

static double pooling(const il_node *node, double outputs)
{
	struct il_ints kernel;
	if (!il_ints_of_attribute(node, "kernel_shape", &kernel))
		return -1;
	for (size_t i = 0; i < kernel.n; i++)
		outputs *= (double)kernel.v[i];
	return outputs;
}

static bool is_one_of(const il_node *node, const char *const *names)
{
	for (; *names; names++)
		if (!strcmp(node->op_type, *names))
			return true;
	return false;
}

static double operations_of(struct il_graph *graph, const il_node *node)
{
	static const char *const moves[] = { "Cast",
		                             "Concat",
		                             "Constant",
		                             "ConstantOfShape",
		                             "DepthToSpace",
		                             "Dropout",
		                             "Expand",
		                             "Flatten",
		                             "Gather",
		                             "GatherElements",
		                             "GatherND",
		                             "Identity",
		                             "Pad",
		                             "Range",
		                             "Reshape",
		                             "Shape",
		                             "Size",
		                             "Slice",
		                             "SpaceToDepth",
		                             "Split",
		                             "Squeeze",
		                             "Transpose",
		                             "Unsqueeze",
		                             "Tile",
		                             NULL };
	double outputs = output_count(graph, node);
	if (outputs < 0)
		return -1;
	if (is_one_of(node, moves))
		return 0;
	if (il_node_is(node, "Conv") || il_node_is(node, "ConvInteger") || !strcmp(node->op_type, "FusedConv"))
		return convolution(graph, node, outputs, 1);
	if (il_node_is(node, "QLinearConv"))
		return convolution(graph, node, outputs, 3);
	if (il_node_is(node, "ConvTranspose"))
		return transposed(graph, node);
	if (il_node_is(node, "MatMul") || il_node_is(node, "MatMulInteger") || il_node_is(node, "QLinearMatMul"))
		return product(graph, node, outputs, false);
	if (il_node_is(node, "Gemm"))
		return product(graph, node, outputs, il_node_int(node, "transA", 0) != 0);
	if (il_node_is(node, "LSTM"))
		return recurrent(graph, node, 4);
	if (il_node_is(node, "GRU"))
		return recurrent(graph, node, 3);
	if (il_node_is(node, "RNN"))
		return recurrent(graph, node, 1);
	if (il_node_is(node, "MaxPool") || il_node_is(node, "AveragePool"))
		return pooling(node, outputs);
	if (!strncmp(node->op_type, "Global", 6) || !strncmp(node->op_type, "Reduce", 6))
		return input_count(graph, node, 0);
	if (il_node_is(node, "Resize") || il_node_is(node, "Upsample"))
		return il_node_word_is(node, "mode", "nearest", true) ? 0 : 8 * outputs;
	if (il_node_is(node, "BatchNormalization"))
		return 2 * outputs;
	return outputs;
}

void il_node_find_cost(struct il_graph *graph, const il_node *node, struct il_node_cost *cost)
{
	*cost = (struct il_node_cost){ .known = true, .operations = operations_of(graph, node) };
	if (cost->operations < 0) {
		cost->operations = 0;
		cost->known = false;
	}
	for (size_t i = 0; i < node->n_input; i++) {
		const il_constant *constant = il_graph_constant(graph, node->input[i]);
		cost->weight_bytes += constant ? bytes_of_constant(constant) : 0;
	}
	for (size_t i = 0; i < node->n_output && !il_node_is(node, "Constant"); i++) {
		const struct il_shape *shape = il_graph_shape(graph, node->output[i]);
		double count = *node->output[i] ? count_of(shape) : 0;
		cost->known &= count >= 0;
		cost->output_bytes += count > 0 ? count * (double)il_tensor_element_bytes(shape->type) : 0;
	}
}

/* Lists of dims and the like are no parameters. */
static bool is_parameter(int type)
{
	return il_tensor_element_bytes(type) > 0 && type != IL_ONNX_INT64 && type != IL_ONNX_INT32 &&
	       type != IL_ONNX_BOOL;
}

static void add_constant(const il_constant *constant, struct il_graph_cost *sum)
{
	sum->weight_bytes += bytes_of_constant(constant);
	if (is_parameter(constant->data_type))
		sum->parameters += (double)il_constant_count(constant);
}

void il_graph_find_cost(struct il_graph *graph, struct il_graph_cost *sum)
{
	const Onnx__GraphProto *g = il_graph_model(graph)->graph;
	*sum = (struct il_graph_cost){ .nodes = il_graph_nodes(graph) };
	for (size_t i = 0; i < g->n_initializer; i++)
		add_constant(g->initializer[i], sum);
	for (size_t i = 0; i < sum->nodes; i++) {
		const il_node *node = il_graph_node(graph, i);
		const Onnx__AttributeProto *value =
			il_node_is(node, "Constant") ? il_node_attribute(node, "value") : NULL;
		struct il_node_cost cost;
		if (value && value->t)
			add_constant(value->t, sum);
		il_node_find_cost(graph, node, &cost);
		sum->unknown += !cost.known;
		sum->operations += cost.operations;
		sum->output_bytes += cost.output_bytes;
	}
}
