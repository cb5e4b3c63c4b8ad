#include "infer/runtime.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "infer/session.h"

/* What we call is all in this version, whatever newer header the build found. */
#define API_VERSION 21
#define API_RELEASE "1.21"

static struct {
	pthread_once_t once;
	struct il_runtime runtime;
	struct inlay_error error;
} global = { .once = PTHREAD_ONCE_INIT };

void il_one_line(char *text)
{
	char *to = text;
	for (const char *from = text; *from; from++) {
		int blank = (unsigned char)*from <= ' ' || *from == 0x7f;
		if (!blank)
			*to++ = *from;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	}
	if (to > text && to[-1] == ' ')
		to--;
	*to = 0;
}

enum inlay_err il_runtime_fail(const struct il_runtime *runtime, OrtStatus *status, struct inlay_error *err,
                               enum inlay_err code, const char *format, ...)
{
	char what[INLAY_ERROR_TEXT], why[INLAY_ERROR_TEXT];
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	snprintf(why, sizeof why, "%s", runtime->api->GetErrorMessage(status));
	runtime->api->ReleaseStatus(status);
	il_one_line(why);
	return il_fail(err, code, "%s: %s", what, why);
}

/* The runtime warns of much that no user can change (odd initializers, machines without a GPU), and its errors come
 * back as a status as well: all of it is for debugging. */
static void ORT_API_CALL log_line(void *ctx, OrtLoggingLevel level, const char *category, const char *id,
                                  const char *place, const char *message)
{
	(void)ctx, (void)level, (void)category, (void)id, (void)place;
	char text[INLAY_ERROR_TEXT];
	snprintf(text, sizeof text, "%s", message);
	il_one_line(text);
	il_log_debug("onnxruntime: %s", text);
}

static void start(void)
{
	struct il_runtime *rt = &global.runtime;
	/* Release builds of the library report home: an environment starts by leaving a device number and a database in
	 * ~/.cache/Microsoft, before DisableTelemetryEvents can be called on it. Not from our users' machines. */
	setenv("ORT_DISABLE_TELEMETRY", "1", 1);
	rt->api = OrtGetApiBase()->GetApi(API_VERSION);
	if (!rt->api) {
		il_fail(&global.error, INLAY_ERR_UNSUPPORTED,
		        "the ONNX Runtime library here is %s; expected " API_RELEASE " or newer",
		        il_infer_runtime_version());
		return;
	}
	OrtStatus *status =
		rt->api->CreateEnvWithCustomLogger(log_line, NULL, ORT_LOGGING_LEVEL_WARNING, "inlay", &rt->env);
	if (!status)
		status = rt->api->DisableTelemetryEvents(rt->env);
	if (!status)
		status = rt->api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &rt->cpu);
	if (status)
		il_runtime_fail(rt, status, &global.error, INLAY_ERR_UNSUPPORTED, "ONNX Runtime %s does not start",
		                il_infer_runtime_version());
	else
		il_log_debug("ONNX Runtime %s", il_infer_runtime_version());
}

enum inlay_err il_runtime_get(const struct il_runtime **runtime, struct inlay_error *err)
{
	pthread_once(&global.once, start);
	if (global.error.code)
		return il_fail(err, global.error.code, "%s", global.error.text);
	*runtime = &global.runtime;
	return INLAY_OK;
}

const char *il_infer_runtime_version(void)
{
	return OrtGetApiBase()->GetVersionString();
}
