#include "avatar/store_impl.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define CHECK_NS 1000000000     /* between two looks at an avatar's files */
#define BUSY_NS 5000000000      /* that one waits for a lease to return */
#define PATIENCE_NS 60000000000 /* and for others' loads to end */
#define HALF_LIFE 16            /* LFU: uses of all avatars, for each that is loaded, after which one is half */

/* What is loaded, whoever holds it. */
struct il_lease {
	struct il_store *store;
	void *loaded;
	int64_t bytes;
	unsigned leases;
	struct il_store_avatar *avatar; /* NULL: retired, and to be unloaded when the last lease returns */
	struct il_lease *prev, *next;   /* of those that are not retired; `next` of the dead, too */
	struct il_store_identity identity;
};

/* A load under way, which others wait for. */
struct il_store_load {
	unsigned waiters;
	unsigned refs; /* the waiters and who loads */
	bool done;
	enum inlay_err rc;
	struct inlay_error error;
	struct il_lease *lease; /* with a lease for each waiter; NULL after an error */
};

struct il_store {
	struct il_store_params params; /* folder is our own; budget and max_loaded: under the lock */
	pthread_mutex_t lock;          /* of all below, and of what is behind it */
	pthread_cond_t loaded;         /* some load ended */
	pthread_cond_t room;           /* a lease returned, something was unloaded, a load ended */
	unsigned room_waiters;
	struct il_store_index index;
	struct il_lease *first;              /* loaded and not retired */
	struct il_lease *dead;               /* retired and unused, to be unloaded by who finds them */
	int64_t bytes, dying_bytes, largest; /* of all that is in memory; of the dead; of one */
	int64_t count, dying, current;       /* how many of these; of those that are not retired */
	int64_t reserved, loading;           /* expected bytes of loads under way, and their number */
	double age;                          /* of LRU: a count of uses; of LFU: half-lives */
	struct il_store_stats stats;         /* what is counted */
};

static int64_t unix_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

enum inlay_err il_store_open(struct il_store **out, const struct il_store_params *params, struct inlay_error *err)
{
	*out = NULL;
	struct il_store *store = calloc(1, sizeof *store);
	if (!store)
		return il_fail_memory(err);
	pthread_mutex_init(&store->lock, NULL);
	il_cond_init(&store->loaded);
	il_cond_init(&store->room);
	store->params = *params;
	store->params.folder = strdup(params->folder);
	enum inlay_err rc =
		store->params.folder ? il_store_index_read(&store->index, params->folder, err) : il_fail_memory(err);
	if (rc)
		il_store_destroy(&store);
	*out = store;
	return rc;
}

/* --- what is in memory --- */

static void set_bytes(struct il_store *store, struct il_lease *lease, int64_t bytes)
{
	bytes = bytes < 0 ? 0 : bytes;
	store->bytes += bytes - lease->bytes;
	lease->bytes = bytes;
	store->largest = bytes > store->largest ? bytes : store->largest;
	store->stats.peak_bytes = store->bytes > store->stats.peak_bytes ? store->bytes : store->stats.peak_bytes;
}

static void wake_room(struct il_store *store)
{
	if (store->room_waiters)
		pthread_cond_broadcast(&store->room);
}

static void add_dead(struct il_store *store, struct il_lease *lease)
{
	lease->next = store->dead;
	store->dead = lease;
	store->dying++;
	store->dying_bytes += lease->bytes;
}

/* Nobody gets it any more. */
static void retire(struct il_store *store, struct il_lease *lease)
{
	lease->avatar->expected = lease->bytes;
	lease->avatar->loaded = NULL;
	lease->avatar = NULL;
	*(lease->prev ? &lease->prev->next : &store->first) = lease->next;
	if (lease->next)
		lease->next->prev = lease->prev;
	store->current--;
	if (!lease->leases)
		add_dead(store, lease);
}

