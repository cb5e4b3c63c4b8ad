/* Statistics of a bounded number of models. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "server/kserve.h"

/* Sorted by name. Never freed: what is counted is of the process. */
static struct {
	pthread_mutex_t lock; /* of all here */
	struct kserve_stats **all;
	size_t count, room;
} table = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Under the lock: the place of a name, or where it would be. */
static size_t place_of(const char *name, bool *found)
{
	size_t low = 0, high = table.count;
	*found = false;
	while (low < high && !*found) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name, table.all[middle]->name);
		*found = !order;
		if (order > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return high;
}

/* Under the lock: room for one more. */
static bool grow(void)
{
	if (table.count < table.room)
		return true;
	size_t room = table.room ? 2 * table.room : 16;
	struct kserve_stats **all = realloc(table.all, room * sizeof *all);
	if (!all)
		return false;
	table.all = all;
	table.room = room;
	return true;
}

/* Under the lock. NULL where no further one is counted. */
static struct kserve_stats *entry_of(const char *name)
{
	bool found;
	size_t i = place_of(name, &found);
	if (found)
		return table.all[i];
	if (table.count == KSERVE_STATS_MAX || !grow())
		return NULL;
	struct kserve_stats *entry = calloc(1, sizeof *entry);
	if (!entry)
		return NULL;
	memccpy(entry->name, name, 0, sizeof entry->name - 1);
	memmove(&table.all[i + 1], &table.all[i], (table.count - i) * sizeof *table.all);
	table.all[i] = entry;
	table.count++;
	return entry;
}

static void add_duration(struct kserve_duration *to, const struct kserve_duration *add)
{
	to->count += add->count;
	to->ns += add->ns;
}

void kserve_stats_add(const struct kserve_stats *add)
{
	pthread_mutex_lock(&table.lock);
	struct kserve_stats *to = entry_of(add->name);
	if (to) {
		to->frames += add->frames;
		to->requests += add->requests;
		if (add->last_unix_ms > to->last_unix_ms)
			to->last_unix_ms = add->last_unix_ms;
		add_duration(&to->success, &add->success);
		add_duration(&to->fail, &add->fail);
		add_duration(&to->input, &add->input);
		add_duration(&to->infer, &add->infer);
		add_duration(&to->output, &add->output);
	}
	pthread_mutex_unlock(&table.lock);
}

size_t kserve_stats_read(const char *name, struct kserve_stats *stats, size_t n)
{
	bool found = false;
	pthread_mutex_lock(&table.lock);
	size_t first = *name ? place_of(name, &found) : 0;
	size_t count = *name ? found : table.count;
	for (size_t i = 0; i < count && i < n; i++)
		stats[i] = *table.all[first + i];
	pthread_mutex_unlock(&table.lock);
	return count;
}
