#include "infer/matte_manifest.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

#define MAX_BYTES (1 << 20)
#define VERSION_KEY "inlay_model"
#define DIGITS 10 /* of a number in a file that we write: more than a float has */

static const char *const kind_words[] = { "matte", "depth", NULL };
static const char *const layout_words[] = { "nchw", "nhwc", NULL };
static const char *const color_words[] = { "rgb", "bgr", NULL };
static const char *const activation_words[] = { "none", "sigmoid", "softmax", "bytes", NULL };

/* A value under way into a manifest, and the words for messages. */
struct reader {
	const char *name, *key;
	struct inlay_error *err;
};

static enum inlay_err wrong_kind(const struct reader *r, const json_t *found, const char *expected)
{
	return il_fail(r->err, INLAY_ERR_FORMAT, "%s: %s is %s; expected %s", r->name, r->key, il_json_kind(found),
	               expected);
}

static enum inlay_err take_word(const struct reader *r, const json_t *value, const char *const *words, int *out)
{
	char list[80] = "";
	for (int i = 0; words[i]; i++) {
		size_t used = strlen(list);
		if (json_is_string(value) && !strcmp(json_string_value(value), words[i])) {
			*out = i;
			return INLAY_OK;
		}
		snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", words[i]);
	}
	if (!json_is_string(value))
		return wrong_kind(r, value, list);
	return il_fail(r->err, INLAY_ERR_FORMAT, "%s: %s is \"%.100s\"; expected %s", r->name, r->key,
	               json_string_value(value), list);
}

static enum inlay_err take_integer(const struct reader *r, const json_t *value, int low, int high, int *out)
{
	if (!json_is_integer(value))
		return wrong_kind(r, value, "a whole number");
	json_int_t n = json_integer_value(value);
	if (n < low || n > high)
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: %s is %lld; expected %d to %d", r->name, r->key,
		               (long long)n, low, high);
	*out = (int)n;
	return INLAY_OK;
}

static enum inlay_err take_name(const struct reader *r, const json_t *value, char out[IL_TENSOR_NAME])
{
	if (!json_is_string(value) || !json_string_length(value))
		return wrong_kind(r, value, "a tensor's name");
	if (json_string_length(value) >= IL_TENSOR_NAME)
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: %s: a name of %zu bytes; expected at most %d", r->name,
		               r->key, json_string_length(value), IL_TENSOR_NAME - 1);
	snprintf(out, IL_TENSOR_NAME, "%s", json_string_value(value));
	return INLAY_OK;
}

/* One number for all three channels, or three. */
static enum inlay_err take_three(const struct reader *r, const json_t *value, double out[3])
{
	bool list = json_is_array(value) && json_array_size(value) == 3;
	for (size_t c = 0; c < 3; c++) {
		const json_t *number = list ? json_array_get(value, c) : value;
		if (!json_is_number(number))
			return wrong_kind(r, json_is_array(value) ? value : number, "a number, or a list of three");
		out[c] = json_number_value(number);
	}
	return INLAY_OK;
}

static enum inlay_err take_kind(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	int word;
	enum inlay_err rc = take_word(r, value, kind_words, &word);
	if (!rc)
		m->kind = (enum il_matte_kind)word;
	return rc;
}

static enum inlay_err take_layout(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	int word;
	enum inlay_err rc = take_word(r, value, layout_words, &word);
	if (!rc)
		m->layout = (enum il_matte_layout)word;
	return rc;
}

static enum inlay_err take_color(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	int word;
	enum inlay_err rc = take_word(r, value, color_words, &word);
	if (!rc)
		m->color = (enum il_matte_color)word;
	return rc;
}

static enum inlay_err take_activation(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	int word;
	enum inlay_err rc = take_word(r, value, activation_words, &word);
	if (!rc)
		m->activation = (enum il_matte_activation)word;
	return rc;
}

static enum inlay_err take_scale(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	return take_three(r, value, m->scale);
}

static enum inlay_err take_mean(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	return take_three(r, value, m->mean);
}

