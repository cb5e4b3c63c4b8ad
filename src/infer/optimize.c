#include "infer/optimize.h"

#include <stdlib.h>
#include <string.h>

#include "infer/graph_impl.h"
#include "infer/passes.h"

#define MAX_ROUNDS 16

const char *const il_pass_words[IL_PASSES] = {
	[IL_PASS_SHAPES] = "shapes learned",
	[IL_PASS_FOLD] = "constants computed",
	[IL_PASS_NOOP] = "nodes taken out that did nothing",
	[IL_PASS_BATCHNORM] = "batch normalisations folded",
	[IL_PASS_DEAD] = "nodes and constants dropped that nobody read",
	[IL_PASS_SPLIT] = "convolutions of concatenations split",
	[IL_PASS_COMMUTE] = "1x1 convolutions moved before a resize",
	[IL_PASS_MERGE] = "1x1 convolutions merged with the one before",
};

static il_pass_fn *const passes[IL_PASSES] = {
	[IL_PASS_SHAPES] = il_pass_shapes,       [IL_PASS_FOLD] = il_pass_fold,   [IL_PASS_NOOP] = il_pass_noop,
	[IL_PASS_BATCHNORM] = il_pass_batchnorm, [IL_PASS_DEAD] = il_pass_dead,   [IL_PASS_SPLIT] = il_pass_split,
	[IL_PASS_COMMUTE] = il_pass_commute,     [IL_PASS_MERGE] = il_pass_merge,
};

/* Passes first .. last, each once. *changed: more than shapes. */
static enum inlay_err run_passes(struct il_graph *graph, enum il_pass first, enum il_pass last, unsigned *changes,
                                 bool *changed, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	*changed = false;
	for (int i = (int)first; i <= (int)last && !rc; i++) {
		unsigned count = 0;
		rc = passes[i](graph, &count, err);
		*changed |= count && i != IL_PASS_SHAPES;
		if (changes)
			changes[i] += count;
	}
	return rc;
}

enum inlay_err il_graph_simplify(struct il_graph *graph, unsigned *changes, struct inlay_error *err)
{
	bool changed = true;
	enum inlay_err rc = INLAY_OK;
	for (int round = 0; changed && !rc && round < MAX_ROUNDS; round++)
		rc = run_passes(graph, IL_PASS_SHAPES, IL_PASS_DEAD, changes, &changed, err);
	return rc;
}

enum inlay_err il_graph_optimize(struct il_graph *graph, unsigned *changes, struct inlay_error *err)
{
	bool changed;
	enum inlay_err rc = il_graph_simplify(graph, changes, err);
	if (!rc)
		rc = run_passes(graph, IL_PASS_SPLIT, IL_PASS_MERGE, changes, &changed, err);
	if (!rc && changed)
		rc = il_graph_simplify(graph, changes, err);
	return rc;
}

/* ---- shapes ---- */

/* A copy knows the shapes of values that it has no more. */
static void take_shapes(struct il_graph *graph, struct il_graph *from)
{
	for (size_t i = 0; i < il_graph_nodes(graph); i++) {
		const il_node *node = il_graph_node(graph, i);
		for (size_t k = 0; k < node->n_output; k++)
			il_graph_set_shape(graph, node->output[k], il_graph_shape(from, node->output[k]));
	}
}

enum inlay_err il_graph_learn_shapes(struct il_graph *graph, struct inlay_error *err)
{
	struct il_graph *copy = NULL;
	unsigned folded = 1;
	enum inlay_err rc = il_graph_copy(&copy, graph, err);
	for (int round = 0; folded && !rc && round < MAX_ROUNDS; round++) {
		folded = 0;
		rc = il_pass_shapes(copy, NULL, err);
		if (!rc)
			rc = il_pass_fold(copy, &folded, err);
	}
	if (!rc)
		take_shapes(graph, copy);
	il_graph_destroy(&copy);
	return rc ? rc : il_graph_check(graph, err);
}

/* ---- inputs ---- */

