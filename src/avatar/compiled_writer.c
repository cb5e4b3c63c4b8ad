#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "avatar/compiled_folder.h"
#include "avatar/compiled_impl.h"
#include "avatar/pack_impl.h"
#include "base/file.h"
#include "inlay/version.h"

#define ALIGN 64
#define MAX_FILES 16
#define COPY_BYTES ((size_t)1 << 20)

struct il_compiled_writer {
	struct il_compiled_folder folder;
	char *settings;
	int64_t frames;
	struct il_compiled_source *sources; /* [source_count], paths our own */
	size_t source_count;
	struct il_safetensors_writer *stores[IL_COMPILED_STORES];
	int64_t last[IL_COMPILED_STORES];            /* frame that this run added to */
	char *files[MAX_FILES + IL_COMPILED_STORES]; /* names, the stores' from finishing on */
	int file_count;
};

static char *store_path(const char *folder, int store)
{
	char name[IL_COMPILED_STORE_FILE];
	il_compiled_store_file(name, store);
	return il_path_join(folder, name);
}

/* Sources. */

/* Relative to `folder` where the file lies below it; both are absolute. Fresh memory. */
static char *source_path(const char *folder, const char *file)
{
	size_t n = strlen(folder);
	if (n > 1 && !strncmp(folder, file, n) && file[n] == '/')
		file += n + 1;
	return strdup(file);
}

/* JSON holds UTF-8 alone. */
static enum inlay_err check_text(const char *text, const char *what, struct inlay_error *err)
{
	json_t *value = json_string(text);
	json_decref(value);
	return value ? INLAY_OK : il_fail(err, INLAY_ERR_INVALID, "%s: is not in UTF-8, as %s must be", text, what);
}

static enum inlay_err read_source(struct il_compiled_writer *w, const char *folder, const char *file,
                                  struct inlay_error *err)
{
	struct il_compiled_source *source = &w->sources[w->source_count];
	enum inlay_err rc = il_file_sum(file, &source->sum, err);
	if (rc)
		return rc;
	char *whole = realpath(file, NULL);
	if (!whole)
		return il_fail_errno(err, "%s: cannot find", file);
	source->path = source_path(folder, whole);
	free(whole);
	if (!source->path)
		return il_fail_memory(err);
	w->source_count++;
	return check_text(source->path, "a source's path", err);
}

static enum inlay_err read_sources(struct il_compiled_writer *w, const struct il_compiled_plan *plan,
                                   struct inlay_error *err)
{
	w->sources = calloc(plan->source_count + 1, sizeof *w->sources);
	char *above = il_path_folder(w->folder.path), *folder = above ? realpath(above, NULL) : NULL;
	enum inlay_err rc = INLAY_OK;
	if (!w->sources || !above)
		rc = il_fail_memory(err);
	else if (!folder)
		rc = il_fail_errno(err, "%s: cannot find", above);
	for (size_t i = 0; !rc && i < plan->source_count; i++)
		rc = read_source(w, folder, plan->sources[i], err);
	free(above);
	free(folder);
	return rc;
}

/* Of all that the tensors depend on. Times are not among them: a source that was only touched is the same. */
static uint64_t plan_key(const struct il_compiled_writer *w)
{
	char text[120];
	int n = snprintf(text, sizeof text, "%d %s %" PRId64, IL_COMPILED_VERSION, inlay_version(), w->frames);
	uint64_t key = il_sum(text, (size_t)n, 0);
	key = il_sum(w->settings, strlen(w->settings), key);
	for (size_t i = 0; i < w->source_count; i++) {
		key = il_sum(w->sources[i].path, strlen(w->sources[i].path), key);
		key = il_sum(&w->sources[i].sum.sum, sizeof w->sources[i].sum.sum, key);
	}
	return key;
}

static enum inlay_err open_stores(struct il_compiled_writer *w, const struct il_compiled_plan *plan,
                                  struct inlay_error *err)
{
	uint64_t key = plan_key(w);
	for (int s = 0; s < IL_COMPILED_STORES; s++) {
		if (plan->kinds[s] <= 0 && plan->constants[s] <= 0)
			continue;
		struct il_safetensors_plan tensors = {
			.tensors = (size_t)plan->kinds[s] * (size_t)w->frames + (size_t)plan->constants[s],
			.name_bytes = plan->name_bytes + sizeof ".4194304",
			.rank = IL_SAFETENSOR_MAX_RANK,
			.align = ALIGN,
			.key = key,
		};
		char *path = store_path(w->folder.part, s);
		enum inlay_err rc =
			path ? il_safetensors_writer_open(&w->stores[s], path, &tensors, err) : il_fail_memory(err);
		free(path);
		if (rc)
			return rc;
	}
	return INLAY_OK;
}

