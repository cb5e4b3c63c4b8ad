/* I420 of any colour tags to full-range BT.601, the colour of JFIF, without a detour over RGB. */
#ifndef IL_MEDIA_RECOLOUR_H
#define IL_MEDIA_RECOLOUR_H

#include <stdbool.h>

#include "inlay/frame.h"

/* Fixed point, 16 fraction bits. */
struct il_recolour {
	int y_offset;
	int y_y, y_u, y_v;
	int u_u, u_v, v_u, v_v; /* grey stays grey under any matrix, so chroma does not depend on luma */
};

/* Is there nothing to do? */
bool il_is_jpeg_colour(const struct inlay_colour *colour);

void il_recolour_init(struct il_recolour *recolour, const struct inlay_colour *from);

/* width and height in luma pixels; both sides hold three planes. */
void il_recolour_planes(const struct il_recolour *recolour, const struct inlay_planes *from,
                        const struct inlay_planes *to, int width, int height);

#endif
