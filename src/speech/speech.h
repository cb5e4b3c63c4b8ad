/* Speech as the network wants it: one window of audio features a video frame, streamed.
 *
 * Feature rows are made 25 a second, whatever the video's rate: row i of the encoder is the mel window
 * [start, start + 16) with start = int(80 i / 25), at the end the last 16 rows; there are
 * int((mel_rows - 16) * 25 / 80) + 2 of them, and the first and the last row are doubled once at each end
 * (SyncTalk_2D's AudDataset and inference loop). Speech shorter than 16 mel rows is padded with silence (-4).
 * Or rows come from an .npy file [T, ...], one row a feature frame; a warning is logged where such a file and the audio
 * differ by more than a second.
 */
#ifndef IL_SPEECH_SPEECH_H
#define IL_SPEECH_SPEECH_H

#include <stdint.h>

#include "base/error.h"
#include "frame/frame.h"

#define IL_SPEECH_FEATURE_RATE 25
#define IL_SPEECH_MEL_WINDOW 16

/* Turns one mel window, [80, 16] band-major as the encoder's input [1,1,80,16], into a row of `row_floats`. */
typedef enum inlay_err il_speech_encode_fn(void *ctx, const float *window, float *row, struct inlay_error *err);

/* The next samples of speech, mono, IL_MEL_RATE, -1..1: up to n into `samples`, *got of them and more than 0, or
 * INLAY_EOF at the end. May block. */
typedef enum inlay_err il_speech_read_fn(void *ctx, float *samples, size_t n, size_t *got, struct inlay_error *err);

struct il_speech_params {
	const char *audio_path;  /* what speaks; may be NULL when features_path is set */
	il_speech_read_fn *read; /* or who gives the sound piece by piece; NULL where there is a path of either kind */
	void *read_ctx;
	const char *features_path; /* .npy of float32 or float64 [T, ...]; else `encode` makes the rows */
	il_speech_encode_fn *encode;
	void *encode_ctx;
	size_t row_floats;         /* of one encoded row; ignored for features_path */
	struct inlay_rational fps; /* of the video that will show it */
};

/* One thread at a time. */
struct il_speech;

enum inlay_err il_speech_open(struct il_speech **speech, const struct il_speech_params *params,
                              struct inlay_error *err);
void il_speech_destroy(struct il_speech **speech);

/* Floats of one feature row: product of the .npy's dims after the first, or params.row_floats. */
size_t il_speech_row_floats(const struct il_speech *speech);

/* Frames the video will have: round(seconds of audio * fps), at least 1; rows * fps / 25 when there is no audio.
 * An estimate (or -1) from the container's duration until the end of the audio has been read, exact from then on; -1
 * until the end where samples are pulled. */
int64_t il_speech_frames(const struct il_speech *speech);

/* The window of video frame `frame`: rows [c - rows/2, c + rows - rows/2) around c = int(frame * 25 / fps), rows
 * outside the speech zero; [rows * row_floats] into out, 1..64 rows. Frames are asked for in rising order. INLAY_EOF
 * past the last frame. Memory held does not grow with the length of the speech. */
enum inlay_err il_speech_window(struct il_speech *speech, int64_t frame, unsigned rows, float *out,
                                struct inlay_error *err);

/* The feature rows themselves, in order, for `inlay features`: INLAY_OK or INLAY_EOF. Not to be mixed with windows. */
enum inlay_err il_speech_next_row(struct il_speech *speech, float *row, struct inlay_error *err);

#endif
