/* What a matting, segmentation or depth network expects and gives, as a small JSON file beside it or built in.
 * docs/models.md lists the keys. */
#ifndef IL_INFER_MATTE_MANIFEST_H
#define IL_INFER_MATTE_MANIFEST_H

#include "infer/session.h"

#define IL_MATTE_MAX_STATES 8
#define IL_MATTE_MAX_CONSTANTS 4
#define IL_MATTE_MAX_VALUES 8
#define IL_MATTE_MAX_SIDE 8192
#define IL_MATTE_MAX_CHANNELS 64

enum il_matte_kind { IL_MATTE_KIND_MATTE, IL_MATTE_KIND_DEPTH };
enum il_matte_layout { IL_MATTE_NCHW, IL_MATTE_NHWC };
enum il_matte_color { IL_MATTE_RGB, IL_MATTE_BGR };
/* What turns the output into 0..1. BYTES: it holds 0..255. */
enum il_matte_activation { IL_MATTE_NONE, IL_MATTE_SIGMOID, IL_MATTE_SOFTMAX, IL_MATTE_BYTES };

/* The keys of the file, "inlay_model" aside. */
enum il_matte_key {
	IL_MATTE_KEY_KIND,
	IL_MATTE_KEY_LAYOUT,
	IL_MATTE_KEY_COLOR,
	IL_MATTE_KEY_SCALE,
	IL_MATTE_KEY_MEAN,
	IL_MATTE_KEY_STD,
	IL_MATTE_KEY_SIZE,
	IL_MATTE_KEY_INPUT,
	IL_MATTE_KEY_INPUTS,
	IL_MATTE_KEY_OUTPUT,
	IL_MATTE_KEY_ACTIVATION,
	IL_MATTE_KEY_CHANNEL,
	IL_MATTE_KEY_INVERT,
	IL_MATTE_KEY_FOREGROUND,
	IL_MATTE_KEY_STATES,
	IL_MATTE_KEYS
};

/* Where the value of a key comes from. UNKNOWN: nobody said, and the value means nothing. */
enum il_matte_source {
	IL_MATTE_UNKNOWN,
	IL_MATTE_STATED,   /* in a manifest */
	IL_MATTE_BUILT_IN, /* in the manifest that inlay has for this model */
	IL_MATTE_SHAPES,   /* told by names and shapes of the model's tensors */
	IL_MATTE_PICTURE,  /* told by the output for the first picture */
	IL_MATTE_ASSUMED,  /* nothing tells: the usual value */
	IL_MATTE_SOURCES
};

struct il_matte_manifest {
	enum il_matte_source source[IL_MATTE_KEYS];
	enum il_matte_kind kind;
	enum il_matte_layout layout; /* of the picture; the output's shape tells its own */
	enum il_matte_color color;
	double scale[3], mean[3], std[3]; /* (byte * scale - mean) / std, in the order of the network's channels */
	int width, height;                /* for a network that leaves them free */
	char input[IL_TENSOR_NAME], output[IL_TENSOR_NAME], foreground[IL_TENSOR_NAME];
	enum il_matte_activation activation;
	int channel; /* of the output: the person */
	bool invert; /* the channel is the background */
	int state_count;
	struct il_matte_state_names {
		char in[IL_TENSOR_NAME], out[IL_TENSOR_NAME];
	} states[IL_MATTE_MAX_STATES];
	int constant_count;
	struct il_matte_constant {
		char name[IL_TENSOR_NAME];
		int count;
		double values[IL_MATTE_MAX_VALUES];
	} constants[IL_MATTE_MAX_CONSTANTS];
};

/* The text of a manifest. `name` is for messages. Unknown keys, doubled keys and values of a wrong kind are
 * INLAY_ERR_FORMAT, naming the file and the key. */
enum inlay_err il_matte_manifest_parse(const void *data, size_t size, const char *name,
                                       struct il_matte_manifest *manifest, struct inlay_error *err);
enum inlay_err il_matte_manifest_read(const char *path, struct il_matte_manifest *manifest, struct inlay_error *err);

/* The manifest that inlay has for a model with this file name and these tensors: its name, or NULL. */
const char *il_matte_manifest_built_in(const char *path, const struct il_session *session,
                                       struct il_matte_manifest *manifest);

/* All that is known, as the text of a file, one key a line; free() it. NULL when out of memory. */
char *il_matte_manifest_format(const struct il_matte_manifest *manifest);

const char *il_matte_key_name(enum il_matte_key key);
/* The value of a key as in the file, without quotation marks: "nchw", "[512,512]". Returns text. */
const char *il_matte_key_value(const struct il_matte_manifest *manifest, enum il_matte_key key, char *text,
                               size_t size);

#endif
