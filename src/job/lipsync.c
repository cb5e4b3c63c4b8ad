#include "inlay/lipsync.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avatar/avatar.h"
#include "avatar/clip.h"
#include "avatar/compiled.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "composite/place.h"
#include "infer/audio_encoder.h"
#include "infer/lipsync_net.h"
#include "inlay/version.h"
#include "job/measure.h"
#include "job/memo.h"
#include "job/run.h"
#include "media/audio.h"
#include "speech/mel.h"
#include "speech/speech.h"

#define MAX_BATCH 1024
#define MEMO_BYTES ((size_t)64 << 20) /* address space; memory as it is filled */

/* One frame on its way; lives in the pipeline's ring. */
struct item {
	int64_t index;             /* of the avatar's frame */
	struct inlay_frame *frame; /* from decode to encode; where JPEGs are spliced, the patch alone */
	struct inlay_rect rect;    /* the face in `frame` */
	struct il_clip_patch patch;
	uint8_t *crop;         /* [C,C,3] BGR: the face, then the face with its new mouth */
	float *window;         /* audio features, [rows * row_floats] */
	int64_t window_number; /* il_memo_window */
	uint8_t *keep;         /* parsing mask of the rectangle, where the avatar has one */
};

struct inlay_lipsync {
	struct il_avatar *avatar;
	struct il_clip *clip;             /* decode stage */
	struct il_place *cutter;          /* decode stage */
	struct il_audio_encoder *encoder; /* speech stage */
	struct il_speech *speech;         /* speech stage */
	struct il_lipsync_net **nets;     /* one an inference worker */
	int *hoisted;                     /* the avatar's kind of tensor for each of the network's hoisted inputs */
	struct il_patcher *patcher;       /* encode stage: JPEGs are spliced. NULL: whole frames are encoded */
	struct il_memo *memo;             /* NULL: none */
	struct il_place *painter;         /* composite stage */
	struct il_sink *sink;             /* encode stage */
	struct il_run run;
	struct item *items;
	unsigned n_items;

	enum il_order order;
	int64_t start_frame, limit; /* limit < 0: none */
	struct inlay_rational fps;
	unsigned window_rows;
	struct il_tuning tuning;
	bool parsing;
	char description[512];
};

/* ---- stages, in the order of the data ---- */

static enum inlay_err speech_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                   struct inlay_error *err)
{
	struct inlay_lipsync *job = ctx;
	struct item *item = items[0];
	(void)worker, (void)n;
	if (job->limit >= 0 && k >= job->limit)
		return INLAY_EOF;
	/* The avatar moves at its own speed whatever the output's rate. */
	struct inlay_rational own = job->avatar->fps;
	int64_t step = (int64_t)((__int128)k * own.num * job->fps.den / ((__int128)own.den * job->fps.num));
	item->index = il_order_index(job->order, job->avatar->frames, job->start_frame, step);
	if (item->index < 0)
		return INLAY_EOF;
	enum inlay_err rc = il_speech_window(job->speech, k, job->window_rows, item->window, err);
	if (!rc && job->memo)
		item->window_number = il_memo_window(job->memo, item->window);
	return rc;
}

/* The frame, or of a JPEG to be spliced the pixels around the face. */
static enum inlay_err get_frame(struct inlay_lipsync *job, struct item *item, struct inlay_error *err)
{
	item->rect = job->avatar->rects[item->index];
	if (!job->patcher)
		return il_clip_frame(job->clip, item->index, &item->frame, err);
	enum inlay_err rc = il_clip_patch(job->clip, item->index, &item->patch, err);
	if (rc)
		return rc;
	const struct inlay_rect place = item->patch.place;
	item->frame = item->patch.frame;
	item->rect = (struct inlay_rect){ item->rect.x0 - place.x0, item->rect.y0 - place.y0, item->rect.x1 - place.x0,
		                          item->rect.y1 - place.y0 };
	return INLAY_OK;
}

