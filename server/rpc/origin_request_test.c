#include "server/rpc/origin_request.h"

#include <math.h>

#include "composite/place.h"
#include "frame/frame.h"
#include "server/rpc/inference_origin.pb-c.h"
#include "server/rpc/monolithic.pb-c.h"

#include "tests/test.h"

/* Packed by protobuf-c, read by us. */
static uint8_t *pack(const ProtobufCMessage *message, size_t *size)
{
	*size = protobuf_c_message_get_packed_size(message);
	uint8_t *data = malloc(*size + 1);
	assert_non_null(data);
	protobuf_c_message_pack(message, data);
	return data;
}

static ProtobufCBinaryData bytes_of(const void *data, size_t size)
{
	return (ProtobufCBinaryData){ size, (uint8_t *)data };
}

static void assert_same(struct origin_bytes found, ProtobufCBinaryData expected)
{
	assert_int_equal(found.size, expected.len);
	if (expected.len)
		assert_memory_equal(found.data, expected.data, expected.len);
}

static void test_composite(void **state)
{
	struct inlay_error err;
	struct origin_request r;
	Monolithic__CompositeBatchRequest m = MONOLITHIC__COMPOSITE_BATCH_REQUEST__INIT;
	size_t size;
	(void)state;
	m.model_id = (char *)"anna";
	m.visual_frames = bytes_of("pictures", 8);
	m.raw_audio = bytes_of("sound", 5);
	m.audio_features = bytes_of("features, of which there are many, many, many more than would fit into a byte of "
	                            "length, so that the length takes two bytes of seven bits each",
	                            140);
	m.batch_size = 24;
	m.start_frame_idx = 1 << 30;
	m.sample_rate = -1;
	uint8_t *data = pack(&m.base, &size);
	assert_ok(origin_request_parse(&r, ORIGIN_MONOLITHIC, data, size, &err));
	assert_int_equal(r.id.size, 4);
	assert_memory_equal(r.id.data, "anna", 4);
	assert_same(r.visual_frames, m.visual_frames);
	assert_same(r.raw_audio, m.raw_audio);
	assert_same(r.audio_features, m.audio_features);
	assert_int_equal(r.batch_size, 24);
	assert_int_equal(r.start_frame, 1 << 30);
	assert_int_equal(r.sample_rate, -1);
	free(data);
}

static void test_infer(void **state)
{
	struct inlay_error err;
	struct origin_request r;
	Inference__InferBatchRequest m = INFERENCE__INFER_BATCH_REQUEST__INIT;
	size_t size;
	(void)state;
	m.model_id = (char *)"b";
	m.batch_size = 3;
	m.sample_rate = 16000;
	uint8_t *data = pack(&m.base, &size);
	assert_ok(origin_request_parse(&r, ORIGIN_INFERENCE, data, size, &err));
	assert_int_equal(r.batch_size, 3);
	assert_int_equal(r.sample_rate, 16000);
	assert_int_equal(r.start_frame, 0);
	free(data);
}

/* Fields 100 of each wire type around batch_size 7, and a batch_size of the wrong wire type, which is unknown. */
static void test_unknown_fields(void **state)
{
	static const uint8_t data[] = { 0xa0, 0x06, 0x96, 0x01,                     /* varint */
		                        0xa1, 0x06, 1,    2,    3,   4, 5, 6, 7, 8, /* 64 bits */
		                        0x28, 0x07,                                 /* batch_size */
		                        0xa2, 0x06, 0x02, 'x',  'y',                /* bytes */
		                        0xa5, 0x06, 1,    2,    3,   4,             /* 32 bits */
		                        0x2a, 0x01, 0x09 };
	struct inlay_error err;
	struct origin_request r;
	(void)state;
	assert_ok(origin_request_parse(&r, ORIGIN_COMPOSITING, data, sizeof data, &err));
	assert_int_equal(r.batch_size, 7);
}

