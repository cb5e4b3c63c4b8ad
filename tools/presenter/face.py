#!/usr/bin/python3
"""Draws the presenter: a head-and-shoulders figure with a parametric mouth, looping over FRAMES frames.

Coordinates are pixels, x to the right and y down; left and right are as seen in the picture. "Head space" has its
origin between the eyes and moves with the head; "feature space" is head space shifted a little further by the turn of
the head; "picture space" is the 1280x720 picture. Images are uint8 BGR.

A frame is composed of three layers: what lies behind the jaw (room, hair, neck), what the mouth moves (face, mouth,
shadow on the neck) and what lies before them (eyes, nose, hair, clothes). Only the middle layer is drawn anew for
each mouth, and only inside the rectangle; the rest is kept per frame.
"""
import argparse
import functools
import math
from typing import NamedTuple

import cairo
import numpy as np

from clothes import NECK_SHADOW, clothes, neck, neck_path
from hair import hair_back, hair_front, hair_shadow
from paint import (WIDTH, HEIGHT, fill, gradient, mirrored, mix, polygon, rgb, smoothstep, soft, spline, stroke,
                   surface_pixels)
from room import room

FPS, FRAMES = 25, 150

EYE_LINE = (640.0, 296.0)      # picture position of the head's origin in the middle of its motion
PIVOT_Y = 250.0                # the head tilts about this point of the neck, head space
BRIDGE_Y = 25.0                # landmark 52, just below the lower lids
OUTLINE_HALF_WIDTH = 148.0     # of the face at the height of the eyes
MOUTH_Y = 127.0                # line of the closed lips, feature space
CHIN_Y = 202.0
CHIN_DROP = 23.0               # how far the chin sinks at opening 1
OPENING_UP, OPENING_DOWN = 10.0, 52.0   # travel of the inner lip edges at opening 1
ROUND_UP = 5.0                 # of that, moved from the lower to the upper lip at rounding 1
INSET = 12                     # outside the rectangle less this margin nothing depends on the mouth
WINDOW_MARGIN = 24             # the window kept per frame exceeds the rectangle by this much
BLINKS = (31.0, 88.0, 131.0)   # frames at which the lids are closed
BLINK_CLOSING, BLINK_OPENING = 2.6, 4.2  # frames

SKIN, SKIN_LIGHT, SKIN_SHADE, SKIN_DEEP = rgb("ecb995"), rgb("fbdcc0"), rgb("c9855f"), rgb("8f4f38")
BLUSH = rgb("e0705c")
BROW = rgb("55301f")
LASH = rgb("24140f")
SCLERA, SCLERA_SHADE = rgb("fbf6f0"), rgb("b9a39b")
IRIS_RIM, IRIS, IRIS_LIGHT, PUPIL = rgb("27403a"), rgb("4d7a5d"), rgb("a3b878"), rgb("120d0c")
LIP_UPPER, LIP_LOWER, LIP_LIGHT, LIP_LINE = rgb("b9594f"), rgb("cf7468"), rgb("f3b4a4"), rgb("8e3f38")
INNER, INNER_DEEP = rgb("4a101c"), rgb("2e0812")
TEETH, TEETH_SHADE = rgb("f6f1e6"), rgb("cfc3bb")
TONGUE, TONGUE_LIGHT = rgb("c23a72"), rgb("dd6a97")


class Mouth(NamedTuple):
    """A mouth shape; each value is 0..1."""
    opening: float    # 0 lips closed, 1 wide open, about 62 px
    width: float      # 0 narrow, 0.5 neutral, 1 spread
    rounding: float   # 1 protruded round lips
    teeth: float      # how much of the upper teeth shows inside the opening
    tongue: float     # 0 low and hardly visible, 1 raised


REST = Mouth(0.0, 0.5, 0.0, 0.0, 0.0)


class Pose(NamedTuple):
    """The state of one loop frame."""
    frame: int        # 0..FRAMES-1
    sway: float       # of the head to the right, px
    nod: float        # of the head downwards, px
    tilt: float       # clockwise, radians
    turn: float       # extra shift of the features to the right, px
    pitch: float      # extra shift of the features downwards, px
    breath: float     # shoulders upwards, px
    blink: float      # 0 open .. 1 closed
    gaze_x: float     # px
    gaze_y: float     # px
    brow: float       # upwards, px


# ---- motion ---------------------------------------------------------------------------------------------------------

def blink_at(frame):
    """Lid closure 0..1 at a loop frame."""
    closure = 0.0
    for centre in BLINKS:
        d = (frame - centre + FRAMES / 2) % FRAMES - FRAMES / 2
        u = d / (BLINK_OPENING if d > 0 else BLINK_CLOSING)
        if abs(u) < 1:
            closure = max(closure, 0.5 + 0.5 * math.cos(math.pi * u))
    return closure