static enum inlay_err take_std(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	enum inlay_err rc = take_three(r, value, m->std);
	for (int c = 0; c < 3 && !rc; c++)
		if (!(m->std[c] > 1e-30))
			rc = il_fail(r->err, INLAY_ERR_FORMAT, "%s: std holds %g; expected numbers above 0", r->name,
			             m->std[c]);
	return rc;
}

static enum inlay_err take_size(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	if (!json_is_array(value) || json_array_size(value) != 2)
		return wrong_kind(r, value, "[WIDTH, HEIGHT]");
	enum inlay_err rc = take_integer(r, json_array_get(value, 0), 1, IL_MATTE_MAX_SIDE, &m->width);
	return rc ? rc : take_integer(r, json_array_get(value, 1), 1, IL_MATTE_MAX_SIDE, &m->height);
}

static enum inlay_err take_input(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	return take_name(r, value, m->input);
}

static enum inlay_err take_output(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	return take_name(r, value, m->output);
}

static enum inlay_err take_foreground(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	return take_name(r, value, m->foreground);
}

static enum inlay_err take_channel(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	return take_integer(r, value, 0, IL_MATTE_MAX_CHANNELS - 1, &m->channel);
}

static enum inlay_err take_invert(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	if (!json_is_boolean(value))
		return wrong_kind(r, value, "true or false");
	m->invert = json_is_true(value);
	return INLAY_OK;
}

static enum inlay_err take_states(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	size_t i;
	json_t *pair;
	if (!json_is_array(value))
		return wrong_kind(r, value, "a list of pairs [INPUT, OUTPUT]");
	if (json_array_size(value) > IL_MATTE_MAX_STATES)
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: states has %zu pairs; expected at most %d", r->name,
		               json_array_size(value), IL_MATTE_MAX_STATES);
	json_array_foreach(value, i, pair)
	{
		if (!json_is_array(pair) || json_array_size(pair) != 2)
			return wrong_kind(r, pair, "pairs [INPUT, OUTPUT]");
		enum inlay_err rc = take_name(r, json_array_get(pair, 0), m->states[i].in);
		if (!rc)
			rc = take_name(r, json_array_get(pair, 1), m->states[i].out);
		if (rc)
			return rc;
	}
	m->state_count = (int)json_array_size(value);
	return INLAY_OK;
}

static enum inlay_err take_constant(const struct reader *r, const char *name, const json_t *value,
                                    struct il_matte_constant *out)
{
	size_t count = json_is_array(value) ? json_array_size(value) : 1;
	if (!*name || strlen(name) >= IL_TENSOR_NAME || count < 1 || count > IL_MATTE_MAX_VALUES)
		return il_fail(r->err, INLAY_ERR_FORMAT,
		               "%s: inputs: \"%.100s\": expected a tensor's name and 1 to %d "
		               "numbers",
		               r->name, name, IL_MATTE_MAX_VALUES);
	for (size_t i = 0; i < count; i++) {
		const json_t *number = json_is_array(value) ? json_array_get(value, i) : value;
		if (!json_is_number(number))
			return il_fail(r->err, INLAY_ERR_FORMAT,
			               "%s: inputs: \"%s\" is %s; expected a number, or a list", r->name, name,
			               il_json_kind(number));
		out->values[i] = json_number_value(number);
	}
	out->count = (int)count;
	snprintf(out->name, sizeof out->name, "%s", name);
	return INLAY_OK;
}

static enum inlay_err take_inputs(const struct reader *r, const json_t *value, struct il_matte_manifest *m)
{
	const char *name;
	json_t *number;
	if (!json_is_object(value))
		return wrong_kind(r, value, "an object {NAME: NUMBER}");
	if (json_object_size(value) > IL_MATTE_MAX_CONSTANTS)
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: inputs has %zu members; expected at most %d", r->name,
		               json_object_size(value), IL_MATTE_MAX_CONSTANTS);
	json_object_foreach((json_t *)value, name, number)
	{
		enum inlay_err rc = take_constant(r, name, number, &m->constants[m->constant_count]);
		if (rc)
			return rc;
		m->constant_count++;
	}
	return INLAY_OK;
}

static json_t *give_kind(const struct il_matte_manifest *m)
{
	return json_string(kind_words[m->kind]);
}

