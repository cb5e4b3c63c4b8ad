#include "job/preview.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "media/scale.h"

#define MAX_WIDTH 960
#define SQUARE 16 /* of the chequerboard */

struct il_preview {
	int width, height; /* of a panel */
	struct inlay_frame *picture;
};

enum inlay_err il_preview_create(struct il_preview **out, const struct inlay_frame_info *info, struct inlay_error *err)
{
	*out = NULL;
	struct il_preview *p = calloc(1, sizeof *p);
	if (!p)
		return il_fail_memory(err);
	p->width = info->width < MAX_WIDTH ? info->width : MAX_WIDTH;
	p->height = (int)((int64_t)info->height * p->width / info->width);
	p->height = p->height ? p->height : 1;
	const struct inlay_frame_info picture = { .format = INLAY_PIX_BGR24,
		                                  .width = p->width * IL_PREVIEW_PANELS,
		                                  .height = p->height,
		                                  .colour = { .range = INLAY_RANGE_FULL } };
	enum inlay_err rc = il_frame_create(&p->picture, &picture, err);
	if (rc)
		il_preview_destroy(&p);
	*out = p;
	return rc;
}

void il_preview_destroy(struct il_preview **slot)
{
	struct il_preview *p = *slot;
	*slot = NULL;
	if (!p)
		return;
	inlay_frame_destroy(&p->picture);
	free(p);
}

struct inlay_frame *il_preview_picture(struct il_preview *p)
{
	return p->picture;
}

/* One pixel of a panel over the chequerboard, by its alpha. */
static void mix(uint8_t *to, const uint8_t *bgr, unsigned alpha, int x, int y)
{
	unsigned board = (x / SQUARE + y / SQUARE) % 2 ? 102 : 153;
	for (int c = 0; c < 3; c++)
		to[c] = (uint8_t)((bgr[c] * alpha + board * (255 - alpha) + 127) / 255);
}

static void place(struct il_preview *p, enum il_preview_panel panel, const struct inlay_frame *small)
{
	struct inlay_planes from, to;
	inlay_frame_map(small, &from);
	inlay_frame_map(p->picture, &to);
	for (int y = 0; y < p->height; y++)
		memcpy(to.data[0] + y * to.stride[0] + (ptrdiff_t)3 * p->width * (int)panel,
		       from.data[0] + y * from.stride[0], (size_t)3 * (size_t)p->width);
	inlay_frame_unmap(p->picture);
	inlay_frame_unmap(small);
}

/* The alpha of the source pixel in the middle of each pixel of the panel. */
static void uncover(struct il_preview *p, enum il_preview_panel panel, const struct inlay_frame *frame)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	const int plane = il_plane_count(info->format) - 1;
	struct inlay_planes from, to;
	inlay_frame_map(frame, &from);
	inlay_frame_map(p->picture, &to);
	for (int y = 0; y < p->height; y++) {
		const uint8_t *alpha =
			from.data[plane] + (2 * (ptrdiff_t)y + 1) * info->height / (2 * p->height) * from.stride[plane];
		uint8_t *row = to.data[0] + y * to.stride[0] + (ptrdiff_t)3 * p->width * (int)panel;
		for (int x = 0; x < p->width; x++)
			mix(row + 3 * x, row + 3 * x, alpha[(2 * (int64_t)x + 1) * info->width / (2 * p->width)], x, y);
	}
	inlay_frame_unmap(p->picture);
	inlay_frame_unmap(frame);
}

enum inlay_err il_preview_frame(struct il_preview *p, enum il_preview_panel panel, const struct inlay_frame *frame,
                                struct inlay_error *err)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	struct inlay_frame_info small = { .format = INLAY_PIX_BGR24, .width = p->width, .height = p->height };
	struct il_scaler *scaler = NULL;
	struct inlay_frame *scaled = NULL;
	enum inlay_err rc = il_scaler_create(&scaler, info, &small, IL_FIT_STRETCH, err);
	if (!rc)
		rc = il_frame_create(&scaled, &small, err);
	if (!rc)
		rc = il_scaler_run(scaler, frame, scaled, err);
	if (!rc)
		place(p, panel, scaled);
	bool alpha = info->format == INLAY_PIX_YUVA420P || info->format == INLAY_PIX_BGR24A8;
	if (!rc && panel == IL_PREVIEW_RESULT && alpha)
		uncover(p, panel, frame);
	inlay_frame_destroy(&scaled);
	il_scaler_destroy(&scaler);
	return rc;
}

enum inlay_err il_preview_plane(struct il_preview *p, enum il_preview_panel panel, const uint8_t *plane,
                                ptrdiff_t stride, int width, int height, struct inlay_error *err)
{
	const struct inlay_frame_info info = { .format = INLAY_PIX_BGR24, .width = width, .height = height };
	struct inlay_frame *grey = NULL;
	struct inlay_planes planes;
	enum inlay_err rc = il_frame_create(&grey, &info, err);
	if (rc)
		return rc;
	inlay_frame_map(grey, &planes);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			memset(planes.data[0] + y * planes.stride[0] + 3 * x, plane[y * stride + x], 3);
	inlay_frame_unmap(grey);
	rc = il_preview_frame(p, panel, grey, err);
	inlay_frame_destroy(&grey);
	return rc;
}
