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

/* `vectors`, here and below: 2, or 1 where c ends with the first vector of the panel. */

/* What pixels begin with. start and added_type are those of the product, known to the compiler. The loads and sums of
 * one tile run beside the multiplications of the one before. */
static inline __attribute__((always_inline)) void start_tile(struct sums *s, const struct il_block_product *p,
                                                             const struct il_block_pixel *pixels,
                                                             enum il_block_start start, enum il_block_added added_type,
                                                             int added_lanes, int vectors)
{
	const vf b0 = load(p->bias), b1 = vectors == 2 ? load(p->bias + LANES) : b0;
#pragma GCC unroll 16
	for (int i = 0; i < TILE; i++) {
		vf s0 = b0, s1 = b1;
		if (start == IL_BLOCK_FROM_SUM) {
			const float *c = p->c + (size_t)pixels[i].to * p->c_stride;
			s0 = load_first(c, p->c_lanes);
			s1 = vectors == 2 ? load_first(c + LANES, p->c_lanes - LANES) : s0;
		} else if (start == IL_BLOCK_FROM_LOW) {
			const float *low = p->low + (size_t)pixels[i].low * PANEL;
			const vf part = set1(pixels[i].part);
			s0 = load(low);
			s1 = load(low + LANES);
			s0 = madd(part, sub(load(low + PANEL), s0), s0);
			s1 = madd(part, sub(load(low + PANEL + LANES), s1), s1);
		}
		const size_t at = (size_t)pixels[i].added * p->added_stride;
		if (added_type == IL_BLOCK_FLOAT_ADDED) {
			const float *added = (const float *)p->added + at;
			s0 = add(s0, load_first(added, added_lanes));
			s1 = vectors == 2 ? add(s1, load_first(added + LANES, added_lanes - LANES)) : s0;
		} else if (added_type == IL_BLOCK_HALF_ADDED) {
			const uint16_t *added = (const uint16_t *)p->added + at;
			__builtin_prefetch(added + p->added_ahead, 0, 2);
			s0 = add(s0, load_half_first(added, added_lanes));
			s1 = add(s1, load_half_first(added + LANES, added_lanes - LANES));
		}
		if (vectors == 2 && (start == IL_BLOCK_FROM_LOW || added_type != IL_BLOCK_NOTHING_ADDED))
			keep_order(&s0, &s1);
		s->at[i][0] = s0;
		s->at[i][1] = s1;
	}
}

static inline __attribute__((always_inline)) void multiply_step(struct sums *s, const float *const a[TILE],
                                                                const float *b, int k, int vectors)
{
	const vf b0 = load(b + (size_t)k * PANEL), b1 = vectors == 2 ? load(b + (size_t)k * PANEL + LANES) : b0;
#pragma GCC unroll 16
	for (int i = 0; i < TILE; i++) {
		const vf v = set1(a[i][k]);
		s->at[i][0] = madd(v, b0, s->at[i][0]);
		if (vectors == 1)
			continue;
		s->at[i][1] = madd(v, b1, s->at[i][1]);
		keep_order(&s->at[i][0], &s->at[i][1]);
	}
}

static inline __attribute__((always_inline)) void store_tile(struct sums *s, const struct il_block_product *p,
                                                             const struct il_block_pixel *pixels, int vectors)
{
	if (p->relu) {
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++) {
			s->at[i][0] = max0(s->at[i][0]);
			s->at[i][1] = vectors == 2 ? max0(s->at[i][1]) : s->at[i][1];
		}
	}
	if (vectors == 2 && p->c_lanes == PANEL) {
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
		if (vectors == 2)
			store_first(c + LANES, s->at[i][1], p->c_lanes - LANES);
	}
}

static inline __attribute__((always_inline)) void next_values(const float *a[TILE], size_t step)
{
#pragma GCC unroll 16
	for (int i = 0; i < TILE; i++)
		a[i] += step;
}

/* One panel of k. Between its steps, what the next tile reads and what this one writes (of `pixels`, unless that is
 * NULL) is fetched. */
static inline __attribute__((always_inline)) void multiply_panel(struct sums *s, const float *const a[TILE],
                                                                 const struct il_block_product *p, const float *b,
                                                                 const struct il_block_pixel *pixels, int vectors)
{
#pragma GCC unroll 32
	for (int j = 0; j < PANEL; j++) {
		multiply_step(s, a, b, j, vectors);
		if (j % 2 || j / 2 >= TILE)
			continue;
		__builtin_prefetch(a[j / 2] + TILE * p->a_stride);
		if (pixels)
			__builtin_prefetch(p->c + (size_t)pixels[j / 2].to * p->c_stride, 1);
	}
}

