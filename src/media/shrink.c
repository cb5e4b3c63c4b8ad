#include "media/shrink.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROW_BITS 7 /* parts of a row are 1/128; two rows' weighted bytes fit into 16 bits */
#define ROW_UNIT (1 << ROW_BITS)
#define ROWS_AT_ONCE 256 /* whose bytes add up within 16 bits */
#define BIAS 32768       /* what makes 16 bits without sign out of those with one, which vector code multiplies */
#define WEIGHT_BITS 14   /* a pixel's weights add up to 1 << WEIGHT_BITS */
#define BLOCK 8          /* weights come in blocks of so many, for vector code */

struct il_shrink {
	int from_width, from_height, to_width, to_height;
	uint16_t *few, *ends; /* sums of whole rows; weighted sum of the first and the last one */
	uint32_t *sum;        /* of more rows than `few` can hold */
	int16_t *area;        /* sums of the columns of one area, less BIAS; some room behind the last */
	int *first;           /* column where the weights of pixel i begin */
	int16_t *weights;     /* `taps` a pixel */
	int taps;
};

/* Weights are differences of a rounded running sum: they add up exactly, and what rounding takes here it gives there.
 */
static int running_weight(double column, double begin, double width)
{
	double share = (column - begin) / width;
	return (int)lrint((share < 0 ? 0 : share > 1 ? 1 : share) * (1 << WEIGHT_BITS));
}

static void make_weights(struct il_shrink *shrink)
{
	double width = (double)shrink->from_width / shrink->to_width;
	for (int i = 0; i < shrink->to_width; i++) {
		double begin = i * width;
		shrink->first[i] = (int)begin;
		int before = 0;
		for (int k = 0; k < shrink->taps; k++) {
			int weight = running_weight(shrink->first[i] + k + 1, begin, width);
			shrink->weights[(size_t)i * (size_t)shrink->taps + (size_t)k] = (int16_t)(weight - before);
			before = weight;
		}
	}
}

enum inlay_err il_shrink_create(struct il_shrink **out, int from_width, int from_height, int to_width, int to_height,
                                struct inlay_error *err)
{
	struct il_shrink *shrink = calloc(1, sizeof *shrink);
	if (!shrink)
		return il_fail_memory(err);
	/* A pixel's area touches up to two columns more than it is wide. */
	int taps = (from_width / to_width + 2 + BLOCK - 1) / BLOCK * BLOCK;
	size_t width = (size_t)from_width, columns = (size_t)to_width;
	*shrink = (struct il_shrink){ .from_width = from_width,
		                      .from_height = from_height,
		                      .to_width = to_width,
		                      .to_height = to_height,
		                      .few = malloc(width * sizeof *shrink->few),
		                      .ends = malloc(width * sizeof *shrink->ends),
		                      .sum = malloc(width * sizeof *shrink->sum),
		                      .area = calloc(width + (size_t)taps, sizeof *shrink->area),
		                      .first = malloc(columns * sizeof *shrink->first),
		                      .weights = malloc(columns * (size_t)taps * sizeof *shrink->weights),
		                      .taps = taps };
	if (!shrink->few || !shrink->ends || !shrink->sum || !shrink->area || !shrink->first || !shrink->weights) {
		il_shrink_destroy(&shrink);
		return il_fail_memory(err);
	}
	make_weights(shrink);
	*out = shrink;
	return INLAY_OK;
}

void il_shrink_destroy(struct il_shrink **slot)
{
	struct il_shrink *shrink = *slot;
	if (!shrink)
		return;
	*slot = NULL;
	free(shrink->few);
	free(shrink->ends);
	free(shrink->sum);
	free(shrink->area);
	free(shrink->first);
	free(shrink->weights);
	free(shrink);
}

static void add_rows(uint16_t *restrict sum, const uint8_t *restrict a, const uint8_t *restrict b, int n)
{
	for (int x = 0; x < n; x++)
		sum[x] = (uint16_t)(sum[x] + a[x] + b[x]);
}

static void set_row(uint16_t *restrict sum, const uint8_t *restrict row, int n)
{
	for (int x = 0; x < n; x++)
		sum[x] = row[x];
}

/* Weights are at most ROW_UNIT. */
static void mix(uint16_t *restrict sum, const uint8_t *restrict a, const uint8_t *restrict b, int wa, int wb, int n)
{
	for (int x = 0; x < n; x++)
		sum[x] = (uint16_t)((uint16_t)(a[x] * (uint16_t)wa) + (uint16_t)(b[x] * (uint16_t)wb));
}

static void flush(uint32_t *restrict sum, const uint16_t *restrict few, int n)
{
	for (int x = 0; x < n; x++)
		sum[x] += few[x];
}

