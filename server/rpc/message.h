/* Protobuf messages from outside: memory that is freed at once and never grows out of hand, and large fields read where
 * they lie, which protobuf-c would copy. */
#ifndef SERVER_RPC_MESSAGE_H
#define SERVER_RPC_MESSAGE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Allocations that live until the arena is destroyed. One thread. */
struct arena {
	struct arena_block *blocks;
	size_t used, limit; /* bytes of all blocks */
};
/* limit: bytes past which arena_alloc gives NULL. */
void arena_init(struct arena *arena, size_t limit);
void arena_destroy(struct arena *arena);
void *arena_alloc(struct arena *arena, size_t size); /* zeroed, aligned for anything */
char *arena_string(struct arena *arena, const char *text);

/* The message, in the arena. A message of n bytes may take as much as the arena allows: n alone is no bound. */
enum inlay_err message_unpack(ProtobufCMessage **message, const ProtobufCMessageDescriptor *type, const uint8_t *data,
                              size_t size, struct arena *arena, struct inlay_error *err);

struct span {
	const uint8_t *data;
	size_t size;
};

/* Takes the fields `number` of bytes out of a message: spans [room] in their order, pointing into data, *n of them, and
 * `rest`, what the message is without them; in data where they come last, as they do from all known writers, else in
 * the arena. INLAY_ERR_INVALID for bytes that are no message and for more spans than there is room. */
enum inlay_err message_split(const uint8_t *data, size_t size, uint32_t number, struct span *spans, size_t room,
                             size_t *n, struct span *rest, struct arena *arena, struct inlay_error *err);

/* Writes `value` as a varint, 10 bytes at most; returns how many. */
size_t message_put_varint(uint8_t *to, uint64_t value);

/* False for text that may not be in a message: proto3 strings are UTF-8. */
bool message_text_valid(const char *text);

#endif
