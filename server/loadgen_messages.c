/* Field numbers: KServe v2 with Triton's extensions, the compositing service's, and lipsync.proto. */
#include <stdlib.h>
#include <string.h>

#include "server/loadgen_messages.h"

static enum inlay_err fail_broken(struct inlay_error *err, const char *what)
{
	return il_fail(err, INLAY_ERR_FORMAT, "the server's answer to %s cannot be understood", what);
}

/* ---- answers about avatars ---- */

static char *name_of_entry(const struct wire_field *entry)
{
	const uint8_t *at = entry->data;
	size_t left = entry->size;
	struct wire_field field;
	while (wire_next(&at, &left, &field))
		if (field.number == 1 && field.bytes)
			return strndup((const char *)field.data, field.size);
	return strdup("");
}

/* Room doubles at each power of two. */
static bool add_name(char ***names, unsigned *n, const struct wire_field *entry)
{
	if (!(*n & (*n - 1))) {
		char **grown = realloc(*names, (*n ? 2 * *n : 1) * sizeof **names);
		if (!grown)
			return false;
		*names = grown;
	}
	(*names)[*n] = name_of_entry(entry);
	return (*names)[*n] && ++*n;
}

enum inlay_err loadgen_read_list(const uint8_t *data, size_t size, char ***names, unsigned *n, struct inlay_error *err)
{
	struct wire_field field;
	*names = NULL;
	*n = 0;
	while (wire_next(&data, &size, &field))
		if (field.number == 1 && field.bytes && !add_name(names, n, &field))
			return il_fail_memory(err);
	return size ? fail_broken(err, "RepositoryIndex") : INLAY_OK;
}

static size_t read_shape(const struct wire_field *packed, int64_t *dims, size_t room)
{
	const uint8_t *at = packed->data;
	size_t n = 0;
	int64_t value = 0;
	unsigned shift = 0;
	for (size_t i = 0; i < packed->size && n < room; i++) {
		value |= (int64_t)(uint64_t)((uint64_t)(at[i] & 0x7f) << shift);
		shift = shift < 56 ? shift + 7 : 63;
		if (at[i] & 0x80)
			continue;
		dims[n++] = value;
		value = 0;
		shift = 0;
	}
	return n;
}

/* Of a TensorMetadata: its name and its dims behind the first, n of them. */
static size_t read_tensor(const struct wire_field *tensor, char *name, size_t name_size, int64_t *dims, size_t room)
{
	const uint8_t *at = tensor->data;
	size_t left = tensor->size, n = 0;
	int64_t all[8] = { 0 };
	struct wire_field field;
	name[0] = 0;
	while (wire_next(&at, &left, &field)) {
		if (field.number == 1 && field.bytes && field.size < name_size) {
			memcpy(name, field.data, field.size);
			name[field.size] = 0;
		} else if (field.number == 3 && field.bytes) {
			n += read_shape(&field, all + n, 8 - n);
		} else if (field.number == 3 && n < 8) {
			all[n++] = (int64_t)field.value;
		}
	}
	for (size_t i = 0; i < room; i++)
		dims[i] = i + 1 < n ? all[i + 1] : 0;
	return n ? n - 1 : 0;
}

static bool plausible(int64_t dim)
{
	return dim > 0 && dim <= 4096;
}

enum inlay_err loadgen_read_metadata(const uint8_t *data, size_t size, struct loadgen_model *model,
                                     struct inlay_error *err)
{
	struct wire_field field;
	bool has_frames = false;
	*model = (struct loadgen_model){ 0 };
	while (wire_next(&data, &size, &field)) {
		char name[64];
		int64_t dims[3];
		if (field.number == 4 && field.bytes) {
			size_t n = read_tensor(&field, name, sizeof name, dims, 3);
			has_frames |= !strcmp(name, "frame_index");
			if (strcmp(name, "audio") || n < 1 || n > 3)
				continue;
			model->window_floats = 1;
			for (size_t i = 0; i < n; i++) {
				model->audio_dims[i] = dims[i];
				model->window_floats *= plausible(dims[i]) ? (size_t)dims[i] : 0;
			}
		} else if (field.number == 5 && field.bytes) {
			size_t n = read_tensor(&field, model->output, sizeof model->output, dims, 3);
			if (n == 3 && plausible(dims[0]) && plausible(dims[1]) && dims[2] == 3)
				model->mouth_bytes = (size_t)(dims[0] * dims[1] * 3);
		}
	}
	if (size)
		return fail_broken(err, "ModelMetadata");
	if (!has_frames || !model->window_floats || !model->mouth_bytes)
		return il_fail(err, INLAY_ERR_UNSUPPORTED,
		               "the model's tensors are not frame_index [n], audio [n,A,H,W] and a picture [n,S,S,3]");
	return INLAY_OK;
}

/* ---- requests ---- */

static void write_parameter(struct wire *tensor, unsigned field, const char *key, const char *text, int64_t number)
{
	struct wire value = { 0 }, entry = { 0 };
	if (text)
		wire_text(&value, 3, text);
	else
		wire_int(&value, 2, number);
	wire_text(&entry, 1, key);
	wire_message(&entry, 2, &value);
	wire_message(tensor, field, &entry);
	wire_free(&value);
	wire_free(&entry);
}

static void write_region(struct wire *tensor, unsigned field, const char *region, size_t offset, size_t size)
{
	write_parameter(tensor, field, "shared_memory_region", region, 0);
	write_parameter(tensor, field, "shared_memory_byte_size", NULL, (int64_t)size);
	if (offset)
		write_parameter(tensor, field, "shared_memory_offset", NULL, (int64_t)offset);
}

