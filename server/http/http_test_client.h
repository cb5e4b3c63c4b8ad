/* A client that sends what it is told, byte by byte, for tests of servers. */
#ifndef SERVER_HTTP_TEST_CLIENT_H
#define SERVER_HTTP_TEST_CLIENT_H

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <strings.h>
#include <sys/socket.h>

#include "tests/test.h"

struct reply {
	int status;
	char *head, *body; /* head: NULL where there was no answer */
	size_t size;
};

static inline int client_connect(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)port),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = 20 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		fail_msg("connecting to port %d", port);
	return fd;
}

/* Returns what could be sent. */
static inline size_t client_send(int fd, const void *data, size_t size)
{
	size_t sent = 0;
	while (sent < size) {
		ssize_t n = send(fd, (const char *)data + sent, size - sent, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	return sent;
}

static inline const char *reply_header(const struct reply *reply, const char *name)
{
	static _Thread_local char values[8][512];
	static _Thread_local unsigned next;
	size_t n = strlen(name);
	for (const char *p = reply->head ? strstr(reply->head, "\r\n") : NULL; p && p[2]; p = strstr(p + 2, "\r\n")) {
		if (strncasecmp(p + 2, name, n) == 0 && p[2 + n] == ':') {
			const char *value = p + 3 + n + strspn(p + 3 + n, " ");
			char *to = values[next++ % 8];
			snprintf(to, sizeof values[0], "%.*s", (int)strcspn(value, "\r"), value);
			return to;
		}
	}
	return NULL;
}

static inline void reply_free(struct reply *reply)
{
	free(reply->head);
	free(reply->body);
	*reply = (struct reply){ 0 };
}

/* One answer; with_body: of its Content-Length, else the head alone. */
static inline struct reply client_read(int fd, bool with_body)
{
	struct reply reply = { 0 };
	char head[16384];
	size_t n = 0;
	while (n < sizeof head - 1 && recv(fd, head + n, 1, 0) == 1) {
		head[++n] = '\0';
		if (n >= 4 && strcmp(head + n - 4, "\r\n\r\n") == 0) {
			reply.head = strdup(head);
			break;
		}
	}
	if (!reply.head)
		return reply;
	sscanf(head, "HTTP/%*s %d", &reply.status);
	const char *length = reply_header(&reply, "Content-Length");
	size_t size = length && with_body ? strtoul(length, NULL, 10) : 0;
	reply.body = calloc(1, size + 1);
	while (reply.size < size) {
		ssize_t got = recv(fd, reply.body + reply.size, size - reply.size, 0);
		if (got <= 0)
			break;
		reply.size += (size_t)got;
	}
	return reply;
}

/* A whole exchange on a connection of its own; headers end in CRLF each, or are "". */
static inline struct reply client_ask(int port, const char *method, const char *target, const char *headers,
                                      const void *body, size_t size)
{
	char head[8192];
	int n = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\n%s%s", method, target,
	                 strcasestr(headers, "Host:") ? "" : "Host: localhost\r\n", headers);
	if (body && !strcasestr(headers, "Transfer-Encoding:") && !strcasestr(headers, "Content-Length:"))
		n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %zu\r\n", size);
	n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
	int fd = client_connect(port);
	client_send(fd, head, (size_t)n);
	client_send(fd, body, size);
	struct reply reply = client_read(fd, strcmp(method, "HEAD") != 0);
	close(fd);
	return reply;
}

static inline struct reply client_get(int port, const char *target, const char *headers)
{
	return client_ask(port, "GET", target, headers, NULL, 0);
}

/* A string of the answer's JSON object, "" where it is none. */
static inline const char *text_of(const struct reply *reply, const char *key)
{
	static _Thread_local char texts[8][512];
	static _Thread_local unsigned next;
	json_t *root = json_loadb(reply->body, reply->size, 0, NULL);
	char *to = texts[next++ % 8];
	const char *text = json_string_value(json_object_get(root, key));
	snprintf(to, sizeof texts[0], "%s", text ? text : "");
	json_decref(root);
	return to;
}

static inline json_int_t number_of(const struct reply *reply, const char *key)
{
	json_t *root = json_loadb(reply->body, reply->size, 0, NULL);
	json_int_t value = json_integer_value(json_object_get(root, key));
	json_decref(root);
	return value;
}

/* Bytes that grow; free(data). */
struct text {
	char *data;
	size_t size;
};

static inline void put(struct text *to, const void *data, size_t size)
{
	to->data = realloc(to->data, to->size + size + 1);
	memcpy(to->data + to->size, data, size);
	to->size += size;
	to->data[to->size] = '\0';
}

#endif
