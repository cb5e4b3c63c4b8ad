/* The HTTP side against a client that sends what it likes. */
#define _GNU_SOURCE /* strcasestr */
#include "server/http/http_echo_test.h"

static void expect_text(const char *target, int status, const char *key, const char *text)
{
	struct reply r = client_get(port, target, "");
	if (r.status != status || (key && strcmp(text_of(&r, key), text) != 0))
		fail_msg("GET %s: %d %s", target, r.status, r.body);
	reply_free(&r);
}

static void expect_status(const char *method, const char *target, const char *headers, int status)
{
	struct reply r = client_ask(port, method, target, headers, NULL, 0);
	if (r.status != status)
		fail_msg("%s %s (%s): %d, expected %d", method, target, headers, r.status, status);
	reply_free(&r);
}

static void finds_routes(void **state)
{
	(void)state;
	expect_text("/", 200, "route", "root");
	expect_text("/?q=1", 200, "query", "1");
	expect_text("/echo/a", 200, "route", "star");
	expect_text("/echo/fixed", 200, "route", "fixed");
	expect_text("/echo/a/tail", 200, "route", "tail");
	expect_text("/echo/a/tail", 200, "peer", "127.0.0.1");
	expect_text("/echo/a%2Fb/tail", 200, "part", "a/b");
	expect_text("/echo/a%20%C3%A9", 200, "part", "a \xc3\xa9");
	expect_text("/echo/..", 200, "part", "..");
	expect_text("/echo/%2e%2e", 200, "part", "..");
	expect_text("/echo/a?q=x%26y+z%2B&q=2", 200, "query", "x&y z+");
	expect_text("/echo/a?q", 200, "query", "");
	expect_text("/echo/a?p=1", 200, "query", "none");
	expect_text("/echo/a%00b", 400, NULL, NULL);
	expect_text("/echo/a%zz", 400, NULL, NULL);
	expect_text("/echo/%ff", 400, NULL, NULL);
	expect_text("/echo/a?q=%00", 400, NULL, NULL);
	expect_text("/echo", 404, NULL, NULL);
	expect_text("/echo/", 404, NULL, NULL);
	expect_text("/echo/a/b/c", 404, NULL, NULL);
	expect_text("/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h", 400, NULL, NULL);
	expect_text("/silent", 500, NULL, NULL);
}

static void knows_methods(void **state)
{
	(void)state;
	struct reply r = client_ask(port, "PUT", "/echo/a", "", "x", 1);
	assert_int_equal(r.status, 405);
	assert_non_null(strstr(r.body, "expected one of GET, HEAD, POST, DELETE"));
	assert_string_equal(reply_header(&r, "Allow"), "GET, HEAD, POST, DELETE");
	reply_free(&r);
	r = client_ask(port, "OPTIONS", "/echo/a", "", NULL, 0);
	assert_int_equal(r.status, 204);
	assert_string_equal(reply_header(&r, "Allow"), "GET, HEAD, POST, DELETE");
	assert_null(reply_header(&r, "Access-Control-Allow-Origin"));
	reply_free(&r);
	r = client_ask(port, "HEAD", "/echo/a", "", NULL, 0);
	assert_int_equal(r.status, 200);
	assert_true(atoi(reply_header(&r, "Content-Length")) > 20);
	assert_string_equal(reply_header(&r, "X-Content-Type-Options"), "nosniff");
	assert_non_null(strstr(reply_header(&r, "Content-Security-Policy"), "frame-ancestors 'none'"));
	reply_free(&r);
}

static void says_what_is_wrong(void **state)
{
	(void)state;
	struct reply r = client_get(port, "/busy", "");
	assert_int_equal(r.status, 429);
	assert_string_equal(reply_header(&r, "Retry-After"), "2");
	assert_string_equal(text_of(&r, "error"), "a text with ? in it");
	reply_free(&r);
	expect_text("/notfound", 404, NULL, NULL);
	expect_text("/broken", 500, NULL, NULL);
	expect_text("/missing", 404, NULL, NULL);
}

