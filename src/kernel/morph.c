/* Blocks of as many rows as the window is high are filtered down into lines with margins, and these across into the
 * picture, while they are in the cache. In place, a block is written when the next one, which needs its rows, is
 * already in lines of its own. */
#include "kernel/morph.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kernel.h"

#define ALIGN 64

struct morph {
	const struct il_morph_kernels *kernels;
	const uint8_t *in;
	uint8_t *out;
	ptrdiff_t in_stride, out_stride;
	int width, height, across, down; /* reach of the window, to either side */
	bool least;
	uint8_t *lines;   /* of two blocks, the picture with its margins in each */
	uint8_t *outside; /* a row that changes nothing */
	uint8_t *columns; /* scratch of the vertical kernel */
	const uint8_t **rows;
	size_t line_size, first; /* first: of the picture, aligned; the left margin ends there */
};

static size_t align(size_t size)
{
	return (size + ALIGN - 1) / ALIGN * ALIGN;
}

static int reach(int expand, int size)
{
	int e = abs(expand) < IL_MORPH_MAX ? abs(expand) : IL_MORPH_MAX;
	return e < size - 1 ? e : size - 1;
}

/* Deals the scratch out when it is not NULL, and returns its size. */
static size_t lay_out(struct morph *m, void *scratch)
{
	size_t window = 2 * (size_t)m->down + 1, used = ALIGN - 1;
	uint8_t *base = scratch, *rows = NULL;
	if (base)
		base += (ALIGN - (uintptr_t)base % ALIGN) % ALIGN;
	m->first = align((size_t)m->across);
	m->line_size = align(2 * m->first + (size_t)m->width + IL_MORPH_PAD);
	struct {
		uint8_t **place;
		size_t size;
	} parts[] = {
		{ &rows, align(2 * window * sizeof *m->rows) },
		{ &m->lines, 2 * window * m->line_size },
		{ &m->outside, align((size_t)m->width) },
		{ &m->columns, window * IL_MORPH_STRIP },
	};
	size_t offset = 0;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (base)
			*parts[i].place = base + offset;
		offset += parts[i].size;
	}
	m->rows = (void *)rows;
	return used + offset;
}

size_t il_morph_scratch(int width, int height, int expand)
{
	struct morph m = { .width = width, .across = reach(expand, width), .down = reach(expand, height) };
	return lay_out(&m, NULL);
}

/* Rows y .. y + count - 1, filtered down. */
static void filter_down(const struct morph *m, uint8_t *lines, int y, int count)
{
	const int window = 2 * m->down + 1;
	for (int i = 0; i < window + count - 1; i++) {
		int from = y - m->down + i;
		m->rows[i] = from >= 0 && from < m->height ? m->in + from * m->in_stride : m->outside;
	}
	m->kernels->columns(lines + m->first, (ptrdiff_t)m->line_size, count, m->rows, window, m->least, m->columns,
	                    m->width);
}

/* A margin that changes nothing, with what aligns it. */
static void set_margin(const struct morph *m, uint8_t *at)
{
	const int neutral = m->least ? 255 : 0;
	if (m->first == ALIGN) /* of constant size, which is no call */
		memset(at, neutral, ALIGN);
	else
		memset(at, neutral, m->first);
}

static void filter_across(const struct morph *m, uint8_t *lines, int y, int count)
{
	for (int i = 0; i < count; i++, lines += m->line_size) {
		uint8_t *line = lines + m->first - m->across;
		set_margin(m, lines);
		set_margin(m, lines + m->first + m->width);
		m->kernels->across(m->out + (y + i) * m->out_stride, line, 2 * m->across + 1, m->least, m->width);
	}
}

void il_morph(uint8_t *out, ptrdiff_t out_stride, const uint8_t *in, ptrdiff_t in_stride, int width, int height,
              int expand, void *scratch)
{
	struct morph m = { .kernels = il_kernels_get()->morph,
		           .in = in,
		           .in_stride = in_stride,
		           .out = out,
		           .out_stride = out_stride,
		           .width = width,
		           .height = height,
		           .across = reach(expand, width),
		           .down = reach(expand, height),
		           .least = expand < 0 };
	lay_out(&m, scratch);
	memset(m.outside, m.least ? 255 : 0, (size_t)width);
	const int window = 2 * m.down + 1, late = out == in ? window : 0; /* rows that a block waits */
	uint8_t *const blocks[2] = { m.lines, m.lines + (late ? (size_t)window * m.line_size : 0) };
	for (int y = 0, i = 0; y < height + late; y += window, i = !i) {
		if (y < height)
			filter_down(&m, blocks[i], y, height - y < window ? height - y : window);
		int done = y - late;
		if (done >= 0 && done < height)
			filter_across(&m, blocks[late ? !i : i], done, height - done < window ? height - done : window);
	}
}
