#include "speech/mel.h"

#include <fftw3.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LOW_HZ 55.0
#define HIGH_HZ 7600.0
#define PAD (IL_MEL_FFT / 2)

/* FFTW's planner has global state; executing a plan has none. */
static pthread_mutex_t planner_lock = PTHREAD_MUTEX_INITIALIZER;

struct il_mel {
	float bank[IL_MEL_BANDS][IL_MEL_BINS];
	int first[IL_MEL_BANDS], end[IL_MEL_BANDS]; /* bins where a band is not zero */
	float window[IL_MEL_FFT];
	float *input; /* IL_MEL_FFT samples, and the spectrum: FFTW's aligned memory */
	fftwf_complex *spectrum;
	fftwf_plan plan;
	float magnitude[IL_MEL_BINS];

	/* Preemphasised samples from `origin` on that rows to come still need. */
	float *pending;
	size_t pending_count, pending_capacity;
	int64_t origin, received, rows_taken;
	float previous;
	bool finished;
};

void il_mel_preemphasis(float *samples, size_t n, float *previous)
{
	/* In double: at low frequencies the difference is 30 times smaller than the rounding of its terms suggests. */
	float before = *previous;
	for (size_t i = 0; i < n; i++) {
		float x = samples[i];
		samples[i] = (float)(x - 0.97 * before);
		before = x;
	}
	*previous = before;
}

/* Slaney's scale (Auditory Toolbox, 1998; librosa's htk=False): linear up to 1 kHz, then logarithmic. */
static double mel_to_hz(double mel)
{
	return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * log(6.4) / 27);
}

static double hz_to_mel(double hz)
{
	return hz < 1000 ? hz * 3 / 200 : 15 + log(hz / 1000) * 27 / log(6.4);
}

/* Triangles between neighbours of 82 points evenly spaced in mel, each of area 1. */
void il_mel_filter_bank(float bank[IL_MEL_BANDS][IL_MEL_BINS])
{
	double points[IL_MEL_BANDS + 2], low = hz_to_mel(LOW_HZ), high = hz_to_mel(HIGH_HZ);
	for (int i = 0; i < IL_MEL_BANDS + 2; i++)
		points[i] = mel_to_hz(low + (high - low) * i / (IL_MEL_BANDS + 1));
	for (int b = 0; b < IL_MEL_BANDS; b++) {
		double left = points[b], top = points[b + 1], right = points[b + 2];
		for (int k = 0; k < IL_MEL_BINS; k++) {
			double hz = (double)k * IL_MEL_RATE / IL_MEL_FFT;
			double height = fmin((hz - left) / (top - left), (right - hz) / (right - top));
			bank[b][k] = (float)(fmax(height, 0) * 2 / (right - left));
		}
	}
}

static float project_band(const float *weights, const float *magnitude, int first, int end)
{
	float sum = 0;
	for (int k = first; k < end; k++)
		sum += weights[k] * magnitude[k];
	return sum;
}

void il_mel_project(const float bank[IL_MEL_BANDS][IL_MEL_BINS], const float magnitude[IL_MEL_BINS],
                    float bands[IL_MEL_BANDS])
{
	for (int b = 0; b < IL_MEL_BANDS; b++)
		bands[b] = project_band(bank[b], magnitude, 0, IL_MEL_BINS);
}

float il_mel_decibel(float m)
{
	return 20 * log10f(m > 1e-5f ? m : 1e-5f);
}

float il_mel_normalise(float db)
{
	float y = 8 * (db - 20 + 100) / 100 - 4;
	return y < -4 ? -4 : y > 4 ? 4 : y;
}

static void find_support(struct il_mel *mel)
{
	for (int b = 0; b < IL_MEL_BANDS; b++) {
		mel->end[b] = IL_MEL_BINS;
		while (mel->end[b] > 0 && mel->bank[b][mel->end[b] - 1] == 0)
			mel->end[b]--;
		while (mel->first[b] < mel->end[b] && mel->bank[b][mel->first[b]] == 0)
			mel->first[b]++;
	}
}

