#include "server/app_usage.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/sum.h"

#define FIRST_ROOM 64 /* powers of two */

struct entry {
	char *id; /* NULL: free */
	struct app_usage usage;
};

/* Open addressing, at most half full. */
struct app_usage_table {
	pthread_mutex_t lock;
	struct entry *entries; /* [room] */
	size_t room, used;
};

enum inlay_err app_usage_create(struct app_usage_table **out, struct inlay_error *err)
{
	struct app_usage_table *table = *out = calloc(1, sizeof *table);
	if (!table)
		return il_fail_memory(err);
	pthread_mutex_init(&table->lock, NULL);
	table->room = FIRST_ROOM;
	table->entries = calloc(table->room, sizeof *table->entries);
	if (table->entries)
		return INLAY_OK;
	app_usage_destroy(out);
	return il_fail_memory(err);
}

void app_usage_destroy(struct app_usage_table **out)
{
	struct app_usage_table *table = *out;
	*out = NULL;
	if (!table)
		return;
	for (size_t i = 0; table->entries && i < table->room; i++)
		free(table->entries[i].id);
	free(table->entries);
	pthread_mutex_destroy(&table->lock);
	free(table);
}

/* The entry of `id`, or the free one where it belongs. */
static struct entry *place_of(struct entry *entries, size_t room, const char *id)
{
	size_t at = (size_t)il_sum(id, strlen(id), 0) & (room - 1);
	while (entries[at].id && strcmp(entries[at].id, id) != 0)
		at = (at + 1) & (room - 1);
	return &entries[at];
}

static bool make_room(struct app_usage_table *table)
{
	if (table->used * 2 < table->room)
		return true;
	struct entry *wider = calloc(table->room * 2, sizeof *wider);
	if (!wider)
		return false;
	for (size_t i = 0; i < table->room; i++)
		if (table->entries[i].id)
			*place_of(wider, table->room * 2, table->entries[i].id) = table->entries[i];
	free(table->entries);
	table->entries = wider;
	table->room *= 2;
	return true;
}

void app_usage_add(struct app_usage_table *table, const char *id, int64_t inference_ns)
{
	pthread_mutex_lock(&table->lock);
	struct entry *entry = place_of(table->entries, table->room, id);
	if (!entry->id && make_room(table)) {
		entry = place_of(table->entries, table->room, id);
		entry->id = strdup(id);
		table->used += entry->id != NULL;
	}
	if (entry->id) {
		entry->usage.requests++;
		entry->usage.inference_ns += inference_ns;
	}
	pthread_mutex_unlock(&table->lock);
}

struct app_usage app_usage_find(struct app_usage_table *table, const char *id)
{
	pthread_mutex_lock(&table->lock);
	struct app_usage usage = place_of(table->entries, table->room, id)->usage;
	pthread_mutex_unlock(&table->lock);
	return usage;
}
