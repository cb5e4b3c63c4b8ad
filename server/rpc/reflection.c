/* gRPC server reflection: grpcurl and its like learn from it what there is to call. Versions v1 and v1alpha are the
 * same bytes. */
#include <string.h>

#include "server/rpc/descriptors.h"
#include "server/rpc/proto_call.h"
#include "server/rpc/reflection.pb-c.h"
#include "server/rpc/services.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;

enum { SERVICES = 64, REQUEST_BYTES = 4096 };

static bool lists(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static const struct descriptor *find_file(const char *name)
{
	for (const struct descriptor *file = descriptors; file->name; file++)
		if (strcmp(file->name, name) == 0)
			return file;
	return NULL;
}

static const struct descriptor *find_symbol(const char *name)
{
	for (const struct descriptor *file = descriptors; file->name; file++)
		if (lists(file->symbols, name))
			return file;
	return NULL;
}

static enum inlay_err refuse(struct rpc_call *call, Response *response, enum rpc_status status, const char *text,
                             struct inlay_error *err)
{
	Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
	error.error_code = status;
	error.error_message = (char *)text;
	response->message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
	response->error_response = &error;
	return proto_write(call, &response->base, err);
}

static enum inlay_err answer_file(struct rpc_call *call, Response *response, const struct descriptor *file,
                                  struct inlay_error *err)
{
	if (!file)
		return refuse(call, response, RPC_NOT_FOUND, "no such file or symbol", err);
	ProtobufCBinaryData bytes = { file->size, (uint8_t *)file->bytes };
	Grpc__Reflection__V1__FileDescriptorResponse found = GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
	found.n_file_descriptor_proto = 1;
	found.file_descriptor_proto = &bytes;
	response->message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
	response->file_descriptor_response = &found;
	return proto_write(call, &response->base, err);
}

static enum inlay_err answer_services(struct rpc_call *call, Response *response, struct inlay_error *err)
{
	Grpc__Reflection__V1__ServiceResponse services[SERVICES], *pointers[SERVICES];
	Grpc__Reflection__V1__ListServiceResponse list = GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
	list.service = pointers;
	for (const struct descriptor *file = descriptors; file->name; file++)
		for (const char *const *name = file->services; *name && list.n_service < SERVICES; name++) {
			size_t i = list.n_service++;
			grpc__reflection__v1__service_response__init(&services[i]);
			services[i].name = (char *)*name;
			pointers[i] = &services[i];
		}
	response->message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
	response->list_services_response = &list;
	return proto_write(call, &response->base, err);
}

static enum inlay_err answer(struct rpc_call *call, Request *request, struct inlay_error *err)
{
	Response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
	response.valid_host = request->host;
	response.original_request = request;
	switch (request->message_request_case) {
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
		return answer_file(call, &response, find_file(request->file_by_filename), err);
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
		return answer_file(call, &response, find_symbol(request->file_containing_symbol), err);
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
		return answer_services(call, &response, err);
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
		return refuse(call, &response, RPC_NOT_FOUND, "proto3 has no extensions", err);
	default: return refuse(call, &response, RPC_INVALID_ARGUMENT, "a request that asks nothing", err);
	}
}

static enum inlay_err reflect(void *ctx, struct rpc_call *call, struct inlay_error *err)
{
	(void)ctx;
	const ProtobufCMessageDescriptor *type = &grpc__reflection__v1__server_reflection_request__descriptor;
	ProtobufCMessage *request;
	enum inlay_err code;
	while ((code = proto_read(call, type, REQUEST_BYTES, &request, err)) == INLAY_OK) {
		code = answer(call, (Request *)request, err);
		protobuf_c_message_free_unpacked(request, NULL);
		if (code)
			return code;
	}
	return code == INLAY_EOF ? INLAY_OK : code;
}

size_t reflection_methods(struct app *app, struct rpc_method *methods, size_t room)
{
	(void)app;
	const struct rpc_method all[] = {
		{ "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", reflect, NULL, false, false },
		{ "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", reflect, NULL, false, false },
	};
	size_t n = sizeof all / sizeof *all < room ? sizeof all / sizeof *all : room;
	memcpy(methods, all, n * sizeof *all);
	return n;
}