static json_t *give_layout(const struct il_matte_manifest *m)
{
	return json_string(layout_words[m->layout]);
}

static json_t *give_color(const struct il_matte_manifest *m)
{
	return json_string(color_words[m->color]);
}

static json_t *give_activation(const struct il_matte_manifest *m)
{
	return json_string(activation_words[m->activation]);
}

/* Of DIGITS digits, whole numbers without a fraction: what is read again is written the same way. */
static json_t *give_number(double value)
{
	char text[DIGITS + 16];
	snprintf(text, sizeof text, "%.*g", DIGITS, value);
	value = strtod(text, NULL);
	return value > -1e9 && value < 1e9 && value == (int)value ? json_integer((int)value) : json_real(value);
}

static json_t *give_three(const double values[3])
{
	if (values[0] == values[1] && values[1] == values[2])
		return give_number(values[0]);
	return json_pack("[o,o,o]", give_number(values[0]), give_number(values[1]), give_number(values[2]));
}

static json_t *give_scale(const struct il_matte_manifest *m)
{
	return give_three(m->scale);
}

static json_t *give_mean(const struct il_matte_manifest *m)
{
	return give_three(m->mean);
}

static json_t *give_std(const struct il_matte_manifest *m)
{
	return give_three(m->std);
}

static json_t *give_size(const struct il_matte_manifest *m)
{
	return json_pack("[i,i]", m->width, m->height);
}

static json_t *give_input(const struct il_matte_manifest *m)
{
	return json_string(m->input);
}

static json_t *give_output(const struct il_matte_manifest *m)
{
	return json_string(m->output);
}

static json_t *give_foreground(const struct il_matte_manifest *m)
{
	return json_string(m->foreground);
}

static json_t *give_channel(const struct il_matte_manifest *m)
{
	return json_integer(m->channel);
}

static json_t *give_invert(const struct il_matte_manifest *m)
{
	return json_boolean(m->invert);
}

static json_t *give_states(const struct il_matte_manifest *m)
{
	json_t *list = json_array();
	for (int i = 0; i < m->state_count; i++)
		json_array_append_new(list, json_pack("[s,s]", m->states[i].in, m->states[i].out));
	return list;
}

static json_t *give_inputs(const struct il_matte_manifest *m)
{
	json_t *object = json_object();
	for (int i = 0; i < m->constant_count; i++) {
		const struct il_matte_constant *c = &m->constants[i];
		json_t *list = json_array();
		for (int k = 0; k < c->count; k++)
			json_array_append_new(list, give_number(c->values[k]));
		json_object_set(object, c->name, c->count == 1 ? json_array_get(list, 0) : list);
		json_decref(list);
	}
	return object;
}

/* Every key: its name, how it is read and how it is written. */
static const struct {
	const char *name;
	enum inlay_err (*take)(const struct reader *r, const json_t *value, struct il_matte_manifest *m);
	json_t *(*give)(const struct il_matte_manifest *m);
} keys[IL_MATTE_KEYS] = {
	[IL_MATTE_KEY_KIND] = { "kind", take_kind, give_kind },
	[IL_MATTE_KEY_LAYOUT] = { "layout", take_layout, give_layout },
	[IL_MATTE_KEY_COLOR] = { "color", take_color, give_color },
	[IL_MATTE_KEY_SCALE] = { "scale", take_scale, give_scale },
	[IL_MATTE_KEY_MEAN] = { "mean", take_mean, give_mean },
	[IL_MATTE_KEY_STD] = { "std", take_std, give_std },
	[IL_MATTE_KEY_SIZE] = { "size", take_size, give_size },
	[IL_MATTE_KEY_INPUT] = { "input", take_input, give_input },
	[IL_MATTE_KEY_INPUTS] = { "inputs", take_inputs, give_inputs },
	[IL_MATTE_KEY_OUTPUT] = { "output", take_output, give_output },
	[IL_MATTE_KEY_ACTIVATION] = { "activation", take_activation, give_activation },
	[IL_MATTE_KEY_CHANNEL] = { "channel", take_channel, give_channel },
	[IL_MATTE_KEY_INVERT] = { "invert", take_invert, give_invert },
	[IL_MATTE_KEY_FOREGROUND] = { "foreground", take_foreground, give_foreground },
	[IL_MATTE_KEY_STATES] = { "states", take_states, give_states },
};

