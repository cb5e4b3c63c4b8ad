/* The services that inlay serve takes the place of, called without a network: rpc_call and what handlers ask of it are
 * made here. */
#include "server/rpc/origin.h"

#include <math.h>

#include "composite/place.h"
#include "server/app_test.h"
#include "server/rpc/inference_origin.pb-c.h"
#include "server/rpc/monolithic.pb-c.h"
#include "server/rpc/services.h"

static struct inlay_error err;
static const char *folder;
static struct server_config config;
static struct app *app;
static struct rpc_method methods[32];
static size_t n_methods;

/* ---- calls ---- */

struct rpc_call {
	const uint8_t *data;
	size_t size;
	bool cancelled;
	uint8_t *reply;
	size_t reply_size;
};

enum inlay_err rpc_read(struct rpc_call *call, const uint8_t **data, size_t *size, struct inlay_error *error)
{
	(void)error;
	*data = call->data;
	*size = call->size;
	return call->data ? INLAY_OK : INLAY_EOF;
}

enum inlay_err rpc_write(struct rpc_call *call, const void *data, size_t size, struct inlay_error *error)
{
	(void)error;
	assert_null(call->reply);
	call->reply = malloc(size + 1);
	memcpy(call->reply, data, size);
	call->reply_size = size;
	return INLAY_OK;
}

bool rpc_cancelled(void *call)
{
	return ((struct rpc_call *)call)->cancelled;
}

int64_t rpc_deadline_ns(const struct rpc_call *call)
{
	(void)call;
	return 0;
}

const char *rpc_peer(const struct rpc_call *call)
{
	(void)call;
	return "test";
}

static enum inlay_err call_bytes(const char *path, struct rpc_call *call)
{
	err = (struct inlay_error){ 0 };
	for (size_t i = 0; i < n_methods; i++)
		if (!strcmp(methods[i].path, path))
			return methods[i].handle(methods[i].ctx, call, &err);
	fail_msg("no method %s", path);
	return INLAY_ERR_NOT_FOUND;
}

/* Sends `request`; the answer is to be freed with protobuf_c_message_free_unpacked. */
static void *call(const char *path, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *descriptor)
{
	const size_t size = protobuf_c_message_get_packed_size(request);
	uint8_t *data = malloc(size + 1);
	protobuf_c_message_pack(request, data);
	struct rpc_call c = { .data = data, .size = size };
	enum inlay_err rc = call_bytes(path, &c);
	if (rc)
		fail_msg("%s: %s", path, err.text);
	void *answer = protobuf_c_message_unpack(descriptor, NULL, c.reply_size, c.reply);
	assert_non_null(answer);
	free(c.reply);
	free(data);
	return answer;
}

/* ---- batches ---- */

static size_t window_floats(const char *avatar, int *size)
{
	struct il_mouths_info info;
	const struct il_mouths *mouths = app_mouths(app);
	assert_ok(mouths->info(mouths->ctx, avatar, &info, &err));
	if (size)
		*size = info.size;
	return info.window_floats;
}

static float *noise(size_t n)
{
	float *floats = malloc(n * sizeof *floats);
	for (size_t i = 0; i < n; i++)
		floats[i] = (float)test_random() / 4294967296.0f - 0.5f;
	return floats;
}

static ProtobufCBinaryData bytes_of(const void *data, size_t size)
{
	return (ProtobufCBinaryData){ size, (uint8_t *)data };
}

#define COMPOSITE "/compositing.CompositingService/InferBatchComposite"
#define MONOLITHIC "/monolithic.MonolithicService/InferBatchComposite"
#define INFER "/inference.InferenceService/InferBatch"

static Compositing__CompositeBatchResponse *composite(const char *path, Compositing__CompositeBatchRequest *request)
{
	return call(path, &request->base, &compositing__composite_batch_response__descriptor);
}

static void assert_jpegs(const Compositing__CompositeBatchResponse *answer, const char *avatar, const int64_t *frames,
                         const float *const *windows, unsigned n)
{
	struct il_bytes expected[ORIGIN_MAX_BATCH] = { 0 };
	const struct app_jpegs request = { .avatar = avatar, .n = n, .frames = frames, .windows = windows };
	if (!answer->success)
		fail_msg("%s", answer->error);
	assert_ok(app_draw_jpegs(app, &request, expected, NULL, &err));
	assert_int_equal(answer->n_composited_frames, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(answer->composited_frames[i].len, expected[i].size);
		assert_memory_equal(answer->composited_frames[i].data, expected[i].data, expected[i].size);
		il_bytes_destroy(&expected[i]);
	}
}

