/* conv1x1(resize(x)) = resize(conv1x1(x)): one mixes channels, the other neighbours, and both are linear. A bias goes
 * along, for the weights of the interpolation add up to 1. Enlarging last, the convolution has fewer pixels to do. */
#include "infer/passes.h"
#include "infer/pass_parts.h"

static bool all_are(const int64_t *values, size_t n, int64_t value)
{
	for (size_t i = 0; i < n; i++) {
		if (values[i] != value)
			return false;
	}
	return true;
}

bool il_conv_is_pointwise(struct il_graph *graph, const il_node *conv)
{
	int64_t kernel[2], strides[2], pads[4];
	const il_constant *weights =
		il_node_has(conv, "Conv", 2) ? il_graph_constant(graph, il_node_input(conv, 1)) : NULL;
	if (!weights || weights->n_dims != 4 || weights->dims[2] != 1 || weights->dims[3] != 1 ||
	    !il_graph_floats(graph, weights->name, NULL))
		return false;
	return il_node_ints(conv, "kernel_shape", kernel, 2, 1) && all_are(kernel, 2, 1) &&
	       il_node_ints(conv, "strides", strides, 2, 1) && all_are(strides, 2, 1) &&
	       il_node_ints(conv, "pads", pads, 4, 0) && all_are(pads, 4, 0) && il_node_int(conv, "group", 1) == 1;
}

bool il_conv_bias_fits(struct il_graph *graph, const il_node *conv)
{
	size_t count;
	const char *bias = il_node_input(conv, 2);
	const il_constant *weights = il_graph_constant(graph, il_node_input(conv, 1));
	if (!bias)
		return true;
	return weights && weights->n_dims > 0 && il_graph_floats(graph, bias, &count) &&
	       (int64_t)count == weights->dims[0];
}

bool il_resize_commutes(struct il_graph *graph, const il_node *resize)
{
	static const char *const modes[] = { "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric" };
	bool known = false;
	if (!il_node_has(resize, "Resize", 1) || !il_node_word_is(resize, "mode", "linear", false) ||
	    il_node_int(resize, "antialias", 0) || il_node_int(resize, "exclude_outside", 0) ||
	    il_node_attribute(resize, "axes") || !il_node_word_is(resize, "keep_aspect_ratio_policy", "stretch", true))
		return false;
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
		known |= il_node_word_is(resize, "coordinate_transformation_mode", modes[i], i == 0);
	const struct il_shape *from = il_graph_shape(graph, il_node_input(resize, 0));
	const struct il_shape *to = il_graph_shape(graph, resize->n_output ? resize->output[0] : NULL);
	/* The batch may be free: only `scales` say then that it stays. */
	size_t n_scales;
	const float *scales = il_graph_floats(graph, il_node_input(resize, 2), &n_scales);
	bool batch =
		(scales && n_scales == 4 && scales[0] == 1) || (from->dims[0] >= 0 && from->dims[0] == to->dims[0]);
	return known && from->rank == 4 && to->rank == 4 && batch && from->dims[1] > 0 &&
	       from->dims[1] == to->dims[1] && from->dims[2] > 0 && from->dims[3] > 0 && to->dims[2] >= from->dims[2] &&
	       to->dims[3] >= from->dims[3] && (to->dims[2] > from->dims[2] || to->dims[3] > from->dims[3]);
}

/* Sizes that the node names outright hold the number of channels, which changes. */
static const char *sizes_for(struct il_graph *graph, const il_node *resize, int64_t channels)
{
	size_t n;
	const int64_t *sizes = il_graph_ints(graph, il_node_input(resize, 3), &n);
	void *data;
	if (!sizes || n != 4)
		return NULL;
	const int64_t dims[] = { 4 }, values[] = { sizes[0], channels, sizes[2], sizes[3] };
	const char *name = il_graph_add_constant(graph, "sizes", IL_ONNX_INT64, 1, dims, &data);
	for (int i = 0; name && i < 4; i++)
		((int64_t *)data)[i] = values[i];
	return name;
}

static void commute(struct il_graph *graph, il_node *conv, il_node *resize)
{
	const char *out = il_graph_keep(graph, conv->output[0]);
	const char *low = il_graph_fresh(graph, out);
	const int64_t channels = il_graph_constant(graph, conv->input[1])->dims[0];
	struct il_shape shape = *il_graph_shape(graph, resize->input[0]);
	const struct il_shape enlarged = *il_graph_shape(graph, out);
	const char *sizes = il_node_input(resize, 3) ? sizes_for(graph, resize, channels) : NULL;
	const char *inputs[] = { low, il_node_input(resize, 1), il_node_input(resize, 2), sizes };
	shape.dims[1] = channels;
	il_node *late = il_graph_add(graph, "", "Resize", inputs, 4, &(const char *){ il_graph_fresh(graph, out) }, 1);
	il_node_copy_attributes(graph, late, resize);
	il_graph_set_input(graph, conv, 0, resize->input[0]);
	il_graph_set_output(graph, conv, 0, low);
	il_graph_set_output(graph, late, 0, out);
	il_graph_set_shape(graph, low, &shape);
	il_graph_set_shape(graph, out, &enlarged);
}

enum inlay_err il_pass_commute(struct il_graph *graph, unsigned *changes, struct inlay_error *err)
{
	for (size_t i = 0; i < il_graph_nodes(graph); i++) {
		il_node *conv = il_graph_node(graph, i);
		if (!il_conv_is_pointwise(graph, conv))
			continue;
		il_node *resize = il_graph_producer(graph, conv->input[0]);
		if (!il_resize_commutes(graph, resize) ||
		    (il_node_input(resize, 3) && !il_graph_ints(graph, il_node_input(resize, 3), NULL)))
			continue;
		commute(graph, conv, resize);
		if (changes)
			++*changes;
	}
	return il_graph_check(graph, err);
}
