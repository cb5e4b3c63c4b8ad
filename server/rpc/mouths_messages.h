/* KServe's messages as a client of mouths writes and reads them. */
#ifndef SERVER_RPC_MOUTHS_MESSAGES_H
#define SERVER_RPC_MOUTHS_MESSAGES_H

#include "base/file.h"
#include "job/mouths.h"

#define MOUTHS_SERVICE "/inference.GRPCInferenceService/"
#define MOUTHS_TENSORS 3

/* What a server says its model takes, as far as we can use it. */
struct mouths_model {
	struct il_mouths_info info; /* takes_crops: full tensors */
	unsigned batch;             /* of a request at most, 0: any */
	/* Inputs and output: first frame_index [n] or picture [n, 6, S, S], audio, output. */
	char names[MOUTHS_TENSORS][64];
};
/* From a ModelMetadataResponse. INLAY_ERR_UNSUPPORTED for a model that draws no mouths as we know them. */
enum inlay_err mouths_read_metadata(struct mouths_model *model, const char *avatar, const struct il_bytes *message,
                                    struct inlay_error *err);
enum inlay_err mouths_name_message(struct il_bytes *message, const char *name, struct inlay_error *err);

/* Sizes and places of the tensors of n frames. */
struct mouths_layout {
	size_t size[MOUTHS_TENSORS];   /* bytes */
	size_t offset[MOUTHS_TENSORS]; /* one behind the other, in shared memory, aligned to 64 */
	size_t total;
};
void mouths_layout(struct mouths_layout *layout, const struct mouths_model *model, unsigned n);

/* A ModelInferRequest. region: NULL, or the name of shared memory laid out as `layout` says. Else `inputs` tells where
 * in the message the bytes of both inputs go, which the caller writes (they are aligned for nothing). */
enum inlay_err mouths_request_message(struct il_bytes *message, uint8_t *inputs[2], const struct mouths_model *model,
                                      const struct mouths_layout *layout, const char *avatar, unsigned n,
                                      const char *region, struct inlay_error *err);
/* Where in a ModelInferResponse the output is; checked to be of `size` bytes and the right kind. in_region: it has no
 * bytes and says so. */
enum inlay_err mouths_read_answer(const uint8_t **output, const struct il_bytes *message,
                                  const struct mouths_model *model, size_t size, bool in_region,
                                  struct inlay_error *err);

enum inlay_err mouths_region_message(struct il_bytes *message, const char *name, const char *key, uint64_t size,
                                     struct inlay_error *err);
bool mouths_read_ready(const struct il_bytes *message);
/* True where a ServerMetadataResponse names the extension. */
bool mouths_has_extension(const struct il_bytes *message, const char *extension);

#endif
