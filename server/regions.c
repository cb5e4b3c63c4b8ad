#include "server/regions.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define MAX_REGIONS 1024

/* A mapping whose object its owner may truncate. */
struct guard {
	atomic_uintptr_t from, to; /* from 0: free */
	atomic_uint turn;          /* counts its owners */
	atomic_bool gone;
};

struct region {
	struct region_info info;
	unsigned users; /* the table's own included */
	uint8_t *map;   /* from the page that holds `offset` on */
	size_t map_size, skip;
	struct guard *guard;
};

struct regions {
	pthread_mutex_t lock; /* of all below, and of every region's users */
	struct region *all[MAX_REGIONS];
	size_t count;
};

/* ---- memory that may vanish ---- */

/* Of the process, as its handler is; a few more than one table holds, for what is in use and no longer in it. */
static struct guard guards[2 * MAX_REGIONS];
static struct sigaction before;
static size_t page_size;
static pthread_mutex_t guards_lock = PTHREAD_MUTEX_INITIALIZER; /* of taking one, and of installing the handler */

static bool put_zeros(uintptr_t from, size_t size)
{
	return mmap((void *)from, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
	            -1, 0) != MAP_FAILED;
}

/* Puts pages of zeros where the object has none any more: who works there goes on, and learns of it when he ends. A
 * fault that is none of ours is met again after this, by who was there before us. */
static void on_sigbus(int number, siginfo_t *info, void *context)
{
	(void)context;
	const int error = errno;
	/* Sent by somebody, with no address. */
	if (info->si_code <= 0) {
		sigaction(number, &before, NULL);
		raise(number);
		return;
	}
	const uintptr_t at = (uintptr_t)info->si_addr;
	for (size_t i = 0; i < sizeof guards / sizeof *guards; i++) {
		const unsigned turn = atomic_load(&guards[i].turn);
		const uintptr_t from = atomic_load(&guards[i].from), to = atomic_load(&guards[i].to);
		/* The one that is at fault is in use and stays what it is; any other may change hands meanwhile. */
		if (!from || at < from || at >= to || atomic_load(&guards[i].turn) != turn)
			continue;
		atomic_store(&guards[i].gone, true);
		if (put_zeros(from, to - from) || put_zeros(at - at % page_size, page_size)) {
			errno = error;
			return;
		}
	}
	sigaction(SIGBUS, &before, NULL);
	errno = error;
}

static enum inlay_err install_handler(struct inlay_error *err)
{
	struct sigaction now, ours = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
	sigemptyset(&ours.sa_mask);
	pthread_mutex_lock(&guards_lock);
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	bool failed = sigaction(SIGBUS, NULL, &now) != 0;
	if (!failed && now.sa_sigaction != on_sigbus) {
		before = now;
		failed = sigaction(SIGBUS, &ours, NULL) != 0;
	}
	enum inlay_err rc = failed ? il_fail_errno(err, "shared memory: handler for SIGBUS") : INLAY_OK;
	pthread_mutex_unlock(&guards_lock);
	return rc;
}

/* NULL: there are too many. */
static struct guard *guard_take(uint8_t *map, size_t size)
{
	struct guard *guard = NULL;
	pthread_mutex_lock(&guards_lock);
	for (size_t i = 0; i < sizeof guards / sizeof *guards && !guard; i++)
		if (!atomic_load(&guards[i].from))
			guard = &guards[i];
	if (guard) {
		atomic_fetch_add(&guard->turn, 1);
		atomic_store(&guard->gone, false);
		atomic_store(&guard->to, (uintptr_t)map + size);
		atomic_store(&guard->from, (uintptr_t)map);
	}
	pthread_mutex_unlock(&guards_lock);
	return guard;
}

/* ---- the table ---- */

enum inlay_err regions_create(struct regions **out, struct inlay_error *err)
{
	*out = NULL;
	enum inlay_err rc = install_handler(err);
	if (rc)
		return rc;
	struct regions *regions = calloc(1, sizeof *regions);
	if (!regions)
		return il_fail_memory(err);
	pthread_mutex_init(&regions->lock, NULL);
	*out = regions;
	return INLAY_OK;
}

static void region_free(struct region *region)
{
	if (region && region->guard)
		atomic_store(&region->guard->from, 0);
	if (region && region->map)
		munmap(region->map, region->map_size);
	free(region);
}

