/* The parts of a client of mouths: its servers, how one is used, and shared memory for tensors. */
#ifndef SERVER_RPC_MOUTHS_IMPL_H
#define SERVER_RPC_MOUTHS_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/rpc/mouths_choice.h"
#include "server/rpc/mouths_messages.h"
#include "server/rpc/rpc.h"

/* ---- shared memory (mouths_memory.c) ---- */

/* Memory that one server knows. The object loses its name when the server has it: nothing stays behind, whoever dies.
 */
struct mouths_slot {
	char name[48]; /* of the region; "/name" of the object */
	uint8_t *map;
	size_t size;
	uint64_t generation; /* of the server's life that it was registered in */
	bool named;
	struct mouths_slot *next;
};
/* The system has set the memory aside: writing to it cannot fail. */
enum inlay_err mouths_slot_create(struct mouths_slot **slot, size_t size, struct inlay_error *err);
void mouths_slot_unlink(struct mouths_slot *slot);
void mouths_slot_destroy(struct mouths_slot **slot);

/* ---- servers (mouths_servers.c) ---- */

struct mouths_server {
	struct mouths_servers *all;
	unsigned number;
	char *url;
	bool local; /* on this machine */
	struct rpc_channel *channel;
	pthread_t thread; /* health */
	bool started;
	atomic_bool lost;    /* answers nothing: calls under way are given up */
	atomic_ulong life;   /* counts up whenever it comes back */
	atomic_bool sharing; /* takes shared memory */
	/* Of the thread that asks after its health: checks missed in a row, whether our token is refused, and whether
	 * anything is known of it yet. */
	unsigned missed;
	bool refused, known;
	pthread_mutex_t lock; /* of the two below */
	struct mouths_slot *slots;
	unsigned n_slots; /* those in use included */
};

struct mouths_servers {
	pthread_mutex_t lock;   /* of loads, last */
	pthread_cond_t changed; /* a load, or stopping */
	struct mouths_load loads[MOUTHS_SERVERS];
	unsigned last;
	atomic_bool stopping;
	bool shared_memory; /* allowed */
	struct mouths_server server[MOUTHS_SERVERS];
	unsigned n;
};

struct mouths_client_params;
/* Begins health checks. *servers {0} before; mouths_servers_clear it whatever comes back. */
enum inlay_err mouths_servers_init(struct mouths_servers *servers, const struct mouths_client_params *params,
                                   struct inlay_error *err);
/* Nobody is in a call any more. */
void mouths_servers_clear(struct mouths_servers *servers);
unsigned mouths_servers_healthy(struct mouths_servers *servers);

/* How long somebody waits for a server, and what ends that. */
struct mouths_patience {
	int64_t until_ns;             /* for a server that answers */
	int64_t deadline_ns;          /* of the call; 0: none */
	bool (*cancelled)(void *ctx); /* may be NULL */
	void *cancel_ctx;
};
/* The server with the least to do that is not in *tried, which is emptied when all are in it; `frames` more are under
 * way there until it is released. Waits as long as there is none. INLAY_ERR_IO: none came in time. */
enum inlay_err mouths_acquire(struct mouths_server **server, struct mouths_servers *servers, unsigned frames,
                              uint64_t *tried, const struct mouths_patience *patience, struct inlay_error *err);
/* failed: is left alone for a while. */
void mouths_release(struct mouths_server *server, unsigned frames, bool failed);

/* One call; it ends with INLAY_ERR_IO when the server is lost meanwhile. */
enum inlay_err mouths_call(struct mouths_server *server, const char *method, const struct il_bytes *message,
                           const struct mouths_patience *patience, struct il_bytes *reply, enum rpc_status *status,
                           struct inlay_error *err);

/* Memory of `size` bytes or more that the server knows, or NULL where it has to be done without. */
struct mouths_slot *mouths_slot_take(struct mouths_server *server, size_t size);
/* good: may be used again. */
void mouths_slot_return(struct mouths_server *server, struct mouths_slot *slot, bool good);

#endif