static void takes_bodies(void **state)
{
	(void)state;
	static uint8_t body[MESSAGE_BYTES + 1];
	for (size_t i = 0; i < sizeof body; i++)
		body[i] = (uint8_t)test_random();
	static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, MESSAGE_BYTES };
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct reply r = client_ask(port, "POST", "/echo/a", "", body, sizes[i]);
		assert_int_equal(r.status, 200);
		assert_int_equal(number_of(&r, "size"), sizes[i]);
		assert_int_equal(number_of(&r, "sum"), sum(body, sizes[i]));
		reply_free(&r);
	}
	struct reply r = client_ask(port, "POST", "/echo/a", "", body, sizeof body);
	assert_int_equal(r.status, 413);
	reply_free(&r);
	static const char chunks[] = "5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n";
	r = client_ask(port, "POST", "/echo/a", "Transfer-Encoding: chunked\r\n", chunks, sizeof chunks - 1);
	assert_int_equal(r.status, 200);
	assert_int_equal(number_of(&r, "sum"), sum("hello!", 6));
	reply_free(&r);
	/* A form's type changes nothing where no form is taken: it is what curl -d says of everything. */
	r = client_ask(port, "POST", "/echo/a", "Content-Type: application/x-www-form-urlencoded\r\n", "{\"a\": 1}", 8);
	assert_int_equal(number_of(&r, "sum"), sum("{\"a\": 1}", 8));
	reply_free(&r);
}

/* The head alone is enough to say no; nothing is sent that would have to be read first. */
static void refuses_at_once(void **state)
{
	(void)state;
	expect_status("POST", "/echo/a", "Content-Length: 100001\r\n", 413);
	expect_status("POST", "/echo/a", "Content-Length: 100001\r\nExpect: 100-continue\r\n", 413);
	expect_status("POST", "/form", "Content-Length: 300001\r\nContent-Type: multipart/form-data; boundary=x\r\n",
	              413);
	expect_status("POST", "/nowhere", "Content-Length: 100\r\n", 404);
	expect_status("POST", "/form", "Content-Length: 100\r\nContent-Type: multipart/form-data; boundary=\"\r\n",
	              400);
	expect_status("POST", "/echo/a", "Transfer-Encoding: gzip\r\n", 501);
	expect_status("POST", "/echo/a", "Content-Length: 5\r\nContent-Length: 6\r\n", 400);
	expect_status("POST", "/echo/a", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400);
	struct reply r = client_ask(port, "POST", "/echo/a", "Content-Length: 3\r\nExpect: 100-continue\r\n", NULL, 0);
	assert_int_equal(r.status, 100);
	reply_free(&r);
}

/* Chunks have no length to be refused by; the answer comes in their midst. */
static void refuses_long_streams(void **state)
{
	(void)state;
	int fd = client_connect(port);
	static const char head[] = "POST /echo/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
	client_send(fd, head, sizeof head - 1);
	char chunk[10007];
	memcpy(chunk, "2710\r\n", 6);
	memset(chunk + 6, 'x', 10000);
	memcpy(chunk + 10005, "\r\n", 2);
	chunk[10006] = '\n', chunk[10005] = '\r';
	size_t sent = 0;
	for (int i = 0; i < 40 && client_send(fd, "2710\r\n", 6) == 6; i++) {
		sent += client_send(fd, chunk + 6, 9999);
		sent += client_send(fd, "x\r\n", 3);
	}
	struct reply r = client_read(fd, true);
	assert_int_equal(r.status, 413);
	assert_true(sent > MESSAGE_BYTES);
	close(fd);
	reply_free(&r);
}

static void expect_file(const char *headers, int status, size_t first, size_t size)
{
	struct reply r = client_get(port, "/file", headers);
	if (r.status != status)
		fail_msg("%s: %d, expected %d", headers, r.status, status);
	if (status == 200 || status == 206) {
		assert_int_equal(r.size, size);
		assert_memory_equal(r.body, file_bytes + first, size);
	}
	reply_free(&r);
}

