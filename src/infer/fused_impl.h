/* What our operators share: fused_ops.c. */
#ifndef IL_INFER_FUSED_IMPL_H
#define IL_INFER_FUSED_IMPL_H

#include <onnxruntime_c_api.h>

#include "infer/fused_blocks.h"

extern const OrtCustomOp il_fused_block, il_fused_head, il_fused_channels_last, il_fused_channels_first;

/* What the operators of a session, which run one after the other, work in. */
struct il_fused_scratch {
	void *memory;
	size_t bytes;
};
/* False when memory is out; what was in it is lost. */
bool il_fused_scratch_reserve(struct il_fused_scratch *scratch, size_t bytes);

/* An operator of one session. */
struct il_fused_op {
	OrtCustomOp op; /* first: what the runtime is given */
	struct il_fused_scratch *scratch;
	struct il_fused_blocks *blocks;
	unsigned threads;
	const float *weights;
	size_t weight_count;
};

/* A list of n ints. */
OrtStatus *il_fused_ints(const OrtApi *api, const OrtKernelInfo *info, const char *name, int64_t *values, size_t n);
/* `count` weights from place `at` on; *data is NULL where `at` is -1. */
OrtStatus *il_fused_weights(const OrtApi *api, const struct il_fused_op *op, int64_t at, int64_t count,
                            const float **data);

struct il_fused_tensor {
	const void *data;
	int height, width;
	ONNXTensorElementDataType type;
};

/* Input i as [1,H,W,il_block_stride(channels)]; `size`: what its first three dims must be, or NULL. */
OrtStatus *il_fused_input(const OrtApi *api, OrtKernelContext *context, size_t i, int channels, const int64_t *size,
                          struct il_fused_tensor *tensor);
/* Input i as [1,C,H,W], its dims in *dims. */
OrtStatus *il_fused_plain_input(const OrtApi *api, OrtKernelContext *context, size_t i, int64_t dims[4],
                                const float **data);
/* The output, of rank 4. */
OrtStatus *il_fused_output(const OrtApi *api, OrtKernelContext *context, const int64_t *dims, void **data);

/* The runtime's own threads as il_parallel.run; what goes wrong is in status. */
struct il_fused_pool {
	const OrtApi *api;
	OrtKernelContext *context;
	OrtStatus *status;
};
void il_fused_parallel(void *pool, unsigned tasks, void (*fn)(void *ctx, unsigned task), void *ctx);

/* The fields that are the same for all of them. */
ONNXTensorElementDataType ORT_API_CALL il_fused_float(const OrtCustomOp *op, size_t i);
OrtCustomOpInputOutputCharacteristic ORT_API_CALL il_fused_required(const OrtCustomOp *op, size_t i);
const char *ORT_API_CALL il_fused_provider(const OrtCustomOp *op);
size_t ORT_API_CALL il_fused_one(const OrtCustomOp *op);
OrtMemType ORT_API_CALL il_fused_memory(const OrtCustomOp *op, size_t i);
int ORT_API_CALL il_fused_version(const OrtCustomOp *op);

#define IL_FUSED_OP                                                                                                    \
	.version = ORT_API_VERSION, .GetExecutionProviderType = il_fused_provider, .GetOutputTypeCount = il_fused_one, \
	.GetOutputCharacteristic = il_fused_required, .GetInputMemoryType = il_fused_memory,                           \
	.GetStartVersion = il_fused_version, .GetEndVersion = il_fused_version

#endif
