#include "server/http/kserve_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"

#define NEST 8 /* lists in lists */

/* ---- requests ---- */

static enum inlay_err get_text(const json_t *object, const char *key, const char *where, const char **text,
                               struct inlay_error *err)
{
	const json_t *value = json_object_get(object, key);
	*text = json_string_value(value);
	if (*text && strlen(*text) == json_string_length(value))
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_FORMAT, "%s: %s is %s: expected a string", where, key, il_json_kind(value));
}

static enum inlay_err get_size(const json_t *parameters, const char *key, const char *tensor, uint64_t *size,
                               struct inlay_error *err)
{
	const json_t *value = json_object_get(parameters, key);
	if (!value)
		return INLAY_OK;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return il_fail(err, INLAY_ERR_FORMAT, "tensor \"%.64s\": %s: expected a whole number of 0 or more",
		               tensor, key);
	*size = (uint64_t)json_integer_value(value);
	return INLAY_OK;
}

static enum inlay_err get_place(const json_t *parameters, const char *tensor, struct kserve_place *place,
                                struct inlay_error *err)
{
	enum inlay_err rc = get_size(parameters, "shared_memory_byte_size", tensor, &place->byte_size, err);
	if (!rc)
		rc = get_size(parameters, "shared_memory_offset", tensor, &place->offset, err);
	if (!rc && json_object_get(parameters, "classification"))
		rc = il_fail(err, INLAY_ERR_UNSUPPORTED, "tensor \"%.64s\": there are no classes here", tensor);
	if (!rc && json_object_get(parameters, "shared_memory_region"))
		rc = get_text(parameters, "shared_memory_region", tensor, &place->name, err);
	return rc;
}

static enum inlay_err read_shape(const json_t *tensor, int64_t shape[8], struct kserve_input *input,
                                 struct inlay_error *err)
{
	const json_t *list = json_object_get(tensor, "shape");
	if (!json_is_array(list) || json_array_size(list) > 8)
		return il_fail(err, INLAY_ERR_FORMAT,
		               "input \"%.64s\": shape is %s: expected a list of up to 8 numbers", input->name,
		               il_json_kind(list));
	input->dims = json_array_size(list);
	input->shape = shape;
	for (size_t i = 0; i < input->dims; i++) {
		const json_t *side = json_array_get(list, i);
		if (!json_is_integer(side))
			return il_fail(err, INLAY_ERR_FORMAT, "input \"%.64s\": shape holds %s: expected whole numbers",
			               input->name, il_json_kind(side));
		shape[i] = json_integer_value(side);
	}
	return INLAY_OK;
}

static bool count_numbers(const json_t *value, unsigned depth, size_t *n)
{
	if (json_is_number(value)) {
		++*n;
		return true;
	}
	if (!json_is_array(value) || depth == NEST)
		return false;
	for (size_t i = 0; i < json_array_size(value); i++)
		if (!count_numbers(json_array_get(value, i), depth + 1, n))
			return false;
	return true;
}

/* False for what is no number of its kind. */
static bool put_number(const json_t *value, bool ints, void *to, size_t i)
{
	if (!ints) {
		((float *)to)[i] = (float)json_number_value(value);
		return true;
	}
	json_int_t number = json_integer_value(value);
	((int32_t *)to)[i] = (int32_t)number;
	return json_is_integer(value) && number >= INT32_MIN && number <= INT32_MAX;
}

static bool put_numbers(const json_t *value, bool ints, void *to, size_t *n)
{
	if (json_is_number(value))
		return put_number(value, ints, to, (*n)++);
	for (size_t i = 0; i < json_array_size(value); i++)
		if (!put_numbers(json_array_get(value, i), ints, to, n))
			return false;
	return true;
}

static enum inlay_err read_data(const json_t *data, struct kserve_input *input, void **numbers, struct inlay_error *err)
{
	bool ints = !strcmp(input->datatype, "INT32");
	size_t n = 0, at = 0;
	if (!json_is_array(data) || !count_numbers(data, 0, &n))
		return il_fail(err, INLAY_ERR_FORMAT,
		               "input \"%.64s\": data is %s: expected a list of numbers, or lists of them", input->name,
		               json_is_array(data) ? "not all numbers" : il_json_kind(data));
	*numbers = malloc((n + 1) * 4);
	if (!*numbers)
		return il_fail_memory(err);
	if (!put_numbers(data, ints, *numbers, &at))
		return il_fail(err, INLAY_ERR_FORMAT, "input \"%.64s\": data: expected whole numbers of 32 bits",
		               input->name);
	if (ints) {
		input->ints = *numbers;
		input->n_ints = n;
	} else {
		input->floats = *numbers;
		input->n_floats = n;
	}
	return INLAY_OK;
}

