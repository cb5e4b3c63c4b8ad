/* crop_rectangles.json and crop_rects.json from any bytes; the first byte says how many frames there are and whether
 * the pack is opened or checked. */
#include <stdint.h>
#include <stdlib.h>

#include "avatar/rects.h"

#define MAX_FRAMES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *ctx, const char *text)
{
	(void)ctx, (void)text;
}

static void check_rects(const struct il_avatar *avatar, bool complete)
{
	for (int64_t i = 0; i < avatar->frames; i++) {
		struct inlay_rect r = avatar->rects[i];
		bool empty = r.x0 == 0 && r.y0 == 0 && r.x1 == 0 && r.y1 == 0;
		if (empty && !complete)
			continue;
		if (r.x0 < 0 || r.y0 < 0 || r.x1 > avatar->width || r.y1 > avatar->height ||
		    r.x1 - r.x0 < IL_RECT_MIN_SIDE || r.y1 - r.y0 < IL_RECT_MIN_SIDE)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct inlay_rect rects[MAX_FRAMES] = { 0 };
	struct inlay_error err = { 0 };
	struct il_faults faults = { .err = &err, .report = data[0] & 128 ? ignore : NULL };
	struct il_avatar avatar = { .frames = 1 + data[0] % MAX_FRAMES, .width = 1280, .height = 720, .rects = rects };
	enum inlay_err rc = il_rects_parse(&avatar, data + 1, size - 1, "fuzz.json", &faults);
	check_rects(&avatar, !rc && !faults.count);
	if (rc && (err.code != rc || !err.text[0]))
		abort();
	return 0;
}
