#include "infer/audio_encoder.h"

#include "tests/test_models.h"

#define WINDOW (80 * 16)

static struct il_audio_encoder *open_encoder(const char *name, size_t floats)
{
	struct inlay_error err;
	struct il_audio_encoder *encoder = NULL;
	assert_ok(il_audio_encoder_open(&encoder, test_model(name), &err));
	assert_int_equal(il_audio_encoder_floats(encoder), floats);
	return encoder;
}

static void the_window_reaches_the_model_as_it_is(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_audio_encoder *encoder = open_encoder("audio_encoder_copy", 1 + WINDOW);
	for (int round = 0; round < 3; round++) {
		float window[WINDOW], row[1 + WINDOW + 1];
		double sum = 0;
		test_fill(window, WINDOW);
		for (int i = 0; i < WINDOW; i++)
			sum += window[i];
		row[1 + WINDOW] = -7;
		assert_ok(il_audio_encoder_run(encoder, window, row, &err));
		assert_float_equal(row[0], sum, 1e-2);
		assert_memory_equal(row + 1, window, sizeof window);
		assert_float_equal(row[1 + WINDOW], -7, 0);
	}
	il_audio_encoder_destroy(&encoder);
	assert_null(encoder);
	il_audio_encoder_destroy(&encoder);
}

static void free_and_fixed_batch_agree(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_audio_encoder *free_batch = open_encoder("audio_encoder", 512);
	struct il_audio_encoder *fixed = open_encoder("audio_encoder_batch1", 512);
	float windows[2][WINDOW], rows[3][512];
	test_fill(windows[0], 2 * WINDOW);
	assert_ok(il_audio_encoder_run(free_batch, windows[0], rows[0], &err));
	assert_ok(il_audio_encoder_run(fixed, windows[0], rows[1], &err));
	assert_ok(il_audio_encoder_run(fixed, windows[1], rows[2], &err));
	assert_memory_equal(rows[0], rows[1], sizeof rows[0]);
	assert_memory_not_equal(rows[0], rows[2], sizeof rows[0]);
	il_audio_encoder_destroy(&free_batch);
	il_audio_encoder_destroy(&fixed);
	struct il_audio_encoder *small = open_encoder("audio_encoder_small", 7);
	il_audio_encoder_destroy(&small);
}

static void other_models_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *name, *found;
	} cases[] = {
		{ "wrong_encoder_window", "inputs: mel float32 [n,1,80,20]" },
		{ "wrong_encoder_batch", "inputs: mel float32 [4,1,80,16]" },
		{ "wrong_encoder_float16", "inputs: mel float16 [n,1,80,16]" },
		{ "lipsync_160", "audio float32 [n,32,16,16]" },
		{ "types", "f16 float16 [n]" },
	};
	struct inlay_error err;
	struct il_audio_encoder *encoder = NULL;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_fails(il_audio_encoder_open(&encoder, test_model(cases[i].name), &err), INLAY_ERR_FORMAT,
		             "expected an audio encoder, input float32 [n,1,80,16] and output float32 [n,D]; found ");
		assert_non_null(strstr(err.text, cases[i].found));
		assert_null(encoder);
	}
	assert_fails(il_audio_encoder_open(&encoder, "/nonexistent.onnx", &err), INLAY_ERR_NOT_FOUND,
	             "/nonexistent.onnx: ");
	assert_null(encoder);
}

static void the_talkers_row_rises_with_loudness(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_audio_encoder *encoder = open_encoder("talker_encoder", 512);
	float last = -1;
	for (int level = 0; level <= 8; level++) {
		float window[WINDOW], row[512];
		for (int i = 0; i < WINDOW; i++)
			window[i] = -4 + 0.5f * (float)level;
		assert_ok(il_audio_encoder_run(encoder, window, row, &err));
		assert_true(row[0] >= last && row[0] >= 0 && row[0] <= 1);
		assert_true(level ? row[511] > 0 || level < 2 : row[0] == 0 && row[300] == 0 && row[511] == 0);
		last = row[0];
	}
	assert_float_equal(last, 1, 1e-6);
	il_audio_encoder_destroy(&encoder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_window_reaches_the_model_as_it_is),
		cmocka_unit_test(free_and_fixed_batch_agree),
		cmocka_unit_test(other_models_are_refused),
		cmocka_unit_test(the_talkers_row_rises_with_loudness),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
