/* Two 1x1 convolutions with nothing between them are one, whose matrix is the product of theirs. It pays where the
 * first one has fewer channels coming in than going out, as at the end of an inverted residual that widens. */
#include "infer/passes.h"
#include "infer/pass_parts.h"

static bool is_plain(struct il_graph *graph, const il_node *conv)
{
	return conv && il_conv_is_pointwise(graph, conv) && il_conv_bias_fits(graph, conv);
}

static bool pays(struct il_graph *graph, const il_node *first, const il_node *second)
{
	const il_constant *a = il_graph_constant(graph, first->input[1]),
			  *b = il_graph_constant(graph, second->input[1]);
	return b->dims[1] == a->dims[0] && a->dims[1] < a->dims[0];
}

/* [out][in] = second [out][middle] * first [middle][in]. */
static void multiply(float *product, const float *second, const float *first, int64_t out, int64_t middle, int64_t in)
{
	for (int64_t o = 0; o < out; o++) {
		for (int64_t i = 0; i < in; i++) {
			double sum = 0;
			for (int64_t m = 0; m < middle; m++)
				sum += (double)second[o * middle + m] * (double)first[m * in + i];
			product[o * in + i] = (float)sum;
		}
	}
}

static void merge(struct il_graph *graph, const il_node *first, il_node *second)
{
	const il_constant *a = il_graph_constant(graph, first->input[1]),
			  *b = il_graph_constant(graph, second->input[1]);
	const float *a_data = il_graph_floats(graph, first->input[1], NULL);
	const float *b_data = il_graph_floats(graph, second->input[1], NULL);
	const float *a_bias = il_graph_floats(graph, il_node_input(first, 2), NULL);
	const float *b_bias = il_graph_floats(graph, il_node_input(second, 2), NULL);
	const int64_t in = a->dims[1], middle = a->dims[0], out = b->dims[0], dims[] = { out, in, 1, 1 };
	void *weights, *bias;
	const char *from = il_graph_keep(graph, first->input[0]);
	const char *name = il_graph_add_constant(graph, second->input[1], IL_ONNX_FLOAT, 4, dims, &weights);
	if (!name)
		return;
	multiply(weights, b_data, a_data, out, middle, in);
	il_graph_set_input(graph, second, 1, name);
	il_graph_set_input(graph, second, 0, from);
	if (!a_bias)
		return;
	name = il_graph_add_constant(graph, "bias", IL_ONNX_FLOAT, 1, &out, &bias);
	if (!name)
		return;
	multiply(bias, b_data, a_bias, out, middle, 1);
	for (int64_t o = 0; b_bias && o < out; o++)
		((float *)bias)[o] += b_bias[o];
	il_graph_set_input(graph, second, 2, name);
}

enum inlay_err il_pass_merge(struct il_graph *graph, unsigned *changes, struct inlay_error *err)
{
	for (size_t i = 0; i < il_graph_nodes(graph); i++) {
		il_node *second = il_graph_node(graph, i);
		const il_node *first = is_plain(graph, second) ? il_graph_producer(graph, second->input[0]) : NULL;
		if (!is_plain(graph, first) || !pays(graph, first, second))
			continue;
		merge(graph, first, second);
		if (changes)
			++*changes;
	}
	return il_graph_check(graph, err);
}
