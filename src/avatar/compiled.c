#include "avatar/compiled.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avatar/compiled_impl.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

#define MAX_MANIFEST ((size_t)128 << 20)

/* Where the tensors of a frame are in a store, in the order of its data. */
struct run {
	uint32_t first, count;
};

struct il_compiled {
	char *path;
	struct il_compiled_manifest manifest;
	struct il_safetensors *stores[IL_COMPILED_STORES]; /* NULL where there is no such file */
	const struct il_safetensor **cells;                /* [frames][kinds] */
	struct run *runs[IL_COMPILED_STORES];              /* [frames] */
};

static enum inlay_err read_manifest(const char *folder, struct il_compiled_manifest *manifest, struct inlay_error *err)
{
	struct il_bytes text = { 0 };
	char *path = il_path_join(folder, IL_COMPILED_MANIFEST);
	*manifest = (struct il_compiled_manifest){ 0 };
	enum inlay_err rc = path ? il_file_read(path, MAX_MANIFEST, &text, err) : il_fail_memory(err);
	if (!rc)
		rc = il_compiled_manifest_parse(text.data, text.size, path, manifest, err);
	il_bytes_destroy(&text);
	free(path);
	return rc;
}

bool il_compiled_probe(const char *path)
{
	struct il_bytes text = { 0 };
	json_t *root = NULL;
	char *manifest = il_path_join(path, IL_COMPILED_MANIFEST);
	bool is = manifest && !il_file_read(manifest, MAX_MANIFEST, &text, NULL) &&
	          !il_json_parse(text.data, text.size, manifest, &root, NULL) &&
	          json_object_get(root, "inlay_compiled");
	json_decref(root);
	il_bytes_destroy(&text);
	free(manifest);
	return is;
}

/* Files and stores. */

static enum inlay_err check_file(const struct il_compiled *c, const struct il_compiled_file *file,
                                 struct inlay_error *err)
{
	struct il_file_sum found = { 0 };
	char *path = il_compiled_path(c, file->name);
	enum inlay_err rc = path ? il_file_stamp(path, &found, err) : il_fail_memory(err);
	if (!rc && found.size != file->size)
		rc = il_fail(err, INLAY_ERR_FORMAT,
		             "%s: %" PRId64 " bytes, expected the %" PRId64 " of " IL_COMPILED_MANIFEST, path,
		             found.size, file->size);
	free(path);
	return rc;
}

static enum inlay_err open_store(struct il_compiled *c, const char *file, struct inlay_error *err)
{
	for (int s = 0; s < IL_COMPILED_STORES; s++) {
		char name[IL_COMPILED_STORE_FILE];
		il_compiled_store_file(name, s);
		if (strcmp(name, file))
			continue;
		char *path = il_compiled_path(c, file);
		enum inlay_err rc = path ? il_safetensors_open(&c->stores[s], path, err) : il_fail_memory(err);
		free(path);
		return rc;
	}
	return INLAY_OK;
}

static enum inlay_err open_files(struct il_compiled *c, struct inlay_error *err)
{
	for (size_t i = 0; i < c->manifest.file_count; i++) {
		enum inlay_err rc = check_file(c, &c->manifest.files[i], err);
		if (!rc)
			rc = open_store(c, c->manifest.files[i].name, err);
		if (rc)
			return rc;
	}
	return INLAY_OK;
}

/* Kinds and frames. */

static bool fits(const struct il_compiled_kind *kind, const struct il_safetensor *tensor)
{
	if (tensor->type != kind->type || tensor->rank != kind->rank)
		return false;
	for (int i = 0; i < kind->rank; i++)
		if (kind->dims[i] != IL_COMPILED_VARIES && kind->dims[i] != tensor->dims[i])
			return false;
	return true;
}

static enum inlay_err find_cell(struct il_compiled *c, int k, int64_t frame, struct inlay_error *err)
{
	char name[IL_COMPILED_NAME_BYTES];
	const struct il_compiled_kind *kind = &c->manifest.kinds[k];
	const struct il_safetensors *store = c->stores[kind->store];
	const char *store_name = il_compiled_store_names[kind->store];
	const struct il_safetensor *tensor =
		il_compiled_format_name(name, kind->name, frame) ? il_safetensors_find(store, name) : NULL;
	if (!tensor)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: %s.safetensors lacks tensor %s", c->path, store_name, name);
	if (!fits(kind, tensor))
		return il_fail(err, INLAY_ERR_FORMAT,
		               "%s: %s.safetensors: tensor %s is not as " IL_COMPILED_MANIFEST " says", c->path,
		               store_name, name);
	if ((uintptr_t)tensor->data % il_safetensor_item_size(tensor->type))
		return il_fail(err, INLAY_ERR_FORMAT, "%s: %s.safetensors: tensor %s is not aligned; compile again",
		               c->path, store_name, name);
	c->cells[frame * c->manifest.kind_count + k] = tensor;
	uint32_t at = (uint32_t)(tensor - il_safetensors_at(store, 0));
	struct run *run = &c->runs[kind->store][frame];
	uint32_t end = run->count ? run->first + run->count : at + 1;
	run->first = run->count && run->first < at ? run->first : at;
	run->count = (end > at ? end : at + 1) - run->first;
	return INLAY_OK;
}