def pose(frame):
    """The Pose of loop frame `frame`, taken modulo FRAMES."""
    frame = int(frame) % FRAMES
    p = 2 * math.pi * frame / FRAMES
    sin = math.sin
    return Pose(
        frame,
        sway=4.4 * sin(p + 0.4) + 1.4 * sin(2 * p + 1.9),
        nod=2.2 * sin(2 * p + 0.9) + 1.2 * sin(3 * p + 2.2) + 0.5 * sin(5 * p),
        tilt=math.radians(0.95 * sin(p - 0.5) + 0.45 * sin(2 * p + 0.3)),
        turn=2.4 * sin(p + 1.3) + 1.2 * sin(3 * p + 0.6),
        pitch=1.3 * sin(2 * p + 1.6) + 0.6 * sin(3 * p + 2.9),
        breath=1.9 * sin(2 * p - 0.8),
        blink=blink_at(frame),
        gaze_x=1.8 * math.tanh(2.5 * sin(p + 2.1)) + 0.5 * sin(4 * p),
        gaze_y=0.7 * math.tanh(2.0 * sin(2 * p + 0.7)),
        brow=1.2 * sin(2 * p + 2.4) + 0.8 * sin(3 * p + 0.4))


def head_to_picture(pose_, x, y):
    """A point of head space in picture space."""
    c, s = math.cos(pose_.tilt), math.sin(pose_.tilt)
    y -= PIVOT_Y
    return (EYE_LINE[0] + pose_.sway + c * x - s * y, EYE_LINE[1] + pose_.nod + PIVOT_Y + s * x + c * y)


def feature_to_picture(pose_, x, y):
    """A point of feature space in picture space."""
    return head_to_picture(pose_, x + pose_.turn, y + pose_.pitch)


def enter_head(ctx, pose_):
    ctx.translate(EYE_LINE[0] + pose_.sway, EYE_LINE[1] + pose_.nod + PIVOT_Y)
    ctx.rotate(pose_.tilt)
    ctx.translate(0, -PIVOT_Y)


def enter_features(ctx, pose_, depth=1.0):
    """From head space to feature space; depth > 1 for what stands out of the face, as the nose."""
    ctx.translate(depth * pose_.turn, depth * pose_.pitch)


# ---- face -----------------------------------------------------------------------------------------------------------

def catmull(points, steps):
    """The Catmull-Rom curve through the points as an array [n, 2]."""
    p = np.array([points[0], *points, points[-1]], float)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    parts = [0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t ** 2 + (3 * b - a - 3 * c + d) * t ** 3)
             for a, b, c, d in zip(p, p[1:], p[2:], p[3:])]
    return np.concatenate(parts + [p[-1:]])


RIGHT_OUTLINE = [(0, -172), (70, -160), (124, -110), (145, -50), (OUTLINE_HALF_WIDTH, 0), (144, 45), (131, 92),
                 (106, 139), (75, 172), (45, 192), (22, 200), (0, CHIN_Y)]
OUTLINE = np.concatenate([catmull(RIGHT_OUTLINE, 8), (catmull(RIGHT_OUTLINE, 8) * (-1, 1))[-2:0:-1]])


def face_outline(mouth):
    """The outline of the face [n, 2] in head space."""
    x, y = OUTLINE[:, 0], OUTLINE[:, 1]
    jaw = smoothstep(96, CHIN_Y, y)
    cheek = smoothstep(96, 120, y) * (1 - smoothstep(120, 180, y))
    widen = 1 + cheek * (0.03 * (mouth.width - 0.5) - 0.025 * mouth.opening - 0.02 * mouth.rounding)
    return np.stack([x * widen, y + jaw * CHIN_DROP * mouth.opening], axis=1)


def neck_shadow(ctx, pose_, mouth):
    """The shadow of the chin on the neck; entered in picture space."""
    ctx.save()
    neck_path(ctx, pose_)
    ctx.clip()
    enter_head(ctx, pose_)
    drop = CHIN_DROP * mouth.opening
    ctx.translate(4, 0)
    ctx.scale(160, 258 + drop)
    g = cairo.RadialGradient(0, 0, 0.74, 0, 0, 1)
    for offset, part in ((0, 1), (0.35, 0.8), (0.65, 0.35), (0.85, 0.09), (1, 0)):
        g.add_color_stop_rgba(offset, *NECK_SHADOW, 0.62 * part)
    ctx.set_source(g)
    ctx.paint()
    ctx.restore()


def face_skin(ctx, mouth, outline):
    drop = CHIN_DROP * mouth.opening
    ctx.save()
    polygon(ctx, outline)
    ctx.set_source(gradient(-130, -60, 140, 60, (0, mix(SKIN, SKIN_LIGHT, 0.55)), (0.5, SKIN),
                            (1, mix(SKIN, SKIN_SHADE, 0.45))))
    ctx.fill_preserve()
    ctx.clip()
    soft(ctx, -30, -80, 150, 90, SKIN_LIGHT, 0.55)
    for side, alpha in ((-1, 0.5), (1, 0.28)):
        soft(ctx, side * 72, 48, 58, 46, SKIN_LIGHT, alpha)
    soft(ctx, 6, 222 + drop, 150, 62, SKIN_SHADE, 0.5)
    soft(ctx, 128, 150 + 0.6 * drop, 62, 96, SKIN_SHADE, 0.5)
    soft(ctx, -128, 160 + 0.6 * drop, 46, 80, SKIN_SHADE, 0.3)
    soft(ctx, -4, 180 + drop, 34, 20, SKIN_LIGHT, 0.5)
    for width in (32, 26, 20, 14, 9, 4):
        polygon(ctx, outline)
        stroke(ctx, width, SKIN_SHADE, 0.085)
    ctx.restore()


