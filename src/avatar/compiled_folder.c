#define _GNU_SOURCE
#include "avatar/compiled_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "avatar/compiled_impl.h"
#include "base/file.h"
#include "base/log.h"

/* Removing. */

static bool ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), s = strlen(suffix);
	return n > s && !strcmp(name + n - s, suffix);
}

static bool is_of_avatar(const char *name)
{
	return !strcmp(name, IL_COMPILED_MANIFEST) || !strcmp(name, IL_COMPILED_MANIFEST ".part") ||
	       ends_in(name, ".safetensors") || ends_in(name, ".safetensors.journal") || ends_in(name, ".onnx") ||
	       ends_in(name, ".onnx.part");
}

static bool is_kept(const char *name, char *const *keep, int count)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(keep[i], name))
			return true;
	return !strcmp(name, IL_COMPILED_MANIFEST) || ends_in(name, ".journal");
}

/* keep: NULL for none at all */
static void remove_files(const char *folder, char *const *keep, int count)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	while (dir && (entry = readdir(dir)))
		if (is_of_avatar(entry->d_name) && !(keep && is_kept(entry->d_name, keep, count)))
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
}

static void remove_folder(const char *folder)
{
	remove_files(folder, NULL, 0);
	if (rmdir(folder) < 0 && errno != ENOENT)
		il_log_warn("%s: not removed: %s", folder, strerror(errno));
}

void il_compiled_folder_clean(const struct il_compiled_folder *folder, char *const *keep, int count)
{
	remove_files(folder->part, keep, count);
}

void il_compiled_folder_discard(struct il_compiled_folder *folder)
{
	if (folder->fd >= 0)
		remove_folder(folder->part);
}

/* Opening. */

/* Nothing there, or a compiled avatar that may go. */
static enum inlay_err check_target(const struct il_compiled_folder *folder, struct inlay_error *err)
{
	struct stat st;
	const char *path = folder->path;
	if (lstat(path, &st) < 0) {
		if (!il_compiled_probe(folder->old) || rename(folder->old, path) < 0)
			return INLAY_OK;
		il_log_info("%s: brought back from %s", path, folder->old);
	}
	if (!folder->overwrite)
		return il_fail(err, INLAY_ERR_EXISTS, "%s: exists already", path);
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		return il_fail(err, INLAY_ERR_INVALID, "%s: is a link; expected a compiled avatar or nothing", path);
	if (!il_compiled_probe(path))
		return il_fail(err, INLAY_ERR_INVALID, "%s: is no compiled avatar, and so is not replaced", path);
	return INLAY_OK;
}

static enum inlay_err lock_part(struct il_compiled_folder *folder, struct inlay_error *err)
{
	struct stat held, named;
	const char *part = folder->part;
	if (mkdir(part, 0777) < 0 && errno != EEXIST)
		return il_fail_errno(err, "%s: cannot create", part);
	int fd = open(part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return il_fail_errno(err, "%s: is in the way; expected a folder or nothing", part);
	enum inlay_err rc = INLAY_OK;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		rc = il_fail(err, INLAY_ERR_IO, "%s: another run is writing it", folder->path);
	else if (fstat(fd, &held) < 0 || stat(part, &named) < 0 || named.st_ino != held.st_ino ||
	         named.st_dev != held.st_dev)
		rc = INLAY_AGAIN; /* its former owner ended between our open and our lock */
	if (rc)
		close(fd);
	else
		folder->fd = fd;
	return rc;
}

static char *with_suffix(const char *path, const char *suffix)
{
	char *out = malloc(strlen(path) + strlen(suffix) + 1);
	if (out)
		sprintf(out, "%s%s", path, suffix);
	return out;
}

enum inlay_err il_compiled_folder_open(struct il_compiled_folder *folder, const char *path, bool overwrite,
                                       struct inlay_error *err)
{
	size_t n = strlen(path);
	*folder = (struct il_compiled_folder){ .overwrite = overwrite, .fd = -1 };
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (!n)
		return il_fail(err, INLAY_ERR_INVALID, "the name of a compiled avatar is empty");
	folder->path = strndup(path, n);
	folder->part = folder->path ? with_suffix(folder->path, ".part") : NULL;
	folder->old = folder->path ? with_suffix(folder->path, ".old") : NULL;
	if (!folder->part || !folder->old)
		return il_fail_memory(err);
	enum inlay_err rc = check_target(folder, err);
	if (rc)
		return rc;
	do
		rc = lock_part(folder, err);
	while (rc == INLAY_AGAIN);
	return rc;
}

void il_compiled_folder_destroy(struct il_compiled_folder *folder)
{
	if (folder->fd >= 0)
		close(folder->fd);
	free(folder->path);
	free(folder->part);
	free(folder->old);
	*folder = (struct il_compiled_folder){ .fd = -1 };
}

/* Committing. */

static void sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && fsync(fd) < 0 && errno != EINVAL)
		il_log_warn("%s: cannot sync: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void sync_parent(const char *path)
{
	char *parent = il_path_folder(path);
	if (parent)
		sync_folder(parent);
	free(parent);
}

static enum inlay_err replace_in_two_steps(const struct il_compiled_folder *folder, struct inlay_error *err)
{
	if (il_compiled_probe(folder->old))
		remove_folder(folder->old);
	if (rename(folder->path, folder->old) < 0)
		return il_fail_errno(err, "%s: cannot rename to %s", folder->path, folder->old);
	if (rename(folder->part, folder->path) < 0) {
		enum inlay_err rc = il_fail_errno(err, "%s: cannot rename to %s", folder->part, folder->path);
		if (rename(folder->old, folder->path) < 0)
			il_log_warn("%s: what was there is now %s", folder->path, folder->old);
		return rc;
	}
	remove_folder(folder->old);
	return INLAY_OK;
}

static enum inlay_err move_into_place(const struct il_compiled_folder *folder, struct inlay_error *err)
{
	struct stat st;
	if (lstat(folder->path, &st) < 0 || !folder->overwrite) {
		if (rename(folder->part, folder->path) == 0)
			return INLAY_OK;
		if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR)
			return il_fail(err, INLAY_ERR_EXISTS, "%s: appeared while it was being written", folder->path);
		return il_fail_errno(err, "%s: cannot rename to %s", folder->part, folder->path);
	}
	enum inlay_err rc = check_target(folder, err);
	if (rc)
		return rc;
	if (renameat2(AT_FDCWD, folder->part, AT_FDCWD, folder->path, RENAME_EXCHANGE) < 0)
		return replace_in_two_steps(folder, err);
	remove_folder(folder->part);
	return INLAY_OK;
}

enum inlay_err il_compiled_folder_commit(struct il_compiled_folder *folder, struct inlay_error *err)
{
	sync_folder(folder->part);
	enum inlay_err rc = move_into_place(folder, err);
	if (rc)
		return rc;
	sync_parent(folder->path);
	close(folder->fd);
	folder->fd = -1;
	return INLAY_OK;
}
