/* What the files of inlay matte share. */
#ifndef INLAY_CMD_MATTE_H
#define INLAY_CMD_MATTE_H

#include "base/file.h"
#include "cli.h"
#include "inlay/matte.h"

#define MATTE_MAX_CHOICES 64

struct matte_arguments {
	struct common common;
	struct inlay_matte_params params;
	struct matte_choice {
		const char *name, *value;
	} choices[MATTE_MAX_CHOICES]; /* settings given as options */
	int n_choices;
	const char *preset, *settings_path, *stats;
	int progress;
	bool skip_existing;
};

/* One job from start to end. *lossy: the input is damaged or breaks off, and what could be read is done. */
enum inlay_err matte_one(const struct matte_arguments *a, const struct inlay_matte_params *params,
                         struct il_part *stats, bool *lossy, struct inlay_error *err);

/* Every video and picture of a folder into another one; the exit status. */
int matte_folder(const struct matte_arguments *a);

#endif