static size_t audio_bytes(const struct loadgen_batch *b)
{
	return b->n * b->model->window_floats * sizeof(float);
}

void loadgen_write_infer(struct wire *w, const struct loadgen_batch *b)
{
	const struct loadgen_model *m = b->model;
	struct wire frames = { 0 }, audio = { 0 }, output = { 0 };
	int64_t shape[4] = { b->n, m->audio_dims[0], m->audio_dims[1], m->audio_dims[2] };
	size_t dims = 1;
	while (dims < 4 && shape[dims])
		dims++;
	wire_text(&frames, 1, "frame_index");
	wire_text(&frames, 2, "INT32");
	wire_packed(&frames, 3, shape, 1);
	wire_text(&audio, 1, "audio");
	wire_text(&audio, 2, "FP32");
	wire_packed(&audio, 3, shape, dims);
	wire_text(&output, 1, m->output);
	if (b->region) {
		write_region(&audio, 4, b->region, 0, audio_bytes(b));
		write_region(&output, 2, b->region, audio_bytes(b), b->n * m->mouth_bytes);
	}
	wire_clear(w);
	wire_text(w, 1, b->avatar);
	wire_message(w, 5, &frames);
	wire_message(w, 5, &audio);
	wire_message(w, 6, &output);
	wire_bytes(w, 7, b->frames, b->n * sizeof *b->frames);
	if (!b->region)
		wire_bytes(w, 7, b->audio, audio_bytes(b));
	wire_free(&frames);
	wire_free(&audio);
	wire_free(&output);
}

void loadgen_write_composite(struct wire *w, const struct loadgen_batch *b)
{
	wire_clear(w);
	wire_text(w, 1, b->avatar);
	wire_bytes(w, 4, b->audio, audio_bytes(b));
	wire_int(w, 5, b->n);
	wire_int(w, 6, b->frames[0]);
	wire_int(w, 7, 16000);
}

void loadgen_write_register(struct wire *w, const char *name, const char *key, size_t size)
{
	wire_clear(w);
	wire_text(w, 1, name);
	wire_text(w, 2, key);
	wire_int(w, 4, (int64_t)size);
}

void loadgen_write_options(struct wire *w, const char *avatar, double fps)
{
	struct wire options = { 0 };
	wire_text(&options, 1, avatar);
	wire_int(&options, 5, 16000);
	wire_int(&options, 6, (int64_t)(fps * 1000 + 0.5));
	wire_int(&options, 7, 1000);
	wire_clear(w);
	wire_message(w, 1, &options);
	wire_free(&options);
}

void loadgen_write_sound(struct wire *w, const int16_t *samples, size_t n)
{
	wire_clear(w);
	wire_bytes(w, 2, samples, n * sizeof *samples);
}

/* ---- answers ---- */

static bool is_jpeg(const struct wire_field *field)
{
	return field->size > 4 && field->data[0] == 0xff && field->data[1] == 0xd8;
}

enum inlay_err loadgen_check_infer(const uint8_t *data, size_t size, const struct loadgen_batch *b,
                                   struct inlay_error *err)
{
	struct wire_field field;
	size_t raw = 0, outputs = 0, expected = b->region ? 0 : b->n * b->model->mouth_bytes;
	while (wire_next(&data, &size, &field)) {
		raw += field.number == 6 ? field.size : 0;
		outputs += field.number == 5;
	}
	if (size || !outputs)
		return fail_broken(err, "ModelInfer");
	if (raw != expected)
		return il_fail(err, INLAY_ERR_FORMAT, "an answer of %zu bytes of mouths, expected %zu", raw, expected);
	return INLAY_OK;
}

enum inlay_err loadgen_check_composite(const uint8_t *data, size_t size, unsigned n, struct inlay_error *err)
{
	struct wire_field field, text = { 0 };
	unsigned frames = 0, broken = 0;
	bool success = false;
	while (wire_next(&data, &size, &field)) {
		if (field.number == 1 && field.bytes) {
			frames++;
			broken += !is_jpeg(&field);
		} else if (field.number == 8) {
			success = field.value;
		} else if (field.number == 9 && field.bytes) {
			text = field;
		}
	}
	if (size)
		return fail_broken(err, "InferBatchComposite");
	if (!success)
		return il_fail(err, INLAY_ERR_BUSY, "%.*s", (int)(text.size < 500 ? text.size : 500),
		               text.data ? (const char *)text.data : "no reason given");
	if (frames != n || broken)
		return il_fail(err, INLAY_ERR_FORMAT, "an answer of %u frames, %u of them no JPEG; expected %u", frames,
		               broken, n);
	return INLAY_OK;
}

enum inlay_err loadgen_check_frame(const uint8_t *data, size_t size, int64_t index, struct inlay_error *err)
{
	struct wire_field field;
	int64_t found = 0;
	bool picture = false;
	while (wire_next(&data, &size, &field)) {
		if (field.number == 1)
			found = (int64_t)field.value;
		else if (field.number == 3 && field.bytes)
			picture = is_jpeg(&field);
	}
	if (size)
		return fail_broken(err, "Render");
	if (found != index || !picture)
		return il_fail(err, INLAY_ERR_FORMAT, "frame %lld came, %s; expected frame %lld as JPEG",
		               (long long)found, picture ? "a JPEG" : "no JPEG", (long long)index);
	return INLAY_OK;
}
