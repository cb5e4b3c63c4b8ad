#include "infer/passes.h"

#include "tests/test_graph.h"

static struct inlay_error err;

static il_node *norm(struct il_graph *g, const char *in, const char *out, const char *channels)
{
	return test_node(g, "BatchNormalization", out, 5, in, test_weights(g, channels, -2, 2),
	                 test_weights(g, channels, -1, 1), test_weights(g, channels, -1, 1),
	                 test_weights(g, channels, 0.1f, 3));
}

static void goes_into_convolutions(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	test_input(g, "x", "2,4,6,5");
	il_node *n = test_node(g, "Conv", "c", 3, "x", test_weights(g, "6,2,3,3", -1, 1), test_weights(g, "6", -1, 1));
	il_node_set_int(g, n, "group", 2);
	il_node_set_float(g, norm(g, "c", "d", "6"), "epsilon", 0.25f);
	test_node(g, "Conv", "e", 2, "d", test_weights(g, "3,6,1,1", -1, 1));
	norm(g, "e", "y", "3");
	test_output(g, "y");
	assert_int_equal(test_pass(g, il_pass_batchnorm, 1e-5), 2);
	assert_int_equal(il_graph_nodes(g), 2);
	il_graph_destroy(&g);
}

static void goes_into_transposed_ones(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	test_input(g, "x", "1,6,3,4");
	il_node *n = test_node(g, "ConvTranspose", "c", 2, "x", test_weights(g, "6,2,3,2", -1, 1));
	il_node_set_int(g, n, "group", 3);
	test_list(g, n, "strides", "2,2");
	norm(g, "c", "y", "6");
	test_output(g, "y");
	assert_int_equal(test_pass(g, il_pass_batchnorm, 1e-5), 1);
	assert_int_equal(il_graph_nodes(g), 1);
	il_graph_destroy(&g);
}

/* Another reader of the weights keeps its own. */
static void shared_weights_stay(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	const char *weights = test_weights(g, "4,4,1,1", -1, 1);
	test_input(g, "x", "1,4,3,3");
	test_node(g, "Conv", "a", 2, "x", weights);
	norm(g, "a", "b", "4");
	test_node(g, "Conv", "y", 2, "b", weights);
	test_output(g, "y");
	assert_int_equal(test_pass(g, il_pass_batchnorm, 1e-5), 1);
	il_graph_destroy(&g);
}

static void what_is_left_alone(void **state)
{
	(void)state;
	struct il_graph *g = test_graph(13);
	test_input(g, "x", "1,4,3,3");
	test_input(g, "w", "4,4,1,1");
	test_node(g, "Conv", "a", 2, "x", test_weights(g, "4,4,1,1", -1, 1));
	norm(g, "a", "b", "4");
	test_node(g, "Add", "twice", 2, "a", "b"); /* a is read by another */
	test_node(g, "Conv", "c", 2, "x", "w");    /* weights that a caller gives */
	norm(g, "c", "d", "4");
	test_node(g, "Conv", "e", 2, "x", test_weights(g, "4,4,1,1", -1, 1));
	test_node(g, "BatchNormalization", "f", 5, "e", test_weights(g, "4", 1, 1), test_weights(g, "4", 0, 0),
	          test_weights(g, "4", 0, 0), test_weights(g, "4", -3, -3)); /* NaN stays NaN */
	test_node(g, "Conv", "h", 2, "x", test_weights(g, "4,4,1,1", -1, 1));
	norm(g, "h", "i", "4");
	test_output(g, "twice");
	test_output(g, "d");
	test_output(g, "f");
	test_output(g, "h"); /* is itself asked for */
	test_output(g, "i");
	unsigned changes = 0;
	assert_ok(il_pass_batchnorm(g, &changes, &err));
	assert_int_equal(changes, 0);
	assert_int_equal(il_graph_nodes(g), 9);
	il_graph_destroy(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_into_convolutions),
		cmocka_unit_test(goes_into_transposed_ones),
		cmocka_unit_test(shared_weights_stay),
		cmocka_unit_test(what_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
