/* Made by tools/make_mask_goldens.py with NumPy 1.24.2 and PIL 9.4.0: FNV-1a of the result. */
/* clang-format off */
#ifndef IL_KERNEL_MASK_GOLDEN_H
#define IL_KERNEL_MASK_GOLDEN_H

#include <stdint.h>

/* i / 60000.0f, i = -20000 .. 79999, through the soft threshold. */
static const struct {
	double threshold, width;
	uint64_t hash;
} golden_ramps[] = {
	{ 0.0, 0.2, 0xb16ef310149f576b },
	{ 0.05, 0.2, 0xd6d4ce1e097050dc },
	{ 0.5, 0.2, 0xa99d25f6a22af4ac },
	{ 0.65, 0.2, 0xe5a12e47793eab69 },
	{ 0.95, 0.2, 0x614912109926ad90 },
	{ 0.5, 0.05, 0x1b055a70aa95186d },
	{ 0.3, 0.7, 0x375df6ffbec210a5 },
	{ 0.5, 0.0, 0x0169f7df46738855 },
	{ 0.9, 0.0, 0x60df6459db79f815 },
};

/* linspace(0, src - 1, dst), truncated, as 16-bit numbers. */
static const struct {
	int src, dst;
	uint64_t hash;
} golden_nearest[] = {
	{ 1, 1, 0x08328807b4eb6fed },
	{ 1, 9, 0x77e875b1c7b6a32d },
	{ 7, 1, 0x08328807b4eb6fed },
	{ 256, 1920, 0x59f22360b428b75c },
	{ 256, 1080, 0x4cb3bafaeec62554 },
	{ 144, 2160, 0xafcabfc873263086 },
	{ 320, 319, 0xbc50de789e4e4020 },
	{ 180, 720, 0x3ac7e1af7833550a },
	{ 512, 256, 0x15edb78baad55ee8 },
	{ 3, 32767, 0x8cbc1488318d7ec6 },
};

