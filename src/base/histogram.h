/* A histogram of durations in fixed memory: buckets of 1/32 octave, so percentiles are within 3 %. */
#ifndef IL_BASE_HISTOGRAM_H
#define IL_BASE_HISTOGRAM_H

#include <stdint.h>

#define IL_HISTOGRAM_BUCKETS (40 * 32)

/* {0} is empty. Not locked. */
struct il_histogram {
	uint64_t count;
	int64_t total_ns, max_ns;
	uint32_t buckets[IL_HISTOGRAM_BUCKETS];
};

void il_histogram_add(struct il_histogram *h, int64_t ns);
/* share 0..1, e.g. 0.99. 0 when empty. */
int64_t il_histogram_percentile_ns(const struct il_histogram *h, double share);

#endif
