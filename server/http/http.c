#include "server/http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/http/http_impl.h"

#define SECOND INT64_C(1000000000)
#define BODY_BYTES_PER_S 1000                /* slower ones are cut */
#define CONNECTION_MEMORY ((size_t)64 << 10) /* half of it is what a body is read by */

/* "HOST:PORT", "[::1]:PORT" or ":PORT" (all addresses); host has room for 256. */
static bool split_address(const char *address, char *host, const char **port)
{
	const char *colon = strrchr(address, ':');
	if (!colon || !colon[1] || colon - address > 255)
		return false;
	size_t size = (size_t)(colon - address);
	if (address[0] == '[') {
		if (size < 2 || address[size - 1] != ']')
			return false;
		address++;
		size -= 2;
	}
	memcpy(host, address, size);
	host[size] = '\0';
	*port = colon + 1;
	return true;
}

static int listen_at(const struct addrinfo *at)
{
	int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	int on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* What we listen on, once it is known: port, host, loopback. */
static void read_own_address(struct http_server *server)
{
	struct sockaddr_storage own;
	socklen_t size = sizeof own;
	char text[INET6_ADDRSTRLEN] = "";
	if (getsockname(server->listen_fd, (struct sockaddr *)&own, &size) != 0)
		return;
	if (own.ss_family == AF_INET6) {
		const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&own;
		server->port = ntohs(six->sin6_port);
		server->loopback = IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
		inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text);
		snprintf(server->host, sizeof server->host, "[%s]", text);
	} else {
		const struct sockaddr_in *four = (const struct sockaddr_in *)&own;
		server->port = ntohs(four->sin_port);
		server->loopback = ntohl(four->sin_addr.s_addr) >> 24 == 127;
		inet_ntop(AF_INET, &four->sin_addr, server->host, sizeof server->host);
	}
}

static enum inlay_err open_socket(struct http_server *server, struct inlay_error *err)
{
	const char *address = server->params.address;
	char host[256];
	const char *port;
	if (!split_address(address, host, &port))
		return il_fail(err, INLAY_ERR_INVALID, "%s: expected HOST:PORT to listen on", address);
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *found;
	int rc = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
	if (rc)
		return il_fail(err, INLAY_ERR_INVALID, "%s: %s; expected HOST:PORT to listen on", address,
		               gai_strerror(rc));
	for (const struct addrinfo *at = found; at && server->listen_fd < 0; at = at->ai_next)
		server->listen_fd = listen_at(at);
	int error = errno;
	freeaddrinfo(found);
	errno = error;
	if (server->listen_fd < 0)
		return il_fail_errno(err, "%s: listening for HTTP", address);
	read_own_address(server);
	return INLAY_OK;
}

void http_server_begin(struct http_server *server, struct http_connection *connection)
{
	pthread_mutex_lock(&server->lock);
	server->active++;
	pthread_mutex_unlock(&server->lock);
	connection->received = 0;
	connection->since_ns = il_clock_ns();
}

void http_server_end(struct http_server *server, struct http_connection *connection)
{
	connection->since_ns = il_clock_ns();
	connection->phase = HTTP_HEAD;
	pthread_mutex_lock(&server->lock);
	server->active--;
	pthread_cond_broadcast(&server->changed);
	pthread_mutex_unlock(&server->lock);
}

static void connection_opened(struct http_server *server, struct MHD_Connection *mhd, void **context)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct http_connection *connection = *context = info ? calloc(1, sizeof *connection) : NULL;
	if (!connection)
		return; /* its first request is refused */
	connection->fd = info->connect_fd;
	connection->since_ns = il_clock_ns();
	pthread_mutex_lock(&server->lock);
	connection->next = server->connections;
	if (connection->next)
		connection->next->prev = connection;
	server->connections = connection;
	pthread_mutex_unlock(&server->lock);
}

/* Before its socket is closed: the number could be another's. */
static void connection_closed(struct http_server *server, void **context)
{
	struct http_connection *connection = *context;
	if (!connection)
		return;
	pthread_mutex_lock(&server->lock);
	if (connection->prev)
		connection->prev->next = connection->next;
	else if (server->connections == connection)
		server->connections = connection->next;
	if (connection->next)
		connection->next->prev = connection->prev;
	pthread_mutex_unlock(&server->lock);
	free(connection);
	*context = NULL;
}

static void connection_changed(void *ctx, struct MHD_Connection *mhd, void **context,
                               enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		connection_opened(ctx, mhd, context);
	else
		connection_closed(ctx, context);
}

static bool too_slow(const struct http_server *server, struct http_connection *connection, int64_t now)
{
	int64_t allowed = server->idle_s;
	int phase = connection->phase;
	if (phase == HTTP_BODY)
		allowed += connection->received / BODY_BYTES_PER_S;
	return phase != HTTP_BUSY && now - connection->since_ns > allowed * SECOND;
}

