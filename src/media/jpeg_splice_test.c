#include <libavcodec/avcodec.h>

#include "media/jpeg.h"
#include "media/jpeg_error.h"
#include "media/jpeg_splice.h"
#include "tests/test.h"

static struct inlay_error err;

/* Three planes in one piece of memory each, of just the size. */
struct picture {
	int width, height;
	bool full_chroma;
	uint8_t *data[3];
};

static int plane_width(const struct picture *p, int i)
{
	return i && !p->full_chroma ? (p->width + 1) / 2 : p->width;
}

static int plane_height(const struct picture *p, int i)
{
	return i && !p->full_chroma ? (p->height + 1) / 2 : p->height;
}

static struct picture make_picture(int width, int height, bool full_chroma)
{
	struct picture p = { width, height, full_chroma, { 0 } };
	for (int i = 0; i < 3; i++) {
		p.data[i] = malloc((size_t)(plane_width(&p, i) * plane_height(&p, i)));
		assert_non_null(p.data[i]);
	}
	return p;
}

static void free_picture(struct picture *p)
{
	for (int i = 0; i < 3; i++)
		free(p->data[i]);
}

static struct inlay_planes planes_of(const struct picture *p)
{
	return (struct inlay_planes){ { p->data[0], p->data[1], p->data[2] },
		                      { plane_width(p, 0), plane_width(p, 1), plane_width(p, 2) } };
}

static int below(int n)
{
	return (int)(test_random() % (uint32_t)n);
}

/* Slopes with as much noise on them as the picture says: from flat to hard to code. */
static void draw(const struct picture *p, struct inlay_rect rect)
{
	int noise = 1 + below(4) * below(80), dx = below(9), dy = below(9), base = below(256);
	for (int i = 0; i < 3; i++) {
		int half = i && !p->full_chroma;
		for (int y = rect.y0 >> half; y < (rect.y1 + half) >> half; y++)
			for (int x = rect.x0 >> half; x < (rect.x1 + half) >> half; x++)
				p->data[i][y * plane_width(p, i) + x] =
					(uint8_t)(base + (x * dx + y * dy) / 2 + below(noise));
	}
}

static struct picture copy_picture(const struct picture *from)
{
	struct picture p = make_picture(from->width, from->height, from->full_chroma);
	for (int i = 0; i < 3; i++)
		memcpy(p.data[i], from->data[i], (size_t)(plane_width(&p, i) * plane_height(&p, i)));
	return p;
}

static struct picture cut(const struct picture *from, struct inlay_rect rect)
{
	struct picture p = make_picture(rect.x1 - rect.x0, rect.y1 - rect.y0, from->full_chroma);
	for (int i = 0; i < 3; i++) {
		int half = i && !p.full_chroma, width = plane_width(&p, i);
		for (int y = 0; y < plane_height(&p, i); y++)
			memcpy(p.data[i] + y * width,
			       from->data[i] + ((rect.y0 >> half) + y) * plane_width(from, i) + (rect.x0 >> half),
			       (size_t)width);
	}
	return p;
}

/* How the reference encodes. */
struct settings {
	int quality, interval;
	bool three_tables; /* of quantisation, and a comment */
	void (*change)(struct jpeg_compress_struct *jpeg);
};

static void set_three_tables(struct jpeg_compress_struct *jpeg)
{
	unsigned table[DCTSIZE2];
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned k = 0; k < DCTSIZE2; k++)
			table[k] = 1 + i * 3 + k * k % (7 + 5 * i);
		jpeg_add_quant_table(jpeg, (int)i + 1, table, 100, TRUE);
		jpeg->comp_info[i].quant_tbl_no = (int)i + 1;
	}
}

