/* What the files of the app share: app.c sets it up, app_draw.c draws frames, app_speech.c encodes speech, app_render.c
 * runs whole jobs, app_metrics.c tells how it is. */
#ifndef SERVER_APP_IMPL_H
#define SERVER_APP_IMPL_H

#include <stdatomic.h>

#include "server/app.h"
#include "server/app_pool.h"
#include "server/app_work.h"

struct app_encoders;
struct app_metrics;

struct app {
	const struct server_config *config;
	unsigned processors, workers, threads, batch; /* what the config says or was chosen */
	struct metrics *metrics;
	struct app_metrics *own_metrics;
	struct il_store *store;
	struct scheduler *scheduler;  /* NULL in the compositing role */
	struct mouths_client *client; /* NULL but in that role */
	char *token;                  /* for inference servers, or NULL */
	struct il_mouths mouths;      /* of one of the two */
	struct regions *regions;      /* NULL: not allowed */
	struct app_pool *pool;
	struct app_work *work;
	struct app_encoders *encoders;
	struct app_usage_table *usage;
	atomic_int quality;
	atomic_uint max_models;
};

/* ---- audio encoders: used by one thread at a time, and kept for the next who needs one of the same file ---- */

/* At most `most` at a time, past which those who want one wait. */
enum inlay_err app_encoders_create(struct app_encoders **encoders, unsigned most, struct inlay_error *err);
void app_encoders_destroy(struct app_encoders **encoders);

/* ---- numbers ---- */

enum inlay_err app_metrics_create(struct app *app, struct inlay_error *err);
void app_metrics_destroy(struct app_metrics **metrics);
void app_metrics_load(struct app *app, enum inlay_err rc, int64_t ns);
void app_metrics_frames(struct app *app, unsigned n, int64_t composite_ns);
void app_metrics_render(struct app *app, enum inlay_err rc, int64_t ns);

#endif
