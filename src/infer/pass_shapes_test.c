#include "infer/passes.h"

#include "infer/optimize.h"
#include "infer/shapes.h"
#include "tests/test_graph.h"

struct count {
	int values, known; /* of tensors that the run made */
};

/* What the pass claims of a value is what a run gave. */
static void check_claim(struct il_graph *graph, const char *name, const struct il_tensor *found, struct count *count)
{
	const struct il_shape *claim = il_graph_shape(graph, name);
	bool whole = claim->rank >= 0;
	if (!found->element)
		return;
	if (claim->type && claim->type != found->element)
		fail_msg("%s: %s: type %d, a run gave %d", il_graph_name(graph), name, claim->type, found->element);
	if (claim->rank >= 0 && claim->rank != found->rank)
		fail_msg("%s: %s: rank %d, a run gave %d", il_graph_name(graph), name, claim->rank, found->rank);
	for (int i = 0; i < claim->rank; i++) {
		whole &= claim->dims[i] >= 0;
		if (claim->dims[i] >= 0 && claim->dims[i] != found->dims[i])
			fail_msg("%s: %s: dim %d is %lld, a run gave %lld", il_graph_name(graph), name, i,
			         (long long)claim->dims[i], (long long)found->dims[i]);
	}
	count->values++;
	count->known += whole;
}

/* Asks a run on zeros for every value that a node makes. */
static struct count compare(struct il_graph *graph, const struct il_input_choice *choices, size_t n_choices)
{
	struct inlay_error err;
	struct il_graph *probed = NULL;
	struct count count = { 0 };
	struct il_tensor *in;
	assert_ok(il_graph_copy(&probed, graph, &err));
	for (size_t i = 0; i < il_graph_nodes(probed); i++) {
		const il_node *node = il_graph_node(probed, i);
		for (size_t k = 0; k < node->n_output; k++)
			if (*node->output[k] && !il_graph_is_output(probed, node->output[k]))
				test_output(probed, node->output[k]);
	}
	struct il_session *session = test_session(probed, true);
	const Onnx__GraphProto *g = il_graph_model(probed)->graph;
	struct il_tensor *out = calloc(g->n_output + 1, sizeof *out);
	assert_ok(il_session_make_inputs(session, choices, n_choices, &in, &err));
	il_session_fill_inputs(session, choices, n_choices, in, 1, NULL);
	assert_ok(il_session_run_tensors(session, in, out, &err));
	for (size_t i = 0; i < g->n_output; i++) {
		check_claim(graph, g->output[i]->name, &out[i], &count);
		il_tensor_clear(&out[i]);
	}
	free(out);
	il_session_clear_inputs(session, &in);
	il_session_destroy(&session);
	il_graph_destroy(&probed);
	return count;
}

/* ---- operator by operator ---- */

/* A graph that the pass knows all of. */
static void all_known(struct il_graph *graph)
{
	struct inlay_error err;
	assert_ok(il_graph_learn_shapes(graph, &err));
	struct count count = compare(graph, NULL, 0);
	assert_true(count.values > 0);
	assert_int_equal(count.known, count.values);
	il_graph_destroy(&graph);
}

static void windows(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	il_node *n;
	test_input(g, "x", "2,4,13,17");
	n = test_node(g, "Conv", "conv", 2, "x", test_weights(g, "6,2,3,2", -1, 1));
	il_node_set_int(g, n, "group", 2);
	test_list(g, n, "strides", "2,3");
	test_list(g, n, "pads", "1,0,2,1");
	test_list(g, n, "dilations", "2,1");
	n = test_node(g, "Conv", "same", 2, "x", test_weights(g, "3,4,5,5", -1, 1));
	il_node_set_word(g, n, "auto_pad", "SAME_UPPER");
	test_list(g, n, "strides", "2,2");
	n = test_node(g, "Conv", "valid", 2, "x", test_weights(g, "3,4,5,5", -1, 1));
	il_node_set_word(g, n, "auto_pad", "VALID");
	n = test_node(g, "ConvTranspose", "up", 2, "x", test_weights(g, "4,3,3,3", -1, 1));
	il_node_set_int(g, n, "group", 2);
	test_list(g, n, "strides", "2,3");
	test_list(g, n, "pads", "1,0,1,1");
	test_list(g, n, "output_padding", "1,0");
	n = test_node(g, "MaxPool", "max", 1, "x");
	test_list(g, n, "kernel_shape", "3,3");
	test_list(g, n, "strides", "2,2");
	il_node_set_int(g, n, "ceil_mode", 1);
	n = test_node(g, "AveragePool", "average", 1, "x");
	test_list(g, n, "kernel_shape", "2,2");
	test_list(g, n, "strides", "2,2");
	test_list(g, n, "pads", "0,1,0,1");
	test_node(g, "GlobalAveragePool", "global", 1, "x");
	n = test_node(g, "DepthToSpace", "space", 1, "x");
	il_node_set_int(g, n, "blocksize", 2);
	n = test_node(g, "SpaceToDepth", "depth", 1, "space");
	il_node_set_int(g, n, "blocksize", 2);
	test_node(g, "Resize", "wide", 3, "x", "", test_weights(g, "4", 1.37f, 1.37f));
	test_node(g, "Resize", "sized", 4, "x", "", "", test_ints(g, "2,4,20,9"));
	all_known(g);
}

