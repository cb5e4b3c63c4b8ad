#include "avatar/prepared.h"

#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "media/recolour.h"

#define MARGIN 2 /* pixels that cropping looks at beside the rectangle, for chroma lies between them */

/* ---- places ---- */

struct il_jpeg_form il_prepared_form(int width, int height, int interval)
{
	return (struct il_jpeg_form){ width, height, false, interval };
}

/* What must lie in a patch: all that splicing and cropping read. */
static struct inlay_rect needed(const struct il_jpeg_form *form, struct inlay_rect rect)
{
	const int width = form->width, height = form->height;
	struct inlay_rect area = il_jpeg_splice_area(form, rect);
	return (struct inlay_rect){ area.x0 > MARGIN ? area.x0 - MARGIN : 0, area.y0 > MARGIN ? area.y0 - MARGIN : 0,
		                    area.x1 + MARGIN < width ? area.x1 + MARGIN : width,
		                    area.y1 + MARGIN < height ? area.y1 + MARGIN : height };
}

/* A length of the same parity as the whole: what is left of it is even, and so is where a patch at the end begins. */
static int even_rest(int length, int whole)
{
	return length + ((whole - length) & 1);
}

void il_patches_init(struct il_patches *patches, const struct il_jpeg_form *form, const struct inlay_rect *rects,
                     int64_t frames)
{
	*patches = (struct il_patches){ .form = *form };
	for (int64_t i = 0; i < frames; i++) {
		const struct inlay_rect area = needed(form, rects[i]);
		int w = even_rest(area.x1 - area.x0, form->width), h = even_rest(area.y1 - area.y0, form->height);
		patches->width = w > patches->width ? w : patches->width;
		patches->height = h > patches->height ? h : patches->height;
	}
}

struct inlay_rect il_patches_place(const struct il_patches *p, struct inlay_rect rect)
{
	const struct inlay_rect area = needed(&p->form, rect);
	int x = area.x0 + p->width <= p->form.width ? area.x0 : p->form.width - p->width;
	int y = area.y0 + p->height <= p->form.height ? area.y0 : p->form.height - p->height;
	return (struct inlay_rect){ x, y, x + p->width, y + p->height };
}

/* ---- planes and bytes ---- */

size_t il_raw_bytes(const struct inlay_frame_info *info)
{
	size_t bytes = 0, row_bytes;
	int rows;
	for (int i = 0; i < il_plane_count(info->format); i++) {
		il_plane_size(info, i, &row_bytes, &rows);
		bytes += row_bytes * (size_t)rows;
	}
	return bytes;
}

void il_raw_copy(const struct inlay_frame *frame, uint8_t *raw, bool to_frame)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < il_plane_count(info->format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(info, i, &row_bytes, &rows);
		for (int y = 0; y < rows; y++, raw += row_bytes) {
			uint8_t *row = planes.data[i] + y * planes.stride[i];
			memcpy(to_frame ? row : raw, to_frame ? raw : row, row_bytes);
		}
	}
	inlay_frame_unmap(frame);
}

/* I420 from pixel x, y on, both even. */
static struct inlay_planes shifted(const struct inlay_planes *planes, int x, int y)
{
	struct inlay_planes part = *planes;
	part.data[0] += y * part.stride[0] + x;
	for (int i = 1; i < 3; i++)
		part.data[i] += y / 2 * part.stride[i] + x / 2;
	return part;
}

/* I420 of JPEG's own colours: `from` itself where it is of them, else a copy in `scratch`. */
static struct inlay_planes jpeg_colours(const struct inlay_frame_info *info, const struct inlay_planes *from,
                                        uint8_t *scratch)
{
	struct il_recolour recolour;
	const int half = (info->width + 1) / 2, half_height = (info->height + 1) / 2;
	if (il_same_yuv(&info->colour, &il_jpeg_colour))
		return *from;
	struct inlay_planes to = { .data = { scratch, scratch + (size_t)info->width * (size_t)info->height },
		                   .stride = { info->width, half, half } };
	to.data[2] = to.data[1] + (size_t)half * (size_t)half_height;
	il_recolour_init(&recolour, &info->colour, &il_jpeg_colour);
	il_recolour_planes(&recolour, from, &to, info->width, info->height);
	return to;
}

/* ---- making ---- */

struct il_packer {
	struct inlay_frame_info frame;
	struct il_patches patches;
	int quality;
	struct il_jpeg_splicer *splicer;
	size_t raw_bytes;
	uint8_t *raw, *recoloured, *patch;
	char *block;
	int block_bytes;
};