static enum inlay_err decode_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                   struct inlay_error *err)
{
	struct inlay_lipsync *job = ctx;
	struct item *item = items[0];
	(void)worker, (void)k, (void)n;
	if (job->avatar->compiled)
		il_compiled_prefetch(job->avatar->compiled, item->index);
	enum inlay_err rc = get_frame(job, item, err);
	if (!rc && job->parsing) {
		const uint8_t *keep;
		rc = il_clip_keep(job->clip, item->index, &keep, err);
		if (!rc)
			memcpy(item->keep, keep,
			       (size_t)(item->rect.x1 - item->rect.x0) * (size_t)(item->rect.y1 - item->rect.y0));
	}
	if (!rc)
		rc = il_place_crop(job->cutter, item->frame, item->rect, item->crop, err);
	return rc;
}

/* Inputs of item i of a run. */
static enum inlay_err set_inputs(const struct inlay_lipsync *job, struct il_lipsync_net *net, unsigned i,
                                 const struct item *item, struct inlay_error *err)
{
	const struct il_lipsync_net_info *info = il_lipsync_net_info(net);
	enum inlay_err rc = INLAY_OK;
	if (info->picture_floats)
		il_place_picture(job->painter, item->crop, il_lipsync_net_picture(net, i));
	memcpy(il_lipsync_net_audio(net, i), item->window, info->audio_floats * sizeof(float));
	for (int k = 0; k < info->hoisted && !rc; k++) {
		const struct il_safetensor *tensor =
			il_compiled_tensor(job->avatar->compiled, job->hoisted[k], item->index);
		rc = il_lipsync_net_set_hoisted(net, k, (const uint16_t *)(const void *)tensor->data, err);
	}
	return rc;
}

static void take_output(const struct inlay_lipsync *job, const struct il_lipsync_net *net, unsigned i, uint8_t *crop)
{
	if (il_lipsync_net_info(net)->bytes)
		il_place_mouth_bytes(job->painter, crop, il_lipsync_net_bytes(net, i));
	else
		il_place_mouth(job->painter, crop, il_lipsync_net_output(net, i));
}

/* Draws the mouths of those of the n items that are not known already. */
static enum inlay_err inference_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                      struct inlay_error *err)
{
	struct inlay_lipsync *job = ctx;
	struct il_lipsync_net *net = job->nets[worker];
	struct item *asked[MAX_BATCH];
	unsigned count = 0;
	enum inlay_err rc = INLAY_OK;
	(void)k;
	for (unsigned i = 0; i < n && !rc; i++) {
		struct item *item = items[i];
		if (job->memo && il_memo_find(job->memo, item->index, item->window_number, item->crop))
			continue;
		rc = set_inputs(job, net, count, item, err);
		asked[count++] = item;
	}
	if (!rc && count)
		rc = il_lipsync_net_run(net, count, err);
	for (unsigned i = 0; i < count && !rc; i++) {
		take_output(job, net, i, asked[i]->crop);
		if (job->memo)
			il_memo_keep(job->memo, asked[i]->index, asked[i]->window_number, asked[i]->crop);
	}
	return rc;
}

static enum inlay_err composite_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                      struct inlay_error *err)
{
	struct inlay_lipsync *job = ctx;
	struct item *item = items[0];
	(void)worker, (void)k, (void)n;
	return il_place_draw(job->painter, item->frame, item->rect, item->crop, job->parsing ? item->keep : NULL, err);
}

static enum inlay_err write_spliced(struct inlay_lipsync *job, const struct item *item, struct inlay_error *err)
{
	const uint8_t *data;
	size_t size;
	enum inlay_err rc = il_patcher_splice(job->patcher, &item->patch.base, item->frame, item->patch.place,
	                                      job->avatar->rects[item->index], &data, &size, err);
	return rc ? rc : il_sink_write_jpeg(job->sink, data, size, err);
}

static enum inlay_err encode_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                   struct inlay_error *err)
{
	struct inlay_lipsync *job = ctx;
	struct item *item = items[0];
	(void)worker, (void)k, (void)n;
	enum inlay_err rc = job->patcher ? write_spliced(job, item, err) : il_sink_write(job->sink, item->frame, err);
	inlay_frame_destroy(&item->frame);
	if (job->avatar->compiled)
		il_compiled_release(job->avatar->compiled, item->index);
	return rc;
}

/* ---- set-up, in the same order ---- */

