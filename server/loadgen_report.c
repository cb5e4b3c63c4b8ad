/* What was measured, as JSON and as a picture. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/loadgen.h"

const char *loadgen_mode_name(enum loadgen_mode mode)
{
	static const char *const names[] = { "infer", "composite", "render" };
	return names[mode];
}

/* ---- JSON ---- */

static double percentile_ms(const struct loadgen_result *r, double share)
{
	return (double)il_histogram_percentile_ns(&r->latency, share) / 1e6;
}

static json_t *latency_json(const struct loadgen_result *r)
{
	double mean = r->latency.count ? (double)r->latency.total_ns / (double)r->latency.count / 1e6 : 0;
	return json_pack("{s:f, s:f, s:f, s:f, s:f}", "mean", mean, "p50", percentile_ms(r, 0.5), "p90",
	                 percentile_ms(r, 0.9), "p99", percentile_ms(r, 0.99), "max", (double)r->latency.max_ns / 1e6);
}

static json_t *errors_json(const struct loadgen_result *r)
{
	json_t *list = json_array();
	for (size_t i = 0; i < r->n_kinds; i++) {
		const struct loadgen_error_kind *k = &r->kinds[i];
		json_t *text = json_string(k->text);
		json_array_append_new(list, json_pack("{s:s, s:I, s:o}", "kind", k->kind, "count", (json_int_t)k->count,
		                                      "first", text ? text : json_string("(no text)")));
	}
	return list;
}

static json_t *timeline_json(const struct loadgen_result *r)
{
	json_t *list = json_array();
	for (size_t i = 0; i < r->n_timeline; i++)
		json_array_append_new(list, json_integer(r->timeline[i]));
	return list;
}

char *loadgen_json(const struct loadgen_params *p, const struct loadgen_result *r)
{
	double wall = r->wall_s > 0 ? r->wall_s : 1;
	json_t *root = json_pack(
		"{s:s, s:s, s:i, s:i, s:f, s:f, s:i, s:b, s:f, s:I, s:I, s:f, s:f, s:o, s:I, s:f, s:I, s:o, s:o}",
		"url", p->url, "mode", loadgen_mode_name(p->mode), "clients", (int)p->clients, "avatars",
		(int)r->avatars, "zipf", p->zipf, "fps", p->fps, "batch", (int)p->batch, "shared_memory",
		(int)p->shared_memory, "seconds", r->wall_s, "requests", (json_int_t)r->requests, "frames",
		(json_int_t)r->frames, "requests_per_s", (double)r->requests / wall, "frames_per_s",
		(double)r->frames / wall, "latency_ms", latency_json(r), "late_frames", (json_int_t)r->late,
		"late_share", r->frames ? (double)r->late / (double)r->frames : 0.0, "errors", (json_int_t)r->errors,
		"error_kinds", errors_json(r), "frames_each_second", timeline_json(r));
	char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
	json_decref(root);
	return text;
}

/* ---- SVG: frames in each second on the left, latency by percentile on the right ---- */

enum {
	WIDTH = 900,
	HEIGHT = 330,
	TOP = 70,
	BOTTOM = 280,
	LEFT_FROM = 60,
	LEFT_TO = 430,
	RIGHT_FROM = 520,
	RIGHT_TO = 870
};

/* The next 1, 2 or 5 times a power of ten. */
static double round_up(double value)
{
	double power = value > 0 ? pow(10, floor(log10(value))) : 1;
	double steps[] = { 1, 2, 5, 10 };
	for (int i = 0; i < 4; i++)
		if (value <= steps[i] * power)
			return steps[i] * power;
	return 10 * power;
}

static void draw_frame(FILE *out, int from, int to, const char *title, double max)
{
	fprintf(out, "<text x=\"%d\" y=\"%d\">%s</text>\n", from, TOP - 14, title);
	for (int i = 0; i <= 5; i++) {
		double y = BOTTOM - (BOTTOM - TOP) * i / 5.0;
		fprintf(out,
		        "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>"
		        "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
		        from, y, to, y, from - 6, y + 4, max * i / 5);
	}
}

static double place(double value, double max)
{
	return BOTTOM - (BOTTOM - TOP) * value / max;
}

static void draw_timeline(FILE *out, const struct loadgen_result *r)
{
	double most = 1;
	for (size_t i = 0; i < r->n_timeline; i++)
		most = fmax(most, (double)r->timeline[i]);
	most = round_up(most);
	draw_frame(out, LEFT_FROM, LEFT_TO, "frames in each second", most);
	fputs("<polyline fill=\"none\" stroke=\"#4c6ef5\" stroke-width=\"2\" points=\"", out);
	double step = (double)(LEFT_TO - LEFT_FROM) / (r->n_timeline > 1 ? (double)r->n_timeline - 1 : 1);
	for (size_t i = 0; i < r->n_timeline; i++)
		fprintf(out, "%.1f,%.1f ", LEFT_FROM + (double)i * step, place((double)r->timeline[i], most));
	fprintf(out, "\"/>\n<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%zu s</text>\n", LEFT_TO, BOTTOM + 18,
	        r->n_timeline);
}

/* Each nine takes as much room as the one before: 0, 90, 99, 99.9 %. */
static void draw_latency(FILE *out, const struct loadgen_result *r)
{
	static const struct {
		double share;
		const char *name;
	} marks[] = { { 0, "0" }, { 0.9, "90" }, { 0.99, "99" }, { 0.999, "99.9 %" } };
	double most = round_up(fmax(percentile_ms(r, 0.999), 1e-3));
	draw_frame(out, RIGHT_FROM, RIGHT_TO, "latency in ms, by percentile", most);
	fputs("<polyline fill=\"none\" stroke=\"#12b886\" stroke-width=\"2\" points=\"", out);
	for (int i = 0; i <= 60; i++) {
		double x = RIGHT_FROM + (RIGHT_TO - RIGHT_FROM) * i / 60.0, share = 1 - pow(10, -i / 20.0);
		fprintf(out, "%.1f,%.1f ", x, place(fmin(percentile_ms(r, share), most), most));
	}
	fputs("\"/>\n", out);
	for (int i = 0; i < 4; i++)
		fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
		        RIGHT_FROM + (RIGHT_TO - RIGHT_FROM) * i / 3.0, BOTTOM + 18, marks[i].name);
}

char *loadgen_svg(const struct loadgen_params *p, const struct loadgen_result *r)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	fprintf(out,
	        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
	        "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
	        "<text x=\"14\" y=\"26\" font-size=\"15\">%s: %u clients, %u avatars, %.1f frames a second, %lld late, "
	        "%lld errors</text>\n",
	        WIDTH, HEIGHT, loadgen_mode_name(p->mode), p->clients, r->avatars,
	        (double)r->frames / (r->wall_s > 0 ? r->wall_s : 1), (long long)r->late, (long long)r->errors);
	draw_timeline(out, r);
	draw_latency(out, r);
	fputs("</svg>\n", out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
