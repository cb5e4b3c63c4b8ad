/* Geometry and headers of JPEGs that are spliced; jpeg_intervals.c. */
#ifndef IL_MEDIA_JPEG_SPLICE_IMPL_H
#define IL_MEDIA_JPEG_SPLICE_IMPL_H

#include "media/jpeg_error.h"
#include "media/jpeg_splice.h"

/* Is all of it in range? */
bool il_jpeg_form_valid(const struct il_jpeg_form *form);

/* Of a valid form. */
struct il_jpeg_grid {
	int mcu;           /* pixels on a side */
	int columns, rows; /* of MCUs */
	uint32_t mcus, intervals;
	uint32_t interval;
};

struct il_jpeg_grid il_jpeg_grid(const struct il_jpeg_form *form);

/* How many MCUs interval i has. */
uint32_t il_jpeg_interval_mcus(const struct il_jpeg_grid *grid, uint32_t i);

/* Half-open range of intervals. */
struct il_jpeg_span {
	uint32_t first, end;
};

/* The intervals that columns x0..x1 of MCU row y touch (columns of MCUs, half-open, x0 < x1). */
struct il_jpeg_span il_jpeg_touched(const struct il_jpeg_grid *grid, int x0, int x1, int y);

/* `rect` in MCUs, clipped to the picture; {0} where nothing is left. */
struct inlay_rect il_jpeg_mcu_rect(const struct il_jpeg_form *form, struct inlay_rect rect);

/* What encoding an interval takes from the headers of a JPEG. */
struct il_jpeg_header {
	struct il_jpeg_form form;
	uint16_t steps[3][DCTSIZE2]; /* quantisation of each component, in natural order, 1..255 */
	size_t size;                 /* to where coded bytes begin */
};

/* INLAY_ERR_FORMAT unless all of struct il_jpeg_base's conditions that headers show are met. */
enum inlay_err il_jpeg_header_read(const uint8_t *data, size_t size, const char *name, struct il_jpeg_header *header,
                                   struct inlay_error *err);

/* The first marker at or after `at`: the place of its 0xFF, which another byte than 0 follows; `size` if there is none.
 */
size_t il_jpeg_next_marker(const uint8_t *data, size_t size, size_t at);

/* Writes the offsets of header->form's intervals, whose markers must follow each other as they should up to the end of
 * data. */
enum inlay_err il_jpeg_offsets(const uint8_t *data, size_t size, const char *name, const struct il_jpeg_header *header,
                               uint32_t *offsets, struct inlay_error *err);

#endif
