/* What inlay model info tells of any ONNX model: operators, weights, work, and each node's share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_model.h"
#include "infer/graph_info.h"
#include "infer/model_time.h"
#include "infer/optimize.h"

#define TIMED_RUNS 10

struct operator_count {
	const char *domain, *op_type;
	unsigned count;
};

struct model_report {
	struct model_report_params params;
	struct il_graph *graph;
	struct il_graph_cost cost;
	struct il_model_time time;
	struct operator_count *operators; /* most frequent first */
	size_t n_operators;
};

/* ---- gathering ---- */

static const char *domain_of(const il_node *node)
{
	return node->domain && strcmp(node->domain, "ai.onnx") != 0 ? node->domain : "";
}

static int by_count(const void *a, const void *b)
{
	const struct operator_count *x = a, *y = b;
	return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : strcmp(x->op_type, y->op_type);
}

static enum inlay_err count_operators(struct model_report *r, struct inlay_error *err)
{
	size_t n = il_graph_nodes(r->graph);
	r->operators = calloc(n + 1, sizeof *r->operators);
	if (!r->operators)
		return il_fail_memory(err);
	for (size_t i = 0; i < n; i++) {
		const il_node *node = il_graph_node(r->graph, i);
		size_t k = 0;
		while (k < r->n_operators && (strcmp(r->operators[k].op_type, node->op_type) != 0 ||
		                              strcmp(r->operators[k].domain, domain_of(node)) != 0))
			k++;
		if (k == r->n_operators)
			r->operators[r->n_operators++] = (struct operator_count){ domain_of(node), node->op_type, 0 };
		r->operators[k].count++;
	}
	qsort(r->operators, r->n_operators, sizeof *r->operators, by_count);
	return INLAY_OK;
}

enum inlay_err model_report_create(struct model_report **report, const struct model_report_params *params,
                                   struct inlay_error *err)
{
	struct model_report *r = calloc(1, sizeof *r);
	if (!r)
		return il_fail_memory(err);
	r->params = *params;
	enum inlay_err rc = il_graph_read(&r->graph, params->path, err);
	if (!rc)
		rc = fix_model_inputs(r->graph, params->inputs, err);
	if (!rc)
		rc = il_graph_fix_batch(r->graph, err);
	if (!rc)
		rc = il_graph_learn_shapes(r->graph, err);
	if (!rc)
		rc = count_operators(r, err);
	if (!rc && params->time)
		rc = il_model_time(params->path, params->inputs->choices, params->inputs->n, params->threads,
		                   TIMED_RUNS, &r->time, err);
	if (rc) {
		model_report_destroy(&r);
		return rc;
	}
	il_graph_find_cost(r->graph, &r->cost);
	*report = r;
	return INLAY_OK;
}

void model_report_destroy(struct model_report **report)
{
	struct model_report *r = *report;
	*report = NULL;
	if (!r)
		return;
	il_model_time_clear(&r->time);
	il_graph_destroy(&r->graph);
	free(r->operators);
	free(r);
}

/* ---- as text ---- */

static void print_format(const struct model_report *r)
{
	const Onnx__ModelProto *model = il_graph_model(r->graph);
	printf("format    ONNX version %lld, opset %lld", (long long)model->ir_version,
	       (long long)il_graph_opset(r->graph));
	for (size_t i = 0; i < model->n_opset_import; i++) {
		const char *domain = model->opset_import[i]->domain;
		if (domain && *domain && strcmp(domain, "ai.onnx") != 0)
			printf(", %s %lld", domain, (long long)model->opset_import[i]->version);
	}
	if (model->producer_name && *model->producer_name)
		printf("; by %s %s", model->producer_name, model->producer_version ? model->producer_version : "");
	printf("\n");
}

static void print_operators(const struct model_report *r)
{
	printf("nodes     %zu", r->cost.nodes);
	for (size_t i = 0; i < r->n_operators; i++) {
		const struct operator_count *o = &r->operators[i];
		printf("%s %u %s%s%s", i ? "," : ":", o->count, o->domain, *o->domain ? "." : "", o->op_type);
	}
	printf("\n");
}

static const char *format_dims(const struct il_shape *shape, char *text, size_t size)
{
	size_t used = 0;
	snprintf(text, size, "%s", shape->rank < 0 ? "?" : "1");
	for (int i = 0; i < shape->rank && used < size; i++) {
		int n = shape->dims[i] < 0
		                ? snprintf(text + used, size - used, "%s?", i ? "x" : "")
		                : snprintf(text + used, size - used, "%s%lld", i ? "x" : "", (long long)shape->dims[i]);
		used += (size_t)n;
	}
	return text;
}

static const char *node_name(const il_node *node)
{
	if (node->name && *node->name)
		return node->name;
	return node->n_output ? node->output[0] : "";
}

static void print_nodes(const struct model_report *r)
{
	printf("\n%10s %10s %10s  %-20s %-18s %s\n", "MFLOP", "KB out", "KB weights", "operator", "output", "name");
	for (size_t i = 0; i < il_graph_nodes(r->graph); i++) {
		const il_node *node = il_graph_node(r->graph, i);
		struct il_node_cost cost;
		char dims[160], work[32] = "?", bytes[32] = "?";
		il_node_find_cost(r->graph, node, &cost);
		if (cost.known) {
			snprintf(work, sizeof work, "%.3f", cost.operations / 1e6);
			snprintf(bytes, sizeof bytes, "%.1f", cost.output_bytes / 1e3);
		}
		printf("%10s %10s %10.1f  %-20s %-18s %s\n", work, bytes, cost.weight_bytes / 1e3, node->op_type,
		       node->n_output ? format_dims(il_graph_shape(r->graph, node->output[0]), dims, sizeof dims) : "",
		       node_name(node));
	}
	printf("\n");
}

