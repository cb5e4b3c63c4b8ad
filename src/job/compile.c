#define _GNU_SOURCE /* asprintf */
#include "inlay/compile.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "avatar/avatar.h"
#include "avatar/clip.h"
#include "avatar/prepared.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "composite/place.h"
#include "infer/audio_encoder.h"
#include "infer/lipsync_check.h"
#include "infer/session.h"
#include "inlay/version.h"
#include "pipeline/pipeline.h"

#define STAGES 4
#define MAX_HOISTED 64 /* as il_lipsync_net takes */
#define PROGRESS_MS 200
#define NETWORK "network.onnx"
#define ENCODER "audio_encoder.onnx"
#define DEFAULT_QUALITY 90

/* One frame on its way; lives in the pipeline's ring. */
struct item {
	int64_t index;
	struct inlay_frame *frame;
	uint8_t *crop; /* where the network stores anything */
	float *picture;
	uint8_t *keep;
	struct il_packer *packer;
	struct il_packed packed;
	struct il_tensor hoisted[MAX_HOISTED];
};

struct inlay_compile {
	struct il_avatar *avatar;
	struct il_clip *clip;      /* decode stage */
	struct il_place *cutter;   /* decode stage */
	struct il_session *before; /* network stage; NULL where nothing is stored */
	struct il_compiled_writer *writer;
	struct il_lipsync_compiled net; /* {0} for an avatar without a network */
	struct il_pipeline *pipeline;
	struct item *items;
	unsigned n_items;

	char *output;
	struct il_patches patches;
	bool has_network, no_planes;
	int interp, quality;
	int64_t budget, first; /* frame to go on with */
	struct il_lipsync_difference difference;
	int64_t wall_ns;
	char description[512];
};

/* ---- stages ---- */

static enum inlay_err decode_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                   struct inlay_error *err)
{
	struct inlay_compile *job = ctx;
	struct item *item = items[0];
	(void)worker, (void)n;
	item->index = job->first + k;
	if (item->index >= job->avatar->frames)
		return INLAY_EOF;
	const struct inlay_rect rect = job->avatar->rects[item->index];
	enum inlay_err rc = il_clip_frame(job->clip, item->index, &item->frame, err);
	if (!rc && item->crop)
		rc = il_place_crop(job->cutter, item->frame, rect, item->crop, err);
	if (!rc && item->keep) {
		const uint8_t *keep;
		rc = il_clip_keep(job->clip, item->index, &keep, err);
		if (!rc)
			memcpy(item->keep, keep, (size_t)(rect.x1 - rect.x0) * (size_t)(rect.y1 - rect.y0));
	}
	return rc;
}

static enum inlay_err pack_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                 struct inlay_error *err)
{
	const struct inlay_compile *job = ctx;
	struct item *item = items[0];
	(void)worker, (void)k, (void)n;
	enum inlay_err rc =
		il_packer_pack(item->packer, item->frame, job->avatar->rects[item->index], &item->packed, err);
	inlay_frame_destroy(&item->frame);
	return rc;
}

static enum inlay_err network_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                    struct inlay_error *err)
{
	struct inlay_compile *job = ctx;
	struct item *item = items[0];
	(void)worker, (void)k, (void)n;
	if (!job->before)
		return INLAY_OK;
	il_place_picture(job->cutter, item->crop, item->picture);
	const struct il_tensor picture = il_lipsync_picture(&job->net, item->picture);
	return il_session_run_tensors(job->before, &picture, item->hoisted, err);
}

/* float16 reaches 65504; what is larger became infinite. */
static bool is_finite(const struct il_tensor *tensor)
{
	const uint16_t *halves = tensor->data;
	unsigned wrong = 0;
	for (size_t i = 0; i < tensor->bytes / sizeof *halves; i++)
		wrong |= (halves[i] & 0x7c00) == 0x7c00;
	return !wrong;
}

