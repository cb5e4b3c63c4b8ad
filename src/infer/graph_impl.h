/* What the files of the graph share: graph.c looks, graph_edit.c changes, graph_file.c reads and writes. */
#ifndef IL_INFER_GRAPH_IMPL_H
#define IL_INFER_GRAPH_IMPL_H

#include "base/table.h"
#include "infer/graph.h"

/* Bodies inside bodies; deeper is no model but an attack on the stack. */
#define IL_GRAPH_MAX_DEPTH 16

/* A name and all that is known of it. It stays when nobody makes or reads it any more. */
struct il_value {
	char *name;
	struct il_shape shape;
	il_node *producer, *reader; /* the last reader among the nodes */
	const il_constant *constant;
	unsigned uses;
	bool input, output, in_body; /* in_body: a body reads it */
};

struct il_graph {
	char *name;
	Onnx__ModelProto *model;
	struct il_table table; /* name -> place in values */
	struct il_value *values;
	size_t n_values, room;
	bool indexed; /* producer ... in_body are as the model is now */
	bool no_memory;
	unsigned fresh;
	size_t folded; /* bytes of constants that il_pass_fold added */
};

/* The value of that name; NULL where nobody ever spoke of it. */
struct il_value *il_graph_find(struct il_graph *graph, const char *name);
/* The same, made where it is not there; NULL when memory is out. */
struct il_value *il_graph_intern(struct il_graph *graph, const char *name);
/* Before anything is changed. */
void il_graph_touch(struct il_graph *graph);

/* Each name that a node reads, bodies included. `name` may be changed in place (freed and strdup'ed). */
typedef void il_read_fn(void *ctx, char **name, bool in_body);
void il_node_reads(il_node *node, il_read_fn *fn, void *ctx);

/* What a value info declares. */
struct il_shape il_shape_declared(const Onnx__ValueInfoProto *info);

#endif
