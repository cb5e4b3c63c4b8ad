#include "composite/matte.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "composite/matte_impl.h"
#include "kernel/blur.h"

#define ALIGN 64

void *il_matte_take(struct il_matte_chain *c, size_t size, struct inlay_error *err)
{
	void *block = NULL;
	if (c->block_count < (int)(sizeof c->blocks / sizeof *c->blocks))
		block = aligned_alloc(ALIGN, (size + ALIGN - 1) / ALIGN * ALIGN);
	if (!block) {
		il_fail_memory(err);
		return NULL;
	}
	c->blocks[c->block_count++] = block;
	return memset(block, 0, size);
}

enum inlay_err il_matte_take_plane(struct il_matte_chain *c, struct il_matte_plane *plane, int width, int height,
                                   struct inlay_error *err)
{
	size_t stride = ((size_t)width + ALIGN - 1) / ALIGN * ALIGN;
	plane->stride = (ptrdiff_t)stride;
	plane->data = il_matte_take(c, stride * (size_t)height, err);
	return plane->data ? INLAY_OK : INLAY_ERR_MEMORY;
}

/* Does the format hold component i among others? */
static bool interleaved(const struct il_matte_chain *c, int i)
{
	return il_matte_is_bgr(c) || (c->info.format == INLAY_PIX_NV12 && i > 0);
}

static enum inlay_err take_planes(struct il_matte_chain *c, struct inlay_error *err)
{
	const int width = c->info.width, height = c->info.height;
	enum inlay_err rc = INLAY_OK;
	for (int i = 0; i < 3 && !rc; i++) {
		int w = il_matte_shrunk(c, i, width), h = il_matte_shrunk(c, i, height);
		rc = il_matte_take_plane(c, &c->behind[i], w, h, err);
		if (!rc && interleaved(c, i))
			rc = il_matte_take_plane(c, &c->split[i], w, h, err);
	}
	if (!rc)
		rc = il_matte_take_plane(c, &c->chroma_alpha, (width + 1) / 2, (height + 1) / 2, err);
	if (rc)
		return rc;
	c->tiles_across = il_tiles(width, IL_TILE_WIDTH);
	c->tiles_down = il_tiles(height, IL_TILE_HEIGHT);
	c->classes = il_matte_take(c, (size_t)c->tiles_across * (size_t)c->tiles_down, err);
	size_t plain = il_blur_scratch(width, height), masked = il_masked_blur_scratch(width, height);
	if (c->classes)
		c->differences = il_matte_take(c, 3 * (size_t)c->mask_width * sizeof *c->differences, err);
	if (c->differences)
		c->unsure_classes = il_matte_take(c, (size_t)c->tiles_across * (size_t)c->tiles_down, err);
	if (!c->unsure_classes || il_matte_take_plane(c, &c->unsure, width, height, err))
		return INLAY_ERR_MEMORY;
	c->estimate_sigma = fmin(fmax(height / 270.0, 1), 16);
	c->blur_scratch = il_matte_take(c, plain > masked ? plain : masked, err);
	return c->blur_scratch ? INLAY_OK : INLAY_ERR_MEMORY;
}

static enum inlay_err check_sizes(const struct inlay_frame_info *info, int mask_width, int mask_height,
                                  struct inlay_error *err)
{
	if (info->format == INLAY_PIX_NONE || info->format == INLAY_PIX_GRAY8 || !il_plane_count(info->format))
		return il_fail(err, INLAY_ERR_UNSUPPORTED,
		               "matte of a %s frame: expected i420, nv12, yuva420p, bgr24 or bgr24a8",
		               il_pixfmt_name(info->format));
	if (info->width < 1 || info->height < 1 || info->width > IL_MATTE_MAX_SIZE || info->height > IL_MATTE_MAX_SIZE)
		return il_fail(err, INLAY_ERR_INVALID, "matte of a frame of %dx%d: expected 1..%d each way",
		               info->width, info->height, IL_MATTE_MAX_SIZE);
	if (mask_width < 1 || mask_height < 1 || mask_width > IL_MATTE_MAX_SIZE || mask_height > IL_MATTE_MAX_SIZE)
		return il_fail(err, INLAY_ERR_INVALID, "masks of %dx%d: expected 1..%d each way", mask_width,
		               mask_height, IL_MATTE_MAX_SIZE);
	return INLAY_OK;
}

