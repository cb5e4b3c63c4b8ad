/* The operators ChannelsLast, ChannelsFirst and Head. */
#include <stdlib.h>

#include "infer/fused_impl.h"
#include "kernel/channels.h"

#define PART 2048 /* pixels that a thread takes at a time */

struct kernel {
	const OrtApi *api;
	int channels;
	struct il_head *head;
};

static void ORT_API_CALL destroy(void *kernel)
{
	struct kernel *k = kernel;
	il_head_destroy(&k->head);
	free(k);
}

static struct kernel *make(const OrtApi *api)
{
	struct kernel *k = calloc(1, sizeof *k);
	if (k)
		k->api = api;
	return k;
}

static OrtStatus *out_of_memory(const OrtApi *api)
{
	return api->CreateStatus(ORT_FAIL, "out of memory");
}

/* A run over all pixels of a picture. */
struct run {
	struct il_channels picture;
	const struct il_head *head;
	void *drawn;
};

static OrtStatus *run_parts(const struct kernel *k, struct run *run, OrtKernelContext *context,
                            void (*fn)(void *run, unsigned part))
{
	struct il_fused_pool pool = { k->api, context, NULL };
	il_fused_parallel(&pool, (unsigned)((run->picture.pixels + PART - 1) / PART), fn, run);
	return pool.status;
}

static size_t part_pixels(const struct run *run, unsigned part)
{
	size_t begin = (size_t)part * PART;
	return run->picture.pixels - begin < PART ? run->picture.pixels - begin : PART;
}

/* ---- ChannelsLast ---- */

static OrtStatus *ORT_API_CALL create_last(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info,
                                           void **kernel)
{
	(void)op, (void)info;
	*kernel = make(api);
	return *kernel ? NULL : out_of_memory(api);
}

static void turn_last(void *ctx, unsigned part)
{
	const struct run *run = ctx;
	il_channels_last(&run->picture, (size_t)part * PART, part_pixels(run, part));
}

static OrtStatus *ORT_API_CALL compute_last(void *kernel, OrtKernelContext *context)
{
	const struct kernel *k = kernel;
	const float *planes;
	int64_t dims[4];
	OrtStatus *status = il_fused_plain_input(k->api, context, 0, dims, &planes);
	if (status)
		return status;
	struct run run = {
		.picture = { .channels = (int)dims[1], .pixels = (size_t)(dims[2] * dims[3]), .planes = (void *)planes }
	};
	const int64_t out[] = { 1, dims[2], dims[3], il_block_stride((int)dims[1]) };
	status = il_fused_output(k->api, context, out, &run.picture.last);
	return status ? status : run_parts(k, &run, context, turn_last);
}

/* ---- ChannelsFirst ---- */

static OrtStatus *ORT_API_CALL create_first(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info,
                                            void **kernel)
{
	struct kernel *k = make(api);
	int64_t channels;
	(void)op;
	if (!k)
		return out_of_memory(api);
	OrtStatus *status = api->KernelInfoGetAttribute_int64(info, "channels", &channels);
	if (!status && (channels < 1 || channels > 1 << 16))
		status = api->CreateStatus(ORT_INVALID_ARGUMENT, "ChannelsFirst: channels out of range");
	if (status) {
		destroy(k);
		return status;
	}
	k->channels = (int)channels;
	*kernel = k;
	return NULL;
}

static void turn_first(void *ctx, unsigned part)
{
	const struct run *run = ctx;
	il_channels_first(&run->picture, (size_t)part * PART, part_pixels(run, part));
}

static struct run run_on(const struct kernel *k, const struct il_fused_tensor *x)
{
	return (struct run){ .picture = { .channels = k->channels,
		                          .pixels = (size_t)x->height * (size_t)x->width,
		                          .last = (void *)x->data },
		             .head = k->head };
}

static OrtStatus *ORT_API_CALL compute_first(void *kernel, OrtKernelContext *context)
{
	const struct kernel *k = kernel;
	struct il_fused_tensor x;
	OrtStatus *status = il_fused_input(k->api, context, 0, k->channels, NULL, &x);
	if (status)
		return status;
	struct run run = run_on(k, &x);
	const int64_t out[] = { 1, k->channels, x.height, x.width };
	status = il_fused_output(k->api, context, out, &run.picture.planes);
	return status ? status : run_parts(k, &run, context, turn_first);
}

