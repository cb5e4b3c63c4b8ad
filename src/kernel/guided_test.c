/* The guided filter against its formula, window by window in double precision. */
#include "tests/test.h"

#include <math.h>

#include "base/cpu.h"
#include "kernel/guided.h"
#include "kernel/guided_kernels.h"
#include "kernel/kernel.h"

static void *allocate(size_t size)
{
	void *memory = malloc(size ? size : 1);
	assert_non_null(memory);
	return memory;
}

static int random_in(int from, int to)
{
	return from + (int)(test_random() % (uint32_t)(to - from + 1));
}

/* Mean over the window of `radius` round x, y, cut off at the borders. */
static double window_mean(const double *p, const double *q, int w, int h, int x, int y, int radius)
{
	double sum = 0;
	int n = 0;
	for (int i = y - radius; i <= y + radius; i++)
		for (int j = x - radius; j <= x + radius; j++)
			if (i >= 0 && i < h && j >= 0 && j < w) {
				sum += p[i * w + j] * (q ? q[i * w + j] : 1.0);
				n++;
			}
	return sum / n;
}

static double sample_linear(const double *p, int w, int h, double x, double y)
{
	x = fmin(fmax(x, 0), w - 1);
	y = fmin(fmax(y, 0), h - 1);
	int x0 = (int)x, y0 = (int)y, x1 = x0 + 1 < w ? x0 + 1 : x0, y1 = y0 + 1 < h ? y0 + 1 : y0;
	double tx = x - x0, ty = y - y0;
	return (p[y0 * w + x0] * (1 - tx) + p[y0 * w + x1] * tx) * (1 - ty) +
	       (p[y1 * w + x0] * (1 - tx) + p[y1 * w + x1] * tx) * ty;
}

static void shrink(double *out, const uint8_t *luma, int stride, const struct il_guided_params *p)
{
	for (int y = 0; y < p->matte_height; y++)
		for (int x = 0; x < p->matte_width; x++) {
			int x0 = x * p->width / p->matte_width, x1 = (x + 1) * p->width / p->matte_width;
			int y0 = y * p->height / p->matte_height, y1 = (y + 1) * p->height / p->matte_height;
			double sum = 0;
			x1 = x1 > x0 ? x1 : x0 + 1;
			y1 = y1 > y0 ? y1 : y0 + 1;
			for (int i = y0; i < y1; i++)
				for (int j = x0; j < x1; j++)
					sum += luma[i * stride + j] / 255.0;
			out[y * p->matte_width + x] = sum / ((x1 - x0) * (y1 - y0));
		}
}

/* alpha in 0..255, not rounded, by the formula of guided.h. */
static double *reference(const uint8_t *luma, int stride, const double *matte, const struct il_guided_params *p)
{
	int w = p->matte_width, h = p->matte_height, r = p->radius;
	size_t n = (size_t)(w * h);
	double *guide = allocate(n * sizeof *guide), *a = allocate(n * sizeof *a), *b = allocate(n * sizeof *b);
	double *mean_a = allocate(n * sizeof *a), *mean_b = allocate(n * sizeof *b);
	double *out = allocate((size_t)(p->width * p->height) * sizeof *out);
	shrink(guide, luma, stride, p);
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++) {
			double mean_i = window_mean(guide, NULL, w, h, x, y, r);
			double mean_p = window_mean(matte, NULL, w, h, x, y, r);
			double cov = window_mean(guide, matte, w, h, x, y, r) - mean_i * mean_p;
			double var = window_mean(guide, guide, w, h, x, y, r) - mean_i * mean_i;
			a[y * w + x] = cov / (var + (double)p->epsilon);
			b[y * w + x] = mean_p - a[y * w + x] * mean_i;
		}
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++) {
			mean_a[y * w + x] = window_mean(a, NULL, w, h, x, y, r);
			mean_b[y * w + x] = window_mean(b, NULL, w, h, x, y, r);
		}
	for (int y = 0; y < p->height; y++)
		for (int x = 0; x < p->width; x++) {
			double fx = (x + 0.5) * w / p->width - 0.5, fy = (y + 0.5) * h / p->height - 0.5;
			double alpha = sample_linear(mean_a, w, h, fx, fy) * luma[y * stride + x] / 255.0 +
			               sample_linear(mean_b, w, h, fx, fy);
			out[y * p->width + x] = 255.0 * fmin(fmax(alpha, 0), 1);
		}
	free(guide);
	free(a);
	free(b);
	free(mean_a);
	free(mean_b);
	return out;
}

