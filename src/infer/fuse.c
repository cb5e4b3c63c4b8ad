#include "infer/fuse.h"

#include <stdlib.h>
#include <string.h>

#include "infer/pass_parts.h"
#include "infer/passes.h"
#include "kernel/block.h"

#define MAX_TERMS 4
#define MAX_SIDE 65536   /* and channels, as the kernels take */
#define MOST_IDENTITY 32 /* channels */

/* ---- looking ---- */

/* What is summed up before the first relu of a block. */
struct term {
	const char *x;     /* what is convolved, or NULL: the value is added as it is */
	const char *added; /* the value */
	const il_node *conv, *resize;
};

/* A block as it was found; names are the graph's. */
struct match {
	struct il_graph *graph;
	struct il_weights *weights;
	struct term terms[MAX_TERMS];
	int n_terms;
	const struct term *expand, *skip, *added;
	il_node *depthwise;
	const il_node *project; /* NULL: what the second relu makes is the result */
	const char *out;
	bool residual;
	int64_t in, skipped, mid, made, stride;
};

static bool is_picture(const struct il_shape *shape)
{
	bool fits = shape->rank == 4 && shape->dims[0] == 1 && shape->type == IL_ONNX_FLOAT;
	for (int i = 1; i < 4 && fits; i++)
		fits = shape->dims[i] > 0 && shape->dims[i] <= MAX_SIDE;
	return fits && shape->dims[2] * shape->dims[3] < INT32_MAX;
}

static bool same_shape(const struct il_shape *a, const struct il_shape *b)
{
	return a->rank == b->rank && a->rank >= 0 && !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims);
}

static int64_t channels_of(struct il_graph *graph, const char *value)
{
	return il_graph_shape(graph, value)->dims[1];
}

/* Shapes and weights may say different things: files are not checked before. */
static bool is_pointwise(struct il_graph *graph, const il_node *conv)
{
	if (!conv || !il_conv_is_pointwise(graph, conv) || !il_conv_bias_fits(graph, conv))
		return false;
	const struct il_shape *x = il_graph_shape(graph, conv->input[0]), *y = il_graph_shape(graph, conv->output[0]);
	const il_constant *weights = il_graph_constant(graph, conv->input[1]);
	return is_picture(x) && is_picture(y) && x->dims[1] == weights->dims[1] && y->dims[1] == weights->dims[0] &&
	       x->dims[2] == y->dims[2] && x->dims[3] == y->dims[3];
}

/* Depthwise, 3x3, padding 1, stride 1 or 2. */
static bool is_depthwise(struct il_graph *graph, const il_node *conv, int64_t *stride)
{
	int64_t kernel[2], strides[2], pads[4], dilations[2];
	if (!il_node_has(conv, "Conv", 2) || !is_picture(il_graph_shape(graph, il_node_input(conv, 0))) ||
	    !il_conv_bias_fits(graph, conv) || !il_graph_floats(graph, il_node_input(conv, 1), NULL) ||
	    !il_node_word_is(conv, "auto_pad", "NOTSET", true))
		return false;
	const il_constant *weights = il_graph_constant(graph, conv->input[1]);
	const int64_t channels = channels_of(graph, conv->input[0]);
	if (weights->n_dims != 4 || weights->dims[0] != channels || weights->dims[1] != 1 || weights->dims[2] != 3 ||
	    weights->dims[3] != 3 || il_node_int(conv, "group", 1) != channels)
		return false;
	if (!il_node_ints(conv, "kernel_shape", kernel, 2, 3) || !il_node_ints(conv, "strides", strides, 2, 1) ||
	    !il_node_ints(conv, "pads", pads, 4, 0) || !il_node_ints(conv, "dilations", dilations, 2, 1))
		return false;
	*stride = strides[0];
	return pads[0] == 1 && pads[1] == 1 && pads[2] == 1 && pads[3] == 1 && dilations[0] == 1 && dilations[1] == 1 &&
	       strides[0] == strides[1] && (strides[0] == 1 || strides[0] == 2);
}

