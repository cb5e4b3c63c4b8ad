/* inlay model optimize | diff: a cheaper model with the same results, and how far two models lie apart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "catalogue/catalogue.h"
#include "cmd_model.h"
#include "infer/graph_diff.h"
#include "infer/graph_info.h"
#include "infer/optimize.h"

enum { OPT_INPUT = 0x1000, OPT_FREEZE, OPT_NO_CHECK, OPT_RUNS, OPT_TOLERANCE, OPT_SCALE, OPT_JSON };

#define DEFAULT_RUNS 3
#define DEFAULT_TOLERANCE 1e-4

struct arguments {
	struct common common;
	bool diff; /* of the two commands this one */
	const char *names[2], *output;
	char *paths[2]; /* found by their names */
	struct model_inputs inputs;
	unsigned runs;
	double tolerance, scale;
	bool freeze, no_check, overwrite, json;
};

/* ---- options ---- */

static const struct argp_option optimize_options[] = {
	{ "output", 'o', "OUT.onnx", 0, "where to write the new model", 0 },
	{ "overwrite", 'y', 0, 0, "replace an existing file", 0 },
	{ "input", OPT_INPUT, "NAME=DIMS", 0, "fix " MODEL_INPUT_HELP, 0 },
	{ "freeze", OPT_FREEZE, 0, 0, "inputs that have a default (weights of old exporters) become constants", 0 },
	{ "no-check", OPT_NO_CHECK, 0, 0, "do not run both models to compare them", 0 },
	{ "runs", OPT_RUNS, "N", 0, "compare on so many random inputs, besides zeros (default 3)", 0 },
	{ "scale", OPT_SCALE, "X", 0, "random numbers are from 0 to X (default 1)", 0 },
	{ "tolerance", OPT_TOLERANCE, "X", 0, "the largest difference allowed, of max(1, |value|) (default 1e-4)", 0 },
	{ 0 },
};

static const struct argp_option diff_options[] = {
	{ "input", OPT_INPUT, "NAME=DIMS", 0, MODEL_INPUT_HELP, 0 },
	{ "runs", OPT_RUNS, "N", 0, "compare on so many random inputs, besides zeros (default 3)", 0 },
	{ "scale", OPT_SCALE, "X", 0, "random numbers are from 0 to X (default 1)", 0 },
	{ "tolerance", OPT_TOLERANCE, "X", 0,
	  "exit status 1 where a difference is larger, of max(1, |value|) (default 1e-4)", 0 },
	{ "json", OPT_JSON, 0, 0, "as JSON", 0 },
	{ 0 },
};

static const char *parse_dims(const char *text, struct il_input_choice *choice)
{
	choice->rank = *text && *text != ':' ? 0 : -1;
	while (*text && *text != ':') {
		char *end;
		long long dim = strtoll(text, &end, 10);
		if (end == text || dim < 0 || dim > INT32_MAX || choice->rank == IL_TENSOR_MAX_RANK ||
		    (*end && *end != 'x' && *end != ':') || (*end == 'x' && !end[1]))
			return NULL;
		choice->dims[choice->rank++] = dim;
		text = end + (*end == 'x');
	}
	return text;
}

void parse_model_input(const struct argp_state *state, char *text, struct model_inputs *inputs)
{
	char *equals = strrchr(text, '='), *end = NULL;
	struct il_input_choice choice = { .name = text };
	const char *rest = equals && equals > text && equals[1] ? parse_dims(equals + 1, &choice) : NULL;
	if (rest && *rest == ':') {
		choice.filled = true;
		choice.value = strtod(rest + 1, &end);
		rest = end > rest + 1 ? end : NULL;
	}
	if (!rest || *rest)
		argp_error(state, "--input: \"%s\": expected NAME=1x3x256x256, NAME=1x3:0.5 or NAME=:0.5", text);
	if (inputs->n == MODEL_MAX_INPUTS)
		argp_error(state, "--input: more than %d of them", MODEL_MAX_INPUTS);
	*equals = 0;
	inputs->choices[inputs->n++] = choice;
}

static double parse_number(const struct argp_state *state, const char *option, const char *text)
{
	char *end;
	double value = strtod(text, &end);
	if (end == text || *end || !(value >= 0 && value <= 1e30))
		argp_error(state, "--%s: \"%s\": expected a number from 0 to 1e30", option, text);
	return value;
}