static inline __attribute__((always_inline)) void multiply_tile(struct sums *s, const float *a[TILE],
                                                                const struct il_block_product *p,
                                                                const struct il_block_pixel *pixels, int vectors)
{
	const float *b = p->b;
	int left = p->k;
	if (left >= PANEL) {
		multiply_panel(s, a, p, b, pixels, vectors);
		for (left -= PANEL, b += PANEL * PANEL; left; left -= PANEL, b += PANEL * PANEL) {
			next_values(a, p->a_step);
			if (left < PANEL)
				break;
			multiply_panel(s, a, p, b, NULL, vectors);
		}
	} else {
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++)
			__builtin_prefetch(p->c + (size_t)pixels[i].to * p->c_stride, 1);
	}
	for (int j = 0; j < left; j++)
		multiply_step(s, a, b, j, vectors);
}

static inline __attribute__((always_inline)) void multiply_tiles(const struct il_block_product *product,
                                                                 enum il_block_start start,
                                                                 enum il_block_added added_type, int added_lanes,
                                                                 int vectors)
{
	const struct il_block_product p = *product;
	/* What is multiplied next lies behind b. */
	const float *ahead = p.b + (size_t)p.k * PANEL;
	const int share = p.k < LONG || p.n == 0 ? 0 : p.k * PANEL * TILE / p.n;
	for (int first = 0; first < p.n; first += TILE) {
		const struct il_block_pixel *pixels = p.pixels + first;
		const float *a[TILE];
		struct sums s;
		start_tile(&s, &p, pixels, start, added_type, added_lanes, vectors);
#pragma GCC unroll 16
		for (int i = 0; i < TILE; i++)
			a[i] = p.a + (size_t)pixels[i].from * p.a_stride;
		for (int i = 0; i < share; i += 16)
			__builtin_prefetch(ahead + i, 0, 2);
		ahead += share;
		multiply_tile(&s, a, &p, pixels, vectors);
		store_tile(&s, &p, pixels, vectors);
	}
}

/* For a c of few channels, which is the end of a network. */
static void multiply_narrow(const struct il_block_product *product)
{
	if (product->start == IL_BLOCK_FROM_BIAS && product->added_type == IL_BLOCK_NOTHING_ADDED)
		multiply_tiles(product, IL_BLOCK_FROM_BIAS, IL_BLOCK_NOTHING_ADDED, 0, 1);
	else if (product->start == IL_BLOCK_FROM_BIAS && product->added_type == IL_BLOCK_FLOAT_ADDED)
		multiply_tiles(product, IL_BLOCK_FROM_BIAS, IL_BLOCK_FLOAT_ADDED, product->added_lanes, 1);
	else
		multiply_tiles(product, IL_BLOCK_FROM_SUM, IL_BLOCK_NOTHING_ADDED, 0, 1);
}

static void multiply_wide(const struct il_block_product *product)
{
	const bool low = product->start == IL_BLOCK_FROM_LOW, full = product->added_lanes == PANEL;
	const bool half = product->added_type == IL_BLOCK_HALF_ADDED;
	if (product->start == IL_BLOCK_FROM_SUM)
		multiply_tiles(product, IL_BLOCK_FROM_SUM, IL_BLOCK_NOTHING_ADDED, 0, 2);
	else if (product->added_type == IL_BLOCK_NOTHING_ADDED && low)
		multiply_tiles(product, IL_BLOCK_FROM_LOW, IL_BLOCK_NOTHING_ADDED, 0, 2);
	else if (product->added_type == IL_BLOCK_NOTHING_ADDED)
		multiply_tiles(product, IL_BLOCK_FROM_BIAS, IL_BLOCK_NOTHING_ADDED, 0, 2);
	else if (low && half && full)
		multiply_tiles(product, IL_BLOCK_FROM_LOW, IL_BLOCK_HALF_ADDED, PANEL, 2);
	else if (!low && !half && full)
		multiply_tiles(product, IL_BLOCK_FROM_BIAS, IL_BLOCK_FLOAT_ADDED, PANEL, 2);
	else
		multiply_tiles(product, product->start, product->added_type, product->added_lanes, 2);
}

static IL_SIGNATURE_BLOCK_MULTIPLY(multiply)
{
	if (product->c_lanes <= LANES)
		multiply_narrow(product);
	else
		multiply_wide(product);
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
