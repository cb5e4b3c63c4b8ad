#include "matte.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "composite/matte.h"
#include "inlay/version.h"
#include "kernel/kernel.h"
#include "kernel/psnr.h"
#include "matte_impl.h"

#define RING_BYTES (INT64_C(128) << 20) /* at least: more than a last cache holds */
#define MAX_LEVELS 2                    /* between the alphas of two chains that do the same */
#define MIN_PSNR 45.0                   /* dB, of their pictures */

enum work { CHAIN, PYTHON, COPY };
enum { INLAY, REFERENCE = 3, PIL, OPENCV, OPENCV_BOXES, MEMCPY, ROWS };

static const struct {
	const char *name;
	enum work work;
	enum inlay_matte_preset preset;
	unsigned frames; /* of one turn, after one that warms up */
} kinds[ROWS] = {
	[INLAY] = { "inlay", CHAIN, INLAY_MATTE_BEST, 10 },
	{ "inlay fast", CHAIN, INLAY_MATTE_FAST, 10 },
	{ "inlay obs", CHAIN, INLAY_MATTE_OBS, 10 },
	[REFERENCE] = { "inlay reference", CHAIN, INLAY_MATTE_REFERENCE, 10 },
	[PIL] = { "pil", PYTHON, 0, 1 },
	[OPENCV] = { "opencv", PYTHON, 0, 4 },
	[OPENCV_BOXES] = { "opencv-boxes", PYTHON, 0, 4 },
	[MEMCPY] = { "memcpy", COPY, 0, 20 },
};

struct row {
	struct il_mask_stream *stream;
	struct il_matte_chain *chain;
	double ms[BENCH_MATTE_ROUNDS]; /* a frame */
	double median, best;
};

/* How far what others make is from inlay's reference preset. */
struct agreement {
	int levels;   /* the largest difference of alpha */
	double psnr;  /* of the worst plane of the picture, dB */
	double error; /* mean difference of alpha, in levels */
};

struct bench {
	const struct bench_matte_params *params;
	struct bench_picture picture;
	struct bench_python *python; /* NULL: without */
	struct row rows[ROWS];
	/* The same picture many times over. All rows go round in it, and find their frame in memory and not in a cache,
	 * as one that a decoder of another thread wrote. */
	struct inlay_frame **ring;
	unsigned ring_size, next;
	struct agreement pil, opencv; /* of rows PIL and OPENCV */
};

/* --- rows --------------------------------------------------------------------------------------------------------- */

static bool is_used(const struct bench *b, int row)
{
	return kinds[row].work != PYTHON || b->python;
}

static enum inlay_err open_chain(struct bench *b, int row, struct inlay_error *err)
{
	struct inlay_matte_look look;
	inlay_matte_look_init(&look, kinds[row].preset);
	look.expand = b->params->expand;
	look.smooth = b->params->smooth;
	look.feather = b->params->feather;
	look.blur = b->params->blur;
	enum inlay_err rc = il_mask_stream_create(&b->rows[row].stream, &look, BENCH_MASK, BENCH_MASK, err);
	if (!rc)
		rc = il_matte_chain_create(&b->rows[row].chain, &look, inlay_frame_info(b->picture.i420), BENCH_MASK,
		                           BENCH_MASK, err);
	return rc;
}

static enum inlay_err open_ring(struct bench *b, struct inlay_error *err)
{
	const int64_t frame = (int64_t)b->params->width * b->params->height * 3 / 2;
	const unsigned count = (unsigned)(RING_BYTES / frame) + 4;
	enum inlay_err rc = INLAY_OK;
	b->ring = calloc(count, sizeof(struct inlay_frame *));
	if (!b->ring)
		return il_fail_memory(err);
	for (b->ring_size = 0; b->ring_size < count && !rc; b->ring_size += !rc) {
		rc = il_frame_create(&b->ring[b->ring_size], inlay_frame_info(b->picture.i420), err);
		if (!rc)
			il_frame_copy(b->ring[b->ring_size], b->picture.i420);
	}
	return rc;
}

static struct inlay_frame *next_frame(struct bench *b)
{
	b->next = (b->next + 1) % b->ring_size;
	return b->ring[b->next];
}

