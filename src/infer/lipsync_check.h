/* Whether a compiled lip-sync network draws what the original draws. */
#ifndef IL_INFER_LIPSYNC_CHECK_H
#define IL_INFER_LIPSYNC_CHECK_H

#include "infer/lipsync_compile.h"
#include "infer/session.h"

/* In levels of 255. Where a network draws bytes, what they cut off is no difference. */
struct il_lipsync_difference {
	double most, mean;
};

/* Draws one picture, planes [6, S, S], with both, each as il_lipsync_net does, for something like speech that is the
 * same each time. before: a session of compiled->before, or NULL where there is none. */
enum inlay_err il_lipsync_check(const struct il_lipsync_compiled *compiled, struct il_session *before,
                                const struct il_lipsync_net_params *original, const float *picture,
                                struct il_lipsync_difference *difference, struct inlay_error *err);

/* The picture as the input of `before`. */
struct il_tensor il_lipsync_picture(const struct il_lipsync_compiled *compiled, const float *picture);

#endif
