/* The operator Block. */
#include <stdlib.h>
#include <string.h>

#include "infer/fused_impl.h"
#include "kernel/block.h"

enum { X, SKIP, ADDED, N_INPUTS };
enum { EXPAND_W, SKIP_W, EXPAND_B, DEPTHWISE_W, DEPTHWISE_B, PROJECT_W, PROJECT_B, N_WEIGHTS };

#define HALF ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16

struct kernel {
	const OrtApi *api;
	const struct il_block *block; /* shared */
	struct il_head *head;         /* NULL: there is none */
	int in, skip, mid, out, mid_h, mid_w;
	enum il_block_resize resize;
	ONNXTensorElementDataType skip_type, added_type; /* 0: there is none */
	struct il_fused_scratch *scratch;
	unsigned threads;
};

/* ---- making ---- */

static OrtStatus *read_weights(const struct kernel *k, const struct il_fused_op *op, const OrtKernelInfo *info,
                               struct il_block_params *p)
{
	int64_t at[N_WEIGHTS];
	const int64_t counts[N_WEIGHTS] = { (int64_t)p->mid * p->in,
		                            (int64_t)p->mid * p->skip,
		                            p->mid,
		                            (int64_t)p->mid * 9,
		                            p->mid,
		                            (int64_t)p->out * p->mid,
		                            p->out };
	const float **const places[N_WEIGHTS] = { &p->expand_w,    &p->skip_w,    &p->expand_b, &p->depthwise_w,
		                                  &p->depthwise_b, &p->project_w, &p->project_b };
	OrtStatus *status = il_fused_ints(k->api, info, "weights", at, N_WEIGHTS);
	for (int i = 0; i < N_WEIGHTS && !status; i++)
		status = il_fused_weights(k->api, op, at[i], counts[i], places[i]);
	return status;
}

/* An element type that the kernels take, or none. */
static bool is_number(int64_t type)
{
	return !type || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || type == HALF;
}

static OrtStatus *read_attributes(struct kernel *k, const OrtKernelInfo *info, struct il_block_params *p)
{
	static const char *const resizes[] = { [IL_BLOCK_SAME] = "none",
		                               [IL_BLOCK_ALIGN_CORNERS] = "align_corners",
		                               [IL_BLOCK_HALF_PIXEL] = "half_pixel" };
	int64_t stride, residual, skip, added, size[2], channels[4];
	char word[32];
	size_t length = sizeof word;
	OrtStatus *status = k->api->KernelInfoGetAttribute_int64(info, "stride", &stride);
	if (!status)
		status = k->api->KernelInfoGetAttribute_int64(info, "residual", &residual);
	if (!status)
		status = k->api->KernelInfoGetAttribute_int64(info, "skip", &skip);
	if (!status)
		status = k->api->KernelInfoGetAttribute_int64(info, "added", &added);
	if (!status)
		status = il_fused_ints(k->api, info, "size", size, 2);
	if (!status)
		status = il_fused_ints(k->api, info, "channels", channels, 4);
	if (!status)
		status = k->api->KernelInfoGetAttribute_string(info, "resize", word, &length);
	if (status)
		return status;
	for (int i = 0; i < 4; i++) {
		if (channels[i] < (i == 1 ? 0 : 1) || channels[i] > 1 << 16)
			return k->api->CreateStatus(ORT_INVALID_ARGUMENT, "Block: channels out of range");
	}
	p->in = (int)channels[0];
	p->skip = (int)channels[1];
	p->mid = (int)channels[2];
	p->out = (int)channels[3];
	if (stride < 1 || stride > 2 || size[0] < 1 || size[1] < 1 || size[0] > 1 << 16 || size[1] > 1 << 16)
		return k->api->CreateStatus(ORT_INVALID_ARGUMENT, "Block: attributes out of range");
	p->stride = (int)stride;
	p->residual = residual != 0;
	for (unsigned i = 0; i < sizeof resizes / sizeof *resizes; i++)
		p->resize = strcmp(word, resizes[i]) ? p->resize : (enum il_block_resize)i;
	if (!is_number(skip) || !is_number(added) || !skip != !p->skip || size[0] * size[1] >= INT32_MAX)
		return k->api->CreateStatus(ORT_INVALID_ARGUMENT, "Block: attributes out of range");
	k->skip_type = (ONNXTensorElementDataType)skip;
	k->added_type = (ONNXTensorElementDataType)added;
	p->skip_type = skip == HALF ? IL_FLOAT16 : IL_FLOAT32;
	p->added = !added ? IL_BLOCK_NOTHING_ADDED : added == HALF ? IL_BLOCK_HALF_ADDED : IL_BLOCK_FLOAT_ADDED;
	k->mid_h = (int)size[0];
	k->mid_w = (int)size[1];
	return NULL;
}

