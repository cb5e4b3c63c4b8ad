#include "server/rpc/mouths_messages.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "server/rpc/kserve.pb-c.h"
#include "server/rpc/message.h"

#define SMALL ((size_t)4 << 20)
#define MAX_WINDOW (1 << 22) /* floats */
#define MIN_SIZE 20
#define MAX_SIZE 4096

typedef Inference__ModelMetadataResponse__TensorMetadata Tensor;

/* ---- metadata ---- */

static bool is_kind(const Tensor *tensor, const char *datatype, size_t dims)
{
	return !strcmp(tensor->datatype, datatype) && tensor->n_shape == dims;
}

static bool is_picture(const Tensor *tensor)
{
	return is_kind(tensor, "FP32", 4) && tensor->shape[1] == 6 && tensor->shape[2] == tensor->shape[3];
}

static bool is_index(const Tensor *tensor)
{
	return is_kind(tensor, "INT32", 1);
}

static bool read_audio(struct mouths_model *model, const Tensor *audio)
{
	if (strcmp(audio->datatype, "FP32") != 0 || audio->n_shape < 2 || audio->n_shape > 4)
		return false;
	int64_t floats = 1;
	for (size_t i = 1; i < audio->n_shape; i++) {
		int64_t side = audio->shape[i];
		if (side < 1 || side > MAX_WINDOW || (floats *= side) > MAX_WINDOW)
			return false;
		model->info.audio_dims[i - 1] = side;
	}
	model->info.window_floats = (size_t)floats;
	return true;
}

static bool read_output(struct mouths_model *model, const Tensor *output)
{
	bool full = model->info.takes_crops;
	if (!is_kind(output, full ? "FP32" : "UINT8", 4) || output->shape[full ? 1 : 3] != 3)
		return false;
	int64_t height = output->shape[full ? 2 : 1], width = output->shape[full ? 3 : 2];
	model->info.size = height >= MIN_SIZE && height <= MAX_SIZE ? (int)height : 0;
	return model->info.size && width == height;
}

/* The fewest of the tensors' own first dimensions, where these are fixed. */
static unsigned fixed_batch(const Tensor *const tensors[MOUTHS_TENSORS])
{
	unsigned batch = 0;
	for (int i = 0; i < MOUTHS_TENSORS; i++) {
		int64_t n = tensors[i]->shape[0];
		if (n > 0 && n < UINT_MAX && (!batch || n < batch))
			batch = (unsigned)n;
	}
	return batch;
}

static bool read_model(struct mouths_model *model, const Inference__ModelMetadataResponse *message)
{
	if (message->n_inputs != 2 || message->n_outputs < 1)
		return false;
	for (int first = 0; first < 2; first++) {
		const Tensor *tensors[] = { message->inputs[first], message->inputs[!first], message->outputs[0] };
		*model = (struct mouths_model){ .info.takes_crops = is_picture(tensors[0]) };
		if (!is_picture(tensors[0]) && !is_index(tensors[0]))
			continue;
		bool names = true;
		for (int i = 0; i < MOUTHS_TENSORS; i++)
			names = names && memccpy(model->names[i], tensors[i]->name, 0, sizeof model->names[i]);
		if (!names || !read_audio(model, tensors[1]) || !read_output(model, tensors[2]))
			return false;
		model->batch = fixed_batch(tensors);
		return !model->info.takes_crops || tensors[0]->shape[2] == model->info.size || tensors[0]->shape[2] < 0;
	}
	return false;
}

enum inlay_err mouths_read_metadata(struct mouths_model *model, const char *avatar, const struct il_bytes *message,
                                    struct inlay_error *err)
{
	struct arena arena;
	ProtobufCMessage *unpacked;
	arena_init(&arena, SMALL);
	enum inlay_err rc = message_unpack(&unpacked, &inference__model_metadata_response__descriptor, message->data,
	                                   message->size, &arena, err);
	if (!rc && !read_model(model, (Inference__ModelMetadataResponse *)unpacked))
		rc = il_fail(err, INLAY_ERR_UNSUPPORTED,
		             "model \"%s\" of the inference server: expected inputs frame_index INT32 [n] and audio "
		             "FP32 and "
		             "output UINT8 [n,S,S,3], or input FP32 [n,6,S,S] and audio and output FP32 [n,3,S,S]",
		             avatar);
	arena_destroy(&arena);
	return rc;
}

/* ---- what is sent ---- */

