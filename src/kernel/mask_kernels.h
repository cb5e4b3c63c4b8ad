/* Kernels of the matte chain, one table a family: values of masks, dilation and erosion, blending. The rules of
 * kernel.h hold. mask.h, upsample.h, morph.h, blend.h and psnr.h are made of them.
 */
#ifndef IL_KERNEL_MASK_KERNELS_H
#define IL_KERNEL_MASK_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Soft threshold: (m - low) / span, clipped to 0..1. span 0 makes it hard: 1 where m >= low, else 0. */
struct il_ramp {
	float low, span;
};

/* n values in[i] * scale through the ramp, times 255, truncated; each operation in single precision. NaN gives 0. */
#define IL_SIGNATURE_MASK_RAMP(name)                                                                                   \
	void name(uint8_t *out, const float *in, float scale, const struct il_ramp *ramp, int n)

/* 1 / (1 + exp(other - person)), within 2e-7; other may be NULL, which is zeros. NaN gives (nearly) 0. Value i is at
 * i * step floats. */
#define IL_SIGNATURE_MASK_ACTIVATE(name)                                                                               \
	void name(float *out, const float *person, const float *other, ptrdiff_t step, int n)

/* out[i] = table[in[i]]; out may be in. */
#define IL_SIGNATURE_MASK_MAP(name) void name(uint8_t *out, const uint8_t *in, const uint8_t table[256], int n)

/* state[i], a mask in units of 1/256, goes gain / 65536 of the way to in[i]: truncated, but at least one unit; gain is
 * 1..65535. out[i] is the state rounded; out may be in. */
#define IL_SIGNATURE_MASK_SMOOTH(name) void name(uint8_t *out, uint16_t *state, const uint8_t *in, int gain, int n)

/* The greater, or with `least` the smaller, of a[i] and b[i]; out may be either. */
#define IL_SIGNATURE_MASK_PICK(name) void name(uint8_t *out, const uint8_t *a, const uint8_t *b, bool least, int n)

/* 255 - in[i]; out may be in. */
#define IL_SIGNATURE_MASK_INVERT(name) void name(uint8_t *out, const uint8_t *in, int n)

/* out[i] = in[index[i]]; index ascends. `in` is readable for 16 values from every index. */
#define IL_SIGNATURE_MASK_EXPAND(name) void name(uint8_t *out, const uint8_t *in, const int16_t *index, int n)

/* With v = in[index[i]] and d = in[index[i] + 1] - v: 128 * v + (128 * d * weight[i] + 2^14 >> 15), a mask in units of
 * 1/128. weight is 0..32767, index ascends, `in` is readable for 17 values from every index. */
#define IL_SIGNATURE_MASK_LERP_EXPAND(name)                                                                            \
	void name(int16_t *out, const uint8_t *in, const int16_t *index, const int16_t *weight, int n)

/* Of two such rows: (a[i] + ((b[i] - a[i]) * weight + 2^14 >> 15) + 64) >> 7. */
#define IL_SIGNATURE_MASK_LERP_ROWS(name) void name(uint8_t *out, const int16_t *a, const int16_t *b, int weight, int n)

typedef IL_SIGNATURE_MASK_RAMP(il_mask_ramp_fn);
typedef IL_SIGNATURE_MASK_ACTIVATE(il_mask_activate_fn);
typedef IL_SIGNATURE_MASK_MAP(il_mask_map_fn);
typedef IL_SIGNATURE_MASK_SMOOTH(il_mask_smooth_fn);
typedef IL_SIGNATURE_MASK_PICK(il_mask_pick_fn);
typedef IL_SIGNATURE_MASK_INVERT(il_mask_invert_fn);
typedef IL_SIGNATURE_MASK_EXPAND(il_mask_expand_fn);
typedef IL_SIGNATURE_MASK_LERP_ROWS(il_mask_lerp_rows_fn);
typedef IL_SIGNATURE_MASK_LERP_EXPAND(il_mask_lerp_expand_fn);

