#include "media/image.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include <jpeglib.h>

#include "base/log.h"
#include "tests/test.h"

static struct inlay_frame *read_image(const char *path, enum inlay_pixfmt format)
{
	struct inlay_error err;
	struct inlay_frame *frame = NULL;
	assert_ok(il_image_read(path, format, &frame, &err));
	assert_int_equal(inlay_frame_info(frame)->format, format);
	return frame;
}

static struct inlay_frame *decode(const uint8_t *data, size_t size, enum inlay_pixfmt format)
{
	struct inlay_error err;
	struct inlay_frame *frame = NULL;
	assert_ok(il_image_decode(data, size, "test", format, &frame, &err));
	return frame;
}

static const uint8_t *pixel(const struct inlay_frame *frame, int plane, int x, int y)
{
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	int step = inlay_frame_info(frame)->format == INLAY_PIX_BGR24 ? 3 : 1;
	return planes.data[plane] + y * planes.stride[plane] + x * step;
}

static void set_pixel(struct inlay_frame *frame, int plane, int x, int y, int value)
{
	*(uint8_t *)(uintptr_t)pixel(frame, plane, x, y) = (uint8_t)value;
}

static const struct inlay_colour jpeg_colour = { INLAY_MATRIX_BT601, INLAY_RANGE_FULL, 2, 2 };

static struct inlay_frame *make_frame(enum inlay_pixfmt format, int width, int height, struct inlay_colour colour)
{
	struct inlay_error err;
	struct inlay_frame_info info = { format, width, height, colour };
	struct inlay_frame *frame = NULL;
	assert_ok(il_frame_create(&frame, &info, &err));
	return frame;
}

/* Random pixels, and random bytes to the right of them where nobody may look. */
static void fill_random(struct inlay_frame *frame)
{
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < il_plane_count(inlay_frame_info(frame)->format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(inlay_frame_info(frame), i, &row_bytes, &rows);
		for (ptrdiff_t k = 0; k < planes.stride[i] * rows; k++)
			planes.data[i][k] = (uint8_t)test_random();
	}
	inlay_frame_unmap(frame);
}

/* Smooth, so that neither subsampling nor quantising changes it much. */
static int wave(int plane, double x, double y)
{
	return (int)lround(128 + 60 * sin(x / 40 + plane) + 40 * cos(y / 50 - plane));
}

static void fill_wave(struct inlay_frame *frame)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	for (int i = 0; i < 3; i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(info, i, &row_bytes, &rows);
		for (int y = 0; y < rows; y++)
			for (int x = 0; x < (int)row_bytes; x++)
				set_pixel(frame, i, x, y, i ? wave(i, 2 * x + 0.5, 2 * y + 0.5) : wave(i, x, y));
	}
}

