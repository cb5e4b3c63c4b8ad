/* HTTP for the rest of the server, on libmicrohttpd, whose only user it is: blocking handlers, a thread a connection.
 */
#ifndef SERVER_HTTP_HTTP_H
#define SERVER_HTTP_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"

struct http_request;

const char *http_method(const struct http_request *request);
const char *http_path(const struct http_request *request);             /* decoded, without the query */
const char *http_part(const struct http_request *request, unsigned i); /* what the i-th * of the route stands for */
const char *http_query(const struct http_request *request, const char *name);  /* NULL: not there */
const char *http_header(const struct http_request *request, const char *name); /* NULL: not there */
void *http_extra(const struct http_request *request);                          /* of the route */
const char *http_peer(const struct http_request *request);                     /* address without port */
struct il_bytes http_body(const struct http_request *request);                 /* whole; the request's memory */
/* Of a route that takes uploads: a field of its form (multipart or url-encoded), text; or of an uploaded file the path
 * of the temporary file that holds it, which goes with the request unless it is renamed away; *name is the client's
 * name for it. NULL: not there. All text of a request is UTF-8 without control characters, or it was refused. */
const char *http_field(const struct http_request *request, const char *name);
const char *http_upload(const struct http_request *request, const char *field, const char **name);
const char *http_field_name(const struct http_request *request, size_t i); /* of the i-th, NULL behind the last */

/* Each answers the request, once; the data is copied or, for _file, read while it is sent, ranges and conditional
 * requests seen to. */
void http_answer(struct http_request *request, int status, const char *type, const void *data, size_t size);
void http_answer_json(struct http_request *request, int status, json_t *value); /* takes the value */
void http_answer_file(struct http_request *request, const char *path, const char *type, const char *name);
/* {"error": "..."} with the status of the code; INLAY_ERR_BUSY: 429 with Retry-After. */
void http_answer_error(struct http_request *request, const struct inlay_error *err);
/* The same with a status of the caller's choice. */
void http_answer_fault(struct http_request *request, int status, const char *text);
/* Of the answer, and before it; takes the place of what is sent by default (Cache-Control: no-store). */
void http_add_header(struct http_request *request, const char *name, const char *value);

typedef void http_handler(void *ctx, struct http_request *request);

struct http_route {
	const char *method;  /* "GET", which answers HEAD too */
	const char *pattern; /* "/v1/videos/STAR/content", STAR being an asterisk: one part of a path */
	http_handler *handle;
	void *ctx;
	bool open;    /* needs no token: health */
	bool uploads; /* takes up to upload_bytes, files into temporary files */
	void *extra;  /* what the handler wants beside ctx: http_extra */
};

struct http_server_params {
	const char *address; /* HOST:PORT; port 0: any that is free */
	const struct http_route *routes;
	size_t n_routes;
	int64_t message_bytes, upload_bytes;
	const char *upload_folder;
	unsigned connections;
	const char *token;              /* NULL: none; else "Authorization: Bearer TOKEN", or ?token= for the page */
	const char *tls_cert, *tls_key; /* PEM files, or NULL */
	/* Seconds that a connection may be silent, and within which a request's head is there; a body comes at 1000
	 * bytes a second at least. 0: 60. */
	unsigned idle_s;
	int64_t (*retry_ms)(void *ctx);
	void *retry_ctx;
	/* pattern: of the route, "none" where there was none. NULL: nobody asks. */
	void (*finished)(void *ctx, const char *pattern, int status, int64_t ns);
	void *finished_ctx;
};

/* Without a token, a server on a loopback address answers only to Host: localhost, 127.0.0.1, [::1] or its own address
 * (names that lead there are somebody's page), and none changes anything for a page of another origin. The strings of
 * params outlive the server; routes are copied. Any number of threads. */
struct http_server;
enum inlay_err http_server_start(struct http_server **server, const struct http_server_params *params,
                                 struct inlay_error *err);
int http_server_port(const struct http_server *server);
/* No new connections; waits for the answers under way, timeout_ms at most. */
void http_server_stop(struct http_server *server, int64_t timeout_ms);
/* Stops, if it was not, and cuts what is still being sent; waits for handlers. */
void http_server_destroy(struct http_server **server);

#endif
