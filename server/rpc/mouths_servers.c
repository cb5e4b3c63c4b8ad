/* Inference servers: whether they answer, which is next, and what each knows of our memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "server/rpc/mouths_client.h"
#include "server/rpc/mouths_impl.h"

#define CHECK_MS 1000
#define CHECK_TIMEOUT_MS 1000
#define MISSED_MAX 2 /* checks without an answer in time, in a row: a machine may be busy for a moment */
#define MEMORY_TIMEOUT_MS 2000
#define GOODBYE_NS 2000000000 /* for all that servers are told at the end */
#define SLOTS_MAX 32          /* of a server */
#define NO_LIFE UINT64_MAX    /* generation of a slot that is to be thrown away */
#define SLOT_MAX ((size_t)128 << 20)
#define SLOT_STEP ((size_t)1 << 20)

/* ---- calls ---- */

struct waiting {
	const struct mouths_server *server;
	const struct mouths_patience *patience;
};

static bool given_up(void *ctx)
{
	const struct waiting *waiting = ctx;
	const struct mouths_patience *patience = waiting->patience;
	return atomic_load(&waiting->server->lost) ||
	       (patience->cancelled && patience->cancelled(patience->cancel_ctx));
}

enum inlay_err mouths_call(struct mouths_server *server, const char *method, const struct il_bytes *message,
                           const struct mouths_patience *patience, struct il_bytes *reply, enum rpc_status *status,
                           struct inlay_error *err)
{
	struct waiting waiting = { server, patience };
	char path[128];
	snprintf(path, sizeof path, MOUTHS_SERVICE "%s", method);
	struct rpc_unary call = { .path = path, .data = message->data, .size = message->size };
	call.cancelled = given_up;
	call.cancel_ctx = &waiting;
	if (patience->deadline_ns) {
		int64_t left = (patience->deadline_ns - il_clock_ns()) / 1000000;
		if (left <= 0)
			return il_fail(err, INLAY_ERR_TIMEOUT, "%s: past the deadline", server->url);
		call.timeout_ms = left;
	}
	enum inlay_err rc = rpc_unary(server->channel, &call, reply, status, err);
	if (rc != INLAY_ERR_CANCELLED || !atomic_load(&server->lost))
		return rc;
	if (err)
		*err = (struct inlay_error){ 0 };
	*status = RPC_UNAVAILABLE;
	return il_fail(err, INLAY_ERR_IO, "%s: the server does not answer any more", server->url);
}

/* ---- health ---- */

static bool stopping(void *ctx)
{
	const struct mouths_servers *all = ctx;
	return atomic_load(&all->stopping);
}

/* A short call that is no request: without the giving up of others. */
static enum inlay_err ask(struct mouths_server *server, const char *path, const struct il_bytes *message,
                          int64_t timeout_ms, struct il_bytes *reply, enum rpc_status *status)
{
	struct rpc_unary call = {
		.path = path, .data = message->data, .size = message->size, .timeout_ms = timeout_ms
	};
	call.cancelled = stopping;
	call.cancel_ctx = server->all;
	*status = RPC_UNKNOWN;
	return rpc_unary(server->channel, &call, reply, status, NULL);
}

static bool allows_sharing(struct mouths_server *server)
{
	struct il_bytes nothing = { 0 }, reply = { 0 };
	enum rpc_status status;
	bool allows = server->all->shared_memory && server->local &&
	              !ask(server, MOUTHS_SERVICE "ServerMetadata", &nothing, CHECK_TIMEOUT_MS, &reply, &status) &&
	              mouths_has_extension(&reply, "system_shared_memory");
	il_bytes_destroy(&reply);
	return allows;
}

/* Readiness is told to anybody, what else there is only to those with the token. */
static bool lets_in(struct mouths_server *server)
{
	struct il_bytes nothing = { 0 }, reply = { 0 };
	enum rpc_status status = RPC_OK;
	enum inlay_err rc = ask(server, MOUTHS_SERVICE "ServerMetadata", &nothing, CHECK_TIMEOUT_MS, &reply, &status);
	il_bytes_destroy(&reply);
	const bool refused = rc && (status == RPC_UNAUTHENTICATED || status == RPC_PERMISSION_DENIED);
	if (refused && !server->refused)
		il_log_warn("inference server %s wants another token (token_file)", server->url);
	server->refused = refused;
	return !refused;
}

