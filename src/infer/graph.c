#include "infer/graph.h"

#include <stdlib.h>
#include <string.h>

#include "infer/graph_impl.h"

static const struct il_shape unknown = { .rank = -1 };

/* ---- values ---- */

struct il_value *il_graph_find(struct il_graph *graph, const char *name)
{
	const uint32_t *place = name ? il_table_find(&graph->table, name) : NULL;
	return place ? &graph->values[*place] : NULL;
}

struct il_value *il_graph_intern(struct il_graph *graph, const char *name)
{
	struct il_value *value = il_graph_find(graph, name);
	if (value)
		return value;
	if (graph->n_values == graph->room) {
		size_t room = graph->room ? 2 * graph->room : 256;
		struct il_value *values = realloc(graph->values, room * sizeof *values);
		if (!values)
			goto fail;
		graph->values = values;
		graph->room = room;
	}
	char *own = strdup(name);
	if (!own || !il_table_put(&graph->table, own, (uint32_t)graph->n_values)) {
		free(own);
		goto fail;
	}
	value = &graph->values[graph->n_values++];
	*value = (struct il_value){ .name = own, .shape = unknown };
	return value;
fail:
	graph->no_memory = true;
	return NULL;
}

void il_graph_touch(struct il_graph *graph)
{
	graph->indexed = false;
}

static void body_reads(const Onnx__GraphProto *body, il_read_fn *fn, void *ctx);

static void bodies_read(const il_node *node, il_read_fn *fn, void *ctx)
{
	for (size_t i = 0; i < node->n_attribute; i++) {
		const Onnx__AttributeProto *attribute = node->attribute[i];
		if (attribute->g)
			body_reads(attribute->g, fn, ctx);
		for (size_t k = 0; k < attribute->n_graphs; k++)
			body_reads(attribute->graphs[k], fn, ctx);
	}
}

/* A body's own values have names that the main graph lacks, so they need no telling apart. */
static void body_reads(const Onnx__GraphProto *body, il_read_fn *fn, void *ctx)
{
	for (size_t i = 0; i < body->n_node; i++) {
		for (size_t k = 0; k < body->node[i]->n_input; k++)
			fn(ctx, &body->node[i]->input[k], true);
		bodies_read(body->node[i], fn, ctx);
	}
	for (size_t i = 0; i < body->n_output; i++) {
		if (body->output[i]->name)
			fn(ctx, &body->output[i]->name, true);
	}
}

void il_node_reads(il_node *node, il_read_fn *fn, void *ctx)
{
	for (size_t i = 0; i < node->n_input; i++)
		fn(ctx, &node->input[i], false);
	bodies_read(node, fn, ctx);
}

/* ---- the index ---- */

struct reading {
	struct il_graph *graph;
	il_node *node;
};

static void count_read(void *ctx, char **name, bool in_body)
{
	struct reading *reading = ctx;
	if (!**name)
		return;
	struct il_value *value =
		in_body ? il_graph_find(reading->graph, *name) : il_graph_intern(reading->graph, *name);
	if (!value)
		return;
	value->uses++;
	value->in_body |= in_body;
	value->reader = reading->node;
}

static void index_constants(struct il_graph *graph)
{
	const Onnx__GraphProto *g = graph->model->graph;
	for (size_t i = 0; i < g->n_initializer; i++) {
		const il_constant *constant = g->initializer[i];
		struct il_value *value = il_graph_intern(graph, constant->name);
		if (!value || value->input) /* a default, which a caller may override */
			continue;
		value->constant = constant;
		struct il_shape shape = { .type = constant->data_type, .rank = (int)constant->n_dims };
		for (size_t k = 0; k < constant->n_dims && k < IL_GRAPH_MAX_RANK; k++)
			shape.dims[k] = constant->dims[k];
		value->shape = constant->n_dims <= IL_GRAPH_MAX_RANK ? shape : unknown;
	}
}

