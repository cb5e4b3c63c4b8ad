#include "server/rpc/mouths_client.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "composite/place.h"
#include "server/rpc/kserve_fake_test.h"
#include "server/rpc/message.h"
#include "server/rpc/mouths_impl.h"

#define SERVERS 3
#define MOUTH (FAKE_SIZE * FAKE_SIZE * 3)

static struct inlay_error err;

/* ---- servers ---- */

struct server {
	struct fake fake;
	atomic_bool down, hangs, full; /* full: takes pictures, not ours */
	atomic_uint infers;
	size_t reply; /* bytes of the last ModelInfer's */
};
static struct server servers[SERVERS];

struct rpc_channel {
	struct server *server;
};

/* "127.0.0.1:K" is server K. */
enum inlay_err rpc_channel_create(struct rpc_channel **channel, const struct rpc_channel_params *params,
                                  struct inlay_error *error)
{
	(void)error;
	*channel = calloc(1, sizeof **channel);
	(*channel)->server = &servers[atoi(strrchr(params->url, ':') + 1)];
	return INLAY_OK;
}

void rpc_channel_destroy(struct rpc_channel **channel)
{
	free(*channel);
	*channel = NULL;
}

static enum inlay_err full_server(const char *path, struct rpc_call *call, struct inlay_error *error);

static enum inlay_err hang(const struct rpc_unary *unary, struct server *server, struct inlay_error *error)
{
	int64_t end = unary->timeout_ms ? il_clock_ns() + unary->timeout_ms * 1000000 : INT64_MAX;
	while (atomic_load(&server->hangs)) {
		if (unary->cancelled && unary->cancelled(unary->cancel_ctx))
			return il_fail(error, INLAY_ERR_CANCELLED, "cancelled");
		if (il_clock_ns() >= end)
			return il_fail(error, INLAY_ERR_TIMEOUT, "deadline");
		usleep(2000);
	}
	return INLAY_OK;
}

enum inlay_err rpc_unary(struct rpc_channel *channel, const struct rpc_unary *unary, struct il_bytes *reply,
                         enum rpc_status *status, struct inlay_error *error)
{
	struct server *server = channel->server;
	struct rpc_call call = { .messages = { { (uint8_t *)unary->data, unary->size } }, .n = 1 };
	struct inlay_error failure = { 0 };
	*reply = (struct il_bytes){ 0 };
	*status = RPC_UNAVAILABLE;
	if (atomic_load(&server->down))
		return il_fail(error, INLAY_ERR_IO, "connection refused");
	enum inlay_err rc = hang(unary, server, error);
	if (rc)
		return rc;
	call.cancelled = unary->cancelled;
	call.cancel_ctx = unary->cancel_ctx;
	call.deadline_ns = unary->timeout_ms ? il_clock_ns() + unary->timeout_ms * 1000000 : 0;
	rc = atomic_load(&server->full) ? full_server(unary->path, &call, &failure)
	                                : fake_handle(&server->fake, unary->path, &call, &failure);
	if (strstr(unary->path, "ModelInfer")) {
		atomic_fetch_add(&server->infers, 1);
		__atomic_store_n(&server->reply, call.written.size, __ATOMIC_RELAXED);
	}
	*status = rpc_status_of(rc);
	if (!rc)
		*reply = call.written;
	else
		free(call.written.data);
	return rc ? il_fail(error, rpc_error_of((int)*status), "%s", failure.text) : INLAY_OK;
}

/* ---- metrics ---- */

static atomic_int ok_count, retry_count;

struct metric *metrics_add(struct metrics *metrics, enum metrics_kind kind, const char *name, const char *help,
                           const char *label)
{
	(void)metrics, (void)kind, (void)help, (void)name;
	return (struct metric *)(label ? &ok_count : &retry_count);
}

void metric_count(struct metric *metric, const char *value, int64_t n)
{
	if (!value || !strcmp(value, "ok"))
		atomic_fetch_add((atomic_int *)metric, (int)n);
}

/* ---- a client ---- */

static struct mouths_client *connect_to(unsigned n, bool shared_memory)
{
	static const char *const urls[] = { "127.0.0.1:0", "grpc://localhost:1", "127.0.0.1:2" };
	struct mouths_client_params params = { .urls = urls, .n_urls = n, .message_bytes = 100 << 20 };
	params.shared_memory = shared_memory;
	struct mouths_client *client;
	assert_ok(mouths_client_create(&client, &params, &err));
	return client;
}

static void reset(void)
{
	for (int i = 0; i < SERVERS; i++) {
		if (servers[i].fake.regions)
			regions_destroy(&servers[i].fake.regions);
		memset((void *)&servers[i], 0, sizeof servers[i]);
		servers[i].fake.avatars = 3;
		assert_ok(regions_create(&servers[i].fake.regions, &err));
	}
	atomic_store(&ok_count, 0);
	atomic_store(&retry_count, 0);
}

