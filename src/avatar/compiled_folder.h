/* The folder of a compiled avatar while it is written: NAME.inlay.part, which takes the place of NAME.inlay at the end.
 *
 * What is there already is replaced only where it is a compiled avatar, in one step where the file system can swap two
 * folders. Where it cannot, the old one is NAME.inlay.old for a moment; a run killed in that moment leaves it to the
 * next one, which brings it back. Of a folder that goes, the files of a compiled avatar are removed and no others.
 */
#ifndef IL_AVATAR_COMPILED_FOLDER_H
#define IL_AVATAR_COMPILED_FOLDER_H

#include <stdbool.h>

#include "base/error.h"

/* One thread. */
struct il_compiled_folder {
	char *path, *part, *old;
	bool overwrite;
	int fd; /* of the part, locked; -1 while it is not ours */
};

/* Makes the part, or takes over what a run left that is gone. The folder is destroyable whatever comes back. */
enum inlay_err il_compiled_folder_open(struct il_compiled_folder *folder, const char *path, bool overwrite,
                                       struct inlay_error *err);
/* Removes the files of a compiled avatar from the part but those of `keep`, avatar.json and journals. */
void il_compiled_folder_clean(const struct il_compiled_folder *folder, char *const *keep, int count);
/* Puts the part in its place. After an error it is still the part. */
enum inlay_err il_compiled_folder_commit(struct il_compiled_folder *folder, struct inlay_error *err);
/* Removes the part. */
void il_compiled_folder_discard(struct il_compiled_folder *folder);
void il_compiled_folder_destroy(struct il_compiled_folder *folder);

#endif
