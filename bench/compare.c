#include "compare.h"

#include <dirent.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "avatar/avatar.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/file.h"
#include "infer/lipsync_compile.h"
#include "infer/session.h"
#include "inlay/compile.h"
#include "inlay/version.h"
#include "job/measure.h"
#include "kernel/kernel.h"
#include "median.h"
#include "peak.h"

enum { MAX_ROUNDS = 64, USES = 2 };

#define JOB_FRAMES 4 /* times those of a network: a job begins and ends with less than all processors */

#define STORED_BUDGET ((uint64_t)64 << 20) /* room for all that can be stored of unet_328 */

/* A form of the network. */
enum form { STOCK, REWRITTEN, FUSED, STORED, FORMS };
static const char *const form_names[FORMS] = { "stock", "rewritten", "fused", "fused, stored" };
static const char *const form_keys[FORMS] = { "stock", "rewritten", "fused", "stored" };

/* A way of using the processors: a session each, or one session on all. */
struct use {
	unsigned workers, threads;
};

/* The job from the compiled avatar. */
enum output { TO_NULL, TO_JPEG, TO_MP4, OUTPUTS };
static const char *const output_names[OUTPUTS] = { "job to null", "job to jpg", "job to mp4" };
static const char *const output_keys[OUTPUTS] = { "null", "jpg", "mp4" };

struct comparison {
	const struct bench_params *params;
	char *model;
	unsigned processors, n_uses;
	struct use uses[USES];
	struct il_lipsync_compiled forms[FORMS]; /* STOCK is empty */
	struct il_runners *runners[FORMS][USES];
	double network[FORMS][USES][MAX_ROUNDS], job[OUTPUTS][MAX_ROUNDS]; /* frames a second */
	unsigned rounds;
	double peak; /* operations a second of all processors */
	char avatar[PATH_MAX];
};

static unsigned best_use(const struct comparison *c, enum form form)
{
	return c->n_uses > 1 && median(c->network[form][1], c->rounds) > median(c->network[form][0], c->rounds);
}

static double fps_of(const struct comparison *c, enum form form)
{
	return median(c->network[form][best_use(c, form)], c->rounds);
}

static double flops_of(const struct comparison *c, enum form form)
{
	return form == STOCK ? c->forms[REWRITTEN].original_flops : c->forms[form].hoist.flops_after;
}

/* ---- set-up ---- */

static enum inlay_err find_model(struct comparison *c, struct inlay_error *err)
{
	const struct inlay_lipsync_params *job = &c->params->job;
	struct il_avatar *avatar = NULL;
	enum inlay_err rc = il_avatar_open(&avatar, job->avatar, err);
	if (rc)
		return rc;
	const char *path = job->model ? job->model : avatar->model;
	if (avatar->compiled)
		rc = il_fail(err, INLAY_ERR_INVALID, "%s: is compiled already; expected the pack it comes from",
		             job->avatar);
	else if (!path)
		rc = il_fail(err, INLAY_ERR_INVALID, "%s names no network: give one (--model FILE.onnx)", job->avatar);
	else if (!(c->model = strdup(path)))
		rc = il_fail_memory(err);
	il_avatar_destroy(&avatar);
	return rc;
}

static enum inlay_err open_form(struct comparison *c, enum form form, struct inlay_error *err)
{
	const struct il_lipsync_compile_params compile = { .path = c->model,
		                                           .budget_bytes = form == STORED ? STORED_BUDGET
		                                                                          : INLAY_BUDGET_DEFAULT,
		                                           .standard = form == REWRITTEN };
	struct il_lipsync_net_params net = { .path = c->model, .batch = 1 };
	enum inlay_err rc = form == STOCK ? INLAY_OK : il_lipsync_compile(&c->forms[form], &compile, err);
	net.data = c->forms[form].network;
	net.bytes = c->forms[form].network_bytes;
	net.weights = c->forms[form].weights.data;
	net.weight_count = c->forms[form].weights.count;
	for (unsigned i = 0; i < c->n_uses && !rc; i++) {
		net.threads = c->uses[i].threads;
		rc = il_runners_open(&c->runners[form][i], &net, c->uses[i].workers, true, err);
	}
	return rc;
}

static bool go_on(void *ctx, int64_t done, int64_t expected)
{
	const struct comparison *c = ctx;
	(void)done, (void)expected;
	return !c->params->cancelled();
}

/* As many frames of the avatar as a measurement draws. */
static enum inlay_err compile_avatar(struct comparison *c, struct inlay_error *err)
{
	const struct inlay_lipsync_params *job = &c->params->job;
	const struct inlay_compile_params params = { .avatar = job->avatar,
		                                     .output = c->avatar,
		                                     .model = job->model,
		                                     .audio_encoder = job->audio_encoder,
		                                     .frames = JOB_FRAMES * c->params->frames,
		                                     .threads = job->threads };
	struct inlay_compile *compile = NULL;
	snprintf(c->avatar, sizeof c->avatar, "%.*s/bench.inlay", PATH_MAX - 16, c->params->scratch);
	enum inlay_err rc = inlay_compile_create(&compile, &params, err);
	if (!rc)
		rc = inlay_compile_run(compile, go_on, c, err);
	inlay_compile_destroy(&compile);
	return rc;
}

