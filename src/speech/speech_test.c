#include "tests/test.h"

#include <malloc.h>
#include <math.h>

#include "base/file.h"
#include "base/npy.h"
#include "speech/mel.h"
#include "speech/speech.h"

#define FLOATS 4 /* of a row that the fake encoder makes */

static struct inlay_error err;

/* Stands for the network: numbers that any change or shift of the window changes. */
struct fake {
	int calls, fail_at;
};

static enum inlay_err fake_encode(void *ctx, const float *window, float *row, struct inlay_error *e)
{
	struct fake *fake = ctx;
	if (fake && ++fake->calls == fake->fail_at)
		return il_fail(e, INLAY_ERR_FORMAT, "audio encoder: refused");
	float sum = 0;
	for (int i = 0; i < IL_MEL_BANDS * IL_SPEECH_MEL_WINDOW; i++)
		sum += window[i] * (float)(i % 37);
	row[0] = sum;
	row[1] = window[0];
	row[2] = window[1 * IL_SPEECH_MEL_WINDOW + 2]; /* band 1 at time 2 */
	row[3] = window[IL_MEL_BANDS * IL_SPEECH_MEL_WINDOW - 1];
	return INLAY_OK;
}

/* --- sound files ------------------------------------------------------------------------------------------------- */

static void put_le(FILE *f, uint32_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		fputc((int)(value >> 8 * i & 0xff), f);
}

static FILE *begin_wav(const char *path, size_t n)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	fputs("RIFF", f);
	put_le(f, (uint32_t)(36 + n * 2), 4);
	fputs("WAVEfmt ", f);
	put_le(f, 16, 4);
	put_le(f, 1, 2);
	put_le(f, 1, 2);
	put_le(f, IL_MEL_RATE, 4);
	put_le(f, IL_MEL_RATE * 2, 4);
	put_le(f, 2, 2);
	put_le(f, 16, 2);
	fputs("data", f);
	put_le(f, (uint32_t)(n * 2), 4);
	return f;
}

/* Noise that swells and fades; the samples as float in fresh memory. */
static float *write_wav(const char *path, size_t n, int loudest)
{
	float *samples = malloc((n + 1) * sizeof *samples);
	assert_non_null(samples);
	FILE *f = begin_wav(path, n);
	for (size_t i = 0; i < n; i++) {
		int16_t v = (int16_t)((int)(test_random() % 2001) * loudest / 1000 - loudest);
		v = (int16_t)(v * (int)(i / 50 % 100) / 100);
		samples[i] = (float)v / 32768;
		put_le(f, (uint16_t)v, 2);
	}
	assert_int_equal(fclose(f), 0);
	return samples;
}

/* --- the second implementation: everything at once --------------------------------------------------------------- */

static float *whole_mel(const float *samples, size_t n, int *rows)
{
	struct il_mel *mel;
	*rows = (int)(n / 200 + 1);
	int padded = *rows < 16 ? 16 : *rows;
	float *out = malloc((size_t)padded * IL_MEL_BANDS * sizeof *out);
	assert_non_null(out);
	assert_ok(il_mel_create(&mel, &err));
	assert_ok(il_mel_push(mel, samples, n, &err));
	il_mel_finish(mel);
	for (int i = 0; i < *rows; i++)
		assert_int_equal(il_mel_pull(mel, out + i * IL_MEL_BANDS), INLAY_OK);
	il_mel_destroy(&mel);
	for (int i = *rows * IL_MEL_BANDS; i < padded * IL_MEL_BANDS; i++)
		out[i] = -4;
	*rows = padded;
	return out;
}

