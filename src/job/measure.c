#include "job/measure.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"

struct runner {
	struct il_lipsync_net *net;
	atomic_llong *left; /* frames nobody has taken yet, shared by all runners */
	pthread_t thread;
	enum inlay_err rc;
	struct inlay_error error;
};

static void fill_with_noise(float *values, size_t n)
{
	uint32_t state = 1;
	for (size_t i = 0; i < n; i++) {
		state = state * 1664525u + 1013904223u;
		values[i] = (float)(state >> 8) / (float)(1 << 24);
	}
}

static void *run_frames(void *arg)
{
	struct runner *r = arg;
	unsigned batch = il_lipsync_net_info(r->net)->batch;
	while (!r->rc && atomic_fetch_sub(r->left, batch) > 0)
		r->rc = il_lipsync_net_run(r->net, batch, &r->error);
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

enum inlay_err il_measure_network(const struct il_lipsync_net_params *params, unsigned workers, int64_t frames,
                                  double *frames_per_s, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	unsigned started = 0;
	atomic_llong left = frames;
	struct runner *runners = calloc(workers, sizeof *runners);
	if (!runners)
		return il_fail_memory(err);
	for (unsigned i = 0; i < workers && !rc; i++) {
		runners[i].left = &left;
		rc = open_and_warm(&runners[i], params, err);
	}
	int64_t start = il_clock_ns();
	for (; started < workers && !rc; started++)
		if (pthread_create(&runners[started].thread, NULL, run_frames, &runners[started])) {
			rc = il_fail(err, INLAY_ERR_MEMORY, "cannot start a thread to measure the network");
			break;
		}
	for (unsigned i = 0; i < started; i++) {
		pthread_join(runners[i].thread, NULL);
		if (runners[i].rc && !rc)
			rc = il_fail(err, runners[i].rc, "%s", runners[i].error.text);
	}
	int64_t ns = il_clock_ns() - start;
	if (!rc) {
		/* Whole batches were run: what was taken past zero was worked on too. */
		unsigned batch = il_lipsync_net_info(runners[0].net)->batch;
		int64_t run = (frames + batch - 1) / batch * batch;
		*frames_per_s = (double)run * 1e9 / (double)(ns > 0 ? ns : 1);
	}
	for (unsigned i = 0; i < workers; i++)
		il_lipsync_net_destroy(&runners[i].net);
	free(runners);
	return rc;
}
