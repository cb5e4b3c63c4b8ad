/* The plain blur against a model of PIL's arithmetic, which recorded results of PIL itself vouch for; the masked blur
 * against the same boxes in double precision, and by its properties; every kernel against C. */
#include "tests/test.h"

#include <math.h>
#include <stdbool.h>

#include "base/cpu.h"
#include "kernel/blur.h"
#include "kernel/blur_kernels.h"
#include "kernel/kernel.h"

#define GUARD 48

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

static void fill_random(void *memory, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)memory)[i] = (uint8_t)(test_random() >> 11);
}

/* A plane in memory of its exact size, with a random stride. */
struct plane {
	uint8_t *data;
	int width, height, stride;
	size_t size;
};

static struct plane plane_make(int width, int height)
{
	struct plane p = { .width = width, .height = height, .stride = width + random_in(0, 9) };
	p.size = (size_t)p.stride * (size_t)(height - 1) + (size_t)width;
	p.data = allocate(p.size);
	fill_random(p.data, p.size);
	return p;
}

static struct plane plane_copy(const struct plane *from)
{
	struct plane p = *from;
	p.data = allocate(p.size);
	memcpy(p.data, from->data, p.size);
	return p;
}

enum content { NOISE, BINARY, SMOOTH, CHECKS, CONTENTS };

static void plane_fill(struct plane *p, enum content content)
{
	double a = random_in(1, 9) / 40.0, b = random_in(1, 9) / 40.0;
	for (int y = 0; y < p->height; y++)
		for (int x = 0; x < p->width; x++) {
			uint8_t *s = p->data + (ptrdiff_t)y * p->stride + x;
			switch (content) {
			case BINARY: *s = (x / 11 + y / 13) % 2 ? 255 : 0; break;
			case SMOOTH: *s = (uint8_t)lrint(127.5 + 127.5 * sin(a * x) * cos(b * y)); break;
			case CHECKS: *s = (uint8_t)(17 + (x + y) % 2); break;
			default: *s = (uint8_t)(test_random() >> 9);
			}
		}
}

static bool fast_blur; /* of il_blur below */

static void blur(struct plane *dst, const struct plane *src, struct il_blur_area area, float sigma)
{
	const struct il_blur_params params = { src->width, src->height, area, sigma, fast_blur };
	size_t size = il_blur_scratch(src->width, src->height);
	uint8_t *scratch = allocate(size);
	fill_random(scratch, size);
	il_blur(dst->data, dst->stride, src->data, src->stride, &params, scratch);
	free(scratch);
}

static struct il_blur_area whole(const struct plane *p)
{
	return (struct il_blur_area){ 0, 0, p->width, p->height };
}

static struct il_blur_area random_area(const struct plane *p)
{
	int x = random_in(0, p->width - 1), y = random_in(0, p->height - 1);
	return (struct il_blur_area){ x, y, random_in(1, p->width - x), random_in(1, p->height - y) };
}

static int inside(const struct il_blur_area *a, int x, int y)
{
	return x >= a->x && x < a->x + a->width && y >= a->y && y < a->y + a->height;
}

/* The area is as in `expected`, within `tolerance`; everything else as in `before`. */
static int compare(const struct plane *got, const struct plane *expected, const struct plane *before,
                   const struct il_blur_area *area, int tolerance, const char *what)
{
	int worst = 0;
	for (int y = 0; y < got->height; y++)
		for (int x = 0; x < got->stride && y * (ptrdiff_t)got->stride + x < (ptrdiff_t)got->size; x++) {
			ptrdiff_t at = (ptrdiff_t)y * got->stride + x;
			if (x >= got->width || !inside(area, x, y)) {
				assert_int_equal(got->data[at], before->data[at]);
				continue;
			}
			int wanted = expected->data[(ptrdiff_t)y * expected->stride + x];
			int difference = abs(got->data[at] - wanted);
			worst = difference > worst ? difference : worst;
			if (difference > tolerance)
				fail_msg("%s: %d at %d, %d of %dx%d, not %d", what, got->data[at], x, y, got->width,
				         got->height, wanted);
		}
	return worst;
}

