#include "infer/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <onnxruntime_session_options_config_keys.h>

#include "infer/session_impl.h"

#define MAX_THREADS 256

static const char *const type_names[] = {
	[IL_TENSOR_F32] = "float32", [IL_TENSOR_F16] = "float16", [IL_TENSOR_U8] = "uint8",
	[IL_TENSOR_I32] = "int32",   [IL_TENSOR_I64] = "int64",   [IL_TENSOR_OTHER] = "other",
};

static enum il_tensor_type tensor_type(ONNXTensorElementDataType type)
{
	switch (type) {
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT: return IL_TENSOR_F32;
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16: return IL_TENSOR_F16;
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8: return IL_TENSOR_U8;
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32: return IL_TENSOR_I32;
	case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: return IL_TENSOR_I64;
	default: return IL_TENSOR_OTHER;
	}
}

/* Adds to `text` at *used and keeps *used inside it. */
__attribute__((format(printf, 4, 5))) static void append(char *text, size_t size, size_t *used, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text + *used, size - *used, format, args);
	va_end(args);
	if (n > 0)
		*used += (size_t)n < size - *used ? (size_t)n : size - *used - 1;
}

static void append_shape(char *text, size_t size, size_t *used, int rank, const int64_t *dims)
{
	append(text, size, used, "[");
	for (int i = 0; i < rank; i++) {
		append(text, size, used, i ? "," : "");
		if (dims[i] >= 0)
			append(text, size, used, "%lld", (long long)dims[i]);
		else
			append(text, size, used, i ? "?" : "n");
	}
	append(text, size, used, "]");
}

const char *il_tensor_format(const struct il_tensor_desc *desc, char *text, size_t size)
{
	size_t used = 0;
	append(text, size, &used, "%s ", type_names[desc->type]);
	append_shape(text, size, &used, desc->rank, desc->dims);
	return text;
}

const char *il_session_format(const struct il_session *session, char *text, size_t size)
{
	const struct il_side *sides[] = { &session->inputs, &session->outputs };
	size_t used = 0;
	text[0] = 0;
	for (int s = 0; s < 2; s++) {
		append(text, size, &used, "%s%ss:%s", s ? "; " : "", sides[s]->word, sides[s]->count ? "" : " none");
		for (int i = 0; i < sides[s]->count; i++) {
			char shape[160];
			const struct il_tensor_desc *desc = &sides[s]->ports[i].desc;
			append(text, size, &used, "%s %s %s", i ? "," : "", desc->name,
			       il_tensor_format(desc, shape, sizeof shape));
		}
	}
	return text;
}

/* The runtime's type info of one port into its description. Sequences and maps have no shape: "other []". */
static OrtStatus *describe(const OrtApi *api, const OrtTypeInfo *info, struct il_tensor_desc *desc)
{
	const OrtTensorTypeAndShapeInfo *tensor = NULL;
	ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
	size_t rank = 0;
	OrtStatus *status = api->CastTypeInfoToTensorInfo(info, &tensor);
	desc->type = IL_TENSOR_OTHER;
	if (status || !tensor)
		return status;
	if ((status = api->GetTensorElementType(tensor, &type)) || (status = api->GetDimensionsCount(tensor, &rank)))
		return status;
	desc->type = tensor_type(type);
	desc->element = (int)type;
	if (rank > IL_TENSOR_MAX_RANK)
		return api->CreateStatus(ORT_NOT_IMPLEMENTED, "more than 8 dimensions");
	desc->rank = (int)rank;
	return api->GetDimensions(tensor, desc->dims, rank);
}

static OrtStatus *read_port(const struct il_session *s, bool input, int i, struct il_port *port)
{
	const OrtApi *api = s->rt->api;
	OrtAllocator *allocator;
	OrtTypeInfo *info = NULL;
	OrtStatus *status = api->GetAllocatorWithDefaultOptions(&allocator);
	if (status)
		return status;
	status = input ? api->SessionGetInputName(s->session, (size_t)i, allocator, &port->name)
	               : api->SessionGetOutputName(s->session, (size_t)i, allocator, &port->name);
	if (status)
		return status;
	snprintf(port->desc.name, sizeof port->desc.name, "%s", port->name);
	il_one_line(port->desc.name);
	status = input ? api->SessionGetInputTypeInfo(s->session, (size_t)i, &info)
	               : api->SessionGetOutputTypeInfo(s->session, (size_t)i, &info);
	if (!status)
		status = describe(api, info, &port->desc);
	api->ReleaseTypeInfo(info);
	return status;
}

