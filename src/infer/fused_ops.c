#include "infer/fused_ops.h"

#include <stdlib.h>
#include <string.h>

#include "infer/fuse.h"
#include "infer/fused_impl.h"

#define OPS 4

struct il_fused_ops {
	const OrtApi *api;
	OrtCustomOpDomain *domain;
	struct il_fused_op ops[OPS];
	struct il_fused_scratch scratch;
	struct il_fused_blocks *own; /* NULL: they are shared */
};

/* ---- the domain ---- */

enum inlay_err il_fused_ops_create(struct il_fused_ops **out, const struct il_runtime *rt, unsigned threads,
                                   const float *weights, size_t weight_count, struct il_fused_blocks *blocks,
                                   struct inlay_error *err)
{
	const OrtCustomOp *const all[OPS] = { &il_fused_block, &il_fused_head, &il_fused_channels_last,
		                              &il_fused_channels_first };
	struct il_fused_ops *ops = calloc(1, sizeof *ops);
	if (!ops)
		return il_fail_memory(err);
	ops->api = rt->api;
	enum inlay_err rc = blocks ? INLAY_OK : il_fused_blocks_create(&ops->own, err);
	if (rc) {
		free(ops);
		return rc;
	}
	OrtStatus *status = rt->api->CreateCustomOpDomain(IL_FUSED_DOMAIN, &ops->domain);
	for (int i = 0; i < OPS && !status; i++) {
		ops->ops[i] = (struct il_fused_op){ *all[i], &ops->scratch, blocks ? blocks : ops->own,
			                            threads, weights,       weight_count };
		status = rt->api->CustomOpDomain_Add(ops->domain, &ops->ops[i].op);
	}
	if (status) {
		il_fused_ops_destroy(&ops);
		return il_runtime_fail(rt, status, err, INLAY_ERR_UNSUPPORTED, "fused operators");
	}
	*out = ops;
	return INLAY_OK;
}

OrtStatus *il_fused_ops_register(const struct il_fused_ops *ops, OrtSessionOptions *options)
{
	return ops->api->AddCustomOpDomain(options, ops->domain);
}

void il_fused_ops_destroy(struct il_fused_ops **slot)
{
	struct il_fused_ops *ops = *slot;
	*slot = NULL;
	if (!ops)
		return;
	ops->api->ReleaseCustomOpDomain(ops->domain);
	il_fused_blocks_destroy(&ops->own);
	free(ops->scratch.memory);
	free(ops);
}

/* ---- what operators share ---- */

bool il_fused_scratch_reserve(struct il_fused_scratch *scratch, size_t bytes)
{
	if (bytes <= scratch->bytes)
		return true;
	free(scratch->memory);
	scratch->memory = malloc(bytes);
	scratch->bytes = scratch->memory ? bytes : 0;
	return scratch->memory != NULL;
}

