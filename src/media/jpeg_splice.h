/* JPEG splicing: a picture whose JPEG is kept has changed within a rectangle. Restart markers cut the JPEG into
 * intervals that do not depend on each other; those under the rectangle are encoded anew and put in place of the old
 * ones. The result equals the JPEG of the whole changed picture byte for byte.
 *
 * Samples are JPEG's own: full-range BT.601 (JFIF). Units: an MCU is the block of 16x16 pixels (4:2:0) or 8x8 (4:4:4)
 * that is coded as one; MCUs count from left to right and row by row, and interval i begins at MCU i * interval. */
#ifndef IL_MEDIA_JPEG_SPLICE_H
#define IL_MEDIA_JPEG_SPLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "inlay/frame.h"

struct il_jpeg_form {
	int width, height; /* in luma pixels, 1..65500 */
	bool full_chroma;  /* 4:4:4: chroma planes are as large as luma. Else 4:2:0, half both ways and rounded up */
	int interval;      /* MCUs between restart markers, 1..65535 */
};

/* A JPEG that can be spliced: baseline, YCbCr in one scan, 8 bits, the standard Huffman tables, restart markers, and
 * nothing after its end. Owns nothing. */
struct il_jpeg_base {
	struct il_jpeg_form form;
	const uint8_t *data;
	size_t size;             /* less than 4 GiB */
	const uint32_t *offsets; /* il_jpeg_intervals(&form) of them: where the coded bytes of each interval begin */
};

/* A good interval, in MCUs. A marker with its padding and the lost prediction takes 4 to 5 bytes: at 1280x720 this adds
 * 2 to 6 %. Longer intervals take longer to splice a face (8: 5 to 15 %, 16: twice as long); shorter ones cost twice
 * the bytes and splice hardly quicker. It need not divide a row of MCUs. */
#define IL_JPEG_INTERVAL 4

/* 0 where the form is out of range; its area is {0} then. */
uint32_t il_jpeg_intervals(const struct il_jpeg_form *form);

/* The pixels that il_jpeg_splice needs for a change within `rect`: all MCUs of all intervals that rect touches, and
 * what lies between them. Begins at whole MCUs, is clipped to the picture, and is {0} where rect meets no pixel of it.
 * An interval that goes on in the next row of MCUs makes it as wide as the picture. */
struct inlay_rect il_jpeg_splice_area(const struct il_jpeg_form *form, struct inlay_rect rect);

/* Finds form and offsets of a JPEG from outside by its headers and markers. On success base->offsets is fresh memory
 * (free()), also given as *offsets, and base->data is `data`. A JPEG that cannot be spliced is INLAY_ERR_FORMAT; `name`
 * is for messages. Which bytes lie between markers is not looked at. Any thread. */
enum inlay_err il_jpeg_base_scan(const uint8_t *data, size_t size, const char *name, struct il_jpeg_base *base,
                                 uint32_t **offsets, struct inlay_error *err);

/* Encodes base pictures and splices. One thread. Keeps its buffers from picture to picture; what libjpeg takes while it
 * encodes (about 30 KiB) it gives back each time. */
struct il_jpeg_splicer;
enum inlay_err il_jpeg_splicer_create(struct il_jpeg_splicer **splicer, struct inlay_error *err);
void il_jpeg_splicer_destroy(struct il_jpeg_splicer **splicer);

/* The whole picture: three planes as `form` says, quality 1..100, islow DCT. form->interval 0 is IL_JPEG_INTERVAL.
 * What *base points to is the splicer's until the next one is encoded. */
enum inlay_err il_jpeg_splicer_encode(struct il_jpeg_splicer *splicer, const struct il_jpeg_form *form, int quality,
                                      const struct inlay_planes *planes, struct il_jpeg_base *base,
                                      struct inlay_error *err);

/* The JPEG of base's picture with the samples of `patch` in the area of `rect`. patch holds
 * il_jpeg_splice_area(&base->form, rect): its data point at the area's first samples; outside of rect they are the
 * base picture's own, as they were when it was encoded (those of a decoded base are not). Bytes of untouched intervals
 * are copied. *data is the splicer's until the next splice.
 *
 * base may come from outside as a whole: headers, form and the offsets made use of are checked, and what does not fit
 * is INLAY_ERR_FORMAT. */
enum inlay_err il_jpeg_splice(struct il_jpeg_splicer *splicer, const struct il_jpeg_base *base,
                              const struct inlay_planes *patch, struct inlay_rect rect, const uint8_t **data,
                              size_t *size, struct inlay_error *err);

#endif
