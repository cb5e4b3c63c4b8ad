#define _GNU_SOURCE /* strtof_l */
#include "avatar/rects.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/pattern.h"
#include "base/file.h"
#include "base/log.h"

#define MAX_JSON_BYTES ((size_t)64 << 20)
#define MAX_LMS_BYTES ((size_t)1 << 20)

/* side[]: x0, y0, x1, y1 */
static enum inlay_err set_rect(struct il_avatar *avatar, int64_t frame, const int64_t side[4], const char *name,
                               struct il_faults *faults)
{
	char text[100];
	snprintf(text, sizeof text, "[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "]", side[0], side[1], side[2],
	         side[3]);
	if (side[0] < 0 || side[1] < 0 || side[2] > avatar->width || side[3] > avatar->height)
		return il_fault(faults, INLAY_ERR_FORMAT,
		                "%s: frame %" PRId64 ": rectangle %s lies outside the %dx%d picture", name, frame, text,
		                avatar->width, avatar->height);
	if (side[2] <= side[0] || side[3] <= side[1])
		return il_fault(faults, INLAY_ERR_FORMAT,
		                "%s: frame %" PRId64
		                ": rectangle %s is empty; expected [x0,y0,x1,y1] with x0 < x1, y0 < y1",
		                name, frame, text);
	if (side[2] - side[0] < IL_RECT_MIN_SIDE || side[3] - side[1] < IL_RECT_MIN_SIDE)
		return il_fault(faults, INLAY_ERR_FORMAT,
		                "%s: frame %" PRId64 ": rectangle %s is too small; expected %d pixels a side or more",
		                name, frame, text, IL_RECT_MIN_SIDE);
	avatar->rects[frame] = (struct inlay_rect){ (int)side[0], (int)side[1], (int)side[2], (int)side[3] };
	return INLAY_OK;
}

static enum inlay_err take_rect(struct il_avatar *avatar, int64_t frame, const json_t *value, const char *name,
                                struct il_faults *faults)
{
	int64_t side[4];
	bool good = json_array_size(value) == 4;
	for (size_t i = 0; good && i < 4; i++) {
		const json_t *number = json_array_get(value, i);
		good = json_is_integer(number);
		side[i] = json_integer_value(number);
	}
	if (!good)
		return il_fault(faults, INLAY_ERR_FORMAT,
		                "%s: frame %" PRId64 ": expected a rectangle [x0,y0,x1,y1] of four whole numbers", name,
		                frame);
	return set_rect(avatar, frame, side, name, faults);
}

static void warn_extra(const struct il_avatar *avatar, int64_t found, const char *name)
{
	if (found > avatar->frames)
		il_log_warn("%s: %" PRId64 " rectangles for %" PRId64 " frames; the last %" PRId64 " are ignored", name,
		            found, avatar->frames, found - avatar->frames);
}

static enum inlay_err missing(const struct il_avatar *avatar, int64_t frame, int64_t count, const char *name,
                              struct il_faults *faults)
{
	return il_fault(faults, INLAY_ERR_FORMAT,
	                "%s: frame %" PRId64 " has no rectangle (%" PRId64 " of the %" PRId64 " frames have none)",
	                name, frame, count, avatar->frames);
}

static enum inlay_err from_list(struct il_avatar *avatar, const json_t *list, const char *name,
                                struct il_faults *faults)
{
	int64_t found = (int64_t)json_array_size(list);
	enum inlay_err rc = INLAY_OK;
	for (int64_t i = 0; !rc && i < avatar->frames && i < found; i++)
		rc = take_rect(avatar, i, json_array_get(list, (size_t)i), name, faults);
	if (!rc && found < avatar->frames)
		rc = missing(avatar, found, avatar->frames - found, name, faults);
	if (!rc)
		warn_extra(avatar, found, name);
	return rc;
}

/* "17", the way a program prints a number: no sign, no leading zeros. */
static bool is_frame_number(const char *key)
{
	size_t n = strspn(key, "0123456789");
	return n && n < 19 && !key[n] && (key[0] != '0' || n == 1);
}

static enum inlay_err from_object(struct il_avatar *avatar, json_t *object, const char *name, struct il_faults *faults)
{
	enum inlay_err rc = INLAY_OK;
	const char *key;
	json_t *value;
	int64_t numbers = 0, present = 0, first_missing = -1;
	json_object_foreach(object, key, value)
	{
		bool good = is_frame_number(key);
		numbers += good;
		if (!good &&
		    (rc = il_fault(faults, INLAY_ERR_FORMAT,
		                   "%s: key \"%s\" is not a frame number; expected \"0\", \"1\", ...", name, key)))
			return rc;
	}
	for (int64_t i = 0; !rc && i < avatar->frames; i++) {
		char number[24];
		snprintf(number, sizeof number, "%" PRId64, i);
		value = json_object_get(object, number);
		present += value != NULL;
		if (value)
			rc = take_rect(avatar, i, json_object_get(value, "rect"), name, faults);
		else if (first_missing < 0)
			first_missing = i;
	}
	if (!rc && first_missing >= 0)
		rc = missing(avatar, first_missing, avatar->frames - present, name, faults);
	if (!rc)
		warn_extra(avatar, avatar->frames + numbers - present, name);
	return rc;
}

