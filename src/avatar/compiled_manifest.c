/* The text of a compiled avatar's avatar.json. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avatar/avatar.h"
#include "avatar/compiled_impl.h"
#include "avatar/pack_impl.h"
#include "base/json.h"

#define MAX_SIDE 65536

const char *const il_compiled_interp_names[] = { [IL_INTERP_LINEAR] = "linear", [IL_INTERP_CUBIC] = "cubic" };

static bool is_printable(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p < ' ' || *p > '~')
			return false;
	return true;
}

bool il_compiled_file_name(const char *name)
{
	return is_printable(name) && *name && *name != '.' && !strchr(name, '/') && strlen(name) < 256;
}

struct reader {
	const char *name;
	struct inlay_error *err;
};

static enum inlay_err wrong(const struct reader *r, const char *key, const json_t *found, const char *expected)
{
	return il_fail(r->err, INLAY_ERR_FORMAT, "%s: %s is %s; expected %s", r->name, key, il_json_kind(found),
	               expected);
}

static enum inlay_err take_integer(const struct reader *r, const json_t *object, const char *key, int64_t low,
                                   int64_t high, int64_t *out)
{
	const json_t *value = json_object_get(object, key);
	if (!json_is_integer(value))
		return wrong(r, key, value, "a whole number");
	*out = json_integer_value(value);
	if (*out < low || *out > high)
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: %s is %" PRId64 "; expected %" PRId64 " to %" PRId64,
		               r->name, key, *out, low, high);
	return INLAY_OK;
}

static enum inlay_err take_int(const struct reader *r, const json_t *object, const char *key, int low, int high,
                               int *out)
{
	int64_t value = low;
	enum inlay_err rc = take_integer(r, object, key, low, high, &value);
	*out = (int)value;
	return rc;
}

static bool is_text(const json_t *value)
{
	return json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value);
}

static enum inlay_err take_text(const struct reader *r, const json_t *object, const char *key, const char **out)
{
	const json_t *value = json_object_get(object, key);
	if (!is_text(value))
		return wrong(r, key, value, "a text");
	*out = json_string_value(value);
	return INLAY_OK;
}

static enum inlay_err take_sum(const struct reader *r, const json_t *object, uint64_t *out)
{
	const char *text = "";
	enum inlay_err rc = take_text(r, object, "xxh3", &text);
	if (!rc && (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16))
		rc = il_fail(r->err, INLAY_ERR_FORMAT, "%s: xxh3 is no 16 hexadecimal digits", r->name);
	*out = rc ? 0 : strtoull(text, NULL, 16);
	return rc;
}

/* list: names with a NULL behind the last */
static enum inlay_err check_keys(const struct reader *r, json_t *object, const char *what, const char *const *list)
{
	const char *key;
	json_t *value;
	if (!json_is_object(object))
		return wrong(r, what, object, "an object");
	json_object_foreach(object, key, value)
	{
		int i = 0;
		while (list[i] && strcmp(list[i], key))
			i++;
		if (!list[i])
			return il_fail(r->err, INLAY_ERR_FORMAT, "%s: unknown key \"%.100s\" in %s", r->name,
			               is_printable(key) ? key : "?", what);
	}
	return INLAY_OK;
}

static enum inlay_err take_fps(const struct reader *r, const json_t *root, struct inlay_rational *fps)
{
	const json_t *list = json_object_get(root, "fps");
	const json_t *num = json_array_get(list, 0), *den = json_array_get(list, 1);
	if (json_array_size(list) != 2 || !json_is_integer(num) || !json_is_integer(den) ||
	    json_integer_value(num) < 1 || json_integer_value(num) > INT32_MAX || json_integer_value(den) < 1 ||
	    json_integer_value(den) > INT32_MAX)
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: fps is no pair of whole numbers above 0", r->name);
	*fps = (struct inlay_rational){ (int)json_integer_value(num), (int)json_integer_value(den) };
	return INLAY_OK;
}

