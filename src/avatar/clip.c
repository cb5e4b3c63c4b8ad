#include "avatar/clip.h"

#include <inttypes.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "avatar/pack_impl.h"
#include "avatar/prepared.h"
#include "base/pattern.h"
#include "media/image.h"
#include "media/video.h"

#define NONE (-1)

/* A frame as an LZ4 block (or as it is, where it does not compress), or the keep bytes of a frame. */
struct block {
	uint8_t *data; /* NULL when not in the cache */
	size_t size;
	int64_t newer, older; /* neighbours in order of use, NONE at the ends */
};

struct il_clip {
	const struct il_avatar *avatar;
	struct il_video *video; /* NULL where the source is pictures */
	int64_t next;           /* frame that il_video_read gives next; INT64_MAX after a fault: seek first */
	struct inlay_frame_info info;
	struct il_frame_pool *pool;
	size_t raw_bytes;       /* of a frame, planes without padding */
	uint8_t *raw, *scratch; /* a frame unpacked; room for the worst LZ4 block, NULL where nothing is packed */
	struct block *blocks;   /* [frames] frames, then [frames] keep bytes where the avatar has parsing */
	int64_t newest, oldest; /* ends of the list of blocks in the cache */
	int64_t budget_bytes;
	size_t smallest; /* frame stored so far, 0 before the first */
	struct il_clip_stats stats;

	/* Of a compiled avatar, which has everything ready; numbers of kinds, -1: it lacks them. */
	const struct il_compiled *compiled;
	int planes, patch, jpeg, index, keep;
	struct il_patches patches;
	struct inlay_frame_info patch_info;
	struct il_frame_pool *patch_pool;
};

/* The list. */

static void unlink_block(struct il_clip *clip, int64_t at)
{
	struct block *b = &clip->blocks[at];
	*(b->newer == NONE ? &clip->newest : &clip->blocks[b->newer].older) = b->older;
	*(b->older == NONE ? &clip->oldest : &clip->blocks[b->older].newer) = b->newer;
}

static void link_newest(struct il_clip *clip, int64_t at)
{
	struct block *b = &clip->blocks[at];
	b->newer = NONE;
	b->older = clip->newest;
	*(clip->newest == NONE ? &clip->oldest : &clip->blocks[clip->newest].newer) = at;
	clip->newest = at;
}

static void touch(struct il_clip *clip, int64_t at)
{
	unlink_block(clip, at);
	link_newest(clip, at);
}

static void evict(struct il_clip *clip, int64_t at)
{
	struct block *b = &clip->blocks[at];
	unlink_block(clip, at);
	clip->stats.bytes -= (int64_t)b->size;
	clip->stats.evicted++;
	free(b->data);
	*b = (struct block){ 0 };
}

/* Copies `size` bytes into the cache, at the cost of what was used least recently. */
static enum inlay_err insert(struct il_clip *clip, int64_t at, const void *data, size_t size, struct inlay_error *err)
{
	struct block *b = &clip->blocks[at];
	while (clip->oldest != NONE && clip->stats.bytes + (int64_t)size > clip->budget_bytes)
		evict(clip, clip->oldest);
	b->data = malloc(size);
	if (!b->data)
		return il_fail_memory(err);
	memcpy(b->data, data, size);
	b->size = size;
	link_newest(clip, at);
	clip->stats.bytes += (int64_t)size;
	if (clip->stats.bytes > clip->stats.peak_bytes)
		clip->stats.peak_bytes = clip->stats.bytes;
	return INLAY_OK;
}

/* Frames in and out of blocks. */

static enum inlay_err store(struct il_clip *clip, int64_t index, const struct inlay_frame *frame,
                            struct inlay_error *err)
{
	if (clip->blocks[index].data) {
		touch(clip, index);
		return INLAY_OK;
	}
	int size = (int)clip->raw_bytes;
	il_raw_copy(frame, clip->raw, false);
	int packed =
		LZ4_compress_default((const char *)clip->raw, (char *)clip->scratch, size, LZ4_compressBound(size));
	bool smaller = packed > 0 && packed < size;
	size_t bytes = smaller ? (size_t)packed : clip->raw_bytes;
	if (!clip->smallest || bytes < clip->smallest)
		clip->smallest = bytes;
	return insert(clip, index, smaller ? clip->scratch : clip->raw, bytes, err);
}

