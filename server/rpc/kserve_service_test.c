#include "server/rpc/kserve_fake_test.h"
#include "server/rpc/kserve_messages.h"

#define MOUTH (FAKE_SIZE * FAKE_SIZE * 3)
#define SERVICE "/inference.GRPCInferenceService/"

static struct inlay_error err;
static struct fake fake;

/* ---- messages by hand ---- */

static void put_text(struct il_bytes *to, unsigned number, const char *text)
{
	put_bytes(to, number, text, strlen(text));
}

static void put_input(struct il_bytes *to, const char *name, const char *datatype, const char *shape)
{
	struct il_bytes input = { 0 };
	put_text(&input, 1, name);
	put_text(&input, 2, datatype);
	put_text(&input, 3, shape); /* numbers below 128 are their own varints */
	put_bytes(to, 5, input.data, input.size);
	free(input.data);
}

static const float window[2 * FAKE_WINDOW] = { 0.5f, 0.25f };

/* ModelInferRequest of frames 5 and `frame`. late: the id comes behind the tensors. */
static struct il_bytes infer_message(const char *id, int32_t frame, bool late)
{
	struct il_bytes message = { 0 };
	const int32_t index[2] = { 5, frame };
	put_text(&message, 1, "avatar-00001");
	if (!late)
		put_text(&message, 3, id);
	put_input(&message, "frame_index", "INT32", "\2");
	put_input(&message, "audio", "FP32", "\2\3\2\2");
	put_bytes(&message, 7, index, sizeof index);
	put_bytes(&message, 7, window, sizeof window);
	if (late)
		put_text(&message, 3, id);
	return message;
}

static enum inlay_err call(const char *method, struct rpc_call *rpc, const struct il_bytes *message)
{
	char path[128];
	snprintf(path, sizeof path, SERVICE "%s", method);
	if (message)
		rpc->messages[rpc->n++] = *message;
	err = (struct inlay_error){ 0 };
	return fake_handle(&fake, path, rpc, &err);
}

static bool contains(const struct il_bytes *bytes, const char *text)
{
	size_t n = strlen(text), at = 0;
	while (at + n <= bytes->size && memcmp(bytes->data + at, text, n) != 0)
		at++;
	return at + n <= bytes->size;
}

static void assert_mouths(const uint8_t *bytes, int32_t frame)
{
	for (size_t i = 0; i < 2 * MOUTH; i++)
		assert_int_equal(bytes[i],
		                 fake_byte(i < MOUTH ? 5 : frame, window + i / MOUTH * FAKE_WINDOW, i % MOUTH));
}

/* ---- tests ---- */

static void mouths_are_the_end_of_the_answer(void **state)
{
	(void)state;
	fake = (struct fake){ .avatars = 3 };
	for (int late = 0; late < 2; late++) {
		struct il_bytes message = infer_message("id-\xc3\xa9", 9, late);
		struct rpc_call rpc = { 0 };
		assert_int_equal(call("ModelInfer", &rpc, &message), INLAY_OK);
		assert_true(contains(&rpc.written, "id-\xc3\xa9"));
		assert_true(contains(&rpc.written, "UINT8"));
		assert_mouths(rpc.written.data + rpc.written.size - 2 * MOUTH, 9);
		/* Tag and length of field 6. */
		const uint8_t head[] = { 6 << 3 | 2, 0x80, 0x1b };
		assert_int_equal(2 * MOUTH, 0x1b << 7);
		assert_memory_equal(rpc.written.data + rpc.written.size - 2 * MOUTH - 3, head, 3);
		free(rpc.written.data);
		free(message.data);
	}
}

