#include "media/jpeg_splice.h"

#include <stdlib.h>
#include <string.h>

#include "media/jpeg_output.h"
#include "media/jpeg_splice_impl.h"

#define MAX_SIDE 16 /* of an MCU */

struct buffer {
	uint8_t *bytes;
	size_t size, capacity;
};

struct il_jpeg_splicer {
	struct jpeg_compress_struct jpeg;
	struct il_jpeg_errors errors;
	struct il_jpeg_output whole; /* the last base encoded */
	struct il_jpeg_output parts; /* what a splice encodes at once */
	struct il_jpeg_output part;  /* or one by one */

	struct il_jpeg_header header; /* the compressor is set up for it; size 0: for none */
	struct buffer header_bytes;   /* of the JPEG it was read from */
	struct buffer strip;          /* samples of one row of MCUs */
	struct buffer spliced;
	struct buffer offsets; /* of the last base encoded */
};

enum inlay_err il_jpeg_splicer_create(struct il_jpeg_splicer **out, struct inlay_error *err)
{
	struct il_jpeg_splicer *splicer = calloc(1, sizeof *splicer);
	if (!splicer)
		return il_fail_memory(err);
	splicer->jpeg.err = il_jpeg_errors(&splicer->errors, "JPEG splicer");
	if (setjmp(splicer->errors.jump)) {
		il_jpeg_splicer_destroy(&splicer);
		return il_fail_memory(err);
	}
	jpeg_create_compress(&splicer->jpeg);
	if (!il_jpeg_output_init(&splicer->whole, &splicer->jpeg) ||
	    !il_jpeg_output_init(&splicer->parts, &splicer->jpeg) ||
	    !il_jpeg_output_init(&splicer->part, &splicer->jpeg))
		longjmp(splicer->errors.jump, 1);
	*out = splicer;
	return INLAY_OK;
}

void il_jpeg_splicer_destroy(struct il_jpeg_splicer **slot)
{
	struct il_jpeg_splicer *splicer = *slot;
	if (!splicer)
		return;
	*slot = NULL;
	jpeg_destroy_compress(&splicer->jpeg);
	il_jpeg_output_free(&splicer->whole);
	il_jpeg_output_free(&splicer->parts);
	il_jpeg_output_free(&splicer->part);
	free(splicer->header_bytes.bytes);
	free(splicer->strip.bytes);
	free(splicer->spliced.bytes);
	free(splicer->offsets.bytes);
	free(splicer);
}

/* Room for `more` bytes after those that are there. */
static bool reserve(struct buffer *buffer, size_t more)
{
	if (more <= buffer->capacity - buffer->size)
		return true;
	size_t capacity = 2 * buffer->capacity > buffer->size + more ? 2 * buffer->capacity : buffer->size + more;
	uint8_t *bytes = realloc(buffer->bytes, capacity);
	if (!bytes)
		return false;
	buffer->bytes = bytes;
	buffer->capacity = capacity;
	return true;
}

static bool append(struct buffer *buffer, const uint8_t *bytes, size_t size)
{
	if (!reserve(buffer, size))
		return false;
	memcpy(buffer->bytes + buffer->size, bytes, size);
	buffer->size += size;
	return true;
}

/* Planes that begin at the first sample of `area`, which begins at a whole MCU. */
struct source {
	const struct inlay_planes *planes;
	struct inlay_rect area;
	bool full_chroma;
};

static int mcu_side(bool full_chroma, int plane)
{
	return !full_chroma && plane == 0 ? 2 * DCTSIZE : DCTSIZE;
}

/* May jump. */
static void out_of_memory(struct il_jpeg_splicer *splicer)
{
	snprintf(splicer->errors.text, sizeof splicer->errors.text, "out of memory");
	longjmp(splicer->errors.jump, 1);
}

/* A row of MCUs, the planes one after the other. May jump. */
static void map_strip(struct il_jpeg_splicer *splicer, bool full_chroma, int columns, struct inlay_planes *strip)
{
	splicer->strip.size = 0;
	if (!reserve(&splicer->strip, (size_t)columns * MAX_SIDE * MAX_SIDE * 3))
		out_of_memory(splicer);
	uint8_t *at = splicer->strip.bytes;
	for (int i = 0; i < 3; i++) {
		int side = mcu_side(full_chroma, i);
		strip->data[i] = at;
		strip->stride[i] = (ptrdiff_t)columns * side;
		at += strip->stride[i] * side;
	}
}

