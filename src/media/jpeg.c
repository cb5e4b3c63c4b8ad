#include "media/jpeg.h"

#include <libyuv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "media/jpeg_error.h"

#define MAX_SIDE 32768
/* A progressive file may ask for any number of passes over all pixels; real ones have about ten. */
#define MAX_SCANS 200

struct decoder {
	struct jpeg_decompress_struct jpeg;
	struct il_jpeg_errors errors;
	struct jpeg_progress_mgr progress;
	const char *name;
	struct inlay_frame *frame; /* mapped while it is here, for a jump may leave at any point */
	struct inlay_planes planes;
	uint8_t *scratch; /* component planes of other than the frame's size; a row for what lies below the picture */
	struct inlay_error *err;
};

static void watch_scans(j_common_ptr cinfo)
{
	struct jpeg_decompress_struct *jpeg = (struct jpeg_decompress_struct *)cinfo;
	if (jpeg->input_scan_number > MAX_SCANS) {
		struct il_jpeg_errors *errors = (struct il_jpeg_errors *)jpeg->err;
		snprintf(errors->text, sizeof errors->text, "more than %d scans", MAX_SCANS);
		longjmp(errors->jump, 1);
	}
}

/* May jump. */
static enum inlay_err read_header(struct decoder *d, const uint8_t *data, size_t size)
{
	jpeg_create_decompress(&d->jpeg);
	d->progress.progress_monitor = watch_scans;
	d->jpeg.progress = &d->progress;
	jpeg_mem_src(&d->jpeg, data, size);
	jpeg_read_header(&d->jpeg, TRUE);
	if (d->jpeg.image_width > MAX_SIDE || d->jpeg.image_height > MAX_SIDE)
		return il_fail(d->err, INLAY_ERR_UNSUPPORTED, "%s: is %ux%d pixels, expected at most %d each way",
		               d->name, d->jpeg.image_width, (int)d->jpeg.image_height, MAX_SIDE);
	if (d->jpeg.jpeg_color_space == JCS_CMYK || d->jpeg.jpeg_color_space == JCS_YCCK)
		return il_fail(d->err, INLAY_ERR_UNSUPPORTED,
		               "%s: is a CMYK JPEG, expected grey, YCbCr or RGB; convert it first", d->name);
	return INLAY_OK;
}

static enum inlay_err make_frame(struct decoder *d, enum inlay_pixfmt format)
{
	struct inlay_frame_info info = { .format = format,
		                         .width = (int)d->jpeg.image_width,
		                         .height = (int)d->jpeg.image_height,
		                         .colour = { INLAY_MATRIX_BT601, INLAY_RANGE_FULL, 2, 2 } };
	enum inlay_err rc = il_frame_create(&d->frame, &info, d->err);
	if (!rc)
		inlay_frame_map(d->frame, &d->planes);
	return rc;
}

/* BGR24 or GRAY8, by libjpeg's own upsampling and conversion, which is what OpenCV shows. May jump. */
static enum inlay_err decode_rows(struct decoder *d, enum inlay_pixfmt format)
{
	enum inlay_err rc = make_frame(d, format);
	if (rc)
		return rc;
	d->jpeg.out_color_space = format == INLAY_PIX_BGR24 ? JCS_EXT_BGR : JCS_GRAYSCALE;
	jpeg_start_decompress(&d->jpeg);
	while (d->jpeg.output_scanline < d->jpeg.output_height) {
		JSAMPROW row = d->planes.data[0] + d->jpeg.output_scanline * d->planes.stride[0];
		jpeg_read_scanlines(&d->jpeg, &row, 1);
	}
	jpeg_finish_decompress(&d->jpeg);
	return INLAY_OK;
}

/* Where the samples of one component go. */
struct target {
	uint8_t *data;
	ptrdiff_t stride;
	int rows;    /* further ones go to the scratch row */
	bool direct; /* data is the frame's own plane */
};

/* Writes the components as they stand in the file: straight into the frame where their size is the plane's, else into
 * scratch. May jump. */
static enum inlay_err read_components(struct decoder *d, struct target *targets)
{
	struct jpeg_decompress_struct *jpeg = &d->jpeg;
	const struct inlay_frame_info *info = inlay_frame_info(d->frame);
	size_t needed = 0, offsets[3] = { 0 };
	size_t row_size = ((size_t)jpeg->image_width + 255) / 64 * 64;
	for (int i = 0; i < jpeg->num_components; i++) {
		const jpeg_component_info *component = &jpeg->comp_info[i];
		size_t row_bytes;
		int rows;
		il_plane_size(info, i, &row_bytes, &rows);
		targets[i] = (struct target){ d->planes.data[i], d->planes.stride[i], rows, true };
		if (component->downsampled_width == row_bytes && component->downsampled_height == (JDIMENSION)rows)
			continue;
		targets[i].direct = false;
		targets[i].stride = (ptrdiff_t)component->width_in_blocks * DCTSIZE;
		targets[i].rows = (int)component->height_in_blocks * DCTSIZE;
		offsets[i] = needed;
		needed += (size_t)targets[i].stride * (size_t)targets[i].rows;
	}
	d->scratch = malloc(needed + row_size);
	if (!d->scratch)
		return il_fail_memory(d->err);
	for (int i = 0; i < jpeg->num_components; i++)
		if (!targets[i].direct)
			targets[i].data = d->scratch + offsets[i];