static void index_graph(struct il_graph *graph)
{
	const Onnx__GraphProto *g = graph->model->graph;
	if (graph->indexed)
		return;
	for (size_t i = 0; i < graph->n_values; i++) {
		struct il_value *value = &graph->values[i];
		*value = (struct il_value){ .name = value->name, .shape = value->shape };
	}
	for (size_t i = 0; i < g->n_input; i++) {
		struct il_value *value = il_graph_intern(graph, g->input[i]->name);
		if (value)
			value->input = true;
	}
	index_constants(graph);
	for (size_t i = 0; i < g->n_node; i++) {
		for (size_t k = 0; k < g->node[i]->n_output; k++) {
			struct il_value *value =
				*g->node[i]->output[k] ? il_graph_intern(graph, g->node[i]->output[k]) : NULL;
			if (value)
				value->producer = g->node[i];
		}
	}
	for (size_t i = 0; i < g->n_node; i++)
		il_node_reads(g->node[i], count_read, &(struct reading){ graph, g->node[i] });
	for (size_t i = 0; i < g->n_output; i++) {
		struct il_value *value = il_graph_intern(graph, g->output[i]->name);
		if (value) {
			value->output = true;
			value->uses++;
		}
	}
	graph->indexed = true;
}

static const struct il_value *look(struct il_graph *graph, const char *name)
{
	index_graph(graph);
	return name && *name ? il_graph_find(graph, name) : NULL;
}

/* ---- looking ---- */

enum inlay_err il_graph_check(const struct il_graph *graph, struct inlay_error *err)
{
	return graph->no_memory ? il_fail_memory(err) : INLAY_OK;
}

const char *il_graph_name(const struct il_graph *graph)
{
	return graph->name;
}

const Onnx__ModelProto *il_graph_model(const struct il_graph *graph)
{
	return graph->model;
}

int64_t il_graph_opset(const struct il_graph *graph)
{
	for (size_t i = 0; i < graph->model->n_opset_import; i++) {
		const Onnx__OperatorSetIdProto *set = graph->model->opset_import[i];
		if (!set->domain || !*set->domain || !strcmp(set->domain, "ai.onnx"))
			return set->version;
	}
	return 0;
}

size_t il_graph_nodes(const struct il_graph *graph)
{
	return graph->model->graph->n_node;
}

il_node *il_graph_node(const struct il_graph *graph, size_t i)
{
	return graph->model->graph->node[i];
}

il_node *il_graph_producer(struct il_graph *graph, const char *name)
{
	const struct il_value *value = look(graph, name);
	return value ? value->producer : NULL;
}

unsigned il_graph_uses(struct il_graph *graph, const char *name)
{
	const struct il_value *value = look(graph, name);
	return value ? value->uses : 0;
}

il_node *il_graph_sole_reader(struct il_graph *graph, const char *name)
{
	const struct il_value *value = look(graph, name);
	return value && value->uses == 1 && !value->output && !value->in_body ? value->reader : NULL;
}

bool il_graph_is_input(struct il_graph *graph, const char *name)
{
	const struct il_value *value = look(graph, name);
	return value && value->input;
}

bool il_graph_is_output(struct il_graph *graph, const char *name)
{
	const struct il_value *value = look(graph, name);
	return value && value->output;
}

const il_constant *il_graph_constant(struct il_graph *graph, const char *name)
{
	const struct il_value *value = look(graph, name);
	return value ? value->constant : NULL;
}

size_t il_constant_count(const il_constant *constant)
{
	size_t count = 1;
	for (size_t i = 0; i < constant->n_dims; i++) {
		if (constant->dims[i] < 0 || __builtin_mul_overflow(count, (size_t)constant->dims[i], &count))
			return SIZE_MAX;
	}
	return count;
}

/* `listed` are the elements outside raw_data. */
static const void *constant_data(const il_constant *constant, int type, size_t element, const void *listed,
                                 size_t n_listed, size_t *count)
{
	size_t bytes;
	*count = il_constant_count(constant);
	if (constant->data_type != type || *count == 0 || __builtin_mul_overflow(*count, element, &bytes))
		return NULL;
	if (constant->has_raw_data)
		return constant->raw_data.len == bytes ? constant->raw_data.data : NULL;
	return n_listed == *count ? listed : NULL;
}

const float *il_graph_floats(struct il_graph *graph, const char *name, size_t *count)
{
	const il_constant *c = il_graph_constant(graph, name);
	size_t n = 0;
	const float *data =
		c ? constant_data(c, IL_ONNX_FLOAT, sizeof(float), c->float_data, c->n_float_data, &n) : NULL;
	if (count)
		*count = data ? n : 0;
	return data;
}

