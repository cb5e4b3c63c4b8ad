/* Which tensor of a model is which: what the manifest says is checked, what it leaves open is told by shapes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/matte_impl.h"

#define DEFAULT_SIDE 512
#define MAX_STATE_FLOATS ((size_t)1 << 28)
#define RATIO "downsample_ratio" /* of Robust Video Matting */
#define RATIO_SIDE 512           /* the longer side that it works at by default */

static enum inlay_err no_fit(const struct il_matte_net *net, struct inlay_error *err, const char *what)
{
	char found[INLAY_ERROR_TEXT];
	return il_fail(err, INLAY_ERR_FORMAT, "%s: %s; found %s", net->path, what,
	               il_session_format(net->session, found, sizeof found));
}

static enum inlay_err no_tensor(const struct il_matte_net *net, enum il_matte_key key, const char *name,
                                struct inlay_error *err)
{
	char what[300];
	snprintf(what, sizeof what, "the manifest's %s names \"%s\", which is no tensor of the model on that side",
	         il_matte_key_name(key), name);
	return no_fit(net, err, what);
}

/* Takes a value for a key that no manifest gave one. */
static void tell(struct il_matte_net *net, enum il_matte_key key, enum il_matte_source source)
{
	if (net->manifest.source[key] == IL_MATTE_UNKNOWN)
		net->manifest.source[key] = source;
}

static bool open_key(const struct il_matte_net *net, enum il_matte_key key)
{
	return net->manifest.source[key] == IL_MATTE_UNKNOWN;
}

/* ---- the picture ---- */

static int channel_axis(enum il_matte_layout layout)
{
	return layout == IL_MATTE_NCHW ? 1 : 3;
}

/* Whether it can be the picture in this layout. Three channels that are free fit where a manifest says the layout. */
static bool fits_layout(const struct il_matte_net *net, const struct il_tensor_desc *desc, enum il_matte_layout layout)
{
	bool stated = !open_key(net, IL_MATTE_KEY_LAYOUT);
	int64_t channels = desc->dims[channel_axis(layout)];
	return desc->rank == 4 && desc->dims[0] <= 1 && desc->dims[0] != 0 &&
	       (channels == 3 || (stated && channels < 0)) && (!stated || net->manifest.layout == layout);
}

static bool fits_picture(const struct il_matte_net *net, const struct il_tensor_desc *desc)
{
	return fits_layout(net, desc, IL_MATTE_NCHW) || fits_layout(net, desc, IL_MATTE_NHWC);
}

static bool named_elsewhere(const struct il_matte_manifest *m, const char *name)
{
	for (int i = 0; i < m->state_count; i++)
		if (!strcmp(m->states[i].in, name))
			return true;
	for (int i = 0; i < m->constant_count; i++)
		if (!strcmp(m->constants[i].name, name))
			return true;
	return false;
}

static enum inlay_err choose_picture(struct il_matte_net *net, struct inlay_error *err)
{
	const struct il_matte_manifest *m = &net->manifest;
	bool stated = !open_key(net, IL_MATTE_KEY_INPUT);
	int found = 0, named = stated ? il_session_find_input(net->session, m->input) : -1;
	if (stated && named < 0)
		return no_tensor(net, IL_MATTE_KEY_INPUT, m->input, err);
	for (int i = 0; i < il_session_inputs(net->session); i++) {
		const struct il_tensor_desc *desc = il_session_input(net->session, i);
		if ((stated && i != named) || named_elsewhere(m, desc->name) || !fits_picture(net, desc))
			continue;
		net->picture_port = i;
		found++;
	}
	if (found == 1)
		return INLAY_OK;
	return no_fit(net, err,
	              found ? "more than one input is a picture; expected the manifest's input to name it"
	              : stated || !open_key(net, IL_MATTE_KEY_LAYOUT)
	                      ? "no input is the picture that the manifest tells of; expected one of 3 channels, "
	                        "[1,3,H,W] for nchw or [1,H,W,3] for nhwc"
	                      : "no input is a picture; expected one of 3 channels, [1,3,H,W] or [1,H,W,3]");
}