static enum inlay_err read_side(struct il_session *s, struct il_side *side, bool input, struct inlay_error *err)
{
	const OrtApi *api = s->rt->api;
	size_t count = 0;
	OrtStatus *status =
		input ? api->SessionGetInputCount(s->session, &count) : api->SessionGetOutputCount(s->session, &count);
	if (status)
		return il_runtime_fail(s->rt, status, err, INLAY_ERR_FORMAT, "%s", s->path);
	side->ports = calloc(count + 1, sizeof *side->ports);
	side->names = calloc(count + 1, sizeof *side->names);
	side->values = calloc(count + 1, sizeof *side->values);
	if (!side->ports || !side->names || !side->values)
		return il_fail_memory(err);
	for (size_t i = 0; i < count; i++) {
		side->count++;
		status = read_port(s, input, (int)i, &side->ports[i]);
		if (status)
			return il_runtime_fail(s->rt, status, err, INLAY_ERR_FORMAT, "%s: %s %s", s->path, side->word,
			                       side->ports[i].desc.name);
	}
	return INLAY_OK;
}

static void clear_side(const struct il_session *s, struct il_side *side)
{
	OrtAllocator *allocator = NULL;
	OrtStatus *status = s->rt->api->GetAllocatorWithDefaultOptions(&allocator);
	for (int i = 0; i < side->count; i++) {
		for (int k = 0; k < IL_SESSION_BINDINGS; k++)
			s->rt->api->ReleaseValue(side->ports[i].bindings[k].value);
		if (!status && side->ports[i].name)
			s->rt->api->ReleaseStatus(s->rt->api->AllocatorFree(allocator, side->ports[i].name));
	}
	s->rt->api->ReleaseStatus(status);
	free(side->ports);
	free(side->names);
	free(side->values);
}

/* What is left as it comes: the CPU arena is on, for without it every run pays the page faults of its intermediates
 * anew; denormals count, for "session.set_denormal_as_zero" changes the mode of the pool's threads and of whichever
 * thread opens the first session, not of the one that runs. No block is set aside for all intermediates together: it
 * comes on top of those of the first run, 18 MB of unet_328, and saves nothing beside the arena. Spinning is off: it
 * made no run of unet_328 faster, and took a seventh more of the processors that decode and encode beside it. */
static OrtStatus *make_options(const OrtApi *api, const struct il_session_params *params, OrtSessionOptions **options)
{
	int threads = params && params->threads > 1 ? (int)params->threads : 1;
	OrtStatus *status = api->CreateSessionOptions(options);
	if (!status)
		status = api->SetSessionGraphOptimizationLevel(*options, params && params->as_it_is ? ORT_DISABLE_ALL
		                                                                                    : ORT_ENABLE_ALL);
	if (!status)
		status = api->SetSessionExecutionMode(*options, ORT_SEQUENTIAL);
	if (!status)
		status = api->SetIntraOpNumThreads(*options, threads);
	if (!status)
		status = api->SetInterOpNumThreads(*options, 1);
	if (!status)
		status = api->DisableMemPattern(*options);
	if (!status)
		status = api->AddSessionConfigEntry(*options, kOrtSessionOptionsConfigAllowIntraOpSpinning, "0");
	if (!status && params && params->profile)
		status = api->EnableProfiling(*options, params->profile);
	return status;
}

/* The runtime would wait on a pipe for ever, and has less to say about the rest. */
static enum inlay_err check_file(const char *path, struct inlay_error *err)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return il_fail_errno(err, "%s", path);
	if (!S_ISREG(st.st_mode))
		return il_fail(err, INLAY_ERR_FORMAT, "%s: expected an ONNX model, found %s", path,
		               S_ISDIR(st.st_mode) ? "a folder" : "something that is not a file");
	if (!st.st_size)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: expected an ONNX model, found an empty file", path);
	return INLAY_OK;
}

