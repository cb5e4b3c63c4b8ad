/* inlay model run | info: a matting, segmentation or depth network on one picture, and what is known of it and of any
 * other model. The other verbs are in cmd_model_graph.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/npy.h"
#include "catalogue/catalogue.h"
#include "cmd_model.h"
#include "frame/frame.h"
#include "infer/matte_net.h"
#include "kernel/resize.h"
#include "media/image.h"

enum {
	OPT_IMAGE = 0x1000,
	OPT_MANIFEST,
	OPT_MATTE,
	OPT_WRITE_MANIFEST,
	OPT_KIND,
	OPT_SIZE,
	OPT_THREADS,
	OPT_NODES,
	OPT_TIME,
	OPT_JSON,
	OPT_INPUT
};

static const char *const kind_words[] = { "matte", "depth", NULL };

static const struct argp_option options[] = {
	{ "image", OPT_IMAGE, "FILE", 0, "the picture; scaled to the network's size", 0 },
	{ "manifest", OPT_MANIFEST, "FILE.json", 0,
	  "what the network expects and gives (docs/models.md); default: "
	  "MODEL's name with .json, else a built-in one, else guesses",
	  0 },
	{ "output", 'o', "FILE.npy", 0, "run: write the network's output as it is, float32", 0 },
	{ "matte", OPT_MATTE, "FILE.png", 0, "run: write the matte as a gray picture of the network's size", 0 },
	{ "write-manifest", OPT_WRITE_MANIFEST, "FILE.json", 0, "write all that is known as a manifest", 0 },
	{ "kind", OPT_KIND, "KIND", 0, "matte or depth, where no manifest says it", 0 },
	{ "size", OPT_SIZE, "WxH", 0, "of the picture, where the network leaves it free", 0 },
	{ "threads", OPT_THREADS, "N", 0, "of one run (default 1)", 0 },
	{ "nodes", OPT_NODES, 0, 0, "info: what each node costs", 0 },
	{ "time", OPT_TIME, 0, 0, "info: how long each node takes, on random inputs", 0 },
	{ "json", OPT_JSON, 0, 0, "info: as JSON", 0 },
	{ "input", OPT_INPUT, "NAME=DIMS", 0, "info: " MODEL_INPUT_HELP, 0 },
	{ "overwrite", 'y', 0, 0, "replace existing files", 0 },
	{ 0 },
};

struct arguments {
	struct common common;
	const char *verb, *model, *image, *manifest, *output, *matte, *written;
	char *path; /* of the model, found by its name */
	int kind, width, height;
	unsigned threads;
	bool overwrite, nodes, time, json;
	struct model_inputs inputs;
};

static void parse_size(const struct argp_state *state, const char *text, struct arguments *a)
{
	int used = 0;
	if (sscanf(text, "%5dx%5d%n", &a->width, &a->height, &used) != 2 || text[used] || a->width < 1 ||
	    a->height < 1 || a->width > IL_MATTE_MAX_SIDE || a->height > IL_MATTE_MAX_SIDE)
		argp_error(state, "--size: \"%s\": expected WIDTHxHEIGHT, sides from 1 to %d", text, IL_MATTE_MAX_SIDE);
}

static void check_arguments(const struct argp_state *state, const struct arguments *a)
{
	bool runs = a->verb && !strcmp(a->verb, "run");
	if (!runs && (!a->verb || strcmp(a->verb, "info") != 0))
		argp_error(state, "expected \"run MODEL\", \"info MODEL\", \"optimize MODEL\" or \"diff A B\"");
	if (!a->model)
		argp_error(state, "which model? %s %s MODEL", state->name, a->verb);
	if (runs && !a->image)
		argp_error(state, "expected --image FILE, the picture to run");
	if (runs && !a->output && !a->matte && !a->written)
		argp_error(state, "expected -o FILE.npy, --matte FILE.png or both");
	if (!runs && (a->output || a->matte))
		argp_error(state, "-o and --matte belong to \"run\"");
	if (runs && (a->nodes || a->time || a->json || a->inputs.n))
		argp_error(state, "--nodes, --time, --json and --input belong to \"info\"");
	if (a->matte && strcmp(il_path_extension(a->matte), "png") != 0)
		argp_error(state, "--matte: \"%s\": expected a name that ends in .png", a->matte);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
	case OPT_IMAGE: a->image = arg; return 0;
	case OPT_MANIFEST: a->manifest = arg; return 0;
	case 'o': a->output = arg; return 0;
	case OPT_MATTE: a->matte = arg; return 0;
	case OPT_WRITE_MANIFEST: a->written = arg; return 0;
	case OPT_KIND: a->kind = parse_word(state, "kind", arg, kind_words); return 0;
	case OPT_SIZE: parse_size(state, arg, a); return 0;
	case OPT_THREADS: a->threads = (unsigned)parse_integer(state, "threads", arg, 1, 256); return 0;
	case 'y': a->overwrite = true; return 0;
	case OPT_NODES: a->nodes = true; return 0;
	case OPT_TIME: a->time = true; return 0;
	case OPT_JSON: a->json = true; return 0;
	case OPT_INPUT: parse_model_input(state, arg, &a->inputs); return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num == 0)
			a->verb = arg;
		else if (state->arg_num == 1)
			a->model = arg;
		else
			argp_error(state, "\"%s\" is one argument too many", arg);
		return 0;
	case ARGP_KEY_END: check_arguments(state, a); return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &common_argp }, { 0 } };
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "run MODEL --image FILE -o FILE.npy\ninfo MODEL\noptimize MODEL -o "
		    "OUT.onnx\ndiff A.onnx B.onnx",
	.doc = "Runs a matting, segmentation or depth network (ONNX) on one picture, or tells what is known of it: its "
	       "tensors, its manifest, and where each of the manifest's values comes from. With --image, info runs the "
	       "picture too, so that it knows the range of the output. Of any ONNX model info tells what is in it and "
	       "what it costs to run. \"optimize --help\" and \"diff --help\" tell the options of those.",
	.children = children,
};

