/* Shapes of windows that slide over a picture, and of pictures that grow or shrink. */
#include "infer/shapes.h"

#define MAX_SPATIAL (IL_GRAPH_MAX_RANK - 2)
#define MAX_STEP (1 << 20) /* of strides, dilations, pads and kernels that are believed */

struct window {
	int n; /* spatial dims */
	int64_t kernel[MAX_SPATIAL], stride[MAX_SPATIAL], dilation[MAX_SPATIAL], pad[2 * MAX_SPATIAL];
	bool same; /* padded so that only the stride counts */
};

static bool within(const int64_t *values, int n, int64_t least)
{
	for (int i = 0; i < n; i++)
		if (values[i] < least || values[i] > MAX_STEP)
			return false;
	return true;
}

/* All but the kernel. */
static bool read_window(const il_node *node, int rank, struct window *w)
{
	w->n = rank - 2;
	if (w->n < 1 || w->n > MAX_SPATIAL)
		return false;
	size_t n = (size_t)w->n;
	w->same = il_node_word_is(node, "auto_pad", "SAME_UPPER", false) ||
	          il_node_word_is(node, "auto_pad", "SAME_LOWER", false);
	if (!il_node_ints(node, "strides", w->stride, n, 1) || !il_node_ints(node, "dilations", w->dilation, n, 1) ||
	    !il_node_ints(node, "pads", w->pad, 2 * n, 0))
		return false;
	if (il_node_word_is(node, "auto_pad", "VALID", false))
		for (size_t i = 0; i < 2 * n; i++)
			w->pad[i] = 0;
	return within(w->stride, w->n, 1) && within(w->dilation, w->n, 1) && within(w->pad, 2 * w->n, -MAX_STEP);
}

static int64_t extent(const struct window *w, int i)
{
	return (w->kernel[i] - 1) * w->dilation[i] + 1;
}

/* Places of window i on a dim; -1 where it has none, or where runtimes differ on the last one of ceil_mode. */
static int64_t places(const struct window *w, int i, int64_t dim, bool ceil_mode)
{
	if (dim < 0)
		return -1;
	if (w->same)
		return (dim + w->stride[i] - 1) / w->stride[i];
	int64_t room = dim + w->pad[i] + w->pad[w->n + i] - extent(w, i);
	if (room < 0)
		return -1;
	int64_t count = room / w->stride[i] + 1;
	if (!ceil_mode || room % w->stride[i] == 0)
		return count;
	return count * w->stride[i] >= dim + w->pad[i] ? -1 : count + 1;
}

/* The kernel from its attribute, else from the dims of the weights behind the first two. */
static bool read_kernel(const il_node *node, const struct il_shape *weights, struct window *w)
{
	if (!il_node_ints(node, "kernel_shape", w->kernel, (size_t)w->n, -1))
		return false;
	for (int i = 0; i < w->n; i++)
		if (w->kernel[i] < 0 && weights && weights->rank == w->n + 2)
			w->kernel[i] = il_shape_dim(weights, i + 2);
	return within(w->kernel, w->n, 1);
}

static void convolve(const il_node *node, const struct il_shape *x, const struct il_shape *weights, int type,
                     struct il_shape *out)
{
	struct window w;
	if (x->rank < 3)
		return;
	il_shape_set(out, type, x->rank);
	out->dims[0] = il_shape_dim(x, 0);
	if (weights->rank == x->rank)
		out->dims[1] = il_shape_dim(weights, 0);
	if (!read_window(node, x->rank, &w) || !read_kernel(node, weights, &w))
		return;
	for (int i = 0; i < w.n; i++)
		out->dims[i + 2] = places(&w, i, il_shape_dim(x, i + 2), false);
}

void il_shape_conv(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	convolve(node, x, il_node_shape(graph, node, 1), x->type, out);
}

void il_shape_conv_integer(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	convolve(node, il_node_shape(graph, node, 0), il_node_shape(graph, node, 1), IL_ONNX_INT32, out);
}

void il_shape_qlinear_conv(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	convolve(node, il_node_shape(graph, node, 0), il_node_shape(graph, node, 3),
	         il_node_shape(graph, node, 7)->type, out);
}

void il_shape_conv_transpose(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0), *weights = il_node_shape(graph, node, 1);
	struct window w;
	int64_t more[MAX_SPATIAL];
	if (x->rank < 3)
		return;
	il_shape_set(out, x->type, x->rank);
	out->dims[0] = il_shape_dim(x, 0);
	if (weights->rank == x->rank)
		out->dims[1] = il_dim_times(il_shape_dim(weights, 1), il_node_int(node, "group", 1));
	if (!read_window(node, x->rank, &w) || !read_kernel(node, weights, &w))
		return;
	if (il_node_attribute(node, "output_shape")) {
		struct il_ints asked;
		bool spatial = il_ints_of_attribute(node, "output_shape", &asked) && (int)asked.n == w.n;
		for (int i = 0; spatial && i < w.n; i++)
			out->dims[i + 2] = asked.v[i] > 0 ? asked.v[i] : -1;
		return;
	}
	/* SAME, runtimes read in more than one way. */
	if (w.same || !il_node_ints(node, "output_padding", more, (size_t)w.n, 0) || !within(more, w.n, 0))
		return;
	for (int i = 0; i < w.n; i++) {
		int64_t dim = il_shape_dim(x, i + 2);
		int64_t length = w.stride[i] * (dim - 1) + more[i] + extent(&w, i) - w.pad[i] - w.pad[w.n + i];
		out->dims[i + 2] = dim > 0 && length > 0 ? length : -1;
	}
}

