#include "media/jpeg.h"

#include <libyuv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "media/jpeg_error.h"
#include "media/jpeg_output.h"
#include "media/recolour.h"

#define GROUP 16 /* luma rows of one row of 4:2:0 blocks */

struct il_jpeg_encoder {
	struct jpeg_compress_struct jpeg;
	struct il_jpeg_errors errors;
	struct il_jpeg_output output;
	int quality;

	uint8_t *strip;  /* one row of blocks, padded */
	int strip_width; /* multiple of 16 */
};

static bool create(struct il_jpeg_encoder *encoder)
{
	encoder->jpeg.err = il_jpeg_errors(&encoder->errors, "JPEG encoder");
	if (setjmp(encoder->errors.jump))
		return false;
	jpeg_create_compress(&encoder->jpeg);
	return il_jpeg_output_init(&encoder->output, &encoder->jpeg);
}

enum inlay_err il_jpeg_encoder_create(struct il_jpeg_encoder **out, int quality, struct inlay_error *err)
{
	if (quality < 1 || quality > 100)
		return il_fail(err, INLAY_ERR_INVALID, "JPEG quality %d, expected 1..100", quality);
	struct il_jpeg_encoder *encoder = calloc(1, sizeof *encoder);
	if (!encoder)
		return il_fail_memory(err);
	encoder->quality = quality;
	if (!create(encoder)) {
		il_jpeg_encoder_destroy(&encoder);
		return il_fail_memory(err);
	}
	*out = encoder;
	return INLAY_OK;
}

void il_jpeg_encoder_destroy(struct il_jpeg_encoder **slot)
{
	struct il_jpeg_encoder *encoder = *slot;
	if (!encoder)
		return;
	*slot = NULL;
	jpeg_destroy_compress(&encoder->jpeg);
	free(encoder->strip);
	il_jpeg_output_free(&encoder->output);
	free(encoder);
}

static bool reserve_strip(struct il_jpeg_encoder *encoder, int width)
{
	int strip_width = (width + GROUP - 1) / GROUP * GROUP;
	if (encoder->strip && encoder->strip_width >= strip_width)
		return true;
	free(encoder->strip);
	encoder->strip_width = strip_width;
	encoder->strip = malloc((size_t)strip_width * GROUP * 3 / 2);
	return encoder->strip != NULL;
}

/* May jump. */
static void set_up(struct il_jpeg_encoder *encoder, const struct inlay_frame_info *info, J_COLOR_SPACE colour,
                   int components)
{
	struct jpeg_compress_struct *jpeg = &encoder->jpeg;
	jpeg->image_width = (JDIMENSION)info->width;
	jpeg->image_height = (JDIMENSION)info->height;
	jpeg->in_color_space = colour;
	jpeg->input_components = components;
	jpeg_set_defaults(jpeg);
	jpeg_set_quality(jpeg, encoder->quality, TRUE);
	jpeg->dct_method = JDCT_ISLOW;
}

/* BGR24 and GRAY8. May jump. */
static void encode_rows(struct il_jpeg_encoder *encoder, const struct inlay_frame_info *info,
                        const struct inlay_planes *planes)
{
	bool grey = info->format == INLAY_PIX_GRAY8;
	set_up(encoder, info, grey ? JCS_GRAYSCALE : JCS_EXT_BGR, grey ? 1 : 3);
	jpeg_start_compress(&encoder->jpeg, TRUE);
	while (encoder->jpeg.next_scanline < encoder->jpeg.image_height) {
		JSAMPROW row = planes->data[0] + encoder->jpeg.next_scanline * planes->stride[0];
		jpeg_write_scanlines(&encoder->jpeg, &row, 1);
	}
	jpeg_finish_compress(&encoder->jpeg);
}

struct plane {
	uint8_t *data;
	ptrdiff_t stride;
	int width, rows; /* pixels that count; rows above 0 */
};

/* Repeats the last pixel of each row and the last row until the plane is width x rows. */
static void pad(const struct plane *plane, int width, int rows)
{
	for (int y = 0; y < plane->rows; y++) {
		uint8_t *row = plane->data + y * plane->stride;
		memset(row + plane->width, row[plane->width - 1], (size_t)(width - plane->width));
	}
	const uint8_t *last = plane->data + (plane->rows - 1) * plane->stride;
	for (int y = plane->rows; y < rows; y++)
		memcpy(plane->data + y * plane->stride, last, (size_t)width);
}

