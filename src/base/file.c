#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

struct il_part {
	char *path;
	char *part_path;
	bool overwrite;
	int fd; /* of the part file, locked; -1 while it is not ours to remove */
};

bool il_path_exists(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

bool il_path_is_folder(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum inlay_err il_path_make_folders(const char *path, struct inlay_error *err)
{
	char *part = strdup(path);
	if (!part)
		return il_fail_memory(err);
	int failed = 0;
	for (char *p = part; *p && !failed; p++)
		if (*p == '/' && p > part) {
			*p = 0;
			failed = mkdir(part, 0700) < 0 && errno != EEXIST;
			*p = '/';
		}
	free(part);
	if (failed || (mkdir(path, 0700) < 0 && errno != EEXIST))
		return il_fail_errno(err, "%s: cannot be made", path);
	return INLAY_OK;
}

bool il_path_same(const char *a, const char *b)
{
	struct stat x, y;
	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

char *il_path_join(const char *folder, const char *name)
{
	size_t length = strlen(folder);
	if (name[0] == '/' || !length)
		return strdup(name);
	char *joined = malloc(length + strlen(name) + 2);
	if (joined)
		sprintf(joined, "%s%s%s", folder, folder[length - 1] == '/' ? "" : "/", name);
	return joined;
}

char *il_path_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

const char *il_path_extension(const char *path)
{
	static _Thread_local char extension[16];
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	const char *dot = strrchr(name, '.');
	extension[0] = 0;
	/* A leading dot hides a file; what follows it is no extension. Nor is anything as long as a sentence. */
	if (!dot || dot == name || strlen(dot + 1) >= sizeof extension)
		return extension;
	size_t n = strlen(dot + 1);
	for (size_t i = 0; i <= n; i++)
		extension[i] = (char)tolower((unsigned char)dot[1 + i]);
	return extension;
}

/* Doubling, because the size of a pipe or of a file in /proc is not known beforehand. One byte beyond the limit is
 * asked for, so that a longer file shows itself. */
static enum inlay_err read_all(int fd, const char *path, size_t limit, size_t hint, struct il_bytes *out,
                               struct inlay_error *err)
{
	size_t capacity = hint < limit ? hint : limit;
	for (;;) {
		uint8_t *grown = realloc(out->data, capacity + 2);
		if (!grown)
			return il_fail_memory(err);
		out->data = grown;
		while (out->size <= capacity) {
			ssize_t n = read(fd, out->data + out->size, capacity + 1 - out->size);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return il_fail_errno(err, "%s: cannot read", path);
			if (n == 0) {
				out->data[out->size] = 0;
				return INLAY_OK;
			}
			out->size += (size_t)n;
		}
		if (capacity == limit)
			return il_fail(err, INLAY_ERR_FORMAT, "%s: larger than the %zu bytes such a file may have",
			               path, limit);
		capacity = capacity < limit / 2 ? capacity * 2 + 4096 : limit;
		capacity = capacity < limit ? capacity : limit;
	}
}

enum inlay_err il_file_read(const char *path, size_t limit, struct il_bytes *out, struct inlay_error *err)
{
	*out = (struct il_bytes){ 0 };
	if (limit > SIZE_MAX / 2 - 2)
		limit = SIZE_MAX / 2 - 2;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return il_fail_errno(err, "%s: cannot open", path);
	enum inlay_err rc;
	struct stat st;
	if (fstat(fd, &st) < 0)
		rc = il_fail_errno(err, "%s: cannot stat", path);
	else if (S_ISDIR(st.st_mode))
		rc = il_fail(err, INLAY_ERR_INVALID, "%s: is a folder, expected a file", path);
	else
		rc = read_all(fd, path, limit, st.st_size > 0 ? (size_t)st.st_size : 0, out, err);
	close(fd);
	if (rc)
		il_bytes_destroy(out);
	return rc;
}

void il_bytes_destroy(struct il_bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct il_bytes){ 0 };
}

/* What stands at `path` must be replaceable: nothing, or a regular file when overwriting. */
static enum inlay_err check_target(const char *path, bool overwrite, struct inlay_error *err)
{
	struct stat st;
	if (il_path_is_folder(path))
		return il_fail(err, INLAY_ERR_INVALID, "%s: is a folder, expected the name of an output file", path);
	if (lstat(path, &st) < 0)
		return INLAY_OK;
	if (!overwrite)
		return il_fail(err, INLAY_ERR_EXISTS, "%s: exists already", path);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return il_fail(err, INLAY_ERR_INVALID, "%s: is a device or pipe, expected the name of an output file",
		               path);
	return INLAY_OK;
}

/* Opens the part file and locks it: what a killed run left is taken over, what another run is writing is refused. */
static enum inlay_err take_part(struct il_part *part, struct inlay_error *err)
{
	struct stat held, named;
	int fd = open(part->part_path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		return il_fail_errno(err, "%s: cannot create", part->path);
	enum inlay_err rc = INLAY_OK;
	if (fstat(fd, &held) < 0 || !S_ISREG(held.st_mode))
		rc = il_fail(err, INLAY_ERR_INVALID, "%s: is in the way; expected a file or nothing", part->part_path);
	else if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		rc = il_fail(err, INLAY_ERR_IO, "%s: another run is writing it", part->path);
	else if (stat(part->part_path, &named) < 0 || named.st_ino != held.st_ino || named.st_dev != held.st_dev)
		rc = INLAY_AGAIN; /* its former owner ended between our open and our lock */
	else if (ftruncate(fd, 0) < 0)
		rc = il_fail_errno(err, "%s: cannot write", part->part_path);
	if (rc)
		close(fd);
	else
		part->fd = fd;
	return rc;
}

enum inlay_err il_part_open(struct il_part **out, const char *path, bool overwrite, struct inlay_error *err)
{
	*out = NULL;
	enum inlay_err rc = check_target(path, overwrite, err);
	if (rc)
		return rc;
	struct il_part *part = calloc(1, sizeof *part);
	if (!part)
		return il_fail_memory(err);
	part->fd = -1;
	part->overwrite = overwrite;
	part->path = strdup(path);
	part->part_path = malloc(strlen(path) + sizeof ".part");
	if (!part->path || !part->part_path) {
		il_part_destroy(&part);
		return il_fail_memory(err);
	}
	sprintf(part->part_path, "%s.part", path);
	do
		rc = take_part(part, err);
	while (rc == INLAY_AGAIN);
	if (rc)
		il_part_destroy(&part);
	*out = part;
	return rc;
}

const char *il_part_path(const struct il_part *part)
{
	return part->part_path;
}

/* link() refuses to replace a file that appeared since the part was opened; where the file system has no hard links,
 * a look beforehand must do. */
static enum inlay_err move_into_place(struct il_part *part, struct inlay_error *err)
{
	if (!part->overwrite) {
		if (link(part->part_path, part->path) == 0) {
			unlink(part->part_path);
			return INLAY_OK;
		}
		if (errno == EEXIST || il_path_exists(part->path))
			return il_fail(err, INLAY_ERR_EXISTS, "%s: appeared while it was being written", part->path);
	}
	if (rename(part->part_path, part->path) < 0)
		return il_fail_errno(err, "%s: cannot rename to %s", part->part_path, part->path);
	return INLAY_OK;
}

/* The output is in place already: what fails here is worth a warning, no more. */
static void sync_folder(const char *path)
{
	char *folder = il_path_folder(path);
	int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0 && fsync(fd) < 0 && errno != EINVAL)
		il_log_warn("%s: cannot sync: %s", folder, strerror(errno));
	if (fd >= 0)
		close(fd);
	free(folder);
}

enum inlay_err il_part_commit(struct il_part *part, struct inlay_error *err)
{
	if (fsync(part->fd) < 0)
		return il_fail_errno(err, "%s: cannot sync", part->part_path);
	enum inlay_err rc = move_into_place(part, err);
	if (rc)
		return rc;
	close(part->fd);
	part->fd = -1;
	sync_folder(part->path);
	return INLAY_OK;
}

void il_part_destroy(struct il_part **slot)
{
	struct il_part *part = *slot;
	if (!part)
		return;
	if (part->fd >= 0) {
		unlink(part->part_path);
		close(part->fd);
	}
	free(part->path);
	free(part->part_path);
	free(part);
	*slot = NULL;
}

enum inlay_err il_part_write(struct il_part *part, const void *bytes, size_t size, struct inlay_error *err)
{
	const uint8_t *data = bytes;
	while (size) {
		ssize_t n = write(part->fd, data, size);
		if (n < 0 && errno != EINTR)
			return il_fail_errno(err, "%s: cannot write", part->part_path);
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
	}
	return INLAY_OK;
}

enum inlay_err il_file_write(const char *path, const void *data, size_t size, bool overwrite, struct inlay_error *err)
{
	struct il_part *part;
	enum inlay_err rc = il_part_open(&part, path, overwrite, err);
	if (!rc)
		rc = il_part_write(part, data, size, err);
	if (!rc)
		rc = il_part_commit(part, err);
	il_part_destroy(&part);
	return rc;
}
