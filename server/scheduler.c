#include "server/scheduler.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/scheduler_queue.h"

#define POLL_NS 20000000         /* between two questions whether a request is cancelled */
#define RATE_VALID_NS 2000000000 /* after which the measured rate refuses nobody: one slow frame must not for good */
#define NEVER INT64_MAX

struct outcome {
	enum inlay_err rc;
	struct inlay_error error;
};

struct worker {
	struct scheduler *scheduler;
	pthread_t thread;
	const char *loading; /* under the lock: the avatar that it is loading, or NULL */
	/* [batch] each: the piece under way. */
	struct queue_part *parts;
	struct outcome *outcomes; /* of parts */
	int64_t *frames;
	const float **windows;
	const uint8_t **crops;
	uint8_t **mouths;
};

struct scheduler {
	struct scheduler_params params; /* with all defaults filled in */
	struct worker *workers;
	unsigned n_workers;   /* started */
	pthread_mutex_t lock; /* of all below and of the requests */
	pthread_cond_t work, idle;
	struct queue queue;
	unsigned requests, drawing, loading; /* draws that have not returned; frames with workers; workers that load */
	bool stopping, quit;
	double frame_ns; /* exponential mean of what a frame takes one worker; 0: not measured */
	int64_t measured_ns;
	int64_t frames, refused, late;
	struct metric *waiting_metric, *frames_metric, *refused_metric, *wait_metric, *draw_metric, *late_metric;
};

static void wait_until(struct scheduler *s, pthread_cond_t *cond, int64_t when_ns)
{
	struct timespec t = { .tv_sec = when_ns / 1000000000, .tv_nsec = when_ns % 1000000000 };
	if (when_ns == NEVER)
		pthread_cond_wait(cond, &s->lock);
	else
		pthread_cond_timedwait(cond, &s->lock, &t);
}

static void show_waiting(struct scheduler *s)
{
	metric_set(s->waiting_metric, NULL, s->queue.waiting);
}

/* --- requests --- */

static void count_late(struct scheduler *s, unsigned frames)
{
	s->late += frames;
	metric_count(s->late_metric, NULL, frames);
}

/* Ends it before it is drawn. Workers that have some of it still write to its mouths. */
static void end(struct scheduler *s, struct queue_request *r, enum inlay_err rc, const char *why)
{
	if (r->rc)
		return;
	queue_remove(&s->queue, r);
	r->rc = il_fail(&r->error, rc, "%s: %s", r->request->avatar, why);
	if (rc == INLAY_ERR_TIMEOUT)
		count_late(s, r->request->n - r->drawn - r->drawing);
	show_waiting(s);
}

static bool is_over(const struct queue_request *r)
{
	return !r->drawing && (r->rc || r->drawn == r->request->n);
}

static bool is_cancelled(struct scheduler *s, const struct il_mouths_request *request)
{
	pthread_mutex_unlock(&s->lock);
	bool cancelled = request->cancelled(request->cancel_ctx);
	pthread_mutex_lock(&s->lock);
	return cancelled;
}

static void wait_for(struct scheduler *s, struct queue_request *r)
{
	const struct il_mouths_request *request = r->request;
	while (!is_over(r)) {
		int64_t until = NEVER;
		if (!r->rc && request->deadline_ns)
			until = request->deadline_ns;
		if (!r->rc && request->cancelled) {
			int64_t next = il_clock_ns() + POLL_NS;
			until = next < until ? next : until;
		}
		wait_until(s, &r->changed, until);
		if (is_over(r) || r->rc)
			continue;
		if (request->cancelled && is_cancelled(s, request) && !is_over(r))
			end(s, r, INLAY_ERR_CANCELLED, "cancelled while it was waiting");
		else if (request->deadline_ns && il_clock_ns() >= request->deadline_ns && !is_over(r))
			end(s, r, INLAY_ERR_TIMEOUT, "not drawn by the time it was wanted");
	}
}

/* Of so many frames, the last piece of them `last`. 0 where it is not known. */
static int64_t time_for(const struct scheduler *s, int64_t frames, unsigned last)
{
	double all = (double)frames * s->frame_ns / s->params.workers, one = last * s->frame_ns;
	return (int64_t)(all > one ? all : one);
}

