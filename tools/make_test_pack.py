#!/usr/bin/python3
"""Draws the small avatar pack that the tests run on: a plain face that sways, its mouth closed.

usage: make_test_pack.py FOLDER [--model FILE.onnx --audio-encoder FILE.onnx]

Writes FOLDER/frames/NNNNNN.png and FOLDER/avatar.json. The speaking mouth is drawn by a network,
the talker of tools/make_test_models.py. Everything is computed, nothing is random: the same call gives the same bytes.
"""
import argparse
import json
import os
import struct
import zlib

import numpy as np

WIDTH, HEIGHT, FRAMES, FPS = 640, 480, 75, 25
SIDE = 208  # of the face rectangle


def write_png(path, picture):
    """picture: uint8 [h,w,3] RGB."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = picture.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 1:] = picture.reshape(height, -1)
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b""))


class Canvas:
    def __init__(self, time):
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        self.x, self.y = x, y
        shade = 1 - 0.35 * np.hypot((x - 250) / WIDTH, (y - 160) / HEIGHT)
        self.pixels = shade[..., None] * np.array([168, 196, 205], np.float32)
        # A weave that shimmers: something for codecs to do.
        self.pixels += (9 * np.sin(0.71 * x + 31 * time) * np.sin(0.83 * y - 17 * time))[..., None]

    def blend(self, coverage, colour):
        a = np.clip(coverage, 0, 1)[..., None]
        self.pixels = self.pixels * (1 - a) + np.array(colour, np.float32) * a

    def ellipse(self, cx, cy, rx, ry, colour):
        d = np.hypot((self.x - cx) / rx, (self.y - cy) / ry)
        self.blend((1 - d) * min(rx, ry) + 0.5, colour)


SKIN, SHADE, LIPS = (236, 196, 168), (214, 166, 138), (196, 112, 104)


def draw(time):
    """One frame, and the middle of the face; time 0..1 runs through the loop once."""
    c = Canvas(time)
    cx = 320 + 7 * np.sin(2 * np.pi * time)
    cy = 212 + 3 * np.sin(4 * np.pi * time + 1)
    c.ellipse(cx, cy + 12, 94, 120, SKIN)
    for side in (-1, 1):
        c.ellipse(cx + side * 38, cy - 14, 15, 10, SHADE)
    c.ellipse(cx, cy + 68, 27, 3, LIPS)
    return np.clip(c.pixels + 0.5, 0, 255).astype(np.uint8), cx, cy


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("folder")
    ap.add_argument("--model")
    ap.add_argument("--audio-encoder")
    args = ap.parse_args()
    os.makedirs(os.path.join(args.folder, "frames"), exist_ok=True)
    rectangles = []
    for i in range(FRAMES):
        picture, cx, cy = draw(i / FRAMES)
        write_png(os.path.join(args.folder, "frames", f"{i:06d}.png"), picture)
        x0, y0 = round(cx) - SIDE // 2, round(cy) - 10
        rectangles.append([x0, y0, x0 + SIDE, y0 + SIDE])
    manifest = {"inlay_avatar": 1, "source": "frames/%06d.png", "first": 0, "frames": FRAMES, "fps": FPS,
                "rectangles": rectangles, "defaults": {"order": "loop"}}
    for key, path in (("model", args.model), ("audio_encoder", args.audio_encoder)):
        if path:
            manifest[key] = os.path.relpath(path, args.folder)
    with open(os.path.join(args.folder, "avatar.json"), "w") as f:
        json.dump(manifest, f, indent=1)


if __name__ == "__main__":
    main()
