/* Our client and our server in one process, for tests of what crosses between them and what ends whom. */
#ifndef SERVER_RPC_ECHO_TEST_H
#define SERVER_RPC_ECHO_TEST_H

#include "tests/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "server/rpc/rpc.h"

enum { MESSAGE_BYTES = 32 << 20 };

/* ---- what the server does ---- */

static atomic_int handled, held, handlers_cancelled, handlers_timed_out;
static atomic_bool release_held;

static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static enum inlay_err echo(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	(void)ctx;
	const uint8_t *data;
	size_t size;
	enum inlay_err code = rpc_read(call, &data, &size, err);
	atomic_fetch_add(&handled, 1);
	return code ? code : rpc_write(call, data, size, err);
}

/* Each message back with a byte before it. */
static enum inlay_err echo_all(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	(void)ctx;
	const uint8_t *data;
	size_t size;
	enum inlay_err code;
	while ((code = rpc_read(call, &data, &size, err)) == INLAY_OK) {
		uint8_t reply[64] = { 'r' };
		assert_true(size < sizeof reply);
		memcpy(reply + 1, data, size);
		if ((code = rpc_write(call, reply, size + 1, err)))
			break;
	}
	if (code == INLAY_ERR_CANCELLED)
		atomic_fetch_add(&handlers_cancelled, 1);
	return code == INLAY_EOF ? INLAY_OK : code;
}

/* Waits until it is let go or cancelled. */
static enum inlay_err hold(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	(void)ctx;
	atomic_fetch_add(&held, 1);
	while (!atomic_load(&release_held) && !rpc_cancelled(call))
		pause_ms(1);
	atomic_fetch_sub(&held, 1);
	if (rpc_cancelled(call)) {
		atomic_fetch_add(&handlers_cancelled, 1);
		return il_fail(err, INLAY_ERR_CANCELLED, "cancelled");
	}
	return rpc_write(call, "held", 4, err);
}

static enum inlay_err refuse(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	(void)call;
	return il_fail(err, (enum inlay_err)atomic_load((atomic_int *)ctx), "this is why: %s", "\xc3\xa4 100 %");
}

static enum inlay_err say_peer(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	(void)ctx;
	char text[256];
	int64_t left = rpc_deadline_ns(call) ? rpc_deadline_ns(call) - il_clock_ns() : 0;
	snprintf(text, sizeof text, "%s %lld", rpc_peer(call), (long long)(left / 1000000));
	return rpc_write(call, text, strlen(text), err);
}

/* Writes until that fails, counting messages of 1 MB. */
static atomic_int poured;
static enum inlay_err pour(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	(void)ctx;
	static uint8_t megabyte[1 << 20];
	enum inlay_err code;
	while ((code = rpc_write(call, megabyte, sizeof megabyte, err)) == INLAY_OK)
		atomic_fetch_add(&poured, 1);
	if (code == INLAY_ERR_CANCELLED)
		atomic_fetch_add(&handlers_cancelled, 1);
	if (code == INLAY_ERR_TIMEOUT)
		atomic_fetch_add(&handlers_timed_out, 1);
	return code;
}

/* As much as the message asks for in MB. */
static enum inlay_err swell(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	(void)ctx;
	const uint8_t *data;
	size_t size;
	enum inlay_err code = rpc_read(call, &data, &size, err);
	if (code)
		return code;
	size_t answer_size = (size_t)data[0] << 20;
	uint8_t *answer = calloc(1, answer_size);
	atomic_fetch_add(&handled, 1);
	code = rpc_write(call, answer, answer_size, err);
	free(answer);
	return code;
}

static atomic_int why_failed = INLAY_ERR_NOT_FOUND;
static const struct rpc_method methods[] = {
	{ "/test.Echo/Echo", echo, NULL, false },     { "/test.Echo/All", echo_all, NULL, false },
	{ "/test.Echo/Hold", hold, NULL, false },     { "/test.Echo/Fail", refuse, &why_failed, false },
	{ "/test.Echo/Peer", say_peer, NULL, false }, { "/test.Echo/Pour", pour, NULL, false },
	{ "/test.Echo/Open", echo, NULL, true },      { "/test.Echo/Unary", echo, NULL, false, true },
	{ "/test.Echo/Watch", hold, NULL, true },     { "/test.Echo/Swell", swell, NULL, false, true },
};

static atomic_int finished_ok, finished_other;
static void finished(void *ctx, const char *path, enum rpc_status status, int64_t ns)
{
	(void)ctx;
	assert_non_null(path);
	assert_true(ns >= 0);
	atomic_fetch_add(status == RPC_OK ? &finished_ok : &finished_other, 1);
}

/* ---- both ends ---- */

static struct rpc_server *server;
static struct rpc_channel *channel;

static struct rpc_server_params server_params(void)
{
	return (struct rpc_server_params){ .address = "127.0.0.1:0",
		                           .methods = methods,
		                           .n_methods = sizeof methods / sizeof *methods,
		                           .message_bytes = MESSAGE_BYTES,
		                           .finished = finished };
}

static void begin(const struct rpc_server_params *params, const char *token)
{
	struct inlay_error err;
	char url[64];
	atomic_store(&release_held, false);
	atomic_store(&handlers_cancelled, 0);
	atomic_store(&handlers_timed_out, 0);
	atomic_store(&handled, 0);
	assert_ok(rpc_server_start(&server, params, &err));
	snprintf(url, sizeof url, "grpc://127.0.0.1:%d", rpc_server_port(server));
	assert_ok(rpc_channel_create(
		&channel, &(struct rpc_channel_params){ .url = url, .message_bytes = MESSAGE_BYTES, .token = token },
		&err));
}

static int begin_default(void **state)
{
	(void)state;
	struct rpc_server_params params = server_params();
	begin(&params, NULL);
	return 0;
}

static int end(void **state)
{
	(void)state;
	rpc_channel_destroy(&channel);
	rpc_server_destroy(&server);
	return 0;
}

static enum inlay_err call(const char *path, const void *data, size_t size, struct il_bytes *reply,
                           enum rpc_status *status, struct inlay_error *err)
{
	struct rpc_unary unary = { .path = path, .data = data, .size = size, .timeout_ms = 60000 };
	return rpc_unary(channel, &unary, reply, status, err);
}

static void wait_until(const atomic_int *count, int n)
{
	for (int ms = 0; atomic_load(count) != n; ms++) {
		if (ms > 60000)
			fail_msg("waited a minute for %d, it is %d", n, atomic_load(count));
		pause_ms(1);
	}
}

/* A thread that calls what holds it; ctx: the status that comes of it. */
static void *call_hold(void *ctx)
{
	struct inlay_error err = { 0 };
	struct il_bytes reply;
	(void)call("/test.Echo/Hold", "", 0, &reply, ctx, &err);
	il_bytes_destroy(&reply);
	return NULL;
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, begin_default, end)

#endif