static void check_case(struct il_guided_params p, int bytes, int smooth)
{
	int stride = p.width + random_in(0, 9), matte_stride = p.matte_width + random_in(0, 9);
	size_t size = (size_t)(stride * (p.height - 1) + p.width);
	size_t matte_n = (size_t)(matte_stride * (p.matte_height - 1) + p.matte_width);
	uint8_t *luma = allocate(size), *matte_bytes = allocate(matte_n), *dst = allocate(size),
		*before = allocate(size);
	float *matte_floats = allocate(matte_n * sizeof *matte_floats);
	double *matte = allocate((size_t)(p.matte_width * p.matte_height) * sizeof *matte);
	for (size_t i = 0; i < size; i++) {
		luma[i] = smooth ? (uint8_t)(((int)(i % (size_t)stride) / 9 + (int)(i / (size_t)stride) / 7) % 2 * 150 +
		                             40)
		                 : (uint8_t)random_in(0, 255);
		before[i] = dst[i] = (uint8_t)random_in(0, 255);
	}
	for (size_t i = 0; i < matte_n; i++) {
		matte_bytes[i] = (uint8_t)random_in(0, 255);
		matte_floats[i] = (float)random_in(0, 10000) / 10000.0f;
	}
	for (int y = 0; y < p.matte_height; y++)
		for (int x = 0; x < p.matte_width; x++)
			matte[y * p.matte_width + x] = bytes ? matte_bytes[y * matte_stride + x] / 255.0
			                                     : (double)matte_floats[y * matte_stride + x];
	double *expected = reference(luma, stride, matte, &p);
	void *scratch = allocate(il_guided_scratch(&p));
	const struct il_guided_matte in = { bytes ? NULL : matte_floats, bytes ? matte_bytes : NULL,
		                            bytes ? matte_stride : matte_stride * (ptrdiff_t)sizeof(float) };
	il_guided_upsample(dst, stride, luma, stride, &in, &p, scratch);
	for (size_t i = 0; i < size; i++) {
		int x = (int)(i % (size_t)stride), y = (int)(i / (size_t)stride);
		if (x >= p.width)
			assert_int_equal(dst[i], before[i]);
		else if (fabs(dst[i] - expected[y * p.width + x]) > (p.epsilon < 1e-3f ? 3 : 0.75))
			fail_msg("%dx%d from %dx%d, radius %d: %d at %d, %d, not %.3f", p.width, p.height,
			         p.matte_width, p.matte_height, p.radius, dst[i], x, y, expected[y * p.width + x]);
	}
	il_guided_upsample(luma, stride, luma, stride, &in, &p, scratch);
	for (int y = 0; y < p.height; y++)
		assert_memory_equal(luma + y * stride, dst + y * stride, (size_t)p.width);
	free(luma);
	free(matte_bytes);
	free(matte_floats);
	free(matte);
	free(dst);
	free(before);
	free(expected);
	free(scratch);
}

static void equals_the_formula(void **state)
{
	(void)state;
	static const float epsilons[] = { 1e-5f, 1e-3f, 1e-2f, 1.0f };
	for (int round = 0; round < 120; round++) {
		struct il_guided_params p = { random_in(1, 160), random_in(1, 120), random_in(1, 40),
			                      random_in(1, 40),  random_in(0, 9),   epsilons[round % 4] };
		if (round % 3 == 0) { /* the usual case */
			p.width = p.matte_width * random_in(2, 7) + random_in(0, 5);
			p.height = p.matte_height * random_in(2, 7) + random_in(0, 5);
		}
		check_case(p, round % 2, round % 5 == 0);
	}
	check_case((struct il_guided_params){ 1, 1, 1, 1, 0, 1e-4f }, 1, 0);
	check_case((struct il_guided_params){ 300, 1, 7, 1, 3, 1e-4f }, 0, 0);
	check_case((struct il_guided_params){ 1, 300, 1, 1, 2, 1e-4f }, 0, 0);
	check_case((struct il_guided_params){ 3, 2, 20, 30, 50, 1e-4f }, 0, 0);
}

static void equals_the_formula_in_plain_c(void **state)
{
	il_cpu_mask(0);
	equals_the_formula(state);
	il_cpu_mask(~0u);
}

/* A matte that is a broad ramp across a step of the picture becomes as steep as the picture. */
static void follows_a_step(void **state)
{
	(void)state;
	enum { WIDTH = 320, HEIGHT = 240, STEP = 163 };
	const struct il_guided_params p = { WIDTH, HEIGHT, 40, 30, 6, 1e-4f };
	static uint8_t luma[WIDTH * HEIGHT], alpha[WIDTH * HEIGHT], matte[40 * 30];
	for (int i = 0; i < WIDTH * HEIGHT; i++)
		luma[i] = i % WIDTH < STEP ? 60 : 180;
	for (int i = 0; i < 40 * 30; i++) {
		int ramp = (i % 40 - 14) * 255 / 12;
		matte[i] = (uint8_t)(ramp < 0 ? 0 : ramp > 255 ? 255 : ramp);
	}
	void *scratch = allocate(il_guided_scratch(&p));
	il_guided_upsample(alpha, WIDTH, luma, WIDTH, &(struct il_guided_matte){ .bytes = matte, .stride = 40 }, &p,
	                   scratch);
	const uint8_t *row = alpha + WIDTH * (HEIGHT / 2);
	int jump = row[STEP] - row[STEP - 1];
	printf("# the matte rises by %d within a sample, %d before it, %d behind\n", jump, row[STEP - 1],
	       255 - row[STEP]);
	assert_true(jump > 90); /* 3 levels a sample before */
	free(scratch);
}

