/* Tensors of a request against what the model takes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "server/kserve.h"

struct reading {
	const struct kserve_request *request;
	const struct kserve_model *model;
	struct regions *regions; /* or NULL */
	struct kserve_frames *frames;
};

static const struct kserve_input *find_input(const struct kserve_request *request, const char *name)
{
	for (size_t i = 0; i < request->n_inputs; i++)
		if (!strcmp(request->inputs[i].name, name))
			return &request->inputs[i];
	return NULL;
}

/* "[3,32,16,16]", cut where it is too long. */
static const char *shape_text(char *text, size_t room, const int64_t *shape, size_t dims)
{
	size_t at = (size_t)snprintf(text, room, "[");
	for (size_t i = 0; i < dims && at < room - 32; i++)
		at += (size_t)snprintf(text + at, room - at, i ? ",%" PRId64 : "%" PRId64, shape[i]);
	snprintf(text + at, room - at, "]");
	return text;
}

static enum inlay_err fail_shape(const struct kserve_input *input, const struct kserve_tensor *tensor,
                                 struct inlay_error *err)
{
	char found[128], expected[128];
	return il_fail(err, INLAY_ERR_INVALID,
	               "input \"%s\": shape %s: expected %s, the first 1 to %d and the same of all", tensor->name,
	               shape_text(found, sizeof found, input->shape, input->dims),
	               shape_text(expected, sizeof expected, tensor->shape, tensor->dims), IL_MOUTHS_MAX);
}

/* n: frames, 0 where this is the first input. */
static enum inlay_err check_shape(const struct kserve_input *input, const struct kserve_tensor *tensor, unsigned *n,
                                  struct inlay_error *err)
{
	if (strcmp(input->datatype, tensor->datatype) != 0)
		return il_fail(err, INLAY_ERR_INVALID, "input \"%s\": datatype \"%.32s\": expected %s", tensor->name,
		               input->datatype, tensor->datatype);
	if (input->dims != tensor->dims || input->shape[0] < 1 || input->shape[0] > IL_MOUTHS_MAX ||
	    (*n && input->shape[0] != *n))
		return fail_shape(input, tensor, err);
	for (unsigned i = 1; i < tensor->dims; i++)
		if (input->shape[i] != tensor->shape[i])
			return fail_shape(input, tensor, err);
	*n = (unsigned)input->shape[0];
	return INLAY_OK;
}

static enum inlay_err check_size(const char *name, size_t found, size_t expected, const char *what,
                                 struct inlay_error *err)
{
	if (found == expected)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_INVALID, "input \"%s\": %zu %s: expected %zu, as its shape says", name, found,
	               what, expected);
}

/* The tensor's numbers: where they are if that is aligned for them, else in `copy`, [count * 4 bytes]. */
static enum inlay_err read_numbers(const struct reading *reading, const struct kserve_input *input, size_t count,
                                   void *copy, const void **numbers, struct inlay_error *err)
{
	const char *name = input->name;
	enum inlay_err rc;
	*numbers = copy;
	if (input->place.name) {
		if (!reading->regions)
			return il_fail(err, INLAY_ERR_UNSUPPORTED, "input \"%s\": shared memory is not allowed here",
			               name);
		rc = check_size(name, input->place.byte_size, count * 4, "bytes of shared memory", err);
		return rc ? rc
		          : regions_read(reading->regions, input->place.name, input->place.offset, copy, count * 4,
		                         err);
	}
	if (input->raw) {
		rc = check_size(name, input->raw_size, count * 4, "bytes", err);
		if (!rc && (uintptr_t)input->raw % 4 == 0)
			*numbers = input->raw;
		else if (!rc)
			memcpy(copy, input->raw, count * 4);
		return rc;
	}
	bool ints = !strcmp(input->datatype, "INT32");
	*numbers = ints ? (const void *)input->ints : input->floats;
	return check_size(name, ints ? input->n_ints : input->n_floats, count, "numbers", err);
}

static enum inlay_err read_index(const struct reading *reading, const struct kserve_input *input, int32_t *copy,
                                 struct inlay_error *err)
{
	struct kserve_frames *frames = reading->frames;
	const void *numbers;
	enum inlay_err rc = read_numbers(reading, input, frames->n, copy, &numbers, err);
	for (unsigned i = 0; i < frames->n && !rc; i++) {
		frames->frames[i] = ((const int32_t *)numbers)[i];
		if (frames->frames[i] < 0 || frames->frames[i] >= reading->model->frames)
			rc = il_fail(err, INLAY_ERR_INVALID,
			             "input \"%s\": frame %" PRId64 " of model \"%s\": expected 0..%" PRId64,
			             input->name, frames->frames[i], reading->model->name, reading->model->frames - 1);
	}
	return rc;
}

