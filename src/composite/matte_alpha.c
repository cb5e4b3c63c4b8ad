/* A mask of the network's size to the alpha of a frame. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/colour.h"
#include "composite/matte_impl.h"
#include "kernel/blur.h"
#include "kernel/guided.h"
#include "kernel/morph.h"

#define MAX_LEVEL 2
#define MIN_SIGMA 0.6 /* of smoothing, in pixels of the size that is worked on */
#define BAND 64       /* rows */
#define SCALING 0.25  /* variance of scaling down by means and up linearly, in the same pixels */

static double smoothing(const struct inlay_matte_look *p)
{
	return 5 * p->smooth;
}

/* What the sharpest part of the edge goes through decides. */
static int choose_level(const struct il_matte_chain *c)
{
	const struct inlay_matte_look *p = &c->params;
	double sigma = smoothing(p);
	if (p->side == INLAY_MATTE_BOTH)
		sigma = hypot(sigma, p->feather);
	int level = 0;
	if (p->exact || p->full_size || p->upsample == INLAY_MATTE_NEAREST)
		return 0;
	while (level < MAX_LEVEL && ldexp(sigma, -level - 1) >= MIN_SIGMA && c->info.width >> (level + 1) > 8 &&
	       c->info.height >> (level + 1) > 8)
		level++;
	return level;
}

static struct il_guided_params guided_params(const struct il_matte_chain *c)
{
	return (struct il_guided_params){ .width = c->width,
		                          .height = c->height,
		                          .matte_width = c->mask_width,
		                          .matte_height = c->mask_height,
		                          .radius = c->params.guided_radius,
		                          .epsilon = (float)c->params.guided_epsilon };
}

static enum inlay_err take_scratch(struct il_matte_chain *c, struct inlay_error *err)
{
	int reach = (abs(c->params.expand) >> c->level) + 1;
	struct il_guided_params guided = guided_params(c);
	struct {
		void **place;
		size_t size;
	} parts[] = {
		{ &c->morph_scratch, c->params.expand ? il_morph_scratch(c->width, c->height, reach) : 0 },
		{ &c->guided_scratch, c->params.upsample == INLAY_MATTE_GUIDED ? il_guided_scratch(&guided) : 0 },
	};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (parts[i].size && !(*parts[i].place = il_matte_take(c, parts[i].size, err)))
			return err->code;
	return INLAY_OK;
}

/* Luma of the work size, for guided upsampling. */
static enum inlay_err take_guide(struct il_matte_chain *c, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	if (c->params.upsample != INLAY_MATTE_GUIDED)
		return rc;
	if (c->level > 0 || il_matte_is_bgr(c))
		rc = il_matte_take_plane(c, &c->guide, c->info.width, c->info.height, err);
	if (!rc && c->level > 0)
		rc = il_matte_take_plane(c, &c->half, (c->info.width + 1) / 2, (c->info.height + 1) / 2, err);
	return rc;
}

enum inlay_err il_matte_alpha_prepare(struct il_matte_chain *c, struct inlay_error *err)
{
	const int round_up = (1 << (c->level = choose_level(c))) - 1;
	c->width = (c->info.width + round_up) >> c->level;
	c->height = (c->info.height + round_up) >> c->level;
	enum il_upsample_kind kind =
		c->params.upsample == INLAY_MATTE_NEAREST ? IL_UPSAMPLE_NEAREST : IL_UPSAMPLE_BILINEAR;
	enum inlay_err rc = il_matte_take_plane(c, &c->alpha, c->info.width, c->info.height, err);
	c->work = c->alpha;
	if (!rc && c->level)
		rc = il_matte_take_plane(c, &c->work, c->width, c->height, err);
	if (!rc)
		rc = il_matte_take_plane(c, &c->other, c->width, c->height, err);
	if (!rc)
		rc = il_upsample_create(&c->enlarge, kind, c->mask_width, c->mask_height, c->width, c->height, err);
	if (!rc && c->level)
		rc = il_upsample_create(&c->finish, IL_UPSAMPLE_BILINEAR, c->width, c->height, c->info.width,
		                        c->info.height, err);
	if (!rc)
		rc = take_guide(c, err);
	return rc ? rc : take_scratch(c, err);
}

static struct il_matte_plane luma_of(struct il_matte_chain *c, const struct inlay_planes *planes)
{
	if (!il_matte_is_bgr(c))
		return (struct il_matte_plane){ planes->data[0], planes->stride[0] };
	struct il_bgr_to_yuv to;
	il_bgr_to_yuv_weights(c->info.colour, &to);
	for (int y = 0; y < c->info.height; y++)
		il_kernels_get()->bgr_to_luma(c->guide.data + y * c->guide.stride,
		                              planes->data[0] + y * planes->stride[0], &to, c->info.width);
	return c->guide;
}