static void sends_files(void **state)
{
	(void)state;
	struct reply r = client_get(port, "/file", "");
	assert_int_equal(r.status, 200);
	assert_int_equal(r.size, sizeof file_bytes);
	assert_memory_equal(r.body, file_bytes, sizeof file_bytes);
	assert_string_equal(reply_header(&r, "Content-Type"), "video/mp4");
	assert_string_equal(reply_header(&r, "Accept-Ranges"), "bytes");
	assert_string_equal(reply_header(&r, "Content-Disposition"), "inline; filename=\"a name.mp4\"");
	char etag[80], date[80], header[200];
	snprintf(etag, sizeof etag, "%s", reply_header(&r, "ETag"));
	snprintf(date, sizeof date, "%s", reply_header(&r, "Last-Modified"));
	reply_free(&r);

	expect_file("Range: bytes=0-499\r\n", 206, 0, 500);
	expect_file("Range: bytes=-1\r\n", 206, 9999, 1);
	expect_file("Range: bytes=9000-20000\r\n", 206, 9000, 1000);
	expect_file("Range: bytes=0-1,5-6\r\n", 200, 0, sizeof file_bytes);
	expect_file("Range: bytes=10000-\r\n", 416, 0, 0);
	r = client_get(port, "/file", "Range: bytes=5-9\r\n");
	assert_string_equal(reply_header(&r, "Content-Range"), "bytes 5-9/10000");
	reply_free(&r);
	r = client_get(port, "/file", "Range: bytes=10000-\r\n");
	assert_string_equal(reply_header(&r, "Content-Range"), "bytes */10000");
	reply_free(&r);
	r = client_ask(port, "HEAD", "/file", "Range: bytes=5-9\r\n", NULL, 0);
	assert_int_equal(r.status, 200);
	assert_string_equal(reply_header(&r, "Content-Length"), "10000");
	assert_null(reply_header(&r, "Content-Range"));
	reply_free(&r);
	expect_status("HEAD", "/file", "Range: bytes=10000-\r\n", 200);

	snprintf(header, sizeof header, "If-None-Match: \"x\", W/%s\r\n", etag);
	expect_file(header, 304, 0, 0);
	expect_file("If-None-Match: \"x\"\r\n", 200, 0, sizeof file_bytes);
	snprintf(header, sizeof header, "If-Modified-Since: %s\r\n", date);
	expect_file(header, 304, 0, 0);
	snprintf(header, sizeof header, "If-Modified-Since: %s\r\nIf-None-Match: \"x\"\r\n", date);
	expect_file(header, 200, 0, sizeof file_bytes);
	expect_file("If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT\r\n", 304, 0, 0);
	expect_file("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n", 200, 0, sizeof file_bytes);
	expect_file("If-Modified-Since: yesterday\r\n", 200, 0, sizeof file_bytes);
	expect_file("If-Unmodified-Since: Fri, 31 Dec 2100 23:59:59 GMT\r\n", 200, 0, sizeof file_bytes);
	snprintf(header, sizeof header, "If-Unmodified-Since: %s\r\n", date);
	expect_file(header, 200, 0, sizeof file_bytes);
	expect_file("If-Unmodified-Since: Sun Nov  6 08:49:37 1994\r\n", 412, 0, 0);
	expect_file("If-Unmodified-Since: tomorrow\r\n", 200, 0, sizeof file_bytes);
	snprintf(header, sizeof header, "If-Range: %s\r\nRange: bytes=1-2\r\n", etag);
	expect_file(header, 206, 1, 2);
	snprintf(header, sizeof header, "If-Range: %s\r\nRange: bytes=1-2\r\n", date);
	expect_file(header, 206, 1, 2);
	expect_file("If-Range: \"x\"\r\nRange: bytes=1-2\r\n", 200, 0, sizeof file_bytes);
	expect_file("If-Match: \"x\"\r\n", 412, 0, 0);
	snprintf(header, sizeof header, "If-Match: %s\r\n", etag);
	expect_file(header, 200, 0, sizeof file_bytes);
}

static void keeps_strangers_out(void **state)
{
	(void)state;
	expect_status("GET", "/", "Host: evil.example\r\n", 403);
	expect_status("GET", "/", "Host: 127.0.0.1:8000\r\n", 200);
	expect_status("GET", "/", "Host: [::1]\r\n", 200);
	expect_status("POST", "/echo/a", "Content-Length: 0\r\nOrigin: http://evil.example\r\n", 403);
	expect_status("POST", "/echo/a", "Content-Length: 0\r\nOrigin: null\r\n", 403);
	expect_status("POST", "/echo/a", "Content-Length: 0\r\nOrigin: http://localhost\r\n", 200);
	expect_status("POST", "/echo/a", "Content-Length: 0\r\nSec-Fetch-Site: cross-site\r\n", 403);
	expect_status("DELETE", "/echo/a", "Sec-Fetch-Site: same-site\r\n", 403);
	expect_status("DELETE", "/echo/a", "Sec-Fetch-Site: same-origin\r\n", 200);
	expect_status("GET", "/echo/a", "Sec-Fetch-Site: cross-site\r\n", 200);
}

