/* inlay lipsync */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli.h"
#include "inlay/lipsync.h"

enum {
	OPT_DEMO = 0x1000,
	OPT_MODEL,
	OPT_AUDIO_ENCODER,
	OPT_FEATURES,
	OPT_ORDER,
	OPT_START_FRAME,
	OPT_FRAMES,
	OPT_FPS,
	OPT_INTERP,
	OPT_PARSING,
	OPT_INPUT_NAME,
	OPT_AUDIO_NAME,
	OPT_OUTPUT_NAME,
	OPT_BATCH,
	OPT_WORKERS,
	OPT_THREADS,
	OPT_CACHE_MB,
	OPT_NO_MEMO,
	OPT_CODEC,
	OPT_CRF,
	OPT_PRESET,
	OPT_QUALITY,
	OPT_FORMAT,
	OPT_STATS,
	OPT_PROGRESS,
};

static const struct argp_option options[] = {
	{ 0, 0, 0, 0, "What to draw:", 1 },
	{ "avatar", 'a', "PACK", 0, "avatar pack: a folder or an avatar.json (see docs/avatar.md)", 0 },
	{ "demo", OPT_DEMO, 0, 0, "inlay's own presenter is the avatar, and says hello unless given another speech",
	  0 },
	{ "audio", 's', "SPEECH", 0, "speech, anything FFmpeg reads; becomes the sound track", 0 },
	{ "output", 'o', "OUT", 0, "FILE.mp4 .mov .mkv .webm, DIR/%06d.jpg or .png, or - with --format", 0 },
	{ "overwrite", 'y', 0, 0, "replace an existing output", 0 },

	{ 0, 0, 0, 0, "Networks:", 2 },
	{ "model", OPT_MODEL, "FILE.onnx", 0, "lip-sync network (default: the avatar's own)", 0 },
	{ "audio-encoder", OPT_AUDIO_ENCODER, "FILE.onnx", 0,
	  "audio encoder [n,1,80,16] -> [n,D] (default: the avatar's own)", 0 },
	{ "features", OPT_FEATURES, "FILE.npy", 0, "ready audio features [T,...] instead of an encoder", 0 },
	{ "input-name", OPT_INPUT_NAME, "TENSOR", 0, "name of the picture input (default: found by shape)", 0 },
	{ "audio-name", OPT_AUDIO_NAME, "TENSOR", 0, "name of the audio input", 0 },
	{ "output-name", OPT_OUTPUT_NAME, "TENSOR", 0, "name of the output", 0 },

	{ 0, 0, 0, 0, "Frames:", 3 },
	{ "order", OPT_ORDER, "ORDER", 0, "bounce, loop, hold or cut at the avatar's end (default: bounce)", 0 },
	{ "start-frame", OPT_START_FRAME, "N", 0, "avatar frame to begin with", 0 },
	{ "frames", OPT_FRAMES, "N", 0, "stop after N frames", 0 },
	{ "fps", OPT_FPS, "RATE", 0, "frames a second of the output (default: the avatar's)", 0 },
	{ "interp", OPT_INTERP, "KIND", 0, "scaling of the face: linear or cubic (default: linear)", 0 },
	{ "parsing", OPT_PARSING, "DIR", 0, "parsing masks N.png: red or white keeps the avatar's own pixel", 0 },

	{ 0, 0, 0, 0, "Speed and memory:", 4 },
	{ "batch", OPT_BATCH, "N", 0, "frames a network run (default: measured)", 0 },
	{ "workers", OPT_WORKERS, "N", 0, "network sessions side by side (default: measured)", 0 },
	{ "threads", OPT_THREADS, "N", 0, "processors to use (default: all)", 0 },
	{ "cache-mb", OPT_CACHE_MB, "N", 0, "memory for avatar frames (default: a quarter of the machine's)", 0 },
	{ "no-memo", OPT_NO_MEMO, 0, 0, "draw silence on the same avatar frame anew each time", 0 },

	{ 0, 0, 0, 0, "Output:", 5 },
	{ "format", OPT_FORMAT, "NAME", 0,
	  "mp4 mov mkv webm jpg png y4m mjpeg rawvideo md5 null (default: by OUT's extension)", 0 },
	{ "codec", OPT_CODEC, "NAME", 0, "FFmpeg encoder (default: libx264; libvpx-vp9 for webm)", 0 },
	{ "crf", OPT_CRF, "N", 0, "quality of the video, 0 lossless (default: 20; vp9 32)", 0 },
	{ "preset", OPT_PRESET, "NAME", 0, "encoder preset (default: veryfast)", 0 },
	{ "quality", OPT_QUALITY, "N", 0, "quality of JPEG pictures, 1..100 (default: 90)", 0 },
	{ "stats", OPT_STATS, "FILE.json", 0, "write the run's figures there (replaced when it exists)", 0 },
	{ "progress", OPT_PROGRESS, "WHEN", 0, "auto, always or never", 0 },
	{ 0 },
};

struct arguments {
	struct common common;
	struct inlay_lipsync_params params;
	const char *stats;
	int progress;
	bool demo;
};

static const char *const order_words[] = { "bounce", "loop", "hold", "cut", NULL };
static const char *const interp_words[] = { "linear", "cubic", NULL };

