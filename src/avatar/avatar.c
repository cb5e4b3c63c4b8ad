#include "avatar/avatar.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "avatar/compiled.h"
#include "avatar/pack_impl.h"
#include "avatar/prepared.h"
#include "base/pattern.h"
#include "base/file.h"
#include "base/log.h"

/* In order of preference: a folder may hold the files of more than one. */
static const struct il_pack_layout *const layouts[] = { &il_pack_compiled, &il_pack_manifest, &il_pack_video,
	                                                &il_pack_dataset };

static enum inlay_err find_layout(const char *path, const struct il_pack_layout **layout, struct inlay_error *err)
{
	if (!il_path_exists(path))
		return il_fail(err, INLAY_ERR_NOT_FOUND, "%s: no such file or folder; expected an avatar pack", path);
	for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
		*layout = layouts[i];
		if (layouts[i]->probe(path))
			return INLAY_OK;
	}
	if (il_pack_has(path, "frames.safetensors.journal"))
		return il_fail(err, INLAY_ERR_FORMAT,
		               "%s: compiling has not ended; the same \"inlay avatar compile\" goes on from there",
		               path);
	return il_fail(err, INLAY_ERR_FORMAT,
	               "%s: not an avatar pack; expected an avatar.json, a compiled avatar, a folder with "
	               "full_body_video.mp4 and crop_rectangles.json, or one with full_body_img/ and landmarks/%s",
	               path,
	               il_pack_has(path, "crops_328_video.mp4") ? " (crops_328_video.mp4 alone does not do)" : "");
}

/* What holds for every layout. */
static enum inlay_err finish(const struct il_avatar *avatar, struct il_faults *faults)
{
	if (avatar->fps.num <= 0 || avatar->fps.den <= 0)
		return il_fault(faults, INLAY_ERR_FORMAT, "%s: %d/%d frames a second; expected more than 0",
		                avatar->video ? avatar->video : avatar->path, avatar->fps.num, avatar->fps.den);
	if (avatar->start_frame >= avatar->frames)
		return il_fault(faults, INLAY_ERR_FORMAT,
		                "%s: start_frame is %" PRId64 "; expected less than the %" PRId64
		                " frames of the avatar",
		                avatar->path, avatar->start_frame, avatar->frames);
	il_log_info("%s: %s, %" PRId64 " frames of %dx%d, %d/%d a second", avatar->path, avatar->layout, avatar->frames,
	            avatar->width, avatar->height, avatar->fps.num, avatar->fps.den);
	return INLAY_OK;
}

enum inlay_err il_avatar_load(struct il_avatar **out, const char *path, struct il_faults *faults)
{
	const struct il_pack_layout *layout;
	*out = NULL;
	enum inlay_err rc = find_layout(path, &layout, faults->err);
	if (rc)
		return rc;
	struct il_avatar *avatar = calloc(1, sizeof *avatar);
	if (!avatar)
		return il_fail_memory(faults->err);
	avatar->layout = layout->name;
	avatar->order = -1;
	avatar->interp = -1;
	avatar->path = strdup(path);
	rc = avatar->path ? layout->load(avatar, faults) : il_fail_memory(faults->err);
	if (!rc)
		rc = finish(avatar, faults);
	if (rc)
		il_avatar_destroy(&avatar);
	*out = avatar;
	return rc;
}

enum inlay_err il_avatar_open(struct il_avatar **avatar, const char *path, struct inlay_error *err)
{
	struct inlay_error lost = { 0 };
	struct il_faults faults = { .err = err ? err : &lost };
	return il_avatar_load(avatar, path, &faults);
}

enum inlay_err il_avatar_set_parsing(struct il_avatar *avatar, const char *where, struct inlay_error *err)
{
	bool folder = il_path_is_folder(where);
	if (!folder && !il_pattern_valid(where))
		return il_fail(
			err, INLAY_ERR_INVALID,
			"%s: expected a folder of parsing masks, or a pattern with one %%d such as masks/%%05d.png",
			where);
	char *pattern;
	enum inlay_err rc = il_pattern_join(&pattern, folder ? where : ".", folder ? "%d.png" : where, err);
	if (rc)
		return rc;
	free(avatar->parsing);
	avatar->parsing = pattern;
	struct inlay_error lost = { 0 };
	struct il_faults faults = { .err = err ? err : &lost };
	return il_pack_check_files(pattern, avatar->first, avatar->frames, "parsing masks", &faults);
}

void il_avatar_network(const struct il_avatar *avatar, struct il_lipsync_net_params *params)
{
	const struct il_safetensor *weights =
		avatar->compiled ? il_compiled_constant(avatar->compiled, IL_STORE_FRAMES, IL_CONSTANT_WEIGHTS) : NULL;
	params->path = avatar->model;
	if (weights && weights->type == IL_ST_F32 && (uintptr_t)weights->data % sizeof(float) == 0) {
		params->weights = (const float *)(const void *)weights->data;
		params->weight_count = weights->size / sizeof(float);
	}
}

void il_avatar_network_opened(const struct il_avatar *avatar)
{
	if (avatar->compiled)
		il_compiled_release_constant(avatar->compiled, IL_STORE_FRAMES, IL_CONSTANT_WEIGHTS);
}

void il_avatar_destroy(struct il_avatar **slot)
{
	struct il_avatar *avatar = *slot;
	*slot = NULL;
	if (!avatar)
		return;
	il_video_destroy(&avatar->reader);
	il_compiled_destroy(&avatar->compiled);
	free(avatar->path);
	free(avatar->video);
	free(avatar->pattern);
	free(avatar->rects);
	free(avatar->manifest);
	free(avatar->rect_file);
	free(avatar->landmarks);
	free(avatar->parsing);
	free(avatar->model);
	free(avatar->audio_encoder);
	free(avatar);
}
