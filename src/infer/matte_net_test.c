#include "infer/matte_net.h"

#include <math.h>
#include <sys/stat.h>

#include "tests/test_models.h"

#define W 20
#define H 16
#define STRIDE (3 * W + 5)

static uint8_t pixels[H * STRIDE];

static void fill(void)
{
	for (size_t i = 0; i < sizeof pixels; i++)
		pixels[i] = (uint8_t)(test_random() >> 13);
}

static double logit(int x, int y, bool swapped)
{
	const uint8_t *p = pixels + y * STRIDE + 3 * x;
	return (2.0 * p[swapped ? 2 : 0] - p[1] + 0.5 * p[swapped ? 0 : 2]) / 255 - 0.5;
}

static double sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

static struct il_matte_net *open_with(const char *model, const char *manifest)
{
	struct inlay_error err;
	struct il_matte_net *net = NULL;
	const char *path = test_scratch("manifest.json");
	if (manifest) {
		FILE *f = fopen(path, "w");
		assert_non_null(f);
		fputs(manifest, f);
		fclose(f);
	}
	struct il_matte_net_params params = { .path = test_model(model), .manifest_path = manifest ? path : NULL };
	assert_ok(il_matte_net_open(&net, &params, &err));
	unlink(path);
	return net;
}

static const float *run(struct il_matte_net *net, struct il_matte_stream *stream, enum il_matte_color color)
{
	struct inlay_error err;
	struct il_matte_result result;
	assert_ok(il_matte_net_run(net, stream, pixels, STRIDE, color, &result, &err));
	return result.matte;
}

static void assert_describes(const struct il_matte_net *net, const char *part)
{
	char text[2000];
	if (!strstr(il_matte_net_describe(net, text, sizeof text), part))
		fail_msg("\"%s\" lacks \"%s\"", text, part);
	assert_null(strchr(text, '\n'));
}