const int64_t *il_graph_ints(struct il_graph *graph, const char *name, size_t *count)
{
	const il_constant *c = il_graph_constant(graph, name);
	size_t n = 0;
	const int64_t *data =
		c ? constant_data(c, IL_ONNX_INT64, sizeof(int64_t), c->int64_data, c->n_int64_data, &n) : NULL;
	if (count)
		*count = data ? n : 0;
	return data;
}

struct il_shape il_shape_declared(const Onnx__ValueInfoProto *info)
{
	struct il_shape shape = unknown;
	const Onnx__TypeProto__Tensor *tensor = info->type ? info->type->tensor_type : NULL;
	if (!tensor)
		return shape;
	shape.type = tensor->elem_type;
	if (!tensor->shape || tensor->shape->n_dim > IL_GRAPH_MAX_RANK)
		return shape;
	shape.rank = (int)tensor->shape->n_dim;
	for (int i = 0; i < shape.rank; i++) {
		const Onnx__TensorShapeProto__Dimension *dim = tensor->shape->dim[i];
		shape.dims[i] = dim->has_dim_value && dim->dim_value >= 0 ? dim->dim_value : -1;
	}
	return shape;
}

const struct il_shape *il_graph_shape(struct il_graph *graph, const char *name)
{
	const struct il_value *value = look(graph, name);
	return value ? &value->shape : &unknown;
}

void il_graph_set_shape(struct il_graph *graph, const char *name, const struct il_shape *shape)
{
	struct il_value *value = name && *name ? il_graph_intern(graph, name) : NULL;
	if (value && !value->constant)
		value->shape = *shape;
}

size_t il_shape_count(const struct il_shape *shape)
{
	size_t count = shape->rank >= 0;
	for (int i = 0; i < shape->rank; i++) {
		if (shape->dims[i] < 0 || __builtin_mul_overflow(count, (size_t)shape->dims[i], &count))
			return 0;
	}
	return count;
}

/* ---- nodes ---- */

bool il_node_is(const il_node *node, const char *op_type)
{
	return node && !strcmp(node->op_type, op_type) &&
	       (!node->domain || !*node->domain || !strcmp(node->domain, "ai.onnx"));
}

const char *il_node_input(const il_node *node, size_t i)
{
	return i < node->n_input && *node->input[i] ? node->input[i] : NULL;
}

const Onnx__AttributeProto *il_node_attribute(const il_node *node, const char *name)
{
	for (size_t i = 0; i < node->n_attribute; i++) {
		if (node->attribute[i]->name && !strcmp(node->attribute[i]->name, name))
			return node->attribute[i];
	}
	return NULL;
}

int64_t il_node_int(const il_node *node, const char *name, int64_t otherwise)
{
	const Onnx__AttributeProto *attribute = il_node_attribute(node, name);
	return attribute && attribute->has_i ? attribute->i : otherwise;
}

float il_node_float(const il_node *node, const char *name, float otherwise)
{
	const Onnx__AttributeProto *attribute = il_node_attribute(node, name);
	return attribute && attribute->has_f ? attribute->f : otherwise;
}

bool il_node_word_is(const il_node *node, const char *name, const char *word, bool otherwise)
{
	const Onnx__AttributeProto *attribute = il_node_attribute(node, name);
	if (!attribute || !attribute->has_s)
		return otherwise;
	return attribute->s.len == strlen(word) && !memcmp(attribute->s.data, word, attribute->s.len);
}

bool il_node_ints(const il_node *node, const char *name, int64_t *values, size_t n, int64_t otherwise)
{
	const Onnx__AttributeProto *attribute = il_node_attribute(node, name);
	size_t there = attribute ? attribute->n_ints : 0;
	for (size_t i = 0; i < n; i++)
		values[i] = i < there ? attribute->ints[i] : otherwise;
	return there <= n;
}

bool il_node_has_body(const il_node *node)
{
	for (size_t i = 0; i < node->n_attribute; i++) {
		if (node->attribute[i]->g || node->attribute[i]->n_graphs)
			return true;
	}
	return false;
}

bool il_node_is_random(const il_node *node)
{
	static const char *const names[] = { "Bernoulli",     "Dropout",          "Multinomial",      "RandomNormal",
		                             "RandomUniform", "RandomNormalLike", "RandomUniformLike" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (!strcmp(node->op_type, names[i]))
			return true;
	}
	return false;
}