/* libjpeg alone, over the whole picture: planes repeat their last column and row up to whole MCUs. */
static uint8_t *reference(const struct picture *p, const struct settings *settings, size_t *size)
{
	struct jpeg_compress_struct jpeg = { 0 };
	struct il_jpeg_errors errors;
	jpeg.err = il_jpeg_errors(&errors, "reference");
	if (setjmp(errors.jump))
		fail_msg("reference: %s", errors.text);
	jpeg_create_compress(&jpeg);
	uint8_t *bytes = NULL;
	unsigned long n = 0;
	jpeg_mem_dest(&jpeg, &bytes, &n);
	jpeg.image_width = (JDIMENSION)p->width;
	jpeg.image_height = (JDIMENSION)p->height;
	jpeg.input_components = 3;
	jpeg.in_color_space = JCS_YCbCr;
	jpeg_set_defaults(&jpeg);
	jpeg_set_quality(&jpeg, settings->quality, TRUE);
	jpeg.dct_method = JDCT_ISLOW;
	jpeg.restart_interval = (unsigned)settings->interval;
	jpeg.raw_data_in = TRUE;
	int scale = p->full_chroma ? 1 : 2, mcu = 8 * scale;
	jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = scale;
	if (settings->three_tables)
		set_three_tables(&jpeg);
	if (settings->change)
		settings->change(&jpeg);
	jpeg_start_compress(&jpeg, TRUE);
	if (settings->three_tables)
		jpeg_write_marker(&jpeg, JPEG_COM, (const JOCTET *)"a comment", 9);
	static uint8_t padded[3][16][65536];
	JSAMPROW rows[3][16];
	JSAMPARRAY arrays[3] = { rows[0], rows[1], rows[2] };
	for (int y = 0; y < p->height; y += mcu) {
		for (int i = 0; i < 3; i++) {
			int side = i ? 8 : mcu, width = plane_width(p, i), height = plane_height(p, i);
			for (int k = 0; k < side; k++) {
				int from = y * side / mcu + k < height ? y * side / mcu + k : height - 1;
				for (int x = 0; x < (p->width + mcu - 1) / mcu * side; x++)
					padded[i][k][x] = p->data[i][from * width + (x < width ? x : width - 1)];
				rows[i][k] = padded[i][k];
			}
		}
		jpeg_write_raw_data(&jpeg, arrays, (JDIMENSION)mcu);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	*size = n;
	return bytes;
}

static struct inlay_rect random_rect(int width, int height)
{
	int w = below(5) ? 1 + below(width) : width, h = below(5) ? 1 + below(height) : height;
	if (!below(20))
		w = 0;
	int x = below(width - w + 1), y = below(height - h + 1);
	return (struct inlay_rect){ x, y, x + w, y + h };
}

/* Every MCU of every interval that has an MCU under the rectangle, one by one. */
static struct inlay_rect slow_area(const struct il_jpeg_form *form, struct inlay_rect rect)
{
	int mcu = form->full_chroma ? 8 : 16, columns = (form->width + mcu - 1) / mcu;
	int n = columns * ((form->height + mcu - 1) / mcu);
	struct inlay_rect area = { form->width, form->height, 0, 0 };
	for (int i = 0; i < n; i += form->interval) {
		bool touched = false;
		for (int m = i; m < i + form->interval && m < n; m++) {
			int x = m % columns * mcu, y = m / columns * mcu;
			touched = touched || (rect.x0 < rect.x1 && rect.y0 < rect.y1 && x < rect.x1 &&
			                      x + mcu > rect.x0 && y < rect.y1 && y + mcu > rect.y0);
		}
		for (int m = i; touched && m < i + form->interval && m < n; m++) {
			int x = m % columns * mcu, y = m / columns * mcu;
			area.x0 = x < area.x0 ? x : area.x0;
			area.y0 = y < area.y0 ? y : area.y0;
			area.x1 = x + mcu > area.x1 ? x + mcu : area.x1;
			area.y1 = y + mcu > area.y1 ? y + mcu : area.y1;
		}
	}
	if (area.x1 <= area.x0)
		return (struct inlay_rect){ 0 };
	area.x1 = area.x1 < form->width ? area.x1 : form->width;
	area.y1 = area.y1 < form->height ? area.y1 : form->height;
	return area;
}

static struct il_jpeg_form random_form(void)
{
	struct il_jpeg_form form = { .width = 1 + below(110), .height = 1 + below(80), .full_chroma = below(2) };
	int mcu = form.full_chroma ? 8 : 16, columns = (form.width + mcu - 1) / mcu;
	switch (below(6)) {
	case 0: form.interval = columns * (1 + below(3)); break;
	case 1: form.interval = 65535 - below(10); break;
	case 2: form.interval = IL_JPEG_INTERVAL; break;
	default: form.interval = 1 + below(2 * columns + 2);
	}
	return form;
}

static void assert_same_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
	assert_int_equal(a_size, b_size);
	assert_memory_equal(a, b, a_size);
}

