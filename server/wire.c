#include <stdlib.h>
#include <string.h>

#include "server/wire.h"

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

/* ---- writing ---- */

static void append(struct wire *w, const void *data, size_t n)
{
	if (w->size + n > w->room) {
		size_t room = 2 * w->room + n + 64;
		uint8_t *grown = realloc(w->data, room);
		if (!grown) {
			w->failed = true;
			return;
		}
		w->data = grown;
		w->room = room;
	}
	if (n)
		memcpy(w->data + w->size, data, n);
	w->size += n;
}

static size_t put_varint(uint8_t *at, uint64_t value)
{
	size_t n = 0;
	do {
		at[n++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		value >>= 7;
	} while (value);
	return n;
}

static void append_varint(struct wire *w, uint64_t value)
{
	uint8_t bytes[10];
	append(w, bytes, put_varint(bytes, value));
}

void wire_clear(struct wire *w)
{
	w->size = 0;
	w->failed = false;
}

void wire_free(struct wire *w)
{
	free(w->data);
	*w = (struct wire){ 0 };
}

void wire_int(struct wire *w, unsigned field, int64_t value)
{
	append_varint(w, field << 3 | VARINT);
	append_varint(w, (uint64_t)value);
}

void wire_bytes(struct wire *w, unsigned field, const void *data, size_t size)
{
	append_varint(w, field << 3 | LENGTH);
	append_varint(w, size);
	append(w, data, size);
}

void wire_text(struct wire *w, unsigned field, const char *text)
{
	wire_bytes(w, field, text, strlen(text));
}

void wire_packed(struct wire *w, unsigned field, const int64_t *values, size_t n)
{
	uint8_t bytes[10];
	size_t size = 0;
	for (size_t i = 0; i < n; i++)
		size += put_varint(bytes, (uint64_t)values[i]);
	append_varint(w, field << 3 | LENGTH);
	append_varint(w, size);
	for (size_t i = 0; i < n; i++)
		append_varint(w, (uint64_t)values[i]);
}

void wire_message(struct wire *w, unsigned field, const struct wire *message)
{
	wire_bytes(w, field, message->data, message->size);
	w->failed |= message->failed;
}

/* ---- reading ---- */

static bool get_varint(const uint8_t **at, size_t *left, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; shift < 64 && *left; shift += 7) {
		uint8_t byte = *(*at)++;
		--*left;
		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool get_fixed(const uint8_t **at, size_t *left, size_t n, uint64_t *value)
{
	if (*left < n)
		return false;
	*value = 0;
	memcpy(value, *at, n);
	*at += n;
	*left -= n;
	return true;
}

bool wire_next(const uint8_t **message, size_t *size, struct wire_field *field)
{
	const uint8_t *at = *message;
	size_t left = *size;
	uint64_t tag;
	*field = (struct wire_field){ 0 };
	if (!left || !get_varint(&at, &left, &tag) || tag >> 3 == 0 || tag >> 32)
		return false;
	field->number = (unsigned)(tag >> 3);
	bool whole = false;
	switch (tag & 7) {
	case VARINT: whole = get_varint(&at, &left, &field->value); break;
	case FIXED64: whole = get_fixed(&at, &left, 8, &field->value); break;
	case FIXED32: whole = get_fixed(&at, &left, 4, &field->value); break;
	case LENGTH:
		whole = get_varint(&at, &left, &field->value) && field->value <= left;
		if (whole) {
			*field = (struct wire_field){ field->number, true, 0, at, (size_t)field->value };
			at += field->size;
			left -= field->size;
		}
		break;
	default: break;
	}
	if (!whole)
		return false;
	*message = at;
	*size = left;
	return true;
}
