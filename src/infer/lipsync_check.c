#include "infer/lipsync_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static void fill_audio(float *audio, size_t n)
{
	uint32_t state = 1;
	for (size_t i = 0; i < n; i++) {
		state = state * 1664525u + 1013904223u;
		audio[i] = (float)(state >> 8) / (float)(1 << 23) - 1;
	}
}

struct il_tensor il_lipsync_picture(const struct il_lipsync_compiled *compiled, const float *picture)
{
	const int size = compiled->info.size;
	return (struct il_tensor){ .element = IL_ONNX_FLOAT,
		                   .rank = 4,
		                   .dims = { 1, 6, size, size },
		                   .data = (void *)picture,
		                   .bytes = compiled->info.picture_floats * sizeof(float) };
}

/* The picture, or what is computed of it beforehand, which stays in `hoisted` while the network may read it. */
static enum inlay_err set_picture(const struct il_lipsync_compiled *compiled, struct il_session *before,
                                  const float *picture, struct il_lipsync_net *net, struct il_tensor *hoisted,
                                  struct inlay_error *err)
{
	const struct il_lipsync_net_info *info = il_lipsync_net_info(net);
	enum inlay_err rc = INLAY_OK;
	if (before) {
		const struct il_tensor tensor = il_lipsync_picture(compiled, picture);
		rc = il_session_run_tensors(before, &tensor, hoisted, err);
	}
	for (int i = 0; i < info->hoisted && !rc; i++) {
		size_t bytes;
		int output = before ? il_session_find_output(before, il_lipsync_net_hoisted(net, i, &bytes)) : -1;
		rc = output < 0 ? il_fail(err, INLAY_ERR_INVALID, "%s: takes a tensor that nothing makes",
		                          il_lipsync_net_hoisted(net, i, &bytes))
		                : il_lipsync_net_set_hoisted(net, i, hoisted[output].data, err);
	}
	if (!rc && info->picture_floats)
		memcpy(il_lipsync_net_picture(net, 0), picture, info->picture_floats * sizeof(float));
	return rc;
}

static enum inlay_err draw(struct il_lipsync_net *net, struct inlay_error *err)
{
	fill_audio(il_lipsync_net_audio(net, 0), il_lipsync_net_info(net)->audio_floats);
	return il_lipsync_net_run(net, 1, err);
}

static void measure(const struct il_lipsync_net *was, const struct il_lipsync_net *is,
                    struct il_lipsync_difference *difference)
{
	const struct il_lipsync_net_info *info = il_lipsync_net_info(is);
	const size_t square = (size_t)info->size * (size_t)info->size;
	*difference = (struct il_lipsync_difference){ 0 };
	for (size_t i = 0; i < info->output_floats; i++) {
		const size_t at = i % 3 * square + i / 3;
		const double before = 255 * (double)il_lipsync_net_output(was, 0)[at];
		double after, d;
		if (info->bytes) {
			after = il_lipsync_net_bytes(is, 0)[i];
			d = fmax(0, fmax(after - before, before - after - 1));
		} else {
			after = 255 * (double)il_lipsync_net_output(is, 0)[at];
			d = fabs(after - before);
		}
		difference->mean += d / (double)info->output_floats;
		difference->most = fmax(difference->most, d);
	}
}

enum inlay_err il_lipsync_check(const struct il_lipsync_compiled *compiled, struct il_session *before,
                                const struct il_lipsync_net_params *original, const float *picture,
                                struct il_lipsync_difference *difference, struct inlay_error *err)
{
	const struct il_lipsync_net_params rewritten = { .path = original->path,
		                                         .data = compiled->network,
		                                         .bytes = compiled->network_bytes,
		                                         .weights = compiled->weights.data,
		                                         .weight_count = compiled->weights.count };
	const int outputs = before ? il_session_outputs(before) : 0;
	struct il_tensor *hoisted = calloc((size_t)outputs + 1, sizeof *hoisted);
	struct il_lipsync_net *was = NULL, *is = NULL;
	enum inlay_err rc = hoisted ? il_lipsync_net_open(&was, original, err) : il_fail_memory(err);
	if (!rc)
		rc = il_lipsync_net_open(&is, &rewritten, err);
	if (!rc) {
		memcpy(il_lipsync_net_picture(was, 0), picture, compiled->info.picture_floats * sizeof(float));
		rc = draw(was, err);
	}
	if (!rc)
		rc = set_picture(compiled, before, picture, is, hoisted, err);
	if (!rc)
		rc = draw(is, err);
	if (!rc)
		measure(was, is, difference);
	for (int i = 0; i < outputs && hoisted; i++)
		il_tensor_clear(&hoisted[i]);
	free(hoisted);
	il_lipsync_net_destroy(&was);
	il_lipsync_net_destroy(&is);
	return rc;
}
