#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "server/app.h"
#include "server/config_impl.h"
#include "server/http/http.h"
#include "server/http/routes.h"
#include "server/rpc/rpc.h"
#include "server/rpc/services.h"
#include "server/serve.h"
#include "server/videos/videos.h"

enum { MAX_METHODS = 96, MAX_ROUTES = 96, URL_SIZE = 320 };

struct serve {
	const struct server_config *config;
	struct app *app;
	struct videos *videos; /* NULL: role inference */
	struct rpc_server *rpc;
	struct http_server *http;
	char *token;   /* NULL: none */
	char *uploads; /* folder */
	struct rpc_method methods[MAX_METHODS];
	struct http_route routes[MAX_ROUTES];
	struct metric *rpc_calls, *rpc_times, *http_answers, *http_times, *videos_by_status;
	char http_url[URL_SIZE], grpc_url[URL_SIZE]; /* empty: off */
	bool stopped;
};

/* ---- what lies on the disk ---- */

/* Uploads that a crash left behind belong to nobody. */
static void empty_folder(const char *path)
{
	DIR *folder = opendir(path);
	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		if (entry->d_name[0] != '.' || (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")))
			unlinkat(dirfd(folder), entry->d_name, 0);
	}
	if (folder)
		closedir(folder);
}

/* STATE and STATE/uploads. */
static enum inlay_err open_state(struct serve *s, struct inlay_error *err)
{
	enum inlay_err rc = il_path_make_folders(s->config->state, err);
	if (rc)
		return rc;
	s->uploads = il_path_join(s->config->state, "uploads");
	if (!s->uploads)
		return il_fail_memory(err);
	rc = il_path_make_folders(s->uploads, err);
	if (!rc && access(s->uploads, W_OK | X_OK))
		rc = il_fail_errno(err, "state: %s", s->uploads);
	return rc;
}

/* ---- figures ---- */

static int64_t retry_ms(void *ctx)
{
	return app_retry_ms(ctx);
}

static const char *status_word(enum rpc_status status)
{
	static const char *const words[] = {
		"OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
		"NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
		"ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
		"DATA_LOSS", "UNAUTHENTICATED",
	};
	return (unsigned)status < sizeof words / sizeof *words ? words[status] : "UNKNOWN";
}

static void rpc_finished(void *ctx, const char *path, enum rpc_status status, int64_t ns)
{
	struct serve *s = ctx;
	metric_count(s->rpc_calls, status_word(status), 1);
	metric_observe_ns(s->rpc_times, path, ns);
}

static void http_finished(void *ctx, const char *pattern, int status, int64_t ns)
{
	struct serve *s = ctx;
	char word[16];
	snprintf(word, sizeof word, "%d", status);
	metric_count(s->http_answers, word, 1);
	metric_observe_ns(s->http_times, pattern ? pattern : "none", ns);
}

static void show_videos(void *ctx)
{
	struct serve *s = ctx;
	struct videos_stats stats;
	videos_stats(s->videos, &stats);
	metric_set(s->videos_by_status, "queued", (double)stats.queued);
	metric_set(s->videos_by_status, "in_progress", (double)stats.in_progress);
	metric_set(s->videos_by_status, "completed", (double)stats.completed);
	metric_set(s->videos_by_status, "failed", (double)stats.failed);
}

static void add_metrics(struct serve *s)
{
	struct metrics *m = app_metrics(s->app);
	s->rpc_calls = metrics_add(m, METRICS_COUNTER, "inlay_grpc_calls_total", "gRPC calls that ended.", "status");
	s->rpc_times = metrics_add(m, METRICS_HISTOGRAM, "inlay_grpc_seconds", "How long gRPC calls took.", "method");
	s->http_answers =
		metrics_add(m, METRICS_COUNTER, "inlay_http_answers_total", "HTTP requests answered.", "status");
	s->http_times =
		metrics_add(m, METRICS_HISTOGRAM, "inlay_http_seconds", "How long HTTP requests took.", "route");
}

/* ---- doors ---- */

static size_t list_methods(struct serve *s)
{
	size_t n = health_methods(s->app, s->methods, MAX_METHODS);
	n += reflection_methods(s->app, s->methods + n, MAX_METHODS - n);
	n += kserve_methods(s->app, s->methods + n, MAX_METHODS - n);
	n += origin_methods(s->app, s->methods + n, MAX_METHODS - n);
	if (s->config->role != SERVER_INFERENCE)
		n += lipsync_methods(s->app, s->methods + n, MAX_METHODS - n);
	return n;
}

static size_t list_routes(struct serve *s)
{
	size_t n = status_routes(s->app, s->routes, MAX_ROUTES);
	n += kserve_routes(s->app, s->routes + n, MAX_ROUTES - n);
	if (s->videos)
		n += video_routes(s->app, s->videos, s->routes + n, MAX_ROUTES - n);
	return n;
}

static void write_url(char *url, const char *scheme, const char *address, int port)
{
	size_t host = 0;
	int asked;
	config_split_address(address, &host, &asked);
	snprintf(url, URL_SIZE, "%s://%.*s:%d", scheme, (int)host, address, port);
}

static enum inlay_err open_rpc(struct serve *s, struct inlay_error *err)
{
	const struct server_config *c = s->config;
	struct rpc_server_params params = {
		.address = c->grpc,
		.methods = s->methods,
		.n_methods = list_methods(s),
		.message_bytes = c->limits.message_bytes,
		.max_calls = c->limits.connections,
		.token = s->token,
		.tls_cert = c->tls_cert,
		.tls_key = c->tls_key,
		.tls_client_ca = c->tls_client_ca,
		.retry_ms = retry_ms,
		.retry_ctx = s->app,
		.finished = rpc_finished,
		.finished_ctx = s,
	};
	enum inlay_err rc = rpc_server_start(&s->rpc, &params, err);
	if (!rc)
		write_url(s->grpc_url, c->tls_cert ? "grpcs" : "grpc", c->grpc, rpc_server_port(s->rpc));
	return rc;
}

static enum inlay_err open_http(struct serve *s, struct inlay_error *err)
{
	const struct server_config *c = s->config;
	struct http_server_params params = {
		.address = c->http,
		.routes = s->routes,
		.n_routes = list_routes(s),
		.message_bytes = c->limits.message_bytes,
		.upload_bytes = c->limits.upload_bytes,
		.upload_folder = s->uploads,
		.connections = c->limits.connections,
		.token = s->token,
		.tls_cert = c->tls_cert,
		.tls_key = c->tls_key,
		.retry_ms = retry_ms,
		.retry_ctx = s->app,
		.finished = http_finished,
		.finished_ctx = s,
	};
	enum inlay_err rc = http_server_start(&s->http, &params, err);
	if (!rc)
		write_url(s->http_url, c->tls_cert ? "https" : "http", c->http, http_server_port(s->http));
	return rc;
}

/* ---- life ---- */

/* A descriptor a connection and some an avatar: as many as the system lets us have. */
static void raise_file_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		il_log_info("the limit of open files stays as it is: %s", strerror(errno));
}