def cheeks(ctx, mouth):
    lift = 6 * (mouth.width - 0.5) - 4 * mouth.rounding
    for side in (-1, 1):
        soft(ctx, side * 80, 86 - lift, 44, 34, BLUSH, 0.25)
        soft(ctx, side * (76 + lift), 76 - lift, 26, 13, SKIN_LIGHT, 0.22 if side < 0 else 0.12, side * -0.5)


def smile_folds(ctx, mouth, half_width):
    strength = 0.10 + 0.22 * mouth.width + 0.08 * mouth.opening - 0.12 * mouth.rounding
    for side in (-1, 1):
        for width, part in ((12, 0.12), (9, 0.16), (6, 0.2), (3, 0.2)):
            ctx.move_to(side * 33, 93)
            ctx.curve_to(side * 44, 98, side * (half_width + 9), 106, side * (half_width + 14), MOUTH_Y - 2)
            stroke(ctx, width, SKIN_SHADE, strength * part)


# ---- eyes, brows, nose ----------------------------------------------------------------------------------------------

EYE_X = 62.0
EYE_SIZE = 1.13
EYE_INNER, EYE_OUTER = (-30.0, 5.0), (31.0, -4.0)
LID_UPPER = ((-21.0, -14.0), (10.0, -24.0))
LID_LOWER = ((-11.0, 13.0), (19.0, 12.5))
LID_CLOSED = ((-12.0, 12.0), (18.0, 11.5))


def bezier(p0, p1, p2, p3, t):
    """Point and direction of a cubic Bezier curve at t."""
    s = 1 - t
    point = tuple(s ** 3 * a + 3 * s * s * t * b + 3 * s * t * t * c + t ** 3 * d for a, b, c, d in zip(p0, p1, p2, p3))
    direction = tuple(s * s * (b - a) + 2 * s * t * (c - b) + t * t * (d - c) for a, b, c, d in zip(p0, p1, p2, p3))
    return point, direction


def iris(ctx, gaze_x, gaze_y, side):
    x, y, r = gaze_x * side - 0.5, -3.0 + gaze_y, 15.2
    g = cairo.RadialGradient(x, y, 3, x, y, r)
    for offset, colour in ((0, IRIS_LIGHT), (0.35, IRIS_LIGHT), (0.72, IRIS), (0.93, IRIS_RIM), (1, IRIS_RIM)):
        g.add_color_stop_rgb(offset, *colour)
    ctx.arc(x, y, r, 0, 2 * math.pi)
    ctx.set_source(g)
    ctx.fill()
    for i in range(18):
        a = 2 * math.pi * i / 18
        ctx.move_to(x + 7 * math.cos(a), y + 7 * math.sin(a))
        ctx.line_to(x + 12.5 * math.cos(a), y + 12.5 * math.sin(a))
        stroke(ctx, 0.9, IRIS_RIM, 0.3)
    soft(ctx, x, y + 9, 10, 6, rgb("dbe6a8"), 0.55)
    ctx.arc(x, y, 6.6, 0, 2 * math.pi)
    fill(ctx, PUPIL)
    soft(ctx, x, y - 13, 18, 11, LASH, 0.7)
    for dx, dy, radius, alpha in ((-5, -5.5, 4.2, 0.96), (5.5, 5, 1.9, 0.6)):
        ctx.arc(x + side * dx, y + dy, radius, 0, 2 * math.pi)
        fill(ctx, (1, 1, 1), alpha)


def lashes(ctx, lid, blink):
    ctx.set_line_cap(cairo.LINE_CAP_ROUND)
    for i in range(8):
        t = 0.50 + 0.50 * i / 7
        (x, y), _ = bezier(EYE_INNER, *lid, EYE_OUTER, t)
        length = mix(3.0, 9.0, i / 7)
        lean = mix(0.45, 1.0, i / 7)
        rise = mix(mix(-1.0, -0.6, i / 7), 0.5, blink)
        ctx.move_to(x, y - 1)
        ctx.curve_to(x + 0.35 * length * lean, y - 1 + 0.15 * length * rise, x + 0.75 * length * lean,
                     y - 1 + 0.45 * length * rise, x + length * lean, y - 1 + length * rise)
        stroke(ctx, 1.1, LASH, 0.75)