/* PIL's box filter along `n` samples (BoxBlur.c of Pillow 9.4): 24-bit weights, rounding half up. */
static void pil_box(uint8_t *data, ptrdiff_t step, int n, float radius)
{
	int r = (int)radius;
	uint32_t full = (uint32_t)((float)(1 << 24) / (radius * 2 + 1));
	uint32_t partial = ((1u << 24) - (uint32_t)(2 * r + 1) * full) / 2;
	uint8_t *in = allocate((size_t)(n + 2 * r + 2));
	for (int i = -r - 1; i < n + r + 1; i++)
		in[i + r + 1] = data[(i < 0 ? 0 : i < n ? i : n - 1) * step];
	for (int i = 0; i < n; i++) {
		uint32_t sum = 0;
		for (int k = 1; k <= 2 * r + 1; k++)
			sum += in[i + k];
		data[i * step] = (uint8_t)((sum * full + (in[i] + in[i + 2 * r + 2]) * partial + (1u << 23)) >> 24);
	}
	free(in);
}

static struct plane pil_blur(const struct plane *src, float sigma)
{
	struct plane p = plane_copy(src);
	float radius = il_blur_box_radius(sigma);
	for (int y = 0; y < p.height; y++)
		for (int pass = 0; pass < 3; pass++)
			pil_box(p.data + (ptrdiff_t)y * p.stride, 1, p.width, radius);
	for (int x = 0; x < p.width; x++)
		for (int pass = 0; pass < 3; pass++)
			pil_box(p.data + x, p.stride, p.height, radius);
	return p;
}

/* FNV-1a of what PIL 9.4.0 makes of the picture below: tools/make_blur_golden.py. */
static const struct {
	int width, height;
	float sigma;
	uint32_t hash;
} pil[] = {
	{ 64, 48, 0.3f, 0xd14c5c60 },   { 64, 48, 1.0f, 0xcd5c7e8f },    { 37, 53, 1.5f, 0xeb09e41c },
	{ 101, 77, 3.0f, 0x98fdd13b },  { 101, 77, 7.25f, 0x64b6b11b },  { 200, 3, 20.0f, 0xb534dfea },
	{ 1, 90, 6.0f, 0x1bdc5da2 },    { 50, 1, 2.0f, 0x92614518 },     { 1, 1, 4.0f, 0x050c5d1f },
	{ 131, 67, 40.0f, 0xccf6538c }, { 23, 211, 100.0f, 0x3bd9ee0e },
};

static struct plane hashed_picture(int width, int height)
{
	struct plane p = { allocate((size_t)(width * height)), width, height, width, (size_t)(width * height) };
	for (uint32_t i = 0; i < p.size; i++) {
		uint32_t v = i * 2654435761u;
		v ^= v >> 15;
		p.data[i] = (uint8_t)(v * 2246822519u >> 24);
	}
	return p;
}

static uint32_t fnv1a(const uint8_t *data, size_t n)
{
	uint32_t hash = 2166136261u;
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ data[i]) * 16777619u;
	return hash;
}

static void model_is_pil(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof pil / sizeof *pil; i++) {
		struct plane src = hashed_picture(pil[i].width, pil[i].height);
		struct plane model = pil_blur(&src, pil[i].sigma);
		if (fnv1a(model.data, model.size) != pil[i].hash)
			fail_msg("case %zu: not what PIL makes of it", i);
		free(src.data);
		free(model.data);
	}
}

