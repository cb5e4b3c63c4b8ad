/* A sentence in requests of a batch each: KServe v2 and the compositing service. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "server/loadgen_impl.h"

enum { CALL_MS = 60000, MAX_BATCH = 256, DEFAULT_FRAMES = 25 };

static enum inlay_err call(struct loadgen_client *c, const char *path, struct il_bytes *reply, enum rpc_status *status,
                           struct inlay_error *err)
{
	struct rpc_unary call = { path, c->wire.data, c->wire.size, CALL_MS, loadgen_stopped, c->all };
	*status = RPC_OK;
	return c->wire.failed ? il_fail_memory(err) : rpc_unary(c->channel, &call, reply, status, err);
}

/* The model's tensors, asked for once by whoever comes first; several at a time do no harm. */
static bool find_model(struct loadgen_client *c, unsigned avatar, struct loadgen_model *model)
{
	struct loadgen *all = c->all;
	struct inlay_error err = { 0 };
	struct il_bytes reply = { 0 };
	enum rpc_status status;
	pthread_mutex_lock(&all->lock);
	*model = all->models[avatar];
	pthread_mutex_unlock(&all->lock);
	if (model->window_floats)
		return true;
	wire_clear(&c->wire);
	wire_text(&c->wire, 1, all->avatars[avatar]);
	enum inlay_err rc = call(c, LOADGEN_METADATA, &reply, &status, &err);
	if (!rc)
		rc = loadgen_read_metadata(reply.data, reply.size, model, &err);
	il_bytes_destroy(&reply);
	if (rc) {
		loadgen_count_error(c, status, &err);
		return false;
	}
	pthread_mutex_lock(&all->lock);
	all->models[avatar] = *model;
	pthread_mutex_unlock(&all->lock);
	return true;
}

/* Makes the client's shared memory and tells the server of it. */
static enum inlay_err open_shared(struct loadgen_client *c, size_t size, enum rpc_status *status,
                                  struct inlay_error *err)
{
	char key[64];
	struct il_bytes reply = { 0 };
	snprintf(c->region, sizeof c->region, "inlay-loadgen-%d-%u", (int)getpid(), c->number);
	snprintf(key, sizeof key, "/%s", c->region);
	int fd = shm_open(key, O_CREAT | O_EXCL | O_RDWR, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)size)) {
		il_fail_errno(err, "shared memory %s", key);
		if (fd >= 0)
			close(fd);
		shm_unlink(key);
		return err->code;
	}
	void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	loadgen_write_register(&c->wire, c->region, key, size);
	enum inlay_err rc = shared == MAP_FAILED ? il_fail_errno(err, "shared memory %s", key)
	                                         : call(c, LOADGEN_REGISTER, &reply, status, err);
	il_bytes_destroy(&reply);
	shm_unlink(key); /* whoever has it open keeps it */
	if (rc && shared != MAP_FAILED)
		munmap(shared, size);
	if (rc)
		return rc;
	c->shared = shared;
	c->shared_size = size;
	return INLAY_OK;
}

void loadgen_forget_shared(struct loadgen_client *c)
{
	struct il_bytes reply = { 0 };
	if (!c->shared)
		return;
	wire_clear(&c->wire);
	wire_text(&c->wire, 1, c->region);
	rpc_unary(c->channel, &(struct rpc_unary){ LOADGEN_UNREGISTER, c->wire.data, c->wire.size, 2000, NULL, NULL },
	          &reply, NULL, NULL);
	il_bytes_destroy(&reply);
	munmap(c->shared, c->shared_size);
	c->shared = NULL;
}

/* Where shared memory is asked for and large enough; the first avatar decides its size, with some room. */
static bool use_shared(struct loadgen_client *c, const struct loadgen_batch *b, bool *shared)
{
	struct inlay_error err = { 0 };
	enum rpc_status status = RPC_OK;
	size_t needed = b->n * (b->model->window_floats * sizeof(float) + b->model->mouth_bytes);
	*shared = false;
	if (!c->all->params->shared_memory || c->all->params->mode != LOADGEN_INFER)
		return true;
	if (!c->shared && open_shared(c, 4 * needed, &status, &err)) {
		loadgen_count_error(c, status, &err);
		return false;
	}
	*shared = needed <= c->shared_size;
	return true;
}

static enum inlay_err ask(struct loadgen_client *c, const struct loadgen_batch *b, enum rpc_status *status,
                          struct inlay_error *err)
{
	struct il_bytes reply = { 0 };
	bool infer = c->all->params->mode == LOADGEN_INFER;
	if (infer && b->region)
		memcpy(c->shared, b->audio, b->n * b->model->window_floats * sizeof(float));
	if (infer)
		loadgen_write_infer(&c->wire, b);
	else
		loadgen_write_composite(&c->wire, b);
	enum inlay_err rc = call(c, infer ? LOADGEN_MODEL_INFER : LOADGEN_INFER_BATCH_COMPOSITE, &reply, status, err);
	if (!rc)
		rc = infer ? loadgen_check_infer(reply.data, reply.size, b, err)
		           : loadgen_check_composite(reply.data, reply.size, b->n, err);
	il_bytes_destroy(&reply);
	return rc;
}

/* Frames 0, 1 .. of the avatar again and again; features from another place of the noise each time. */
static void fill(struct loadgen_client *c, struct loadgen_batch *b, int32_t *frames, unsigned request)
{
	const struct loadgen_params *p = c->all->params;
	unsigned of = p->frames ? p->frames : DEFAULT_FRAMES;
	size_t span = b->n * b->model->window_floats;
	for (unsigned i = 0; i < b->n; i++)
		frames[i] = (int32_t)((request * b->n + i) % of);
	b->frames = frames;
	b->audio = c->all->noise +
	           (span < LOADGEN_NOISE ? (request * 7919u + c->number * 104729u) % (LOADGEN_NOISE - span) : 0);
}

void loadgen_speak_batches(struct loadgen_client *c, unsigned avatar, int64_t until_ns)
{
	const struct loadgen_params *p = c->all->params;
	struct loadgen_model model;
	int32_t frames[MAX_BATCH];
	struct loadgen_batch b = { .avatar = c->all->avatars[avatar], .model = &model, .n = p->batch };
	int64_t allowed_ns = (int64_t)(b.n * 1e9 / (p->fps > 0 ? p->fps : 25)), due_ns = il_clock_ns();
	bool shared;
	if (!find_model(c, avatar, &model) || !use_shared(c, &b, &shared))
		return;
	if (b.n * model.window_floats > LOADGEN_NOISE) {
		struct inlay_error err = { 0 };
		il_fail(&err, INLAY_ERR_UNSUPPORTED, "%s: windows of %zu floats", b.avatar, model.window_floats);
		loadgen_count_error(c, RPC_OK, &err);
		return;
	}
	b.region = shared ? c->region : NULL;
	for (unsigned request = 0; (!request || due_ns < until_ns) && !loadgen_stopped(c->all); request++) {
		struct inlay_error err = { 0 };
		enum rpc_status status;
		fill(c, &b, frames, request);
		enum inlay_err rc = ask(c, &b, &status, &err);
		if (rc)
			loadgen_count_error(c, status, &err);
		else
			loadgen_count_frames(c, b.n, due_ns, due_ns + allowed_ns);
		if (rc && shared) {
			loadgen_forget_shared(c); /* a server that was started again does not know it */
			return;
		}
		due_ns = p->fps > 0 ? due_ns + allowed_ns : il_clock_ns();
		if (p->fps > 0 && !loadgen_wait(c->all, due_ns))
			return;
	}
}