static bool sensible_rate(struct inlay_rational fps)
{
	double rate = fps.den > 0 ? (double)fps.num / fps.den : 0;
	return rate >= 0.1 && rate <= 1000;
}

static enum inlay_err check_params(const struct inlay_lipsync_params *p, struct inlay_error *err)
{
	if (!p->avatar)
		return il_fail(err, INLAY_ERR_INVALID, "no avatar given");
	if (!p->audio && !p->features)
		return il_fail(err, INLAY_ERR_INVALID, "no speech given: an audio file, or features as .npy");
	if (p->audio_encoder && p->features)
		return il_fail(err, INLAY_ERR_INVALID,
		               "both %s and %s given: features come from an audio encoder or a file", p->audio_encoder,
		               p->features);
	if (p->start_frame < INLAY_START_FIRST || p->frames < 0 || p->cache_bytes < 0)
		return il_fail(err, INLAY_ERR_INVALID, "start frame, number of frames and cache must not be negative");
	if ((p->fps.num || p->fps.den) && !sensible_rate(p->fps))
		return il_fail(err, INLAY_ERR_INVALID, "%d/%d frames a second: expected 0.1 to 1000", p->fps.num,
		               p->fps.den);
	if (p->quality < 0 || p->quality > 100)
		return il_fail(err, INLAY_ERR_INVALID, "quality %d: expected 1 to 100", p->quality);
	if (p->crf < INLAY_CRF_LOSSLESS || p->workers > 256 || p->batch > MAX_BATCH)
		return il_fail(err, INLAY_ERR_INVALID, "crf %d, %u workers, batch %u: out of range", p->crf, p->workers,
		               p->batch);
	return INLAY_OK;
}

/* Silence from end to end is nearly always a wrong file or a dead microphone: said before hours of work. */
static enum inlay_err check_audible(const char *path, struct inlay_error *err)
{
	struct il_audio *audio = NULL;
	float samples[4096];
	size_t n = 0, total = 0;
	bool heard = false;
	enum inlay_err rc = il_audio_open(&audio, path, IL_MEL_RATE, err);
	while (!rc && !heard) {
		rc = il_audio_read(audio, samples, sizeof samples / sizeof *samples, &n, err);
		for (size_t i = 0; i < n && !rc && !heard; i++)
			heard = fabsf(samples[i]) > 0.001f; /* -60 dBFS */
		total += n;
	}
	il_audio_destroy(&audio);
	if (rc != INLAY_EOF)
		return rc;
	if (total == 0)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: the audio is empty; expected speech", path);
	return il_fail(err, INLAY_ERR_FORMAT,
	               "%s: silent throughout (nothing above -60 dBFS in %.1f s); expected speech", path,
	               (double)total / IL_MEL_RATE);
}

static enum inlay_err open_avatar(struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                  struct inlay_error *err)
{
	enum inlay_err rc = il_avatar_open(&job->avatar, p->avatar, err);
	if (rc)
		return rc;
	struct il_avatar *avatar = job->avatar;
	if (p->parsing)
		rc = il_avatar_set_parsing(avatar, p->parsing, err);
	if (rc)
		return rc;
	job->order = p->order             ? (enum il_order)(p->order - INLAY_ORDER_BOUNCE)
	             : avatar->order >= 0 ? (enum il_order)avatar->order
	                                  : IL_ORDER_BOUNCE;
	job->start_frame = p->start_frame == INLAY_START_FIRST ? 0
	                   : p->start_frame                    ? p->start_frame
	                                                       : avatar->start_frame;
	if (job->start_frame >= avatar->frames)
		return il_fail(err, INLAY_ERR_INVALID, "%s: start frame %lld is past the last one, %lld", p->avatar,
		               (long long)job->start_frame, (long long)avatar->frames - 1);
	job->fps = p->fps.num > 0 ? p->fps : avatar->fps;
	job->limit = p->frames > 0 ? p->frames : -1;
	if (job->order == IL_ORDER_CUT) {
		/* Output frames whose step is below the avatar frames that are left. */
		__int128 own = (__int128)avatar->fps.num * job->fps.den, steps = avatar->frames - job->start_frame;
		int64_t most = (int64_t)((steps * avatar->fps.den * job->fps.num + own - 1) / own);
		if (job->limit < 0 || most < job->limit)
			job->limit = most;
	}
	rc = il_clip_open(&job->clip, avatar, p->cache_bytes > 0 ? p->cache_bytes : il_memory_bytes() / 4, p->threads,
	                  err);
	job->parsing = !rc && il_clip_keeps(job->clip);
	return rc;
}

