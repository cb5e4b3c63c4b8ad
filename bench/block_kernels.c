/* Times the blocks of a network, for those who work on their kernels: the decoder of unet_328, in its order, and two
 * blocks of an encoder. For each: the best of rounds in which all take turns, on one and on two threads, and the share
 * of what the processor's multiply-adds could do at most.
 *
 * usage: block_kernels [ROUNDS [NAME|all [TILE_ROWS TILE_COLUMNS]]]
 */
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernel/block.h"
#include "peak.h"

#define MAX_ROUNDS 1000

static const struct shape {
	const char *name;
	int in, skip, mid, out;
	int in_size, mid_size;
	int stride;
	bool residual;
	enum il_block_added added;
	bool encoder; /* not in the total */
	enum il_number skip_type;
} shapes[] = {
	{ "audio 1", 32, 0, 64, 64, 16, 16, 1 },
	{ "audio 2", 64, 0, 128, 128, 16, 16, 1 },
	{ "audio 3", 256, 0, 512, 256, 16, 16, 1, true },
	{ "audio 4", 512, 0, 1024, 512, 10, 10, 1, true },
	{ "audio 5", 512, 0, 1024, 512, 10, 10, 1, true },
	{ "fusion 1", 512, 0, 2048, 512, 10, 10, 1, false, IL_BLOCK_HALF_ADDED },
	{ "fusion 2", 512, 0, 1024, 512, 10, 10, 1, true },
	{ "fusion 3", 512, 0, 1024, 256, 10, 10, 1 },
	{ "fusion 4", 256, 0, 512, 256, 10, 10, 1, true },
	{ "up1", 256, 256, 1024, 128, 10, 20, 1 },
	{ "up1 b", 128, 0, 256, 128, 20, 20, 1, true },
	{ "up2", 128, 128, 512, 64, 20, 40, 1 },
	{ "up2 b", 64, 0, 128, 64, 40, 40, 1, true },
	{ "up3", 64, 64, 256, 32, 40, 80, 1 },
	{ "up3 b", 32, 0, 64, 32, 80, 80, 1, true },
	{ "up4", 32, 32, 128, 32, 80, 160, 1 },
	{ "up4 b", 32, 0, 64, 32, 160, 160, 1, true },
	{ "up5", 32, 32, 128, 16, 160, 320, 1 },
	{ "up5 b", 16, 0, 32, 16, 320, 320, 1, true },
	{ "up4 half", 32, 32, 128, 32, 80, 160, 1, false, IL_BLOCK_NOTHING_ADDED, true, IL_FLOAT16 },
	{ "up5 half", 32, 32, 128, 16, 160, 320, 1, false, IL_BLOCK_NOTHING_ADDED, true, IL_FLOAT16 },
	{ "up5 narrow", 32, 12, 128, 16, 160, 320, 1, false, IL_BLOCK_NOTHING_ADDED, true, IL_FLOAT16 },
	{ "up5 added", 32, 0, 128, 16, 160, 320, 1, false, IL_BLOCK_HALF_ADDED, true },
	{ "encoder 1", 6, 0, 12, 32, 320, 320, 1, false, IL_BLOCK_NOTHING_ADDED, true },
	{ "encoder 2", 32, 0, 64, 32, 320, 320, 2, false, IL_BLOCK_NOTHING_ADDED, true },
	{ "encoder 3", 128, 0, 256, 256, 40, 40, 2, false, IL_BLOCK_NOTHING_ADDED, true },
};
#define SHAPES (sizeof shapes / sizeof *shapes)

static struct il_block *blocks[SHAPES];
static struct il_block_io ios[SHAPES];
static void *scratch;
static const char *only; /* this shape; NULL: all */
static double times[2][SHAPES][MAX_ROUNDS];

/* --- one more thread, which waits busily while two are measured --- */

static struct {
	sem_t two;
	atomic_bool resting;
	atomic_uint round, next, left;
	unsigned tasks;
	void (*fn)(void *ctx, unsigned task);
	void *ctx;
} pool;

static void take_tasks(void)
{
	for (unsigned i; (i = atomic_fetch_add(&pool.next, 1)) < pool.tasks;)
		pool.fn(pool.ctx, i);
	atomic_fetch_sub(&pool.left, 1);
}

static void *wait_for_tasks(void *unused)
{
	unsigned seen = 0;
	for (;;) {
		sem_wait(&pool.two);
		while (!atomic_load(&pool.resting)) {
			if (atomic_load(&pool.round) == seen)
				continue;
			seen++;
			take_tasks();
		}
	}
	return unused;
}

static void run_two(void *unused, unsigned tasks, void (*fn)(void *ctx, unsigned task), void *ctx)
{
	(void)unused;
	pool.tasks = tasks;
	pool.fn = fn;
	pool.ctx = ctx;
	atomic_store(&pool.next, 0);
	atomic_store(&pool.left, 2);
	atomic_fetch_add(&pool.round, 1);
	take_tasks();
	while (atomic_load(&pool.left))
		;
}

/* --- problems --- */

static float *numbers(size_t n)
{
	static uint32_t state = 2463534242u;
	float *list = aligned_alloc(64, (n * sizeof *list + 127) / 64 * 64);
	for (size_t i = 0; i < n; i++) {
		state = state * 1664525u + 1013904223u;
		list[i] = (float)(int32_t)state * 0x1p-32f;
	}
	return list;
}

/* Written, or all of them would be the one page of zeros. */
static uint16_t *halves(size_t n)
{
	uint16_t *list = malloc(n * sizeof *list + 1);
	for (size_t i = 0; i < n; i++)
		list[i] = (uint16_t)(0x3000 + i % 0x400);
	return list;
}

