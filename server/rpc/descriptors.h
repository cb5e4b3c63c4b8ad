/* What descriptors.py makes of our .proto files. */
#ifndef SERVER_RPC_DESCRIPTORS_H
#define SERVER_RPC_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>

struct descriptor {
	const char *name;     /* "health.proto" */
	const uint8_t *bytes; /* a serialized google.protobuf.FileDescriptorProto */
	size_t size;
	const char *const *symbols;  /* full names of all messages, enums, services and methods; NULL at the end */
	const char *const *services; /* those of its services; NULL at the end */
};

/* A name of NULL is behind the last. */
extern const struct descriptor descriptors[];

#endif
