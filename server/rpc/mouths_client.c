#include "server/rpc/mouths_client.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "composite/place.h"
#include "kernel/kernel.h"
#include "server/rpc/mouths_impl.h"

#define FRAMES_MAX 64           /* of a request */
#define PATIENCE_NS 10000000000 /* for a server that answers, the time it draws aside */
#define LOST_MAX 4              /* draws that broke off of which that time does not count: a request may be at fault */
#define KNOWN 1024              /* avatars that are remembered */
#define KNOWN_NS 5000000000     /* for so long */
#define MESSAGE_SPARE (64 * 1024) /* of a message, beside its tensors */

struct known {
	char avatar[256];
	int64_t until_ns;
	struct mouths_model model;
};

struct mouths_client {
	struct mouths_servers servers;
	int64_t message_bytes;
	struct metric *requests, *retries;
	pthread_mutex_t lock; /* of known */
	struct known *known;  /* [KNOWN], each avatar at its hash */
};

/* ---- trying servers ---- */

/* What is asked of a server. Returns what came of it; *again where another server may do better. */
typedef enum inlay_err task_fn(struct mouths_server *server, void *task, bool *again, struct inlay_error *err);

static bool worth_retrying(enum inlay_err rc, enum rpc_status status)
{
	return rc == INLAY_ERR_BUSY || (rc == INLAY_ERR_IO && status == RPC_UNAVAILABLE);
}

/* Runs the task on servers until one has done it. A busy one is asked again by nobody but its own client: when all are
 * busy, that is the answer. */
static enum inlay_err run(struct mouths_client *client, task_fn *task, void *ctx, unsigned frames,
                          const struct mouths_patience *asked, struct inlay_error *err)
{
	struct mouths_patience patience = *asked;
	uint64_t tried = 0;
	unsigned busy = 0, lost = 0;
	patience.until_ns = il_clock_ns() + PATIENCE_NS;
	for (;;) {
		struct mouths_server *server;
		struct inlay_error failure = { 0 };
		bool again = false;
		enum inlay_err rc = mouths_acquire(&server, &client->servers, frames, &tried, &patience, err);
		if (rc)
			return rc;
		int64_t begin_ns = il_clock_ns();
		rc = task(server, ctx, &again, &failure);
		mouths_release(server, frames, rc && again && rc != INLAY_ERR_BUSY);
		metric_count(client->requests, rc ? inlay_err_name(rc) : "ok", 1);
		busy += rc == INLAY_ERR_BUSY;
		if (!rc)
			return rc;
		if (again && lost++ < LOST_MAX)
			patience.until_ns += il_clock_ns() - begin_ns;
		if (!again || il_clock_ns() >= patience.until_ns)
			return il_fail(err, again && rc == INLAY_ERR_IO ? INLAY_ERR_UNAVAILABLE : rc, "%s",
			               failure.text[0] ? failure.text : server->url);
		tried |= (uint64_t)1 << server->number;
		if (rc == INLAY_ERR_BUSY && mouths_servers_healthy(&client->servers) <= busy)
			return il_fail(err, rc, "%s", failure.text);
		metric_count(client->retries, NULL, 1);
	}
}

static struct mouths_patience patience_of(const struct il_mouths_request *request)
{
	struct mouths_patience patience = { 0 };
	if (request) {
		patience.deadline_ns = request->deadline_ns;
		patience.cancelled = request->cancelled;
		patience.cancel_ctx = request->cancel_ctx;
	}
	return patience;
}

/* Servers differ in the status they give an unknown model. */
static enum inlay_err name_unknown(enum inlay_err rc, bool *again, const struct inlay_error *failure)
{
	if (!rc || !strstr(failure->text, "unknown model"))
		return rc;
	*again = false;
	return INLAY_ERR_NOT_FOUND;
}

/* ---- what a model is ---- */

struct question {
	const char *avatar;
	const struct mouths_patience *patience;
	struct mouths_model *model;
};