static void asks_for_a_token(void **state)
{
	(void)state;
	struct inlay_error err;
	struct http_server_params p = params();
	struct http_server *guarded;
	p.token = "s3cret";
	assert_ok(http_server_start(&guarded, &p, &err));
	int open_port = port;
	port = http_server_port(guarded);
	struct reply r = client_get(port, "/echo/a", "");
	assert_int_equal(r.status, 401);
	assert_string_equal(reply_header(&r, "WWW-Authenticate"), "Bearer");
	reply_free(&r);
	expect_status("GET", "/", "", 200);
	expect_status("GET", "/nowhere", "", 401);
	expect_status("GET", "/echo/a", "Authorization: Bearer s3cret\r\n", 200);
	expect_status("GET", "/echo/a", "Authorization: bearer s3cret\r\nHost: any.example\r\n", 200);
	expect_status("GET", "/echo/a", "Authorization: Bearer s3cre\r\n", 401);
	expect_status("GET", "/echo/a", "Authorization: Basic s3cret\r\n", 401);
	expect_status("GET", "/echo/a?token=s3cret", "", 200);
	expect_status("GET", "/echo/a?token=", "", 401);
	expect_status("DELETE", "/echo/a?token=s3cret", "", 401);
	expect_status("DELETE", "/echo/a", "Authorization: Bearer s3cret\r\nOrigin: http://evil.example\r\n", 200);
	expect_status("POST", "/form", "Content-Length: 1000\r\n", 401);
	/* Nor does anybody come in where there is no memory to say so. */
	atomic_store(&no_answers, true);
	int before = atomic_load(&called);
	expect_status("GET", "/called", "", 0);
	expect_status("POST", "/called", "Content-Length: 1\r\n", 0);
	expect_status("GET", "/nowhere", "Authorization: Bearer s3cret\r\n", 0);
	expect_status("PUT", "/called", "Authorization: Bearer s3cret\r\nContent-Length: 0\r\n", 0);
	assert_int_equal(atomic_load(&called), before);
	/* A handler whose answer fails is not called again. */
	expect_status("GET", "/called", "Authorization: Bearer s3cret\r\n", 0);
	assert_int_equal(atomic_load(&called), before + 1);
	atomic_store(&no_answers, false);
	expect_status("GET", "/called", "Authorization: Bearer s3cret\r\n", 200);
	port = open_port;
	http_server_destroy(&guarded);
}

