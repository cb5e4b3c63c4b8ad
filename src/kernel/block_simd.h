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
#define CONVOLVED                                                                                                      \
	8        /* neighbouring pixels of the depthwise convolution; so many sums fit beside the weights of a row     \
	          */
#define AHEAD 12 /* pixels fetched before they are written */
#define LONG 128 /* values of k from which b is fetched ahead */

_Static_assert(PANEL <= IL_BLOCK_MAX_LANES && TILE <= IL_BLOCK_MAX_TILE, "what block_run.c has room for");

struct sums {
	vf at[TILE][2];
};

/* When it is made what pixels begin with, if that takes more than a load. PREPARED_AHEAD: between the steps of the
 * product of the tile before, which leave room for it; the multipliers would wait for it between two tiles. */
enum prepared {
	NOT_PREPARED,
	PREPARED,
	PREPARED_AHEAD,
};

/* Hides from the compiler what is at p: or it keeps that in registers, which takes them from the sums. */
#define keep_in_memory(p) __asm__ volatile("" : "+r"(p))

static inline __attribute__((always_inline)) void start_tile(struct sums *s, const struct il_block_product *p,
                                                             const struct il_block_pixel *pixels)
{
	if (p->start == IL_BLOCK_FROM_SUM) {
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++) {
			const float *c = p->c + (size_t)pixels[i].to * p->c_stride;
			s->at[i][0] = load_first(c, p->c_lanes);
			s->at[i][1] = load_first(c + LANES, p->c_lanes - LANES);
		}
		return;
	}
	const vf b0 = load(p->bias), b1 = load(p->bias + LANES);
#pragma GCC unroll 16
	for (int i = 0; i < TILE; i++) {
		s->at[i][0] = b0;
		s->at[i][1] = b1;
	}
}

static inline __attribute__((always_inline)) void load_tile(struct sums *s, const float *begin)
{
#pragma GCC unroll 16
	for (int i = 0; i < TILE; i++) {
		s->at[i][0] = load(begin + i * PANEL);
		s->at[i][1] = load(begin + i * PANEL + LANES);
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
	if (p->c_lanes == PANEL) {
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++) {
			float *c = p->c + (size_t)pixels[i].to * p->c_stride;
			store(c, s->at[i][0]);
			store(c + LANES, s->at[i][1]);
		}
		return;
	}
#pragma GCC unroll 16
	for (int i = 0; i < TILE; i++) {
		float *c = p->c + (size_t)pixels[i].to * p->c_stride;
		store_first(c, s->at[i][0], p->c_lanes);
		store_first(c + LANES, s->at[i][1], p->c_lanes - LANES);
	}
}

/* What a pixel begins with, where that takes more than a load. */
static inline __attribute__((always_inline)) void prepare(float *begin, const struct il_block_product *p,
                                                          const struct il_block_pixel *pixel, enum il_block_start start,
                                                          enum il_block_added added_type, int lanes)
{
	vf s0 = load(p->bias), s1 = load(p->bias + LANES);
	if (start == IL_BLOCK_FROM_LOW) {
		const float *low = p->low + (size_t)pixel->low * PANEL;
		const vf part = set1(pixel->part);
		s0 = load(low);
		s1 = load(low + LANES);
		s0 = madd(part, sub(load(low + PANEL), s0), s0);
		s1 = madd(part, sub(load(low + PANEL + LANES), s1), s1);
	}
	const size_t at = (size_t)pixel->added * p->added_stride;
	if (added_type == IL_BLOCK_FLOAT_ADDED) {
		const float *added = (const float *)p->added + at;
		s0 = add(s0, load_first(added, lanes));
		s1 = add(s1, load_first(added + LANES, lanes - LANES));
	} else if (added_type == IL_BLOCK_HALF_ADDED) {
		const uint16_t *added = (const uint16_t *)p->added + at;
		__builtin_prefetch(added + p->added_ahead, 0, 2);
		s0 = add(s0, load_half_first(added, lanes));
		s1 = add(s1, load_half_first(added + LANES, lanes - LANES));
	}
	keep_order(&s0, &s1);
	store(begin, s0);
	store(begin + LANES, s1);
}

