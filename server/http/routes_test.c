/* Routes of videos, avatars and status against a server without avatars, videos or networks: all of that is faked. */
#define _GNU_SOURCE /* strcasestr */
#include "server/http/routes.h"

#include <strings.h>
#include <sys/stat.h>

#include "composite/place.h"
#include "server/http/http_test_client.h"
#include "server/http/web_files.h"

#define AVATARS 700
#define SIZE 6 /* of the mouth */

/* ---- what stands behind the routes ---- */

static int port;
static char folder[1024];
static bool ready = true, loaded[AVATARS];
static struct video videos[8];
static size_t n_videos;
static char ordered[1024]; /* what the last order said */

static int number_of_avatar(const char *id)
{
	int i = -1;
	return strlen(id) == 4 && sscanf(id, "a%03d", &i) == 1 && i >= 0 && i < AVATARS ? i : -1;
}

static void fill_entry(struct il_store_entry *entry, int i)
{
	*entry = (struct il_store_entry){ .loaded = loaded[i], .bytes = loaded[i] ? 1000 : 0, .loaded_unix_ms = 1500 };
	snprintf(entry->id, sizeof entry->id, "a%03d", i);
}

enum inlay_err il_store_find(struct il_store *store, const char *id, struct il_store_entry *entry,
                             struct inlay_error *err)
{
	(void)store;
	int i = number_of_avatar(id);
	if (i < 0)
		return il_fail(err, INLAY_ERR_NOT_FOUND, "%s: no such avatar", id);
	fill_entry(entry, i);
	return INLAY_OK;
}

enum inlay_err app_check_speech(struct app *a, const char *id, struct inlay_error *err)
{
	struct il_store_entry entry;
	(void)a;
	return il_store_find(NULL, id, &entry, err);
}

size_t il_store_list(struct il_store *store, const char *after, bool loaded_only, struct il_store_entry *entries,
                     size_t n)
{
	(void)store;
	size_t found = 0;
	for (int i = after ? number_of_avatar(after) + 1 : 0; i < AVATARS && found < n; i++) {
		if (!loaded_only || loaded[i])
			fill_entry(&entries[found++], i);
	}
	return found;
}

enum inlay_err il_store_load(struct il_store *store, const char *id, bool force, int64_t *ns, struct inlay_error *err)
{
	struct il_store_entry entry;
	enum inlay_err rc = il_store_find(store, id, &entry, err);
	if (rc)
		return rc;
	if (number_of_avatar(id) == 13)
		return il_fail(err, INLAY_ERR_BUSY, "all of the budget is in use");
	*ns = force ? 2000000 : 1000000;
	loaded[number_of_avatar(id)] = true;
	return INLAY_OK;
}

enum inlay_err il_store_unload(struct il_store *store, const char *id, struct inlay_error *err)
{
	struct il_store_entry entry;
	enum inlay_err rc = il_store_find(store, id, &entry, err);
	if (!rc)
		loaded[number_of_avatar(id)] = false;
	return rc;
}

enum inlay_err il_store_refresh(struct il_store *store, struct inlay_error *err)
{
	(void)store;
	return il_fail(err, INLAY_ERR_IO, "the folder is gone");
}

void il_store_stats(struct il_store *store, struct il_store_stats *stats)
{
	(void)store;
	*stats = (struct il_store_stats){ .avatars = AVATARS, .loaded = 1 };
}

void *il_lease_loaded(const struct il_lease *lease)
{
	return (void *)lease;
}

void il_lease_return(struct il_lease **lease)
{
	*lease = NULL;
}

enum inlay_err app_actor(struct app *app, const char *id, struct il_lease **lease, struct inlay_error *err)
{
	(void)app;
	struct il_store_entry entry;
	*lease = (struct il_lease *)&loaded;
	return il_store_find(NULL, id, &entry, err);
}

enum inlay_err il_actor_crop(struct il_actor *actor, int64_t frame, int size, uint8_t *crop, struct inlay_error *err)
{
	(void)actor, (void)err;
	int side = size + 2 * IL_PLACE_MARGIN;
	for (int i = 0; i < side * side * 3; i++)
		crop[i] = (uint8_t)(i + frame);
	return INLAY_OK;
}