def eye(ctx, pose_, side):
    """One eye; x from the nose outwards times `side`."""
    ctx.save()
    ctx.translate(side * EYE_X, 0)
    ctx.scale(side * EYE_SIZE, EYE_SIZE)
    b = pose_.blink
    lid = mix(LID_UPPER, LID_CLOSED, b)
    soft(ctx, 2, -9, 44, 24, SKIN_SHADE, 0.42)
    soft(ctx, 2, mix(-20, -4, b), 26, 8, SKIN_LIGHT, 0.45)
    soft(ctx, -30, -4, 16, 18, SKIN_SHADE, 0.4)
    soft(ctx, 0, 17, 30, 6, SKIN_LIGHT, 0.4)

    ctx.move_to(*EYE_INNER)
    ctx.curve_to(*lid[0], *lid[1], *EYE_OUTER)
    ctx.curve_to(*LID_LOWER[1], *LID_LOWER[0], *EYE_INNER)
    ctx.close_path()
    ctx.save()
    ctx.clip()
    ctx.set_source(gradient(0, -18, 0, 12, (0, SCLERA_SHADE), (0.5, SCLERA), (1, mix(SCLERA, SCLERA_SHADE, 0.2))))
    ctx.paint()
    soft(ctx, -30, 5, 9, 7, rgb("d98d80"), 0.9)
    soft(ctx, 32, -2, 10, 9, SCLERA_SHADE, 0.8)
    iris(ctx, pose_.gaze_x, pose_.gaze_y, side)
    ctx.move_to(*EYE_INNER)
    ctx.curve_to(*lid[0], *lid[1], *EYE_OUTER)
    stroke(ctx, 9, rgb("3a2420"), 0.28)
    ctx.restore()

    ctx.move_to(-28, 6)
    ctx.curve_to(-10, 13.5, 19, 13, *EYE_OUTER)
    stroke(ctx, 1.3, SKIN_DEEP, 0.6)
    ctx.move_to(*EYE_INNER)                                             # lash line, thicker outwards
    ctx.curve_to(*lid[0], *lid[1], *EYE_OUTER)
    ctx.line_to(EYE_OUTER[0] + 4.5, EYE_OUTER[1] + mix(-4.5, 1.5, b))
    ctx.curve_to(lid[1][0] + 4, lid[1][1] - 4.0, lid[0][0] + 1, lid[0][1] - 2.0, *EYE_INNER)
    ctx.close_path()
    fill(ctx, LASH)
    lashes(ctx, lid, b)
    crease = mix(-1.0, 0.6, b)
    for width, part in ((4.5, 0.25), (2.8, 0.3), (1.3, 0.45)):
        ctx.move_to(-22, -9 + 2 * crease)
        ctx.curve_to(-14, -22 + 2 * crease, 14, -31 + 3 * crease, 33, -12 + crease)
        stroke(ctx, width, SKIN_DEEP, part * mix(0.8, 0.45, b))
    ctx.restore()


def brow(ctx, pose_, side):
    ctx.save()
    ctx.scale(side, 1)
    ctx.translate(0, -pose_.brow)
    spline(ctx, [(28, -49), (34, -53), (52, -60), (73, -63), (92, -57), (107, -43), (91, -51.5), (72, -56), (53, -52.5),
                 (33, -45)], closed=True)
    ctx.set_source(gradient(27, 0, 110, 0, (0, BROW, 0.12), (0.28, BROW, 0.78), (0.75, BROW, 0.9), (1, BROW, 0.5)))
    ctx.fill()
    ctx.restore()


def nose(ctx):
    soft(ctx, 19, 34, 13, 48, SKIN_SHADE, 0.34, 0.08)
    soft(ctx, -20, 20, 9, 34, SKIN_SHADE, 0.20, -0.1)
    soft(ctx, -3, 30, 12, 52, SKIN_LIGHT, 0.55)
    soft(ctx, 2, 97, 30, 11, SKIN_SHADE, 0.5)
    soft(ctx, 20, 79, 15, 15, SKIN_SHADE, 0.42)
    soft(ctx, -20, 80, 12, 12, SKIN_SHADE, 0.25)
    soft(ctx, 0, 76, 21, 17, BLUSH, 0.16)
    soft(ctx, -4, 71, 10, 9, SKIN_LIGHT, 0.95)
    soft(ctx, -4.5, 69, 4.5, 3.6, (1, 1, 1), 0.36)
    for side in (-1, 1):
        for width in (7, 5, 3, 1.5):
            ctx.move_to(side * 24, 76)
            ctx.curve_to(side * 28, 82, side * 26, 90, side * 18, 89)
            stroke(ctx, width, SKIN_DEEP, 0.12 if side > 0 else 0.08)
        spline(ctx, [(side * 18, 88.5), (side * 12, 85), (side * 7, 88), (side * 11, 91)], closed=True)
        fill(ctx, rgb("6d3527"), 0.75)
    ctx.move_to(-7, 91)
    ctx.curve_to(-3, 95, 3, 95, 7, 91)
    stroke(ctx, 1.6, SKIN_DEEP, 0.22)


# ---- mouth ----------------------------------------------------------------------------------------------------------

U = np.sin(np.linspace(-math.pi / 2, math.pi / 2, 49))   # across the lips, dense at the corners
INNER_PART = 0.93             # the inner lips' half width as a part of the outer one
TEETH_LENGTH = 19.0           # px at teeth 1


class Lips(NamedTuple):
    """The lips' edges, arrays [n] over U, feature space, and the mouth's half width."""
    half_width: float
    x: np.ndarray
    top: np.ndarray
    inner_top: np.ndarray
    inner_bottom: np.ndarray
    bottom: np.ndarray


