/* Runs a block, in one of two ways:
 *
 * By tiles, for large pictures: a task is a strip of columns and a band of rows. It goes down the strip a few rows at a
 * time, and makes the rows of mid that these need in a ring that stays in the second-level cache.
 *
 * By panels, for small pictures with many channels, where reading the weights costs most: a task makes some panels of
 * mid and of d for the whole picture, so that each weight is read once. Then tasks make the panels of y.
 *
 * A pixel of y is the same sum in the same order whatever the tiles and whoever makes them.
 */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "kernel/block_impl.h"

#define ALIGN 64
#define K_BLOCK 256             /* values of k whose panel of weights stays in the first-level cache */
#define STRIP_BYTES (160 << 10) /* of three rows of mid in a strip */
#define STEP_BYTES (384 << 10)  /* of all rows of mid and d that are there at a time */
#define CONVOLVED_COLUMNS 40
#define MAX_ROWS 8             /* of y at a time */
#define PANEL_PIXELS 2500      /* of y, up to which it goes by panels */
#define PANEL_BYTES (16 << 20) /* of d, likewise */
#define TASKS_A_THREAD 2       /* at least: a thread that is held up leaves some to the others */
#define MAX_THREADS 64         /* that tasks are made for */

/* Where each sample of mid lies in the samples of x. */
struct axis {
	int32_t *first;
	float *part;
};

/* What one task at a time works in. */
struct slot {
	atomic_flag *taken;
	float *ring;   /* [panels][ring_rows][ring_columns][lanes] of mid */
	float *low;    /* [panels][low_rows][low_columns][lanes] of E . x */
	float *values; /* [ring_rows][low_columns + 1][lanes], of one panel: between rows of low */
	float *done;   /* [mid_panels][done_pitch] of d, by tiles */
	float *zeros;  /* [ring_columns][lanes] */
	float *skip;   /* [ring_rows][ring_columns][skip] of a skip of halves, by tiles: of the new rows */
	struct il_block_pixel *mid_pixels, *skip_pixels, *low_pixels, *out_pixels;
};

struct plan {
	const struct il_block *block;
	const struct il_block_kernels *kernels;
	struct il_block_io io;
	int out_h, out_w;
	bool by_panels;
	int rows, columns; /* of y at a time */
	int strips, bands; /* tasks by tiles */
	int ring_rows, ring_columns, low_rows, low_columns, ring_panels;
	size_t ring_pitch, low_pitch, done_pitch; /* floats from panel to panel */
	unsigned slots, tasks;
	struct axis down, across;
	float *done; /* [mid_panels][done_pitch], by panels */
	float *skip; /* [mid_h][mid_w][skip] of a skip of halves, by panels */
	struct slot *slot;
};

/* A task on its way. Ranges are [first, end). */
struct task {
	const struct plan *plan;
	const struct slot *slot;
	int x0, x1;               /* columns of y */
	int left;                 /* column of mid that is column 0 of the ring */
	int column0, columns_end; /* columns of mid inside the picture */
	int low0, low_end;        /* columns of x that they lie between */
	int mid_end;              /* rows of mid that are made */
	int low_rows_end;         /* rows of E . x */
	int new0, new_rows;       /* rows of mid to be made in this step */
	int mid_n, low_n, out_n;  /* pixels listed */
};

static int min(int a, int b)
{
	return a < b ? a : b;
}

static int max(int a, int b)
{
	return a > b ? a : b;
}

/* --- the plan --- */

struct arena {
	uint8_t *base; /* NULL: only counts */
	size_t used;
};

static void *take(struct arena *arena, size_t n, size_t size)
{
	void *start = arena->base ? arena->base + arena->used : NULL;
	arena->used += (n * size + ALIGN - 1) / ALIGN * ALIGN;
	return start;
}

static bool widens(const struct plan *p)
{
	return p->block->params.skip && p->block->params.skip_type == IL_FLOAT16;
}