static bool adds(struct il_graph *graph, const il_node *node, const struct il_shape *shape)
{
	return il_node_has(node, "Add", 2) && same_shape(il_graph_shape(graph, node->input[0]), shape) &&
	       same_shape(il_graph_shape(graph, node->input[1]), shape);
}

/* Takes the sum that makes `value` apart, so far down that there are not too many parts in any case; each part is read
 * by it alone. */
static bool collect_terms(struct match *m, const char *value, const struct il_shape *shape, int depth)
{
	il_node *node = il_graph_producer(m->graph, value);
	bool alone = il_graph_uses(m->graph, value) == 1;
	if (alone && depth < MAX_TERMS && adds(m->graph, node, shape))
		return collect_terms(m, node->input[0], shape, depth + 1) &&
		       collect_terms(m, node->input[1], shape, depth + 1);
	if (m->n_terms == MAX_TERMS)
		return false;
	struct term *term = &m->terms[m->n_terms++];
	*term = (struct term){ .added = value };
	if (!alone)
		return true;
	if (is_pointwise(m->graph, node)) {
		term->conv = node;
		term->x = node->input[0];
	} else if (il_resize_commutes(m->graph, node) && il_graph_uses(m->graph, node->input[0]) == 1 &&
	           is_pointwise(m->graph, il_graph_producer(m->graph, node->input[0]))) {
		term->resize = node;
		term->conv = il_graph_producer(m->graph, node->input[0]);
		term->x = term->conv->input[0];
	}
	return true;
}

/* Scales that the node names and that give a size by rounding map pixels another way than the two sizes do, but for
 * aligned corners. Before version 11 of the operators there was no choice, and it was another one. */
static bool scales_are_sizes(struct il_graph *graph, const il_node *resize)
{
	size_t n;
	const float *scales = il_graph_floats(graph, il_node_input(resize, 2), &n);
	const struct il_shape *from = il_graph_shape(graph, resize->input[0]);
	const struct il_shape *to = il_graph_shape(graph, resize->output[0]);
	if (!scales || n != 4)
		return il_node_input(resize, 3) != NULL;
	return (double)scales[2] * (double)from->dims[2] == (double)to->dims[2] &&
	       (double)scales[3] * (double)from->dims[3] == (double)to->dims[3];
}

static bool resize_is_known(struct il_graph *graph, const il_node *resize)
{
	if (il_graph_opset(graph) < 11)
		return false;
	return il_node_word_is(resize, "coordinate_transformation_mode", "align_corners", false) ||
	       (il_node_word_is(resize, "coordinate_transformation_mode", "half_pixel", true) &&
	        scales_are_sizes(graph, resize));
}

/* Gives each term its part: one is expanded, at most one more is convolved, at most one added. */
static bool cast_terms(struct match *m)
{
	for (int i = 0; i < m->n_terms; i++) {
		const struct term *term = &m->terms[i];
		if (term->resize && (!resize_is_known(m->graph, term->resize) || (m->expand && m->expand->resize)))
			return false;
		if (!term->conv && m->added)
			return false;
		if (!term->conv) {
			m->added = term;
		} else if (term->resize || !m->expand) {
			if (m->expand && m->skip)
				return false;
			m->skip = m->expand ? m->expand : m->skip;
			m->expand = term;
		} else if (!m->skip) {
			m->skip = term;
		} else {
			return false;
		}
	}
	return m->expand != NULL;
}

/* What the project makes, with x added to it where that comes next. */
static void find_residual(struct match *m)
{
	const char *made = m->out;
	il_node *add = il_graph_sole_reader(m->graph, made);
	if (!m->project || !il_node_has(add, "Add", 2) || m->stride != 1 || m->expand->resize || m->in != m->made ||
	    m->skip || m->added)
		return;
	const char *other = add->input[!strcmp(add->input[0], made)];
	if (strcmp(other, m->expand->x) != 0)
		return;
	m->residual = true;
	m->out = add->output[0];
}