static enum inlay_err ask_model(struct mouths_server *server, void *ctx, bool *again, struct inlay_error *err)
{
	struct question *question = ctx;
	struct il_bytes message = { 0 }, reply = { 0 };
	enum rpc_status status = RPC_UNAVAILABLE;
	enum inlay_err rc = mouths_name_message(&message, question->avatar, err);
	if (!rc) {
		rc = mouths_call(server, "ModelMetadata", &message, question->patience, &reply, &status, err);
		*again = worth_retrying(rc, status);
		rc = name_unknown(rc, again, err);
	}
	if (!rc)
		rc = mouths_read_metadata(question->model, question->avatar, &reply, err);
	il_bytes_destroy(&message);
	il_bytes_destroy(&reply);
	return rc;
}

/* FNV-1a. */
static struct known *place_of(struct mouths_client *client, const char *avatar)
{
	uint32_t hash = 2166136261u;
	for (const char *at = avatar; *at; at++)
		hash = (hash ^ (uint8_t)*at) * 16777619u;
	return &client->known[hash % KNOWN];
}

static void remember(struct mouths_client *client, const char *avatar, const struct mouths_model *model)
{
	if (strlen(avatar) >= sizeof client->known->avatar)
		return;
	pthread_mutex_lock(&client->lock);
	struct known *known = place_of(client, avatar);
	strcpy(known->avatar, avatar);
	known->model = *model;
	known->until_ns = il_clock_ns() + KNOWN_NS;
	pthread_mutex_unlock(&client->lock);
}

static bool recall(struct mouths_client *client, const char *avatar, struct mouths_model *model)
{
	pthread_mutex_lock(&client->lock);
	struct known *known = place_of(client, avatar);
	bool there = !strcmp(known->avatar, avatar) && known->until_ns > il_clock_ns();
	if (there)
		*model = known->model;
	pthread_mutex_unlock(&client->lock);
	return there;
}

static void forget(struct mouths_client *client, const char *avatar)
{
	pthread_mutex_lock(&client->lock);
	struct known *known = place_of(client, avatar);
	if (!strcmp(known->avatar, avatar))
		known->until_ns = 0;
	pthread_mutex_unlock(&client->lock);
}

static enum inlay_err find_model(struct mouths_client *client, const char *avatar,
                                 const struct mouths_patience *patience, struct mouths_model *model,
                                 struct inlay_error *err)
{
	if (recall(client, avatar, model))
		return INLAY_OK;
	struct question question = { .avatar = avatar, .patience = patience, .model = model };
	enum inlay_err rc = run(client, ask_model, &question, 0, patience, err);
	if (!rc)
		remember(client, avatar, model);
	return rc;
}

static enum inlay_err info(void *ctx, const char *avatar, struct il_mouths_info *out, struct inlay_error *err)
{
	struct mouths_model model;
	struct mouths_patience patience = patience_of(NULL);
	enum inlay_err rc = find_model(ctx, avatar, &patience, &model, err);
	if (!rc)
		*out = model.info;
	return rc;
}

/* ---- drawing ---- */

/* Frames first..first + n - 1 of a request, drawn by one server. */
struct piece {
	const struct il_mouths_request *request;
	const struct mouths_model *model;
	const struct mouths_patience *patience;
	unsigned first, n;
	struct mouths_layout layout;
	struct il_place *place; /* for full tensors, else NULL */
	float *planes;          /* [6, S, S], aligned: a message's bytes are not */
};

static void write_index(const struct piece *piece, uint8_t *to)
{
	for (unsigned i = 0; i < piece->n; i++) {
		int32_t frame = (int32_t)piece->request->frames[piece->first + i];
		memcpy(to + i * sizeof frame, &frame, sizeof frame);
	}
}

static void write_pictures(const struct piece *piece, uint8_t *to)
{
	size_t bytes = piece->layout.size[0] / piece->n;
	for (unsigned i = 0; i < piece->n; i++) {
		il_place_picture(piece->place, piece->request->crops[piece->first + i], piece->planes);
		memcpy(to + i * bytes, piece->planes, bytes);
	}
}

static void write_inputs(const struct piece *piece, uint8_t *const inputs[2])
{
	size_t window = piece->model->info.window_floats * sizeof(float);
	if (piece->place)
		write_pictures(piece, inputs[0]);
	else
		write_index(piece, inputs[0]);
	for (unsigned i = 0; i < piece->n; i++)
		memcpy(inputs[1] + i * window, piece->request->windows[piece->first + i], window);
}