static void compare_with_pil(int tolerance)
{
	static const float sigmas[] = { 0.05f, 0.3f, 0.8f,  1.0f,  1.41f, 1.5f,  2.0f,  2.5f,  3.0f,
		                        5.0f,  6.0f, 7.25f, 10.0f, 17.0f, 33.3f, 64.0f, 99.9f, 100.0f };
	static const int sizes[][2] = { { 1, 1 },   { 1, 70 },  { 70, 1 },  { 2, 2 },     { 15, 33 },
		                        { 16, 32 }, { 31, 17 }, { 64, 64 }, { 199, 143 }, { 330, 65 } };
	long differ = 0, samples = 0;
	for (size_t s = 0; s < sizeof sigmas / sizeof *sigmas; s++)
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
			for (int content = 0; content < CONTENTS; content++) {
				struct plane src = plane_make(sizes[i][0], sizes[i][1]),
					     dst = plane_make(src.width, src.height);
				plane_fill(&src, content);
				struct plane before = plane_copy(&dst), expected = pil_blur(&src, sigmas[s]);
				struct il_blur_area area = whole(&src);
				char what[64];
				snprintf(what, sizeof what, "sigma %g, content %d", (double)sigmas[s], content);
				blur(&dst, &src, area, sigmas[s]);
				compare(&dst, &expected, &before, &area, tolerance, what);
				for (int y = 0; y < src.height; y++)
					for (int x = 0; x < src.width; x++, samples++)
						differ += dst.data[y * dst.stride + x] !=
						          expected.data[y * src.stride + x];
				free(src.data);
				free(dst.data);
				free(before.data);
				free(expected.data);
			}
	printf("# %.2f %% of samples are not PIL's\n", 100.0 * (double)differ / (double)samples);
}

static void blur_is_pil(void **state)
{
	(void)state;
	compare_with_pil(0);
}

static void blur_is_pil_in_plain_c(void **state)
{
	(void)state;
	il_cpu_mask(0);
	compare_with_pil(0);
	il_cpu_mask(~0u);
}

static void fast_blur_is_close_to_pil(void **state)
{
	(void)state;
	fast_blur = true;
	compare_with_pil(3);
	fast_blur = false;
}

static void areas_equal_the_whole(void **state)
{
	(void)state;
	for (int round = 0; round < 200; round++) {
		float sigma = (float)random_in(0, 60) / (float)random_in(1, 9);
		fast_blur = round % 2;
		struct plane src = plane_make(random_in(1, 150), random_in(1, 150));
		struct plane all = plane_make(src.width, src.height), dst = plane_make(src.width, src.height);
		struct plane before = plane_copy(&dst);
		struct il_blur_area area = random_area(&src);
		blur(&all, &src, whole(&src), sigma);
		blur(&dst, &src, area, sigma);
		compare(&dst, &all, &before, &area, 0, "area");
		memcpy(before.data, src.data, before.size < src.size ? before.size : src.size);
		struct plane source = plane_copy(&src);
		blur(&src, &src, area, sigma);
		compare(&src, &all, &source, &area, 0, "in place");
		free(src.data);
		free(all.data);
		free(dst.data);
		free(before.data);
		free(source.data);
	}
}

static void flat_stays_flat(void **state)
{
	(void)state;
	for (int i = 0; i <= 2000; i++) {
		fast_blur = i % 3 == 0;
		struct plane p = plane_make(3, 40);
		memset(p.data, i % 256, p.size);
		blur(&p, &p, whole(&p), (float)i / 20);
		for (int y = 0; y < p.height; y++)
			for (int x = 0; x < p.width; x++)
				assert_int_equal(p.data[y * p.stride + x], i % 256);
		free(p.data);
	}
	fast_blur = false;
}

static bool coarse_blur; /* of masked below */

static void masked(struct plane *dst, const struct plane *src, const struct plane *alpha, struct il_blur_area area,
                   float sigma)
{
	const struct il_blur_params params = {
		.width = src->width, .height = src->height, .area = area, .sigma = sigma, .coarse = coarse_blur
	};
	size_t size = il_masked_blur_scratch(src->width, src->height);
	uint8_t *scratch = allocate(size);
	fill_random(scratch, size);
	il_masked_blur(dst->data, dst->stride, src->data, src->stride, alpha->data, alpha->stride, &params, scratch);
	free(scratch);
}

/* One box pass in double precision. */
static void exact_box(double *data, ptrdiff_t step, int n, double radius)
{
	int r = (int)radius;
	double *in = allocate((size_t)(n + 2 * r + 2) * sizeof *in);
	for (int i = -r - 1; i < n + r + 1; i++)
		in[i + r + 1] = data[(i < 0 ? 0 : i < n ? i : n - 1) * step];
	for (int i = 0; i < n; i++) {
		double sum = (radius - r) * (in[i] + in[i + 2 * r + 2]);
		for (int k = 1; k <= 2 * r + 1; k++)
			sum += in[i + k];
		data[i * step] = sum / (2 * radius + 1);
	}
	free(in);
}