static enum inlay_err restore(struct il_clip *clip, int64_t index, struct inlay_frame **frame, struct inlay_error *err)
{
	const struct block *b = &clip->blocks[index];
	const uint8_t *raw = b->data;
	enum inlay_err rc = il_frame_pool_take(clip->pool, frame, err);
	if (rc)
		return rc;
	if (b->size < clip->raw_bytes) {
		LZ4_decompress_safe((const char *)b->data, (char *)clip->raw, (int)b->size, (int)clip->raw_bytes);
		raw = clip->raw;
	}
	il_raw_copy(*frame, (uint8_t *)raw, true);
	touch(clip, index);
	return INLAY_OK;
}

/* Decoding. */

static enum inlay_err decode_picture(struct il_clip *clip, int64_t index, struct inlay_frame **frame,
                                     struct inlay_error *err)
{
	char path[IL_PATTERN_PATH];
	il_pattern_path(clip->avatar->pattern, clip->avatar->first + index, path);
	enum inlay_err rc =
		il_image_read_sized(path, INLAY_PIX_I420, clip->avatar->width, clip->avatar->height, frame, err);
	clip->stats.decoded += !rc;
	return rc;
}

/* Places the video where reading on leads to `index` soonest: where it stands, or at the key frame before. */
static enum inlay_err approach(struct il_clip *clip, int64_t index, struct inlay_error *err)
{
	int64_t key = il_video_key_before(clip->video, index);
	if (clip->next <= index && clip->next >= key)
		return INLAY_OK;
	clip->next = INT64_MAX;
	enum inlay_err rc = il_video_seek(clip->video, key, err);
	if (!rc)
		clip->next = key;
	return rc;
}

static enum inlay_err read_video(struct il_clip *clip, struct inlay_frame **frame, struct inlay_error *err)
{
	enum inlay_err rc = il_video_read(clip->video, frame, err);
	if (rc == INLAY_EOF)
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: ends at frame %" PRId64 " of %" PRId64, clip->avatar->video,
		             clip->next, clip->avatar->frames);
	clip->next = rc ? INT64_MAX : clip->next + 1;
	clip->stats.decoded += !rc;
	return rc;
}

/* True where a frame passed on the way to one that is `ahead` frames on will still be in the cache by then. */
static bool will_last(const struct il_clip *clip, int64_t ahead)
{
	return !clip->smallest || ahead <= clip->budget_bytes / (int64_t)clip->smallest;
}

/* Reads on to frame `index` and keeps what is passed. */
static enum inlay_err decode_video(struct il_clip *clip, int64_t index, struct inlay_frame **frame,
                                   struct inlay_error *err)
{
	enum inlay_err rc = approach(clip, index, err);
	while (!rc) {
		int64_t at = clip->next;
		rc = read_video(clip, frame, err);
		if (rc || at == index)
			break;
		if (will_last(clip, index - at))
			rc = store(clip, at, *frame, err);
		inlay_frame_destroy(frame);
	}
	return rc;
}

static enum inlay_err decode(struct il_clip *clip, int64_t index, struct inlay_frame **frame, struct inlay_error *err)
{
	enum inlay_err rc =
		clip->video ? decode_video(clip, index, frame, err) : decode_picture(clip, index, frame, err);
	if (rc)
		return rc;
	rc = store(clip, index, *frame, err);
	if (!rc)
		rc = il_frame_make_writable(frame, clip->pool, err);
	if (rc)
		inlay_frame_destroy(frame);
	return rc;
}

static enum inlay_err fetch(struct il_clip *clip, int64_t index, struct inlay_frame **frame, struct inlay_error *err)
{
	bool hit = clip->blocks[index].data;
	*(hit ? &clip->stats.hits : &clip->stats.misses) += 1;
	return hit ? restore(clip, index, frame, err) : decode(clip, index, frame, err);
}

/* Compiled avatars. */

