/* What the jobs share: a pipeline that ends in a sink, measured. */
#ifndef IL_JOB_RUN_H
#define IL_JOB_RUN_H

#include <jansson.h>

#include "inlay/job.h"
#include "media/sink.h"
#include "pipeline/pipeline.h"

struct il_run {
	struct il_pipeline *pipeline;
	int64_t expected; /* frames, -1: unknown */
	int64_t setup_ns, wall_ns, cpu_ns;
};

/* Runs to the end and finishes the sink, which may be NULL. */
enum inlay_err il_run(struct il_run *run, struct il_sink *sink, inlay_progress_fn *progress, void *ctx,
                      struct inlay_error *err);

/* For a sink whose reader has gone to sleep; ctx is the struct il_run. */
bool il_run_stopping(void *ctx);

/* Of the pipeline's first n stages. */
void il_run_stages(const struct il_run *run, struct inlay_stage_stats *stages, unsigned n);

/* Adds the stages, the instruction set and the versions to `own`, which it takes, and gives the whole as text in fresh
 * memory, or NULL. */
char *il_run_json(json_t *own, const struct inlay_stage_stats *stages, unsigned n);

#endif
