/* A server with routes that say what they were asked, and what tests of it share. Define _GNU_SOURCE (strcasestr)
 * first. */
#ifndef SERVER_HTTP_ECHO_TEST_H
#define SERVER_HTTP_ECHO_TEST_H

#include "server/http/http.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "server/http/http_test_client.h"

#define MESSAGE_BYTES 100000
#define UPLOAD_BYTES 300000

static struct http_server *server;
static int port;
static char folder[1024], file_path[1100];
static uint8_t file_bytes[10000];
static atomic_int finished, refused;

static uint32_t sum(const void *data, size_t size)
{
	uint32_t value = 2166136261u;
	for (size_t i = 0; i < size; i++)
		value = (value ^ ((const uint8_t *)data)[i]) * 16777619u;
	return value;
}

static const char *or_none(const char *text)
{
	return text ? text : "none";
}

static void echo(void *ctx, struct http_request *request)
{
	struct il_bytes body = http_body(request);
	http_answer_json(request, 200,
	                 json_pack("{s:s s:s s:s s:s s:s s:s s:I s:I}", "route", (const char *)ctx, "method",
	                           http_method(request), "path", http_path(request), "part", http_part(request, 0),
	                           "query", or_none(http_query(request, "q")), "peer", http_peer(request), "size",
	                           (json_int_t)body.size, "sum", (json_int_t)sum(body.data, body.size)));
}

static void form(void *ctx, struct http_request *request)
{
	(void)ctx;
	const char *name = NULL, *path = http_upload(request, "file", &name);
	struct il_bytes bytes = { 0 };
	if (path)
		il_file_read(path, 1 << 20, &bytes, NULL);
	http_answer_json(request, 200,
	                 json_pack("{s:s s:s s:I s:I}", "text", or_none(http_field(request, "text")), "name",
	                           or_none(name), "size", path ? (json_int_t)bytes.size : (json_int_t)-1, "sum",
	                           (json_int_t)sum(bytes.data, bytes.size)));
	il_bytes_destroy(&bytes);
}

static void send_file(void *ctx, struct http_request *request)
{
	(void)ctx;
	http_answer_file(request, file_path, "video/mp4", "a \"name\".mp4");
}

static void send_missing(void *ctx, struct http_request *request)
{
	(void)ctx;
	http_answer_file(request, "/nowhere/at/all", "video/mp4", NULL);
}

static void fault(void *ctx, struct http_request *request)
{
	struct inlay_error err = { *(const enum inlay_err *)ctx, "a text with \xff in it" };
	http_answer_error(request, &err);
}

static void sleepy(void *ctx, struct http_request *request)
{
	(void)ctx;
	usleep(2500000);
	http_answer(request, 200, "text/plain", "awake", 5);
}

static void silent(void *ctx, struct http_request *request)
{
	(void)ctx, (void)request;
}

/* In the library's place: a server that has no memory for an answer. */
static atomic_bool no_answers;
static atomic_int called;

enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response)
{
	static enum MHD_Result (*queue)(struct MHD_Connection *, unsigned, struct MHD_Response *);
	if (!queue)
		*(void **)&queue = dlsym(RTLD_NEXT, "MHD_queue_response");
	return atomic_load(&no_answers) ? MHD_NO : queue(connection, status, response);
}

static void called_once(void *ctx, struct http_request *request)
{
	(void)ctx;
	atomic_fetch_add(&called, 1);
	http_answer(request, 200, "text/plain", "called", 6);
}

static void send_much(void *ctx, struct http_request *request)
{
	(void)ctx;
	static char much[32 << 20];
	http_answer(request, 200, "application/octet-stream", much, sizeof much);
}

static int64_t retry_ms(void *ctx)
{
	(void)ctx;
	return 1001;
}

static void count(void *ctx, const char *pattern, int status, int64_t ns)
{
	(void)ctx, (void)ns;
	atomic_fetch_add(&finished, 1);
	if (strcmp(pattern, "none") == 0 && status >= 400)
		atomic_fetch_add(&refused, 1);
}

static enum inlay_err busy = INLAY_ERR_BUSY, missing = INLAY_ERR_NOT_FOUND, broken = INLAY_ERR_IO;

static const struct http_route routes[] = {
	{ "GET", "/", echo, "root", .open = true },
	{ "GET", "/echo/*", echo, "star" },
	{ "POST", "/echo/*", echo, "posted" },
	{ "DELETE", "/echo/*", echo, "deleted" },
	{ "GET", "/echo/fixed", echo, "fixed" },
	{ "GET", "/echo/*/tail", echo, "tail" },
	{ "POST", "/form", form, .uploads = true },
	{ "GET", "/file", send_file },
	{ "GET", "/missing", send_missing },
	{ "GET", "/busy", fault, &busy },
	{ "GET", "/notfound", fault, &missing },
	{ "GET", "/broken", fault, &broken },
	{ "GET", "/sleepy", sleepy },
	{ "GET", "/silent", silent },
	{ "GET", "/called", called_once },
	{ "POST", "/called", called_once },
	{ "GET", "/much", send_much },
};

static struct http_server_params params(void)
{
	return (struct http_server_params){ .address = "127.0.0.1:0",
		                            .routes = routes,
		                            .n_routes = sizeof routes / sizeof routes[0],
		                            .message_bytes = MESSAGE_BYTES,
		                            .upload_bytes = UPLOAD_BYTES,
		                            .upload_folder = folder,
		                            .connections = 128,
		                            .idle_s = 2,
		                            .retry_ms = retry_ms,
		                            .finished = count };
}

static int set_up(void **state)
{
	(void)state;
	struct inlay_error err;
	snprintf(folder, sizeof folder, "%s", test_scratch("http"));
	snprintf(file_path, sizeof file_path, "%s/file.mp4", folder);
	mkdir(folder, 0700);
	for (size_t i = 0; i < sizeof file_bytes; i++)
		file_bytes[i] = (uint8_t)test_random();
	int fd = open(file_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, file_bytes, sizeof file_bytes), sizeof file_bytes);
	close(fd);
	struct http_server_params p = params();
	assert_ok(http_server_start(&server, &p, &err));
	port = http_server_port(server);
	return 0;
}

static int files_left(void)
{
	int n = 0;
	DIR *dir = opendir(folder);
	for (struct dirent *entry; (entry = readdir(dir));)
		n += strncmp(entry->d_name, "upload-", 7) == 0;
	closedir(dir);
	return n;
}

static int tear_down(void **state)
{
	(void)state;
	http_server_destroy(&server);
	int left = files_left();
	unlink(file_path);
	rmdir(folder);
	return left != 0;
}

#endif