static void exact_blur(double *data, int width, int height, float sigma)
{
	double radius = (double)il_blur_box_radius(sigma);
	for (int pass = 0; pass < 3; pass++) {
		for (int y = 0; y < height; y++)
			exact_box(data + (ptrdiff_t)y * width, 1, width, radius);
		for (int x = 0; x < width; x++)
			exact_box(data + x, width, height, radius);
	}
}

/* Largest difference from the definition where the blurred weight is at least a sixteenth, as far as it shows under
 * the foreground, and where work at reduced size is not bound to repeat means of squares for samples of the border. */
static double masked_error(const struct plane *dst, const struct plane *src, const struct plane *alpha, float sigma)
{
	size_t n = (size_t)(src->width * src->height);
	double *values = allocate(n * sizeof *values), *weights = allocate(n * sizeof *weights), worst = 0;
	int border = sigma < 3.0f ? 0 : il_blur_reach(sigma);
	for (int y = 0; y < src->height; y++)
		for (int x = 0; x < src->width; x++) {
			double w = 255 - alpha->data[y * alpha->stride + x];
			weights[y * src->width + x] = w;
			values[y * src->width + x] = w * src->data[y * src->stride + x];
		}
	exact_blur(values, src->width, src->height, sigma);
	exact_blur(weights, src->width, src->height, sigma);
	for (int y = border; y < src->height - border; y++)
		for (int x = border; x < src->width - border; x++) {
			size_t i = (size_t)(y * src->width + x);
			if (weights[i] < 255.0 / 16)
				continue;
			double error = fabs(dst->data[y * dst->stride + x] - values[i] / weights[i]);
			error *= (255 - alpha->data[y * alpha->stride + x]) / 255.0;
			worst = error > worst ? error : worst;
		}
	free(values);
	free(weights);
	return worst;
}

/* A soft-edged disc in the middle. */
static void disc(struct plane *alpha, double softness)
{
	for (int y = 0; y < alpha->height; y++)
		for (int x = 0; x < alpha->width; x++) {
			double d = hypot(x - alpha->width * 0.45, y - alpha->height * 0.6);
			double a = (alpha->height * 0.3 - d) / softness + 0.5;
			alpha->data[y * alpha->stride + x] = (uint8_t)lrint(255 * (a < 0 ? 0 : a > 1 ? 1 : a));
		}
}

static void masked_is_the_quotient(void **state)
{
	(void)state;
	static const struct {
		float sigma;
		double smooth, steps; /* tolerances in levels */
	} cases[] = { { 0.7f, 1.0, 1.0 }, { 1.5f, 1.0, 1.0 },  { 2.9f, 1.0, 1.0 },
		      { 3.0f, 2.5, 5.0 }, { 4.5f, 2.5, 5.0 },  { 6.0f, 2.5, 5.0 },
		      { 9.0f, 2.5, 5.0 }, { 12.0f, 2.5, 5.0 }, { 30.0f, 2.5, 5.0 } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct plane src = plane_make(351, 329), alpha = plane_make(351, 329), dst = plane_make(351, 329);
		double errors[CONTENTS];
		disc(&alpha, 6);
		for (int content = 0; content < CONTENTS; content++) {
			plane_fill(&src, content);
			masked(&dst, &src, &alpha, whole(&src), cases[i].sigma);
			errors[content] = masked_error(&dst, &src, &alpha, cases[i].sigma);
		}
		printf("# sigma %g: off by %.2f (noise) %.2f (steps) %.2f (smooth)\n", (double)cases[i].sigma,
		       errors[NOISE], errors[BINARY], errors[SMOOTH]);
		assert_true(errors[SMOOTH] <= cases[i].smooth);
		assert_true(errors[BINARY] <= cases[i].steps);
		assert_true(errors[NOISE] <= cases[i].steps);
		free(src.data);
		free(alpha.data);
		free(dst.data);
	}
}

