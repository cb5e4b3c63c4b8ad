#include "pipeline/pipeline.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"

struct stage {
	struct il_stage spec;
	int64_t next;     /* number of the next item to take */
	unsigned running; /* threads that have not left their loop */
	struct il_stage_stats stats;
};

struct worker {
	struct il_pipeline *pipeline;
	unsigned stage, number;
	void **batch; /* [stage's batch] what one call is given */
	pthread_t thread;
};

struct il_pipeline {
	struct stage stages[IL_PIPELINE_MAX_STAGES];
	unsigned n_stages, slots;
	void **items;           /* [slots] */
	struct worker *workers; /* [n_workers] */
	void **batches;         /* what the workers' batch pointers share */
	unsigned n_workers;

	pthread_mutex_t lock; /* what follows, and every stage's next, running and stats */
	pthread_cond_t changed;
	unsigned *passed; /* [slots] how many stages the item in this slot has behind it */
	int64_t retired;  /* items below this number have left the last stage */
	int64_t total;    /* number of items, -1 until the first stage has met the end */
	bool stopped;     /* by a fault or by cancel */
	enum inlay_err fault;
	struct inlay_error error;
};

static unsigned at_least_one(unsigned n)
{
	return n ? n : 1;
}

enum inlay_err il_pipeline_create(struct il_pipeline **out, const struct il_stage *stages, unsigned n_stages,
                                  void *const *items, unsigned slots, struct inlay_error *err)
{
	unsigned batches = 0, n_workers = 0, n_batched = 0;
	for (unsigned s = 0; s < n_stages; s++) {
		batches += at_least_one(stages[s].batch);
		n_workers += at_least_one(stages[s].workers);
		n_batched += at_least_one(stages[s].batch) * at_least_one(stages[s].workers);
	}
	/* A stage waits for a whole batch while the one after it may hold back part of its own: with fewer slots than
	 * all batches together the ring could fill up with items that nobody may take. */
	if (n_stages < 2 || n_stages > IL_PIPELINE_MAX_STAGES || slots < batches)
		return il_fail(err, INLAY_ERR_INVALID, "pipeline: %u stages (2..%d) on %u slots (at least %u)",
		               n_stages, IL_PIPELINE_MAX_STAGES, slots, batches);
	if (stages[0].workers > 1 || stages[0].batch > 1 || stages[n_stages - 1].workers > 1)
		return il_fail(err, INLAY_ERR_INVALID, "pipeline: the first and the last stage have one worker each");

	struct il_pipeline *p = calloc(1, sizeof *p);
	if (!p)
		return il_fail_memory(err);
	pthread_mutex_init(&p->lock, NULL);
	il_cond_init(&p->changed);
	p->n_stages = n_stages;
	p->slots = slots;
	p->total = -1;
	p->items = malloc(slots * sizeof *p->items);
	p->passed = calloc(slots, sizeof *p->passed);
	p->workers = calloc(n_workers, sizeof *p->workers);
	p->batches = malloc(n_batched * sizeof *p->batches);
	if (!p->items || !p->passed || !p->workers || !p->batches) {
		il_pipeline_destroy(&p);
		return il_fail_memory(err);
	}
	memcpy(p->items, items, slots * sizeof *items);
	void **batch = p->batches;
	for (unsigned s = 0; s < n_stages; s++) {
		struct stage *stage = &p->stages[s];
		stage->spec = stages[s];
		stage->spec.batch = at_least_one(stages[s].batch);
		stage->spec.workers = at_least_one(stages[s].workers);
		stage->stats.name = stages[s].name;
		stage->stats.workers = stage->spec.workers;
		for (unsigned w = 0; w < stage->spec.workers; w++, batch += stage->spec.batch)
			p->workers[p->n_workers++] =
				(struct worker){ .pipeline = p, .stage = s, .number = w, .batch = batch };
	}
	*out = p;
	return INLAY_OK;
}

void il_pipeline_destroy(struct il_pipeline **slot)
{
	struct il_pipeline *p = *slot;
	if (!p)
		return;
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p->items);
	free(p->passed);
	free(p->workers);
	free(p->batches);
	free(p);
	*slot = NULL;
}

/* How many items stage `s` may take now: 0 to wait, -1 when there will be none. Called with the lock held. */
static int takeable(const struct il_pipeline *p, unsigned s)
{
	const struct stage *stage = &p->stages[s];
	if (p->stopped || (p->total >= 0 && stage->next >= p->total))
		return -1;
	if (s == 0)
		return p->total < 0 && stage->next - p->retired < p->slots;
	int64_t end = stage->next + stage->spec.batch;
	if (p->total >= 0 && end > p->total)
		end = p->total;
	if (end > p->stages[s - 1].next)
		return 0;
	for (int64_t k = stage->next; k < end; k++)
		if (p->passed[k % p->slots] != s)
			return 0;
	return (int)(end - stage->next);
}