static enum inlay_err check_type(struct il_matte_net *net, const struct il_tensor_desc *desc, struct inlay_error *err)
{
	char shape[160], what[400];
	net->bytes = desc->type == IL_TENSOR_U8;
	if (desc->type == IL_TENSOR_F32)
		return INLAY_OK;
	if (!net->bytes) {
		snprintf(what, sizeof what,
		         "input %s is %s; expected float32 or uint8: export the model with float32 "
		         "inputs and outputs",
		         desc->name, il_tensor_format(desc, shape, sizeof shape));
		return no_fit(net, err, what);
	}
	for (int key = IL_MATTE_KEY_SCALE; key <= IL_MATTE_KEY_STD; key++)
		if (net->manifest.source[key] == IL_MATTE_STATED)
			return il_fail(err, INLAY_ERR_FORMAT,
			               "%s: the manifest states %s, but input %s takes bytes as they are (%s)",
			               net->path, il_matte_key_name((enum il_matte_key)key), desc->name,
			               il_tensor_format(desc, shape, sizeof shape));
	return INLAY_OK;
}

static enum inlay_err choose_layout(struct il_matte_net *net, const struct il_tensor_desc *desc,
                                    struct inlay_error *err)
{
	bool planar = fits_layout(net, desc, IL_MATTE_NCHW), packed = fits_layout(net, desc, IL_MATTE_NHWC);
	if (planar && packed)
		return no_fit(net, err,
		              "the picture's channels may be first or last; expected the manifest's layout "
		              "to say which");
	net->manifest.layout = planar ? IL_MATTE_NCHW : IL_MATTE_NHWC;
	tell(net, IL_MATTE_KEY_LAYOUT, IL_MATTE_SHAPES);
	return INLAY_OK;
}

/* One side: the model's own, else the asked one, the manifest's, the usual one. */
static int64_t choose_side(int64_t own, int asked, bool stated, int manifest)
{
	return own >= 0 ? own : asked ? asked : stated ? manifest : DEFAULT_SIDE;
}

static enum inlay_err choose_size(struct il_matte_net *net, const struct il_matte_net_params *params,
                                  const struct il_tensor_desc *desc, struct inlay_error *err)
{
	struct il_matte_manifest *m = &net->manifest;
	int axis = m->layout == IL_MATTE_NCHW ? 2 : 1;
	bool stated = !open_key(net, IL_MATTE_KEY_SIZE);
	int64_t h = desc->dims[axis], w = desc->dims[axis + 1];
	net->info.free_size = h < 0 || w < 0;
	h = choose_side(h, params->height, stated, m->height);
	w = choose_side(w, params->width, stated, m->width);
	if (h < 1 || w < 1 || h > IL_MATTE_MAX_SIDE || w > IL_MATTE_MAX_SIDE)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: pictures of %lldx%lld; expected sides of 1 to %d", net->path,
		               (long long)w, (long long)h, IL_MATTE_MAX_SIDE);
	if (stated && !net->info.free_size && m->source[IL_MATTE_KEY_SIZE] == IL_MATTE_STATED &&
	    (m->width != w || m->height != h))
		return il_fail(err, INLAY_ERR_FORMAT,
		               "%s: the manifest's size is %dx%d; expected the model's own, %lldx%lld", net->path,
		               m->width, m->height, (long long)w, (long long)h);
	m->width = net->info.width = (int)w;
	m->height = net->info.height = (int)h;
	if (!net->info.free_size)
		m->source[IL_MATTE_KEY_SIZE] = IL_MATTE_SHAPES;
	tell(net, IL_MATTE_KEY_SIZE, IL_MATTE_ASSUMED);
	net->picture_dims[0] = 1;
	net->picture_dims[channel_axis(m->layout)] = 3;
	net->picture_dims[axis] = h;
	net->picture_dims[axis + 1] = w;
	return INLAY_OK;
}

static void choose_normalization(struct il_matte_net *net)
{
	struct il_matte_manifest *m = &net->manifest;
	for (int c = 0; c < 3; c++) {
		m->scale[c] = open_key(net, IL_MATTE_KEY_SCALE) ? 1 / 255.0 : m->scale[c];
		m->std[c] = open_key(net, IL_MATTE_KEY_STD) ? 1 : m->std[c];
		net->normalize.scale[c] = (float)(m->scale[c] / m->std[c]);
		net->normalize.offset[c] = (float)(-m->mean[c] / m->std[c]);
	}
	tell(net, IL_MATTE_KEY_COLOR, IL_MATTE_ASSUMED);
	for (int key = IL_MATTE_KEY_SCALE; key <= IL_MATTE_KEY_STD && !net->bytes; key++)
		tell(net, (enum il_matte_key)key, IL_MATTE_ASSUMED);
}

