/* An ONNX model in memory, as passes see and change it.
 *
 * The model is the file's own protobuf message (onnx.proto, our subset): what no pass knows stays as it was, unknown
 * fields included. On top of it the graph answers what passes ask all the time: who makes a value, who reads it, what
 * shape it has, what its constant data are. Values are known by name, as in ONNX. Only the main graph is rewritten;
 * what the bodies of If, Loop and Scan read from it counts as read.
 *
 * Changes that run out of memory do nothing and are remembered: a pass makes its changes and ends with
 * `return il_graph_check(graph, err)`. Nodes returned by add may be NULL then, and every il_node_ and il_graph_ call
 * takes a NULL node or name for a change as nothing to do. One thread at a time.
 */
#ifndef IL_INFER_GRAPH_H
#define IL_INFER_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "infer/onnx.pb-c.h"

#define IL_GRAPH_MAX_RANK 8

/* ONNX element types that passes look at; others are numbers like them. */
enum il_onnx_type {
	IL_ONNX_UNKNOWN = 0,
	IL_ONNX_FLOAT = 1,
	IL_ONNX_UINT8 = 2,
	IL_ONNX_INT32 = 6,
	IL_ONNX_INT64 = 7,
	IL_ONNX_BOOL = 9,
	IL_ONNX_FLOAT16 = 10,
};

/* What is known of a value. rank -1: nothing; a dim of -1: not that one. */
struct il_shape {
	int type; /* enum il_onnx_type */
	int rank;
	int64_t dims[IL_GRAPH_MAX_RANK];
};

struct il_graph;
typedef Onnx__NodeProto il_node;
typedef Onnx__TensorProto il_constant;

/* ---- files ---- */

/* `name` is for messages. Anything but a well-formed ONNX model with a graph whose values are each made once is
 * INLAY_ERR_FORMAT; weights in files of their own are INLAY_ERR_UNSUPPORTED. Up to version 3 of the format weights are
 * inputs too: these inputs go. */
enum inlay_err il_graph_parse(struct il_graph **graph, const void *data, size_t size, const char *name,
                              struct inlay_error *err);
enum inlay_err il_graph_read(struct il_graph **graph, const char *path, struct inlay_error *err);
/* A second graph of the same model. */
enum inlay_err il_graph_copy(struct il_graph **copy, struct il_graph *graph, struct inlay_error *err);
void il_graph_destroy(struct il_graph **graph);

/* Puts the nodes in an order in which they can run. A cycle is INLAY_ERR_FORMAT. */
enum inlay_err il_graph_sort(struct il_graph *graph, struct inlay_error *err);
/* The file's bytes, nodes sorted, of version 4 of the format or later; for free(). */
enum inlay_err il_graph_pack(struct il_graph *graph, void **data, size_t *size, struct inlay_error *err);
enum inlay_err il_graph_write(struct il_graph *graph, const char *path, bool overwrite, struct inlay_error *err);

/* INLAY_ERR_MEMORY where a change was lost, else OK. */
enum inlay_err il_graph_check(const struct il_graph *graph, struct inlay_error *err);

/* ---- looking ---- */

const char *il_graph_name(const struct il_graph *graph); /* for messages: as given to parse, or the path */
const Onnx__ModelProto *il_graph_model(const struct il_graph *graph);
/* Version of the standard operators. */
int64_t il_graph_opset(const struct il_graph *graph);

/* Nodes 0 .. count - 1, in order of the file, later of adding; a change may renumber them. */
size_t il_graph_nodes(const struct il_graph *graph);
il_node *il_graph_node(const struct il_graph *graph, size_t i);

/* Who makes a value; NULL for inputs, constants and names that are not there. */
il_node *il_graph_producer(struct il_graph *graph, const char *value);
/* How often it is read: by inputs of nodes (a node that reads it twice counts twice), as an output of the graph, by
 * bodies. */
unsigned il_graph_uses(struct il_graph *graph, const char *value);
/* The node that alone reads it, once; NULL where there is none or anything else reads it too. */
il_node *il_graph_sole_reader(struct il_graph *graph, const char *value);
bool il_graph_is_input(struct il_graph *graph, const char *value);
bool il_graph_is_output(struct il_graph *graph, const char *value);

/* An initializer that no caller can override; NULL for all else. */
const il_constant *il_graph_constant(struct il_graph *graph, const char *value);
/* Its data: `count` of them as the dims say; NULL where it is of another type, incomplete or not there. floats also
 * where the node has no such input (value NULL or ""). The pointers hold as long as the initializer. */
