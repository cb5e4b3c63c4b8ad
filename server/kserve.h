/* KServe v2 (the Open Inference Protocol, with Triton's extensions) whatever the transport: what a model is, what a
 * request asks for, and what is counted. server/rpc/kserve_service.c and server/http/kserve_routes.c translate.
 *
 * A model is an avatar, its one version "1":
 *   inputs   frame_index INT32 [n]; audio FP32 [n, A, H, W], windows of features (il_mouths_info)
 *   output   output UINT8 [n, S, S, 3], mouths, BGR
 * Tensors are little-endian and row-major: as the memory of the machines that inlay runs on.
 */
#ifndef SERVER_KSERVE_H
#define SERVER_KSERVE_H

#include "server/app.h"
#include "server/regions.h"

#define KSERVE_SERVER "inlay"
#define KSERVE_PLATFORM "inlay"
#define KSERVE_VERSION "1"
#define KSERVE_INDEX "frame_index"
#define KSERVE_AUDIO "audio"
#define KSERVE_OUTPUT "output"
#define KSERVE_DIMS 4 /* of a tensor at most */

/* Extensions that this server has, a NULL at the end. */
const char *const *kserve_extensions(struct app *app);

/* ---- models ---- */

struct kserve_model {
	char name[IL_STORE_ID_MAX + 1];
	int64_t frames; /* of the avatar */
	struct il_mouths_info info;
	struct il_lease *lease;
};

/* The avatar, loaded if need be, until it is closed. version: NULL, "" or "1". INLAY_ERR_NOT_FOUND says "unknown
 * model" or "unknown version". */
enum inlay_err kserve_model_open(struct kserve_model *model, struct app *app, const char *name, const char *version,
                                 struct inlay_error *err);
void kserve_model_close(struct kserve_model *model);

struct kserve_tensor {
	const char *name, *datatype;
	int64_t shape[KSERVE_DIMS]; /* -1: any */
	unsigned dims;
};
/* [0] frame_index, [1] audio, [2] output. */
void kserve_model_tensors(const struct kserve_model *model, struct kserve_tensor tensors[3]);

/* True where requests for the avatar can be served: it is known, and so is the version. Loads nothing. */
bool kserve_model_ready(struct app *app, const char *name, const char *version);

/* ---- the repository ---- */

/* Calls `each` for all avatars in the order of their ids, those alone that are loaded where `ready`; ends early where
 * it returns false. */
void kserve_index(struct app *app, bool ready, bool (*each)(void *ctx, const struct il_store_entry *entry), void *ctx);
const char *kserve_state(const struct il_store_entry *entry); /* "READY" "LOADING" "UNAVAILABLE" */
const char *kserve_reason(const struct il_store_entry *entry);
enum inlay_err kserve_load(struct app *app, const char *repository, const char *name, struct inlay_error *err);
enum inlay_err kserve_unload(struct app *app, const char *repository, const char *name, struct inlay_error *err);

/* The clients' regions, or INLAY_ERR_UNSUPPORTED where they are not allowed. */
enum inlay_err kserve_regions(struct app *app, struct regions **regions, struct inlay_error *err);
enum inlay_err kserve_register(struct app *app, const char *name, const char *key, uint64_t offset, uint64_t byte_size,
                               struct inlay_error *err);

/* ---- requests ---- */

/* Shared memory in the place of bytes. */
struct kserve_place {
	const char *name; /* of the region; NULL: none */
	uint64_t offset, byte_size;
};

/* A tensor as it came: bytes, numbers or a place, one of them. The transport's memory. */
struct kserve_input {
	const char *name, *datatype;
	const int64_t *shape;
	size_t dims;
	const uint8_t *raw; /* NULL: none */
	size_t raw_size;
	const int32_t *ints;
	size_t n_ints;
	const float *floats;
	size_t n_floats;
	struct kserve_place place;
};

struct kserve_output {
	const char *name;
	struct kserve_place place;
};

struct kserve_request {
	const char *model, *version, *client;
	const struct kserve_input *inputs;
	size_t n_inputs;
	const struct kserve_output *outputs; /* none: all */
	size_t n_outputs;
	int64_t deadline_ns;
	bool (*cancelled)(void *ctx);
	void *cancel_ctx;
};

/* What a request asks for, checked: windows [n] point into the request's bytes, or into `memory`. */
struct kserve_frames {
	unsigned n;
	int64_t *frames;
	const float **windows;
	uint8_t **mouths;          /* [n], set by kserve_draw */
	struct kserve_place place; /* for the output; .name NULL: in the answer */
	size_t output_size;        /* bytes: n * S * S * 3 */
	void *memory;
};

/* INLAY_ERR_INVALID naming the tensor: shapes, sizes, datatypes, counts, frames the avatar does not have, numbers that
 * are not finite. regions: NULL where they are not allowed. */
enum inlay_err kserve_frames_read(struct kserve_frames *frames, const struct kserve_request *request,
                                  const struct kserve_model *model, struct regions *regions, struct inlay_error *err);
void kserve_frames_clear(struct kserve_frames *frames); /* accepts {0} */

/* A request under way: begun, drawn once, ended whatever came of it. What the request points to lives as long. An
 * output that is larger than a message may be is refused when it begins, where it is not for shared memory. */
struct kserve_inference {
	struct app *app;
	const struct kserve_request *request;
	struct kserve_model model;
	struct kserve_frames frames;
	int64_t began_ns, read_ns, drawn_ns; /* on il_clock_ns; 0: not got that far */
	bool done;
};
enum inlay_err kserve_begin(struct kserve_inference *inference, struct app *app, const struct kserve_request *request,
                            struct inlay_error *err);
/* output: [frames.output_size], or NULL where the output has a place. */
enum inlay_err kserve_draw(struct kserve_inference *inference, uint8_t *output, struct inlay_error *err);
void kserve_end(struct kserve_inference *inference);

/* ---- statistics, of the process since it began ---- */

#define KSERVE_STATS_MAX 16384 /* models that are counted; further ones are not */

struct kserve_duration {
	uint64_t count, ns;
};
struct kserve_stats {
	char name[IL_STORE_ID_MAX + 1];
	uint64_t last_unix_ms, frames, requests; /* of those that succeeded */
	/* infer: from the request read to the mouths drawn, waiting for a turn included. */
	struct kserve_duration success, fail, input, infer, output;
};
void kserve_stats_add(const struct kserve_stats *add); /* any thread; added to those of add->name */
/* One model, or with name "" all, in no particular order: up to n; returns how many there are. */
size_t kserve_stats_read(const char *name, struct kserve_stats *stats, size_t n);
/* The same in fresh memory, *n of them; a known model that nobody has asked anything has zeros. */
enum inlay_err kserve_stats_list(struct app *app, const char *name, const char *version, struct kserve_stats **stats,
                                 size_t *n, struct inlay_error *err);

#endif
