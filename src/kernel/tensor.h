/* The tensor family of kernels, for the tables alone: everybody else takes them from struct il_kernels. */
#ifndef IL_KERNEL_TENSOR_H
#define IL_KERNEL_TENSOR_H

#include "kernel/kernel.h"

IL_SIGNATURE_NORMALIZE_PLANAR(il_normalize_planar_c);
IL_SIGNATURE_NORMALIZE_PACKED(il_normalize_packed_c);
IL_SIGNATURE_SIGMOID(il_sigmoid_c);

IL_SIGNATURE_NORMALIZE_PLANAR(il_normalize_planar_avx2);
IL_SIGNATURE_NORMALIZE_PACKED(il_normalize_packed_avx2);
IL_SIGNATURE_SIGMOID(il_sigmoid_avx2);

/* exp(-x) for the sigmoid, after S. Moshier's expf (Cephes): -x = k ln 2 + r, where ln 2 is taken off in two parts so
 * that r keeps its digits, and exp(r) is a polynomial. Beyond 87 the result is 0 or 1 to a float's precision. */
#define IL_SIGMOID_LIMIT 87.0f
#define IL_EXP_LOG2E 1.44269504088896341f
#define IL_EXP_ROUND 12582912.0f /* 1.5 * 2^23: adding it rounds to a whole number, which then is in the low bits */
#define IL_EXP_ROUND_BITS 0x4b400000
#define IL_EXP_LN2_HIGH 0.693359375f
#define IL_EXP_LN2_LOW -2.12194440e-4f
#define IL_EXP_P0 1.9875691500e-4f
#define IL_EXP_P1 1.3981999507e-3f
#define IL_EXP_P2 8.3334519073e-3f
#define IL_EXP_P3 4.1665795894e-2f
#define IL_EXP_P4 1.6666665459e-1f
#define IL_EXP_P5 5.0000001201e-1f

#endif