static int largest_difference(const struct inlay_frame *a, const struct inlay_frame *b)
{
	int largest = 0;
	assert_int_equal(inlay_frame_info(a)->width, inlay_frame_info(b)->width);
	assert_int_equal(inlay_frame_info(a)->height, inlay_frame_info(b)->height);
	for (int i = 0; i < il_plane_count(inlay_frame_info(a)->format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(inlay_frame_info(a), i, &row_bytes, &rows);
		for (int y = 0; y < rows; y++) {
			const uint8_t *p = pixel(a, i, 0, y), *q = pixel(b, i, 0, y);
			for (size_t x = 0; x < row_bytes; x++)
				if (abs(p[x] - q[x]) > largest)
					largest = abs(p[x] - q[x]);
		}
	}
	return largest;
}

static void assert_close(struct inlay_frame *got, struct inlay_frame *want, int tolerance)
{
	int largest = largest_difference(got, want);
	if (largest > tolerance)
		fail_msg("differs by %d levels, expected at most %d", largest, tolerance);
}

/* Outside the rectangle the goldens are what OpenCV's imread made of the JPEG; both decoders have to agree. */
static void test_jpeg_equals_opencv(void **state)
{
	(void)state;
	const struct {
		int number;
		struct inlay_rect rect;
	} cases[] = { { 1, { 532, 210, 714, 392 } }, { 10, { 546, 239, 733, 426 } }, { 50, { 556, 304, 741, 489 } } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct inlay_rect *r = &cases[i].rect;
		char name[128];
		snprintf(name, sizeof name, "lipsync_sanders/full_body_img/%d.jpg", cases[i].number);
		struct inlay_frame *jpeg = read_image(test_data(name), INLAY_PIX_BGR24);
		snprintf(name, sizeof name, "golden_composite/lipsync_%d_linear.png", cases[i].number);
		struct inlay_frame *golden = read_image(test_data(name), INLAY_PIX_BGR24);
		assert_int_equal(inlay_frame_info(golden)->width, r->x1 - r->x0 + 32);
		assert_int_equal(inlay_frame_info(golden)->height, r->y1 - r->y0 + 32);
		for (int y = r->y0 - 16; y < r->y1 + 16; y++)
			for (int x = r->x0 - 16; x < r->x1 + 16; x++)
				if (x < r->x0 || x >= r->x1 || y < r->y0 || y >= r->y1)
					assert_memory_equal(pixel(jpeg, 0, x, y),
					                    pixel(golden, 0, x - r->x0 + 16, y - r->y0 + 16), 3);
		inlay_frame_destroy(&golden);
		inlay_frame_destroy(&jpeg);
	}
}

/* The planes are the file's own: luma is what the grey decode gives, and the colour is that of the BGR decode. */
static void test_jpeg_planes(void **state)
{
	(void)state;
	const char *path = test_data("lipsync_sanders/full_body_img/1.jpg");
	struct inlay_frame *i420 = read_image(path, INLAY_PIX_I420), *grey = read_image(path, INLAY_PIX_GRAY8);
	struct inlay_frame *bgr = read_image(path, INLAY_PIX_BGR24);
	assert_int_equal(inlay_frame_info(i420)->width, 1280);
	assert_int_equal(inlay_frame_info(i420)->height, 720);
	assert_int_equal(inlay_frame_info(i420)->colour.range, INLAY_RANGE_FULL);
	assert_int_equal(inlay_frame_info(i420)->colour.matrix, INLAY_MATRIX_BT601);
	double off = 0;
	for (int y = 0; y < 720; y++) {
		assert_memory_equal(pixel(i420, 0, 0, y), pixel(grey, 0, 0, y), 1280);
		for (int x = 0; x < 1280; x++) {
			double luma = *pixel(i420, 0, x, y), cr = *pixel(i420, 2, x / 2, y / 2) - 128.0;
			double red = fmin(fmax(luma + 1.402 * cr, 0), 255);
			off += fabs(red - pixel(bgr, 0, x, y)[2]);
		}
	}
	assert_true(off / (1280 * 720) < 1.0);
	inlay_frame_destroy(&i420);
	inlay_frame_destroy(&grey);
	inlay_frame_destroy(&bgr);
}

/* libjpeg fed row by row: YCbCr with chroma repeated, grey or RGB. The caller frees *data. */
struct libjpeg_options {
	J_COLOR_SPACE in, file;
	int h, v; /* luma sampling factors */
	int quality;
	bool progressive;
};

static void libjpeg_encode(const struct inlay_frame *frame, const struct libjpeg_options *options, uint8_t **data,
                           size_t *size)
{
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	unsigned long length = 0;
	*data = NULL;
	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, data, &length);
	jpeg.image_width = (JDIMENSION)info->width;
	jpeg.image_height = (JDIMENSION)info->height;
	jpeg.in_color_space = options->in;
	jpeg.input_components = options->in == JCS_GRAYSCALE ? 1 : options->in == JCS_CMYK ? 4 : 3;
	jpeg_set_defaults(&jpeg);
	jpeg_set_colorspace(&jpeg, options->file);
	jpeg_set_quality(&jpeg, options->quality, TRUE);
	jpeg.comp_info[0].h_samp_factor = options->h;
	jpeg.comp_info[0].v_samp_factor = options->v;
	if (options->progressive)
		jpeg_simple_progression(&jpeg);
	jpeg_start_compress(&jpeg, TRUE);
	uint8_t *row = malloc((size_t)info->width * 4);
	for (int y = 0; y < info->height; y++) {
		for (int x = 0; x < info->width; x++)
			for (int i = 0; i < jpeg.input_components; i++)
				row[x * jpeg.input_components + i] =
					i % 3 ? *pixel(frame, i % 3, x / 2, y / 2) : *pixel(frame, 0, x, y);
		JSAMPROW rows[] = { row };
		jpeg_write_scanlines(&jpeg, rows, 1);
	}
	free(row);
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	*size = length;
}