void regions_destroy(struct regions **slot)
{
	struct regions *regions = *slot;
	*slot = NULL;
	if (!regions)
		return;
	for (size_t i = 0; i < regions->count; i++)
		region_free(regions->all[i]);
	pthread_mutex_destroy(&regions->lock);
	free(regions);
}

/* Ends a use; the last one frees. */
static void release(struct regions *regions, struct region *region)
{
	pthread_mutex_lock(&regions->lock);
	bool last = --region->users == 0;
	pthread_mutex_unlock(&regions->lock);
	if (last)
		region_free(region);
}

static enum inlay_err check_info(const struct region_info *info, struct inlay_error *err)
{
	if (!info->name[0] || !memchr(info->name, 0, sizeof info->name))
		return il_fail(err, INLAY_ERR_INVALID, "shared memory: name of %s: expected 1 to %zu bytes",
		               info->name[0] ? "too many bytes" : "no bytes", sizeof info->name - 1);
	const char *key = info->key;
	/* A folder, or the library's own semaphores, cannot be what a client means. */
	if (!memchr(key, 0, sizeof info->key) || key[0] != '/' || !key[1] || strchr(key + 1, '/') ||
	    !strcmp(key, "/.") || !strcmp(key, "/..") || !strncmp(key, "/sem.", 5))
		return il_fail(
			err, INLAY_ERR_INVALID,
			"shared memory region \"%s\": key \"%.*s\": expected a name of shm_open such as \"/name\"",
			info->name, (int)sizeof info->key - 1, key);
	if (!info->byte_size)
		return il_fail(err, INLAY_ERR_INVALID, "shared memory region \"%s\": 0 bytes: expected some",
		               info->name);
	return INLAY_OK;
}

static enum inlay_err fail_full(struct inlay_error *err)
{
	return il_fail(err, INLAY_ERR_BUSY, "%d shared memory regions are registered: there may be no more",
	               MAX_REGIONS);
}

static enum inlay_err map_object(struct region *region, int fd, struct inlay_error *err)
{
	const struct region_info *info = &region->info;
	struct stat st;
	if (fstat(fd, &st))
		return il_fail_errno(err, "shared memory \"%s\"", info->key);
	if (!S_ISREG(st.st_mode))
		return il_fail(err, INLAY_ERR_INVALID, "\"%s\" is no shared memory", info->key);
	uint64_t size = (uint64_t)st.st_size;
	if (info->offset > size || info->byte_size > size - info->offset)
		return il_fail(
			err, INLAY_ERR_INVALID,
			"shared memory region \"%s\": %llu bytes at %llu: expected a part of the %llu bytes of \"%s\"",
			info->name, (unsigned long long)info->byte_size, (unsigned long long)info->offset,
			(unsigned long long)size, info->key);
	uint64_t skip = info->offset % (uint64_t)sysconf(_SC_PAGESIZE);
	region->skip = (size_t)skip;
	region->map_size = (size_t)(info->byte_size + skip);
	void *map = mmap(NULL, region->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(info->offset - skip));
	if (map == MAP_FAILED)
		return il_fail_errno(err, "shared memory \"%s\": mapping %zu bytes", info->key, region->map_size);
	region->map = map;
	region->guard = guard_take(region->map, region->map_size);
	return region->guard ? INLAY_OK : fail_full(err);
}

static enum inlay_err region_open(struct region **out, const struct region_info *info, struct inlay_error *err)
{
	struct region *region = calloc(1, sizeof *region);
	if (!region)
		return il_fail_memory(err);
	region->info = *info;
	region->users = 1;
	/* A pipe of that name must not make us wait. */
	int fd = shm_open(info->key, O_RDWR | O_NONBLOCK, 0);
	enum inlay_err rc =
		fd < 0 ? il_fail_errno(err, "shared memory \"%s\"", info->key) : map_object(region, fd, err);
	if (fd >= 0)
		close(fd);
	if (rc) {
		region_free(region);
		region = NULL;
	}
	*out = region;
	return rc;
}

/* Under the lock; `count` where there is none. */
static size_t find(const struct regions *regions, const char *name)
{
	size_t i = 0;
	while (i < regions->count && strcmp(regions->all[i]->info.name, name) != 0)
		i++;
	return i;
}

