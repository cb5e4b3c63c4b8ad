#include "infer/lipsync_compile.h"

#include <stdlib.h>
#include <string.h>

#include "infer/optimize.h"

/* What is which, as the network's own contract finds it: whole names, in fresh memory. */
struct names {
	char *picture, *audio;
};

static enum inlay_err look(struct il_lipsync_net_info *info, struct names *names,
                           const struct il_lipsync_compile_params *params, struct inlay_error *err)
{
	struct il_lipsync_net *net = NULL;
	const struct il_lipsync_net_params open = { .path = params->path,
		                                    .picture_name = params->picture_name,
		                                    .audio_name = params->audio_name,
		                                    .output_name = params->output_name };
	enum inlay_err rc = il_lipsync_net_open(&net, &open, err);
	if (rc)
		return rc;
	*info = *il_lipsync_net_info(net);
	const char *picture = il_lipsync_net_picture_name(net);
	names->picture = strdup(picture ? picture : "");
	names->audio = strdup(il_lipsync_net_audio_name(net));
	il_lipsync_net_destroy(&net);
	if (!names->picture || !names->audio)
		return il_fail_memory(err);
	if (info->hoisted)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: is compiled already; expected the network as it was exported", params->path);
	if (info->fixed_batch > 1)
		return il_fail(err, INLAY_ERR_UNSUPPORTED,
		               "%s: runs %u frames at once; expected a network of free batch, or batch 1", params->path,
		               info->fixed_batch);
	return INLAY_OK;
}

static enum inlay_err fix_shapes(struct il_graph *graph, const struct il_lipsync_net_info *info,
                                 const struct names *names, struct inlay_error *err)
{
	const int64_t picture[] = { 1, 6, info->size, info->size };
	const int64_t audio[] = { 1, info->audio.dims[1], info->audio.dims[2], info->audio.dims[3] };
	il_graph_freeze(graph);
	enum inlay_err rc = il_graph_fix_input(graph, names->picture, 4, picture, err);
	return rc ? rc : il_graph_fix_input(graph, names->audio, 4, audio, err);
}

static enum inlay_err rewrite(struct il_graph *graph, struct il_graph **before, struct il_lipsync_compiled *compiled,
                              const struct names *names, const struct il_lipsync_compile_params *params,
                              struct inlay_error *err)
{
	const char *const pictures[] = { names->picture };
	const struct il_hoist_params hoist = { pictures, 1, params->budget_bytes };
	unsigned changes[IL_PASSES] = { 0 };
	enum inlay_err rc = fix_shapes(graph, &compiled->info, names, err);
	if (!rc)
		rc = il_graph_simplify(graph, changes, err);
	compiled->original_flops = il_graph_operations(graph);
	if (!rc)
		rc = il_graph_optimize(graph, changes, err);
	if (!rc)
		rc = il_graph_hoist(graph, &hoist, before, &compiled->hoist, err);
	if (!rc && !params->standard)
		rc = il_graph_fuse(graph, &compiled->weights, &compiled->fuse, err);
	if (!rc && *before)
		rc = il_graph_follow(*before, graph, err);
	for (int i = 0; i < IL_PASSES; i++)
		compiled->rewritten += i == IL_PASS_SHAPES ? 0 : changes[i];
	return rc;
}

enum inlay_err il_lipsync_compile(struct il_lipsync_compiled *compiled, const struct il_lipsync_compile_params *params,
                                  struct inlay_error *err)
{
	struct il_graph *graph = NULL, *before = NULL;
	struct names names = { 0 };
	*compiled = (struct il_lipsync_compiled){ 0 };
	enum inlay_err rc = look(&compiled->info, &names, params, err);
	if (!rc)
		rc = il_graph_read(&graph, params->path, err);
	if (!rc)
		rc = rewrite(graph, &before, compiled, &names, params, err);
	if (!rc)
		rc = il_graph_pack(graph, &compiled->network, &compiled->network_bytes, err);
	if (!rc && before)
		rc = il_graph_pack(before, &compiled->before, &compiled->before_bytes, err);
	il_graph_destroy(&graph);
	il_graph_destroy(&before);
	free(names.picture);
	free(names.audio);
	if (rc)
		il_lipsync_compiled_clear(compiled);
	return rc;
}

void il_lipsync_compiled_clear(struct il_lipsync_compiled *compiled)
{
	free(compiled->network);
	free(compiled->before);
	il_weights_clear(&compiled->weights);
	*compiled = (struct il_lipsync_compiled){ 0 };
}
