#include "kernel/mask.h"

#include <math.h>

#include "kernel/kernel.h"

#define CHUNK 512 /* values that go through the activation at a time */

static const struct il_mask_kernels *kernels(void)
{
	return il_kernels_get()->mask;
}

struct il_ramp il_ramp_make(double threshold, double width)
{
	if (!(threshold > 0))
		return (struct il_ramp){ 0.0f, 1.0f };
	double low = fmax(0, threshold - width / 2), high = fmin(1, threshold + width / 2);
	if (!(width > 0) || !(high > low))
		return (struct il_ramp){ (float)threshold, 0.0f };
	return (struct il_ramp){ (float)low, (float)(high - low) };
}

void il_ramp_table(uint8_t table[256], const struct il_ramp *ramp)
{
	float values[256];
	for (int v = 0; v < 256; v++)
		values[v] = (float)v / 255.0f;
	kernels()->ramp(table, values, 1.0f, ramp, 256);
}

/* `n` values at `x` of a row, activated and next to each other. */
static void gather(float *values, const struct il_mask_kernels *k, const struct il_matte *matte, ptrdiff_t row, int x,
                   int n)
{
	ptrdiff_t at = x * matte->step;
	const float *person = (const float *)((const char *)matte->person + row) + at, *background = NULL;
	if (matte->activation == IL_ACTIVATION_SOFTMAX)
		background = (const float *)((const char *)matte->background + row) + at;
	if (matte->activation != IL_ACTIVATION_NONE)
		k->activate(values, person, background, matte->step, n);
	else
		for (int i = 0; i < n; i++)
			values[i] = person[i * matte->step];
}

void il_mask_from_matte(uint8_t *mask, ptrdiff_t stride, const struct il_matte *matte, const struct il_ramp *ramp)
{
	const struct il_mask_kernels *k = kernels();
	const float scale = matte->scale == 0.0f ? 1.0f : matte->scale;
	const bool ready = matte->activation == IL_ACTIVATION_NONE && matte->step == 1;
	float values[CHUNK];
	for (int y = 0; y < matte->height; y++, mask += stride) {
		ptrdiff_t row = y * matte->stride;
		if (ready) {
			const float *in = (const float *)((const char *)matte->person + row);
			k->ramp(mask, in, scale, ramp, matte->width);
			continue;
		}
		for (int x = 0; x < matte->width; x += CHUNK) {
			int n = matte->width - x < CHUNK ? matte->width - x : CHUNK;
			gather(values, k, matte, row, x, n);
			k->ramp(mask + x, values, scale, ramp, n);
		}
	}
}

void il_mask_map(uint8_t *out, ptrdiff_t out_stride, const uint8_t *in, ptrdiff_t in_stride, int width, int height,
                 const uint8_t table[256])
{
	const struct il_mask_kernels *k = kernels();
	for (int y = 0; y < height; y++)
		k->map(out + y * out_stride, in + y * in_stride, table, width);
}

void il_mask_invert(uint8_t *out, ptrdiff_t out_stride, const uint8_t *in, ptrdiff_t in_stride, int width, int height)
{
	const struct il_mask_kernels *k = kernels();
	for (int y = 0; y < height; y++)
		k->invert(out + y * out_stride, in + y * in_stride, width);
}

void il_mask_feather(uint8_t *out, ptrdiff_t out_stride, const uint8_t *mask, ptrdiff_t mask_stride,
                     const uint8_t *blurred, ptrdiff_t blurred_stride, int width, int height, enum il_feather_side side)
{
	const struct il_mask_kernels *k = kernels();
	for (int y = 0; y < height; y++)
		k->pick(out + y * out_stride, mask + y * mask_stride, blurred + y * blurred_stride,
		        side == IL_FEATHER_IN, width);
}

static void take_row(uint8_t *out, uint16_t *state, const uint8_t *in, int n)
{
	for (int x = 0; x < n; x++) {
		out[x] = in[x];
		state[x] = (uint16_t)(in[x] << 8);
	}
}

void il_mask_smooth(uint8_t *out, ptrdiff_t out_stride, uint16_t *state, const uint8_t *in, ptrdiff_t in_stride,
                    int width, int height, double gain)
{
	const struct il_mask_kernels *k = kernels();
	int parts = gain > 0 ? (int)lrint(fmin(gain, 1) * 65536) : 1;
	for (int y = 0; y < height; y++, state += width)
		if (parts > 65535)
			take_row(out + y * out_stride, state, in + y * in_stride, width);
		else
			k->smooth(out + y * out_stride, state, in + y * in_stride, parts ? parts : 1, width);
}
