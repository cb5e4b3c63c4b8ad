#include "infer/matte_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define ALIGN 64

/* Two sets of all states, one behind the other: a run reads set `current` and writes the other. */
struct il_matte_stream {
	size_t set_floats;
	int current;
	float *memory; /* NULL without states */
};

void *il_matte_allocate(size_t bytes)
{
	size_t whole = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	void *data = aligned_alloc(ALIGN, whole ? whole : ALIGN);
	if (data)
		memset(data, 0, whole);
	return data;
}

/* ---- opening ---- */

/* NAME.json for NAME.onnx, in fresh memory. */
static char *path_beside(const char *path)
{
	size_t stem = strlen(path);
	if (stem > 5 && !strcmp(path + stem - 5, ".onnx"))
		stem -= 5;
	char *beside = malloc(stem + sizeof ".json");
	if (beside) {
		memcpy(beside, path, stem);
		strcpy(beside + stem, ".json");
	}
	return beside;
}

static enum inlay_err read_manifest(struct il_matte_net *net, const char *path, struct inlay_error *err)
{
	snprintf(net->manifest_from, sizeof net->manifest_from, "stated in %s", path);
	return il_matte_manifest_read(path, &net->manifest, err);
}

static enum inlay_err find_manifest(struct il_matte_net *net, const struct il_matte_net_params *params,
                                    struct inlay_error *err)
{
	if (params->manifest) {
		net->manifest = *params->manifest;
		snprintf(net->manifest_from, sizeof net->manifest_from, "given");
		return INLAY_OK;
	}
	if (params->manifest_path)
		return read_manifest(net, params->manifest_path, err);
	char *beside = path_beside(params->path);
	if (!beside)
		return il_fail_memory(err);
	enum inlay_err rc = INLAY_OK;
	if (il_path_exists(beside)) {
		rc = read_manifest(net, beside, err);
	} else {
		const char *name = il_matte_manifest_built_in(params->path, net->session, &net->manifest);
		if (name)
			snprintf(net->manifest_from, sizeof net->manifest_from, "built in (%s)", name);
	}
	free(beside);
	return rc;
}

static enum inlay_err bind_outputs(struct il_matte_net *net, struct inlay_error *err)
{
	const struct il_matte_grid *g = &net->output_grid;
	size_t pixels = (size_t)g->width * (size_t)g->height;
	net->output_data = il_matte_allocate(pixels * (size_t)g->channels * sizeof(float));
	net->matte = il_matte_allocate(pixels * sizeof(float));
	net->foreground_data = il_matte_allocate(net->info.has_foreground ? 3 * pixels * sizeof(float) : 0);
	if (!net->output_data || !net->matte || !net->foreground_data)
		return il_fail_memory(err);
	enum inlay_err rc = il_session_bind_output(net->session, net->output_port, net->output_data, net->output.rank,
	                                           net->output.dims, err);
	if (!rc && net->info.has_foreground)
		rc = il_session_bind_output(net->session, net->foreground_port, net->foreground_data,
		                            net->foreground.rank, net->foreground.dims, err);
	return rc;
}

static void finish_manifest(struct il_matte_net *net, const struct il_matte_net_params *params)
{
	struct il_matte_manifest *m = &net->manifest;
	if (!m->source[IL_MATTE_KEY_KIND]) {
		m->kind = params->kind;
		m->source[IL_MATTE_KEY_KIND] = IL_MATTE_ASSUMED;
	}
	if (!m->source[IL_MATTE_KEY_ACTIVATION] && m->kind == IL_MATTE_KIND_DEPTH) {
		m->activation = IL_MATTE_NONE;
		m->source[IL_MATTE_KEY_ACTIVATION] = IL_MATTE_ASSUMED;
	}
	net->info.kind = m->kind;
	net->info.output_width = net->output_grid.width;
	net->info.output_height = net->output_grid.height;
	net->info.recurrent = net->state_count > 0;
	net->info.settled = m->source[IL_MATTE_KEY_ACTIVATION] != IL_MATTE_UNKNOWN;
}

static enum inlay_err prepare(struct il_matte_net *net, const struct il_matte_net_params *params,
                              struct inlay_error *err)
{
	net->path = strdup(params->path);
	if (!net->path)
		return il_fail_memory(err);
	struct il_session_params session_params = { .threads = params->threads };
	enum inlay_err rc = il_session_open(&net->session, params->path, &session_params, err);
	if (!rc)
		rc = find_manifest(net, params, err);
	if (!rc)
		rc = il_matte_match_inputs(net, params, err);
	if (!rc)
		rc = il_matte_match_outputs(net, err);
	if (!rc)
		rc = bind_outputs(net, err);
	if (rc)
		return rc;
	finish_manifest(net, params);
	return il_matte_stream_create(&net->own, net, err);
}