static bool plan_is_sound(const struct il_compiled_plan *plan)
{
	bool sound = plan->frames > 0 && plan->frames <= IL_PACK_MAX_FRAMES &&
	             plan->name_bytes < IL_COMPILED_NAME_BYTES - 32;
	for (int s = 0; s < IL_COMPILED_STORES; s++)
		sound = sound && plan->kinds[s] >= 0 && plan->kinds[s] <= IL_COMPILED_MAX_KINDS &&
		        plan->constants[s] >= 0;
	return sound;
}

enum inlay_err il_compiled_writer_open(struct il_compiled_writer **out, const char *path,
                                       const struct il_compiled_plan *plan, struct inlay_error *err)
{
	*out = NULL;
	if (!plan_is_sound(plan))
		return il_fail(err, INLAY_ERR_INVALID, "%s: no compiled avatar has such a plan", path);
	struct il_compiled_writer *w = calloc(1, sizeof *w);
	if (!w)
		return il_fail_memory(err);
	w->frames = plan->frames;
	enum inlay_err rc = il_compiled_folder_open(&w->folder, path, plan->overwrite, err);
	if (!rc && !(w->settings = strdup(plan->settings ? plan->settings : "")))
		rc = il_fail_memory(err);
	if (!rc)
		rc = check_text(w->settings, "settings", err);
	if (!rc)
		rc = read_sources(w, plan, err);
	if (!rc)
		rc = open_stores(w, plan, err);
	if (rc)
		il_compiled_writer_destroy(&w);
	*out = w;
	return rc;
}

void il_compiled_writer_destroy(struct il_compiled_writer **slot)
{
	struct il_compiled_writer *w = *slot;
	if (!w)
		return;
	for (int s = 0; s < IL_COMPILED_STORES; s++)
		il_safetensors_writer_destroy(&w->stores[s]);
	for (size_t i = 0; i < w->source_count; i++)
		free((char *)w->sources[i].path);
	while (w->file_count)
		free(w->files[--w->file_count]);
	il_compiled_folder_destroy(&w->folder);
	free(w->sources);
	free(w->settings);
	free(w);
	*slot = NULL;
}

void il_compiled_writer_discard(struct il_compiled_writer **slot)
{
	if (*slot)
		il_compiled_folder_discard(&(*slot)->folder);
	il_compiled_writer_destroy(slot);
}

/* Tensors and files. */

static bool has_file(const struct il_compiled_writer *w, const char *name)
{
	for (int i = 0; i < w->file_count; i++)
		if (!strcmp(w->files[i], name))
			return true;
	return false;
}

static bool tensor_name(char out[IL_COMPILED_NAME_BYTES], const char *kind, int64_t frame)
{
	if (frame >= 0)
		return il_compiled_format_name(out, kind, frame);
	return snprintf(out, IL_COMPILED_NAME_BYTES, "%s", kind) < IL_COMPILED_NAME_BYTES;
}

bool il_compiled_writer_has(const struct il_compiled_writer *w, enum il_compiled_store store, const char *kind,
                            int64_t frame)
{
	char name[IL_COMPILED_NAME_BYTES];
	return w->stores[store] && tensor_name(name, kind, frame) && il_safetensors_writer_has(w->stores[store], name);
}

enum inlay_err il_compiled_writer_add(struct il_compiled_writer *w, enum il_compiled_store store, const char *kind,
                                      int64_t frame, enum il_safetensor_type type, int rank, const size_t *dims,
                                      const void *data, struct inlay_error *err)
{
	char name[IL_COMPILED_NAME_BYTES];
	int64_t number;
	struct il_safetensor tensor = { .name = name, .type = type, .rank = rank, .data = data };
	if (!w->stores[store] || frame >= w->frames || !tensor_name(name, kind, frame) ||
	    (frame < 0 && il_compiled_parse_name(name, &number)) || rank < 0 || rank > IL_SAFETENSOR_MAX_RANK)
		return il_fail(err, INLAY_ERR_INVALID, "%s: tensor %.100s of frame %" PRId64 " is not within the plan",
		               w->folder.path, kind, frame);
	if (rank)
		memcpy(tensor.dims, dims, (size_t)rank * sizeof *dims);
	if (!il_safetensor_size(type, rank, tensor.dims, &tensor.size))
		return il_fail(err, INLAY_ERR_INVALID, "%s: tensor %s is larger than a file can be", w->folder.path,
		               name);
	if (frame >= 0 && frame < w->last[store])
		return il_fail(err, INLAY_ERR_INVALID, "%s: tensor %s comes behind frame %" PRId64, w->folder.path,
		               name, w->last[store]);
	enum inlay_err rc = il_safetensors_writer_add(w->stores[store], &tensor, err);
	if (!rc && frame >= 0)
		w->last[store] = frame;
	return rc;
}

