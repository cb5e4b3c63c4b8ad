#include "infer/lipsync_net.h"

#include "tests/test_models.h"

#define PLANE (16 * 16) /* of the formula models */

static struct il_lipsync_net *open_params(const struct il_lipsync_net_params *params)
{
	struct inlay_error err;
	struct il_lipsync_net *net = NULL;
	assert_ok(il_lipsync_net_open(&net, params, &err));
	return net;
}

static struct il_lipsync_net *open_model(const char *name, unsigned batch, unsigned threads)
{
	return open_params(
		&(struct il_lipsync_net_params){ .path = test_model(name), .batch = batch, .threads = threads });
}

static void fill_item(struct il_lipsync_net *net, unsigned i)
{
	test_fill(il_lipsync_net_picture(net, i), il_lipsync_net_info(net)->picture_floats);
	test_fill(il_lipsync_net_audio(net, i), il_lipsync_net_info(net)->audio_floats);
}

static void copy_item(struct il_lipsync_net *to, unsigned i, struct il_lipsync_net *from, unsigned k)
{
	const struct il_lipsync_net_info *info = il_lipsync_net_info(to);
	memcpy(il_lipsync_net_picture(to, i), il_lipsync_net_picture(from, k), info->picture_floats * sizeof(float));
	memcpy(il_lipsync_net_audio(to, i), il_lipsync_net_audio(from, k), info->audio_floats * sizeof(float));
}

static void assert_same_output(struct il_lipsync_net *a, unsigned i, struct il_lipsync_net *b, unsigned k)
{
	assert_memory_equal(il_lipsync_net_output(a, i), il_lipsync_net_output(b, k),
	                    il_lipsync_net_info(a)->output_floats * sizeof(float));
}

/* What the formula models compute: 0.5 roi + 0.25 masked + mean(audio). */
static void assert_formula(struct il_lipsync_net *net, unsigned i)
{
	const float *picture = il_lipsync_net_picture(net, i), *audio = il_lipsync_net_audio(net, i);
	size_t n = il_lipsync_net_info(net)->output_floats, audio_floats = il_lipsync_net_info(net)->audio_floats;
	double mean = 0;
	for (size_t k = 0; k < audio_floats; k++)
		mean += audio[k] / (double)audio_floats;
	for (size_t k = 0; k < n; k++)
		assert_float_equal(il_lipsync_net_output(net, i)[k], 0.5 * picture[k] + 0.25 * picture[n + k] + mean,
		                   1e-6);
}

static void shapes_come_from_the_model(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		unsigned asked;
		int size;
		unsigned batch, fixed;
		size_t audio_floats;
		const char *picture, *audio, *output;
	} cases[] = {
		{ "lipsync_320", 0, 320, 1, 0, 8192, "input", "audio", "output" },
		{ "lipsync_320", 3, 320, 3, 0, 8192, "input", "audio", "output" },
		{ "lipsync_160", 2, 160, 2, 0, 8192, "input", "audio", "output" },
		{ "lipsync_batch1", 5, 320, 1, 1, 8192, "input", "audio", "output" },
		{ "lipsync_batch4", 0, 320, 4, 4, 8192, "input", "audio", "output" },
		{ "lipsync_batch4", 6, 320, 4, 4, 8192, "input", "audio", "output" },
		{ "lipsync_hubert", 0, 320, 1, 0, 32768, "input", "audio", "output" },
		{ "lipsync_wenet", 0, 320, 1, 0, 131072, "input", "audio", "output" },
		{ "lipsync_renamed", 0, 16, 1, 0, 32, "visual_input", "audio_input", "mouth" },
		{ "lipsync_free_size", 0, 320, 1, 0, 32, "input", "audio", "output" },
		{ "lipsync_size_of_output", 0, 160, 1, 0, 32, "input", "audio", "output" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct inlay_error err;
		struct il_lipsync_net *net = open_model(cases[i].name, cases[i].asked, 1);
		const struct il_lipsync_net_info *info = il_lipsync_net_info(net);
		size_t square = (size_t)cases[i].size * (size_t)cases[i].size;
		assert_int_equal(info->size, cases[i].size);
		assert_int_equal(info->batch, cases[i].batch);
		assert_int_equal(info->fixed_batch, cases[i].fixed);
		assert_int_equal(info->picture_floats, 6 * square);
		assert_int_equal(info->audio_floats, cases[i].audio_floats);
		assert_int_equal(info->output_floats, 3 * square);
		assert_string_equal(info->picture.name, cases[i].picture);
		assert_string_equal(info->audio.name, cases[i].audio);
		assert_string_equal(info->output.name, cases[i].output);
		for (unsigned k = 0; k < info->batch; k++) {
			assert_int_equal((uintptr_t)il_lipsync_net_picture(net, k) % 64, 0);
			assert_int_equal((uintptr_t)il_lipsync_net_audio(net, k) % 64, 0);
			assert_int_equal((uintptr_t)il_lipsync_net_output(net, k) % 64, 0);
		}
		assert_ok(il_lipsync_net_run(net, info->batch, &err));
		il_lipsync_net_destroy(&net);
		assert_null(net);
		il_lipsync_net_destroy(&net);
	}
}

