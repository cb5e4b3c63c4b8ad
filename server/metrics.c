#include "server/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define VALUES 64 /* of a label, beside "other" */
#define VALUE_MAX 128
#define READERS 16

static const double bounds_s[] = { 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
	                           0.25,   0.5,   1,      2.5,   5,    10,    30,   60 };
enum { BOUNDS = sizeof bounds_s / sizeof *bounds_s };

/* The numbers for one value of a label. */
struct series {
	char value[VALUE_MAX + 1];  /* UTF-8 */
	_Atomic int64_t number;     /* of a counter; of a histogram the sum in ns; of a gauge a double's bits */
	_Atomic uint64_t buckets[]; /* of a histogram: [BOUNDS + 1], not cumulative */
};

struct metric {
	struct metric *next;
	enum metrics_kind kind;
	char *name, *help, *label; /* label: or NULL */
	pthread_mutex_t lock;      /* of adding series, which are read without: they only become more */
	atomic_uint count;
	struct series *_Atomic series[VALUES + 1];
};

struct metrics {
	pthread_mutex_t lock; /* of the lists, not of what is in them */
	struct metric *first, **last;
	struct reader {
		void (*fn)(void *ctx);
		void *ctx;
	} readers[READERS];
	unsigned n_readers;
};

enum inlay_err metrics_create(struct metrics **out, struct inlay_error *err)
{
	struct metrics *metrics = *out = calloc(1, sizeof *metrics);
	if (!metrics)
		return il_fail_memory(err);
	pthread_mutex_init(&metrics->lock, NULL);
	metrics->last = &metrics->first;
	return INLAY_OK;
}

static void destroy_metric(struct metric *metric)
{
	for (unsigned i = 0; i < metric->count; i++)
		free(metric->series[i]);
	pthread_mutex_destroy(&metric->lock);
	free(metric->name);
	free(metric->help);
	free(metric->label);
	free(metric);
}

void metrics_destroy(struct metrics **slot)
{
	struct metrics *metrics = *slot;
	*slot = NULL;
	if (!metrics)
		return;
	for (struct metric *metric = metrics->first, *next; metric; metric = next) {
		next = metric->next;
		destroy_metric(metric);
	}
	pthread_mutex_destroy(&metrics->lock);
	free(metrics);
}

/* --- recording --- */

/* As much of it as is kept, with a ? for each byte that is no UTF-8: one such would spoil the whole text. */
static void clean(const char *value, char out[VALUE_MAX + 1])
{
	size_t at = 0;
	while (*value) {
		size_t n = il_utf8_bytes(value), kept = n ? n : 1;
		if (at + kept > VALUE_MAX)
			break;
		if (n)
			memcpy(out + at, value, n);
		else
			out[at] = '?';
		at += kept;
		value += kept;
	}
	out[at] = 0;
}

/* Among the first n; NULL where there is none. */
static struct series *find_series(struct metric *metric, const char *value, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct series *series = atomic_load_explicit(&metric->series[i], memory_order_acquire);
		if (!strcmp(series->value, value))
			return series;
	}
	return NULL;
}

static struct series *add_series(struct metric *metric, const char *value)
{
	pthread_mutex_lock(&metric->lock);
	unsigned n = atomic_load_explicit(&metric->count, memory_order_relaxed);
	struct series *series = find_series(metric, value, n);
	if (!series && n >= VALUES) {
		value = "other";
		series = find_series(metric, value, n);
	}
	size_t buckets = metric->kind == METRICS_HISTOGRAM ? BOUNDS + 1 : 0;
	if (!series && (series = calloc(1, sizeof *series + buckets * sizeof *series->buckets))) {
		memcpy(series->value, value, strlen(value) + 1);
		atomic_store_explicit(&metric->series[n], series, memory_order_release);
		atomic_store_explicit(&metric->count, n + 1, memory_order_release);
	}
	pthread_mutex_unlock(&metric->lock);
	return series;
}

