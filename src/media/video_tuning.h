/* Preset and quality of a video encoder: our defaults, and what the user asks for. */
#ifndef IL_MEDIA_VIDEO_TUNING_H
#define IL_MEDIA_VIDEO_TUNING_H

#include <libavcodec/avcodec.h>

#include "media/sink.h"

/* For an encoder that is not open yet. params->preset and params->crf that it does not take are INLAY_ERR_INVALID, and
 * those that it does not know are ignored with a warning. text: gets "libx264 veryfast crf 20". */
enum inlay_err il_video_tune(AVCodecContext *encoder, const struct il_sink_params *params, char *text, size_t size,
                             struct inlay_error *err);

#endif
