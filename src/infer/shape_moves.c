/* Shapes of operators that move elements and compute nothing. */
#include <string.h>

#include "infer/shapes.h"

static void copy_shape(const struct il_shape *x, struct il_shape *out)
{
	il_shape_set(out, x->type, x->rank);
	for (int i = 0; i < x->rank; i++)
		out->dims[i] = il_shape_dim(x, i);
}

/* The one dim of a Reshape that is left to be computed; dims that are copied need not be known. */
static int64_t remaining(const struct il_shape *x, const struct il_ints *target, bool zero_copies)
{
	int64_t have = 1, need = 1;
	for (int i = 0; i < x->rank; i++) {
		bool copied = zero_copies && i < target->n && target->v[i] == 0;
		have = copied ? have : il_dim_times(have, il_shape_dim(x, i));
	}
	for (size_t i = 0; i < target->n; i++) {
		if (target->v[i] == -1 || (target->v[i] == 0 && zero_copies))
			continue;
		need = il_dim_times(need, target->v[i] < 0 ? -1 : target->v[i]);
	}
	return have >= 0 && need > 0 && have % need == 0 ? have / need : -1;
}

void il_shape_reshape(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	bool zero_copies = !il_node_int(node, "allowzero", 0), given;
	struct il_ints target;
	if (!il_ints_of_node(graph, node, "shape", 1, 5, &given, &target) || !given)
		return;
	il_shape_set(out, x->type, (int)target.n);
	for (int i = 0; i < out->rank; i++) {
		if (target.v[i] > 0 || (target.v[i] == 0 && !zero_copies))
			out->dims[i] = target.v[i];
		else if (target.v[i] == 0 && i < x->rank)
			out->dims[i] = il_shape_dim(x, i);
		else if (target.v[i] == -1 && x->rank >= 0)
			out->dims[i] = remaining(x, &target, zero_copies);
	}
}

void il_shape_flatten(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	int64_t axis = il_node_int(node, "axis", 1);
	il_shape_set(out, x->type, 2);
	axis += axis < 0 ? x->rank : 0;
	if (x->rank < 0 || axis < 0 || axis > x->rank)
		return;
	out->dims[0] = out->dims[1] = 1;
	for (int i = 0; i < x->rank; i++)
		out->dims[i >= axis] = il_dim_times(out->dims[i >= axis], il_shape_dim(x, i));
}

/* Marks the axes of a list; false where one is unknown, beyond `rank` or there twice. */
static bool mark_axes(const struct il_ints *axes, int rank, bool *marked)
{
	memset(marked, 0, IL_GRAPH_MAX_RANK * sizeof *marked);
	if (rank < 0 || rank > IL_GRAPH_MAX_RANK)
		return false;
	for (size_t i = 0; i < axes->n; i++) {
		int axis = il_shape_axis(axes->v[i], rank);
		if (axis < 0 || marked[axis])
			return false;
		marked[axis] = true;
	}
	return true;
}

void il_shape_squeeze(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	struct il_ints axes;
	bool given, marked[IL_GRAPH_MAX_RANK] = { 0 };
	if (!il_ints_of_node(graph, node, "axes", 1, 13, &given, &axes) || x->rank < 0)
		return;
	if (given && !mark_axes(&axes, x->rank, marked))
		return;
	int rank = 0;
	int64_t dims[IL_GRAPH_MAX_RANK];
	for (int i = 0; i < x->rank; i++) {
		int64_t dim = il_shape_dim(x, i);
		if (!given && dim < 0)
			return;
		if (given ? !marked[i] : dim != 1)
			dims[rank++] = dim;
	}
	il_shape_set(out, x->type, rank);
	memcpy(out->dims, dims, (size_t)rank * sizeof *dims);
}

void il_shape_unsqueeze(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	struct il_ints axes;
	bool given, marked[IL_GRAPH_MAX_RANK];
	if (!il_ints_of_node(graph, node, "axes", 1, 13, &given, &axes) || !given || x->rank < 0 ||
	    !mark_axes(&axes, x->rank + (int)axes.n, marked))
		return;
	il_shape_set(out, x->type, x->rank + (int)axes.n);
	for (int i = 0, from = 0; i < out->rank; i++)
		out->dims[i] = marked[i] ? 1 : il_shape_dim(x, from++);
}

void il_shape_transpose(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	struct il_ints perm;
	bool given = il_node_attribute(node, "perm"), marked[IL_GRAPH_MAX_RANK];
	if (x->rank < 0)
		return;
	if (given && (!il_ints_of_attribute(node, "perm", &perm) || (int)perm.n != x->rank ||
	              !mark_axes(&perm, x->rank, marked)))
		return;
	il_shape_set(out, x->type, x->rank);
	for (int i = 0; i < x->rank; i++)
		out->dims[i] = il_shape_dim(x, given ? il_shape_axis(perm.v[i], x->rank) : x->rank - 1 - i);
}

void il_shape_concat(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	struct il_shape all = { .rank = -1 };
	int axis = -1;
	for (size_t k = 0; k < node->n_input; k++) {
		const struct il_shape *x = il_node_shape(graph, node, k);
		if (x->rank < 1 || (k && x->rank != all.rank))
			return;
		if (!k) {
			axis = il_shape_axis(il_node_int(node, "axis", 1), x->rank);
			copy_shape(x, &all);
			continue;
		}
		for (int i = 0; i < all.rank; i++) {
			int64_t dim = il_shape_dim(x, i);
			if (i == axis)
				all.dims[i] = il_dim_plus(all.dims[i], dim);
			else if (all.dims[i] < 0)
				all.dims[i] = dim;
		}
	}
	if (axis >= 0)
		*out = all;
}

