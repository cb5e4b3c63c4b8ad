#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "infer/graph_impl.h"

#define UNLISTED 4                 /* version of the format from which on weights need not be inputs */
#define MAX_FILE ((size_t)2 << 30) /* protobuf's own limit */

/* ---- depth ---- */

/* protobuf-c reads messages inside messages by recursion without a limit, and ONNX nests without one through bodies:
 * graph -> node -> attribute -> graph. So the depth is looked at before. */
enum level { LEVEL_GRAPH, LEVEL_NODE, LEVEL_ATTRIBUTE };

static bool read_varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
	*value = 0;
	for (int shift = 0; shift < 70 && *at < end; shift += 7) {
		uint8_t byte = *(*at)++;
		if (shift < 64)
			*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* One field: its number, and its bytes where it has a length (else none). False at the end and for what is damaged,
 * which protobuf-c then finds too. */
static bool next_field(const uint8_t **at, const uint8_t *end, uint64_t *number, const uint8_t **data, size_t *size)
{
	uint64_t key, length;
	*size = 0;
	if (!read_varint(at, end, &key))
		return false;
	*number = key >> 3;
	switch (key & 7) {
	case 0: return read_varint(at, end, &length);
	case 1: length = 8; break;
	case 5: length = 4; break;
	case 2:
		if (!read_varint(at, end, &length))
			return false;
		break;
	default: return false;
	}
	if (length > (size_t)(end - *at))
		return false;
	if ((key & 7) == 2) {
		*data = *at;
		*size = (size_t)length;
	}
	*at += length;
	return true;
}

static bool leads_on(enum level level, uint64_t field)
{
	switch (level) {
	case LEVEL_GRAPH: return field == 1;                    /* node */
	case LEVEL_NODE: return field == 5;                     /* attribute */
	case LEVEL_ATTRIBUTE: return field == 6 || field == 11; /* g, graphs */
	}
	return false;
}

static bool is_shallow(const uint8_t *data, size_t size, enum level level, int depth)
{
	const uint8_t *end = data + size, *inner = NULL;
	uint64_t field;
	size_t length;
	if (depth > IL_GRAPH_MAX_DEPTH)
		return false;
	while (next_field(&data, end, &field, &inner, &length)) {
		enum level next = level == LEVEL_ATTRIBUTE ? LEVEL_GRAPH : level + 1;
		if (length && leads_on(level, field) && !is_shallow(inner, length, next, depth + (next == LEVEL_GRAPH)))
			return false;
	}
	return true;
}

static bool model_is_shallow(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size, *inner = NULL;
	uint64_t field;
	size_t length;
	while (next_field(&data, end, &field, &inner, &length)) {
		if (field == 7 && length && !is_shallow(inner, length, LEVEL_GRAPH, 0))
			return false;
	}
	return true;
}

/* ---- what is looked at before anything is believed ---- */

static enum inlay_err check_body(const struct il_graph *graph, const Onnx__GraphProto *g, struct inlay_error *err);

static enum inlay_err check_tensor(const struct il_graph *graph, const Onnx__TensorProto *tensor,
                                   struct inlay_error *err)
{
	if (tensor->has_data_location && tensor->data_location == 1)
		return il_fail(
			err, INLAY_ERR_UNSUPPORTED,
			"%s: the weights %s are in a file of their own; expected a model in one file (save it with "
			"save_as_external_data off)",
			graph->name, tensor->name ? tensor->name : "");
	return INLAY_OK;
}

static enum inlay_err check_node(const struct il_graph *graph, const Onnx__NodeProto *node, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	if (!node->op_type)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: node %s has no operator; expected an ONNX model",
		               graph->name, node->name ? node->name : "without a name");
	for (size_t i = 0; i < node->n_attribute && !rc; i++) {
		const Onnx__AttributeProto *attribute = node->attribute[i];
		if (attribute->t)
			rc = check_tensor(graph, attribute->t, err);
		if (attribute->g && !rc)
			rc = check_body(graph, attribute->g, err);
		for (size_t k = 0; k < attribute->n_graphs && !rc; k++)
			rc = check_body(graph, attribute->graphs[k], err);
	}
	return rc;
}

