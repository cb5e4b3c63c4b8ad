#include "inlay/lipsync.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avatar/compiled.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "infer/audio_encoder.h"
#include "inlay/version.h"
#include "job/actor_impl.h"
#include "job/lipsync_ends.h"
#include "job/measure.h"
#include "job/memo.h"
#include "job/run.h"
#include "media/audio.h"
#include "speech/mel.h"
#include "speech/speech.h"

#define DEFAULT_AHEAD 2
#define DEFAULT_REQUEST 4             /* frames asked of others at a time */
#define MEMO_BYTES ((size_t)64 << 20) /* address space; memory as it is filled */

/* One frame on its way; lives in the pipeline's ring. */
struct item {
	struct il_shot shot;
	uint8_t *mouth;        /* [S,S,3] BGR */
	float *window;         /* audio features, [rows * row_floats] */
	int64_t window_number; /* il_memo_window */
};

struct inlay_lipsync {
	struct il_actor *actor;
	bool shared;                      /* the actor is the caller's */
	const struct il_avatar *avatar;   /* the actor's */
	struct il_brush *cutter;          /* decode stage */
	struct il_audio_encoder *encoder; /* speech stage */
	struct il_speech *speech;         /* speech stage */
	struct il_mouths mouths;          /* inference stage: the actor's, or the caller's */
	struct il_mouths_info info;
	struct il_memo *memo;        /* NULL: none */
	struct il_brush *painter;    /* composite stage */
	struct il_brush *finisher;   /* encode stage: JPEGs that do not go to a sink, or are spliced */
	struct il_sink *sink;        /* encode stage; NULL where frames go to the caller */
	struct il_lipsync_ends ends; /* without its actor, mouths and client */
	struct il_run run;
	struct item *items;
	unsigned n_items;

	char *id, *client; /* for requests; may be NULL */
	enum il_order order;
	int64_t start_frame, limit; /* limit < 0: none */
	struct inlay_rational fps;
	unsigned window_rows;
	struct il_tuning tuning;
	int quality;
	bool spliced; /* only patches are drawn into, and spliced into JPEGs */
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
	item->shot.index = il_order_index(job->order, job->avatar->frames, job->start_frame, step);
	if (item->shot.index < 0)
		return INLAY_EOF;
	enum inlay_err rc = il_speech_window(job->speech, k, job->window_rows, item->window, err);
	if (!rc && job->memo)
		item->window_number = il_memo_window(job->memo, item->window);
	return rc;
}

static enum inlay_err decode_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                   struct inlay_error *err)
{
	struct inlay_lipsync *job = ctx;
	struct item *item = items[0];
	(void)worker, (void)k, (void)n;
	if (job->avatar->compiled)
		il_compiled_prefetch(job->avatar->compiled, item->shot.index);
	return il_shot_take(&item->shot, job->actor, job->cutter, item->shot.index, job->spliced, err);
}

/* What a request points at. */
struct asked {
	struct item *items[IL_MOUTHS_MAX];
	int64_t frames[IL_MOUTHS_MAX];
	const float *windows[IL_MOUTHS_MAX];
	const uint8_t *crops[IL_MOUTHS_MAX];
	uint8_t *mouths[IL_MOUTHS_MAX];
	unsigned n;
};

static void ask_for(struct asked *asked, struct item *item)
{
	const unsigned i = asked->n++;
	asked->items[i] = item;
	asked->frames[i] = item->shot.index;
	asked->windows[i] = item->window;
	asked->crops[i] = item->shot.crop;
	asked->mouths[i] = item->mouth;
}

static enum inlay_err draw_asked(struct inlay_lipsync *job, const struct asked *asked, struct inlay_error *err)
{
	const struct il_mouths_request request = { .avatar = job->id,
		                                   .size = job->info.size,
		                                   .window_floats = job->info.window_floats,
		                                   .n = asked->n,
		                                   .frames = asked->frames,
		                                   .windows = asked->windows,
		                                   .crops = asked->crops,
		                                   .mouths = asked->mouths,
		                                   .client = job->client,
		                                   .cancelled = il_run_stopping,
		                                   .cancel_ctx = &job->run };
	return job->mouths.draw(job->mouths.ctx, &request, err);
}

