/* Inference requests and answers from any bytes: of gRPC, of REST, and what a server tells its client. The first byte
 * says which. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/http/kserve_json.h"
#include "server/rpc/kserve_messages.h"
#include "server/rpc/mouths_messages.h"

#define FRAMES 9

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct kserve_model model = {
	.name = "a",
	.frames = FRAMES,
	.info = { .size = 20, .audio_dims = { 2, 3 }, .window_floats = 6 },
};

static void check(enum inlay_err rc, const struct inlay_error *err)
{
	if (rc && (err->code != rc || !err->text[0] || rc == INLAY_EOF || rc == INLAY_AGAIN))
		abort();
}

static void check_frames(const struct kserve_frames *frames)
{
	if (frames->n < 1 || frames->n > IL_MOUTHS_MAX || frames->output_size != frames->n * (size_t)(20 * 20 * 3))
		abort();
	for (unsigned i = 0; i < frames->n; i++) {
		if (frames->frames[i] < 0 || frames->frames[i] >= FRAMES)
			abort();
		for (int j = 0; j < 6; j++)
			if (!isfinite(frames->windows[i][j]))
				abort();
	}
}

static void read_request(const uint8_t *data, size_t size)
{
	struct inlay_error err = { 0 };
	struct kserve_call call;
	struct kserve_inference inference = { .model = model };
	enum inlay_err rc = kserve_call_read(&call, data, size, &err);
	if (!rc)
		rc = kserve_frames_read(&inference.frames, &call.request, &model, NULL, &err);
	if (!rc) {
		struct kserve_answer answer = { 0 };
		check_frames(&inference.frames);
		rc = kserve_answer_begin(&answer, &inference, call.id, size % 2, &err);
		if (!rc && answer.output + inference.frames.output_size != answer.data + answer.size)
			abort();
		kserve_answer_clear(&answer);
	}
	check(rc, &err);
	kserve_frames_clear(&inference.frames);
	kserve_call_clear(&call);
}

/* Two bytes of length, then body. */
static void read_json(const uint8_t *data, size_t size)
{
	struct inlay_error err = { 0 };
	struct kserve_json json;
	struct kserve_inference inference = { .model = model };
	char header[16];
	if (size < 2)
		return;
	snprintf(header, sizeof header, "%d", data[0] + 256 * data[1]);
	enum inlay_err rc = kserve_json_read(&json, data + 2, size - 2, data[1] < 255 ? header : NULL, &err);
	if (!rc)
		rc = kserve_frames_read(&inference.frames, &json.request, &model, NULL, &err);
	if (!rc) {
		struct il_bytes answer = { 0 }, filled = { 0 };
		size_t gap;
		check_frames(&inference.frames);
		rc = kserve_json_answer(&answer, &gap, &json, &inference, &err);
		if (!rc && gap)
			rc = kserve_json_fill(&filled, &answer, gap, data, size, &err);
		il_bytes_destroy(&answer);
		il_bytes_destroy(&filled);
	}
	check(rc, &err);
	kserve_frames_clear(&inference.frames);
	kserve_json_clear(&json);
}

static void read_answers(const uint8_t *data, size_t size)
{
	struct inlay_error err = { 0 };
	const struct il_bytes message = { (uint8_t *)data, size };
	const uint8_t *output;
	struct mouths_model found = { .info = { .size = 20 } };
	enum inlay_err rc = mouths_read_answer(&output, &message, &found, 16, false, &err);
	if (!rc && (output < data || output + 16 > data + size))
		abort();
	check(rc, &err);
	err = (struct inlay_error){ 0 };
	rc = mouths_read_metadata(&found, "a", &message, &err);
	check(rc, &err);
	if (!rc && (found.info.size < 20 || !found.info.window_floats))
		abort();
	mouths_read_ready(&message);
	mouths_has_extension(&message, "system_shared_memory");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] % 3 == 0)
		read_request(data + 1, size - 1);
	else if (data[0] % 3 == 1)
		read_json(data + 1, size - 1);
	else
		read_answers(data + 1, size - 1);
	return 0;
}