static enum inlay_err check_body(const struct il_graph *graph, const Onnx__GraphProto *g, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	for (size_t i = 0; i < g->n_initializer && !rc; i++) {
		if (!g->initializer[i]->name)
			return il_fail(err, INLAY_ERR_FORMAT, "%s: initializer %zu has no name", graph->name, i);
		rc = check_tensor(graph, g->initializer[i], err);
	}
	for (size_t i = 0; i < g->n_node && !rc; i++)
		rc = check_node(graph, g->node[i], err);
	return rc;
}

/* Each value is made once: by an input, an initializer or one node. */
static enum inlay_err check_single(struct il_graph *graph, struct inlay_error *err)
{
	const Onnx__GraphProto *g = graph->model->graph;
	struct il_table made = { 0 };
	enum inlay_err rc = INLAY_OK;
	const char *twice = NULL;
	for (size_t i = 0; i < g->n_input && !rc; i++) {
		if (!g->input[i]->name)
			rc = il_fail(err, INLAY_ERR_FORMAT, "%s: input %zu has no name", graph->name, i);
		else if (il_table_find(&made, g->input[i]->name))
			twice = g->input[i]->name;
		else if (!il_table_put(&made, g->input[i]->name, 0))
			rc = il_fail_memory(err);
	}
	for (size_t i = 0; i < g->n_output && !rc; i++) {
		if (!g->output[i]->name)
			rc = il_fail(err, INLAY_ERR_FORMAT, "%s: output %zu has no name", graph->name, i);
	}
	for (size_t i = 0; i < g->n_initializer && !rc; i++) {
		/* An input may have a default. */
		const uint32_t *there = il_table_find(&made, g->initializer[i]->name);
		if (there && *there)
			twice = g->initializer[i]->name;
		else if (!il_table_put(&made, g->initializer[i]->name, 1))
			rc = il_fail_memory(err);
	}
	for (size_t i = 0; i < g->n_node && !rc; i++) {
		for (size_t k = 0; k < g->node[i]->n_output && !rc; k++) {
			const char *name = g->node[i]->output[k];
			if (*name && il_table_find(&made, name))
				twice = name;
			else if (*name && !il_table_put(&made, name, 1))
				rc = il_fail_memory(err);
		}
	}
	if (!rc && twice)
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: the value %s is made twice", graph->name, twice);
	il_table_destroy(&made);
	return rc;
}

static void learn_declared(struct il_graph *graph, Onnx__ValueInfoProto *const *infos, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct il_shape shape = il_shape_declared(infos[i]);
		if (infos[i]->name)
			il_graph_set_shape(graph, infos[i]->name, &shape);
	}
}

/* Before version 4 every weight is listed among the inputs too, and is a constant all the same. Passes that replace
 * it would leave an input behind that has no value. */
static enum inlay_err unlist_weights(struct il_graph *graph, struct inlay_error *err)
{
	Onnx__GraphProto *g = graph->model->graph;
	struct il_table weights = { 0 };
	bool fine = true;
	size_t kept = 0;
	if (!graph->model->has_ir_version || graph->model->ir_version >= UNLISTED)
		return INLAY_OK;
	for (size_t i = 0; i < g->n_initializer && fine; i++)
		fine = il_table_put(&weights, g->initializer[i]->name, 0);
	for (size_t i = 0; i < g->n_input && fine; i++) {
		if (il_table_find(&weights, g->input[i]->name))
			onnx__value_info_proto__free_unpacked(g->input[i], NULL);
		else
			g->input[kept++] = g->input[i];
	}
	if (fine)
		g->n_input = kept;
	il_table_destroy(&weights);
	/* Versions 1 and 2 name no operators, and mean the first. */
	if (!graph->model->n_opset_import)
		il_graph_import(graph, "", 1);
	return fine ? INLAY_OK : il_fail_memory(err);
}

