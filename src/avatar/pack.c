#define _GNU_SOURCE /* strcasestr */
#include "avatar/pack_impl.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/pattern.h"
#include "base/file.h"
#include "media/image.h"
#include "media/video.h"

bool il_pack_has(const char *folder, const char *name)
{
	char *path = il_path_join(folder, name);
	bool there = path && il_path_exists(path);
	free(path);
	return there;
}

static enum inlay_err set_frames(struct il_avatar *avatar, int64_t frames, const char *name, struct inlay_error *err)
{
	if (frames < 1 || frames > IL_PACK_MAX_FRAMES)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: %" PRId64 " frames; expected 1 to %d", name, frames,
		               IL_PACK_MAX_FRAMES);
	avatar->rects = calloc((size_t)frames, sizeof *avatar->rects);
	if (!avatar->rects)
		return il_fail_memory(err);
	avatar->frames = frames;
	return INLAY_OK;
}

enum inlay_err il_pack_use_video(struct il_avatar *avatar, char *path, struct inlay_error *err)
{
	avatar->video = path;
	if (!path)
		return il_fail_memory(err);
	enum inlay_err rc = il_video_open(&avatar->reader, path, 1, err);
	if (rc)
		return rc;
	const struct il_video_info *info = il_video_info(avatar->reader);
	avatar->width = info->frame.width;
	avatar->height = info->frame.height;
	avatar->fps = info->fps;
	return set_frames(avatar, info->frames, path, err);
}

enum inlay_err il_pack_check_files(const char *pattern, int64_t first, int64_t frames, const char *what,
                                   struct il_faults *faults)
{
	char path[IL_PATTERN_PATH];
	int64_t absent = 0, first_absent = 0;
	for (int64_t i = 0; i < frames; i++)
		if (!il_path_exists(il_pattern_path(pattern, first + i, path)) && !absent++)
			first_absent = i;
	if (!absent)
		return INLAY_OK;
	return il_fault(faults, INLAY_ERR_NOT_FOUND,
	                "%s: missing (%" PRId64 " of the %s %" PRId64 " to %" PRId64 " are)",
	                il_pattern_path(pattern, first + first_absent, path), absent, what, first, first + frames - 1);
}

enum inlay_err il_pack_use_pictures(struct il_avatar *avatar, char *pattern, int first, int64_t frames,
                                    struct il_faults *faults)
{
	char path[IL_PATTERN_PATH];
	avatar->pattern = pattern;
	avatar->first = first;
	avatar->fps = (struct inlay_rational){ 25, 1 };
	enum inlay_err rc = set_frames(avatar, frames, pattern, faults->err);
	if (!rc)
		rc = il_pack_check_files(pattern, first, frames, "pictures", faults);
	if (!rc)
		rc = il_image_size(il_pattern_path(pattern, first, path), &avatar->width, &avatar->height, faults->err);
	return rc;
}

/* What the search for models has come to. */
struct candidates {
	char *path;
	int count;
};

static enum inlay_err add_candidate(struct candidates *candidates, const char *folder, const char *name,
                                    struct inlay_error *err)
{
	if (candidates->count++)
		return INLAY_OK;
	candidates->path = il_path_join(folder, name);
	return candidates->path ? INLAY_OK : il_fail_memory(err);
}

static enum inlay_err search_folder(const char *folder, struct candidates *model, struct candidates *encoder,
                                    struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	DIR *dir = opendir(folder);
	if (!dir)
		return errno == ENOENT || errno == ENOTDIR ? INLAY_OK : il_fail_errno(err, "%s", folder);
	for (struct dirent *entry; !rc && (entry = readdir(dir));) {
		const char *name = entry->d_name;
		if (strcmp(il_path_extension(name), "onnx"))
			continue;
		rc = add_candidate(strcasestr(name, "encoder") ? encoder : model, folder, name, err);
	}
	closedir(dir);
	return rc;
}

/* Moves a path that is the only one into a place still free. */
static void settle(char **place, struct candidates *candidates)
{
	if (!*place && candidates->count == 1)
		*place = candidates->path;
	else
		free(candidates->path);
}

enum inlay_err il_pack_find_models(struct il_avatar *avatar, const char *folder, struct inlay_error *err)
{
	struct candidates model = { 0 }, encoder = { 0 };
	char *checkpoint = il_path_join(folder, "checkpoint");
	enum inlay_err rc = checkpoint ? search_folder(folder, &model, &encoder, err) : il_fail_memory(err);
	if (!rc)
		rc = search_folder(checkpoint, &model, &encoder, err);
	free(checkpoint);
	settle(&avatar->model, &model);
	settle(&avatar->audio_encoder, &encoder);
	return rc;
}
