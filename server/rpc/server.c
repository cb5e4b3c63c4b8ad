/* The server: one thread polls gRPC, calls are handled on threads of a pool that grows as they are needed.
 *
 * A call is admitted (path, token, number under way) when its headers are there, and gets a thread when its first
 * message is, so that who connects and says nothing occupies none. It counts until gRPC has sent its last word: answers
 * of clients that do not read them are no more than calls may be.
 */
#include "server/rpc/rpc_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/grpc_security.h>

#include "base/clock.h"
#include "base/log.h"

enum {
	REQUESTED = 16,  /* calls asked of gRPC ahead */
	OPEN_CALLS = 32, /* of open methods, beside max_calls of the others */
	MAX_CALLS = 256, /* by default */
	TOKEN_BYTES = 4096,
	FAR_S = 1000000000,  /* a deadline past that is none */
	PATIENCE_MS = 60000, /* by default */
	LOOK_MS = 500,       /* between two looks for calls that say nothing */
};

struct rpc_server {
	grpc_server *server;
	grpc_completion_queue *queue;
	int port;
	struct rpc_method *methods;
	size_t n_methods;
	char *authorization; /* what is asked for, or NULL */
	unsigned max_calls;
	struct rpc_server_params params; /* its functions alone */

	pthread_t poller;
	bool polling;
	/* Of the poller's thread: calls asked of gRPC, and those that have said nothing yet. */
	unsigned requested;
	struct rpc_call *oldest, *newest;

	pthread_mutex_t lock;
	pthread_cond_t work;            /* a call waits for a thread, or there will be none */
	pthread_cond_t changed;         /* calls and shut */
	struct rpc_call *first, **last; /* lock: calls that wait for a thread */
	unsigned calls[2], n_queued;    /* lock: admitted and not ended, those of open methods at [1]; queued */
	unsigned idle, n_threads;       /* lock */
	pthread_t *threads;             /* [n_threads] */
	bool shut, ended;               /* lock: gRPC has shut down; threads end */
	atomic_bool stopping;
	bool stopped; /* of who stops */
};

bool rpc_server_stopping(const struct rpc_server *server)
{
	return atomic_load(&server->stopping);
}

int64_t rpc_server_patience_ns(const struct rpc_server *server)
{
	return (server->params.patience_ms ? server->params.patience_ms : PATIENCE_MS) * 1000000;
}

/* ---- the end of a call ---- */

static int64_t retry_ms(const struct rpc_server *server)
{
	return server->params.retry_ms ? server->params.retry_ms(server->params.retry_ctx) : 1000;
}

static void forget(struct rpc_server *server, const struct rpc_call *call)
{
	pthread_mutex_lock(&server->lock);
	server->calls[call->method->open]--;
	pthread_cond_broadcast(&server->changed);
	pthread_mutex_unlock(&server->lock);
}

static void finish(struct rpc_call *call, enum rpc_status status, const char *text)
{
	struct rpc_server *server = call->server;
	bool ends = rpc_call_end(call, status, text, status == RPC_RESOURCE_EXHAUSTED ? retry_ms(server) : -1);
	if (!ends && call->admitted)
		forget(server, call);
	if (server->params.finished)
		server->params.finished(server->params.finished_ctx, call->method ? call->method->path : "unknown",
		                        status, il_clock_ns() - call->begin_ns);
}

/* ---- handlers ---- */

static void handle(struct rpc_call *call)
{
	struct inlay_error err = { 0 };
	enum inlay_err code = call->method->handle(call->method->ctx, call, &err);
	if (code == INLAY_EOF)
		code = il_fail(&err, INLAY_ERR_INVALID, "the call came without a message");
	enum rpc_status status = rpc_status_of(code);
	if (code && rpc_cancelled(call))
		status =
			call->deadline_ns && il_clock_ns() >= call->deadline_ns ? RPC_DEADLINE_EXCEEDED : RPC_CANCELLED;
	finish(call, status, !code ? "" : err.text[0] ? err.text : inlay_err_name(code));
}

static struct rpc_call *next_call(struct rpc_server *server)
{
	pthread_mutex_lock(&server->lock);
	server->idle++;
	while (!server->first && !server->ended)
		pthread_cond_wait(&server->work, &server->lock);
	server->idle--;
	struct rpc_call *call = server->first;
	if (call) {
		server->n_queued--;
		server->first = call->next;
		if (!server->first)
			server->last = &server->first;
	}
	pthread_mutex_unlock(&server->lock);
	return call;
}

static void *run_handlers(void *ctx)
{
	struct rpc_server *server = ctx;
	for (struct rpc_call *call; (call = next_call(server));) {
		handle(call);
		rpc_call_release(call);
	}
	return NULL;
}