/* NULL where the request can be taken, else why not: a label of inlay_refused_total. */
static const char *find_refusal(const struct scheduler *s, const struct queue_client *client,
                                const struct il_mouths_request *request, int64_t now)
{
	unsigned n = request->n, batch = s->params.batch;
	if (s->stopping)
		return "stopping";
	if (s->queue.waiting && s->queue.waiting + n > s->params.max_waiting)
		return "queue";
	if (client->waiting && client->waiting + n > s->params.max_client)
		return "client";
	if (!request->deadline_ns || now - s->measured_ns > RATE_VALID_NS)
		return NULL;
	int64_t ahead = queue_ahead(&s->queue, client, n, request->deadline_ns) + s->drawing;
	return now + time_for(s, ahead, n < batch ? n : batch) > request->deadline_ns ? "deadline" : NULL;
}

static enum inlay_err refuse(struct scheduler *s, const struct il_mouths_request *request, const char *why,
                             struct inlay_error *err)
{
	s->refused++;
	metric_count(s->refused_metric, why, 1);
	return il_fail(err, INLAY_ERR_BUSY, "%s: %u frames refused (%s): %u are waiting", request->avatar, request->n,
	               why, s->queue.waiting);
}

static bool is_loading(const struct scheduler *s, const char *avatar)
{
	for (unsigned w = 0; w < s->n_workers; w++)
		if (s->workers[w].loading && !strcmp(s->workers[w].loading, avatar))
			return true;
	return false;
}

static enum inlay_err submit(struct scheduler *s, struct queue_request *r, struct inlay_error *err)
{
	int64_t now = r->queued_ns = il_clock_ns();
	struct queue_client *client = queue_client(&s->queue, r->request->client, now);
	if (!client)
		return il_fail_memory(err);
	const char *refusal = find_refusal(s, client, r->request, now);
	if (refusal)
		return refuse(s, r->request, refusal, err);
	if (is_loading(s, r->request->avatar))
		r->avatar = QUEUE_LOADING;
	queue_add(&s->queue, client, r);
	s->requests++;
	show_waiting(s);
	if (r->request->n > s->params.batch)
		pthread_cond_broadcast(&s->work);
	else
		pthread_cond_signal(&s->work);
	return INLAY_OK;
}

static enum inlay_err check(const struct il_mouths_request *request, struct inlay_error *err)
{
	if (!request->avatar || !request->n || request->n > IL_MOUTHS_MAX)
		return il_fail(err, INLAY_ERR_INVALID, "%s: %u frames; expected an avatar and 1 to %d",
		               request->avatar ? request->avatar : "no avatar", request->n, IL_MOUTHS_MAX);
	if (request->deadline_ns && il_clock_ns() >= request->deadline_ns)
		return il_fail(err, INLAY_ERR_TIMEOUT, "%s: the time it was wanted by is past", request->avatar);
	return INLAY_OK;
}

static enum inlay_err draw(void *ctx, const struct il_mouths_request *request, struct inlay_error *err)
{
	struct scheduler *s = ctx;
	struct il_store_entry entry;
	enum inlay_err rc = check(request, err);
	if (rc)
		return rc;
	bool warm = !il_store_find(s->params.store, request->avatar, &entry, NULL) && entry.loaded;
	struct queue_request r = { .request = request,
		                   .avatar_hash = queue_hash(request->avatar),
		                   .avatar = warm ? QUEUE_WARM : QUEUE_COLD };
	il_cond_init(&r.changed);
	pthread_mutex_lock(&s->lock);
	rc = submit(s, &r, err);
	if (!rc) {
		wait_for(s, &r);
		if (!--s->requests)
			pthread_cond_broadcast(&s->idle);
		rc = r.rc ? il_fail(err, r.rc, "%s", r.error.text) : INLAY_OK;
	}
	pthread_mutex_unlock(&s->lock);
	pthread_cond_destroy(&r.changed);
	return rc;
}