/* A "picture" that is the mouth itself. */
enum inlay_err il_actor_jpeg(struct il_actor *actor, int64_t frame, const uint8_t *mouth, int size, int quality,
                             uint8_t **data, size_t *bytes, struct inlay_error *err)
{
	(void)actor, (void)frame, (void)quality, (void)err;
	*bytes = (size_t)size * (size_t)size * 3;
	*data = malloc(*bytes);
	memcpy(*data, mouth, *bytes);
	return INLAY_OK;
}

static enum inlay_err mouths_info(void *ctx, const char *avatar, struct il_mouths_info *info, struct inlay_error *err)
{
	(void)ctx, (void)avatar, (void)err;
	*info = (struct il_mouths_info){ .size = SIZE };
	return INLAY_OK;
}

const struct il_mouths *app_mouths(struct app *app)
{
	(void)app;
	static const struct il_mouths mouths = { .info = mouths_info };
	return &mouths;
}

struct il_store *app_store(struct app *app)
{
	(void)app;
	return NULL;
}

struct metrics *app_metrics(struct app *app)
{
	(void)app;
	return NULL;
}

bool app_ready(struct app *app, char *why, size_t size)
{
	(void)app;
	if (!ready)
		snprintf(why, size, "no inference server answers");
	return ready;
}

enum inlay_err metrics_text(struct metrics *metrics, struct il_bytes *text, struct inlay_error *err)
{
	(void)metrics, (void)err;
	*text = (struct il_bytes){ (uint8_t *)strdup("inlay_up 1\n"), 11 };
	return INLAY_OK;
}

const char *video_state_name(enum video_state state)
{
	static const char *const names[] = { "queued", "in_progress", "completed", "failed" };
	return names[state];
}

enum inlay_err videos_same(struct videos *all, const struct video_order *order, struct video *video,
                           struct inlay_error *err)
{
	(void)all, (void)err;
	if (!order->idempotency_key || strcmp(order->idempotency_key, "known"))
		return INLAY_EOF;
	*video = videos[1];
	return INLAY_OK;
}

enum inlay_err videos_order(struct videos *all, const struct video_order *order, struct video *video,
                            struct inlay_error *err)
{
	(void)all;
	struct il_bytes audio = { 0 };
	if (il_file_read(order->audio_path, 1000, &audio, err))
		return err->code;
	snprintf(ordered, sizeof ordered, "%s %s %s %s %lld %lld %d %s %s", order->avatar, (char *)audio.data,
	         order->audio_name, order->format ? order->format : "-", (long long)order->frames,
	         (long long)order->start_frame, order->crf, order->idempotency_key ? order->idempotency_key : "-",
	         order->client);
	il_bytes_destroy(&audio);
	if (order->frames == 429)
		return il_fail(err, INLAY_ERR_BUSY, "too many jobs");
	*video = videos[0];
	return INLAY_OK;
}

enum inlay_err videos_find(struct videos *all, const char *id, struct video *video, struct inlay_error *err)
{
	(void)all;
	for (size_t i = 0; i < n_videos; i++) {
		if (strcmp(videos[i].id, id) == 0) {
			*video = videos[i];
			return INLAY_OK;
		}
	}
	return il_fail(err, INLAY_ERR_NOT_FOUND, "%s: no such video", id);
}

enum inlay_err videos_list(struct videos *all, const char *before, struct video *list, size_t *n,
                           struct inlay_error *err)
{
	(void)all, (void)err;
	size_t from = 0, found = 0;
	while (before && from < n_videos && strcmp(videos[from++].id, before) != 0)
		;
	for (size_t i = from; i < n_videos && found < *n; i++)
		list[found++] = videos[i];
	*n = found;
	return INLAY_OK;
}

enum inlay_err videos_content(struct videos *all, const char *id, char **path, struct inlay_error *err)
{
	(void)all, (void)id;
	*path = il_path_join(folder, "result");
	return *path ? INLAY_OK : il_fail_memory(err);
}

enum inlay_err videos_delete(struct videos *all, const char *id, struct inlay_error *err)
{
	struct video video;
	return videos_find(all, id, &video, err);
}

/* ---- the tests ---- */

static json_t *ask(const char *method, const char *target, int status)
{
	struct reply r = client_ask(port, method, target, "", strcmp(method, "POST") ? NULL : "", 0);
	if (r.status != status)
		fail_msg("%s %s: %d %s, expected %d", method, target, r.status, r.body, status);
	json_t *root = json_loadb(r.body, r.size, 0, NULL);
	assert_non_null(root);
	reply_free(&r);
	return root;
}

static const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "none";
}

