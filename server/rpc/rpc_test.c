/* Our client against our server in one process: what crosses, what is refused. */
#include "server/rpc/rpc_echo_test.h"

#include <arpa/inet.h>
#include <sys/socket.h>

/* ---- messages ---- */

static void messages_come_back(void **state)
{
	(void)state;
	static const size_t sizes[] = { 0, 1, 1000, 65536, 65537, 20 << 20, 7 << 20, 3 };
	static const char *const paths[] = { "/test.Echo/Echo", "/test.Echo/Unary" };
	struct inlay_error err;
	uint8_t *data = malloc(20 << 20);
	for (size_t i = 0; i < 20 << 20; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	for (size_t i = 0; i < 2 * (sizeof sizes / sizeof *sizes); i++) {
		struct il_bytes reply;
		enum rpc_status status;
		assert_ok(call(paths[i % 2], data, sizes[i / 2], &reply, &status, &err));
		assert_int_equal(status, RPC_OK);
		assert_int_equal(reply.size, sizes[i / 2]);
		assert_true(memcmp(reply.data, data, sizes[i / 2]) == 0);
		il_bytes_destroy(&reply);
	}
	free(data);
}

static void *call_many(void *ctx)
{
	unsigned seed = (unsigned)(uintptr_t)ctx;
	uint8_t data[3000];
	memset(data, (int)seed, sizeof data);
	for (unsigned i = 0; i < 10; i++) {
		struct inlay_error err = { 0 };
		struct il_bytes reply;
		size_t size = (seed * 131 + i * 977) % sizeof data;
		enum inlay_err code = call("/test.Echo/Echo", data, size, &reply, NULL, &err);
		if (code || reply.size != size || memcmp(reply.data, data, size) != 0)
			return "a wrong answer";
		il_bytes_destroy(&reply);
	}
	return NULL;
}

static void many_at_a_time(void **state)
{
	(void)state;
	pthread_t threads[64];
	int before = atomic_load(&finished_ok);
	for (uintptr_t i = 0; i < 64; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, call_many, (void *)i), 0);
	for (int i = 0; i < 64; i++) {
		void *fault;
		pthread_join(threads[i], &fault);
		assert_null(fault);
	}
	wait_until(&finished_ok, before + 640);
}

static void *write_thousand(void *ctx)
{
	struct inlay_error err = { 0 };
	for (int i = 0; i < 1000; i++)
		if (rpc_stream_write(ctx, &i, sizeof i, &err))
			return "a write failed";
	return rpc_stream_end(ctx, &err) ? "the end failed" : NULL;
}

static void streams(void **state)
{
	(void)state;
	struct inlay_error err;
	struct rpc_stream *stream;
	struct il_bytes message;
	pthread_t writer;
	void *fault;
	assert_ok(rpc_stream_open(&stream, channel, "/test.Echo/All", 60000, &err));
	pthread_create(&writer, NULL, write_thousand, stream);
	for (int i = 0; i < 1000; i++) {
		int value;
		assert_ok(rpc_stream_read(stream, &message, &err));
		assert_int_equal(message.size, 1 + sizeof value);
		memcpy(&value, message.data + 1, sizeof value);
		assert_int_equal(message.data[0], 'r');
		assert_int_equal(value, i);
		il_bytes_destroy(&message);
	}
	assert_int_equal(rpc_stream_read(stream, &message, &err), INLAY_EOF);
	assert_int_equal(rpc_stream_read(stream, &message, &err), INLAY_EOF);
	pthread_join(writer, &fault);
	assert_null(fault);
	rpc_stream_destroy(&stream);
}

static void too_large_a_message(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_bytes reply;
	enum rpc_status status;
	uint8_t *data = calloc(1, MESSAGE_BYTES + 1);
	assert_fails(call("/test.Echo/Echo", data, MESSAGE_BYTES + 1, &reply, &status, &err), INLAY_ERR_BUSY, "larger");
	assert_int_equal(status, RPC_RESOURCE_EXHAUSTED);
	free(data);
	assert_ok(call("/test.Echo/Echo", "x", 1, &reply, NULL, &err));
	il_bytes_destroy(&reply);
}

