/* Inside of the HTTP side: a request on its way through http.c (connections), http_request.c (what is asked),
 * http_form.c (forms) and http_answer.c (answers). */
#ifndef SERVER_HTTP_IMPL_H
#define SERVER_HTTP_IMPL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/http/http.h"

#define HTTP_PARTS 16
#define HTTP_FIELDS 32
#define HTTP_FIELD_BYTES 16384 /* of the text of one field */
#define HTTP_QUERIES 32

/* A connection, for the thread that ends slow ones. */
struct http_connection {
	struct http_connection *next, *prev; /* server's lock */
	int fd;
	atomic_int phase; /* enum http_phase */
	_Atomic int64_t since_ns, received;
};
enum http_phase { HTTP_HEAD, HTTP_BODY, HTTP_BUSY };

struct http_server {
	struct http_server_params params;
	struct http_route *routes;
	struct MHD_Daemon *daemon;
	int listen_fd, port;
	bool loopback;
	char host[64]; /* own address as a Host header has it */
	unsigned idle_s;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct http_connection *connections;
	unsigned active; /* requests begun and not finished */
	bool stopping, ending;
	pthread_t watcher;
	bool watching;
};

struct http_pair {
	char *name, *value;
};

/* Of a form; a file's text is NULL. */
struct http_form_field {
	char *name, *text, *file_name, *path;
	size_t size; /* bytes so far */
	int fd;      /* -1: not open */
};

/* Owned by the thread of its connection. */
struct http_request {
	struct http_server *server;
	struct MHD_Connection *connection;
	struct http_connection *socket;
	const struct http_route *route; /* NULL: none */
	int64_t begun_ns;
	char *method, *path, *cut; /* cut: path in its decoded parts, which end in 0 */
	char *parts[HTTP_PARTS];
	size_t n_parts;
	struct http_pair queries[HTTP_QUERIES];
	size_t n_queries;
	char peer[64];
	unsigned seen[4];                   /* headers that are there once at most */
	bool expects_body, answered, early; /* early: answered before the body was read */
	bool admitted;                      /* the handler may be called */
	int status;

	struct il_bytes body;
	size_t body_room;
	int64_t received;
	struct MHD_PostProcessor *post;
	struct http_form_field fields[HTTP_FIELDS];
	size_t n_fields;
	int refused; /* by the form: the status, and why */
	char reason[256];

	struct http_pair headers[16]; /* of the answer */
	size_t n_headers;
};

/* MHD_AccessHandlerCallback and MHD_RequestCompletedCallback; the context is the server. */
enum MHD_Result http_request_handle(void *ctx, struct MHD_Connection *connection, const char *url, const char *method,
                                    const char *version, const char *data, size_t *size, void **request);
void http_request_completed(void *ctx, struct MHD_Connection *connection, void **request,
                            enum MHD_RequestTerminationCode code);

/* Connections and counts of the server. */
void http_server_begin(struct http_server *server, struct http_connection *connection);
void http_server_end(struct http_server *server, struct http_connection *connection);

/* A form's body: begin (false: not a form that can be read; refused says why), then each piece. */
bool http_form_begin(struct http_request *request, const char *content_type);
bool http_form_take(struct http_request *request, const char *data, size_t size);
void http_form_end(struct http_request *request); /* all of it was there */
void http_form_clear(struct http_request *request);

/* Writes an answer past the library, which does not take one in the middle of a body, and waits a while for the client
 * to read it. */
void http_answer_cut(struct http_request *request, int status, const char *text);
/* Takes what the client still sends, so that closing does not destroy the answer on its way (RFC 9112, 9.6). */
void http_linger(int fd);

#endif
