/* Masks at the network's size. */
#include <stdlib.h>

#include "composite/matte_impl.h"
#include "kernel/components.h"

struct il_mask_stream {
	struct inlay_matte_look params;
	struct il_matte_ramps ramps;
	int width, height;
	uint8_t *mask;
	uint16_t *average; /* of temporal smoothing, NULL without */
	void *scratch;     /* of the contour filter, NULL without */
	bool begun;
};

static enum inlay_err take_memory(struct il_mask_stream *s, struct inlay_error *err)
{
	size_t samples = (size_t)s->width * (size_t)s->height;
	s->mask = calloc(samples, 1);
	if (s->params.temporal > 0 && s->params.temporal < 1)
		s->average = calloc(samples, sizeof *s->average);
	if (s->params.contour > 0)
		s->scratch = malloc(il_components_scratch(s->width, s->height));
	bool all = s->mask && (s->average || !(s->params.temporal > 0 && s->params.temporal < 1)) &&
	           (s->scratch || !(s->params.contour > 0));
	return all ? INLAY_OK : il_fail_memory(err);
}

enum inlay_err il_mask_stream_create(struct il_mask_stream **out, const struct inlay_matte_look *params, int width,
                                     int height, struct inlay_error *err)
{
	*out = NULL;
	enum inlay_err rc = il_matte_params_check(params, err);
	if (rc)
		return rc;
	if (width < 1 || height < 1 || width > IL_MATTE_MAX_SIZE || height > IL_MATTE_MAX_SIZE)
		return il_fail(err, INLAY_ERR_INVALID, "masks of %dx%d: expected 1..%d each way", width, height,
		               IL_MATTE_MAX_SIZE);
	struct il_mask_stream *s = calloc(1, sizeof *s);
	if (!s)
		return il_fail_memory(err);
	s->params = *params;
	s->width = width;
	s->height = height;
	il_matte_ramps_make(&s->ramps, params);
	rc = take_memory(s, err);
	if (rc)
		il_mask_stream_destroy(&s);
	*out = s;
	return rc;
}

void il_mask_stream_destroy(struct il_mask_stream **slot)
{
	struct il_mask_stream *s = *slot;
	*slot = NULL;
	if (!s)
		return;
	free(s->mask);
	free(s->average);
	free(s->scratch);
	free(s);
}

static void filter_contours(struct il_mask_stream *s)
{
	const double share = s->params.contour;
	const struct il_components_params both = { share, share }, of_background = { share, 2 };
	if (s->params.contour_of_background) {
		il_mask_invert(s->mask, s->width, s->mask, s->width, s->width, s->height);
		il_components_filter(s->mask, s->width, s->width, s->height, &of_background, s->scratch);
		il_mask_invert(s->mask, s->width, s->mask, s->width, s->width, s->height);
	} else {
		il_components_filter(s->mask, s->width, s->width, s->height, &both, s->scratch);
	}
}

enum inlay_err il_mask_stream_take(struct il_mask_stream *s, const struct il_matte *matte, struct inlay_error *err)
{
	if (matte->width != s->width || matte->height != s->height)
		return il_fail(err, INLAY_ERR_INVALID, "matte of %dx%d: expected %dx%d", matte->width, matte->height,
		               s->width, s->height);
	il_mask_from_matte(s->mask, s->width, matte, &s->ramps.first);
	if (s->params.invert)
		il_mask_invert(s->mask, s->width, s->mask, s->width, s->width, s->height);
	if (s->scratch)
		filter_contours(s);
	if (s->average)
		il_mask_smooth(s->mask, s->width, s->average, s->mask, s->width, s->width, s->height,
		               s->begun ? s->params.temporal : 1);
	s->begun = true;
	return INLAY_OK;
}

void il_mask_stream_reset(struct il_mask_stream *s)
{
	s->begun = false;
}

const uint8_t *il_mask_stream_mask(const struct il_mask_stream *s)
{
	return s->mask;
}
