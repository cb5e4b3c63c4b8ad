/* The text of avatar.json, whose keys docs/avatar.md describes; no file that it names is looked at. */
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "avatar/pack_impl.h"
#include "base/pattern.h"

#define MAX_FPS 1000
#define MAX_FPS_TERM 1000000 /* keeps products of rates and frame numbers within 64 bits */

static const char *const interp_names[] = { [IL_INTERP_LINEAR] = "linear", [IL_INTERP_CUBIC] = "cubic" };

static const char *const known_keys[] = { "inlay_avatar", "source", "first",         "frames",   "fps", "rectangles",
	                                  "parsing",      "model",  "audio_encoder", "defaults", NULL };
static const char *const known_defaults[] = { "order", "start_frame", "interp", NULL };

/* prefix: "" or "defaults." */
static enum inlay_err check_keys(json_t *object, const char *prefix, const char *const *known, const char *name,
                                 struct il_faults *faults)
{
	char list[200] = "";
	size_t used = 0;
	enum inlay_err rc = INLAY_OK;
	const char *key;
	json_t *value;
	for (int i = 0; known[i]; i++)
		used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", known[i]);
	json_object_foreach(object, key, value)
	{
		int i = 0;
		while (known[i] && strcmp(known[i], key))
			i++;
		if (!known[i] && (rc = il_fault(faults, INLAY_ERR_FORMAT, "%s: unknown key \"%s%.100s\"; known are %s",
		                                name, prefix, key, list)))
			break;
	}
	return rc;
}

static enum inlay_err wrong_kind(const char *key, const json_t *found, const char *expected, const char *name,
                                 struct il_faults *faults)
{
	return il_fault(faults, INLAY_ERR_FORMAT, "%s: %s is %s; expected %s", name, key, il_json_kind(found),
	                expected);
}

static enum inlay_err take_string(const json_t *object, const char *key, const char **out, const char *name,
                                  struct il_faults *faults)
{
	const json_t *value = json_object_get(object, key);
	if (!value)
		return INLAY_OK;
	if (!json_is_string(value) || !json_string_length(value))
		return wrong_kind(key, value, "a name", name, faults);
	*out = json_string_value(value);
	return INLAY_OK;
}

static enum inlay_err take_integer(const json_t *object, const char *key, int64_t low, int64_t high, int64_t *out,
                                   const char *name, struct il_faults *faults)
{
	const json_t *value = json_object_get(object, key);
	if (!value)
		return INLAY_OK;
	if (!json_is_integer(value))
		return wrong_kind(key, value, "a whole number", name, faults);
	int64_t n = json_integer_value(value);
	if (n < low || n > high)
		return il_fault(faults, INLAY_ERR_FORMAT, "%s: %s is %" PRId64 "; expected %" PRId64 " to %" PRId64,
		                name, key, n, low, high);
	*out = n;
	return INLAY_OK;
}

static struct inlay_rational reduce(struct inlay_rational rate)
{
	int a = rate.num, b = rate.den;
	while (b) {
		int rest = a % b;
		a = b;
		b = rest;
	}
	return a ? (struct inlay_rational){ rate.num / a, rate.den / a } : rate;
}

/* 29.97 stands for 30000/1001, as everywhere in video; other rates are kept to a thousandth. */
static struct inlay_rational rate_of_number(double fps)
{
	struct inlay_rational rate = { (int)lround(fps * 1000), 1000 };
	double ntsc = round(fps * 1.001);
	if (fabs(fps - ntsc / 1.001) < 0.005 && fabs(fps - round(fps)) > 0.005)
		rate = (struct inlay_rational){ (int)ntsc * 1000, 1001 };
	return reduce(rate);
}

/* "30000/1001": two numbers of up to nine digits */
static bool rate_of_text(const char *text, struct inlay_rational *rate)
{
	size_t n = strspn(text, "0123456789");
	size_t m = text[n] == '/' ? strspn(text + n + 1, "0123456789") : 0;
	if (!n || n > 9 || !m || m > 9 || text[n + 1 + m])
		return false;
	*rate = reduce((struct inlay_rational){ atoi(text), atoi(text + n + 1) });
	return true;
}

