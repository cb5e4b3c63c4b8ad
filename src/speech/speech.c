#include "speech/speech.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/npy.h"
#include "base/log.h"
#include "media/audio.h"
#include "speech/mel.h"

#define RATE IL_SPEECH_FEATURE_RATE
#define MEL_WINDOW IL_SPEECH_MEL_WINDOW
#define MEL_PER_SECOND (IL_MEL_RATE / IL_MEL_HOP)
#define RING 64 /* encoded rows kept; the greatest window */
#define CHUNK 4096

struct il_speech {
	struct il_speech_params params; /* without its paths */
	size_t row_floats;
	struct il_npy file; /* .data is NULL when rows are encoded */
	int64_t file_rows;

	char *path;             /* of the audio, for messages; NULL without audio */
	struct il_audio *audio; /* NULL where samples are pulled, and without audio */
	float *chunk;           /* CHUNK samples */
	int64_t samples;        /* read so far; all of them once audio_ended */
	bool audio_ended;

	struct il_mel *mel;
	float mel_rows[MEL_WINDOW][IL_MEL_BANDS]; /* ring of the last ones */
	int64_t mel_count;

	float *encoded;  /* the last mel window's row */
	int64_t windows; /* encoded so far */
	bool windows_ended;

	float *ring;  /* RING rows; row i is at i % RING */
	int64_t made; /* rows handed out or put into the ring so far */
	bool rows_ended;
};

static enum inlay_err open_file(struct il_speech *s, const char *path, struct inlay_error *err)
{
	enum inlay_err rc = il_npy_open(&s->file, path, err);
	if (rc)
		return rc;
	const struct il_npy_header *h = &s->file.header;
	if (h->type != IL_NPY_F32 && h->type != IL_NPY_F64)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: expected features of float32 or float64, found %s", path,
		               il_npy_type_name(h->type));
	if (h->rank < 2)
		return il_fail(err, INLAY_ERR_FORMAT,
		               "%s: expected features of shape [T, ...], found an array of rank %d", path, h->rank);
	if (!h->count)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: holds no features: %zu rows of %zu in the next dimension",
		               path, h->dims[0], h->dims[1]);
	s->file_rows = (int64_t)h->dims[0];
	s->row_floats = h->count / h->dims[0];
	return INLAY_OK;
}

static enum inlay_err open_encoding(struct il_speech *s, struct inlay_error *err)
{
	const struct il_speech_params *p = &s->params;
	if (!p->encode || !p->row_floats || p->row_floats > SIZE_MAX / sizeof(float) / RING)
		return il_fail(err, INLAY_ERR_INVALID,
		               "speech: features from audio need an audio encoder, or give a file of features");
	s->row_floats = p->row_floats;
	s->encoded = malloc(s->row_floats * sizeof(float));
	s->ring = malloc(RING * s->row_floats * sizeof(float));
	return s->encoded && s->ring ? il_mel_create(&s->mel, err) : il_fail_memory(err);
}

static enum inlay_err open_audio(struct il_speech *s, const char *path, struct inlay_error *err)
{
	s->path = strdup(path ? path : "speech");
	s->chunk = malloc(CHUNK * sizeof *s->chunk);
	if (!s->path || !s->chunk)
		return il_fail_memory(err);
	return path ? il_audio_open(&s->audio, path, IL_MEL_RATE, err) : INLAY_OK;
}

/* Rows of another recording move the mouth to words that are not heard. */
static void warn_of_another_recording(const struct il_speech *s, const char *features)
{
	double heard = il_audio_info(s->audio)->duration_s, rows = (double)s->file_rows / RATE;
	if (heard > 0 && (rows > heard + 1 || rows < heard - 1))
		il_log_warn("%s holds features of %.1f s, %s lasts %.1f s: do they belong together?", features, rows,
		            s->path, heard);
}

static enum inlay_err open_all(struct il_speech *s, const struct il_speech_params *params, struct inlay_error *err)
{
	if (params->fps.num <= 0 || params->fps.den <= 0)
		return il_fail(err, INLAY_ERR_INVALID, "speech: a video of %d/%d frames a second, expected more than 0",
		               params->fps.num, params->fps.den);
	if (!params->audio_path && !params->features_path && !params->read)
		return il_fail(err, INLAY_ERR_INVALID, "speech: neither audio nor a file of features was given");
	if (params->read && (params->audio_path || params->features_path))
		return il_fail(err, INLAY_ERR_INVALID,
		               "speech: pulled piece by piece and a file given too: expected one");
	enum inlay_err rc = params->features_path ? open_file(s, params->features_path, err) : open_encoding(s, err);
	if (!rc && (params->audio_path || params->read))
		rc = open_audio(s, params->audio_path, err);
	if (!rc && params->audio_path && params->features_path)
		warn_of_another_recording(s, params->features_path);
	return rc;
}