static size_t listed(int rows, int columns)
{
	return (size_t)rows * (size_t)columns + IL_BLOCK_MAX_TILE - 1;
}

static void lay_out_slot(const struct plan *p, struct slot *s, struct arena *arena)
{
	const size_t lanes = (size_t)p->kernels->lanes, panels = (size_t)p->ring_panels;
	s->taken = take(arena, 1, sizeof *s->taken);
	s->ring = take(arena, panels * p->ring_pitch, sizeof(float));
	s->low = take(arena, panels * p->low_pitch, sizeof(float));
	s->values = take(arena, (size_t)p->ring_rows * (size_t)(p->low_columns + 1) * lanes, sizeof(float));
	s->done = take(arena, p->by_panels ? 0 : (size_t)p->block->mid_panels * p->done_pitch, sizeof(float));
	s->zeros = take(arena, (size_t)p->ring_columns * lanes, sizeof(float));
	const size_t widened = widens(p) && !p->by_panels;
	const size_t skips = widened * (size_t)p->ring_rows * (size_t)p->ring_columns;
	s->skip = take(arena, skips * (size_t)il_block_stride(p->block->params.skip), sizeof(float));
	s->skip_pixels = take(arena, widened * listed(p->ring_rows, p->ring_columns), sizeof *s->skip_pixels);
	s->mid_pixels = take(arena, listed(p->ring_rows, p->ring_columns), sizeof *s->mid_pixels);
	s->low_pixels = take(arena, listed(p->low_rows, p->low_columns), sizeof *s->low_pixels);
	s->out_pixels = take(arena, listed(p->rows, p->columns), sizeof *s->out_pixels);
}

static void lay_out(struct plan *p, struct arena *arena)
{
	const bool resized = p->block->params.resize != IL_BLOCK_SAME;
	p->slot = take(arena, p->slots, sizeof *p->slot);
	p->down.first = take(arena, resized ? (size_t)p->io.mid_h : 0, sizeof *p->down.first);
	p->down.part = take(arena, resized ? (size_t)p->io.mid_h : 0, sizeof *p->down.part);
	p->across.first = take(arena, resized ? (size_t)p->io.mid_w : 0, sizeof *p->across.first);
	p->across.part = take(arena, resized ? (size_t)p->io.mid_w : 0, sizeof *p->across.part);
	p->done = take(arena, p->by_panels ? (size_t)p->block->mid_panels * p->done_pitch : 0, sizeof(float));
	const size_t skips = p->by_panels && widens(p) ? (size_t)p->io.mid_h * (size_t)p->io.mid_w : 0;
	p->skip = take(arena, skips * (size_t)il_block_stride(p->block->params.skip), sizeof(float));
	for (unsigned i = 0; i < p->slots; i++) {
		struct slot counted;
		lay_out_slot(p, arena->base ? &p->slot[i] : &counted, arena);
	}
}

/* Floats of a panel of n pixels: not a multiple of a page, or panels fall into the same sets of the caches. */
static size_t panel_pitch(int pixels, int lanes)
{
	return (size_t)(pixels | 1) * (size_t)lanes;
}

static void choose_tiles(struct plan *p, unsigned threads)
{
	const struct il_block_params *params = &p->block->params;
	const int s = params->stride, mid_bytes = p->block->mid_panels * p->kernels->lanes * (int)sizeof(float);
	const int widest = max(8, STRIP_BYTES / (mid_bytes * 3) - 2) / s;
	const int strips = (p->out_w + widest - 1) / widest;
	p->columns = params->tile_columns ? min(params->tile_columns, p->out_w) : (p->out_w + strips - 1) / strips;
	p->strips = (p->out_w + p->columns - 1) / p->columns;
	const int64_t done = (int64_t)mid_bytes * p->columns, mid = s * done; /* bytes of a row of each */
	const int added = params->added == IL_BLOCK_NOTHING_ADDED ? 0 : params->added == IL_BLOCK_HALF_ADDED ? 1 : 2;
	const int rows = (int)((STEP_BYTES - 2 * mid) / (s * mid + done + added * mid));
	p->rows = min(params->tile_rows ? params->tile_rows : max(1, min(rows, MAX_ROWS)), p->out_h);
	const int wanted = threads == 1 ? 1 : TASKS_A_THREAD * (int)(threads < MAX_THREADS ? threads : MAX_THREADS);
	p->bands = min((wanted + p->strips - 1) / p->strips, p->out_h);
	p->tasks = (unsigned)p->strips * (unsigned)p->bands;
}