static void streams_go_on_after_a_fault(void **state)
{
	(void)state;
	fake = (struct fake){ .avatars = 3 };
	struct il_bytes one = infer_message("one", 1, false), bad = infer_message("bad", FAKE_FRAMES, false);
	struct il_bytes garbage = { (uint8_t *)"\xff\xff", 2 }, two = infer_message("two", 2, false);
	struct rpc_call unary = { 0 }, stream = { .messages = { one, bad, garbage }, .n = 3 };
	assert_int_equal(call("ModelInfer", &unary, &one), INLAY_OK);
	assert_int_equal(call("ModelStreamInfer", &stream, &two), INLAY_OK);
	/* The first is the unary answer as field 2. */
	struct il_bytes first = { 0 };
	put_bytes(&first, 2, unary.written.data, unary.written.size);
	assert_memory_equal(stream.written.data, first.data, first.size);
	assert_mouths(stream.written.data + stream.written.size - 2 * MOUTH, 2);
	assert_true(contains(&stream.written, "frame 50 of model \"avatar-00001\": expected 0..49"));
	assert_true(contains(&stream.written, "no protobuf at byte 0"));
	assert_true(contains(&stream.written, "bad"));
	free(first.data);
	free(unary.written.data);
	free(stream.written.data);
	free(one.data);
	free(bad.data);
	free(two.data);
}

static void streams_draw_ahead_in_order(void **state)
{
	(void)state;
	fake = (struct fake){ .avatars = 3, .delay_us = 30000 };
	struct rpc_call stream = { 0 };
	for (int i = 0; i < 24; i++)
		stream.messages[stream.n++] = infer_message("x", i, false);
	assert_int_equal(call("ModelStreamInfer", &stream, NULL), INLAY_OK);
	assert_int_equal(fake.draws, 24);
	assert_in_range(fake.peak, 2, 4);
	assert_int_equal(stream.written.size % 24, 0);
	for (int i = 0; i < 24; i++) {
		assert_mouths(stream.written.data + stream.written.size / 24 * (i + 1) - 2 * MOUTH, i);
		free(stream.messages[i].data);
	}
	free(stream.written.data);
}

static bool at_once(void *ctx)
{
	(void)ctx;
	return true;
}

static void cancelled_streams_end(void **state)
{
	(void)state;
	fake = (struct fake){ .avatars = 3, .delay_us = 30000 };
	struct rpc_call stream = { .cancelled = at_once };
	struct il_bytes message = infer_message("x", 1, false);
	for (int i = 0; i < 24; i++)
		stream.messages[stream.n++] = message;
	assert_int_equal(call("ModelStreamInfer", &stream, NULL), INLAY_ERR_CANCELLED);
	assert_int_equal(stream.written.size, 0);
	free(message.data);
}

static void faults_have_their_codes(void **state)
{
	(void)state;
	fake = (struct fake){ .avatars = 3 };
	struct rpc_call rpc = { 0 };
	struct il_bytes message = infer_message("x\xff", 1, false);
	assert_int_equal(call("ModelInfer", &rpc, &message), INLAY_ERR_INVALID);
	assert_non_null(strstr(err.text, "UTF-8"));
	free(message.data);
	rpc = (struct rpc_call){ 0 };
	assert_int_equal(call("ModelInfer", &rpc, NULL), INLAY_ERR_INVALID);
	message = infer_message("x", 1, false);
	rpc = (struct rpc_call){ 0 };
	message.data[5] = 'X'; /* of the model's name */
	assert_int_equal(call("ModelInfer", &rpc, &message), INLAY_ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, "unknown model"));
	free(message.data);
	/* Two tensors' bytes for three. */
	message = infer_message("x", 1, false);
	put_bytes(&message, 7, "", 0);
	rpc = (struct rpc_call){ 0 };
	assert_int_equal(call("ModelInfer", &rpc, &message), INLAY_ERR_INVALID);
	assert_non_null(strstr(err.text, "3 raw_input_contents: expected 2"));
	free(message.data);
	/* Many parts of no bytes each take no more memory than they may. */
	message = (struct il_bytes){ calloc(100000, 2), 200000 };
	for (size_t i = 0; i < message.size; i += 2)
		message.data[i] = 5 << 3 | 2;
	rpc = (struct rpc_call){ 0 };
	assert_int_equal(call("ModelInfer", &rpc, &message), INLAY_ERR_INVALID);
	free(message.data);
	rpc = (struct rpc_call){ 0 };
	assert_int_equal(call("SystemSharedMemoryStatus", &rpc, NULL), INLAY_ERR_UNSUPPORTED);
	fake.refuse = INLAY_ERR_BUSY;
	message = infer_message("x", 1, false);
	rpc = (struct rpc_call){ 0 };
	assert_int_equal(call("ModelInfer", &rpc, &message), INLAY_ERR_BUSY);
	free(message.data);
}

