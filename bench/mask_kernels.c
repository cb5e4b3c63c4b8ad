/* What the kernels of the matte chain cost, one thread, next to copying a plane of the frame's size. Every round runs
 * all of them once, and the best of the rounds counts, so that what else the machine does hits all alike.
 *
 * usage: bench_mask_kernels [WIDTH HEIGHT [ROUNDS]]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernel/blend.h"
#include "kernel/components.h"
#include "kernel/mask.h"
#include "kernel/morph.h"
#include "kernel/psnr.h"
#include "kernel/upsample.h"

#define MODEL 256 /* a network's mask is so wide and high */

static struct {
	int width, height;
	size_t size;
	uint8_t *a, *b, *out, *alpha, *chroma_alpha, *classes, *small, *small_in, table[256];
	uint16_t *still, *moving;
	float *matte;
	void *morph_scratch, *components_scratch;
	struct il_upsample *nearest, *bilinear;
} s;

static void copy_plane(int arg)
{
	(void)arg;
	memcpy(s.out, s.a, s.size);
}

static void from_matte(int activation)
{
	bool two = activation == IL_ACTIVATION_SOFTMAX;
	struct il_matte m = { .person = s.matte + two,
		              .background = s.matte,
		              .stride = MODEL * 4 * (two ? 2 : 1),
		              .step = two ? 2 : 1,
		              .width = MODEL,
		              .height = MODEL,
		              .activation = (enum il_activation)activation };
	struct il_ramp ramp = il_ramp_make(0.65, 0.2);
	il_mask_from_matte(s.small, MODEL, &m, &ramp);
}

static void components(int arg)
{
	struct il_components_params params = { 0.05, arg ? 0.05 : 0 };
	memcpy(s.small, s.small_in, MODEL * MODEL);
	il_components_filter(s.small, MODEL, MODEL, MODEL, &params, s.components_scratch);
}

static void upsample(int bilinear)
{
	il_upsample_rows(bilinear ? s.bilinear : s.nearest, s.out, s.width, s.small_in, MODEL, 0, s.height);
}

static void map(int arg)
{
	(void)arg;
	il_mask_map(s.out, s.width, s.alpha, s.width, s.width, s.height, s.table);
}

static void morph(int expand)
{
	il_morph(s.out, s.width, s.alpha, s.width, s.width, s.height, expand, s.morph_scratch);
}

static void feather(int arg)
{
	(void)arg;
	il_mask_feather(s.out, s.width, s.alpha, s.width, s.a, s.width, s.width, s.height, IL_FEATHER_OUT);
}

static void invert(int arg)
{
	(void)arg;
	il_mask_invert(s.out, s.width, s.alpha, s.width, s.width, s.height);
}

/* A mask that stands still, or pictures in turn, every value of which moves. */
static void smooth(int moving)
{
	static unsigned turn;
	const uint8_t *in = !moving ? s.alpha : turn++ % 2 ? s.a : s.b;
	il_mask_smooth(s.out, s.width, moving ? s.moving : s.still, in, s.width, s.width, s.height, 0.15);
}

static void halve(int arg)
{
	(void)arg;
	il_alpha_halve(s.chroma_alpha, s.width, s.alpha, s.width, s.width, s.height);
}

static void classify(int arg)
{
	(void)arg;
	il_alpha_classify(s.classes, s.alpha, s.width, s.width, s.height);
}

enum { BLEND_ALL, BLEND_CONSTANT, BLEND_CLASSES, BLEND_PAIRS };

static void blend(int how)
{
	bool pairs = how == BLEND_PAIRS;
	struct il_blend b = { .out = s.out,
		              .out_stride = s.width,
		              .fg = s.a,
		              .fg_stride = s.width,
		              .bg = how == BLEND_CONSTANT ? NULL : s.b,
		              .bg_stride = s.width,
		              .alpha = pairs ? s.chroma_alpha : s.alpha,
		              .alpha_stride = s.width,
		              .width = pairs ? s.width / 2 : s.width,
		              .height = s.height,
		              .pairs = pairs,
		              .classes = how == BLEND_CLASSES ? s.classes : NULL };
	if (pairs)
		b.height /= 2;
	il_blend_rows(&b, 0, b.height);
}

static void psnr(int every)
{
	volatile double keep = il_psnr(s.a, s.width, s.b, s.width, s.width, s.height, every);
	(void)keep;
}

static const struct {
	const char *name;
	void (*run)(int arg);
	int arg, small; /* small: pixels are the network's */
} rows[] = {
	{ "memcpy of a plane", copy_plane, 0, 0 },
	{ "matte to mask, 256x256", from_matte, IL_ACTIVATION_NONE, 1 },
	{ "sigmoid to mask, 256x256", from_matte, IL_ACTIVATION_SIGMOID, 1 },
	{ "softmax NHWC to mask, 256x256", from_matte, IL_ACTIVATION_SOFTMAX, 1 },
	{ "blobs dropped, 256x256", components, 0, 1 },
	{ "blobs dropped, holes filled, 256x256", components, 1, 1 },
	{ "upsample nearest", upsample, 0, 0 },
	{ "upsample bilinear", upsample, 1, 0 },
	{ "table", map, 0, 0 },
	{ "dilate 1", morph, 1, 0 },
	{ "dilate 4", morph, 4, 0 },
	{ "erode 5", morph, -5, 0 },
	{ "dilate 16", morph, 16, 0 },
	{ "dilate 64", morph, 64, 0 },
	{ "dilate 256", morph, 256, 0 },
	{ "maximum of two", feather, 0, 0 },
	{ "invert", invert, 0, 0 },
	{ "temporal smoothing, still", smooth, 0, 0 },
	{ "temporal smoothing, all moving", smooth, 1, 0 },
	{ "chroma alpha", halve, 0, 0 },
	{ "classes of tiles", classify, 0, 0 },
	{ "blend luma, every pixel", blend, BLEND_ALL, 0 },
	{ "blend luma, constant background", blend, BLEND_CONSTANT, 0 },
	{ "blend luma, by classes", blend, BLEND_CLASSES, 0 },
	{ "blend NV12 chroma", blend, BLEND_PAIRS, 0 },
	{ "psnr", psnr, 1, 0 },
	{ "psnr, every 4th row", psnr, 4, 0 },
};

