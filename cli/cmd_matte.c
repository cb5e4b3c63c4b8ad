/* inlay matte */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "cli.h"
#include "cmd_matte.h"

enum {
	OPT_SETTINGS = 0x1000,
	OPT_FRAMES,
	OPT_PREVIEW,
	OPT_HWACCEL,
	OPT_WORKERS,
	OPT_THREADS,
	OPT_CODEC,
	OPT_CRF,
	OPT_ENCODER_PRESET,
	OPT_QUALITY,
	OPT_FORMAT,
	OPT_STATS,
	OPT_PROGRESS,
	OPT_SKIP_EXISTING,
	/* Settings of the picture: the option's name is the setting's. */
	OPT_SET,
	OPT_SET_LAST = OPT_SET + 63,
};

static const struct argp_option options[] = {
	{ 0, 0, 0, 0, "What to make:", 1 },
	{ "output", 'o', "OUT", 0,
	  "FILE.mp4 .mov .mkv .webm, a picture, DIR/%06d.png or .jpg, /dev/videoN, - with --format, or a folder for a "
	  "folder",
	  0 },
	{ "overwrite", 'y', 0, 0, "replace an existing output", 0 },
	{ "skip-existing", OPT_SKIP_EXISTING, 0, 0, "of a folder: leave out what has its output already", 0 },
	{ "preset", OPT_SET, "LOOK", 0,
	  "best (default), fast, obs (the OBS plugin's defaults), reference (the Python chain's)", 0 },
	{ "settings", OPT_SETTINGS, "FILE.json", 0, "settings by the names of these options; options win over it", 0 },
	{ "preview", OPT_PREVIEW, "N", 0, "only a PNG of frame N: input, mask, alpha, result", 0 },

	{ 0, 0, 0, 0, "Behind the subject (default: black):", 2 },
	{ "blur", OPT_SET + 1, "R", 0, "the frame's own background, blurred: sigma in pixels, 0..100", 0 },
	{ "halo-free", OPT_SET + 2, 0, 0, "blur the background alone (default, but for obs and reference)", 0 },
	{ "halo", OPT_SET + 3, 0, 0, "blur the whole frame: the subject glows into the background", 0 },
	{ "focal", OPT_SET + 4, "MODEL", 0, "depth network: what is as near as the subject stays sharp in the blur",
	  0 },
	{ "background", OPT_SET + 5, "WHAT", 0, "a colour (lime, #20c040), a picture, a video (repeated)", 0 },
	{ "fit", OPT_SET + 6, "HOW", 0, "a picture of another shape: fill (default), fit, tile, stretch", 0 },
	{ "alpha", OPT_SET + 7, 0, 0, "nothing: write an alpha channel (.webm, .mov, .png)", 0 },
	{ "mask-only", OPT_SET + 8, 0, 0, "write the alpha itself, in grey", 0 },
	{ "invert", OPT_SET + 9, 0, 0, "keep the background, take the subject away", 0 },

	{ 0, 0, 0, 0, "Network:", 3 },
	{ "model", OPT_SET + 10, "NAME|FILE", 0, "network (default: the best that is found; see \"inlay models list\")",
	  0 },
	{ "manifest", OPT_SET + 11, "FILE", 0, "what its tensors mean (docs/models.md)", 0 },
	{ "size", OPT_SET + 12, "WxH", 0, "size of its picture, where it takes any", 0 },
	{ "every", OPT_SET + 13, "N", 0, "run it for every Nth frame only", 0 },
	{ "similar", OPT_SET + 14, "DB", 0,
	  "and not for a frame this near to the last one it ran for (PSNR, such as 35)", 0 },

	{ 0, 0, 0, 0, "Mask:", 4 },
	{ "threshold", OPT_SET + 15, "T", 0, "where the subject begins, 0..1; 0: the network's own transparency", 0 },
	{ "soft", OPT_SET + 16, "W", 0, "width of the ramp round the threshold, 0..1", 0 },
	{ "expand", OPT_SET + 17, "PX", 0, "grow the subject, or shrink it (negative)", 0 },
	{ "smooth", OPT_SET + 18, "S", 0, "smooth the outline: blur of sigma 5 S", 0 },
	{ "feather", OPT_SET + 19, "PX", 0, "soften the edge", 0 },
	{ "feather-side", OPT_SET + 20, "SIDE", 0, "out (takes nothing of the subject), both, in", 0 },
	{ "contour", OPT_SET + 21, "SHARE", 0, "drop blobs and holes smaller than this share of the picture, 0..1", 0 },
	{ "temporal", OPT_SET + 22, "A", 0, "average over time: share of the new mask, 0..1; 0: none", 0 },
	{ "upsample", OPT_SET + 23, "HOW", 0, "mask to frame: guided by the picture, bilinear, nearest", 0 },
	{ "foreground", OPT_SET + 24, "WHICH", 0, "raw, or clean: the network's own idea of the subject's colours", 0 },
	{ "plate", OPT_SET + 25, "PICTURE", 0, "the scene without the subject: cleans the colours of its edge", 0 },

	{ 0, 0, 0, 0, "Speed:", 5 },
	{ "hwaccel", OPT_HWACCEL, "WHICH", 0, "decoding: auto, none, cuda", 0 },
	{ "workers", OPT_WORKERS, "N", 0, "networks side by side (default: by the processors)", 0 },
	{ "threads", OPT_THREADS, "N", 0, "processors to use (default: all)", 0 },

	{ 0, 0, 0, 0, "Output:", 6 },
	{ "frames", OPT_FRAMES, "N", 0, "stop after N frames", 0 },
	{ "format", OPT_FORMAT, "NAME", 0,
	  "mp4 mov mkv webm jpg png y4m mjpeg rawvideo md5 null (default: by OUT's extension)", 0 },
	{ "codec", OPT_CODEC, "NAME", 0, "FFmpeg encoder (default: libx264; with alpha libvpx-vp9, prores_ks)", 0 },
	{ "crf", OPT_CRF, "N", 0, "quality of the video, 0 lossless (default: 20; vp9 32)", 0 },
	{ "encoder-preset", OPT_ENCODER_PRESET, "NAME", 0, "of the encoder (default: veryfast)", 0 },
	{ "quality", OPT_QUALITY, "N", 0, "quality of JPEG pictures, 1..100 (default: 90)", 0 },
	{ "stats", OPT_STATS, "FILE.json", 0, "write the run's figures there (replaced when it exists)", 0 },
	{ "progress", OPT_PROGRESS, "WHEN", 0, "auto, always or never", 0 },
	{ 0 },
};

