#include "job/net_pool.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "avatar/compiled.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "composite/place.h"
#include "kernel/kernel.h"

#define ASK_NS 20000000 /* between two questions whether a waiting request was cancelled */
#define GUESS 4         /* bytes of memory for each of the model's, before any opening was measured */

struct il_net_pool {
	struct il_lipsync_net_params net;
	char *texts[4];                 /* the strings of `net` */
	const struct il_avatar *avatar; /* the caller's */
	struct il_place *place;         /* only reads of it */
	int *hoisted;                   /* the avatar's kind of tensor for each of the network's hoisted inputs */
	unsigned sessions;
	atomic_llong bytes;

	pthread_mutex_t lock;
	pthread_cond_t freed;
	/* Under the lock: */
	struct il_lipsync_net **nets; /* [sessions], opened so far in front */
	struct il_lipsync_net **idle; /* [sessions], those that are free; last in, first out */
	unsigned n_nets, n_idle, opening, most;
};

/* ---- drawing ---- */

/* Inputs of item i of a run. */
static enum inlay_err set_inputs(const struct il_net_pool *pool, struct il_lipsync_net *net, unsigned i,
                                 const struct il_mouths_request *request, struct inlay_error *err)
{
	const struct il_lipsync_net_info *info = il_lipsync_net_info(net);
	enum inlay_err rc = INLAY_OK;
	if (info->picture_floats)
		il_place_picture(pool->place, request->crops[i], il_lipsync_net_picture(net, i));
	memcpy(il_lipsync_net_audio(net, i), request->windows[i], info->audio_floats * sizeof(float));
	for (int k = 0; k < info->hoisted && !rc; k++) {
		const struct il_safetensor *tensor =
			il_compiled_tensor(pool->avatar->compiled, pool->hoisted[k], request->frames[i]);
		rc = il_lipsync_net_set_hoisted(net, k, (const uint16_t *)(const void *)tensor->data, err);
	}
	return rc;
}

static void take_output(const struct il_lipsync_net *net, unsigned i, uint8_t *mouth)
{
	const struct il_lipsync_net_info *info = il_lipsync_net_info(net);
	if (info->bytes)
		memcpy(mouth, il_lipsync_net_bytes(net, i), info->output_floats);
	else
		il_kernels_get()->unpack_picture(mouth, (ptrdiff_t)info->size * 3, il_lipsync_net_output(net, i),
		                                 info->size);
}

static enum inlay_err draw_on(const struct il_net_pool *pool, struct il_lipsync_net *net,
                              const struct il_mouths_request *request, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	for (unsigned i = 0; i < request->n && !rc; i++)
		rc = set_inputs(pool, net, i, request, err);
	if (!rc)
		rc = il_lipsync_net_run(net, request->n, err);
	for (unsigned i = 0; i < request->n && !rc; i++)
		take_output(net, i, request->mouths[i]);
	return rc;
}

/* ---- memory ---- */

/* Of openings in the whole process; a pool's first session has the weights that further ones share. */
static atomic_uint under_way, begun;
static struct {
	atomic_llong weighed, of; /* the last one that was measured: memory, and bytes of its model */
} openings[2];                    /* of further sessions, of first ones */

static int64_t allocated(void)
{
	const struct mallinfo2 info = mallinfo2();
	return (int64_t)(info.uordblks + info.hblkhd);
}

static int64_t model_bytes(const struct il_net_pool *pool)
{
	struct stat st = { 0 };
	stat(pool->net.path, &st);
	return (int64_t)st.st_size + (int64_t)(pool->net.weight_count * sizeof(float));
}

static int64_t guess(int64_t model, bool foremost)
{
	const int64_t last = atomic_load(&openings[foremost].of);
	const double weighed = (double)atomic_load(&openings[foremost].weighed);
	return last > 0 ? (int64_t)(weighed / (double)last * (double)model) : GUESS * model;
}

static enum inlay_err open_and_warm(const struct il_net_pool *pool, struct il_lipsync_net **net,
                                    struct inlay_error *err)
{
	enum inlay_err rc = il_lipsync_net_open(net, &pool->net, err);
	/* One run on zeros: what the network cannot do shows now, and its memory is in place. */
	if (!rc)
		rc = il_lipsync_net_run(*net, il_lipsync_net_info(*net)->batch, err);
	if (rc)
		il_lipsync_net_destroy(net);
	return rc;
}