static void check_arguments(const struct argp_state *state, const struct arguments *a)
{
	if (a->diff && (!a->names[0] || !a->names[1]))
		argp_error(state, "which models? %s A.onnx B.onnx", state->name);
	if (!a->diff && !a->names[0])
		argp_error(state, "which model? %s MODEL -o OUT.onnx", state->name);
	if (!a->diff && !a->output)
		argp_error(state, "expected -o OUT.onnx");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
	case 'o': a->output = arg; return 0;
	case 'y': a->overwrite = true; return 0;
	case OPT_INPUT: parse_model_input(state, arg, &a->inputs); return 0;
	case OPT_FREEZE: a->freeze = true; return 0;
	case OPT_NO_CHECK: a->no_check = true; return 0;
	case OPT_RUNS: a->runs = (unsigned)parse_integer(state, "runs", arg, 0, 10000); return 0;
	case OPT_TOLERANCE: a->tolerance = parse_number(state, "tolerance", arg); return 0;
	case OPT_SCALE: a->scale = parse_number(state, "scale", arg); return 0;
	case OPT_JSON: a->json = true; return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num >= (a->diff ? 2u : 1u))
			argp_error(state, "\"%s\" is one argument too many", arg);
		a->names[state->arg_num] = arg;
		return 0;
	case ARGP_KEY_END: check_arguments(state, a); return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &common_argp }, { 0 } };
static const struct argp optimize_argp = {
	.options = optimize_options,
	.parser = parse,
	.args_doc = "MODEL -o OUT.onnx",
	.doc = "Writes an ONNX model that gives the same results with less work: what depends on constants alone is "
	       "computed, "
	       "batch normalisations go into convolutions, nodes that do nothing or that nobody reads go, convolutions "
	       "of "
	       "concatenations are split, 1x1 convolutions move before upsampling. Then runs both on random inputs, "
	       "and "
	       "writes nothing where they differ. Any ONNX model will do. -v tells what each pass did.",
	.children = children,
};
static const struct argp diff_argp = {
	.options = diff_options,
	.parser = parse,
	.args_doc = "A.onnx B.onnx",
	.doc = "Runs two ONNX models on the same inputs, zeros and random ones, and prints how far each output lies "
	       "apart: "
	       "the largest and the mean absolute difference, and the largest relative to max(1, |value|), over all "
	       "runs.",
	.children = children,
};

enum inlay_err fix_model_inputs(struct il_graph *graph, const struct model_inputs *inputs, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	for (size_t i = 0; i < inputs->n && !rc; i++) {
		const struct il_input_choice *choice = &inputs->choices[i];
		if (choice->rank >= 0)
			rc = il_graph_fix_input(graph, choice->name, choice->rank, choice->dims, err);
	}
	return rc;
}

/* ---- comparing ---- */

static enum inlay_err compare(const struct arguments *a, struct il_session *one, struct il_session *other,
                              struct il_diff_output **outputs, double *largest, struct inlay_error *err)
{
	const struct il_diff_params params = { a->inputs.choices, a->inputs.n, a->runs, 1, a->scale };
	enum inlay_err rc = il_session_diff(one, other, &params, outputs, err);
	*largest = 0;
	for (int i = 0; i < il_session_outputs(one) && !rc; i++)
		*largest = (*outputs)[i].max_relative > *largest ? (*outputs)[i].max_relative : *largest;
	return rc;
}

static void print_outputs(const struct il_diff_output *outputs, int n)
{
	printf("%12s %12s %12s  %s\n", "max", "mean", "relative max", "output");
	for (int i = 0; i < n; i++)
		printf("%12.3e %12.3e %12.3e  %s\n", outputs[i].max_abs, outputs[i].mean_abs, outputs[i].max_relative,
		       outputs[i].name);
}

/* JSON knows no infinity: it is null. */
static json_t *number_json(double value)
{
	json_t *number = json_real(value);
	return number ? number : json_null();
}

static json_t *outputs_json(const struct arguments *a, const struct il_diff_output *outputs, int n, double largest)
{
	json_t *list = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o}", "name", model_text_json(outputs[i].name),
		                                      "max", number_json(outputs[i].max_abs), "mean",
		                                      number_json(outputs[i].mean_abs), "relative_max",
		                                      number_json(outputs[i].max_relative)));
	return json_pack("{s:o, s:o, s:f, s:b}", "outputs", list, "relative_max", number_json(largest), "tolerance",
	                 a->tolerance, "same", largest <= a->tolerance);
}

static enum inlay_err diff(const struct arguments *a, double *largest, struct inlay_error *err)
{
	struct il_session *sessions[2] = { NULL, NULL };
	struct il_diff_output *outputs = NULL;
	enum inlay_err rc = il_session_open(&sessions[0], a->paths[0], NULL, err);
	if (!rc)
		rc = il_session_open(&sessions[1], a->paths[1], NULL, err);
	if (!rc)
		rc = compare(a, sessions[0], sessions[1], &outputs, largest, err);
	if (!rc && a->json)
		rc = print_model_json(outputs_json(a, outputs, il_session_outputs(sessions[0]), *largest), err);
	else if (!rc)
		print_outputs(outputs, il_session_outputs(sessions[0]));
	free(outputs);
	il_session_destroy(&sessions[0]);
	il_session_destroy(&sessions[1]);
	return rc;
}

/* ---- optimising ---- */

