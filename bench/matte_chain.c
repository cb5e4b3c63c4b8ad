/* What the matte chain costs, one thread, next to copying the frame's planes: a portrait that covers a third of the
 * picture, blur 6, expand 4, smooth 0.5, feather 3. Every round runs every row once, each on memory of its own, and the
 * best of the rounds counts, so that what else the machine does hits all alike.
 *
 * usage: bench_matte_chain [WIDTH HEIGHT [ROUNDS [ROW]]]   ROW: 0 is the first, alone
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "composite/matte.h"

#define MODEL 256 /* a network's mask is so wide and high */

static const struct {
	const char *name;
	enum inlay_matte_preset preset;
	bool plain; /* blur with halo, in case of the presets that have none */
	enum il_fill fill;
} rows[] = {
	{ "best", INLAY_MATTE_BEST, false, IL_FILL_BLUR },
	{ "best, plain blur", INLAY_MATTE_BEST, true, IL_FILL_BLUR },
	{ "best, one colour", INLAY_MATTE_BEST, false, IL_FILL_COLOUR },
	{ "fast", INLAY_MATTE_FAST, false, IL_FILL_BLUR },
	{ "obs", INLAY_MATTE_OBS, false, IL_FILL_BLUR },
	{ "reference", INLAY_MATTE_REFERENCE, false, IL_FILL_BLUR },
};
#define ROWS (sizeof rows / sizeof *rows)

enum { COPY, MASK, ALPHA, APPLY, TOTAL, STEPS };

static struct {
	int width, height;
	struct inlay_frame *original, *frame;
	float *matte;
	struct il_mask_stream *streams[ROWS];
	struct il_matte_chain *chains[ROWS];
	double best[ROWS][STEPS];
} s;

static void check(enum inlay_err rc, const struct inlay_error *err)
{
	if (!rc)
		return;
	fprintf(stderr, "%s\n", err->text);
	exit(1);
}

/* A head and shoulders with a soft edge. */
static double portrait(double x, double y)
{
	double head = hypot((x - 0.5) / 0.13, (y - 0.32) / 0.22), body = hypot((x - 0.5) / 0.33, (y - 1.05) / 0.5);
	return fmin(fmax((1 - fmin(head, body)) * 8 + 0.5, 0), 1);
}

static void prepare(void)
{
	struct inlay_error err = { 0 };
	struct inlay_frame_info info = {
		INLAY_PIX_I420, s.width, s.height, { INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, 2, 2 }
	};
	struct inlay_planes planes;
	check(il_frame_create(&s.original, &info, &err), &err);
	check(il_frame_create(&s.frame, &info, &err), &err);
	inlay_frame_map(s.original, &planes);
	for (int i = 0; i < 3; i++)
		for (int y = 0; y < (i ? (s.height + 1) / 2 : s.height); y++)
			for (int x = 0; x < (i ? (s.width + 1) / 2 : s.width); x++)
				planes.data[i][y * planes.stride[i] + x] =
					(uint8_t)(128 + 60 * sin(x * 0.02 * (i + 1)) * cos(y * 0.03) +
				                  (int)((unsigned)(x * 31 + y * 17) * 2654435761u >> 28));
	s.matte = malloc(MODEL * MODEL * sizeof *s.matte);
	if (!s.matte)
		exit(1);
	for (int i = 0; i < MODEL * MODEL; i++)
		s.matte[i] = (float)portrait((i % MODEL + 0.5) / MODEL, (i / MODEL + 0.5) / MODEL);
	for (size_t i = 0; i < ROWS; i++) {
		struct inlay_matte_look params;
		inlay_matte_look_init(&params, rows[i].preset);
		params.blur = 6;
		params.expand = 4;
		params.smooth = 0.5;
		params.feather = 3;
		params.halo_free = params.halo_free && !rows[i].plain;
		check(il_mask_stream_create(&s.streams[i], &params, MODEL, MODEL, &err), &err);
		check(il_matte_chain_create(&s.chains[i], &params, &info, MODEL, MODEL, &err), &err);
	}
}

static void keep_best(size_t row, int step, int64_t ns, bool first)
{
	if (first || (double)ns < s.best[row][step])
		s.best[row][step] = (double)ns;
}

static void run(size_t row, bool first)
{
	struct inlay_error err = { 0 };
	const struct il_matte_background background = { .fill = rows[row].fill, .constant = { 16, 128, 128 } };
	const struct il_matte matte = { .person = s.matte,
		                        .stride = MODEL * (ptrdiff_t)sizeof *s.matte,
		                        .step = 1,
		                        .width = MODEL,
		                        .height = MODEL };
	int64_t t0 = il_clock_ns();
	il_frame_copy(s.frame, s.original);
	int64_t t1 = il_clock_ns();
	check(il_mask_stream_take(s.streams[row], &matte, &err), &err);
	int64_t t2 = il_clock_ns();
	check(il_matte_chain_alpha(s.chains[row], il_mask_stream_mask(s.streams[row]), s.frame, &err), &err);
	int64_t t3 = il_clock_ns();
	check(il_matte_chain_apply(s.chains[row], s.frame, &background, &err), &err);
	int64_t t4 = il_clock_ns();
	keep_best(row, COPY, t1 - t0, first);
	keep_best(row, MASK, t2 - t1, first);
	keep_best(row, ALPHA, t3 - t2, first);
	keep_best(row, APPLY, t4 - t3, first);
	keep_best(row, TOTAL, t4 - t1, first);
}

static double covered(void)
{
	double sum = 0;
	for (int i = 0; i < MODEL * MODEL; i++)
		sum += (double)s.matte[i];
	return 100 * sum / (MODEL * MODEL);
}

int main(int argc, char **argv)
{
	s.width = argc > 2 ? atoi(argv[1]) : 1920;
	s.height = argc > 2 ? atoi(argv[2]) : 1080;
	int rounds = argc > 3 ? atoi(argv[3]) : 40;
	if (s.width < 1 || s.height < 1 || rounds < 1) {
		fprintf(stderr, "usage: %s [WIDTH HEIGHT [ROUNDS [ROW]]]\n", argv[0]);
		return 2;
	}
	prepare();
	for (int round = -1; round < rounds; round++) /* the first one warms up */
		for (size_t i = 0; i < ROWS; i++)
			if (argc < 5 || atoi(argv[4]) == (int)i)
				run(i, round <= 0);
	double copy = INFINITY;
	for (size_t i = 0; i < ROWS; i++)
		if (s.best[i][COPY] > 0)
			copy = fmin(copy, s.best[i][COPY]);
	printf("%d x %d, subject %.0f %%, memcpy of the planes %.3f ms\n", s.width, s.height, covered(), copy / 1e6);
	printf("%-20s %8s %8s %8s %8s %9s\n", "ms a frame", "mask", "alpha", "apply", "total", "memcpys");
	for (size_t i = 0; i < ROWS; i++) {
		printf("%-20s", rows[i].name);
		for (int step = MASK; step < STEPS; step++)
			printf(" %8.3f", s.best[i][step] / 1e6);
		printf(" %9.1f\n", s.best[i][TOTAL] / copy);
		il_mask_stream_destroy(&s.streams[i]);
		il_matte_chain_destroy(&s.chains[i]);
	}
	inlay_frame_destroy(&s.original);
	inlay_frame_destroy(&s.frame);
	free(s.matte);
	return 0;
}
