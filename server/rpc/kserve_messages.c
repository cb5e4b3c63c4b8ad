#include "server/rpc/kserve_messages.h"

#include <string.h>

#include "base/error.h"
#include "server/buffers.h"
#include "server/rpc/kserve.pb-c.h"

/* What protobuf-c may take for the small part of a request of n bytes: lists of numbers grow fourfold, and what it
 * notes of each field takes as much again. */
#define ARENA_BASE ((size_t)1 << 20)
#define ARENA_FACTOR 8
#define ARENA_MOST ((size_t)256 << 20)

typedef Inference__ModelInferRequest__InferInputTensor__ParametersEntry InputEntry;
typedef Inference__ModelInferRequest__InferRequestedOutputTensor__ParametersEntry OutputEntry;

static enum inlay_err get_size(const char *tensor, const char *key, const Inference__InferParameter *value,
                               uint64_t *size, struct inlay_error *err)
{
	if (value->parameter_choice_case == INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM &&
	    value->int64_param >= 0)
		*size = (uint64_t)value->int64_param;
	else if (value->parameter_choice_case == INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_UINT64_PARAM)
		*size = value->uint64_param;
	else
		return il_fail(err, INLAY_ERR_INVALID, "tensor \"%.64s\": parameter %s: expected an int64 of 0 or more",
		               tensor, key);
	return INLAY_OK;
}

/* One parameter of a tensor; those that mean nothing to us are passed over. */
static enum inlay_err read_parameter(const char *tensor, const char *key, const Inference__InferParameter *value,
                                     struct kserve_place *place, struct inlay_error *err)
{
	static const Inference__InferParameter none = INFERENCE__INFER_PARAMETER__INIT;
	if (!value)
		value = &none;
	if (!strcmp(key, "shared_memory_byte_size"))
		return get_size(tensor, key, value, &place->byte_size, err);
	if (!strcmp(key, "shared_memory_offset"))
		return get_size(tensor, key, value, &place->offset, err);
	if (!strcmp(key, "classification"))
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "tensor \"%.64s\": there are no classes here", tensor);
	if (strcmp(key, "shared_memory_region") != 0)
		return INLAY_OK;
	if (value->parameter_choice_case != INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM)
		return il_fail(err, INLAY_ERR_INVALID, "tensor \"%.64s\": parameter %s: expected a string", tensor,
		               key);
	place->name = value->string_param;
	return INLAY_OK;
}

static enum inlay_err read_input(struct kserve_input *input, const Inference__ModelInferRequest__InferInputTensor *from,
                                 struct inlay_error *err)
{
	*input = (struct kserve_input){
		.name = from->name, .datatype = from->datatype, .shape = from->shape, .dims = from->n_shape
	};
	if (from->contents) {
		input->ints = from->contents->int_contents;
		input->n_ints = from->contents->n_int_contents;
		input->floats = from->contents->fp32_contents;
		input->n_floats = from->contents->n_fp32_contents;
	}
	enum inlay_err rc = INLAY_OK;
	for (size_t i = 0; i < from->n_parameters && !rc; i++) {
		const InputEntry *entry = from->parameters[i];
		rc = read_parameter(from->name, entry->key, entry->value, &input->place, err);
	}
	return rc;
}

static enum inlay_err read_output(struct kserve_output *output,
                                  const Inference__ModelInferRequest__InferRequestedOutputTensor *from,
                                  struct inlay_error *err)
{
	*output = (struct kserve_output){ .name = from->name };
	enum inlay_err rc = INLAY_OK;
	for (size_t i = 0; i < from->n_parameters && !rc; i++) {
		const OutputEntry *entry = from->parameters[i];
		rc = read_parameter(from->name, entry->key, entry->value, &output->place, err);
	}
	return rc;
}

/* Bytes beside the tensors belong to the inputs that have no place, in their order, and to all of these or none. */
static enum inlay_err give_bytes(struct kserve_call *call, const struct span *raw, size_t n, struct inlay_error *err)
{
	size_t wanted = 0;
	for (size_t i = 0; i < call->request.n_inputs; i++) {
		struct kserve_input *input = &call->inputs[i];
		if (input->place.name)
			continue;
		if (wanted < n) {
			input->raw = raw[wanted].data;
			input->raw_size = raw[wanted].size;
		}
		wanted++;
	}
	if (n && n != wanted)
		return il_fail(err, INLAY_ERR_INVALID, "%zu raw_input_contents: expected %zu, one for each input", n,
		               wanted);
	return INLAY_OK;
}

static enum inlay_err read_tensors(struct kserve_call *call, const Inference__ModelInferRequest *message,
                                   struct inlay_error *err)
{
	if (message->n_inputs > KSERVE_TENSORS || message->n_outputs > KSERVE_TENSORS)
		return il_fail(err, INLAY_ERR_INVALID, "%zu inputs and %zu outputs: expected %d at most",
		               message->n_inputs, message->n_outputs, KSERVE_TENSORS);
	enum inlay_err rc = INLAY_OK;
	for (size_t i = 0; i < message->n_inputs && !rc; i++)
		rc = read_input(&call->inputs[i], message->inputs[i], err);
	for (size_t i = 0; i < message->n_outputs && !rc; i++)
		rc = read_output(&call->outputs[i], message->outputs[i], err);
	call->request.inputs = call->inputs;
	call->request.n_inputs = message->n_inputs;
	call->request.outputs = call->outputs;
	call->request.n_outputs = message->n_outputs;
	return rc;
}

