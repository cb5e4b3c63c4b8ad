#include "inlay/matte.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "catalogue/catalogue.h"
#include "composite/focal.h"
#include "composite/matte.h"
#include "inlay/version.h"
#include "job/backdrop.h"
#include "job/preview.h"
#include "job/run.h"
#include "job/view.h"
#include "kernel/psnr.h"
#include "media/source.h"

#define WARM_UP 24 /* frames before a preview that states and averages are brought up with */
#define MAX_THREADS 1024

/* One frame on its way; lives in the pipeline's ring. */
struct item {
	struct inlay_frame *frame;         /* from decode to encode */
	struct inlay_frame *behind;        /* picture behind it, where there is one */
	struct inlay_frame *seen, *deep;   /* what the network sees, and the depth network */
	float *matte, *foreground, *depth; /* what they say; NULL where nobody asks */
	uint8_t *mask;
	bool idle;  /* passes through: a preview is still far */
	bool fresh; /* has a mask of its own */
};

struct inlay_matte {
	struct inlay_matte_settings settings; /* texts stay the caller's: of meaning during create only */
	struct il_source *source;             /* decode stage, as are the next four */
	struct inlay_frame *first;            /* read in advance; NULL once it is on its way */
	struct il_backdrop *backdrop;
	uint8_t *masked; /* picture of the last frame with a mask of its own, NULL where none is compared */
	int64_t masks;
	struct il_view subject, distance; /* inference stage; the second one for focal blur */
	char *model;                      /* its path */
	struct il_matte_stream *memory;   /* of a recurrent network */
	struct il_mask_stream *mask;      /* mask stage */
	struct il_focal *focal;
	uint8_t *focused;               /* the last mask with what is sharp behind the subject; NULL without focal */
	struct il_matte_chain **chains; /* one a composite worker */
	struct inlay_frame *plate;
	bool cleans; /* the subject's own colours are looked for */
	struct il_preview *preview;
	struct il_sink *sink; /* encode stage */

	struct il_run run;
	struct item *items;
	unsigned n_items;

	atomic_bool stopped;  /* no more frames are read */
	int64_t begin, limit; /* frames before `begin` only pass through; limit < 0: none */
	int64_t first_pts;
	unsigned threads, workers, composers, net_threads;
	char description[8192], inferred[4096];
};

/* ---- stages, in the order of the data ---- */

static enum inlay_err next_frame(struct inlay_matte *job, struct inlay_frame **frame, struct inlay_error *err)
{
	if (job->first) {
		*frame = job->first;
		job->first = NULL;
		return INLAY_OK;
	}
	struct inlay_error why = { 0 };
	enum inlay_err rc = atomic_load(&job->stopped) ? INLAY_EOF : il_source_read(job->source, frame, &why);
	if (rc == INLAY_ERR_CANCELLED && atomic_load(&job->stopped))
		return INLAY_EOF;
	return il_is_fault(rc) ? il_fail(err, rc, "%s", why.text) : rc;
}

/* For a source that waits for a pipe or a camera. */
static bool leaves_source(void *ctx)
{
	struct inlay_matte *job = ctx;
	return atomic_load(&job->stopped) || il_run_stopping(&job->run);
}

/* A frame that looks like the last one with a mask of its own does without. */
static bool is_similar(struct inlay_matte *job, const struct inlay_frame *seen)
{
	const struct inlay_frame_info *info = inlay_frame_info(seen);
	const int row = 3 * info->width;
	ptrdiff_t stride;
	const uint8_t *pixels = il_view_pixels(seen, &stride);
	if (job->masks && il_psnr(pixels, stride, job->masked, row, row, info->height, 1) > job->settings.similar)
		return true;
	for (int y = 0; y < info->height; y++)
		memcpy(job->masked + (ptrdiff_t)y * row, pixels + y * stride, (size_t)row);
	return false;
}

