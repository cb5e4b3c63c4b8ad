#include "infer/passes.h"

#include "infer/pass_fold.h"
#include "tests/test_graph.h"

static struct inlay_error err;

/* What PyTorch writes for x + ones(like x's last dim) * 3, in ten nodes. */
static void clutter_becomes_a_constant(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	test_input(g, "x", "-1,4");
	test_node(g, "Shape", "shape", 1, "x");
	test_node(g, "Gather", "width", 2, "shape", test_int(g, 1));
	test_node(g, "Mul", "twice", 2, "width", test_int(g, 2));
	test_node(g, "Div", "once", 2, "twice", test_int(g, 2));
	test_node(g, "Unsqueeze", "list", 2, "once", test_ints(g, "0"));
	test_node(g, "ConstantOfShape", "zeros", 1, "list");
	test_node(g, "Exp", "ones", 1, "zeros");
	test_node(g, "Mul", "threes", 2, "ones", test_weights(g, "1", 3, 3));
	test_node(g, "Add", "y", 2, "x", "threes");
	test_output(g, "y");
	assert_ok(il_pass_shapes(g, NULL, &err));
	for (int i = 0; i < 6; i++) {
		test_pass(g, il_pass_fold, 0);
		assert_ok(il_pass_dead(g, NULL, &err));
		assert_ok(il_pass_shapes(g, NULL, &err));
	}
	assert_int_equal(il_graph_nodes(g), 1);
	const il_node *add = il_graph_node(g, 0);
	size_t n;
	const float *threes = il_graph_floats(g, add->input[1], &n);
	assert_int_equal(n, 4);
	for (size_t i = 0; i < n; i++)
		assert_true(threes[i] == 3);
	il_graph_destroy(&g);
}

/* The known entries of a Shape are constants, the batch is not. */
static void a_free_batch_stays(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	const char *zero = test_ints(g, "0"), *one = test_ints(g, "1");
	test_input(g, "x", "-1,4,3");
	test_node(g, "Shape", "shape", 1, "x");
	test_node(g, "Slice", "batch", 3, "shape", zero, one);
	test_node(g, "Slice", "rest", 3, "shape", one, test_ints(g, "3"));
	test_node(g, "ReduceProd", "all", 1, "rest");
	il_node *n = test_node(g, "Concat", "target", 2, "batch", "all");
	il_node_set_int(g, n, "axis", 0);
	test_node(g, "Reshape", "y", 2, "x", "target");
	test_output(g, "y");
	assert_ok(il_pass_shapes(g, NULL, &err));
	assert_int_equal(test_pass(g, il_pass_fold, 0), 1);
	assert_ok(il_pass_dead(g, NULL, &err));
	assert_int_equal(test_count(g, "ReduceProd"), 0);
	assert_int_equal(test_count(g, "Slice"), 1);
	assert_int_equal(test_count(g, "Shape"), 1);
	const struct il_diff_params params = { &(struct il_input_choice){ "x", 3, { 5, 4, 3 }, false, 0 }, 1, 1, 1, 1 };
	struct il_session *a = test_session(g, true), *b = test_session(g, false);
	assert_true(test_difference(a, b, &params) == 0);
	il_session_destroy(&a);
	il_session_destroy(&b);
	il_graph_destroy(&g);
}

static void what_is_not_folded(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	void *model;
	size_t size;
	il_node *n = test_node(g, "RandomNormal", "random", 0);
	test_list(g, n, "shape", "2");
	test_node(g, "ConstantOfShape", "large", 1, test_ints(g, "4096,4097"));
	test_node(g, "ReduceMean", "mean", 1, "large");
	test_node(g, "Exp", "output", 1, test_weights(g, "2", 0, 1));
	test_node(g, "Add", "y", 2, "random", "mean");
	test_output(g, "y");
	test_output(g, "output"); /* its name is the caller's */
	assert_ok(il_pass_shapes(g, NULL, &err));
	assert_ok(il_fold_model(g, &model, &size, &err));
	assert_null(model);
	unsigned changes = 0;
	assert_ok(il_pass_fold(g, &changes, &err));
	assert_int_equal(changes, 0);
	assert_int_equal(il_graph_nodes(g), 5);
	il_graph_destroy(&g);
}

