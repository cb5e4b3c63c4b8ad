#include "base/cpu.h"

#include <stdatomic.h>
#include <string.h>

static atomic_uint allowed_flags = ~0u;

static unsigned detect(void)
{
	unsigned flags = 0;
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		flags |= IL_CPU_AVX2;
	if ((flags & IL_CPU_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
		flags |= IL_CPU_AVX512;
#elif defined(__aarch64__)
	flags |= IL_CPU_NEON;
#endif
	return flags;
}

unsigned il_cpu_flags(void)
{
	return detect() & atomic_load_explicit(&allowed_flags, memory_order_relaxed);
}

void il_cpu_mask(unsigned allowed)
{
	atomic_store(&allowed_flags, allowed);
}

int il_cpu_parse(const char *text)
{
	static const struct {
		const char *word;
		int flags;
	} words[] = { { "none", 0 },           { "c", 0 },
		      { "avx2", IL_CPU_AVX2 }, { "avx512", IL_CPU_AVX512 | IL_CPU_AVX2 },
		      { "neon", IL_CPU_NEON }, { "all", 0x7fffffff } };
	int flags = 0;
	while (*text) {
		size_t n = strcspn(text, ",");
		size_t i = 0;
		while (i < sizeof words / sizeof *words &&
		       (strlen(words[i].word) != n || strncmp(words[i].word, text, n)))
			i++;
		if (i == sizeof words / sizeof *words)
			return -1;
		flags |= words[i].flags;
		text += n;
		text += *text == ',';
	}
	return flags;
}

const char *il_cpu_name(unsigned flags)
{
	if (flags & IL_CPU_AVX512)
		return "avx2+avx512";
	if (flags & IL_CPU_AVX2)
		return "avx2";
	if (flags & IL_CPU_NEON)
		return "neon";
	return "c";
}
