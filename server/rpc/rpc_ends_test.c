/* Our client against our server in one process: what ends whom, and when. */
#include "server/rpc/rpc_echo_test.h"

static bool after_three(void *ctx)
{
	return ++*(int *)ctx >= 3;
}

static void client_cancels_unary(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_bytes reply;
	int asked = 0;
	struct rpc_unary unary = { .path = "/test.Echo/Hold", .cancelled = after_three, .cancel_ctx = &asked };
	assert_fails(rpc_unary(channel, &unary, &reply, NULL, &err), INLAY_ERR_CANCELLED, "");
	wait_until(&handlers_cancelled, 1);
	assert_int_equal(asked, 3);
}

static void deadlines(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_bytes reply;
	enum rpc_status status;
	struct rpc_unary unary = { .path = "/test.Echo/Hold", .timeout_ms = 200 };
	int64_t begin_ns = il_clock_ns();
	assert_fails(rpc_unary(channel, &unary, &reply, &status, &err), INLAY_ERR_TIMEOUT, "");
	assert_int_equal(status, RPC_DEADLINE_EXCEEDED);
	assert_true(il_clock_ns() - begin_ns >= 190000000);
	wait_until(&handlers_cancelled, 1);
}

static void client_cancels_stream(void **state)
{
	(void)state;
	struct inlay_error err;
	struct rpc_stream *stream;
	struct il_bytes message;
	assert_ok(rpc_stream_open(&stream, channel, "/test.Echo/All", 0, &err));
	assert_ok(rpc_stream_write(stream, "a", 1, &err));
	assert_ok(rpc_stream_read(stream, &message, &err));
	il_bytes_destroy(&message);
	rpc_stream_cancel(stream); /* its handler waits for a message, and must not take this for the end of them */
	assert_fails(rpc_stream_read(stream, &message, &err), INLAY_ERR_CANCELLED, "");
	wait_until(&handlers_cancelled, 1);
	assert_int_not_equal(rpc_stream_write(stream, "b", 1, &err), INLAY_OK);
	rpc_stream_destroy(&stream);
}

/* Who does not read is not drowned, and does not hold its handler when it goes. */
static void slow_readers(void **state)
{
	(void)state;
	struct inlay_error err;
	struct rpc_stream *stream;
	struct il_bytes message;
	atomic_store(&poured, 0);
	assert_ok(rpc_stream_open(&stream, channel, "/test.Echo/Pour", 0, &err));
	assert_ok(rpc_stream_write(stream, "", 0, &err));
	assert_ok(rpc_stream_read(stream, &message, &err));
	assert_int_equal(message.size, 1 << 20);
	il_bytes_destroy(&message);
	pause_ms(300);
	assert_in_range(atomic_load(&poured), 1, 64);
	rpc_stream_destroy(&stream);
	wait_until(&handlers_cancelled, 1);
}

static void server_refuses_stream(void **state)
{
	(void)state;
	struct inlay_error err;
	struct rpc_stream *stream;
	struct il_bytes message;
	why_failed = INLAY_ERR_INVALID;
	assert_ok(rpc_stream_open(&stream, channel, "/test.Echo/Fail", 0, &err));
	assert_ok(rpc_stream_write(stream, "a", 1, &err));
	assert_fails(rpc_stream_read(stream, &message, &err), INLAY_ERR_INVALID, "this is why");
	assert_fails(rpc_stream_write(stream, "b", 1, &err), INLAY_ERR_INVALID, "this is why");
	rpc_stream_destroy(&stream);
}

static void *release_soon(void *ctx)
{
	pause_ms(100);
	atomic_store(&release_held, true);
	return ctx;
}

static void stop_lets_calls_end(void **state)
{
	(void)state;
	enum rpc_status status = RPC_UNKNOWN;
	pthread_t thread, releaser;
	struct rpc_server_params params = server_params();
	begin(&params, NULL);
	pthread_create(&thread, NULL, call_hold, &status);
	wait_until(&held, 1);
	pthread_create(&releaser, NULL, release_soon, NULL);
	rpc_server_stop(server, 60000);
	pthread_join(releaser, NULL);
	pthread_join(thread, NULL);
	assert_int_equal(status, RPC_OK);
	struct inlay_error err = { 0 };
	struct il_bytes reply;
	assert_fails(call("/test.Echo/Echo", "", 0, &reply, NULL, &err), INLAY_ERR_IO, "127.0.0.1");
	end(NULL);
}

