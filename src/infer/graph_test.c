#include "infer/graph.h"

#include <glob.h>
#include <sys/stat.h>

#include "base/file.h"
#include "tests/test.h"

static struct inlay_error err;

/* ---- a model by hand, in the wire format ---- */

struct bytes {
	uint8_t data[65536];
	size_t size;
};

static void put(struct bytes *to, int field, const void *data, size_t size)
{
	to->data[to->size++] = (uint8_t)(field << 3 | 2);
	for (size_t rest = size;; rest >>= 7) {
		to->data[to->size++] = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
		if (rest <= 0x7f)
			break;
	}
	if (size)
		memcpy(to->data + to->size, data, size);
	to->size += size;
}

static void put_node(struct bytes *graph, const char *op, const char *in0, const char *in1, const char *out)
{
	struct bytes node = { .size = 0 };
	put(&node, 1, in0, strlen(in0));
	if (in1)
		put(&node, 1, in1, strlen(in1));
	put(&node, 2, out, strlen(out));
	put(&node, 4, op, strlen(op));
	put(graph, 1, node.data, node.size);
}

static void put_value(struct bytes *graph, int field, const char *name)
{
	struct bytes value = { .size = 0 };
	put(&value, 1, name, strlen(name));
	put(graph, field, value.data, value.size);
}

static struct il_graph *parse(const struct bytes *graph)
{
	struct bytes model = { .size = 0 };
	struct il_graph *parsed = NULL;
	put(&model, 7, graph->data, graph->size);
	assert_ok(il_graph_parse(&parsed, model.data, model.size, "model", &err));
	return parsed;
}

/* x -> Relu a -> Sigmoid b; Add(a, b) -> y */
static struct il_graph *diamond(void)
{
	struct bytes graph = { .size = 0 };
	put_node(&graph, "Add", "a", "b", "y"); /* out of order on purpose */
	put_node(&graph, "Relu", "x", NULL, "a");
	put_node(&graph, "Sigmoid", "a", NULL, "b");
	put_value(&graph, 11, "x");
	put_value(&graph, 12, "y");
	return parse(&graph);
}

static void who_makes_and_reads(void **state)
{
	(void)state;
	struct il_graph *graph = diamond();
	assert_true(il_node_is(il_graph_producer(graph, "a"), "Relu"));
	assert_null(il_graph_producer(graph, "x"));
	assert_int_equal(il_graph_uses(graph, "a"), 2);
	assert_null(il_graph_sole_reader(graph, "a"));
	assert_true(il_node_is(il_graph_sole_reader(graph, "b"), "Add"));
	assert_int_equal(il_graph_uses(graph, "y"), 1);
	assert_null(il_graph_sole_reader(graph, "y"));
	assert_true(il_graph_is_input(graph, "x") && il_graph_is_output(graph, "y"));
	assert_int_equal(il_graph_shape(graph, "nobody")->rank, -1);
	il_graph_destroy(&graph);
}

static void changes_are_seen_at_once(void **state)
{
	(void)state;
	struct il_graph *graph = diamond();
	const int64_t dims[] = { 2, 3 }, pads[] = { 1, 2, 3 };
	void *data;
	const char *zeros = il_graph_add_constant(graph, "zeros", IL_ONNX_FLOAT, 2, dims, &data);
	const char *sum = il_graph_fresh(graph, "sum");
	((float *)data)[5] = 7;
	il_node *add = il_graph_add(graph, "", "Add", (const char *[]){ "b", zeros }, 2, &sum, 1);
	il_node_set_ints(graph, add, "pads", pads, 3);
	il_node_set_int(graph, add, "group", 4);
	il_node_set_int(graph, add, "group", 5);
	il_graph_set_input(graph, il_graph_producer(graph, "y"), 1, sum);
	assert_ptr_equal(il_graph_sole_reader(graph, sum), il_graph_producer(graph, "y"));
	size_t count;
	assert_true(il_graph_floats(graph, zeros, &count)[5] == 7);
	assert_int_equal(count, 6);
	assert_null(il_graph_ints(graph, zeros, &count));
	int64_t read[4];
	assert_true(il_node_ints(add, "pads", read, 4, -1));
	assert_true(read[2] == 3 && read[3] == -1);
	assert_false(il_node_ints(add, "pads", read, 2, -1));
	assert_int_equal(il_node_int(add, "group", 0), 5);
	/* The name given lies in the node that changes. */
	assert_true(il_graph_replace(graph, il_graph_producer(graph, "y")->input[1], "a"));
	assert_int_equal(il_graph_uses(graph, sum), 0);
	assert_int_equal(il_graph_uses(graph, "a"), 3);
	assert_false(il_graph_replace(graph, "y", "a"));
	il_graph_remove(graph, add);
	assert_int_equal(il_graph_drop_constants(graph), 1);
	assert_int_equal(il_graph_nodes(graph), 3);
	assert_ok(il_graph_check(graph, &err));
	il_graph_destroy(&graph);
}

