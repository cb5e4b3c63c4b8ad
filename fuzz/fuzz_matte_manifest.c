/* The manifest of a matting network from any bytes; what can be read is written the same way again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "infer/matte_manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_twice(const struct il_matte_manifest *manifest)
{
	struct il_matte_manifest again;
	char *once = il_matte_manifest_format(manifest), *twice = NULL;
	if (!once)
		return;
	if (il_matte_manifest_parse(once, strlen(once), "once.json", &again, NULL))
		abort();
	twice = il_matte_manifest_format(&again);
	if (twice && strcmp(once, twice) != 0)
		abort();
	free(once);
	free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct inlay_error err = { 0 };
	struct il_matte_manifest manifest;
	enum inlay_err rc = il_matte_manifest_parse(data, size, "fuzz.json", &manifest, &err);
	if (!rc)
		write_twice(&manifest);
	else if (err.code != rc || !err.text[0])
		abort();
	return 0;
}
