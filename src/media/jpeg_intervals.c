#include <stdlib.h>
#include <string.h>

#include "media/jpeg_splice_impl.h"

struct il_jpeg_grid il_jpeg_grid(const struct il_jpeg_form *form)
{
	struct il_jpeg_grid grid = { .mcu = form->full_chroma ? 8 : 16, .interval = (uint32_t)form->interval };
	grid.columns = (form->width + grid.mcu - 1) / grid.mcu;
	grid.rows = (form->height + grid.mcu - 1) / grid.mcu;
	grid.mcus = (uint32_t)grid.columns * (uint32_t)grid.rows;
	grid.intervals = (grid.mcus + grid.interval - 1) / grid.interval;
	return grid;
}

bool il_jpeg_form_valid(const struct il_jpeg_form *form)
{
	return form->width > 0 && form->width <= JPEG_MAX_DIMENSION && form->height > 0 &&
	       form->height <= JPEG_MAX_DIMENSION && form->interval > 0 && form->interval <= 65535;
}

uint32_t il_jpeg_intervals(const struct il_jpeg_form *form)
{
	return il_jpeg_form_valid(form) ? il_jpeg_grid(form).intervals : 0;
}

uint32_t il_jpeg_interval_mcus(const struct il_jpeg_grid *grid, uint32_t i)
{
	uint32_t left = grid->mcus - i * grid->interval;
	return left < grid->interval ? left : grid->interval;
}

