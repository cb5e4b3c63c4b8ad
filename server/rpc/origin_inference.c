/* inference.InferenceService */
#include <stdlib.h>
#include <string.h>

#include "inlay/version.h"
#include "server/rpc/message.h"
#include "server/rpc/origin.h"

#include "server/rpc/inference_origin.pb-c.h"

/* ---- InferBatch ---- */

#define TAG(field, wire) ((field) << 3 | (wire))
#define BYTES 2

/* Tag and length of field 1. */
static size_t put_head(uint8_t *to, size_t length)
{
	*to = TAG(1, BYTES);
	return 1 + message_put_varint(to + 1, length);
}

/* [n, 3] BGR bytes as planes of floats. */
static uint8_t *put_planes(uint8_t *to, const uint8_t *bgr, size_t n)
{
	for (size_t plane = 0; plane < 3; plane++)
		for (size_t i = 0; i < n; i++, to += sizeof(float)) {
			const float value = (float)bgr[3 * i + plane] / 255;
			memcpy(to, &value, sizeof value);
		}
	return to;
}

/* The answer, written here: through protobuf-c's structs 30 MB of floats would be copied once more. */
static enum inlay_err answer_batch(struct rpc_call *call, const Inference__InferBatchResponse *rest,
                                   const uint8_t *mouths, size_t n, size_t pixels, struct inlay_error *err)
{
	uint8_t outer[11], inner[11];
	const size_t data = 3 * pixels * sizeof(float), inner_size = put_head(inner, data);
	const size_t region = inner_size + data, outer_size = put_head(outer, region);
	const size_t size = n * (outer_size + region) + inference__infer_batch_response__get_packed_size(rest);
	uint8_t *message = malloc(size ? size : 1), *to = message;
	if (!message)
		return il_fail_memory(err);
	for (size_t i = 0; i < n; i++) {
		memcpy(to, outer, outer_size);
		memcpy(to + outer_size, inner, inner_size);
		to = put_planes(to + outer_size + inner_size, mouths + i * pixels * 3, pixels);
	}
	inference__infer_batch_response__pack(rest, to);
	enum inlay_err rc = rpc_write(call, message, size, err);
	free(message);
	return rc;
}

static enum inlay_err answer_mouths(const struct origin_batch *batch, const uint8_t *mouths, int size,
                                    struct inlay_error *fault, struct inlay_error *err)
{
	Inference__InferBatchResponse rest = INFERENCE__INFER_BATCH_RESPONSE__INIT;
	const size_t n = fault->code ? 0 : (size_t)batch->request.batch_size;
	rest.success = !fault->code;
	rest.error = fault->text;
	rest.inference_time_ms = (float)batch->times.inference_ms;
	rest.audio_processing_ms = (float)batch->audio_ms;
	return answer_batch(batch->call, &rest, mouths, n, (size_t)size * (size_t)size, err);
}

static enum inlay_err infer_batch(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	struct origin_batch batch;
	struct inlay_error fault = { 0 };
	uint8_t *mouths = NULL;
	int size = 0;
	enum inlay_err rc = origin_batch_read(&batch, ctx, ORIGIN_INFERENCE, call, err);
	if (rc)
		return rc;
	rc = origin_batch_prepare(&batch, &fault);
	if (!rc) {
		const struct app_jpegs request = origin_batch_request(&batch);
		rc = app_draw_mouths(ctx, &request, &mouths, &size, &batch.times, &fault);
	}
	rc = origin_tells(rc) ? answer_mouths(&batch, mouths, size, &fault, err) : il_fail(err, rc, "%s", fault.text);
	free(mouths);
	origin_batch_clear(&batch);
	return rc;
}

/* ---- models ---- */

static Inference__ModelStats stats_of(const struct origin_model *model)
{
	Inference__ModelStats stats = INFERENCE__MODEL_STATS__INIT;
	stats.usage_count = model->usage.requests;
	stats.last_used_unix_ms = model->entry.last_used_unix_ms;
	stats.total_inference_time_ms = (double)model->usage.inference_ns / 1e6;
	stats.memory_bytes = model->entry.bytes;
	stats.loaded_unix_ms = model->entry.loaded_unix_ms;
	return stats;
}

/* Models as messages; one block of memory for each kind of them. */
struct infos {
	Inference__ModelInfo **pointers, *infos;
	Inference__ModelStats *stats;
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
		Inference__ModelInfo *info = to->pointers[i] = &to->infos[i];
		inference__model_info__init(info);
		to->stats[i] = stats_of(model);
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
	Inference__ListModelsResponse answer = INFERENCE__LIST_MODELS_RESPONSE__INIT;
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
	Inference__GetModelStatsResponse answer = INFERENCE__GET_MODEL_STATS_RESPONSE__INIT;
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
	Inference__GetModelStatsRequest *request =
		origin_read(call, &inference__get_model_stats_request__descriptor, err);
	if (!request)
		return err->code;
	enum inlay_err rc = origin_models_gather(ctx, request->model_id, true, &models, err);
	inference__get_model_stats_request__free_unpacked(request, NULL);
	if (!rc)
		rc = answer_stats(ctx, call, &models, err);
	origin_models_clear(&models);
	return rc;
}

static enum inlay_err health(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	struct app *app = ctx;
	Inference__HealthResponse answer = INFERENCE__HEALTH_RESPONSE__INIT;
	struct il_store_stats store;
	il_store_stats(app_store(app), &store);
	answer.healthy = app_ready(app, NULL, 0);
	answer.loaded_models = (int32_t)store.loaded;
	answer.max_models = origin_max_models(app, &store);
	answer.version = (char *)inlay_version();
	return proto_write(call, &answer.base, err);
}

void origin_inference_methods(struct app *app, struct rpc_method methods[ORIGIN_METHODS])
{
	const struct rpc_method all[ORIGIN_METHODS] = {
		{ "/inference.InferenceService/InferBatch", infer_batch, app, false },
		{ "/inference.InferenceService/ListModels", list_models, app, false },
		{ "/inference.InferenceService/LoadModel", origin_load_model, app, false },
		{ "/inference.InferenceService/UnloadModel", origin_unload_model, app, false },
		{ "/inference.InferenceService/GetModelStats", get_model_stats, app, false },
		{ "/inference.InferenceService/Health", health, app, false },
	};
	memcpy(methods, all, sizeof all);
}