static Onnx__TensorShapeProto *find_dims(struct il_graph *graph, const char *input)
{
	const Onnx__GraphProto *g = graph->model->graph;
	for (size_t i = 0; i < g->n_input; i++) {
		if (!strcmp(g->input[i]->name, input)) {
			const Onnx__TypeProto *type = g->input[i]->type;
			return type && type->tensor_type ? type->tensor_type->shape : NULL;
		}
	}
	return NULL;
}

void il_graph_forget_shapes(struct il_graph *graph)
{
	Onnx__GraphProto *g = graph->model->graph;
	for (size_t i = 0; i < g->n_value_info; i++)
		onnx__value_info_proto__free_unpacked(g->value_info[i], NULL);
	g->n_value_info = 0;
	for (size_t i = 0; i < graph->n_values; i++) {
		struct il_value *value = &graph->values[i];
		if (il_graph_producer(graph, value->name))
			graph->values[i].shape = (struct il_shape){ .type = graph->values[i].shape.type, .rank = -1 };
	}
}

enum inlay_err il_graph_fix_input(struct il_graph *graph, const char *input, int rank, const int64_t *dims,
                                  struct inlay_error *err)
{
	if (!il_graph_is_input(graph, input))
		return il_fail(err, INLAY_ERR_INVALID, "%s: no input is named %s", graph->name, input);
	Onnx__TensorShapeProto *declared = find_dims(graph, input);
	struct il_shape shape = *il_graph_shape(graph, input);
	if (!declared || shape.rank < 0)
		return il_fail(err, INLAY_ERR_INVALID, "%s: input %s has no shape that could be fixed", graph->name,
		               input);
	if (shape.rank != rank)
		return il_fail(err, INLAY_ERR_INVALID, "%s: input %s has %d dims; %d were given", graph->name, input,
		               shape.rank, rank);
	for (int i = 0; i < rank; i++) {
		if (dims[i] >= 0 && shape.dims[i] >= 0 && shape.dims[i] != dims[i])
			return il_fail(err, INLAY_ERR_INVALID,
			               "%s: input %s: dim %d is %lld in the model and cannot become %lld", graph->name,
			               input, i, (long long)shape.dims[i], (long long)dims[i]);
		shape.dims[i] = dims[i] >= 0 ? dims[i] : shape.dims[i];
	}
	for (int i = 0; i < rank; i++) {
		Onnx__TensorShapeProto__Dimension *dim = declared->dim[i];
		if (dims[i] < 0)
			continue;
		if (dim->dim_param && dim->dim_param != protobuf_c_empty_string)
			free(dim->dim_param);
		dim->dim_param = NULL;
		dim->has_dim_value = true;
		dim->dim_value = dims[i];
	}
	il_graph_set_shape(graph, input, &shape);
	il_graph_forget_shapes(graph);
	return il_graph_check(graph, err);
}

enum inlay_err il_graph_fix_batch(struct il_graph *graph, struct inlay_error *err)
{
	const Onnx__GraphProto *g = graph->model->graph;
	enum inlay_err rc = INLAY_OK;
	for (size_t i = 0; i < g->n_input && !rc; i++) {
		const struct il_shape *shape = il_graph_shape(graph, g->input[i]->name);
		int64_t dims[IL_GRAPH_MAX_RANK] = { 1, -1, -1, -1, -1, -1, -1, -1 };
		if (shape->rank > 0 && shape->dims[0] < 0)
			rc = il_graph_fix_input(graph, g->input[i]->name, shape->rank, dims, err);
	}
	return rc;
}

unsigned il_graph_freeze(struct il_graph *graph)
{
	const Onnx__GraphProto *g = graph->model->graph;
	unsigned frozen = 0;
	for (size_t i = g->n_initializer; i-- > 0;) {
		if (il_graph_is_input(graph, g->initializer[i]->name)) {
			il_graph_remove_input(graph, g->initializer[i]->name);
			frozen++;
		}
	}
	return frozen;
}
