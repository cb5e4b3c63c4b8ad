#define _GNU_SOURCE
#include "avatar/store_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

enum { NAME = IL_STORE_ID_MAX + 8 }; /* an id with its ending */

static const char *const endings[IL_STORE_KINDS] = { ".inlay", "", ".json" };

bool il_store_id_valid(const char *id)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strnlen(id, IL_STORE_ID_MAX + 1);
	return n && n <= IL_STORE_ID_MAX && id[0] != '.' && strspn(id, allowed) == n;
}

struct il_store_avatar *il_store_avatar_create(const char *id, enum il_store_kind kind)
{
	size_t n = strlen(id) + 1;
	struct il_store_avatar *avatar = calloc(1, sizeof *avatar + n);
	if (!avatar)
		return NULL;
	memcpy(avatar->id, id, n);
	avatar->kind = kind;
	avatar->pins = 1;
	avatar->expected = -1;
	return avatar;
}

char *il_store_avatar_path(const char *folder, const char *id, enum il_store_kind kind)
{
	char name[NAME];
	snprintf(name, sizeof name, "%s%s", id, endings[kind]);
	return il_path_join(folder, name);
}

static bool cut_ending(char *name, const char *ending)
{
	size_t n = strlen(name), e = strlen(ending);
	if (n <= e || strcmp(name + n - e, ending))
		return false;
	name[n - e] = 0;
	return true;
}

static bool is_folder(const char *folder, const struct dirent *entry)
{
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	char *path = il_path_join(folder, entry->d_name);
	bool is = path && il_path_is_folder(path);
	free(path);
	return is;
}

/* Makes a name in the folder an id; false where it is none. */
static bool read_name(char *name, enum il_store_kind *kind)
{
	if (cut_ending(name, ".json"))
		*kind = IL_STORE_KIND_MANIFEST;
	else if (cut_ending(name, ".inlay.part") || cut_ending(name, ".inlay.old")) /* one that is being compiled */
		return false;
	else
		*kind = cut_ending(name, ".inlay") ? IL_STORE_KIND_COMPILED : IL_STORE_KIND_PACK;
	return il_store_id_valid(name);
}

/* A link is taken for what its name says. */
static bool read_entry(const char *folder, const struct dirent *entry, char id[NAME], enum il_store_kind *kind)
{
	if ((size_t)snprintf(id, NAME, "%s", entry->d_name) >= NAME || !read_name(id, kind))
		return false;
	return entry->d_type == DT_LNK || is_folder(folder, entry) == (*kind != IL_STORE_KIND_MANIFEST);
}

static bool grow(struct il_store_index *index)
{
	if (index->count < index->capacity)
		return true;
	size_t capacity = index->capacity ? 2 * index->capacity : 64;
	struct il_store_avatar **avatars = realloc(index->avatars, capacity * sizeof *avatars);
	if (!avatars)
		return false;
	index->avatars = avatars;
	index->capacity = capacity;
	return true;
}

static int by_id_and_kind(const void *a, const void *b)
{
	const struct il_store_avatar *x = *(struct il_store_avatar *const *)a;
	const struct il_store_avatar *y = *(struct il_store_avatar *const *)b;
	int order = strcmp(x->id, y->id);
	return order ? order : (int)x->kind - (int)y->kind;
}

static void sort(struct il_store_index *index)
{
	size_t kept = 0;
	if (index->count)
		qsort(index->avatars, index->count, sizeof *index->avatars, by_id_and_kind);
	for (size_t i = 0; i < index->count; i++)
		if (kept && !strcmp(index->avatars[kept - 1]->id, index->avatars[i]->id))
			free(index->avatars[i]);
		else
			index->avatars[kept++] = index->avatars[i];
	index->count = kept;
}

static enum inlay_err read_all(struct il_store_index *index, const char *folder, DIR *dir, struct inlay_error *err)
{
	char id[NAME];
	enum il_store_kind kind;
	const struct dirent *entry;
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		if (!read_entry(folder, entry, id, &kind))
			continue;
		struct il_store_avatar *avatar = grow(index) ? il_store_avatar_create(id, kind) : NULL;
		if (!avatar)
			return il_fail_memory(err);
		index->avatars[index->count++] = avatar;
	}
	return errno ? il_fail_errno(err, "%s", folder) : INLAY_OK;
}

enum inlay_err il_store_index_read(struct il_store_index *index, const char *folder, struct inlay_error *err)
{
	*index = (struct il_store_index){ 0 };
	DIR *dir = opendir(folder);
	if (!dir)
		return il_fail_errno(err, "%s: expected a folder of avatars", folder);
	enum inlay_err rc = read_all(index, folder, dir, err);
	closedir(dir);
	if (rc)
		il_store_index_destroy(index);
	else
		sort(index);
	return rc;
}

size_t il_store_index_position(const struct il_store_index *index, const char *id)
{
	size_t low = 0, high = index->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(index->avatars[middle]->id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct il_store_avatar *il_store_index_find(const struct il_store_index *index, const char *id)
{
	size_t at = il_store_index_position(index, id);
	return at < index->count && !strcmp(index->avatars[at]->id, id) ? index->avatars[at] : NULL;
}

bool il_store_index_insert(struct il_store_index *index, struct il_store_avatar *avatar)
{
	if (!grow(index))
		return false;
	size_t at = il_store_index_position(index, avatar->id);
	memmove(index->avatars + at + 1, index->avatars + at, (index->count - at) * sizeof *index->avatars);
	index->avatars[at] = avatar;
	index->count++;
	return true;
}

void il_store_index_destroy(struct il_store_index *index)
{
	for (size_t i = 0; i < index->count; i++)
		free(index->avatars[i]);
	free(index->avatars);
	*index = (struct il_store_index){ 0 };
}

static bool is_there(const char *folder, const char *id, enum il_store_kind kind)
{
	char name[NAME];
	enum il_store_kind read;
	snprintf(name, sizeof name, "%s%s", id, endings[kind]);
	if (!read_name(name, &read) || read != kind)
		return false;
	struct stat s;
	char *path = il_store_avatar_path(folder, id, kind);
	bool there = path && stat(path, &s) == 0 && S_ISDIR(s.st_mode) == (kind != IL_STORE_KIND_MANIFEST);
	free(path);
	return there;
}

bool il_store_probe(const char *folder, const char *id, enum il_store_kind *kind)
{
	int k = 0;
	while (k < IL_STORE_KINDS && !is_there(folder, id, (enum il_store_kind)k))
		k++;
	*kind = (enum il_store_kind)k;
	return k < IL_STORE_KINDS;
}

bool il_store_identify(const char *path, struct il_store_identity *identity)
{
	struct stat s, inside;
	if (stat(path, &s) < 0)
		return false;
	if (S_ISDIR(s.st_mode)) {
		char *manifest = il_path_join(path, "avatar.json");
		if (manifest && stat(manifest, &inside) == 0)
			s = inside;
		free(manifest);
	}
	*identity = (struct il_store_identity){ s.st_dev, s.st_ino, s.st_size, s.st_mtim };
	return true;
}

bool il_store_identity_same(const struct il_store_identity *a, const struct il_store_identity *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}
