#include "server/scheduler_queue.h"

#include <stdlib.h>
#include <string.h>

#define FORGET_NS 10000000000 /* after which it no longer counts what an idle client was served */

static int64_t due(const struct queue_request *r)
{
	return r->request->deadline_ns ? r->request->deadline_ns : INT64_MAX;
}

static unsigned rest(const struct queue_request *r)
{
	return r->request->n - r->taken;
}

/* FNV-1a, 64 bits. */
uint64_t queue_hash(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325;
	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3;
	return hash;
}

/* --- clients --- */

static bool is_forgettable(const struct queue *queue, const struct queue_client *client, int64_t now_ns)
{
	return !client->first && (client->served <= queue->served || now_ns - client->seen_ns > FORGET_NS);
}

struct queue_client *queue_client(struct queue *queue, const char *name, int64_t now_ns)
{
	struct queue_client *found = NULL;
	name = name ? name : "";
	for (struct queue_client **slot = &queue->clients, *client; (client = *slot);) {
		if (!strcmp(client->name, name)) {
			found = client;
		} else if (is_forgettable(queue, client, now_ns)) {
			*slot = client->next;
			free(client);
			continue;
		}
		slot = &client->next;
	}
	size_t size = strlen(name) + 1;
	if (!found && (found = calloc(1, sizeof *found + size))) {
		memcpy(found->name, name, size);
		found->next = queue->clients;
		queue->clients = found;
	}
	if (!found)
		return NULL;
	if (!found->first && (found->served < queue->served || now_ns - found->seen_ns > FORGET_NS))
		found->served = queue->served;
	found->seen_ns = now_ns;
	return found;
}

unsigned queue_clients_waiting(const struct queue *queue)
{
	unsigned n = 0;
	for (const struct queue_client *client = queue->clients; client; client = client->next)
		n += client->first != NULL;
	return n;
}

void queue_clear(struct queue *queue)
{
	for (struct queue_client *client = queue->clients, *next; client; client = next) {
		next = client->next;
		free(client);
	}
	*queue = (struct queue){ 0 };
}

/* --- requests --- */

void queue_add(struct queue *queue, struct queue_client *client, struct queue_request *r)
{
	struct queue_request *before = client->last;
	while (before && due(before) > due(r))
		before = before->prev;
	r->prev = before;
	r->next = before ? before->next : client->first;
	*(r->prev ? &r->prev->next : &client->first) = r;
	*(r->next ? &r->next->prev : &client->last) = r;
	r->client = client;
	r->queued = true;
	client->waiting += rest(r);
	queue->waiting += rest(r);
}

void queue_remove(struct queue *queue, struct queue_request *r)
{
	struct queue_client *client = r->client;
	if (!r->queued)
		return;
	*(r->prev ? &r->prev->next : &client->first) = r->next;
	*(r->next ? &r->next->prev : &client->last) = r->prev;
	client->waiting -= rest(r);
	queue->waiting -= rest(r);
	r->queued = false;
	r->client = NULL;
}

/* --- who is next --- */

/* The first request of a client that may be taken, or NULL. */
static struct queue_request *head(const struct queue_client *client, bool cold)
{
	struct queue_request *r = client->first;
	while (r && !(r->avatar == QUEUE_WARM || (r->avatar == QUEUE_COLD && cold)))
		r = r->next;
	return r;
}

static struct queue_request *choose(const struct queue *queue, bool cold)
{
	struct queue_request *best = NULL;
	for (const struct queue_client *client = queue->clients; client; client = client->next) {
		struct queue_request *r = head(client, cold);
		if (!r)
			continue;
		int64_t more = best ? client->served - best->client->served : -1;
		if (more < 0 || (more == 0 && r->queued_ns < best->queued_ns))
			best = r;
	}
	return best;
}

static struct queue_part take(struct queue *queue, struct queue_request *r, unsigned most)
{
	unsigned n = rest(r) < most ? rest(r) : most;
	struct queue_part part = { r, r->taken, n };
	struct queue_client *client = r->client;
	client->served += n;
	queue->most = client->served > queue->most ? client->served : queue->most;
	client->waiting -= n;
	queue->waiting -= n;
	r->taken += n;
	r->drawing += n;
	if (!rest(r))
		queue_remove(queue, r);
	return part;
}

/* Can be drawn in one call with `first`. */
static bool goes_with(const struct queue_request *r, const struct queue_request *first)
{
	return r->avatar_hash == first->avatar_hash && !r->request->crops == !first->request->crops &&
	       !strcmp(r->request->avatar, first->request->avatar);
}

unsigned queue_take(struct queue *queue, unsigned batch, bool cold, struct queue_part *parts)
{
	struct queue_request *first = choose(queue, cold);
	if (!first)
		return 0;
	queue->served = first->client->served;
	parts[0] = take(queue, first, batch);
	unsigned n = 1;
	batch -= parts[0].n;
	for (struct queue_client *client = queue->clients; client && batch; client = client->next)
		for (struct queue_request *r = client->first, *next; r && batch; r = next) {
			next = r->next;
			if (!goes_with(r, first))
				continue;
			parts[n] = take(queue, r, batch);
			batch -= parts[n++].n;
		}
	if (!queue->waiting)
		queue->served = queue->most;
	return n;
}

void queue_set_avatar(struct queue *queue, const char *avatar, enum queue_avatar state)
{
	uint64_t hash = queue_hash(avatar);
	for (struct queue_client *client = queue->clients; client; client = client->next)
		for (struct queue_request *r = client->first; r; r = r->next)
			if (r->avatar_hash == hash && !strcmp(r->request->avatar, avatar))
				r->avatar = state;
}

int64_t queue_ahead(const struct queue *queue, const struct queue_client *client, unsigned n, int64_t deadline_ns)
{
	int64_t own = n, others = 0;
	for (const struct queue_request *r = client->first; r && due(r) <= deadline_ns; r = r->next)
		own += rest(r);
	for (const struct queue_client *other = queue->clients; other; other = other->next)
		if (other != client)
			others += other->waiting < own ? other->waiting : own;
	return own + others;
}