/* Unloads the dead. The lock is open meanwhile; their bytes count until they are gone. */
static void bury(struct il_store *store)
{
	for (struct il_lease *lease; (lease = store->dead);) {
		store->dead = lease->next;
		pthread_mutex_unlock(&store->lock);
		store->params.unload(store->params.ctx, lease->loaded);
		pthread_mutex_lock(&store->lock);
		store->bytes -= lease->bytes;
		store->dying_bytes -= lease->bytes;
		store->count--;
		store->dying--;
		free(lease);
		wake_room(store);
	}
}

static void bury_and_unlock(struct il_store *store)
{
	bury(store);
	pthread_mutex_unlock(&store->lock);
}

static void release(struct il_store *store, struct il_lease *lease)
{
	if (--lease->leases)
		return;
	if (!lease->avatar)
		add_dead(store, lease);
	wake_room(store);
}

/* Asks again what all that is in use takes; what is not in use was asked when it returned. */
static void measure_used(struct il_store *store)
{
	if (!store->params.measure || !store->params.budget_bytes)
		return;
	size_t n = 0;
	struct il_lease **used = malloc((size_t)store->current * sizeof *used + 1);
	for (struct il_lease *lease = used ? store->first : NULL; lease; lease = lease->next)
		if (lease->leases) {
			lease->leases++;
			used[n++] = lease;
		}
	for (size_t i = 0; i < n; i++) {
		pthread_mutex_unlock(&store->lock);
		int64_t bytes = store->params.measure(store->params.ctx, used[i]->loaded);
		pthread_mutex_lock(&store->lock);
		set_bytes(store, used[i], bytes);
		release(store, used[i]);
	}
	free(used);
}

/* --- eviction --- */

/* A use: of LRU the latest is the greatest. Of LFU it is a sum in which a use weighs half as much as one that comes a
 * half-life later; its logarithm only moves with its own uses, so that the order holds without any ageing of others:
 * rank = log2(sum of 2^age at each use). */
static void touch(struct il_store *store, struct il_store_avatar *avatar)
{
	if (store->params.eviction == IL_STORE_LRU) {
		avatar->rank = ++store->age;
		return;
	}
	store->age += 1.0 / (double)(HALF_LIFE * (store->current > 0 ? store->current : 1));
	double before = avatar->rank > 0 ? exp2(avatar->rank - store->age) : 0;
	avatar->rank = store->age + log2(before + 1);
}

static bool fits(const struct il_store *store, int64_t bytes, int64_t count, int64_t more_bytes, int64_t more)
{
	const struct il_store_params *p = &store->params;
	const int64_t most = p->budget_bytes - p->budget_bytes / 100 * (int64_t)p->headroom_percent;
	return (!p->budget_bytes || bytes + store->reserved + more_bytes <= most) &&
	       (!p->max_loaded || count + store->loading + more <= p->max_loaded);
}

static struct il_lease *least(const struct il_store *store)
{
	struct il_lease *least = NULL;
	for (struct il_lease *lease = store->first; lease; lease = lease->next)
		if (!lease->leases && (!least || lease->avatar->rank < least->avatar->rank))
			least = lease;
	return least;
}

/* Retires what is unused until `more` avatars of together more_bytes fit, once the dead are gone. */
static void evict(struct il_store *store, int64_t more_bytes, int64_t more)
{
	struct il_lease *victim;
	while (!fits(store, store->bytes - store->dying_bytes, store->count - store->dying, more_bytes, more) &&
	       (victim = least(store))) {
		retire(store, victim);
		store->stats.evictions++;
	}
}

/* What an avatar will take: as last time, else the mean; while others load, the most that one ever took, so that not
 * all of them are underrated together. -1: nothing to go by. */
static int64_t expect(const struct il_store *store, const struct il_store_avatar *avatar)
{
	if (avatar->expected >= 0)
		return avatar->expected;
	if (store->loading)
		return store->stats.loads ? store->largest : -1;
	return store->count ? store->bytes / store->count : 0;
}

