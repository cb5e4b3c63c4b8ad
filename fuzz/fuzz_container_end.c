/* What a container promises, from any bytes. The first one chooses the container. */
#define _GNU_SOURCE
#include "fuzz/as_file.h"
#include "media/container_end.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const demuxers[] = {
		"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "gif", "tty"
	};
	if (size)
		il_container_breaks_off(as_file(data + 1, size - 1), demuxers[data[0] % 6]);
	return 0;
}
