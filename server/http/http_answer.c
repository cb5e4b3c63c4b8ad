/* Answers: from memory, as JSON, and of files with ranges and conditions (RFC 9110, 13 and 14). */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/http/http_impl.h"
#include "server/http/http_text.h"

#define LINGER_MS 2000

/* On every answer: what a browser shows of us loads nothing from elsewhere, is put into no other page, and does not
 * tell others the token in an address. */
static const struct http_pair defaults[] = {
	{ "Content-Security-Policy",
	  "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cache-Control", "no-store" },
};

void http_add_header(struct http_request *request, const char *name, const char *value)
{
	if (request->n_headers == sizeof request->headers / sizeof request->headers[0] || !http_text_clean(value))
		return;
	struct http_pair *pair = &request->headers[request->n_headers];
	*pair = (struct http_pair){ strdup(name), strdup(value) };
	if (pair->name && pair->value) {
		request->n_headers++;
		return;
	}
	free(pair->name);
	free(pair->value);
}

static bool is_added(const struct http_request *request, const char *name)
{
	for (size_t i = 0; i < request->n_headers; i++) {
		if (strcasecmp(request->headers[i].name, name) == 0)
			return true;
	}
	return false;
}

static bool stopping(struct http_server *server)
{
	pthread_mutex_lock(&server->lock);
	bool is = server->stopping;
	pthread_mutex_unlock(&server->lock);
	return is;
}

/* Takes the response. */
static void send_response(struct http_request *request, int status, const char *type, struct MHD_Response *response)
{
	if (!response)
		return;
	for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
		if (!is_added(request, defaults[i].name))
			MHD_add_response_header(response, defaults[i].name, defaults[i].value);
	}
	for (size_t i = 0; i < request->n_headers; i++)
		MHD_add_response_header(response, request->headers[i].name, request->headers[i].value);
	if (type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (stopping(request->server))
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (MHD_queue_response(request->connection, (unsigned)status, response) == MHD_YES) {
		request->answered = true;
		request->status = status;
	}
	MHD_destroy_response(response);
}

void http_answer(struct http_request *request, int status, const char *type, const void *data, size_t size)
{
	if (request->answered)
		return;
	send_response(request, status, type,
	              MHD_create_response_from_buffer(size, (void *)(size ? data : ""), MHD_RESPMEM_MUST_COPY));
}

void http_answer_json(struct http_request *request, int status, json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
	json_decref(value);
	if (!text) {
		static const char fault[] = "{\"error\":\"out of memory\"}";
		http_answer(request, MHD_HTTP_SERVICE_UNAVAILABLE, "application/json", fault, sizeof fault - 1);
	} else if (!request->answered) {
		const size_t size = strlen(text);
		text[size] = '\n'; /* in the place of the end, which nobody needs: terminals do */
		send_response(request, status, "application/json",
		              MHD_create_response_from_buffer(size + 1, text, MHD_RESPMEM_MUST_FREE));
	} else {
		free(text);
	}
}

/* Messages quote what was found, which need not be text. */
static json_t *error_object(const char *text)
{
	char copy[INLAY_ERROR_TEXT];
	snprintf(copy, sizeof copy, "%s", text);
	if (!http_text_clean(copy)) {
		for (char *p = copy; *p; p++) {
			if (!isprint((unsigned char)*p))
				*p = '?';
		}
	}
	return json_pack("{s:s}", "error", copy);
}

void http_answer_fault(struct http_request *request, int status, const char *text)
{
	http_answer_json(request, status, error_object(text));
}

static int status_of(enum inlay_err code)
{
	switch (code) {
	case INLAY_ERR_INVALID:
	case INLAY_ERR_FORMAT:
	case INLAY_ERR_UNSUPPORTED: return MHD_HTTP_BAD_REQUEST;
	case INLAY_ERR_NOT_FOUND: return MHD_HTTP_NOT_FOUND;
	case INLAY_ERR_EXISTS: return MHD_HTTP_CONFLICT;
	case INLAY_ERR_BUSY: return MHD_HTTP_TOO_MANY_REQUESTS;
	case INLAY_ERR_TIMEOUT: return MHD_HTTP_GATEWAY_TIMEOUT;
	case INLAY_ERR_CANCELLED:
	case INLAY_ERR_UNAVAILABLE:
	case INLAY_ERR_MEMORY: return MHD_HTTP_SERVICE_UNAVAILABLE;
	default: return MHD_HTTP_INTERNAL_SERVER_ERROR;
	}
}

void http_answer_error(struct http_request *request, const struct inlay_error *err)
{
	const struct http_server_params *params = &request->server->params;
	if (err->code == INLAY_ERR_BUSY) {
		int64_t ms = params->retry_ms ? params->retry_ms(params->retry_ctx) : 1000;
		char seconds[24];
		snprintf(seconds, sizeof seconds, "%lld", (long long)(ms < 1 ? 1 : (ms + 999) / 1000));
		http_add_header(request, "Retry-After", seconds);
	}
	http_answer_fault(request, status_of(err->code), err->text[0] ? err->text : inlay_err_name(err->code));
}

