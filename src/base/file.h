/* Files: whole reads with a limit, and outputs that appear whole or not at all. */
#ifndef IL_BASE_FILE_H
#define IL_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct il_bytes {
	uint8_t *data; /* malloc'ed, with a 0 byte behind the last */
	size_t size;
};

/* Reads all of `path`; more than `limit` bytes is an error, as is a folder. */
enum inlay_err il_file_read(const char *path, size_t limit, struct il_bytes *out, struct inlay_error *err);
void il_bytes_destroy(struct il_bytes *bytes);

bool il_path_exists(const char *path);
bool il_path_is_folder(const char *path);
/* Makes a folder and those that it lies in, for this user alone (0700); those that are there stay as they are. */
enum inlay_err il_path_make_folders(const char *path, struct inlay_error *err);
/* True where both names lead to one existing file. */
bool il_path_same(const char *a, const char *b);

/* "folder/name" in fresh memory, or NULL when out of memory. An absolute name stands for itself. */
char *il_path_join(const char *folder, const char *name);
/* The folder part of `path` ("." if there is none), in fresh memory. */
char *il_path_folder(const char *path);
/* Lower-case extension without the dot, "" if there is none; valid until the next call of this thread. */
const char *il_path_extension(const char *path);

/* An output under way, written as PATH.part and locked against other runs. Exactly one of commit and discard ends it;
 * destroy of an uncommitted one discards. One thread. */
struct il_part;

/* Refuses when PATH is there and !overwrite (INLAY_ERR_EXISTS), when it is a folder, device or pipe, and when another
 * run is writing it. Creates PATH.part, so that an unwritable place is found at once. */
enum inlay_err il_part_open(struct il_part **part, const char *path, bool overwrite, struct inlay_error *err);
const char *il_part_path(const struct il_part *part); /* PATH.part */
/* Appends bytes; a caller may as well write the file by its name. */
enum inlay_err il_part_write(struct il_part *part, const void *data, size_t size, struct inlay_error *err);
/* Syncs, renames to PATH, syncs the folder. The caller has closed what it wrote. */
enum inlay_err il_part_commit(struct il_part *part, struct inlay_error *err);
void il_part_destroy(struct il_part **part);

/* Writes `size` bytes to PATH through a part. */
enum inlay_err il_file_write(const char *path, const void *data, size_t size, bool overwrite, struct inlay_error *err);

#endif
