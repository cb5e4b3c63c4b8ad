/* monolithic.MonolithicService */
#include <stdlib.h>
#include <string.h>

#include "server/rpc/origin.h"

#include "server/rpc/monolithic.pb-c.h"

#define MIB (1 << 20)

static enum inlay_err infer_batch_composite(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	return origin_composite(ctx, ORIGIN_MONOLITHIC, call, err);
}

static double mean_ms(const struct app_usage *usage)
{
	return usage->requests ? (double)usage->inference_ns / 1e6 / (double)usage->requests : 0;
}

static Monolithic__ModelInfo info_of(const struct origin_model *model)
{
	Monolithic__ModelInfo info = MONOLITHIC__MODEL_INFO__INIT;
	info.model_id = (char *)model->entry.id;
	info.loaded = model->entry.loaded;
	info.memory_mb = model->entry.bytes / MIB;
	info.request_count = (int32_t)model->usage.requests;
	info.avg_inference_ms = (float)mean_ms(&model->usage);
	return info;
}

static enum inlay_err list_models(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	struct origin_models models;
	Monolithic__ListModelsResponse answer = MONOLITHIC__LIST_MODELS_RESPONSE__INIT;
	enum inlay_err rc = origin_models_gather(ctx, NULL, false, &models, err);
	Monolithic__ModelInfo *infos = calloc(models.n + 1, sizeof *infos);
	answer.models = calloc(models.n + 1, sizeof *answer.models);
	if (!rc && (!infos || !answer.models))
		rc = il_fail_memory(err);
	for (size_t i = 0; i < models.n && !rc; i++) {
		infos[i] = info_of(&models.list[i]);
		answer.models[answer.n_models++] = &infos[i];
	}
	if (!rc)
		rc = proto_write(call, &answer.base, err);
	free(answer.models);
	free(infos);
	origin_models_clear(&models);
	return rc;
}

static enum inlay_err load_model(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	Monolithic__LoadModelResponse answer = MONOLITHIC__LOAD_MODEL_RESPONSE__INIT;
	struct inlay_error fault = { 0 };
	double ms;
	Monolithic__LoadModelRequest *request = origin_read(call, &monolithic__load_model_request__descriptor, err);
	if (!request)
		return err->code;
	answer.success = !origin_load(ctx, request->model_id, false, &ms, &fault);
	answer.error = fault.text;
	answer.load_time_ms = (float)ms;
	monolithic__load_model_request__free_unpacked(request, NULL);
	return proto_write(call, &answer.base, err);
}

static Monolithic__ModelStats stats_of(const struct origin_model *model)
{
	Monolithic__ModelStats stats = MONOLITHIC__MODEL_STATS__INIT;
	stats.model_id = (char *)model->entry.id;
	stats.loaded = model->entry.loaded;
	stats.memory_mb = model->entry.bytes / MIB;
	stats.request_count = (int32_t)model->usage.requests;
	stats.total_inference_ms = model->usage.inference_ns / 1000000;
	stats.avg_inference_ms = (float)mean_ms(&model->usage);
	stats.last_used_timestamp = model->entry.last_used_unix_ms / 1000;
	return stats;
}

static enum inlay_err get_model_stats(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	struct origin_models models;
	Monolithic__GetModelStatsResponse answer = MONOLITHIC__GET_MODEL_STATS_RESPONSE__INIT;
	enum inlay_err rc = origin_models_gather(ctx, NULL, true, &models, err);
	Monolithic__ModelStats *stats = calloc(models.n + 1, sizeof *stats);
	answer.models = calloc(models.n + 1, sizeof *answer.models);
	if (!rc && (!stats || !answer.models))
		rc = il_fail_memory(err);
	for (size_t i = 0; i < models.n && !rc; i++) {
		stats[i] = stats_of(&models.list[i]);
		answer.models[answer.n_models++] = &stats[i];
	}
	if (!rc)
		rc = proto_write(call, &answer.base, err);
	free(answer.models);
	free(stats);
	origin_models_clear(&models);
	return rc;
}

static enum inlay_err health(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	struct app *app = ctx;
	Monolithic__HealthResponse answer = MONOLITHIC__HEALTH_RESPONSE__INIT;
	struct il_store_stats store;
	il_store_stats(app_store(app), &store);
	answer.healthy = app_ready(app, NULL, 0);
	answer.loaded_models = (int32_t)store.loaded;
	answer.max_models = origin_max_models(app, &store);
	return proto_write(call, &answer.base, err);
}

void origin_monolithic_methods(struct app *app, struct rpc_method methods[ORIGIN_METHODS])
{
	const struct rpc_method all[ORIGIN_METHODS] = {
		{ "/monolithic.MonolithicService/InferBatchComposite", infer_batch_composite, app, false },
		{ "/monolithic.MonolithicService/ListModels", list_models, app, false },
		{ "/monolithic.MonolithicService/LoadModel", load_model, app, false },
		{ "/monolithic.MonolithicService/UnloadModel", origin_unload_model, app, false },
		{ "/monolithic.MonolithicService/GetModelStats", get_model_stats, app, false },
		{ "/monolithic.MonolithicService/Health", health, app, false },
	};
	memcpy(methods, all, sizeof all);
}
