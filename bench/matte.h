/* inlay bench matte: a frame over its blurred background, inlay beside what it replaces, interleaved in one run. */
#ifndef INLAY_BENCH_MATTE_H
#define INLAY_BENCH_MATTE_H

#include <stdbool.h>

#include "inlay/error.h"

struct bench_matte_params {
	const char *image, *alpha; /* a picture and its true matte; both NULL: see bench/matte_impl.h */
	int width, height;         /* of the frame that is worked on */
	int expand;                /* the look, for every row alike: as in struct inlay_matte_look */
	double smooth, feather, blur;
	unsigned rounds;     /* 1..BENCH_MATTE_ROUNDS */
	const char *python;  /* interpreter of the rows to compare with, NULL: without them */
	const char *json;    /* file for the figures, may be NULL; replaced */
	const char *scratch; /* folder for what the interpreter reads and writes; left empty */
	bool (*cancelled)(void);
};
enum { BENCH_MATTE_ROUNDS = 99 };

/* Prints the table on standard output. Before anything is measured, the PIL chain and inlay's reference preset must
 * give the same result, so that the rows do the same work; INLAY_ERR_FORMAT otherwise. */
enum inlay_err bench_matte(const struct bench_matte_params *params, struct inlay_error *err);

#endif
