/* The store's index of names: what stands in the folder, and a path for each. It knows no loading and has no lock; the
 * store calls what changes an index under its own. */
#ifndef IL_AVATAR_STORE_IMPL_H
#define IL_AVATAR_STORE_IMPL_H

#include <time.h>
#include <sys/types.h>

#include "avatar/store.h"
#include "base/error.h"

/* What an id leads to; the first of these that is there. */
enum il_store_kind { IL_STORE_KIND_COMPILED, IL_STORE_KIND_PACK, IL_STORE_KIND_MANIFEST };
#define IL_STORE_KINDS 3

/* One known avatar; what is behind `kind` is the store's (store.c). */
struct il_store_avatar {
	enum il_store_kind kind;
	unsigned pins;                 /* one of the index, one of each thread that works on it; freed by the last */
	bool gone;                     /* no longer of the index */
	bool drop;                     /* what is being loaded is not to stay */
	struct il_lease *loaded;       /* NULL: not */
	struct il_store_load *loading; /* NULL: not */
	double rank;                   /* the least is evicted first */
	int64_t uses, last_used_unix_ms, loaded_unix_ms;
	int64_t checked_ns; /* when its files were looked at last */
	int64_t expected;   /* bytes it took last time; -1: unknown */
	char id[];
};

/* Sorted by id, each once. {0} is empty. */
struct il_store_index {
	struct il_store_avatar **avatars;
	size_t count, capacity;
};

bool il_store_id_valid(const char *id);
/* With one pin; NULL when memory is out. */
struct il_store_avatar *il_store_avatar_create(const char *id, enum il_store_kind kind);
/* folder/id with the ending of its kind, in fresh memory; NULL when memory is out. */
char *il_store_avatar_path(const char *folder, const char *id, enum il_store_kind kind);

/* All names of a folder by one pass, without looking into any. */
enum inlay_err il_store_index_read(struct il_store_index *index, const char *folder, struct inlay_error *err);
/* Position of the first avatar whose id is not before `id`. */
size_t il_store_index_position(const struct il_store_index *index, const char *id);
struct il_store_avatar *il_store_index_find(const struct il_store_index *index, const char *id);
/* An id that is not there. False when memory is out. */
bool il_store_index_insert(struct il_store_index *index, struct il_store_avatar *avatar);
/* Frees the avatars, too. */
void il_store_index_destroy(struct il_store_index *index);

/* Looks on disk for an id that the index does not have. */
bool il_store_probe(const char *folder, const char *id, enum il_store_kind *kind);

/* By what a change on disk is seen: of a folder its avatar.json, else the folder itself; links are followed. */
struct il_store_identity {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};
/* False where there is nothing. */
bool il_store_identify(const char *path, struct il_store_identity *identity);
bool il_store_identity_same(const struct il_store_identity *a, const struct il_store_identity *b);

#endif