/* The means of squares of 2 or 4 samples, in bands that stay in the cache between halvings. */
static struct il_matte_plane shrink(const struct il_matte_chain *c, struct il_matte_plane luma)
{
	const int width = c->info.width, height = c->info.height;
	if (!c->level)
		return luma;
	const struct il_matte_plane first = c->level > 1 || luma.data == c->guide.data ? c->half : c->guide;
	for (int y = 0; y < height; y += BAND) {
		int rows = height - y < BAND ? height - y : BAND;
		uint8_t *to = first.data + y / 2 * first.stride;
		il_alpha_halve(to, first.stride, luma.data + y * luma.stride, luma.stride, width, rows);
		if (c->level > 1)
			il_alpha_halve(c->guide.data + y / 4 * c->guide.stride, c->guide.stride, to, first.stride,
			               (width + 1) / 2, (rows + 1) / 2);
	}
	return c->level > 1 ? c->guide : first;
}

static void enlarge(struct il_matte_chain *c, const uint8_t *mask, const struct inlay_frame *frame)
{
	if (c->params.upsample != INLAY_MATTE_GUIDED) {
		il_upsample_rows(c->enlarge, c->work.data, c->work.stride, mask, c->mask_width, 0, c->height);
		return;
	}
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	struct il_matte_plane luma = shrink(c, luma_of(c, &planes));
	const struct il_guided_params params = guided_params(c);
	const struct il_guided_matte matte = { .bytes = mask, .stride = c->mask_width };
	il_guided_upsample(c->work.data, c->work.stride, luma.data, luma.stride, &matte, &params, c->guided_scratch);
	inlay_frame_unmap(frame);
}

/* A part of a pixel more is a mixture of two results. */
static void expand(struct il_matte_chain *c)
{
	int whole = abs(c->params.expand) >> c->level, sign = c->params.expand < 0 ? -1 : 1;
	int part = abs(c->params.expand) - (whole << c->level);
	if (part) {
		uint8_t share[IL_TILE_WIDTH];
		memset(share, 255 * part >> c->level, sizeof share);
		il_morph(c->other.data, c->other.stride, c->work.data, c->work.stride, c->width, c->height,
		         sign * (whole + 1), c->morph_scratch);
		il_morph(c->work.data, c->work.stride, c->work.data, c->work.stride, c->width, c->height, sign * whole,
		         c->morph_scratch);
		const struct il_blend_kernels *k = il_kernels_get()->blend;
		for (int y = 0; y < c->height; y++)
			for (int x = 0; x < c->width; x += IL_TILE_WIDTH) {
				uint8_t *to = c->work.data + y * c->work.stride + x;
				int n = c->width - x < IL_TILE_WIDTH ? c->width - x : IL_TILE_WIDTH;
				k->row(to, c->other.data + y * c->other.stride + x, to, share, n);
			}
		return;
	}
	il_morph(c->work.data, c->work.stride, c->work.data, c->work.stride, c->width, c->height, sign * whole,
	         c->morph_scratch);
}

static void blur(struct il_matte_chain *c, struct il_matte_plane to, double sigma)
{
	const struct il_blur_params params = { .width = c->width,
		                               .height = c->height,
		                               .area = { 0, 0, c->width, c->height },
		                               .sigma = (float)sigma,
		                               .fast = !c->params.exact };
	if (sigma > 0)
		il_blur(to.data, to.stride, c->work.data, c->work.stride, &params, c->blur_scratch);
}

/* Of the smoothing, what scaling does already is left out. */
static void smooth(struct il_matte_chain *c)
{
	double sigma = ldexp(smoothing(&c->params), -c->level);
	double variance = sigma * sigma - (c->level ? SCALING : 0);
	blur(c, c->work, variance > 0 ? sqrt(variance) : 0);
}

static void feather(struct il_matte_chain *c)
{
	double sigma = ldexp(c->params.feather, -c->level);
	if (!(sigma > 0))
		return;
	if (c->params.side == INLAY_MATTE_BOTH) {
		blur(c, c->work, sigma);
		return;
	}
	blur(c, c->other, sigma);
	il_mask_feather(c->work.data, c->work.stride, c->work.data, c->work.stride, c->other.data, c->other.stride,
	                c->width, c->height, c->params.side == INLAY_MATTE_IN ? IL_FEATHER_IN : IL_FEATHER_OUT);
}

/* A tile of the frame's size. */
struct tile {
	int x, y, width, height;
	uint8_t *class;
};

