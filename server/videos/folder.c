/* The files of videos. */
#define _GNU_SOURCE /* asprintf */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "server/videos/videos_impl.h"

char *video_path(const struct videos *videos, const char *id, const char *extension)
{
	char *path = NULL;
	return asprintf(&path, "%s/%s.%s", videos->folder, id, extension) < 0 ? NULL : path;
}

static void remove_file(const struct videos *videos, const char *id, const char *extension)
{
	char name[64];
	snprintf(name, sizeof name, "%s.%s", id, extension);
	if (unlinkat(videos->folder_fd, name, 0) < 0 && errno != ENOENT)
		il_log_warn("%s/%s: cannot be removed: %s", videos->folder, name, strerror(errno));
}

void video_remove_files(const struct videos *videos, const struct video *video, bool result)
{
	remove_file(videos, video->id, "wav");
	if (result)
		remove_file(videos, video->id, video->format);
}

/* Is this file of a video still needed? */
static bool needed(const struct video *video, const char *extension)
{
	if (video->state == VIDEO_COMPLETED)
		return !strcmp(extension, video->format);
	return video->state != VIDEO_FAILED && !strcmp(extension, "wav");
}

/* Files whose names do not begin with an id are not ours. */
static enum inlay_err sweep_file(struct videos *videos, const char *name, struct inlay_error *err)
{
	struct table_row row;
	const char *dot = strchr(name, '.');
	if (!dot || dot - name >= (long)sizeof row.video.id)
		return INLAY_OK;
	char id[sizeof row.video.id];
	snprintf(id, sizeof id, "%.*s", (int)(dot - name), name);
	if (!video_id_valid(id))
		return INLAY_OK;
	struct inlay_error fault = { 0 };
	enum inlay_err rc = table_find(videos->table, id, &row, &fault);
	if (rc && rc != INLAY_ERR_NOT_FOUND)
		return il_fail(err, rc, "%s", fault.text);
	if (rc || !needed(&row.video, dot + 1))
		remove_file(videos, id, dot + 1);
	return INLAY_OK;
}

enum inlay_err videos_sweep(struct videos *videos, struct inlay_error *err)
{
	DIR *folder = opendir(videos->folder);
	if (!folder)
		return il_fail_errno(err, "%s: cannot be read", videos->folder);
	enum inlay_err rc = INLAY_OK;
	for (const struct dirent *entry; !rc && (entry = readdir(folder));)
		rc = sweep_file(videos, entry->d_name, err);
	closedir(folder);
	return rc;
}
