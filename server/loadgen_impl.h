/* What the files of server/loadgen share. */
#ifndef SERVER_LOADGEN_IMPL_H
#define SERVER_LOADGEN_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/loadgen.h"
#include "server/loadgen_messages.h"
#include "server/rpc/rpc.h"

struct loadgen {
	const struct loadgen_params *params;
	struct loadgen_result *result; /* clients add to it under the lock when they end */
	char **avatars;
	unsigned n_avatars;
	double *chances; /* [n_avatars], of this avatar or one before it */
	float *noise;    /* what the clients say, NOISE floats */
	int64_t begun_ns;
	atomic_bool stop;
	_Atomic int64_t frames, errors;
	pthread_mutex_t lock;
	struct loadgen_model *models; /* [n_avatars], window_floats 0: not asked for yet; under the lock */
};

enum { LOADGEN_NOISE = 1 << 20 };

/* A client, of its thread. */
struct loadgen_client {
	struct loadgen *all;
	struct rpc_channel *channel;
	unsigned number;
	uint64_t random;
	struct loadgen_result own; /* what it has seen; no timeline */
	struct wire wire;
	char region[64]; /* name of its shared memory, empty: none */
	uint8_t *shared;
	size_t shared_size;
};

bool loadgen_stopped(void *all);
unsigned loadgen_choose(struct loadgen_client *client); /* an avatar's index, after Zipf */
/* Sleeps until `ns` of il_clock_ns; false when all is to stop. */
bool loadgen_wait(struct loadgen *all, int64_t ns);
void loadgen_count_error(struct loadgen_client *client, enum rpc_status status, const struct inlay_error *err);
/* n frames that came in one answer, now; due_ns: when it was due to be asked for; late_ns: when they become late. */
void loadgen_count_frames(struct loadgen_client *client, unsigned n, int64_t due_ns, int64_t late_ns);

/* A sentence: until `until_ns`. What fails is counted. */
void loadgen_speak_batches(struct loadgen_client *client, unsigned avatar, int64_t until_ns);
void loadgen_forget_shared(struct loadgen_client *client);
void loadgen_speak_stream(struct loadgen_client *client, unsigned avatar, double seconds);

#endif
