/* Passes that use that convolutions are linear: split, commute, merge; and fusing, which builds on them. */
#include "infer/fuse.h"
#include "infer/passes.h"

#include "tests/test_graph.h"

static struct inlay_error err;

static const char *floats(struct il_graph *g, float a, float b)
{
	const int64_t n = 4;
	void *data;
	const char *name = il_graph_add_constant(g, "scales", IL_ONNX_FLOAT, 1, &n, &data);
	memcpy(data, (const float[]){ 1, 1, a, b }, 4 * sizeof(float));
	return name;
}

/* x enlarged by that much, with no other word on how. */
static il_node *enlarge(struct il_graph *g, const char *in, const char *out, float high, float wide, const char *mode)
{
	il_node *n = test_node(g, "Resize", out, 3, in, "", floats(g, high, wide));
	il_node_set_word(g, n, "mode", "linear");
	if (mode)
		il_node_set_word(g, n, "coordinate_transformation_mode", mode);
	return n;
}

static void shapes(struct il_graph *g)
{
	assert_ok(il_pass_shapes(g, NULL, &err));
}

/* ---- split ---- */

static void concatenations_come_apart(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	test_input(g, "x", "1,3,4,5");
	test_input(g, "s", "1,2,8,10");
	test_input(g, "t", "1,1,8,10");
	enlarge(g, "x", "u", 2, 2, "align_corners");
	il_node_set_int(g, test_node(g, "Concat", "c", 3, "u", "s", "t"), "axis", 1);
	test_node(g, "Conv", "y", 3, "c", test_weights(g, "7,6,1,1", -1, 1), test_weights(g, "7", -1, 1));
	test_output(g, "y");
	shapes(g);
	assert_int_equal(test_pass(g, il_pass_split, 1e-5), 1);
	assert_int_equal(test_count(g, "Conv"), 3);
	assert_int_equal(test_count(g, "Add"), 2);
	assert_int_equal(test_pass(g, il_pass_commute, 1e-5), 1);
	assert_ok(il_pass_dead(g, NULL, &err));
	assert_int_equal(test_count(g, "Concat"), 0);
	assert_true(il_node_is(il_graph_producer(g, il_graph_producer(g, "y")->input[0]), "Add"));
	il_graph_destroy(&g);
}

/* A group, another axis, and nothing to gain. */
static void some_stay_together(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	test_input(g, "x", "1,4,4,4");
	test_input(g, "s", "1,4,4,4");
	il_node_set_int(g, test_node(g, "Concat", "c", 2, "x", "s"), "axis", 1);
	il_node_set_int(g, test_node(g, "Conv", "a", 2, "c", test_weights(g, "8,4,1,1", -1, 1)), "group", 2);
	il_node_set_int(g, test_node(g, "Concat", "d", 2, "x", "s"), "axis", 2);
	test_node(g, "Conv", "b", 2, "d", test_weights(g, "3,4,1,1", -1, 1));
	test_node(g, "Conv", "e", 2, "c", test_weights(g, "3,8,1,1", -1, 1));
	test_output(g, "a");
	test_output(g, "b");
	test_output(g, "e");
	shapes(g);
	assert_int_equal(test_pass(g, il_pass_split, 0), 0);
	il_graph_destroy(&g);
}

/* ---- commute ---- */

static void enlarging_comes_last(void **state)
{
	(void)state;
	static const char *const modes[] = { "align_corners", "half_pixel", "pytorch_half_pixel", "asymmetric", NULL };
	for (int i = 0; i < 5; i++) {
		struct il_graph *g = test_graph(13);
		test_input(g, "x", "1,5,3,4");
		enlarge(g, "x", "u", 3, 1.5f, modes[i]);
		test_node(g, "Conv", "y", 3, "u", test_weights(g, "4,5,1,1", -1, 1), test_weights(g, "4", -1, 1));
		test_output(g, "y");
		shapes(g);
		assert_int_equal(test_pass(g, il_pass_commute, 1e-5), 1);
		assert_true(il_node_is(il_graph_producer(g, "y"), "Resize"));
		il_graph_destroy(&g);
	}
}