static enum inlay_err composite(struct bench *b, int row, struct inlay_frame *frame, struct inlay_error *err)
{
	struct row *r = &b->rows[row];
	const struct il_matte_background background = { .fill = b->params->blur > 0 ? IL_FILL_BLUR : IL_FILL_COLOUR,
		                                        .constant = { 16, 128, 128 } };
	const struct il_matte matte = { .person = b->picture.mask,
		                        .stride = BENCH_MASK * (ptrdiff_t)sizeof(float),
		                        .step = 1,
		                        .width = BENCH_MASK,
		                        .height = BENCH_MASK };
	enum inlay_err rc = il_mask_stream_take(r->stream, &matte, err);
	if (!rc)
		rc = il_matte_chain_alpha(r->chain, il_mask_stream_mask(r->stream), frame, err);
	return rc ? rc : il_matte_chain_apply(r->chain, frame, &background, err);
}

static void copy_planes(const struct inlay_frame *to, const struct inlay_frame *from)
{
	const struct inlay_frame_info *info = inlay_frame_info(from);
	struct inlay_planes a, b;
	inlay_frame_map(to, &a);
	inlay_frame_map(from, &b);
	for (int i = 0; i < 3; i++)
		memcpy(a.data[i], b.data[i], (size_t)b.stride[i] * (size_t)(i ? (info->height + 1) / 2 : info->height));
	inlay_frame_unmap(from);
	inlay_frame_unmap(to);
}

/* Processor time, so that others on the machine take none from anybody: a frame of a second would meet them more
 * often than one of two milliseconds. The frame is as it was afterwards. */
static enum inlay_err run_here(struct bench *b, int row, double *ms, struct inlay_error *err)
{
	struct inlay_frame *frame = next_frame(b);
	const struct inlay_frame *other = b->ring[(b->next + b->ring_size / 2) % b->ring_size];
	enum inlay_err rc = INLAY_OK;
	int64_t begun = il_cpu_ns();
	if (kinds[row].work == COPY)
		copy_planes(frame, other);
	else
		rc = composite(b, row, frame, err);
	*ms = (double)(il_cpu_ns() - begun) / 1e6;
	if (kinds[row].work == CHAIN)
		il_frame_copy(frame, b->picture.i420);
	return rc;
}

static enum inlay_err take_turn(struct bench *b, int row, unsigned round, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	double total = 0;
	for (unsigned i = 0; i <= kinds[row].frames && !rc; i++) {
		double ms = 0;
		rc = kinds[row].work == PYTHON ? bench_python_run(b->python, kinds[row].name, &ms, err)
		                               : run_here(b, row, &ms, err);
		total += i ? ms : 0;
		if (!rc && b->params->cancelled())
			rc = il_fail(err, INLAY_ERR_CANCELLED, "cancelled");
	}
	b->rows[row].ms[round] = total / kinds[row].frames;
	return rc;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void sum_up(struct row *row, unsigned rounds)
{
	double sorted[BENCH_MATTE_ROUNDS];
	memcpy(sorted, row->ms, rounds * sizeof *sorted);
	qsort(sorted, rounds, sizeof *sorted, by_value);
	row->best = sorted[0];
	row->median = (sorted[(rounds - 1) / 2] + sorted[rounds / 2]) / 2;
}

/* The first one changes from round to round, so that none always follows the same one. */
static enum inlay_err measure(struct bench *b, struct inlay_error *err)
{
	const unsigned rounds = b->params->rounds;
	enum inlay_err rc = INLAY_OK;
	for (unsigned round = 0; round < rounds && !rc; round++)
		for (unsigned turn = 0; turn < ROWS && !rc; turn++) {
			int row = (int)((round + turn) % ROWS);
			if (is_used(b, row))
				rc = take_turn(b, row, round, err);
		}
	for (int row = 0; row < ROWS && !rc; row++)
		sum_up(&b->rows[row], rounds);
	return rc;
}

/* --- do they do the same? ----------------------------------------------------------------------------------------- */

static void compare_alpha(struct agreement *a, const struct bench *b, const uint8_t *other)
{
	ptrdiff_t stride;
	const uint8_t *own = il_matte_chain_plane(b->rows[REFERENCE].chain, &stride);
	const int width = b->params->width, height = b->params->height;
	int64_t sum = 0;
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			int d = abs(own[y * stride + x] - other[(ptrdiff_t)y * width + x]);
			a->levels = d > a->levels ? d : a->levels;
			sum += d;
		}
	a->error = (double)sum / width / height;
}

static double worst_psnr(const struct inlay_frame *a, const struct inlay_frame *b)
{
	struct inlay_planes x, y;
	double worst = 100; /* equal pictures, as JSON knows no infinity */
	inlay_frame_map(a, &x);
	inlay_frame_map(b, &y);
	for (int i = 0; i < 3; i++) {
		size_t width;
		int height;
		il_plane_size(inlay_frame_info(a), i, &width, &height);
		worst = fmin(worst, il_psnr(x.data[i], x.stride[i], y.data[i], y.stride[i], (int)width, height, 1));
	}
	inlay_frame_unmap(b);
	inlay_frame_unmap(a);
	return worst;
}

