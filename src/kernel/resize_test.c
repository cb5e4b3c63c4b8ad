#include "tests/test.h"

#include <math.h>

#include "base/cpu.h"
#include "kernel/resize.h"

static uint8_t *allocate(size_t size)
{
	uint8_t *bytes = malloc(size);
	assert_non_null(bytes);
	return bytes;
}

/* The picture that the hashes below were made from. */
static uint8_t *hashed_picture(int width, int height)
{
	size_t n = (size_t)width * (size_t)height * 3;
	uint8_t *bgr = allocate(n);
	for (size_t i = 0; i < n; i++) {
		uint32_t v = (uint32_t)i * 2654435761u;
		v ^= v >> 15;
		bgr[i] = (uint8_t)(v * 2246822519u >> 24);
	}
	return bgr;
}

static uint32_t fnv1a(const uint8_t *data, size_t n)
{
	uint32_t hash = 2166136261u;
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ data[i]) * 16777619u;
	return hash;
}

/* FNV-1a of what cv2.resize (OpenCV 4.6.0, Debian 12, amd64) makes of hashed_picture. */
static const struct {
	enum il_interp interp;
	int src_width, src_height, dst_width, dst_height;
	uint32_t hash;
} opencv[] = {
	{ IL_INTERP_LINEAR, 182, 182, 328, 328, 0x9393a73c }, { IL_INTERP_LINEAR, 328, 328, 182, 182, 0xa54a1091 },
	{ IL_INTERP_LINEAR, 37, 53, 20, 91, 0x56531789 },     { IL_INTERP_LINEAR, 101, 77, 202, 154, 0xc6d1adf5 },
	{ IL_INTERP_LINEAR, 64, 48, 32, 24, 0x4a66d1a4 },     { IL_INTERP_LINEAR, 1, 1, 5, 7, 0x06073920 },
	{ IL_INTERP_LINEAR, 3, 200, 50, 2, 0x99dcbfed },      { IL_INTERP_CUBIC, 182, 182, 328, 328, 0x5afedec4 },
	{ IL_INTERP_CUBIC, 328, 328, 184, 182, 0x488b8ead },  { IL_INTERP_CUBIC, 37, 53, 24, 91, 0xf10adb50 },
	{ IL_INTERP_CUBIC, 101, 77, 200, 154, 0xb0931b6c },   { IL_INTERP_CUBIC, 64, 48, 32, 24, 0xac32365c },
	{ IL_INTERP_CUBIC, 1, 1, 8, 7, 0x2f0395fd },          { IL_INTERP_CUBIC, 3, 200, 56, 2, 0x645b1aa1 },
};

static void check_opencv(void)
{
	struct inlay_error err;
	struct il_resize *resize[2];
	assert_ok(il_resize_create(&resize[0], IL_INTERP_LINEAR, &err));
	assert_ok(il_resize_create(&resize[1], IL_INTERP_CUBIC, &err));
	for (size_t i = 0; i < sizeof opencv / sizeof *opencv; i++) {
		int sw = opencv[i].src_width, sh = opencv[i].src_height;
		int dw = opencv[i].dst_width, dh = opencv[i].dst_height;
		struct il_resize *r = resize[opencv[i].interp == IL_INTERP_CUBIC];
		uint8_t *src = hashed_picture(sw, sh), *dst = allocate((size_t)(dw * dh * 3));
		assert_ok(il_resize_prepare(r, sw, sh, dw, dh, &err));
		il_resize_run(r, dst, dw * 3, src, sw * 3);
		if (fnv1a(dst, (size_t)(dw * dh * 3)) != opencv[i].hash)
			fail_msg("case %zu, %dx%d to %dx%d: not what OpenCV makes of it", i, sw, sh, dw, dh);
		free(src);
		free(dst);
	}
	il_resize_destroy(&resize[0]);
	il_resize_destroy(&resize[1]);
}

static void equals_opencv(void **state)
{
	(void)state;
	check_opencv();
}

static void equals_opencv_in_plain_c(void **state)
{
	(void)state;
	il_cpu_mask(0);
	check_opencv();
	il_cpu_mask(~0u);
}

