#include "job/actor.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "avatar/compiled.h"
#include "base/error.h"
#include "job/actor_impl.h"
#include "media/image.h"

#define ALL_PARTS (IL_ACTOR_MOUTHS | IL_ACTOR_FRAMES)
#define DEFAULT_CACHE ((int64_t)256 << 20)
#define DEFAULT_QUALITY 90
#define FRAME_BYTES 64 /* about what the lists of an avatar and its clip take a frame */

struct il_brush {
	int size;
	struct il_place *place;
	struct il_clip *clip; /* of a compiled avatar, where one costs next to nothing; NULL: the actor's, locked */
	struct il_patcher *patcher;       /* NULL before a JPEG was spliced */
	struct il_image_encoder *encoder; /* NULL before a frame was encoded */
	int quality;                      /* of the encoder */
	struct il_shot shot;              /* for calls that do a whole frame; {0} before the first */
	uint8_t *crops;                   /* for requests without crops */
	unsigned n_crops;
	int64_t bytes; /* of all this, about */
	struct il_brush *next;
};

struct il_actor {
	struct il_avatar *avatar;
	enum il_interp interp;
	struct il_net_pool *nets; /* NULL without mouths */
	struct il_mouths_info info;
	bool parsing;
	size_t keep_bytes; /* of the greatest rectangle */

	pthread_mutex_t clip_lock;
	struct il_clip *clip; /* NULL without frames; its use is under the lock, but for what never changes */
	atomic_llong clip_bytes;

	pthread_mutex_t brush_lock;
	struct il_brush *idle; /* under the lock; last in, first out */
	atomic_llong brush_bytes;
};

/* ---- brushes ---- */

static void destroy_brush(struct il_actor *actor, struct il_brush *brush)
{
	atomic_fetch_sub(&actor->brush_bytes, brush->bytes);
	il_place_destroy(&brush->place);
	il_clip_destroy(&brush->clip);
	il_patcher_destroy(&brush->patcher);
	il_image_encoder_destroy(&brush->encoder);
	il_shot_clear(&brush->shot);
	free(brush->crops);
	free(brush);
}

static enum inlay_err make_brush(struct il_actor *actor, int size, struct il_brush **out, struct inlay_error *err)
{
	struct il_brush *brush = *out = calloc(1, sizeof *brush);
	if (!brush)
		return il_fail_memory(err);
	brush->size = size;
	enum inlay_err rc = il_place_create(&brush->place, size, actor->interp, err);
	if (!rc && actor->avatar->compiled)
		rc = il_clip_open(&brush->clip, actor->avatar, 0, 1, err);
	if (rc) {
		destroy_brush(actor, brush);
		*out = NULL;
		return rc;
	}
	/* The patch of a place, the crop, a JPEG. */
	brush->bytes = 3 * (int64_t)il_place_crop_bytes(brush->place);
	atomic_fetch_add(&actor->brush_bytes, brush->bytes);
	return INLAY_OK;
}

/* With the lock: the idle brush of that size last used; else any other, which makes room for a new one. */
static struct il_brush *find_idle(struct il_actor *actor, int size)
{
	struct il_brush **at = &actor->idle;
	while (*at && (*at)->size != size && (*at)->next)
		at = &(*at)->next;
	struct il_brush *found = *at;
	if (found)
		*at = found->next;
	return found;
}

enum inlay_err il_brush_take(struct il_actor *actor, int size, struct il_brush **out, struct inlay_error *err)
{
	pthread_mutex_lock(&actor->brush_lock);
	struct il_brush *brush = find_idle(actor, size);
	pthread_mutex_unlock(&actor->brush_lock);
	if (brush && brush->size != size) {
		destroy_brush(actor, brush);
		brush = NULL;
	}
	*out = brush;
	return brush ? INLAY_OK : make_brush(actor, size, out, err);
}

void il_brush_return(struct il_actor *actor, struct il_brush **slot)
{
	struct il_brush *brush = *slot;
	*slot = NULL;
	if (!brush)
		return;
	pthread_mutex_lock(&actor->brush_lock);
	brush->next = actor->idle;
	actor->idle = brush;
	pthread_mutex_unlock(&actor->brush_lock);
}

