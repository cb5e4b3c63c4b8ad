/* A table from names to numbers. */
#ifndef IL_BASE_TABLE_H
#define IL_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* {0} is empty. The names are not copied: they outlive the table. */
struct il_table {
	struct il_table_entry {
		const char *name; /* NULL: free */
		uint32_t value;
	} * entries;
	size_t capacity, count; /* capacity: a power of two, or 0 */
};

/* False when memory is out. A name that is there gets the new value. */
bool il_table_put(struct il_table *table, const char *name, uint32_t value);
/* The value of `name`, for reading and changing until the next put; NULL where it is not there. */
uint32_t *il_table_find(const struct il_table *table, const char *name);
/* Empties the table and keeps its memory. */
void il_table_clear(struct il_table *table);
void il_table_destroy(struct il_table *table);

#endif