/* From `data`, or from the file where it is NULL. */
static enum inlay_err load(struct il_session *s, const void *data, size_t size, const struct il_session_params *params,
                           struct inlay_error *err)
{
	const OrtApi *api = s->rt->api;
	OrtSessionOptions *options = NULL;
	unsigned threads = params && params->threads > 1 ? params->threads : 1;
	enum inlay_err rc = il_fused_ops_create(&s->fused, s->rt, threads, params ? params->weights : NULL,
	                                        params ? params->weight_count : 0, params ? params->blocks : NULL, err);
	if (rc)
		return rc;
	OrtStatus *status = make_options(api, params, &options);
	if (!status)
		status = il_fused_ops_register(s->fused, options);
	if (!status)
		status = data ? api->CreateSessionFromArray(s->rt->env, data, size, options, &s->session)
		              : api->CreateSession(s->rt->env, s->path, options, &s->session);
	api->ReleaseSessionOptions(options);
	if (status)
		return il_runtime_fail(s->rt, status, err, INLAY_ERR_FORMAT, "%s: ONNX Runtime refuses it", s->path);
	return INLAY_OK;
}

static enum inlay_err open_session(struct il_session **session, const void *data, size_t size, const char *name,
                                   const struct il_session_params *params, struct inlay_error *err)
{
	const struct il_runtime *rt;
	enum inlay_err rc = il_runtime_get(&rt, err);
	if (!rc && !data)
		rc = check_file(name, err);
	if (rc)
		return rc;
	if (params && params->threads > MAX_THREADS)
		return il_fail(err, INLAY_ERR_INVALID, "%s: %u threads a run; expected at most %d", name,
		               params->threads, MAX_THREADS);
	struct il_session *s = calloc(1, sizeof *s);
	if (!s)
		return il_fail_memory(err);
	s->rt = rt;
	s->inputs.word = "input";
	s->outputs.word = "output";
	s->path = strdup(name);
	rc = s->path ? load(s, data, size, params, err) : il_fail_memory(err);
	if (!rc)
		rc = read_side(s, &s->inputs, true, err);
	if (!rc)
		rc = read_side(s, &s->outputs, false, err);
	if (rc)
		il_session_destroy(&s);
	else
		*session = s;
	return rc;
}

enum inlay_err il_session_open(struct il_session **session, const char *path, const struct il_session_params *params,
                               struct inlay_error *err)
{
	return open_session(session, NULL, 0, path, params, err);
}

enum inlay_err il_session_open_memory(struct il_session **session, const void *data, size_t size, const char *name,
                                      const struct il_session_params *params, struct inlay_error *err)
{
	return open_session(session, data, size, name, params, err);
}

void il_session_destroy(struct il_session **session)
{
	struct il_session *s = *session;
	*session = NULL;
	if (!s)
		return;
	clear_side(s, &s->inputs);
	clear_side(s, &s->outputs);
	s->rt->api->ReleaseSession(s->session);
	il_fused_ops_destroy(&s->fused);
	free(s->path);
	free(s);
}

const char *il_session_name(const struct il_session *session)
{
	return session->path;
}

int il_session_inputs(const struct il_session *session)
{
	return session->inputs.count;
}

int il_session_outputs(const struct il_session *session)
{
	return session->outputs.count;
}

const struct il_tensor_desc *il_session_input(const struct il_session *session, int i)
{
	return &session->inputs.ports[i].desc;
}

const struct il_tensor_desc *il_session_output(const struct il_session *session, int i)
{
	return &session->outputs.ports[i].desc;
}

const char *il_session_input_name(const struct il_session *session, int i)
{
	return session->inputs.ports[i].name;
}

const char *il_session_output_name(const struct il_session *session, int i)
{
	return session->outputs.ports[i].name;
}

static int find(const struct il_side *side, const char *name)
{
	for (int i = 0; i < side->count; i++)
		if (!strcmp(side->ports[i].name, name))
			return i;
	return -1;
}

int il_session_find_input(const struct il_session *session, const char *name)
{
	return find(&session->inputs, name);
}

int il_session_find_output(const struct il_session *session, const char *name)
{
	return find(&session->outputs, name);
}