enum inlay_err il_speech_open(struct il_speech **out, const struct il_speech_params *params, struct inlay_error *err)
{
	*out = NULL;
	struct il_speech *s = calloc(1, sizeof *s);
	if (!s)
		return il_fail_memory(err);
	s->params = *params;
	s->params.audio_path = s->params.features_path = NULL;
	enum inlay_err rc = open_all(s, params, err);
	if (rc)
		il_speech_destroy(&s);
	*out = s;
	return rc;
}

void il_speech_destroy(struct il_speech **speech)
{
	struct il_speech *s = *speech;
	if (!s)
		return;
	il_audio_destroy(&s->audio);
	il_mel_destroy(&s->mel);
	il_npy_close(&s->file);
	free(s->path);
	free(s->chunk);
	free(s->encoded);
	free(s->ring);
	free(s);
	*speech = NULL;
}

size_t il_speech_row_floats(const struct il_speech *s)
{
	return s->row_floats;
}

/* round(amount / per_second * fps), at least 1. One division only, so that halves are halves; the upper limit is far
 * from what a file can hold, and a hostile length does not overflow. */
static int64_t frames_of(const struct il_speech *s, double amount, double per_second)
{
	double frames = floor(amount * s->params.fps.num / (per_second * s->params.fps.den) + 0.5);
	return (int64_t)fmin(fmax(frames, 1), 1e15);
}

static int64_t frames_read(const struct il_speech *s)
{
	return frames_of(s, (double)s->samples, IL_MEL_RATE);
}

int64_t il_speech_frames(const struct il_speech *s)
{
	if (!s->path)
		return frames_of(s, (double)s->file_rows, RATE);
	if (s->audio_ended)
		return frames_read(s);
	if (!s->audio)
		return -1;
	double duration = il_audio_info(s->audio)->duration_s;
	return duration > 0 && duration < 1e9 ? frames_of(s, duration, 1) : -1;
}

static bool all_numbers(const float *samples, size_t n)
{
	bool all = true;
	for (size_t i = 0; i < n; i++)
		all &= isfinite(samples[i]) != 0;
	return all;
}

static enum inlay_err pull(struct il_speech *s, size_t *n, struct inlay_error *err)
{
	enum inlay_err rc = s->params.read(s->params.read_ctx, s->chunk, CHUNK, n, err);
	if (rc == INLAY_AGAIN)
		return il_fail(err, INLAY_ERR_INVALID, "%s: no samples yet, where reading may wait for them", s->path);
	if (rc)
		return rc;
	if (*n == 0 || *n > CHUNK)
		return il_fail(err, INLAY_ERR_INVALID, "%s: %zu samples came, expected 1 to %d", s->path, *n, CHUNK);
	if (!all_numbers(s->chunk, *n))
		return il_fail(err, INLAY_ERR_INVALID, "%s: holds a sample that is not a number", s->path);
	return INLAY_OK;
}

static enum inlay_err read_audio(struct il_speech *s, struct inlay_error *err)
{
	size_t n = 0;
	enum inlay_err rc = s->audio ? il_audio_read(s->audio, s->chunk, CHUNK, &n, err) : pull(s, &n, err);
	if (rc == INLAY_EOF) {
		if (!s->samples)
			return il_fail(err, INLAY_ERR_FORMAT, "%s: holds no sound, expected speech", s->path);
		s->audio_ended = true;
		if (s->mel)
			il_mel_finish(s->mel);
		return INLAY_OK;
	}
	if (rc)
		return rc;
	s->samples += (int64_t)n;
	return s->mel ? il_mel_push(s->mel, s->chunk, n, err) : INLAY_OK;
}

/* One more mel row into its ring. Speech of less than a window goes on as silence. */
static enum inlay_err next_mel_row(struct il_speech *s, struct inlay_error *err)
{
	float *row = s->mel_rows[s->mel_count % MEL_WINDOW];
	enum inlay_err rc;
	while ((rc = il_mel_pull(s->mel, row)) == INLAY_AGAIN) {
		rc = read_audio(s, err);
		if (rc)
			return rc;
	}
	if (rc == INLAY_EOF && s->mel_count < MEL_WINDOW) {
		for (int b = 0; b < IL_MEL_BANDS; b++)
			row[b] = -4;
		rc = INLAY_OK;
	}
	if (!rc)
		s->mel_count++;
	return rc;
}

