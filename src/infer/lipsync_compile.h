/* A lip-sync network made ready for one avatar: what depends on the picture alone is taken out, to be computed once for
 * each frame of the avatar, and the rest is rewritten and fused. */
#ifndef IL_INFER_LIPSYNC_COMPILE_H
#define IL_INFER_LIPSYNC_COMPILE_H

#include "infer/fuse.h"
#include "infer/hoist.h"
#include "infer/lipsync_net.h"

struct il_lipsync_compile_params {
	const char *path;
	const char *picture_name, *audio_name, *output_name; /* NULL: found by shape */
	uint64_t budget_bytes;                               /* of a frame, for what is computed beforehand */
	bool standard;                                       /* standard operators alone: nothing is fused */
};

struct il_lipsync_compiled {
	void *network; /* ONNX; for il_lipsync_net where it is in a file */
	size_t network_bytes;
	struct il_weights weights; /* of its fused operators */
	void *before; /* ONNX: the picture in, what is computed beforehand out, named as the network's inputs; or NULL
	               */
	size_t before_bytes;
	struct il_lipsync_net_info info; /* of the network as it was */
	struct il_hoist_stats hoist;
	struct il_fuse_stats fuse;
	double original_flops; /* of a run of the network as it was */
	unsigned rewritten;    /* changes by all other passes */
};

/* Batch 1. A network that nothing can be done about comes out as it is. */
enum inlay_err il_lipsync_compile(struct il_lipsync_compiled *compiled, const struct il_lipsync_compile_params *params,
                                  struct inlay_error *err);
void il_lipsync_compiled_clear(struct il_lipsync_compiled *compiled);

#endif