/* Copies n MCUs from column x of row y of the picture to column `to` of the strip. What lies outside of the picture
 * repeats its last column and row. */
static void fill(const struct source *source, int x, int y, int n, const struct inlay_planes *strip, int to)
{
	for (int i = 0; i < 3; i++) {
		int side = mcu_side(source->full_chroma, i), half = i && !source->full_chroma;
		int left = (x * side) - (source->area.x0 >> half), top = (y * side) - (source->area.y0 >> half);
		int width = (source->area.x1 - source->area.x0 + half) >> half;
		int height = (source->area.y1 - source->area.y0 + half) >> half;
		int there = n * side < width - left ? n * side : width - left;
		for (int k = 0; k < side; k++) {
			int row = top + k < height ? top + k : height - 1;
			const uint8_t *from = source->planes->data[i] + row * source->planes->stride[i] + left;
			uint8_t *out = strip->data[i] + k * strip->stride[i] + to * side;
			memcpy(out, from, (size_t)there);
			memset(out + there, from[there - 1], (size_t)(n * side - there));
		}
	}
}

/* Grey of zero DC. */
static void fill_grey(const struct inlay_planes *strip, bool full_chroma)
{
	for (int i = 0; i < 3; i++)
		memset(strip->data[i], CENTERJSAMPLE, (size_t)(strip->stride[i] * mcu_side(full_chroma, i)));
}

/* May jump. */
static void write_strip(struct il_jpeg_splicer *splicer, const struct inlay_planes *strip, bool full_chroma)
{
	JSAMPROW rows[3][MAX_SIDE];
	JSAMPARRAY arrays[3] = { rows[0], rows[1], rows[2] };
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < mcu_side(full_chroma, i); k++)
			rows[i][k] = strip->data[i] + k * strip->stride[i];
	jpeg_write_raw_data(&splicer->jpeg, arrays, (JDIMENSION)mcu_side(full_chroma, 0));
}

/* A picture of its own into `output`. May jump. */
static void start(struct il_jpeg_splicer *splicer, struct il_jpeg_output *output, int width, int height,
                  uint32_t interval, bool tables)
{
	struct jpeg_compress_struct *jpeg = &splicer->jpeg;
	jpeg->dest = &output->manager;
	jpeg->image_width = (JDIMENSION)width;
	jpeg->image_height = (JDIMENSION)height;
	jpeg->restart_interval = interval;
	jpeg_start_compress(jpeg, tables);
}

/* The area as a picture of its own. May jump. */
static void encode_area(struct il_jpeg_splicer *splicer, struct il_jpeg_output *output, const struct source *source,
                        uint32_t interval, bool tables)
{
	struct inlay_rect area = source->area;
	int mcu = mcu_side(source->full_chroma, 0);
	int x = area.x0 / mcu, columns = (area.x1 + mcu - 1) / mcu - x;
	struct inlay_planes strip;
	map_strip(splicer, source->full_chroma, columns, &strip);
	start(splicer, output, area.x1 - area.x0, area.y1 - area.y0, interval, tables);
	for (int y = area.y0 / mcu; y * mcu < area.y1; y++) {
		fill(source, x, y, columns, &strip, 0);
		write_strip(splicer, &strip, source->full_chroma);
	}
	jpeg_finish_compress(&splicer->jpeg);
}

/* The intervals that a change touches, in order. */
struct walk {
	const struct il_jpeg_grid *grid;
	struct inlay_rect mcus; /* the change; y0 is the next row to look at */
	uint32_t next, end;
};

static bool next_touched(struct walk *walk, uint32_t *i)
{
	while (walk->next >= walk->end) {
		if (walk->mcus.y0 == walk->mcus.y1)
			return false;
		struct il_jpeg_span span = il_jpeg_touched(walk->grid, walk->mcus.x0, walk->mcus.x1, walk->mcus.y0++);
		walk->next = walk->next > span.first ? walk->next : span.first;
		walk->end = span.end;
	}
	*i = walk->next++;
	return true;
}

