/* Shape inference: rules for the operators that compute, the table of all rules, and the pass. */
#include <string.h>

#include "infer/passes.h"
#include "infer/shapes.h"

#define MAX_DIM ((int64_t)1 << 40)
#define MAX_SWEEPS 64 /* files are in order, so one is enough; what passes added lies behind */

/* ---- for rules ---- */

const struct il_shape *il_node_shape(struct il_graph *graph, const il_node *node, size_t i)
{
	static const struct il_shape unknown = { .rank = -1 };
	const char *value = il_node_input(node, i);
	return value ? il_graph_shape(graph, value) : &unknown;
}

int64_t il_shape_dim(const struct il_shape *shape, int i)
{
	int64_t dim = i >= 0 && i < shape->rank ? shape->dims[i] : -1;
	return dim > MAX_DIM ? -1 : dim;
}

int il_shape_axis(int64_t axis, int rank)
{
	if (axis >= -rank && axis < 0)
		axis += rank;
	return axis >= 0 && axis < rank ? (int)axis : -1;
}

void il_shape_set(struct il_shape *shape, int type, int rank)
{
	shape->type = type;
	shape->rank = rank >= 0 && rank <= IL_GRAPH_MAX_RANK ? rank : -1;
	for (int i = 0; i < shape->rank; i++)
		shape->dims[i] = -1;
}

int64_t il_dim_times(int64_t a, int64_t b)
{
	int64_t product;
	if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product) || product > MAX_DIM)
		return -1;
	return product;
}

int64_t il_dim_plus(int64_t a, int64_t b)
{
	return a < 0 || b < 0 || a > MAX_DIM - b ? -1 : a + b;
}

/* ---- element by element ---- */

static void same(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	*out = *il_node_shape(graph, node, 0);
}

static void same_of_bool(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	same(graph, node, out);
	out->type = IL_ONNX_BOOL;
}

static int64_t broadcast_dim(int64_t a, int64_t b)
{
	if (a == 1 || b == 1)
		return a == 1 ? b : a;
	if (a < 0 || b < 0)
		return a < 0 ? b : a; /* an unknown dim beside n > 1 is n or 1 */
	return a == b ? a : -1;
}

static void broadcast_two(const struct il_shape *a, const struct il_shape *b, struct il_shape *out)
{
	struct il_shape all = { .rank = -1 };
	if (a->rank >= 0 && b->rank >= 0)
		il_shape_set(&all, a->type, a->rank > b->rank ? a->rank : b->rank);
	for (int i = 0; i < all.rank; i++) {
		int in_a = i - (all.rank - a->rank), in_b = i - (all.rank - b->rank);
		all.dims[i] = broadcast_dim(in_a < 0 ? 1 : il_shape_dim(a, in_a), in_b < 0 ? 1 : il_shape_dim(b, in_b));
	}
	all.type = a->type ? a->type : b->type;
	*out = all;
}

static void broadcast(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	same(graph, node, out);
	/* Up to opset 6 the second operand alone was stretched. */
	for (size_t i = 1; i < node->n_input && il_graph_opset(graph) >= 7; i++)
		broadcast_two(out, il_node_shape(graph, node, i), out);
}

static void compare(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	broadcast(graph, node, out);
	out->type = IL_ONNX_BOOL;
}

static void where(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	broadcast(graph, node, out);
	out->type = il_node_shape(graph, node, 1)->type;
}

static void cast(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	int64_t to = il_node_int(node, "to", 0);
	same(graph, node, out);
	out->type = to > 0 && to < 32 ? (int)to : IL_ONNX_UNKNOWN;
}

static void cast_like(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	same(graph, node, out);
	out->type = il_node_shape(graph, node, 1)->type;
}

static void dropout(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	same(graph, node, out);
	if (node->n_output > 1) {
		out[1] = out[0];
		out[1].type = il_graph_opset(graph) >= 10 ? IL_ONNX_BOOL : out[0].type;
	}
}

/* ---- quantised ---- */

static void quantize(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	same(graph, node, out);
	out->type = il_node_input(node, 2) ? il_node_shape(graph, node, 2)->type : IL_ONNX_UINT8;
}

