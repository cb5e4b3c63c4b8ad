/* What a graph costs: numbers, bytes and operations, node by node. */
#ifndef IL_INFER_GRAPH_INFO_H
#define IL_INFER_GRAPH_INFO_H

#include "infer/graph.h"

/* Of one run of one node. A multiplication and an addition are two operations; element-wise functions, Sigmoid and its
 * like included, are one an element; moving elements is none. */
struct il_node_cost {
	bool known; /* the shapes that it takes to tell are known */
	double operations;
	double weight_bytes; /* constants that it reads */
	double output_bytes;
};

struct il_graph_cost {
	size_t nodes, unknown; /* unknown: nodes whose cost is not known, and which the sums lack */
	double parameters; /* elements of initializers and Constant nodes of floating-point or 8-bit numbers, each once
	                    */
	double weight_bytes; /* of all of these, of any type */
	double operations, output_bytes;
};

/* As far as shapes are known: behind il_pass_shapes. */
void il_node_find_cost(struct il_graph *graph, const il_node *node, struct il_node_cost *cost);
void il_graph_find_cost(struct il_graph *graph, struct il_graph_cost *cost);

#endif
