/* Constant folding. The nodes that depend on constants alone are put into a small model, which ONNX Runtime runs once,
 * node by node; what comes out becomes initializers. So no operator is computed in a second way.
 *
 * A Shape whose dims are known counts as a constant. Often the batch is free, and what is read of the Shape is its
 * other dims, by Gather or Slice: then that node counts as foldable, on a stand-in with 0 for the free dims. */
#include "infer/pass_fold.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/table.h"
#include "infer/graph_impl.h"
#include "infer/graph_rename.h"
#include "infer/passes.h"
#include "infer/session.h"
#include "infer/shapes.h"

#define MAX_BYTES ((size_t)64 << 20) /* of one output */
#define MAX_SUM ((size_t)512 << 20)  /* of what one fold computes and all folds of a graph store */
#define MAX_ROUNDS 32
#define MIN_IR_VERSION 4 /* of files whose initializers need not be inputs */

/* What is foldable of a graph, in an order in which it can run. Names and nodes are the graph's. */
struct choice {
	struct il_graph *graph;
	const struct il_table *refused; /* outputs of nodes that the runtime did not compute */
	struct il_table chosen;         /* outputs of chosen nodes; those of stand-ins only where all is known */
	il_node **nodes;
	size_t n_nodes;
	il_constant **stand_ins; /* for results of Shape; own */
	size_t n_stand_ins;
	const char **wanted; /* outputs that others read */
	size_t n_wanted;
	size_t bytes; /* of the outputs of chosen nodes */
	bool no_memory;
};

static void clear_choice(struct choice *c)
{
	for (size_t i = 0; i < c->n_stand_ins; i++)
		onnx__tensor_proto__free_unpacked(c->stand_ins[i], NULL);
	free(c->stand_ins);
	free(c->nodes);
	free(c->wanted);
	il_table_destroy(&c->chosen);
}

/* ---- choosing ---- */

static bool size_fits(const struct il_shape *shape, size_t *sum)
{
	size_t bytes = il_tensor_element_bytes(shape->type);
	for (int i = 0; i < shape->rank; i++)
		if (shape->dims[i] < 0 || __builtin_mul_overflow(bytes, (size_t)shape->dims[i], &bytes))
			return false;
	if (shape->rank < 0 || !il_tensor_element_bytes(shape->type) || bytes > MAX_BYTES)
		return false;
	*sum += bytes;
	return *sum <= MAX_SUM;
}

/* Every output has a type and a size that are known, and is nobody's but the graph's; one of them is read. Adds their
 * size to *sum. */
static bool outputs_fit(struct il_graph *graph, const il_node *node, size_t *sum)
{
	bool read = false;
	for (size_t i = 0; i < node->n_output; i++) {
		if (!*node->output[i])
			continue;
		if (!size_fits(il_graph_shape(graph, node->output[i]), sum) ||
		    il_graph_is_output(graph, node->output[i]))
			return false;
		read |= il_graph_uses(graph, node->output[i]) > 0;
	}
	return read;
}

static bool is_known_domain(const il_node *node)
{
	return il_node_is(node, node->op_type) || (node->domain && !strcmp(node->domain, "com.microsoft"));
}

/* A tensor of the dims that a Shape gives, 0 for those that are free. */
static il_constant *make_stand_in(struct il_graph *graph, const il_node *node)
{
	struct il_ints dims;
	if (!il_ints_of_value(graph, node->output[0], &dims) || !dims.n)
		return NULL;
	il_constant *tensor = malloc(sizeof *tensor);
	if (!tensor)
		return NULL;
	onnx__tensor_proto__init(tensor);
	tensor->has_data_type = true;
	tensor->data_type = IL_ONNX_INT64;
	tensor->name = strdup(node->output[0]);
	tensor->dims = malloc(sizeof *tensor->dims);
	tensor->int64_data = malloc(dims.n * sizeof *tensor->int64_data);
	if (!tensor->name || !tensor->dims || !tensor->int64_data) {
		onnx__tensor_proto__free_unpacked(tensor, NULL);
		return NULL;
	}
	tensor->n_dims = 1;
	tensor->dims[0] = (int64_t)dims.n;
	tensor->n_int64_data = dims.n;
	for (size_t i = 0; i < dims.n; i++)
		tensor->int64_data[i] = dims.v[i] == IL_INT_UNKNOWN ? 0 : dims.v[i];
	return tensor;
}