static void survives_garbage(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t size;
	} cases[] = {
#define BYTES(text) { text, sizeof text - 1 }
		BYTES("\0\0\0\0"),
		BYTES("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"),
		BYTES("GET\r\n\r\n"),
		BYTES("GET / HTTP/9.9\r\n\r\n"),
		BYTES("GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		BYTES("GET / HTTP/1.1\r\n: no name\r\n\r\n"),
		BYTES("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"),
		BYTES("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
		BYTES("POST /echo/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
		BYTES("POST /echo/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
		      "ffffffffffffffffff\r\n"),
		BYTES("GET / HTTP/1.1\r\nHost: localhost\r\n\r\nxxxx\r\n\r\n\0\xff\xff"),
		BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		BYTES("GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n"),
#undef BYTES
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int fd = client_connect(port);
		client_send(fd, cases[i].bytes, cases[i].size);
		shutdown(fd, SHUT_WR);
		char ignored[4096];
		while (recv(fd, ignored, sizeof ignored, 0) > 0)
			;
		close(fd);
	}
	char *headers = malloc(300000);
	size_t n = (size_t)sprintf(headers, "GET / HTTP/1.1\r\nX: ");
	memset(headers + n, 'x', 300000 - n);
	int fd = client_connect(port);
	client_send(fd, headers, 300000);
	struct reply r = client_read(fd, true);
	assert_true(r.status == 0 || r.status == 431 || r.status == 413);
	reply_free(&r);
	close(fd);
	free(headers);
	expect_text("/", 200, "route", "root");
}

/* Requests one behind the other on one connection; one that is refused with its body unread ends it. */
static void takes_pipelines(void **state)
{
	(void)state;
	static const char two[] = "GET /echo/a HTTP/1.1\r\nHost: localhost\r\n\r\n"
				  "POST /echo/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi"
				  "GET /echo/c HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int fd = client_connect(port);
	client_send(fd, two, sizeof two - 1);
	for (int i = 0; i < 3; i++) {
		struct reply r = client_read(fd, true);
		assert_int_equal(r.status, 200);
		assert_int_equal(text_of(&r, "part")[0], 'a' + i);
		reply_free(&r);
	}
	close(fd);
	static const char *const hidden[] = { "POST", "GET", "DELETE", "PATCH" };
	for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
		char text[512];
		int n = snprintf(text, sizeof text,
		                 "%s /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 44\r\n\r\n"
		                 "GET /echo/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n",
		                 hidden[i]);
		fd = client_connect(port);
		client_send(fd, text, (size_t)n);
		shutdown(fd, SHUT_WR);
		struct reply r = client_read(fd, true);
		assert_int_equal(r.status, 404);
		reply_free(&r);
		r = client_read(fd, true);
		assert_int_not_equal(r.status, 200);
		reply_free(&r);
		close(fd);
	}
}

/* A byte now and then does not hold a thread for ever: neither in the head nor in the body. */
static void ends_slow_clients(void **state)
{
	(void)state;
	static const char head[] = "POST /echo/a HTTP/1.1\r\nHost: localhost\r\nX-Pad: 1234567890123456789\r\n";
	static const char body[] = "POST /echo/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
	int slow_head = client_connect(port), slow_body = client_connect(port), idle = client_connect(port);
	client_send(slow_body, body, sizeof body - 1);
	int64_t begun = il_clock_ns();
	size_t at = 0;
	bool head_open = true, body_open = true;
	while ((head_open || body_open) && il_clock_ns() - begun < INT64_C(12000000000)) {
		usleep(300000);
		char ignored[512];
		head_open = head_open && client_send(slow_head, head + at % (sizeof head - 1), 1) == 1;
		body_open = body_open && client_send(slow_body, "x", 1) == 1;
		head_open = head_open && recv(slow_head, ignored, sizeof ignored, MSG_DONTWAIT) != 0;
		body_open = body_open && recv(slow_body, ignored, sizeof ignored, MSG_DONTWAIT) != 0;
		at++;
	}
	assert_false(head_open || body_open);
	char ignored[512];
	assert_int_equal(recv(idle, ignored, sizeof ignored, 0), 0);
	close(slow_head), close(slow_body), close(idle);
}

static void waits_for_slow_handlers(void **state)
{
	(void)state;
	struct reply r = client_get(port, "/sleepy", "");
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, "awake");
	reply_free(&r);
}

static void *client(void *ctx)
{
	uint8_t body[5000];
	memset(body, *(const int *)ctx, sizeof body);
	for (int i = 0; i < 10; i++) {
		struct reply r = client_ask(port, "POST", "/echo/a", "", body, sizeof body);
		if (r.status != 200 || number_of(&r, "sum") != sum(body, sizeof body))
			atomic_fetch_add(&refused, 1000);
		reply_free(&r);
	}
	return NULL;
}

static void serves_many(void **state)
{
	(void)state;
	pthread_t threads[64];
	int ids[64], before = atomic_load(&refused);
	for (int i = 0; i < 64; i++) {
		ids[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, client, &ids[i]), 0);
	}
	for (int i = 0; i < 64; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&refused), before);
}

static void *stop(void *ctx)
{
	usleep(300000);
	http_server_stop(ctx, 20000);
	return NULL;
}

/* What is under way when it stops is answered; what comes then finds nobody. */
static void finishes_when_stopped(void **state)
{
	(void)state;
	struct inlay_error err;
	struct http_server_params p = params();
	struct http_server *other;
	assert_ok(http_server_start(&other, &p, &err));
	int at = http_server_port(other);
	pthread_t stopper;
	pthread_create(&stopper, NULL, stop, other);
	struct reply r = client_get(at, "/sleepy", "");
	pthread_join(stopper, NULL);
	assert_int_equal(r.status, 200);
	assert_string_equal(reply_header(&r, "Connection"), "close");
	reply_free(&r);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)at),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_not_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	close(fd);
	http_server_destroy(&other);
	assert_null(other);
	http_server_destroy(&other);
}

