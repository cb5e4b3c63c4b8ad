#include "base/json.h"

enum inlay_err il_json_parse(const void *data, size_t size, const char *name, json_t **root, struct inlay_error *err)
{
	json_error_t where;
	*root = json_loadb(size ? data : "", size, JSON_REJECT_DUPLICATES, &where);
	if (*root)
		return INLAY_OK;
	if (json_error_code(&where) == json_error_out_of_memory)
		return il_fail_memory(err);
	for (char *p = where.text; *p; p++) /* the text quotes the input; a message is one line */
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return il_fail(err, INLAY_ERR_FORMAT, "%s: line %d, column %d: %s", name, where.line, where.column, where.text);
}

const char *il_json_kind(const json_t *value)
{
	if (!value)
		return "nothing";
	switch (json_typeof(value)) {
	case JSON_OBJECT: return "an object";
	case JSON_ARRAY: return "a list";
	case JSON_STRING: return "a string";
	case JSON_INTEGER:
	case JSON_REAL: return "a number";
	case JSON_TRUE:
	case JSON_FALSE: return "true or false";
	case JSON_NULL: return "null";
	}
	return "something else";
}