static bool is_constant(const struct choice *c, const char *value)
{
	return !value || il_graph_constant(c->graph, value) || il_table_find(&c->chosen, value);
}

/* Gather and Slice that read known dims of a Shape, whatever its other dims are. */
static const il_node *shape_behind(const struct choice *c, const il_node *node)
{
	const char *value = il_node_input(node, 0);
	const il_node *shape = value ? il_graph_producer(c->graph, value) : NULL;
	struct il_ints taken;
	if (!shape || !il_node_is(shape, "Shape") || (!il_node_is(node, "Gather") && !il_node_is(node, "Slice")) ||
	    !il_ints_of_value(c->graph, node->output[0], &taken) || !il_ints_all_known(&taken))
		return NULL;
	for (size_t i = 1; i < node->n_input; i++)
		if (!is_constant(c, il_node_input(node, i)))
			return NULL;
	return shape;
}

static bool reads_constants(const struct choice *c, const il_node *node)
{
	for (size_t i = 0; i < node->n_input; i++)
		if (!is_constant(c, il_node_input(node, i)))
			return false;
	return node->n_input > 0 || il_node_is(node, "Constant");
}

static bool add_stand_in(struct choice *c, const il_node *shape)
{
	for (size_t i = 0; i < c->n_stand_ins; i++)
		if (!strcmp(c->stand_ins[i]->name, shape->output[0]))
			return true;
	il_constant *tensor = make_stand_in(c->graph, shape);
	if (tensor)
		c->stand_ins[c->n_stand_ins++] = tensor;
	return tensor;
}

/* A node's first output stands for it. */
static bool is_in(const struct il_table *table, const il_node *node)
{
	for (size_t i = 0; i < node->n_output; i++)
		if (*node->output[i])
			return il_table_find(table, node->output[i]);
	return true;
}

/* True where the node was new and foldable. */
static bool consider(struct choice *c, il_node *node)
{
	struct il_ints dims;
	const il_node *shape = NULL;
	size_t bytes = c->graph->folded + c->bytes;
	if (is_in(&c->chosen, node) || is_in(c->refused, node) || il_node_has_body(node) || il_node_is_random(node) ||
	    !is_known_domain(node) || !outputs_fit(c->graph, node, &bytes))
		return false;
	if (il_node_is(node, "Shape")) {
		if (!il_ints_of_value(c->graph, node->output[0], &dims) || !il_ints_all_known(&dims))
			return false;
		shape = node;
	} else if (!reads_constants(c, node)) {
		shape = shape_behind(c, node);
		if (!shape)
			return false;
	}
	if (shape && !add_stand_in(c, shape))
		return false;
	if (shape != node)
		c->nodes[c->n_nodes++] = node;
	c->bytes = bytes - c->graph->folded;
	for (size_t i = 0; i < node->n_output; i++)
		if (*node->output[i])
			c->no_memory |= !il_table_put(&c->chosen, node->output[i], 0);
	return true;
}

static enum inlay_err choose(struct choice *c, struct inlay_error *err)
{
	size_t n = il_graph_nodes(c->graph), outputs = 0;
	bool more = true;
	for (size_t i = 0; i < n; i++)
		outputs += il_graph_node(c->graph, i)->n_output;
	c->nodes = calloc(n + 1, sizeof(void *));
	c->stand_ins = calloc(n + 1, sizeof(void *));
	c->wanted = calloc(outputs + 1, sizeof(void *));
	if (!c->nodes || !c->stand_ins || !c->wanted)
		return il_fail_memory(err);
	for (int sweep = 0; more && sweep < MAX_ROUNDS; sweep++) {
		more = false;
		for (size_t i = 0; i < n; i++)
			more |= consider(c, il_graph_node(c->graph, i));
	}
	return c->no_memory ? il_fail_memory(err) : il_graph_check(c->graph, err);
}

/* ---- the small model ---- */

static bool count_reads(const struct choice *c, size_t n_nodes, struct il_table *reads)
{
	for (size_t i = 0; i < n_nodes; i++)
		for (size_t k = 0; k < c->nodes[i]->n_input; k++) {
			const uint32_t *count = il_table_find(reads, c->nodes[i]->input[k]);
			if (!il_table_put(reads, c->nodes[i]->input[k], count ? *count + 1 : 1))
				return false;
		}
	return true;
}

static void want(struct choice *c, const struct il_table *reads, const char *value)
{
	const uint32_t *inside = il_table_find(reads, value);
	if (*value && il_table_find(&c->chosen, value) && il_graph_uses(c->graph, value) > (inside ? *inside : 0))
		c->wanted[c->n_wanted++] = value;
}

