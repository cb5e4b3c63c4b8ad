/* A picture through other people's networks, with the manifests that are built in, gives what an independent
 * interpreter computed (golden/golden.json). */
#include "base/npy.h"
#include "infer/matte_net.h"
#include "media/image.h"
#include "tests/test.h"

#define TOLERANCE 1e-3

struct golden {
	const char *model, *picture, *result, *built_in;
	bool packed; /* the golden is [h,w,C], all of it; else one plane, of channel `channel` of [C,h,w] */
	int channel;
	enum il_matte_kind kind;
};

static const struct golden goldens[] = {
	{ "SINet_Softmax_simple", "320x320", "SINet_Softmax_simple.out", "SINet", false, 1, 0 },
	{ "SINet_logits", "320x320", "SINet_logits.out", "SINet, logits", false, 1, 0 },
	{ "mediapipe_segm_144x256", "256x144", "mediapipe_segm_144x256.out", "mediapipe selfie, two channels", true, 1,
	  0 },
	{ "selfie_segmentation_256", "256x256", "selfie_segmentation_256.out", "mediapipe selfie", true, 0, 0 },
	{ "selfie_alphas_256_nchw", "256x256", "selfie_alphas_256_nchw.out", "mediapipe selfie, alphas", false, 0, 0 },
	{ "selfie_alphas_256_nchw_int8dyn", "256x256", "selfie_alphas_256_nchw_int8dyn.out", "mediapipe selfie, alphas",
	  false, 0, 0 },
	{ "tcmonodepth_192x320", "320x192", "tcmonodepth_192x320.out", "TCMonoDepth", false, 0, IL_MATTE_KIND_DEPTH },
};

static const char *golden_path(const char *name, const char *extension)
{
	char path[256];
	snprintf(path, sizeof path, "golden/%s%s", name, extension);
	return test_data(path);
}

static struct il_matte_net *open_net(const char *model, unsigned threads)
{
	struct inlay_error err;
	struct il_matte_net *net = NULL;
	char path[256];
	snprintf(path, sizeof path, "models/matting/%s.onnx", model);
	struct il_matte_net_params params = { .path = test_data(path), .threads = threads };
	assert_ok(il_matte_net_open(&net, &params, &err));
	return net;
}

static struct inlay_frame *read_picture(const char *size)
{
	struct inlay_error err;
	struct inlay_frame *frame = NULL;
	char name[64];
	snprintf(name, sizeof name, "astronaut_%s", size);
	assert_ok(il_image_read(golden_path(name, ".png"), INLAY_PIX_BGR24, &frame, &err));
	return frame;
}

/* A golden file as floats; `count` of them are expected. */
static float *read_golden(const char *name, size_t count)
{
	struct inlay_error err;
	struct il_npy npy = { 0 };
	float *data = NULL;
	assert_ok(il_npy_open(&npy, golden_path(name, ".npy"), &err));
	assert_int_equal(npy.header.count, count);
	assert_ok(il_npy_to_float(&npy, &data, &err));
	il_npy_close(&npy);
	return data;
}

static struct il_matte_result run(struct il_matte_net *net, struct il_matte_stream *stream,
                                  const struct inlay_frame *frame)
{
	struct inlay_error err;
	struct il_matte_result result;
	struct inlay_planes planes;
	assert_int_equal(inlay_frame_info(frame)->width, il_matte_net_info(net)->width);
	assert_int_equal(inlay_frame_info(frame)->height, il_matte_net_info(net)->height);
	inlay_frame_map(frame, &planes);
	assert_ok(il_matte_net_run(net, stream, planes.data[0], planes.stride[0], IL_MATTE_BGR, &result, &err));
	inlay_frame_unmap(frame);
	return result;
}

static double worst(const float *found, const float *want, size_t n)
{
	double most = 0;
	for (size_t i = 0; i < n; i++) {
		double d = found[i] > want[i] ? found[i] - want[i] : want[i] - found[i];
		most = d > most ? d : most;
	}
	return most;
}

static void assert_close(const char *what, const float *found, const float *want, size_t n)
{
	double most = worst(found, want, n);
	printf("# %s: %.2g off at most\n", what, most);
	assert_true(most <= TOLERANCE);
}

static void check(const struct golden *g)
{
	char text[2000];
	struct inlay_frame *frame = read_picture(g->picture);
	struct il_matte_net *net = open_net(g->model, 1);
	const struct il_matte_net_info *info = il_matte_net_info(net);
	size_t pixels = (size_t)info->output_width * (size_t)info->output_height;
	const struct il_tensor_desc *desc;
	snprintf(text, sizeof text, "built in (%s)", g->built_in);
	char line[2000];
	assert_non_null(strstr(il_matte_net_describe(net, line, sizeof line), text));
	assert_int_equal(info->kind, g->kind);
	assert_true(info->settled);
	struct il_matte_result result = run(net, NULL, frame);
	const float *raw = il_matte_net_output(net, &desc);
	size_t count = g->packed ? pixels * (size_t)desc->dims[3] : pixels;
	float *want = read_golden(g->result, count);
	assert_close(g->model, g->packed ? raw : raw + (size_t)g->channel * pixels, want, count);
	for (size_t i = 0; i < pixels && g->kind == IL_MATTE_KIND_MATTE; i++)
		assert_true(result.matte[i] >= 0 && result.matte[i] <= 1);
	if (count == pixels && !strstr(g->model, "logits"))
		assert_close(g->model, result.matte, want, pixels);
	free(want);
	il_matte_net_destroy(&net);
	inlay_frame_destroy(&frame);
}