static struct series *series_of(struct metric *metric, enum metrics_kind kind, const char *value)
{
	char cleaned[VALUE_MAX + 1] = "";
	if (!metric || metric->kind != kind)
		return NULL;
	if (metric->label && value)
		clean(value, cleaned);
	struct series *series =
		find_series(metric, cleaned, atomic_load_explicit(&metric->count, memory_order_acquire));
	return series ? series : add_series(metric, cleaned);
}

void metric_count(struct metric *metric, const char *value, int64_t n)
{
	struct series *series = n > 0 ? series_of(metric, METRICS_COUNTER, value) : NULL;
	if (series)
		atomic_fetch_add_explicit(&series->number, n, memory_order_relaxed);
}

void metric_set(struct metric *metric, const char *value, double now)
{
	struct series *series = series_of(metric, METRICS_GAUGE, value);
	int64_t bits;
	memcpy(&bits, &now, sizeof bits);
	if (series)
		atomic_store_explicit(&series->number, bits, memory_order_relaxed);
}

void metric_observe_ns(struct metric *metric, const char *value, int64_t ns)
{
	struct series *series = series_of(metric, METRICS_HISTOGRAM, value);
	if (!series)
		return;
	ns = ns < 0 ? 0 : ns;
	unsigned bucket = 0;
	while (bucket < BOUNDS && (double)ns > bounds_s[bucket] * 1e9)
		bucket++;
	atomic_fetch_add_explicit(&series->number, ns, memory_order_relaxed);
	atomic_fetch_add_explicit(&series->buckets[bucket], 1, memory_order_relaxed);
}

/* --- adding --- */

static bool valid_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
	return name[0] && !(name[0] >= '0' && name[0] <= '9') && strspn(name, letters) == strlen(name);
}

static struct metric *create_metric(enum metrics_kind kind, const char *name, const char *help, const char *label)
{
	struct metric *metric = calloc(1, sizeof *metric);
	if (!metric)
		return NULL;
	pthread_mutex_init(&metric->lock, NULL);
	metric->kind = kind;
	metric->name = strdup(name);
	metric->help = strdup(help);
	metric->label = label ? strdup(label) : NULL;
	/* Without a label its number is there from the start, as 0. */
	if (metric->name && metric->help && (label ? metric->label != NULL : add_series(metric, "") != NULL))
		return metric;
	destroy_metric(metric);
	return NULL;
}

struct metric *metrics_add(struct metrics *metrics, enum metrics_kind kind, const char *name, const char *help,
                           const char *label)
{
	if (!metrics || !valid_name(name) || (label && !valid_name(label)))
		return NULL;
	pthread_mutex_lock(&metrics->lock);
	struct metric *metric = metrics->first;
	while (metric && strcmp(metric->name, name))
		metric = metric->next;
	if (!metric && (metric = create_metric(kind, name, help, label))) {
		*metrics->last = metric;
		metrics->last = &metric->next;
	}
	pthread_mutex_unlock(&metrics->lock);
	return metric;
}

void metrics_on_read(struct metrics *metrics, void (*fn)(void *ctx), void *ctx)
{
	if (!metrics)
		return;
	pthread_mutex_lock(&metrics->lock);
	if (metrics->n_readers < READERS)
		metrics->readers[metrics->n_readers++] = (struct reader){ fn, ctx };
	pthread_mutex_unlock(&metrics->lock);
}

/* --- the text --- */

static void print_escaped(FILE *out, const char *text, bool quotes)
{
	for (; *text; text++)
		if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '\\' || (quotes && *text == '"'))
			fprintf(out, "\\%c", *text);
		else
			putc(*text, out);
}

static void print_double(FILE *out, double x)
{
	char text[40];
	if (isnan(x))
		snprintf(text, sizeof text, "NaN");
	else if (isinf(x))
		snprintf(text, sizeof text, x > 0 ? "+Inf" : "-Inf");
	else if (snprintf(text, sizeof text, "%.15g", x), strtod(text, NULL) != x)
		snprintf(text, sizeof text, "%.17g", x);
	fputs(text, out);
}

