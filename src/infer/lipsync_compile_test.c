/* Compiled networks draw what the networks they come from draw. */
#include "infer/lipsync_compile.h"

#include <math.h>

#include "tests/test_models.h"

static struct inlay_error err;

#define HALF 2e-3  /* what float16 in the middle may do to a result of 0..1 */
#define ROUND 1e-5 /* what another order of sums may do */

static float *draw_original(const char *path, const float *picture, const float *audio)
{
	struct il_lipsync_net *net = NULL;
	assert_ok(il_lipsync_net_open(&net, &(struct il_lipsync_net_params){ .path = path }, &err));
	const struct il_lipsync_net_info *info = il_lipsync_net_info(net);
	memcpy(il_lipsync_net_picture(net, 0), picture, info->picture_floats * sizeof(float));
	memcpy(il_lipsync_net_audio(net, 0), audio, info->audio_floats * sizeof(float));
	assert_ok(il_lipsync_net_run(net, 1, &err));
	float *drawn = malloc(info->output_floats * sizeof *drawn);
	memcpy(drawn, il_lipsync_net_output(net, 0), info->output_floats * sizeof *drawn);
	il_lipsync_net_destroy(&net);
	return drawn;
}

/* What is computed beforehand, one tensor an output of `before`. */
static struct il_session *compute_before(const struct il_lipsync_compiled *compiled, const float *picture,
                                         struct il_tensor *hoisted)
{
	struct il_session *before = NULL;
	const int64_t size = compiled->info.size;
	const struct il_tensor in = { .element = IL_ONNX_FLOAT,
		                      .rank = 4,
		                      .dims = { 1, 6, size, size },
		                      .data = (void *)picture,
		                      .bytes = compiled->info.picture_floats * sizeof(float) };
	assert_ok(il_session_open_memory(&before, compiled->before, compiled->before_bytes, "before", NULL, &err));
	assert_int_equal(il_session_outputs(before), compiled->hoist.tensors);
	assert_ok(il_session_run_tensors(before, &in, hoisted, &err));
	return before;
}

/* Runs the compiled network and gives the largest difference to `expected`. */
static double difference(const struct il_lipsync_compiled *compiled, unsigned threads, const float *picture,
                         const float *audio, const float *expected)
{
	struct il_tensor hoisted[64];
	struct il_lipsync_net *net = NULL;
	struct il_session *before = compiled->before ? compute_before(compiled, picture, hoisted) : NULL;
	const struct il_lipsync_net_params params = {
		.path = "compiled",
		.data = compiled->network,
		.bytes = compiled->network_bytes,
		.weights = compiled->weights.data,
		.weight_count = compiled->weights.count,
		.threads = threads,
	};
	assert_ok(il_lipsync_net_open(&net, &params, &err));
	const struct il_lipsync_net_info *info = il_lipsync_net_info(net);
	assert_int_equal(info->hoisted, compiled->hoist.tensors);
	for (int i = 0; i < info->hoisted; i++) {
		size_t bytes;
		int output = il_session_find_output(before, il_lipsync_net_hoisted(net, i, &bytes));
		assert_true(output >= 0);
		assert_int_equal(bytes, hoisted[output].bytes);
		assert_ok(il_lipsync_net_set_hoisted(net, i, hoisted[output].data, &err));
	}
	if (info->picture_floats)
		memcpy(il_lipsync_net_picture(net, 0), picture, info->picture_floats * sizeof(float));
	memcpy(il_lipsync_net_audio(net, 0), audio, info->audio_floats * sizeof(float));
	assert_ok(il_lipsync_net_run(net, 1, &err));
	const size_t square = (size_t)info->size * (size_t)info->size;
	double most = 0;
	for (size_t i = 0; i < info->output_floats; i++) {
		double is = info->bytes ? (il_lipsync_net_bytes(net, 0)[i] + 0.5) / 255
		                        : (double)il_lipsync_net_output(net, 0)[i % 3 * square + i / 3];
		most = fmax(most, fabs(is - (double)expected[i % 3 * square + i / 3]) - (info->bytes ? 0.5 / 255 : 0));
	}
	for (int i = 0; before && i < il_session_outputs(before); i++)
		il_tensor_clear(&hoisted[i]);
	il_session_destroy(&before);
	il_lipsync_net_destroy(&net);
	return most;
}

