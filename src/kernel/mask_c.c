/* Values of masks in plain C. */
#include "kernel/mask_kernels.h"

#include <string.h>

static inline uint8_t ramp_value(float m, const struct il_ramp *ramp)
{
	if (ramp->span == 0.0f)
		return m >= ramp->low ? 255 : 0;
	m = (m - ramp->low) / ramp->span;
	m = m > 0.0f ? m : 0.0f; /* NaN too */
	m = m < 1.0f ? m : 1.0f;
	return (uint8_t)(m * 255.0f);
}

static IL_SIGNATURE_MASK_RAMP(ramp_row)
{
	for (int i = 0; i < n; i++)
		out[i] = ramp_value(in[i] * scale, ramp);
}

/* exp(x) for |x| <= 87: 2^k * exp(r), |r| <= ln(2) / 2, the polynomial of S. Moshier's Cephes library (expf). */
static inline float exponential(float x)
{
	float shifted = x * 1.44269504f + 12582912.0f; /* k in the low bits */
	float k = shifted - 12582912.0f;
	float r = x - k * 0.693359375f - k * -2.12194440e-4f;
	float p = 1.9875691500e-4f;
	p = p * r + 1.3981999507e-3f;
	p = p * r + 8.3334519073e-3f;
	p = p * r + 4.1665795894e-2f;
	p = p * r + 1.6666665459e-1f;
	p = p * r + 5.0000001201e-1f;
	p = p * (r * r) + r + 1.0f;
	int32_t bits, power;
	memcpy(&bits, &p, sizeof bits);
	memcpy(&power, &shifted, sizeof power);
	bits += (power - 0x4b400000) * (1 << 23);
	memcpy(&p, &bits, sizeof p);
	return p;
}

static inline float sigmoid(float x)
{
	x = x > -87.0f ? x : -87.0f; /* NaN too */
	x = x < 87.0f ? x : 87.0f;
	return 1.0f / (1.0f + exponential(-x));
}

static IL_SIGNATURE_MASK_ACTIVATE(activate)
{
	for (int i = 0; i < n; i++)
		out[i] = sigmoid(other ? person[i * step] - other[i * step] : person[i * step]);
}

static IL_SIGNATURE_MASK_MAP(map)
{
	for (int i = 0; i < n; i++)
		out[i] = table[in[i]];
}

static inline int step_of(int distance, int gain)
{
	int step = (int)((unsigned)distance * (unsigned)gain >> 16);
	return step ? step : distance > 0;
}

static IL_SIGNATURE_MASK_SMOOTH(smooth)
{
	for (int i = 0; i < n; i++) {
		int target = in[i] << 8, now = state[i];
		now += now < target ? step_of(target - now, gain) : -step_of(now - target, gain);
		state[i] = (uint16_t)now;
		out[i] = (uint8_t)((now + 128) >> 8);
	}
}

static IL_SIGNATURE_MASK_PICK(pick)
{
	for (int i = 0; i < n; i++)
		out[i] = (a[i] < b[i]) == least ? a[i] : b[i];
}

static IL_SIGNATURE_MASK_INVERT(invert)
{
	for (int i = 0; i < n; i++)
		out[i] = (uint8_t)~in[i];
}

static IL_SIGNATURE_MASK_EXPAND(expand)
{
	for (int i = 0; i < n; i++)
		out[i] = in[index[i]];
}

static IL_SIGNATURE_MASK_LERP_EXPAND(lerp_expand)
{
	for (int i = 0; i < n; i++) {
		const uint8_t *v = in + index[i];
		out[i] = (int16_t)(v[0] * 128 + (((v[1] - v[0]) * 128 * weight[i] + (1 << 14)) >> 15));
	}
}

static IL_SIGNATURE_MASK_LERP_ROWS(lerp_rows)
{
	for (int i = 0; i < n; i++)
		out[i] = (uint8_t)((a[i] + (((b[i] - a[i]) * weight + (1 << 14)) >> 15) + 64) >> 7);
}

const struct il_mask_kernels il_mask_kernels_c = {
	.ramp = ramp_row,
	.activate = activate,
	.map = map,
	.smooth = smooth,
	.pick = pick,
	.invert = invert,
	.expand = expand,
	.lerp_rows = lerp_rows,
	.lerp_expand = lerp_expand,
};