static void any_part_of_a_free_batch_runs(void **state)
{
	(void)state;
	static const unsigned runs[] = { 3, 1, 2, 3, 3, 2, 1, 3 };
	struct inlay_error err;
	struct il_lipsync_net *net = open_model("formula", 3, 1);
	for (size_t r = 0; r < sizeof runs / sizeof *runs; r++) {
		float before[3][3 * PLANE];
		for (unsigned i = 0; i < 3; i++) {
			fill_item(net, i);
			memcpy(before[i], il_lipsync_net_output(net, i), sizeof before[i]);
		}
		assert_ok(il_lipsync_net_run(net, runs[r], &err));
		for (unsigned i = 0; i < runs[r]; i++)
			assert_formula(net, i);
		for (unsigned i = runs[r]; i < 3; i++)
			assert_memory_equal(il_lipsync_net_output(net, i), before[i], sizeof before[i]);
	}
	il_lipsync_net_destroy(&net);
}

static void a_fixed_batch_runs_whole(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_lipsync_net *net = open_model("formula_batch4", 2, 1);
	for (unsigned n = 1; n <= 4; n++) {
		for (unsigned i = 0; i < 4; i++)
			fill_item(net, i);
		assert_ok(il_lipsync_net_run(net, n, &err));
		for (unsigned i = 0; i < 4; i++) {
			assert_formula(net, i);
			assert_true((il_lipsync_net_picture(net, i)[7] != 0) == (i < n));
			assert_true((il_lipsync_net_audio(net, i)[7] != 0) == (i < n));
		}
	}
	il_lipsync_net_destroy(&net);
}

static void batch_and_threads_change_no_bit(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_lipsync_net *single = open_model("lipsync_320", 1, 1), *free_batch = open_model("lipsync_320", 4, 2);
	struct il_lipsync_net *fixed = open_model("lipsync_batch4", 0, 1);
	for (unsigned i = 0; i < 4; i++) {
		fill_item(free_batch, i);
		copy_item(fixed, i, free_batch, i);
	}
	assert_ok(il_lipsync_net_run(free_batch, 4, &err));
	assert_ok(il_lipsync_net_run(fixed, 4, &err));
	for (unsigned i = 0; i < 4; i++) {
		copy_item(single, 0, free_batch, i);
		assert_ok(il_lipsync_net_run(single, 1, &err));
		assert_same_output(single, 0, free_batch, i);
		assert_same_output(single, 0, fixed, i);
	}
	/* Different items give different results, so that the above says something. */
	assert_true(memcmp(il_lipsync_net_output(fixed, 0), il_lipsync_net_output(fixed, 1), 4000));
	il_lipsync_net_destroy(&single);
	il_lipsync_net_destroy(&free_batch);
	il_lipsync_net_destroy(&fixed);
}

static void names_choose_among_tensors_that_fit(void **state)
{
	(void)state;
	struct inlay_error err;
	static const char *const inputs[] = { "first", "second" };
	for (int k = 0; k < 4; k++) {
		struct il_lipsync_net_params params = { .path = test_model("lipsync_ambiguous") };
		/* The picture is inputs[k & 1], once by its own name and once because the other one is the audio. */
		if (k < 2)
			params.picture_name = inputs[k & 1];
		else
			params.audio_name = inputs[!(k & 1)];
		params.output_name = k & 1 ? "two" : "one";
		struct il_lipsync_net *net = open_params(&params);
		assert_string_equal(il_lipsync_net_info(net)->picture.name, inputs[k & 1]);
		assert_string_equal(il_lipsync_net_info(net)->audio.name, inputs[!(k & 1)]);
		fill_item(net, 0);
		assert_ok(il_lipsync_net_run(net, 1, &err));
		assert_formula(net, 0);
		il_lipsync_net_destroy(&net);
	}
}