#define ROWS (sizeof rows / sizeof *rows)

static void *take(size_t size)
{
	void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
	if (!memory)
		exit(1);
	return memset(memory, 0, size);
}

/* A head and shoulders with a soft edge, about a third of the picture. */
static double portrait(double x, double y)
{
	double head = hypot((x - 0.5) / 0.13, (y - 0.32) / 0.22), body = hypot((x - 0.5) / 0.33, (y - 1.05) / 0.5);
	return fmin(fmax((1 - fmin(head, body)) * 8 + 0.5, 0), 1);
}

static void prepare(void)
{
	struct inlay_error err = { 0 };
	s.size = (size_t)s.width * (size_t)s.height;
	s.a = take(s.size);
	s.b = take(s.size);
	s.out = take(s.size);
	s.alpha = take(s.size);
	s.chroma_alpha = take(s.size);
	s.still = take(2 * s.size);
	s.moving = take(2 * s.size);
	s.classes = take((size_t)(il_tiles(s.width, IL_TILE_WIDTH) * il_tiles(s.height, IL_TILE_HEIGHT)));
	s.small = take(MODEL * MODEL);
	s.small_in = take(MODEL * MODEL);
	s.matte = take(MODEL * MODEL * 2 * sizeof *s.matte);
	s.morph_scratch = take(il_morph_scratch(s.width, s.height, IL_MORPH_MAX));
	s.components_scratch = take(il_components_scratch(MODEL, MODEL));
	for (size_t i = 0; i < s.size; i++) {
		s.a[i] = (uint8_t)(i * 2654435761u >> 24);
		s.b[i] = (uint8_t)(i * 40503u >> 8);
		s.alpha[i] = (uint8_t)(255 * portrait((double)(i % (size_t)s.width) / s.width,
		                                      (double)(i / (size_t)s.width) / s.height));
	}
	for (int i = 0; i < MODEL * MODEL; i++) {
		double m = portrait((double)(i % MODEL) / MODEL, (double)(i / MODEL) / MODEL);
		s.small_in[i] = (uint8_t)(255 * m);
		if (i * 2654435761u >> 24 == 7) /* specks, which make blobs and holes */
			s.small_in[i] ^= 255;
		s.matte[2 * i + 1] = (float)(10 * m - 5);
	}
	il_mask_smooth(s.out, s.width, s.still, s.alpha, s.width, s.width, s.height, 1);
	struct il_ramp ramp = il_ramp_make(0.65, 0.2);
	il_ramp_table(s.table, &ramp);
	if (il_upsample_create(&s.nearest, IL_UPSAMPLE_NEAREST, MODEL, MODEL, s.width, s.height, &err) ||
	    il_upsample_create(&s.bilinear, IL_UPSAMPLE_BILINEAR, MODEL, MODEL, s.width, s.height, &err)) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	double best[ROWS];
	s.width = argc > 2 ? atoi(argv[1]) : 1920;
	s.height = argc > 2 ? atoi(argv[2]) : 1080;
	int rounds = argc > 3 ? atoi(argv[3]) : 60;
	if (s.width < 2 || s.height < 2 || s.width > 32767 || s.height > 32767 || rounds < 1) {
		fprintf(stderr, "usage: %s [WIDTH HEIGHT [ROUNDS]]\n", argv[0]);
		return 2;
	}
	prepare();
	for (int round = -1; round < rounds; round++) /* the first one warms up */
		for (size_t i = 0; i < ROWS; i++) {
			int64_t start = il_clock_ns();
			rows[i].run(rows[i].arg);
			double ns = (double)(il_clock_ns() - start);
			if (round <= 0 || ns < best[i])
				best[i] = ns;
		}
	printf("%-40s %10s %10s %8s\n", "", "us", "ns/pixel", "memcpys");
	for (size_t i = 0; i < ROWS; i++)
		printf("%-40s %10.1f %10.4f %8.2f\n", rows[i].name, best[i] / 1e3,
		       best[i] / (rows[i].small ? MODEL * MODEL : (double)s.size), best[i] / best[0]);
	il_upsample_destroy(&s.nearest);
	il_upsample_destroy(&s.bilinear);
	void *all[] = {
		s.a,     s.b,        s.out,   s.alpha,         s.chroma_alpha,      s.still, s.moving, s.classes,
		s.small, s.small_in, s.matte, s.morph_scratch, s.components_scratch
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i]);
	return 0;
}