static const char *const hwaccel_words[] = { "auto", "none", "cuda", NULL };

static const char *option_name(int key)
{
	for (const struct argp_option *o = options; o->name || o->doc; o++)
		if (o->name && o->key == key)
			return o->name;
	return "";
}

/* Settings wait until the preset and the settings file are known, which stand below them. */
static void note_setting(struct matte_arguments *a, int key, const char *arg, const struct argp_state *state)
{
	struct matte_choice choice = { option_name(key), arg ? arg : "true" };
	if (!strcmp(choice.name, "halo"))
		choice = (struct matte_choice){ "halo-free", "false" };
	if (!strcmp(choice.name, "preset"))
		a->preset = arg;
	else if (a->n_choices < MATTE_MAX_CHOICES)
		a->choices[a->n_choices++] = choice;
	else
		argp_error(state, "too many options");
}

static void take_input(struct matte_arguments *a, const char *arg, const struct argp_state *state)
{
	if (a->params.input)
		argp_error(state, "\"%s\": one input at a time, and \"%s\" is it", arg, a->params.input);
	a->params.input = arg;
}

static void check_complete(const struct argp_state *state, const struct matte_arguments *a)
{
	const struct inlay_matte_params *p = &a->params;
	if (!p->input)
		argp_error(state, "no input: give a video, a picture, a folder of them, - or /dev/videoN");
	if (!p->output && !p->format)
		argp_error(state, "no output: give -o OUT, for instance -o cut.mp4");
	if (p->preview && !p->output)
		argp_error(state, "no output: give the preview's name, for instance -o preview.png");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct matte_arguments *a = state->input;
	struct inlay_matte_params *p = &a->params;
	if (key >= OPT_SET && key <= OPT_SET_LAST) {
		note_setting(a, key, arg, state);
		return 0;
	}
	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
	case ARGP_KEY_ARG: take_input(a, arg, state); return 0;
	case 'o': p->output = arg; return 0;
	case 'y': p->overwrite = true; return 0;
	case OPT_SKIP_EXISTING: a->skip_existing = true; return 0;
	case OPT_SETTINGS: a->settings_path = arg; return 0;
	case OPT_FRAMES: p->frames = parse_integer(state, "frames", arg, 1, INT32_MAX); return 0;
	case OPT_PREVIEW: p->preview = parse_integer(state, "preview", arg, 0, INT32_MAX) + 1; return 0;
	case OPT_HWACCEL: p->hwaccel = INLAY_HWACCEL_AUTO + parse_word(state, "hwaccel", arg, hwaccel_words); return 0;
	case OPT_WORKERS: p->workers = (unsigned)parse_integer(state, "workers", arg, 1, 256); return 0;
	case OPT_THREADS: p->threads = (unsigned)parse_integer(state, "threads", arg, 1, 1024); return 0;
	case OPT_CODEC: p->codec = arg; return 0;
	case OPT_CRF: p->crf = parse_crf(state, arg); return 0;
	case OPT_ENCODER_PRESET: p->preset = arg; return 0;
	case OPT_QUALITY: p->quality = (int)parse_integer(state, "quality", arg, 1, 100); return 0;
	case OPT_FORMAT: p->format = arg; return 0;
	case OPT_STATS: a->stats = arg; return 0;
	case OPT_PROGRESS: a->progress = parse_word(state, "progress", arg, progress_words); return 0;
	case ARGP_KEY_END: check_complete(state, a); return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &common_argp }, { 0 } };
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "IN -o OUT",
	.doc = "Removes, blurs or replaces the background of a video or a picture. Sound, subtitles and times are "
	       "kept.\v"
	       "Examples:\n  inlay matte call.mp4 -o call-blurred.mp4 --blur 12\n"
	       "  inlay matte talk.mov -o talk-office.mp4 --background office.jpg\n"
	       "  inlay matte talk.mov -o talk.webm --alpha\n"
	       "  inlay matte talk.mov -o look.png --preview 100 --blur 12\n"
	       "  inlay matte clips -o cut --background green\n\n"
	       "Exit status: 0 done, 1 failed, 2 wrong usage, 3 the input is damaged or breaks off and what could be "
	       "read is "
	       "done.",
	.children = children,
};