size_t il_brush_crop_bytes(const struct il_brush *brush)
{
	return il_place_crop_bytes(brush->place);
}

/* ---- shots ---- */

enum inlay_err il_shot_init(struct il_shot *shot, const struct il_actor *actor, size_t crop_bytes,
                            struct inlay_error *err)
{
	*shot = (struct il_shot){ .crop = malloc(crop_bytes) };
	if (actor->parsing)
		shot->keep = malloc(actor->keep_bytes);
	return shot->crop && (shot->keep || !actor->parsing) ? INLAY_OK : il_fail_memory(err);
}

void il_shot_clear(struct il_shot *shot)
{
	inlay_frame_destroy(&shot->frame);
	free(shot->crop);
	free(shot->keep);
	*shot = (struct il_shot){ 0 };
}

/* The frame, or of a JPEG to be spliced the pixels around the face. */
static enum inlay_err take_picture(struct il_shot *shot, const struct il_actor *actor, struct il_clip *clip, bool patch,
                                   struct inlay_error *err)
{
	shot->rect = actor->avatar->rects[shot->index];
	shot->patched = patch;
	if (!patch)
		return il_clip_frame(clip, shot->index, &shot->frame, err);
	enum inlay_err rc = il_clip_patch(clip, shot->index, &shot->patch, err);
	if (rc)
		return rc;
	const struct inlay_rect place = shot->patch.place;
	shot->frame = shot->patch.frame;
	shot->rect = (struct inlay_rect){ shot->rect.x0 - place.x0, shot->rect.y0 - place.y0, shot->rect.x1 - place.x0,
		                          shot->rect.y1 - place.y0 };
	return INLAY_OK;
}

static enum inlay_err take_mask(struct il_shot *shot, struct il_clip *clip, struct inlay_error *err)
{
	const uint8_t *keep;
	enum inlay_err rc = il_clip_keep(clip, shot->index, &keep, err);
	if (!rc)
		memcpy(shot->keep, keep,
		       (size_t)(shot->rect.x1 - shot->rect.x0) * (size_t)(shot->rect.y1 - shot->rect.y0));
	return rc;
}

static enum inlay_err take_from(struct il_shot *shot, const struct il_actor *actor, struct il_clip *clip, bool patch,
                                struct inlay_error *err)
{
	enum inlay_err rc = take_picture(shot, actor, clip, patch, err);
	return rc || !actor->parsing || !shot->keep ? rc : take_mask(shot, clip, err);
}

static enum inlay_err take_locked(struct il_shot *shot, struct il_actor *actor, bool patch, struct inlay_error *err)
{
	struct il_clip_stats stats;
	pthread_mutex_lock(&actor->clip_lock);
	enum inlay_err rc = take_from(shot, actor, actor->clip, patch, err);
	il_clip_stats(actor->clip, &stats);
	pthread_mutex_unlock(&actor->clip_lock);
	atomic_store(&actor->clip_bytes, stats.bytes);
	return rc;
}

static enum inlay_err check_frame(const struct il_actor *actor, int64_t frame, struct inlay_error *err)
{
	if (frame >= 0 && frame < actor->avatar->frames)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_INVALID, "%s: frame %" PRId64 " was asked for; expected 0 to %" PRId64,
	               actor->avatar->path, frame, actor->avatar->frames - 1);
}

enum inlay_err il_shot_take(struct il_shot *shot, struct il_actor *actor, struct il_brush *brush, int64_t index,
                            bool patch, struct inlay_error *err)
{
	enum inlay_err rc = check_frame(actor, index, err);
	if (rc)
		return rc;
	shot->index = index;
	rc = brush->clip ? take_from(shot, actor, brush->clip, patch, err) : take_locked(shot, actor, patch, err);
	return rc ? rc : il_place_crop(brush->place, shot->frame, shot->rect, shot->crop, err);
}

enum inlay_err il_shot_draw(struct il_shot *shot, const struct il_actor *actor, struct il_brush *brush,
                            const uint8_t *mouth, struct inlay_error *err)
{
	il_place_mouth_bytes(brush->place, shot->crop, mouth);
	return il_place_draw(brush->place, shot->frame, shot->rect, shot->crop, actor->parsing ? shot->keep : NULL,
	                     err);
}

