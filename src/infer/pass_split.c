/* conv(concat(a, b)) = conv_a(a) + conv_b(b): a convolution is linear in its channels. It pays where a part can then be
 * treated by itself: moved before an upsampling (pass_commute.c) or computed beforehand (hoist.c). */
#include <string.h>

#include "infer/passes.h"
#include "infer/pass_parts.h"

#define MAX_PARTS 16
#define MAX_CHANNELS (1 << 24) /* of a part: more is not believed */

/* Channels of every part of a concatenation; false where one is not known. */
static bool part_channels(struct il_graph *graph, const il_node *concat, int64_t *channels)
{
	for (size_t i = 0; i < concat->n_input; i++) {
		const struct il_shape *shape = il_graph_shape(graph, concat->input[i]);
		if (shape->rank < 3 || shape->dims[1] < 1 || shape->dims[1] > MAX_CHANNELS)
			return false;
		channels[i] = shape->dims[1];
	}
	return true;
}

/* Weights [out, channels, kernel...] from channel `first` on, out of all `in`. */
static const char *slice_weights(struct il_graph *graph, const il_constant *weights, const float *from, int64_t first,
                                 int64_t channels)
{
	int64_t dims[IL_GRAPH_MAX_RANK], in = weights->dims[1], area = 1;
	void *data;
	for (size_t i = 0; i < weights->n_dims; i++) {
		dims[i] = weights->dims[i];
		area *= i > 1 ? dims[i] : 1;
	}
	dims[1] = channels;
	const char *name =
		il_graph_add_constant(graph, weights->name, IL_ONNX_FLOAT, (int)weights->n_dims, dims, &data);
	for (int64_t k = 0; name && k < dims[0]; k++)
		memcpy((float *)data + k * channels * area, from + (k * in + first) * area,
		       (size_t)(channels * area) * sizeof(float));
	return name;
}

bool il_conv_is_splittable(struct il_graph *graph, const il_node *conv)
{
	int64_t channels[MAX_PARTS], all = 0;
	const char *from = il_node_has(conv, "Conv", 2) ? il_node_input(conv, 0) : NULL;
	const il_node *concat = from ? il_graph_producer(graph, from) : NULL;
	const il_constant *weights = concat ? il_graph_constant(graph, il_node_input(conv, 1)) : NULL;
	if (!il_node_is(concat, "Concat") || il_node_int(concat, "axis", -1) != 1 || concat->n_input < 2 ||
	    concat->n_input > MAX_PARTS || il_node_int(conv, "group", 1) != 1 || !weights || weights->n_dims < 3 ||
	    weights->n_dims > IL_GRAPH_MAX_RANK || !il_graph_floats(graph, weights->name, NULL) ||
	    !part_channels(graph, concat, channels))
		return false;
	for (size_t i = 0; i < concat->n_input; i++)
		all += channels[i];
	return all == weights->dims[1];
}

/* The bias goes with the first part. */
enum inlay_err il_conv_split(struct il_graph *graph, il_node *conv, struct inlay_error *err)
{
	const il_node *concat = il_graph_producer(graph, conv->input[0]);
	const il_constant *weights = il_graph_constant(graph, conv->input[1]);
	const float *data = il_graph_floats(graph, conv->input[1], NULL);
	const char *out = il_graph_keep(graph, conv->output[0]), *sum = NULL;
	const struct il_shape shape = *il_graph_shape(graph, out);
	int64_t channels[MAX_PARTS], first = 0;
	part_channels(graph, concat, channels);
	for (size_t i = 0; i < concat->n_input; i++) {
		const char *slice = slice_weights(graph, weights, data, first, channels[i]);
		const char *inputs[] = { concat->input[i], slice, i ? NULL : il_node_input(conv, 2) };
		const char *part = il_graph_fresh(graph, out);
		il_node_copy_attributes(graph, il_graph_add(graph, "", "Conv", inputs, 3, &part, 1), conv);
		il_graph_set_shape(graph, part, &shape);
		first += channels[i];
		if (!part || !out)
			break;
		if (!sum) {
			sum = part;
			continue;
		}
		/* The last sum takes the name of what it replaces. */
		const char *next = i + 1 < concat->n_input ? il_graph_fresh(graph, out) : out;
		if (next == out)
			il_graph_remove(graph, conv);
		il_graph_add(graph, "", "Add", (const char *[]){ sum, part }, 2, &next, 1);
		il_graph_set_shape(graph, next, &shape);
		sum = next;
	}
	return il_graph_check(graph, err);
}

enum inlay_err il_pass_split(struct il_graph *graph, unsigned *changes, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	for (size_t i = 0; i < il_graph_nodes(graph) && !rc;) {
		il_node *conv = il_graph_node(graph, i++);
		if (!il_conv_is_splittable(graph, conv))
			continue;
		bool pays = false;
		const il_node *concat = il_graph_producer(graph, conv->input[0]);
		for (size_t k = 0; k < concat->n_input && il_conv_is_pointwise(graph, conv); k++)
			pays |= il_resize_commutes(graph, il_graph_producer(graph, concat->input[k]));
		if (!pays)
			continue;
		rc = il_conv_split(graph, conv, err);
		i--; /* it is another node's number now */
		if (changes)
			++*changes;
	}
	return rc;
}
