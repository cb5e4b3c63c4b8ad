#include "infer/graph_diff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct diff {
	struct il_session *a, *b;
	const struct il_diff_params *params;
	struct il_tensor *in_a, *in_b, *out_a, *out_b; /* in_b: the data are in_a's */
	double *sums;                                  /* of absolute differences; one an output */
	size_t *counts;
	uint64_t random;
};

/* Same name, type and, where both are fixed, shape. */
static enum inlay_err pair_input(const struct diff *d, int i, struct inlay_error *err)
{
	const struct il_tensor_desc *a = il_session_input(d->a, i);
	int k = il_session_find_input(d->b, il_session_input_name(d->a, i));
	if (k < 0)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: no input is named %s, as in %s", il_session_name(d->b),
		               a->name, il_session_name(d->a));
	const struct il_tensor_desc *b = il_session_input(d->b, k);
	bool fits = a->element == b->element && a->rank == b->rank;
	for (int j = 0; fits && j < b->rank; j++)
		fits = b->dims[j] < 0 || b->dims[j] == d->in_a[i].dims[j];
	if (!fits) {
		char of_a[160], of_b[160];
		return il_fail(err, INLAY_ERR_FORMAT, "input %s is %s in %s, %s in %s", a->name,
		               il_tensor_format(a, of_a, sizeof of_a), il_session_name(d->a),
		               il_tensor_format(b, of_b, sizeof of_b), il_session_name(d->b));
	}
	d->in_b[k] = d->in_a[i];
	return INLAY_OK;
}

static enum inlay_err make_inputs(struct diff *d, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	if (il_session_inputs(d->a) != il_session_inputs(d->b))
		return il_fail(err, INLAY_ERR_FORMAT, "%s has %d inputs, %s has %d", il_session_name(d->a),
		               il_session_inputs(d->a), il_session_name(d->b), il_session_inputs(d->b));
	rc = il_session_make_inputs(d->a, d->params->choices, d->params->n_choices, &d->in_a, err);
	for (int i = 0; i < il_session_inputs(d->a) && !rc; i++)
		rc = pair_input(d, i, err);
	return rc;
}

/* ---- results ---- */

static double distance(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) && isnan(b) ? 0 : INFINITY;
	return a == b ? 0 : fabs(a - b); /* two infinities are equal */
}

static enum inlay_err compare(struct diff *d, int i, struct il_diff_output *output, struct inlay_error *err)
{
	const int k_b = il_session_find_output(d->b, il_session_output_name(d->a, i));
	const struct il_tensor *a = &d->out_a[i], *b = &d->out_b[k_b];
	if (a->element != b->element || a->rank != b->rank || a->bytes != b->bytes ||
	    memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) != 0)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: output %s has another type or shape than in %s",
		               il_session_name(d->b), output->name, il_session_name(d->a));
	size_t count = il_tensor_count(a);
	for (size_t k = 0; k < count; k++) {
		double from = il_tensor_get(a, k), apart = distance(from, il_tensor_get(b, k));
		output->max_abs = fmax(output->max_abs, apart);
		output->max_relative = fmax(output->max_relative, apart / fmax(1, isfinite(from) ? fabs(from) : 1));
		d->sums[i] += apart;
	}
	d->counts[i] += count;
	output->mean_abs = d->counts[i] ? d->sums[i] / (double)d->counts[i] : 0;
	return INLAY_OK;
}

static enum inlay_err name_outputs(const struct diff *d, struct il_diff_output *outputs, struct inlay_error *err)
{
	if (il_session_outputs(d->a) != il_session_outputs(d->b))
		return il_fail(err, INLAY_ERR_FORMAT, "%s has %d outputs, %s has %d", il_session_name(d->a),
		               il_session_outputs(d->a), il_session_name(d->b), il_session_outputs(d->b));
	for (int i = 0; i < il_session_outputs(d->a); i++) {
		memcpy(outputs[i].name, il_session_output(d->a, i)->name, sizeof outputs[i].name);
		if (il_session_find_output(d->b, il_session_output_name(d->a, i)) < 0)
			return il_fail(err, INLAY_ERR_FORMAT, "%s: no output is named %s, as in %s",
			               il_session_name(d->b), outputs[i].name, il_session_name(d->a));
	}
	return INLAY_OK;
}

static enum inlay_err run(struct diff *d, bool zeros, struct il_diff_output *outputs, struct inlay_error *err)
{
	il_session_fill_inputs(d->a, d->params->choices, d->params->n_choices, d->in_a, d->params->scale,
	                       zeros ? NULL : &d->random);
	enum inlay_err rc = il_session_run_tensors(d->a, d->in_a, d->out_a, err);
	if (!rc)
		rc = il_session_run_tensors(d->b, d->in_b, d->out_b, err);
	for (int i = 0; i < il_session_outputs(d->a) && !rc; i++)
		rc = compare(d, i, &outputs[i], err);
	for (int i = 0; i < il_session_outputs(d->a); i++) {
		il_tensor_clear(&d->out_a[i]);
		il_tensor_clear(&d->out_b[i]);
	}
	return rc;
}

static bool make_room(struct diff *d, struct il_diff_output **outputs)
{
	size_t n_in = (size_t)il_session_inputs(d->a) + (size_t)il_session_inputs(d->b) + 1;
	size_t n_out = (size_t)il_session_outputs(d->a) + (size_t)il_session_outputs(d->b) + 1;
	d->in_b = calloc(n_in, sizeof *d->in_b);
	d->out_a = calloc(n_out, sizeof *d->out_a);
	d->out_b = calloc(n_out, sizeof *d->out_b);
	d->sums = calloc(n_out, sizeof *d->sums);
	d->counts = calloc(n_out, sizeof *d->counts);
	*outputs = calloc(n_out, sizeof **outputs);
	return d->in_b && d->out_a && d->out_b && d->sums && d->counts && *outputs;
}

static void clear(struct diff *d)
{
	il_session_clear_inputs(d->a, &d->in_a);
	free(d->in_b);
	free(d->out_a);
	free(d->out_b);
	free(d->sums);
	free(d->counts);
}

enum inlay_err il_session_diff(struct il_session *a, struct il_session *b, const struct il_diff_params *params,
                               struct il_diff_output **outputs, struct inlay_error *err)
{
	struct diff d = { .a = a, .b = b, .params = params, .random = params->seed ? params->seed : 1 };
	enum inlay_err rc = make_room(&d, outputs) ? INLAY_OK : il_fail_memory(err);
	if (!rc)
		rc = name_outputs(&d, *outputs, err);
	if (!rc)
		rc = make_inputs(&d, err);
	for (unsigned i = 0; i <= params->runs && !rc; i++)
		rc = run(&d, i == 0, *outputs, err);
	clear(&d);
	if (rc) {
		free(*outputs);
		*outputs = NULL;
	}
	return rc;
}
