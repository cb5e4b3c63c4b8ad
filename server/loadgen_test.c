/* The generator's messages against those of another implementation, and its figures against a server that is a function
 * of this file. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/file.h"
#include "server/loadgen.h"
#include "server/loadgen_messages.h"
#include "server/rpc/rpc.h"
#include "tests/test.h"

/* ---- messages: bytes as Python's protobuf writes them from kserve.proto ---- */

static const char infer_golden[] =
	"\x0a\x04\x61\x6e\x6e\x61\x2a\x17\x0a\x0b\x66\x72\x61\x6d\x65\x5f\x69\x6e\x64\x65\x78\x12\x05\x49\x4e\x54\x33"
	"\x32\x1a\x01\x02\x2a\x13\x0a\x05\x61\x75\x64\x69\x6f\x12\x04\x46\x50\x33\x32\x1a\x04\x02\x01\x02\x03\x32\x07"
	"\x0a\x05\x6d\x6f\x75\x74\x68\x3a\x08\x05\x00\x00\x00\x2c\x01\x00\x00\x3a\x30\x00\x00\x00\x00\x00\x00\x80\x3f"
	"\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\x80\x40\x00\x00\xa0\x40\x00\x00\xc0\x40\x00\x00\xe0\x40\x00\x00\x00"
	"\x41\x00\x00\x10\x41\x00\x00\x20\x41\x00\x00\x30\x41";
static const char metadata_golden[] =
	"\x0a\x04\x61\x6e\x6e\x61\x12\x01\x31\x1a\x05\x69\x6e\x6c\x61\x79\x22\x20\x0a\x0b\x66\x72\x61\x6d\x65\x5f\x69"
	"\x6e\x64\x65\x78\x12\x05\x49\x4e\x54\x33\x32\x1a\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x22\x1c\x0a\x05"
	"\x61\x75\x64\x69\x6f\x12\x04\x46\x50\x33\x32\x1a\x0d\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x20\x10\x10\x2a"
	"\x1f\x0a\x05\x6d\x6f\x75\x74\x68\x12\x05\x55\x49\x4e\x54\x38\x1a\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	"\xc0\x02\xc0\x02\x03";
static const char list_golden[] =
	"\x0a\x0d\x0a\x04\x61\x6e\x6e\x61\x1a\x05\x52\x45\x41\x44\x59\x0a\x06\x0a\x01\x62\x12\x01\x31";

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

static void infer_request(void **state)
{
	const struct loadgen_model model = { "mouth", { 1, 2, 3 }, 6, 12 };
	const int32_t frames[] = { 5, 300 };
	float audio[12];
	struct wire wire = { 0 };
	(void)state;
	for (int i = 0; i < 12; i++)
		audio[i] = (float)i;
	loadgen_write_infer(&wire, &(struct loadgen_batch){ "anna", &model, 2, frames, audio, NULL });
	assert_false(wire.failed);
	assert_int_equal(wire.size, sizeof infer_golden - 1);
	assert_memory_equal(wire.data, infer_golden, wire.size);
	wire_free(&wire);
}

static void metadata(void **state)
{
	struct inlay_error err;
	struct loadgen_model model;
	(void)state;
	assert_ok(loadgen_read_metadata(BYTES(metadata_golden), &model, &err));
	assert_string_equal(model.output, "mouth");
	assert_int_equal(model.window_floats, 32 * 16 * 16);
	assert_int_equal(model.audio_dims[0], 32);
	assert_int_equal(model.mouth_bytes, 320 * 320 * 3);
	/* Cut short anywhere it is an error, and never more than that. */
	for (size_t size = 0; size + 1 < sizeof metadata_golden; size++) {
		struct inlay_error cut = { 0 };
		assert_int_not_equal(loadgen_read_metadata((const uint8_t *)metadata_golden, size, &model, &cut),
		                     INLAY_OK);
	}
}