static enum inlay_err unpack(struct il_clip *clip, int64_t index, struct inlay_frame **frame, struct inlay_error *err)
{
	if (clip->planes < 0)
		return il_fail(
			err, INLAY_ERR_INVALID,
			"%s: was compiled without whole frames, and gives JPEG pictures alone (jpg, mjpeg); compile "
			"it without --no-planes for other outputs",
			clip->avatar->path);
	const struct il_safetensor *block = il_compiled_tensor(clip->compiled, clip->planes, index);
	enum inlay_err rc = il_frame_pool_take(clip->pool, frame, err);
	if (rc)
		return rc;
	int bytes = LZ4_decompress_safe((const char *)block->data, (char *)clip->raw, (int)block->size,
	                                (int)clip->raw_bytes);
	if (bytes != (int)clip->raw_bytes) {
		inlay_frame_destroy(frame);
		return il_fail(err, INLAY_ERR_FORMAT, "%s: %s is damaged; compile the avatar again", clip->avatar->path,
		               block->name);
	}
	il_raw_copy(*frame, clip->raw, true);
	return INLAY_OK;
}

bool il_clip_has_patches(const struct il_clip *clip)
{
	return clip->compiled && clip->patch >= 0 && clip->jpeg >= 0 && clip->index >= 0 &&
	       il_compiled_info(clip->compiled)->jpeg_restart_interval > 0;
}

bool il_clip_has_frames(const struct il_clip *clip)
{
	return !clip->compiled || clip->planes >= 0;
}

const struct inlay_frame_info *il_clip_patch_info(const struct il_clip *clip)
{
	return &clip->patch_info;
}

enum inlay_err il_clip_patch(struct il_clip *clip, int64_t index, struct il_clip_patch *patch, struct inlay_error *err)
{
	const struct il_safetensor *raw = il_compiled_tensor(clip->compiled, clip->patch, index);
	const struct il_safetensor *jpeg = il_compiled_tensor(clip->compiled, clip->jpeg, index);
	const struct il_safetensor *offsets = il_compiled_tensor(clip->compiled, clip->index, index);
	if (raw->size != il_raw_bytes(&clip->patch_info) ||
	    offsets->size != il_jpeg_intervals(&clip->patches.form) * sizeof(uint32_t))
		return il_fail(err, INLAY_ERR_FORMAT, "%s: %s does not fit the avatar; compile it again",
		               clip->avatar->path, raw->name);
	enum inlay_err rc = il_frame_pool_take(clip->patch_pool, &patch->frame, err);
	if (rc)
		return rc;
	il_raw_copy(patch->frame, (uint8_t *)raw->data, true);
	il_frame_set_pts(patch->frame, index);
	il_frame_set_colour(patch->frame, clip->info.colour);
	patch->place = il_patches_place(&clip->patches, clip->avatar->rects[index]);
	patch->base = (struct il_jpeg_base){ clip->patches.form, jpeg->data, jpeg->size,
		                             (const uint32_t *)(const void *)offsets->data };
	return INLAY_OK;
}

static enum inlay_err check_index(const struct il_clip *clip, int64_t index, struct inlay_error *err)
{
	if (index >= 0 && index < clip->avatar->frames)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_INVALID, "%s: frame %" PRId64 " was asked for; expected 0 to %" PRId64,
	               clip->avatar->path, index, clip->avatar->frames - 1);
}

enum inlay_err il_clip_frame(struct il_clip *clip, int64_t index, struct inlay_frame **frame, struct inlay_error *err)
{
	*frame = NULL;
	enum inlay_err rc = check_index(clip, index, err);
	if (rc)
		return rc;
	rc = clip->compiled ? unpack(clip, index, frame, err) : fetch(clip, index, frame, err);
	if (rc)
		return rc;
	il_frame_set_pts(*frame, index);
	il_frame_set_colour(*frame, clip->info.colour);
	return INLAY_OK;
}

/* Parsing masks. */

static void mark_kept(const struct inlay_frame *mask, struct inlay_rect rect, uint8_t *keep)
{
	struct inlay_planes planes;
	inlay_frame_map(mask, &planes);
	for (int y = rect.y0; y < rect.y1; y++) {
		const uint8_t *bgr = planes.data[0] + y * planes.stride[0] + (ptrdiff_t)rect.x0 * 3;
		for (int x = rect.x0; x < rect.x1; x++, bgr += 3)
			*keep++ = bgr[2] == 255 && bgr[0] == bgr[1] && (bgr[0] == 0 || bgr[0] == 255);
	}
	inlay_frame_unmap(mask);
}