static void some_do_not_commute(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	test_input(g, "x", "1,5,4,4");
	enlarge(g, "x", "smaller", 0.5f, 0.5f, NULL);
	test_node(g, "Conv", "a", 2, "smaller", test_weights(g, "4,5,1,1", -1, 1));
	il_node_set_word(g, enlarge(g, "x", "near", 2, 2, NULL), "mode", "nearest");
	test_node(g, "Conv", "b", 2, "near", test_weights(g, "4,5,1,1", -1, 1));
	il_node_set_word(g, enlarge(g, "x", "cube", 2, 2, NULL), "mode", "cubic");
	test_node(g, "Conv", "c", 2, "cube", test_weights(g, "4,5,1,1", -1, 1));
	enlarge(g, "x", "u", 2, 2, NULL);
	test_node(g, "Conv", "d", 2, "u", test_weights(g, "4,5,3,3", -1, 1));
	test_output(g, "a");
	test_output(g, "b");
	test_output(g, "c");
	test_output(g, "d");
	shapes(g);
	assert_int_equal(test_pass(g, il_pass_commute, 0), 0);
	il_graph_destroy(&g);
}

/* ---- merge ---- */

static void one_reads_past_another(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	test_input(g, "x", "1,3,4,4");
	test_node(g, "Conv", "wide", 3, "x", test_weights(g, "9,3,1,1", -1, 1), test_weights(g, "9", -1, 1));
	test_node(g, "Conv", "a", 3, "wide", test_weights(g, "5,9,1,1", -1, 1), test_weights(g, "5", -1, 1));
	test_node(g, "Conv", "b", 2, "wide", test_weights(g, "2,9,1,1", -1, 1));
	test_node(g, "Conv", "c", 2, "a", test_weights(g, "4,5,1,1", -1, 1));
	test_output(g, "b");
	test_output(g, "c");
	assert_int_equal(test_pass(g, il_pass_merge, 1e-5), 3);
	assert_string_equal(il_graph_producer(g, "c")->input[0], "x");
	il_graph_destroy(&g);
	/* Nothing to gain, and something between. */
	g = test_graph(13);
	test_input(g, "x", "1,9,4,4");
	test_node(g, "Conv", "narrow", 2, "x", test_weights(g, "3,9,1,1", -1, 1));
	test_node(g, "Conv", "wide", 2, "narrow", test_weights(g, "9,3,1,1", -1, 1));
	test_node(g, "Relu", "r", 1, "wide");
	test_node(g, "Conv", "y", 2, "r", test_weights(g, "9,9,1,1", -1, 1));
	test_output(g, "y");
	assert_int_equal(test_pass(g, il_pass_merge, 0), 0);
	il_graph_destroy(&g);
}

/* ---- fuse ---- */

/* relu(1x1(x) enlarged + 1x1(s)), depthwise, relu, 1x1. */
static struct il_graph *block(float high, float wide, const char *mode, const char *s_dims, int64_t opset)
{
	struct il_graph *g = test_graph(opset);
	test_input(g, "x", "1,4,5,6");
	test_input(g, "s", s_dims);
	test_node(g, "Conv", "low", 2, "x", test_weights(g, "7,4,1,1", -1, 1));
	enlarge(g, "low", "u", high, wide, mode);
	test_node(g, "Conv", "k", 3, "s", test_weights(g, "7,3,1,1", -1, 1), test_weights(g, "7", -1, 1));
	test_node(g, "Add", "m", 2, "u", "k");
	test_node(g, "Relu", "r", 1, "m");
	il_node *n = test_node(g, "Conv", "d", 2, "r", test_weights(g, "7,1,3,3", -1, 1));
	il_node_set_int(g, n, "group", 7);
	test_list(g, n, "pads", "1,1,1,1");
	test_node(g, "Relu", "q", 1, "d");
	test_node(g, "Conv", "y", 2, "q", test_weights(g, "2,7,1,1", -1, 1));
	test_output(g, "y");
	return g;
}

/* Runs a graph before and after fusing it; the largest difference. */
static double fuse(struct il_graph *g, unsigned *blocks)
{
	const struct il_diff_params diff = { .runs = 2, .seed = 3, .scale = 1 };
	struct il_session *before = test_session(g, true), *after = NULL;
	struct il_weights weights = { 0 };
	struct il_fuse_stats stats;
	void *data;
	size_t size;
	shapes(g);
	assert_ok(il_graph_fuse(g, &weights, &stats, &err));
	assert_ok(il_graph_pack(g, &data, &size, &err));
	const struct il_session_params params = { .weights = weights.data, .weight_count = weights.count };
	assert_ok(il_session_open_memory(&after, data, size, "fused", &params, &err));
	double apart = test_difference(before, after, &diff);
	*blocks = stats.blocks;
	il_session_destroy(&before);
	il_session_destroy(&after);
	il_weights_clear(&weights);
	free(data);
	return apart;
}