static void list(void **state)
{
	struct inlay_error err;
	char **names;
	unsigned n;
	(void)state;
	assert_ok(loadgen_read_list(BYTES(list_golden), &names, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(names[0], "anna");
	assert_string_equal(names[1], "b");
	for (unsigned i = 0; i < n; i++)
		free(names[i]);
	free(names);
	assert_fails(loadgen_read_list((const uint8_t *)"\x0a\x7f", 2, &names, &n, &err), INLAY_ERR_FORMAT,
	             "RepositoryIndex");
	free(names);
}

static void wire_reads_what_it_writes(void **state)
{
	struct wire wire = { 0 };
	struct wire_field field;
	const int64_t values[] = { 1, 300, -1 };
	(void)state;
	wire_int(&wire, 1, -5);
	wire_text(&wire, 2000, "text");
	wire_packed(&wire, 3, values, 3);
	wire_bytes(&wire, 4, NULL, 0);
	const uint8_t *at = wire.data;
	size_t left = wire.size;
	assert_true(wire_next(&at, &left, &field));
	assert_true((int64_t)field.value == -5 && field.number == 1 && !field.bytes);
	assert_true(wire_next(&at, &left, &field));
	assert_true(field.number == 2000 && field.size == 4 && !memcmp(field.data, "text", 4));
	assert_true(wire_next(&at, &left, &field));
	assert_true(field.size == 1 + 2 + 10);
	assert_true(wire_next(&at, &left, &field));
	assert_true(field.number == 4 && field.bytes && field.size == 0);
	assert_false(wire_next(&at, &left, &field));
	assert_int_equal(left, 0);
	wire_free(&wire);
}

static void hostile_answers(void **state)
{
	(void)state;
	for (int round = 0; round < 20000; round++) {
		uint8_t bytes[48];
		struct inlay_error err = { 0 };
		struct loadgen_model model;
		char **names;
		unsigned n;
		size_t size = test_random() % sizeof bytes;
		for (size_t i = 0; i < size; i++)
			bytes[i] = test_random() & 3 ? (uint8_t)(test_random() % 64) : (uint8_t)test_random();
		loadgen_read_metadata(bytes, size, &model, &err);
		loadgen_check_composite(bytes, size, 1, &err);
		loadgen_check_frame(bytes, size, 0, &err);
		loadgen_read_list(bytes, size, &names, &n, &err);
		while (n)
			free(names[--n]);
		free(names);
	}
}

/* ---- a server that is a function ---- */

static atomic_int requests, refused_every, asked[4];
static atomic_int answer_ms;
static const char *const names[] = { "a", "b", "c", "d" };

enum inlay_err rpc_channel_create(struct rpc_channel **channel, const struct rpc_channel_params *params,
                                  struct inlay_error *err)
{
	(void)params, (void)err;
	*channel = malloc(1);
	return INLAY_OK;
}

void rpc_channel_destroy(struct rpc_channel **channel)
{
	free(*channel);
	*channel = NULL;
}

static void reply_with(struct il_bytes *reply, struct wire *wire)
{
	reply->data = wire->data;
	reply->size = wire->size;
}

static enum inlay_err answer_composite(const struct rpc_unary *call, struct wire *wire)
{
	const uint8_t *at = call->data;
	size_t left = call->size;
	struct wire_field field;
	int64_t n = 0;
	int count = atomic_fetch_add(&requests, 1) + 1;
	while (wire_next(&at, &left, &field)) {
		if (field.number == 1)
			atomic_fetch_add(&asked[field.data[0] - 'a'], 1);
		if (field.number == 5)
			n = (int64_t)field.value;
	}
	usleep((unsigned)answer_ms * 1000);
	bool fine = !refused_every || count % refused_every;
	for (int64_t i = 0; i < n && fine; i++)
		wire_bytes(wire, 1, "\xff\xd8\xff\xe0\0\0", 6);
	wire_int(wire, 8, fine);
	if (!fine)
		wire_text(wire, 9, "too much to do");
	return INLAY_OK;
}

enum inlay_err rpc_unary(struct rpc_channel *channel, const struct rpc_unary *call, struct il_bytes *reply,
                         enum rpc_status *status, struct inlay_error *err)
{
	struct wire wire = { 0 };
	(void)channel, (void)err;
	if (status)
		*status = RPC_OK;
	if (!strcmp(call->path, LOADGEN_LIST)) {
		for (int i = 0; i < 4; i++) {
			struct wire entry = { 0 };
			wire_text(&entry, 1, names[i]);
			wire_message(&wire, 1, &entry);
			wire_free(&entry);
		}
	} else if (!strcmp(call->path, LOADGEN_METADATA)) {
		wire.data = malloc(sizeof metadata_golden);
		memcpy(wire.data, metadata_golden, wire.size = sizeof metadata_golden - 1);
	} else {
		answer_composite(call, &wire);
	}
	reply_with(reply, &wire);
	return INLAY_OK;
}

/* Streams are tried on the program itself (tests/serve_test.py). */
enum inlay_err rpc_stream_open(struct rpc_stream **stream, struct rpc_channel *channel, const char *path,
                               int64_t timeout_ms, struct inlay_error *err)
{
	(void)stream, (void)channel, (void)path, (void)timeout_ms;
	return il_fail(err, INLAY_ERR_UNSUPPORTED, "no streams here");
}

enum inlay_err rpc_stream_write(struct rpc_stream *stream, const void *data, size_t size, struct inlay_error *err)
{
	(void)stream, (void)data, (void)size;
	return il_fail(err, INLAY_ERR_UNSUPPORTED, "no streams here");
}

enum inlay_err rpc_stream_end(struct rpc_stream *stream, struct inlay_error *err)
{
	return rpc_stream_write(stream, NULL, 0, err);
}

enum inlay_err rpc_stream_read(struct rpc_stream *stream, struct il_bytes *message, struct inlay_error *err)
{
	(void)message;
	return rpc_stream_write(stream, NULL, 0, err);
}

void rpc_stream_cancel(struct rpc_stream *stream)
{
	(void)stream;
}

void rpc_stream_destroy(struct rpc_stream **stream)
{
	(void)stream;
}

/* ---- figures ---- */

static struct loadgen_result result;

static void run(struct loadgen_params params)
{
	struct inlay_error err;
	params.url = "nowhere:1";
	params.mode = LOADGEN_COMPOSITE;
	atomic_store(&requests, 0);
	for (int i = 0; i < 4; i++)
		atomic_store(&asked[i], 0);
	assert_ok(loadgen_run(&params, &result, &err));
}

static void flat_out(void **state)
{
	(void)state;
	refused_every = 10;
	answer_ms = 0;
	run((struct loadgen_params){ .clients = 3, .zipf = 1, .seconds = 0.5, .batch = 2, .sentence_s = 0.001 });
	refused_every = 0;
	assert_int_equal(result.avatars, 4);
	assert_true(result.requests > 20);
	assert_int_equal(result.frames, 2 * result.requests);
	assert_int_equal(result.latency.count, result.requests);
	assert_int_equal(result.n_kinds, 1);
	assert_string_equal(result.kinds[0].kind, "refused");
	assert_string_equal(result.kinds[0].text, "too much to do");
	/* The last of them may have been cut off by the end. */
	assert_true(requests - result.requests - result.errors <= 3);
	assert_true(result.errors > 0 && result.errors == result.kinds[0].count);
}

static void paced(void **state)
{
	(void)state;
	answer_ms = 5;
	run((struct loadgen_params){ .clients = 2, .fps = 50, .seconds = 1, .batch = 5, .avatars = 1 });
	/* A request each 100 ms: about 10 of each client; a machine that is busy does fewer, and never more. */
	assert_true(result.requests >= 8 && result.requests <= 22);
	assert_int_equal(asked[0], requests);
	answer_ms = 250;
	run((struct loadgen_params){ .clients = 1, .fps = 50, .seconds = 1, .batch = 5, .avatars = 1 });
	/* Each takes longer than its 100 ms: all late, and the delay adds up from request to request. */
	assert_int_equal(result.late, result.frames);
	assert_true(result.latency.max_ns > 400000000);
	answer_ms = 0;
}

/* 1, 1/2, 1/3, 1/4 over 25/12. */
static void popularity(void **state)
{
	(void)state;
	run((struct loadgen_params){ .clients = 4, .zipf = 1, .seconds = 1, .batch = 1, .sentence_s = 1e-9 });
	double all = requests;
	assert_true(all > 500);
	for (int i = 0; i < 4; i++) {
		double share = asked[i] / all, expected = 12.0 / 25 / (i + 1);
		if (share < expected - 0.1 || share > expected + 0.1)
			fail_msg("avatar %d: %.3f of %g requests, expected %.3f", i, share, all, expected);
	}
	assert_true(result.n_timeline <= 1);
}

static bool stop_soon(void *ctx, double passed_s, int64_t frames, int64_t errors)
{
	(void)ctx, (void)frames, (void)errors;
	return passed_s < 0.2;
}

static void stopped_early(void **state)
{
	int64_t begun_ns = il_clock_ns();
	(void)state;
	run((struct loadgen_params){ .clients = 1, .seconds = 60, .batch = 1, .progress = stop_soon });
	assert_true(il_clock_ns() - begun_ns < INT64_C(20000000000));
	assert_true(result.frames > 0 && result.wall_s < 20);
}

static void reports(void **state)
{
	struct loadgen_params params = { .url = "u", .mode = LOADGEN_COMPOSITE, .clients = 2, .batch = 1 };
	(void)state;
	result = (struct loadgen_result){ .wall_s = 2,
		                          .avatars = 7,
		                          .requests = 100,
		                          .frames = 100,
		                          .late = 3,
		                          .errors = 1,
		                          .n_kinds = 1,
		                          .n_timeline = 2,
		                          .timeline = { 60, 40 } };
	strcpy(result.kinds[0].kind, "unavailable");
	strcpy(result.kinds[0].text, "gone & \"quoted\"");
	result.kinds[0].count = 1;
	for (int i = 1; i <= 100; i++)
		il_histogram_add(&result.latency, i * 1000000);
	char *json = loadgen_json(&params, &result), *svg = loadgen_svg(&params, &result);
	assert_non_null(strstr(json, "\"frames_per_s\": 50"));
	assert_non_null(strstr(json, "\"max\": 100"));
	assert_non_null(strstr(json, "gone & \\\"quoted\\\""));
	assert_non_null(strstr(json, "\"late_share\": 0.03"));
	assert_non_null(strstr(svg, "50.0 frames a second"));
	assert_non_null(strstr(svg, "</svg>"));
	free(json);
	free(svg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(infer_request),
		cmocka_unit_test(metadata),
		cmocka_unit_test(list),
		cmocka_unit_test(wire_reads_what_it_writes),
		cmocka_unit_test(hostile_answers),
		cmocka_unit_test(flat_out),
		cmocka_unit_test(paced),
		cmocka_unit_test(popularity),
		cmocka_unit_test(stopped_early),
		cmocka_unit_test(reports),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
