/* What the jobs have in common. */
#ifndef INLAY_JOB_H
#define INLAY_JOB_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define INLAY_CRF_LOSSLESS (-1)

/* Called about five times a second from the thread that runs; returning false cancels. expected is -1 if unknown. */
typedef bool inlay_progress_fn(void *ctx, int64_t done, int64_t expected);

/* Duration of one stage's work on one frame. */
struct inlay_stage_stats {
	const char *name; /* "decode", "inference", ... */
	unsigned workers;
	int64_t count;
	double total_ms, mean_ms, p50_ms, p99_ms, max_ms;
};

#ifdef __cplusplus
}
#endif
#endif
