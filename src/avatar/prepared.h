/* What the tensors of a compiled avatar's frames mean (compiled.h holds them).
 *
 *   planes   U8 [bytes]   the frame: I420 without padding, as an LZ4 block
 *   patch    U8 [bytes]   the pixels around the rectangle: I420 of il_patches_init's size, without padding
 *   jpeg     U8 [bytes]   the frame as a JPEG cut by restart markers (media/jpeg_splice.h)
 *   index    U32 [n]      where its intervals begin
 *   keep     U8 [h, w]    of the rectangle: 1 where the parsing mask keeps the frame's own pixel
 *
 * beside them, of no frame,
 *
 *   weights  F32 [n]      of the network's fused operators (infer/fused_ops.h)
 *
 * and in the store of hoisted tensors the network's inputs that were computed beforehand, under their names. The patch
 * is what splicing needs: it is drawn into, and coded anew, without a look at the rest of the frame.
 */
#ifndef IL_AVATAR_PREPARED_H
#define IL_AVATAR_PREPARED_H

#include "avatar/compiled.h"
#include "frame/frame.h"
#include "media/jpeg_splice.h"

#define IL_KIND_PLANES "planes"
#define IL_KIND_PATCH "patch"
#define IL_KIND_JPEG "jpeg"
#define IL_KIND_INDEX "index"
#define IL_KIND_KEEP "keep"
#define IL_CONSTANT_WEIGHTS "weights"

/* Of a frame's JPEG; interval: MCUs between restart markers. */
struct il_jpeg_form il_prepared_form(int width, int height, int interval);

/* All patches of an avatar have one size; they begin at even pixels and lie inside the frame. */
struct il_patches {
	int width, height; /* of a patch */
	struct il_jpeg_form form;
};
void il_patches_init(struct il_patches *patches, const struct il_jpeg_form *form, const struct inlay_rect *rects,
                     int64_t frames);
/* Where the patch of a rectangle lies. */
struct inlay_rect il_patches_place(const struct il_patches *patches, struct inlay_rect rect);

/* Makes frames' tensors. One thread. */
struct il_packer;

struct il_packed {
	const uint8_t *planes, *patch;
	size_t planes_bytes, patch_bytes;
	struct il_jpeg_base jpeg;
};

/* frame: of every frame to come; I420. */
enum inlay_err il_packer_create(struct il_packer **packer, const struct inlay_frame_info *frame,
                                const struct il_patches *patches, int jpeg_quality, struct inlay_error *err);
void il_packer_destroy(struct il_packer **packer);
/* What comes back is the packer's until the next call. */
enum inlay_err il_packer_pack(struct il_packer *packer, const struct inlay_frame *frame, struct inlay_rect rect,
                              struct il_packed *packed, struct inlay_error *err);

/* A patch that was drawn into becomes the frame's JPEG. One thread. */
struct il_patcher;
enum inlay_err il_patcher_create(struct il_patcher **patcher, const struct inlay_frame_info *patch,
                                 struct inlay_error *err);
void il_patcher_destroy(struct il_patcher **patcher);
/* patch: the pixels at `place` of the frame, changed within `rect` alone (both in pixels of the frame). *data is the
 * patcher's until the next call. */
enum inlay_err il_patcher_splice(struct il_patcher *patcher, const struct il_jpeg_base *base,
                                 const struct inlay_frame *patch, struct inlay_rect place, struct inlay_rect rect,
                                 const uint8_t **data, size_t *size, struct inlay_error *err);

/* Between planes of a frame and bytes without padding. */
size_t il_raw_bytes(const struct inlay_frame_info *info);
void il_raw_copy(const struct inlay_frame *frame, uint8_t *raw, bool to_frame);

#endif
