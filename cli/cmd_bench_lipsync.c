/* inlay bench lipsync */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli.h"
#include "cmd_bench.h"
#include "compare.h"
#include "lipsync.h"

enum {
	OPT_DEMO = 0x1000,
	OPT_COMPARE,
	OPT_MODEL,
	OPT_AUDIO_ENCODER,
	OPT_FEATURES,
	OPT_FRAMES,
	OPT_ROUNDS,
	OPT_SWEEP,
	OPT_THREADS,
	OPT_CACHE_MB,
	OPT_JSON,
	OPT_SVG,
};

static const struct argp_option options[] = {
	{ "avatar", 'a', "PACK", 0, "avatar pack", 0 },
	{ "demo", OPT_DEMO, 0, 0, "inlay's own presenter, which says hello unless given another speech", 0 },
	{ "audio", 's', "SPEECH", 0, "speech", 0 },
	{ "model", OPT_MODEL, "FILE.onnx", 0, "lip-sync network (default: the avatar's own)", 0 },
	{ "audio-encoder", OPT_AUDIO_ENCODER, "FILE.onnx", 0, "audio encoder (default: the avatar's own)", 0 },
	{ "features", OPT_FEATURES, "FILE.npy", 0, "ready audio features instead of an encoder", 0 },
	{ "compare", OPT_COMPARE, 0, 0,
	  "the network as it is, rewritten and fused, and the job around it from a compiled avatar, instead of a sweep",
	  0 },
	{ "frames", OPT_FRAMES, "N", 0, "frames of one measurement (default: 40)", 0 },
	{ "rounds", OPT_ROUNDS, "N", 0, "measurements of each way; the median counts (default: 3)", 0 },
	{ "sweep", OPT_SWEEP, "LIST", 0,
	  "workers x batch to try (default: 1x1,1x2,1x4 and one worker a processor), e.g. 1x1,2x1", 0 },
	{ "threads", OPT_THREADS, "N", 0, "processors to use (default: all)", 0 },
	{ "cache-mb", OPT_CACHE_MB, "N", 0, "memory for avatar frames", 0 },
	{ "json", OPT_JSON, "FILE", 0, "write the figures there", 0 },
	{ "svg", OPT_SVG, "FILE", 0, "draw them there", 0 },
	{ 0 },
};

struct arguments {
	struct common common;
	struct bench_params bench;
	bool demo, compare;
};

static void parse_sweep(const struct argp_state *state, struct bench_params *b, const char *text)
{
	int used;
	const unsigned max = sizeof b->sweep / sizeof *b->sweep;
	b->n_sweep = 0;
	do {
		unsigned *pair = b->sweep[b->n_sweep];
		if (b->n_sweep == max || sscanf(text, "%ux%u%n", &pair[0], &pair[1], &used) != 2 || pair[0] < 1 ||
		    pair[0] > 256 || pair[1] < 1 || pair[1] > 64 || (text[used] && text[used] != ','))
			argp_error(state, "--sweep: \"%s\": expected up to %u WORKERSxBATCH, such as 1x1,2x1,1x4", text,
			           max);
		b->n_sweep++;
		text += used;
	} while (*text++ == ',');
}

/* One session with growing batches, and one a processor: each of those takes the memory of a batch, so they get no
 * more than a frame. */
static void default_sweep(struct bench_params *b)
{
	unsigned processors = b->job.threads ? b->job.threads : il_cpu_count();
	const unsigned sweep[][2] = { { 1, 1 }, { 1, 2 }, { 1, 4 }, { processors < 256 ? processors : 256, 1 } };
	b->n_sweep = processors > 1 ? 4 : 3;
	memcpy(b->sweep, sweep, sizeof sweep);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	struct bench_params *b = &a->bench;
	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
	case 'a': b->job.avatar = arg; return 0;
	case OPT_DEMO: a->demo = true; return 0;
	case OPT_COMPARE: a->compare = true; return 0;
	case 's': b->job.audio = arg; return 0;
	case OPT_MODEL: b->job.model = arg; return 0;
	case OPT_AUDIO_ENCODER: b->job.audio_encoder = arg; return 0;
	case OPT_FEATURES: b->job.features = arg; return 0;
	case OPT_FRAMES: b->frames = parse_integer(state, "frames", arg, 1, 1000000); return 0;
	case OPT_ROUNDS: b->rounds = (unsigned)parse_integer(state, "rounds", arg, 1, 15); return 0;
	case OPT_SWEEP: parse_sweep(state, b, arg); return 0;
	case OPT_THREADS: b->job.threads = (unsigned)parse_integer(state, "threads", arg, 1, 1024); return 0;
	case OPT_CACHE_MB: b->job.cache_bytes = parse_integer(state, "cache-mb", arg, 1, 1 << 20) << 20; return 0;
	case OPT_JSON: b->json = arg; return 0;
	case OPT_SVG: b->svg = arg; return 0;
	case ARGP_KEY_ARG: argp_error(state, "\"%s\" is one argument too many", arg); return 0;
	case ARGP_KEY_END:
		if (a->demo && b->job.avatar)
			argp_error(state, "--demo and --avatar each name an avatar: give one of them");
		if (!a->demo && (!b->job.avatar || (!b->job.audio && !b->job.features)))
			argp_error(state, "expected --avatar PACK and --audio SPEECH, or --demo");
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &common_argp }, { 0 } };
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "--avatar PACK --audio SPEECH\n--demo",
	.doc = "Measures the lip-sync job three ways that take turns: the network alone, the whole job to a null sink, "
	       "and "
	       "the whole job to an mp4; for a sweep of workers x batch.",
	.children = children,
};

int cmd_bench_lipsync(int argc, char **argv)
{
	struct arguments a = { .bench = { .frames = 40, .rounds = 3, .cancelled = bench_cancelled } };
	struct inlay_error err = { 0 };
	parse_options(&argp, argc, argv, &a);
	if (!a.bench.n_sweep)
		default_sweep(&a.bench);
	if (a.demo && use_demo(&a.bench.job, &err))
		return report_error(&err);
	char scratch[PATH_MAX];
	if (bench_scratch(scratch, &err))
		return report_error(&err);
	a.bench.scratch = scratch;
	catch_interrupts();
	enum inlay_err rc = a.compare ? bench_compare(&a.bench, &err) : bench_lipsync(&a.bench, &err);
	rmdir(scratch);
	return bench_status(rc, &err);
}
