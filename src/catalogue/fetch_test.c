#include "tests/test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/file.h"
#include "catalogue/fetch.h"

static struct inlay_error err;

/* A million times "a", and its SHA-256 as FIPS 180-2 gives it (appendix B.3). */
enum { SIZE = 1000000 };
static const char SUM[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

/* ---- a server that says what it is told to ---- */

struct answer {
	const char *head; /* status line and headers, without the empty line */
	int bytes;        /* of the body: "a"s */
	bool hangs;       /* says no more and keeps the connection */
};

enum { MAX_ANSWERS = 4, MAX_REQUEST = 4096 };
static struct {
	const struct answer *answers;
	int count;
	char requests[MAX_ANSWERS][MAX_REQUEST];
	int listener, held, port;
	pthread_t thread;
} server;

static void read_request(int fd, char *text)
{
	size_t used = 0;
	while (used < MAX_REQUEST - 1 && !strstr(text, "\r\n\r\n")) {
		ssize_t n = read(fd, text + used, MAX_REQUEST - 1 - used);
		if (n <= 0)
			return;
		text[used += (size_t)n] = 0;
	}
}

static void send_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
		if (n <= 0)
			return; /* a client may have heard enough */
		data += n;
		size -= (size_t)n;
	}
}

static void *serve(void *unused)
{
	static char body[SIZE + 1000];
	memset(body, 'a', sizeof body);
	for (int i = 0; i < server.count; i++) {
		int fd = accept(server.listener, NULL, NULL);
		if (fd < 0)
			break;
		const struct answer *answer = &server.answers[i];
		read_request(fd, server.requests[i]);
		send_all(fd, answer->head, strlen(answer->head));
		send_all(fd, "\r\n\r\n", 4);
		send_all(fd, body, (size_t)answer->bytes);
		if (answer->hangs)
			server.held = fd;
		else
			close(fd);
	}
	return unused;
}

static void start_server(const struct answer *answers, int count)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof address;
	memset(&server, 0, sizeof server);
	server.answers = answers;
	server.count = count;
	server.held = -1;
	server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server.listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(server.listener, 4), 0);
	assert_int_equal(getsockname(server.listener, (struct sockaddr *)&address, &length), 0);
	server.port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void stop_server(void)
{
	shutdown(server.listener, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.listener);
	if (server.held >= 0)
		close(server.held);
}

/* ---- calls ---- */

static const char *folder;

