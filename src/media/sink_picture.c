/* One picture under the very name that was given. */
#include "media/sink_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/byte_out.h"
#include "media/image.h"

struct picture {
	struct il_byte_out out;
	struct il_image_encoder *encoder;
	bool written;
	char text[64];
};

static void picture_close(void *self)
{
	struct picture *p = self;
	il_byte_out_close(&p->out);
	il_image_encoder_destroy(&p->encoder);
	free(p);
}

static enum inlay_err picture_open(void **self, const char *format, const struct il_sink_params *params,
                                   struct inlay_error *err)
{
	int quality = params->quality ? params->quality : 90;
	if (!params->path)
		return il_fail(err, INLAY_ERR_INVALID, "%s needs a file name, or - for standard output", format);
	struct picture *p = calloc(1, sizeof *p);
	if (!p)
		return il_fail_memory(err);
	if (!strcmp(format, "png"))
		snprintf(p->text, sizeof p->text, "png picture");
	else
		snprintf(p->text, sizeof p->text, "%s picture, quality %d", format, quality);
	enum inlay_err rc = il_image_encoder_create(&p->encoder, format, quality, err);
	if (!rc)
		rc = il_byte_out_open(&p->out, params, err);
	if (rc)
		picture_close(p);
	else
		*self = p;
	return rc;
}

static enum inlay_err picture_write(void *self, struct inlay_frame *frame, struct inlay_error *err)
{
	struct picture *p = self;
	const uint8_t *data;
	size_t size;
	if (p->written)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: a second frame, expected one; a name such as FOLDER/%%06d.png takes more",
		               p->out.name);
	enum inlay_err rc = il_image_encode(p->encoder, frame, &data, &size, err);
	p->written = !rc;
	return rc ? rc : il_byte_out_write(&p->out, data, size, err);
}

static enum inlay_err picture_finish(void *self, struct inlay_error *err)
{
	struct picture *p = self;
	if (!p->written)
		return il_fail(err, INLAY_ERR_INVALID, "%s: no frame was written, expected one", p->out.name);
	return il_byte_out_finish(&p->out, err);
}

/* Closing an unfinished output removes it. */
static void picture_abort(void *self)
{
	(void)self;
}

static const char *picture_describe(const void *self)
{
	return ((const struct picture *)self)->text;
}

/* Chosen by il_sink_params.single, not by a name. */
const struct il_sink_type il_sink_picture = {
	.formats = (const char *const[]){ NULL },
	.open = picture_open,
	.write = picture_write,
	.finish = picture_finish,
	.abort = picture_abort,
	.close = picture_close,
	.describe = picture_describe,
};
