/* The horizontal pass goes over each source row once, into a ring of 2 (linear) or 4 (cubic) rows of wider numbers;
 * the vertical pass blends the rows of the ring into one output row. The inner loops are in the kernel table. */
#include "kernel/resize.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kernel.h"

#define MAX_SIZE 32768
#define MAX_TAPS 4
#define BORDER 2     /* pixels replicated on either side of a row: no tap reaches further */
#define READ_PAST 16 /* bytes that a horizontal kernel may read from any offset */
#define ROW_ALIGN 64 /* of the ring's rows, in bytes */
#define COEF_BITS 11

struct buffer {
	void *data;
	size_t size;
};

/* One direction: output position i is made of `taps` positions from first[i] on. */
struct axis {
	struct buffer first;   /* int [dst] */
	struct buffer weights; /* int16_t [dst][taps] */
};

struct il_resize {
	const struct il_kernels *kernels;
	enum il_interp interp;
	int taps;
	int src_width, src_height, dst_width, dst_height; /* of the tables; src_width 0: none */
	struct axis x, y; /* x.first is in bytes of `row`, y.first in source rows, some of them outside */
	struct buffer row, ring;
	size_t ring_stride; /* bytes */
};

/* Contents are lost. */
static bool grow(struct buffer *buffer, size_t size)
{
	if (size <= buffer->size)
		return true;
	free(buffer->data);
	buffer->size = 0;
	buffer->data = aligned_alloc(ROW_ALIGN, (size + ROW_ALIGN - 1) / ROW_ALIGN * ROW_ALIGN);
	if (buffer->data)
		buffer->size = size;
	return buffer->data;
}