/* From the last but one frame of 75, in the pack's own order: round and round. */
static void test_features(void **state)
{
	const size_t floats = window_floats("anna", NULL);
	const int64_t frames[] = { 73, 74, 0, 1, 2 };
	float *features = noise(5 * floats);
	const float *windows[5];
	(void)state;
	Compositing__CompositeBatchRequest request = COMPOSITING__COMPOSITE_BATCH_REQUEST__INIT;
	request.model_id = (char *)"anna";
	request.visual_frames = bytes_of("not looked at", 13);
	request.audio_features = bytes_of(features, 5 * floats * sizeof *features);
	request.batch_size = 5;
	request.start_frame_idx = 73;
	for (int i = 0; i < 5; i++)
		windows[i] = features + (size_t)i * floats;
	Compositing__CompositeBatchResponse *answer = composite(COMPOSITE, &request);
	assert_jpegs(answer, "anna", frames, windows, 5);
	assert_true(answer->inference_time_ms > 0 && answer->composite_time_ms > 0);
	assert_true(answer->total_time_ms >= answer->inference_time_ms + answer->composite_time_ms);
	compositing__composite_batch_response__free_unpacked(answer, NULL);

	request.audio_features.len /= 5;
	for (int i = 0; i < 5; i++)
		windows[i] = features;
	answer = composite(MONOLITHIC, &request);
	assert_jpegs(answer, "anna", frames, windows, 5);
	compositing__composite_batch_response__free_unpacked(answer, NULL);
	free(features);
}

static void test_sound(void **state)
{
	enum { N = 4, SAMPLES = 10240 };
	const size_t floats = window_floats("anna", NULL);
	const int64_t frames[N] = { 0, 1, 2, 3 };
	float *samples = noise(SAMPLES), *features = malloc(N * floats * sizeof *features);
	const float *windows[N];
	(void)state;
	Compositing__CompositeBatchRequest request = COMPOSITING__COMPOSITE_BATCH_REQUEST__INIT;
	request.model_id = (char *)"anna";
	request.raw_audio = bytes_of(samples, SAMPLES * sizeof *samples);
	request.audio_features = bytes_of("sound counts", 12);
	request.batch_size = N;
	request.sample_rate = 16000;
	assert_ok(app_encode_speech(app, "anna", samples, SAMPLES, N, floats, features, &err));
	for (int i = 0; i < N; i++)
		windows[i] = features + (size_t)i * floats;
	assert_ok(il_store_unload(app_store(app), "anna", &err));
	Compositing__CompositeBatchResponse *answer = composite(MONOLITHIC, &request);
	assert_jpegs(answer, "anna", frames, windows, N);
	assert_true(answer->model_loaded && answer->model_load_time_ms > 0 && answer->audio_processing_ms > 0);
	compositing__composite_batch_response__free_unpacked(answer, NULL);
	free(features);
	free(samples);
}

/* What is wrong is told in the answer. */
static void test_faults(void **state)
{
	const size_t floats = window_floats("anna", NULL);
	float *features = noise(floats);
	const struct {
		const char *id, *text;
		size_t size;
		int batch, start;
	} cases[] = {
		{ "", "model_id is required", floats * 4, 1, 0 },   { "nobody", "nobody", floats * 4, 1, 0 },
		{ "../anna", "unknown model", floats * 4, 1, 0 },   { "anna", "1 to 25", floats * 4, 26, 0 },
		{ "anna", "start_frame_idx", floats * 4, 1, -1 },   { "anna", "raw_audio", 0, 1, 0 },
		{ "anna", "audio_features", floats * 4 - 4, 1, 0 }, { "fault", "fault", floats * 4, 1, 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		Compositing__CompositeBatchRequest request = COMPOSITING__COMPOSITE_BATCH_REQUEST__INIT;
		request.model_id = (char *)cases[i].id;
		request.audio_features = bytes_of(features, cases[i].size);
		request.batch_size = cases[i].batch;
		request.start_frame_idx = cases[i].start;
		Compositing__CompositeBatchResponse *answer = composite(COMPOSITE, &request);
		assert_false(answer->success);
		assert_int_equal(answer->n_composited_frames, 0);
		if (!strstr(answer->error, cases[i].text))
			fail_msg("\"%s\" lacks \"%s\"", answer->error, cases[i].text);
		compositing__composite_batch_response__free_unpacked(answer, NULL);
	}
	free(features);
}

/* Faults of transport end the call. */
static void test_no_message(void **state)
{
	static const char *const paths[] = { COMPOSITE,
		                             MONOLITHIC,
		                             INFER,
		                             "/compositing.CompositingService/LoadModel",
		                             "/monolithic.MonolithicService/LoadModel",
		                             "/inference.InferenceService/GetModelStats" };
	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct rpc_call broken = { .data = (const uint8_t *)"\xff\xff", .size = 2 }, empty = { 0 };
		assert_int_equal(call_bytes(paths[i], &broken), INLAY_ERR_FORMAT);
		assert_int_equal(call_bytes(paths[i], &empty), INLAY_ERR_INVALID);
		assert_null(broken.reply);
	}
}