static enum inlay_err open_speech(struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                  struct inlay_error *err)
{
	struct il_speech_params speech = { .audio_path = p->audio, .features_path = p->features, .fps = job->fps };
	enum inlay_err rc = p->audio ? check_audible(p->audio, err) : INLAY_OK;
	if (!rc && !p->features) {
		const char *path = p->audio_encoder ? p->audio_encoder : job->avatar->audio_encoder;
		if (!path)
			return il_fail(err, INLAY_ERR_INVALID,
			               "%s names no audio encoder, and not exactly one was found in it: give one "
			               "(--audio-encoder FILE.onnx), or ready features "
			               "(--features FILE.npy)",
			               p->avatar);
		rc = il_audio_encoder_open(&job->encoder, path, err);
		if (!rc) {
			speech.encode = il_audio_encoder_run;
			speech.encode_ctx = job->encoder;
			speech.row_floats = il_audio_encoder_floats(job->encoder);
		}
	}
	if (!rc)
		rc = il_speech_open(&job->speech, &speech, err);
	if (rc)
		return rc;
	int64_t n = il_speech_frames(job->speech);
	job->run.expected = job->limit >= 0 && (n < 0 || job->limit < n) ? job->limit : n;
	return INLAY_OK;
}

/* What was computed beforehand is the avatar's; the network must be the one compiled with it. */
static enum inlay_err find_hoisted(struct inlay_lipsync *job, const struct inlay_lipsync_params *p, const char *path,
                                   struct inlay_error *err)
{
	const struct il_lipsync_net *net = job->nets[0];
	const struct il_compiled *compiled = job->avatar->compiled;
	int n = il_lipsync_net_info(net)->hoisted;
	if (!n)
		return INLAY_OK;
	job->hoisted = calloc((size_t)n, sizeof *job->hoisted);
	if (!job->hoisted)
		return il_fail_memory(err);
	for (int i = 0; i < n; i++) {
		size_t bytes;
		const char *name = il_lipsync_net_hoisted(net, i, &bytes);
		job->hoisted[i] = compiled ? il_compiled_find_kind(compiled, name) : -1;
		const struct il_compiled_kind *kind =
			job->hoisted[i] >= 0 ? il_compiled_kind_at(compiled, job->hoisted[i]) : NULL;
		size_t size = 0;
		/* What varies from frame to frame overflows: opening has compared every frame with its kind. */
		if (!kind || kind->type != IL_ST_F16 ||
		    !il_safetensor_size(kind->type, kind->rank, kind->dims, &size) || size != bytes)
			return il_fail(err, INLAY_ERR_INVALID,
			               "%s: takes %s, computed beforehand for an avatar; %s does not hold it", path,
			               name, p->avatar);
	}
	if (p->interp && (int)p->interp - INLAY_INTERP_LINEAR != job->avatar->interp)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s: was compiled for the other way of scaling the face; compile it with --interp",
		               p->avatar);
	return INLAY_OK;
}

static enum inlay_err open_networks(struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                    struct inlay_error *err)
{
	const char *path = p->model ? p->model : job->avatar->model;
	if (!path)
		return il_fail(err, INLAY_ERR_INVALID,
		               "%s names no network, and not exactly one was found in it: give one (--model FILE.onnx)",
		               p->avatar);
	struct il_lipsync_net_params net = {
		.path = path, .picture_name = p->input_name, .audio_name = p->audio_name, .output_name = p->output_name
	};
	if (!p->model)
		il_avatar_network(job->avatar, &net);
	unsigned threads = p->threads ? p->threads : il_cpu_count();
	enum inlay_err rc = il_tune(&net, threads, p->workers, p->batch, job->run.expected, &job->tuning, err);
	if (rc)
		return rc;
	net.threads = job->tuning.threads;
	net.batch = job->tuning.batch;
	job->nets = calloc(job->tuning.workers, sizeof *job->nets);
	if (!job->nets)
		return il_fail_memory(err);
	for (unsigned i = 0; i < job->tuning.workers && !rc; i++) {
		rc = il_lipsync_net_open(&job->nets[i], &net, err);
		/* One run on zeros: what the network cannot do shows now, and its memory is in place. */
		if (!rc)
			rc = il_lipsync_net_run(job->nets[i], il_lipsync_net_info(job->nets[i])->batch, err);
	}
	if (rc)
		return rc;
	il_avatar_network_opened(job->avatar);
	job->tuning.batch = il_lipsync_net_info(job->nets[0])->batch;
	rc = find_hoisted(job, p, path, err);
	return rc ? rc : il_lipsync_net_rows(job->nets[0], il_speech_row_floats(job->speech), &job->window_rows, err);
}

