#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "server/loadgen_impl.h"

static const int64_t SECOND_NS = 1000000000, TICK_NS = 50000000;

enum { MESSAGE_BYTES = 512 << 20, CONNECT_MS = 10000, STACK_BYTES = 512 << 10 };

/* ---- what all clients share ---- */

bool loadgen_stopped(void *ctx)
{
	struct loadgen *all = ctx;
	return atomic_load(&all->stop);
}

static void sleep_ns(int64_t ns)
{
	struct timespec time = { ns / SECOND_NS, ns % SECOND_NS };
	nanosleep(&time, NULL);
}

bool loadgen_wait(struct loadgen *all, int64_t ns)
{
	for (int64_t left; !loadgen_stopped(all) && (left = ns - il_clock_ns()) > 0;)
		sleep_ns(left < TICK_NS ? left : TICK_NS);
	return !loadgen_stopped(all);
}

static uint64_t next_random(struct loadgen_client *c)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return c->random;
}

unsigned loadgen_choose(struct loadgen_client *c)
{
	double u = (double)(next_random(c) >> 11) / (double)(INT64_C(1) << 53);
	unsigned low = 0, high = c->all->n_avatars - 1;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		if (u < c->all->chances[middle])
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static const char *status_name(enum rpc_status status)
{
	switch (status) {
	case RPC_CANCELLED: return "cancelled";
	case RPC_INVALID_ARGUMENT: return "invalid argument";
	case RPC_DEADLINE_EXCEEDED: return "deadline exceeded";
	case RPC_NOT_FOUND: return "not found";
	case RPC_PERMISSION_DENIED: return "permission denied";
	case RPC_RESOURCE_EXHAUSTED: return "resource exhausted";
	case RPC_FAILED_PRECONDITION: return "failed precondition";
	case RPC_UNIMPLEMENTED: return "unimplemented";
	case RPC_INTERNAL: return "internal";
	case RPC_UNAVAILABLE: return "unavailable";
	case RPC_UNAUTHENTICATED: return "unauthenticated";
	default: return "other";
	}
}

static void add_error(struct loadgen_result *result, const char *kind, const char *text, int64_t count)
{
	size_t i = 0;
	while (i < result->n_kinds && strcmp(result->kinds[i].kind, kind))
		i++;
	if (i == LOADGEN_ERROR_KINDS)
		i--;
	struct loadgen_error_kind *k = &result->kinds[i];
	if (i == result->n_kinds) {
		snprintf(k->kind, sizeof k->kind, "%s", kind);
		snprintf(k->text, sizeof k->text, "%s", text);
		result->n_kinds++;
	}
	k->count += count;
	result->errors += count;
}

void loadgen_count_error(struct loadgen_client *c, enum rpc_status status, const struct inlay_error *err)
{
	if (loadgen_stopped(c->all))
		return; /* cut off by ourselves */
	const char *kind = status                        ? status_name(status)
	                   : err->code == INLAY_ERR_BUSY ? "refused"
	                   : err->code == INLAY_ERR_IO   ? "unavailable"
	                                                 : inlay_err_name(err->code);
	add_error(&c->own, kind, err->text, 1);
	atomic_fetch_add(&c->all->errors, 1);
	/* Who was refused, or finds nobody, does not come back at once. */
	loadgen_wait(c->all, il_clock_ns() + 2 * TICK_NS);
}

void loadgen_count_frames(struct loadgen_client *c, unsigned n, int64_t due_ns, int64_t late_ns)
{
	int64_t now = il_clock_ns();
	il_histogram_add(&c->own.latency, now - due_ns);
	c->own.requests++;
	c->own.frames += n;
	c->own.late += now > late_ns ? n : 0;
	atomic_fetch_add(&c->all->frames, n);
}

/* ---- a client ---- */

static void merge(struct loadgen_result *to, const struct loadgen_result *from)
{
	to->requests += from->requests;
	to->frames += from->frames;
	to->late += from->late;
	to->latency.count += from->latency.count;
	to->latency.total_ns += from->latency.total_ns;
	if (from->latency.max_ns > to->latency.max_ns)
		to->latency.max_ns = from->latency.max_ns;
	for (size_t i = 0; i < IL_HISTOGRAM_BUCKETS; i++)
		to->latency.buckets[i] += from->latency.buckets[i];
	for (size_t i = 0; i < from->n_kinds; i++)
		add_error(to, from->kinds[i].kind, from->kinds[i].text, from->kinds[i].count);
}

static void *run_client(void *ctx)
{
	struct loadgen_client *c = ctx;
	struct loadgen *all = c->all;
	const struct loadgen_params *p = all->params;
	double sentence_s = p->sentence_s > 0 ? p->sentence_s : 4;
	/* Paced clients do not all begin in one instant. */
	if (p->fps > 0)
		loadgen_wait(all, all->begun_ns + (int64_t)(next_random(c) % (uint64_t)(SECOND_NS / p->fps)));
	while (!loadgen_stopped(all)) {
		unsigned avatar = loadgen_choose(c);
		if (p->mode == LOADGEN_RENDER)
			loadgen_speak_stream(c, avatar, sentence_s);
		else
			loadgen_speak_batches(c, avatar, il_clock_ns() + (int64_t)(sentence_s * 1e9));
	}
	loadgen_forget_shared(c);
	wire_free(&c->wire);
	pthread_mutex_lock(&all->lock);
	merge(all->result, &c->own);
	pthread_mutex_unlock(&all->lock);
	return NULL;
}

/* ---- the whole ---- */

static enum inlay_err list_avatars(struct loadgen *all, struct rpc_channel *channel, struct inlay_error *err)
{
	struct il_bytes reply = { 0 };
	struct rpc_unary call = { LOADGEN_LIST, "", 0, CONNECT_MS, loadgen_stopped, all };
	enum inlay_err rc = rpc_unary(channel, &call, &reply, NULL, err);
	if (!rc)
		rc = loadgen_read_list(reply.data, reply.size, &all->avatars, &all->n_avatars, err);
	il_bytes_destroy(&reply);
	if (!rc && !all->n_avatars)
		rc = il_fail(err, INLAY_ERR_NOT_FOUND, "%s: the server has no avatars", all->params->url);
	unsigned wanted = all->params->avatars;
	while (!rc && wanted && all->n_avatars > wanted)
		free(all->avatars[--all->n_avatars]);
	return rc;
}

static enum inlay_err prepare(struct loadgen *all, struct inlay_error *err)
{
	all->chances = calloc(all->n_avatars, sizeof *all->chances);
	all->models = calloc(all->n_avatars, sizeof *all->models);
	all->noise = calloc(LOADGEN_NOISE, sizeof *all->noise);
	if (!all->chances || !all->models || !all->noise)
		return il_fail_memory(err);
	double sum = 0;
	for (unsigned i = 0; i < all->n_avatars; i++)
		all->chances[i] = sum += pow(i + 1.0, -all->params->zipf);
	for (unsigned i = 0; i < all->n_avatars; i++)
		all->chances[i] /= sum;
	uint32_t state = 1;
	for (size_t i = 0; i < LOADGEN_NOISE; i++) {
		state = state * 1664525u + 1013904223u;
		all->noise[i] = (float)(int32_t)state / 4294967296.0f;
	}
	return INLAY_OK;
}

/* Until the time is over or somebody stops it, with a point of the timeline each second. */
static void watch(struct loadgen *all)
{
	const struct loadgen_params *p = all->params;
	struct loadgen_result *r = all->result;
	int64_t end_ns = all->begun_ns + (int64_t)(p->seconds * 1e9), shown = 0;
	for (int64_t now = il_clock_ns(); now < end_ns; now = il_clock_ns()) {
		int64_t frames = atomic_load(&all->frames);
		size_t second = (size_t)((now - all->begun_ns) / SECOND_NS);
		while (r->n_timeline < second && r->n_timeline < LOADGEN_TIMELINE) {
			r->timeline[r->n_timeline++] = frames - shown;
			shown = frames;
		}
		if (p->progress && !p->progress(p->progress_ctx, (double)(now - all->begun_ns) / 1e9, frames,
		                                atomic_load(&all->errors)))
			return;
		sleep_ns(end_ns - now < 2 * TICK_NS ? end_ns - now : 2 * TICK_NS);
	}
}

static enum inlay_err run_clients(struct loadgen *all, struct loadgen_client *clients, struct inlay_error *err)
{
	unsigned n = all->params->clients, begun = 0;
	pthread_t *threads = calloc(n, sizeof *threads);
	pthread_attr_t attributes;
	if (!threads || pthread_attr_init(&attributes)) {
		free(threads);
		return il_fail_memory(err);
	}
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	all->begun_ns = il_clock_ns();
	while (begun < n && !pthread_create(&threads[begun], &attributes, run_client, &clients[begun]))
		begun++;
	enum inlay_err rc =
		begun == n ? INLAY_OK : il_fail(err, INLAY_ERR_MEMORY, "no more than %u clients can be started", begun);
	if (!rc)
		watch(all);
	atomic_store(&all->stop, true);
	all->result->wall_s = (double)(il_clock_ns() - all->begun_ns) / 1e9;
	for (unsigned i = 0; i < begun; i++)
		pthread_join(threads[i], NULL);
	pthread_attr_destroy(&attributes);
	free(threads);
	return rc;
}

static enum inlay_err run_all(struct loadgen *all, struct rpc_channel_params *to, struct inlay_error *err)
{
	unsigned n = all->params->clients;
	struct loadgen_client *clients = calloc(n, sizeof *clients);
	enum inlay_err rc = clients ? INLAY_OK : il_fail_memory(err);
	for (unsigned i = 0; i < n && !rc; i++) {
		clients[i].all = all;
		clients[i].number = i;
		clients[i].random = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
		rc = rpc_channel_create(&clients[i].channel, to, err);
	}
	rc = rc ? rc : list_avatars(all, clients[0].channel, err);
	rc = rc ? rc : prepare(all, err);
	rc = rc ? rc : run_clients(all, clients, err);
	all->result->avatars = all->n_avatars;
	for (unsigned i = 0; clients && i < n; i++)
		rpc_channel_destroy(&clients[i].channel);
	free(clients);
	return rc;
}

enum inlay_err loadgen_run(const struct loadgen_params *params, struct loadgen_result *result, struct inlay_error *err)
{
	struct loadgen all = { .params = params, .result = result, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct rpc_channel_params to = { params->url, MESSAGE_BYTES, params->token, params->tls_ca };
	*result = (struct loadgen_result){ 0 };
	enum inlay_err rc = run_all(&all, &to, err);
	for (unsigned i = 0; i < all.n_avatars; i++)
		free(all.avatars[i]);
	free(all.avatars);
	free(all.chances);
	free(all.models);
	free(all.noise);
	return rc;
}
