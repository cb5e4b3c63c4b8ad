/* A server's configuration from any bytes; and the second reading of the same must end as the first. */
#include <stdint.h>
#include <stdlib.h>

#include "server/config_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum inlay_err parse(const uint8_t *data, size_t size)
{
	struct server_config config = { 0 };
	struct inlay_error err = { 0 };
	if (server_config_init(&config, &err))
		abort();
	enum inlay_err rc = config_parse(&config, "fuzz.yaml", data, size, &err);
	if (rc != err.code || config.limits.jobs == 0 || config.limits.message_bytes < 1 << 20)
		abort();
	server_config_clear(&config);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (parse(data, size) != parse(data, size))
		abort();
	return 0;
}
