/* Numbers about a running server, and their text for Prometheus (exposition format 0.0.4). */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stdint.h>

#include "base/file.h"

/* Any number of threads; recording takes no lock that a reader holds for long. */
struct metrics;

enum inlay_err metrics_create(struct metrics **metrics, struct inlay_error *err);
void metrics_destroy(struct metrics **metrics);

/* Each name once, before it is used: letters, digits and underscores, as in inlay_requests_total. `label` is NULL or
 * the name of its one label. A metric of kind `histogram` is in seconds, with buckets from 0.5 ms to 60 s. */
enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };
struct metric;
/* NULL metrics gives NULL, which all below take and ignore; so do a name that is none and one out of memory. A name
 * that is there already gives that metric again; recording what is not of its kind is ignored. */
struct metric *metrics_add(struct metrics *metrics, enum metrics_kind kind, const char *name, const char *help,
                           const char *label);

/* value: of the label, at most 64 different ones a metric, further ones are counted as "other"; NULL without. Its first
 * 128 bytes count, and a byte of it that is no UTF-8 is shown as "?". */
void metric_count(struct metric *metric, const char *value, int64_t n);       /* counter */
void metric_set(struct metric *metric, const char *value, double now);        /* gauge */
void metric_observe_ns(struct metric *metric, const char *value, int64_t ns); /* histogram */

/* Called before the text is made, to set gauges that are read elsewhere. 16 at most, added before the first text. */
void metrics_on_read(struct metrics *metrics, void (*fn)(void *ctx), void *ctx);

/* The text, in fresh memory. */
enum inlay_err metrics_text(struct metrics *metrics, struct il_bytes *text, struct inlay_error *err);

#endif
