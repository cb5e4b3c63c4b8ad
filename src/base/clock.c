#define _GNU_SOURCE
#include "base/clock.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t il_clock_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

bool il_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	if (pthread_condattr_init(&attr))
		return false;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	bool made = pthread_cond_init(cond, &attr) == 0;
	pthread_condattr_destroy(&attr);
	return made;
}

int64_t il_cpu_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

/* First number on the line of `path` that starts with `key` ("" for the first line), or -1. */
static long long number_in(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return -1;
	char line[256];
	long long value = -1;
	size_t n = strlen(key);
	while (value < 0 && fgets(line, sizeof line, f))
		if (!strncmp(line, key, n) && sscanf(line + n, "%lld", &value) != 1)
			break;
	fclose(f);
	return value;
}

int64_t il_peak_rss_bytes(void)
{
	long long kib = number_in("/proc/self/status", "VmHWM:");
	if (kib >= 0)
		return kib * 1024;
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (int64_t)usage.ru_maxrss * 1024;
}

int il_peak_rss_reset(void)
{
	FILE *f = fopen("/proc/self/clear_refs", "we"); /* 5 resets VmHWM, proc(5) */
	if (!f)
		return 0;
	int ok = fputs("5", f) >= 0;
	return fclose(f) == 0 && ok;
}

/* Calls `look` with the path of control file `name` in this process's cgroup (version 2) and in each one above it:
 * every one of them limits. */
static void each_cgroup_file(const char *name, void (*look)(const char *path, void *ctx), void *ctx)
{
	char line[1024] = "";
	FILE *f = fopen("/proc/self/cgroup", "re");
	while (f && fgets(line, sizeof line, f) && strncmp(line, "0::/", 4))
		line[0] = 0;
	if (f)
		fclose(f);
	char *group = line[0] ? line + 3 : line;
	group[strcspn(group, "\n")] = 0;
	for (char *end = group + strlen(group); end; end = strrchr(group, '/')) {
		char path[1200];
		*end = 0;
		snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s", group, name);
		look(path, ctx);
	}
}

static void lower_memory(const char *path, void *ctx)
{
	int64_t *least = ctx;
	long long limit = number_in(path, "");
	if (limit > 0 && limit < *least)
		*least = limit;
}

int64_t il_memory_bytes(void)
{
	int64_t least = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	each_cgroup_file("memory.max", lower_memory, &least);
	return least;
}

static void lower_count(const char *path, void *ctx)
{
	unsigned *least = ctx;
	long long quota, period;
	FILE *f = fopen(path, "re");
	if (f && fscanf(f, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0) {
		long long limit = (quota + period - 1) / period;
		*least = limit < *least ? (unsigned)limit : *least;
	}
	if (f)
		fclose(f);
}

unsigned il_cpu_count(void)
{
	cpu_set_t set;
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = online > 0 ? (unsigned)online : 1;
	/* Fails beyond 1024 processors, where the number online must do. */
	if (sched_getaffinity(0, sizeof set, &set) == 0)
		n = (unsigned)CPU_COUNT(&set);
	each_cgroup_file("cpu.max", lower_count, &n);
	return n ? n : 1;
}
