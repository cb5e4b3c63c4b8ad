/* Which inference server gets the next request. Pure: the caller locks. */
#ifndef SERVER_RPC_MOUTHS_CHOICE_H
#define SERVER_RPC_MOUTHS_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#define MOUTHS_SERVERS 64 /* at most: a bit each */

struct mouths_load {
	bool healthy;         /* answers its health checks */
	unsigned outstanding; /* frames under way */
	unsigned failures;    /* in a row */
	int64_t again_ns;     /* not before that, after a failure */
};

/* Of those that are healthy, past their backoff and not in `tried` (bits): the one with the least under way, the next
 * after `last` where several have. -1: none. */
int mouths_choose(const struct mouths_load *loads, unsigned n, uint64_t tried, unsigned last, int64_t now_ns);
/* True where a healthy one is not in `tried`, in backoff or not. */
bool mouths_untried(const struct mouths_load *loads, unsigned n, uint64_t tried);

void mouths_failed(struct mouths_load *load, int64_t now_ns); /* 50 ms, doubled each time up to 3.2 s */
void mouths_succeeded(struct mouths_load *load);

#endif
