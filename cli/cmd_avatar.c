/* inlay avatar info | check; compile is in cmd_avatar_compile.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avatar/avatar.h"
#include "avatar/compiled.h"
#include "base/data.h"
#include "cli.h"
#include "infer/audio_encoder.h"
#include "infer/lipsync_net.h"

enum { OPT_DEMO = 0x1000 };

static const struct argp_option options[] = {
	{ "demo", OPT_DEMO, 0, 0, "look into inlay's own presenter", 0 },
	{ 0 },
};

struct arguments {
	struct common common;
	const char *verb, *pack;
	bool demo;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
	case OPT_DEMO: a->demo = true; return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num == 0)
			a->verb = arg;
		else if (state->arg_num == 1)
			a->pack = arg;
		else
			argp_error(state, "\"%s\" is one argument too many", arg);
		return 0;
	case ARGP_KEY_END:
		if (!a->verb || (strcmp(a->verb, "info") && strcmp(a->verb, "check")))
			argp_error(state, "expected \"info PACK\", \"check PACK\" or \"compile PACK -o NAME.inlay\"");
		if (a->demo && a->pack)
			argp_error(state, "--demo and \"%s\" each name a pack: give one of them", a->pack);
		if (!a->demo && !a->pack)
			argp_error(state, "which pack? %s %s PACK", state->name, a->verb);
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &common_argp }, { 0 } };
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "info PACK\ncheck PACK\n(info | check) --demo\ncompile PACK -o NAME.inlay",
	.doc = "info prints what was found in an avatar pack. check decodes every frame, verifies every rectangle, "
	       "parsing "
	       "mask and tensor shape, and says all that is wrong (exit status 1); of a compiled avatar, every "
	       "checksum too. "
	       "compile makes one: see inlay avatar compile --help.",
	.children = children,
};

static void print_rectangles(const struct il_avatar *a)
{
	int min = INT32_MAX, max = 0;
	for (int64_t i = 0; i < a->frames; i++) {
		int side = a->rects[i].x1 - a->rects[i].x0;
		min = side < min ? side : min;
		max = side > max ? side : max;
	}
	printf("rectangles     %d to %d px wide\n", min, max);
}

static void print_model(const struct il_avatar *a)
{
	struct inlay_error err = { 0 };
	struct il_lipsync_net_params params = { 0 };
	struct il_lipsync_net *net = NULL;
	if (!a->model) {
		puts("model          none named, and not exactly one found: give one with --model");
		return;
	}
	printf("model          %s\n", a->model);
	il_avatar_network(a, &params);
	if (il_lipsync_net_open(&net, &params, &err)) {
		printf("               unusable: %s\n", err.text);
		return;
	}
	const struct il_lipsync_net_info *info = il_lipsync_net_info(net);
	const struct il_tensor_desc *tensors[] = { &info->picture, &info->audio, &info->output };
	char text[200];
	if (info->hoisted)
		printf("               in  %d tensors computed beforehand\n", info->hoisted);
	for (int i = info->picture_floats ? 0 : 1; i < 3; i++)
		printf("               %s %s %s\n", i < 2 ? "in " : "out", tensors[i]->name,
		       il_tensor_format(tensors[i], text, sizeof text));
	il_lipsync_net_destroy(&net);
}

static void print_compiled(const struct il_compiled *compiled)
{
	const struct il_compiled_info *info = il_compiled_info(compiled);
	static const char *const stores[] = { "a frame", "of the network, a frame" };
	double bytes[IL_COMPILED_STORES] = { 0 };
	for (int i = 0; i < il_compiled_kind_count(compiled); i++)
		bytes[il_compiled_kind_at(compiled, i)->store] += (double)il_compiled_tensor(compiled, i, 0)->size;
	for (int i = 0; i < IL_COMPILED_STORES; i++) {
		if (bytes[i] > 0)
			printf("stored         %.2f MB %s\n", bytes[i] / 1e6, stores[i]);
	}
	if (info->jpeg_quality)
		printf("JPEG           quality %d, restart markers every %d MCUs\n", info->jpeg_quality,
		       info->jpeg_restart_interval);
}

static int info(const char *pack)
{
	struct inlay_error err = { 0 };
	struct il_avatar *a = NULL;
	if (il_avatar_open(&a, pack, &err))
		return report_error(&err);
	printf("pack           %s (%s)\n", a->path, a->layout);
	if (a->compiled)
		print_compiled(a->compiled);
	else
		printf("source         %s\n", a->video ? a->video : a->pattern);
	printf("frames         %lld of %dx%d at %.4g fps (%.1f s)\n", (long long)a->frames, a->width, a->height,
	       (double)a->fps.num / a->fps.den, (double)a->frames * a->fps.den / a->fps.num);
	print_rectangles(a);
	print_model(a);
	printf("audio encoder  %s\n",
	       a->audio_encoder ? a->audio_encoder
	                        : "none named, and not exactly one found: give --audio-encoder or --features");
	printf("parsing        %s\n", a->parsing ? a->parsing : "none");
	printf("order          %s, from frame %lld\n",
	       il_order_name(a->order >= 0 ? (enum il_order)a->order : IL_ORDER_BOUNCE), (long long)a->start_frame);
	il_avatar_destroy(&a);
	return EXIT_SUCCESS;
}

static void print_fault(void *ctx, const char *text)
{
	(void)ctx;
	printf("%s\n", text);
}

static bool asked_to_stop(void *ctx)
{
	(void)ctx;
	return interrupted() != 0;
}

static int check(const char *pack)
{
	int faults = 0;
	catch_interrupts();
	enum inlay_err rc = il_avatar_check(pack, print_fault, NULL, &faults, asked_to_stop);
	if (rc == INLAY_ERR_CANCELLED)
		return 128 + interrupted();
	if (faults == 0 && rc == INLAY_OK) {
		printf("%s: good\n", pack);
		return EXIT_SUCCESS;
	}
	printf("%s: %d fault%s\n", pack, faults, faults == 1 ? "" : "s");
	return EXIT_FAILURE;
}

int cmd_avatar(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "compile")) {
		char name[64];
		snprintf(name, sizeof name, "%s compile", argv[0]);
		argv[1] = name;
		return cmd_avatar_compile(argc - 1, argv + 1);
	}
	struct arguments a = { 0 };
	parse_options(&argp, argc, argv, &a);
	struct inlay_error err = { 0 };
	char *own = NULL;
	if (a.demo && il_data_find(&own, DEMO_PACK, NULL, &err))
		return report_error(&err);
	const char *pack = a.demo ? own : a.pack;
	int status = !strcmp(a.verb, "info") ? info(pack) : check(pack);
	free(own);
	return status;
}