/* Every model gives the same probability, each in its own way. */
static void what_is_not_stated_is_told_by_shapes_and_a_picture(void **state)
{
	(void)state;
	static const struct {
		const char *model, *tensors, *assumed, *activation;
	} cases[] = {
		{ "matte_sigmoid", "layout nchw", "color rgb", "activation none" },
		{ "matte_logit", "layout nchw", "scale 0.003921568627", "activation sigmoid" },
		{ "matte_two_logits", "layout nhwc", "channel 1", "activation softmax" },
		{ "matte_bytes", "output mask", "mean 0, std 1", "activation bytes" },
		{ "matte_uint8", "layout nhwc", "color rgb", "activation none" },
		{ "matte_uint8_planar", "layout nchw", "color rgb", "activation none" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct il_matte_net *net = open_with(cases[i].model, NULL);
		const struct il_matte_net_info *info = il_matte_net_info(net);
		assert_int_equal(info->width, W);
		assert_int_equal(info->height, H);
		assert_int_equal(info->output_width, W);
		assert_int_equal(info->output_height, H);
		assert_false(info->free_size || info->recurrent || info->has_foreground || info->settled);
		assert_describes(net, "no manifest; from the tensors: ");
		assert_describes(net, cases[i].tensors);
		assert_describes(net, cases[i].assumed);
		assert_describes(net, "activation: the first picture will tell");
		for (int round = 0; round < 4; round++) {
			bool bgr = round % 2;
			fill();
			const float *matte = run(net, NULL, bgr ? IL_MATTE_BGR : IL_MATTE_RGB);
			for (int k = 0; k < W * H; k++) {
				double x = logit(k % W, k / W, bgr);
				assert_float_equal(matte[k], sigmoid(strstr(cases[i].model, "two") ? 2 * x : x), 1e-5);
			}
		}
		assert_true(info->settled);
		assert_describes(net, cases[i].activation);
		assert_describes(net, "from the first picture: ");
		il_matte_net_destroy(&net);
		assert_null(net);
		il_matte_net_destroy(&net);
	}
}

static void a_manifest_decides(void **state)
{
	(void)state;
	struct il_matte_net *net =
		open_with("matte_six_logits", "{\"inlay_model\": 1, \"channel\": 3, \"activation\": \"softmax\", "
	                                      "\"color\": \"bgr\", \"mean\": 0.5, \"std\": [0.5, 0.25, 1], "
	                                      "\"invert\": true, \"output\": \"mask\", \"input\": \"image\"}");
	static const double factors[6] = { 1, -1, 0.5, 2, -2, 0 };
	assert_true(il_matte_net_info(net)->settled);
	fill();
	const float *matte = run(net, NULL, IL_MATTE_RGB);
	for (int k = 0; k < W * H; k++) {
		const uint8_t *p = pixels + k / W * STRIDE + 3 * (k % W);
		double x =
			2 * (p[2] / 255.0 - 0.5) / 0.5 - (p[1] / 255.0 - 0.5) / 0.25 + 0.5 * (p[0] / 255.0 - 0.5) - 0.5;
		double sum = 0;
		for (int c = 0; c < 6; c++)
			sum += exp(factors[c] * x);
		assert_float_equal(matte[k], 1 - exp(2 * x) / sum, 1e-5);
	}
	const struct il_tensor_desc *desc;
	const float *raw = il_matte_net_output(net, &desc);
	assert_int_equal(desc->rank, 4);
	assert_int_equal(desc->dims[1], 6);
	assert_float_equal(raw[3 * W * H + 5], 2 * raw[5], 1e-5);
	assert_describes(net, "channel 3");
	il_matte_net_destroy(&net);
}

static void depth_is_left_as_it_is(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_matte_net *net = NULL;
	struct il_matte_net_params params = { .path = test_model("matte_logit"), .kind = IL_MATTE_KIND_DEPTH };
	assert_ok(il_matte_net_open(&net, &params, &err));
	assert_int_equal(il_matte_net_info(net)->kind, IL_MATTE_KIND_DEPTH);
	assert_true(il_matte_net_info(net)->settled);
	fill();
	const float *depth = run(net, NULL, IL_MATTE_RGB);
	for (int k = 0; k < W * H; k++)
		assert_float_equal(depth[k], logit(k % W, k / W, false), 1e-5);
	il_matte_net_destroy(&net);
}

/* A black picture gives zeros, which could be anything. */
static void a_picture_that_shows_nothing_settles_nothing(void **state)
{
	(void)state;
	struct il_matte_net *net = open_with("matte_zero", NULL), *other = NULL;
	struct inlay_error err;
	memset(pixels, 0, sizeof pixels);
	const float *matte = run(net, NULL, IL_MATTE_RGB);
	assert_true(matte[0] == 0 && matte[W * H - 1] == 0);
	assert_false(il_matte_net_info(net)->settled);
	fill();
	run(net, NULL, IL_MATTE_RGB);
	assert_true(il_matte_net_info(net)->settled);
	/* Another net can be given what this one knows. */
	struct il_matte_net_params params = { .path = test_model("matte_zero"),
		                              .manifest = il_matte_net_manifest(net) };
	assert_ok(il_matte_net_open(&other, &params, &err));
	assert_true(il_matte_net_info(other)->settled);
	assert_memory_equal(run(net, NULL, IL_MATTE_BGR), run(other, NULL, IL_MATTE_BGR), W * H * sizeof(float));
	il_matte_net_destroy(&other);
	il_matte_net_destroy(&net);
}

static double mean_of(int k)
{
	const uint8_t *p = pixels + k / W * STRIDE + 3 * (k % W);
	return (p[0] + p[1] + p[2]) / 765.0;
}

/* Two streams take turns on one net, and a picture that stands alone comes between them. */
static void check_streams(const char *model, const char *manifest, double dark)
{
	struct inlay_error err;
	struct il_matte_net *net = NULL;
	struct il_matte_stream *streams[2] = { NULL, NULL };
	double before[2][W * H] = { { 0 } };
	struct il_matte_result result;
	if (manifest) {
		net = open_with(model, manifest);
	} else {
		struct il_matte_net_params params = { .path = test_model(model), .width = W, .height = H };
		assert_ok(il_matte_net_open(&net, &params, &err));
	}
	assert_true(il_matte_net_info(net)->recurrent && il_matte_net_info(net)->has_foreground);
	for (int s = 0; s < 2; s++)
		assert_ok(il_matte_stream_create(&streams[s], net, &err));
	for (int round = 0; round < 12; round++) {
		int s = round / 3 % 2;
		fill();
		if (round == 8) {
			il_matte_stream_reset(streams[s]);
			memset(before[s], 0, sizeof before[s]);
		}
		const float *alone = run(net, NULL, IL_MATTE_BGR);
		for (int k = 0; k < W * H; k++)
			assert_float_equal(alone[k], 0.5 * mean_of(k), 1e-5);
		assert_ok(il_matte_net_run(net, streams[s], pixels, STRIDE, IL_MATTE_BGR, &result, &err));
		for (int k = 0; k < W * H; k++) {
			before[s][k] = 0.5 * mean_of(k) + 0.5 * before[s][k];
			assert_float_equal(result.matte[k], before[s][k], 1e-5);
			for (int c = 0; c < 3; c++)
				assert_float_equal(result.foreground[c][k * result.foreground_step],
				                   dark * pixels[k / W * STRIDE + 3 * (k % W) + c] / 255, 1e-5);
		}
	}
	for (int s = 0; s < 2; s++)
		il_matte_stream_destroy(&streams[s]);
	il_matte_stream_destroy(&streams[0]);
	il_matte_net_destroy(&net);
}

static void states_are_carried_by_streams(void **state)
{
	(void)state;
	check_streams("matte_recurrent", NULL, 0.5);
	check_streams("matte_recurrent_free", NULL, 1);
	check_streams("matte_recurrent_free",
	              "{\"inlay_model\": 1, \"size\": [20, 16], \"inputs\": {\"downsample_ratio\": 0.25}}", 0.25);
	check_streams("matte_recurrent_odd",
	              "{\"inlay_model\": 1, \"states\": [[\"past\", \"future\"]], \"output\": \"x\", \"foreground\": "
	              "\"colours\"}",
	              0.5);
}

static void a_stream_belongs_to_its_network(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_matte_result result;
	struct il_matte_stream *stream = NULL;
	struct il_matte_net *one = open_with("matte_recurrent", NULL), *other = open_with("matte_sigmoid", NULL);
	assert_ok(il_matte_stream_create(&stream, other, &err));
	assert_ok(il_matte_net_run(other, stream, pixels, STRIDE, IL_MATTE_BGR, &result, &err));
	assert_null(result.foreground[0]);
	il_matte_stream_reset(stream);
	assert_fails(il_matte_net_run(one, stream, pixels, STRIDE, IL_MATTE_BGR, &result, &err), INLAY_ERR_INVALID,
	             "the stream holds 0 floats of states; expected 320");
	il_matte_stream_destroy(&stream);
	il_matte_net_destroy(&one);
	il_matte_net_destroy(&other);
}

static void free_sizes_are_chosen(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_matte_net *net = open_with("matte_free_size", NULL);
	assert_true(il_matte_net_info(net)->free_size);
	assert_int_equal(il_matte_net_info(net)->width, 512);
	assert_int_equal(il_matte_net_info(net)->output_height, 512);
	assert_describes(net, "size [512, 512]");
	il_matte_net_destroy(&net);
	net = open_with("matte_free_size", "{\"inlay_model\": 1, \"size\": [20, 16]}");
	fill();
	const float *matte = run(net, NULL, IL_MATTE_RGB);
	assert_float_equal(matte[W + 3], sigmoid(logit(3, 1, false)), 1e-5);
	il_matte_net_destroy(&net);
	struct il_matte_net_params params = { .path = test_model("matte_free_size"), .width = 1, .height = 3 };
	assert_ok(il_matte_net_open(&net, &params, &err));
	matte = run(net, NULL, IL_MATTE_RGB);
	assert_int_equal(il_matte_net_info(net)->output_width, 1);
	assert_float_equal(matte[2], sigmoid(logit(0, 2, false)), 1e-5);
	il_matte_net_destroy(&net);
	params.width = 9000;
	assert_fails(il_matte_net_open(&net, &params, &err), INLAY_ERR_FORMAT, "9000x3; expected sides of 1 to 8192");
}

static void models_outside_the_contract_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *model, *part;
	} cases[] = {
		{ "wrong_matte_gray",
		  "no input is a picture; expected one of 3 channels, [1,3,H,W] or [1,H,W,3]; found "
		  "inputs: image float32 [1,1,16,20]" },
		{ "wrong_matte_batch", "no input is a picture" },
		{ "wrong_matte_output", "no output is a matte; expected float32 [1,C,h,w]" },
		{ "wrong_matte_float16", "input image is float16 [n,3,16,20]; expected float32 or uint8" },
		{ "wrong_matte_classes", "no output is a matte" },
		{ "wrong_matte_axes", "the picture's channels may be first or last" },
		{ "matte_six_logits", "the manifest's channel chooses among more" },
		{ "matte_recurrent_odd", "input past is not the picture; expected the manifest to list it" },
		{ "audio_encoder", "no input is a picture" },
		{ "lipsync_ambiguous", "no input is a picture" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct inlay_error err;
		struct il_matte_net *net = NULL;
		struct il_matte_net_params params = { .path = test_model(cases[i].model) };
		assert_fails(il_matte_net_open(&net, &params, &err), INLAY_ERR_FORMAT, cases[i].part);
		assert_non_null(strstr(err.text, cases[i].model));
		assert_null(net);
	}
}

