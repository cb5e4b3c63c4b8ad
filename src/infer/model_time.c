/* ONNX Runtime's own profile: it writes a file of JSON events, which is read and removed. */
#include "infer/model_time.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "infer/graph.h"

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

/* ---- names ---- */

/* What nodes are called in the file. The runtime writes names into JSON as they are, so it gets "<0>", "<1>" ... */
struct names {
	char **v;
	size_t n, room;
};

static void clear_names(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->v[i]);
	free(names->v);
}

static bool hide_name(struct names *names, il_node *node)
{
	char plain[32];
	if (!node->name || !*node->name)
		return true;
	if (names->n == names->room) {
		size_t room = names->room ? 2 * names->room : 256;
		char **grown = realloc(names->v, room * sizeof *grown);
		if (!grown)
			return false;
		names->v = grown;
		names->room = room;
	}
	snprintf(plain, sizeof plain, "<%zu>", names->n);
	char *copy = strdup(plain);
	if (!copy)
		return false;
	names->v[names->n++] = node->name;
	node->name = copy;
	return true;
}

static bool hide_names(struct names *names, const Onnx__GraphProto *g)
{
	bool fine = true;
	for (size_t i = 0; i < g->n_node && fine; i++) {
		il_node *node = g->node[i];
		fine = hide_name(names, node);
		for (size_t k = 0; k < node->n_attribute && fine; k++) {
			const Onnx__AttributeProto *attribute = node->attribute[k];
			fine = !attribute->g || hide_names(names, attribute->g);
			for (size_t m = 0; m < attribute->n_graphs && fine; m++)
				fine = hide_names(names, attribute->graphs[m]);
		}
	}
	return fine;
}

/* A name of the runtime, which often adds to those it got, with the file's in it. NULL when memory is out. */
static char *shown_name(const struct names *names, const char *text, const char *end)
{
	char *name = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&name, &size);
	while (out && text < end) {
		char *after = NULL;
		unsigned long i = *text == '<' && isdigit((unsigned char)text[1]) ? strtoul(text + 1, &after, 10) : 0;
		if (after && *after == '>' && i < names->n) {
			fputs(names->v[i], out);
			text = after + 1;
		} else {
			fputc(*text++, out);
		}
	}
	if (!out || fclose(out) != 0) {
		free(name);
		return NULL;
	}
	return name;
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

static bool add_kernel(struct il_model_time *time, const struct names *names, const char *name, const char *op_type)
{
	struct il_kernel_time *grown = realloc(time->kernels, (time->n_kernels + 1) * sizeof *grown);
	if (!grown)
		return false;
	time->kernels = grown;
	struct il_kernel_time *kernel = &grown[time->n_kernels];
	const char *end = name + strlen(name) - strlen("_kernel_time");
	*kernel = (struct il_kernel_time){ shown_name(names, name, end), strdup(op_type), 0 };
	time->n_kernels++;
	return kernel->name && kernel->op_type;
}

/* Each run gives the same events in the same order; the first run does not count. */
static enum inlay_err read_events(const json_t *events, unsigned runs, const struct names *names,
                                  struct il_model_time *time, struct inlay_error *err)
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
			fine = add_kernel(time, names, name, op_type);
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

static enum inlay_err read_profile(const char *path, unsigned runs, const struct names *names,
                                   struct il_model_time *time, struct inlay_error *err)
{
	struct il_bytes bytes = { 0 };
	json_t *events = NULL;
	enum inlay_err rc = il_file_read(path, MAX_PROFILE, &bytes, err);
	if (!rc)
		rc = il_json_parse(bytes.data, bytes.size, path, &events, err);
	if (!rc)
		rc = read_events(events, runs, names, time, err);
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

/* The model as the file has it but for the names of its nodes. */
static enum inlay_err open_profiled(struct il_session **session, const char *path, const char *prefix, unsigned threads,
                                    struct names *names, struct inlay_error *err)
{
	const struct il_session_params params = { .threads = threads, .profile = prefix };
	struct il_graph *graph = NULL;
	void *data = NULL;
	size_t size;
	enum inlay_err rc = il_graph_read(&graph, path, err);
	if (!rc && !hide_names(names, il_graph_model(graph)->graph))
		rc = il_fail_memory(err);
	if (!rc)
		rc = il_graph_pack(graph, &data, &size, err);
	il_graph_destroy(&graph);
	if (!rc)
		rc = il_session_open_memory(session, data, size, path, &params, err);
	free(data);
	return rc;
}

static enum inlay_err run_profiled(struct il_session *session, const struct il_input_choice *choices, size_t n_choices,
                                   unsigned runs, struct il_model_time *time, char **profile, struct inlay_error *err)
{
	struct il_tensor *inputs = NULL;
	uint64_t random = 1;
	enum inlay_err rc = il_session_make_inputs(session, choices, n_choices, &inputs, err);
	if (!rc) {
		il_session_fill_inputs(session, choices, n_choices, inputs, 1, &random);
		rc = run_all(session, inputs, runs, &time->run_ms, err);
	}
	il_session_clear_inputs(session, &inputs);
	enum inlay_err ended = il_session_end_profile(session, profile, rc ? NULL : err);
	return rc ? rc : ended;
}

/* The runtime chooses the names of its files, and writes one for a model that it refuses as well. */
static void remove_folder(const char *folder)
{
	DIR *entries = opendir(folder);
	struct dirent *entry;
	while (entries && (entry = readdir(entries)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(entries), entry->d_name, 0);
	if (entries)
		closedir(entries);
	rmdir(folder);
}

enum inlay_err il_model_time(const char *path, const struct il_input_choice *choices, size_t n_choices,
                             unsigned threads, unsigned runs, struct il_model_time *time, struct inlay_error *err)
{
	const char *root = getenv("TMPDIR");
	struct il_session *session = NULL;
	struct names names = { 0 };
	char folder[1024], prefix[1100], *profile = NULL;
	*time = (struct il_model_time){ 0 };
	snprintf(folder, sizeof folder, "%s/inlay-XXXXXX", root && *root ? root : "/tmp");
	if (!mkdtemp(folder))
		return il_fail_errno(err, "%s", folder);
	snprintf(prefix, sizeof prefix, "%s/profile", folder);
	enum inlay_err rc = open_profiled(&session, path, prefix, threads, &names, err);
	if (!rc)
		rc = run_profiled(session, choices, n_choices, runs, time, &profile, err);
	il_session_destroy(&session);
	if (!rc)
		rc = read_profile(profile, runs, &names, time, err);
	free(profile);
	clear_names(&names);
	remove_folder(folder);
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