/* A request of n frames, and whether what came back is what the fake draws. */
struct job {
	int64_t frames[200];
	float audio[200][FAKE_WINDOW];
	const float *windows[200];
	uint8_t bytes[200][MOUTH];
	uint8_t *mouths[200];
	struct il_mouths_request request;
};

static struct job *make_job(unsigned n, uint32_t seed)
{
	struct job *job = calloc(1, sizeof *job);
	for (unsigned i = 0; i < n; i++) {
		job->frames[i] = (seed + i * 13) % FAKE_FRAMES;
		for (int j = 0; j < FAKE_WINDOW; j++)
			job->audio[i][j] = (float)((seed + i * 31 + j * 7) % 100) / 100;
		job->windows[i] = job->audio[i];
		job->mouths[i] = job->bytes[i];
	}
	job->request = (struct il_mouths_request){ .avatar = "avatar-00001", .n = n, .frames = job->frames };
	job->request.windows = job->windows;
	job->request.mouths = job->mouths;
	return job;
}

static bool is_drawn(const struct job *job)
{
	for (unsigned i = 0; i < job->request.n; i++)
		for (size_t j = 0; j < MOUTH; j++)
			if (job->bytes[i][j] != fake_byte(job->frames[i], job->audio[i], j))
				return false;
	return true;
}

static enum inlay_err try_job(struct mouths_client *client, struct job *job, struct inlay_error *error)
{
	struct il_mouths mouths = mouths_client_mouths(client);
	return mouths.draw(mouths.ctx, &job->request, error);
}

static void draw(struct mouths_client *client, unsigned n, uint32_t seed)
{
	struct job *job = make_job(n, seed);
	assert_ok(try_job(client, job, &err));
	assert_true(is_drawn(job));
	free(job);
}

/* ---- tests ---- */

static void mouths_come_back(void **state)
{
	(void)state;
	for (int shared = 0; shared < 2; shared++) {
		reset();
		struct mouths_client *client = connect_to(1, shared);
		struct il_mouths mouths = mouths_client_mouths(client);
		struct il_mouths_info info;
		assert_ok(mouths.info(mouths.ctx, "avatar-00002", &info, &err));
		assert_int_equal(info.size, FAKE_SIZE);
		assert_int_equal(info.window_floats, FAKE_WINDOW);
		assert_int_equal(info.audio_dims[2], 2);
		assert_false(info.takes_crops);
		assert_int_equal(mouths_client_healthy(client), 1);
		draw(client, 1, 1);
		draw(client, 24, 2);
		if (shared)
			assert_true(servers[0].reply < 512);
		else
			assert_true(servers[0].reply > 24 * MOUTH);
		assert_int_equal(servers[0].infers, 2);
		draw(client, 150, 3);
		assert_int_equal(servers[0].infers, 5);
		struct region_info regions[8];
		size_t n = regions_list(servers[0].fake.regions, "", regions, 8);
		assert_int_equal(n, shared ? 1 : 0);
		if (shared)
			assert_int_equal(shm_open(regions[0].key, O_RDWR, 0), -1); /* nothing is left behind */
		mouths_client_destroy(&client);
		assert_int_equal(regions_list(servers[0].fake.regions, "", regions, 8), 0);
	}
}

static void faults_of_the_request_are_told_once(void **state)
{
	(void)state;
	reset();
	struct mouths_client *client = connect_to(2, false);
	struct job *job = make_job(2, 1);
	job->request.avatar = "nobody";
	assert_fails(try_job(client, job, &err), INLAY_ERR_NOT_FOUND, "unknown model \"nobody\"");
	job->request.avatar = "avatar-00000";
	job->frames[1] = FAKE_FRAMES;
	assert_fails(try_job(client, job, &err), INLAY_ERR_INVALID, "expected 0..49");
	assert_int_equal(servers[0].infers + servers[1].infers, 1);
	job->frames[1] = INT64_C(1) << 32;
	assert_fails(try_job(client, job, &err), INLAY_ERR_INVALID, "frame 4294967296");
	job->request.n = 0;
	assert_fails(try_job(client, job, &err), INLAY_ERR_INVALID, "0 frames");
	assert_int_equal(retry_count, 0);
	free(job);
	mouths_client_destroy(&client);
}

