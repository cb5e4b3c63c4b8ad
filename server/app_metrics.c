#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/app_impl.h"

/* The store counts for itself; these are its counters as metrics. */
enum counter { HITS, MISSES, LOADS, FAILURES, EVICTIONS, COUNTERS };

struct app_metrics {
	int64_t begin_ns;
	struct metric *loads, *frames, *composite, *renders, *render_time;
	struct metric *bytes, *peak, *budget, *avatars, *loaded, *running, *waiting, *memory, *uptime;
	struct metric *counters[COUNTERS];
	pthread_mutex_t lock;
	int64_t told[COUNTERS]; /* under lock: what the metrics have counted */
};

static int64_t resident_bytes(void)
{
	long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");
	if (!file)
		return 0;
	int found = fscanf(file, "%*s %lld", &pages);
	fclose(file);
	return found == 1 ? pages * sysconf(_SC_PAGESIZE) : 0;
}

static void tell_counters(struct app_metrics *own, const int64_t now[COUNTERS])
{
	pthread_mutex_lock(&own->lock);
	for (int i = 0; i < COUNTERS; i++) {
		if (now[i] <= own->told[i])
			continue;
		metric_count(own->counters[i], NULL, now[i] - own->told[i]);
		own->told[i] = now[i];
	}
	pthread_mutex_unlock(&own->lock);
}

static void on_read(void *ctx)
{
	struct app *app = ctx;
	struct app_metrics *own = app->own_metrics;
	struct il_store_stats stats;
	struct app_work_counts work;
	il_store_stats(app->store, &stats);
	app_work_counts(app->work, &work);
	metric_set(own->bytes, NULL, (double)stats.bytes);
	metric_set(own->peak, NULL, (double)stats.peak_bytes);
	metric_set(own->budget, NULL, (double)stats.budget_bytes);
	metric_set(own->avatars, NULL, (double)stats.avatars);
	metric_set(own->loaded, NULL, (double)stats.loaded);
	metric_set(own->running, NULL, work.renders);
	metric_set(own->waiting, NULL, work.waiting);
	metric_set(own->memory, NULL, (double)resident_bytes());
	metric_set(own->uptime, NULL, (double)(il_clock_ns() - own->begin_ns) / 1e9);
	const int64_t counts[COUNTERS] = {
		[HITS] = stats.hits,         [MISSES] = stats.misses,       [LOADS] = stats.loads,
		[FAILURES] = stats.failures, [EVICTIONS] = stats.evictions,
	};
	tell_counters(own, counts);
}

static void add_all(struct metrics *metrics, struct app_metrics *own)
{
	const struct {
		struct metric **metric;
		enum metrics_kind kind;
		const char *name, *help, *label;
	} list[] = {
		{ &own->bytes, METRICS_GAUGE, "inlay_store_bytes", "Memory that loaded avatars take.", NULL },
		{ &own->peak, METRICS_GAUGE, "inlay_store_peak_bytes", "The most they took.", NULL },
		{ &own->budget, METRICS_GAUGE, "inlay_store_budget_bytes", "What they may take; 0: no limit.", NULL },
		{ &own->avatars, METRICS_GAUGE, "inlay_store_avatars", "Avatars that are known.", NULL },
		{ &own->loaded, METRICS_GAUGE, "inlay_store_loaded", "Avatars that are loaded.", NULL },
		{ &own->counters[HITS], METRICS_COUNTER, "inlay_store_hits_total", "Uses of a loaded avatar.", NULL },
		{ &own->counters[MISSES], METRICS_COUNTER, "inlay_store_misses_total",
		  "Uses of an avatar that was not loaded.", NULL },
		{ &own->counters[LOADS], METRICS_COUNTER, "inlay_store_loads_total", "Avatars loaded.", NULL },
		{ &own->counters[FAILURES], METRICS_COUNTER, "inlay_store_failures_total",
		  "Avatars that could not be loaded.", NULL },
		{ &own->counters[EVICTIONS], METRICS_COUNTER, "inlay_store_evictions_total",
		  "Avatars unloaded for others.", NULL },
		{ &own->loads, METRICS_HISTOGRAM, "inlay_avatar_load_seconds", "Time to open an avatar.", "result" },
		{ &own->frames, METRICS_COUNTER, "inlay_frames_composited_total", "Frames drawn for batch requests.",
		  NULL },
		{ &own->composite, METRICS_HISTOGRAM, "inlay_composite_seconds",
		  "Time to put the mouths of a batch into its frames and to encode those.", NULL },
		{ &own->renders, METRICS_COUNTER, "inlay_renders_total", "Videos and streams that ended.", "result" },
		{ &own->render_time, METRICS_HISTOGRAM, "inlay_render_seconds", "Time that they took.", NULL },
		{ &own->running, METRICS_GAUGE, "inlay_renders", "Videos and streams being made.", NULL },
		{ &own->waiting, METRICS_GAUGE, "inlay_renders_waiting", "Videos that wait for their turn.", NULL },
		{ &own->memory, METRICS_GAUGE, "inlay_resident_bytes", "Physical memory of the process.", NULL },
		{ &own->uptime, METRICS_GAUGE, "inlay_uptime_seconds", "Since the server began.", NULL },
	};
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		*list[i].metric = metrics_add(metrics, list[i].kind, list[i].name, list[i].help, list[i].label);
}

enum inlay_err app_metrics_create(struct app *app, struct inlay_error *err)
{
	struct app_metrics *own = app->own_metrics = calloc(1, sizeof *own);
	if (!own)
		return il_fail_memory(err);
	pthread_mutex_init(&own->lock, NULL);
	own->begin_ns = il_clock_ns();
	add_all(app->metrics, own);
	metrics_on_read(app->metrics, on_read, app);
	return INLAY_OK;
}

void app_metrics_destroy(struct app_metrics **metrics)
{
	struct app_metrics *own = *metrics;
	*metrics = NULL;
	if (!own)
		return;
	pthread_mutex_destroy(&own->lock);
	free(own);
}

void app_metrics_load(struct app *app, enum inlay_err rc, int64_t ns)
{
	metric_observe_ns(app->own_metrics->loads, inlay_err_name(rc), ns);
}

void app_metrics_frames(struct app *app, unsigned n, int64_t composite_ns)
{
	metric_count(app->own_metrics->frames, NULL, n);
	metric_observe_ns(app->own_metrics->composite, NULL, composite_ns);
}

void app_metrics_render(struct app *app, enum inlay_err rc, int64_t ns)
{
	metric_count(app->own_metrics->renders, inlay_err_name(rc), 1);
	metric_observe_ns(app->own_metrics->render_time, NULL, ns);
}
