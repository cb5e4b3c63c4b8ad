#include "infer/matte_manifest.h"

#include "tests/test_models.h"

static enum inlay_err parse(const char *text, struct il_matte_manifest *m, struct inlay_error *err)
{
	return il_matte_manifest_parse(text, strlen(text), "m.json", m, err);
}

static void every_key_is_read_and_written_back(void **state)
{
	(void)state;
	static const char text[] = "{\n"
				   "  \"inlay_model\": 1,\n"
				   "  \"kind\": \"depth\",\n"
				   "  \"layout\": \"nhwc\",\n"
				   "  \"color\": \"bgr\",\n"
				   "  \"scale\": 1,\n"
				   "  \"mean\": [102.890434, 111.25247, 126.91212],\n"
				   "  \"std\": [16047.8946, 16019.4519, 0.25],\n"
				   "  \"size\": [320, 192],\n"
				   "  \"input\": \"src\",\n"
				   "  \"inputs\": {\"downsample_ratio\": 0.25, \"range\": [1, 2.5]},\n"
				   "  \"output\": \"p\xc3\xa4h\",\n"
				   "  \"activation\": \"softmax\",\n"
				   "  \"channel\": 5,\n"
				   "  \"invert\": true,\n"
				   "  \"foreground\": \"fgr\",\n"
				   "  \"states\": [[\"r1i\", \"r1o\"], [\"h\", \"g\"]]\n"
				   "}\n";
	struct inlay_error err;
	struct il_matte_manifest m;
	assert_ok(parse(text, &m, &err));
	for (int key = 0; key < IL_MATTE_KEYS; key++)
		assert_int_equal(m.source[key], IL_MATTE_STATED);
	assert_int_equal(m.kind, IL_MATTE_KIND_DEPTH);
	assert_int_equal(m.layout, IL_MATTE_NHWC);
	assert_int_equal(m.color, IL_MATTE_BGR);
	assert_true(m.scale[0] == 1 && m.scale[2] == 1 && m.mean[1] == 111.25247 && m.std[2] == 0.25);
	assert_true(m.width == 320 && m.height == 192 && m.channel == 5 && m.invert);
	assert_string_equal(m.input, "src");
	assert_string_equal(m.foreground, "fgr");
	assert_int_equal(m.state_count, 2);
	assert_string_equal(m.states[1].out, "g");
	assert_int_equal(m.constant_count, 2);
	assert_true(m.constants[1].count == 2 && m.constants[1].values[1] == 2.5);
	char *written = il_matte_manifest_format(&m), value[100], small[6];
	assert_string_equal(written, text);
	free(written);
	assert_string_equal(il_matte_key_value(&m, IL_MATTE_KEY_LAYOUT, value, sizeof value), "nhwc");
	assert_string_equal(il_matte_key_value(&m, IL_MATTE_KEY_SIZE, value, sizeof value), "[320, 192]");
	assert_string_equal(il_matte_key_value(&m, IL_MATTE_KEY_SIZE, small, sizeof small), "[320,");
	assert_string_equal(il_matte_key_name(IL_MATTE_KEY_STD), "std");
}

static void nothing_is_needed_but_the_version(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_matte_manifest m;
	assert_ok(parse("{\"inlay_model\": 1}", &m, &err));
	for (int key = 0; key < IL_MATTE_KEYS; key++)
		assert_int_equal(m.source[key], IL_MATTE_UNKNOWN);
	char *written = il_matte_manifest_format(&m);
	assert_string_equal(written, "{\n  \"inlay_model\": 1\n}\n");
	free(written);
}

/* Ten digits are written: a number that they round to a whole one is written as such at once. */
static void a_rounded_number_stays_as_it_was_written(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_matte_manifest m;
	assert_ok(parse("{\"inlay_model\": 1, \"inputs\": {\"a\": -999999999.02}, \"mean\": 0.1}", &m, &err));
	char *once = il_matte_manifest_format(&m);
	assert_non_null(strstr(once, "-999999999"));
	assert_null(strstr(once, "-999999999.0"));
	assert_ok(parse(once, &m, &err));
	char *twice = il_matte_manifest_format(&m);
	assert_string_equal(once, twice);
	free(once);
	free(twice);
}

