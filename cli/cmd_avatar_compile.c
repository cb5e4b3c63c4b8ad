/* inlay avatar compile */
#include <stdlib.h>
#include <string.h>

#include "base/data.h"
#include "base/error.h"
#include "base/file.h"
#include "cli.h"
#include "inlay/compile.h"

enum {
	OPT_DEMO = 0x1000,
	OPT_FRAMES,
	OPT_BUDGET,
	OPT_JPEG_QUALITY,
	OPT_NO_PLANES,
	OPT_STANDARD,
	OPT_MODEL,
	OPT_AUDIO_ENCODER,
	OPT_PARSING,
	OPT_INTERP,
	OPT_INPUT_NAME,
	OPT_AUDIO_NAME,
	OPT_OUTPUT_NAME,
	OPT_THREADS,
	OPT_PROGRESS,
};

static const struct argp_option options[] = {
	{ "output", 'o', "NAME.inlay", 0, "the compiled avatar, a folder", 0 },
	{ "overwrite", 'y', 0, 0, "replace an older compiled avatar of that name", 0 },
	{ "demo", OPT_DEMO, 0, 0, "compile inlay's own presenter", 0 },

	{ 0, 0, 0, 0, "What is stored:", 2 },
	{ "frames", OPT_FRAMES, "N", 0, "the avatar's first N frames alone, or all where it has fewer", 0 },
	{ "budget-mb", OPT_BUDGET, "N", 0,
	  "MB a frame for what the network computes of the picture alone: more is faster to draw and larger on disk; 0 "
	  "stores nothing of it (default: 16)",
	  0 },
	{ "jpeg-quality", OPT_JPEG_QUALITY, "Q", 0, "of JPEG outputs, 1..100 (default: 90)", 0 },
	{ "no-planes", OPT_NO_PLANES, 0, 0,
	  "leave the whole frames out: smaller, and for JPEG outputs (jpg, mjpeg) alone", 0 },

	{ 0, 0, 0, 0, "Networks:", 3 },
	{ "model", OPT_MODEL, "FILE.onnx", 0, "lip-sync network (default: the avatar's own)", 0 },
	{ "audio-encoder", OPT_AUDIO_ENCODER, "FILE.onnx", 0, "audio encoder (default: the avatar's own)", 0 },
	{ "parsing", OPT_PARSING, "DIR", 0, "parsing masks N.png (default: the avatar's own)", 0 },
	{ "interp", OPT_INTERP, "KIND", 0, "scaling of the face: linear or cubic (default: the avatar's, else linear)",
	  0 },
	{ "standard", OPT_STANDARD, 0, 0, "rewrite the network in standard ONNX operators alone, for other runtimes",
	  0 },
	{ "input-name", OPT_INPUT_NAME, "TENSOR", 0, "name of the picture input (default: found by shape)", 0 },
	{ "audio-name", OPT_AUDIO_NAME, "TENSOR", 0, "name of the audio input", 0 },
	{ "output-name", OPT_OUTPUT_NAME, "TENSOR", 0, "name of the output", 0 },

	{ 0, 0, 0, 0, "How:", 4 },
	{ "threads", OPT_THREADS, "N", 0, "processors to use (default: all)", 0 },
	{ "progress", OPT_PROGRESS, "WHEN", 0, "auto, always or never", 0 },
	{ 0 },
};

struct arguments {
	struct common common;
	struct inlay_compile_params params;
	int progress;
	bool demo;
};

static const char *const interp_words[] = { "linear", "cubic", NULL };