static void dequantize(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	same(graph, node, out);
	out->type = il_node_shape(graph, node, 1)->type;
}

static void dynamic_quantize(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	same(graph, node, out);
	out[0].type = IL_ONNX_UINT8;
	for (size_t i = 1; i < node->n_output && i < 3; i++)
		il_shape_set(&out[i], i == 1 ? IL_ONNX_FLOAT : IL_ONNX_UINT8, 0);
}

/* ---- matrices ---- */

static void multiply(const struct il_shape *a, const struct il_shape *b, int type, struct il_shape *out)
{
	struct il_shape left = *a, right = *b;
	if (a->rank < 1 || b->rank < 1)
		return;
	/* A vector is a row on the left, a column on the right, and is gone from the result. */
	left.rank = a->rank > 2 ? a->rank - 2 : 0;
	right.rank = b->rank > 2 ? b->rank - 2 : 0;
	broadcast_two(&left, &right, out);
	int rank = out->rank + (a->rank > 1) + (b->rank > 1), next = out->rank;
	out->type = type;
	if (rank > IL_GRAPH_MAX_RANK) {
		out->rank = -1;
		return;
	}
	if (a->rank > 1)
		out->dims[next++] = il_shape_dim(a, a->rank - 2);
	if (b->rank > 1)
		out->dims[next++] = il_shape_dim(b, b->rank - 1);
	out->rank = rank;
}

static void matmul(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *a = il_node_shape(graph, node, 0);
	multiply(a, il_node_shape(graph, node, 1), a->type, out);
}

static void matmul_integer(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	multiply(il_node_shape(graph, node, 0), il_node_shape(graph, node, 1), IL_ONNX_INT32, out);
}

static void qlinear_matmul(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	multiply(il_node_shape(graph, node, 0), il_node_shape(graph, node, 3), il_node_shape(graph, node, 7)->type,
	         out);
}

static void gemm(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *a = il_node_shape(graph, node, 0), *b = il_node_shape(graph, node, 1);
	il_shape_set(out, a->type, 2);
	out->dims[0] = a->rank == 2 ? il_shape_dim(a, il_node_int(node, "transA", 0) != 0) : -1;
	out->dims[1] = b->rank == 2 ? il_shape_dim(b, il_node_int(node, "transB", 0) == 0) : -1;
}

/* ---- along axes ---- */

static void reduce_axes(struct il_graph *graph, const il_node *node, bool known, bool given, const struct il_ints *axes,
                        struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	bool keep = il_node_int(node, "keepdims", 1) != 0, gone[IL_GRAPH_MAX_RANK] = { 0 };
	if (x->rank < 0)
		return;
	if (!given || (known && !axes->n)) {
		bool none = il_node_int(node, "noop_with_empty_axes", 0) != 0;
		for (int i = 0; i < x->rank; i++)
			gone[i] = !none;
	}
	for (size_t i = 0; known && i < axes->n; i++) {
		int axis = il_shape_axis(axes->v[i], x->rank);
		known = axis >= 0;
		if (known)
			gone[axis] = true;
	}
	if (!known) {
		il_shape_set(out, x->type, keep ? x->rank : -1);
		return;
	}
	int rank = 0;
	il_shape_set(out, x->type, x->rank);
	for (int i = 0; i < x->rank; i++)
		if (keep || !gone[i])
			out->dims[rank++] = gone[i] ? 1 : il_shape_dim(x, i);
	out->rank = rank;
}

static void reduce_since(struct il_graph *graph, const il_node *node, int64_t since, struct il_shape *out)
{
	struct il_ints axes;
	bool given, known = il_ints_of_node(graph, node, "axes", 1, since, &given, &axes);
	reduce_axes(graph, node, known, given, &axes, out);
}

static void reduce(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	reduce_since(graph, node, 18, out);
}

static void reduce_sum(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	reduce_since(graph, node, 13, out);
}

static void arg_most(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	struct il_ints axis = { .n = 1, .v = { il_node_int(node, "axis", 0) } };
	reduce_axes(graph, node, true, true, &axis, out);
	out->type = IL_ONNX_INT64;
}

