/* Names of numbered files, such as "frames/%06d.jpg": printf's %d with an optional width, and %% for a percent sign.
 * They come out of files that anybody may have written, so they are expanded here and never given to printf. */
#ifndef IL_BASE_PATTERN_H
#define IL_BASE_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define IL_PATTERN_PATH 4096 /* holds the path of any valid pattern */

/* INLAY_ERR_INVALID unless `pattern` holds exactly one %d (or %3d, %06d: at most 20 wide) and no other conversion, and
 * its paths fit. All below is for patterns that passed. */
enum inlay_err il_pattern_check(const char *pattern, struct inlay_error *err);
bool il_pattern_valid(const char *pattern);

/* folder/pattern in fresh memory, percent signs of `folder` doubled; an absolute pattern stands for itself. *joined is
 * NULL on failure. */
enum inlay_err il_pattern_join(char **joined, const char *folder, const char *pattern, struct inlay_error *err);

/* Path number `number`; returns path. */
const char *il_pattern_path(const char *pattern, int64_t number, char path[IL_PATTERN_PATH]);

/* Whether `path` is path number *number, for a number of 0 or above. */
bool il_pattern_match(const char *pattern, const char *path, int64_t *number);

#endif
