/* A store: a folder of thousands of avatars, of which those in use are loaded, under a budget of bytes.
 *
 * An avatar is an entry of the folder: a pack (a folder), a compiled avatar (a folder NAME.inlay; its id is NAME), or
 * an avatar.json beside others (NAME.json; its id is NAME), the first of NAME.inlay, NAME and NAME.json that is there;
 * links to such are followed. The index holds names alone and opens none of them. What an avatar is when it is loaded
 * is the caller's: the store keeps a pointer and its bytes.
 */
#ifndef IL_AVATAR_STORE_H
#define IL_AVATAR_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inlay/error.h"

#define IL_STORE_ID_MAX                                                                                                \
	128 /* of an id: A-Z a-z 0-9 . _ - and none that starts with a dot: it cannot leave the folder */

/* What goes first where memory is short: what was not used for longest, or what was used least, where a use weighs half
 * as much after 16 uses of others for each avatar that is loaded. */
enum il_store_eviction { IL_STORE_LRU, IL_STORE_LFU };

struct il_store_params {
	const char *folder;
	/* Of all that is loaded; 0: no limit. Room is made before a load: for what it took last time, else for the mean
	 * of what is loaded, or while others load for the most that one ever took. What a load takes beyond that, or an
	 * avatar in use grows by, exceeds the budget until something else can be evicted. */
	int64_t budget_bytes;
	unsigned headroom_percent; /* of the budget, 0 to 90: kept free when room is made, for what grows in use */
	unsigned max_loaded;       /* 0: no limit */
	enum il_store_eviction eviction;
	/* Opens the avatar at `path`: *loaded and its bytes. Called without locks, from the thread that asked, for
	 * different avatars at once and never twice at a time for one. */
	enum inlay_err (*load)(void *ctx, const char *id, const char *path, void **loaded, int64_t *bytes,
	                       struct inlay_error *err);
	void (*unload)(void *ctx, void *loaded); /* when nobody uses it any more */
	/* Bytes of what is loaded now, where they can grow; NULL: those that `load` gave. May not block. */
	int64_t (*measure)(void *ctx, void *loaded);
	void *ctx;
};

/* Any number of threads may call all of this but destroy. */
struct il_store;

/* Reads the folder's names: 11,000 in well under a second. */
enum inlay_err il_store_open(struct il_store **store, const struct il_store_params *params, struct inlay_error *err);
/* Nothing is leased any more. */
void il_store_destroy(struct il_store **store);

/* An avatar in use: not unloaded, though it may be evicted from the index of loaded ones or replaced on disk. */
struct il_lease;

/* Loads it where it is not: many who ask at a time for a cold avatar load it once and wait for that.
 * INLAY_ERR_NOT_FOUND for an id that is not there or is none; INLAY_ERR_BUSY where all of the budget is in use and
 * nothing returned within 5 s (one that is larger than the budget is loaded when nothing else is). An avatar whose
 * files changed on disk (time, size or inode of what its id leads to) is loaded anew, while who has the old one keeps
 * it; they are looked at once a second at most. A failed load is tried again by the next who asks. */
enum inlay_err il_store_get(struct il_store *store, const char *id, struct il_lease **lease, struct inlay_error *err);
void *il_lease_loaded(const struct il_lease *lease);
void il_lease_return(struct il_lease **lease);

/* Loads it without using it; force: anew, even if it is loaded. *ns, may be NULL: how long that took. */
enum inlay_err il_store_load(struct il_store *store, const char *id, bool force, int64_t *ns, struct inlay_error *err);
/* Unloads it as soon as nobody uses it; INLAY_ERR_NOT_FOUND for an unknown id, INLAY_OK where it is not loaded. */
enum inlay_err il_store_unload(struct il_store *store, const char *id, struct inlay_error *err);

/* Reads the folder again: what is new becomes known, what is gone forgotten (and unloaded when unused). Whatever is
 * asked about an unknown id looks for that one itself. */
enum inlay_err il_store_refresh(struct il_store *store, struct inlay_error *err);
void il_store_set_budget(struct il_store *store, int64_t budget_bytes, unsigned max_loaded);

struct il_store_entry {
	char id[IL_STORE_ID_MAX + 1];
	bool loaded, loading;
	int64_t bytes; /* 0: not loaded */
	int64_t uses;  /* how often it was asked for */
	unsigned leases;
	int64_t last_used_unix_ms, loaded_unix_ms; /* 0: never */
};

/* One avatar, or INLAY_ERR_NOT_FOUND. */
enum inlay_err il_store_find(struct il_store *store, const char *id, struct il_store_entry *entry,
                             struct inlay_error *err);
/* Path of an avatar in fresh memory, NULL where there is none of that id or no memory. */
char *il_store_path(struct il_store *store, const char *id);
/* Up to n entries in the order of their ids, from the first that comes after the id `after` (NULL: from the start).
 * Returns how many. loaded_only: those that are loaded. */
size_t il_store_list(struct il_store *store, const char *after, bool loaded_only, struct il_store_entry *entries,
                     size_t n);

struct il_store_stats {
	int64_t avatars, loaded, bytes, peak_bytes, budget_bytes;
	int64_t hits, misses, loads, failures, evictions;
	int64_t load_ns; /* of all loads */
};
void il_store_stats(struct il_store *store, struct il_store_stats *stats);

#endif