static void check_complete(const struct argp_state *state, const struct arguments *a)
{
	if (a->demo && a->params.avatar)
		argp_error(state, "--demo and \"%s\" each name a pack: give one of them", a->params.avatar);
	if (!a->demo && !a->params.avatar)
		argp_error(state, "which pack? %s PACK -o NAME.inlay", state->name);
	if (!a->params.output)
		argp_error(state, "no output: give -o NAME.inlay");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	struct inlay_compile_params *p = &a->params;
	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
	case 'o': p->output = arg; return 0;
	case 'y': p->overwrite = true; return 0;
	case OPT_DEMO: a->demo = true; return 0;
	case OPT_FRAMES: p->frames = parse_integer(state, "frames", arg, 1, INT32_MAX); return 0;
	case OPT_BUDGET:
		p->budget_bytes = parse_integer(state, "budget-mb", arg, 0, 1 << 20) * 1000000;
		p->budget_bytes = p->budget_bytes ? p->budget_bytes : INLAY_BUDGET_NONE;
		return 0;
	case OPT_JPEG_QUALITY: p->jpeg_quality = (int)parse_integer(state, "jpeg-quality", arg, 1, 100); return 0;
	case OPT_NO_PLANES: p->no_planes = true; return 0;
	case OPT_STANDARD: p->standard = true; return 0;
	case OPT_MODEL: p->model = arg; return 0;
	case OPT_AUDIO_ENCODER: p->audio_encoder = arg; return 0;
	case OPT_PARSING: p->parsing = arg; return 0;
	case OPT_INTERP: p->interp = INLAY_INTERP_LINEAR + parse_word(state, "interp", arg, interp_words); return 0;
	case OPT_INPUT_NAME: p->input_name = arg; return 0;
	case OPT_AUDIO_NAME: p->audio_name = arg; return 0;
	case OPT_OUTPUT_NAME: p->output_name = arg; return 0;
	case OPT_THREADS: p->threads = (unsigned)parse_integer(state, "threads", arg, 1, 1024); return 0;
	case OPT_PROGRESS: a->progress = parse_word(state, "progress", arg, progress_words); return 0;
	case ARGP_KEY_ARG:
		if (p->avatar)
			argp_error(state, "\"%s\" is one argument too many", arg);
		p->avatar = arg;
		return 0;
	case ARGP_KEY_END: check_complete(state, a); return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &common_argp }, { 0 } };
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "PACK -o NAME.inlay\n--demo -o NAME.inlay",
	.doc = "Makes beforehand, once, all of an avatar that the speech does not change: frames ready to be drawn "
	       "into, "
	       "and what the network computes of them. NAME.inlay then takes the pack's place: inlay lipsync --avatar "
	       "NAME.inlay. Drawing is about twice as fast or more, and opening takes milliseconds.\v"
	       "A run that is stopped leaves NAME.inlay.part; the same command goes on from there.",
	.children = children,
};

static bool show(void *ctx, int64_t done, int64_t expected)
{
	progress_show(ctx, done, expected);
	return !interrupted();
}

static void say_result(const struct inlay_compile *job, const char *output)
{
	struct inlay_compile_stats s;
	inlay_compile_stats(job, &s);
	say("%s: %lld frames in %.1f s", output, (long long)(s.frames - s.resumed), s.wall_s);
}

/* Looked for before the avatar is opened: only the last folder of the name is made. */
static enum inlay_err check_folder(const char *output, struct inlay_error *err)
{
	size_t n = strlen(output);
	while (n > 1 && output[n - 1] == '/')
		n--;
	char *name = strndup(output, n), *folder = name ? il_path_folder(name) : NULL;
	enum inlay_err rc = folder ? INLAY_OK : il_fail_memory(err);
	if (!rc && !il_path_is_folder(folder))
		rc = il_fail(err, INLAY_ERR_NOT_FOUND, "%s: there is no folder %s to make it in", output, folder);
	free(folder);
	free(name);
	return rc;
}

static int compile(struct arguments *a)
{
	struct inlay_error err = { 0 };
	struct inlay_compile *job = NULL;
	struct progress progress;
	catch_interrupts();
	enum inlay_err rc = check_folder(a->params.output, &err);
	rc = rc ? rc : inlay_compile_create(&job, &a->params, &err);
	if (rc)
		return report_error(&err);
	struct inlay_compile_stats stats;
	inlay_compile_stats(job, &stats);
	say("%s", inlay_compile_describe(job));
	if (stats.resumed)
		say("going on from frame %lld of an earlier run", (long long)stats.resumed);
	progress_begin(&progress, (enum progress_mode)a->progress);
	rc = inlay_compile_run(job, show, &progress, &err);
	progress_end(&progress);
	if (!rc)
		say_result(job, a->params.output);
	inlay_compile_destroy(&job);
	if (rc == INLAY_ERR_CANCELLED && interrupted()) {
		say("inlay: stopped; the same command goes on from here (%s.part)", a->params.output);
		return 128 + interrupted();
	}
	return rc ? report_error(&err) : EXIT_SUCCESS;
}

int cmd_avatar_compile(int argc, char **argv)
{
	struct arguments a = { 0 };
	parse_options(&argp, argc, argv, &a);
	struct inlay_error err = { 0 };
	char *own = NULL;
	if (a.demo && il_data_find(&own, DEMO_PACK, NULL, &err))
		return report_error(&err);
	if (a.demo)
		a.params.avatar = own;
	int status = compile(&a);
	free(own);
	return status;
}
