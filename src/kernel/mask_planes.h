/* For the tests of the matte kernels: planes with guard bytes round every row, and both tables in turn. */
#ifndef IL_KERNEL_MASK_PLANES_H
#define IL_KERNEL_MASK_PLANES_H

#include "tests/test.h"

#include <stdbool.h>

#include "base/cpu.h"
#include "kernel/kernel.h"

#define PLANE_GUARD 40

/* `data` is row 0; its allocation ends with the last row's last byte when the plane is for reading only. */
struct plane {
	int width, height;
	ptrdiff_t stride;
	uint8_t *memory, *data, *before;
	size_t size;
};

static inline int random_in(int from, int to)
{
	return from + (int)(test_random() % (uint32_t)(to - from + 1));
}

/* Random bytes; with `extremes`, mostly 0 and 255 in stretches. */
static inline void plane_scramble(uint8_t *bytes, size_t size, bool extremes)
{
	uint8_t value = 0;
	for (size_t i = 0; i < size; i++) {
		if (!extremes || test_random() % 8 == 0)
			value = (uint8_t)(test_random() >> 11);
		if (extremes && test_random() % 4)
			value = value < 128 ? 0 : 255;
		bytes[i] = value;
	}
}

static inline struct plane plane_make(int width, int height, bool extremes)
{
	struct plane p = { .width = width, .height = height, .stride = width + random_in(0, PLANE_GUARD) };
	p.size = 2 * PLANE_GUARD + (size_t)p.stride * (size_t)(height - 1) + (size_t)width;
	p.memory = malloc(p.size);
	p.before = malloc(p.size);
	assert_non_null(p.memory);
	assert_non_null(p.before);
	plane_scramble(p.memory, p.size, extremes);
	memcpy(p.before, p.memory, p.size);
	p.data = p.memory + PLANE_GUARD;
	return p;
}

/* The same rows in memory that ends with them, so that a sanitizer sees a read past the end. */
static inline struct plane plane_input(int width, int height, bool extremes)
{
	struct plane p = { .width = width, .height = height, .stride = width + random_in(0, PLANE_GUARD) };
	p.size = (size_t)p.stride * (size_t)(height - 1) + (size_t)width;
	p.data = p.memory = malloc(p.size);
	assert_non_null(p.memory);
	plane_scramble(p.memory, p.size, extremes);
	return p;
}

static inline uint8_t plane_at(const struct plane *p, int x, int y)
{
	return p->data[y * p->stride + x];
}

/* Nothing but the plane's own pixels has changed since plane_make. */
static inline void plane_check_guards(const struct plane *p)
{
	for (size_t i = 0; i < p->size; i++) {
		ptrdiff_t at = (ptrdiff_t)i - PLANE_GUARD;
		bool inside = at >= 0 && at / p->stride < p->height && at % p->stride < p->width;
		if (!inside && p->memory[i] != p->before[i])
			fail_msg("%dx%d, stride %td: byte %td was touched", p->width, p->height, p->stride, at);
	}
}

static inline void plane_free(struct plane *p)
{
	free(p->memory);
	free(p->before);
}

/* Sizes that catch the ends of vectors: 1x1, rows, columns, and anything. */
static inline void random_size(int round, int *width, int *height)
{
	*width = round % 5 == 1 ? 1 : random_in(1, round % 3 ? 80 : 300);
	*height = round % 5 == 2 ? 1 : random_in(1, round % 4 ? 40 : 120);
	if (round == 0)
		*width = *height = 1;
}

/* Runs check(round) with the kernels in C, and with all that the processor has. */
static inline void for_both_tables(void (*check)(int round), int rounds)
{
	for (int best = 0; best < 2; best++) {
		il_cpu_mask(best ? ~0u : 0);
		for (int round = 0; round < rounds; round++)
			check(round);
	}
}

static inline uint64_t fnv(uint64_t hash, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash;
}

#define FNV_START 0xcbf29ce484222325u

#endif