void il_shape_pool(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	struct window w;
	if (x->rank < 3)
		return;
	il_shape_set(out, x->type, x->rank);
	out->dims[0] = il_shape_dim(x, 0);
	out->dims[1] = il_shape_dim(x, 1);
	if (read_window(node, x->rank, &w) && read_kernel(node, NULL, &w))
		for (int i = 0; i < w.n; i++)
			out->dims[i + 2] =
				places(&w, i, il_shape_dim(x, i + 2), il_node_int(node, "ceil_mode", 0) != 0);
	if (node->n_output > 1) {
		out[1] = out[0];
		out[1].type = IL_ONNX_INT64;
	}
}

void il_shape_global_pool(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	if (x->rank < 2)
		return;
	il_shape_set(out, x->type, x->rank);
	for (int i = 0; i < x->rank; i++)
		out->dims[i] = i < 2 ? il_shape_dim(x, i) : 1;
}

static int64_t scaled(int64_t dim, float scale)
{
	float length = (float)dim * scale; /* float32, as ONNX Runtime has it */
	return dim >= 0 && length >= 0 && length < 1e12f ? (int64_t)length : -1;
}

/* The dims that `count` scales or sizes are for; false where that is not known. */
static bool resized_axes(const il_node *node, int rank, size_t count, int *axes)
{
	struct il_ints given;
	bool some = il_node_attribute(node, "axes");
	if (count > IL_GRAPH_MAX_RANK || (some && !il_ints_of_attribute(node, "axes", &given)))
		return false;
	for (size_t i = 0; i < count; i++) {
		axes[i] = il_shape_axis(some && i < given.n ? given.v[i] : (int64_t)i, rank);
		if (axes[i] < 0)
			return false;
	}
	return count == (some ? given.n : (size_t)rank);
}

static void resize_to_sizes(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	struct il_ints sizes;
	int axes[IL_GRAPH_MAX_RANK];
	bool found = il_ints_of_value(graph, il_node_input(node, 3), &sizes) &&
	             resized_axes(node, out->rank, sizes.n, axes) &&
	             il_node_word_is(node, "keep_aspect_ratio_policy", "stretch", true);
	for (int i = 0; !found && i < out->rank; i++)
		out->dims[i] = -1;
	for (size_t i = 0; found && i < sizes.n; i++)
		out->dims[axes[i]] = sizes.v[i] >= 0 ? sizes.v[i] : -1;
}

static void resize_by_scales(struct il_graph *graph, const il_node *node, const char *value, struct il_shape *out)
{
	size_t n = 0;
	int axes[IL_GRAPH_MAX_RANK];
	const float *scales = value ? il_graph_floats(graph, value, &n) : NULL;
	bool found = scales && resized_axes(node, out->rank, n, axes) &&
	             !il_node_word_is(node, "coordinate_transformation_mode", "tf_crop_and_resize", false);
	for (int i = 0; !found && i < out->rank; i++)
		out->dims[i] = -1;
	for (size_t i = 0; found && i < n; i++)
		out->dims[axes[i]] = scaled(out->dims[axes[i]], scales[i]);
}

/* Resize, and Upsample, which became Resize of opset 10. */
void il_shape_resize(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	if (x->rank < 0)
		return;
	il_shape_set(out, x->type, x->rank);
	for (int i = 0; i < x->rank; i++)
		out->dims[i] = il_shape_dim(x, i);
	if (il_node_input(node, 3))
		resize_to_sizes(graph, node, out);
	else
		resize_by_scales(graph, node, il_node_input(node, il_graph_opset(graph) < 11 ? 1 : 2), out);
}

void il_shape_depth_to_space(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	int64_t block = il_node_int(node, "blocksize", 0);
	if (x->rank != 4 || block < 1 || block > MAX_STEP)
		return;
	il_shape_set(out, x->type, 4);
	int64_t channels = il_shape_dim(x, 1);
	out->dims[0] = il_shape_dim(x, 0);
	out->dims[1] = channels >= 0 && channels % (block * block) == 0 ? channels / (block * block) : -1;
	out->dims[2] = il_dim_times(il_shape_dim(x, 2), block);
	out->dims[3] = il_dim_times(il_shape_dim(x, 3), block);
}

void il_shape_space_to_depth(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	int64_t block = il_node_int(node, "blocksize", 0);
	if (x->rank != 4 || block < 1 || block > MAX_STEP)
		return;
	il_shape_set(out, x->type, 4);
	out->dims[0] = il_shape_dim(x, 0);
	out->dims[1] = il_dim_times(il_shape_dim(x, 1), block * block);
	for (int i = 2; i < 4; i++) {
		int64_t dim = il_shape_dim(x, i);
		out->dims[i] = dim >= 0 && dim % block == 0 ? dim / block : -1;
	}
}
