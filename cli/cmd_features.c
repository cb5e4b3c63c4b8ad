/* inlay features: what the network hears, as a file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/npy.h"
#include "cli.h"
#include "infer/audio_encoder.h"
#include "media/audio.h"
#include "speech/mel.h"
#include "speech/speech.h"

enum { OPT_MEL = 0x1000, OPT_AUDIO_ENCODER };

static const struct argp_option options[] = {
	{ "output", 'o', "FILE.npy", 0, "where to write, float32", 0 },
	{ "overwrite", 'y', 0, 0, "replace an existing file", 0 },
	{ "mel", OPT_MEL, 0, 0, "the mel rows [T,80] instead of features [T,D]", 0 },
	{ "audio-encoder", OPT_AUDIO_ENCODER, "FILE.onnx", 0, "network [n,1,80,16] -> [n,D] that makes the features",
	  0 },
	{ 0 },
};

struct arguments {
	struct common common;
	const char *speech, *output, *encoder;
	bool mel, overwrite;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	switch (key) {
	case ARGP_KEY_INIT: state->child_inputs[0] = &a->common; return 0;
	case 'o': a->output = arg; return 0;
	case 'y': a->overwrite = true; return 0;
	case OPT_MEL: a->mel = true; return 0;
	case OPT_AUDIO_ENCODER: a->encoder = arg; return 0;
	case ARGP_KEY_ARG:
		if (a->speech)
			argp_error(state, "\"%s\" is one argument too many", arg);
		a->speech = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->speech || !a->output)
			argp_error(state, "expected SPEECH -o FILE.npy");
		if (!a->mel == !a->encoder)
			argp_error(state, "give either --mel or --audio-encoder FILE.onnx");
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = { { .argp = &common_argp }, { 0 } };
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "SPEECH -o FILE.npy",
	.doc = "Writes the mel rows or the audio features of a speech file, so that they can be kept, looked at, and "
	       "given "
	       "to \"inlay lipsync --features\".",
	.children = children,
};

/* Rows on their way into the file. The header is written last, when their number is known. */
struct rows {
	FILE *file;
	const char *path;
	size_t floats, count;
	float *row;
};

static enum inlay_err write_header(struct rows *r, struct inlay_error *err)
{
	uint8_t header[256];
	size_t dims[2] = { r->count, r->floats };
	/* Room for the longest count, so that the length stays the same when it is known. */
	size_t reserved = il_npy_format_header(IL_NPY_F32, 2, (size_t[2]){ SIZE_MAX / 8, r->floats }, header);
	size_t n = il_npy_format_header(IL_NPY_F32, 2, dims, header);
	if (n != reserved || fseek(r->file, 0, SEEK_SET) || fwrite(header, 1, n, r->file) != n)
		return il_fail_errno(err, "%s", r->path);
	return INLAY_OK;
}

static enum inlay_err put_row(struct rows *r, struct inlay_error *err)
{
	if (fwrite(r->row, sizeof(float), r->floats, r->file) != r->floats)
		return il_fail_errno(err, "%s", r->path);
	r->count++;
	return INLAY_OK;
}

static enum inlay_err write_mel(struct rows *r, struct il_audio *audio, struct inlay_error *err)
{
	struct il_mel *mel = NULL;
	float samples[8192];
	bool ended = false;
	enum inlay_err rc = il_mel_create(&mel, err);
	while (!rc && !interrupted()) {
		enum inlay_err pulled = il_mel_pull(mel, r->row);
		if (pulled == INLAY_OK) {
			rc = put_row(r, err);
		} else if (pulled == INLAY_EOF) {
			break;
		} else {
			size_t n = 0;
			rc = ended ? INLAY_OK
			           : il_audio_read(audio, samples, sizeof samples / sizeof *samples, &n, err);
			if (rc == INLAY_EOF) {
				ended = true;
				il_mel_finish(mel);
				rc = INLAY_OK;
			} else if (!rc) {
				rc = il_mel_push(mel, samples, n, err);
			}
		}
	}
	il_mel_destroy(&mel);
	return rc;
}

