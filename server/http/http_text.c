#include "server/http/http_text.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

bool http_text_clean(const char *text)
{
	for (size_t n; *text; text += n) {
		n = il_utf8_bytes(text);
		if (!n || (unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_text_decode(char *text)
{
	char *to = text;
	for (const char *p = text; *p; to++) {
		if (*p != '%') {
			*to = *p++;
			continue;
		}
		int high = digit(p[1]), low = high < 0 ? -1 : digit(p[2]);
		if (low < 0 || high + low == 0)
			return false;
		*to = (char)(high * 16 + low);
		p += 3;
	}
	*to = '\0';
	return http_text_clean(text);
}

/* Reads digits; -1 where there are none, INT64_MAX for more than that. */
static int64_t number(const char **p)
{
	if (!isdigit((unsigned char)**p))
		return -1;
	int64_t value = 0;
	for (; isdigit((unsigned char)**p); ++*p) {
		int d = **p - '0';
		value = value > (INT64_MAX - d) / 10 ? INT64_MAX : value * 10 + d;
	}
	return value;
}

/* A date's form: y, d, h, m, s stand for digits (d: or a space before one), b for the month's letters. */
struct date {
	int y, d, h, m, s;
	char month[4];
};

static int *field_of(struct date *date, char letter)
{
	switch (letter) {
	case 'y': return &date->y;
	case 'd': return &date->d;
	case 'h': return &date->h;
	case 'm': return &date->m;
	case 's': return &date->s;
	default: return NULL;
	}
}

static bool read_date(const char *text, const char *form, struct date *date)
{
	size_t letters = 0;
	*date = (struct date){ 0 };
	for (; *form; form++, text++) {
		int *field = field_of(date, *form);
		if (field && isdigit((unsigned char)*text))
			*field = *field * 10 + *text - '0';
		else if (*form == 'b' && isalpha((unsigned char)*text))
			date->month[letters++] = *text;
		else if (field ? *form != 'd' || *field || *text != ' ' : *text != *form)
			return false;
	}
	return !*text;
}

/* Days since 1970 (Gregorian, whatever the year). */
static int64_t days_of(int year, int month, int day)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	int64_t past = year - 1; /* whole years since the year 0 */
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return past * 365 + past / 4 - past / 100 + past / 400 - 719162 + before[month] + (month > 1 && leap) + day - 1;
}

bool http_text_date(const char *text, int64_t *unix_s)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct date date;
	const char *p = text;
	while (isalpha((unsigned char)*p))
		p++;
	if (read_date(p, ", dd-bbb-yy hh:mm:ss GMT", &date))
		date.y += date.y < 70 ? 2000 : 1900;
	else if (!read_date(p, ", dd bbb yyyy hh:mm:ss GMT", &date) && !read_date(p, " bbb dd hh:mm:ss yyyy", &date))
		return false;
	const char *month = strstr(months, date.month);
	if (p == text || !month || (month - months) % 3 || date.y < 1 || date.d < 1 || date.d > 31 || date.h > 23 ||
	    date.m > 59 || date.s > 60)
		return false;
	int64_t days = days_of(date.y, (int)(month - months) / 3, date.d);
	*unix_s = ((days * 24 + date.h) * 60 + date.m) * 60 + date.s;
	return true;
}

enum http_range http_text_range(const char *header, int64_t size, int64_t *first, int64_t *length)
{
	if (!header || strncasecmp(header, "bytes=", 6) != 0)
		return HTTP_RANGE_ALL;
	const char *p = header + 6 + strspn(header + 6, " \t");
	int64_t from = number(&p);
	if (*p++ != '-')
		return HTTP_RANGE_ALL;
	int64_t to = number(&p);
	p += strspn(p, " \t");
	if (*p || (from < 0 && to < 0) || (from >= 0 && to >= 0 && to < from))
		return HTTP_RANGE_ALL;
	if (from < 0) {
		if (to == 0 || size == 0)
			return HTTP_RANGE_BAD;
		*length = to < size ? to : size;
		*first = size - *length;
		return HTTP_RANGE_ONE;
	}
	if (from >= size)
		return HTTP_RANGE_BAD;
	*first = from;
	*length = (to < 0 || to >= size ? size - 1 : to) - from + 1;
	return HTTP_RANGE_ONE;
}

bool http_text_etag(const char *list, const char *etag, bool weak)
{
	const char *p = list + strspn(list, " \t");
	if (*p == '*')
		return true;
	size_t size = strlen(etag);
	while (*p) {
		bool is_weak = strncmp(p, "W/", 2) == 0;
		p += is_weak ? 2 : 0;
		if (*p != '"')
			return false;
		const char *end = strchr(p + 1, '"');
		if (!end)
			return false;
		if ((weak || !is_weak) && (size_t)(end + 1 - p) == size && memcmp(p, etag, size) == 0)
			return true;
		p = end + 1;
		p += strspn(p, " \t,");
	}
	return false;
}

/* Bytes of a Host header before its port, 0 where it is none. */
static size_t host_size(const char *host)
{
	size_t size = strcspn(host, ":");
	if (host[0] == '[') {
		const char *end = strchr(host, ']');
		if (!end)
			return 0;
		size = (size_t)(end + 1 - host);
	}
	if (!host[size])
		return size;
	if (host[size] != ':')
		return 0;
	return host[size + 1 + strspn(host + size + 1, "0123456789")] ? 0 : size;
}

bool http_text_host_local(const char *host, const char *own)
{
	const char *names[] = { "localhost", "127.0.0.1", "[::1]", own };
	size_t size = host_size(host);
	for (size_t i = 0; size && i < sizeof names / sizeof names[0]; i++) {
		if (strlen(names[i]) == size && strncasecmp(host, names[i], size) == 0)
			return true;
	}
	return false;
}

bool http_text_same_origin(const char *origin, const char *host)
{
	const char *start = strstr(origin, "://");
	return start && start > origin && strcasecmp(start + 3, host) == 0;
}

bool http_text_token(const char *given, const char *token)
{
	size_t n = strlen(given), size = strlen(token);
	volatile unsigned char differ = n != size || size == 0;
	for (size_t i = 0; i < n; i++)
		differ |= (unsigned char)(given[i] ^ token[size ? i % size : 0]);
	return !differ;
}

bool http_text_multipart(const char *content_type)
{
	static const char form[] = "multipart/form-data";
	if (strncasecmp(content_type, form, sizeof form - 1) != 0)
		return false;
	const char *p = strstr(content_type + sizeof form - 1, "boundary=");
	if (!p)
		return false;
	p += strlen("boundary=");
	bool quoted = *p == '"';
	p += quoted;
	size_t n = 0;
	while (isalnum((unsigned char)p[n]) || (p[n] && strchr("'()+_,-./:=?", p[n])))
		n++;
	if (n < 2 || n > 70)
		return false;
	return quoted ? strcmp(p + n, "\"") == 0 : !p[n];
}

bool http_text_parts(char *path, char **parts, size_t *n)
{
	size_t room = *n;
	*n = 0;
	if (path[0] != '/')
		return false;
	if (!path[1])
		return true;
	for (char *p = path; p;) {
		char *part = p + 1;
		p = strchr(part, '/');
		if (p)
			*p = '\0';
		if (*n == room || !http_text_decode(part))
			return false;
		parts[(*n)++] = part;
	}
	return true;
}

int http_text_match(const char *pattern, char *const *parts, size_t n)
{
	int literal = 0;
	size_t i = 0;
	const char *p = pattern;
	if (!p[1])
		return n == 0 ? 0 : -1;
	for (; *p; i++) {
		size_t size = strcspn(++p, "/");
		if (i == n)
			return -1;
		if (size == 1 && *p == '*') {
			if (!parts[i][0])
				return -1;
		} else if (strlen(parts[i]) == size && memcmp(parts[i], p, size) == 0) {
			literal++;
		} else {
			return -1;
		}
		p += size;
	}
	return i == n ? literal : -1;
}