static void coarse_is_near_the_quotient(void **state)
{
	(void)state;
	static const float sigmas[] = { 1.5f, 3.0f, 6.0f, 12.0f };
	coarse_blur = true;
	for (size_t i = 0; i < sizeof sigmas / sizeof *sigmas; i++) {
		struct plane src = plane_make(351, 329), alpha = plane_make(351, 329), dst = plane_make(351, 329);
		disc(&alpha, 6);
		plane_fill(&src, SMOOTH);
		masked(&dst, &src, &alpha, whole(&src), sigmas[i]);
		double smooth = masked_error(&dst, &src, &alpha, sigmas[i]);
		plane_fill(&src, BINARY);
		masked(&dst, &src, &alpha, whole(&src), sigmas[i]);
		double steps = masked_error(&dst, &src, &alpha, sigmas[i]);
		printf("# coarse, sigma %g: off by %.2f (steps) %.2f (smooth)\n", (double)sigmas[i], steps, smooth);
		assert_true(smooth <= 25);
		assert_true(steps <= 40);
		free(src.data);
		free(alpha.data);
		free(dst.data);
	}
	coarse_blur = false;
}

/* Whatever the foreground's colour and shape. */
static void constant_background_stays(void **state)
{
	(void)state;
	for (int round = 0; round < 150; round++) {
		struct plane src = plane_make(random_in(1, 200), random_in(1, 150));
		struct plane alpha = plane_make(src.width, src.height), dst = plane_make(src.width, src.height);
		int colour = random_in(0, 255);
		float sigma = (float)random_in(1, 300) / 10;
		disc(&alpha, random_in(1, 30));
		alpha.data[0] = 0; /* some background there is */
		for (int y = 0; y < src.height; y++)
			for (int x = 0; x < src.width; x++)
				if (alpha.data[y * alpha.stride + x] < 255) /* what shows at all */
					src.data[y * src.stride + x] = (uint8_t)colour;
		masked(&dst, &src, &alpha, whole(&src), sigma);
		for (int y = 0; y < src.height; y++)
			for (int x = 0; x < src.width; x++)
				if (abs(dst.data[y * dst.stride + x] - colour) > 1)
					fail_msg("sigma %g, %dx%d: %d at %d, %d, not %d", (double)sigma, src.width,
					         src.height, dst.data[y * dst.stride + x], x, y, colour);
		free(src.data);
		free(alpha.data);
		free(dst.data);
	}
}

/* Close to the definition; il_blur rounds six times, as PIL does, which makes up to 3 levels at small sigmas. At
 * reduced size the border repeats other samples than at full size. */
static void without_foreground_it_is_the_plain_blur(void **state)
{
	(void)state;
	static const float sigmas[] = { 0.0f, 0.4f, 1.0f, 2.0f, 3.0f, 5.0f, 6.0f, 8.0f, 12.0f, 20.0f, 40.0f };
	for (size_t i = 0; i < sizeof sigmas / sizeof *sigmas; i++)
		for (int content = SMOOTH; content < CONTENTS; content++) {
			struct plane src = plane_make(352, 301), alpha = plane_make(352, 301),
				     dst = plane_make(352, 301);
			struct plane plain = plane_copy(&src), before = plane_copy(&dst);
			int border = sigmas[i] < 3.0f ? 0 : il_blur_reach(sigmas[i]);
			struct il_blur_area area = { border, border, 352 - 2 * border, 301 - 2 * border };
			plane_fill(&src, content);
			memset(alpha.data, 0, alpha.size);
			blur(&plain, &src, area, sigmas[i]);
			masked(&dst, &src, &alpha, area, sigmas[i]);
			char what[64];
			snprintf(what, sizeof what, "sigma %g, content %d", (double)sigmas[i], content);
			compare(&dst, &plain, &before, &area, 3, what);
			double error = masked_error(&dst, &src, &alpha, sigmas[i]);
			printf("# sigma %g: %.2f off the definition\n", (double)sigmas[i], error);
			assert_true(sigmas[i] > 0.0f ? error <= 2.5 : error <= 0.0);
			free(src.data);
			free(alpha.data);
			free(dst.data);
			free(plain.data);
			free(before.data);
		}
}