enum inlay_err il_matte_chain_create(struct il_matte_chain **out, const struct inlay_matte_look *params,
                                     const struct inlay_frame_info *info, int mask_width, int mask_height,
                                     struct inlay_error *err)
{
	*out = NULL;
	enum inlay_err rc = il_matte_params_check(params, err);
	if (!rc)
		rc = check_sizes(info, mask_width, mask_height, err);
	if (rc)
		return rc;
	struct il_matte_chain *c = calloc(1, sizeof *c);
	if (!c)
		return il_fail_memory(err);
	c->params = *params;
	c->info = *info;
	c->mask_width = mask_width;
	c->mask_height = mask_height;
	il_matte_ramps_make(&c->ramps, params);
	rc = il_matte_alpha_prepare(c, err);
	if (!rc)
		rc = take_planes(c, err);
	if (rc)
		il_matte_chain_destroy(&c);
	*out = c;
	return rc;
}

void il_matte_chain_destroy(struct il_matte_chain **slot)
{
	struct il_matte_chain *c = *slot;
	*slot = NULL;
	if (!c)
		return;
	il_upsample_destroy(&c->enlarge);
	il_upsample_destroy(&c->finish);
	for (int i = 0; i < c->block_count; i++)
		free(c->blocks[i]);
	free(c);
}

enum inlay_err il_matte_check_frame(const struct il_matte_chain *c, const struct inlay_frame *frame,
                                    struct inlay_error *err)
{
	if (!frame)
		return il_fail(err, INLAY_ERR_INVALID, "matte: no frame");
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	if (info->format != c->info.format || info->width != c->info.width || info->height != c->info.height)
		return il_fail(err, INLAY_ERR_INVALID, "matte of a %s frame of %dx%d: expected %s of %dx%d",
		               il_pixfmt_name(info->format), info->width, info->height, il_pixfmt_name(c->info.format),
		               c->info.width, c->info.height);
	return INLAY_OK;
}

/* --- components that a format interleaves --------------------------------------------------------------------------
 */

/* `step` bytes from one to the next. */
static void split_rows(const struct il_matte_plane *to, const uint8_t *from, ptrdiff_t stride, int step, int width,
                       int height)
{
	for (int y = 0; y < height; y++) {
		uint8_t *out = to->data + y * to->stride;
		const uint8_t *in = from + y * stride;
		for (int x = 0; x < width; x++)
			out[x] = in[x * step];
	}
}

static void join_rows(uint8_t *to, ptrdiff_t stride, const struct il_matte_plane *from, int step, int width, int height)
{
	for (int y = 0; y < height; y++) {
		uint8_t *out = to + y * stride;
		const uint8_t *in = from->data + y * from->stride;
		for (int x = 0; x < width; x++)
			out[x * step] = in[x];
	}
}

struct il_matte_component il_matte_component(const struct il_matte_chain *c, const struct inlay_planes *planes, int i)
{
	const bool bgr = il_matte_is_bgr(c), pair = c->info.format == INLAY_PIX_NV12 && i > 0;
	int plane = bgr ? 0 : pair ? 1 : i;
	return (struct il_matte_component){ planes->data[plane] + (bgr    ? i
		                                                   : pair ? i - 1
		                                                          : 0),
		                            planes->stride[plane],
		                            bgr    ? 3
		                            : pair ? 2
		                                   : 1 };
}

struct il_matte_plane il_matte_take_apart(const struct il_matte_chain *c, const struct inlay_planes *planes, int i,
                                          const struct il_matte_plane *copy)
{
	struct il_matte_component from = il_matte_component(c, planes, i);
	if (from.step == 1)
		return (struct il_matte_plane){ from.data, from.stride };
	split_rows(copy, from.data, from.stride, from.step, il_matte_shrunk(c, i, c->info.width),
	           il_matte_shrunk(c, i, c->info.height));
	return *copy;
}

static void put_back(const struct il_matte_chain *c, const struct inlay_planes *planes, int i)
{
	struct il_matte_component to = il_matte_component(c, planes, i);
	if (to.step > 1)
		join_rows(to.data, to.stride, &c->split[i], to.step, il_matte_shrunk(c, i, c->info.width),
		          il_matte_shrunk(c, i, c->info.height));
}

/* --- background ----------------------------------------------------------------------------------------------------
 */

static bool row_is_full(const struct il_matte_chain *c, int row, int x0, int x1)
{
	const uint8_t *classes = c->classes + (ptrdiff_t)row * c->tiles_across;
	for (int x = x0; x < x1; x++)
		if (classes[x] != IL_ALPHA_FULL)
			return false;
	return true;
}

static bool column_is_full(const struct il_matte_chain *c, int column, int y0, int y1)
{
	for (int y = y0; y < y1; y++)
		if (c->classes[(ptrdiff_t)y * c->tiles_across + column] != IL_ALPHA_FULL)
			return false;
	return true;
}

