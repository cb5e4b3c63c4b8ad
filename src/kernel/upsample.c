#include "kernel/upsample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kernel.h"

#define MAX_SIZE 32767
#define READ_PAST 17 /* values that the kernels may read from any index */

struct axis {
	int16_t *index, *weight; /* [dst]; weight to the value after index, in units of 1/32768, for bilinear */
};

struct il_upsample {
	const struct il_mask_kernels *kernels;
	enum il_upsample_kind kind;
	int src_width, src_height, dst_width, dst_height;
	struct axis x, y;
	uint8_t *row;     /* a source row with room to read past it */
	int16_t *wide[2]; /* bilinear: source rows y % 2 at the large width, in units of 1/128 */
	int in_wide[2];   /* which */
};

static void nearest_axis(struct axis *axis, int src, int dst)
{
	double step = dst > 1 ? (double)(src - 1) / (dst - 1) : 0;
	for (int i = 0; i < dst; i++)
		axis->index[i] = (int16_t)(i * step);
	if (dst > 1)
		axis->index[dst - 1] = (int16_t)(src - 1);
}

static void bilinear_axis(struct axis *axis, int src, int dst)
{
	for (int i = 0; i < dst; i++) {
		double at = fmin(fmax((i + 0.5) * src / dst - 0.5, 0), src - 1);
		double whole = floor(at);
		long weight = lrint((at - whole) * 32768);
		axis->index[i] = (int16_t)whole;
		axis->weight[i] = (int16_t)(weight < 32767 ? weight : 32767);
	}
}

static bool make_axis(struct axis *axis, enum il_upsample_kind kind, int src, int dst)
{
	axis->index = malloc((size_t)dst * sizeof *axis->index);
	axis->weight = malloc((size_t)dst * sizeof *axis->weight);
	if (!axis->index || !axis->weight)
		return false;
	if (kind == IL_UPSAMPLE_NEAREST)
		nearest_axis(axis, src, dst);
	else
		bilinear_axis(axis, src, dst);
	return true;
}

enum inlay_err il_upsample_create(struct il_upsample **out, enum il_upsample_kind kind, int src_width, int src_height,
                                  int dst_width, int dst_height, struct inlay_error *err)
{
	if (src_width < 1 || src_height < 1 || dst_width < 1 || dst_height < 1 || src_width > MAX_SIZE ||
	    src_height > MAX_SIZE || dst_width > MAX_SIZE || dst_height > MAX_SIZE)
		return il_fail(err, INLAY_ERR_INVALID, "cannot scale a mask of %dx%d to %dx%d (1..%d each way)",
		               src_width, src_height, dst_width, dst_height, MAX_SIZE);
	struct il_upsample *up = calloc(1, sizeof *up);
	if (!up)
		return il_fail_memory(err);
	up->kernels = il_kernels_get()->mask;
	up->kind = kind;
	up->src_width = src_width;
	up->src_height = src_height;
	up->dst_width = dst_width;
	up->dst_height = dst_height;
	up->row = calloc((size_t)src_width + READ_PAST, 1);
	up->wide[0] = malloc((size_t)dst_width * sizeof *up->wide[0]);
	up->wide[1] = malloc((size_t)dst_width * sizeof *up->wide[1]);
	if (!up->row || !up->wide[0] || !up->wide[1] || !make_axis(&up->x, kind, src_width, dst_width) ||
	    !make_axis(&up->y, kind, src_height, dst_height)) {
		il_upsample_destroy(&up);
		return il_fail_memory(err);
	}
	*out = up;
	return INLAY_OK;
}

void il_upsample_destroy(struct il_upsample **slot)
{
	struct il_upsample *up = *slot;
	*slot = NULL;
	if (!up)
		return;
	free(up->x.index);
	free(up->x.weight);
	free(up->y.index);
	free(up->y.weight);
	free(up->row);
	free(up->wide[0]);
	free(up->wide[1]);
	free(up);
}

/* Columns of one picture that are made. */
struct part {
	const uint8_t *src;
	ptrdiff_t stride;
	int x, n;
};

static void nearest_row(struct il_upsample *up, uint8_t *dst, const struct part *p, int y)
{
	memcpy(up->row, p->src + up->y.index[y] * p->stride, (size_t)up->src_width);
	up->kernels->expand(dst, up->row, up->x.index + p->x, p->n);
}

/* Source row y at the large width. */
static const int16_t *widen(struct il_upsample *up, const struct part *p, int y)
{
	int16_t *wide = up->wide[y % 2];
	if (up->in_wide[y % 2] != y) {
		memcpy(up->row, p->src + y * p->stride, (size_t)up->src_width);
		up->row[up->src_width] = up->row[up->src_width - 1];
		up->kernels->lerp_expand(wide, up->row, up->x.index + p->x, up->x.weight + p->x, p->n);
		up->in_wide[y % 2] = y;
	}
	return wide;
}

static void bilinear_row(struct il_upsample *up, uint8_t *dst, const struct part *p, int y)
{
	int first = up->y.index[y], second = first + 1 < up->src_height ? first + 1 : first;
	const int16_t *a = widen(up, p, first), *b = widen(up, p, second);
	up->kernels->lerp_rows(dst, a, b, up->y.weight[y], p->n);
}

void il_upsample_part(struct il_upsample *up, uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src,
                      ptrdiff_t src_stride, int x0, int x1, int y0, int y1)
{
	const struct part part = { src, src_stride, x0, x1 - x0 };
	up->in_wide[0] = up->in_wide[1] = -1; /* of another picture */
	for (int y = y0; y < y1; y++, dst += dst_stride)
		if (up->kind == IL_UPSAMPLE_BILINEAR)
			bilinear_row(up, dst, &part, y);
		else if (y > y0 && up->y.index[y] == up->y.index[y - 1])
			memcpy(dst, dst - dst_stride, (size_t)part.n);
		else
			nearest_row(up, dst, &part, y);
}

void il_upsample_rows(struct il_upsample *up, uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src,
                      ptrdiff_t src_stride, int y0, int y1)
{
	il_upsample_part(up, dst, dst_stride, src, src_stride, 0, up->dst_width, y0, y1);
}