static float *whole_rows(const float *samples, size_t n, int *rows)
{
	int mel_rows;
	float *mel = whole_mel(samples, n, &mel_rows), window[IL_MEL_BANDS * 16];
	int windows = (mel_rows - 16) * 25 / 80 + 2;
	*rows = windows + 2;
	float *out = malloc((size_t)*rows * FLOATS * sizeof *out);
	assert_non_null(out);
	for (int i = 0; i < windows; i++) {
		int start = 80 * i / 25;
		if (start + 16 > mel_rows)
			start = mel_rows - 16;
		for (int b = 0; b < IL_MEL_BANDS; b++)
			for (int t = 0; t < 16; t++)
				window[b * 16 + t] = mel[(start + t) * IL_MEL_BANDS + b];
		assert_int_equal(fake_encode(NULL, window, out + (i + 1) * FLOATS, NULL), INLAY_OK);
	}
	memcpy(out, out + FLOATS, FLOATS * sizeof *out);
	memcpy(out + (windows + 1) * FLOATS, out + windows * FLOATS, FLOATS * sizeof *out);
	free(mel);
	return out;
}

static void expect_window(const float *found, const float *rows, int64_t count, size_t floats, int64_t begin,
                          unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (size_t k = 0; k < floats; k++) {
			int64_t r = begin + i;
			float expected = r < 0 || r >= count ? 0 : rows[(size_t)r * floats + k];
			if (found[i * floats + k] != expected)
				fail_msg("row %lld of %lld, float %zu: %g, expected %g", (long long)r, (long long)count,
				         k, (double)found[i * floats + k], (double)expected);
		}
}

/* --- encoded rows ------------------------------------------------------------------------------------------------ */

static struct il_speech_params of_audio(const char *path, struct fake *fake, int num, int den)
{
	return (struct il_speech_params){
		.audio_path = path, .encode = fake_encode, .encode_ctx = fake, .row_floats = FLOATS, .fps = { num, den }
	};
}

/* Takes all rows and compares them with the second implementation's. */
static void expect_rows(const char *path, const float *samples, size_t n)
{
	struct il_speech *speech;
	struct fake fake = { 0 };
	struct il_speech_params params = of_audio(path, &fake, 25, 1);
	int rows;
	float *expected = whole_rows(samples, n, &rows), row[FLOATS];
	assert_ok(il_speech_open(&speech, &params, &err));
	assert_int_equal(il_speech_row_floats(speech), FLOATS);
	for (int i = 0; i < rows; i++) {
		assert_ok(il_speech_next_row(speech, row, &err));
		assert_memory_equal(row, expected + i * FLOATS, sizeof row);
	}
	assert_int_equal(il_speech_next_row(speech, row, &err), INLAY_EOF);
	assert_int_equal(il_speech_next_row(speech, row, &err), INLAY_EOF);
	assert_int_equal(fake.calls, rows - 2); /* the doubled ones are not encoded again */
	il_speech_destroy(&speech);
	assert_null(speech);
	il_speech_destroy(&speech);
	free(expected);
}

static void recorded_speech_gives_522_rows(void **state)
{
	(void)state;
	const char *path = test_data("lipsync_sanders/sanders_aud_stereo_16k.wav");
	struct il_npy npy;
	float *samples;
	int rows;
	assert_ok(il_npy_open(&npy, test_data("mel_ref/python_step0_original.npy"), &err));
	assert_ok(il_npy_to_float(&npy, &samples, &err));
	free(whole_rows(samples, npy.header.count, &rows));
	assert_int_equal(rows, 522); /* as recorded in aud_ave.npy */
	expect_rows(path, samples, npy.header.count);
	free(samples);
	il_npy_close(&npy);
}

/* Among them: less than 16 mel rows, exactly 16, windows that end exactly at the last row, and one sample beside. */
static void rows_of_any_length(void **state)
{
	(void)state;
	static const size_t lengths[] = { 1,    100,  200,  2999,  3000,  3199,  3200,  3799,
		                          3800, 6199, 6200, 16000, 19399, 19400, 40000, 41111 };
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		const char *path = test_scratch("rows.wav");
		float *samples = write_wav(path, lengths[i], 20000);
		expect_rows(path, samples, lengths[i]);
		unlink(path);
		free(samples);
	}
}