/* Nothing for what an earlier run has written: one that was killed may have come to the middle of a frame. */
static enum inlay_err add(struct inlay_compile *job, enum il_compiled_store store, const char *kind, int64_t frame,
                          enum il_safetensor_type type, int rank, const size_t *dims, const void *data,
                          struct inlay_error *err)
{
	if (il_compiled_writer_has(job->writer, store, kind, frame))
		return INLAY_OK;
	return il_compiled_writer_add(job->writer, store, kind, frame, type, rank, dims, data, err);
}

static enum inlay_err write_hoisted(struct inlay_compile *job, struct item *item, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	for (int i = 0; job->before && i < il_session_outputs(job->before) && !rc; i++) {
		const struct il_tensor *tensor = &item->hoisted[i];
		const char *name = il_session_output(job->before, i)->name;
		size_t dims[IL_SAFETENSOR_MAX_RANK];
		for (int k = 0; k < tensor->rank; k++)
			dims[k] = (size_t)tensor->dims[k];
		if (!is_finite(tensor))
			rc = il_fail(err, INLAY_ERR_UNSUPPORTED,
			             "%s: %s of frame %" PRId64
			             " exceeds the range of float16; compile without storing what "
			             "the network computes (--budget-mb 0)",
			             job->avatar->model, name, item->index);
		if (!rc)
			rc = add(job, IL_STORE_HOISTED, name, item->index, IL_ST_F16, tensor->rank, dims, tensor->data,
			         err);
	}
	for (int i = 0; job->before && i < il_session_outputs(job->before); i++)
		il_tensor_clear(&item->hoisted[i]);
	return rc;
}

static enum inlay_err write_bytes(struct inlay_compile *job, const struct item *item, const char *kind,
                                  const void *data, size_t size, struct inlay_error *err)
{
	return add(job, IL_STORE_FRAMES, kind, item->index, IL_ST_U8, 1, &size, data, err);
}

static enum inlay_err write_keep(struct inlay_compile *job, const struct item *item, struct inlay_error *err)
{
	const struct inlay_rect rect = job->avatar->rects[item->index];
	const size_t dims[] = { (size_t)(rect.y1 - rect.y0), (size_t)(rect.x1 - rect.x0) };
	if (!item->keep)
		return INLAY_OK;
	return add(job, IL_STORE_FRAMES, IL_KIND_KEEP, item->index, IL_ST_U8, 2, dims, item->keep, err);
}

static enum inlay_err write_stage(void *ctx, unsigned worker, int64_t k, void *const *items, unsigned n,
                                  struct inlay_error *err)
{
	struct inlay_compile *job = ctx;
	struct item *item = items[0];
	const struct il_packed *packed = &item->packed;
	const size_t intervals = il_jpeg_intervals(&packed->jpeg.form);
	(void)worker, (void)k, (void)n;
	enum inlay_err rc = write_bytes(job, item, IL_KIND_JPEG, packed->jpeg.data, packed->jpeg.size, err);
	if (!rc)
		rc = add(job, IL_STORE_FRAMES, IL_KIND_INDEX, item->index, IL_ST_U32, 1, &intervals,
		         packed->jpeg.offsets, err);
	if (!rc)
		rc = write_bytes(job, item, IL_KIND_PATCH, packed->patch, packed->patch_bytes, err);
	if (!rc && !job->no_planes)
		rc = write_bytes(job, item, IL_KIND_PLANES, packed->planes, packed->planes_bytes, err);
	if (!rc)
		rc = write_keep(job, item, err);
	return rc ? rc : write_hoisted(job, item, err);
}

/* ---- set-up ---- */

static enum inlay_err check_params(const struct inlay_compile_params *p, struct inlay_error *err)
{
	if (!p->avatar || !p->output)
		return il_fail(err, INLAY_ERR_INVALID, "no %s given", p->avatar ? "output" : "avatar");
	if (p->frames < 0)
		return il_fail(err, INLAY_ERR_INVALID, "the number of frames must not be negative");
	if (p->jpeg_quality < 0 || p->jpeg_quality > 100)
		return il_fail(err, INLAY_ERR_INVALID, "quality %d: expected 1 to 100", p->jpeg_quality);
	return INLAY_OK;
}

