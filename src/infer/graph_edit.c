#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/graph_impl.h"
#include "infer/session.h"

#define MAX_HINT 200
#define FRESH_MARK "/inlay_"

/* What the messages hold is freed by protobuf-c with free(): all of it comes from malloc. */
static char *own(struct il_graph *graph, const char *text)
{
	char *copy = strdup(text);
	graph->no_memory |= !copy;
	return copy;
}

static bool set_text(struct il_graph *graph, char **slot, const char *text)
{
	char *copy = own(graph, text);
	if (!copy)
		return false;
	free(*slot);
	*slot = copy;
	return true;
}

/* Adds to a repeated field; false when memory is out. */
static bool append(struct il_graph *graph, void *array, size_t *n, void *item)
{
	void **grown = realloc(*(void ***)array, (*n + 1) * sizeof *grown);
	if (!grown) {
		graph->no_memory = true;
		return false;
	}
	grown[(*n)++] = item;
	*(void ***)array = grown;
	return true;
}

static void take_out(void **array, size_t *n, size_t i)
{
	memmove(array + i, array + i + 1, (--*n - i) * sizeof *array);
}

/* ---- nodes ---- */

/* Where a name that was fresh once got its end; else the name's length. */
static size_t fresh_end(const char *name)
{
	const char *mark = NULL;
	for (const char *next = strstr(name, FRESH_MARK); next; next = strstr(next + 1, FRESH_MARK))
		mark = next;
	const char *digits = mark ? mark + strlen(FRESH_MARK) : "";
	return *digits && !digits[strspn(digits, "0123456789")] ? (size_t)(mark - name) : strlen(name);
}

/* As much of a hint as names begin with: no half of a UTF-8 character. */
static size_t hint_length(const char *hint)
{
	size_t length = fresh_end(hint);
	if (length <= MAX_HINT)
		return length;
	for (length = MAX_HINT; length > 0 && ((uint8_t)hint[length] & 0xc0) == 0x80;)
		length--;
	return length;
}

const char *il_graph_fresh(struct il_graph *graph, const char *hint)
{
	char name[MAX_HINT + 56];
	const int length = (int)hint_length(hint);
	do
		snprintf(name, sizeof name, "%.*s" FRESH_MARK "%u", length, hint, graph->fresh++);
	while (il_graph_find(graph, name));
	struct il_value *value = il_graph_intern(graph, name);
	return value ? value->name : NULL;
}

const char *il_graph_keep(struct il_graph *graph, const char *name)
{
	struct il_value *value = name ? il_graph_intern(graph, name) : NULL;
	return value ? value->name : NULL;
}

static bool append_names(struct il_graph *graph, char ***array, size_t *count, const char *const *names, size_t n)
{
	while (n > 0 && (!names[n - 1] || !*names[n - 1]))
		n--;
	for (size_t i = 0; i < n; i++) {
		char *name = own(graph, names[i] ? names[i] : "");
		if (!name)
			return false;
		if (!append(graph, array, count, name)) {
			free(name);
			return false;
		}
	}
	return true;
}

static void free_node(il_node *node)
{
	onnx__node_proto__free_unpacked(node, NULL);
}

il_node *il_graph_add(struct il_graph *graph, const char *domain, const char *op_type, const char *const *inputs,
                      size_t n_inputs, const char *const *outputs, size_t n_outputs)
{
	Onnx__GraphProto *g = graph->model->graph;
	il_node *node = malloc(sizeof *node);
	if (!node) {
		graph->no_memory = true;
		return NULL;
	}
	onnx__node_proto__init(node);
	node->op_type = own(graph, op_type);
	if (*domain)
		node->domain = own(graph, domain);
	if (!node->op_type || (*domain && !node->domain) ||
	    !append_names(graph, &node->input, &node->n_input, inputs, n_inputs) ||
	    !append_names(graph, &node->output, &node->n_output, outputs, n_outputs) ||
	    !append(graph, &g->node, &g->n_node, node)) {
		free_node(node);
		return NULL;
	}
	il_graph_touch(graph);
	return node;
}

void il_graph_remove(struct il_graph *graph, il_node *node)
{
	Onnx__GraphProto *g = graph->model->graph;
	for (size_t i = 0; node && i < g->n_node; i++) {
		if (g->node[i] == node) {
			take_out((void **)g->node, &g->n_node, i);
			free_node(node);
			il_graph_touch(graph);
			return;
		}
	}
}

