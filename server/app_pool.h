/* A few threads that share out the parts of somebody's work, such as the frames of a request. */
#ifndef SERVER_APP_POOL_H
#define SERVER_APP_POOL_H

#include "base/error.h"

/* Any number of threads may run work at a time: parts of earlier work are begun first. */
struct app_pool;

enum inlay_err app_pool_create(struct app_pool **pool, unsigned threads, struct inlay_error *err);
void app_pool_destroy(struct app_pool **pool); /* nobody runs anything any more */

typedef enum inlay_err app_pool_fn(void *ctx, unsigned part, struct inlay_error *err);

/* Calls fn for each part 0..n-1 once, on the pool's threads and the calling one, and returns when all are done. After a
 * fault no further part is begun; the first one is returned. A part must not run work on the pool itself. */
enum inlay_err app_pool_run(struct app_pool *pool, unsigned n, app_pool_fn *fn, void *ctx, struct inlay_error *err);

#endif
