/* Does a file hold all the bytes that its container promises? */
#ifndef IL_MEDIA_CONTAINER_END_H
#define IL_MEDIA_CONTAINER_END_H

#include <stdbool.h>

/* True where the file at `path` ends before its outermost structure does: MP4 boxes, the Matroska segment, RIFF chunks,
 * whole MPEG-TS packets, GIF's last byte. demuxer: libav's name for the format. False for what tells nothing. A few
 * short reads. */
bool il_container_breaks_off(const char *path, const char *demuxer);

#endif
