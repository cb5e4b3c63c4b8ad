/* Pixel and tensor kernels. kernel.c chooses one table by instruction set; each entry has a C reference that the
 * others equal bit for bit. Inputs are pointers, strides (in bytes) and sizes; sizes are >= 1, any alignment. No
 * entry allocates, or touches a byte outside its rows but where it says so. Thread-safe.
 */
#ifndef IL_KERNEL_KERNEL_H
#define IL_KERNEL_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/mask_kernels.h"

/* Network input: `planes` float planes of size*size each at 1/255 scale from an interleaved BGR picture: planes 0-2
 * are B, G, R; planes 3-5 the same with x0 <= x < x1, y0 <= y < y1 zero (the mouth that the network must fill). The
 * box lies inside the picture. */
#define IL_SIGNATURE_PACK_PICTURE(name)                                                                                \
	void name(float *planes, const uint8_t *bgr, ptrdiff_t stride, int size, int x0, int y0, int x1, int y1)

/* Network output: float planes B, G, R of size*size -> interleaved bytes, 255 * p truncated towards zero after
 * clipping p to 0..1 (NumPy's astype(uint8) on values that are in range; NaN gives 0). */
#define IL_SIGNATURE_UNPACK_PICTURE(name) void name(uint8_t *bgr, ptrdiff_t stride, const float *planes, int size)

/* Horizontal passes of resize.c over one row of BGR pixels. Output pixel i (three values) comes from the 2 (linear)
 * or 4 (cubic) pixels that begin at byte offsets[i] of `row`, with weights coefs[2 * i ..] or coefs[4 * i ..] in
 * units of 1/2048. `row` is readable for 16 bytes from every offset. Linear keeps 16 bits: the sum >> 4. */
#define IL_SIGNATURE_RESIZE_H_LINEAR(name)                                                                             \
	void name(int16_t *out, const uint8_t *row, const int *offsets, const int16_t *coefs, int n)
#define IL_SIGNATURE_RESIZE_H_CUBIC(name)                                                                              \
	void name(float *out, const uint8_t *row, const int *offsets, const int16_t *coefs, int n)

/* Vertical passes over n values. Linear: ((a * wa >> 16) + (b * wb >> 16) + 2) >> 2, weights in units of 1/2048.
 * Cubic: the weighted sum in the order of rows 3, 2, 1, 0, rounded to nearest even, clipped to 0..255. */
#define IL_SIGNATURE_RESIZE_V_LINEAR(name)                                                                             \
	void name(uint8_t *out, const int16_t *a, const int16_t *b, int wa, int wb, int n)
#define IL_SIGNATURE_RESIZE_V_CUBIC(name)                                                                              \
	void name(uint8_t *out, const float *const rows[4], const float weights[4], int n)

/* BGR -> YCbCr. Weights of B, G, R in units of 1/32768. */
struct il_bgr_to_yuv {
	int16_t y[3], u[3], v[3];
	int y_offset;
};

/* n pixels: y_offset + weighted sum, rounded to nearest (half up), clipped to 0..255. */
#define IL_SIGNATURE_BGR_TO_LUMA(name)                                                                                 \
	void name(uint8_t *luma, const uint8_t *bgr, const struct il_bgr_to_yuv *to, int n)

/* n chroma samples from 2n pixels of each of two rows: 128 + weighted sum of the mean of 2 x 2 pixels, rounded once. */
#define IL_SIGNATURE_BGR_TO_CHROMA(name)                                                                               \
	void name(uint8_t *u, uint8_t *v, const uint8_t *bgr0, const uint8_t *bgr1, const struct il_bgr_to_yuv *to,    \
	          int n)

/* YCbCr -> BGR. Weights in units of 1/8192; biases hold the offsets of Y, Cb, Cr and the half for rounding. */
struct il_yuv_to_bgr {
	int16_t y, b_u, g_u, g_v, r_v;
	int32_t b_bias, g_bias, r_bias;
};

/* n pixels, the first one at an even position. u and v: chroma of the row's height, in units of 1/4; sample i lies
 * between pixels 2i and 2i + 1, which are 3 parts of it and one part of the sample on their side, so samples -1 to
 * (n + 1) / 2 are read. Each of B, G, R is (16 * Y * y + weighted chroma in units of 1/16 + bias) >> 17, clipped. */