static struct tile tile_at(const struct il_matte_chain *c, int column, int row)
{
	int x = column * IL_TILE_WIDTH, y = row * IL_TILE_HEIGHT;
	return (struct tile){ x, y, c->info.width - x < IL_TILE_WIDTH ? c->info.width - x : IL_TILE_WIDTH,
		              c->info.height - y < IL_TILE_HEIGHT ? c->info.height - y : IL_TILE_HEIGHT,
		              c->classes + (ptrdiff_t)row * c->tiles_across + column };
}

/* What a tile becomes for sure, by all of the work size that it is made of: a sample more to the left, and two to the
 * right, where sizes that were rounded up drift by up to 3/4 of one. */
static enum il_alpha_class class_of_sources(const struct il_matte_chain *c, const struct tile *t)
{
	if (!c->level)
		return IL_ALPHA_MIXED;
	int x0 = t->x >> c->level, y0 = t->y >> c->level;
	int x1 = ((t->x + t->width - 1) >> c->level) + 3, y1 = ((t->y + t->height - 1) >> c->level) + 3;
	x0 = x0 > 0 ? x0 - 1 : 0;
	y0 = y0 > 0 ? y0 - 1 : 0;
	x1 = x1 < c->width ? x1 : c->width;
	y1 = y1 < c->height ? y1 : c->height;
	return il_kernels_get()->blend->classify(c->work.data + y0 * c->work.stride + x0, c->work.stride, x1 - x0,
	                                         y1 - y0);
}

static void fill(const struct il_matte_plane *plane, int x, int y, int width, int height, int value)
{
	for (int i = y; i < y + height; i++)
		memset(plane->data + i * plane->stride + x, value, (size_t)width);
}

/* A tile that is the same throughout; where it was so before, it has been filled. */
static void keep_flat(const struct il_matte_chain *c, const struct tile *t, enum il_alpha_class class)
{
	if (*t->class == class)
		return;
	int value = class == IL_ALPHA_FULL ? 255 : 0;
	*t->class = (uint8_t) class;
	fill(&c->alpha, t->x, t->y, t->width, t->height, value);
	fill(&c->chroma_alpha, t->x / 2, t->y / 2, (t->width + 1) / 2, (t->height + 1) / 2, value);
}

/* Tiles next to each other. */
static void make_tiles(struct il_matte_chain *c, const struct tile *first, int width)
{
	const int x = first->x, y = first->y, height = first->height;
	uint8_t *alpha = c->alpha.data + y * c->alpha.stride + x;
	if (c->level)
		il_upsample_part(c->finish, alpha, c->alpha.stride, c->work.data, c->work.stride, x, x + width, y,
		                 y + height);
	il_alpha_classify(first->class, alpha, c->alpha.stride, width, height);
	il_alpha_halve(c->chroma_alpha.data + y / 2 * c->chroma_alpha.stride + x / 2, c->chroma_alpha.stride, alpha,
	               c->alpha.stride, width, height);
}

/* Most of a mask is flat, and stays so from frame to frame: only what is not costs anything. */
static void finish(struct il_matte_chain *c)
{
	for (int row = 0; row < c->tiles_down; row++)
		for (int column = 0; column < c->tiles_across;) {
			struct tile t = tile_at(c, column++, row), next;
			enum il_alpha_class class = class_of_sources(c, &t);
			if (class != IL_ALPHA_MIXED) {
				keep_flat(c, &t, class);
				continue;
			}
			int width = t.width;
			for (; column < c->tiles_across; column++, width += next.width) {
				next = tile_at(c, column, row);
				if (class_of_sources(c, &next) != IL_ALPHA_MIXED)
					break;
			}
			make_tiles(c, &t, width);
		}
}

enum inlay_err il_matte_chain_alpha(struct il_matte_chain *c, const uint8_t *mask, const struct inlay_frame *frame,
                                    struct inlay_error *err)
{
	if (c->params.upsample == INLAY_MATTE_GUIDED) {
		enum inlay_err rc = il_matte_check_frame(c, frame, err);
		if (rc)
			return rc;
	}
	enlarge(c, mask, frame);
	if (c->ramps.two)
		il_mask_map(c->work.data, c->work.stride, c->work.data, c->work.stride, c->width, c->height,
		            c->ramps.second);
	if (c->params.expand)
		expand(c);
	smooth(c);
	feather(c);
	finish(c);
	return INLAY_OK;
}

const uint8_t *il_matte_chain_plane(const struct il_matte_chain *c, ptrdiff_t *stride)
{
	*stride = c->alpha.stride;
	return c->alpha.data;
}