/* Without the slashes that completion types behind a folder. */
static enum inlay_err take_output(struct inlay_compile *job, const char *output, struct inlay_error *err)
{
	job->output = strdup(output);
	if (!job->output)
		return il_fail_memory(err);
	for (size_t n = strlen(output); n > 1 && job->output[n - 1] == '/'; n--)
		job->output[n - 1] = 0;
	if (strcmp(il_path_extension(job->output), "inlay") != 0)
		return il_fail(err, INLAY_ERR_INVALID, "%s: expected a name that ends in .inlay", output);
	return INLAY_OK;
}

static enum inlay_err take_path(char **place, const char *given, struct inlay_error *err)
{
	if (!given)
		return INLAY_OK;
	free(*place);
	*place = strdup(given);
	return *place ? INLAY_OK : il_fail_memory(err);
}

static enum inlay_err open_avatar(struct inlay_compile *job, const struct inlay_compile_params *p,
                                  struct inlay_error *err)
{
	enum inlay_err rc = il_avatar_open(&job->avatar, p->avatar, err);
	if (rc)
		return rc;
	struct il_avatar *avatar = job->avatar;
	if (avatar->compiled)
		return il_fail(err, INLAY_ERR_INVALID, "%s: is compiled already; expected the pack it comes from",
		               p->avatar);
	if (p->parsing)
		rc = il_avatar_set_parsing(avatar, p->parsing, err);
	if (!rc)
		rc = take_path(&avatar->model, p->model, err);
	if (!rc)
		rc = take_path(&avatar->audio_encoder, p->audio_encoder, err);
	if (rc)
		return rc;
	if (p->frames > 0 && p->frames < avatar->frames)
		avatar->frames = p->frames;
	if (avatar->start_frame >= avatar->frames)
		avatar->start_frame = 0;
	job->interp = p->interp             ? (int)p->interp - INLAY_INTERP_LINEAR
	              : avatar->interp >= 0 ? avatar->interp
	                                    : IL_INTERP_LINEAR;
	return il_clip_open(&job->clip, avatar, 0, p->threads, err);
}

static enum inlay_err compile_network(struct inlay_compile *job, const struct inlay_compile_params *p,
                                      struct inlay_error *err)
{
	const struct il_lipsync_compile_params params = { .path = job->avatar->model,
		                                          .picture_name = p->input_name,
		                                          .audio_name = p->audio_name,
		                                          .output_name = p->output_name,
		                                          .budget_bytes = (uint64_t)job->budget,
		                                          .standard = p->standard };
	job->has_network = job->avatar->model != NULL;
	if (!job->has_network) {
		il_log_warn("%s names no network, and not exactly one was found in it: frames alone are compiled, and "
		            "drawing needs --model",
		            p->avatar);
		return INLAY_OK;
	}
	enum inlay_err rc = il_lipsync_compile(&job->net, &params, err);
	if (rc || !job->net.before)
		return rc;
	const struct il_session_params session = { .threads = p->threads ? p->threads : il_cpu_count() };
	rc = il_session_open_memory(&job->before, job->net.before, job->net.before_bytes, job->avatar->model, &session,
	                            err);
	if (!rc && il_session_outputs(job->before) > MAX_HOISTED)
		rc = il_fail(err, INLAY_ERR_UNSUPPORTED,
		             "%s: %d tensors to store; expected at most %d: a smaller --budget-mb stores fewer",
		             job->avatar->model, il_session_outputs(job->before), MAX_HOISTED);
	if (!rc)
		rc = il_place_create(&job->cutter, job->net.info.size, (enum il_interp)job->interp, err);
	return rc;
}

static bool encoder_fits(size_t row, size_t audio)
{
	return 8 * row == audio || 16 * row == audio;
}

/* It goes along as a file: what does not open, has weights in a file of their own, or belongs to another network is
 * told now. */