static void read_output(const struct piece *piece, const uint8_t *output)
{
	size_t bytes = piece->layout.size[2] / piece->n;
	int size = piece->model->info.size;
	for (unsigned i = 0; i < piece->n; i++) {
		uint8_t *mouth = piece->request->mouths[piece->first + i];
		if (!piece->place) {
			memcpy(mouth, output + i * bytes, bytes);
			continue;
		}
		memcpy(piece->planes, output + i * bytes, bytes);
		il_kernels_get()->unpack_picture(mouth, (ptrdiff_t)size * 3, piece->planes, size);
	}
}

/* slot: NULL for bytes in the messages. */
static enum inlay_err draw_with(struct mouths_server *server, const struct piece *piece, struct mouths_slot *slot,
                                enum rpc_status *status, struct inlay_error *err)
{
	struct il_bytes message = { 0 }, reply = { 0 };
	uint8_t *inputs[2] = { 0 };
	const uint8_t *output = NULL;
	if (slot)
		for (int i = 0; i < 2; i++)
			inputs[i] = slot->map + piece->layout.offset[i];
	enum inlay_err rc = mouths_request_message(&message, inputs, piece->model, &piece->layout,
	                                           piece->request->avatar, piece->n, slot ? slot->name : NULL, err);
	if (!rc) {
		write_inputs(piece, inputs);
		rc = mouths_call(server, "ModelInfer", &message, piece->patience, &reply, status, err);
	}
	if (!rc)
		rc = mouths_read_answer(&output, &reply, piece->model, piece->layout.size[2], slot != NULL, err);
	if (!rc)
		read_output(piece, slot ? slot->map + piece->layout.offset[2] : output);
	il_bytes_destroy(&message);
	il_bytes_destroy(&reply);
	return rc;
}

/* True where the server may not be done with a request. */
static bool in_doubt(enum inlay_err rc)
{
	return rc == INLAY_ERR_IO || rc == INLAY_ERR_TIMEOUT || rc == INLAY_ERR_CANCELLED;
}

static enum inlay_err draw_on(struct mouths_server *server, void *ctx, bool *again, struct inlay_error *err)
{
	const struct piece *piece = ctx;
	enum rpc_status status = RPC_UNAVAILABLE;
	struct inlay_error failure = { 0 };
	struct mouths_slot *slot = mouths_slot_take(server, piece->layout.total);
	enum inlay_err rc = draw_with(server, piece, slot, &status, &failure);
	/* A server that began anew does not know the memory. One that we gave up on may still write into it. */
	bool unknown = rc && strstr(failure.text, "region");
	if (slot)
		mouths_slot_return(server, slot, !unknown && !in_doubt(rc));
	if (slot && unknown) {
		failure = (struct inlay_error){ 0 };
		rc = draw_with(server, piece, NULL, &status, &failure);
	}
	*again = worth_retrying(rc, status);
	rc = name_unknown(rc, again, &failure);
	return rc ? il_fail(err, rc, "%s", failure.text) : INLAY_OK;
}

/* Frames that go into one message. */
static unsigned piece_max(const struct mouths_client *client, const struct mouths_model *model)
{
	struct mouths_layout one;
	mouths_layout(&one, model, 1);
	size_t in = one.size[0] + one.size[1], out = one.size[2], room = (size_t)client->message_bytes;
	size_t n = room > MESSAGE_SPARE ? (room - MESSAGE_SPARE) / (in > out ? in : out) : 1;
	if (model->batch && n > model->batch)
		n = model->batch;
	return n > FRAMES_MAX ? FRAMES_MAX : n ? (unsigned)n : 1;
}

