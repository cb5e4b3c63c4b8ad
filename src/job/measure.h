/* How fast a network runs on this machine, and the best way to run it. */
#ifndef IL_JOB_MEASURE_H
#define IL_JOB_MEASURE_H

#include "infer/lipsync_net.h"

/* Sessions of one network, ready to run random frames side by side, one thread each to drive it. cold: what a compiled
 * network takes beforehand comes from memory that no cache holds, as it does in a job; else it is zeros. */
struct il_runners;

enum inlay_err il_runners_open(struct il_runners **runners, const struct il_lipsync_net_params *net, unsigned workers,
                               bool cold, struct inlay_error *err);
void il_runners_destroy(struct il_runners **runners);
/* Runs at least `frames`. */
enum inlay_err il_runners_run(struct il_runners *runners, int64_t frames, double *frames_per_s,
                              struct inlay_error *err);

/* Opens, runs and destroys them: runs at least `frames` random frames through `workers` sessions side by side, after
 * one run of each to warm up. Threads of its own; returns when all are done. */
enum inlay_err il_measure_network(const struct il_lipsync_net_params *net, unsigned workers, int64_t frames,
                                  double *frames_per_s, struct inlay_error *err);

struct il_tuning {
	unsigned workers, batch; /* sessions, frames a run */
	unsigned threads;        /* of one session */
	bool measured;           /* now or by an earlier run; false: the job is too short to be worth it */
};

/* What each of `workers` sessions gets of `threads` processors: at least 1, and no more than a network has work for. */
unsigned il_session_threads(unsigned threads, unsigned workers);

/* Chooses what the caller leaves at 0 of workers and batch, for `threads` processors in all. Candidates are measured
 * one after the other; one that needs more sessions or a larger batch, and so more memory, must be 10 % faster to win,
 * and is not tried where its sessions would take more than 256 MiB a processor or an eighth of the memory (512 MiB is
 * always allowed). The outcome is kept in $XDG_CACHE_HOME/inlay/tuning.json (~/.cache) by model, processor and
 * threads, so that the seconds it takes are spent once. `expected` frames (-1 unknown): below 100 nothing is
 * measured. */
enum inlay_err il_tune(const struct il_lipsync_net_params *net, unsigned threads, unsigned workers, unsigned batch,
                       int64_t expected, struct il_tuning *tuning, struct inlay_error *err);

#endif