static enum inlay_err unknown_key(const char *name, const char *key, struct inlay_error *err)
{
	char list[300] = VERSION_KEY;
	for (int i = 0; i < IL_MATTE_KEYS; i++) {
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, ", %s", keys[i].name);
	}
	return il_fail(err, INLAY_ERR_FORMAT, "%s: unknown key \"%.100s\"; known are %s", name, key, list);
}

static enum inlay_err take_version(const json_t *root, const char *name, struct inlay_error *err)
{
	const json_t *value = json_object_get(root, VERSION_KEY);
	int version;
	if (!value)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: %s is missing; expected \"%s\": 1", name, VERSION_KEY,
		               VERSION_KEY);
	return take_integer(&(struct reader){ name, VERSION_KEY, err }, value, 1, 1, &version);
}

static enum inlay_err take_keys(json_t *root, const char *name, struct il_matte_manifest *m, struct inlay_error *err)
{
	const char *key;
	json_t *value;
	enum inlay_err rc = INLAY_OK;
	json_object_foreach(root, key, value)
	{
		int i = 0;
		if (!strcmp(key, VERSION_KEY))
			continue;
		while (i < IL_MATTE_KEYS && strcmp(keys[i].name, key))
			i++;
		if (i == IL_MATTE_KEYS)
			rc = unknown_key(name, key, err);
		else
			rc = keys[i].take(&(struct reader){ name, key, err }, value, m);
		if (rc)
			break;
		m->source[i] = IL_MATTE_STATED;
	}
	return rc;
}

enum inlay_err il_matte_manifest_parse(const void *data, size_t size, const char *name,
                                       struct il_matte_manifest *manifest, struct inlay_error *err)
{
	json_t *root = NULL;
	*manifest = (struct il_matte_manifest){ 0 };
	enum inlay_err rc = il_json_parse(data, size, name, &root, err);
	if (!rc && !json_is_object(root))
		rc = il_fail(err, INLAY_ERR_FORMAT, "%s: is %s; expected an object", name, il_json_kind(root));
	if (!rc)
		rc = take_version(root, name, err);
	if (!rc)
		rc = take_keys(root, name, manifest, err);
	json_decref(root);
	return rc;
}

enum inlay_err il_matte_manifest_read(const char *path, struct il_matte_manifest *manifest, struct inlay_error *err)
{
	struct il_bytes bytes = { 0 };
	enum inlay_err rc = il_file_read(path, MAX_BYTES, &bytes, err);
	if (!rc)
		rc = il_matte_manifest_parse(bytes.data, bytes.size, path, manifest, err);
	il_bytes_destroy(&bytes);
	return rc;
}

const char *il_matte_key_name(enum il_matte_key key)
{
	return keys[key].name;
}

static char *dump(json_t *value)
{
	char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(DIGITS)) : NULL;
	json_decref(value);
	return text;
}

const char *il_matte_key_value(const struct il_matte_manifest *manifest, enum il_matte_key key, char *text, size_t size)
{
	char *dumped = dump(keys[key].give(manifest));
	size_t n = 0;
	for (const char *p = dumped ? dumped : ""; *p && n + 1 < size; p++)
		if (*p != '"')
			text[n++] = *p;
	text[n] = 0;
	free(dumped);
	return text;
}

char *il_matte_manifest_format(const struct il_matte_manifest *manifest)
{
	char *text = NULL;
	size_t size = 0;
	bool complete = true;
	FILE *f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	fprintf(f, "{\n  \"%s\": 1", VERSION_KEY);
	for (int i = 0; i < IL_MATTE_KEYS; i++) {
		if (manifest->source[i] == IL_MATTE_UNKNOWN)
			continue;
		char *value = dump(keys[i].give(manifest));
		complete = complete && value;
		fprintf(f, ",\n  \"%s\": %s", keys[i].name, value ? value : "");
		free(value);
	}
	fputs("\n}\n", f);
	if (fclose(f) || !complete) {
		free(text);
		return NULL;
	}
	return text;
}
