/* Pairs (value * weight, weight) of 16 bits, at reduced size where sigma allows, go through the boxes together; their
 * quotient is scaled up again. What has little weight leans on a coarse picture of the background that has no holes.
 */
#include <math.h>
#include <string.h>

#include "kernel/blur.h"
#include "kernel/blur_kernels.h"
#include "kernel/kernel.h"

#define PASSES 3
#define ALIGN 64
#define MAX_LEVEL 3
#define MIN_SIGMA 1.5f /* after scaling down */
#define CELL 8         /* pairs a side of a square of the coarse picture */
#define PAIR_SIZE 4    /* bytes */
#define STRIP_STEP (IL_PAIR_LANES * PAIR_SIZE)
#define NEUTRAL 128.0f
#define ROW_PAD 32 /* values at the end of a row: cells that it cuts, and what expand_row reads */

/* Of the coarse picture: sums of a pair over a square, then the mean colour. */
struct cell {
	float value, weight;
};

struct work {
	const struct il_blur_kernels *kernels;
	struct il_box_weights box;
	int level;
	int x, y, width, height; /* in pairs: the area with all that has influence on it */
	uint16_t *pairs;
	ptrdiff_t pairs_stride; /* bytes */
	uint16_t *strips[2];
	uint16_t *means;        /* units of 1/64; one more on either side of a row */
	ptrdiff_t means_stride; /* values */
	uint16_t *row;
	uint8_t *out;
	struct cell *cells;
	float *cell_row;
};