static enum inlay_err splice(const struct il_shot *shot, const struct il_actor *actor, struct il_brush *brush,
                             const uint8_t **data, size_t *bytes, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	if (!brush->patcher)
		rc = il_patcher_create(&brush->patcher, il_clip_patch_info(actor->clip), err);
	return rc ? rc
	          : il_patcher_splice(brush->patcher, &shot->patch.base, shot->frame, shot->patch.place,
	                              actor->avatar->rects[shot->index], data, bytes, err);
}

enum inlay_err il_shot_jpeg(const struct il_shot *shot, const struct il_actor *actor, struct il_brush *brush,
                            int quality, const uint8_t **data, size_t *bytes, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	if (shot->patched)
		return splice(shot, actor, brush, data, bytes, err);
	quality = quality ? quality : DEFAULT_QUALITY;
	if (brush->encoder && brush->quality != quality)
		il_image_encoder_destroy(&brush->encoder);
	if (!brush->encoder)
		rc = il_image_encoder_create(&brush->encoder, "jpg", quality, err);
	brush->quality = quality;
	return rc ? rc : il_image_encode(brush->encoder, shot->frame, data, bytes, err);
}

/* ---- frames ---- */

bool il_actor_splices(const struct il_actor *actor, int quality)
{
	return il_clip_has_patches(actor->clip) &&
	       (!quality || quality == il_compiled_info(actor->avatar->compiled)->jpeg_quality);
}

enum inlay_err il_actor_check_whole(const struct il_actor *actor, struct inlay_error *err)
{
	if (il_clip_has_frames(actor->clip))
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_INVALID,
	               "%s: was compiled without whole frames (--no-planes), and gives JPEG pictures of quality %d "
	               "alone (jpg, mjpeg): compile it with them for other outputs",
	               actor->avatar->path, il_compiled_info(actor->avatar->compiled)->jpeg_quality);
}

const struct inlay_frame_info *il_actor_frame_info(const struct il_actor *actor)
{
	return il_clip_info(actor->clip);
}

void il_actor_cache(struct il_actor *actor, struct il_clip_stats *stats)
{
	pthread_mutex_lock(&actor->clip_lock);
	il_clip_stats(actor->clip, stats);
	pthread_mutex_unlock(&actor->clip_lock);
}

enum inlay_err il_actor_check_parts(const struct il_actor *actor, unsigned parts, struct inlay_error *err)
{
	if ((parts & IL_ACTOR_FRAMES && !actor->clip) || (parts & IL_ACTOR_MOUTHS && !actor->nets))
		return il_fail(err, INLAY_ERR_INVALID, "%s: was opened without its %s", actor->avatar->path,
		               parts & IL_ACTOR_FRAMES && !actor->clip ? "frames" : "network");
	return INLAY_OK;
}

/* A brush, and the frame with its face in the brush's own shot. */
static enum inlay_err take_shot(struct il_actor *actor, int64_t frame, int size, bool patch, struct il_brush **brush,
                                struct inlay_error *err)
{
	enum inlay_err rc = il_brush_take(actor, size, brush, err);
	if (!rc && !(*brush)->shot.crop)
		rc = il_shot_init(&(*brush)->shot, actor, il_brush_crop_bytes(*brush), err);
	return rc ? rc : il_shot_take(&(*brush)->shot, actor, *brush, frame, patch, err);
}

static void return_shot(struct il_actor *actor, struct il_brush **brush)
{
	if (*brush)
		inlay_frame_destroy(&(*brush)->shot.frame);
	il_brush_return(actor, brush);
}

enum inlay_err il_actor_crop(struct il_actor *actor, int64_t frame, int size, uint8_t *crop, struct inlay_error *err)
{
	struct il_brush *brush = NULL;
	enum inlay_err rc = il_actor_check_parts(actor, IL_ACTOR_FRAMES, err);
	if (!rc)
		rc = take_shot(actor, frame, size, il_clip_has_patches(actor->clip), &brush, err);
	if (!rc)
		memcpy(crop, brush->shot.crop, il_brush_crop_bytes(brush));
	return_shot(actor, &brush);
	return rc;
}

