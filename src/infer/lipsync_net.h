/* The lip-sync network contract on a session: which tensor is which, and the buffers of one batch.
 *
 *   picture [n, 6, S, S] float32: BGR roi in channels 0-2, the same with the mouth blacked in 3-5, 0..1
 *   audio   [n, A, H, W] float32: a window of feature rows, flattened
 *   output  [n, 3, S, S] float32: BGR, 0..1
 * A compiled network (lipsync_compile.h) takes further inputs of float16, named hoisted_0 and so on, which were
 * computed from the picture beforehand; it may have no picture then. Its output may be uint8 [1, S, S, 3].
 *
 * S comes from the model (320 for unet_328, 160 for Ultralight-Digital-Human), n may be fixed or free. Where the
 * picture's height and width are free, S is the output's, and where that is free too, 320. Further inputs are refused.
 */
#ifndef IL_INFER_LIPSYNC_NET_H
#define IL_INFER_LIPSYNC_NET_H

#include "infer/fused_blocks.h"
#include "infer/session.h"

struct il_lipsync_net_params {
	const char *path;
	const void *data; /* NULL, or the model in memory, which may go after opening; `path` is for messages then */
	size_t bytes;
	const float *weights; /* of a compiled network, while it is opened */
	size_t weight_count;
	struct il_fused_blocks *blocks; /* of all sessions of the network, which they outlive; NULL: its own */
	const char *picture_name, *audio_name, *output_name; /* NULL: found by shape */
	unsigned threads;
	unsigned batch; /* frames a run; 0 is 1. A model of fixed n > 1 runs n whatever is asked */
};

struct il_lipsync_net_info {
	int size;                                           /* S */
	unsigned batch;                                     /* frames that fit in the buffers */
	unsigned fixed_batch;                               /* the model's own n, 0 when free */
	size_t picture_floats, audio_floats, output_floats; /* of one frame: 6SS, AHW, 3SS; no picture: 0 */
	bool bytes;                                         /* the output is uint8 [S, S, 3] */
	int hoisted;                                        /* inputs computed beforehand */
	struct il_tensor_desc picture, audio, output;
};

/* One thread at a time. */
struct il_lipsync_net;

/* A model outside the contract is INLAY_ERR_FORMAT saying what was found ("inputs: data float32 [1,3,320,320]") and
 * what was expected. */
enum inlay_err il_lipsync_net_open(struct il_lipsync_net **net, const struct il_lipsync_net_params *params,
                                   struct inlay_error *err);
void il_lipsync_net_destroy(struct il_lipsync_net **net);
const struct il_lipsync_net_info *il_lipsync_net_info(const struct il_lipsync_net *net);

/* How many feature rows of row_floats each make the audio of one frame: 16, or 8 for older networks.
 * INLAY_ERR_INVALID for any other number: the features belong to another network. */
enum inlay_err il_lipsync_net_rows(const struct il_lipsync_net *net, size_t row_floats, unsigned *rows,
                                   struct inlay_error *err);

/* Buffers of item i < batch, the net's own, at the same place for its whole life. Item 0 is 64-byte aligned, and so
 * are the others where one item's size is a multiple of 64 bytes (pictures: S a multiple of 4). */
float *il_lipsync_net_picture(struct il_lipsync_net *net, unsigned i);
float *il_lipsync_net_audio(struct il_lipsync_net *net, unsigned i);
const float *il_lipsync_net_output(const struct il_lipsync_net *net, unsigned i);

/* The same where info->bytes. */
const uint8_t *il_lipsync_net_bytes(const struct il_lipsync_net *net, unsigned i);

/* Whole names of the picture's and the audio's inputs, as the file has them; NULL for a picture that is not there. */
const char *il_lipsync_net_picture_name(const struct il_lipsync_net *net);
const char *il_lipsync_net_audio_name(const struct il_lipsync_net *net);

/* Input i < info->hoisted: its name, and its size in bytes. */
const char *il_lipsync_net_hoisted(const struct il_lipsync_net *net, int i, size_t *bytes);
/* Memory of such an input for the runs to come, read in place; until the first call it is zeros. */
enum inlay_err il_lipsync_net_set_hoisted(struct il_lipsync_net *net, int i, const uint16_t *halves,
                                          struct inlay_error *err);

/* Runs items 0..n-1. A model of fixed batch is run whole; what lies past n is zeroed and its result ignored. */
enum inlay_err il_lipsync_net_run(struct il_lipsync_net *net, unsigned n, struct inlay_error *err);

#endif
