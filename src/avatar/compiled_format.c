/* Writing what compiled_manifest.c reads, and the names in a compiled avatar. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avatar/avatar.h"
#include "avatar/compiled_impl.h"
#include "inlay/version.h"

const char *const il_compiled_store_names[IL_COMPILED_STORES] = { "frames", "hoisted" };

bool il_compiled_has_sum(const char *file)
{
	char store[IL_COMPILED_STORE_FILE];
	for (int s = 0; s < IL_COMPILED_STORES; s++) {
		il_compiled_store_file(store, s);
		if (!strcmp(file, store))
			return false;
	}
	return true;
}

void il_compiled_store_file(char out[IL_COMPILED_STORE_FILE], int store)
{
	snprintf(out, IL_COMPILED_STORE_FILE, "%s.safetensors", il_compiled_store_names[store]);
}

bool il_compiled_format_name(char out[IL_COMPILED_NAME_BYTES], const char *kind, int64_t frame)
{
	char digits[20];
	int at = sizeof digits;
	size_t n = strlen(kind);
	if (!n || n + sizeof digits + 1 > IL_COMPILED_NAME_BYTES || frame < 0)
		return false;
	do
		digits[--at] = (char)('0' + frame % 10);
	while (frame /= 10);
	memcpy(out, kind, n);
	out[n++] = '.';
	memcpy(out + n, digits + at, sizeof digits - (size_t)at);
	out[n + sizeof digits - (size_t)at] = 0;
	return true;
}

size_t il_compiled_parse_name(const char *name, int64_t *frame)
{
	const char *dot = strrchr(name, '.');
	size_t digits = dot ? strspn(dot + 1, "0123456789") : 0;
	if (!digits || digits > 9 || dot[1 + digits] || (digits > 1 && dot[1] == '0'))
		return 0;
	*frame = atoi(dot + 1);
	return (size_t)(dot - name);
}

/* json_object_set_new and json_array_append_new take NULL for a failure, and pass it on. */

static json_t *sum_json(uint64_t sum)
{
	return json_sprintf("%016" PRIx64, sum);
}

static json_t *sources_json(const struct il_compiled_source *sources, size_t count)
{
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		if (json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:o}", "path", sources[i].path, "size",
		                                          (json_int_t)sources[i].sum.size, "mtime_ns",
		                                          (json_int_t)sources[i].sum.mtime_ns, "xxh3",
		                                          sum_json(sources[i].sum.sum)))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *rects_json(const struct il_compiled_info *info)
{
	json_t *list = json_array();
	for (int64_t i = 0; i < info->frames; i++) {
		const struct inlay_rect *rect = &info->rects[i];
		if (json_array_append_new(list, json_pack("[i, i, i, i]", rect->x0, rect->y0, rect->x1, rect->y1))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *shape_json(const struct il_compiled_kind *kind)
{
	json_t *list = json_array();
	for (int i = 0; i < kind->rank; i++) {
		size_t dim = kind->dims[i];
		if (json_array_append_new(list,
		                          dim == IL_COMPILED_VARIES ? json_null() : json_integer((json_int_t)dim))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *kinds_json(const struct il_compiled_manifest *m)
{
	json_t *object = json_object();
	for (int i = 0; i < m->kind_count; i++) {
		const struct il_compiled_kind *kind = &m->kinds[i];
		if (json_object_set_new(object, kind->name,
		                        json_pack("{s:s, s:s, s:o}", "file", il_compiled_store_names[kind->store],
		                                  "type", il_safetensor_type_name(kind->type), "shape",
		                                  shape_json(kind)))) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *files_json(const struct il_compiled_manifest *m)
{
	json_t *object = json_object();
	for (size_t i = 0; i < m->file_count; i++) {
		const struct il_compiled_file *file = &m->files[i];
		json_t *entry = json_pack("{s:I}", "size", (json_int_t)file->size);
		int rc = file->summed ? json_object_set_new(entry, "xxh3", sum_json(file->sum)) : 0;
		if (json_object_set_new(object, file->name, entry) || rc) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *jpeg_json(const struct il_compiled_info *info)
{
	return info->jpeg_quality ? json_pack("{s:i, s:i}", "quality", info->jpeg_quality, "restart_interval",
	                                      info->jpeg_restart_interval)
	                          : NULL;
}

/* "s*" and "o*" leave out what is NULL. */
static json_t *manifest_json(const struct il_compiled_manifest *m, const char *settings)
{
	const struct il_compiled_info *info = &m->info;
	json_t *made_by = json_sprintf("inlay %s", inlay_version());
	return json_pack(
		"{s:i, s:o, s:o, s:s, s:I, s:i, s:i, s:[i, i], s:I, s:s*, s:s*, s:{s:i, s:i, s:i, s:i},"
		" s:o, s:o*, s:s*, s:s*, s:o, s:o}",
		"inlay_compiled", IL_COMPILED_VERSION, "made_by", made_by, "sources",
		sources_json(m->sources, m->source_count), "settings", settings, "frames", (json_int_t)info->frames,
		"width", info->width, "height", info->height, "fps", info->fps.num, info->fps.den, "start_frame",
		(json_int_t)info->start_frame, "order", info->order < 0 ? NULL : il_order_name(info->order), "interp",
		info->interp < 0 ? NULL : il_compiled_interp_names[info->interp], "colour", "matrix",
		(int)info->colour.matrix, "range", (int)info->colour.range, "primaries", info->colour.primaries,
		"transfer", info->colour.transfer, "rects", rects_json(info), "jpeg", jpeg_json(info), "network",
		info->network, "audio_encoder", info->audio_encoder, "kinds", kinds_json(m), "files", files_json(m));
}

char *il_compiled_manifest_format(const struct il_compiled_manifest *m, const char *settings)
{
	json_t *root = manifest_json(m, settings);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}