struct rest {
	const uint8_t *data; /* bytes behind the JSON that belong to nobody yet */
	size_t size;
};

static enum inlay_err read_input(struct kserve_json *json, size_t i, const json_t *tensor, struct rest *rest,
                                 struct inlay_error *err)
{
	struct kserve_input *input = &json->inputs[i];
	const json_t *parameters = json_object_get(tensor, "parameters");
	uint64_t bytes = UINT64_MAX;
	enum inlay_err rc = get_text(tensor, "name", "input", &input->name, err);
	if (!rc)
		rc = get_text(tensor, "datatype", "input", &input->datatype, err);
	if (!rc)
		rc = read_shape(tensor, json->shapes[i], input, err);
	if (!rc)
		rc = get_place(parameters, input->name, &input->place, err);
	if (!rc)
		rc = get_size(parameters, "binary_data_size", input->name, &bytes, err);
	if (rc || input->place.name)
		return rc;
	if (bytes == UINT64_MAX)
		return read_data(json_object_get(tensor, "data"), input, &json->numbers[i], err);
	if (bytes > rest->size)
		return il_fail(err, INLAY_ERR_INVALID,
		               "input \"%.64s\": binary_data_size %llu: expected %zu at most, which are left",
		               input->name, (unsigned long long)bytes, rest->size);
	input->raw = rest->data;
	input->raw_size = (size_t)bytes;
	rest->data += bytes;
	rest->size -= (size_t)bytes;
	return INLAY_OK;
}

static enum inlay_err read_output(struct kserve_json *json, size_t i, const json_t *tensor, struct inlay_error *err)
{
	struct kserve_output *output = &json->outputs[i];
	const json_t *parameters = json_object_get(tensor, "parameters");
	const json_t *binary = json_object_get(parameters, "binary_data");
	enum inlay_err rc = get_text(tensor, "name", "output", &output->name, err);
	if (!rc)
		rc = get_place(parameters, output->name, &output->place, err);
	if (binary)
		json->binary = json_is_true(binary);
	return rc;
}

static enum inlay_err get_list(const json_t *root, const char *key, size_t *n, json_t **list, struct inlay_error *err)
{
	*list = json_object_get(root, key);
	*n = json_array_size(*list);
	if ((!*list || json_is_array(*list)) && *n <= KSERVE_JSON_TENSORS)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_FORMAT, "%s: expected a list of up to %d", key, KSERVE_JSON_TENSORS);
}

static enum inlay_err read_root(struct kserve_json *json, struct rest *rest, struct inlay_error *err)
{
	json_t *inputs, *outputs;
	struct kserve_request *request = &json->request;
	if (!json_is_object(json->root))
		return il_fail(err, INLAY_ERR_FORMAT, "request: %s: expected an object", il_json_kind(json->root));
	json->binary = json_is_true(json_object_get(json_object_get(json->root, "parameters"), "binary_data_output"));
	enum inlay_err rc =
		json_object_get(json->root, "id") ? get_text(json->root, "id", "request", &json->id, err) : INLAY_OK;
	if (!rc)
		rc = get_list(json->root, "inputs", &request->n_inputs, &inputs, err);
	if (!rc)
		rc = get_list(json->root, "outputs", &request->n_outputs, &outputs, err);
	for (size_t i = 0; !rc && i < request->n_inputs; i++)
		rc = read_input(json, i, json_array_get(inputs, i), rest, err);
	for (size_t i = 0; !rc && i < request->n_outputs; i++)
		rc = read_output(json, i, json_array_get(outputs, i), err);
	request->inputs = json->inputs;
	request->outputs = json->outputs;
	if (!rc && rest->size)
		rc = il_fail(err, INLAY_ERR_INVALID, "%zu bytes behind the tensors: expected none", rest->size);
	return rc;
}

