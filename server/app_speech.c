/* Speech that is there as a whole, as windows of features: what il_speech makes of a stream (speech/speech.h), with the
 * encoder running on several processors. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/sum.h"
#include "infer/audio_encoder.h"
#include "server/app_impl.h"
#include "speech/mel.h"
#include "speech/speech.h"

#define MEL_WINDOW IL_SPEECH_MEL_WINDOW
#define WINDOW_FLOATS ((size_t)IL_MEL_BANDS * MEL_WINDOW)
#define SILENCE (-4.0f) /* a mel row's */
#define MAX_ROWS 64     /* of a window of features */
#define PART 4          /* mel windows that are worth a thread */
#define KNOWN 256

/* ---- encoders ---- */

/* Which content a file has: avatars often bring the same encoder, each in a file of its own. */
struct known {
	char *path;
	struct il_file_sum sum;
};

struct idle {
	struct il_file_sum sum;
	struct il_audio_encoder *encoder;
};

struct app_encoders {
	pthread_mutex_t lock;
	pthread_cond_t freed;      /* one is idle, or may be opened */
	struct known known[KNOWN]; /* a ring */
	unsigned next;
	unsigned n_open, n_idle, most; /* n_open: in use or idle, or about to be opened */
	struct idle idle[];            /* [most], longest idle first */
};

enum inlay_err app_encoders_create(struct app_encoders **out, unsigned most, struct inlay_error *err)
{
	struct app_encoders *encoders = *out = calloc(1, sizeof *encoders + most * sizeof *encoders->idle);
	if (!encoders)
		return il_fail_memory(err);
	pthread_mutex_init(&encoders->lock, NULL);
	pthread_cond_init(&encoders->freed, NULL);
	encoders->most = most;
	return INLAY_OK;
}

void app_encoders_destroy(struct app_encoders **out)
{
	struct app_encoders *encoders = *out;
	*out = NULL;
	if (!encoders)
		return;
	for (unsigned i = 0; i < encoders->n_idle; i++)
		il_audio_encoder_destroy(&encoders->idle[i].encoder);
	for (unsigned i = 0; i < KNOWN; i++)
		free(encoders->known[i].path);
	pthread_cond_destroy(&encoders->freed);
	pthread_mutex_destroy(&encoders->lock);
	free(encoders);
}

/* The sum of a file that has not changed since it was last read. */
static bool recall(struct app_encoders *encoders, const char *path, struct il_file_sum *stamp)
{
	bool found = false;
	pthread_mutex_lock(&encoders->lock);
	for (unsigned i = 0; i < KNOWN && !found; i++) {
		const struct known *k = &encoders->known[i];
		found = k->path && !strcmp(k->path, path) && k->sum.size == stamp->size &&
		        k->sum.mtime_ns == stamp->mtime_ns;
		if (found)
			*stamp = k->sum;
	}
	pthread_mutex_unlock(&encoders->lock);
	return found;
}

static void remember(struct app_encoders *encoders, const char *path, const struct il_file_sum *sum)
{
	char *copy = strdup(path);
	pthread_mutex_lock(&encoders->lock);
	struct known *k = &encoders->known[encoders->next++ % KNOWN];
	char *old = k->path;
	*k = (struct known){ copy, *sum };
	pthread_mutex_unlock(&encoders->lock);
	free(old);
}

static enum inlay_err identify(struct app_encoders *encoders, const char *path, struct il_file_sum *sum,
                               struct inlay_error *err)
{
	enum inlay_err rc = il_file_stamp(path, sum, err);
	if (rc || recall(encoders, path, sum))
		return rc;
	rc = il_file_sum(path, sum, err);
	if (!rc)
		remember(encoders, path, sum);
	return rc;
}

/* With the lock: the one at `i` is idle no longer. */
static struct il_audio_encoder *remove_idle(struct app_encoders *encoders, unsigned i)
{
	struct il_audio_encoder *encoder = encoders->idle[i].encoder;
	memmove(&encoders->idle[i], &encoders->idle[i + 1], (--encoders->n_idle - i) * sizeof *encoders->idle);
	return encoder;
}

/* The same, of one with that content; NULL where there is none. */
static struct il_audio_encoder *remove_same(struct app_encoders *encoders, const struct il_file_sum *sum)
{
	for (unsigned i = encoders->n_idle; i-- > 0;) {
		const struct idle *idle = &encoders->idle[i];
		if (idle->sum.sum == sum->sum && idle->sum.size == sum->size)
			return remove_idle(encoders, i);
	}
	return NULL;
}

/* An encoder of that content, or NULL: the caller may open one, in the place of the longest idle one where there are as
 * many as may be. Waits where all of these are in use. */
