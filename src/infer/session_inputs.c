#include "infer/session_inputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/graph.h"

#define MAX_ELEMENTS ((size_t)1 << 31)

/* Element types beyond enum il_onnx_type. */
enum { TYPE_INT8 = 3, TYPE_UINT16 = 4, TYPE_INT16 = 5, TYPE_DOUBLE = 11, TYPE_UINT32 = 12, TYPE_UINT64 = 13 };

/* ---- numbers of any type ---- */

/* xorshift64*, S. Vigna: from 0 to 1. */
static double next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (double)(*state * 0x2545f4914f6cdd1du >> 11) / 9007199254740992.0;
}

/* IEEE binary16. Numbers from 0 to 65504 to it, halves away from it. */
static uint16_t to_half(double value)
{
	int exponent;
	double fraction = frexp(fabs(value), &exponent);
	uint16_t sign = signbit(value) ? 0x8000 : 0;
	if (!(fabs(value) > 0))
		return sign;
	if (exponent < -13)
		return (uint16_t)(sign | (uint16_t)ldexp(fraction, exponent + 24));
	return (uint16_t)(sign | (exponent + 14) << 10 | ((uint16_t)ldexp(fraction, 11) & 0x3ff));
}

static double from_half(uint16_t half)
{
	int exponent = half >> 10 & 31, fraction = half & 0x3ff;
	double value = exponent == 31 ? (fraction ? NAN : INFINITY)
	                              : ldexp(fraction + (exponent ? 1024 : 0), (exponent ? exponent : 1) - 25);
	return half & 0x8000 ? -value : value;
}

static void put(struct il_tensor *tensor, size_t i, double value)
{
	switch (tensor->element) {
	case IL_ONNX_FLOAT: ((float *)tensor->data)[i] = (float)value; return;
	case TYPE_DOUBLE: ((double *)tensor->data)[i] = value; return;
	case IL_ONNX_FLOAT16: ((uint16_t *)tensor->data)[i] = to_half(value); return;
	case IL_ONNX_BOOL: ((uint8_t *)tensor->data)[i] = value != 0; return;
	case IL_ONNX_UINT8: ((uint8_t *)tensor->data)[i] = (uint8_t)value; return;
	case TYPE_INT8: ((int8_t *)tensor->data)[i] = (int8_t)value; return;
	case TYPE_UINT16: ((uint16_t *)tensor->data)[i] = (uint16_t)value; return;
	case TYPE_INT16: ((int16_t *)tensor->data)[i] = (int16_t)value; return;
	case IL_ONNX_INT32: ((int32_t *)tensor->data)[i] = (int32_t)value; return;
	case TYPE_UINT32: ((uint32_t *)tensor->data)[i] = (uint32_t)value; return;
	case IL_ONNX_INT64: ((int64_t *)tensor->data)[i] = (int64_t)value; return;
	case TYPE_UINT64: ((uint64_t *)tensor->data)[i] = (uint64_t)value; return;
	default: return;
	}
}

double il_tensor_get(const struct il_tensor *tensor, size_t i)
{
	switch (tensor->element) {
	case IL_ONNX_FLOAT: return ((const float *)tensor->data)[i];
	case TYPE_DOUBLE: return ((const double *)tensor->data)[i];
	case IL_ONNX_FLOAT16: return from_half(((const uint16_t *)tensor->data)[i]);
	case IL_ONNX_BOOL:
	case IL_ONNX_UINT8: return ((const uint8_t *)tensor->data)[i];
	case TYPE_INT8: return ((const int8_t *)tensor->data)[i];
	case TYPE_UINT16: return ((const uint16_t *)tensor->data)[i];
	case TYPE_INT16: return ((const int16_t *)tensor->data)[i];
	case IL_ONNX_INT32: return ((const int32_t *)tensor->data)[i];
	case TYPE_UINT32: return ((const uint32_t *)tensor->data)[i];
	case IL_ONNX_INT64: return (double)((const int64_t *)tensor->data)[i];
	case TYPE_UINT64: return (double)((const uint64_t *)tensor->data)[i];
	default: return NAN;
	}
}

