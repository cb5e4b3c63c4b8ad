#include "infer/session_inputs.h"

#include <math.h>
#include <unistd.h>

#include "infer/graph_diff.h"
#include "infer/model_time.h"
#include "tests/test_graph.h"
#include "tests/test_models.h"

static struct inlay_error err;

static void a_session_from_memory(void **state)
{
	(void)state;
	static const char garbage[] = "not a model, but long enough to be looked at";
	struct il_graph *g = test_graph(13);
	struct il_session *session;
	test_input(g, "x", "2,3");
	test_node(g, "Neg", "y", 1, "x");
	test_output(g, "y");
	session = test_session(g, false);
	il_graph_destroy(&g); /* the bytes are gone as well */
	float numbers[] = { 1, -2, 3, -4, 5, 0.5f };
	struct il_tensor in = { IL_ONNX_FLOAT, 2, { 2, 3 }, numbers, sizeof numbers }, out;
	assert_int_equal(il_session_input(session, 0)->element, IL_ONNX_FLOAT);
	assert_ok(il_session_run_tensors(session, &in, &out, &err));
	assert_true(out.element == IL_ONNX_FLOAT && out.rank == 2 && out.dims[0] == 2 && out.dims[1] == 3);
	assert_int_equal(out.bytes, sizeof numbers);
	for (size_t i = 0; i < 6; i++)
		assert_true(il_tensor_get(&out, i) == -numbers[i]);
	il_tensor_clear(&out);
	assert_null(out.data);
	in.dims[1] = 4;
	in.bytes = 4 * sizeof *numbers;
	assert_int_equal(il_session_run_tensors(session, &in, &out, NULL), INLAY_ERR_FORMAT);
	assert_null(out.data);
	il_session_destroy(&session);
	assert_fails(il_session_open_memory(&session, garbage, sizeof garbage, "a name", NULL, &err), INLAY_ERR_FORMAT,
	             "a name");
}

/* Each type, bool (9) among them, there and back: the runtime's Cast says what a number is in another type. */
static void numbers_of_every_type(void **state)
{
	(void)state;
	static const int types[] = { 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13 };
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		struct il_graph *g = test_graph(13);
		const struct il_shape shape = { types[i], 1, { 1 } };
		const bool whole = types[i] != 1 && types[i] != 10 && types[i] != 11;
		il_graph_add_input(g, "x", &shape);
		il_node_set_int(g, test_node(g, "Cast", "y", 1, "x"), "to", IL_ONNX_FLOAT);
		il_node_set_int(g, test_node(g, "Cast", "z", 1, "y"), "to", types[i]);
		test_output(g, "y");
		test_output(g, "z");
		struct il_session *session = test_session(g, true);
		for (double value = 0; value < 200; value += whole ? 41 : 0.37) {
			const struct il_input_choice choice = {
				"x", -1, { 0 }, true, types[i] == 3 ? value / 2 : value
			};
			struct il_tensor *in, out[2];
			assert_ok(il_session_make_inputs(session, &choice, 1, &in, &err));
			il_session_fill_inputs(session, &choice, 1, in, 1, NULL);
			double given = il_tensor_get(&in[0], 0);
			if (types[i] != 9)
				assert_true(fabs(given - choice.value) <= (whole ? 1 : choice.value * 1e-3));
			assert_ok(il_session_run_tensors(session, in, out, &err));
			assert_true(il_tensor_get(&out[0], 0) == (double)(float)given);
			assert_true(il_tensor_get(&out[1], 0) == (double)(float)given);
			il_tensor_clear(&out[0]);
			il_tensor_clear(&out[1]);
			il_session_clear_inputs(session, &in);
		}
		il_session_destroy(&session);
		il_graph_destroy(&g);
	}
}

static void inputs_by_choice(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	struct il_tensor *in = NULL;
	uint64_t random = 5;
	test_input(g, "x", "-1,3");
	test_node(g, "Neg", "y", 1, "x");
	test_output(g, "y");
	struct il_session *session = test_session(g, true);
	struct il_input_choice choice = { "x", 2, { 400, 3 }, false, 0 };
	assert_ok(il_session_make_inputs(session, &choice, 1, &in, &err));
	il_session_fill_inputs(session, &choice, 1, in, 10, &random);
	double sum = 0, least = 10, most = 0;
	for (size_t i = 0; i < 1200; i++) {
		double value = il_tensor_get(&in[0], i);
		sum += value / 1200;
		least = fmin(least, value);
		most = fmax(most, value);
	}
	assert_true(least >= 0 && least < 0.1 && most <= 10 && most > 9.9 && sum > 4.7 && sum < 5.3);
	il_session_clear_inputs(session, &in);
	choice.dims[1] = 4;
	assert_fails(il_session_make_inputs(session, &choice, 1, &in, &err), INLAY_ERR_INVALID, "dim 1 is 3");
	choice.rank = 1;
	assert_fails(il_session_make_inputs(session, &choice, 1, &in, &err), INLAY_ERR_INVALID, "the model has 2");
	choice = (struct il_input_choice){ "z", -1, { 0 }, false, 0 };
	assert_fails(il_session_make_inputs(session, &choice, 1, &in, &err), INLAY_ERR_INVALID, "no input is named z");
	il_session_destroy(&session);
	il_graph_destroy(&g);
}

