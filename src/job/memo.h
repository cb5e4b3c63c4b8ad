/* Silence looks the same each time: a speaker who pauses gives windows of features that equal each other bit for bit,
 * and an avatar comes by the same frame again and again. What was drawn then is kept. */
#ifndef IL_JOB_MEMO_H
#define IL_JOB_MEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* find and keep: any thread. */
struct il_memo;

/* For an avatar of `frames` frames, windows of window_floats and drawings of `bytes` each. At most budget_bytes are
 * kept, which are taken from the system as they are filled. */
enum inlay_err il_memo_create(struct il_memo **memo, int64_t frames, size_t window_floats, size_t bytes,
                              size_t budget_bytes, struct inlay_error *err);
void il_memo_destroy(struct il_memo **memo);

/* For each window in the order of the speech, from one thread: a number for windows that equal the one before or one
 * of the last few of which that was so, the same for equal ones; -1 for all others, which are not worth keeping. */
int64_t il_memo_window(struct il_memo *memo, const float *window);

/* What was drawn on avatar frame `index` for a window of that number: true, and copied. */
bool il_memo_find(struct il_memo *memo, int64_t index, int64_t window, void *drawing);
/* Keeps a drawing where there is room. Nothing for a window of -1. */
void il_memo_keep(struct il_memo *memo, int64_t index, int64_t window, const void *drawing);

/* How often find was true. */
int64_t il_memo_hits(const struct il_memo *memo);

#endif