/* A message cut anywhere but between fields is refused, and nothing past its end is read. */
static void test_cut(void **state)
{
	struct inlay_error err;
	struct origin_request r;
	Monolithic__CompositeBatchRequest m = MONOLITHIC__COMPOSITE_BATCH_REQUEST__INIT;
	size_t size, whole = 0;
	(void)state;
	m.model_id = (char *)"anna";
	m.raw_audio = bytes_of("sound", 5);
	m.batch_size = 1000;
	uint8_t *data = pack(&m.base, &size);
	for (size_t n = 0; n <= size; n++) {
		uint8_t *part = malloc(n ? n : 1);
		memcpy(part, data, n);
		err = (struct inlay_error){ 0 };
		enum inlay_err rc = origin_request_parse(&r, ORIGIN_MONOLITHIC, part, n, &err);
		assert_true(rc == INLAY_OK || rc == INLAY_ERR_FORMAT);
		whole += rc == INLAY_OK;
		free(part);
	}
	assert_int_equal(whole, 4); /* after none, one, two and three fields */
	free(data);
	assert_fails(origin_request_parse(&r, ORIGIN_MONOLITHIC, (const uint8_t *)"\x0b", 1, &err), INLAY_ERR_FORMAT,
	             "no protobuf message");
	assert_fails(origin_request_parse(&r, ORIGIN_MONOLITHIC,
	                                  (const uint8_t *)"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, &err),
	             INLAY_ERR_FORMAT, "no protobuf message");
}

static struct origin_request sensible(void)
{
	return (struct origin_request){ .id = { (const uint8_t *)"anna", 4 },
		                        .audio_features = { (const uint8_t *)"f", 1 },
		                        .batch_size = 1 };
}

static void test_check(void **state)
{
	struct inlay_error err;
	struct origin_request r = sensible();
	char avatar[IL_STORE_ID_MAX + 1], longest[IL_STORE_ID_MAX + 2];
	(void)state;
	assert_ok(origin_request_check(&r, ORIGIN_COMPOSITING, avatar, &err));
	assert_string_equal(avatar, "anna");
	r.batch_size = 25;
	assert_ok(origin_request_check(&r, ORIGIN_COMPOSITING, avatar, &err));
	r.batch_size = 26;
	assert_fails(origin_request_check(&r, ORIGIN_COMPOSITING, avatar, &err), INLAY_ERR_INVALID, "1 to 25");
	r.batch_size = 32;
	assert_ok(origin_request_check(&r, ORIGIN_MONOLITHIC, avatar, &err));
	r.batch_size = 0;
	assert_fails(origin_request_check(&r, ORIGIN_MONOLITHIC, avatar, &err), INLAY_ERR_INVALID, "1 to 32");
	r = sensible();
	r.start_frame = -1;
	assert_fails(origin_request_check(&r, ORIGIN_MONOLITHIC, avatar, &err), INLAY_ERR_INVALID, "start_frame_idx");
	r = sensible();
	r.audio_features.size = 0;
	assert_fails(origin_request_check(&r, ORIGIN_MONOLITHIC, avatar, &err), INLAY_ERR_INVALID, "raw_audio");
	r.raw_audio = (struct origin_bytes){ (const uint8_t *)"1234", 4 };
	assert_ok(origin_request_check(&r, ORIGIN_MONOLITHIC, avatar, &err));
	r.sample_rate = 48000;
	assert_fails(origin_request_check(&r, ORIGIN_MONOLITHIC, avatar, &err), INLAY_ERR_INVALID, "expected 16000");
	r = sensible();
	r.id.size = 0;
	assert_fails(origin_request_check(&r, ORIGIN_MONOLITHIC, avatar, &err), INLAY_ERR_INVALID, "model_id");
	memset(longest, 'x', sizeof longest);
	r.id = (struct origin_bytes){ (const uint8_t *)longest, IL_STORE_ID_MAX };
	assert_ok(origin_request_check(&r, ORIGIN_MONOLITHIC, avatar, &err));
	r.id.size++;
	assert_fails(origin_request_check(&r, ORIGIN_MONOLITHIC, avatar, &err), INLAY_ERR_NOT_FOUND, "unknown model");
	assert_false(origin_id_valid("../x", 4));
	assert_false(origin_id_valid("a\0b", 3));
	assert_false(origin_id_valid("\xff", 1));
	assert_true(origin_id_valid("a.B-9_", 6));
}

#define W 6

static void test_windows(void **state)
{
	struct inlay_error err;
	struct origin_request r = sensible();
	float sent[1 + 3 * W], floats[3 * W];
	const float *windows[3];
	(void)state;
	for (int i = 0; i < 1 + 3 * W; i++)
		sent[i] = (float)i;
	r.batch_size = 3;
	r.audio_features = (struct origin_bytes){ (const uint8_t *)(sent + 1), 3 * W * 4 };
	assert_ok(origin_request_windows(&r, W, floats, windows, &err));
	for (int i = 0; i < 3; i++)
		assert_memory_equal(windows[i], sent + 1 + i * W, W * 4);
	r.audio_features.size = W * 4;
	assert_ok(origin_request_windows(&r, W, floats, windows, &err));
	for (int i = 0; i < 3; i++)
		assert_memory_equal(windows[i], sent + 1, W * 4);
	r.audio_features.size = 2 * W * 4;
	assert_fails(origin_request_windows(&r, W, floats, windows, &err), INLAY_ERR_INVALID, "72");
	r.audio_features.size = W * 4 - 1;
	assert_fails(origin_request_windows(&r, W, floats, windows, &err), INLAY_ERR_INVALID, "23 bytes");
	const float bad[] = { NAN, INFINITY, -INFINITY };
	for (int i = 0; i < 3; i++) {
		r.audio_features.size = W * 4;
		sent[3] = bad[i];
		assert_fails(origin_request_windows(&r, W, floats, windows, &err), INLAY_ERR_INVALID, "not finite");
	}
}

static void test_samples(void **state)
{
	struct inlay_error err;
	struct origin_request r = sensible();
	uint8_t sent[4 * 4 + 1];
	float expected[4] = { 0, 1, -0.5f, 1e-40f }, *samples;
	size_t count;
	(void)state;
	memcpy(sent + 1, expected, sizeof expected); /* at an odd address */
	r.raw_audio = (struct origin_bytes){ sent + 1, 16 };
	assert_ok(origin_request_samples(&r, &samples, &count, &err));
	assert_int_equal(count, 4);
	assert_memory_equal(samples, expected, sizeof expected);
	free(samples);
	r.raw_audio.size = 15;
	assert_fails(origin_request_samples(&r, &samples, &count, &err), INLAY_ERR_INVALID, "15 bytes");
	assert_null(samples);
}

/* What il_place makes of a crop gives the crop's middle again. */
static void test_crops(void **state)
{
	enum { S = 24, C = S + 2 * IL_PLACE_MARGIN };
	struct inlay_error err;
	struct origin_request r = sensible();
	struct il_place *place;
	uint8_t sent[2][C * C * 3], *crops;
	float planes[2][6 * S * S];
	(void)state;
	assert_ok(il_place_create(&place, S, IL_INTERP_LINEAR, &err));
	for (int i = 0; i < 2; i++) {
		for (size_t k = 0; k < sizeof sent[i]; k++)
			sent[i][k] = (uint8_t)test_random();
		il_place_picture(place, sent[i], planes[i]);
	}
	r.batch_size = 2;
	r.visual_frames = (struct origin_bytes){ (const uint8_t *)planes, sizeof planes };
	assert_ok(origin_request_crops(&r, S, &crops, &err));
	for (int i = 0; i < 2; i++)
		for (int y = 0; y < S; y++) {
			const size_t at = ((size_t)(y + IL_PLACE_MARGIN) * C + IL_PLACE_MARGIN) * 3;
			assert_memory_equal(crops + i * sizeof sent[0] + at, sent[i] + at, S * 3);
		}
	free(crops);
	planes[0][0] = NAN;
	planes[0][1] = 1e30f;
	planes[0][2] = -1;
	assert_ok(origin_request_crops(&r, S, &crops, &err));
	const uint8_t *first = crops + (IL_PLACE_MARGIN * C + IL_PLACE_MARGIN) * 3;
	assert_int_equal(first[0], 0);
	assert_int_equal(first[3], 255);
	assert_int_equal(first[6], 0);
	free(crops);
	r.visual_frames.size--;
	assert_fails(origin_request_crops(&r, S, &crops, &err), INLAY_ERR_INVALID, "[2,6,24,24]");
	assert_null(crops);
	il_place_destroy(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_composite), cmocka_unit_test(test_infer), cmocka_unit_test(test_unknown_fields),
		cmocka_unit_test(test_cut),       cmocka_unit_test(test_check), cmocka_unit_test(test_windows),
		cmocka_unit_test(test_samples),   cmocka_unit_test(test_crops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
