/* The data folder: what inlay brings along besides the program, such as the presenter that --demo shows. */
#ifndef IL_BASE_DATA_H
#define IL_BASE_DATA_H

#include "base/error.h"

/* Finds `name` ("presenter", "presenter/hello.flac"; a file or a folder) in the data folder and gives its path in fresh
 * memory. `program` is the program's own path, NULL for the one that runs.
 *
 * Where the environment variable INLAY_DATA is set and not empty, it is the data folder and no other is looked into.
 * Else the first of these folders that holds the name counts:
 *   1. ../share/inlay from the program's folder, so that an installed tree may be moved;
 *   2. ../models from the program's folder if the program stands in its build folder, recognised by a build.ninja, so
 *      that a working tree shows its own presenter and not an installed one;
 *   3. the data folder that was configured when inlay was built (meson's datadir).
 * INLAY_ERR_NOT_FOUND if none does; the text tells the name and where it was looked for. Any thread, as long as none
 * changes the environment. */
enum inlay_err il_data_find(char **path, const char *name, const char *program, struct inlay_error *err);

#endif
