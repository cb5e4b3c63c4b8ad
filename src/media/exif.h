/* What the EXIF data of a JPEG says on how the picture is held. */
#ifndef IL_MEDIA_EXIF_H
#define IL_MEDIA_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* The orientation, 1..8 (EXIF 2.3, tag 0x0112); 1, which is upright, where there is none or it makes no sense. */
unsigned il_exif_orientation(const uint8_t *jpeg, size_t size);

#endif