static void wait_for_room(struct il_store *store, int64_t deadline_ns)
{
	struct timespec t = { .tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000 };
	store->room_waiters++;
	pthread_cond_timedwait(&store->room, &store->lock, &t);
	store->room_waiters--;
}

/* Waits until the avatar may be loaded, and counts it as under way with *reserved bytes. */
static enum inlay_err make_room(struct il_store *store, const struct il_store_avatar *avatar, int64_t *reserved,
                                struct inlay_error *err)
{
	int64_t began = il_clock_ns(), since = began;
	measure_used(store);
	for (;;) {
		int64_t bytes = expect(store, avatar);
		bool known = bytes >= 0 || !store->params.budget_bytes;
		bytes = bytes < 0 ? 0 : bytes;
		evict(store, bytes, 1);
		if (store->dead) {
			bury(store);
			continue;
		}
		bool alone = !store->count && !store->loading;
		if (alone || (known && fits(store, store->bytes, store->count, bytes, 1))) {
			*reserved = bytes;
			store->reserved += bytes;
			store->loading++;
			return INLAY_OK;
		}
		int64_t now = il_clock_ns();
		since = store->loading || store->dying ? now : since; /* these end by themselves */
		if (now >= since + BUSY_NS || now >= began + PATIENCE_NS)
			return il_fail(err, INLAY_ERR_BUSY, "%s: no room for it: all that is loaded is in use",
			               avatar->id);
		wait_for_room(store, since + BUSY_NS);
	}
}

/* --- loading --- */

static void add_loaded(struct il_store *store, struct il_store_avatar *avatar, struct il_lease *lease)
{
	store->count++;
	if (avatar->drop || avatar->gone) {
		lease->avatar = NULL;
		return;
	}
	lease->avatar = avatar;
	lease->next = store->first;
	if (store->first)
		store->first->prev = lease;
	store->first = lease;
	store->current++;
	avatar->loaded = lease;
	avatar->loaded_unix_ms = unix_ms();
}

/* Calls the caller's load, with the lock open. */
static enum inlay_err open_avatar(struct il_store *store, const struct il_store_avatar *avatar, struct il_lease *lease,
                                  int64_t *bytes, struct inlay_error *err)
{
	enum il_store_kind kind = avatar->kind;
	pthread_mutex_unlock(&store->lock);
	int64_t began = il_clock_ns();
	enum inlay_err rc;
	char *path = il_store_avatar_path(store->params.folder, avatar->id, kind);
	if (!path)
		rc = il_fail_memory(err);
	else if (!il_store_identify(path, &lease->identity))
		rc = il_fail_errno(err, "%s", path);
	else
		rc = store->params.load(store->params.ctx, avatar->id, path, &lease->loaded, bytes, err);
	free(path);
	int64_t took = il_clock_ns() - began;
	pthread_mutex_lock(&store->lock);
	store->stats.load_ns += took;
	*(rc ? &store->stats.failures : &store->stats.loads) += 1;
	return rc;
}

/* One lease for the caller and one for each who waits by then. */
static enum inlay_err load_for_all(struct il_store *store, struct il_store_avatar *avatar, struct il_store_load *load,
                                   struct il_lease *lease)
{
	int64_t reserved = 0, bytes = 0;
	enum inlay_err rc = make_room(store, avatar, &reserved, &load->error);
	if (rc)
		return rc;
	rc = open_avatar(store, avatar, lease, &bytes, &load->error);
	store->reserved -= reserved;
	store->loading--;
	if (!rc) {
		lease->store = store;
		lease->leases = 1 + load->waiters;
		set_bytes(store, lease, bytes);
		avatar->expected = lease->bytes;
		add_loaded(store, avatar, lease);
		load->lease = lease;
		avatar->checked_ns = il_clock_ns();
		evict(store, 0, 0);
	}
	wake_room(store);
	return rc;
}

