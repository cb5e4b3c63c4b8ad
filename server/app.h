/* What a server can do, whoever asks: behind gRPC (server/rpc) and HTTP (server/http), which only translate. */
#ifndef SERVER_APP_H
#define SERVER_APP_H

#include "avatar/store.h"
#include "job/actor.h"
#include "job/lipsync_ends.h"
#include "server/app_usage.h"
#include "server/config.h"
#include "server/metrics.h"

struct scheduler;
struct regions;

/* Any number of threads. */
struct app;

/* Opens the store, and the scheduler or the connections to inference servers. The config outlives the app. */
enum inlay_err app_create(struct app **app, const struct server_config *config, struct inlay_error *err);
/* Refuses new work (INLAY_ERR_BUSY) and waits for what is under way, `timeout_ms` at most; what is left then is
 * cancelled. */
void app_stop(struct app *app, int64_t timeout_ms);
void app_destroy(struct app **app); /* nobody calls it any more */

/* Takes over what may change while it runs: memory_bytes, max_models, jpeg_quality and limits.renders. `config` is not
 * kept. */
void app_reload(struct app *app, const struct server_config *config);

const struct server_config *app_config(const struct app *app); /* as it was created with */
struct il_store *app_store(struct app *app);
struct metrics *app_metrics(struct app *app);
struct regions *app_regions(struct app *app); /* clients' shared memory (server/regions.h); NULL: not allowed */
/* The scheduler's, or those of the inference servers. */
const struct il_mouths *app_mouths(struct app *app);
bool app_stopping(const struct app *app);
/* True where requests can be served: the store is open and, for compositing, some inference server answers. why: NULL,
 * or what is missing. */
bool app_ready(struct app *app, char *why, size_t size);
bool app_inference_healthy(struct app *app);

/* How many avatars may be loaded at a time; 0: no limit. */
unsigned app_max_models(const struct app *app);

/* Milliseconds after which somebody who got INLAY_ERR_BUSY should come back. */
int64_t app_retry_ms(struct app *app);

/* INLAY_ERR_NOT_FOUND for an unknown avatar, INLAY_ERR_UNSUPPORTED for one that cannot hear: it has no audio encoder.
 */
enum inlay_err app_check_speech(struct app *app, const char *id, struct inlay_error *err);

/* An avatar in use, loaded if need be; il_lease_loaded gives its struct il_actor. */
enum inlay_err app_actor(struct app *app, const char *id, struct il_lease **lease, struct inlay_error *err);

/* n frames of an avatar with their mouths, 1..IL_MOUTHS_MAX. */
struct app_jpegs {
	const char *avatar, *client;
	unsigned n;
	const int64_t *frames;       /* [n] of the avatar */
	const float *const *windows; /* [n] features, window_floats each */
	size_t window_floats;        /* from il_mouths_info; 0: as it is now */
	const uint8_t *const *crops; /* as il_mouths_request has it; NULL: the avatar's own faces */
	int size;                    /* S that crops were cut for */
	int quality;                 /* 0: the configured one */
	int64_t deadline_ns;
	bool (*cancelled)(void *ctx);
	void *cancel_ctx;
};
struct app_times {
	double load_ms, inference_ms, composite_ms, total_ms;
	bool loaded; /* for this request */
};
/* The frames as JPEG, without a 0 byte behind them. jpegs: [n] empty ones, to be destroyed by the caller whatever comes
 * back. times may be NULL. Blocks. INLAY_ERR_UNSUPPORTED in the inference role. */
enum inlay_err app_draw_jpegs(struct app *app, const struct app_jpegs *request, struct il_bytes *jpegs,
                              struct app_times *times, struct inlay_error *err);

/* The mouths alone, [n, S, S, 3] BGR in fresh memory (free()), and S; NULL after an error. */
enum inlay_err app_draw_mouths(struct app *app, const struct app_jpegs *request, uint8_t **mouths, int *size,
                               struct app_times *times, struct inlay_error *err);

/* Requests for frames and mouths of an avatar that were drawn, and the time that took. */
struct app_usage app_usage(struct app *app, const char *avatar);

/* Feature windows of n frames from samples (mono, 16 kHz) as the avatar's audio encoder makes them: windows
 * [n * window_floats], window_floats from il_mouths_info. Frame k of the avatar's rate begins k / fps into the samples.
 */
enum inlay_err app_encode_speech(struct app *app, const char *avatar, const float *samples, size_t count, unsigned n,
                                 size_t window_floats, float *windows, struct inlay_error *err);

/* A whole job: params as for inlay_lipsync_create with params->avatar an id; ends without actor, mouths, client. The
 * number of jobs at a time is limited: INLAY_ERR_BUSY where `wait` is false, else it waits for its turn (cancelled may
 * end that). Blocks to the end; progress as inlay_lipsync_run. */
struct app_render {
	struct inlay_lipsync_params params;
	struct il_lipsync_ends ends;
	const char *client;
	bool wait;
	inlay_progress_fn *progress;
	void *progress_ctx;
};
enum inlay_err app_render(struct app *app, const struct app_render *render, struct inlay_lipsync_stats *stats,
                          struct inlay_error *err);

#endif