static enum inlay_err decode_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                   struct inlay_error *err)
{
	struct inlay_matte *job = ctx;
	struct item *item = items[0];
	(void)worker, (void)n;
	if (job->limit >= 0 && k >= job->limit)
		return INLAY_EOF;
	enum inlay_err rc = next_frame(job, &item->frame, err);
	if (rc == INLAY_EOF && job->preview)
		return il_fail(err, INLAY_ERR_INVALID, "preview of frame %lld, but the input's last one is %lld",
		               (long long)job->limit - 1, (long long)k - 1);
	item->idle = k < job->begin;
	if (rc || item->idle)
		return rc;
	const struct inlay_rational *base = &il_source_info(job->source)->timebase;
	double seconds = (double)(inlay_frame_pts(item->frame) - job->first_pts) * base->num / base->den;
	rc = il_backdrop_at(job->backdrop, seconds, &item->behind, err);
	if (!rc)
		rc = il_scaler_run(job->subject.shrink, item->frame, item->seen, err);
	if (!rc && job->focal)
		rc = il_scaler_run(job->distance.shrink, item->frame, item->deep, err);
	item->fresh =
		!rc && (k - job->begin) % job->settings.every == 0 && !(job->masked && is_similar(job, item->seen));
	job->masks += item->fresh;
	return rc;
}

static void keep_foreground(float *to, const struct il_matte_result *result, size_t n)
{
	for (int c = 0; c < 3; c++)
		for (size_t i = 0; i < n; i++)
			to[(size_t)c * n + i] = result->foreground[c][(ptrdiff_t)i * result->foreground_step];
}

static enum inlay_err inference_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                      struct inlay_error *err)
{
	struct inlay_matte *job = ctx;
	struct item *item = items[0];
	struct il_matte_result result;
	(void)k, (void)n;
	if (item->idle || !item->fresh)
		return INLAY_OK;
	enum inlay_err rc = il_view_look(&job->subject, worker, job->memory, item->seen, &result, err);
	if (rc)
		return rc;
	memcpy(item->matte, result.matte, job->subject.outputs * sizeof *item->matte);
	if (item->foreground)
		keep_foreground(item->foreground, &result, job->subject.outputs);
	if (!job->focal)
		return INLAY_OK;
	rc = il_view_look(&job->distance, worker, NULL, item->deep, &result, err);
	if (!rc)
		memcpy(item->depth, result.matte, job->distance.outputs * sizeof *item->depth);
	return rc;
}

static enum inlay_err mask_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                 struct inlay_error *err)
{
	struct inlay_matte *job = ctx;
	struct item *item = items[0];
	const struct il_matte_net_info *info = il_view_info(&job->subject);
	(void)worker, (void)k, (void)n;
	if (item->idle)
		return INLAY_OK;
	enum inlay_err rc = INLAY_OK;
	if (item->fresh) {
		const struct il_matte matte = { .person = item->matte,
			                        .stride = (ptrdiff_t)info->output_width * (ptrdiff_t)sizeof(float),
			                        .step = 1,
			                        .width = info->output_width,
			                        .height = info->output_height };
		rc = il_mask_stream_take(job->mask, &matte, err);
	}
	if (!rc && job->focal && item->fresh)
		rc = il_focal_mask(job->focal, item->depth, il_mask_stream_mask(job->mask), job->focused, err);
	memcpy(item->mask, job->focal ? job->focused : il_mask_stream_mask(job->mask), job->subject.outputs);
	return rc;
}

/* The subject's own colours, where they are wanted. */
static enum inlay_err clean(struct inlay_matte *job, struct il_matte_chain *chain, struct item *item,
                            struct inlay_error *err)
{
	if (!job->cleans)
		return INLAY_OK;
	if (job->plate) {
		struct inlay_planes plate;
		inlay_frame_map(job->plate, &plate);
		enum inlay_err rc = il_matte_chain_unmix(chain, item->frame, &plate, err);
		inlay_frame_unmap(job->plate);
		return rc;
	}
	if (!item->foreground)
		return il_matte_chain_estimate(chain, item->frame, err);
	const struct il_matte_net_info *info = il_view_info(&job->subject);
	const size_t n = job->subject.outputs;
	struct il_clean_foreground foreground = {
		.planes = { item->foreground, item->foreground + n, item->foreground + 2 * n },
		.step = 1,
		.width = info->output_width,
		.height = info->output_height,
	};
	foreground.bgr = il_view_pixels(item->seen, &foreground.bgr_stride);
	return il_matte_chain_clean(chain, item->frame, &foreground, err);
}