/* Everything of one run. */
struct work {
	const struct arguments *a;
	struct il_matte_net *net;
	struct inlay_error no_net; /* why `net` is NULL, where info goes on without */
	struct model_report *report;
	struct inlay_error no_report; /* why it is NULL, where info goes on without */
	struct inlay_frame *frame;
	uint8_t *scaled;
	struct il_matte_result result;
};

/* The picture at the network's size: the frame's own pixels, or scaled ones. */
static enum inlay_err scale_picture(struct work *w, struct inlay_planes *planes, struct inlay_error *err)
{
	const struct il_matte_net_info *info = il_matte_net_info(w->net);
	const struct inlay_frame_info *own = inlay_frame_info(w->frame);
	ptrdiff_t stride = (ptrdiff_t)3 * info->width;
	struct il_resize *resize = NULL;
	if (own->width == info->width && own->height == info->height)
		return INLAY_OK;
	w->scaled = malloc((size_t)stride * (size_t)info->height);
	if (!w->scaled)
		return il_fail_memory(err);
	enum inlay_err rc = il_resize_create(&resize, IL_INTERP_LINEAR, err);
	if (!rc)
		rc = il_resize_prepare(resize, own->width, own->height, info->width, info->height, err);
	if (!rc) {
		il_resize_run(resize, w->scaled, stride, planes->data[0], planes->stride[0]);
		planes->data[0] = w->scaled;
		planes->stride[0] = stride;
	}
	il_resize_destroy(&resize);
	return rc;
}

static enum inlay_err run_picture(struct work *w, struct inlay_error *err)
{
	struct inlay_planes planes;
	enum inlay_err rc = il_image_read(w->a->image, INLAY_PIX_BGR24, &w->frame, err);
	if (rc)
		return rc;
	inlay_frame_map(w->frame, &planes);
	rc = scale_picture(w, &planes, err);
	if (!rc)
		rc = il_matte_net_run(w->net, NULL, planes.data[0], planes.stride[0], IL_MATTE_BGR, &w->result, err);
	inlay_frame_unmap(w->frame);
	return rc;
}

static enum inlay_err write_output(const struct work *w, struct inlay_error *err)
{
	const struct il_tensor_desc *desc;
	const float *data = il_matte_net_output(w->net, &desc);
	uint8_t header[256];
	size_t dims[IL_NPY_MAX_RANK], count = 1;
	struct il_part *part = NULL;
	for (int i = 0; i < desc->rank; i++)
		count *= dims[i] = (size_t)desc->dims[i];
	size_t n = il_npy_format_header(IL_NPY_F32, desc->rank, dims, header);
	enum inlay_err rc = il_part_open(&part, w->a->output, w->a->overwrite, err);
	if (!rc)
		rc = il_part_write(part, header, n, err);
	if (!rc)
		rc = il_part_write(part, data, count * sizeof *data, err);
	if (!rc)
		rc = il_part_commit(part, err);
	il_part_destroy(&part);
	return rc;
}

/* 0..1 for a matte; depth is shown from its least to its greatest. */
static void find_range(const struct work *w, size_t n, float *low, float *high)
{
	*low = 0;
	*high = 1;
	if (il_matte_net_info(w->net)->kind == IL_MATTE_KIND_MATTE)
		return;
	*low = INFINITY;
	*high = -INFINITY;
	for (size_t i = 0; i < n; i++) {
		*low = fminf(*low, w->result.matte[i]);
		*high = fmaxf(*high, w->result.matte[i]);
	}
}