static json_int_t number_at(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void expect_fault(const char *method, const char *target, int status, const char *part)
{
	json_t *root = ask(method, target, status);
	if (!strstr(text_at(root, "error"), part))
		fail_msg("%s %s: \"%s\" lacks \"%s\"", method, target, text_at(root, "error"), part);
	json_decref(root);
}

static void lists_avatars(void **state)
{
	(void)state;
	json_t *page = ask("GET", "/v1/avatars", 200);
	assert_int_equal(json_array_size(json_object_get(page, "data")), 100);
	assert_true(json_is_true(json_object_get(page, "has_more")));
	assert_int_equal(number_at(page, "total"), AVATARS);
	json_decref(page);
	/* Those that hold 99 stand in three pages of the store: a099, a199, .. a699. */
	page = ask("GET", "/v1/avatars?q=99&limit=7", 200);
	json_t *data = json_object_get(page, "data");
	assert_int_equal(json_array_size(data), 7);
	assert_string_equal(text_at(json_array_get(data, 6), "id"), "a699");
	assert_false(json_is_true(json_object_get(page, "has_more")));
	json_decref(page);
	page = ask("GET", "/v1/avatars?after=a697&limit=1", 200);
	assert_string_equal(text_at(json_array_get(json_object_get(page, "data"), 0), "id"), "a698");
	assert_true(json_is_true(json_object_get(page, "has_more")));
	json_decref(page);
	expect_fault("GET", "/v1/avatars?limit=0", 400, "limit: found \"0\"; expected a number from 1 to 1000");
	expect_fault("GET", "/v1/avatars?limit=1x", 400, "limit");
	expect_fault("GET", "/v1/avatars?limit=99999999999999999999", 400, "limit");
	expect_fault("GET", "/v1/avatars?limit=", 400, "limit");
	expect_fault("GET", "/v1/avatars?refresh", 500, "the folder is gone");
	expect_fault("GET", "/v1/avatars/nobody", 404, "no such avatar");
}

static void loads_avatars(void **state)
{
	(void)state;
	json_t *avatar = ask("POST", "/v1/avatars/a007/load?force=true", 200);
	assert_string_equal(text_at(avatar, "status"), "loaded");
	assert_true(json_real_value(json_object_get(avatar, "load_ms")) == 2.0);
	assert_int_equal(number_at(avatar, "loaded_at"), 1);
	assert_true(json_is_null(json_object_get(avatar, "last_used_at")));
	json_decref(avatar);
	json_t *page = ask("GET", "/v1/avatars?loaded=true", 200);
	assert_int_equal(json_array_size(json_object_get(page, "data")), 1);
	json_decref(page);
	avatar = ask("POST", "/v1/avatars/a007/unload", 200);
	assert_string_equal(text_at(avatar, "status"), "unloaded");
	json_decref(avatar);
	expect_fault("POST", "/v1/avatars/a013/load", 429, "budget");
	expect_fault("POST", "/v1/avatars/..%2Fx/load", 404, "no such avatar");
	expect_fault("POST", "/v1/avatars/nobody/unload", 404, "no such avatar");
}

/* The crop's inside, row by row. */
static void draws_posters(void **state)
{
	(void)state;
	struct reply r = client_get(port, "/v1/avatars/a001/poster.jpg", "");
	assert_int_equal(r.status, 200);
	assert_string_equal(reply_header(&r, "Content-Type"), "image/jpeg");
	assert_int_equal(r.size, SIZE * SIZE * 3);
	for (int y = 0; y < SIZE; y++) {
		for (int x = 0; x < SIZE * 3; x++) {
			int at = ((y + 4) * (SIZE + 8) + 4) * 3 + x;
			assert_int_equal((uint8_t)r.body[y * SIZE * 3 + x], (uint8_t)at);
		}
	}
	reply_free(&r);
	expect_fault("GET", "/v1/avatars/nobody/poster.jpg", 404, "no such avatar");
}

#define PART(name, text) "--BB\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" text "\r\n"
#define AUDIO "--BB\r\nContent-Disposition: form-data; name=\"audio\"; filename=\"hi.wav\"\r\n\r\nRIFF\r\n"

static struct reply post(const char *form, const char *headers)
{
	char all[256];
	snprintf(all, sizeof all, "Content-Type: multipart/form-data; boundary=BB\r\n%s", headers);
	return client_ask(port, "POST", "/v1/videos", all, form, strlen(form));
}

static void expect_order(const char *form, int status, const char *part)
{
	struct reply r = post(form, "");
	if (r.status != status || !strstr(r.body, part))
		fail_msg("%s: %d %s", form, r.status, r.body);
	reply_free(&r);
}

static void takes_orders(void **state)
{
	(void)state;
	struct reply r = post(PART("avatar", "a001") PART("format", "webm") AUDIO PART("frames", "50")
	                              PART("start_frame", "-1") PART("crf", "23") "--BB--\r\n",
	                      "Idempotency-Key: k-1\r\n");
	if (r.status != 202)
		fail_msg("%d %s", r.status, r.body);
	assert_string_equal(ordered, "a001 RIFF hi.wav webm 50 -1 23 k-1 127.0.0.1");
	assert_string_equal(reply_header(&r, "Location"), "/v1/videos/video_a");
	reply_free(&r);
	expect_order(PART("avatar", "a001") AUDIO "--BB--\r\n", 202, "\"status\":\"queued\"");
	assert_string_equal(ordered, "a001 RIFF hi.wav - 0 0 0 - 127.0.0.1");
	expect_order(AUDIO "--BB--\r\n", 400, "avatar: expected");
	expect_order(PART("avatar", "a001") "--BB--\r\n", 400, "audio: expected");
	expect_order(PART("avatar", "a001") PART("audio", "text") "--BB--\r\n", 400, "audio: expected a file");
	expect_order(PART("avatar", "nobody") AUDIO "--BB--\r\n", 404, "no such avatar");
	expect_order(PART("avatar", "a001") AUDIO PART("crf", "64") "--BB--\r\n", 400, "from 0 to 63");
	expect_order(PART("avatar", "a001") AUDIO PART("crf", "-1") "--BB--\r\n", 202, "queued");
	expect_order(PART("avatar", "a001") AUDIO PART("frame", "5") "--BB--\r\n", 400,
	             "frame: there is no such field; expected avatar");
	expect_order(PART("avatar", "a001") AUDIO PART("frames", "429") "--BB--\r\n", 429, "too many jobs");
	/* An order that came before is known whatever became of its avatar. */
	ordered[0] = 0;
	r = post(PART("avatar", "nobody") AUDIO "--BB--\r\n", "Idempotency-Key: known\r\n");
	assert_int_equal(r.status, 202);
	assert_string_equal(text_of(&r, "id"), videos[1].id);
	assert_string_equal(ordered, "");
	reply_free(&r);
	r = client_ask(port, "POST", "/v1/videos", "Content-Type: application/json\r\n", "{}", 2);
	assert_int_equal(r.status, 400);
	assert_non_null(strstr(r.body, "expected multipart/form-data"));
	reply_free(&r);
	r = client_ask(port, "POST", "/v1/videos", "", NULL, 0);
	assert_int_equal(r.status, 400);
	reply_free(&r);
}

static void shows_videos(void **state)
{
	(void)state;
	json_t *video = ask("GET", "/v1/videos/video_b", 200);
	assert_string_equal(text_at(video, "object"), "video");
	assert_string_equal(text_at(video, "status"), "in_progress");
	assert_int_equal(number_at(video, "progress"), 25);
	assert_int_equal(number_at(video, "created_at"), 1700000000);
	assert_true(json_is_null(json_object_get(video, "completed_at")));
	assert_true(json_is_null(json_object_get(video, "error")));
	json_decref(video);
	video = ask("GET", "/v1/videos/video_d", 200);
	assert_string_equal(text_at(json_object_get(video, "error"), "message"), "the avatar is broken");
	json_decref(video);
	json_t *page = ask("GET", "/v1/videos?limit=2&after=video_a", 200);
	assert_int_equal(json_array_size(json_object_get(page, "data")), 2);
	assert_string_equal(text_at(json_array_get(json_object_get(page, "data"), 0), "id"), "video_b");
	assert_true(json_is_true(json_object_get(page, "has_more")));
	json_decref(page);
	expect_fault("GET", "/v1/videos/video_x", 404, "no such video");
	expect_fault("GET", "/v1/videos?limit=101", 400, "limit");
	video = ask("DELETE", "/v1/videos/video_a", 200);
	assert_true(json_is_true(json_object_get(video, "deleted")));
	json_decref(video);
	expect_fault("DELETE", "/v1/videos/video_x", 404, "no such video");
}

static void sends_content(void **state)
{
	(void)state;
	expect_fault("GET", "/v1/videos/video_a/content", 409, "not completed");
	expect_fault("GET", "/v1/videos/video_b/content", 409, "not completed");
	expect_fault("GET", "/v1/videos/video_d/content", 410, "the avatar is broken");
	expect_fault("GET", "/v1/videos/video_x/content", 404, "no such video");
	struct reply r = client_get(port, "/v1/videos/video_c/content", "Range: bytes=2-3\r\n");
	assert_int_equal(r.status, 206);
	assert_string_equal(r.body, "de");
	assert_string_equal(reply_header(&r, "Content-Type"), "video/webm");
	assert_string_equal(reply_header(&r, "Content-Disposition"), "inline; filename=\"video_c.webm\"");
	reply_free(&r);
}

static void tells_its_state(void **state)
{
	(void)state;
	json_t *root = ask("GET", "/readyz", 200);
	json_decref(root);
	ready = false;
	expect_fault("GET", "/readyz", 503, "no inference server answers");
	root = ask("GET", "/healthz", 200);
	json_decref(root);
	ready = true;
	struct reply r = client_get(port, "/metrics", "");
	assert_string_equal(r.body, "inlay_up 1\n");
	reply_free(&r);
}

/* What the page loads is there, and loads nothing from elsewhere. */
static void serves_the_page(void **state)
{
	(void)state;
	static const char *const files[][2] = { { "/", "text/html; charset=utf-8" },
		                                { "/app.js", "text/javascript; charset=utf-8" },
		                                { "/style.css", "text/css; charset=utf-8" },
		                                { "/icon.svg", "image/svg+xml" },
		                                { "/openapi.json", "application/json" } };
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		struct reply r = client_get(port, files[i][0], "");
		assert_int_equal(r.status, 200);
		assert_string_equal(reply_header(&r, "Content-Type"), files[i][1]);
		assert_string_equal(reply_header(&r, "Cache-Control"), "no-cache");
		assert_true(r.size > 100);
		assert_null(strstr(r.body, "src=\"http"));
		assert_null(strstr(r.body, "url("));
		assert_null(strstr(r.body, "style=\""));
		assert_null(strstr(r.body, "innerHTML"));
		reply_free(&r);
	}
}

