/* The frame that every row works on. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/data.h"
#include "base/error.h"
#include "base/file.h"
#include "kernel/colour.h"
#include "matte_impl.h"
#include "media/image.h"
#include "media/scale.h"
#include "media/video.h"

#define PORTRAIT "portraits/p_09ba26b4" /* of the test data */

/* What is read: BGR24 and GRAY8 of one size. */
struct source {
	struct inlay_frame *bgr, *alpha;
};

static enum inlay_err scale(struct inlay_frame **to, const struct inlay_frame *from,
                            const struct inlay_frame_info *info, struct inlay_error *err)
{
	struct il_scaler *scaler = NULL;
	enum inlay_err rc = il_scaler_create(&scaler, inlay_frame_info(from), info, IL_FIT_STRETCH, err);
	if (!rc)
		rc = il_frame_create(to, info, err);
	if (!rc)
		rc = il_scaler_run(scaler, from, *to, err);
	il_scaler_destroy(&scaler);
	return rc;
}

/* --- sources ------------------------------------------------------------------------------------------------------ */

static enum inlay_err read_files(struct source *source, const char *image, const char *alpha, struct inlay_error *err)
{
	enum inlay_err rc = il_image_read(image, INLAY_PIX_BGR24, &source->bgr, err);
	if (!rc)
		rc = il_image_read(alpha, INLAY_PIX_GRAY8, &source->alpha, err);
	if (rc)
		return rc;
	const struct inlay_frame_info *a = inlay_frame_info(source->bgr), *b = inlay_frame_info(source->alpha);
	if (a->width != b->width || a->height != b->height)
		return il_fail(err, INLAY_ERR_INVALID, "%s: is %dx%d; expected %dx%d, as %s is", alpha, b->width,
		               b->height, a->width, a->height, image);
	return INLAY_OK;
}

/* The presenter's outline, roughly: hair and shoulders, with a soft edge. */
static double outline(double x, double y)
{
	double head = hypot((x - 0.503) / 0.17, (y - 0.49) / 0.41), body = hypot((x - 0.5) / 0.29, (y - 1.06) / 0.26);
	return fmin(fmax((1 - fmin(head, body)) * 12 + 0.5, 0), 1);
}

static void draw_outline(struct inlay_frame *alpha)
{
	const struct inlay_frame_info *info = inlay_frame_info(alpha);
	struct inlay_planes planes;
	inlay_frame_map(alpha, &planes);
	for (int y = 0; y < info->height; y++)
		for (int x = 0; x < info->width; x++)
			planes.data[0][y * planes.stride[0] + x] =
				(uint8_t)(255 * outline((x + 0.5) / info->width, (y + 0.5) / info->height));
	inlay_frame_unmap(alpha);
}

static enum inlay_err read_presenter(struct source *source, struct inlay_error *err)
{
	char *path = NULL;
	struct il_video *video = NULL;
	struct inlay_frame *frame = NULL;
	enum inlay_err rc = il_data_find(&path, "presenter/presenter.mp4", NULL, err);
	if (!rc)
		rc = il_video_open(&video, path, 1, err);
	if (!rc)
		rc = il_video_read(video, &frame, err);
	if (!rc) {
		struct inlay_frame_info info = *inlay_frame_info(frame);
		info.format = INLAY_PIX_BGR24;
		rc = scale(&source->bgr, frame, &info, err);
		info.format = INLAY_PIX_GRAY8;
		if (!rc)
			rc = il_frame_create(&source->alpha, &info, err);
	}
	if (!rc)
		draw_outline(source->alpha);
	inlay_frame_destroy(&frame);
	il_video_destroy(&video);
	free(path);
	return rc;
}

static enum inlay_err read_source(struct source *source, struct bench_picture *picture,
                                  const struct bench_matte_params *p, struct inlay_error *err)
{
	const char *data = getenv("INLAY_TEST_DATA");
	char image[512], alpha[512];
	snprintf(image, sizeof image, "%s/" PORTRAIT ".jpg", data ? data : "");
	snprintf(alpha, sizeof alpha, "%s/" PORTRAIT "_alpha.png", data ? data : "");
	if (p->image || (data && *data && il_path_exists(image))) {
		snprintf(picture->what, sizeof picture->what, "%s", p->image ? p->image : image);
		return read_files(source, p->image ? p->image : image, p->image ? p->alpha : alpha, err);
	}
	snprintf(picture->what, sizeof picture->what, "the demo presenter with a mask drawn by hand");
	return read_presenter(source, err);
}