static enum inlay_err apply(struct inlay_matte *job, struct il_matte_chain *chain, struct item *item,
                            struct inlay_error *err)
{
	struct il_matte_background background = il_backdrop_fill(job->backdrop);
	if (job->settings.alpha)
		return il_matte_chain_apply(chain, item->frame, NULL, err);
	if (item->behind)
		inlay_frame_map(item->behind, &background.picture);
	enum inlay_err rc = il_matte_chain_apply(chain, item->frame, &background, err);
	if (item->behind)
		inlay_frame_unmap(item->behind);
	return rc;
}

static enum inlay_err show_before(struct inlay_matte *job, const struct il_matte_chain *chain, const struct item *item,
                                  struct inlay_error *err)
{
	const struct il_matte_net_info *net = il_view_info(&job->subject);
	const struct inlay_frame_info *info = inlay_frame_info(item->frame);
	ptrdiff_t stride;
	const uint8_t *alpha = il_matte_chain_plane(chain, &stride);
	enum inlay_err rc = il_preview_frame(job->preview, IL_PREVIEW_INPUT, item->frame, err);
	if (!rc)
		rc = il_preview_plane(job->preview, IL_PREVIEW_MASK, item->mask, net->output_width, net->output_width,
		                      net->output_height, err);
	return rc ? rc
	          : il_preview_plane(job->preview, IL_PREVIEW_ALPHA, alpha, stride, info->width, info->height, err);
}

static enum inlay_err composite_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                      struct inlay_error *err)
{
	struct inlay_matte *job = ctx;
	struct item *item = items[0];
	struct il_matte_chain *chain = job->chains[worker];
	const bool shown = job->preview && k == job->limit - 1;
	(void)n;
	if (item->idle)
		return INLAY_OK;
	enum inlay_err rc = il_matte_chain_alpha(chain, item->mask, item->frame, err);
	if (!rc && shown)
		rc = show_before(job, chain, item, err);
	if (!rc)
		rc = clean(job, chain, item, err);
	if (!rc)
		rc = apply(job, chain, item, err);
	if (!rc && shown)
		rc = il_preview_frame(job->preview, IL_PREVIEW_RESULT, item->frame, err);
	return rc;
}

static enum inlay_err encode_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                   struct inlay_error *err)
{
	struct inlay_matte *job = ctx;
	struct item *item = items[0];
	enum inlay_err rc = INLAY_OK;
	(void)worker, (void)n;
	if (!job->preview)
		rc = il_sink_write(job->sink, item->frame, err);
	else if (k == job->limit - 1)
		rc = il_sink_write(job->sink, il_preview_picture(job->preview), err);
	inlay_frame_destroy(&item->frame);
	inlay_frame_destroy(&item->behind);
	return rc;
}

/* ---- set-up ---- */

static enum inlay_err check_settings(const struct inlay_matte_settings *s, struct inlay_error *err)
{
	const bool behind = s->background || s->look.blur > 0;
	if (s->every < 1 || s->every > 1000 || !(s->similar >= 0 && s->similar <= 100))
		return il_fail(err, INLAY_ERR_INVALID,
		               "every is %d and similar %g; expected 1 to 1000, and 0 to 100 dB", s->every, s->similar);
	if (s->background && s->look.blur > 0)
		return il_fail(err, INLAY_ERR_INVALID,
		               "both a background (%s) and blur are asked for; blur is for the frame's own background",
		               s->background);
	if (s->alpha && (behind || s->look.mask_only))
		return il_fail(err, INLAY_ERR_INVALID, "alpha leaves the background out; %s does not go with it",
		               s->look.mask_only ? "mask_only"
		               : s->background   ? "a background"
		                                 : "blur");
	if (s->focal && !(s->look.blur > 0))
		return il_fail(err, INLAY_ERR_INVALID, "focal needs a blurred background: give blur too, such as 12");
	if (s->plate && s->look.blur > 0)
		return il_fail(err, INLAY_ERR_INVALID,
		               "plate takes the old background's colour away; with blur that is the background still");
	return INLAY_OK;
}