/* Samples of x, along an axis, that n neighbouring samples of mid may lie between. */
static int low_samples(const struct plan *p, int n, int low, int mid)
{
	if (p->block->params.resize == IL_BLOCK_SAME)
		return 0;
	return (int)fmin(low, (double)n * low / mid + 4 + (double)n * low / mid * 1e-5);
}

static void measure(struct plan *p)
{
	const int s = p->block->params.stride, lanes = p->kernels->lanes;
	p->ring_rows = s * (p->rows - 1) + 3;
	p->ring_columns = s * (p->columns - 1) + 3;
	p->ring_panels = p->by_panels ? 1 : p->block->mid_panels;
	p->ring_pitch = panel_pitch(p->ring_rows * p->ring_columns, lanes);
	p->low_rows = low_samples(p, p->ring_rows, p->io.in_h, p->io.mid_h);
	p->low_columns = low_samples(p, p->ring_columns, p->io.in_w, p->io.mid_w);
	p->low_pitch = panel_pitch(p->low_rows * p->low_columns, lanes);
	p->done_pitch = panel_pitch(p->rows * p->columns, lanes);
}

static struct plan make_plan(const struct il_block *block, const struct il_block_io *io, unsigned threads)
{
	struct plan p = { .block = block, .kernels = block->kernels, .io = *io };
	const struct il_block_params *params = &block->params;
	p.out_h = il_block_out(block, io->mid_h);
	p.out_w = il_block_out(block, io->mid_w);
	p.slots = threads;
	const int64_t pixels = (int64_t)p.out_h * p.out_w;
	p.by_panels = !params->tile_rows && !params->tile_columns && pixels <= PANEL_PIXELS &&
	              pixels * params->mid * (int64_t)sizeof(float) <= PANEL_BYTES;
	if (p.by_panels) {
		p.rows = p.out_h;
		p.columns = p.out_w;
	} else {
		choose_tiles(&p, threads);
	}
	measure(&p);
	return p;
}

size_t il_block_scratch(const struct il_block *block, int in_h, int in_w, int mid_h, int mid_w, unsigned threads)
{
	const struct il_block_io io = { .in_h = in_h, .in_w = in_w, .mid_h = mid_h, .mid_w = mid_w };
	struct plan p = make_plan(block, &io, threads ? threads : 1);
	struct arena counter = { NULL, ALIGN };
	lay_out(&p, &counter);
	return counter.used;
}

/* As ONNX Runtime computes it, in float. */
static float coordinate(enum il_block_resize resize, int i, int low, int n)
{
	if (resize == IL_BLOCK_ALIGN_CORNERS)
		return n == 1 ? 0.0f : (float)i * (float)(low - 1) / (float)(n - 1);
	const float at = ((float)i + 0.5f) * (float)low / (float)n - 0.5f;
	return at < 0.0f ? 0.0f : at;
}

static void fill_axis(const struct axis *axis, enum il_block_resize resize, int low, int n)
{
	if (resize == IL_BLOCK_SAME)
		return;
	for (int i = 0; i < n; i++) {
		const float at = coordinate(resize, i, low, n);
		const int first = min((int)at, low - 1);
		axis->first[i] = first;
		axis->part[i] = first == low - 1 ? 0.0f : at - (float)first;
	}
}

/* --- lists of pixels --- */

/* Repeats the last pixel until the list is full tiles. */
static int fill_tiles(const struct plan *p, struct il_block_pixel *pixels, int n)
{
	for (; n % p->kernels->tile; n++)
		pixels[n] = pixels[n - 1];
	return n;
}