static size_t align_up(size_t n)
{
	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static int ceil_shift(int n, int shift)
{
	return (n + (1 << shift) - 1) >> shift;
}

static size_t count_cells(int width, int height)
{
	size_t n = 0;
	int w = (width + CELL - 1) / CELL, h = (height + CELL - 1) / CELL;
	for (; w > 1 || h > 1; w = ceil_shift(w, 1), h = ceil_shift(h, 1))
		n += (size_t)w * (size_t)h;
	return n + 1;
}

/* Memory given out piece by piece; without a base it is only counted. */
struct arena {
	uint8_t *base;
	size_t used;
};

static void *take(struct arena *arena, size_t size)
{
	void *start = arena->base ? arena->base + arena->used : NULL;
	arena->used += align_up(size);
	return start;
}

static void lay_out(struct work *w, struct arena *arena)
{
	size_t width = (size_t)w->width, height = (size_t)w->height;
	size_t strip = (width > height ? width : height) * STRIP_STEP;
	w->pairs_stride = (ptrdiff_t)align_up(width * PAIR_SIZE);
	w->means_stride = (ptrdiff_t)width + 2;
	w->pairs = take(arena, (size_t)w->pairs_stride * height);
	w->strips[0] = take(arena, strip);
	w->strips[1] = take(arena, strip);
	w->means = take(arena, (size_t)w->means_stride * height * sizeof *w->means);
	w->row = take(arena, (width + ROW_PAD) * sizeof *w->row);
	w->out = take(arena, width << w->level);
	w->cells = take(arena, count_cells(w->width, w->height) * sizeof *w->cells);
	w->cell_row = take(arena, (width / CELL + 1) * sizeof *w->cell_row);
}

size_t il_masked_blur_scratch(int width, int height)
{
	struct work w = { .width = width, .height = height };
	struct arena counter = { NULL, ALIGN };
	lay_out(&w, &counter);
	return counter.used;
}

/* Scaling by 2^level down (means) and up (linear) blurs with a variance of 4^level / 4. */
static float reduced_sigma(float sigma, int level)
{
	float scaled = ldexpf(sigma, -level);
	return level ? sqrtf(scaled * scaled - 0.25f) : scaled;
}

static struct il_box_weights make_box(float sigma)
{
	float radius = il_blur_box_radius(sigma);
	struct il_box_weights box = { .radius = (int)radius };
	double full = 1.0 / (2.0 * radius + 1.0);
	box.full = (float)full;
	box.partial = (float)((1.0 - full * (2 * box.radius + 1)) / 2);
	return box;
}

static void place(struct work *w, const struct il_blur_params *p, int reach)
{
	const struct il_blur_area *a = &p->area;
	int right = ceil_shift(p->width, w->level), bottom = ceil_shift(p->height, w->level);
	int x1 = ceil_shift(a->x + a->width, w->level), y1 = ceil_shift(a->y + a->height, w->level);
	w->x = a->x >> w->level > reach ? (a->x >> w->level) - reach : 0;
	w->y = a->y >> w->level > reach ? (a->y >> w->level) - reach : 0;
	w->width = (x1 + reach < right ? x1 + reach : right) - w->x;
	w->height = (y1 + reach < bottom ? y1 + reach : bottom) - w->y;
}

struct plane {
	const uint8_t *data;
	ptrdiff_t stride;
};

/* A square that the plane's right or bottom border cuts: its last samples are repeated. */
static void weigh_cut(const struct work *w, uint16_t *pair, struct plane src, struct plane alpha, int x, int y,
                      const struct il_blur_params *p)
{
	uint8_t s[1 << 2 * MAX_LEVEL], a[1 << 2 * MAX_LEVEL];
	int size = 1 << w->level;
	for (int i = 0; i < size; i++)
		for (int j = 0; j < size; j++) {
			int sy = y * size + i < p->height ? y * size + i : p->height - 1;
			int sx = x * size + j < p->width ? x * size + j : p->width - 1;
			s[i * size + j] = src.data[sy * src.stride + sx];
			a[i * size + j] = alpha.data[sy * alpha.stride + sx];
		}
	w->kernels->weigh(pair, s, size, a, size, 1, w->level);
}

/* n whole squares of row y, tile by tile. Memory is what this takes time for: what is known is not read. */
static void weigh_row(const struct work *w, uint16_t *pairs, struct plane src, struct plane alpha, int y, int n,
                      const struct il_blur_tiles *tiles)
{
	const int tile = tiles->width >> w->level;
	const uint8_t *classes = tiles->classes + ((w->y + y) << w->level) / tiles->height * (ptrdiff_t)tiles->per_row;
	const uint8_t *next = classes + w->x / tile;
	int edge = tile - w->x % tile; /* where the next tile begins */
	for (int x = 0, end; x < n; x = end) {
		const uint8_t class = *next;
		for (; edge < n && next[1] == class; next++)
			edge += tile;
		end = edge < n ? edge : n;
		edge += tile;
		next++;
		ptrdiff_t at = (ptrdiff_t)x << w->level;
		if (class == IL_ALPHA_FULL)
			memset(pairs + 2 * (ptrdiff_t)x, 0, (size_t)(end - x) * PAIR_SIZE);
		else
			w->kernels->weigh(pairs + 2 * (ptrdiff_t)x, src.data + at, src.stride,
			                  class == IL_ALPHA_EMPTY ? NULL : alpha.data + at, alpha.stride, end - x,
			                  w->level);
	}
}

static void weigh_rows(const struct work *w, struct plane src, struct plane alpha, const struct il_blur_params *p)
{
	int whole_x = (p->width >> w->level) - w->x, whole_y = (p->height >> w->level) - w->y;
	whole_x = whole_x < w->width ? whole_x : w->width;
	for (int y = 0; y < w->height; y++) {
		uint16_t *row = w->pairs + y * w->pairs_stride / 2;
		ptrdiff_t top = (ptrdiff_t)(w->y + y) << w->level, left = (ptrdiff_t)w->x << w->level;
		int n = y < whole_y ? whole_x : 0;
		struct plane own = { src.data + top * src.stride + left, src.stride };
		struct plane own_alpha = { alpha.data + top * alpha.stride + left, alpha.stride };
		if (p->tiles.classes)
			weigh_row(w, row, own, own_alpha, y, n, &p->tiles);
		else
			w->kernels->weigh(row, own.data, own.stride, own_alpha.data, own_alpha.stride, n, w->level);
		for (int x = n; x < w->width; x++)
			weigh_cut(w, row + 2 * (ptrdiff_t)x, src, alpha, w->x + x, w->y + y, p);
	}
}

static void blur_pairs(const struct work *w)
{
	const struct il_blur_kernels *k = w->kernels;
	uint16_t *a = w->strips[0], *b = w->strips[1];
	for (int y = 0; y < w->height; y += IL_PAIR_LANES) {
		uint16_t *rows = w->pairs + y * w->pairs_stride / 2;
		int height = w->height - y < IL_PAIR_LANES ? w->height - y : IL_PAIR_LANES;
		k->pairs_to_strip(a, rows, w->pairs_stride, w->width, height);
		k->box_pairs(b, STRIP_STEP, a, STRIP_STEP, w->width, &w->box);
		k->box_pairs(a, STRIP_STEP, b, STRIP_STEP, w->width, &w->box);
		k->box_pairs(b, STRIP_STEP, a, STRIP_STEP, w->width, &w->box);
		k->strip_to_pairs(rows, w->pairs_stride, b, w->width, height);
	}
	for (int x = 0; x < w->width; x += IL_PAIR_LANES) {
		uint16_t *columns = w->pairs + 2 * (ptrdiff_t)x;
		k->box_pairs(a, STRIP_STEP, columns, w->pairs_stride, w->height, &w->box);
		k->box_pairs(b, STRIP_STEP, a, STRIP_STEP, w->height, &w->box);
		k->box_pairs(columns, w->pairs_stride, b, STRIP_STEP, w->height, &w->box);
	}
}

/* Means of squares of CELL x CELL pairs, from two of their rows: they are smooth by now. */
static void sum_cells(const struct work *w, int columns)
{
	for (int y = 0; y < w->height; y += CELL / 2) {
		const uint16_t *row = w->pairs + y * w->pairs_stride / 2;
		struct cell *cells = w->cells + (ptrdiff_t)(y / CELL) * columns;
		for (int c = 0; c < columns; c++) {
			int n = w->width - c * CELL < CELL ? w->width - c * CELL : CELL;
			int value = 0, weight = 0;
			for (int x = c * CELL; x < c * CELL + n; x++) {
				value += row[2 * x];
				weight += row[2 * x + 1];
			}
			struct cell mean = { (float)value / (float)n, (float)weight / (float)n };
			if (y % CELL) {
				mean.value = (cells[c].value + mean.value) / 2;
				mean.weight = (cells[c].weight + mean.weight) / 2;
			}
			cells[c] = mean;
		}
	}
}

static void sum_parents(struct cell *parents, const struct cell *cells, int columns, int rows)
{
	int parent_columns = ceil_shift(columns, 1);
	for (int y = 0; y < ceil_shift(rows, 1); y++)
		for (int x = 0; x < parent_columns; x++) {
			struct cell sum = { 0, 0 };
			float n = 0;
			for (int i = 2 * y; i < 2 * y + 2 && i < rows; i++)
				for (int j = 2 * x; j < 2 * x + 2 && j < columns; j++, n++) {
					sum.value += cells[(ptrdiff_t)i * columns + j].value;
					sum.weight += cells[(ptrdiff_t)i * columns + j].weight;
				}
			parents[(ptrdiff_t)y * parent_columns + x] = (struct cell){ sum.value / n, sum.weight / n };
		}
}

/* Turns sums into mean colours, from the single cell on top down; a cell of little weight takes after its parent. */
static void fill_cells(struct cell *cells, int columns, int rows)
{
	if (columns == 1 && rows == 1) {
		cells->value = cells->weight > 0.0f ? cells->value * 255.0f / cells->weight : NEUTRAL;
		return;
	}
	struct cell *parents = cells + (ptrdiff_t)columns * rows;
	sum_parents(parents, cells, columns, rows);
	fill_cells(parents, ceil_shift(columns, 1), ceil_shift(rows, 1));
	for (int y = 0; y < rows; y++)
		for (int x = 0; x < columns; x++) {
			struct cell *c = cells + (ptrdiff_t)y * columns + x;
			float parent = parents[(ptrdiff_t)(y / 2) * ceil_shift(columns, 1) + x / 2].value;
			c->value = (c->value * 255.0f + IL_PAIR_TRUST * parent) / (c->weight + IL_PAIR_TRUST);
		}
}

/* Which two of n cells row y lies between, and how far from the first. */
static int between_cells(int y, int n, float *t)
{
	float position = ((float)y + 0.5f) / CELL - 0.5f;
	int first = position > 0.0f ? (int)position : 0;
	first = first < n - 1 ? first : n - 1;
	*t = position < 0.0f || first == n - 1 ? 0.0f : position - (float)first;
	return first;
}

/* The coarse picture at row y of the means, in units of 1/64; CELL / 2 values before out are written too. */
static void coarse_row(const struct work *w, uint16_t *out, int y, int columns, int rows)
{
	float t;
	int upper = between_cells(y, rows, &t);
	const struct cell *a = w->cells + (ptrdiff_t)upper * columns, *b = upper + 1 < rows ? a + columns : a;
	for (int c = 0; c < columns; c++)
		w->cell_row[c] = 64.0f * (a[c].value + (b[c].value - a[c].value) * t) + 0.5f;
	for (int c = -1; c < columns; c++) { /* from the centre of a cell to that of the next */
		float first = w->cell_row[c < 0 ? 0 : c], step = w->cell_row[c + 1 < columns ? c + 1 : c] - first;
		uint16_t *to = out + c * CELL + CELL / 2;
		for (int x = 0; x < CELL; x++)
			to[x] = (uint16_t)(int)(first + ((float)x + 0.5f) * (step / CELL));
	}
}

static void divide_rows(const struct work *w)
{
	int columns = (w->width + CELL - 1) / CELL, rows = (w->height + CELL - 1) / CELL;
	uint16_t *coarse = w->row + CELL / 2;
	sum_cells(w, columns);
	fill_cells(w->cells, columns, rows);
	for (int y = 0; y < w->height; y++) {
		uint16_t *means = w->means + y * w->means_stride + 1;
		coarse_row(w, coarse, y, columns, rows);
		w->kernels->divide_pairs(means, w->pairs + y * w->pairs_stride / 2, coarse, w->width);
		means[-1] = means[0];
		means[w->width] = means[w->width - 1];
	}
}

void il_masked_blur_part(const struct il_masked_blur *blur, uint8_t *dst, ptrdiff_t dst_stride,
                         const struct il_blur_area *part)
{
	const struct il_blur_kernels *kernels = il_kernels_get()->blur;
	const int level = blur->level, size = 1 << level, skip = part->x & (size - 1);
	const int left = part->x >> level, n = ceil_shift(part->x + part->width, level) - left;
	const uint16_t *means = blur->means + left - blur->x;
	for (int y = part->y; y < part->y + part->height; y++, dst += dst_stride) {
		int own = (y >> level) - blur->y, side = 2 * (y & (size - 1)) + 1 - size;
		int other = side < 0 ? own - 1 : own + 1;
		other = other < 0 ? 0 : other < blur->height ? other : blur->height - 1;
		int weight = (side < 0 ? -side : side) << (14 - level);
		kernels->lerp_row(blur->row, means + own * blur->means_stride, means + other * blur->means_stride,
		                  weight, n + 2);
		if (!skip && n << level == part->width) {
			kernels->expand_row(dst, blur->row + 1, n, level);
			continue;
		}
		kernels->expand_row(blur->out, blur->row + 1, n, level);
		memcpy(dst, blur->out + skip, (size_t)part->width);
	}
}

static int choose_level(const struct il_blur_params *p, float sigma)
{
	const float least = p->coarse ? MIN_SIGMA / 2 : MIN_SIGMA;
	int level = 0;
	while (level < MAX_LEVEL && ldexpf(sigma, -level - 1) >= least)
		level++;
	return level;
}

void il_masked_blur_begin(struct il_masked_blur *blur, const uint8_t *src, ptrdiff_t src_stride, const uint8_t *alpha,
                          ptrdiff_t alpha_stride, const struct il_blur_params *p, void *scratch)
{
	float sigma = p->sigma < IL_BLUR_MAX_SIGMA ? p->sigma : IL_BLUR_MAX_SIGMA;
	struct work w = { .kernels = il_kernels_get()->blur, .level = choose_level(p, sigma) };
	float reduced = reduced_sigma(sigma, w.level);
	w.box = make_box(reduced);
	place(&w, p, il_blur_reach(reduced) + 1);
	struct arena arena = { (uint8_t *)align_up((uintptr_t)scratch), 0 };
	lay_out(&w, &arena);
	weigh_rows(&w, (struct plane){ src, src_stride }, (struct plane){ alpha, alpha_stride }, p);
	blur_pairs(&w);
	divide_rows(&w);
	*blur = (struct il_masked_blur){ .level = w.level,
		                         .x = w.x,
		                         .y = w.y,
		                         .height = w.height,
		                         .means = w.means,
		                         .means_stride = w.means_stride,
		                         .row = w.row,
		                         .out = w.out };
}

void il_masked_blur(uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src, ptrdiff_t src_stride, const uint8_t *alpha,
                    ptrdiff_t alpha_stride, const struct il_blur_params *p, void *scratch)
{
	const struct il_blur_area *area = &p->area;
	if (il_blur_box_radius(p->sigma) <= 0.0f) {
		struct il_blur_params plain = *p;
		plain.sigma = 0.0f;
		il_blur(dst, dst_stride, src, src_stride, &plain, scratch);
		return;
	}
	struct il_masked_blur blur;
	il_masked_blur_begin(&blur, src, src_stride, alpha, alpha_stride, p, scratch);
	il_masked_blur_part(&blur, dst + area->y * dst_stride + area->x, dst_stride, area);
}