static enum inlay_err compare(struct agreement *a, struct bench *b, const char *row, const struct inlay_frame *own,
                              struct inlay_error *err)
{
	const int width = b->params->width, height = b->params->height;
	const size_t pixels = (size_t)width * (size_t)height;
	struct inlay_frame *other = NULL;
	uint8_t *bytes;
	enum inlay_err rc = bench_python_result(b->python, row, &bytes, err);
	if (!rc)
		rc = bench_i420_from_bgr(&other, bytes + pixels, width, height, err);
	if (!rc) {
		compare_alpha(a, b, bytes);
		a->psnr = worst_psnr(own, other);
	}
	inlay_frame_destroy(&other);
	free(bytes);
	return rc;
}

static enum inlay_err check_agreement(struct bench *b, struct inlay_error *err)
{
	struct inlay_frame *own = b->ring[0];
	enum inlay_err rc = composite(b, REFERENCE, own, err);
	if (!rc)
		rc = compare(&b->pil, b, "pil", own, err);
	if (!rc)
		rc = compare(&b->opencv, b, "opencv", own, err);
	il_frame_copy(own, b->picture.i420);
	if (!rc && (b->pil.levels > MAX_LEVELS || !(b->pil.psnr >= MIN_PSNR)))
		return il_fail(
			err, INLAY_ERR_FORMAT,
			"the PIL chain and inlay's reference preset do not give the same: alpha differs by up to %d "
			"levels (expected %d at most), the picture by %.1f dB (expected %.0f at least)",
			b->pil.levels, MAX_LEVELS, b->pil.psnr, MIN_PSNR);
	return rc;
}

/* --- figures ------------------------------------------------------------------------------------------------------ */

static double ratio(const struct bench *b, int row, int to)
{
	return b->rows[row].median / b->rows[to].median;
}

/* What the system calls the processor; not every architecture's names it. */
static void processor_name(char name[128])
{
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "re");
	strcpy(name, "a processor without a name");
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "model name : %127[^\n]", name) == 1)
			break;
	if (f)
		fclose(f);
}

static void print_head(const struct bench *b)
{
	const struct bench_matte_params *p = b->params;
	char processor[128];
	processor_name(processor);
	printf("%dx%d, blur %g, expand %d, smooth %g, feather %g; %s, instruction set %s, one thread\n", p->width,
	       p->height, p->blur, p->expand, p->smooth, p->feather, processor, il_kernels_get()->name);
	printf("picture: %s; the mask covers %.0f %%%s\n", b->picture.what, 100 * b->picture.covered,
	       b->picture.covered < BENCH_LEAST_COVERED || b->picture.covered > BENCH_MOST_COVERED
	               ? ": a portrait is expected to cover 25 to 40 %"
	               : "");
	if (b->python)
		printf("%s\nagainst inlay reference: pil, alpha within %d levels, %.1f dB; opencv, alpha %.2f levels "
		       "off "
		       "in the mean, %.1f dB\n",
		       bench_python_versions(b->python), b->pil.levels, b->pil.psnr, b->opencv.error, b->opencv.psnr);
	fflush(stdout);
}

static void print_table(const struct bench *b)
{
	printf("processor time a frame, %u rounds in which the rows take turns; frames go round in %u buffers, which "
	       "no\n"
	       "cache holds\n%-16s %10s %10s %12s\n",
	       b->params->rounds, b->ring_size, "row", "median ms", "best ms", "times inlay");
	for (int row = 0; row < ROWS; row++)
		if (is_used(b, row))
			printf("%-16s %10.3f %10.3f %12.2f\n", kinds[row].name, b->rows[row].median, b->rows[row].best,
			       ratio(b, row, INLAY));
	if (b->python)
		printf("inlay is %.0f times as fast as PIL and %.1f times as fast as OpenCV (%.1f with boxes for "
		       "Gaussians); ",
		       ratio(b, PIL, INLAY), ratio(b, OPENCV, INLAY), ratio(b, OPENCV_BOXES, INLAY));
	printf("%s takes as long as %.1f copies\n", b->python ? "it" : "inlay", ratio(b, INLAY, MEMCPY));
}