static void list_mid(struct task *t)
{
	const struct plan *p = t->plan;
	const bool resized = p->block->params.resize != IL_BLOCK_SAME;
	struct il_block_pixel *pixel = t->slot->mid_pixels;
	for (int row = 0; row < t->new_rows; row++) {
		const int y = t->new0 + row;
		for (int x = t->column0; x < t->columns_end; x++, pixel++) {
			pixel->from = pixel->added = y * p->io.mid_w + x;
			pixel->to = y % p->ring_rows * p->ring_columns + x - t->left;
			if (resized) {
				pixel->low = row * (p->low_columns + 1) + p->across.first[x] - t->low0;
				pixel->part = p->across.part[x];
			}
		}
	}
	t->mid_n = fill_tiles(p, t->slot->mid_pixels, (int)(pixel - t->slot->mid_pixels));
}

/* mid_pixels, read from where widen_rows writes. */
static void list_skip(struct task *t)
{
	const struct slot *slot = t->slot;
	const int columns = t->columns_end - t->column0;
	memcpy(slot->skip_pixels, slot->mid_pixels, (size_t)t->mid_n * sizeof *slot->skip_pixels);
	for (int i = 0; i < t->mid_n; i++)
		slot->skip_pixels[i].from = min(i, t->new_rows * columns - 1);
}

/* The rows of E . x that the new rows of mid lie between, but for those that are there. */
static void list_low(struct task *t)
{
	const struct plan *p = t->plan;
	struct il_block_pixel *pixel = t->slot->low_pixels;
	const int first = p->down.first[t->new0];
	const int end = min(p->down.first[t->new0 + t->new_rows - 1] + 2, p->io.in_h);
	for (int y = max(first, t->low_rows_end); y < end; y++)
		for (int x = t->low0; x < t->low_end; x++, pixel++) {
			pixel->from = y * p->io.in_w + x;
			pixel->to = y % p->low_rows * p->low_columns + x - t->low0;
		}
	t->low_rows_end = max(end, t->low_rows_end);
	t->low_n = fill_tiles(p, t->slot->low_pixels, (int)(pixel - t->slot->low_pixels));
}

static void list_out(struct task *t, int y0, int y1)
{
	const struct plan *p = t->plan;
	struct il_block_pixel *pixel = t->slot->out_pixels;
	for (int y = y0; y < y1; y++)
		for (int x = t->x0; x < t->x1; x++, pixel++) {
			pixel->from = (int)(pixel - t->slot->out_pixels);
			pixel->to = pixel->added = y * p->out_w + x;
		}
	t->out_n = fill_tiles(p, t->slot->out_pixels, (int)(pixel - t->slot->out_pixels));
}

/* The new rows of skip. */
static void widen_rows(const struct task *t)
{
	const struct plan *p = t->plan;
	const size_t stride = (size_t)il_block_stride(p->block->params.skip);
	const size_t row = (size_t)(t->columns_end - t->column0) * stride, pitch = (size_t)p->io.mid_w * stride;
	const uint16_t *from = (const uint16_t *)p->io.skip + (size_t)t->new0 * pitch + (size_t)t->column0 * stride;
	for (int i = 0; i < t->new_rows; i++)
		p->kernels->widen(t->slot->skip + (size_t)i * row, from + (size_t)i * pitch, row);
}

/* Lists what output rows y0 to y1 need and previous steps have not made. */
static void begin_step(struct task *t, int y0, int y1)
{
	const struct plan *p = t->plan;
	const int s = p->block->params.stride;
	const int end = min(s * (y1 - 1) + 2, p->io.mid_h);
	t->new0 = max(max(s * y0 - 1, 0), t->mid_end);
	t->new_rows = max(end - t->new0, 0);
	t->mid_end = max(t->mid_end, end);
	t->mid_n = t->low_n = 0;
	if (t->new_rows) {
		list_mid(t);
		if (widens(p) && !p->by_panels) {
			list_skip(t);
			widen_rows(t);
		}
		if (p->block->params.resize != IL_BLOCK_SAME)
			list_low(t);
	}
	list_out(t, y0, y1);
}

