/* KServe v2 on HTTP: /v2/... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "inlay/version.h"
#include "server/buffers.h"
#include "server/http/kserve_json.h"
#include "server/http/routes.h"

#define LENGTH_HEADER "Inference-Header-Content-Length"
#define REGIONS 1024

/* ---- the server ---- */

static void server_metadata(void *ctx, struct http_request *request)
{
	json_t *extensions = json_array();
	for (const char *const *extension = kserve_extensions(ctx); *extension; extension++)
		json_array_append_new(extensions, json_string(*extension));
	http_answer_json(request, 200,
	                 json_pack("{s:s, s:s, s:o}", "name", KSERVE_SERVER, "version", inlay_version(), "extensions",
	                           extensions));
}

static void server_live(void *ctx, struct http_request *request)
{
	(void)ctx;
	http_answer_json(request, 200, json_pack("{s:b}", "live", 1));
}

static void server_ready(void *ctx, struct http_request *request)
{
	char why[256] = "";
	bool ready = app_ready(ctx, why, sizeof why);
	http_answer_json(request, ready ? 200 : 503, json_pack("{s:b}", "ready", ready));
}

/* ---- models ---- */

static void answer(struct http_request *request, enum inlay_err rc, const struct inlay_error *err, json_t *value)
{
	if (rc) {
		json_decref(value);
		http_answer_error(request, err);
	} else {
		http_answer_json(request, 200, value);
	}
}

static json_t *shape_json(const struct kserve_tensor *tensor)
{
	json_t *shape = json_array();
	for (unsigned i = 0; i < tensor->dims; i++)
		json_array_append_new(shape, json_integer(tensor->shape[i]));
	return shape;
}

static json_t *metadata_json(const struct kserve_model *model)
{
	struct kserve_tensor tensors[3];
	json_t *lists[2] = { json_array(), json_array() };
	kserve_model_tensors(model, tensors);
	for (int i = 0; i < 3; i++)
		json_array_append_new(lists[i == 2], json_pack("{s:s, s:s, s:o}", "name", tensors[i].name, "datatype",
		                                               tensors[i].datatype, "shape", shape_json(&tensors[i])));
	return json_pack("{s:s, s:[s], s:s, s:o, s:o}", "name", model->name, "versions", KSERVE_VERSION, "platform",
	                 KSERVE_PLATFORM, "inputs", lists[0], "outputs", lists[1]);
}

static json_t *config_json(const struct kserve_model *model)
{
	struct kserve_tensor tensors[3];
	json_t *lists[2] = { json_array(), json_array() };
	kserve_model_tensors(model, tensors);
	for (int i = 0; i < 3; i++) {
		char type[32];
		snprintf(type, sizeof type, "TYPE_%s", tensors[i].datatype);
		json_array_append_new(lists[i == 2], json_pack("{s:s, s:s, s:o}", "name", tensors[i].name, "data_type",
		                                               type, "dims", shape_json(&tensors[i])));
	}
	return json_pack("{s:s, s:s, s:s, s:i, s:o, s:o}", "name", model->name, "platform", KSERVE_PLATFORM, "backend",
	                 KSERVE_PLATFORM, "max_batch_size", 0, "input", lists[0], "output", lists[1]);
}

static void answer_model(struct app *app, struct http_request *request,
                         json_t *(*describe)(const struct kserve_model *model))
{
	struct inlay_error err = { 0 };
	struct kserve_model model;
	json_t *value = NULL;
	enum inlay_err rc = kserve_model_open(&model, app, http_part(request, 0), http_part(request, 1), &err);
	if (!rc) {
		value = describe(&model);
		kserve_model_close(&model);
	}
	answer(request, rc, &err, value);
}

static void model_metadata(void *ctx, struct http_request *request)
{
	answer_model(ctx, request, metadata_json);
}

static void model_config(void *ctx, struct http_request *request)
{
	answer_model(ctx, request, config_json);
}

static void model_ready(void *ctx, struct http_request *request)
{
	bool ready = kserve_model_ready(ctx, http_part(request, 0), http_part(request, 1));
	http_answer_json(request, ready ? 200 : 404, json_pack("{s:b}", "ready", ready));
}

/* ---- statistics ---- */

static json_t *duration_json(const struct kserve_duration *duration)
{
	return json_pack("{s:I, s:I}", "count", (json_int_t)duration->count, "ns", (json_int_t)duration->ns);
}