static void prepare(size_t i, int tile_rows, int tile_columns)
{
	const struct shape *s = &shapes[i];
	const size_t pixels = (size_t)s->mid_size * (size_t)s->mid_size;
	const size_t in = (size_t)s->in, mid = (size_t)s->mid, out = (size_t)s->out, skip = (size_t)s->skip;
	const struct il_block_params params = {
		.in = s->in,
		.skip = s->skip,
		.mid = s->mid,
		.out = s->out,
		.stride = s->stride,
		.residual = s->residual,
		.resize = s->in_size == s->mid_size ? IL_BLOCK_SAME : IL_BLOCK_ALIGN_CORNERS,
		.added = s->added,
		.skip_type = s->skip_type,
		.expand_w = numbers(mid * in),
		.skip_w = numbers(mid * skip),
		.expand_b = numbers(mid),
		.depthwise_w = numbers(mid * 9),
		.depthwise_b = numbers(mid),
		.project_w = numbers(out * mid),
		.project_b = numbers(out),
		.tile_rows = tile_rows,
		.tile_columns = tile_columns,
	};
	struct inlay_error err;
	if (il_block_create(&blocks[i], &params, &err))
		fprintf(stderr, "%s: %s\n", s->name, err.text);
	ios[i] = (struct il_block_io){
		.x = numbers((size_t)s->in_size * (size_t)s->in_size * (in + 7)),
		.in_h = s->in_size,
		.in_w = s->in_size,
		.skip = s->skip_type == IL_FLOAT16 ? (void *)halves(pixels * skip) : numbers(pixels * (skip + 7)),
		.added = s->added ? halves(pixels * mid) : NULL,
		.mid_h = s->mid_size,
		.mid_w = s->mid_size,
		.y = numbers(pixels * (out + 7)),
	};
}

static size_t scratch_size(void)
{
	size_t most = 0;
	for (size_t i = 0; i < SHAPES; i++) {
		const struct shape *s = &shapes[i];
		size_t size = il_block_scratch(blocks[i], s->in_size, s->in_size, s->mid_size, s->mid_size, 2);
		most = size > most ? size : most;
	}
	return most;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void measure_round(const struct il_parallel *parallel, double (*ms)[MAX_ROUNDS], int round)
{
	for (size_t i = 0; i < SHAPES; i++) {
		if (only && strcmp(only, shapes[i].name))
			continue;
		const int64_t start = il_clock_ns();
		il_block_run(blocks[i], &ios[i], scratch, parallel);
		ms[i][round] = (double)(il_clock_ns() - start) * 1e-6;
	}
}

/* The first round, which warms up, is measured over. */
static void measure(int rounds)
{
	const struct il_parallel two = { 2, run_two, NULL };
	for (int round = -1; round < rounds; round++) {
		measure_round(NULL, times[0], round < 0 ? 0 : round);
		atomic_store(&pool.resting, false);
		sem_post(&pool.two);
		measure_round(&two, times[1], round < 0 ? 0 : round);
		atomic_store(&pool.resting, true);
	}
}

static void report(int rounds, double peak)
{
	double total[2] = { 0 }, work = 0;
	printf("%-11s %22s %8s | %8s %8s %8s | %8s %8s\n", "", "", "GFLOP", "ms, 1", "GFLOP/s", "of peak", "ms, 2",
	       "GFLOP/s");
	for (size_t i = 0; i < SHAPES; i++) {
		const struct shape *s = &shapes[i];
		if (only && strcmp(only, s->name))
			continue;
		const double operations =
			1e-9 * il_block_operations(blocks[i], s->in_size, s->in_size, s->mid_size, s->mid_size);
		double ms[2];
		for (int threads = 0; threads < 2; threads++) {
			qsort(times[threads][i], (size_t)rounds, sizeof(double), by_value);
			ms[threads] = times[threads][i][0];
			total[threads] += s->encoder ? 0 : ms[threads];
		}
		work += s->encoder ? 0 : operations;
		printf("%-11s %4d+%3d>%4d>%3d @%3d s%d %8.4f | %8.3f %8.1f %7.1f%% | %8.3f %8.1f\n", s->name, s->in,
		       s->skip, s->mid, s->out, s->mid_size, s->stride, operations, ms[0], operations / ms[0] * 1e3,
		       100 * operations / ms[0] * 1e3 / peak, ms[1], operations / ms[1] * 1e3);
	}
	printf("decoder %36.4f | %8.3f %8.1f %7.1f%% | %8.3f %8.1f\n", work, total[0], work / total[0] * 1e3,
	       100 * work / total[0] * 1e3 / peak, total[1], work / total[1] * 1e3);
}

int main(int argc, char **argv)
{
	const int rounds = argc > 1 ? atoi(argv[1]) : 20;
	if (rounds < 1 || rounds > MAX_ROUNDS)
		return 1;
	only = argc > 2 && strcmp(argv[2], "all") ? argv[2] : NULL;
	for (size_t i = 0; i < SHAPES; i++)
		prepare(i, argc > 4 ? atoi(argv[3]) : 0, argc > 4 ? atoi(argv[4]) : 0);
	scratch = malloc(scratch_size());
	pthread_t thread;
	if (!scratch || sem_init(&pool.two, 0, 0) || pthread_create(&thread, NULL, wait_for_tasks, NULL))
		return 1;
	const double peak = peak_flops() / 1e9;
	printf("peak of one core: %.1f GFLOP/s\n", peak);
	measure(rounds);
	report(rounds, peak);
	return 0;
}