/* --- the part that is used ---------------------------------------------------------------------------------------- */

static struct inlay_rect whole(const struct inlay_frame *frame)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	return (struct inlay_rect){ 0, 0, info->width, info->height };
}

/* Cells of the mask are means of alpha. */
static void reduce(struct bench_picture *picture, const struct inlay_frame *alpha, struct inlay_rect part)
{
	struct inlay_planes planes;
	const int64_t width = part.x1 - part.x0, height = part.y1 - part.y0;
	double total = 0;
	inlay_frame_map(alpha, &planes);
	for (int i = 0; i < BENCH_MASK * BENCH_MASK; i++) {
		const int column = i % BENCH_MASK, row = i / BENCH_MASK;
		int x0 = part.x0 + (int)(width * column / BENCH_MASK), y0 = part.y0 + (int)(height * row / BENCH_MASK);
		int x1 = part.x0 + (int)(width * (column + 1) / BENCH_MASK);
		int y1 = part.y0 + (int)(height * (row + 1) / BENCH_MASK);
		x1 += x1 == x0;
		y1 += y1 == y0;
		unsigned sum = 0;
		for (int y = y0; y < y1; y++)
			for (int x = x0; x < x1; x++)
				sum += planes.data[0][y * planes.stride[0] + x];
		picture->mask[i] = (float)sum / (255 * (float)(x1 - x0) * (float)(y1 - y0));
		total += (double)picture->mask[i];
	}
	inlay_frame_unmap(alpha);
	picture->covered = total / (BENCH_MASK * BENCH_MASK);
}

/* Where the mask of the part has its middle, in pixels. */
static void middle(const struct bench_picture *picture, struct inlay_rect part, double *x, double *y)
{
	double sum = 1e-9, sum_x = 0, sum_y = 0;
	for (int i = 0; i < BENCH_MASK * BENCH_MASK; i++) {
		double value = (double)picture->mask[i];
		sum += value;
		sum_x += value * (i % BENCH_MASK + 0.5) / BENCH_MASK;
		sum_y += value * (i / BENCH_MASK + 0.5) / BENCH_MASK;
	}
	*x = part.x0 + sum_x / sum * (part.x1 - part.x0);
	*y = part.y0 + sum_y / sum * (part.y1 - part.y0);
}

static void place(int *from, int *to, double centre, int length, int limit)
{
	int start = (int)lrint(centre - length / 2.0);
	*from = start < 0 ? 0 : start > limit - length ? limit - length : start;
	*to = *from + length;
}

/* The largest part of the frame's shape, or where the subject covers too little of that, a smaller one round it. */
static struct inlay_rect choose_part(struct bench_picture *picture, const struct source *source,
                                     const struct bench_matte_params *p)
{
	const struct inlay_rect all = whole(source->bgr);
	const double shape = (double)p->width / p->height;
	const double width = fmin(all.x1, all.y1 * shape), height = fmin(all.y1, all.x1 / shape);
	struct inlay_rect part;
	double x, y;
	reduce(picture, source->alpha, all);
	middle(picture, all, &x, &y);
	for (double zoom = 1; zoom > 0.3; zoom -= 0.02) {
		place(&part.x0, &part.x1, x, (int)fmax(width * zoom, 1), all.x1);
		place(&part.y0, &part.y1, y, (int)fmax(height * zoom, 1), all.y1);
		reduce(picture, source->alpha, part);
		if (picture->covered >= (zoom < 1 ? BENCH_WANTED_COVERED : BENCH_LEAST_COVERED))
			break;
	}
	return part;
}

