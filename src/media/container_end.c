#include "media/container_end.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct file {
	FILE *file;
	int64_t size;
};

/* n bytes at `at`; false past the end. */
static bool get(const struct file *f, int64_t at, void *to, size_t n)
{
	return !fseeko(f->file, at, SEEK_SET) && fread(to, 1, n, f->file) == n;
}

static uint64_t big(const uint8_t *at, int bytes)
{
	uint64_t value = 0;
	for (int i = 0; i < bytes; i++)
		value = value << 8 | at[i];
	return value;
}

/* Boxes: 32 bits of size, four letters, 64 bits of size where the first size is 1; 0 reaches to the end. */
static bool mp4_breaks_off(const struct file *f)
{
	int64_t at = 0;
	while (at < f->size) {
		uint8_t head[16] = { 0 };
		if (!get(f, at, head, 8))
			return true;
		uint64_t size = big(head, 4);
		if (size == 1)
			size = get(f, at + 8, head + 8, 8) ? big(head + 8, 8) : UINT32_MAX;
		if (size < 8 || !isprint(head[4]) || !isprint(head[7]))
			return false; /* to the end, or what follows the last box */
		if (size > (uint64_t)(f->size - at))
			return true;
		at += (int64_t)size;
	}
	return false;
}

/* A number of EBML at *at: the leading zeros of the first byte tell its length. False for one of unknown value. */
static bool ebml_size(const struct file *f, int64_t *at, uint64_t *value)
{
	uint8_t bytes[8];
	if (!get(f, *at, bytes, 1) || !bytes[0])
		return false;
	int length = __builtin_clz(bytes[0]) - 23;
	if (!get(f, *at, bytes, (size_t)length))
		return false;
	uint64_t mask = (UINT64_C(1) << 7 * length) - 1;
	*at += length;
	*value = big(bytes, length) & mask;
	return *value != mask;
}

/* The header, perhaps some padding, the segment that holds all else. */
static bool matroska_breaks_off(const struct file *f)
{
	static const uint8_t segment[] = { 0x18, 0x53, 0x80, 0x67 };
	int64_t at = 0;
	for (;;) {
		uint8_t id[4];
		uint64_t size;
		if (!get(f, at, id, 4))
			return true;
		at += id[0] == 0xec ? 1 : 4; /* "void" has a short name */
		if (!ebml_size(f, &at, &size))
			return false;
		if (size > (uint64_t)(f->size - at))
			return true;
		if (!memcmp(id, segment, 4))
			return false;
		at += (int64_t)size;
	}
}

/* An AVI of more than 1 GB is a row of chunks. 0 and the largest number stand for a size that nobody filled in. */
static bool avi_breaks_off(const struct file *f)
{
	uint8_t head[8];
	for (int64_t at = 0; get(f, at, head, 8) && !memcmp(head, "RIFF", 4);) {
		uint32_t size = head[4] | head[5] << 8 | head[6] << 16 | (uint32_t)head[7] << 24;
		if (!size || size == UINT32_MAX)
			return false;
		at += 8 + (int64_t)size;
		if (at > f->size)
			return true;
		at += size & 1;
	}
	return false;
}

/* Every packet begins with 0x47, after four bytes of time in the kind that Blu-ray and cameras write. */
static bool ts_breaks_off(const struct file *f)
{
	static const struct {
		int packet, sync;
	} kinds[] = { { 188, 0 }, { 192, 4 }, { 204, 0 } };
	for (int i = 0; i < 3; i++) {
		int whole = 1;
		for (int k = 0; k < 3 && whole; k++) {
			uint8_t sync;
			whole = get(f, k * kinds[i].packet + kinds[i].sync, &sync, 1) && sync == 0x47;
		}
		if (whole)
			return f->size % kinds[i].packet != 0;
	}
	return false;
}

static bool gif_breaks_off(const struct file *f)
{
	uint8_t last;
	return get(f, f->size - 1, &last, 1) && last != 0x3b && last != 0; /* some writers pad with zeros */
}

bool il_container_breaks_off(const char *path, const char *demuxer)
{
	static const struct {
		const char *demuxer;
		bool (*breaks_off)(const struct file *f);
	} kinds[] = {
		{ "mov,mp4", mp4_breaks_off }, { "matroska", matroska_breaks_off }, { "avi", avi_breaks_off },
		{ "mpegts", ts_breaks_off },   { "gif", gif_breaks_off },
	};
	struct file f = { .file = fopen(path, "rb") };
	if (!f.file)
		return false;
	bool result = false;
	if (!fseeko(f.file, 0, SEEK_END) && (f.size = ftello(f.file)) > 0)
		for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
			if (!strncmp(demuxer, kinds[i].demuxer, strlen(kinds[i].demuxer)))
				result = kinds[i].breaks_off(&f);
	fclose(f.file);
	return result;
}
