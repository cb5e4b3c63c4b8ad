/* Guide and matte are whole numbers here, so that sums over windows are exact however they are made, and so are
 * variances, the differences of nearly equal numbers. Coefficients are whole numbers too until their means are taken.
 */
#include "kernel/guided.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "kernel/guided_kernels.h"
#include "kernel/kernel.h"

#define ALIGN 64
#define BLOCK IL_GUIDED_BLOCK
#define MAX_ADDED 257 /* rows of bytes whose sum fits into 16 bits */
#define CHANNELS IL_GUIDED_MOMENTS
#define MAX_FINENESS 128 /* steps of guide and matte to a level */

struct work {
	const struct il_guided_kernels *kernels;
	const struct il_guided_params *params;
	int unit;         /* guide and matte are in 0..unit */
	int radius;       /* what counts of the radius: windows that reach over all borders are all the same */
	float scale;      /* units of a and b are 1/scale */
	int32_t *columns; /* [CHANNELS][matte_width]: sums over the rows of the window; of I, p, I * I, I * p or a, b */
	int32_t *sums;    /* the same over the whole window */
	int32_t *box_scratch; /* of box_sums */
	float *counts;        /* [matte_width]: samples in each window across */
	uint32_t *samples;    /* [matte_height][matte_width]: guide | matte << 16 */
	int32_t *coefs;       /* [matte_height][2][matte_width]: a, b */
	int32_t *nothing;     /* [2 * matte_width] zeros */
	float *mean_a;        /* [matte_height][matte_width] */
	float *mean_b;        /* the same, in levels */
	float *row_a, *row_b; /* between two rows of the means; BLOCK more values, copies of the last */
	uint16_t *added;      /* [width]: sums of bytes */
	uint32_t *running;    /* [width + 1]: sums of all sums before */
	int32_t *base, *first;
	float *part;
	int32_t *starts, *ends; /* [matte_width]: the samples under each sample of the matte */
	float *spans;           /* [matte_width]: 1 / how many */
};

struct arena {
	uint8_t *base; /* NULL: only counts */
	size_t used;
};