/* name, suffix, and its labels; le: a bucket's bound, or NULL. */
static void print_name(FILE *out, const struct metric *metric, const struct series *series, const char *suffix,
                       const char *le)
{
	fprintf(out, "%s%s", metric->name, suffix);
	if (metric->label || le)
		putc('{', out);
	if (metric->label) {
		fprintf(out, "%s=\"", metric->label);
		print_escaped(out, series->value, true);
		fputs(le ? "\"," : "\"", out);
	}
	if (le)
		fprintf(out, "le=\"%s\"", le);
	fputs(metric->label || le ? "} " : " ", out);
}

static void print_histogram(FILE *out, const struct metric *metric, struct series *series)
{
	uint64_t count = 0;
	for (unsigned b = 0; b <= BOUNDS; b++) {
		char le[24] = "+Inf";
		if (b < BOUNDS)
			snprintf(le, sizeof le, "%g", bounds_s[b]);
		/* One read of each bucket, so that the count is what they come to. */
		count += atomic_load_explicit(&series->buckets[b], memory_order_relaxed);
		print_name(out, metric, series, "_bucket", le);
		fprintf(out, "%llu\n", (unsigned long long)count);
	}
	long long sum = atomic_load_explicit(&series->number, memory_order_relaxed);
	print_name(out, metric, series, "_sum", NULL);
	fprintf(out, "%lld.%09lld\n", sum / 1000000000, sum % 1000000000);
	print_name(out, metric, series, "_count", NULL);
	fprintf(out, "%llu\n", (unsigned long long)count);
}

static void print_series(FILE *out, const struct metric *metric, struct series *series)
{
	int64_t number = atomic_load_explicit(&series->number, memory_order_relaxed);
	double gauge;
	switch (metric->kind) {
	case METRICS_HISTOGRAM: print_histogram(out, metric, series); return;
	case METRICS_GAUGE:
		memcpy(&gauge, &number, sizeof gauge);
		print_name(out, metric, series, "", NULL);
		print_double(out, gauge);
		putc('\n', out);
		return;
	case METRICS_COUNTER:
		print_name(out, metric, series, "", NULL);
		fprintf(out, "%lld\n", (long long)number);
		return;
	}
}

static void print_metric(FILE *out, struct metric *metric)
{
	static const char *const kinds[] = { "counter", "gauge", "histogram" };
	unsigned n = atomic_load_explicit(&metric->count, memory_order_acquire);
	if (!n)
		return;
	fprintf(out, "# HELP %s ", metric->name);
	print_escaped(out, metric->help, false);
	fprintf(out, "\n# TYPE %s %s\n", metric->name, kinds[metric->kind]);
	for (unsigned i = 0; i < n; i++)
		print_series(out, metric, atomic_load_explicit(&metric->series[i], memory_order_acquire));
}

static void call_readers(struct metrics *metrics)
{
	struct reader readers[READERS];
	pthread_mutex_lock(&metrics->lock);
	unsigned n = metrics->n_readers;
	memcpy(readers, metrics->readers, sizeof readers);
	pthread_mutex_unlock(&metrics->lock);
	for (unsigned i = 0; i < n; i++)
		readers[i].fn(readers[i].ctx);
}

enum inlay_err metrics_text(struct metrics *metrics, struct il_bytes *text, struct inlay_error *err)
{
	char *data = NULL;
	*text = (struct il_bytes){ 0 };
	call_readers(metrics);
	FILE *out = open_memstream(&data, &text->size);
	if (!out)
		return il_fail_memory(err);
	pthread_mutex_lock(&metrics->lock);
	struct metric *metric = metrics->first;
	pthread_mutex_unlock(&metrics->lock);
	while (metric) {
		print_metric(out, metric);
		pthread_mutex_lock(&metrics->lock); /* who adds one writes the last one's `next` */
		metric = metric->next;
		pthread_mutex_unlock(&metrics->lock);
	}
	bool failed = ferror(out);
	if (fclose(out) || failed) {
		free(data);
		*text = (struct il_bytes){ 0 };
		return il_fail_memory(err);
	}
	text->data = (uint8_t *)data;
	return INLAY_OK;
}
