/* Errors: every call that can fail returns an enum inlay_err and fills a struct inlay_error.
 *
 * INLAY_OK is 0. INLAY_AGAIN and INLAY_EOF are flow, not faults, and leave the struct alone.
 * A fault's text names the file, field or tensor at fault, what was found and what was expected.
 * The first fault written into a struct wins: later ones are consequences.
 */
#ifndef INLAY_ERROR_H
#define INLAY_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

enum inlay_err {
	INLAY_OK = 0,
	INLAY_AGAIN,           /* nothing to give yet: feed more and ask again */
	INLAY_EOF,             /* the end, reached in good order */
	INLAY_ERR_INVALID,     /* the caller asked for something impossible */
	INLAY_ERR_NOT_FOUND,   /* no such file, frame or tensor */
	INLAY_ERR_EXISTS,      /* the output is there already and may not be replaced */
	INLAY_ERR_IO,          /* the system failed to read or write */
	INLAY_ERR_FORMAT,      /* the bytes are not what they should be */
	INLAY_ERR_UNSUPPORTED, /* understood, and outside what this build can do */
	INLAY_ERR_MEMORY,      /* an allocation failed */
	INLAY_ERR_CANCELLED,   /* somebody asked to stop */
	INLAY_ERR_BUSY,        /* more to do than can be done: ask again later */
	INLAY_ERR_TIMEOUT,     /* not done by the time it was wanted */
	INLAY_ERR_UNAVAILABLE, /* who is needed for it does not answer now */
};

#define INLAY_ERROR_TEXT 1024

/* Owned by the caller; {0} is "no fault". Not shared between threads without the caller's lock. */
struct inlay_error {
	enum inlay_err code;
	char text[INLAY_ERROR_TEXT]; /* one line, UTF-8, without a final newline */
};

/* A short name such as "not found". Never NULL. */
const char *inlay_err_name(enum inlay_err code);

#ifdef __cplusplus
}
#endif
#endif