static void check_complete(const struct argp_state *state, const struct arguments *a)
{
	const struct inlay_lipsync_params *p = &a->params;
	if (a->demo && p->avatar)
		argp_error(state, "--demo and --avatar each name an avatar: give one of them");
	if (!a->demo && !p->avatar)
		argp_error(state, "no avatar: give --avatar PACK, or --demo for inlay's own presenter");
	if (!a->demo && !p->audio && !p->features)
		argp_error(state, "nothing to say: give --audio SPEECH (or --features FILE.npy for a silent video)");
	if (!p->output && !p->format)
		argp_error(state, "no output: give -o OUT, for instance -o talk.mp4");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	struct inlay_lipsync_params *p = &a->params;
	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
	case 'a': p->avatar = arg; return 0;
	case OPT_DEMO: a->demo = true; return 0;
	case 's': p->audio = arg; return 0;
	case 'o': p->output = arg; return 0;
	case 'y': p->overwrite = true; return 0;
	case OPT_MODEL: p->model = arg; return 0;
	case OPT_AUDIO_ENCODER: p->audio_encoder = arg; return 0;
	case OPT_FEATURES: p->features = arg; return 0;
	case OPT_INPUT_NAME: p->input_name = arg; return 0;
	case OPT_AUDIO_NAME: p->audio_name = arg; return 0;
	case OPT_OUTPUT_NAME: p->output_name = arg; return 0;
	case OPT_ORDER: p->order = INLAY_ORDER_BOUNCE + parse_word(state, "order", arg, order_words); return 0;
	case OPT_START_FRAME:
		p->start_frame = parse_integer(state, "start-frame", arg, 0, INT32_MAX);
		p->start_frame = p->start_frame ? p->start_frame : INLAY_START_FIRST;
		return 0;
	case OPT_FRAMES: p->frames = parse_integer(state, "frames", arg, 1, INT32_MAX); return 0;
	case OPT_FPS: p->fps = parse_rate(state, "fps", arg); return 0;
	case OPT_INTERP: p->interp = INLAY_INTERP_LINEAR + parse_word(state, "interp", arg, interp_words); return 0;
	case OPT_PARSING: p->parsing = arg; return 0;
	case OPT_BATCH: p->batch = (unsigned)parse_integer(state, "batch", arg, 1, 64); return 0;
	case OPT_WORKERS: p->workers = (unsigned)parse_integer(state, "workers", arg, 1, 256); return 0;
	case OPT_THREADS: p->threads = (unsigned)parse_integer(state, "threads", arg, 1, 1024); return 0;
	case OPT_CACHE_MB: p->cache_bytes = parse_integer(state, "cache-mb", arg, 1, 1 << 20) << 20; return 0;
	case OPT_NO_MEMO: p->no_memo = true; return 0;
	case OPT_FORMAT: p->format = arg; return 0;
	case OPT_CODEC: p->codec = arg; return 0;
	case OPT_CRF: p->crf = parse_crf(state, arg); return 0;
	case OPT_PRESET: p->preset = arg; return 0;
	case OPT_QUALITY: p->quality = (int)parse_integer(state, "quality", arg, 1, 100); return 0;
	case OPT_STATS: a->stats = arg; return 0;
	case OPT_PROGRESS: a->progress = parse_word(state, "progress", arg, progress_words); return 0;
	case ARGP_KEY_ARG: argp_error(state, "\"%s\" is unexpected: speech is given with --audio", arg); return 0;
	case ARGP_KEY_END: check_complete(state, a); return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &common_argp }, { 0 } };
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "--avatar PACK (--audio SPEECH | --features FILE.npy) -o OUT\n"
		    "--demo [--audio SPEECH] -o OUT",
	.doc = "Makes a video in which the avatar's mouth follows the speech.\v"
	       "Examples:\n  inlay lipsync --demo -o hello.mp4\n"
	       "  inlay lipsync --avatar packs/anna --audio hello.wav -o hello.mp4",
	.children = children,
};

static bool show(void *ctx, int64_t done, int64_t expected)
{
	progress_show(ctx, done, expected);
	return !interrupted();
}

static void say_result(const struct inlay_lipsync *job, const struct inlay_lipsync_params *p)
{
	struct inlay_lipsync_stats s;
	inlay_lipsync_stats(job, &s);
	say_figures(output_name(p->output, p->format), s.frames, s.wall_s, s.fps, s.peak_rss_bytes);
}

/* Creates, runs and sums up the job. */
static enum inlay_err run(const struct arguments *a, struct il_part *stats, struct inlay_error *err)
{
	struct inlay_lipsync *job = NULL;
	struct progress progress;
	enum inlay_err rc = inlay_lipsync_create(&job, &a->params, err);
	if (rc)
		return rc;
	if (a->common.verbose > 0)
		say("%s", inlay_lipsync_describe(job));
	progress_begin(&progress, a->common.verbose < 0 ? PROGRESS_NEVER : (enum progress_mode)a->progress);
	rc = inlay_lipsync_run(job, show, &progress, err);
	progress_end(&progress);
	if (!rc)
		say_result(job, &a->params);
	if (!rc && stats)
		rc = write_figures(inlay_lipsync_stats_json(job), stats, err);
	inlay_lipsync_destroy(&job);
	return rc;
}

int cmd_lipsync(int argc, char **argv)
{
	struct arguments a = { 0 };
	struct inlay_error err = { 0 };
	struct il_part *stats = NULL;

	parse_options(&argp, argc, argv, &a);
	if (!a.params.output && strcmp(a.params.format, "null"))
		a.params.output = "-";
	catch_interrupts();
	enum inlay_err rc = a.demo ? use_demo(&a.params, &err) : INLAY_OK;
	/* The file of figures is opened first: that it cannot be written shows before the work. */
	if (!rc && a.stats)
		rc = il_part_open(&stats, a.stats, true, &err);
	if (!rc)
		rc = run(&a, stats, &err);
	il_part_destroy(&stats);
	return end_of_job(rc, &err, a.params.output, EXIT_SUCCESS);
}
