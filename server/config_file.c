/* The YAML file: mappings down to scalars and lists of scalars, each given to server_config_set under its whole name.
 *
 * libyaml's events and no schema library: names of avatars are keys of `models`, and a value out of range is to be
 * told with its line, as an unknown key is.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/file.h"
#include "base/log.h"
#include "server/config_impl.h"

enum { FILE_LIMIT = 1 << 20, TOKEN_LIMIT = 4096, NAME_MAX_LENGTH = 512, LIST_MAX_LENGTH = 16384, DEPTH_MAX = 8 };

struct reader {
	yaml_parser_t yaml;
	yaml_event_t event; /* the last one, to be deleted */
	struct server_config *config;
	const char *file;
	char name[NAME_MAX_LENGTH]; /* of the value that comes */
	char *seen;                 /* names of values so far, a line each */
	size_t seen_size;
	unsigned depth, meaningless;
	char first_meaningless[NAME_MAX_LENGTH];
};

__attribute__((format(printf, 3, 4))) static enum inlay_err fail_here(struct reader *r, struct inlay_error *err,
                                                                      const char *format, ...)
{
	char text[INLAY_ERROR_TEXT];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	return il_fail(err, INLAY_ERR_FORMAT, "%s:%zu: %s", r->file, r->event.start_mark.line + 1, text);
}

static enum inlay_err next_event(struct reader *r, struct inlay_error *err)
{
	yaml_event_delete(&r->event);
	r->event = (yaml_event_t){ 0 };
	if (yaml_parser_parse(&r->yaml, &r->event))
		return INLAY_OK;
	if (r->yaml.error == YAML_MEMORY_ERROR)
		return il_fail_memory(err);
	return il_fail(err, INLAY_ERR_FORMAT, "%s:%zu: not YAML: %s", r->file, r->yaml.problem_mark.line + 1,
	               r->yaml.problem ? r->yaml.problem : "unreadable");
}

static const char *scalar(const struct reader *r)
{
	return (const char *)r->event.data.scalar.value;
}

/* The scalar as text: an unquoted null is empty. NULL where it holds a zero byte. */
static const char *scalar_text(const struct reader *r)
{
	const char *text = scalar(r);
	bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (strlen(text) != r->event.data.scalar.length)
		return NULL;
	return plain && (!strcmp(text, "~") || !strcmp(text, "null")) ? "" : text;
}

static enum inlay_err set(struct reader *r, const char *value, struct inlay_error *err)
{
	struct inlay_error cause = { 0 };
	if (!server_config_set(r->config, r->name, value, &cause))
		return INLAY_OK;
	return cause.code == INLAY_ERR_FORMAT ? fail_here(r, err, "%s", cause.text)
	                                      : il_fail(err, cause.code, "%s", cause.text);
}

/* A key that comes twice hides the first: refused. */
static enum inlay_err note_seen(struct reader *r, struct inlay_error *err)
{
	char line[NAME_MAX_LENGTH + 2];
	int length = snprintf(line, sizeof line, "\n%s\n", r->name);
	if (r->seen && strstr(r->seen, line))
		return fail_here(r, err, "%s is there twice", r->name);
	char *grown = realloc(r->seen, r->seen_size + (size_t)length + 1);
	if (!grown)
		return il_fail_memory(err);
	memcpy(grown + r->seen_size, line, (size_t)length + 1);
	r->seen = grown;
	r->seen_size += (size_t)length;
	return INLAY_OK;
}

static enum inlay_err read_list(struct reader *r, struct inlay_error *err)
{
	char list[LIST_MAX_LENGTH] = "";
	size_t used = 0;
	for (;;) {
		enum inlay_err rc = next_event(r, err);
		if (rc)
			return rc;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			return set(r, list, err);
		const char *text = r->event.type == YAML_SCALAR_EVENT ? scalar_text(r) : NULL;
		if (!text)
			return fail_here(r, err, "%s: expected a list of texts", r->name);
		int added = snprintf(list + used, sizeof list - used, "%s%s", used ? "," : "", text);
		if ((size_t)added >= sizeof list - used)
			return fail_here(r, err, "%s: the list is longer than %d bytes", r->name, LIST_MAX_LENGTH);
		used += (size_t)added;
	}
}

/* Passes over what the event begins. */
static enum inlay_err skip_value(struct reader *r, struct inlay_error *err)
{
	unsigned depth = 0;
	if (!r->meaningless++)
		snprintf(r->first_meaningless, sizeof r->first_meaningless, "%s", r->name);
	for (;;) {
		yaml_event_type_t type = r->event.type;
		depth += type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT;
		depth -= type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT;
		if (!depth)
			return INLAY_OK;
		enum inlay_err rc = next_event(r, err);
		if (rc)
			return rc;
	}
}

static enum inlay_err read_mapping(struct reader *r, struct inlay_error *err);

