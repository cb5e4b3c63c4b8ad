/* inference.GRPCInferenceService: KServe v2 on gRPC. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "inlay/version.h"
#include "server/buffers.h"
#include "server/rpc/kserve.pb-c.h"
#include "server/rpc/kserve_impl.h"
#include "server/rpc/services.h"

#define SERVICE "/inference.GRPCInferenceService/"
#define SMALL ((size_t)4 << 20)   /* bytes that a message without tensors may take, unpacked */
#define INDEX ((size_t)256 << 20) /* and an answer about all models */
#define REGIONS 1024

/* A unary call with its messages. */
struct small {
	struct rpc_call *call;
	struct arena arena; /* of request and answer */
	struct inlay_error *err;
};

static void begin(struct small *small, struct rpc_call *call, size_t limit, struct inlay_error *err)
{
	*small = (struct small){ .call = call, .err = err };
	arena_init(&small->arena, limit);
}

/* The request, or NULL with *rc. A call without a message is one with an empty message. */
static void *request_of(struct small *small, const ProtobufCMessageDescriptor *type, enum inlay_err *rc)
{
	const uint8_t *data = NULL;
	size_t size = 0;
	ProtobufCMessage *message = NULL;
	*rc = rpc_read(small->call, &data, &size, small->err);
	if (*rc == INLAY_EOF)
		size = 0;
	else if (*rc)
		return NULL;
	*rc = message_unpack(&message, type, data, size, &small->arena, small->err);
	return message;
}

static enum inlay_err send(struct small *small, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *data = buffer_take(size);
	if (!data)
		return il_fail_memory(small->err);
	protobuf_c_message_pack(message, data);
	enum inlay_err rc = rpc_write(small->call, data, size, small->err);
	buffer_return(data);
	return rc;
}

static enum inlay_err end(struct small *small, enum inlay_err rc)
{
	arena_destroy(&small->arena);
	return rc;
}

#define REQUEST(type, name) Inference__##type *request = request_of(&small, &inference__##name##__descriptor, &rc)

/* ---- the server ---- */

static enum inlay_err server_live(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	(void)ctx;
	enum inlay_err rc;
	struct small small;
	begin(&small, call, SMALL, err);
	REQUEST(ServerLiveRequest, server_live_request);
	Inference__ServerLiveResponse answer = INFERENCE__SERVER_LIVE_RESPONSE__INIT;
	answer.live = true;
	return end(&small, request ? send(&small, &answer.base) : rc);
}

static enum inlay_err server_ready(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	enum inlay_err rc;
	struct small small;
	begin(&small, call, SMALL, err);
	REQUEST(ServerReadyRequest, server_ready_request);
	Inference__ServerReadyResponse answer = INFERENCE__SERVER_READY_RESPONSE__INIT;
	char why[256];
	answer.ready = request && app_ready(ctx, why, sizeof why);
	return end(&small, request ? send(&small, &answer.base) : rc);
}

static enum inlay_err server_metadata(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	enum inlay_err rc;
	struct small small;
	begin(&small, call, SMALL, err);
	REQUEST(ServerMetadataRequest, server_metadata_request);
	Inference__ServerMetadataResponse answer = INFERENCE__SERVER_METADATA_RESPONSE__INIT;
	answer.name = KSERVE_SERVER;
	answer.version = (char *)inlay_version();
	answer.extensions = (char **)kserve_extensions(ctx);
	while (answer.extensions[answer.n_extensions])
		answer.n_extensions++;
	return end(&small, request ? send(&small, &answer.base) : rc);
}

/* ---- models ---- */

static enum inlay_err model_ready(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	enum inlay_err rc;
	struct small small;
	begin(&small, call, SMALL, err);
	REQUEST(ModelReadyRequest, model_ready_request);
	Inference__ModelReadyResponse answer = INFERENCE__MODEL_READY_RESPONSE__INIT;
	answer.ready = request && kserve_model_ready(ctx, request->name, request->version);
	return end(&small, request ? send(&small, &answer.base) : rc);
}