/* Packed, with `more` bytes of room behind. */
static enum inlay_err pack(struct il_bytes *bytes, const ProtobufCMessage *message, size_t more,
                           struct inlay_error *err)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	bytes->data = malloc(size + more + 1);
	if (!bytes->data)
		return il_fail_memory(err);
	bytes->size = protobuf_c_message_pack(message, bytes->data);
	return INLAY_OK;
}

enum inlay_err mouths_name_message(struct il_bytes *message, const char *name, struct inlay_error *err)
{
	Inference__ModelMetadataRequest request = INFERENCE__MODEL_METADATA_REQUEST__INIT;
	request.name = (char *)name;
	return pack(message, &request.base, 0, err);
}

enum inlay_err mouths_region_message(struct il_bytes *message, const char *name, const char *key, uint64_t size,
                                     struct inlay_error *err)
{
	/* Unregistering takes a message with the name alone. */
	Inference__SystemSharedMemoryRegisterRequest request = INFERENCE__SYSTEM_SHARED_MEMORY_REGISTER_REQUEST__INIT;
	request.name = (char *)name;
	request.key = (char *)key;
	request.byte_size = size;
	return pack(message, &request.base, 0, err);
}

void mouths_layout(struct mouths_layout *layout, const struct mouths_model *model, unsigned n)
{
	size_t pixels = (size_t)model->info.size * (size_t)model->info.size;
	bool full = model->info.takes_crops;
	layout->size[0] = n * (full ? 6 * pixels * sizeof(float) : sizeof(int32_t));
	layout->size[1] = n * model->info.window_floats * sizeof(float);
	layout->size[2] = n * 3 * pixels * (full ? sizeof(float) : 1);
	layout->total = 0;
	for (int i = 0; i < MOUTHS_TENSORS; i++) {
		layout->offset[i] = layout->total;
		layout->total += (layout->size[i] + 63) / 64 * 64;
	}
}

/* A request and all that it points to. */
struct request {
	Inference__ModelInferRequest message;
	Inference__ModelInferRequest__InferInputTensor inputs[2], *input_list[2];
	Inference__ModelInferRequest__InferRequestedOutputTensor output, *output_list[1];
	/* Alike but in their types' names; a kind of their own for inputs and for the output. */
	Inference__ModelInferRequest__InferInputTensor__ParametersEntry in[2][3], *in_list[2][3];
	Inference__ModelInferRequest__InferRequestedOutputTensor__ParametersEntry out[3], *out_list[3];
	Inference__InferParameter values[MOUTHS_TENSORS][3];
	int64_t shapes[2][4];
};

static const char *const place_keys[3] = { "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset" };

static void set_values(struct request *request, int tensor, const struct mouths_layout *layout, const char *region)
{
	Inference__InferParameter *values = request->values[tensor];
	for (int i = 0; i < 3; i++) {
		inference__infer_parameter__init(&values[i]);
		values[i].parameter_choice_case = i ? INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM
		                                    : INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM;
	}
	values[0].string_param = (char *)region;
	values[1].int64_param = (int64_t)layout->size[tensor];
	values[2].int64_param = (int64_t)layout->offset[tensor];
}

static void set_places(struct request *request, const struct mouths_layout *layout, const char *region)
{
	for (int t = 0; t < MOUTHS_TENSORS; t++)
		set_values(request, t, layout, region);
	for (int i = 0; i < 3; i++) {
		for (int t = 0; t < 2; t++) {
			inference__model_infer_request__infer_input_tensor__parameters_entry__init(&request->in[t][i]);
			request->in[t][i].key = (char *)place_keys[i];
			request->in[t][i].value = &request->values[t][i];
			request->in_list[t][i] = &request->in[t][i];
		}
		inference__model_infer_request__infer_requested_output_tensor__parameters_entry__init(&request->out[i]);
		request->out[i].key = (char *)place_keys[i];
		request->out[i].value = &request->values[2][i];
		request->out_list[i] = &request->out[i];
	}
	for (int t = 0; t < 2; t++) {
		request->inputs[t].parameters = request->in_list[t];
		request->inputs[t].n_parameters = 3;
	}
	request->output.parameters = request->out_list;
	request->output.n_parameters = 3;
}

