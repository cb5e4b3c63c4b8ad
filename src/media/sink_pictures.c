/* A numbered picture a frame. They are written into a folder of their own and moved into place at the end, so that an
 * earlier result stays whole until this one is. */
#define _GNU_SOURCE
#include "media/sink_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/pattern.h"
#include "media/byte_out.h"
#include "media/image.h"

struct pictures {
	char *folder, *pattern; /* FOLDER, FOLDER/%06d.jpg */
	const char *name;       /* %06d.jpg */
	char *part_folder;      /* FOLDER/%06d.jpg.part, all of it literal */
	char *part_pattern;     /* for what is in it */
	int part_fd;            /* of part_folder, locked; -1 while it is not ours to remove */
	bool made_folder;
	bool overwrite, jpegs;
	struct il_image_encoder *encoder;
	int64_t written, placed;                                /* they are numbered from 1 */
	char path[IL_PATTERN_PATH], part_path[IL_PATTERN_PATH]; /* of the number at hand */
	char text[96];
};

static const char *path_of(struct pictures *s, int64_t number)
{
	return il_pattern_path(s->pattern, number, s->path);
}

static const char *part_path_of(struct pictures *s, int64_t number)
{
	return il_pattern_path(s->part_pattern, number, s->part_path);
}

static enum inlay_err name_places(struct pictures *s, const char *pattern, struct inlay_error *err)
{
	enum inlay_err rc = il_pattern_check(pattern, err);
	if (rc)
		return rc;
	const char *slash = strrchr(pattern, '/');
	if (!il_pattern_valid(slash ? slash + 1 : pattern))
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: no number in the file name, expected one such as FOLDER/%%06d.jpg", pattern);
	s->pattern = strdup(pattern);
	s->folder = il_path_folder(il_pattern_path(pattern, 1, s->path));
	if (!s->pattern || !s->folder)
		return il_fail_memory(err);
	s->name = slash ? s->pattern + (slash + 1 - pattern) : s->pattern;
	if (asprintf(&s->part_folder, "%s/%s.part", s->folder, s->name) < 0) {
		s->part_folder = NULL;
		return il_fail_memory(err);
	}
	return il_pattern_join(&s->part_pattern, s->part_folder, s->name, err);
}

/* The last folder is made here; those above it must be there, which catches most slips of the pen. */
static enum inlay_err make_folder(struct pictures *s, struct inlay_error *err)
{
	if (il_path_is_folder(s->folder))
		return INLAY_OK;
	enum inlay_err rc = il_sink_check_place(s->folder, err);
	if (!rc && mkdir(s->folder, 0777))
		rc = il_fail_errno(err, "folder %s cannot be made", s->folder);
	s->made_folder = !rc;
	return rc;
}

static enum inlay_err check_present(struct pictures *s, int64_t number, struct inlay_error *err)
{
	struct stat st;
	const char *path = path_of(s, number);
	if (!s->overwrite)
		return il_fail(err, INLAY_ERR_EXISTS, "%s: exists already", path);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return il_fail(err, INLAY_ERR_INVALID, "%s: is in the way; expected a picture or nothing", path);
	return INLAY_OK;
}

/* Looks at every picture of whatever number: a collision is found before the work, not after it. */
static enum inlay_err check_folder(struct pictures *s, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	int64_t number;
	DIR *dir = opendir(s->folder);
	if (!dir)
		return il_fail_errno(err, "folder %s cannot be read", s->folder);
	for (struct dirent *entry; !rc && (entry = readdir(dir));)
		if (il_pattern_match(s->name, entry->d_name, &number))
			rc = check_present(s, number, err);
	closedir(dir);
	return rc;
}

