/* Bytes as a safetensors file: what is accepted lies inside them, in order, and is found by its name. */
#include <stdlib.h>
#include <string.h>

#include "base/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct il_safetensors *file, const uint8_t *data, size_t size)
{
	struct inlay_error err = { 0 };
	const uint8_t *end = NULL;
	for (size_t i = 0; i < il_safetensors_count(file); i++) {
		const struct il_safetensor *t = il_safetensors_at(file, i);
		size_t bytes;
		if (t->data < data || t->data > data + size || t->size > (size_t)(data + size - t->data) ||
		    (end && t->data != end) || il_safetensors_find(file, t->name) != t ||
		    !il_safetensor_size(t->type, t->rank, t->dims, &bytes) || bytes != t->size)
			abort();
		end = t->data + t->size;
	}
	if (end && end != data + size)
		abort();
	if (il_safetensors_verify(file, NULL, NULL, &err) && !err.text[0])
		abort();
	il_safetensors_metadata(file, "format");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct inlay_error err = { 0 };
	struct il_safetensors *file;
	if (!il_safetensors_parse(&file, data, size, "fuzz", &err))
		use(file, data, size);
	else if (!err.code || !err.text[0] || file)
		abort();
	il_safetensors_destroy(&file);
	return 0;
}