enum inlay_err il_matte_net_open(struct il_matte_net **out, const struct il_matte_net_params *params,
                                 struct inlay_error *err)
{
	struct il_matte_net *net = calloc(1, sizeof *net);
	if (!net)
		return il_fail_memory(err);
	enum inlay_err rc = prepare(net, params, err);
	if (rc)
		il_matte_net_destroy(&net);
	else
		*out = net;
	return rc;
}

void il_matte_net_destroy(struct il_matte_net **slot)
{
	struct il_matte_net *net = *slot;
	*slot = NULL;
	if (!net)
		return;
	il_session_destroy(&net->session);
	il_matte_stream_destroy(&net->own);
	free(net->path);
	free(net->picture);
	free(net->output_data);
	free(net->foreground_data);
	free(net->matte);
	free(net);
}

/* ---- looking into it ---- */

const struct il_matte_net_info *il_matte_net_info(const struct il_matte_net *net)
{
	return &net->info;
}

const struct il_matte_manifest *il_matte_net_manifest(const struct il_matte_net *net)
{
	return &net->manifest;
}

const struct il_session *il_matte_net_session(const struct il_matte_net *net)
{
	return net->session;
}

const float *il_matte_net_output(const struct il_matte_net *net, const struct il_tensor_desc **desc)
{
	*desc = &net->output;
	return net->output_data;
}

__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;
	va_start(args, format);
	vsnprintf(text + used, size - used, format, args);
	va_end(args);
}

/* "; assumed: color rgb, mean 0" */
static void describe_source(const struct il_matte_net *net, enum il_matte_source source, const char *words, char *text,
                            size_t size)
{
	const char *before = words;
	for (int key = 0; key < IL_MATTE_KEYS; key++) {
		char value[400];
		if (net->manifest.source[key] != source)
			continue;
		il_matte_key_value(&net->manifest, (enum il_matte_key)key, value, sizeof value);
		append(text, size, "%s%s %s", before, il_matte_key_name((enum il_matte_key)key), value);
		before = ", ";
	}
}

const char *il_matte_net_describe(const struct il_matte_net *net, char *text, size_t size)
{
	const char *from = net->manifest_from;
	char words[1100];
	snprintf(text, size, "%s", *from ? "" : "no manifest");
	snprintf(words, sizeof words, "%s: ", from);
	describe_source(net, IL_MATTE_STATED, *text ? "; stated: " : words, text, size);
	describe_source(net, IL_MATTE_BUILT_IN, *text ? "; built in: " : words, text, size);
	describe_source(net, IL_MATTE_SHAPES, "; from the tensors: ", text, size);
	describe_source(net, IL_MATTE_ASSUMED, "; assumed: ", text, size);
	describe_source(net, IL_MATTE_PICTURE, "; from the first picture: ", text, size);
	if (net->manifest.source[IL_MATTE_KEY_ACTIVATION] == IL_MATTE_PICTURE && net->low < net->high)
		append(text, size, " (its output is %.4g to %.4g)", net->low, net->high);
	if (!net->info.settled)
		append(text, size, "; activation: the first picture will tell");
	return text;
}

/* ---- streams ---- */

enum inlay_err il_matte_stream_create(struct il_matte_stream **out, const struct il_matte_net *net,
                                      struct inlay_error *err)
{
	struct il_matte_stream *stream = calloc(1, sizeof *stream);
	if (!stream)
		return il_fail_memory(err);
	stream->set_floats = net->state_floats;
	if (net->state_floats && !(stream->memory = il_matte_allocate(2 * net->state_floats * sizeof(float)))) {
		free(stream);
		return il_fail_memory(err);
	}
	*out = stream;
	return INLAY_OK;
}

void il_matte_stream_destroy(struct il_matte_stream **stream)
{
	if (*stream)
		free((*stream)->memory);
	free(*stream);
	*stream = NULL;
}

void il_matte_stream_reset(struct il_matte_stream *stream)
{
	if (stream->memory)
		memset(stream->memory + (size_t)stream->current * stream->set_floats, 0,
		       stream->set_floats * sizeof *stream->memory);
}

