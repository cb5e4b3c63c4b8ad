/* The models of the services that inlay serve takes the place of, and what is the same in several of them. */
#include <stdlib.h>
#include <string.h>

#include "server/rpc/origin.h"
#include "server/rpc/services.h"

#define PAGE 256 /* avatars listed at a time */

static enum inlay_err add_model(struct app *app, struct origin_models *models, const struct il_store_entry *entry,
                                struct inlay_error *err)
{
	struct origin_model *model = &models->list[models->n];
	model->entry = *entry;
	model->usage = app_usage(app, entry->id);
	model->path = il_store_path(app_store(app), entry->id);
	if (!model->path)
		model->path = strdup("");
	if (!model->path)
		return il_fail_memory(err);
	models->n++;
	return INLAY_OK;
}

static enum inlay_err add_page(struct app *app, struct origin_models *models, const struct il_store_entry *page,
                               size_t n, struct inlay_error *err)
{
	struct origin_model *wider = realloc(models->list, (models->n + n) * sizeof *wider);
	if (!wider)
		return il_fail_memory(err);
	models->list = wider;
	enum inlay_err rc = INLAY_OK;
	for (size_t i = 0; i < n && !rc; i++)
		rc = add_model(app, models, &page[i], err);
	return rc;
}

enum inlay_err origin_models_gather(struct app *app, const char *id, bool loaded_only, struct origin_models *models,
                                    struct inlay_error *err)
{
	struct il_store_entry page[PAGE];
	char after[IL_STORE_ID_MAX + 1] = "";
	size_t n = PAGE;
	enum inlay_err rc = INLAY_OK;
	*models = (struct origin_models){ 0 };
	if (id && *id) {
		rc = il_store_find(app_store(app), id, page, err);
		return rc ? rc : add_page(app, models, page, 1, err);
	}
	while (n == PAGE && !rc) {
		n = il_store_list(app_store(app), *after ? after : NULL, loaded_only, page, PAGE);
		if (!n)
			break;
		rc = add_page(app, models, page, n, err);
		memcpy(after, page[n - 1].id, sizeof after);
	}
	return rc;
}

void origin_models_clear(struct origin_models *models)
{
	for (size_t i = 0; i < models->n; i++)
		free(models->list[i].path);
	free(models->list);
	*models = (struct origin_models){ 0 };
}

static enum inlay_err check_id(struct app *app, const char *id, struct inlay_error *err)
{
	if (!*id)
		return il_fail(err, INLAY_ERR_INVALID, "model_id is required");
	if (!origin_id_valid(id, strlen(id)))
		return il_fail(err, INLAY_ERR_NOT_FOUND, "unknown model: model_id of %zu bytes is no name", strlen(id));
	return app_stopping(app) ? il_fail(err, INLAY_ERR_BUSY, "the server is stopping") : INLAY_OK;
}

enum inlay_err origin_load(struct app *app, const char *id, bool force, double *ms, struct inlay_error *err)
{
	int64_t ns = 0;
	enum inlay_err rc = check_id(app, id, err);
	if (!rc)
		rc = il_store_load(app_store(app), id, force, &ns, err);
	*ms = (double)ns / 1e6;
	return rc;
}

enum inlay_err origin_unload(struct app *app, const char *id, struct inlay_error *err)
{
	enum inlay_err rc = check_id(app, id, err);
	return rc ? rc : il_store_unload(app_store(app), id, err);
}

Compositing__ModelStats origin_model_stats(const struct origin_model *model)
{
	Compositing__ModelStats stats = COMPOSITING__MODEL_STATS__INIT;
	stats.usage_count = model->usage.requests;
	stats.last_used_unix_ms = model->entry.last_used_unix_ms;
	stats.total_inference_time_ms = (double)model->usage.inference_ns / 1e6;
	stats.memory_bytes = model->entry.bytes;
	stats.loaded_unix_ms = model->entry.loaded_unix_ms;
	return stats;
}

enum inlay_err origin_load_model(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	Compositing__LoadModelResponse answer = COMPOSITING__LOAD_MODEL_RESPONSE__INIT;
	Compositing__ModelStats stats;
	struct origin_models models = { 0 };
	struct inlay_error fault = { 0 };
	double ms;
	Compositing__LoadModelRequest *request = origin_read(call, &compositing__load_model_request__descriptor, err);
	if (!request)
		return err->code;
	enum inlay_err rc = origin_load(ctx, request->model_id, request->force_reload, &ms, &fault);
	if (!rc)
		rc = origin_models_gather(ctx, request->model_id, false, &models, &fault);
	if (!rc) {
		stats = origin_model_stats(models.list);
		answer.stats = &stats;
	}
	answer.success = !rc;
	answer.error = fault.text;
	answer.load_time_ms = (float)ms;
	rc = proto_write(call, &answer.base, err);
	origin_models_clear(&models);
	compositing__load_model_request__free_unpacked(request, NULL);
	return rc;
}

enum inlay_err origin_unload_model(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	Compositing__UnloadModelResponse answer = COMPOSITING__UNLOAD_MODEL_RESPONSE__INIT;
	struct inlay_error fault = { 0 };
	Compositing__UnloadModelRequest *request =
		origin_read(call, &compositing__unload_model_request__descriptor, err);
	if (!request)
		return err->code;
	answer.success = !origin_unload(ctx, request->model_id, &fault);
	answer.error = fault.text;
	compositing__unload_model_request__free_unpacked(request, NULL);
	return proto_write(call, &answer.base, err);
}

int32_t origin_max_models(struct app *app, const struct il_store_stats *stats)
{
	const unsigned limit = app_max_models(app);
	return (int32_t)(limit ? limit : stats->avatars);
}

size_t origin_methods(struct app *app, struct rpc_method *methods, size_t room)
{
	if (room < 3 * ORIGIN_METHODS)
		return 0;
	origin_compositing_methods(app, methods);
	origin_monolithic_methods(app, methods + ORIGIN_METHODS);
	origin_inference_methods(app, methods + 2 * ORIGIN_METHODS);
	for (size_t i = 0; i < 3 * ORIGIN_METHODS; i++)
		methods[i].unary = true;
	return 3 * ORIGIN_METHODS;
}
