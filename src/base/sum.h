/* Checksums that find damage, not malice: XXH3 with 64 bits (xxhash.com), about as fast as memory is read. */
#ifndef IL_BASE_SUM_H
#define IL_BASE_SUM_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Any thread. Other seeds give unrelated sums. */
uint64_t il_sum(const void *data, size_t size, uint64_t seed);

struct il_file_sum {
	int64_t size, mtime_ns; /* mtime_ns: of the last change of its content, nanoseconds since 1970 */
	uint64_t sum;           /* il_sum of its content with seed 0 */
};

/* Reads a whole regular file, in pieces. */
enum inlay_err il_file_sum(const char *path, struct il_file_sum *sum, struct inlay_error *err);

/* The same without reading: `sum` is left 0. */
enum inlay_err il_file_stamp(const char *path, struct il_file_sum *sum, struct inlay_error *err);

#endif
