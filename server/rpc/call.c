/* A call of the server: operations begin on its handler's thread, the poller's thread says when they are done. */
#include "server/buffers.h"
#include "server/rpc/rpc_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/support/alloc.h>

#include "base/clock.h"

#define STEP_NS 100000000 /* how late a stop is seen */
#define STREAM_PATIENCE 5 /* times that of the server, for the next message of a stream */

/* ---- life ---- */

struct rpc_call *rpc_call_create(struct rpc_server *server)
{
	struct rpc_call *call = calloc(1, sizeof *call);
	if (!call)
		return NULL;
	call->server = server;
	for (int i = 0; i < RPC_EVENTS; i++)
		call->events[i] = (struct rpc_event){ call, i };
	grpc_call_details_init(&call->details);
	grpc_metadata_array_init(&call->metadata);
	pthread_mutex_init(&call->lock, NULL);
	il_cond_init(&call->changed);
	call->holds = 1;
	return call;
}

static void free_call(struct rpc_call *call)
{
	if (call->message)
		grpc_byte_buffer_destroy(call->message);
	if (call->arriving)
		grpc_byte_buffer_destroy(call->arriving);
	if (call->answer)
		grpc_byte_buffer_destroy(call->answer);
	buffer_return(call->memory);
	grpc_call_details_destroy(&call->details);
	grpc_metadata_array_destroy(&call->metadata);
	if (call->call)
		grpc_call_unref(call->call);
	pthread_cond_destroy(&call->changed);
	pthread_mutex_destroy(&call->lock);
	free(call);
}

void rpc_call_release(struct rpc_call *call)
{
	pthread_mutex_lock(&call->lock);
	bool last = --call->holds == 0;
	pthread_mutex_unlock(&call->lock);
	if (last)
		free_call(call);
}

/* ---- operations ---- */

static bool start(struct rpc_call *call, int kind, const grpc_op *ops, size_t n)
{
	pthread_mutex_lock(&call->lock);
	call->holds++;
	pthread_mutex_unlock(&call->lock);
	if (grpc_call_start_batch(call->call, ops, n, &call->events[kind], NULL) == GRPC_CALL_OK)
		return true;
	rpc_call_release(call);
	return false;
}

static bool start_read(struct rpc_call *call)
{
	call->read = false;
	grpc_op op = { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->arriving };
	return start(call, RPC_HAS_READ, &op, 1);
}

/* Has a read under way, if none is. */
static bool reading(struct rpc_call *call)
{
	call->reading = call->reading || start_read(call);
	return call->reading;
}

bool rpc_call_begin(struct rpc_call *call)
{
	grpc_op op = { .op = GRPC_OP_RECV_CLOSE_ON_SERVER,
		       .data.recv_close_on_server.cancelled = &call->closed_cancelled };
	return start(call, RPC_CLOSED, &op, 1) && reading(call);
}

bool rpc_call_end(struct rpc_call *call, enum rpc_status status, const char *text, int64_t retry_ms)
{
	char retry[24];
	snprintf(retry, sizeof retry, "%" PRId64, retry_ms);
	grpc_metadata trailing = { .key = grpc_slice_from_static_string("retry-after-ms"),
		                   .value = grpc_slice_from_copied_string(retry) };
	grpc_slice details = grpc_slice_from_copied_string(text);
	grpc_op ops[3] = { { .op = GRPC_OP_SEND_STATUS_FROM_SERVER,
		             .data.send_status_from_server = { .status = (grpc_status_code)status,
		                                               .status_details = &details,
		                                               .trailing_metadata_count = retry_ms >= 0,
		                                               .trailing_metadata = &trailing } } };
	size_t n = 1;
	if (!call->metadata_sent)
		ops[n++] = (grpc_op){ .op = GRPC_OP_SEND_INITIAL_METADATA };
	if (call->answer && status == RPC_OK)
		ops[n++] = (grpc_op){ .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = call->answer };
	bool started = start(call, RPC_ENDED, ops, n);
	grpc_slice_unref(details);
	grpc_slice_unref(trailing.value);
	return started;
}