static enum inlay_err open_session(struct il_net_pool *pool, struct il_lipsync_net **net, bool foremost,
                                   struct inlay_error *err)
{
	const int64_t model = model_bytes(pool);
	const bool first = atomic_fetch_add(&under_way, 1) == 0;
	const unsigned number = atomic_fetch_add(&begun, 1);
	const int64_t before = allocated();
	*net = NULL;
	enum inlay_err rc = open_and_warm(pool, net, err);
	int64_t bytes = allocated() - before;
	const bool alone = first && atomic_load(&begun) == number + 1;
	atomic_fetch_sub(&under_way, 1);
	if (rc)
		return rc;
	if (!alone || bytes < (foremost ? model : model / 8)) {
		bytes = guess(model, foremost);
	} else {
		atomic_store(&openings[foremost].weighed, bytes);
		atomic_store(&openings[foremost].of, model);
	}
	atomic_fetch_add(&pool->bytes, bytes);
	return INLAY_OK;
}

int64_t il_net_pool_bytes(struct il_net_pool *pool)
{
	return atomic_load(&pool->bytes);
}

/* ---- sessions ---- */

/* Whether there is still somebody who wants the request. Calls the caller's code: no lock is held. */
static enum inlay_err still_wanted(const struct il_mouths_request *request, struct inlay_error *err)
{
	if (request->cancelled && request->cancelled(request->cancel_ctx))
		return il_fail(err, INLAY_ERR_CANCELLED, "cancelled before its mouths were drawn");
	if (request->deadline_ns && il_clock_ns() >= request->deadline_ns)
		return il_fail(err, INLAY_ERR_TIMEOUT, "the time was over before its mouths were drawn");
	return INLAY_OK;
}

/* With the lock, which it gives up meanwhile; returns at a session that is free, or now and then. */
static void wait_for_one(struct il_net_pool *pool, const struct il_mouths_request *request)
{
	int64_t until = request->cancelled ? il_clock_ns() + ASK_NS : 0;
	if (request->deadline_ns && (!until || request->deadline_ns < until))
		until = request->deadline_ns;
	const struct timespec at = { .tv_sec = until / 1000000000, .tv_nsec = until % 1000000000 };
	if (until)
		pthread_cond_timedwait(&pool->freed, &pool->lock, &at);
	else
		pthread_cond_wait(&pool->freed, &pool->lock);
}

/* With the lock, which it gives up meanwhile. Where there is no memory for a further session those that are open have
 * to do: *net is NULL then. */
static void open_further(struct il_net_pool *pool, struct il_lipsync_net **net)
{
	struct inlay_error problem = { 0 };
	pool->opening++;
	pthread_mutex_unlock(&pool->lock);
	enum inlay_err rc = open_session(pool, net, false, &problem);
	il_avatar_network_opened(pool->avatar);
	pthread_mutex_lock(&pool->lock);
	pool->opening--;
	if (!rc) {
		pool->nets[pool->n_nets++] = *net;
		return;
	}
	pool->most = pool->n_nets + pool->opening;
	il_log_warn("%s: goes on with %u session%s: %s", pool->net.path, pool->most, pool->most == 1 ? "" : "s",
	            problem.text);
}

static enum inlay_err take(struct il_net_pool *pool, const struct il_mouths_request *request,
                           struct il_lipsync_net **net, struct inlay_error *err)
{
	enum inlay_err rc = still_wanted(request, err);
	*net = NULL;
	while (!rc && !*net) {
		bool waited = false;
		pthread_mutex_lock(&pool->lock);
		if (pool->n_idle)
			*net = pool->idle[--pool->n_idle];
		else if (pool->n_nets + pool->opening < pool->most)
			open_further(pool, net);
		else
			waited = true;
		if (waited)
			wait_for_one(pool, request);
		pthread_mutex_unlock(&pool->lock);
		if (waited)
			rc = still_wanted(request, err);
		/* The session that it was woken for is the next one's. */
		if (rc)
			pthread_cond_signal(&pool->freed);
	}
	return rc;
}

static void give_back(struct il_net_pool *pool, struct il_lipsync_net *net)
{
	pthread_mutex_lock(&pool->lock);
	pool->idle[pool->n_idle++] = net;
	pthread_mutex_unlock(&pool->lock);
	pthread_cond_signal(&pool->freed);
}

enum inlay_err il_net_pool_draw(struct il_net_pool *pool, const struct il_mouths_request *request,
                                struct inlay_error *err)
{
	struct il_lipsync_net *net;
	enum inlay_err rc = take(pool, request, &net, err);
	if (rc)
		return rc;
	rc = draw_on(pool, net, request, err);
	give_back(pool, net);
	return rc;
}

/* ---- opening ---- */