static int by_time(const void *a, const void *b)
{
	const struct il_kernel_time *x = a, *y = b;
	return (x->ms < y->ms) - (x->ms > y->ms);
}

static void print_time(struct model_report *r)
{
	double all = 0;
	for (size_t i = 0; i < r->time.n_kernels; i++)
		all += r->time.kernels[i].ms;
	qsort(r->time.kernels, r->time.n_kernels, sizeof *r->time.kernels, by_time);
	printf("time      %.3f ms a run of %u thread%s, of which in nodes as ONNX Runtime has fused them %.3f ms:\n",
	       r->time.run_ms, r->params.threads, r->params.threads == 1 ? "" : "s", all);
	printf("\n%10s %6s  %-20s %s\n", "ms", "%", "operator", "name");
	for (size_t i = 0; i < r->time.n_kernels; i++) {
		const struct il_kernel_time *k = &r->time.kernels[i];
		printf("%10.3f %6.1f  %-20s %s\n", k->ms, all > 0 ? 100 * k->ms / all : 0, k->op_type, k->name);
	}
	printf("\n");
}

void model_report_print(struct model_report *r)
{
	print_format(r);
	print_operators(r);
	printf("weights   %.0f numbers, %.3f MB\n", r->cost.parameters, r->cost.weight_bytes / 1e6);
	printf("work      %.3f MFLOP, %.3f MB of results in a run", r->cost.operations / 1e6,
	       r->cost.output_bytes / 1e6);
	if (r->cost.unknown)
		printf("; not counted: %zu nodes whose shapes are not known (--input NAME=DIMS may help)",
		       r->cost.unknown);
	printf("\n");
	if (r->params.nodes)
		print_nodes(r);
	if (r->params.time)
		print_time(r);
}

/* ---- as JSON ---- */

json_t *model_text_json(const char *text)
{
	json_t *value = json_string(text ? text : "");
	if (value)
		return value;
	char plain[128];
	snprintf(plain, sizeof plain, "%s", text);
	for (char *c = plain; *c; c++)
		*c = *c & 0x80 ? '?' : *c;
	return json_string(plain);
}

enum inlay_err print_model_json(json_t *root, struct inlay_error *err)
{
	char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	json_decref(root);
	if (!text)
		return il_fail_memory(err);
	puts(text);
	free(text);
	return INLAY_OK;
}

static json_t *dims_json(const struct il_shape *shape)
{
	json_t *dims = shape->rank < 0 ? json_null() : json_array();
	for (int i = 0; i < shape->rank; i++)
		json_array_append_new(dims, shape->dims[i] < 0 ? json_null() : json_integer(shape->dims[i]));
	return dims;
}

static json_t *nodes_json(const struct model_report *r)
{
	json_t *list = json_array();
	for (size_t i = 0; i < il_graph_nodes(r->graph); i++) {
		const il_node *node = il_graph_node(r->graph, i);
		struct il_node_cost cost;
		il_node_find_cost(r->graph, node, &cost);
		const struct il_shape *shape = il_graph_shape(r->graph, node->n_output ? node->output[0] : NULL);
		json_array_append_new(
			list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:f}", "name", model_text_json(node_name(node)),
		                        "domain", model_text_json(domain_of(node)), "operator",
		                        model_text_json(node->op_type), "output", dims_json(shape), "flop",
		                        cost.known ? json_real(cost.operations) : json_null(), "output_bytes",
		                        cost.known ? json_real(cost.output_bytes) : json_null(), "weight_bytes",
		                        cost.weight_bytes));
	}
	return list;
}

static json_t *time_json(const struct model_report *r)
{
	json_t *list = json_array();
	for (size_t i = 0; i < r->time.n_kernels; i++)
		json_array_append_new(
			list, json_pack("{s:o, s:o, s:f}", "name", model_text_json(r->time.kernels[i].name), "operator",
		                        model_text_json(r->time.kernels[i].op_type), "ms", r->time.kernels[i].ms));
	return json_pack("{s:f, s:i, s:o}", "run_ms", r->time.run_ms, "threads", (int)r->params.threads, "kernels",
	                 list);
}

json_t *model_report_json(struct model_report *r)
{
	const Onnx__ModelProto *model = il_graph_model(r->graph);
	json_t *opsets = json_object(), *operators = json_array();
	for (size_t i = 0; i < model->n_opset_import; i++) {
		const char *domain = model->opset_import[i]->domain;
		json_object_set_new(opsets, domain && *domain ? domain : "ai.onnx",
		                    json_integer(model->opset_import[i]->version));
	}
	for (size_t i = 0; i < r->n_operators; i++)
		json_array_append_new(operators,
		                      json_pack("{s:o, s:o, s:i}", "domain", model_text_json(r->operators[i].domain),
		                                "operator", model_text_json(r->operators[i].op_type), "count",
		                                (int)r->operators[i].count));
	json_t *root = json_pack("{s:o, s:I, s:o, s:I, s:o, s:f, s:f, s:f, s:f, s:I}", "model",
	                         model_text_json(r->params.path), "ir_version", (json_int_t)model->ir_version, "opsets",
	                         opsets, "nodes", (json_int_t)r->cost.nodes, "operators", operators, "parameters",
	                         r->cost.parameters, "weight_bytes", r->cost.weight_bytes, "flop", r->cost.operations,
	                         "output_bytes", r->cost.output_bytes, "unknown_nodes", (json_int_t)r->cost.unknown);
	if (root && r->params.nodes)
		json_object_set_new(root, "node_list", nodes_json(r));
	if (root && r->params.time)
		json_object_set_new(root, "time", time_json(r));
	return root;
}