static enum inlay_err take_words(const struct reader *r, const json_t *root, struct il_compiled_info *info)
{
	const char *word = "";
	enum inlay_err rc = INLAY_OK;
	info->order = info->interp = -1;
	if (json_object_get(root, "order")) {
		rc = take_text(r, root, "order", &word);
		if (!rc && (info->order = il_order_parse(word)) < 0)
			rc = il_fail(r->err, INLAY_ERR_FORMAT, "%s: order is none of bounce, loop, hold, cut", r->name);
	}
	if (!rc && json_object_get(root, "interp")) {
		rc = take_text(r, root, "interp", &word);
		for (int i = IL_INTERP_LINEAR; i <= IL_INTERP_CUBIC; i++)
			if (!strcmp(word, il_compiled_interp_names[i]))
				info->interp = i;
		if (!rc && info->interp < 0)
			rc = il_fail(r->err, INLAY_ERR_FORMAT, "%s: interp is neither linear nor cubic", r->name);
	}
	return rc;
}

static enum inlay_err take_colour(const struct reader *r, const json_t *root, struct inlay_colour *colour)
{
	static const char *const keys[] = { "matrix", "range", "primaries", "transfer", NULL };
	json_t *object = json_object_get(root, "colour");
	int matrix = 0, range = 0;
	enum inlay_err rc = check_keys(r, object, "colour", keys);
	if (!rc)
		rc = take_int(r, object, "matrix", 0, 255, &matrix);
	if (!rc)
		rc = take_int(r, object, "range", INLAY_RANGE_UNSPECIFIED, INLAY_RANGE_FULL, &range);
	if (!rc)
		rc = take_int(r, object, "primaries", 0, 255, &colour->primaries);
	if (!rc)
		rc = take_int(r, object, "transfer", 0, 255, &colour->transfer);
	colour->matrix = (enum inlay_matrix)matrix;
	colour->range = (enum inlay_range)range;
	return rc;
}

static enum inlay_err take_jpeg(const struct reader *r, const json_t *root, struct il_compiled_info *info)
{
	static const char *const keys[] = { "quality", "restart_interval", NULL };
	json_t *object = json_object_get(root, "jpeg");
	if (!object)
		return INLAY_OK;
	enum inlay_err rc = check_keys(r, object, "jpeg", keys);
	if (!rc)
		rc = take_int(r, object, "quality", 1, 100, &info->jpeg_quality);
	return rc ? rc : take_int(r, object, "restart_interval", 0, 65535, &info->jpeg_restart_interval);
}

static bool read_rect(const json_t *list, const struct il_compiled_info *info, struct inlay_rect *rect)
{
	json_int_t v[4];
	if (json_array_size(list) != 4)
		return false;
	for (size_t i = 0; i < 4; i++) {
		const json_t *value = json_array_get(list, i);
		v[i] = json_is_integer(value) ? json_integer_value(value) : -1;
	}
	if (v[0] < 0 || v[1] < 0 || v[0] >= v[2] || v[1] >= v[3] || v[2] > info->width || v[3] > info->height)
		return false;
	*rect = (struct inlay_rect){ (int)v[0], (int)v[1], (int)v[2], (int)v[3] };
	return true;
}

static enum inlay_err take_rects(const struct reader *r, struct il_compiled_manifest *m)
{
	const json_t *list = json_object_get(m->root, "rects");
	if (!json_is_array(list) || (int64_t)json_array_size(list) != m->info.frames)
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: rects is %s of %zu; expected a list of %" PRId64, r->name,
		               il_json_kind(list), json_array_size(list), m->info.frames);
	m->rects = calloc((size_t)m->info.frames, sizeof *m->rects);
	if (!m->rects)
		return il_fail_memory(r->err);
	m->info.rects = m->rects;
	for (int64_t i = 0; i < m->info.frames; i++)
		if (!read_rect(json_array_get(list, (size_t)i), &m->info, &m->rects[i]))
			return il_fail(r->err, INLAY_ERR_FORMAT,
			               "%s: rects[%" PRId64 "] is no [x0, y0, x1, y1] within %d x %d", r->name, i,
			               m->info.width, m->info.height);
	return INLAY_OK;
}

static enum inlay_err take_sources(const struct reader *r, struct il_compiled_manifest *m)
{
	static const char *const keys[] = { "path", "size", "mtime_ns", "xxh3", NULL };
	const json_t *list = json_object_get(m->root, "sources");
	if (!json_is_array(list))
		return wrong(r, "sources", list, "a list");
	m->sources = calloc(json_array_size(list) + 1, sizeof *m->sources);
	if (!m->sources)
		return il_fail_memory(r->err);
	for (; m->source_count < json_array_size(list); m->source_count++) {
		json_t *object = json_array_get(list, m->source_count);
		struct il_compiled_source *source = &m->sources[m->source_count];
		enum inlay_err rc = check_keys(r, object, "sources", keys);
		if (!rc)
			rc = take_text(r, object, "path", &source->path);
		if (!rc)
			rc = take_integer(r, object, "size", 0, INT64_MAX, &source->sum.size);
		if (!rc)
			rc = take_integer(r, object, "mtime_ns", INT64_MIN, INT64_MAX, &source->sum.mtime_ns);
		if (!rc)
			rc = take_sum(r, object, &source->sum.sum);
		if (rc)
			return rc;
	}
	return INLAY_OK;
}

