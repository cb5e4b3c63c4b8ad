#include "server/kserve.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"

#define INDEX_PAGE 256      /* entries read at a time */
#define ANSWER_SPARE 0x1000 /* bytes of an answer beside its output */

const char *const *kserve_extensions(struct app *app)
{
	static const char *const all[] = { "model_repository",   "model_configuration",  "statistics",
		                           "binary_tensor_data", "system_shared_memory", NULL };
	static const char *const without_memory[] = { "model_repository", "model_configuration", "statistics",
		                                      "binary_tensor_data", NULL };
	return app_regions(app) ? all : without_memory;
}

/* ---- models ---- */

static bool version_known(const char *version)
{
	return !version || !*version || !strcmp(version, KSERVE_VERSION);
}

static enum inlay_err fail_model(const char *name, struct inlay_error *err)
{
	return il_fail(err, INLAY_ERR_NOT_FOUND, "unknown model \"%.*s\"", IL_STORE_ID_MAX, name);
}

/* What came of using an avatar, in the protocol's words. A file that a known avatar lacks is no unknown model, but our
 * fault. */
static enum inlay_err as_model(struct app *app, enum inlay_err rc, const char *name, const struct inlay_error *found,
                               struct inlay_error *err)
{
	struct il_store_entry entry;
	if (rc != INLAY_ERR_NOT_FOUND)
		return rc ? il_fail(err, rc, "%s", found->text) : INLAY_OK;
	if (il_store_find(app_store(app), name, &entry, NULL))
		return fail_model(name, err);
	return il_fail(err, INLAY_ERR_IO, "%s", found->text);
}

enum inlay_err kserve_model_open(struct kserve_model *model, struct app *app, const char *name, const char *version,
                                 struct inlay_error *err)
{
	*model = (struct kserve_model){ 0 };
	if (strlen(name) > IL_STORE_ID_MAX)
		return fail_model(name, err);
	memcpy(model->name, name, strlen(name) + 1);
	if (!version_known(version))
		return il_fail(err, INLAY_ERR_NOT_FOUND, "model \"%s\": unknown version \"%.32s\": expected %s", name,
		               version, KSERVE_VERSION);
	struct inlay_error found = { 0 };
	enum inlay_err rc = as_model(app, app_actor(app, name, &model->lease, &found), name, &found, err);
	if (rc)
		return rc;
	model->frames = il_actor_avatar(il_lease_loaded(model->lease))->frames;
	const struct il_mouths *mouths = app_mouths(app);
	rc = mouths->info(mouths->ctx, name, &model->info, err);
	if (rc)
		kserve_model_close(model);
	return rc;
}

void kserve_model_close(struct kserve_model *model)
{
	if (model->lease)
		il_lease_return(&model->lease);
}

bool kserve_model_ready(struct app *app, const char *name, const char *version)
{
	struct il_store_entry entry;
	return version_known(version) && !il_store_find(app_store(app), name, &entry, NULL);
}

/* ---- the repository ---- */

void kserve_index(struct app *app, bool ready, bool (*each)(void *ctx, const struct il_store_entry *entry), void *ctx)
{
	struct il_store_entry page[INDEX_PAGE];
	char after[IL_STORE_ID_MAX + 1];
	size_t n = il_store_list(app_store(app), NULL, ready, page, INDEX_PAGE);
	while (n) {
		for (size_t i = 0; i < n; i++)
			if (!each(ctx, &page[i]))
				return;
		memcpy(after, page[n - 1].id, sizeof after);
		n = il_store_list(app_store(app), after, ready, page, INDEX_PAGE);
	}
}

const char *kserve_state(const struct il_store_entry *entry)
{
	return entry->loaded ? "READY" : entry->loading ? "LOADING" : "UNAVAILABLE";
}

const char *kserve_reason(const struct il_store_entry *entry)
{
	return entry->loaded ? "" : entry->loading ? "loading" : "loads with its first request";
}

static enum inlay_err check_repository(const char *repository, struct inlay_error *err)
{
	if (!repository || !*repository)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_INVALID, "repository \"%.64s\": expected none: there is one alone", repository);
}

enum inlay_err kserve_load(struct app *app, const char *repository, const char *name, struct inlay_error *err)
{
	enum inlay_err rc = check_repository(repository, err);
	if (rc)
		return rc;
	struct inlay_error found = { 0 };
	return as_model(app, il_store_load(app_store(app), name, false, NULL, &found), name, &found, err);
}

enum inlay_err kserve_unload(struct app *app, const char *repository, const char *name, struct inlay_error *err)
{
	struct inlay_error found = { 0 };
	enum inlay_err rc = check_repository(repository, err);
	return rc ? rc : as_model(app, il_store_unload(app_store(app), name, &found), name, &found, err);
}

enum inlay_err kserve_regions(struct app *app, struct regions **regions, struct inlay_error *err)
{
	*regions = app_regions(app);
	if (*regions)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_UNSUPPORTED, "shared memory is not allowed here: shared_memory is off");
}

enum inlay_err kserve_register(struct app *app, const char *name, const char *key, uint64_t offset, uint64_t byte_size,
                               struct inlay_error *err)
{
	struct regions *regions;
	struct region_info info = { .offset = offset, .byte_size = byte_size };
	enum inlay_err rc = kserve_regions(app, &regions, err);
	if (rc)
		return rc;
	/* Cut, both would have no end, which regions_register refuses. */
	memccpy(info.name, name, 0, sizeof info.name);
	memccpy(info.key, key, 0, sizeof info.key);
	return regions_register(regions, &info, err);
}

