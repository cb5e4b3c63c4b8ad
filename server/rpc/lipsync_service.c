/* inlay.v1.Lipsync (lipsync.proto): speech in and frames out through app_render, and what avatars there are. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernel/colour.h"
#include "server/rpc/lipsync.pb-c.h"
#include "server/rpc/proto_call.h"
#include "server/rpc/services.h"

typedef Inlay__V1__RenderRequest Request;
typedef Inlay__V1__RenderOptions Options;
typedef Inlay__V1__RenderFrame Frame;

enum {
	RATE = 16000,
	REQUEST_BYTES = (4 << 20) + 4096,
	AVATARS = 1000, /* of a list */
	LOOK_MS = 100,
};

/* The job says five times a second that it runs; past this it does not any more. */
static const int64_t SILENCE_NS = 5000000000;
#define PATIENCE_S 60 /* with a client who sends no audio: its turn is another's then */

/* ---- render: speech ---- */

struct render {
	struct rpc_call *call;
	struct app *app;
	Request *first, *request; /* first: with the options; request: whose audio is being read */
	size_t at;                /* bytes of its audio that are read */
	int64_t samples, max_samples;
	size_t sample_bytes;
	int width, height;
	struct inlay_rational fps;
	Frame frame;
	uint8_t *pixels; /* of raw frames */
	uint16_t *scratch;
	atomic_llong progress_ns; /* when the job last said that it runs, 0: not yet */
	atomic_bool refused;      /* it was told to end */
};

/* A job that failed within does not say so to whom it reads from: it falls silent, and waits for us. */
static bool job_over(const struct render *r)
{
	int64_t last = atomic_load(&r->progress_ns);
	return atomic_load(&r->refused) || (last && il_clock_ns() - last > SILENCE_NS);
}

static void free_request(struct render *r)
{
	if (r->request && r->request != r->first)
		inlay__v1__render_request__free_unpacked(r->request, NULL);
	r->request = NULL;
}

static enum inlay_err check_audio(struct render *r, struct inlay_error *err)
{
	size_t bytes = r->request->audio.len;
	if (bytes % r->sample_bytes)
		return il_fail(err, INLAY_ERR_INVALID, "audio of %zu bytes: expected whole samples of %zu bytes", bytes,
		               r->sample_bytes);
	r->samples += (int64_t)(bytes / r->sample_bytes);
	if (r->samples > r->max_samples)
		return il_fail(err, INLAY_ERR_INVALID, "more than %lld s of audio: expected at most that",
		               (long long)(r->max_samples / RATE));
	return INLAY_OK;
}

static enum inlay_err next_request(struct render *r, struct inlay_error *err)
{
	ProtobufCMessage *message;
	free_request(r);
	const int64_t until = il_clock_ns() + PATIENCE_S * 1000000000ll;
	while (!rpc_wait_message(r->call, LOOK_MS)) {
		if (job_over(r))
			return il_fail(err, INLAY_ERR_CANCELLED, "the job has ended");
		if (il_clock_ns() >= until)
			return il_fail(err, INLAY_ERR_TIMEOUT, "no audio for %d s", PATIENCE_S);
	}
	enum inlay_err code = proto_read(r->call, &inlay__v1__render_request__descriptor, REQUEST_BYTES, &message, err);
	if (code)
		return code;
	r->request = (Request *)message;
	r->at = 0;
	if (r->request->options)
		return il_fail(err, INLAY_ERR_INVALID, "options in a request that is not the first");
	return check_audio(r, err);
}

static void convert(const struct render *r, const uint8_t *from, float *to, size_t n)
{
	if (r->sample_bytes == sizeof(float)) {
		memcpy(to, from, n * sizeof *to);
		return;
	}
	for (size_t i = 0; i < n; i++)
		to[i] = (float)(int16_t)(from[2 * i] | from[2 * i + 1] << 8) / 32768.0f;
}