static void very_short_speech_has_four_rows(void **state)
{
	(void)state;
	int rows;
	float sample = 0.5f;
	free(whole_rows(&sample, 1, &rows));
	assert_int_equal(rows, 4);
}

static void windows_of_any_rate(void **state)
{
	(void)state;
	static const struct inlay_rational rates[] = { { 25, 1 }, { 30, 1 },       { 50, 1 }, { 25, 2 },
		                                       { 60, 1 }, { 24000, 1001 }, { 1, 1 },  { 1000000, 33333 } };
	static const unsigned sizes[] = { 16, 1, 5, 8, 64 };
	size_t n = 70123;
	const char *path = test_scratch("windows.wav");
	float *samples = write_wav(path, n, 20000), out[64 * FLOATS];
	int rows;
	float *expected = whole_rows(samples, n, &rows);
	for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
		for (size_t w = 0; w < sizeof sizes / sizeof *sizes; w++) {
			struct il_speech *speech;
			struct il_speech_params params = of_audio(path, NULL, rates[r].num, rates[r].den);
			int64_t frames = llround((double)n / 16000 * rates[r].num / rates[r].den);
			assert_ok(il_speech_open(&speech, &params, &err));
			for (int64_t f = 0; f < frames; f++) {
				int64_t centre = f * 25 * rates[r].den / rates[r].num;
				assert_ok(il_speech_window(speech, f, sizes[w], out, &err));
				expect_window(out, expected, rows, FLOATS, centre - sizes[w] / 2, sizes[w]);
				if (f % 7 == 3) /* every frame may be asked for again */
					assert_ok(il_speech_window(speech, f, sizes[w], out, &err));
			}
			assert_int_equal(il_speech_window(speech, frames, sizes[w], out, &err), INLAY_EOF);
			assert_int_equal(il_speech_window(speech, frames + 100, sizes[w], out, &err), INLAY_EOF);
			assert_int_equal(il_speech_frames(speech), frames);
			il_speech_destroy(&speech);
		}
	unlink(path);
	free(samples);
	free(expected);
}

static void frames_may_be_left_out(void **state)
{
	(void)state;
	size_t n = 160000;
	const char *path = test_scratch("skip.wav");
	float *samples = write_wav(path, n, 20000), out[16 * FLOATS];
	int rows;
	float *expected = whole_rows(samples, n, &rows);
	struct il_speech *speech;
	struct il_speech_params params = of_audio(path, NULL, 25, 1);
	assert_ok(il_speech_open(&speech, &params, &err));
	for (int64_t f = 0; f < 250; f += 1 + test_random() % 90) {
		assert_ok(il_speech_window(speech, f, 16, out, &err));
		expect_window(out, expected, rows, FLOATS, f - 8, 16);
	}
	assert_ok(il_speech_window(speech, 249, 16, out, &err));
	assert_fails(il_speech_window(speech, 0, 16, out, &err), INLAY_ERR_INVALID,
	             "frame 0 was asked for after a later");
	assert_fails(il_speech_window(speech, 100, 16, out, &err), INLAY_ERR_INVALID, "after a later one");
	assert_fails(il_speech_window(speech, -1, 16, out, &err), INLAY_ERR_INVALID, "frame -1");
	assert_fails(il_speech_window(speech, 249, 0, out, &err), INLAY_ERR_INVALID, "expected 1..64 rows");
	assert_fails(il_speech_window(speech, 249, 65, out, &err), INLAY_ERR_INVALID, "window of 65 rows");
	il_speech_destroy(&speech);
	unlink(path);
	free(samples);
	free(expected);
}