/* How an interval that ends within a row lies in a picture of its own: that picture's MCU `lead` is the interval's
 * first, and after its last one comes a restart marker.
 *
 * In 4:2:0 the blocks of an MCU that lie outside of the picture are not coded from samples. So that they are the same
 * ones, what is at the right or lower edge of the frame is at that edge here too, with grey MCUs before the interval.
 */
struct layout {
	int columns, rows, lead;
	int width, height; /* in pixels */
};

/* A grey MCU leaves all predictions at 0 and is 32 bits of code in 4:2:0: 00 1010 for each of four luma blocks and
 * 00 00 for both of chroma (ITU-T T.81, tables K.3 to K.6). */
#define GREY_BYTES 4

static struct layout lay_out(const struct il_jpeg_form *form, const struct il_jpeg_grid *grid, uint32_t i)
{
	struct layout layout = { 0 };
	uint32_t first = i * grid->interval, n = il_jpeg_interval_mcus(grid, i);
	uint32_t columns = (uint32_t)grid->columns, x = first % columns, room = columns - x;
	uint32_t wide = n < columns ? n : columns;
	if (!form->full_chroma && n > room) {
		uint32_t least = n - room + 1 < columns ? n - room + 1 : columns;
		wide = room > least ? room : least;
		layout.lead = (int)(wide - room);
	}
	layout.columns = (int)wide;
	layout.rows = (int)(((uint32_t)layout.lead + n - 1) / wide) + 1;
	layout.width = layout.columns * grid->mcu;
	layout.height = layout.rows * grid->mcu;
	if (n >= room)
		layout.width -= grid->columns * grid->mcu - form->width;
	if (first + n > grid->mcus - columns)
		layout.height -= grid->rows * grid->mcu - form->height;
	return layout;
}

static uint32_t least_of(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t ab = a < b ? a : b;
	return ab < c ? ab : c;
}

/* MCUs `at`..`end` into the strip from its column `to` on, as many as fit; gives the first that is left. */
static uint32_t fill_strip(const struct source *source, const struct il_jpeg_grid *grid, uint32_t at, uint32_t end,
                           const struct inlay_planes *strip, int to, int columns)
{
	uint32_t row = (uint32_t)grid->columns;
	while (to < columns && at < end) {
		uint32_t n = least_of(row - at % row, end - at, (uint32_t)(columns - to));
		fill(source, (int)(at % row), (int)(at / row), (int)n, strip, to);
		to += (int)n;
		at += n;
	}
	return at;
}

/* May jump. */
static void encode_interval(struct il_jpeg_splicer *splicer, const struct source *source,
                            const struct il_jpeg_grid *grid, uint32_t i, const struct layout *layout)
{
	uint32_t at = i * grid->interval, n = il_jpeg_interval_mcus(grid, i), end = at + n;
	struct inlay_planes strip;
	map_strip(splicer, source->full_chroma, layout->columns, &strip);
	start(splicer, &splicer->part, layout->width, layout->height, (uint32_t)layout->lead + n, false);
	for (int row = 0; row < layout->rows; row++) {
		fill_grey(&strip, source->full_chroma);
		at = fill_strip(source, grid, at, end, &strip, row ? 0 : layout->lead, layout->columns);
		write_strip(splicer, &strip, source->full_chroma);
	}
	jpeg_finish_compress(&splicer->jpeg);
}

/* Can the interval be a row of a picture that it shares with others, its blocks all coded from samples? */
static bool stacks(const struct il_jpeg_form *form, const struct il_jpeg_grid *grid, uint32_t i)
{
	struct layout layout = lay_out(form, grid, i);
	bool whole = layout.width == layout.columns * grid->mcu && layout.height == grid->mcu;
	return layout.rows == 1 && layout.columns == (int)grid->interval && (whole || form->full_chroma);
}