static bool find_block(struct il_graph *graph, il_node *depthwise, struct match *m)
{
	*m = (struct match){ .graph = graph, .depthwise = depthwise };
	if (!is_depthwise(graph, depthwise, &m->stride))
		return false;
	const char *mid = depthwise->input[0];
	const il_node *first = il_graph_producer(graph, mid),
		      *second = il_graph_sole_reader(graph, depthwise->output[0]);
	if (!il_node_has(first, "Relu", 1) || il_graph_uses(graph, mid) != 1 || !il_node_has(second, "Relu", 1) ||
	    !same_shape(il_graph_shape(graph, first->input[0]), il_graph_shape(graph, mid)) ||
	    !is_picture(il_graph_shape(graph, depthwise->output[0])) ||
	    !is_picture(il_graph_shape(graph, second->output[0])))
		return false;
	m->project = il_graph_sole_reader(graph, second->output[0]);
	m->mid = channels_of(graph, mid);
	if (!is_pointwise(graph, m->project)) {
		/* Several readers, or others: a matrix of ones and zeros takes it out, which pays while it is small. */
		m->project = NULL;
		if (m->mid > MOST_IDENTITY)
			return false;
	}
	m->out = m->project ? m->project->output[0] : second->output[0];
	if (!collect_terms(m, first->input[0], il_graph_shape(graph, mid), 0) || !cast_terms(m))
		return false;
	m->in = channels_of(graph, m->expand->x);
	m->skipped = m->skip ? channels_of(graph, m->skip->x) : 0;
	m->made = channels_of(graph, m->out);
	find_residual(m);
	return true;
}

/* ---- weights ---- */

void il_weights_clear(struct il_weights *weights)
{
	free(weights->data);
	*weights = (struct il_weights){ 0 };
}

#define WEIGHTS_ALIGN 16 /* floats */

/* Room for n floats; their place, or -1 when memory is out. */
static int64_t add_weights(struct il_weights *weights, size_t n)
{
	size_t at = (weights->count + WEIGHTS_ALIGN - 1) / WEIGHTS_ALIGN * WEIGHTS_ALIGN;
	if (at + n > weights->room) {
		size_t room = 2 * (at + n);
		float *data = realloc(weights->data, room * sizeof *data);
		if (!data)
			return -1;
		weights->data = data;
		weights->room = room;
	}
	memset(weights->data + weights->count, 0, (at + n - weights->count) * sizeof *weights->data);
	weights->count = at + n;
	return (int64_t)at;
}

/* Takes the constants `names` together, which are summed up (NULL: none of that name); -1 in *at where all are NULL. */
static bool detach(struct il_graph *graph, struct il_weights *weights, const char *const *names, int n, int64_t *at)
{
	*at = -1;
	for (int i = 0; i < n; i++) {
		size_t count;
		const float *from = il_graph_floats(graph, names[i], &count);
		if (!from)
			continue;
		if (*at < 0 && (*at = add_weights(weights, count)) < 0)
			return false;
		for (size_t k = 0; k < count; k++)
			weights->data[(size_t)*at + k] += from[k];
	}
	return true;
}

/* ---- putting in ---- */

static struct il_shape channels_last(const struct il_shape *shape, int64_t channels)
{
	return (struct il_shape){ .type = shape->type,
		                  .rank = 4,
		                  .dims = { shape->dims[0], shape->dims[2], shape->dims[3],
		                            il_block_stride((int)channels) } };
}

/* `value`, channels last. */
static const char *turn(struct il_graph *graph, const char *value)
{
	const char *turned = il_graph_fresh(graph, value);
	const struct il_shape shape = channels_last(il_graph_shape(graph, value), channels_of(graph, value));
	il_graph_add(graph, IL_FUSED_DOMAIN, "ChannelsLast", &value, 1, &turned, 1);
	il_graph_set_shape(graph, turned, &shape);
	return turned;
}

/* Makes `value` out of `turned`. */
static void turn_back(struct il_graph *graph, const char *turned, const char *value, int64_t channels)
{
	il_node *node = il_graph_add(graph, IL_FUSED_DOMAIN, "ChannelsFirst", &turned, 1, &value, 1);
	il_node_set_int(graph, node, "channels", channels);
}