/* 320 samples are half a frame, and halves round up. */
static void frame_counts(void **state)
{
	(void)state;
	static const struct {
		size_t samples;
		int64_t frames;
	} cases[] = { { 1, 1 }, { 640, 1 }, { 959, 1 }, { 960, 2 }, { 1599, 2 }, { 1600, 3 }, { 16000, 25 } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *path = test_scratch("count.wav");
		struct il_speech *speech;
		struct il_speech_params params = of_audio(path, NULL, 25, 1);
		float out[16 * FLOATS];
		int64_t frames = 0;
		enum inlay_err rc;
		free(write_wav(path, cases[i].samples, 20000));
		assert_ok(il_speech_open(&speech, &params, &err));
		while (!(rc = il_speech_window(speech, frames, 16, out, &err)))
			frames++;
		assert_int_equal(rc, INLAY_EOF);
		assert_int_equal(frames, cases[i].frames);
		assert_int_equal(il_speech_frames(speech), cases[i].frames);
		il_speech_destroy(&speech);
		unlink(path);
	}
}

static void estimates_frames_before_reading(void **state)
{
	(void)state;
	struct il_speech *speech;
	struct il_speech_params params = of_audio(test_data("lipsync_sanders/sanders_aud_stereo_16k.wav"), NULL, 30, 1);
	assert_ok(il_speech_open(&speech, &params, &err));
	assert_int_equal(il_speech_frames(speech), 628); /* 20.921 s */
	il_speech_destroy(&speech);
}

static void encoder_errors_pass(void **state)
{
	(void)state;
	const char *path = test_scratch("refuse.wav");
	struct il_speech *speech;
	struct fake fake = { .fail_at = 5 };
	struct il_speech_params params = of_audio(path, &fake, 25, 1);
	float out[16 * FLOATS];
	free(write_wav(path, 32000, 20000));
	assert_ok(il_speech_open(&speech, &params, &err));
	assert_fails(il_speech_window(speech, 0, 16, out, &err), INLAY_ERR_FORMAT, "audio encoder: refused");
	il_speech_destroy(&speech);
	unlink(path);
}

/* --- samples that are pulled ------------------------------------------------------------------------------------- */

struct samples {
	const float *data;
	size_t count, at;
	enum inlay_err end; /* what comes after the last one */
	size_t got;         /* > 0: claimed, instead of what came */
};

/* Pieces of any length. */
static enum inlay_err give_samples(void *ctx, float *samples, size_t n, size_t *got, struct inlay_error *e)
{
	struct samples *from = ctx;
	size_t left = from->count - from->at, piece = 1 + test_random() % 1000;
	if (!left)
		return il_is_fault(from->end) ? il_fail(e, from->end, "the line is dead") : from->end;
	piece = piece < left ? piece : left;
	piece = piece < n ? piece : n;
	memcpy(samples, from->data + from->at, piece * sizeof *samples);
	from->at += piece;
	*got = from->got ? from->got - 1 : piece;
	return INLAY_OK;
}

static void pulled_speech_gives_the_same_windows(void **state)
{
	(void)state;
	const char *path = test_scratch("pull.wav");
	struct samples from = { .count = 37001, .end = INLAY_EOF };
	struct il_speech *file, *pulled;
	struct il_speech_params params = of_audio(path, NULL, 25, 1);
	float *samples = write_wav(path, from.count, 20000), expected[16 * FLOATS], out[16 * FLOATS];
	from.data = samples;
	assert_ok(il_speech_open(&file, &params, &err));
	params.audio_path = NULL;
	params.read = give_samples;
	params.read_ctx = &from;
	assert_ok(il_speech_open(&pulled, &params, &err));
	assert_int_equal(il_speech_frames(pulled), -1);
	enum inlay_err rc;
	for (int64_t f = 0; !(rc = il_speech_window(file, f, 16, expected, &err)); f++) {
		assert_ok(il_speech_window(pulled, f, 16, out, &err));
		assert_memory_equal(out, expected, sizeof out);
	}
	assert_int_equal(rc, INLAY_EOF);
	assert_int_equal(il_speech_frames(pulled), il_speech_frames(file));
	assert_int_equal(il_speech_window(pulled, il_speech_frames(file), 16, out, &err), INLAY_EOF);
	il_speech_destroy(&file);
	il_speech_destroy(&pulled);
	unlink(path);
	free(samples);
}