/* A download that nobody takes is waited for as long as the caller says, once. */
static void downloads_have_the_callers_time(void **state)
{
	(void)state;
	struct inlay_error err;
	struct http_server_params p = params();
	struct http_server *other;
	static const char ask[] = "GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n";
	p.idle_s = 30;
	assert_ok(http_server_start(&other, &p, &err));
	int fd = client_connect(http_server_port(other));
	client_send(fd, ask, sizeof ask - 1);
	struct reply r = client_read(fd, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	int64_t begun = il_clock_ns();
	http_server_stop(other, 1200);
	assert_in_range(il_clock_ns() - begun, INT64_C(1100000000), INT64_C(5000000000));
	begun = il_clock_ns();
	http_server_destroy(&other);
	assert_in_range(il_clock_ns() - begun, 0, INT64_C(1000000000));
	close(fd);
}

static void refuses_bad_params(void **state)
{
	(void)state;
	struct inlay_error err;
	struct http_server_params p = params();
	struct http_server *other;
	p.address = "localhost";
	assert_fails(http_server_start(&other, &p, &err), INLAY_ERR_INVALID, "expected HOST:PORT");
	p.address = "[::1:80";
	assert_fails(http_server_start(&other, &p, &err), INLAY_ERR_INVALID, "expected HOST:PORT");
	char taken[64];
	snprintf(taken, sizeof taken, "127.0.0.1:%d", port);
	p.address = taken;
	assert_fails(http_server_start(&other, &p, &err), INLAY_ERR_IO, taken);
	p = params();
	p.tls_cert = file_path;
	assert_fails(http_server_start(&other, &p, &err), INLAY_ERR_INVALID, "its key");
	p.tls_key = file_path;
	assert_fails(http_server_start(&other, &p, &err), INLAY_ERR_FORMAT, "expected a certificate");
	p.tls_key = "/nowhere/key.pem";
	assert_fails(http_server_start(&other, &p, &err), INLAY_ERR_NOT_FOUND, "/nowhere/key.pem");
	assert_null(other);
}

/* As other programs see it; those that are not there are not asked. */
static void encrypts(void **state)
{
	(void)state;
	struct inlay_error err;
	struct http_server_params p = params();
	struct http_server *other;
	char cert[1100], key[1100], command[4096], answer[256] = "";
	snprintf(cert, sizeof cert, "%s/cert.pem", folder);
	snprintf(key, sizeof key, "%s/key.pem", folder);
	snprintf(command, sizeof command,
	         "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
	         "-addext subjectAltName=DNS:localhost -keyout %s -out %s 2>/dev/null && command -v curl >/dev/null",
	         key, cert);
	if (system(command) != 0)
		skip();
	p.tls_cert = cert;
	p.tls_key = key;
	assert_ok(http_server_start(&other, &p, &err));
	snprintf(command, sizeof command,
	         "curl -s --cacert %s -d hello https://localhost:%d/echo/a && "
	         "curl -s --cacert %s --tls-max 1.1 https://localhost:%d/ || echo refused",
	         cert, http_server_port(other), cert, http_server_port(other));
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	assert_true(fread(answer, 1, sizeof answer - 1, pipe) > 0);
	pclose(pipe);
	assert_non_null(strstr(answer, "\"size\":5"));
	assert_non_null(strstr(answer, "refused"));
	http_server_destroy(&other);
	unlink(cert);
	unlink(key);
}

static void counts_all(void **state)
{
	(void)state;
	int before = atomic_load(&finished);
	expect_text("/", 200, NULL, NULL);
	expect_text("/nowhere", 404, NULL, NULL);
	for (int i = 0; i < 100 && atomic_load(&finished) < before + 2; i++)
		usleep(10000);
	assert_int_equal(atomic_load(&finished), before + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_routes),
		cmocka_unit_test(knows_methods),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(takes_bodies),
		cmocka_unit_test(refuses_at_once),
		cmocka_unit_test(refuses_long_streams),
		cmocka_unit_test(downloads_have_the_callers_time),
		cmocka_unit_test(sends_files),
		cmocka_unit_test(keeps_strangers_out),
		cmocka_unit_test(asks_for_a_token),
		cmocka_unit_test(survives_garbage),
		cmocka_unit_test(takes_pipelines),
		cmocka_unit_test(ends_slow_clients),
		cmocka_unit_test(waits_for_slow_handlers),
		cmocka_unit_test(serves_many),
		cmocka_unit_test(finishes_when_stopped),
		cmocka_unit_test(refuses_bad_params),
		cmocka_unit_test(encrypts),
		cmocka_unit_test(counts_all),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
