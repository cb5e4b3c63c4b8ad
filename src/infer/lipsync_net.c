#include "infer/lipsync_net.h"

#include <stdlib.h>
#include <string.h>

#include "infer/hoist.h"

#define DEFAULT_SIZE 320
#define MAX_SIZE 4096
#define MAX_BATCH 1024
#define MAX_AUDIO_FLOATS (1 << 24)
#define MAX_HOISTED 64
#define ALIGN 64

struct il_lipsync_net {
	char *path;
	struct il_session *session;
	struct il_lipsync_net_info info;
	int picture_port, audio_port, output_port; /* picture_port -1: none */
	int hoisted_port[MAX_HOISTED];
	uint16_t *zeros;
	unsigned bound; /* items that the session's tensors have now */
	float *picture, *audio;
	void *output;
};

/* One tensor of the contract: how a model's tensor is known to be it, and the words for messages. */
struct role {
	const char *side, *word, *shape, *option;
	int (*count)(const struct il_session *session);
	const struct il_tensor_desc *(*get)(const struct il_session *session, int i);
	int (*find)(const struct il_session *session, const char *name);
	bool (*fits)(const struct il_tensor_desc *desc, int size); /* size 0: any */
};

/* S of [n,C,S,S], 0 where it is free, -1 where it is not square or out of range. */
static int square_size(const struct il_tensor_desc *desc)
{
	int64_t h = desc->dims[2], w = desc->dims[3];
	int64_t size = h >= 0 ? h : w;
	if (h < 0 && w < 0)
		return 0;
	return (h == w || h < 0 || w < 0) && size > 0 && size <= MAX_SIZE ? (int)size : -1;
}

static bool is_hoisted(const struct il_tensor_desc *desc)
{
	return desc->type == IL_TENSOR_F16 && !strncmp(desc->name, IL_HOISTED, strlen(IL_HOISTED));
}

static bool is_tensor4(const struct il_tensor_desc *desc)
{
	return desc->type == IL_TENSOR_F32 && desc->rank == 4 && desc->dims[0] != 0;
}

static bool fits_picture(const struct il_tensor_desc *desc, int size)
{
	(void)size;
	return is_tensor4(desc) && desc->dims[1] == 6 && square_size(desc) >= 0;
}

/* Free dims pass here, so that the message about them can name them. */
static bool fits_audio(const struct il_tensor_desc *desc, int size)
{
	(void)size;
	return is_tensor4(desc);
}

/* uint8 [1,S,S,3]: drawn by the network itself. */
static bool is_drawn(const struct il_tensor_desc *desc)
{
	return desc->type == IL_TENSOR_U8 && desc->rank == 4 && desc->dims[0] == 1 && desc->dims[3] == 3 &&
	       desc->dims[1] == desc->dims[2] && desc->dims[1] > 0 && desc->dims[1] <= MAX_SIZE;
}

/* Exporters often lose the shape of what follows an upsampling; the run checks what is free here. */
static bool fits_output(const struct il_tensor_desc *desc, int size)
{
	if (is_drawn(desc))
		return !size || desc->dims[1] == size;
	if (!is_tensor4(desc) || (desc->dims[1] != 3 && desc->dims[1] >= 0))
		return false;
	int own = square_size(desc);
	return own == 0 || (own > 0 && (!size || own == size));
}

static const struct role picture_role = {
	.side = "input",
	.word = "picture",
	.shape = "float32 [n,6,S,S]",
	.option = "--input-name",
	.count = il_session_inputs,
	.get = il_session_input,
	.find = il_session_find_input,
	.fits = fits_picture,
};

static const struct role audio_role = {
	.side = "input",
	.word = "audio",
	.shape = "float32 [n,A,H,W]",
	.option = "--audio-name",
	.count = il_session_inputs,
	.get = il_session_input,
	.find = il_session_find_input,
	.fits = fits_audio,
};

static const struct role output_role = {
	.side = "output",
	.word = "result",
	.shape = "float32 [n,3,S,S]",
	.option = "--output-name",
	.count = il_session_outputs,
	.get = il_session_output,
	.find = il_session_find_output,
	.fits = fits_output,
};

