/* Blocks against the same sums in double precision, made one after the other without tiles, rings or panels, and with
 * x scaled before its product. Tolerance: 1e-5 of the sum of magnitudes behind each value. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/cpu.h"
#include "kernel/block_kernels.h"
#include "tests/test.h"

#define GUARD 64
#define GUARD_BYTE 0xa5
#define TOLERANCE 1e-5

/* A table that this machine may lack the instructions for: vectors of 16, in plain C. */
#define LANES 16
#define TILE 3 /* fewer than there: this takes a compiler long enough */
#include "kernel/block_portable.h"

#include "kernel/block_simd.h"

static const struct il_block_kernels wide_kernels = {
	.lanes = PANEL,
	.tile = TILE,
	.multiply = multiply,
	.depthwise = depthwise,
	.between = between,
	.widen = widen,
};

static int between_ints(int least, int most)
{
	return least + (int)(test_random() % (uint32_t)(most - least + 1));
}

static float number(void)
{
	return (float)((int32_t)test_random()) * 0x1p-31f;
}

static float *numbers(size_t n)
{
	float *list = malloc((n + 1) * sizeof *list);
	for (size_t i = 0; i < n; i++)
		list[i] = number();
	return list;
}

/* Channels last, padding lanes zero, and nothing readable behind them under ASan. */
static float *tensor(size_t pixels, int channels)
{
	const size_t stride = (size_t)il_block_stride(channels);
	float *t = calloc(pixels * stride, sizeof *t);
	for (size_t i = 0; i < pixels; i++)
		for (int c = 0; c < channels; c++)
			t[i * stride + (size_t)c] = number();
	return t;
}

struct problem {
	struct il_block_params params;
	struct il_block_io io;
	int out_h, out_w;
	double *expected, *magnitude; /* [out_h][out_w][out] */
};

static double value_of_half(uint16_t h)
{
	const int exponent = h >> 10 & 31, fraction = h & 1023;
	const double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
	return h & 0x8000 ? -size : size;
}

/* Of both signs, from the smallest subnormal one up to 2; padding lanes zero. */
static uint16_t *half_tensor(size_t pixels, int channels)
{
	const size_t stride = (size_t)il_block_stride(channels);
	uint16_t *halves = calloc(pixels * stride, sizeof *halves);
	for (size_t i = 0; i < pixels * stride; i++)
		if (i % stride < (size_t)channels)
			halves[i] = test_random() & 0xbfff;
	return halves;
}

static const void *make_added(const struct il_block_params *p, size_t pixels)
{
	switch (p->added) {
	case IL_BLOCK_FLOAT_ADDED: return tensor(pixels, p->mid);
	case IL_BLOCK_HALF_ADDED: return half_tensor(pixels, p->mid);
	default: return NULL;
	}
}

static const void *make_skip(const struct il_block_params *p, size_t pixels)
{
	if (!p->skip)
		return NULL;
	return p->skip_type == IL_FLOAT16 ? (const void *)half_tensor(pixels, p->skip) : tensor(pixels, p->skip);
}

static double skip_value(const struct problem *q, int pixel, int channel)
{
	const int at = pixel * il_block_stride(q->params.skip) + channel;
	return q->params.skip_type == IL_FLOAT16 ? value_of_half(((const uint16_t *)q->io.skip)[at])
	                                         : (double)((const float *)q->io.skip)[at];
}

static void make_problem(struct problem *q)
{
	struct il_block_params *p = &q->params;
	const size_t in = (size_t)q->io.in_h * (size_t)q->io.in_w, mid = (size_t)q->io.mid_h * (size_t)q->io.mid_w;
	p->expand_w = numbers((size_t)p->mid * (size_t)p->in);
	p->skip_w = p->skip ? numbers((size_t)p->mid * (size_t)p->skip) : NULL;
	p->expand_b = test_random() % 4 ? numbers((size_t)p->mid) : NULL;
	p->depthwise_w = numbers((size_t)p->mid * 9);
	p->depthwise_b = test_random() % 4 ? numbers((size_t)p->mid) : NULL;
	p->project_w = numbers((size_t)p->out * (size_t)p->mid);
	p->project_b = test_random() % 4 ? numbers((size_t)p->out) : NULL;
	q->io.x = tensor(in, p->in);
	q->io.skip = make_skip(p, mid);
	q->io.added = make_added(p, mid);
	q->out_h = (q->io.mid_h + p->stride - 1) / p->stride;
	q->out_w = (q->io.mid_w + p->stride - 1) / p->stride;
}

