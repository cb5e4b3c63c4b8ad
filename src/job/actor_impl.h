/* What drawing a frame is made of, for the job, whose stages do it piece by piece. All of it needs IL_ACTOR_FRAMES. */
#ifndef IL_JOB_ACTOR_IMPL_H
#define IL_JOB_ACTOR_IMPL_H

#include "avatar/clip.h"
#include "composite/place.h"
#include "infer/lipsync_net.h"
#include "job/actor.h"
#include "job/net_pool.h"

/* What one thread needs to work on frames: lent by the actor, which keeps it for the next one. */
struct il_brush;

/* For mouths of `size`. */
enum inlay_err il_brush_take(struct il_actor *actor, int size, struct il_brush **brush, struct inlay_error *err);
/* Accepts &{NULL}. */
void il_brush_return(struct il_actor *actor, struct il_brush **brush);
/* Bytes of a crop. */
size_t il_brush_crop_bytes(const struct il_brush *brush);

/* A frame of an avatar on its way to being drawn. */
struct il_shot {
	int64_t index;
	struct inlay_frame *frame; /* I420, the holder's; where JPEGs are spliced, the patch alone */
	struct inlay_rect rect;    /* the face in `frame` */
	struct il_clip_patch patch;
	bool patched;
	uint8_t *crop; /* [C, C, 3] BGR: the face, then the face with its new mouth */
	uint8_t *keep; /* parsing mask of the rectangle, where the avatar has one */
};

/* Memory for the crop and the mask of any frame. */
enum inlay_err il_shot_init(struct il_shot *shot, const struct il_actor *actor, size_t crop_bytes,
                            struct inlay_error *err);
/* {0} is fine. */
void il_shot_clear(struct il_shot *shot);

/* Frame `index` and its face; patch: the patch instead, which needs il_actor_splices. */
enum inlay_err il_shot_take(struct il_shot *shot, struct il_actor *actor, struct il_brush *brush, int64_t index,
                            bool patch, struct inlay_error *err);
/* Puts a mouth, [size, size, 3] BGR, into the crop, and that into the frame. */
enum inlay_err il_shot_draw(struct il_shot *shot, const struct il_actor *actor, struct il_brush *brush,
                            const uint8_t *mouth, struct inlay_error *err);
/* The drawn frame as JPEG: a patch is spliced, a frame encoded. *data is the brush's until its next use. */
enum inlay_err il_shot_jpeg(const struct il_shot *shot, const struct il_actor *actor, struct il_brush *brush,
                            int quality, const uint8_t **data, size_t *bytes, struct inlay_error *err);

/* True where JPEGs of that quality (0: the avatar's own) are spliced. */
bool il_actor_splices(const struct il_actor *actor, int quality);
/* INLAY_ERR_INVALID where the actor was opened without one of them. */
enum inlay_err il_actor_check_parts(const struct il_actor *actor, unsigned parts, struct inlay_error *err);
/* INLAY_ERR_INVALID where whole frames are wanted of an avatar that was compiled without them. */
enum inlay_err il_actor_check_whole(const struct il_actor *actor, struct inlay_error *err);
const struct inlay_frame_info *il_actor_frame_info(const struct il_actor *actor);
void il_actor_cache(struct il_actor *actor, struct il_clip_stats *stats);

/* The network apart from opening it: which, with all but its threads and batch. INLAY_ERR_INVALID where there is none.
 * Pointers are the avatar's and those of params. */
enum inlay_err il_actor_network(const struct il_actor *actor, const struct il_actor_params *params,
                                struct il_lipsync_net_params *net, struct inlay_error *err);
/* Opens it, `ready` sessions at once. Nobody uses the actor meanwhile. */
enum inlay_err il_actor_open_mouths(struct il_actor *actor, const struct il_actor_params *params,
                                    const struct il_lipsync_net_params *net, unsigned ready, struct inlay_error *err);
/* NULL without IL_ACTOR_MOUTHS. */
const struct il_net_pool *il_actor_nets(const struct il_actor *actor);

#endif
