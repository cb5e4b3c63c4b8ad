/* Which table of kernels this processor gets. */
#include "kernel/kernel.h"

#include "base/cpu.h"

#define MAX_TABLES 2

/* Every table of this build and the instruction set it needs, from the plainest to the best. */
static const struct {
	const struct il_kernels *table;
	unsigned needs;
} tables[] = {
	{ &il_kernels_c, 0 },
#if defined(__x86_64__)
	{ &il_kernels_avx2, IL_CPU_AVX2 },
#endif
};

_Static_assert(sizeof tables / sizeof *tables <= MAX_TABLES, "room for every table");

const struct il_kernels *il_kernels_get(void)
{
	unsigned flags = il_cpu_flags();
	size_t i = sizeof tables / sizeof *tables - 1;
	while ((tables[i].needs & flags) != tables[i].needs)
		i--;
	return tables[i].table;
}

const struct il_kernels *const *il_kernels_all(void)
{
	static _Thread_local const struct il_kernels *usable[MAX_TABLES + 1];
	unsigned flags = il_cpu_flags();
	size_t n = 0;
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		if ((tables[i].needs & flags) == tables[i].needs)
			usable[n++] = tables[i].table;
	usable[n] = NULL;
	return usable;
}
