/* The matting job: a video in, the same video with its background removed, blurred or replaced out.
 *
 * A segmentation or matting network tells for each frame where the subject is (docs/models.md says which networks; the
 * mask belongs to its own frame, it never lags). The mask becomes the frame's alpha, and the frame is put over another
 * background in its own 4:2:0 format. Decoding, inference, compositing and encoding run side by side; frames leave in
 * order, with their own times. A run gives the same bytes whatever the number of workers.
 */
#ifndef INLAY_MATTE_H
#define INLAY_MATTE_H

#include <stdbool.h>
#include <stdint.h>

#include "inlay/error.h"
#include "inlay/frame.h"
#include "inlay/job.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Defaults of the presets:
 *
 *                best     fast      obs       reference
 *   threshold    0.5      0.5       0.5       0.65
 *   soft         0.4      0.4       0         0.2
 *   expand       0        0         0         -5
 *   smooth       0.1      0         0.5       0.05
 *   feather      2 out    2 out     0 both    0 both
 *   contour      0.01     0.01      0.05 (b)  0
 *   temporal     0        0         0.85      0
 *   upsample     guided   bilinear  bilinear  nearest
 *   halo_free    yes      yes       no        no
 *   foreground   clean    raw       raw       raw
 *   exact        no       no        no        yes
 *
 * reference: the Python chain's defaults; obs: those of OBS Studio's background removal plugin, (b) with its filter of
 * the background; best and fast answer what users of the plugin ask for: a mask that stays with its own frame, a
 * feather that takes nothing of the subject, and none of the subject's colour in the background. */
enum inlay_matte_preset {
	INLAY_MATTE_BEST,
	INLAY_MATTE_FAST,
	INLAY_MATTE_OBS,
	INLAY_MATTE_REFERENCE,
	INLAY_MATTE_PRESETS
};

enum inlay_matte_upsample { INLAY_MATTE_GUIDED, INLAY_MATTE_BILINEAR, INLAY_MATTE_NEAREST };

/* Out keeps every pixel at least as opaque as it was, in at most; both is a plain blur. */
enum inlay_matte_side { INLAY_MATTE_OUT, INLAY_MATTE_BOTH, INLAY_MATTE_IN };

/* The colours of a half transparent subject, where something else comes behind it than a blurred frame. RAW: the
 * frame's own. CLEAN: without the old background's share in them: as the network's own foreground says (Robust Video
 * Matting), or a picture of the empty scene, or else as the subject is beside. */
enum inlay_foreground { INLAY_FOREGROUND_RAW, INLAY_FOREGROUND_CLEAN };

/* Lengths are in pixels of the frame. */
struct inlay_matte_look {
	double threshold; /* 0..1; 0: the matte as it is */
	double soft;      /* width of the ramp round the threshold, 0..1; 0: a step */
	int expand;       /* -256..256: grows the subject by that much, or shrinks it */
	double smooth;    /* 0..20: Gaussian blur of sigma 5 * smooth */
	double feather;   /* 0..100: sigma of a second one, of one side of the edge or both */
	enum inlay_matte_side side;
	double contour;             /* 0..1: blobs and holes smaller than this share of the picture go */
	bool contour_of_background; /* as the plugin does (kernel/components.h): a subject that touches no border goes
	                             */
	double temporal;            /* share of the new mask in the moving average; 0 and 1: no average */
	bool invert;                /* the network's subject is the background */
	enum inlay_matte_upsample upsample;
	int guided_radius;     /* in samples of the mask, 0..64 */
	double guided_epsilon; /* 1e-6..1: see kernel/guided.h */
	double blur;           /* 0..100: sigma of the background's blur */
	bool halo_free;        /* blurs the background alone */
	bool full_size;        /* nothing is done at less than the frame's size */
	bool exact;            /* the Python chain's arithmetic; full_size goes with it */
	enum inlay_foreground foreground;
	bool mask_only; /* the result is the alpha itself, in grey */
};

/* blur 0, mask_only false, and the table above. */
void inlay_matte_look_init(struct inlay_matte_look *params, enum inlay_matte_preset preset);

/* "best" and so on; NULL past the last. */
const char *inlay_matte_preset_name(enum inlay_matte_preset preset);

/* --- what becomes of the picture ---------------------------------------------------------------------------------- */

/* How a picture or a video of another shape becomes the background: FILL leaves no border and cuts what stands over,
 * FIT shows all of it between black bars, TILE repeats it at its own size, STRETCH distorts it. */
enum inlay_fit { INLAY_FIT_FILL, INLAY_FIT_FIT, INLAY_FIT_TILE, INLAY_FIT_STRETCH };

/* Everything that decides how the result looks. Strings belong to the settings (inlay_matte_settings_destroy). */
struct inlay_matte_settings {
	struct inlay_matte_look look;
	char *model;    /* file, or name to be found ($INLAY_MODELS, the data folder); NULL: the best that is found */
	char *manifest; /* what the model's tensors mean (docs/models.md); NULL: beside the model, or built in */
	int width, height; /* of the network's picture, for networks that leave it free; 0: their usual size */
	int every;         /* 1..1000: a new mask for every so many frames */
	double similar;    /* 0..100: a frame whose PSNR against the last one with a mask of its own is above this many
	                      dB takes that mask over; 0: never */
	char *background;  /* NULL: the blurred frame where look.blur is above 0, else black; or a colour ("green",
	                      "#20c040"), a picture, a video (repeated when it ends) */
	enum inlay_fit fit;
	char *focal; /* depth network: what is as near as the subject stays sharp in a blurred background */
	char *plate; /* picture of the scene without the subject, of the frames' size; stands for foreground CLEAN */
	bool alpha;  /* no background: the output holds an alpha channel */
};

