/* Where a model spends its time on ONNX Runtime. */
#ifndef IL_INFER_MODEL_TIME_H
#define IL_INFER_MODEL_TIME_H

#include "infer/session_inputs.h"

/* One node as the runtime has it after its own fusing: names need not be the file's, but hold
 * those whole, whatever bytes they are. */
struct il_kernel_time {
	char *name, *op_type;
	double ms; /* median over the runs */
};

struct il_model_time {
	struct il_kernel_time *kernels; /* in order of the runs */
	size_t n_kernels;
	double run_ms; /* median of whole runs */
};

/* Runs the model on random inputs, `runs` times after one that does not count. *time is for il_model_time_clear. */
enum inlay_err il_model_time(const char *path, const struct il_input_choice *choices, size_t n_choices,
                             unsigned threads, unsigned runs, struct il_model_time *time, struct inlay_error *err);
void il_model_time_clear(struct il_model_time *time);

#endif
