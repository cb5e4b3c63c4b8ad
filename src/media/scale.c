#include "media/scale.h"

#include <libyuv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/colour.h"

/* A part of a picture; x and y are even, so that it begins with a chroma sample. */
struct part {
	int x, y, width, height;
};

struct il_scaler {
	struct inlay_frame_info from, to;
	enum il_fit fit;
	struct part source, target; /* what becomes what; with TILE both have one size, and the target repeats */
	bool scales, converts;
	struct inlay_frame *scaled;     /* between scaling and converting */
	struct inlay_frame *bgr;        /* between one YCbCr and another */
	struct inlay_frame *colours[2]; /* of BGR before and after scaling: the planes of B, G, R under each other */
	uint16_t *chroma;               /* rows that conversions need */
	uint8_t *row;
};

/* A whole picture or a part of one: I420 or BGR24. */
struct picture {
	struct inlay_frame_info info;
	struct inlay_planes planes;
};

static bool is_bgr(enum inlay_pixfmt format)
{
	return format == INLAY_PIX_BGR24 || format == INLAY_PIX_BGR24A8;
}

static bool is_known(enum inlay_pixfmt format)
{
	return is_bgr(format) || format == INLAY_PIX_I420 || format == INLAY_PIX_YUVA420P;
}

/* Tags that mean one conversion. */
static bool same_colour(const struct inlay_frame_info *a, const struct inlay_frame_info *b)
{
	struct il_bgr_to_yuv x, y;
	if (is_bgr(a->format) || is_bgr(b->format))
		return is_bgr(a->format) && is_bgr(b->format);
	il_bgr_to_yuv_weights(a->colour, &x);
	il_bgr_to_yuv_weights(b->colour, &y);
	return !memcmp(x.y, y.y, sizeof x.y) && !memcmp(x.u, y.u, sizeof x.u) && !memcmp(x.v, y.v, sizeof x.v) &&
	       x.y_offset == y.y_offset;
}

/* size * numerator / denominator, at least 1 and at most `most`. */
static int share(int size, int64_t numerator, int64_t denominator, int most)
{
	int64_t result = (size * numerator + denominator / 2) / denominator;
	return result < 1 ? 1 : result > most ? most : (int)result;
}

static int middle(int whole, int part)
{
	return (whole - part) / 2 & ~1;
}

static void lay_out(struct il_scaler *s)
{
	const int from_w = s->from.width, from_h = s->from.height, to_w = s->to.width, to_h = s->to.height;
	const bool wider = (int64_t)from_w * to_h > (int64_t)to_w * from_h; /* than the target */
	s->source = (struct part){ 0, 0, from_w, from_h };
	s->target = (struct part){ 0, 0, to_w, to_h };
	if (s->fit == IL_FIT_FIT) {
		if (wider)
			s->target.height = share(from_h, to_w, from_w, to_h);
		else
			s->target.width = share(from_w, to_h, from_h, to_w);
		s->target.x = middle(to_w, s->target.width);
		s->target.y = middle(to_h, s->target.height);
	} else if (s->fit == IL_FIT_FILL) {
		if (wider)
			s->source.width = share(to_w, from_h, to_h, from_w);
		else
			s->source.height = share(to_h, from_w, to_w, from_h);
		s->source.x = middle(from_w, s->source.width);
		s->source.y = middle(from_h, s->source.height);
	} else if (s->fit == IL_FIT_TILE) {
		s->source.width = s->target.width = from_w < to_w ? from_w : to_w;
		s->source.height = s->target.height = from_h < to_h ? from_h : to_h;
		/* A tile holds whole chroma samples. */
		s->source.width = s->target.width -= s->target.width > 1 ? s->target.width & 1 : 0;
		s->source.height = s->target.height -= s->target.height > 1 ? s->target.height & 1 : 0;
	}
	s->scales = s->source.width != s->target.width || s->source.height != s->target.height;
	s->converts = !same_colour(&s->from, &s->to);
}

static enum inlay_err take(struct inlay_frame **frame, enum inlay_pixfmt format, int width, int height,
                           struct inlay_colour colour, struct inlay_error *err)
{
	const struct inlay_frame_info info = { format, width, height, colour };
	return il_frame_create(frame, &info, err);
}

static enum inlay_err take_memory(struct il_scaler *s, struct inlay_error *err)
{
	const bool bgr = is_bgr(s->from.format);
	const struct part *from = &s->source, *to = &s->target;
	const struct inlay_colour colour = s->from.colour;
	enum inlay_err rc = INLAY_OK;
	if (s->scales && s->converts)
		rc = take(&s->scaled, bgr ? INLAY_PIX_BGR24 : INLAY_PIX_I420, to->width, to->height, colour, err);
	if (!rc && s->converts && !bgr && !is_bgr(s->to.format))
		rc = take(&s->bgr, INLAY_PIX_BGR24, to->width, to->height, colour, err);
	if (!rc && s->scales && bgr)
		rc = take(&s->colours[0], INLAY_PIX_GRAY8, from->width, 3 * from->height, colour, err);
	if (!rc && s->scales && bgr)
		rc = take(&s->colours[1], INLAY_PIX_GRAY8, to->width, 3 * to->height, colour, err);
	s->chroma = malloc(IL_CHROMA_SCRATCH(to->width) * sizeof *s->chroma);
	s->row = malloc(IL_BGR_SCRATCH(to->width));
	return rc ? rc : s->chroma && s->row ? INLAY_OK : il_fail_memory(err);
}

