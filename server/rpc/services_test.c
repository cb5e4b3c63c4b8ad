/* Health, reflection and inlay.v1.Lipsync through a server and our client, over an app that draws nothing: frame k of
 * its avatar is made of k and of the k-th 640 samples. */
#include "tests/test.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "frame/frame.h"
#include "server/rpc/descriptors.h"
#include "server/rpc/health.pb-c.h"
#include "server/rpc/lipsync.pb-c.h"
#include "server/rpc/reflection.pb-c.h"
#include "server/rpc/services.h"

/* ---- the app ---- */

enum { WIDTH = 6, HEIGHT = 3, FRAME_SAMPLES = 640 };

static atomic_bool ready, stopping, fail_within;
static atomic_int renders_cancelled;
static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;
static struct app_render seen; /* seen_lock */
static char seen_avatar[64], seen_client[64];
static struct server_config config = { .limits = { .audio_s = 60 } };
static struct il_avatar avatar = { .frames = 17, .width = WIDTH, .height = HEIGHT, .fps = { 25, 1 } };
static atomic_int leases;

bool app_ready(struct app *app, char *why, size_t size)
{
	(void)app, (void)why, (void)size;
	return atomic_load(&ready);
}

bool app_stopping(const struct app *app)
{
	(void)app;
	return atomic_load(&stopping);
}

const struct server_config *app_config(const struct app *app)
{
	(void)app;
	return &config;
}

struct il_store *app_store(struct app *app)
{
	return (struct il_store *)app;
}

enum inlay_err app_actor(struct app *app, const char *id, struct il_lease **lease, struct inlay_error *err)
{
	(void)app;
	*lease = NULL;
	if (strcmp(id, "anna") != 0)
		return il_fail(err, INLAY_ERR_NOT_FOUND, "%s: no such avatar", id);
	*lease = (struct il_lease *)&leases;
	atomic_fetch_add(&leases, 1);
	return INLAY_OK;
}

void *il_lease_loaded(const struct il_lease *lease)
{
	return (void *)lease;
}

void il_lease_return(struct il_lease **lease)
{
	*lease = NULL;
	atomic_fetch_sub(&leases, 1);
}

const struct il_avatar *il_actor_avatar(const struct il_actor *actor)
{
	(void)actor;
	return &avatar;
}

/* a00 to a24 */
size_t il_store_list(struct il_store *store, const char *after, bool loaded_only, struct il_store_entry *entries,
                     size_t n)
{
	(void)store;
	size_t found = 0;
	for (int i = after ? atoi(after + 1) + 1 : 0; i < 25 && found < n; i++) {
		if (loaded_only && i % 10)
			continue;
		entries[found] = (struct il_store_entry){ .loaded = i % 10 == 0 };
		snprintf(entries[found++].id, sizeof entries->id, "a%02d", i);
	}
	return found;
}

/* I420 whose bytes are first, first + 1 and so on, plane after plane. */
static struct inlay_frame *make_frame(int first, struct inlay_error *err)
{
	struct inlay_frame_info info = { INLAY_PIX_I420, WIDTH, HEIGHT, { .range = INLAY_RANGE_FULL, .matrix = 5 } };
	struct inlay_frame *frame = NULL;
	struct inlay_planes planes;
	if (il_frame_create(&frame, &info, err))
		return NULL;
	inlay_frame_map(frame, &planes);
	for (int p = 0; p < 3; p++)
		for (int y = 0; y < (p ? (HEIGHT + 1) / 2 : HEIGHT); y++)
			for (int x = 0; x < (p ? WIDTH / 2 : WIDTH); x++)
				planes.data[p][y * planes.stride[p] + x] = (uint8_t)first++;
	inlay_frame_unmap(frame);
	return frame;
}

static enum inlay_err emit(const struct il_lipsync_ends *ends, int64_t k, float sum, struct inlay_error *err)
{
	char text[64];
	if (ends->take_jpeg) {
		snprintf(text, sizeof text, "%lld %.6f", (long long)k, sum);
		return ends->take_jpeg(ends->ctx, k, (uint8_t *)text, strlen(text), err);
	}
	struct inlay_frame *frame = make_frame((int)k, err);
	if (!frame)
		return err->code;
	enum inlay_err code = ends->take_frame(ends->ctx, k, frame, err);
	inlay_frame_destroy(&frame);
	return code;
}