static void without_background_it_is_neutral(void **state)
{
	(void)state;
	struct plane src = plane_make(90, 70), alpha = plane_make(90, 70);
	memset(alpha.data, 255, alpha.size);
	masked(&src, &src, &alpha, whole(&src), 7.0f);
	for (int y = 0; y < 70; y++)
		for (int x = 0; x < 90; x++)
			assert_int_equal(src.data[y * src.stride + x], 128);
	free(src.data);
	free(alpha.data);
}

/* Two backgrounds of different colour beside a broad foreground: no sample differs much from its neighbours, though
 * the weight goes down to nothing. */
static void fallback_has_no_steps(void **state)
{
	(void)state;
	static const float sigmas[] = { 2.0f, 4.0f, 8.0f, 20.0f };
	for (size_t i = 0; i < sizeof sigmas / sizeof *sigmas; i++) {
		struct plane src = plane_make(400, 300), alpha = plane_make(400, 300), dst = plane_make(400, 300);
		int worst = 0;
		for (int y = 0; y < 300; y++)
			for (int x = 0; x < 400; x++) {
				src.data[y * src.stride + x] = x < 200 ? 200 : 40;
				alpha.data[y * alpha.stride + x] = x > 60 && x < 320 && y > 20 ? 255 : 0;
			}
		masked(&dst, &src, &alpha, whole(&src), sigmas[i]);
		for (int y = 30; y < 299; y++)
			for (int x = 0; x < 399; x++) {
				int here = dst.data[y * dst.stride + x], right = dst.data[y * dst.stride + x + 1];
				int below = dst.data[(y + 1) * dst.stride + x];
				int step =
					abs(here - right) > abs(here - below) ? abs(here - right) : abs(here - below);
				worst = step > worst ? step : worst;
			}
		printf("# sigma %g: largest step between neighbours %d\n", (double)sigmas[i], worst);
		assert_in_range(worst, 0, 20);
		free(src.data);
		free(alpha.data);
		free(dst.data);
	}
}

static void masked_writes_its_area_alone(void **state)
{
	(void)state;
	for (int round = 0; round < 200; round++) {
		float sigma = (float)random_in(1, 250) / 10;
		struct plane src = plane_make(random_in(1, 150), random_in(1, 150));
		struct plane alpha = plane_make(src.width, src.height), dst = plane_make(src.width, src.height);
		struct plane all = plane_make(src.width, src.height), before = plane_copy(&dst);
		struct il_blur_area area = random_area(&src);
		for (size_t i = 0; i < alpha.size; i++) /* weight enough for the fallback not to count */
			alpha.data[i] /= 4;
		masked(&all, &src, &alpha, whole(&src), sigma);
		masked(&dst, &src, &alpha, area, sigma);
		compare(&dst, &all, &before, &area, 1, "area");
		struct plane source = plane_copy(&src);
		masked(&src, &src, &alpha, area, sigma);
		compare(&src, &all, &source, &area, 1, "in place");
		free(src.data);
		free(alpha.data);
		free(dst.data);
		free(all.data);
		free(before.data);
		free(source.data);
	}
}

/* Output of a kernel: two copies of the same random bytes, with a guard on either side. */
struct output {
	uint8_t *reference, *tested, *before;
	size_t size;
};

static struct output output_make(size_t size)
{
	struct output o = { allocate(size + 2 * GUARD), allocate(size + 2 * GUARD), allocate(size + 2 * GUARD), size };
	fill_random(o.before, size + 2 * GUARD);
	memcpy(o.reference, o.before, size + 2 * GUARD);
	memcpy(o.tested, o.before, size + 2 * GUARD);
	return o;
}