static void moves(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	static const char *const parts[] = { "part0", "part1", "part2" };
	const char *split[2] = { "x", test_ints(g, "1,0,4") };
	il_node *n;
	test_input(g, "x", "2,3,5");
	test_node(g, "Reshape", "copied", 2, "x", test_ints(g, "0,-1,1"));
	test_node(g, "Reshape", "flat", 2, "x", test_ints(g, "-1"));
	n = test_node(g, "Flatten", "flatten", 1, "x");
	il_node_set_int(g, n, "axis", -1);
	n = test_node(g, "Flatten", "all", 1, "x");
	il_node_set_int(g, n, "axis", 3);
	test_node(g, "Unsqueeze", "more", 2, "x", test_ints(g, "0,-1"));
	test_node(g, "Squeeze", "less", 1, "more");
	test_node(g, "Squeeze", "one", 2, "more", test_ints(g, "-1"));
	test_node(g, "Transpose", "turned", 1, "x");
	n = test_node(g, "Transpose", "other", 1, "x");
	test_list(g, n, "perm", "1,0,2");
	n = test_node(g, "Concat", "longer", 2, "x", "x");
	il_node_set_int(g, n, "axis", -2);
	test_node(g, "Slice", "back", 5, "x", test_ints(g, "-1,1"), test_ints(g, "-9,100"), test_ints(g, "2,-2"),
	          test_ints(g, "-2,1"));
	test_node(g, "Slice", "none", 3, "x", test_ints(g, "2"), test_ints(g, "1"));
	n = il_graph_add(g, "", "Split", split, 2, parts, 3);
	il_node_set_int(g, n, "axis", 2);
	n = test_node(g, "Gather", "gathered", 2, "x", test_ints(g, "0,1,-1,0"));
	il_node_set_int(g, n, "axis", 1);
	n = test_node(g, "Gather", "picked", 2, "x", test_int(g, 1));
	il_node_set_int(g, n, "axis", -1);
	test_node(g, "Pad", "padded", 2, "x", test_ints(g, "0,1,2,0,0,-1"));
	test_node(g, "Expand", "wider", 2, "x", test_ints(g, "4,1,1,5"));
	test_node(g, "Tile", "tiled", 2, "x", test_ints(g, "1,2,3"));
	all_known(g);
}

static void sums(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	static const char *const top[] = { "values", "indices" };
	const char *top_in[2] = { "x", test_ints(g, "2") };
	il_node *n;
	test_input(g, "x", "2,3,5");
	test_input(g, "m", "7,1,5,4");
	test_input(g, "v", "5");
	test_node(g, "MatMul", "product", 2, "x", "m");
	test_node(g, "MatMul", "vector", 2, "x", "v");
	test_node(g, "MatMul", "number", 2, "v", "v");
	test_node(g, "Reshape", "a", 2, "x", test_ints(g, "5,6"));
	n = test_node(g, "Gemm", "gemm", 2, "a", "a");
	il_node_set_int(g, n, "transA", 1);
	n = test_node(g, "Gemm", "mirrored", 2, "a", "a");
	il_node_set_int(g, n, "transB", 1);
	test_node(g, "ReduceSum", "sum", 2, "x", test_ints(g, "-1,0"));
	n = test_node(g, "ReduceMean", "mean", 1, "x");
	test_list(g, n, "axes", "1");
	il_node_set_int(g, n, "keepdims", 0);
	test_node(g, "ReduceMax", "max", 1, "x");
	n = test_node(g, "ArgMax", "most", 1, "x");
	il_node_set_int(g, n, "axis", 2);
	il_graph_add(g, "", "TopK", top_in, 2, top, 2);
	test_node(g, "Greater", "greater", 2, "x", "v");
	test_node(g, "Where", "where", 3, "greater", "x", "v");
	n = test_node(g, "Cast", "cast", 1, "greater");
	il_node_set_int(g, n, "to", IL_ONNX_INT32);
	test_node(g, "Size", "size", 1, "x");
	test_node(g, "Range", "range", 3, test_int(g, 9), test_int(g, -4), test_int(g, -3));
	all_known(g);
}