enum inlay_err il_scaler_create(struct il_scaler **out, const struct inlay_frame_info *from,
                                const struct inlay_frame_info *to, enum il_fit fit, struct inlay_error *err)
{
	*out = NULL;
	if (!is_known(from->format) || !is_known(to->format))
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "scaling %s into %s: expected I420 or BGR24",
		               il_pixfmt_name(from->format), il_pixfmt_name(to->format));
	if (from->width < 1 || from->height < 1 || to->width < 1 || to->height < 1)
		return il_fail(err, INLAY_ERR_INVALID, "scaling %dx%d into %dx%d: expected 1 at least", from->width,
		               from->height, to->width, to->height);
	struct il_scaler *s = calloc(1, sizeof *s);
	if (!s)
		return il_fail_memory(err);
	s->from = *from;
	s->to = *to;
	s->fit = fit;
	lay_out(s);
	enum inlay_err rc = take_memory(s, err);
	if (rc)
		il_scaler_destroy(&s);
	*out = s;
	return rc;
}

void il_scaler_destroy(struct il_scaler **slot)
{
	struct il_scaler *s = *slot;
	*slot = NULL;
	if (!s)
		return;
	inlay_frame_destroy(&s->scaled);
	inlay_frame_destroy(&s->bgr);
	inlay_frame_destroy(&s->colours[0]);
	inlay_frame_destroy(&s->colours[1]);
	free(s->chroma);
	free(s->row);
	free(s);
}

/* ---- pictures ---- */

static struct picture part_of(const struct inlay_frame_info *info, const struct inlay_planes *planes,
                              const struct part *part)
{
	struct picture p = { { INLAY_PIX_I420, part->width, part->height, info->colour }, { { NULL } } };
	if (is_bgr(info->format)) {
		p.info.format = INLAY_PIX_BGR24;
		p.planes.stride[0] = planes->stride[0];
		p.planes.data[0] = planes->data[0] + part->y * planes->stride[0] + 3 * (ptrdiff_t)part->x;
		return p;
	}
	for (int i = 0; i < 3; i++) {
		p.planes.stride[i] = planes->stride[i];
		p.planes.data[i] =
			planes->data[i] + (i ? part->y / 2 : part->y) * planes->stride[i] + (i ? part->x / 2 : part->x);
	}
	return p;
}

/* Host memory stays where it is between maps. */
static struct picture whole_of(const struct inlay_frame *frame)
{
	struct picture p = { .info = *inlay_frame_info(frame) };
	inlay_frame_map(frame, &p.planes);
	inlay_frame_unmap(frame);
	return p;
}

static void copy(const struct picture *from, const struct picture *to)
{
	for (int i = 0; i < il_plane_count(to->info.format); i++) {
		size_t bytes;
		int rows;
		il_plane_size(&to->info, i, &bytes, &rows);
		CopyPlane(from->planes.data[i], (int)from->planes.stride[i], to->planes.data[i],
		          (int)to->planes.stride[i], (int)bytes, rows);
	}
}

static void scale_bgr(struct il_scaler *s, const struct picture *from, const struct picture *to)
{
	const struct picture apart = whole_of(s->colours[0]), small = whole_of(s->colours[1]);
	uint8_t *big[3], *little[3];
	const int a = (int)apart.planes.stride[0], b = (int)small.planes.stride[0];
	for (int c = 0; c < 3; c++) {
		big[c] = apart.planes.data[0] + (ptrdiff_t)c * from->info.height * a;
		little[c] = small.planes.data[0] + (ptrdiff_t)c * to->info.height * b;
	}
	SplitRGBPlane(from->planes.data[0], (int)from->planes.stride[0], big[0], a, big[1], a, big[2], a,
	              from->info.width, from->info.height);
	for (int c = 0; c < 3; c++)
		ScalePlane(big[c], a, from->info.width, from->info.height, little[c], b, to->info.width,
		           to->info.height, kFilterBox);
	MergeRGBPlane(little[0], b, little[1], b, little[2], b, to->planes.data[0], (int)to->planes.stride[0],
	              to->info.width, to->info.height);
}

/* To another size. libyuv takes the mean of what becomes one pixel, and interpolates where a picture grows. */
static void scale(struct il_scaler *s, const struct picture *from, const struct picture *to)
{
	if (to->info.format == INLAY_PIX_BGR24) {
		scale_bgr(s, from, to);
		return;
	}
	for (int i = 0; i < 3; i++) {
		size_t from_width, width;
		int from_rows, rows;
		il_plane_size(&from->info, i, &from_width, &from_rows);
		il_plane_size(&to->info, i, &width, &rows);
		ScalePlane(from->planes.data[i], (int)from->planes.stride[i], (int)from_width, from_rows,
		           to->planes.data[i], (int)to->planes.stride[i], (int)width, rows, kFilterBox);
	}
}