static void splice_and_compare(struct il_jpeg_splicer *splicer, const struct il_jpeg_base *base,
                               const struct picture *changed, struct inlay_rect rect, const uint8_t *expected,
                               size_t expected_size)
{
	struct inlay_rect area = il_jpeg_splice_area(&base->form, rect), slow = slow_area(&base->form, rect);
	assert_memory_equal(&area, &slow, sizeof area);
	struct picture patch = cut(changed, area);
	struct inlay_planes planes = planes_of(&patch);
	const uint8_t *data;
	size_t size;
	assert_ok(il_jpeg_splice(splicer, base, &planes, rect, &data, &size, &err));
	assert_same_bytes(data, size, expected, expected_size);
	free_picture(&patch);
}

static void one_case(struct il_jpeg_splicer *splicer, struct il_jpeg_form form)
{
	struct settings settings = { .quality = 1 + below(100), .interval = form.interval };
	struct picture before = make_picture(form.width, form.height, form.full_chroma);
	draw(&before, (struct inlay_rect){ 0, 0, form.width, form.height });
	struct picture after = copy_picture(&before);
	struct inlay_rect rect = random_rect(form.width, form.height);
	if (rect.x0 < rect.x1)
		draw(&after, rect);

	settings.three_tables = !below(4);
	size_t before_size, after_size;
	uint8_t *before_bytes = reference(&before, &settings, &before_size);
	uint8_t *after_bytes = reference(&after, &settings, &after_size);
	struct il_jpeg_base base;
	uint32_t *offsets;
	assert_ok(il_jpeg_base_scan(before_bytes, before_size, "before", &base, &offsets, &err));
	assert_memory_equal(&base.form.width, &form.width, 2 * sizeof(int));
	assert_int_equal(base.form.interval, form.interval);
	if (!settings.three_tables) {
		struct inlay_planes planes = planes_of(&before);
		struct il_jpeg_base own;
		assert_ok(il_jpeg_splicer_encode(splicer, &form, settings.quality, &planes, &own, &err));
		assert_same_bytes(own.data, own.size, before_bytes, before_size);
		assert_memory_equal(own.offsets, offsets, il_jpeg_intervals(&form) * sizeof *offsets);
		splice_and_compare(splicer, &own, &after, rect, after_bytes, after_size);
	}
	splice_and_compare(splicer, &base, &after, rect, after_bytes, after_size);
	free(offsets);
	assert_ok(il_jpeg_base_scan(after_bytes, after_size, "after", &base, &offsets, &err));
	splice_and_compare(splicer, &base, &before, rect, before_bytes, before_size);
	free(offsets);
	free(before_bytes);
	free(after_bytes);
	free_picture(&before);
	free_picture(&after);
}

static void test_equals_the_whole_encoded(void **state)
{
	(void)state;
	struct il_jpeg_splicer *splicer;
	assert_ok(il_jpeg_splicer_create(&splicer, &err));
	for (int i = 0; i < 1500; i++)
		one_case(splicer, random_form());
	il_jpeg_splicer_destroy(&splicer);
	assert_null(splicer);
	il_jpeg_splicer_destroy(&splicer);
}

