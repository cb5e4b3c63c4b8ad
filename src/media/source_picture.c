#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "media/exif.h"
#include "media/image.h"
#include "media/source_impl.h"

#define MAX_BYTES ((size_t)1 << 30)

/* What a PNG tells before its pixels. */
struct png {
	bool animated, transparent;
};

/* Chunks: length, name, data, checksum. The header's 10th byte is the kind of colour, whose bit 4 is alpha. */
static struct png look_into_png(const uint8_t *data, size_t size)
{
	struct png png = { .transparent = size > 25 && data[25] & 4 };
	for (size_t at = 8; at + 12 <= size && memcmp(data + at + 4, "IDAT", 4);) {
		png.animated |= !memcmp(data + at + 4, "acTL", 4);
		png.transparent |= !memcmp(data + at + 4, "tRNS", 4);
		size_t length = (size_t)data[at] << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3];
		at += 12 + length;
	}
	return png;
}

/* Orientation 1..8 as steps: mirrored left to right, then turned clockwise. */
static const struct step {
	bool mirror;
	int degrees;
} steps[9] = { [2] = { true, 0 },   [3] = { false, 180 }, [4] = { true, 180 }, [5] = { true, 270 },
	       [6] = { false, 90 }, [7] = { true, 90 },   [8] = { false, 270 } };

/* Where pixel x, y of the upright picture lies in the stored one, of width w and height h. */
static void locate(const struct step *step, int w, int h, int x, int y, int *from_x, int *from_y)
{
	switch (step->degrees) {
	case 90: *from_x = y, *from_y = h - 1 - x; break;
	case 180: *from_x = w - 1 - x, *from_y = h - 1 - y; break;
	case 270: *from_x = w - 1 - y, *from_y = x; break;
	default: *from_x = x, *from_y = y;
	}
	if (step->mirror)
		*from_x = w - 1 - *from_x;
}

static enum inlay_err hold_upright(struct inlay_frame **frame, const struct step *step, struct inlay_error *err)
{
	const struct inlay_frame_info stored = *inlay_frame_info(*frame);
	struct inlay_frame_info info = stored;
	if (step->degrees % 180) {
		info.width = stored.height;
		info.height = stored.width;
	}
	struct inlay_frame *upright;
	enum inlay_err rc = il_frame_create(&upright, &info, err);
	if (rc)
		return rc;
	struct inlay_planes from, to;
	inlay_frame_map(*frame, &from);
	inlay_frame_map(upright, &to);
	for (int y = 0; y < info.height; y++)
		for (int x = 0; x < info.width; x++) {
			int from_x, from_y;
			locate(step, stored.width, stored.height, x, y, &from_x, &from_y);
			memcpy(to.data[0] + y * to.stride[0] + 3 * x,
			       from.data[0] + from_y * from.stride[0] + 3 * from_x, 3);
		}
	inlay_frame_unmap(upright);
	inlay_frame_unmap(*frame);
	inlay_frame_destroy(frame);
	*frame = upright;
	return INLAY_OK;
}

/* A row of JPEGs begins as one of them: its name tells. */
static bool is_motion_jpeg(const char *path)
{
	const char *extension = il_path_extension(path);
	return !strcmp(extension, "mjpeg") || !strcmp(extension, "mjpg");
}

static bool starts_as_picture(const char *path)
{
	struct stat st;
	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return false;
	uint8_t start[16];
	FILE *file = fopen(path, "rb");
	size_t size = file ? fread(start, 1, sizeof start, file) : 0;
	if (file)
		fclose(file);
	return il_image_codec(start, size) && !is_motion_jpeg(path);
}

static enum inlay_err decode(struct il_still *still, const char *path, const struct il_bytes *bytes,
                             struct inlay_error *err)
{
	const char *codec = il_image_codec(bytes->data, bytes->size);
	if (!strcmp(codec, "png")) {
		struct png png = look_into_png(bytes->data, bytes->size);
		if (png.animated)
			return INLAY_OK;
		if (png.transparent)
			il_log_warn("%s: its transparency is ignored", path);
	}
	enum inlay_err rc = il_image_decode(bytes->data, bytes->size, path, INLAY_PIX_BGR24, &still->frame, err);
	if (rc)
		return rc;
	still->codec = codec;
	if (strcmp(codec, "mjpeg"))
		return INLAY_OK;
	unsigned orientation = il_exif_orientation(bytes->data, bytes->size);
	still->rotation = steps[orientation].degrees;
	return orientation > 1 ? hold_upright(&still->frame, &steps[orientation], err) : INLAY_OK;
}

enum inlay_err il_still_read(struct il_still *still, const char *path, struct inlay_error *err)
{
	*still = (struct il_still){ 0 };
	if (!starts_as_picture(path))
		return INLAY_OK;
	struct il_bytes bytes;
	enum inlay_err rc = il_file_read(path, MAX_BYTES, &bytes, err);
	if (rc)
		return rc;
	rc = decode(still, path, &bytes, err);
	il_bytes_destroy(&bytes);
	if (rc)
		inlay_frame_destroy(&still->frame);
	return rc;
}
