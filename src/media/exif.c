#include "media/exif.h"

#include <stdbool.h>
#include <string.h>

#define ORIENTATION 0x0112
#define TYPE_SHORT 3

static unsigned get(const uint8_t *at, int bytes, bool little)
{
	unsigned value = 0;
	for (int i = 0; i < bytes; i++)
		value = value << 8 | at[little ? bytes - 1 - i : i];
	return value;
}

/* Looks into the first directory. An entry: tag, type, count, value. */
static unsigned tiff_orientation(const uint8_t *data, size_t size)
{
	if (size < 10 || (memcmp(data, "II*\0", 4) && memcmp(data, "MM\0*", 4)))
		return 1;
	bool little = data[0] == 'I';
	size_t at = get(data + 4, 4, little);
	if (at > size - 2)
		return 1;
	unsigned entries = get(data + at, 2, little);
	for (at += 2; entries-- && at + 12 <= size; at += 12) {
		const uint8_t *entry = data + at;
		if (get(entry, 2, little) != ORIENTATION || get(entry + 2, 2, little) != TYPE_SHORT)
			continue;
		unsigned value = get(entry + 8, 2, little);
		return value >= 1 && value <= 8 ? value : 1;
	}
	return 1;
}

unsigned il_exif_orientation(const uint8_t *jpeg, size_t size)
{
	unsigned orientation = 1;
	/* Segments: 0xff, marker, length from itself on. The picture starts at 0xda. */
	for (size_t at = 2, length; at + 4 <= size && jpeg[at] == 0xff && jpeg[at + 1] != 0xda; at += 2 + length) {
		length = get(jpeg + at + 2, 2, false);
		if (length < 8 || at + 2 + length > size)
			continue;
		if (jpeg[at + 1] == 0xe1 && !memcmp(jpeg + at + 4, "Exif\0", 6))
			orientation = tiff_orientation(jpeg + at + 10, length - 8);
	}
	return orientation;
}
