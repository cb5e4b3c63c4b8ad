#include "job/view.h"

enum inlay_err il_view_open(struct il_view *view, const struct il_matte_net_params *params,
                            const struct inlay_frame_info *frame, struct inlay_error *err)
{
	enum inlay_err rc = il_matte_net_open(&view->nets[0], params, err);
	if (rc)
		return rc;
	const struct il_matte_net_info *info = il_view_info(view);
	view->outputs = (size_t)info->output_width * (size_t)info->output_height;
	view->picture = (struct inlay_frame_info){ .format = INLAY_PIX_BGR24,
		                                   .width = info->width,
		                                   .height = info->height,
		                                   .colour = { .range = INLAY_RANGE_FULL } };
	return il_scaler_create(&view->shrink, frame, &view->picture, IL_FIT_STRETCH, err);
}

void il_view_close(struct il_view *view)
{
	for (unsigned i = 0; i < IL_VIEW_MAX_WORKERS; i++)
		il_matte_net_destroy(&view->nets[i]);
	il_scaler_destroy(&view->shrink);
}

enum inlay_err il_view_spread(struct il_view *view, const struct il_matte_net_params *params, unsigned workers,
                              unsigned threads, struct inlay_error *err)
{
	const struct il_matte_manifest learnt = *il_matte_net_manifest(view->nets[0]);
	struct il_matte_net_params all = *params;
	enum inlay_err rc = INLAY_OK;
	all.manifest = &learnt;
	all.threads = threads;
	if (threads > 1)
		il_matte_net_destroy(&view->nets[0]);
	for (unsigned i = 0; i < workers && !rc; i++)
		if (!view->nets[i])
			rc = il_matte_net_open(&view->nets[i], &all, err);
	return rc;
}

const struct il_matte_net_info *il_view_info(const struct il_view *view)
{
	return il_matte_net_info(view->nets[0]);
}

const uint8_t *il_view_pixels(const struct inlay_frame *picture, ptrdiff_t *stride)
{
	struct inlay_planes planes;
	inlay_frame_map(picture, &planes);
	*stride = planes.stride[0];
	inlay_frame_unmap(picture); /* host memory stays where it is */
	return planes.data[0];
}

enum inlay_err il_view_look(const struct il_view *view, unsigned worker, struct il_matte_stream *memory,
                            const struct inlay_frame *picture, struct il_matte_result *result, struct inlay_error *err)
{
	ptrdiff_t stride;
	const uint8_t *pixels = il_view_pixels(picture, &stride);
	return il_matte_net_run(view->nets[worker], memory, pixels, stride, IL_MATTE_BGR, result, err);
}
