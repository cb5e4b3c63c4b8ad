#include "infer/session_inputs.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/graph.h"
#include "kernel/half.h"

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

/* `value` is in the type's range. */
static void put(struct il_tensor *tensor, size_t i, double value)
{
	switch (tensor->element) {
	case IL_ONNX_FLOAT: ((float *)tensor->data)[i] = (float)value; return;
	case TYPE_DOUBLE: ((double *)tensor->data)[i] = value; return;
	case IL_ONNX_FLOAT16: ((uint16_t *)tensor->data)[i] = il_half_of_float((float)value); return;
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
	case IL_ONNX_FLOAT16: return il_float_of_half(((const uint16_t *)tensor->data)[i]);
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

/* As doubles: the ends of 64 bits are the nearest inside. */
static const struct range {
	int element;
	const char *name;
	double low, high;
} ranges[] = {
	{ IL_ONNX_FLOAT, "float32", -FLT_MAX, FLT_MAX },
	{ IL_ONNX_FLOAT16, "float16", -65504, 65504 },
	{ IL_ONNX_UINT8, "uint8", 0, UINT8_MAX },
	{ TYPE_INT8, "int8", INT8_MIN, INT8_MAX },
	{ TYPE_UINT16, "uint16", 0, UINT16_MAX },
	{ TYPE_INT16, "int16", INT16_MIN, INT16_MAX },
	{ IL_ONNX_INT32, "int32", INT32_MIN, INT32_MAX },
	{ TYPE_UINT32, "uint32", 0, UINT32_MAX },
	{ IL_ONNX_INT64, "int64", (double)INT64_MIN, 0x1.fffffffffffffp+62 },
	{ TYPE_UINT64, "uint64", 0, 0x1.fffffffffffffp+63 },
};

/* The range that does not hold `value`; NULL where it fits. Infinity and NaN fit what has them. */
static const struct range *exceeded(int element, double value)
{
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (ranges[i].element == element && !(value >= ranges[i].low && value <= ranges[i].high) &&
		    (isfinite(value) || is_whole(element)))
			return &ranges[i];
	return NULL;
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

static enum inlay_err make_dims(const char *path, const struct il_tensor_desc *desc,
                                const struct il_input_choice *choice, struct il_tensor *tensor, size_t *count,
                                struct inlay_error *err)
{
	*count = 1;
	for (int i = 0; i < desc->rank; i++) {
		int64_t dim = choice && choice->rank >= 0 ? choice->dims[i] : desc->dims[i] >= 0 ? desc->dims[i] : 1;
		if (desc->dims[i] >= 0 && dim != desc->dims[i])
			return il_fail(err, INLAY_ERR_INVALID,
			               "%s: input %s: dim %d is %lld in the model; %lld was given", path, desc->name, i,
			               (long long)desc->dims[i], (long long)dim);
		tensor->dims[i] = dim;
		if (__builtin_mul_overflow(*count, (size_t)dim, count) || *count > MAX_ELEMENTS)
			return il_fail(err, INLAY_ERR_INVALID,
			               "%s: input %s: more than %zu numbers; fix its dims with --input", path,
			               desc->name, MAX_ELEMENTS);
	}
	return INLAY_OK;
}

static enum inlay_err make_input(const char *path, const struct il_tensor_desc *desc,
                                 const struct il_input_choice *choice, struct il_tensor *tensor,
                                 struct inlay_error *err)
{
	size_t count, element = il_tensor_element_bytes(desc->element);
	if (!element)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: input %s: expected a tensor of numbers", path,
		               desc->name);
	if (choice && choice->rank >= 0 && choice->rank != desc->rank)
		return il_fail(err, INLAY_ERR_INVALID, "%s: input %s: %d dims were given; the model has %d", path,
		               desc->name, choice->rank, desc->rank);
	const struct range *range = choice && choice->filled ? exceeded(desc->element, choice->value) : NULL;
	if (range)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: input %s: %.17g was given; expected %s, from %.17g to %.17g", path, desc->name,
		               choice->value, range->name, range->low, range->high);
	tensor->element = desc->element;
	tensor->rank = desc->rank;
	enum inlay_err rc = make_dims(path, desc, choice, tensor, &count, err);
	if (rc)
		return rc;
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
			return il_fail(err, INLAY_ERR_INVALID, "%s: no input is named %s", il_session_name(session),
			               choices[i].name);
	*tensors = calloc((size_t)n + 1, sizeof **tensors);
	if (!*tensors)
		return il_fail_memory(err);
	for (int i = 0; i < n && !rc; i++) {
		const struct il_input_choice *choice =
			find_choice(choices, n_choices, il_session_input_name(session, i));
		rc = make_input(il_session_name(session), il_session_input(session, i), choice, &(*tensors)[i], err);
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
			find_choice(choices, n_choices, il_session_input_name(session, i));
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
