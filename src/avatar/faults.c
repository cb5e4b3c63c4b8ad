#include "avatar/faults.h"

#include <stdarg.h>
#include <stdio.h>

/* Names and keys out of files may hold anything; a message is one line. */
static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

enum inlay_err il_fault(struct il_faults *faults, enum inlay_err code, const char *format, ...)
{
	char text[INLAY_ERROR_TEXT];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	clean(text);
	return il_fault_pass(faults, il_fail(faults->err, code, "%s", text));
}

static void report(struct il_faults *faults, enum inlay_err rc)
{
	if (!faults->count++)
		faults->first = rc;
	faults->report(faults->ctx, faults->err->text[0] ? faults->err->text : inlay_err_name(rc));
	*faults->err = (struct inlay_error){ 0 };
}

enum inlay_err il_fault_pass(struct il_faults *faults, enum inlay_err rc)
{
	if (!il_is_fault(rc) || !faults->report || rc == INLAY_ERR_MEMORY || rc == INLAY_ERR_CANCELLED)
		return rc;
	report(faults, rc);
	return INLAY_OK;
}

enum inlay_err il_fault_end(struct il_faults *faults, enum inlay_err rc)
{
	if (il_is_fault(rc) && rc != INLAY_ERR_CANCELLED)
		report(faults, rc);
	return rc ? rc : faults->first;
}