static enum inlay_err result(struct il_store_load *load, struct il_lease **lease, struct inlay_error *err)
{
	enum inlay_err rc = load->rc;
	*lease = load->lease;
	if (rc)
		il_fail(err, rc, "%s", load->error.text);
	if (!--load->refs)
		free(load);
	return rc;
}

static enum inlay_err load_anew(struct il_store *store, struct il_store_avatar *avatar, struct il_lease **lease,
                                struct inlay_error *err)
{
	struct il_store_load *load = calloc(1, sizeof *load);
	struct il_lease *fresh = calloc(1, sizeof *fresh);
	if (!load || !fresh) {
		free(load);
		free(fresh);
		return il_fail_memory(err);
	}
	load->refs = 1;
	avatar->loading = load;
	avatar->drop = false;
	load->rc = load_for_all(store, avatar, load, fresh);
	if (load->rc)
		free(fresh);
	load->done = true;
	avatar->loading = NULL;
	pthread_cond_broadcast(&store->loaded);
	return result(load, lease, err);
}

/* A lease on the avatar, which is pinned. */
static enum inlay_err take(struct il_store *store, struct il_store_avatar *avatar, struct il_lease **lease,
                           struct inlay_error *err)
{
	if (avatar->loaded) {
		*lease = avatar->loaded;
		(*lease)->leases++;
		return INLAY_OK;
	}
	struct il_store_load *load = avatar->loading;
	if (!load)
		return load_anew(store, avatar, lease, err);
	load->waiters++;
	load->refs++;
	while (!load->done)
		pthread_cond_wait(&store->loaded, &store->lock);
	return result(load, lease, err);
}

/* --- avatars by their ids --- */

static enum inlay_err unknown(const char *id, struct inlay_error *err)
{
	return il_fail(err, INLAY_ERR_NOT_FOUND, "%.*s: no such avatar", IL_STORE_ID_MAX, id);
}

/* Looks for it on disk, with the lock open, and makes it known. */
static enum inlay_err discover(struct il_store *store, const char *id, struct il_store_avatar **avatar,
                               struct inlay_error *err)
{
	enum il_store_kind kind;
	pthread_mutex_unlock(&store->lock);
	bool there = il_store_id_valid(id) && il_store_probe(store->params.folder, id, &kind);
	struct il_store_avatar *fresh = there ? il_store_avatar_create(id, kind) : NULL;
	pthread_mutex_lock(&store->lock);
	if (!there)
		return unknown(id, err);
	*avatar = il_store_index_find(&store->index, id);
	if (*avatar) {
		free(fresh);
		return INLAY_OK;
	}
	*avatar = fresh;
	if (fresh && il_store_index_insert(&store->index, fresh))
		return INLAY_OK;
	free(fresh);
	return il_fail_memory(err);
}

/* An avatar that stays even if it is forgotten meanwhile, until unpin. */
static enum inlay_err pin(struct il_store *store, const char *id, struct il_store_avatar **avatar,
                          struct inlay_error *err)
{
	*avatar = il_store_index_find(&store->index, id);
	enum inlay_err rc = *avatar ? INLAY_OK : discover(store, id, avatar, err);
	if (!rc)
		(*avatar)->pins++;
	return rc;
}

static void unpin(struct il_store_avatar *avatar)
{
	if (!--avatar->pins)
		free(avatar);
}

/* Retires what is loaded of an avatar whose files have changed. Where they are gone it stays: who replaces a folder may
 * be between two renames, and il_store_refresh is what forgets. */
