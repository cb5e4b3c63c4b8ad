#include "composite/place.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/colour.h"
#include "kernel/kernel.h"
#include "kernel/resize.h"

/* The box that SyncTalk_2D blackens: x 5..310 and y 5..305 of 320, both ends included. */
#define BOX_LEFT 5
#define BOX_TOP 5
#define BOX_RIGHT 9 /* pixels between it and the right edge */
#define BOX_BOTTOM 14
#define MIN_SIZE 20
#define MAX_SIZE 4096

struct buffer {
	void *data;
	size_t size;
};

struct il_place {
	const struct il_kernels *kernels;
	int size, side;             /* S and C */
	struct il_resize *in, *out; /* rectangle -> crop, crop -> rectangle */
	struct buffer patch;        /* the rectangle as BGR */
	struct buffer row;          /* crop: chroma between rows; draw: which samples of a row stay */
};

/* Contents are lost. */
static enum inlay_err grow(struct buffer *buffer, size_t size, struct inlay_error *err)
{
	if (size <= buffer->size)
		return INLAY_OK;
	free(buffer->data);
	buffer->size = 0;
	buffer->data = malloc(size);
	if (!buffer->data)
		return il_fail_memory(err);
	buffer->size = size;
	return INLAY_OK;
}

enum inlay_err il_place_create(struct il_place **out, int size, enum il_interp interp, struct inlay_error *err)
{
	if (size < MIN_SIZE || size > MAX_SIZE)
		return il_fail(err, INLAY_ERR_INVALID, "lip-sync network of %dx%d pictures: expected %d..%d", size,
		               size, MIN_SIZE, MAX_SIZE);
	struct il_place *place = calloc(1, sizeof *place);
	if (!place)
		return il_fail_memory(err);
	place->kernels = il_kernels_get();
	place->size = size;
	place->side = size + 2 * IL_PLACE_MARGIN;
	enum inlay_err rc = il_resize_create(&place->in, interp, err);
	if (!rc)
		rc = il_resize_create(&place->out, interp, err);
	if (rc)
		il_place_destroy(&place);
	*out = place;
	return rc;
}

void il_place_destroy(struct il_place **slot)
{
	struct il_place *place = *slot;
	*slot = NULL;
	if (!place)
		return;
	il_resize_destroy(&place->in);
	il_resize_destroy(&place->out);
	free(place->patch.data);
	free(place->row.data);
	free(place);
}

size_t il_place_crop_bytes(const struct il_place *place)
{
	return (size_t)place->side * (size_t)place->side * 3;
}

/* First pixel of the roi in a crop. */
static size_t roi_offset(const struct il_place *place)
{
	return ((size_t)IL_PLACE_MARGIN * (size_t)place->side + IL_PLACE_MARGIN) * 3;
}

void il_place_picture(const struct il_place *place, const uint8_t *crop, float *planes)
{
	place->kernels->pack_picture(planes, crop + roi_offset(place), place->side * 3, place->size, BOX_LEFT, BOX_TOP,
	                             place->size - BOX_RIGHT, place->size - BOX_BOTTOM);
}

void il_place_mouth(const struct il_place *place, uint8_t *crop, const float *planes)
{
	place->kernels->unpack_picture(crop + roi_offset(place), place->side * 3, planes, place->size);
}

void il_place_mouth_bytes(const struct il_place *place, uint8_t *crop, const uint8_t *bgr)
{
	const size_t row = (size_t)place->size * 3;
	for (int y = 0; y < place->size; y++)
		memcpy(crop + roi_offset(place) + y * place->side * 3, bgr + (size_t)y * row, row);
}

static enum inlay_err check(const struct inlay_frame_info *info, struct inlay_rect rect, struct inlay_error *err)
{
	if (info->format != INLAY_PIX_BGR24 && info->format != INLAY_PIX_I420)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "placing a face into a %s frame: expected I420 or BGR24",
		               il_pixfmt_name(info->format));
	if (rect.x0 < 0 || rect.y0 < 0 || rect.x1 <= rect.x0 || rect.y1 <= rect.y0 || rect.x1 > info->width ||
	    rect.y1 > info->height)
		return il_fail(err, INLAY_ERR_INVALID,
		               "face rectangle x %d..%d, y %d..%d: expected a part of the %dx%d frame", rect.x0,
		               rect.x1, rect.y0, rect.y1, info->width, info->height);
	return INLAY_OK;
}