static void ORT_API_CALL destroy(void *kernel)
{
	struct kernel *k = kernel;
	free(k);
}

static OrtStatus *ORT_API_CALL create(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info,
                                      void **kernel)
{
	const struct il_fused_op *fused = (const struct il_fused_op *)op;
	struct il_block_params params = { 0 };
	struct inlay_error err = { 0 };
	struct kernel *k = calloc(1, sizeof *k);
	if (!k)
		return api->CreateStatus(ORT_FAIL, "out of memory");
	k->api = api;
	OrtStatus *status = read_attributes(k, info, &params);
	if (!status)
		status = read_weights(k, fused, info, &params);
	if (!status && il_fused_blocks_get(&k->block, fused->blocks, &params, &err))
		status = api->CreateStatus(ORT_INVALID_ARGUMENT, err.text);
	k->in = params.in;
	k->skip = params.skip;
	k->mid = params.mid;
	k->out = params.out;
	k->resize = params.resize;
	k->threads = fused->threads;
	k->scratch = fused->scratch;
	if (status)
		destroy(k);
	else
		*kernel = k;
	return status;
}

/* ---- running ---- */

static OrtStatus *ORT_API_CALL compute(void *kernel, OrtKernelContext *context)
{
	struct kernel *k = kernel;
	struct il_fused_tensor x, skip = { 0 }, added = { 0 };
	const int64_t mid[] = { 1, k->mid_h, k->mid_w };
	OrtStatus *status = il_fused_input(k->api, context, X, k->in, k->resize == IL_BLOCK_SAME ? mid : NULL, &x);
	if (!status && k->skip)
		status = il_fused_input(k->api, context, SKIP, k->skip, mid, &skip);
	if (!status && k->added_type)
		status = il_fused_input(k->api, context, ADDED, k->mid, mid, &added);
	if (!status && (skip.type != k->skip_type || added.type != k->added_type))
		status = k->api->CreateStatus(ORT_INVALID_ARGUMENT, "Block: an input of another type");
	if (status)
		return status;
	int height = il_block_out(k->block, k->mid_h), width = il_block_out(k->block, k->mid_w);
	const int64_t dims[] = { 1, height, width, il_block_stride(k->out) };
	void *y;
	status = il_fused_output(k->api, context, dims, &y);
	if (!status && !il_fused_scratch_reserve(k->scratch, il_block_scratch(k->block, x.height, x.width, k->mid_h,
	                                                                      k->mid_w, k->threads)))
		status = k->api->CreateStatus(ORT_FAIL, "out of memory");
	if (status)
		return status;
	const struct il_block_io io = { .x = x.data,
		                        .in_h = x.height,
		                        .in_w = x.width,
		                        .skip = skip.data,
		                        .added = added.data,
		                        .mid_h = k->mid_h,
		                        .mid_w = k->mid_w,
		                        .y = y };
	struct il_fused_pool pool = { k->api, context, NULL };
	const struct il_parallel parallel = { k->threads, il_fused_parallel, &pool };
	il_block_run(k->block, &io, k->scratch->memory, &parallel);
	return pool.status;
}

/* ---- what the runtime asks ---- */

static const char *ORT_API_CALL name(const OrtCustomOp *op)
{
	(void)op;
	return "Block";
}

static ONNXTensorElementDataType ORT_API_CALL input_type(const OrtCustomOp *op, size_t i)
{
	(void)op;
	return i == X ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT : ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

static size_t ORT_API_CALL inputs(const OrtCustomOp *op)
{
	(void)op;
	return N_INPUTS;
}

static OrtCustomOpInputOutputCharacteristic ORT_API_CALL input_kind(const OrtCustomOp *op, size_t i)
{
	(void)op;
	return i == X ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
}

const OrtCustomOp il_fused_block = {
	IL_FUSED_OP,
	.GetName = name,
	.GetInputType = input_type,
	.GetInputTypeCount = inputs,
	.GetOutputType = il_fused_float,
	.GetInputCharacteristic = input_kind,
	.CreateKernelV2 = create,
	.KernelComputeV2 = compute,
	.KernelDestroy = destroy,
};