static double kernel_weight(enum il_interp interp, double distance)
{
	const double a = -0.75, d = fabs(distance);
	if (interp == IL_INTERP_LINEAR)
		return d < 1 ? 1 - d : 0;
	return d < 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

static int clamp(int value, int end)
{
	return value < 0 ? 0 : value >= end ? end - 1 : value;
}

/* One value straight from the definition, in double precision. */
static double defined_value(enum il_interp interp, const uint8_t *src, int sw, int sh, double fx, double fy, int c)
{
	int x0 = (int)floor(fx), y0 = (int)floor(fy);
	double sum = 0;
	for (int y = y0 - 1; y <= y0 + 2; y++)
		for (int x = x0 - 1; x <= x0 + 2; x++)
			sum += kernel_weight(interp, fx - x) * kernel_weight(interp, fy - y) *
			       src[(clamp(y, sh) * sw + clamp(x, sw)) * 3 + c];
	return sum < 0 ? 0 : sum > 255 ? 255 : sum;
}

/* Rounding costs half a level; weights of 1/2048 and the bits that OpenCV drops cost less than as much again. */
static void near_the_definition(void **state)
{
	(void)state;
	struct inlay_error err;
	for (int round = 0; round < 60; round++) {
		enum il_interp interp = round % 2 ? IL_INTERP_CUBIC : IL_INTERP_LINEAR;
		int sw = 1 + (int)(test_random() % 70), sh = 1 + (int)(test_random() % 70);
		int dw = 1 + (int)(test_random() % 70), dh = 1 + (int)(test_random() % 70);
		uint8_t *src = hashed_picture(sw, sh), *dst = allocate((size_t)(dw * dh * 3));
		struct il_resize *resize;
		assert_ok(il_resize_create(&resize, interp, &err));
		assert_ok(il_resize_prepare(resize, sw, sh, dw, dh, &err));
		il_resize_run(resize, dst, dw * 3, src, sw * 3);
		for (int i = 0; i < dw * dh * 3; i++) {
			double fx = (i / 3 % dw + 0.5) * sw / dw - 0.5, fy = (i / 3 / dw + 0.5) * sh / dh - 0.5;
			double expected = defined_value(interp, src, sw, sh, fx, fy, i % 3);
			if (fabs(dst[i] - expected) > 1.0)
				fail_msg("%dx%d to %dx%d, value %d: %d, expected %.2f", sw, sh, dw, dh, i, dst[i],
				         expected);
		}
		il_resize_destroy(&resize);
		free(src);
		free(dst);
	}
}

/* Strides wider than the rows, one object for many sizes, and nothing written between the rows. */
static void reuse_and_strides(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_resize *kept;
	assert_ok(il_resize_create(&kept, IL_INTERP_CUBIC, &err));
	for (int round = 0; round < 40; round++) {
		int sw = 1 + (int)(test_random() % 90), sh = 1 + (int)(test_random() % 90);
		int dw = 1 + (int)(test_random() % 90), dh = 1 + (int)(test_random() % 90), gap = round % 5;
		uint8_t *src = hashed_picture(sw, sh), *wide = allocate((size_t)((sw * 3 + gap) * sh));
		uint8_t *once = allocate((size_t)(dw * dh * 3)), *again = allocate((size_t)((dw * 3 + gap) * dh));
		for (int y = 0; y < sh; y++)
			memcpy(wide + y * (sw * 3 + gap), src + y * sw * 3, (size_t)sw * 3);
		memset(again, 0xa5, (size_t)((dw * 3 + gap) * dh));
		struct il_resize *fresh;
		assert_ok(il_resize_create(&fresh, IL_INTERP_CUBIC, &err));
		assert_ok(il_resize_prepare(fresh, sw, sh, dw, dh, &err));
		il_resize_run(fresh, once, dw * 3, src, sw * 3);
		assert_ok(il_resize_prepare(kept, sw, sh, dw, dh, &err));
		il_resize_run(kept, again, dw * 3 + gap, wide, sw * 3 + gap);
		for (int y = 0; y < dh; y++) {
			assert_memory_equal(again + y * (dw * 3 + gap), once + y * dw * 3, (size_t)dw * 3);
			for (int i = 0; i < gap; i++)
				assert_int_equal(again[y * (dw * 3 + gap) + dw * 3 + i], 0xa5);
		}
		il_resize_destroy(&fresh);
		free(src);
		free(wide);
		free(once);
		free(again);
	}
	il_resize_destroy(&kept);
}

static void same_size_copies(void **state)
{
	(void)state;
	struct inlay_error err;
	uint8_t *src = hashed_picture(57, 31), *dst = allocate(57 * 31 * 3);
	for (int interp = IL_INTERP_LINEAR; interp <= IL_INTERP_CUBIC; interp++) {
		struct il_resize *resize;
		assert_ok(il_resize_create(&resize, interp, &err));
		assert_ok(il_resize_prepare(resize, 57, 31, 57, 31, &err));
		il_resize_run(resize, dst, 57 * 3, src, 57 * 3);
		assert_memory_equal(dst, src, 57 * 31 * 3);
		il_resize_destroy(&resize);
	}
	free(src);
	free(dst);
}

static void impossible_sizes(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_resize *resize;
	assert_ok(il_resize_create(&resize, IL_INTERP_LINEAR, &err));
	assert_fails(il_resize_prepare(resize, 0, 10, 10, 10, &err), INLAY_ERR_INVALID, "cannot scale 0x10 to 10x10");
	assert_fails(il_resize_prepare(resize, 10, 10, 10, -3, &err), INLAY_ERR_INVALID, "10x-3");
	assert_fails(il_resize_prepare(resize, 10, 40000, 10, 10, &err), INLAY_ERR_INVALID, "1..32768");
	il_resize_destroy(&resize);
	il_resize_destroy(&resize);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_opencv),       cmocka_unit_test(equals_opencv_in_plain_c),
		cmocka_unit_test(near_the_definition), cmocka_unit_test(reuse_and_strides),
		cmocka_unit_test(same_size_copies),    cmocka_unit_test(impossible_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
