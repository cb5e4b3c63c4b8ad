#include "tests/test.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>

#include "base/npy.h"
#include "speech/mel.h"

#define ROWS 1674 /* of the recorded speech, 334739 samples */

static _Thread_local struct inlay_error err;

struct array {
	float *values;
	size_t count, rows, columns;
};

static struct array load(const char *name)
{
	char path[128];
	struct il_npy npy;
	struct array a;
	snprintf(path, sizeof path, "mel_ref/%s.npy", name);
	assert_ok(il_npy_open(&npy, test_data(path), &err));
	a.count = npy.header.count;
	a.rows = npy.header.dims[0];
	a.columns = a.count / a.rows;
	assert_ok(il_npy_to_float(&npy, &a.values, &err));
	il_npy_close(&npy);
	return a;
}

/* Fails above `bar`; the greatest difference is printed, so that a drift below the bar is seen as well. */
static void expect_close(const char *what, const float *found, const float *expected, size_t n, double bar)
{
	double worst = 0;
	for (size_t i = 0; i < n; i++) {
		double d = fabs((double)found[i] - (double)expected[i]);
		if (!(d <= worst))
			worst = d;
	}
	print_message("# %s: greatest difference %.3g, allowed %.3g\n", what, worst, bar);
	if (!(worst <= bar))
		fail_msg("%s: greatest difference %.9g, allowed %.9g", what, worst, bar);
}

/* Every row of `samples`; with spectra and magnitudes of the first 200 when asked for. */
static float *all_rows(const float *samples, size_t n, size_t *rows, float *spectra, float *magnitudes)
{
	struct il_mel *mel;
	size_t expected = 1 + n / IL_MEL_HOP;
	float *out = malloc(expected * IL_MEL_BANDS * sizeof *out), beyond[IL_MEL_BANDS];
	assert_non_null(out);
	assert_ok(il_mel_create(&mel, &err));
	assert_ok(il_mel_push(mel, samples, n, &err));
	il_mel_finish(mel);
	for (*rows = 0; *rows < expected; ++*rows) {
		assert_int_equal(il_mel_pull(mel, out + *rows * IL_MEL_BANDS), INLAY_OK);
		if (spectra && *rows < 200) {
			memcpy(spectra + *rows * 2 * IL_MEL_BINS, il_mel_spectrum(mel),
			       2 * IL_MEL_BINS * sizeof(float));
			memcpy(magnitudes + *rows * IL_MEL_BINS, il_mel_magnitude(mel), IL_MEL_BINS * sizeof(float));
		}
	}
	assert_int_equal(il_mel_pull(mel, beyond), INLAY_EOF);
	il_mel_destroy(&mel);
	assert_null(mel);
	return out;
}

static void preemphasis(void **state)
{
	(void)state;
	struct array x = load("python_step0_original"), y = load("python_step1_preemphasis_head");
	float previous = 0;
	il_mel_preemphasis(x.values, 12345, &previous);
	il_mel_preemphasis(x.values + 12345, x.count - 12345, &previous);
	expect_close("preemphasis", x.values, y.values, y.count, 0);
	free(x.values);
	free(y.values);
}

static void spectrum_and_magnitude(void **state)
{
	(void)state;
	struct array x = load("python_step0_original"), re = load("python_step2_stft_real_head"),
		     im = load("python_step2_stft_imag_head"), mag = load("python_step3_magnitude_head");
	float *spectra = malloc(200 * 2 * IL_MEL_BINS * sizeof *spectra);
	float *magnitudes = malloc(200 * IL_MEL_BINS * sizeof *magnitudes);
	size_t rows, n = 200 * IL_MEL_BINS;
	assert_non_null(spectra);
	assert_non_null(magnitudes);
	assert_int_equal(re.count, n);
	assert_int_equal(im.count, n);
	assert_int_equal(mag.count, n);
	free(all_rows(x.values, x.count, &rows, spectra, magnitudes));
	float *part = malloc(n * sizeof *part);
	assert_non_null(part);
	for (int imaginary = 0; imaginary < 2; imaginary++) {
		for (size_t i = 0; i < n; i++)
			part[i] = spectra[2 * i + (size_t)imaginary];
		expect_close(imaginary ? "spectrum, imaginary" : "spectrum, real", part,
		             imaginary ? im.values : re.values, n, 5e-7);
	}
	expect_close("magnitude", magnitudes, mag.values, n, 5e-7);
	free(part);
	free(spectra);
	free(magnitudes);
	free(x.values);
	free(re.values);
	free(im.values);
	free(mag.values);
}

