/* "index md5" a frame, of its planes' bytes without padding: what two runs are compared by. */
#include "media/sink_impl.h"

#include <inttypes.h>
#include <libavutil/md5.h>
#include <libavutil/mem.h>
#include <stdio.h>
#include <stdlib.h>

#include "media/byte_out.h"

struct digest {
	struct il_byte_out out;
	struct AVMD5 *md5;
	int64_t frames;
};

static void digest_close(void *self)
{
	struct digest *d = self;
	il_byte_out_close(&d->out);
	av_free(d->md5);
	free(d);
}

static enum inlay_err digest_open(void **self, const char *format, const struct il_sink_params *params,
                                  struct inlay_error *err)
{
	(void)format;
	struct digest *d = calloc(1, sizeof *d);
	if (!d)
		return il_fail_memory(err);
	d->md5 = av_md5_alloc();
	enum inlay_err rc = d->md5 ? il_byte_out_open(&d->out, params, err) : il_fail_memory(err);
	if (rc)
		digest_close(d);
	else
		*self = d;
	return rc;
}

static enum inlay_err digest_write(void *self, struct inlay_frame *frame, struct inlay_error *err)
{
	struct digest *d = self;
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	struct inlay_planes planes;
	av_md5_init(d->md5);
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < il_plane_count(info->format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(info, i, &row_bytes, &rows);
		for (int y = 0; y < rows; y++)
			av_md5_update(d->md5, planes.data[i] + y * planes.stride[i], row_bytes);
	}
	inlay_frame_unmap(frame);

	uint8_t sum[16];
	char line[64];
	av_md5_final(d->md5, sum);
	int n = snprintf(line, sizeof line, "%" PRId64 " ", d->frames++);
	for (int i = 0; i < 16; i++)
		n += snprintf(line + n, sizeof line - (size_t)n, "%02x", sum[i]);
	line[n++] = '\n';
	return il_byte_out_write(&d->out, line, (size_t)n, err);
}

static enum inlay_err digest_finish(void *self, struct inlay_error *err)
{
	return il_byte_out_finish(&((struct digest *)self)->out, err);
}

/* Closing an unfinished output removes it. */
static void digest_abort(void *self)
{
	(void)self;
}

static const char *digest_describe(const void *self)
{
	(void)self;
	return "md5 of every frame";
}

const struct il_sink_type il_sink_digest = {
	.formats = (const char *const[]){ "md5", NULL },
	.open = digest_open,
	.write = digest_write,
	.finish = digest_finish,
	.abort = digest_abort,
	.close = digest_close,
	.describe = digest_describe,
};
