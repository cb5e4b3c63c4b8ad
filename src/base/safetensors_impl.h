/* What the files of safetensors share. */
#ifndef IL_BASE_SAFETENSORS_IMPL_H
#define IL_BASE_SAFETENSORS_IMPL_H

#include "base/safetensors.h"

#define IL_SAFETENSORS_SUMS "xxh3" /* key of the metadata */
#define IL_SAFETENSORS_SUM_DIGITS 16

struct il_safetensors_text {
	const char *key, *value;
};

/* What a header says. Strings lie in `text`. */
struct il_safetensors_header {
	struct il_safetensor *tensors; /* as they stand, data NULL; destroyed with the header */
	size_t count;
	struct il_safetensors_text *metadata;
	size_t metadata_count;
	char *text;
};

/* Form alone is looked at, and that sizes fit shapes: not how the tensors lie, nor whether names are doubled. The
 * header is destroyable whatever comes back. */
enum inlay_err il_safetensors_header_parse(const char *json, size_t size, const char *name,
                                           struct il_safetensors_header *header, struct inlay_error *err);
void il_safetensors_header_destroy(struct il_safetensors_header *header);

/* The sum that the metadata holds. */
uint64_t il_safetensor_sum(const struct il_safetensor *tensor, const void *data);

#endif
