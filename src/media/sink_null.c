/* Frames that go nowhere: for measuring everything before the output. */
#include "media/sink_impl.h"

static enum inlay_err null_open(void **self, const char *format, const struct il_sink_params *params,
                                struct inlay_error *err)
{
	(void)format, (void)params, (void)err;
	*self = NULL;
	return INLAY_OK;
}

static enum inlay_err null_write(void *self, struct inlay_frame *frame, struct inlay_error *err)
{
	(void)self, (void)frame, (void)err;
	return INLAY_OK;
}

static enum inlay_err null_finish(void *self, struct inlay_error *err)
{
	(void)self, (void)err;
	return INLAY_OK;
}

static void null_end(void *self)
{
	(void)self;
}

static const char *null_describe(const void *self)
{
	(void)self;
	return "null: frames are dropped";
}

const struct il_sink_type il_sink_null = {
	.formats = (const char *const[]){ "null", NULL },
	.open = null_open,
	.write = null_write,
	.finish = null_finish,
	.abort = null_end,
	.close = null_end,
	.describe = null_describe,
};
