/* Texts of requests: the tables of RFC 9110 and of what attackers send. */
#include "server/http/http_text.h"

#include <time.h>

#include "tests/test.h"

static void decodes(void **state)
{
	(void)state;
	static const struct {
		const char *text, *decoded; /* NULL: refused */
	} cases[] = {
		{ "plain", "plain" },
		{ "", "" },
		{ "a%20b", "a b" },
		{ "%2e%2E%2f", "../" },
		{ "%25%32%46", "%2F" },
		{ "%C3%A9\xc3\xa9", "\xc3\xa9\xc3\xa9" },
		{ "%F0%9F%98%80", "\xf0\x9f\x98\x80" },
		{ "%", NULL },
		{ "%4", NULL },
		{ "%4x", NULL },
		{ "a%00", NULL },
		{ "%0a", NULL },
		{ "%7F", NULL },
		{ "\t", NULL },
		{ "%C3", NULL },
		{ "%C0%AF", NULL },       /* an overlong slash */
		{ "%E0%80%AF", NULL },    /* and another */
		{ "%ED%A0%80", NULL },    /* half of a pair */
		{ "%F4%90%80%80", NULL }, /* past the last character */
		{ "%F8%88%80%80%80", NULL },
		{ "\xff", NULL },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[64];
		strcpy(text, cases[i].text);
		assert_int_equal(http_text_decode(text), cases[i].decoded != NULL);
		if (cases[i].decoded)
			assert_string_equal(text, cases[i].decoded);
	}
}