static enum inlay_err bind_picture(struct il_matte_net *net, struct inlay_error *err)
{
	size_t values = 3 * (size_t)net->info.width * (size_t)net->info.height;
	net->picture = il_matte_allocate(values * (net->bytes ? 1 : sizeof(float)));
	if (!net->picture)
		return il_fail_memory(err);
	if (net->bytes)
		return il_session_bind_input_bytes(net->session, net->picture_port, net->picture, 4, net->picture_dims,
		                                   err);
	return il_session_bind_input(net->session, net->picture_port, net->picture, 4, net->picture_dims, err);
}

static enum inlay_err match_picture(struct il_matte_net *net, const struct il_matte_net_params *params,
                                    struct inlay_error *err)
{
	enum inlay_err rc = choose_picture(net, err);
	if (rc)
		return rc;
	const struct il_tensor_desc *desc = il_session_input(net->session, net->picture_port);
	snprintf(net->manifest.input, sizeof net->manifest.input, "%s", desc->name);
	tell(net, IL_MATTE_KEY_INPUT, IL_MATTE_SHAPES);
	rc = check_type(net, desc, err);
	if (!rc)
		rc = choose_layout(net, desc, err);
	if (!rc)
		rc = choose_size(net, params, desc, err);
	if (rc)
		return rc;
	choose_normalization(net);
	return bind_picture(net, err);
}

/* ---- what else goes in ---- */

/* Whether `out` reads as the output that belongs to the state input `in`: r1i and r1o, h_in and h_out. */
static bool is_partner(const char *in, const char *out)
{
	static const char *const words[][2] = { { "input", "output" }, { "in", "out" }, { "i", "o" } };
	for (size_t k = 0; k < sizeof words / sizeof *words; k++)
		for (const char *at = strstr(in, words[k][0]); at; at = strstr(at + 1, words[k][0])) {
			char other[2 * IL_TENSOR_NAME];
			snprintf(other, sizeof other, "%.*s%s%s", (int)(at - in), in, words[k][1],
			         at + strlen(words[k][0]));
			if (!strcmp(other, out))
				return true;
		}
	return false;
}

static bool same_where_fixed(const struct il_tensor_desc *a, const struct il_tensor_desc *b)
{
	if (a->rank != b->rank || a->type != b->type)
		return false;
	for (int i = 0; i < a->rank; i++)
		if (a->dims[i] >= 0 && b->dims[i] >= 0 && a->dims[i] != b->dims[i])
			return false;
	return true;
}

/* Pairs an input that nobody spoke of with an output of its name and shape. */
static bool pair_state(struct il_matte_net *net, const struct il_tensor_desc *in)
{
	struct il_matte_manifest *m = &net->manifest;
	if (m->source[IL_MATTE_KEY_STATES] == IL_MATTE_STATED || m->state_count == IL_MATTE_MAX_STATES)
		return false;
	for (int i = 0; i < il_session_outputs(net->session); i++) {
		const struct il_tensor_desc *out = il_session_output(net->session, i);
		if (!same_where_fixed(in, out) || !is_partner(in->name, out->name))
			continue;
		struct il_matte_state_names *names = &m->states[m->state_count++];
		snprintf(names->in, sizeof names->in, "%s", in->name);
		snprintf(names->out, sizeof names->out, "%s", out->name);
		tell(net, IL_MATTE_KEY_STATES, IL_MATTE_SHAPES);
		return true;
	}
	return false;
}

/* The ratio that brings the longer side to what the network works at, as its authors choose it. */
static bool give_ratio(struct il_matte_net *net, const struct il_tensor_desc *in)
{
	struct il_matte_manifest *m = &net->manifest;
	if (strcmp(in->name, RATIO) || m->constant_count == IL_MATTE_MAX_CONSTANTS)
		return false;
	struct il_matte_constant *c = &m->constants[m->constant_count++];
	int side = net->info.width > net->info.height ? net->info.width : net->info.height;
	snprintf(c->name, sizeof c->name, RATIO);
	c->count = 1;
	c->values[0] = side > RATIO_SIDE ? RATIO_SIDE / (double)side : 1;
	tell(net, IL_MATTE_KEY_INPUTS, IL_MATTE_SHAPES);
	return true;
}

