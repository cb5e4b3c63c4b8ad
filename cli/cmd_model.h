/* What the verbs of inlay model share. */
#ifndef INLAY_CMD_MODEL_H
#define INLAY_CMD_MODEL_H

#include <jansson.h>

#include "cli.h"
#include "infer/graph.h"
#include "infer/session_inputs.h"

#define MODEL_MAX_INPUTS 32

/* The --input options. */
struct model_inputs {
	struct il_input_choice choices[MODEL_MAX_INPUTS];
	size_t n;
};

#define MODEL_INPUT_HELP                                                                                               \
	"dims of an input that the model leaves free (default 1), such as image=1x3x256x256; with :VALUE behind them " \
	"all "                                                                                                         \
	"of it is that number, such as rate=:16000"

/* NAME=DIMS, NAME=DIMS:VALUE or NAME=:VALUE; changes `text`. A wrong one ends the program. */
void parse_model_input(const struct argp_state *state, char *text, struct model_inputs *inputs);
/* The dims among them, in the graph. */
enum inlay_err fix_model_inputs(struct il_graph *graph, const struct model_inputs *inputs, struct inlay_error *err);

/* A name from a model as JSON, whatever bytes it holds. */
json_t *model_text_json(const char *text);
/* Takes root (NULL: out of memory) and prints it. */
enum inlay_err print_model_json(json_t *root, struct inlay_error *err);

/* inlay model info: what is in the file, and what it costs to run. */
struct model_report;
struct model_report_params {
	const char *path;
	const struct model_inputs *inputs;
	bool nodes, time; /* each node's cost; each kernel's time */
	unsigned threads;
};
enum inlay_err model_report_create(struct model_report **report, const struct model_report_params *params,
                                   struct inlay_error *err);
void model_report_destroy(struct model_report **report);
void model_report_print(struct model_report *report);
/* NULL when memory is out. */
json_t *model_report_json(struct model_report *report);

command_fn cmd_model_optimize, cmd_model_diff;

#endif
