/* Batch requests of gRPC clients: the first byte chooses the service, the second the size of the pictures. */
#include <stdlib.h>

#include "server/rpc/origin_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_floats(const struct origin_request *request, int picture)
{
	static float floats[ORIGIN_MAX_BATCH * 64];
	const float *windows[ORIGIN_MAX_BATCH];
	float *samples;
	uint8_t *crops;
	size_t count;
	origin_request_windows(request, 1 + (size_t)picture % 64, floats, windows, NULL);
	origin_request_samples(request, &samples, &count, NULL);
	free(samples);
	origin_request_crops(request, picture, &crops, NULL);
	free(crops);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct origin_request request;
	char avatar[IL_STORE_ID_MAX + 1];
	if (size < 2)
		return 0;
	const enum origin_kind kind = data[0] % 3;
	if (!origin_request_parse(&request, kind, data + 2, size - 2, NULL) &&
	    !origin_request_check(&request, kind, avatar, NULL))
		use_floats(&request, data[1] % 8);
	return 0;
}