static enum inlay_err check(const struct il_mouths_request *request, const struct mouths_model *model,
                            struct inlay_error *err)
{
	if (request->n < 1 || request->n > IL_MOUTHS_MAX)
		return il_fail(err, INLAY_ERR_INVALID, "%u frames: expected 1 to %d", request->n, IL_MOUTHS_MAX);
	if (model->info.takes_crops && !request->crops)
		return il_fail(err, INLAY_ERR_INVALID, "model \"%s\" takes pictures: expected faces", request->avatar);
	if (!il_mouths_fit(request, &model->info))
		return il_fail(err, INLAY_ERR_INVALID,
		               "model \"%s\" takes and gives other sizes than it did when it was asked",
		               request->avatar);
	for (unsigned i = 0; i < request->n; i++)
		if (request->frames[i] < 0 || request->frames[i] > INT32_MAX)
			return il_fail(err, INLAY_ERR_INVALID, "frame %" PRId64 ": expected 0..%d", request->frames[i],
			               INT32_MAX);
	return INLAY_OK;
}

static enum inlay_err draw_pieces(struct mouths_client *client, struct piece *piece, struct inlay_error *err)
{
	unsigned max = piece_max(client, piece->model);
	enum inlay_err rc = INLAY_OK;
	for (; piece->first < piece->request->n && !rc; piece->first += piece->n) {
		unsigned left = piece->request->n - piece->first;
		piece->n = left < max ? left : max;
		mouths_layout(&piece->layout, piece->model, piece->n);
		rc = run(client, draw_on, piece, piece->n, piece->patience, err);
	}
	return rc;
}

static enum inlay_err draw(void *ctx, const struct il_mouths_request *request, struct inlay_error *err)
{
	struct mouths_client *client = ctx;
	struct mouths_model model;
	struct mouths_patience patience = patience_of(request);
	enum inlay_err rc = find_model(client, request->avatar, &patience, &model, err);
	if (!rc)
		rc = check(request, &model, err);
	if (rc)
		return rc;
	struct piece piece = { .request = request, .model = &model, .patience = &patience };
	if (model.info.takes_crops) {
		size_t side = (size_t)model.info.size;
		rc = il_place_create(&piece.place, model.info.size, IL_INTERP_LINEAR, err);
		piece.planes = aligned_alloc(64, (6 * side * side * sizeof(float) + 63) / 64 * 64);
		if (!rc && !piece.planes)
			rc = il_fail_memory(err);
	}
	if (!rc)
		rc = draw_pieces(client, &piece, err);
	/* It may have become another model. */
	if (rc == INLAY_ERR_INVALID || rc == INLAY_ERR_NOT_FOUND || rc == INLAY_ERR_FORMAT)
		forget(client, request->avatar);
	il_place_destroy(&piece.place);
	free(piece.planes);
	return rc;
}

/* ---- the client ---- */

enum inlay_err mouths_client_create(struct mouths_client **out, const struct mouths_client_params *params,
                                    struct inlay_error *err)
{
	*out = NULL;
	struct mouths_client *client = calloc(1, sizeof *client);
	if (!client)
		return il_fail_memory(err);
	client->message_bytes = params->message_bytes > 0 ? params->message_bytes : 4 << 20;
	client->known = calloc(KNOWN, sizeof *client->known);
	pthread_mutex_init(&client->lock, NULL);
	client->requests = metrics_add(params->metrics, METRICS_COUNTER, "inlay_inference_requests_total",
	                               "Requests to inference servers, by what came of them", "result");
	client->retries = metrics_add(params->metrics, METRICS_COUNTER, "inlay_inference_retries_total",
	                              "Requests to inference servers that were made again", NULL);
	enum inlay_err rc = mouths_servers_init(&client->servers, params, err);
	if (!rc && !client->known)
		rc = il_fail_memory(err);
	if (rc)
		mouths_client_destroy(&client);
	*out = client;
	return rc;
}

void mouths_client_destroy(struct mouths_client **slot)
{
	struct mouths_client *client = *slot;
	*slot = NULL;
	if (!client)
		return;
	mouths_servers_clear(&client->servers);
	pthread_mutex_destroy(&client->lock);
	free(client->known);
	free(client);
}

struct il_mouths mouths_client_mouths(struct mouths_client *client)
{
	return (struct il_mouths){ .info = info, .draw = draw, .ctx = client };
}

unsigned mouths_client_healthy(struct mouths_client *client)
{
	return mouths_servers_healthy(&client->servers);
}