static void top_k(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	int axis = x->rank < 0 ? -1 : il_shape_axis(il_node_int(node, "axis", -1), x->rank);
	struct il_ints k;
	if (axis < 0)
		return;
	*out = *x;
	bool known = il_graph_opset(graph) >= 10 && il_ints_of_value(graph, il_node_input(node, 1), &k) && k.n == 1;
	out->dims[axis] = known && k.v[0] >= 0 ? k.v[0] : -1;
	if (node->n_output > 1) {
		out[1] = out[0];
		out[1].type = IL_ONNX_INT64;
	}
}

/* ---- made from numbers ---- */

static void shape_of(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	struct il_ints dims;
	il_shape_set(out, IL_ONNX_INT64, 1);
	if (il_ints_of_value(graph, node->output[0], &dims))
		out->dims[0] = (int64_t)dims.n;
}

static void size_of(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	(void)graph, (void)node;
	il_shape_set(out, IL_ONNX_INT64, 0);
}

static void constant_of_shape(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const Onnx__AttributeProto *value = il_node_attribute(node, "value");
	struct il_ints dims;
	out->type = value && value->t ? value->t->data_type : IL_ONNX_FLOAT;
	if (!il_ints_of_value(graph, il_node_input(node, 0), &dims))
		return;
	il_shape_set(out, out->type, (int)dims.n);
	for (int i = 0; i < out->rank; i++)
		out->dims[i] = dims.v[i] >= 0 ? dims.v[i] : -1;
}

static void constant(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	(void)graph;
	const Onnx__AttributeProto *value = node->n_attribute == 1 ? node->attribute[0] : NULL;
	if (!value || !value->name)
		return;
	if (!strcmp(value->name, "value") && value->t) {
		il_shape_set(out, value->t->data_type,
		             value->t->n_dims <= IL_GRAPH_MAX_RANK ? (int)value->t->n_dims : -1);
		for (int i = 0; i < out->rank; i++)
			out->dims[i] = value->t->dims[i] >= 0 ? value->t->dims[i] : -1;
	} else if (!strcmp(value->name, "value_float") || !strcmp(value->name, "value_int")) {
		il_shape_set(out, value->name[6] == 'f' ? IL_ONNX_FLOAT : IL_ONNX_INT64, 0);
	} else if (!strcmp(value->name, "value_floats") || !strcmp(value->name, "value_ints")) {
		bool floats = value->name[6] == 'f';
		il_shape_set(out, floats ? IL_ONNX_FLOAT : IL_ONNX_INT64, 1);
		out->dims[0] = (int64_t)(floats ? value->n_floats : value->n_ints);
	}
}

static void range(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	int64_t number[3];
	il_shape_set(out, il_node_shape(graph, node, 0)->type, 1);
	for (size_t i = 0; i < 3; i++) {
		struct il_ints list;
		if (!il_ints_of_value(graph, il_node_input(node, i), &list) || list.n != 1 || list.v[0] > MAX_DIM ||
		    list.v[0] < -MAX_DIM)
			return;
		number[i] = list.v[0];
	}
	int64_t span = number[1] - number[0], step = number[2];
	if (step)
		out->dims[0] = (span > 0) != (step > 0) || !span ? 0 : (span - (step > 0 ? 1 : -1)) / step + 1;
}

static void non_zero(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	il_shape_set(out, IL_ONNX_INT64, 2);
	out->dims[0] = x->rank > 0 ? x->rank : -1;
}

/* ---- recurrent ---- */

