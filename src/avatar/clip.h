/* The frames of an avatar, by index, from a cache under a byte budget.
 *
 * Decoded frames are kept as LZ4 blocks (talking heads: a third of their size, back in half a millisecond), least
 * recently used out first. What is not there is decoded again from the key frame before it, and the frames passed on
 * the way are kept, so that walking backwards costs one decode of a group of pictures for each budget full of frames.
 */
#ifndef IL_AVATAR_CLIP_H
#define IL_AVATAR_CLIP_H

#include "avatar/avatar.h"
#include "avatar/prepared.h"

struct il_clip_stats {
	int64_t hits, misses, decoded, evicted, bytes, peak_bytes;
};

/* One thread at a time. */
struct il_clip;

/* The avatar outlives the clip, which takes its reader. budget_bytes: of the cache; room for two frames is always kept.
 * threads: of the video's decoder, 0 for a sensible number. */
enum inlay_err il_clip_open(struct il_clip **clip, struct il_avatar *avatar, int64_t budget_bytes, unsigned threads,
                            struct inlay_error *err);
void il_clip_destroy(struct il_clip **clip);

/* Format and colour of every frame: I420. */
const struct inlay_frame_info *il_clip_info(const struct il_clip *clip);

/* Frame `index` in memory that the caller holds alone and may write. */
enum inlay_err il_clip_frame(struct il_clip *clip, int64_t index, struct inlay_frame **frame, struct inlay_error *err);

/* keep[] of il_place_draw for frame `index`: 1 where the parsing mask is red or white (SyncTalk_2D). The bytes are
 * the clip's, valid until the next call; *keep is NULL for an avatar without parsing. */
enum inlay_err il_clip_keep(struct il_clip *clip, int64_t index, const uint8_t **keep, struct inlay_error *err);

/* True where il_clip_keep gives something. */
bool il_clip_keeps(const struct il_clip *clip);

/* Of a compiled avatar: what splicing a JPEG needs, instead of the frame. */
struct il_clip_patch {
	struct inlay_frame *frame; /* as that of il_clip_frame, but of the pixels at `place` alone */
	struct inlay_rect place;
	struct il_jpeg_base base; /* of the whole frame; lives with the avatar */
};
bool il_clip_has_patches(const struct il_clip *clip);
/* False for a compiled avatar that was made without whole frames: il_clip_frame fails. */
bool il_clip_has_frames(const struct il_clip *clip);
const struct inlay_frame_info *il_clip_patch_info(const struct il_clip *clip);
enum inlay_err il_clip_patch(struct il_clip *clip, int64_t index, struct il_clip_patch *patch, struct inlay_error *err);

void il_clip_stats(const struct il_clip *clip, struct il_clip_stats *stats);

#endif