/* Twelve outputs of 64 MB, of which eight may be computed. Only the small model is made, nothing is run. */
static void the_sum_is_bounded(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13), *small = NULL;
	const char *dims = test_ints(g, "4096,4096");
	void *model;
	size_t size;
	test_input(g, "x", "1");
	for (size_t i = 0; i < 12; i++) {
		static char names[12][2][16];
		for (int k = 0; k < 2; k++)
			snprintf(names[i][k], sizeof names[i][k], "v%zu_%d", i, k);
		test_node(g, "ConstantOfShape", names[i][0], 1, dims);
		test_node(g, "Add", names[i][1], 2, "x", names[i][0]);
		test_output(g, names[i][1]);
	}
	assert_ok(il_pass_shapes(g, NULL, &err));
	assert_ok(il_fold_model(g, &model, &size, &err));
	assert_ok(il_graph_parse(&small, model, size, "small", &err));
	assert_int_equal(il_graph_nodes(small), 8);
	il_graph_destroy(&small);
	free(model);
	g->folded = (size_t)480 << 20; /* by folds before: none is left room for */
	assert_ok(il_fold_model(g, &model, &size, &err));
	assert_null(model);
	il_graph_destroy(&g);
}

/* Softmax of whole numbers is none to the runtime: what does not need it is folded all the same. */
static void a_refused_node_stays_alone(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	unsigned changes = 0;
	test_input(g, "x", "2,2");
	const char *c = test_weights(g, "2,2", 1, 2);
	test_node(g, "Exp", "a", 1, c);
	test_node(g, "Softmax", "b", 1, test_ints(g, "1,2"));
	test_node(g, "Log", "d", 1, c);
	test_node(g, "Sum", "y", 4, "x", "a", "b", "d");
	test_output(g, "y");
	assert_ok(il_pass_shapes(g, NULL, &err));
	assert_ok(il_pass_fold(g, &changes, &err));
	assert_int_equal(changes, 2);
	assert_ok(il_pass_dead(g, NULL, &err));
	assert_int_equal(test_count(g, "Exp"), 0);
	assert_int_equal(test_count(g, "Log"), 0);
	assert_int_equal(il_graph_nodes(g), 2);
	il_graph_destroy(&g);
}

static void types_keep_their_bits(void **state)
{
	(void)state;
	static const int types[] = { IL_ONNX_FLOAT, IL_ONNX_UINT8, IL_ONNX_INT32,
		                     IL_ONNX_INT64, IL_ONNX_BOOL,  IL_ONNX_FLOAT16 };
	struct il_graph *g = test_graph(13);
	const char *c = test_weights(g, "3,1", 0, 200);
	test_input(g, "x", "1,2");
	for (size_t i = 0; i < 6; i++) {
		static char names[6][3][16];
		for (int k = 0; k < 3; k++)
			snprintf(names[i][k], sizeof names[i][k], "v%zu_%d", i, k);
		il_node_set_int(g, test_node(g, "Cast", names[i][0], 1, c), "to", types[i]);
		il_node_set_int(g, test_node(g, "Cast", names[i][1], 1, names[i][0]), "to", IL_ONNX_FLOAT);
		test_node(g, "Add", names[i][2], 2, "x", names[i][1]);
		test_output(g, names[i][2]);
	}
	assert_ok(il_pass_shapes(g, NULL, &err));
	test_pass(g, il_pass_fold, 0);
	assert_ok(il_pass_dead(g, NULL, &err));
	assert_int_equal(il_graph_nodes(g), 6);
	il_graph_destroy(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clutter_becomes_a_constant), cmocka_unit_test(a_free_batch_stays),
		cmocka_unit_test(what_is_not_folded),         cmocka_unit_test(a_refused_node_stays_alone),
		cmocka_unit_test(types_keep_their_bits),      cmocka_unit_test(the_sum_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
