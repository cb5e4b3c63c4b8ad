#include "base/histogram.h"

#define SUB_BITS 5
#define SUB (1 << SUB_BITS)

/* Values below SUB have a bucket each; above, the bucket is the octave and the next SUB_BITS bits. */
static unsigned bucket_of(int64_t ns)
{
	uint64_t v = ns < 0 ? 0 : (uint64_t)ns;
	if (v < SUB)
		return (unsigned)v;
	unsigned octave = 63u - (unsigned)__builtin_clzll(v);
	unsigned index = ((octave - SUB_BITS + 1) << SUB_BITS) + (unsigned)(v >> (octave - SUB_BITS)) - SUB;
	return index < IL_HISTOGRAM_BUCKETS ? index : IL_HISTOGRAM_BUCKETS - 1;
}

/* The middle of a bucket. */
static int64_t value_of(unsigned index)
{
	if (index < SUB)
		return index;
	unsigned shift = (index >> SUB_BITS) - 1;
	uint64_t low = (uint64_t)(SUB + index % SUB) << shift;
	return (int64_t)(low + (((uint64_t)1 << shift) >> 1));
}

void il_histogram_add(struct il_histogram *h, int64_t ns)
{
	h->count++;
	h->total_ns += ns;
	if (ns > h->max_ns)
		h->max_ns = ns;
	h->buckets[bucket_of(ns)]++;
}

int64_t il_histogram_percentile_ns(const struct il_histogram *h, double share)
{
	if (!h->count)
		return 0;
	uint64_t rank = (uint64_t)(share * (double)h->count);
	rank = rank < h->count ? rank : h->count - 1;
	uint64_t seen = 0;
	for (unsigned i = 0; i < IL_HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen > rank) {
			int64_t v = value_of(i);
			return v < h->max_ns ? v : h->max_ns;
		}
	}
	return h->max_ns;
}