static void free_problem(struct problem *q)
{
	const void *all[] = { q->params.expand_w,
		              q->params.skip_w,
		              q->params.expand_b,
		              q->params.depthwise_w,
		              q->params.depthwise_b,
		              q->params.project_w,
		              q->params.project_b,
		              q->io.x,
		              q->io.skip,
		              q->io.added,
		              q->expected,
		              q->magnitude };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free((void *)all[i]);
}

/* Where sample i of n lies: two samples of m and the share of the second. */
static double place(enum il_block_resize resize, int i, int m, int n, int at[2])
{
	float where = (float)i;
	if (resize == IL_BLOCK_ALIGN_CORNERS)
		where = n > 1 ? (float)i * (float)(m - 1) / (float)(n - 1) : 0.0f;
	else if (resize == IL_BLOCK_HALF_PIXEL)
		where = fminf(fmaxf(((float)i + 0.5f) * (float)m / (float)n - 0.5f, 0.0f), (float)(m - 1));
	at[0] = (int)floorf(where);
	at[1] = at[0] + 1 < m ? at[0] + 1 : m - 1;
	return (double)where - at[0];
}

static double scaled(const struct problem *q, int y, int x, int c)
{
	const struct il_block_io *io = &q->io;
	const int stride = il_block_stride(q->params.in);
	int rows[2], columns[2];
	const double v = place(q->params.resize, y, io->in_h, io->mid_h, rows);
	const double u = place(q->params.resize, x, io->in_w, io->mid_w, columns);
	double sum = 0;
	for (int i = 0; i < 4; i++)
		sum += (i / 2 ? v : 1 - v) * (i % 2 ? u : 1 - u) *
		       (double)io->x[(rows[i / 2] * io->in_w + columns[i % 2]) * stride + c];
	return sum;
}

static void expect_mid(const struct problem *q, double *mid, double *magnitude)
{
	const struct il_block_params *p = &q->params;
	double *x = malloc((size_t)p->in * sizeof *x);
	for (int i = 0; i < q->io.mid_h * q->io.mid_w; i++) {
		for (int c = 0; c < p->in; c++)
			x[c] = scaled(q, i / q->io.mid_w, i % q->io.mid_w, c);
		for (int m = 0; m < p->mid; m++) {
			double sum = p->expand_b ? (double)p->expand_b[m] : 0, size = fabs(sum);
			for (int c = 0; c < p->in; c++) {
				sum += x[c] * (double)p->expand_w[m * p->in + c];
				size += (double)fabsf(p->expand_w[m * p->in + c]);
			}
			for (int c = 0; c < p->skip; c++) {
				const double term = (double)p->skip_w[m * p->skip + c] * skip_value(q, i, c);
				sum += term;
				size += fabs(term);
			}
			const int at = i * il_block_stride(p->mid) + m;
			double added = 0;
			if (p->added == IL_BLOCK_FLOAT_ADDED)
				added = (double)((const float *)q->io.added)[at];
			if (p->added == IL_BLOCK_HALF_ADDED)
				added = value_of_half(((const uint16_t *)q->io.added)[at]);
			mid[i * p->mid + m] = fmax(sum + added, 0);
			magnitude[i * p->mid + m] = size + fabs(added);
		}
	}
	free(x);
}

static void expect_done(const struct problem *q, const double *mid, const double *magnitude, double *done,
                        double *done_magnitude)
{
	const struct il_block_params *p = &q->params;
	for (int i = 0; i < q->out_h * q->out_w * p->mid; i++) {
		const int m = i % p->mid, x = i / p->mid % q->out_w, y = i / p->mid / q->out_w;
		double sum = p->depthwise_b ? (double)p->depthwise_b[m] : 0, size = fabs(sum);
		for (int tap = 0; tap < 9; tap++) {
			const int row = y * p->stride - 1 + tap / 3, column = x * p->stride - 1 + tap % 3;
			if (row < 0 || row >= q->io.mid_h || column < 0 || column >= q->io.mid_w)
				continue;
			const int at = (row * q->io.mid_w + column) * p->mid + m;
			const double w = (double)p->depthwise_w[m * 9 + tap];
			sum += w * mid[at];
			size += fabs(w) * magnitude[at];
		}
		done[i] = fmax(sum, 0);
		done_magnitude[i] = size;
	}
}

