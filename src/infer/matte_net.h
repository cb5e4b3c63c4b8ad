/* A matting, segmentation or depth network on a session: one picture in, one plane out.
 *
 *   picture  float32 or uint8, [1,3,H,W] or [1,H,W,3], RGB or BGR
 *   output   float32 [1,C,h,w], [1,h,w,C], [1,h,w] or [h,w]; the matte is one channel of it, after an activation
 *   states   of recurrent networks: outputs that are inputs of the next run, zero at first
 *   foreground  float32, three channels of the output's size: the colours of the person alone
 * A manifest says what the tensors mean (matte_manifest.h): the given one, NAME.json beside NAME.onnx, or one that is
 * built in. What none of them says is told by the shapes, or by the output for the first picture, or assumed.
 */
#ifndef IL_INFER_MATTE_NET_H
#define IL_INFER_MATTE_NET_H

#include "infer/matte_manifest.h"

struct il_matte_net_params {
	const char *path;
	const char *manifest_path;                /* NULL: NAME.json where it is there, else a built-in one */
	const struct il_matte_manifest *manifest; /* of another net of this model: used as it is; wins over files */
	unsigned threads;                         /* of one run */
	int width, height;                        /* for a network that leaves them free; 0: the manifest's, or 512 */
	enum il_matte_kind kind;                  /* where no manifest says it */
};

struct il_matte_net_info {
	enum il_matte_kind kind;
	int width, height;               /* of the picture */
	bool free_size;                  /* the network takes other sizes too */
	int output_width, output_height; /* of the matte and the foreground */
	bool recurrent, has_foreground;
	bool settled; /* the activation is known; else the first picture that shows something tells it */
};

/* Results of a run, the net's own, until its next run. */
struct il_matte_result {
	const float *matte; /* output_height rows of output_width; 0..1, or for depth as the network gives it */
	/* Planes B, G, R in the network's own range, 0..1; NULL without. Pixel i is at [i * foreground_step]. */
	const float *foreground[3];
	ptrdiff_t foreground_step;
};

/* One thread at a time; workers may take turns. */
struct il_matte_net;
/* What a recurrent network remembers of one video, for nets of one model and size. One thread at a time. */
struct il_matte_stream;

/* A model that no rule fits is INLAY_ERR_FORMAT saying what was found and what was expected. Where shapes are free the
 * network is run once, on black. */
enum inlay_err il_matte_net_open(struct il_matte_net **net, const struct il_matte_net_params *params,
                                 struct inlay_error *err);
void il_matte_net_destroy(struct il_matte_net **net);
const struct il_matte_net_info *il_matte_net_info(const struct il_matte_net *net);

/* All that is known by now, each key with its source. Once settled, nets that are opened with it agree. */
const struct il_matte_manifest *il_matte_net_manifest(const struct il_matte_net *net);
/* One line: where the manifest comes from, and what was told by shapes, told by the picture or assumed. Returns text.
 */
const char *il_matte_net_describe(const struct il_matte_net *net, char *text, size_t size);

/* A stream starts as if reset. Networks without states take one too. */
enum inlay_err il_matte_stream_create(struct il_matte_stream **stream, const struct il_matte_net *net,
                                      struct inlay_error *err);
void il_matte_stream_destroy(struct il_matte_stream **stream);
/* The next picture is the first of a video. */
void il_matte_stream_reset(struct il_matte_stream *stream);

/* Runs one picture of the network's size: interleaved bytes in the order of `color`. `stream` NULL: the picture
 * stands alone. Allocates nothing, unless more than three streams take turns on one recurrent net, which costs a few
 * small handles. A failed run leaves the stream as it was. */
enum inlay_err il_matte_net_run(struct il_matte_net *net, struct il_matte_stream *stream, const uint8_t *pixels,
                                ptrdiff_t stride, enum il_matte_color color, struct il_matte_result *result,
                                struct inlay_error *err);

/* The output of the last run as the network gave it, and its name and shape. */
const float *il_matte_net_output(const struct il_matte_net *net, const struct il_tensor_desc **desc);

/* The model's own tensors, for people. */
const struct il_session *il_matte_net_session(const struct il_matte_net *net);

#endif
