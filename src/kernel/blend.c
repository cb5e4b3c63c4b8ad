#include "kernel/blend.h"

#include <string.h>

#include "kernel/kernel.h"

#define CHUNK 512 /* bytes of constant background made at a time */

void il_alpha_halve(uint8_t *chroma, ptrdiff_t chroma_stride, const uint8_t *alpha, ptrdiff_t alpha_stride, int width,
                    int height)
{
	const struct il_blend_kernels *k = il_kernels_get()->blend;
	for (int y = 0; y < height; y += 2, chroma += chroma_stride) {
		const uint8_t *row0 = alpha + y * alpha_stride, *row1 = y + 1 < height ? row0 + alpha_stride : row0;
		k->halve(chroma, row0, row1, width / 2);
		if (width % 2)
			chroma[width / 2] = (uint8_t)((row0[width - 1] + row1[width - 1] + 1) >> 1);
	}
}

void il_alpha_classify(uint8_t *classes, const uint8_t *alpha, ptrdiff_t stride, int width, int height)
{
	const struct il_blend_kernels *k = il_kernels_get()->blend;
	for (int y = 0; y < height; y += IL_TILE_HEIGHT)
		for (int x = 0; x < width; x += IL_TILE_WIDTH) {
			int w = width - x < IL_TILE_WIDTH ? width - x : IL_TILE_WIDTH;
			int h = height - y < IL_TILE_HEIGHT ? height - y : IL_TILE_HEIGHT;
			*classes++ = (uint8_t)k->classify(alpha + y * stride + x, stride, w, h);
		}
}

/* `count` pixels at x, y, all of one class. `constant` holds the background where there is no plane. */
static void blend_span(const struct il_blend *b, const struct il_blend_kernels *k, int x, int y, int count,
                       enum il_alpha_class class, const uint8_t *constant)
{
	ptrdiff_t at = b->pairs ? 2 * x : x;
	size_t bytes = (size_t)(b->pairs ? 2 * count : count);
	uint8_t *out = b->out + y * b->out_stride + at;
	const uint8_t *fg = b->fg + y * b->fg_stride + at, *alpha = b->alpha + y * b->alpha_stride + x;
	const uint8_t *bg = b->bg ? b->bg + y * b->bg_stride + at : constant;
	if (class == IL_ALPHA_FULL) {
		if (out != fg)
			memcpy(out, fg, bytes);
	} else if (class == IL_ALPHA_EMPTY) {
		if (out != bg)
			memcpy(out, bg, bytes);
	} else if (b->pairs) {
		k->pairs(out, fg, bg, alpha, count);
	} else {
		k->row(out, fg, bg, alpha, count);
	}
}

/* The end of the tiles from x on that are all of one class, which goes to *class. */
static int same_class(const struct il_blend *b, int x, int y, enum il_alpha_class *class)
{
	*class = IL_ALPHA_MIXED;
	if (!b->classes)
		return b->width;
	int tile = b->chroma ? IL_TILE_WIDTH / 2 : IL_TILE_WIDTH;
	int per_row = il_tiles(b->width, tile), i = x / tile;
	const uint8_t *row = b->classes + y / (b->chroma ? IL_TILE_HEIGHT / 2 : IL_TILE_HEIGHT) * per_row;
	*class = row[i];
	while (i < per_row && row[i] == *class)
		i++;
	return i * tile < b->width ? i * tile : b->width;
}

static void fill_constant(const struct il_blend *b, uint8_t constant[CHUNK])
{
	for (int i = 0; i < CHUNK; i++)
		constant[i] = b->constant[b->pairs ? i % 2 : 0];
}

void il_blend_rows(const struct il_blend *b, int y0, int y1)
{
	const struct il_blend_kernels *k = il_kernels_get()->blend;
	uint8_t constant[CHUNK];
	const int most = b->bg ? b->width : CHUNK / 2;
	if (!b->bg)
		fill_constant(b, constant);
	for (int y = y0; y < y1; y++)
		for (int x = 0, end; x < b->width; x = end) {
			enum il_alpha_class class;
			end = same_class(b, x, y, &class);
			for (int i = x; i < end; i += most)
				blend_span(b, k, i, y, end - i < most ? end - i : most, class, constant);
		}
}