/* Relative to the weight, because weights are as small as 1e-6. */
static void filter_bank(void **state)
{
	(void)state;
	static float bank[IL_MEL_BANDS][IL_MEL_BINS];
	json_t *root = json_load_file(test_data("mel_ref/mel_filters_55_7600.json"), 0, NULL);
	const json_t *filters = json_object_get(root, "filters");
	double worst = 0;
	assert_int_equal(json_array_size(filters), IL_MEL_BANDS);
	il_mel_filter_bank(bank);
	for (size_t b = 0; b < IL_MEL_BANDS; b++) {
		const json_t *band = json_array_get(filters, b);
		assert_int_equal(json_array_size(band), IL_MEL_BINS);
		for (size_t k = 0; k < IL_MEL_BINS; k++) {
			double expected = json_number_value(json_array_get(band, k));
			assert_int_equal(expected == 0, bank[b][k] == 0);
			if (expected)
				worst = fmax(worst, fabs(bank[b][k] / expected - 1));
		}
	}
	json_decref(root);
	print_message("# filter bank: greatest relative difference %.3g\n", worst);
	assert_true(worst <= 1e-6);
}

static void projection_decibel_normalisation(void **state)
{
	(void)state;
	static float bank[IL_MEL_BANDS][IL_MEL_BINS];
	struct array mag = load("python_step3_magnitude_head"), mel = load("python_step4_mel"),
		     db = load("python_step5a_db_raw");
	assert_int_equal(mel.rows, ROWS);
	assert_int_equal(mel.columns, IL_MEL_BANDS);
	assert_int_equal(db.count, mel.count);
	il_mel_filter_bank(bank);
	float *bands = malloc(mel.count * sizeof *bands);
	assert_non_null(bands);
	for (size_t i = 0; i < 200; i++)
		il_mel_project(bank, mag.values + i * IL_MEL_BINS, bands + i * IL_MEL_BANDS);
	expect_close("projection", bands, mel.values, (size_t)200 * IL_MEL_BANDS, 3e-8);
	for (size_t i = 0; i < mel.count; i++)
		bands[i] = il_mel_decibel(mel.values[i]);
	expect_close("decibel", bands, db.values, db.count, 1.6e-5);
	free(bands);
	free(mag.values);
	free(mel.values);
	free(db.values);

	struct array raw = load("python_mel_linear"), levels = load("python_mel_db"),
		     norm = load("python_mel_normalized");
	for (size_t i = 0; i < raw.count; i++)
		raw.values[i] = il_mel_normalise(il_mel_decibel(raw.values[i]));
	expect_close("normalisation", raw.values, norm.values, norm.count, 2e-6);
	for (size_t i = 0; i < levels.count; i++)
		levels.values[i] = il_mel_normalise(levels.values[i] + 20); /* recorded after the - 20 */
	expect_close("normalisation of recorded levels", levels.values, norm.values, norm.count, 2e-6);
	free(raw.values);
	free(levels.values);
	free(norm.values);
}

static void limits(void **state)
{
	(void)state;
	assert_true(il_mel_decibel(0) == il_mel_decibel(1e-5f));
	assert_true(fabsf(il_mel_decibel(0) + 100) < 1e-4f);
	assert_true(il_mel_decibel(NAN) == il_mel_decibel(0));
	assert_true(fabsf(il_mel_decibel(10) - 20) < 1e-5f);
	assert_true(il_mel_normalise(-100) == -4); /* -5.6 unclipped */
	assert_true(il_mel_normalise(50) == 4);
	assert_true(fabsf(il_mel_normalise(20) - 4) < 1e-6f);
	assert_true(fabsf(il_mel_normalise(-30)) < 1e-6f);
}

