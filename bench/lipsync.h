/* inlay bench lipsync: the same work three ways, interleaved in one run. */
#ifndef INLAY_BENCH_LIPSYNC_H
#define INLAY_BENCH_LIPSYNC_H

#include <stdbool.h>

#include "inlay/lipsync.h"

enum { BENCH_MAX_SWEEP = 32 };
enum bench_way { BENCH_NETWORK, BENCH_NULL, BENCH_MP4, BENCH_WAYS };

struct bench_params {
	struct inlay_lipsync_params job;    /* avatar, audio, features, networks, threads */
	unsigned sweep[BENCH_MAX_SWEEP][2]; /* workers, batch */
	unsigned n_sweep;
	unsigned rounds;
	int64_t frames;         /* of one measurement */
	const char *json, *svg; /* files for the figures, may be NULL; replaced */
	const char *scratch;    /* folder for the mp4 */
	bool (*cancelled)(void);
};

/* Prints the table on standard output as it grows. */
enum inlay_err bench_lipsync(const struct bench_params *params, struct inlay_error *err);

#endif