static void recurrences(void **state)
{
	(void)state;
	static const struct {
		const char *op_type, *weights, *state_weights;
	} kinds[] = { { "LSTM", "2,12,4", "2,12,3" }, { "GRU", "2,9,4", "2,9,3" }, { "RNN", "2,3,4", "2,3,3" } };
	for (size_t i = 0; i < 3; i++) {
		struct il_graph *g = test_graph(13);
		static const char *const out[] = { "all", "last" };
		const char *in[3] = { "x", test_weights(g, kinds[i].weights, -1, 1),
			              test_weights(g, kinds[i].state_weights, -1, 1) };
		test_input(g, "x", "7,2,4");
		il_node *n = il_graph_add(g, "", kinds[i].op_type, in, 3, out, 2);
		il_node_set_int(g, n, "hidden_size", 3);
		il_node_set_word(g, n, "direction", "bidirectional");
		all_known(g);
	}
}

/* Axes and the like were attributes; the last versions of Resize and Split have more of them. */
static void older_and_newer(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(9);
	static const char *const halves[] = { "h0", "h1" }, *const chunks[] = { "c0", "c1", "c2" };
	const char *x = "x";
	il_node *n;
	test_input(g, "x", "2,6,4");
	n = test_node(g, "Slice", "cut", 1, "x");
	test_list(g, n, "starts", "1,-3");
	test_list(g, n, "ends", "9,-1");
	test_list(g, n, "axes", "1,2");
	n = test_node(g, "Unsqueeze", "more", 1, "x");
	test_list(g, n, "axes", "1");
	n = test_node(g, "Squeeze", "less", 1, "more");
	test_list(g, n, "axes", "1");
	n = test_node(g, "Pad", "padded", 1, "x");
	test_list(g, n, "pads", "0,0,1,0,0,2");
	n = il_graph_add(g, "", "Split", &x, 1, halves, 2);
	il_node_set_int(g, n, "axis", 1);
	test_node(g, "Upsample", "up", 2, "x", test_weights(g, "3", 2, 2));
	all_known(g);

	g = test_graph(18);
	test_input(g, "x", "2,7,4");
	n = il_graph_add(g, "", "Split", &x, 1, chunks, 3);
	il_node_set_int(g, n, "axis", 1);
	il_node_set_int(g, n, "num_outputs", 3);
	n = test_node(g, "Resize", "up", 4, "x", "", "", test_ints(g, "9"));
	test_list(g, n, "axes", "1");
	test_node(g, "ReduceMean", "mean", 2, "x", test_ints(g, "1"));
	test_node(g, "Pad", "padded", 4, "x", test_ints(g, "1,2"), "", test_ints(g, "-2"));
	n = test_node(g, "Shape", "shape", 1, "x");
	il_node_set_int(g, n, "start", 1);
	test_node(g, "ConstantOfShape", "filled", 1, "shape");
	all_known(g);
}

/* The batch is free, and stays so through what exporters make of it. */
static void free_batch(void **state)
{
	(void)state;
	struct inlay_error err;
	struct il_graph *g = test_graph(13);
	const struct il_input_choice three = { "x", 4, { 3, 4, 5, 6 }, false, 0 };
	test_input(g, "x", "-1,4,5,6");
	test_node(g, "Shape", "shape", 1, "x");
	test_node(g, "Gather", "batch", 2, "shape", test_int(g, 0));
	test_node(g, "Unsqueeze", "list", 2, "batch", test_ints(g, "0"));
	il_node *n = test_node(g, "Concat", "target", 2, "list", test_ints(g, "20,6"));
	il_node_set_int(g, n, "axis", 0);
	test_node(g, "Reshape", "rows", 2, "x", "target");
	test_node(g, "Reshape", "left", 2, "x", test_ints(g, "-1,120"));
	assert_ok(il_pass_shapes(g, NULL, &err));
	const struct il_shape *rows = il_graph_shape(g, "rows");
	assert_int_equal(rows->rank, 3);
	assert_int_equal(rows->dims[0], -1);
	assert_int_equal(rows->dims[1], 20);
	assert_int_equal(rows->dims[2], 6);
	assert_int_equal(il_graph_shape(g, "left")->dims[0], -1);
	compare(g, &three, 1);
	il_graph_destroy(&g);
}