/* --- one panel of mid, d or y --- */

/* A product in blocks of k, the first of which begins as `product` says. */
static void multiply(const struct plan *p, struct il_block_product *product, int k, bool relu)
{
	const int lanes = p->kernels->lanes;
	const float *a = product->a, *b = product->b;
	for (int first = 0; first < k || first == 0; first += K_BLOCK) {
		product->a = a + (size_t)(first / lanes) * product->a_step;
		product->b = b + (size_t)first * (size_t)lanes;
		product->k = min(K_BLOCK, k - first);
		product->relu = relu && first + K_BLOCK >= k;
		p->kernels->multiply(product);
		product->start = IL_BLOCK_FROM_SUM;
		product->added_type = IL_BLOCK_NOTHING_ADDED;
	}
}

/* Of x or skip, which are `channels` wide. */
static void read_tensor(struct il_block_product *product, const float *tensor, int channels, const float *weights,
                        int panel, int lanes)
{
	product->a = tensor;
	product->a_stride = (size_t)il_block_stride(channels);
	product->a_step = (size_t)lanes;
	product->b = weights + (size_t)panel * (size_t)channels * (size_t)lanes;
}

static void multiply_low(const struct task *t, int panel, float *low)
{
	const struct plan *p = t->plan;
	const struct il_block *b = p->block;
	const int lanes = p->kernels->lanes;
	struct il_block_product product = {
		.pixels = t->slot->low_pixels,
		.n = t->low_n,
		.c = low,
		.c_stride = (size_t)lanes,
		.c_lanes = lanes,
		.bias = b->expand_b + panel * lanes,
	};
	read_tensor(&product, p->io.x, b->params.in, b->expand_w, panel, lanes);
	multiply(p, &product, b->params.in, false);
}

/* The new rows of mid, at the columns of x. */
static void scale_rows(const struct task *t, const float *low)
{
	const struct plan *p = t->plan;
	const size_t lanes = (size_t)p->kernels->lanes, row = (size_t)p->low_columns * lanes;
	for (int i = 0; i < t->new_rows; i++) {
		const int first = p->down.first[t->new0 + i], next = min(first + 1, p->io.in_h - 1);
		p->kernels->between(t->slot->values + (size_t)i * (row + lanes),
		                    low + (size_t)(first % p->low_rows) * row, low + (size_t)(next % p->low_rows) * row,
		                    p->down.part[t->new0 + i], t->low_end - t->low0);
	}
}

static const void *added_panel(const struct plan *p, int panel)
{
	const ptrdiff_t first = (ptrdiff_t)panel * p->kernels->lanes;
	switch (p->block->params.added) {
	case IL_BLOCK_FLOAT_ADDED: return (const float *)p->io.added + first;
	case IL_BLOCK_HALF_ADDED: return (const uint16_t *)p->io.added + first;
	default: return NULL;
	}
}

/* Lanes of a panel that a tensor of `channels` has. */
static int lanes_of(const struct plan *p, int channels, int panel)
{
	return min(p->kernels->lanes, il_block_stride(channels) - panel * p->kernels->lanes);
}

/* From the new rows to those that the next step needs, which are fetched from memory during this one. */
static size_t rows_ahead(const struct task *t)
{
	return t->new0 + 2 * t->new_rows <= t->plan->io.mid_h ? (size_t)t->new_rows : 0;
}

