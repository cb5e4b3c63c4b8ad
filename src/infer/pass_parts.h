/* What passes of convolutions share. */
#ifndef IL_INFER_PASS_PARTS_H
#define IL_INFER_PASS_PARTS_H

#include "infer/graph.h"

/* An operator of the standard domain with at least so many inputs, none of them left out, and an output: files need not
 * keep to an operator's signature. */
static inline bool il_node_has(const il_node *node, const char *op_type, size_t inputs)
{
	bool has = il_node_is(node, op_type) && node->n_output > 0 && *node->output[0];
	for (size_t i = 0; i < inputs && has; i++)
		has = il_node_input(node, i) != NULL;
	return has;
}

/* pass_split.c: a Conv of one group over a Concat of channels, all of known number, with weights that are known. */
bool il_conv_is_splittable(struct il_graph *graph, const il_node *conv);
/* Such a Conv becomes a sum of one for each part, under the same name. */
enum inlay_err il_conv_split(struct il_graph *graph, il_node *conv, struct inlay_error *err);

/* pass_commute.c: a Conv of one group, 1x1, stride 1, without padding, with weights that are known. */
bool il_conv_is_pointwise(struct il_graph *graph, const il_node *conv);
/* No bias, or one that is known and has a number for each channel that comes out. */
bool il_conv_bias_fits(struct il_graph *graph, const il_node *conv);
/* A Resize that enlarges height and width alone by linear interpolation whose weights add up to 1 everywhere. NULL and
 * other nodes are none. */
bool il_resize_commutes(struct il_graph *graph, const il_node *resize);

#endif