static enum inlay_err send_metadata(struct small *small, const struct kserve_model *model)
{
	struct kserve_tensor tensors[3];
	Inference__ModelMetadataResponse__TensorMetadata all[3], *list[3];
	kserve_model_tensors(model, tensors);
	for (int i = 0; i < 3; i++) {
		inference__model_metadata_response__tensor_metadata__init(&all[i]);
		all[i].name = (char *)tensors[i].name;
		all[i].datatype = (char *)tensors[i].datatype;
		all[i].n_shape = tensors[i].dims;
		all[i].shape = tensors[i].shape;
		list[i] = &all[i];
	}
	char *versions[] = { KSERVE_VERSION };
	Inference__ModelMetadataResponse answer = INFERENCE__MODEL_METADATA_RESPONSE__INIT;
	answer.name = (char *)model->name;
	answer.platform = KSERVE_PLATFORM;
	answer.versions = versions;
	answer.n_versions = 1;
	answer.inputs = list;
	answer.n_inputs = 2;
	answer.outputs = list + 2;
	answer.n_outputs = 1;
	return send(small, &answer.base);
}

static enum inlay_err model_metadata(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	enum inlay_err rc;
	struct small small;
	struct kserve_model model;
	begin(&small, call, SMALL, err);
	REQUEST(ModelMetadataRequest, model_metadata_request);
	if (request)
		rc = kserve_model_open(&model, ctx, request->name, request->version, err);
	if (!rc) {
		rc = send_metadata(&small, &model);
		kserve_model_close(&model);
	}
	return end(&small, rc);
}

static Inference__DataType data_type(const char *name)
{
	return !strcmp(name, "INT32")  ? INFERENCE__DATA_TYPE__TYPE_INT32
	       : !strcmp(name, "FP32") ? INFERENCE__DATA_TYPE__TYPE_FP32
	                               : INFERENCE__DATA_TYPE__TYPE_UINT8;
}

static enum inlay_err send_config(struct small *small, const struct kserve_model *model)
{
	struct kserve_tensor tensors[3];
	Inference__ModelInput inputs[2], *input_list[] = { &inputs[0], &inputs[1] };
	Inference__ModelOutput output = INFERENCE__MODEL_OUTPUT__INIT, *output_list[] = { &output };
	kserve_model_tensors(model, tensors);
	for (int i = 0; i < 2; i++) {
		inference__model_input__init(&inputs[i]);
		inputs[i].name = (char *)tensors[i].name;
		inputs[i].data_type = data_type(tensors[i].datatype);
		inputs[i].n_dims = tensors[i].dims;
		inputs[i].dims = tensors[i].shape;
	}
	output.name = (char *)tensors[2].name;
	output.data_type = data_type(tensors[2].datatype);
	output.n_dims = tensors[2].dims;
	output.dims = tensors[2].shape;
	Inference__ModelConfig config = INFERENCE__MODEL_CONFIG__INIT;
	config.name = (char *)model->name;
	config.platform = config.backend = KSERVE_PLATFORM;
	config.input = input_list;
	config.n_input = 2;
	config.output = output_list;
	config.n_output = 1;
	Inference__ModelConfigResponse answer = INFERENCE__MODEL_CONFIG_RESPONSE__INIT;
	answer.config = &config;
	return send(small, &answer.base);
}

static enum inlay_err model_config(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	enum inlay_err rc;
	struct small small;
	struct kserve_model model;
	begin(&small, call, SMALL, err);
	REQUEST(ModelConfigRequest, model_config_request);
	if (request)
		rc = kserve_model_open(&model, ctx, request->name, request->version, err);
	if (!rc) {
		rc = send_config(&small, &model);
		kserve_model_close(&model);
	}
	return end(&small, rc);
}

/* ---- inference ---- */

