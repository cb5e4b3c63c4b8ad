#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli.h"

const char *const progress_words[] = { "auto", "always", "never", NULL };

static const int64_t PLAIN_INTERVAL_NS = 10 * INT64_C(1000000000);

void progress_begin(struct progress *p, enum progress_mode mode)
{
	*p = (struct progress){ .mode = mode, .live = mode == PROGRESS_ALWAYS || isatty(STDERR_FILENO) };
	p->begun_ns = p->shown_ns = il_clock_ns();
}

static void format_time(char *text, size_t size, double seconds)
{
	long s = (long)(seconds + 0.5);
	if (s >= 3600)
		snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
}

void progress_show(struct progress *p, int64_t done, int64_t expected)
{
	int64_t now = il_clock_ns();
	if (p->mode == PROGRESS_NEVER || (!p->live && now - p->shown_ns < PLAIN_INTERVAL_NS))
		return;
	p->shown_ns = now;
	double elapsed = (double)(now - p->begun_ns) / 1e9;
	double fps = elapsed > 0 ? (double)done / elapsed : 0;
	char line[160], eta[32] = "?";
	int percent = (int)(done < expected ? done * 100 / expected : 100);
	if (expected > 0 && fps > 0)
		format_time(eta, sizeof eta, (double)(expected > done ? expected - done : 0) / fps);
	if (p->bytes) {
		snprintf(line, sizeof line, "%3d%%  %.1f/%.1f MB  %.1f MB/s  ETA %s", percent, (double)done / 1e6,
		         (double)expected / 1e6, fps / 1e6, eta);
	} else if (expected > 0 && fps > 0) {
		snprintf(line, sizeof line, "%3d%%  %lld/%lld frames  %.1f fps  ETA %s", percent, (long long)done,
		         (long long)expected, fps, eta);
	} else {
		snprintf(line, sizeof line, "%lld frames  %.1f fps", (long long)done, fps);
	}
	if (p->live)
		fprintf(stderr, "\r\033[K%s", line);
	else
		fprintf(stderr, "%s\n", line);
	fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->live && p->mode != PROGRESS_NEVER)
		fputs("\r\033[K", stderr);
}