static enum inlay_err open_places(struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                  struct inlay_error *err)
{
	int size = il_lipsync_net_info(job->nets[0])->size;
	enum il_interp interp = p->interp                  ? (enum il_interp)(p->interp - INLAY_INTERP_LINEAR)
	                        : job->avatar->interp >= 0 ? (enum il_interp)job->avatar->interp
	                                                   : IL_INTERP_LINEAR;
	enum inlay_err rc = il_place_create(&job->cutter, size, interp, err);
	return rc ? rc : il_place_create(&job->painter, size, interp, err);
}

/* Overwriting is for old outputs, not for what the job reads. */
static enum inlay_err check_output(const struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                   struct inlay_error *err)
{
	const struct il_avatar *avatar = job->avatar;
	const char *const inputs[] = { p->audio,  p->features,   p->model,      p->audio_encoder,
		                       p->avatar, avatar->video, avatar->model, avatar->audio_encoder };
	for (size_t i = 0; p->output && i < sizeof inputs / sizeof *inputs; i++)
		if (inputs[i] && il_path_same(p->output, inputs[i]))
			return il_fail(err, INLAY_ERR_INVALID, "%s: is read by this job, and cannot be its output too",
			               p->output);
	return INLAY_OK;
}

static enum inlay_err open_sink(struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                struct inlay_error *err)
{
	const struct il_avatar *avatar = job->avatar;
	char comment[64];
	snprintf(comment, sizeof comment, "inlay %s lipsync", inlay_version());
	const char *const metadata[] = { "comment", comment, NULL };
	struct il_sink_params sink = {
		.path = p->output,
		.format = p->format,
		.frame = *il_clip_info(job->clip),
		.fps = job->fps,
		.overwrite = p->overwrite,
		.codec = p->codec,
		.preset = p->preset,
		.crf = p->crf == INLAY_CRF_LOSSLESS ? 0
		       : p->crf > 0                 ? p->crf
		                                    : -1,
		.quality = p->quality,
		.threads = p->threads,
		.audio_path = p->audio,
		.audio_limit_s = job->limit >= 0 ? (double)job->limit * job->fps.den / job->fps.num : 0,
		.metadata = metadata,
		.cancelled = il_run_stopping,
		.cancel_ctx = &job->run,
	};
	const struct il_compiled_info *compiled = avatar->compiled ? il_compiled_info(avatar->compiled) : NULL;
	bool spliced = il_clip_has_patches(job->clip) && (!p->quality || p->quality == compiled->jpeg_quality);
	if (spliced)
		sink.quality = compiled->jpeg_quality;
	enum inlay_err rc = check_output(job, p, err);
	if (!rc)
		rc = il_sink_open(&job->sink, &sink, err);
	bool jpegs = !rc && il_sink_takes_jpegs(job->sink);
	if (!rc && !il_clip_has_frames(job->clip) && !(spliced && jpegs))
		return il_fail(
			err, INLAY_ERR_INVALID,
			"%s: was compiled without whole frames (--no-planes), and gives JPEG pictures of quality %d "
			"alone (jpg, mjpeg): compile it with them for other outputs",
			p->avatar, compiled->jpeg_quality);
	if (jpegs && spliced)
		rc = il_patcher_create(&job->patcher, il_clip_patch_info(job->clip), err);
	return rc;
}

