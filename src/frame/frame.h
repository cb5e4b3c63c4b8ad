/* Making frames. The public half is inlay/frame.h. */
#ifndef IL_FRAME_FRAME_H
#define IL_FRAME_FRAME_H

#include "inlay/frame.h"

#define IL_FRAME_ALIGN 64 /* of every plane's start and stride */

/* Size of plane i of `info`, in bytes a row and rows; 0 x 0 past the last plane. */
void il_plane_size(const struct inlay_frame_info *info, int plane, size_t *row_bytes, int *rows);
int il_plane_count(enum inlay_pixfmt format);
const char *il_pixfmt_name(enum inlay_pixfmt format);

/* Frames of one shape, recycled. Any thread may take frames and destroy them. The pool lives until it is destroyed
 * and its last frame is, whichever comes later. Grows on demand and never shrinks: who takes frames bounds them. */
struct il_frame_pool;

enum inlay_err il_frame_pool_create(struct il_frame_pool **pool, const struct inlay_frame_info *info,
                                    struct inlay_error *err);
void il_frame_pool_destroy(struct il_frame_pool **pool);

/* A frame with undefined pixels and pts, held by the caller alone. */
enum inlay_err il_frame_pool_take(struct il_frame_pool *pool, struct inlay_frame **frame, struct inlay_error *err);

/* How many frames the pool ever made, for tests of "allocates nothing in steady state". */
unsigned il_frame_pool_made(struct il_frame_pool *pool);

/* A lone frame outside any pool. */
enum inlay_err il_frame_create(struct inlay_frame **frame, const struct inlay_frame_info *info,
                               struct inlay_error *err);

void il_frame_set_pts(struct inlay_frame *frame, int64_t pts);
/* Replaces the colour tags; the caller is the only holder. */
void il_frame_set_colour(struct inlay_frame *frame, struct inlay_colour colour);

/* Copies pixels; both frames have the same format and size. */
void il_frame_copy(const struct inlay_frame *to, const struct inlay_frame *from);

/* Copy on write: makes *frame one that the caller holds alone, copying into a frame of `pool` if it was shared. */
enum inlay_err il_frame_make_writable(struct inlay_frame **frame, struct il_frame_pool *pool, struct inlay_error *err);

#endif