static void check_files(struct il_store *store, struct il_store_avatar *avatar)
{
	struct il_lease *loaded = avatar->loaded;
	int64_t now = il_clock_ns();
	if (!loaded || now < avatar->checked_ns + CHECK_NS)
		return;
	enum il_store_kind kind = avatar->kind;
	struct il_store_identity identity;
	avatar->checked_ns = now;
	pthread_mutex_unlock(&store->lock);
	char *path = il_store_avatar_path(store->params.folder, avatar->id, kind);
	bool there = path && il_store_identify(path, &identity);
	free(path);
	pthread_mutex_lock(&store->lock);
	if (there && avatar->loaded == loaded && !il_store_identity_same(&identity, &loaded->identity))
		retire(store, loaded);
}

enum inlay_err il_store_get(struct il_store *store, const char *id, struct il_lease **lease, struct inlay_error *err)
{
	struct il_store_avatar *avatar;
	*lease = NULL;
	pthread_mutex_lock(&store->lock);
	enum inlay_err rc = pin(store, id, &avatar, err);
	if (!rc) {
		check_files(store, avatar);
		avatar->uses++;
		avatar->last_used_unix_ms = unix_ms();
		touch(store, avatar);
		*(avatar->loaded ? &store->stats.hits : &store->stats.misses) += 1;
		rc = take(store, avatar, lease, err);
		unpin(avatar);
	}
	bury_and_unlock(store);
	return rc;
}

void *il_lease_loaded(const struct il_lease *lease)
{
	return lease->loaded;
}

void il_lease_return(struct il_lease **slot)
{
	struct il_lease *lease = *slot;
	*slot = NULL;
	if (!lease)
		return;
	struct il_store *store = lease->store;
	int64_t bytes = store->params.measure ? store->params.measure(store->params.ctx, lease->loaded) : -1;
	pthread_mutex_lock(&store->lock);
	if (bytes >= 0)
		set_bytes(store, lease, bytes);
	release(store, lease);
	evict(store, 0, 0);
	bury_and_unlock(store);
}

enum inlay_err il_store_load(struct il_store *store, const char *id, bool force, int64_t *ns, struct inlay_error *err)
{
	struct il_store_avatar *avatar;
	struct il_lease *lease = NULL;
	int64_t began = il_clock_ns();
	pthread_mutex_lock(&store->lock);
	enum inlay_err rc = pin(store, id, &avatar, err);
	if (!rc) {
		check_files(store, avatar);
		if (force && avatar->loaded)
			retire(store, avatar->loaded);
		touch(store, avatar);
		rc = take(store, avatar, &lease, err);
		unpin(avatar);
	}
	bury_and_unlock(store);
	if (ns)
		*ns = il_clock_ns() - began;
	il_lease_return(&lease);
	return rc;
}

static void forget_loaded(struct il_store *store, struct il_store_avatar *avatar)
{
	avatar->drop = true; /* of a load under way; the next one begins with false */
	if (avatar->loaded)
		retire(store, avatar->loaded);
}

enum inlay_err il_store_unload(struct il_store *store, const char *id, struct inlay_error *err)
{
	struct il_store_avatar *avatar;
	pthread_mutex_lock(&store->lock);
	enum inlay_err rc = pin(store, id, &avatar, err);
	if (!rc) {
		forget_loaded(store, avatar);
		unpin(avatar);
	}
	bury_and_unlock(store);
	return rc;
}

/* The names in `fresh` are those that hold; avatars known already stay what they are. What is gone is left in fresh. */
static void merge(struct il_store *store, struct il_store_index *fresh)
{
	for (size_t i = 0; i < fresh->count; i++) {
		struct il_store_avatar *known = il_store_index_find(&store->index, fresh->avatars[i]->id);
		if (!known)
			continue;
		if (known->kind != fresh->avatars[i]->kind) {
			known->kind = fresh->avatars[i]->kind;
			known->checked_ns = 0;
		}
		free(fresh->avatars[i]);
		fresh->avatars[i] = known;
	}
	for (size_t i = 0; i < store->index.count; i++) {
		struct il_store_avatar *old = store->index.avatars[i];
		if (il_store_index_find(fresh, old->id) == old)
			continue;
		old->gone = true;
		forget_loaded(store, old);
		unpin(old);
	}
	free(store->index.avatars);
	store->index = *fresh;
}