static void set_inputs(struct request *request, const struct mouths_model *model, unsigned n)
{
	bool full = model->info.takes_crops;
	for (int t = 0; t < 2; t++) {
		Inference__ModelInferRequest__InferInputTensor *input = &request->inputs[t];
		inference__model_infer_request__infer_input_tensor__init(input);
		input->name = (char *)model->names[t];
		input->datatype = t || full ? "FP32" : "INT32";
		input->shape = request->shapes[t];
		input->shape[0] = n;
		input->n_shape = 1;
		request->input_list[t] = input;
	}
	for (int i = 0; i < 3 && model->info.audio_dims[i]; i++)
		request->inputs[1].shape[request->inputs[1].n_shape++] = model->info.audio_dims[i];
	if (!full)
		return;
	request->inputs[0].n_shape = 4;
	request->shapes[0][1] = 6;
	request->shapes[0][2] = request->shapes[0][3] = model->info.size;
}

enum inlay_err mouths_request_message(struct il_bytes *message, uint8_t *inputs[2], const struct mouths_model *model,
                                      const struct mouths_layout *layout, const char *avatar, unsigned n,
                                      const char *region, struct inlay_error *err)
{
	struct request request = { 0 };
	inference__model_infer_request__init(&request.message);
	inference__model_infer_request__infer_requested_output_tensor__init(&request.output);
	request.output.name = (char *)model->names[2];
	set_inputs(&request, model, n);
	if (region)
		set_places(&request, layout, region);
	request.output_list[0] = &request.output;
	request.message.model_name = (char *)avatar;
	request.message.inputs = request.input_list;
	request.message.n_inputs = 2;
	request.message.outputs = request.output_list;
	request.message.n_outputs = 1;
	size_t raw = region ? 0 : layout->size[0] + layout->size[1] + 22;
	enum inlay_err rc = pack(message, &request.message.base, raw, err);
	for (int t = 0; t < 2 && !rc && !region; t++) {
		message->data[message->size++] = 7 << 3 | 2;
		message->size += message_put_varint(message->data + message->size, layout->size[t]);
		inputs[t] = message->data + message->size;
		message->size += layout->size[t];
	}
	return rc;
}

/* ---- what comes back ---- */

static enum inlay_err check_answer(const Inference__ModelInferResponse *answer, const struct mouths_model *model,
                                   struct inlay_error *err)
{
	const char *kind = model->info.takes_crops ? "FP32" : "UINT8";
	if (answer->n_outputs == 1 && !strcmp(answer->outputs[0]->datatype, kind))
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_FORMAT, "inference server: answer of %zu outputs: expected one of %s",
	               answer->n_outputs, kind);
}

enum inlay_err mouths_read_answer(const uint8_t **output, const struct il_bytes *message,
                                  const struct mouths_model *model, size_t size, bool in_region,
                                  struct inlay_error *err)
{
	struct arena arena;
	struct span raw, rest;
	size_t n;
	ProtobufCMessage *unpacked;
	arena_init(&arena, SMALL);
	enum inlay_err rc = message_split(message->data, message->size, 6, &raw, 1, &n, &rest, &arena, err);
	if (!rc)
		rc = message_unpack(&unpacked, &inference__model_infer_response__descriptor, rest.data, rest.size,
		                    &arena, err);
	if (!rc)
		rc = check_answer((Inference__ModelInferResponse *)unpacked, model, err);
	if (!rc && !in_region && (n != 1 || raw.size != size))
		rc = il_fail(err, INLAY_ERR_FORMAT, "inference server: answer of %zu bytes: expected %zu",
		             n ? raw.size : (size_t)0, size);
	arena_destroy(&arena);
	*output = rc || in_region ? NULL : raw.data;
	return rc;
}

bool mouths_read_ready(const struct il_bytes *message)
{
	Inference__ServerReadyResponse *answer =
		inference__server_ready_response__unpack(NULL, message->size, message->data);
	bool ready = answer && answer->ready;
	if (answer)
		inference__server_ready_response__free_unpacked(answer, NULL);
	return ready;
}

bool mouths_has_extension(const struct il_bytes *message, const char *extension)
{
	struct arena arena;
	ProtobufCMessage *unpacked;
	bool found = false;
	arena_init(&arena, SMALL);
	if (!message_unpack(&unpacked, &inference__server_metadata_response__descriptor, message->data, message->size,
	                    &arena, NULL)) {
		const Inference__ServerMetadataResponse *answer = (Inference__ServerMetadataResponse *)unpacked;
		for (size_t i = 0; i < answer->n_extensions && !found; i++)
			found = !strcmp(answer->extensions[i], extension);
	}
	arena_destroy(&arena);
	return found;
}
