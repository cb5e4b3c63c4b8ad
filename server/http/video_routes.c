/* Videos: ordered with an avatar and speech, watched while they are made, fetched in pieces. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/http/routes.h"

#define LIST_DEFAULT 20
#define LIST_MAX 100

static int progress_of(const struct video *video)
{
	if (video->state == VIDEO_COMPLETED)
		return 100;
	if (video->frames_expected <= 0 || video->frames_done <= 0)
		return 0;
	int64_t percent = video->frames_done * 100 / video->frames_expected;
	return percent > 99 ? 99 : (int)percent;
}

static json_t *number_or_null(int64_t number, bool there)
{
	return there ? json_integer(number) : json_null();
}

static json_t *video_json(const struct video *video)
{
	json_t *fault = video->error[0] ? json_pack("{s:s}", "message", video->error) : json_null();
	return json_pack("{s:s s:s s:s s:i s:s s:s s:s s:I s:o s:I s:o s:o s:o s:o}", "id", video->id, "object",
	                 "video", "status", video_state_name(video->state), "progress", progress_of(video), "avatar",
	                 video->avatar, "format", video->format, "audio_name", video->audio_name, "frames_done",
	                 (json_int_t)video->frames_done, "frames_expected",
	                 number_or_null(video->frames_expected, video->frames_expected >= 0), "created_at",
	                 (json_int_t)(video->created_unix_ms / 1000), "started_at",
	                 number_or_null(video->started_unix_ms / 1000, video->started_unix_ms), "completed_at",
	                 number_or_null(video->finished_unix_ms / 1000, video->finished_unix_ms), "bytes",
	                 number_or_null(video->bytes, video->state == VIDEO_COMPLETED), "error", fault);
}

static void answer_video(struct http_request *request, int status, const struct video *video)
{
	char where[64];
	snprintf(where, sizeof where, "/v1/videos/%s", video->id);
	if (status == 202)
		http_add_header(request, "Location", where);
	http_answer_json(request, status, video_json(video));
}

/* A misspelt field would be a wish that is silently not granted. */
static enum inlay_err check_form(const struct http_request *request, struct inlay_error *err)
{
	static const char *const known[] = { "avatar", "audio", "format", "frames", "start_frame", "crf" };
	const char *type = http_header(request, "Content-Type"), *name;
	if (!type || strncasecmp(type, "multipart/form-data", 19) != 0)
		return il_fail(err, INLAY_ERR_INVALID, "Content-Type: found \"%.80s\"; expected multipart/form-data",
		               type ? type : "");
	for (size_t i = 0; (name = http_field_name(request, i)); i++) {
		size_t k = 0, n = sizeof known / sizeof *known;
		while (k < n && strcmp(name, known[k]) != 0)
			k++;
		if (k == n)
			return il_fail(err, INLAY_ERR_INVALID,
			               "%.80s: there is no such field; expected avatar, audio, format, frames, "
			               "start_frame or crf",
			               name);
	}
	return INLAY_OK;
}

/* -1, lossless, is INLAY_CRF_LOSSLESS. */
static bool read_crf(struct http_request *request, int *crf)
{
	const char *text = http_field(request, "crf");
	int64_t number = 0;
	if (text && strcmp(text, "-1") == 0)
		number = INLAY_CRF_LOSSLESS;
	else if (!route_number(request, "crf", text, 0, 63, &number))
		return false;
	*crf = (int)number;
	return true;
}

/* What the form says; false where it was answered that it says something wrong. */
static bool read_order(struct http_request *request, struct video_order *order)
{
	struct inlay_error err = { 0 };
	order->avatar = http_field(request, "avatar");
	order->audio_path = http_upload(request, "audio", &order->audio_name);
	order->format = http_field(request, "format");
	order->idempotency_key = http_header(request, "Idempotency-Key");
	order->client = http_peer(request);
	enum inlay_err rc = check_form(request, &err);
	if (!rc && !order->avatar)
		rc = il_fail(&err, INLAY_ERR_INVALID, "avatar: expected a field of the form, found none");
	if (!rc && !order->audio_path)
		rc = il_fail(&err, INLAY_ERR_INVALID, "audio: expected a file in the form, found none");
	if (rc) {
		http_answer_error(request, &err);
		return false;
	}
	return route_number(request, "frames", http_field(request, "frames"), 0, INT64_C(1) << 32, &order->frames) &&
	       route_number(request, "start_frame", http_field(request, "start_frame"), -1, INT64_C(1) << 32,
	                    &order->start_frame) &&
	       read_crf(request, &order->crf);
}

