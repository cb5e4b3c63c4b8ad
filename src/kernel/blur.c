/* Rows are blurred in blocks of 32 that are transposed into a strip in cache, columns 32 abreast as they lie. */
#include "kernel/blur.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "kernel/blur_kernels.h"
#include "kernel/kernel.h"

#define LANES IL_STRIP_LANES
#define PASSES 3
#define ALIGN 64
#define REACH IL_TAP_REACH /* PASSES boxes with a radius below 1 */
#define LINES IL_TAP_LINES

float il_blur_box_radius(float sigma)
{
	if (!(sigma > 0.0f))
		return 0.0f;
	if (sigma > IL_BLUR_MAX_SIGMA)
		sigma = IL_BLUR_MAX_SIGMA;
	float variance = sigma * sigma / PASSES;
	float length = sqrtf(12.0f * variance + 1.0f);
	float whole = floorf((length - 1.0f) / 2.0f);
	float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
	part /= 6 * (variance - (whole + 1) * (whole + 1));
	return whole + part;
}

int il_blur_reach(float sigma)
{
	return sigma > 0.0f ? PASSES * ((int)il_blur_box_radius(sigma) + 1) : 0;
}

static size_t align_up(size_t n)
{
	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t strip_size(int width, int height)
{
	return (size_t)(width > height ? width : height) * LANES;
}

size_t il_blur_scratch(int width, int height)
{
	return ALIGN + align_up((size_t)width) * (size_t)height + 2 * strip_size(width, height);
}

/* Weights of 16 bits, as many of them as there is room for. The bias is the half for rounding, and one unit for the two
 * products that are cut off. */
static void set_fast_weights(struct il_box *box, double radius)
{
	const int shift = 7;
	int samples = 2 * box->radius + 1;
	box->scale = 6;
	while (box->scale > 0 && (255 * samples << box->scale) + 256 > 65535)
		box->scale--;
	box->fast_full = (uint16_t)lrint(ldexp(1.0 / (2.0 * radius + 1.0), 16 + shift - box->scale));
	double rest = ldexp(1.0, 16 + shift) - ldexp((double)box->fast_full * samples, box->scale);
	box->fast_partial = (uint16_t)lrint(rest > 0.0 ? rest / 128.0 : 0.0);
	box->bias = (uint16_t)lrint(ldexp((1 << shift) / 2 + 1, 16) / box->fast_full);
}

/* Rounded as PIL rounds them, which decides halves. */
static struct il_box make_box(float radius, bool fast)
{
	struct il_box box = { .radius = (int)radius, .fast = fast && radius >= 1.0f };
	box.full = (uint32_t)((float)(1 << 24) / (radius * 2 + 1));
	box.partial = ((1u << 24) - (uint32_t)(2 * box.radius + 1) * box.full) / 2;
	if (box.fast)
		set_fast_weights(&box, (double)radius);
	return box;
}

/* The area and all that has influence on it. Treating this as the whole plane is exact: each pass spoils at most its
 * own reach from a border that is none. */
static struct il_blur_area grow_area(const struct il_blur_params *p, int reach)
{
	const struct il_blur_area *a = &p->area;
	int x0 = a->x > reach ? a->x - reach : 0, y0 = a->y > reach ? a->y - reach : 0;
	int x1 = p->width - reach > a->x + a->width ? a->x + a->width + reach : p->width;
	int y1 = p->height - reach > a->y + a->height ? a->y + a->height + reach : p->height;
	return (struct il_blur_area){ x0, y0, x1 - x0, y1 - y0 };
}

static void copy_rows(uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src, ptrdiff_t src_stride, int width,
                      int height)
{
	for (int y = 0; y < height; y++)
		memcpy(dst + y * dst_stride, src + y * src_stride, (size_t)width);
}

struct work {
	const struct il_blur_kernels *kernels;
	struct il_box box;
	struct il_blur_area area, grown;
	uint8_t *plane; /* the rows of `grown`, blurred along x, columns of `area` only */
	ptrdiff_t stride;
	uint8_t *strips[2];
};

static void blur_rows(const struct work *w, const uint8_t *src, ptrdiff_t src_stride)
{
	const struct il_blur_kernels *k = w->kernels;
	uint8_t *a = w->strips[0], *b = w->strips[1];
	int n = w->grown.width;
	for (int y = 0; y < w->grown.height; y += LANES) {
		int height = w->grown.height - y < LANES ? w->grown.height - y : LANES;
		k->rows_to_strip(a, src + (w->grown.y + y) * src_stride + w->grown.x, src_stride, n, height);
		k->box_strip(b, LANES, a, LANES, n, &w->box);
		k->box_strip(a, LANES, b, LANES, n, &w->box);
		k->box_strip(b, LANES, a, LANES, n, &w->box);
		k->strip_to_rows(w->plane + y * w->stride, w->stride, b + (ptrdiff_t)(w->area.x - w->grown.x) * LANES,
		                 w->area.width, height);
	}
}

static void blur_columns(const struct work *w, uint8_t *dst, ptrdiff_t dst_stride)
{
	const struct il_blur_kernels *k = w->kernels;
	uint8_t *a = w->strips[0], *b = w->strips[1];
	int n = w->grown.height;
	dst += w->area.y * dst_stride + w->area.x;
	for (int x = 0; x < w->area.width; x += LANES) {
		int lanes = w->area.width - x < LANES ? w->area.width - x : LANES;
		bool direct = lanes == LANES && n == w->area.height;
		k->box_strip(a, LANES, w->plane + x, w->stride, n, &w->box);
		k->box_strip(b, LANES, a, LANES, n, &w->box);
		k->box_strip(direct ? dst + x : a, direct ? dst_stride : LANES, b, LANES, n, &w->box);
		if (!direct)
			copy_rows(dst + x, dst_stride, a + (ptrdiff_t)(w->area.y - w->grown.y) * LANES, LANES, lanes,
			          w->area.height);
	}
}

/* Three boxes of one full sample are seven taps; the weights add up to 256. */
static void make_taps(uint16_t taps[REACH + 1], float radius)
{
	double p = (double)radius / (2.0 * (double)radius + 1.0), q = 1 - 2 * p;
	taps[3] = (uint16_t)lrint(256 * p * p * p);
	taps[2] = (uint16_t)lrint(768 * p * p * q);
	taps[1] = (uint16_t)lrint(768 * p * (q * q + p * p));
	taps[0] = (uint16_t)(256 - 2 * (taps[1] + taps[2] + taps[3]));
}

/* To replicate the border before each of the boxes is to mirror the plane there once. */
static int mirror(int i, int n)
{
	while (i < 0 || i >= n)
		i = i < 0 ? -1 - i : 2 * n - 1 - i;
	return i;
}

/* A row of the plane filtered across, columns of the area; `padded` has room for REACH more on either side. */
static void tap_across(uint8_t *line, uint8_t *padded, const uint8_t *row, const struct il_blur_params *p,
                       const uint16_t taps[REACH + 1])
{
	const int n = p->area.width, from = p->area.x;
	const uint8_t *shifted[LINES];
	memcpy(padded + REACH, row + from, (size_t)n);
	for (int i = 1; i <= REACH; i++) {
		padded[REACH - i] = row[mirror(from - i, p->width)];
		padded[REACH + n - 1 + i] = row[mirror(from + n - 1 + i, p->width)];
	}
	for (int i = 0; i < LINES; i++)
		shifted[i] = padded + i;
	il_kernels_get()->blur->mix_lines(line, shifted, taps, n);
}

/* Line y % LINES is row y; in place, rows are read before they are written. */
static void blur_taps(uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src, ptrdiff_t src_stride,
                      const struct il_blur_params *p, uint8_t *scratch)
{
	const struct il_blur_area *area = &p->area;
	const size_t size = (size_t)area->width; /* of LINES and a padded one, which strips are longer than */
	uint16_t taps[REACH + 1];
	il_mix_lines_fn *const mix = il_kernels_get()->blur->mix_lines;
	make_taps(taps, il_blur_box_radius(p->sigma));
	int next = area->y > REACH ? area->y - REACH : 0;
	for (int y = area->y; y < area->y + area->height; y++) {
		const uint8_t *lines[LINES];
		for (; next <= y + REACH && next < p->height; next++)
			tap_across(scratch + (size_t)(next % LINES) * size, scratch + LINES * size,
			           src + next * src_stride, p, taps);
		for (int i = 0; i < LINES; i++) {
			int row = mirror(y - REACH + i, p->height);
			lines[i] = scratch + (size_t)(row % LINES) * size;
		}
		mix(dst + y * dst_stride + area->x, lines, taps, area->width);
	}
}

void il_blur(uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src, ptrdiff_t src_stride,
             const struct il_blur_params *p, void *scratch)
{
	const struct il_blur_area *area = &p->area;
	float radius = il_blur_box_radius(p->sigma);
	if (radius <= 0.0f) {
		if (dst != src)
			copy_rows(dst + area->y * dst_stride + area->x, dst_stride,
			          src + area->y * src_stride + area->x, src_stride, area->width, area->height);
		return;
	}
	if (p->fast && radius < 1.0f) {
		blur_taps(dst, dst_stride, src, src_stride, p, scratch);
		return;
	}
	struct work w = { .kernels = il_kernels_get()->blur, .box = make_box(radius, p->fast), .area = *area };
	w.grown = grow_area(p, il_blur_reach(p->sigma));
	w.stride = (ptrdiff_t)align_up((size_t)area->width);
	w.plane = (uint8_t *)align_up((uintptr_t)scratch);
	w.strips[0] = w.plane + w.stride * w.grown.height;
	w.strips[1] = w.strips[0] + strip_size(w.grown.width, w.grown.height);
	blur_rows(&w, src, src_stride);
	blur_columns(&w, dst, dst_stride);
}
