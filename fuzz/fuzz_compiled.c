/* A compiled avatar's avatar.json from any bytes: what is accepted is within its limits, and is accepted again after
 * being written anew. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "avatar/compiled_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct il_compiled_manifest *m)
{
	const struct il_compiled_info *info = &m->info;
	for (int64_t i = 0; i < info->frames; i++) {
		const struct inlay_rect *r = &info->rects[i];
		if (r->x0 < 0 || r->y0 < 0 || r->x0 >= r->x1 || r->y0 >= r->y1 || r->x1 > info->width ||
		    r->y1 > info->height)
			abort();
	}
	for (size_t i = 0; i < m->file_count; i++)
		if (strchr(m->files[i].name, '/') || m->files[i].name[0] == '.' || m->files[i].size < 0)
			abort();
	for (int k = 0; k < m->kind_count; k++) {
		char name[IL_COMPILED_NAME_BYTES];
		int64_t frame = -1;
		if (!il_compiled_format_name(name, m->kinds[k].name, info->frames - 1) ||
		    il_compiled_parse_name(name, &frame) != strlen(m->kinds[k].name) || frame != info->frames - 1)
			abort();
	}
}

static void write_anew(const struct il_compiled_manifest *m)
{
	struct il_compiled_manifest again;
	char *text = il_compiled_manifest_format(m, json_string_value(json_object_get(m->root, "settings")));
	if (text && il_compiled_manifest_parse(text, strlen(text), "again", &again, NULL))
		abort();
	if (text && (again.info.frames != m->info.frames || again.kind_count != m->kind_count ||
	             memcmp(again.rects, m->rects, (size_t)m->info.frames * sizeof *m->rects)))
		abort();
	if (text)
		il_compiled_manifest_destroy(&again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct inlay_error err = { 0 };
	struct il_compiled_manifest manifest;
	enum inlay_err rc = il_compiled_manifest_parse(data, size, "fuzz.json", &manifest, &err);
	if (!rc) {
		check(&manifest);
		write_anew(&manifest);
	} else if (err.code != rc || !err.text[0])
		abort();
	il_compiled_manifest_destroy(&manifest);
	return 0;
}