static void create(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	struct video_order order = { 0 };
	struct video video;
	if (!read_order(request, &order))
		return;
	/* An order that came before is answered, whatever became of its avatar. */
	enum inlay_err rc = videos_same(ctx, &order, &video, &err);
	if (rc == INLAY_EOF && !(rc = app_check_speech(http_extra(request), order.avatar, &err)))
		rc = videos_order(ctx, &order, &video, &err);
	if (rc)
		http_answer_error(request, &err);
	else
		answer_video(request, 202, &video);
}

static void list(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	int64_t limit = LIST_DEFAULT;
	if (!route_number(request, "limit", http_query(request, "limit"), 1, LIST_MAX, &limit))
		return;
	struct video *found = calloc((size_t)limit + 1, sizeof *found);
	size_t n = (size_t)limit + 1;
	enum inlay_err rc =
		found ? videos_list(ctx, http_query(request, "after"), found, &n, &err) : il_fail_memory(&err);
	if (rc) {
		http_answer_error(request, &err);
	} else {
		json_t *data = json_array();
		for (size_t i = 0; i < n && i < (size_t)limit; i++)
			json_array_append_new(data, video_json(&found[i]));
		http_answer_json(
			request, 200,
			json_pack("{s:s s:o s:b}", "object", "list", "data", data, "has_more", n > (size_t)limit));
	}
	free(found);
}

/* The video of the route, or an answer that there is none. */
static bool find_video(struct videos *videos, struct http_request *request, struct video *video)
{
	struct inlay_error err = { 0 };
	if (!videos_find(videos, http_part(request, 0), video, &err))
		return true;
	http_answer_error(request, &err);
	return false;
}

static void find(void *ctx, struct http_request *request)
{
	struct video video;
	if (find_video(ctx, request, &video))
		answer_video(request, 200, &video);
}

static const char *type_of(const char *format)
{
	static const char *const types[][2] = {
		{ "mp4", "video/mp4" },
		{ "webm", "video/webm" },
		{ "mkv", "video/x-matroska" },
		{ "mov", "video/quicktime" },
	};
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		if (strcmp(types[i][0], format) == 0)
			return types[i][1];
	}
	return "application/octet-stream";
}

/* 409: not yet. 410: it never will be. */
static void content(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	struct video video;
	char *path = NULL, name[64];
	if (!find_video(ctx, request, &video))
		return;
	if (video.state == VIDEO_FAILED) {
		http_answer_fault(request, 410, video.error[0] ? video.error : "the video failed");
	} else if (video.state != VIDEO_COMPLETED) {
		http_answer_fault(request, 409, "the video is not completed yet");
	} else if (videos_content(ctx, video.id, &path, &err)) {
		http_answer_error(request, &err);
	} else {
		snprintf(name, sizeof name, "%s.%s", video.id, video.format);
		http_answer_file(request, path, type_of(video.format), name);
	}
	free(path);
}

static void delete_video(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	const char *id = http_part(request, 0);
	if (videos_delete(ctx, id, &err))
		http_answer_error(request, &err);
	else
		http_answer_json(request, 200,
		                 json_pack("{s:s s:s s:b}", "id", id, "object", "video", "deleted", true));
}

size_t video_routes(struct app *app, struct videos *videos, struct http_route *routes, size_t room)
{
	const struct http_route own[] = {
		{ "POST", "/v1/videos", create, videos, .uploads = true, .extra = app },
		{ "GET", "/v1/videos", list, videos },
		{ "GET", "/v1/videos/*", find, videos },
		{ "GET", "/v1/videos/*/content", content, videos },
		{ "DELETE", "/v1/videos/*", delete_video, videos },
	};
	size_t n = 0;
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		n = add_route(routes, room, n, own[i]);
	return n;
}
