/* Lists of numbers that say shapes: what exporters write as Shape, Gather, Slice, Unsqueeze, Concat. Only how they are
 * moved about is followed; arithmetic on them is folded by ONNX Runtime (pass_fold.c). */
#include <string.h>

#include "infer/shapes.h"

/* Looked at for one list; exporters need a dozen. */
#define MAX_VISITS 100

struct search {
	struct il_graph *graph;
	unsigned visits;
};

static bool follow(struct search *s, const char *value, struct il_ints *ints);

bool il_ints_all_known(const struct il_ints *ints)
{
	for (size_t i = 0; i < ints->n; i++)
		if (ints->v[i] == IL_INT_UNKNOWN)
			return false;
	return true;
}

bool il_ints_of_attribute(const il_node *node, const char *name, struct il_ints *ints)
{
	const Onnx__AttributeProto *attribute = il_node_attribute(node, name);
	if (!attribute || attribute->n_ints > IL_INTS_MAX)
		return false;
	ints->n = attribute->n_ints;
	for (size_t i = 0; i < ints->n; i++)
		ints->v[i] = attribute->ints[i];
	return true;
}

int64_t il_slice_length(int64_t dim, int64_t start, int64_t end, int64_t step)
{
	if (dim < 0 || start == IL_INT_UNKNOWN || end == IL_INT_UNKNOWN || !step || step == IL_INT_UNKNOWN)
		return -1;
	if (dim == 0)
		return 0;
	start += start < 0 ? dim : 0;
	end += end < 0 ? dim : 0;
	int64_t low = step < 0 ? -1 : 0, high = step < 0 ? dim - 1 : dim;
	start = start < 0 ? 0 : start > high ? high : start;
	end = end < low ? low : end > high ? high : end;
	int64_t span = step < 0 ? start - end : end - start;
	if (span <= 0)
		return 0;
	/* Steps beyond the dim all take one element; -INT64_MIN is no number. */
	int64_t stride = step < -dim || step > dim ? dim : step < 0 ? -step : step;
	return (span - 1) / stride + 1;
}

static bool of_shape(struct search *s, const il_node *node, struct il_ints *ints)
{
	const struct il_shape *shape = il_node_shape(s->graph, node, 0);
	if (shape->rank < 0)
		return false;
	int64_t start = il_node_int(node, "start", 0), end = il_node_int(node, "end", INT64_MAX), rank = shape->rank;
	start += start < 0 ? rank : 0;
	end += end < 0 ? rank : 0;
	ints->n = 0;
	for (int64_t i = start > 0 ? start : 0; i < end && i < rank; i++) {
		int64_t dim = il_shape_dim(shape, (int)i);
		ints->v[ints->n++] = dim < 0 ? IL_INT_UNKNOWN : dim;
	}
	return true;
}

static bool of_gather(struct search *s, const il_node *node, struct il_ints *ints)
{
	struct il_ints data, indices;
	if (!follow(s, il_node_input(node, 0), &data) || !follow(s, il_node_input(node, 1), &indices))
		return false;
	ints->n = indices.n;
	for (size_t i = 0; i < indices.n; i++) {
		int64_t at = indices.v[i];
		at += at < 0 && at != IL_INT_UNKNOWN ? (int64_t)data.n : 0;
		ints->v[i] = at >= 0 && at < (int64_t)data.n ? data.v[at] : IL_INT_UNKNOWN;
	}
	return true;
}

/* One number of the list at input i of a Slice of one axis. */
static bool slice_number(struct search *s, const il_node *node, size_t i, const char *name, int64_t otherwise,
                         int64_t *number)
{
	struct il_ints list;
	*number = otherwise;
	if (il_graph_opset(s->graph) < 10) {
		if (!il_node_attribute(node, name))
			return otherwise != IL_INT_UNKNOWN;
		if (!il_ints_of_attribute(node, name, &list))
			return false;
	} else {
		if (!il_node_input(node, i))
			return otherwise != IL_INT_UNKNOWN;
		if (!follow(s, il_node_input(node, i), &list))
			return false;
	}
	*number = list.n == 1 ? list.v[0] : IL_INT_UNKNOWN;
	return *number != IL_INT_UNKNOWN;
}

