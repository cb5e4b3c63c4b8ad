/* Messages of protobuf-c through rpc.h. */
#ifndef SERVER_RPC_PROTO_CALL_H
#define SERVER_RPC_PROTO_CALL_H

#include <protobuf-c/protobuf-c.h>

#include "server/rpc/rpc.h"

/* The next message of the client; protobuf_c_message_free_unpacked by the caller. INLAY_EOF as rpc_read. limit: of its
 * bytes; in memory it may take twice as much and 1 MB. */
enum inlay_err proto_read(struct rpc_call *call, const ProtobufCMessageDescriptor *type, size_t limit,
                          ProtobufCMessage **message, struct inlay_error *err);
enum inlay_err proto_write(struct rpc_call *call, const ProtobufCMessage *message, struct inlay_error *err);

#endif