static void set_health(struct mouths_server *server, bool healthy)
{
	struct mouths_servers *all = server->all;
	pthread_mutex_lock(&all->lock);
	struct mouths_load *load = &all->loads[server->number];
	load->healthy = healthy;
	if (healthy)
		mouths_succeeded(load);
	pthread_cond_broadcast(&all->changed);
	pthread_mutex_unlock(&all->lock);
	if (healthy)
		il_log_info("inference server %s answers", server->url);
	else if (!server->refused)
		il_log_warn("inference server %s does not answer", server->url);
}

static void check_health(struct mouths_server *server, bool *was_healthy)
{
	struct il_bytes nothing = { 0 }, reply = { 0 };
	enum rpc_status status;
	enum inlay_err rc = ask(server, MOUTHS_SERVICE "ServerReady", &nothing, CHECK_TIMEOUT_MS, &reply, &status);
	if (!rc && mouths_read_ready(&reply) && !*was_healthy && !lets_in(server))
		rc = INLAY_ERR_INVALID, status = RPC_UNAUTHENTICATED;
	bool late = rc == INLAY_ERR_TIMEOUT;
	bool alive = !rc || (rc != INLAY_ERR_IO && !late);
	bool healthy = rc ? status == RPC_UNIMPLEMENTED : mouths_read_ready(&reply);
	il_bytes_destroy(&reply);
	/* One that has too much to do is as it was: it says so to requests, too. */
	if (atomic_load(&server->all->stopping) || rc == INLAY_ERR_BUSY)
		return;
	server->missed = late ? server->missed + 1 : 0;
	if (late && server->missed < MISSED_MAX)
		return;
	atomic_store(&server->lost, !alive);
	if (healthy && !*was_healthy) {
		atomic_fetch_add(&server->life, 1);
		atomic_store(&server->sharing, allows_sharing(server));
	}
	if (healthy != *was_healthy || !server->known)
		set_health(server, healthy);
	*was_healthy = healthy;
	server->known = true;
}

static struct timespec after_ms(int64_t ms)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	int64_t ns = at.tv_nsec + ms % 1000 * 1000000;
	at.tv_sec += ms / 1000 + ns / 1000000000;
	at.tv_nsec = ns % 1000000000;
	return at;
}

static void *watch(void *ctx)
{
	struct mouths_server *server = ctx;
	struct mouths_servers *all = server->all;
	bool healthy = false;
	while (!atomic_load(&all->stopping)) {
		check_health(server, &healthy);
		struct timespec at = after_ms(CHECK_MS);
		pthread_mutex_lock(&all->lock);
		for (int rc = 0; !atomic_load(&all->stopping) && rc != ETIMEDOUT;)
			rc = pthread_cond_timedwait(&all->changed, &all->lock, &at);
		pthread_mutex_unlock(&all->lock);
	}
	return NULL;
}

/* ---- their number ---- */

static bool is_local(const char *url)
{
	const char *colons = strstr(url, "://");
	const char *host = colons ? colons + 3 : url;
	return !strncasecmp(host, "localhost:", 10) || !strncmp(host, "127.", 4) || !strncmp(host, "[::1]", 5) ||
	       !strncmp(url, "unix:", 5);
}

static enum inlay_err start(struct mouths_server *server, const struct mouths_client_params *params, const char *url,
                            struct inlay_error *err)
{
	struct rpc_channel_params channel = {
		.url = url, .message_bytes = params->message_bytes, .token = params->token, .tls_ca = params->tls_ca
	};
	pthread_mutex_init(&server->lock, NULL);
	server->local = is_local(url);
	atomic_store(&server->lost, true);
	server->url = strdup(url);
	if (!server->url)
		return il_fail_memory(err);
	enum inlay_err rc = rpc_channel_create(&server->channel, &channel, err);
	if (rc)
		return rc;
	errno = pthread_create(&server->thread, NULL, watch, server);
	if (errno)
		return il_fail_errno(err, "thread for %s", url);
	server->started = true;
	return INLAY_OK;
}

