/* What matte_net.c (running) and matte_match.c (which tensor is which) share. */
#ifndef IL_INFER_MATTE_IMPL_H
#define IL_INFER_MATTE_IMPL_H

#include "infer/matte_net.h"
#include "kernel/kernel.h"

/* Where the values of a picture-like output lie: value c of pixel i at [i * step + c * channel_step]. */
struct il_matte_grid {
	int width, height, channels;
	ptrdiff_t step, channel_step;
};

/* A state's ports, and its place within a stream's memory. */
struct il_matte_state {
	int in, out, rank;
	int64_t dims[IL_TENSOR_MAX_RANK];
	size_t offset;
};

struct il_matte_net {
	char *path;
	struct il_session *session;
	struct il_matte_manifest manifest;
	char manifest_from[1024]; /* "built in: SINet", "stated in FILE", or "" */
	struct il_matte_net_info info;
	int picture_port, output_port, foreground_port; /* foreground: -1 without */
	bool bytes;                                     /* the picture is uint8 */
	int64_t picture_dims[4];
	struct il_tensor_desc output, foreground; /* with the shapes of a run */
	struct il_matte_grid output_grid, foreground_grid;
	int state_count;
	struct il_matte_state states[IL_MATTE_MAX_STATES];
	size_t state_floats; /* of one set of all states */
	int constant_count;
	float constants[IL_MATTE_MAX_CONSTANTS][IL_MATTE_MAX_VALUES];
	struct il_normalize normalize; /* in the order of the network's channels */
	void *picture;
	float *output_data, *foreground_data, *matte;
	float low, high;             /* of the output for the picture that settled the activation */
	struct il_matte_stream *own; /* for pictures that stand alone */
};

/* 64-byte aligned and zeroed; NULL when out of memory. */
void *il_matte_allocate(size_t bytes);

/* Fits the manifest to the model's inputs: ports, size, states and constants; then binds them all, the picture to
 * net->picture, made here. Then the outputs, with the shapes that a run gives where the model leaves them free. */
enum inlay_err il_matte_match_inputs(struct il_matte_net *net, const struct il_matte_net_params *params,
                                     struct inlay_error *err);
enum inlay_err il_matte_match_outputs(struct il_matte_net *net, struct inlay_error *err);

/* What the values of `data` look like: *low and *high are their range. False where they show nothing, being equal. */
bool il_matte_guess(const float *data, const struct il_matte_grid *grid, enum il_matte_activation *activation,
                    float *low, float *high);
/* One channel through its activation into `matte`, clipped to 0..1 and then inverted, unless it is depth. */
void il_matte_activate(float *matte, const float *data, const struct il_matte_grid *grid,
                       const struct il_matte_manifest *manifest);

#endif