static void whole_chain_of_recorded_speech(void **state)
{
	(void)state;
	struct array x = load("python_step0_original"), db = load("python_step5a_db_raw");
	size_t rows;
	float *found = all_rows(x.values, x.count, &rows, NULL, NULL);
	assert_int_equal(rows, ROWS);
	/* In double, so that the bar is about the chain and not about the reference's rounding. */
	for (size_t i = 0; i < db.count; i++)
		db.values[i] = (float)fmin(4, fmax(-4, 8 * ((double)db.values[i] + 80) / 100 - 4));
	expect_close("chain, 1674 rows", found, db.values, db.count, 5e-5);

	int windows = 0;
	for (size_t i = 0; i < 10; i++) {
		char name[32];
		snprintf(name, sizeof name, "windows/frame_%zu", i);
		struct array w = load(name);
		assert_int_equal(w.count, 16 * IL_MEL_BANDS);
		expect_close(name, found + 80 * i / 25 * IL_MEL_BANDS, w.values, w.count, 5e-5);
		free(w.values);
		windows++;
	}
	assert_int_equal(windows, 10);
	free(found);
	free(x.values);
	free(db.values);
}

static float *load_numbers(const json_t *list, size_t *n)
{
	*n = json_array_size(list);
	float *out = malloc((*n + 1) * sizeof *out);
	assert_non_null(out);
	for (size_t i = 0; i < *n; i++)
		out[i] = (float)json_number_value(json_array_get(list, i));
	return out;
}

static void whole_chain_of(const char *name)
{
	json_t *root = json_load_file(test_data(name), 0, NULL);
	const json_t *spectrogram = json_object_get(root, "mel_spectrogram");
	size_t samples, rows, columns;
	float *audio = load_numbers(json_object_get(root, "audio"), &samples);
	float *found = all_rows(audio, samples, &rows, NULL, NULL);
	float *expected = malloc(rows * IL_MEL_BANDS * sizeof *expected);
	assert_non_null(expected);
	assert_int_equal(rows, json_array_size(spectrogram));
	for (size_t i = 0; i < rows; i++) {
		float *row = load_numbers(json_array_get(spectrogram, i), &columns);
		assert_int_equal(columns, IL_MEL_BANDS);
		memcpy(expected + i * IL_MEL_BANDS, row, IL_MEL_BANDS * sizeof *row);
		free(row);
	}
	expect_close(name, found, expected, rows * IL_MEL_BANDS, 5e-5);
	free(audio);
	free(found);
	free(expected);
	json_decref(root);
}

static void whole_chain_of_a_sine(void **state)
{
	(void)state;
	whole_chain_of("mel_ref/reference_data_correct.json");
}

static void whole_chain_of_other_speech(void **state)
{
	(void)state;
	whole_chain_of("mel_ref/reference_data_video.json");
}

static float *noise(size_t n)
{
	float *samples = malloc((n + 1) * sizeof *samples);
	assert_non_null(samples);
	for (size_t i = 0; i < n; i++)
		samples[i] = (float)(int32_t)test_random() / 2147483648.0f;
	return samples;
}

static size_t pull_all(struct il_mel *mel, float *rows, size_t have, enum inlay_err last)
{
	float row[IL_MEL_BANDS];
	enum inlay_err rc;
	while (!(rc = il_mel_pull(mel, row)))
		memcpy(rows + IL_MEL_BANDS * have++, row, sizeof row);
	assert_int_equal(rc, last);
	return have;
}