static bool of_slice(struct search *s, const il_node *node, struct il_ints *ints)
{
	struct il_ints data;
	int64_t start, end, axis, step;
	if (!follow(s, il_node_input(node, 0), &data) || !slice_number(s, node, 1, "starts", IL_INT_UNKNOWN, &start) ||
	    !slice_number(s, node, 2, "ends", IL_INT_UNKNOWN, &end) || !slice_number(s, node, 3, "axes", 0, &axis) ||
	    !slice_number(s, node, 4, "steps", 1, &step) || (axis != 0 && axis != -1) || step != 1)
		return false;
	int64_t length = il_slice_length((int64_t)data.n, start, end, 1);
	start += start < 0 ? (int64_t)data.n : 0;
	ints->n = (size_t)length;
	for (size_t i = 0; i < ints->n; i++)
		ints->v[i] = data.v[(start > 0 ? (size_t)start : 0) + i];
	return true;
}

static bool of_concat(struct search *s, const il_node *node, struct il_ints *ints)
{
	ints->n = 0;
	for (size_t i = 0; i < node->n_input; i++) {
		struct il_ints part;
		if (!follow(s, il_node_input(node, i), &part) || part.n > IL_INTS_MAX - ints->n)
			return false;
		memcpy(ints->v + ints->n, part.v, part.n * sizeof *part.v);
		ints->n += part.n;
	}
	return node->n_input > 0;
}

static bool of_constant(struct search *s, const char *value, struct il_ints *ints)
{
	size_t n;
	const int64_t *data = il_graph_ints(s->graph, value, &n);
	if (!data || n > IL_INTS_MAX || il_graph_shape(s->graph, value)->rank > 1)
		return false;
	ints->n = n;
	memcpy(ints->v, data, n * sizeof *data);
	return true;
}

static bool is_one_list(struct search *s, const char *value)
{
	const struct il_shape *shape = il_graph_shape(s->graph, value);
	return shape->rank == 0 || shape->rank == 1;
}

/* Scalars and vectors are one to it: what it follows keeps the order of the elements. */
static bool follow(struct search *s, const char *value, struct il_ints *ints)
{
	if (!value || ++s->visits > MAX_VISITS)
		return false;
	if (il_graph_constant(s->graph, value))
		return of_constant(s, value, ints);
	const il_node *node = il_graph_producer(s->graph, value);
	if (!node)
		return false;
	if (il_node_is(node, "Shape"))
		return of_shape(s, node, ints);
	if (il_node_is(node, "Gather"))
		return il_node_int(node, "axis", 0) == 0 && of_gather(s, node, ints);
	if (il_node_is(node, "Slice"))
		return of_slice(s, node, ints);
	if (il_node_is(node, "Concat"))
		return of_concat(s, node, ints);
	if (il_node_is(node, "Unsqueeze") || il_node_is(node, "Squeeze"))
		return is_one_list(s, value) && follow(s, il_node_input(node, 0), ints);
	if (il_node_is(node, "Identity"))
		return follow(s, il_node_input(node, 0), ints);
	if (il_node_is(node, "Cast")) /* int32 of a dim is the dim where it fits; only int64 is followed */
		return il_node_int(node, "to", 0) == IL_ONNX_INT64 && follow(s, il_node_input(node, 0), ints);
	return false;
}

bool il_ints_of_value(struct il_graph *graph, const char *value, struct il_ints *ints)
{
	struct search s = { .graph = graph };
	if (follow(&s, value, ints))
		return true;
	const struct il_shape *shape = value ? il_graph_shape(graph, value) : NULL;
	if (!shape || shape->rank != 1 || shape->dims[0] < 0 || shape->dims[0] > IL_INTS_MAX)
		return false;
	ints->n = (size_t)shape->dims[0];
	for (size_t i = 0; i < ints->n; i++)
		ints->v[i] = IL_INT_UNKNOWN;
	return true;
}

bool il_ints_of_node(struct il_graph *graph, const il_node *node, const char *name, size_t i, int64_t since,
                     bool *given, struct il_ints *ints)
{
	ints->n = 0;
	if (il_graph_opset(graph) < since) {
		*given = il_node_attribute(node, name);
		return !*given || il_ints_of_attribute(node, name, ints);
	}
	const char *value = il_node_input(node, i);
	*given = value;
	return !value || il_ints_of_value(graph, value, ints);
}