/* ---- statistics ---- */

static enum inlay_err list_all(struct kserve_stats **stats, size_t *n, struct inlay_error *err)
{
	/* A few more than there are now: some may come meanwhile. */
	size_t room = kserve_stats_read("", NULL, 0) + 16;
	*stats = malloc(room * sizeof **stats);
	if (!*stats)
		return il_fail_memory(err);
	*n = kserve_stats_read("", *stats, room);
	if (*n > room)
		*n = room;
	return INLAY_OK;
}

enum inlay_err kserve_stats_list(struct app *app, const char *name, const char *version, struct kserve_stats **stats,
                                 size_t *n, struct inlay_error *err)
{
	*stats = NULL;
	*n = 0;
	if (!name || !*name)
		return list_all(stats, n, err);
	if (!kserve_model_ready(app, name, version))
		return fail_model(name, err);
	*stats = calloc(1, sizeof **stats);
	if (!*stats)
		return il_fail_memory(err);
	memccpy((*stats)->name, name, 0, sizeof(*stats)->name - 1);
	kserve_stats_read(name, *stats, 1);
	*n = 1;
	return INLAY_OK;
}

/* ---- requests ---- */

/* Before it is drawn: gRPC refuses to send what is larger, as if the server were busy. */
static enum inlay_err check_output(const struct kserve_inference *inference, struct inlay_error *err)
{
	const struct kserve_frames *frames = &inference->frames;
	int64_t most = app_config(inference->app)->limits.message_bytes - ANSWER_SPARE;
	if (frames->place.name || (int64_t)frames->output_size <= most)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_INVALID,
	               "output \"%s\" of %zu bytes: expected %lld at most (limits.message_mb): ask for fewer frames",
	               KSERVE_OUTPUT, frames->output_size, (long long)most);
}

enum inlay_err kserve_begin(struct kserve_inference *inference, struct app *app, const struct kserve_request *request,
                            struct inlay_error *err)
{
	*inference = (struct kserve_inference){ .app = app, .request = request, .began_ns = il_clock_ns() };
	enum inlay_err rc = kserve_model_open(&inference->model, app, request->model, request->version, err);
	if (!rc)
		rc = kserve_frames_read(&inference->frames, request, &inference->model, app_regions(app), err);
	if (!rc)
		rc = check_output(inference, err);
	inference->read_ns = rc ? 0 : il_clock_ns();
	return rc;
}

static enum inlay_err draw_into(struct kserve_inference *inference, uint8_t *output, struct inlay_error *err)
{
	const struct kserve_frames *frames = &inference->frames;
	const struct kserve_request *request = inference->request;
	for (unsigned i = 0; i < frames->n; i++)
		frames->mouths[i] = output + i * (frames->output_size / frames->n);
	struct il_mouths_request draw = {
		.avatar = inference->model.name,
		.size = inference->model.info.size,
		.window_floats = inference->model.info.window_floats,
		.n = frames->n,
		.frames = frames->frames,
		.windows = frames->windows,
		.mouths = frames->mouths,
		.client = request->client,
		.deadline_ns = request->deadline_ns,
		.cancelled = request->cancelled,
		.cancel_ctx = request->cancel_ctx,
	};
	const struct il_mouths *mouths = app_mouths(inference->app);
	enum inlay_err rc = mouths->draw(mouths->ctx, &draw, err);
	inference->drawn_ns = rc ? 0 : il_clock_ns();
	return rc;
}

/* Where the client reads it. */
static enum inlay_err draw_shared(struct kserve_inference *inference, struct inlay_error *err)
{
	const struct kserve_frames *frames = &inference->frames;
	struct region_use use;
	enum inlay_err rc = regions_use(&use, app_regions(inference->app), frames->place.name, frames->place.offset,
	                                frames->output_size, err);
	if (rc)
		return rc;
	rc = draw_into(inference, use.memory, err);
	enum inlay_err gone = regions_end(&use, rc ? NULL : err);
	return rc ? rc : gone;
}

enum inlay_err kserve_draw(struct kserve_inference *inference, uint8_t *output, struct inlay_error *err)
{
	enum inlay_err rc =
		inference->frames.place.name ? draw_shared(inference, err) : draw_into(inference, output, err);
	inference->done = !rc;
	return rc;
}

static uint64_t unix_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Counts what became of it. */
static void count(const struct kserve_inference *inference)
{
	struct kserve_stats stats = { 0 };
	int64_t now = il_clock_ns();
	memcpy(stats.name, inference->model.name, sizeof stats.name);
	struct kserve_duration whole = { 1, (uint64_t)(now - inference->began_ns) };
	if (inference->done) {
		stats.last_unix_ms = unix_ms();
		stats.frames = inference->frames.n;
		stats.requests = 1;
		stats.success = whole;
		stats.input = (struct kserve_duration){ 1, (uint64_t)(inference->read_ns - inference->began_ns) };
		stats.infer = (struct kserve_duration){ 1, (uint64_t)(inference->drawn_ns - inference->read_ns) };
		stats.output = (struct kserve_duration){ 1, (uint64_t)(now - inference->drawn_ns) };
	} else {
		stats.fail = whole;
	}
	kserve_stats_add(&stats);
}

void kserve_end(struct kserve_inference *inference)
{
	if (inference->model.lease) /* an unknown model is not counted: there are too many of them */
		count(inference);
	kserve_frames_clear(&inference->frames);
	kserve_model_close(&inference->model);
}