static enum inlay_err load_keep(struct il_clip *clip, int64_t index, int64_t at, struct inlay_error *err)
{
	char path[IL_PATTERN_PATH];
	struct inlay_rect rect = clip->avatar->rects[index];
	struct inlay_frame *mask;
	il_pattern_path(clip->avatar->parsing, clip->avatar->first + index, path);
	enum inlay_err rc =
		il_image_read_sized(path, INLAY_PIX_BGR24, clip->avatar->width, clip->avatar->height, &mask, err);
	if (rc)
		return rc;
	mark_kept(mask, rect, clip->raw);
	inlay_frame_destroy(&mask);
	return insert(clip, at, clip->raw, (size_t)(rect.x1 - rect.x0) * (size_t)(rect.y1 - rect.y0), err);
}

static enum inlay_err kept(const struct il_clip *clip, int64_t index, const uint8_t **keep, struct inlay_error *err)
{
	const struct il_safetensor *tensor = il_compiled_tensor(clip->compiled, clip->keep, index);
	const struct inlay_rect rect = clip->avatar->rects[index];
	if (tensor->size != (size_t)(rect.x1 - rect.x0) * (size_t)(rect.y1 - rect.y0))
		return il_fail(err, INLAY_ERR_FORMAT, "%s: %s does not fit its rectangle; compile the avatar again",
		               clip->avatar->path, tensor->name);
	*keep = tensor->data;
	return INLAY_OK;
}

bool il_clip_keeps(const struct il_clip *clip)
{
	return clip->avatar->parsing || clip->keep >= 0;
}

enum inlay_err il_clip_keep(struct il_clip *clip, int64_t index, const uint8_t **keep, struct inlay_error *err)
{
	int64_t at = clip->avatar->frames + index;
	*keep = NULL;
	enum inlay_err rc = check_index(clip, index, err);
	if (rc)
		return rc;
	if (!clip->avatar->parsing)
		return clip->keep >= 0 ? kept(clip, index, keep, err) : INLAY_OK;
	if (clip->blocks[at].data)
		touch(clip, at);
	else
		rc = load_keep(clip, index, at, err);
	if (!rc)
		*keep = clip->blocks[at].data;
	return rc;
}

/* Opening. */

static enum inlay_err open_video(struct il_clip *clip, struct il_avatar *avatar, unsigned threads,
                                 struct inlay_error *err)
{
	enum inlay_err rc;
	clip->video = avatar->reader;
	avatar->reader = NULL;
	if (clip->video)
		rc = il_video_set_threads(clip->video, threads, err);
	else
		rc = il_video_open(&clip->video, avatar->video, threads, err);
	if (!rc)
		clip->info = il_video_info(clip->video)->frame;
	return rc;
}

/* The colour of pictures is known once one is decoded; it is kept, as the frame asked for first. */
static enum inlay_err open_pictures(struct il_clip *clip, struct inlay_frame **first, struct inlay_error *err)
{
	enum inlay_err rc = decode_picture(clip, 0, first, err);
	if (!rc)
		clip->info = *inlay_frame_info(*first);
	return rc;
}

/* The number of a kind that is as it must be, or -1 where the avatar lacks it. */
static enum inlay_err find_kind(const struct il_clip *clip, const char *name, enum il_safetensor_type type, int *kind,
                                struct inlay_error *err)
{
	*kind = il_compiled_find_kind(clip->compiled, name);
	if (*kind < 0 || il_compiled_kind_at(clip->compiled, *kind)->type == type)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_FORMAT, "%s: %s are %s, expected %s; compile again", clip->avatar->path, name,
	               il_safetensor_type_name(il_compiled_kind_at(clip->compiled, *kind)->type),
	               il_safetensor_type_name(type));
}