/* Points *bgr at the rectangle's first pixel: in the frame, or in a converted copy. */
static enum inlay_err read_rect(struct il_place *place, const struct inlay_frame_info *info,
                                const struct inlay_planes *planes, struct inlay_rect rect, const uint8_t **bgr,
                                ptrdiff_t *stride, struct inlay_error *err)
{
	if (info->format == INLAY_PIX_BGR24) {
		*stride = planes->stride[0];
		*bgr = planes->data[0] + rect.y0 * *stride + rect.x0 * 3;
		return INLAY_OK;
	}
	int skip = rect.x0 % 2;
	rect.x0 -= skip;
	*stride = (ptrdiff_t)(rect.x1 - rect.x0) * 3;
	enum inlay_err rc = grow(&place->patch, (size_t)(rect.y1 - rect.y0) * (size_t)*stride, err);
	if (!rc)
		rc = grow(&place->row, IL_CHROMA_SCRATCH(rect.x1 - rect.x0) * sizeof(uint16_t), err);
	if (rc)
		return rc;
	il_i420_to_bgr(place->patch.data, *stride, info, planes, rect, place->row.data);
	*bgr = (const uint8_t *)place->patch.data + 3 * skip;
	return INLAY_OK;
}

enum inlay_err il_place_crop(struct il_place *place, const struct inlay_frame *frame, struct inlay_rect rect,
                             uint8_t *crop, struct inlay_error *err)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	enum inlay_err rc = check(info, rect, err);
	if (!rc)
		rc = il_resize_prepare(place->in, rect.x1 - rect.x0, rect.y1 - rect.y0, place->side, place->side, err);
	if (rc)
		return rc;
	struct inlay_planes planes;
	const uint8_t *bgr = NULL;
	ptrdiff_t stride = 0;
	inlay_frame_map(frame, &planes);
	rc = read_rect(place, info, &planes, rect, &bgr, &stride, err);
	if (!rc)
		il_resize_run(place->in, crop, place->side * 3, bgr, stride);
	inlay_frame_unmap(frame);
	return rc;
}

/* The next run of zeros in kept[*end..n-1], or of everything where kept is NULL: its start, and *end behind it.
 * False when there is none. */
static bool next_run(const uint8_t *kept, int n, int *start, int *end)
{
	int i = *end;
	while (i < n && kept && kept[i])
		i++;
	*start = i;
	while (i < n && !(kept && kept[i]))
		i++;
	*end = i;
	return *start < n;
}

/* What a draw works on. The patch has one column more than the rectangle. */
struct drawing {
	const struct il_kernels *kernels;
	int frame_width, frame_height;
	const struct inlay_planes *planes;
	struct inlay_rect rect;
	int width, height; /* of the rectangle */
	uint8_t *patch;
	ptrdiff_t stride;
	const uint8_t *keep; /* or NULL */
};

static const uint8_t *keep_row(const struct drawing *d, int y)
{
	return d->keep ? d->keep + (size_t)y * (size_t)d->width : NULL;
}

static void draw_bgr(const struct drawing *d)
{
	for (int y = 0; y < d->height; y++) {
		uint8_t *to = d->planes->data[0] + (d->rect.y0 + y) * d->planes->stride[0] + 3 * d->rect.x0;
		for (int start, end = 0; next_run(keep_row(d, y), d->width, &start, &end);)
			memcpy(to + 3 * start, d->patch + y * d->stride + 3 * start, (size_t)(end - start) * 3);
	}
}

static void draw_luma(const struct drawing *d, const struct il_bgr_to_yuv *to)
{
	for (int y = 0; y < d->height; y++) {
		uint8_t *luma = d->planes->data[0] + (d->rect.y0 + y) * d->planes->stride[0] + d->rect.x0;
		const uint8_t *bgr = d->patch + y * d->stride;
		for (int start, end = 0; next_run(keep_row(d, y), d->width, &start, &end);)
			d->kernels->bgr_to_luma(luma + start, bgr + 3 * start, to, end - start);
	}
}

