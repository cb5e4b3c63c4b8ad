/* IEEE binary16 without instructions for it. */
#ifndef IL_KERNEL_HALF_H
#define IL_KERNEL_HALF_H

#include <stdint.h>
#include <string.h>

/* Exact, subnormal numbers and infinities too. */
static inline float il_float_of_half(uint16_t half)
{
	const uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
	uint32_t bits = (rest << 13) + ((127 - 15) << 23);
	float value;
	if (rest < 0x0400) {
		value = (float)rest * 0x1p-24f;
		memcpy(&bits, &value, sizeof bits);
	} else if (rest >= 0x7c00) {
		bits = (rest << 13) | 0x7f800000;
	}
	bits |= sign;
	memcpy(&value, &bits, sizeof value);
	return value;
}

/* Rounded to nearest even; beyond the largest number infinity, NaN stays NaN. */
static inline uint16_t il_half_of_float(float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof bits);
	const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
	bits &= 0x7fffffff;
	if (bits > 0x7f800000)
		return sign | 0x7e00 | (uint16_t)(bits >> 13 & 0x1ff);
	if (bits >= 0x477ff000) /* rounds to 65536 */
		return sign | 0x7c00;
	if (bits < 0x38800000) { /* below 2^-14: the addition rounds to units of 2^-24 */
		memcpy(&value, &bits, sizeof value);
		value += 0.5f;
		memcpy(&bits, &value, sizeof bits);
		return (uint16_t)(sign | (bits - 0x3f000000));
	}
	bits += 0x0fff + (bits >> 13 & 1);
	return (uint16_t)(sign | ((bits >> 13) - ((127 - 15) << 10)));
}

#endif