static void expect(struct problem *q)
{
	const struct il_block_params *p = &q->params;
	const size_t mids = (size_t)q->io.mid_h * (size_t)q->io.mid_w * (size_t)p->mid;
	double *mid = malloc(mids * 4 * sizeof *mid), *magnitude = mid + mids, *done = mid + 2 * mids;
	double *done_magnitude = mid + 3 * mids;
	const int outs = q->out_h * q->out_w * p->out;
	q->expected = malloc((size_t)outs * sizeof *q->expected);
	q->magnitude = malloc((size_t)outs * sizeof *q->magnitude);
	expect_mid(q, mid, magnitude);
	expect_done(q, mid, magnitude, done, done_magnitude);
	for (int i = 0; i < outs; i++) {
		const int pixel = i / p->out, o = i % p->out;
		double sum = p->project_b ? (double)p->project_b[o] : 0, size = fabs(sum);
		for (int m = 0; m < p->mid; m++) {
			const double w = (double)p->project_w[o * p->mid + m];
			sum += w * done[pixel * p->mid + m];
			size += fabs(w) * done_magnitude[pixel * p->mid + m];
		}
		if (p->residual)
			sum += (double)q->io.x[pixel * il_block_stride(p->in) + o];
		q->expected[i] = sum;
		q->magnitude[i] = size + 1;
	}
	free(mid);
}

/* --- workers --- */

struct work {
	void (*fn)(void *ctx, unsigned task);
	void *ctx;
	atomic_uint next;
	unsigned tasks;
};

static void *work_on(void *arg)
{
	struct work *w = arg;
	for (unsigned i; (i = atomic_fetch_add(&w->next, 1)) < w->tasks;)
		w->fn(w->ctx, i);
	return NULL;
}

/* `pool` is the number of threads. */
static void run_threads(void *pool, unsigned tasks, void (*fn)(void *ctx, unsigned task), void *ctx)
{
	struct work w = { fn, ctx, 0, tasks };
	pthread_t threads[8];
	const unsigned n = *(unsigned *)pool;
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work_on, &w), 0);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

/* --- the checks --- */

static uint8_t *guarded(size_t size)
{
	uint8_t *base = malloc(size + 2 * GUARD);
	memset(base, GUARD_BYTE, size + 2 * GUARD);
	return base;
}

static void check_guards(const uint8_t *base, size_t size)
{
	for (size_t i = 0; i < GUARD; i++) {
		assert_int_equal(base[i], GUARD_BYTE);
		assert_int_equal(base[GUARD + size + i], GUARD_BYTE);
	}
}

/* y between guards */
static uint8_t *run_block(const struct problem *q, const struct il_block *block, unsigned threads)
{
	const size_t scratch_size = il_block_scratch(block, q->io.in_h, q->io.in_w, q->io.mid_h, q->io.mid_w, threads);
	const size_t size = (size_t)q->out_h * (size_t)q->out_w * (size_t)il_block_stride(q->params.out) * 4;
	uint8_t *scratch = guarded(scratch_size), *y = guarded(size);
	memset(scratch + GUARD, 0xff, scratch_size); /* NaN: nothing is read before it is written */
	struct il_block_io io = q->io;
	io.y = (float *)(void *)(y + GUARD);
	const struct il_parallel parallel = { threads, run_threads, &threads };
	il_block_run(block, &io, scratch + GUARD, threads > 1 ? &parallel : NULL);
	check_guards(scratch, scratch_size);
	check_guards(y, size);
	free(scratch);
	return y;
}

static void describe(const struct problem *q)
{
	const struct il_block_params *p = &q->params;
	print_message("%d + %d > %d > %d, %d x %d > %d x %d, stride %d, residual %d, resize %d, added %d, halves %d, "
	              "tile %d x %d, "
	              "%d lanes\n",
	              p->in, p->skip, p->mid, p->out, q->io.in_h, q->io.in_w, q->io.mid_h, q->io.mid_w, p->stride,
	              p->residual, (int)p->resize, (int)p->added, p->skip_type == IL_FLOAT16, p->tile_rows,
	              p->tile_columns, p->kernels->lanes);
}