/* The port that plays `role`: the named one, or the only one that fits. `taken` is another role's input, or -1. */
static enum inlay_err choose(const struct il_session *session, const char *path, const struct role *role,
                             const char *name, int taken, int size, int *port, struct inlay_error *err)
{
	char found[INLAY_ERROR_TEXT];
	int matches = 0, named = name ? role->find(session, name) : -1;
	il_session_format(session, found, sizeof found);
	if (name && named < 0)
		return il_fail(err, INLAY_ERR_NOT_FOUND, "%s: %s: no %s is named \"%s\"; found %s", path, role->option,
		               role->side, name, found);
	for (int i = 0; i < role->count(session); i++) {
		if (i == taken || (name && i != named) || !role->fits(role->get(session, i), size))
			continue;
		*port = i;
		matches++;
	}
	if (matches == 1)
		return INLAY_OK;
	if (name)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: %s: \"%s\" does not fit the %s; expected %s; found %s", path,
		               role->option, name, role->word, role->shape, found);
	return il_fail(err, INLAY_ERR_FORMAT, "%s: %s %s fits the %s; expected one %s (%s NAME chooses); found %s",
	               path, matches ? "more than one" : "no", role->side, role->word, role->shape, role->option,
	               found);
}

/* S: the picture's, else the output's, else the usual one. */
static int resolve_size(const struct il_tensor_desc *picture, const struct il_tensor_desc *output)
{
	if (is_drawn(output))
		return (int)output->dims[1];
	int size = picture ? square_size(picture) : 0;
	if (!size)
		size = square_size(output);
	return size ? size : DEFAULT_SIZE;
}

static enum inlay_err find_hoisted(struct il_lipsync_net *net, struct inlay_error *err)
{
	for (int i = 0; i < il_session_inputs(net->session); i++) {
		if (!is_hoisted(il_session_input(net->session, i)))
			continue;
		if (net->info.hoisted == MAX_HOISTED)
			return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: more than %d inputs computed beforehand",
			               net->path, MAX_HOISTED);
		net->hoisted_port[net->info.hoisted++] = i;
	}
	return INLAY_OK;
}

static enum inlay_err match(struct il_lipsync_net *net, const struct il_lipsync_net_params *p, struct inlay_error *err)
{
	struct il_lipsync_net_info *info = &net->info;
	const struct il_session *session = net->session;
	if (p->picture_name && p->audio_name && !strcmp(p->picture_name, p->audio_name))
		return il_fail(err, INLAY_ERR_INVALID, "%s: --input-name and --audio-name are both \"%s\"", p->path,
		               p->audio_name);
	enum inlay_err rc = find_hoisted(net, err);
	if (rc)
		return rc;
	int others = il_session_inputs(session) - info->hoisted;
	if (others != 2 && !(others == 1 && info->hoisted)) {
		char found[INLAY_ERROR_TEXT];
		return il_fail(err, INLAY_ERR_FORMAT,
		               "%s: expected two inputs, the picture %s and the audio %s; found %s", p->path,
		               picture_role.shape, audio_role.shape, il_session_format(session, found, sizeof found));
	}
	int reserved = p->audio_name ? il_session_find_input(session, p->audio_name) : -1;
	net->picture_port = -1;
	if (others == 2)
		rc = choose(session, p->path, &picture_role, p->picture_name, reserved, 0, &net->picture_port, err);
	if (rc)
		return rc;
	if (net->picture_port >= 0)
		info->picture = *il_session_input(session, net->picture_port);
	rc = choose(session, p->path, &audio_role, p->audio_name, net->picture_port, 0, &net->audio_port, err);
	if (rc)
		return rc;
	info->audio = *il_session_input(session, net->audio_port);
	int size = net->picture_port >= 0 ? square_size(&info->picture) : 0;
	rc = choose(session, p->path, &output_role, p->output_name, -1, size, &net->output_port, err);
	if (rc)
		return rc;
	info->output = *il_session_output(session, net->output_port);
	info->bytes = is_drawn(&info->output);
	info->size = resolve_size(net->picture_port >= 0 ? &info->picture : NULL, &info->output);
	return INLAY_OK;
}

/* The model's own n, which every tensor that fixes it must agree on. */
static enum inlay_err resolve_batch(struct il_lipsync_net_info *info, const struct il_lipsync_net_params *params,
                                    struct inlay_error *err)
{
	/* Of a picture that is not there, any: what is computed beforehand is of one frame. */
	const int64_t dims[] = { info->picture.rank ? info->picture.dims[0] : -1, info->audio.dims[0],
		                 info->output.dims[0] };
	int64_t fixed = info->hoisted ? 1 : 0;
	for (int i = 0; i < 3; i++) {
		if (dims[i] < 0)
			continue;
		if (fixed && fixed != dims[i])
			return il_fail(err, INLAY_ERR_FORMAT,
			               "%s: expected one n for all tensors (-1: free), found %lld for %s, %lld for %s, "
			               "%lld for %s",
			               params->path, (long long)dims[0], info->picture.name, (long long)dims[1],
			               info->audio.name, (long long)dims[2], info->output.name);
		fixed = dims[i];
	}
	if (fixed > MAX_BATCH || params->batch > MAX_BATCH)
		return il_fail(err, INLAY_ERR_UNSUPPORTED, "%s: %lld frames a run; expected at most %d", params->path,
		               fixed > MAX_BATCH ? (long long)fixed : (long long)params->batch, MAX_BATCH);
	info->fixed_batch = (unsigned)fixed;
	info->batch = fixed ? (unsigned)fixed : params->batch ? params->batch : 1;
	return INLAY_OK;
}