static ONNXTensorElementDataType element_type(enum il_tensor_type type)
{
	switch (type) {
	case IL_TENSOR_U8: return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
	case IL_TENSOR_F16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
	default: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
	}
}

/* True where the model's own type and shape allow `type` and `dims`, which are copied to `shape`; *bytes is their size.
 */
static bool fits(const struct il_tensor_desc *desc, enum il_tensor_type type, int rank, const int64_t *dims,
                 int64_t shape[IL_TENSOR_MAX_RANK], size_t *bytes)
{
	*bytes = il_tensor_element_bytes((int)element_type(type));
	if (desc->type != type || rank != desc->rank)
		return false;
	for (int i = 0; i < rank; i++) {
		shape[i] = dims[i];
		if (dims[i] < 0 || (desc->dims[i] >= 0 && dims[i] != desc->dims[i]))
			return false;
		if (__builtin_mul_overflow(*bytes, (size_t)dims[i], bytes))
			return false;
	}
	return true;
}

static void gather(struct il_side *side)
{
	side->bound = 0;
	for (int i = 0; i < side->count; i++) {
		if (!side->ports[i].value)
			continue;
		side->names[side->bound] = side->ports[i].name;
		side->values[side->bound++] = side->ports[i].value;
	}
}

static struct il_binding *find_binding(struct il_port *port, const void *data, const int64_t shape[IL_TENSOR_MAX_RANK])
{
	for (int k = 0; k < IL_SESSION_BINDINGS; k++) {
		struct il_binding *b = &port->bindings[k];
		if (b->value && b->data == data && !memcmp(b->dims, shape, sizeof b->dims))
			return b;
	}
	return NULL;
}

static enum inlay_err bind_port(const struct il_session *s, struct il_side *side, int i, enum il_tensor_type type,
                                void *data, int rank, const int64_t *dims, struct inlay_error *err)
{
	if (i < 0 || i >= side->count)
		return il_fail(err, INLAY_ERR_INVALID, "%s: no %s of index %d", s->path, side->word, i);
	struct il_port *port = &side->ports[i];
	int64_t shape[IL_TENSOR_MAX_RANK] = { 0 };
	size_t bytes;
	if (!fits(&port->desc, type, rank, dims, shape, &bytes)) {
		char expected[160], found[160];
		size_t used = 0;
		append_shape(found, sizeof found, &used, rank, dims);
		return il_fail(err, INLAY_ERR_INVALID, "%s: %s %s: expected %s, found %s %s", s->path, side->word,
		               port->desc.name, il_tensor_format(&port->desc, expected, sizeof expected),
		               type_names[type], found);
	}
	struct il_binding *binding = find_binding(port, data, shape);
	if (!binding) {
		OrtValue *value = NULL;
		OrtStatus *status = s->rt->api->CreateTensorWithDataAsOrtValue(
			s->rt->cpu, data, bytes, shape, (size_t)rank, element_type(type), &value);
		if (status)
			return il_runtime_fail(s->rt, status, err, INLAY_ERR_INVALID, "%s: %s %s", s->path, side->word,
			                       port->desc.name);
		binding = &port->bindings[port->next++ % IL_SESSION_BINDINGS];
		s->rt->api->ReleaseValue(binding->value);
		*binding = (struct il_binding){ value, data, { 0 } };
		memcpy(binding->dims, shape, sizeof shape);
	}
	if (port->value != binding->value) {
		port->value = binding->value;
		gather(side);
	}
	return INLAY_OK;
}

enum inlay_err il_session_bind_input(struct il_session *session, int i, float *data, int rank, const int64_t *dims,
                                     struct inlay_error *err)
{
	return bind_port(session, &session->inputs, i, IL_TENSOR_F32, data, rank, dims, err);
}

enum inlay_err il_session_bind_input_bytes(struct il_session *session, int i, uint8_t *data, int rank,
                                           const int64_t *dims, struct inlay_error *err)
{
	return bind_port(session, &session->inputs, i, IL_TENSOR_U8, data, rank, dims, err);
}