/* The pixels that background can be seen in lie here; an empty rectangle where there are none. */
static struct inlay_rect find_background(const struct il_matte_chain *c)
{
	struct inlay_rect t = { 0, 0, c->tiles_across, c->tiles_down };
	while (t.y1 > 0 && row_is_full(c, t.y1 - 1, 0, t.x1))
		t.y1--;
	while (t.y0 < t.y1 && row_is_full(c, t.y0, 0, t.x1))
		t.y0++;
	if (t.y0 == t.y1)
		return (struct inlay_rect){ 0, 0, 0, 0 };
	while (column_is_full(c, t.x1 - 1, t.y0, t.y1))
		t.x1--;
	while (column_is_full(c, t.x0, t.y0, t.y1))
		t.x0++;
	int right = t.x1 * IL_TILE_WIDTH, bottom = t.y1 * IL_TILE_HEIGHT;
	return (struct inlay_rect){ t.x0 * IL_TILE_WIDTH, t.y0 * IL_TILE_HEIGHT,
		                    right < c->info.width ? right : c->info.width,
		                    bottom < c->info.height ? bottom : c->info.height };
}

static struct il_blur_params blur_params(const struct il_matte_chain *c, int i, struct inlay_rect seen)
{
	int x = il_matte_is_chroma(c, i) ? seen.x0 / 2 : seen.x0, y = il_matte_is_chroma(c, i) ? seen.y0 / 2 : seen.y0;
	return (struct il_blur_params){
		.width = il_matte_shrunk(c, i, c->info.width),
		.height = il_matte_shrunk(c, i, c->info.height),
		.area = { x, y, il_matte_shrunk(c, i, seen.x1) - x, il_matte_shrunk(c, i, seen.y1) - y },
		.sigma = (float)(il_matte_is_chroma(c, i) ? c->params.blur / 2 : c->params.blur),
		.fast = !c->params.exact,
		.coarse = il_matte_is_chroma(c, i),
		.tiles = { c->classes, c->tiles_across, IL_TILE_WIDTH >> il_matte_is_chroma(c, i),
		           IL_TILE_HEIGHT >> il_matte_is_chroma(c, i) },
	};
}

/* --- composition ---------------------------------------------------------------------------------------------------
 */

/* Component i, in place; the background is still to come. */
static struct il_blend blend_of(const struct il_matte_chain *c, struct il_matte_plane plane, int i)
{
	const struct il_matte_plane *alpha = il_matte_is_chroma(c, i) ? &c->chroma_alpha : &c->alpha;
	return (struct il_blend){ .out = plane.data,
		                  .out_stride = plane.stride,
		                  .fg = plane.data,
		                  .fg_stride = plane.stride,
		                  .alpha = alpha->data,
		                  .alpha_stride = alpha->stride,
		                  .width = il_matte_shrunk(c, i, c->info.width),
		                  .height = il_matte_shrunk(c, i, c->info.height),
		                  .chroma = il_matte_is_chroma(c, i),
		                  .classes = c->classes };
}

/* Tiles of one class next to each other, in place: their background is made where it shows, or where the frame is put
 * over it while both are in the cache. */
static void blend_masked_part(const struct il_matte_plane *behind, const struct il_blend *whole,
                              const struct il_masked_blur *blur, const struct il_blur_area *part,
                              enum il_alpha_class class)
{
	struct il_blend blend = *whole;
	blend.out += part->y * blend.out_stride + part->x;
	if (class == IL_ALPHA_EMPTY)
		il_masked_blur_part(blur, blend.out, blend.out_stride, part);
	if (class != IL_ALPHA_MIXED)
		return;
	il_masked_blur_part(blur, behind->data, behind->stride, part);
	blend.fg = blend.out;
	blend.bg = behind->data;
	blend.bg_stride = behind->stride;
	blend.alpha += part->y * blend.alpha_stride + part->x;
	blend.width = part->width;
	blend.classes = NULL;
	il_blend_rows(&blend, 0, part->height);
}

