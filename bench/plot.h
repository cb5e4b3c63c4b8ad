/* A bar chart as SVG. */
#ifndef INLAY_BENCH_PLOT_H
#define INLAY_BENCH_PLOT_H

#include <stddef.h>

#define PLOT_SERIES 3

struct plot_group {
	char label[48];
	double values[PLOT_SERIES];
};

struct plot {
	const char *title, *unit;
	const char *series[PLOT_SERIES];
	const struct plot_group *groups;
	size_t n_groups;
};

/* The chart's text in fresh memory (free()), NULL when out of memory. */
char *plot_svg(const struct plot *plot);

#endif
