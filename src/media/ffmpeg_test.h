/* Another program's files, and its word on ours; skips where it is not installed. */
#ifndef IL_MEDIA_FFMPEG_TEST_H
#define IL_MEDIA_FFMPEG_TEST_H

#include <stdarg.h>

#include "tests/test.h"

static inline void need_ffmpeg(void)
{
	if (system("command -v ffmpeg >/dev/null"))
		skip();
}

__attribute__((format(printf, 1, 2))) static inline void ffmpeg(const char *format, ...)
{
	char command[4096] = "ffmpeg -nostdin -v error -y ";
	size_t used = strlen(command);
	va_list args;
	va_start(args, format);
	vsnprintf(command + used, sizeof command - used, format, args);
	va_end(args);
	need_ffmpeg();
	if (system(command))
		fail_msg("%s", command);
}

/* What `ffprobe -of csv=p=0` prints; valid until the next call. */
__attribute__((format(printf, 1, 2))) static inline const char *ffprobe(const char *format, ...)
{
	static char text[1 << 16];
	char command[2048] = "ffprobe -v error -of csv=p=0 ";
	size_t used = strlen(command);
	va_list args;
	va_start(args, format);
	vsnprintf(command + used, sizeof command - used, format, args);
	va_end(args);
	if (system("command -v ffprobe >/dev/null"))
		skip();
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	text[fread(text, 1, sizeof text - 1, pipe)] = 0;
	if (pclose(pipe))
		fail_msg("%s", command);
	return text;
}

#endif
