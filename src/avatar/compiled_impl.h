/* What reader and writer of compiled avatars share: avatar.json and names.
 *
 * Keys of avatar.json, all of them there unless "or absent" is said:
 *     inlay_compiled   version of the format: 1
 *     made_by          the program, "inlay 0.1.0"
 *     sources          [{"path", "size" in bytes, "mtime_ns", "xxh3": sum of the contents, 16 hexadecimal digits}];
 *                      paths below the folder that NAME.inlay stands in are relative to that folder
 *     settings         the writer's text
 *     frames, width, height, start_frame
 *     fps              [numerator, denominator]
 *     order, interp    "bounce" .., "linear" or "cubic", or absent
 *     colour           {"matrix", "range", "primaries", "transfer"} as in inlay/frame.h
 *     rects            [[x0, y0, x1, y1], ...], one a frame
 *     jpeg             {"quality", "restart_interval"}, or absent
 *     network, audio_encoder    a name of files, or absent
 *     kinds            {KIND: {"file": "frames" or "hoisted", "type", "shape": with null for what varies}}
 *     files            {NAME: {"size", "xxh3"}}; of .safetensors, which hold their own sums, the size alone
 */
#ifndef IL_AVATAR_COMPILED_IMPL_H
#define IL_AVATAR_COMPILED_IMPL_H

#include <jansson.h>

#include "avatar/compiled.h"
#include "base/sum.h"

#define IL_COMPILED_VERSION 1
#define IL_COMPILED_MANIFEST "avatar.json"
#define IL_COMPILED_NAME_BYTES 512 /* of "KIND.N", with its 0 */

extern const char *const il_compiled_store_names[IL_COMPILED_STORES];
extern const char *const il_compiled_interp_names[]; /* by enum il_interp */

struct il_compiled_source {
	const char *path;
	struct il_file_sum sum;
};

struct il_compiled_file {
	const char *name;
	int64_t size;
	bool summed;
	uint64_t sum;
};

/* Strings belong to `root`. */
struct il_compiled_manifest {
	json_t *root;
	struct il_compiled_info info;
	struct inlay_rect *rects;
	struct il_compiled_kind *kinds;
	struct il_compiled_source *sources;
	struct il_compiled_file *files;
	int kind_count;
	size_t source_count, file_count;
};

/* Form alone is looked at, no file. The manifest is destroyable whatever comes back. */
enum inlay_err il_compiled_manifest_parse(const void *data, size_t size, const char *name,
                                          struct il_compiled_manifest *manifest, struct inlay_error *err);
void il_compiled_manifest_destroy(struct il_compiled_manifest *manifest);

/* The text of avatar.json in malloc'ed memory, NULL when out of memory. root and rects of the manifest are not looked
 * at. */
char *il_compiled_manifest_format(const struct il_compiled_manifest *manifest, const char *settings);

/* A plain name of a file: no slash, no dot in front, printable. */
bool il_compiled_file_name(const char *name);

/* False for stores, which hold their own sums. */
bool il_compiled_has_sum(const char *file);
/* "frames.safetensors" */
#define IL_COMPILED_STORE_FILE 40
void il_compiled_store_file(char out[IL_COMPILED_STORE_FILE], int store);

/* "KIND.N" */
bool il_compiled_format_name(char out[IL_COMPILED_NAME_BYTES], const char *kind, int64_t frame);
/* The other way round: the length of KIND, or 0 where the name has no ".N" as formatted above. */
size_t il_compiled_parse_name(const char *name, int64_t *frame);

/* il_compiled_open without a look at the sources. */
enum inlay_err il_compiled_load(struct il_compiled **compiled, const char *path, struct inlay_error *err);

#endif