static enum inlay_err check_params(const struct inlay_matte_params *p, struct inlay_error *err)
{
	if (!p->input)
		return il_fail(err, INLAY_ERR_INVALID, "no input given: a video, a picture, - or /dev/videoN");
	if (!p->settings)
		return il_fail(err, INLAY_ERR_INVALID, "no settings given");
	if (p->frames < 0 || p->preview < 0)
		return il_fail(err, INLAY_ERR_INVALID, "numbers of frames must not be negative");
	if (p->quality < 0 || p->quality > 100)
		return il_fail(err, INLAY_ERR_INVALID, "quality %d: expected 1 to 100", p->quality);
	if (p->crf < INLAY_CRF_LOSSLESS || p->workers > IL_VIEW_MAX_WORKERS || p->threads > MAX_THREADS)
		return il_fail(err, INLAY_ERR_INVALID, "crf %d, %u workers, %u threads: out of range (%d, %d)", p->crf,
		               p->workers, p->threads, IL_VIEW_MAX_WORKERS, MAX_THREADS);
	const struct inlay_matte_settings *s = p->settings;
	const char *const inputs[] = { p->input, s->model, s->manifest, s->background, s->focal, s->plate };
	for (size_t i = 0; p->output && i < sizeof inputs / sizeof *inputs; i++)
		if (inputs[i] && il_path_same(p->output, inputs[i]))
			return il_fail(err, INLAY_ERR_INVALID, "%s: is read by this job, and cannot be its output too",
			               p->output);
	return check_settings(s, err);
}

static enum inlay_err open_source(struct inlay_matte *job, const struct inlay_matte_params *p, struct inlay_error *err)
{
	static const enum il_hwaccel ways[] = { [INLAY_HWACCEL_AUTO] = IL_HWACCEL_AUTO,
		                                [INLAY_HWACCEL_NONE] = IL_HWACCEL_NONE,
		                                [INLAY_HWACCEL_CUDA] = IL_HWACCEL_CUDA };
	const struct il_source_params params = { .path = p->input,
		                                 .threads = job->threads,
		                                 .hwaccel = ways[p->hwaccel],
		                                 .alpha = job->settings.alpha,
		                                 .cancelled = leaves_source,
		                                 .cancel_ctx = job };
	enum inlay_err rc = il_source_open(&job->source, &params, err);
	if (!rc)
		rc = il_source_read(job->source, &job->first, err);
	if (rc)
		return rc;
	const int64_t frames = il_source_info(job->source)->frames;
	job->first_pts = inlay_frame_pts(job->first);
	job->limit = p->preview > 0 ? p->preview : p->frames > 0 ? p->frames : -1;
	job->begin = p->preview > WARM_UP ? p->preview - WARM_UP : 0;
	job->run.expected = job->limit >= 0 && (frames < 0 || job->limit < frames) ? job->limit : frames;
	return INLAY_OK;
}

static enum inlay_err open_backgrounds(struct inlay_matte *job, struct inlay_error *err)
{
	const struct inlay_frame_info *info = &il_source_info(job->source)->frame;
	enum inlay_err rc = il_backdrop_open(&job->backdrop, &job->settings, info, job->threads, err);
	if (!rc && job->settings.plate)
		rc = il_backdrop_plate(&job->plate, job->settings.plate, info, err);
	return rc;
}

/* Networks with memory see the frames in order, one after the other, on all processors; of the others several work
 * side by side, a thread each. */
