/* Frames into the packets of a video codec. */
#ifndef IL_MEDIA_VIDEO_ENCODER_H
#define IL_MEDIA_VIDEO_ENCODER_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "media/sink.h"

/* One thread at a time. */
struct il_video_encoder;

/* An encoder for params->frame whose packets `muxer` can hold: params->codec, or `codec`. An encoder of NVIDIA's that
 * does not start here gives way to software, with a warning. Its timebase is params->timebase, or 1 / fps. */
enum inlay_err il_video_encoder_open(struct il_video_encoder **encoder, const AVOutputFormat *muxer, const char *format,
                                     const char *codec, const struct il_sink_params *params, struct inlay_error *err);
void il_video_encoder_destroy(struct il_video_encoder **encoder);

const AVCodecContext *il_video_encoder_context(const struct il_video_encoder *encoder);

/* "libx264 veryfast crf 20" */
const char *il_video_encoder_describe(const struct il_video_encoder *encoder);

/* The next frame, shown at pts in the encoder's timebase; it is held until the encoder is done with it, no pixel is
 * copied unless the codec takes another format. NULL: that was the last one. */
enum inlay_err il_video_encoder_send(struct il_video_encoder *encoder, struct inlay_frame *frame, int64_t pts,
                                     struct inlay_error *err);

/* To be called after each send until it gives INLAY_AGAIN or INLAY_EOF. Times are in the encoder's timebase; every
 * packet lasts as long as a frame does at params->fps. */
enum inlay_err il_video_encoder_receive(struct il_video_encoder *encoder, AVPacket *packet, struct inlay_error *err);

#endif