enum inlay_err il_packer_create(struct il_packer **out, const struct inlay_frame_info *frame,
                                const struct il_patches *patches, int jpeg_quality, struct inlay_error *err)
{
	size_t raw_bytes = il_raw_bytes(frame);
	if (raw_bytes > LZ4_MAX_INPUT_SIZE)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "frames of %dx%d are too large to keep", frame->width,
		               frame->height);
	struct inlay_frame_info patch = *frame;
	patch.width = patches->width;
	patch.height = patches->height;
	struct il_packer *packer = calloc(1, sizeof *packer);
	if (!packer)
		return il_fail_memory(err);
	packer->frame = *frame;
	packer->patches = *patches;
	packer->quality = jpeg_quality;
	packer->raw_bytes = raw_bytes;
	packer->block_bytes = LZ4_compressBound((int)raw_bytes);
	packer->raw = malloc(raw_bytes);
	packer->recoloured = malloc(il_same_yuv(&frame->colour, &il_jpeg_colour) ? 1 : raw_bytes);
	packer->patch = malloc(il_raw_bytes(&patch));
	packer->block = malloc((size_t)packer->block_bytes);
	enum inlay_err rc = packer->raw && packer->recoloured && packer->patch && packer->block
	                            ? il_jpeg_splicer_create(&packer->splicer, err)
	                            : il_fail_memory(err);
	if (rc)
		il_packer_destroy(&packer);
	*out = packer;
	return rc;
}

void il_packer_destroy(struct il_packer **slot)
{
	struct il_packer *packer = *slot;
	*slot = NULL;
	if (!packer)
		return;
	il_jpeg_splicer_destroy(&packer->splicer);
	free(packer->raw);
	free(packer->recoloured);
	free(packer->patch);
	free(packer->block);
	free(packer);
}

/* The planes of a part of a frame, one behind the other. */
static size_t copy_patch(const struct inlay_planes *planes, struct inlay_rect place, uint8_t *to)
{
	const struct inlay_planes part = shifted(planes, place.x0, place.y0);
	const uint8_t *begin = to;
	for (int i = 0; i < 3; i++) {
		int width = place.x1 - place.x0, height = place.y1 - place.y0;
		width = i ? (width + 1) / 2 : width;
		height = i ? (height + 1) / 2 : height;
		for (int y = 0; y < height; y++, to += width)
			memcpy(to, part.data[i] + y * part.stride[i], (size_t)width);
	}
	return (size_t)(to - begin);
}

enum inlay_err il_packer_pack(struct il_packer *packer, const struct inlay_frame *frame, struct inlay_rect rect,
                              struct il_packed *packed, struct inlay_error *err)
{
	struct inlay_planes planes;
	il_raw_copy(frame, packer->raw, false);
	int bytes = LZ4_compress_default((const char *)packer->raw, packer->block, (int)packer->raw_bytes,
	                                 packer->block_bytes);
	if (bytes <= 0)
		return il_fail_memory(err);
	packed->planes = (const uint8_t *)packer->block;
	packed->planes_bytes = (size_t)bytes;
	inlay_frame_map(frame, &planes);
	packed->patch = packer->patch;
	packed->patch_bytes = copy_patch(&planes, il_patches_place(&packer->patches, rect), packer->patch);
	const struct inlay_planes drawn = jpeg_colours(&packer->frame, &planes, packer->recoloured);
	enum inlay_err rc = il_jpeg_splicer_encode(packer->splicer, &packer->patches.form, packer->quality, &drawn,
	                                           &packed->jpeg, err);
	inlay_frame_unmap(frame);
	return rc;
}

/* ---- using ---- */

struct il_patcher {
	struct il_jpeg_splicer *splicer;
	uint8_t *recoloured;
};

enum inlay_err il_patcher_create(struct il_patcher **out, const struct inlay_frame_info *patch, struct inlay_error *err)
{
	struct il_patcher *patcher = calloc(1, sizeof *patcher);
	if (!patcher)
		return il_fail_memory(err);
	patcher->recoloured = malloc(il_raw_bytes(patch));
	enum inlay_err rc = patcher->recoloured ? il_jpeg_splicer_create(&patcher->splicer, err) : il_fail_memory(err);
	if (rc)
		il_patcher_destroy(&patcher);
	*out = patcher;
	return rc;
}

void il_patcher_destroy(struct il_patcher **slot)
{
	struct il_patcher *patcher = *slot;
	*slot = NULL;
	if (!patcher)
		return;
	il_jpeg_splicer_destroy(&patcher->splicer);
	free(patcher->recoloured);
	free(patcher);
}

enum inlay_err il_patcher_splice(struct il_patcher *patcher, const struct il_jpeg_base *base,
                                 const struct inlay_frame *patch, struct inlay_rect place, struct inlay_rect rect,
                                 const uint8_t **data, size_t *size, struct inlay_error *err)
{
	const struct inlay_rect area = il_jpeg_splice_area(&base->form, rect);
	struct inlay_planes planes;
	if (area.x0 < place.x0 || area.y0 < place.y0 || area.x1 > place.x1 || area.y1 > place.y1)
		return il_fail(err, INLAY_ERR_INVALID,
		               "a patch from %d,%d to %d,%d; expected one that holds %d,%d to %d,%d", place.x0,
		               place.y0, place.x1, place.y1, area.x0, area.y0, area.x1, area.y1);
	inlay_frame_map(patch, &planes);
	const struct inlay_planes drawn = jpeg_colours(inlay_frame_info(patch), &planes, patcher->recoloured);
	const struct inlay_planes part = shifted(&drawn, area.x0 - place.x0, area.y0 - place.y0);
	enum inlay_err rc = il_jpeg_splice(patcher->splicer, base, &part, rect, data, size, err);
	inlay_frame_unmap(patch);
	return rc;
}