static enum inlay_err take_files(const struct reader *r, struct il_compiled_manifest *m)
{
	static const char *const keys[] = { "size", "xxh3", NULL };
	json_t *files = json_object_get(m->root, "files"), *object;
	const char *name;
	if (!json_is_object(files))
		return wrong(r, "files", files, "an object");
	m->files = calloc(json_object_size(files) + 1, sizeof *m->files);
	if (!m->files)
		return il_fail_memory(r->err);
	json_object_foreach(files, name, object)
	{
		struct il_compiled_file *file = &m->files[m->file_count++];
		*file = (struct il_compiled_file){ .name = name, .summed = il_compiled_has_sum(name) };
		if (!il_compiled_file_name(name))
			return il_fail(r->err, INLAY_ERR_FORMAT, "%s: files: a key is no plain name of a file",
			               r->name);
		enum inlay_err rc = check_keys(r, object, "files", keys);
		if (!rc)
			rc = take_integer(r, object, "size", 0, INT64_MAX, &file->size);
		if (!rc && file->summed)
			rc = take_sum(r, object, &file->sum);
		if (rc)
			return rc;
	}
	return INLAY_OK;
}

static enum inlay_err take_network(const struct reader *r, const struct il_compiled_manifest *m, const char *key,
                                   const char **out)
{
	if (!json_object_get(m->root, key))
		return INLAY_OK;
	enum inlay_err rc = take_text(r, m->root, key, out);
	for (size_t i = 0; !rc && i < m->file_count; i++)
		if (!strcmp(m->files[i].name, *out))
			return INLAY_OK;
	return rc ? rc : il_fail(r->err, INLAY_ERR_FORMAT, "%s: %s names none of files", r->name, key);
}

static enum inlay_err take_shape(const struct reader *r, const json_t *list, struct il_compiled_kind *kind)
{
	if (!json_is_array(list) || json_array_size(list) > IL_SAFETENSOR_MAX_RANK)
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: kinds: %.100s: shape is no list of up to %d", r->name,
		               kind->name, IL_SAFETENSOR_MAX_RANK);
	kind->rank = (int)json_array_size(list);
	for (int i = 0; i < kind->rank; i++) {
		const json_t *dim = json_array_get(list, (size_t)i);
		if (!json_is_null(dim) && (!json_is_integer(dim) || json_integer_value(dim) < 0))
			return il_fail(r->err, INLAY_ERR_FORMAT, "%s: kinds: %.100s: shape holds %s", r->name,
			               kind->name, il_json_kind(dim));
		kind->dims[i] = json_is_null(dim) ? IL_COMPILED_VARIES : (size_t)json_integer_value(dim);
	}
	return INLAY_OK;
}

static enum inlay_err take_kind(const struct reader *r, json_t *object, struct il_compiled_kind *kind)
{
	static const char *const keys[] = { "file", "type", "shape", NULL };
	const char *file = "", *type = "";
	int store = 0;
	enum inlay_err rc = check_keys(r, object, "kinds", keys);
	if (!rc)
		rc = take_text(r, object, "file", &file);
	if (!rc)
		rc = take_text(r, object, "type", &type);
	if (rc)
		return rc;
	while (store < IL_COMPILED_STORES && strcmp(file, il_compiled_store_names[store]))
		store++;
	if (store == IL_COMPILED_STORES || !il_safetensor_type_parse(type, &kind->type))
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: kinds: %.100s: unknown file or type", r->name,
		               kind->name);
	kind->store = (enum il_compiled_store)store;
	return take_shape(r, json_object_get(object, "shape"), kind);
}