static void blend_masked_blur(struct il_matte_chain *c, struct il_matte_plane plane, int i, struct inlay_rect seen)
{
	const struct il_blur_params params = blur_params(c, i, seen);
	const struct il_blur_area *area = &params.area;
	const struct il_blur_tiles *tiles = &params.tiles;
	const int right = area->x + area->width, bottom = area->y + area->height;
	struct il_blend blend = blend_of(c, plane, i);
	struct il_masked_blur blur;
	il_masked_blur_begin(&blur, plane.data, plane.stride, blend.alpha, blend.alpha_stride, &params,
	                     c->blur_scratch);
	for (int y = area->y; y < bottom; y += tiles->height) {
		const uint8_t *row = tiles->classes + (ptrdiff_t)(y / tiles->height) * tiles->per_row;
		for (int x = area->x, end; x < right; x = end) {
			const uint8_t class = row[x / tiles->width];
			for (end = x + tiles->width; end < right && row[end / tiles->width] == class;)
				end += tiles->width;
			end = end < right ? end : right;
			const struct il_blur_area part = { x, y, end - x,
				                           bottom - y < tiles->height ? bottom - y : tiles->height };
			blend_masked_part(&c->behind[i], &blend, &blur, &part, (enum il_alpha_class) class);
		}
	}
}

static void blend_component(struct il_matte_chain *c, struct il_matte_plane plane, int i,
                            const struct il_matte_background *background, struct inlay_rect seen)
{
	struct il_blend blend = blend_of(c, plane, i);
	struct il_matte_plane bg = c->behind[i];
	blend.constant[0] = background->constant[i];
	if (background->fill == IL_FILL_BLUR) {
		const struct il_blur_params params = blur_params(c, i, seen);
		il_blur(bg.data, bg.stride, plane.data, plane.stride, &params, c->blur_scratch);
	} else if (background->fill == IL_FILL_PICTURE) {
		bg = il_matte_take_apart(c, &background->picture, i, &c->behind[i]);
	}
	if (background->fill != IL_FILL_COLOUR) {
		blend.bg = bg.data;
		blend.bg_stride = bg.stride;
	}
	il_blend_rows(&blend, 0, blend.height);
}

static void show_mask(struct il_matte_chain *c, const struct inlay_planes *planes)
{
	const bool full = il_matte_is_bgr(c) || c->info.colour.range == INLAY_RANGE_FULL;
	uint8_t table[256];
	for (int v = 0; v < 256; v++)
		table[v] = (uint8_t)(full ? v : 16 + (v * 219 + 127) / 255);
	for (int i = 0; i < 3; i++) {
		int width = il_matte_shrunk(c, i, c->info.width), height = il_matte_shrunk(c, i, c->info.height);
		struct il_matte_component to = il_matte_component(c, planes, i);
		for (int y = 0; y < height; y++, to.data += to.stride) {
			const uint8_t *alpha = c->alpha.data + y * c->alpha.stride;
			for (int x = 0; x < width; x++)
				to.data[x * to.step] = il_matte_is_chroma(c, i) ? 128 : table[alpha[x]];
		}
	}
}

static void blend(struct il_matte_chain *c, const struct inlay_planes *planes,
                  const struct il_matte_background *background)
{
	struct inlay_rect seen = find_background(c);
	const bool blurs = background->fill == IL_FILL_BLUR;
	if (!seen.x1 || (blurs && !(c->params.blur > 0)))
		return;
	for (int i = 0; i < 3; i++) {
		struct il_matte_plane plane = il_matte_take_apart(c, planes, i, &c->split[i]);
		if (blurs && c->params.halo_free)
			blend_masked_blur(c, plane, i, seen);
		else
			blend_component(c, plane, i, background, seen);
		put_back(c, planes, i);
	}
}

/* The frame's alpha plane: the chain's, or opaque. */
static void write_alpha(const struct il_matte_chain *c, const struct inlay_planes *planes, bool opaque)
{
	const int plane = il_matte_alpha_plane(c);
	if (plane < 0)
		return;
	for (int y = 0; y < c->info.height; y++) {
		uint8_t *to = planes->data[plane] + y * planes->stride[plane];
		if (opaque)
			memset(to, 255, (size_t)c->info.width);
		else
			memcpy(to, c->alpha.data + y * c->alpha.stride, (size_t)c->info.width);
	}
}

enum inlay_err il_matte_chain_apply(struct il_matte_chain *c, struct inlay_frame *frame,
                                    const struct il_matte_background *background, struct inlay_error *err)
{
	enum inlay_err rc = il_matte_check_frame(c, frame, err);
	if (rc)
		return rc;
	if (!background && il_matte_alpha_plane(c) < 0)
		return il_fail(err, INLAY_ERR_INVALID,
		               "matte of a %s frame without a background: expected a format with alpha (yuva420p or "
		               "bgr24a8)",
		               il_pixfmt_name(c->info.format));
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	if (c->params.mask_only)
		show_mask(c, &planes);
	else if (background)
		blend(c, &planes, background);
	write_alpha(c, &planes, background || c->params.mask_only);
	inlay_frame_unmap(frame);
	return INLAY_OK;
}
