#include "server/app_work.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#define ASK_MS 200
#define GRACE_MS 1000 /* for what was cancelled */

/* A render that waits; on its thread's stack. */
struct waiter {
	struct waiter *after;
};

struct app_work {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* on CLOCK_MONOTONIC */
	unsigned others, renders, max_renders, waiting;
	struct waiter *first, **last; /* in the order of asking */
	atomic_bool stopping, cancelled;
};

enum inlay_err app_work_create(struct app_work **out, unsigned max_renders, struct inlay_error *err)
{
	struct app_work *work = *out = calloc(1, sizeof *work);
	if (!work)
		return il_fail_memory(err);
	il_cond_init(&work->changed);
	pthread_mutex_init(&work->lock, NULL);
	work->max_renders = max_renders;
	work->last = &work->first;
	return INLAY_OK;
}

void app_work_destroy(struct app_work **out)
{
	struct app_work *work = *out;
	*out = NULL;
	if (!work)
		return;
	pthread_cond_destroy(&work->changed);
	pthread_mutex_destroy(&work->lock);
	free(work);
}

void app_work_limit(struct app_work *work, unsigned max_renders)
{
	pthread_mutex_lock(&work->lock);
	work->max_renders = max_renders;
	pthread_cond_broadcast(&work->changed);
	pthread_mutex_unlock(&work->lock);
}

static enum inlay_err refuse(struct inlay_error *err)
{
	return il_fail(err, INLAY_ERR_BUSY, "the server is stopping");
}

enum inlay_err app_work_begin(struct app_work *work, struct inlay_error *err)
{
	pthread_mutex_lock(&work->lock);
	bool open = !atomic_load(&work->stopping);
	if (open)
		work->others++;
	pthread_mutex_unlock(&work->lock);
	return open ? INLAY_OK : refuse(err);
}

void app_work_end(struct app_work *work)
{
	pthread_mutex_lock(&work->lock);
	work->others--;
	pthread_cond_broadcast(&work->changed);
	pthread_mutex_unlock(&work->lock);
}

/* Waits for a change until `until_ns`; false where that is over. Holds the lock. */
static bool await(struct app_work *work, int64_t until_ns)
{
	if (il_clock_ns() >= until_ns)
		return false;
	struct timespec until = { .tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000 };
	pthread_cond_timedwait(&work->changed, &work->lock, &until);
	return true;
}

static void leave(struct app_work *work, struct waiter *waiter)
{
	struct waiter **at = &work->first;
	while (*at != waiter)
		at = &(*at)->after;
	*at = waiter->after;
	if (!*at)
		work->last = at;
	work->waiting--;
	pthread_cond_broadcast(&work->changed);
}

/* Holds the lock, but not while go_on is asked. */
static enum inlay_err wait_turn(struct app_work *work, struct waiter *self, const struct app_turn *turn)
{
	int64_t ask_ns = il_clock_ns();
	while (!atomic_load(&work->stopping)) {
		if (work->first == self && work->renders < work->max_renders)
			return INLAY_OK;
		if (await(work, ask_ns))
			continue;
		pthread_mutex_unlock(&work->lock);
		bool go_on = !turn->go_on || turn->go_on(turn->ctx);
		pthread_mutex_lock(&work->lock);
		if (!go_on)
			return INLAY_ERR_CANCELLED;
		ask_ns = il_clock_ns() + ASK_MS * INT64_C(1000000);
	}
	return INLAY_ERR_BUSY;
}

enum inlay_err app_work_begin_render(struct app_work *work, const struct app_turn *turn, struct inlay_error *err)
{
	struct waiter self = { NULL };
	enum inlay_err rc = INLAY_OK;
	pthread_mutex_lock(&work->lock);
	unsigned limit = work->max_renders;
	if (atomic_load(&work->stopping) || (!turn->wait && (work->first || work->renders >= limit))) {
		rc = INLAY_ERR_BUSY;
	} else {
		*work->last = &self;
		work->last = &self.after;
		work->waiting++;
		rc = wait_turn(work, &self, turn);
		leave(work, &self);
	}
	if (!rc)
		work->renders++;
	pthread_mutex_unlock(&work->lock);
	if (rc == INLAY_ERR_CANCELLED)
		return il_fail(err, rc, "cancelled while waiting for its turn");
	if (rc && !atomic_load(&work->stopping))
		return il_fail(err, rc, "%u videos and streams are being made already, and no more at a time", limit);
	return rc ? refuse(err) : INLAY_OK;
}

void app_work_end_render(struct app_work *work)
{
	pthread_mutex_lock(&work->lock);
	work->renders--;
	pthread_cond_broadcast(&work->changed);
	pthread_mutex_unlock(&work->lock);
}

void app_work_counts(struct app_work *work, struct app_work_counts *counts)
{
	pthread_mutex_lock(&work->lock);
	*counts = (struct app_work_counts){ work->others, work->renders, work->waiting };
	pthread_mutex_unlock(&work->lock);
}

void app_work_stop(struct app_work *work, int64_t timeout_ms)
{
	const int64_t until_ns = il_clock_ns() + timeout_ms * 1000000;
	pthread_mutex_lock(&work->lock);
	atomic_store(&work->stopping, true);
	pthread_cond_broadcast(&work->changed);
	while ((work->others || work->renders || work->waiting) && await(work, until_ns))
		;
	atomic_store(&work->cancelled, true);
	while ((work->others || work->renders || work->waiting) && await(work, until_ns + GRACE_MS * INT64_C(1000000)))
		;
	pthread_mutex_unlock(&work->lock);
}

bool app_work_stopping(const struct app_work *work)
{
	return atomic_load(&work->stopping);
}

bool app_work_cancelled(const struct app_work *work)
{
	return atomic_load(&work->cancelled);
}