static enum inlay_err copy_out(const uint8_t *from, size_t size, uint8_t **data, size_t *bytes, struct inlay_error *err)
{
	*data = malloc(size);
	if (!*data)
		return il_fail_memory(err);
	memcpy(*data, from, size);
	*bytes = size;
	return INLAY_OK;
}

enum inlay_err il_actor_jpeg(struct il_actor *actor, int64_t frame, const uint8_t *mouth, int size, int quality,
                             uint8_t **data, size_t *bytes, struct inlay_error *err)
{
	struct il_brush *brush = NULL;
	const uint8_t *jpeg = NULL;
	size_t jpeg_bytes = 0;
	*data = NULL;
	*bytes = 0;
	enum inlay_err rc = il_actor_check_parts(actor, IL_ACTOR_FRAMES, err);
	if (!rc && (quality < 0 || quality > 100))
		rc = il_fail(err, INLAY_ERR_INVALID, "quality %d: expected 1 to 100", quality);
	const bool spliced = !rc && il_actor_splices(actor, quality);
	if (!rc && !spliced)
		rc = il_actor_check_whole(actor, err);
	if (!rc)
		rc = take_shot(actor, frame, size, spliced, &brush, err);
	if (!rc)
		rc = il_shot_draw(&brush->shot, actor, brush, mouth, err);
	if (!rc)
		rc = il_shot_jpeg(&brush->shot, actor, brush, quality, &jpeg, &jpeg_bytes, err);
	if (!rc)
		rc = copy_out(jpeg, jpeg_bytes, data, bytes, err);
	return_shot(actor, &brush);
	return rc;
}

enum inlay_err il_actor_frame(struct il_actor *actor, int64_t frame, const uint8_t *mouth, int size,
                              struct inlay_frame **out, struct inlay_error *err)
{
	struct il_brush *brush = NULL;
	*out = NULL;
	enum inlay_err rc = il_actor_check_parts(actor, IL_ACTOR_FRAMES, err);
	if (!rc)
		rc = il_actor_check_whole(actor, err);
	if (!rc)
		rc = take_shot(actor, frame, size, false, &brush, err);
	if (!rc)
		rc = il_shot_draw(&brush->shot, actor, brush, mouth, err);
	if (!rc) {
		*out = brush->shot.frame;
		brush->shot.frame = NULL;
	}
	return_shot(actor, &brush);
	return rc;
}

/* ---- mouths ---- */

const struct il_avatar *il_actor_avatar(const struct il_actor *actor)
{
	return actor->avatar;
}

const struct il_mouths_info *il_actor_info(const struct il_actor *actor)
{
	return &actor->info;
}

const struct il_net_pool *il_actor_nets(const struct il_actor *actor)
{
	return actor->nets;
}

int64_t il_actor_bytes(struct il_actor *actor)
{
	return (actor->nets ? il_net_pool_bytes(actor->nets) : 0) + atomic_load(&actor->clip_bytes) +
	       atomic_load(&actor->brush_bytes) + actor->avatar->frames * FRAME_BYTES;
}

/* The faces of frames[0..n-1] into the brush's memory, crops[0..n-1] point at them. */
static enum inlay_err cut_faces(struct il_actor *actor, struct il_brush *brush, const int64_t *frames, unsigned n,
                                const uint8_t **crops, struct inlay_error *err)
{
	const size_t bytes = il_brush_crop_bytes(brush);
	const bool patch = il_clip_has_patches(actor->clip);
	enum inlay_err rc = INLAY_OK;
	if (brush->n_crops < n) {
		uint8_t *grown = realloc(brush->crops, n * bytes);
		if (!grown)
			return il_fail_memory(err);
		const int64_t more = (int64_t)((n - brush->n_crops) * bytes);
		brush->crops = grown;
		brush->n_crops = n;
		brush->bytes += more;
		atomic_fetch_add(&actor->brush_bytes, more);
	}
	for (unsigned i = 0; i < n && !rc; i++) {
		struct il_shot shot = { .crop = brush->crops + i * bytes };
		rc = il_shot_take(&shot, actor, brush, frames[i], patch, err);
		inlay_frame_destroy(&shot.frame);
		crops[i] = shot.crop;
	}
	return rc;
}

