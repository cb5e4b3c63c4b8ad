/* inlay bench matte */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"
#include "cmd_bench.h"
#include "matte.h"

enum {
	OPT_IMAGE = 0x1000,
	OPT_ALPHA,
	OPT_SIZE,
	OPT_BLUR,
	OPT_EXPAND,
	OPT_SMOOTH,
	OPT_FEATHER,
	OPT_ROUNDS,
	OPT_PYTHON,
	OPT_NO_PYTHON,
	OPT_JSON,
};

static const struct argp_option options[] = {
	{ "image", OPT_IMAGE, "FILE", 0,
	  "picture of a person (default: the portrait of the test data, $INLAY_TEST_DATA, else the demo presenter)",
	  0 },
	{ "alpha", OPT_ALPHA, "FILE", 0, "its true matte, a grey picture of the same size", 0 },
	{ "size", OPT_SIZE, "WxH", 0, "of the frame (default: 1920x1080)", 0 },
	{ "blur", OPT_BLUR, "R", 0, "sigma of the background's blur in pixels; 0: black instead (default: 6)", 0 },
	{ "expand", OPT_EXPAND, "PX", 0, "grows the subject by so many pixels (default: 4)", 0 },
	{ "smooth", OPT_SMOOTH, "S", 0, "smooths its outline, sigma 5 * S (default: 0.5)", 0 },
	{ "feather", OPT_FEATHER, "PX", 0, "softens its edge, sigma PX (default: 3)", 0 },
	{ "rounds", OPT_ROUNDS, "N", 0, "turns of each row; the median counts (default: 7)", 0 },
	{ "python", OPT_PYTHON, "PROGRAM", 0,
	  "interpreter with NumPy, Pillow and OpenCV (default: /usr/bin/python3, Debian's)", 0 },
	{ "no-python", OPT_NO_PYTHON, 0, 0, "leave out what inlay is compared with", 0 },
	{ "json", OPT_JSON, "FILE", 0, "write the figures there", 0 },
	{ 0 },
};

struct arguments {
	struct common common;
	struct bench_matte_params bench;
};

static double parse_length(const struct argp_state *state, const char *option, const char *text, double max)
{
	char *end;
	double value = strtod(text, &end);
	if (end == text || *end || !(value >= 0 && value <= max))
		argp_error(state, "--%s: \"%s\": expected a number from 0 to %g", option, text, max);
	return value;
}

static void parse_size(const struct argp_state *state, struct bench_matte_params *b, const char *text)
{
	int used = 0;
	if (sscanf(text, "%dx%d%n", &b->width, &b->height, &used) != 2 || text[used] || b->width < 16 ||
	    b->height < 16 || b->width > 8192 || b->height > 8192)
		argp_error(state, "--size: \"%s\": expected WIDTHxHEIGHT, 16 to 8192 each, such as 1920x1080", text);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	struct bench_matte_params *b = &a->bench;
	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
	case OPT_IMAGE: b->image = arg; return 0;
	case OPT_ALPHA: b->alpha = arg; return 0;
	case OPT_SIZE: parse_size(state, b, arg); return 0;
	case OPT_BLUR: b->blur = parse_length(state, "blur", arg, 100); return 0;
	case OPT_EXPAND: b->expand = (int)parse_integer(state, "expand", arg, -256, 256); return 0;
	case OPT_SMOOTH: b->smooth = parse_length(state, "smooth", arg, 20); return 0;
	case OPT_FEATHER: b->feather = parse_length(state, "feather", arg, 100); return 0;
	case OPT_ROUNDS: b->rounds = (unsigned)parse_integer(state, "rounds", arg, 1, BENCH_MATTE_ROUNDS); return 0;
	case OPT_PYTHON: b->python = arg; return 0;
	case OPT_NO_PYTHON: b->python = NULL; return 0;
	case OPT_JSON: b->json = arg; return 0;
	case ARGP_KEY_ARG: argp_error(state, "\"%s\" is one argument too many", arg); return 0;
	case ARGP_KEY_END:
		if (!b->image != !b->alpha)
			argp_error(state, "--image and --alpha belong together: give both or none");
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &common_argp }, { 0 } };
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Measures, on one thread, how long a frame takes from a network's mask of 256x256 to the frame over its "
	       "blurred background: inlay's presets in 4:2:0, and what they replace, a chain in Python with PIL and "
	       "NumPy, and the same one in OpenCV; beside a copy of the frame's planes. The rows take turns. The PIL "
	       "chain and inlay's reference preset must give the same result, which is checked first.",
	.children = children,
};

int cmd_bench_matte(int argc, char **argv)
{
	struct arguments a = { .bench = { .width = 1920,
		                          .height = 1080,
		                          .blur = 6,
		                          .expand = 4,
		                          .smooth = 0.5,
		                          .feather = 3,
		                          .rounds = 7,
		                          .python = "/usr/bin/python3",
		                          .cancelled = bench_cancelled } };
	struct inlay_error err = { 0 };
	char scratch[PATH_MAX];
	parse_options(&argp, argc, argv, &a);
	if (bench_scratch(scratch, &err))
		return report_error(&err);
	a.bench.scratch = scratch;
	catch_interrupts();
	enum inlay_err rc = bench_matte(&a.bench, &err);
	rmdir(scratch);
	return bench_status(rc, &err);
}