static const char *in_folder(const char *name)
{
	static char paths[8][1200];
	static unsigned next;
	char *path = paths[next++ % 8];
	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

static int make_folder(void **state)
{
	(void)state;
	folder = test_scratch("fetch");
	return mkdir(folder, 0700);
}

static int remove_folder(void **state)
{
	(void)state;
	char command[1300];
	snprintf(command, sizeof command, "rm -r '%s'", folder);
	return system(command);
}

static void write_as(const char *name, size_t size)
{
	char *data = malloc(size + 1);
	assert_non_null(data);
	memset(data, 'a', size);
	assert_ok(il_file_write(in_folder(name), data, size, true, &err));
	free(data);
}

static int64_t size_of(const char *name)
{
	struct stat st;
	return stat(in_folder(name), &st) < 0 ? -1 : st.st_size;
}

static struct il_fetch_params params(void)
{
	static char url[64];
	snprintf(url, sizeof url, "http://127.0.0.1:%d/f", server.port);
	return (struct il_fetch_params){ .url = url, .path = in_folder("f"), .sha256 = SUM, .bytes = SIZE };
}

static void expect_whole(void)
{
	struct il_bytes got;
	assert_ok(il_file_read(in_folder("f"), SIZE * 2, &got, &err));
	assert_int_equal(got.size, SIZE);
	for (size_t i = 0; i < SIZE; i++)
		assert_int_equal(got.data[i], 'a');
	il_bytes_destroy(&got);
	assert_int_equal(size_of("f.part"), -1);
}

#define WHOLE "HTTP/1.1 200 OK\r\nContent-Length: 1000000"

/* ---- tests ---- */

static void a_file_appears_whole(void **state)
{
	(void)state;
	static const struct answer heads[] = { { WHOLE, SIZE, false }, { "HTTP/1.0 200 OK", SIZE, false } };
	for (size_t i = 0; i < 2; i++) {
		bool fetched;
		start_server(&heads[i], 1);
		struct il_fetch_params p = params();
		assert_ok(il_fetch(&p, &fetched, &err));
		stop_server();
		assert_true(fetched);
		expect_whole();
		assert_null(strstr(server.requests[0], "Range:"));
		assert_ok(il_fetch(&p, &fetched, &err)); /* asks nobody: the server is gone */
		assert_false(fetched);
		unlink(in_folder("f"));
	}
}

static void other_content_is_replaced_when_told_to(void **state)
{
	(void)state;
	static const struct answer answer = { WHOLE, SIZE, false };
	bool fetched;
	write_as("f", 3);
	start_server(&answer, 1);
	struct il_fetch_params p = params();
	/* The sum of "aaa" is sha256sum's. */
	assert_fails(il_fetch(&p, &fetched, &err), INLAY_ERR_EXISTS,
	             "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0, expected cdc76e5c");
	assert_int_equal(size_of("f"), 3);
	p.overwrite = true;
	assert_ok(il_fetch(&p, &fetched, &err));
	stop_server();
	assert_true(fetched);
	expect_whole();
}

static void a_part_is_gone_on_with(void **state)
{
	(void)state;
	static const struct answer answer = {
		"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 400000-999999/1000000\r\nContent-Length: 600000",
		600000, false
	};
	bool fetched;
	write_as("f.part", 400000);
	start_server(&answer, 1);
	struct il_fetch_params p = params();
	assert_ok(il_fetch(&p, &fetched, &err));
	stop_server();
	assert_non_null(strstr(server.requests[0], "\r\nRange: bytes=400000-\r\n"));
	expect_whole();
}

/* A server that ignores the range, one that refuses it, and one that sends another; and a whole file after that. */
static void a_part_that_is_not_gone_on_with_is_written_anew(void **state)
{
	(void)state;
	static const struct answer answers[][2] = {
		{ { WHOLE, SIZE, false } },
		{ { "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0", 0, false }, { WHOLE, SIZE, false } },
		{ { "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 300000-999999/1000000\r\n"
		    "Content-Length: 700000",
		    700000, false },
		  { WHOLE, SIZE, false } },
		{ { "HTTP/1.1 206 Partial Content\r\nContent-Length: 600000", 600000, false }, { WHOLE, SIZE, false } },
	};
	static const int counts[] = { 1, 2, 2, 2 };
	for (size_t i = 0; i < 4; i++) {
		bool fetched;
		write_as("f.part", 400000);
		start_server(answers[i], counts[i]);
		struct il_fetch_params p = params();
		assert_ok(il_fetch(&p, &fetched, &err));
		stop_server();
		expect_whole();
		assert_non_null(strstr(server.requests[0], "\r\nRange: bytes=400000-\r\n"));
		assert_null(strstr(server.requests[1], "Range:"));
		unlink(in_folder("f"));
	}
}

static void a_part_of_full_length_needs_no_server(void **state)
{
	(void)state;
	static const struct answer answer = { WHOLE, SIZE, false };
	bool fetched;
	write_as("f.part", SIZE);
	struct il_fetch_params p = params();
	p.url = "https://127.0.0.1:1/f";
	assert_ok(il_fetch(&p, &fetched, &err));
	expect_whole();
	unlink(in_folder("f"));
	/* Too long a one is nothing to go on with. */
	write_as("f.part", SIZE + 1);
	start_server(&answer, 1);
	p = params();
	assert_ok(il_fetch(&p, &fetched, &err));
	stop_server();
	assert_null(strstr(server.requests[0], "Range:"));
	expect_whole();
}

static void wrong_content_is_not_kept(void **state)
{
	(void)state;
	static const char other[] = "0000000000000000000000000000000000000000000000000000000000000000";
	static const struct {
		struct answer answer;
		const char *sha256, *says;
		enum inlay_err code;
	} cases[] = {
		{ { WHOLE, SIZE, false },
		  other,
		  "its SHA-256 is cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0, expected 00000000",
		  INLAY_ERR_FORMAT },
		{ { "HTTP/1.1 200 OK\r\nContent-Length: 1000001", SIZE + 1, false },
		  SUM,
		  "is a file of 1000001 bytes, expected 1000000",
		  INLAY_ERR_FORMAT },
		{ { "HTTP/1.0 200 OK", SIZE + 1, false }, SUM, "longer than the expected 1000000", INLAY_ERR_FORMAT },
		{ { "HTTP/1.1 200 OK\r\nContent-Length: 20", 20, false },
		  SUM,
		  "is a file of 20 bytes, expected",
		  INLAY_ERR_FORMAT },
		{ { "HTTP/1.1 200 OK\r\nContent-Length: 0", 0, false }, SUM, "ended after 0 of 1000000", INLAY_ERR_IO },
		{ { "HTTP/1.1 404 Not Found\r\nContent-Length: 9", 9, false },
		  SUM,
		  "the server answered 404",
		  INLAY_ERR_NOT_FOUND },
		{ { "HTTP/1.1 500 Oh\r\nContent-Length: 9", 9, false }, SUM, "the server answered 500", INLAY_ERR_IO },
		{ { "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0", 0, false },
		  SUM,
		  "http",
		  INLAY_ERR_IO },
		{ { "SSH-2.0-OpenSSH_9.2", 0, false }, SUM, "HTTP", INLAY_ERR_IO },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bool fetched;
		start_server(&cases[i].answer, 1);
		struct il_fetch_params p = params();
		p.sha256 = cases[i].sha256;
		assert_fails(il_fetch(&p, &fetched, &err), cases[i].code, cases[i].says);
		stop_server();
		assert_false(fetched);
		assert_int_equal(size_of("f"), -1);
		assert_int_equal(size_of("f.part"), -1);
	}
}

static void what_came_before_the_end_is_kept(void **state)
{
	(void)state;
	static const struct answer answers[] = { { WHOLE, 123456, false },
		                                 { "HTTP/1.0 200 OK", 123456, false },
		                                 { WHOLE, 123456, true } };
	static const char *const says[] = { "123456 of 1000000 bytes are here", "ended after 123456 of 1000000",
		                            "123456 of 1000000 bytes are here" };
	for (size_t i = 0; i < 3; i++) {
		bool fetched;
		start_server(&answers[i], 1);
		struct il_fetch_params p = params();
		p.stall_s = 1;
		assert_fails(il_fetch(&p, &fetched, &err), INLAY_ERR_IO, says[i]);
		stop_server();
		assert_int_equal(size_of("f.part"), 123456);
		unlink(in_folder("f.part"));
	}
}

static bool stop_midway(void *ctx, int64_t done, int64_t expected)
{
	assert_int_equal(expected, SIZE);
	assert_true(done <= expected);
	return done < *(int64_t *)ctx;
}

static void a_stopped_transfer_keeps_its_part(void **state)
{
	(void)state;
	static const struct answer answer = { WHOLE, 500000, true };
	int64_t until = 500000;
	bool fetched;
	start_server(&answer, 1);
	struct il_fetch_params p = params();
	p.progress = stop_midway;
	p.ctx = &until;
	assert_fails(il_fetch(&p, &fetched, &err), INLAY_ERR_CANCELLED, "stopped at 500000 of 1000000 bytes");
	stop_server();
	assert_int_equal(size_of("f.part"), 500000);
}

struct racer {
	struct il_fetch_params params;
	struct inlay_error err;
	enum inlay_err rc;
	bool fetched;
};

static void *race(void *ctx)
{
	struct racer *r = ctx;
	r->rc = il_fetch(&r->params, &r->fetched, &r->err);
	return NULL;
}

/* Libcurl is started by whichever comes first, and two transfers do not know of each other. */
static void two_threads_fetch_at_once(void **state)
{
	(void)state;
	static const struct answer answers[] = { { WHOLE, SIZE, false }, { WHOLE, SIZE, false } };
	struct racer racers[2] = { 0 };
	pthread_t threads[2];
	start_server(answers, 2);
	racers[0].params = racers[1].params = params();
	racers[1].params.path = in_folder("g");
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		if (racers[i].rc)
			fail_msg("%s", racers[i].err.text);
		assert_int_equal(size_of(i ? "g" : "f"), SIZE);
	}
	stop_server();
}