static inline __attribute__((always_inline)) void next_values(const float *a[TILE], size_t step)
{
#pragma GCC unroll 16
	for (int i = 0; i < TILE; i++)
		a[i] += step;
}

/* The first values of k: between the steps, what the tile ends with is fetched and the next one is prepared. */
static inline __attribute__((always_inline)) void
multiply_first(struct sums *s, const float *const a[TILE], const struct il_block_product *p,
               const struct il_block_pixel *pixels, float *begin, const struct il_block_pixel *next,
               enum il_block_start start, enum il_block_added added_type)
{
#pragma GCC unroll 32
	for (int j = 0; j < PANEL; j++) {
		const int i = j / 2;
		multiply_step(s, a, p->b, j);
		if (j % 2 || i >= TILE)
			continue;
		__builtin_prefetch(p->c + (size_t)pixels[i].to * p->c_stride, 1);
		__builtin_prefetch(a[i] + TILE * p->a_stride);
		if (next)
			prepare(begin + i * PANEL, p, next + i, start, added_type, PANEL);
	}
}

static inline __attribute__((always_inline)) void multiply_rest(struct sums *s, const float *a[TILE],
                                                                const struct il_block_product *p, int k)
{
	const float *b = p->b + (size_t)k * PANEL;
	for (; k + PANEL <= p->k; k += PANEL, b += PANEL * PANEL) {
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++)
			__builtin_prefetch(a[i] + TILE * p->a_stride);
#pragma GCC unroll 32
		for (int j = 0; j < PANEL; j++)
			multiply_step(s, a, b, j);
		next_values(a, p->a_step);
	}
	for (int j = 0; j < p->k - k; j++)
		multiply_step(s, a, b, j);
}

static inline __attribute__((always_inline)) void prepare_tile(float *begin, const struct il_block_product *p,
                                                               const struct il_block_pixel *pixels,
                                                               enum il_block_start start,
                                                               enum il_block_added added_type, int lanes)
{
	for (int i = 0; i < TILE; i++)
		prepare(begin + i * PANEL, p, pixels + i, start, added_type, lanes);
}

static inline __attribute__((always_inline)) void fetch_sums(const struct il_block_product *p,
                                                             const struct il_block_pixel *pixels)
{
#pragma GCC unroll 16
	for (int i = 0; i < TILE; i++)
		__builtin_prefetch(p->c + (size_t)pixels[i].to * p->c_stride, 1);
}

/* start and added_type are those of the product, known to the compiler, for PREPARED_AHEAD; nothing else reads them. */
static inline __attribute__((always_inline)) void multiply_tiles(const struct il_block_product *product,
                                                                 enum prepared prepared, enum il_block_start start,
                                                                 enum il_block_added added_type)
{
	const struct il_block_product p = *product;
	if (p.n == 0)
		return;
	/* What is multiplied next lies behind b. */
	const float *ahead = p.b + (size_t)p.k * PANEL;
	const int share = p.k < LONG ? 0 : p.k * PANEL * TILE / p.n;
	float room[TILE * PANEL], *begin = room;
	keep_in_memory(begin);
	if (prepared == PREPARED_AHEAD)
		prepare_tile(begin, &p, p.pixels, start, added_type, PANEL);
	for (int first = 0; first < p.n; first += TILE) {
		const struct il_block_pixel *pixels = p.pixels + first;
		const struct il_block_pixel *next = first + TILE < p.n ? pixels + TILE : pixels;
		const float *a[TILE];
		struct sums s;
		if (prepared == PREPARED)
			prepare_tile(begin, &p, pixels, p.start, p.added_type, p.added_lanes);
		if (prepared == NOT_PREPARED)
			start_tile(&s, &p, pixels);
		else
			load_tile(&s, begin);
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++)
			a[i] = p.a + (size_t)pixels[i].from * p.a_stride;
		for (int i = 0; i < share; i += 16)
			__builtin_prefetch(ahead + i, 0, 2);
		ahead += share;
		if (p.k >= PANEL && (prepared == PREPARED_AHEAD || p.k < LONG)) {
			multiply_first(&s, a, &p, pixels, begin, prepared == PREPARED_AHEAD ? next : NULL, start,
			               added_type);
			next_values(a, p.a_step);
			multiply_rest(&s, a, &p, PANEL);
		} else {
			fetch_sums(&p, pixels);
			if (prepared == PREPARED_AHEAD)
				prepare_tile(begin, &p, next, start, added_type, PANEL);
			multiply_rest(&s, a, &p, 0);
		}
		store_tile(&s, &p, pixels);
	}
}

