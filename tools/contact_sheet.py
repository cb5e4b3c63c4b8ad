#!/usr/bin/python3
"""Draws a contact sheet of a talking video: the sound as a wave, and the mouth at twelve moments of it.

usage: contact_sheet.py VIDEO -o SHEET.png [--avatar PACK] [--title TEXT]

The moments are spread evenly and moved to where the speech is loudest or quietest nearby, so that open and closed
mouths are seen. PACK says where the face is; without it the whole picture is shown. Needs ffmpeg, Debian's
python3-cairo and python3-numpy, and the fonts of fonts-dejavu-core.
"""
import argparse
import json
import math
import os
import re
import subprocess
import sys
from fractions import Fraction

import cairo
import numpy as np

RATE = 16000  # of the sound that is looked at
MOMENTS = 12
QUIET_DB = -30  # below the loudest moment: a pause

# The sheet: a wave across the top, two rows of pictures below. The lower row stands under the gaps of the upper one, so
# that every picture has a free way up to its moment.
WIDTH, MARGIN = 1600, 40
TITLE_Y, WAVE_Y, WAVE_H = 48, 78, 150
AXIS_Y = WAVE_Y + WAVE_H
UPPER_Y = AXIS_Y + 92
PITCH = (WIDTH - 2 * MARGIN) / (MOMENTS / 2 + 0.5)
GAP = 18
SIDE = int(PITCH - GAP)
ROW = SIDE + 42
HEIGHT = UPPER_Y + 2 * ROW + 14

PAPER, INK, FAINT, RULE = (0.98, 0.98, 0.97), (0.13, 0.15, 0.18), (0.40, 0.43, 0.47), (0.82, 0.83, 0.84)
WAVE, SPEECH, PAUSE = (0.55, 0.63, 0.71), (0.75, 0.27, 0.17), (0.15, 0.42, 0.62)


class Fault(Exception):
    pass


# ---- the video ----

