/* What a row of measurements says. */
#ifndef INLAY_BENCH_MEDIAN_H
#define INLAY_BENCH_MEDIAN_H

#include <stdlib.h>
#include <string.h>

enum { MEDIAN_MOST = 64 };

static inline int median_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Of 1 to MEDIAN_MOST values, which stay in their order. */
static inline double median(const double *values, unsigned n)
{
	double sorted[MEDIAN_MOST];
	memcpy(sorted, values, n * sizeof *values);
	qsort(sorted, n, sizeof *sorted, median_order);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

#endif