static void faults_name_the_file_and_the_key(void **state)
{
	(void)state;
	static const struct {
		const char *text, *part;
	} cases[] = {
		{ "", "m.json: line 1" },
		{ "[1]", "m.json: is a list; expected an object" },
		{ "{}", "m.json: inlay_model is missing; expected \"inlay_model\": 1" },
		{ "{\"inlay_model\": 2}", "m.json: inlay_model is 2; expected 1 to 1" },
		{ "{\"inlay_model\": 1, \"inlay_model\": 1}", "duplicate" },
		{ "{\"inlay_model\": 1, \"colour\": \"rgb\"}",
		  "m.json: unknown key \"colour\"; known are inlay_model, kind, layout, color, scale, mean, std, size, "
		  "input, "
		  "inputs, output, activation, channel, invert, foreground, states" },
		{ "{\"inlay_model\": 1, \"color\": \"gray\"}", "m.json: color is \"gray\"; expected rgb, bgr" },
		{ "{\"inlay_model\": 1, \"layout\": 3}", "m.json: layout is a number; expected nchw, nhwc" },
		{ "{\"inlay_model\": 1, \"activation\": \"tanh\"}", "none, sigmoid, softmax, bytes" },
		{ "{\"inlay_model\": 1, \"kind\": null}", "m.json: kind is null; expected matte, depth" },
		{ "{\"inlay_model\": 1, \"mean\": [1, 2]}", "m.json: mean is a list; expected a number, or a list" },
		{ "{\"inlay_model\": 1, \"mean\": [1, 2, \"3\"]}", "m.json: mean is a list" },
		{ "{\"inlay_model\": 1, \"scale\": \"1/255\"}", "m.json: scale is a string; expected a number" },
		{ "{\"inlay_model\": 1, \"scale\": 1e999}", "m.json: line 1" },
		{ "{\"inlay_model\": 1, \"std\": [1, 0, 1]}", "m.json: std holds 0; expected numbers above 0" },
		{ "{\"inlay_model\": 1, \"size\": 256}", "m.json: size is a number; expected [WIDTH, HEIGHT]" },
		{ "{\"inlay_model\": 1, \"size\": [0, 5]}", "m.json: size is 0; expected 1 to 8192" },
		{ "{\"inlay_model\": 1, \"size\": [5, 1e3]}", "m.json: size is a number; expected a whole number" },
		{ "{\"inlay_model\": 1, \"channel\": -1}", "m.json: channel is -1; expected 0 to 63" },
		{ "{\"inlay_model\": 1, \"invert\": 1}", "m.json: invert is a number; expected true or false" },
		{ "{\"inlay_model\": 1, \"output\": \"\"}", "m.json: output is a string; expected a tensor's name" },
		{ "{\"inlay_model\": 1, \"states\": {}}", "m.json: states is an object; expected a list of pairs" },
		{ "{\"inlay_model\": 1, \"states\": [\"r1i\", \"r1o\"]}", "expected pairs [INPUT, OUTPUT]" },
		{ "{\"inlay_model\": 1, \"states\": [[\"a\", \"b\", \"c\"]]}", "expected pairs [INPUT, OUTPUT]" },
		{ "{\"inlay_model\": 1, \"states\": [[], [], [], [], [], [], [], [], []]}", "states has 9 pairs" },
		{ "{\"inlay_model\": 1, \"inputs\": [1]}", "m.json: inputs is a list; expected an object" },
		{ "{\"inlay_model\": 1, \"inputs\": {\"a\": \"b\"}}", "inputs: \"a\" is a string; expected a number" },
		{ "{\"inlay_model\": 1, \"inputs\": {\"a\": []}}", "inputs: \"a\": expected" },
		{ "{\"inlay_model\": 1, \"inputs\": {\"\": 1}}", "inputs: \"\": expected a tensor's name" },
		{ "{\"inlay_model\": 1, \"inputs\": {\"a\": 1, \"b\": 1, \"c\": 1, \"d\": 1, \"e\": 1}}", "5 members" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct inlay_error err;
		struct il_matte_manifest m;
		assert_fails(parse(cases[i].text, &m, &err), INLAY_ERR_FORMAT, cases[i].part);
		assert_null(strchr(err.text, '\n'));
	}
	char text[400] = "{\"inlay_model\": 1, \"output\": \"";
	memset(text + strlen(text), 'x', 200);
	strcat(text, "\"}");
	struct inlay_error err;
	struct il_matte_manifest m;
	assert_fails(parse(text, &m, &err), INLAY_ERR_FORMAT,
	             "m.json: output: a name of 200 bytes; expected at most 127");
}

static void a_stranger_has_none_built_in(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_session *session = NULL;
	struct il_matte_manifest m;
	assert_ok(il_session_open(&session, test_model("matte_free_size"), NULL, &err));
	assert_null(il_matte_manifest_built_in("/models/x.onnx", session, &m));
	/* These are told by the file's name. */
	assert_string_equal(il_matte_manifest_built_in("/tmp/MODNet_photographic.onnx", session, &m), "MODNet");
	assert_int_equal(m.source[IL_MATTE_KEY_STD], IL_MATTE_BUILT_IN);
	assert_true(m.std[1] == 0.5 && m.width == 512);
	assert_string_equal(il_matte_manifest_built_in("pphumanseg_fp32.onnx", session, &m), "PP-HumanSeg");
	assert_null(il_matte_manifest_built_in("modnet/x.onnx", session, &m));
	il_session_destroy(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_read_and_written_back),
		cmocka_unit_test(nothing_is_needed_but_the_version),
		cmocka_unit_test(a_rounded_number_stays_as_it_was_written),
		cmocka_unit_test(faults_name_the_file_and_the_key),
		cmocka_unit_test(a_stranger_has_none_built_in),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
