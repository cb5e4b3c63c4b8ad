/* The kernels in plain C: what every other table is checked against. */
#include "kernel/kernel.h"

#include <string.h>

#include "kernel/blur_kernels.h"
#include "kernel/guided_kernels.h"
#include "kernel/tensor.h"

static IL_SIGNATURE_PACK_PICTURE(pack_picture)
{
	size_t area = (size_t)size * (size_t)size;
	for (int c = 0; c < 3; c++)
		for (int y = 0; y < size; y++) {
			float *whole = planes + (size_t)c * area + (size_t)y * (size_t)size;
			float *masked = whole + 3 * area;
			const uint8_t *in = bgr + y * stride + c;
			for (int x = 0; x < size; x++) {
				whole[x] = (float)in[3 * x] / 255.0f;
				masked[x] = y >= y0 && y < y1 && x >= x0 && x < x1 ? 0.0f : whole[x];
			}
		}
}

static IL_SIGNATURE_UNPACK_PICTURE(unpack_picture)
{
	size_t area = (size_t)size * (size_t)size;
	for (int c = 0; c < 3; c++)
		for (int y = 0; y < size; y++) {
			const float *in = planes + (size_t)c * area + (size_t)y * (size_t)size;
			uint8_t *out = bgr + y * stride + c;
			for (int x = 0; x < size; x++) {
				float p = in[x] > 0.0f ? in[x] : 0.0f; /* NaN too */
				p = p < 1.0f ? p : 1.0f;
				out[3 * x] = (uint8_t)(255.0f * p);
			}
		}
}

static IL_SIGNATURE_RESIZE_H_LINEAR(resize_h_linear)
{
	for (int i = 0; i < n; i++) {
		const uint8_t *in = row + offsets[i];
		int w0 = coefs[2 * i], w1 = coefs[2 * i + 1];
		for (int c = 0; c < 3; c++)
			out[3 * i + c] = (int16_t)((in[c] * w0 + in[c + 3] * w1) >> 4);
	}
}

static IL_SIGNATURE_RESIZE_H_CUBIC(resize_h_cubic)
{
	for (int i = 0; i < n; i++) {
		const uint8_t *in = row + offsets[i];
		const int16_t *w = coefs + 4 * i;
		for (int c = 0; c < 3; c++)
			out[3 * i + c] = (float)(in[c] * w[0] + in[c + 3] * w[1] + in[c + 6] * w[2] + in[c + 9] * w[3]);
	}
}

static inline uint8_t clip_byte(int value)
{
	return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static IL_SIGNATURE_RESIZE_V_LINEAR(resize_v_linear)
{
	for (int i = 0; i < n; i++)
		out[i] = clip_byte(((a[i] * wa >> 16) + (b[i] * wb >> 16) + 2) >> 2);
}

/* Rounds to nearest even without a library call: at 1.5 * 2^23 the steps of a float are 1. For |value| < 2^22. */
static inline int round_even(float value)
{
	float shifted = value + 12582912.0f;
	int32_t bits;
	memcpy(&bits, &shifted, sizeof bits);
	return bits - 0x4b400000;
}

static IL_SIGNATURE_RESIZE_V_CUBIC(resize_v_cubic)
{
	for (int i = 0; i < n; i++) {
		float sum = rows[3][i] * weights[3];
		sum += rows[2][i] * weights[2];
		sum += rows[1][i] * weights[1];
		sum += rows[0][i] * weights[0];
		out[i] = clip_byte(round_even(sum));
	}
}

static IL_SIGNATURE_BGR_TO_LUMA(bgr_to_luma)
{
	for (int i = 0; i < n; i++) {
		int sum = bgr[3 * i] * to->y[0] + bgr[3 * i + 1] * to->y[1] + bgr[3 * i + 2] * to->y[2];
		luma[i] = clip_byte(to->y_offset + ((sum + (1 << 14)) >> 15));
	}
}

static IL_SIGNATURE_BGR_TO_CHROMA(bgr_to_chroma)
{
	for (int i = 0; i < n; i++) {
		int su = 0, sv = 0;
		for (int c = 0; c < 3; c++) {
			int k = 6 * i + c;
			int sum = bgr0[k] + bgr0[k + 3] + bgr1[k] + bgr1[k + 3];
			su += sum * to->u[c];
			sv += sum * to->v[c];
		}
		u[i] = clip_byte(128 + ((su + (1 << 16)) >> 17));
		v[i] = clip_byte(128 + ((sv + (1 << 16)) >> 17));
	}
}

static IL_SIGNATURE_YUV_TO_BGR(yuv_to_bgr)
{
	for (int i = 0; i < n; i++) {
		int k = i / 2, side = i % 2 ? k + 1 : k - 1;
		int y = 16 * luma[i] * from->y, cb = 3 * u[k] + u[side], cr = 3 * v[k] + v[side];
		bgr[3 * i] = clip_byte((y + cb * from->b_u + from->b_bias) >> 17);
		bgr[3 * i + 1] = clip_byte((y + cb * from->g_u + cr * from->g_v + from->g_bias) >> 17);
		bgr[3 * i + 2] = clip_byte((y + cr * from->r_v + from->r_bias) >> 17);
	}
}

const struct il_kernels il_kernels_c = {
	.name = "c",
	.pack_picture = pack_picture,
	.unpack_picture = unpack_picture,
	.resize_h_linear = resize_h_linear,
	.resize_h_cubic = resize_h_cubic,
	.resize_v_linear = resize_v_linear,
	.resize_v_cubic = resize_v_cubic,
	.bgr_to_luma = bgr_to_luma,
	.bgr_to_chroma = bgr_to_chroma,
	.yuv_to_bgr = yuv_to_bgr,
	.normalize_planar = il_normalize_planar_c,
	.normalize_packed = il_normalize_packed_c,
	.sigmoid = il_sigmoid_c,
	.mask = &il_mask_kernels_c,
	.morph = &il_morph_kernels_c,
	.blend = &il_blend_kernels_c,
	.blur = &il_blur_kernels_c,
	.guided = &il_guided_kernels_c,
};
