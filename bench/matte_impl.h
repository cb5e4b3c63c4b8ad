/* The parts of bench/matte.c. One thread. */
#ifndef INLAY_BENCH_MATTE_IMPL_H
#define INLAY_BENCH_MATTE_IMPL_H

#include <stdbool.h>

#include "frame/frame.h"
#include "matte.h"

/* --- the picture -------------------------------------------------------------------------------------------------- */

#define BENCH_MASK 256           /* a network's mask is so wide and high */
#define BENCH_LEAST_COVERED 0.25 /* of the frame, by a portrait */
#define BENCH_MOST_COVERED 0.40
#define BENCH_WANTED_COVERED 0.30 /* where a part of the picture is chosen */

struct bench_picture {
	uint8_t *bgr;                        /* of the size asked for, rows without gaps */
	struct inlay_frame *i420;            /* the same, limited BT.709 */
	float mask[BENCH_MASK * BENCH_MASK]; /* 0..1, as from a network */
	double covered;                      /* its mean */
	char what[512];                      /* for messages: file, and what of it */
};

/* The image asked for; else the portrait of the test data ($INLAY_TEST_DATA); else the demo presenter with a made
 * mask. Where the subject covers too little of it, a part round the subject is enlarged. Close accepts {0}. */
enum inlay_err bench_picture_open(struct bench_picture *picture, const struct bench_matte_params *params,
                                  struct inlay_error *err);
void bench_picture_close(struct bench_picture *picture);

/* I420 as in struct bench_picture from rows of BGR without gaps. */
enum inlay_err bench_i420_from_bgr(struct inlay_frame **i420, const uint8_t *bgr, int width, int height,
                                   struct inlay_error *err);

/* --- the Python process ------------------------------------------------------------------------------------------- */

/* bench/matte_baseline.py, which waits while it is not asked. It ends when this process does, however that ends. */
struct bench_python;

/* Writes frame and mask into the scratch folder for it, and returns once it has read them. Says which package is
 * missing where one is. */
enum inlay_err bench_python_start(struct bench_python **python, const struct bench_matte_params *params,
                                  const struct bench_picture *picture, struct inlay_error *err);
void bench_python_destroy(struct bench_python **python);
/* "Python 3.11.2, NumPy ..." */
const char *bench_python_versions(const struct bench_python *python);

/* Processor time of one frame of row "pil", "opencv" or "opencv-boxes". */
enum inlay_err bench_python_run(struct bench_python *python, const char *row, double *ms, struct inlay_error *err);

/* What that row makes: width * height bytes of alpha, then as many pixels of BGR, in fresh memory. */
enum inlay_err bench_python_result(struct bench_python *python, const char *row, uint8_t **alpha_and_bgr,
                                   struct inlay_error *err);

#endif
