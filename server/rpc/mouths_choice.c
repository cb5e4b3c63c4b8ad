#include "server/rpc/mouths_choice.h"

#define BACKOFF_NS 50000000
#define BACKOFF_DOUBLINGS 6

static bool is_tried(uint64_t tried, unsigned i)
{
	return tried >> i & 1;
}

int mouths_choose(const struct mouths_load *loads, unsigned n, uint64_t tried, unsigned last, int64_t now_ns)
{
	int best = -1;
	for (unsigned k = 1; k <= n; k++) {
		unsigned i = (last + k) % n;
		if (!loads[i].healthy || loads[i].again_ns > now_ns || is_tried(tried, i))
			continue;
		if (best < 0 || loads[i].outstanding < loads[best].outstanding)
			best = (int)i;
	}
	return best;
}

bool mouths_untried(const struct mouths_load *loads, unsigned n, uint64_t tried)
{
	bool found = false;
	for (unsigned i = 0; i < n && !found; i++)
		found = loads[i].healthy && !is_tried(tried, i);
	return found;
}

void mouths_failed(struct mouths_load *load, int64_t now_ns)
{
	unsigned doublings = load->failures < BACKOFF_DOUBLINGS ? load->failures : BACKOFF_DOUBLINGS;
	load->again_ns = now_ns + ((int64_t)BACKOFF_NS << doublings);
	load->failures++;
}

void mouths_succeeded(struct mouths_load *load)
{
	load->failures = 0;
	load->again_ns = 0;
}