static enum inlay_err bind_stream(struct il_matte_net *net, struct il_matte_stream *stream, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	if (stream->set_floats != net->state_floats)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: the stream holds %zu floats of states; expected %zu: it "
		               "belongs to another network or size",
		               net->path, stream->set_floats, net->state_floats);
	float *in = stream->memory + (size_t)stream->current * stream->set_floats;
	float *out = stream->memory + (size_t)!stream->current * stream->set_floats;
	for (int i = 0; i < net->state_count && !rc; i++) {
		const struct il_matte_state *s = &net->states[i];
		rc = il_session_bind_input(net->session, s->in, in + s->offset, s->rank, s->dims, err);
		if (!rc)
			rc = il_session_bind_output(net->session, s->out, out + s->offset, s->rank, s->dims, err);
	}
	return rc;
}

/* ---- running ---- */

/* A network that takes bytes gets them in its own order. */
static void put_bytes(const struct il_matte_net *net, const uint8_t *pixels, ptrdiff_t stride, bool swap)
{
	size_t w = (size_t)net->info.width, area = w * (size_t)net->info.height;
	bool planar = net->manifest.layout == IL_MATTE_NCHW;
	for (int y = 0; y < net->info.height; y++) {
		uint8_t *row = (uint8_t *)net->picture + (size_t)y * (planar ? w : 3 * w);
		for (size_t x = 0; x < w; x++)
			for (size_t c = 0; c < 3; c++)
				row[planar ? c * area + x : 3 * x + c] =
					pixels[y * stride + 3 * x + (swap ? 2 - c : c)];
	}
}

static void put_planes(const struct il_matte_net *net, const uint8_t *pixels, ptrdiff_t stride, bool swap)
{
	const struct il_kernels *kernels = il_kernels_get();
	size_t w = (size_t)net->info.width, area = w * (size_t)net->info.height;
	struct il_normalize by;
	for (int c = 0; c < 3; c++) {
		by.scale[c] = net->normalize.scale[swap ? 2 - c : c];
		by.offset[c] = net->normalize.offset[swap ? 2 - c : c];
	}
	for (int y = 0; y < net->info.height; y++) {
		float *first = (float *)net->picture + (size_t)y * w, *last = first + 2 * area;
		float *const rows[3] = { swap ? last : first, first + area, swap ? first : last };
		kernels->normalize_planar(rows, pixels + y * stride, &by, net->info.width);
	}
}

static void put_packed(const struct il_matte_net *net, const uint8_t *pixels, ptrdiff_t stride, bool swap)
{
	const struct il_kernels *kernels = il_kernels_get();
	for (int y = 0; y < net->info.height; y++)
		kernels->normalize_packed((float *)net->picture + (size_t)y * 3 * (size_t)net->info.width,
		                          pixels + y * stride, &net->normalize, swap, net->info.width);
}

static void put_picture(const struct il_matte_net *net, const uint8_t *pixels, ptrdiff_t stride, bool swap)
{
	if (net->bytes)
		put_bytes(net, pixels, stride, swap);
	else if (net->manifest.layout == IL_MATTE_NCHW)
		put_planes(net, pixels, stride, swap);
	else
		put_packed(net, pixels, stride, swap);
}

/* The activation, where nobody said it: settled by the first picture that shows something. */
static void settle(struct il_matte_net *net)
{
	struct il_matte_manifest *m = &net->manifest;
	net->info.settled = il_matte_guess(net->output_data, &net->output_grid, &m->activation, &net->low, &net->high);
	if (net->info.settled)
		m->source[IL_MATTE_KEY_ACTIVATION] = IL_MATTE_PICTURE;
}

static void fill_result(const struct il_matte_net *net, struct il_matte_result *result)
{
	*result = (struct il_matte_result){ .matte = net->matte };
	if (!net->info.has_foreground)
		return;
	const struct il_matte_grid *g = &net->foreground_grid;
	result->foreground_step = g->step;
	for (int c = 0; c < 3; c++)
		result->foreground[c] =
			net->foreground_data + (net->manifest.color == IL_MATTE_RGB ? 2 - c : c) * g->channel_step;
}

enum inlay_err il_matte_net_run(struct il_matte_net *net, struct il_matte_stream *stream, const uint8_t *pixels,
                                ptrdiff_t stride, enum il_matte_color color, struct il_matte_result *result,
                                struct inlay_error *err)
{
	if (!stream) {
		stream = net->own;
		il_matte_stream_reset(stream);
	}
	enum inlay_err rc = bind_stream(net, stream, err);
	if (rc)
		return rc;
	put_picture(net, pixels, stride, color != net->manifest.color);
	rc = il_session_run(net->session, err);
	if (rc)
		return rc;
	stream->current = !stream->current;
	if (!net->info.settled)
		settle(net);
	il_matte_activate(net->matte, net->output_data, &net->output_grid, &net->manifest);
	fill_result(net, result);
	return INLAY_OK;
}
