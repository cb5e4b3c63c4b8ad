/* What the commands that run a job have in common at its end. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "cli.h"

const char *output_name(const char *output, const char *format)
{
	if (format && !strcmp(format, "null"))
		return "done";
	return output && strcmp(output, "-") != 0 ? output : "standard output";
}

void say_figures(const char *name, int64_t frames, double wall_s, double fps, int64_t peak_rss_bytes)
{
	say("%s: %lld frame%s in %.1f s, %.1f frames a second, %.0f MB at most", name, (long long)frames,
	    frames == 1 ? "" : "s", wall_s, fps, (double)peak_rss_bytes / 1e6);
}

enum inlay_err write_figures(char *json, struct il_part *part, struct inlay_error *err)
{
	if (!json)
		return il_fail_memory(err);
	enum inlay_err rc = il_part_write(part, json, strlen(json), err);
	free(json);
	return rc ? rc : il_part_commit(part, err);
}

int end_of_job(enum inlay_err rc, const struct inlay_error *err, const char *output, int fine)
{
	if (rc == INLAY_ERR_CANCELLED && interrupted()) {
		bool file = output && strcmp(output, "-") != 0;
		say("inlay: %s%s", err->text, file ? ", nothing written" : "");
		return 128 + interrupted();
	}
	return rc ? report_error(err) : fine;
}
