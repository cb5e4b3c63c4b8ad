/* Bytes as an ONNX model: read, simplified as far as that goes without ONNX Runtime, written, and read again. */
#include <stdlib.h>

#include "infer/fuse.h"
#include "infer/graph_info.h"
#include "infer/hoist.h"
#include "infer/optimize.h"
#include "infer/pass_fold.h"
#include "infer/passes.h"

#define MAX_ROUNDS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* il_graph_optimize without computing constants; what would be computed must pack. */
static enum inlay_err rewrite(struct il_graph *graph, struct inlay_error *err)
{
	static il_pass_fn *const passes[] = { il_pass_shapes, il_pass_noop,    il_pass_batchnorm, il_pass_dead,
		                              il_pass_split,  il_pass_commute, il_pass_merge };
	enum inlay_err rc = INLAY_OK;
	for (int round = 0; round < MAX_ROUNDS && !rc; round++) {
		for (size_t i = 0; i < sizeof passes / sizeof *passes && !rc; i++)
			rc = passes[i](graph, NULL, err);
		void *model = NULL;
		size_t size;
		if (!rc)
			rc = il_fold_model(graph, &model, &size, err);
		free(model);
	}
	return rc;
}

/* What was written is a model again, with as many nodes. */
static void check_packed(struct il_graph *graph)
{
	struct inlay_error err = { 0 };
	struct il_graph *again = NULL;
	void *data = NULL;
	size_t size;
	if (il_graph_pack(graph, &data, &size, &err)) {
		if (!err.code)
			abort();
		return;
	}
	if (il_graph_parse(&again, data, size, "again", &err) || il_graph_nodes(again) != il_graph_nodes(graph))
		abort();
	il_graph_destroy(&again);
	free(data);
}

/* As compiling does with a lip-sync network: what depends on the first input alone is taken out, the rest fused. */
static void part_and_fuse(struct il_graph *graph)
{
	const Onnx__GraphProto *g = il_graph_model(graph)->graph;
	const char *const inputs[] = { g->n_input ? g->input[0]->name : "" };
	const struct il_hoist_params params = { inputs, 1, 1 << 16 };
	struct inlay_error err = { 0 };
	struct il_graph *before = NULL;
	struct il_hoist_stats hoisted;
	struct il_fuse_stats fused;
	struct il_weights weights = { 0 };
	if (!il_graph_hoist(graph, &params, &before, &hoisted, &err) && !il_graph_fuse(graph, &weights, &fused, &err) &&
	    (!before || !il_graph_follow(before, graph, &err))) {
		check_packed(graph);
		if (before)
			check_packed(before);
	}
	il_graph_destroy(&before);
	il_weights_clear(&weights);
}

/* protobuf-c reads some bytes (a field 0 in two of them) that it writes as bytes it does not read: those models end
 * here. *graph is NULL then. */
static void write_and_read(struct il_graph **graph)
{
	struct il_graph *again = NULL;
	void *data = NULL;
	size_t size;
	if (!il_graph_pack(*graph, &data, &size, NULL))
		il_graph_parse(&again, data, size, "again", NULL);
	free(data);
	il_graph_destroy(graph);
	*graph = again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct inlay_error err = { 0 };
	struct il_graph *graph = NULL;
	struct il_graph_cost cost;
	if (il_graph_parse(&graph, data, size, "fuzz", &err)) {
		if (!err.code)
			abort();
		return 0;
	}
	write_and_read(&graph);
	if (!graph)
		return 0;
	il_graph_freeze(graph);
	if (!il_graph_fix_batch(graph, &err) && !rewrite(graph, &err)) {
		il_graph_find_cost(graph, &cost);
		check_packed(graph);
		part_and_fuse(graph);
	}
	il_graph_destroy(&graph);
	return 0;
}
