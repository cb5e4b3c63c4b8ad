/* The pixels of a frame, row by row, for tests. */
#ifndef IL_MEDIA_EACH_ROW_TEST_H
#define IL_MEDIA_EACH_ROW_TEST_H

#include "frame/frame.h"

/* Calls `row` for every row of every plane. */
static inline void each_row(const struct inlay_frame *frame, void (*row)(void *ctx, const uint8_t *data, size_t size),
                            void *ctx)
{
	struct inlay_planes planes;
	inlay_frame_map(frame, &planes);
	for (int i = 0; i < il_plane_count(inlay_frame_info(frame)->format); i++) {
		size_t row_bytes;
		int rows;
		il_plane_size(inlay_frame_info(frame), i, &row_bytes, &rows);
		for (int y = 0; y < rows; y++)
			row(ctx, planes.data[i] + y * planes.stride[i], row_bytes);
	}
	inlay_frame_unmap(frame);
}

#endif