/* Those intervals of the walk that stack, as many as a picture can hold; gives how many. May jump. */
static uint32_t encode_stack(struct il_jpeg_splicer *splicer, const struct source *source,
                             const struct il_jpeg_form *form, const struct walk *walk)
{
	const struct il_jpeg_grid *grid = walk->grid;
	uint32_t i, n = 0, most = (uint32_t)(JPEG_MAX_DIMENSION / grid->mcu);
	for (struct walk w = *walk; n < most && next_touched(&w, &i);)
		n += stacks(form, grid, i);
	if (!n)
		return 0;
	struct inlay_planes strip;
	int columns = (int)grid->interval;
	map_strip(splicer, source->full_chroma, columns, &strip);
	start(splicer, &splicer->parts, columns * grid->mcu, (int)n * grid->mcu, grid->interval, false);
	uint32_t left = n;
	for (struct walk w = *walk; left && next_touched(&w, &i);) {
		if (!stacks(form, grid, i))
			continue;
		fill_strip(source, grid, i * grid->interval, (i + 1) * grid->interval, &strip, 0, columns);
		write_strip(splicer, &strip, source->full_chroma);
		left--;
	}
	jpeg_finish_compress(&splicer->jpeg);
	return n;
}

/* Where the coded bytes of what was encoded begin, after SOI and segments that tell their lengths. */
static size_t coded_start(const struct il_jpeg_output *output)
{
	const uint8_t *bytes = output->bytes;
	size_t at = 2;
	bool scan = false;
	while (!scan) {
		scan = bytes[at + 1] == 0xda;
		at += 2 + (size_t)(bytes[at + 2] << 8 | bytes[at + 3]);
	}
	return at;
}

/* May jump. */
static void configure(struct il_jpeg_splicer *splicer, bool full_chroma)
{
	struct jpeg_compress_struct *jpeg = &splicer->jpeg;
	splicer->header.size = 0;
	jpeg->in_color_space = JCS_YCbCr;
	jpeg->input_components = 3;
	jpeg_set_defaults(jpeg);
	jpeg->dct_method = JDCT_ISLOW;
	jpeg->raw_data_in = TRUE;
	jpeg->comp_info[0].h_samp_factor = jpeg->comp_info[0].v_samp_factor = full_chroma ? 1 : 2;
}

static enum inlay_err failed(struct il_jpeg_splicer *splicer, const struct il_jpeg_form *form, struct inlay_error *err)
{
	jpeg_abort_compress(&splicer->jpeg);
	return il_fail(err, INLAY_ERR_MEMORY, "JPEG of %dx%d: %s", form->width, form->height, splicer->errors.text);
}

static enum inlay_err encode(struct il_jpeg_splicer *splicer, const struct il_jpeg_form *form, int quality,
                             const struct inlay_planes *planes, struct inlay_error *err)
{
	struct source source = { planes, { 0, 0, form->width, form->height }, form->full_chroma };
	if (setjmp(splicer->errors.jump))
		return failed(splicer, form, err);
	configure(splicer, form->full_chroma);
	jpeg_set_quality(&splicer->jpeg, quality, TRUE);
	encode_area(splicer, &splicer->whole, &source, (uint32_t)form->interval, true);
	return INLAY_OK;
}

enum inlay_err il_jpeg_splicer_encode(struct il_jpeg_splicer *splicer, const struct il_jpeg_form *wanted, int quality,
                                      const struct inlay_planes *planes, struct il_jpeg_base *base,
                                      struct inlay_error *err)
{
	struct il_jpeg_header header = { .form = *wanted };
	struct il_jpeg_form *form = &header.form;
	if (!form->interval)
		form->interval = IL_JPEG_INTERVAL;
	if (!il_jpeg_form_valid(form))
		return il_fail(err, INLAY_ERR_INVALID,
		               "JPEG of %dx%d with a restart interval of %d, expected 1..%d each way and 1..65535",
		               form->width, form->height, form->interval, (int)JPEG_MAX_DIMENSION);
	if (quality < 1 || quality > 100)
		return il_fail(err, INLAY_ERR_INVALID, "JPEG quality %d, expected 1..100", quality);
	enum inlay_err rc = encode(splicer, form, quality, planes, err);
	if (rc)
		return rc;
	const uint8_t *data = splicer->whole.bytes;
	size_t size = il_jpeg_output_size(&splicer->whole);
	splicer->offsets.size = 0;
	if (!reserve(&splicer->offsets, il_jpeg_intervals(form) * sizeof(uint32_t)))
		return il_fail_memory(err);
	if (size > UINT32_MAX)
		return il_fail(err, INLAY_ERR_INVALID, "JPEG of %zu bytes, expected less than 4 GiB", size);
	uint32_t *offsets = (uint32_t *)(void *)splicer->offsets.bytes;
	header.size = coded_start(&splicer->whole);
	rc = il_jpeg_offsets(data, size, "JPEG encoded", &header, offsets, err);
	if (!rc)
		*base = (struct il_jpeg_base){ *form, data, size, offsets };
	return rc;
}

