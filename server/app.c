#include "server/app.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "server/app_impl.h"
#include "server/regions.h"
#include "server/rpc/mouths_client.h"
#include "server/scheduler.h"

#define BATCH 4
#define HEADROOM_PERCENT 20 /* actors grow when a further session opens */
#define RETRY_MS 1000
#define ACTOR_CACHE_MAX ((int64_t)256 << 20) /* decoded frames of a pack */
#define ACTOR_CACHE_MIN ((int64_t)16 << 20)

/* ---- avatars, as the store opens them ---- */

/* A network may take pictures, which come from the frames. */
static unsigned parts_for(const struct app *app)
{
	return app->config->role == SERVER_COMPOSITING ? IL_ACTOR_FRAMES : IL_ACTOR_MOUTHS | IL_ACTOR_FRAMES;
}

/* So that eight packs fit into a small budget. */
static int64_t cache_for(const struct app *app)
{
	int64_t share = app->config->memory_bytes / 8;
	if (!app->config->memory_bytes || share > ACTOR_CACHE_MAX)
		return ACTOR_CACHE_MAX;
	return share > ACTOR_CACHE_MIN ? share : ACTOR_CACHE_MIN;
}

static enum inlay_err load(void *ctx, const char *id, const char *path, void **loaded, int64_t *bytes,
                           struct inlay_error *err)
{
	struct app *app = ctx;
	const struct il_actor_params params = {
		.path = path,
		.parts = parts_for(app),
		.interp = -1,
		.sessions = app->workers,
		.threads = app->threads,
		.batch = app->batch,
		.cache_bytes = cache_for(app),
	};
	struct il_actor *actor = NULL;
	const int64_t begin = il_clock_ns();
	(void)id;
	enum inlay_err rc = il_actor_open(&actor, &params, err);
	app_metrics_load(app, rc, il_clock_ns() - begin);
	/* Damaged files are not the fault of who asks for the avatar. */
	if (rc == INLAY_ERR_FORMAT || rc == INLAY_ERR_INVALID || rc == INLAY_ERR_UNSUPPORTED) {
		const struct inlay_error found = *err;
		return il_fail(err, INLAY_ERR_IO, "%s", found.text);
	}
	if (rc)
		return rc;
	*loaded = actor;
	*bytes = il_actor_bytes(actor);
	return INLAY_OK;
}

/* What lies free between others would stay with the process: memory grows to thrice the budget. */
static void unload(void *ctx, void *loaded)
{
	struct il_actor *actor = loaded;
	(void)ctx;
	il_actor_destroy(&actor);
	malloc_trim(0);
}

static int64_t measure(void *ctx, void *loaded)
{
	(void)ctx;
	return il_actor_bytes(loaded);
}

static enum inlay_err open_store(struct app *app, struct inlay_error *err)
{
	const struct server_config *config = app->config;
	const struct il_store_params params = {
		.folder = config->avatars,
		.budget_bytes = config->memory_bytes,
		.headroom_percent = HEADROOM_PERCENT,
		.max_loaded = config->max_models,
		.eviction = config->lfu ? IL_STORE_LFU : IL_STORE_LRU,
		.load = load,
		.unload = unload,
		.measure = measure,
		.ctx = app,
	};
	if (!config->avatars)
		return il_fail(err, INLAY_ERR_INVALID, "no folder of avatars given");
	return il_store_open(&app->store, &params, err);
}

/* ---- who draws mouths ---- */

static enum inlay_err draw(void *ctx, void *loaded, const struct il_mouths_request *request, struct inlay_error *err)
{
	(void)ctx;
	return il_actor_draw(loaded, request, err);
}

static enum inlay_err info(void *ctx, void *loaded, struct il_mouths_info *result, struct inlay_error *err)
{
	(void)ctx, (void)err;
	*result = *il_actor_info(loaded);
	return INLAY_OK;
}

static enum inlay_err open_scheduler(struct app *app, struct inlay_error *err)
{
	const struct scheduler_params params = {
		.draw = draw,
		.info = info,
		.ctx = app,
		.store = app->store,
		.workers = app->workers,
		.batch = app->batch,
		.max_waiting = app->config->limits.waiting_frames,
		.metrics = app->metrics,
	};
	enum inlay_err rc = scheduler_create(&app->scheduler, &params, err);
	if (!rc)
		app->mouths = scheduler_mouths(app->scheduler);
	return rc;
}

static enum inlay_err open_client(struct app *app, struct inlay_error *err)
{
	const struct server_config *config = app->config;
	/* Servers of one installation share it. */
	enum inlay_err rc = server_config_token(config, &app->token, err);
	const struct mouths_client_params params = {
		.urls = (const char *const *)config->inference,
		.n_urls = config->n_inference,
		.token = app->token,
		.tls_ca = config->inference_ca,
		.message_bytes = config->limits.message_bytes,
		.shared_memory = config->shared_memory,
		.metrics = app->metrics,
	};
	if (!config->n_inference)
		return il_fail(err, INLAY_ERR_INVALID, "the compositing role needs at least one inference server");
	if (!rc)
		rc = mouths_client_create(&app->client, &params, err);
	if (!rc)
		app->mouths = mouths_client_mouths(app->client);
	return rc;
}

/* ---- all of it ---- */