/* At most a batch. */
static enum inlay_err draw_faces(struct il_actor *actor, const struct il_mouths_request *request,
                                 struct inlay_error *err)
{
	const uint8_t *crops[IL_MOUTHS_MAX];
	struct il_mouths_request whole = *request;
	struct il_brush *brush = NULL;
	if (request->crops || !il_net_pool_info(actor->nets)->picture_floats)
		return il_net_pool_draw(actor->nets, request, err);
	enum inlay_err rc = il_actor_check_parts(actor, IL_ACTOR_FRAMES, err);
	if (!rc)
		rc = il_brush_take(actor, actor->info.size, &brush, err);
	if (!rc)
		rc = cut_faces(actor, brush, request->frames, request->n, crops, err);
	whole.crops = crops;
	if (!rc)
		rc = il_net_pool_draw(actor->nets, &whole, err);
	il_brush_return(actor, &brush);
	return rc;
}

static enum inlay_err check_request(const struct il_actor *actor, const struct il_mouths_request *request,
                                    struct inlay_error *err)
{
	enum inlay_err rc = il_actor_check_parts(actor, IL_ACTOR_MOUTHS, err);
	if (!rc && (request->n < 1 || request->n > IL_MOUTHS_MAX))
		rc = il_fail(err, INLAY_ERR_INVALID, "%s: %u frames in a request; expected 1 to %d",
		             actor->avatar->path, request->n, IL_MOUTHS_MAX);
	if (!rc && !il_mouths_fit(request, &actor->info))
		rc = il_fail(err, INLAY_ERR_INVALID, "%s: takes and gives other sizes than it did when it was asked",
		             actor->avatar->path);
	for (unsigned i = 0; i < request->n && !rc; i++)
		rc = check_frame(actor, request->frames[i], err);
	return rc;
}

enum inlay_err il_actor_draw(struct il_actor *actor, const struct il_mouths_request *request, struct inlay_error *err)
{
	enum inlay_err rc = check_request(actor, request, err);
	const unsigned batch = rc ? 1 : il_net_pool_info(actor->nets)->batch;
	for (unsigned i = 0; i < request->n && !rc; i += batch) {
		struct il_mouths_request part = *request;
		part.n = request->n - i < batch ? request->n - i : batch;
		part.frames += i;
		part.windows += i;
		part.mouths += i;
		if (part.crops)
			part.crops += i;
		rc = draw_faces(actor, &part, err);
	}
	return rc;
}

static enum inlay_err give_info(void *ctx, const char *avatar, struct il_mouths_info *info, struct inlay_error *err)
{
	const struct il_actor *actor = ctx;
	(void)avatar;
	*info = actor->info;
	return il_actor_check_parts(actor, IL_ACTOR_MOUTHS, err);
}

static enum inlay_err draw(void *ctx, const struct il_mouths_request *request, struct inlay_error *err)
{
	return il_actor_draw(ctx, request, err);
}

struct il_mouths il_actor_mouths(struct il_actor *actor)
{
	return (struct il_mouths){ .info = give_info, .draw = draw, .ctx = actor };
}

/* ---- opening ---- */

static enum inlay_err open_avatar(struct il_actor *actor, const struct il_actor_params *p, struct inlay_error *err)
{
	if (!p->path)
		return il_fail(err, INLAY_ERR_INVALID, "no avatar given");
	if (!p->parts || p->parts & ~ALL_PARTS)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: parts %u of an avatar; expected its network (1), its "
		               "frames (2) or both (3)",
		               p->path, p->parts);
	enum inlay_err rc = il_avatar_open(&actor->avatar, p->path, err);
	if (!rc && p->parsing)
		rc = il_avatar_set_parsing(actor->avatar, p->parsing, err);
	if (rc)
		return rc;
	int interp = p->interp >= 0 ? p->interp : actor->avatar->interp;
	actor->interp = interp >= 0 ? (enum il_interp)interp : IL_INTERP_LINEAR;
	return INLAY_OK;
}