/* Of 10,000 bytes, RFC 9110 14.1.2. */
static void finds_ranges(void **state)
{
	(void)state;
	static const struct {
		const char *header;
		int64_t size;
		enum http_range found;
		int64_t first, length;
	} cases[] = {
		{ "bytes=0-499", 10000, HTTP_RANGE_ONE, 0, 500 },
		{ "bytes=500-999", 10000, HTTP_RANGE_ONE, 500, 500 },
		{ "bytes=-500", 10000, HTTP_RANGE_ONE, 9500, 500 },
		{ "bytes=9500-", 10000, HTTP_RANGE_ONE, 9500, 500 },
		{ "bytes=0-0", 10000, HTTP_RANGE_ONE, 0, 1 },
		{ "bytes=-1", 10000, HTTP_RANGE_ONE, 9999, 1 },
		{ "bytes= 0-999 ", 10000, HTTP_RANGE_ONE, 0, 1000 },
		{ "Bytes=0-1", 10000, HTTP_RANGE_ONE, 0, 2 },
		{ "bytes=0-99999", 10000, HTTP_RANGE_ONE, 0, 10000 },
		{ "bytes=-99999", 10000, HTTP_RANGE_ONE, 0, 10000 },
		{ "bytes=9999-10000", 10000, HTTP_RANGE_ONE, 9999, 1 },
		{ "bytes=0-99999999999999999999999999", 10000, HTTP_RANGE_ONE, 0, 10000 },
		{ "bytes=10000-", 10000, HTTP_RANGE_BAD, 0, 0 },
		{ "bytes=99999999999999999999999-", 10000, HTTP_RANGE_BAD, 0, 0 },
		{ "bytes=-0", 10000, HTTP_RANGE_BAD, 0, 0 },
		{ "bytes=0-", 0, HTTP_RANGE_BAD, 0, 0 },
		{ "bytes=-5", 0, HTTP_RANGE_BAD, 0, 0 },
		{ "bytes=0-0,-1", 10000, HTTP_RANGE_ALL, 0, 0 },
		{ "bytes=500-600,601-999", 10000, HTTP_RANGE_ALL, 0, 0 },
		{ "bytes=5-4", 10000, HTTP_RANGE_ALL, 0, 0 },
		{ "bytes=-", 10000, HTTP_RANGE_ALL, 0, 0 },
		{ "bytes=", 10000, HTTP_RANGE_ALL, 0, 0 },
		{ "bytes=a-b", 10000, HTTP_RANGE_ALL, 0, 0 },
		{ "bytes=1--2", 10000, HTTP_RANGE_ALL, 0, 0 },
		{ "bytes=--2", 10000, HTTP_RANGE_ALL, 0, 0 },
		{ "bytes=1-2x", 10000, HTTP_RANGE_ALL, 0, 0 },
		{ "lines=1-2", 10000, HTTP_RANGE_ALL, 0, 0 },
		{ "", 10000, HTTP_RANGE_ALL, 0, 0 },
		{ NULL, 10000, HTTP_RANGE_ALL, 0, 0 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t first = 0, length = 0;
		enum http_range found = http_text_range(cases[i].header, cases[i].size, &first, &length);
		if (found != cases[i].found || first != cases[i].first || length != cases[i].length)
			fail_msg("%s: found %d %lld+%lld", cases[i].header, found, (long long)first, (long long)length);
	}
}

/* RFC 9110, 8.8.3.2 and 13.1. */
static void compares_etags(void **state)
{
	(void)state;
	assert_true(http_text_etag("\"1\"", "\"1\"", false));
	assert_true(http_text_etag("\"0\", \"1\"", "\"1\"", false));
	assert_true(http_text_etag(" * ", "\"1\"", false));
	assert_true(http_text_etag("W/\"1\"", "\"1\"", true));
	assert_true(http_text_etag("\"a,b\",\"1\"", "\"1\"", false));
	assert_false(http_text_etag("W/\"1\"", "\"1\"", false));
	assert_false(http_text_etag("W/\"1\"", "\"2\"", true));
	assert_false(http_text_etag("\"12\"", "\"1\"", true));
	assert_false(http_text_etag("1", "\"1\"", true));
	assert_false(http_text_etag("\"1", "\"1\"", true));
	assert_false(http_text_etag("", "\"1\"", true));
}

static void knows_itself(void **state)
{
	(void)state;
	static const char *const own[] = { "localhost",  "LOCALHOST:80", "127.0.0.1",   "127.0.0.1:8000",
		                           "[::1]:8000", "[::1]",        "127.0.0.9:1", "localhost:" };
	static const char *const foreign[] = { "",           "evil.example", "localhost.evil", "localhost:80.evil",
		                               "[::1].evil", "[::1",         "127.0.0.1.nip",  "127.0.0.10",
		                               "::1",        ":80",          "localhost:1:2" };
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		assert_true(http_text_host_local(own[i], "127.0.0.9"));
	for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
		assert_false(http_text_host_local(foreign[i], "127.0.0.9"));
	assert_true(http_text_same_origin("http://a.example:81", "a.example:81"));
	assert_true(http_text_same_origin("https://A.example", "a.example"));
	assert_false(http_text_same_origin("http://a.example", "a.example:81"));
	assert_false(http_text_same_origin("http://b.example", "a.example"));
	assert_false(http_text_same_origin("null", ""));
	assert_false(http_text_same_origin("://a.example", "a.example"));
	assert_false(http_text_same_origin("null", "null"));
}

static void compares_tokens(void **state)
{
	(void)state;
	assert_true(http_text_token("secret", "secret"));
	assert_false(http_text_token("secre", "secret"));
	assert_false(http_text_token("secrets", "secret"));
	assert_false(http_text_token("secretsecret", "secret"));
	assert_false(http_text_token("", "secret"));
	assert_false(http_text_token("", ""));
	assert_false(http_text_token("x", ""));
}

static void knows_boundaries(void **state)
{
	(void)state;
	char long_one[200] = "multipart/form-data; boundary=", longer[200];
	memset(long_one + strlen(long_one), 'x', 70);
	strcpy(longer, long_one);
	strcat(longer, "y");
	assert_true(http_text_multipart("multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW"));
	assert_true(http_text_multipart("Multipart/Form-Data; charset=utf-8; boundary=\"a b\"") == false);
	assert_true(http_text_multipart("Multipart/Form-Data; charset=utf-8; boundary=\"a:b\""));
	assert_true(http_text_multipart(long_one));
	assert_false(http_text_multipart(longer));
	assert_false(http_text_multipart("multipart/form-data"));
	assert_false(http_text_multipart("multipart/form-data; boundary="));
	assert_false(http_text_multipart("multipart/form-data; boundary=\""));
	assert_false(http_text_multipart("multipart/form-data; boundary=\"\""));
	assert_false(http_text_multipart("multipart/form-data; boundary=\"a"));
	assert_false(http_text_multipart("multipart/form-data; boundary=ab; charset=utf-8"));
	assert_false(http_text_multipart("multipart/form-data; boundary=a"));
	assert_false(http_text_multipart("multipart/mixed; boundary=ab"));
}

static void expect_date(const char *text, int64_t expected)
{
	int64_t found = INT64_MIN;
	if (!http_text_date(text, &found) || found != expected)
		fail_msg("%s: %lld, expected %lld", text, (long long)found, (long long)expected);
}

static void reads_dates(void **state)
{
	(void)state;
	/* The examples of RFC 9110, 5.6.7. */
	expect_date("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
	expect_date("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
	expect_date("Sun Nov  6 08:49:37 1994", 784111777);
	expect_date("Thu, 01 Jan 1970 00:00:00 GMT", 0);
	expect_date("Wed, 31 Dec 1969 23:59:59 GMT", -1);
	expect_date("Saturday, 01-Jan-00 00:00:00 GMT", 946684800);
	/* The C library's own calendar. */
	for (int i = 0; i < 1000; i++) {
		time_t t = (time_t)(test_random() % 8000000000);
		struct tm tm;
		char text[64];
		gmtime_r(&t, &tm);
		strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		expect_date(text, t);
		strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &tm);
		expect_date(text, t);
	}
	static const char *const wrong[] = { "",
		                             "yesterday",
		                             ", 06 Nov 1994 08:49:37 GMT",
		                             "Sun, 06 Nov 1994 08:49:37",
		                             "Sun, 06 Nov 1994 08:49:37 GMT ",
		                             "Sun, 06 Nov 1994 08:49:37 CET",
		                             "Sun, 06 Nov 1994 24:49:37 GMT",
		                             "Sun, 00 Nov 1994 08:49:37 GMT",
		                             "Sun, 32 Nov 1994 08:49:37 GMT",
		                             "Sun, 06 ovD 1994 08:49:37 GMT",
		                             "Sun, 06 Nov yyyy 08:49:37 GMT",
		                             "Sun, -6 Nov 1994 08:49:37 GMT" };
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		int64_t found;
		if (http_text_date(wrong[i], &found))
			fail_msg("%s: %lld", wrong[i], (long long)found);
	}
}

static int match(const char *pattern, const char *path_)
{
	char path[256], *parts[8];
	size_t n = 8;
	strcpy(path, path_);
	return http_text_parts(path, parts, &n) ? http_text_match(pattern, parts, n) : -2;
}

static void matches_patterns(void **state)
{
	(void)state;
	assert_int_equal(match("/", "/"), 0);
	assert_int_equal(match("/a", "/"), -1);
	assert_int_equal(match("/", "/a"), -1);
	assert_int_equal(match("/a/*/b", "/a/x/b"), 2);
	assert_int_equal(match("/a/*/b", "/a/x%2Fy/b"), 2);
	assert_int_equal(match("/a/*/b", "/a//b"), -1);
	assert_int_equal(match("/a/*", "/a/"), -1);
	assert_int_equal(match("/a/*", "/a/.."), 1);
	assert_int_equal(match("/a/b", "/a/%62"), 2);
	assert_int_equal(match("/a", "/a/"), -1);
	assert_int_equal(match("/a/*", "/a/b/c"), -1);
	assert_int_equal(match("/a/*", "a/b"), -2);
	assert_int_equal(match("/a/*", "*"), -2);
	assert_int_equal(match("/a/*", "/a/%00"), -2);
	assert_int_equal(match("/a/*", "/1/2/3/4/5/6/7/8/9"), -2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes),          cmocka_unit_test(finds_ranges),
		cmocka_unit_test(compares_etags),   cmocka_unit_test(knows_itself),
		cmocka_unit_test(compares_tokens),  cmocka_unit_test(knows_boundaries),
		cmocka_unit_test(matches_patterns), cmocka_unit_test(reads_dates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