static void a_model_outside_the_contract_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *name, *part, *found;
	} cases[] = {
		{ "wrong_channels",
		  "no input fits the picture; expected one float32 [n,6,S,S] (--input-name NAME chooses)",
		  "found inputs: data float32 [1,3,16,16], sound float32 [n,2,4,4]; outputs: result float32 "
		  "[1,3,16,16]" },
		{ "wrong_not_square", "no input fits the picture", "data float32 [n,6,16,20]" },
		{ "wrong_float16", "no input fits the picture", "data float16 [n,6,16,16]" },
		{ "wrong_huge", "no input fits the picture", "data float32 [n,6,1048576,1048576]" },
		{ "wrong_empty_batch", "no input fits the picture", "data float32 [0,6,16,16]" },
		{ "wrong_rank", "no input fits the audio; expected one float32 [n,A,H,W] (--audio-name NAME chooses)",
		  "sound float32 [n,32]" },
		{ "wrong_int64_audio", "no input fits the audio", "sound int64 [n,2,4,4]" },
		{ "wrong_free_audio", "audio input sound float32 [n,2,?,4]: dimension 2 is free", "only the first" },
		{ "wrong_empty_audio", "audio input sound float32 [n,2,0,4]", "expected 1 to 16777216 floats" },
		{ "wrong_one_input",
		  "expected two inputs, the picture float32 [n,6,S,S] and the audio float32 [n,A,H,W]",
		  "found inputs: data float32 [n,6,16,16]; outputs" },
		{ "wrong_three_inputs", "expected two inputs", "mask float32 [n,1,16,16]" },
		{ "wrong_batches", "expected one n for all tensors", "1 for data, 4 for sound, 1 for result" },
		{ "wrong_output",
		  "no output fits the result; expected one float32 [n,3,S,S] (--output-name NAME chooses)",
		  "result float32 [1,1,16,16]" },
		{ "wrong_output_size", "no output fits the result", "result float32 [1,3,18,18]" },
		{ "lipsync_ambiguous", "more than one input fits the picture", "(--input-name NAME chooses)" },
		{ "types", "expected two inputs", "sequence other []" },
		{ "wrong_long_name", "no output fits the result", "data xxxxx" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct inlay_error err;
		struct il_lipsync_net *net = NULL;
		struct il_lipsync_net_params params = { .path = test_model(cases[i].name) };
		assert_fails(il_lipsync_net_open(&net, &params, &err), INLAY_ERR_FORMAT, cases[i].part);
		assert_non_null(strstr(err.text, cases[i].found));
		assert_int_equal(strncmp(err.text, params.path, strlen(params.path)), 0);
		assert_null(strchr(err.text, '\n'));
		assert_null(net);
	}
}

static void wrong_names_and_numbers_are_refused(void **state)
{
	(void)state;
	static const struct {
		struct il_lipsync_net_params params;
		enum inlay_err code;
		const char *part;
	} cases[] = {
		{ { .picture_name = "x" },
		  INLAY_ERR_NOT_FOUND,
		  "--input-name: no input is named \"x\"; found inputs: " },
		{ { .picture_name = "output" }, INLAY_ERR_NOT_FOUND, "no input is named \"output\"" },
		{ { .audio_name = "" }, INLAY_ERR_NOT_FOUND, "--audio-name: no input is named \"\"" },
		{ { .output_name = "input" }, INLAY_ERR_NOT_FOUND, "--output-name: no output is named \"input\"" },
		{ { .picture_name = "audio" },
		  INLAY_ERR_FORMAT,
		  "--input-name: \"audio\" does not fit the picture; expected float32 [n,6,S,S]; found inputs: " },
		{ { .audio_name = "input" }, INLAY_ERR_FORMAT, "no input fits the picture" },
		{ { .picture_name = "audio", .audio_name = "audio" },
		  INLAY_ERR_INVALID,
		  "--input-name and --audio-name are both \"audio\"" },
		{ { .batch = 1025 }, INLAY_ERR_UNSUPPORTED, "1025 frames a run; expected at most 1024" },
		{ { .threads = 257 }, INLAY_ERR_INVALID, "257 threads a run" },
	};
	struct inlay_error err;
	struct il_lipsync_net *net = NULL;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct il_lipsync_net_params params = cases[i].params;
		params.path = test_model("formula");
		assert_fails(il_lipsync_net_open(&net, &params, &err), cases[i].code, cases[i].part);
		assert_null(net);
	}
	struct il_lipsync_net_params params = { .path = test_model("wrong_huge_batch") };
	assert_fails(il_lipsync_net_open(&net, &params, &err), INLAY_ERR_UNSUPPORTED, "1048576 frames a run");
	params.path = "/nonexistent.onnx";
	assert_fails(il_lipsync_net_open(&net, &params, &err), INLAY_ERR_NOT_FOUND, "/nonexistent.onnx: ");
	net = open_model("formula", 2, 1);
	assert_fails(il_lipsync_net_run(net, 0, &err), INLAY_ERR_INVALID,
	             "cannot run 0 frames at once: expected 1 to 2");
	assert_fails(il_lipsync_net_run(net, 3, &err), INLAY_ERR_INVALID, "cannot run 3 frames at once");
	il_lipsync_net_destroy(&net);
}