/* ---- reading ---- */

enum inlay_err il_graph_parse(struct il_graph **out, const void *data, size_t size, const char *name,
                              struct inlay_error *err)
{
	struct il_graph *graph = calloc(1, sizeof *graph);
	enum inlay_err rc = INLAY_OK;
	if (!graph || !(graph->name = strdup(name))) {
		rc = il_fail_memory(err);
		goto fail;
	}
	if (!model_is_shallow(data, size)) {
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: more than %d graphs inside each other", name,
		             IL_GRAPH_MAX_DEPTH);
		goto fail;
	}
	graph->model = onnx__model_proto__unpack(NULL, size, data);
	if (!graph->model || !graph->model->graph) {
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: not an ONNX model, or a damaged one", name);
		goto fail;
	}
	rc = check_body(graph, graph->model->graph, err);
	if (!rc)
		rc = check_single(graph, err);
	if (!rc)
		rc = unlist_weights(graph, err);
	if (rc)
		goto fail;
	const Onnx__GraphProto *g = graph->model->graph;
	learn_declared(graph, g->value_info, g->n_value_info);
	learn_declared(graph, g->output, g->n_output);
	learn_declared(graph, g->input, g->n_input);
	rc = il_graph_check(graph, err);
	if (rc)
		goto fail;
	*out = graph;
	return INLAY_OK;
fail:
	il_graph_destroy(&graph);
	return rc;
}

enum inlay_err il_graph_read(struct il_graph **graph, const char *path, struct inlay_error *err)
{
	struct il_bytes bytes = { 0 };
	enum inlay_err rc = il_file_read(path, MAX_FILE, &bytes, err);
	if (!rc)
		rc = il_graph_parse(graph, bytes.data, bytes.size, path, err);
	il_bytes_destroy(&bytes);
	return rc;
}

void il_graph_destroy(struct il_graph **slot)
{
	struct il_graph *graph = *slot;
	*slot = NULL;
	if (!graph)
		return;
	if (graph->model)
		onnx__model_proto__free_unpacked(graph->model, NULL);
	for (size_t i = 0; i < graph->n_values; i++)
		free(graph->values[i].name);
	free(graph->values);
	il_table_destroy(&graph->table);
	free(graph->name);
	free(graph);
}

/* ---- writing ---- */

/* Depth-first over what each node reads, without recursion: chains are as long as the file likes. */
struct order {
	struct il_graph *graph;
	struct il_table places; /* value -> node that makes it */
	size_t *stack, *next;   /* nodes under way; next[i]: the first dependency of node i that was not looked at */
	size_t *first, *needs;  /* needs[first[i] .. first[i + 1] - 1]: nodes that node i reads from */
	size_t n_needs, room;
	uint8_t *state; /* of a node: 0 new, 1 under way, 2 out */
	il_node **sorted;
	size_t n_sorted;
};

static void note_need(void *ctx, char **name, bool in_body)
{
	struct order *order = ctx;
	const uint32_t *place = il_table_find(&order->places, *name);
	(void)in_body;
	if (!place)
		return;
	if (order->n_needs == order->room) {
		size_t room = order->room ? 2 * order->room : 1024;
		size_t *needs = realloc(order->needs, room * sizeof *needs);
		if (!needs) {
			order->graph->no_memory = true;
			return;
		}
		order->needs = needs;
		order->room = room;
	}
	order->needs[order->n_needs++] = *place;
}

