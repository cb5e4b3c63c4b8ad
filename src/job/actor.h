/* An actor: an avatar opened once, with its network, to be drawn by many at a time. What `inlay lipsync` runs one of,
 * and `inlay serve` thousands. */
#ifndef IL_JOB_ACTOR_H
#define IL_JOB_ACTOR_H

#include "avatar/avatar.h"
#include "inlay/frame.h"
#include "job/mouths.h"

/* What is opened of an avatar. */
#define IL_ACTOR_MOUTHS 1u /* the network: mouths can be drawn */
#define IL_ACTOR_FRAMES 2u /* the frames: mouths can be put into them */

struct il_actor_params {
	const char *path;                                                    /* pack, avatar.json or NAME.inlay */
	unsigned parts;                                                      /* IL_ACTOR_MOUTHS and IL_ACTOR_FRAMES */
	const char *model, *parsing, *input_name, *audio_name, *output_name; /* NULL: the avatar's own, by shape */
	int interp;               /* enum il_interp; -1: the avatar's, else linear */
	unsigned sessions;        /* of the network at most, opened as they are needed; 0: 1 */
	unsigned threads, batch;  /* of a session; 0: 1 */
	unsigned decoder_threads; /* of a pack's video; 0: a sensible number */
	int64_t cache_bytes;      /* for decoded frames of a pack; 0: 256 MiB */
};

/* Read-only but for what is locked inside: any number of threads may call all of this but destroy. */
struct il_actor;

/* Nothing half open stays behind an error. One session of the network has run once on zeros. */
enum inlay_err il_actor_open(struct il_actor **actor, const struct il_actor_params *params, struct inlay_error *err);
void il_actor_destroy(struct il_actor **actor);

const struct il_avatar *il_actor_avatar(const struct il_actor *actor);
/* Needs IL_ACTOR_MOUTHS. */
const struct il_mouths_info *il_actor_info(const struct il_actor *actor);

/* Memory it takes now, without mapped pages that the system may drop at any time; grows when a further session opens,
 * with frames of a pack, and with the threads that draw frames. Never blocks. */
int64_t il_actor_bytes(struct il_actor *actor);

/* Draws mouths on a session that is free, or a further one, or the first that becomes free; batch by batch, so that
 * large requests let others between. Needs IL_ACTOR_MOUTHS; where the network takes pictures and request->crops is
 * NULL, IL_ACTOR_FRAMES too. */
enum inlay_err il_actor_draw(struct il_actor *actor, const struct il_mouths_request *request, struct inlay_error *err);

/* The same as an il_mouths; ctx is the actor. */
struct il_mouths il_actor_mouths(struct il_actor *actor);

/* The face of a frame, [C, C, 3] BGR with C = size + 8 (composite/place.h). Needs IL_ACTOR_FRAMES. size: S of the
 * network that will draw it. */
enum inlay_err il_actor_crop(struct il_actor *actor, int64_t frame, int size, uint8_t *crop, struct inlay_error *err);

/* Frame `frame` with `mouth`, [size, size, 3] BGR, in its place: as JPEG in fresh memory (free()), quality 1..100 or 0
 * for the avatar's own, else 90; or as I420 in memory that the caller holds alone. The same bytes as those of
 * `inlay lipsync`. Needs IL_ACTOR_FRAMES. */
enum inlay_err il_actor_jpeg(struct il_actor *actor, int64_t frame, const uint8_t *mouth, int size, int quality,
                             uint8_t **data, size_t *bytes, struct inlay_error *err);
enum inlay_err il_actor_frame(struct il_actor *actor, int64_t frame, const uint8_t *mouth, int size,
                              struct inlay_frame **out, struct inlay_error *err);

#endif
