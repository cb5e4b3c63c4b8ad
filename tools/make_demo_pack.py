#!/usr/bin/python3
"""Draws a small avatar pack: a plain cartoon face that sways and blinks, its mouth closed.

usage: make_demo_pack.py FOLDER [--model FILE.onnx --audio-encoder FILE.onnx]

Writes FOLDER/frames/NNNNNN.png and FOLDER/avatar.json. The speaking mouth is drawn by a network, for
instance the talker of tools/make_test_models.py. Everything is computed, nothing is random: the same call gives the same bytes.
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
    def __init__(self):
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        self.x, self.y = x, y
        shade = 1 - 0.35 * np.hypot((x - 250) / WIDTH, (y - 160) / HEIGHT)
        self.pixels = shade[..., None] * np.array([168, 196, 205], np.float32)

    def blend(self, coverage, colour):
        a = np.clip(coverage, 0, 1)[..., None]
        self.pixels = self.pixels * (1 - a) + np.array(colour, np.float32) * a

    def ellipse(self, cx, cy, rx, ry, colour, soft=1.0):
        d = np.hypot((self.x - cx) / rx, (self.y - cy) / ry)
        self.blend((1 - d) * min(rx, ry) / soft + 0.5, colour)

    def bar(self, x0, y0, x1, y1, thick, colour):
        """A line with round ends."""
        dx, dy = x1 - x0, y1 - y0
        t = np.clip(((self.x - x0) * dx + (self.y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        self.blend(thick / 2 - np.hypot(self.x - x0 - t * dx, self.y - y0 - t * dy) + 0.5, colour)


SKIN, SHADE, HAIR, SHIRT = (236, 196, 168), (214, 166, 138), (74, 52, 44), (62, 92, 138)


def draw(time):
    """One frame, and the middle of the face; time 0..1 runs through the loop once."""
    c = Canvas()
    cx = 320 + 7 * np.sin(2 * np.pi * time)
    cy = 212 + 3 * np.sin(4 * np.pi * time + 1)
    lean = 3 * np.sin(2 * np.pi * time + 0.7)
    c.ellipse(320, 500, 190, 122, SHIRT)
    c.ellipse(cx, 372, 46, 70, SHADE)
    c.ellipse(cx - lean, cy - 34, 104, 112, HAIR)
    c.ellipse(cx - 96, cy + 12, 14, 24, SHADE)
    c.ellipse(cx + 96, cy + 12, 14, 24, SHADE)
    c.ellipse(cx, cy + 12, 94, 120, SKIN)
    c.ellipse(cx - lean * 2, cy - 104, 92, 44, HAIR)
    blink = max(max(0.0, 1 - abs(time - at) / 0.03) for at in (0.28, 0.81))
    for side in (-1, 1):
        ex, ey = cx + side * 38, cy - 14
        if blink > 0.7:
            c.bar(ex - 13, ey, ex + 13, ey, 3, HAIR)
        else:
            height = 10 * (1 - blink)
            c.ellipse(ex, ey, 15, height, (250, 250, 248))
            c.ellipse(ex + lean, ey, 6.5, min(6.5, height), (60, 84, 96))
            c.ellipse(ex + lean, ey, 3, min(3.0, height), (24, 24, 30))
        c.bar(ex - 17, ey - 22 - side, ex + 17, ey - 22 + side, 5, HAIR)
        c.ellipse(cx + side * 56, cy + 38, 20, 13, (238, 178, 152), soft=16)
    c.bar(cx + lean, cy - 8, cx + lean * 1.5 + 5, cy + 28, 4, SHADE)
    c.bar(cx + lean - 8, cy + 31, cx + lean + 8, cy + 31, 5, SHADE)
    c.bar(cx - 27, cy + 68, cx + 27, cy + 68, 5, (196, 112, 104))
    return np.clip(c.pixels + 0.5, 0, 255).astype(np.uint8), cx, cy


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("folder")
    ap.add_argument("--model")
    ap.add_argument("--audio-encoder")
    ap.add_argument("--frames", type=int, default=FRAMES)
    args = ap.parse_args()
    os.makedirs(os.path.join(args.folder, "frames"), exist_ok=True)
    rectangles = []
    for i in range(args.frames):
        picture, cx, cy = draw(i / FRAMES)
        write_png(os.path.join(args.folder, "frames", f"{i:06d}.png"), picture)
        x0, y0 = round(cx) - SIDE // 2, round(cy) - 10
        rectangles.append([x0, y0, x0 + SIDE, y0 + SIDE])
    manifest = {"inlay_avatar": 1, "source": "frames/%06d.png", "first": 0, "frames": args.frames, "fps": FPS,
                "rectangles": rectangles, "defaults": {"order": "loop"}}
    for key, path in (("model", args.model), ("audio_encoder", args.audio_encoder)):
        if path:
            manifest[key] = os.path.relpath(path, args.folder)
    with open(os.path.join(args.folder, "avatar.json"), "w") as f:
        json.dump(manifest, f, indent=1)


if __name__ == "__main__":
    main()