/* Encodes the next mel window. The last 16 rows are in the ring: the window itself, and at the end what the reference
 * takes for windows that reach beyond it. INLAY_EOF when there is no such window. */
static enum inlay_err encode_window(struct il_speech *s, struct inlay_error *err)
{
	int64_t needed = s->windows * MEL_PER_SECOND / RATE + MEL_WINDOW;
	enum inlay_err rc = INLAY_OK;
	while (s->mel_count < needed && !rc)
		rc = next_mel_row(s, err);
	if (il_is_fault(rc))
		return rc;
	if (rc == INLAY_EOF && s->windows >= (s->mel_count - MEL_WINDOW) * RATE / MEL_PER_SECOND + 2)
		return INLAY_EOF;
	float window[IL_MEL_BANDS * MEL_WINDOW];
	for (int t = 0; t < MEL_WINDOW; t++) {
		const float *row = s->mel_rows[(s->mel_count + t) % MEL_WINDOW];
		for (int b = 0; b < IL_MEL_BANDS; b++)
			window[b * MEL_WINDOW + t] = row[b];
	}
	rc = s->params.encode(s->params.encode_ctx, window, s->encoded, err);
	if (!rc)
		s->windows++;
	return rc;
}

/* Rows 0 and 1 are window 0, row i is window i - 1, and the last window comes once more. */
static enum inlay_err encode_row(struct il_speech *s, struct inlay_error *err)
{
	int64_t needed = s->made ? s->made : 1;
	if (s->windows < needed && !s->windows_ended) {
		enum inlay_err rc = encode_window(s, err);
		if (il_is_fault(rc))
			return rc;
		s->windows_ended = rc == INLAY_EOF;
	}
	return s->windows_ended && s->made == s->windows + 2 ? INLAY_EOF : INLAY_OK;
}

enum inlay_err il_speech_next_row(struct il_speech *s, float *row, struct inlay_error *err)
{
	if (s->file.data) {
		if (s->made == s->file_rows)
			return INLAY_EOF;
		il_npy_row_to_float(&s->file, (size_t)s->made, row);
	} else {
		enum inlay_err rc = encode_row(s, err);
		if (rc)
			return rc;
		memcpy(row, s->encoded, s->row_floats * sizeof *row);
	}
	s->made++;
	return INLAY_OK;
}

static enum inlay_err frame_exists(struct il_speech *s, int64_t frame, struct inlay_error *err)
{
	if (!s->path)
		return frame < il_speech_frames(s) ? INLAY_OK : INLAY_EOF;
	while (!s->audio_ended && (!s->samples || frames_read(s) <= frame)) {
		enum inlay_err rc = read_audio(s, err);
		if (rc)
			return rc;
	}
	return frame < frames_read(s) ? INLAY_OK : INLAY_EOF;
}

static enum inlay_err fill_ring(struct il_speech *s, int64_t end, struct inlay_error *err)
{
	while (s->made < end && !s->rows_ended) {
		enum inlay_err rc = il_speech_next_row(s, s->ring + (size_t)(s->made % RING) * s->row_floats, err);
		if (il_is_fault(rc))
			return rc;
		s->rows_ended = rc == INLAY_EOF;
	}
	return INLAY_OK;
}

enum inlay_err il_speech_window(struct il_speech *s, int64_t frame, unsigned rows, float *out, struct inlay_error *err)
{
	if (frame < 0 || rows == 0 || rows > RING)
		return il_fail(err, INLAY_ERR_INVALID, "speech: window of %u rows at frame %lld, expected 1..%d rows",
		               rows, (long long)frame, RING);
	enum inlay_err rc = frame_exists(s, frame, err);
	if (rc)
		return rc;
	int64_t centre = (int64_t)((__int128)frame * RATE * s->params.fps.den / s->params.fps.num);
	int64_t begin = centre - rows / 2, end = begin + rows, count = s->file_rows;
	if (!s->file.data) {
		rc = fill_ring(s, end, err);
		if (rc)
			return rc;
		count = s->made;
		if ((begin > 0 ? begin : 0) < s->made - RING)
			return il_fail(err, INLAY_ERR_INVALID, "speech: frame %lld was asked for after a later one",
			               (long long)frame);
	}
	for (int64_t i = begin; i < end; i++, out += s->row_floats) {
		if (i < 0 || i >= count)
			memset(out, 0, s->row_floats * sizeof *out);
		else if (s->file.data)
			il_npy_row_to_float(&s->file, (size_t)i, out);
		else
			memcpy(out, s->ring + (size_t)(i % RING) * s->row_floats, s->row_floats * sizeof *out);
	}
	return INLAY_OK;
}