static unsigned renders_of(const struct app *app, const struct server_config *config)
{
	unsigned chosen = app->processors * 2 > 4 ? app->processors * 2 : 4;
	return config->limits.renders ? config->limits.renders : chosen;
}

static void choose(struct app *app)
{
	const struct server_config *config = app->config;
	app->processors = il_cpu_count();
	app->workers = config->workers ? config->workers : app->processors;
	app->threads = config->threads ? config->threads : 1;
	app->batch = config->batch ? config->batch : BATCH;
	atomic_init(&app->quality, config->jpeg_quality);
	atomic_init(&app->max_models, config->max_models);
}

static enum inlay_err open_all(struct app *app, struct inlay_error *err)
{
	enum inlay_err rc = metrics_create(&app->metrics, err);
	if (!rc)
		rc = app_work_create(&app->work, renders_of(app, app->config), err);
	if (!rc)
		rc = app_pool_create(&app->pool, app->processors, err);
	if (!rc)
		rc = app_encoders_create(&app->encoders, app->processors * 2, err);
	if (!rc)
		rc = app_usage_create(&app->usage, err);
	if (!rc && app->config->shared_memory)
		rc = regions_create(&app->regions, err);
	if (!rc)
		rc = open_store(app, err);
	if (!rc)
		rc = app_metrics_create(app, err);
	if (!rc)
		rc = app->config->role == SERVER_COMPOSITING ? open_client(app, err) : open_scheduler(app, err);
	return rc;
}

enum inlay_err app_create(struct app **out, const struct server_config *config, struct inlay_error *err)
{
	struct app *app = *out = calloc(1, sizeof *app);
	if (!app)
		return il_fail_memory(err);
	app->config = config;
	choose(app);
	enum inlay_err rc = open_all(app, err);
	if (rc)
		app_destroy(out);
	return rc;
}

void app_stop(struct app *app, int64_t timeout_ms)
{
	const int64_t until_ns = il_clock_ns() + timeout_ms * 1000000;
	app_work_stop(app->work, timeout_ms);
	int64_t left_ms = (until_ns - il_clock_ns()) / 1000000;
	if (app->scheduler)
		scheduler_stop(app->scheduler, left_ms > 0 ? left_ms : 0);
}

void app_destroy(struct app **out)
{
	struct app *app = *out;
	*out = NULL;
	if (!app)
		return;
	scheduler_destroy(&app->scheduler);
	mouths_client_destroy(&app->client);
	il_store_destroy(&app->store);
	app_pool_destroy(&app->pool);
	app_encoders_destroy(&app->encoders);
	regions_destroy(&app->regions);
	metrics_destroy(&app->metrics);
	app_metrics_destroy(&app->own_metrics);
	app_usage_destroy(&app->usage);
	app_work_destroy(&app->work);
	free(app->token);
	free(app);
}

void app_reload(struct app *app, const struct server_config *config)
{
	atomic_store(&app->quality, config->jpeg_quality);
	atomic_store(&app->max_models, config->max_models);
	app_work_limit(app->work, renders_of(app, config));
	il_store_set_budget(app->store, config->memory_bytes, config->max_models);
}

/* ---- what others ask ---- */

const struct server_config *app_config(const struct app *app)
{
	return app->config;
}

struct il_store *app_store(struct app *app)
{
	return app->store;
}

struct metrics *app_metrics(struct app *app)
{
	return app->metrics;
}

struct regions *app_regions(struct app *app)
{
	return app->regions;
}

const struct il_mouths *app_mouths(struct app *app)
{
	return &app->mouths;
}

bool app_stopping(const struct app *app)
{
	return app_work_stopping(app->work);
}

bool app_inference_healthy(struct app *app)
{
	return app->client ? mouths_client_healthy(app->client) > 0 : !app_stopping(app);
}

bool app_ready(struct app *app, char *why, size_t size)
{
	const char *missing = app_stopping(app)             ? "the server is stopping"
	                      : !app_inference_healthy(app) ? "no inference server answers"
	                                                    : NULL;
	if (missing && why)
		snprintf(why, size, "%s", missing);
	return !missing;
}

unsigned app_max_models(const struct app *app)
{
	return atomic_load(&app->max_models);
}

int64_t app_retry_ms(struct app *app)
{
	return app->scheduler ? scheduler_retry_ms(app->scheduler) : RETRY_MS;
}

enum inlay_err app_check_speech(struct app *app, const char *id, struct inlay_error *err)
{
	struct il_avatar *avatar = NULL;
	struct il_store_entry entry;
	enum inlay_err rc = il_store_find(app->store, id, &entry, err);
	char *path = rc ? NULL : il_store_path(app->store, id);
	if (!rc && !path)
		rc = il_fail_memory(err);
	if (!rc)
		rc = il_avatar_open(&avatar, path, err);
	if (!rc && !avatar->audio_encoder)
		rc = il_fail(
			err, INLAY_ERR_UNSUPPORTED,
			"avatar \"%s\" has no audio encoder: it is drawn from features alone (KServe, audio_features)",
			id);
	il_avatar_destroy(&avatar);
	free(path);
	return rc;
}

enum inlay_err app_actor(struct app *app, const char *id, struct il_lease **lease, struct inlay_error *err)
{
	return il_store_get(app->store, id, lease, err);
}
