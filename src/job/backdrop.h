/* What a matte's subject is put over: a colour, a picture, a video that repeats, or the frame itself, blurred. */
#ifndef IL_JOB_BACKDROP_H
#define IL_JOB_BACKDROP_H

#include "composite/matte.h"
#include "frame/frame.h"

/* One thread at a time. */
struct il_backdrop;

/* For frames as `info` says. A name that is neither a file nor a colour is INLAY_ERR_NOT_FOUND. threads: of a video's
 * decoder. */
enum inlay_err il_backdrop_open(struct il_backdrop **backdrop, const struct inlay_matte_settings *settings,
                                const struct inlay_frame_info *info, unsigned threads, struct inlay_error *err);
void il_backdrop_destroy(struct il_backdrop **backdrop);

/* What lies behind the frame that is shown `seconds` after the first one; times rise. *frame is the picture, of the
 * size and format of the frames, one more holder of it and read only; NULL where none is needed. */
enum inlay_err il_backdrop_at(struct il_backdrop *backdrop, double seconds, struct inlay_frame **frame,
                              struct inlay_error *err);

/* The background for il_matte_chain_apply; without the planes of a picture. Any thread. */
struct il_matte_background il_backdrop_fill(const struct il_backdrop *backdrop);

/* A picture file of info's size, in info's format; the caller owns it. Another size is INLAY_ERR_INVALID. */
enum inlay_err il_backdrop_plate(struct inlay_frame **frame, const char *path, const struct inlay_frame_info *info,
                                 struct inlay_error *err);

#endif