/* As long as a JPEG may be, where whole MCUs would be longer. Intervals that end within rows, and many short ones. */
static void test_longest_sides(void **state)
{
	(void)state;
	static const struct il_jpeg_form forms[] = {
		{ 65500, 17, true, 8190 },  { 65500, 33, false, 4095 }, { 9, 65500, true, 16375 },
		{ 17, 65500, false, 8187 }, { 33, 65500, true, 3 },
	};
	struct il_jpeg_splicer *splicer;
	assert_ok(il_jpeg_splicer_create(&splicer, &err));
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		one_case(splicer, forms[i]);
	il_jpeg_splicer_destroy(&splicer);
}

/* A picture of a size of its own, its base and a changed rectangle, for the tests below. */
struct fixture {
	struct picture picture;
	struct settings settings;
	uint8_t *bytes;
	size_t size;
};

static void set_up(struct fixture *f, void (*change)(struct jpeg_compress_struct *jpeg))
{
	f->picture = make_picture(100, 60, false);
	draw(&f->picture, (struct inlay_rect){ 0, 0, 100, 60 });
	f->settings = (struct settings){ .quality = 80, .interval = 3, .change = change };
	f->bytes = reference(&f->picture, &f->settings, &f->size);
}

static void tear_down(struct fixture *f)
{
	free_picture(&f->picture);
	free(f->bytes);
}

static AVFrame *libav_decode(const uint8_t *data, size_t size)
{
	AVCodecContext *codec = avcodec_alloc_context3(avcodec_find_decoder(AV_CODEC_ID_MJPEG));
	AVPacket *packet = av_packet_alloc();
	AVFrame *frame = av_frame_alloc();
	codec->err_recognition = AV_EF_EXPLODE;
	assert_int_equal(avcodec_open2(codec, NULL, NULL), 0);
	assert_int_equal(av_new_packet(packet, (int)size), 0);
	memcpy(packet->data, data, size);
	assert_int_equal(avcodec_send_packet(codec, packet), 0);
	assert_int_equal(avcodec_receive_frame(codec, frame), 0);
	av_packet_free(&packet);
	avcodec_free_context(&codec);
	return frame;
}

/* libjpeg's decoder reads it without a warning, and libav's sees the same picture but for its own IDCT's rounding. */
static void test_others_decode_it(void **state)
{
	(void)state;
	struct fixture f;
	struct il_jpeg_splicer *splicer;
	struct il_jpeg_base base;
	set_up(&f, NULL);
	assert_ok(il_jpeg_splicer_create(&splicer, &err));
	struct il_jpeg_form form = { 100, 60, false, 0 };
	struct inlay_planes planes = planes_of(&f.picture);
	struct inlay_rect rect = { 20, 10, 60, 50 };
	assert_ok(il_jpeg_splicer_encode(splicer, &form, 90, &planes, &base, &err));
	draw(&f.picture, rect);
	struct picture patch = cut(&f.picture, il_jpeg_splice_area(&base.form, rect));
	planes = planes_of(&patch);
	const uint8_t *data;
	size_t size;
	assert_ok(il_jpeg_splice(splicer, &base, &planes, rect, &data, &size, &err));

	struct inlay_frame *frame;
	assert_ok(il_jpeg_decode(data, size, "spliced", INLAY_PIX_I420, &frame, &err));
	AVFrame *other = libav_decode(data, size);
	assert_int_equal(other->width, 100);
	assert_int_equal(other->height, 60);
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < 3; i++)
		for (int y = 0; y < (i ? 30 : 60); y++)
			for (int x = 0; x < (i ? 50 : 100); x++)
				assert_in_range(planes.data[i][y * planes.stride[i] + x] -
				                        other->data[i][y * other->linesize[i] + x] + 2,
				                0, 4);
	inlay_frame_unmap(frame);
	inlay_frame_destroy(&frame);
	av_frame_free(&other);
	free_picture(&patch);
	il_jpeg_splicer_destroy(&splicer);
	tear_down(&f);
}