static enum inlay_err read_speech(void *ctx, float *samples, size_t n, size_t *got, struct inlay_error *err)
{
	struct render *r = ctx;
	*got = 0;
	while (!r->request || r->at == r->request->audio.len) {
		enum inlay_err code = next_request(r, err);
		if (code)
			return code;
	}
	size_t left = (r->request->audio.len - r->at) / r->sample_bytes;
	*got = n < left ? n : left;
	convert(r, r->request->audio.data + r->at, samples, *got);
	r->at += *got * r->sample_bytes;
	return INLAY_OK;
}

/* ---- render: frames ---- */

static enum inlay_err send_frame(struct render *r, int64_t k, const uint8_t *data, size_t bytes,
                                 struct inlay_error *err)
{
	r->frame.index = k;
	r->frame.pts_ms = (double)k * 1000 * r->fps.den / r->fps.num;
	r->frame.data = (ProtobufCBinaryData){ bytes, (uint8_t *)data };
	return proto_write(r->call, &r->frame.base, err);
}

static enum inlay_err take_jpeg(void *ctx, int64_t k, const uint8_t *data, size_t bytes, struct inlay_error *err)
{
	return send_frame(ctx, k, data, bytes, err);
}

static uint8_t *put_plane(uint8_t *to, const struct inlay_planes *planes, int i, int width, int height)
{
	for (int y = 0; y < height; y++, to += width)
		memcpy(to, planes->data[i] + y * planes->stride[i], (size_t)width);
	return to;
}

static size_t put_i420(uint8_t *pixels, const struct inlay_frame_info *info, const struct inlay_planes *planes)
{
	int chroma_width = (info->width + 1) / 2, chroma_height = (info->height + 1) / 2;
	uint8_t *to = put_plane(pixels, planes, 0, info->width, info->height);
	to = put_plane(to, planes, 1, chroma_width, chroma_height);
	to = put_plane(to, planes, 2, chroma_width, chroma_height);
	return (size_t)(to - pixels);
}

static enum inlay_err take_frame(void *ctx, int64_t k, struct inlay_frame *frame, struct inlay_error *err)
{
	struct render *r = ctx;
	const struct inlay_frame_info *info = inlay_frame_info(frame);
	struct inlay_planes planes;
	size_t bytes = (size_t)info->width * info->height * 3;
	if (info->format != INLAY_PIX_I420 || info->width != r->width || info->height != r->height)
		return il_fail(err, INLAY_ERR_FORMAT, "a frame of %dx%d; expected I420 of %dx%d", info->width,
		               info->height, r->width, r->height);
	inlay_frame_map(frame, &planes);
	if (r->frame.format == INLAY__V1__RENDER_OPTIONS__FORMAT__I420)
		bytes = put_i420(r->pixels, info, &planes);
	else
		il_i420_to_bgr(r->pixels, (ptrdiff_t)info->width * 3, info, &planes,
		               (struct inlay_rect){ 0, 0, info->width, info->height }, r->scratch);
	inlay_frame_unmap(frame);
	r->frame.matrix = (int)info->colour.matrix;
	r->frame.full_range = info->colour.range == INLAY_RANGE_FULL;
	return send_frame(r, k, r->pixels, bytes, err);
}

/* ---- render: the call ---- */

static enum inlay_err check_options(const Options *o, struct inlay_error *err)
{
	if (o->sample_rate && o->sample_rate != RATE)
		return il_fail(err, INLAY_ERR_INVALID, "sample_rate: %d; expected %d", o->sample_rate, RATE);
	if (o->sample_format > INLAY__V1__RENDER_OPTIONS__SAMPLE_FORMAT__F32)
		return il_fail(err, INLAY_ERR_INVALID, "sample_format: %d; expected S16 or F32", (int)o->sample_format);
	if (o->format > INLAY__V1__RENDER_OPTIONS__FORMAT__BGR)
		return il_fail(err, INLAY_ERR_INVALID, "format: %d; expected JPEG, I420 or BGR", (int)o->format);
	if (o->order > INLAY__V1__RENDER_OPTIONS__ORDER__CUT)
		return il_fail(err, INLAY_ERR_INVALID, "order: %d; expected DEFAULT to CUT", (int)o->order);
	if (o->jpeg_quality < 0 || o->jpeg_quality > 100)
		return il_fail(err, INLAY_ERR_INVALID, "jpeg_quality: %d; expected 1 to 100, or 0", o->jpeg_quality);
	if (o->fps_num < 0 || o->fps_den < 0 || (o->fps_den && !o->fps_num))
		return il_fail(err, INLAY_ERR_INVALID, "fps: %d/%d; expected a rate, or 0", o->fps_num, o->fps_den);
	bool has_start = o->start_case == INLAY__V1__RENDER_OPTIONS__START_START_FRAME;
	if (o->max_frames < 0 || (has_start && o->start_frame < 0))
		return il_fail(err, INLAY_ERR_INVALID, "max_frames, start_frame: expected 0 or more");
	if (!o->avatar[0])
		return il_fail(err, INLAY_ERR_INVALID, "avatar: \"\"; expected an id");
	return INLAY_OK;
}