enum inlay_err regions_register(struct regions *regions, const struct region_info *info, struct inlay_error *err)
{
	struct region *region = NULL;
	enum inlay_err rc = check_info(info, err);
	if (!rc)
		rc = region_open(&region, info, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&regions->lock);
	if (find(regions, info->name) < regions->count)
		rc = il_fail(err, INLAY_ERR_EXISTS, "shared memory region \"%s\" is registered already", info->name);
	else if (regions->count == MAX_REGIONS)
		rc = fail_full(err);
	else
		regions->all[regions->count++] = region;
	pthread_mutex_unlock(&regions->lock);
	if (rc)
		region_free(region);
	return rc;
}

static enum inlay_err fail_unknown(const char *name, struct inlay_error *err)
{
	return il_fail(err, INLAY_ERR_NOT_FOUND, "unknown region \"%.128s\" of shared memory", name);
}

enum inlay_err regions_unregister(struct regions *regions, const char *name, struct inlay_error *err)
{
	if (!*name) {
		for (struct region_info info; regions_list(regions, "", &info, 1);)
			regions_unregister(regions, info.name, NULL);
		return INLAY_OK;
	}
	pthread_mutex_lock(&regions->lock);
	size_t i = find(regions, name);
	struct region *region = i < regions->count ? regions->all[i] : NULL;
	if (region)
		regions->all[i] = regions->all[--regions->count];
	pthread_mutex_unlock(&regions->lock);
	if (!region)
		return fail_unknown(name, err);
	release(regions, region);
	return INLAY_OK;
}

size_t regions_list(struct regions *regions, const char *name, struct region_info *infos, size_t n)
{
	size_t found = 0;
	pthread_mutex_lock(&regions->lock);
	for (size_t i = 0; i < regions->count && found < n; i++)
		if (!*name || !strcmp(regions->all[i]->info.name, name))
			infos[found++] = regions->all[i]->info;
	pthread_mutex_unlock(&regions->lock);
	return found;
}

/* ---- uses ---- */

static enum inlay_err fail_gone(const struct region *region, struct inlay_error *err)
{
	return il_fail(
		err, INLAY_ERR_IO,
		"shared memory region \"%s\": its memory is gone: was the object truncated, or is /dev/shm full?",
		region->info.name);
}

enum inlay_err regions_use(struct region_use *use, struct regions *regions, const char *name, uint64_t offset,
                           size_t size, struct inlay_error *err)
{
	*use = (struct region_use){ .regions = regions };
	pthread_mutex_lock(&regions->lock);
	size_t i = find(regions, name);
	struct region *region = i < regions->count ? regions->all[i] : NULL;
	if (region)
		region->users++;
	pthread_mutex_unlock(&regions->lock);
	if (!region)
		return fail_unknown(name, err);
	enum inlay_err rc = INLAY_OK;
	uint64_t room = region->info.byte_size;
	if (offset > room || size > room - offset)
		rc = il_fail(err, INLAY_ERR_INVALID,
		             "shared memory region \"%s\": %zu bytes at %llu: expected a part of its %llu", name, size,
		             (unsigned long long)offset, (unsigned long long)room);
	else if (atomic_load(&region->guard->gone))
		rc = fail_gone(region, err);
	if (rc) {
		release(regions, region);
		return rc;
	}
	use->region = region;
	use->memory = region->map + region->skip + offset;
	return INLAY_OK;
}

enum inlay_err regions_end(struct region_use *use, struct inlay_error *err)
{
	struct region *region = use->region;
	enum inlay_err rc = INLAY_OK;
	if (atomic_load(&region->guard->gone)) {
		rc = fail_gone(region, err);
		madvise(region->map, region->map_size, MADV_DONTNEED); /* what was written in its place */
	}
	release(use->regions, region);
	*use = (struct region_use){ 0 };
	return rc;
}

enum inlay_err regions_read(struct regions *regions, const char *name, uint64_t offset, void *to, size_t size,
                            struct inlay_error *err)
{
	struct region_use use;
	enum inlay_err rc = regions_use(&use, regions, name, offset, size, err);
	if (rc)
		return rc;
	memcpy(to, use.memory, size);
	return regions_end(&use, err);
}
