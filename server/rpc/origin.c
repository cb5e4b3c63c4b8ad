#include "server/rpc/origin.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define SMALL ((size_t)64 << 10) /* bytes of a message without tensors */

/* ---- messages ---- */

void *origin_read(struct rpc_call *call, const ProtobufCMessageDescriptor *descriptor, struct inlay_error *err)
{
	ProtobufCMessage *message;
	if (proto_read(call, descriptor, SMALL, &message, err) == INLAY_EOF)
		il_fail(err, INLAY_ERR_INVALID, "the call came without a request");
	return message;
}

/* ---- batches ---- */

bool origin_tells(enum inlay_err rc)
{
	return rc != INLAY_ERR_CANCELLED && rc != INLAY_ERR_TIMEOUT;
}

enum inlay_err origin_batch_read(struct origin_batch *batch, struct app *app, enum origin_kind kind,
                                 struct rpc_call *call, struct inlay_error *err)
{
	const uint8_t *data;
	size_t size;
	*batch = (struct origin_batch){ .app = app, .call = call, .kind = kind };
	enum inlay_err rc = rpc_read(call, &data, &size, err);
	if (rc == INLAY_EOF)
		rc = il_fail(err, INLAY_ERR_INVALID, "the call came without a request");
	return rc ? rc : origin_request_parse(&batch->request, kind, data, size, err);
}

static double ms_since(int64_t begin_ns)
{
	return (double)(il_clock_ns() - begin_ns) / 1e6;
}

static enum inlay_err load_avatar(struct origin_batch *b, struct inlay_error *err)
{
	struct il_store_entry entry;
	const int64_t begin = il_clock_ns();
	b->loaded = il_store_find(app_store(b->app), b->avatar, &entry, NULL) || !entry.loaded;
	enum inlay_err rc = app_actor(b->app, b->avatar, &b->lease, err);
	b->load_ms = b->loaded ? ms_since(begin) : 0;
	return rc;
}

static const struct il_avatar *avatar_of(const struct origin_batch *b)
{
	return il_actor_avatar(il_lease_loaded(b->lease));
}

static enum inlay_err choose_frames(struct origin_batch *b, struct inlay_error *err)
{
	const struct il_avatar *avatar = avatar_of(b);
	const enum il_order order = avatar->order >= 0 ? (enum il_order)avatar->order : IL_ORDER_BOUNCE;
	for (int32_t i = 0; i < b->request.batch_size; i++) {
		const int64_t step = (int64_t)b->request.start_frame + i;
		b->frames[i] = il_order_index(order, avatar->frames, avatar->start_frame, step);
		if (b->frames[i] < 0)
			return il_fail(err, INLAY_ERR_INVALID, "%s: ends before frame %lld, it has %lld", b->avatar,
			               (long long)step, (long long)avatar->frames);
	}
	return INLAY_OK;
}

static enum inlay_err encode_speech(struct origin_batch *b, size_t window_floats, struct inlay_error *err)
{
	float *samples;
	size_t count;
	const unsigned n = (unsigned)b->request.batch_size;
	const int64_t begin = il_clock_ns();
	enum inlay_err rc = origin_request_samples(&b->request, &samples, &count, err);
	if (!rc)
		rc = app_encode_speech(b->app, b->avatar, samples, count, n, window_floats, b->floats, err);
	free(samples);
	for (unsigned i = 0; i < n; i++)
		b->windows[i] = b->floats + i * window_floats;
	b->audio_ms = ms_since(begin);
	return rc;
}

static enum inlay_err make_windows(struct origin_batch *b, const struct il_mouths_info *info, struct inlay_error *err)
{
	b->window_floats = info->window_floats;
	b->floats = malloc((size_t)b->request.batch_size * info->window_floats * sizeof *b->floats);
	if (!b->floats)
		return il_fail_memory(err);
	if (b->request.raw_audio.size)
		return encode_speech(b, info->window_floats, err);
	return origin_request_windows(&b->request, info->window_floats, b->floats, b->windows, err);
}