/* Digits alone: strtoull takes signs and spaces, too. */
static bool read_length(const char *text, size_t *length)
{
	*length = 0;
	for (const char *at = text; *at; at++) {
		if (*at < '0' || *at > '9' || *length > SIZE_MAX / 16)
			return false;
		*length = *length * 10 + (size_t)(*at - '0');
	}
	return *text != 0;
}

enum inlay_err kserve_json_read(struct kserve_json *json, const uint8_t *body, size_t size, const char *header,
                                struct inlay_error *err)
{
	*json = (struct kserve_json){ 0 };
	size_t length = size;
	if (header && (!read_length(header, &length) || length > size))
		return il_fail(err, INLAY_ERR_INVALID,
		               "Inference-Header-Content-Length: expected 0..%zu, bytes of the body", size);
	if (length > KSERVE_JSON_MAX)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%zu bytes of JSON: expected %zu at most: send tensors as binary data", length,
		               KSERVE_JSON_MAX);
	struct rest rest = { body + length, size - length };
	enum inlay_err rc = il_json_parse(body, length, "request", &json->root, err);
	return rc ? rc : read_root(json, &rest, err);
}

void kserve_json_clear(struct kserve_json *json)
{
	for (int i = 0; i < KSERVE_JSON_TENSORS; i++)
		free(json->numbers[i]);
	json_decref(json->root);
	*json = (struct kserve_json){ 0 };
}

/* ---- answers ---- */

static json_t *output_json(const struct kserve_json *json, const struct kserve_inference *inference)
{
	const struct kserve_frames *frames = &inference->frames;
	const struct kserve_place *place = &frames->place;
	json_int_t size = (json_int_t)frames->output_size, side = inference->model.info.size;
	json_t *output = json_pack("{s:s, s:s, s:[I,I,I,i]}", "name", KSERVE_OUTPUT, "datatype", "UINT8", "shape",
	                           (json_int_t)frames->n, side, side, 3);
	if (place->name)
		json_object_set_new(output, "parameters",
		                    json_pack("{s:s, s:I, s:I}", "shared_memory_region", place->name,
		                              "shared_memory_byte_size", size, "shared_memory_offset",
		                              (json_int_t)place->offset));
	else if (json->binary)
		json_object_set_new(output, "parameters", json_pack("{s:I}", "binary_data_size", size));
	else
		json_object_set_new(output, "data", json_array());
	return output;
}

enum inlay_err kserve_json_answer(struct il_bytes *answer, size_t *gap, const struct kserve_json *json,
                                  const struct kserve_inference *inference, struct inlay_error *err)
{
	*gap = 0;
	json_t *root = json_pack("{s:s, s:s}", "model_name", inference->model.name, "model_version", KSERVE_VERSION);
	if (json->id)
		json_object_set_new(root, "id", json_string(json->id));
	json_object_set_new(root, "outputs", json_pack("[o]", output_json(json, inference)));
	answer->data = (uint8_t *)json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!answer->data)
		return il_fail_memory(err);
	answer->size = strlen((char *)answer->data);
	/* The data come last: an empty list before the end of tensor, list and answer. */
	if (!inference->frames.place.name && !json->binary)
		*gap = answer->size - strlen("]}]}");
	return INLAY_OK;
}

enum inlay_err kserve_json_fill(struct il_bytes *filled, const struct il_bytes *answer, size_t gap,
                                const uint8_t *output, size_t size, struct inlay_error *err)
{
	*filled = (struct il_bytes){ 0 };
	filled->data = malloc(answer->size + 4 * size + 1);
	if (!filled->data)
		return il_fail_memory(err);
	memcpy(filled->data, answer->data, gap);
	uint8_t *at = filled->data + gap;
	for (size_t i = 0; i < size; i++) {
		unsigned byte = output[i];
		if (i)
			*at++ = ',';
		if (byte >= 100)
			*at++ = (uint8_t)('0' + byte / 100);
		if (byte >= 10)
			*at++ = (uint8_t)('0' + byte / 10 % 10);
		*at++ = (uint8_t)('0' + byte % 10);
	}
	memcpy(at, answer->data + gap, answer->size - gap);
	filled->size = (size_t)(at - filled->data) + answer->size - gap;
	filled->data[filled->size] = 0;
	return INLAY_OK;
}
