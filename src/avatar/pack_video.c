/* Video packs: full_body_video.mp4 with crop_rectangles.json or crop_rects.json. The pictures that such packs carry
 * beside it (crops_328_video.mp4, rois_320_video.mp4, model_inputs_video.mp4) all follow from these two. */
#include <stdlib.h>

#include "base/json.h"
#include "avatar/pack_impl.h"
#include "avatar/rects.h"
#include "base/file.h"

#define VIDEO "full_body_video.mp4"
#define INFO "package_info.json"
#define MAX_INFO_BYTES ((size_t)1 << 20)

static bool probe(const char *path)
{
	return il_pack_has(path, VIDEO);
}

static enum inlay_err load_rects(struct il_avatar *avatar, struct il_faults *faults)
{
	static const char *const names[] = { "crop_rectangles.json", "crop_rects.json" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (!il_pack_has(avatar->path, names[i]))
			continue;
		char *path = il_path_join(avatar->path, names[i]);
		enum inlay_err rc = path ? il_rects_read(avatar, path, faults) : il_fail_memory(faults->err);
		free(path);
		return rc;
	}
	return il_fault(
		faults, INLAY_ERR_NOT_FOUND,
		"%s: neither crop_rectangles.json nor crop_rects.json is there; one must hold the face rectangles",
		avatar->path);
}

/* package_info.json may name the model, which need not have come along: then the pack names none. */
static enum inlay_err model_of_info(struct il_avatar *avatar, const char *path, struct inlay_error *err)
{
	struct il_bytes bytes = { 0 };
	json_t *root = NULL;
	enum inlay_err rc = il_file_read(path, MAX_INFO_BYTES, &bytes, err);
	if (!rc)
		rc = il_json_parse(bytes.data, bytes.size, path, &root, err);
	const char *file = json_string_value(json_object_get(json_object_get(root, "onnx"), "file"));
	if (!rc && file && il_pack_has(avatar->path, file)) {
		avatar->model = il_path_join(avatar->path, file);
		if (!avatar->model)
			rc = il_fail_memory(err);
	}
	json_decref(root);
	il_bytes_destroy(&bytes);
	return rc;
}

static enum inlay_err load_info(struct il_avatar *avatar, struct il_faults *faults)
{
	if (!il_pack_has(avatar->path, INFO))
		return INLAY_OK;
	char *path = il_path_join(avatar->path, INFO);
	enum inlay_err rc = path ? model_of_info(avatar, path, faults->err) : il_fail_memory(faults->err);
	free(path);
	return il_fault_pass(faults, rc);
}

static enum inlay_err load(struct il_avatar *avatar, struct il_faults *faults)
{
	enum inlay_err rc = il_pack_use_video(avatar, il_path_join(avatar->path, VIDEO), faults->err);
	if (!rc)
		rc = load_rects(avatar, faults);
	if (!rc)
		rc = load_info(avatar, faults);
	if (!rc)
		rc = il_pack_find_models(avatar, avatar->path, faults->err);
	return rc;
}

const struct il_pack_layout il_pack_video = { "video pack", probe, load };
