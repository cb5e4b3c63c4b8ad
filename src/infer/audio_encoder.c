#include "infer/audio_encoder.h"

#include <stdlib.h>
#include <string.h>

#define BANDS 80
#define ROWS 16
#define WINDOW_FLOATS (BANDS * ROWS)
#define MAX_ROW_FLOATS (1 << 20)

struct il_audio_encoder {
	struct il_session *session;
	size_t row_floats;
	float *row;
	float window[WINDOW_FLOATS];
};

/* Whether the model's own dim allows `value`. */
static bool allows(int64_t dim, int64_t value)
{
	return dim < 0 || dim == value;
}

static bool fits_window(const struct il_tensor_desc *desc)
{
	return desc->type == IL_TENSOR_F32 && desc->rank == 4 && allows(desc->dims[0], 1) && allows(desc->dims[1], 1) &&
	       allows(desc->dims[2], BANDS) && allows(desc->dims[3], ROWS);
}

static bool fits_row(const struct il_tensor_desc *desc)
{
	return desc->type == IL_TENSOR_F32 && desc->rank == 2 && allows(desc->dims[0], 1) && desc->dims[1] > 0 &&
	       desc->dims[1] <= MAX_ROW_FLOATS;
}

static enum inlay_err match(struct il_audio_encoder *e, const char *path, struct inlay_error *err)
{
	char found[INLAY_ERROR_TEXT];
	if (il_session_inputs(e->session) == 1 && il_session_outputs(e->session) == 1 &&
	    fits_window(il_session_input(e->session, 0)) && fits_row(il_session_output(e->session, 0))) {
		e->row_floats = (size_t)il_session_output(e->session, 0)->dims[1];
		return INLAY_OK;
	}
	return il_fail(err, INLAY_ERR_FORMAT,
	               "%s: expected an audio encoder, input float32 [n,1,80,16] and output float32 [n,D]; found %s",
	               path, il_session_format(e->session, found, sizeof found));
}

static enum inlay_err prepare(struct il_audio_encoder *e, const char *path, struct inlay_error *err)
{
	enum inlay_err rc = il_session_open(&e->session, path, NULL, err);
	if (!rc)
		rc = match(e, path, err);
	if (rc)
		return rc;
	e->row = calloc(e->row_floats, sizeof *e->row);
	if (!e->row)
		return il_fail_memory(err);
	const int64_t window_dims[] = { 1, 1, BANDS, ROWS }, row_dims[] = { 1, (int64_t)e->row_floats };
	rc = il_session_bind_input(e->session, 0, e->window, 4, window_dims, err);
	return rc ? rc : il_session_bind_output(e->session, 0, e->row, 2, row_dims, err);
}

enum inlay_err il_audio_encoder_open(struct il_audio_encoder **encoder, const char *path, struct inlay_error *err)
{
	struct il_audio_encoder *e = calloc(1, sizeof *e);
	if (!e)
		return il_fail_memory(err);
	enum inlay_err rc = prepare(e, path, err);
	if (rc)
		il_audio_encoder_destroy(&e);
	else
		*encoder = e;
	return rc;
}

void il_audio_encoder_destroy(struct il_audio_encoder **encoder)
{
	struct il_audio_encoder *e = *encoder;
	*encoder = NULL;
	if (!e)
		return;
	il_session_destroy(&e->session);
	free(e->row);
	free(e);
}

size_t il_audio_encoder_floats(const struct il_audio_encoder *encoder)
{
	return encoder->row_floats;
}

enum inlay_err il_audio_encoder_run(void *ctx, const float *window, float *row, struct inlay_error *err)
{
	struct il_audio_encoder *e = ctx;
	memcpy(e->window, window, sizeof e->window);
	enum inlay_err rc = il_session_run(e->session, err);
	if (!rc)
		memcpy(row, e->row, e->row_floats * sizeof *row);
	return rc;
}
