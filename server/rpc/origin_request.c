#include "server/rpc/origin_request.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "composite/place.h"
#include "speech/mel.h"

/* ---- the wire format: https://protobuf.dev/programming-guides/encoding ---- */

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct reader {
	const uint8_t *at, *end;
};

struct field {
	uint64_t number; /* of the field */
	enum wire wire;
	uint64_t value; /* of a VARINT */
	struct origin_bytes bytes;
};

static bool read_varint(struct reader *r, uint64_t *value)
{
	*value = 0;
	for (int shift = 0; shift < 64 && r->at < r->end; shift += 7) {
		uint8_t byte = *r->at++;
		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

static bool read_bytes(struct reader *r, uint64_t size, struct origin_bytes *bytes)
{
	if (size > (uint64_t)(r->end - r->at))
		return false;
	*bytes = (struct origin_bytes){ r->at, (size_t)size };
	r->at += size;
	return true;
}

static bool read_field(struct reader *r, struct field *field)
{
	uint64_t key, size;
	if (!read_varint(r, &key) || key >> 3 == 0)
		return false;
	*field = (struct field){ .number = key >> 3, .wire = key & 7 };
	switch (field->wire) {
	case VARINT: return read_varint(r, &field->value);
	case FIXED64: return read_bytes(r, 8, &field->bytes);
	case BYTES: return read_varint(r, &size) && read_bytes(r, size, &field->bytes);
	case FIXED32: return read_bytes(r, 4, &field->bytes);
	}
	return false;
}

/* ---- the request ---- */

static void take(struct origin_request *request, enum origin_kind kind, const struct field *field)
{
	struct origin_bytes *const bytes[] = { NULL, &request->id, &request->visual_frames, &request->raw_audio,
		                               &request->audio_features };
	int32_t *const composite[] = { &request->batch_size, &request->start_frame, &request->sample_rate };
	int32_t *const infer[] = { &request->batch_size, &request->sample_rate };
	if (field->wire == BYTES && field->number < sizeof bytes / sizeof *bytes)
		*bytes[field->number] = field->bytes;
	if (field->wire != VARINT || field->number < 5)
		return;
	const uint64_t i = field->number - 5;
	if (kind == ORIGIN_INFERENCE ? i < 2 : i < 3)
		*(kind == ORIGIN_INFERENCE ? infer[i] : composite[i]) = (int32_t)(uint32_t)field->value;
}

enum inlay_err origin_request_parse(struct origin_request *request, enum origin_kind kind, const uint8_t *data,
                                    size_t size, struct inlay_error *err)
{
	struct reader reader = { data, data + size };
	struct field field;
	*request = (struct origin_request){ 0 };
	while (reader.at < reader.end) {
		if (!read_field(&reader, &field))
			return il_fail(err, INLAY_ERR_FORMAT, "the request is no protobuf message: broken at byte %zu",
			               (size_t)(reader.at - data));
		take(request, kind, &field);
	}
	return INLAY_OK;
}

bool origin_id_valid(const char *id, size_t size)
{
	if (!size || size > IL_STORE_ID_MAX || *id == '.')
		return false;
	for (size_t i = 0; i < size; i++) {
		const char c = id[i], lower = (char)(c | 0x20);
		if (!(c >= '0' && c <= '9') && !(lower >= 'a' && lower <= 'z') && c != '.' && c != '_' && c != '-')
			return false;
	}
	return true;
}

static enum inlay_err check_audio(const struct origin_request *r, struct inlay_error *err)
{
	if (!r->raw_audio.size && !r->audio_features.size)
		return il_fail(err, INLAY_ERR_INVALID, "either raw_audio or audio_features must be provided");
	if (r->raw_audio.size && r->sample_rate != 0 && r->sample_rate != IL_MEL_RATE)
		return il_fail(err, INLAY_ERR_INVALID, "sample_rate %d: expected %d", r->sample_rate, IL_MEL_RATE);
	return INLAY_OK;
}

enum inlay_err origin_request_check(const struct origin_request *r, enum origin_kind kind,
                                    char avatar[IL_STORE_ID_MAX + 1], struct inlay_error *err)
{
	const int most = kind == ORIGIN_COMPOSITING ? 25 : kind == ORIGIN_MONOLITHIC ? 32 : ORIGIN_MAX_BATCH;
	avatar[0] = 0;
	if (!r->id.size)
		return il_fail(err, INLAY_ERR_INVALID, "model_id is required");
	if (!origin_id_valid((const char *)r->id.data, r->id.size))
		return il_fail(err, INLAY_ERR_NOT_FOUND,
		               "unknown model: model_id of %zu bytes is no name; expected 1 to %d of A-Z a-z 0-9 . _ -",
		               r->id.size, IL_STORE_ID_MAX);
	if (r->batch_size < 1 || r->batch_size > most)
		return il_fail(err, INLAY_ERR_INVALID, "batch_size %d: expected 1 to %d", r->batch_size, most);
	if (r->start_frame < 0)
		return il_fail(err, INLAY_ERR_INVALID, "start_frame_idx %d: expected 0 or more", r->start_frame);
	memcpy(avatar, r->id.data, r->id.size);
	avatar[r->id.size] = 0;
	return check_audio(r, err);
}

/* ---- its floats ---- */

static bool all_finite(const float *floats, size_t n)
{
	uint32_t worst = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t bits;
		memcpy(&bits, floats + i, sizeof bits);
		bits &= 0x7f800000;
		worst = bits > worst ? bits : worst;
	}
	return worst != 0x7f800000;
}

static enum inlay_err copy_floats(const struct origin_bytes *from, const char *name, float *to, struct inlay_error *err)
{
	memcpy(to, from->data, from->size);
	if (!all_finite(to, from->size / sizeof *to))
		return il_fail(err, INLAY_ERR_INVALID, "%s: holds numbers that are not finite", name);
	return INLAY_OK;
}

enum inlay_err origin_request_windows(const struct origin_request *r, size_t window_floats, float *floats,
                                      const float **windows, struct inlay_error *err)
{
	const size_t n = (size_t)r->batch_size, one = window_floats * sizeof *floats;
	if (r->audio_features.size != one && r->audio_features.size != n * one)
		return il_fail(err, INLAY_ERR_INVALID,
		               "audio_features: %zu bytes; expected %zu, a window of %zu floats for all frames, or "
		               "%zu, one for each",
		               r->audio_features.size, one, window_floats, n * one);
	const bool each = r->audio_features.size == n * one;
	for (size_t i = 0; i < n; i++)
		windows[i] = floats + (each ? i * window_floats : 0);
	return copy_floats(&r->audio_features, "audio_features", floats, err);
}

enum inlay_err origin_request_samples(const struct origin_request *r, float **samples, size_t *count,
                                      struct inlay_error *err)
{
	*samples = NULL;
	*count = r->raw_audio.size / sizeof **samples;
	if (!*count || r->raw_audio.size % sizeof **samples)
		return il_fail(err, INLAY_ERR_INVALID, "raw_audio: %zu bytes; expected float32 samples",
		               r->raw_audio.size);
	*samples = malloc(r->raw_audio.size);
	if (!*samples)
		return il_fail_memory(err);
	enum inlay_err rc = copy_floats(&r->raw_audio, "raw_audio", *samples, err);
	if (rc) {
		free(*samples);
		*samples = NULL;
	}
	return rc;
}

/* What is not a number counts as 0. */
static uint8_t byte_of(const uint8_t *at)
{
	float value;
	memcpy(&value, at, sizeof value);
	value = value > 0 ? value * 255 + 0.5f : 0;
	return value < 255 ? (uint8_t)value : 255;
}

/* Planes [3, S, S] into the middle of a crop of side S + 8. */
static void fill_crop(const uint8_t *planes, size_t size, uint8_t *crop)
{
	const size_t side = size + 2 * IL_PLACE_MARGIN;
	for (size_t plane = 0; plane < 3; plane++)
		for (size_t y = 0; y < size; y++) {
			uint8_t *to = crop + ((y + IL_PLACE_MARGIN) * side + IL_PLACE_MARGIN) * 3 + plane;
			for (size_t x = 0; x < size; x++, planes += sizeof(float))
				to[3 * x] = byte_of(planes);
		}
}

enum inlay_err origin_request_crops(const struct origin_request *r, int size, uint8_t **crops, struct inlay_error *err)
{
	const size_t s = (size_t)size, side = s + 2 * IL_PLACE_MARGIN, n = (size_t)r->batch_size;
	const size_t picture = 6 * s * s * sizeof(float);
	*crops = NULL;
	if (r->visual_frames.size != n * picture)
		return il_fail(err, INLAY_ERR_INVALID, "visual_frames: %zu bytes; expected float32 [%zu,6,%d,%d]",
		               r->visual_frames.size, n, size, size);
	*crops = calloc(n, side * side * 3);
	if (!*crops)
		return il_fail_memory(err);
	for (size_t i = 0; i < n; i++)
		fill_crop(r->visual_frames.data + i * picture, s, *crops + i * side * side * 3);
	return INLAY_OK;
}
