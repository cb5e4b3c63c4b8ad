#include "infer/passes.h"

#include "tests/test_graph.h"

static struct inlay_error err;

static il_node *with_int(struct il_graph *g, il_node *node, const char *name, int64_t value)
{
	il_node_set_int(g, node, name, value);
	return node;
}

static il_node *with_list(struct il_graph *g, il_node *node, const char *name, const char *numbers)
{
	test_list(g, node, name, numbers);
	return node;
}

static void a_chain_of_them_goes(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	test_input(g, "x", "-1,3,4");
	test_node(g, "Relu", "0", 1, "x");
	test_node(g, "Identity", "1", 1, "0");
	test_node(g, "Dropout", "2", 1, "1");
	test_node(g, "Pad", "3", 2, "2", test_ints(g, "0,0,0,0,0,0"));
	with_int(g, test_node(g, "Cast", "4", 1, "3"), "to", IL_ONNX_FLOAT);
	test_node(g, "Reshape", "5", 2, "4", test_ints(g, "-1,3,4"));
	with_list(g, test_node(g, "Transpose", "6", 1, "5"), "perm", "0,1,2");
	test_node(g, "Slice", "7", 4, "6", test_ints(g, "0,-4"), test_ints(g, "2147483647,4"), test_ints(g, "0,2"));
	with_int(g, test_node(g, "Concat", "8", 1, "7"), "axis", 1);
	with_list(g, test_node(g, "Transpose", "9", 1, "8"), "perm", "1,2,0");
	with_list(g, test_node(g, "Transpose", "10", 1, "9"), "perm", "2,0,1");
	test_node(g, "Resize", "11", 3, "10", "", test_weights(g, "3", 1, 1));
	test_node(g, "Sigmoid", "y", 1, "11");
	test_output(g, "y");
	assert_ok(il_pass_shapes(g, NULL, &err));
	unsigned changes = test_pass(g, il_pass_noop, 0);
	assert_ok(il_pass_dead(g, NULL, &err));
	/* Resize of a free dim is not believed. */
	assert_int_equal(changes, 9);
	assert_int_equal(il_graph_nodes(g), 3);
	assert_int_equal(test_count(g, "Resize"), 1);
	il_graph_destroy(&g);
}

static void outputs_keep_their_names(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	test_input(g, "x", "2,3");
	test_node(g, "Relu", "a", 1, "x");
	test_node(g, "Identity", "y", 1, "a");
	test_node(g, "Sigmoid", "b", 1, "a");
	test_node(g, "Identity", "z", 1, "b");
	test_node(g, "Identity", "same", 1, "x"); /* nobody could give x another name */
	test_output(g, "y");
	test_output(g, "z");
	test_output(g, "b");
	test_output(g, "same");
	assert_int_equal(test_pass(g, il_pass_noop, 0), 1);
	assert_int_equal(test_count(g, "Identity"), 2);
	assert_true(il_node_is(il_graph_producer(g, "y"), "Relu"));
	assert_true(il_graph_is_output(g, "y") && il_graph_is_output(g, "z") && il_graph_is_output(g, "same"));
	il_graph_destroy(&g);
}

static void near_misses_stay(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	unsigned changes = 0;
	test_input(g, "x", "2,4,4");
	test_node(g, "Pad", "a", 2, "x", test_ints(g, "0,0,0,0,0,1"));
	test_node(g, "Slice", "b", 5, "x", test_ints(g, "-1"), test_ints(g, "-9"), test_ints(g, "1"),
	          test_ints(g, "-1"));                                         /* the same shape, the other way round */
	with_list(g, test_node(g, "Transpose", "c", 1, "x"), "perm", "0,2,1"); /* the same shape, turned */
	with_list(g, test_node(g, "Transpose", "d", 1, "c"), "perm", "2,1,0");
	test_node(g, "Reshape", "e", 2, "x", test_ints(g, "4,2,4"));
	test_node(g, "Resize", "f", 3, "x", "", test_weights(g, "3", 1.1f, 1.1f)); /* 4 * 1.1 is 4 again */
	static const char *const names[] = { "a", "b", "c", "d", "e", "f" };
	for (size_t i = 0; i < 6; i++)
		test_output(g, names[i]);
	assert_ok(il_pass_shapes(g, NULL, &err));
	assert_ok(il_pass_noop(g, &changes, &err));
	assert_int_equal(changes, 0);
	assert_int_equal(il_graph_nodes(g), 6);
	il_graph_destroy(&g);
}

/* ---- il_pass_dead, which has little of its own ---- */

static void the_dead_go(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	unsigned changes = 0;
	test_input(g, "x", "2,3");
	test_node(g, "Relu", "a", 1, "x");
	test_node(g, "Add", "b", 2, "a", test_weights(g, "3", 0, 1));
	test_node(g, "Exp", "c", 1, "b");
	test_node(g, "Sigmoid", "y", 1, "a");
	test_output(g, "y");
	assert_ok(il_pass_dead(g, &changes, &err));
	assert_int_equal(changes, 3); /* two nodes and the weights */
	assert_int_equal(il_graph_nodes(g), 2);
	assert_int_equal(il_graph_model(g)->graph->n_initializer, 0);
	assert_true(il_graph_is_input(g, "x"));
	il_graph_destroy(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_of_them_goes),
		cmocka_unit_test(outputs_keep_their_names),
		cmocka_unit_test(near_misses_stay),
		cmocka_unit_test(the_dead_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