static struct inlay_lipsync_params job_params(const Options *o)
{
	struct inlay_lipsync_params params = { .avatar = o->avatar,
		                               .order = (enum inlay_order)o->order,
		                               .frames = o->max_frames,
		                               .quality = o->jpeg_quality };
	if (o->start_case == INLAY__V1__RENDER_OPTIONS__START_START_FRAME)
		params.start_frame = o->start_frame ? o->start_frame : INLAY_START_FIRST;
	if (o->fps_num)
		params.fps = (struct inlay_rational){ o->fps_num, o->fps_den ? o->fps_den : 1 };
	return params;
}

static bool progress(void *ctx, int64_t done, int64_t expected)
{
	struct render *r = ctx;
	(void)done;
	(void)expected;
	atomic_store(&r->progress_ns, il_clock_ns());
	if (rpc_cancelled(r->call))
		atomic_store(&r->refused, true);
	return !atomic_load(&r->refused);
}

/* What answers say about the avatar's frames. */
static enum inlay_err look_at_avatar(struct render *r, const Options *o, struct inlay_error *err)
{
	struct il_lease *lease;
	enum inlay_err code = app_actor(r->app, o->avatar, &lease, err);
	if (code)
		return code;
	const struct il_avatar *avatar = il_actor_avatar(il_lease_loaded(lease));
	r->frame.width = r->width = avatar->width;
	r->frame.height = r->height = avatar->height;
	r->frame.format = o->format;
	r->fps = o->fps_num ? job_params(o).fps : avatar->fps;
	il_lease_return(&lease);
	if (o->format == INLAY__V1__RENDER_OPTIONS__FORMAT__JPEG)
		return INLAY_OK;
	r->pixels = malloc((size_t)r->width * r->height * 3 + 4);
	r->scratch = malloc(IL_CHROMA_SCRATCH(r->width) * sizeof *r->scratch);
	return r->pixels && r->scratch ? INLAY_OK : il_fail_memory(err);
}

static enum inlay_err begin_render(struct render *r, struct inlay_error *err)
{
	ProtobufCMessage *message;
	enum inlay_err code = proto_read(r->call, &inlay__v1__render_request__descriptor, REQUEST_BYTES, &message, err);
	if (code == INLAY_EOF)
		return il_fail(err, INLAY_ERR_INVALID, "no request; expected one with options");
	if (code)
		return code;
	r->first = r->request = (Request *)message;
	if (!r->first->options)
		return il_fail(err, INLAY_ERR_INVALID, "no options in the first request");
	r->sample_bytes =
		r->first->options->sample_format == INLAY__V1__RENDER_OPTIONS__SAMPLE_FORMAT__F32 ? sizeof(float) : 2;
	r->max_samples = (int64_t)(app_config(r->app)->limits.audio_s * RATE);
	code = check_options(r->first->options, err);
	code = code ? code : check_audio(r, err);
	return code ? code : look_at_avatar(r, r->first->options, err);
}

static enum inlay_err run_render(struct render *r, struct inlay_error *err)
{
	const Options *o = r->first->options;
	struct app_render render = { .params = job_params(o),
		                     .ends = { .read_speech = read_speech, .ctx = r },
		                     .client = rpc_peer(r->call),
		                     .progress = progress,
		                     .progress_ctx = r };
	if (o->format == INLAY__V1__RENDER_OPTIONS__FORMAT__JPEG)
		render.ends.take_jpeg = take_jpeg;
	else
		render.ends.take_frame = take_frame;
	return app_render(r->app, &render, NULL, err);
}

