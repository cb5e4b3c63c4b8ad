/* The JSON of a safetensors header, scanned straight into the tensors it describes: a tree of it, as jansson makes,
 * takes ten times as long for the thousands of tensors of a compiled avatar. */
#include <stdlib.h>
#include <string.h>

#include "base/safetensors_impl.h"
#include "base/utf8.h"

#define MAX_METADATA 1000
#define MAX_NUMBER (SIZE_MAX / 4) /* so that offsets and sizes add up without overflow */

static const struct {
	const char *name;
	size_t size;
} types[] = {
	[IL_ST_BOOL] = { "BOOL", 1 },       [IL_ST_U8] = { "U8", 1 },           [IL_ST_I8] = { "I8", 1 },
	[IL_ST_F8_E5M2] = { "F8_E5M2", 1 }, [IL_ST_F8_E4M3] = { "F8_E4M3", 1 }, [IL_ST_U16] = { "U16", 2 },
	[IL_ST_I16] = { "I16", 2 },         [IL_ST_F16] = { "F16", 2 },         [IL_ST_BF16] = { "BF16", 2 },
	[IL_ST_U32] = { "U32", 4 },         [IL_ST_I32] = { "I32", 4 },         [IL_ST_F32] = { "F32", 4 },
	[IL_ST_U64] = { "U64", 8 },         [IL_ST_I64] = { "I64", 8 },         [IL_ST_F64] = { "F64", 8 },
};

size_t il_safetensor_item_size(enum il_safetensor_type type)
{
	return types[type].size;
}

const char *il_safetensor_type_name(enum il_safetensor_type type)
{
	return types[type].name;
}

bool il_safetensor_type_parse(const char *name, enum il_safetensor_type *type)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (!strcmp(name, types[i].name)) {
			*type = (enum il_safetensor_type)i;
			return true;
		}
	return false;
}

bool il_safetensor_size(enum il_safetensor_type type, int rank, const size_t *dims, size_t *size)
{
	*size = types[type].size;
	for (int i = 0; i < rank; i++)
		if (__builtin_mul_overflow(*size, dims[i], size))
			return false;
	return *size <= MAX_NUMBER;
}

struct reader {
	const char *start, *at, *end;
	const char *name;
	char *free; /* where the next string goes: behind the last one in header->text */
	size_t capacity, metadata_capacity;
	struct il_safetensors_header *header;
	struct inlay_error *err;
};

static bool is_plain(char c)
{
	return (unsigned char)c >= 0x20 && (unsigned char)c < 0x7f;
}

__attribute__((cold)) static enum inlay_err unexpected(const struct reader *r, const char *expected)
{
	char found[25];
	size_t n = 0;
	for (const char *p = r->at; p < r->end && n < sizeof found - 1; p++)
		found[n++] = is_plain(*p) ? *p : '?';
	found[n] = 0;
	return il_fail(r->err, INLAY_ERR_FORMAT, "%s: header, byte %zu: expected %s, found %s", r->name,
	               (size_t)(r->at - r->start), expected, n ? found : "the end");
}

/* Room kept for a header is spaces by the hundred thousand. */
static void skip_spaces(struct reader *r)
{
	static const char spaces[32] = "                                ";
	while (r->end - r->at >= 32 && !memcmp(r->at, spaces, 32))
		r->at += 32;
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
		r->at++;
}

