#ifndef IL_BASE_JSON_H
#define IL_BASE_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

/* Strict JSON without doubled keys; a fault names line and column. json_decref frees *root. */
enum inlay_err il_json_parse(const void *data, size_t size, const char *name, json_t **root, struct inlay_error *err);

/* "a string", "a list" and so on, for messages; NULL is "nothing". */
const char *il_json_kind(const json_t *value);

#endif