static enum inlay_err check_order(const struct il_compiled *c, int64_t frame, struct inlay_error *err)
{
	for (int s = 0; s < IL_COMPILED_STORES; s++) {
		const struct run *runs = c->runs[s];
		if (runs && frame && runs[frame].first < runs[frame - 1].first + runs[frame - 1].count)
			return il_fail(err, INLAY_ERR_FORMAT,
			               "%s: %s.safetensors: frame %" PRId64 " does not stand behind the one before it",
			               c->path, il_compiled_store_names[s], frame);
	}
	return INLAY_OK;
}

/* Before memory is taken for what avatar.json claims, the stores must hold as many tensors. */
static enum inlay_err make_tables(struct il_compiled *c, struct inlay_error *err)
{
	const struct il_compiled_manifest *m = &c->manifest;
	size_t frames = (size_t)m->info.frames, kinds[IL_COMPILED_STORES] = { 0 };
	for (int k = 0; k < m->kind_count; k++)
		kinds[m->kinds[k].store]++;
	for (int s = 0; s < IL_COMPILED_STORES; s++) {
		size_t have = c->stores[s] ? il_safetensors_count(c->stores[s]) : 0;
		if (have < kinds[s] * frames)
			return il_fail(err, INLAY_ERR_FORMAT,
			               "%s: %s.safetensors holds %zu tensors, too few for %zu kinds in %zu frames",
			               c->path, il_compiled_store_names[s], have, kinds[s], frames);
		if (kinds[s] && !(c->runs[s] = calloc(frames, sizeof **c->runs)))
			return il_fail_memory(err);
	}
	c->cells = calloc(frames * (size_t)m->kind_count + 1, sizeof *c->cells);
	return c->cells ? INLAY_OK : il_fail_memory(err);
}

static enum inlay_err index_frames(struct il_compiled *c, struct inlay_error *err)
{
	enum inlay_err rc = make_tables(c, err);
	for (int64_t frame = 0; !rc && frame < c->manifest.info.frames; frame++) {
		for (int k = 0; !rc && k < c->manifest.kind_count; k++)
			rc = find_cell(c, k, frame, err);
		if (!rc)
			rc = check_order(c, frame, err);
	}
	return rc;
}

/* Sources. */

static enum inlay_err check_source(const char *compiled, const char *folder, const struct il_compiled_source *source,
                                   struct inlay_error *err)
{
	struct il_file_sum found = { 0 };
	struct inlay_error why = { 0 };
	char *path = il_path_join(folder, source->path);
	if (!path)
		return il_fail_memory(err);
	enum inlay_err rc = il_file_stamp(path, &found, &why);
	bool same = !rc && found.size == source->sum.size;
	if (same && found.mtime_ns != source->sum.mtime_ns) {
		rc = il_file_sum(path, &found, &why);
		same = found.sum == source->sum.sum;
	}
	if (rc == INLAY_ERR_NOT_FOUND || rc == INLAY_ERR_IO) {
		il_log_debug("%s: not compared with what it was compiled from: %s", compiled, why.text);
		rc = INLAY_OK;
	} else if (rc == INLAY_ERR_MEMORY)
		rc = il_fail_memory(err);
	else if (!same)
		rc = il_fail(
			err, INLAY_ERR_INVALID,
			"%s: stale: %s changed since it was compiled; compile again (inlay avatar compile PACK -o %s)",
			compiled, path, compiled);
	free(path);
	return rc;
}

static enum inlay_err check_sources(const struct il_compiled *c, struct inlay_error *err)
{
	char *folder = il_path_folder(c->path);
	enum inlay_err rc = folder ? INLAY_OK : il_fail_memory(err);
	for (size_t i = 0; !rc && i < c->manifest.source_count; i++)
		rc = check_source(c->path, folder, &c->manifest.sources[i], err);
	free(folder);
	return rc;
}