static enum inlay_err make_items(struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                 struct inlay_error *err)
{
	const struct il_lipsync_net_info *info = il_lipsync_net_info(job->nets[0]);
	size_t keep_bytes = 0;
	for (int64_t i = 0; i < job->avatar->frames && job->parsing; i++) {
		const struct inlay_rect *r = &job->avatar->rects[i];
		size_t bytes = (size_t)(r->x1 - r->x0) * (size_t)(r->y1 - r->y0);
		keep_bytes = bytes > keep_bytes ? bytes : keep_bytes;
	}
	/* What the networks hold, as much again ready before them, and one or two for each other stage. */
	enum inlay_err rc = p->no_memo ? INLAY_OK
	                               : il_memo_create(&job->memo, job->avatar->frames, info->audio_floats,
	                                                il_place_crop_bytes(job->painter), MEMO_BYTES, err);
	if (rc)
		return rc;
	job->n_items = 2 * job->tuning.workers * job->tuning.batch + 6;
	job->items = calloc(job->n_items, sizeof *job->items);
	if (!job->items)
		return il_fail_memory(err);
	for (unsigned i = 0; i < job->n_items; i++) {
		struct item *item = &job->items[i];
		item->crop = malloc(il_place_crop_bytes(job->cutter));
		item->window = malloc(info->audio_floats * sizeof(float));
		item->keep = keep_bytes ? malloc(keep_bytes) : NULL;
		if (!item->crop || !item->window || (keep_bytes && !item->keep))
			return il_fail_memory(err);
	}
	return INLAY_OK;
}

static enum inlay_err make_pipeline(struct inlay_lipsync *job, struct inlay_error *err)
{
	const struct il_stage stages[INLAY_LIPSYNC_STAGES] = {
		{ .name = "speech", .run = speech_stage, .ctx = job },
		{ .name = "decode", .run = decode_stage, .ctx = job },
		{ .name = "inference",
		  .run = inference_stage,
		  .ctx = job,
		  .workers = job->tuning.workers,
		  .batch = job->tuning.batch },
		{ .name = "composite", .run = composite_stage, .ctx = job },
		{ .name = "encode", .run = encode_stage, .ctx = job },
	};
	void **pointers = malloc(job->n_items * sizeof *pointers);
	if (!pointers)
		return il_fail_memory(err);
	for (unsigned i = 0; i < job->n_items; i++)
		pointers[i] = &job->items[i];
	enum inlay_err rc =
		il_pipeline_create(&job->run.pipeline, stages, INLAY_LIPSYNC_STAGES, pointers, job->n_items, err);
	free(pointers);
	return rc;
}

static void describe(struct inlay_lipsync *job)
{
	const struct inlay_frame_info *frame = il_clip_info(job->clip);
	snprintf(job->description, sizeof job->description,
	         "%dx%d at %.4g fps, %lld avatar frames (%s); network %d px, %u worker%s x batch %u x %u thread%s; %s",
	         frame->width, frame->height, (double)job->fps.num / job->fps.den, (long long)job->avatar->frames,
	         il_order_name(job->order), il_lipsync_net_info(job->nets[0])->size, job->tuning.workers,
	         job->tuning.workers == 1 ? "" : "s", job->tuning.batch, job->tuning.threads,
	         job->tuning.threads == 1 ? "" : "s", il_sink_describe(job->sink));
}

enum inlay_err inlay_lipsync_create(struct inlay_lipsync **out, const struct inlay_lipsync_params *params,
                                    struct inlay_error *err)
{
	int64_t start = il_clock_ns();
	*out = NULL;
	enum inlay_err rc = check_params(params, err);
	if (rc)
		return rc;
	struct inlay_lipsync *job = calloc(1, sizeof *job);
	if (!job)
		return il_fail_memory(err);
	/* The output comes before the networks: its faults are quick to find, theirs take seconds. */
	if ((rc = open_avatar(job, params, err)) || (rc = open_speech(job, params, err)) ||
	    (rc = open_sink(job, params, err)) || (rc = open_networks(job, params, err)) ||
	    (rc = open_places(job, params, err)) || (rc = make_items(job, params, err)) ||
	    (rc = make_pipeline(job, err))) {
		inlay_lipsync_destroy(&job);
		return rc;
	}
	describe(job);
	job->run.setup_ns = il_clock_ns() - start;
	*out = job;
	return INLAY_OK;
}