static enum inlay_err explain_inputs(struct il_matte_net *net, struct inlay_error *err)
{
	for (int i = 0; i < il_session_inputs(net->session); i++) {
		const struct il_tensor_desc *in = il_session_input(net->session, i);
		char what[300];
		if (i == net->picture_port || named_elsewhere(&net->manifest, in->name) || pair_state(net, in) ||
		    give_ratio(net, in))
			continue;
		snprintf(what, sizeof what,
		         "input %s is not the picture; expected the manifest to list it in states "
		         "or in inputs",
		         in->name);
		return no_fit(net, err, what);
	}
	return INLAY_OK;
}

static enum inlay_err match_constant(struct il_matte_net *net, const struct il_matte_constant *c,
                                     struct inlay_error *err)
{
	int port = il_session_find_input(net->session, c->name);
	float *data = net->constants[net->constant_count++];
	if (port < 0)
		return no_tensor(net, IL_MATTE_KEY_INPUTS, c->name, err);
	const struct il_tensor_desc *desc = il_session_input(net->session, port);
	int64_t dims[IL_TENSOR_MAX_RANK], count = 1;
	for (int k = 0; k < desc->rank; k++) {
		/* The first free dimension holds the values, others are 1. */
		dims[k] = desc->dims[k] >= 0 ? desc->dims[k] : count == 1 ? c->count : 1;
		count = dims[k] > IL_MATTE_MAX_VALUES ? INT32_MAX : count * dims[k];
		if (count > IL_MATTE_MAX_VALUES)
			break;
	}
	if (count != c->count) {
		char shape[160];
		return il_fail(err, INLAY_ERR_FORMAT, "%s: the manifest gives %d number%s for input %s; expected %s",
		               net->path, c->count, c->count == 1 ? "" : "s", c->name,
		               il_tensor_format(desc, shape, sizeof shape));
	}
	for (int k = 0; k < c->count; k++)
		data[k] = (float)c->values[k];
	return il_session_bind_input(net->session, port, data, desc->rank, dims, err);
}

static enum inlay_err match_state(struct il_matte_net *net, const struct il_matte_state_names *names,
                                  struct inlay_error *err)
{
	struct il_matte_state *s = &net->states[net->state_count++];
	s->in = il_session_find_input(net->session, names->in);
	s->out = il_session_find_output(net->session, names->out);
	if (s->in < 0 || s->out < 0)
		return no_tensor(net, IL_MATTE_KEY_STATES, s->in < 0 ? names->in : names->out, err);
	const struct il_tensor_desc *in = il_session_input(net->session, s->in);
	if (!same_where_fixed(in, il_session_output(net->session, s->out)) || in->type != IL_TENSOR_F32) {
		char what[400];
		snprintf(what, sizeof what, "state %s does not fit %s; expected float32 of one shape", names->in,
		         names->out);
		return no_fit(net, err, what);
	}
	s->rank = in->rank;
	for (int k = 0; k < in->rank; k++)
		s->dims[k] = in->dims[k] < 0 ? 1 : in->dims[k];
	return INLAY_OK;
}

/* Places the states one behind another; false where they are too large. */
static bool place_states(struct il_matte_net *net)
{
	net->state_floats = 0;
	for (int i = 0; i < net->state_count; i++) {
		struct il_matte_state *s = &net->states[i];
		size_t floats = 1;
		for (int k = 0; k < s->rank; k++)
			if (s->dims[k] < 1 || __builtin_mul_overflow(floats, (size_t)s->dims[k], &floats) ||
			    floats > MAX_STATE_FLOATS)
				return false;
		s->offset = net->state_floats;
		net->state_floats += (floats + 15) / 16 * 16;
	}
	return net->state_floats <= MAX_STATE_FLOATS;
}

enum inlay_err il_matte_match_inputs(struct il_matte_net *net, const struct il_matte_net_params *params,
                                     struct inlay_error *err)
{
	const struct il_matte_manifest *m = &net->manifest;
	enum inlay_err rc = match_picture(net, params, err);
	if (!rc)
		rc = explain_inputs(net, err);
	for (int i = 0; i < m->constant_count && !rc; i++)
		rc = match_constant(net, &m->constants[i], err);
	for (int i = 0; i < m->state_count && !rc; i++)
		rc = match_state(net, &m->states[i], err);
	if (!rc && !place_states(net))
		rc = no_fit(net, err, "the states are empty or too large");
	return rc;
}

/* ---- what comes out ---- */

static bool is_state(const struct il_matte_net *net, int port)
{
	for (int i = 0; i < net->state_count; i++)
		if (net->states[i].out == port)
			return true;
	return false;
}