static void paint(const struct work *w, const struct inlay_frame *frame)
{
	const struct il_matte_net_info *info = il_matte_net_info(w->net);
	struct inlay_planes planes;
	float low, high;
	find_range(w, (size_t)info->output_width * (size_t)info->output_height, &low, &high);
	inlay_frame_map(frame, &planes);
	for (int y = 0; y < info->output_height; y++)
		for (int x = 0; x < info->output_width; x++) {
			float p = (w->result.matte[(size_t)y * (size_t)info->output_width + (size_t)x] - low) /
			          (high > low ? high - low : 1);
			planes.data[0][y * planes.stride[0] + x] = p > 0 ? (uint8_t)(255 * p + 0.5f) : 0;
		}
	inlay_frame_unmap(frame);
}

static enum inlay_err write_matte(const struct work *w, struct inlay_error *err)
{
	const struct il_matte_net_info *info = il_matte_net_info(w->net);
	struct inlay_frame_info gray = { INLAY_PIX_GRAY8, info->output_width, info->output_height, { 0 } };
	struct inlay_frame *frame = NULL;
	struct il_image_encoder *encoder = NULL;
	const uint8_t *data;
	size_t size;
	gray.colour.range = INLAY_RANGE_FULL;
	enum inlay_err rc = il_frame_create(&frame, &gray, err);
	if (!rc) {
		paint(w, frame);
		rc = il_image_encoder_create(&encoder, "png", 0, err);
	}
	if (!rc)
		rc = il_image_encode(encoder, frame, &data, &size, err);
	if (!rc)
		rc = il_file_write(w->a->matte, data, size, w->a->overwrite, err);
	il_image_encoder_destroy(&encoder);
	inlay_frame_destroy(&frame);
	return rc;
}

static enum inlay_err write_manifest(const struct work *w, struct inlay_error *err)
{
	char *text = il_matte_manifest_format(il_matte_net_manifest(w->net));
	enum inlay_err rc =
		text ? il_file_write(w->a->written, text, strlen(text), w->a->overwrite, err) : il_fail_memory(err);
	free(text);
	return rc;
}

/* What is read must not be replaced, not even with -y. */
static enum inlay_err check_paths(const struct arguments *a, struct inlay_error *err)
{
	const char *const read[] = { a->path, a->image, a->manifest };
	const char *const written[] = { a->output, a->matte, a->written };
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 3; k++) {
			if (read[i] && written[k] && il_path_same(read[i], written[k]))
				return il_fail(err, INLAY_ERR_INVALID, "%s: is read, and cannot be the output too",
				               written[k]);
			if (written[i] && written[k] && i != k && !strcmp(written[i], written[k]))
				return il_fail(err, INLAY_ERR_INVALID, "%s: is the output of two options", written[k]);
		}
	return INLAY_OK;
}

static void print_tensors(const struct il_session *session)
{
	char text[200];
	for (int i = 0; i < il_session_inputs(session); i++) {
		const struct il_tensor_desc *desc = il_session_input(session, i);
		printf("in        %s %s\n", desc->name, il_tensor_format(desc, text, sizeof text));
	}
	for (int i = 0; i < il_session_outputs(session); i++) {
		const struct il_tensor_desc *desc = il_session_output(session, i);
		printf("out       %s %s\n", desc->name, il_tensor_format(desc, text, sizeof text));
	}
}

/* Only what inlay found out; of another model only that it is none, and why. */
static void print_matting(const struct work *w, const char *described)
{
	char *manifest = w->net ? il_matte_manifest_format(il_matte_net_manifest(w->net)) : NULL;
	if (w->net)
		printf("manifest  %s\n%s", described, manifest ? manifest : "");
	else
		printf("matting   not a matting network: %s\n", w->no_net.text);
	free(manifest);
}

static void print_text(const struct work *w, const struct il_session *session)
{
	char described[4096];
	printf("model     %s\n", w->a->path);
	if (w->net) {
		const struct il_matte_net_info *info = il_matte_net_info(w->net);
		printf("kind      %s%s%s\n", kind_words[info->kind], info->recurrent ? ", recurrent" : "",
		       info->has_foreground ? ", with foreground" : "");
		printf("picture   %dx%d%s\n", info->width, info->height, info->free_size ? ", other sizes too" : "");
		printf("result    %dx%d\n", info->output_width, info->output_height);
	}
	print_tensors(session);
	if (w->report)
		model_report_print(w->report);
	else
		printf("graph     not looked into: %s\n", w->no_report.text);
	print_matting(w, w->net ? il_matte_net_describe(w->net, described, sizeof described) : NULL);
}

static json_t *tensor_json(const struct il_tensor_desc *desc)
{
	char text[200];
	return json_pack("{s:o, s:s}", "name", model_text_json(desc->name), "tensor",
	                 il_tensor_format(desc, text, sizeof text));
}

