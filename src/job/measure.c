#include "job/measure.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"

#define RING_BYTES ((size_t)128 << 20) /* more than caches hold */
#define MAX_RING 64

/* What networks take of frames that was computed beforehand. */
struct ring {
	uint16_t *halves; /* [length][bytes]; NULL: none */
	size_t bytes, length;
};

/* A session. */
struct runner {
	struct il_lipsync_net *net;
	atomic_llong *left; /* frames nobody has taken yet, shared by all runners */
	const struct ring *ring;
	size_t at; /* of the ring: the next frame's */
	pthread_t thread;
	enum inlay_err rc;
	struct inlay_error error;
};

struct il_runners {
	struct runner *all;
	unsigned count;
	struct ring ring;
	atomic_llong left;
	struct il_fused_blocks *blocks;
};

static uint32_t noise(uint32_t *state)
{
	return *state = *state * 1664525u + 1013904223u;
}

static void fill_with_noise(float *values, size_t n)
{
	uint32_t state = 1;
	for (size_t i = 0; i < n; i++)
		values[i] = (float)(noise(&state) >> 8) / (float)(1 << 24);
}

/* float16 from 1/8 to 1. */
static void fill_with_halves(uint16_t *values, size_t n)
{
	uint32_t state = 1;
	for (size_t i = 0; i < n; i++)
		values[i] = (uint16_t)(0x3000 + (noise(&state) >> 20) % 0xc00);
}

static enum inlay_err make_ring(struct ring *ring, const struct il_lipsync_net *net, struct inlay_error *err)
{
	for (int i = 0; i < il_lipsync_net_info(net)->hoisted; i++) {
		size_t bytes;
		il_lipsync_net_hoisted(net, i, &bytes);
		ring->bytes += (bytes + 63) / 64 * 64;
	}
	if (!ring->bytes)
		return INLAY_OK;
	ring->length = RING_BYTES / ring->bytes;
	ring->length = ring->length < 2 ? 2 : ring->length > MAX_RING ? MAX_RING : ring->length;
	ring->halves = aligned_alloc(64, ring->length * ring->bytes);
	if (!ring->halves)
		return il_fail_memory(err);
	fill_with_halves(ring->halves, ring->length * ring->bytes / sizeof *ring->halves);
	return INLAY_OK;
}

static enum inlay_err next_hoisted(struct runner *r, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	if (!r->ring->halves)
		return INLAY_OK;
	const uint8_t *at = (const uint8_t *)r->ring->halves + r->at++ % r->ring->length * r->ring->bytes;
	for (int i = 0; i < il_lipsync_net_info(r->net)->hoisted && !rc; i++) {
		size_t bytes;
		il_lipsync_net_hoisted(r->net, i, &bytes);
		rc = il_lipsync_net_set_hoisted(r->net, i, (const uint16_t *)(const void *)at, err);
		at += (bytes + 63) / 64 * 64;
	}
	return rc;
}

static void *run_frames(void *arg)
{
	struct runner *r = arg;
	unsigned batch = il_lipsync_net_info(r->net)->batch;
	while (!r->rc && atomic_fetch_sub(r->left, batch) > 0) {
		r->rc = next_hoisted(r, &r->error);
		if (!r->rc)
			r->rc = il_lipsync_net_run(r->net, batch, &r->error);
	}
	return NULL;
}

static enum inlay_err open_and_warm(struct runner *r, const struct il_lipsync_net_params *params,
                                    struct inlay_error *err)
{
	enum inlay_err rc = il_lipsync_net_open(&r->net, params, err);
	if (rc)
		return rc;
	const struct il_lipsync_net_info *info = il_lipsync_net_info(r->net);
	for (unsigned i = 0; i < info->batch; i++) {
		fill_with_noise(il_lipsync_net_picture(r->net, i), info->picture_floats);
		fill_with_noise(il_lipsync_net_audio(r->net, i), info->audio_floats);
	}
	return il_lipsync_net_run(r->net, info->batch, err);
}

enum inlay_err il_runners_open(struct il_runners **out, const struct il_lipsync_net_params *net, unsigned workers,
                               bool cold, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	struct il_runners *runners = calloc(1, sizeof *runners);
	if (runners)
		runners->all = calloc(workers, sizeof *runners->all);
	if (!runners || !runners->all)
		rc = il_fail_memory(err);
	if (!rc)
		rc = il_fused_blocks_create(&runners->blocks, err);
	struct il_lipsync_net_params shared = *net;
	shared.blocks = runners ? runners->blocks : NULL;
	for (unsigned i = 0; i < workers && !rc; i++) {
		runners->count++;
		runners->all[i].left = &runners->left;
		runners->all[i].ring = &runners->ring;
		runners->all[i].at = i * MAX_RING / workers;
		rc = open_and_warm(&runners->all[i], &shared, err);
	}
	if (!rc && cold)
		rc = make_ring(&runners->ring, runners->all[0].net, err);
	if (rc)
		il_runners_destroy(&runners);
	*out = runners;
	return rc;
}

void il_runners_destroy(struct il_runners **slot)
{
	struct il_runners *runners = *slot;
	*slot = NULL;
	if (!runners)
		return;
	for (unsigned i = 0; i < runners->count; i++)
		il_lipsync_net_destroy(&runners->all[i].net);
	il_fused_blocks_destroy(&runners->blocks);
	free(runners->ring.halves);
	free(runners->all);
	free(runners);
}

enum inlay_err il_runners_run(struct il_runners *runners, int64_t frames, double *frames_per_s, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	unsigned started = 0;
	atomic_store(&runners->left, frames);
	int64_t start = il_clock_ns();
	for (; started < runners->count && !rc; started++) {
		if (pthread_create(&runners->all[started].thread, NULL, run_frames, &runners->all[started])) {
			rc = il_fail(err, INLAY_ERR_MEMORY, "cannot start a thread to measure the network");
			break;
		}
	}
	for (unsigned i = 0; i < started; i++) {
		pthread_join(runners->all[i].thread, NULL);
		if (runners->all[i].rc && !rc)
			rc = il_fail(err, runners->all[i].rc, "%s", runners->all[i].error.text);
	}
	int64_t ns = il_clock_ns() - start;
	/* Whole batches were run: what was taken past zero was worked on too. */
	unsigned batch = il_lipsync_net_info(runners->all[0].net)->batch;
	int64_t run = (frames + batch - 1) / batch * batch;
	*frames_per_s = (double)run * 1e9 / (double)(ns > 0 ? ns : 1);
	return rc;
}

enum inlay_err il_measure_network(const struct il_lipsync_net_params *params, unsigned workers, int64_t frames,
                                  double *frames_per_s, struct inlay_error *err)
{
	struct il_runners *runners = NULL;
	enum inlay_err rc = il_runners_open(&runners, params, workers, false, err);
	if (!rc)
		rc = il_runners_run(runners, frames, frames_per_s, err);
	il_runners_destroy(&runners);
	return rc;
}