static enum inlay_err check_encoder(const struct inlay_compile *job, struct inlay_error *err)
{
	const char *path = job->avatar->audio_encoder;
	struct il_graph *graph = NULL;
	struct il_audio_encoder *encoder = NULL;
	if (!path)
		return INLAY_OK;
	enum inlay_err rc = il_graph_read(&graph, path, err);
	if (!rc)
		rc = il_audio_encoder_open(&encoder, path, err);
	if (!rc && job->has_network && !encoder_fits(il_audio_encoder_floats(encoder), job->net.info.audio_floats))
		il_log_warn(
			"%s: gives %zu numbers a row, which the network's audio of %zu is no 8 or 16 rows of: drawing "
			"needs another (--audio-encoder), or ready features (--features)",
			path, il_audio_encoder_floats(encoder), job->net.info.audio_floats);
	il_audio_encoder_destroy(&encoder);
	il_graph_destroy(&graph);
	return rc;
}

/* ---- the comparison ---- */

/* Draws the first frame with both networks: what is rewritten must draw what the original draws. */
static enum inlay_err compare(struct inlay_compile *job, const struct inlay_compile_params *p, struct inlay_error *err)
{
	const struct il_lipsync_difference allowed = { .most = 4, .mean = 0.5 };
	const struct il_lipsync_net_params original = { .path = job->avatar->model,
		                                        .picture_name = p->input_name,
		                                        .audio_name = p->audio_name,
		                                        .output_name = p->output_name };
	struct il_lipsync_difference *found = &job->difference;
	struct il_place *place = NULL;
	struct inlay_frame *frame = NULL;
	if (!job->has_network)
		return INLAY_OK;
	enum inlay_err rc = il_place_create(&place, job->net.info.size, (enum il_interp)job->interp, err);
	uint8_t *crop = rc ? NULL : malloc(il_place_crop_bytes(place));
	float *picture = malloc(job->net.info.picture_floats * sizeof(float));
	if (!rc && (!crop || !picture))
		rc = il_fail_memory(err);
	if (!rc)
		rc = il_clip_frame(job->clip, 0, &frame, err);
	if (!rc)
		rc = il_place_crop(place, frame, job->avatar->rects[0], crop, err);
	if (!rc) {
		il_place_picture(place, crop, picture);
		rc = il_lipsync_check(&job->net, job->before, &original, picture, found, err);
	}
	inlay_frame_destroy(&frame);
	il_place_destroy(&place);
	free(crop);
	free(picture);
	if (rc || (found->most <= allowed.most && found->mean <= allowed.mean))
		return rc;
	return il_fail(err, INLAY_ERR_UNSUPPORTED,
	               "%s: compiled, it draws the first frame %.2f levels off in the mean and %.1f at most; expected "
	               "%.1f and %.0f. Numbers that float16 does not hold? --budget-mb 0 stores none",
	               job->avatar->model, found->mean, found->most, allowed.mean, allowed.most);
}

/* ---- the output ---- */

static void make_patches(struct inlay_compile *job)
{
	const struct il_avatar *avatar = job->avatar;
	const struct il_jpeg_form form = il_prepared_form(avatar->width, avatar->height, IL_JPEG_INTERVAL);
	il_patches_init(&job->patches, &form, avatar->rects, avatar->frames);
}

static int64_t bytes_of_frame(const struct inlay_compile *job)
{
	const struct inlay_frame_info *frame = il_clip_info(job->clip);
	struct inlay_frame_info patch = *frame;
	int64_t raw = (int64_t)il_raw_bytes(frame);
	patch.width = job->patches.width;
	patch.height = job->patches.height;
	/* A JPEG and a compressed frame: guesses on the safe side for people who talk. */
	return (int64_t)job->net.hoist.bytes + (int64_t)il_raw_bytes(&patch) + raw / 6 +
	       (job->no_planes ? 0 : raw * 6 / 10);
}

