/* What is read out of the texts of a request. Each function takes any bytes up to a 0. */
#ifndef SERVER_HTTP_TEXT_H
#define SERVER_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* UTF-8 without control characters. */
bool http_text_clean(const char *text);
/* Decodes %XX in place; false for a % without two digits, and where what comes out is not clean. */
bool http_text_decode(char *text);

/* The one range of a Range header (RFC 9110, 14.1.2) over `size` bytes. HTTP_RANGE_ALL: none, several, or no range that
 * we know, all of which mean the whole; HTTP_RANGE_BAD: beyond the end. */
enum http_range { HTTP_RANGE_ALL, HTTP_RANGE_ONE, HTTP_RANGE_BAD };
enum http_range http_text_range(const char *header, int64_t size, int64_t *first, int64_t *length);

/* Seconds since 1970 of an HTTP date in any of its three forms (RFC 9110, 5.6.7); the day of the week is not checked. A
 * year of two digits is one from 1970 to 2069. */
bool http_text_date(const char *text, int64_t *unix_s);

/* True where an If-Match or If-None-Match list is "*" or names the (strong) etag; weak: W/ is looked through. */
bool http_text_etag(const char *list, const char *etag, bool weak);

/* True where a Host header names this machine itself, or `own` (a host without port); any port. */
bool http_text_host_local(const char *host, const char *own);
/* True where an Origin is that of a page from `host`, as the Host header has it. */
bool http_text_same_origin(const char *origin, const char *host);

/* In the same time for all wrong tokens of one length. */
bool http_text_token(const char *given, const char *token);

/* True for a multipart/form-data whose boundary is one (RFC 2046: at most 70 of its characters; libmicrohttpd wants 2),
 * last in the header. */
bool http_text_multipart(const char *content_type);

/* Cuts a path into its decoded parts, in place; *n in: room, out: found ("/" has none). False where it has none of the
 * form /a/b, a part that cannot be decoded, or more than there is room for. */
bool http_text_parts(char *path, char **parts, size_t *n);
/* How many of a pattern's parts are literal where it fits, else -1. */
int http_text_match(const char *pattern, char *const *parts, size_t n);

#endif