/* A thread for a call. False where there is none and none can be made. */
static bool queue_call(struct rpc_server *server, struct rpc_call *call)
{
	pthread_mutex_lock(&server->lock);
	if (server->n_queued >= server->idle && server->n_threads < server->max_calls + OPEN_CALLS &&
	    pthread_create(&server->threads[server->n_threads], NULL, run_handlers, server) == 0)
		server->n_threads++;
	bool served = server->n_threads > 0;
	if (served) {
		server->n_queued++;
		*server->last = call;
		server->last = &call->next;
		pthread_cond_signal(&server->work);
	}
	pthread_mutex_unlock(&server->lock);
	return served;
}

/* ---- admission, on the poller's thread ---- */

static const struct rpc_method *find_method(const struct rpc_server *server, grpc_slice path)
{
	for (size_t i = 0; i < server->n_methods; i++)
		if (grpc_slice_str_cmp(path, server->methods[i].path) == 0)
			return &server->methods[i];
	return NULL;
}

/* Takes as long whatever is wrong with what was sent, but for its length. */
static bool authorized(const struct rpc_server *server, const struct rpc_call *call)
{
	if (!server->authorization || call->method->open)
		return true;
	char sent[TOKEN_BYTES + 16];
	if (!rpc_call_metadata(call, "authorization", sent, sizeof sent))
		return false;
	size_t n = strlen(server->authorization);
	if (strlen(sent) != n)
		return false;
	unsigned differs = 0;
	for (size_t i = 0; i < n; i++)
		differs |= (unsigned char)sent[i] ^ (unsigned char)server->authorization[i];
	return !differs;
}

static bool count_call(struct rpc_server *server, struct rpc_call *call)
{
	bool open = call->method->open;
	pthread_mutex_lock(&server->lock);
	call->admitted = server->calls[open] < (open ? OPEN_CALLS : server->max_calls);
	server->calls[open] += call->admitted;
	pthread_mutex_unlock(&server->lock);
	return call->admitted;
}

static int64_t deadline_of(gpr_timespec deadline)
{
	if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0)
		return 0;
	gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
	if (left.tv_sec > FAR_S)
		return 0;
	return il_clock_ns() + left.tv_sec * 1000000000 + left.tv_nsec;
}

/* ---- calls that have said nothing yet ---- */

static void await_message(struct rpc_server *server, struct rpc_call *call)
{
	call->older = server->newest;
	*(server->newest ? &server->newest->newer : &server->oldest) = call;
	server->newest = call;
}

static void await_no_more(struct rpc_server *server, struct rpc_call *call)
{
	*(call->older ? &call->older->newer : &server->oldest) = call->newer;
	*(call->newer ? &call->newer->older : &server->newest) = call->older;
}

static void give_up_silent(struct rpc_server *server)
{
	const int64_t latest = il_clock_ns() - rpc_server_patience_ns(server);
	for (struct rpc_call *call = server->oldest; call && call->begin_ns <= latest; call = call->newer) {
		if (!call->given_up)
			grpc_call_cancel_with_status(call->call, GRPC_STATUS_DEADLINE_EXCEEDED,
			                             "the call came without a message", NULL);
		call->given_up = true;
	}
}

/* ---- what happens ---- */

static void admit(struct rpc_server *server, struct rpc_call *call)
{
	call->begin_ns = il_clock_ns();
	call->deadline_ns = deadline_of(call->details.deadline);
	call->method = find_method(server, call->details.method);
	if (!call->method) {
		finish(call, RPC_UNIMPLEMENTED, "no such method");
	} else if (!authorized(server, call)) {
		finish(call, RPC_UNAUTHENTICATED, "expected metadata authorization: Bearer TOKEN with a valid token");
	} else if (!count_call(server, call)) {
		finish(call, RPC_RESOURCE_EXHAUSTED, "too many calls at a time: come back later");
	} else if (rpc_call_begin(call)) {
		await_message(server, call);
		return; /* what holds it becomes its handler's */
	} else {
		forget(server, call);
	}
	rpc_call_release(call);
}

static void request_calls(struct rpc_server *server)
{
	while (server->requested < REQUESTED && !atomic_load(&server->stopping)) {
		struct rpc_call *call = rpc_call_create(server);
		if (!call)
			return;
		if (grpc_server_request_call(server->server, &call->call, &call->details, &call->metadata,
		                             server->queue, server->queue,
		                             &call->events[RPC_ARRIVED]) != GRPC_CALL_OK) {
			rpc_call_release(call);
			return;
		}
		server->requested++;
	}
}

/* The first message of a call is there: its handler's turn. */
static void first_message(struct rpc_server *server, struct rpc_call *call)
{
	call->dispatched = true;
	await_no_more(server, call);
	if (queue_call(server, call))
		return;
	finish(call, RPC_RESOURCE_EXHAUSTED, "no thread for it");
	rpc_call_release(call);
}