static enum inlay_err copy_params(struct il_net_pool *pool, const struct il_net_pool_params *params,
                                  struct inlay_error *err)
{
	const char **const strings[] = { &pool->net.path, &pool->net.picture_name, &pool->net.audio_name,
		                         &pool->net.output_name };
	pool->net = params->net;
	pool->avatar = params->avatar;
	pool->sessions = pool->most = params->sessions;
	for (int i = 0; i < 4; i++) {
		const char *given = *strings[i];
		*strings[i] = pool->texts[i] = given ? strdup(given) : NULL;
		if (given && !pool->texts[i])
			return il_fail_memory(err);
	}
	enum inlay_err rc = il_fused_blocks_create(&pool->net.blocks, err);
	if (rc)
		return rc;
	pool->nets = calloc(pool->sessions, sizeof *pool->nets);
	pool->idle = calloc(pool->sessions, sizeof *pool->idle);
	return pool->nets && pool->idle ? INLAY_OK : il_fail_memory(err);
}

static enum inlay_err open_ready(struct il_net_pool *pool, unsigned ready, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	for (unsigned i = 0; i < ready && !rc; i++) {
		rc = open_session(pool, &pool->nets[i], i == 0, err);
		pool->n_nets += !rc;
	}
	for (unsigned i = 0; i < pool->n_nets; i++)
		pool->idle[pool->n_idle++] = pool->nets[pool->n_nets - 1 - i];
	il_avatar_network_opened(pool->avatar);
	return rc;
}

/* What was computed beforehand is the avatar's; the network must be the one compiled with it. */
static enum inlay_err find_hoisted(struct il_net_pool *pool, int interp, struct inlay_error *err)
{
	const struct il_lipsync_net *net = pool->nets[0];
	const struct il_avatar *avatar = pool->avatar;
	const struct il_compiled *compiled = avatar->compiled;
	int n = il_lipsync_net_info(net)->hoisted;
	if (!n)
		return INLAY_OK;
	pool->hoisted = calloc((size_t)n, sizeof *pool->hoisted);
	if (!pool->hoisted)
		return il_fail_memory(err);
	for (int i = 0; i < n; i++) {
		size_t bytes;
		const char *name = il_lipsync_net_hoisted(net, i, &bytes);
		pool->hoisted[i] = compiled ? il_compiled_find_kind(compiled, name) : -1;
		const struct il_compiled_kind *kind =
			pool->hoisted[i] >= 0 ? il_compiled_kind_at(compiled, pool->hoisted[i]) : NULL;
		size_t size = 0;
		/* What varies from frame to frame overflows: opening has compared every frame with its kind. */
		if (!kind || kind->type != IL_ST_F16 ||
		    !il_safetensor_size(kind->type, kind->rank, kind->dims, &size) || size != bytes)
			return il_fail(err, INLAY_ERR_INVALID,
			               "%s: takes %s, computed beforehand for an avatar; %s does not hold it",
			               pool->net.path, name, avatar->path);
	}
	if (interp >= 0 && interp != avatar->interp)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: was compiled for the other way of scaling the face; compile it with --interp %s",
		               avatar->path, interp == IL_INTERP_CUBIC ? "cubic" : "linear");
	return INLAY_OK;
}

enum inlay_err il_net_pool_open(struct il_net_pool **out, const struct il_net_pool_params *params,
                                struct inlay_error *err)
{
	*out = NULL;
	struct il_net_pool *pool = calloc(1, sizeof *pool);
	if (!pool)
		return il_fail_memory(err);
	il_cond_init(&pool->freed);
	pthread_mutex_init(&pool->lock, NULL);
	enum inlay_err rc = copy_params(pool, params, err);
	if (!rc)
		rc = open_ready(pool, params->ready, err);
	if (!rc)
		rc = find_hoisted(pool, params->interp, err);
	if (!rc)
		rc = il_place_create(&pool->place, il_lipsync_net_info(pool->nets[0])->size, IL_INTERP_LINEAR, err);
	if (rc)
		il_net_pool_destroy(&pool);
	*out = pool;
	return rc;
}

void il_net_pool_destroy(struct il_net_pool **slot)
{
	struct il_net_pool *pool = *slot;
	*slot = NULL;
	if (!pool)
		return;
	for (unsigned i = 0; i < pool->n_nets; i++)
		il_lipsync_net_destroy(&pool->nets[i]);
	il_fused_blocks_destroy(&pool->net.blocks);
	il_place_destroy(&pool->place);
	for (int i = 0; i < 4; i++)
		free(pool->texts[i]);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->freed);
	free(pool->nets);
	free(pool->idle);
	free(pool->hoisted);
	free(pool);
}

const struct il_lipsync_net_info *il_net_pool_info(const struct il_net_pool *pool)
{
	return il_lipsync_net_info(pool->nets[0]);
}

enum inlay_err il_net_pool_rows(const struct il_net_pool *pool, size_t row_floats, unsigned *rows,
                                struct inlay_error *err)
{
	return il_lipsync_net_rows(pool->nets[0], row_floats, rows, err);
}