static void another_server_takes_over(void **state)
{
	(void)state;
	reset();
	struct mouths_client *client = connect_to(2, true);
	while (mouths_client_healthy(client) < 2)
		usleep(1000);
	atomic_store(&servers[0].down, true);
	for (uint32_t i = 0; i < 4; i++)
		draw(client, 3, i);
	assert_int_equal(servers[1].infers, 4);
	assert_true(retry_count >= 1);
	/* Both gone: the deadline ends it. */
	atomic_store(&servers[1].down, true);
	struct job *job = make_job(2, 1);
	int64_t began = il_clock_ns();
	job->request.deadline_ns = began + 300000000;
	assert_fails(try_job(client, job, &err), INLAY_ERR_TIMEOUT, "deadline");
	assert_in_range(il_clock_ns() - began, 300000000, 3000000000);
	/* One comes back while somebody waits for it. */
	job->request.deadline_ns = 0;
	atomic_store(&servers[0].down, false);
	assert_ok(try_job(client, job, &err));
	assert_true(is_drawn(job));
	free(job);
	mouths_client_destroy(&client);
}

static void busy_servers_send_on(void **state)
{
	(void)state;
	reset();
	struct mouths_client *client = connect_to(2, false);
	while (mouths_client_healthy(client) < 2)
		usleep(1000);
	servers[0].fake.refuse = INLAY_ERR_BUSY;
	for (uint32_t i = 0; i < 4; i++)
		draw(client, 1, i);
	servers[1].fake.refuse = INLAY_ERR_BUSY;
	struct job *job = make_job(1, 1);
	assert_fails(try_job(client, job, &err), INLAY_ERR_BUSY, "refused by the test");
	free(job);
	mouths_client_destroy(&client);
}

/* A server that was started anew has forgotten our memory before we know. */
static void memory_is_registered_again(void **state)
{
	(void)state;
	reset();
	struct mouths_client *client = connect_to(1, true);
	draw(client, 4, 1);
	assert_ok(regions_unregister(servers[0].fake.regions, "", &err));
	draw(client, 4, 2);
	assert_true(servers[0].reply > 4 * MOUTH);
	draw(client, 4, 3);
	assert_true(servers[0].reply < 512);
	/* One that takes none is sent bytes. */
	mouths_client_destroy(&client);
	regions_destroy(&servers[0].fake.regions);
	client = connect_to(1, true);
	draw(client, 4, 4);
	assert_true(servers[0].reply > 4 * MOUTH);
	mouths_client_destroy(&client);
}

static void *hanging_job(void *ctx)
{
	struct job *job = make_job(3, 5);
	enum inlay_err rc = try_job(ctx, job, NULL);
	bool drawn = is_drawn(job);
	free(job);
	return !rc && drawn ? ctx : NULL;
}

static void hanging_servers_are_given_up(void **state)
{
	(void)state;
	reset();
	atomic_store(&servers[1].down, true);
	struct mouths_client *client = connect_to(2, true);
	while (mouths_client_healthy(client) < 1)
		usleep(1000);
	atomic_store(&servers[0].hangs, true);
	pthread_t thread;
	void *drawn;
	assert_int_equal(pthread_create(&thread, NULL, hanging_job, client), 0);
	atomic_store(&servers[1].down, false);
	pthread_join(thread, &drawn);
	assert_non_null(drawn);
	assert_int_equal(servers[0].infers, 0);
	mouths_client_destroy(&client);
}

static bool always(void *ctx)
{
	(void)ctx;
	return true;
}

static void cancelled_is_cancelled(void **state)
{
	(void)state;
	reset();
	struct mouths_client *client = connect_to(1, true);
	struct job *job = make_job(3, 5);
	draw(client, 1, 1);
	servers[0].fake.delay_us = 10000000;
	job->request.cancelled = always;
	assert_int_equal(try_job(client, job, NULL), INLAY_ERR_CANCELLED);
	servers[0].fake.delay_us = 0;
	draw(client, 1, 1);
	free(job);
	mouths_client_destroy(&client);
}

static void *draw_many(void *ctx)
{
	int failed = 0;
	for (uint32_t i = 0; i < 30; i++) {
		struct job *job = make_job(1 + i % 9, i);
		failed += try_job(ctx, job, NULL) != INLAY_OK || !is_drawn(job);
		free(job);
	}
	return failed ? NULL : ctx;
}

static void many_share_the_servers(void **state)
{
	(void)state;
	reset();
	for (int i = 0; i < SERVERS; i++)
		servers[i].fake.delay_us = 1000;
	struct mouths_client *client = connect_to(SERVERS, true);
	while (mouths_client_healthy(client) < SERVERS)
		usleep(1000);
	pthread_t threads[8];
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, draw_many, client), 0);
	usleep(20000);
	atomic_store(&servers[1].down, true);
	usleep(20000);
	atomic_store(&servers[1].down, false);
	for (int i = 0; i < 8; i++) {
		void *drawn;
		pthread_join(threads[i], &drawn);
		assert_non_null(drawn);
	}
	assert_true(servers[0].infers > 40 && servers[2].infers > 40);
	mouths_client_destroy(&client);
}

