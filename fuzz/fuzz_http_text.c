/* The texts of an HTTP request from any bytes: the first says which of them. */
#include <stdlib.h>
#include <string.h>

#include "server/http/http_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool is)
{
	if (!is)
		abort();
}

static void path(char *text)
{
	char *parts[4];
	size_t n = 4;
	if (!http_text_parts(text, parts, &n))
		return;
	need(n <= 4);
	for (size_t i = 0; i < n; i++)
		need(http_text_clean(parts[i]));
	int literal = http_text_match("/v1/*/content", parts, n);
	need(literal == -1 || (n == 3 && literal == 2 && parts[1][0]));
}

static void range(const char *text, int64_t size)
{
	int64_t first = -1, length = -1;
	if (http_text_range(text, size, &first, &length) == HTTP_RANGE_ONE)
		need(first >= 0 && length > 0 && first <= size - length);
}

static void date(const char *text)
{
	int64_t unix_s = 0;
	if (http_text_date(text, &unix_s))
		need(unix_s > -62300000000 && unix_s < 253500000000); /* years of four digits */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	char *text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 8) {
	case 0: path(text); break;
	case 1:
		range(text, 0);
		range(text, 10000);
		range(text, INT64_MAX);
		date(text);
		break;
	case 2: need(!http_text_etag(text, "\"a\"", false) || http_text_etag(text, "\"a\"", true)); break;
	case 3: need(!http_text_host_local(text, "127.0.0.2") || strchr("lL1[", text[0])); break;
	case 4: need(!http_text_same_origin(text, "a:1") || strlen(text) > 6); break;
	case 5: need(http_text_token(text, "token") == (strcmp(text, "token") == 0)); break;
	case 6: need(!http_text_multipart(text) || strstr(text, "boundary=")); break;
	default: need(!http_text_decode(text) || http_text_clean(text));
	}
	free(text);
	return 0;
}