static enum inlay_err work(const struct app_render *render, struct inlay_error *err)
{
	const struct il_lipsync_ends *ends = &render->ends;
	float samples[FRAME_SAMPLES];
	int64_t k = 0;
	for (;; k++) {
		size_t have = 0;
		enum inlay_err code = INLAY_OK;
		while (have < FRAME_SAMPLES && !code) {
			size_t got;
			code = ends->read_speech(ends->ctx, samples + have, FRAME_SAMPLES - have, &got, err);
			have += got;
			if (!atomic_load(&fail_within) && !render->progress(render->progress_ctx, k, -1))
				return il_fail(err, INLAY_ERR_CANCELLED, "cancelled");
		}
		if (code && code != INLAY_EOF)
			return code;
		if (!have)
			return INLAY_OK;
		float sum = 0;
		for (size_t i = 0; i < have; i++)
			sum += samples[i];
		enum inlay_err sent = emit(ends, k, sum, err);
		if (sent || code)
			return sent;
	}
}

enum inlay_err app_render(struct app *app, const struct app_render *render, struct inlay_lipsync_stats *stats,
                          struct inlay_error *err)
{
	(void)app, (void)stats;
	pthread_mutex_lock(&seen_lock);
	seen = *render;
	snprintf(seen_avatar, sizeof seen_avatar, "%s", render->params.avatar);
	snprintf(seen_client, sizeof seen_client, "%s", render->client);
	pthread_mutex_unlock(&seen_lock);
	if (strcmp(render->params.avatar, "anna") != 0)
		return il_fail(err, INLAY_ERR_BUSY, "busy");
	enum inlay_err code = work(render, err);
	if (code == INLAY_ERR_CANCELLED)
		atomic_fetch_add(&renders_cancelled, 1);
	return code;
}

/* ---- both ends ---- */

static struct rpc_server *server;
static struct rpc_channel *channel;

static int begin(void **state)
{
	(void)state;
	struct inlay_error err;
	struct rpc_method methods[16];
	size_t n = health_methods(NULL, methods, 16);
	n += reflection_methods(NULL, methods + n, 16 - n);
	n += lipsync_methods(NULL, methods + n, 16 - n);
	assert_int_equal(n, 7);
	atomic_store(&ready, true);
	atomic_store(&stopping, false);
	atomic_store(&fail_within, false);
	atomic_store(&renders_cancelled, 0);
	assert_ok(rpc_server_start(
		&server, &(struct rpc_server_params){ .address = "127.0.0.1:0", .methods = methods, .n_methods = n },
		&err));
	char url[64];
	snprintf(url, sizeof url, "127.0.0.1:%d", rpc_server_port(server));
	assert_ok(rpc_channel_create(&channel, &(struct rpc_channel_params){ .url = url }, &err));
	return 0;
}

static int end(void **state)
{
	(void)state;
	rpc_channel_destroy(&channel);
	rpc_server_destroy(&server);
	assert_int_equal(atomic_load(&leases), 0);
	config.limits.audio_s = 60;
	return 0;
}

static enum inlay_err call(const char *path, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type,
                           void *reply, struct inlay_error *err)
{
	struct il_bytes bytes;
	uint8_t *data = malloc(protobuf_c_message_get_packed_size(request) + 1);
	struct rpc_unary unary = {
		.path = path, .data = data, .size = protobuf_c_message_pack(request, data), .timeout_ms = 60000
	};
	enum inlay_err code = rpc_unary(channel, &unary, &bytes, NULL, err);
	free(data);
	*(ProtobufCMessage **)reply = code ? NULL : protobuf_c_message_unpack(type, NULL, bytes.size, bytes.data);
	il_bytes_destroy(&bytes);
	return code;
}

