/* What pass_shapes.c knows of operators: a rule an operator, from the shapes and constants it reads to the shapes it
 * gives. The rules follow the ONNX operator specification (github.com/onnx/onnx, docs/Operators.md). */
#ifndef IL_INFER_SHAPES_H
#define IL_INFER_SHAPES_H

#include "infer/graph.h"

#define IL_SHAPE_MAX_OUTPUTS 32 /* outputs behind these stay unknown */
#define IL_INTS_MAX 32
#define IL_INT_UNKNOWN INT64_MIN

/* Element types beyond enum il_onnx_type that rules name. */
enum { IL_ONNX_INT8 = 3 };

/* A short list of whole numbers, each known or IL_INT_UNKNOWN. */
struct il_ints {
	size_t n;
	int64_t v[IL_INTS_MAX];
};

/* What is known of an int64 vector or scalar: constants, shapes, and what is gathered, cut and put together from
 * them. False where not even their number is known. */
bool il_ints_of_value(struct il_graph *graph, const char *value, struct il_ints *ints);
/* An ints attribute; false where it is not there or too long. */
bool il_ints_of_attribute(const il_node *node, const char *name, struct il_ints *ints);
/* A list that an operator takes as attribute `name` before opset `since`, as input i from then on. *given: it is
 * there. False where it is there, and how long it is, is not known. */
bool il_ints_of_node(struct il_graph *graph, const il_node *node, const char *name, size_t i, int64_t since,
                     bool *given, struct il_ints *ints);
bool il_ints_all_known(const struct il_ints *ints);

/* starts, ends, axes and steps of a Slice, the last two filled in; false where it is not known which axes it cuts. */
bool il_slice_of_node(struct il_graph *graph, const il_node *node, struct il_ints cuts[4]);
/* Elements that a slice of a dim takes; -1 where that is not known. */
int64_t il_slice_length(int64_t dim, int64_t start, int64_t end, int64_t step);

/* Input i's shape; unknown where it is left out. */
const struct il_shape *il_node_shape(struct il_graph *graph, const il_node *node, size_t i);
/* Dim i; -1 where it is unknown or above 2^40, so that rules may compute with what they get. */
int64_t il_shape_dim(const struct il_shape *shape, int i);
/* An axis of `rank` dims that may count from the end; -1 where it is none. */
int il_shape_axis(int64_t axis, int rank);
/* Sets type and rank, dims unknown; a rank that is too high makes it all unknown. */
void il_shape_set(struct il_shape *shape, int type, int rank);
/* Products and sums of dims, -1 where one is unknown or the result too large. */
int64_t il_dim_times(int64_t a, int64_t b);
int64_t il_dim_plus(int64_t a, int64_t b);

/* `out` holds min(node->n_output, IL_SHAPE_MAX_OUTPUTS) unknown shapes, at least one. */
typedef void il_shape_rule(struct il_graph *graph, const il_node *node, struct il_shape *out);

/* Windows that slide, and pictures that grow or shrink (shape_windows.c). */
il_shape_rule il_shape_conv, il_shape_conv_integer, il_shape_qlinear_conv, il_shape_conv_transpose, il_shape_pool,
	il_shape_global_pool, il_shape_resize, il_shape_depth_to_space, il_shape_space_to_depth;

/* Elements that move (shape_moves.c). */
il_shape_rule il_shape_reshape, il_shape_flatten, il_shape_squeeze, il_shape_unsqueeze, il_shape_transpose,
	il_shape_concat, il_shape_slice, il_shape_split, il_shape_gather, il_shape_gather_elements, il_shape_pad,
	il_shape_expand, il_shape_tile;

#endif
