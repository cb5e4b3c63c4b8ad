/* Safetensors files: named tensors behind a JSON header, mapped read-only; and a writer that survives being killed.
 *
 * Layout (github.com/huggingface/safetensors): 8 bytes little-endian length of the header; the header, JSON in UTF-8,
 * {"NAME": {"dtype": "F16", "shape": [1, 16], "data_offsets": [BEGIN, END]}, ..., "__metadata__": {TEXT: TEXT}}, with
 * spaces allowed behind it; the data, little-endian and row-major. The tensors fill the data from its first byte to its
 * last without a gap, which is why what aligns them here are tensors too, named __pad__.N.
 *
 * Ours also hold a checksum a tensor: "__metadata__": {"xxh3": 16 hexadecimal digits for each tensor in the order of
 * the data, pads included}. A sum is XXH3-64 of the tensor's bytes, seeded with that of the text "DTYPE D0,D1,...",
 * which is seeded with that of the name, whose seed is 0: so a changed name or shape shows as well.
 */
#ifndef IL_BASE_SAFETENSORS_H
#define IL_BASE_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define IL_SAFETENSOR_MAX_RANK 8
#define IL_SAFETENSORS_MAX_HEADER 100000000 /* the format's own limit */
#define IL_SAFETENSORS_PAD "__pad__."

enum il_safetensor_type {
	IL_ST_BOOL,
	IL_ST_U8,
	IL_ST_I8,
	IL_ST_F8_E5M2,
	IL_ST_F8_E4M3,
	IL_ST_U16,
	IL_ST_I16,
	IL_ST_F16,
	IL_ST_BF16,
	IL_ST_U32,
	IL_ST_I32,
	IL_ST_F32,
	IL_ST_U64,
	IL_ST_I64,
	IL_ST_F64,
};

size_t il_safetensor_item_size(enum il_safetensor_type type);
/* "F16" and so on, as in the header. */
const char *il_safetensor_type_name(enum il_safetensor_type type);
/* False for a name that is none of them. */
bool il_safetensor_type_parse(const char *name, enum il_safetensor_type *type);

struct il_safetensor {
	const char *name;
	enum il_safetensor_type type;
	int rank;
	size_t dims[IL_SAFETENSOR_MAX_RANK];
	const uint8_t *data;
	size_t offset, size; /* bytes from the start of the data; bytes, the product of dims times the item's size */
};

/* True, and the product in *size, unless it overflows. */
bool il_safetensor_size(enum il_safetensor_type type, int rank, const size_t *dims, size_t *size);
/* A pad of the writer's, which says nothing. */
bool il_safetensor_is_pad(const struct il_safetensor *tensor);

/* A file open for reading. Any number of threads may read it at once; it does not change. The mapping is the file: who
 * truncates the file while it is open makes readers die of SIGBUS, who replaces it by renaming does no harm. */
struct il_safetensors;

/* Reads the header and nothing else. Refused, with INLAY_ERR_FORMAT and the name of the tensor: doubled names, sizes
 * that do not fit the shape, gaps, overlaps, data missing or left over; with INLAY_ERR_UNSUPPORTED: unknown dtypes,
 * more than 8 dimensions, more than 1000 texts of metadata. Names hold no control characters. */
enum inlay_err il_safetensors_open(struct il_safetensors **file, const char *path, struct inlay_error *err);
/* The same of bytes in memory, which outlive *file. `name` is for messages. */
enum inlay_err il_safetensors_parse(struct il_safetensors **file, const void *data, size_t size, const char *name,
                                    struct inlay_error *err);
void il_safetensors_destroy(struct il_safetensors **file);

size_t il_safetensors_count(const struct il_safetensors *file);
/* In the order of the data; NULL past the last. */
const struct il_safetensor *il_safetensors_at(const struct il_safetensors *file, size_t i);
/* NULL where there is none. Takes the same time whatever the number of tensors. */
const struct il_safetensor *il_safetensors_find(const struct il_safetensors *file, const char *name);
/* NULL where there is none. */
const char *il_safetensors_metadata(const struct il_safetensors *file, const char *key);

/* Compares all data with its checksums and names the first tensor that differs: INLAY_ERR_FORMAT. A file without sums
 * is INLAY_ERR_UNSUPPORTED. cancel: polled between tensors, may be NULL. */
enum inlay_err il_safetensors_verify(const struct il_safetensors *file, bool (*cancel)(void *ctx), void *ctx,
                                     struct inlay_error *err);

/* Tensors first .. first + count - 1 in the order of the data: gives their pages back to the system, which reads them
 * again when they are next looked at; or asks it to read them now. Hints: they never fail, and harm no other reader. */
void il_safetensors_release(const struct il_safetensors *file, size_t first, size_t count);
void il_safetensors_prefetch(const struct il_safetensors *file, size_t first, size_t count);

/* A file being written. One thread.
 *
 * PATH is written from behind its header on, and PATH.journal says, a line a tensor, what is in it. The header comes
 * last, in room kept for it. Who opens the same path again with the same plan after a kill, a crash of the machine or
 * an error goes on where that left off: what the journal says is trusted up to the last time all was synced, and
 * checked by its sums from there on. Nothing locks the file: the caller sees to it that there is one writer. */
struct il_safetensors_writer;

struct il_safetensors_plan {
	size_t tensors;    /* how many there will be at most, pads not counted */
	size_t name_bytes; /* of the longest name */
	int rank;          /* the highest */
	size_t align;      /* each tensor starts at a multiple of it in the file; 1, 2, 4 .. 4096 */
	uint64_t key;      /* says what the file is made from; with another key all starts anew */
};

enum inlay_err il_safetensors_writer_open(struct il_safetensors_writer **writer, const char *path,
                                          const struct il_safetensors_plan *plan, struct inlay_error *err);
/* Leaves PATH and PATH.journal as they are, for going on later. */
void il_safetensors_writer_destroy(struct il_safetensors_writer **writer);

/* True where the tensor is in the file already. */
bool il_safetensors_writer_has(const struct il_safetensors_writer *writer, const char *name);
/* Tensors in the file, without pads. */
size_t il_safetensors_writer_count(const struct il_safetensors_writer *writer);

/* Appends a tensor; its offset is ignored and its size checked. Names are printable ASCII without spaces, quotes and
 * backslashes. After an error the tensor is not in the file, and the call may be repeated. */
enum inlay_err il_safetensors_writer_add(struct il_safetensors_writer *writer, const struct il_safetensor *tensor,
                                         struct inlay_error *err);

/* Writes the header and syncs. PATH.journal stays until the caller has the file where it belongs. */
enum inlay_err il_safetensors_writer_finish(struct il_safetensors_writer *writer, struct inlay_error *err);
/* Removes PATH.journal. */
void il_safetensors_forget(const char *path);

#endif
