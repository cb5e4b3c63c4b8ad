/* Taking the old background's share out of the colours of a half transparent subject. */
#include "kernel/colour.h"
#include "composite/matte_impl.h"
#include "kernel/blur.h"

#define MAX_GAIN 8
#define GAIN_UNIT 4096

/* What is done to samples x0 <= x < x1 of row y of component i, for the samples of `alpha` that are neither 0 nor 255.
 */
struct span {
	int i, x0, x1, y;
	uint8_t *to;
	int step;
	const uint8_t *alpha;
};
typedef void row_fn(void *work, int i, int y);
typedef void span_fn(void *work, const struct span *span);

static bool any_mixed(const uint8_t *classes, int n)
{
	for (int i = 0; i < n; i++)
		if (classes[i] == IL_ALPHA_MIXED)
			return true;
	return false;
}

/* One component: `begin` for each row that has a tile of mixed alpha, `work_on` for each of its tiles. */
static void visit_component(const struct il_matte_chain *c, const struct inlay_planes *planes, int i, row_fn *begin,
                            span_fn *work_on, void *work)
{
	const struct il_matte_component to = il_matte_component(c, planes, i);
	const bool chroma = il_matte_is_chroma(c, i);
	const struct il_matte_plane alpha = chroma ? c->chroma_alpha : c->alpha;
	const int width = il_matte_shrunk(c, i, c->info.width), height = il_matte_shrunk(c, i, c->info.height);
	const int tile_width = chroma ? IL_TILE_WIDTH / 2 : IL_TILE_WIDTH;
	const int tile_height = chroma ? IL_TILE_HEIGHT / 2 : IL_TILE_HEIGHT;
	for (int y = 0; y < height; y++) {
		const uint8_t *classes = c->classes + (ptrdiff_t)(y / tile_height) * c->tiles_across;
		if (!any_mixed(classes, c->tiles_across))
			continue;
		if (begin)
			begin(work, i, y);
		struct span span = { .i = i,
			             .y = y,
			             .to = to.data + y * to.stride,
			             .step = to.step,
			             .alpha = alpha.data + y * alpha.stride };
		for (int tile = 0; tile < c->tiles_across; tile++) {
			if (classes[tile] != IL_ALPHA_MIXED)
				continue;
			span.x0 = tile * tile_width;
			span.x1 = span.x0 + tile_width < width ? span.x0 + tile_width : width;
			work_on(work, &span);
		}
	}
}

static uint8_t clip(int value)
{
	return (uint8_t)(value < 0 ? 0 : value < 255 ? value : 255);
}

/* --- clean ---------------------------------------------------------------------------------------------------------
 */

struct clean {
	const struct il_matte_chain *chain;
	const struct il_clean_foreground *fg;
	float weights[3][3];   /* of the differences in B, G, R, by component */
	float *rows[2], *both; /* of differences at the network's size: row y in rows[y % 2]; and between two */
	int in_rows[2];        /* which */
};

/* Position of sample i among n, in units of the m that lie under the same length: between which two, and the part. */
static int find_between(int i, double scale, int m, float *part)
{
	double at = (i + 0.5) * scale - 0.5;
	at = at < 0 ? 0 : at < m - 1 ? at : m - 1;
	int first = (int)at;
	*part = (float)(at - first);
	return first;
}

static float clip_unit(float v)
{
	return v > 0.0f ? v < 1.0f ? v : 1.0f : 0.0f;
}

/* Row y of the network's pictures as a difference in component i. */
static const float *difference_row(struct clean *w, int i, int y)
{
	float *out = w->rows[y % 2];
	if (w->in_rows[y % 2] == y)
		return out;
	w->in_rows[y % 2] = y;
	const struct il_clean_foreground *fg = w->fg;
	const float *weights = w->weights[i];
	const uint8_t *seen = fg->bgr + y * fg->bgr_stride;
	for (int x = 0; x < fg->width; x++) {
		ptrdiff_t at = ((ptrdiff_t)y * fg->width + x) * fg->step;
		float sum = 0.0f;
		for (int k = 0; k < 3; k++)
			sum += weights[k] * (255.0f * clip_unit(fg->planes[k][at]) - (float)seen[3 * x + k]);
		out[x] = sum;
	}
	return out;
}

/* Samples of component i in those of the network, each way. */
static double scale_of(const struct il_matte_chain *c, int i, int mask, int frame)
{
	return (double)mask * (il_matte_is_chroma(c, i) ? 2 : 1) / frame;
}

static void clean_row(void *work, int i, int y)
{
	struct clean *w = work;
	const struct il_clean_foreground *fg = w->fg;
	float part;
	int first = find_between(y, scale_of(w->chain, i, fg->height, w->chain->info.height), fg->height, &part);
	const float *a = difference_row(w, i, first);
	const float *b = difference_row(w, i, first + 1 < fg->height ? first + 1 : first);
	for (int x = 0; x < fg->width; x++)
		w->both[x] = a[x] + (b[x] - a[x]) * part;
}

