/* Coefficients are made with running sums in double precision: variances are differences of nearly equal numbers. */
#include "kernel/guided.h"

#include <string.h>

#include "kernel/guided_kernels.h"
#include "kernel/kernel.h"

#define ALIGN 64
#define BLOCK IL_GUIDED_BLOCK
#define MAX_ADDED 257 /* rows of bytes whose sum fits into 16 bits */
#define CHANNELS 4    /* I, p, I * I, I * p; later a, b */

struct work {
	const struct il_guided_kernels *kernels;
	const struct il_guided_params *params;
	double *columns;      /* [CHANNELS][matte_width]: sums over the rows of the window */
	double *shares;       /* [matte_width] */
	double *means;        /* [CHANNELS][matte_width] of a row */
	float *guide;         /* [matte_height][matte_width] */
	float *matte;         /* the same */
	float *a, *b;         /* the same; in the end their means, b in levels */
	float *row_a, *row_b; /* between two rows of the means; BLOCK more values, copies of the last */
	uint16_t *sums;       /* [width] */
	uint32_t *running;    /* [width + 1]: sums of all sums before */
	int32_t *base, *first;
	float *part;
	int32_t *edges; /* [matte_width + 1]: where the samples under each sample of the matte begin */
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
	w->shares = take(arena, columns * sizeof *w->shares);
	w->means = take(arena, columns * CHANNELS * sizeof *w->means);
	w->guide = take(arena, samples * sizeof *w->guide);
	w->matte = take(arena, samples * sizeof *w->matte);
	w->a = take(arena, samples * sizeof *w->a);
	w->b = take(arena, samples * sizeof *w->b);
	w->row_a = take(arena, (columns + BLOCK) * sizeof *w->row_a);
	w->row_b = take(arena, (columns + BLOCK) * sizeof *w->row_b);
	w->sums = take(arena, width * sizeof *w->sums);
	w->running = take(arena, (width + 1) * sizeof *w->running);
	w->base = take(arena, (width / BLOCK + 1) * sizeof *w->base);
	w->first = take(arena, width * sizeof *w->first);
	w->part = take(arena, width * sizeof *w->part);
	w->edges = take(arena, (columns + 1) * sizeof *w->edges);
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

/* One row of the small guide, from column sums of `rows` rows. Samples under a sample of the matte are as many as under
 * any other, or one more. */
static void shrink_sums(const struct work *w, float *out, int rows)
{
	const struct il_guided_params *p = w->params;
	const int least = span_length(0, p->width / p->matte_width);
	const double shares[2] = { 1.0 / (255.0 * rows * least), 1.0 / (255.0 * rows * (least + 1)) };
	uint32_t sum = 0;
	for (int x = 0; x < p->width; x++) {
		w->running[x] = sum;
		sum += w->sums[x];
	}
	w->running[p->width] = sum;
	for (int x = 0; x < p->matte_width; x++) {
		int start = w->edges[x], n = span_length(start, w->edges[x + 1]);
		out[x] = (float)((w->running[start + n] - w->running[start]) * shares[n - least]);
	}
}

/* The small guide. Of more than MAX_ADDED rows under one sample, only every second, third ... counts. */
static void shrink_luma(const struct work *w, const uint8_t *luma, ptrdiff_t stride)
{
	const struct il_guided_params *p = w->params;
	for (int x = 0; x <= p->matte_width; x++)
		w->edges[x] = span_start(x, p->matte_width, p->width);
	for (int y = 0; y < p->matte_height; y++) {
		int top = span_start(y, p->matte_height, p->height), rows = 0;
		int n = span_length(top, span_start(y + 1, p->matte_height, p->height));
		int step = (n + MAX_ADDED - 1) / MAX_ADDED;
		memset(w->sums, 0, (size_t)p->width * sizeof *w->sums);
		for (int i = 0; i < n; i += step, rows++)
			w->kernels->add_row(w->sums, luma + (top + i) * stride, p->width);
		shrink_sums(w, w->guide + (ptrdiff_t)y * p->matte_width, rows);
	}
}

static void load_matte(const struct work *w, const struct il_guided_matte *matte)
{
	const struct il_guided_params *p = w->params;
	for (int y = 0; y < p->matte_height; y++) {
		float *out = w->matte + (ptrdiff_t)y * p->matte_width;
		if (matte->floats) {
			memcpy(out, (const char *)matte->floats + y * matte->stride,
			       (size_t)p->matte_width * sizeof *out);
			continue;
		}
		const uint8_t *in = matte->bytes + y * matte->stride;
		for (int x = 0; x < p->matte_width; x++)
			out[x] = (float)in[x] / 255.0f;
	}
}

/* Adds row y to the column sums, or takes it away again (sign -1). */
typedef void add_fn(const struct work *w, int y, double sign);

static void add_moments(const struct work *w, int y, double sign)
{
	int n = w->params->matte_width;
	const float *guide = w->guide + (ptrdiff_t)y * n, *matte = w->matte + (ptrdiff_t)y * n;
	double *restrict sum_i = w->columns, *restrict sum_p = sum_i + n, *restrict sum_ii = sum_p + n;
	double *restrict sum_ip = sum_ii + n;
	for (int x = 0; x < n; x++) {
		double i = (double)guide[x], p = (double)matte[x], signed_i = sign * i;
		sum_i[x] += signed_i;
		sum_p[x] += sign * p;
		sum_ii[x] += signed_i * i;
		sum_ip[x] += signed_i * p;
	}
}

static void add_coefficients(const struct work *w, int y, double sign)
{
	int n = w->params->matte_width;
	const float *a = w->a + (ptrdiff_t)y * n, *b = w->b + (ptrdiff_t)y * n;
	double *restrict sum_a = w->columns, *restrict sum_b = sum_a + n;
	for (int x = 0; x < n; x++) {
		sum_a[x] += sign * (double)a[x];
		sum_b[x] += sign * (double)b[x];
	}
}

/* What becomes of a row of means: x values of channel c begin at means[c * matte_width]. */
typedef void finish_fn(const struct work *w, int y);

static void solve(const struct work *w, int y)
{
	int n = w->params->matte_width;
	double epsilon = (double)w->params->epsilon;
	const double *restrict mean_i = w->means, *restrict mean_p = mean_i + n, *restrict mean_ii = mean_p + n;
	const double *restrict mean_ip = mean_ii + n;
	float *restrict out_a = w->a + (ptrdiff_t)y * n, *restrict out_b = w->b + (ptrdiff_t)y * n;
	for (int x = 0; x < n; x++) {
		double a = (mean_ip[x] - mean_i[x] * mean_p[x]) / (mean_ii[x] - mean_i[x] * mean_i[x] + epsilon);
		out_a[x] = (float)a;
		out_b[x] = (float)(mean_p[x] - a * mean_i[x]);
	}
}

/* The means go where the guide and the matte were, which are needed no more. */
static void keep_means(const struct work *w, int y)
{
	int n = w->params->matte_width;
	const double *restrict mean_a = w->means, *restrict mean_b = mean_a + n;
	float *restrict guide = w->guide + (ptrdiff_t)y * n, *restrict matte = w->matte + (ptrdiff_t)y * n;
	for (int x = 0; x < n; x++) {
		guide[x] = (float)mean_a[x];
		matte[x] = (float)(255.0 * mean_b[x]);
	}
}

static double column_at(const double *column, int n, int x)
{
	return x >= 0 && x < n ? column[x] : 0.0;
}

/* What the sum over a window gains from one sample to the next. */
static void make_steps(double *restrict steps, const double *restrict column, int n, int r)
{
	const int left = r + 1 < n ? r + 1 : n, right = n - r > left ? n - r : left;
	for (int x = 0; x < left; x++)
		steps[x] = column_at(column, n, x + r);
	for (int x = left; x < right; x++)
		steps[x] = column[x + r] - column[x - r - 1];
	for (int x = right; x < n; x++)
		steps[x] = column_at(column, n, x + r) - column[x - r - 1];
	for (int x = 0; x < r && x < n; x++)
		steps[0] += column[x];
}

static inline void finish_row(const struct work *w, int y, int rows, int channels, finish_fn *finish)
{
	const int n = w->params->matte_width, r = w->params->radius;
	const double *restrict shares = w->shares, row_share = 1.0 / rows;
	double *restrict means = w->means;
	double sums[CHANNELS] = { 0 };
	for (int c = 0; c < channels; c++)
		make_steps(means + (ptrdiff_t)c * n, w->columns + (ptrdiff_t)c * n, n, r);
	for (int x = 0; x < n; x++) {
		double share = shares[x] * row_share;
		for (int c = 0; c < channels; c++) {
			sums[c] += means[(ptrdiff_t)c * n + x];
			means[(ptrdiff_t)c * n + x] = sums[c] * share;
		}
	}
	finish(w, y);
}

/* 1 / samples in each window across. */
static void make_shares(const struct work *w)
{
	const int n = w->params->matte_width, r = w->params->radius;
	for (int x = 0; x < n; x++) {
		int first = x > r ? x - r : 0, last = r < n - x ? x + r : n - 1;
		w->shares[x] = 1.0 / (last - first + 1);
	}
}

/* Means over windows cut off at the borders; the arguments are constants where this is inlined. */
static inline void box_means(const struct work *w, int channels, add_fn *add, finish_fn *finish)
{
	int n = w->params->matte_height, r = w->params->radius;
	memset(w->columns, 0, (size_t)w->params->matte_width * CHANNELS * sizeof *w->columns);
	for (int y = 0; y < r && y < n; y++)
		add(w, y, 1.0);
	for (int y = 0; y < n; y++) {
		if (r < n - y)
			add(w, y + r, 1.0);
		if (y > r)
			add(w, y - r - 1, -1.0);
		int first = y > r ? y - r : 0, last = r < n - y ? y + r : n - 1;
		finish_row(w, y, last - first + 1, channels, finish);
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
		blend_rows(w->row_a, w->guide + upper, w->guide + lower, part, n);
		blend_rows(w->row_b, w->matte + upper, w->matte + lower, part, n);
		w->kernels->apply_row(dst + y * dst_stride, luma + y * luma_stride, w->row_a, w->row_b, &map, p->width);
	}
}

void il_guided_upsample(uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *luma, ptrdiff_t luma_stride,
                        const struct il_guided_matte *matte, const struct il_guided_params *params, void *scratch)
{
	struct work w = { .kernels = il_kernels_get()->guided, .params = params };
	struct arena arena = { (uint8_t *)align_up((uintptr_t)scratch), 0 };
	lay_out(&w, &arena);
	shrink_luma(&w, luma, luma_stride);
	load_matte(&w, matte);
	make_shares(&w);
	box_means(&w, 4, add_moments, solve);
	box_means(&w, 2, add_coefficients, keep_means);
	apply(&w, dst, dst_stride, luma, luma_stride);
}
