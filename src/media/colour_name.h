/* Colours as people write them. */
#ifndef IL_MEDIA_COLOUR_NAME_H
#define IL_MEDIA_COLOUR_NAME_H

#include <stdbool.h>
#include <stdint.h>

/* "#20c040", "0x20c040" or one of libav's names ("green", "white", ...). False where `text` is none of them. */
bool il_colour_parse(const char *text, uint8_t bgr[3]);

#endif
