#define _GNU_SOURCE
#include "avatar/store.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/test.h"

/* What the fake avatars are: the size of each, how long a load takes, what is in memory now. */
static struct world {
	int64_t (*size)(const char *id);
	useconds_t load_us, unload_us;
	atomic_int loads, unloads, fail_next;
	atomic_llong bytes, peak;
	atomic_int loaded, peak_loaded;
} world;

struct fake {
	char id[IL_STORE_ID_MAX + 1];
	char path[512];
	_Atomic int64_t bytes;
	int number; /* of all loads */
};

static int64_t ten(const char *id)
{
	(void)id;
	return 10;
}

/* 1 to 10, by the number that the id ends with. */
static int64_t by_number(const char *id)
{
	return 1 + atoi(id + 1) * 7 % 10;
}

static enum inlay_err load(void *ctx, const char *id, const char *path, void **loaded, int64_t *bytes,
                           struct inlay_error *err)
{
	(void)ctx;
	usleep(world.load_us);
	int number = atomic_fetch_add(&world.loads, 1) + 1;
	if (world.fail_next > 0 && world.fail_next-- > 0) {
		snprintf(err->text, sizeof err->text, "%s: broken", id);
		return err->code = INLAY_ERR_FORMAT;
	}
	struct fake *fake = calloc(1, sizeof *fake);
	snprintf(fake->id, sizeof fake->id, "%s", id);
	snprintf(fake->path, sizeof fake->path, "%s", path);
	fake->number = number;
	fake->bytes = *bytes = world.size(id);
	long long now = atomic_fetch_add(&world.bytes, *bytes) + *bytes;
	for (long long peak = world.peak; now > peak && !atomic_compare_exchange_weak(&world.peak, &peak, now);) {
	}
	int count = atomic_fetch_add(&world.loaded, 1) + 1;
	for (int peak = world.peak_loaded;
	     count > peak && !atomic_compare_exchange_weak(&world.peak_loaded, &peak, count);) {
	}
	*loaded = fake;
	return INLAY_OK;
}

static void unload(void *ctx, void *loaded)
{
	(void)ctx;
	struct fake *fake = loaded;
	usleep(world.unload_us);
	world.bytes -= fake->bytes;
	world.loaded--;
	world.unloads++;
	memset(fake->id, 0, sizeof fake->id);
	free(fake);
}

static int64_t measure(void *ctx, void *loaded)
{
	(void)ctx;
	return ((struct fake *)loaded)->bytes;
}

static struct inlay_error err;
static char folder[256];

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *ftw)
{
	(void)s;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_folder(void)
{
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "%s", test_scratch("store"));
	remove_folder();
	memset(&world, 0, sizeof world);
	world.size = ten;
	return mkdir(folder, 0777);
}

static int teardown(void **state)
{
	(void)state;
	remove_folder();
	return 0;
}