/* Sums of all rows, doubled `up` times, less BIAS: those of `few` and two weighted ones. */
static void join_few(int16_t *restrict area, const uint16_t *restrict few, const uint8_t *restrict a,
                     const uint8_t *restrict b, int wa, int wb, int up, int n)
{
	const int down = ROW_BITS - up;
	const uint16_t half = (uint16_t)(1 << down >> 1);
	for (int x = 0; x < n; x++) {
		uint16_t ends = (uint16_t)((uint16_t)(a[x] * (uint16_t)wa) + (uint16_t)(b[x] * (uint16_t)wb) + half);
		area[x] = (int16_t)(uint16_t)((uint16_t)(ends >> down) + (uint16_t)(few[x] << up) - BIAS);
	}
}

/* Halved `down` times. */
static void join_many(int16_t *restrict area, const uint16_t *restrict ends, const uint32_t *restrict sum, int down,
                      int n)
{
	for (int x = 0; x < n; x++)
		area[x] = (int16_t)((int)(((ends[x] >> ROW_BITS) + sum[x]) >> down) - BIAS);
}

/* One row of means. Inline, so that loops of a known number of taps become straight vector code. */
static inline __attribute__((always_inline)) void average(const struct il_shrink *shrink, uint8_t *restrict to,
                                                          float scale, int taps)
{
	const int16_t *restrict area = shrink->area, *restrict weights = shrink->weights;
	for (int x = 0; x < shrink->to_width; x++, weights += taps) {
		const int16_t *columns = area + shrink->first[x];
		int sum = BIAS << WEIGHT_BITS;
#pragma GCC unroll 1 /* unrolled, it would no more be seen as a sum of products */
		for (int i = 0; i < taps / BLOCK * BLOCK; i++)
			sum += columns[i] * weights[i];
		to[x] = (uint8_t)((float)sum * scale + 0.5f);
	}
}

static int row_edge(const struct il_shrink *shrink, int i)
{
	return (int)(((int64_t)i * shrink->from_height * ROW_UNIT + shrink->to_height / 2) / shrink->to_height);
}

static void sum_whole_rows(uint16_t *few, const uint8_t *from, ptrdiff_t stride, int rows, int n)
{
	if (rows & 1)
		set_row(few, from, n);
	else
		memset(few, 0, (size_t)n * sizeof *few);
	for (int y = rows & 1; y < rows; y += 2)
		add_rows(few, from + y * stride, from + (y + 1) * stride, n);
}

/* How often the sum of so many rows of bytes may be doubled within 16 bits, at most ROW_BITS; negative: how often it
 * must be halved. */
static int headroom(int rows)
{
	int up = ROW_BITS;
	while (up > 0 && 255 * rows << up > 65535)
		up--;
	while (up <= 0 && 255 * rows >> -up > 65535)
		up--;
	return up;
}

/* Sums of the columns between two edges of rows. Returns how often they were doubled. */
static int sum_rows(struct il_shrink *shrink, const uint8_t *from, ptrdiff_t stride, int top, int bottom)
{
	int n = shrink->from_width, first = top / ROW_UNIT, last = bottom / ROW_UNIT, of_last = bottom % ROW_UNIT;
	int up = headroom((bottom - top) / ROW_UNIT + 1);
	int of_first = ROW_UNIT - top % ROW_UNIT;
	const uint8_t *begin = from + first * stride;
	const uint8_t *end = of_last ? from + last * stride : begin; /* there may be no row `last` */
	if (up >= 0) {
		sum_whole_rows(shrink->few, from + (first + 1) * stride, stride, last - first - 1, n);
		join_few(shrink->area, shrink->few, begin, end, of_first, of_last, up, n);
		return up;
	}
	mix(shrink->ends, begin, end, of_first, of_last, n);
	memset(shrink->sum, 0, (size_t)n * sizeof *shrink->sum);
	for (int y = first + 1, rows; y < last; y += rows) {
		rows = last - y < ROWS_AT_ONCE ? last - y : ROWS_AT_ONCE;
		sum_whole_rows(shrink->few, from + y * stride, stride, rows, n);
		flush(shrink->sum, shrink->few, n);
	}
	join_many(shrink->area, shrink->ends, shrink->sum, -up, n);
	return up;
}

void il_shrink_run(struct il_shrink *shrink, uint8_t *to, ptrdiff_t to_stride, const uint8_t *from,
                   ptrdiff_t from_stride)
{
	for (int y = 0; y < shrink->to_height; y++) {
		int top = row_edge(shrink, y), bottom = row_edge(shrink, y + 1);
		int up = sum_rows(shrink, from, from_stride, top, bottom);
		float scale = ldexpf((float)ROW_UNIT / (float)(bottom - top), -up - WEIGHT_BITS);
		switch (shrink->taps) {
		case BLOCK: average(shrink, to, scale, BLOCK); break;
		case 2 * BLOCK: average(shrink, to, scale, 2 * BLOCK); break;
		default: average(shrink, to, scale, shrink->taps);
		}
		to += to_stride;
	}
}