static void share_processors(struct inlay_matte *job, const struct inlay_matte_params *p)
{
	const struct il_matte_net_info *info = il_view_info(&job->subject);
	const bool one = info->recurrent || !info->settled;
	if (one && p->workers > 1)
		il_log_warn("%u workers are asked for, 1 works: the network %s", p->workers,
		            info->recurrent ? "remembers earlier frames" : "is not understood before its first output");
	job->workers = one ? 1 : p->workers ? p->workers : (job->threads + 1) / 2;
	if (job->workers > IL_VIEW_MAX_WORKERS)
		job->workers = IL_VIEW_MAX_WORKERS;
	job->net_threads = one ? job->threads : 1;
	job->composers = (job->threads + 3) / 4;
}

static enum inlay_err open_subject(struct inlay_matte *job, const struct inlay_matte_params *p, struct inlay_error *err)
{
	const struct inlay_matte_settings *s = &job->settings;
	struct il_matte_net_params params = {
		.manifest_path = s->manifest, .threads = 1, .width = s->width, .height = s->height
	};
	struct inlay_frame *seen = NULL;
	struct il_matte_result result;
	char *path = NULL;
	enum inlay_err rc = s->model ? il_model_find(&path, s->model, err) : il_model_default(&path, err);
	if (rc)
		return rc;
	params.path = path;
	rc = il_view_open(&job->subject, &params, inlay_frame_info(job->first), err);
	if (!rc)
		rc = il_frame_create(&seen, &job->subject.picture, err);
	if (!rc)
		rc = il_scaler_run(job->subject.shrink, job->first, seen, err);
	/* One run: what the network cannot do shows now, and what its output means. */
	if (!rc)
		rc = il_view_look(&job->subject, 0, NULL, seen, &result, err);
	if (!rc && il_view_info(&job->subject)->kind != IL_MATTE_KIND_MATTE)
		rc = il_fail(err, INLAY_ERR_INVALID,
		             "%s: is a depth network; --focal takes it, --model wants one for mattes", path);
	if (!rc) {
		share_processors(job, p);
		rc = il_view_spread(&job->subject, &params, job->workers, job->net_threads, err);
	}
	if (!rc && il_view_info(&job->subject)->recurrent)
		rc = il_matte_stream_create(&job->memory, job->subject.nets[0], err);
	inlay_frame_destroy(&seen);
	job->model = path;
	return rc;
}

static enum inlay_err open_distance(struct inlay_matte *job, struct inlay_error *err)
{
	struct il_matte_net_params params = { .threads = 1, .kind = IL_MATTE_KIND_DEPTH };
	char *path = NULL;
	enum inlay_err rc = il_model_find(&path, job->settings.focal, err);
	if (rc)
		return rc;
	params.path = path;
	rc = il_view_open(&job->distance, &params, inlay_frame_info(job->first), err);
	const struct il_matte_net_info *info = rc ? NULL : il_view_info(&job->distance);
	if (!rc && (info->kind != IL_MATTE_KIND_DEPTH || info->recurrent))
		rc = il_fail(err, INLAY_ERR_INVALID, "%s: is no depth network, which focal blur needs", path);
	if (!rc)
		rc = il_view_spread(&job->distance, &params, job->workers, job->net_threads, err);
	if (!rc) {
		const struct il_matte_net_info *mask = il_view_info(&job->subject);
		info = il_view_info(&job->distance);
		rc = il_focal_create(&job->focal, &(struct il_focal_params){ 0 }, info->output_width,
		                     info->output_height, mask->output_width, mask->output_height, err);
	}
	if (!rc && !(job->focused = malloc(job->subject.outputs)))
		rc = il_fail_memory(err);
	free(path);
	return rc;
}

static enum inlay_err open_chains(struct inlay_matte *job, struct inlay_error *err)
{
	const struct il_matte_net_info *net = il_view_info(&job->subject);
	const struct inlay_matte_look *how = &job->settings.look;
	const int width = net->output_width, height = net->output_height;
	enum inlay_err rc = il_mask_stream_create(&job->mask, how, width, height, err);
	job->chains = calloc(job->composers, sizeof *job->chains);
	if (!job->chains)
		return il_fail_memory(err);
	for (unsigned i = 0; i < job->composers && !rc; i++)
		rc = il_matte_chain_create(&job->chains[i], how, inlay_frame_info(job->first), width, height, err);
	if (!rc && job->settings.similar > 0 &&
	    !(job->masked = malloc((size_t)3 * (size_t)job->subject.picture.width * job->subject.picture.height)))
		rc = il_fail_memory(err);
	return rc;
}

