/* A .lms landmark file from any bytes. */
#include <stdint.h>
#include <stdlib.h>

#include "avatar/rects.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct inlay_error err = { 0 };
	struct inlay_rect rect;
	enum inlay_err rc = il_lms_parse(data, size, "fuzz.lms", &rect, &err);
	if (rc ? err.code != rc : rect.x1 - rect.x0 != rect.y1 - rect.y0)
		abort();
	return 0;
}