enum inlay_err il_mel_create(struct il_mel **out, struct inlay_error *err)
{
	*out = NULL;
	struct il_mel *mel = calloc(1, sizeof *mel);
	if (!mel)
		return il_fail_memory(err);
	mel->input = fftwf_alloc_real(IL_MEL_FFT);
	mel->spectrum = fftwf_alloc_complex(IL_MEL_BINS);
	if (mel->input && mel->spectrum) {
		memset(mel->spectrum, 0, IL_MEL_BINS * sizeof *mel->spectrum);
		/* A planner that measures picks other algorithms from run to run: results differ in the last bit. */
		pthread_mutex_lock(&planner_lock);
		mel->plan = fftwf_plan_dft_r2c_1d(IL_MEL_FFT, mel->input, mel->spectrum, FFTW_ESTIMATE);
		pthread_mutex_unlock(&planner_lock);
	}
	if (!mel->plan) {
		il_mel_destroy(&mel);
		return il_fail_memory(err);
	}
	il_mel_filter_bank(mel->bank);
	find_support(mel);
	for (int i = 0; i < IL_MEL_FFT; i++)
		mel->window[i] = (float)(0.5 - 0.5 * cos(2 * M_PI * i / IL_MEL_FFT));
	*out = mel;
	return INLAY_OK;
}

void il_mel_destroy(struct il_mel **mel)
{
	if (!*mel)
		return;
	pthread_mutex_lock(&planner_lock);
	if ((*mel)->plan)
		fftwf_destroy_plan((*mel)->plan);
	pthread_mutex_unlock(&planner_lock);
	fftwf_free((*mel)->input);
	fftwf_free((*mel)->spectrum);
	free((*mel)->pending);
	free(*mel);
	*mel = NULL;
}

/* First and one past the last sample under the window of the next row; samples outside the speech are zero. */
static int64_t row_begin(const struct il_mel *mel)
{
	return mel->rows_taken * IL_MEL_HOP - PAD;
}

static int64_t row_end(const struct il_mel *mel)
{
	return mel->rows_taken * IL_MEL_HOP + PAD;
}

/* Drops samples before the next row's window. */
static void forget(struct il_mel *mel)
{
	int64_t old = row_begin(mel) - mel->origin;
	if (old <= 0)
		return;
	size_t n = (size_t)old < mel->pending_count ? (size_t)old : mel->pending_count;
	mel->pending_count -= n;
	mel->origin += (int64_t)n;
	memmove(mel->pending, mel->pending + n, mel->pending_count * sizeof *mel->pending);
}

enum inlay_err il_mel_push(struct il_mel *mel, const float *samples, size_t n, struct inlay_error *err)
{
	if (mel->finished)
		return il_fail(err, INLAY_ERR_INVALID, "mel: samples pushed after the end");
	if (!n)
		return INLAY_OK;
	forget(mel);
	if (n > mel->pending_capacity - mel->pending_count) {
		if (n > SIZE_MAX / sizeof *samples / 4)
			return il_fail_memory(err);
		size_t capacity = mel->pending_count + n + 2 * IL_MEL_FFT;
		float *grown = realloc(mel->pending, capacity * sizeof *grown);
		if (!grown)
			return il_fail_memory(err);
		mel->pending = grown;
		mel->pending_capacity = capacity;
	}
	float *end = mel->pending + mel->pending_count;
	memcpy(end, samples, n * sizeof *end);
	il_mel_preemphasis(end, n, &mel->previous);
	mel->pending_count += n;
	mel->received += (int64_t)n;
	return INLAY_OK;
}

void il_mel_finish(struct il_mel *mel)
{
	mel->finished = true;
}

static void transform(struct il_mel *mel)
{
	for (int i = 0; i < IL_MEL_FFT; i++) {
		int64_t at = row_begin(mel) + i;
		bool inside = at >= 0 && at < mel->received;
		mel->input[i] = inside ? mel->pending[at - mel->origin] * mel->window[i] : 0;
	}
	fftwf_execute(mel->plan);
	for (int k = 0; k < IL_MEL_BINS; k++) {
		float re = mel->spectrum[k][0], im = mel->spectrum[k][1];
		mel->magnitude[k] = sqrtf(re * re + im * im);
	}
}

enum inlay_err il_mel_pull(struct il_mel *mel, float row[IL_MEL_BANDS])
{
	if (mel->finished && mel->rows_taken > mel->received / IL_MEL_HOP)
		return INLAY_EOF;
	if (!mel->finished && row_end(mel) > mel->received)
		return INLAY_AGAIN;
	transform(mel);
	for (int b = 0; b < IL_MEL_BANDS; b++)
		row[b] = il_mel_normalise(
			il_mel_decibel(project_band(mel->bank[b], mel->magnitude, mel->first[b], mel->end[b])));
	mel->rows_taken++;
	return INLAY_OK;
}

const float *il_mel_spectrum(const struct il_mel *mel)
{
	return &mel->spectrum[0][0];
}

const float *il_mel_magnitude(const struct il_mel *mel)
{
	return mel->magnitude;
}