static enum inlay_err count_audio(struct il_lipsync_net_info *info, const char *path, struct inlay_error *err)
{
	const struct il_tensor_desc *audio = &info->audio;
	char shape[160];
	il_tensor_format(audio, shape, sizeof shape);
	info->audio_floats = 1;
	for (int i = 1; i < audio->rank; i++) {
		int64_t dim = audio->dims[i];
		if (dim < 0)
			return il_fail(err, INLAY_ERR_FORMAT,
			               "%s: audio input %s %s: dimension %d is free; expected only the first to be",
			               path, audio->name, shape, i);
		if (dim < 1 || dim > MAX_AUDIO_FLOATS || (info->audio_floats *= (size_t)dim) > MAX_AUDIO_FLOATS)
			return il_fail(err, INLAY_ERR_FORMAT, "%s: audio input %s %s: expected 1 to %d floats a frame",
			               path, audio->name, shape, MAX_AUDIO_FLOATS);
	}
	return INLAY_OK;
}

/* Zeroed, so that a run of what nobody wrote yet is harmless. */
static void *allocate(size_t bytes)
{
	bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	void *data = aligned_alloc(ALIGN, bytes);
	if (data)
		memset(data, 0, bytes);
	return data;
}

/* Makes the session's tensors n items long. Nothing is done, and nothing allocated, when they are already. */
static enum inlay_err bind(struct il_lipsync_net *net, unsigned n, struct inlay_error *err)
{
	if (net->bound == n)
		return INLAY_OK;
	int64_t size = net->info.size;
	const int64_t *audio = net->info.audio.dims;
	const int64_t picture_dims[] = { n, 6, size, size }, audio_dims[] = { n, audio[1], audio[2], audio[3] };
	const int64_t output_dims[] = { n, 3, size, size }, drawn_dims[] = { n, size, size, 3 };
	enum inlay_err rc = INLAY_OK;
	net->bound = 0;
	if (net->picture_port >= 0)
		rc = il_session_bind_input(net->session, net->picture_port, net->picture, 4, picture_dims, err);
	if (!rc)
		rc = il_session_bind_input(net->session, net->audio_port, net->audio, 4, audio_dims, err);
	if (!rc && net->info.bytes)
		rc = il_session_bind_output_bytes(net->session, net->output_port, net->output, 4, drawn_dims, err);
	else if (!rc)
		rc = il_session_bind_output(net->session, net->output_port, net->output, 4, output_dims, err);
	if (!rc)
		net->bound = n;
	return rc;
}

const char *il_lipsync_net_picture_name(const struct il_lipsync_net *net)
{
	return net->picture_port >= 0 ? il_session_input_name(net->session, net->picture_port) : NULL;
}

const char *il_lipsync_net_audio_name(const struct il_lipsync_net *net)
{
	return il_session_input_name(net->session, net->audio_port);
}

const char *il_lipsync_net_hoisted(const struct il_lipsync_net *net, int i, size_t *bytes)
{
	const struct il_tensor_desc *desc = il_session_input(net->session, net->hoisted_port[i]);
	*bytes = sizeof(uint16_t);
	for (int k = 0; k < desc->rank; k++)
		*bytes *= desc->dims[k] > 0 ? (size_t)desc->dims[k] : 0;
	return desc->name;
}

enum inlay_err il_lipsync_net_set_hoisted(struct il_lipsync_net *net, int i, const uint16_t *halves,
                                          struct inlay_error *err)
{
	int port = net->hoisted_port[i];
	const struct il_tensor_desc *desc = il_session_input(net->session, port);
	return il_session_bind_input_halves(net->session, port, halves, desc->rank, desc->dims, err);
}

static enum inlay_err clear_hoisted(struct il_lipsync_net *net, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	size_t most = 0, bytes;
	for (int i = 0; i < net->info.hoisted; i++) {
		il_lipsync_net_hoisted(net, i, &bytes);
		most = bytes > most ? bytes : most;
	}
	net->zeros = most ? allocate(most) : NULL;
	if (most && !net->zeros)
		return il_fail_memory(err);
	for (int i = 0; i < net->info.hoisted && !rc; i++)
		rc = il_lipsync_net_set_hoisted(net, i, net->zeros, err);
	return rc;
}