	JSAMPROW rows[3][MAX_SAMP_FACTOR * DCTSIZE];
	JSAMPARRAY arrays[3] = { rows[0], rows[1], rows[2] };
	while (jpeg->output_scanline < jpeg->output_height) {
		int group = (int)jpeg->output_scanline / (jpeg->max_v_samp_factor * DCTSIZE);
		for (int i = 0; i < jpeg->num_components; i++) {
			int n = jpeg->comp_info[i].v_samp_factor * DCTSIZE;
			for (int y = 0; y < n; y++)
				rows[i][y] = group * n + y < targets[i].rows
				                     ? targets[i].data + (group * n + y) * targets[i].stride
				                     : d->scratch + needed;
		}
		jpeg_read_raw_data(jpeg, arrays, (JDIMENSION)(jpeg->max_v_samp_factor * DCTSIZE));
	}
	return INLAY_OK;
}

/* Grey or YCbCr to I420 without leaving YCbCr. May jump. */
static enum inlay_err decode_planes(struct decoder *d)
{
	struct jpeg_decompress_struct *jpeg = &d->jpeg;
	struct target targets[3];
	enum inlay_err rc = make_frame(d, INLAY_PIX_I420);
	if (rc)
		return rc;
	jpeg->raw_data_out = TRUE;
	jpeg->out_color_space = jpeg->jpeg_color_space;
	jpeg_start_decompress(jpeg);
	rc = read_components(d, targets);
	if (rc)
		return rc;
	for (int i = 0; i < 3; i++) {
		const jpeg_component_info *component = &jpeg->comp_info[i];
		size_t row_bytes;
		int rows;
		il_plane_size(inlay_frame_info(d->frame), i, &row_bytes, &rows);
		if (i >= jpeg->num_components)
			memset(d->planes.data[i], 128, (size_t)d->planes.stride[i] * (size_t)rows);
		else if (!targets[i].direct)
			ScalePlane(targets[i].data, (int)targets[i].stride, (int)component->downsampled_width,
			           (int)component->downsampled_height, d->planes.data[i], (int)d->planes.stride[i],
			           (int)row_bytes, rows, kFilterBox);
	}
	jpeg_finish_decompress(jpeg); /* frees comp_info */
	return INLAY_OK;
}

/* An RGB JPEG is rare enough to take the long way. May jump. */
static enum inlay_err decode_rgb_to_i420(struct decoder *d)
{
	enum inlay_err rc = decode_rows(d, INLAY_PIX_BGR24);
	if (rc)
		return rc;
	struct inlay_frame *bgr = d->frame;
	const struct inlay_planes from = d->planes, *to = &d->planes;
	d->frame = NULL;
	rc = make_frame(d, INLAY_PIX_I420);
	if (!rc)
		RGB24ToJ420(from.data[0], (int)from.stride[0], to->data[0], (int)to->stride[0], to->data[1],
		            (int)to->stride[1], to->data[2], (int)to->stride[2], (int)d->jpeg.image_width,
		            (int)d->jpeg.image_height);
	inlay_frame_unmap(bgr);
	inlay_frame_destroy(&bgr);
	return rc;
}

static bool has_planes(const struct jpeg_decompress_struct *jpeg)
{
	return (jpeg->jpeg_color_space == JCS_YCbCr && jpeg->num_components == 3) ||
	       (jpeg->jpeg_color_space == JCS_GRAYSCALE && jpeg->num_components == 1);
}

/* d is not touched between setjmp and here but through the pointer, so nothing of it hides in a register. */
static enum inlay_err run_decoder(struct decoder *d, const uint8_t *data, size_t size, enum inlay_pixfmt format)
{
	if (setjmp(d->errors.jump))
		return il_fail(d->err, INLAY_ERR_FORMAT, "%s: %s", d->name, d->errors.text);
	enum inlay_err rc = read_header(d, data, size);
	if (rc)
		return rc;
	if (format != INLAY_PIX_I420)
		return decode_rows(d, format);
	return has_planes(&d->jpeg) ? decode_planes(d) : decode_rgb_to_i420(d);
}

enum inlay_err il_jpeg_decode(const uint8_t *data, size_t size, const char *name, enum inlay_pixfmt format,
                              struct inlay_frame **frame, struct inlay_error *err)
{
	struct decoder d = { .name = name, .err = err };
	d.jpeg.err = il_jpeg_errors(&d.errors, name);
	enum inlay_err rc = run_decoder(&d, data, size, format);
	jpeg_destroy_decompress(&d.jpeg);
	free(d.scratch);
	if (d.frame)
		inlay_frame_unmap(d.frame);
	if (rc)
		inlay_frame_destroy(&d.frame);
	else
		*frame = d.frame;
	return rc;
}

static enum inlay_err run_header(struct decoder *d, const uint8_t *data, size_t size)
{
	if (setjmp(d->errors.jump))
		return il_fail(d->err, INLAY_ERR_FORMAT, "%s: %s", d->name, d->errors.text);
	return read_header(d, data, size);
}

enum inlay_err il_jpeg_size(const uint8_t *data, size_t size, const char *name, int *width, int *height,
                            struct inlay_error *err)
{
	struct decoder d = { .name = name, .err = err };
	d.jpeg.err = il_jpeg_errors(&d.errors, name);
	enum inlay_err rc = run_header(&d, data, size);
	if (!rc) {
		*width = (int)d.jpeg.image_width;
		*height = (int)d.jpeg.image_height;
	}
	jpeg_destroy_decompress(&d.jpeg);
	return rc;
}
