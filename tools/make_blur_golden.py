#!/usr/bin/python3
"""Prints the table of src/kernel/blur_test.c: FNV-1a of what PIL's GaussianBlur makes of its test picture.

usage: make_blur_golden.py      (needs python3-pil and python3-numpy; made with Pillow 9.4.0)
"""
import numpy
from PIL import Image, ImageFilter

CASES = [(64, 48, 0.3), (64, 48, 1.0), (37, 53, 1.5), (101, 77, 3.0), (101, 77, 7.25), (200, 3, 20.0), (1, 90, 6.0),
         (50, 1, 2.0), (1, 1, 4.0), (131, 67, 40.0), (23, 211, 100.0)]


def hashed_picture(width, height):
    v = (numpy.arange(width * height, dtype=numpy.uint64) * 2654435761) & 0xffffffff
    v ^= v >> numpy.uint64(15)
    v = ((v * 2246822519) & 0xffffffff) >> numpy.uint64(24)
    return v.astype(numpy.uint8).reshape(height, width)


def fnv1a(data):
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xffffffff
    return value


for width, height, sigma in CASES:
    blurred = Image.fromarray(hashed_picture(width, height)).filter(ImageFilter.GaussianBlur(sigma))
    print(f"\t{{ {width}, {height}, {sigma}f, 0x{fnv1a(blurred.tobytes()):08x} }},")
