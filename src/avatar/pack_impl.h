/* What the layouts of avatar packs share, and the table that each of them fills. */
#ifndef IL_AVATAR_PACK_IMPL_H
#define IL_AVATAR_PACK_IMPL_H

#include <jansson.h>

#include "avatar/faults.h"

#define IL_PACK_MAX_FRAMES (1 << 22) /* two days at 25 fps */

struct il_pack_layout {
	const char *name;
	/* Looks at names only. `path` is there. */
	bool (*probe)(const char *path);
	/* Fills what the pack says into an avatar that holds its path, order and interp -1, and zeros. When it fails,
	 * the avatar is as far as it came and still destroyable. When checking, it fails only where nothing more can
	 * be looked at. */
	enum inlay_err (*load)(struct il_avatar *avatar, struct il_faults *faults);
};

extern const struct il_pack_layout il_pack_compiled, il_pack_manifest, il_pack_video, il_pack_dataset;

/* Opens a pack for both il_avatar_open and il_avatar_check. */
enum inlay_err il_avatar_load(struct il_avatar **avatar, const char *path, struct il_faults *faults);

/* True where folder/name is there. */
bool il_pack_has(const char *folder, const char *name);

/* Frames out of a video: takes `path`, sets video, reader, frames, size, fps and makes rects. */
enum inlay_err il_pack_use_video(struct il_avatar *avatar, char *path, struct inlay_error *err);

/* Frames out of numbered pictures: takes `pattern`, sets first, frames, size, 25 fps and makes rects. A picture that
 * is missing is a fault. */
enum inlay_err il_pack_use_pictures(struct il_avatar *avatar, char *pattern, int first, int64_t frames,
                                    struct il_faults *faults);

/* A fault if some of the files first .. first + frames - 1 are missing. what: "pictures". */
enum inlay_err il_pack_check_files(const char *pattern, int64_t first, int64_t frames, const char *what,
                                   struct il_faults *faults);

/* Sets model and audio_encoder where they are NULL and the .onnx files of the pack's folder and its checkpoint/ leave
 * one choice: a name that holds "encoder" is an audio encoder's, any other the model's. */
enum inlay_err il_pack_find_models(struct il_avatar *avatar, const char *folder, struct inlay_error *err);

/* What an avatar.json says. The strings belong to `root`. */
struct il_manifest {
	json_t *root;
	const char *source, *rect_file, *parsing, *model, *audio_encoder;
	json_t *rect_list;         /* where rect_file is NULL; NULL for neither */
	int64_t first, frames;     /* -1: not said */
	struct inlay_rational fps; /* num 0: not said */
	int order, interp;         /* -1: not said */
	int64_t start_frame;
};

/* Form alone is looked at, no file. manifest is destroyable whatever comes back. */
enum inlay_err il_manifest_parse(const void *data, size_t size, const char *name, struct il_manifest *manifest,
                                 struct il_faults *faults);
void il_manifest_destroy(struct il_manifest *manifest);

#endif
