#include <jansson.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "infer/session.h"
#include "job/measure.h"

enum {
	MIN_EXPECTED = 100, /* frames below which measuring costs more than it can gain */
	MAX_BATCH = 8,
	MAX_SESSION_THREADS = 64, /* no network has work for more */
};

static const double WORTH_THE_MEMORY = 1.10; /* what a candidate must gain */
static const double TRIAL_S = 0.5;           /* a trial lasts about so long, and four runs a session */

/* What the outcome depends on. */
static void make_key(char *key, size_t size, const struct il_lipsync_net_params *net, unsigned threads,
                     unsigned workers, unsigned batch)
{
	struct stat st = { 0 };
	stat(net->path, &st);
	snprintf(key, size, "%lld-%lld.%09ld threads=%u workers=%u batch=%u cpu=%s onnxruntime=%s",
	         (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, threads, workers, batch,
	         il_cpu_name(il_cpu_flags()), il_infer_runtime_version());
}

/* Path of the file of outcomes, its folder made; NULL where there is no place for it. free() it. */
static char *cache_path(void)
{
	const char *root = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char folder[PATH_MAX];
	if (root && *root)
		snprintf(folder, sizeof folder, "%s", root);
	else if (home && *home)
		snprintf(folder, sizeof folder, "%s/.cache", home);
	else
		return NULL;
	mkdir(folder, 0700);
	char *own = il_path_join(folder, "inlay");
	char *path = NULL;
	if (own && (mkdir(own, 0700) == 0 || il_path_is_folder(own)))
		path = il_path_join(own, "tuning.json");
	free(own);
	return path;
}

static bool recall(const char *path, const char *key, struct il_tuning *tuning)
{
	int workers, batch;
	json_t *all = path ? json_load_file(path, JSON_REJECT_DUPLICATES, NULL) : NULL;
	bool found = all &&
	             json_unpack(json_object_get(all, key), "{s:i, s:i}", "workers", &workers, "batch", &batch) == 0 &&
	             workers > 0 && workers < 1024 && batch > 0 && batch <= 1024;
	if (found) {
		tuning->workers = (unsigned)workers;
		tuning->batch = (unsigned)batch;
	}
	json_decref(all);
	return found;
}

/* A failure to remember costs the next run some seconds, nothing more. */
static void remember(const char *path, const char *key, const struct il_tuning *tuning, double frames_per_s)
{
	if (!path)
		return;
	json_t *all = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(all)) {
		json_decref(all);
		all = json_object();
	}
	json_object_set_new(all, key,
	                    json_pack("{s:i, s:i, s:f}", "workers", (int)tuning->workers, "batch", (int)tuning->batch,
	                              "frames_per_s", frames_per_s));
	char *text = json_dumps(all, JSON_INDENT(1) | JSON_SORT_KEYS | JSON_REAL_PRECISION(4));
	struct inlay_error ignored = { 0 };
	if (text && il_file_write(path, text, strlen(text), true, &ignored))
		il_log_debug("%s", ignored.text);
	free(text);
	json_decref(all);
}

struct search {
	struct il_lipsync_net_params net;
	unsigned threads;
	struct il_tuning *best;
	double best_rate;
	int64_t memory_limit, memory_of_one; /* bytes: of all sessions, of one session of batch 1 */
};

unsigned il_session_threads(unsigned threads, unsigned workers)
{
	unsigned share = threads / workers;
	return share < 1 ? 1 : share > MAX_SESSION_THREADS ? MAX_SESSION_THREADS : share;
}

/* Frames a second of one candidate, from a short trial and a longer one. */
static enum inlay_err try_out(const struct search *s, unsigned workers, unsigned batch, double *rate,
                              struct inlay_error *err)
{
	struct il_lipsync_net_params net = s->net;
	net.batch = batch;
	net.threads = il_session_threads(s->threads, workers);
	int64_t frames = 4 * workers * batch;
	enum inlay_err rc = il_measure_network(&net, workers, frames, rate, err);
	if (!rc && (double)frames / *rate < TRIAL_S / 2)
		rc = il_measure_network(&net, workers, (int64_t)(TRIAL_S * *rate), rate, err);
	malloc_trim(0);
	il_log_debug("tuning: %u worker(s) x batch %u x %u thread(s): %.2f frames/s", workers, batch, net.threads,
	             *rate);
	return rc;
}