static json_t *stats_json(const struct kserve_stats *stats)
{
	json_t *infer =
		json_pack("{s:o, s:o, s:o, s:o, s:o}", "success", duration_json(&stats->success), "fail",
	                  duration_json(&stats->fail), "compute_input", duration_json(&stats->input), "compute_infer",
	                  duration_json(&stats->infer), "compute_output", duration_json(&stats->output));
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:o}", "name", stats->name, "version", KSERVE_VERSION,
	                 "last_inference", (json_int_t)stats->last_unix_ms, "inference_count",
	                 (json_int_t)stats->frames, "execution_count", (json_int_t)stats->requests, "inference_stats",
	                 infer);
}

static void model_stats(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	struct kserve_stats *stats;
	size_t n;
	enum inlay_err rc = kserve_stats_list(ctx, http_part(request, 0), http_part(request, 1), &stats, &n, &err);
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, stats_json(&stats[i]));
	free(stats);
	answer(request, rc, &err, json_pack("{s:o}", "model_stats", list));
}

/* ---- the repository ---- */

static bool add_entry(void *ctx, const struct il_store_entry *entry)
{
	return !json_array_append_new(ctx,
	                              json_pack("{s:s, s:s, s:s, s:s}", "name", entry->id, "version", KSERVE_VERSION,
	                                        "state", kserve_state(entry), "reason", kserve_reason(entry)));
}

/* The body's object, or NULL where there is no body; an error for anything else. */
static enum inlay_err read_object(const struct http_request *request, json_t **object, struct inlay_error *err)
{
	struct il_bytes body = http_body(request);
	*object = NULL;
	if (!body.size)
		return INLAY_OK;
	if (body.size > KSERVE_JSON_MAX)
		return il_fail(err, INLAY_ERR_INVALID, "body of %zu bytes: expected %zu at most", body.size,
		               KSERVE_JSON_MAX);
	enum inlay_err rc = il_json_parse(body.data, body.size, "body", object, err);
	if (!rc && !json_is_object(*object)) {
		rc = il_fail(err, INLAY_ERR_FORMAT, "body: %s: expected an object", il_json_kind(*object));
		json_decref(*object);
		*object = NULL;
	}
	return rc;
}

static void repository_index(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	json_t *object, *list = json_array();
	enum inlay_err rc = read_object(request, &object, &err);
	if (!rc)
		kserve_index(ctx, json_is_true(json_object_get(object, "ready")), add_entry, list);
	json_decref(object);
	answer(request, rc, &err, list);
}

static void repository_load(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	json_t *object;
	enum inlay_err rc = read_object(request, &object, &err);
	if (!rc && json_object_size(json_object_get(object, "parameters")))
		rc = il_fail(&err, INLAY_ERR_UNSUPPORTED, "loading a model with parameters: expected none");
	if (!rc)
		rc = kserve_load(ctx, NULL, http_part(request, 0), &err);
	json_decref(object);
	answer(request, rc, &err, json_object());
}

static void repository_unload(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	enum inlay_err rc = kserve_unload(ctx, NULL, http_part(request, 0), &err);
	answer(request, rc, &err, json_object());
}

/* ---- shared memory ---- */

static void memory_status(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	struct regions *regions;
	json_t *list = json_array();
	enum inlay_err rc = kserve_regions(ctx, &regions, &err);
	struct region_info *infos = rc ? NULL : malloc(REGIONS * sizeof *infos);
	if (!rc && !infos)
		rc = il_fail_memory(&err);
	size_t n = rc ? 0 : regions_list(regions, http_part(request, 0), infos, REGIONS);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "name", infos[i].name, "key",
		                                      infos[i].key, "offset", (json_int_t)infos[i].offset, "byte_size",
		                                      (json_int_t)infos[i].byte_size));
	free(infos);
	answer(request, rc, &err, list);
}

static void memory_register(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	json_t *object;
	enum inlay_err rc = read_object(request, &object, &err);
	const char *key = json_string_value(json_object_get(object, "key"));
	const json_t *offset = json_object_get(object, "offset"), *size = json_object_get(object, "byte_size");
	bool whole = (!offset || json_is_integer(offset)) && json_is_integer(size) && json_integer_value(offset) >= 0 &&
	             json_integer_value(size) > 0;
	if (!rc && (!key || !whole))
		rc = il_fail(&err, INLAY_ERR_FORMAT, "body: expected key, a string, byte_size and, if not 0, offset");
	if (!rc)
		rc = kserve_register(ctx, http_part(request, 0), key, (uint64_t)json_integer_value(offset),
		                     (uint64_t)json_integer_value(size), &err);
	json_decref(object);
	answer(request, rc, &err, json_object());
}

static void memory_unregister(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	struct regions *regions;
	enum inlay_err rc = kserve_regions(ctx, &regions, &err);
	if (!rc)
		rc = regions_unregister(regions, http_part(request, 0), &err);
	answer(request, rc, &err, json_object());
}

