#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *inlay_err_name(enum inlay_err code)
{
	static const char *const names[] = {
		[INLAY_OK] = "ok",
		[INLAY_AGAIN] = "again",
		[INLAY_EOF] = "end",
		[INLAY_ERR_INVALID] = "invalid argument",
		[INLAY_ERR_NOT_FOUND] = "not found",
		[INLAY_ERR_EXISTS] = "exists",
		[INLAY_ERR_IO] = "input/output error",
		[INLAY_ERR_FORMAT] = "bad format",
		[INLAY_ERR_UNSUPPORTED] = "unsupported",
		[INLAY_ERR_MEMORY] = "out of memory",
		[INLAY_ERR_CANCELLED] = "cancelled",
		[INLAY_ERR_BUSY] = "busy",
		[INLAY_ERR_TIMEOUT] = "timed out",
		[INLAY_ERR_UNAVAILABLE] = "unavailable",
	};
	if ((unsigned)code >= sizeof names / sizeof *names)
		return "unknown error";
	return names[code];
}

static void set_text(struct inlay_error *err, enum inlay_err code, const char *format, va_list args)
{
	err->code = code;
	vsnprintf(err->text, sizeof err->text, format, args);
}

enum inlay_err il_fail(struct inlay_error *err, enum inlay_err code, const char *format, ...)
{
	if (err && err->code == INLAY_OK) {
		va_list args;
		va_start(args, format);
		set_text(err, code, format, args);
		va_end(args);
	}
	return code;
}

enum inlay_err il_fail_errno(struct inlay_error *err, const char *format, ...)
{
	int saved = errno;
	enum inlay_err code = saved == ENOENT ? INLAY_ERR_NOT_FOUND : saved == ENOMEM ? INLAY_ERR_MEMORY : INLAY_ERR_IO;
	if (err && err->code == INLAY_OK) {
		va_list args;
		va_start(args, format);
		set_text(err, code, format, args);
		va_end(args);
		size_t used = strlen(err->text);
		snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(saved));
	}
	return code;
}

enum inlay_err il_fail_memory(struct inlay_error *err)
{
	return il_fail(err, INLAY_ERR_MEMORY, "out of memory");
}