static void stop(struct il_pipeline *p, enum inlay_err code, const struct inlay_error *error)
{
	if (!p->stopped) {
		p->stopped = true;
		p->fault = code;
		if (error)
			p->error = *error;
	}
	pthread_cond_broadcast(&p->changed);
}

/* Books the outcome of one call over items first .. first + n - 1. Called with the lock held. */
static void book(struct il_pipeline *p, unsigned s, int64_t first, unsigned n, int64_t ns)
{
	struct stage *stage = &p->stages[s];
	for (unsigned i = 0; i < n; i++) {
		unsigned slot = (unsigned)((first + i) % p->slots);
		p->passed[slot] = s + 1 == p->n_stages ? 0 : s + 1;
		il_histogram_add(&stage->stats.per_item, ns / n);
	}
	stage->stats.items += n;
	if (s + 1 == p->n_stages)
		p->retired = first + n;
	pthread_cond_broadcast(&p->changed);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct il_pipeline *p = worker->pipeline;
	unsigned s = worker->stage;
	struct stage *stage = &p->stages[s];

	pthread_mutex_lock(&p->lock);
	for (;;) {
		int n = takeable(p, s);
		if (n < 0)
			break;
		if (n == 0) {
			pthread_cond_wait(&p->changed, &p->lock);
			continue;
		}
		int64_t first = stage->next;
		stage->next += n;
		pthread_mutex_unlock(&p->lock);

		for (int i = 0; i < n; i++)
			worker->batch[i] = p->items[(first + i) % p->slots];
		struct inlay_error error = { 0 };
		int64_t start = il_clock_ns();
		enum inlay_err rc =
			stage->spec.run(stage->spec.ctx, worker->number, first, worker->batch, (unsigned)n, &error);
		int64_t ns = il_clock_ns() - start;

		pthread_mutex_lock(&p->lock);
		if (rc == INLAY_OK) {
			book(p, s, first, (unsigned)n, ns);
		} else if (rc == INLAY_EOF && s == 0) {
			p->total = first;
			pthread_cond_broadcast(&p->changed);
		} else {
			stop(p, rc, &error);
		}
	}
	stage->running--;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static bool anyone_running(const struct il_pipeline *p)
{
	for (unsigned s = 0; s < p->n_stages; s++)
		if (p->stages[s].running)
			return true;
	return false;
}

/* Waits on `changed` for at most until `deadline`; true when the time is up. */
static bool wait_until(struct il_pipeline *p, int64_t deadline_ns)
{
	struct timespec t = { .tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000 };
	return pthread_cond_timedwait(&p->changed, &p->lock, &t) != 0;
}

enum inlay_err il_pipeline_run(struct il_pipeline *p, bool (*progress)(void *ctx, int64_t done), void *ctx,
                               unsigned interval_ms, struct inlay_error *err)
{
	int64_t interval = (int64_t)at_least_one(interval_ms) * 1000000;
	unsigned started = 0;
	pthread_mutex_lock(&p->lock);
	for (; started < p->n_workers; started++) {
		struct worker *worker = &p->workers[started];
		if (pthread_create(&worker->thread, NULL, work, worker)) {
			struct inlay_error error = { 0 };
			il_fail(&error, INLAY_ERR_MEMORY, "cannot start a thread for stage %s",
			        p->stages[worker->stage].spec.name);
			stop(p, INLAY_ERR_MEMORY, &error);
			break;
		}
		p->stages[worker->stage].running++;
	}
	int64_t due = il_clock_ns() + interval;
	while (anyone_running(p)) {
		bool late = wait_until(p, due);
		if (!late && il_clock_ns() < due)
			continue;
		due = il_clock_ns() + interval;
		/* What has failed falls silent, even while a stage waits for something outside. */
		if (p->stopped)
			continue;
		int64_t done = p->retired;
		pthread_mutex_unlock(&p->lock);
		bool go_on = !progress || progress(ctx, done);
		pthread_mutex_lock(&p->lock);
		if (!go_on)
			stop(p, INLAY_ERR_CANCELLED, NULL);
	}
	enum inlay_err rc = p->fault;
	if (rc == INLAY_ERR_CANCELLED && !p->error.code)
		il_fail(err, rc, "cancelled after %lld frames", (long long)p->retired);
	else if (rc)
		il_fail(err, rc, "%s", p->error.text);
	pthread_mutex_unlock(&p->lock);

	for (unsigned w = 0; w < started; w++)
		pthread_join(p->workers[w].thread, NULL);
	return rc;
}

void il_pipeline_cancel(struct il_pipeline *p)
{
	pthread_mutex_lock(&p->lock);
	stop(p, INLAY_ERR_CANCELLED, NULL);
	pthread_mutex_unlock(&p->lock);
}

bool il_pipeline_stopping(struct il_pipeline *p)
{
	pthread_mutex_lock(&p->lock);
	bool stopping = p->stopped;
	pthread_mutex_unlock(&p->lock);
	return stopping;
}

const struct il_stage_stats *il_pipeline_stats(const struct il_pipeline *p, unsigned stage)
{
	return stage < p->n_stages ? &p->stages[stage].stats : NULL;
}