static enum inlay_err render(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	struct render r = { .call = call, .app = ctx };
	inlay__v1__render_frame__init(&r.frame);
	enum inlay_err code = begin_render(&r, err);
	code = code ? code : run_render(&r, err);
	free_request(&r);
	if (r.first)
		inlay__v1__render_request__free_unpacked(r.first, NULL);
	free(r.pixels);
	free(r.scratch);
	return code;
}

/* ---- avatars ---- */

static enum inlay_err answer_list(struct rpc_call *call, const struct il_store_entry *entries, size_t n, bool more,
                                  struct inlay_error *err)
{
	Inlay__V1__ListAvatarsResponse response = INLAY__V1__LIST_AVATARS_RESPONSE__INIT;
	Inlay__V1__Avatar *avatars = calloc(n + 1, sizeof *avatars);
	Inlay__V1__Avatar **pointers = calloc(n + 1, sizeof *pointers);
	enum inlay_err code = avatars && pointers ? INLAY_OK : il_fail_memory(err);
	for (size_t i = 0; i < n && !code; i++) {
		inlay__v1__avatar__init(&avatars[i]);
		avatars[i].id = (char *)entries[i].id;
		avatars[i].loaded = entries[i].loaded;
		pointers[i] = &avatars[i];
	}
	response.n_avatars = n;
	response.avatars = pointers;
	if (more && n)
		response.next = (char *)entries[n - 1].id;
	code = code ? code : proto_write(call, &response.base, err);
	free(avatars);
	free(pointers);
	return code;
}

static enum inlay_err list_avatars(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	ProtobufCMessage *message;
	enum inlay_err code = proto_read(call, &inlay__v1__list_avatars_request__descriptor, 4096, &message, err);
	if (code)
		return code;
	const Inlay__V1__ListAvatarsRequest *request = (Inlay__V1__ListAvatarsRequest *)message;
	size_t limit = request->limit > 0 && request->limit < AVATARS ? (size_t)request->limit : AVATARS;
	struct il_store_entry *entries = calloc(limit + 1, sizeof *entries);
	if (entries) {
		const char *after = request->after[0] ? request->after : NULL;
		size_t n = il_store_list(app_store(ctx), after, request->loaded_only, entries, limit + 1);
		code = answer_list(call, entries, n < limit ? n : limit, n > limit, err);
	} else {
		code = il_fail_memory(err);
	}
	free(entries);
	protobuf_c_message_free_unpacked(message, NULL);
	return code;
}

static enum inlay_err get_avatar(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	ProtobufCMessage *message;
	enum inlay_err code = proto_read(call, &inlay__v1__get_avatar_request__descriptor, 4096, &message, err);
	if (code)
		return code;
	char *id = ((Inlay__V1__GetAvatarRequest *)message)->id;
	struct il_lease *lease;
	code = app_actor(ctx, id, &lease, err);
	if (!code) {
		const struct il_avatar *avatar = il_actor_avatar(il_lease_loaded(lease));
		Inlay__V1__Avatar answer = INLAY__V1__AVATAR__INIT;
		answer.id = id;
		answer.loaded = true;
		answer.frames = avatar->frames;
		answer.width = avatar->width;
		answer.height = avatar->height;
		answer.fps_num = avatar->fps.num;
		answer.fps_den = avatar->fps.den;
		code = proto_write(call, &answer.base, err);
		il_lease_return(&lease);
	}
	protobuf_c_message_free_unpacked(message, NULL);
	return code;
}

size_t lipsync_methods(struct app *app, struct rpc_method *methods, size_t room)
{
	const struct rpc_method all[] = { { "/inlay.v1.Lipsync/Render", render, app, false, false },
		                          { "/inlay.v1.Lipsync/ListAvatars", list_avatars, app, false, true },
		                          { "/inlay.v1.Lipsync/GetAvatar", get_avatar, app, false, true } };
	size_t n = sizeof all / sizeof *all < room ? sizeof all / sizeof *all : room;
	memcpy(methods, all, n * sizeof *all);
	return n;
}