/* The preset's look, every 1, nothing else. */
void inlay_matte_settings_init(struct inlay_matte_settings *settings, enum inlay_matte_preset preset);
void inlay_matte_settings_destroy(struct inlay_matte_settings *settings);

/* Sets one by its name as text: "threshold" "0.5", "feather_side" "out", "halo_free" "true", "size" "512x288",
 * "preset" "fast" (which sets all of the look). Names are those of the program's options, with _ or -.
 * INLAY_ERR_INVALID names what was found and what was expected. */
enum inlay_err inlay_matte_settings_set(struct inlay_matte_settings *settings, const char *name, const char *value,
                                        struct inlay_error *err);

/* Sets what a JSON file holds: an object of the same names; "preset" counts first wherever it stands, and `preset`,
 * where not NULL, in its place. Paths are relative to the file's folder. An unknown name is INLAY_ERR_FORMAT, and the
 * settings stay as they were. */
enum inlay_err inlay_matte_settings_read(struct inlay_matte_settings *settings, const char *path, const char *preset,
                                         struct inlay_error *err);

/* All of them as JSON on one line, in fresh memory (free()); NULL when out of memory. Read again it gives the same. */
char *inlay_matte_settings_format(const struct inlay_matte_settings *settings);

/* --- the job ------------------------------------------------------------------------------------------------------ */

enum inlay_hwaccel { INLAY_HWACCEL_AUTO, INLAY_HWACCEL_NONE, INLAY_HWACCEL_CUDA };

/* {0} is the default everywhere but for `input`, `settings` and `output` (or format "null"). Strings are read during
 * inlay_matte_create only. */
struct inlay_matte_params {
	const char *input; /* video file, picture, "-" (y4m on standard input), /dev/videoN */
	const char *output;
	const char *format; /* NULL: by extension; mp4 mov mkv webm jpg png y4m mjpeg rawvideo md5 v4l2 null */
	const struct inlay_matte_settings *settings;
	int64_t frames;  /* > 0: at most so many */
	int64_t preview; /* > 0: `output` is one PNG that shows frame number preview - 1: input, mask, alpha, result */

	enum inlay_hwaccel hwaccel; /* of decoding */
	unsigned threads;           /* processors to use, up to 1024; 0: all this process may */
	unsigned workers; /* network sessions side by side, 0: by the processors; networks with memory have 1 */

	const char *codec,
		*preset; /* of libav; NULL: libx264 veryfast, libvpx-vp9 for webm, prores_ks for alpha in mov */
	int crf;         /* 0: 20 (32 for vp9); INLAY_CRF_LOSSLESS */
	int quality;     /* of JPEG, 1..100; 0: 90 */
	bool overwrite;  /* replace an existing output */
};

#define INLAY_MATTE_STAGES 5

struct inlay_matte_stats {
	int64_t frames, masks;         /* masks: frames that the network ran for */
	double setup_s, wall_s, cpu_s; /* opening everything; the run; processor time of the run */
	double fps;                    /* frames / wall_s */
	int64_t peak_rss_bytes;    /* of the process during the run (or since it began, where the system cannot tell) */
	unsigned workers, threads; /* sessions, threads of one */
	/* What the input lost: frames given out with damage, packets that gave none, an end that is missing. */
	int64_t damaged, skipped;
	bool truncated;
	struct inlay_stage_stats stages[INLAY_MATTE_STAGES]; /* decode, inference, mask, composite, encode */
};

/* One run. Create, run, look at the statistics, destroy; from one thread, but for cancel. */
struct inlay_matte;

/* Opens and checks everything: input, model, backgrounds, output. *job is NULL after an error. */
enum inlay_err inlay_matte_create(struct inlay_matte **job, const struct inlay_matte_params *params,
                                  struct inlay_error *err);

/* Frames the video will have, as its container says; -1 unknown. Any thread. */
int64_t inlay_matte_expected_frames(const struct inlay_matte *job);

/* A line on the input, one on the model and what was told by its shapes or its first output, one on the output, for
 * people. Lives with the job. */
const char *inlay_matte_describe(const struct inlay_matte *job);

/* One line where something about the model is assumed or was told by its first output, and no manifest states it; NULL
 * where all is known. Lives with the job. */
const char *inlay_matte_inferred(const struct inlay_matte *job);

/* Works to the end: INLAY_OK with the output complete under its name, or an error and no output under that name. An
 * input that breaks off or is damaged is finished as far as it goes; inlay_matte_stats tells. */
enum inlay_err inlay_matte_run(struct inlay_matte *job, inlay_progress_fn *progress, void *ctx,
                               struct inlay_error *err);

/* Asks a run to end soon, or not to begin; any thread, any time between create and destroy. */
void inlay_matte_cancel(struct inlay_matte *job);

/* No more frames are read, as if the input had ended: for cameras, which have no end. Any thread, as cancel. */
void inlay_matte_stop(struct inlay_matte *job);

/* After run. */
void inlay_matte_stats(const struct inlay_matte *job, struct inlay_matte_stats *stats);
/* As JSON text in fresh memory (free()), or NULL when out of memory. */
char *inlay_matte_stats_json(const struct inlay_matte *job);

/* Accepts &{NULL}. Not while a run is under way. */
void inlay_matte_destroy(struct inlay_matte **job);

#ifdef __cplusplus
}
#endif
#endif