enum inlay_err mouths_servers_init(struct mouths_servers *servers, const struct mouths_client_params *params,
                                   struct inlay_error *err)
{
	pthread_mutex_init(&servers->lock, NULL);
	il_cond_init(&servers->changed);
	servers->shared_memory = params->shared_memory;
	if (!params->n_urls || params->n_urls > MOUTHS_SERVERS)
		return il_fail(err, INLAY_ERR_INVALID, "%u inference servers: expected 1 to %d", params->n_urls,
		               MOUTHS_SERVERS);
	enum inlay_err rc = INLAY_OK;
	for (unsigned i = 0; i < params->n_urls; i++)
		servers->server[i] = (struct mouths_server){ .all = servers, .number = i };
	/* Their number first: threads of the first ones look at it. */
	servers->n = params->n_urls;
	for (unsigned i = 0; i < params->n_urls && !rc; i++)
		rc = start(&servers->server[i], params, params->urls[i], err);
	return rc;
}

static void forget_slot(struct mouths_server *server, struct mouths_slot *slot);

void mouths_servers_clear(struct mouths_servers *servers)
{
	pthread_mutex_lock(&servers->lock);
	atomic_store(&servers->stopping, true);
	pthread_cond_broadcast(&servers->changed);
	pthread_mutex_unlock(&servers->lock);
	for (unsigned i = 0; i < servers->n; i++)
		if (servers->server[i].started)
			pthread_join(servers->server[i].thread, NULL);
	atomic_store(&servers->stopping, false); /* what follows may ask servers */
	int64_t until_ns = il_clock_ns() + GOODBYE_NS;
	for (unsigned i = 0; i < servers->n; i++) {
		struct mouths_server *server = &servers->server[i];
		for (struct mouths_slot *next, *slot = server->slots; slot; slot = next) {
			next = slot->next;
			if (il_clock_ns() >= until_ns)
				atomic_store(&server->lost, true);
			forget_slot(server, slot);
		}
		if (server->channel)
			rpc_channel_destroy(&server->channel);
		if (server->url)
			pthread_mutex_destroy(&server->lock);
		free(server->url);
	}
	pthread_cond_destroy(&servers->changed);
	pthread_mutex_destroy(&servers->lock);
}

unsigned mouths_servers_healthy(struct mouths_servers *servers)
{
	unsigned healthy = 0;
	pthread_mutex_lock(&servers->lock);
	for (unsigned i = 0; i < servers->n; i++)
		healthy += servers->loads[i].healthy;
	pthread_mutex_unlock(&servers->lock);
	return healthy;
}

/* ---- the next one ---- */

/* Under the lock: why there is no server yet, or INLAY_OK to wait on. */
static enum inlay_err still_patient(const struct mouths_servers *servers, const struct mouths_patience *patience,
                                    struct inlay_error *err)
{
	int64_t now = il_clock_ns();
	if (patience->deadline_ns && now >= patience->deadline_ns)
		return il_fail(err, INLAY_ERR_TIMEOUT, "no inference server answered before the deadline");
	if (now < patience->until_ns)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_UNAVAILABLE, "none of %u inference servers answers, %s the first", servers->n,
	               servers->server[0].url);
}

enum inlay_err mouths_acquire(struct mouths_server **server, struct mouths_servers *servers, unsigned frames,
                              uint64_t *tried, const struct mouths_patience *patience, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	int chosen;
	pthread_mutex_lock(&servers->lock);
	for (;;) {
		if (!mouths_untried(servers->loads, servers->n, *tried))
			*tried = 0;
		chosen = mouths_choose(servers->loads, servers->n, *tried, servers->last, il_clock_ns());
		if (chosen >= 0 || (rc = still_patient(servers, patience, err)))
			break;
		/* Awake often enough for backoffs and for who has lost interest. */
		struct timespec at = after_ms(25);
		pthread_cond_timedwait(&servers->changed, &servers->lock, &at);
		pthread_mutex_unlock(&servers->lock);
		bool cancelled = patience->cancelled && patience->cancelled(patience->cancel_ctx);
		pthread_mutex_lock(&servers->lock);
		if (cancelled && (rc = il_fail(err, INLAY_ERR_CANCELLED, "cancelled")))
			break;
	}
	if (!rc) {
		servers->last = (unsigned)chosen;
		servers->loads[chosen].outstanding += frames;
		*server = &servers->server[chosen];
	}
	pthread_mutex_unlock(&servers->lock);
	return rc;
}