struct il_jpeg_span il_jpeg_touched(const struct il_jpeg_grid *grid, int x0, int x1, int y)
{
	uint32_t row = (uint32_t)y * (uint32_t)grid->columns;
	return (struct il_jpeg_span){ (row + (uint32_t)x0) / grid->interval,
		                      (row + (uint32_t)x1 - 1) / grid->interval + 1 };
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

static int most(int a, int b)
{
	return a > b ? a : b;
}

struct inlay_rect il_jpeg_mcu_rect(const struct il_jpeg_form *form, struct inlay_rect rect)
{
	int mcu = il_jpeg_grid(form).mcu;
	rect = (struct inlay_rect){ most(rect.x0, 0), most(rect.y0, 0), least(rect.x1, form->width),
		                    least(rect.y1, form->height) };
	if (rect.x0 >= rect.x1 || rect.y0 >= rect.y1)
		return (struct inlay_rect){ 0 };
	return (struct inlay_rect){ rect.x0 / mcu, rect.y0 / mcu, (rect.x1 - 1) / mcu + 1, (rect.y1 - 1) / mcu + 1 };
}

struct inlay_rect il_jpeg_splice_area(const struct il_jpeg_form *form, struct inlay_rect rect)
{
	if (!il_jpeg_form_valid(form))
		return (struct inlay_rect){ 0 };
	struct il_jpeg_grid grid = il_jpeg_grid(form);
	struct inlay_rect mcus = il_jpeg_mcu_rect(form, rect), area = mcus;
	uint32_t columns = (uint32_t)grid.columns;
	for (int y = mcus.y0; y < mcus.y1; y++) {
		struct il_jpeg_span span = il_jpeg_touched(&grid, mcus.x0, mcus.x1, y);
		uint32_t first = span.first * grid.interval, last_interval = span.end - 1;
		uint32_t last = last_interval * grid.interval + il_jpeg_interval_mcus(&grid, last_interval) - 1;
		int y0 = (int)(first / columns), y1 = (int)(last / columns);
		area.x0 = least(area.x0, y0 < y1 ? 0 : (int)(first % columns));
		area.x1 = most(area.x1, y0 < y1 ? grid.columns : (int)(last % columns) + 1);
		area.y0 = least(area.y0, y0);
		area.y1 = most(area.y1, y1 + 1);
	}
	return (struct inlay_rect){ area.x0 * grid.mcu, area.y0 * grid.mcu, least(area.x1 * grid.mcu, form->width),
		                    least(area.y1 * grid.mcu, form->height) };
}

/* libjpeg reads the header of any JPEG and knows the standard tables; both under one way of failing. */
struct reader {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_compress_struct standard;
	struct il_jpeg_errors errors;
	const char *name;
	struct inlay_error *err;
};

static enum inlay_err refuse(struct reader *r, const char *what, const char *expected)
{
	return il_fail(r->err, INLAY_ERR_FORMAT, "%s: %s, expected %s", r->name, what, expected);
}

static enum inlay_err check_coding(struct reader *r)
{
	const struct jpeg_decompress_struct *jpeg = &r->jpeg;
	if (jpeg->progressive_mode)
		return refuse(r, "is a progressive JPEG", "a baseline one");
	if (jpeg->arith_code)
		return refuse(r, "is coded arithmetically", "Huffman codes");
	if (jpeg->data_precision != 8)
		return refuse(r, "has samples of more than 8 bits", "8");
	if (jpeg->num_components != 3 || jpeg->jpeg_color_space != JCS_YCbCr)
		return refuse(r, "is grey or of another colour space", "YCbCr");
	if (jpeg->comps_in_scan != 3 || jpeg->Ss != 0 || jpeg->Se != DCTSIZE2 - 1 || jpeg->Ah || jpeg->Al)
		return refuse(r, "is cut into several scans", "one scan");
	for (int i = 0; i < 3; i++)
		if (jpeg->cur_comp_info[i] != &jpeg->comp_info[i])
			return refuse(r, "has components out of order", "Y, Cb, Cr");
	if (!jpeg->restart_interval)
		return refuse(r, "has no restart markers", "a JPEG encoded for splicing");
	return INLAY_OK;
}

static enum inlay_err check_sampling(struct reader *r, bool *full_chroma)
{
	const jpeg_component_info *c = r->jpeg.comp_info;
	bool chroma = c[1].h_samp_factor == 1 && c[1].v_samp_factor == 1 && c[2].h_samp_factor == 1 &&
	              c[2].v_samp_factor == 1;
	if (!chroma || c[0].h_samp_factor != c[0].v_samp_factor || c[0].h_samp_factor > 2)
		return refuse(r, "has another chroma sampling", "4:2:0 or 4:4:4");
	*full_chroma = c[0].h_samp_factor == 1;
	return INLAY_OK;
}

static bool same_table(const JHUFF_TBL *a, const JHUFF_TBL *standard)
{
	size_t n = 0;
	if (!a || memcmp(a->bits + 1, standard->bits + 1, 16) != 0)
		return false;
	for (int i = 1; i <= 16; i++)
		n += standard->bits[i];
	return !memcmp(a->huffval, standard->huffval, n);
}

/* Table numbers of a scan go up to 3, which libjpeg checks only when it decodes. May jump. */
static enum inlay_err check_tables(struct reader *r)
{
	jpeg_create_compress(&r->standard);
	r->standard.input_components = 3;
	r->standard.in_color_space = JCS_YCbCr;
	jpeg_set_defaults(&r->standard);
	for (int i = 0; i < 3; i++) {
		const jpeg_component_info *c = &r->jpeg.comp_info[i];
		if (c->dc_tbl_no >= NUM_HUFF_TBLS || c->ac_tbl_no >= NUM_HUFF_TBLS ||
		    !same_table(r->jpeg.dc_huff_tbl_ptrs[c->dc_tbl_no], r->standard.dc_huff_tbl_ptrs[i > 0]) ||
		    !same_table(r->jpeg.ac_huff_tbl_ptrs[c->ac_tbl_no], r->standard.ac_huff_tbl_ptrs[i > 0]))
			return refuse(r, "has Huffman tables of its own", "the standard ones");
	}
	return INLAY_OK;
}

static enum inlay_err read_steps(struct reader *r, uint16_t steps[3][DCTSIZE2])
{
	for (int i = 0; i < 3; i++) {
		int number = r->jpeg.comp_info[i].quant_tbl_no;
		const JQUANT_TBL *table = number < NUM_QUANT_TBLS ? r->jpeg.quant_tbl_ptrs[number] : NULL;
		if (!table)
			return refuse(r, "lacks a quantisation table", "one for each component");
		for (int k = 0; k < DCTSIZE2; k++) {
			steps[i][k] = table->quantval[k];
			if (steps[i][k] < 1 || steps[i][k] > 255)
				return refuse(r, "has a quantisation step out of range", "1..255");
		}
	}
	return INLAY_OK;
}

/* May jump. */
static enum inlay_err read_header(struct reader *r, const uint8_t *data, size_t size, struct il_jpeg_header *header)
{
	jpeg_create_decompress(&r->jpeg);
	jpeg_mem_src(&r->jpeg, data, size);
	jpeg_read_header(&r->jpeg, TRUE);
	enum inlay_err rc = check_coding(r);
	if (!rc)
		rc = check_sampling(r, &header->form.full_chroma);
	if (!rc)
		rc = check_tables(r);
	if (!rc)
		rc = read_steps(r, header->steps);
	header->form.width = (int)r->jpeg.image_width;
	header->form.height = (int)r->jpeg.image_height;
	header->form.interval = (int)r->jpeg.restart_interval;
	header->size = size - r->jpeg.src->bytes_in_buffer;
	return rc;
}

static enum inlay_err run_reader(struct reader *r, const uint8_t *data, size_t size, struct il_jpeg_header *header)
{
	if (setjmp(r->errors.jump))
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: %s", r->name, r->errors.text);
	return read_header(r, data, size, header);
}

enum inlay_err il_jpeg_header_read(const uint8_t *data, size_t size, const char *name, struct il_jpeg_header *header,
                                   struct inlay_error *err)
{
	struct reader r = { .name = name, .err = err };
	r.jpeg.err = r.standard.err = il_jpeg_errors(&r.errors, name);
	enum inlay_err rc = run_reader(&r, data, size, header);
	jpeg_destroy_decompress(&r.jpeg);
	jpeg_destroy_compress(&r.standard);
	return rc;
}

size_t il_jpeg_next_marker(const uint8_t *data, size_t size, size_t at)
{
	while (at + 1 < size) {
		const uint8_t *found = memchr(data + at, 0xff, size - 1 - at);
		if (!found)
			break;
		at = (size_t)(found - data);
		if (data[at + 1])
			return at;
		at += 2;
	}
	return size;
}

enum inlay_err il_jpeg_offsets(const uint8_t *data, size_t size, const char *name, const struct il_jpeg_header *header,
                               uint32_t *offsets, struct inlay_error *err)
{
	uint32_t n = il_jpeg_intervals(&header->form);
	size_t at = header->size;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t expected = i + 1 < n ? (uint8_t)(JPEG_RST0 + i % 8) : JPEG_EOI;
		offsets[i] = (uint32_t)at;
		at = il_jpeg_next_marker(data, size, at);
		if (at == size)
			return il_fail(err, INLAY_ERR_FORMAT, "%s: breaks off in interval %u of %u", name, i, n);
		if (data[at + 1] != expected)
			return il_fail(err, INLAY_ERR_FORMAT,
			               "%s: marker FF%02X after interval %u of %u, expected FF%02X", name, data[at + 1],
			               i, n, expected);
		at += 2;
	}
	if (at != size)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: %zu bytes after the end of the JPEG, expected none", name,
		               size - at);
	return INLAY_OK;
}

enum inlay_err il_jpeg_base_scan(const uint8_t *data, size_t size, const char *name, struct il_jpeg_base *base,
                                 uint32_t **offsets, struct inlay_error *err)
{
	struct il_jpeg_header header;
	if (size > UINT32_MAX)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: is %zu bytes long, expected less than 4 GiB", name, size);
	enum inlay_err rc = il_jpeg_header_read(data, size, name, &header, err);
	if (rc)
		return rc;
	uint32_t n = il_jpeg_intervals(&header.form);
	if (n > size / 2) /* each ends with a marker, so this one breaks off; before memory is asked for */
		return il_fail(err, INLAY_ERR_FORMAT, "%s: has %zu bytes for %u intervals; breaks off", name, size, n);
	uint32_t *found = malloc(n * sizeof *found);
	if (!found)
		return il_fail_memory(err);
	rc = il_jpeg_offsets(data, size, name, &header, found, err);
	if (rc) {
		free(found);
		return rc;
	}
	*base = (struct il_jpeg_base){ header.form, data, size, found };
	*offsets = found;
	return INLAY_OK;
}
