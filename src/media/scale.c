#include "media/scale.h"

#include <libyuv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/colour.h"
#include "media/recolour.h"
#include "media/shrink.h"

/* Planes of one size into another: axes that shrink are averaged first, then those that grow are interpolated. */
struct plane_scaler {
	int from_width, from_height, middle_width, middle_height, to_width, to_height;
	struct il_shrink *shrink; /* NULL: no axis shrinks */
	uint8_t *middle;          /* between the two steps, where both are needed */
};

struct il_scaler {
	struct inlay_frame_info from, to; /* of the parts below; alpha is left out */
	enum il_fit fit;
	struct inlay_rect crop, place; /* part of the source that is used; part of the target where it goes */
	bool border, scales, converts;
	struct plane_scaler whole, half; /* half: chroma */
	uint8_t *split;                  /* B, G and R as planes, of the crop and then of the place */
	struct inlay_frame *scaled;      /* not yet converted */
	struct inlay_frame *tile;        /* converted, at its own size */
	int *tile_x;                     /* which chroma sample of a tile comes at x */
	uint16_t *chroma;                /* scratch of il_i420_to_bgr */
	uint8_t *rows;                   /* of il_bgr_to_i420 */
	struct il_recolour recolour;
};

static bool is_bgr(const struct inlay_frame_info *info)
{
	return info->format == INLAY_PIX_BGR24;
}

static int min(int a, int b)
{
	return a < b ? a : b;
}

static int half_of(int size)
{
	return (size + 1) / 2;
}

static enum inlay_err plane_scaler_init(struct plane_scaler *s, int from_width, int from_height, int to_width,
                                        int to_height, struct inlay_error *err)
{
	s->from_width = from_width;
	s->from_height = from_height;
	s->to_width = to_width;
	s->to_height = to_height;
	s->middle_width = min(from_width, to_width);
	s->middle_height = min(from_height, to_height);
	bool shrinks = s->middle_width < from_width || s->middle_height < from_height;
	bool grows = s->middle_width < to_width || s->middle_height < to_height;
	if (shrinks && grows && !(s->middle = malloc((size_t)s->middle_width * (size_t)s->middle_height)))
		return il_fail_memory(err);
	if (!shrinks)
		return INLAY_OK;
	return il_shrink_create(&s->shrink, from_width, from_height, s->middle_width, s->middle_height, err);
}

static void plane_scaler_clear(struct plane_scaler *s)
{
	il_shrink_destroy(&s->shrink);
	free(s->middle);
}

static void scale_plane(const struct plane_scaler *s, const uint8_t *from, ptrdiff_t from_stride, uint8_t *to,
                        ptrdiff_t to_stride)
{
	if (s->shrink && !s->middle) {
		il_shrink_run(s->shrink, to, to_stride, from, from_stride);
		return;
	}
	if (s->shrink) {
		il_shrink_run(s->shrink, s->middle, s->middle_width, from, from_stride);
		from = s->middle;
		from_stride = s->middle_width;
	}
	ScalePlane(from, (int)from_stride, s->middle_width, s->middle_height, to, (int)to_stride, s->to_width,
	           s->to_height, kFilterBilinear);
}

static void scale_i420(const struct il_scaler *s, const struct inlay_planes *from, const struct inlay_planes *to)
{
	for (int i = 0; i < 3; i++)
		scale_plane(i ? &s->half : &s->whole, from->data[i], from->stride[i], to->data[i], to->stride[i]);
}

static void scale_bgr(const struct il_scaler *s, const struct inlay_planes *from, const struct inlay_planes *to)
{
	const struct plane_scaler *p = &s->whole;
	size_t from_size = (size_t)p->from_width * (size_t)p->from_height;
	size_t to_size = (size_t)p->to_width * (size_t)p->to_height;
	uint8_t *a = s->split, *b = s->split + 3 * from_size;
	SplitRGBPlane(from->data[0], (int)from->stride[0], a, p->from_width, a + from_size, p->from_width,
	              a + 2 * from_size, p->from_width, p->from_width, p->from_height);
	for (size_t i = 0; i < 3; i++)
		scale_plane(p, a + i * from_size, p->from_width, b + i * to_size, p->to_width);
	MergeRGBPlane(b, p->to_width, b + to_size, p->to_width, b + 2 * to_size, p->to_width, to->data[0],
	              (int)to->stride[0], p->to_width, p->to_height);
}

