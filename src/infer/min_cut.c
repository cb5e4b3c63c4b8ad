#include "infer/min_cut.h"

#include <stdlib.h>
#include <string.h>

/* Edges 2i and 2i + 1 are edge i and its way back. */
struct flow {
	unsigned n, source, sink;
	unsigned *to, *next, *head; /* edges of a vertex, as a list; NONE ends it */
	int64_t *room;
	unsigned *level, *at, *queue, *path; /* level: distance from the source; at: the edge to go on with */
};

#define NONE UINT32_MAX

static void destroy(struct flow *f)
{
	free(f->to);
	free(f->next);
	free(f->head);
	free(f->room);
	free(f->level);
	free(f->at);
	free(f->queue);
	free(f->path);
}

static bool create(struct flow *f, const struct il_cut_edge *edges, size_t n_edges)
{
	size_t v = f->n + 1, e = 2 * n_edges + 1;
	f->to = calloc(e, sizeof *f->to);
	f->next = calloc(e, sizeof *f->next);
	f->room = calloc(e, sizeof *f->room);
	f->head = malloc(v * sizeof *f->head);
	f->level = calloc(v, sizeof *f->level);
	f->at = calloc(v, sizeof *f->at);
	f->queue = calloc(v, sizeof *f->queue);
	f->path = calloc(v, sizeof *f->path);
	if (!f->to || !f->next || !f->room || !f->head || !f->level || !f->at || !f->queue || !f->path)
		return false;
	memset(f->head, 0xff, v * sizeof *f->head);
	for (size_t i = 0; i < 2 * n_edges; i++) {
		const struct il_cut_edge *edge = &edges[i / 2];
		unsigned from = i % 2 ? edge->to : edge->from;
		f->to[i] = i % 2 ? edge->from : edge->to;
		f->room[i] = i % 2 ? 0 : edge->price;
		f->next[i] = f->head[from];
		f->head[from] = (unsigned)i;
	}
	return true;
}

/* Levels by breadth; false when the sink is out of reach. */
static bool find_levels(struct flow *f)
{
	unsigned first = 0, last = 0;
	memset(f->level, 0xff, f->n * sizeof *f->level);
	f->level[f->source] = 0;
	f->queue[last++] = f->source;
	while (first < last) {
		unsigned v = f->queue[first++];
		for (unsigned e = f->head[v]; e != NONE; e = f->next[e]) {
			if (f->room[e] > 0 && f->level[f->to[e]] == NONE) {
				f->level[f->to[e]] = f->level[v] + 1;
				f->queue[last++] = f->to[e];
			}
		}
	}
	return f->level[f->sink] != NONE;
}

static void fill_path(struct flow *f, unsigned length)
{
	int64_t least = INT64_MAX;
	for (unsigned i = 0; i < length; i++)
		least = f->room[f->path[i]] < least ? f->room[f->path[i]] : least;
	for (unsigned i = 0; i < length; i++) {
		f->room[f->path[i]] -= least;
		f->room[f->path[i] ^ 1] += least;
	}
}

/* Fills every path that goes up one level at each step. */
static void fill_levels(struct flow *f)
{
	unsigned length = 0, v = f->source;
	memcpy(f->at, f->head, f->n * sizeof *f->at);
	for (;;) {
		unsigned e = f->at[v];
		while (e != NONE && !(f->room[e] > 0 && f->level[f->to[e]] == f->level[v] + 1))
			e = f->next[e];
		f->at[v] = e;
		if (e != NONE) {
			f->path[length++] = e;
			v = f->to[e];
			if (v == f->sink) {
				fill_path(f, length);
				length = 0;
				v = f->source;
			}
		} else if (length > 0) {
			/* A dead end: one step back, and past that edge. */
			e = f->path[--length];
			v = f->to[e ^ 1];
			f->at[v] = f->next[e];
		} else {
			return;
		}
	}
}

bool il_min_cut(const struct il_cut_edge *edges, size_t n_edges, unsigned n, unsigned source, unsigned sink,
                bool *source_side)
{
	struct flow f = { .n = n, .source = source, .sink = sink };
	bool ok = create(&f, edges, n_edges);
	while (ok && find_levels(&f))
		fill_levels(&f);
	for (unsigned v = 0; ok && v < n; v++)
		source_side[v] = f.level[v] != NONE;
	destroy(&f);
	return ok;
}