static void pictures_give_the_golden_outputs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++)
		check(&goldens[i]);
}

/* The two forms of SINet are one network: its logits through our softmax are its own softmax. */
static void logits_give_the_golden_probabilities(void **state)
{
	(void)state;
	struct inlay_frame *frame = read_picture("320x320");
	struct il_matte_net *net = open_net("SINet_logits", 2);
	float *want = read_golden("SINet_Softmax_simple.out", 320 * 320);
	assert_close("softmax of SINet_logits", run(net, NULL, frame).matte, want, 320 * 320);
	free(want);
	il_matte_net_destroy(&net);
	inlay_frame_destroy(&frame);
}

static void states_are_carried_as_in_the_golden_steps(void **state)
{
	(void)state;
	struct inlay_error err;
	const size_t pixels = 320 * 192;
	struct inlay_frame *frame = read_picture("320x192");
	struct il_matte_net *net = open_net("rvm_mobilenetv3_192x320_dq", 1);
	struct il_matte_stream *stream = NULL;
	float *step0 = read_golden("rvm_192x320.step0_pha", pixels),
	      *step1 = read_golden("rvm_192x320.step1_pha", pixels);
	float *colours = read_golden("rvm_192x320.step0_fgr_u8", 3 * pixels);
	assert_true(il_matte_net_info(net)->recurrent && il_matte_net_info(net)->has_foreground);
	assert_ok(il_matte_stream_create(&stream, net, &err));
	for (int round = 0; round < 2; round++) {
		struct il_matte_result result = run(net, stream, frame);
		assert_close("first alpha", result.matte, step0, pixels);
		for (int c = 0; c < 3; c++)
			for (size_t i = 0; i < pixels; i++)
				assert_float_equal(255 * result.foreground[c][(ptrdiff_t)i * result.foreground_step],
				                   colours[(size_t)(2 - c) * pixels + i], 0.51);
		assert_close("second alpha", run(net, stream, frame).matte, step1, pixels);
		assert_close("alone", run(net, NULL, frame).matte, step0, pixels);
		il_matte_stream_reset(stream);
	}
	il_matte_stream_destroy(&stream);
	il_matte_net_destroy(&net);
	inlay_frame_destroy(&frame);
	free(step0);
	free(step1);
	free(colours);
}

static void the_large_recurrent_network_is_known(void **state)
{
	(void)state;
	char text[2000];
	struct il_matte_net *net = open_net("rvm_mobilenetv3_720p_ds025_dq", 1);
	assert_int_equal(il_matte_net_info(net)->output_width, 1280);
	assert_int_equal(il_matte_net_info(net)->output_height, 720);
	assert_non_null(strstr(il_matte_net_describe(net, text, sizeof text), "built in (Robust Video Matting)"));
	il_matte_net_destroy(&net);
}

/* Without its manifest a model is told well enough to give the same, colours and scale apart. */
static void guesses_agree_with_what_is_known(void **state)
{
	(void)state;
	static const struct {
		const char *model, *picture;
		enum il_matte_activation activation;
	} cases[] = {
		{ "SINet_Softmax_simple", "320x320", IL_MATTE_NONE },
		{ "SINet_logits", "320x320", IL_MATTE_SOFTMAX },
		{ "mediapipe_segm_144x256", "256x144", IL_MATTE_SOFTMAX },
		{ "selfie_segmentation_256", "256x256", IL_MATTE_NONE },
		{ "selfie_alphas_256_nchw", "256x256", IL_MATTE_NONE },
		{ "rvm_mobilenetv3_192x320_dq", "320x192", IL_MATTE_NONE },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct inlay_error err;
		struct inlay_frame *frame = read_picture(cases[i].picture);
		struct il_matte_net *known = open_net(cases[i].model, 1), *guessed = NULL;
		struct il_matte_manifest empty = { 0 };
		char path[256];
		snprintf(path, sizeof path, "models/matting/%s.onnx", cases[i].model);
		struct il_matte_net_params params = { .path = test_data(path), .manifest = &empty };
		assert_ok(il_matte_net_open(&guessed, &params, &err));
		run(guessed, NULL, frame);
		const struct il_matte_manifest *a = il_matte_net_manifest(known), *b = il_matte_net_manifest(guessed);
		assert_int_equal(b->source[IL_MATTE_KEY_ACTIVATION], IL_MATTE_PICTURE);
		assert_int_equal(b->activation, cases[i].activation);
		assert_int_equal(b->activation, a->activation);
		assert_int_equal(b->layout, a->layout);
		assert_int_equal(b->channel, a->channel);
		assert_string_equal(b->output, a->output);
		assert_int_equal(b->state_count, a->state_count);
		assert_string_equal(b->foreground, a->foreground);
		il_matte_net_destroy(&known);
		il_matte_net_destroy(&guessed);
		inlay_frame_destroy(&frame);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pictures_give_the_golden_outputs),
		cmocka_unit_test(logits_give_the_golden_probabilities),
		cmocka_unit_test(states_are_carried_as_in_the_golden_steps),
		cmocka_unit_test(the_large_recurrent_network_is_known),
		cmocka_unit_test(guesses_agree_with_what_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