static void a_result_of_another_size_is_caught_by_the_run(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_lipsync_net *net = open_model("wrong_size_at_run", 1, 1);
	fill_item(net, 0);
	assert_fails(il_lipsync_net_run(net, 1, &err), INLAY_ERR_FORMAT, "{1,3,14,14}");
	il_lipsync_net_destroy(&net);
}

static void the_rows_of_a_window_are_counted(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t row_floats;
		unsigned rows; /* 0: refused */
	} cases[] = {
		{ "lipsync_320", 512, 16 },   { "lipsync_320", 1024, 8 },     { "lipsync_320", 1000, 0 },
		{ "lipsync_320", 2048, 0 },   { "lipsync_320", 256, 0 },      { "lipsync_320", 0, 0 },
		{ "lipsync_hubert", 512, 0 }, { "lipsync_hubert", 2048, 16 }, { "lipsync_320", SIZE_MAX / 8 + 1025, 0 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct inlay_error err;
		unsigned rows = 77;
		struct il_lipsync_net *net = open_model(cases[i].name, 1, 1);
		if (cases[i].rows) {
			assert_ok(il_lipsync_net_rows(net, cases[i].row_floats, &rows, &err));
			assert_int_equal(rows, cases[i].rows);
		} else {
			char part[64];
			snprintf(part, sizeof part, "16 or 8 feature rows of %zu: the", cases[i].row_floats);
			assert_fails(il_lipsync_net_rows(net, cases[i].row_floats, &rows, &err), INLAY_ERR_INVALID,
			             part);
			assert_non_null(strstr(err.text, cases[i].name));
			assert_non_null(
				strstr(err.text, i == 2 ? "audio input float32 [n,32,16,16] takes 8192 floats a frame"
			                                : " belong to another network"));
			assert_int_equal(rows, 77);
		}
		il_lipsync_net_destroy(&net);
	}
}

/* Sets all 16 feature rows to one level and returns how many floats of the result differ from the roi. */
static size_t talk(struct il_lipsync_net *net, float level)
{
	struct inlay_error err;
	const struct il_lipsync_net_info *info = il_lipsync_net_info(net);
	size_t changed = 0;
	for (size_t i = 0; i < info->audio_floats; i++)
		il_lipsync_net_audio(net, 0)[i] = level;
	assert_ok(il_lipsync_net_run(net, 1, &err));
	for (size_t i = 0; i < info->output_floats; i++) {
		float p = il_lipsync_net_output(net, 0)[i];
		assert_true(p >= 0 && p <= 1);
		changed += p != il_lipsync_net_picture(net, 0)[i];
	}
	return changed;
}

static void the_drawn_mouth_opens_with_the_speech(void **state)
{
	(void)state;
	struct il_lipsync_net *net = open_model("talker", 1, 1);
	const struct il_lipsync_net_info *info = il_lipsync_net_info(net);
	size_t row = (size_t)info->size, last = 0;
	for (size_t i = 0; i < info->picture_floats; i++)
		il_lipsync_net_picture(net, 0)[i] = 0.8f;
	assert_int_equal(talk(net, 0), 0);
	for (float level = 0.2f; level <= 1; level += 0.2f) {
		size_t changed = talk(net, level);
		assert_true(changed > last && changed < info->output_floats / 5);
		last = changed;
	}
	const float *out = il_lipsync_net_output(net, 0);
	assert_true(out[140 * row + row / 2] < 0.3f);
	assert_true(out[0] == 0.8f && out[(row - 1) * row] == 0.8f);
	il_lipsync_net_destroy(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes_come_from_the_model),
		cmocka_unit_test(any_part_of_a_free_batch_runs),
		cmocka_unit_test(a_fixed_batch_runs_whole),
		cmocka_unit_test(batch_and_threads_change_no_bit),
		cmocka_unit_test(names_choose_among_tensors_that_fit),
		cmocka_unit_test(a_model_outside_the_contract_is_refused),
		cmocka_unit_test(wrong_names_and_numbers_are_refused),
		cmocka_unit_test(a_result_of_another_size_is_caught_by_the_run),
		cmocka_unit_test(the_rows_of_a_window_are_counted),
		cmocka_unit_test(the_drawn_mouth_opens_with_the_speech),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