enum inlay_err il_compiled_writer_file(struct il_compiled_writer *w, const char *name, char **path,
                                       struct inlay_error *err)
{
	size_t n = strlen(name);
	*path = NULL;
	if (!il_compiled_file_name(name) || n < 6 || strcmp(name + n - 5, ".onnx"))
		return il_fail(err, INLAY_ERR_INVALID, "%s: expected the plain name of an .onnx file", name);
	if (!has_file(w, name)) {
		if (w->file_count >= MAX_FILES)
			return il_fail(err, INLAY_ERR_INVALID, "%s: %s is one more than %d files", w->folder.path, name,
			               MAX_FILES);
		if (!(w->files[w->file_count] = strdup(name)))
			return il_fail_memory(err);
		w->file_count++;
	}
	*path = il_path_join(w->folder.part, name);
	return *path ? INLAY_OK : il_fail_memory(err);
}

static enum inlay_err copy_bytes(int from, struct il_part *to, const char *name, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	char *piece = malloc(COPY_BYTES);
	if (!piece)
		return il_fail_memory(err);
	while (!rc) {
		ssize_t n = read(from, piece, COPY_BYTES);
		if (n == 0)
			break;
		if (n > 0)
			rc = il_part_write(to, piece, (size_t)n, err);
		else if (errno != EINTR)
			rc = il_fail_errno(err, "%s: cannot read", name);
	}
	free(piece);
	return rc;
}

enum inlay_err il_compiled_writer_copy(struct il_compiled_writer *w, const char *name, const char *from,
                                       struct inlay_error *err)
{
	char *path;
	struct il_part *part = NULL;
	enum inlay_err rc = il_compiled_writer_file(w, name, &path, err);
	if (rc)
		return rc;
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		rc = il_fail_errno(err, "%s: cannot open", from);
	if (!rc)
		rc = il_part_open(&part, path, true, err);
	if (!rc)
		rc = copy_bytes(fd, part, from, err);
	if (!rc)
		rc = il_part_commit(part, err);
	il_part_destroy(&part);
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

/* Finishing. */

struct kinds {
	struct il_compiled_kind list[IL_COMPILED_MAX_KINDS];
	char names[IL_COMPILED_MAX_KINDS][IL_COMPILED_NAME_BYTES];
	int64_t frames[IL_COMPILED_MAX_KINDS]; /* seen of each */
	int count;
};

static int find_kind(const struct kinds *kinds, const char *name, size_t length)
{
	for (int k = 0; k < kinds->count; k++)
		if (!strncmp(kinds->names[k], name, length) && !kinds->names[k][length])
			return k;
	return -1;
}

static enum inlay_err add_to_kind(struct kinds *kinds, const struct il_compiled_writer *w, int store,
                                  const struct il_safetensor *tensor, size_t length, struct inlay_error *err)
{
	int k = find_kind(kinds, tensor->name, length);
	if (k < 0) {
		if (kinds->count == IL_COMPILED_MAX_KINDS)
			return il_fail(err, INLAY_ERR_INVALID, "%s: more than %d kinds", w->folder.path,
			               IL_COMPILED_MAX_KINDS);
		k = kinds->count++;
		memcpy(kinds->names[k], tensor->name, length);
		kinds->list[k] = (struct il_compiled_kind){ kinds->names[k], (enum il_compiled_store)store,
			                                    tensor->type, tensor->rank };
		memcpy(kinds->list[k].dims, tensor->dims, sizeof tensor->dims);
	}
	struct il_compiled_kind *kind = &kinds->list[k];
	if ((int)kind->store != store || kind->type != tensor->type || kind->rank != tensor->rank)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: tensor %s has another type, rank or file than other frames'", w->folder.path,
		               tensor->name);
	for (int i = 0; i < kind->rank; i++)
		if (kind->dims[i] != tensor->dims[i])
			kind->dims[i] = IL_COMPILED_VARIES;
	kinds->frames[k]++;
	return INLAY_OK;
}

/* The kinds of a finished store are what its tensors' names say. */
static enum inlay_err collect_kinds(struct kinds *kinds, const struct il_compiled_writer *w, int store,
                                    struct inlay_error *err)
{
	struct il_safetensors *file = NULL;
	char *path = store_path(w->folder.part, store);
	enum inlay_err rc = path ? il_safetensors_open(&file, path, err) : il_fail_memory(err);
	for (size_t i = 0; !rc && i < il_safetensors_count(file); i++) {
		const struct il_safetensor *tensor = il_safetensors_at(file, i);
		int64_t frame;
		size_t length = il_compiled_parse_name(tensor->name, &frame);
		if (length && !il_safetensor_is_pad(tensor))
			rc = add_to_kind(kinds, w, store, tensor, length, err);
	}
	for (int k = 0; !rc && k < kinds->count; k++)
		if (kinds->frames[k] != w->frames)
			rc = il_fail(err, INLAY_ERR_INVALID, "%s: %s is there for %" PRId64 " of %" PRId64 " frames",
			             w->folder.path, kinds->names[k], kinds->frames[k], w->frames);
	il_safetensors_destroy(&file);
	free(path);
	return rc;
}

