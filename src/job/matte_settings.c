/* One table of all settings, for options, settings files and what is noted in the output. */
#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "inlay/matte.h"

#define MAX_BYTES (1 << 20) /* of a settings file */
#define MAX_SIDE 8192
#define DIGITS 10

enum kind { NUMBER, INTEGER, FLAG, WORD, TEXT, SIZE, PRESET };

/* PATH: a text that may name a file. */
static const struct setting {
	const char *name;
	enum kind kind;
	size_t offset;
	double low, high;
	const char *const *words;
	bool path;
} settings[] = {
#define AT(member) offsetof(struct inlay_matte_settings, member)
#define WORDS(...)                                                                                                     \
	(const char *const[])                                                                                          \
	{                                                                                                              \
		__VA_ARGS__, NULL                                                                                      \
	}
	{ "preset", PRESET },
	{ "model", TEXT, AT(model), .path = true },
	{ "manifest", TEXT, AT(manifest), .path = true },
	{ "size", SIZE, AT(width) },
	{ "threshold", NUMBER, AT(look.threshold), 0, 1 },
	{ "soft", NUMBER, AT(look.soft), 0, 1 },
	{ "expand", INTEGER, AT(look.expand), -256, 256 },
	{ "smooth", NUMBER, AT(look.smooth), 0, 20 },
	{ "feather", NUMBER, AT(look.feather), 0, 100 },
	{ "feather_side", WORD, AT(look.side), .words = WORDS("out", "both", "in") },
	{ "contour", NUMBER, AT(look.contour), 0, 1 },
	{ "contour_of_background", FLAG, AT(look.contour_of_background) },
	{ "temporal", NUMBER, AT(look.temporal), 0, 1 },
	{ "every", INTEGER, AT(every), 1, 1000 },
	{ "similar", NUMBER, AT(similar), 0, 100 },
	{ "upsample", WORD, AT(look.upsample), .words = WORDS("guided", "bilinear", "nearest") },
	{ "guided_radius", INTEGER, AT(look.guided_radius), 0, 64 },
	{ "guided_epsilon", NUMBER, AT(look.guided_epsilon), 1e-6, 1 },
	{ "full_size", FLAG, AT(look.full_size) },
	{ "exact", FLAG, AT(look.exact) },
	{ "invert", FLAG, AT(look.invert) },
	{ "blur", NUMBER, AT(look.blur), 0, 100 },
	{ "halo_free", FLAG, AT(look.halo_free) },
	{ "background", TEXT, AT(background), .path = true },
	{ "fit", WORD, AT(fit), .words = WORDS("fill", "fit", "tile", "stretch") },
	{ "focal", TEXT, AT(focal), .path = true },
	{ "plate", TEXT, AT(plate), .path = true },
	{ "mask_only", FLAG, AT(look.mask_only) },
	{ "alpha", FLAG, AT(alpha) },
	{ "foreground", WORD, AT(look.foreground), .words = WORDS("raw", "clean") },
};
#define N_SETTINGS (sizeof settings / sizeof *settings)

void inlay_matte_settings_init(struct inlay_matte_settings *s, enum inlay_matte_preset preset)
{
	*s = (struct inlay_matte_settings){ .every = 1 };
	inlay_matte_look_init(&s->look, preset);
}

void inlay_matte_settings_destroy(struct inlay_matte_settings *s)
{
	for (size_t i = 0; i < N_SETTINGS; i++)
		if (settings[i].kind == TEXT) {
			char **text = (char **)((char *)s + settings[i].offset);
			free(*text);
			*text = NULL;
		}
}

/* ---- one setting from text ---- */

static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !(*a == '_' && *b == '-'))
			return false;
	return *a == *b;
}

static const struct setting *find(const char *name)
{
	for (size_t i = 0; i < N_SETTINGS; i++)
		if (same_name(settings[i].name, name))
			return &settings[i];
	return NULL;
}

static enum inlay_err unknown(const char *where, const char *name, enum inlay_err code, struct inlay_error *err)
{
	char list[512] = "";
	for (size_t i = 0; i < N_SETTINGS; i++) {
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", settings[i].name);
	}
	return il_fail(err, code, "%sunknown setting \"%s\"; known are %s", where, name, list);
}

static enum inlay_err set_number(const struct setting *to, void *at, const char *value, struct inlay_error *err)
{
	char *end;
	double number = strtod(value, &end);
	if (end == value || *end || !(number >= to->low && number <= to->high))
		return il_fail(err, INLAY_ERR_INVALID, "%s is \"%s\"; expected a number from %g to %g", to->name, value,
		               to->low, to->high);
	*(double *)at = number;
	return INLAY_OK;
}

