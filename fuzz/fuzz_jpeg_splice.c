/* A JPEG to be spliced, from any bytes: its headers and markers, then a splice with the offsets found and one with
 * offsets out of the bytes. The first four choose the rectangle. */
#include <stdlib.h>
#include <string.h>

#include "media/jpeg_splice.h"

#define MAX_PIXELS (1 << 18)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* sound: with the right offsets, so that the result can be spliced in turn. */
static void splice(struct il_jpeg_splicer *splicer, const struct il_jpeg_base *base, struct inlay_rect rect, bool sound)
{
	struct inlay_rect area = il_jpeg_splice_area(&base->form, rect);
	int width = area.x1 - area.x0, height = area.y1 - area.y0;
	/* One plane of just the size for all three; 4:2:0 reads the front of it. */
	uint8_t *plane = malloc((size_t)width * (size_t)height + 1);
	if (!plane)
		return;
	for (int i = 0; i < width * height; i++)
		plane[i] = (uint8_t)(i * 7 + i / 64);
	int chroma = base->form.full_chroma ? width : (width + 1) / 2;
	struct inlay_planes patch = { { plane, plane, plane }, { width, chroma, chroma } };
	const uint8_t *out;
	size_t out_size;
	struct il_jpeg_base again;
	uint32_t *offsets = NULL;
	if (!il_jpeg_splice(splicer, base, &patch, rect, &out, &out_size, NULL) &&
	    il_jpeg_base_scan(out, out_size, "spliced", &again, &offsets, NULL) && sound)
		abort();
	free(offsets);
	free(plane);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct il_jpeg_splicer *splicer;
	struct il_jpeg_base base;
	uint32_t *offsets;
	if (size < 4 || il_jpeg_base_scan(data + 4, size - 4, "fuzz", &base, &offsets, NULL))
		return 0;
	struct inlay_rect rect = { data[0], data[1], data[0] + data[2], data[1] + data[3] };
	struct inlay_rect area = il_jpeg_splice_area(&base.form, rect);
	if ((area.x1 - area.x0) * (int64_t)(area.y1 - area.y0) <= MAX_PIXELS &&
	    !il_jpeg_splicer_create(&splicer, NULL)) {
		splice(splicer, &base, rect, true);
		for (uint32_t i = 0; i < il_jpeg_intervals(&base.form); i++)
			if (data[i % size] % 4 == 0)
				memcpy(&offsets[i], data + i % (size - 3), data[i % size] % 8 ? 1 : sizeof *offsets);
		splice(splicer, &base, rect, false);
		il_jpeg_splicer_destroy(&splicer);
	}
	free(offsets);
	return 0;
}