void mouths_release(struct mouths_server *server, unsigned frames, bool failed)
{
	struct mouths_servers *all = server->all;
	pthread_mutex_lock(&all->lock);
	struct mouths_load *load = &all->loads[server->number];
	load->outstanding -= frames;
	if (failed)
		mouths_failed(load, il_clock_ns());
	else
		mouths_succeeded(load);
	pthread_mutex_unlock(&all->lock);
}

/* ---- their memory ---- */

/* The server lets go of it, if it still has it, and so do we. */
static void forget_slot(struct mouths_server *server, struct mouths_slot *slot)
{
	struct il_bytes message = { 0 }, reply = { 0 };
	enum rpc_status status;
	/* One that began anew does not know it; one that was only slow still holds it. */
	if (!atomic_load(&server->lost) && !mouths_region_message(&message, slot->name, NULL, 0, NULL))
		ask(server, MOUTHS_SERVICE "SystemSharedMemoryUnregister", &message, MEMORY_TIMEOUT_MS, &reply,
		    &status);
	il_bytes_destroy(&message);
	il_bytes_destroy(&reply);
	mouths_slot_destroy(&slot);
}

/* Under the lock: one of the list that fits and is known to the server as it now runs, else any, to be thrown away. */
static struct mouths_slot *unlist(struct mouths_server *server, size_t size, bool *fits)
{
	unsigned long life = atomic_load(&server->life);
	struct mouths_slot **place = &server->slots;
	while (*place && ((*place)->size < size || (*place)->generation != life))
		place = &(*place)->next;
	*fits = *place != NULL;
	if (!*fits)
		place = &server->slots;
	struct mouths_slot *slot = *place;
	if (slot)
		*place = slot->next;
	return slot;
}

/* A refusal is for good, until the server begins anew. *doubt: it may have come to know the memory all the same. */
static bool register_slot(struct mouths_server *server, struct mouths_slot *slot, bool *doubt)
{
	char key[64];
	struct il_bytes message = { 0 }, reply = { 0 };
	enum rpc_status status = RPC_UNKNOWN;
	snprintf(key, sizeof key, "/%s", slot->name);
	slot->generation = atomic_load(&server->life);
	enum inlay_err rc = mouths_region_message(&message, slot->name, key, slot->size, NULL);
	if (!rc) {
		rc = ask(server, MOUTHS_SERVICE "SystemSharedMemoryRegister", &message, MEMORY_TIMEOUT_MS, &reply,
		         &status);
		*doubt = rc == INLAY_ERR_IO || rc == INLAY_ERR_CANCELLED || rc == INLAY_ERR_TIMEOUT;
		if (rc && !*doubt && rc != INLAY_ERR_BUSY) {
			il_log_info("inference server %s takes no shared memory", server->url);
			atomic_store(&server->sharing, false);
		}
	}
	il_bytes_destroy(&message);
	il_bytes_destroy(&reply);
	mouths_slot_unlink(slot);
	return !rc;
}

struct mouths_slot *mouths_slot_take(struct mouths_server *server, size_t size)
{
	if (!atomic_load(&server->sharing) || size > SLOT_MAX)
		return NULL;
	bool fits, doubt = false;
	pthread_mutex_lock(&server->lock);
	struct mouths_slot *slot = unlist(server, size, &fits);
	bool more = slot || server->n_slots < SLOTS_MAX;
	if (!slot && more)
		server->n_slots++;
	pthread_mutex_unlock(&server->lock);
	if (fits || !more)
		return slot;
	if (slot)
		forget_slot(server, slot);
	slot = NULL;
	if (!mouths_slot_create(&slot, (size + SLOT_STEP - 1) / SLOT_STEP * SLOT_STEP, NULL) &&
	    register_slot(server, slot, &doubt))
		return slot;
	if (doubt)
		forget_slot(server, slot);
	else
		mouths_slot_destroy(&slot);
	pthread_mutex_lock(&server->lock);
	server->n_slots--;
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

void mouths_slot_return(struct mouths_server *server, struct mouths_slot *slot, bool good)
{
	/* A server that does not answer now is told when it does: when the slot would be used again. */
	const bool later = !good && atomic_load(&server->lost);
	if (later)
		slot->generation = NO_LIFE;
	pthread_mutex_lock(&server->lock);
	if (good || later) {
		slot->next = server->slots;
		server->slots = slot;
	} else {
		server->n_slots--;
	}
	pthread_mutex_unlock(&server->lock);
	if (!good && !later)
		forget_slot(server, slot);
}