static enum inlay_err set_integer(const struct setting *to, void *at, const char *value, struct inlay_error *err)
{
	char *end;
	errno = 0;
	long number = strtol(value, &end, 10);
	if (errno || end == value || *end || !(number >= to->low && number <= to->high))
		return il_fail(err, INLAY_ERR_INVALID, "%s is \"%s\"; expected a whole number from %g to %g", to->name,
		               value, to->low, to->high);
	*(int *)at = (int)number;
	return INLAY_OK;
}

static enum inlay_err set_flag(const struct setting *to, void *at, const char *value, struct inlay_error *err)
{
	if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
		return il_fail(err, INLAY_ERR_INVALID, "%s is \"%s\"; expected true or false", to->name, value);
	*(bool *)at = !strcmp(value, "true");
	return INLAY_OK;
}

static enum inlay_err set_word(const struct setting *to, void *at, const char *value, struct inlay_error *err)
{
	char list[128] = "";
	for (int i = 0; to->words[i]; i++) {
		if (!strcmp(to->words[i], value)) {
			*(int *)at = i; /* enums here are ints */
			return INLAY_OK;
		}
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", to->words[i]);
	}
	return il_fail(err, INLAY_ERR_INVALID, "%s is \"%s\"; expected one of %s", to->name, value, list);
}

/* An empty text is none. */
static enum inlay_err set_text(void *at, const char *value, struct inlay_error *err)
{
	char **text = at, *copy = *value ? strdup(value) : NULL;
	if (*value && !copy)
		return il_fail_memory(err);
	free(*text);
	*text = copy;
	return INLAY_OK;
}

/* "512x288", or "0x0" for the network's own. */
static enum inlay_err set_size(struct inlay_matte_settings *s, const char *value, struct inlay_error *err)
{
	int width, height, used = 0;
	bool good = sscanf(value, "%5dx%5d%n", &width, &height, &used) == 2 && !value[used] && width <= MAX_SIDE &&
	            height <= MAX_SIDE && ((width > 0 && height > 0) || (width == 0 && height == 0));
	if (!good)
		return il_fail(err, INLAY_ERR_INVALID,
		               "size is \"%s\"; expected WIDTHxHEIGHT such as 512x288, up to %d", value, MAX_SIDE);
	s->width = width;
	s->height = height;
	return INLAY_OK;
}

static enum inlay_err set_preset(struct inlay_matte_settings *s, const char *value, struct inlay_error *err)
{
	char list[128] = "";
	for (int i = 0; i < INLAY_MATTE_PRESETS; i++) {
		const char *name = inlay_matte_preset_name((enum inlay_matte_preset)i);
		if (!strcmp(name, value)) {
			inlay_matte_look_init(&s->look, (enum inlay_matte_preset)i);
			return INLAY_OK;
		}
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", name);
	}
	return il_fail(err, INLAY_ERR_INVALID, "preset is \"%s\"; expected one of %s", value, list);
}

static enum inlay_err set(struct inlay_matte_settings *s, const struct setting *to, const char *value,
                          struct inlay_error *err)
{
	void *at = (char *)s + to->offset;
	switch (to->kind) {
	case NUMBER: return set_number(to, at, value, err);
	case INTEGER: return set_integer(to, at, value, err);
	case FLAG: return set_flag(to, at, value, err);
	case WORD: return set_word(to, at, value, err);
	case TEXT: return set_text(at, value, err);
	case SIZE: return set_size(s, value, err);
	case PRESET: return set_preset(s, value, err);
	}
	return INLAY_OK;
}

enum inlay_err inlay_matte_settings_set(struct inlay_matte_settings *s, const char *name, const char *value,
                                        struct inlay_error *err)
{
	const struct setting *to = find(name);
	return to ? set(s, to, value, err) : unknown("", name, INLAY_ERR_INVALID, err);
}

/* ---- a file of them ---- */

struct file {
	const char *path, *folder;
	const char *preset; /* in place of its own, NULL: none */
};

/* A value as text, or NULL where its kind is wrong: numbers and flags are not written in quotes. `text` has the room
 * that numbers need. */
static const char *value_text(const struct setting *to, const json_t *value, char text[64])
{
	bool quoted = to->kind != NUMBER && to->kind != INTEGER && to->kind != FLAG;
	if (quoted)
		return json_string_value(value);
	if (to->kind == FLAG)
		return json_is_boolean(value) ? (json_is_true(value) ? "true" : "false") : NULL;
	if (json_is_integer(value))
		snprintf(text, 64, "%lld", (long long)json_integer_value(value));
	else if (json_is_real(value) && to->kind == NUMBER)
		snprintf(text, 64, "%.17g", json_real_value(value));
	else
		return NULL;
	return text;
}

static const char *kind_name(enum kind kind)
{
	return kind == NUMBER    ? "a number"
	       : kind == INTEGER ? "a whole number"
	       : kind == FLAG    ? "true or false"
	                         : "a text";
}