static void kernels_equal_c(void **state)
{
	(void)state;
	const struct il_kernels *const *all = il_kernels_all();
	for (int t = 0; all[t]; t++)
		for (int round = 0; round < 300; round++) {
			int n = random_in(1, 200), m = random_in(1, 60), guard = 32;
			uint8_t *luma = allocate((size_t)n), *out[2];
			uint16_t *sums[2];
			float *a = allocate((size_t)(m + 8) * sizeof *a), *b = allocate((size_t)(m + 8) * sizeof *b);
			float *part = allocate((size_t)n * sizeof *part);
			int32_t *base = allocate((size_t)(n / 8 + 1) * sizeof *base);
			int32_t *first = allocate((size_t)n * sizeof *first);
			struct il_guided_map map = { base, first, part, round % 4 != 0 };
			for (int k = 0; k < 2; k++) {
				out[k] = allocate((size_t)(n + guard));
				sums[k] = allocate((size_t)(n + guard) * 2);
				memset(out[k], 7, (size_t)(n + guard));
				memset(sums[k], 7, (size_t)(n + guard) * 2);
			}
			for (int i = 0; i < m + 8; i++) {
				a[i] = (float)random_in(-4000, 4000) / 1000.0f;
				b[i] = (float)random_in(-400000, 600000) / 1000.0f;
			}
			for (int i = 0; i < n; i++) {
				luma[i] = (uint8_t)random_in(0, 255);
				base[i / 8] = i % 8 ? base[i / 8] : random_in(0, m - 1);
				first[i] = map.narrow ? random_in(0, 6) : random_in(0, m + 6 - base[i / 8]);
				part[i] = (float)random_in(0, 1000) / 1001.0f;
			}
			il_guided_kernels_c.apply_row(out[0], luma, a, b, &map, n);
			all[t]->guided->apply_row(out[1], luma, a, b, &map, n);
			il_guided_kernels_c.add_row(sums[0], luma, n);
			all[t]->guided->add_row(sums[1], luma, n);
			assert_memory_equal(out[0], out[1], (size_t)(n + guard));
			assert_memory_equal(sums[0], sums[1], (size_t)(n + guard) * 2);
			assert_int_equal(out[0][n], 7);
			for (int k = 0; k < 2; k++) {
				free(out[k]);
				free(sums[k]);
			}
			free(luma);
			free(a);
			free(b);
			free(part);
			free(base);
			free(first);
		}
}

/* Rows of random sums against C, with what lies behind them; one row in the end is taken out again. */
static void moments_equal_c(void **state)
{
	(void)state;
	const struct il_kernels *const *all = il_kernels_all();
	for (int t = 0; all[t]; t++)
		for (int round = 0; round < 300; round++) {
			enum { MOST = 100, GUARD = 16, SIZE = 4 * MOST + GUARD };
			const struct il_guided_kernels *tables[] = { &il_guided_kernels_c, all[t]->guided };
			int n = random_in(1, MOST), radius = random_in(0, 130);
			uint32_t *in = allocate((size_t)n * 4), *out = allocate((size_t)n * 4);
			int32_t columns[2][SIZE], sums[2][SIZE], a[2][SIZE], b[2][SIZE];
			int32_t *scratch = allocate((size_t)(n + 2 * radius + 9) * 4);
			float counts[MOST];
			for (int i = 0; i < n; i++) {
				in[i] = (uint32_t)random_in(0, 4080) | (uint32_t)random_in(0, 4080) << 16;
				out[i] = (uint32_t)random_in(0, 4080) | (uint32_t)random_in(0, 4080) << 16;
				counts[i] = (float)random_in(1, 9);
			}
			for (int i = 0; i < SIZE; i++)
				columns[0][i] = columns[1][i] = random_in(0, 1 << 24);
			memset(sums, 7, sizeof sums);
			memset(a, 7, sizeof a);
			memset(b, 7, sizeof b);
			const struct il_guided_solver by = { (float)random_in(1, 9), 16.0f, 4080.0f, 1e5f };
			for (int k = 0; k < 2; k++) {
				tables[k]->solve(a[k], b[k], columns[k], counts, &by, n);
				tables[k]->slide_moments(columns[k], in, out, n);
				tables[k]->box_sums(sums[k], columns[k], n, radius, scratch);
			}
			assert_memory_equal(columns[0], columns[1], sizeof columns[0]);
			assert_memory_equal(sums[0], sums[1], sizeof sums[0]);
			assert_memory_equal(a[0], a[1], sizeof a[0]);
			assert_memory_equal(b[0], b[1], sizeof b[0]);
			for (int x = 0; x < n; x++) {
				int32_t sum = 0;
				for (int i = x - radius; i <= x + radius; i++)
					sum += i >= 0 && i < n ? columns[0][i] : 0;
				assert_int_equal(sums[0][x], sum);
			}
			assert_int_equal(sums[0][n], 0x07070707);
			assert_int_equal(a[0][n], 0x07070707);
			free(in);
			free(out);
			free(scratch);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernels_equal_c),    cmocka_unit_test(moments_equal_c),
		cmocka_unit_test(equals_the_formula), cmocka_unit_test(equals_the_formula_in_plain_c),
		cmocka_unit_test(follows_a_step),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