static enum inlay_err open_compiled(struct il_clip *clip, const struct il_compiled *compiled, struct inlay_error *err)
{
	const struct il_compiled_info *info = il_compiled_info(compiled);
	const struct il_jpeg_form form = il_prepared_form(info->width, info->height, info->jpeg_restart_interval);
	clip->compiled = compiled;
	enum inlay_err rc = find_kind(clip, IL_KIND_PLANES, IL_ST_U8, &clip->planes, err);
	if (!rc)
		rc = find_kind(clip, IL_KIND_PATCH, IL_ST_U8, &clip->patch, err);
	if (!rc)
		rc = find_kind(clip, IL_KIND_JPEG, IL_ST_U8, &clip->jpeg, err);
	if (!rc)
		rc = find_kind(clip, IL_KIND_INDEX, IL_ST_U32, &clip->index, err);
	if (!rc)
		rc = find_kind(clip, IL_KIND_KEEP, IL_ST_U8, &clip->keep, err);
	clip->info = (struct inlay_frame_info){ INLAY_PIX_I420, info->width, info->height, info->colour };
	il_patches_init(&clip->patches, &form, info->rects, info->frames);
	clip->patch_info = clip->info;
	clip->patch_info.width = clip->patches.width;
	clip->patch_info.height = clip->patches.height;
	return rc;
}

static enum inlay_err open_source(struct il_clip *clip, struct il_avatar *avatar, unsigned threads,
                                  struct inlay_frame **first, struct inlay_error *err)
{
	if (avatar->compiled)
		return open_compiled(clip, avatar->compiled, err);
	return avatar->video ? open_video(clip, avatar, threads, err) : open_pictures(clip, first, err);
}

static enum inlay_err allocate(struct il_clip *clip, int64_t budget_bytes, struct inlay_error *err)
{
	size_t frames = (size_t)clip->avatar->frames;
	clip->raw_bytes = il_raw_bytes(&clip->info);
	if (clip->raw_bytes > LZ4_MAX_INPUT_SIZE)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: frames of %dx%d are too large to keep",
		               clip->avatar->path, clip->info.width, clip->info.height);
	clip->raw = malloc(clip->raw_bytes);
	if (!clip->compiled)
		clip->scratch = malloc((size_t)LZ4_compressBound((int)clip->raw_bytes));
	clip->blocks = calloc(frames * (clip->avatar->parsing ? 2 : 1), sizeof *clip->blocks);
	if (!clip->raw || (!clip->scratch && !clip->compiled) || !clip->blocks)
		return il_fail_memory(err);
	clip->budget_bytes = 2 * (int64_t)clip->raw_bytes;
	if (clip->budget_bytes < budget_bytes)
		clip->budget_bytes = budget_bytes;
	enum inlay_err rc = il_frame_pool_create(&clip->pool, &clip->info, err);
	return rc || !clip->compiled ? rc : il_frame_pool_create(&clip->patch_pool, &clip->patch_info, err);
}

enum inlay_err il_clip_open(struct il_clip **out, struct il_avatar *avatar, int64_t budget_bytes, unsigned threads,
                            struct inlay_error *err)
{
	struct inlay_frame *first = NULL;
	struct il_clip *clip = calloc(1, sizeof *clip);
	*out = NULL;
	if (!clip)
		return il_fail_memory(err);
	clip->avatar = avatar;
	clip->newest = clip->oldest = NONE;
	clip->keep = -1;
	enum inlay_err rc = open_source(clip, avatar, threads, &first, err);
	if (!rc)
		rc = allocate(clip, budget_bytes, err);
	if (!rc && first)
		rc = store(clip, 0, first, err);
	inlay_frame_destroy(&first);
	if (rc)
		il_clip_destroy(&clip);
	*out = clip;
	return rc;
}

void il_clip_destroy(struct il_clip **slot)
{
	struct il_clip *clip = *slot;
	*slot = NULL;
	if (!clip)
		return;
	while (clip->oldest != NONE)
		evict(clip, clip->oldest);
	il_frame_pool_destroy(&clip->pool);
	il_frame_pool_destroy(&clip->patch_pool);
	il_video_destroy(&clip->video);
	free(clip->blocks);
	free(clip->raw);
	free(clip->scratch);
	free(clip);
}

const struct inlay_frame_info *il_clip_info(const struct il_clip *clip)
{
	return &clip->info;
}

void il_clip_stats(const struct il_clip *clip, struct il_clip_stats *stats)
{
	*stats = clip->stats;
}