static void refuses(const uint8_t *bytes, size_t size, const char *text)
{
	struct il_jpeg_base base;
	uint32_t *offsets;
	/* Memory of just the size, so that a sanitiser sees what is read past it. */
	uint8_t *exact = malloc(size + !size);
	assert_non_null(exact);
	memcpy(exact, bytes, size);
	assert_fails(il_jpeg_base_scan(exact, size, "it", &base, &offsets, &err), INLAY_ERR_FORMAT, text);
	free(exact);
}

static void progressive(struct jpeg_compress_struct *jpeg)
{
	jpeg_simple_progression(jpeg);
}

static void unmarked(struct jpeg_compress_struct *jpeg)
{
	jpeg->restart_interval = 0;
}

static void optimised(struct jpeg_compress_struct *jpeg)
{
	jpeg->optimize_coding = TRUE;
}

static void rgb(struct jpeg_compress_struct *jpeg)
{
	jpeg_set_colorspace(jpeg, JCS_YCbCr);
	jpeg->write_JFIF_header = FALSE;
	jpeg->comp_info[0].component_id = 'R';
	jpeg->comp_info[1].component_id = 'G';
	jpeg->comp_info[2].component_id = 'B';
}

static void two_scans(struct jpeg_compress_struct *jpeg)
{
	static const jpeg_scan_info scans[] = { { 1, { 0 }, 0, 63, 0, 0 }, { 2, { 1, 2 }, 0, 63, 0, 0 } };
	jpeg->scan_info = scans;
	jpeg->num_scans = 2;
}

static void swapped_tables(struct jpeg_compress_struct *jpeg)
{
	jpeg->comp_info[0].dc_tbl_no = 1;
}

static void large_steps(struct jpeg_compress_struct *jpeg)
{
	jpeg_set_quality(jpeg, 1, FALSE);
}

