/* Our operators in ONNX Runtime, domain IL_FUSED_DOMAIN (fuse.h). Tensors are float32, batch 1 and channels last:
 * [1,H,W,il_block_stride(C)] with zeros in the channels that fill up.
 *
 *   Block          inputs: x, skip, added; the last two optional and perhaps float16. As kernel/block.h.
 *                  Attributes: stride, residual, resize ("none", "align_corners", "half_pixel"), size [2] (height and
 *                  width of mid), channels [4] (in, skip, mid, out), skip and added (their element types, 0: none),
 *                  weights [7] (of expand_w [mid,in], skip_w [mid,skip], expand_b, depthwise_w [mid,3,3],
 *                  depthwise_b, project_w [out,mid], project_b)
 *   Head           input: x: uint8 [1,H,W,3] = 255 * sigmoid(w . x + b), truncated. Attributes: channels [1] (in),
 *                  weights [2] (of w [3,in] and b)
 *   ChannelsLast   [1,C,H,W] -> [1,H,W,il_block_stride(C)]
 *   ChannelsFirst  and back; attribute: channels
 *
 * Weights are not in the model, which the runtime would keep beside what we pack of it, but in memory given to the
 * session: `weights` are places in it, counted in floats, -1 where there are none.
 */
#ifndef IL_INFER_FUSED_OPS_H
#define IL_INFER_FUSED_OPS_H

#include "infer/fused_blocks.h"
#include "infer/runtime.h"

/* The operators as a session of `threads` threads has them. They outlive it; the weights need not outlive its opening.
 * blocks: shared with others, or NULL. */
struct il_fused_ops;

enum inlay_err il_fused_ops_create(struct il_fused_ops **ops, const struct il_runtime *rt, unsigned threads,
                                   const float *weights, size_t weight_count, struct il_fused_blocks *blocks,
                                   struct inlay_error *err);
OrtStatus *il_fused_ops_register(const struct il_fused_ops *ops, OrtSessionOptions *options);
void il_fused_ops_destroy(struct il_fused_ops **ops);

#endif