/* To another format or colour. */
static void convert(struct il_scaler *s, const struct picture *from, const struct picture *to)
{
	const struct picture *bgr = is_bgr(from->info.format) ? from : to, via = s->bgr ? whole_of(s->bgr) : *to;
	if (s->bgr)
		bgr = &via;
	if (bgr != from)
		il_i420_to_bgr(bgr->planes.data[0], bgr->planes.stride[0], &from->info, &from->planes,
		               (struct inlay_rect){ 0, 0, from->info.width, from->info.height }, s->chroma);
	if (bgr != to)
		il_bgr_to_i420(&to->info, &to->planes, bgr->planes.data[0], bgr->planes.stride[0], s->row);
}

/* ---- what the fit leaves to do ---- */

static void blacken(const struct picture *to, int x0, int y0, int x1, int y1)
{
	if (x0 >= x1 || y0 >= y1)
		return;
	if (to->info.format == INLAY_PIX_BGR24) {
		for (int y = y0; y < y1; y++)
			memset(to->planes.data[0] + y * to->planes.stride[0] + 3 * x0, 0, 3 * (size_t)(x1 - x0));
		return;
	}
	const int black = to->info.colour.range == INLAY_RANGE_FULL ? 0 : 16;
	for (int i = 0; i < 3; i++)
		for (int y = i ? y0 / 2 : y0; y < (i ? (y1 + 1) / 2 : y1); y++) {
			int left = i ? x0 / 2 : x0, right = i ? (x1 + 1) / 2 : x1;
			memset(to->planes.data[i] + y * to->planes.stride[i] + left, i ? 128 : black,
			       (size_t)(right - left));
		}
}

/* A bar begins with the chroma sample behind the picture's last one. */
static void add_bars(const struct il_scaler *s, const struct picture *to)
{
	const struct part *p = &s->target;
	const int right = p->x + p->width + (p->width & 1), bottom = p->y + p->height + (p->height & 1);
	blacken(to, 0, 0, p->x, to->info.height);
	blacken(to, right, 0, to->info.width, to->info.height);
	blacken(to, 0, 0, to->info.width, p->y);
	blacken(to, 0, bottom, to->info.width, to->info.height);
}

/* Repeats what stands in the upper left corner: to the right, then downwards. */
static void repeat(const struct il_scaler *s, const struct picture *to)
{
	for (int i = 0; i < il_plane_count(to->info.format); i++) {
		const bool chroma = i && to->info.format == INLAY_PIX_I420;
		const size_t unit = to->info.format == INLAY_PIX_BGR24 ? 3 : 1;
		const size_t tile = unit * (size_t)(chroma ? (s->target.width + 1) / 2 : s->target.width);
		const int tile_rows = chroma ? (s->target.height + 1) / 2 : s->target.height;
		size_t bytes;
		int rows;
		il_plane_size(&to->info, i, &bytes, &rows);
		for (int y = 0; y < rows; y++) {
			uint8_t *row = to->planes.data[i] + y * to->planes.stride[i];
			if (y >= tile_rows) {
				memcpy(row, row - tile_rows * to->planes.stride[i], bytes);
				continue;
			}
			for (size_t x = tile; x < bytes; x++)
				row[x] = row[x - tile];
		}
	}
}

static bool has_shape(const struct inlay_frame *frame, const struct inlay_frame_info *info)
{
	const struct inlay_frame_info *found = inlay_frame_info(frame);
	return found->format == info->format && found->width == info->width && found->height == info->height;
}

enum inlay_err il_scaler_run(struct il_scaler *s, const struct inlay_frame *from, const struct inlay_frame *to,
                             struct inlay_error *err)
{
	if (!has_shape(from, &s->from) || !has_shape(to, &s->to))
		return il_fail(err, INLAY_ERR_INVALID, "scaling %s %dx%d into %s %dx%d: other frames were announced",
		               il_pixfmt_name(inlay_frame_info(from)->format), inlay_frame_info(from)->width,
		               inlay_frame_info(from)->height, il_pixfmt_name(inlay_frame_info(to)->format),
		               inlay_frame_info(to)->width, inlay_frame_info(to)->height);
	struct inlay_planes source, target;
	inlay_frame_map(from, &source);
	inlay_frame_map(to, &target);
	const struct picture in = part_of(&s->from, &source, &s->source), out = part_of(&s->to, &target, &s->target);
	const struct part all = { 0, 0, s->to.width, s->to.height };
	const struct picture whole = part_of(&s->to, &target, &all);
	struct picture now = in;
	if (s->scales) {
		now = s->converts ? whole_of(s->scaled) : out;
		scale(s, &in, &now);
	}
	if (s->converts)
		convert(s, &now, &out);
	else if (!s->scales)
		copy(&in, &out);
	if (s->fit == IL_FIT_FIT)
		add_bars(s, &whole);
	else if (s->fit == IL_FIT_TILE)
		repeat(s, &whole);
	inlay_frame_unmap(to);
	inlay_frame_unmap(from);
	return INLAY_OK;
}
