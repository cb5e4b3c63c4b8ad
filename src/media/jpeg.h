/* JPEG through libjpeg-turbo. image.h is the door for everybody else. */
#ifndef IL_MEDIA_JPEG_H
#define IL_MEDIA_JPEG_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "frame/frame.h"

/* As il_image_decode and il_image_size. `name` is for messages. A picture that breaks off or is damaged is
 * INLAY_ERR_FORMAT, not a half-grey frame. */
enum inlay_err il_jpeg_decode(const uint8_t *data, size_t size, const char *name, enum inlay_pixfmt format,
                              struct inlay_frame **frame, struct inlay_error *err);
enum inlay_err il_jpeg_size(const uint8_t *data, size_t size, const char *name, int *width, int *height,
                            struct inlay_error *err);

/* Baseline, 4:2:0, islow DCT, standard Huffman tables. One thread. */
struct il_jpeg_encoder;
enum inlay_err il_jpeg_encoder_create(struct il_jpeg_encoder **encoder, int quality, struct inlay_error *err);
void il_jpeg_encoder_destroy(struct il_jpeg_encoder **encoder);
/* As il_image_encode. */
enum inlay_err il_jpeg_encode(struct il_jpeg_encoder *encoder, const struct inlay_frame *frame, const uint8_t **data,
                              size_t *size, struct inlay_error *err);

#endif