static void manifests_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *model, *text, *part;
	} cases[] = {
		{ "matte_sigmoid", "{\"inlay_model\": 1, \"layout\": \"nhwc\"}", "no input is the picture that the" },
		{ "matte_sigmoid", "{\"inlay_model\": 1, \"size\": [20, 20]}", "expected the model's own, 20x16" },
		{ "matte_sigmoid", "{\"inlay_model\": 1, \"input\": \"x\"}", "manifest's input names \"x\"" },
		{ "matte_sigmoid", "{\"inlay_model\": 1, \"output\": \"x\"}", "manifest's output names \"x\"" },
		{ "matte_sigmoid", "{\"inlay_model\": 1, \"foreground\": \"x\"}", "manifest's foreground names \"x\"" },
		{ "matte_sigmoid", "{\"inlay_model\": 1, \"inputs\": {\"x\": 1}}", "manifest's inputs names \"x\"" },
		{ "matte_sigmoid", "{\"inlay_model\": 1, \"states\": [[\"x\", \"y\"]]}",
		  "manifest's states names \"x\"" },
		{ "matte_sigmoid", "{\"inlay_model\": 1, \"channel\": 1}", "no output fits the manifest" },
		{ "matte_sigmoid", "{\"inlay_model\": 1, \"activation\": \"softmax\"}", "softmax" },
		{ "matte_recurrent", "{\"inlay_model\": 1, \"output\": \"fgr\"}", "no output is a matte" },
		{ "matte_recurrent", "{\"inlay_model\": 1, \"foreground\": \"pha\"}", "the foreground does not fit" },
		{ "matte_recurrent", "{\"inlay_model\": 1, \"states\": [[\"r1i\", \"fgr\"]]}", "does not fit fgr" },
		{ "matte_recurrent_free", "{\"inlay_model\": 1, \"inputs\": {\"downsample_ratio\": [1, 2]}}",
		  "gives 2 numbers for input downsample_ratio; expected float32 [1]" },
		{ "matte_uint8", "{\"inlay_model\": 1, \"mean\": 0.5}", "takes bytes as they are" },
		{ "matte_sigmoid", "{\"inlay_model\": 1, \"sauce\": 1}", "unknown key \"sauce\"" },
	};
	const char *path = test_scratch("bad.json");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct inlay_error err;
		struct il_matte_net *net = NULL;
		FILE *f = fopen(path, "w");
		fputs(cases[i].text, f);
		fclose(f);
		struct il_matte_net_params params = { .path = test_model(cases[i].model), .manifest_path = path };
		assert_fails(il_matte_net_open(&net, &params, &err), INLAY_ERR_FORMAT, cases[i].part);
		assert_null(net);
	}
	unlink(path);
	struct inlay_error err;
	struct il_matte_net *net = NULL;
	struct il_matte_net_params params = { .path = test_model("matte_sigmoid"), .manifest_path = path };
	assert_fails(il_matte_net_open(&net, &params, &err), INLAY_ERR_NOT_FOUND, "bad.json");
}