/* Running out of space after an hour helps nobody. */
static enum inlay_err check_space(const struct inlay_compile *job, struct inlay_error *err)
{
	const char *output = job->output;
	struct statvfs space;
	char *folder = il_path_folder(output);
	int64_t needed = bytes_of_frame(job) * (job->avatar->frames - job->first);
	int64_t free_bytes = INT64_MAX;
	if (folder && statvfs(folder, &space) == 0)
		free_bytes = (int64_t)space.f_bavail * (int64_t)space.f_frsize;
	free(folder);
	if (needed <= free_bytes)
		return INLAY_OK;
	return il_fail(
		err, INLAY_ERR_IO,
		"%s: needs about %.1f GB, %.1f MB a frame, and %.1f GB are free; store less (--budget-mb), or make "
		"room",
		output, (double)needed / 1e9, (double)bytes_of_frame(job) / 1e6, (double)free_bytes / 1e9);
}

static bool has_frame(const struct inlay_compile *job, int64_t frame)
{
	static const char *const kinds[] = { IL_KIND_JPEG, IL_KIND_INDEX, IL_KIND_PATCH, IL_KIND_PLANES, IL_KIND_KEEP };
	bool has = true;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		bool wanted = strcmp(kinds[i], IL_KIND_PLANES) ? true : !job->no_planes;
		if (!strcmp(kinds[i], IL_KIND_KEEP))
			wanted = il_clip_keeps(job->clip);
		has &= !wanted || il_compiled_writer_has(job->writer, IL_STORE_FRAMES, kinds[i], frame);
	}
	for (int i = 0; job->before && i < il_session_outputs(job->before); i++)
		has &= il_compiled_writer_has(job->writer, IL_STORE_HOISTED, il_session_output(job->before, i)->name,
		                              frame);
	return has;
}

static enum inlay_err write_networks(struct inlay_compile *job, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	char *path = NULL;
	if (job->has_network) {
		rc = il_compiled_writer_file(job->writer, NETWORK, &path, err);
		if (!rc)
			rc = il_file_write(path, job->net.network, job->net.network_bytes, true, err);
		free(path);
	}
	const size_t count = job->net.weights.count;
	if (!rc && count)
		rc = add(job, IL_STORE_FRAMES, IL_CONSTANT_WEIGHTS, -1, IL_ST_F32, 1, &count, job->net.weights.data,
		         err);
	if (!rc && job->avatar->audio_encoder)
		rc = il_compiled_writer_copy(job->writer, ENCODER, job->avatar->audio_encoder, err);
	return rc;
}

static enum inlay_err open_writer(struct inlay_compile *job, const struct inlay_compile_params *p,
                                  struct inlay_error *err)
{
	char *settings = NULL;
	char **sources;
	size_t count;
	int written = asprintf(&settings,
	                       "inlay %s; interp %d, quality %d, interval %d, budget %" PRId64
	                       ", planes %d, fused %d, names %s %s %s",
	                       inlay_version(), job->interp, job->quality, IL_JPEG_INTERVAL, job->budget,
	                       !job->no_planes, !p->standard, p->input_name ? p->input_name : "",
	                       p->audio_name ? p->audio_name : "", p->output_name ? p->output_name : "");
	if (written < 0)
		return il_fail_memory(err);
	enum inlay_err rc = il_avatar_sources(job->avatar, &sources, &count, err);
	if (rc) {
		free(settings);
		return rc;
	}
	const struct il_compiled_plan plan = { .frames = job->avatar->frames,
		                               .kinds = { 5, job->before ? il_session_outputs(job->before) : 0 },
		                               .constants = { 1, 0 },
		                               .name_bytes = 32,
		                               .settings = settings,
		                               .sources = (const char *const *)sources,
		                               .source_count = count,
		                               .overwrite = p->overwrite };
	rc = il_compiled_writer_open(&job->writer, job->output, &plan, err);
	il_avatar_sources_destroy(&sources, count);
	free(settings);
	while (!rc && job->first < job->avatar->frames && has_frame(job, job->first))
		job->first++;
	if (!rc)
		rc = check_space(job, err);
	return rc ? rc : write_networks(job, err);
}