void rpc_call_done(struct rpc_call *call, int kind, bool ok)
{
	pthread_mutex_lock(&call->lock);
	if (kind == RPC_HAS_READ) {
		call->read = true;
		call->read_ok = ok;
	} else if (kind == RPC_WROTE) {
		call->wrote = true;
		call->write_ok = ok;
	} else if (kind == RPC_CLOSED && call->closed_cancelled) {
		atomic_store(&call->cancelled, true);
	}
	pthread_cond_broadcast(&call->changed);
	pthread_mutex_unlock(&call->lock);
	rpc_call_release(call);
}

/* False after ns. */
static bool wait_for(struct rpc_call *call, const bool *done, int64_t ns)
{
	int64_t until = il_clock_ns() + ns;
	bool in_time = true;
	pthread_mutex_lock(&call->lock);
	while (!*done && in_time)
		in_time = rpc_cond_wait(&call->changed, &call->lock, until);
	bool is_done = *done;
	pthread_mutex_unlock(&call->lock);
	return is_done;
}

/* ---- for handlers ---- */

static enum inlay_err gone(struct inlay_error *err)
{
	return il_fail(err, INLAY_ERR_CANCELLED, "the client is gone or has cancelled");
}

/* The bytes of the message that has arrived, in one piece. */
static enum inlay_err take_message(struct rpc_call *call, const uint8_t **data, size_t *size, struct inlay_error *err)
{
	if (call->message)
		grpc_byte_buffer_destroy(call->message);
	call->message = call->arriving;
	call->arriving = NULL;
	*size = grpc_byte_buffer_length(call->message);
	*data = rpc_message_whole(call->message);
	if (*data)
		return INLAY_OK;
	if (buffer_size(call->memory) < *size) {
		buffer_return(call->memory);
		call->memory = buffer_take(*size);
		if (!call->memory)
			return il_fail_memory(err);
	}
	rpc_message_copy(call->message, call->memory);
	grpc_byte_buffer_destroy(call->message);
	call->message = NULL;
	*data = call->memory;
	return INLAY_OK;
}

bool rpc_wait_message(struct rpc_call *call, int64_t ms)
{
	if (!reading(call))
		return true; /* and rpc_read says why */
	return wait_for(call, &call->read, ms * 1000000);
}

/* What the client says next, unless it is silent for too long or the server stops meanwhile. */
static enum inlay_err wait_next(struct rpc_call *call, struct inlay_error *err)
{
	const int64_t patience = STREAM_PATIENCE * rpc_server_patience_ns(call->server);
	const int64_t until = il_clock_ns() + patience;
	while (!wait_for(call, &call->read, STEP_NS)) {
		if (rpc_server_stopping(call->server))
			return il_fail(err, INLAY_ERR_UNAVAILABLE, "the server is stopping");
		if (il_clock_ns() >= until)
			return il_fail(err, INLAY_ERR_TIMEOUT, "no message for %lld s",
			               (long long)(patience / 1000000000));
	}
	return INLAY_OK;
}

enum inlay_err rpc_read(struct rpc_call *call, const uint8_t **data, size_t *size, struct inlay_error *err)
{
	*data = NULL;
	*size = 0;
	if (!reading(call))
		return gone(err);
	enum inlay_err rc = wait_next(call, err);
	if (rc)
		return rc;
	call->reading = false;
	if (call->arriving)
		return take_message(call, data, size, err);
	bool lost = !call->read_ok || rpc_cancelled(call) || grpc_call_failed_before_recv_message(call->call);
	return lost ? gone(err) : INLAY_EOF;
}