static void who_calls(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_bytes reply;
	long long ms;
	assert_ok(call("/test.Echo/Peer", "", 0, &reply, NULL, &err));
	assert_int_equal(sscanf((char *)reply.data, "127.0.0.1 %lld", &ms), 1);
	assert_in_range(ms, 30000, 61000); /* gRPC rounds up what it sends */
	il_bytes_destroy(&reply);
	struct rpc_unary unary = { .path = "/test.Echo/Peer" };
	assert_ok(rpc_unary(channel, &unary, &reply, NULL, &err));
	assert_string_equal((char *)reply.data, "127.0.0.1 0");
	il_bytes_destroy(&reply);
}

/* ---- refusals ---- */

static void errors_cross(void **state)
{
	(void)state;
	static const struct {
		enum inlay_err sent, got;
		enum rpc_status status;
	} cases[] = {
		{ INLAY_ERR_INVALID, INLAY_ERR_INVALID, RPC_INVALID_ARGUMENT },
		{ INLAY_ERR_NOT_FOUND, INLAY_ERR_NOT_FOUND, RPC_NOT_FOUND },
		{ INLAY_ERR_BUSY, INLAY_ERR_BUSY, RPC_RESOURCE_EXHAUSTED },
		{ INLAY_ERR_IO, INLAY_ERR_IO, RPC_INTERNAL },
		{ INLAY_ERR_UNAVAILABLE, INLAY_ERR_IO, RPC_UNAVAILABLE },
	};
	struct inlay_error err;
	struct il_bytes reply;
	enum rpc_status status;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		why_failed = cases[i].sent;
		assert_fails(call("/test.Echo/Fail", "", 0, &reply, &status, &err), cases[i].got,
		             "this is why: \xc3\xa4 100 %");
		assert_int_equal(status, cases[i].status);
		assert_null(reply.data);
	}
	assert_fails(call("/test.Echo/None", "", 0, &reply, &status, &err), INLAY_ERR_UNSUPPORTED, "/test.Echo/None");
	assert_int_equal(status, RPC_UNIMPLEMENTED);
}

static void tokens(void **state)
{
	(void)state;
	static const struct {
		const char *token;
		bool good;
	} cases[] = {
		{ "secret", true }, { NULL, false }, { "secre", false }, { "secrets", false }, { "sEcret", false }
	};
	struct rpc_server_params params = server_params();
	struct inlay_error err;
	struct il_bytes reply;
	params.token = "secret";
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		begin(&params, cases[i].token);
		enum rpc_status status;
		enum inlay_err code = call("/test.Echo/Echo", "x", 1, &reply, &status, &err);
		assert_int_equal(status, cases[i].good ? RPC_OK : RPC_UNAUTHENTICATED);
		assert_int_equal(code == INLAY_OK, cases[i].good);
		il_bytes_destroy(&reply);
		assert_ok(call("/test.Echo/Open", "x", 1, &reply, NULL, &err));
		il_bytes_destroy(&reply);
		end(NULL);
	}
}

static void no_more_than_max_calls(void **state)
{
	(void)state;
	struct rpc_server_params params = server_params();
	struct inlay_error err;
	struct il_bytes reply;
	enum rpc_status statuses[4], status;
	pthread_t threads[4];
	params.max_calls = 4;
	begin(&params, NULL);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, call_hold, &statuses[i]);
	wait_until(&held, 4);
	assert_fails(call("/test.Echo/Echo", "", 0, &reply, &status, &err), INLAY_ERR_BUSY, "too many");
	assert_int_equal(status, RPC_RESOURCE_EXHAUSTED);
	assert_ok(call("/test.Echo/Open", "", 0, &reply, NULL, &err));
	il_bytes_destroy(&reply);
	atomic_store(&release_held, true);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(statuses[i], RPC_OK);
	}
	/* Answers are there before their calls are forgotten. */
	for (int ms = 0; call("/test.Echo/Echo", "", 0, &reply, NULL, &err) && ms < 60000; ms++)
		pause_ms(1);
	assert_non_null(reply.data);
	il_bytes_destroy(&reply);
	end(NULL);
}