/* Keys's kernel at distances 1 + t, t, 1 - t and 2 - t; the last weight makes the sum 1. */
static void cubic_weights(float t, float w[4])
{
	const float a = -0.75f;
	float u = 1.0f - t, far = 1.0f + t;
	w[0] = ((a * far - 5 * a) * far + 8 * a) * far - 4 * a;
	w[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
	w[2] = ((a + 2) * u - (a + 3)) * u * u + 1;
	w[3] = 1.0f - w[0] - w[1] - w[2];
}

/* first[i] = (position of the first tap + shift) * step. */
static bool make_axis(struct axis *axis, int src, int dst, int taps, int shift, int step)
{
	if (!grow(&axis->first, (size_t)dst * sizeof(int)) ||
	    !grow(&axis->weights, (size_t)dst * (size_t)taps * sizeof(int16_t)))
		return false;
	int *first = axis->first.data;
	int16_t *weights = axis->weights.data;
	double scale = 1.0 / ((double)dst / src);
	for (int i = 0; i < dst; i++) {
		float position = (float)((i + 0.5) * scale - 0.5);
		int whole = (int)floorf(position);
		float w[MAX_TAPS], t = position - (float)whole;
		if (whole < -1 || whole >= src) { /* by rounding only; taps stay within the border */
			whole = whole < 0 ? -1 : src - 1;
			t = 0.0f;
		}
		if (taps == 4) {
			cubic_weights(t, w);
		} else {
			w[0] = 1.0f - t;
			w[1] = t;
		}
		for (int k = 0; k < taps; k++)
			weights[taps * i + k] = (int16_t)lrintf(w[k] * (1 << COEF_BITS));
		first[i] = (whole - (taps / 2 - 1) + shift) * step;
	}
	return true;
}

enum inlay_err il_resize_create(struct il_resize **out, enum il_interp interp, struct inlay_error *err)
{
	struct il_resize *resize = calloc(1, sizeof *resize);
	if (!resize)
		return il_fail_memory(err);
	resize->kernels = il_kernels_get();
	resize->interp = interp;
	resize->taps = interp == IL_INTERP_CUBIC ? 4 : 2;
	*out = resize;
	return INLAY_OK;
}

void il_resize_destroy(struct il_resize **slot)
{
	struct il_resize *resize = *slot;
	*slot = NULL;
	if (!resize)
		return;
	free(resize->x.first.data);
	free(resize->x.weights.data);
	free(resize->y.first.data);
	free(resize->y.weights.data);
	free(resize->row.data);
	free(resize->ring.data);
	free(resize);
}

enum inlay_err il_resize_prepare(struct il_resize *resize, int src_width, int src_height, int dst_width, int dst_height,
                                 struct inlay_error *err)
{
	if (src_width < 1 || src_height < 1 || dst_width < 1 || dst_height < 1 || src_width > MAX_SIZE ||
	    src_height > MAX_SIZE || dst_width > MAX_SIZE || dst_height > MAX_SIZE)
		return il_fail(err, INLAY_ERR_INVALID, "cannot scale %dx%d to %dx%d (1..%d each way)", src_width,
		               src_height, dst_width, dst_height, MAX_SIZE);
	if (src_width == resize->src_width && src_height == resize->src_height && dst_width == resize->dst_width &&
	    dst_height == resize->dst_height)
		return INLAY_OK;
	resize->src_width = 0;
	size_t item = resize->interp == IL_INTERP_CUBIC ? sizeof(float) : sizeof(int16_t);
	size_t ring_stride = ((size_t)dst_width * 3 * item + ROW_ALIGN - 1) / ROW_ALIGN * ROW_ALIGN;
	if (!make_axis(&resize->x, src_width, dst_width, resize->taps, BORDER, 3) ||
	    !make_axis(&resize->y, src_height, dst_height, resize->taps, 0, 1) ||
	    !grow(&resize->row, (size_t)(src_width + 2 * BORDER) * 3 + READ_PAST) ||
	    !grow(&resize->ring, ring_stride * (size_t)resize->taps))
		return il_fail_memory(err);
	resize->ring_stride = ring_stride;
	resize->src_width = src_width;
	resize->src_height = src_height;
	resize->dst_width = dst_width;
	resize->dst_height = dst_height;
	return INLAY_OK;
}

static int clamp_row(const struct il_resize *resize, int y)
{
	return y < 0 ? 0 : y >= resize->src_height ? resize->src_height - 1 : y;
}

static void *ring_row(const struct il_resize *resize, int y)
{
	return (char *)resize->ring.data + (size_t)(y % resize->taps) * resize->ring_stride;
}

/* Source row y into its place in the ring. */
static void pass_row(struct il_resize *resize, const uint8_t *src, int y)
{
	uint8_t *row = resize->row.data, *end = row + 3 * (BORDER + resize->src_width);
	memcpy(row + 3 * BORDER, src, (size_t)resize->src_width * 3);
	for (int i = 0; i < BORDER; i++) {
		memcpy(row + 3 * i, src, 3);
		memcpy(end + 3 * i, end - 3, 3);
	}
	if (resize->interp == IL_INTERP_CUBIC)
		resize->kernels->resize_h_cubic(ring_row(resize, y), row, resize->x.first.data, resize->x.weights.data,
		                                resize->dst_width);
	else
		resize->kernels->resize_h_linear(ring_row(resize, y), row, resize->x.first.data, resize->x.weights.data,
		                                 resize->dst_width);
}

static void blend_row(const struct il_resize *resize, uint8_t *dst, int first, const int16_t *w)
{
	int n = 3 * resize->dst_width;
	const void *rows[MAX_TAPS];
	for (int k = 0; k < resize->taps; k++)
		rows[k] = ring_row(resize, clamp_row(resize, first + k));
	if (resize->interp == IL_INTERP_CUBIC) {
		const float unit = 1.0f / (1 << (2 * COEF_BITS));
		const float *const in[4] = { rows[0], rows[1], rows[2], rows[3] };
		const float weights[4] = { (float)w[0] * unit, (float)w[1] * unit, (float)w[2] * unit,
			                   (float)w[3] * unit };
		resize->kernels->resize_v_cubic(dst, in, weights, n);
	} else {
		resize->kernels->resize_v_linear(dst, rows[0], rows[1], w[0], w[1], n);
	}
}

void il_resize_run(struct il_resize *resize, uint8_t *dst, ptrdiff_t dst_stride, const uint8_t *src,
                   ptrdiff_t src_stride)
{
	const int *first = resize->y.first.data;
	const int16_t *weights = resize->y.weights.data;
	int next = 0; /* rows before it are in the ring, or were not and will not be needed */
	for (int i = 0; i < resize->dst_height; i++) {
		int last = clamp_row(resize, first[i] + resize->taps - 1);
		int begin = clamp_row(resize, first[i]);
		for (int y = begin > next ? begin : next; y <= last; y++)
			pass_row(resize, src + y * src_stride, y);
		next = last + 1;
		blend_row(resize, dst + i * dst_stride, first[i], weights + resize->taps * i);
	}
}