static void thousands_are_listed(void **state)
{
	(void)state;
	fake = (struct fake){ .avatars = 11000 };
	for (int ready = 0; ready < 2; ready++) {
		struct rpc_call rpc = { 0 };
		struct il_bytes message = { (uint8_t *)"\x10\x01", 2 };
		assert_int_equal(call("RepositoryIndex", &rpc, ready ? &message : NULL), INLAY_OK);
		unsigned count = 0, loaded = 0;
		for (size_t i = 0; i + 6 <= rpc.written.size; i++) {
			count += !memcmp(rpc.written.data + i, "avatar", 6);
			loaded += !memcmp(rpc.written.data + i, "\5READY", 6);
		}
		assert_int_equal(count, ready ? 3667 : 11000);
		assert_int_equal(loaded, 3667);
		free(rpc.written.data);
	}
}

static void models_are_loaded_and_unloaded(void **state)
{
	(void)state;
	fake = (struct fake){ .avatars = 3 };
	struct il_bytes known = { 0 }, unknown = { 0 };
	put_text(&known, 2, "avatar-00002");
	put_text(&unknown, 2, "nobody");
	for (int i = 0; i < 2; i++) {
		struct rpc_call rpc = { 0 };
		const char *method = i ? "RepositoryModelUnload" : "RepositoryModelLoad";
		assert_int_equal(call(method, &rpc, &known), INLAY_OK);
		free(rpc.written.data);
		rpc = (struct rpc_call){ 0 };
		assert_int_equal(call(method, &rpc, &unknown), INLAY_ERR_NOT_FOUND);
		assert_non_null(strstr(err.text, "unknown model \"nobody\""));
	}
	put_text(&known, 1, "elsewhere");
	struct rpc_call rpc = { 0 };
	assert_int_equal(call("RepositoryModelLoad", &rpc, &known), INLAY_ERR_INVALID);
	assert_int_equal(fake.loads, 2);
	assert_int_equal(fake.unloads, 2);
	free(known.data);
	free(unknown.data);
}

static void text_is_utf8(void **state)
{
	(void)state;
	static const char *const good[] = { "",
		                            "a",
		                            "\x7f",
		                            "\xc2\x80",
		                            "\xdf\xbf",
		                            "\xe0\xa0\x80",
		                            "\xed\x9f\xbf",
		                            "\xef\xbf\xbf",
		                            "\xf0\x90\x80\x80",
		                            "\xf4\x8f\xbf\xbf" };
	static const char *const bad[] = { "\x80",
		                           "\xc0\x80",
		                           "\xc1\xbf",
		                           "\xc2",
		                           "\xe0\x9f\xbf",
		                           "\xed\xa0\x80",
		                           "\xe1\x80",
		                           "\xf0\x8f\xbf\xbf",
		                           "\xf4\x90\x80\x80",
		                           "\xf8\x88\x80\x80\x80",
		                           "a\xff" };
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(message_text_valid(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(message_text_valid(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mouths_are_the_end_of_the_answer), cmocka_unit_test(streams_go_on_after_a_fault),
		cmocka_unit_test(streams_draw_ahead_in_order),      cmocka_unit_test(cancelled_streams_end),
		cmocka_unit_test(faults_have_their_codes),          cmocka_unit_test(thousands_are_listed),
		cmocka_unit_test(models_are_loaded_and_unloaded),   cmocka_unit_test(text_is_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