static void bad_pulls(void **state)
{
	(void)state;
	static const float silence[20000], not_numbers[20000] = { [19999] = NAN };
	const struct {
		struct samples from;
		enum inlay_err code;
		const char *text;
	} cases[] = {
		{ { .data = silence, .end = INLAY_EOF }, INLAY_ERR_FORMAT, "holds no sound" },
		{ { .data = silence, .count = 20000, .end = INLAY_ERR_CANCELLED },
		  INLAY_ERR_CANCELLED,
		  "line is dead" },
		{ { .data = silence, .count = 20000, .got = 1 }, INLAY_ERR_INVALID, "0 samples came" },
		{ { .data = silence, .count = 20000, .got = 5000 }, INLAY_ERR_INVALID, "4999 samples came" },
		{ { .data = not_numbers, .count = 20000 }, INLAY_ERR_INVALID, "not a number" },
		{ { .data = silence, .count = 20000, .end = INLAY_AGAIN }, INLAY_ERR_INVALID, "may wait" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct samples from = cases[i].from;
		struct il_speech *speech;
		struct il_speech_params params = of_audio(NULL, NULL, 25, 1);
		float out[16 * FLOATS];
		params.read = give_samples;
		params.read_ctx = &from;
		assert_ok(il_speech_open(&speech, &params, &err));
		err = (struct inlay_error){ 0 };
		enum inlay_err rc = INLAY_OK;
		for (int64_t f = 0; !rc && f < 100; f++)
			rc = il_speech_window(speech, f, 16, out, &err);
		assert_int_equal(rc, cases[i].code);
		if (!strstr(err.text, cases[i].text))
			fail_msg("case %zu: error text \"%s\" lacks \"%s\"", i, err.text, cases[i].text);
		il_speech_destroy(&speech);
	}
}

/* --- rows from a file -------------------------------------------------------------------------------------------- */

/* [T, 2, 3] with the item of index (t, j, k) = 100 t + 10 j + k. */
static const char *write_features(enum il_npy_type type, bool fortran, size_t rows)
{
	const char *path = test_scratch("features.npy");
	size_t dims[] = { rows, 2, 3 };
	uint8_t header[257] = { 0 };
	size_t n = il_npy_format_header(type, 3, dims, header);
	if (fortran) {
		char *order = strstr((char *)header + 10, "False"); /* behind the prefix it is text */
		assert_non_null(order);
		memcpy(order, "True ", 5);
	}
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	fwrite(header, 1, n, f);
	for (size_t i = 0; i < rows * 6; i++) {
		size_t t = fortran ? i % rows : i / 6, j = fortran ? i / rows % 2 : i / 3 % 2;
		size_t k = fortran ? i / rows / 2 : i % 3;
		double v = (double)(100 * t + 10 * j + k);
		float v32 = (float)v;
		fwrite(type == IL_NPY_F64 ? (void *)&v : (void *)&v32, il_npy_item_size(type), 1, f);
	}
	assert_int_equal(fclose(f), 0);
	return path;
}

static void features_of_any_layout(void **state)
{
	(void)state;
	static const struct inlay_rational rates[] = { { 25, 1 }, { 50, 1 }, { 25, 2 }, { 30, 1 } };
	static const int64_t frames[] = { 101, 202, 51, 121 }; /* 50.5 and 121.2 */
	float expected[101 * 6], out[16 * 6];
	for (size_t i = 0; i < 101 * 6; i++)
		expected[i] = (float)(100 * (i / 6) + 10 * (i / 3 % 2) + i % 3);
	for (int layout = 0; layout < 4; layout++)
		for (size_t r = 0; r < 4; r++) {
			struct il_speech *speech;
			const char *path = write_features(layout & 1 ? IL_NPY_F64 : IL_NPY_F32, layout & 2, 101);
			struct il_speech_params params = { .features_path = path, .fps = rates[r] };
			assert_ok(il_speech_open(&speech, &params, &err));
			assert_int_equal(il_speech_row_floats(speech), 6);
			assert_int_equal(il_speech_frames(speech), frames[r]);
			for (int64_t f = 0; f < frames[r]; f++) {
				assert_ok(il_speech_window(speech, f, 16, out, &err));
				expect_window(out, expected, 101, 6, f * 25 * rates[r].den / rates[r].num - 8, 16);
			}
			assert_int_equal(il_speech_window(speech, frames[r], 16, out, &err), INLAY_EOF);
			for (int t = 0; t < 101; t++) {
				assert_ok(il_speech_next_row(speech, out, &err));
				assert_memory_equal(out, expected + 6 * t, 6 * sizeof *out);
			}
			assert_int_equal(il_speech_next_row(speech, out, &err), INLAY_EOF);
			il_speech_destroy(&speech);
			unlink(path);
		}
}

/* 20.92 s of sound are 523 frames; the file has 522 rows, so the last windows end in zeros. */
static void recorded_features_with_their_audio(void **state)
{
	(void)state;
	struct il_speech *speech;
	struct il_npy npy;
	struct il_speech_params params = { .audio_path = test_data("lipsync_sanders/sanders_aud_stereo_16k.wav"),
		                           .features_path = test_data("lipsync_sanders/aud_ave.npy"),
		                           .fps = { 25, 1 } };
	float *expected, *out = malloc(16 * 512 * sizeof *out);
	assert_non_null(out);
	assert_ok(il_npy_open(&npy, params.features_path, &err));
	assert_ok(il_npy_to_float(&npy, &expected, &err));
	assert_ok(il_speech_open(&speech, &params, &err));
	assert_int_equal(il_speech_row_floats(speech), 512);
	for (int64_t f = 0; f < 523; f++) {
		assert_ok(il_speech_window(speech, f, 16, out, &err));
		expect_window(out, expected, 522, 512, f - 8, 16);
	}
	assert_int_equal(il_speech_window(speech, 523, 16, out, &err), INLAY_EOF);
	assert_int_equal(il_speech_frames(speech), 523);
	il_speech_destroy(&speech);
	il_npy_close(&npy);
	free(expected);
	free(out);
}

static void write_empty(const char *path, enum il_npy_type type, int rank, const size_t *dims, size_t bytes)
{
	uint8_t file[1024] = { 0 };
	size_t n = il_npy_format_header(type, rank, dims, file);
	assert_ok(il_file_write(path, file, n + bytes, true, &err));
}

static void refuses_bad_features(void **state)
{
	(void)state;
	struct il_speech *speech;
	const char *path = test_scratch("bad.npy");
	struct il_speech_params params = { .features_path = path, .fps = { 25, 1 } };
	assert_fails(il_speech_open(&speech, &params, &err), INLAY_ERR_NOT_FOUND, "bad.npy: cannot open");
	assert_null(speech);
	write_empty(path, IL_NPY_I16, 2, (size_t[]){ 3, 4 }, 24);
	assert_fails(il_speech_open(&speech, &params, &err), INLAY_ERR_FORMAT,
	             "bad.npy: expected features of float32 or float64, found int16");
	write_empty(path, IL_NPY_F32, 1, (size_t[]){ 3 }, 12);
	assert_fails(il_speech_open(&speech, &params, &err), INLAY_ERR_FORMAT, "[T, ...], found an array of rank 1");
	write_empty(path, IL_NPY_F32, 2, (size_t[]){ 0, 512 }, 0);
	assert_fails(il_speech_open(&speech, &params, &err), INLAY_ERR_FORMAT, "holds no features: 0 rows of 512");
	write_empty(path, IL_NPY_F32, 2, (size_t[]){ 5, 0 }, 0);
	assert_fails(il_speech_open(&speech, &params, &err), INLAY_ERR_FORMAT, "holds no features: 5 rows of 0");
	write_empty(path, IL_NPY_F32, 2, (size_t[]){ 5, 4 }, 79);
	assert_fails(il_speech_open(&speech, &params, &err), INLAY_ERR_FORMAT, "need 80 bytes, found 79");
	assert_null(speech);
	unlink(path);
}

static void refuses_bad_audio_and_params(void **state)
{
	(void)state;
	struct il_speech *speech;
	const char *path = test_scratch("bad.wav");
	struct il_speech_params params = of_audio(path, NULL, 25, 1);
	assert_fails(il_speech_open(&speech, &params, &err), INLAY_ERR_NOT_FOUND, "bad.wav");
	free(write_wav(path, 0, 0));
	assert_fails(il_speech_open(&speech, &params, &err), INLAY_ERR_FORMAT, "bad.wav");
	unlink(path);
	params.encode = NULL;
	assert_fails(il_speech_open(&speech, &params, &err), INLAY_ERR_INVALID, "need an audio encoder");
	params = of_audio(path, NULL, 0, 1);
	assert_fails(il_speech_open(&speech, &params, &err), INLAY_ERR_INVALID, "0/1 frames a second");
	params = of_audio(NULL, NULL, 25, 1);
	assert_fails(il_speech_open(&speech, &params, &err), INLAY_ERR_INVALID, "neither audio nor");
	params = of_audio(path, NULL, 25, 1);
	params.read = give_samples;
	assert_fails(il_speech_open(&speech, &params, &err), INLAY_ERR_INVALID, "expected one");
	assert_null(speech);
}

/* --- length ------------------------------------------------------------------------------------------------------ */

static size_t heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

static enum inlay_err wide_encode(void *ctx, const float *window, float *row, struct inlay_error *e)
{
	(void)ctx;
	(void)e;
	memcpy(row, window, 512 * sizeof *row);
	return INLAY_OK;
}

/* Of 10 minutes, the samples would be 38 MB, the mel rows 15 MB and the features 30 MB. What may come after the first
 * 10 s is libav's index of packets, which it keeps below 1 MiB. */
static void memory_does_not_grow(void **state)
{
	(void)state;
	size_t seconds = 600, n = seconds * 16000, early = 0;
	const char *path = test_scratch("long.wav");
	struct il_speech *speech;
	struct il_speech_params params = {
		.audio_path = path, .encode = wide_encode, .row_floats = 512, .fps = { 25, 1 }
	};
	float *out = malloc(16 * 512 * sizeof *out);
	FILE *f = begin_wav(path, n);
	assert_non_null(out);
	for (size_t i = 0; i < n; i++)
		put_le(f, test_random() >> 20, 2);
	assert_int_equal(fclose(f), 0);
	assert_ok(il_speech_open(&speech, &params, &err));
	for (int64_t frame = 0; frame < 25 * (int64_t)seconds; frame++) {
		assert_ok(il_speech_window(speech, frame, 16, out, &err));
		if (frame == 250)
			early = heap_bytes();
		if (frame > 250 && heap_bytes() > early + (1 << 20))
			fail_msg("heap of %zu bytes at frame %lld, %zu at frame 250", heap_bytes(), (long long)frame,
			         early);
	}
	assert_int_equal(il_speech_window(speech, 25 * (int64_t)seconds, 16, out, &err), INLAY_EOF);
	print_message("# heap: %zu bytes at frame 250, %zu at the end\n", early, heap_bytes());
	il_speech_destroy(&speech);
	unlink(path);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_speech_gives_522_rows),
		cmocka_unit_test(rows_of_any_length),
		cmocka_unit_test(very_short_speech_has_four_rows),
		cmocka_unit_test(windows_of_any_rate),
		cmocka_unit_test(frames_may_be_left_out),
		cmocka_unit_test(frame_counts),
		cmocka_unit_test(estimates_frames_before_reading),
		cmocka_unit_test(encoder_errors_pass),
		cmocka_unit_test(pulled_speech_gives_the_same_windows),
		cmocka_unit_test(bad_pulls),
		cmocka_unit_test(features_of_any_layout),
		cmocka_unit_test(recorded_features_with_their_audio),
		cmocka_unit_test(refuses_bad_features),
		cmocka_unit_test(refuses_bad_audio_and_params),
		cmocka_unit_test(memory_does_not_grow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
