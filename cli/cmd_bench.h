/* What the benches share. */
#ifndef INLAY_CMD_BENCH_H
#define INLAY_CMD_BENCH_H

#include <limits.h>
#include <stdbool.h>

#include "cli.h"

command_fn cmd_bench_lipsync, cmd_bench_matte;

/* Makes a folder in $TMPDIR (/tmp); the caller removes it. */
enum inlay_err bench_scratch(char path[PATH_MAX], struct inlay_error *err);
bool bench_cancelled(void);
/* The exit status of a bench that ended so. */
int bench_status(enum inlay_err rc, const struct inlay_error *err);

#endif