static int set_up(void **state)
{
	(void)state;
	struct inlay_error err;
	static struct http_route routes[64];
	static struct http_server *server;
	size_t n = status_routes(NULL, routes, 64);
	n += video_routes(NULL, NULL, routes + n, 64 - n);
	assert_true(n < 64);
	assert_int_equal(video_routes(NULL, NULL, routes, 0), 5);
	assert_int_equal(status_routes(NULL, routes, 3), n - 5);
	snprintf(folder, sizeof folder, "%s", test_scratch("routes"));
	mkdir(folder, 0700);
	char *path = il_path_join(folder, "result");
	FILE *file = fopen(path, "w");
	assert_true(file && fputs("bcdefg", file) >= 0 && fclose(file) == 0);
	free(path);
	static const char formats[][8] = { "mp4", "mp4", "webm", "mp4" };
	for (; n_videos < 4; n_videos++) {
		videos[n_videos] = (struct video){ .state = (enum video_state)n_videos,
			                           .frames_done = 25,
			                           .frames_expected = 100,
			                           .created_unix_ms = INT64_C(1700000000123) };
		snprintf(videos[n_videos].id, sizeof videos[0].id, "video_%c", (char)('a' + n_videos));
		strcpy(videos[n_videos].format, formats[n_videos]);
	}
	strcpy(videos[3].error, "the avatar is broken");
	struct http_server_params params = { .address = "127.0.0.1:0",
		                             .routes = routes,
		                             .n_routes = n,
		                             .message_bytes = 10000,
		                             .upload_bytes = 10000,
		                             .upload_folder = folder };
	assert_ok(http_server_start(&server, &params, &err));
	port = http_server_port(server);
	*state = &server;
	return 0;
}

static int tear_down(void **state)
{
	http_server_destroy(*state);
	char *path = il_path_join(folder, "result");
	unlink(path);
	free(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_avatars),   cmocka_unit_test(loads_avatars),   cmocka_unit_test(draws_posters),
		cmocka_unit_test(takes_orders),    cmocka_unit_test(shows_videos),    cmocka_unit_test(sends_content),
		cmocka_unit_test(tells_its_state), cmocka_unit_test(serves_the_page),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
