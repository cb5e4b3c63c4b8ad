#include "plot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEFT = 60, TOP = 60, HEIGHT = 240, BAR = 22, GAP = 26, LEGEND = 34 };

static const char *const colours[PLOT_SERIES] = { "#4c6ef5", "#12b886", "#fab005" };

static double largest(const struct plot *p)
{
	double max = 0;
	for (size_t g = 0; g < p->n_groups; g++)
		for (int s = 0; s < PLOT_SERIES; s++)
			max = p->groups[g].values[s] > max ? p->groups[g].values[s] : max;
	return max > 0 ? max : 1;
}

/* 1, 2 or 5 times a power of ten, so that about five lines fit. */
static double grid_step(double max)
{
	double step = 1e-3;
	static const double factors[] = { 2, 2.5, 2 };
	for (int i = 0; step * 5 < max; i++)
		step *= factors[i % 3];
	return step;
}

static void draw_grid(FILE *out, const struct plot *p, double max, int width)
{
	double step = grid_step(max);
	for (double v = 0; v <= max * 1.0001; v += step) {
		double y = TOP + HEIGHT - v / max * HEIGHT;
		fprintf(out, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", LEFT, y,
		        width - 20, y);
		fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", LEFT - 8, y + 4, v);
	}
	fprintf(out, "<text x=\"%d\" y=\"%d\">%s</text>\n", 14, TOP - 12, p->unit);
}

static void draw_group(FILE *out, const struct plot *p, size_t g, double max)
{
	int x = LEFT + GAP / 2 + (int)g * (PLOT_SERIES * BAR + GAP);
	for (int s = 0; s < PLOT_SERIES; s++) {
		double v = p->groups[g].values[s], h = v / max * HEIGHT;
		fprintf(out, "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"%s\"/>\n", x + s * BAR,
		        TOP + HEIGHT - h, BAR - 2, h, colours[s]);
		fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"middle\" font-size=\"9\">%.1f</text>\n",
		        x + s * BAR + BAR / 2, TOP + HEIGHT - h - 3, v);
	}
	fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x + PLOT_SERIES * BAR / 2,
	        TOP + HEIGHT + 18, p->groups[g].label);
}

char *plot_svg(const struct plot *p)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	int width = LEFT + (int)p->n_groups * (PLOT_SERIES * BAR + GAP) + 20;
	width = width < 460 ? 460 : width;
	double max = largest(p);
	fprintf(out,
	        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
	        "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
	        "<text x=\"14\" y=\"24\" font-size=\"15\">%s</text>\n",
	        width, TOP + HEIGHT + LEGEND + 30, p->title);
	draw_grid(out, p, max, width);
	for (size_t g = 0; g < p->n_groups; g++)
		draw_group(out, p, g, max);
	for (int s = 0, x = LEFT; s < PLOT_SERIES; s++) {
		int y = TOP + HEIGHT + LEGEND;
		fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"10\" height=\"10\" fill=\"%s\"/>\n", x, y + 2,
		        colours[s]);
		fprintf(out, "<text x=\"%d\" y=\"%d\">%s</text>\n", x + 14, y + 11, p->series[s]);
		x += 30 + 7 * (int)strlen(p->series[s]);
	}
	fputs("</svg>\n", out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