static bool accept(struct reader *r, char c)
{
	skip_spaces(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

/* "," before every member but the first; false and *rc at the end or where neither stands. */
static bool next_member(struct reader *r, char close, bool *first, enum inlay_err *rc)
{
	*rc = INLAY_OK;
	if (accept(r, close))
		return false;
	if (!*first && !accept(r, ',')) {
		*rc = unexpected(r, close == '}' ? "',' or '}'" : "',' or ']'");
		return false;
	}
	*first = false;
	return true;
}

/* Strings. */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* Four digits at `p`; -1 where they are not. */
static long hex4(const char *p, const char *end)
{
	long value = 0;
	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(p[i]);
		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

static char *put_utf8(char *out, long c)
{
	if (c < 0x80) {
		*out++ = (char)c;
		return out;
	}
	int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	*out++ = (char)((0xf0 << (3 - more) & 0xff) | (c >> 6 * more));
	while (more--)
		*out++ = (char)(0x80 | (c >> 6 * more & 0x3f));
	return out;
}

/* Behind "\u"; a pair of surrogates is one character. No text here holds a zero byte. */
static enum inlay_err read_unicode(struct reader *r)
{
	long c = hex4(r->at, r->end), low = -1;
	if (c >= 0xd800 && c < 0xdc00 && r->end - r->at >= 10 && r->at[4] == '\\' && r->at[5] == 'u')
		low = hex4(r->at + 6, r->end);
	if (c <= 0 || (c >= 0xd800 && c < 0xe000 && (low < 0xdc00 || low > 0xdfff)))
		return unexpected(r, "four digits of a character above 0");
	r->at += low >= 0 ? 10 : 4;
	r->free = put_utf8(r->free, low >= 0 ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00) : c);
	return INLAY_OK;
}

static enum inlay_err read_escape(struct reader *r)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	r->at++;
	if (r->at < r->end && *r->at == 'u') {
		r->at++;
		return read_unicode(r);
	}
	const char *known = r->at < r->end && *r->at ? strchr(names, *r->at) : NULL;
	if (!known)
		return unexpected(r, "an escape such as \\n or \\u0041");
	*r->free++ = values[known - names];
	r->at++;
	return INLAY_OK;
}

/* A string is never longer unescaped than it stands, so header->text has room for all of them. */
static enum inlay_err read_string(struct reader *r, const char *what, const char **out)
{
	skip_spaces(r);
	if (r->at == r->end || *r->at != '"')
		return unexpected(r, what);
	*out = r->free;
	r->at++;
	while (r->at < r->end && *r->at != '"') {
		enum inlay_err rc;
		size_t n;
		if (*r->at == '\\') {
			if ((rc = read_escape(r)))
				return rc;
			continue;
		}
		n = il_utf8_bytes_of(r->at, (size_t)(r->end - r->at));
		if ((unsigned char)*r->at < 0x20 || !n)
			return unexpected(r, "a string in UTF-8 without control characters");
		while (n--)
			*r->free++ = *r->at++;
	}
	if (r->at == r->end)
		return unexpected(r, "'\"'");
	r->at++;
	*r->free++ = 0;
	return INLAY_OK;
}

/* Members. */

static enum inlay_err read_number(struct reader *r, size_t *number)
{
	skip_spaces(r);
	struct reader before = *r;
	*number = 0;
	while (r->at < r->end && *r->at >= '0' && *r->at <= '9') {
		*number = *number * 10 + (size_t)(*r->at++ - '0');
		if (*number > MAX_NUMBER)
			return unexpected(&before, "a number that a file can hold");
	}
	size_t digits = (size_t)(r->at - before.at);
	return !digits || (digits > 1 && *before.at == '0') ? unexpected(&before, "a whole number") : INLAY_OK;
}

/* Up to `most` numbers in brackets. */
static enum inlay_err read_numbers(struct reader *r, const char *what, size_t *numbers, int most, int *count)
{
	enum inlay_err rc;
	bool first = true;
	*count = 0;
	if (!accept(r, '['))
		return unexpected(r, what);
	while (next_member(r, ']', &first, &rc)) {
		if (*count == most)
			return il_fail(r->err, INLAY_ERR_UNSUPPORTED,
			               "%s: header, byte %zu: more than %d numbers in %s", r->name,
			               (size_t)(r->at - r->start), most, what);
		if ((rc = read_number(r, &numbers[(*count)++])))
			return rc;
	}
	return rc;
}

static enum inlay_err read_type(struct reader *r, struct il_safetensor *tensor)
{
	const char *word;
	char *free_before = r->free;
	enum inlay_err rc = read_string(r, "a dtype such as \"F16\"", &word);
	if (!rc && !il_safetensor_type_parse(word, &tensor->type))
		rc = il_fail(r->err, INLAY_ERR_UNSUPPORTED, "%s: tensor %.200s: dtype \"%.40s\" is unknown", r->name,
		             tensor->name, word);
	r->free = free_before;
	return rc;
}

static enum inlay_err read_offsets(struct reader *r, struct il_safetensor *tensor)
{
	size_t offsets[2];
	int n;
	enum inlay_err rc = read_numbers(r, "data_offsets", offsets, 2, &n);
	if (rc)
		return rc;
	if (n != 2 || offsets[1] < offsets[0])
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: tensor %.200s: data_offsets are no begin and end",
		               r->name, tensor->name);
	tensor->offset = offsets[0];
	tensor->size = offsets[1] - offsets[0];
	return INLAY_OK;
}

static enum inlay_err read_field(struct reader *r, struct il_safetensor *tensor, unsigned *seen)
{
	static const char *const keys[] = { "dtype", "shape", "data_offsets" };
	const char *key;
	char *free_before = r->free;
	struct reader before = *r;
	unsigned i = 0;
	enum inlay_err rc = read_string(r, "\"dtype\", \"shape\" or \"data_offsets\"", &key);
	if (rc)
		return rc;
	while (i < 3 && strcmp(key, keys[i]))
		i++;
	r->free = free_before;
	if (i == 3 || *seen & 1u << i)
		return unexpected(&before, "\"dtype\", \"shape\" and \"data_offsets\", each once");
	*seen |= 1u << i;
	if (!accept(r, ':'))
		return unexpected(r, "':'");
	switch (i) {
	case 0: return read_type(r, tensor);
	case 1: return read_numbers(r, "shape", tensor->dims, IL_SAFETENSOR_MAX_RANK, &tensor->rank);
	default: return read_offsets(r, tensor);
	}
}

