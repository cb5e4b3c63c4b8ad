#include "base/clock.h"
#include "server/app_impl.h"

/* Whose progress is asked, and whether the app lets it go on. */
struct rendering {
	struct app *app;
	const struct app_render *render;
};

static bool progress(void *ctx, int64_t done, int64_t expected)
{
	const struct rendering *r = ctx;
	if (app_work_cancelled(r->app->work))
		return false;
	return !r->render->progress || r->render->progress(r->render->progress_ctx, done, expected);
}

static bool waits_on(void *ctx)
{
	return progress(ctx, 0, -1);
}

static enum inlay_err run(struct rendering *r, struct il_actor *actor, struct inlay_lipsync_stats *stats,
                          struct inlay_error *err)
{
	struct app *app = r->app;
	struct inlay_lipsync_params params = r->render->params;
	struct il_lipsync_ends ends = r->render->ends;
	struct inlay_lipsync *job = NULL;
	ends.actor = actor;
	ends.mouths = &app->mouths;
	ends.client = r->render->client;
	if (!params.batch)
		params.batch = app->batch;
	if (!params.quality)
		params.quality = atomic_load(&app->quality);
	enum inlay_err rc = il_lipsync_create(&job, &params, &ends, err);
	if (rc)
		return rc;
	rc = inlay_lipsync_run(job, progress, r, err);
	if (stats)
		inlay_lipsync_stats(job, stats);
	inlay_lipsync_destroy(&job);
	return rc;
}

enum inlay_err app_render(struct app *app, const struct app_render *render, struct inlay_lipsync_stats *stats,
                          struct inlay_error *err)
{
	struct rendering r = { app, render };
	struct il_lease *lease = NULL;
	if (stats)
		*stats = (struct inlay_lipsync_stats){ 0 };
	if (app->config->role == SERVER_INFERENCE)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "this server draws mouths alone: ask a compositing one");
	if (!render->params.avatar)
		return il_fail(err, INLAY_ERR_INVALID, "no avatar given");
	enum inlay_err rc = app_work_begin_render(app->work, &(struct app_turn){ render->wait, waits_on, &r }, err);
	if (rc)
		return rc;
	const int64_t begin = il_clock_ns();
	rc = app_actor(app, render->params.avatar, &lease, err);
	if (!rc && !render->params.features && !il_actor_avatar(il_lease_loaded(lease))->audio_encoder)
		rc = app_check_speech(app, render->params.avatar, err);
	if (!rc)
		rc = run(&r, il_lease_loaded(lease), stats, err);
	if (lease)
		il_lease_return(&lease);
	app_work_end_render(app->work);
	app_metrics_render(app, rc, il_clock_ns() - begin);
	return rc;
}
