/* Manifests of well-known models, which are told by their file's name or by names and shapes of their tensors. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "infer/matte_manifest.h"

struct built_in {
	const char *name;
	const char *file;           /* part of the file's name in lower case; NULL: any */
	const char *input, *output; /* names of the picture and the result; NULL: any */
	int64_t in[4], out[4];      /* their shapes; 0: any */
	const char *text;           /* docs/models.md explains it */
};

static const struct built_in built_ins[] = {
	{ "SINet",
	  NULL,
	  "data",
	  "Softmax/1",
	  { 0, 3, 320, 320 },
	  { 0, 2, 320, 320 },
	  "{\"inlay_model\": 1, \"layout\": \"nchw\", \"color\": \"bgr\", \"scale\": 1, "
	  "\"mean\": [102.890434, 111.25247, 126.91212], \"std\": [16047.8946, 16019.4519, 16920.704775], "
	  "\"activation\": \"none\", \"channel\": 1}" },
	{ "SINet, logits",
	  NULL,
	  "data",
	  "classifier/1",
	  { 0, 3, 320, 320 },
	  { 0, 2, 320, 320 },
	  "{\"inlay_model\": 1, \"layout\": \"nchw\", \"color\": \"bgr\", \"scale\": 1, "
	  "\"mean\": [102.890434, 111.25247, 126.91212], \"std\": [16047.8946, 16019.4519, 16920.704775], "
	  "\"activation\": \"softmax\", \"channel\": 1}" },
	{ "mediapipe selfie, two channels",
	  NULL,
	  "input_1:0",
	  "segment:0",
	  { 0, 144, 256, 3 },
	  { 0, 144, 256, 2 },
	  "{\"inlay_model\": 1, \"layout\": \"nhwc\", \"color\": \"rgb\", \"activation\": \"softmax\", \"channel\": "
	  "1}" },
	{ "mediapipe selfie",
	  NULL,
	  "input_1:0",
	  "activation_10",
	  { 0, 0, 256, 3 },
	  { 0, 0, 256, 1 },
	  "{\"inlay_model\": 1, \"layout\": \"nhwc\", \"color\": \"rgb\", \"activation\": \"none\"}" },
	{ "mediapipe selfie, alphas",
	  NULL,
	  "pixel_values",
	  "alphas",
	  { 0, 3, 0, 0 },
	  { 0, 1, 0, 0 },
	  "{\"inlay_model\": 1, \"layout\": \"nchw\", \"color\": \"rgb\", \"size\": [256, 256], "
	  "\"activation\": \"none\"}" },
	{ "Robust Video Matting",
	  NULL,
	  "src",
	  "pha",
	  { 0, 3, 0, 0 },
	  { 0, 0, 0, 0 },
	  "{\"inlay_model\": 1, \"layout\": \"nchw\", \"color\": \"rgb\", \"size\": [1280, 720], "
	  "\"input\": \"src\", \"output\": \"pha\", \"activation\": \"none\"}" },
	{ "TCMonoDepth",
	  "tcmonodepth",
	  NULL,
	  NULL,
	  { 0, 3, 0, 0 },
	  { 0, 1, 0, 0 },
	  "{\"inlay_model\": 1, \"kind\": \"depth\", \"layout\": \"nchw\", \"color\": \"bgr\", \"scale\": 1, "
	  "\"size\": [320, 192], \"activation\": \"none\"}" },
	{ "MODNet",
	  "modnet",
	  NULL,
	  NULL,
	  { 0, 3, 0, 0 },
	  { 0, 0, 0, 0 },
	  "{\"inlay_model\": 1, \"layout\": \"nchw\", \"color\": \"rgb\", \"mean\": 0.5, \"std\": 0.5, "
	  "\"size\": [512, 512], \"activation\": \"none\"}" },
	{ "PP-HumanSeg",
	  "humanseg",
	  NULL,
	  NULL,
	  { 0, 3, 0, 0 },
	  { 0, 0, 0, 0 },
	  "{\"inlay_model\": 1, \"layout\": \"nchw\", \"color\": \"rgb\", \"mean\": 0.5, \"std\": 0.5, "
	  "\"size\": [192, 192], \"channel\": 1}" },
};

static bool file_matches(const char *path, const char *part)
{
	char name[256];
	const char *slash = strrchr(path, '/');
	if (!part)
		return true;
	snprintf(name, sizeof name, "%s", slash ? slash + 1 : path);
	for (char *p = name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return strstr(name, part) != NULL;
}

static bool tensor_matches(const struct il_tensor_desc *desc, const char *name, const int64_t dims[4])
{
	if (name && strcmp(desc->name, name))
		return false;
	for (int i = 0; i < 4; i++)
		if (dims[i] && (desc->rank != 4 || desc->dims[i] != dims[i]))
			return false;
	return true;
}

static bool matches(const struct built_in *b, const char *path, const struct il_session *session)
{
	bool in = false, out = false;
	for (int i = 0; i < il_session_inputs(session); i++)
		in = in || tensor_matches(il_session_input(session, i), b->input, b->in);
	for (int i = 0; i < il_session_outputs(session); i++)
		out = out || tensor_matches(il_session_output(session, i), b->output, b->out);
	return in && out && file_matches(path, b->file);
}

/* What is usual goes without saying above. */
static void fill_usual(struct il_matte_manifest *m)
{
	for (int c = 0; c < 3; c++) {
		m->scale[c] = m->source[IL_MATTE_KEY_SCALE] ? m->scale[c] : 1 / 255.0;
		m->std[c] = m->source[IL_MATTE_KEY_STD] ? m->std[c] : 1;
	}
	m->source[IL_MATTE_KEY_KIND] = m->source[IL_MATTE_KEY_SCALE] = IL_MATTE_STATED;
	m->source[IL_MATTE_KEY_MEAN] = m->source[IL_MATTE_KEY_STD] = IL_MATTE_STATED;
}

const char *il_matte_manifest_built_in(const char *path, const struct il_session *session,
                                       struct il_matte_manifest *manifest)
{
	for (size_t i = 0; i < sizeof built_ins / sizeof *built_ins; i++) {
		const struct built_in *b = &built_ins[i];
		if (!matches(b, path, session))
			continue;
		if (il_matte_manifest_parse(b->text, strlen(b->text), b->name, manifest, NULL))
			return NULL;
		fill_usual(manifest);
		for (int k = 0; k < IL_MATTE_KEYS; k++)
			if (manifest->source[k] == IL_MATTE_STATED)
				manifest->source[k] = IL_MATTE_BUILT_IN;
		return b->name;
	}
	return NULL;
}
