/* Counts the allocations of our own code, through the linker's --wrap (the dependency `counted`): those of shared
 * libraries do not pass here. Included by one source of a test program. */
#ifndef IL_TESTS_COUNT_ALLOCATIONS_H
#define IL_TESTS_COUNT_ALLOCATIONS_H

#include <stdatomic.h>
#include <stddef.h>

static atomic_ulong allocations; /* of any thread */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **memory, size_t align, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __wrap_posix_memalign(void **memory, size_t align, size_t size);

void *__wrap_malloc(size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_aligned_alloc(align, size);
}

int __wrap_posix_memalign(void **memory, size_t align, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_posix_memalign(memory, align, size);
}

#endif
