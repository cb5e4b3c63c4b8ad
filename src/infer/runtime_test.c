/* What happens with a library that is too old: this program brings its own OrtGetApiBase, so none is needed. */
#include "infer/runtime.h"

#include "infer/audio_encoder.h"
#include "infer/lipsync_net.h"
#include "tests/test.h"

static uint32_t asked;

static const OrtApi *ORT_API_CALL old_api(uint32_t version) NO_EXCEPTION
{
	asked = version;
	return NULL;
}

static const char *ORT_API_CALL old_version(void) NO_EXCEPTION
{
	return "1.14.1";
}

const OrtApiBase *ORT_API_CALL OrtGetApiBase(void) NO_EXCEPTION
{
	static const OrtApiBase base = { old_api, old_version };
	return &base;
}

static void an_old_library_is_named(void **state)
{
	(void)state;
	struct inlay_error err;
	const struct il_runtime *rt;
	assert_fails(il_runtime_get(&rt, &err), INLAY_ERR_UNSUPPORTED,
	             "ONNX Runtime library here is 1.14.1; expected 1.21 or newer");
	assert_int_equal(asked, 21);
	assert_string_equal(il_infer_runtime_version(), "1.14.1");
}

static void every_open_fails_the_same_way(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_session *session = NULL;
	struct il_lipsync_net *net = NULL;
	struct il_audio_encoder *encoder = NULL;
	struct il_lipsync_net_params params = { .path = "x.onnx" };
	assert_fails(il_session_open(&session, "x.onnx", NULL, &err), INLAY_ERR_UNSUPPORTED, "1.14.1");
	assert_fails(il_lipsync_net_open(&net, &params, &err), INLAY_ERR_UNSUPPORTED, "1.14.1");
	assert_fails(il_audio_encoder_open(&encoder, "x.onnx", &err), INLAY_ERR_UNSUPPORTED, "1.14.1");
	assert_null(session);
	assert_null(net);
	assert_null(encoder);
}

static void texts_come_to_one_line(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{ "", "" },
		{ " \n\t ", "" },
		{ "plain", "plain" },
		{ "\na\r\n\tb  c\n", "a b c" },
		{ "\x1b[31mred\x7f", "[31mred" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[32];
		snprintf(text, sizeof text, "%s", cases[i][0]);
		il_one_line(text);
		assert_string_equal(text, cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_old_library_is_named),
		cmocka_unit_test(every_open_fails_the_same_way),
		cmocka_unit_test(texts_come_to_one_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
