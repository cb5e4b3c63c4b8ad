/* A server without one: an app whose avatars draw numbers, for tests of what speaks KServe. */
#ifndef SERVER_KSERVE_TEST_H
#define SERVER_KSERVE_TEST_H

#include <stdbool.h>

#include "server/kserve.h"
#include "tests/test.h"

#define FAKE_SIZE 24
#define FAKE_FRAMES 50
#define FAKE_WINDOW 12 /* [3, 2, 2] */

/* The app functions take this as their app and their store. */
struct fake {
	struct regions *regions;
	unsigned avatars;      /* "avatar-00000" and so on */
	int64_t message_bytes; /* 0: 100 MB */
	enum inlay_err refuse; /* what draw answers, INLAY_OK: draws */
	int delay_us;
	unsigned draws, loads, unloads; /* atomic, as are the two below */
	unsigned drawing, peak;         /* at a time */
};

static struct il_avatar fake_avatar = { .frames = FAKE_FRAMES };

/* Byte j of the mouth of a frame with a window: anything that depends on all three. */
static inline uint8_t fake_byte(int64_t frame, const float *window, size_t j)
{
	return (uint8_t)(frame * 7 + (int)(window[j % FAKE_WINDOW] * 100) + (int)j);
}

static bool fake_known(const struct fake *fake, const char *id)
{
	char expected[32];
	for (unsigned i = 0; i < fake->avatars; i++) {
		snprintf(expected, sizeof expected, "avatar-%05u", i);
		if (!strcmp(id, expected))
			return true;
		if (i == 3 && fake->avatars > 1000)
			break;
	}
	return false;
}

static enum inlay_err fake_info(void *ctx, const char *avatar, struct il_mouths_info *info, struct inlay_error *err)
{
	(void)ctx, (void)avatar, (void)err;
	*info = (struct il_mouths_info){ .size = FAKE_SIZE, .audio_dims = { 3, 2, 2 }, .window_floats = FAKE_WINDOW };
	return INLAY_OK;
}

static enum inlay_err fake_draw_one(const struct fake *fake, const struct il_mouths_request *request,
                                    struct inlay_error *err)
{
	for (int left = fake->delay_us; left > 0; left -= 1000) {
		if (request->cancelled && request->cancelled(request->cancel_ctx))
			return il_fail(err, INLAY_ERR_CANCELLED, "cancelled");
		usleep(1000);
	}
	if (fake->refuse)
		return il_fail(err, fake->refuse, "refused by the test");
	for (unsigned i = 0; i < request->n; i++)
		for (size_t j = 0; j < FAKE_SIZE * FAKE_SIZE * 3; j++)
			request->mouths[i][j] = fake_byte(request->frames[i], request->windows[i], j);
	return INLAY_OK;
}

static enum inlay_err fake_draw(void *ctx, const struct il_mouths_request *request, struct inlay_error *err)
{
	struct fake *fake = ctx;
	__atomic_add_fetch(&fake->draws, 1, __ATOMIC_RELAXED);
	unsigned drawing = __atomic_add_fetch(&fake->drawing, 1, __ATOMIC_RELAXED);
	if (drawing > __atomic_load_n(&fake->peak, __ATOMIC_RELAXED))
		__atomic_store_n(&fake->peak, drawing, __ATOMIC_RELAXED);
	enum inlay_err rc = fake_draw_one(fake, request, err);
	__atomic_sub_fetch(&fake->drawing, 1, __ATOMIC_RELAXED);
	return rc;
}

const struct il_mouths *app_mouths(struct app *app)
{
	static _Thread_local struct il_mouths mouths;
	mouths = (struct il_mouths){ .info = fake_info, .draw = fake_draw, .ctx = app };
	return &mouths;
}

const struct server_config *app_config(const struct app *app)
{
	static _Thread_local struct server_config config;
	config.limits.message_bytes = ((const struct fake *)app)->message_bytes;
	if (!config.limits.message_bytes)
		config.limits.message_bytes = INT64_C(100) << 20;
	return &config;
}

struct il_store *app_store(struct app *app)
{
	return (struct il_store *)app;
}

struct regions *app_regions(struct app *app)
{
	return ((struct fake *)app)->regions;
}

bool app_ready(struct app *app, char *why, size_t size)
{
	(void)why, (void)size;
	return ((struct fake *)app)->refuse != INLAY_ERR_BUSY;
}

enum inlay_err app_actor(struct app *app, const char *id, struct il_lease **lease, struct inlay_error *err)
{
	if (!fake_known((struct fake *)app, id))
		return il_fail(err, INLAY_ERR_NOT_FOUND, "no such avatar");
	*lease = (struct il_lease *)&fake_avatar;
	return INLAY_OK;
}

void *il_lease_loaded(const struct il_lease *lease)
{
	return (void *)lease;
}

void il_lease_return(struct il_lease **lease)
{
	*lease = NULL;
}

const struct il_avatar *il_actor_avatar(const struct il_actor *actor)
{
	return (const struct il_avatar *)actor;
}

enum inlay_err il_store_find(struct il_store *store, const char *id, struct il_store_entry *entry,
                             struct inlay_error *err)
{
	(void)entry;
	return fake_known((struct fake *)store, id) ? INLAY_OK : il_fail(err, INLAY_ERR_NOT_FOUND, "no such avatar");
}

enum inlay_err il_store_load(struct il_store *store, const char *id, bool force, int64_t *ns, struct inlay_error *err)
{
	(void)force, (void)ns;
	__atomic_add_fetch(&((struct fake *)store)->loads, 1, __ATOMIC_RELAXED);
	return il_store_find(store, id, NULL, err);
}

enum inlay_err il_store_unload(struct il_store *store, const char *id, struct inlay_error *err)
{
	__atomic_add_fetch(&((struct fake *)store)->unloads, 1, __ATOMIC_RELAXED);
	return il_store_find(store, id, NULL, err);
}

/* Every third avatar is loaded. */
size_t il_store_list(struct il_store *store, const char *after, bool loaded_only, struct il_store_entry *entries,
                     size_t n)
{
	unsigned i = after ? (unsigned)atoi(after + strlen("avatar-")) + 1 : 0;
	size_t found = 0;
	for (; i < ((struct fake *)store)->avatars && found < n; i++) {
		if (loaded_only && i % 3)
			continue;
		entries[found] = (struct il_store_entry){ .loaded = i % 3 == 0 };
		snprintf(entries[found++].id, sizeof entries->id, "avatar-%05u", i);
	}
	return found;
}

#endif