static enum inlay_err take(struct inlay_matte_settings *s, const struct file *file, const struct setting *to,
                           const json_t *value, struct inlay_error *err)
{
	char number[64], *beside = NULL;
	const char *text = value_text(to, value, number);
	if (!text)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: %s is %s; expected %s", file->path, to->name,
		               il_json_kind(value), kind_name(to->kind));
	if (to->path && *text && !(beside = il_path_join(file->folder, text)))
		return il_fail_memory(err);
	/* A colour or a model's name stays what it is. */
	struct inlay_error why = { 0 };
	enum inlay_err rc = set(s, to, beside && il_path_exists(beside) ? beside : text, &why);
	free(beside);
	return rc == INLAY_ERR_INVALID ? il_fail(err, INLAY_ERR_FORMAT, "%s: %s", file->path, why.text)
	       : rc                    ? il_fail(err, rc, "%s", why.text)
	                               : INLAY_OK;
}

static enum inlay_err take_all(struct inlay_matte_settings *s, const struct file *file, const json_t *root,
                               struct inlay_error *err)
{
	const char *name;
	json_t *value;
	if (!json_is_object(root))
		return il_fail(err, INLAY_ERR_FORMAT, "%s: is %s; expected an object of settings", file->path,
		               il_json_kind(root));
	char where[512];
	snprintf(where, sizeof where, "%s: ", file->path);
	enum inlay_err rc = INLAY_OK;
	json_object_foreach((json_t *)root, name, value)
	{
		if (!rc && !find(name))
			rc = unknown(where, name, INLAY_ERR_FORMAT, err);
	}
	if (!rc && file->preset)
		rc = set_preset(s, file->preset, err);
	for (size_t i = 0; i < N_SETTINGS && !rc; i++) { /* in the table's order: the preset first */
		const bool replaced = settings[i].kind == PRESET && file->preset;
		json_object_foreach((json_t *)root, name, value)
		{
			if (!rc && !replaced && find(name) == &settings[i])
				rc = take(s, file, &settings[i], value, err);
		}
	}
	return rc;
}

static enum inlay_err copy(struct inlay_matte_settings *to, const struct inlay_matte_settings *from,
                           struct inlay_error *err)
{
	bool complete = true;
	*to = *from;
	for (size_t i = 0; i < N_SETTINGS; i++)
		if (settings[i].kind == TEXT) {
			char **text = (char **)((char *)to + settings[i].offset);
			if (*text && !(*text = strdup(*text)))
				complete = false;
		}
	if (complete)
		return INLAY_OK;
	inlay_matte_settings_destroy(to);
	return il_fail_memory(err);
}

enum inlay_err inlay_matte_settings_read(struct inlay_matte_settings *s, const char *path, const char *preset,
                                         struct inlay_error *err)
{
	struct inlay_matte_settings changed;
	struct il_bytes bytes = { 0 };
	json_t *root = NULL;
	enum inlay_err rc = il_file_read(path, MAX_BYTES, &bytes, err);
	if (!rc)
		rc = il_json_parse(bytes.data, bytes.size, path, &root, err);
	il_bytes_destroy(&bytes);
	if (rc)
		return rc;
	char *folder = il_path_folder(path);
	const struct file file = { path, folder, preset };
	rc = folder ? copy(&changed, s, err) : il_fail_memory(err);
	if (!rc) {
		rc = take_all(&changed, &file, root, err);
		inlay_matte_settings_destroy(rc ? &changed : s);
		if (!rc)
			*s = changed;
	}
	free(folder);
	json_decref(root);
	return rc;
}

/* ---- back into text ---- */

/* Rounded to what is written, so that it is written the same way again. */
static json_t *give_number(double value)
{
	char text[DIGITS + 16];
	snprintf(text, sizeof text, "%.*g", DIGITS, value);
	value = strtod(text, NULL);
	return value == (int)value ? json_integer((int)value) : json_real(value);
}

static json_t *give(const struct inlay_matte_settings *s, const struct setting *from)
{
	const void *at = (const char *)s + from->offset;
	const char *text;
	switch (from->kind) {
	case NUMBER: return give_number(*(const double *)at);
	case INTEGER: return json_integer(*(const int *)at);
	case FLAG: return json_boolean(*(const bool *)at);
	case WORD: return json_string(from->words[*(const int *)at]);
	case SIZE: return s->width ? json_sprintf("%dx%d", s->width, s->height) : NULL;
	case TEXT: text = *(char *const *)at; return text ? json_string(text) : NULL;
	case PRESET: break;
	}
	return NULL;
}

char *inlay_matte_settings_format(const struct inlay_matte_settings *s)
{
	json_t *root = json_object();
	for (size_t i = 0; i < N_SETTINGS; i++) {
		json_t *value = give(s, &settings[i]);
		if (value)
			json_object_set_new(root, settings[i].name, value);
	}
	char *text = root ? json_dumps(root, JSON_REAL_PRECISION(DIGITS)) : NULL;
	json_decref(root);
	return text;
}