static void compare(const struct problem *q, const float *y)
{
	const int stride = il_block_stride(q->params.out), out = q->params.out;
	for (int i = 0; i < q->out_h * q->out_w; i++)
		for (int c = 0; c < stride; c++) {
			const double found = (double)y[i * stride + c];
			const double expected = c < out ? q->expected[i * out + c] : 0;
			const double allowed = c < out ? q->magnitude[i * out + c] * TOLERANCE : 0;
			if (!(fabs(found - expected) <= allowed)) {
				describe(q);
				fail_msg("pixel %d channel %d: %g, expected %g", i, c, found, expected);
			}
		}
}

static void check_problem(struct problem *q)
{
	struct il_block *block;
	struct inlay_error err;
	assert_ok(il_block_create(&block, &q->params, &err));
	uint8_t *one = run_block(q, block, 1);
	const size_t size = (size_t)q->out_h * (size_t)q->out_w * (size_t)il_block_stride(q->params.out) * 4;
	for (unsigned threads = 2; threads <= 3; threads++) {
		uint8_t *many = run_block(q, block, threads);
		assert_memory_equal(one, many, size + 2 * GUARD);
		free(many);
	}
	compare(q, (const float *)(const void *)(one + GUARD));
	free(one);
	il_block_destroy(&block);
	assert_null(block);
}

static void choose_shape(struct problem *q, int channels, int size)
{
	struct il_block_params *p = &q->params;
	struct il_block_io *io = &q->io;
	p->in = between_ints(1, channels);
	p->mid = between_ints(1, channels);
	p->stride = between_ints(1, 2);
	p->added = (enum il_block_added)between_ints(0, 2);
	p->resize = (enum il_block_resize)between_ints(0, 2);
	p->residual = p->stride == 1 && p->resize == IL_BLOCK_SAME && test_random() % 2;
	p->out = p->residual ? p->in : between_ints(1, channels);
	p->skip = test_random() % 2 ? between_ints(1, channels) : 0;
	p->skip_type = test_random() % 2 ? IL_FLOAT16 : IL_FLOAT32;
	if (test_random() % 2) {
		p->tile_rows = between_ints(1, 9);
		p->tile_columns = between_ints(1, size);
	}
	io->mid_h = between_ints(1, size);
	io->mid_w = between_ints(1, size);
	io->in_h = p->resize == IL_BLOCK_SAME ? io->mid_h : between_ints(1, io->mid_h);
	io->in_w = p->resize == IL_BLOCK_SAME ? io->mid_w : between_ints(1, size);
}

/* Every table that runs here, on the same problem. */
static void check_all_tables(struct problem *q)
{
	const struct {
		const struct il_block_kernels *table;
		unsigned needs;
	} tables[] = {
		{ &wide_kernels, 0 },
		{ &il_block_kernels_c, 0 },
#if defined(__x86_64__)
		{ &il_block_kernels_avx2, IL_CPU_AVX2 },
		{ &il_block_kernels_avx512, IL_CPU_AVX512 },
#endif
	};
	make_problem(q);
	expect(q);
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		if ((tables[i].needs & il_cpu_flags()) != tables[i].needs)
			continue;
		q->params.kernels = tables[i].table;
		check_problem(q);
	}
	free_problem(q);
}

static void test_random_shapes(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		struct problem q = { 0 };
		choose_shape(&q, i % 2 ? 70 : 20, i % 2 ? 14 : 40);
		check_all_tables(&q);
	}
}