static void stop_cancels_calls(void **state)
{
	(void)state;
	struct inlay_error err;
	enum rpc_status status = RPC_OK;
	struct rpc_stream *stream;
	struct il_bytes message;
	pthread_t thread;
	struct rpc_server_params params = server_params();
	begin(&params, NULL);
	pthread_create(&thread, NULL, call_hold, &status);
	assert_ok(rpc_stream_open(&stream, channel, "/test.Echo/All", 0, &err));
	assert_ok(rpc_stream_write(stream, "a", 1, &err));
	assert_ok(rpc_stream_read(stream, &message, &err));
	il_bytes_destroy(&message);
	wait_until(&held, 1);
	int64_t begin_ns = il_clock_ns();
	rpc_server_stop(server, 200);
	assert_in_range((il_clock_ns() - begin_ns) / 1000000, 200, 20000);
	pthread_join(thread, NULL);
	assert_int_not_equal(status, RPC_OK);
	assert_int_equal(atomic_load(&handlers_cancelled), 1);
	assert_int_not_equal(rpc_stream_read(stream, &message, &err), INLAY_OK);
	rpc_stream_destroy(&stream);
	end(NULL);
}

static int64_t since_ms(int64_t begin_ns)
{
	return (il_clock_ns() - begin_ns) / 1000000;
}

/* Who says nothing does not keep a call for ever: neither before the first message nor after it. */
static void silent_clients(void **state)
{
	(void)state;
	struct inlay_error err;
	struct rpc_stream *never, *once;
	struct il_bytes message;
	struct rpc_server_params params = server_params();
	params.patience_ms = 100;
	begin(&params, NULL);
	int64_t begin_ns = il_clock_ns();
	assert_ok(rpc_stream_open(&never, channel, "/test.Echo/All", 0, &err));
	assert_ok(rpc_stream_open(&once, channel, "/test.Echo/All", 0, &err));
	assert_ok(rpc_stream_write(once, "a", 1, &err));
	assert_ok(rpc_stream_read(once, &message, &err));
	il_bytes_destroy(&message);
	assert_fails(rpc_stream_read(never, &message, &err), INLAY_ERR_TIMEOUT, "without a message");
	assert_in_range(since_ms(begin_ns), 100, 30000);
	assert_fails(rpc_stream_read(once, &message, &err), INLAY_ERR_TIMEOUT, "no message");
	assert_in_range(since_ms(begin_ns), 500, 30000);
	rpc_stream_destroy(&never);
	rpc_stream_destroy(&once);
	end(NULL);
}

/* Who takes no answers gives up its handler. */
static void client_that_takes_nothing(void **state)
{
	(void)state;
	struct inlay_error err;
	struct rpc_stream *stream;
	struct rpc_server_params params = server_params();
	params.patience_ms = 100;
	begin(&params, NULL);
	atomic_store(&poured, 0);
	assert_ok(rpc_stream_open(&stream, channel, "/test.Echo/Pour", 0, &err));
	assert_ok(rpc_stream_write(stream, "", 0, &err));
	wait_until(&handlers_timed_out, 1);
	rpc_stream_destroy(&stream);
	end(NULL);
}

static void stop_ends_silent_streams(void **state)
{
	(void)state;
	struct inlay_error err;
	struct rpc_stream *stream;
	struct il_bytes message;
	struct rpc_server_params params = server_params();
	begin(&params, NULL);
	assert_ok(rpc_stream_open(&stream, channel, "/test.Echo/All", 0, &err));
	assert_ok(rpc_stream_write(stream, "a", 1, &err));
	assert_ok(rpc_stream_read(stream, &message, &err));
	il_bytes_destroy(&message);
	int64_t begin_ns = il_clock_ns();
	rpc_server_stop(server, 60000);
	assert_true(since_ms(begin_ns) < 30000);
	assert_int_not_equal(rpc_stream_read(stream, &message, &err), INLAY_OK);
	rpc_stream_destroy(&stream);
	end(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(client_cancels_unary),    WITH_SERVER(deadlines),
		WITH_SERVER(client_cancels_stream),   WITH_SERVER(slow_readers),
		WITH_SERVER(server_refuses_stream),   cmocka_unit_test(stop_lets_calls_end),
		cmocka_unit_test(stop_cancels_calls), cmocka_unit_test(stop_ends_silent_streams),
		cmocka_unit_test(silent_clients),     cmocka_unit_test(client_that_takes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