/* Another run may take the folder away between any two of these calls: INLAY_AGAIN. */
static enum inlay_err lock_part_folder(struct pictures *s, struct inlay_error *err)
{
	struct stat held, named;
	if (mkdir(s->part_folder, 0777) && errno != EEXIST)
		return il_fail_errno(err, "folder %s cannot be made", s->part_folder);
	int fd = open(s->part_folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? INLAY_AGAIN : il_fail_errno(err, "folder %s cannot be opened", s->part_folder);
	enum inlay_err rc = INLAY_OK;
	if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		rc = il_fail(err, INLAY_ERR_IO, "%s: another run is writing it", s->pattern);
	else if (fstat(fd, &held) || stat(s->part_folder, &named) || held.st_ino != named.st_ino ||
	         held.st_dev != named.st_dev)
		rc = INLAY_AGAIN;
	if (rc)
		close(fd);
	else
		s->part_fd = fd;
	return rc;
}

static void empty_part_folder(struct pictures *s)
{
	int64_t number;
	DIR *dir = opendir(s->part_folder);
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		if (il_pattern_match(s->name, entry->d_name, &number))
			unlink(part_path_of(s, number));
	if (dir)
		closedir(dir);
}

static void remove_part_folder(struct pictures *s)
{
	if (s->part_fd < 0)
		return;
	empty_part_folder(s);
	if (rmdir(s->part_folder))
		il_log_warn("folder %s cannot be removed: %s", s->part_folder, strerror(errno));
	close(s->part_fd);
	s->part_fd = -1;
}

static enum inlay_err prepare_place(struct pictures *s, struct inlay_error *err)
{
	enum inlay_err rc = make_folder(s, err);
	if (rc)
		return rc;
	do
		rc = lock_part_folder(s, err);
	while (rc == INLAY_AGAIN);
	if (rc)
		return rc;
	empty_part_folder(s); /* of what a killed run left */
	return check_folder(s, err);
}

static void pictures_close(void *self)
{
	struct pictures *s = self;
	il_image_encoder_destroy(&s->encoder);
	free(s->folder);
	free(s->pattern);
	free(s->part_folder);
	free(s->part_pattern);
	free(s);
}

static void pictures_abort(void *self)
{
	struct pictures *s = self;
	for (int64_t i = 1; i <= s->placed; i++)
		unlink(path_of(s, i));
	remove_part_folder(s);
	if (s->made_folder)
		rmdir(s->folder);
}

static enum inlay_err pictures_open(void **self, const char *format, const struct il_sink_params *params,
                                    struct inlay_error *err)
{
	int quality = params->quality ? params->quality : 90;
	if (!params->path)
		return il_fail(err, INLAY_ERR_INVALID, "%s pictures need a name such as FOLDER/%%06d.%s", format,
		               format);
	struct pictures *s = calloc(1, sizeof *s);
	if (!s)
		return il_fail_memory(err);
	s->part_fd = -1;
	s->overwrite = params->overwrite;
	s->jpegs = strcmp(format, "png") != 0;
	if (!strcmp(format, "png"))
		snprintf(s->text, sizeof s->text, "png pictures");
	else
		snprintf(s->text, sizeof s->text, "%s pictures, quality %d", format, quality);
	enum inlay_err rc = name_places(s, params->path, err);
	if (!rc)
		rc = il_image_encoder_create(&s->encoder, format, quality, err);
	if (!rc)
		rc = prepare_place(s, err);
	if (rc) {
		pictures_abort(s);
		pictures_close(s);
	} else {
		*self = s;
	}
	return rc;
}

static enum inlay_err write_part(struct pictures *s, const uint8_t *data, size_t size, struct inlay_error *err)
{
	part_path_of(s, s->written + 1);
	int fd = open(s->part_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return il_fail_errno(err, "%s: cannot be made", s->part_path);
	struct il_byte_out out = { .fd = fd, .write_most = SIZE_MAX, .name = s->part_path };
	enum inlay_err rc = il_byte_out_write(&out, data, size, err);
	if (close(fd) && !rc)
		rc = il_fail_errno(err, "%s: cannot be written", s->part_path);
	return rc;
}

static enum inlay_err pictures_write(void *self, struct inlay_frame *frame, struct inlay_error *err)
{
	struct pictures *s = self;
	const uint8_t *data;
	size_t size;
	enum inlay_err rc = il_image_encode(s->encoder, frame, &data, &size, err);
	if (!rc)
		rc = write_part(s, data, size, err);
	s->written += !rc;
	return rc;
}

static enum inlay_err pictures_write_jpeg(void *self, const uint8_t *data, size_t size, struct inlay_error *err)
{
	struct pictures *s = self;
	enum inlay_err rc = write_part(s, data, size, err);
	s->written += !rc;
	return rc;
}

static bool pictures_take_jpegs(const void *self)
{
	return ((const struct pictures *)self)->jpegs;
}

/* link() refuses to replace a picture that appeared since the start; where the file system has no hard links, a look
 * beforehand must do. */
static enum inlay_err place(struct pictures *s, int64_t number, struct inlay_error *err)
{
	const char *from = part_path_of(s, number), *to = path_of(s, number);
	if (!s->overwrite) {
		if (link(from, to) == 0)
			return INLAY_OK; /* the other name goes with its folder */
		if (errno == EEXIST || il_path_exists(to))
			return il_fail(err, INLAY_ERR_EXISTS, "%s: appeared while the pictures were being made", to);
	}
	if (rename(from, to))
		return il_fail_errno(err, "%s: cannot be renamed to %s", from, to);
	return INLAY_OK;
}

/* What an earlier, longer run left behind the last picture would be taken for a part of this one. Only as far as its
 * row goes on: a number beyond a gap is no such thing. From the end, so that no gap appears if this is cut short. */
static void remove_old_tail(struct pictures *s)
{
	int64_t last = s->written;
	while (il_path_exists(path_of(s, last + 1)))
		last++;
	if (last > s->written)
		il_log_info("%s: removing %" PRId64 " to %" PRId64 " of an earlier run", s->pattern, s->written + 1,
		            last);
	for (; last > s->written; last--)
		if (unlink(path_of(s, last)))
			il_log_warn("%s: cannot be removed, and is no part of this output: %s", s->path,
			            strerror(errno));
}

/* All pictures are in place already: what fails here is worth a warning, no more. */
static void sync_folder(const struct pictures *s)
{
	int fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (fsync(fd) && errno != EINVAL))
		il_log_warn("folder %s cannot be synced: %s", s->folder, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static enum inlay_err pictures_finish(void *self, struct inlay_error *err)
{
	struct pictures *s = self;
	if (!s->written)
		return il_fail(err, INLAY_ERR_INVALID, "%s: no frame was written, expected one picture at least",
		               s->pattern);
	if (syncfs(s->part_fd))
		return il_fail_errno(err, "folder %s cannot be synced", s->part_folder);
	while (s->placed < s->written) {
		enum inlay_err rc = place(s, s->placed + 1, err);
		if (rc)
			return rc;
		s->placed++;
	}
	if (s->overwrite)
		remove_old_tail(s);
	sync_folder(s);
	remove_part_folder(s);
	return INLAY_OK;
}

static const char *pictures_describe(const void *self)
{
	return ((const struct pictures *)self)->text;
}

const struct il_sink_type il_sink_pictures = {
	.formats = (const char *const[]){ "jpg", "png", NULL },
	.open = pictures_open,
	.write = pictures_write,
	.write_jpeg = pictures_write_jpeg,
	.takes_jpegs = pictures_take_jpegs,
	.finish = pictures_finish,
	.abort = pictures_abort,
	.close = pictures_close,
	.describe = pictures_describe,
};
