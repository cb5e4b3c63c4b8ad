/* What a network sees of a video: the whole of each frame, in the network's own size. */
#ifndef IL_JOB_VIEW_H
#define IL_JOB_VIEW_H

#include "frame/frame.h"
#include "infer/matte_net.h"
#include "media/scale.h"

#define IL_VIEW_MAX_WORKERS 256

/* {0} is closed. */
struct il_view {
	struct il_matte_net *nets[IL_VIEW_MAX_WORKERS]; /* one a worker */
	struct il_scaler *shrink;                       /* of one thread at a time */
	struct inlay_frame_info picture;                /* BGR24 */
	size_t outputs;                                 /* floats of one plane of the network's output */
};

/* One network with a single thread. frame: the shape of the video's frames. */
enum inlay_err il_view_open(struct il_view *view, const struct il_matte_net_params *params,
                            const struct inlay_frame_info *frame, struct inlay_error *err);
void il_view_close(struct il_view *view);

/* So many networks of so many threads each; they know what the first one has learnt by now. */
enum inlay_err il_view_spread(struct il_view *view, const struct il_matte_net_params *params, unsigned workers,
                              unsigned threads, struct inlay_error *err);

const struct il_matte_net_info *il_view_info(const struct il_view *view);

/* Runs a worker's network on a picture of view->picture. The result is the network's, until its next run. */
enum inlay_err il_view_look(const struct il_view *view, unsigned worker, struct il_matte_stream *memory,
                            const struct inlay_frame *picture, struct il_matte_result *result, struct inlay_error *err);

/* The rows of a picture; it has one plane, in host memory. */
const uint8_t *il_view_pixels(const struct inlay_frame *picture, ptrdiff_t *stride);

#endif