/* ---- measuring ---- */

static enum inlay_err measure_job(struct comparison *c, enum output output, double *fps, struct inlay_error *err)
{
	struct inlay_lipsync_params params = c->params->job;
	struct inlay_lipsync *job = NULL;
	struct inlay_lipsync_stats stats;
	char path[PATH_MAX + 16];
	snprintf(path, sizeof path, "%s/%s", c->params->scratch, output == TO_MP4 ? "bench.mp4" : "bench.mjpeg");
	params.avatar = c->avatar;
	params.model = params.audio_encoder = NULL;
	if (!params.features)
		params.audio_encoder = c->params->job.audio_encoder;
	params.frames = JOB_FRAMES * c->params->frames;
	params.workers = c->uses[best_use(c, FUSED)].workers;
	params.batch = 1;
	params.no_memo = true;
	params.overwrite = true;
	params.format = output == TO_MP4 ? "mp4" : output == TO_JPEG ? "mjpeg" : "null";
	params.output = output == TO_NULL ? NULL : path;
	enum inlay_err rc = inlay_lipsync_create(&job, &params, err);
	if (!rc)
		rc = inlay_lipsync_run(job, go_on, c, err);
	if (!rc) {
		inlay_lipsync_stats(job, &stats);
		*fps = stats.fps;
	}
	inlay_lipsync_destroy(&job);
	if (output != TO_NULL)
		unlink(path);
	return rc;
}

/* All of them once; who begins changes from round to round, so that none has the machine's better minutes for itself.
 */
static enum inlay_err measure_networks(struct comparison *c, unsigned round, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	const unsigned all = FORMS * c->n_uses;
	for (unsigned i = 0; i < all && !rc; i++) {
		unsigned turn = (round + i) % all, form = turn / c->n_uses, use = turn % c->n_uses;
		rc = il_runners_run(c->runners[form][use], c->params->frames, &c->network[form][use][round], err);
		if (!rc && c->params->cancelled())
			rc = il_fail(err, INLAY_ERR_CANCELLED, "cancelled");
	}
	return rc;
}

static enum inlay_err measure(struct comparison *c, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	/* The job runs its network in the way that proves the better one, so that is found out first. */
	c->rounds = 1;
	rc = measure_networks(c, 0, err);
	for (unsigned round = 0; round < c->params->rounds && !rc; round++) {
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\rround %u of %u%s", round + 1, c->params->rounds,
			        round + 1 < c->params->rounds ? "" : " \n");
		c->rounds = round + 1;
		rc = measure_networks(c, round, err);
		for (int output = 0; output < OUTPUTS && !rc; output++)
			rc = measure_job(c, output, &c->job[output][round], err);
	}
	return rc;
}

/* ---- telling ---- */

static void print_forms(const struct comparison *c)
{
	printf("\n%-14s %10s %9s %8s %9s %8s  %s\n", "network", "used", "ms/frame", "fps", "GFLOP/s", "of peak",
	       "GFLOP, MB stored a frame");
	for (int form = 0; form < FORMS; form++) {
		const struct use *use = &c->uses[best_use(c, form)];
		double fps = fps_of(c, form), rate = fps * flops_of(c, form);
		printf("%-14s %5u x %2u %9.1f %8.1f %9.1f %7.0f%%  %.2f, %.1f\n", form_names[form], use->workers,
		       use->threads, 1e3 / fps, fps, rate / 1e9, c->peak > 0 ? 100 * rate / c->peak : 0,
		       flops_of(c, form) / 1e9, (double)c->forms[form].hoist.bytes / 1e6);
	}
	for (int output = 0; output < OUTPUTS; output++)
		printf("%-14s %10s %9.1f %8.1f\n", output_names[output], "", 1e3 / median(c->job[output], c->rounds),
		       median(c->job[output], c->rounds));
}

static double ratio(const struct comparison *c, enum form form)
{
	return fps_of(c, form) / fps_of(c, STOCK);
}

static double job_ratio(const struct comparison *c, enum output output)
{
	return median(c->job[output], c->rounds) / fps_of(c, FUSED);
}

static void print_ratios(const struct comparison *c)
{
	printf("\nrewritten %.2f times as fast as stock, fused %.2f, fused with all stored %.2f\n"
	       "the job reaches %.3f of the fused network alone (null), %.3f (jpg), %.3f (mp4)\n",
	       ratio(c, REWRITTEN), ratio(c, FUSED), ratio(c, STORED), job_ratio(c, TO_NULL), job_ratio(c, TO_JPEG),
	       job_ratio(c, TO_MP4));
}

