#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/error.h"
#include "server/rpc/mouths_impl.h"

static enum inlay_err name_slot(struct mouths_slot *slot, struct inlay_error *err)
{
	uint64_t random[2];
	if (getrandom(random, sizeof random, 0) != sizeof random)
		return il_fail_errno(err, "a random name");
	snprintf(slot->name, sizeof slot->name, "inlay-%016" PRIx64 "%016" PRIx64, random[0], random[1]);
	return INLAY_OK;
}

static enum inlay_err map_slot(struct mouths_slot *slot, int fd, struct inlay_error *err)
{
	/* Where the system is out of shared memory we learn it here, not by a signal when we write. */
	errno = posix_fallocate(fd, 0, (off_t)slot->size);
	if (errno)
		return il_fail_errno(err, "%zu bytes of shared memory", slot->size);
	void *map = mmap(NULL, slot->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return il_fail_errno(err, "mapping %zu bytes of shared memory", slot->size);
	slot->map = map;
	return INLAY_OK;
}

enum inlay_err mouths_slot_create(struct mouths_slot **out, size_t size, struct inlay_error *err)
{
	struct mouths_slot *slot = calloc(1, sizeof *slot);
	*out = slot;
	if (!slot)
		return il_fail_memory(err);
	slot->size = size;
	enum inlay_err rc = name_slot(slot, err);
	char key[64];
	snprintf(key, sizeof key, "/%s", slot->name);
	int fd = rc ? -1 : shm_open(key, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (!rc && fd < 0)
		rc = il_fail_errno(err, "shared memory \"%s\"", key);
	slot->named = fd >= 0;
	if (!rc)
		rc = map_slot(slot, fd, err);
	if (fd >= 0)
		close(fd);
	if (rc)
		mouths_slot_destroy(out);
	return rc;
}

void mouths_slot_unlink(struct mouths_slot *slot)
{
	char key[64];
	if (!slot->named)
		return;
	snprintf(key, sizeof key, "/%s", slot->name);
	shm_unlink(key);
	slot->named = false;
}

void mouths_slot_destroy(struct mouths_slot **place)
{
	struct mouths_slot *slot = *place;
	*place = NULL;
	if (!slot)
		return;
	mouths_slot_unlink(slot);
	if (slot->map)
		munmap(slot->map, slot->size);
	free(slot);
}