static void chunks_change_nothing(void **state)
{
	(void)state;
	static const size_t lengths[] = { 0, 1, 199, 200, 399, 400, 401, 800, 1000, 5000, 48123 };
	for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
		size_t n = lengths[l], rows, got = 0;
		float *samples = noise(n), *whole = all_rows(samples, n, &rows, NULL, NULL);
		float *parts = malloc(rows * IL_MEL_BANDS * sizeof *parts);
		assert_non_null(parts);
		for (unsigned most = 1; most < 10000; most = most * 7 + 1) {
			struct il_mel *mel;
			got = 0;
			assert_ok(il_mel_create(&mel, &err));
			for (size_t at = 0; at < n;) {
				size_t chunk = test_random() % (most + 1);
				chunk = chunk < n - at ? chunk : n - at;
				assert_ok(il_mel_push(mel, samples + at, chunk, &err));
				at += chunk;
				if (test_random() % 2)
					got = pull_all(mel, parts, got, INLAY_AGAIN);
			}
			il_mel_finish(mel);
			got = pull_all(mel, parts, got, INLAY_EOF);
			assert_int_equal(got, rows);
			assert_memory_equal(parts, whole, rows * IL_MEL_BANDS * sizeof *parts);
			assert_fails(il_mel_push(mel, samples, 1, &err), INLAY_ERR_INVALID, "after the end");
			il_mel_destroy(&mel);
		}
		free(samples);
		free(whole);
		free(parts);
	}
}

/* Weights of zero are left out; whether they are shows in no bit. */
static void sparse_projection_is_the_dense_one(void **state)
{
	(void)state;
	static float bank[IL_MEL_BANDS][IL_MEL_BINS];
	struct il_mel *mel;
	float *samples = noise(4000), row[IL_MEL_BANDS], dense[IL_MEL_BANDS];
	il_mel_filter_bank(bank);
	assert_ok(il_mel_create(&mel, &err));
	assert_ok(il_mel_push(mel, samples, 4000, &err));
	while (il_mel_pull(mel, row) == INLAY_OK) {
		il_mel_project(bank, il_mel_magnitude(mel), dense);
		for (int b = 0; b < IL_MEL_BANDS; b++)
			assert_true(row[b] == il_mel_normalise(il_mel_decibel(dense[b])));
	}
	il_mel_destroy(&mel);
	il_mel_destroy(&mel);
	free(samples);
}

/* Numbers no microphone gives still give rows within [-4, 4]. */
static void hostile_samples(void **state)
{
	(void)state;
	static const float samples[] = { NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f };
	size_t rows;
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
		float input[1000] = { 0 };
		input[500] = samples[i];
		float *found = all_rows(input, 1000, &rows, NULL, NULL);
		for (size_t k = 0; k < rows * IL_MEL_BANDS; k++)
			assert_true(found[k] >= -4 && found[k] <= 4);
		free(found);
	}
}

static void *run_alone(void *samples)
{
	size_t rows;
	return all_rows(samples, 20000, &rows, NULL, NULL);
}

static void several_at_once(void **state)
{
	(void)state;
	float *samples = noise(20000);
	float *expected = run_alone(samples);
	pthread_t threads[8];
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_alone, samples), 0);
	for (int i = 0; i < 8; i++) {
		void *found;
		assert_int_equal(pthread_join(threads[i], &found), 0);
		assert_memory_equal(found, expected, 101 * IL_MEL_BANDS * sizeof(float));
		free(found);
	}
	free(expected);
	free(samples);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(preemphasis),
		cmocka_unit_test(spectrum_and_magnitude),
		cmocka_unit_test(filter_bank),
		cmocka_unit_test(projection_decibel_normalisation),
		cmocka_unit_test(limits),
		cmocka_unit_test(whole_chain_of_recorded_speech),
		cmocka_unit_test(whole_chain_of_a_sine),
		cmocka_unit_test(whole_chain_of_other_speech),
		cmocka_unit_test(chunks_change_nothing),
		cmocka_unit_test(sparse_projection_is_the_dense_one),
		cmocka_unit_test(hostile_samples),
		cmocka_unit_test(several_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
