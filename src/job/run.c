#include "job/run.h"

#include "base/clock.h"
#include "base/error.h"
#include "infer/session.h"
#include "inlay/version.h"
#include "kernel/kernel.h"
#include "media/libav.h"

#define PROGRESS_MS 200

struct watcher {
	inlay_progress_fn *progress;
	void *ctx;
	int64_t expected;
};

static bool report(void *ctx, int64_t done)
{
	const struct watcher *w = ctx;
	return !w->progress || w->progress(w->ctx, done, w->expected);
}

enum inlay_err il_run(struct il_run *run, struct il_sink *sink, inlay_progress_fn *progress, void *ctx,
                      struct inlay_error *err)
{
	struct watcher watcher = { progress, ctx, run->expected };
	il_peak_rss_reset();
	int64_t wall = il_clock_ns(), cpu = il_cpu_ns();
	enum inlay_err rc = il_pipeline_run(run->pipeline, report, &watcher, PROGRESS_MS, err);
	/* A reader's end and a Ctrl-C that caused it come together: what was asked for counts. */
	if (!rc && progress && !progress(ctx, il_pipeline_stats(run->pipeline, 0)->items, run->expected))
		rc = il_fail(err, INLAY_ERR_CANCELLED, "cancelled");
	if (!rc && sink)
		rc = il_sink_finish(sink, err);
	run->wall_ns = il_clock_ns() - wall;
	run->cpu_ns = il_cpu_ns() - cpu;
	return rc;
}

bool il_run_stopping(void *ctx)
{
	const struct il_run *run = ctx;
	return run->pipeline && il_pipeline_stopping(run->pipeline);
}

void il_run_stages(const struct il_run *run, struct inlay_stage_stats *stages, unsigned n)
{
	for (unsigned s = 0; s < n; s++) {
		const struct il_stage_stats *from = il_pipeline_stats(run->pipeline, s);
		const struct il_histogram *h = &from->per_item;
		stages[s] = (struct inlay_stage_stats){
			.name = from->name,
			.workers = from->workers,
			.count = from->items,
			.total_ms = (double)h->total_ns / 1e6,
			.mean_ms = h->count ? (double)h->total_ns / 1e6 / (double)h->count : 0,
			.p50_ms = (double)il_histogram_percentile_ns(h, 0.50) / 1e6,
			.p99_ms = (double)il_histogram_percentile_ns(h, 0.99) / 1e6,
			.max_ms = (double)h->max_ns / 1e6,
		};
	}
}

static json_t *stage_json(const struct inlay_stage_stats *s)
{
	return json_pack("{s:I, s:i, s:f, s:f, s:f, s:f, s:f}", "count", (json_int_t)s->count, "workers",
	                 (int)s->workers, "total_ms", s->total_ms, "mean_ms", s->mean_ms, "p50_ms", s->p50_ms, "p99_ms",
	                 s->p99_ms, "max_ms", s->max_ms);
}

char *il_run_json(json_t *own, const struct inlay_stage_stats *stages, unsigned n)
{
	json_t *list = json_object();
	for (unsigned i = 0; i < n; i++)
		json_object_set_new(list, stages[i].name, stage_json(&stages[i]));
	json_object_set_new(own, "stages", list);
	json_object_set_new(own, "cpu", json_string(il_kernels_get()->name));
	json_object_set_new(own, "versions",
	                    json_pack("{s:s, s:s, s:s}", "inlay", inlay_version(), "onnxruntime",
	                              il_infer_runtime_version(), "ffmpeg", il_libav_version()));
	char *text = own ? json_dumps(own, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
	json_decref(own);
	return text;
}