static json_t *form_json(const struct comparison *c, enum form form)
{
	const struct use *use = &c->uses[best_use(c, form)];
	double fps = fps_of(c, form);
	json_t *uses = json_array();
	for (unsigned i = 0; i < c->n_uses; i++)
		json_array_append_new(uses, json_pack("{s:i, s:i, s:f}", "workers", (int)c->uses[i].workers, "threads",
		                                      (int)c->uses[i].threads, "fps",
		                                      median(c->network[form][i], c->rounds)));
	return json_pack("{s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:I, s:o}", "workers", (int)use->workers, "threads",
	                 (int)use->threads, "ms", 1e3 / fps, "fps", fps, "gflop", flops_of(c, form) / 1e9, "gflops",
	                 fps * flops_of(c, form) / 1e9, "of_peak",
	                 c->peak > 0 ? fps * flops_of(c, form) / c->peak : 0.0, "stored_bytes",
	                 (json_int_t)c->forms[form].hoist.bytes, "uses", uses);
}

static char *json_text(const struct comparison *c)
{
	json_t *networks = json_object(), *jobs = json_object();
	for (int form = 0; form < FORMS; form++)
		json_object_set_new(networks, form_keys[form], form_json(c, form));
	for (int output = 0; output < OUTPUTS; output++)
		json_object_set_new(jobs, output_keys[output],
		                    json_pack("{s:f, s:f}", "fps", median(c->job[output], c->rounds), "vs_fused",
		                              job_ratio(c, output)));
	json_t *root = json_pack("{s:o, s:I, s:i, s:i, s:s, s:f, s:{s:s, s:s}, s:o, s:o, s:{s:f, s:f, s:f, s:f, s:f}}",
	                         "model", json_string_nocheck(c->model), "frames", (json_int_t)c->params->frames,
	                         "rounds", (int)c->rounds, "processors", (int)c->processors, "cpu",
	                         il_kernels_get()->name, "peak_gflops", c->peak / 1e9, "versions", "inlay",
	                         inlay_version(), "onnxruntime", il_infer_runtime_version(), "networks", networks,
	                         "jobs", jobs, "ratios", "rewritten_vs_stock", ratio(c, REWRITTEN), "fused_vs_stock",
	                         ratio(c, FUSED), "stored_vs_stock", ratio(c, STORED), "job_vs_fused",
	                         job_ratio(c, TO_NULL), "jpg_vs_fused", job_ratio(c, TO_JPEG));
	char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(5)) : NULL;
	json_decref(root);
	return text;
}

/* A folder of files; one that is not there is fine. */
static void remove_folder(const char *folder)
{
	char path[PATH_MAX + 256];
	DIR *dir = opendir(folder);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		unlink(path); /* fails for . and .. */
	}
	if (dir)
		closedir(dir);
	rmdir(folder);
}

static void clear(struct comparison *c)
{
	for (int form = 0; form < FORMS; form++) {
		for (unsigned i = 0; i < USES; i++)
			il_runners_destroy(&c->runners[form][i]);
		il_lipsync_compiled_clear(&c->forms[form]);
	}
	if (c->avatar[0]) {
		char part[PATH_MAX + 16];
		snprintf(part, sizeof part, "%s.part", c->avatar);
		remove_folder(c->avatar);
		remove_folder(part);
	}
	free(c->model);
	free(c);
}

enum inlay_err bench_compare(const struct bench_params *params, struct inlay_error *err)
{
	struct comparison *c = calloc(1, sizeof *c);
	struct il_part *json = NULL;
	if (!c)
		return il_fail_memory(err);
	c->params = params;
	c->processors = params->job.threads ? params->job.threads : il_cpu_count();
	c->uses[0] = (struct use){ c->processors, 1 };
	c->uses[1] = (struct use){ 1, c->processors };
	c->n_uses = c->processors > 1 ? 2 : 1;
	c->peak = peak_flops() * c->processors;
	enum inlay_err rc = find_model(c, err);
	if (!rc && params->json)
		rc = il_part_open(&json, params->json, true, err);
	for (int form = 0; form < FORMS && !rc; form++)
		rc = open_form(c, form, err);
	if (!rc)
		rc = compile_avatar(c, err);
	if (!rc)
		rc = measure(c, err);
	if (!rc) {
		print_forms(c);
		print_ratios(c);
	}
	if (!rc && json) {
		char *text = json_text(c);
		rc = text ? il_part_write(json, text, strlen(text), err) : il_fail_memory(err);
		free(text);
		if (!rc)
			rc = il_part_commit(json, err);
	}
	il_part_destroy(&json);
	clear(c);
	return rc;
}
