/* Time and resources of this process. */
#ifndef IL_BASE_CLOCK_H
#define IL_BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

int64_t il_clock_ns(void);               /* monotonic */
bool il_cond_init(pthread_cond_t *cond); /* one whose timed waits are on il_clock_ns; false when memory is out */
int64_t il_cpu_ns(void);                 /* user + system time of the whole process */
int64_t il_peak_rss_bytes(void);         /* since start, or since the last il_peak_rss_reset that worked */
int64_t
il_memory_bytes(void);       /* physical memory that this process may use (limits of its cgroups, version 2, counted) */
int il_peak_rss_reset(void); /* 1 where the system allows it, else 0 */
unsigned il_cpu_count(void); /* processors that this process may use (affinity and cgroup quotas counted) */

#endif