enum inlay_err kserve_draw_answer(struct kserve_answer *answer, struct kserve_call *parsed, struct app *app,
                                  struct rpc_call *call, bool stream, struct inlay_error *err)
{
	struct kserve_request *request = &parsed->request;
	request->client = rpc_peer(call);
	request->deadline_ns = rpc_deadline_ns(call);
	request->cancelled = rpc_cancelled;
	request->cancel_ctx = call;
	struct kserve_inference inference;
	enum inlay_err rc = kserve_begin(&inference, app, request, err);
	if (!rc)
		rc = kserve_answer_begin(answer, &inference, parsed->id, stream, err);
	if (!rc)
		rc = kserve_draw(&inference, answer->output, err);
	kserve_end(&inference);
	return rc;
}

static enum inlay_err model_infer(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	const uint8_t *data = NULL;
	size_t size = 0;
	enum inlay_err rc = rpc_read(call, &data, &size, err);
	if (rc)
		return rc == INLAY_EOF ? il_fail(err, INLAY_ERR_INVALID, "ModelInfer: expected a message") : rc;
	struct kserve_call parsed;
	struct kserve_answer answer = { 0 };
	rc = kserve_call_read(&parsed, data, size, err);
	if (!rc)
		rc = kserve_draw_answer(&answer, &parsed, ctx, call, false, err);
	if (!rc)
		rc = rpc_write(call, answer.data, answer.size, err);
	kserve_answer_clear(&answer);
	kserve_call_clear(&parsed);
	return rc;
}

/* ---- statistics ---- */

static Inference__StatisticDuration *duration(struct small *small, const struct kserve_duration *from)
{
	Inference__StatisticDuration *to = arena_alloc(&small->arena, sizeof *to);
	if (to) {
		inference__statistic_duration__init(to);
		to->count = from->count;
		to->ns = from->ns;
	}
	return to;
}

/* NULL: out of memory. */
static Inference__ModelStatistics *statistics(struct small *small, const struct kserve_stats *from)
{
	Inference__ModelStatistics *to = arena_alloc(&small->arena, sizeof *to);
	Inference__InferStatistics *infer = arena_alloc(&small->arena, sizeof *infer);
	if (!to || !infer)
		return NULL;
	inference__model_statistics__init(to);
	inference__infer_statistics__init(infer);
	to->name = (char *)from->name;
	to->version = KSERVE_VERSION;
	to->last_inference = from->last_unix_ms;
	to->inference_count = from->frames;
	to->execution_count = from->requests;
	to->inference_stats = infer;
	infer->success = duration(small, &from->success);
	infer->fail = duration(small, &from->fail);
	infer->compute_input = duration(small, &from->input);
	infer->compute_infer = duration(small, &from->infer);
	infer->compute_output = duration(small, &from->output);
	return infer->compute_output ? to : NULL;
}

static enum inlay_err send_statistics(struct small *small, const struct kserve_stats *stats, size_t n)
{
	Inference__ModelStatisticsResponse answer = INFERENCE__MODEL_STATISTICS_RESPONSE__INIT;
	answer.model_stats = arena_alloc(&small->arena, (n + 1) * sizeof(void *));
	for (; answer.model_stats && answer.n_model_stats < n; answer.n_model_stats++) {
		Inference__ModelStatistics *one = statistics(small, &stats[answer.n_model_stats]);
		if (!one)
			return il_fail_memory(small->err);
		answer.model_stats[answer.n_model_stats] = one;
	}
	return answer.model_stats ? send(small, &answer.base) : il_fail_memory(small->err);
}

static enum inlay_err model_statistics(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	enum inlay_err rc;
	struct small small;
	struct kserve_stats *stats = NULL;
	size_t n = 0;
	begin(&small, call, INDEX, err);
	REQUEST(ModelStatisticsRequest, model_statistics_request);
	if (request)
		rc = kserve_stats_list(ctx, request->name, request->version, &stats, &n, err);
	if (!rc)
		rc = send_statistics(&small, stats, n);
	free(stats);
	return end(&small, rc);
}

/* ---- the repository ---- */

struct listing {
	struct small *small;
	Inference__RepositoryIndexResponse__ModelIndex **all;
	size_t count, room;
	enum inlay_err rc;
};