static bool add_identity(struct il_weights *weights, int64_t channels, int64_t *at)
{
	*at = add_weights(weights, (size_t)(channels * channels));
	for (int64_t i = 0; *at >= 0 && i < channels; i++)
		weights->data[*at + i * channels + i] = 1;
	return *at >= 0;
}

static bool detach_all(const struct match *m, int64_t at[7])
{
	const il_node *expand = m->expand->conv, *skip = m->skip ? m->skip->conv : NULL, *project = m->project;
	const char *const biases[] = { il_node_input(expand, 2), skip ? il_node_input(skip, 2) : NULL };
	const char *const others[] = { expand->input[1],
		                       skip ? skip->input[1] : NULL,
		                       NULL,
		                       m->depthwise->input[1],
		                       il_node_input(m->depthwise, 2),
		                       project ? project->input[1] : NULL,
		                       project ? il_node_input(project, 2) : NULL };
	for (int i = 0; i < 7; i++) {
		if (!detach(m->graph, m->weights, i == 2 ? biases : &others[i], i == 2 ? 2 : 1, &at[i]))
			return false;
	}
	return project || add_identity(m->weights, m->mid, &at[5]);
}

static bool put_block(struct match *m)
{
	struct il_graph *graph = m->graph;
	const struct il_shape mid = *il_graph_shape(graph, m->depthwise->input[0]);
	const struct il_shape out_shape = *il_graph_shape(graph, m->out);
	const char *out = il_graph_keep(graph, m->out), *turned = il_graph_fresh(graph, out);
	const int64_t channels[] = { m->in, m->skipped, m->mid, m->made };
	int64_t at[7];
	if (!detach_all(m, at))
		return false;
	const char *inputs[] = { turn(graph, m->expand->x), m->skip ? turn(graph, m->skip->x) : NULL,
		                 m->added ? turn(graph, m->added->added) : NULL };
	il_node *block = il_graph_add(graph, IL_FUSED_DOMAIN, "Block", inputs, 3, &turned, 1);
	il_node_set_ints(graph, block, "channels", channels, 4);
	il_node_set_ints(graph, block, "weights", at, 7);
	il_node_set_int(graph, block, "stride", m->stride);
	il_node_set_int(graph, block, "residual", m->residual);
	il_node_set_ints(graph, block, "size", &mid.dims[2], 2);
	il_node_set_word(graph, block, "resize",
	                 !m->expand->resize ? "none"
	                 : il_node_word_is(m->expand->resize, "coordinate_transformation_mode", "align_corners", false)
	                         ? "align_corners"
	                         : "half_pixel");
	const struct il_shape shape = channels_last(&out_shape, m->made);
	il_graph_set_shape(graph, turned, &shape);
	il_graph_remove(graph, il_graph_producer(graph, out));
	turn_back(graph, turned, out, m->made);
	return true;
}

/* output = Sigmoid(1x1 convolution to 3 channels): becomes bytes, as pictures are. */
static bool put_head(struct il_graph *graph, struct il_weights *weights, il_node *sigmoid)
{
	if (!il_node_has(sigmoid, "Sigmoid", 1) || sigmoid->n_output != 1 ||
	    !il_graph_is_output(graph, sigmoid->output[0]) || il_graph_uses(graph, sigmoid->output[0]) != 1)
		return false;
	il_node *conv = il_graph_producer(graph, sigmoid->input[0]);
	if (!is_pointwise(graph, conv) || il_graph_uses(graph, conv->output[0]) != 1 ||
	    channels_of(graph, conv->output[0]) != 3)
		return false;
	struct il_shape shape = *il_graph_shape(graph, conv->output[0]);
	shape = (struct il_shape){ IL_ONNX_UINT8, 4, { 1, shape.dims[2], shape.dims[3], 3 } };
	const char *out = il_graph_keep(graph, sigmoid->output[0]);
	const char *const names[] = { conv->input[1], il_node_input(conv, 2) };
	const int64_t channels = channels_of(graph, conv->input[0]);
	int64_t at[2];
	if (!detach(graph, weights, &names[0], 1, &at[0]) || !detach(graph, weights, &names[1], 1, &at[1]))
		return false;
	const char *turned = turn(graph, conv->input[0]);
	il_node *head = il_graph_add(graph, IL_FUSED_DOMAIN, "Head", &turned, 1, &out, 1);
	il_node_set_ints(graph, head, "channels", &channels, 1);
	il_node_set_ints(graph, head, "weights", at, 2);
	il_graph_remove(graph, sigmoid);
	il_graph_redeclare(graph, out, &shape);
	return true;
}