/* An answer that nobody reads is still there: it counts. */
static void answers_that_nobody_reads(void **state)
{
	(void)state;
	struct rpc_server_params params = server_params();
	struct inlay_error err;
	struct rpc_stream *streams[2];
	struct il_bytes reply;
	enum rpc_status status;
	params.max_calls = 2;
	begin(&params, NULL);
	for (int i = 0; i < 2; i++) {
		assert_ok(rpc_stream_open(&streams[i], channel, "/test.Echo/Swell", 0, &err));
		assert_ok(rpc_stream_write(streams[i], "\x10", 1, &err));
	}
	wait_until(&handled, 2);
	pause_ms(200);
	assert_fails(call("/test.Echo/Unary", "", 0, &reply, &status, &err), INLAY_ERR_BUSY, "too many");
	for (int i = 0; i < 2; i++) {
		assert_ok(rpc_stream_read(streams[i], &reply, &err));
		assert_int_equal(reply.size, 16 << 20);
		il_bytes_destroy(&reply);
		rpc_stream_destroy(&streams[i]);
	}
	for (int ms = 0; call("/test.Echo/Unary", "x", 1, &reply, NULL, &err) && ms < 60000; ms++)
		pause_ms(1);
	assert_int_equal(reply.size, 1);
	il_bytes_destroy(&reply);
	end(NULL);
}

/* Who needs no token cannot take the place of those that have one. */
static void open_calls_are_counted_apart(void **state)
{
	(void)state;
	enum { MANY = 40 };
	struct rpc_server_params params = server_params();
	struct inlay_error err;
	struct rpc_stream *streams[MANY];
	struct il_bytes reply;
	params.max_calls = 2;
	begin(&params, NULL);
	for (int i = 0; i < MANY; i++) {
		assert_ok(rpc_stream_open(&streams[i], channel, "/test.Echo/Watch", 0, &err));
		(void)rpc_stream_write(streams[i], "", 0, &err);
	}
	wait_until(&held, 32);
	assert_ok(call("/test.Echo/Echo", "x", 1, &reply, NULL, &err));
	il_bytes_destroy(&reply);
	for (int i = 0; i < MANY; i++)
		rpc_stream_destroy(&streams[i]);
	wait_until(&held, 0);
	end(NULL);
}

static void calls_without_a_message(void **state)
{
	(void)state;
	struct inlay_error err;
	struct rpc_stream *stream;
	struct il_bytes message;
	assert_ok(rpc_stream_open(&stream, channel, "/test.Echo/Unary", 0, &err));
	assert_ok(rpc_stream_end(stream, &err));
	assert_fails(rpc_stream_read(stream, &message, &err), INLAY_ERR_INVALID, "without a message");
	rpc_stream_destroy(&stream);
}

/* ---- connections ---- */

static int connect_raw(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)rpc_server_port(server)) };
	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void garbage_does_no_harm(void **state)
{
	(void)state;
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	int fds[24];
	for (int i = 0; i < 24; i++) {
		uint8_t noise[2000];
		for (size_t k = 0; k < sizeof noise; k++)
			noise[k] = (uint8_t)test_random();
		fds[i] = connect_raw();
		if (i % 3 == 0)
			assert_true(send(fds[i], preface, sizeof preface - 1, MSG_NOSIGNAL) > 0);
		if (i % 3 != 2)
			assert_true(send(fds[i], noise, sizeof noise, MSG_NOSIGNAL) > 0);
	}
	struct inlay_error err;
	struct il_bytes reply;
	assert_ok(call("/test.Echo/Echo", "still here", 10, &reply, NULL, &err));
	il_bytes_destroy(&reply);
	for (int i = 0; i < 24; i++)
		close(fds[i]);
	assert_ok(call("/test.Echo/Echo", "still here", 10, &reply, NULL, &err));
	il_bytes_destroy(&reply);
}

static void ports(void **state)
{
	(void)state;
	struct inlay_error err;
	struct rpc_server *second;
	char address[64];
	struct rpc_server_params params = server_params();
	snprintf(address, sizeof address, "127.0.0.1:%d", rpc_server_port(server));
	params.address = address;
	assert_fails(rpc_server_start(&second, &params, &err), INLAY_ERR_IO, "Address already in use");
	assert_null(second);
	params.address = "nonsense";
	assert_fails(rpc_server_start(&second, &params, &err), INLAY_ERR_IO, "nonsense");
	struct rpc_channel *nobody;
	assert_fails(rpc_channel_create(&nobody, &(struct rpc_channel_params){ .url = "http://localhost:1" }, &err),
	             INLAY_ERR_INVALID, "expected HOST:PORT");
	assert_null(nobody);
	/* Nobody listens on port 1. */
	assert_ok(rpc_channel_create(&nobody, &(struct rpc_channel_params){ .url = "127.0.0.1:1" }, &err));
	struct rpc_unary unary = { .path = "/test.Echo/Echo", .timeout_ms = 30000 };
	struct il_bytes reply;
	enum rpc_status status;
	assert_fails(rpc_unary(nobody, &unary, &reply, &status, &err), INLAY_ERR_IO, "127.0.0.1:1");
	assert_int_equal(status, RPC_UNAVAILABLE);
	rpc_channel_destroy(&nobody);
}