static void output_check(struct output *o, const char *what)
{
	for (size_t i = 0; i < o->size + 2 * GUARD; i++)
		if (o->reference[i] != o->tested[i])
			fail_msg("%s differs from C at byte %zd of %zu", what, (ptrdiff_t)i - GUARD, o->size);
	assert_memory_equal(o->reference, o->before, GUARD);
	assert_memory_equal(o->reference + GUARD + o->size, o->before + GUARD + o->size, GUARD);
	free(o->reference);
	free(o->tested);
	free(o->before);
}

#define BOTH(o, call)                                                                                                  \
	do {                                                                                                           \
		const struct il_blur_kernels *k = &il_blur_kernels_c;                                                  \
		void *out = (o).reference + GUARD;                                                                     \
		call;                                                                                                  \
		k = tested;                                                                                            \
		out = (o).tested + GUARD;                                                                              \
		call;                                                                                                  \
		output_check(&(o), #call);                                                                             \
	} while (0)

/* Weights within what il_box promises. */
static struct il_box random_box(void)
{
	struct il_box box = { .fast = random_in(0, 1), .scale = random_in(0, 6) };
	box.radius = random_in(box.fast, 127);
	int samples = 2 * box.radius + 1;
	double length = samples + random_in(0, 199) / 100.0;
	box.full = (uint32_t)ldexp(1 / length, 24);
	box.partial = ((1u << 24) - box.full * (uint32_t)samples) / 2;
	while (box.scale > 0 && (255 * samples << box.scale) + 256 > 65535)
		box.scale--;
	double full = ldexp(1 / length, 23 - box.scale);
	box.fast_full = (uint16_t)(full < 65535 ? full : 65535);
	double partial = (ldexp(1, 23) - ldexp(box.fast_full, box.scale) * samples) / 128;
	box.fast_partial = (uint16_t)(partial < 30000 ? partial : 30000);
	box.bias = (uint16_t)random_in(0, 100);
	return box;
}

static void check_strips(const struct il_blur_kernels *tested)
{
	int n = random_in(1, 90), height = random_in(1, IL_STRIP_LANES), stride = n + random_in(0, 9);
	int step = IL_STRIP_LANES + random_in(0, 40), out_step = IL_STRIP_LANES + random_in(0, 40);
	struct il_box box = random_box();
	size_t rows_size = (size_t)(stride * (height - 1) + n), strip_size = (size_t)(n * IL_STRIP_LANES);
	uint8_t *src = allocate((size_t)(step * (n - 1) + IL_STRIP_LANES)), *rows = allocate(rows_size);
	fill_random(src, (size_t)(step * (n - 1) + IL_STRIP_LANES));
	fill_random(rows, rows_size);
	struct output a = output_make((size_t)(out_step * (n - 1) + IL_STRIP_LANES)), b = output_make(strip_size);
	struct output c = output_make(rows_size);
	uint8_t *strip = allocate(strip_size);
	fill_random(strip, strip_size);
	BOTH(a, k->box_strip(out, out_step, src, step, n, &box));
	BOTH(b, k->rows_to_strip(out, rows, stride, n, height));
	BOTH(c, k->strip_to_rows(out, stride, strip, n, height));
	free(src);
	free(rows);
	free(strip);
}

static void check_pair_strips(const struct il_blur_kernels *tested)
{
	int n = random_in(1, 60), height = random_in(1, IL_PAIR_LANES), stride = 4 * (n + random_in(0, 9));
	int step = 4 * (IL_PAIR_LANES + random_in(0, 9)), strip_step = 4 * IL_PAIR_LANES;
	struct il_box_weights box = { .radius = random_in(0, 127) };
	box.full = 1.0f / (2.0f * (float)box.radius + 1.0f + (float)random_in(0, 199) / 100.0f);
	box.partial = (1.0f - box.full * (float)(2 * box.radius + 1)) / 2;
	size_t rows_size = (size_t)(stride * (height - 1) + 4 * n), strip_size = (size_t)(n * strip_step);
	size_t src_size = (size_t)(step * (n - 1) + strip_step);
	uint16_t *src = allocate(src_size), *rows = allocate(rows_size), *strip = allocate(strip_size);
	for (size_t i = 0; i < src_size / 2; i++)
		src[i] = (uint16_t)random_in(0, IL_PAIR_FULL);
	fill_random(rows, rows_size);
	fill_random(strip, strip_size);
	struct output a = output_make(src_size), b = output_make(strip_size), c = output_make(rows_size);
	BOTH(a, k->box_pairs(out, step, src, step, n, &box));
	BOTH(b, k->pairs_to_strip(out, rows, stride, n, height));
	BOTH(c, k->strip_to_pairs(out, stride, strip, n, height));
	free(src);
	free(rows);
	free(strip);
}

static void check_weigh(const struct il_blur_kernels *tested)
{
	int n = random_in(1, 70), level = random_in(0, 3), size = 1 << level;
	struct plane p = plane_make(n * size, size), alpha = plane_make(n * size, size);
	if (random_in(0, 7) == 0) {
		memset(p.data, 255, p.size);
		memset(alpha.data, 0, alpha.size);
	}
	struct output o = output_make((size_t)n * 4);
	const uint8_t *or_none = random_in(0, 3) ? alpha.data : NULL;
	BOTH(o, k->weigh(out, p.data, p.stride, or_none, alpha.stride, n, level));
	free(p.data);
	free(alpha.data);
}

static void check_divide(const struct il_blur_kernels *tested)
{
	int n = random_in(1, 70);
	uint16_t *pairs = allocate((size_t)n * 4), *fallback = allocate((size_t)n * 2);
	for (int i = 0; i < n; i++) {
		int weight = random_in(0, 3) ? random_in(0, IL_PAIR_FULL) : random_in(0, 3);
		pairs[2 * i] = (uint16_t)random_in(0, weight); /* of rounding: now and then above the weight */
		pairs[2 * i] += random_in(0, 9) == 0 && pairs[2 * i] < IL_PAIR_FULL;
		pairs[2 * i + 1] = (uint16_t)weight;
		fallback[i] = (uint16_t)random_in(0, 16320);
	}
	struct output o = output_make((size_t)n * 2);
	BOTH(o, k->divide_pairs(out, pairs, fallback, n));
	free(pairs);
	free(fallback);
}

static void check_scaling(const struct il_blur_kernels *tested)
{
	int n = random_in(1, 70), level = random_in(0, 3), weight = random_in(0, 32767);
	uint16_t *a = allocate((size_t)(n + 17) * 2), *b = allocate((size_t)n * 2);
	for (int i = 0; i < n + 17; i++)
		a[i] = (uint16_t)(random_in(0, 2) ? random_in(0, 16320) : 16320 * random_in(0, 1));
	for (int i = 0; i < n; i++)
		b[i] = (uint16_t)random_in(0, 16320);
	struct output o = output_make((size_t)n * 2), e = output_make((size_t)n << level);
	BOTH(o, k->lerp_row(out, a, b, weight, n));
	BOTH(e, k->expand_row(out, a + 1, n, level));
	free(a);
	free(b);
}

static void kernels_equal_c(void **state)
{
	(void)state;
	const struct il_kernels *const *all = il_kernels_all();
	for (int i = 0; all[i]; i++)
		for (int round = 0; round < 400; round++) {
			check_strips(all[i]->blur);
			check_pair_strips(all[i]->blur);
			check_weigh(all[i]->blur);
			check_divide(all[i]->blur);
			check_scaling(all[i]->blur);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernels_equal_c),
		cmocka_unit_test(model_is_pil),
		cmocka_unit_test(blur_is_pil),
		cmocka_unit_test(blur_is_pil_in_plain_c),
		cmocka_unit_test(fast_blur_is_close_to_pil),
		cmocka_unit_test(areas_equal_the_whole),
		cmocka_unit_test(flat_stays_flat),
		cmocka_unit_test(masked_is_the_quotient),
		cmocka_unit_test(constant_background_stays),
		cmocka_unit_test(without_foreground_it_is_the_plain_blur),
		cmocka_unit_test(without_background_it_is_neutral),
		cmocka_unit_test(fallback_has_no_steps),
		cmocka_unit_test(masked_writes_its_area_alone),
		cmocka_unit_test(coarse_is_near_the_quotient),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
