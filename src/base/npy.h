/* NumPy .npy files, format versions 1 to 3 (numpy.lib.format). Little-endian numbers only. */
#ifndef IL_BASE_NPY_H
#define IL_BASE_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define IL_NPY_MAX_RANK 8

enum il_npy_type { IL_NPY_F32, IL_NPY_F64, IL_NPY_U8, IL_NPY_I16, IL_NPY_I32, IL_NPY_I64 };

struct il_npy_header {
	enum il_npy_type type;
	bool fortran_order; /* first index varies fastest */
	int rank;
	size_t dims[IL_NPY_MAX_RANK];
	size_t count;       /* product of dims; 1 for rank 0 */
	size_t data_offset; /* bytes from the start of the file */
};

size_t il_npy_item_size(enum il_npy_type type);
/* "float32" and so on. */
const char *il_npy_type_name(enum il_npy_type type);

/* Parses a header out of the first `size` bytes of a file; `name` is for messages. Never reads past size. Refuses
 * other types, big-endian data, counts that overflow. Does not check that the data is all there. */
enum inlay_err il_npy_parse(const uint8_t *data, size_t size, const char *name, struct il_npy_header *header,
                            struct inlay_error *err);

/* A file mapped read-only: `data` points at the first item, checked to hold header.count items; it need not be aligned
 * to the item size. Truncating the file behind a mapping's back is the user's fault. */
struct il_npy {
	struct il_npy_header header;
	const void *data;
	void *map;
	size_t map_size;
};

enum inlay_err il_npy_open(struct il_npy *npy, const char *path, struct inlay_error *err);
void il_npy_close(struct il_npy *npy); /* accepts {0} */

/* The items of index `row` of the first dimension as float in C order: count / dims[0] of them (rank 0: one item). */
void il_npy_row_to_float(const struct il_npy *npy, size_t row, float *out);

/* All items as float in C order (Fortran order is turned round), in fresh memory owned by the caller. */
enum inlay_err il_npy_to_float(const struct il_npy *npy, float **out, struct inlay_error *err);

/* The bytes of a version 1 header for a C-order array, padded so that data starts at a multiple of 64.
 * `out` holds 256 bytes; returns the length. */
size_t il_npy_format_header(enum il_npy_type type, int rank, const size_t *dims, uint8_t out[256]);

#endif