/* Fills the strip with `rows` rows of `planes` as full-range BT.601 and pads it; `planes` come to point at it. */
static void fill_strip(struct il_jpeg_encoder *encoder, const struct il_recolour *recolour, int width, int rows,
                       struct inlay_planes *planes)
{
	int stride = encoder->strip_width;
	uint8_t *u = encoder->strip + stride * GROUP, *v = u + stride / 2 * (GROUP / 2);
	struct inlay_planes strip = { { encoder->strip, u, v }, { stride, stride / 2, stride / 2 } };
	if (recolour)
		il_recolour_planes(recolour, planes, &strip, width, rows);
	else
		I420Copy(planes->data[0], (int)planes->stride[0], planes->data[1], (int)planes->stride[1],
		         planes->data[2], (int)planes->stride[2], strip.data[0], stride, u, stride / 2, v, stride / 2,
		         width, rows);
	for (int i = 0; i < 3; i++) {
		struct plane plane = { strip.data[i], strip.stride[i], i ? (width + 1) / 2 : width,
			               i ? (rows + 1) / 2 : rows };
		pad(&plane, (int)plane.stride, i ? GROUP / 2 : GROUP);
	}
	*planes = strip;
}

/* Planes go in as they are where they are whole blocks of JPEG's own colour. May jump. */
static void encode_planes(struct il_jpeg_encoder *encoder, const struct inlay_frame_info *info,
                          const struct inlay_planes *planes)
{
	struct jpeg_compress_struct *jpeg = &encoder->jpeg;
	struct il_recolour recolour;
	bool jpeg_colour = il_same_yuv(&info->colour, &il_jpeg_colour);
	il_recolour_init(&recolour, &info->colour, &il_jpeg_colour);
	set_up(encoder, info, JCS_YCbCr, 3);
	jpeg->raw_data_in = TRUE;
	jpeg_start_compress(jpeg, TRUE);
	for (int y = 0; y < info->height; y += GROUP) {
		struct inlay_planes part = *planes;
		JSAMPROW rows[3][GROUP];
		JSAMPARRAY arrays[3] = { rows[0], rows[1], rows[2] };
		for (int i = 0; i < 3; i++)
			part.data[i] += (i ? y / 2 : y) * part.stride[i];
		int height = info->height - y < GROUP ? info->height - y : GROUP;
		if (!jpeg_colour || info->width % GROUP || height < GROUP)
			fill_strip(encoder, jpeg_colour ? NULL : &recolour, info->width, height, &part);
		for (int i = 0; i < 3; i++)
			for (int k = 0; k < (i ? GROUP / 2 : GROUP); k++)
				rows[i][k] = part.data[i] + k * part.stride[i];
		jpeg_write_raw_data(jpeg, arrays, GROUP);
	}
	jpeg_finish_compress(jpeg);
}

static enum inlay_err run(struct il_jpeg_encoder *encoder, const struct inlay_frame_info *info,
                          const struct inlay_planes *planes, struct inlay_error *err)
{
	if (setjmp(encoder->errors.jump)) {
		jpeg_abort_compress(&encoder->jpeg);
		return il_fail(err, INLAY_ERR_MEMORY, "JPEG of %dx%d: %s", info->width, info->height,
		               encoder->errors.text);
	}
	if (info->format == INLAY_PIX_I420)
		encode_planes(encoder, info, planes);
	else
		encode_rows(encoder, info, planes);
	return INLAY_OK;
}

enum inlay_err il_jpeg_encode(struct il_jpeg_encoder *encoder, const struct inlay_frame *frame, const uint8_t **data,
                              size_t *size, struct inlay_error *err)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	if (info->format == INLAY_PIX_I420 && !reserve_strip(encoder, info->width))
		return il_fail_memory(err);
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	enum inlay_err rc = run(encoder, info, &planes, err);
	inlay_frame_unmap(frame);
	if (rc)
		return rc;
	*data = encoder->output.bytes;
	*size = il_jpeg_output_size(&encoder->output);
	return INLAY_OK;
}