/* LSTM, GRU and RNN: all steps, then the last ones of the state. */
static void recurrent(struct il_graph *graph, const il_node *node, struct il_shape *out)
{
	const struct il_shape *x = il_node_shape(graph, node, 0);
	bool batch_first = il_node_int(node, "layout", 0) != 0;
	int64_t directions = il_node_word_is(node, "direction", "bidirectional", false) ? 2 : 1;
	int64_t hidden = il_node_int(node, "hidden_size", -1);
	if (x->rank != 3)
		return;
	int64_t batch = il_shape_dim(x, batch_first ? 0 : 1), steps = il_shape_dim(x, batch_first ? 1 : 0);
	for (size_t i = 0; i < node->n_output && i < 3; i++) {
		int64_t all[] = { steps, directions, batch, hidden },
			all_batched[] = { batch, steps, directions, hidden };
		int64_t last[] = { directions, batch, hidden }, last_batched[] = { batch, directions, hidden };
		il_shape_set(&out[i], x->type, i ? 3 : 4);
		if (i)
			memcpy(out[i].dims, batch_first ? last_batched : last, sizeof last);
		else
			memcpy(out[i].dims, batch_first ? all_batched : all, sizeof all);
	}
}

/* ---- the table ---- */

static const struct {
	const char *op_type;
	il_shape_rule *rule;
} rules[] = {
	{ "Abs", same },
	{ "Add", broadcast },
	{ "And", compare },
	{ "ArgMax", arg_most },
	{ "ArgMin", arg_most },
	{ "AveragePool", il_shape_pool },
	{ "BatchNormalization", same },
	{ "Cast", cast },
	{ "CastLike", cast_like },
	{ "Ceil", same },
	{ "Celu", same },
	{ "Clip", same },
	{ "Concat", il_shape_concat },
	{ "Constant", constant },
	{ "ConstantOfShape", constant_of_shape },
	{ "Conv", il_shape_conv },
	{ "ConvInteger", il_shape_conv_integer },
	{ "ConvTranspose", il_shape_conv_transpose },
	{ "Cos", same },
	{ "CumSum", same },
	{ "DepthToSpace", il_shape_depth_to_space },
	{ "DequantizeLinear", dequantize },
	{ "Div", broadcast },
	{ "Dropout", dropout },
	{ "DynamicQuantizeLinear", dynamic_quantize },
	{ "Elu", same },
	{ "Equal", compare },
	{ "Erf", same },
	{ "Exp", same },
	{ "Expand", il_shape_expand },
	{ "Flatten", il_shape_flatten },
	{ "Floor", same },
	{ "GRU", recurrent },
	{ "Gather", il_shape_gather },
	{ "GatherElements", il_shape_gather_elements },
	{ "Gelu", same },
	{ "Gemm", gemm },
	{ "GlobalAveragePool", il_shape_global_pool },
	{ "GlobalMaxPool", il_shape_global_pool },
	{ "Greater", compare },
	{ "GreaterOrEqual", compare },
	{ "HardSigmoid", same },
	{ "HardSwish", same },
	{ "Identity", same },
	{ "InstanceNormalization", same },
	{ "IsInf", same_of_bool },
	{ "IsNaN", same_of_bool },
	{ "LRN", same },
	{ "LSTM", recurrent },
	{ "LayerNormalization", same },
	{ "LeakyRelu", same },
	{ "Less", compare },
	{ "LessOrEqual", compare },
	{ "Log", same },
	{ "LogSoftmax", same },
	{ "LpNormalization", same },
	{ "MatMul", matmul },
	{ "MatMulInteger", matmul_integer },
	{ "Max", broadcast },
	{ "MaxPool", il_shape_pool },
	{ "Mean", broadcast },
	{ "Min", broadcast },
	{ "Mish", same },
	{ "Mod", broadcast },
	{ "Mul", broadcast },
	{ "Neg", same },
	{ "NonZero", non_zero },
	{ "Not", same },
	{ "Or", compare },
	{ "PRelu", same },
	{ "Pad", il_shape_pad },
	{ "Pow", broadcast },
	{ "QLinearConv", il_shape_qlinear_conv },
	{ "QLinearMatMul", qlinear_matmul },
	{ "QuantizeLinear", quantize },
	{ "RNN", recurrent },
	{ "Range", range },
	{ "Reciprocal", same },
	{ "ReduceL1", reduce },
	{ "ReduceL2", reduce },
	{ "ReduceLogSumExp", reduce },
	{ "ReduceMax", reduce },
	{ "ReduceMean", reduce },
	{ "ReduceMin", reduce },
	{ "ReduceProd", reduce },
	{ "ReduceSum", reduce_sum },
	{ "ReduceSumSquare", reduce },
	{ "Relu", same },
	{ "Reshape", il_shape_reshape },
	{ "Resize", il_shape_resize },
	{ "Round", same },
	{ "ScatterElements", same },
	{ "ScatterND", same },
	{ "Selu", same },
	{ "Shape", shape_of },
	{ "Sigmoid", same },
	{ "Sign", same },
	{ "Sin", same },
	{ "Size", size_of },
	{ "Slice", il_shape_slice },
	{ "Softmax", same },
	{ "Softplus", same },
	{ "Softsign", same },
	{ "SpaceToDepth", il_shape_space_to_depth },
	{ "Split", il_shape_split },
	{ "Sqrt", same },
	{ "Squeeze", il_shape_squeeze },
	{ "Sub", broadcast },
	{ "Sum", broadcast },
	{ "Tan", same },
	{ "Tanh", same },
	{ "ThresholdedRelu", same },
	{ "Tile", il_shape_tile },
	{ "TopK", top_k },
	{ "Transpose", il_shape_transpose },
	{ "Trilu", same },
	{ "Unsqueeze", il_shape_unsqueeze },
	{ "Upsample", il_shape_resize },
	{ "Where", where },
	{ "Xor", compare },
};