enum inlay_err il_compiled_load(struct il_compiled **out, const char *path, struct inlay_error *err)
{
	*out = NULL;
	struct il_compiled *c = calloc(1, sizeof *c);
	if (!c || !(c->path = strdup(path))) {
		free(c);
		return il_fail_memory(err);
	}
	for (size_t n = strlen(c->path); n > 1 && c->path[n - 1] == '/'; n--)
		c->path[n - 1] = 0;
	enum inlay_err rc = read_manifest(c->path, &c->manifest, err);
	if (!rc)
		rc = open_files(c, err);
	if (!rc)
		rc = index_frames(c, err);
	if (rc)
		il_compiled_destroy(&c);
	*out = c;
	return rc;
}

enum inlay_err il_compiled_open(struct il_compiled **compiled, const char *path, struct inlay_error *err)
{
	enum inlay_err rc = il_compiled_load(compiled, path, err);
	if (!rc && (rc = check_sources(*compiled, err)))
		il_compiled_destroy(compiled);
	return rc;
}

void il_compiled_destroy(struct il_compiled **slot)
{
	struct il_compiled *c = *slot;
	if (!c)
		return;
	for (int s = 0; s < IL_COMPILED_STORES; s++) {
		il_safetensors_destroy(&c->stores[s]);
		free(c->runs[s]);
	}
	il_compiled_manifest_destroy(&c->manifest);
	free(c->cells);
	free(c->path);
	free(c);
	*slot = NULL;
}

const struct il_compiled_info *il_compiled_info(const struct il_compiled *c)
{
	return &c->manifest.info;
}

int il_compiled_kind_count(const struct il_compiled *c)
{
	return c->manifest.kind_count;
}

const struct il_compiled_kind *il_compiled_kind_at(const struct il_compiled *c, int kind)
{
	return &c->manifest.kinds[kind];
}

int il_compiled_find_kind(const struct il_compiled *c, const char *name)
{
	for (int k = 0; k < c->manifest.kind_count; k++)
		if (!strcmp(c->manifest.kinds[k].name, name))
			return k;
	return -1;
}

const struct il_safetensor *il_compiled_tensor(const struct il_compiled *c, int kind, int64_t frame)
{
	return c->cells[frame * c->manifest.kind_count + kind];
}

const struct il_safetensor *il_compiled_constant(const struct il_compiled *c, enum il_compiled_store store,
                                                 const char *name)
{
	return c->stores[store] ? il_safetensors_find(c->stores[store], name) : NULL;
}

char *il_compiled_path(const struct il_compiled *c, const char *file)
{
	return il_path_join(c->path, file);
}

void il_compiled_release(const struct il_compiled *c, int64_t frame)
{
	for (int s = 0; s < IL_COMPILED_STORES; s++)
		if (c->runs[s])
			il_safetensors_release(c->stores[s], c->runs[s][frame].first, c->runs[s][frame].count);
}

void il_compiled_release_constant(const struct il_compiled *c, enum il_compiled_store store, const char *name)
{
	const struct il_safetensor *tensor = il_compiled_constant(c, store, name);
	if (tensor)
		il_safetensors_release(c->stores[store], (size_t)(tensor - il_safetensors_at(c->stores[store], 0)), 1);
}

void il_compiled_prefetch(const struct il_compiled *c, int64_t frame)
{
	for (int s = 0; s < IL_COMPILED_STORES; s++)
		if (c->runs[s])
			il_safetensors_prefetch(c->stores[s], c->runs[s][frame].first, c->runs[s][frame].count);
}

static enum inlay_err verify_file(const struct il_compiled *c, const struct il_compiled_file *file,
                                  struct inlay_error *err)
{
	struct il_file_sum found = { 0 };
	char *path = il_compiled_path(c, file->name);
	enum inlay_err rc = path ? il_file_sum(path, &found, err) : il_fail_memory(err);
	if (!rc && (found.sum != file->sum || found.size != file->size))
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: damaged: its checksum is %016" PRIx64 ", expected %016" PRIx64,
		             path, found.sum, file->sum);
	free(path);
	return rc;
}

enum inlay_err il_compiled_verify(const struct il_compiled *c, bool (*cancel)(void *ctx), void *ctx,
                                  struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	for (int s = 0; !rc && s < IL_COMPILED_STORES; s++)
		if (c->stores[s])
			rc = il_safetensors_verify(c->stores[s], cancel, ctx, err);
	for (size_t i = 0; !rc && i < c->manifest.file_count; i++)
		if (c->manifest.files[i].summed)
			rc = verify_file(c, &c->manifest.files[i], err);
	return rc;
}
