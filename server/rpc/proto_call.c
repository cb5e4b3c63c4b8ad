/* Messages of protobuf-c through rpc.h. */
#include "server/rpc/proto_call.h"

#include <stdlib.h>

#define PURSE ((size_t)1 << 20) /* bytes, beside twice those of the message */

/* Empty parts of two bytes become a hundred: what a message may take of memory is bounded, whatever is in it. */
struct purse {
	size_t left;
};

static void *take(void *ctx, size_t size)
{
	struct purse *purse = ctx;
	if (size > purse->left)
		return NULL;
	purse->left -= size;
	return malloc(size);
}

static void give_back(void *ctx, void *memory)
{
	(void)ctx;
	free(memory);
}

enum inlay_err proto_read(struct rpc_call *call, const ProtobufCMessageDescriptor *type, size_t limit,
                          ProtobufCMessage **message, struct inlay_error *err)
{
	const uint8_t *data;
	size_t size;
	*message = NULL;
	enum inlay_err code = rpc_read(call, &data, &size, err);
	if (code)
		return code;
	if (size > limit)
		return il_fail(err, INLAY_ERR_INVALID, "%s of %zu bytes; expected at most %zu", type->name, size,
		               limit);
	struct purse purse = { PURSE + 2 * size };
	ProtobufCAllocator allocator = { .alloc = take, .free = give_back, .allocator_data = &purse };
	*message = protobuf_c_message_unpack(type, &allocator, size, data);
	return *message ? INLAY_OK
	                : il_fail(err, INLAY_ERR_FORMAT, "%zu bytes that are no %s, or one of too many parts", size,
	                          type->name);
}

enum inlay_err proto_write(struct rpc_call *call, const ProtobufCMessage *message, struct inlay_error *err)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *data = malloc(size + 1);
	if (!data)
		return il_fail_memory(err);
	protobuf_c_message_pack(message, data);
	enum inlay_err code = rpc_write(call, data, size, err);
	free(data);
	return code;
}