/* A panel's share of the rows of skip that the next step needs. */
static void fetch_skip(const struct task *t, int panel)
{
	const struct plan *p = t->plan;
	const size_t size = p->block->params.skip_type == IL_FLOAT16 ? 2 : 4;
	const size_t pixel = (size_t)il_block_stride(p->block->params.skip) * size;
	const size_t row = (size_t)(t->columns_end - t->column0) * pixel, pitch = (size_t)p->io.mid_w * pixel;
	const size_t panels = (size_t)p->block->mid_panels, rows = rows_ahead(t);
	const uint8_t *from =
		(const uint8_t *)p->io.skip + ((size_t)t->new0 + rows) * pitch + (size_t)t->column0 * pixel;
	for (size_t y = 0; p->block->params.skip && y < rows; y++, from += pitch)
		for (size_t i = row * (size_t)panel / panels; i < row * ((size_t)panel + 1) / panels; i += ALIGN)
			__builtin_prefetch(from + i, 0, 2);
}

static void expand_panel(const struct task *t, int panel, float *ring, float *low)
{
	const struct plan *p = t->plan;
	const struct il_block *b = p->block;
	const struct il_block_params *params = &b->params;
	const int lanes = p->kernels->lanes;
	struct il_block_product product = {
		.pixels = t->slot->mid_pixels,
		.n = t->mid_n,
		.c = ring,
		.c_stride = (size_t)lanes,
		.c_lanes = lanes,
		.bias = b->expand_b + panel * lanes,
		.low = t->slot->values,
		.added_type = params->added,
		.added = added_panel(p, panel),
		.added_stride = (size_t)il_block_stride(params->mid),
		.added_ahead = rows_ahead(t) * (size_t)p->io.mid_w * (size_t)il_block_stride(params->mid),
		.added_lanes = lanes_of(p, params->mid, panel),
	};
	if (params->resize != IL_BLOCK_SAME) {
		multiply_low(t, panel, low);
		scale_rows(t, low);
		product.start = IL_BLOCK_FROM_LOW;
	} else {
		read_tensor(&product, p->io.x, params->in, b->expand_w, panel, lanes);
		multiply(p, &product, params->in, params->skip == 0);
	}
	if (params->skip || params->resize != IL_BLOCK_SAME) {
		const float *skip = p->by_panels ? p->skip : t->slot->skip;
		read_tensor(&product, widens(p) ? skip : p->io.skip, params->skip, b->skip_w, panel, lanes);
		if (widens(p) && !p->by_panels)
			product.pixels = t->slot->skip_pixels;
		multiply(p, &product, params->skip, true);
	}
}

static void convolve_row(const struct task *t, int panel, const float *ring, float *done, int y, int x, int n)
{
	const struct plan *p = t->plan;
	const int s = p->block->params.stride;
	const size_t lanes = (size_t)p->kernels->lanes;
	const float *rows[3];
	for (int i = 0; i < 3; i++) {
		const int m = s * y - 1 + i;
		const bool inside = m >= 0 && m < p->io.mid_h;
		const size_t at = ((size_t)(m % p->ring_rows) * (size_t)p->ring_columns + (size_t)(s * x)) * lanes;
		rows[i] = inside ? ring + at : t->slot->zeros;
	}
	p->kernels->depthwise(done + (size_t)x * lanes, rows, p->block->depthwise_w + (size_t)panel * 10 * lanes, n, s);
}

/* Down some columns after the other: each row of them is read three times, from the first-level cache. */
static void convolve_panel(const struct task *t, int panel, const float *ring, float *done, int y0, int y1)
{
	const int columns = t->x1 - t->x0;
	const size_t row = (size_t)columns * (size_t)t->plan->kernels->lanes;
	for (int x = 0; x < columns; x += CONVOLVED_COLUMNS)
		for (int y = y0; y < y1; y++)
			convolve_row(t, panel, ring, done + (size_t)(y - y0) * row, y, x,
			             min(CONVOLVED_COLUMNS, columns - x));
}

