/* A plain byte output: a file that appears whole or not at all, standard output, or a pipe or device that exists. */
#ifndef IL_MEDIA_BYTE_OUT_H
#define IL_MEDIA_BYTE_OUT_H

#include "base/file.h"
#include "media/sink.h"

/* One thread. {0} is none. */
struct il_byte_out {
	struct il_part *part; /* NULL: bytes go to fd */
	int fd;
	bool owned;        /* fd is closed here */
	size_t write_most; /* so many bytes do not block once poll has let them pass */
	bool (*cancelled)(void *ctx);
	void *cancel_ctx;
	char *name; /* for messages */
};

/* To params->path; NULL is standard output too. What is there already and is no regular file (a pipe, /dev/null) is
 * written to as it is; params->overwrite is about files. Waits for a pipe's reader. */
enum inlay_err il_byte_out_open(struct il_byte_out *out, const struct il_sink_params *params, struct inlay_error *err);
/* All of it; waits while a pipe is full, until params->cancelled says to stop (INLAY_ERR_CANCELLED). A closed pipe is
 * INLAY_ERR_IO: the program ignores SIGPIPE. */
enum inlay_err il_byte_out_write(struct il_byte_out *out, const void *data, size_t size, struct inlay_error *err);
/* Closes; a file gets its name only now. */
enum inlay_err il_byte_out_finish(struct il_byte_out *out, struct inlay_error *err);
/* Frees; removes what an unfinished file left. Accepts {0}. */
void il_byte_out_close(struct il_byte_out *out);

#endif