/* Where the named scale is not the ratio of the sizes, the runtime maps pixels by the scale. */
static void blocks_resize_as_the_runtime_does(void **state)
{
	(void)state;
	static const struct {
		float high, wide;
		const char *mode, *s_dims;
		unsigned blocks;
	} cases[] = {
		{ 2, 3, "align_corners", "1,3,10,18", 1 },
		{ 1.5f, 1.25f, "align_corners", "1,3,7,7", 1 },
		{ 2, 3, "half_pixel", "1,3,10,18", 1 },
		{ 1.5f, 2, "half_pixel", "1,3,7,12", 0 },
		{ 2, 2, NULL, "1,3,10,12", 1 },
		{ 2, 2, "asymmetric", "1,3,10,12", 0 },
		{ 2, 2, "pytorch_half_pixel", "1,3,10,12", 0 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct il_graph *g = block(cases[i].high, cases[i].wide, cases[i].mode, cases[i].s_dims, 13);
		unsigned blocks;
		double apart = fuse(g, &blocks);
		if (apart > 1e-5 || blocks != cases[i].blocks)
			fail_msg("case %zu: %u blocks, %g apart", i, blocks, apart);
		il_graph_destroy(&g);
	}
}

/* Files may say anything: a convolution that contradicts itself stays as it is, and its result is one like others. */
static void what_contradicts_itself_is_not_fused(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct il_graph *g = block(2, 2, "half_pixel", "1,3,10,12", 13);
		struct il_weights weights = { 0 };
		struct il_fuse_stats stats;
		il_node *k = il_graph_producer(g, "k"), *d = il_graph_producer(g, "d");
		shapes(g);
		if (i == 0)
			il_graph_set_input(g, k, 2, test_weights(g, "3", -1, 1));
		else if (i == 1)
			il_graph_set_input(g, k, 1, test_weights(g, "9,3,1,1", -1, 1));
		else if (i == 2)
			il_graph_set_input(g, d, 2, test_weights(g, "70", -1, 1));
		else
			il_graph_set_input(g, il_graph_producer(g, "y"), 1, test_weights(g, "2,8,1,1", -1, 1));
		assert_ok(il_graph_fuse(g, &weights, &stats, &err));
		assert_int_equal(stats.blocks, i != 2);
		if (i < 2)
			assert_non_null(il_graph_producer(g, "k"));
		else
			assert_true(il_node_is(il_graph_producer(g, "y"), "Conv"));
		il_weights_clear(&weights);
		il_graph_destroy(&g);
	}
	/* A chain longer than any stack. */
	struct il_graph *g = block(2, 2, "half_pixel", "1,3,10,12", 13);
	struct il_weights weights = { 0 };
	struct il_fuse_stats stats;
	const char *sum = "u";
	for (int i = 0; i < 2000; i++) {
		const char *next = il_graph_fresh(g, "sum");
		test_node(g, "Add", next, 2, sum, "s7");
		sum = next;
	}
	test_input(g, "s7", "1,7,10,12");
	il_graph_set_input(g, il_graph_producer(g, "m"), 0, sum);
	shapes(g);
	assert_ok(il_graph_fuse(g, &weights, &stats, &err));
	assert_int_equal(stats.blocks, 0);
	assert_fails(
		il_graph_fuse((il_graph_add(g, IL_FUSED_DOMAIN, "Head", NULL, 0, NULL, 0), g), &weights, &stats, &err),
		INLAY_ERR_INVALID, "fused operators already");
	il_weights_clear(&weights);
	il_graph_destroy(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(concatenations_come_apart),
		cmocka_unit_test(some_stay_together),
		cmocka_unit_test(enlarging_comes_last),
		cmocka_unit_test(some_do_not_commute),
		cmocka_unit_test(one_reads_past_another),
		cmocka_unit_test(blocks_resize_as_the_runtime_does),
		cmocka_unit_test(what_contradicts_itself_is_not_fused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