void inlay_lipsync_destroy(struct inlay_lipsync **slot)
{
	struct inlay_lipsync *job = *slot;
	if (!job)
		return;
	il_pipeline_destroy(&job->run.pipeline);
	for (unsigned i = 0; i < job->n_items && job->items; i++) {
		inlay_frame_destroy(&job->items[i].frame);
		free(job->items[i].crop);
		free(job->items[i].window);
		free(job->items[i].keep);
	}
	free(job->items);
	il_memo_destroy(&job->memo);
	il_patcher_destroy(&job->patcher);
	il_sink_destroy(&job->sink);
	il_place_destroy(&job->painter);
	il_place_destroy(&job->cutter);
	for (unsigned i = 0; i < job->tuning.workers && job->nets; i++)
		il_lipsync_net_destroy(&job->nets[i]);
	free(job->nets);
	free(job->hoisted);
	il_speech_destroy(&job->speech);
	il_audio_encoder_destroy(&job->encoder);
	il_clip_destroy(&job->clip);
	il_avatar_destroy(&job->avatar);
	free(job);
	*slot = NULL;
}

/* ---- the run ---- */

enum inlay_err inlay_lipsync_run(struct inlay_lipsync *job, inlay_progress_fn *progress, void *ctx,
                                 struct inlay_error *err)
{
	return il_run(&job->run, job->sink, progress, ctx, err);
}

void inlay_lipsync_cancel(struct inlay_lipsync *job)
{
	il_pipeline_cancel(job->run.pipeline);
}

int64_t inlay_lipsync_expected_frames(const struct inlay_lipsync *job)
{
	return job->run.expected;
}

const char *inlay_lipsync_describe(const struct inlay_lipsync *job)
{
	return job->description;
}

void inlay_lipsync_stats(const struct inlay_lipsync *job, struct inlay_lipsync_stats *stats)
{
	struct il_clip_stats cache;
	il_clip_stats(job->clip, &cache);
	*stats = (struct inlay_lipsync_stats){
		.frames = il_pipeline_stats(job->run.pipeline, INLAY_LIPSYNC_STAGES - 1)->items,
		.setup_s = (double)job->run.setup_ns / 1e9,
		.wall_s = (double)job->run.wall_ns / 1e9,
		.cpu_s = (double)job->run.cpu_ns / 1e9,
		.peak_rss_bytes = il_peak_rss_bytes(),
		.workers = job->tuning.workers,
		.batch = job->tuning.batch,
		.threads = job->tuning.threads,
		.measured = job->tuning.measured,
		.cache_hits = cache.hits,
		.cache_misses = cache.misses,
		.cache_bytes = cache.peak_bytes,
		.memo_hits = job->memo ? il_memo_hits(job->memo) : 0,
	};
	stats->fps = stats->wall_s > 0 ? (double)stats->frames / stats->wall_s : 0;
	il_run_stages(&job->run, stats->stages, INLAY_LIPSYNC_STAGES);
}

char *inlay_lipsync_stats_json(const struct inlay_lipsync *job)
{
	struct inlay_lipsync_stats s;
	inlay_lipsync_stats(job, &s);
	json_t *own = json_pack("{s:I, s:f, s:f, s:f, s:f, s:I, s:i, s:i, s:i, s:b, s:I, s:{s:I, s:I, s:I}}", "frames",
	                        (json_int_t)s.frames, "setup_s", s.setup_s, "wall_s", s.wall_s, "cpu_s", s.cpu_s, "fps",
	                        s.fps, "peak_rss_bytes", (json_int_t)s.peak_rss_bytes, "workers", (int)s.workers,
	                        "batch", (int)s.batch, "threads_per_worker", (int)s.threads, "measured", s.measured,
	                        "memo_hits", (json_int_t)s.memo_hits, "cache", "hits", (json_int_t)s.cache_hits,
	                        "misses", (json_int_t)s.cache_misses, "bytes", (json_int_t)s.cache_bytes);
	return il_run_json(own, s.stages, INLAY_LIPSYNC_STAGES);
}
