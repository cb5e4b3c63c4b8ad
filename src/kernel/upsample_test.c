/* Scaling of masks against NumPy's indices and double precision. */
#include "kernel/upsample.h"

#include <math.h>

#include "kernel/mask_golden.h"
#include "kernel/mask_planes.h"

/* A one-row picture whose pixels are their own position, low and high byte, gives the indices back. */
static void check_indices(int round)
{
	int src = golden_nearest[round].src, dst = golden_nearest[round].dst;
	struct inlay_error err = { 0 };
	struct il_upsample *up = NULL;
	uint8_t *in = malloc((size_t)src), *out[2] = { malloc((size_t)dst), malloc((size_t)dst) };
	assert_ok(il_upsample_create(&up, IL_UPSAMPLE_NEAREST, src, 1, dst, 1, &err));
	for (int part = 0; part < 2; part++) {
		for (int i = 0; i < src; i++)
			in[i] = (uint8_t)(part ? i >> 8 : i);
		il_upsample_rows(up, out[part], 0, in, 0, 0, 1);
	}
	uint64_t hash = FNV_START;
	for (int i = 0; i < dst; i++) {
		const uint8_t pair[2] = { out[0][i], out[1][i] };
		hash = fnv(hash, pair, 2);
	}
	if (hash != golden_nearest[round].hash)
		fail_msg("%d to %d", src, dst);
	il_upsample_destroy(&up);
	free(in);
	free(out[0]);
	free(out[1]);
}

static void nearest_equals_numpy(void **state)
{
	(void)state;
	for_both_tables(check_indices, sizeof golden_nearest / sizeof *golden_nearest);
}

static double exact(const struct plane *src, int width, int height, int x, int y)
{
	double fx = fmin(fmax((x + 0.5) * src->width / width - 0.5, 0), src->width - 1);
	double fy = fmin(fmax((y + 0.5) * src->height / height - 0.5, 0), src->height - 1);
	int x0 = (int)fx, y0 = (int)fy;
	int x1 = x0 + 1 < src->width ? x0 + 1 : x0, y1 = y0 + 1 < src->height ? y0 + 1 : y0;
	double top = plane_at(src, x0, y0) * (1 - fx + x0) + plane_at(src, x1, y0) * (fx - x0);
	double bottom = plane_at(src, x0, y1) * (1 - fx + x0) + plane_at(src, x1, y1) * (fx - x0);
	return top * (1 - fy + y0) + bottom * (fy - y0);
}

/* Whole pictures, in bands or pieces, larger and smaller: nearest by NumPy's rule, bilinear within the rounding it
 * states. */
static void check_pictures(int round)
{
	int w, h, width, height;
	random_size(round, &w, &h);
	random_size(round / 5, &width, &height);
	if (round % 3)
		width += w;
	bool bilinear = round % 2;
	struct plane src = plane_input(w, h, round % 4 > 1), dst = plane_make(width, height, false);
	struct inlay_error err = { 0 };
	struct il_upsample *up = NULL;
	assert_ok(il_upsample_create(&up, bilinear ? IL_UPSAMPLE_BILINEAR : IL_UPSAMPLE_NEAREST, w, h, width, height,
	                             &err));
	for (int y = 0, end; y < height; y = end) {
		end = random_in(y + 1, height);
		if (random_in(0, 1)) {
			il_upsample_rows(up, dst.data + y * dst.stride, dst.stride, src.data, src.stride, y, end);
			continue;
		}
		for (int x = 0, right; x < width; x = right) {
			right = random_in(x + 1, width);
			il_upsample_part(up, dst.data + y * dst.stride + x, dst.stride, src.data, src.stride, x, right,
			                 y, end);
		}
	}
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			int got = plane_at(&dst, x, y);
			if (bilinear) {
				assert_true(fabs(got - exact(&src, width, height, x, y)) < 0.52);
				continue;
			}
			int sx = width == 1 ? 0 : x == width - 1 ? w - 1 : (int)(x * ((double)(w - 1) / (width - 1)));
			int sy = height == 1       ? 0
			         : y == height - 1 ? h - 1
			                           : (int)(y * ((double)(h - 1) / (height - 1)));
			assert_int_equal(got, plane_at(&src, sx, sy));
		}
	plane_check_guards(&dst);
	il_upsample_destroy(&up);
	assert_null(up);
	plane_free(&src);
	plane_free(&dst);
}

static void pictures(void **state)
{
	(void)state;
	for_both_tables(check_pictures, 200);
}

static void refuses_sizes(void **state)
{
	(void)state;
	struct inlay_error err = { 0 };
	struct il_upsample *up = NULL;
	assert_fails(il_upsample_create(&up, IL_UPSAMPLE_NEAREST, 0, 1, 1, 1, &err), INLAY_ERR_INVALID, "0x1");
	assert_fails(il_upsample_create(&up, IL_UPSAMPLE_NEAREST, 1, 1, 32768, 1, &err), INLAY_ERR_INVALID, "32768x1");
	assert_null(up);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nearest_equals_numpy),
		cmocka_unit_test(pictures),
		cmocka_unit_test(refuses_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
