/* The one ONNX Runtime of this process: its function table, its environment, and what its errors become. */
#ifndef IL_INFER_RUNTIME_H
#define IL_INFER_RUNTIME_H

#include <onnxruntime_c_api.h>

#include "base/error.h"

struct il_runtime {
	const OrtApi *api;
	OrtEnv *env;
	OrtMemoryInfo *cpu; /* where the tensors that we bind live */
};

/* Made by the first call and kept until the process ends; any thread. A failure is the same at every call. */
enum inlay_err il_runtime_get(const struct il_runtime **runtime, struct inlay_error *err);

/* il_fail with ": " and the status's text, brought to one line, behind; releases the status. */
__attribute__((format(printf, 5, 6), cold)) enum inlay_err il_runtime_fail(const struct il_runtime *runtime,
                                                                           OrtStatus *status, struct inlay_error *err,
                                                                           enum inlay_err code, const char *format,
                                                                           ...);

/* In place: every control character becomes a space, runs of spaces become one, none at the ends. */
void il_one_line(char *text);

#endif
