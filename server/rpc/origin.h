/* What the services that inlay serve takes the place of have in common: batches and models. */
#ifndef SERVER_RPC_ORIGIN_H
#define SERVER_RPC_ORIGIN_H

#include <protobuf-c/protobuf-c.h>

#include "server/app.h"
#include "server/rpc/origin_request.h"
#include "server/rpc/proto_call.h"

#include "server/rpc/compositing.pb-c.h"

/* ---- messages ---- */

/* The client's message without tensors, to be freed with protobuf_c_message_free_unpacked; NULL after an error. */
void *origin_read(struct rpc_call *call, const ProtobufCMessageDescriptor *descriptor, struct inlay_error *err);

/* ---- batches ---- */

/* A request with what was made of it. Of one thread. */
struct origin_batch {
	struct app *app;
	struct rpc_call *call;
	enum origin_kind kind;
	struct origin_request request; /* in the call's memory */
	char avatar[IL_STORE_ID_MAX + 1];
	struct il_lease *lease;
	int64_t frames[ORIGIN_MAX_BATCH];
	float *floats;
	size_t window_floats;
	const float *windows[ORIGIN_MAX_BATCH];
	uint8_t *crops; /* of visual_frames, or NULL */
	int size;       /* S that they are cut for */
	const uint8_t *crop_pointers[ORIGIN_MAX_BATCH];
	double load_ms, audio_ms;
	bool loaded; /* for this request */
	struct app_times times;
};

/* Reads the request: an error is one of transport. */
enum inlay_err origin_batch_read(struct origin_batch *batch, struct app *app, enum origin_kind kind,
                                 struct rpc_call *call, struct inlay_error *err);
/* Loads the avatar and makes windows, frames and, for inference, crops. */
enum inlay_err origin_batch_prepare(struct origin_batch *batch, struct inlay_error *err);
struct app_jpegs origin_batch_request(struct origin_batch *batch); /* for app.h; lives as long as the batch */
void origin_batch_clear(struct origin_batch *batch);

/* InferBatchComposite of two services, whose messages are the same on the wire. */
enum inlay_err origin_composite(struct app *app, enum origin_kind kind, struct rpc_call *call, struct inlay_error *err);

/* True for faults that the answer's `error` tells; the others end the call. */
bool origin_tells(enum inlay_err rc);

/* ---- models ---- */

struct origin_model {
	struct il_store_entry entry;
	struct app_usage usage;
	char *path; /* never NULL */
};
struct origin_models {
	struct origin_model *list;
	size_t n;
};
/* id: one of them; NULL or "": all, or with loaded_only those that are loaded. To be cleared whatever comes back. */
enum inlay_err origin_models_gather(struct app *app, const char *id, bool loaded_only, struct origin_models *models,
                                    struct inlay_error *err);
void origin_models_clear(struct origin_models *models);

/* ms: how long it took. */
enum inlay_err origin_load(struct app *app, const char *id, bool force, double *ms, struct inlay_error *err);
enum inlay_err origin_unload(struct app *app, const char *id, struct inlay_error *err);

/* LoadModel of compositing and inference, UnloadModel of all three: the same on the wire. ctx: the app. */
rpc_handler origin_load_model, origin_unload_model;
Compositing__ModelStats origin_model_stats(const struct origin_model *model);

/* Avatars that may be loaded at a time; all of them where there is no limit. */
int32_t origin_max_models(struct app *app, const struct il_store_stats *stats);

/* ---- services: the methods of each ---- */

#define ORIGIN_METHODS 6 /* of each */
void origin_compositing_methods(struct app *app, struct rpc_method methods[ORIGIN_METHODS]);
void origin_monolithic_methods(struct app *app, struct rpc_method methods[ORIGIN_METHODS]);
void origin_inference_methods(struct app *app, struct rpc_method methods[ORIGIN_METHODS]);

#endif