static enum inlay_err open_frames(struct il_actor *actor, const struct il_actor_params *p, struct inlay_error *err)
{
	const struct il_avatar *avatar = actor->avatar;
	enum inlay_err rc = il_clip_open(&actor->clip, actor->avatar,
	                                 p->cache_bytes > 0 ? p->cache_bytes : DEFAULT_CACHE, p->decoder_threads, err);
	if (rc)
		return rc;
	actor->parsing = il_clip_keeps(actor->clip);
	for (int64_t i = 0; i < avatar->frames && actor->parsing; i++) {
		const struct inlay_rect *r = &avatar->rects[i];
		size_t bytes = (size_t)(r->x1 - r->x0) * (size_t)(r->y1 - r->y0);
		actor->keep_bytes = bytes > actor->keep_bytes ? bytes : actor->keep_bytes;
	}
	return INLAY_OK;
}

enum inlay_err il_actor_network(const struct il_actor *actor, const struct il_actor_params *p,
                                struct il_lipsync_net_params *net, struct inlay_error *err)
{
	const struct il_avatar *avatar = actor->avatar;
	*net = (struct il_lipsync_net_params){ .path = p->model ? p->model : avatar->model,
		                               .picture_name = p->input_name,
		                               .audio_name = p->audio_name,
		                               .output_name = p->output_name };
	if (!net->path)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s names no network, and not exactly one was found in it: give one (--model FILE.onnx)",
		               avatar->path);
	if (!p->model)
		il_avatar_network(avatar, net);
	return INLAY_OK;
}

static void fill_info(struct il_actor *actor)
{
	const struct il_lipsync_net_info *net = il_net_pool_info(actor->nets);
	actor->info = (struct il_mouths_info){ .size = net->size,
		                               .window_floats = net->audio_floats,
		                               .takes_crops = net->picture_floats && !actor->clip };
	for (int i = 0; i < 3 && i + 1 < net->audio.rank; i++)
		actor->info.audio_dims[i] = net->audio.dims[i + 1];
}

enum inlay_err il_actor_open_mouths(struct il_actor *actor, const struct il_actor_params *p,
                                    const struct il_lipsync_net_params *net, unsigned ready, struct inlay_error *err)
{
	const struct il_net_pool_params pool = { .net = *net,
		                                 .avatar = actor->avatar,
		                                 .interp = p->interp,
		                                 .sessions = p->sessions > ready ? p->sessions : ready,
		                                 .ready = ready };
	enum inlay_err rc = il_net_pool_open(&actor->nets, &pool, err);
	if (!rc)
		fill_info(actor);
	return rc;
}

static enum inlay_err open_network(struct il_actor *actor, const struct il_actor_params *p, struct inlay_error *err)
{
	struct il_lipsync_net_params net;
	enum inlay_err rc = il_actor_network(actor, p, &net, err);
	net.threads = p->threads ? p->threads : 1;
	net.batch = p->batch;
	return rc ? rc : il_actor_open_mouths(actor, p, &net, 1, err);
}

enum inlay_err il_actor_open(struct il_actor **out, const struct il_actor_params *params, struct inlay_error *err)
{
	*out = NULL;
	struct il_actor *actor = calloc(1, sizeof *actor);
	if (!actor)
		return il_fail_memory(err);
	pthread_mutex_init(&actor->clip_lock, NULL);
	pthread_mutex_init(&actor->brush_lock, NULL);
	enum inlay_err rc = open_avatar(actor, params, err);
	if (!rc && params->parts & IL_ACTOR_FRAMES)
		rc = open_frames(actor, params, err);
	else if (!rc)
		il_video_destroy(&actor->avatar->reader);
	if (!rc && params->parts & IL_ACTOR_MOUTHS)
		rc = open_network(actor, params, err);
	if (rc)
		il_actor_destroy(&actor);
	*out = actor;
	return rc;
}

void il_actor_destroy(struct il_actor **slot)
{
	struct il_actor *actor = *slot;
	*slot = NULL;
	if (!actor)
		return;
	while (actor->idle) {
		struct il_brush *brush = actor->idle;
		actor->idle = brush->next;
		destroy_brush(actor, brush);
	}
	il_net_pool_destroy(&actor->nets);
	il_clip_destroy(&actor->clip);
	il_avatar_destroy(&actor->avatar);
	pthread_mutex_destroy(&actor->clip_lock);
	pthread_mutex_destroy(&actor->brush_lock);
	free(actor);
}
