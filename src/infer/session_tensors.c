/* Running a model once on tensors of any type, for those who want values and not speed. */
#include <stdlib.h>
#include <string.h>

#include "infer/session_impl.h"

size_t il_tensor_element_bytes(int element)
{
	switch ((ONNXTensorElementDataType)element) {
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8:
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8:
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL: return 1;
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16:
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16:
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16: return 2;
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32:
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32: return 4;
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64:
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64:
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE: return 8;
	default: return 0;
	}
}

void il_tensor_clear(struct il_tensor *tensor)
{
	free(tensor->data);
	*tensor = (struct il_tensor){ 0 };
}

static OrtStatus *read_shape(const OrtApi *api, const OrtValue *value, struct il_tensor *tensor)
{
	OrtTensorTypeAndShapeInfo *info = NULL;
	ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
	size_t rank = 0, count = 0;
	OrtStatus *status = api->GetTensorTypeAndShape(value, &info);
	if (!status)
		status = api->GetDimensionsCount(info, &rank);
	if (!status && rank > IL_TENSOR_MAX_RANK)
		status = api->CreateStatus(ORT_NOT_IMPLEMENTED, "more than 8 dimensions");
	if (!status)
		status = api->GetDimensions(info, tensor->dims, rank);
	if (!status)
		status = api->GetTensorElementType(info, &type);
	if (!status)
		status = api->GetTensorShapeElementCount(info, &count);
	api->ReleaseTensorTypeAndShapeInfo(info);
	tensor->rank = (int)rank;
	tensor->element = il_tensor_element_bytes((int)type) ? (int)type : 0;
	tensor->bytes = count * il_tensor_element_bytes((int)type);
	return status;
}

static OrtStatus *copy_out(const OrtApi *api, OrtValue *value, struct il_tensor *tensor)
{
	int is_tensor = 0;
	void *data = NULL;
	OrtStatus *status = value ? api->IsTensor(value, &is_tensor) : NULL;
	if (status || !is_tensor)
		return status;
	status = read_shape(api, value, tensor);
	if (status || !tensor->element)
		return status;
	status = api->GetTensorMutableData(value, &data);
	if (status)
		return status;
	tensor->data = malloc(tensor->bytes + 1);
	if (!tensor->data)
		return api->CreateStatus(ORT_FAIL, "out of memory");
	if (tensor->bytes)
		memcpy(tensor->data, data, tensor->bytes);
	return NULL;
}

/* names and values: room for the inputs, then for the outputs. */
static OrtStatus *run_once(const struct il_session *s, const struct il_tensor *inputs, struct il_tensor *outputs,
                           const char **names, OrtValue **values)
{
	const OrtApi *api = s->rt->api;
	size_t n_in = (size_t)s->inputs.count, n_out = (size_t)s->outputs.count;
	OrtStatus *status = NULL;
	for (size_t i = 0; i < n_in + n_out; i++)
		names[i] = i < n_in ? s->inputs.ports[i].name : s->outputs.ports[i - n_in].name;
	for (size_t i = 0; i < n_in && !status; i++)
		status = api->CreateTensorWithDataAsOrtValue(s->rt->cpu, inputs[i].data, inputs[i].bytes,
		                                             inputs[i].dims, (size_t)inputs[i].rank,
		                                             (ONNXTensorElementDataType)inputs[i].element, &values[i]);
	if (!status)
		status = api->Run(s->session, NULL, names, (const OrtValue *const *)values, n_in, names + n_in, n_out,
		                  values + n_in);
	for (size_t i = 0; i < n_out && !status; i++)
		status = copy_out(api, values[n_in + i], &outputs[i]);
	for (size_t i = 0; i < n_in + n_out; i++)
		api->ReleaseValue(values[i]);
	return status;
}

enum inlay_err il_session_run_tensors(struct il_session *s, const struct il_tensor *inputs, struct il_tensor *outputs,
                                      struct inlay_error *err)
{
	size_t n = (size_t)s->inputs.count + (size_t)s->outputs.count;
	const char **names = calloc(n + 1, sizeof *names);
	OrtValue **values = calloc(n + 1, sizeof *values);
	enum inlay_err rc = INLAY_OK;
	OrtStatus *status = NULL;
	memset(outputs, 0, (size_t)s->outputs.count * sizeof *outputs);
	if (!names || !values)
		rc = il_fail_memory(err);
	else
		status = run_once(s, inputs, outputs, names, values);
	if (status)
		rc = il_runtime_fail(s->rt, status, err, INLAY_ERR_FORMAT, "%s: the model does not run", s->path);
	for (int i = 0; i < s->outputs.count && rc; i++)
		il_tensor_clear(&outputs[i]);
	free(names);
	free(values);
	return rc;
}

enum inlay_err il_session_end_profile(struct il_session *s, char **path, struct inlay_error *err)
{
	const OrtApi *api = s->rt->api;
	OrtAllocator *allocator;
	char *name = NULL;
	OrtStatus *status = api->GetAllocatorWithDefaultOptions(&allocator);
	if (!status)
		status = api->SessionEndProfiling(s->session, allocator, &name);
	if (status)
		return il_runtime_fail(s->rt, status, err, INLAY_ERR_IO, "%s: no profile", s->path);
	*path = strdup(name);
	api->ReleaseStatus(api->AllocatorFree(allocator, name));
	return *path ? INLAY_OK : il_fail_memory(err);
}
