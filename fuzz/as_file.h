/* Bytes as a file, for what reads files only. */
#ifndef IL_FUZZ_AS_FILE_H
#define IL_FUZZ_AS_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The path of a file in memory that holds these bytes; the next call replaces it. */
static inline const char *as_file(const uint8_t *data, size_t size)
{
	static char path[32];
	static int file = -1;
	if (file < 0)
		file = memfd_create("fuzz", 0);
	if (file < 0 || ftruncate(file, 0) || pwrite(file, data, size, 0) != (ssize_t)size)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	return path;
}

#endif