enum inlay_err il_rects_from_json(struct il_avatar *avatar, json_t *root, const char *name, struct il_faults *faults)
{
	return json_is_array(root) ? from_list(avatar, root, name, faults) : from_object(avatar, root, name, faults);
}

enum inlay_err il_rects_parse(struct il_avatar *avatar, const void *data, size_t size, const char *name,
                              struct il_faults *faults)
{
	json_t *root = NULL;
	enum inlay_err rc = il_json_parse(data, size, name, &root, faults->err);
	if (rc)
		return il_fault_pass(faults, rc);
	rc = il_rects_from_json(avatar, root, name, faults);
	json_decref(root);
	return rc;
}

static enum inlay_err note_source(char **place, const char *path, struct inlay_error *err)
{
	free(*place);
	*place = strdup(path);
	return *place ? INLAY_OK : il_fail_memory(err);
}

enum inlay_err il_rects_read(struct il_avatar *avatar, const char *path, struct il_faults *faults)
{
	struct il_bytes bytes = { 0 };
	if (note_source(&avatar->rect_file, path, faults->err))
		return INLAY_ERR_MEMORY;
	enum inlay_err rc = il_file_read(path, MAX_JSON_BYTES, &bytes, faults->err);
	if (rc)
		return il_fault_pass(faults, rc);
	rc = il_rects_parse(avatar, bytes.data, bytes.size, path, faults);
	il_bytes_destroy(&bytes);
	return rc;
}

/* Takes a number off the front of [*at, end): 532, 532.7 or 5.327e+02, whatever the program's locale; cut towards
 * zero by way of float32, as NumPy does. */
static bool take_number(const char **at, const char *end, locale_t c_locale, int *number)
{
	char text[64];
	size_t n = 0;
	while (*at < end && (**at == ' ' || **at == '\t'))
		++*at;
	while (*at < end && **at != ' ' && **at != '\t' && n < sizeof text - 1)
		text[n++] = *(*at)++;
	text[n] = 0;
	char *stop;
	float value = strtof_l(text, &stop, c_locale);
	if (!n || *stop || !(fabsf(value) < 1e6f))
		return false;
	*number = (int)value;
	return true;
}

static bool only_blanks(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
		at++;
	return at == end;
}

/* Points by their line; those that a rectangle needs are kept. */
struct landmarks {
	int x1, x31, y52;
};

static enum inlay_err take_points(const char *at, const char *end, const char *name, locale_t c_locale,
                                  struct landmarks *marks, struct inlay_error *err)
{
	int points = 0, line = 0;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline ? newline : end, *next = newline ? newline + 1 : end;
		int x, y;
		line++;
		if (stop > at && stop[-1] == '\r')
			stop--;
		if (!only_blanks(at, stop)) {
			if (!take_number(&at, stop, c_locale, &x) || !take_number(&at, stop, c_locale, &y) ||
			    !only_blanks(at, stop))
				return il_fail(err, INLAY_ERR_FORMAT, "%s: line %d: expected a point \"x y\" in pixels",
				               name, line);
			marks->x1 = points == 1 ? x : marks->x1;
			marks->x31 = points == 31 ? x : marks->x31;
			marks->y52 = points == 52 ? y : marks->y52;
			points++;
		}
		at = next;
	}
	if (points < 53)
		return il_fail(err, INLAY_ERR_FORMAT, "%s: %d points; expected 53 or more (110 is usual)", name,
		               points);
	return INLAY_OK;
}

enum inlay_err il_lms_parse(const void *data, size_t size, const char *name, struct inlay_rect *rect,
                            struct inlay_error *err)
{
	struct landmarks marks = { 0 };
	const char *text = size ? data : "";
	locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (!c_locale)
		return il_fail_memory(err);
	enum inlay_err rc = take_points(text, text + size, name, c_locale, &marks, err);
	freelocale(c_locale);
	if (!rc)
		*rect = (struct inlay_rect){ marks.x1, marks.y52, marks.x31, marks.y52 + marks.x31 - marks.x1 };
	return rc;
}

enum inlay_err il_rects_read_landmarks(struct il_avatar *avatar, const char *pattern, int64_t first,
                                       struct il_faults *faults)
{
	enum inlay_err rc = note_source(&avatar->landmarks, pattern, faults->err);
	for (int64_t i = 0; !rc && i < avatar->frames; i++) {
		char path[IL_PATTERN_PATH];
		struct il_bytes bytes = { 0 };
		struct inlay_rect r;
		il_pattern_path(pattern, first + i, path);
		rc = il_file_read(path, MAX_LMS_BYTES, &bytes, faults->err);
		if (!rc)
			rc = il_lms_parse(bytes.data, bytes.size, path, &r, faults->err);
		if (rc)
			rc = il_fault_pass(faults, rc);
		else
			rc = set_rect(avatar, i, (const int64_t[]){ r.x0, r.y0, r.x1, r.y1 }, path, faults);
		il_bytes_destroy(&bytes);
	}
	return rc;
}