/* PIL's MaxFilter (expand > 0) or MinFilter of the picture in morph_test.c. */
static const struct {
	int width, height, expand;
	uint64_t hash;
} golden_morph[] = {
	{ 1, 1, 1, 0xaf639a4c86017c66 },
	{ 1, 1, -1, 0xaf639a4c86017c66 },
	{ 1, 1, 2, 0xaf639a4c86017c66 },
	{ 1, 1, -2, 0xaf639a4c86017c66 },
	{ 1, 1, 3, 0xaf639a4c86017c66 },
	{ 1, 1, -3, 0xaf639a4c86017c66 },
	{ 1, 1, 4, 0xaf639a4c86017c66 },
	{ 1, 1, -4, 0xaf639a4c86017c66 },
	{ 1, 1, 5, 0xaf639a4c86017c66 },
	{ 1, 1, -5, 0xaf639a4c86017c66 },
	{ 1, 1, 8, 0xaf639a4c86017c66 },
	{ 1, 1, -8, 0xaf639a4c86017c66 },
	{ 1, 1, 13, 0xaf639a4c86017c66 },
	{ 1, 1, -13, 0xaf639a4c86017c66 },
	{ 1, 1, 20, 0xaf639a4c86017c66 },
	{ 1, 1, -20, 0xaf639a4c86017c66 },
	{ 1, 9, 1, 0x170f96c36ca611d1 },
	{ 1, 9, -1, 0x271a7dbbdbc176b7 },
	{ 1, 9, 2, 0x12e027771e2bfad8 },
	{ 1, 9, -2, 0x14fa1f4df4548501 },
	{ 1, 9, 3, 0x7b612b147ed64487 },
	{ 1, 9, -3, 0x1377c16c0afddc6c },
	{ 1, 9, 4, 0x2804ddde49e161a6 },
	{ 1, 9, -4, 0x137e916c0b03a98a },
	{ 1, 9, 5, 0x2804ddde49e161a6 },
	{ 1, 9, -5, 0x137e8f6c0b03a624 },
	{ 1, 9, 8, 0x2804ddde49e161a6 },
	{ 1, 9, -8, 0x137e8f6c0b03a624 },
	{ 1, 9, 13, 0x2804ddde49e161a6 },
	{ 1, 9, -13, 0x137e8f6c0b03a624 },
	{ 1, 9, 20, 0x2804ddde49e161a6 },
	{ 1, 9, -20, 0x137e8f6c0b03a624 },
	{ 13, 1, 1, 0xfa303ad77c3e3d54 },
	{ 13, 1, -1, 0xafd6f2c39cfbc22a },
	{ 13, 1, 2, 0x0fafea30bf019af8 },
	{ 13, 1, -2, 0xf7f1023371281d35 },
	{ 13, 1, 3, 0x785bc2b5a3d02133 },
	{ 13, 1, -3, 0xa6139d14b02ca1c1 },
	{ 13, 1, 4, 0x7671ad58e9405a3c },
	{ 13, 1, -4, 0xbcf4c5f45e2a46f1 },
	{ 13, 1, 5, 0x4adf6c6b8e96dbf1 },
	{ 13, 1, -5, 0xb9b489e60ea0ff5b },
	{ 13, 1, 8, 0x93a7cc510c535c62 },
	{ 13, 1, -8, 0xbe1827e57fff798a },
	{ 13, 1, 13, 0x93a7cc510c535c62 },
	{ 13, 1, -13, 0xbe1827e57fff798a },
	{ 13, 1, 20, 0x93a7cc510c535c62 },
	{ 13, 1, -20, 0xbe1827e57fff798a },
	{ 33, 7, 1, 0xd51794b82bd59b7d },
	{ 33, 7, -1, 0x3f6b8fa0b7e39ac4 },
	{ 33, 7, 2, 0xf6b06df2714ebe34 },
	{ 33, 7, -2, 0x4e4b2ee94f8948b5 },
	{ 33, 7, 3, 0x02a090f101fff9d0 },
	{ 33, 7, -3, 0x557cf851af145fb2 },
	{ 33, 7, 4, 0x02a090f101fff9d0 },
	{ 33, 7, -4, 0x94133f7246c29355 },
	{ 33, 7, 5, 0x02a090f101fff9d0 },
	{ 33, 7, -5, 0x3ae9d73097bfc555 },
	{ 33, 7, 8, 0x02a090f101fff9d0 },
	{ 33, 7, -8, 0x4edff577c8e69091 },
	{ 33, 7, 13, 0x02a090f101fff9d0 },
	{ 33, 7, -13, 0xbd45608f1dc3b327 },
	{ 33, 7, 20, 0x02a090f101fff9d0 },
	{ 33, 7, -20, 0xbd45608f1dc3b327 },
	{ 31, 45, 1, 0x482b96d19b82ab1a },
	{ 31, 45, -1, 0x8de00d3f7ff50961 },
	{ 31, 45, 2, 0x233c8e95e1e709fb },
	{ 31, 45, -2, 0xd45f8b482d744891 },
	{ 31, 45, 3, 0x85afd37428f37339 },
	{ 31, 45, -3, 0xfe58d1a9f9df52e4 },
	{ 31, 45, 4, 0x5d2151ff18b5fba4 },
	{ 31, 45, -4, 0xcc027edf848b1552 },
	{ 31, 45, 5, 0x5d2151ff18b5fba4 },
	{ 31, 45, -5, 0x870ae78fa2e09cb3 },
	{ 31, 45, 8, 0x5d2151ff18b5fba4 },
	{ 31, 45, -8, 0x0e0f5909484fa0f2 },
	{ 31, 45, 13, 0x5d2151ff18b5fba4 },
	{ 31, 45, -13, 0xda4cd6fde9a99637 },
	{ 31, 45, 20, 0x5d2151ff18b5fba4 },
	{ 31, 45, -20, 0x7adab9c09fda43f7 },
	{ 100, 64, 1, 0x98ae79ac1112edaf },
	{ 100, 64, -1, 0xeb7d47efc03655d2 },
	{ 100, 64, 2, 0x71eb2fe87c63cd4f },
	{ 100, 64, -2, 0xaca5546b43af41e3 },
	{ 100, 64, 3, 0x7911282833e80aeb },
	{ 100, 64, -3, 0x64e4ef8c7c56af02 },
	{ 100, 64, 4, 0x3b11dc0958493825 },
	{ 100, 64, -4, 0x8b9112b3d97ad494 },
	{ 100, 64, 5, 0x3b11dc0958493825 },
	{ 100, 64, -5, 0xd4f7b3bf06c49e5e },
	{ 100, 64, 8, 0x3b11dc0958493825 },
	{ 100, 64, -8, 0x9168588556839700 },
	{ 100, 64, 13, 0x3b11dc0958493825 },
	{ 100, 64, -13, 0x7501636cb8119725 },
	{ 100, 64, 20, 0x3b11dc0958493825 },
	{ 100, 64, -20, 0x7501636cb8119725 },
};

#endif
