/* inlay bench lipsync --compare: the network as it is, rewritten, and fused, and the job around it. */
#ifndef INLAY_BENCH_COMPARE_H
#define INLAY_BENCH_COMPARE_H

#include "lipsync.h"

/* Interleaved, in one run and on the same processors, each in its better way of using them: a session a processor, or
 * one session on all. Prints a table on standard output; `json` of params gets ms, GFLOP/s, the share of the measured
 * FMA peak and ratios. `sweep` and `svg` are not looked at. */
enum inlay_err bench_compare(const struct bench_params *params, struct inlay_error *err);

#endif
