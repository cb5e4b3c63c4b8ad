/* A pipeline: numbered items flow through a row of stages and come out in order, exactly once.
 *
 * The pipeline is a ring of `slots` items, made once. Item k lives in slot k % slots from the moment the first stage
 * takes it until the last stage is done with it; so memory is bounded, and a slow stage holds back the first one. A
 * stage takes items in order, up to `batch` consecutive ones a call, on `workers` threads; a stage of one worker
 * therefore sees every item in order, and the last stage must be such a one. Batches are cut at fixed numbers
 * (0..b-1, b..2b-1, ..) whatever the timing, so that a run can be repeated exactly.
 *
 * End of stream: the first stage returns INLAY_EOF for an item that does not exist; the others then drain. A fault in
 * any stage stops all of them; the first fault wins.
 */
#ifndef IL_PIPELINE_PIPELINE_H
#define IL_PIPELINE_PIPELINE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/histogram.h"

/* One call of a stage: items[0..n-1] are consecutive, the first one is number `first`. worker < workers. Called from
 * the stage's threads without any lock held; may block. Calls for one worker never overlap. */
typedef enum inlay_err il_stage_fn(void *ctx, unsigned worker, int64_t first, void *const *items, unsigned n,
                                   struct inlay_error *err);

struct il_stage {
	const char *name;
	il_stage_fn *run;
	void *ctx;
	unsigned workers; /* 0 is 1 */
	unsigned batch;   /* 0 is 1; the first stage takes one at a time */
};

struct il_stage_stats {
	const char *name;
	unsigned workers;
	int64_t items;
	struct il_histogram per_item; /* duration of a call shared among its items */
};

#define IL_PIPELINE_MAX_STAGES 8

/* Owner: who created it. */
struct il_pipeline;

/* items: [slots] objects of the caller, which outlive the pipeline; it never looks into them. Stages are copied. At
 * least two stages. */
enum inlay_err il_pipeline_create(struct il_pipeline **pipeline, const struct il_stage *stages, unsigned n_stages,
                                  void *const *items, unsigned slots, struct inlay_error *err);

/* Runs to the end on threads of its own. `progress` (may be NULL) is called from the calling thread every
 * `interval_ms` with the number of items done, and no more after a fault; it returns false to cancel. INLAY_OK,
 * INLAY_ERR_CANCELLED, or the first fault. Called once. */
enum inlay_err il_pipeline_run(struct il_pipeline *pipeline, bool (*progress)(void *ctx, int64_t done), void *ctx,
                               unsigned interval_ms, struct inlay_error *err);

/* Asks a run to end; it returns once the calls under way have. Any thread. */
void il_pipeline_cancel(struct il_pipeline *pipeline);

/* True once a run is to end before its time, by a fault or by cancel: for a stage that waits for something that may
 * never come. Any thread. */
bool il_pipeline_stopping(struct il_pipeline *pipeline);

/* After run returned. */
const struct il_stage_stats *il_pipeline_stats(const struct il_pipeline *pipeline, unsigned stage);

/* Not while a run is under way. */
void il_pipeline_destroy(struct il_pipeline **pipeline);

#endif
