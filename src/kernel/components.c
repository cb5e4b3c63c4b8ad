/* Two passes over runs of pixels: the first finds the runs of each row and joins them (union-find) with those of the
 * row above that they touch; the second paints the runs of small components. */
#include "kernel/components.h"

#include <stdbool.h>
#include <string.h>

struct run {
	int parent; /* a run before it in the same component, or itself */
	int area;   /* of the component, at its root */
	int16_t first, end;
	int16_t y;
	bool border; /* at the root: touches the picture's border */
};

size_t il_components_scratch(int width, int height)
{
	return ((size_t)width + 1) / 2 * (size_t)height * sizeof(struct run);
}

static int root_of(struct run *runs, int i)
{
	while (runs[i].parent != i) {
		runs[i].parent = runs[runs[i].parent].parent;
		i = runs[i].parent;
	}
	return i;
}

static void join(struct run *runs, int i, int k)
{
	i = root_of(runs, i);
	k = root_of(runs, k);
	if (i == k)
		return;
	int root = i < k ? i : k, other = i < k ? k : i;
	runs[other].parent = root;
	runs[root].area += runs[other].area;
	runs[root].border |= runs[other].border;
}

/* The high bits of eight bytes that are all wanted (blobs) or all not; ~0 or 0. */
static inline bool all_alike(const uint8_t *at, uint64_t high_bits)
{
	uint64_t eight;
	memcpy(&eight, at, sizeof eight);
	return (eight & 0x8080808080808080u) == high_bits;
}

/* The first x from `x` on where (row[x] >= 128) != set. */
static int skip(const uint8_t *row, int x, int width, bool set)
{
	const uint64_t high_bits = set ? 0x8080808080808080u : 0;
	while (x + 8 <= width && all_alike(row + x, high_bits))
		x += 8;
	while (x < width && (row[x] >= 128) == set)
		x++;
	return x;
}

/* Appends the runs of a row; returns the new count. */
static int find_runs(struct run *runs, int n, const uint8_t *row, int y, int width, int height, bool set)
{
	for (int x = skip(row, 0, width, !set); x < width;) {
		int end = skip(row, x, width, set);
		bool border = y == 0 || y == height - 1 || x == 0 || end == width;
		runs[n] = (struct run){ n, end - x, (int16_t)x, (int16_t)end, (int16_t)y, border };
		n++;
		x = skip(row, end, width, !set);
	}
	return n;
}

/* Joins runs i .. own with those of the row above, above .. i: reach 1 lets corners touch. */
static void join_rows(struct run *runs, int above, int i, int n, int reach)
{
	for (int k = above, own = i; own < n && k < i;) {
		if (runs[k].first < runs[own].end + reach && runs[own].first < runs[k].end + reach)
			join(runs, k, own);
		if (runs[k].end < runs[own].end)
			k++;
		else
			own++;
	}
}

static int label(struct run *runs, const uint8_t *mask, ptrdiff_t stride, int width, int height, bool set)
{
	int above = 0, n = 0;
	for (int y = 0; y < height; y++) {
		int first = n;
		n = find_runs(runs, first, mask + y * stride, y, width, height, set);
		join_rows(runs, above, first, n, set ? 1 : 0);
		above = first;
	}
	return n;
}

/* Paints the components of set (or not set) pixels that are smaller than `least` pixels. */
static void filter(uint8_t *mask, ptrdiff_t stride, int width, int height, bool set, double least, struct run *runs)
{
	int n = label(runs, mask, stride, width, height, set);
	for (int i = 0; i < n; i++) {
		const struct run *root = runs + root_of(runs, i);
		if (root->area < least && (set || !root->border))
			memset(mask + runs[i].y * stride + runs[i].first, set ? 0 : 255,
			       (size_t)(runs[i].end - runs[i].first));
	}
}

void il_components_filter(uint8_t *mask, ptrdiff_t stride, int width, int height,
                          const struct il_components_params *params, void *scratch)
{
	double picture = (double)width * height;
	if (params->drop > 0)
		filter(mask, stride, width, height, true, params->drop * picture, scratch);
	if (params->fill > 0)
		filter(mask, stride, width, height, false, params->fill * picture, scratch);
}