static void happened(struct rpc_server *server, const struct rpc_event *event, bool ok)
{
	struct rpc_call *call = event->call;
	if (event->kind == RPC_ARRIVED) {
		server->requested--;
		if (ok)
			admit(server, call);
		else
			rpc_call_release(call);
		return;
	}
	if (event->kind == RPC_ENDED && call->admitted)
		forget(server, call);
	bool first = event->kind == RPC_HAS_READ && !call->dispatched;
	rpc_call_done(call, event->kind, ok);
	if (first)
		first_message(server, call);
}

static void *poll_events(void *ctx)
{
	struct rpc_server *server = ctx;
	for (;;) {
		request_calls(server);
		give_up_silent(server);
		gpr_timespec until =
			gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(LOOK_MS, GPR_TIMESPAN));
		grpc_event event = grpc_completion_queue_next(server->queue, until, NULL);
		if (event.type == GRPC_QUEUE_TIMEOUT)
			continue;
		if (event.type == GRPC_QUEUE_SHUTDOWN)
			return NULL;
		if (event.tag != server) {
			happened(server, event.tag, event.success);
			continue;
		}
		pthread_mutex_lock(&server->lock);
		server->shut = true;
		pthread_cond_broadcast(&server->changed);
		pthread_mutex_unlock(&server->lock);
	}
}

/* ---- beginning ---- */

static enum inlay_err read_pem(const char *path, struct il_bytes *pem, struct inlay_error *err)
{
	return path ? il_file_read(path, 1 << 20, pem, err) : INLAY_OK;
}

static enum inlay_err read_credentials(const struct rpc_server_params *params, grpc_server_credentials **credentials,
                                       struct inlay_error *err)
{
	if (!params->tls_cert || !params->tls_key) {
		*credentials = grpc_insecure_server_credentials_create();
		return INLAY_OK;
	}
	struct il_bytes cert = { 0 }, key = { 0 }, ca = { 0 };
	enum inlay_err code = read_pem(params->tls_cert, &cert, err);
	code = code ? code : read_pem(params->tls_key, &key, err);
	code = code ? code : read_pem(params->tls_client_ca, &ca, err);
	if (!code) {
		grpc_ssl_pem_key_cert_pair pair = { (char *)key.data, (char *)cert.data };
		*credentials = grpc_ssl_server_credentials_create_ex(
			(char *)ca.data, &pair, 1,
			ca.data ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
				: GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
			NULL);
	}
	il_bytes_destroy(&cert);
	il_bytes_destroy(&key);
	il_bytes_destroy(&ca);
	return code;
}

static void create_server(struct rpc_server *server, const struct rpc_server_params *params)
{
	grpc_arg args[RPC_COMMON_ARGS + 8];
	size_t n = rpc_common_args(args, params->message_bytes);
	args[n++] = rpc_int_arg(GRPC_ARG_ALLOW_REUSEPORT, 0);
	args[n++] = rpc_int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
	args[n++] = rpc_int_arg(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
	args[n++] = rpc_int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1024);
	args[n++] = rpc_int_arg(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 20000);
	grpc_channel_args all = { n, args };
	server->server = grpc_server_create(&all, NULL);
	server->queue = grpc_completion_queue_create_for_next(NULL);
	grpc_server_register_completion_queue(server->server, server->queue, NULL);
}

static enum inlay_err listen_at(struct rpc_server *server, const struct rpc_server_params *params,
                                struct inlay_error *err)
{
	grpc_server_credentials *credentials = NULL;
	enum inlay_err code = read_credentials(params, &credentials, err);
	if (code)
		return code;
	rpc_library_fault(true);
	if (credentials)
		server->port = grpc_server_add_http2_port(server->server, params->address, credentials);
	grpc_server_credentials_release(credentials);
	if (server->port)
		return INLAY_OK;
	const char *fault = rpc_library_fault(false);
	if (!fault[0] && params->tls_cert)
		return il_fail(err, INLAY_ERR_FORMAT, "%s, %s: not a certificate and its key in PEM", params->tls_cert,
		               params->tls_key);
	return il_fail(err, INLAY_ERR_IO, "cannot listen at %s: %s", params->address,
	               fault[0] ? fault : "expected HOST:PORT of this machine");
}