static enum inlay_err take_kinds(const struct reader *r, struct il_compiled_manifest *m)
{
	json_t *kinds = json_object_get(m->root, "kinds"), *object;
	const char *name;
	if (!json_is_object(kinds) || json_object_size(kinds) > IL_COMPILED_MAX_KINDS)
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: kinds is %s of %zu; expected an object of up to %d",
		               r->name, il_json_kind(kinds), json_object_size(kinds), IL_COMPILED_MAX_KINDS);
	m->kinds = calloc(json_object_size(kinds) + 1, sizeof *m->kinds);
	if (!m->kinds)
		return il_fail_memory(r->err);
	json_object_foreach(kinds, name, object)
	{
		char out[IL_COMPILED_NAME_BYTES];
		struct il_compiled_kind *kind = &m->kinds[m->kind_count++];
		kind->name = name;
		if (!is_printable(name) || !il_compiled_format_name(out, name, m->info.frames))
			return il_fail(r->err, INLAY_ERR_FORMAT,
			               "%s: kinds: a name is not printable, empty or too long", r->name);
		enum inlay_err rc = take_kind(r, object, kind);
		if (rc)
			return rc;
	}
	return INLAY_OK;
}

static enum inlay_err take_numbers(const struct reader *r, const json_t *root, struct il_compiled_info *info)
{
	enum inlay_err rc = take_integer(r, root, "frames", 1, IL_PACK_MAX_FRAMES, &info->frames);
	if (!rc)
		rc = take_int(r, root, "width", 1, MAX_SIDE, &info->width);
	if (!rc)
		rc = take_int(r, root, "height", 1, MAX_SIDE, &info->height);
	return rc ? rc : take_integer(r, root, "start_frame", 0, info->frames - 1, &info->start_frame);
}

static enum inlay_err take_all(const struct reader *r, struct il_compiled_manifest *m)
{
	const char *text;
	struct il_compiled_info *info = &m->info;
	enum inlay_err rc = take_text(r, m->root, "made_by", &text);
	if (!rc)
		rc = take_text(r, m->root, "settings", &text);
	if (!rc)
		rc = take_numbers(r, m->root, info);
	if (!rc)
		rc = take_fps(r, m->root, &info->fps);
	if (!rc)
		rc = take_words(r, m->root, info);
	if (!rc)
		rc = take_colour(r, m->root, &info->colour);
	if (!rc)
		rc = take_jpeg(r, m->root, info);
	if (!rc)
		rc = take_rects(r, m);
	if (!rc)
		rc = take_sources(r, m);
	if (!rc)
		rc = take_files(r, m);
	if (!rc)
		rc = take_network(r, m, "network", &info->network);
	if (!rc)
		rc = take_network(r, m, "audio_encoder", &info->audio_encoder);
	return rc ? rc : take_kinds(r, m);
}

/* Another version may have any other keys. */
static enum inlay_err check_version(const struct reader *r, const json_t *root)
{
	const json_t *version = json_object_get(root, "inlay_compiled");
	if (!json_is_integer(version))
		return wrong(r, "inlay_compiled", version, "the version of a compiled avatar");
	if (json_integer_value(version) != IL_COMPILED_VERSION)
		return il_fail(r->err, INLAY_ERR_UNSUPPORTED,
		               "%s: compiled avatar of version %" JSON_INTEGER_FORMAT
		               ", expected %d; compile again (inlay avatar compile)",
		               r->name, json_integer_value(version), IL_COMPILED_VERSION);
	return INLAY_OK;
}

enum inlay_err il_compiled_manifest_parse(const void *data, size_t size, const char *name,
                                          struct il_compiled_manifest *m, struct inlay_error *err)
{
	static const char *const keys[] = { "inlay_compiled", "made_by", "sources", "settings",    "frames",
		                            "width",          "height",  "fps",     "start_frame", "order",
		                            "interp",         "colour",  "rects",   "jpeg",        "network",
		                            "audio_encoder",  "kinds",   "files",   NULL };
	struct reader r = { name, err };
	*m = (struct il_compiled_manifest){ 0 };
	enum inlay_err rc = il_json_parse(data, size, name, &m->root, err);
	if (!rc && !json_is_object(m->root))
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: is %s; expected an object", name, il_json_kind(m->root));
	if (!rc)
		rc = check_version(&r, m->root);
	if (!rc)
		rc = check_keys(&r, m->root, "the manifest", keys);
	return rc ? rc : take_all(&r, m);
}

void il_compiled_manifest_destroy(struct il_compiled_manifest *m)
{
	json_decref(m->root);
	free(m->rects);
	free(m->kinds);
	free(m->sources);
	free(m->files);
	*m = (struct il_compiled_manifest){ 0 };
}
