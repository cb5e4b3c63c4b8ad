/* ONNX Runtime's own profile: it writes a file of JSON events, which is read and removed. */
#include "infer/model_time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

#define MAX_PROFILE ((size_t)256 << 20)

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
	qsort(values, n, sizeof *values, by_value);
	return n ? values[n / 2] : 0;
}

/* ---- the profile ---- */

/* An event of a node's computation, with its name's end cut off; else NULL. */
static const char *kernel_of(const json_t *event, const char **op_type)
{
	static const char end[] = "_kernel_time";
	const char *category = json_string_value(json_object_get(event, "cat"));
	const char *name = json_string_value(json_object_get(event, "name"));
	*op_type = json_string_value(json_object_get(json_object_get(event, "args"), "op_name"));
	if (!category || !name || !*op_type || strcmp(category, "Node") != 0)
		return NULL;
	size_t n = strlen(name), tail = sizeof end - 1;
	return n > tail && !strcmp(name + n - tail, end) ? name : NULL;
}

static bool add_kernel(struct il_model_time *time, const char *name, const char *op_type)
{
	struct il_kernel_time *grown = realloc(time->kernels, (time->n_kernels + 1) * sizeof *grown);
	if (!grown)
		return false;
	time->kernels = grown;
	struct il_kernel_time *kernel = &grown[time->n_kernels];
	*kernel = (struct il_kernel_time){ strndup(name, strlen(name) - strlen("_kernel_time")), strdup(op_type), 0 };
	time->n_kernels++;
	return kernel->name && kernel->op_type;
}

/* Each run gives the same events in the same order; the first run does not count. */
static enum inlay_err read_events(const json_t *events, unsigned runs, struct il_model_time *time,
                                  struct inlay_error *err)
{
	size_t i, count = 0, per_run;
	const json_t *event;
	const char *op_type;
	json_array_foreach(events, i, event) count += kernel_of(event, &op_type) != NULL;
	per_run = count / (runs + 1);
	double *all = calloc(count + 1, sizeof *all), *one = calloc(runs + 1, sizeof *one);
	bool fine = all && one;
	count = 0;
	json_array_foreach(events, i, event)
	{
		const char *name = kernel_of(event, &op_type);
		if (!name || !fine)
			continue;
		if (count < per_run)
			fine = add_kernel(time, name, op_type);
		all[count++] = (double)json_integer_value(json_object_get(event, "dur")) / 1000.0;
	}
	for (size_t k = 0; k < per_run && fine; k++) {
		for (unsigned r = 0; r < runs; r++)
			one[r] = all[(r + 1) * per_run + k];
		time->kernels[k].ms = median(one, runs);
	}
	free(all);
	free(one);
	return fine ? INLAY_OK : il_fail_memory(err);
}

static enum inlay_err read_profile(const char *path, unsigned runs, struct il_model_time *time, struct inlay_error *err)
{
	struct il_bytes bytes = { 0 };
	json_t *events = NULL;
	enum inlay_err rc = il_file_read(path, MAX_PROFILE, &bytes, err);
	if (!rc)
		rc = il_json_parse(bytes.data, bytes.size, path, &events, err);
	if (!rc)
		rc = read_events(events, runs, time, err);
	json_decref(events);
	il_bytes_destroy(&bytes);
	return rc;
}

/* ---- running ---- */

static enum inlay_err run_all(struct il_session *session, const struct il_tensor *inputs, unsigned runs, double *run_ms,
                              struct inlay_error *err)
{
	size_t n = (size_t)il_session_outputs(session);
	struct il_tensor *outputs = calloc(n + 1, sizeof *outputs);
	double *ms = calloc(runs + 1, sizeof *ms);
	enum inlay_err rc = outputs && ms ? INLAY_OK : il_fail_memory(err);
	for (unsigned r = 0; r <= runs && !rc; r++) {
		int64_t start = il_clock_ns();
		rc = il_session_run_tensors(session, inputs, outputs, err);
		ms[r] = (double)(il_clock_ns() - start) / 1e6;
		for (size_t i = 0; i < n; i++)
			il_tensor_clear(&outputs[i]);
	}
	if (!rc)
		*run_ms = median(ms + 1, runs);
	free(outputs);
	free(ms);
	return rc;
}

static enum inlay_err run_profiled(const char *path, const char *prefix, const struct il_input_choice *choices,
                                   size_t n_choices, unsigned threads, unsigned runs, struct il_model_time *time,
                                   struct inlay_error *err)
{
	const struct il_session_params params = { .threads = threads, .profile = prefix };
	struct il_session *session = NULL;
	struct il_tensor *inputs = NULL;
	uint64_t random = 1;
	char *profile = NULL;
	enum inlay_err rc = il_session_open(&session, path, &params, err);
	if (rc)
		return rc;
	rc = il_session_make_inputs(session, choices, n_choices, &inputs, err);
	if (!rc) {
		il_session_fill_inputs(session, choices, n_choices, inputs, 1, &random);
		rc = run_all(session, inputs, runs, &time->run_ms, err);
	}
	il_session_clear_inputs(session, &inputs);
	enum inlay_err ended = il_session_end_profile(session, &profile, rc ? NULL : err);
	rc = rc ? rc : ended;
	il_session_destroy(&session);
	if (!rc)
		rc = read_profile(profile, runs, time, err);
	if (profile)
		unlink(profile);
	free(profile);
	return rc;
}

enum inlay_err il_model_time(const char *path, const struct il_input_choice *choices, size_t n_choices,
                             unsigned threads, unsigned runs, struct il_model_time *time, struct inlay_error *err)
{
	const char *root = getenv("TMPDIR");
	char folder[1024], prefix[1100];
	*time = (struct il_model_time){ 0 };
	snprintf(folder, sizeof folder, "%s/inlay-XXXXXX", root && *root ? root : "/tmp");
	if (!mkdtemp(folder))
		return il_fail_errno(err, "%s", folder);
	snprintf(prefix, sizeof prefix, "%s/profile", folder);
	enum inlay_err rc = run_profiled(path, prefix, choices, n_choices, threads, runs, time, err);
	rmdir(folder);
	if (rc)
		il_model_time_clear(time);
	return rc;
}

void il_model_time_clear(struct il_model_time *time)
{
	for (size_t i = 0; i < time->n_kernels; i++) {
		free(time->kernels[i].name);
		free(time->kernels[i].op_type);
	}
	free(time->kernels);
	*time = (struct il_model_time){ 0 };
}