/* Faces that came with the request; a compiled avatar's network has those of its own frames built in. */
static enum inlay_err make_crops(struct origin_batch *b, int size, struct inlay_error *err)
{
	const size_t side = (size_t)size + 8;
	if (avatar_of(b)->compiled)
		return il_fail(err, INLAY_ERR_UNSUPPORTED,
		               "%s is compiled: its network takes no pictures, expected empty visual_frames",
		               b->avatar);
	b->size = size;
	enum inlay_err rc = origin_request_crops(&b->request, size, &b->crops, err);
	for (int32_t i = 0; i < b->request.batch_size && !rc; i++)
		b->crop_pointers[i] = b->crops + (size_t)i * side * side * 3;
	return rc;
}

enum inlay_err origin_batch_prepare(struct origin_batch *b, struct inlay_error *err)
{
	struct il_mouths_info info;
	const struct il_mouths *mouths = app_mouths(b->app);
	enum inlay_err rc = origin_request_check(&b->request, b->kind, b->avatar, err);
	if (!rc)
		rc = load_avatar(b, err);
	if (!rc)
		rc = choose_frames(b, err);
	if (!rc)
		rc = mouths->info(mouths->ctx, b->avatar, &info, err);
	if (!rc && b->kind == ORIGIN_INFERENCE && b->request.visual_frames.size)
		rc = make_crops(b, info.size, err);
	return rc ? rc : make_windows(b, &info, err);
}

struct app_jpegs origin_batch_request(struct origin_batch *b)
{
	return (struct app_jpegs){
		.avatar = b->avatar,
		.client = rpc_peer(b->call),
		.n = (unsigned)b->request.batch_size,
		.frames = b->frames,
		.windows = b->windows,
		.window_floats = b->window_floats,
		.crops = b->crops ? b->crop_pointers : NULL,
		.size = b->size,
		.deadline_ns = rpc_deadline_ns(b->call),
		.cancelled = rpc_cancelled,
		.cancel_ctx = b->call,
	};
}

void origin_batch_clear(struct origin_batch *b)
{
	if (b->lease)
		il_lease_return(&b->lease);
	free(b->floats);
	free(b->crops);
}

/* The answer; `fault`: what the client is told, or none. */
static enum inlay_err answer_frames(const struct origin_batch *b, struct il_bytes *jpegs, double total_ms,
                                    struct inlay_error *fault, struct inlay_error *err)
{
	Compositing__CompositeBatchResponse answer = COMPOSITING__COMPOSITE_BATCH_RESPONSE__INIT;
	ProtobufCBinaryData frames[ORIGIN_MAX_BATCH];
	answer.success = !fault->code;
	answer.error = fault->text;
	answer.n_composited_frames = fault->code ? 0 : (size_t)b->request.batch_size;
	answer.composited_frames = frames;
	for (size_t i = 0; i < answer.n_composited_frames; i++)
		frames[i] = (ProtobufCBinaryData){ jpegs[i].size, jpegs[i].data };
	answer.inference_time_ms = (float)b->times.inference_ms;
	answer.composite_time_ms = (float)b->times.composite_ms;
	answer.total_time_ms = (float)total_ms;
	answer.audio_processing_ms = (float)b->audio_ms;
	answer.model_loaded = b->loaded;
	answer.model_load_time_ms = (float)b->load_ms;
	return proto_write(b->call, &answer.base, err);
}

enum inlay_err origin_composite(struct app *app, enum origin_kind kind, struct rpc_call *call, struct inlay_error *err)
{
	struct origin_batch batch;
	struct il_bytes jpegs[ORIGIN_MAX_BATCH] = { 0 };
	struct inlay_error fault = { 0 };
	const int64_t begin = il_clock_ns();
	enum inlay_err rc = origin_batch_read(&batch, app, kind, call, err);
	if (rc)
		return rc;
	rc = origin_batch_prepare(&batch, &fault);
	if (!rc) {
		const struct app_jpegs request = origin_batch_request(&batch);
		rc = app_draw_jpegs(app, &request, jpegs, &batch.times, &fault);
	}
	rc = origin_tells(rc) ? answer_frames(&batch, jpegs, ms_since(begin), &fault, err)
	                      : il_fail(err, rc, "%s", fault.text);
	for (int i = 0; i < ORIGIN_MAX_BATCH; i++)
		il_bytes_destroy(&jpegs[i]);
	origin_batch_clear(&batch);
	return rc;
}