static const int sizes[][2] = { { 1, 1 },   { 2, 2 },   { 15, 17 }, { 16, 16 }, { 17, 15 },  { 32, 33 },
	                        { 33, 32 }, { 48, 64 }, { 65, 7 },  { 8, 100 }, { 100, 75 }, { 641, 479 } };

/* Full-range planes give the bytes that libjpeg gives on its ordinary way: chroma that is repeated twice both ways
 * comes out of its subsampling as it was. One encoder serves all sizes. */
static void test_jpeg_encode_equals_libjpeg(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_image_encoder *encoder;
	assert_ok(il_image_encoder_create(&encoder, "jpg", 90, &err));
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct inlay_frame *frame = make_frame(INLAY_PIX_I420, sizes[i][0], sizes[i][1], jpeg_colour);
		fill_random(frame);
		const struct libjpeg_options options = { JCS_YCbCr, JCS_YCbCr, 2, 2, 90, false };
		uint8_t *want;
		size_t want_size, size;
		libjpeg_encode(frame, &options, &want, &want_size);
		const uint8_t *data;
		assert_ok(il_image_encode(encoder, frame, &data, &size, &err));
		assert_int_equal(size, want_size);
		assert_memory_equal(data, want, size);
		free(want);
		inlay_frame_destroy(&frame);
	}
	il_image_encoder_destroy(&encoder);
	assert_null(encoder);
}

static void test_jpeg_samplings(void **state)
{
	(void)state;
	const int samplings[][2] = { { 1, 1 }, { 2, 1 }, { 1, 2 }, { 2, 2 }, { 4, 1 } };
	for (size_t i = 0; i < sizeof samplings / sizeof *samplings; i++) {
		for (int progressive = 0; progressive < 2; progressive++) {
			struct inlay_frame *frame = make_frame(INLAY_PIX_I420, 101, 77, jpeg_colour);
			fill_wave(frame);
			const struct libjpeg_options options = { JCS_YCbCr,       JCS_YCbCr, samplings[i][0],
				                                 samplings[i][1], 98,        progressive };
			uint8_t *data;
			size_t size;
			libjpeg_encode(frame, &options, &data, &size);
			struct inlay_frame *got = decode(data, size, INLAY_PIX_I420);
			assert_close(got, frame, samplings[i][0] * samplings[i][1] == 4 ? 6 : 4);
			inlay_frame_destroy(&got);
			inlay_frame_destroy(&frame);
			free(data);
		}
	}
}

static void test_jpeg_grey_and_rgb(void **state)
{
	(void)state;
	struct inlay_frame *frame = make_frame(INLAY_PIX_I420, 37, 21, jpeg_colour);
	fill_wave(frame);
	uint8_t *data;
	size_t size;
	const struct libjpeg_options grey = { JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 1, 100, false };
	libjpeg_encode(frame, &grey, &data, &size);
	struct inlay_frame *i420 = decode(data, size, INLAY_PIX_I420), *bgr = decode(data, size, INLAY_PIX_BGR24);
	for (int y = 0; y < 21; y++)
		for (int x = 0; x < 37; x++) {
			assert_true(abs(*pixel(i420, 0, x, y) - *pixel(frame, 0, x, y)) <= 2);
			assert_int_equal(*pixel(i420, 1, x / 2, y / 2), 128);
			assert_int_equal(*pixel(i420, 2, x / 2, y / 2), 128);
			for (int k = 0; k < 3; k++)
				assert_int_equal(pixel(bgr, 0, x, y)[k], *pixel(i420, 0, x, y));
		}
	inlay_frame_destroy(&i420);
	inlay_frame_destroy(&bgr);
	free(data);

	/* The three planes taken as R, G and B, in a file that stores just these. */
	const struct libjpeg_options rgb = { JCS_RGB, JCS_RGB, 1, 1, 100, false };
	libjpeg_encode(frame, &rgb, &data, &size);
	bgr = decode(data, size, INLAY_PIX_BGR24);
	i420 = decode(data, size, INLAY_PIX_I420);
	for (int y = 0; y < 21; y++)
		for (int x = 0; x < 37; x++) {
			const uint8_t *p = pixel(bgr, 0, x, y);
			assert_true(abs(p[2] - *pixel(frame, 0, x, y)) <= 2);
			assert_true(abs(p[1] - *pixel(frame, 1, x / 2, y / 2)) <= 4);
			assert_true(fabs(0.299 * p[2] + 0.587 * p[1] + 0.114 * p[0] - *pixel(i420, 0, x, y)) <= 1.5);
		}
	inlay_frame_destroy(&i420);
	inlay_frame_destroy(&bgr);
	free(data);

	struct inlay_error err;
	const struct libjpeg_options cmyk = { JCS_CMYK, JCS_CMYK, 1, 1, 100, false };
	libjpeg_encode(frame, &cmyk, &data, &size);
	struct inlay_frame *none = NULL;
	assert_fails(il_image_decode(data, size, "press.jpg", INLAY_PIX_BGR24, &none, &err), INLAY_ERR_UNSUPPORTED,
	             "press.jpg: is a CMYK JPEG");
	assert_null(none);
	free(data);
	inlay_frame_destroy(&frame);
}