static void clean_span(void *work, const struct span *s)
{
	const struct clean *w = work;
	const int n = w->fg->width;
	const double scale = scale_of(w->chain, s->i, n, w->chain->info.width);
	for (int x = s->x0; x < s->x1; x++) {
		if (s->alpha[x] == 0 || s->alpha[x] == 255)
			continue;
		float part;
		int first = find_between(x, scale, n, &part);
		const float *d = w->both + first;
		float change = d[0] + (d[first + 1 < n] - d[0]) * part;
		uint8_t *to = s->to + (ptrdiff_t)x * s->step;
		*to = clip((int)((float)*to + change + 512.5f) - 512); /* away from 0, where casts turn round */
	}
}

static void clean_weights(struct clean *w)
{
	struct il_bgr_to_yuv to;
	il_bgr_to_yuv_weights(w->chain->info.colour, &to);
	const int16_t *weights[3] = { to.y, to.u, to.v };
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 3; k++)
			w->weights[i][k] =
				il_matte_is_bgr(w->chain) ? (float)(i == k) : (float)weights[i][k] / 32768.0f;
}

enum inlay_err il_matte_chain_clean(struct il_matte_chain *c, struct inlay_frame *frame,
                                    const struct il_clean_foreground *fg, struct inlay_error *err)
{
	enum inlay_err rc = il_matte_check_frame(c, frame, err);
	if (rc)
		return rc;
	if (fg->width != c->mask_width || fg->height != c->mask_height)
		return il_fail(err, INLAY_ERR_INVALID, "foreground of %dx%d: expected the mask's size, %dx%d",
		               fg->width, fg->height, c->mask_width, c->mask_height);
	struct clean w = { .chain = c, .fg = fg };
	w.rows[0] = c->differences;
	w.rows[1] = w.rows[0] + fg->width;
	w.both = w.rows[1] + fg->width;
	clean_weights(&w);
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < 3; i++) {
		w.in_rows[0] = w.in_rows[1] = -1;
		visit_component(c, &planes, i, clean_row, clean_span, &w);
	}
	inlay_frame_unmap(frame);
	return INLAY_OK;
}

/* --- unmix ---------------------------------------------------------------------------------------------------------
 */

struct unmix {
	const struct il_matte_chain *chain;
	const struct inlay_planes *plate;
	int gains[256]; /* by alpha */
};

static void unmix_span(void *work, const struct span *s)
{
	const struct unmix *w = work;
	const struct il_matte_component plate = il_matte_component(w->chain, w->plate, s->i);
	const uint8_t *behind = plate.data + s->y * plate.stride;
	for (int x = s->x0; x < s->x1; x++) {
		if (s->alpha[x] == 0 || s->alpha[x] == 255)
			continue;
		uint8_t *to = s->to + (ptrdiff_t)x * s->step;
		int p = behind[x * s->step], more = (*to - p) * w->gains[s->alpha[x]];
		*to = clip(p + (more + (more < 0 ? -GAIN_UNIT : GAIN_UNIT) / 2) / GAIN_UNIT);
	}
}

enum inlay_err il_matte_chain_unmix(struct il_matte_chain *c, struct inlay_frame *frame,
                                    const struct inlay_planes *plate, struct inlay_error *err)
{
	enum inlay_err rc = il_matte_check_frame(c, frame, err);
	if (rc)
		return rc;
	struct unmix w = { .chain = c, .plate = plate };
	for (int alpha = 1; alpha < 256; alpha++) {
		int gain = (255 * GAIN_UNIT + alpha / 2) / alpha;
		w.gains[alpha] = gain < MAX_GAIN * GAIN_UNIT ? gain : MAX_GAIN * GAIN_UNIT;
	}
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < 3; i++)
		visit_component(c, &planes, i, NULL, unmix_span, &w);
	inlay_frame_unmap(frame);
	return INLAY_OK;
}

/* --- estimate ------------------------------------------------------------------------------------------------------
 */

#define SURE 192 /* alpha from which on colours count as the subject's, the more the nearer to 255 */

/* What the blur leaves out, as an alpha of its own: 255 where nothing is sure. */
static uint8_t leave_out(int alpha)
{
	return (uint8_t)(alpha <= SURE ? 255 : 255 - (alpha - SURE) * 255 / (255 - SURE));
}

