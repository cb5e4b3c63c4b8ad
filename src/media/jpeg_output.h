/* Where libjpeg's compressor writes: memory that grows and is kept from picture to picture. */
#ifndef IL_MEDIA_JPEG_OUTPUT_H
#define IL_MEDIA_JPEG_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "media/jpeg_error.h"

/* One thread. {0} is none. */
struct il_jpeg_output {
	struct jpeg_destination_mgr manager; /* jpeg->dest points here, so this comes first */
	uint8_t *bytes;
	size_t capacity;
};

/* Makes `output` the destination of `jpeg`, whose error manager is a struct il_jpeg_errors. Every start of a picture
 * begins at the front again. False when out of memory; a later lack of it jumps. */
bool il_jpeg_output_init(struct il_jpeg_output *output, struct jpeg_compress_struct *jpeg);
void il_jpeg_output_free(struct il_jpeg_output *output);

/* Bytes written so far, after jpeg_finish_compress the whole picture. */
size_t il_jpeg_output_size(const struct il_jpeg_output *output);

#endif