static json_t *row_json(const struct bench *b, int row)
{
	json_t *all = json_array();
	for (unsigned i = 0; i < b->params->rounds; i++)
		json_array_append_new(all, json_real(b->rows[row].ms[i]));
	return json_pack("{s:s, s:f, s:f, s:i, s:o}", "name", kinds[row].name, "ms_per_frame", b->rows[row].median,
	                 "best_ms_per_frame", b->rows[row].best, "frames_per_round", (int)kinds[row].frames, "rounds",
	                 all);
}

static json_t *ratios_json(const struct bench *b)
{
	json_t *ratios = json_pack("{s:f}", "memcpy", ratio(b, INLAY, MEMCPY));
	if (b->python) {
		json_object_set_new(ratios, "pil", json_real(ratio(b, PIL, INLAY)));
		json_object_set_new(ratios, "opencv", json_real(ratio(b, OPENCV, INLAY)));
		json_object_set_new(ratios, "opencv_boxes", json_real(ratio(b, OPENCV_BOXES, INLAY)));
	}
	return ratios;
}

static json_t *agreement_json(const struct agreement *a)
{
	return json_pack("{s:i, s:f, s:f}", "alpha_levels", a->levels, "alpha_mean_levels", a->error, "psnr_db",
	                 a->psnr);
}

static char *json_text(const struct bench *b)
{
	const struct bench_matte_params *p = b->params;
	char size[32], processor[128];
	json_t *rows = json_array();
	snprintf(size, sizeof size, "%dx%d", p->width, p->height);
	processor_name(processor);
	for (int row = 0; row < ROWS; row++)
		if (is_used(b, row))
			json_array_append_new(rows, row_json(b, row));
	json_t *root = json_pack(
		"{s:s, s:o, s:f, s:{s:f, s:i, s:f, s:f}, s:i, s:s, s:s, s:s, s:o, s:o}", "size", size, "picture",
		json_string_nocheck(b->picture.what), "coverage", b->picture.covered, "look", "blur", p->blur, "expand",
		p->expand, "smooth", p->smooth, "feather", p->feather, "rounds", (int)p->rounds, "processor", processor,
		"cpu", il_kernels_get()->name, "version", inlay_version(), "rows", rows, "ratios", ratios_json(b));
	if (root && b->python) {
		json_object_set_new(root, "python", json_string_nocheck(bench_python_versions(b->python)));
		json_object_set_new(
			root, "agreement",
			json_pack("{s:o, s:o}", "pil", agreement_json(&b->pil), "opencv", agreement_json(&b->opencv)));
	}
	char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
	json_decref(root);
	return text;
}

static enum inlay_err deliver(struct il_part *part, char *text, struct inlay_error *err)
{
	enum inlay_err rc = text ? il_part_write(part, text, strlen(text), err) : il_fail_memory(err);
	free(text);
	return rc ? rc : il_part_commit(part, err);
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static enum inlay_err prepare(struct bench *b, struct inlay_error *err)
{
	enum inlay_err rc = bench_picture_open(&b->picture, b->params, err);
	if (!rc && b->params->python)
		rc = bench_python_start(&b->python, b->params, &b->picture, err);
	if (!rc)
		rc = open_ring(b, err);
	for (int row = 0; row < ROWS && !rc; row++)
		if (kinds[row].work == CHAIN)
			rc = open_chain(b, row, err);
	return rc || !b->python ? rc : check_agreement(b, err);
}

static void destroy(struct bench *b)
{
	for (int row = 0; row < ROWS; row++) {
		il_mask_stream_destroy(&b->rows[row].stream);
		il_matte_chain_destroy(&b->rows[row].chain);
	}
	for (unsigned i = 0; i < b->ring_size; i++)
		inlay_frame_destroy(&b->ring[i]);
	free(b->ring);
	bench_python_destroy(&b->python);
	bench_picture_close(&b->picture);
	free(b);
}

enum inlay_err bench_matte(const struct bench_matte_params *p, struct inlay_error *err)
{
	struct il_part *json = NULL;
	struct bench *b = calloc(1, sizeof *b);
	if (!b)
		return il_fail_memory(err);
	b->params = p;
	enum inlay_err rc = p->json ? il_part_open(&json, p->json, true, err) : INLAY_OK;
	if (!rc)
		rc = prepare(b, err);
	if (!rc) {
		print_head(b);
		rc = measure(b, err);
	}
	if (!rc)
		print_table(b);
	if (!rc && json)
		rc = deliver(json, json_text(b), err);
	il_part_destroy(&json);
	destroy(b);
	return rc;
}
