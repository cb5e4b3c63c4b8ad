/* The messages that `inlay loadgen` sends and reads. */
#ifndef SERVER_LOADGEN_MESSAGES_H
#define SERVER_LOADGEN_MESSAGES_H

#include "base/error.h"
#include "server/wire.h"

#define LOADGEN_LIST "/inference.GRPCInferenceService/RepositoryIndex"
#define LOADGEN_METADATA "/inference.GRPCInferenceService/ModelMetadata"
#define LOADGEN_MODEL_INFER "/inference.GRPCInferenceService/ModelInfer"
#define LOADGEN_REGISTER "/inference.GRPCInferenceService/SystemSharedMemoryRegister"
#define LOADGEN_UNREGISTER "/inference.GRPCInferenceService/SystemSharedMemoryUnregister"
#define LOADGEN_RENDER_STREAM "/inlay.v1.Lipsync/Render"
#define LOADGEN_INFER_BATCH_COMPOSITE "/compositing.CompositingService/InferBatchComposite"

/* Names of an answer of RepositoryIndex: each in fresh memory, as is the list. */
enum inlay_err loadgen_read_list(const uint8_t *data, size_t size, char ***names, unsigned *n, struct inlay_error *err);

/* Of an answer of ModelMetadata: the tensors that inlay's own models have. */
struct loadgen_model {
	char output[64];       /* its name */
	int64_t audio_dims[3]; /* A, H, W */
	size_t window_floats;  /* their product */
	size_t mouth_bytes;    /* S * S * 3 */
};
enum inlay_err loadgen_read_metadata(const uint8_t *data, size_t size, struct loadgen_model *model,
                                     struct inlay_error *err);

/* n frames. audio: n windows; region: name of shared memory that holds them at 0 and takes the mouths behind them, or
 * NULL. */
struct loadgen_batch {
	const char *avatar;
	const struct loadgen_model *model;
	unsigned n;
	const int32_t *frames;
	const float *audio;
	const char *region;
};
void loadgen_write_infer(struct wire *wire, const struct loadgen_batch *batch);
/* frames[0] is the first frame's index; the following frames are the avatar's next. */
void loadgen_write_composite(struct wire *wire, const struct loadgen_batch *batch);
void loadgen_write_register(struct wire *wire, const char *name, const char *key, size_t size);

/* A stream's first request, and sound: n samples of 16 bits at 16 kHz. */
void loadgen_write_options(struct wire *wire, const char *avatar, double fps);
void loadgen_write_sound(struct wire *wire, const int16_t *samples, size_t n);

/* Checks that an answer holds what was asked for. INLAY_ERR_FORMAT otherwise; INLAY_ERR_BUSY with the server's own text
 * where an answer says that it failed. */
enum inlay_err loadgen_check_infer(const uint8_t *data, size_t size, const struct loadgen_batch *batch,
                                   struct inlay_error *err);
enum inlay_err loadgen_check_composite(const uint8_t *data, size_t size, unsigned n, struct inlay_error *err);
/* Frame `index` of a stream. */
enum inlay_err loadgen_check_frame(const uint8_t *data, size_t size, int64_t index, struct inlay_error *err);

#endif
