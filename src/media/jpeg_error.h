/* libjpeg's way of failing, turned into ours: its error_exit must not return, so it jumps. */
#ifndef IL_MEDIA_JPEG_ERROR_H
#define IL_MEDIA_JPEG_ERROR_H

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

/* After il_jpeg_errors, set `jump` with setjmp; when it returns non-zero, `text` says what happened. */
struct il_jpeg_errors {
	struct jpeg_error_mgr manager;
	jmp_buf jump;
	const char *name; /* for log lines */
	char text[JMSG_LENGTH_MAX];
};

struct jpeg_error_mgr *il_jpeg_errors(struct il_jpeg_errors *errors, const char *name);

#endif
