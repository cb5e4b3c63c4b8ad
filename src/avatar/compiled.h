/* A compiled avatar: a folder NAME.inlay with all that drawing one needs made beforehand, for mapping into memory.
 *
 *     avatar.json           what the avatar is and what it was made from; compiled_impl.h lists its keys
 *     frames.safetensors    a tensor KIND.N for each kind of data and each frame N
 *     hoisted.safetensors   likewise, what networks compute of each frame alone; absent where there is nothing
 *     *.onnx                the networks that avatar.json names
 *
 * Kinds are names that the writer chooses ("jpeg", "patch", a tensor of a network); within a file all tensors of a
 * frame stand together, in the order of the frames. Tensors named otherwise belong to no frame.
 */
#ifndef IL_AVATAR_COMPILED_H
#define IL_AVATAR_COMPILED_H

#include <stdbool.h>

#include "base/safetensors.h"
#include "inlay/frame.h"

enum il_compiled_store { IL_STORE_FRAMES, IL_STORE_HOISTED };
#define IL_COMPILED_STORES 2
#define IL_COMPILED_MAX_KINDS 256
#define IL_COMPILED_VARIES SIZE_MAX /* a dimension that is not the same in all frames */

/* What is said of the avatar as a whole. The reader's pointers are the avatar's. */
struct il_compiled_info {
	int64_t frames;
	int width, height;
	struct inlay_rational fps;
	int order;  /* enum il_order, -1 for no opinion */
	int interp; /* enum il_interp, -1 for no opinion */
	int64_t start_frame;
	struct inlay_colour colour;
	const struct inlay_rect *rects;          /* [frames], not empty, inside the frame each */
	int jpeg_quality, jpeg_restart_interval; /* 1..100; MCUs between markers. Both 0 where there are no JPEGs */
	const char *network, *audio_encoder;     /* files in the folder, or NULL */
};

struct il_compiled_kind {
	const char *name;
	enum il_compiled_store store;
	enum il_safetensor_type type;
	int rank;
	size_t dims[IL_SAFETENSOR_MAX_RANK]; /* of every frame, IL_COMPILED_VARIES where they differ */
};

/* Open for reading. Any number of threads may call all of this but destroy at once. A file of the folder that is
 * truncated while it is mapped makes readers die of SIGBUS; compiling anew renames and so does no harm. */
struct il_compiled;

/* True where `path` is a folder whose avatar.json is a compiled avatar's, of any version. */
bool il_compiled_probe(const char *path);

/* Reads avatar.json and the headers of the tensors: under a microsecond a tensor. Every kind has its tensor for every
 * frame afterwards, and sizes are those of the files. INLAY_ERR_UNSUPPORTED for another version of the format,
 * INLAY_ERR_INVALID where a source is there and has changed since: one of another size, or of another time of change
 * and other contents, for which it is read whole. Sources that are not there are passed over. */
enum inlay_err il_compiled_open(struct il_compiled **compiled, const char *path, struct inlay_error *err);
void il_compiled_destroy(struct il_compiled **compiled);

const struct il_compiled_info *il_compiled_info(const struct il_compiled *compiled);

int il_compiled_kind_count(const struct il_compiled *compiled);
const struct il_compiled_kind *il_compiled_kind_at(const struct il_compiled *compiled, int kind);
/* Number of a kind, -1 where there is none of that name. */
int il_compiled_find_kind(const struct il_compiled *compiled, const char *name);

/* Frame `frame` of kind `kind`, both in range, in the mapping. Never NULL, and as its kind says. */
const struct il_safetensor *il_compiled_tensor(const struct il_compiled *compiled, int kind, int64_t frame);
/* A tensor that belongs to no frame; NULL where there is none. */
const struct il_safetensor *il_compiled_constant(const struct il_compiled *compiled, enum il_compiled_store store,
                                                 const char *name);
/* Path of a file of the folder in fresh memory, NULL when out of memory. */
char *il_compiled_path(const struct il_compiled *compiled, const char *file);

/* Gives the pages of a frame back to the system; its tensors stay readable. Asks for them ahead. Never blocks long. */
void il_compiled_release(const struct il_compiled *compiled, int64_t frame);
void il_compiled_prefetch(const struct il_compiled *compiled, int64_t frame);
/* Likewise of a tensor that belongs to no frame; nothing where there is none of that name. */
void il_compiled_release_constant(const struct il_compiled *compiled, enum il_compiled_store store, const char *name);

/* Reads everything and compares it with its checksums; names the tensor or file at fault. cancel: polled between
 * tensors, may be NULL. */
enum inlay_err il_compiled_verify(const struct il_compiled *compiled, bool (*cancel)(void *ctx), void *ctx,
                                  struct inlay_error *err);

/* A compiled avatar being written, in the folder NAME.inlay.part. One thread. */
struct il_compiled_writer;

struct il_compiled_plan {
	int64_t frames;
	int kinds[IL_COMPILED_STORES];     /* kinds in each file, at most; 0: no such file */
	int constants[IL_COMPILED_STORES]; /* tensors that belong to no frame, at most */
	size_t name_bytes;                 /* of the longest name of a kind or constant */
	const char *settings;              /* all else that what is written depends on, as text */
	const char *const *sources;        /* files that it is made from; opening notices when they change */
	size_t source_count;
	bool overwrite; /* a compiled avatar at the same place; nothing else is ever replaced */
};

/* Where an earlier run with the same plan was killed or gave up, its tensors are there already. Reads the sources, and
 * refuses where another run is writing (INLAY_ERR_IO), or NAME.inlay is there and may not be replaced. */
enum inlay_err il_compiled_writer_open(struct il_compiled_writer **writer, const char *path,
                                       const struct il_compiled_plan *plan, struct inlay_error *err);
/* Leaves what is not finished in NAME.inlay.part for going on later. */
void il_compiled_writer_destroy(struct il_compiled_writer **writer);
/* Removes it, and destroys. */
void il_compiled_writer_discard(struct il_compiled_writer **writer);

/* frame -1: a constant. */
bool il_compiled_writer_has(const struct il_compiled_writer *writer, enum il_compiled_store store, const char *kind,
                            int64_t frame);
/* Frames must come in order within a store, all of a frame's kinds before the next frame. Names are printable ASCII
 * without spaces, quotes and backslashes. */
enum inlay_err il_compiled_writer_add(struct il_compiled_writer *writer, enum il_compiled_store store, const char *kind,
                                      int64_t frame, enum il_safetensor_type type, int rank, const size_t *dims,
                                      const void *data, struct inlay_error *err);

/* A file to be part of the folder: gives the path, in fresh memory, at which the caller writes it before finishing.
 * Names end in .onnx, and begin neither with a dot nor hold a slash. */
enum inlay_err il_compiled_writer_file(struct il_compiled_writer *writer, const char *name, char **path,
                                       struct inlay_error *err);
/* The same with a copy of `from`. */
enum inlay_err il_compiled_writer_copy(struct il_compiled_writer *writer, const char *name, const char *from,
                                       struct inlay_error *err);

/* Writes headers and avatar.json, opens the result as a check, and puts it in place of what was there
 * (avatar/compiled_folder.h says how). info->frames is the plan's. */
enum inlay_err il_compiled_writer_finish(struct il_compiled_writer *writer, const struct il_compiled_info *info,
                                         struct inlay_error *err);

#endif