static enum inlay_err stream_write(struct rpc_stream *stream, const ProtobufCMessage *message, struct inlay_error *err)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *data = malloc(size + 1);
	protobuf_c_message_pack(message, data);
	enum inlay_err code = rpc_stream_write(stream, data, size, err);
	free(data);
	return code;
}

static enum inlay_err stream_read(struct rpc_stream *stream, const ProtobufCMessageDescriptor *type, void *reply,
                                  struct inlay_error *err)
{
	struct il_bytes bytes;
	enum inlay_err code = rpc_stream_read(stream, &bytes, err);
	*(ProtobufCMessage **)reply = code ? NULL : protobuf_c_message_unpack(type, NULL, bytes.size, bytes.data);
	il_bytes_destroy(&bytes);
	return code;
}

/* ---- health ---- */

static int health_of(const char *service)
{
	struct inlay_error err = { 0 };
	Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	Grpc__Health__V1__HealthCheckResponse *reply;
	request.service = (char *)service;
	enum inlay_err code = call("/grpc.health.v1.Health/Check", &request.base,
	                           &grpc__health__v1__health_check_response__descriptor, &reply, &err);
	int status = code ? -(int)code : (int)reply->status;
	if (reply)
		protobuf_c_message_free_unpacked(&reply->base, NULL);
	return status;
}

static void health(void **state)
{
	(void)state;
	assert_int_equal(health_of(""), 1);
	assert_int_equal(health_of("inlay.v1.Lipsync"), 1);
	assert_int_equal(health_of("nobody"), -(int)INLAY_ERR_NOT_FOUND);
	atomic_store(&ready, false);
	assert_int_equal(health_of(""), 2);
	atomic_store(&ready, true);
	atomic_store(&stopping, true);
	assert_int_equal(health_of(""), 2);
}

static int next_health(struct rpc_stream *stream)
{
	struct inlay_error err;
	Grpc__Health__V1__HealthCheckResponse *reply;
	assert_ok(stream_read(stream, &grpc__health__v1__health_check_response__descriptor, &reply, &err));
	int status = (int)reply->status;
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	return status;
}

static void health_is_watched(void **state)
{
	(void)state;
	struct inlay_error err;
	struct rpc_stream *stream;
	struct il_bytes bytes;
	assert_ok(rpc_stream_open(&stream, channel, "/grpc.health.v1.Health/Watch", 60000, &err));
	assert_ok(rpc_stream_write(stream, "", 0, &err));
	assert_ok(rpc_stream_end(stream, &err));
	assert_int_equal(next_health(stream), 1);
	atomic_store(&ready, false);
	assert_int_equal(next_health(stream), 2);
	atomic_store(&ready, true);
	assert_int_equal(next_health(stream), 1);
	rpc_server_stop(server, 60000);
	assert_int_equal(next_health(stream), 2);
	assert_int_equal(rpc_stream_read(stream, &bytes, &err), INLAY_EOF);
	rpc_stream_destroy(&stream);
}

/* ---- reflection ---- */

typedef Grpc__Reflection__V1__ServerReflectionRequest ReflectionRequest;
typedef Grpc__Reflection__V1__ServerReflectionResponse ReflectionResponse;

static ReflectionResponse *reflect(struct rpc_stream *stream, int kind, const char *text)
{
	struct inlay_error err;
	ReflectionRequest request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	ReflectionResponse *reply;
	request.message_request_case = kind;
	request.file_by_filename = (char *)text; /* all the kinds used here are text at one place */
	assert_ok(stream_write(stream, &request.base, &err));
	assert_ok(stream_read(stream, &grpc__reflection__v1__server_reflection_response__descriptor, &reply, &err));
	assert_int_equal(reply->original_request->message_request_case, kind);
	return reply;
}

static void forget(ReflectionResponse *reply)
{
	protobuf_c_message_free_unpacked(&reply->base, NULL);
}

static bool has_service(const ReflectionResponse *reply, const char *name)
{
	for (size_t i = 0; i < reply->list_services_response->n_service; i++)
		if (strcmp(reply->list_services_response->service[i]->name, name) == 0)
			return true;
	return false;
}

