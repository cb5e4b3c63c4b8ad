#include "server/rpc/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define BLOCK ((size_t)16 << 10)
#define ALIGN sizeof(max_align_t)

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	_Alignas(max_align_t) uint8_t bytes[];
};

void arena_init(struct arena *arena, size_t limit)
{
	*arena = (struct arena){ .limit = limit };
}

void arena_destroy(struct arena *arena)
{
	for (struct arena_block *next, *block = arena->blocks; block; block = next) {
		next = block->next;
		free(block);
	}
	*arena = (struct arena){ 0 };
}

/* A block with `size` bytes free, in front of the others. */
static struct arena_block *add_block(struct arena *arena, size_t size)
{
	if (size < BLOCK)
		size = BLOCK;
	if (size > arena->limit || arena->used > arena->limit - size)
		return NULL;
	struct arena_block *block = malloc(sizeof *block + size);
	if (!block)
		return NULL;
	*block = (struct arena_block){ .next = arena->blocks, .size = size };
	arena->blocks = block;
	arena->used += size;
	return block;
}

static void *alloc(struct arena *arena, size_t size)
{
	if (size > SIZE_MAX - ALIGN)
		return NULL;
	size = (size + ALIGN - 1) / ALIGN * ALIGN;
	struct arena_block *block = arena->blocks;
	if (!block || size > block->size - block->used)
		block = add_block(arena, size);
	if (!block)
		return NULL;
	void *bytes = block->bytes + block->used;
	block->used += size;
	return bytes;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	void *bytes = alloc(arena, size);
	return bytes ? memset(bytes, 0, size) : NULL;
}

char *arena_string(struct arena *arena, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = alloc(arena, size);
	return copy ? memcpy(copy, text, size) : NULL;
}

static void *allocate(void *ctx, size_t size)
{
	return alloc(ctx, size);
}

static void keep(void *ctx, void *bytes)
{
	(void)ctx, (void)bytes;
}

enum inlay_err message_unpack(ProtobufCMessage **message, const ProtobufCMessageDescriptor *type, const uint8_t *data,
                              size_t size, struct arena *arena, struct inlay_error *err)
{
	ProtobufCAllocator allocator = { .alloc = allocate, .free = keep, .allocator_data = arena };
	*message = protobuf_c_message_unpack(type, &allocator, size, data);
	if (*message)
		return INLAY_OK;
	return il_fail(err, INLAY_ERR_INVALID, "%zu bytes are no %s, or one of too many parts", size, type->name);
}

/* ---- splitting ---- */

/* Bytes from *at on; false where they end within one. */
static bool get_varint(const uint8_t *data, size_t size, size_t *at, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; shift < 64 && *at < size; shift += 7) {
		uint8_t byte = data[(*at)++];
		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

struct field {
	uint32_t number;
	unsigned type;
	size_t start, end; /* with its tag */
	struct span bytes; /* of type 2 */
};

/* The field at `at`; groups, which proto3 does not have, are refused. */
static bool get_field(const uint8_t *data, size_t size, size_t at, struct field *field)
{
	uint64_t tag, value;
	field->start = at;
	if (!get_varint(data, size, &at, &tag) || tag > UINT32_MAX || tag < 8)
		return false;
	field->number = (uint32_t)tag >> 3;
	field->type = tag & 7;
	if (field->type == 1 || field->type == 5) {
		size_t fixed = field->type == 1 ? 8 : 4;
		field->end = at + fixed;
		return fixed <= size - at;
	}
	if ((field->type != 0 && field->type != 2) || !get_varint(data, size, &at, &value))
		return false;
	if (field->type == 2) {
		if (value > size - at)
			return false;
		field->bytes = (struct span){ data + at, (size_t)value };
		at += (size_t)value;
	}
	field->end = at;
	return true;
}

/* Appends a field to rest; a copy is made when the first comes that does not follow the one before. */
static bool append(struct span *rest, const uint8_t *data, size_t size, const struct field *field, struct arena *arena)
{
	size_t length = field->end - field->start;
	if (!rest->size)
		rest->data = data + field->start;
	bool in_place = rest->data >= data && rest->data < data + size;
	if (in_place && rest->data + rest->size != data + field->start) {
		uint8_t *copy = alloc(arena, size);
		if (!copy)
			return false;
		rest->data = memcpy(copy, rest->data, rest->size);
		in_place = false;
	}
	if (!in_place)
		memcpy((uint8_t *)rest->data + rest->size, data + field->start, length);
	rest->size += length;
	return true;
}

enum inlay_err message_split(const uint8_t *data, size_t size, uint32_t number, struct span *spans, size_t room,
                             size_t *n, struct span *rest, struct arena *arena, struct inlay_error *err)
{
	struct field field;
	*n = 0;
	*rest = (struct span){ .data = data };
	for (size_t at = 0; at < size; at = field.end) {
		if (!get_field(data, size, at, &field))
			return il_fail(err, INLAY_ERR_INVALID, "message of %zu bytes: no protobuf at byte %zu", size,
			               at);
		if (field.number != number || field.type != 2) {
			if (!append(rest, data, size, &field, arena))
				return il_fail_memory(err);
		} else if (*n == room) {
			return il_fail(err, INLAY_ERR_INVALID, "message of %zu bytes: more than %zu tensors", size,
			               room);
		} else {
			spans[(*n)++] = field.bytes;
		}
	}
	return INLAY_OK;
}

size_t message_put_varint(uint8_t *to, uint64_t value)
{
	size_t n = 0;
	for (; value >= 0x80; value >>= 7)
		to[n++] = (uint8_t)(value | 0x80);
	to[n++] = (uint8_t)value;
	return n;
}

bool message_text_valid(const char *text)
{
	for (size_t n; *text; text += n)
		if (!(n = il_utf8_bytes(text)))
			return false;
	return true;
}
