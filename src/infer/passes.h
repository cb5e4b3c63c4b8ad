/* Rewriting a graph. Each pass is one file, pass_NAME.c, and leaves alone what it does not know: results stay within
 * rounding of the original. Passes count what they changed in *changes (added to; may be NULL). */
#ifndef IL_INFER_PASSES_H
#define IL_INFER_PASSES_H

#include "infer/graph.h"

typedef enum inlay_err il_pass_fn(struct il_graph *graph, unsigned *changes, struct inlay_error *err);

/* Finds the shapes of values, as far as the operators are known and the inputs' shapes allow. Never fails for a model
 * that is odd: what contradicts itself stays unknown. *changes: values learned more of. */
il_pass_fn il_pass_shapes;

/* Computes on ONNX Runtime what depends on constants alone, and Shape where the shape is known. Constant nodes become
 * initializers. Outputs above 64 MB, random operators, and nodes with bodies stay. The nodes themselves are left to
 * il_pass_dead. */
il_pass_fn il_pass_fold;

/* Takes away nodes, initializers and value infos that no output needs. */
il_pass_fn il_pass_dead;

/* Batch normalisation behind a convolution goes into its weights. */
il_pass_fn il_pass_batchnorm;

/* What changes nothing: Pad by zeros of zero width, Identity, Dropout, Cast to the type it has; Reshape and its like,
 * Transpose, Slice, Concat, Expand, Tile and Resize that give what they get; and a Transpose that undoes another. */
il_pass_fn il_pass_noop;

/* A convolution over a concatenation of channels becomes the sum of convolutions of its parts. */
il_pass_fn il_pass_split;

/* A 1x1 convolution of an enlarged picture goes before its linear Resize. */
il_pass_fn il_pass_commute;

/* A 1x1 convolution behind one that widens reads what that one reads, with the product of both matrices. */
il_pass_fn il_pass_merge;

#endif