ONNXTensorElementDataType ORT_API_CALL il_fused_float(const OrtCustomOp *op, size_t i)
{
	(void)op, (void)i;
	return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

OrtCustomOpInputOutputCharacteristic ORT_API_CALL il_fused_required(const OrtCustomOp *op, size_t i)
{
	(void)op, (void)i;
	return INPUT_OUTPUT_REQUIRED;
}

const char *ORT_API_CALL il_fused_provider(const OrtCustomOp *op)
{
	(void)op;
	return NULL; /* the processor */
}

size_t ORT_API_CALL il_fused_one(const OrtCustomOp *op)
{
	(void)op;
	return 1;
}

OrtMemType ORT_API_CALL il_fused_memory(const OrtCustomOp *op, size_t i)
{
	(void)op, (void)i;
	return OrtMemTypeDefault;
}

int ORT_API_CALL il_fused_version(const OrtCustomOp *op)
{
	(void)op;
	return IL_FUSED_VERSION;
}

/* Type and dims of a tensor, at most `rank` of them; *found is how many there are. */
static OrtStatus *describe(const OrtApi *api, const OrtValue *value, ONNXTensorElementDataType *type, int64_t *dims,
                           size_t rank, size_t *found)
{
	OrtTensorTypeAndShapeInfo *info = NULL;
	OrtStatus *status = api->GetTensorTypeAndShape(value, &info);
	if (!status)
		status = api->GetTensorElementType(info, type);
	if (!status)
		status = api->GetDimensionsCount(info, found);
	if (!status && *found <= rank)
		status = api->GetDimensions(info, dims, *found);
	api->ReleaseTensorTypeAndShapeInfo(info);
	return status;
}

OrtStatus *il_fused_ints(const OrtApi *api, const OrtKernelInfo *info, const char *name, int64_t *values, size_t n)
{
	size_t found = n;
	OrtStatus *status = api->KernelInfoGetAttributeArray_int64(info, name, values, &found);
	return status || found == n ? status
	                            : api->CreateStatus(ORT_INVALID_ARGUMENT, "an attribute of another length");
}

OrtStatus *il_fused_weights(const OrtApi *api, const struct il_fused_op *op, int64_t at, int64_t count,
                            const float **data)
{
	*data = NULL;
	if (at == -1)
		return NULL;
	if (at < 0 || count < 0 || (size_t)at > op->weight_count || (size_t)count > op->weight_count - (size_t)at)
		return api->CreateStatus(
			ORT_INVALID_ARGUMENT,
			"the weights of a fused network are missing, or not those it was compiled with");
	*data = op->weights + at;
	return NULL;
}

/* Input i: 4 dims, batch 1, sides below 65536. */
static OrtStatus *get_input(const OrtApi *api, OrtKernelContext *context, size_t i, int64_t dims[4],
                            ONNXTensorElementDataType *type, const void **data)
{
	const OrtValue *value = NULL;
	size_t rank = 0;
	OrtStatus *status = api->KernelContext_GetInput(context, i, &value);
	if (status)
		return status;
	if (!value)
		return api->CreateStatus(ORT_INVALID_ARGUMENT, "an input is missing");
	status = describe(api, value, type, dims, 4, &rank);
	if (status)
		return status;
	if (rank != 4 || dims[0] != 1)
		return api->CreateStatus(ORT_INVALID_ARGUMENT, "expected an input of four dimensions, the first 1");
	for (int k = 1; k < 4; k++) {
		if (dims[k] < 1 || dims[k] > 1 << 16)
			return api->CreateStatus(ORT_INVALID_ARGUMENT, "an input is too large, or empty");
	}
	return api->GetTensorMutableData((OrtValue *)value, (void **)data);
}

OrtStatus *il_fused_plain_input(const OrtApi *api, OrtKernelContext *context, size_t i, int64_t dims[4],
                                const float **data)
{
	ONNXTensorElementDataType type;
	return get_input(api, context, i, dims, &type, (const void **)data);
}

OrtStatus *il_fused_input(const OrtApi *api, OrtKernelContext *context, size_t i, int channels, const int64_t *size,
                          struct il_fused_tensor *tensor)
{
	int64_t dims[4];
	OrtStatus *status = get_input(api, context, i, dims, &tensor->type, &tensor->data);
	if (status)
		return status;
	if (dims[3] != il_block_stride(channels) || (size && memcmp(size, dims, 3 * sizeof *dims) != 0))
		return api->CreateStatus(ORT_INVALID_ARGUMENT,
		                         "an input does not have the channels or the size expected");
	tensor->height = (int)dims[1];
	tensor->width = (int)dims[2];
	return NULL;
}

OrtStatus *il_fused_output(const OrtApi *api, OrtKernelContext *context, const int64_t *dims, void **data)
{
	OrtValue *value = NULL;
	OrtStatus *status = api->KernelContext_GetOutput(context, 0, dims, 4, &value);
	return status ? status : api->GetTensorMutableData(value, data);
}

struct tasks {
	void (*fn)(void *ctx, unsigned task);
	void *ctx;
};

static void run_fused_task(void *ctx, size_t task)
{
	const struct tasks *tasks = ctx;
	tasks->fn(tasks->ctx, (unsigned)task);
}

void il_fused_parallel(void *ctx, unsigned tasks, void (*fn)(void *ctx, unsigned task), void *task_ctx)
{
	struct il_fused_pool *pool = ctx;
	if (!pool->status)
		pool->status = pool->api->KernelContext_ParallelFor(pool->context, run_fused_task, tasks, 0,
		                                                    &(struct tasks){ fn, task_ctx });
}