/* Sets the compressor up for a JPEG with these headers, unless it is: the frames of a clip share theirs. May jump. */
static enum inlay_err take_header(struct il_jpeg_splicer *splicer, const struct il_jpeg_base *base,
                                  struct inlay_error *err)
{
	struct il_jpeg_header header;
	struct jpeg_compress_struct *jpeg = &splicer->jpeg;
	size_t known = splicer->header.size;
	if (known && base->size >= known && !memcmp(base->data, splicer->header_bytes.bytes, known))
		return INLAY_OK;
	enum inlay_err rc = il_jpeg_header_read(base->data, base->size, "JPEG to be spliced", &header, err);
	if (rc)
		return rc;
	configure(splicer, header.form.full_chroma);
	for (int i = 0; i < 3; i++) {
		jpeg->comp_info[i].quant_tbl_no = i;
		if (!jpeg->quant_tbl_ptrs[i])
			jpeg->quant_tbl_ptrs[i] = jpeg_alloc_quant_table((j_common_ptr)jpeg);
		memcpy(jpeg->quant_tbl_ptrs[i]->quantval, header.steps[i], sizeof header.steps[i]);
	}
	jpeg->write_JFIF_header = FALSE;
	jpeg_suppress_tables(jpeg, TRUE);
	splicer->header_bytes.size = 0;
	if (!append(&splicer->header_bytes, base->data, header.size))
		out_of_memory(splicer);
	splicer->header = header;
	return INLAY_OK;
}

static bool same_form(const struct il_jpeg_form *a, const struct il_jpeg_form *b)
{
	return a->width == b->width && a->height == b->height && a->full_chroma == b->full_chroma &&
	       a->interval == b->interval;
}

static bool is_marker(const uint8_t *at, int marker)
{
	return at[0] == 0xff && at[1] == marker;
}

/* The base's coded bytes of interval i, without the marker after them. False where the offsets do not fit the data. */
static bool find_interval(const struct il_jpeg_base *base, size_t header_size, uint32_t n, uint32_t i, size_t *begin,
                          size_t *end)
{
	bool last = i + 1 == n;
	*begin = base->offsets[i];
	*end = (last ? base->size : base->offsets[i + 1]) - 2; /* wraps below 2, which is more than the size */
	if (*begin > *end || *end > base->size - 2)
		return false;
	if (i == 0 ? *begin != header_size
	           : *begin < header_size + 2 || !is_marker(base->data + *begin - 2, JPEG_RST0 + (int)((i - 1) % 8)))
		return false;
	return is_marker(base->data + *end, last ? JPEG_EOI : JPEG_RST0 + (int)(i % 8));
}

/* Goes through a splice interval by interval. */
struct work {
	struct il_jpeg_splicer *splicer;
	const struct il_jpeg_base *base;
	struct source source;
	struct il_jpeg_grid grid;
	bool aligned;     /* the area is a picture whose intervals are those touched */
	uint32_t stacked; /* else: how many of those to come are rows of one picture */
	size_t encoded;   /* where the next of them begins in the splicer's parts */
	size_t done;      /* bytes of the base copied or replaced */
};

/* May jump. */
static void put(struct work *work, const uint8_t *bytes, size_t size)
{
	if (!append(&work->splicer->spliced, bytes, size))
		out_of_memory(work->splicer);
}

