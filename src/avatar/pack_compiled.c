/* Compiled avatars, NAME.inlay. */
#include <stdlib.h>
#include <string.h>

#include "avatar/compiled.h"
#include "avatar/pack_impl.h"
#include "base/file.h"

#define MANIFEST "avatar.json"

static enum inlay_err copy_path(const struct il_compiled *compiled, const char *file, char **path,
                                struct inlay_error *err)
{
	if (!file)
		return INLAY_OK;
	*path = il_compiled_path(compiled, file);
	return *path ? INLAY_OK : il_fail_memory(err);
}

/* The folder, for those who name its avatar.json. */
static char *folder_of(const char *path)
{
	size_t length = strlen(path), name = sizeof MANIFEST - 1;
	bool names_it = length >= name && !strcmp(path + length - name, MANIFEST) && !il_path_is_folder(path);
	return names_it ? il_path_folder(path) : strdup(path);
}

static bool probe(const char *path)
{
	char *folder = folder_of(path);
	bool compiled = folder && il_compiled_probe(folder);
	free(folder);
	return compiled;
}

static enum inlay_err load(struct il_avatar *avatar, struct il_faults *faults)
{
	char *folder = folder_of(avatar->path);
	enum inlay_err rc =
		folder ? il_compiled_open(&avatar->compiled, folder, faults->err) : il_fail_memory(faults->err);
	free(folder);
	if (rc)
		return rc;
	const struct il_compiled_info *info = il_compiled_info(avatar->compiled);
	avatar->frames = info->frames;
	avatar->width = info->width;
	avatar->height = info->height;
	avatar->fps = info->fps;
	avatar->order = info->order;
	avatar->interp = info->interp;
	avatar->start_frame = info->start_frame;
	avatar->rects = malloc((size_t)info->frames * sizeof *info->rects);
	if (!avatar->rects)
		return il_fail_memory(faults->err);
	memcpy(avatar->rects, info->rects, (size_t)info->frames * sizeof *info->rects);
	rc = copy_path(avatar->compiled, info->network, &avatar->model, faults->err);
	return rc ? rc : copy_path(avatar->compiled, info->audio_encoder, &avatar->audio_encoder, faults->err);
}

const struct il_pack_layout il_pack_compiled = { "compiled avatar", probe, load };