static enum inlay_err info(void *ctx, const char *avatar, struct il_mouths_info *info, struct inlay_error *err)
{
	struct scheduler *s = ctx;
	struct il_lease *lease;
	enum inlay_err rc = il_store_get(s->params.store, avatar, &lease, err);
	if (rc)
		return rc;
	rc = s->params.info(s->params.ctx, il_lease_loaded(lease), info, err);
	il_lease_return(&lease);
	return rc;
}

struct il_mouths scheduler_mouths(struct scheduler *scheduler)
{
	return (struct il_mouths){ info, draw, scheduler };
}

/* --- workers --- */

/* The parts in one call. */
static enum inlay_err draw_together(struct worker *w, void *loaded, const struct queue_part *parts, unsigned n,
                                    struct inlay_error *err)
{
	struct scheduler *s = w->scheduler;
	const struct il_mouths_request *first = parts[0].request->request;
	struct il_mouths_request request = { .avatar = first->avatar,
		                             .size = first->size,
		                             .window_floats = first->window_floats,
		                             .frames = w->frames,
		                             .windows = w->windows,
		                             .crops = first->crops ? w->crops : NULL,
		                             .mouths = w->mouths,
		                             .client = n == 1 ? first->client : NULL };
	for (unsigned p = 0; p < n; p++) {
		const struct il_mouths_request *from = parts[p].request->request;
		if (from->size != first->size || from->window_floats != first->window_floats)
			return il_fail(err, INLAY_ERR_INVALID, "%s: was replaced meanwhile", first->avatar);
		for (unsigned i = parts[p].first; i < parts[p].first + parts[p].n; i++, request.n++) {
			w->frames[request.n] = from->frames[i];
			w->windows[request.n] = from->windows[i];
			w->crops[request.n] = from->crops ? from->crops[i] : NULL;
			w->mouths[request.n] = from->mouths[i];
		}
	}
	return s->params.draw(s->params.ctx, loaded, &request, err);
}

static void add_rate(struct scheduler *s, int64_t ns, unsigned frames)
{
	double each = (double)ns / frames;
	s->frame_ns += s->frame_ns > 0 ? (each - s->frame_ns) / 8 : each;
	s->measured_ns = il_clock_ns();
}

/* Where several requests fail together, each is tried alone: what one asks for does not end another. */
static int64_t draw_parts(struct worker *w, void *loaded, unsigned n)
{
	int64_t began = il_clock_ns();
	enum inlay_err rc = draw_together(w, loaded, w->parts, n, &w->outcomes[0].error);
	int64_t took = il_clock_ns() - began;
	if (!rc || n == 1) {
		w->outcomes[0].rc = rc;
		return rc ? 0 : took;
	}
	for (unsigned p = 0; p < n; p++) {
		w->outcomes[p].error = (struct inlay_error){ 0 };
		w->outcomes[p].rc = draw_together(w, loaded, &w->parts[p], 1, &w->outcomes[p].error);
	}
	return 0;
}

/* Under the lock. Sets what the queue knows of an avatar before and after a worker loads it. */
static void mark_loading(struct worker *w, const char *avatar, bool begins, bool loaded)
{
	struct scheduler *s = w->scheduler;
	s->loading += begins ? 1 : -1;
	w->loading = begins ? avatar : NULL;
	queue_set_avatar(&s->queue, avatar, begins ? QUEUE_LOADING : loaded ? QUEUE_WARM : QUEUE_COLD);
	if (!begins)
		pthread_cond_broadcast(&s->work);
}

/* Gets the avatar and draws; the lock is open. Returns how long drawing took, 0 after an error. */
static int64_t draw_piece(struct worker *w, unsigned n, bool cold)
{
	struct scheduler *s = w->scheduler;
	const char *avatar = w->parts[0].request->request->avatar;
	struct il_lease *lease;
	enum inlay_err rc = il_store_get(s->params.store, avatar, &lease, &w->outcomes[0].error);
	if (cold) {
		pthread_mutex_lock(&s->lock);
		mark_loading(w, avatar, false, !rc);
		pthread_mutex_unlock(&s->lock);
	}
	if (!rc) {
		int64_t took = draw_parts(w, il_lease_loaded(lease), n);
		il_lease_return(&lease);
		return took;
	}
	w->outcomes[0].rc = rc;
	for (unsigned p = 1; p < n; p++)
		w->outcomes[p] = w->outcomes[0];
	return 0;
}