static bool any_free(const struct il_tensor_desc *desc)
{
	bool found = desc->rank == 0;
	for (int i = 0; i < desc->rank; i++)
		found = found || desc->dims[i] < 0;
	return found;
}

/* Shapes of all outputs: as declared, or those of a run on black where something is free. */
static enum inlay_err find_shapes(struct il_matte_net *net, struct il_tensor_desc *outputs, struct inlay_error *err)
{
	bool some_free = false;
	for (int i = 0; i < il_session_outputs(net->session); i++) {
		outputs[i] = *il_session_output(net->session, i);
		some_free = some_free || any_free(&outputs[i]);
	}
	if (!some_free)
		return INLAY_OK;
	enum inlay_err rc = INLAY_OK;
	float *zeros = net->state_count ? il_matte_allocate(net->state_floats * sizeof *zeros) : NULL;
	if (net->state_count && !zeros)
		return il_fail_memory(err);
	for (int i = 0; i < net->state_count && !rc; i++) {
		const struct il_matte_state *s = &net->states[i];
		rc = il_session_bind_input(net->session, s->in, zeros + s->offset, s->rank, s->dims, err);
	}
	if (!rc)
		rc = il_session_probe(net->session, outputs, err);
	free(zeros);
	return rc;
}

static bool grid_of(const struct il_tensor_desc *desc, enum il_matte_layout layout, struct il_matte_grid *g)
{
	const int64_t *d = desc->dims;
	int64_t c = 1, h, w;
	if (desc->type != IL_TENSOR_F32 || desc->rank < 2 || desc->rank > 4 || (desc->rank > 2 && d[0] != 1))
		return false;
	h = d[desc->rank - 2];
	w = d[desc->rank - 1];
	if (desc->rank == 4) {
		c = d[channel_axis(layout)];
		h = d[layout == IL_MATTE_NCHW ? 2 : 1];
		w = d[layout == IL_MATTE_NCHW ? 3 : 2];
	}
	if (c < 1 || c > IL_MATTE_MAX_CHANNELS || h < 1 || w < 1 || h > IL_MATTE_MAX_SIDE || w > IL_MATTE_MAX_SIDE)
		return false;
	*g = (struct il_matte_grid){ (int)w, (int)h, (int)c, 1, (ptrdiff_t)(w * h) };
	if (layout == IL_MATTE_NHWC && desc->rank == 4) {
		g->step = c;
		g->channel_step = 1;
	}
	return true;
}

/* Where a picture-like output has its channels: as the picture, else the other way where that looks like a picture. */
static bool find_grid(const struct il_matte_net *net, const struct il_tensor_desc *desc, int channels_from,
                      int channels_to, struct il_matte_grid *g)
{
	enum il_matte_layout own = net->manifest.layout;
	enum il_matte_layout other = own == IL_MATTE_NCHW ? IL_MATTE_NHWC : IL_MATTE_NCHW;
	if (grid_of(desc, own, g) && g->channels >= channels_from && g->channels <= channels_to)
		return true;
	return grid_of(desc, other, g) && g->channels >= channels_from && g->channels <= channels_to &&
	       g->channels < g->width && g->channels < g->height;
}

static bool fits_matte(const struct il_matte_net *net, const struct il_tensor_desc *desc, struct il_matte_grid *g)
{
	if (open_key(net, IL_MATTE_KEY_CHANNEL))
		return find_grid(net, desc, 1, 2, g);
	return find_grid(net, desc, net->manifest.channel + 1, IL_MATTE_MAX_CHANNELS, g);
}

/* How surely a name means the matte, where several outputs could be it. */
static int weight_of_name(const char *name)
{
	return !strcmp(name, "pha")                                                     ? 2
	       : strstr(name, "alpha") || strstr(name, "matte") || strstr(name, "mask") ? 1
	                                                                                : 0;
}

