/* avatar.json from any bytes, as opening and as checking read it. */
#include <stdint.h>
#include <stdlib.h>

#include "avatar/pack_impl.h"
#include "base/pattern.h"
#include "avatar/rects.h"

#define FRAMES 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *ctx, const char *text)
{
	(void)ctx, (void)text;
}

/* What loading does with a manifest, short of touching files. */
static void use(const struct il_manifest *manifest, struct il_faults *faults)
{
	char path[IL_PATTERN_PATH];
	struct inlay_rect rects[FRAMES] = { 0 };
	struct il_avatar avatar = { .frames = FRAMES, .width = 1280, .height = 720, .rects = rects };
	char *pattern = NULL;
	if (il_pattern_valid(manifest->source) && !il_pattern_join(&pattern, "a%d/b", manifest->source, NULL))
		il_pattern_path(pattern, manifest->first, path);
	free(pattern);
	if (manifest->rect_list)
		il_rects_from_json(&avatar, manifest->rect_list, "fuzz.json: rectangles", faults);
	if (manifest->fps.num < 0 || manifest->fps.den < 0 || manifest->order > IL_ORDER_CUT || manifest->interp > 1 ||
	    manifest->start_frame < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int checking = 0; checking < 2; checking++) {
		struct inlay_error err = { 0 };
		struct il_faults faults = { .err = &err, .report = checking ? ignore : NULL };
		struct il_manifest manifest;
		enum inlay_err rc = il_manifest_parse(data, size, "fuzz.json", &manifest, &faults);
		if (!rc)
			use(&manifest, &faults);
		else if (err.code != rc || !err.text[0])
			abort();
		il_manifest_destroy(&manifest);
	}
	return 0;
}