static bool is_whole(int element)
{
	return element != IL_ONNX_FLOAT && element != TYPE_DOUBLE && element != IL_ONNX_FLOAT16;
}

size_t il_tensor_count(const struct il_tensor *tensor)
{
	size_t element = il_tensor_element_bytes(tensor->element);
	return element ? tensor->bytes / element : 0;
}

/* ---- inputs ---- */

static const struct il_input_choice *find_choice(const struct il_input_choice *choices, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(choices[i].name, name))
			return &choices[i];
	return NULL;
}

static enum inlay_err make_input(const struct il_tensor_desc *desc, const struct il_input_choice *choice,
                                 struct il_tensor *tensor, struct inlay_error *err)
{
	size_t count = 1, element = il_tensor_element_bytes(desc->element);
	if (!element)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "input %s: expected a tensor of numbers", desc->name);
	if (choice && choice->rank >= 0 && choice->rank != desc->rank)
		return il_fail(err, INLAY_ERR_INVALID, "input %s: %d dims were given; the model has %d", desc->name,
		               choice->rank, desc->rank);
	tensor->element = desc->element;
	tensor->rank = desc->rank;
	for (int i = 0; i < desc->rank; i++) {
		int64_t dim = choice && choice->rank >= 0 ? choice->dims[i] : desc->dims[i] >= 0 ? desc->dims[i] : 1;
		if (desc->dims[i] >= 0 && dim != desc->dims[i])
			return il_fail(err, INLAY_ERR_INVALID, "input %s: dim %d is %lld in the model; %lld was given",
			               desc->name, i, (long long)desc->dims[i], (long long)dim);
		tensor->dims[i] = dim;
		if (__builtin_mul_overflow(count, (size_t)dim, &count) || count > MAX_ELEMENTS)
			return il_fail(err, INLAY_ERR_INVALID, "input %s: too large", desc->name);
	}
	tensor->bytes = count * element;
	tensor->data = calloc(count + 1, element);
	return tensor->data ? INLAY_OK : il_fail_memory(err);
}

enum inlay_err il_session_make_inputs(const struct il_session *session, const struct il_input_choice *choices,
                                      size_t n_choices, struct il_tensor **tensors, struct inlay_error *err)
{
	int n = il_session_inputs(session);
	enum inlay_err rc = INLAY_OK;
	*tensors = NULL;
	for (size_t i = 0; i < n_choices; i++)
		if (il_session_find_input(session, choices[i].name) < 0)
			return il_fail(err, INLAY_ERR_INVALID, "no input is named %s", choices[i].name);
	*tensors = calloc((size_t)n + 1, sizeof **tensors);
	if (!*tensors)
		return il_fail_memory(err);
	for (int i = 0; i < n && !rc; i++) {
		const struct il_tensor_desc *desc = il_session_input(session, i);
		rc = make_input(desc, find_choice(choices, n_choices, desc->name), &(*tensors)[i], err);
	}
	if (rc)
		il_session_clear_inputs(session, tensors);
	return rc;
}

void il_session_fill_inputs(const struct il_session *session, const struct il_input_choice *choices, size_t n_choices,
                            struct il_tensor *tensors, double scale, uint64_t *random)
{
	for (int i = 0; i < il_session_inputs(session); i++) {
		const struct il_input_choice *choice =
			find_choice(choices, n_choices, il_session_input(session, i)->name);
		size_t count = il_tensor_count(&tensors[i]);
		for (size_t k = 0; k < count; k++) {
			double value = random ? next_random(random) : 0;
			value = is_whole(tensors[i].element) ? value >= 0.5 : value * scale;
			put(&tensors[i], k, choice && choice->filled ? choice->value : value);
		}
	}
}

void il_session_clear_inputs(const struct il_session *session, struct il_tensor **tensors)
{
	for (int i = 0; *tensors && i < il_session_inputs(session); i++)
		il_tensor_clear(&(*tensors)[i]);
	free(*tensors);
	*tensors = NULL;
}