/* Shapes that random ones do not reach: several blocks of k, more than one strip, weights of one pixel. */
static void test_chosen_shapes(void **state)
{
	(void)state;
	const struct problem chosen[] = {
		{ .params = { .in = 300, .mid = 530, .out = 300, .stride = 1, .residual = true },
		  .io = { .in_h = 3, .in_w = 2, .mid_h = 3, .mid_w = 2 } },
		{ .params = { .in = 270,
		              .skip = 260,
		              .mid = 40,
		              .out = 16,
		              .stride = 1,
		              .resize = IL_BLOCK_ALIGN_CORNERS },
		  .io = { .in_h = 2, .in_w = 2, .mid_h = 4, .mid_w = 5 } },
		{ .params = { .in = 6, .skip = 5, .mid = 40, .out = 9, .stride = 1, .resize = IL_BLOCK_ALIGN_CORNERS },
		  .io = { .in_h = 26, .in_w = 27, .mid_h = 52, .mid_w = 55 } },
		/* steps that need no further row of x, many channels */
		{ .params = { .in = 140,
		              .skip = 40,
		              .skip_type = IL_FLOAT16,
		              .mid = 40,
		              .out = 16,
		              .stride = 1,
		              .resize = IL_BLOCK_ALIGN_CORNERS,
		              .tile_rows = 1,
		              .tile_columns = 9 },
		  .io = { .in_h = 3, .in_w = 5, .mid_h = 12, .mid_w = 20 } },
		{ .params = { .in = 6, .mid = 12, .out = 9, .stride = 2 },
		  .io = { .in_h = 3, .in_w = 9001, .mid_h = 3, .mid_w = 9001 } },
		{ .params = { .in = 3, .mid = 700, .out = 2, .stride = 1, .added = IL_BLOCK_HALF_ADDED },
		  .io = { .in_h = 2, .in_w = 1300, .mid_h = 2, .mid_w = 1300 } },
		{ .params = { .in = 1, .mid = 1, .out = 1, .stride = 1 },
		  .io = { .in_h = 1, .in_w = 1, .mid_h = 1, .mid_w = 1 } },
		{ .params = { .in = 2, .mid = 3, .out = 2, .stride = 2, .resize = IL_BLOCK_HALF_PIXEL },
		  .io = { .in_h = 50, .in_w = 61, .mid_h = 7, .mid_w = 3 } },
	};
	for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++) {
		struct problem q = chosen[i];
		check_all_tables(&q);
	}
}

/* Half-way between samples, by hand: x is 0 and 8, and nothing but the middle tap counts. */
static void test_resize_by_hand(void **state)
{
	(void)state;
	struct inlay_error err;
	const float one = 1, taps[9] = { [4] = 1 }, x[16] = { [0] = 0, [8] = 8 };
	const float corners[5] = { 0, 2, 4, 6, 8 }, centres[4] = { 0, 2, 6, 8 };
	for (int i = 0; i < 2; i++) {
		const struct il_block_params params = {
			.in = 1,
			.mid = 1,
			.out = 1,
			.stride = 1,
			.resize = i ? IL_BLOCK_HALF_PIXEL : IL_BLOCK_ALIGN_CORNERS,
			.expand_w = &one,
			.depthwise_w = taps,
			.project_w = &one,
		};
		struct il_block *block;
		assert_ok(il_block_create(&block, &params, &err));
		float y[5 * 8];
		const int n = i ? 4 : 5;
		void *scratch = malloc(il_block_scratch(block, 1, 2, 1, n, 1));
		const struct il_block_io io = { .x = x, .in_h = 1, .in_w = 2, .mid_h = 1, .mid_w = n, .y = y };
		il_block_run(block, &io, scratch, NULL);
		for (int k = 0; k < n; k++)
			assert_true(y[k * 8] == (i ? centres[k] : corners[k]));
		free(scratch);
		il_block_destroy(&block);
	}
}

static void test_bad_parameters(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_block *block;
	const float w[9] = { 0 };
	const struct il_block_params good = {
		.in = 1, .mid = 1, .out = 1, .stride = 1, .expand_w = w, .depthwise_w = w, .project_w = w
	};
	struct il_block_params p = good;
	p.mid = 0;
	assert_fails(il_block_create(&block, &p, &err), INLAY_ERR_INVALID, "1 + 0 > 0 > 1 channels");
	assert_null(block);
	p = good;
	p.in = 1 << 20;
	assert_fails(il_block_create(&block, &p, &err), INLAY_ERR_INVALID, "expected 1 to");
	p = good;
	p.stride = 3;
	assert_fails(il_block_create(&block, &p, &err), INLAY_ERR_INVALID, "expected 1 or 2");
	p = good;
	p.residual = true;
	p.out = 2;
	assert_fails(il_block_create(&block, &p, &err), INLAY_ERR_INVALID, "a residual from 1 to 2");
	p = good;
	p.skip = 1;
	assert_fails(il_block_create(&block, &p, &err), INLAY_ERR_INVALID, "weights are missing");
	il_block_destroy(&block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_parameters),
		cmocka_unit_test(test_resize_by_hand),
		cmocka_unit_test(test_chosen_shapes),
		cmocka_unit_test(test_random_shapes),
	};
	return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