/* ---- layouts that meet ---- */

static bool is_fused(const il_node *node, const char *op_type)
{
	return node && node->domain && !strcmp(node->domain, IL_FUSED_DOMAIN) && !strcmp(node->op_type, op_type);
}

/* ChannelsLast of what a ChannelsFirst made is what was there before; one of float16 that was stored for this alone is
 * stored channels last. */
static void join(struct il_graph *graph, il_node *last)
{
	const char *turned = il_graph_keep(graph, last->output[0]);
	il_node *from = il_graph_producer(graph, last->input[0]);
	if (is_fused(from, "ChannelsFirst")) {
		il_graph_replace(graph, turned, from->input[0]);
		il_graph_remove(graph, last);
		return;
	}
	if (!il_node_has(from, "Cast", 1) || !il_graph_is_input(graph, from->input[0]) ||
	    il_graph_uses(graph, from->input[0]) != 1 || il_graph_uses(graph, from->output[0]) != 1)
		return;
	const char *stored = il_graph_keep(graph, from->input[0]);
	const struct il_shape *shape = il_graph_shape(graph, stored);
	if (shape->type != IL_ONNX_FLOAT16 || shape->rank != 4)
		return;
	const struct il_shape stored_last = channels_last(shape, shape->dims[1]);
	il_graph_redeclare(graph, stored, &stored_last);
	il_graph_remove(graph, last);
	il_graph_remove(graph, from);
	il_node *reader = il_graph_sole_reader(graph, turned);
	/* The block reads halves itself, but as its first input. */
	if (is_fused(reader, "Block") && strcmp(reader->input[0], turned) != 0) {
		il_graph_replace(graph, turned, stored);
		return;
	}
	il_node *cast = il_graph_add(graph, "", "Cast", &stored, 1, &turned, 1);
	il_node_set_int(graph, cast, "to", IL_ONNX_FLOAT);
}

static void join_layouts(struct il_graph *graph)
{
	for (size_t i = il_graph_nodes(graph); i-- > 0;) {
		il_node *node = i < il_graph_nodes(graph) ? il_graph_node(graph, i) : NULL;
		if (is_fused(node, "ChannelsLast"))
			join(graph, node);
	}
}

/* Two readers of one value turn it once. */
static void share_turns(struct il_graph *graph)
{
	for (size_t i = 0; i < il_graph_nodes(graph); i++) {
		il_node *node = il_graph_node(graph, i);
		if (!is_fused(node, "ChannelsLast"))
			continue;
		for (size_t k = il_graph_nodes(graph); k-- > i + 1;) {
			il_node *other = il_graph_node(graph, k);
			if (is_fused(other, "ChannelsLast") && !strcmp(other->input[0], node->input[0])) {
				il_graph_replace(graph, other->output[0], node->output[0]);
				il_graph_remove(graph, other);
			}
		}
	}
}

static int type_of(struct il_graph *graph, const char *value)
{
	if (!value)
		return 0;
	return il_graph_shape(graph, value)->type == IL_ONNX_FLOAT16 ? IL_ONNX_FLOAT16 : IL_ONNX_FLOAT;
}