static void compiled_networks_draw_the_same(void **state)
{
	(void)state;
	static const char *const names[] = { "unet_align", "unet_half",   "unet_odd",
		                             "unet_leaky", "lipsync_160", "formula" };
	static const uint64_t budgets[] = { 0, 20000, 1 << 26 };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *path = test_model(names[i]);
		struct il_lipsync_compiled compiled;
		const struct il_lipsync_compile_params look = { .path = path };
		assert_ok(il_lipsync_compile(&compiled, &look, &err));
		float *picture = malloc(compiled.info.picture_floats * sizeof(float));
		float *audio = malloc(compiled.info.audio_floats * sizeof(float));
		test_fill(picture, compiled.info.picture_floats);
		test_fill(audio, compiled.info.audio_floats);
		il_lipsync_compiled_clear(&compiled);
		float *expected = draw_original(path, picture, audio);
		for (int k = 0; k < 6; k++) {
			const struct il_lipsync_compile_params params = { .path = path,
				                                          .budget_bytes = budgets[k / 2],
				                                          .standard = k % 2 };
			assert_ok(il_lipsync_compile(&compiled, &params, &err));
			assert_true(compiled.hoist.bytes <= budgets[k / 2]);
			double off = difference(&compiled, 1 + k % 2, picture, audio, expected);
			double limit = compiled.before ? HALF : ROUND;
			if (off > limit)
				fail_msg("%s, %d: %g off; expected at most %g", names[i], k, off, limit);
			il_lipsync_compiled_clear(&compiled);
		}
		free(picture);
		free(audio);
		free(expected);
	}
}

/* What is stored saves work, and the more, the larger the budget. */
static void a_larger_budget_leaves_less_to_do(void **state)
{
	(void)state;
	struct il_lipsync_compiled compiled;
	double last = INFINITY, all = 0;
	for (uint64_t budget = 0; budget < 200000; budget += 8000) {
		const struct il_lipsync_compile_params params = { .path = test_model("unet_half"),
			                                          .budget_bytes = budget };
		assert_ok(il_lipsync_compile(&compiled, &params, &err));
		assert_true(compiled.hoist.bytes <= budget);
		assert_true(compiled.hoist.flops_after <= last);
		last = compiled.hoist.flops_after;
		all = compiled.hoist.flops_before;
		il_lipsync_compiled_clear(&compiled);
	}
	assert_true(last < 0.7 * all);
}

static void what_is_compiled_is_not_compiled_again(void **state)
{
	(void)state;
	struct il_lipsync_compiled compiled, again;
	const char *path = test_scratch("compiled.onnx");
	const struct il_lipsync_compile_params params = { .path = test_model("unet_align"),
		                                          .budget_bytes = 1 << 26,
		                                          .standard = true };
	assert_ok(il_lipsync_compile(&compiled, &params, &err));
	FILE *file = fopen(path, "wb");
	assert_int_equal(fwrite(compiled.network, 1, compiled.network_bytes, file), compiled.network_bytes);
	fclose(file);
	assert_fails(il_lipsync_compile(&again, &(struct il_lipsync_compile_params){ .path = path }, &err),
	             INLAY_ERR_INVALID, "compiled already");
	assert_fails(il_lipsync_compile(
			     &again, &(struct il_lipsync_compile_params){ .path = test_model("lipsync_batch4") }, &err),
	             INLAY_ERR_UNSUPPORTED, "4 frames at once");
	assert_int_equal(remove(path), 0);
	il_lipsync_compiled_clear(&compiled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compiled_networks_draw_the_same),
		cmocka_unit_test(a_larger_budget_leaves_less_to_do),
		cmocka_unit_test(what_is_compiled_is_not_compiled_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
