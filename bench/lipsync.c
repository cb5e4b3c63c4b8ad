#include "lipsync.h"

#include <jansson.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "avatar/avatar.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "infer/session.h"
#include "inlay/version.h"
#include "job/measure.h"
#include "kernel/kernel.h"
#include "median.h"
#include "plot.h"

enum { MAX_ROUNDS = 15 };

static const char *const way_names[BENCH_WAYS] = { "network alone", "job to null", "job to mp4" };

struct row {
	unsigned workers, batch, threads;
	double fps[BENCH_WAYS][MAX_ROUNDS];
	double median[BENCH_WAYS];
	int64_t peak_rss; /* of the whole job to null */
};

/* The network that the job will use. */
struct network {
	struct il_avatar *avatar; /* holds the weights of a compiled one */
	struct il_lipsync_net_params params;
};

static enum inlay_err measure_network(const struct bench_params *p, const struct network *network,
                                      const struct row *row, double *fps, struct inlay_error *err)
{
	struct il_lipsync_net_params net = network->params;
	net.threads = row->threads;
	net.batch = row->batch;
	return il_measure_network(&net, row->workers, p->frames, fps, err);
}

static bool go_on(void *ctx, int64_t done, int64_t expected)
{
	const struct bench_params *p = ctx;
	(void)done, (void)expected;
	return !p->cancelled();
}

static enum inlay_err measure_job(const struct bench_params *p, struct row *row, enum bench_way way, double *fps,
                                  struct inlay_error *err)
{
	struct inlay_lipsync_params params = p->job;
	struct inlay_lipsync *job = NULL;
	struct inlay_lipsync_stats stats;
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/bench.mp4", p->scratch);
	params.frames = p->frames;
	params.workers = row->workers;
	params.batch = row->batch;
	params.no_memo = true; /* every frame is the network's */
	params.overwrite = true;
	params.format = way == BENCH_MP4 ? "mp4" : "null";
	params.output = way == BENCH_MP4 ? path : NULL;
	malloc_trim(0);
	enum inlay_err rc = inlay_lipsync_create(&job, &params, err);
	if (!rc)
		rc = inlay_lipsync_run(job, go_on, (void *)p, err);
	if (!rc) {
		inlay_lipsync_stats(job, &stats);
		*fps = stats.fps;
		row->threads = stats.threads;
		if (way == BENCH_NULL)
			row->peak_rss = stats.peak_rss_bytes;
	}
	inlay_lipsync_destroy(&job);
	if (way == BENCH_MP4)
		unlink(path);
	return rc;
}

/* The ways take turns and the first one changes from round to round, so that no way has the machine's better
 * minutes for itself. */
static enum inlay_err measure_row(const struct bench_params *p, const struct network *network, struct row *row,
                                  struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	for (unsigned round = 0; round < p->rounds && !rc; round++)
		for (unsigned turn = 0; turn < BENCH_WAYS && !rc; turn++) {
			enum bench_way way = (enum bench_way)((round + turn) % BENCH_WAYS);
			double *fps = &row->fps[way][round];
			rc = way == BENCH_NETWORK ? measure_network(p, network, row, fps, err)
			                          : measure_job(p, row, way, fps, err);
			if (!rc && p->cancelled())
				rc = il_fail(err, INLAY_ERR_CANCELLED, "cancelled");
		}
	for (int way = 0; way < BENCH_WAYS; way++)
		row->median[way] = median(row->fps[way], p->rounds);
	return rc;
}

static double job_vs_network(const struct row *row)
{
	return row->median[BENCH_NULL] / row->median[BENCH_NETWORK];
}

/* The row with the fastest whole job: how one would run it. */
static const struct row *best_row(const struct row *rows, unsigned n)
{
	const struct row *best = rows;
	for (unsigned i = 1; i < n; i++)
		if (rows[i].median[BENCH_NULL] > best->median[BENCH_NULL])
			best = &rows[i];
	return best;
}

static void print_row(const struct row *r)
{
	printf("%7u %6u %8u  %13.2f %13.2f %13.2f  %9.3f %9.0f\n", r->workers, r->batch, r->threads,
	       r->median[BENCH_NETWORK], r->median[BENCH_NULL], r->median[BENCH_MP4], job_vs_network(r),
	       (double)r->peak_rss / 1e6);
	fflush(stdout);
}

static json_t *row_json(const struct row *r, unsigned rounds)
{
	json_t *ways = json_object();
	for (int way = 0; way < BENCH_WAYS; way++) {
		json_t *all = json_array();
		for (unsigned i = 0; i < rounds; i++)
			json_array_append_new(all, json_real(r->fps[way][i]));
		json_object_set_new(ways, way_names[way],
		                    json_pack("{s:f, s:o}", "fps", r->median[way], "rounds", all));
	}
	return json_pack("{s:i, s:i, s:i, s:o, s:f, s:I}", "workers", (int)r->workers, "batch", (int)r->batch,
	                 "threads_per_worker", (int)r->threads, "ways", ways, "job_vs_network", job_vs_network(r),
	                 "peak_rss_bytes", (json_int_t)r->peak_rss);
}