static bool add_model(void *ctx, const struct il_store_entry *entry)
{
	struct listing *listing = ctx;
	if (listing->count == listing->room) {
		size_t room = listing->room ? 2 * listing->room : 256;
		void *all = realloc(listing->all, room * sizeof *listing->all);
		if (!all) {
			listing->rc = il_fail_memory(listing->small->err);
			return false;
		}
		listing->all = all;
		listing->room = room;
	}
	struct arena *arena = &listing->small->arena;
	Inference__RepositoryIndexResponse__ModelIndex *model = arena_alloc(arena, sizeof *model);
	char *name = arena_string(arena, entry->id);
	if (!model || !name) {
		listing->rc = il_fail_memory(listing->small->err);
		return false;
	}
	inference__repository_index_response__model_index__init(model);
	model->name = name;
	model->version = KSERVE_VERSION;
	model->state = (char *)kserve_state(entry);
	model->reason = (char *)kserve_reason(entry);
	listing->all[listing->count++] = model;
	return true;
}

static enum inlay_err repository_index(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	enum inlay_err rc;
	struct small small;
	struct listing listing = { .small = &small };
	begin(&small, call, INDEX, err);
	REQUEST(RepositoryIndexRequest, repository_index_request);
	if (request) {
		kserve_index(ctx, request->ready, add_model, &listing);
		Inference__RepositoryIndexResponse answer = INFERENCE__REPOSITORY_INDEX_RESPONSE__INIT;
		answer.models = listing.all;
		answer.n_models = listing.count;
		rc = listing.rc ? listing.rc : send(&small, &answer.base);
	}
	free(listing.all);
	return end(&small, rc);
}

static enum inlay_err repository_model_load(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	enum inlay_err rc;
	struct small small;
	begin(&small, call, SMALL, err);
	REQUEST(RepositoryModelLoadRequest, repository_model_load_request);
	if (request && request->n_parameters)
		rc = il_fail(err, INLAY_ERR_UNSUPPORTED, "loading a model with parameters: expected none");
	else if (request)
		rc = kserve_load(ctx, request->repository_name, request->model_name, err);
	Inference__RepositoryModelLoadResponse answer = INFERENCE__REPOSITORY_MODEL_LOAD_RESPONSE__INIT;
	return end(&small, rc ? rc : send(&small, &answer.base));
}

static enum inlay_err repository_model_unload(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	enum inlay_err rc;
	struct small small;
	begin(&small, call, SMALL, err);
	REQUEST(RepositoryModelUnloadRequest, repository_model_unload_request);
	if (request)
		rc = kserve_unload(ctx, request->repository_name, request->model_name, err);
	Inference__RepositoryModelUnloadResponse answer = INFERENCE__REPOSITORY_MODEL_UNLOAD_RESPONSE__INIT;
	return end(&small, rc ? rc : send(&small, &answer.base));
}

/* ---- shared memory ---- */

typedef Inference__SystemSharedMemoryStatusResponse__RegionStatus RegionStatus;
typedef Inference__SystemSharedMemoryStatusResponse__RegionsEntry RegionsEntry;

static enum inlay_err send_regions(struct small *small, struct region_info *infos, size_t n)
{
	RegionStatus *status = arena_alloc(&small->arena, (n + 1) * sizeof *status);
	RegionsEntry *entries = arena_alloc(&small->arena, (n + 1) * sizeof *entries);
	RegionsEntry **list = arena_alloc(&small->arena, (n + 1) * sizeof *list);
	if (!status || !entries || !list)
		return il_fail_memory(small->err);
	for (size_t i = 0; i < n; i++) {
		inference__system_shared_memory_status_response__region_status__init(&status[i]);
		inference__system_shared_memory_status_response__regions_entry__init(&entries[i]);
		status[i].name = entries[i].key = infos[i].name;
		status[i].key = infos[i].key;
		status[i].offset = infos[i].offset;
		status[i].byte_size = infos[i].byte_size;
		entries[i].value = &status[i];
		list[i] = &entries[i];
	}
	Inference__SystemSharedMemoryStatusResponse answer = INFERENCE__SYSTEM_SHARED_MEMORY_STATUS_RESPONSE__INIT;
	answer.regions = list;
	answer.n_regions = n;
	return send(small, &answer.base);
}