def lips_of(mouth):
    o, r, spread = mouth.opening, mouth.rounding, mouth.width - 0.5
    half_width = (53 + 22 * spread * (1 - 0.35 * o)) * (1 - 0.40 * r * (1 - 0.4 * o)) * (1 - 0.10 * o)
    round_ = 1 - (1 - o) ** 2 * (1 - r)                            # 1: the opening is an oval
    tuck = mouth.teeth * (1 - r) * (o / 0.1) * math.exp(1 - o / 0.1)       # lower lip drawn to the teeth, as in "f"
    corner = -(10 + 9 * spread) * (1 - 0.85 * r) + (19 - 8 * r) * o
    curve = MOUTH_Y + corner * np.abs(U) ** 2.2
    ripple = 1.5 * np.exp(-(U / 0.16) ** 2) - 1.2 * np.exp(-((np.abs(U) - 0.4) / 0.2) ** 2)
    ripple *= 1 - 0.6 * r
    inside = np.clip(1 - (U / INNER_PART) ** 2, 0, None)
    inner_top = curve + ripple - (OPENING_UP + ROUND_UP * r) * o * inside ** (0.62 - 0.12 * round_)
    closed_ripple = ripple * math.exp(-o / 0.05)                   # the lower lip's edge is smooth once it is free
    inner_bottom = curve + closed_ripple + (OPENING_DOWN - ROUND_UP * r) * o * inside ** (0.62 - 0.16 * round_)
    fuller = 1 + 0.25 * r
    upper = 14.0 * fuller * (1 - 0.25 * spread) * (1 - 0.12 * o - 0.2 * o * r)
    lower = 18.5 * (1 + 0.06 * r) * (1 - 0.25 * spread) * (1 - 0.14 * o) * (1 - 0.22 * tuck)
    bow = (1 - U ** 2) ** (1.15 - 0.5 * r - 0.2 * o) * (1 - (0.26 - 0.1 * r) * np.exp(-(U / 0.17) ** 2))
    belly = (1 - np.abs(U) ** 2.3) ** (0.95 - 0.42 * round_)
    return Lips(half_width, half_width * U, inner_top - ripple - upper * bow, inner_top, inner_bottom,
                inner_bottom - closed_ripple + lower * belly)


def edge(x, y):
    return np.stack([x, y], axis=1)


def tongue(ctx, mouth, lips):
    """The tongue; the path is clipped to the inner mouth by the caller."""
    mid = len(U) // 2
    height = lips.inner_bottom[mid] - lips.inner_top[mid]
    rise = mix(0.14, 0.80, mouth.tongue) * height
    half = lips.half_width * mix(0.62, 0.50, mouth.tongue)
    floor = lips.inner_bottom[mid] + 6
    top = lips.inner_bottom[mid] - rise
    ctx.move_to(-half, floor)
    ctx.curve_to(-half * 1.05, mix(floor, top, 0.75), -half * 0.7, top, 0, top)
    ctx.curve_to(half * 0.7, top, half * 1.05, mix(floor, top, 0.75), half, floor)
    ctx.close_path()
    ctx.set_source(gradient(0, top, 0, top + 30, (0, TONGUE_LIGHT), (0.35, TONGUE), (1, mix(TONGUE, INNER, 0.25))))
    ctx.fill()
    soft(ctx, 0, top + 0.5 * rise + 4, 3.5, 0.5 * rise + 1, INNER, 0.22 * mouth.tongue)