/* What a type cannot hold, beside the nearest number that it can. */
static void values_fit_their_type(void **state)
{
	(void)state;
	static const struct {
		int type;
		double fits, wrong;
	} cases[] = {
		{ IL_ONNX_UINT8, 255, 300 },
		{ IL_ONNX_UINT8, 0, -1 },
		{ 3, -128, -129 },
		{ 4, 65535, 65536 },
		{ 5, 32767, INFINITY },
		{ IL_ONNX_INT32, -0x1p31, NAN },
		{ 12, 4294967295.0, 4294967296.0 },
		{ IL_ONNX_INT64, -0x1p63, 0x1p63 },
		{ 13, 0x1p63, 0x1p64 },
		{ IL_ONNX_FLOAT16, 65504, 131072 },
		{ IL_ONNX_FLOAT16, INFINITY, 7e4 },
		{ IL_ONNX_FLOAT, -3e38, -1e39 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct il_graph *g = test_graph(13);
		const struct il_shape shape = { cases[i].type, 1, { 1 } };
		struct il_tensor *in;
		il_graph_add_input(g, "x", &shape);
		il_node_set_int(g, test_node(g, "Cast", "y", 1, "x"), "to", IL_ONNX_FLOAT);
		test_output(g, "y");
		struct il_session *session = test_session(g, true);
		struct il_input_choice choice = { "x", -1, { 0 }, true, cases[i].wrong };
		assert_fails(il_session_make_inputs(session, &choice, 1, &in, &err), INLAY_ERR_INVALID,
		             "test: input x");
		choice.value = cases[i].fits;
		assert_ok(il_session_make_inputs(session, &choice, 1, &in, &err));
		il_session_fill_inputs(session, &choice, 1, in, 1, NULL);
		double got = il_tensor_get(&in[0], 0);
		assert_true(got == cases[i].fits || got == (double)(float)cases[i].fits);
		il_session_clear_inputs(session, &in);
		il_session_destroy(&session);
		il_graph_destroy(&g);
	}
}

/* Two of each that are the same for their first 150 bytes, and on more than one line. */
static void long_names(void **state)
{
	(void)state;
	const struct il_diff_params params = { .runs = 1, .seed = 1, .scale = 1 };
	static char names[4][160];
	struct il_graph *g = test_graph(13);
	for (int i = 0; i < 4; i++) {
		snprintf(names[i], sizeof names[i], "%c\n%0150d", i < 2 ? 'x' : 'y', i);
		if (i < 2)
			test_input(g, names[i], "2");
	}
	test_node(g, "Neg", names[2], 1, names[0]);
	test_node(g, "Abs", names[3], 1, names[1]);
	test_output(g, names[2]);
	test_output(g, names[3]);
	struct il_session *session = test_session(g, true);
	assert_string_equal(il_session_name(session), "test");
	assert_int_equal(strlen(il_session_input(session, 0)->name), IL_TENSOR_NAME - 1);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(il_session_input_name(session, i), names[i]);
		assert_string_equal(il_session_output_name(session, i), names[2 + i]);
	}
	assert_true(test_difference(session, session, &params) == 0);
	const struct il_input_choice choice = { names[1], -1, { 0 }, true, 7 };
	struct il_tensor *in;
	assert_ok(il_session_make_inputs(session, &choice, 1, &in, &err));
	il_session_fill_inputs(session, &choice, 1, in, 1, NULL);
	assert_true(il_tensor_get(&in[0], 1) == 0 && il_tensor_get(&in[1], 1) == 7);
	il_session_clear_inputs(session, &in);
	il_session_destroy(&session);
	il_graph_destroy(&g);
}

/* y = x + weight, so that the differences are known. */
static struct il_session *adder(float weight, const char *output)
{
	struct il_graph *g = test_graph(13);
	test_input(g, "x", "-1,2");
	test_node(g, "Add", output, 2, "x", test_weights(g, "1", weight, weight));
	test_output(g, output);
	struct il_session *session = test_session(g, true);
	il_graph_destroy(&g);
	return session;
}