static void finish_part(struct scheduler *s, const struct queue_part *part, const struct outcome *outcome, int64_t now)
{
	struct queue_request *r = part->request;
	r->drawing -= part->n;
	s->drawing -= part->n;
	if (outcome->rc && !r->rc) {
		queue_remove(&s->queue, r);
		r->rc = outcome->rc;
		r->error = outcome->error;
	}
	if (!outcome->rc) {
		r->drawn += part->n;
		s->frames += part->n;
		metric_count(s->frames_metric, NULL, part->n);
	}
	if (r->request->deadline_ns && now > r->request->deadline_ns)
		count_late(s, part->n);
	if (is_over(r))
		pthread_cond_signal(&r->changed);
}

static void work_on(struct worker *w, unsigned n)
{
	struct scheduler *s = w->scheduler;
	const char *avatar = w->parts[0].request->request->avatar;
	bool cold = w->parts[0].request->avatar == QUEUE_COLD;
	int64_t now = il_clock_ns();
	unsigned frames = 0;
	for (unsigned p = 0; p < n; p++) {
		frames += w->parts[p].n;
		if (!w->parts[p].first)
			metric_observe_ns(s->wait_metric, NULL, now - w->parts[p].request->queued_ns);
		w->outcomes[p] = (struct outcome){ 0 };
	}
	s->drawing += frames;
	show_waiting(s);
	if (cold)
		mark_loading(w, avatar, true, false);
	pthread_mutex_unlock(&s->lock);
	int64_t took = draw_piece(w, n, cold);
	pthread_mutex_lock(&s->lock);
	if (took) {
		add_rate(s, took, frames);
		metric_observe_ns(s->draw_metric, NULL, took);
	}
	now = il_clock_ns();
	for (unsigned p = 0; p < n; p++)
		finish_part(s, &w->parts[p], &w->outcomes[p], now);
	show_waiting(s);
}