/* Names that would do, but not for this. */
static enum inlay_err check_name(const struct inlay_matte *job, const struct inlay_matte_params *p,
                                 struct inlay_error *err)
{
	const char *extension = p->output ? il_path_extension(p->output) : "";
	const bool picture = !strcmp(extension, "png") || !strcmp(extension, "jpg") || !strcmp(extension, "jpeg");
	if (job->preview && strcmp(extension, "png") != 0)
		return il_fail(err, INLAY_ERR_INVALID, "%s: a preview is a PNG; give it a name that ends in .png",
		               p->output ? p->output : "output");
	if (!job->preview && !il_source_info(job->source)->picture && !p->format && picture && !strchr(p->output, '%'))
		return il_fail(
			err, INLAY_ERR_INVALID,
			"%s: a video gives a picture a frame: give a name such as %%06d.%s, or ask for one frame "
			"(--preview N)",
			p->output, extension);
	return INLAY_OK;
}

static enum inlay_err open_sink(struct inlay_matte *job, const struct inlay_matte_params *p, struct inlay_error *err)
{
	const struct il_source_info *info = il_source_info(job->source);
	struct inlay_matte_settings used = job->settings;
	used.model = job->model;
	char *how = inlay_matte_settings_format(&used), *comment = NULL;
	size_t size = how ? strlen(how) + 64 : 0;
	if (!how || !(comment = malloc(size))) {
		free(how);
		return il_fail_memory(err);
	}
	snprintf(comment, size, "inlay %s matte %s", inlay_version(), how);
	free(how);
	const char *const metadata[] = { "comment", comment, NULL };
	const bool one = info->picture || job->preview;
	struct il_sink_params sink = {
		.path = p->output,
		.format = job->preview ? "png" : p->format,
		.frame = job->preview ? *inlay_frame_info(il_preview_picture(job->preview)) : info->frame,
		.fps = info->fps,
		.timebase = one ? (struct inlay_rational){ 0 } : info->timebase,
		.single = one,
		.overwrite = p->overwrite,
		.codec = p->codec,
		.preset = p->preset,
		.crf = p->crf == INLAY_CRF_LOSSLESS ? 0
		       : p->crf > 0                 ? p->crf
		                                    : -1,
		.quality = p->quality,
		.threads = p->threads,
		.streams_path = info->has_streams && !one ? p->input : NULL,
		.cut_streams = p->frames > 0,
		.metadata = metadata,
		.cancelled = il_run_stopping,
		.cancel_ctx = &job->run,
	};
	enum inlay_err rc = check_name(job, p, err);
	if (!rc)
		rc = il_sink_open(&job->sink, &sink, err);
	free(comment);
	return rc;
}

/* The network's own foreground serves where every frame has one, of the size that the network sees. */
static bool takes_foreground(const struct inlay_matte *job)
{
	const struct il_matte_net_info *info = il_view_info(&job->subject);
	return job->cleans && !job->plate && info->has_foreground && info->output_width == info->width &&
	       info->output_height == info->height && job->settings.every == 1 && !(job->settings.similar > 0);
}

static enum inlay_err make_item(struct inlay_matte *job, struct item *item, struct inlay_error *err)
{
	const size_t n = job->subject.outputs, deep = job->distance.outputs;
	const bool clean_colours = takes_foreground(job);
	item->matte = malloc(n * sizeof *item->matte);
	item->mask = malloc(n);
	item->foreground = clean_colours ? malloc(3 * n * sizeof *item->foreground) : NULL;
	item->depth = deep ? malloc(deep * sizeof *item->depth) : NULL;
	if (!item->matte || !item->mask || (clean_colours && !item->foreground) || (deep && !item->depth))
		return il_fail_memory(err);
	enum inlay_err rc = il_frame_create(&item->seen, &job->subject.picture, err);
	return rc || !deep ? rc : il_frame_create(&item->deep, &job->distance.picture, err);
}