static enum inlay_err print_json(const struct work *w, const struct il_session *session, struct inlay_error *err)
{
	json_t *root = model_report_json(w->report), *inputs = json_array(), *outputs = json_array();
	char *manifest = w->net ? il_matte_manifest_format(il_matte_net_manifest(w->net)) : NULL;
	for (int i = 0; i < il_session_inputs(session); i++)
		json_array_append_new(inputs, tensor_json(il_session_input(session, i)));
	for (int i = 0; i < il_session_outputs(session); i++)
		json_array_append_new(outputs, tensor_json(il_session_output(session, i)));
	json_object_set_new(root, "inputs", inputs);
	json_object_set_new(root, "outputs", outputs);
	json_object_set_new(root, "manifest", manifest ? json_loads(manifest, 0, NULL) : json_null());
	if (!w->net)
		json_object_set_new(root, "not_matting", model_text_json(w->no_net.text));
	free(manifest);
	return print_model_json(root, err);
}

static enum inlay_err print_info(struct work *w, struct inlay_error *err)
{
	const struct arguments *a = w->a;
	const struct model_report_params params = { a->path, &a->inputs, a->nodes, a->time, a->threads };
	struct il_session *own = NULL;
	enum inlay_err rc = model_report_create(&w->report, &params, &w->no_report);
	if (rc && (rc != INLAY_ERR_UNSUPPORTED || a->nodes || a->time || a->json))
		return il_fail(err, rc, "%s", w->no_report.text);
	rc = INLAY_OK;
	if (!w->net)
		rc = il_session_open(&own, a->path, NULL, err);
	if (rc)
		return rc;
	const struct il_session *session = w->net ? il_matte_net_session(w->net) : own;
	if (a->json)
		rc = print_json(w, session, err);
	else
		print_text(w, session);
	il_session_destroy(&own);
	return rc;
}

/* Of info, what only a matting network can answer. */
static bool needs_net(const struct arguments *a)
{
	return strcmp(a->verb, "info") != 0 || a->image || a->manifest || a->written || a->kind || a->width;
}

static enum inlay_err open_net(struct work *w, const struct il_matte_net_params *params, struct inlay_error *err)
{
	if (needs_net(w->a))
		return il_matte_net_open(&w->net, params, err);
	/* What is no model at all fails again in a moment. */
	return il_matte_net_open(&w->net, params, &w->no_net) == INLAY_ERR_MEMORY ? il_fail_memory(err) : INLAY_OK;
}

static enum inlay_err perform(struct work *w, struct inlay_error *err)
{
	const struct arguments *a = w->a;
	const struct il_matte_net_params params = { .path = a->path,
		                                    .manifest_path = a->manifest,
		                                    .threads = a->threads,
		                                    .width = a->width,
		                                    .height = a->height,
		                                    .kind = (enum il_matte_kind)a->kind };
	char text[4096];
	enum inlay_err rc = check_paths(a, err);
	if (!rc)
		rc = open_net(w, &params, err);
	if (!rc && a->image)
		rc = run_picture(w, err);
	if (!rc && a->output)
		rc = write_output(w, err);
	if (!rc && a->matte)
		rc = write_matte(w, err);
	if (!rc && a->written)
		rc = write_manifest(w, err);
	if (rc)
		return rc;
	if (!strcmp(a->verb, "info"))
		return print_info(w, err);
	say("%s: %s", a->path, il_matte_net_describe(w->net, text, sizeof text));
	return INLAY_OK;
}

/* A verb with options of its own, as "inlay model VERB". */
static command_fn *own_verb(int argc, char **argv)
{
	static char name[64];
	command_fn *run = argc < 2                       ? NULL
	                  : !strcmp(argv[1], "optimize") ? cmd_model_optimize
	                  : !strcmp(argv[1], "diff")     ? cmd_model_diff
	                                                 : NULL;
	if (run) {
		snprintf(name, sizeof name, "%s %s", argv[0], argv[1]);
		argv[1] = name;
	}
	return run;
}

int cmd_model(int argc, char **argv)
{
	command_fn *verb = own_verb(argc, argv);
	if (verb)
		return verb(argc - 1, argv + 1);
	struct arguments a = { .threads = 1 };
	struct inlay_error err = { 0 };
	struct work w = { .a = &a };
	parse_options(&argp, argc, argv, &a);
	enum inlay_err rc = il_model_find(&a.path, a.model, &err);
	if (!rc)
		rc = perform(&w, &err);
	model_report_destroy(&w.report);
	il_matte_net_destroy(&w.net);
	inlay_frame_destroy(&w.frame);
	free(w.scaled);
	free(a.path);
	return rc ? report_error(&err) : EXIT_SUCCESS;
}
