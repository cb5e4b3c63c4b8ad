/* I420 of one matrix and range to another, without a detour over RGB. */
#ifndef IL_MEDIA_RECOLOUR_H
#define IL_MEDIA_RECOLOUR_H

#include <stdbool.h>

#include "inlay/frame.h"

/* Fixed point, 16 fraction bits. */
struct il_recolour {
	int y_offset, to_offset;
	int y_y, y_u, y_v;
	int u_u, u_v, v_u, v_v; /* grey stays grey under any matrix, so chroma does not depend on luma */
};

/* The colour of JFIF: full-range BT.601. */
extern const struct inlay_colour il_jpeg_colour;

/* Do both mean the same by Y, U and V? */
bool il_same_yuv(const struct inlay_colour *a, const struct inlay_colour *b);

void il_recolour_init(struct il_recolour *recolour, const struct inlay_colour *from, const struct inlay_colour *to);

/* width and height in luma pixels; both sides hold three planes. */
void il_recolour_planes(const struct il_recolour *recolour, const struct inlay_planes *from,
                        const struct inlay_planes *to, int width, int height);

#endif
