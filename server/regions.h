/* Shared memory of clients (POSIX objects under /dev/shm), registered by name: tensors cross without being copied
 * through a socket, and are drawn where they are read. A client that truncates its object must not kill us: a handler
 * of SIGBUS, which the process shares, puts other pages there; uses of that signal by others go to the handler that was
 * there before.
 */
#ifndef SERVER_REGIONS_H
#define SERVER_REGIONS_H

#include <stddef.h>
#include <stdint.h>

#include "inlay/error.h"

/* Any number of threads. */
struct regions;

enum inlay_err regions_create(struct regions **regions, struct inlay_error *err);
void regions_destroy(struct regions **regions);

struct region_info {
	char name[128], key[128];
	uint64_t offset, byte_size;
};

/* key: "/name" of shm_open, one slash alone, of an object that we may read and write. INLAY_ERR_EXISTS for a name that
 * is taken; INLAY_ERR_INVALID where offset + byte_size is not inside the object; INLAY_ERR_BUSY past 1024 regions. */
enum inlay_err regions_register(struct regions *regions, const struct region_info *info, struct inlay_error *err);
/* name "": all. INLAY_ERR_NOT_FOUND where there is none of that name. A region in use goes when it no longer is. */
enum inlay_err regions_unregister(struct regions *regions, const char *name, struct inlay_error *err);
/* Up to n of them, of one name or "" for all; returns how many. */
size_t regions_list(struct regions *regions, const char *name, struct region_info *infos, size_t n);

/* A part of a region while it is in use, however the region fares meanwhile. */
struct region_use {
	uint8_t *memory; /* to read and write; the client sees it, and may write it, too */
	struct region *region;
	struct regions *regions;
};
/* size bytes at `offset` of the region. INLAY_ERR_NOT_FOUND for an unknown name; INLAY_ERR_INVALID outside of it;
 * INLAY_ERR_IO where the memory is known to be gone. */
enum inlay_err regions_use(struct region_use *use, struct regions *regions, const char *name, uint64_t offset,
                           size_t size, struct inlay_error *err);
/* INLAY_ERR_IO where the memory went meanwhile: what was read may be zeros, what was written is lost. The region is of
 * no use any more until it is registered anew. */
enum inlay_err regions_end(struct region_use *use, struct inlay_error *err);

/* Copies: for what the client must not change once it is checked. */
enum inlay_err regions_read(struct regions *regions, const char *name, uint64_t offset, void *to, size_t size,
                            struct inlay_error *err);

#endif