static void differences(void **state)
{
	(void)state;
	const struct il_diff_params params = { .runs = 3, .seed = 1, .scale = 1 };
	struct il_session *a = adder(8, "y"), *b = adder(8.5f, "y"), *other = adder(8, "z"), *nan = adder(NAN, "y");
	struct il_diff_output *outputs;
	assert_ok(il_session_diff(a, b, &params, &outputs, &err));
	assert_string_equal(outputs[0].name, "y");
	assert_true(fabs(outputs[0].max_abs - 0.5) < 1e-5 && fabs(outputs[0].mean_abs - 0.5) < 1e-5);
	assert_true(outputs[0].max_relative == 0.5 / 8); /* on zeros */
	free(outputs);
	assert_true(test_difference(a, a, &params) == 0);
	assert_true(test_difference(nan, nan, &params) == 0);
	assert_true(isinf(test_difference(a, nan, &params)));
	assert_fails(il_session_diff(a, other, &params, &outputs, &err), INLAY_ERR_FORMAT,
	             "test: no output is named y, as in test");
	assert_null(outputs);
	il_session_destroy(&a);
	il_session_destroy(&b);
	il_session_destroy(&other);
	il_session_destroy(&nan);
}

static void times(void **state)
{
	(void)state;
	struct il_model_time time;
	double sum = 0;
	assert_ok(il_model_time(test_model("talker_encoder"), NULL, 0, 1, 3, &time, &err));
	assert_true(time.n_kernels > 0);
	for (size_t i = 0; i < time.n_kernels; i++) {
		assert_non_null(time.kernels[i].name);
		assert_true(strlen(time.kernels[i].op_type) > 1 && time.kernels[i].ms >= 0);
		sum += time.kernels[i].ms;
	}
	assert_true(time.run_ms > 0 && sum < 100 * time.run_ms);
	il_model_time_clear(&time);
	assert_fails(il_model_time("/nonexistent/x.onnx", NULL, 0, 1, 3, &time, &err), INLAY_ERR_NOT_FOUND, "x.onnx");
}

static void names_of_any_kind_are_timed(void **state)
{
	(void)state;
	static const char *const given[] = { "say \"a\\", "<1>", "two\nlines \xff" };
	struct il_graph *g = test_graph(13);
	struct il_model_time time;
	char path[] = "/tmp/inlay-test-XXXXXX";
	bool seen[3] = { false };
	test_input(g, "x", "2,3");
	test_node(g, "MatMul", "a", 2, "x", test_weights(g, "3,4", 0, 1));
	test_node(g, "Sin", "b", 1, "a");
	test_node(g, "Cos", "y", 1, "b");
	for (size_t i = 0; i < 3; i++)
		il_graph_node(g, i)->name = strdup(given[i]);
	test_output(g, "y");
	close(mkstemp(path));
	assert_ok(il_graph_write(g, path, true, &err));
	assert_ok(il_model_time(path, NULL, 0, 1, 2, &time, &err));
	for (size_t i = 0; i < time.n_kernels; i++)
		for (size_t k = 0; k < 3; k++)
			seen[k] |= strstr(time.kernels[i].name, given[k]) != NULL;
	assert_true(seen[0] && seen[1] && seen[2]);
	il_model_time_clear(&time);
	unlink(path);
	il_graph_destroy(&g);
}

/* The runtime refuses an operator that there is not, and has a profile open by then. */
static void nothing_stays_behind(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	struct il_model_time time;
	char folder[] = "/tmp/inlay-test-XXXXXX", path[64];
	const char *before = getenv("TMPDIR");
	char *kept = before ? strdup(before) : NULL;
	test_input(g, "x", "2");
	test_node(g, "NoSuchOperator", "y", 1, "x");
	test_output(g, "y");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/m.onnx", folder);
	assert_ok(il_graph_write(g, path, false, &err));
	setenv("TMPDIR", folder, 1);
	assert_fails(il_model_time(path, NULL, 0, 1, 1, &time, &err), INLAY_ERR_FORMAT, "m.onnx");
	if (kept)
		setenv("TMPDIR", kept, 1);
	else
		unsetenv("TMPDIR");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0); /* it was empty */
	free(kept);
	il_graph_destroy(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_from_memory),
		cmocka_unit_test(numbers_of_every_type),
		cmocka_unit_test(inputs_by_choice),
		cmocka_unit_test(differences),
		cmocka_unit_test(times),
		cmocka_unit_test(values_fit_their_type),
		cmocka_unit_test(long_names),
		cmocka_unit_test(names_of_any_kind_are_timed),
		cmocka_unit_test(nothing_stays_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
