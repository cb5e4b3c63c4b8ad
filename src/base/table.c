#include "base/table.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64

/* FNV-1a, 64 bits (G. Fowler, L. C. Noll, K.-P. Vo), folded: the low bits alone are weak. */
static size_t hash(const char *name)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (const unsigned char *c = (const unsigned char *)name; *c; c++)
		h = (h ^ *c) * 0x100000001b3u;
	return (size_t)(h ^ h >> 32);
}

/* The entry of `name`, or the free one where it belongs; there is always a free one. */
static struct il_table_entry *place(const struct il_table *table, const char *name)
{
	size_t mask = table->capacity - 1, i = hash(name) & mask;
	while (table->entries[i].name && strcmp(table->entries[i].name, name) != 0)
		i = (i + 1) & mask;
	return &table->entries[i];
}

static bool grow(struct il_table *table)
{
	struct il_table bigger = { .capacity = table->capacity ? 2 * table->capacity : FIRST_CAPACITY };
	bigger.entries = calloc(bigger.capacity, sizeof *bigger.entries);
	if (!bigger.entries)
		return false;
	for (size_t i = 0; i < table->capacity; i++) {
		if (table->entries[i].name)
			*place(&bigger, table->entries[i].name) = table->entries[i];
	}
	bigger.count = table->count;
	free(table->entries);
	*table = bigger;
	return true;
}

bool il_table_put(struct il_table *table, const char *name, uint32_t value)
{
	if (2 * (table->count + 1) > table->capacity && !grow(table))
		return false;
	struct il_table_entry *entry = place(table, name);
	table->count += !entry->name;
	*entry = (struct il_table_entry){ name, value };
	return true;
}

uint32_t *il_table_find(const struct il_table *table, const char *name)
{
	struct il_table_entry *entry = table->capacity ? place(table, name) : NULL;
	return entry && entry->name ? &entry->value : NULL;
}

void il_table_clear(struct il_table *table)
{
	if (table->entries)
		memset(table->entries, 0, table->capacity * sizeof *table->entries);
	table->count = 0;
}

void il_table_destroy(struct il_table *table)
{
	free(table->entries);
	*table = (struct il_table){ 0 };
}
