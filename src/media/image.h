/* Still pictures: JPEG through libjpeg-turbo, everything else through libav. Any thread. */
#ifndef IL_MEDIA_IMAGE_H
#define IL_MEDIA_IMAGE_H

#include "base/error.h"
#include "base/file.h"
#include "frame/frame.h"

/* libav's name for the kind of picture that begins with these bytes (16 or more), "mjpeg" for JPEG; NULL: none known.
 */
const char *il_image_codec(const uint8_t *data, size_t size);

/* Decodes into INLAY_PIX_I420, INLAY_PIX_BGR24 or INLAY_PIX_GRAY8. JPEG to BGR24 equals OpenCV's imread bit for bit
 * (islow DCT, fancy upsampling), but that an EXIF orientation is ignored. JPEG to I420 takes the planes as they are
 * (full range, BT.601) where the file is 4:2:0, and converts otherwise. PNG to I420 is full-range BT.601 too. More than
 * 100 megapixels are refused, before memory for them is asked for. The name is for messages. */
enum inlay_err il_image_decode(const uint8_t *data, size_t size, const char *name, enum inlay_pixfmt format,
                               struct inlay_frame **frame, struct inlay_error *err);

enum inlay_err il_image_read(const char *path, enum inlay_pixfmt format, struct inlay_frame **frame,
                             struct inlay_error *err);

/* il_image_read for one of a series of pictures of one size: any other is INLAY_ERR_FORMAT before it is decoded. */
enum inlay_err il_image_read_sized(const char *path, enum inlay_pixfmt format, int width, int height,
                                   struct inlay_frame **frame, struct inlay_error *err);

/* Width and height, from the header alone for JPEG and PNG. Warns of an EXIF orientation. */
enum inlay_err il_image_size(const char *path, int *width, int *height, struct inlay_error *err);

/* Encodes I420, BGR24 or GRAY8, and as png YUVA420P and BGR24A8. extension: "jpg", "jpeg" or "png". quality 1..100 for
 * JPEG; I420 goes in as planes, converted to full-range BT.601 (JFIF) first when tagged otherwise. The bytes are the
 * caller's. One encoder is used by one thread and keeps its buffers from picture to picture. */
struct il_image_encoder;
enum inlay_err il_image_encoder_create(struct il_image_encoder **encoder, const char *extension, int quality,
                                       struct inlay_error *err);
void il_image_encoder_destroy(struct il_image_encoder **encoder);
/* *data stays the encoder's and is valid until its next call. */
enum inlay_err il_image_encode(struct il_image_encoder *encoder, const struct inlay_frame *frame, const uint8_t **data,
                               size_t *size, struct inlay_error *err);

#endif
