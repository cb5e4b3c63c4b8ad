/* What is asked: from a request's head, over whether it may be answered at all, to its handler. */
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "server/http/http_impl.h"
#include "server/http/http_text.h"

#define IGNORED_BYTES (1 << 20) /* of a body whose request was answered already */

const char *http_method(const struct http_request *request)
{
	return request->method;
}

const char *http_path(const struct http_request *request)
{
	return request->path;
}

/* Counts the stars of the route's pattern up to the i-th. */
const char *http_part(const struct http_request *request, unsigned i)
{
	size_t part = 0;
	for (const char *p = request->route->pattern; *p && part < request->n_parts; part++) {
		size_t size = strcspn(++p, "/");
		if (size == 1 && *p == '*' && i-- == 0)
			return request->parts[part];
		p += size;
	}
	return "";
}

const char *http_query(const struct http_request *request, const char *name)
{
	for (size_t i = 0; i < request->n_queries; i++) {
		if (strcmp(request->queries[i].name, name) == 0)
			return request->queries[i].value;
	}
	return NULL;
}

const char *http_header(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

void *http_extra(const struct http_request *request)
{
	return request->route->extra;
}

const char *http_peer(const struct http_request *request)
{
	return request->peer;
}

struct il_bytes http_body(const struct http_request *request)
{
	return request->body;
}

static void read_peer(struct http_request *request)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *from = info ? info->client_addr : NULL;
	if (!from)
		return;
	if (from->sa_family == AF_INET) {
		inet_ntop(AF_INET, &((const struct sockaddr_in *)from)->sin_addr, request->peer, sizeof request->peer);
	} else if (from->sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)from)->sin6_addr, request->peer,
		          sizeof request->peer);
		if (strncmp(request->peer, "::ffff:", 7) == 0 && strchr(request->peer, '.'))
			memmove(request->peer, request->peer + 7, strlen(request->peer + 7) + 1);
	}
}

/* False where a query cannot be decoded, or there are too many. */
static enum MHD_Result read_query(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	struct http_request *request = ctx;
	if (request->n_queries == HTTP_QUERIES) {
		request->refused = MHD_HTTP_BAD_REQUEST;
		return MHD_NO;
	}
	struct http_pair *query = &request->queries[request->n_queries++];
	query->name = strdup(name);
	query->value = strdup(value ? value : "");
	if (!query->name || !query->value || !http_text_decode(query->name) || !http_text_decode(query->value)) {
		request->refused = MHD_HTTP_BAD_REQUEST;
		return MHD_NO;
	}
	return MHD_YES;
}

/* Two proxies that read a doubled header differently would let a request through inside another. */
static enum MHD_Result check_header(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	struct http_request *request = ctx;
	static const char *const once[] = { "Content-Length", "Transfer-Encoding", "Host", "Content-Type" };
	for (size_t i = 0; i < sizeof once / sizeof once[0]; i++) {
		if (strcasecmp(name, once[i]) == 0 && request->seen[i]++)
			request->refused = MHD_HTTP_BAD_REQUEST;
	}
	if ((value && !http_text_clean(value)) || (request->seen[0] && request->seen[1]))
		request->refused = MHD_HTTP_BAD_REQUEST;
	return request->refused ? MHD_NO : MHD_YES;
}

/* The path as http_path gives it: decoded parts between slashes. */
static bool join_path(struct http_request *request, size_t size)
{
	char *to = request->path = malloc(size + 2);
	if (!to)
		return false;
	for (size_t i = 0; i < request->n_parts; i++) {
		*to++ = '/';
		to = stpcpy(to, request->parts[i]);
	}
	if (!request->n_parts)
		*to++ = '/';
	*to = '\0';
	return true;
}

static bool read_target(struct http_request *request, const char *url)
{
	request->cut = strdup(url);
	request->n_parts = HTTP_PARTS;
	if (!request->cut || !http_text_parts(request->cut, request->parts, &request->n_parts)) {
		request->n_parts = 0;
		return false;
	}
	MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, read_query, request);
	MHD_get_connection_values(request->connection, MHD_HEADER_KIND, check_header, request);
	return !request->refused && join_path(request, strlen(url));
}

