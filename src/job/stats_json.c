#include <jansson.h>

#include "infer/session.h"
#include "inlay/lipsync.h"
#include "inlay/version.h"
#include "kernel/kernel.h"
#include "media/libav.h"

static json_t *stage_json(const struct inlay_stage_stats *s)
{
	return json_pack("{s:I, s:i, s:f, s:f, s:f, s:f, s:f}", "count", (json_int_t)s->count, "workers",
	                 (int)s->workers, "total_ms", s->total_ms, "mean_ms", s->mean_ms, "p50_ms", s->p50_ms, "p99_ms",
	                 s->p99_ms, "max_ms", s->max_ms);
}

char *inlay_lipsync_stats_json(const struct inlay_lipsync *job)
{
	struct inlay_lipsync_stats s;
	inlay_lipsync_stats(job, &s);
	json_t *stages = json_object();
	for (unsigned i = 0; i < INLAY_LIPSYNC_STAGES; i++)
		json_object_set_new(stages, s.stages[i].name, stage_json(&s.stages[i]));
	json_t *root = json_pack(
		"{s:I, s:f, s:f, s:f, s:f, s:I, s:i, s:i, s:i, s:b, s:{s:I, s:I, s:I}, s:o, s:s, s:{s:s, s:s, s:s}}",
		"frames", (json_int_t)s.frames, "setup_s", s.setup_s, "wall_s", s.wall_s, "cpu_s", s.cpu_s, "fps",
		s.fps, "peak_rss_bytes", (json_int_t)s.peak_rss_bytes, "workers", (int)s.workers, "batch", (int)s.batch,
		"threads_per_worker", (int)s.threads, "measured", s.measured, "cache", "hits", (json_int_t)s.cache_hits,
		"misses", (json_int_t)s.cache_misses, "bytes", (json_int_t)s.cache_bytes, "stages", stages, "cpu",
		il_kernels_get()->name, "versions", "inlay", inlay_version(), "onnxruntime", il_infer_runtime_version(),
		"ffmpeg", il_libav_version());
	char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
	json_decref(root);
	return text;
}
