#include "media/jpeg_error.h"

#include <jerror.h>

#include "base/log.h"

static void fail(j_common_ptr cinfo)
{
	struct il_jpeg_errors *errors = (struct il_jpeg_errors *)cinfo->err;
	errors->manager.format_message(cinfo, errors->text);
	longjmp(errors->jump, 1);
}

/* libjpeg goes on after damage and fills up with grey. Here damage ends the picture; stray bytes between segments and
 * odd application markers do no harm to the pixels. */
static int is_harmless(int code)
{
	return code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR;
}

static void message(j_common_ptr cinfo, int level)
{
	struct il_jpeg_errors *errors = (struct il_jpeg_errors *)cinfo->err;
	if (level >= 0)
		return;
	if (!is_harmless(errors->manager.msg_code))
		fail(cinfo);
	char text[JMSG_LENGTH_MAX];
	errors->manager.format_message(cinfo, text);
	il_log_warn("%s: %s", errors->name, text);
}

static void silent(j_common_ptr cinfo)
{
	(void)cinfo;
}

struct jpeg_error_mgr *il_jpeg_errors(struct il_jpeg_errors *errors, const char *name)
{
	jpeg_std_error(&errors->manager);
	errors->manager.error_exit = fail;
	errors->manager.emit_message = message;
	errors->manager.output_message = silent;
	errors->name = name;
	errors->text[0] = 0;
	return &errors->manager;
}