def teeth(ctx, mouth, lips):
    """The upper teeth; the path is clipped to the inner mouth by the caller."""
    x = lips.x * INNER_PART
    top = np.interp(x, lips.x, lips.inner_top)
    length = TEETH_LENGTH * mouth.teeth * (1 - 0.5 * U ** 2)
    ctx.save()
    polygon(ctx, edge(x, top - 3), edge(x, top + length)[::-1])
    ctx.clip()
    y = lips.inner_top[len(U) // 2]
    ctx.set_source(gradient(0, y - 1, 0, y + 12, (0, TEETH_SHADE), (0.45, TEETH), (1, TEETH)))
    ctx.paint()
    for side in (-1, 1):
        for k in (0, 0.22, 0.42, 0.59):
            tx = side * k * lips.half_width
            ctx.move_to(tx, y - 4)
            ctx.line_to(tx, y + TEETH_LENGTH)
            stroke(ctx, 1.1, TEETH_SHADE, 0.3)
        soft(ctx, side * lips.half_width, y + 8, 0.50 * lips.half_width, 30, INNER, 0.9)
    ctx.restore()


def inner_mouth(ctx, mouth, lips):
    """What shows between the lips; nothing at opening 0."""
    ctx.save()
    polygon(ctx, edge(lips.x, lips.inner_top), edge(lips.x, lips.inner_bottom)[::-1])
    ctx.clip()
    ctx.set_source(gradient(0, MOUTH_Y - 10, 0, MOUTH_Y + 50, (0, INNER_DEEP), (0.5, INNER_DEEP), (1, INNER)))
    ctx.paint()
    tongue(ctx, mouth, lips)
    teeth(ctx, mouth, lips)
    ctx.restore()


def lips_skin(ctx, mouth, lips):
    mid = len(U) // 2
    top, bottom = lips.top[mid], lips.bottom[mid]
    upper_in, lower_in = lips.inner_top[mid], lips.inner_bottom[mid]
    soft(ctx, 0, bottom + 8, 0.66 * lips.half_width + 6, 10, SKIN_DEEP, 0.36)
    soft(ctx, 0, top - 5, 9, 9, SKIN_SHADE, 0.22)
    for side in (-1, 1):
        x, y = side * lips.half_width, lips.inner_top[0]
        soft(ctx, x + side * 3, y + 2, 8, 7, SKIN_DEEP, 0.20)
    polygon(ctx, edge(lips.x, lips.top), edge(lips.x, lips.bottom)[::-1])
    ctx.set_source(gradient(0, lower_in - 2, 0, bottom, (0, mix(LIP_LOWER, LIP_LINE, 0.35)), (0.35, LIP_LOWER),
                            (0.7, LIP_LOWER), (1, mix(LIP_LOWER, LIP_UPPER, 0.7))))
    ctx.fill()
    polygon(ctx, edge(lips.x, lips.top), edge(lips.x, lips.inner_top)[::-1])
    ctx.set_source(gradient(0, top - 2, 0, upper_in, (0, mix(LIP_UPPER, LIP_LOWER, 0.75)), (0.55, LIP_UPPER),
                            (1, mix(LIP_UPPER, LIP_LINE, 0.55))))
    ctx.fill()


def lips_light(ctx, mouth, lips):
    """Highlights on the lips and the bright rim above the upper lip."""
    mid = len(U) // 2
    thick = lips.bottom[mid] - lips.inner_bottom[mid]
    ctx.save()
    polygon(ctx, edge(lips.x, lips.inner_bottom), edge(lips.x, lips.bottom)[::-1])
    ctx.clip()
    y = lips.inner_bottom[mid] + 0.44 * thick
    soft(ctx, -0.05 * lips.half_width, y, 0.52 * lips.half_width, 0.32 * thick, LIP_LIGHT, 0.75)
    soft(ctx, -0.16 * lips.half_width, y - 1, 0.20 * lips.half_width, 0.15 * thick, (1, 1, 1),
         0.45 + 0.2 * mouth.rounding)
    ctx.restore()
    for x0, x1 in ((0.08, 0.42), (-0.08, -0.42)):
        near = np.abs(U - (x0 + x1) / 2) < 0.2
        spline(ctx, [tuple(p) for p in edge(lips.x, lips.top - 1.2)[near]])
        stroke(ctx, 1.6, SKIN_LIGHT, 0.40)


def lip_line(ctx, lips):
    """The line between the closed lips, which parts into the edges of the opening."""
    ctx.set_line_cap(cairo.LINE_CAP_ROUND)
    for y, width, alpha in ((lips.inner_top, 2.0, 0.8), (lips.inner_bottom, 1.2, 0.5)):
        spline(ctx, [tuple(p) for p in edge(lips.x, y)[1:-1:2]])
        stroke(ctx, width, LIP_LINE, alpha)


def mouth_features(ctx, mouth):
    lips = lips_of(mouth)
    smile_folds(ctx, mouth, lips.half_width)
    lips_skin(ctx, mouth, lips)
    lips_light(ctx, mouth, lips)
    lip_line(ctx, lips)
    inner_mouth(ctx, mouth, lips)


# ---- layers ---------------------------------------------------------------------------------------------------------

def draw_behind(ctx, pose_):
    ctx.set_source_surface(room())
    ctx.paint()
    ctx.save()
    enter_head(ctx, pose_)
    hair_back(ctx)
    ctx.restore()
    neck(ctx, pose_)


def draw_mouth_layer(ctx, pose_, mouth):
    """All that depends on the mouth."""
    outline = face_outline(mouth)
    neck_shadow(ctx, pose_, mouth)
    ctx.save()
    enter_head(ctx, pose_)
    face_skin(ctx, mouth, outline)
    enter_features(ctx, pose_)
    cheeks(ctx, mouth)
    mouth_features(ctx, mouth)
    ctx.restore()


def draw_before(ctx, pose_):
    clothes(ctx, pose_)
    enter_head(ctx, pose_)
    hair_shadow(ctx, OUTLINE, SKIN_DEEP)
    ctx.save()
    enter_features(ctx, pose_)
    for side in (-1, 1):
        eye(ctx, pose_, side)
        brow(ctx, pose_, side)
    ctx.restore()
    ctx.save()
    enter_features(ctx, pose_, 1.4)
    nose(ctx)
    ctx.restore()
    hair_front(ctx)


def full_layers(pose_):
    """The layers behind and before the mouth layer, of the picture's size."""
    behind = cairo.ImageSurface(cairo.FORMAT_RGB24, WIDTH, HEIGHT)
    before = cairo.ImageSurface(cairo.FORMAT_ARGB32, WIDTH, HEIGHT)
    draw_behind(cairo.Context(behind), pose_)
    draw_before(cairo.Context(before), pose_)
    return behind, before


def crop(surface, box):
    out = cairo.ImageSurface(surface.get_format(), box[2] - box[0], box[3] - box[1])
    ctx = cairo.Context(out)
    ctx.set_operator(cairo.OPERATOR_SOURCE)
    ctx.set_source_surface(surface, -box[0], -box[1])
    ctx.paint()
    return out


def compose(behind, before, pose_, mouth, origin):
    """The three layers one on another; `origin` is the layers' position in the picture. BGR."""
    out = cairo.ImageSurface(cairo.FORMAT_RGB24, behind.get_width(), behind.get_height())
    ctx = cairo.Context(out)
    ctx.set_source_surface(behind)
    ctx.paint()
    ctx.save()
    ctx.translate(-origin[0], -origin[1])
    draw_mouth_layer(ctx, pose_, mouth)
    ctx.restore()
    ctx.set_source_surface(before)
    ctx.paint()
    return surface_pixels(out)[:, :, :3]


def grown(box, margin):
    return box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin


def window(pose_):
    """The part of the picture that is kept per frame."""
    return grown(rectangle(pose_), WINDOW_MARGIN)


def moving_part(pose_):
    """The part of the picture that the mouth may change."""
    return grown(rectangle(pose_), -INSET)


@functools.lru_cache(maxsize=FRAMES)
def kept(frame):
    """Of a loop frame: its window at REST (BGR) and the layers cropped to its moving part; about 1 MB."""
    state = pose(frame)
    layers = full_layers(state)
    box = window(state)
    rest = compose(*(crop(layer, box) for layer in layers), state, REST, box)
    return rest.copy(), *(crop(layer, moving_part(state)) for layer in layers)


@functools.lru_cache(maxsize=FRAMES)
def whole_at_rest(frame):
    """The whole picture of a loop frame at REST (BGR), 2.8 MB; filled only by those who draw whole pictures."""
    state = pose(frame)
    return np.ascontiguousarray(compose(*full_layers(state), state, REST, (0, 0)))


# ---- interface ------------------------------------------------------------------------------------------------------

BROW_POINTS = [(29, -49), (46, -58), (62, -62), (78, -62.5), (92, -57), (107, -43), (91, -51.5), (70, -56), (46, -50)]
NOSE_POINTS = [(0, BRIDGE_Y), (0, 40), (0, 56), (0, 72), (-26, 84), (-14, 90), (0, 93), (14, 90), (26, 84)]
EYE_POINTS = [(-30, 5), (-18, -9), (-4, -17), (10, -18), (22, -13), (31, -4), (20, 6), (4, 11), (-14, 11)]


def outline_points():
    """Landmarks 0..32 in head space: from the left temple round the chin to the right temple."""
    curve = catmull(RIGHT_OUTLINE, 40)
    curve = curve[curve[:, 1] >= -30]
    at_eyes = int(np.argmin(np.abs(curve[:, 1])))
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve[at_eyes:], axis=0).T))])
    places = np.linspace(0, length[-1], 16)
    half = [tuple(curve[0])] + [tuple(np.interp(s, length, curve[at_eyes:, k]) for k in (0, 1)) for s in places]
    half[1] = (OUTLINE_HALF_WIDTH, 0.0)
    return mirrored(half) + half[-2::-1]