static bool fetch_the_same(void *ctx, int64_t done, int64_t expected)
{
	bool fetched;
	const struct il_fetch_params *p = ctx;
	(void)expected;
	if (done < SIZE / 2)
		return true;
	assert_fails(il_fetch(p, &fetched, &err), INLAY_ERR_IO, "another run is fetching it");
	return false;
}

static void a_file_is_fetched_once_at_a_time(void **state)
{
	(void)state;
	static const struct answer answer = { WHOLE, SIZE / 2, true };
	struct inlay_error own = { 0 };
	bool fetched;
	start_server(&answer, 1);
	struct il_fetch_params same = params(), p = same;
	p.progress = fetch_the_same;
	p.ctx = &same;
	assert_int_equal(il_fetch(&p, &fetched, &own), INLAY_ERR_CANCELLED);
	stop_server();
	assert_int_equal(size_of("f.part"), SIZE / 2);
}

static void places_that_cannot_be_written_are_named(void **state)
{
	(void)state;
	bool fetched;
	struct il_fetch_params p = { .url = "https://127.0.0.1:1/f", .sha256 = SUM, .bytes = SIZE };
	p.path = in_folder("none/f");
	assert_fails(il_fetch(&p, &fetched, &err), INLAY_ERR_NOT_FOUND, "none/f.part: cannot create");
	p.path = folder;
	assert_fails(il_fetch(&p, &fetched, &err), INLAY_ERR_INVALID, "is a folder");
	p.path = in_folder("f");
	assert_int_equal(mkdir(in_folder("f.part"), 0700), 0);
	assert_fails(il_fetch(&p, &fetched, &err), INLAY_ERR_IO, "f.part: cannot create");
}

