/* The kernels of a block for any width of vectors; included once by each table's source, behind a layer that defines
 *
 *     vf                     a vector of LANES floats, at most 16
 *     TILE                   pixels of a tile: 2 * TILE sums, 2 columns and a broadcast fit into the registers
 *     load, store, set1, add, sub, max0 (0 for NaN), madd(a, b, c) = a * b + c
 *     keep_order             nothing, or that the compiler leaves these two where they are among others of their kind:
 *                            it may not collect broadcasts until the registers are gone
 *     load_first, load_half_first, store_first   of n values, n a multiple of 8 or more than LANES; zeros beyond
 */
#include "kernel/block_kernels.h"

#define PANEL (2 * LANES)
#define AHEAD 12 /* pixels fetched before they are written */
#define LONG 128 /* values of k from which b is fetched ahead */

_Static_assert(PANEL <= IL_BLOCK_MAX_LANES && TILE <= IL_BLOCK_MAX_TILE, "what block_run.c has room for");

struct sums {
	vf at[TILE][2];
};

static inline __attribute__((always_inline)) void start_tile(struct sums *s, const struct il_block_product *p,
                                                             const struct il_block_pixel *pixels)
{
	if (p->start == IL_BLOCK_FROM_LOW) {
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++) {
			const float *low = p->low + (size_t)pixels[i].low * PANEL;
			const vf part = set1(pixels[i].part), b0 = load(low), b1 = load(low + LANES);
			s->at[i][0] = madd(part, sub(load(low + PANEL), b0), b0);
			s->at[i][1] = madd(part, sub(load(low + PANEL + LANES), b1), b1);
		}
	} else if (p->start == IL_BLOCK_FROM_SUM) {
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++) {
			const float *c = p->c + (size_t)pixels[i].to * p->c_stride;
			s->at[i][0] = load_first(c, p->c_lanes);
			s->at[i][1] = load_first(c + LANES, p->c_lanes - LANES);
		}
	} else {
		const vf b0 = load(p->bias), b1 = load(p->bias + LANES);
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++) {
			s->at[i][0] = b0;
			s->at[i][1] = b1;
		}
	}
}

static inline __attribute__((always_inline)) void add_to_tile(struct sums *s, const struct il_block_product *p,
                                                              const struct il_block_pixel *pixels)
{
	if (p->added_type == IL_BLOCK_FLOAT_ADDED) {
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++) {
			const float *from = (const float *)p->added + (size_t)pixels[i].added * p->added_stride;
			s->at[i][0] = add(s->at[i][0], load_first(from, p->added_lanes));
			s->at[i][1] = add(s->at[i][1], load_first(from + LANES, p->added_lanes - LANES));
		}
	} else if (p->added_type == IL_BLOCK_HALF_ADDED) {
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++) {
			const uint16_t *from = (const uint16_t *)p->added + (size_t)pixels[i].added * p->added_stride;
			s->at[i][0] = add(s->at[i][0], load_half_first(from, p->added_lanes));
			s->at[i][1] = add(s->at[i][1], load_half_first(from + LANES, p->added_lanes - LANES));
		}
	}
}

static inline __attribute__((always_inline)) void multiply_step(struct sums *s, const float *const a[TILE],
                                                                const float *b, int k)
{
	const vf b0 = load(b + (size_t)k * PANEL), b1 = load(b + (size_t)k * PANEL + LANES);
#pragma GCC unroll 16
	for (int i = 0; i < TILE; i++) {
		const vf v = set1(a[i][k]);
		s->at[i][0] = madd(v, b0, s->at[i][0]);
		s->at[i][1] = madd(v, b1, s->at[i][1]);
		keep_order(&s->at[i][0], &s->at[i][1]);
	}
}

static inline __attribute__((always_inline)) void store_tile(struct sums *s, const struct il_block_product *p,
                                                             const struct il_block_pixel *pixels)
{
	if (p->relu) {
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++) {
			s->at[i][0] = max0(s->at[i][0]);
			s->at[i][1] = max0(s->at[i][1]);
		}
	}
#pragma GCC unroll 16
	for (int i = 0; i < TILE; i++) {
		float *c = p->c + (size_t)pixels[i].to * p->c_stride;
		store_first(c, s->at[i][0], p->c_lanes);
		store_first(c + LANES, s->at[i][1], p->c_lanes - LANES);
	}
}