static IL_SIGNATURE_BLOCK_MULTIPLY(multiply)
{
	const bool low = product->start == IL_BLOCK_FROM_LOW, full = product->added_lanes == PANEL;
	if (low && product->added_type == IL_BLOCK_NOTHING_ADDED)
		multiply_tiles(product, PREPARED_AHEAD, IL_BLOCK_FROM_LOW, IL_BLOCK_NOTHING_ADDED);
	else if (low && product->added_type == IL_BLOCK_HALF_ADDED && full)
		multiply_tiles(product, PREPARED_AHEAD, IL_BLOCK_FROM_LOW, IL_BLOCK_HALF_ADDED);
	else if (!low && product->added_type == IL_BLOCK_FLOAT_ADDED && full)
		multiply_tiles(product, PREPARED_AHEAD, IL_BLOCK_FROM_BIAS, IL_BLOCK_FLOAT_ADDED);
	else if (low || product->added_type != IL_BLOCK_NOTHING_ADDED)
		multiply_tiles(product, PREPARED, 0, 0);
	else
		multiply_tiles(product, NOT_PREPARED, 0, 0);
}

/* n neighbouring pixels of one vector of a panel. A value is loaded once a row for the up to three that it is in. */
static inline __attribute__((always_inline)) void convolve(float *out, const float *const rows[3], const float *weights,
                                                           int n, int stride)
{
	vf sums[CONVOLVED];
#pragma GCC unroll 16
	for (int i = 0; i < n; i++)
		sums[i] = load(weights + 9 * PANEL);
#pragma GCC unroll 3
	for (int y = 0; y < 3; y++) {
		const float *from = rows[y], *w = weights + 3 * y * PANEL;
		const vf left = load(w), middle = load(w + PANEL), right = load(w + 2 * PANEL);
#pragma GCC unroll 32
		for (int x = 0; x < stride * (n - 1) + 3; x++) {
			const vf v = load(from + x * PANEL);
#pragma GCC unroll 3
			for (int tap = 2; tap >= 0; tap--) {
				const int i = x - tap;
				if (i >= 0 && i % stride == 0 && i / stride < n)
					sums[i / stride] = madd(tap == 0   ? left
					                        : tap == 1 ? middle
					                                   : right,
					                        v, sums[i / stride]);
			}
		}
	}
#pragma GCC unroll 16
	for (int i = 0; i < n; i++)
		store(out + i * PANEL, max0(sums[i]));
}

static inline __attribute__((always_inline)) void convolve_row(float *out, const float *const from[3],
                                                               const float *weights, int n, int stride)
{
	for (int half = 0; half < PANEL; half += LANES) {
		const float *rows[3] = { from[0] + half, from[1] + half, from[2] + half };
		float *to = out + half;
		int i = 0;
		for (; i + CONVOLVED <= n; i += CONVOLVED, to += CONVOLVED * PANEL) {
			for (int j = 0; j < CONVOLVED && !half; j++)
				__builtin_prefetch(to + (AHEAD + j) * PANEL, 1);
			convolve(to, rows, weights + half, CONVOLVED, stride);
			for (int y = 0; y < 3; y++)
				rows[y] += CONVOLVED * stride * PANEL;
		}
		for (; i < n; i++, to += PANEL) {
			convolve(to, rows, weights + half, 1, stride);
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

static IL_SIGNATURE_BLOCK_WIDEN(widen)
{
	for (size_t i = 0; i < n; i += LANES) {
		const int left = n - i < LANES ? (int)(n - i) : LANES;
		store_first(to + i, load_half_first(from + i, left), left);
	}
}
