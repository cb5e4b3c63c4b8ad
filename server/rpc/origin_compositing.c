/* compositing.CompositingService */
#include <stdlib.h>
#include <string.h>

#include "inlay/version.h"
#include "server/rpc/origin.h"

static enum inlay_err infer_batch_composite(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	return origin_composite(ctx, ORIGIN_COMPOSITING, call, err);
}

/* Models as messages; one block of memory for each kind of them. */
struct infos {
	Compositing__ModelInfo **pointers, *infos;
	Compositing__ModelStats *stats;
};

static enum inlay_err make_infos(struct infos *to, const struct origin_models *models, struct inlay_error *err)
{
	const size_t room = models->n + 1;
	*to = (struct infos){ calloc(room, sizeof *to->pointers), calloc(room, sizeof *to->infos),
		              calloc(room, sizeof *to->stats) };
	if (!to->pointers || !to->infos || !to->stats)
		return il_fail_memory(err);
	for (size_t i = 0; i < models->n; i++) {
		const struct origin_model *model = &models->list[i];
		Compositing__ModelInfo *info = to->pointers[i] = &to->infos[i];
		compositing__model_info__init(info);
		to->stats[i] = origin_model_stats(model);
		info->model_id = (char *)model->entry.id;
		info->loaded = model->entry.loaded;
		info->model_path = model->path;
		info->stats = &to->stats[i];
	}
	return INLAY_OK;
}

static void free_infos(struct infos *infos)
{
	free(infos->pointers);
	free(infos->infos);
	free(infos->stats);
}

static enum inlay_err list_models(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	struct origin_models models;
	struct infos infos = { 0 };
	Compositing__ListModelsResponse answer = COMPOSITING__LIST_MODELS_RESPONSE__INIT;
	enum inlay_err rc = origin_models_gather(ctx, NULL, false, &models, err);
	if (!rc)
		rc = make_infos(&infos, &models, err);
	answer.n_models = models.n;
	answer.models = infos.pointers;
	if (!rc)
		rc = proto_write(call, &answer.base, err);
	free_infos(&infos);
	origin_models_clear(&models);
	return rc;
}

static enum inlay_err answer_stats(struct app *app, struct rpc_call *call, const struct origin_models *models,
                                   struct inlay_error *err)
{
	Compositing__GetModelStatsResponse answer = COMPOSITING__GET_MODEL_STATS_RESPONSE__INIT;
	struct il_store_stats store;
	struct infos infos = { 0 };
	enum inlay_err rc = make_infos(&infos, models, err);
	il_store_stats(app_store(app), &store);
	answer.n_models = models->n;
	answer.models = infos.pointers;
	answer.max_models = origin_max_models(app, &store);
	answer.loaded_models = (int32_t)store.loaded;
	answer.total_memory_bytes = store.bytes;
	answer.max_memory_bytes = store.budget_bytes;
	if (!rc)
		rc = proto_write(call, &answer.base, err);
	free_infos(&infos);
	return rc;
}

static enum inlay_err get_model_stats(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	struct origin_models models;
	Compositing__GetModelStatsRequest *request =
		origin_read(call, &compositing__get_model_stats_request__descriptor, err);
	if (!request)
		return err->code;
	enum inlay_err rc = origin_models_gather(ctx, request->model_id, true, &models, err);
	compositing__get_model_stats_request__free_unpacked(request, NULL);
	if (!rc)
		rc = answer_stats(ctx, call, &models, err);
	origin_models_clear(&models);
	return rc;
}

static enum inlay_err health(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	struct app *app = ctx;
	const struct server_config *config = app_config(app);
	Compositing__HealthResponse answer = COMPOSITING__HEALTH_RESPONSE__INIT;
	struct il_store_stats store;
	il_store_stats(app_store(app), &store);
	answer.healthy = app_ready(app, NULL, 0);
	answer.inference_server_healthy = app_inference_healthy(app);
	answer.loaded_models = (int32_t)store.loaded;
	answer.max_models = origin_max_models(app, &store);
	answer.version = (char *)inlay_version();
	if (config->n_inference)
		answer.inference_server_url = config->inference[0];
	return proto_write(call, &answer.base, err);
}

void origin_compositing_methods(struct app *app, struct rpc_method methods[ORIGIN_METHODS])
{
	const struct rpc_method all[ORIGIN_METHODS] = {
		{ "/compositing.CompositingService/InferBatchComposite", infer_batch_composite, app, false },
		{ "/compositing.CompositingService/ListModels", list_models, app, false },
		{ "/compositing.CompositingService/LoadModel", origin_load_model, app, false },
		{ "/compositing.CompositingService/UnloadModel", origin_unload_model, app, false },
		{ "/compositing.CompositingService/GetModelStats", get_model_stats, app, false },
		{ "/compositing.CompositingService/Health", health, app, false },
	};
	memcpy(methods, all, sizeof all);
}
