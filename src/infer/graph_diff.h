/* How far the results of two models lie apart on the same inputs. */
#ifndef IL_INFER_GRAPH_DIFF_H
#define IL_INFER_GRAPH_DIFF_H

#include "infer/session_inputs.h"

struct il_diff_params {
	const struct il_input_choice *choices;
	size_t n_choices;
	unsigned runs; /* on random numbers, besides one on zeros */
	uint64_t seed;
	double scale; /* random floats are from 0 to it */
};

/* Of one output, over all runs. NaN beside NaN is no difference; NaN beside a number is infinite. */
struct il_diff_output {
	char name[IL_TENSOR_NAME]; /* for people, as in il_tensor_desc */
	double max_abs, mean_abs;
	double max_relative; /* |a - b| / max(1, |a|) */
};

/* Inputs go by name. *outputs, one an output of `a`, is for free(). Models that differ in inputs, outputs, or the
 * shapes of results are INLAY_ERR_FORMAT. */
enum inlay_err il_session_diff(struct il_session *a, struct il_session *b, const struct il_diff_params *params,
                               struct il_diff_output **outputs, struct inlay_error *err);

#endif
