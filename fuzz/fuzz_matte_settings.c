/* A settings file of inlay matte from any bytes; what can be read is written the same way again. */
#define _GNU_SOURCE
#include "fuzz/as_file.h"
#include "inlay/matte.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct inlay_matte_settings settings, again;
	struct inlay_error err = { 0 };
	inlay_matte_settings_init(&settings, INLAY_MATTE_BEST);
	inlay_matte_settings_init(&again, INLAY_MATTE_OBS);
	enum inlay_err rc = inlay_matte_settings_read(&settings, as_file(data, size), NULL, &err);
	if (rc && (err.code != rc || !err.text[0]))
		abort();
	char *once = inlay_matte_settings_format(&settings), *twice = NULL;
	if (!rc && once) {
		if (inlay_matte_settings_read(&again, as_file((const uint8_t *)once, strlen(once)), NULL, &err))
			abort();
		twice = inlay_matte_settings_format(&again);
	}
	/* A path that is one beside the file is written with its folder, and so may change once more. */
	if (twice && !strstr(once, "/proc/") && !strstr(twice, "/proc/") && strcmp(once, twice) != 0)
		abort();
	free(once);
	free(twice);
	inlay_matte_settings_destroy(&settings);
	inlay_matte_settings_destroy(&again);
	return 0;
}