static enum inlay_err make_pipeline(struct inlay_matte *job, struct inlay_error *err)
{
	const struct il_stage stages[INLAY_MATTE_STAGES] = {
		{ .name = "decode", .run = decode_stage, .ctx = job },
		{ .name = "inference", .run = inference_stage, .ctx = job, .workers = job->workers },
		{ .name = "mask", .run = mask_stage, .ctx = job },
		{ .name = "composite", .run = composite_stage, .ctx = job, .workers = job->composers },
		{ .name = "encode", .run = encode_stage, .ctx = job },
	};
	/* One in every hand, and one on its way between any two. */
	job->n_items = job->workers + job->composers + 5;
	job->items = calloc(job->n_items, sizeof *job->items);
	void **pointers = malloc(job->n_items * sizeof *pointers);
	enum inlay_err rc = job->items && pointers ? INLAY_OK : il_fail_memory(err);
	for (unsigned i = 0; i < job->n_items && !rc; i++) {
		pointers[i] = &job->items[i];
		rc = make_item(job, &job->items[i], err);
	}
	if (!rc)
		rc = il_pipeline_create(&job->run.pipeline, stages, INLAY_MATTE_STAGES, pointers, job->n_items, err);
	free(pointers);
	return rc;
}

static void describe(struct inlay_matte *job)
{
	char model[4096];
	snprintf(job->description, sizeof job->description,
	         "input: %s\nmodel: %s: %s\nworkers: %u x %u thread%s for the network, %u for compositing\noutput: %s",
	         il_source_describe(job->source), job->model,
	         il_matte_net_describe(job->subject.nets[0], model, sizeof model), job->workers, job->net_threads,
	         job->net_threads == 1 ? "" : "s", job->composers, il_sink_describe(job->sink));
}

/* What nobody stated is worth a look by who chose the model. */
static void note_inferred(struct inlay_matte *job)
{
	const struct il_matte_manifest *manifest = il_matte_net_manifest(job->subject.nets[0]);
	bool inferred = false;
	for (int key = 0; key < IL_MATTE_KEYS; key++)
		inferred |= manifest->source[key] == IL_MATTE_ASSUMED || manifest->source[key] == IL_MATTE_PICTURE;
	if (inferred)
		il_matte_net_describe(job->subject.nets[0], job->inferred, sizeof job->inferred);
}

static enum inlay_err set_up(struct inlay_matte *job, const struct inlay_matte_params *p, struct inlay_error *err)
{
	enum inlay_err rc = open_source(job, p, err);
	if (!rc)
		rc = open_backgrounds(job, err);
	if (!rc)
		rc = open_subject(job, p, err);
	if (!rc && job->settings.focal)
		rc = open_distance(job, err);
	if (!rc && p->preview > 0)
		rc = il_preview_create(&job->preview, inlay_frame_info(job->first), err);
	if (!rc)
		rc = open_chains(job, err);
	if (!rc)
		rc = open_sink(job, p, err);
	return rc ? rc : make_pipeline(job, err);
}

enum inlay_err inlay_matte_create(struct inlay_matte **out, const struct inlay_matte_params *params,
                                  struct inlay_error *err)
{
	int64_t start = il_clock_ns();
	*out = NULL;
	enum inlay_err rc = check_params(params, err);
	if (rc)
		return rc;
	struct inlay_matte *job = calloc(1, sizeof *job);
	if (!job)
		return il_fail_memory(err);
	job->settings = *params->settings;
	job->cleans = (job->settings.plate || job->settings.look.foreground == INLAY_FOREGROUND_CLEAN) &&
	              !(job->settings.look.blur > 0) && !job->settings.look.mask_only;
	job->threads = params->threads ? params->threads : il_cpu_count();
	rc = set_up(job, params, err);
	if (rc) {
		inlay_matte_destroy(&job);
		return rc;
	}
	describe(job);
	note_inferred(job);
	job->run.setup_ns = il_clock_ns() - start;
	*out = job;
	return INLAY_OK;
}