def output_of(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise Fault(done.stderr.decode(errors="replace").strip() or f"{command[0]}: exit status {done.returncode}")
    return done.stdout


def local(path):
    return "file:" + path  # whatever the name looks like


def probe(path):
    """Width, height, frames a second and number of frames."""
    text = output_of("ffprobe", "-v", "error", "-count_packets", "-show_entries",
                     "stream=codec_type,width,height,r_frame_rate,nb_read_packets", "-of", "json", local(path))
    streams = json.loads(text)["streams"]
    for kind in ("audio", "video"):
        if not any(s["codec_type"] == kind for s in streams):
            raise Fault(f"{path}: there is no {kind} in it; expected a video that speaks")
    s = next(s for s in streams if s["codec_type"] == "video")
    return s["width"], s["height"], Fraction(s["r_frame_rate"]), int(s["nb_read_packets"])


def sound(path):
    """float32 samples, -1..1."""
    raw = output_of("ffmpeg", "-v", "error", "-i", local(path), "-map", "0:a:0", "-ac", "1", "-ar", str(RATE), "-f",
                    "f32le", "-")
    samples = np.frombuffer(raw, "<f4")
    if not len(samples) or not np.abs(samples).max() > 0:
        raise Fault(f"{path}: there is nothing to hear in it")
    return samples


def pictures(path, frames, box):
    """The frames' part inside box (x, y, side), scaled to SIDE; a list of cairo surfaces."""
    x, y, side = box
    chosen = "+".join(f"eq(n,{n})" for n in frames)
    raw = output_of("ffmpeg", "-v", "error", "-i", local(path), "-map", "0:v:0", "-vf",
                    f"select='{chosen}',crop={side}:{side}:{x}:{y}:exact=1,scale={SIDE}:{SIDE}:flags=lanczos,format=bgra",
                    "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    found = np.frombuffer(raw, np.uint8).reshape(-1, SIDE, SIDE * 4)
    if len(found) != len(frames):
        raise Fault(f"{path}: {len(found)} of the {len(frames)} frames to show could be read")
    return [cairo.ImageSurface.create_for_data(bytearray(f), cairo.FORMAT_RGB24, SIDE, SIDE) for f in found]


# ---- the face ----

def landmarks_rectangle(path):
    """SyncTalk_2D's square, as in docs/avatar.md."""
    with open(path) as f:
        points = [[int(float(value)) for value in line.split()] for line in f if line.strip()]
    x0, y0, x1 = points[1][0], points[52][1], points[31][0]
    return [x0, y0, x1, y0 + x1 - x0]


def rectangles(pack):
    """Face rectangles of any pack layout of docs/avatar.md, in no special order."""
    folder, source = (pack, None) if os.path.isdir(pack) else (os.path.dirname(pack), pack)
    manifest = source or os.path.join(folder, "avatar.json")
    known = ["crop_rectangles.json", "crop_rects.json", "landmarks/%d.lms"]
    if os.path.exists(manifest):
        with open(manifest) as f:
            named = json.load(f)["rectangles"]
        if isinstance(named, list):
            return named
        known = [named]
    for name in known:
        path = os.path.join(folder, name)
        if "%" in name:
            pattern = re.sub(r"%0?\d*d", r"\\d+", re.escape(os.path.basename(path)).replace(r"\%", "%"))
            names = os.listdir(os.path.dirname(path)) if os.path.isdir(os.path.dirname(path)) else []
            found = [n for n in sorted(names) if re.fullmatch(pattern, n)]
            if found:
                return [landmarks_rectangle(os.path.join(os.path.dirname(path), n)) for n in found]
        elif os.path.exists(path):
            with open(path) as f:
                content = json.load(f)
            return [r["rect"] for r in content.values()] if isinstance(content, dict) else content
    raise Fault(f"{pack}: no face rectangles; expected an avatar pack as in docs/avatar.md")


def face_box(pack, width, height):
    """The square (x, y, side) to show: the mean rectangle with a margin, the same for all pictures, so that what moves
    is the face and not the frame around it."""
    if not pack:
        side = min(width, height)
        return (width - side) // 2, (height - side) // 2, side
    try:
        x0, y0, x1, y1 = np.mean(np.array(rectangles(pack), float).reshape(-1, 4), axis=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as fault:
        raise Fault(f"{pack}: cannot read its face rectangles: {fault!r}")
    side = int(min(1.30 * max(x1 - x0, y1 - y0), width, height))
    # A little more above than below: eyes say more than a collar.
    x, y = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2 - 0.06 * side
    return int(np.clip(x, 0, width - side)), int(np.clip(y, 0, height - side)), side


# ---- the moments ----

def loudness(samples, fps, frames):
    """Decibels below the loudest, one value a frame, over the 80 ms around its middle."""
    power = np.concatenate([[0], np.cumsum(samples.astype(np.float64) ** 2)])
    middle = (np.arange(frames) + 0.5) / float(fps) * RATE
    first, end = (np.clip(middle + s * 0.04 * RATE, 0, len(samples)).astype(int) for s in (-1, 1))
    mean = (power[end] - power[first]) / np.maximum(end - first, 1)
    return 10 * np.log10(np.maximum(mean / max(mean.max(), 1e-12), 1e-6))


def pauses(level):
    """Which frames are quiet, and so are the three before and after: sounds there shape the mouth already."""
    padded = np.pad(level, 3, mode="edge")
    return np.max([padded[i:i + len(level)] for i in range(7)], axis=0) <= QUIET_DB


def choose(level, pause):
    """MOMENTS frame numbers (all, if there are fewer), ascending: of each equal part of the speech what stands out
    most, and a pause if there is one."""
    n = len(level)
    usual = np.median(level[level > QUIET_DB])
    spread = np.maximum(level, QUIET_DB - 10) - usual
    edges = np.linspace(0, n, min(MOMENTS, n) + 1).astype(int)
    chosen = []
    for i, (first, end) in enumerate(zip(edges, edges[1:])):
        # Neighbours keep a distance.
        if chosen:
            first = max(first, min(end - 1, chosen[-1] + int(0.6 * n / MOMENTS)))
        part = spread[first:end]
        # A loud moment counts as much as a quiet one, and two of a kind in a row are less of a find.
        score = np.where(part > 0, part / max(spread.max(), 1e-3), part / min(spread.min(), -1e-3))
        score[(level[first:end] <= QUIET_DB) & ~pause[first:end]] *= 0.5  # the edge of a pause is neither
        if chosen:
            score = score - 0.5 * (np.sign(part) == np.sign(spread[chosen[-1]]))
        chosen.append(first + int(np.argmax(score)))
    if pause.any() and not pause[chosen].any():
        at = int(np.argmax(pause))
        chosen[int(np.searchsorted(edges, at, side="right")) - 1] = at
    return chosen


# ---- the sheet ----

def text(c, x, y, words, size, colour, bold=False, align=0.0):
    """align: 0 starts at x, 0.5 is centred on it, 1 ends there."""
    c.select_font_face("DejaVu Sans", cairo.FONT_SLANT_NORMAL, cairo.FONT_WEIGHT_BOLD if bold else cairo.FONT_WEIGHT_NORMAL)
    c.set_font_size(size)
    c.set_source_rgb(*colour)
    c.move_to(x - align * c.text_extents(words).x_advance, y)
    c.show_text(words)


def fitted(c, words, size, width):
    """The words, or as many of their letters as the width holds."""
    c.select_font_face("DejaVu Sans", cairo.FONT_SLANT_NORMAL, cairo.FONT_WEIGHT_BOLD)
    c.set_font_size(size)
    if c.text_extents(words).x_advance <= width:
        return words
    while words and c.text_extents(words + "…").x_advance > width:
        words = words[:-1]
    return words.rstrip() + "…"


def line(c, colour, width, *points):
    c.new_path()  # a text leaves its end behind
    c.set_source_rgb(*colour)
    c.set_line_width(width)
    for p in points:
        c.line_to(*p)
    c.stroke()


def tick_step(duration):
    """Seconds between labels: about ten to twenty of them."""
    for step in (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600):
        if duration / step <= 14:
            return step
    return math.ceil(duration / 14 / 600) * 600


def draw_wave(c, samples, duration):
    span = WIDTH - 2 * MARGIN
    middle = WAVE_Y + WAVE_H / 2
    line(c, RULE, 1, (MARGIN, middle), (WIDTH - MARGIN, middle))
    edges = np.linspace(0, duration * RATE, span + 1).astype(int)
    scale = (WAVE_H / 2 - 4) / np.abs(samples).max()
    c.set_source_rgb(*WAVE)
    for x, (first, end) in enumerate(zip(edges, edges[1:])):
        piece = samples[first:max(end, first + 1)]
        if len(piece):
            high, low = piece.max() * scale, piece.min() * scale
            c.rectangle(MARGIN + x, middle - high, 1, max(high - low, 1))
    c.fill()
    line(c, FAINT, 1, (MARGIN, AXIS_Y + 0.5), (WIDTH - MARGIN, AXIS_Y + 0.5))


def draw_seconds(c, duration):
    """The axis' labels, on top of the lines that run through them."""
    step = tick_step(duration)
    for k in range(int(duration / step + 1e-9) + 1):
        x = MARGIN + k * step / duration * (WIDTH - 2 * MARGIN)
        line(c, FAINT, 1, (x, AXIS_Y), (x, AXIS_Y + 6))
        label, align = (f"{k * step:g}", 0.5) if k else ("0 s", 0)
        wide = 10 * len(label) + 8
        c.set_source_rgb(*PAPER)
        c.rectangle(x - wide * align, AXIS_Y + 8, wide, 18)
        c.fill()
        text(c, x, AXIS_Y + 22, label, 14, FAINT, align=align)


def draw_moment(c, index, picture, seconds, duration, paused):
    colour = PAUSE if paused else SPEECH
    lower = index % 2
    at = MARGIN + seconds / duration * (WIDTH - 2 * MARGIN)
    x = MARGIN + index * PITCH / 2 + GAP / 2
    y = UPPER_Y + lower * ROW
    middle = x + SIDE / 2
    # From the wave down, across to the picture's place, and on: between the upper pictures for one of the lower row.
    line(c, colour, 2, (at, WAVE_Y), (at, AXIS_Y + 30), (middle, UPPER_Y - 14), (middle, y))
    c.arc(at, WAVE_Y, 4.5, 0, 2 * math.pi)
    c.fill()
    c.set_source_surface(picture, x, y)
    c.paint()
    c.set_source_rgb(*colour)
    c.set_line_width(2)
    c.rectangle(x, y, SIDE, SIDE)
    c.stroke()
    text(c, x, y + SIDE + 24, f"{seconds:.2f} s", 18, INK, bold=True)
    if paused:
        text(c, x + SIDE, y + SIDE + 24, "pause", 16, PAUSE, align=1)


def draw_sheet(path, title, samples, duration, moments):
    """moments: (picture, seconds, whether it is a pause) each."""
    surface = cairo.ImageSurface(cairo.FORMAT_RGB24, WIDTH, HEIGHT)
    c = cairo.Context(surface)
    c.set_source_rgb(*PAPER)
    c.paint()
    length = f"{duration:.1f} s"
    text(c, WIDTH - MARGIN, TITLE_Y, length, 18, FAINT, align=1)
    text(c, MARGIN, TITLE_Y, fitted(c, title, 24, WIDTH - 2 * MARGIN - 110), 24, INK, bold=True)
    draw_wave(c, samples, duration)
    for i, moment in enumerate(moments):
        draw_moment(c, i, *moment[:2], duration, moment[2])
    draw_seconds(c, duration)
    part = path + ".part"
    try:
        surface.write_to_png(part)
    except (OSError, cairo.Error) as fault:
        raise Fault(f"{path}: cannot write it: {fault}")
    os.replace(part, path)


def contact_sheet(video, sheet, avatar, title):
    width, height, fps, frames = probe(video)
    samples = sound(video)
    duration = float(frames / fps)
    level = loudness(samples, fps, frames)
    pause = pauses(level)
    chosen = choose(level, pause)
    shown = pictures(video, chosen, face_box(avatar, width, height))
    draw_sheet(sheet, title, samples, duration,
               [(picture, (n + 0.5) / float(fps), pause[n]) for picture, n in zip(shown, chosen)])


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("video")
    ap.add_argument("-o", "--output", required=True, metavar="SHEET.png")
    ap.add_argument("--avatar", metavar="PACK", help="the pack that was drawn: tells where the face is")
    ap.add_argument("--title", help="what stands above the wave (default: the video's name)")
    args = ap.parse_args()
    title = args.title or os.path.basename(args.video)
    title = " ".join(os.fsencode(title).decode(errors="replace").split())
    try:
        contact_sheet(args.video, args.output, args.avatar, title)
    except (Fault, OSError, cairo.Error) as fault:
        sys.exit(f"contact_sheet.py: {fault}")


if __name__ == "__main__":
    main()