static IL_SIGNATURE_BLOCK_MULTIPLY(multiply)
{
	const struct il_block_product p = *product;
	/* What is multiplied next lies behind b. */
	const float *ahead = p.b + (size_t)p.k * PANEL;
	const int share = p.k < LONG ? 0 : p.k * PANEL * TILE / p.n;
	for (int first = 0; first < p.n; first += TILE) {
		const struct il_block_pixel *pixels = p.pixels + first;
		const float *a[TILE], *b = p.b;
		struct sums s;
		start_tile(&s, &p, pixels);
		add_to_tile(&s, &p, pixels);
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++) {
			a[i] = p.a + (size_t)pixels[i].from * p.a_stride;
			__builtin_prefetch(p.c + (size_t)pixels[i].to * p.c_stride, 1);
		}
		for (int i = 0; i < share; i += 16)
			__builtin_prefetch(ahead + i, 0, 2);
		ahead += share;
		int k = 0;
		for (; k + PANEL <= p.k; k += PANEL, b += PANEL * PANEL) {
#pragma GCC unroll 16
			for (int i = 0; i < TILE; i++)
				__builtin_prefetch(a[i] + TILE * p.a_stride);
#pragma GCC unroll 32
			for (int j = 0; j < PANEL; j++)
				multiply_step(&s, a, b, j);
#pragma GCC unroll 16
			for (int i = 0; i < TILE; i++)
				a[i] += p.a_step;
		}
		for (int j = 0; j < p.k - k; j++)
			multiply_step(&s, a, b, j);
		store_tile(&s, &p, pixels);
	}
}

/* Four neighbouring pixels of one vector of a panel. */
static inline __attribute__((always_inline)) void convolve_four(float *out, const float *const rows[3],
                                                                const float *weights, int stride)
{
	vf a = load(weights + 9 * PANEL), b = a, c = a, d = a;
#pragma GCC unroll 9
	for (int tap = 0; tap < 9; tap++) {
		const float *from = rows[tap / 3] + tap % 3 * PANEL;
		const vf w = load(weights + tap * PANEL);
		a = madd(w, load(from), a);
		b = madd(w, load(from + stride * PANEL), b);
		c = madd(w, load(from + 2 * stride * PANEL), c);
		d = madd(w, load(from + 3 * stride * PANEL), d);
	}
	store(out, max0(a));
	store(out + PANEL, max0(b));
	store(out + 2 * PANEL, max0(c));
	store(out + 3 * PANEL, max0(d));
}

static inline __attribute__((always_inline)) void convolve_one(float *out, const float *const rows[3],
                                                               const float *weights)
{
	vf a = load(weights + 9 * PANEL);
#pragma GCC unroll 9
	for (int tap = 0; tap < 9; tap++)
		a = madd(load(weights + tap * PANEL), load(rows[tap / 3] + tap % 3 * PANEL), a);
	store(out, max0(a));
}

static inline __attribute__((always_inline)) void convolve_row(float *out, const float *const from[3],
                                                               const float *weights, int n, int stride)
{
	for (int half = 0; half < PANEL; half += LANES) {
		const float *rows[3] = { from[0] + half, from[1] + half, from[2] + half };
		float *to = out + half;
		int i = 0;
		for (; i + 4 <= n; i += 4, to += 4 * PANEL) {
			for (int j = 0; j < 4 && !half; j++)
				__builtin_prefetch(to + (AHEAD + j) * PANEL, 1);
			convolve_four(to, rows, weights + half, stride);
			for (int y = 0; y < 3; y++)
				rows[y] += 4 * stride * PANEL;
		}
		for (; i < n; i++, to += PANEL) {
			convolve_one(to, rows, weights + half);
			for (int y = 0; y < 3; y++)
				rows[y] += stride * PANEL;
		}
	}
}

static IL_SIGNATURE_BLOCK_DEPTHWISE(depthwise)
{
	if (stride == 1)
		convolve_row(out, rows, weights, n, 1);
	else
		convolve_row(out, rows, weights, n, 2);
}

static IL_SIGNATURE_BLOCK_BETWEEN(between)
{
	const vf w = set1(part);
	for (size_t i = 0; i < (size_t)n * PANEL; i += LANES) {
		const vf u = load(upper + i);
		store(values + i, madd(w, sub(load(lower + i), u), u));
	}
	for (size_t i = (size_t)n * PANEL; i < (size_t)(n + 1) * PANEL; i += LANES)
		store(values + i, load(values + i - PANEL));
}