static void scale(const struct il_scaler *s, const struct inlay_planes *from, const struct inlay_planes *to)
{
	if (is_bgr(&s->from))
		scale_bgr(s, from, to);
	else
		scale_i420(s, from, to);
}

static void i420_to_bgr(const struct il_scaler *s, const struct inlay_planes *from, const struct inlay_planes *to,
                        int width, int height)
{
	const struct inlay_frame_info info = { INLAY_PIX_I420, width, height, s->from.colour };
	il_i420_to_bgr(to->data[0], to->stride[0], &info, from, (struct inlay_rect){ 0, 0, width, height }, s->chroma);
}

static void bgr_to_i420(const struct il_scaler *s, const struct inlay_planes *from, const struct inlay_planes *to,
                        int width, int height)
{
	const struct inlay_frame_info info = { INLAY_PIX_I420, width, height, s->to.colour };
	il_bgr_to_i420(&info, to, from->data[0], from->stride[0], s->rows);
}

static void convert(const struct il_scaler *s, const struct inlay_planes *from, const struct inlay_planes *to,
                    int width, int height)
{
	if (is_bgr(&s->to))
		i420_to_bgr(s, from, to, width, height);
	else if (is_bgr(&s->from))
		bgr_to_i420(s, from, to, width, height);
	else
		il_recolour_planes(&s->recolour, from, to, width, height);
}

/* Rows of pixels of `bytes` bytes, repeated every `width` pixels and `height` rows. */
static void tile_plane(const uint8_t *from, ptrdiff_t from_stride, int width, int height, uint8_t *to,
                       ptrdiff_t to_stride, int to_width, int to_height, size_t bytes)
{
	for (int y = 0; y < to_height; y++)
		for (int x = 0; x < to_width; x += width)
			memcpy(to + y * to_stride + (size_t)x * bytes, from + y % height * from_stride,
			       (size_t)min(width, to_width - x) * bytes);
}

/* Tiles of odd size begin in the middle of a chroma sample: each sample comes from where its first pixel does. */
static void tile_chroma(const struct il_scaler *s, const uint8_t *from, ptrdiff_t from_stride, uint8_t *to,
                        ptrdiff_t to_stride)
{
	for (int y = 0; y < half_of(s->to.height); y++) {
		const uint8_t *row = from + 2 * y % s->from.height / 2 * from_stride;
		for (int x = 0; x < half_of(s->to.width); x++)
			to[x] = row[s->tile_x[x]];
		to += to_stride;
	}
}

static void tile(const struct il_scaler *s, const struct inlay_planes *from, const struct inlay_planes *to)
{
	tile_plane(from->data[0], from->stride[0], s->from.width, s->from.height, to->data[0], to->stride[0],
	           s->to.width, s->to.height, is_bgr(&s->to) ? 3 : 1);
	for (int i = 1; i < 3 && !is_bgr(&s->to); i++)
		tile_chroma(s, from->data[i], from->stride[i], to->data[i], to->stride[i]);
}

