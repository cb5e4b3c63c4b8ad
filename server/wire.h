/* Protocol buffers by hand, for few and small messages: fields written one after another, and read in place. */
#ifndef SERVER_WIRE_H
#define SERVER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* {0} is empty; grows as it is written. */
struct wire {
	uint8_t *data;
	size_t size, room;
	bool failed; /* memory was out: what is there is not whole */
};

void wire_clear(struct wire *wire); /* empties it and keeps its memory */
void wire_free(struct wire *wire);
void wire_int(struct wire *wire, unsigned field, int64_t value);
void wire_bytes(struct wire *wire, unsigned field, const void *data, size_t size);
void wire_text(struct wire *wire, unsigned field, const char *text);
void wire_packed(struct wire *wire, unsigned field, const int64_t *values, size_t n);
void wire_message(struct wire *wire, unsigned field, const struct wire *message);

struct wire_field {
	unsigned number;
	bool bytes;          /* else a number */
	uint64_t value;      /* of a number; fixed32 and fixed64 as their bits */
	const uint8_t *data; /* of bytes, in the message */
	size_t size;
};
/* The next field of *message, which is moved past it. False at the end, and where the message is broken: then *size is
 * not 0. */
bool wire_next(const uint8_t **message, size_t *size, struct wire_field *field);

#endif