static void free_items(struct inlay_matte *job)
{
	for (unsigned i = 0; i < job->n_items && job->items; i++) {
		struct item *item = &job->items[i];
		inlay_frame_destroy(&item->frame);
		inlay_frame_destroy(&item->behind);
		inlay_frame_destroy(&item->seen);
		inlay_frame_destroy(&item->deep);
		free(item->matte);
		free(item->foreground);
		free(item->depth);
		free(item->mask);
	}
	free(job->items);
}

void inlay_matte_destroy(struct inlay_matte **slot)
{
	struct inlay_matte *job = *slot;
	*slot = NULL;
	if (!job)
		return;
	il_pipeline_destroy(&job->run.pipeline);
	free_items(job);
	il_sink_destroy(&job->sink);
	il_preview_destroy(&job->preview);
	for (unsigned i = 0; i < job->composers && job->chains; i++)
		il_matte_chain_destroy(&job->chains[i]);
	free(job->chains);
	il_focal_destroy(&job->focal);
	free(job->focused);
	il_mask_stream_destroy(&job->mask);
	il_matte_stream_destroy(&job->memory);
	il_view_close(&job->distance);
	il_view_close(&job->subject);
	free(job->masked);
	free(job->model);
	inlay_frame_destroy(&job->plate);
	il_backdrop_destroy(&job->backdrop);
	inlay_frame_destroy(&job->first);
	il_source_destroy(&job->source);
	free(job);
}

/* ---- the run ---- */

enum inlay_err inlay_matte_run(struct inlay_matte *job, inlay_progress_fn *progress, void *ctx, struct inlay_error *err)
{
	return il_run(&job->run, job->sink, progress, ctx, err);
}

void inlay_matte_cancel(struct inlay_matte *job)
{
	il_pipeline_cancel(job->run.pipeline);
}

void inlay_matte_stop(struct inlay_matte *job)
{
	atomic_store(&job->stopped, true);
}

int64_t inlay_matte_expected_frames(const struct inlay_matte *job)
{
	return job->run.expected;
}

const char *inlay_matte_describe(const struct inlay_matte *job)
{
	return job->description;
}

const char *inlay_matte_inferred(const struct inlay_matte *job)
{
	return *job->inferred ? job->inferred : NULL;
}

void inlay_matte_stats(const struct inlay_matte *job, struct inlay_matte_stats *stats)
{
	struct il_source_loss loss;
	il_source_loss(job->source, &loss);
	*stats = (struct inlay_matte_stats){
		.frames = il_pipeline_stats(job->run.pipeline, INLAY_MATTE_STAGES - 1)->items,
		.masks = job->masks,
		.setup_s = (double)job->run.setup_ns / 1e9,
		.wall_s = (double)job->run.wall_ns / 1e9,
		.cpu_s = (double)job->run.cpu_ns / 1e9,
		.peak_rss_bytes = il_peak_rss_bytes(),
		.workers = job->workers,
		.threads = job->net_threads,
		.damaged = loss.damaged,
		.skipped = loss.skipped,
		.truncated = loss.truncated,
	};
	stats->fps = stats->wall_s > 0 ? (double)stats->frames / stats->wall_s : 0;
	il_run_stages(&job->run, stats->stages, INLAY_MATTE_STAGES);
}

char *inlay_matte_stats_json(const struct inlay_matte *job)
{
	struct inlay_matte_stats s;
	inlay_matte_stats(job, &s);
	json_t *own =
		json_pack("{s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:i, s:i, s:I, s:I, s:b}", "frames",
	                  (json_int_t)s.frames, "masks", (json_int_t)s.masks, "setup_s", s.setup_s, "wall_s", s.wall_s,
	                  "cpu_s", s.cpu_s, "fps", s.fps, "peak_rss_bytes", (json_int_t)s.peak_rss_bytes, "workers",
	                  (int)s.workers, "threads_per_worker", (int)s.threads, "damaged", (json_int_t)s.damaged,
	                  "skipped", (json_int_t)s.skipped, "truncated", s.truncated);
	return il_run_json(own, s.stages, INLAY_MATTE_STAGES);
}
