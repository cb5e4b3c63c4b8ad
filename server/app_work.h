/* What is under way in an app: counted, so that a stop can wait for it, and renders limited in number. */
#ifndef SERVER_APP_WORK_H
#define SERVER_APP_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Any number of threads. */
struct app_work;

enum inlay_err app_work_create(struct app_work **work, unsigned max_renders, struct inlay_error *err);
void app_work_destroy(struct app_work **work);
void app_work_limit(struct app_work *work, unsigned max_renders);

/* Each that returned INLAY_OK is ended by app_work_end. INLAY_ERR_BUSY once it is stopped. */
enum inlay_err app_work_begin(struct app_work *work, struct inlay_error *err);
void app_work_end(struct app_work *work);

/* A render has its turn in the order of asking. Where there is no room: INLAY_ERR_BUSY, or with `wait` after waiting,
 * during which `go_on` (may be NULL) is asked five times a second; false is INLAY_ERR_CANCELLED. */
struct app_turn {
	bool wait;
	bool (*go_on)(void *ctx);
	void *ctx;
};
enum inlay_err app_work_begin_render(struct app_work *work, const struct app_turn *turn, struct inlay_error *err);
void app_work_end_render(struct app_work *work);

struct app_work_counts {
	unsigned others, renders, waiting; /* under way; renders that wait for their turn */
};
void app_work_counts(struct app_work *work, struct app_work_counts *counts);

/* Nothing begins any more. Waits for what is under way, and after timeout_ms says that it is to be cancelled, and waits
 * for a second more. */
void app_work_stop(struct app_work *work, int64_t timeout_ms);
bool app_work_stopping(const struct app_work *work);
bool app_work_cancelled(const struct app_work *work); /* what is under way is to end now */

#endif