static enum inlay_err take_fps(const json_t *root, struct inlay_rational *out, const char *name,
                               struct il_faults *faults)
{
	const json_t *value = json_object_get(root, "fps");
	struct inlay_rational rate = { 0 };
	if (!value)
		return INLAY_OK;
	if (json_is_number(value) && json_number_value(value) > 0 && json_number_value(value) <= MAX_FPS)
		rate = rate_of_number(json_number_value(value));
	else if (json_is_string(value))
		rate_of_text(json_string_value(value), &rate);
	if (rate.num < 1 || rate.den < 1 || rate.num > MAX_FPS * (int64_t)rate.den)
		return il_fault(faults, INLAY_ERR_FORMAT,
		                "%s: fps is no rate; expected a number above 0 and up to %d, or \"30000/1001\"", name,
		                MAX_FPS);
	if (rate.num > MAX_FPS_TERM || rate.den > MAX_FPS_TERM)
		return il_fault(faults, INLAY_ERR_FORMAT, "%s: fps is %d/%d in lowest terms; expected terms up to %d",
		                name, rate.num, rate.den, MAX_FPS_TERM);
	*out = rate;
	return INLAY_OK;
}

static enum inlay_err take_rectangles(struct il_manifest *manifest, const char *name, struct il_faults *faults)
{
	json_t *value = json_object_get(manifest->root, "rectangles");
	if (json_is_array(value))
		manifest->rect_list = value;
	else if (json_is_string(value) && json_string_length(value))
		manifest->rect_file = json_string_value(value);
	else
		return wrong_kind("rectangles", value, "a file's name, \"landmarks/%d.lms\" or a list", name, faults);
	return INLAY_OK;
}

static enum inlay_err take_interp(const json_t *defaults, int *out, const char *name, struct il_faults *faults)
{
	const char *word = NULL;
	enum inlay_err rc = take_string(defaults, "interp", &word, name, faults);
	for (int i = IL_INTERP_LINEAR; word && i <= IL_INTERP_CUBIC; i++)
		if (!strcmp(word, interp_names[i])) {
			*out = i;
			return INLAY_OK;
		}
	if (!rc && word)
		rc = il_fault(faults, INLAY_ERR_FORMAT, "%s: defaults.interp is \"%.100s\"; expected linear or cubic",
		              name, word);
	return rc;
}

static enum inlay_err take_order(const json_t *defaults, int *out, const char *name, struct il_faults *faults)
{
	const char *word = NULL;
	enum inlay_err rc = take_string(defaults, "order", &word, name, faults);
	if (word)
		*out = il_order_parse(word);
	if (!rc && word && *out < 0)
		rc = il_fault(faults, INLAY_ERR_FORMAT,
		              "%s: defaults.order is \"%.100s\"; expected bounce, loop, hold or cut", name, word);
	return rc;
}

static enum inlay_err take_defaults(struct il_manifest *manifest, const char *name, struct il_faults *faults)
{
	json_t *defaults = json_object_get(manifest->root, "defaults");
	if (!defaults)
		return INLAY_OK;
	if (!json_is_object(defaults))
		return wrong_kind("defaults", defaults, "an object", name, faults);
	enum inlay_err rc = check_keys(defaults, "defaults.", known_defaults, name, faults);
	if (!rc)
		rc = take_order(defaults, &manifest->order, name, faults);
	if (!rc)
		rc = take_integer(defaults, "start_frame", 0, IL_PACK_MAX_FRAMES, &manifest->start_frame, name, faults);
	if (!rc)
		rc = take_interp(defaults, &manifest->interp, name, faults);
	return rc;
}

static enum inlay_err bad_pattern(const char *key, const char *text, const char *name, struct il_faults *faults)
{
	return il_fault(faults, INLAY_ERR_FORMAT,
	                "%s: %s is \"%.200s\"; expected exactly one %%d (or such as %%06d) in it", name, key, text);
}