/* Half of the workers load at most, so that what is loaded goes on being drawn. */
static bool may_load(const struct scheduler *s)
{
	return s->loading < (s->params.workers + 1) / 2;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct scheduler *s = w->scheduler;
	pthread_mutex_lock(&s->lock);
	while (!s->quit) {
		unsigned n = queue_take(&s->queue, s->params.batch, may_load(s), w->parts);
		if (n)
			work_on(w, n);
		else
			wait_until(s, &s->work, NEVER);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* --- the whole --- */

static void set_params(struct scheduler *s, const struct scheduler_params *params)
{
	struct scheduler_params *p = &s->params;
	*p = *params;
	p->workers = p->workers ? p->workers : il_cpu_count();
	p->batch = p->batch ? p->batch : 4;
	p->batch = p->batch < IL_MOUTHS_MAX ? p->batch : IL_MOUTHS_MAX;
	p->max_waiting = p->max_waiting ? p->max_waiting : 4096;
	p->max_client = p->max_client ? p->max_client : (p->max_waiting + 1) / 2;
}

static void add_metrics(struct scheduler *s)
{
	struct metrics *m = s->params.metrics;
	s->waiting_metric = metrics_add(m, METRICS_GAUGE, "inlay_queue_frames", "Mouths that wait to be drawn.", NULL);
	s->frames_metric = metrics_add(m, METRICS_COUNTER, "inlay_frames_drawn_total", "Mouths drawn.", NULL);
	s->refused_metric = metrics_add(m, METRICS_COUNTER, "inlay_refused_total",
	                                "Requests for mouths refused as there was too much to do.", "reason");
	s->wait_metric = metrics_add(m, METRICS_HISTOGRAM, "inlay_queue_seconds",
	                             "Time until the first mouth of a request was begun.", NULL);
	s->draw_metric = metrics_add(m, METRICS_HISTOGRAM, "inlay_draw_seconds",
	                             "Time of one call that draws a batch of mouths.", NULL);
	s->late_metric = metrics_add(m, METRICS_COUNTER, "inlay_late_frames_total",
	                             "Mouths that were not drawn by their deadline.", NULL);
}

static enum inlay_err start_worker(struct scheduler *s, struct worker *w, struct inlay_error *err)
{
	size_t batch = s->params.batch;
	w->scheduler = s;
	w->parts = calloc(batch, sizeof *w->parts);
	w->outcomes = calloc(batch, sizeof *w->outcomes);
	w->frames = calloc(batch, sizeof *w->frames);
	w->windows = calloc(batch, sizeof *w->windows);
	w->crops = calloc(batch, sizeof *w->crops);
	w->mouths = calloc(batch, sizeof *w->mouths);
	if (!w->parts || !w->outcomes || !w->frames || !w->windows || !w->crops || !w->mouths)
		return il_fail_memory(err);
	if (pthread_create(&w->thread, NULL, work, w))
		return il_fail(err, INLAY_ERR_MEMORY, "cannot start a thread that draws");
	return INLAY_OK;
}

enum inlay_err scheduler_create(struct scheduler **out, const struct scheduler_params *params, struct inlay_error *err)
{
	*out = NULL;
	struct scheduler *s = calloc(1, sizeof *s);
	if (!s)
		return il_fail_memory(err);
	set_params(s, params);
	pthread_mutex_init(&s->lock, NULL);
	il_cond_init(&s->work);
	il_cond_init(&s->idle);
	add_metrics(s);
	s->workers = calloc(s->params.workers, sizeof *s->workers);
	enum inlay_err rc = s->workers ? INLAY_OK : il_fail_memory(err);
	for (unsigned i = 0; !rc && i < s->params.workers; i++) {
		rc = start_worker(s, &s->workers[i], err);
		if (!rc)
			s->n_workers++;
	}
	if (rc)
		scheduler_destroy(&s);
	*out = s;
	return rc;
}

static void end_all(struct scheduler *s)
{
	for (struct queue_client *client = s->queue.clients; client; client = client->next)
		while (client->first) {
			struct queue_request *r = client->first;
			end(s, r, INLAY_ERR_CANCELLED, "the server stops");
			pthread_cond_signal(&r->changed);
		}
}

void scheduler_stop(struct scheduler *s, int64_t timeout_ms)
{
	int64_t longest = INT64_C(1000) * 3600 * 24 * 365;
	int64_t deadline = il_clock_ns() + (timeout_ms < longest ? timeout_ms : longest) * 1000000;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	while (s->requests && il_clock_ns() < deadline)
		wait_until(s, &s->idle, deadline);
	end_all(s);
	while (s->requests)
		wait_until(s, &s->idle, NEVER);
	pthread_mutex_unlock(&s->lock);
}

void scheduler_destroy(struct scheduler **slot)
{
	struct scheduler *s = *slot;
	*slot = NULL;
	if (!s)
		return;
	scheduler_stop(s, 0);
	pthread_mutex_lock(&s->lock);
	s->quit = true;
	pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < s->n_workers; i++)
		pthread_join(s->workers[i].thread, NULL);
	for (unsigned i = 0; s->workers && i < s->params.workers; i++) {
		struct worker *w = &s->workers[i];
		free(w->parts);
		free(w->outcomes);
		free(w->frames);
		free((void *)w->windows);
		free((void *)w->crops);
		free(w->mouths);
	}
	free(s->workers);
	queue_clear(&s->queue);
	pthread_cond_destroy(&s->idle);
	pthread_cond_destroy(&s->work);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int64_t scheduler_retry_ms(struct scheduler *s)
{
	pthread_mutex_lock(&s->lock);
	int64_t ms = time_for(s, (int64_t)s->queue.waiting + s->drawing, 0) / 1000000;
	pthread_mutex_unlock(&s->lock);
	return ms < 100 ? 100 : ms > 30000 ? 30000 : ms;
}

void scheduler_stats(struct scheduler *s, struct scheduler_stats *stats)
{
	pthread_mutex_lock(&s->lock);
	*stats = (struct scheduler_stats){ .waiting = s->queue.waiting,
		                           .drawing = s->drawing,
		                           .clients = queue_clients_waiting(&s->queue),
		                           .frames = s->frames,
		                           .refused = s->refused,
		                           .late = s->late };
	pthread_mutex_unlock(&s->lock);
}
