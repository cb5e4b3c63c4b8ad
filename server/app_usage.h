/* How long each avatar's batches took: an entry for every avatar that was ever drawn. */
#ifndef SERVER_APP_USAGE_H
#define SERVER_APP_USAGE_H

#include <stdint.h>

#include "base/error.h"

/* Any number of threads. */
struct app_usage_table;

enum inlay_err app_usage_create(struct app_usage_table **table, struct inlay_error *err);
void app_usage_destroy(struct app_usage_table **table);

struct app_usage {
	int64_t requests, inference_ns;
};
/* Adds a request; without memory for a new avatar it goes uncounted. */
void app_usage_add(struct app_usage_table *table, const char *id, int64_t inference_ns);
struct app_usage app_usage_find(struct app_usage_table *table, const char *id); /* {0} where there is none */

#endif