static enum inlay_err read_value(struct reader *r, struct inlay_error *err)
{
	enum config_key_kind kind = config_key_kind(r->name);
	bool group = config_is_group(r->name);
	if (kind == CONFIG_MEANINGLESS)
		return skip_value(r, err);
	if (r->event.type == YAML_MAPPING_START_EVENT && group)
		return read_mapping(r, err);
	if (kind == CONFIG_UNKNOWN && !group)
		return fail_here(r, err, "%s: there is no such key (deploy/serve.yaml lists them)", r->name);
	if (r->event.type == YAML_SEQUENCE_START_EVENT && kind == CONFIG_LIST)
		return read_list(r, err);
	const char *text = r->event.type == YAML_SCALAR_EVENT ? scalar_text(r) : NULL;
	if (group && text && !*text)
		return INLAY_OK; /* a group with all of its keys commented out */
	if (!text || group)
		return fail_here(r, err, "%s: expected %s", r->name, group ? "keys below it" : "one value");
	return set(r, text, err);
}

/* From the event behind the mapping's start to its end. */
static enum inlay_err read_mapping(struct reader *r, struct inlay_error *err)
{
	size_t length = strlen(r->name);
	if (++r->depth > DEPTH_MAX)
		return fail_here(r, err, "%s: nested too deep", r->name);
	for (;;) {
		enum inlay_err rc = next_event(r, err);
		if (rc)
			return rc;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			break;
		const char *key = r->event.type == YAML_SCALAR_EVENT ? scalar_text(r) : NULL;
		if (!key || !*key || strpbrk(key, "\n"))
			return fail_here(r, err, "expected a key");
		int added = snprintf(r->name + length, sizeof r->name - length, "%s%s", length ? "." : "", key);
		if ((size_t)added >= sizeof r->name - length)
			return fail_here(r, err, "the key is too long");
		rc = note_seen(r, err);
		rc = rc ? rc : next_event(r, err);
		rc = rc ? rc : read_value(r, err);
		if (rc)
			return rc;
		r->name[length] = 0;
	}
	r->depth--;
	return INLAY_OK;
}

/* Stream start, document start, one mapping (or nothing), document end, stream end. */
static enum inlay_err read_documents(struct reader *r, struct inlay_error *err)
{
	unsigned documents = 0;
	do {
		enum inlay_err rc = next_event(r, err);
		if (rc)
			return rc;
		if (r->event.type == YAML_DOCUMENT_START_EVENT && documents++)
			return fail_here(r, err, "a second document: expected one");
		if (r->event.type == YAML_MAPPING_START_EVENT)
			rc = read_mapping(r, err);
		else if (r->event.type == YAML_SEQUENCE_START_EVENT || r->event.type == YAML_ALIAS_EVENT ||
		         (r->event.type == YAML_SCALAR_EVENT && *scalar(r)))
			rc = fail_here(r, err, "expected keys and values");
		if (rc)
			return rc;
	} while (r->event.type != YAML_STREAM_END_EVENT);
	return INLAY_OK;
}

enum inlay_err config_parse(struct server_config *config, const char *name, const void *data, size_t size,
                            struct inlay_error *err)
{
	struct reader r = { .config = config, .file = name };
	if (!yaml_parser_initialize(&r.yaml))
		return il_fail_memory(err);
	yaml_parser_set_input_string(&r.yaml, data, size);
	enum inlay_err rc = read_documents(&r, err);
	if (!rc && r.meaningless)
		il_log_warn("%s: %s%s no meaning here: avatars are what lies in the folder `avatars`, and processors "
		            "draw them",
		            name, r.first_meaningless, r.meaningless > 1 ? " and other keys have" : " has");
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.yaml);
	free(r.seen);
	return rc;
}

enum inlay_err server_config_read(struct server_config *config, const char *path, struct inlay_error *err)
{
	struct il_bytes bytes = { 0 };
	enum inlay_err rc = il_file_read(path, FILE_LIMIT, &bytes, err);
	if (!rc)
		rc = config_parse(config, path, bytes.data, bytes.size, err);
	il_bytes_destroy(&bytes);
	return rc;
}

enum inlay_err server_token_read(const char *path, char **token, struct inlay_error *err)
{
	static const char space[] = " \t\r\n";
	struct il_bytes file = { 0 };
	*token = NULL;
	enum inlay_err rc = il_file_read(path, TOKEN_LIMIT, &file, err);
	if (rc)
		return rc;
	char *text = (char *)file.data, *from = text + strspn(text, space);
	size_t length = strcspn(from, space);
	bool alone = from[length + strspn(from + length, space)] == 0;
	if (!length || !alone || strlen(text) != file.size) {
		il_bytes_destroy(&file);
		return il_fail(err, INLAY_ERR_FORMAT, "%s: expected a token: one word of text", path);
	}
	memmove(text, from, length);
	text[length] = 0;
	*token = text;
	return INLAY_OK;
}

enum inlay_err server_config_token(const struct server_config *config, char **token, struct inlay_error *err)
{
	*token = NULL;
	return config->token_file ? server_token_read(config->token_file, token, err) : INLAY_OK;
}