/* BT.601, BT.709 and BT.2020 by the textbook, in doubles. */
static void to_rgb(const struct inlay_colour *colour, const int yuv[3], double rgb[3])
{
	double kr = 0.299, kb = 0.114;
	if (colour->matrix == INLAY_MATRIX_BT709) {
		kr = 0.2126;
		kb = 0.0722;
	} else if (colour->matrix == INLAY_MATRIX_BT2020) {
		kr = 0.2627;
		kb = 0.0593;
	}
	int full = colour->range == INLAY_RANGE_FULL;
	double y = full ? yuv[0] : (yuv[0] - 16) * 255 / 219.0;
	double u = (yuv[1] - 128) * (full ? 1 : 255 / 224.0), v = (yuv[2] - 128) * (full ? 1 : 255 / 224.0);
	rgb[0] = y + 2 * (1 - kr) * v;
	rgb[2] = y + 2 * (1 - kb) * u;
	rgb[1] = (y - kr * rgb[0] - kb * rgb[2]) / (1 - kr - kb);
	for (int i = 0; i < 3; i++)
		rgb[i] = fmin(fmax(rgb[i], 0), 255);
}

/* A flat colour shows the same, however its planes are tagged and whichever way they are written. */
static void test_encode_honours_colour_tags(void **state)
{
	(void)state;
	const struct inlay_colour colours[] = {
		{ INLAY_MATRIX_UNSPECIFIED, INLAY_RANGE_UNSPECIFIED, 2, 2 },
		{ INLAY_MATRIX_BT601, INLAY_RANGE_FULL, 2, 2 },
		{ INLAY_MATRIX_SMPTE170M, INLAY_RANGE_LIMITED, 2, 2 },
		{ INLAY_MATRIX_BT709, INLAY_RANGE_LIMITED, 2, 2 },
		{ INLAY_MATRIX_BT709, INLAY_RANGE_FULL, 2, 2 },
		{ INLAY_MATRIX_BT2020, INLAY_RANGE_LIMITED, 2, 2 },
	};
	const int yuvs[][3] = { { 120, 128, 128 }, { 150, 110, 150 }, { 90, 140, 120 },
		                { 200, 120, 130 }, { 80, 220, 110 },  { 100, 100, 200 } };
	for (size_t c = 0; c < sizeof colours / sizeof *colours; c++) {
		for (size_t k = 0; k < sizeof yuvs / sizeof *yuvs; k++) {
			struct inlay_frame *frame = make_frame(INLAY_PIX_I420, 35, 19, colours[c]);
			for (int y = 0; y < 19; y++)
				for (int x = 0; x < 35; x++)
					for (int i = 0; i < 3; i++)
						set_pixel(frame, i, i ? x / 2 : x, i ? y / 2 : y, yuvs[k][i]);
			double rgb[3];
			to_rgb(&colours[c], yuvs[k], rgb);
			for (int png = 0; png < 2; png++) {
				struct inlay_error err;
				struct il_image_encoder *encoder;
				const uint8_t *data;
				size_t size;
				assert_ok(il_image_encoder_create(&encoder, png ? "png" : "jpeg", 100, &err));
				assert_ok(il_image_encode(encoder, frame, &data, &size, &err));
				struct inlay_frame *got = decode(data, size, INLAY_PIX_BGR24);
				for (int i = 0; i < 3; i++)
					for (int corner = 0; corner < 2; corner++) {
						int shown = pixel(got, 0, corner * 34, corner * 18)[2 - i];
						if (fabs(shown - rgb[i]) > (png ? 2 : 3))
							fail_msg("tags %zu, colour %zu, channel %d: %d, expected %.1f",
							         c, k, i, shown, rgb[i]);
					}
				inlay_frame_destroy(&got);
				il_image_encoder_destroy(&encoder);
			}
			inlay_frame_destroy(&frame);
		}
	}
}