bool il_slice_of_node(struct il_graph *graph, const il_node *node, struct il_ints cuts[4])
{
	static const char *const names[] = { "starts", "ends", "axes", "steps" };
	bool given[4];
	for (size_t i = 0; i < 4; i++)
		if (!il_ints_of_node(graph, node, names[i], i + 1, 10, &given[i], &cuts[i]))
			return false;
	for (size_t i = 0; i < 4; i++) {
		if (!given[i] && i >= 2)
			cuts[i].n = cuts[0].n;
		if (cuts[i].n != cuts[0].n)
			return false;
	}
	for (size_t i = 0; i < cuts[0].n; i++) {
		cuts[2].v[i] = given[2] ? cuts[2].v[i] : (int64_t)i;
		cuts[3].v[i] = given[3] ? cuts[3].v[i] : 1;
	}
	return given[0] && given[1];
}

void il_shape_slice(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	struct il_ints cuts[4];
	bool marked[IL_GRAPH_MAX_RANK];
	if (x->rank < 0)
		return;
	il_shape_set(out, x->type, x->rank);
	if (!il_slice_of_node(graph, node, cuts) || !mark_axes(&cuts[2], x->rank, marked))
		return;
	copy_shape(x, out);
	for (size_t i = 0; i < cuts[0].n; i++) {
		int64_t *dim = &out->dims[il_shape_axis(cuts[2].v[i], x->rank)];
		*dim = il_slice_length(*dim, cuts[0].v[i], cuts[1].v[i], cuts[3].v[i]);
	}
}

void il_shape_split(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	int axis = x->rank < 0 ? -1 : il_shape_axis(il_node_int(node, "axis", 0), x->rank);
	struct il_ints sizes;
	bool given, even = il_graph_opset(graph) < 18;
	if (axis < 0)
		return;
	bool known = il_ints_of_node(graph, node, "split", 1, 13, &given, &sizes);
	int64_t dim = il_shape_dim(x, axis), parts = (int64_t)node->n_output;
	int64_t chunk = dim < 0 || (even && dim % parts) ? -1 : (dim + parts - 1) / parts;
	for (size_t i = 0; i < node->n_output && i < IL_SHAPE_MAX_OUTPUTS; i++) {
		copy_shape(x, &out[i]);
		int64_t left = dim - chunk * (int64_t)i, part = chunk < left ? chunk : left;
		if (given)
			part = known && i < sizes.n && sizes.v[i] >= 0 ? sizes.v[i] : -1;
		out[i].dims[axis] = part < 0 ? -1 : part;
	}
}

void il_shape_gather(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0), *indices = il_node_shape(graph, node, 1);
	int axis = x->rank < 0 ? -1 : il_shape_axis(il_node_int(node, "axis", 0), x->rank);
	if (axis < 0 || indices->rank < 0)
		return;
	il_shape_set(out, x->type, x->rank + indices->rank - 1);
	for (int i = 0; i < out->rank; i++) {
		if (i < axis)
			out->dims[i] = il_shape_dim(x, i);
		else if (i < axis + indices->rank)
			out->dims[i] = il_shape_dim(indices, i - axis);
		else
			out->dims[i] = il_shape_dim(x, i - indices->rank + 1);
	}
}

void il_shape_gather_elements(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	copy_shape(il_node_shape(graph, node, 1), out);
	out->type = il_node_shape(graph, node, 0)->type;
}

void il_shape_pad(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	struct il_ints pads, axes;
	bool given, some, marked[IL_GRAPH_MAX_RANK];
	if (x->rank < 0)
		return;
	il_shape_set(out, x->type, x->rank);
	bool known = il_ints_of_node(graph, node, "pads", 1, 11, &given, &pads) && given &&
	             il_ints_of_node(graph, node, "axes", 3, 18, &some, &axes);
	if (!known || (some && !mark_axes(&axes, x->rank, marked)) || pads.n != 2 * (some ? axes.n : (size_t)x->rank))
		return;
	copy_shape(x, out);
	for (size_t i = 0; i < pads.n / 2; i++) {
		int64_t *dim = &out->dims[some ? il_shape_axis(axes.v[i], x->rank) : (int)i];
		int64_t before = pads.v[i], after = pads.v[i + pads.n / 2];
		bool sane = before > -(1 << 30) && before < 1 << 30 && after > -(1 << 30) && after < 1 << 30;
		int64_t length = sane ? *dim + before + after : -1;
		*dim = *dim >= 0 && length >= 0 ? length : -1;
	}
}

void il_shape_expand(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	struct il_ints target;
	if (x->rank < 0 || !il_ints_of_value(graph, il_node_input(node, 1), &target))
		return;
	il_shape_set(out, x->type, x->rank > (int)target.n ? x->rank : (int)target.n);
	for (int i = 0; i < out->rank; i++) {
		int own = i - (out->rank - x->rank), wanted = i - (out->rank - (int)target.n);
		int64_t dim = own < 0 ? 1 : il_shape_dim(x, own);
		int64_t to = wanted < 0 ? 1 : target.v[wanted];
		out->dims[i] = to == 1 || dim > 1 ? dim : to > 1 || (to == 0 && dim == 1) ? to : -1;
	}
}

void il_shape_tile(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	struct il_ints repeats;
	if (x->rank < 0)
		return;
	il_shape_set(out, x->type, x->rank);
	if (il_graph_opset(graph) < 6 || !il_ints_of_value(graph, il_node_input(node, 1), &repeats) ||
	    (int)repeats.n != x->rank)
		return;
	for (int i = 0; i < x->rank; i++)
		out->dims[i] = il_dim_times(il_shape_dim(x, i), repeats.v[i]);
}