static enum inlay_err choose_output(struct il_matte_net *net, const struct il_tensor_desc *outputs,
                                    struct inlay_error *err)
{
	struct il_matte_manifest *m = &net->manifest;
	bool stated = !open_key(net, IL_MATTE_KEY_OUTPUT);
	int best = -1, named = stated ? il_session_find_output(net->session, m->output) : -1;
	struct il_matte_grid g;
	if (stated && named < 0)
		return no_tensor(net, IL_MATTE_KEY_OUTPUT, m->output, err);
	for (int i = 0; i < il_session_outputs(net->session); i++) {
		if ((stated && i != named) || is_state(net, i) || !fits_matte(net, &outputs[i], &g))
			continue;
		if (best < 0 || weight_of_name(outputs[i].name) > weight_of_name(outputs[best].name)) {
			best = i;
			net->output_grid = g;
		}
	}
	if (best < 0 && !open_key(net, IL_MATTE_KEY_CHANNEL))
		return no_fit(net, err,
		              "no output fits the manifest; expected float32 [1,C,h,w], [1,h,w,C], [1,h,w] or "
		              "[h,w] with more channels than its channel");
	if (best < 0)
		return no_fit(net, err,
		              "no output is a matte; expected float32 [1,C,h,w], [1,h,w,C], [1,h,w] or [h,w] of 1 or 2 "
		              "channels (the manifest's channel chooses among more)");
	if (!open_key(net, IL_MATTE_KEY_ACTIVATION) && m->activation == IL_MATTE_SOFTMAX &&
	    net->output_grid.channels < 2)
		return no_fit(net, err,
		              "the manifest's activation is softmax, but the output has one channel; expected "
		              "two or more");
	net->output_port = best;
	net->output = outputs[best];
	snprintf(m->output, sizeof m->output, "%s", outputs[best].name);
	tell(net, IL_MATTE_KEY_OUTPUT, IL_MATTE_SHAPES);
	if (open_key(net, IL_MATTE_KEY_CHANNEL))
		m->channel = net->output_grid.channels - 1;
	tell(net, IL_MATTE_KEY_CHANNEL, net->output_grid.channels > 1 ? IL_MATTE_ASSUMED : IL_MATTE_SHAPES);
	return INLAY_OK;
}

static bool fits_foreground(const struct il_matte_net *net, const struct il_tensor_desc *desc, struct il_matte_grid *g)
{
	return find_grid(net, desc, 3, 3, g) && g->width == net->output_grid.width &&
	       g->height == net->output_grid.height;
}

/* The stated one must fit; else one that is called so and fits. */
static enum inlay_err choose_foreground(struct il_matte_net *net, const struct il_tensor_desc *outputs,
                                        struct inlay_error *err)
{
	struct il_matte_manifest *m = &net->manifest;
	bool stated = !open_key(net, IL_MATTE_KEY_FOREGROUND);
	net->foreground_port = -1;
	for (int i = 0; i < il_session_outputs(net->session); i++) {
		const char *name = outputs[i].name;
		if (stated ? strcmp(name, m->foreground) : strcmp(name, "fgr") && strcmp(name, "foreground"))
			continue;
		if (fits_foreground(net, &outputs[i], &net->foreground_grid)) {
			net->foreground_port = i;
			net->foreground = outputs[i];
			net->info.has_foreground = true;
			snprintf(m->foreground, sizeof m->foreground, "%s", name);
			tell(net, IL_MATTE_KEY_FOREGROUND, IL_MATTE_SHAPES);
			return INLAY_OK;
		}
		if (stated)
			return no_fit(net, err,
			              "the foreground does not fit; expected 3 channels of the output's size");
	}
	return stated && m->source[IL_MATTE_KEY_FOREGROUND] == IL_MATTE_STATED
	               ? no_tensor(net, IL_MATTE_KEY_FOREGROUND, m->foreground, err)
	               : INLAY_OK;
}

/* States take the shapes that a run gave them; zeros of any shape that the network accepts mean the same. */
static enum inlay_err shape_states(struct il_matte_net *net, const struct il_tensor_desc *outputs,
                                   struct inlay_error *err)
{
	for (int i = 0; i < net->state_count; i++) {
		struct il_matte_state *s = &net->states[i];
		if (!same_where_fixed(il_session_input(net->session, s->in), &outputs[s->out]))
			return no_fit(net, err, "a state comes out in another shape than it goes in");
		memcpy(s->dims, outputs[s->out].dims, sizeof s->dims);
	}
	return place_states(net) ? INLAY_OK : no_fit(net, err, "the states are empty or too large");
}

enum inlay_err il_matte_match_outputs(struct il_matte_net *net, struct inlay_error *err)
{
	struct il_tensor_desc *outputs = calloc((size_t)il_session_outputs(net->session) + 1, sizeof *outputs);
	if (!outputs)
		return il_fail_memory(err);
	enum inlay_err rc = find_shapes(net, outputs, err);
	if (!rc)
		rc = choose_output(net, outputs, err);
	if (!rc)
		rc = choose_foreground(net, outputs, err);
	if (!rc)
		rc = shape_states(net, outputs, err);
	free(outputs);
	return rc;
}
