#include "server/regions.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/test.h"

#define SIZE (1 << 20)
#define PART (SIZE / 4) /* of a thread: what others write is not its business */

static struct inlay_error err;

/* An object of its own for each test; returns its descriptor. */
static int object(char *key, size_t room, off_t size)
{
	static int next;
	snprintf(key, room, "/inlay-regions-test-%d-%d", (int)getpid(), next++);
	int fd = shm_open(key, O_CREAT | O_EXCL | O_RDWR, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static struct region_info info_of(const char *name, const char *key, uint64_t offset, uint64_t size)
{
	struct region_info info = { .offset = offset, .byte_size = size };
	snprintf(info.name, sizeof info.name, "%s", name);
	snprintf(info.key, sizeof info.key, "%s", key);
	return info;
}

static enum inlay_err write_to(struct regions *regions, const char *name, uint64_t offset, const void *from,
                               size_t size, struct inlay_error *failure)
{
	struct region_use use;
	enum inlay_err rc = regions_use(&use, regions, name, offset, size, failure);
	if (rc)
		return rc;
	memcpy(use.memory, from, size);
	return regions_end(&use, failure);
}

static void bytes_cross(void **state)
{
	(void)state;
	char key[64];
	int fd = object(key, sizeof key, SIZE);
	struct regions *regions;
	assert_ok(regions_create(&regions, &err));
	struct region_info info = info_of("a", key, 5000, 10000);
	assert_ok(regions_register(regions, &info, &err));
	uint8_t sent[300], got[300];
	for (size_t i = 0; i < sizeof sent; i++)
		sent[i] = (uint8_t)test_random();
	assert_ok(write_to(regions, "a", 9700, sent, sizeof sent, &err));
	assert_int_equal(pread(fd, got, sizeof got, 14700), sizeof got);
	assert_memory_equal(got, sent, sizeof got);
	assert_int_equal(pwrite(fd, sent + 1, 299, 5000), 299);
	assert_ok(regions_read(regions, "a", 0, got, 299, &err));
	assert_memory_equal(got, sent + 1, 299);
	regions_destroy(&regions);
	assert_null(regions);
	regions_destroy(&regions);
	close(fd);
	shm_unlink(key);
}

static void ranges_are_checked(void **state)
{
	(void)state;
	char key[64];
	int fd = object(key, sizeof key, SIZE);
	struct regions *regions;
	assert_ok(regions_create(&regions, &err));
	static const uint64_t bad[][2] = { { 0, SIZE + 1 },   { SIZE, 1 },       { 1, SIZE },
		                           { UINT64_MAX, 2 }, { 2, UINT64_MAX }, { 0, 0 } };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct region_info info = info_of("a", key, bad[i][0], bad[i][1]);
		assert_fails(regions_register(regions, &info, &err), INLAY_ERR_INVALID, "expected");
	}
	struct region_info info = info_of("a", key, 4096, 100);
	assert_ok(regions_register(regions, &info, &err));
	uint8_t byte[101] = { 0 };
	assert_ok(regions_read(regions, "a", 100, byte, 0, &err));
	assert_fails(regions_read(regions, "a", 0, byte, 101, &err), INLAY_ERR_INVALID, "expected a part of its 100");
	assert_fails(regions_read(regions, "a", UINT64_MAX, byte, 2, &err), INLAY_ERR_INVALID, "expected a part");
	struct region_use use;
	assert_fails(regions_use(&use, regions, "a", 1, SIZE_MAX, &err), INLAY_ERR_INVALID, "expected a part");
	assert_fails(regions_use(&use, regions, "b", 0, 1, &err), INLAY_ERR_NOT_FOUND, "unknown region \"b\"");
	regions_destroy(&regions);
	close(fd);
	shm_unlink(key);
}

static void keys_stay_in_their_folder(void **state)
{
	(void)state;
	struct regions *regions;
	assert_ok(regions_create(&regions, &err));
	static const char *const bad[] = { "", "/", "name", "/../etc/passwd", "/a/b", "/..", "/.", "//a", "/sem.x" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct region_info info = info_of("a", bad[i], 0, 1);
		assert_fails(regions_register(regions, &info, &err), INLAY_ERR_INVALID, "expected a name of shm_open");
	}
	struct region_info info = info_of("a", "/inlay-there-is-no-such-object", 0, 1);
	assert_fails(regions_register(regions, &info, &err), INLAY_ERR_NOT_FOUND, "no-such-object");
	info = info_of("", "/x", 0, 1);
	assert_fails(regions_register(regions, &info, &err), INLAY_ERR_INVALID, "name");
	memset(info.name, 'n', sizeof info.name);
	assert_fails(regions_register(regions, &info, &err), INLAY_ERR_INVALID, "name");
	info = info_of("a", "/x", 0, 1);
	memset(info.key + 1, 'k', sizeof info.key - 1);
	assert_fails(regions_register(regions, &info, &err), INLAY_ERR_INVALID, "key");
	regions_destroy(&regions);
}

static void names_come_and_go(void **state)
{
	(void)state;
	char key[64];
	int fd = object(key, sizeof key, SIZE);
	struct regions *regions;
	assert_ok(regions_create(&regions, &err));
	struct region_info info, list[2000];
	for (int i = 0; i < 1024; i++) {
		char name[16];
		snprintf(name, sizeof name, "r%d", i);
		info = info_of(name, key, (uint64_t)i, 1);
		assert_ok(regions_register(regions, &info, &err));
	}
	assert_fails(regions_register(regions, &info, &err), INLAY_ERR_EXISTS, "registered already");
	info = info_of("more", key, 0, 1);
	assert_fails(regions_register(regions, &info, &err), INLAY_ERR_BUSY, "no more");
	assert_int_equal(regions_list(regions, "", list, 2000), 1024);
	assert_int_equal(regions_list(regions, "", list, 5), 5);
	assert_int_equal(regions_list(regions, "r77", list, 2000), 1);
	assert_string_equal(list[0].key, key);
	assert_int_equal(list[0].offset, 77);
	assert_int_equal(regions_list(regions, "more", list, 2000), 0);
	assert_ok(regions_unregister(regions, "r77", &err));
	assert_fails(regions_unregister(regions, "r77", &err), INLAY_ERR_NOT_FOUND, "unknown region \"r77\"");
	assert_ok(regions_register(regions, &info, &err));
	assert_ok(regions_unregister(regions, "", &err));
	assert_int_equal(regions_list(regions, "", list, 2000), 0);
	regions_destroy(&regions);
	close(fd);
	shm_unlink(key);
}

/* Threads copy while the object shrinks and grows under them, and regions come and go. */
struct race {
	struct regions *regions;
	const struct region_info *info;
	atomic_bool stop;
	atomic_int gone, whole, next;
};

static void *copy(void *ctx)
{
	struct race *race = ctx;
	uint64_t offset = (uint64_t)atomic_fetch_add(&race->next, 1) * PART;
	uint8_t *bytes = calloc(1, PART);
	for (int i = 0; !atomic_load(&race->stop); i++) {
		enum inlay_err rc = i % 2 ? regions_read(race->regions, "a", offset, bytes, PART, NULL)
		                          : write_to(race->regions, "a", offset, bytes, PART, NULL);
		if (rc == INLAY_ERR_IO)
			atomic_fetch_add(&race->gone, 1);
		else if (!rc)
			atomic_fetch_add(&race->whole, 1);
		else
			assert_int_equal(rc, INLAY_ERR_NOT_FOUND);
	}
	free(bytes);
	return NULL;
}

static void truncation_is_survived(void **state)
{
	(void)state;
	char key[64];
	int fd = object(key, sizeof key, SIZE);
	struct region_info info = info_of("a", key, 0, SIZE);
	struct race race = { .info = &info };
	assert_ok(regions_create(&race.regions, &err));
	assert_ok(regions_register(race.regions, &info, &err));
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, copy, &race), 0);
	for (int i = 0; i < 300 || (i < 20000 && !(atomic_load(&race.gone) > 10 && atomic_load(&race.whole) > 10));
	     i++) {
		assert_int_equal(ftruncate(fd, i % 2 ? SIZE : 4096 * (i % 200)), 0);
		if (i % 20 == 1) {
			assert_ok(regions_unregister(race.regions, "a", &err));
			assert_ok(regions_register(race.regions, &info, &err));
		}
		usleep(200);
	}
	atomic_store(&race.stop, true);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(race.gone > 0);
	assert_true(race.whole > 0);
	uint8_t byte;
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_fails(regions_read(race.regions, "a", SIZE - 1, &byte, 1, &err), INLAY_ERR_IO, "truncated");
	regions_destroy(&race.regions);
	close(fd);
	shm_unlink(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_cross),
		cmocka_unit_test(ranges_are_checked),
		cmocka_unit_test(keys_stay_in_their_folder),
		cmocka_unit_test(names_come_and_go),
		cmocka_unit_test(truncation_is_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