static char *json_text(const struct bench_params *p, const struct row *rows, const char *model)
{
	const struct row *best = best_row(rows, p->n_sweep);
	json_t *list = json_array();
	for (unsigned i = 0; i < p->n_sweep; i++)
		json_array_append_new(list, row_json(&rows[i], p->rounds));
	json_t *root = json_pack("{s:o, s:I, s:i, s:i, s:s, s:{s:s, s:s}, s:o, s:{s:i, s:i}, s:{s:f}}", "model",
	                         json_string_nocheck(model), "frames", (json_int_t)p->frames, "rounds", (int)p->rounds,
	                         "processors", (int)il_cpu_count(), "cpu", il_kernels_get()->name, "versions", "inlay",
	                         inlay_version(), "onnxruntime", il_infer_runtime_version(), "rows", list, "best",
	                         "workers", (int)best->workers, "batch", (int)best->batch, "ratios", "job_vs_network",
	                         job_vs_network(best));
	char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(5)) : NULL;
	json_decref(root);
	return text;
}

static char *plot_text(const struct bench_params *p, const struct row *rows)
{
	struct plot_group groups[BENCH_MAX_SWEEP];
	for (unsigned i = 0; i < p->n_sweep; i++) {
		snprintf(groups[i].label, sizeof groups[i].label, "%u x %u", rows[i].workers, rows[i].batch);
		memcpy(groups[i].values, rows[i].median, sizeof groups[i].values);
	}
	const struct plot plot = { .title = "inlay lipsync, frames a second by workers x batch",
		                   .unit = "fps",
		                   .series = { way_names[0], way_names[1], way_names[2] },
		                   .groups = groups,
		                   .n_groups = p->n_sweep };
	return plot_svg(&plot);
}

/* Writes `text`, which it frees, into a part opened before the work. */
static enum inlay_err deliver(struct il_part *part, char *text, struct inlay_error *err)
{
	enum inlay_err rc = text ? il_part_write(part, text, strlen(text), err) : il_fail_memory(err);
	free(text);
	return rc ? rc : il_part_commit(part, err);
}

static enum inlay_err find_network(const struct bench_params *p, struct network *network, struct inlay_error *err)
{
	struct il_lipsync_net_params *net = &network->params;
	enum inlay_err rc = il_avatar_open(&network->avatar, p->job.avatar, err);
	if (rc)
		return rc;
	if (p->job.model)
		net->path = p->job.model;
	else
		il_avatar_network(network->avatar, net);
	net->picture_name = p->job.input_name;
	net->audio_name = p->job.audio_name;
	net->output_name = p->job.output_name;
	return net->path ? INLAY_OK
	                 : il_fail(err, INLAY_ERR_INVALID, "%s names no network: give one (--model FILE.onnx)",
	                           p->job.avatar);
}

static enum inlay_err measure_rows(const struct bench_params *p, const struct network *network, struct row *rows,
                                   struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	unsigned processors = p->job.threads ? p->job.threads : il_cpu_count();
	printf("frames a second, median of %u rounds of %lld frames, the three ways taking turns\n"
	       "workers  batch  threads  %13s %13s %13s  job/netw.  RSS MB\n",
	       p->rounds, (long long)p->frames, way_names[0], way_names[1], way_names[2]);
	for (unsigned i = 0; i < p->n_sweep && !rc; i++) {
		rows[i].workers = p->sweep[i][0];
		rows[i].batch = p->sweep[i][1];
		rows[i].threads = il_session_threads(processors, rows[i].workers);
		rc = measure_row(p, network, &rows[i], err);
		if (!rc)
			print_row(&rows[i]);
	}
	if (rc)
		return rc;
	const struct row *best = best_row(rows, p->n_sweep);
	printf("best: %u worker%s x batch %u; the whole job reaches %.3f of the network alone\n", best->workers,
	       best->workers == 1 ? "" : "s", best->batch, job_vs_network(best));
	return INLAY_OK;
}

enum inlay_err bench_lipsync(const struct bench_params *p, struct inlay_error *err)
{
	struct network network = { 0 };
	struct il_part *json = NULL, *svg = NULL;
	struct row *rows = calloc(p->n_sweep, sizeof *rows);
	enum inlay_err rc = rows ? find_network(p, &network, err) : il_fail_memory(err);
	if (!rc && p->json)
		rc = il_part_open(&json, p->json, true, err);
	if (!rc && p->svg)
		rc = il_part_open(&svg, p->svg, true, err);
	if (!rc)
		rc = measure_rows(p, &network, rows, err);
	if (!rc && json)
		rc = deliver(json, json_text(p, rows, network.params.path), err);
	if (!rc && svg)
		rc = deliver(svg, plot_text(p, rows), err);
	il_part_destroy(&json);
	il_part_destroy(&svg);
	free(rows);
	il_avatar_destroy(&network.avatar);
	return rc;
}
