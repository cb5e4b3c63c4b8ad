#include <stdlib.h>

#include "base/clock.h"
#include "composite/place.h"
#include "server/app_impl.h"

/* A request under way. */
struct drawing {
	struct app *app;
	const struct app_jpegs *request;
	struct il_actor *actor;
	struct il_mouths_info info;
	size_t mouth_bytes, crop_bytes; /* of one */
	uint8_t *mouths, *crops;        /* [n]; crops: NULL where nobody needs them, or the client brought them */
	void **pointers;                /* [2 n]: into mouths, into crops */
	struct il_bytes *jpegs;         /* the caller's */
};

static enum inlay_err check_frames(const struct drawing *d, struct inlay_error *err)
{
	const struct app_jpegs *r = d->request;
	const int64_t frames = il_actor_avatar(d->actor)->frames;
	for (unsigned i = 0; i < r->n; i++)
		if (r->frames[i] < 0 || r->frames[i] >= frames)
			return il_fail(err, INLAY_ERR_INVALID, "%s: frame %lld was asked for; it has 0 to %lld",
			               r->avatar, (long long)r->frames[i], (long long)frames - 1);
	return INLAY_OK;
}

static enum inlay_err make_room(struct drawing *d, struct inlay_error *err)
{
	const size_t size = (size_t)d->info.size, side = size + 2 * IL_PLACE_MARGIN, n = d->request->n;
	const bool crops = d->info.takes_crops && !d->request->crops;
	d->mouth_bytes = size * size * 3;
	d->crop_bytes = side * side * 3;
	d->mouths = malloc(n * d->mouth_bytes);
	d->crops = crops ? malloc(n * d->crop_bytes) : NULL;
	d->pointers = malloc(2 * n * sizeof *d->pointers);
	if (!d->mouths || !d->pointers || (crops && !d->crops))
		return il_fail_memory(err);
	for (size_t i = 0; i < n; i++) {
		d->pointers[i] = d->mouths + i * d->mouth_bytes;
		d->pointers[n + i] = crops ? d->crops + i * d->crop_bytes : NULL;
	}
	return INLAY_OK;
}

static enum inlay_err cut(void *ctx, unsigned i, struct inlay_error *err)
{
	struct drawing *d = ctx;
	return il_actor_crop(d->actor, d->request->frames[i], d->info.size, d->pointers[d->request->n + i], err);
}

static bool cancelled(void *ctx)
{
	const struct drawing *d = ctx;
	return app_work_cancelled(d->app->work) ||
	       (d->request->cancelled && d->request->cancelled(d->request->cancel_ctx));
}

static enum inlay_err draw_mouths(struct drawing *d, struct inlay_error *err)
{
	const struct app_jpegs *r = d->request;
	const struct il_mouths *mouths = &d->app->mouths;
	enum inlay_err rc = d->crops ? app_pool_run(d->app->pool, r->n, cut, d, err) : INLAY_OK;
	if (rc)
		return rc;
	const struct il_mouths_request request = {
		.avatar = r->avatar,
		.size = d->info.size,
		.window_floats = r->window_floats ? r->window_floats : d->info.window_floats,
		.n = r->n,
		.frames = r->frames,
		.windows = r->windows,
		.crops = d->crops ? (const uint8_t *const *)(d->pointers + r->n) : r->crops,
		.mouths = (uint8_t *const *)d->pointers,
		.client = r->client,
		.deadline_ns = r->deadline_ns,
		.cancelled = cancelled,
		.cancel_ctx = d,
	};
	return mouths->draw(mouths->ctx, &request, err);
}

static enum inlay_err encode(void *ctx, unsigned i, struct inlay_error *err)
{
	struct drawing *d = ctx;
	const struct app_jpegs *r = d->request;
	int quality = r->quality ? r->quality : atomic_load(&d->app->quality);
	if (cancelled(d))
		return il_fail(err, INLAY_ERR_CANCELLED, "cancelled");
	return il_actor_jpeg(d->actor, r->frames[i], d->pointers[i], d->info.size, quality, &d->jpegs[i].data,
	                     &d->jpegs[i].size, err);
}