/* ---- inference ---- */

/* JSON and output, the one behind the other or within. */
static enum inlay_err draw_answer(struct kserve_json *json, struct kserve_inference *inference,
                                  struct http_request *request, struct inlay_error *err)
{
	struct il_bytes head = { 0 }, filled = { 0 };
	size_t gap, output = inference->frames.place.name ? 0 : inference->frames.output_size;
	enum inlay_err rc = kserve_json_answer(&head, &gap, json, inference, err);
	uint8_t *whole = rc ? NULL : buffer_take(head.size + output);
	if (!rc && !whole)
		rc = il_fail_memory(err);
	if (!rc)
		rc = kserve_draw(inference, whole + head.size, err);
	if (!rc && gap)
		rc = kserve_json_fill(&filled, &head, gap, whole + head.size, output, err);
	if (!rc && gap) {
		http_answer(request, 200, "application/json", filled.data, filled.size);
	} else if (!rc && json->binary && output) {
		char length[32];
		snprintf(length, sizeof length, "%zu", head.size);
		memcpy(whole, head.data, head.size);
		http_add_header(request, LENGTH_HEADER, length);
		http_answer(request, 200, "application/octet-stream", whole, head.size + output);
	} else if (!rc) {
		http_answer(request, 200, "application/json", head.data, head.size);
	}
	buffer_return(whole);
	il_bytes_destroy(&filled);
	il_bytes_destroy(&head);
	return rc;
}

static void model_infer(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	struct il_bytes body = http_body(request);
	struct kserve_json json;
	struct kserve_inference inference;
	enum inlay_err rc = kserve_json_read(&json, body.data, body.size, http_header(request, LENGTH_HEADER), &err);
	if (!rc) {
		json.request.model = http_part(request, 0);
		json.request.version = http_part(request, 1);
		json.request.client = http_peer(request);
		rc = kserve_begin(&inference, ctx, &json.request, &err);
		if (!rc)
			rc = draw_answer(&json, &inference, request, &err);
		kserve_end(&inference);
	}
	kserve_json_clear(&json);
	if (rc)
		http_answer_error(request, &err);
}

size_t kserve_routes(struct app *app, struct http_route *routes, size_t room)
{
	static const struct http_route all[] = {
		{ .method = "GET", .pattern = "/v2", .handle = server_metadata },
		{ .method = "GET", .pattern = "/v2/health/live", .handle = server_live, .open = true },
		{ .method = "GET", .pattern = "/v2/health/ready", .handle = server_ready, .open = true },
		{ .method = "GET", .pattern = "/v2/models/stats", .handle = model_stats },
		{ .method = "GET", .pattern = "/v2/models/*", .handle = model_metadata },
		{ .method = "GET", .pattern = "/v2/models/*/versions/*", .handle = model_metadata },
		{ .method = "GET", .pattern = "/v2/models/*/ready", .handle = model_ready },
		{ .method = "GET", .pattern = "/v2/models/*/versions/*/ready", .handle = model_ready },
		{ .method = "GET", .pattern = "/v2/models/*/config", .handle = model_config },
		{ .method = "GET", .pattern = "/v2/models/*/versions/*/config", .handle = model_config },
		{ .method = "GET", .pattern = "/v2/models/*/stats", .handle = model_stats },
		{ .method = "GET", .pattern = "/v2/models/*/versions/*/stats", .handle = model_stats },
		{ .method = "POST", .pattern = "/v2/models/*/infer", .handle = model_infer },
		{ .method = "POST", .pattern = "/v2/models/*/versions/*/infer", .handle = model_infer },
		{ .method = "POST", .pattern = "/v2/repository/index", .handle = repository_index },
		{ .method = "POST", .pattern = "/v2/repository/models/*/load", .handle = repository_load },
		{ .method = "POST", .pattern = "/v2/repository/models/*/unload", .handle = repository_unload },
		{ .method = "GET", .pattern = "/v2/systemsharedmemory/status", .handle = memory_status },
		{ .method = "GET", .pattern = "/v2/systemsharedmemory/region/*/status", .handle = memory_status },
		{ .method = "POST", .pattern = "/v2/systemsharedmemory/region/*/register", .handle = memory_register },
		{ .method = "POST", .pattern = "/v2/systemsharedmemory/unregister", .handle = memory_unregister },
		{ .method = "POST",
		  .pattern = "/v2/systemsharedmemory/region/*/unregister",
		  .handle = memory_unregister },
	};
	size_t n = sizeof all / sizeof *all;
	for (size_t i = 0; i < n && i < room; i++) {
		routes[i] = all[i];
		routes[i].ctx = app;
	}
	return n < room ? n : room;
}