static struct il_audio_encoder *take_idle(struct app_encoders *encoders, const struct il_file_sum *sum)
{
	struct il_audio_encoder *found, *old = NULL;
	pthread_mutex_lock(&encoders->lock);
	while (!(found = remove_same(encoders, sum)) && encoders->n_open == encoders->most && !encoders->n_idle)
		pthread_cond_wait(&encoders->freed, &encoders->lock);
	if (!found && encoders->n_open == encoders->most)
		old = remove_idle(encoders, 0);
	else if (!found)
		encoders->n_open++;
	pthread_mutex_unlock(&encoders->lock);
	il_audio_encoder_destroy(&old);
	return found;
}

/* Keeps it for the next who needs such a one; NULL: it could not be opened. */
static void give_back(struct app_encoders *encoders, const struct il_file_sum *sum, struct il_audio_encoder *encoder)
{
	pthread_mutex_lock(&encoders->lock);
	if (encoder)
		encoders->idle[encoders->n_idle++] = (struct idle){ *sum, encoder };
	else
		encoders->n_open--;
	pthread_mutex_unlock(&encoders->lock);
	pthread_cond_signal(&encoders->freed);
}

/* ---- one piece of speech ---- */

struct speech {
	struct app *app;
	const char *path; /* of the encoder */
	struct il_file_sum sum;
	float *mel; /* [mel_rows][80] */
	size_t mel_rows;
	size_t windows;    /* mel windows that are needed */
	size_t row_floats; /* of an encoded one */
	float *encoded;    /* [windows][row_floats] */
};

/* As many as il_speech makes; with those past the end taking the last 16 rows. */
static size_t windows_in(size_t mel_rows)
{
	return (mel_rows - MEL_WINDOW) * IL_SPEECH_FEATURE_RATE * IL_MEL_HOP / IL_MEL_RATE + 2;
}

static size_t window_start(const struct speech *s, size_t window)
{
	size_t start = window * (IL_MEL_RATE / IL_MEL_HOP) / IL_SPEECH_FEATURE_RATE;
	return start < s->mel_rows - MEL_WINDOW ? start : s->mel_rows - MEL_WINDOW;
}

static enum inlay_err make_mel(struct speech *s, const float *samples, size_t count, struct inlay_error *err)
{
	struct il_mel *mel = NULL;
	size_t room = 1 + count / IL_MEL_HOP;
	room = room > MEL_WINDOW ? room : MEL_WINDOW;
	s->mel = malloc(room * IL_MEL_BANDS * sizeof *s->mel);
	enum inlay_err rc = s->mel ? il_mel_create(&mel, err) : il_fail_memory(err);
	if (!rc)
		rc = il_mel_push(mel, samples, count, err);
	if (rc) {
		il_mel_destroy(&mel);
		return rc;
	}
	il_mel_finish(mel);
	while (s->mel_rows < room && !il_mel_pull(mel, s->mel + s->mel_rows * IL_MEL_BANDS))
		s->mel_rows++;
	for (; s->mel_rows < MEL_WINDOW; s->mel_rows++)
		for (size_t b = 0; b < IL_MEL_BANDS; b++)
			s->mel[s->mel_rows * IL_MEL_BANDS + b] = SILENCE;
	il_mel_destroy(&mel);
	return INLAY_OK;
}

static enum inlay_err encode_window(struct speech *s, struct il_audio_encoder *encoder, size_t window,
                                    struct inlay_error *err)
{
	float transposed[WINDOW_FLOATS];
	const float *rows = s->mel + window_start(s, window) * IL_MEL_BANDS;
	for (size_t t = 0; t < MEL_WINDOW; t++)
		for (size_t b = 0; b < IL_MEL_BANDS; b++)
			transposed[b * MEL_WINDOW + t] = rows[t * IL_MEL_BANDS + b];
	return il_audio_encoder_run(encoder, transposed, s->encoded + window * s->row_floats, err);
}

/* An encoder of the file that was summed: one that was replaced meanwhile is not to be kept under the old sum. */
static enum inlay_err take_encoder(const struct speech *s, struct il_audio_encoder **encoder, struct inlay_error *err)
{
	struct il_file_sum now;
	*encoder = take_idle(s->app->encoders, &s->sum);
	if (*encoder)
		return INLAY_OK;
	enum inlay_err rc = il_audio_encoder_open(encoder, s->path, err);
	if (!rc)
		rc = il_file_stamp(s->path, &now, err);
	if (!rc && (now.size != s->sum.size || now.mtime_ns != s->sum.mtime_ns))
		rc = il_fail(err, INLAY_ERR_BUSY, "%s: was replaced just now", s->path);
	if (rc) {
		il_audio_encoder_destroy(encoder);
		give_back(s->app->encoders, &s->sum, NULL);
	}
	return rc;
}