enum inlay_err il_session_bind_input_halves(struct il_session *session, int i, const uint16_t *data, int rank,
                                            const int64_t *dims, struct inlay_error *err)
{
	return bind_port(session, &session->inputs, i, IL_TENSOR_F16, (void *)data, rank, dims, err);
}

enum inlay_err il_session_bind_output_bytes(struct il_session *session, int i, uint8_t *data, int rank,
                                            const int64_t *dims, struct inlay_error *err)
{
	return bind_port(session, &session->outputs, i, IL_TENSOR_U8, data, rank, dims, err);
}

enum inlay_err il_session_bind_output(struct il_session *session, int i, float *data, int rank, const int64_t *dims,
                                      struct inlay_error *err)
{
	return bind_port(session, &session->outputs, i, IL_TENSOR_F32, data, rank, dims, err);
}

enum inlay_err il_session_run(struct il_session *s, struct inlay_error *err)
{
	struct il_side *in = &s->inputs, *out = &s->outputs;
	if (in->bound != in->count || !out->bound)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: %d of %d inputs and %d of %d outputs are bound; expected all inputs and an output",
		               s->path, in->bound, in->count, out->bound, out->count);
	OrtStatus *status = s->rt->api->Run(s->session, NULL, in->names, (const OrtValue *const *)in->values,
	                                    (size_t)in->bound, out->names, (size_t)out->bound, out->values);
	if (status)
		return il_runtime_fail(s->rt, status, err, INLAY_ERR_FORMAT, "%s: the model does not run", s->path);
	return INLAY_OK;
}

static enum inlay_err all_inputs_bound(const struct il_session *s, struct inlay_error *err)
{
	if (s->inputs.bound == s->inputs.count)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_INVALID, "%s: %d of %d inputs are bound; expected all", s->path, s->inputs.bound,
	               s->inputs.count);
}

/* The shape of what the runtime gave, where it is a tensor. */
static OrtStatus *found_shape(const OrtApi *api, const OrtValue *value, struct il_tensor_desc *desc)
{
	OrtTensorTypeAndShapeInfo *info = NULL;
	int tensor = 0;
	size_t rank = 0;
	OrtStatus *status = value ? api->IsTensor(value, &tensor) : NULL;
	if (status || !tensor)
		return status;
	status = api->GetTensorTypeAndShape(value, &info);
	if (!status)
		status = api->GetDimensionsCount(info, &rank);
	if (!status && rank > IL_TENSOR_MAX_RANK)
		status = api->CreateStatus(ORT_NOT_IMPLEMENTED, "more than 8 dimensions");
	if (!status) {
		desc->rank = (int)rank;
		status = api->GetDimensions(info, desc->dims, rank);
	}
	api->ReleaseTensorTypeAndShapeInfo(info);
	return status;
}

static OrtStatus *probe(struct il_session *s, const char **names, OrtValue **values, struct il_tensor_desc *outputs)
{
	const OrtApi *api = s->rt->api;
	struct il_side *in = &s->inputs, *out = &s->outputs;
	for (int i = 0; i < out->count; i++)
		names[i] = out->ports[i].name;
	OrtStatus *status = api->Run(s->session, NULL, in->names, (const OrtValue *const *)in->values,
	                             (size_t)in->bound, names, (size_t)out->count, values);
	for (int i = 0; i < out->count; i++) {
		outputs[i] = out->ports[i].desc;
		if (!status)
			status = found_shape(api, values[i], &outputs[i]);
		api->ReleaseValue(values[i]);
	}
	return status;
}

enum inlay_err il_session_probe(struct il_session *s, struct il_tensor_desc *outputs, struct inlay_error *err)
{
	enum inlay_err rc = all_inputs_bound(s, err);
	if (rc)
		return rc;
	const char **names = calloc((size_t)s->outputs.count + 1, sizeof *names);
	OrtValue **values = calloc((size_t)s->outputs.count + 1, sizeof *values);
	OrtStatus *status = NULL;
	if (!names || !values)
		rc = il_fail_memory(err);
	else
		status = probe(s, names, values, outputs);
	if (status)
		rc = il_runtime_fail(s->rt, status, err, INLAY_ERR_FORMAT, "%s: the model does not run", s->path);
	free(names);
	free(values);
	return rc;
}