/* ---- Head ---- */

static OrtStatus *pack_head(struct kernel *k, const struct il_fused_op *op, const OrtKernelInfo *info)
{
	const float *w, *b;
	int64_t in, at[2];
	OrtStatus *status = il_fused_ints(k->api, info, "channels", &in, 1);
	if (!status)
		status = il_fused_ints(k->api, info, "weights", at, 2);
	if (!status && (in < 1 || in > 1 << 16 || at[0] < 0))
		status = k->api->CreateStatus(ORT_INVALID_ARGUMENT, "Head: attributes out of range");
	if (!status)
		status = il_fused_weights(k->api, op, at[0], 3 * in, &w);
	if (!status)
		status = il_fused_weights(k->api, op, at[1], 3, &b);
	if (status)
		return status;
	struct inlay_error err = { 0 };
	k->channels = (int)in;
	return il_head_create(&k->head, k->channels, 3, w, b, &err)
	               ? k->api->CreateStatus(ORT_INVALID_ARGUMENT, err.text)
	               : NULL;
}

static OrtStatus *ORT_API_CALL create_head(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info,
                                           void **kernel)
{
	struct kernel *k = make(api);
	OrtStatus *status = k ? pack_head(k, (const struct il_fused_op *)op, info) : out_of_memory(api);
	if (status && k)
		destroy(k);
	*kernel = k;
	return status;
}

static void draw(void *ctx, unsigned part)
{
	const struct run *run = ctx;
	il_head_run(run->head, run->picture.last, run->picture.pixels, (size_t)part * PART, part_pixels(run, part),
	            run->drawn, IL_HEAD_BYTES);
}

static OrtStatus *ORT_API_CALL compute_head(void *kernel, OrtKernelContext *context)
{
	const struct kernel *k = kernel;
	struct il_fused_tensor x;
	OrtStatus *status = il_fused_input(k->api, context, 0, k->channels, NULL, &x);
	if (status)
		return status;
	struct run run = run_on(k, &x);
	const int64_t out[] = { 1, x.height, x.width, 3 };
	status = il_fused_output(k->api, context, out, &run.drawn);
	return status ? status : run_parts(k, &run, context, draw);
}

/* ---- what the runtime asks ---- */

static const char *ORT_API_CALL last_name(const OrtCustomOp *op)
{
	(void)op;
	return "ChannelsLast";
}

static const char *ORT_API_CALL first_name(const OrtCustomOp *op)
{
	(void)op;
	return "ChannelsFirst";
}

static const char *ORT_API_CALL head_name(const OrtCustomOp *op)
{
	(void)op;
	return "Head";
}

static ONNXTensorElementDataType ORT_API_CALL head_type(const OrtCustomOp *op, size_t i)
{
	(void)op, (void)i;
	return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
}

const OrtCustomOp il_fused_channels_last = {
	IL_FUSED_OP,
	.GetName = last_name,
	.GetInputType = il_fused_float,
	.GetInputTypeCount = il_fused_one,
	.GetOutputType = il_fused_float,
	.GetInputCharacteristic = il_fused_required,
	.CreateKernelV2 = create_last,
	.KernelComputeV2 = compute_last,
	.KernelDestroy = destroy,
};

const OrtCustomOp il_fused_channels_first = {
	IL_FUSED_OP,
	.GetName = first_name,
	.GetInputType = il_fused_float,
	.GetInputTypeCount = il_fused_one,
	.GetOutputType = il_fused_float,
	.GetInputCharacteristic = il_fused_required,
	.CreateKernelV2 = create_first,
	.KernelComputeV2 = compute_first,
	.KernelDestroy = destroy,
};

const OrtCustomOp il_fused_head = {
	IL_FUSED_OP,
	.GetName = head_name,
	.GetInputType = il_fused_float,
	.GetInputTypeCount = il_fused_one,
	.GetOutputType = head_type,
	.GetInputCharacteristic = il_fused_required,
	.CreateKernelV2 = create_head,
	.KernelComputeV2 = compute_head,
	.KernelDestroy = destroy,
};