enum inlay_err il_store_refresh(struct il_store *store, struct inlay_error *err)
{
	struct il_store_index fresh;
	enum inlay_err rc = il_store_index_read(&fresh, store->params.folder, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&store->lock);
	merge(store, &fresh);
	bury_and_unlock(store);
	return INLAY_OK;
}

void il_store_set_budget(struct il_store *store, int64_t budget_bytes, unsigned max_loaded)
{
	pthread_mutex_lock(&store->lock);
	store->params.budget_bytes = budget_bytes;
	store->params.max_loaded = max_loaded;
	evict(store, 0, 0);
	wake_room(store);
	bury_and_unlock(store);
}

static void describe(const struct il_store_avatar *avatar, struct il_store_entry *entry)
{
	*entry = (struct il_store_entry){
		.loaded = avatar->loaded != NULL,
		.loading = avatar->loading != NULL,
		.bytes = avatar->loaded ? avatar->loaded->bytes : 0,
		.leases = avatar->loaded ? avatar->loaded->leases : 0,
		.uses = avatar->uses,
		.last_used_unix_ms = avatar->last_used_unix_ms,
		.loaded_unix_ms = avatar->loaded_unix_ms,
	};
	memcpy(entry->id, avatar->id, strlen(avatar->id) + 1);
}

enum inlay_err il_store_find(struct il_store *store, const char *id, struct il_store_entry *entry,
                             struct inlay_error *err)
{
	struct il_store_avatar *avatar;
	pthread_mutex_lock(&store->lock);
	enum inlay_err rc = pin(store, id, &avatar, err);
	if (!rc) {
		describe(avatar, entry);
		unpin(avatar);
	}
	pthread_mutex_unlock(&store->lock);
	return rc;
}

char *il_store_path(struct il_store *store, const char *id)
{
	struct il_store_avatar *avatar;
	char *path = NULL;
	pthread_mutex_lock(&store->lock);
	if (!pin(store, id, &avatar, NULL)) {
		path = il_store_avatar_path(store->params.folder, id, avatar->kind);
		unpin(avatar);
	}
	pthread_mutex_unlock(&store->lock);
	return path;
}

size_t il_store_list(struct il_store *store, const char *after, bool loaded_only, struct il_store_entry *entries,
                     size_t n)
{
	size_t found = 0;
	pthread_mutex_lock(&store->lock);
	const struct il_store_index *index = &store->index;
	size_t i = after ? il_store_index_position(index, after) : 0;
	if (after && i < index->count && !strcmp(index->avatars[i]->id, after))
		i++;
	for (; i < index->count && found < n; i++)
		if (!loaded_only || index->avatars[i]->loaded)
			describe(index->avatars[i], &entries[found++]);
	pthread_mutex_unlock(&store->lock);
	return found;
}

void il_store_stats(struct il_store *store, struct il_store_stats *stats)
{
	pthread_mutex_lock(&store->lock);
	*stats = store->stats;
	stats->avatars = (int64_t)store->index.count;
	stats->loaded = store->current;
	stats->bytes = store->bytes;
	stats->budget_bytes = store->params.budget_bytes;
	pthread_mutex_unlock(&store->lock);
}

void il_store_destroy(struct il_store **slot)
{
	struct il_store *store = *slot;
	*slot = NULL;
	if (!store)
		return;
	pthread_mutex_lock(&store->lock);
	while (store->first)
		retire(store, store->first);
	bury_and_unlock(store);
	il_store_index_destroy(&store->index);
	pthread_cond_destroy(&store->room);
	pthread_cond_destroy(&store->loaded);
	pthread_mutex_destroy(&store->lock);
	free((char *)store->params.folder);
	free(store);
}