/* Which numbers each block is given besides its first input is said to it: known when layouts have met. */
static void declare_types(struct il_graph *graph)
{
	for (size_t i = 0; i < il_graph_nodes(graph); i++) {
		il_node *node = il_graph_node(graph, i);
		if (!is_fused(node, "Block"))
			continue;
		il_node_set_int(graph, node, "skip", type_of(graph, il_node_input(node, 1)));
		il_node_set_int(graph, node, "added", type_of(graph, il_node_input(node, 2)));
	}
}

enum inlay_err il_graph_fuse(struct il_graph *graph, struct il_weights *weights, struct il_fuse_stats *stats,
                             struct inlay_error *err)
{
	struct match match;
	*stats = (struct il_fuse_stats){ 0 };
	for (size_t i = 0; i < il_graph_nodes(graph); i++) {
		const il_node *node = il_graph_node(graph, i);
		if (node->domain && !strcmp(node->domain, IL_FUSED_DOMAIN))
			return il_fail(err, INLAY_ERR_INVALID,
			               "%s: has fused operators already; expected a network as it was exported",
			               il_graph_name(graph));
	}
	/* What is put in is added at the end and looked at too, which finds nothing. */
	for (size_t i = 0; i < il_graph_nodes(graph); i++) {
		if (find_block(graph, il_graph_node(graph, i), &match)) {
			match.weights = weights;
			if (!put_block(&match))
				return il_fail_memory(err);
			stats->blocks++;
			i = (size_t)-1; /* numbers have changed */
			enum inlay_err rc = il_pass_dead(graph, NULL, err);
			if (rc)
				return rc;
		}
	}
	for (size_t i = 0; i < il_graph_nodes(graph) && stats->blocks > 0; i++)
		stats->heads += put_head(graph, weights, il_graph_node(graph, i));
	if (stats->blocks > 0)
		il_graph_import(graph, IL_FUSED_DOMAIN, IL_FUSED_VERSION);
	share_turns(graph);
	join_layouts(graph);
	declare_types(graph);
	enum inlay_err rc = il_pass_dead(graph, NULL, err);
	return rc ? rc : il_graph_check(graph, err);
}

/* ---- what is made beforehand ---- */

/* Transposes, and adds the channels that fill up, before what is stored becomes float16. */
static void follow(struct il_graph *before, const char *name, const struct il_shape *to)
{
	const int64_t channels = il_graph_shape(before, name)->dims[1];
	const int64_t turn_order[] = { 0, 2, 3, 1 };
	int64_t fill[8] = { 0, 0, 0, 0, 0, 0, 0, to->dims[3] - channels };
	il_node *cast = il_graph_producer(before, name);
	const char *value = il_graph_keep(before, cast->input[0]), *turned = il_graph_fresh(before, name);
	il_node_set_ints(before, il_graph_add(before, "", "Transpose", &value, 1, &turned, 1), "perm", turn_order, 4);
	il_graph_set_input(before, cast, 0, turned);
	il_graph_redeclare(before, name, to);
	if (to->dims[3] == channels)
		return;
	const char *filled = il_graph_fresh(before, name), *pads = NULL;
	void *data;
	if (il_graph_opset(before) >= 11) {
		pads = il_graph_add_constant(before, "pads", IL_ONNX_INT64, 1, (const int64_t[]){ 8 }, &data);
		if (pads)
			memcpy(data, fill, sizeof fill);
	}
	il_node *pad = il_graph_add(before, "", "Pad", (const char *[]){ turned, pads }, 2, &filled, 1);
	if (!pads)
		il_node_set_ints(before, pad, "pads", fill, 8);
	il_graph_set_input(before, cast, 0, filled);
}

enum inlay_err il_graph_follow(struct il_graph *before, struct il_graph *graph, struct inlay_error *err)
{
	const Onnx__GraphProto *g = il_graph_model(before)->graph;
	for (size_t i = 0; i < g->n_output; i++) {
		const char *name = il_graph_keep(before, g->output[i]->name);
		const struct il_shape from = *il_graph_shape(before, name), to = *il_graph_shape(graph, name);
		if (to.rank == 4 && from.rank == 4 && !same_shape(&from, &to))
			follow(before, name, &to);
	}
	return il_graph_check(before, err);
}