struct il_mask_kernels {
	il_mask_ramp_fn *ramp;
	il_mask_activate_fn *activate;
	il_mask_map_fn *map;
	il_mask_smooth_fn *smooth;
	il_mask_pick_fn *pick;
	il_mask_invert_fn *invert;
	il_mask_expand_fn *expand;
	il_mask_lerp_rows_fn *lerp_rows;
	il_mask_lerp_expand_fn *lerp_expand;
};

/* Bytes past its end that may be read and written in a line of IL_SIGNATURE_MORPH_ACROSS. */
#define IL_MORPH_PAD 96

/* Columns that IL_SIGNATURE_MORPH_COLUMNS works on at a time. */
#define IL_MORPH_STRIP 256

/* out[i] = the greatest (least) of line[i] .. line[i + window - 1], i < n; the n + window - 1 values are lost. */
#define IL_SIGNATURE_MORPH_ACROSS(name) void name(uint8_t *out, uint8_t *line, int window, bool least, int n)

/* Row j of out, j < rows_out <= window, is the greatest (least) of in[j] .. in[j + window - 1], n columns: one block of
 * the algorithm of van Herk, Gil and Werman. `scratch` has window * IL_MORPH_STRIP bytes. */
#define IL_SIGNATURE_MORPH_COLUMNS(name)                                                                               \
	void name(uint8_t *out, ptrdiff_t stride, int rows_out, const uint8_t *const *in, int window, bool least,      \
	          uint8_t *scratch, int n)

typedef IL_SIGNATURE_MORPH_ACROSS(il_morph_across_fn);
typedef IL_SIGNATURE_MORPH_COLUMNS(il_morph_columns_fn);

struct il_morph_kernels {
	il_morph_across_fn *across;
	il_morph_columns_fn *columns;
};

/* What a piece of alpha is throughout. */
enum il_alpha_class { IL_ALPHA_MIXED, IL_ALPHA_EMPTY, IL_ALPHA_FULL };

/* (fg * alpha + bg * (255 - alpha)) / 255, rounded to nearest; there are no ties. out may be fg or bg. */
#define IL_SIGNATURE_BLEND_ROW(name)                                                                                   \
	void name(uint8_t *out, const uint8_t *fg, const uint8_t *bg, const uint8_t *alpha, int n)

/* The same for n interleaved pairs, each of one alpha. */
#define IL_SIGNATURE_BLEND_PAIRS(name)                                                                                 \
	void name(uint8_t *out, const uint8_t *fg, const uint8_t *bg, const uint8_t *alpha, int n)

/* n means of 2 x 2 values, rounded half up. */
#define IL_SIGNATURE_BLEND_HALVE(name) void name(uint8_t *out, const uint8_t *row0, const uint8_t *row1, int n)

#define IL_SIGNATURE_BLEND_CLASSIFY(name)                                                                              \
	enum il_alpha_class name(const uint8_t *alpha, ptrdiff_t stride, int width, int height)

/* Sum of (a[i] - b[i])^2. */
#define IL_SIGNATURE_BLEND_SQUARES(name) uint64_t name(const uint8_t *a, const uint8_t *b, int n)

typedef IL_SIGNATURE_BLEND_ROW(il_blend_row_fn);
typedef IL_SIGNATURE_BLEND_PAIRS(il_blend_pairs_fn);
typedef IL_SIGNATURE_BLEND_HALVE(il_blend_halve_fn);
typedef IL_SIGNATURE_BLEND_CLASSIFY(il_blend_classify_fn);
typedef IL_SIGNATURE_BLEND_SQUARES(il_blend_squares_fn);

struct il_blend_kernels {
	il_blend_row_fn *row;
	il_blend_pairs_fn *pairs;
	il_blend_halve_fn *halve;
	il_blend_classify_fn *classify;
	il_blend_squares_fn *squares;
};

/* One a file; reached through struct il_kernels. */
extern const struct il_mask_kernels il_mask_kernels_c, il_mask_kernels_avx2;
extern const struct il_morph_kernels il_morph_kernels_c, il_morph_kernels_avx2;
extern const struct il_blend_kernels il_blend_kernels_c, il_blend_kernels_avx2;

#endif