static enum inlay_err read_tensor(struct reader *r, struct il_safetensor *tensor)
{
	enum inlay_err rc;
	unsigned seen = 0;
	bool first = true;
	size_t size;
	if (!accept(r, '{'))
		return unexpected(r, "'{'");
	while (next_member(r, '}', &first, &rc))
		if ((rc = read_field(r, tensor, &seen)))
			return rc;
	if (rc)
		return rc;
	if (seen != 7)
		return unexpected(r, "\"dtype\", \"shape\" and \"data_offsets\" before this");
	if (!il_safetensor_size(tensor->type, tensor->rank, tensor->dims, &size))
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: tensor %.200s: the shape is larger than a file can be",
		               r->name, tensor->name);
	if (size != tensor->size)
		return il_fail(r->err, INLAY_ERR_FORMAT,
		               "%s: tensor %.200s: data_offsets span %zu bytes, expected %zu for its shape of %s",
		               r->name, tensor->name, tensor->size, size, types[tensor->type].name);
	return INLAY_OK;
}

static enum inlay_err add_text(struct reader *r)
{
	struct il_safetensors_header *h = r->header;
	struct il_safetensors_text text;
	enum inlay_err rc = read_string(r, "a key of __metadata__", &text.key);
	if (!rc && !accept(r, ':'))
		rc = unexpected(r, "':'");
	if (!rc)
		rc = read_string(r, "a string", &text.value);
	if (rc)
		return rc;
	for (size_t i = 0; i < h->metadata_count; i++)
		if (!strcmp(h->metadata[i].key, text.key))
			return il_fail(r->err, INLAY_ERR_FORMAT, "%s: header, byte %zu: doubled key in __metadata__",
			               r->name, (size_t)(r->at - r->start));
	if (h->metadata_count == MAX_METADATA)
		return il_fail(r->err, INLAY_ERR_UNSUPPORTED, "%s: more than %d texts in __metadata__", r->name,
		               MAX_METADATA);
	h->metadata[h->metadata_count++] = text;
	return INLAY_OK;
}

static enum inlay_err read_metadata(struct reader *r)
{
	struct il_safetensors_header *h = r->header;
	enum inlay_err rc;
	bool first = true;
	if (h->metadata)
		return il_fail(r->err, INLAY_ERR_FORMAT, "%s: doubled __metadata__", r->name);
	if (!(h->metadata = malloc(MAX_METADATA * sizeof *h->metadata)))
		return il_fail_memory(r->err);
	if (!accept(r, '{'))
		return unexpected(r, "'{'");
	while (next_member(r, '}', &first, &rc))
		if ((rc = add_text(r)))
			return rc;
	return rc;
}

static enum inlay_err append_tensor(struct reader *r, const char *name)
{
	struct il_safetensors_header *h = r->header;
	if (h->count == r->capacity) {
		r->capacity = r->capacity ? r->capacity * 2 : 64;
		struct il_safetensor *grown = realloc(h->tensors, r->capacity * sizeof *grown);
		if (!grown)
			return il_fail_memory(r->err);
		h->tensors = grown;
	}
	struct il_safetensor *tensor = &h->tensors[h->count++];
	*tensor = (struct il_safetensor){ .name = name };
	return read_tensor(r, tensor);
}

/* Names end up in messages. */
static enum inlay_err check_name(const struct reader *r, const char *name)
{
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return il_fail(r->err, INLAY_ERR_FORMAT,
			               "%s: header, byte %zu: control character in a tensor's name", r->name,
			               (size_t)(r->at - r->start));
	return INLAY_OK;
}

static enum inlay_err read_member(struct reader *r)
{
	const char *name;
	enum inlay_err rc = read_string(r, "the name of a tensor", &name);
	if (!rc)
		rc = check_name(r, name);
	if (!rc && !accept(r, ':'))
		rc = unexpected(r, "':'");
	if (rc)
		return rc;
	return !strcmp(name, "__metadata__") ? read_metadata(r) : append_tensor(r, name);
}

enum inlay_err il_safetensors_header_parse(const char *json, size_t size, const char *name,
                                           struct il_safetensors_header *header, struct inlay_error *err)
{
	enum inlay_err rc;
	bool first = true;
	*header = (struct il_safetensors_header){ .text = malloc(size + 1) };
	if (!header->text)
		return il_fail_memory(err);
	struct reader r = { json, json, json + size, name, header->text, .header = header, .err = err };
	if (r.at == r.end || *r.at != '{')
		return unexpected(&r, "'{'");
	r.at++;
	while (next_member(&r, '}', &first, &rc))
		if ((rc = read_member(&r)))
			return rc;
	if (rc)
		return rc;
	skip_spaces(&r);
	return r.at == r.end ? INLAY_OK : unexpected(&r, "nothing but spaces");
}

void il_safetensors_header_destroy(struct il_safetensors_header *header)
{
	free(header->tensors);
	free(header->metadata);
	free(header->text);
	*header = (struct il_safetensors_header){ 0 };
}