static const char *in_folder(const char *name)
{
	static char path[512];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void make_pack(const char *name)
{
	mkdir(in_folder(name), 0777);
}

static void make_packs(int n)
{
	for (int i = 0; i < n; i++) {
		char name[32];
		snprintf(name, sizeof name, "a%d", i);
		make_pack(name);
	}
}

static void write_file(const char *name, const char *text)
{
	assert_ok(il_file_write(in_folder(name), text, strlen(text), true, &err));
}

static struct il_store *open_store(int64_t budget, unsigned max_loaded, enum il_store_eviction eviction)
{
	struct il_store *store;
	struct il_store_params params = { .folder = folder,
		                          .budget_bytes = budget,
		                          .max_loaded = max_loaded,
		                          .eviction = eviction,
		                          .load = load,
		                          .unload = unload,
		                          .measure = measure };
	assert_ok(il_store_open(&store, &params, &err));
	return store;
}

static struct il_lease *get(struct il_store *store, const char *id)
{
	struct il_lease *lease;
	assert_ok(il_store_get(store, id, &lease, &err));
	assert_string_equal(((struct fake *)il_lease_loaded(lease))->id, id);
	return lease;
}

static void use(struct il_store *store, const char *id, int times)
{
	for (int i = 0; i < times; i++) {
		struct il_lease *lease = get(store, id);
		il_lease_return(&lease);
	}
}

static bool is_loaded(struct il_store *store, const char *id)
{
	struct il_store_entry entry;
	assert_ok(il_store_find(store, id, &entry, &err));
	return entry.loaded;
}

/* Everything that was loaded was unloaded. */
static void close_store(struct il_store **store)
{
	il_store_destroy(store);
	assert_null(*store);
	assert_int_equal(world.bytes, 0);
	assert_int_equal(world.loaded, 0);
}

static void test_names(void **state)
{
	(void)state;
	static const char *const packs[] = { "anna",           "ben.inlay", "ben",         "carl.inlay.part",
		                             "carl.inlay.old", ".hidden",   "folder.json", "with space" };
	static const char *const ids[] = { "anna", "ben", "dora", "eva", "fred" };
	for (size_t i = 0; i < sizeof packs / sizeof *packs; i++)
		make_pack(packs[i]);
	write_file("dora.json", "{}");
	write_file("ben.json", "{}");
	write_file("notes.txt", "no avatar");
	assert_int_equal(symlink("anna", in_folder("eva")), 0);
	assert_int_equal(symlink("ben.inlay", in_folder("fred.inlay")), 0);

	struct il_store *store = open_store(0, 0, IL_STORE_LRU);
	struct il_store_entry entries[8];
	assert_int_equal(il_store_list(store, NULL, false, entries, 8), 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(entries[i].id, ids[i]);
	assert_int_equal(il_store_list(store, "ben", false, entries, 2), 2);
	assert_string_equal(entries[0].id, "dora");
	assert_string_equal(entries[1].id, "eva");
	assert_int_equal(il_store_list(store, "c", false, entries, 8), 3);
	assert_int_equal(il_store_list(store, "fred", false, entries, 8), 0);

	char *path = il_store_path(store, "ben");
	assert_string_equal(path, in_folder("ben.inlay"));
	free(path);
	path = il_store_path(store, "dora");
	assert_string_equal(path, in_folder("dora.json"));
	free(path);
	static const char *const none[] = { "nobody", "ben.inlay", "carl", "carl.inlay.part", "folder", "notes.txt" };
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_null(il_store_path(store, none[i]));

	use(store, "eva", 3);
	assert_int_equal(il_store_list(store, NULL, true, entries, 8), 1);
	assert_string_equal(entries[0].id, "eva");
	assert_int_equal(entries[0].uses, 3);
	assert_int_equal(entries[0].bytes, 10);
	assert_int_equal(entries[0].leases, 0);
	assert_true(entries[0].loaded_unix_ms > 1600000000000 &&
	            entries[0].last_used_unix_ms >= entries[0].loaded_unix_ms - 1000);
	close_store(&store);
}

static void test_bad_ids(void **state)
{
	(void)state;
	char longest[IL_STORE_ID_MAX + 1], too_long[IL_STORE_ID_MAX + 2];
	static char endless[100000];
	memset(longest, 'x', sizeof longest);
	memset(too_long, 'x', sizeof too_long);
	memset(endless, 'x', sizeof endless);
	longest[sizeof longest - 1] = too_long[sizeof too_long - 1] = endless[sizeof endless - 1] = 0;
	make_pack(longest);
	make_pack(too_long);
	struct il_store *store = open_store(0, 0, IL_STORE_LRU);
	make_pack(".x");
	make_pack("a b");
	const char *const bad[] = { "",    ".",   "..",  ".x", "../x", "/",      "/etc",
		                    "a/b", "a b", "x\n", "%s", "\xff", too_long, endless };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct il_lease *lease;
		struct il_store_entry entry;
		assert_fails(il_store_get(store, bad[i], &lease, &err), INLAY_ERR_NOT_FOUND, "no such avatar");
		assert_null(lease);
		assert_fails(il_store_load(store, bad[i], true, NULL, &err), INLAY_ERR_NOT_FOUND, "no such avatar");
		assert_fails(il_store_unload(store, bad[i], &err), INLAY_ERR_NOT_FOUND, "no such avatar");
		assert_fails(il_store_find(store, bad[i], &entry, &err), INLAY_ERR_NOT_FOUND, "no such avatar");
		assert_null(il_store_path(store, bad[i]));
	}
	use(store, longest, 1);
	assert_int_equal(world.loads, 1);
	close_store(&store);
	struct il_store_params params = { .folder = "/nonexistent", .load = load, .unload = unload };
	assert_fails(il_store_open(&store, &params, &err), INLAY_ERR_NOT_FOUND, "/nonexistent");
	assert_null(store);
}

static void test_many(void **state)
{
	(void)state;
	make_pack(".one");
	for (int i = 0; i < 11000; i++) {
		char name[32];
		snprintf(name, sizeof name, "avatar-%d", i);
		assert_int_equal(symlink(".one", in_folder(name)), 0);
	}
	int64_t began = il_clock_ns();
	struct il_store *store = open_store(0, 0, IL_STORE_LRU);
	int64_t took = il_clock_ns() - began;
	print_message("11,000 links: %.1f ms\n", (double)took / 1e6);
	assert_true(took < 1000000000);
	struct il_store_stats stats;
	il_store_stats(store, &stats);
	assert_int_equal(stats.avatars, 11000);
	use(store, "avatar-10999", 1);
	use(store, "avatar-0", 1);
	close_store(&store);
}

/* --- many at a time --- */

static struct il_store *shared;
static atomic_int failures;

static void *get_cold(void *number)
{
	struct il_lease *lease;
	struct inlay_error error = { 0 };
	(void)number;
	if (il_store_get(shared, "a0", &lease, &error)) {
		failures += strstr(error.text, "broken") != NULL;
		return NULL;
	}
	usleep(1000);
	il_lease_return(&lease);
	return NULL;
}

static void run_threads(int n, void *(*fn)(void *))
{
	pthread_t threads[128];
	for (int i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fn, (void *)(intptr_t)i), 0);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static void test_single_flight(void **state)
{
	(void)state;
	make_packs(1);
	world.load_us = 300000;
	shared = open_store(0, 0, IL_STORE_LRU);
	run_threads(100, get_cold);
	assert_int_equal(world.loads, 1);
	struct il_store_stats stats;
	il_store_stats(shared, &stats);
	assert_int_equal(stats.hits + stats.misses, 100);
	assert_int_equal(stats.loads, 1);
	assert_true(stats.load_ns > 290000000);
	close_store(&shared);
}

static void test_failure_is_shared_and_tried_again(void **state)
{
	(void)state;
	make_packs(1);
	world.load_us = 300000;
	world.fail_next = 1;
	failures = 0;
	shared = open_store(0, 0, IL_STORE_LRU);
	run_threads(20, get_cold);
	/* A thread that came so late that the first load had ended loaded it itself. */
	assert_true(failures >= 1);
	assert_true(world.loads <= 2);
	world.load_us = 0;
	use(shared, "a0", 1);
	assert_int_equal(world.loads, 2);
	struct il_store_stats stats;
	il_store_stats(shared, &stats);
	assert_int_equal(stats.failures, 1);
	close_store(&shared);
}

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

enum { ZIPF = 40 };

static void *use_zipf(void *number)
{
	uint32_t x = 12345 + 977 * (uint32_t)(intptr_t)number;
	for (int i = 0; i < 400; i++) {
		char id[16];
		struct il_lease *lease;
		struct inlay_error error = { 0 };
		uint32_t r = next_random(&x) % 1000;
		snprintf(id, sizeof id, "a%u", r * r / 1000 * ZIPF / 1000); /* low numbers more often */
		if (il_store_get(shared, id, &lease, &error)) {
			failures++;
			continue;
		}
		if (strcmp(((struct fake *)il_lease_loaded(lease))->id, id))
			failures++;
		if (i % 8 == 0)
			usleep(200);
		il_lease_return(&lease);
	}
	return NULL;
}

static void zipf(enum il_store_eviction eviction, int64_t budget, unsigned max_loaded)
{
	memset(&world, 0, sizeof world);
	world.size = by_number;
	world.load_us = 100;
	world.unload_us = 300; /* what is being unloaded is still there */
	failures = 0;
	shared = open_store(budget, max_loaded, eviction);
	run_threads(8, use_zipf);
	assert_int_equal(failures, 0);
	struct il_store_stats stats;
	il_store_stats(shared, &stats);
	assert_int_equal(stats.hits + stats.misses, 8 * 400);
	assert_true(stats.evictions > 0);
	assert_int_equal(stats.bytes, world.bytes);
	assert_int_equal(stats.loaded, world.loaded);
	print_message("budget %lld: peak %lld, %lld loads, %lld hits\n", (long long)budget, (long long)world.peak,
	              (long long)stats.loads, (long long)stats.hits);
	if (budget) {
		assert_true(world.peak <= budget + 10); /* the largest of one load */
		assert_true(world.bytes <= budget);
	}
	if (max_loaded)
		assert_true(world.peak_loaded <= (int)max_loaded);
	close_store(&shared);
}

static void test_budget(void **state)
{
	(void)state;
	make_packs(ZIPF);
	zipf(IL_STORE_LRU, 100, 0);
	zipf(IL_STORE_LFU, 100, 0);
	zipf(IL_STORE_LRU, 90, 12);
	zipf(IL_STORE_LFU, 0, 9);
}

/* --- eviction --- */

static void test_lru(void **state)
{
	(void)state;
	make_packs(4);
	struct il_store *store = open_store(30, 0, IL_STORE_LRU);
	use(store, "a0", 9);
	use(store, "a1", 5);
	use(store, "a2", 1);
	use(store, "a0", 1);
	use(store, "a3", 1);
	assert_false(is_loaded(store, "a1"));
	use(store, "a1", 1);
	assert_false(is_loaded(store, "a2"));
	assert_true(is_loaded(store, "a0") && is_loaded(store, "a3"));
	il_store_set_budget(store, 0, 1);
	assert_true(is_loaded(store, "a1") && !is_loaded(store, "a0") && !is_loaded(store, "a3"));
	il_store_set_budget(store, 5, 0);
	assert_int_equal(world.loaded, 0);
	use(store, "a0", 1); /* larger than all of the budget, alone */
	assert_int_equal(world.peak, 30);
	close_store(&store);
}

static void test_lfu(void **state)
{
	(void)state;
	make_packs(5);
	struct il_store *store = open_store(0, 3, IL_STORE_LFU);
	use(store, "a0", 3);
	use(store, "a1", 2);
	use(store, "a2", 4);
	use(store, "a3", 3);
	assert_false(is_loaded(store, "a1"));
	assert_true(is_loaded(store, "a0") && is_loaded(store, "a2") && is_loaded(store, "a3"));
	close_store(&store);

	/* 40 uses weigh less than 3 after 300 others. */
	store = open_store(0, 3, IL_STORE_LFU);
	use(store, "a0", 40);
	use(store, "a1", 300);
	use(store, "a2", 3);
	use(store, "a3", 1);
	assert_false(is_loaded(store, "a0"));
	assert_true(is_loaded(store, "a1") && is_loaded(store, "a2"));
	close_store(&store);
}

static void test_growth_is_measured(void **state)
{
	(void)state;
	make_packs(4);
	struct il_store *store = open_store(30, 0, IL_STORE_LRU);
	use(store, "a0", 1);
	use(store, "a1", 1);
	struct il_lease *lease = get(store, "a2");
	struct fake *fake = il_lease_loaded(lease);
	fake->bytes += 10;
	world.bytes += 10;
	il_lease_return(&lease);
	assert_false(is_loaded(store, "a0"));
	assert_true(is_loaded(store, "a1"));

	lease = get(store, "a1"); /* grows while it is in use: seen when another is loaded */
	fake = il_lease_loaded(lease);
	fake->bytes += 10;
	world.bytes += 10;
	il_store_set_budget(store, 50, 0);
	use(store, "a3", 1);
	assert_false(is_loaded(store, "a2"));
	assert_int_equal(world.bytes, 30);
	il_lease_return(&lease);
	close_store(&store);
}

static void *return_later(void *lease)
{
	usleep(200000);
	il_lease_return((struct il_lease **)lease);
	return NULL;
}

static void test_all_in_use(void **state)
{
	(void)state;
	make_packs(3);
	struct il_store *store = open_store(20, 0, IL_STORE_LRU);
	struct il_lease *first = get(store, "a0"), *second = get(store, "a1"), *third;
	pthread_t thread;
	pthread_create(&thread, NULL, return_later, &first);
	third = get(store, "a2"); /* waits for that */
	pthread_join(thread, NULL);
	assert_int_equal(world.bytes, 20);
	int64_t began = il_clock_ns();
	assert_fails(il_store_get(store, "a0", &first, &err), INLAY_ERR_BUSY, "in use");
	int64_t took = il_clock_ns() - began;
	assert_true(took > 4900000000 && took < 20000000000);
	il_lease_return(&second);
	il_lease_return(&third);
	il_lease_return(&third);
	use(store, "a0", 1);
	assert_int_equal(world.peak, 20);
	close_store(&store);
}

/* --- changes --- */

static void test_replaced_while_leased(void **state)
{
	(void)state;
	make_pack("a0");
	write_file("a0/avatar.json", "{ }");
	struct il_store *store = open_store(0, 0, IL_STORE_LRU);
	struct il_lease *old = get(store, "a0"), *fresh;
	write_file("a0/avatar.json", "{ \"changed\": 1 }");
	fresh = get(store, "a0"); /* not looked at again within a second */
	assert_ptr_equal(il_lease_loaded(fresh), il_lease_loaded(old));
	il_lease_return(&fresh);
	usleep(1100000);
	fresh = get(store, "a0");
	assert_int_equal(((struct fake *)il_lease_loaded(fresh))->number, 2);
	assert_int_equal(((struct fake *)il_lease_loaded(old))->number, 1);
	assert_int_equal(world.loaded, 2);
	struct il_store_stats stats;
	il_store_stats(store, &stats);
	assert_int_equal(stats.bytes, 20);
	assert_int_equal(stats.loaded, 1);
	il_lease_return(&old);
	assert_int_equal(world.loaded, 1);
	il_lease_return(&fresh);
	assert_int_equal(world.loaded, 1);
	assert_int_equal(remove(in_folder("a0/avatar.json")), 0);
	assert_int_equal(remove(in_folder("a0")), 0);
	usleep(1100000);
	use(store, "a0", 1); /* what is gone stays loaded until somebody refreshes */
	assert_int_equal(world.loads, 2);
	close_store(&store);
}

static void test_unload(void **state)
{
	(void)state;
	make_packs(2);
	struct il_store *store = open_store(0, 0, IL_STORE_LRU);
	struct il_lease *lease = get(store, "a0");
	assert_ok(il_store_unload(store, "a0", &err));
	assert_false(is_loaded(store, "a0"));
	assert_int_equal(world.unloads, 0);
	assert_string_equal(((struct fake *)il_lease_loaded(lease))->id, "a0");
	il_lease_return(&lease);
	assert_int_equal(world.unloads, 1);
	assert_ok(il_store_unload(store, "a0", &err));
	assert_ok(il_store_unload(store, "a1", &err));

	int64_t ns = -1;
	world.load_us = 20000;
	assert_ok(il_store_load(store, "a0", false, &ns, &err));
	assert_true(ns >= 20000000 && is_loaded(store, "a0"));
	assert_ok(il_store_load(store, "a0", false, NULL, &err));
	assert_int_equal(world.loads, 2);
	lease = get(store, "a0");
	assert_ok(il_store_load(store, "a0", true, NULL, &err));
	assert_int_equal(world.loads, 3);
	assert_int_equal(world.loaded, 2);
	il_lease_return(&lease);
	assert_int_equal(world.loaded, 1);
	struct il_store_entry entry;
	assert_ok(il_store_find(store, "a0", &entry, &err));
	assert_int_equal(entry.uses, 2);
	close_store(&store);
}

static void *unload_soon(void *store)
{
	struct inlay_error error = { 0 };
	usleep(100000);
	il_store_unload(store, "a0", &error);
	return NULL;
}

static void test_unload_while_loading(void **state)
{
	(void)state;
	make_packs(1);
	world.load_us = 300000;
	struct il_store *store = open_store(0, 0, IL_STORE_LRU);
	pthread_t thread;
	pthread_create(&thread, NULL, unload_soon, store);
	struct il_lease *lease = get(store, "a0");
	pthread_join(thread, NULL);
	assert_false(is_loaded(store, "a0"));
	il_lease_return(&lease);
	assert_int_equal(world.loaded, 0);
	close_store(&store);
}

static void test_refresh(void **state)
{
	(void)state;
	make_packs(3);
	struct il_store *store = open_store(0, 0, IL_STORE_LRU);
	use(store, "a0", 1);
	struct il_lease *lease = get(store, "a1");
	use(store, "a2", 1);
	make_pack("b");
	use(store, "b", 1); /* found though it is new */
	make_pack("c");
	struct il_store_entry entry;
	assert_ok(il_store_find(store, "c", &entry, &err)); /* and so is this one */
	assert_false(entry.loaded);
	make_pack("d");
	assert_fails(il_store_find(store, "e", &entry, &err), INLAY_ERR_NOT_FOUND, "e: no such avatar");
	assert_int_equal(il_store_list(store, "c", false, &entry, 1), 0);
	rmdir(in_folder("a1"));
	rmdir(in_folder("a2"));
	make_pack("a0.inlay");
	assert_ok(il_store_refresh(store, &err));
	assert_int_equal(il_store_list(store, "c", false, &entry, 1), 1);
	assert_string_equal(entry.id, "d");
	assert_ok(il_store_find(store, "b", &entry, &err));
	assert_true(entry.loaded);
	assert_fails(il_store_find(store, "a1", &entry, &err), INLAY_ERR_NOT_FOUND, "a1");
	assert_fails(il_store_find(store, "a2", &entry, &err), INLAY_ERR_NOT_FOUND, "a2");
	assert_int_equal(world.loaded, 3); /* a0, b, and a1 until it returns */
	il_lease_return(&lease);
	assert_int_equal(world.loaded, 2);
	assert_fails(il_store_get(store, "a1", &lease, &err), INLAY_ERR_NOT_FOUND, "a1");

	lease = get(store, "a0"); /* the compiled one now */
	assert_string_equal(((struct fake *)il_lease_loaded(lease))->path, in_folder("a0.inlay"));
	il_lease_return(&lease);
	close_store(&store);
}

static void *refresh_often(void *number)
{
	struct inlay_error error = { 0 };
	for (int i = 0; i < 40; i++) {
		char id[16];
		snprintf(id, sizeof id, "a%d", (i + (int)(intptr_t)number) % 10);
		failures += il_store_refresh(shared, &error) != INLAY_OK;
		failures += il_store_unload(shared, id, &error) != INLAY_OK;
		failures += il_store_load(shared, id, i % 2, NULL, &error) != INLAY_OK;
		struct il_store_entry entries[20];
		failures += il_store_list(shared, NULL, false, entries, 20) != 20;
		il_store_set_budget(shared, 50 + i % 3 * 20, 0);
	}
	return NULL;
}

static void *use_and_refresh(void *number)
{
	return (intptr_t)number % 2 ? refresh_often(number) : use_zipf(number);
}

static void test_all_at_once(void **state)
{
	(void)state;
	make_packs(ZIPF);
	world.size = by_number;
	failures = 0;
	shared = open_store(80, 0, IL_STORE_LFU);
	run_threads(6, use_and_refresh);
	assert_int_equal(failures, 0);
	close_store(&shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_single_flight, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure_is_shared_and_tried_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lru, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lfu, setup, teardown),
		cmocka_unit_test_setup_teardown(test_growth_is_measured, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced_while_leased, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unload_while_loading, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refresh, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_at_once, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
