/* Batch normalisation behind a convolution: y = (conv(x) - mean) * s + bias with s = scale / sqrt(var + epsilon) is a
 * convolution of weights w * s and of bias (b - mean) * s + bias. Computed in double, rounded once. */
#include <math.h>
#include <string.h>

#include "infer/passes.h"

/* A convolution's weights as out channels of `inner` numbers each, `outer` times over: a transposed convolution has
 * [in][out in a group][kernel], any other [out][in in a group][kernel]. */
struct layout {
	size_t channels;                /* of the result */
	size_t groups, rows, per_group; /* transposed: in channels of a group, out channels of a group */
	size_t inner;
	bool transposed;
};

struct numbers {
	const float *weights, *bias, *scale, *shift, *mean, *variance; /* bias may be NULL */
	double epsilon;
};

static bool read_layout(const il_node *conv, const il_constant *weights, struct layout *l)
{
	int64_t groups = il_node_int(conv, "group", 1);
	size_t count = il_constant_count(weights);
	if (weights->n_dims < 3 || count == 0 || count == SIZE_MAX || groups < 1)
		return false;
	size_t first = (size_t)weights->dims[0], second = (size_t)weights->dims[1];
	l->transposed = il_node_is(conv, "ConvTranspose");
	l->groups = (size_t)groups;
	if (first % l->groups)
		return false;
	l->channels = l->transposed ? second * l->groups : first;
	l->rows = first / l->groups;
	l->per_group = second;
	l->inner = l->transposed ? count / first / second : count / first;
	return true;
}

/* One number a channel. */
static const float *per_channel(struct il_graph *graph, const il_node *node, size_t i, size_t channels)
{
	size_t count;
	const float *data = il_graph_floats(graph, il_node_input(node, i), &count);
	return data && count == channels ? data : NULL;
}

static bool read_numbers(struct il_graph *graph, const il_node *conv, const il_node *norm, size_t channels,
                         struct numbers *n)
{
	n->weights = il_graph_floats(graph, il_node_input(conv, 1), NULL);
	n->bias = per_channel(graph, conv, 2, channels);
	n->scale = per_channel(graph, norm, 1, channels);
	n->shift = per_channel(graph, norm, 2, channels);
	n->mean = per_channel(graph, norm, 3, channels);
	n->variance = per_channel(graph, norm, 4, channels);
	n->epsilon = il_node_float(norm, "epsilon", 1e-5f);
	return n->weights && (n->bias || !il_node_input(conv, 2)) && n->scale && n->shift && n->mean && n->variance;
}

static double factor(const struct numbers *n, size_t channel)
{
	return n->scale[channel] / sqrt((double)n->variance[channel] + n->epsilon);
}

static void scale_weights(const struct layout *l, const struct numbers *n, float *to)
{
	size_t blocks = l->transposed ? l->groups * l->rows * l->per_group : l->channels;
	for (size_t block = 0; block < blocks; block++) {
		size_t group = block / (l->rows * l->per_group);
		size_t channel = l->transposed ? group * l->per_group + block % l->per_group : block;
		double by = factor(n, channel);
		for (size_t i = 0; i < l->inner; i++)
			to[block * l->inner + i] = (float)(n->weights[block * l->inner + i] * by);
	}
}

static void make_bias(const struct layout *l, const struct numbers *n, float *to)
{
	for (size_t c = 0; c < l->channels; c++)
		to[c] = (float)(((n->bias ? n->bias[c] : 0.0) - n->mean[c]) * factor(n, c) + n->shift[c]);
}

/* A variance that is negative, or numbers that are not finite, would spoil whole channels in another way than before.
 */
static bool is_sound(const struct layout *l, const struct numbers *n)
{
	for (size_t c = 0; c < l->channels; c++)
		if (!(n->variance[c] + n->epsilon > 0) || !isfinite(factor(n, c)))
			return false;
	return true;
}

static bool is_inference(struct il_graph *graph, const il_node *norm)
{
	for (size_t i = 1; i < norm->n_output; i++)
		if (*norm->output[i])
			return false;
	return il_graph_opset(graph) >= 7 && il_node_int(norm, "spatial", 1) == 1 &&
	       il_node_int(norm, "training_mode", 0) == 0;
}

static bool fold(struct il_graph *graph, il_node *conv)
{
	il_node *norm = conv->n_output == 1 ? il_graph_sole_reader(graph, conv->output[0]) : NULL;
	const char *name = il_node_input(conv, 1);
	const il_constant *weights = name ? il_graph_constant(graph, name) : NULL;
	struct layout layout;
	struct numbers numbers;
	void *data;
	if (!norm || !weights || !il_node_is(norm, "BatchNormalization") || !is_inference(graph, norm) ||
	    strcmp(norm->input[0], conv->output[0]) != 0 || norm->n_output < 1 ||
	    !read_layout(conv, weights, &layout) || !read_numbers(graph, conv, norm, layout.channels, &numbers) ||
	    !is_sound(&layout, &numbers))
		return false;
	const char *folded =
		il_graph_add_constant(graph, name, IL_ONNX_FLOAT, (int)weights->n_dims, weights->dims, &data);
	if (!folded)
		return false;
	scale_weights(&layout, &numbers, data);
	int64_t channels = (int64_t)layout.channels;
	const char *bias = il_graph_add_constant(graph, name, IL_ONNX_FLOAT, 1, &channels, &data);
	if (!bias)
		return false;
	make_bias(&layout, &numbers, data);
	il_graph_set_input(graph, conv, 1, folded);
	il_graph_set_input(graph, conv, 2, bias);
	const char *result = il_graph_keep(graph, norm->output[0]);
	il_graph_remove(graph, norm);
	il_graph_set_output(graph, conv, 0, result);
	return true;
}

enum inlay_err il_pass_batchnorm(struct il_graph *graph, unsigned *changes, struct inlay_error *err)
{
	for (size_t i = 0; i < il_graph_nodes(graph); i++) {
		il_node *node = il_graph_node(graph, i);
		if ((il_node_is(node, "Conv") || il_node_is(node, "ConvTranspose")) && fold(graph, node) && changes)
			++*changes;
	}
	return il_graph_check(graph, err);
}