static void test_cancelled(void **state)
{
	const size_t floats = window_floats("anna", NULL);
	float *features = noise(floats);
	uint8_t *data = malloc(floats * 4 + 100);
	(void)state;
	Compositing__CompositeBatchRequest request = COMPOSITING__COMPOSITE_BATCH_REQUEST__INIT;
	request.model_id = (char *)"anna";
	request.audio_features = bytes_of(features, floats * 4);
	request.batch_size = 25;
	struct rpc_call c = { .data = data, .size = protobuf_c_message_pack(&request.base, data), .cancelled = true };
	assert_int_equal(call_bytes(COMPOSITE, &c), INLAY_ERR_CANCELLED);
	assert_null(c.reply);
	free(data);
	free(features);
}

/* Pictures made of frame 9's face give the mouth of frame 9. */
static void test_infer(void **state)
{
	int size;
	const size_t floats = window_floats("anna", &size), pixels = (size_t)size * (size_t)size;
	float *features = noise(floats), *pictures = malloc(2 * 6 * pixels * sizeof *pictures);
	const float *windows[] = { features, features };
	const int64_t frames[] = { 9, 9 };
	uint8_t *crop = malloc((size_t)(size + 8) * (size_t)(size + 8) * 3), *mouths;
	struct il_lease *lease;
	struct il_place *place;
	(void)state;
	assert_ok(app_actor(app, "anna", &lease, &err));
	assert_ok(il_actor_crop(il_lease_loaded(lease), 9, size, crop, &err));
	il_lease_return(&lease);
	assert_ok(il_place_create(&place, size, IL_INTERP_LINEAR, &err));
	for (size_t i = 0; i < 2; i++)
		il_place_picture(place, crop, pictures + i * 6 * pixels);
	il_place_destroy(&place);
	const struct app_jpegs own = { .avatar = "anna", .n = 2, .frames = frames, .windows = windows };
	assert_ok(app_draw_mouths(app, &own, &mouths, &size, NULL, &err));

	Inference__InferBatchRequest request = INFERENCE__INFER_BATCH_REQUEST__INIT;
	request.model_id = (char *)"anna";
	request.visual_frames = bytes_of(pictures, 2 * 6 * pixels * sizeof *pictures);
	request.audio_features = bytes_of(features, floats * sizeof *features);
	request.batch_size = 2;
	Inference__InferBatchResponse *answer =
		call(INFER, &request.base, &inference__infer_batch_response__descriptor);
	assert_true(answer->success);
	assert_int_equal(answer->n_outputs, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(answer->outputs[i]->data.len, 3 * pixels * 4);
		for (size_t k = 0; k < 3 * pixels; k++) {
			float value;
			memcpy(&value, answer->outputs[i]->data.data + 4 * k, 4);
			const uint8_t mouth = mouths[i * 3 * pixels + k % pixels * 3 + k / pixels];
			assert_true(fabsf(value * 255 - mouth) < 0.001f);
		}
	}
	inference__infer_batch_response__free_unpacked(answer, NULL);

	request.model_id = (char *)"bert";
	answer = call(INFER, &request.base, &inference__infer_batch_response__descriptor);
	assert_false(answer->success);
	assert_non_null(strstr(answer->error, "compiled"));
	inference__infer_batch_response__free_unpacked(answer, NULL);
	request.visual_frames.len = 0;
	answer = call(INFER, &request.base, &inference__infer_batch_response__descriptor);
	assert_true(answer->success);
	assert_int_equal(answer->n_outputs, 2);
	inference__infer_batch_response__free_unpacked(answer, NULL);
	free(mouths);
	free(crop);
	free(pictures);
	free(features);
}