/* The first candidate: one session, one frame a run. It also tells what memory a frame takes. */
static enum inlay_err begin(struct search *s, unsigned workers, unsigned batch, struct inlay_error *err)
{
	bool known = il_peak_rss_reset();
	int64_t before = il_peak_rss_bytes();
	s->best->workers = workers ? workers : 1;
	s->best->batch = batch ? batch : 1;
	enum inlay_err rc = try_out(s, s->best->workers, s->best->batch, &s->best_rate, err);
	/* Where the system does not tell, one session of batch 1 it is: better slow than out of memory. */
	s->memory_of_one =
		known ? (il_peak_rss_bytes() - before) / (int64_t)(s->best->workers * s->best->batch) : s->memory_limit;
	return rc;
}

/* Takes a candidate that is better by enough, twice: other programs' pauses make a slow trial, never a fast one, so
 * both sides are measured again and the better of two trials counts. */
static enum inlay_err consider(struct search *s, unsigned workers, unsigned batch, struct inlay_error *err)
{
	double rate, again, best_again;
	if (s->memory_of_one * (int64_t)(workers * batch) > s->memory_limit)
		return INLAY_OK;
	enum inlay_err rc = try_out(s, workers, batch, &rate, err);
	if (rc || rate <= s->best_rate * WORTH_THE_MEMORY)
		return rc;
	rc = try_out(s, s->best->workers, s->best->batch, &best_again, err);
	if (!rc)
		rc = try_out(s, workers, batch, &again, err);
	if (rc)
		return rc;
	s->best_rate = best_again > s->best_rate ? best_again : s->best_rate;
	rate = again > rate ? again : rate;
	if (rate > s->best_rate * WORTH_THE_MEMORY) {
		s->best_rate = rate;
		s->best->workers = workers;
		s->best->batch = batch;
	}
	return INLAY_OK;
}

/* One session on all processors against two, four .. one a processor, then larger batches while they pay. */
static enum inlay_err search(struct search *s, unsigned workers, unsigned batch, struct inlay_error *err)
{
	enum inlay_err rc = begin(s, workers, batch, err);
	for (unsigned w = 2; !rc && !workers && w < 2 * s->threads; w *= 2)
		rc = consider(s, w < s->threads ? w : s->threads, s->best->batch, err);
	for (unsigned b = 2; !rc && !batch && b <= MAX_BATCH; b *= 2) {
		rc = consider(s, s->best->workers, b, err);
		if (s->best->batch != b)
			break;
	}
	return rc;
}

/* What a server of this many processors can be expected to spare, and not less than one large network needs. */
static int64_t memory_limit(unsigned threads)
{
	const int64_t least = (int64_t)512 << 20, each = (int64_t)256 << 20;
	int64_t limit = each * threads, share = il_memory_bytes() / 8;
	limit = limit < share ? limit : share;
	return limit > least ? limit : least;
}

enum inlay_err il_tune(const struct il_lipsync_net_params *net, unsigned threads, unsigned workers, unsigned batch,
                       int64_t expected, struct il_tuning *tuning, struct inlay_error *err)
{
	enum inlay_err rc = INLAY_OK;
	*tuning = (struct il_tuning){ .workers = workers ? workers : 1, .batch = batch ? batch : 1 };
	if ((!workers || !batch) && (expected < 0 || expected >= MIN_EXPECTED)) {
		char key[256];
		char *path = cache_path();
		make_key(key, sizeof key, net, threads, workers, batch);
		tuning->measured = true;
		if (!recall(path, key, tuning)) {
			il_log_info("measuring the best number of workers and batch for this model (once)");
			struct search s = {
				.net = *net, .threads = threads, .best = tuning, .memory_limit = memory_limit(threads)
			};
			rc = search(&s, workers, batch, err);
			if (!rc)
				remember(path, key, tuning, s.best_rate);
		}
		free(path);
	}
	tuning->threads = il_session_threads(threads, tuning->workers);
	return rc;
}
