#!/usr/bin/python3
"""Prints src/kernel/mask_golden.h: what NumPy and PIL make of masks, as hashes (FNV-1a, 64 bits) of the bytes.

usage: make_mask_goldens.py > src/kernel/mask_golden.h      Needs python3-numpy and python3-pil.
"""
import numpy as np
import PIL
from PIL import Image, ImageFilter

RAMPS = [(0.0, 0.2), (0.05, 0.2), (0.5, 0.2), (0.65, 0.2), (0.95, 0.2), (0.5, 0.05), (0.3, 0.7), (0.5, 0.0), (0.9, 0.0)]
SCALES = [(1, 1), (1, 9), (7, 1), (256, 1920), (256, 1080), (144, 2160), (320, 319), (180, 720), (512, 256), (3, 32767)]
SIZES = [(1, 1), (1, 9), (13, 1), (33, 7), (31, 45), (100, 64)]
REACHES = [1, 2, 3, 4, 5, 8, 13, 20]


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"0x{value:016x}"


def ramp(threshold, width):
    m = np.arange(-20000, 80000).astype(np.float32) / np.float32(60000)
    if threshold == 0:
        m = np.clip(m, 0, 1)
    elif width == 0:
        m = (m >= threshold).astype(np.float32)
    else:
        low, high = max(0.0, threshold - width / 2), min(1.0, threshold + width / 2)
        m = np.clip((m - low) / (high - low), 0, 1)
    assert m.dtype == np.float32
    return fnv((m * 255).astype(np.uint8).tobytes())


def nearest(src, dst):
    return fnv(np.linspace(0, src - 1, dst).astype(np.int64).astype("<u2").tobytes())


def picture(width, height, seed):
    """Mostly 0 and 255 with some of everything, so that windows are not all the same."""
    pixels = []
    for _ in range(width * height):
        seed = (seed * 1664525 + 1013904223) % 2**32
        value = seed >> 24
        pixels.append(value if value % 8 == 0 else (255 if value % 8 == 1 else value // 4))
    return Image.frombytes("L", (width, height), bytes(pixels))


def morph(width, height, reach):
    image = picture(width, height, width * 1000 + height)
    kind = ImageFilter.MaxFilter if reach > 0 else ImageFilter.MinFilter
    return fnv(image.filter(kind(2 * abs(reach) + 1)).tobytes())


def table(kind, name, rows):
    print(f"\nstatic const struct {{\n\t{kind};\n\tuint64_t hash;\n}} {name}[] = {{")
    for row in rows:
        print("\t{ " + ", ".join(str(v) for v in row) + " },")
    print("};")


print(f"/* Made by tools/make_mask_goldens.py with NumPy {np.__version__} and PIL {PIL.__version__}: FNV-1a of the result. */")
print("/* clang-format off */\n#ifndef IL_KERNEL_MASK_GOLDEN_H\n#define IL_KERNEL_MASK_GOLDEN_H\n\n#include <stdint.h>")
print("\n/* i / 60000.0f, i = -20000 .. 79999, through the soft threshold. */", end="")
table("double threshold, width", "golden_ramps", [(*r, ramp(*r)) for r in RAMPS])
print("\n/* linspace(0, src - 1, dst), truncated, as 16-bit numbers. */", end="")
table("int src, dst", "golden_nearest", [(*s, nearest(*s)) for s in SCALES])
print("\n/* PIL's MaxFilter (expand > 0) or MinFilter of the picture in morph_test.c. */", end="")
table("int width, height, expand", "golden_morph",
      [(w, h, s * e, morph(w, h, s * e)) for w, h in SIZES for e in REACHES for s in (1, -1)])
print("\n#endif")
