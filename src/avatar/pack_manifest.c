/* Avatars that an avatar.json describes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avatar/pack_impl.h"
#include "base/pattern.h"
#include "avatar/rects.h"
#include "base/file.h"

#define FILE_NAME "avatar.json"
#define MAX_BYTES ((size_t)64 << 20)

/* One load under way. */
struct loading {
	struct il_avatar *avatar;
	char *path, *folder; /* of the manifest */
	struct il_manifest manifest;
	struct il_faults *faults;
};

static bool probe(const char *path)
{
	return il_path_is_folder(path) ? il_pack_has(path, FILE_NAME) : !strcmp(il_path_extension(path), "json");
}

static enum inlay_err read_manifest(struct loading *l)
{
	const char *given = l->avatar->path;
	l->path = il_path_is_folder(given) ? il_path_join(given, FILE_NAME) : strdup(given);
	l->folder = l->path ? il_path_folder(l->path) : NULL;
	if (!l->folder)
		return il_fail_memory(l->faults->err);
	struct il_bytes bytes = { 0 };
	enum inlay_err rc = il_file_read(l->path, MAX_BYTES, &bytes, l->faults->err);
	if (!rc)
		rc = il_manifest_parse(bytes.data, bytes.size, l->path, &l->manifest, l->faults);
	il_bytes_destroy(&bytes);
	return rc;
}

static enum inlay_err use_video(struct loading *l)
{
	struct il_avatar *avatar = l->avatar;
	const struct il_manifest *m = &l->manifest;
	enum inlay_err rc = il_pack_use_video(avatar, il_path_join(l->folder, m->source), l->faults->err);
	if (!rc && m->first >= 0)
		rc = il_fault(l->faults, INLAY_ERR_FORMAT,
		              "%s: first is for numbered pictures; the frames of a video count from 0", l->path);
	if (!rc && m->frames > avatar->frames)
		rc = il_fault(l->faults, INLAY_ERR_FORMAT, "%s: frames is %" PRId64 "; %s has %" PRId64, l->path,
		              m->frames, avatar->video, avatar->frames);
	else if (!rc && m->frames > 0)
		avatar->frames = m->frames;
	return rc;
}

static int64_t count_pictures(const char *pattern, int64_t first)
{
	char path[IL_PATTERN_PATH];
	int64_t n = 0;
	while (n <= IL_PACK_MAX_FRAMES && il_path_exists(il_pattern_path(pattern, first + n, path)))
		n++;
	return n;
}

static enum inlay_err use_pictures(struct loading *l)
{
	const struct il_manifest *m = &l->manifest;
	char *pattern, path[IL_PATTERN_PATH];
	enum inlay_err rc = il_pattern_join(&pattern, l->folder, m->source, l->faults->err);
	if (rc)
		return rc;
	int64_t first = m->first < 0 ? 0 : m->first;
	int64_t frames = m->frames < 0 ? count_pictures(pattern, first) : m->frames;
	if (frames)
		return il_pack_use_pictures(l->avatar, pattern, (int)first, frames, l->faults);
	il_fail(l->faults->err, INLAY_ERR_NOT_FOUND,
	        "%s: source: %s: no such file; \"first\" says where the numbers start", l->path,
	        il_pattern_path(pattern, first, path));
	free(pattern);
	return INLAY_ERR_NOT_FOUND;
}

static enum inlay_err load_rects(struct loading *l)
{
	const struct il_manifest *m = &l->manifest;
	enum inlay_err rc = INLAY_OK;
	if (m->rect_list) {
		char name[IL_PATTERN_PATH];
		snprintf(name, sizeof name, "%s: rectangles", l->path);
		return il_rects_from_json(l->avatar, m->rect_list, name, l->faults);
	}
	if (!m->rect_file)
		return INLAY_OK; /* checking goes on without */
	bool landmarks = strchr(m->rect_file, '%');
	char *path = NULL;
	if (landmarks)
		rc = il_pattern_join(&path, l->folder, m->rect_file, l->faults->err);
	else if (!(path = il_path_join(l->folder, m->rect_file)))
		rc = il_fail_memory(l->faults->err);
	if (!rc && landmarks)
		rc = il_rects_read_landmarks(l->avatar, path, l->avatar->first, l->faults);
	else if (!rc)
		rc = il_rects_read(l->avatar, path, l->faults);
	free(path);
	return rc;
}

static enum inlay_err load_parsing(struct loading *l)
{
	struct il_avatar *avatar = l->avatar;
	if (!l->manifest.parsing)
		return INLAY_OK;
	enum inlay_err rc = il_pattern_join(&avatar->parsing, l->folder, l->manifest.parsing, l->faults->err);
	if (rc)
		return rc;
	return il_pack_check_files(avatar->parsing, avatar->first, avatar->frames, "parsing masks", l->faults);
}

static enum inlay_err take_model(struct loading *l, const char *key, const char *name, char **place)
{
	if (!name)
		return INLAY_OK;
	char *path = il_path_join(l->folder, name);
	if (!path)
		return il_fail_memory(l->faults->err);
	if (il_path_exists(path)) {
		*place = path;
		return INLAY_OK;
	}
	enum inlay_err rc = il_fault(l->faults, INLAY_ERR_NOT_FOUND, "%s: %s: %s: no such file", l->path, key, path);
	free(path);
	return rc;
}

static enum inlay_err load_all(struct loading *l)
{
	struct il_avatar *avatar = l->avatar;
	const struct il_manifest *m = &l->manifest;
	enum inlay_err rc = read_manifest(l);
	if (!rc)
		rc = strchr(m->source, '%') ? use_pictures(l) : use_video(l);
	if (!rc)
		rc = load_rects(l);
	if (!rc)
		rc = load_parsing(l);
	if (!rc)
		rc = take_model(l, "model", m->model, &avatar->model);
	if (!rc)
		rc = take_model(l, "audio_encoder", m->audio_encoder, &avatar->audio_encoder);
	if (rc)
		return rc;
	if (m->fps.num)
		avatar->fps = m->fps;
	avatar->order = m->order;
	avatar->start_frame = m->start_frame;
	avatar->interp = m->interp;
	return il_pack_find_models(avatar, l->folder, l->faults->err);
}

static enum inlay_err load(struct il_avatar *avatar, struct il_faults *faults)
{
	struct loading l = { .avatar = avatar, .faults = faults };
	enum inlay_err rc = load_all(&l);
	il_manifest_destroy(&l.manifest);
	avatar->manifest = l.path;
	free(l.folder);
	return rc;
}

const struct il_pack_layout il_pack_manifest = { "avatar.json", probe, load };