enum inlay_err kserve_call_read(struct kserve_call *call, const uint8_t *data, size_t size, struct inlay_error *err)
{
	*call = (struct kserve_call){ .id = "" };
	arena_init(&call->arena, ARENA_BASE + (size < ARENA_MOST / ARENA_FACTOR ? size * ARENA_FACTOR : ARENA_MOST));
	struct span raw[KSERVE_TENSORS], rest;
	size_t n;
	enum inlay_err rc = message_split(data, size, 7, raw, KSERVE_TENSORS, &n, &rest, &call->arena, err);
	if (rc)
		return rc;
	ProtobufCMessage *unpacked;
	rc = message_unpack(&unpacked, &inference__model_infer_request__descriptor, rest.data, rest.size, &call->arena,
	                    err);
	if (rc)
		return rc;
	const Inference__ModelInferRequest *message = (Inference__ModelInferRequest *)unpacked;
	call->request.model = message->model_name;
	call->request.version = message->model_version;
	call->id = message->id;
	if (!message_text_valid(call->id)) {
		call->id = "";
		return il_fail(err, INLAY_ERR_INVALID, "request id: expected UTF-8");
	}
	rc = read_tensors(call, message, err);
	return rc ? rc : give_bytes(call, raw, n, err);
}

void kserve_call_clear(struct kserve_call *call)
{
	arena_destroy(&call->arena);
	*call = (struct kserve_call){ 0 };
}

/* ---- answers ---- */

/* All of an answer but its bytes, with what the message needs to point to. */
struct head {
	Inference__ModelInferResponse message;
	Inference__ModelInferResponse__InferOutputTensor tensor, *tensors[1];
	Inference__ModelInferResponse__InferOutputTensor__ParametersEntry entries[3], *parameters[3];
	Inference__InferParameter values[3];
	int64_t shape[KSERVE_DIMS];
};

static void add_parameter(struct head *head, const char *key, const char *text, uint64_t number)
{
	size_t i = head->tensor.n_parameters++;
	inference__infer_parameter__init(&head->values[i]);
	if (text) {
		head->values[i].parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM;
		head->values[i].string_param = (char *)text;
	} else {
		head->values[i].parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
		head->values[i].int64_param = (int64_t)number;
	}
	inference__model_infer_response__infer_output_tensor__parameters_entry__init(&head->entries[i]);
	head->entries[i].key = (char *)key;
	head->entries[i].value = &head->values[i];
	head->parameters[i] = &head->entries[i];
	head->tensor.parameters = head->parameters;
}

static void fill_head(struct head *head, const struct kserve_inference *inference, const char *id)
{
	const struct kserve_frames *frames = &inference->frames;
	struct kserve_tensor tensors[3];
	kserve_model_tensors(&inference->model, tensors);
	inference__model_infer_response__init(&head->message);
	inference__model_infer_response__infer_output_tensor__init(&head->tensor);
	memcpy(head->shape, tensors[2].shape, sizeof head->shape);
	head->shape[0] = frames->n;
	head->tensor.name = (char *)tensors[2].name;
	head->tensor.datatype = (char *)tensors[2].datatype;
	head->tensor.shape = head->shape;
	head->tensor.n_shape = tensors[2].dims;
	if (frames->place.name) {
		add_parameter(head, "shared_memory_region", frames->place.name, 0);
		add_parameter(head, "shared_memory_byte_size", NULL, frames->output_size);
		if (frames->place.offset)
			add_parameter(head, "shared_memory_offset", NULL, frames->place.offset);
	}
	head->tensors[0] = &head->tensor;
	head->message.outputs = head->tensors;
	head->message.n_outputs = 1;
	head->message.model_name = (char *)inference->model.name;
	head->message.model_version = KSERVE_VERSION;
	head->message.id = (char *)id;
}

/* Tag and length of a field of bytes. */
static size_t put_field(uint8_t *to, unsigned number, size_t size)
{
	to[0] = (uint8_t)(number << 3 | 2);
	return 1 + message_put_varint(to + 1, size);
}

enum inlay_err kserve_answer_begin(struct kserve_answer *answer, const struct kserve_inference *inference,
                                   const char *id, bool stream, struct inlay_error *err)
{
	struct head head = { 0 };
	fill_head(&head, inference, id);
	uint8_t raw[11], outer[11];
	size_t raw_size = 0, outer_size = 0;
	size_t head_size = inference__model_infer_response__get_packed_size(&head.message);
	size_t output = inference->frames.place.name ? 0 : inference->frames.output_size;
	if (output)
		raw_size = put_field(raw, 6, output);
	if (stream)
		outer_size = put_field(outer, 2, head_size + raw_size + output);
	answer->size = outer_size + head_size + raw_size + output;
	answer->data = buffer_take(answer->size);
	if (!answer->data)
		return il_fail_memory(err);
	uint8_t *at = answer->data;
	memcpy(at, outer, outer_size);
	at += outer_size;
	at += inference__model_infer_response__pack(&head.message, at);
	memcpy(at, raw, raw_size);
	answer->output = output ? at + raw_size : NULL;
	return INLAY_OK;
}

void kserve_answer_clear(struct kserve_answer *answer)
{
	buffer_return(answer->data);
	*answer = (struct kserve_answer){ 0 };
}