static enum inlay_err finish_store(struct il_compiled_writer *w, int s, struct kinds *kinds, struct inlay_error *err)
{
	char name[IL_COMPILED_STORE_FILE];
	enum inlay_err rc = il_safetensors_writer_finish(w->stores[s], err);
	if (!rc)
		rc = collect_kinds(kinds, w, s, err);
	il_compiled_store_file(name, s);
	if (!rc && !has_file(w, name) && !(w->files[w->file_count++] = strdup(name)))
		rc = il_fail_memory(err);
	return rc;
}

/* Also syncs it, whoever wrote it. */
static enum inlay_err describe_file(const struct il_compiled_writer *w, const char *name, struct il_compiled_file *file,
                                    struct inlay_error *err)
{
	struct il_file_sum sum = { 0 };
	char *path = il_path_join(w->folder.part, name);
	if (!path)
		return il_fail_memory(err);
	bool summed = il_compiled_has_sum(name);
	enum inlay_err rc = summed ? il_file_sum(path, &sum, err) : il_file_stamp(path, &sum, err);
	int fd = rc ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (!rc && (fd < 0 || fsync(fd) < 0))
		rc = il_fail_errno(err, "%s: cannot sync", path);
	if (fd >= 0)
		close(fd);
	*file = (struct il_compiled_file){ name, sum.size, summed, sum.sum };
	free(path);
	return rc;
}

static enum inlay_err write_manifest(const struct il_compiled_writer *w, const struct il_compiled_manifest *manifest,
                                     struct inlay_error *err)
{
	char *text = il_compiled_manifest_format(manifest, w->settings);
	char *path = il_path_join(w->folder.part, IL_COMPILED_MANIFEST);
	enum inlay_err rc = text && path ? il_file_write(path, text, strlen(text), true, err) : il_fail_memory(err);
	free(path);
	free(text);
	return rc;
}

static enum inlay_err write_all(struct il_compiled_writer *w, struct kinds *kinds, const struct il_compiled_info *info,
                                struct inlay_error *err)
{
	struct il_compiled_file files[MAX_FILES + IL_COMPILED_STORES];
	enum inlay_err rc = INLAY_OK;
	for (int s = 0; !rc && s < IL_COMPILED_STORES; s++)
		if (w->stores[s])
			rc = finish_store(w, s, kinds, err);
	for (int i = 0; !rc && i < w->file_count; i++)
		rc = describe_file(w, w->files[i], &files[i], err);
	struct il_compiled_manifest manifest = {
		.info = *info,
		.kinds = kinds->list,
		.kind_count = kinds->count,
		.sources = w->sources,
		.source_count = w->source_count,
		.files = files,
		.file_count = (size_t)w->file_count,
	};
	if (!rc)
		rc = write_manifest(w, &manifest, err);
	return rc;
}

/* Called when all is in place: should the run be killed before that, the next one starts from them. */
static void forget_journals(const struct il_compiled_writer *w)
{
	for (int s = 0; s < IL_COMPILED_STORES; s++) {
		char *path = store_path(w->folder.path, s);
		if (path)
			il_safetensors_forget(path);
		free(path);
	}
}

static enum inlay_err check_result(const struct il_compiled_writer *w, struct inlay_error *err)
{
	struct il_compiled *compiled;
	enum inlay_err rc = il_compiled_load(&compiled, w->folder.part, err);
	il_compiled_destroy(&compiled);
	return rc;
}

enum inlay_err il_compiled_writer_finish(struct il_compiled_writer *w, const struct il_compiled_info *info,
                                         struct inlay_error *err)
{
	if (info->frames != w->frames)
		return il_fail(err, INLAY_ERR_INVALID, "%s: %" PRId64 " frames, planned were %" PRId64, w->folder.path,
		               info->frames, w->frames);
	struct kinds *kinds = calloc(1, sizeof *kinds);
	enum inlay_err rc = kinds ? write_all(w, kinds, info, err) : il_fail_memory(err);
	free(kinds);
	if (rc)
		return rc;
	il_compiled_folder_clean(&w->folder, w->files, w->file_count);
	rc = check_result(w, err);
	if (rc)
		return rc;
	rc = il_compiled_folder_commit(&w->folder, err);
	if (!rc)
		forget_journals(w);
	return rc;
}