/* NAME.json beside NAME.onnx is taken by itself. */
static void a_manifest_beside_the_model_is_found(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_matte_net *net = NULL;
	const char *model = test_scratch("beside.onnx"), *manifest = test_scratch("beside.json");
	char real[1024];
	assert_non_null(realpath(test_model("matte_logit"), real));
	assert_int_equal(symlink(real, model), 0);
	FILE *f = fopen(manifest, "w");
	fputs("{\"inlay_model\": 1, \"activation\": \"sigmoid\", \"color\": \"bgr\"}", f);
	fclose(f);
	struct il_matte_net_params params = { .path = model };
	assert_ok(il_matte_net_open(&net, &params, &err));
	fill();
	assert_float_equal(run(net, NULL, IL_MATTE_RGB)[7], sigmoid(logit(7, 0, true)), 1e-5);
	assert_describes(net, "stated in ");
	assert_describes(net, "beside.json: color bgr, activation sigmoid; from the tensors: layout nchw");
	il_matte_net_destroy(&net);
	unlink(model);
	unlink(manifest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_stated_is_told_by_shapes_and_a_picture),
		cmocka_unit_test(a_manifest_decides),
		cmocka_unit_test(depth_is_left_as_it_is),
		cmocka_unit_test(a_picture_that_shows_nothing_settles_nothing),
		cmocka_unit_test(states_are_carried_by_streams),
		cmocka_unit_test(a_stream_belongs_to_its_network),
		cmocka_unit_test(free_sizes_are_chosen),
		cmocka_unit_test(models_outside_the_contract_are_refused),
		cmocka_unit_test(manifests_that_do_not_fit_are_refused),
		cmocka_unit_test(a_manifest_beside_the_model_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