void il_graph_set_input(struct il_graph *graph, il_node *node, size_t i, const char *value)
{
	if (!node || !value)
		return;
	while (node->n_input <= i) {
		char *none = own(graph, "");
		if (!none)
			return;
		if (!append(graph, &node->input, &node->n_input, none)) {
			free(none);
			return;
		}
	}
	if (set_text(graph, &node->input[i], value))
		il_graph_touch(graph);
}

void il_graph_set_output(struct il_graph *graph, il_node *node, size_t i, const char *value)
{
	if (node && value && i < node->n_output && set_text(graph, &node->output[i], value))
		il_graph_touch(graph);
}

struct renaming {
	struct il_graph *graph;
	const char *from, *to;
};

static void rename_read(void *ctx, char **name, bool in_body)
{
	struct renaming *renaming = ctx;
	(void)in_body;
	if (!strcmp(*name, renaming->from))
		set_text(renaming->graph, name, renaming->to);
}

bool il_graph_replace(struct il_graph *graph, const char *from, const char *to)
{
	Onnx__GraphProto *g = graph->model->graph;
	/* The names given may be the very ones that change. */
	from = il_graph_keep(graph, from);
	to = il_graph_keep(graph, to);
	if (!from || !to || il_graph_is_output(graph, from))
		return false;
	for (size_t i = 0; i < g->n_node; i++)
		il_node_reads(g->node[i], rename_read, &(struct renaming){ graph, from, to });
	il_graph_touch(graph);
	return true;
}

/* ---- attributes ---- */

enum { ATTRIBUTE_FLOAT = 1, ATTRIBUTE_INT = 2, ATTRIBUTE_STRING = 3, ATTRIBUTE_INTS = 7 };

static void drop_attribute(il_node *node, const char *name)
{
	for (size_t i = 0; i < node->n_attribute; i++) {
		if (node->attribute[i]->name && !strcmp(node->attribute[i]->name, name)) {
			Onnx__AttributeProto *old = node->attribute[i];
			take_out((void **)node->attribute, &node->n_attribute, i);
			onnx__attribute_proto__free_unpacked(old, NULL);
			return;
		}
	}
}

/* A new attribute in the place of one of that name; NULL when memory is out, or the node is NULL. */
static Onnx__AttributeProto *new_attribute(struct il_graph *graph, il_node *node, const char *name, int type)
{
	if (!node)
		return NULL;
	Onnx__AttributeProto *attribute = malloc(sizeof *attribute);
	if (!attribute) {
		graph->no_memory = true;
		return NULL;
	}
	onnx__attribute_proto__init(attribute);
	attribute->has_type = true;
	attribute->type = type;
	attribute->name = own(graph, name);
	drop_attribute(node, name);
	if (!attribute->name || !append(graph, &node->attribute, &node->n_attribute, attribute)) {
		onnx__attribute_proto__free_unpacked(attribute, NULL);
		return NULL;
	}
	return attribute;
}

void il_node_set_int(struct il_graph *graph, il_node *node, const char *name, int64_t value)
{
	Onnx__AttributeProto *attribute = new_attribute(graph, node, name, ATTRIBUTE_INT);
	if (attribute) {
		attribute->has_i = true;
		attribute->i = value;
	}
}

void il_node_set_float(struct il_graph *graph, il_node *node, const char *name, float value)
{
	Onnx__AttributeProto *attribute = new_attribute(graph, node, name, ATTRIBUTE_FLOAT);
	if (attribute) {
		attribute->has_f = true;
		attribute->f = value;
	}
}

void il_node_set_ints(struct il_graph *graph, il_node *node, const char *name, const int64_t *values, size_t n)
{
	Onnx__AttributeProto *attribute = new_attribute(graph, node, name, ATTRIBUTE_INTS);
	if (!attribute || !n)
		return;
	attribute->ints = malloc(n * sizeof *values);
	graph->no_memory |= !attribute->ints;
	if (attribute->ints) {
		memcpy(attribute->ints, values, n * sizeof *values);
		attribute->n_ints = n;
	}
}

void il_node_set_word(struct il_graph *graph, il_node *node, const char *name, const char *word)
{
	Onnx__AttributeProto *attribute = new_attribute(graph, node, name, ATTRIBUTE_STRING);
	char *copy = attribute ? own(graph, word) : NULL;
	if (copy) {
		attribute->has_s = true;
		attribute->s = (ProtobufCBinaryData){ strlen(word), (uint8_t *)copy };
	}
}