static double ms_since(int64_t begin_ns)
{
	return (double)(il_clock_ns() - begin_ns) / 1e6;
}

static enum inlay_err lease_actor(struct drawing *d, struct il_lease **lease, struct app_times *times,
                                  struct inlay_error *err)
{
	struct il_store_entry entry;
	const struct app_jpegs *r = d->request;
	const int64_t begin = il_clock_ns();
	if (!r->avatar || !r->n || r->n > IL_MOUTHS_MAX)
		return il_fail(err, INLAY_ERR_INVALID, "%u frames were asked for; expected 1 to %d, of an avatar", r->n,
		               IL_MOUTHS_MAX);
	times->loaded = il_store_find(d->app->store, r->avatar, &entry, NULL) || !entry.loaded;
	enum inlay_err rc = app_actor(d->app, r->avatar, lease, err);
	times->load_ms = times->loaded ? ms_since(begin) : 0;
	if (!rc)
		d->actor = il_lease_loaded(*lease);
	return rc;
}

static enum inlay_err draw(struct drawing *d, struct app_times *times, struct inlay_error *err)
{
	struct app *app = d->app;
	enum inlay_err rc = check_frames(d, err);
	if (!rc)
		rc = app->mouths.info(app->mouths.ctx, d->request->avatar, &d->info, err);
	if (!rc && d->request->crops && d->request->size != d->info.size)
		rc = il_fail(err, INLAY_ERR_INVALID, "%s: was replaced meanwhile", d->request->avatar);
	if (!rc)
		rc = make_room(d, err);
	int64_t begin = il_clock_ns();
	if (!rc)
		rc = draw_mouths(d, err);
	times->inference_ms = ms_since(begin);
	if (!rc)
		app_usage_add(app->usage, d->request->avatar, il_clock_ns() - begin);
	if (rc || !d->jpegs)
		return rc;
	begin = il_clock_ns();
	rc = app_pool_run(app->pool, d->request->n, encode, d, err);
	times->composite_ms = ms_since(begin);
	if (!rc)
		app_metrics_frames(app, d->request->n, il_clock_ns() - begin);
	return rc;
}

/* With jpegs NULL the mouths alone; they stay in d. */
static enum inlay_err run(struct drawing *d, struct app_times *times, struct inlay_error *err)
{
	struct app_times own;
	struct il_lease *lease = NULL;
	const int64_t begin = il_clock_ns();
	times = times ? times : &own;
	*times = (struct app_times){ 0 };
	enum inlay_err rc = app_work_begin(d->app->work, err);
	if (rc)
		return rc;
	rc = lease_actor(d, &lease, times, err);
	if (!rc)
		rc = draw(d, times, err);
	if (lease)
		il_lease_return(&lease);
	app_work_end(d->app->work);
	times->total_ms = ms_since(begin);
	return rc;
}

static void clear(struct drawing *d)
{
	free(d->mouths);
	free(d->crops);
	free(d->pointers);
}

enum inlay_err app_draw_jpegs(struct app *app, const struct app_jpegs *request, struct il_bytes *jpegs,
                              struct app_times *times, struct inlay_error *err)
{
	struct drawing d = { .app = app, .request = request, .jpegs = jpegs };
	if (app->config->role == SERVER_INFERENCE)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "this server draws mouths alone: ask a compositing one");
	enum inlay_err rc = run(&d, times, err);
	clear(&d);
	return rc;
}

enum inlay_err app_draw_mouths(struct app *app, const struct app_jpegs *request, uint8_t **mouths, int *size,
                               struct app_times *times, struct inlay_error *err)
{
	struct drawing d = { .app = app, .request = request };
	enum inlay_err rc = run(&d, times, err);
	*mouths = rc ? NULL : d.mouths;
	*size = d.info.size;
	if (!rc)
		d.mouths = NULL;
	clear(&d);
	return rc;
}

struct app_usage app_usage(struct app *app, const char *avatar)
{
	return app_usage_find(app->usage, avatar);
}