/* What the first n_nodes chosen nodes make for others. */
static enum inlay_err find_wanted(struct choice *c, size_t n_nodes, struct inlay_error *err)
{
	struct il_table reads = { 0 };
	enum inlay_err rc = count_reads(c, n_nodes, &reads) ? INLAY_OK : il_fail_memory(err);
	c->n_wanted = 0;
	for (size_t i = 0; i < c->n_stand_ins && !rc; i++)
		want(c, &reads, c->stand_ins[i]->name);
	for (size_t i = 0; i < n_nodes && !rc; i++)
		for (size_t k = 0; k < c->nodes[i]->n_output; k++)
			want(c, &reads, c->nodes[i]->output[k]);
	il_table_destroy(&reads);
	return rc;
}

/* The initializers that the nodes read, each once, behind the stand-ins. */
static bool gather_constants(const struct choice *c, size_t n_nodes, il_constant **constants, size_t *n)
{
	struct il_table taken = { 0 };
	bool fine = true;
	for (*n = 0; *n < c->n_stand_ins; ++*n)
		constants[*n] = c->stand_ins[*n];
	for (size_t i = 0; i < n_nodes && fine; i++)
		for (size_t k = 0; k < c->nodes[i]->n_input && fine; k++) {
			const char *value = c->nodes[i]->input[k];
			const il_constant *constant = il_graph_constant(c->graph, value);
			if (!constant || il_table_find(&taken, value))
				continue;
			fine = il_table_put(&taken, value, 0);
			constants[(*n)++] = (il_constant *)constant;
		}
	il_table_destroy(&taken);
	return fine;
}

/* Nothing in the message is its own but the lists: packing only reads. */
static enum inlay_err pack_model(const struct choice *c, size_t n_nodes, il_constant **constants,
                                 Onnx__ValueInfoProto *infos, Onnx__ValueInfoProto **outputs, void **data, size_t *size,
                                 struct inlay_error *err)
{
	const Onnx__ModelProto *whole = il_graph_model(c->graph);
	Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
	Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
	char name[] = "constants";
	for (size_t i = 0; i < c->n_wanted; i++) {
		onnx__value_info_proto__init(&infos[i]);
		infos[i].name = (char *)c->wanted[i];
		outputs[i] = &infos[i];
	}
	if (!gather_constants(c, n_nodes, constants, &graph.n_initializer))
		return il_fail_memory(err);
	graph.name = name;
	graph.initializer = constants;
	graph.node = c->nodes;
	graph.n_node = n_nodes;
	graph.output = outputs;
	graph.n_output = c->n_wanted;
	model.graph = &graph;
	model.has_ir_version = true;
	model.ir_version = whole->ir_version < MIN_IR_VERSION ? MIN_IR_VERSION : whole->ir_version;
	model.opset_import = whole->opset_import;
	model.n_opset_import = whole->n_opset_import;
	*size = onnx__model_proto__get_packed_size(&model);
	*data = malloc(*size + 1);
	if (!*data)
		return il_fail_memory(err);
	onnx__model_proto__pack(&model, *data);
	return INLAY_OK;
}

static enum inlay_err make_model(const struct choice *c, size_t n_nodes, void **data, size_t *size,
                                 struct inlay_error *err)
{
	size_t inputs = c->n_stand_ins;
	for (size_t i = 0; i < n_nodes; i++)
		inputs += c->nodes[i]->n_input;
	il_constant **constants = calloc(inputs + 1, sizeof(void *));
	Onnx__ValueInfoProto *infos = calloc(c->n_wanted + 1, sizeof *infos);
	Onnx__ValueInfoProto **outputs = calloc(c->n_wanted + 1, sizeof(void *));
	enum inlay_err rc = constants && infos && outputs
	                            ? pack_model(c, n_nodes, constants, infos, outputs, data, size, err)
	                            : il_fail_memory(err);
	free(constants);
	free(infos);
	free(outputs);
	return rc;
}

enum inlay_err il_fold_model(struct il_graph *graph, void **data, size_t *size, struct inlay_error *err)
{
	const struct il_table none = { 0 };
	struct choice c = { .graph = graph, .refused = &none };
	*data = NULL;
	enum inlay_err rc = choose(&c, err);
	if (!rc)
		rc = find_wanted(&c, c.n_nodes, err);
	if (!rc && c.n_wanted)
		rc = make_model(&c, c.n_nodes, data, size, err);
	clear_choice(&c);
	return rc;
}