static enum inlay_err read_audio(const struct reading *reading, const struct kserve_input *input, float *copy,
                                 struct inlay_error *err)
{
	struct kserve_frames *frames = reading->frames;
	size_t window = reading->model->info.window_floats, count = frames->n * window;
	const void *numbers;
	enum inlay_err rc = read_numbers(reading, input, count, copy, &numbers, err);
	if (rc)
		return rc;
	const float *audio = numbers;
	/* Exponents of all ones: infinite or not a number. In this form the compiler makes vectors of it. */
	uint32_t faults = 0;
	for (size_t i = 0; i < count; i++) {
		uint32_t bits;
		memcpy(&bits, &audio[i], sizeof bits);
		faults |= (bits & 0x7f800000u) == 0x7f800000u;
	}
	if (faults)
		return il_fail(err, INLAY_ERR_INVALID, "input \"%s\": a number that is not finite", input->name);
	for (unsigned i = 0; i < frames->n; i++)
		frames->windows[i] = audio + i * window;
	return INLAY_OK;
}

static enum inlay_err read_output(const struct reading *reading, struct inlay_error *err)
{
	const struct kserve_request *request = reading->request;
	struct kserve_frames *frames = reading->frames;
	if (request->n_outputs > 1 || (request->n_outputs && strcmp(request->outputs[0].name, KSERVE_OUTPUT) != 0))
		return il_fail(err, INLAY_ERR_INVALID, "%zu outputs, the first \"%.64s\": expected \"%s\" alone",
		               request->n_outputs, request->outputs[0].name, KSERVE_OUTPUT);
	if (request->n_outputs)
		frames->place = request->outputs[0].place;
	if (frames->place.name && !reading->regions)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "output \"%s\": shared memory is not allowed here",
		               KSERVE_OUTPUT);
	if (frames->place.name && frames->place.byte_size < frames->output_size)
		return il_fail(err, INLAY_ERR_INVALID,
		               "output \"%s\": %" PRIu64 " bytes of shared memory: expected %zu at least",
		               KSERVE_OUTPUT, frames->place.byte_size, frames->output_size);
	return INLAY_OK;
}

/* One block for all arrays, the widest first. */
static enum inlay_err allocate(struct kserve_frames *frames, size_t window, int32_t **ints, float **floats,
                               struct inlay_error *err)
{
	size_t n = frames->n;
	size_t each = sizeof *frames->frames + sizeof *frames->windows + sizeof *frames->mouths + sizeof **ints +
	              window * sizeof **floats;
	frames->memory = malloc(n * each);
	if (!frames->memory)
		return il_fail_memory(err);
	frames->frames = frames->memory;
	frames->windows = (const float **)(frames->frames + n);
	frames->mouths = (uint8_t **)(frames->windows + n);
	*ints = (int32_t *)(frames->mouths + n);
	*floats = (float *)(*ints + n);
	return INLAY_OK;
}

static enum inlay_err read_all(struct reading *reading, struct inlay_error *err)
{
	const struct kserve_request *request = reading->request;
	struct kserve_tensor tensors[3];
	kserve_model_tensors(reading->model, tensors);
	const struct kserve_input *index = find_input(request, KSERVE_INDEX),
				  *audio = find_input(request, KSERVE_AUDIO);
	if (request->n_inputs != 2 || !index || !audio)
		return il_fail(err, INLAY_ERR_INVALID, "model \"%s\": %zu inputs: expected \"%s\" and \"%s\"",
		               reading->model->name, request->n_inputs, KSERVE_INDEX, KSERVE_AUDIO);
	struct kserve_frames *frames = reading->frames;
	enum inlay_err rc = check_shape(index, &tensors[0], &frames->n, err);
	if (!rc)
		rc = check_shape(audio, &tensors[1], &frames->n, err);
	if (rc)
		return rc;
	frames->output_size = (size_t)frames->n * (size_t)tensors[2].shape[1] * (size_t)tensors[2].shape[2] * 3;
	int32_t *ints = NULL;
	float *floats = NULL;
	rc = read_output(reading, err);
	if (!rc)
		rc = allocate(frames, reading->model->info.window_floats, &ints, &floats, err);
	if (!rc)
		rc = read_index(reading, index, ints, err);
	return rc ? rc : read_audio(reading, audio, floats, err);
}

enum inlay_err kserve_frames_read(struct kserve_frames *frames, const struct kserve_request *request,
                                  const struct kserve_model *model, struct regions *regions, struct inlay_error *err)
{
	*frames = (struct kserve_frames){ 0 };
	struct reading reading = { .request = request, .model = model, .regions = regions, .frames = frames };
	enum inlay_err rc = read_all(&reading, err);
	if (rc)
		kserve_frames_clear(frames);
	return rc;
}

void kserve_frames_clear(struct kserve_frames *frames)
{
	free(frames->memory);
	*frames = (struct kserve_frames){ 0 };
}

void kserve_model_tensors(const struct kserve_model *model, struct kserve_tensor tensors[3])
{
	const struct il_mouths_info *info = &model->info;
	tensors[0] = (struct kserve_tensor){ .name = KSERVE_INDEX, .datatype = "INT32", .shape = { -1 }, .dims = 1 };
	tensors[1] = (struct kserve_tensor){ .name = KSERVE_AUDIO, .datatype = "FP32", .shape = { -1 }, .dims = 1 };
	for (int i = 0; i < 3 && info->audio_dims[i]; i++)
		tensors[1].shape[tensors[1].dims++] = info->audio_dims[i];
	tensors[2] = (struct kserve_tensor){
		.name = KSERVE_OUTPUT, .datatype = "UINT8", .shape = { -1, info->size, info->size, 3 }, .dims = 4
	};
}
