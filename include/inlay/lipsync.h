/* The lip-sync job: an avatar and speech in, a finished video out.
 *
 * The network draws the lower face of each avatar frame from a window of audio features (SyncTalk_2D and
 * Ultralight-Digital-Human; tensors NCHW float32, pictures BGR in 0..1):
 *     picture [n,6,S,S], audio [n,A,H,W] -> output [n,3,S,S]
 * Speech, decoding, inference, compositing and encoding run side by side; frames leave in order. A run gives the same
 * bytes whatever the number of workers.
 */
#ifndef INLAY_LIPSYNC_H
#define INLAY_LIPSYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "inlay/error.h"
#include "inlay/frame.h"
#include "inlay/job.h"

#ifdef __cplusplus
extern "C" {
#endif

enum inlay_order {
	INLAY_ORDER_DEFAULT, /* the avatar's own wish, else bounce */
	INLAY_ORDER_BOUNCE,  /* 0 1 .. n-1 n-2 .. 1 0 1 .. */
	INLAY_ORDER_LOOP,    /* 0 1 .. n-1 0 1 .. */
	INLAY_ORDER_HOLD,    /* 0 1 .. n-1 n-1 n-1 .. */
	INLAY_ORDER_CUT,     /* 0 1 .. n-1 and the video ends there */
};

enum inlay_interp {
	INLAY_INTERP_DEFAULT, /* the avatar's own wish, else linear */
	INLAY_INTERP_LINEAR,  /* OpenCV's INTER_LINEAR */
	INLAY_INTERP_CUBIC,   /* OpenCV's INTER_CUBIC, as SyncTalk_2D scales the face */
};

#define INLAY_START_FIRST (-1)

/* {0} is the default everywhere but for `avatar` and `output` (or format "null"), and one of audio and features.
 * Strings are read during inlay_lipsync_create only. */
struct inlay_lipsync_params {
	const char *avatar;        /* pack folder or avatar.json, see docs/avatar.md */
	const char *audio;         /* anything libav reads; it speaks, and it becomes the sound track */
	const char *output;        /* FILE.mp4 .mov .mkv .webm, DIR/%06d.jpg or .png, or "-" with a format */
	const char *format;        /* NULL: by extension; mp4 mov mkv webm jpg png y4m mjpeg rawvideo md5 null */
	const char *model;         /* lip-sync network, NULL: the avatar's own */
	const char *audio_encoder; /* [n,1,80,16] -> [n,D], NULL: the avatar's own */
	const char *features;      /* .npy [T, ...] float, 25 rows a second; instead of an encoder */
	const char *parsing;       /* folder or pattern of parsing masks, NULL: the avatar's own */
	const char *input_name, *audio_name, *output_name; /* tensors, NULL: found by shape */

	enum inlay_order order;
	enum inlay_interp interp;
	int64_t start_frame;       /* avatar frame to begin with, INLAY_START_FIRST for 0; 0: the avatar's wish */
	int64_t frames;            /* > 0: at most so many */
	struct inlay_rational fps; /* {0}: the avatar's */

	unsigned threads;    /* processors inference may use, 0: all this process may */
	unsigned workers;    /* network sessions side by side, 0: measured */
	unsigned batch;      /* frames a run, 0: measured */
	int64_t cache_bytes; /* for decoded avatar frames, 0: a quarter of the memory */
	bool no_memo;        /* draw silence anew each time, though it looks the same on the same frame */

	const char *codec, *preset; /* of libav; NULL: libx264 veryfast, libvpx-vp9 for webm */
	int crf;                    /* 0: 20 (32 for vp9); INLAY_CRF_LOSSLESS */
	int quality;                /* of JPEG, 1..100; 0: 90 */
	bool overwrite;             /* replace an existing output */
};

#define INLAY_LIPSYNC_STAGES 5

struct inlay_lipsync_stats {
	int64_t frames;
	double setup_s, wall_s, cpu_s; /* opening everything (tuning included); the run; processor time of the run */
	double fps;                    /* frames / wall_s */
	int64_t peak_rss_bytes; /* of the process during the run (or since it began, where the system cannot tell) */
	unsigned workers, batch, threads; /* threads of one session */
	bool measured;                    /* workers and batch were measured, now or by an earlier run */
	struct inlay_stage_stats stages[INLAY_LIPSYNC_STAGES]; /* speech, decode, inference, composite, encode */
	int64_t cache_hits, cache_misses, cache_bytes;
	int64_t memo_hits; /* frames that were not inferred, see no_memo */
};

/* One run. Create, run, look at the statistics, destroy; from one thread, but for cancel. */
struct inlay_lipsync;

/* Opens and checks everything: pack, speech, output, network. What is wrong is said here, before any work. *job is
 * NULL after an error. */
enum inlay_err inlay_lipsync_create(struct inlay_lipsync **job, const struct inlay_lipsync_params *params,
                                    struct inlay_error *err);

/* Frames the video will have, as create estimated from the audio's container; -1 unknown. Any thread. */
int64_t inlay_lipsync_expected_frames(const struct inlay_lipsync *job);

/* One line on the avatar, the network and the output, for people. Lives with the job. */
const char *inlay_lipsync_describe(const struct inlay_lipsync *job);

/* Works to the end: INLAY_OK with the output complete under its name, or an error and no output under that name.
 * INLAY_ERR_CANCELLED when progress said so. progress may be NULL. Once a job. */
enum inlay_err inlay_lipsync_run(struct inlay_lipsync *job, inlay_progress_fn *progress, void *ctx,
                                 struct inlay_error *err);

/* Asks a run to end soon, or not to begin; any thread, any time between create and destroy. */
void inlay_lipsync_cancel(struct inlay_lipsync *job);

/* After run. */
void inlay_lipsync_stats(const struct inlay_lipsync *job, struct inlay_lipsync_stats *stats);

/* The statistics as JSON text in fresh memory (free()), or NULL when out of memory; with the versions of inlay and of
 * its libraries, and the instruction set used. */
char *inlay_lipsync_stats_json(const struct inlay_lipsync *job);

/* Accepts &{NULL}. Not while a run is under way. */
void inlay_lipsync_destroy(struct inlay_lipsync **job);

#ifdef __cplusplus
}
#endif
#endif
