#include "composite/focal.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define MAX_SIZE 32767
#define DEFAULT_FIELD 0.15
#define FALL 0.2     /* of the range, from sharp to blurred */
#define OUTSIDE 0.02 /* share of values at either end that do not count for the range */
#define FOLLOW 0.2   /* share of a new frame in what is remembered */
#define SUBJECT 127  /* masks above it */

struct il_focal {
	double field;
	int depth_width, depth_height, mask_width, mask_height;
	double low, high, focus; /* focus in 0..1, from low to high */
	bool has_range, has_focus;
	float *values; /* [depth_width * depth_height], to be put in order */
	float *row;    /* [depth_width]: between two rows of depth */
	int *first;    /* [mask_width]: the sample of depth to the left, and how far from it */
	float *part;
};

/* Position i of n among the centres of m samples: the one before, and the part of the way to the next. */
static int find_between(int i, int n, int m, float *part)
{
	double at = (i + 0.5) * m / n - 0.5;
	at = at < 0 ? 0 : at < m - 1 ? at : m - 1;
	int first = (int)at;
	*part = (float)(at - first);
	return first;
}

enum inlay_err il_focal_create(struct il_focal **out, const struct il_focal_params *params, int depth_width,
                               int depth_height, int mask_width, int mask_height, struct inlay_error *err)
{
	*out = NULL;
	if (!(params->depth_of_field >= 0 && params->depth_of_field <= 1))
		return il_fail(err, INLAY_ERR_INVALID, "depth of field is %g: expected 0..1", params->depth_of_field);
	if (depth_width < 1 || depth_height < 1 || mask_width < 1 || mask_height < 1 || depth_width > MAX_SIZE ||
	    depth_height > MAX_SIZE || mask_width > MAX_SIZE || mask_height > MAX_SIZE)
		return il_fail(err, INLAY_ERR_INVALID, "depth of %dx%d for masks of %dx%d: expected 1..%d each way",
		               depth_width, depth_height, mask_width, mask_height, MAX_SIZE);
	struct il_focal *f = calloc(1, sizeof *f);
	if (!f)
		return il_fail_memory(err);
	f->field = params->depth_of_field > 0 ? params->depth_of_field : DEFAULT_FIELD;
	f->depth_width = depth_width;
	f->depth_height = depth_height;
	f->mask_width = mask_width;
	f->mask_height = mask_height;
	f->focus = 0.5;
	f->values = malloc((size_t)depth_width * (size_t)depth_height * sizeof *f->values);
	f->row = malloc((size_t)depth_width * sizeof *f->row);
	f->first = malloc((size_t)mask_width * sizeof *f->first);
	f->part = malloc((size_t)mask_width * sizeof *f->part);
	if (!f->values || !f->row || !f->first || !f->part) {
		il_focal_destroy(&f);
		return il_fail_memory(err);
	}
	for (int x = 0; x < mask_width; x++)
		f->first[x] = find_between(x, mask_width, depth_width, &f->part[x]);
	*out = f;
	return INLAY_OK;
}

void il_focal_destroy(struct il_focal **slot)
{
	struct il_focal *f = *slot;
	*slot = NULL;
	if (!f)
		return;
	free(f->values);
	free(f->row);
	free(f->first);
	free(f->part);
	free(f);
}

void il_focal_reset(struct il_focal *f)
{
	f->has_range = f->has_focus = false;
	f->focus = 0.5;
}

/* The value that is at `k` in order, by C. A. R. Hoare's FIND (Algorithm 65, 1961); changes the order of values. */
static float pick(float *values, int n, int k)
{
	int left = 0, right = n - 1;
	while (left < right) {
		float pivot = values[k];
		int i = left, j = right;
		while (i <= j) {
			while (values[i] < pivot)
				i++;
			while (values[j] > pivot)
				j--;
			if (i <= j) {
				float other = values[i];
				values[i++] = values[j];
				values[j--] = other;
			}
		}
		if (j < k)
			left = i;
		if (k < i)
			right = j;
	}
	return values[k];
}

/* Numbers among the depths, or among those of the subject alone; how many. */
static int gather(const struct il_focal *f, const float *depth, const uint8_t *subject)
{
	int n = 0;
	for (int y = 0; y < f->depth_height; y++) {
		int row = (int)((2 * (int64_t)y + 1) * f->mask_height / (2 * f->depth_height));
		for (int x = 0; x < f->depth_width; x++) {
			float value = depth[(ptrdiff_t)y * f->depth_width + x];
			int column = (int)((2 * (int64_t)x + 1) * f->mask_width / (2 * f->depth_width));
			if (isfinite(value) && (!subject || subject[(ptrdiff_t)row * f->mask_width + column] > SUBJECT))
				f->values[n++] = value;
		}
	}
	return n;
}

static void follow(double *remembered, double value, bool known)
{
	*remembered = known ? *remembered + (value - *remembered) * FOLLOW : value;
}

static bool update_range(struct il_focal *f, const float *depth)
{
	int n = gather(f, depth, NULL);
	if (n == 0)
		return false;
	int outside = (int)(n * OUTSIDE);
	follow(&f->low, pick(f->values, n, outside), f->has_range);
	follow(&f->high, pick(f->values, n, n - 1 - outside), f->has_range);
	f->has_range = true;
	return true;
}

static void update_focus(struct il_focal *f, const float *depth, const uint8_t *mask)
{
	int n = gather(f, depth, mask);
	double range = f->high - f->low;
	if (n == 0 || !(range > 0))
		return;
	follow(&f->focus, (pick(f->values, n, n / 2) - f->low) / range, f->has_focus);
	f->has_focus = true;
}

static void blend_rows(const struct il_focal *f, const float *depth, int y)
{
	float part;
	int first = find_between(y, f->mask_height, f->depth_height, &part);
	const float *a = depth + (ptrdiff_t)first * f->depth_width;
	const float *b = first + 1 < f->depth_height ? a + f->depth_width : a;
	for (int x = 0; x < f->depth_width; x++)
		f->row[x] = a[x] + (b[x] - a[x]) * part;
}

enum inlay_err il_focal_mask(struct il_focal *f, const float *depth, const uint8_t *mask, uint8_t *out,
                             struct inlay_error *err)
{
	if (!update_range(f, depth))
		return il_fail(err, INLAY_ERR_FORMAT, "depth of %dx%d has no value that is a number: expected some",
		               f->depth_width, f->depth_height);
	update_focus(f, depth, mask);
	/* Sharpness is `most` at the focus, falls by `slope` a unit of depth, and counts up to 255. */
	const double range = f->high - f->low;
	const float focus = (float)(f->low + range * f->focus);
	const float most = (float)(255 * (1 + f->field / FALL)),
		    slope = range > 0 ? (float)fmin(255 / (FALL * range), (double)FLT_MAX) : 0;
	for (int y = 0; y < f->mask_height; y++) {
		blend_rows(f, depth, y);
		for (int x = 0; x < f->mask_width; x++, mask++, out++) {
			const float *d = f->row + f->first[x];
			float value = d[0] + (d[f->first[x] + 1 < f->depth_width] - d[0]) * f->part[x];
			float sharp = most - fabsf(value - focus) * slope;
			sharp = sharp > 0.0f ? sharp < 255.0f ? sharp : 255.0f : 0.0f;
			uint8_t level = (uint8_t)(sharp + 0.5f);
			*out = *mask > level ? *mask : level;
		}
	}
	return INLAY_OK;
}
