/* From what a network gives to 0..1. */
#include <math.h>

#include "infer/matte_impl.h"

#define NOTHING 1e-3f /* a smaller range shows nothing */
#define SLACK 0.25f   /* networks that are trained to 0..1 without a last sigmoid stray so far */
#define BYTES_FROM 16.0f

static void find_range(const float *data, const struct il_matte_grid *g, float *low, float *high)
{
	size_t n = (size_t)g->width * (size_t)g->height * (size_t)g->channels;
	*low = INFINITY;
	*high = -INFINITY;
	for (size_t i = 0; i < n; i++) {
		*low = data[i] < *low ? data[i] : *low;
		*high = data[i] > *high ? data[i] : *high;
	}
}

/* Whether the channels of each pixel share out `whole`. */
static bool shares(const float *data, const struct il_matte_grid *g, float whole)
{
	size_t n = (size_t)g->width * (size_t)g->height;
	for (size_t i = 0; i < n; i++) {
		float sum = 0;
		for (int c = 0; c < g->channels; c++)
			sum += data[(ptrdiff_t)i * g->step + c * g->channel_step];
		if (!(fabsf(sum - whole) <= 0.02f * whole))
			return false;
	}
	return true;
}

bool il_matte_guess(const float *data, const struct il_matte_grid *grid, enum il_matte_activation *activation,
                    float *low, float *high)
{
	find_range(data, grid, low, high);
	*activation = IL_MATTE_NONE;
	if (!(*high - *low > NOTHING))
		return false;
	bool unit = *low >= -SLACK && *high <= 1 + SLACK, bytes = *low >= 0 && *high > BYTES_FROM && *high <= 256;
	if (grid->channels > 1) {
		bytes = bytes && shares(data, grid, 255);
		unit = unit && *low >= 0 && *high <= 1.001f && shares(data, grid, 1);
	}
	if (!unit)
		*activation = bytes ? IL_MATTE_BYTES : grid->channels > 1 ? IL_MATTE_SOFTMAX : IL_MATTE_SIGMOID;
	return true;
}

static void copy(float *matte, const float *in, ptrdiff_t step, size_t n, float factor)
{
	for (size_t i = 0; i < n; i++)
		matte[i] = in[(ptrdiff_t)i * step] * factor;
}

/* Of two channels it is the sigmoid of their difference. */
static void subtract(float *matte, const float *in, const float *other, ptrdiff_t step, size_t n)
{
	for (size_t i = 0; i < n; i++)
		matte[i] = in[(ptrdiff_t)i * step] - other[(ptrdiff_t)i * step];
}

static void softmax(float *matte, const float *data, const struct il_matte_grid *g, int channel, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const float *pixel = data + (ptrdiff_t)i * g->step;
		float own = pixel[channel * g->channel_step], sum = 0;
		for (int c = 0; c < g->channels; c++)
			sum += expf(pixel[c * g->channel_step] - own);
		matte[i] = 1 / sum;
	}
}

static void squash(float *matte, size_t n)
{
	const struct il_kernels *kernels = il_kernels_get();
	for (size_t i = 0; i < n; i += 1 << 20)
		kernels->sigmoid(matte + i, (int)(n - i < 1 << 20 ? n - i : 1 << 20));
}

static void clip(float *matte, size_t n, bool invert)
{
	for (size_t i = 0; i < n; i++) {
		float p = matte[i] > 0 ? matte[i] : 0; /* NaN too */
		p = p < 1 ? p : 1;
		matte[i] = invert ? 1 - p : p;
	}
}

void il_matte_activate(float *matte, const float *data, const struct il_matte_grid *grid,
                       const struct il_matte_manifest *manifest)
{
	size_t n = (size_t)grid->width * (size_t)grid->height;
	const float *in = data + manifest->channel * grid->channel_step;
	switch (manifest->activation) {
	case IL_MATTE_NONE: copy(matte, in, grid->step, n, 1); break;
	case IL_MATTE_BYTES: copy(matte, in, grid->step, n, 1 / 255.0f); break;
	case IL_MATTE_SIGMOID:
		copy(matte, in, grid->step, n, 1);
		squash(matte, n);
		break;
	case IL_MATTE_SOFTMAX:
		if (grid->channels == 2) {
			subtract(matte, in, data + (1 - manifest->channel) * grid->channel_step, grid->step, n);
			squash(matte, n);
		} else {
			softmax(matte, data, grid, manifest->channel, n);
		}
		break;
	}
	if (manifest->kind == IL_MATTE_KIND_MATTE)
		clip(matte, n, manifest->invert);
}
