/* Bytes as an .npy file: the header, and both conversions of what data there is. */
#include <stdlib.h>
#include <string.h>

#include "base/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void convert(const struct il_npy *npy)
{
	float *values;
	if (il_npy_to_float(npy, &values, NULL))
		return;
	const struct il_npy_header *h = &npy->header;
	size_t rows = h->rank ? h->dims[0] : 1, n = h->count ? h->count / rows : 0;
	float *row = malloc(n * sizeof *row + 1);
	if (row && n) {
		il_npy_row_to_float(npy, rows - 1, row);
		if (memcmp(row, values + (rows - 1) * n, n * sizeof *row))
			abort();
	}
	free(row);
	free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct il_npy npy = { 0 };
	struct inlay_error err = { 0 };
	if (il_npy_parse(data, size, "fuzz", &npy.header, &err)) {
		if (!err.code || !memchr(err.text, 0, sizeof err.text))
			abort();
		return 0;
	}
	size_t have = size - npy.header.data_offset;
	if (npy.header.count > have / il_npy_item_size(npy.header.type))
		return 0;
	/* An exact copy, so that reading past the items is seen. */
	uint8_t *items = malloc(have ? have : 1);
	if (!items)
		return 0;
	memcpy(items, data + npy.header.data_offset, have);
	npy.data = items;
	convert(&npy);
	free(items);
	return 0;
}