void il_node_copy_attributes(struct il_graph *graph, il_node *to, const il_node *from)
{
	for (size_t i = 0; to && i < from->n_attribute; i++) {
		size_t size = onnx__attribute_proto__get_packed_size(from->attribute[i]);
		uint8_t *bytes = malloc(size + 1);
		Onnx__AttributeProto *copy = NULL;
		if (bytes) {
			onnx__attribute_proto__pack(from->attribute[i], bytes);
			copy = onnx__attribute_proto__unpack(NULL, size, bytes);
		}
		free(bytes);
		if (!copy || !append(graph, &to->attribute, &to->n_attribute, copy)) {
			graph->no_memory = true;
			if (copy)
				onnx__attribute_proto__free_unpacked(copy, NULL);
		}
	}
}

/* ---- constants ---- */

const char *il_graph_add_constant(struct il_graph *graph, const char *hint, int type, int rank, const int64_t *dims,
                                  void **data)
{
	Onnx__GraphProto *g = graph->model->graph;
	const char *name = il_graph_fresh(graph, hint);
	il_constant *constant = malloc(sizeof *constant);
	if (!name || !constant)
		goto fail;
	onnx__tensor_proto__init(constant);
	constant->has_data_type = true;
	constant->data_type = type;
	constant->name = own(graph, name);
	constant->dims = malloc(((size_t)rank + 1) * sizeof *dims);
	if (!constant->name || !constant->dims)
		goto fail;
	constant->n_dims = (size_t)rank;
	memcpy(constant->dims, dims, (size_t)rank * sizeof *dims);
	size_t count = il_constant_count(constant), bytes = il_tensor_element_bytes(type);
	if (!bytes || count > SIZE_MAX / 16)
		goto fail;
	constant->raw_data.data = calloc(count + 1, bytes);
	constant->raw_data.len = count * bytes;
	constant->has_raw_data = true;
	if (!constant->raw_data.data || !append(graph, &g->initializer, &g->n_initializer, constant))
		goto fail;
	*data = constant->raw_data.data;
	il_graph_touch(graph);
	return name;
fail:
	graph->no_memory = true;
	if (constant)
		onnx__tensor_proto__free_unpacked(constant, NULL);
	return NULL;
}

size_t il_graph_drop_constants(struct il_graph *graph)
{
	Onnx__GraphProto *g = graph->model->graph;
	size_t kept = 0, all = g->n_initializer;
	for (size_t i = 0; i < all; i++) {
		/* Asked one by one before the index goes. */
		bool needed = il_graph_uses(graph, g->initializer[i]->name) ||
		              il_graph_is_input(graph, g->initializer[i]->name);
		il_constant *constant = g->initializer[i];
		if (needed)
			g->initializer[kept++] = constant;
		else
			onnx__tensor_proto__free_unpacked(constant, NULL);
	}
	g->n_initializer = kept;
	if (kept != all)
		il_graph_touch(graph);
	return all - kept;
}

/* ---- inputs and outputs ---- */

static Onnx__TensorShapeProto *make_dims(const struct il_shape *shape)
{
	Onnx__TensorShapeProto *dims = malloc(sizeof *dims);
	if (!dims)
		return NULL;
	onnx__tensor_shape_proto__init(dims);
	dims->dim = calloc((size_t)shape->rank + 1, sizeof(void *));
	for (int i = 0; dims->dim && i < shape->rank; i++) {
		Onnx__TensorShapeProto__Dimension *dim = malloc(sizeof *dim);
		if (!dim)
			break;
		onnx__tensor_shape_proto__dimension__init(dim);
		dim->has_dim_value = shape->dims[i] >= 0;
		dim->dim_value = dim->has_dim_value ? shape->dims[i] : 0;
		dims->dim[dims->n_dim++] = dim;
	}
	if (dims->n_dim == (size_t)shape->rank)
		return dims;
	onnx__tensor_shape_proto__free_unpacked(dims, NULL);
	return NULL;
}