def mouth_points():
    """Landmarks 88..109 in feature space: twelve round the outer lips, ten round the inner, from the left corner."""
    lips = lips_of(REST)
    points = []
    for upper, lower, n in ((lips.top, lips.bottom, 6), (lips.inner_top, lips.inner_bottom, 5)):
        across = np.linspace(-1, 1, n + 1) * lips.half_width
        points += [(x, np.interp(x, lips.x, upper)) for x in across]
        points += [(x, np.interp(x, lips.x, lower)) for x in across[-2:0:-1]]
    return points


def landmarks(pose):
    """The face's 110 points, list of (x, y) floats in picture px, mouth at rest.

    0..32 outline, left temple round the chin to the right temple; 33..50 brows, left then right; 51 between them;
    52..60 nose, 52 its bridge just below the lower lids; 61..69 left eye, 70..78 right eye; 79..80 pupils; 81..87 upper
    lip to chin along the middle; 88..99 outer lips; 100..109 inner lips.
    """
    brows = [(x, y - pose.brow) for x, y in mirrored(BROW_POINTS) + BROW_POINTS]
    right_eye = [(EYE_X + EYE_SIZE * x, EYE_SIZE * y) for x, y in EYE_POINTS]
    pupils = [(side * EYE_X + pose.gaze_x, -3 + pose.gaze_y) for side in (-1, 1)]
    middle = [(0.0, y) for y in np.linspace(100, CHIN_Y - 8, 7)]
    features = brows + [(0, -40)] + NOSE_POINTS + mirrored(right_eye) + right_eye + pupils + middle + mouth_points()
    points = [head_to_picture(pose, x, y) for x, y in outline_points()]
    return points + [feature_to_picture(pose, float(x), float(y)) for x, y in features]


def rectangle(pose):
    """The lower face, (x0, y0, x1, y1) integer px, half-open, square: landmarks 1 and 31 across, 52 at the top."""
    points = landmarks(pose)
    x0, y0 = round(points[1][0]), round(points[52][1])
    side = round(points[31][0] - points[1][0])
    return x0, y0, x0 + side, y0 + side


def mouth_centre(pose):
    """The middle of the closed lips' line, (x, y) in picture px."""
    return feature_to_picture(pose, 0.0, MOUTH_Y + 1.5)


