/* Avatars: which there are, what they take, loading and unloading, and a picture of each. */
#define _GNU_SOURCE /* strcasestr */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "composite/place.h"
#include "server/http/routes.h"

#define LIST_DEFAULT 100
#define LIST_MAX 1000
#define PAGE 256

bool route_number(struct http_request *request, const char *name, const char *text, int64_t low, int64_t high,
                  int64_t *number)
{
	if (!text)
		return true;
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (*text && !*end && !errno && value >= low && value <= high) {
		*number = value;
		return true;
	}
	struct inlay_error err = { 0 };
	il_fail(&err, INLAY_ERR_INVALID, "%s: found \"%.40s\"; expected a number from %lld to %lld", name, text,
	        (long long)low, (long long)high);
	http_answer_error(request, &err);
	return false;
}

static json_t *time_or_null(int64_t unix_ms)
{
	return unix_ms ? json_integer(unix_ms / 1000) : json_null();
}

static json_t *avatar_json(const struct il_store_entry *entry)
{
	return json_pack("{s:s s:s s:s s:I s:I s:I s:o s:o}", "id", entry->id, "object", "avatar", "status",
	                 entry->loaded    ? "loaded"
	                 : entry->loading ? "loading"
	                                  : "unloaded",
	                 "bytes", (json_int_t)entry->bytes, "uses", (json_int_t)entry->uses, "leases",
	                 (json_int_t)entry->leases, "loaded_at", time_or_null(entry->loaded_unix_ms), "last_used_at",
	                 time_or_null(entry->last_used_unix_ms));
}

struct page {
	const char *query;
	bool loaded_only, more;
	size_t limit;
	json_t *data;
};

/* Of a page of entries those that are asked for; false when there are enough. */
static bool take_entries(struct page *page, const struct il_store_entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (page->query && !strcasestr(entries[i].id, page->query))
			continue;
		page->more = json_array_size(page->data) == page->limit;
		if (page->more)
			return false;
		json_array_append_new(page->data, avatar_json(&entries[i]));
	}
	return true;
}

static void find_entries(struct il_store *store, const char *after, struct page *page)
{
	struct il_store_entry *entries = calloc(PAGE, sizeof *entries);
	char last[IL_STORE_ID_MAX + 1];
	size_t n = entries ? PAGE : 0;
	while (n == PAGE) {
		n = il_store_list(store, after, page->loaded_only, entries, PAGE);
		if (!take_entries(page, entries, n) || n == 0)
			break;
		memcpy(last, entries[n - 1].id, sizeof last);
		after = last;
	}
	free(entries);
}

static void list(void *ctx, struct http_request *request)
{
	struct il_store *store = app_store(ctx);
	const char *loaded = http_query(request, "loaded");
	int64_t limit = LIST_DEFAULT;
	if (!route_number(request, "limit", http_query(request, "limit"), 1, LIST_MAX, &limit))
		return;
	if (http_query(request, "refresh")) {
		struct inlay_error err = { 0 };
		if (il_store_refresh(store, &err)) {
			http_answer_error(request, &err);
			return;
		}
	}
	struct page page = { http_query(request, "q"), loaded && strcmp(loaded, "true") == 0, false, (size_t)limit,
		             json_array() };
	find_entries(store, http_query(request, "after"), &page);
	struct il_store_stats stats;
	il_store_stats(store, &stats);
	http_answer_json(request, 200,
	                 json_pack("{s:s s:o s:b s:I s:I s:I s:I}", "object", "list", "data", page.data, "has_more",
	                           page.more, "total", (json_int_t)stats.avatars, "loaded", (json_int_t)stats.loaded,
	                           "bytes", (json_int_t)stats.bytes, "budget_bytes", (json_int_t)stats.budget_bytes));
}

/* The entry of the route's avatar, or an answer that there is none. */
static void answer_entry(struct app *app, struct http_request *request, double load_ms)
{
	struct inlay_error err = { 0 };
	struct il_store_entry entry;
	if (il_store_find(app_store(app), http_part(request, 0), &entry, &err)) {
		http_answer_error(request, &err);
		return;
	}
	json_t *avatar = avatar_json(&entry);
	if (load_ms >= 0)
		json_object_set_new(avatar, "load_ms", json_real(load_ms));
	http_answer_json(request, 200, avatar);
}

static void find(void *ctx, struct http_request *request)
{
	answer_entry(ctx, request, -1);
}

static void load(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	const char *force = http_query(request, "force");
	int64_t ns = 0;
	if (il_store_load(app_store(ctx), http_part(request, 0), force && strcmp(force, "true") == 0, &ns, &err))
		http_answer_error(request, &err);
	else
		answer_entry(ctx, request, (double)ns / 1e6);
}

static void unload(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	if (il_store_unload(app_store(ctx), http_part(request, 0), &err))
		http_answer_error(request, &err);
	else
		answer_entry(ctx, request, -1);
}

/* The inner part of a crop, [size, size, 3], moved to its beginning: the avatar's own mouth. */
static void cut_margin(uint8_t *crop, int size)
{
	size_t row = (size_t)size * 3, stride = (size_t)(size + 2 * IL_PLACE_MARGIN) * 3;
	for (size_t y = 0; y < (size_t)size; y++)
		memmove(crop + y * row, crop + (y + IL_PLACE_MARGIN) * stride + IL_PLACE_MARGIN * 3, row);
}

static enum inlay_err draw_poster(struct app *app, const char *id, struct il_actor *actor, struct il_bytes *jpeg,
                                  struct inlay_error *err)
{
	const struct il_mouths *mouths = app_mouths(app);
	struct il_mouths_info info;
	enum inlay_err rc = mouths->info(mouths->ctx, id, &info, err);
	if (rc)
		return rc;
	size_t side = (size_t)info.size + 2 * IL_PLACE_MARGIN;
	uint8_t *crop = malloc(side * side * 3);
	if (!crop)
		return il_fail_memory(err);
	rc = il_actor_crop(actor, 0, info.size, crop, err);
	if (!rc) {
		cut_margin(crop, info.size);
		rc = il_actor_jpeg(actor, 0, crop, info.size, 0, &jpeg->data, &jpeg->size, err);
	}
	free(crop);
	return rc;
}

/* Its first frame, with its own mouth put where it was. */
static void poster(void *ctx, struct http_request *request)
{
	struct inlay_error err = { 0 };
	struct il_lease *lease = NULL;
	struct il_bytes jpeg = { 0 };
	const char *id = http_part(request, 0);
	enum inlay_err rc = app_actor(ctx, id, &lease, &err);
	if (!rc)
		rc = draw_poster(ctx, id, il_lease_loaded(lease), &jpeg, &err);
	il_lease_return(&lease);
	if (rc) {
		http_answer_error(request, &err);
	} else {
		http_add_header(request, "Cache-Control", "private, max-age=300");
		http_answer(request, 200, "image/jpeg", jpeg.data, jpeg.size);
	}
	il_bytes_destroy(&jpeg);
}

size_t avatar_routes(struct app *app, struct http_route *routes, size_t room)
{
	const struct http_route own[] = {
		{ "GET", "/v1/avatars", list, app },
		{ "GET", "/v1/avatars/*", find, app },
		{ "GET", "/v1/avatars/*/poster.jpg", poster, app },
		{ "POST", "/v1/avatars/*/load", load, app },
		{ "POST", "/v1/avatars/*/unload", unload, app },
	};
	size_t n = 0;
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		n = add_route(routes, room, n, own[i]);
	return n;
}
