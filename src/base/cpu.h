/* Instruction sets of this processor, and a mask that hides some of them (`--cpu-mask`). */
#ifndef IL_BASE_CPU_H
#define IL_BASE_CPU_H

enum il_cpu_flag {
	IL_CPU_AVX2 = 1 << 0,   /* with FMA and F16C */
	IL_CPU_AVX512 = 1 << 1, /* F, BW, DQ, VL */
	IL_CPU_NEON = 1 << 2,
};

/* Flags present and not masked out. */
unsigned il_cpu_flags(void);

/* Only flags in `allowed` count from now on. Call before other threads use the library. */
void il_cpu_mask(unsigned allowed);

/* "avx2,avx512" -> flags, "none" -> 0, "all" -> everything; -1 for an unknown word. */
int il_cpu_parse(const char *text);

/* "avx2+avx512", "neon" or "c", for logs and statistics. */
const char *il_cpu_name(unsigned flags);

#endif
