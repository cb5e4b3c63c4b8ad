#include "base/pattern.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DIGITS 20 /* of a number with its sign, and of its padding */

/* Length of the conversion at p, "%06d" or "%%", or 0 where it is another. */
static size_t conversion(const char *p, int *width, bool *zeros, bool *is_number)
{
	size_t n = 1;
	*width = 0;
	*is_number = p[1] != '%';
	if (!*is_number)
		return 2;
	*zeros = p[n] == '0';
	while (isdigit((unsigned char)p[n]) && n <= 3)
		*width = *width * 10 + (p[n++] - '0');
	return p[n] == 'd' && *width <= MAX_DIGITS ? n + 1 : 0;
}

static enum inlay_err check_length(size_t length, struct inlay_error *err)
{
	if (length + MAX_DIGITS < IL_PATTERN_PATH)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_INVALID, "a path of %zu characters for numbered files, expected at most %d",
	               length, IL_PATTERN_PATH - MAX_DIGITS - 1);
}

enum inlay_err il_pattern_check(const char *pattern, struct inlay_error *err)
{
	int numbers = 0, width;
	bool zeros, is_number;
	enum inlay_err rc = check_length(strlen(pattern), err);
	if (rc)
		return rc;
	for (const char *p = strchr(pattern, '%'); p; p = strchr(p, '%')) {
		size_t n = conversion(p, &width, &zeros, &is_number);
		if (!n)
			return il_fail(err, INLAY_ERR_INVALID,
			               "%s: \"%.2s\" cannot stand in the name of numbered files, expected a number "
			               "such as %%06d (and %%%% for a percent sign)",
			               pattern, p);
		numbers += is_number;
		p += n;
	}
	if (numbers == 1)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_INVALID, "%s: %s number, expected one such as %%06d", pattern,
	               numbers ? "more than one" : "no");
}

bool il_pattern_valid(const char *pattern)
{
	return !il_pattern_check(pattern, NULL);
}

enum inlay_err il_pattern_join(char **joined, const char *folder, const char *pattern, struct inlay_error *err)
{
	*joined = NULL;
	if (*pattern == '/')
		folder = "";
	size_t length = strlen(pattern) + 1;
	for (const char *p = folder; *p; p++)
		length += *p == '%' ? 2 : 1;
	enum inlay_err rc = check_length(length, err);
	if (rc)
		return rc;
	char *to = *joined = malloc(length + 1);
	if (!to)
		return il_fail_memory(err);
	for (const char *p = folder; *p; p++) {
		if (*p == '%')
			*to++ = '%';
		*to++ = *p;
	}
	if (*folder && folder[strlen(folder) - 1] != '/')
		*to++ = '/';
	strcpy(to, pattern);
	return INLAY_OK;
}

const char *il_pattern_path(const char *pattern, int64_t number, char path[IL_PATTERN_PATH])
{
	size_t used = 0;
	while (*pattern && used < IL_PATTERN_PATH - 1) {
		int width;
		bool zeros, is_number;
		size_t n = *pattern == '%' ? conversion(pattern, &width, &zeros, &is_number) : 0;
		if (!n) {
			path[used++] = *pattern++;
			continue;
		}
		pattern += n;
		if (!is_number)
			path[used++] = '%';
		else
			used += (size_t)snprintf(path + used, IL_PATTERN_PATH - used, zeros ? "%0*lld" : "%*lld", width,
			                         (long long)number);
		if (used > IL_PATTERN_PATH - 1)
			used = IL_PATTERN_PATH - 1;
	}
	path[used] = 0;
	return path;
}

/* Leaves out what stands before and behind the number; expanding what is left tells whether that was right. */
bool il_pattern_match(const char *pattern, const char *path, int64_t *number)
{
	char text[IL_PATTERN_PATH];
	const char *p = pattern;
	int width;
	bool zeros, is_number = false;
	size_t start = 0;
	while (*p && !is_number) {
		size_t n = *p == '%' ? conversion(p, &width, &zeros, &is_number) : 1;
		p += n;
		start += !is_number;
	}
	size_t end = strlen(il_pattern_path(p, 0, text)), length = strlen(path);
	if (length <= start + end || length - start - end > MAX_DIGITS)
		return false;
	memcpy(text, path + start, length - start - end);
	text[length - start - end] = 0;
	*number = strtoll(text, NULL, 10);
	return *number >= 0 && !strcmp(il_pattern_path(pattern, *number, text), path);
}
