#ifndef IL_CATALOGUE_FIND_H
#define IL_CATALOGUE_FIND_H

#include <stddef.h>

#include "base/error.h"

/* The user's own folder of models in fresh memory, whether it exists or not; INLAY_ERR_NOT_FOUND if neither
 * XDG_DATA_HOME nor HOME says where it is. */
enum inlay_err il_model_user_folder(char **path, struct inlay_error *err);

/* What to do about a name that led nowhere, for the end of an error's text: `did you mean "a" or "b"?` where models of
 * the catalogue or the folders are called nearly so. Returns `text`. */
char *il_model_advise(const char *name, char *text, size_t size);

#endif