static enum inlay_err memory_status(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	enum inlay_err rc;
	struct small small;
	struct regions *regions = NULL;
	begin(&small, call, SMALL, err);
	REQUEST(SystemSharedMemoryStatusRequest, system_shared_memory_status_request);
	if (request)
		rc = kserve_regions(ctx, &regions, err);
	struct region_info *infos = rc ? NULL : arena_alloc(&small.arena, REGIONS * sizeof *infos);
	if (!rc && !infos)
		rc = il_fail_memory(err);
	if (!rc)
		rc = send_regions(&small, infos, regions_list(regions, request->name, infos, REGIONS));
	return end(&small, rc);
}

static enum inlay_err memory_register(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	enum inlay_err rc;
	struct small small;
	begin(&small, call, SMALL, err);
	REQUEST(SystemSharedMemoryRegisterRequest, system_shared_memory_register_request);
	/* A name that is no text would make every later status an invalid message. */
	if (request && !(message_text_valid(request->name) && message_text_valid(request->key)))
		rc = il_fail(err, INLAY_ERR_INVALID, "shared memory: name or key: expected UTF-8");
	else if (request)
		rc = kserve_register(ctx, request->name, request->key, request->offset, request->byte_size, err);
	Inference__SystemSharedMemoryRegisterResponse answer = INFERENCE__SYSTEM_SHARED_MEMORY_REGISTER_RESPONSE__INIT;
	return end(&small, rc ? rc : send(&small, &answer.base));
}

static enum inlay_err memory_unregister(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	enum inlay_err rc;
	struct small small;
	struct regions *regions = NULL;
	begin(&small, call, SMALL, err);
	REQUEST(SystemSharedMemoryUnregisterRequest, system_shared_memory_unregister_request);
	if (request)
		rc = kserve_regions(ctx, &regions, err);
	if (!rc)
		rc = regions_unregister(regions, request->name, err);
	Inference__SystemSharedMemoryUnregisterResponse answer =
		INFERENCE__SYSTEM_SHARED_MEMORY_UNREGISTER_RESPONSE__INIT;
	return end(&small, rc ? rc : send(&small, &answer.base));
}

size_t kserve_methods(struct app *app, struct rpc_method *methods, size_t room)
{
	static const struct rpc_method all[] = {
		{ .path = SERVICE "ServerLive", .handle = server_live, .open = true },
		{ .path = SERVICE "ServerReady", .handle = server_ready, .open = true },
		{ .path = SERVICE "ServerMetadata", .handle = server_metadata },
		{ .path = SERVICE "ModelReady", .handle = model_ready },
		{ .path = SERVICE "ModelMetadata", .handle = model_metadata },
		{ .path = SERVICE "ModelConfig", .handle = model_config },
		{ .path = SERVICE "ModelInfer", .handle = model_infer },
		{ .path = SERVICE "ModelStreamInfer", .handle = kserve_stream_infer },
		{ .path = SERVICE "ModelStatistics", .handle = model_statistics },
		{ .path = SERVICE "RepositoryIndex", .handle = repository_index },
		{ .path = SERVICE "RepositoryModelLoad", .handle = repository_model_load },
		{ .path = SERVICE "RepositoryModelUnload", .handle = repository_model_unload },
		{ .path = SERVICE "SystemSharedMemoryStatus", .handle = memory_status },
		{ .path = SERVICE "SystemSharedMemoryRegister", .handle = memory_register },
		{ .path = SERVICE "SystemSharedMemoryUnregister", .handle = memory_unregister },
	};
	size_t n = sizeof all / sizeof *all;
	for (size_t i = 0; i < n && i < room; i++) {
		methods[i] = all[i];
		methods[i].ctx = app;
		methods[i].unary = methods[i].handle != kserve_stream_infer;
	}
	return n < room ? n : room;
}