enum inlay_err rpc_write(struct rpc_call *call, const void *data, size_t size, struct inlay_error *err)
{
	if (atomic_load(&call->cancelled))
		return gone(err);
	grpc_byte_buffer *message = rpc_message(data, size);
	if (!message)
		return il_fail_memory(err);
	if (call->method->unary) {
		if (call->answer)
			grpc_byte_buffer_destroy(call->answer);
		call->answer = message;
		return INLAY_OK;
	}
	grpc_op ops[2] = { { .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message },
		           { .op = GRPC_OP_SEND_INITIAL_METADATA } };
	call->wrote = false;
	bool started = start(call, RPC_WROTE, ops, call->metadata_sent ? 1 : 2);
	bool slow = false;
	if (started) {
		call->metadata_sent = true;
		slow = !wait_for(call, &call->wrote, rpc_server_patience_ns(call->server));
		if (slow)
			grpc_call_cancel_with_status(call->call, GRPC_STATUS_DEADLINE_EXCEEDED,
			                             "the client takes no answers", NULL);
		while (slow && !wait_for(call, &call->wrote, STEP_NS)) {
		}
	}
	grpc_byte_buffer_destroy(message);
	if (slow)
		return il_fail(err, INLAY_ERR_TIMEOUT, "the client takes no answers");
	return started && call->write_ok ? INLAY_OK : gone(err);
}

bool rpc_cancelled(void *call)
{
	return atomic_load(&((struct rpc_call *)call)->cancelled);
}

int64_t rpc_deadline_ns(const struct rpc_call *call)
{
	return call->deadline_ns;
}

bool rpc_pause(struct rpc_call *call, int64_t ms)
{
	int64_t until = il_clock_ns() + ms * 1000000;
	pthread_mutex_lock(&call->lock);
	while (!rpc_cancelled(call) && !rpc_server_stopping(call->server)) {
		int64_t now = il_clock_ns();
		if (now >= until)
			break;
		rpc_cond_wait(&call->changed, &call->lock, until - now < STEP_NS ? until : now + STEP_NS);
	}
	pthread_mutex_unlock(&call->lock);
	return !rpc_cancelled(call) && !rpc_server_stopping(call->server);
}

/* ---- who calls ---- */

bool rpc_call_metadata(const struct rpc_call *call, const char *key, char *text, size_t size)
{
	for (size_t i = 0; i < call->metadata.count; i++) {
		const grpc_metadata *pair = &call->metadata.metadata[i];
		if (grpc_slice_str_cmp(pair->key, key) != 0)
			continue;
		size_t n = GRPC_SLICE_LENGTH(pair->value);
		n = n < size ? n : size - 1;
		memcpy(text, GRPC_SLICE_START_PTR(pair->value), n);
		text[n] = 0;
		return true;
	}
	return false;
}

/* ipv4:ADDRESS:PORT, ipv6:[ADDRESS]:PORT with %5B and %5D for the brackets, unix:PATH. */
static void name_address(const char *peer, char *name, size_t size)
{
	const char *colon = strchr(peer, ':');
	const char *begin = colon ? colon + 1 : peer;
	const char *end = begin + strlen(begin);
	if (strncmp(peer, "ipv", 3) == 0 && strrchr(begin, ':'))
		end = strrchr(begin, ':');
	if (strncmp(begin, "%5B", 3) == 0 && end - begin > 6) {
		begin += 3;
		end -= 3;
	}
	snprintf(name, size, "%.*s", (int)(end - begin), begin);
}

const char *rpc_peer(const struct rpc_call *call)
{
	struct rpc_call *own = (struct rpc_call *)call;
	pthread_mutex_lock(&own->lock);
	if (!own->peer[0])
		rpc_call_metadata(call, "client-id", own->peer, sizeof own->peer);
	if (!own->peer[0]) {
		char *peer = grpc_call_get_peer(call->call);
		name_address(peer, own->peer, sizeof own->peer);
		gpr_free(peer);
	}
	pthread_mutex_unlock(&own->lock);
	return call->peer;
}