static void project_panel(const struct plan *p, const struct il_block_pixel *pixels, int n, int panel,
                          const float *done)
{
	const struct il_block *b = p->block;
	const int lanes = p->kernels->lanes, out_stride = il_block_stride(b->params.out);
	struct il_block_product product = {
		.pixels = pixels,
		.n = n,
		.a = done,
		.a_stride = (size_t)lanes,
		.a_step = p->done_pitch,
		.b = b->project_w + (size_t)panel * (size_t)b->params.mid * (size_t)lanes,
		.c = p->io.y + panel * lanes,
		.c_stride = (size_t)out_stride,
		.c_lanes = lanes_of(p, b->params.out, panel),
		.bias = b->project_b + panel * lanes,
		.added_type = b->params.residual ? IL_BLOCK_FLOAT_ADDED : IL_BLOCK_NOTHING_ADDED,
		.added = b->params.residual ? p->io.x + panel * lanes : NULL,
		.added_stride = (size_t)out_stride,
		.added_lanes = lanes_of(p, b->params.out, panel),
	};
	multiply(p, &product, b->params.mid, false);
}

/* --- tasks --- */

static const struct slot *claim_slot(const struct plan *p)
{
	for (unsigned i = 0;; i = i + 1 < p->slots ? i + 1 : 0)
		if (!atomic_flag_test_and_set_explicit(p->slot[i].taken, memory_order_acquire))
			return &p->slot[i];
}

static void return_slot(const struct slot *slot)
{
	atomic_flag_clear_explicit(slot->taken, memory_order_release);
}

/* Columns of the ring beside the picture are zeros; nothing else writes them. */
static void clear_edges(const struct task *t)
{
	const struct plan *p = t->plan;
	const size_t lanes = (size_t)p->kernels->lanes;
	const int used = p->block->params.stride * (t->x1 - t->x0 - 1) + 3;
	for (int panel = 0; panel < p->ring_panels; panel++)
		for (int row = 0; row < p->ring_rows; row++) {
			float *ring = t->slot->ring + (size_t)panel * p->ring_pitch +
			              (size_t)row * (size_t)p->ring_columns * lanes;
			for (int x = 0; x < used; x++)
				if (t->left + x < 0 || t->left + x >= p->io.mid_w)
					memset(ring + (size_t)x * lanes, 0, lanes * sizeof *ring);
		}
	memset(t->slot->zeros, 0, (size_t)p->ring_columns * lanes * sizeof *t->slot->zeros);
}

static struct task begin_task(const struct plan *p, const struct slot *slot, int x0, int x1)
{
	struct task t = { .plan = p, .slot = slot, .x0 = x0, .x1 = x1 };
	const int s = p->block->params.stride;
	t.left = s * x0 - 1;
	t.column0 = max(t.left, 0);
	t.columns_end = min(s * (x1 - 1) + 2, p->io.mid_w);
	if (p->block->params.resize != IL_BLOCK_SAME) {
		t.low0 = p->across.first[t.column0];
		t.low_end = min(p->across.first[t.columns_end - 1] + 2, p->io.in_w);
	}
	clear_edges(&t);
	return t;
}

static void run_tile(void *ctx, unsigned index)
{
	const struct plan *p = ctx;
	const int strip = (int)index % p->strips, band = (int)index / p->strips;
	const int first = (int)((int64_t)band * p->out_h / p->bands);
	const int end = (int)((int64_t)(band + 1) * p->out_h / p->bands);
	const struct slot *slot = claim_slot(p);
	struct task t = begin_task(p, slot, strip * p->columns, min((strip + 1) * p->columns, p->out_w));
	for (int y0 = first; y0 < end; y0 += p->rows) {
		const int y1 = min(y0 + p->rows, end);
		begin_step(&t, y0, y1);
		for (int panel = 0; panel < p->block->mid_panels; panel++) {
			float *ring = slot->ring + (size_t)panel * p->ring_pitch;
			if (t.new_rows)
				expand_panel(&t, panel, ring, slot->low + (size_t)panel * p->low_pitch);
			fetch_skip(&t, panel);
			convolve_panel(&t, panel, ring, slot->done + (size_t)panel * p->done_pitch, y0, y1);
		}
		for (int panel = 0; panel < p->block->out_panels; panel++)
			project_panel(p, slot->out_pixels, t.out_n, panel, slot->done);
	}
	return_slot(slot);
}