static void nodes_are_written_in_order(void **state)
{
	(void)state;
	struct il_graph *graph = diamond(), *again = NULL;
	assert_ok(il_graph_copy(&again, graph, &err));
	static const char *const order[] = { "Relu", "Sigmoid", "Add" };
	for (size_t i = 0; i < 3; i++)
		assert_true(il_node_is(il_graph_node(again, i), order[i]));
	il_graph_destroy(&again);
	il_graph_set_input(graph, il_graph_producer(graph, "a"), 0, "b");
	void *data;
	size_t size;
	assert_fails(il_graph_pack(graph, &data, &size, &err), INLAY_ERR_FORMAT, "circle");
	il_graph_destroy(&graph);
}

static void nested(struct bytes *graph, int depth)
{
	put_node(graph, "Relu", "x", NULL, "y");
	if (depth == 0)
		return;
	struct bytes *inner = calloc(1, sizeof *inner), *attribute = calloc(1, sizeof *inner),
		     *node = calloc(1, sizeof *inner);
	nested(inner, depth - 1);
	put(attribute, 6, inner->data, inner->size);
	put(node, 4, "If", 2);
	put(node, 5, attribute->data, attribute->size);
	put(graph, 1, node->data, node->size);
	free(inner);
	free(attribute);
	free(node);
}

static void what_is_no_model_is_refused(void **state)
{
	(void)state;
	struct il_graph *graph = NULL;
	assert_fails(il_graph_parse(&graph, "", 0, "empty", &err), INLAY_ERR_FORMAT, "empty: not an ONNX model");
	assert_fails(il_graph_parse(&graph, "\xff\xff\xff", 3, "junk", &err), INLAY_ERR_FORMAT, "junk");
	struct bytes twice = { .size = 0 }, model = { .size = 0 }, *deep = calloc(1, sizeof *deep);
	put_node(&twice, "Relu", "x", NULL, "y");
	put_node(&twice, "Relu", "x", NULL, "y");
	put(&model, 7, twice.data, twice.size);
	assert_fails(il_graph_parse(&graph, model.data, model.size, "m", &err), INLAY_ERR_FORMAT, "y is made twice");
	model.size = 0;
	nested(deep, 10);
	put(&model, 7, deep->data, deep->size);
	assert_ok(il_graph_parse(&graph, model.data, model.size, "m", &err));
	il_graph_destroy(&graph);
	deep->size = model.size = 0;
	nested(deep, 40);
	put(&model, 7, deep->data, deep->size);
	assert_fails(il_graph_parse(&graph, model.data, model.size, "m", &err), INLAY_ERR_FORMAT, "inside each other");
	free(deep);
}

static void fresh_names(void **state)
{
	(void)state;
	struct il_graph *graph = diamond();
	char wide[256];
	const char *name = il_graph_fresh(graph, "conv");
	for (int i = 0; i < 100; i++)
		name = il_graph_fresh(graph, name);
	assert_string_equal(name, "conv/inlay_100");
	assert_string_equal(il_graph_fresh(graph, "a/inlay_1/inlay_b"), "a/inlay_1/inlay_b/inlay_101");
	/* 67 characters of three bytes: the last one would end at 201. */
	for (size_t i = 0; i < 67; i++)
		memcpy(wide + 3 * i, "\xe2\x82\xac", 4);
	name = il_graph_fresh(graph, wide);
	assert_memory_equal(name, wide, 198);
	assert_string_equal(name + 198, "/inlay_102");
	assert_non_null(il_graph_fresh(graph, memset(wide, 0x80, 255)));
	il_graph_destroy(&graph);
}

/* Other people's files come through reading and writing without a byte lost. */
static void files_keep_their_size(void **state)
{
	(void)state;
	static const char *const patterns[] = { "models/*.onnx", "models/*/*.onnx" };
	size_t seen = 0;
	for (int p = 0; p < 2; p++) {
		glob_t files;
		assert_int_equal(glob(test_data(patterns[p]), 0, NULL, &files), 0);
		for (size_t i = 0; i < files.gl_pathc; i++, seen++) {
			struct il_graph *graph = NULL;
			struct stat info;
			void *data;
			size_t size;
			assert_int_equal(stat(files.gl_pathv[i], &info), 0);
			assert_ok(il_graph_read(&graph, files.gl_pathv[i], &err));
			assert_ok(il_graph_pack(graph, &data, &size, &err));
			if (size != (size_t)info.st_size)
				fail_msg("%s: %zu bytes of %zu", files.gl_pathv[i], size, (size_t)info.st_size);
			free(data);
			il_graph_destroy(&graph);
		}
		globfree(&files);
	}
	assert_true(seen > 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_makes_and_reads),
		cmocka_unit_test(changes_are_seen_at_once),
		cmocka_unit_test(nodes_are_written_in_order),
		cmocka_unit_test(what_is_no_model_is_refused),
		cmocka_unit_test(fresh_names),
		cmocka_unit_test(files_keep_their_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