static void weigh(struct il_matte_chain *c)
{
	for (int alpha = 0; alpha < 256; alpha++)
		c->unsure_table[alpha] = leave_out(alpha);
	for (int i = 0; i < c->tiles_across * c->tiles_down; i++)
		c->unsure_classes[i] = c->classes[i] == IL_ALPHA_FULL    ? IL_ALPHA_EMPTY
		                       : c->classes[i] == IL_ALPHA_EMPTY ? IL_ALPHA_FULL
		                                                         : IL_ALPHA_MIXED;
}

static struct inlay_rect mixed_tiles(const struct il_matte_chain *c)
{
	struct inlay_rect r = { c->tiles_across, c->tiles_down, 0, 0 };
	for (int y = 0; y < c->tiles_down; y++)
		for (int x = 0; x < c->tiles_across; x++)
			if (c->classes[y * c->tiles_across + x] == IL_ALPHA_MIXED) {
				r.x0 = x < r.x0 ? x : r.x0;
				r.y0 = y < r.y0 ? y : r.y0;
				r.x1 = x + 1 > r.x1 ? x + 1 : r.x1;
				r.y1 = y + 1;
			}
	return r;
}

static int at_most(int value, int limit)
{
	return value < limit ? value : limit;
}

/* All of a sample up to half transparency, none of it where alpha is 0 or 255. */
static void go_over(const struct il_matte_component *to, const struct il_matte_plane *alpha,
                    const struct il_matte_plane *near, const struct il_blur_area *part)
{
	for (int y = 0; y < part->height; y++) {
		const uint8_t *a = alpha->data + (part->y + y) * alpha->stride + part->x;
		const uint8_t *colour = near->data + y * near->stride;
		uint8_t *out = to->data + (part->y + y) * to->stride + (ptrdiff_t)part->x * to->step;
		for (int x = 0; x < part->width; x++, out += to->step) {
			int share = a[x] ? at_most(2 * (255 - a[x]), 255) : 0;
			*out = (uint8_t)((*out * (255 - share) + colour[x] * share + 127) / 255);
		}
	}
}

/* One component, tile by tile: its sure colours, blurred, into `behind`, and from there into the frame. */
static void estimate_component(struct il_matte_chain *c, const struct inlay_planes *planes, int i,
                               const struct inlay_rect *mixed)
{
	const bool chroma = il_matte_is_chroma(c, i);
	const int width = il_matte_shrunk(c, i, c->info.width), height = il_matte_shrunk(c, i, c->info.height);
	const int tile_width = IL_TILE_WIDTH >> chroma, tile_height = IL_TILE_HEIGHT >> chroma;
	const struct il_matte_plane plane = il_matte_take_apart(c, planes, i, &c->split[i]);
	const struct il_matte_plane alpha = chroma ? c->chroma_alpha : c->alpha;
	const struct il_blur_area area = { mixed->x0 * tile_width, mixed->y0 * tile_height,
		                           at_most(mixed->x1 * tile_width, width) - mixed->x0 * tile_width,
		                           at_most(mixed->y1 * tile_height, height) - mixed->y0 * tile_height };
	const struct il_blur_params params = {
		.width = width,
		.height = height,
		.area = area,
		.sigma = (float)(chroma ? c->estimate_sigma / 2 : c->estimate_sigma),
		.coarse = chroma,
		.tiles = { c->unsure_classes, c->tiles_across, tile_width, tile_height },
	};
	struct il_masked_blur blur;
	il_mask_map(c->unsure.data, c->unsure.stride, alpha.data, alpha.stride, width, height, c->unsure_table);
	il_masked_blur_begin(&blur, plane.data, plane.stride, c->unsure.data, c->unsure.stride, &params,
	                     c->blur_scratch);
	const struct il_matte_component to = il_matte_component(c, planes, i);
	const struct il_matte_plane *near = &c->behind[i];
	for (int ty = mixed->y0; ty < mixed->y1; ty++)
		for (int tx = mixed->x0; tx < mixed->x1; tx++) {
			if (c->classes[ty * c->tiles_across + tx] != IL_ALPHA_MIXED)
				continue;
			const struct il_blur_area part = { tx * tile_width, ty * tile_height,
				                           at_most(tile_width, width - tx * tile_width),
				                           at_most(tile_height, height - ty * tile_height) };
			il_masked_blur_part(&blur, near->data, near->stride, &part);
			go_over(&to, &alpha, near, &part);
		}
}

enum inlay_err il_matte_chain_estimate(struct il_matte_chain *c, struct inlay_frame *frame, struct inlay_error *err)
{
	enum inlay_err rc = il_matte_check_frame(c, frame, err);
	const struct inlay_rect mixed = mixed_tiles(c);
	if (rc || !mixed.x1)
		return rc;
	struct inlay_planes planes;
	weigh(c);
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < 3; i++)
		estimate_component(c, &planes, i, &mixed);
	inlay_frame_unmap(frame);
	return INLAY_OK;
}