static enum inlay_err copy_params(struct rpc_server *server, const struct rpc_server_params *params,
                                  struct inlay_error *err)
{
	server->params = (struct rpc_server_params){ .patience_ms = params->patience_ms,
		                                     .retry_ms = params->retry_ms,
		                                     .retry_ctx = params->retry_ctx,
		                                     .finished = params->finished,
		                                     .finished_ctx = params->finished_ctx };
	server->max_calls = params->max_calls ? params->max_calls : MAX_CALLS;
	server->n_methods = params->n_methods;
	server->methods = calloc(params->n_methods + 1, sizeof *server->methods);
	server->threads = calloc(server->max_calls + OPEN_CALLS, sizeof *server->threads);
	if (!server->methods || !server->threads)
		return il_fail_memory(err);
	if (params->n_methods)
		memcpy(server->methods, params->methods, params->n_methods * sizeof *server->methods);
	if (!params->token)
		return INLAY_OK;
	size_t n = strlen(params->token);
	if (n == 0 || n > TOKEN_BYTES)
		return il_fail(err, INLAY_ERR_INVALID, "a token of %zu bytes; expected 1 to %d", n, TOKEN_BYTES);
	server->authorization = malloc(n + sizeof "Bearer ");
	if (!server->authorization)
		return il_fail_memory(err);
	sprintf(server->authorization, "Bearer %s", params->token);
	return INLAY_OK;
}

enum inlay_err rpc_server_start(struct rpc_server **out, const struct rpc_server_params *params,
                                struct inlay_error *err)
{
	struct rpc_server *server = *out = calloc(1, sizeof *server);
	if (!server)
		return il_fail_memory(err);
	rpc_library_begin();
	pthread_mutex_init(&server->lock, NULL);
	il_cond_init(&server->work);
	il_cond_init(&server->changed);
	server->last = &server->first;
	enum inlay_err code = copy_params(server, params, err);
	if (!code) {
		create_server(server, params);
		code = listen_at(server, params, err);
	}
	if (!code) {
		grpc_server_start(server->server);
		server->polling = pthread_create(&server->poller, NULL, poll_events, server) == 0;
		if (!server->polling)
			code = il_fail(err, INLAY_ERR_MEMORY, "cannot make a thread for gRPC");
	}
	if (code)
		rpc_server_destroy(out);
	return code;
}

int rpc_server_port(const struct rpc_server *server)
{
	return server->port;
}

/* ---- the end ---- */

static bool all_over(const struct rpc_server *server)
{
	return !server->calls[0] && !server->calls[1] && server->shut;
}

/* True when nothing is under way any more. until_ns 0: for as long as that takes. */
static bool wait_all(struct rpc_server *server, int64_t until_ns)
{
	pthread_mutex_lock(&server->lock);
	bool in_time = true;
	while (!all_over(server) && in_time) {
		if (until_ns)
			in_time = rpc_cond_wait(&server->changed, &server->lock, until_ns);
		else
			pthread_cond_wait(&server->changed, &server->lock);
	}
	bool all = all_over(server);
	pthread_mutex_unlock(&server->lock);
	return all;
}

static void end_threads(struct rpc_server *server)
{
	pthread_mutex_lock(&server->lock);
	server->ended = true;
	pthread_cond_broadcast(&server->work);
	pthread_mutex_unlock(&server->lock);
	for (unsigned i = 0; i < server->n_threads; i++)
		pthread_join(server->threads[i], NULL);
	server->n_threads = 0;
}

/* A server that nobody polls yet: its queue is polled here. */
static void shut_unpolled(struct rpc_server *server)
{
	grpc_event event;
	grpc_server_shutdown_and_notify(server->server, server->queue, server);
	do
		event = grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	while (event.tag != server);
	grpc_completion_queue_shutdown(server->queue);
	do
		event = grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	while (event.type != GRPC_QUEUE_SHUTDOWN);
}

void rpc_server_stop(struct rpc_server *server, int64_t timeout_ms)
{
	if (server->stopped)
		return;
	server->stopped = true;
	atomic_store(&server->stopping, true);
	if (!server->polling) {
		shut_unpolled(server);
		return;
	}
	grpc_server_shutdown_and_notify(server->server, server->queue, server);
	if (timeout_ms <= 0 || !wait_all(server, il_clock_ns() + timeout_ms * 1000000)) {
		grpc_server_cancel_all_calls(server->server);
		wait_all(server, 0);
	}
	grpc_completion_queue_shutdown(server->queue);
	pthread_join(server->poller, NULL);
	end_threads(server);
}

void rpc_server_destroy(struct rpc_server **out)
{
	struct rpc_server *server = *out;
	*out = NULL;
	if (!server)
		return;
	if (server->server) {
		rpc_server_stop(server, 0);
		grpc_server_destroy(server->server);
		grpc_completion_queue_destroy(server->queue);
	}
	free(server->methods);
	free(server->threads);
	free(server->authorization);
	pthread_cond_destroy(&server->work);
	pthread_cond_destroy(&server->changed);
	pthread_mutex_destroy(&server->lock);
	free(server);
	rpc_library_end();
}
