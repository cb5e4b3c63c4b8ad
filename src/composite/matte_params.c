#include <stddef.h>

#include "composite/matte_impl.h"

#define RADIUS 4
#define EPSILON 1e-3

static const struct {
	const char *name;
	struct inlay_matte_look params;
} presets[INLAY_MATTE_PRESETS] = {
	[INLAY_MATTE_BEST] = { "best",
	                       { .threshold = 0.5,
	                         .soft = 0.4,
	                         .smooth = 0.1,
	                         .feather = 2,
	                         .contour = 0.01,
	                         .guided_radius = RADIUS,
	                         .guided_epsilon = EPSILON,
	                         .foreground = INLAY_FOREGROUND_CLEAN,
	                         .halo_free = true } },
	[INLAY_MATTE_FAST] = { "fast",
	                       { .threshold = 0.5,
	                         .soft = 0.4,
	                         .feather = 2,
	                         .contour = 0.01,
	                         .upsample = INLAY_MATTE_BILINEAR,
	                         .guided_radius = RADIUS,
	                         .guided_epsilon = EPSILON,
	                         .halo_free = true } },
	[INLAY_MATTE_OBS] = { "obs",
	                      { .threshold = 0.5,
	                        .smooth = 0.5,
	                        .side = INLAY_MATTE_BOTH,
	                        .contour = 0.05,
	                        .contour_of_background = true,
	                        .temporal = 0.85,
	                        .upsample = INLAY_MATTE_BILINEAR,
	                        .guided_radius = RADIUS,
	                        .guided_epsilon = EPSILON } },
	[INLAY_MATTE_REFERENCE] = { "reference",
	                            { .threshold = 0.65,
	                              .soft = 0.2,
	                              .expand = -5,
	                              .smooth = 0.05,
	                              .side = INLAY_MATTE_BOTH,
	                              .upsample = INLAY_MATTE_NEAREST,
	                              .guided_radius = RADIUS,
	                              .guided_epsilon = EPSILON,
	                              .exact = true } },
};

void inlay_matte_look_init(struct inlay_matte_look *params, enum inlay_matte_preset preset)
{
	*params = presets[preset].params;
}

const char *inlay_matte_preset_name(enum inlay_matte_preset preset)
{
	return (unsigned)preset < INLAY_MATTE_PRESETS ? presets[preset].name : NULL;
}

enum inlay_err il_matte_params_check(const struct inlay_matte_look *p, struct inlay_error *err)
{
	const struct {
		const char *name;
		double value, low, high;
	} ranges[] = {
		{ "threshold", p->threshold, 0, 1 },
		{ "soft", p->soft, 0, 1 },
		{ "expand", p->expand, -256, 256 },
		{ "smooth", p->smooth, 0, 20 },
		{ "feather", p->feather, 0, 100 },
		{ "contour", p->contour, 0, 1 },
		{ "temporal", p->temporal, 0, 1 },
		{ "radius of the guided filter", p->guided_radius, 0, 64 },
		{ "epsilon of the guided filter", p->guided_epsilon, 1e-6, 1 },
		{ "blur", p->blur, 0, 100 },
	};
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (!(ranges[i].value >= ranges[i].low && ranges[i].value <= ranges[i].high))
			return il_fail(err, INLAY_ERR_INVALID, "matte: %s is %g: expected %g..%g", ranges[i].name,
			               ranges[i].value, ranges[i].low, ranges[i].high);
	return INLAY_OK;
}

/* Exactly, one ramp does it all. Otherwise the first is the widest that has the threshold in its middle, so that at
 * 128 lies the edge and nothing is lost before the mask is scaled up. */
void il_matte_ramps_make(struct il_matte_ramps *ramps, const struct inlay_matte_look *p)
{
	const struct il_ramp last = il_ramp_make(p->threshold, p->soft);
	double widest = 2 * (p->threshold < 0.5 ? p->threshold : 1 - p->threshold);
	*ramps = (struct il_matte_ramps){ .first = last };
	if (p->exact || !(p->threshold > 0) || !(widest > 0) || widest <= p->soft)
		return;
	ramps->two = true;
	ramps->first = il_ramp_make(p->threshold, widest);
	struct il_ramp second = { (last.low - ramps->first.low) / ramps->first.span, last.span / ramps->first.span };
	uint8_t table[256];
	il_ramp_table(table, &second);
	for (int v = 0; v < 256; v++)
		ramps->second[v] = (uint8_t)(p->invert ? 255 - table[255 - v] : table[v]);
}