static enum inlay_err prepare(struct il_lipsync_net *net, const struct il_lipsync_net_params *params,
                              struct inlay_error *err)
{
	struct il_lipsync_net_info *info = &net->info;
	struct il_session_params session_params = { .threads = params->threads,
		                                    .weights = params->weights,
		                                    .weight_count = params->weight_count,
		                                    .blocks = params->blocks };
	net->path = strdup(params->path);
	if (!net->path)
		return il_fail_memory(err);
	enum inlay_err rc = params->data ? il_session_open_memory(&net->session, params->data, params->bytes,
	                                                          params->path, &session_params, err)
	                                 : il_session_open(&net->session, params->path, &session_params, err);
	if (!rc)
		rc = match(net, params, err);
	if (!rc)
		rc = resolve_batch(info, params, err);
	if (!rc)
		rc = count_audio(info, params->path, err);
	if (rc)
		return rc;
	size_t square = (size_t)info->size * (size_t)info->size;
	info->picture_floats = net->picture_port >= 0 ? 6 * square : 0;
	info->output_floats = 3 * square;
	net->picture = allocate((info->batch * info->picture_floats + 1) * sizeof(float));
	net->audio = allocate(info->batch * info->audio_floats * sizeof(float));
	net->output = allocate(info->batch * info->output_floats * (info->bytes ? 1 : sizeof(float)));
	if (!net->picture || !net->audio || !net->output)
		return il_fail_memory(err);
	rc = clear_hoisted(net, err);
	return rc ? rc : bind(net, info->batch, err);
}

enum inlay_err il_lipsync_net_open(struct il_lipsync_net **out, const struct il_lipsync_net_params *params,
                                   struct inlay_error *err)
{
	struct il_lipsync_net *net = calloc(1, sizeof *net);
	if (!net)
		return il_fail_memory(err);
	enum inlay_err rc = prepare(net, params, err);
	if (rc)
		il_lipsync_net_destroy(&net);
	else
		*out = net;
	return rc;
}

void il_lipsync_net_destroy(struct il_lipsync_net **slot)
{
	struct il_lipsync_net *net = *slot;
	*slot = NULL;
	if (!net)
		return;
	il_session_destroy(&net->session);
	free(net->path);
	free(net->picture);
	free(net->audio);
	free(net->output);
	free(net->zeros);
	free(net);
}

const struct il_lipsync_net_info *il_lipsync_net_info(const struct il_lipsync_net *net)
{
	return &net->info;
}

/* Every known family looks at 16 rows a frame, older Ultralight-Digital-Human networks at 8. */
enum inlay_err il_lipsync_net_rows(const struct il_lipsync_net *net, size_t row_floats, unsigned *rows,
                                   struct inlay_error *err)
{
	static const unsigned known[] = { 16, 8 };
	const struct il_lipsync_net_info *info = &net->info;
	char text[160];
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (row_floats <= MAX_AUDIO_FLOATS && known[i] * row_floats == info->audio_floats) {
			*rows = known[i];
			return INLAY_OK;
		}
	return il_fail(err, INLAY_ERR_INVALID,
	               "%s: audio input %s takes %zu floats a frame; expected 16 or 8 feature rows of %zu: the "
	               "features or the audio encoder belong to another network",
	               net->path, il_tensor_format(&info->audio, text, sizeof text), info->audio_floats, row_floats);
}

float *il_lipsync_net_picture(struct il_lipsync_net *net, unsigned i)
{
	return net->picture + i * net->info.picture_floats;
}

float *il_lipsync_net_audio(struct il_lipsync_net *net, unsigned i)
{
	return net->audio + i * net->info.audio_floats;
}

const float *il_lipsync_net_output(const struct il_lipsync_net *net, unsigned i)
{
	return (const float *)net->output + i * net->info.output_floats;
}

const uint8_t *il_lipsync_net_bytes(const struct il_lipsync_net *net, unsigned i)
{
	return (const uint8_t *)net->output + i * net->info.output_floats;
}

enum inlay_err il_lipsync_net_run(struct il_lipsync_net *net, unsigned n, struct inlay_error *err)
{
	const struct il_lipsync_net_info *info = &net->info;
	if (!n || n > info->batch)
		return il_fail(err, INLAY_ERR_INVALID, "cannot run %u frames at once: expected 1 to %u", n,
		               info->batch);
	if (info->fixed_batch) {
		size_t idle = info->batch - n;
		memset(il_lipsync_net_picture(net, n), 0, idle * info->picture_floats * sizeof(float));
		memset(il_lipsync_net_audio(net, n), 0, idle * info->audio_floats * sizeof(float));
		n = info->batch;
	}
	enum inlay_err rc = bind(net, n, err);
	return rc ? rc : il_session_run(net->session, err);
}