/* ---- computing ---- */

/* One tensor for each wanted value. A fault is the runtime's refusal, or memory. */
static enum inlay_err compute(const struct choice *c, size_t n_nodes, struct il_tensor *tensors,
                              struct inlay_error *err)
{
	const struct il_session_params params = { .as_it_is = true };
	struct il_session *session = NULL;
	void *data = NULL;
	size_t size;
	enum inlay_err rc = make_model(c, n_nodes, &data, &size, err);
	if (!rc)
		rc = il_session_open_memory(&session, data, size, il_graph_name(c->graph), &params, err);
	free(data);
	if (!rc)
		rc = il_session_run_tensors(session, NULL, tensors, err);
	il_session_destroy(&session);
	return rc;
}

/* The tensor as a constant, whose name is put into `renames`. */
static bool store(struct il_graph *graph, const char *value, const struct il_tensor *tensor, struct il_renames *renames)
{
	void *data;
	if (!il_tensor_element_bytes(tensor->element) || tensor->bytes > MAX_BYTES)
		return false;
	const char *constant = il_graph_add_constant(graph, value, tensor->element, tensor->rank, tensor->dims, &data);
	if (!constant)
		return false;
	if (tensor->bytes)
		memcpy(data, tensor->data, tensor->bytes);
	graph->folded += tensor->bytes;
	il_renames_put(renames, graph, value, constant);
	return true;
}

/* The nodes stay, read by nobody, for il_pass_dead. */
static unsigned store_all(const struct choice *c, const struct il_tensor *tensors)
{
	struct il_renames renames = { 0 };
	unsigned stored = 0;
	for (size_t i = 0; i < c->n_wanted; i++)
		stored += store(c->graph, c->wanted[i], &tensors[i], &renames);
	il_renames_apply(&renames, c->graph);
	il_renames_destroy(&renames);
	return stored;
}

/* Remembers the first node; false where that cannot be. */
static bool refuse(const struct choice *c, struct il_table *refused)
{
	const il_node *node = c->nodes[0];
	size_t i = 0;
	while (i < node->n_output && !*node->output[i])
		i++;
	const char *name = i < node->n_output ? il_graph_keep(c->graph, node->output[i]) : NULL;
	return name && il_table_put(refused, name, 0);
}

/* As many of the chosen nodes, from the first one on, as the runtime computes. Where it refuses even the first, that
 * node is refused from now on. */
static enum inlay_err fold_chosen(struct choice *c, struct il_table *refused, unsigned *stored, bool *again,
                                  struct inlay_error *err)
{
	struct il_tensor *tensors = NULL;
	enum inlay_err rc = find_wanted(c, c->n_nodes, err);
	for (size_t n = c->n_nodes; !rc && c->n_wanted; n /= 2) {
		struct inlay_error refusal = { 0 };
		free(tensors);
		tensors = calloc(c->n_wanted, sizeof *tensors);
		rc = tensors ? compute(c, n, tensors, &refusal) : il_fail_memory(err);
		if (!rc) {
			*stored = store_all(c, tensors);
			*again |= n < c->n_nodes;
			break;
		}
		if (rc == INLAY_ERR_MEMORY || n == 0)
			break;
		il_log_debug("constants: %s", refusal.text);
		if (n == 1)
			*again = refuse(c, refused);
		rc = find_wanted(c, n / 2, err);
	}
	for (size_t i = 0; tensors && i < c->n_wanted; i++)
		il_tensor_clear(&tensors[i]);
	free(tensors);
	return rc == INLAY_ERR_MEMORY ? il_fail_memory(err) : INLAY_OK;
}

enum inlay_err il_pass_fold(struct il_graph *graph, unsigned *changes, struct inlay_error *err)
{
	struct il_table refused = { 0 };
	enum inlay_err rc = INLAY_OK;
	bool again = true;
	for (int round = 0; !rc && again && round < MAX_ROUNDS; round++) {
		struct choice c = { .graph = graph, .refused = &refused };
		unsigned stored = 0;
		again = false;
		rc = choose(&c, err);
		if (!rc)
			rc = fold_chosen(&c, &refused, &stored, &again, err);
		clear_choice(&c);
		if (changes)
			*changes += stored;
	}
	il_table_destroy(&refused);
	return rc ? rc : il_graph_check(graph, err);
}