static enum inlay_err make_items(struct inlay_compile *job, unsigned threads, struct inlay_error *err)
{
	size_t keep_bytes = 0;
	for (int64_t i = 0; i < job->avatar->frames && il_clip_keeps(job->clip); i++) {
		const struct inlay_rect *r = &job->avatar->rects[i];
		size_t bytes = (size_t)(r->x1 - r->x0) * (size_t)(r->y1 - r->y0);
		keep_bytes = bytes > keep_bytes ? bytes : keep_bytes;
	}
	job->n_items = threads + 4; /* each with a frame or three of memory */
	job->items = calloc(job->n_items, sizeof *job->items);
	if (!job->items)
		return il_fail_memory(err);
	enum inlay_err rc = INLAY_OK;
	for (unsigned i = 0; i < job->n_items && !rc; i++) {
		struct item *item = &job->items[i];
		item->crop = job->before ? malloc(il_place_crop_bytes(job->cutter)) : NULL;
		item->picture = job->before ? malloc(job->net.info.picture_floats * sizeof(float)) : NULL;
		item->keep = keep_bytes ? malloc(keep_bytes) : NULL;
		if ((job->before && (!item->crop || !item->picture)) || (keep_bytes && !item->keep))
			return il_fail_memory(err);
		rc = il_packer_create(&item->packer, il_clip_info(job->clip), &job->patches, job->quality, err);
	}
	return rc;
}

static enum inlay_err make_pipeline(struct inlay_compile *job, unsigned threads, struct inlay_error *err)
{
	const struct il_stage stages[STAGES] = {
		{ .name = "decode", .run = decode_stage, .ctx = job },
		{ .name = "pack", .run = pack_stage, .ctx = job, .workers = threads },
		{ .name = "network", .run = network_stage, .ctx = job },
		{ .name = "write", .run = write_stage, .ctx = job },
	};
	void **pointers = calloc(job->n_items, sizeof *pointers);
	if (!pointers)
		return il_fail_memory(err);
	for (unsigned i = 0; i < job->n_items; i++)
		pointers[i] = &job->items[i];
	enum inlay_err rc = il_pipeline_create(&job->pipeline, stages, STAGES, pointers, job->n_items, err);
	free(pointers);
	return rc;
}

static void describe(struct inlay_compile *job)
{
	const struct il_hoist_stats *hoist = &job->net.hoist;
	int n = snprintf(job->description, sizeof job->description, "%" PRId64 " frames of %dx%d, about %.1f MB each",
	                 job->avatar->frames, job->avatar->width, job->avatar->height,
	                 (double)bytes_of_frame(job) / 1e6);
	if (job->has_network && n > 0 && (size_t)n < sizeof job->description)
		snprintf(job->description + n, sizeof job->description - (size_t)n,
		         "; network: %.2f of %.2f GFLOP left a frame, %zu tensors stored (%.1f MB), %u fused blocks, "
		         "%.2f levels off at most",
		         hoist->flops_after / 1e9, hoist->flops_before / 1e9, hoist->tensors,
		         (double)hoist->bytes / 1e6, job->net.fuse.blocks, job->difference.most);
}

enum inlay_err inlay_compile_create(struct inlay_compile **out, const struct inlay_compile_params *p,
                                    struct inlay_error *err)
{
	unsigned threads = p->threads ? p->threads : il_cpu_count();
	*out = NULL;
	enum inlay_err rc = check_params(p, err);
	if (rc)
		return rc;
	struct inlay_compile *job = calloc(1, sizeof *job);
	if (!job)
		return il_fail_memory(err);
	job->no_planes = p->no_planes;
	job->quality = p->jpeg_quality ? p->jpeg_quality : DEFAULT_QUALITY;
	job->budget = p->budget_bytes < 0 ? 0 : p->budget_bytes ? p->budget_bytes : INLAY_BUDGET_DEFAULT;
	rc = take_output(job, p->output, err);
	if (!rc)
		rc = open_avatar(job, p, err);
	if (!rc)
		make_patches(job);
	if (rc || (rc = compile_network(job, p, err)) || (rc = check_encoder(job, err)) ||
	    (rc = compare(job, p, err)) || (rc = open_writer(job, p, err)) || (rc = make_items(job, threads, err)) ||
	    (rc = make_pipeline(job, threads, err))) {
		inlay_compile_destroy(&job);
		return rc;
	}
	describe(job);
	*out = job;
	return INLAY_OK;
}