/* Draws the mouths of those of the n items that are not known already. */
static enum inlay_err inference_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                      struct inlay_error *err)
{
	struct inlay_lipsync *job = ctx;
	struct asked asked;
	(void)worker, (void)k;
	asked.n = 0;
	for (unsigned i = 0; i < n; i++) {
		struct item *item = items[i];
		if (!job->memo || !il_memo_find(job->memo, item->shot.index, item->window_number, item->mouth))
			ask_for(&asked, item);
	}
	enum inlay_err rc = asked.n ? draw_asked(job, &asked, err) : INLAY_OK;
	for (unsigned i = 0; i < asked.n && !rc && job->memo; i++)
		il_memo_keep(job->memo, asked.frames[i], asked.items[i]->window_number, asked.mouths[i]);
	return rc;
}

static enum inlay_err composite_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                      struct inlay_error *err)
{
	struct inlay_lipsync *job = ctx;
	struct item *item = items[0];
	(void)worker, (void)k, (void)n;
	return il_shot_draw(&item->shot, job->actor, job->painter, item->mouth, err);
}

static enum inlay_err give_jpeg(struct inlay_lipsync *job, int64_t k, const struct il_shot *shot,
                                struct inlay_error *err)
{
	const uint8_t *data;
	size_t size;
	enum inlay_err rc = il_shot_jpeg(shot, job->actor, job->finisher, job->quality, &data, &size, err);
	if (rc)
		return rc;
	return job->sink ? il_sink_write_jpeg(job->sink, data, size, err)
	                 : job->ends.take_jpeg(job->ends.ctx, k, data, size, err);
}

static enum inlay_err encode_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                   struct inlay_error *err)
{
	struct inlay_lipsync *job = ctx;
	struct il_shot *shot = &((struct item *)items[0])->shot;
	enum inlay_err rc;
	(void)worker, (void)n;
	if (job->spliced || job->ends.take_jpeg)
		rc = give_jpeg(job, k, shot, err);
	else if (job->sink)
		rc = il_sink_write(job->sink, shot->frame, err);
	else
		rc = job->ends.take_frame(job->ends.ctx, k, shot->frame, err);
	inlay_frame_destroy(&shot->frame);
	/* Others may be at work on the same frames of an actor that is shared. */
	if (job->avatar->compiled && !job->shared)
		il_compiled_release(job->avatar->compiled, shot->index);
	return rc;
}

/* ---- set-up, in the same order ---- */

static bool sensible_rate(struct inlay_rational fps)
{
	double rate = fps.den > 0 ? (double)fps.num / fps.den : 0;
	return rate >= 0.1 && rate <= 1000;
}

/* That each end is given, and no more than once. */
static enum inlay_err check_ends(const struct inlay_lipsync_params *p, const struct il_lipsync_ends *ends,
                                 struct inlay_error *err)
{
	if (!p->avatar && (!ends->actor || ends->mouths))
		return il_fail(err, INLAY_ERR_INVALID, "no avatar given");
	if (ends->read_speech && (p->audio || p->features))
		return il_fail(err, INLAY_ERR_INVALID, "both %s and speech piece by piece given: expected one",
		               p->audio ? p->audio : p->features);
	if (ends->take_jpeg && ends->take_frame)
		return il_fail(err, INLAY_ERR_INVALID, "both JPEGs and frames are asked for: expected one");
	if ((ends->take_jpeg || ends->take_frame) && (p->output || p->format))
		return il_fail(err, INLAY_ERR_INVALID, "%s given, and frames go to the caller: expected one",
		               p->output ? p->output : p->format);
	return INLAY_OK;
}

