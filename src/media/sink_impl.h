/* What one kind of sink provides; sink.c holds the list. */
#ifndef IL_MEDIA_SINK_IMPL_H
#define IL_MEDIA_SINK_IMPL_H

#include "media/sink.h"

/* Calls come from one thread. `open` leaves nothing behind on failure; `abort` follows an open that worked and
 * replaces `finish`; `close` frees in either case. */
struct il_sink_type {
	const char *const *formats; /* names it serves, NULL-terminated */
	enum inlay_err (*open)(void **self, const char *format, const struct il_sink_params *params,
	                       struct inlay_error *err);
	enum inlay_err (*write)(void *self, struct inlay_frame *frame, struct inlay_error *err);
	/* NULL, or writes a frame that is a JPEG already; takes_jpegs says whether this output is made of them. */
	enum inlay_err (*write_jpeg)(void *self, const uint8_t *data, size_t size, struct inlay_error *err);
	bool (*takes_jpegs)(const void *self);
	enum inlay_err (*finish)(void *self, struct inlay_error *err);
	void (*abort)(void *self);
	void (*close)(void *self);
	const char *(*describe)(const void *self);
};

extern const struct il_sink_type il_sink_container; /* mp4 mov mkv webm */
extern const struct il_sink_type il_sink_pictures;  /* jpg png */
extern const struct il_sink_type il_sink_picture;   /* one of them */
extern const struct il_sink_type il_sink_stream;    /* y4m mjpeg rawvideo */
extern const struct il_sink_type il_sink_digest;    /* md5 */
extern const struct il_sink_type il_sink_v4l2;      /* v4l2 */
extern const struct il_sink_type il_sink_null;      /* null */

bool il_sink_is_stdout(const char *path);

/* A file can be made at `path`: it is not a folder, and the folder it is in exists. */
enum inlay_err il_sink_check_place(const char *path, struct inlay_error *err);

#endif