static void only_https_leaves_this_machine(void **state)
{
	(void)state;
	static const char *const good[] = { "https://example.org/a", "http://127.0.0.1/a", "http://localhost:8000/a",
		                            "HTTPS://example.org/a" };
	static const char *const bad[] = { "http://example.org/a",
		                           "http://127.0.0.1@example.org/a",
		                           "http://localhost.example.org/a",
		                           "ftp://127.0.0.1/a",
		                           "file:///etc/passwd",
		                           "example.org/a",
		                           "https://",
		                           "" };
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!il_fetch_allows(good[i]))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct il_fetch_params p = { .url = bad[i], .path = in_folder("f"), .sha256 = SUM, .bytes = SIZE };
		bool fetched;
		assert_fails(il_fetch(&p, &fetched, &err), INLAY_ERR_INVALID, "expected https://");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First, so that libcurl has not been started yet. */
		cmocka_unit_test_setup_teardown(two_threads_fetch_at_once, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_file_appears_whole, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(other_content_is_replaced_when_told_to, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_part_is_gone_on_with, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_part_that_is_not_gone_on_with_is_written_anew, make_folder,
		                                remove_folder),
		cmocka_unit_test_setup_teardown(a_part_of_full_length_needs_no_server, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(wrong_content_is_not_kept, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(what_came_before_the_end_is_kept, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_stopped_transfer_keeps_its_part, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_file_is_fetched_once_at_a_time, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(places_that_cannot_be_written_are_named, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(only_https_leaves_this_machine, make_folder, remove_folder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