static enum inlay_err encode_part(void *ctx, unsigned part, struct inlay_error *err)
{
	struct speech *s = ctx;
	struct il_audio_encoder *encoder;
	enum inlay_err rc = take_encoder(s, &encoder, err);
	if (rc)
		return rc;
	for (size_t w = (size_t)part * PART; w < s->windows && w < ((size_t)part + 1) * PART && !rc; w++)
		rc = encode_window(s, encoder, w, err);
	give_back(s->app->encoders, &s->sum, encoder);
	return rc;
}

/* How long a row is; the encoder that tells stays for encode_part. */
static enum inlay_err find_row_floats(struct speech *s, struct inlay_error *err)
{
	struct il_audio_encoder *encoder;
	enum inlay_err rc = identify(s->app->encoders, s->path, &s->sum, err);
	if (!rc)
		rc = take_encoder(s, &encoder, err);
	if (rc)
		return rc;
	s->row_floats = il_audio_encoder_floats(encoder);
	give_back(s->app->encoders, &s->sum, encoder);
	return INLAY_OK;
}

/* The feature row that stands at `frame` (speech/speech.h). */
static int64_t centre_of(struct inlay_rational fps, int64_t frame)
{
	return (int64_t)((__int128)frame * IL_SPEECH_FEATURE_RATE * fps.den / fps.num);
}

/* Rows 0 and 1 are window 0, row i is window i - 1, and the last window comes once more; others are zero. */
static void copy_row(const struct speech *s, int64_t row, size_t all_windows, float *to)
{
	size_t window = row > 0 ? (size_t)row - 1 : 0;
	if (row >= 0 && window == all_windows)
		window--;
	if (row < 0 || window >= all_windows)
		memset(to, 0, s->row_floats * sizeof *to);
	else
		memcpy(to, s->encoded + window * s->row_floats, s->row_floats * sizeof *to);
}

/* windows: [n][rows][row_floats]. */
static enum inlay_err encode(struct speech *s, struct inlay_rational fps, unsigned n, unsigned rows, float *windows,
                             struct inlay_error *err)
{
	const size_t all = windows_in(s->mel_rows);
	const size_t needed = (size_t)centre_of(fps, n - 1) + rows - rows / 2;
	s->windows = needed < all ? needed : all;
	s->encoded = malloc(s->windows * s->row_floats * sizeof *s->encoded);
	if (!s->encoded)
		return il_fail_memory(err);
	const unsigned parts = (unsigned)((s->windows + PART - 1) / PART);
	enum inlay_err rc = app_pool_run(s->app->pool, parts, encode_part, s, err);
	for (unsigned i = 0; i < n && !rc; i++) {
		const int64_t begin = centre_of(fps, i) - rows / 2;
		for (unsigned r = 0; r < rows; r++, windows += s->row_floats)
			copy_row(s, begin + r, all, windows);
	}
	return rc;
}

/* Sound past the last window that is needed changes nothing; a second more keeps the end of the mel out of it. */
static size_t heard(size_t count, struct inlay_rational fps, unsigned n)
{
	const size_t most = ((size_t)centre_of(fps, n) / IL_SPEECH_FEATURE_RATE + 6) * IL_MEL_RATE;
	return count < most ? count : most;
}

static enum inlay_err encode_for(struct app *app, const struct il_avatar *avatar, size_t window_floats,
                                 const float *samples, size_t count, unsigned n, float *windows,
                                 struct inlay_error *err)
{
	struct speech s = { .app = app, .path = avatar->audio_encoder };
	if (!s.path)
		return il_fail(err, INLAY_ERR_INVALID, "%s has no audio encoder: send features instead of sound",
		               avatar->path);
	enum inlay_err rc = find_row_floats(&s, err);
	if (rc)
		return rc;
	const size_t rows = window_floats / s.row_floats;
	if (window_floats % s.row_floats || !rows || rows > MAX_ROWS)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: its network takes %zu floats of features, its audio encoder makes rows of %zu",
		               avatar->path, window_floats, s.row_floats);
	rc = make_mel(&s, samples, heard(count, avatar->fps, n), err);
	if (!rc)
		rc = encode(&s, avatar->fps, n, (unsigned)rows, windows, err);
	free(s.mel);
	free(s.encoded);
	return rc;
}

enum inlay_err app_encode_speech(struct app *app, const char *avatar, const float *samples, size_t count, unsigned n,
                                 size_t window_floats, float *windows, struct inlay_error *err)
{
	struct il_lease *lease = NULL;
	if (!count || !n || n > IL_MOUTHS_MAX)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%zu samples of speech for %u frames; expected some, for 1 to %d", count, n,
		               IL_MOUTHS_MAX);
	enum inlay_err rc = app_work_begin(app->work, err);
	if (rc)
		return rc;
	rc = app_actor(app, avatar, &lease, err);
	if (!rc)
		rc = encode_for(app, il_actor_avatar(il_lease_loaded(lease)), window_floats, samples, count, n, windows,
		                err);
	if (lease)
		il_lease_return(&lease);
	app_work_end(app->work);
	return rc;
}