static enum inlay_err check_same(const struct arguments *a, const void *data, size_t size, double *largest,
                                 struct inlay_error *err)
{
	struct il_session *before = NULL, *after = NULL;
	struct il_diff_output *outputs = NULL;
	enum inlay_err rc = il_session_open(&before, a->paths[0], NULL, err);
	if (!rc)
		rc = il_session_open_memory(&after, data, size, a->output, NULL, err);
	if (!rc)
		rc = compare(a, before, after, &outputs, largest, err);
	if (!rc && !(*largest <= a->tolerance))
		rc = il_fail(err, INLAY_ERR_FORMAT,
		             "%s: the results of the new model differ by %.3g; expected at most %.3g (--tolerance). "
		             "Nothing was written",
		             a->paths[0], *largest, a->tolerance);
	free(outputs);
	il_session_destroy(&before);
	il_session_destroy(&after);
	return rc;
}

static void tell(const struct arguments *a, const struct il_graph_cost *before, const struct il_graph_cost *after,
                 const unsigned *changes, double largest)
{
	char apart[80] = "not compared";
	for (int i = 0; i < IL_PASSES && a->common.verbose > 0; i++)
		say("%8u %s", changes[i], il_pass_words[i]);
	if (!a->no_check)
		snprintf(apart, sizeof apart, "largest difference %.3g", largest);
	say("%s: nodes %zu -> %zu, MFLOP %.1f -> %.1f, weights %.3f -> %.3f MB; %s", a->output, before->nodes,
	    after->nodes, before->operations / 1e6, after->operations / 1e6, before->weight_bytes / 1e6,
	    after->weight_bytes / 1e6, apart);
}

/* On a copy with batch 1, so that all is known that can be. */
static enum inlay_err find_cost(struct il_graph *graph, struct il_graph_cost *cost, struct inlay_error *err)
{
	struct il_graph *copy = NULL;
	enum inlay_err rc = il_graph_copy(&copy, graph, err);
	if (!rc)
		rc = il_graph_fix_batch(copy, err);
	if (!rc)
		rc = il_graph_learn_shapes(copy, err);
	if (!rc)
		il_graph_find_cost(copy, cost);
	il_graph_destroy(&copy);
	return rc;
}

static enum inlay_err rewrite(const struct arguments *a, struct il_graph *graph, struct inlay_error *err)
{
	struct il_graph_cost before, after;
	unsigned changes[IL_PASSES] = { 0 };
	double largest = 0;
	void *data = NULL;
	size_t size;
	enum inlay_err rc = fix_model_inputs(graph, &a->inputs, err);
	if (!rc && a->freeze)
		il_graph_freeze(graph);
	if (!rc)
		rc = find_cost(graph, &before, err);
	if (!rc)
		rc = il_graph_optimize(graph, changes, err);
	if (!rc)
		rc = find_cost(graph, &after, err);
	if (!rc)
		rc = il_graph_pack(graph, &data, &size, err);
	if (!rc && !a->no_check)
		rc = check_same(a, data, size, &largest, err);
	if (!rc)
		rc = il_file_write(a->output, data, size, a->overwrite, err);
	if (!rc)
		tell(a, &before, &after, changes, largest);
	free(data);
	return rc;
}

static enum inlay_err optimize(const struct arguments *a, struct inlay_error *err)
{
	struct il_graph *graph = NULL;
	if (il_path_same(a->paths[0], a->output))
		return il_fail(err, INLAY_ERR_INVALID, "%s: is read, and cannot be the output too", a->output);
	if (!a->overwrite && il_path_exists(a->output))
		return il_fail(err, INLAY_ERR_EXISTS, "%s: exists already", a->output);
	enum inlay_err rc = il_graph_read(&graph, a->paths[0], err);
	if (!rc)
		rc = rewrite(a, graph, err);
	il_graph_destroy(&graph);
	return rc;
}

/* ---- the commands ---- */

static int run(bool is_diff, int argc, char **argv)
{
	struct arguments a = { .diff = is_diff, .runs = DEFAULT_RUNS, .tolerance = DEFAULT_TOLERANCE, .scale = 1 };
	struct inlay_error err = { 0 };
	double largest = 0;
	parse_options(is_diff ? &diff_argp : &optimize_argp, argc, argv, &a);
	enum inlay_err rc = il_model_find(&a.paths[0], a.names[0], &err);
	if (!rc && is_diff)
		rc = il_model_find(&a.paths[1], a.names[1], &err);
	if (!rc)
		rc = is_diff ? diff(&a, &largest, &err) : optimize(&a, &err);
	free(a.paths[0]);
	free(a.paths[1]);
	if (rc)
		return report_error(&err);
	return is_diff && !(largest <= a.tolerance) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int cmd_model_optimize(int argc, char **argv)
{
	return run(false, argc, argv);
}

int cmd_model_diff(int argc, char **argv)
{
	return run(true, argc, argv);
}