static enum inlay_err start(struct serve *s, struct inlay_error *err)
{
	const struct server_config *c = s->config;
	enum inlay_err rc = server_config_token(c, &s->token, err);
	if (!rc && c->role != SERVER_INFERENCE)
		rc = open_state(s, err);
	rc = rc ? rc : app_create(&s->app, c, err);
	if (rc)
		return rc;
	add_metrics(s);
	if (c->role != SERVER_INFERENCE)
		rc = videos_open(&s->videos, s->app, c->state, err);
	if (s->videos) {
		s->videos_by_status = metrics_add(app_metrics(s->app), METRICS_GAUGE, "inlay_videos",
		                                  "Videos that were ordered and not deleted.", "status");
		metrics_on_read(app_metrics(s->app), show_videos, s);
	}
	/* The state is ours only now: another server's uploads are not to go. */
	if (s->videos)
		empty_folder(s->uploads);
	if (!rc && strcmp(c->grpc, "off"))
		rc = open_rpc(s, err);
	if (!rc && strcmp(c->http, "off"))
		rc = open_http(s, err);
	return rc;
}

enum inlay_err serve_start(struct serve **out, const struct server_config *config, struct inlay_error *err)
{
	struct serve *s = calloc(1, sizeof *s);
	*out = NULL;
	if (!s)
		return il_fail_memory(err);
	s->config = config;
	raise_file_limit();
	enum inlay_err rc = start(s, err);
	if (rc)
		serve_destroy(&s);
	*out = s;
	return rc;
}

const char *serve_http_url(const struct serve *s)
{
	return s->http_url[0] ? s->http_url : NULL;
}

const char *serve_grpc_url(const struct serve *s)
{
	return s->grpc_url[0] ? s->grpc_url : NULL;
}

int64_t serve_avatars(const struct serve *s)
{
	struct il_store_stats stats;
	il_store_stats(app_store(s->app), &stats);
	return stats.avatars;
}

void serve_reload(struct serve *s, const struct server_config *config)
{
	app_reload(s->app, config);
}

struct closing {
	struct serve *serve;
	int64_t timeout_ms;
};

static void *close_rpc(void *ctx)
{
	const struct closing *closing = ctx;
	rpc_server_stop(closing->serve->rpc, closing->timeout_ms);
	return NULL;
}

static void *close_http(void *ctx)
{
	const struct closing *closing = ctx;
	http_server_stop(closing->serve->http, closing->timeout_ms);
	return NULL;
}

/* The doors close at the same time, and only then what they lead to: work under way needs the app to its end. */
void serve_stop(struct serve *s, int64_t timeout_ms)
{
	struct closing closing = { s, timeout_ms };
	int64_t begun_ns = il_clock_ns();
	pthread_t rpc, http;
	if (s->stopped)
		return;
	s->stopped = true;
	bool rpc_apart = s->rpc && !pthread_create(&rpc, NULL, close_rpc, &closing);
	bool http_apart = s->http && !pthread_create(&http, NULL, close_http, &closing);
	if (s->rpc && !rpc_apart)
		close_rpc(&closing);
	if (s->videos)
		videos_stop(s->videos, timeout_ms);
	if (s->http && !http_apart)
		close_http(&closing);
	if (rpc_apart)
		pthread_join(rpc, NULL);
	if (http_apart)
		pthread_join(http, NULL);
	int64_t left_ms = timeout_ms - (il_clock_ns() - begun_ns) / 1000000;
	app_stop(s->app, left_ms > 0 ? left_ms : 0);
}

void serve_destroy(struct serve **serve)
{
	struct serve *s = *serve;
	if (!s)
		return;
	if (s->app)
		serve_stop(s, 0);
	rpc_server_destroy(&s->rpc);
	http_server_destroy(&s->http);
	if (s->videos)
		videos_close(&s->videos);
	app_destroy(&s->app);
	free(s->token);
	free(s->uploads);
	free(s);
	*serve = NULL;
}