/* IMF-fixdate (RFC 9110, 5.6.7), whatever the locale. */
static void format_date(time_t t, char *text, size_t size)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm;
	gmtime_r(&t, &tm);
	snprintf(text, size, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
	         months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

struct version {
	char etag[64], date[40];
};

static struct version version_of(const struct stat *st)
{
	struct version v;
	snprintf(v.etag, sizeof v.etag, "\"%llx-%llx-%llx%08lx\"", (unsigned long long)st->st_ino,
	         (unsigned long long)st->st_size, (unsigned long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	format_date(st->st_mtim.tv_sec, v.date, sizeof v.date);
	return v;
}

/* True where a header holds a date and the file has changed after it, or, for `after` false, has not. */
static bool compares(const char *header, const struct stat *st, bool after)
{
	int64_t date;
	return header && http_text_date(header, &date) && (st->st_mtim.tv_sec > date) == after;
}

/* 200, 304 or 412. What is no date does not count (RFC 9110, 13.1.3). */
static int condition(const struct http_request *request, const struct stat *st, const struct version *v)
{
	const char *match = http_header(request, "If-Match"), *none = http_header(request, "If-None-Match");
	const char *unmodified = http_header(request, "If-Unmodified-Since");
	const char *modified = http_header(request, "If-Modified-Since");
	if (match ? !http_text_etag(match, v->etag, false) : compares(unmodified, st, true))
		return MHD_HTTP_PRECONDITION_FAILED;
	if (none ? http_text_etag(none, v->etag, true) : compares(modified, st, false))
		return MHD_HTTP_NOT_MODIFIED;
	return MHD_HTTP_OK;
}

static bool range_stands(const struct http_request *request, const struct version *v)
{
	const char *wanted = http_header(request, "If-Range");
	return !wanted || strcmp(wanted, v->etag) == 0 || strcmp(wanted, v->date) == 0;
}

static void add_name(struct http_request *request, const char *name)
{
	char text[300];
	size_t n = (size_t)snprintf(text, sizeof text, "inline; filename=\"");
	for (const char *p = name; *p && n < sizeof text - 2; p++) {
		if (isalnum((unsigned char)*p) || strchr("._- ", *p))
			text[n++] = *p;
	}
	text[n++] = '"';
	text[n] = '\0';
	http_add_header(request, "Content-Disposition", text);
}

/* Takes the descriptor. */
static void send_file(struct http_request *request, int fd, const struct stat *st, const char *type, const char *name)
{
	struct version v = version_of(st);
	int64_t size = st->st_size, first = 0, length = size;
	int status = condition(request, st, &v);
	enum http_range range = HTTP_RANGE_ALL;
	/* Ranges are for GET alone (RFC 9110, 14.2). */
	if (status == MHD_HTTP_OK && strcmp(request->method, "GET") == 0 && range_stands(request, &v))
		range = http_text_range(http_header(request, "Range"), size, &first, &length);
	char text[80];
	if (range == HTTP_RANGE_BAD) {
		status = MHD_HTTP_RANGE_NOT_SATISFIABLE;
		snprintf(text, sizeof text, "bytes */%lld", (long long)size);
		http_add_header(request, "Content-Range", text);
	} else if (range == HTTP_RANGE_ONE) {
		status = MHD_HTTP_PARTIAL_CONTENT;
		snprintf(text, sizeof text, "bytes %lld-%lld/%lld", (long long)first, (long long)(first + length - 1),
		         (long long)size);
		http_add_header(request, "Content-Range", text);
	}
	http_add_header(request, "Accept-Ranges", "bytes");
	http_add_header(request, "ETag", v.etag);
	http_add_header(request, "Last-Modified", v.date);
	if (!is_added(request, "Cache-Control"))
		http_add_header(request, "Cache-Control", "private, no-cache");
	if (status == MHD_HTTP_OK || status == MHD_HTTP_PARTIAL_CONTENT) {
		if (name)
			add_name(request, name);
		struct MHD_Response *response =
			MHD_create_response_from_fd_at_offset64((uint64_t)length, fd, (uint64_t)first);
		if (!response)
			close(fd);
		send_response(request, status, type, response);
		return;
	}
	close(fd);
	if (status == MHD_HTTP_NOT_MODIFIED)
		http_answer(request, status, NULL, NULL, 0);
	else
		http_answer_fault(request, status, "the file is another, or has not that many bytes");
}

void http_answer_file(struct http_request *request, const char *path, const char *type, const char *name)
{
	if (request->answered)
		return;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		send_file(request, fd, &st, type, name);
		return;
	}
	bool missing = fd < 0 && errno == ENOENT;
	if (fd >= 0)
		close(fd);
	http_answer_fault(request, missing ? MHD_HTTP_NOT_FOUND : MHD_HTTP_INTERNAL_SERVER_ERROR,
	                  missing ? "the file is gone" : "the file cannot be read");
}

void http_linger(int fd)
{
	char ignored[16384];
	int64_t end_ns = il_clock_ns() + LINGER_MS * INT64_C(1000000);
	shutdown(fd, SHUT_WR);
	for (;;) {
		int64_t left = (end_ns - il_clock_ns()) / 1000000;
		struct pollfd p = { .fd = fd, .events = POLLIN };
		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			return;
		ssize_t n = recv(fd, ignored, sizeof ignored, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return;
	}
}

void http_answer_cut(struct http_request *request, int status, const char *text)
{
	request->status = status;
	request->answered = true;
	if (request->server->params.tls_cert)
		return; /* its session belongs to the library */
	json_t *object = error_object(text);
	char *body = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	char answer[2048];
	int n = snprintf(answer, sizeof answer,
	                 "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
	                 "Connection: close\r\n\r\n%s",
	                 status, MHD_get_reason_phrase_for((unsigned)status), body ? strlen(body) : 0,
	                 body ? body : "");
	free(body);
	if (n > 0 && (size_t)n < sizeof answer &&
	    send(request->socket->fd, answer, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n)
		http_linger(request->socket->fd);
}
