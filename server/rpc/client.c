/* The client: a blocking call polls gRPC itself, on a queue of its own. */
#include "server/rpc/rpc_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/grpc_security.h>

#include "base/clock.h"

struct rpc_channel {
	grpc_channel *channel;
	char *url;
	char *authorization; /* or NULL */
};

/* ---- channels ---- */

static bool strip(const char **text, const char *prefix)
{
	size_t n = strlen(prefix);
	if (strncmp(*text, prefix, n) != 0)
		return false;
	*text += n;
	return true;
}

static enum inlay_err make_credentials(const struct rpc_channel_params *params, bool tls,
                                       grpc_channel_credentials **credentials, struct inlay_error *err)
{
	if (!tls) {
		*credentials = grpc_insecure_credentials_create();
		return INLAY_OK;
	}
	struct il_bytes ca = { 0 };
	enum inlay_err code = params->tls_ca ? il_file_read(params->tls_ca, 16 << 20, &ca, err) : INLAY_OK;
	if (code)
		return code;
	*credentials = grpc_ssl_credentials_create_ex((char *)ca.data, NULL, NULL, NULL);
	il_bytes_destroy(&ca);
	return *credentials ? INLAY_OK
	                    : il_fail(err, INLAY_ERR_FORMAT, "%s: expected certificates in PEM",
	                              params->tls_ca ? params->tls_ca : "the system's certificates");
}

static enum inlay_err connect_channel(struct rpc_channel *channel, const struct rpc_channel_params *params,
                                      struct inlay_error *err)
{
	const char *target = params->url;
	bool tls = strip(&target, "grpcs://");
	if (!tls)
		strip(&target, "grpc://");
	if (!*target || strstr(target, "://"))
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: expected HOST:PORT, grpc://HOST:PORT, grpcs://HOST:PORT or unix:PATH", params->url);
	grpc_channel_credentials *credentials = NULL;
	enum inlay_err code = make_credentials(params, tls, &credentials, err);
	if (code)
		return code;
	grpc_arg args[RPC_COMMON_ARGS + 8];
	size_t n = rpc_common_args(args, params->message_bytes);
	args[n++] = rpc_int_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
	args[n++] = rpc_int_arg(GRPC_ARG_ENABLE_RETRIES, 0);
	args[n++] = rpc_int_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
	args[n++] = rpc_int_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000); /* and how long connecting may take */
	args[n++] = rpc_int_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
	/* Else channels to one address share a connection, across whoever made them. */
	args[n++] = rpc_int_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
	grpc_channel_args all = { n, args };
	channel->channel = grpc_channel_create(target, credentials, &all);
	grpc_channel_credentials_release(credentials);
	return channel->channel ? INLAY_OK : il_fail_memory(err);
}

enum inlay_err rpc_channel_create(struct rpc_channel **out, const struct rpc_channel_params *params,
                                  struct inlay_error *err)
{
	struct rpc_channel *channel = *out = calloc(1, sizeof *channel);
	if (!channel)
		return il_fail_memory(err);
	rpc_library_begin();
	enum inlay_err code = INLAY_OK;
	channel->url = strdup(params->url);
	if (params->token && (channel->authorization = malloc(strlen(params->token) + sizeof "Bearer ")))
		sprintf(channel->authorization, "Bearer %s", params->token);
	if (!channel->url || (params->token && !channel->authorization))
		code = il_fail_memory(err);
	code = code ? code : connect_channel(channel, params, err);
	if (code)
		rpc_channel_destroy(out);
	return code;
}

void rpc_channel_destroy(struct rpc_channel **out)
{
	struct rpc_channel *channel = *out;
	*out = NULL;
	if (!channel)
		return;
	if (channel->channel)
		grpc_channel_destroy(channel->channel);
	free(channel->authorization);
	free(channel->url);
	free(channel);
	rpc_library_end();
}

/* ---- calls ---- */

/* What unary calls and streams have in common. */
struct client_call {
	struct rpc_channel *channel;
	char *path; /* for messages about it */
	grpc_call *call;
	grpc_completion_queue *queue;
	grpc_metadata authorization;
	grpc_metadata_array initial, trailing;
	grpc_status_code status;
	grpc_slice details;
};

