#include "server/app_pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* Work under way; on the stack of who runs it. */
struct work {
	app_pool_fn *fn;
	void *ctx;
	unsigned n, next, busy; /* parts; the next to begin; begun and not done */
	enum inlay_err rc;
	struct inlay_error err;
	struct work *after; /* in the queue, while parts are to be begun */
};

struct app_pool {
	pthread_mutex_t lock; /* of all below, and of all work */
	pthread_cond_t wanted, done;
	struct work *first, **last;
	bool ending;
	unsigned n_threads;
	pthread_t threads[];
};

static void leave_queue(struct app_pool *pool, struct work *work)
{
	struct work **at = &pool->first;
	while (*at && *at != work)
		at = &(*at)->after;
	if (!*at)
		return;
	*at = work->after;
	if (!*at)
		pool->last = at;
}

/* Begins a part of `work` and does it. Holds the lock before and after. */
static void do_part(struct app_pool *pool, struct work *work)
{
	struct inlay_error err = { 0 };
	unsigned part = work->next++;
	work->busy++;
	if (work->next == work->n)
		leave_queue(pool, work);
	pthread_mutex_unlock(&pool->lock);
	enum inlay_err rc = work->fn(work->ctx, part, &err);
	pthread_mutex_lock(&pool->lock);
	if (rc && !work->rc) {
		work->rc = rc;
		work->err = err;
		work->next = work->n;
		leave_queue(pool, work);
	}
	if (!--work->busy && work->next == work->n)
		pthread_cond_broadcast(&pool->done);
}

static void *serve(void *ctx)
{
	struct app_pool *pool = ctx;
	pthread_mutex_lock(&pool->lock);
	while (!pool->ending) {
		if (pool->first)
			do_part(pool, pool->first);
		else
			pthread_cond_wait(&pool->wanted, &pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

enum inlay_err app_pool_run(struct app_pool *pool, unsigned n, app_pool_fn *fn, void *ctx, struct inlay_error *err)
{
	struct work work = { .fn = fn, .ctx = ctx, .n = n };
	if (!n)
		return INLAY_OK;
	pthread_mutex_lock(&pool->lock);
	*pool->last = &work;
	pool->last = &work.after;
	if (n > 1)
		pthread_cond_broadcast(&pool->wanted);
	while (work.next < work.n)
		do_part(pool, &work);
	while (work.busy)
		pthread_cond_wait(&pool->done, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	return work.rc ? il_fail(err, work.rc, "%s", work.err.text) : INLAY_OK;
}

enum inlay_err app_pool_create(struct app_pool **out, unsigned threads, struct inlay_error *err)
{
	*out = NULL;
	struct app_pool *pool = calloc(1, sizeof *pool + threads * sizeof *pool->threads);
	if (!pool)
		return il_fail_memory(err);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wanted, NULL);
	pthread_cond_init(&pool->done, NULL);
	pool->last = &pool->first;
	*out = pool;
	for (; pool->n_threads < threads; pool->n_threads++) {
		if (pthread_create(&pool->threads[pool->n_threads], NULL, serve, pool)) {
			il_fail(err, INLAY_ERR_MEMORY, "cannot start thread %u of %u", pool->n_threads + 1, threads);
			app_pool_destroy(out);
			return INLAY_ERR_MEMORY;
		}
	}
	return INLAY_OK;
}

void app_pool_destroy(struct app_pool **out)
{
	struct app_pool *pool = *out;
	*out = NULL;
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->wanted);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->done);
	pthread_cond_destroy(&pool->wanted);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