static void share(const struct plan *p, unsigned index, int n, int *first, int *end)
{
	*first = (int)((int64_t)index * n / p->tasks);
	*end = (int)((int64_t)(index + 1) * n / p->tasks);
}

/* Of a skip of halves, by panels: each value is needed by all of them. */
static void run_widen(void *ctx, unsigned index)
{
	const struct plan *p = ctx;
	const size_t stride = (size_t)il_block_stride(p->block->params.skip);
	int first, end;
	share(p, index, p->io.mid_h * p->io.mid_w, &first, &end);
	p->kernels->widen(p->skip + (size_t)first * stride, (const uint16_t *)p->io.skip + (size_t)first * stride,
	                  (size_t)(end - first) * stride);
}

static void run_mid_panels(void *ctx, unsigned index)
{
	const struct plan *p = ctx;
	const struct slot *slot = claim_slot(p);
	struct task t = begin_task(p, slot, 0, p->out_w);
	int first, end;
	begin_step(&t, 0, p->out_h);
	share(p, index, p->block->mid_panels, &first, &end);
	for (int panel = first; panel < end; panel++) {
		expand_panel(&t, panel, slot->ring, slot->low);
		convolve_panel(&t, panel, slot->ring, p->done + (size_t)panel * p->done_pitch, 0, p->out_h);
	}
	return_slot(slot);
}

/* Some tiles of all panels where there are few panels, or some panels. */
static void run_out_panels(void *ctx, unsigned index)
{
	const struct plan *p = ctx;
	const struct slot *slot = claim_slot(p);
	struct task t = { .plan = p, .slot = slot, .x1 = p->out_w };
	list_out(&t, 0, p->out_h);
	const int tile = p->kernels->tile, panels = p->block->out_panels;
	int first = 0, end = panels, tile0 = 0, tiles_end = t.out_n / tile;
	if ((unsigned)panels < p->tasks)
		share(p, index, tiles_end, &tile0, &tiles_end);
	else
		share(p, index, panels, &first, &end);
	for (int panel = first; tile0 < tiles_end && panel < end; panel++)
		project_panel(p, slot->out_pixels + tile0 * tile, (tiles_end - tile0) * tile, panel, p->done);
	return_slot(slot);
}

static void run_tasks(struct plan *p, unsigned tasks, void (*fn)(void *ctx, unsigned task),
                      const struct il_parallel *parallel)
{
	p->tasks = tasks;
	if (p->slots > 1 && tasks > 1) {
		parallel->run(parallel->pool, tasks, fn, p);
		return;
	}
	for (unsigned i = 0; i < tasks; i++)
		fn(p, i);
}

void il_block_run(const struct il_block *block, const struct il_block_io *io, void *scratch,
                  const struct il_parallel *parallel)
{
	struct plan p = make_plan(block, io, parallel && parallel->threads > 1 ? parallel->threads : 1);
	struct arena arena = { scratch, (ALIGN - (uintptr_t)scratch % ALIGN) % ALIGN };
	lay_out(&p, &arena);
	for (unsigned i = 0; i < p.slots; i++)
		atomic_flag_clear_explicit(p.slot[i].taken, memory_order_relaxed);
	fill_axis(&p.down, block->params.resize, io->in_h, io->mid_h);
	fill_axis(&p.across, block->params.resize, io->in_w, io->mid_w);
	if (!p.by_panels) {
		run_tasks(&p, p.tasks, run_tile, parallel);
		return;
	}
	const unsigned tasks = p.slots > 1 ? p.slots * 2 * TASKS_A_THREAD : 1;
	if (widens(&p))
		run_tasks(&p, p.slots, run_widen, parallel);
	run_tasks(&p, (unsigned)min((int)tasks, block->mid_panels), run_mid_panels, parallel);
	run_tasks(&p, tasks, run_out_panels, parallel);
}