static gpr_timespec time_in_ms(int64_t ms)
{
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

static bool open_call(struct client_call *call, struct rpc_channel *channel, const char *path, int64_t timeout_ms)
{
	*call = (struct client_call){ .channel = channel, .path = strdup(path) };
	if (!call->path)
		return false;
	call->queue = grpc_completion_queue_create_for_pluck(NULL);
	grpc_slice method = grpc_slice_from_copied_string(path);
	call->call = grpc_channel_create_call(
		channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS, call->queue, method, NULL,
		timeout_ms > 0 ? time_in_ms(timeout_ms) : gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	grpc_slice_unref(method);
	if (channel->authorization)
		call->authorization = (grpc_metadata){ .key = grpc_slice_from_static_string("authorization"),
			                               .value = grpc_slice_from_static_string(channel->authorization) };
	grpc_metadata_array_init(&call->initial);
	grpc_metadata_array_init(&call->trailing);
	call->details = grpc_empty_slice();
	return true;
}

static void close_call(struct client_call *call)
{
	free(call->path);
	if (!call->queue)
		return;
	grpc_call_unref(call->call);
	grpc_completion_queue_shutdown(call->queue);
	while (grpc_completion_queue_pluck(call->queue, NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
	       GRPC_QUEUE_SHUTDOWN)
		;
	grpc_completion_queue_destroy(call->queue);
	grpc_metadata_array_destroy(&call->initial);
	grpc_metadata_array_destroy(&call->trailing);
	grpc_slice_unref(call->details);
}

static grpc_op send_metadata(struct client_call *call)
{
	return (grpc_op){ .op = GRPC_OP_SEND_INITIAL_METADATA,
		          .data.send_initial_metadata = { .count = call->channel->authorization != NULL,
		                                          .metadata = &call->authorization } };
}

static grpc_op receive_metadata(struct client_call *call)
{
	return (grpc_op){ .op = GRPC_OP_RECV_INITIAL_METADATA,
		          .data.recv_initial_metadata.recv_initial_metadata = &call->initial };
}

static grpc_op receive_status(struct client_call *call)
{
	return (grpc_op){ .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
		          .data.recv_status_on_client = { .trailing_metadata = &call->trailing,
		                                          .status = &call->status,
		                                          .status_details = &call->details } };
}

static bool pluck(struct client_call *call, void *tag)
{
	return grpc_completion_queue_pluck(call->queue, tag, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).success;
}

static bool run_batch(struct client_call *call, const grpc_op *ops, size_t n, void *tag)
{
	return grpc_call_start_batch(call->call, ops, n, tag, NULL) == GRPC_CALL_OK && pluck(call, tag);
}

/* The status as an error that names server and method; INLAY_OK for RPC_OK. */
static enum inlay_err status_error(const struct client_call *call, struct inlay_error *err)
{
	if (call->status == GRPC_STATUS_OK)
		return INLAY_OK;
	return il_fail(err, rpc_error_of((int)call->status), "%s%s: %.*s", call->channel->url, call->path,
	               (int)GRPC_SLICE_LENGTH(call->details), (const char *)GRPC_SLICE_START_PTR(call->details));
}

/* Takes a message over into fresh memory. */
static enum inlay_err take_message(grpc_byte_buffer *message, struct il_bytes *bytes, struct inlay_error *err)
{
	size_t size = grpc_byte_buffer_length(message);
	bytes->data = malloc(size + 1);
	bytes->size = bytes->data ? size : 0;
	if (bytes->data) {
		rpc_message_copy(message, bytes->data);
		bytes->data[size] = 0;
	}
	grpc_byte_buffer_destroy(message);
	return bytes->data ? INLAY_OK : il_fail_memory(err);
}

/* ---- unary ---- */

/* Waits for the only batch of a unary call, asking now and then whether it is still wanted. */
static void wait_unary(struct client_call *call, const struct rpc_unary *unary)
{
	while (unary->cancelled) {
		grpc_event event = grpc_completion_queue_pluck(call->queue, call, time_in_ms(50), NULL);
		if (event.type == GRPC_OP_COMPLETE)
			return;
		if (unary->cancelled(unary->cancel_ctx)) {
			grpc_call_cancel(call->call, NULL);
			break;
		}
	}
	pluck(call, call);
}

enum inlay_err rpc_unary(struct rpc_channel *channel, const struct rpc_unary *unary, struct il_bytes *reply,
                         enum rpc_status *status, struct inlay_error *err)
{
	*reply = (struct il_bytes){ 0 };
	if (status)
		*status = RPC_UNKNOWN;
	struct client_call call;
	grpc_byte_buffer *request = rpc_message(unary->data, unary->size), *message = NULL;
	if (!request)
		return il_fail_memory(err);
	if (!open_call(&call, channel, unary->path, unary->timeout_ms)) {
		grpc_byte_buffer_destroy(request);
		return il_fail_memory(err);
	}
	grpc_op ops[] = {
		send_metadata(&call),
		{ .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = request },
		{ .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
		receive_metadata(&call),
		{ .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &message },
		receive_status(&call),
	};
	enum inlay_err code;
	if (grpc_call_start_batch(call.call, ops, sizeof ops / sizeof *ops, &call, NULL) != GRPC_CALL_OK) {
		code = il_fail(err, INLAY_ERR_INVALID, "%s%s: gRPC refuses the call", channel->url, unary->path);
	} else {
		wait_unary(&call, unary);
		code = status_error(&call, err);
		if (status)
			*status = (enum rpc_status)call.status;
	}
	grpc_byte_buffer_destroy(request);
	if (!code && message)
		code = take_message(message, reply, err);
	else if (message)
		grpc_byte_buffer_destroy(message);
	else if (!code)
		code = il_fail(err, INLAY_ERR_FORMAT, "%s%s: no message in the answer", channel->url, unary->path);
	close_call(&call);
	return code;
}

/* ---- streams ---- */

struct rpc_stream {
	struct client_call call;
	pthread_mutex_t lock;
	bool finished; /* lock: the status is there */
};

/* Tags of what a stream does at a time. */
static void *write_tag(struct rpc_stream *stream)
{
	return &stream->call.authorization;
}
static void *read_tag(struct rpc_stream *stream)
{
	return &stream->call.initial;
}
static void *status_tag(struct rpc_stream *stream)
{
	return &stream->call.status;
}

/* Waits for the status, which is there soon once something failed or ended. */
static enum inlay_err finish(struct rpc_stream *stream, struct inlay_error *err)
{
	pthread_mutex_lock(&stream->lock);
	if (!stream->finished)
		pluck(&stream->call, status_tag(stream));
	stream->finished = true;
	enum inlay_err code = status_error(&stream->call, err);
	pthread_mutex_unlock(&stream->lock);
	return code;
}

enum inlay_err rpc_stream_open(struct rpc_stream **out, struct rpc_channel *channel, const char *path,
                               int64_t timeout_ms, struct inlay_error *err)
{
	struct rpc_stream *stream = *out = calloc(1, sizeof *stream);
	if (!stream)
		return il_fail_memory(err);
	pthread_mutex_init(&stream->lock, NULL);
	stream->finished = true;
	if (!open_call(&stream->call, channel, path, timeout_ms)) {
		rpc_stream_destroy(out);
		return il_fail_memory(err);
	}
	grpc_op receive[] = { receive_metadata(&stream->call), receive_status(&stream->call) };
	if (grpc_call_start_batch(stream->call.call, receive, 2, status_tag(stream), NULL) != GRPC_CALL_OK) {
		rpc_stream_destroy(out);
		return il_fail(err, INLAY_ERR_INVALID, "%s%s: gRPC refuses the call", channel->url, path);
	}
	stream->finished = false;
	grpc_op send = send_metadata(&stream->call);
	if (run_batch(&stream->call, &send, 1, write_tag(stream)))
		return INLAY_OK;
	enum inlay_err code = finish(stream, err);
	rpc_stream_destroy(out);
	return code ? code : il_fail(err, INLAY_ERR_IO, "%s%s: the stream ended at once", channel->url, path);
}

static enum inlay_err write_failed(struct rpc_stream *stream, struct inlay_error *err)
{
	enum inlay_err code = finish(stream, err);
	return code ? code
	            : il_fail(err, INLAY_ERR_IO, "%s%s: the server has ended the stream", stream->call.channel->url,
	                      stream->call.path);
}

enum inlay_err rpc_stream_write(struct rpc_stream *stream, const void *data, size_t size, struct inlay_error *err)
{
	grpc_byte_buffer *message = rpc_message(data, size);
	if (!message)
		return il_fail_memory(err);
	grpc_op op = { .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message };
	bool ok = run_batch(&stream->call, &op, 1, write_tag(stream));
	grpc_byte_buffer_destroy(message);
	return ok ? INLAY_OK : write_failed(stream, err);
}

enum inlay_err rpc_stream_end(struct rpc_stream *stream, struct inlay_error *err)
{
	grpc_op op = { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT };
	return run_batch(&stream->call, &op, 1, write_tag(stream)) ? INLAY_OK : write_failed(stream, err);
}

enum inlay_err rpc_stream_read(struct rpc_stream *stream, struct il_bytes *bytes, struct inlay_error *err)
{
	*bytes = (struct il_bytes){ 0 };
	grpc_byte_buffer *message = NULL;
	grpc_op op = { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &message };
	run_batch(&stream->call, &op, 1, read_tag(stream));
	if (message)
		return take_message(message, bytes, err);
	enum inlay_err code = finish(stream, err);
	return code ? code : INLAY_EOF;
}

void rpc_stream_cancel(struct rpc_stream *stream)
{
	grpc_call_cancel(stream->call.call, NULL);
}

void rpc_stream_destroy(struct rpc_stream **out)
{
	struct rpc_stream *stream = *out;
	*out = NULL;
	if (!stream)
		return;
	if (!stream->finished) {
		grpc_call_cancel(stream->call.call, NULL);
		pluck(&stream->call, status_tag(stream));
	}
	close_call(&stream->call);
	pthread_mutex_destroy(&stream->lock);
	free(stream);
}