/* kept[i]: does any pixel of sample i stay? The first sample begins at pixel x of the rectangle's rows y0 and y1. */
static void keep_samples(const struct drawing *d, uint8_t *kept, int n, int x, int y0, int y1)
{
	const uint8_t *row0 = keep_row(d, y0), *row1 = keep_row(d, y1);
	for (int i = 0; i < n; i++, x += 2) {
		int right = x + 1 < d->width ? x + 1 : x;
		kept[i] = row0[x] || row0[right] || row1[x] || row1[right];
	}
}

/* The samples whose pixels all lie in from..to - 1; at the edge of a frame of odd size, those that exist. */
static void whole_samples(int from, int to, int frame_size, int *first, int *last)
{
	*first = (from + 1) / 2;
	*last = to == frame_size ? (to + 1) / 2 : to / 2;
}

static void draw_chroma(const struct drawing *d, const struct il_bgr_to_yuv *to, uint8_t *kept)
{
	int x_first, x_last, y_first, y_last;
	whole_samples(d->rect.x0, d->rect.x1, d->frame_width, &x_first, &x_last);
	whole_samples(d->rect.y0, d->rect.y1, d->frame_height, &y_first, &y_last);
	int n = x_last - x_first, x = 2 * x_first - d->rect.x0;
	for (int j = y_first; j < y_last; j++) {
		int y0 = 2 * j - d->rect.y0, y1 = y0 + 1 < d->height ? y0 + 1 : y0;
		const uint8_t *row0 = d->patch + y0 * d->stride + 3 * x, *row1 = d->patch + y1 * d->stride + 3 * x;
		uint8_t *u = d->planes->data[1] + j * d->planes->stride[1] + x_first;
		uint8_t *v = d->planes->data[2] + j * d->planes->stride[2] + x_first;
		if (d->keep)
			keep_samples(d, kept, n, x, y0, y1);
		for (int start, end = 0; next_run(d->keep ? kept : NULL, n, &start, &end);)
			d->kernels->bgr_to_chroma(u + start, v + start, row0 + 6 * start, row1 + 6 * start, to,
			                          end - start);
	}
}

/* Gives the sample at the right edge of a frame of odd width a second pixel like its first. */
static void repeat_last_column(const struct drawing *d)
{
	for (int y = 0; y < d->height; y++) {
		uint8_t *end = d->patch + y * d->stride + 3 * d->width;
		memcpy(end, end - 3, 3);
	}
}

enum inlay_err il_place_draw(struct il_place *place, struct inlay_frame *frame, struct inlay_rect rect,
                             const uint8_t *crop, const uint8_t *keep, struct inlay_error *err)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	enum inlay_err rc = check(info, rect, err);
	if (rc)
		return rc;
	int width = rect.x1 - rect.x0, height = rect.y1 - rect.y0;
	rc = il_resize_prepare(place->out, place->side, place->side, width, height, err);
	if (!rc)
		rc = grow(&place->patch, (size_t)(width + 1) * (size_t)height * 3, err);
	if (!rc)
		rc = grow(&place->row, (size_t)width, err);
	if (rc)
		return rc;
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	struct drawing d = {
		.kernels = place->kernels,
		.frame_width = info->width,
		.frame_height = info->height,
		.planes = &planes,
		.rect = rect,
		.width = width,
		.height = height,
		.patch = place->patch.data,
		.stride = (ptrdiff_t)(width + 1) * 3,
		.keep = keep,
	};
	il_resize_run(place->out, d.patch, d.stride, crop, place->side * 3);
	if (info->format == INLAY_PIX_BGR24) {
		draw_bgr(&d);
	} else {
		struct il_bgr_to_yuv to;
		il_bgr_to_yuv_weights(info->colour, &to);
		repeat_last_column(&d);
		draw_luma(&d, &to);
		draw_chroma(&d, &to, place->row.data);
	}
	inlay_frame_unmap(frame);
	return INLAY_OK;
}