static void paint_black(const struct il_scaler *s, const struct inlay_planes *planes)
{
	uint8_t luma = is_bgr(&s->to) || s->to.colour.range == INLAY_RANGE_FULL ? 0 : 16;
	for (int i = 0; i < il_plane_count(s->to.format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(&s->to, i, &row_bytes, &rows);
		for (int y = 0; y < rows; y++)
			memset(planes->data[i] + y * planes->stride[i], i ? 128 : luma, row_bytes);
	}
}

/* The planes from the corner of `rect` on. */
static struct inlay_planes part_of(const struct inlay_planes *planes, const struct inlay_frame_info *info,
                                   const struct inlay_rect *rect)
{
	struct inlay_planes part = *planes;
	part.data[0] += rect->y0 * part.stride[0] + (is_bgr(info) ? 3 : 1) * rect->x0;
	for (int i = 1; i < 3 && !is_bgr(info); i++)
		part.data[i] += rect->y0 / 2 * part.stride[i] + rect->x0 / 2;
	return part;
}

static void run_tile(const struct il_scaler *s, const struct inlay_planes *from, const struct inlay_planes *to)
{
	if (!s->converts) {
		tile(s, from, to);
		return;
	}
	struct inlay_planes converted;
	inlay_frame_map(s->tile, &converted);
	convert(s, from, &converted, s->from.width, s->from.height);
	tile(s, &converted, to);
	inlay_frame_unmap(s->tile);
}

static void run_scaled(const struct il_scaler *s, const struct inlay_planes *from, const struct inlay_planes *to)
{
	struct inlay_planes source = part_of(from, &s->from, &s->crop), scaled;
	struct inlay_planes target = part_of(to, &s->to, &s->place);
	int width = s->place.x1 - s->place.x0, height = s->place.y1 - s->place.y0;
	if (s->border)
		paint_black(s, to);
	if (!s->converts) {
		scale(s, &source, &target);
	} else if (!s->scales) {
		convert(s, &source, &target, width, height);
	} else {
		inlay_frame_map(s->scaled, &scaled);
		scale(s, &source, &scaled);
		convert(s, &scaled, &target, width, height);
		inlay_frame_unmap(s->scaled);
	}
}

static bool has_shape(const struct inlay_frame *frame, const struct inlay_frame_info *info)
{
	const struct inlay_frame_info *is = inlay_frame_info(frame);
	bool bgr = is->format == INLAY_PIX_BGR24 || is->format == INLAY_PIX_BGR24A8;
	return is->width == info->width && is->height == info->height && bgr == is_bgr(info) &&
	       (bgr || is->format == INLAY_PIX_I420 || is->format == INLAY_PIX_YUVA420P);
}

enum inlay_err il_scaler_run(struct il_scaler *s, const struct inlay_frame *from, const struct inlay_frame *to,
                             struct inlay_error *err)
{
	if (!has_shape(from, &s->from) || !has_shape(to, &s->to))
		return il_fail(
			err, INLAY_ERR_INVALID, "a scaler from %dx%d to %dx%d got %dx%d and %dx%d, or another format",
			s->from.width, s->from.height, s->to.width, s->to.height, inlay_frame_info(from)->width,
			inlay_frame_info(from)->height, inlay_frame_info(to)->width, inlay_frame_info(to)->height);
	struct inlay_planes source, target;
	inlay_frame_map(from, &source);
	inlay_frame_map(to, &target);
	if (s->fit == IL_FIT_TILE)
		run_tile(s, &source, &target);
	else
		run_scaled(s, &source, &target);
	inlay_frame_unmap(to);
	inlay_frame_unmap(from);
	return INLAY_OK;
}

/* As much of `limit` as keeps the proportion a : b to `other`; 4:2:0 needs even numbers. */
static int proportional(int other, int a, int b, int limit, bool even)
{
	int64_t size = ((int64_t)other * a + b / 2) / b;
	if (size >= limit)
		return limit;
	if (even)
		return size < 2 ? 2 : (int)size & ~1;
	return size < 1 ? 1 : (int)size;
}

static struct inlay_rect centred(int width, int height, int in_width, int in_height, bool even)
{
	int x = (in_width - width) / 2, y = (in_height - height) / 2;
	if (even) {
		x &= ~1;
		y &= ~1;
	}
	return (struct inlay_rect){ x, y, x + width, y + height };
}

static void lay_out(struct il_scaler *s)
{
	int w = s->from.width, h = s->from.height, to_w = s->to.width, to_h = s->to.height;
	bool wider = (int64_t)w * to_h > (int64_t)to_w * h; /* the picture than the target */
	s->crop = (struct inlay_rect){ 0, 0, w, h };
	s->place = (struct inlay_rect){ 0, 0, to_w, to_h };
	if (s->fit == IL_FIT_FIT) {
		bool even = !is_bgr(&s->to);
		int width = wider ? to_w : proportional(to_h, w, h, to_w, even);
		int height = wider ? proportional(to_w, h, w, to_h, even) : to_h;
		s->place = centred(width, height, to_w, to_h, even);
		s->border = width < to_w || height < to_h;
	} else if (s->fit == IL_FIT_FILL) {
		bool even = !is_bgr(&s->from);
		int width = wider ? proportional(h, to_w, to_h, w, even) : w;
		int height = wider ? h : proportional(w, to_h, to_w, h, even);
		s->crop = centred(width, height, w, h, even);
	}
}

static enum inlay_err make_planes(struct il_scaler *s, struct inlay_error *err)
{
	int from_width = s->crop.x1 - s->crop.x0, from_height = s->crop.y1 - s->crop.y0;
	int to_width = s->place.x1 - s->place.x0, to_height = s->place.y1 - s->place.y0;
	s->scales = from_width != to_width || from_height != to_height;
	enum inlay_err rc = plane_scaler_init(&s->whole, from_width, from_height, to_width, to_height, err);
	if (!rc)
		rc = plane_scaler_init(&s->half, half_of(from_width), half_of(from_height), half_of(to_width),
		                       half_of(to_height), err);
	if (!rc && s->converts && s->scales) {
		struct inlay_frame_info info = s->from;
		info.width = to_width;
		info.height = to_height;
		rc = il_frame_create(&s->scaled, &info, err);
	}
	if (rc || !is_bgr(&s->from))
		return rc;
	size_t pixels = (size_t)from_width * (size_t)from_height + (size_t)to_width * (size_t)to_height;
	s->split = malloc(3 * pixels);
	return s->split ? INLAY_OK : il_fail_memory(err);
}

static enum inlay_err make_tile(struct il_scaler *s, struct inlay_error *err)
{
	struct inlay_frame_info info = s->to;
	info.width = s->from.width;
	info.height = s->from.height;
	s->tile_x = malloc((size_t)half_of(s->to.width) * sizeof *s->tile_x);
	if (!s->tile_x)
		return il_fail_memory(err);
	for (int x = 0; x < half_of(s->to.width); x++)
		s->tile_x[x] = 2 * x % s->from.width / 2;
	return s->converts ? il_frame_create(&s->tile, &info, err) : INLAY_OK;
}

static enum inlay_err take_format(struct inlay_frame_info *to, const struct inlay_frame_info *info,
                                  struct inlay_error *err)
{
	*to = *info;
	if (info->width < 1 || info->height < 1 || info->width > 32768 || info->height > 32768)
		return il_fail(err, INLAY_ERR_INVALID, "cannot scale %dx%d (1..32768 each way)", info->width,
		               info->height);
	switch (info->format) {
	case INLAY_PIX_I420:
	case INLAY_PIX_YUVA420P: to->format = INLAY_PIX_I420; return INLAY_OK;
	case INLAY_PIX_BGR24:
	case INLAY_PIX_BGR24A8: to->format = INLAY_PIX_BGR24; return INLAY_OK;
	default:
		return il_fail(err, INLAY_ERR_INVALID, "cannot scale %s, expected i420, yuva420p, bgr24 or bgr24a8",
		               il_pixfmt_name(info->format));
	}
}

static enum inlay_err prepare(struct il_scaler *s, const struct inlay_frame_info *from,
                              const struct inlay_frame_info *to, struct inlay_error *err)
{
	enum inlay_err rc = take_format(&s->from, from, err);
	if (!rc)
		rc = take_format(&s->to, to, err);
	if (rc)
		return rc;
	s->converts =
		is_bgr(&s->from) != is_bgr(&s->to) || (!is_bgr(&s->from) && !il_same_yuv(&from->colour, &to->colour));
	il_recolour_init(&s->recolour, &from->colour, &to->colour);
	lay_out(s);
	rc = s->fit == IL_FIT_TILE ? make_tile(s, err) : make_planes(s, err);
	if (rc || (!is_bgr(&s->from) && !is_bgr(&s->to)))
		return rc;
	int widest = from->width > to->width ? from->width : to->width;
	s->chroma = malloc(IL_CHROMA_SCRATCH(widest) * sizeof *s->chroma);
	s->rows = malloc(IL_BGR_SCRATCH(widest));
	return s->chroma && s->rows ? INLAY_OK : il_fail_memory(err);
}

enum inlay_err il_scaler_create(struct il_scaler **out, const struct inlay_frame_info *from,
                                const struct inlay_frame_info *to, enum il_fit fit, struct inlay_error *err)
{
	struct il_scaler *scaler = calloc(1, sizeof *scaler);
	if (!scaler)
		return il_fail_memory(err);
	scaler->fit = fit;
	enum inlay_err rc = prepare(scaler, from, to, err);
	if (rc)
		il_scaler_destroy(&scaler);
	else
		*out = scaler;
	return rc;
}

void il_scaler_destroy(struct il_scaler **slot)
{
	struct il_scaler *scaler = *slot;
	if (!scaler)
		return;
	*slot = NULL;
	plane_scaler_clear(&scaler->whole);
	plane_scaler_clear(&scaler->half);
	inlay_frame_destroy(&scaler->scaled);
	inlay_frame_destroy(&scaler->tile);
	free(scaler->split);
	free(scaler->tile_x);
	free(scaler->chroma);
	free(scaler->rows);
	free(scaler);
}
