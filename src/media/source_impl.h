/* The kinds of source.c's inputs that are more than a file of video. */
#ifndef IL_MEDIA_SOURCE_IMPL_H
#define IL_MEDIA_SOURCE_IMPL_H

#include <libavformat/avformat.h>

#include "media/source.h"

/* source_picture.c: a file that is one picture, held upright. */
struct il_still {
	struct inlay_frame *frame; /* BGR24; NULL where the file is no picture */
	const char *codec;
	int rotation; /* degrees clockwise that were applied */
};

/* A file that is not there or cannot be read is left to who opens it as a video. */
enum inlay_err il_still_read(struct il_still *still, const char *path, struct inlay_error *err);

/* source_live.c: a y4m pipe or a camera. */
struct il_live {
	bool (*cancelled)(void *ctx);
	void *cancel_ctx;
	AVIOContext *io; /* of the pipe */
};

/* "-", a camera's name, or the name of any device. */
bool il_is_live(const char *path);

enum inlay_err il_live_open(struct il_live *live, AVFormatContext **format, const struct il_source_params *params,
                            struct inlay_error *err);
/* After avformat_close_input. */
void il_live_close(struct il_live *live);

bool il_live_is_cancelled(const struct il_live *live);
/* Lets a camera that has no frame yet get on with it. */
void il_live_wait(void);

#endif