/* ONNX Runtime's own operators, which its exported models hold. */
static const struct {
	const char *op_type;
	il_shape_rule *rule;
} runtime_rules[] = {
	{ "FusedConv", il_shape_conv },
	{ "Gelu", same },
	{ "QuickGelu", same },
};

static il_shape_rule *find_rule(const il_node *node)
{
	if (!node->op_type)
		return NULL;
	if (node->domain && !strcmp(node->domain, "com.microsoft")) {
		for (size_t i = 0; i < sizeof runtime_rules / sizeof *runtime_rules; i++)
			if (!strcmp(node->op_type, runtime_rules[i].op_type))
				return runtime_rules[i].rule;
		return NULL;
	}
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (il_node_is(node, rules[i].op_type))
			return rules[i].rule;
	return NULL;
}

/* ---- the pass ---- */

static bool equal(const struct il_shape *a, const struct il_shape *b)
{
	return a->type == b->type && a->rank == b->rank &&
	       (a->rank <= 0 || !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims));
}

/* What was found counts more than what was declared, which fills in the rest. */
static bool learn(struct il_graph *graph, const char *value, struct il_shape found)
{
	const struct il_shape *known = il_graph_shape(graph, value);
	struct il_shape all = found.rank < 0 ? *known : found;
	all.type = found.type ? found.type : known->type;
	for (int i = 0; i < all.rank && known->rank == all.rank; i++)
		if (all.dims[i] < 0)
			all.dims[i] = known->dims[i];
	if (equal(&all, known))
		return false;
	il_graph_set_shape(graph, value, &all);
	return true;
}

static unsigned visit(struct il_graph *graph, const il_node *node)
{
	struct il_shape out[IL_SHAPE_MAX_OUTPUTS];
	size_t n = node->n_output < IL_SHAPE_MAX_OUTPUTS ? node->n_output : IL_SHAPE_MAX_OUTPUTS;
	il_shape_rule *rule = find_rule(node);
	unsigned learned = 0;
	if (!rule || !n)
		return 0;
	for (size_t i = 0; i < n; i++)
		out[i] = (struct il_shape){ .rank = -1 };
	rule(graph, node, out);
	for (size_t i = 0; i < n; i++)
		if (node->output[i] && *node->output[i])
			learned += learn(graph, node->output[i], out[i]);
	return learned;
}

enum inlay_err il_pass_shapes(struct il_graph *graph, unsigned *changes, struct inlay_error *err)
{
	unsigned learned = 1;
	for (int sweep = 0; learned && sweep < MAX_SWEEPS; sweep++) {
		learned = 0;
		for (size_t i = 0; i < il_graph_nodes(graph); i++)
			learned += visit(graph, il_graph_node(graph, i));
		if (changes)
			*changes += learned;
	}
	return il_graph_check(graph, err);
}