/* ---- real models ---- */

/* The file's own infos would do the pass's work. Percent: how much it knows at least. */
static void check_model(const char *name, bool fixed, const struct il_input_choice *choices, size_t n_choices,
                        int percent)
{
	struct inlay_error err;
	struct il_graph *graph = NULL;
	const char *path = test_data(name);
	assert_ok(il_graph_read(&graph, path, &err));
	il_graph_forget_shapes(graph);
	if (fixed) {
		il_graph_freeze(graph);
		assert_ok(il_graph_fix_batch(graph, &err));
	}
	assert_ok(il_graph_learn_shapes(graph, &err));
	struct count count = compare(graph, choices, n_choices);
	if (100 * count.known < percent * count.values)
		fail_msg("%s: %d of %d values known", name, count.known, count.values);
	il_graph_destroy(&graph);
}

static void real_models(void **state)
{
	(void)state;
	static const char *const names[] = {
		"audio/dtln_model_1",
		"enhance/sci_512x512",
		"enhance/uretinex_net_180x320",
		"enhance/zero_dce_180x320",
		"face/pfld_68",
		"face/openseeface_mnv3_detection_fusedconv",
		"face/scrfd_2.5g_kps",
		"face/yunet_n_320",
		"matting/SINet_Softmax_simple",
		"matting/SINet_logits",
		"matting/mediapipe_segm_144x256",
		"matting/selfie_alphas_256_nchw",
		"matting/selfie_alphas_256_nchw_int8dyn",
		"matting/selfie_segmentation_256",
		"matting/tcmonodepth_192x320",
		"matting/rvm_mobilenetv3_192x320_dq",
		"matting/rvm_mobilenetv3_720p_ds025_dq",
		"face/mediapipe_face_detection_short_128",
		"enhance/semantic_guided_llie_180x324",
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char name[128];
		snprintf(name, sizeof name, "models/%s.onnx", names[i]);
		check_model(name, true, NULL, 0, 99);
	}
}

static void real_models_of_free_dims(void **state)
{
	(void)state;
	const struct il_input_choice face = { "input", 4, { 2, 3, 112, 112 }, false, 0 };
	const struct il_input_choice selfie = { "pixel_values", 4, { 2, 3, 256, 256 }, false, 0 };
	const struct il_input_choice voice[] = { { "input", 2, { 2, 576 }, false, 0 },
		                                 { "state", 3, { 2, 2, 128 }, false, 0 },
		                                 { "sr", 0, { 0 }, true, 16000 } };
	check_model("models/face/pfld_68.onnx", false, &face, 1, 0);
	check_model("models/matting/selfie_alphas_256_nchw.onnx", false, &selfie, 1, 0);
	check_model("models/audio/silero_vad_16k_op15.onnx", false, voice, 3, 40);
}

/* By Python: len(range(dim)[start:end:step]). */
static void lengths_of_slices(void **state)
{
	(void)state;
	static const int64_t cases[][5] = {
		{ 0, -1, -9, -1, 0 }, { 0, 0, 9, 1, 0 },         { 5, -1, -9, -1, 5 }, { 5, -1, -9, -2, 3 },
		{ 5, 4, 1, -1, 3 },   { 5, 1, INT64_MAX, 2, 2 }, { 5, 0, 5, 100, 1 },  { 5, 4, INT64_MIN + 1, -100, 1 },
		{ 5, 9, 9, 1, 0 },    { 1, -1, -9, -1, 1 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(il_slice_length(cases[i][0], cases[i][1], cases[i][2], cases[i][3]), cases[i][4]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths_of_slices),
		cmocka_unit_test(windows),
		cmocka_unit_test(moves),
		cmocka_unit_test(sums),
		cmocka_unit_test(recurrences),
		cmocka_unit_test(older_and_newer),
		cmocka_unit_test(free_batch),
		cmocka_unit_test(real_models),
		cmocka_unit_test(real_models_of_free_dims),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