/* The library's own limit is on silence: a byte now and then would hold a thread for ever. */
static void *watch(void *ctx)
{
	struct http_server *server = ctx;
	pthread_mutex_lock(&server->lock);
	while (!server->ending) {
		struct timespec at;
		clock_gettime(CLOCK_MONOTONIC, &at);
		at.tv_sec++;
		pthread_cond_timedwait(&server->changed, &server->lock, &at);
		int64_t now = il_clock_ns();
		for (struct http_connection *c = server->connections; c; c = c->next) {
			if (too_slow(server, c, now))
				shutdown(c->fd, SHUT_RDWR);
		}
	}
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

static size_t leave_escaped(void *ctx, struct MHD_Connection *connection, char *text)
{
	(void)ctx, (void)connection;
	return strlen(text);
}

__attribute__((format(printf, 2, 0))) static void log_line(void *ctx, const char *format, va_list args)
{
	(void)ctx;
	char text[512];
	vsnprintf(text, sizeof text, format, args);
	il_log_debug("http: %.*s", (int)strcspn(text, "\n"), text);
}

static enum inlay_err start_daemon(struct http_server *server, const char *key, const char *cert,
                                   struct inlay_error *err)
{
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)key },
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)cert },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" },
		{ MHD_OPTION_END, 0, NULL },
	};
	struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };
	unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC |
	                 MHD_USE_ERROR_LOG | (cert ? MHD_USE_TLS : 0);
	server->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, http_request_handle, server, MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL,
		MHD_OPTION_LISTEN_SOCKET, server->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
		server->params.connections ? server->params.connections : 1024u, MHD_OPTION_CONNECTION_TIMEOUT,
		server->idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_UNESCAPE_CALLBACK,
		leave_escaped, NULL, MHD_OPTION_NOTIFY_COMPLETED, http_request_completed, server,
		MHD_OPTION_NOTIFY_CONNECTION, connection_changed, server, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_ARRAY, cert ? tls : none, MHD_OPTION_END);
	if (server->daemon)
		return INLAY_OK;
	if (cert)
		return il_fail(err, INLAY_ERR_FORMAT,
		               "%s, %s: TLS does not take them; expected a certificate and its key",
		               server->params.tls_cert, server->params.tls_key);
	return il_fail_errno(err, "%s: starting HTTP", server->params.address);
}

static enum inlay_err start_tls(struct http_server *server, struct inlay_error *err)
{
	const struct http_server_params *params = &server->params;
	if (!params->tls_cert && !params->tls_key)
		return start_daemon(server, NULL, NULL, err);
	if (!params->tls_cert || !params->tls_key)
		return il_fail(err, INLAY_ERR_INVALID, "TLS needs a certificate and its key, found one of them");
	if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: this libmicrohttpd was built without TLS",
		               params->tls_cert);
	struct il_bytes cert = { 0 }, key = { 0 };
	enum inlay_err rc = il_file_read(params->tls_cert, 1 << 20, &cert, err);
	if (!rc)
		rc = il_file_read(params->tls_key, 1 << 20, &key, err);
	if (!rc)
		rc = start_daemon(server, (char *)key.data, (char *)cert.data, err);
	if (key.data)
		explicit_bzero(key.data, key.size);
	il_bytes_destroy(&key);
	il_bytes_destroy(&cert);
	return rc;
}

static enum inlay_err init_locks(struct http_server *server, struct inlay_error *err)
{
	int failed = pthread_mutex_init(&server->lock, NULL) || !il_cond_init(&server->changed);
	return failed ? il_fail_memory(err) : INLAY_OK;
}

static enum inlay_err start(struct http_server *server, struct inlay_error *err)
{
	size_t bytes = server->params.n_routes * sizeof *server->routes;
	server->routes = malloc(bytes + 1);
	if (!server->routes)
		return il_fail_memory(err);
	if (bytes)
		memcpy(server->routes, server->params.routes, bytes);
	enum inlay_err rc = open_socket(server, err);
	if (rc)
		return rc;
	if (pthread_create(&server->watcher, NULL, watch, server) != 0)
		return il_fail_memory(err);
	server->watching = true;
	return start_tls(server, err);
}

enum inlay_err http_server_start(struct http_server **out, const struct http_server_params *params,
                                 struct inlay_error *err)
{
	*out = NULL;
	struct http_server *server = calloc(1, sizeof *server);
	if (!server)
		return il_fail_memory(err);
	server->params = *params;
	server->listen_fd = -1;
	server->idle_s = params->idle_s ? params->idle_s : 60;
	enum inlay_err rc = init_locks(server, err);
	if (rc) {
		free(server);
		return rc;
	}
	rc = start(server, err);
	if (rc)
		http_server_destroy(&server);
	*out = server;
	return rc;
}

int http_server_port(const struct http_server *server)
{
	return server->port;
}

/* The library may look at the socket until its daemon has ended: it is closed after that. */
static void close_listener(struct http_server *server)
{
	if (server->daemon)
		MHD_quiesce_daemon(server->daemon);
	if (server->listen_fd >= 0)
		shutdown(server->listen_fd, SHUT_RDWR);
}

void http_server_stop(struct http_server *server, int64_t timeout_ms)
{
	pthread_mutex_lock(&server->lock);
	bool first = !server->stopping;
	server->stopping = true;
	pthread_mutex_unlock(&server->lock);
	if (first)
		close_listener(server);
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	int64_t ns = until.tv_nsec + timeout_ms % 1000 * 1000000;
	until.tv_sec += (time_t)(timeout_ms / 1000 + ns / SECOND);
	until.tv_nsec = (long)(ns % SECOND);
	pthread_mutex_lock(&server->lock);
	while (server->active && pthread_cond_timedwait(&server->changed, &server->lock, &until) == 0)
		;
	pthread_mutex_unlock(&server->lock);
}

void http_server_destroy(struct http_server **server_)
{
	struct http_server *server = *server_;
	*server_ = NULL;
	if (!server)
		return;
	http_server_stop(server, 0);
	if (server->daemon)
		MHD_stop_daemon(server->daemon);
	if (server->listen_fd >= 0)
		close(server->listen_fd);
	if (server->watching) {
		pthread_mutex_lock(&server->lock);
		server->ending = true;
		pthread_cond_broadcast(&server->changed);
		pthread_mutex_unlock(&server->lock);
		pthread_join(server->watcher, NULL);
	}
	pthread_cond_destroy(&server->changed);
	pthread_mutex_destroy(&server->lock);
	free(server->routes);
	free(server);
}