static bool route_takes(const struct http_route *route, const char *method)
{
	return strcmp(route->method, method) == 0 || (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* The route with the most literal parts; *allow: the methods of the path, whatever was asked. */
static const struct http_route *find_route(const struct http_request *request, char *allow, size_t size)
{
	const struct http_server *server = request->server;
	const struct http_route *found = NULL;
	int best = -1;
	char *to = allow, *end = allow + size;
	*allow = '\0';
	for (size_t i = 0; i < server->params.n_routes; i++) {
		const struct http_route *route = &server->routes[i];
		int literal = http_text_match(route->pattern, request->parts, request->n_parts);
		if (literal < 0)
			continue;
		if (!strstr(allow, route->method))
			to += snprintf(to, (size_t)(end - to), "%s%s", to > allow ? ", " : "",
			               strcmp(route->method, "GET") == 0 ? "GET, HEAD" : route->method);
		to = to < end ? to : end - 1;
		if (route_takes(route, request->method) && literal > best) {
			found = route;
			best = literal;
		}
	}
	return found;
}

static bool reads_only(const struct http_request *request)
{
	return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
}

static bool has_token(const struct http_request *request)
{
	const char *token = request->server->params.token;
	const char *given = http_header(request, "Authorization");
	if (given && strncasecmp(given, "Bearer ", 7) == 0)
		return http_text_token(given + 7 + strspn(given + 7, " "), token);
	given = reads_only(request) ? http_query(request, "token") : NULL;
	return given && http_text_token(given, token);
}

/* Browsers say so themselves where they are new enough; older ones name the page's origin. */
static bool foreign_page(const struct http_request *request)
{
	const char *site = http_header(request, "Sec-Fetch-Site"), *origin = http_header(request, "Origin");
	const char *host = http_header(request, "Host");
	if (site)
		return strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
	return origin && !http_text_same_origin(origin, host ? host : "");
}

/* True where the caller may be served; else it was answered. */
static bool may_enter(struct http_request *request)
{
	const struct http_server *server = request->server;
	const char *host = http_header(request, "Host");
	if (server->params.token && !(request->route && request->route->open)) {
		if (!has_token(request)) {
			http_add_header(request, "WWW-Authenticate", "Bearer");
			http_answer_fault(request, MHD_HTTP_UNAUTHORIZED,
			                  "a token is needed: Authorization: Bearer TOKEN");
			return false;
		}
	} else if (!server->params.token && server->loopback && host && !http_text_host_local(host, server->host)) {
		http_answer_fault(request, MHD_HTTP_FORBIDDEN,
		                  "this server answers to its own address alone, not to other names");
		return false;
	}
	bool by_header = server->params.token && http_header(request, "Authorization");
	if (!reads_only(request) && !by_header && foreign_page(request)) {
		http_answer_fault(request, MHD_HTTP_FORBIDDEN, "pages of other sites may not change anything here");
		return false;
	}
	return true;
}

/* The body's limit. */
static int64_t body_limit(const struct http_request *request)
{
	const struct http_server_params *params = &request->server->params;
	return request->route && request->route->uploads ? params->upload_bytes : params->message_bytes;
}

static void too_large(struct http_request *request)
{
	snprintf(request->reason, sizeof request->reason, "the body is too large; at most %lld bytes are taken",
	         (long long)body_limit(request));
	request->refused = MHD_HTTP_CONTENT_TOO_LARGE;
}

/* Makes ready for a body; false where it was answered. */
static bool expect_body(struct http_request *request)
{
	const char *length = http_header(request, "Content-Length"), *type = http_header(request, "Content-Type");
	bool chunked = http_header(request, "Transfer-Encoding") != NULL;
	request->expects_body = chunked || (length && strtoll(length, NULL, 10) > 0);
	if (chunked && strcasecmp(http_header(request, "Transfer-Encoding"), "chunked") != 0)
		request->refused = MHD_HTTP_NOT_IMPLEMENTED,
		strcpy(request->reason, "Transfer-Encoding: expected chunked");
	else if (length && strtoll(length, NULL, 10) > body_limit(request))
		too_large(request);
	else if (request->expects_body && request->route && request->route->uploads && type)
		http_form_begin(request, type);
	if (request->refused)
		http_answer_fault(request, request->refused, request->reason);
	return !request->refused;
}

static void refuse_method(struct http_request *request, const char *allow)
{
	char text[192];
	http_add_header(request, "Allow", allow);
	snprintf(text, sizeof text, "this method has no meaning here; expected one of %s", allow);
	if (strcmp(request->method, "OPTIONS") == 0)
		http_answer(request, MHD_HTTP_NO_CONTENT, NULL, NULL, 0);
	else
		http_answer_fault(request, MHD_HTTP_METHOD_NOT_ALLOWED, text);
}

/* True where the handler may be called; else it was answered, unless memory failed. */
static bool admit(struct http_request *request, const char *url)
{
	char allow[128] = "";
	bool readable = read_target(request, url);
	if (readable)
		request->route = find_route(request, allow, sizeof allow);
	if (!readable) {
		http_answer_fault(request, MHD_HTTP_BAD_REQUEST, "the path, query or headers cannot be read");
	} else if (!may_enter(request)) {
		return false;
	} else if (!request->route && !allow[0]) {
		http_answer_fault(request, MHD_HTTP_NOT_FOUND, "there is nothing of this name");
	} else if (!request->route) {
		refuse_method(request, allow);
	} else {
		return expect_body(request);
	}
	return false;
}

static bool grow_body(struct http_request *request, size_t more)
{
	size_t needed = request->body.size + more;
	if (needed <= request->body_room)
		return true;
	size_t room = request->body_room ? request->body_room : 65536;
	while (room < needed)
		room *= 2;
	uint8_t *data = realloc(request->body.data, room + 1);
	if (!data)
		return false;
	request->body.data = data;
	request->body_room = room;
	return true;
}

/* A body that is no form stays in memory, and under the limit of what does. */
static void take_body(struct http_request *request, const char *data, size_t size)
{
	request->received += (int64_t)size;
	request->socket->received = request->received;
	int64_t limit = request->post ? body_limit(request) : request->server->params.message_bytes;
	if (request->received > limit) {
		too_large(request);
	} else if (request->post) {
		http_form_take(request, data, size);
	} else if (!grow_body(request, size)) {
		request->refused = MHD_HTTP_SERVICE_UNAVAILABLE;
		strcpy(request->reason, "out of memory");
	} else {
		memcpy(request->body.data + request->body.size, data, size);
		request->body.size += size;
		request->body.data[request->body.size] = '\0';
	}
}

/* MHD_NO closes the connection. */
static enum MHD_Result take_piece(struct http_request *request, const char *data, size_t size)
{
	if (request->answered) {
		request->received += (int64_t)size;
		return request->received > IGNORED_BYTES ? MHD_NO : MHD_YES;
	}
	take_body(request, data, size);
	if (!request->refused)
		return MHD_YES;
	http_answer_cut(request, request->refused, request->reason);
	return MHD_NO;
}

static void call_handler(struct http_request *request)
{
	if (request->post)
		http_form_end(request);
	if (request->refused) {
		http_answer_fault(request, request->refused, request->reason);
		return;
	}
	request->socket->phase = HTTP_BUSY;
	/* The time that the handler takes is not the client's silence: it would be closed before its answer. */
	MHD_set_connection_option(request->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
	request->route->handle(request->route->ctx, request);
	MHD_set_connection_option(request->connection, MHD_CONNECTION_OPTION_TIMEOUT, request->server->idle_s);
	if (!request->answered)
		http_answer_fault(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "there was no answer");
}

static struct http_request *begin_request(struct http_server *server, struct MHD_Connection *connection,
                                          const char *method)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct http_request *request = info && info->socket_context ? calloc(1, sizeof *request) : NULL;
	if (!request)
		return NULL;
	request->server = server;
	request->connection = connection;
	request->socket = info->socket_context;
	request->begun_ns = il_clock_ns();
	request->method = strdup(method);
	if (!request->method) {
		free(request);
		return NULL;
	}
	read_peer(request);
	http_server_begin(server, request->socket);
	return request;
}

enum MHD_Result http_request_handle(void *ctx, struct MHD_Connection *connection, const char *url, const char *method,
                                    const char *version, const char *data, size_t *size, void **request_)
{
	(void)version;
	struct http_request *request = *request_;
	if (!request) {
		*request_ = request = begin_request(ctx, connection, method);
		if (!request)
			return MHD_NO;
		request->admitted = admit(request, url);
		if (!request->admitted && !request->answered)
			return MHD_NO;
		request->early = request->answered && request->expects_body;
		request->socket->phase = request->expects_body ? HTTP_BODY : HTTP_BUSY;
		return MHD_YES;
	}
	if (*size) {
		enum MHD_Result rc = take_piece(request, data, *size);
		*size = 0;
		return rc;
	}
	if (!request->answered && request->admitted)
		call_handler(request);
	return request->answered ? MHD_YES : MHD_NO;
}

static void clear_pairs(struct http_pair *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(pairs[i].name);
		free(pairs[i].value);
	}
}

void http_request_completed(void *ctx, struct MHD_Connection *connection, void **request_,
                            enum MHD_RequestTerminationCode code)
{
	(void)connection;
	struct http_server *server = ctx;
	struct http_request *request = *request_;
	*request_ = NULL;
	if (!request)
		return;
	if (request->early && code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
		http_linger(request->socket->fd);
	if (server->params.finished)
		server->params.finished(server->params.finished_ctx, request->route ? request->route->pattern : "none",
		                        request->status, il_clock_ns() - request->begun_ns);
	http_server_end(server, request->socket);
	http_form_clear(request);
	clear_pairs(request->queries, request->n_queries);
	clear_pairs(request->headers, request->n_headers);
	il_bytes_destroy(&request->body);
	free(request->method);
	free(request->path);
	free(request->cut);
	free(request);
}