static size_t align_up(size_t n)
{
	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static void *take(struct arena *arena, size_t size)
{
	void *start = arena->base ? arena->base + arena->used : NULL;
	arena->used += align_up(size);
	return start;
}

static void lay_out(struct work *w, struct arena *arena)
{
	size_t width = (size_t)w->params->width, columns = (size_t)w->params->matte_width;
	size_t samples = columns * (size_t)w->params->matte_height;
	w->columns = take(arena, columns * CHANNELS * sizeof *w->columns);
	w->sums = take(arena, columns * CHANNELS * sizeof *w->sums);
	w->box_scratch = take(arena, (columns + 2 * (size_t)w->params->radius + 9) * sizeof *w->box_scratch);
	w->counts = take(arena, columns * sizeof *w->counts);
	w->samples = take(arena, samples * sizeof *w->samples);
	w->coefs = take(arena, samples * 2 * sizeof *w->coefs);
	w->nothing = take(arena, columns * 2 * sizeof *w->nothing);
	w->mean_a = take(arena, samples * sizeof *w->mean_a);
	w->mean_b = take(arena, samples * sizeof *w->mean_b);
	w->row_a = take(arena, (columns + BLOCK) * sizeof *w->row_a);
	w->row_b = take(arena, (columns + BLOCK) * sizeof *w->row_b);
	w->added = take(arena, width * sizeof *w->added);
	w->running = take(arena, (width + 1) * sizeof *w->running);
	w->base = take(arena, (width / BLOCK + 1) * sizeof *w->base);
	w->first = take(arena, width * sizeof *w->first);
	w->part = take(arena, width * sizeof *w->part);
	w->starts = take(arena, columns * sizeof *w->starts);
	w->ends = take(arena, columns * sizeof *w->ends);
	w->spans = take(arena, columns * sizeof *w->spans);
}

size_t il_guided_scratch(const struct il_guided_params *params)
{
	struct work w = { .params = params };
	struct arena counter = { NULL, ALIGN };
	lay_out(&w, &counter);
	return counter.used;
}

/* Samples of n under sample i of m begin here and end where those of the next begin; there is at least one. */
static int span_start(int i, int m, int n)
{
	return (int)((int64_t)i * n / m);
}

static inline int span_length(int start, int next)
{
	return next > start ? next - start : 1;
}

/* One row of the small guide, from column sums of `rows` rows. */
static void shrink_sums(const struct work *w, uint32_t *out, int rows)
{
	const int n = w->params->matte_width;
	const float share = (float)w->unit / (255.0f * (float)rows);
	uint32_t sum = 0;
	for (int x = 0; x < w->params->width; x++) {
		w->running[x] = sum;
		sum += w->added[x];
	}
	w->running[w->params->width] = sum;
	for (int x = 0; x < n; x++)
		w->sums[x] = (int32_t)(w->running[w->ends[x]] - w->running[w->starts[x]]);
	for (int x = 0; x < n; x++)
		out[x] = (uint32_t)(int)((float)w->sums[x] * (share * w->spans[x]) + 0.5f);
}

/* The small guide. Of more than MAX_ADDED rows under one sample, only every second, third ... counts. */
static void shrink_luma(const struct work *w, const uint8_t *luma, ptrdiff_t stride)
{
	const struct il_guided_params *p = w->params;
	for (int x = 0; x < p->matte_width; x++) {
		int start = span_start(x, p->matte_width, p->width);
		int n = span_length(start, span_start(x + 1, p->matte_width, p->width));
		w->starts[x] = start;
		w->ends[x] = start + n;
		w->spans[x] = 1.0f / (float)n;
	}
	for (int y = 0; y < p->matte_height; y++) {
		int top = span_start(y, p->matte_height, p->height), rows = 0;
		int n = span_length(top, span_start(y + 1, p->matte_height, p->height));
		int step = (n + MAX_ADDED - 1) / MAX_ADDED;
		memset(w->added, 0, (size_t)p->width * sizeof *w->added);
		for (int i = 0; i < n; i += step, rows++)
			w->kernels->add_row(w->added, luma + (top + i) * stride, p->width);
		shrink_sums(w, w->samples + (ptrdiff_t)y * p->matte_width, rows);
	}
}

/* Puts the matte beside the guide. */
static void load_matte(const struct work *w, const struct il_guided_matte *matte)
{
	const int n = w->params->matte_width, fineness = w->unit / 255;
	for (int y = 0; y < w->params->matte_height; y++) {
		uint32_t *out = w->samples + (ptrdiff_t)y * n;
		const uint8_t *bytes = matte->bytes + (matte->bytes ? y * matte->stride : 0);
		const float *floats =
			(const float *)((const char *)matte->floats + (matte->floats ? y * matte->stride : 0));
		if (matte->bytes)
			for (int x = 0; x < n; x++)
				out[x] |= (uint32_t)(bytes[x] * fineness) << 16;
		else
			for (int x = 0; x < n; x++)
				out[x] |= (uint32_t)(int)(floats[x] * (float)w->unit + 0.5f) << 16;
	}
}

/* How many of n samples there are within the radius of sample i. */
static int window_length(const struct work *w, int i, int n)
{
	int first = i > w->radius ? i - w->radius : 0, last = w->radius < n - i ? i + w->radius : n - 1;
	return last - first + 1;
}

/* All sums stay below 2^31: see IL_SIGNATURE_SLIDE_MOMENTS. The variance v of a matte in 0..1 is at most 1/4, so that
 * |a| <= sqrt(v * variance(I)) / (variance(I) + epsilon) <= 1 / (4 * sqrt(epsilon)), and |b| <= 1 + |a|. */
static void choose_units(struct work *w)
{
	const struct il_guided_params *p = w->params;
	int larger = p->matte_width > p->matte_height ? p->matte_width : p->matte_height;
	w->radius = p->radius < larger ? p->radius : larger;
	int across = 2 * w->radius + 1 < p->matte_width ? 2 * w->radius + 1 : p->matte_width;
	int down = 2 * w->radius + 1 < p->matte_height ? 2 * w->radius + 1 : p->matte_height;
	double samples = (double)across * down, steps = floor(sqrt(2147483647.0 / samples) / 255);
	w->unit = 255 * (steps < MAX_FINENESS ? (int)steps : MAX_FINENESS);
	w->scale = (float)(1073741824.0 / (samples * (2 + 0.25 / sqrt((double)p->epsilon))));
	for (int x = 0; x < p->matte_width; x++)
		w->counts[x] = (float)window_length(w, x, p->matte_width);
	memset(w->nothing, 0, (size_t)p->matte_width * 2 * sizeof *w->nothing);
}

static void slide_coefs(int32_t *restrict columns, const int32_t *in, const int32_t *out, int n)
{
	for (int x = 0; x < n; x++)
		columns[x] += in[x] - out[x];
}

/* Rows y - radius to y + radius get their sums: one comes in, one goes out. */
static void slide_rows(const struct work *w, int y, bool coefs)
{
	const int n = w->params->matte_width, h = w->params->matte_height, in = y + w->radius, out = y - w->radius - 1;
	if (coefs)
		slide_coefs(w->columns, in < h ? w->coefs + (ptrdiff_t)in * 2 * n : w->nothing,
		            out >= 0 ? w->coefs + (ptrdiff_t)out * 2 * n : w->nothing, 2 * n);
	else
		w->kernels->slide_moments(w->columns,
		                          in < h ? w->samples + (ptrdiff_t)in * n : (const uint32_t *)w->nothing,
		                          out >= 0 ? w->samples + (ptrdiff_t)out * n : (const uint32_t *)w->nothing, n);
}

/* The sums of the windows of row y, `channels` of them. */
static void sum_windows(const struct work *w, int y, int channels)
{
	const int n = w->params->matte_width;
	if (y == 0) {
		memset(w->columns, 0, (size_t)n * CHANNELS * sizeof *w->columns);
		for (int i = -w->radius; i < 0; i++)
			slide_rows(w, i, channels == 2);
	}
	slide_rows(w, y, channels == 2);
	for (int c = 0; c < channels; c++)
		w->kernels->box_sums(w->sums + (ptrdiff_t)c * n, w->columns + (ptrdiff_t)c * n, n, w->radius,
		                     w->box_scratch);
}

static void solve(const struct work *w)
{
	const int n = w->params->matte_width;
	struct il_guided_solver by = { .epsilon = w->params->epsilon * (float)w->unit * (float)w->unit,
		                       .unit = (float)w->unit,
		                       .scale = w->scale };
	for (int y = 0; y < w->params->matte_height; y++) {
		int32_t *a = w->coefs + (ptrdiff_t)y * 2 * n;
		sum_windows(w, y, CHANNELS);
		by.rows = (float)window_length(w, y, w->params->matte_height);
		w->kernels->solve(a, a + n, w->sums, w->counts, &by, n);
	}
}

static void average(const struct work *w)
{
	const int n = w->params->matte_width;
	for (int y = 0; y < w->params->matte_height; y++) {
		float *a = w->mean_a + (ptrdiff_t)y * n, *b = w->mean_b + (ptrdiff_t)y * n;
		float samples = w->scale * (float)window_length(w, y, w->params->matte_height);
		sum_windows(w, y, 2);
		for (int x = 0; x < n; x++) {
			float share = 1.0f / (samples * w->counts[x]);
			a[x] = (float)w->sums[x] * share;
			b[x] = (float)w->sums[n + x] * share * 255.0f;
		}
	}
}

/* Position i of n between the centres of m samples. */
static int map_centre(int i, int n, int m, float *part)
{
	double position = ((double)i + 0.5) * m / n - 0.5;
	int first = position > 0.0 ? (int)position : 0;
	first = first < m - 1 ? first : m - 1;
	double t = position - first;
	*part = (float)(t < 0.0 || first == m - 1 ? 0.0 : t);
	return first;
}

static struct il_guided_map map_row(const struct work *w)
{
	const struct il_guided_params *p = w->params;
	struct il_guided_map map = { w->base, w->first, w->part, 1 };
	for (int x = 0; x < p->width; x++) {
		int k = map_centre(x, p->width, p->matte_width, &w->part[x]);
		if (x % BLOCK == 0)
			w->base[x / BLOCK] = k;
		w->first[x] = k - w->base[x / BLOCK];
		if (w->first[x] > BLOCK - 2)
			map.narrow = 0;
	}
	return map;
}

static void blend_rows(float *out, const float *upper, const float *lower, float part, int n)
{
	for (int x = 0; x < n; x++)
		out[x] = upper[x] + (lower[x] - upper[x]) * part;
	for (int x = n; x < n + BLOCK; x++)
		out[x] = out[n - 1];
}

static void apply(const struct work *w, uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *luma, ptrdiff_t luma_stride)
{
	const struct il_guided_params *p = w->params;
	const struct il_guided_map map = map_row(w);
	int n = p->matte_width;
	for (int y = 0; y < p->height; y++) {
		float part;
		int k = map_centre(y, p->height, p->matte_height, &part);
		ptrdiff_t upper = (ptrdiff_t)k * n, lower = k + 1 < p->matte_height ? upper + n : upper;
		blend_rows(w->row_a, w->mean_a + upper, w->mean_a + lower, part, n);
		blend_rows(w->row_b, w->mean_b + upper, w->mean_b + lower, part, n);
		w->kernels->apply_row(dst + y * dst_stride, luma + y * luma_stride, w->row_a, w->row_b, &map, p->width);
	}
}

void il_guided_upsample(uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *luma, ptrdiff_t luma_stride,
                        const struct il_guided_matte *matte, const struct il_guided_params *params, void *scratch)
{
	struct work w = { .kernels = il_kernels_get()->guided, .params = params };
	struct arena arena = { (uint8_t *)align_up((uintptr_t)scratch), 0 };
	lay_out(&w, &arena);
	choose_units(&w);
	shrink_luma(&w, luma, luma_stride);
	load_matte(&w, matte);
	solve(&w);
	average(&w);
	apply(&w, dst, dst_stride, luma, luma_stride);
}
