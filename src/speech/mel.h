/* Speech to mel spectrogram, sample by sample, with bounded memory.
 *
 * The chain of SyncTalk_2D / Wav2Lip (librosa semantics), at 16 kHz mono:
 *   preemphasis y[t] = x[t] - 0.97 x[t-1], y[0] = x[0]
 *   STFT: n_fft 800, hop 200, periodic Hann window 800, centred, padded with ZEROS at both ends
 *   magnitude; slaney mel filter bank, 80 bands 55..7600 Hz, area normalised
 *   20 log10(max(1e-5, m)) - 20, then 8 (S + 100) / 100 - 4, clipped to [-4, 4]
 * n samples give 1 + n / 200 rows.
 */
#ifndef IL_SPEECH_MEL_H
#define IL_SPEECH_MEL_H

#include <stddef.h>

#include "base/error.h"

#define IL_MEL_RATE 16000
#define IL_MEL_FFT 800
#define IL_MEL_HOP 200
#define IL_MEL_BINS (IL_MEL_FFT / 2 + 1)
#define IL_MEL_BANDS 80

/* The single steps, each checked against a recorded one by mel_test.c. */
void il_mel_preemphasis(float *samples, size_t n, float *previous); /* in place; *previous carries x[-1], 0 at first */
void il_mel_filter_bank(float bank[IL_MEL_BANDS][IL_MEL_BINS]);
void il_mel_project(const float bank[IL_MEL_BANDS][IL_MEL_BINS], const float magnitude[IL_MEL_BINS],
                    float bands[IL_MEL_BANDS]);
float il_mel_decibel(float m);    /* 20 log10(max(1e-5, m)) */
float il_mel_normalise(float db); /* of il_mel_decibel's result: - 20, scale, clip */

/* One thread at a time. */
struct il_mel;

enum inlay_err il_mel_create(struct il_mel **mel, struct inlay_error *err);
void il_mel_destroy(struct il_mel **mel);

/* Feeds samples; any n. */
enum inlay_err il_mel_push(struct il_mel *mel, const float *samples, size_t n, struct inlay_error *err);
/* No more samples will come. */
void il_mel_finish(struct il_mel *mel);
/* Takes the next row: INLAY_OK, INLAY_AGAIN (push more), INLAY_EOF (finished and all taken). */
enum inlay_err il_mel_pull(struct il_mel *mel, float row[IL_MEL_BANDS]);
/* Spectrum of the row last pulled, [401] complex interleaved and [401] magnitudes; the mel's memory. */
const float *il_mel_spectrum(const struct il_mel *mel);
const float *il_mel_magnitude(const struct il_mel *mel);

#endif