static void test_png_round_trip(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_image_encoder *encoder;
	assert_ok(il_image_encoder_create(&encoder, "png", 0, &err));
	const enum inlay_pixfmt formats[] = { INLAY_PIX_BGR24, INLAY_PIX_GRAY8 };
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (int f = 0; f < 2; f++) {
			struct inlay_frame *frame = make_frame(formats[f], sizes[i][0], sizes[i][1], jpeg_colour);
			fill_random(frame);
			const uint8_t *data;
			size_t size;
			for (int again = 0; again < 2; again++) {
				assert_ok(il_image_encode(encoder, frame, &data, &size, &err));
				struct inlay_frame *got = decode(data, size, formats[f]);
				assert_close(got, frame, 0);
				inlay_frame_destroy(&got);
			}
			inlay_frame_destroy(&frame);
		}
	il_image_encoder_destroy(&encoder);
}

/* A grey PNG is the same in every format; a colour PNG's grey is its luma. */
static void test_png_formats(void **state)
{
	(void)state;
	const char *path = test_data("golden_composite/matte_1_alpha.png");
	struct inlay_frame *grey = read_image(path, INLAY_PIX_GRAY8), *bgr = read_image(path, INLAY_PIX_BGR24);
	struct inlay_frame *i420 = read_image(path, INLAY_PIX_I420);
	const struct inlay_frame_info *info = inlay_frame_info(grey);
	int low = 255, high = 0;
	for (int y = 0; y < info->height; y++)
		for (int x = 0; x < info->width; x++) {
			int value = *pixel(grey, 0, x, y);
			low = value < low ? value : low;
			high = value > high ? value : high;
			for (int k = 0; k < 3; k++)
				assert_int_equal(pixel(bgr, 0, x, y)[k], value);
			assert_true(abs(*pixel(i420, 0, x, y) - value) <= 1);
		}
	assert_int_equal(low, 0);
	assert_int_equal(high, 255);
	inlay_frame_destroy(&grey);
	inlay_frame_destroy(&bgr);
	inlay_frame_destroy(&i420);

	path = test_data("golden_composite/matte_1_out.png");
	grey = read_image(path, INLAY_PIX_GRAY8);
	bgr = read_image(path, INLAY_PIX_BGR24);
	for (int y = 0; y < inlay_frame_info(grey)->height; y++)
		for (int x = 0; x < inlay_frame_info(grey)->width; x++) {
			const uint8_t *p = pixel(bgr, 0, x, y);
			double luma = 0.299 * p[2] + 0.587 * p[1] + 0.114 * p[0];
			assert_true(fabs(luma - *pixel(grey, 0, x, y)) <= 1.5);
		}
	inlay_frame_destroy(&grey);
	inlay_frame_destroy(&bgr);
}

static void test_size(void **state)
{
	(void)state;
	struct inlay_error err;
	int width, height;
	assert_ok(il_image_size(test_data("lipsync_sanders/full_body_img/1.jpg"), &width, &height, &err));
	assert_int_equal(width, 1280);
	assert_int_equal(height, 720);
	assert_ok(il_image_size(test_data("golden_composite/lipsync_1_linear.png"), &width, &height, &err));
	assert_int_equal(width, 214);
	assert_int_equal(height, 214);
}

static void note_line(void *ctx, enum inlay_log_level level, const char *text)
{
	(void)level;
	snprintf(ctx, 512, "%s", text);
}