/* ---- full tensors: a server that gives the picture's first three planes back ---- */

static void put_tensor(struct il_bytes *to, unsigned number, const char *name, const int64_t *shape, size_t dims)
{
	struct il_bytes tensor = { 0 };
	uint8_t packed[64];
	size_t n = 0;
	for (size_t i = 0; i < dims; i++)
		n += message_put_varint(packed + n, (uint64_t)shape[i]);
	put_bytes(&tensor, 1, name, strlen(name));
	put_bytes(&tensor, 2, "FP32", 4);
	put_bytes(&tensor, 3, packed, n);
	put_bytes(to, number, tensor.data, tensor.size);
	free(tensor.data);
}

static const int64_t picture_shape[] = { -1, 6, FAKE_SIZE, FAKE_SIZE }, audio_shape[] = { -1, 3, 2, 2 },
		     output_shape[] = { -1, 3, FAKE_SIZE, FAKE_SIZE };

static enum inlay_err full_server(const char *path, struct rpc_call *call, struct inlay_error *error)
{
	struct il_bytes *to = &call->written;
	if (strstr(path, "ServerReady")) {
		rpc_write(call, "\x08\x01", 2, NULL);
	} else if (strstr(path, "ModelMetadata")) {
		put_tensor(to, 4, "audio", audio_shape, 4);
		put_tensor(to, 4, "input", picture_shape, 4);
		put_tensor(to, 5, "output", output_shape, 4);
	} else if (strstr(path, "ModelInfer")) {
		struct span raw[2], rest;
		struct arena arena;
		size_t n;
		arena_init(&arena, 1 << 20);
		enum inlay_err rc = message_split(call->messages[0].data, call->messages[0].size, 7, raw, 2, &n, &rest,
		                                  &arena, error);
		arena_destroy(&arena);
		size_t planes = MOUTH * sizeof(float), frames = raw[0].size / (2 * planes);
		if (rc || n != 2 || raw[1].size != frames * FAKE_WINDOW * sizeof(float))
			return il_fail(error, INLAY_ERR_INVALID, "not what was expected");
		float *out = malloc(frames * planes);
		for (size_t i = 0; i < frames; i++)
			memcpy(out + i * MOUTH, raw[0].data + 2 * i * planes, planes);
		put_tensor(to, 5, "output", output_shape, 4);
		put_bytes(to, 6, out, frames * planes);
		free(out);
	} else {
		return il_fail(error, INLAY_ERR_UNSUPPORTED, "no method %s", path);
	}
	return INLAY_OK;
}

static void full_tensors_cross(void **state)
{
	(void)state;
	reset();
	atomic_store(&servers[0].full, true);
	struct mouths_client *client = connect_to(1, true);
	struct job *job = make_job(5, 1);
	enum { SIDE = FAKE_SIZE + 2 * IL_PLACE_MARGIN };
	static uint8_t crops[5][SIDE][SIDE][3];
	const uint8_t *list[5];
	for (int i = 0; i < 5; i++) {
		list[i] = &crops[i][0][0][0];
		for (size_t j = 0; j < sizeof crops[i]; j++)
			((uint8_t *)crops[i])[j] = (uint8_t)test_random();
	}
	struct il_mouths mouths = mouths_client_mouths(client);
	struct il_mouths_info info;
	assert_ok(mouths.info(mouths.ctx, "any", &info, &err));
	assert_true(info.takes_crops);
	assert_int_equal(info.size, FAKE_SIZE);
	assert_fails(try_job(client, job, &err), INLAY_ERR_INVALID, "expected faces");
	job->request.crops = list;
	assert_ok(try_job(client, job, &err));
	for (int i = 0; i < 5; i++)
		for (int y = 0; y < FAKE_SIZE; y++)
			assert_memory_equal(job->bytes[i] + (size_t)y * FAKE_SIZE * 3,
			                    crops[i][y + IL_PLACE_MARGIN][IL_PLACE_MARGIN], FAKE_SIZE * 3);
	free(job);
	mouths_client_destroy(&client);
}

static int finish(void **state)
{
	(void)state;
	for (int i = 0; i < SERVERS; i++)
		regions_destroy(&servers[i].fake.regions);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mouths_come_back),           cmocka_unit_test(faults_of_the_request_are_told_once),
		cmocka_unit_test(another_server_takes_over),  cmocka_unit_test(busy_servers_send_on),
		cmocka_unit_test(memory_is_registered_again), cmocka_unit_test(hanging_servers_are_given_up),
		cmocka_unit_test(cancelled_is_cancelled),     cmocka_unit_test(many_share_the_servers),
		cmocka_unit_test(full_tensors_cross),
	};
	return cmocka_run_group_tests(tests, NULL, finish);
}
