#include "kernel/colour.h"

#include <math.h>
#include <string.h>

/* Share of red and of blue in luma. */
struct luma_shares {
	double kr, kb;
};

static struct luma_shares shares_of(enum inlay_matrix matrix)
{
	switch (matrix) {
	case INLAY_MATRIX_BT709: return (struct luma_shares){ 0.2126, 0.0722 };
	case INLAY_MATRIX_BT2020: return (struct luma_shares){ 0.2627, 0.0593 };
	default: return (struct luma_shares){ 0.299, 0.114 };
	}
}

void il_luma_shares(enum inlay_matrix matrix, double *red, double *blue)
{
	*red = shares_of(matrix).kr;
	*blue = shares_of(matrix).kb;
}

static int16_t fixed(double weight, int unit)
{
	return (int16_t)lrint(weight * unit);
}

void il_bgr_to_yuv_weights(struct inlay_colour colour, struct il_bgr_to_yuv *to)
{
	enum { UNIT = 32768 };
	struct luma_shares k = shares_of(colour.matrix);
	int full = colour.range == INLAY_RANGE_FULL;
	double y_scale = full ? 1.0 : 219.0 / 255, c_scale = full ? 1.0 : 224.0 / 255;
	to->y_offset = full ? 0 : 16;
	to->y[0] = fixed(k.kb * y_scale, UNIT);
	to->y[2] = fixed(k.kr * y_scale, UNIT);
	to->y[1] = (int16_t)(lrint(y_scale * UNIT) - to->y[0] - to->y[2]);
	to->u[0] = to->v[2] = fixed(0.5 * c_scale, UNIT);
	to->u[2] = fixed(-0.5 * c_scale * k.kr / (1 - k.kb), UNIT);
	to->v[0] = fixed(-0.5 * c_scale * k.kb / (1 - k.kr), UNIT);
	to->u[1] = (int16_t)(-to->u[0] - to->u[2]);
	to->v[1] = (int16_t)(-to->v[2] - to->v[0]);
}

void il_yuv_to_bgr_weights(struct inlay_colour colour, struct il_yuv_to_bgr *from)
{
	enum { UNIT = 8192, HALF = 16 * UNIT / 2, MIDDLE = 16 * 128 };
	struct luma_shares k = shares_of(colour.matrix);
	int full = colour.range == INLAY_RANGE_FULL;
	double y_scale = full ? 1.0 : 255.0 / 219, c_scale = full ? 1.0 : 255.0 / 224, kg = 1 - k.kr - k.kb;
	double blue = 2 * (1 - k.kb) * c_scale, red = 2 * (1 - k.kr) * c_scale;
	from->y = fixed(y_scale, UNIT);
	from->b_u = fixed(blue, UNIT);
	from->r_v = fixed(red, UNIT);
	from->g_u = fixed(-blue * k.kb / kg, UNIT);
	from->g_v = fixed(-red * k.kr / kg, UNIT);
	int black = full ? 0 : 16 * 16 * from->y;
	from->b_bias = HALF - black - MIDDLE * from->b_u;
	from->r_bias = HALF - black - MIDDLE * from->r_v;
	from->g_bias = HALF - black - MIDDLE * (from->g_u + from->g_v);
}

/* Samples first - 1 .. last of a chroma row between two rows of the plane, in units of 1/4; those past the edges of
 * the plane repeat the last one. out[0] is sample first - 1. */
static void mix_rows(uint16_t *out, const uint8_t *near, const uint8_t *far, int first, int last, int plane_width)
{
	int begin = first > 0 ? first - 1 : 0, end = last < plane_width ? last + 1 : plane_width;
	uint16_t *to = out - (first - 1);
	for (int i = begin; i < end; i++)
		to[i] = (uint16_t)(3 * near[i] + far[i]);
	if (first == 0)
		to[-1] = to[0];
	if (last == plane_width)
		to[last] = to[last - 1];
}

void il_i420_to_bgr(uint8_t *bgr, ptrdiff_t bgr_stride, const struct inlay_frame_info *info,
                    const struct inlay_planes *planes, struct inlay_rect rect, uint16_t *scratch)
{
	const struct il_kernels *kernels = il_kernels_get();
	struct il_yuv_to_bgr from;
	il_yuv_to_bgr_weights(info->colour, &from);
	int width = rect.x1 - rect.x0, first = rect.x0 / 2, last = (rect.x1 + 1) / 2;
	int plane_width = (info->width + 1) / 2, plane_height = (info->height + 1) / 2;
	uint16_t *rows[2] = { scratch, scratch + last - first + 2 };
	for (int y = rect.y0; y < rect.y1; y++) {
		int near = y / 2, far = y % 2 ? near + 1 : near - 1;
		if (far < 0 || far >= plane_height)
			far = near;
		for (int i = 0; i < 2; i++) {
			const uint8_t *plane = planes->data[i + 1];
			ptrdiff_t stride = planes->stride[i + 1];
			mix_rows(rows[i], plane + near * stride, plane + far * stride, first, last, plane_width);
		}
		kernels->yuv_to_bgr(bgr, planes->data[0] + y * planes->stride[0] + rect.x0, rows[0] + 1, rows[1] + 1,
		                    &from, width);
		bgr += bgr_stride;
	}
}

/* A row with its last pixel twice, so that chroma has a pair everywhere. */
static const uint8_t *even_row(const uint8_t *row, int width, uint8_t *scratch)
{
	if (width % 2 == 0)
		return row;
	memcpy(scratch, row, 3 * (size_t)width);
	memcpy(scratch + 3 * (size_t)width, row + 3 * (size_t)(width - 1), 3);
	return scratch;
}

void il_bgr_to_i420(const struct inlay_frame_info *info, const struct inlay_planes *planes, const uint8_t *bgr,
                    ptrdiff_t stride, uint8_t *scratch)
{
	const struct il_kernels *kernels = il_kernels_get();
	const int width = info->width, height = info->height;
	struct il_bgr_to_yuv to;
	il_bgr_to_yuv_weights(info->colour, &to);
	for (int y = 0; y < height; y++)
		kernels->bgr_to_luma(planes->data[0] + y * planes->stride[0], bgr + y * stride, &to, width);
	for (int y = 0; y < (height + 1) / 2; y++) {
		const uint8_t *upper = bgr + 2 * y * stride, *lower = 2 * y + 1 < height ? upper + stride : upper;
		kernels->bgr_to_chroma(planes->data[1] + y * planes->stride[1], planes->data[2] + y * planes->stride[2],
		                       even_row(upper, width, scratch),
		                       even_row(lower, width, scratch + IL_BGR_SCRATCH(width) / 2), &to,
		                       (width + 1) / 2);
	}
}
