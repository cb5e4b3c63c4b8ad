/* An audio encoder [n,1,80,16] -> [n,D] float32, run one window at a time. */
#ifndef IL_INFER_AUDIO_ENCODER_H
#define IL_INFER_AUDIO_ENCODER_H

#include "infer/session.h"

struct il_audio_encoder;

enum inlay_err il_audio_encoder_open(struct il_audio_encoder **encoder, const char *path, struct inlay_error *err);
void il_audio_encoder_destroy(struct il_audio_encoder **encoder);
size_t il_audio_encoder_floats(const struct il_audio_encoder *encoder); /* D */

/* window [80,16] -> row [D]; the signature of il_speech_encode_fn. ctx is the encoder. One thread at a time. */
enum inlay_err il_audio_encoder_run(void *ctx, const float *window, float *row, struct inlay_error *err);

#endif
