/* Sessions of one lip-sync network, to be drawn on by many threads: one session serves one of them at a time. */
#ifndef IL_JOB_NET_POOL_H
#define IL_JOB_NET_POOL_H

#include "avatar/avatar.h"
#include "infer/lipsync_net.h"
#include "job/mouths.h"

struct il_net_pool_params {
	struct il_lipsync_net_params net; /* strings are copied; weights live as long as the avatar */
	const struct il_avatar *avatar;   /* outlives the pool: has what a compiled network takes of each frame */
	int interp;                       /* enum il_interp that was asked for, -1: none */
	unsigned sessions;                /* at most */
	unsigned ready;                   /* of them opened, and run once on zeros, at once; 1..sessions */
};

/* Any number of threads may call all of this but destroy. */
struct il_net_pool;

/* INLAY_ERR_INVALID where the network takes what was computed beforehand, and the avatar is not the one that it was
 * compiled with. */
enum inlay_err il_net_pool_open(struct il_net_pool **pool, const struct il_net_pool_params *params,
                                struct inlay_error *err);
void il_net_pool_destroy(struct il_net_pool **pool);

/* Of each session. */
const struct il_lipsync_net_info *il_net_pool_info(const struct il_net_pool *pool);
/* As il_lipsync_net_rows. */
enum inlay_err il_net_pool_rows(const struct il_net_pool *pool, size_t row_floats, unsigned *rows,
                                struct inlay_error *err);

/* What the sessions take of memory: what the allocator gave while they opened, where nothing else was being opened;
 * else as much for each byte of the model as it was then. Never blocks. */
int64_t il_net_pool_bytes(struct il_net_pool *pool);

/* Draws what is at most info->batch mouths, with the frames in range, and crops where the network takes pictures: on a
 * session that is free, else on a further one, else on the first that becomes free. */
enum inlay_err il_net_pool_draw(struct il_net_pool *pool, const struct il_mouths_request *request,
                                struct inlay_error *err);

#endif