/* A name with a percent sign stands for numbered files. Where one is bad, checking goes on without it. */
static enum inlay_err check_patterns(struct il_manifest *manifest, const char *name, struct il_faults *faults)
{
	const char *file = manifest->rect_file, *parsing = manifest->parsing;
	enum inlay_err rc = INLAY_OK;
	if (file && strchr(file, '%') && !il_pattern_valid(file)) {
		manifest->rect_file = NULL;
		rc = bad_pattern("rectangles", file, name, faults);
	}
	if (!rc && parsing && !il_pattern_valid(parsing)) {
		manifest->parsing = NULL;
		rc = bad_pattern("parsing", parsing, name, faults);
	}
	return rc;
}

/* Without it there is nothing more to look at. */
static enum inlay_err take_source(struct il_manifest *manifest, const char *name, struct il_faults *faults)
{
	enum inlay_err rc = take_string(manifest->root, "source", &manifest->source, name, faults);
	const char *source = manifest->source;
	if (rc || (source && (!strchr(source, '%') || il_pattern_valid(source))))
		return rc;
	if (source)
		return il_fail(faults->err, INLAY_ERR_FORMAT,
		               "%s: source is \"%.200s\"; expected a video, or one %%d (or such as %%06d) in it", name,
		               source);
	return il_fail(faults->err, INLAY_ERR_FORMAT,
	               "%s: source is missing; expected a video or a pattern such as \"frames/%%06d.jpg\"", name);
}

static enum inlay_err take_version(const json_t *root, const char *name, struct il_faults *faults)
{
	int64_t version;
	if (!json_object_get(root, "inlay_avatar"))
		return il_fault(faults, INLAY_ERR_FORMAT, "%s: inlay_avatar is missing; expected \"inlay_avatar\": 1",
		                name);
	return take_integer(root, "inlay_avatar", 1, 1, &version, name, faults);
}

static enum inlay_err take_keys(struct il_manifest *manifest, const char *name, struct il_faults *faults)
{
	json_t *root = manifest->root;
	enum inlay_err rc = take_version(root, name, faults);
	if (!rc)
		rc = check_keys(root, "", known_keys, name, faults);
	if (!rc)
		rc = take_integer(root, "first", 0, INT_MAX - IL_PACK_MAX_FRAMES, &manifest->first, name, faults);
	if (!rc)
		rc = take_integer(root, "frames", 1, IL_PACK_MAX_FRAMES, &manifest->frames, name, faults);
	if (!rc)
		rc = take_fps(root, &manifest->fps, name, faults);
	if (!rc)
		rc = take_rectangles(manifest, name, faults);
	if (!rc)
		rc = take_string(root, "parsing", &manifest->parsing, name, faults);
	if (!rc)
		rc = take_string(root, "model", &manifest->model, name, faults);
	if (!rc)
		rc = take_string(root, "audio_encoder", &manifest->audio_encoder, name, faults);
	if (!rc)
		rc = take_defaults(manifest, name, faults);
	if (!rc)
		rc = check_patterns(manifest, name, faults);
	return rc;
}

enum inlay_err il_manifest_parse(const void *data, size_t size, const char *name, struct il_manifest *manifest,
                                 struct il_faults *faults)
{
	*manifest = (struct il_manifest){ .first = -1, .frames = -1, .order = -1, .interp = -1 };
	enum inlay_err rc = il_json_parse(data, size, name, &manifest->root, faults->err);
	if (rc)
		return rc;
	if (!json_is_object(manifest->root))
		return il_fail(faults->err, INLAY_ERR_FORMAT, "%s: is %s; expected an object", name,
		               il_json_kind(manifest->root));
	rc = take_keys(manifest, name, faults);
	return rc ? rc : take_source(manifest, name, faults);
}

void il_manifest_destroy(struct il_manifest *manifest)
{
	json_decref(manifest->root);
	*manifest = (struct il_manifest){ 0 };
}
