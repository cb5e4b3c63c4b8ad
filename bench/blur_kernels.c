/* Times the blur and the guided filter on one thread, for those who work on them: ns a sample, and the ratio to a
 * memcpy of the same bytes, each the best of rounds in which all take turns.
 *
 * usage: blur_kernels [WIDTH HEIGHT [ROUNDS]]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "kernel/blur.h"
#include "kernel/guided.h"

static int width = 1920, height = 1080;
static uint8_t *src, *dst, *alpha;
static float matte[256 * 256];
static void *scratch;

static void copy(float unused)
{
	(void)unused;
	memcpy(dst, src, (size_t)width * (size_t)height);
}

static struct il_blur_params whole(float sigma)
{
	return (struct il_blur_params){ width, height, { 0, 0, width, height }, sigma, false };
}

static void blur(float sigma)
{
	const struct il_blur_params params = whole(sigma);
	il_blur(dst, width, src, width, &params, scratch);
}

static void fast_blur(float sigma)
{
	struct il_blur_params params = whole(sigma);
	params.fast = true;
	il_blur(dst, width, src, width, &params, scratch);
}

static void masked_blur(float sigma)
{
	const struct il_blur_params params = whole(sigma);
	il_masked_blur(dst, width, src, width, alpha, width, &params, scratch);
}

static const struct il_guided_params *guided_params(void)
{
	static struct il_guided_params p;
	p = (struct il_guided_params){ width, height, 256, 256, 6, 1e-3f };
	return &p;
}

static void guided(float unused)
{
	(void)unused;
	const struct il_guided_matte in = { .floats = matte, .stride = 256 * sizeof(float) };
	il_guided_upsample(dst, width, src, width, &in, guided_params(), scratch);
}

static const struct {
	const char *name;
	void (*run)(float sigma);
	float sigma;
} rows[] = {
	{ "memcpy", copy, 0 },
	{ "blur 1", blur, 1 },
	{ "blur 3", blur, 3 },
	{ "blur 6", blur, 6 },
	{ "blur 50", blur, 50 },
	{ "fast blur 3", fast_blur, 3 },
	{ "fast blur 50", fast_blur, 50 },
	{ "masked blur 1", masked_blur, 1 },
	{ "masked blur 3", masked_blur, 3 },
	{ "masked blur 6", masked_blur, 6 },
	{ "masked blur 12", masked_blur, 12 },
	{ "masked blur 50", masked_blur, 50 },
	{ "guided 256x256", guided, 0 },
};
#define ROWS (int)(sizeof rows / sizeof *rows)

static void fill(void)
{
	uint32_t state = 1;
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			double d = hypot(x - width * 0.5, y - height * 0.7) / height;
			ptrdiff_t at = (ptrdiff_t)y * width + x;
			state = state * 1664525u + 1013904223u;
			src[at] = (uint8_t)(100 + 60 * sin(x * 0.02) + (state >> 28));
			alpha[at] = (uint8_t)(d < 0.4 ? 255 : d > 0.42 ? 0 : 255 * (0.42 - d) / 0.02);
		}
	for (int i = 0; i < 256 * 256; i++)
		matte[i] = hypot(i % 256 - 128, i / 256 - 180) < 90 ? 1.0f : 0.0f;
}

static size_t largest(size_t a, size_t b)
{
	return a > b ? a : b;
}

int main(int argc, char **argv)
{
	if (argc > 2) {
		width = atoi(argv[1]);
		height = atoi(argv[2]);
	}
	int rounds = argc > 3 ? atoi(argv[3]) : 30;
	if (width < 1 || height < 1 || rounds < 1) {
		fprintf(stderr, "usage: blur_kernels [WIDTH HEIGHT [ROUNDS]]\n");
		return 2;
	}
	size_t n = (size_t)width * (size_t)height;
	src = malloc(n);
	dst = malloc(n);
	alpha = malloc(n);
	scratch = malloc(largest(largest(il_blur_scratch(width, height), il_masked_blur_scratch(width, height)),
	                         il_guided_scratch(guided_params())));
	if (!src || !dst || !alpha || !scratch)
		return 1;
	fill();
	double best[ROWS];
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < ROWS; i++) {
			int64_t start = il_clock_ns();
			rows[i].run(rows[i].sigma);
			double ns = (double)(il_clock_ns() - start);
			best[i] = round == 0 || ns < best[i] ? ns : best[i];
		}
	printf("%d x %d, %s\n", width, height, il_cpu_name(il_cpu_flags()));
	for (int i = 0; i < ROWS; i++)
		printf("%-16s %8.3f ns/sample %8.2f x memcpy\n", rows[i].name, best[i] / (double)n, best[i] / best[0]);
	free(src);
	free(dst);
	free(alpha);
	free(scratch);
	return 0;
}