static enum inlay_err crop(struct inlay_frame **to, const struct inlay_frame *from, struct inlay_rect part,
                           struct inlay_error *err)
{
	struct inlay_frame_info info = *inlay_frame_info(from);
	struct inlay_planes a, b;
	info.width = part.x1 - part.x0;
	info.height = part.y1 - part.y0;
	enum inlay_err rc = il_frame_create(to, &info, err);
	if (rc)
		return rc;
	inlay_frame_map(from, &a);
	inlay_frame_map(*to, &b);
	for (int y = 0; y < info.height; y++)
		memcpy(b.data[0] + y * b.stride[0], a.data[0] + (y + part.y0) * a.stride[0] + 3 * (ptrdiff_t)part.x0,
		       3 * (size_t)info.width);
	inlay_frame_unmap(*to);
	inlay_frame_unmap(from);
	return INLAY_OK;
}

static void describe_part(struct bench_picture *picture, struct inlay_rect part, struct inlay_rect all)
{
	size_t used = strlen(picture->what);
	if (part.x1 - part.x0 < all.x1 || part.y1 - part.y0 < all.y1)
		snprintf(picture->what + used, sizeof picture->what - used, " (%dx%d at %d,%d of it)",
		         part.x1 - part.x0, part.y1 - part.y0, part.x0, part.y0);
}

enum inlay_err bench_i420_from_bgr(struct inlay_frame **i420, const uint8_t *bgr, int width, int height,
                                   struct inlay_error *err)
{
	const struct inlay_frame_info info = {
		INLAY_PIX_I420, width, height, { INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, 1, 1 }
	};
	struct inlay_planes planes;
	enum inlay_err rc = il_frame_create(i420, &info, err);
	uint8_t *scratch = malloc(IL_BGR_SCRATCH(width));
	if (!rc && !scratch)
		rc = il_fail_memory(err);
	if (!rc) {
		inlay_frame_map(*i420, &planes);
		il_bgr_to_i420(&info, &planes, bgr, 3 * (ptrdiff_t)width, scratch);
		inlay_frame_unmap(*i420);
	}
	free(scratch);
	return rc;
}

/* The frame as rows without gaps, which is how Python gets it. */
static uint8_t *packed(const struct inlay_frame *bgr)
{
	const struct inlay_frame_info *info = inlay_frame_info(bgr);
	const size_t row = 3 * (size_t)info->width;
	struct inlay_planes planes;
	uint8_t *bytes = malloc(row * (size_t)info->height);
	inlay_frame_map(bgr, &planes);
	for (int y = 0; bytes && y < info->height; y++)
		memcpy(bytes + (size_t)y * row, planes.data[0] + y * planes.stride[0], row);
	inlay_frame_unmap(bgr);
	return bytes;
}

static enum inlay_err make_frames(struct bench_picture *picture, const struct source *source, struct inlay_rect part,
                                  const struct bench_matte_params *p, struct inlay_error *err)
{
	struct inlay_frame_info info = *inlay_frame_info(source->bgr);
	struct inlay_frame *cut = NULL, *scaled = NULL;
	info.width = p->width;
	info.height = p->height;
	enum inlay_err rc = crop(&cut, source->bgr, part, err);
	if (!rc)
		rc = scale(&scaled, cut, &info, err);
	if (!rc && !(picture->bgr = packed(scaled)))
		rc = il_fail_memory(err);
	if (!rc)
		rc = bench_i420_from_bgr(&picture->i420, picture->bgr, p->width, p->height, err);
	inlay_frame_destroy(&cut);
	inlay_frame_destroy(&scaled);
	return rc;
}

enum inlay_err bench_picture_open(struct bench_picture *picture, const struct bench_matte_params *p,
                                  struct inlay_error *err)
{
	struct source source = { NULL };
	enum inlay_err rc = read_source(&source, picture, p, err);
	if (!rc) {
		struct inlay_rect part = choose_part(picture, &source, p);
		describe_part(picture, part, whole(source.bgr));
		rc = make_frames(picture, &source, part, p, err);
	}
	inlay_frame_destroy(&source.bgr);
	inlay_frame_destroy(&source.alpha);
	return rc;
}

void bench_picture_close(struct bench_picture *picture)
{
	free(picture->bgr);
	picture->bgr = NULL;
	inlay_frame_destroy(&picture->i420);
}