/* Puts the coded bytes at `at` up to the marker after them; gives the place after that. May jump. */
static size_t put_encoded(struct work *work, const struct il_jpeg_output *output, size_t at)
{
	size_t marker = il_jpeg_next_marker(output->bytes, il_jpeg_output_size(output), at);
	put(work, output->bytes + at, marker - at);
	return marker + 2;
}

/* May jump. */
static enum inlay_err replace(struct work *work, uint32_t i, struct inlay_error *err)
{
	struct il_jpeg_splicer *splicer = work->splicer;
	const struct il_jpeg_form *form = &work->base->form;
	size_t begin, end;
	if (!find_interval(work->base, splicer->header.size, work->grid.intervals, i, &begin, &end) ||
	    begin < work->done)
		return il_fail(err, INLAY_ERR_FORMAT,
		               "JPEG to be spliced: offset of interval %u is %u, expected one between restart markers",
		               i, work->base->offsets[i]);
	put(work, work->base->data + work->done, begin - work->done);
	work->done = end;
	if (work->aligned || (work->stacked && stacks(form, &work->grid, i))) {
		work->encoded = put_encoded(work, &splicer->parts, work->encoded);
		work->stacked -= !work->aligned;
		return INLAY_OK;
	}
	struct layout layout = lay_out(form, &work->grid, i);
	encode_interval(splicer, &work->source, &work->grid, i, &layout);
	put_encoded(work, &splicer->part, coded_start(&splicer->part) + (size_t)layout.lead * GREY_BYTES);
	return INLAY_OK;
}

/* May jump. */
static enum inlay_err replace_all(struct work *work, struct inlay_rect mcus, struct inlay_error *err)
{
	struct il_jpeg_splicer *splicer = work->splicer;
	struct walk walk = { &work->grid, mcus, 0, 0 };
	uint32_t i, columns = (uint32_t)work->grid.columns, interval = work->grid.interval;
	work->aligned = mcus.y0 < mcus.y1 && (columns % interval == 0 || interval % columns == 0);
	if (work->aligned)
		encode_area(splicer, &splicer->parts, &work->source, interval, false);
	else
		work->stacked = encode_stack(splicer, &work->source, &work->base->form, &walk);
	if (work->aligned || work->stacked)
		work->encoded = coded_start(&splicer->parts);
	while (next_touched(&walk, &i)) {
		enum inlay_err rc = replace(work, i, err);
		if (rc)
			return rc;
	}
	put(work, work->base->data + work->done, work->base->size - work->done);
	return INLAY_OK;
}

static enum inlay_err run(struct work *work, struct inlay_rect rect, struct inlay_error *err)
{
	struct il_jpeg_splicer *splicer = work->splicer;
	const struct il_jpeg_base *base = work->base;
	if (setjmp(splicer->errors.jump))
		return failed(splicer, &base->form, err);
	enum inlay_err rc = take_header(splicer, base, err);
	if (rc)
		return rc;
	if (!same_form(&base->form, &splicer->header.form) || base->size < splicer->header.size + 2)
		return il_fail(err, INLAY_ERR_FORMAT, "JPEG to be spliced: is not of the form given, %dx%d and %s",
		               base->form.width, base->form.height, base->form.full_chroma ? "4:4:4" : "4:2:0");
	work->grid = il_jpeg_grid(&base->form);
	work->source.area = il_jpeg_splice_area(&base->form, rect);
	splicer->spliced.size = 0;
	return replace_all(work, il_jpeg_mcu_rect(&base->form, rect), err);
}

enum inlay_err il_jpeg_splice(struct il_jpeg_splicer *splicer, const struct il_jpeg_base *base,
                              const struct inlay_planes *patch, struct inlay_rect rect, const uint8_t **data,
                              size_t *size, struct inlay_error *err)
{
	struct work work = { .splicer = splicer,
		             .base = base,
		             .source = { .planes = patch, .full_chroma = base->form.full_chroma } };
	enum inlay_err rc = run(&work, rect, err);
	if (rc)
		return rc;
	*data = splicer->spliced.bytes;
	*size = splicer->spliced.size;
	return INLAY_OK;
}