#define IL_SIGNATURE_YUV_TO_BGR(name)                                                                                  \
	void name(uint8_t *bgr, const uint8_t *luma, const uint16_t *u, const uint16_t *v,                             \
	          const struct il_yuv_to_bgr *from, int n)

/* Network input of any scale: n pixels of three bytes each -> scale * byte + offset (two roundings). Entry c belongs to
 * out[c], or to value c of an interleaved pixel. Planar: out[c] is byte c of every pixel. Packed: bytes stay in order,
 * or with `swap` the first and the last change places (BGR <-> RGB). */
struct il_normalize {
	float scale[3], offset[3];
};
#define IL_SIGNATURE_NORMALIZE_PLANAR(name)                                                                            \
	void name(float *const out[3], const uint8_t *pixels, const struct il_normalize *by, int n)
#define IL_SIGNATURE_NORMALIZE_PACKED(name)                                                                            \
	void name(float *out, const uint8_t *pixels, const struct il_normalize *by, int swap, int n)

/* n logits to probabilities in place: 1 / (1 + exp(-x)) within 2e-7, NaN gives 0 (to a float's precision). n may be 0.
 */
#define IL_SIGNATURE_SIGMOID(name) void name(float *values, int n)

typedef IL_SIGNATURE_PACK_PICTURE(il_pack_picture_fn);
typedef IL_SIGNATURE_UNPACK_PICTURE(il_unpack_picture_fn);
typedef IL_SIGNATURE_RESIZE_H_LINEAR(il_resize_h_linear_fn);
typedef IL_SIGNATURE_RESIZE_H_CUBIC(il_resize_h_cubic_fn);
typedef IL_SIGNATURE_RESIZE_V_LINEAR(il_resize_v_linear_fn);
typedef IL_SIGNATURE_RESIZE_V_CUBIC(il_resize_v_cubic_fn);
typedef IL_SIGNATURE_BGR_TO_LUMA(il_bgr_to_luma_fn);
typedef IL_SIGNATURE_BGR_TO_CHROMA(il_bgr_to_chroma_fn);
typedef IL_SIGNATURE_YUV_TO_BGR(il_yuv_to_bgr_fn);
typedef IL_SIGNATURE_NORMALIZE_PLANAR(il_normalize_planar_fn);
typedef IL_SIGNATURE_NORMALIZE_PACKED(il_normalize_packed_fn);
typedef IL_SIGNATURE_SIGMOID(il_sigmoid_fn);

/* Families with files of their own. */
struct il_blur_kernels;   /* blur_kernels.h */
struct il_guided_kernels; /* guided_kernels.h */

struct il_kernels {
	const char *name; /* "c", "avx2", ... */
	il_pack_picture_fn *pack_picture;
	il_unpack_picture_fn *unpack_picture;
	il_resize_h_linear_fn *resize_h_linear;
	il_resize_h_cubic_fn *resize_h_cubic;
	il_resize_v_linear_fn *resize_v_linear;
	il_resize_v_cubic_fn *resize_v_cubic;
	il_bgr_to_luma_fn *bgr_to_luma;
	il_bgr_to_chroma_fn *bgr_to_chroma;
	il_yuv_to_bgr_fn *yuv_to_bgr;
	il_normalize_planar_fn *normalize_planar;
	il_normalize_packed_fn *normalize_packed;
	il_sigmoid_fn *sigmoid;
	const struct il_mask_kernels *mask; /* these five: mask_kernels.h, blur_kernels.h, guided_kernels.h */
	const struct il_morph_kernels *morph;
	const struct il_blend_kernels *blend;
	const struct il_blur_kernels *blur;
	const struct il_guided_kernels *guided;
};

/* The best table that il_cpu_flags() allows. Every entry is set. */
const struct il_kernels *il_kernels_get(void);

/* All tables this build has and this processor can run, C first; NULL-terminated. For the checker. Valid until the
 * next call of this thread. */
const struct il_kernels *const *il_kernels_all(void);

/* One a file. Only il_kernels_c may be used without asking the processor. */
extern const struct il_kernels il_kernels_c;
extern const struct il_kernels il_kernels_avx2; /* x86/kernel_avx2.c */

#endif