static bool prepare_order(struct order *order, struct il_graph *graph)
{
	const Onnx__GraphProto *g = graph->model->graph;
	size_t n = g->n_node;
	order->graph = graph;
	order->stack = calloc(n + 1, sizeof *order->stack);
	order->next = calloc(n + 1, sizeof *order->next);
	order->first = calloc(n + 1, sizeof *order->first);
	order->state = calloc(n + 1, 1);
	order->sorted = calloc(n + 1, sizeof(void *));
	if (!order->stack || !order->next || !order->first || !order->state || !order->sorted)
		return false;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < g->node[i]->n_output; k++) {
			if (*g->node[i]->output[k] && !il_table_put(&order->places, g->node[i]->output[k], (uint32_t)i))
				return false;
		}
	}
	for (size_t i = 0; i < n; i++) {
		order->first[i] = order->n_needs;
		il_node_reads(g->node[i], note_need, order);
	}
	order->first[n] = order->n_needs;
	return !graph->no_memory;
}

/* Puts node `root` out, behind all it needs. False for a cycle. */
static bool put_out(struct order *order, size_t root)
{
	size_t depth = 0;
	order->stack[depth++] = root;
	order->state[root] = 1;
	while (depth > 0) {
		size_t node = order->stack[depth - 1], at = order->first[node] + order->next[node];
		if (at == order->first[node + 1]) {
			order->state[node] = 2;
			order->sorted[order->n_sorted++] = order->graph->model->graph->node[node];
			depth--;
			continue;
		}
		order->next[node]++;
		size_t need = order->needs[at];
		if (order->state[need] == 1)
			return false;
		if (order->state[need] == 0) {
			order->state[need] = 1;
			order->stack[depth++] = need;
		}
	}
	return true;
}

enum inlay_err il_graph_sort(struct il_graph *graph, struct inlay_error *err)
{
	Onnx__GraphProto *g = graph->model->graph;
	struct order order = { 0 };
	enum inlay_err rc = prepare_order(&order, graph) ? INLAY_OK : il_fail_memory(err);
	for (size_t i = 0; i < g->n_node && !rc; i++) {
		if (order.state[i] == 0 && !put_out(&order, i))
			rc = il_fail(err, INLAY_ERR_FORMAT, "%s: its nodes need each other in a circle", graph->name);
	}
	if (!rc && g->n_node)
		memcpy(g->node, order.sorted, g->n_node * sizeof(void *));
	il_table_destroy(&order.places);
	free(order.stack);
	free(order.next);
	free(order.first);
	free(order.needs);
	free(order.state);
	free(order.sorted);
	return rc;
}

enum inlay_err il_graph_pack(struct il_graph *graph, void **data, size_t *size, struct inlay_error *err)
{
	enum inlay_err rc = il_graph_check(graph, err);
	if (!rc)
		rc = il_graph_sort(graph, err);
	if (rc)
		return rc;
	Onnx__ModelProto *model = graph->model;
	const int64_t version = model->ir_version;
	model->ir_version = version < UNLISTED ? UNLISTED : version;
	*size = onnx__model_proto__get_packed_size(model);
	*data = malloc(*size + 1);
	if (*data)
		onnx__model_proto__pack(model, *data);
	model->ir_version = version;
	return *data ? INLAY_OK : il_fail_memory(err);
}

enum inlay_err il_graph_write(struct il_graph *graph, const char *path, bool overwrite, struct inlay_error *err)
{
	void *data = NULL;
	size_t size;
	enum inlay_err rc = il_graph_pack(graph, &data, &size, err);
	if (!rc)
		rc = il_file_write(path, data, size, overwrite, err);
	free(data);
	return rc;
}

enum inlay_err il_graph_copy(struct il_graph **copy, struct il_graph *graph, struct inlay_error *err)
{
	void *data = NULL;
	size_t size;
	enum inlay_err rc = il_graph_pack(graph, &data, &size, err);
	if (!rc)
		rc = il_graph_parse(copy, data, size, graph->name, err);
	free(data);
	if (!rc)
		(*copy)->folded = graph->folded;
	for (size_t i = 0; i < graph->n_values && !rc; i++)
		il_graph_set_shape(*copy, graph->values[i].name, &graph->values[i].shape);
	return rc ? rc : il_graph_check(*copy, err);
}