/* NULL when memory is out. */
static Onnx__ValueInfoProto *make_info(const char *name, const struct il_shape *shape)
{
	Onnx__ValueInfoProto *info = malloc(sizeof *info);
	if (!info)
		return NULL;
	onnx__value_info_proto__init(info);
	info->name = strdup(name);
	info->type = malloc(sizeof *info->type);
	if (!info->name || !info->type)
		goto fail;
	onnx__type_proto__init(info->type);
	info->type->tensor_type = malloc(sizeof *info->type->tensor_type);
	if (!info->type->tensor_type)
		goto fail;
	onnx__type_proto__tensor__init(info->type->tensor_type);
	info->type->tensor_type->has_elem_type = shape->type != IL_ONNX_UNKNOWN;
	info->type->tensor_type->elem_type = shape->type;
	if (shape->rank >= 0 && !(info->type->tensor_type->shape = make_dims(shape)))
		goto fail;
	return info;
fail:
	onnx__value_info_proto__free_unpacked(info, NULL);
	return NULL;
}

static void add_info(struct il_graph *graph, Onnx__ValueInfoProto ***list, size_t *n, const char *value,
                     const struct il_shape *shape)
{
	if (!value)
		return;
	Onnx__ValueInfoProto *info = make_info(value, shape);
	if (!info || !append(graph, list, n, info)) {
		graph->no_memory = true;
		if (info)
			onnx__value_info_proto__free_unpacked(info, NULL);
		return;
	}
	il_graph_set_shape(graph, value, shape);
	il_graph_touch(graph);
}

void il_graph_add_input(struct il_graph *graph, const char *value, const struct il_shape *shape)
{
	Onnx__GraphProto *g = graph->model->graph;
	add_info(graph, &g->input, &g->n_input, value, shape);
}

void il_graph_add_output(struct il_graph *graph, const char *value, const struct il_shape *shape)
{
	Onnx__GraphProto *g = graph->model->graph;
	add_info(graph, &g->output, &g->n_output, value, shape);
}

static void redeclare(struct il_graph *graph, Onnx__ValueInfoProto **infos, size_t n, const char *value,
                      const struct il_shape *shape)
{
	for (size_t i = 0; i < n; i++) {
		if (!infos[i]->name || strcmp(infos[i]->name, value) != 0)
			continue;
		Onnx__ValueInfoProto *info = make_info(value, shape);
		if (!info) {
			graph->no_memory = true;
			return;
		}
		onnx__value_info_proto__free_unpacked(infos[i], NULL);
		infos[i] = info;
	}
}

void il_graph_redeclare(struct il_graph *graph, const char *value, const struct il_shape *shape)
{
	Onnx__GraphProto *g = graph->model->graph;
	value = il_graph_keep(graph, value);
	if (!value)
		return;
	redeclare(graph, g->input, g->n_input, value, shape);
	redeclare(graph, g->output, g->n_output, value, shape);
	redeclare(graph, g->value_info, g->n_value_info, value, shape);
	il_graph_set_shape(graph, value, shape);
	il_graph_touch(graph);
}

void il_graph_remove_input(struct il_graph *graph, const char *value)
{
	Onnx__GraphProto *g = graph->model->graph;
	for (size_t i = 0; i < g->n_input; i++) {
		if (!strcmp(g->input[i]->name, value)) {
			Onnx__ValueInfoProto *info = g->input[i];
			take_out((void **)g->input, &g->n_input, i);
			onnx__value_info_proto__free_unpacked(info, NULL);
			il_graph_touch(graph);
			return;
		}
	}
}

void il_graph_clear_outputs(struct il_graph *graph)
{
	Onnx__GraphProto *g = graph->model->graph;
	for (size_t i = 0; i < g->n_output; i++)
		onnx__value_info_proto__free_unpacked(g->output[i], NULL);
	g->n_output = 0;
	il_graph_touch(graph);
}

void il_graph_import(struct il_graph *graph, const char *domain, int64_t version)
{
	Onnx__ModelProto *model = graph->model;
	for (size_t i = 0; i < model->n_opset_import; i++) {
		const char *there = model->opset_import[i]->domain;
		if (!strcmp(there ? there : "", domain))
			return;
	}
	Onnx__OperatorSetIdProto *set = malloc(sizeof *set);
	if (!set) {
		graph->no_memory = true;
		return;
	}
	onnx__operator_set_id_proto__init(set);
	set->domain = own(graph, domain);
	set->has_version = true;
	set->version = version;
	if (!set->domain || !append(graph, &model->opset_import, &model->n_opset_import, set))
		onnx__operator_set_id_proto__free_unpacked(set, NULL);
}
