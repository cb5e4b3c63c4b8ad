/* Inputs for a model of which nothing is known but what it declares. */
#ifndef IL_INFER_SESSION_INPUTS_H
#define IL_INFER_SESSION_INPUTS_H

#include "infer/session.h"

/* What an input gets where the model leaves it open. */
struct il_input_choice {
	const char *name; /* whole */
	int rank;         /* -1: as the model has it */
	int64_t dims[IL_TENSOR_MAX_RANK];
	bool filled; /* every element is `value` instead of a random number */
	double value;
};

/* *tensors: one an input of the session, in its order, of zeros; il_session_clear_inputs frees them. Free dims that no
 * choice fixes are 1. A choice that fits no input, or a value that its type cannot hold, is INLAY_ERR_INVALID, an input
 * that is no tensor of numbers INLAY_ERR_UNSUPPORTED. */
enum inlay_err il_session_make_inputs(const struct il_session *session, const struct il_input_choice *choices,
                                      size_t n_choices, struct il_tensor **tensors, struct inlay_error *err);
/* Random floats from 0 to `scale`, whole numbers 0 or 1; or zeros, where `random` is NULL. What a choice fills has its
 * value. *random, not 0, is the generator's state. */
void il_session_fill_inputs(const struct il_session *session, const struct il_input_choice *choices, size_t n_choices,
                            struct il_tensor *tensors, double scale, uint64_t *random);
void il_session_clear_inputs(const struct il_session *session, struct il_tensor **tensors);

/* Element i as a number; NAN where the tensor holds none. */
double il_tensor_get(const struct il_tensor *tensor, size_t i);
size_t il_tensor_count(const struct il_tensor *tensor);

#endif