/* cv2.imread would turn such a picture; here it is told of, and its pixels stay where they are. */
static void test_orientation_is_told(void **state)
{
	(void)state;
	static const uint8_t little[] = "\xff\xe1\x00\x20"
					"Exif\0\0"
					"II*\0\x08\0\0\0"
					"\x01\0"
					"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
					"\0\0";
	static const uint8_t big[] = "\xff\xe1\x00\x20"
				     "Exif\0\0"
				     "MM\0*\0\0\0\x08"
				     "\0\x01"
				     "\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
				     "\0\0";
	char line[512];
	struct inlay_error err;
	struct il_bytes file;
	int width, height;
	const size_t size = 34; /* of the segment, with its marker */
	assert_ok(il_file_read(test_data("lipsync_sanders/crops_328/1.jpg"), 1 << 20, &file, &err));
	inlay_log_set(note_line, line, INLAY_LOG_WARN);
	for (int kind = 0; kind < 2; kind++)
		for (size_t cut = 0; cut < 20; cut++) { /* of the TIFF's bytes: short ones say nothing and do no harm */
			uint8_t *data = malloc(file.size + size - cut);
			memcpy(data, file.data, 2);
			memcpy(data + 2, kind ? big : little, size - cut);
			data[5] = (uint8_t)(data[5] - cut);
			memcpy(data + 2 + size - cut, file.data + 2, file.size - 2);
			const char *path = test_scratch("turned.jpg");
			assert_ok(il_file_write(path, data, file.size + size - cut, true, &err));
			line[0] = 0;
			assert_ok(il_image_size(path, &width, &height, &err));
			assert_int_equal(width, 328);
			if (cut < 3)
				assert_non_null(strstr(line, "turned.jpg: its EXIF orientation, 6, is ignored"));
			else
				assert_string_equal(line, "");
			unlink(path);
			free(data);
		}
	line[0] = 0;
	assert_ok(il_image_size(test_data("lipsync_sanders/crops_328/1.jpg"), &width, &height, &err));
	assert_string_equal(line, "");
	inlay_log_set(NULL, NULL, INLAY_LOG_NONE);
	il_bytes_destroy(&file);
}

static uint8_t *put(uint8_t *at, const char *bytes, size_t size)
{
	memcpy(at, bytes, size);
	return at + size;
}

static uint8_t *put_number(uint8_t *at, uint32_t value, bool little)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (little ? 8 * i : 24 - 8 * i));
	return at + 4;
}

