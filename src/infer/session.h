/* An ONNX model on ONNX Runtime: the only folder that knows it. */
#ifndef IL_INFER_SESSION_H
#define IL_INFER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define IL_TENSOR_MAX_RANK 8
#define IL_TENSOR_NAME 128

enum il_tensor_type { IL_TENSOR_F32, IL_TENSOR_F16, IL_TENSOR_U8, IL_TENSOR_I32, IL_TENSOR_I64, IL_TENSOR_OTHER };

/* An input or output as the model declares it; dims < 0 are free. */
struct il_tensor_desc {
	char name[IL_TENSOR_NAME]; /* for people: cut where it is long, on one line; il_session_input_name is whole */
	enum il_tensor_type type;
	int element; /* the ONNX format's number of the type (enum il_onnx_type has the common ones); 0: no tensor */
	int rank;
	int64_t dims[IL_TENSOR_MAX_RANK];
};

/* "float32 [n,6,320,320]" into `text` (a free dim past the first is "?"); returns text. */
const char *il_tensor_format(const struct il_tensor_desc *desc, char *text, size_t size);

struct il_session_params {
	unsigned threads;     /* of one run; 0 or 1: the caller's thread alone, which spins on nothing */
	const float *weights; /* of fused operators (fused_ops.h), while the session is opened */
	size_t weight_count;
	struct il_fused_blocks *blocks; /* fused_blocks.h, of all sessions of the network; NULL: the session's own */
	bool as_it_is;                  /* node by node as the model says: nothing folded, fused or laid out anew */
	const char *profile;            /* begins the name of a file in which the runtime notes times; NULL: none */
};

/* Runs are serialised by the caller; different sessions run side by side. */
struct il_session;

/* A file that is not ONNX, or that ONNX Runtime refuses, is INLAY_ERR_FORMAT with the runtime's reason. */
enum inlay_err il_session_open(struct il_session **session, const char *path, const struct il_session_params *params,
                               struct inlay_error *err);
/* The same from memory, which may go when this returns; `name` is for messages. */
enum inlay_err il_session_open_memory(struct il_session **session, const void *data, size_t size, const char *name,
                                      const struct il_session_params *params, struct inlay_error *err);
void il_session_destroy(struct il_session **session);

const char *il_session_name(const struct il_session *session); /* for messages: the path, or as given to open */
int il_session_inputs(const struct il_session *session);
int il_session_outputs(const struct il_session *session);
const struct il_tensor_desc *il_session_input(const struct il_session *session, int i);
const struct il_tensor_desc *il_session_output(const struct il_session *session, int i);
/* "inputs: a float32 [n,2], b int64 []; outputs: c float32 [n,3]" into `text`; returns text. */
const char *il_session_format(const struct il_session *session, char *text, size_t size);
/* As the model has them, for look-ups; the session's. */
const char *il_session_input_name(const struct il_session *session, int i);
const char *il_session_output_name(const struct il_session *session, int i);
/* Index by whole name, or -1. */
int il_session_find_input(const struct il_session *session, const char *name);
int il_session_find_output(const struct il_session *session, const char *name);

/* Runs once with the bound inputs and puts what came out into `outputs`, one for each output of the model: as declared,
 * with the shapes that this run gave. For models that leave shapes free; allocates. Bound outputs are not written. */
enum inlay_err il_session_probe(struct il_session *session, struct il_tensor_desc *outputs, struct inlay_error *err);

/* Float32 memory of the caller bound to an input or output for all later runs, until bound again. The runtime reads
 * and writes it in place: no copy, no allocation. A port remembers the last few bindings, so that going to and fro
 * between them allocates nothing either. */
enum inlay_err il_session_bind_input(struct il_session *session, int i, float *data, int rank, const int64_t *dims,
                                     struct inlay_error *err);
enum inlay_err il_session_bind_output(struct il_session *session, int i, float *data, int rank, const int64_t *dims,
                                      struct inlay_error *err);
/* The same for inputs of uint8 and float16 (which is only read), and for an output of uint8. */
enum inlay_err il_session_bind_input_bytes(struct il_session *session, int i, uint8_t *data, int rank,
                                           const int64_t *dims, struct inlay_error *err);
enum inlay_err il_session_bind_input_halves(struct il_session *session, int i, const uint16_t *data, int rank,
                                            const int64_t *dims, struct inlay_error *err);
enum inlay_err il_session_bind_output_bytes(struct il_session *session, int i, uint8_t *data, int rank,
                                            const int64_t *dims, struct inlay_error *err);
/* Blocks until the outputs are written. Every input and at least one output is bound. */
enum inlay_err il_session_run(struct il_session *session, struct inlay_error *err);

/* A tensor of any type of numbers. Those of outputs come from malloc; il_tensor_clear frees them. */
struct il_tensor {
	int element; /* as in il_tensor_desc; 0 for outputs that are no tensors of numbers */
	int rank;
	int64_t dims[IL_TENSOR_MAX_RANK];
	void *data;
	size_t bytes;
};
void il_tensor_clear(struct il_tensor *tensor);
/* Bytes of one element; 0 where it is no number of whole bytes. */
size_t il_tensor_element_bytes(int element);

/* Runs once on one tensor an input, in the model's order, and gives one an output, of the shapes of this run. Copies
 * and allocates; what is bound does not matter. The outputs are {0} after a failure. */
enum inlay_err il_session_run_tensors(struct il_session *session, const struct il_tensor *inputs,
                                      struct il_tensor *outputs, struct inlay_error *err);

/* Ends the profile asked for at opening; *path, for free(), is the file that the runtime wrote: JSON events. */
enum inlay_err il_session_end_profile(struct il_session *session, char **path, struct inlay_error *err);

/* "1.30.0" */
const char *il_infer_runtime_version(void);

#endif