const float *il_graph_floats(struct il_graph *graph, const char *value, size_t *count);
const int64_t *il_graph_ints(struct il_graph *graph, const char *value, size_t *count);
/* The number of elements of a tensor's dims; SIZE_MAX for dims that are negative or too many. */
size_t il_constant_count(const il_constant *constant);

/* Never NULL. Constants' shapes are their own; others are what was declared, or what il_pass_shapes found. */
const struct il_shape *il_graph_shape(struct il_graph *graph, const char *value);
void il_graph_set_shape(struct il_graph *graph, const char *value, const struct il_shape *shape);
/* Elements of a wholly known shape, else 0. */
size_t il_shape_count(const struct il_shape *shape);

/* ---- nodes ---- */

/* True for an operator of the standard domain. */
bool il_node_is(const il_node *node, const char *op_type);
/* Input i's name; NULL where it is left out. */
const char *il_node_input(const il_node *node, size_t i);
const Onnx__AttributeProto *il_node_attribute(const il_node *node, const char *name);
int64_t il_node_int(const il_node *node, const char *name, int64_t otherwise);
float il_node_float(const il_node *node, const char *name, float otherwise);
/* True where a string attribute is `word`; `otherwise` where it is not there. */
bool il_node_word_is(const il_node *node, const char *name, const char *word, bool otherwise);
/* Copies up to n ints; those that are not there are `otherwise`. False where there are more than n. */
bool il_node_ints(const il_node *node, const char *name, int64_t *values, size_t n, int64_t otherwise);

/* If, Loop, Scan: nodes that hold graphs. */
bool il_node_has_body(const il_node *node);
/* Operators of chance, whatever their domain; what they give is different each time. */
bool il_node_is_random(const il_node *node);

/* ---- changing ---- */

/* A fresh value name that begins with `hint`, or with its first 200 bytes; the graph's own for its life. */
const char *il_graph_fresh(struct il_graph *graph, const char *hint);
/* The graph's own copy of a name, for its life: names inside nodes go when the node is changed or removed. */
const char *il_graph_keep(struct il_graph *graph, const char *name);

/* Input names "" or NULL are left out (NULL at the end: fewer). Strings are copied. */
il_node *il_graph_add(struct il_graph *graph, const char *domain, const char *op_type, const char *const *inputs,
                      size_t n_inputs, const char *const *outputs, size_t n_outputs);
void il_graph_remove(struct il_graph *graph, il_node *node);
void il_graph_set_input(struct il_graph *graph, il_node *node, size_t i, const char *value);
void il_graph_set_output(struct il_graph *graph, il_node *node, size_t i, const char *value);
/* Every read of `from` becomes a read of `to`, in bodies too. False, and nothing done, where `from` is an output of
 * the graph: its name is the caller's. */
bool il_graph_replace(struct il_graph *graph, const char *from, const char *to);

void il_node_set_int(struct il_graph *graph, il_node *node, const char *name, int64_t value);
void il_node_set_float(struct il_graph *graph, il_node *node, const char *name, float value);
void il_node_set_ints(struct il_graph *graph, il_node *node, const char *name, const int64_t *values, size_t n);
void il_node_set_word(struct il_graph *graph, il_node *node, const char *name, const char *word);
void il_node_copy_attributes(struct il_graph *graph, il_node *to, const il_node *from);

/* A new initializer of zeros; *data is its memory, to be filled. Returns its name. NULL when memory is out. */
const char *il_graph_add_constant(struct il_graph *graph, const char *hint, int type, int rank, const int64_t *dims,
                                  void **data);
/* Takes away initializers that nobody reads; returns how many. */
size_t il_graph_drop_constants(struct il_graph *graph);

void il_graph_add_input(struct il_graph *graph, const char *value, const struct il_shape *shape);
void il_graph_add_output(struct il_graph *graph, const char *value, const struct il_shape *shape);
/* Changes what is declared of an input or output. */
void il_graph_redeclare(struct il_graph *graph, const char *value, const struct il_shape *shape);
void il_graph_remove_input(struct il_graph *graph, const char *value);
/* Takes every output away; values keep their names. */
void il_graph_clear_outputs(struct il_graph *graph);
/* Makes a domain's operators known to the model. */
void il_graph_import(struct il_graph *graph, const char *domain, int64_t version);

#endif