static uint8_t *put_chunk(uint8_t *at, const char *kind, const uint8_t *data, uint32_t size)
{
	uint32_t crc = ~0u;
	at = put_number(at, size, false);
	uint8_t *end = put(put(at, kind, 4), (const char *)data, size);
	for (; at < end; at++) {
		crc ^= *at;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return put_number(end, ~crc, false);
}

/* Sound headers of pictures of any size, with next to nothing behind them. */
static size_t make_header(int kind, uint32_t width, uint32_t height, uint8_t data[4096])
{
	if (kind == 0) { /* PNG, grey */
		uint8_t head[13] = { [8] = 8 };
		put_number(put_number(head, width, false), height, false);
		uint8_t *at = put_chunk(put(data, "\x89PNG\r\n\x1a\n", 8), "IHDR", head, 13);
		at = put_chunk(at, "IDAT", (const uint8_t *)"\x78\x9c\x03\x00\x00\x00\x00\x01", 8);
		return (size_t)(put_chunk(at, "IEND", head, 0) - data);
	}
	if (kind == 1) { /* TIFF, grey, packed: tag, type 4, one value each */
		const uint32_t tags[][2] = { { 256, width }, { 257, height }, { 258, 8 },
			                     { 259, 32773 }, { 262, 1 },      { 273, 122 },
			                     { 277, 1 },     { 278, height }, { 279, 8 } };
		uint8_t *at = put(data, "II*\0\x08\0\0\0\x9\0", 10);
		for (int i = 0; i < 9; i++) {
			at = put_number(at, tags[i][0] | 4 << 16, true);
			at = put_number(put_number(at, 1, true), tags[i][1], true);
		}
		at = put_number(at, 0, true);
		memset(at, 0, 8);
		return (size_t)(at + 8 - data);
	}
	struct il_bytes file; /* a JPEG's head with other numbers in it */
	struct inlay_error err;
	assert_ok(il_file_read(test_data("lipsync_sanders/crops_328/1.jpg"), 1 << 20, &file, &err));
	memcpy(data, file.data, 1000);
	il_bytes_destroy(&file);
	for (size_t i = 0; i + 9 < 1000; i++)
		if (data[i] == 0xff && data[i + 1] == 0xc0) {
			const uint8_t size[] = { (uint8_t)(height >> 8), (uint8_t)height, (uint8_t)(width >> 8),
				                 (uint8_t)width };
			memcpy(data + i + 5, size, 4);
		}
	return 1000;
}

/* Were the size not looked at first, another fault would be told: the pictures are not there. */
static void test_sizes_are_looked_at_before_pixels(void **state)
{
	(void)state;
	static const char *const names[] = { "a.png", "a.tiff", "a.jpg" };
	struct inlay_error err;
	struct inlay_frame *frame = NULL;
	uint8_t data[4096];
	for (int kind = 0; kind < 3; kind++) {
		const char *path = test_scratch(names[kind]);
		size_t size = make_header(kind, 12000, 9000, data);
		assert_ok(il_file_write(path, data, size, true, &err));
		assert_fails(il_image_read_sized(path, INLAY_PIX_BGR24, 1280, 720, &frame, &err), INLAY_ERR_FORMAT,
		             "is 12000x9000; expected 1280x720, as the first frame");
		assert_fails(il_image_read(path, INLAY_PIX_BGR24, &frame, &err), INLAY_ERR_UNSUPPORTED,
		             "is 12000x9000, expected at most 100 megapixels");
		size = make_header(kind, 120, 90, data);
		assert_ok(il_file_write(path, data, size, true, &err));
		assert_fails(il_image_read_sized(path, INLAY_PIX_I420, 120, 91, &frame, &err), INLAY_ERR_FORMAT,
		             "is 120x90; expected 120x91");
		assert_fails(il_image_read_sized(path, INLAY_PIX_I420, 120, 90, &frame, &err), INLAY_ERR_FORMAT,
		             names[kind]);
		assert_null(strstr(err.text, "120x90"));
		assert_null(frame);
		unlink(path);
	}
	assert_ok(il_image_read_sized(test_data("lipsync_sanders/crops_328/1.jpg"), INLAY_PIX_I420, 328, 328, &frame,
	                              &err));
	inlay_frame_destroy(&frame);
}

/* Wherever a file is cut, the answer is an error that names it. Bytes past the picture's last do not matter. */
static void check_cuts(const char *path)
{
	struct inlay_error err;
	struct il_bytes file;
	assert_ok(il_file_read(path, 1 << 24, &file, &err));
	struct inlay_frame *whole = decode(file.data, file.size, INLAY_PIX_BGR24);
	for (size_t size = 0; size < file.size; size += size < 700 || size + 40 > file.size ? 1 : file.size / 60) {
		const enum inlay_pixfmt formats[] = { INLAY_PIX_BGR24, INLAY_PIX_I420 };
		for (int f = 0; f < 2; f++) {
			/* A copy of just that size lets the address sanitizer see a step too far. */
			uint8_t *cut = malloc(size + !size);
			memcpy(cut, file.data, size);
			struct inlay_frame *frame = NULL;
			err = (struct inlay_error){ 0 };
			enum inlay_err rc = il_image_decode(cut, size, "cut", formats[f], &frame, &err);
			if (!rc && size + 16 < file.size)
				fail_msg("%s cut to %zu of %zu bytes passes", path, size, file.size);
			if (!rc && !f)
				assert_close(frame, whole, 0);
			if (rc)
				assert_non_null(strstr(err.text, "cut: "));
			assert_true(rc == INLAY_OK || rc == INLAY_ERR_FORMAT);
			inlay_frame_destroy(&frame);
			free(cut);
		}
	}
	inlay_frame_destroy(&whole);
	il_bytes_destroy(&file);
}

static void test_truncated(void **state)
{
	(void)state;
	check_cuts(test_data("lipsync_sanders/crops_328/1.jpg"));
	check_cuts(test_data("golden/astronaut_face_112.png"));
}

/* Any damage gives a picture or a fault, and nothing worse. */
static void test_damaged(void **state)
{
	(void)state;
	const char *const names[] = { "lipsync_sanders/crops_328/10.jpg", "golden/astronaut_face_112.png" };
	for (int i = 0; i < 2; i++) {
		struct inlay_error err;
		struct il_bytes file;
		int faults = 0;
		assert_ok(il_file_read(test_data(names[i]), 1 << 24, &file, &err));
		for (int round = 0; round < 150; round++) {
			uint8_t *bad = malloc(file.size);
			memcpy(bad, file.data, file.size);
			for (int k = 0; k < 1 + round % 5; k++)
				bad[test_random() % (round % 2 ? 700 : file.size)] = (uint8_t)test_random();
			struct inlay_frame *frame = NULL;
			err = (struct inlay_error){ 0 };
			enum inlay_pixfmt format = round % 3 ? INLAY_PIX_I420 : INLAY_PIX_GRAY8;
			enum inlay_err rc = il_image_decode(bad, file.size, "bad", format, &frame, &err);
			assert_true(rc == INLAY_OK || strstr(err.text, "bad: "));
			faults += rc != INLAY_OK;
			inlay_frame_destroy(&frame);
			free(bad);
		}
		assert_true(faults > 20);
		il_bytes_destroy(&file);
	}
}

static void test_bad_input(void **state)
{
	(void)state;
	struct inlay_error err;
	struct inlay_frame *frame = NULL;
	int width, height;
	assert_fails(il_image_read("/nonexistent/a.jpg", INLAY_PIX_BGR24, &frame, &err), INLAY_ERR_NOT_FOUND,
	             "/nonexistent/a.jpg");
	assert_fails(il_image_decode((const uint8_t *)"", 0, "no.png", INLAY_PIX_BGR24, &frame, &err), INLAY_ERR_FORMAT,
	             "no.png: is empty");
	assert_fails(il_image_decode((const uint8_t *)"hello", 5, "a.jpg", INLAY_PIX_BGR24, &frame, &err),
	             INLAY_ERR_FORMAT, "a.jpg: is no picture known here");
	assert_fails(il_image_read(test_data("speech/jfk.wav"), INLAY_PIX_I420, &frame, &err), INLAY_ERR_FORMAT,
	             "jfk.wav");
	assert_fails(il_image_size(test_data("speech/jfk.wav"), &width, &height, &err), INLAY_ERR_FORMAT, "jfk.wav");
	assert_fails(il_image_decode((const uint8_t *)"", 0, "a", INLAY_PIX_NV12, &frame, &err), INLAY_ERR_INVALID,
	             "nv12");

	/* A JPEG that claims 65000 x 65000 is refused before anything of that size is asked for. */
	struct il_bytes file;
	assert_ok(il_file_read(test_data("lipsync_sanders/crops_328/1.jpg"), 1 << 20, &file, &err));
	for (size_t i = 0; i + 9 < file.size; i++)
		if (file.data[i] == 0xff && file.data[i + 1] == 0xc0) {
			memcpy(file.data + i + 5, "\xfd\xe8\xfd\xe8", 4);
			break;
		}
	assert_fails(il_image_decode(file.data, file.size, "huge.jpg", INLAY_PIX_BGR24, &frame, &err),
	             INLAY_ERR_UNSUPPORTED, "huge.jpg: is 65000x65000 pixels, expected at most 32768");
	il_bytes_destroy(&file);
	assert_ok(il_file_read(test_data("golden/astronaut_face_112.png"), 1 << 20, &file, &err));
	memcpy(file.data + 16, "\x00\x01\x00\x00\x00\x01\x00\x00", 8);
	assert_true(il_is_fault(il_image_decode(file.data, file.size, "huge", INLAY_PIX_BGR24, &frame, NULL)));
	il_bytes_destroy(&file);
	assert_null(frame);

	struct il_image_encoder *encoder = NULL;
	assert_fails(il_image_encoder_create(&encoder, "gif", 90, &err), INLAY_ERR_UNSUPPORTED, "\"gif\"");
	assert_fails(il_image_encoder_create(&encoder, "jpg", 0, &err), INLAY_ERR_INVALID, "quality 0");
	assert_fails(il_image_encoder_create(&encoder, "jpg", 101, &err), INLAY_ERR_INVALID, "quality 101");
	assert_null(encoder);
	const uint8_t *data;
	size_t size;
	assert_ok(il_image_encoder_create(&encoder, "jpg", 90, &err));
	frame = make_frame(INLAY_PIX_NV12, 16, 16, jpeg_colour);
	assert_fails(il_image_encode(encoder, frame, &data, &size, &err), INLAY_ERR_INVALID, "nv12");
	inlay_frame_destroy(&frame);
	il_image_encoder_destroy(&encoder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jpeg_equals_opencv),
		cmocka_unit_test(test_jpeg_planes),
		cmocka_unit_test(test_jpeg_encode_equals_libjpeg),
		cmocka_unit_test(test_jpeg_samplings),
		cmocka_unit_test(test_jpeg_grey_and_rgb),
		cmocka_unit_test(test_encode_honours_colour_tags),
		cmocka_unit_test(test_png_round_trip),
		cmocka_unit_test(test_png_formats),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_orientation_is_told),
		cmocka_unit_test(test_sizes_are_looked_at_before_pixels),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_bad_input),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