static void reflection(void **state)
{
	(void)state;
	static const char *const paths[] = { "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		                             "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" };
	struct inlay_error err;
	for (int i = 0; i < 2; i++) {
		struct rpc_stream *stream;
		assert_ok(rpc_stream_open(&stream, channel, paths[i], 60000, &err));
		ReflectionResponse *reply = reflect(stream, 7, "*");
		assert_int_equal(reply->message_response_case, 6);
		assert_true(has_service(reply, "inlay.v1.Lipsync"));
		assert_true(has_service(reply, "grpc.health.v1.Health"));
		assert_true(has_service(reply, "grpc.reflection.v1alpha.ServerReflection"));
		forget(reply);
		static const char *const symbols[] = { "inlay.v1.Lipsync", "inlay.v1.Lipsync.Render",
			                               "inlay.v1.RenderOptions.Order", "inlay.v1.RenderFrame" };
		for (int s = 0; s < 4; s++) {
			reply = reflect(stream, 4, symbols[s]);
			assert_int_equal(reply->message_response_case, 4);
			/* A FileDescriptorProto begins with field 1, its name. */
			assert_memory_equal(reply->file_descriptor_response->file_descriptor_proto[0].data,
			                    "\x0a\x0dlipsync.proto", 15);
			forget(reply);
		}
		reply = reflect(stream, 3, "health.proto");
		assert_int_equal(reply->message_response_case, 4);
		forget(reply);
		static const int kinds[] = { 3, 4, 6 };
		for (int k = 0; k < 3; k++) {
			reply = reflect(stream, kinds[k], "nothing");
			assert_int_equal(reply->message_response_case, 7);
			assert_int_equal(reply->error_response->error_code, RPC_NOT_FOUND);
			forget(reply);
		}
		rpc_stream_destroy(&stream);
	}
}

/* ---- lipsync ---- */

static Inlay__V1__RenderOptions default_options(void)
{
	Inlay__V1__RenderOptions options = INLAY__V1__RENDER_OPTIONS__INIT;
	options.avatar = "anna";
	return options;
}

static void send_audio(struct rpc_stream *stream, Inlay__V1__RenderOptions *options, const void *audio, size_t bytes)
{
	struct inlay_error err;
	Inlay__V1__RenderRequest request = INLAY__V1__RENDER_REQUEST__INIT;
	request.options = options;
	request.audio = (ProtobufCBinaryData){ bytes, (uint8_t *)audio };
	assert_ok(stream_write(stream, &request.base, &err));
}

static struct rpc_stream *open_render(Inlay__V1__RenderOptions *options)
{
	struct inlay_error err;
	struct rpc_stream *stream;
	assert_ok(rpc_stream_open(&stream, channel, "/inlay.v1.Lipsync/Render", 60000, &err));
	send_audio(stream, options, NULL, 0);
	return stream;
}

static enum inlay_err next_frame(struct rpc_stream *stream, Inlay__V1__RenderFrame **frame, struct inlay_error *err)
{
	return stream_read(stream, &inlay__v1__render_frame__descriptor, frame, err);
}

/* 10 frames and a half of samples that are exact in both formats, in pieces of odd sizes. */
static void speech_becomes_jpegs(void **state)
{
	(void)state;
	enum { SAMPLES = 10 * FRAME_SAMPLES + 320 };
	static int16_t s16[SAMPLES];
	static float f32[SAMPLES];
	struct inlay_error err;
	for (int i = 0; i < SAMPLES; i++) {
		s16[i] = (int16_t)((int)(test_random() % 4096) - 2048) * 8;
		f32[i] = (float)s16[i] / 32768;
	}
	for (int format = 0; format < 2; format++) {
		Inlay__V1__RenderOptions options = default_options();
		options.sample_format = format;
		options.fps_num = 50;
		options.order = INLAY__V1__RENDER_OPTIONS__ORDER__LOOP;
		options.start_case = INLAY__V1__RENDER_OPTIONS__START_START_FRAME;
		options.start_frame = format ? 3 : 0;
		struct rpc_stream *stream = open_render(&options);
		size_t width = format ? sizeof *f32 : sizeof *s16;
		for (size_t at = 0; at < SAMPLES;) {
			size_t n = test_random() % 1000;
			n = n < SAMPLES - at ? n : SAMPLES - at;
			send_audio(stream, NULL, (format ? (char *)f32 : (char *)s16) + at * width, n * width);
			at += n;
		}
		assert_ok(rpc_stream_end(stream, &err));
		for (int k = 0; k < 11; k++) {
			Inlay__V1__RenderFrame *frame;
			char text[64], expected[64];
			float sum = 0;
			assert_ok(next_frame(stream, &frame, &err));
			for (int i = 0; i < FRAME_SAMPLES && k * FRAME_SAMPLES + i < SAMPLES; i++)
				sum += f32[k * FRAME_SAMPLES + i];
			snprintf(expected, sizeof expected, "%d %.6f", k, sum);
			snprintf(text, sizeof text, "%.*s", (int)frame->data.len, (char *)frame->data.data);
			assert_string_equal(text, expected);
			assert_int_equal(frame->index, k);
			assert_true(frame->pts_ms == k * 20.0);
			assert_int_equal(frame->width, WIDTH);
			assert_int_equal(frame->height, HEIGHT);
			protobuf_c_message_free_unpacked(&frame->base, NULL);
		}
		Inlay__V1__RenderFrame *none;
		assert_int_equal(next_frame(stream, &none, &err), INLAY_EOF);
		rpc_stream_destroy(&stream);
		pthread_mutex_lock(&seen_lock);
		assert_string_equal(seen_avatar, "anna");
		assert_string_equal(seen_client, "127.0.0.1");
		assert_int_equal(seen.params.order, INLAY_ORDER_LOOP);
		assert_int_equal(seen.params.start_frame, format ? 3 : INLAY_START_FIRST);
		assert_int_equal(seen.params.fps.num, 50);
		assert_int_equal(seen.params.fps.den, 1);
		pthread_mutex_unlock(&seen_lock);
	}
}

static void raw_frames(void **state)
{
	(void)state;
	static const int16_t silence[3 * FRAME_SAMPLES];
	struct inlay_error err;
	for (int format = 1; format <= 2; format++) {
		Inlay__V1__RenderOptions options = default_options();
		options.format = format;
		struct rpc_stream *stream = open_render(&options);
		send_audio(stream, NULL, silence, sizeof silence);
		assert_ok(rpc_stream_end(stream, &err));
		for (int k = 0; k < 3; k++) {
			Inlay__V1__RenderFrame *frame;
			assert_ok(next_frame(stream, &frame, &err));
			assert_int_equal(frame->data.len, format == 1 ? 18 + 6 + 6 : 54);
			assert_int_equal(frame->matrix, 5);
			assert_true(frame->full_range);
			for (int i = 0; i < 30 && format == 1; i++)
				assert_int_equal(frame->data.data[i], k + i);
			/* Chroma far below 128 on both: green, whatever the siting. */
			for (int i = 0; i < 54 && format == 2; i += 3)
				assert_true(frame->data.data[i + 1] > frame->data.data[i] &&
				            frame->data.data[i + 1] > frame->data.data[i + 2]);
			assert_true(frame->pts_ms == k * 40.0);
			protobuf_c_message_free_unpacked(&frame->base, NULL);
		}
		rpc_stream_destroy(&stream);
	}
}

static void expect_refusal(Inlay__V1__RenderOptions *options, size_t audio_bytes, enum inlay_err code, const char *part)
{
	static const uint8_t audio[64];
	struct inlay_error err;
	Inlay__V1__RenderFrame *frame;
	struct rpc_stream *stream;
	assert_ok(rpc_stream_open(&stream, channel, "/inlay.v1.Lipsync/Render", 60000, &err));
	send_audio(stream, options, audio, audio_bytes);
	assert_fails(next_frame(stream, &frame, &err), code, part);
	rpc_stream_destroy(&stream);
}

static void bad_renders(void **state)
{
	(void)state;
	Inlay__V1__RenderOptions options = default_options();
	expect_refusal(NULL, 2, INLAY_ERR_INVALID, "no options");
	expect_refusal(&options, 3, INLAY_ERR_INVALID, "whole samples of 2");
	options.sample_format = INLAY__V1__RENDER_OPTIONS__SAMPLE_FORMAT__F32;
	expect_refusal(&options, 6, INLAY_ERR_INVALID, "whole samples of 4");
	options.sample_format = 7;
	expect_refusal(&options, 0, INLAY_ERR_INVALID, "S16 or F32");
	options = default_options();
	options.sample_rate = 44100;
	expect_refusal(&options, 0, INLAY_ERR_INVALID, "44100; expected 16000");
	options = default_options();
	options.format = 9;
	expect_refusal(&options, 0, INLAY_ERR_INVALID, "expected JPEG");
	options = default_options();
	options.order = -1;
	expect_refusal(&options, 0, INLAY_ERR_INVALID, "order");
	options = default_options();
	options.jpeg_quality = 101;
	expect_refusal(&options, 0, INLAY_ERR_INVALID, "jpeg_quality");
	options = default_options();
	options.fps_den = 1;
	expect_refusal(&options, 0, INLAY_ERR_INVALID, "fps");
	options = default_options();
	options.avatar = "";
	expect_refusal(&options, 0, INLAY_ERR_INVALID, "avatar");
	options.avatar = "nobody";
	expect_refusal(&options, 0, INLAY_ERR_NOT_FOUND, "nobody");
}

static int begin_with_two_seconds(void **state)
{
	config.limits.audio_s = 2;
	return begin(state);
}

static void audio_past_the_limit(void **state)
{
	(void)state;
	static uint8_t second[2 * 16000];
	struct inlay_error err;
	Inlay__V1__RenderFrame *frame;
	Inlay__V1__RenderOptions options = default_options();
	struct rpc_stream *stream = open_render(&options);
	for (int i = 0; i < 3; i++)
		send_audio(stream, NULL, second, sizeof second);
	enum inlay_err code;
	int frames = 0;
	err = (struct inlay_error){ 0 };
	while ((code = next_frame(stream, &frame, &err)) == INLAY_OK) {
		protobuf_c_message_free_unpacked(&frame->base, NULL);
		frames++;
	}
	assert_int_equal(code, INLAY_ERR_INVALID);
	assert_non_null(strstr(err.text, "more than 2 s"));
	assert_int_equal(frames, 50);
	rpc_stream_destroy(&stream);
}

static void wait_cancelled(void)
{
	for (int ms = 0; !atomic_load(&renders_cancelled); ms++) {
		assert_true(ms < 60000);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

/* The client goes while the job waits for speech, or has more of it than it can do. */
static void renders_are_cancelled(void **state)
{
	(void)state;
	static int16_t silence[16000];
	struct inlay_error err;
	for (int pieces = 1; pieces <= 20; pieces += 19) {
		Inlay__V1__RenderOptions options = default_options();
		Inlay__V1__RenderFrame *frame;
		struct rpc_stream *stream = open_render(&options);
		atomic_store(&renders_cancelled, 0);
		for (int i = 0; i < pieces; i++)
			send_audio(stream, NULL, silence, sizeof silence);
		assert_ok(next_frame(stream, &frame, &err));
		protobuf_c_message_free_unpacked(&frame->base, NULL);
		rpc_stream_destroy(&stream);
		wait_cancelled();
	}
}

static void lists(void **state)
{
	(void)state;
	struct inlay_error err;
	Inlay__V1__ListAvatarsRequest request = INLAY__V1__LIST_AVATARS_REQUEST__INIT;
	Inlay__V1__ListAvatarsResponse *reply;
	char after[8] = "";
	int n = 0;
	request.limit = 10;
	do {
		request.after = after;
		assert_ok(call("/inlay.v1.Lipsync/ListAvatars", &request.base,
		               &inlay__v1__list_avatars_response__descriptor, &reply, &err));
		for (size_t i = 0; i < reply->n_avatars; i++, n++) {
			assert_int_equal(atoi(reply->avatars[i]->id + 1), n);
			assert_int_equal(reply->avatars[i]->loaded, n % 10 == 0);
		}
		snprintf(after, sizeof after, "%s", reply->next);
		protobuf_c_message_free_unpacked(&reply->base, NULL);
	} while (after[0]);
	assert_int_equal(n, 25);
	request.limit = 0;
	request.after = "";
	request.loaded_only = true;
	assert_ok(call("/inlay.v1.Lipsync/ListAvatars", &request.base, &inlay__v1__list_avatars_response__descriptor,
	               &reply, &err));
	assert_int_equal(reply->n_avatars, 3);
	assert_string_equal(reply->next, "");
	protobuf_c_message_free_unpacked(&reply->base, NULL);
}

static void one_avatar(void **state)
{
	(void)state;
	struct inlay_error err;
	Inlay__V1__GetAvatarRequest request = INLAY__V1__GET_AVATAR_REQUEST__INIT;
	Inlay__V1__Avatar *reply;
	request.id = "anna";
	assert_ok(call("/inlay.v1.Lipsync/GetAvatar", &request.base, &inlay__v1__avatar__descriptor, &reply, &err));
	assert_string_equal(reply->id, "anna");
	assert_int_equal(reply->frames, 17);
	assert_int_equal(reply->width, WIDTH);
	assert_int_equal(reply->height, HEIGHT);
	assert_int_equal(reply->fps_num, 25);
	assert_int_equal(reply->fps_den, 1);
	assert_true(reply->loaded);
	protobuf_c_message_free_unpacked(&reply->base, NULL);
	request.id = "nobody";
	assert_fails(call("/inlay.v1.Lipsync/GetAvatar", &request.base, &inlay__v1__avatar__descriptor, &reply, &err),
	             INLAY_ERR_NOT_FOUND, "nobody");
}

static void garbage(void **state)
{
	(void)state;
	static const char *const paths[] = { "/grpc.health.v1.Health/Check", "/inlay.v1.Lipsync/Render",
		                             "/inlay.v1.Lipsync/ListAvatars", "/inlay.v1.Lipsync/GetAvatar",
		                             "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" };
	struct inlay_error err;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct il_bytes reply;
		uint8_t *large = calloc(1, 5 << 20);
		struct rpc_unary unary = { .path = paths[i], .data = "\xff\xff\xff", .size = 3, .timeout_ms = 60000 };
		assert_fails(rpc_unary(channel, &unary, &reply, NULL, &err), INLAY_ERR_INVALID, "that are no");
		unary.data = large;
		unary.size = 5 << 20;
		assert_fails(rpc_unary(channel, &unary, &reply, NULL, &err), INLAY_ERR_INVALID, "expected at most");
		free(large);
	}
	/* Two million fields that nobody knows, which would take a hundred bytes each. */
	uint8_t *fields = malloc(4 << 20);
	for (size_t i = 0; i < 4 << 20; i += 2)
		memcpy(fields + i, "\x78\x01", 2);
	struct il_bytes reply;
	struct rpc_unary unary = { .path = "/inlay.v1.Lipsync/Render", .data = fields, .size = 4 << 20 };
	assert_fails(rpc_unary(channel, &unary, &reply, NULL, &err), INLAY_ERR_INVALID, "too many parts");
	free(fields);
}

int main(void)
{
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, begin, end)
	const struct CMUnitTest tests[] = {
		WITH_SERVER(health),
		WITH_SERVER(health_is_watched),
		WITH_SERVER(reflection),
		WITH_SERVER(speech_becomes_jpegs),
		WITH_SERVER(raw_frames),
		WITH_SERVER(bad_renders),
		cmocka_unit_test_setup_teardown(audio_past_the_limit, begin_with_two_seconds, end),
		WITH_SERVER(renders_are_cancelled),
		WITH_SERVER(lists),
		WITH_SERVER(one_avatar),
		WITH_SERVER(garbage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