/* ---- one input ---- */

struct watch {
	struct progress progress;
	struct inlay_matte *job;
	bool endless; /* a camera: an interrupt ends it, and what was recorded is kept */
};

static bool show(void *ctx, int64_t done, int64_t expected)
{
	struct watch *w = ctx;
	progress_show(&w->progress, done, expected);
	if (interrupted() && w->endless)
		inlay_matte_stop(w->job);
	return !interrupted() || w->endless;
}

/* Says what was made, and what was lost: true where that is something. */
static bool say_result(const struct inlay_matte *job, const struct inlay_matte_params *p)
{
	struct inlay_matte_stats s;
	inlay_matte_stats(job, &s);
	const char *name = output_name(p->output, p->format);
	if (p->preview)
		say("%s: frame %lld", name, (long long)p->preview - 1);
	else
		say_figures(name, s.frames, s.wall_s, s.fps, s.peak_rss_bytes);
	if (!s.damaged && !s.skipped && !s.truncated)
		return false;
	char lost[96] = "";
	if (s.damaged)
		snprintf(lost, sizeof lost, ", %lld of them damaged", (long long)s.damaged);
	if (s.skipped)
		snprintf(lost + strlen(lost), sizeof lost - strlen(lost), ", %lld packets gave none",
		         (long long)s.skipped);
	fprintf(stderr, "inlay: warning: %s %s: %lld frame%s done%s\n", p->input,
	        s.truncated ? "breaks off before its end" : "is damaged", (long long)s.frames,
	        s.frames == 1 ? " is" : "s are", lost);
	return true;
}