static void test_refuses_other_forms(void **state)
{
	(void)state;
	static const struct {
		void (*change)(struct jpeg_compress_struct *jpeg);
		const char *text;
	} cases[] = {
		{ progressive, "it: is a progressive JPEG, expected a baseline one" },
		{ unmarked, "it: has no restart markers" },
		{ optimised, "it: has Huffman tables of its own" },
		{ swapped_tables, "it: has Huffman tables of its own" },
		{ rgb, "it: is grey or of another colour space" },
		{ two_scans, "it: is cut into several scans" },
		{ large_steps, "it: has a quantisation step out of range" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fixture f;
		set_up(&f, cases[i].change);
		refuses(f.bytes, f.size, cases[i].text);
		tear_down(&f);
	}
}

/* The first place of a marker. */
static uint8_t *find_marker(const struct fixture *f, int marker)
{
	for (size_t i = 0; i + 1 < f->size; i++)
		if (f->bytes[i] == 0xff && f->bytes[i + 1] == marker)
			return f->bytes + i;
	fail_msg("no marker %02x", marker);
	return NULL;
}

static void test_refuses_damage(void **state)
{
	(void)state;
	struct fixture f;
	set_up(&f, NULL);
	for (size_t n = 0; n < f.size; n++)
		refuses(f.bytes, n, "");
	uint8_t *longer = calloc(1, f.size + 1);
	assert_non_null(longer);
	memcpy(longer, f.bytes, f.size);
	refuses(longer, f.size + 1, "1 bytes after the end of the JPEG");
	free(longer);

	uint8_t *at = find_marker(&f, 0xd3);
	at[1] = 0xd4;
	refuses(f.bytes, f.size, "it: marker FFD4 after interval 3 of 10, expected FFD3");
	at[1] = 0xd9;
	refuses(f.bytes, f.size, "it: marker FFD9 after interval 3 of 10, expected FFD3");
	at[1] = 0xd3;
	at = find_marker(&f, 0xdb); /* quantisation: length, number, steps */
	at[5] = 0;
	refuses(f.bytes, f.size, "it: has a quantisation step out of range");
	at[5] = 1;
	at = find_marker(&f, 0xc0); /* frame: length, precision, height, width, components, number, sampling */
	at[11] = 0x21;
	refuses(f.bytes, f.size, "it: has another chroma sampling, expected 4:2:0 or 4:4:4");
	at[11] = 0x22;
	at[5] = at[7] = 0xf0; /* a large picture in few bytes */
	refuses(f.bytes, f.size, "breaks off");
	tear_down(&f);
}

static void test_refuses_wrong_offsets(void **state)
{
	(void)state;
	struct fixture f;
	struct il_jpeg_splicer *splicer;
	struct il_jpeg_base base;
	uint32_t *offsets;
	const uint8_t *data;
	size_t size;
	set_up(&f, NULL);
	assert_ok(il_jpeg_splicer_create(&splicer, &err));
	assert_ok(il_jpeg_base_scan(f.bytes, f.size, "it", &base, &offsets, &err));
	struct inlay_rect rect = { 0, 0, 100, 60 };
	struct inlay_planes planes = planes_of(&f.picture);
	uint32_t n = il_jpeg_intervals(&base.form);
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t right = offsets[i], size32 = (uint32_t)f.size;
		const uint32_t next = offsets[(i + 1) % n];
		const uint32_t wrong[] = { 0, 1, right - 1, right + 1, size32, UINT32_MAX, next };
		for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
			offsets[i] = wrong[k];
			assert_fails(il_jpeg_splice(splicer, &base, &planes, rect, &data, &size, &err),
			             INLAY_ERR_FORMAT, "offset of interval");
		}
		offsets[i] = right;
	}
	/* Back to where the splice has been, to a marker of the same number: the last of 7 columns touches intervals 2,
	 * 4, 6 and 9. */
	const uint32_t last = offsets[9];
	struct inlay_rect column = { 96, 0, 100, 60 };
	offsets[9] = offsets[1];
	assert_fails(il_jpeg_splice(splicer, &base, &planes, column, &data, &size, &err), INLAY_ERR_FORMAT,
	             "offset of interval 9 is");
	offsets[9] = last;
	struct il_jpeg_form right = base.form;
	base.form.width += 16;
	assert_fails(il_jpeg_splice(splicer, &base, &planes, rect, &data, &size, &err), INLAY_ERR_FORMAT,
	             "is not of the form given");
	base.form = right;
	assert_ok(il_jpeg_splice(splicer, &base, &planes, rect, &data, &size, &err));
	assert_same_bytes(data, size, f.bytes, f.size);
	const uint8_t *again;
	assert_ok(il_jpeg_splice(splicer, &base, &planes, rect, &again, &size, &err));
	assert_ptr_equal(data, again);
	free(offsets);
	il_jpeg_splicer_destroy(&splicer);
	tear_down(&f);
}

static void test_out_of_range(void **state)
{
	(void)state;
	struct il_jpeg_splicer *splicer;
	struct il_jpeg_base base;
	uint8_t grey[64] = { 0 };
	struct inlay_planes planes = { { grey, grey, grey }, { 8, 8, 8 } };
	assert_ok(il_jpeg_splicer_create(&splicer, &err));
	struct il_jpeg_form form = { 8, 8, false, 65536 };
	assert_fails(il_jpeg_splicer_encode(splicer, &form, 80, &planes, &base, &err), INLAY_ERR_INVALID,
	             "restart interval of 65536");
	assert_int_equal(il_jpeg_intervals(&form), 0);
	form.interval = 1;
	assert_fails(il_jpeg_splicer_encode(splicer, &form, 0, &planes, &base, &err), INLAY_ERR_INVALID,
	             "quality 0, expected 1..100");
	form.width = 65501;
	assert_fails(il_jpeg_splicer_encode(splicer, &form, 80, &planes, &base, &err), INLAY_ERR_INVALID, "65501x8");
	il_jpeg_splicer_destroy(&splicer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equals_the_whole_encoded),
		cmocka_unit_test(test_longest_sides),
		cmocka_unit_test(test_others_decode_it),
		cmocka_unit_test(test_refuses_other_forms),
		cmocka_unit_test(test_refuses_damage),
		cmocka_unit_test(test_refuses_wrong_offsets),
		cmocka_unit_test(test_out_of_range),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