/* ---- models ---- */

static void test_compositing_models(void **state)
{
	Compositing__ListModelsRequest all = COMPOSITING__LIST_MODELS_REQUEST__INIT;
	Compositing__LoadModelRequest load = COMPOSITING__LOAD_MODEL_REQUEST__INIT;
	Compositing__UnloadModelRequest unload = COMPOSITING__UNLOAD_MODEL_REQUEST__INIT;
	Compositing__GetModelStatsRequest stats = COMPOSITING__GET_MODEL_STATS_REQUEST__INIT;
	(void)state;
	load.model_id = (char *)"anna";
	load.force_reload = true;
	Compositing__LoadModelResponse *loaded = call("/compositing.CompositingService/LoadModel", &load.base,
	                                              &compositing__load_model_response__descriptor);
	assert_true(loaded->success && loaded->load_time_ms > 0);
	assert_true(loaded->stats->memory_bytes > 0 && loaded->stats->loaded_unix_ms > 0);
	compositing__load_model_response__free_unpacked(loaded, NULL);

	Compositing__ListModelsResponse *list = call("/compositing.CompositingService/ListModels", &all.base,
	                                             &compositing__list_models_response__descriptor);
	assert_int_equal(list->n_models, 3);
	static const char *const names[] = { "anna", "bert", "fault" };
	for (int i = 0; i < 3; i++)
		assert_string_equal(list->models[i]->model_id, names[i]);
	assert_true(list->models[0]->loaded);
	assert_true(list->models[0]->stats->usage_count > 0);
	assert_true(list->models[0]->stats->total_inference_time_ms > 0);
	assert_false(list->models[2]->loaded);
	assert_non_null(strstr(list->models[1]->model_path, "bert.inlay"));
	compositing__list_models_response__free_unpacked(list, NULL);

	unload.model_id = (char *)"anna";
	Compositing__UnloadModelResponse *unloaded = call("/compositing.CompositingService/UnloadModel", &unload.base,
	                                                  &compositing__unload_model_response__descriptor);
	assert_true(unloaded->success);
	compositing__unload_model_response__free_unpacked(unloaded, NULL);
	unload.model_id = (char *)"nobody";
	unloaded = call("/monolithic.MonolithicService/UnloadModel", &unload.base,
	                &compositing__unload_model_response__descriptor);
	assert_false(unloaded->success);
	assert_non_null(strstr(unloaded->error, "nobody"));
	compositing__unload_model_response__free_unpacked(unloaded, NULL);

	stats.model_id = (char *)"anna";
	Compositing__GetModelStatsResponse *found = call("/compositing.CompositingService/GetModelStats", &stats.base,
	                                                 &compositing__get_model_stats_response__descriptor);
	assert_int_equal(found->n_models, 1);
	assert_false(found->models[0]->loaded);
	assert_int_equal(found->max_models, 3);
	assert_int_equal(found->max_memory_bytes, (int64_t)1 << 30);
	compositing__get_model_stats_response__free_unpacked(found, NULL);
	struct rpc_call unknown = { .data = (const uint8_t *)"\x0a\x06nobody", .size = 8 };
	assert_int_equal(call_bytes("/compositing.CompositingService/GetModelStats", &unknown), INLAY_ERR_NOT_FOUND);
}