static void connects_again(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_bytes reply;
	char address[64];
	struct rpc_server_params params = server_params();
	begin(&params, NULL);
	assert_ok(call("/test.Echo/Echo", "", 0, &reply, NULL, &err));
	il_bytes_destroy(&reply);
	snprintf(address, sizeof address, "127.0.0.1:%d", rpc_server_port(server));
	rpc_server_destroy(&server);
	assert_int_not_equal(call("/test.Echo/Echo", "", 0, &reply, NULL, &err), INLAY_OK);
	params.address = address;
	assert_ok(rpc_server_start(&server, &params, &err));
	enum inlay_err code = INLAY_ERR_IO;
	for (int i = 0; i < 600 && code; i++) {
		code = call("/test.Echo/Echo", "", 0, &reply, NULL, &err);
		il_bytes_destroy(&reply);
		if (code)
			pause_ms(100);
	}
	assert_int_equal(code, INLAY_OK);
	end(NULL);
}

static void tls(void **state)
{
	(void)state;
	char cert[256], key[256], url[64], command[1024];
	struct inlay_error err;
	struct il_bytes reply;
	snprintf(cert, sizeof cert, "%s", test_scratch("cert.pem"));
	snprintf(key, sizeof key, "%s", test_scratch("key.pem"));
	snprintf(
		command, sizeof command,
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
		"-addext subjectAltName=DNS:localhost -keyout %s -out %s 2>/dev/null",
		key, cert);
	if (system(command) != 0)
		skip();
	struct rpc_server_params params = server_params();
	params.tls_cert = cert;
	params.tls_key = key;
	begin(&params, NULL);
	assert_int_not_equal(call("/test.Echo/Echo", "plain", 5, &reply, NULL, &err), INLAY_OK);
	rpc_channel_destroy(&channel);
	snprintf(url, sizeof url, "grpcs://localhost:%d", rpc_server_port(server));
	struct rpc_channel_params trusting = { .url = url, .tls_ca = cert, .message_bytes = MESSAGE_BYTES };
	assert_ok(rpc_channel_create(&channel, &trusting, &err));
	assert_ok(call("/test.Echo/Echo", "secret", 6, &reply, NULL, &err));
	assert_string_equal((char *)reply.data, "secret");
	il_bytes_destroy(&reply);
	rpc_channel_destroy(&channel);
	trusting.tls_ca = NULL; /* a certificate that the system's authorities did not sign */
	assert_ok(rpc_channel_create(&channel, &trusting, &err));
	assert_fails(call("/test.Echo/Echo", "secret", 6, &reply, NULL, &err), INLAY_ERR_IO, "localhost");
	end(NULL);

	params.tls_client_ca = cert; /* who has none of its own is not let in */
	assert_ok(rpc_server_start(&server, &params, &err));
	snprintf(url, sizeof url, "grpcs://localhost:%d", rpc_server_port(server));
	trusting.tls_ca = cert;
	assert_ok(rpc_channel_create(&channel, &trusting, &err));
	assert_fails(call("/test.Echo/Echo", "secret", 6, &reply, NULL, &err), INLAY_ERR_IO, "localhost");
	end(NULL);

	params.tls_client_ca = NULL;
	params.tls_key = cert;
	assert_fails(rpc_server_start(&server, &params, &err), INLAY_ERR_FORMAT, "cert.pem");
	params.tls_key = "/nonexistent.pem";
	assert_fails(rpc_server_start(&server, &params, &err), INLAY_ERR_NOT_FOUND, "/nonexistent.pem");
	unlink(cert);
	unlink(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(messages_come_back),
		WITH_SERVER(many_at_a_time),
		WITH_SERVER(streams),
		WITH_SERVER(too_large_a_message),
		WITH_SERVER(who_calls),
		WITH_SERVER(errors_cross),
		cmocka_unit_test(tokens),
		cmocka_unit_test(no_more_than_max_calls),
		cmocka_unit_test(answers_that_nobody_reads),
		cmocka_unit_test(open_calls_are_counted_apart),
		WITH_SERVER(calls_without_a_message),
		WITH_SERVER(garbage_does_no_harm),
		WITH_SERVER(ports),
		cmocka_unit_test(connects_again),
		cmocka_unit_test(tls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