enum inlay_err matte_one(const struct matte_arguments *a, const struct inlay_matte_params *params,
                         struct il_part *stats, bool *lossy, struct inlay_error *err)
{
	struct inlay_matte *job = NULL;
	struct watch watch = { .endless = !strncmp(params->input, "/dev/video", strlen("/dev/video")) };
	*lossy = false;
	enum inlay_err rc = inlay_matte_create(&job, params, err);
	if (rc)
		return rc;
	if (a->common.verbose > 0)
		say("%s", inlay_matte_describe(job));
	else if (inlay_matte_inferred(job))
		say("model: %s", inlay_matte_inferred(job));
	watch.job = job;
	progress_begin(&watch.progress, a->common.verbose < 0 ? PROGRESS_NEVER : (enum progress_mode)a->progress);
	rc = inlay_matte_run(job, show, &watch, err);
	progress_end(&watch.progress);
	if (!rc)
		*lossy = say_result(job, params);
	if (!rc && stats)
		rc = write_figures(inlay_matte_stats_json(job), stats, err);
	inlay_matte_destroy(&job);
	return rc;
}

/* ---- settings ---- */

/* What lies behind the subject is one choice: an option replaces all that a file says of it. */
static void forget_background(struct inlay_matte_settings *settings)
{
	settings->look.blur = 0;
	settings->alpha = false;
	free(settings->background);
	settings->background = NULL;
}

static bool chooses_background(const struct matte_choice *choice)
{
	static const char *const names[] = { "blur", "background", "alpha", NULL };
	int i = 0;
	while (names[i] && strcmp(names[i], choice->name) != 0)
		i++;
	return names[i];
}

/* The preset, then the file, then the options. *usage: an option is to blame. */
static enum inlay_err gather(const struct matte_arguments *a, struct inlay_matte_settings *settings, bool *usage,
                             struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	*usage = !a->settings_path;
	if (a->settings_path)
		rc = inlay_matte_settings_read(settings, a->settings_path, a->preset, err);
	else if (a->preset)
		rc = inlay_matte_settings_set(settings, "preset", a->preset, err);
	for (int i = 0; i < a->n_choices && !rc && a->settings_path; i++)
		if (chooses_background(&a->choices[i]))
			forget_background(settings);
	for (int i = 0; i < a->n_choices && !rc; i++) {
		*usage = true;
		rc = inlay_matte_settings_set(settings, a->choices[i].name, a->choices[i].value, err);
	}
	return rc;
}

/* The file of figures replaces what is there: not one that the job reads or writes. */
static enum inlay_err open_stats(struct il_part **part, const struct matte_arguments *a, struct inlay_error *err)
{
	const struct inlay_matte_settings *s = a->params.settings;
	const char *const others[] = { a->params.input, a->params.output, a->settings_path, s->model,
		                       s->manifest,     s->background,    s->focal,         s->plate };
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (others[i] && (!strcmp(a->stats, others[i]) || il_path_same(a->stats, others[i])))
			return il_fail(err, INLAY_ERR_INVALID, "--stats %s: is a file of this job; give another name",
			               a->stats);
	return il_part_open(part, a->stats, true, err);
}

static int run_one(struct matte_arguments *a)
{
	struct inlay_error err = { 0 };
	struct il_part *stats = NULL;
	bool lossy = false;
	/* The file of figures is opened first: that it cannot be written shows before the work. */
	enum inlay_err rc = a->stats ? open_stats(&stats, a, &err) : INLAY_OK;
	if (!rc)
		rc = matte_one(a, &a->params, stats, &lossy, &err);
	il_part_destroy(&stats);
	return end_of_job(rc, &err, a->params.output, lossy ? EXIT_PARTIAL : EXIT_SUCCESS);
}

int cmd_matte(int argc, char **argv)
{
	struct matte_arguments a = { 0 };
	struct inlay_matte_settings settings;
	struct inlay_error err = { 0 };

	parse_options(&argp, argc, argv, &a);
	if (!a.params.output && strcmp(a.params.format, "null"))
		a.params.output = "-";
	inlay_matte_settings_init(&settings, INLAY_MATTE_BEST);
	a.params.settings = &settings;
	catch_interrupts();
	int status;
	bool usage;
	if (gather(&a, &settings, &usage, &err))
		status = report_error(&err) && usage ? EXIT_USAGE : EXIT_FAILURE;
	else if (il_path_is_folder(a.params.input))
		status = matte_folder(&a);
	else
		status = run_one(&a);
	inlay_matte_settings_destroy(&settings);
	return status;
}