static void test_monolithic_models(void **state)
{
	Monolithic__LoadModelRequest load = MONOLITHIC__LOAD_MODEL_REQUEST__INIT;
	Monolithic__ListModelsRequest all = MONOLITHIC__LIST_MODELS_REQUEST__INIT;
	Monolithic__GetModelStatsRequest stats = MONOLITHIC__GET_MODEL_STATS_REQUEST__INIT;
	(void)state;
	load.model_id = (char *)"fault";
	load.preferred_gpu = -1;
	Monolithic__LoadModelResponse *loaded = call("/monolithic.MonolithicService/LoadModel", &load.base,
	                                             &monolithic__load_model_response__descriptor);
	assert_false(loaded->success);
	assert_true(strlen(loaded->error) > 0);
	monolithic__load_model_response__free_unpacked(loaded, NULL);
	load.model_id = (char *)"anna";
	loaded = call("/monolithic.MonolithicService/LoadModel", &load.base,
	              &monolithic__load_model_response__descriptor);
	assert_true(loaded->success);
	monolithic__load_model_response__free_unpacked(loaded, NULL);

	Monolithic__ListModelsResponse *list = call("/monolithic.MonolithicService/ListModels", &all.base,
	                                            &monolithic__list_models_response__descriptor);
	assert_int_equal(list->n_models, 3);
	assert_true(list->models[0]->loaded && list->models[0]->request_count > 0);
	assert_true(list->models[0]->avg_inference_ms > 0);
	monolithic__list_models_response__free_unpacked(list, NULL);

	Monolithic__GetModelStatsResponse *found = call("/monolithic.MonolithicService/GetModelStats", &stats.base,
	                                                &monolithic__get_model_stats_response__descriptor);
	assert_true(found->n_models >= 1 && found->n_models <= 2);
	assert_string_equal(found->models[0]->model_id, "anna");
	assert_true(found->models[0]->last_used_timestamp > 1600000000);
	monolithic__get_model_stats_response__free_unpacked(found, NULL);
}

static void test_inference_models(void **state)
{
	Inference__GetModelStatsRequest stats = INFERENCE__GET_MODEL_STATS_REQUEST__INIT;
	Inference__ListModelsRequest all = INFERENCE__LIST_MODELS_REQUEST__INIT;
	(void)state;
	Inference__ListModelsResponse *list =
		call("/inference.InferenceService/ListModels", &all.base, &inference__list_models_response__descriptor);
	assert_int_equal(list->n_models, 3);
	assert_string_equal(list->models[2]->model_id, "fault");
	inference__list_models_response__free_unpacked(list, NULL);
	stats.model_id = (char *)"bert";
	Inference__GetModelStatsResponse *found = call("/inference.InferenceService/GetModelStats", &stats.base,
	                                               &inference__get_model_stats_response__descriptor);
	assert_int_equal(found->n_models, 1);
	assert_int_equal(found->models[0]->stats->usage_count, 1); /* of test_infer */
	inference__get_model_stats_response__free_unpacked(found, NULL);
}

static void test_health(void **state)
{
	Compositing__HealthRequest request = COMPOSITING__HEALTH_REQUEST__INIT;
	(void)state;
	Compositing__HealthResponse *one = call("/compositing.CompositingService/Health", &request.base,
	                                        &compositing__health_response__descriptor);
	assert_true(one->healthy && one->inference_server_healthy);
	assert_string_equal(one->inference_server_url, "");
	assert_true(strlen(one->version) > 0);
	compositing__health_response__free_unpacked(one, NULL);
	Monolithic__HealthResponse *two =
		call("/monolithic.MonolithicService/Health", &request.base, &monolithic__health_response__descriptor);
	assert_true(two->healthy);
	assert_int_equal(two->max_models, 3);
	monolithic__health_response__free_unpacked(two, NULL);
	Inference__HealthResponse *three =
		call("/inference.InferenceService/Health", &request.base, &inference__health_response__descriptor);
	assert_true(three->healthy);
	assert_int_equal(three->gpu_count, 0);
	inference__health_response__free_unpacked(three, NULL);
}

static int open_app(void **state)
{
	(void)state;
	folder = test_scratch("avatars");
	test_avatars(folder);
	config = test_config(folder);
	assert_ok(app_create(&app, &config, &err));
	assert_int_equal(origin_methods(app, methods, 17), 0);
	n_methods = origin_methods(app, methods, sizeof methods / sizeof *methods);
	assert_int_equal(n_methods, 18);
	return 0;
}

static int close_app(void **state)
{
	(void)state;
	app_destroy(&app);
	test_remove(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_no_message),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_infer),
		cmocka_unit_test(test_compositing_models),
		cmocka_unit_test(test_monolithic_models),
		cmocka_unit_test(test_inference_models),
		cmocka_unit_test(test_health),
	};
	return cmocka_run_group_tests(tests, open_app, close_app);
}
