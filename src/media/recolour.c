#include "media/recolour.h"

#include <math.h>
#include <stdint.h>

#include "kernel/colour.h"

const struct inlay_colour il_jpeg_colour = { INLAY_MATRIX_BT601, INLAY_RANGE_FULL, 2, 2 };

static bool is_full(const struct inlay_colour *colour)
{
	return colour->range == INLAY_RANGE_FULL;
}

bool il_same_yuv(const struct inlay_colour *a, const struct inlay_colour *b)
{
	double a_red, a_blue, b_red, b_blue;
	il_luma_shares(a->matrix, &a_red, &a_blue);
	il_luma_shares(b->matrix, &b_red, &b_blue);
	return is_full(a) == is_full(b) && a_red == b_red && a_blue == b_blue;
}

/* What U and V of the source do to Y, U and V of the result, at full range on both sides. */
static void convert_chroma(enum inlay_matrix from, enum inlay_matrix to, double u, double v, double yuv[3])
{
	double from_red, from_blue, to_red, to_blue;
	il_luma_shares(from, &from_red, &from_blue);
	il_luma_shares(to, &to_red, &to_blue);
	double red = 2 * (1 - from_red) * v;
	double blue = 2 * (1 - from_blue) * u;
	double green = -(from_red * red + from_blue * blue) / (1 - from_red - from_blue);
	yuv[0] = to_red * red + (1 - to_red - to_blue) * green + to_blue * blue;
	yuv[1] = (blue - yuv[0]) / (2 * (1 - to_blue));
	yuv[2] = (red - yuv[0]) / (2 * (1 - to_red));
}

static int fixed(double value)
{
	return (int)lround(value * 65536);
}

void il_recolour_init(struct il_recolour *recolour, const struct inlay_colour *from, const struct inlay_colour *to)
{
	double luma = (is_full(from) ? 1 : 255 / 219.0) * (is_full(to) ? 1 : 219 / 255.0);
	double chroma = (is_full(from) ? 1 : 255 / 224.0) * (is_full(to) ? 1 : 224 / 255.0);
	double luma_of_chroma = (is_full(from) ? 1 : 255 / 224.0) * (is_full(to) ? 1 : 219 / 255.0);
	double u[3], v[3];
	convert_chroma(from->matrix, to->matrix, 1, 0, u);
	convert_chroma(from->matrix, to->matrix, 0, 1, v);
	*recolour = (struct il_recolour){ .y_offset = is_full(from) ? 0 : 16,
		                          .to_offset = is_full(to) ? 0 : 16,
		                          .y_y = fixed(luma),
		                          .y_u = fixed(u[0] * luma_of_chroma),
		                          .y_v = fixed(v[0] * luma_of_chroma),
		                          .u_u = fixed(u[1] * chroma),
		                          .u_v = fixed(v[1] * chroma),
		                          .v_u = fixed(u[2] * chroma),
		                          .v_v = fixed(v[2] * chroma) };
}

static uint8_t round_and_clip(int value)
{
	value = (value + 32768) >> 16;
	return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Two pixels share their chroma. */
static void luma_row(const struct il_recolour *r, const uint8_t *restrict y, const uint8_t *restrict u,
                     const uint8_t *restrict v, uint8_t *restrict to, int width)
{
	const int gain = r->y_y, by_u = r->y_u, by_v = r->y_v;
	const int base = r->to_offset * 65536 - r->y_offset * gain - 128 * (by_u + by_v);
	for (int x = 0; x < width / 2; x++) {
		int chroma = base + u[x] * by_u + v[x] * by_v;
		to[2 * x] = round_and_clip(y[2 * x] * gain + chroma);
		to[2 * x + 1] = round_and_clip(y[2 * x + 1] * gain + chroma);
	}
	if (width & 1)
		to[width - 1] = round_and_clip(y[width - 1] * gain + base + u[width / 2] * by_u + v[width / 2] * by_v);
}

static void chroma_row(const struct il_recolour *r, const uint8_t *restrict u, const uint8_t *restrict v,
                       uint8_t *restrict to_u, uint8_t *restrict to_v, int width)
{
	const int u_u = r->u_u, u_v = r->u_v, v_u = r->v_u, v_v = r->v_v;
	for (int x = 0; x < width; x++) {
		int du = u[x] - 128, dv = v[x] - 128;
		to_u[x] = round_and_clip((128 << 16) + du * u_u + dv * u_v);
		to_v[x] = round_and_clip((128 << 16) + du * v_u + dv * v_v);
	}
}

void il_recolour_planes(const struct il_recolour *recolour, const struct inlay_planes *from,
                        const struct inlay_planes *to, int width, int height)
{
	for (int y = 0; y < height; y++)
		luma_row(recolour, from->data[0] + y * from->stride[0], from->data[1] + y / 2 * from->stride[1],
		         from->data[2] + y / 2 * from->stride[2], to->data[0] + y * to->stride[0], width);
	for (int y = 0; y < (height + 1) / 2; y++)
		chroma_row(recolour, from->data[1] + y * from->stride[1], from->data[2] + y * from->stride[2],
		           to->data[1] + y * to->stride[1], to->data[2] + y * to->stride[2], (width + 1) / 2);
}