def draw(frame, mouth=REST, box=None):
    """Loop frame `frame` (modulo FRAMES) with the given Mouth as uint8 [h, w, 3], BGR.

    The whole picture, or its part box = (x0, y0, x1, y1) in px, half-open and inside the picture; the part equals the
    same part of the whole picture bit for bit. Boxes up to WINDOW_MARGIN px beyond the rectangle are the fast path.
    """
    state = pose(frame)
    mouth = Mouth(*(min(max(float(v), 0.0), 1.0) for v in mouth))
    x0, y0, x1, y1 = box or (0, 0, WIDTH, HEIGHT)
    wx0, wy0, wx1, wy1 = window(state)
    rest, behind, before = kept(state.frame)
    mx0, my0, mx1, my1 = moving_part(state)
    part = rest.copy()
    part[my0 - wy0:my1 - wy0, mx0 - wx0:mx1 - wx0] = compose(behind, before, state, mouth, (mx0, my0))
    if x0 >= wx0 and y0 >= wy0 and x1 <= wx1 and y1 <= wy1:
        return np.ascontiguousarray(part[y0 - wy0:y1 - wy0, x0 - wx0:x1 - wx0])
    whole = whole_at_rest(state.frame).copy()
    whole[wy0:wy1, wx0:wx1] = part
    return np.ascontiguousarray(whole[y0:y1, x0:x1])


# ---- command line ---------------------------------------------------------------------------------------------------

SHAPES = {
    "rest": REST, "ah": Mouth(1, 0.5, 0, 0.35, 0.1), "eh": Mouth(0.45, 0.7, 0, 0.6, 0.25),
    "ee": Mouth(0.22, 1, 0, 0.7, 0.3), "oh": Mouth(0.6, 0.35, 0.75, 0.1, 0.1), "oo": Mouth(0.25, 0.1, 1, 0, 0.1),
    "f/v": Mouth(0.10, 0.5, 0, 1, 0), "s": Mouth(0.14, 0.75, 0, 1, 0.2), "l/th": Mouth(0.4, 0.55, 0, 0.45, 1),
    "m": Mouth(0, 0.4, 0.15, 0, 0), "smile": Mouth(0.12, 1, 0, 1, 0), "half open": Mouth(0.5, 0.5, 0, 0.3, 0.3)}


def surface_of(image):
    """A cairo surface of a BGR image."""
    surface = cairo.ImageSurface(cairo.FORMAT_RGB24, image.shape[1], image.shape[0])
    surface_pixels(surface)[:, :, :3] = image
    surface.mark_dirty()
    return surface


def sheet(path):
    """Draws the named mouth shapes, six a row, each the rectangle with a margin."""
    box = window(pose(0))
    pictures = [draw(0, shape, box) for shape in SHAPES.values()]
    rows = [np.concatenate(pictures[i:i + 6], axis=1) for i in range(0, len(pictures), 6)]
    surface = surface_of(np.concatenate(rows))
    ctx = cairo.Context(surface)
    ctx.set_font_size(22)
    for i, name in enumerate(SHAPES):
        ctx.move_to(i % 6 * (box[2] - box[0]) + 10, i // 6 * (box[3] - box[1]) + 26)
        ctx.set_source_rgb(1, 1, 1)
        ctx.show_text(name)
    surface.write_to_png(path)


def check():
    """Asserts that only the rectangle less INSET depends on the mouth, that boxes match and that 0 is closed."""
    extremes = [Mouth(o, w, r, t, g) for o in (0, 1) for w in (0, 1) for r in (0, 1) for t, g in ((0, 1), (1, 0))]
    for frame in range(0, FRAMES, 25):
        state = pose(frame)
        box = rectangle(state)
        x0, y0, x1, y1 = box
        assert len(landmarks(state)) == 110 and 290 <= x1 - x0 <= 310 and x1 - x0 == y1 - y0
        rest = draw(frame)
        layers = full_layers(state)
        freely = compose(*layers, state, REST, (0, 0)).astype(int)
        mx0, my0, mx1, my1 = moving_part(state)
        for mouth in extremes:
            image = draw(frame, mouth)
            assert np.array_equal(image[y0:y1, x0:x1], draw(frame, mouth, box)), (frame, mouth)
            image[my0:my1, mx0:mx1] = rest[my0:my1, mx0:mx1]
            assert np.array_equal(image, rest), (frame, mouth)
            change = np.abs(compose(*layers, state, mouth, (0, 0)) - freely)     # not confined to the moving part
            change[my0:my1, mx0:mx1] = 0
            assert change.max() <= 1, (frame, mouth)
        for width, rounding in ((0.5, 0), (0, 1), (1, 0), (1, 1)):
            closed = (draw(frame, Mouth(0, width, rounding, t, t), box) for t in (0, 1))
            assert np.array_equal(*closed), (frame, width, rounding)
    print("face.py: all checks passed")


def main():
    parser = argparse.ArgumentParser(description="Draws the presenter.")
    parser.add_argument("--check", action="store_true", help="run the self-check")
    parser.add_argument("--sheet", metavar="OUT.png", help="draw the sheet of mouth shapes")
    parser.add_argument("--frame", nargs=2, metavar=("N", "OUT.png"), help="draw loop frame N")
    parser.add_argument("--mouth", metavar="o,w,r,t,g", help="opening, width, rounding, teeth, tongue of --frame")
    args = parser.parse_args()
    if args.check:
        check()
    if args.sheet:
        sheet(args.sheet)
    if args.frame:
        mouth = Mouth(*map(float, args.mouth.split(","))) if args.mouth else REST
        surface_of(draw(int(args.frame[0]), mouth)).write_to_png(args.frame[1])


if __name__ == "__main__":
    main()