static enum inlay_err check_params(const struct inlay_lipsync_params *p, const struct il_lipsync_ends *ends,
                                   struct inlay_error *err)
{
	enum inlay_err rc = check_ends(p, ends, err);
	if (rc)
		return rc;
	if (!p->audio && !p->features && !ends->read_speech)
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
	if (p->crf < INLAY_CRF_LOSSLESS || p->workers > 256 || p->batch > IL_MOUTHS_MAX || ends->ahead > 256)
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

static int asked_interp(const struct inlay_lipsync_params *p)
{
	return p->interp ? (int)p->interp - INLAY_INTERP_LINEAR : -1;
}

static struct il_actor_params actor_params(const struct inlay_lipsync_params *p)
{
	return (struct il_actor_params){ .path = p->avatar,
		                         .parts = IL_ACTOR_FRAMES,
		                         .model = p->model,
		                         .parsing = p->parsing,
		                         .input_name = p->input_name,
		                         .audio_name = p->audio_name,
		                         .output_name = p->output_name,
		                         .interp = asked_interp(p),
		                         .decoder_threads = p->threads,
		                         .cache_bytes = p->cache_bytes > 0 ? p->cache_bytes : il_memory_bytes() / 4 };
}

/* Output frames whose step is below the avatar frames that are left. */
static int64_t frames_to_the_end(const struct inlay_lipsync *job)
{
	const struct il_avatar *avatar = job->avatar;
	__int128 own = (__int128)avatar->fps.num * job->fps.den, steps = avatar->frames - job->start_frame;
	return (int64_t)((steps * avatar->fps.den * job->fps.num + own - 1) / own);
}

static enum inlay_err open_avatar(struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                  struct inlay_error *err)
{
	const struct il_actor_params params = actor_params(p);
	enum inlay_err rc = job->shared ? INLAY_OK : il_actor_open(&job->actor, &params, err);
	if (rc)
		return rc;
	const struct il_avatar *avatar = job->avatar = il_actor_avatar(job->actor);
	rc = il_actor_check_parts(job->actor, IL_ACTOR_FRAMES, err);
	if (rc)
		return rc;
	job->order = p->order             ? (enum il_order)(p->order - INLAY_ORDER_BOUNCE)
	             : avatar->order >= 0 ? (enum il_order)avatar->order
	                                  : IL_ORDER_BOUNCE;
	job->start_frame = p->start_frame == INLAY_START_FIRST ? 0
	                   : p->start_frame                    ? p->start_frame
	                                                       : avatar->start_frame;
	if (job->start_frame >= avatar->frames)
		return il_fail(err, INLAY_ERR_INVALID, "%s: start frame %lld is past the last one, %lld", avatar->path,
		               (long long)job->start_frame, (long long)avatar->frames - 1);
	job->fps = p->fps.num > 0 ? p->fps : avatar->fps;
	job->limit = p->frames > 0 ? p->frames : -1;
	if (job->order == IL_ORDER_CUT) {
		int64_t most = frames_to_the_end(job);
		if (job->limit < 0 || most < job->limit)
			job->limit = most;
	}
	return INLAY_OK;
}

static enum inlay_err open_speech(struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                  struct inlay_error *err)
{
	struct il_speech_params speech = { .audio_path = p->audio,
		                           .read = job->ends.read_speech,
		                           .read_ctx = job->ends.ctx,
		                           .features_path = p->features,
		                           .fps = job->fps };
	enum inlay_err rc = p->audio ? check_audible(p->audio, err) : INLAY_OK;
	if (!rc && !p->features) {
		const char *path = p->audio_encoder ? p->audio_encoder : job->avatar->audio_encoder;
		if (!path)
			return il_fail(err, INLAY_ERR_INVALID,
			               "%s names no audio encoder, and not exactly one was found in it: give one "
			               "(--audio-encoder FILE.onnx), or ready features "
			               "(--features FILE.npy)",
			               job->avatar->path);
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

/* The job's own network: how it runs best is measured once. */
static enum inlay_err open_own_network(struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                       struct inlay_error *err)
{
	const struct il_actor_params params = actor_params(p);
	struct il_lipsync_net_params net;
	enum inlay_err rc = il_actor_network(job->actor, &params, &net, err);
	if (!rc)
		rc = il_tune(&net, p->threads ? p->threads : il_cpu_count(), p->workers, p->batch, job->run.expected,
		             &job->tuning, err);
	if (rc)
		return rc;
	net.threads = job->tuning.threads;
	net.batch = job->tuning.batch;
	rc = il_actor_open_mouths(job->actor, &params, &net, job->tuning.workers, err);
	if (rc)
		return rc;
	job->mouths = il_actor_mouths(job->actor);
	job->info = *il_actor_info(job->actor);
	job->tuning.batch = il_net_pool_info(il_actor_nets(job->actor))->batch;
	return il_net_pool_rows(il_actor_nets(job->actor), il_speech_row_floats(job->speech), &job->window_rows, err);
}

/* As il_lipsync_net_rows, of a network that may be elsewhere. */
static enum inlay_err count_rows(struct inlay_lipsync *job, struct inlay_error *err)
{
	const size_t row = il_speech_row_floats(job->speech), window = job->info.window_floats;
	if (row && window % row == 0 && (window / row == 16 || window / row == 8)) {
		job->window_rows = (unsigned)(window / row);
		return INLAY_OK;
	}
	return il_fail(err, INLAY_ERR_INVALID,
	               "%s: its network takes %zu floats a frame; expected 16 or 8 feature rows of %zu: the features "
	               "or the audio encoder belong to another network",
	               job->id ? job->id : job->avatar->path, window, row);
}

static enum inlay_err open_mouths(struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                  const struct il_mouths *mouths, struct inlay_error *err)
{
	if (!mouths && !job->shared)
		return open_own_network(job, p, err);
	job->mouths = mouths ? *mouths : il_actor_mouths(job->actor);
	job->tuning.workers = job->ends.ahead ? job->ends.ahead : DEFAULT_AHEAD;
	job->tuning.batch = p->batch ? p->batch : DEFAULT_REQUEST;
	job->tuning.threads = 1;
	enum inlay_err rc = job->mouths.info(job->mouths.ctx, job->id, &job->info, err);
	return rc ? rc : count_rows(job, err);
}

static enum inlay_err take_brushes(struct inlay_lipsync *job, struct inlay_error *err)
{
	const int size = job->info.size;
	enum inlay_err rc = il_brush_take(job->actor, size, &job->cutter, err);
	if (!rc)
		rc = il_brush_take(job->actor, size, &job->painter, err);
	return rc ? rc : il_brush_take(job->actor, size, &job->finisher, err);
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
	const struct il_compiled *compiled = job->avatar->compiled;
	char comment[64];
	snprintf(comment, sizeof comment, "inlay %s lipsync", inlay_version());
	const char *const metadata[] = { "comment", comment, NULL };
	struct il_sink_params sink = {
		.path = p->output,
		.format = p->format,
		.frame = *il_actor_frame_info(job->actor),
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
	const bool spliced = il_actor_splices(job->actor, p->quality);
	if (spliced)
		sink.quality = il_compiled_info(compiled)->jpeg_quality;
	enum inlay_err rc = check_output(job, p, err);
	if (!rc)
		rc = il_sink_open(&job->sink, &sink, err);
	job->spliced = !rc && spliced && il_sink_takes_jpegs(job->sink);
	return rc;
}

static enum inlay_err open_output(struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                  struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	job->quality = p->quality;
	if (job->ends.take_jpeg)
		job->spliced = il_actor_splices(job->actor, p->quality);
	else if (!job->ends.take_frame)
		rc = open_sink(job, p, err);
	return rc || job->spliced ? rc : il_actor_check_whole(job->actor, err);
}

static enum inlay_err make_items(struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                 struct inlay_error *err)
{
	const size_t mouth_bytes = (size_t)job->info.size * (size_t)job->info.size * 3;
	enum inlay_err rc = p->no_memo ? INLAY_OK
	                               : il_memo_create(&job->memo, job->avatar->frames, job->info.window_floats,
	                                                mouth_bytes, MEMO_BYTES, err);
	if (rc)
		return rc;
	/* What the networks hold, as much again ready before them, and one or two for each other stage. */
	job->n_items = 2 * job->tuning.workers * job->tuning.batch + 6;
	job->items = calloc(job->n_items, sizeof *job->items);
	if (!job->items)
		return il_fail_memory(err);
	for (unsigned i = 0; i < job->n_items && !rc; i++) {
		struct item *item = &job->items[i];
		rc = il_shot_init(&item->shot, job->actor, il_brush_crop_bytes(job->cutter), err);
		item->mouth = malloc(mouth_bytes);
		item->window = malloc(job->info.window_floats * sizeof(float));
		if (!rc && (!item->mouth || !item->window))
			rc = il_fail_memory(err);
	}
	return rc;
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
	const struct inlay_frame_info *frame = il_actor_frame_info(job->actor);
	snprintf(job->description, sizeof job->description,
	         "%dx%d at %.4g fps, %lld avatar frames (%s); network %d px, %u worker%s x batch %u x %u thread%s; %s",
	         frame->width, frame->height, (double)job->fps.num / job->fps.den, (long long)job->avatar->frames,
	         il_order_name(job->order), job->info.size, job->tuning.workers, job->tuning.workers == 1 ? "" : "s",
	         job->tuning.batch, job->tuning.threads, job->tuning.threads == 1 ? "" : "s",
	         job->sink             ? il_sink_describe(job->sink)
	         : job->ends.take_jpeg ? "JPEGs to the caller"
	                               : "frames to the caller");
}

static enum inlay_err take_ends(struct inlay_lipsync *job, const struct inlay_lipsync_params *p,
                                const struct il_lipsync_ends *ends, struct inlay_error *err)
{
	job->actor = ends->actor;
	job->shared = ends->actor != NULL;
	job->ends = *ends;
	job->ends.actor = NULL;
	job->ends.mouths = NULL;
	job->ends.client = NULL;
	job->id = p->avatar ? strdup(p->avatar) : NULL;
	job->client = ends->client ? strdup(ends->client) : NULL;
	return (p->avatar && !job->id) || (ends->client && !job->client) ? il_fail_memory(err) : INLAY_OK;
}

enum inlay_err il_lipsync_create(struct inlay_lipsync **out, const struct inlay_lipsync_params *params,
                                 const struct il_lipsync_ends *ends, struct inlay_error *err)
{
	int64_t start = il_clock_ns();
	*out = NULL;
	enum inlay_err rc = check_params(params, ends, err);
	if (rc)
		return rc;
	struct inlay_lipsync *job = calloc(1, sizeof *job);
	if (!job)
		return il_fail_memory(err);
	/* The output comes before the networks: its faults are quick to find, theirs take seconds. */
	if ((rc = take_ends(job, params, ends, err)) || (rc = open_avatar(job, params, err)) ||
	    (rc = open_speech(job, params, err)) || (rc = open_output(job, params, err)) ||
	    (rc = open_mouths(job, params, ends->mouths, err)) || (rc = take_brushes(job, err)) ||
	    (rc = make_items(job, params, err)) || (rc = make_pipeline(job, err))) {
		inlay_lipsync_destroy(&job);
		return rc;
	}
	describe(job);
	job->run.setup_ns = il_clock_ns() - start;
	*out = job;
	return INLAY_OK;
}

enum inlay_err inlay_lipsync_create(struct inlay_lipsync **out, const struct inlay_lipsync_params *params,
                                    struct inlay_error *err)
{
	return il_lipsync_create(out, params, &(struct il_lipsync_ends){ 0 }, err);
}

void inlay_lipsync_destroy(struct inlay_lipsync **slot)
{
	struct inlay_lipsync *job = *slot;
	if (!job)
		return;
	il_pipeline_destroy(&job->run.pipeline);
	for (unsigned i = 0; i < job->n_items && job->items; i++) {
		il_shot_clear(&job->items[i].shot);
		free(job->items[i].mouth);
		free(job->items[i].window);
	}
	free(job->items);
	il_memo_destroy(&job->memo);
	il_sink_destroy(&job->sink);
	il_brush_return(job->actor, &job->finisher);
	il_brush_return(job->actor, &job->painter);
	il_brush_return(job->actor, &job->cutter);
	il_speech_destroy(&job->speech);
	il_audio_encoder_destroy(&job->encoder);
	if (!job->shared)
		il_actor_destroy(&job->actor);
	free(job->id);
	free(job->client);
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
	il_actor_cache(job->actor, &cache);
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