void inlay_compile_destroy(struct inlay_compile **slot)
{
	struct inlay_compile *job = *slot;
	*slot = NULL;
	if (!job)
		return;
	il_pipeline_destroy(&job->pipeline);
	for (unsigned i = 0; i < job->n_items && job->items; i++) {
		struct item *item = &job->items[i];
		inlay_frame_destroy(&item->frame);
		free(item->crop);
		free(item->picture);
		free(item->keep);
		for (int k = 0; k < MAX_HOISTED; k++)
			il_tensor_clear(&item->hoisted[k]);
		il_packer_destroy(&item->packer);
	}
	free(job->items);
	il_compiled_writer_destroy(&job->writer);
	il_session_destroy(&job->before);
	il_place_destroy(&job->cutter);
	il_lipsync_compiled_clear(&job->net);
	il_clip_destroy(&job->clip);
	il_avatar_destroy(&job->avatar);
	free(job->output);
	free(job);
}

/* ---- the run ---- */

struct watcher {
	inlay_progress_fn *progress;
	void *ctx;
	int64_t first, frames;
};

static bool report(void *ctx, int64_t done)
{
	const struct watcher *w = ctx;
	return !w->progress || w->progress(w->ctx, w->first + done, w->frames);
}

static enum inlay_err finish(struct inlay_compile *job, struct inlay_error *err)
{
	const struct il_avatar *avatar = job->avatar;
	const struct inlay_frame_info *frame = il_clip_info(job->clip);
	const struct il_compiled_info info = { .frames = avatar->frames,
		                               .width = frame->width,
		                               .height = frame->height,
		                               .fps = avatar->fps,
		                               .order = avatar->order,
		                               .interp = job->interp,
		                               .start_frame = avatar->start_frame,
		                               .colour = frame->colour,
		                               .rects = avatar->rects,
		                               .jpeg_quality = job->quality,
		                               .jpeg_restart_interval = IL_JPEG_INTERVAL,
		                               .network = job->has_network ? NETWORK : NULL,
		                               .audio_encoder = avatar->audio_encoder ? ENCODER : NULL };
	return il_compiled_writer_finish(job->writer, &info, err);
}

enum inlay_err inlay_compile_run(struct inlay_compile *job, inlay_progress_fn *progress, void *ctx,
                                 struct inlay_error *err)
{
	struct watcher watcher = { progress, ctx, job->first, job->avatar->frames };
	int64_t start = il_clock_ns();
	enum inlay_err rc = il_pipeline_run(job->pipeline, report, &watcher, PROGRESS_MS, err);
	if (!rc)
		rc = finish(job, err);
	job->wall_ns = il_clock_ns() - start;
	return rc;
}

const char *inlay_compile_describe(const struct inlay_compile *job)
{
	return job->description;
}

void inlay_compile_stats(const struct inlay_compile *job, struct inlay_compile_stats *stats)
{
	*stats = (struct inlay_compile_stats){
		.frames = job->avatar->frames,
		.resumed = job->first,
		.hoisted = (int64_t)job->net.hoist.tensors,
		.hoisted_bytes = (int64_t)job->net.hoist.bytes,
		.flops_before = job->net.hoist.flops_before,
		.flops_after = job->net.hoist.flops_after,
		.blocks = job->net.fuse.blocks,
		.max_difference = job->difference.most,
		.mean_difference = job->difference.mean,
		.wall_s = (double)job->wall_ns / 1e9,
	};
}
