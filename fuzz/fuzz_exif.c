/* The orientation in a JPEG's EXIF, from any bytes. */
#include <stdlib.h>

#include "media/exif.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned orientation = il_exif_orientation(data, size);
	if (orientation < 1 || orientation > 8)
		abort();
	return 0;
}