static enum inlay_err mel_rows(const struct arguments *a, struct rows *r, struct inlay_error *err)
{
	struct il_audio *audio = NULL;
	enum inlay_err rc = il_audio_open(&audio, a->speech, IL_MEL_RATE, err);
	if (!rc)
		rc = write_mel(r, audio, err);
	il_audio_destroy(&audio);
	return rc;
}

static enum inlay_err feature_rows(const struct arguments *a, struct il_audio_encoder *encoder, struct rows *r,
                                   struct inlay_error *err)
{
	struct il_speech *speech = NULL;
	const struct il_speech_params params = { .audio_path = a->speech,
		                                 .encode = il_audio_encoder_run,
		                                 .encode_ctx = encoder,
		                                 .row_floats = r->floats,
		                                 .fps = { IL_SPEECH_FEATURE_RATE, 1 } };
	enum inlay_err rc = il_speech_open(&speech, &params, err);
	while (!rc && !interrupted()) {
		rc = il_speech_next_row(speech, r->row, err);
		if (!rc)
			rc = put_row(r, err);
	}
	il_speech_destroy(&speech);
	return rc == INLAY_EOF ? INLAY_OK : rc;
}

static enum inlay_err write_rows(const struct arguments *a, struct il_audio_encoder *encoder, struct rows *r,
                                 struct inlay_error *err)
{
	enum inlay_err rc = write_header(r, err);
	if (!rc)
		rc = a->mel ? mel_rows(a, r, err) : feature_rows(a, encoder, r, err);
	if (!rc && interrupted())
		rc = il_fail(err, INLAY_ERR_CANCELLED, "cancelled, nothing written");
	if (!rc && r->count == 0)
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: the audio is empty; expected speech", a->speech);
	if (!rc)
		rc = write_header(r, err);
	if (!rc && (fflush(r->file) || ferror(r->file)))
		rc = il_fail_errno(err, "%s", r->path);
	return rc;
}

static enum inlay_err run(const struct arguments *a, struct rows *r, struct inlay_error *err)
{
	struct il_audio_encoder *encoder = NULL;
	struct il_part *part = NULL;
	enum inlay_err rc = INLAY_OK;
	r->floats = IL_MEL_BANDS;
	r->path = a->output;
	if (!a->mel && !(rc = il_audio_encoder_open(&encoder, a->encoder, err)))
		r->floats = il_audio_encoder_floats(encoder);
	if (!rc && !(r->row = malloc(r->floats * sizeof(float))))
		rc = il_fail_memory(err);
	if (!rc && il_path_same(a->output, a->speech))
		rc = il_fail(err, INLAY_ERR_INVALID, "%s: is read, and cannot be the output too", a->output);
	if (!rc)
		rc = il_part_open(&part, a->output, a->overwrite, err);
	if (!rc && !(r->file = fopen(il_part_path(part), "wbe")))
		rc = il_fail_errno(err, "%s", il_part_path(part));
	if (!rc)
		rc = write_rows(a, encoder, r, err);
	if (r->file && fclose(r->file) && !rc)
		rc = il_fail_errno(err, "%s", a->output);
	if (!rc)
		rc = il_part_commit(part, err);
	il_part_destroy(&part);
	il_audio_encoder_destroy(&encoder);
	free(r->row);
	return rc;
}

int cmd_features(int argc, char **argv)
{
	struct arguments a = { 0 };
	struct inlay_error err = { 0 };
	struct rows r = { 0 };
	parse_options(&argp, argc, argv, &a);
	catch_interrupts();
	enum inlay_err rc = run(&a, &r, &err);
	if (rc == INLAY_ERR_CANCELLED) {
		say("inlay: %s", err.text);
		return 128 + interrupted();
	}
	if (rc)
		return report_error(&err);
	say("%s: float32 [%zu,%zu]", a.output, r.count, r.floats);
	return EXIT_SUCCESS;
}
