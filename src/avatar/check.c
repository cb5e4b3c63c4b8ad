/* Looking at all of a pack and telling everything that is wrong with it. */
#include <inttypes.h>
#include <stdlib.h>

#include "avatar/clip.h"
#include "avatar/pack_impl.h"
#include "base/pattern.h"
#include "base/file.h"
#include "infer/audio_encoder.h"
#include "infer/lipsync_net.h"
#include "media/image.h"
#include "media/video.h"

struct checking {
	struct il_avatar *avatar;
	struct il_faults *faults;
	bool (*cancel)(void *ctx);
};

static enum inlay_err check_cancel(const struct checking *c)
{
	return c->cancel && c->cancel(c->faults->ctx) ? INLAY_ERR_CANCELLED : INLAY_OK;
}

/* The avatar's reader has one thread, and so sees all the damage that libav does. */
static enum inlay_err check_video(const struct checking *c)
{
	struct il_avatar *avatar = c->avatar;
	enum inlay_err rc = INLAY_OK;
	for (int64_t i = 0; !rc && i < avatar->frames && !(rc = check_cancel(c)); i++) {
		struct inlay_frame *frame = NULL;
		rc = il_fault_pass(c->faults, il_video_read(avatar->reader, &frame, c->faults->err));
		if (!rc && frame && il_video_damaged(avatar->reader))
			rc = il_fault(c->faults, INLAY_ERR_FORMAT, "%s: damaged near frame %" PRId64, avatar->video, i);
		inlay_frame_destroy(&frame);
	}
	return rc;
}

/* Decodes pictures or masks, those that are there: the others have been told of. */
static enum inlay_err check_pictures(const struct checking *c, const char *pattern, enum inlay_pixfmt format)
{
	const struct il_avatar *avatar = c->avatar;
	enum inlay_err rc = INLAY_OK;
	for (int64_t i = 0; !rc && i < avatar->frames && !(rc = check_cancel(c)); i++) {
		char path[IL_PATTERN_PATH];
		struct inlay_frame *frame = NULL;
		if (!il_path_exists(il_pattern_path(pattern, avatar->first + i, path)))
			continue;
		rc = il_image_read_sized(path, format, avatar->width, avatar->height, &frame, c->faults->err);
		inlay_frame_destroy(&frame);
		rc = il_fault_pass(c->faults, rc);
	}
	return rc;
}

static bool asked_to_stop(void *ctx)
{
	return check_cancel(ctx) != INLAY_OK;
}

/* All that drawing takes of a frame. */
static enum inlay_err check_frame(struct il_clip *clip, int64_t index, struct inlay_error *err)
{
	struct il_clip_patch patch = { 0 };
	struct inlay_frame *frame = NULL;
	const uint8_t *keep;
	enum inlay_err rc = il_clip_has_frames(clip) ? il_clip_frame(clip, index, &frame, err) : INLAY_OK;
	if (!rc && il_clip_has_patches(clip))
		rc = il_clip_patch(clip, index, &patch, err);
	if (!rc)
		rc = il_clip_keep(clip, index, &keep, err);
	inlay_frame_destroy(&frame);
	inlay_frame_destroy(&patch.frame);
	return rc;
}

/* Every checksum, and every frame unpacked. */
static enum inlay_err check_compiled(const struct checking *c)
{
	struct il_clip *clip = NULL;
	enum inlay_err rc = il_compiled_verify(c->avatar->compiled, asked_to_stop, (void *)c, c->faults->err);
	rc = il_fault_pass(c->faults, rc);
	if (!rc)
		rc = il_fault_pass(c->faults, il_clip_open(&clip, c->avatar, 0, 1, c->faults->err));
	for (int64_t i = 0; clip && !rc && i < c->avatar->frames && !(rc = check_cancel(c)); i++)
		rc = il_fault_pass(c->faults, check_frame(clip, i, c->faults->err));
	il_clip_destroy(&clip);
	return rc;
}

static enum inlay_err check_models(const struct checking *c)
{
	struct il_lipsync_net_params params = { 0 };
	struct il_lipsync_net *net = NULL;
	struct il_audio_encoder *encoder = NULL;
	enum inlay_err rc = INLAY_OK;
	il_avatar_network(c->avatar, &params);
	if (c->avatar->model)
		rc = il_fault_pass(c->faults, il_lipsync_net_open(&net, &params, c->faults->err));
	if (!rc && c->avatar->audio_encoder)
		rc = il_fault_pass(c->faults,
		                   il_audio_encoder_open(&encoder, c->avatar->audio_encoder, c->faults->err));
	if (!rc && net && encoder) {
		unsigned rows;
		size_t row_floats = il_audio_encoder_floats(encoder);
		rc = il_fault_pass(c->faults, il_lipsync_net_rows(net, row_floats, &rows, c->faults->err));
	}
	il_lipsync_net_destroy(&net);
	il_audio_encoder_destroy(&encoder);
	return rc;
}

static enum inlay_err check_all(const struct checking *c)
{
	const struct il_avatar *avatar = c->avatar;
	enum inlay_err rc = avatar->compiled ? check_compiled(c)
	                    : avatar->video  ? check_video(c)
	                                     : check_pictures(c, avatar->pattern, INLAY_PIX_I420);
	if (!rc && avatar->parsing)
		rc = check_pictures(c, avatar->parsing, INLAY_PIX_BGR24);
	return rc ? rc : check_models(c);
}

enum inlay_err il_avatar_check(const char *path, il_avatar_fault_fn *fault, void *ctx, int *count,
                               bool (*cancel)(void *ctx))
{
	struct inlay_error err = { 0 };
	struct il_faults faults = { .err = &err, .report = fault, .ctx = ctx };
	struct il_avatar *avatar = NULL;
	enum inlay_err rc = il_fault_pass(&faults, il_avatar_load(&avatar, path, &faults));
	if (!rc && avatar)
		rc = check_all(&(const struct checking){ avatar, &faults, cancel });
	il_avatar_destroy(&avatar);
	rc = il_fault_end(&faults, rc);
	*count = faults.count;
	return rc;
}
