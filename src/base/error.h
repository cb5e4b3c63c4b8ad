/* Filling a struct inlay_error. Every module uses these and nothing else to report a fault. */
#ifndef IL_BASE_ERROR_H
#define IL_BASE_ERROR_H

#include "inlay/error.h"

/* Writes code and text unless a fault is there already or err is NULL, and returns `code`:
 *     return il_fail(err, INLAY_ERR_FORMAT, "%s: expected float32, found %s", path, descr); */
__attribute__((format(printf, 3, 4), cold)) enum inlay_err il_fail(struct inlay_error *err, enum inlay_err code,
                                                                   const char *format, ...);

/* il_fail with ": " and the text of the current errno added; ENOENT gives INLAY_ERR_NOT_FOUND, ENOMEM
 * INLAY_ERR_MEMORY, anything else INLAY_ERR_IO. */
__attribute__((format(printf, 2, 3), cold)) enum inlay_err il_fail_errno(struct inlay_error *err, const char *format,
                                                                         ...);

/* "out of memory" */
enum inlay_err il_fail_memory(struct inlay_error *err);

/* True for faults, false for OK, AGAIN and EOF. */
static inline int il_is_fault(enum inlay_err code)
{
	return code > INLAY_EOF;
}

#endif
